"""What every reader shares: the limits, the heading path, and the builder that joins blocks into one text."""

from __future__ import annotations

import re
from pathlib import Path

from qa.errors import ReadError
from qa.types import Block, BlockKind, Reading, Zone

# A document above these takes minutes to encode and is nearly always a dump. 20 million characters are 40 novels.
MAX_CHARACTERS = 20_000_000
MAX_BLOCKS = 1_000_000
# A list or table above this (about a passage's length) is given as several blocks, at its own seams.
LONG_BLOCK = 1_500
# Heading paths travel with every passage, so a page of text marked up as a heading must not.
MAX_NAME = 200

# Control characters that no text needs, and lone surrogates, which UTF-8 cannot hold. Replaced one for one, so that
# offsets stay those of the file.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")


def clean(text: str) -> str:
    """Newlines as `\\n`, and U+FFFD for characters that cannot be stored or shown."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """The text on one line, cut to the length of a name: for titles and heading paths."""
    line = " ".join(clean(text[: 20 * MAX_NAME]).split())
    return line if len(line) <= MAX_NAME else line[: MAX_NAME - 1].rstrip() + "…"


def read_bytes(path: Path) -> bytes:
    """A text file's bytes; refused above what `MAX_CHARACTERS` can need in any encoding (4 bytes each, and a BOM)."""
    limit = 4 * MAX_CHARACTERS + 4
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ReadError(f"larger than {limit // 1_000_000} MB, the most for a text file: split it")
    return data


def check_size(characters: int, blocks: int) -> None:
    """Raise ReadError for a text that is too large to index."""
    if characters > MAX_CHARACTERS:
        raise ReadError(f"more than {MAX_CHARACTERS:,} characters of text, the most for one file: split it")
    if blocks > MAX_BLOCKS:
        raise ReadError(f"more than {MAX_BLOCKS:,} paragraphs, the most for one file: split it")


class Headings:
    """The headings in force while a document is read from top to bottom."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []
        self.path: tuple[str, ...] = ()

    def enter(self, name: str, level: int) -> None:
        """Start a section of `level` (1 outermost); deeper and equal ones end."""
        self._open = [(depth, other) for depth, other in self._open if depth < level] + [(level, one_line(name))]
        self.path = tuple(other for _, other in self._open)


class TextBuilder:
    """Joins the blocks of a format without a plain text of its own (HTML, PDF, DOCX), a blank line between them."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._headings = Headings()
        self._aside = Headings()

    def enter(self, name: str, level: int) -> None:
        """Start a section whose heading is not in the text itself (a PDF bookmark)."""
        if name.strip():
            self._headings.enter(name, level)
            self._aside = Headings()

    def end_sections(self) -> None:
        """What follows is under no heading."""
        self._headings, self._aside = Headings(), Headings()

    def heading(self, text: str, level: int, *, page: int | None = None, zone: Zone = "main") -> None:
        """Add a heading of `level` (1 outermost); deeper and equal ones above it end.

        One that stands aside (in a menu, a box) is over other blocks aside, until a main one comes.
        """
        text = " ".join(clean(text).split())
        if text and zone == "main":
            self.enter(text, level)
        elif text:
            self._aside.enter(text, level)
        if text:
            self._append("heading", text, page, zone)

    def add(
        self,
        text: str,
        kind: BlockKind = "paragraph",
        *,
        page: int | None = None,
        row: int | None = None,
        zone: Zone = "main",
    ) -> None:
        """Add a block of text; one that is only white space is left out. `row` is the sheet's row of its first line."""
        text = clean(text).strip()
        if text:
            self._append(kind, text, page, zone, row)

    def build(
        self,
        *,
        title: str | None = None,
        encoding: str | None = None,
        pages: int | None = None,
        warnings: tuple[str, ...] = (),
    ) -> Reading:
        """The reading of everything added so far."""
        title = one_line(title or "") or None
        return Reading("".join(self._parts), tuple(self._blocks), title, encoding, pages, warnings)

    def _append(self, kind: BlockKind, text: str, page: int | None, zone: Zone, row: int | None = None) -> None:
        if self._parts:
            self._parts.append("\n\n")
            self._length += 2
        start, self._length = self._length, self._length + len(text)
        self._parts.append(text)
        path = self._headings.path if zone == "main" else self._aside.path or self._headings.path
        self._blocks.append(Block(kind, start, self._length, path, page, zone, row))
        check_size(self._length, len(self._blocks))

"""Plain text: the file's own words, so that offsets and lines are those of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

from qa.readers.base import Headings, check_size, clean, one_line, read_bytes
from qa.readers.decoding import decode
from qa.types import Block, BlockKind, Reading

# Each pattern reads any text in linear time: its parts cannot match the same character in two ways.
_SPACE = re.compile(r"\s*")
_BLANK = re.compile(r"\n(?:[^\S\n]*\n)++")
_UNDERLINED = re.compile(
    r"(?:(?P<over>([=~^-])\2{2,})[^\S\n]*\n)?[^\S\n]*(?P<title>[^\s][^\n]{0,129})\n(?P<line>([=~^-])\5{2,})[^\S\n]*(?=\n|\Z)"
)
_MARKER = r"(?:[-*+•‣◦▪–—]|\d{1,3}[.)]|[a-z][.)])[^\S\n]"
_LIST = re.compile(rf"{_MARKER}[^\n]*+(?:\n(?:[^\S\n]|{_MARKER})[^\n]*+)*+\Z")
_NUMBER = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,5})\.?\s")
_ENDINGS = tuple(".?!:;,…。？！：；，、؟؛،।")
_LONGEST_HEADING = 130
# A headline that is repeated, often with its date, shows itself by that: pages copied from the web have long ones.
_LONGEST_REPEATED = 300
_LONGEST_DATE = 30


@dataclass(slots=True)
class _Piece:
    """A stretch of text between blank lines. `name` and `level` are those it would have as a heading.

    `candidate`: it looks like one; `repeated`: the next piece says the same again.
    """

    start: int
    end: int
    kind: BlockKind = "paragraph"
    name: str = ""
    level: int = 0
    candidate: bool = False
    repeated: bool = False


def read(path: Path) -> Reading:
    """The text of the file and its paragraphs, lists and headings."""
    decoded = decode(read_bytes(path))
    text = clean(decoded.text)
    check_size(len(text), 0)
    pieces: list[_Piece] = []
    for piece in _pieces(text):
        pieces.append(piece)
        check_size(0, len(pieces))
    _decide(pieces)
    return Reading(text, _blocks(pieces), _title(pieces), decoded.encoding, None, decoded.warnings)


def _title(pieces: list[_Piece]) -> str | None:
    """The heading that opens the document, else the first headline that is repeated."""
    headings = [piece for piece in pieces if piece.kind == "heading" and (piece is pieces[0] or piece.repeated)]
    return one_line(headings[0].name) if headings else None


def _blocks(pieces: list[_Piece]) -> tuple[Block, ...]:
    headings, blocks = Headings(), []
    for piece in pieces:
        if piece.kind == "heading":
            headings.enter(piece.name, piece.level)
        blocks.append(Block(piece.kind, piece.start, piece.end, headings.path))
    return tuple(blocks)


def _pieces(text: str) -> Iterator[_Piece]:
    levels: dict[str, int] = {}
    for at, end in _stretches(text):
        while (match := _UNDERLINED.match(text, at, end)) and _is_underlined(match):
            style = match["line"][0] + ("/" if match["over"] else "")
            level = levels.setdefault(style, len(levels) + 1)  # as reStructuredText: levels in order of appearance
            yield _Piece(match.start(), match.end(), "heading", match["title"].strip(), level)
            space = _SPACE.match(text, match.end(), end)
            at = space.end() if space else match.end()
        if at < end:
            yield _piece(text, at, end)


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    """The spans between blank lines, without the white space around them."""
    at = 0
    gaps = (match.span() for match in _BLANK.finditer(text))
    for stop, after in chain(gaps, [(len(text), len(text))]):
        part = text[at:stop]
        left = len(part) - len(part.lstrip())
        right = len(part.rstrip())
        if left < right:
            yield at + left, at + right
        at = after


def _is_underlined(match: re.Match[str]) -> bool:
    title, line, over = match["title"].strip(), match["line"], match["over"]
    return len(line) >= 0.8 * len(title) and any(c.isalpha() for c in title) and (not over or over[0] == line[0])


def _piece(text: str, start: int, end: int) -> _Piece:
    kind: BlockKind = "list" if _LIST.match(text, start, end) else "paragraph"
    if end - start > _LONGEST_REPEATED or not _may_be_heading(text[start:end]):
        return _Piece(start, end, kind)
    name = text[start:end]
    number = _NUMBER.match(name)
    level = number[1].count(".") + 1 if number else 1
    return _Piece(start, end, kind, name, level, candidate=len(name) <= _LONGEST_HEADING)


def _may_be_heading(line: str) -> bool:
    """A single line that starts like a title and does not end like a sentence."""
    first = line[0]
    starts = first.isdigit() or (first.isalpha() and not first.islower())
    return "\n" not in line and starts and not line.endswith(_ENDINGS) and any(c.isalpha() for c in line)


def _decide(pieces: list[_Piece]) -> None:
    """Make headings of the candidates that have text under them, from the last to the first.

    In a run of candidates (a menu, an address, a signature) only the last can be one, and those above it that it
    repeats ("Title", "Title 20.01.2022"), that have its number's beginning ("2 Methods", "2.1 Data") or that open
    the document.
    """
    for piece, below in pairwise(pieces):
        piece.repeated = _is_repeated(piece.name, below.name)
        piece.candidate = piece.candidate or piece.repeated
        below.candidate = below.candidate or piece.repeated
    for index in range(len(pieces) - 2, -1, -1):
        piece, below = pieces[index], pieces[index + 1]
        if below.kind == "heading":
            goes_on = below.candidate and (piece.repeated or piece.level < below.level)
            is_heading = index == 0 or goes_on
        else:
            is_heading = not below.candidate
        if piece.candidate and is_heading:
            piece.kind = "heading"


def _is_repeated(name: str, below: str) -> bool:
    """Whether the line below says the same, but for a date."""
    more = len(below) - len(name)
    return bool(name) and 0 <= more <= _LONGEST_DATE and below.casefold().startswith(name.casefold())

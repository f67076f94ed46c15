"""The page of a PDF that a citation names, or another, as a picture in which exactly the quoted words are marked.

The page is drawn in a child process with limits, as files are read: a hostile PDF takes the child down, nothing else.
Where the words stand is not guessed. The stored text of a page was made from its characters in order, so that both are
the same but for white space and hyphens, and a place in the one is a place in the other.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import struct
import sys
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import child
from qa.child import Limits
from qa.errors import QAError, QuestionError

if TYPE_CHECKING:
    from PIL.Image import Image
    from pypdfium2 import PdfPage, PdfTextPage

    from qa.library import Library
    from qa.types import Context

LIMITS = Limits(memory=1 << 30, cpu_seconds=15, wall_seconds=25)
"""What one page may cost: pages of text take a quarter of a second, the slowest scanned posters about five."""
NARROWEST, WIDTH, WIDEST = 200, 1_200, 2_400
"""Pixels of a picture's width: the least, what is given unasked, and the most, a sharp page on the largest screens."""
MOST_HEIGHT = 6_000
"""Pixels; a page of unusual shape is drawn smaller."""
KEPT = 48 << 20
"""Bytes of pictures that are kept: some hundred pages of text."""
AT_ONCE = 2
"""Children that draw at the same time."""
LONGEST_PICTURE = 64 << 20
"""Bytes of one picture: above the largest of noise that these sizes allow."""

_HIGHLIGHT = (255, 226, 130)
_ON_DARK = (112, 86, 0)
_DARK = 110  # mean brightness of 255, under which a tint that darkens is not seen
_MARGIN = 0.1  # around a line of words, of its height
_FAR, _NEAR = 3.0, 0.3  # gaps within a line of words along it and across, of its height
_ASKEW = 0.02  # of a quarter turn: what a scan may be off
_LINE_ENDS = (0x0A, 0x0D, 0x02, 0xFFFE)  # the last two are pdfium's marks for hyphens that end a line
_GRID = 100_000  # places on a page are counted in this many steps
_HYPHENS = frozenset("-\u00ad\u2010\u2011\x02\ufffe\ufffd")
_LENGTH = struct.Struct(">Q")
Rectangle = tuple[float, float, float, float]
_Key = tuple[str, int, int]  # citation, width, page


class NoPageError(QAError):
    """The citation is not in a PDF, so that there is no page to show."""


class PictureError(QAError):
    """The page cannot be drawn within the limits, or not at all."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page, in fractions of its width and height from the upper left."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A page with the quoted words marked: PNG, its size in pixels, and where the words are, one box a line.

    `located` is false where the words could not be found on the page; nothing is marked then.
    """

    png: bytes
    page: int
    pages: int
    width: int
    height: int
    boxes: tuple[Box, ...]

    @property
    def located(self) -> bool:
        """Are the quoted words marked?"""
        return bool(self.boxes)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a child draws: a page, counted from 1, `width` pixels wide, with the words of `text[start:end]` marked.

    `text` is the page's stored text as `keys` gives it.
    """

    path: str
    digest: str
    page: int
    width: int
    text: str
    start: int
    end: int


class Pictures:
    """Draws the pages of a library's citations and keeps those drawn last. Safe to share between threads."""

    def __init__(self, library: Library, limits: Limits = LIMITS) -> None:
        self.library = library
        self.limits = limits
        self._kept: OrderedDict[_Key, Picture | str] = OrderedDict()
        self._lock = threading.Lock()
        # The same picture, asked for twice at once, is drawn once.
        self._turns = [threading.Lock() for _ in range(AT_ONCE)]

    def picture(self, citation_id: str, width: int = WIDTH, page: int | None = None) -> Picture:
        """The page of a citation, or another page of its document.

        Args:
            citation_id: as in a Citation.
            width: pixels, `NARROWEST` to `WIDEST`; a very high page comes out narrower.
            page: from 1; None for the page where the citation begins.

        Raises:
            CitationError: the citation cannot be opened.
            NoPageError: it is not in a PDF.
            GoneError, ChangedError: the file is not what was indexed.
            PictureError: the page cannot be drawn.
            QuestionError: `width` or `page` is out of range.
        """
        from qa.originals import original

        if not NARROWEST <= width <= WIDEST:
            raise QuestionError(f"width is {width}: expected {NARROWEST} to {WIDEST} pixels")
        context = self.library.open_citation(citation_id)
        if context.citation.page is None or context.document.kind != "pdf":
            raise NoPageError("this citation is not in a PDF: there is no page to show")
        pages = context.document.pages or context.citation.page
        page = context.citation.page if page is None else page
        if not 1 <= page <= pages:
            raise QuestionError(f"page is {page}: expected 1 to {pages}")
        key = (citation_id, width, page)
        with self._turns[hash(key) % AT_ONCE]:
            found = self._find(key)
            if found is None:
                with original(self.library, context.document.id) as file:
                    wanted = Wanted(str(file.path), file.digest, page, width, *_place(context, page))
                    found = self._drawn(key, pages, wanted)
        if isinstance(found, str):
            raise PictureError(f"this page cannot be shown: {found}")
        return found

    def _find(self, key: _Key) -> Picture | str | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def _drawn(self, key: _Key, pages: int, wanted: Wanted) -> Picture | str:
        """A new picture, or why there is none; both are kept, so that a hostile file costs its time once."""
        answer, late = _ask(wanted, self.limits)
        drawn: Picture | str
        if isinstance(answer, str):
            drawn = answer
        else:
            said, png = answer
            boxes = tuple(Box(*map(float, box)) for box in said["boxes"])
            drawn = Picture(png, wanted.page, pages, int(said["width"]), int(said["height"]), boxes)
        if not late:  # a busy machine may have been the reason
            with self._lock:
                self._kept[key] = drawn
                while sum(map(_size, self._kept.values())) > KEPT:
                    self._kept.popitem(last=False)
        return drawn


def keys(text: Iterable[str]) -> list[tuple[str, int]]:
    """The characters of a text that count, each with the index it comes from.

    White space, hyphens and what cannot be shown do not count; a ligature is its letters.
    """
    return [
        (letter, index)
        for index, character in enumerate(text)
        if character not in _HYPHENS and not character.isspace() and unicodedata.category(character)[0] != "C"
        for letter in unicodedata.normalize("NFKC", character)
        if not letter.isspace()
    ]


def locate(page: Sequence[str], text: str, start: int, end: int) -> tuple[int, int] | None:
    """Where the words of `text[start:end]` stand among the characters of a page, as the first and the last index.

    `text` is that of the whole page, by its keys. Where the two differ, the words must be on the page exactly once.
    """
    found = keys(page)
    letters = "".join(letter for letter, _ in found)
    if letters != text:
        words = text[start:end]
        start = letters.find(words)
        if start < 0 or letters.find(words, start + 1) >= 0:
            return None
        end = start + len(words)
    return (found[start][1], found[end - 1][1]) if start < end else None


def _place(context: Context, page: int) -> tuple[str, int, int]:
    """(a page's text, start and end of the quote in it), by keys; a quote may go on on the next page."""
    citation, text = context.citation, context.document.text
    blocks = [block for block in context.blocks if block.page == page]

    def upto(offset: int) -> int:
        return sum(len(keys(text[block.start : min(block.end, offset)])) for block in blocks if block.start < offset)

    whole = "".join(letter for block in blocks for letter, _ in keys(text[block.start : block.end]))
    return whole, upto(citation.start), upto(citation.end)


def _unpack(answer: bytes) -> tuple[dict[str, Any], bytes]:
    """What a child wrote: the length of a line of JSON, the line, and the PNG."""
    (length,) = _LENGTH.unpack_from(answer)
    said: dict[str, Any] = json.loads(answer[_LENGTH.size : _LENGTH.size + length])
    return said, answer[_LENGTH.size + length :]


def _size(kept: Picture | str) -> int:
    return 200 + len(kept if isinstance(kept, str) else kept.png)


def _ask(wanted: Wanted, limits: Limits) -> tuple[tuple[dict[str, Any], bytes] | str, bool]:
    """What a child of its own answers, or why it does not, and whether its time was over."""
    drawer = child.start("qa.pictures", limits.memory, limits.cpu_seconds)
    late = threading.Event()

    def end() -> None:
        late.set()
        drawer.kill()

    clock = threading.Timer(limits.wall_seconds, end)
    clock.start()
    try:
        with drawer:
            if drawer.stdin is None or drawer.stdout is None:
                raise RuntimeError("the child that draws was started without pipes")
            with contextlib.suppress(BrokenPipeError):
                drawer.stdin.write(json.dumps(asdict(wanted)).encode())
                drawer.stdin.close()
            answer = drawer.stdout.read(LONGEST_PICTURE + 1)
    finally:
        clock.cancel()
    if drawer.returncode != 0 or not _LENGTH.size < len(answer) <= LONGEST_PICTURE:
        return child.death(drawer.returncode, late.is_set(), limits), late.is_set()
    said, png = _unpack(answer)
    error = said.get("error")
    return str(error) if error else (said, png), False


# In the child


def main() -> None:
    """The child: one question as JSON on standard input, one answer on standard output."""
    questions, out = child.pipes()
    question = questions.read()
    memory, cpu_seconds = map(int, sys.argv[1:3])
    child.limit_memory(memory)
    child.limit_cpu(cpu_seconds)
    try:
        said, png = _drawing(Wanted(**json.loads(question)))
        line = json.dumps(said).encode()
        out.write(_LENGTH.pack(len(line)) + line + png)
        out.flush()
    except MemoryError:
        os._exit(child.NO_MEMORY)


def _drawing(wanted: Wanted) -> tuple[dict[str, Any], bytes]:
    import pypdfium2

    content = Path(wanted.path).read_bytes()
    if hashlib.sha256(content).hexdigest() != wanted.digest:
        return {"error": "the file has just changed; run `refdesk index` again"}, b""
    try:
        page = pypdfium2.PdfDocument(content)[wanted.page - 1]
        words = _boxes(page, wanted)
        image = _drawn(page, wanted.width)
    except pypdfium2.PdfiumError as error:
        return {"error": f"{error}: open it in a viewer to check"}, b""
    _mark(image, words)
    png = io.BytesIO()
    image.save(png, "PNG", compress_level=3)
    return {"width": image.width, "height": image.height, "boxes": words}, png.getvalue()


def _drawn(page: PdfPage, width: int) -> Image:
    """The page as it is seen, on white."""
    wide, high = page.get_size()
    scale = min(width / wide, MOST_HEIGHT / high)
    image: Image = page.render(scale=scale, rev_byteorder=True).to_pil()
    return image.convert("RGB")


def _mark(image: Image, boxes: Iterable[Sequence[float]]) -> None:
    """Lay a tint under the words in `boxes`, once where boxes overlap: darker than the page, or lighter where it is
    dark."""
    from PIL import Image as Images
    from PIL import ImageChops, ImageDraw, ImageStat

    mask = Images.new("1", image.size)
    draw = ImageDraw.Draw(mask)
    for left, top, width, height in boxes:
        corner = (left * image.width, top * image.height)
        draw.rectangle((*corner, corner[0] + width * image.width, corner[1] + height * image.height), fill=1)
    if mask.getbbox() is None:
        return
    dark = ImageStat.Stat(image.convert("L"), mask.convert("L")).mean[0] < _DARK
    tint = Images.new("RGB", image.size, _ON_DARK if dark else _HIGHLIGHT)
    image.paste((ImageChops.screen if dark else ImageChops.multiply)(image, tint), mask=mask)


def _boxes(page: PdfPage, wanted: Wanted) -> list[Rectangle]:
    """Left, top, width and height of each line of the quoted words, in fractions of the page; empty if not located."""
    from pypdfium2.raw import FPDFText_GetUnicode

    textpage = page.get_textpage()
    codes = [FPDFText_GetUnicode(textpage, index) for index in range(textpage.count_chars())]
    found = locate([chr(code) for code in codes], wanted.text, wanted.start, wanted.end)
    if found is None:
        return []
    runs = _runs(textpage, codes, *found)
    return [box for run in runs if (box := _on_page(page, run)) is not None]


def _runs(textpage: PdfTextPage, codes: Sequence[int], first: int, last: int) -> Iterator[Rectangle]:
    """The rectangles (left, bottom, right, top in points) of the lines between two characters.

    A character far from the one before begins another rectangle, so that none lies over words between them; so does
    each one of text that is set askew.
    """
    run: Rectangle | None = None
    for index in range(first, last + 1):
        if run is not None and codes[index] in _LINE_ENDS:
            yield run
            run = None
        box = textpage.get_charbox(index) if codes[index] > 32 and codes[index] != 0xA0 else None
        if box is None or box[2] <= box[0] or box[3] <= box[1]:
            continue
        if run is not None and not _beside(run, box, _quarters(textpage, index)):
            yield run
            run = None
        run = _around(run, box) if run else box
    if run is not None:
        yield run


def _quarters(textpage: PdfTextPage, index: int) -> float:
    """The angle of a character, in quarters of a turn."""
    from pypdfium2.raw import FPDFText_GetCharAngle

    return float(FPDFText_GetCharAngle(textpage, index)) / (math.pi / 2)


def _beside(run: Rectangle, box: Rectangle, quarters: float) -> bool:
    """Does a character go on with a line of words?"""
    if abs(quarters - round(quarters)) > _ASKEW:
        return False
    along, across = (1, 0) if round(quarters) % 2 else (0, 1)
    high = max(run[across + 2] - run[across], box[across + 2] - box[across])
    gaps = [max(run[axis] - box[axis + 2], box[axis] - run[axis + 2], 0) for axis in (along, across)]
    return gaps[0] <= _FAR * high and gaps[1] <= _NEAR * high


def _around(one: Rectangle, other: Rectangle) -> Rectangle:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _on_page(page: PdfPage, run: Rectangle) -> Rectangle | None:
    """A rectangle in points as left, top, width and height in fractions of the page as it is seen; None if it is
    outside."""
    from pypdfium2 import PdfPosConv

    left, bottom, right, top = run
    margin = _MARGIN * min(right - left, top - bottom)
    place = PdfPosConv(page, (0, 0, _GRID, _GRID, 0))
    corners = [place.to_bitmap(left - margin, bottom - margin), place.to_bitmap(right + margin, top + margin)]
    (x0, x1), (y0, y1) = (
        sorted(min(max(place / _GRID, 0), 1) for place in axis) for axis in zip(*corners, strict=True)
    )
    return (x0, y0, x1 - x0, y1 - y0) if x1 > x0 and y1 > y0 else None

"""PDF: page by page with pdfium; lines are joined to paragraphs by their place and size on the page."""

from __future__ import annotations

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, groupby, islice, pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from qa.errors import ReadError
from qa.readers.base import TextBuilder, check_size, clean, one_line
from qa.types import BlockKind, Reading

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage, PdfTextPage

# FPDF_GetLastError, from pdfium's fpdfview.h.
_PASSWORD = 4
# pdfium's marks for a hyphen that it takes for one of line breaking: at the end of a line, the word goes on below.
_HYPHENS = (0x02, 0xFFFE)
_LINE_ENDS = (0x0A, *_HYPHENS)
_MOST_BOOKMARKS = 10_000
_LONGEST_HEADING = 130
# Shares of the page's own measures at which a reader's eye sees a new paragraph or a heading.
_GAP = 1.35  # between baselines, of the usual distance
_SHORT = 0.9  # of the block's width, where a sentence ends
_VERY_SHORT = 0.6  # of the block's width, anywhere
_LARGER = 1.15  # than the size of the body text
_INDENT = 0.8  # of the line's height
_LEADING = 1.5  # times the size, the most that the lines of a paragraph are apart in most texts
_SAME = 1.05  # times a size or a distance, and it is still taken for the same
_ENDS = tuple('.?!:;…。？！”"»)')
_BULLET = re.compile(r"[•‣◦▪●○■□–—·*-]\s|\(?\d{1,3}[.)]\s|\([a-z]\)\s")
_PAGE_NUMBER = re.compile(r"[-–—|\[( ]*(?:page |seite |p\. ?)?(?:#|[ivxlc]+)(?: ?(?:/|of|von) ?#)?[-–—|\]) ]*")
_POOR_TITLE = re.compile(
    r"untitled|document\d*$|title$|microsoft (word|powerpoint|excel) - "
    r"|.*\.(docx?|rtf|odt|pdf|tex|dvi|p?ps|indd|qxd|xlsx?|pptx?|txt|html?|md|fm|pages)$",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _Line:
    """A line of a page: its words, its place in points from the page's lower left, and its font size.

    `hyphen`: the word goes on in the next line. `level`: that of a heading, 0 for text; `joins`: it goes on with the
    heading in the line above. `aside`: a running head or foot.
    """

    text: str
    left: float
    right: float
    base: float
    size: float
    hyphen: bool
    aside: bool = False
    level: int = 0
    joins: bool = False


@dataclass(frozen=True, slots=True)
class _Bookmark:
    title: str
    level: int
    page: int


def read(path: Path) -> Reading:
    """The text of every page; running heads and feet are "aside", bookmarks make the heading path."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD:
            raise ReadError("it needs a password: save it without one and index it again") from error
        detail = str(error).removeprefix("Failed to load document (PDFium: ").rstrip(".)")
        raise ReadError(f"not a readable PDF ({detail}): open it in a viewer to check, or save it again") from error
    try:
        pages = _pages(document)
        bookmarks = list(_bookmarks(document))
        title = one_line(document.get_metadata_value("Title") or "")
    finally:
        document.close()
    return _reading(pages, bookmarks, title)


def _reading(pages: list[list[_Line]], bookmarks: list[_Bookmark], title: str) -> Reading:
    count = len(pages)
    if not any(pages):
        raise ReadError(
            f"no text in its {count} {'page' if count == 1 else 'pages'}: it looks like a scan; "
            "run OCR first (for example ocrmypdf) and index it again"
        )
    _mark_running(pages)
    if not bookmarks:
        _mark_headings(pages)
    builder = TextBuilder()
    for number, lines in enumerate(pages, 1):
        _add_page(builder, number, lines, [mark for mark in bookmarks if mark.page == number])
    empty = [number for number, lines in enumerate(pages, 1) if not lines]
    return builder.build(
        title=title if len(title) > 2 and not _POOR_TITLE.match(title) else None,
        pages=count,
        warnings=(f"{_ranges(empty)} no text",) if empty else (),
    )


def _pages(document: PdfDocument) -> list[list[_Line]]:
    """The lines of every page, each page closed before the next is opened."""
    pages, characters = [], 0
    for index in range(len(document)):
        page = document[index]
        try:
            pages.append(_lines(page))
        finally:
            page.close()
        characters += sum(len(line.text) for line in pages[-1])
        check_size(characters, 0)
    return pages


def _lines(page: PdfPage) -> list[_Line]:
    """The lines of one page in the order of its text. Where pdfium joins a hyphenated word, the line ends too."""
    from pypdfium2.raw import FPDFText_GetUnicode

    textpage = page.get_textpage()
    try:
        # Character by character: get_text_range cuts what is beyond U+FFFF, and places go by character.
        codes = [FPDFText_GetUnicode(textpage, index) for index in range(textpage.count_chars())]
        ends = [index for index, code in enumerate(codes) if code in _LINE_ENDS]
        spans = zip([0, *(end + 1 for end in ends)], [*ends, len(codes)], strict=True)
        return [line for start, end in spans if (line := _line(textpage, codes, start, end))]
    finally:
        textpage.close()


def _line(textpage: PdfTextPage, codes: list[int], start: int, end: int) -> _Line | None:
    """The line of the characters from `start` to `end`; None if it is blank."""
    text = "".join(map(chr, codes[start:end]))
    words = " ".join(clean(text).replace("\N{REPLACEMENT CHARACTER}", "").split())
    if not words:
        return None
    inked = [index for index in range(start, end) if codes[index] > 32 and codes[index] != 0xA0]
    first, last = inked[0], inked[-1]
    left, right = textpage.get_charbox(first)[0], textpage.get_charbox(last)[2]
    hyphen = end < len(codes) and codes[end] in _HYPHENS
    return _Line(words, left, right, _baseline(textpage, first), _size(textpage, inked[len(inked) // 2]), hyphen)


def _baseline(textpage: PdfTextPage, index: int) -> float:
    from pypdfium2.raw import FPDFText_GetCharOrigin

    x, y = ctypes.c_double(), ctypes.c_double()
    FPDFText_GetCharOrigin(textpage, index, x, y)
    return y.value


def _size(textpage: PdfTextPage, index: int) -> float:
    """The font size of a character on the page: often it is 1, and the matrix makes the size."""
    from pypdfium2.raw import FS_MATRIX, FPDFText_GetFontSize, FPDFText_GetMatrix

    matrix = FS_MATRIX(0, 0, 0, 1, 0, 0)
    FPDFText_GetMatrix(textpage, index, matrix)
    return float(FPDFText_GetFontSize(textpage, index) * math.hypot(matrix.c, matrix.d))


def _bookmarks(document: PdfDocument) -> Iterator[_Bookmark]:
    for entry in islice(document.get_toc(), _MOST_BOOKMARKS):
        destination = entry.get_dest()
        page = destination.get_index() if destination else None
        title = one_line(entry.get_title())
        if page is not None and title:
            yield _Bookmark(title, entry.level + 1, page + 1)


def _mark_running(pages: list[list[_Line]]) -> None:
    """Mark the outer lines that recur, numbers aside, over all pages, or over the left or the right ones.

    Not those that go on in the text beside them: a chapter may always open with the same words, or a page end with the
    same rows of a table. Nor "Chapter 2" and "Chapter 3", where they are larger than the text.
    """
    edges = [_edges(lines) for lines in pages if lines]
    large = _LARGER * _body_size(pages)
    for group in (edges, edges[::2], edges[1::2]):
        keys = [[line.text.casefold() if line.size >= large else _numberless(line) for line in page] for page in group]
        running = _recurring([set(page) for page in keys])
        for line, key in zip(chain.from_iterable(group), chain.from_iterable(keys), strict=True):
            line.aside = line.aside or key in running or (len(pages) > 1 and _is_page_number(line))
    for lines in pages:
        _unmark_text(lines)


def _recurring(pages: list[set[str]]) -> set[str]:
    """What stands on three pages and on half of them, or, with a number, on three in a row (a chapter's head)."""
    counts = Counter(key for page in pages for key in page)
    often = {key for key, count in counts.items() if count >= 3 and 2 * count >= len(pages)}
    rows = (one & two & three for one, two, three in zip(pages, pages[1:], pages[2:], strict=False))
    return often | {key for row in rows for key in row if "#" in key}


def _edges(lines: list[_Line]) -> list[_Line]:
    """The two highest and the two lowest lines of a page."""
    ordered = sorted(lines, key=lambda line: line.base)
    return ordered if len(ordered) < 4 else ordered[:2] + ordered[-2:]


def _rows(lines: list[_Line]) -> list[list[_Line]]:
    """Lines that stand side by side together, from the lowest to the highest."""
    rows: list[list[_Line]] = []
    for line in sorted(lines, key=lambda line: line.base):
        if rows and line.base - rows[-1][0].base < 0.5 * line.size:
            rows[-1].append(line)
        else:
            rows.append([line])
    return rows


def _unmark_text(lines: list[_Line]) -> None:
    """Make text again of the running lines of a page that go on in the rows beside them, towards its middle."""
    rows, pitch = _rows(lines), _pitch(lines)
    for inward in (rows, rows[::-1]):
        for row, inner, further in reversed(list(zip(inward, inward[1:], inward[2:], strict=False))[:2]):
            if not any(line.aside for line in inner) and _goes_on(row[0], inner[0], further[0], pitch):
                for line in row:
                    line.aside = line.aside and len(row) == 1 and _is_page_number(line)


def _goes_on(line: _Line, inner: _Line, further: _Line, pitch: float) -> bool:
    """Whether a line is set as the one beside it: in its size, and no farther off than lines or rows of a table are."""
    if not 1 / _SAME <= line.size / (inner.size or 1) <= _SAME:
        return False
    step, next_step = abs(line.base - inner.base), abs(inner.base - further.base)
    lefts = (line.left, inner.left, further.left)
    is_regular = next_step / _SAME <= step <= next_step * _SAME and step < 3 * line.size
    is_row = is_regular and max(lefts) - min(lefts) < line.size
    return is_row or step <= _GAP * min(pitch, _LEADING * line.size)


def _is_page_number(line: _Line) -> bool:
    return _PAGE_NUMBER.fullmatch(_numberless(line)) is not None


def _numberless(line: _Line) -> str:
    return re.sub(r"\d+", "#", line.text).casefold()


def _body_size(pages: list[list[_Line]]) -> float:
    """The size in which most of the text is set, in half points."""
    sizes: Counter[float] = Counter()
    for line in chain.from_iterable(pages):
        sizes[round(line.size * 2) / 2] += len(line.text)
    return sizes.most_common(1)[0][0]


def _mark_headings(pages: list[list[_Line]]) -> None:
    """Mark the lines set larger than the body text, each size one level; for documents without bookmarks."""
    body = _body_size(pages)
    sizes = {round(line.size * 2) / 2 for lines in pages for line in lines}
    larger = sorted((size for size in sizes if size >= body * _LARGER), reverse=True)
    for lines in pages:
        for size, run in groupby((line for line in lines if not line.aside), lambda line: round(line.size * 2) / 2):
            heading = list(run)
            text = " ".join(line.text for line in heading)
            if (
                size in larger
                and len(heading) <= 3
                and 1 < len(text) <= _LONGEST_HEADING
                and re.search(r"[^\W\d_]", text)
            ):
                for line in heading:
                    line.level, line.joins = min(larger.index(size) + 1, 6), line is not heading[0]


def _place(lines: list[_Line], bookmarks: list[_Bookmark]) -> dict[int, list[_Bookmark]]:
    """Make headings of the lines with a bookmark's title; the other bookmarks, by the line before which they start."""
    others: dict[int, list[_Bookmark]] = {}
    at = 0
    keys = [_title_key(line.text) if not line.aside else "" for line in lines]
    for mark in bookmarks:
        key = _title_key(mark.title)
        found = next((i for i in range(at, len(lines)) if keys[i] and key in (keys[i], "".join(keys[i : i + 2]))), None)
        if found is None:
            others.setdefault(at, []).append(mark)
            continue
        lines[found].level = mark.level
        at = found + 1
        if keys[found] != key:
            lines[at].level, lines[at].joins = mark.level, True
            at += 1
    return others


def _title_key(text: str) -> str:
    """A title without its number, case and punctuation, which bookmark and page often give differently."""
    return re.sub(r"\W+", "", re.sub(r"^(?:[\dIVX]+\.)*[\dIVX]*\.?\s+", "", text)).casefold()


def _add_page(builder: TextBuilder, number: int, lines: list[_Line], bookmarks: list[_Bookmark]) -> None:
    """Add the blocks of a page: headings, running lines, list items, paragraphs."""
    others = _place(lines, bookmarks)
    for start, group in _groups(lines, set(others)):
        for mark in others.get(start, ()):
            builder.enter(mark.title, mark.level)
        text, first = _joined(group), group[0]
        if first.level:
            builder.heading(text, first.level, page=number)
        elif first.aside:
            builder.add(text, page=number, zone="aside")
        else:
            kind: BlockKind = "list" if _BULLET.match(first.text) else "paragraph"
            builder.add(text, kind, page=number)
    if not lines or len(lines) in others:
        for mark in others.get(len(lines), ()):
            builder.enter(mark.title, mark.level)


def _groups(lines: list[_Line], stops: set[int]) -> Iterator[tuple[int, list[_Line]]]:
    """Lines that make one block, with the index of the first; `stops` are indexes where a block must start."""
    pitch = _pitch(lines)
    group: list[_Line] = []
    for index, line in enumerate(lines):
        if group and (index in stops or _starts_block(group, line, pitch)):
            yield index - len(group), group
            group = []
        group.append(line)
    if group:
        yield len(lines) - len(group), group


def _pitch(lines: list[_Line]) -> float:
    """The usual distance between the baselines of two lines of a page."""
    steps = [above.base - below.base for above, below in pairwise(lines)]
    usual = [step for step, line in zip(steps, lines, strict=False) if 0.5 * line.size < step < 3 * line.size]
    return median(usual) if usual else math.inf


def _starts_block(group: list[_Line], line: _Line, pitch: float) -> bool:
    """Whether a line starts a block of its own, or goes on with the lines above."""
    above = group[-1]
    if line.level or above.level or line.aside != above.aside:
        return not line.joins
    if above.hyphen:
        return False
    step = above.base - line.base
    if step > _GAP * max(pitch, 0.9 * line.size) or not 1 / _LARGER <= line.size / (above.size or 1) <= _LARGER:
        return True
    ended = above.text.endswith(_ENDS)
    if _BULLET.match(line.text) and (ended or not line.text[0].isalnum() or _BULLET.match(group[0].text)):
        return True
    left, right = min(part.left for part in group), max(line.right, *(part.right for part in group))
    filled = (above.right - left) / max(right - left, 1)
    indented = line.left - above.left > _INDENT * line.size and step > 0.5 * line.size
    return filled < _VERY_SHORT or (ended and (filled < _SHORT or indented or step < -pitch))


def _joined(lines: list[_Line]) -> str:
    """The lines as running text; a word parted by a hyphen is whole again."""
    return "".join(line.text if line.hyphen else line.text + " " for line in lines).strip()


def _ranges(numbers: list[int]) -> str:
    """Page numbers as people write them: "pages 3-5, 9 have"."""
    parts = []
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        pages = [number for _, number in run]
        parts.append(f"{pages[0]}-{pages[-1]}" if len(pages) > 1 else f"{pages[0]}")
    return f"page {parts[0]} has" if len(numbers) == 1 else f"pages {', '.join(parts)} have"

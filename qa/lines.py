"""The lines of a block: where one was wrapped and goes on in the next, and where it was ended on purpose.

A wrapped line is full: the first word of the next one would not have fitted into it. Lists, logs, addresses and poems
leave room at most of their lines, or their lines begin alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qa.sentences import Span

# In columns, of which a Chinese, Japanese or Korean character takes two.
_NARROWEST = 45  # hardly anybody wraps prose at fewer
_WIDEST = 120  # nor at more
_ROOM = 4  # that is left beyond the next word, and is no accident
_MUCH_ROOM = 0.2  # of the width, which a ragged margin seldom leaves

_WIDE = "\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60"
_IS_WIDE = re.compile(f"[{_WIDE}]")
_WORD = re.compile(f"[{_WIDE}]|[^\\s{_WIDE}]{{1,99}}")
# An address of the web, or a script without blanks, is not wrapped: such a line does not tell how wide the others are.
_LONG_WORD = re.compile(f"[^\\s{_WIDE}]{{31,}}")
_QUOTED = re.compile(r"(?:>[ \t]?)*")
_DIGITS = re.compile(r"\d+")
_COLUMNS = re.compile(r"\t| {3}|(?:\. ?){4}| \| ")
_ENDED = re.compile(r"""[.!?…؟۔।。！？]["'”’»›)\]」』）】*_]*\Z""")
_SIGNS = {
    "item": re.compile(r"(?:[-*+•‣◦▪–—]|\(?\d{1,3}[.)]|[a-z]\))[ \t]"),
    "date": re.compile(r"\W{0,2}\d{1,4}([-./])\d{1,2}\1\d{1,4}\b"),
    "time": re.compile(r"\W{0,2}\d{1,2}[:h]\d\d\b"),
    "key": re.compile(r"\w[^\s:：]{0,19}(?: [^\s:：]{1,20}){0,2}(?::\s|：)"),
}


@dataclass(frozen=True, slots=True)
class _Line:
    """A line: its span, the column where it ends and whether that tells the width, and its first word.

    `sign`: how lines of a list or log begin, "" if this one is like prose. `small`, `capital`: of its first letter;
    neither if the script has none or all of the line is in capitals. `ended`: as a sentence is.
    """

    start: int
    end: int
    right: int
    wraps: bool
    word: str
    quotes: int
    sign: str
    small: bool
    capital: bool
    letters: bool
    ended: bool


def runs(text: str, lines: Sequence[Span], *, is_list: bool = False) -> Iterator[Span]:
    """The lines of a block, joined where one goes on in the next: a wrapped paragraph is one run, a record another.

    An item of a list is one run, but where the list's first line is not marked as an item, each line is one.
    """
    seen = [_line(text, *line) for line in lines] if len(lines) > 1 else []
    if not seen or (is_list and seen[0].sign != "item"):
        yield from lines
        return
    pairs = list(pairwise(seen))
    width = _width(seen)
    items = sum(line.sign == "item" for line in seen)
    apart = [
        _is_parted(text, above, line)
        or (line.sign == "item" and (items > 1 or _room(above, line, width) >= _MUCH_ROOM * width))
        or (line.sign == above.sign != "" and not is_list)
        for above, line in pairs
    ]
    open_ends = [pair for pair, parted in zip(pairs, apart, strict=True) if not (parted or pair[0].ended)]
    ended = any(line.ended for line in seen)
    records = not is_list and (_are_alike(text, seen) or _are_records(open_ends, width, ended))
    start = seen[0].start
    for (above, line), parted in zip(pairs, apart, strict=True):
        if parted or records or (_leaves_much(above, line, width) and not is_list):
            yield start, above.end
            start = line.start
    yield start, seen[-1].end


def _line(text: str, start: int, end: int) -> _Line:
    quoted = _QUOTED.match(text, start, end)
    inner = quoted.end() if quoted else start
    word = _WORD.search(text, inner, end)
    sign = next((name for name, pattern in _SIGNS.items() if pattern.match(text, inner, end)), "")
    first = next(filter(str.isalnum, text[inner : min(end, inner + 9)]), "")
    right = _columns(text[text.rfind("\n", 0, start) + 1 : end])
    spare = sum(map(len, _LONG_WORD.findall(text, start, end)))
    return _Line(
        start,
        end,
        right,
        not spare or right - spare > _WIDEST,
        word.group() if word else "",
        text.count(">", start, inner),
        "" if sign == "key" and first.islower() else sign,
        first.islower(),
        first.isupper() and not text[inner:end].isupper(),
        any(map(str.isalpha, text[inner:end])),
        _ENDED.search(text, max(start, end - 8), end) is not None,
    )


def _columns(text: str) -> int:
    return len(text) if text.isascii() else len(text) + len(_IS_WIDE.findall(text))


def _width(lines: Sequence[_Line]) -> int:
    """The columns to which the block was wrapped: those of its longest line, or of the next one as one may have grown.

    A block of short lines was not wrapped, so each of its lines leaves room.
    """
    widths = sorted(line.right for line in lines if line.wraps)
    longest = widths[-2] if len(widths) > 6 else widths[-1] if widths else 0
    return longest if longest > _NARROWEST else _WIDEST


def _room(above: _Line, line: _Line, width: int) -> int:
    """The columns that would have been left above, had the first word of `line` stood there too."""
    return width - above.right - 1 - _columns(line.word)


def _leaves_much(above: _Line, line: _Line, width: int) -> bool:
    """Whether a line stops where a heading or the last line of a paragraph may, but no ragged one."""
    return _room(above, line, width) >= _MUCH_ROOM * width and (above.ended or not line.small)


def _is_parted(text: str, above: _Line, line: _Line) -> bool:
    """Whether two lines have nothing to do with each other, however full the first one is."""
    return (
        above.quotes != line.quotes
        or not above.letters
        or not (line.letters or any(map(str.isdigit, line.word)))
        or (above.wraps and above.right > _WIDEST)
        or text.count("\n", above.end, line.start) > 1
    )


def _are_alike(text: str, lines: Sequence[_Line]) -> bool:
    """Whether half of the lines are rows of a table made with blanks, tabs or dots, or most begin with one word."""
    rows = sum(_COLUMNS.search(text, line.start, line.end) is not None for line in lines)
    words = Counter(_DIGITS.sub("0", line.word).casefold() for line in lines if any(map(str.isalnum, line.word)))
    same = max(words.values(), default=0)
    return (rows > 1 and 2 * rows >= len(lines)) or (same > 2 and 4 * same >= 3 * len(lines))


def _are_records(open_ends: Sequence[tuple[_Line, _Line]], width: int, ended: bool) -> bool:
    """Whether lines that end without a full stop were ended on purpose, by the room that they leave.

    Text that goes on with small letters is prose, unless its lines leave much room and none ends as a sentence.
    """
    rooms = [_room(above, line, width) for above, line in open_ends]
    if len(rooms) < 2:
        return False  # one line alone has to leave much room
    much = sum(room >= _MUCH_ROOM * width for room in rooms)
    if any(line.small for _, line in open_ends):
        return not ended and 4 * much >= 3 * len(rooms)
    some = sum(room >= _ROOM for room in rooms)
    verses = len(rooms) > 4 and some > 0 and all(line.capital for _, line in open_ends)
    return verses or 2 * some > len(rooms) - (not ended)

"""Blocks into sentences, by spans: nothing but white space is left between two of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from qa.lines import runs
from qa.types import BlockKind

Span = tuple[int, int]

LONGEST = 1_000
"""Characters of the longest sentence; what has no end within it is cut at white space. Four times the tokens that
the default encoder reads, so that nothing that fits is cut."""
_CODE_LINES = 300
"""Characters of code lines that go together as one sentence."""

_CLOSERS = "\"'”’»›)\\]」』）】*_"
_OPENERS = "\"'“‘«‹„(\\[「『（【*_"
# Every repetition is bounded, so that a megabyte of full stops takes linear time.
_STOP = re.compile(
    rf"([.!?…؟۔।]{{1,9}})[{_CLOSERS}]{{0,9}}\s{{1,99}}[{_OPENERS}]{{0,9}}(\S)|([。！？｡]{{1,9}}[{_CLOSERS}]{{0,9}})\s{{0,99}}\S"
)
_LAST_WORD = re.compile(r"[^\s(\[\"'“„«]{1,12}$")
# Words whose full stop does not end a sentence, lower case, of the languages that Refdesk stems most often.
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof sr jr st vs etc e.g i.e cf al fig figs eq eqs no nos vol vols pp ed eds ch sec approx dept est "
    "tel inc ltd co corp gen col lt sgt capt maj rev hon gov sen rep pres ave blvd jan feb mar apr jun jul aug sep "
    "sept oct nov dec u.s u.k u.n ph.d m.d b.a "
    "z.b bzw usw ca d.h u.a nr bd hrsg vgl evtl ggf inkl s.o s.u str hr fr dipl ing abs art "
    "sra srta ud uds dra núm pág págs ej p.ej aprox "
    "m mme mlle mm p.ex env av "
    "sig sig.ra dott ecc "
    "г гг в вв т.е т.д т.п т.к т.н др пр см рис стр им ул тыс млн млрд руб кв".split()
)


def split(text: str, start: int, end: int, kind: BlockKind = "paragraph") -> list[Span]:
    """The sentences of the block `text[start:end]`, as spans in order; a table's rows, code's groups of lines."""
    if kind == "table":
        lines = list(_lines(text, start, end))
    elif kind == "code":
        lines = _grouped(list(_lines(text, start, end)))
    else:
        lines = list(_lines(text, start, end)) if kind != "heading" else [(start, end)]
        parts = runs(text, lines, is_list=kind == "list")
        lines = _merged(text, [span for part in parts for span in _prose(text, *part)])
    return [piece for line in lines for piece in cut(text, *line, longest=LONGEST)]


def cut(text: str, start: int, end: int, *, longest: int) -> list[Span]:
    """A span in pieces of at most `longest` characters, cut after white space where there is some."""
    pieces: list[Span] = []
    while end - start > longest:
        place = max(
            text.rfind(" ", start + longest // 2, start + longest),
            text.rfind("\n", start + longest // 2, start + longest),
        )
        place = place + 1 if place >= 0 else start + longest
        pieces += _trimmed(text, start, place)
        start = place
    return pieces + _trimmed(text, start, end)


def _lines(text: str, start: int, end: int) -> Iterator[Span]:
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        yield from _trimmed(text, start, stop)
        start = stop + 1


def _prose(text: str, start: int, end: int) -> list[Span]:
    spans: list[Span] = []
    place = start
    for match in _STOP.finditer(text, start, end):
        stop = match.end(3) if match.group(3) else _ends_sentence(text, place, match)
        if stop is not None and stop > place:
            spans += _trimmed(text, place, stop)
            place = stop
    return spans + _trimmed(text, place, end)


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> int | None:
    """Where the sentence that started at `start` ends, None if this full stop is an abbreviation's or a number's."""
    following = match.group(2)
    stop = match.end(1)
    if following.islower() or _is_leader(text, match):
        return None
    if match.group(1) == ".":
        word = _LAST_WORD.search(text, max(start, stop - 14), stop - 1)
        before = word.group().casefold() if word else ""
        if before in _ABBREVIATIONS or re.fullmatch(r"(?:\w\.-?)*[^\W\d_]", before) or re.fullmatch(r"\d{1,2}", before):
            return None
    while text[stop] in "\"'”’»›)]」』）】*_":
        stop += 1
    return stop


def _is_leader(text: str, match: re.Match[str]) -> bool:
    """Whether these dots lead to something else on the line ("Fire brigade ..... 112"), and end no sentence."""
    dots, following, start = match.group(1), match.group(2), match.start()
    alone = dots == "." and start > 1 and text[start - 1].isspace()
    return "...." in dots or (alone and (following == "." or following.isdigit() or text[start - 2] == "."))


def _merged(text: str, spans: list[Span]) -> list[Span]:
    """Pieces with fewer than two letters or digits ("1.", "—") go to the sentence before them, or the one after."""
    merged: list[Span] = []
    for start, end in spans:
        if merged and (_is_tiny(text, start, end) or _is_tiny(text, *merged[-1])):
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def _is_tiny(text: str, start: int, end: int) -> bool:
    return end - start < 60 and sum(character.isalnum() for character in text[start:end]) < 2


def _grouped(lines: list[Span]) -> list[Span]:
    groups: list[Span] = []
    for start, end in lines:
        if groups and end - groups[-1][0] <= _CODE_LINES:
            groups[-1] = (groups[-1][0], end)
        else:
            groups.append((start, end))
    return groups


def _trimmed(text: str, start: int, end: int) -> list[Span]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return [(start, end)] if end > start else []

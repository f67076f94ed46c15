"""Answers, lists and reports as text for a terminal: wrapped, coloured only where that is a terminal, made harmless."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from qa.as_text import places
from qa.types import Answer, Citation, DocumentInfo, Hit, SyncReport, Tuned

if TYPE_CHECKING:
    from qa.doctor import Finding
    from qa.library import Status

SHOWN_OUTCOMES = 20
"""Files named one by one in a report; more are counted."""
SHOWN_AROUND = 200
"""Characters of a passage shown on either side of a quote."""
# Characters of a document that could move the cursor, change colours or turn the direction of the text around them.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_STYLE = re.compile(r"\x1b\[\d+m")
_BOLD, _DIM, _MARK, _OFF = "\x1b[1m", "\x1b[2m", "\x1b[33m", "\x1b[0m"


def safe(text: str) -> str:
    """Text of a document or a file's name, without characters that a terminal would obey."""
    return _HARMFUL.sub("\N{REPLACEMENT CHARACTER}", text)


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 document", "1,200 documents"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def show_answer(answer: Answer, *, misses: bool) -> None:
    """Print an answer: the sentences with numbers, then the passages that the numbers name."""
    if answer.searched != answer.question:
        _print(_styled(f"Searched: {safe(answer.searched)}", _DIM))
        print()
    if not answer.found:
        _print(
            "No passage found for this question." + ("" if misses or not answer.misses else " The nearest: --misses")
        )
        shown: Sequence[Hit] = answer.misses if misses else ()
        cited: list[Citation] = []
    else:
        cited = list(dict.fromkeys(citation for sentence in answer.sentences for citation in sentence.citations))
        for sentence in answer.sentences:
            marks = " ".join(f"[{cited.index(citation) + 1}]" for citation in sentence.citations)
            _print(f"{_flat(sentence.text)} {_styled(marks, _MARK)}")
        shown = answer.matches()
    for hit in shown:
        print()
        _show_hit(hit, {n: citation for n, citation in enumerate(cited, 1) if hit.passage.holds(citation)})


def _show_hit(hit: Hit, cited: Mapping[int, Citation]) -> None:
    """Print a passage under the numbers that name it, with the words that they quote."""
    citation = next(iter(cited.values()), hit.citation)
    more = [source for source in citation.sources if source != citation.source]
    also = (
        f" (also in {', '.join(map(safe, more[:3]))}{f' and {len(more) - 3} more' if len(more) > 3 else ''})"
        if more
        else ""
    )
    marks = " ".join(f"[{number}]" for number in cited) or "-"
    _print(
        f"{_styled(marks, _MARK)} {_styled(place_of(citation, *cited.values()), _BOLD)} · {hit.strength}{also}", "    "
    )
    text, place = "", hit.passage.start
    for quoted in sorted(cited.values() or [hit.citation], key=lambda quoted: quoted.start):
        before = _flat(hit.passage.text[place - hit.passage.start : quoted.start - hit.passage.start])
        text += f" {_shortened(before, keep_end=True)} {_styled(_flat(quoted.quote), _BOLD)}"
        place = quoted.end
    rest = _flat(hit.passage.text[place - hit.passage.start :])
    _print(f"{text} {_shortened(rest, keep_end=False)}".strip(), "    ", "    ")


def _shortened(text: str, *, keep_end: bool) -> str:
    """Text around a quote: 200 characters of it."""
    if len(text) <= SHOWN_AROUND:
        return text
    return f"… {text[-SHOWN_AROUND:].partition(' ')[2]}" if keep_end else f"{text[:SHOWN_AROUND].rpartition(' ')[0]} …"


def place_of(citation: Citation, *others: Citation) -> str:
    """Where a citation, and others of its passage, stand, in words: source, page, heading, lines or rows."""
    parts = [citation.source]
    if citation.page is not None:
        parts.append(f"page {citation.page}")
    if citation.heading:
        parts.append(textwrap.shorten(" › ".join(citation.heading), 70, placeholder=" …"))
    parts.append(places("line", citation.line, *(one.line for one in others)))
    parts.append(places("row", citation.row, *(one.row for one in others)))
    return safe(", ".join(filter(None, parts)))


def show_report(report: SyncReport, *, new_failures: Collection[str]) -> None:
    """Print what a sync did: the numbers on stdout, files with something to say on stderr.

    Of the files that failed only those are named whose source is in `new_failures`, one for each file; the others
    failed before and were not tried again.
    """
    told = [
        outcome
        for outcome in report.outcomes
        if outcome.warnings or (outcome.state == "failed" and outcome.source in new_failures)
    ]
    for outcome in told[:SHOWN_OUTCOMES]:
        what = outcome.reason or "; ".join(outcome.warnings)
        _note(f"{outcome.state if outcome.state == 'failed' else 'note'}: {safe(outcome.source)}: {safe(what)}")
    if len(told) > SHOWN_OUTCOMES:
        _note(f"… and {plural(len(told) - SHOWN_OUTCOMES, 'more file')} with notes: `refdesk list` shows them all")
    for note in report.notes[:SHOWN_OUTCOMES]:
        _note(f"note: {safe(note)}")
    if report.skipped:
        kinds = ", ".join(f"{safe(kind)} {count}" for kind, count in sorted(report.skipped.items()))
        _note(f"note: left out {plural(sum(report.skipped.values()), 'file')} of other kinds ({kinds})")
    if not report.counts:
        _note("note: found no file to index (txt, md, html, pdf, docx, xlsx)")
    else:
        states = ("added", "changed", "renamed", "removed", "unchanged")
        counts = {**{state: report.counts.get(state, 0) for state in states}, "failed": len(new_failures)}
        known = report.counts.get("failed", 0) - len(new_failures)
        counts["failed before (`refdesk list` says why)"] = known
        print(", ".join(f"{count:,} {state}" for state, count in counts.items() if count))


def show_documents(documents: Sequence[DocumentInfo]) -> None:
    """Print a line for each file: source, passages, pages, what went wrong."""
    if not documents:
        _note("the library is empty: add documents with `refdesk index FOLDER`")
    width = min(48, max((len(document.source) for document in documents), default=0))
    for document in documents:
        pages = f", {plural(document.pages, 'page')}" if document.pages else ""
        if document.state == "failed":
            what = f"failed: {document.reason}"
        else:
            notes = "; ".join(filter(None, (document.reason, *document.warnings)))
            what = f"{plural(document.passages, 'passage')}{pages}{f' - {notes}' if notes else ''}"
        _print(safe(what), "    ", f"{safe(document.source):{width}} ")


def show_status(status: Status) -> None:
    """Print the library's numbers, a line each."""
    rows: Iterable[tuple[str, str]] = (
        ("library", status.path),
        ("documents", f"{status.documents:,} from {plural(status.files, 'file')}, {status.failed:,} failed"),
        (
            "passages",
            f"{status.passages:,} ({plural(status.sentences, 'sentence')}, {plural(status.vectors, 'vector')})",
        ),
        ("languages", ", ".join(status.languages) or "-"),
        ("folders", ", ".join(status.roots) or "-"),
        ("encoder", f"{status.encoder} ({status.fingerprint[:8]}), last run on {status.encoded_by}"),
        ("indexes", status.indexes),
        *((f"tuned {language}", _tuned(one)) for language, one in status.tuned.items()),
        ("on disk", f"{status.bytes / 1e6:,.1f} MB, schema {status.schema}"),
    )
    for name, value in rows:
        print(f"{name:10} {safe(value)}")


def _tuned(one: Tuned) -> str:
    values = (("dense weight", one.dense_weight), ("nothing found below", one.nothing_found))
    return ", ".join(f"{name} {value:.3f}" for name, value in values if value is not None)


def show_findings(findings: Sequence[Finding]) -> None:
    """Print what a check found, and what mends it."""
    if not findings:
        print("sound: rows, spans, sentences, vectors and indexes fit together")
    for finding in findings:
        print(f"{finding.state}: {safe(finding.problem)}; {finding.remedy}")
    if findings and all(finding.state == "pending" for finding in findings):
        print("sound otherwise")


def _flat(text: str) -> str:
    return safe(" ".join(text.split()))


def _styled(text: str, style: str) -> str:
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else f"{style}{text}{_OFF}"


def _print(text: str, hanging: str = "", first: str = "") -> None:
    """Print text wrapped to the terminal, or to 80 columns."""
    width = max(40, min(100, shutil.get_terminal_size((80, 24)).columns))
    print("\n".join(_wrapped(text, width, hanging, first)))


def _wrapped(text: str, width: int, hanging: str, first: str) -> Iterator[str]:
    """Lines of at most `width` columns; textwrap counts characters, and Chinese ones take two columns."""
    line, used = first, len(first)
    for word in text.split():
        while True:
            room = width - used - (not line.isspace() and line != "")
            if _columns(word) <= room:
                line = f"{line} {word}" if line.strip() else f"{line}{word}"
                used = _columns(line)
                break
            if line.strip() and (_columns(word) <= width - len(hanging) or room < width // 2):
                yield line
            else:  # longer than a line, or a script without spaces: cut it where the line is full
                part = _fitting(word, room)
                yield f"{line} {part}" if line.strip() else f"{line}{part}"
                word = word[len(part) :]
            line, used = hanging, len(hanging)
    if line.strip():
        yield line


def _columns(text: str) -> int:
    """Columns that a text takes on a terminal."""
    plain = _STYLE.sub("", text)
    if plain.isascii():
        return len(plain)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in plain)
    return len(plain) + wide - sum(unicodedata.combining(character) > 0 for character in plain)


def _fitting(word: str, room: int) -> str:
    """The beginning of a word that takes `room` columns, one character at least; a style's code is never cut."""
    pieces = re.findall(r"\x1b\[\d+m|.", word)
    taken = 1
    while taken < len(pieces) and _columns("".join(pieces[: taken + 1])) <= room:
        taken += 1
    return "".join(pieces[:taken])


def _note(text: str) -> None:
    print(text, file=sys.stderr)

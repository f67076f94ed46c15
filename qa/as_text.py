"""An answer with its sources as text to paste elsewhere: plain, and as Markdown that shows the words as they are."""

from __future__ import annotations

import re
from collections.abc import Callable

from qa.escape import plain as one_line
from qa.types import Answer, Citation

# What means something anywhere, at the beginning of a text (heading, list), and in what readers make links of.
_MARKUP = re.compile(r"([\\`*_\[\]<>~$&@]|^[#+=-]|(?<=^\d)[.)]|(?<=^\d\d)[.)]|:(?=//)|(?<=\bwww)\.)")


def plain(answer: Answer) -> str:
    """The quoted sentences with their numbers, then a numbered list of sources."""
    lines = [answer.question, "", *_said(answer, str), "", "Sources"]
    lines += [f"[{number}] {where(citation)}" for number, citation in numbered(answer)]
    return "\n".join(lines)


def markdown(answer: Answer) -> str:
    """The same as Markdown; nothing in a document's words becomes markup."""
    lines = [
        f"**{escaped(one_line(answer.question))}**",
        "",
        *_said(answer, lambda text: escaped(one_line(text))),
        "",
        "Sources:",
        "",
    ]
    lines += [
        f"{number}. {escaped(where(citation))}: “{escaped(one_line(citation.quote))}”"
        for number, citation in numbered(answer)
    ]
    return "\n".join(lines)


def numbered(answer: Answer) -> list[tuple[int, Citation]]:
    """The citations of an answer with their numbers, by first use."""
    used: dict[str, Citation] = {}
    for sentence in answer.sentences:
        for citation in sentence.citations:
            used.setdefault(citation.id, citation)
    return list(enumerate(used.values(), 1))


def where(citation: Citation) -> str:
    """Where a citation stands, in one line: title, file, page, headings, line or row."""
    headings = " › ".join(heading for heading in citation.heading if heading != citation.title)
    parts = [
        citation.title,
        citation.source if citation.source != citation.title else "",
        f"page {citation.page}" if citation.page is not None else "",
        headings,
        places("line", citation.line) if citation.page is None else "",
        places("row", citation.row),
    ]
    return one_line(", ".join(part for part in parts if part))


def places(noun: str, *numbers: int | None) -> str:
    """Lines or rows in words: "row 7", "rows 6, 7 and 8"; empty where there are none."""
    *most, last = sorted({number for number in numbers if number is not None}) or [0]
    if not most:
        return f"{noun} {last}" if last else ""
    return f"{noun}s {', '.join(map(str, most))} and {last}"


def escaped(text: str) -> str:
    """Text in which Markdown finds no markup."""
    return _MARKUP.sub(r"\\\1", text)


def _said(answer: Answer, quoted: Callable[[str], str]) -> list[str]:
    numbers = {citation.id: number for number, citation in numbered(answer)}
    return [
        f"{quoted(sentence.text)} " + "".join(f"[{numbers[citation.id]}]" for citation in sentence.citations)
        for sentence in answer.sentences
    ]

"""Answers, source cards and the library's contents as safe HTML: pure functions of the library's values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from qa import as_text
from qa.escape import escape, name, plain
from qa.types import Answer, AnswerSentence, Citation, DocumentInfo, Hit, Passage, Strength

LONGEST_SENTENCE = 1_500
"""Characters of a sentence in the answer; a longer one ends with a note, the document shows all of it."""
LONGEST_PASSAGE = 1_600
"""Characters of a passage on a card, around its quote."""
SHORT_PASSAGE = 320
"""The same for passages that were found and are not quoted."""
NAMES_SHOWN = 200
"""Documents named in the list of what the library holds."""
SOURCES_NAMED = 3
"""Other files named on a card, where several hold the same words."""
_HASHES = re.compile(r"#{1,6} +")
_ITEM = re.compile(r"[ \t]*(?:[-*+•–]|\d{1,3}[.)])[ \t]")
_LINE_FULL = 45  # a shorter line was ended on purpose (verse, address, list), a longer one by the page's width
_LINE_LONG = 120  # one longer still was never wrapped, so that its end is a paragraph's

_WORDS: dict[Strength, str] = {"strong": "Strong match", "partial": "Partial match", "weak": "Weak match"}


# The library


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 document", "2,067 documents"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def brand(documents: int) -> str:
    """The page's head line: its name, and how much it can answer from."""
    held = counted(documents, "document") if documents else "No documents yet"
    return f'<h1 class="rd-brand">Ref<span>desk</span></h1><p class="rd-held">{held}</p>'


def welcome(documents: Sequence[DocumentInfo], suggested: Sequence[str] = (), *, total: int | None = None) -> str:
    """What stands where the conversation will be, with questions to start with.

    `total` counts the documents where only the first are given.
    """
    held = list(_by_document(documents))
    total = len(held) if total is None else total
    if not held:
        return (
            '<div class="rd-welcome"><h2>The library is empty</h2>'
            "<p>Add files here, or index a folder where Refdesk runs:</p>"
            '<p class="rd-first"><button type="button" class="rd-button" data-act="documents">Add documents</button>'
            "<code>refdesk index FOLDER</code></p></div>"
        )
    first = "".join(f"<li>{name(files[0].source)}</li>" for files in held[:3])
    more = f"<li>and {total - 3:,} more</li>" if total > 3 else ""
    return (
        '<div class="rd-welcome"><h2>Ask your documents</h2>'
        "<p>Answers are their own sentences, word for word. Every number opens the place where the words stand.</p>"
        f'<ul class="rd-some" aria-label="Documents">{first}{more}</ul>{_suggested(suggested)}</div>'
    )


def _suggested(questions: Sequence[str]) -> str:
    if not questions:
        return ""
    cards = "".join(
        f'<li><button type="button" class="rd-suggestion" data-act="suggestion" dir="auto">{escape(one)}</button></li>'
        for one in questions
    )
    return f'<ul class="rd-suggestions" aria-label="Questions to start with">{cards}</ul>'


def shelf(documents: Sequence[DocumentInfo], *, total: int | None = None) -> str:
    """The panel before the first answer: what the library holds, and what could not be read; `total` as in
    `welcome`."""
    if not documents:
        return _panel("Documents", '<p class="rd-quiet">None yet.</p>')
    held = list(_by_document(documents))
    total = len(held) if total is None else total
    failed = [document for document in documents if document.state == "failed"]
    parts = [f'<ul class="rd-shelf">{"".join(map(_held, held[:NAMES_SHOWN]))}</ul>']
    if total > NAMES_SHOWN:
        parts.append(f'<p class="rd-quiet rd-rest">and {total - NAMES_SHOWN:,} more</p>')
    if failed:
        rows = "".join(map(_failed, failed[:NAMES_SHOWN]))
        parts.append(f'<h3 class="rd-also">Could not be read</h3><ul class="rd-shelf">{rows}</ul>')
    return _panel("In this library", "".join(parts))


def _by_document(documents: Sequence[DocumentInfo]) -> Iterable[list[DocumentInfo]]:
    """The indexed files, those with the same text together."""
    held: dict[str, list[DocumentInfo]] = {}
    for document in documents:
        if document.state == "indexed":
            held.setdefault(document.document_id or document.source, []).append(document)
    return held.values()


def _held(files: Sequence[DocumentInfo]) -> str:
    title = plain(files[0].title or "") or files[0].source
    names = [file.source for file in files if file.source != title]
    more = f" (+{len(names) - SOURCES_NAMED})" if len(names) > SOURCES_NAMED else ""
    under = ", ".join(map(name, names[:SOURCES_NAMED])) + more
    about = " · ".join(part for part in (under, counted(files[0].pages, "page") if files[0].pages else "") if part)
    return f"<li><b>{name(title)}</b>{f'<small>{about}</small>' if about else ''}</li>"


def _failed(document: DocumentInfo) -> str:
    return f"<li><b>{name(document.source)}</b><small>{escape(plain(document.reason or ''))}</small></li>"


def _panel(heading: str, body: str, *, aside: str = "") -> str:
    return (
        f'<header class="rd-head"><h2>{heading}</h2>{aside}'
        '<button type="button" class="rd-close" data-act="close" aria-label="Close"></button></header>'
        f'<div class="rd-body">{body}</div>'
    )


# Around the question box


def menu() -> str:
    """The button for the list of conversations."""
    name_ = 'aria-label="Conversations" aria-expanded="false"'
    return f'<button type="button" class="rd-burger" data-act="menu" {name_}></button>'


def foot(libraries: Sequence[tuple[str, str, str]], current: str, logout: str) -> str:
    """Below the list of conversations: the other libraries as (name, title, URL), and the way out."""
    links = "".join(
        f'<li><a href="{escape(url)}"{_CURRENT if one == current else ""}>{name(title)}</a></li>'
        for one, title, url in libraries
    )
    shelves = f'<h2 class="rd-foot-head">Libraries</h2><ul>{links}</ul>' if links else ""
    leave = f'<form method="post" action="{escape(logout)}"><button class="rd-link">Log out</button></form>'
    return f'<nav class="rd-foot" aria-label="Libraries">{shelves}{leave if logout else ""}</nav>'


_CURRENT = ' aria-current="page"'


def scope_line() -> str:
    """What the next question is asked with, above its box, and the choices."""
    return (
        '<div class="rd-scope-line"><span class="rd-chip" hidden>Only <bdi></bdi>'
        '<button type="button" data-act="anywhere" aria-label="Search all documents again"></button></span>'
        '<button type="button" class="rd-link" data-act="settings" aria-expanded="false" aria-controls="rd-settings">'
        '</button></div><form id="rd-settings" hidden>'
        f"{_choice('k', 'Passages', [(str(k), f'{k} passages') for k in (3, 5, 10, 20)])}"
        f"{_choice('by', 'Found by', _BY)}"
        '<button type="submit" class="rd-button">Done</button></form>'
    )


_BY = [("both", "By meaning and words"), ("meaning", "By meaning alone"), ("words", "By words alone")]


def _choice(key: str, legend: str, values: Sequence[tuple[str, str]]) -> str:
    options = "".join(
        f'<label><input type="radio" name="{key}" value="{value}">{label}</label>' for value, label in values
    )
    return f"<fieldset><legend>{legend}</legend>{options}</fieldset>"


# The conversation


def transcript(exchanges: Sequence[str], notice: str = "", conversation: str = "") -> str:
    """The conversation so far, with a line below it where something has to be said; `conversation` is its id."""
    said = f'<p class="rd-notice" role="status">{escape(sentence_case(notice))}</p>' if notice else ""
    return (
        f'<div class="rd-log" role="log" aria-label="Conversation" data-conversation="{escape(conversation)}">'
        f"{''.join(exchanges)}{said}</div>"
    )


def exchange(question: str, body: str, number: int = 0, kept: str = "", *, busy: bool = False) -> str:
    """A question and what was answered to it: the `number`th of the conversation, `kept` its id in the history."""
    spoken = '<span class="rd-hidden" dir="ltr">You asked: </span>'
    edit = "" if busy else '<button type="button" class="rd-edit" data-act="edit" aria-label="Edit question"></button>'
    return (
        f'<article class="rd-exchange" aria-busy="{"true" if busy else "false"}" data-number="{number}" '
        f'data-exchange="{escape(kept)}"><div class="rd-asked"><h2 class="rd-question" dir="auto">{spoken}'
        f'<span class="rd-question-words">{escape(question)}</span></h2>{edit}</div>'
        f'<div class="rd-answer">{body}</div></article>'
    )


def searching(documents: int) -> str:
    """What stands in an answer's place until it is there."""
    return (
        f'<p class="rd-searching"><span>Searching {counted(documents, "document")}</span>'
        '<button type="button" class="rd-button rd-stop" data-act="stop">Stop</button></p>'
    )


def actions(given: Answer, kept: str = "", rating: int = 0) -> str:
    """What can be done with an answer: copy it with its sources, ask again otherwise, rate it where it is `kept`."""
    copies = "".join(
        f'<button type="button" class="rd-action" data-copy="{form}">{label}</button>'
        f'<template data-form="{form}">{escape(text)}</template>'
        for form, label, text in (
            ("text", "Copy with sources", as_text.plain(given)),
            ("markdown", "As Markdown", as_text.markdown(given)),
        )
        if given.found
    )
    rate = ""
    if kept:
        buttons = "".join(
            f'<button type="button" class="rd-thumb" data-rate="{value}" '
            f'aria-pressed="{"true" if rating == value else "false"}" aria-label="{label}"></button>'
            for value, label in ((1, "Good answer"), (-1, "Bad answer"))
        )
        rate = f'<div class="rd-rate" data-exchange="{escape(kept)}">{buttons}</div>'
    again = '<button type="button" class="rd-action" data-act="again">Ask again…</button>'
    return f'<div class="rd-actions">{copies}{again}{rate}</div>'


def failure(message: str) -> str:
    """An answer that could not be given, and why, in one line."""
    return f'<p class="rd-failure" role="alert">{escape(sentence_case(message))}</p>'


def answer(given: Answer, documents: int, sentences: int | None = None, *, chosen: int = 0) -> str:
    """An answer, or its first `sentences` while it is being shown.

    `documents` are all that the library held; with `chosen` only so many of them, or of their folders, were asked.
    """
    searched = ""
    if given.searched != given.question:
        searched = (
            '<p class="rd-searched">Searched: '
            f'<span class="rd-searched-words" dir="auto">{escape(given.searched)}</span> '
            '<button type="button" class="rd-link" data-act="search">Change</button></p>'
        )
    if not given.found:
        return searched + _nothing(given, documents, chosen)
    numbers = numbered(given)
    said = "".join(_sentence(sentence, numbers) for sentence in given.sentences[:sentences])
    whole = sentences is None or sentences >= len(given.sentences)
    return f"{searched}{said}{_summary(given) if whole else ''}"


def numbered(given: Answer) -> dict[str, int]:
    """The number of each citation, by its id: the order of first use over the answer."""
    return {citation.id: number for number, citation in as_text.numbered(given)}


def _sentence(sentence: AnswerSentence, numbers: dict[str, int]) -> str:
    text, cut = sentence.text, ""
    if len(text) > LONGEST_SENTENCE:
        cut = f'<span class="rd-cut">… {counted(len(text) - LONGEST_SENTENCE, "more character")}</span>'
        text = text[:LONGEST_SENTENCE]
    markers = "".join(_marker(citation, numbers[citation.id]) for citation in sentence.citations)
    words = f'<span class="rd-words">{flow(text)}</span>'  # isolated: its own direction marks turn no marker
    return f'<p class="rd-sentence" dir="auto">{words}{cut}<span class="rd-markers">{markers}</span></p>'


def _marker(citation: Citation, number: int) -> str:
    return _link(citation, number, "rd-marker", f"<i>[</i>{number}<i>]</i>")


def _link(citation: Citation, number: int, shape: str, inner: str) -> str:
    label = f"Source {number}: {plain(citation.title)}, {_place_text(citation)}"
    reference = escape(citation.id)
    return (
        f'<a class="{shape}" href="#cite-{reference}" data-cite="{reference}" aria-label="{escape(label)}">{inner}</a>'
    )


def _summary(given: Answer) -> str:
    best: Strength = next((hit.strength for hit in given.hits if _cited(given, hit)), "weak")
    count = counted(len(given.matches()), "source")
    return (
        f'<p class="rd-summary">{strength(best)}'
        f'<button type="button" class="rd-more" data-act="sources">Show {count}</button></p>'
    )


def _nothing(given: Answer, documents: int, chosen: int) -> str:
    if not documents:
        return (
            '<p class="rd-none">The library is empty: add files under Documents, or with '
            "<code>refdesk index FOLDER</code>.</p>"
        )
    where = "the documents you chose" if chosen else counted(documents, "document")
    said = f'<p class="rd-none">No passage found for this in {where}.</p>'
    if not given.misses:
        return said
    cards = "".join(_card(hit, "weak") for hit in given.misses)
    return (
        f'{said}<details class="rd-nearest"><summary><span>Show the nearest passages</span>'
        f'<span>Hide the nearest passages</span></summary><ul class="rd-cards">{cards}</ul></details>'
    )


def strength(value: Strength) -> str:
    """How well a passage fits, in words and as bars."""
    return f'<span class="rd-strength rd-{value}">{_WORDS[value]}</span>'


def sentence_case(message: str) -> str:
    """An error's line as a sentence."""
    line = message.strip()
    return line[:1].upper() + line[1:] + ("" if line.endswith((".", "!", "?", "`")) else ".")


# Source cards


def sources(given: Answer, number: int = 0, *, earlier: bool = False) -> str:
    """The panel for the `number`th answer: the passages it quotes by number, then the others that were found.

    That of an `earlier` answer than the last says to which question.
    """
    if not given.found:
        return _panel("Sources", '<p class="rd-quiet">Nothing is cited for this question.</p>')
    asked = f'<p class="rd-quiet rd-of" dir="auto">{escape(plain(given.question))}</p>' if earlier else ""
    numbers = numbered(given)
    quoted = [(hit, _cited(given, hit)) for hit in given.matches()]
    cited = sorted((pair for pair in quoted if pair[1]), key=lambda pair: numbers[pair[1][0].id])
    others = "".join(_card(hit, hit.strength) for hit, citations in quoted if not citations)
    cards = "".join(_quoted_card(hit, citations, numbers) for hit, citations in cited)
    below = f'<h3 class="rd-also">Also found</h3><ul class="rd-cards">{others}</ul>' if others else ""
    count = f'<span class="rd-count" data-of="{number}">{len(given.matches())}</span>'
    return _panel("Sources", f'{asked}<ul class="rd-cards">{cards}</ul>{below}', aside=count)


def _cited(given: Answer, hit: Hit) -> list[Citation]:
    """The citations of an answer that stand in a hit's passage, by number."""
    used = {citation.id: citation for sentence in given.sentences for citation in sentence.citations}
    return [citation for citation in used.values() if hit.passage.holds(citation)]


def _quoted_card(hit: Hit, citations: Sequence[Citation], numbers: dict[str, int]) -> str:
    links = "".join(
        _link(citation, numbers[citation.id], "rd-number", str(numbers[citation.id])) for citation in citations
    )
    title = f'<span class="rd-title">{name(citations[0].title)}</span>'
    return (
        f'<li class="rd-card" data-cite="{escape(" ".join(citation.id for citation in citations))}">'
        f'<div class="rd-numbers">{links}</div><div class="rd-card-text">{title}'
        f"{_card_body(hit, citations, LONGEST_PASSAGE)}{strength(hit.strength)}</div></li>"
    )


def _card(hit: Hit, shown: Strength) -> str:
    reference = escape(hit.citation.id)
    title = f'<a class="rd-title" href="#cite-{reference}" data-cite="{reference}">{name(hit.citation.title)}</a>'
    return (
        f'<li class="rd-card" data-cite="{reference}"><div class="rd-card-text">{title}'
        f"{_card_body(hit, [hit.citation], SHORT_PASSAGE)}{strength(shown)}</div></li>"
    )


def _card_body(hit: Hit, citations: Sequence[Citation], most: int) -> str:
    where = f'<p class="rd-place">{place(*citations)}</p>{also(citations[0])}'
    return f'{where}<p class="rd-passage" dir="auto">{passage(hit.passage, citations, most)}</p>'


def place(citation: Citation, *others: Citation) -> str:
    """Where a citation, and others of its passage, stand, below its title: the file, then page and headings, or the
    lines or rows."""
    parts = [name(citation.source), *(name(part) for part in _places(citation, *others))]
    return '<span class="rd-dot"> · </span>'.join(parts)


def also(citation: Citation) -> str:
    """The other files that hold the same words."""
    others = [source for source in citation.sources if source != citation.source]
    if not others:
        return ""
    named = ", ".join(name(source) for source in others[:SOURCES_NAMED])
    more = f" (+{len(others) - SOURCES_NAMED})" if len(others) > SOURCES_NAMED else ""
    return f'<p class="rd-place">also in: {named}{more}</p>'


def _places(citation: Citation, *others: Citation) -> list[str]:
    headings = [heading for heading in citation.heading if plain(heading) != plain(citation.title)]
    path = " › ".join(headings[-2:])
    page = f"page {citation.page}" if citation.page is not None else ""
    line = "" if page else as_text.places("line", citation.line, *(one.line for one in others))
    row = as_text.places("row", citation.row, *(one.row for one in others))
    return [part for part in (page, path, line, row) if part]


def _place_text(citation: Citation) -> str:
    return ", ".join(plain(part) for part in (citation.source, *_places(citation)))


def passage(found: Passage, citations: Sequence[Citation], most: int) -> str:
    """A passage with the quotes in it marked; of a long one the part around them, `most` characters or so."""
    text = found.text
    spans = sorted((one.start - found.start, one.end - found.start, one.id) for one in citations if found.holds(one))
    if not spans:
        return flow(text, 0, min(most, len(text)))
    start = spans[0][0]
    shown = min(spans[-1][1], start + most)
    first = max(0, min(start - (most - (shown - start)) // 2, len(text) - most))
    last = max(shown, min(len(text), first + most))
    first = (text.find(" ", first, start) + 1 or first) if first else 0  # at a word's beginning, where there is one
    last = max(shown, text.rfind(" ", shown, last)) if last < len(text) else last
    parts, at = ["… " if first else ""], first
    for begin, end, reference in spans:
        if at <= begin < last:
            quote = flow(text, begin, min(end, last))
            parts += (flow(text, at, begin), f'<mark data-cite="{escape(reference)}">{quote}</mark>')
            at = min(end, last)
    return "".join((*parts, flow(text, at, last), " …" if last < len(text) else ""))


def flow(text: str, start: int = 0, end: int | None = None) -> str:
    """`text[start:end]` as prose, with the line ends that mean something: blank lines, and those after a short line or
    a table's row, or before an item of a list. Without its tags it is the text as it was."""
    end = len(text) if end is None else end
    parts: list[str] = []
    for found in re.compile(r"\n\s*\n|\n").finditer(text, start, end):
        parts.append(_line(text, start, found.start()))
        first = text.rfind("\n", 0, found.start()) + 1
        line, row = found.start() - first, text.find(" | ", first, found.start()) >= 0
        if found[0].count("\n") > 1 or (line > _LINE_LONG and not row):
            parts.append(f'<span class="rd-gap">{found[0]}</span>')
        else:
            meant = line < _LINE_FULL or row or _ITEM.match(text, found.end(), end)
            parts.append("<br>\n" if meant else "\n")
        start = found.end()
    return "".join((*parts, _line(text, start, end)))


def _line(text: str, start: int, end: int) -> str:
    """A line of prose; the hashes of a heading are there, but quiet."""
    hashes = _HASHES.match(text, start, end) if start == 0 or text[start - 1] == "\n" else None
    if not hashes:
        return escape(text[start:end])
    return f'<span class="rd-syntax">{hashes[0]}</span>{escape(text[hashes.end() : end])}'

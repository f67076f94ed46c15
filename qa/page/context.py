"""A citation in its document: the text around it as safe HTML, with exactly the quoted words marked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from qa.escape import escape, name
from qa.page.render import also, counted, flow, place, sentence_case
from qa.types import Block, Context

AROUND_BLOCKS = 40
AROUND_CHARACTERS = 15_000
"""Text shown on either side of a quote, whichever is less: a document of 20 MB opens as fast as a letter."""
LONGEST_MARK = 20_000
"""Characters of a quote that are shown; a longer one is the document, not a sentence of it."""


def document(context: Context, sequence: int = 0, *, originals: bool = False) -> str:
    """The document around a citation, with a head that says what it is.

    `sequence` tells the page which click this answers; with `originals` the file itself can be had.
    """
    citation = context.citation
    focus, where = ("", place(citation)) if citation.quote else (' tabindex="-1"', name(citation.source))
    low, high = window(context)
    before = len(context.document.text[:low].strip())
    after = len(context.document.text[high:].strip())
    return (
        f'<article class="rd-document" data-sequence="{int(sequence)}" data-opened="{escape(citation.id)}" '
        f'aria-label="Document">{_head(_STEPS)}'
        f'<div class="rd-about"><h2{focus}>{name(citation.title)}</h2>'
        f'<p class="rd-place">{where}</p>{also(citation)}{_views(context, originals=originals)}</div>'
        f'<div class="rd-text">{_hidden(before)}{"".join(_blocks(context, low, high))}{_hidden(after)}</div></article>'
    )


def unavailable(message: str, sequence: int = 0) -> str:
    """What stands there when a citation cannot be opened."""
    return (
        f'<article class="rd-document" data-sequence="{int(sequence)}" aria-label="Document">{_head()}'
        f'<p class="rd-failure" role="alert" tabindex="-1">{escape(sentence_case(message))}</p></article>'
    )


def window(context: Context) -> tuple[int, int]:
    """The span of the document to show: whole blocks around the quote where they are not too long."""
    start, end = context.citation.start, context.citation.end
    blocks = context.blocks
    first = next((place for place, block in enumerate(blocks) if block.end > start), len(blocks))
    last = next((place for place in range(first, len(blocks)) if blocks[place].start >= end), len(blocks))
    above, below = first - AROUND_BLOCKS, last + AROUND_BLOCKS
    low = blocks[above].start if above > 0 else 0
    high = blocks[below - 1].end if below < len(blocks) else len(context.document.text)
    return max(low, start - AROUND_CHARACTERS), min(high, end + AROUND_CHARACTERS)


_STEPS = (
    '<span class="rd-steps">'
    '<button type="button" class="rd-step" data-step="-1" aria-label="Previous citation"></button>'
    '<span class="rd-step-at"></span>'
    '<button type="button" class="rd-step" data-step="1" aria-label="Next citation"></button></span>'
)
_TURNS = (
    '<span class="rd-turns">'
    '<button type="button" class="rd-step" data-turn="-1" aria-label="Previous page"></button>'
    '<span class="rd-turn-at"></span>'
    '<button type="button" class="rd-step" data-turn="1" aria-label="Next page"></button></span>'
)


def _views(context: Context, *, originals: bool) -> str:
    """The switch between a PDF's text and its page as a picture, and the link to the file itself."""
    reference, parts = escape(context.citation.id), []
    if context.document.kind == "pdf" and context.citation.page is not None:
        buttons = "".join(
            f'<button type="button" class="rd-view" data-show="{value}" aria-pressed="{pressed}">{label}</button>'
            for value, label, pressed in (("text", "Text", "true"), ("page", "Page", "false"))
        )
        parts.append(
            f'<span class="rd-views" data-picture="{reference}" role="group" aria-label="Show">{buttons}</span>'
            f'{_TURNS}<button type="button" class="rd-link rd-enlarge" data-enlarge>Enlarge</button>'
        )
    if originals:
        parts.append(f'<a class="rd-original" href="api/citations/{reference}/original" download>Download the file</a>')
    return f'<p class="rd-about-tools">{"".join(parts)}</p>' if parts else ""


def _head(steps: str = "") -> str:
    return (
        f'<header class="rd-head"><button type="button" class="rd-back" data-act="back">Sources</button>{steps}'
        '<button type="button" class="rd-close" data-act="close" aria-label="Close"></button></header>'
    )


def _hidden(characters: int) -> str:
    return f'<p class="rd-omitted">… {counted(characters, "more character")}</p>' if characters else ""


def _blocks(context: Context, low: int, high: int) -> Iterator[str]:
    start, end = context.citation.start, context.citation.end
    page: int | None = None
    for block in _merged(context, low, high):
        if block.page is not None and block.page != page:
            page = block.page
            yield f'<p class="rd-break">Page {page}</p>'
        cited = start < block.end and end > block.start
        yield _element(block, _marked(context, block) if cited else _words(context, block, block.start, block.end))


def _merged(context: Context, low: int, high: int) -> list[Block]:
    """The blocks of a span, cut at its ends; those that the quote touches are one, so that it has one mark."""
    start, end = context.citation.start, context.citation.end
    touched = [block for block in context.blocks if start < block.end and end > block.start]
    first = touched[0] if touched else Block("paragraph", start, end)
    last = touched[-1] if touched else first
    kind = first.kind if len(touched) == 1 else "paragraph"
    quoted = replace(first, kind=kind, start=min(first.start, start), end=max(last.end, end))
    middle = [quoted] if start < end else []  # a beginning alone has no quote
    above = [block for block in context.blocks if block.end <= start and block.end > low]
    below = [block for block in context.blocks if block.start >= end and block.start < high]
    shown = (*above, *middle, *below)
    return [replace(block, start=max(block.start, low), end=min(block.end, high)) for block in shown]


def _marked(context: Context, block: Block) -> str:
    citation = context.citation
    shown = min(citation.end, citation.start + LONGEST_MARK)
    cut = f'<span class="rd-cut">… {counted(citation.end - shown, "more character")}</span>'
    return (
        f"{_words(context, block, block.start, citation.start)}"
        f'<mark id="rd-mark" tabindex="-1">{_words(context, block, citation.start, shown)}</mark>'
        f"{cut if shown < citation.end else ''}{_words(context, block, citation.end, block.end)}"
    )


def _words(context: Context, block: Block, start: int, end: int) -> str:
    """A part of a block. Words are left as they are."""
    text = context.document.text
    if block.kind in ("code", "table", "list"):
        return escape(text[start:end])
    return flow(text, start, end)


def _element(block: Block, inner: str) -> str:
    zone = f" rd-{block.zone}" if block.zone != "main" else ""
    shape = f'class="rd-block rd-{block.kind}{zone}" dir="auto"'
    if block.kind == "heading":
        level = min(len(block.heading) + 2, 6)
        return f'<div {shape} role="heading" aria-level="{level}">{inner}</div>'
    if block.kind in ("code", "table"):
        return f'<pre {shape} tabindex="0">{inner}</pre>'
    return f"<p {shape}>{inner}</p>"

"""Conversations to take along, as Markdown and JSON, and rated answers as a question set that `refdesk eval` reads."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from qa import as_text
from qa.as_json import answer_as_json, hit_as_json
from qa.escape import plain
from qa.history import Conversation, Exchange, Feedback
from qa.types import Answer

_LONGEST_NAME = 60  # characters of a file's name
_KINDS = {1: "rated good", -1: "rated bad"}


def conversation_as_markdown(conversation: Conversation) -> str:
    """A conversation as Markdown: questions, quoted sentences with numbers, and numbered sources with their quotes.

    Nothing in a document's words, a title or a question becomes markup.
    """
    said = "\n\n---\n\n".join(map(_exchange_as_markdown, conversation.exchanges))
    return f"# {as_text.escaped(plain(conversation.title))}\n\n{said}\n"


def conversation_as_json(conversation: Conversation) -> dict[str, Any]:
    """A conversation as JSON holds it: each answer as `refdesk ask --json --misses` prints it, with when and how it was
    asked and what it was rated."""
    return {
        "id": conversation.id,
        "title": conversation.title,
        "created": conversation.created,
        "updated": conversation.updated,
        "exchanges": [_exchange_as_json(exchange) for exchange in conversation.exchanges],
        "skipped": conversation.skipped,
    }


def file_name(conversation: Conversation, suffix: str) -> str:
    """A name for an exported file, of ASCII letters, digits and hyphens: "how-long-is-the-warranty.md"."""
    letters = unicodedata.normalize("NFKD", conversation.title).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", letters)[:_LONGEST_NAME].strip("-")
    return f"{stem or 'conversation'}.{suffix}"


def question_set(feedback: Iterable[Feedback]) -> Iterator[str]:
    """Rated answers as lines of JSON, a question set for `refdesk eval`.

    What was rated good is gold: its quoted sentences, their passages and sources; where nothing was found, that nothing
    answers. What was rated bad has no gold until somebody writes it: see its `note` and its `hits`.
    """
    for one in feedback:
        yield json.dumps(_question(one), ensure_ascii=False) + "\n"


def _exchange_as_markdown(exchange: Exchange) -> str:
    answer = exchange.answer
    if answer.found:
        return as_text.markdown(answer)
    return f"**{as_text.escaped(plain(answer.question))}**\n\nNo passage found for this question."


def _exchange_as_json(exchange: Exchange) -> dict[str, Any]:
    return {
        "id": exchange.id,
        "asked_at": exchange.asked_at,
        **answer_as_json(exchange.answer, misses=True),
        "settings": dict(exchange.settings),
        "rating": exchange.rating,
        "note": exchange.note,
    }


def _question(feedback: Feedback) -> dict[str, Any]:
    """A row of a question set; `refdesk eval` passes over what it does not know."""
    exchange, answer = feedback.exchange, feedback.exchange.answer
    return {
        "id": exchange.id,
        "question": answer.question,
        "history": list(feedback.history),
        "kind": _KINDS[exchange.rating],
        **(_gold(answer) if exchange.rating > 0 else {}),
        "note": exchange.note,
        "asked_at": exchange.asked_at,
        "settings": dict(exchange.settings),
        "hits": [hit_as_json(hit) for hit in answer.hits],
    }


def _gold(answer: Answer) -> dict[str, Any]:
    if not answer.found:
        return {"answerable": False}
    citations = [citation for sentence in answer.sentences for citation in sentence.citations]
    quoted = [hit.passage.text for hit in answer.hits if any(map(hit.passage.holds, citations))]
    return {
        "answers": [sentence.text for sentence in answer.sentences],
        "sources": list(dict.fromkeys(citation.source for citation in citations)),
        "passage": quoted,
    }

"""One question from asking to shown answer: what the page's parts become, step by step, without any widget."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from qa import Library
from qa.errors import QAError, QuestionError
from qa.page import context, render
from qa.types import Answer, Turn

MOST_EXCHANGES = 50
"""Exchanges kept on the page; older ones scroll out of it."""
PAUSE = 0.06
"""Seconds between two sentences of an answer, so that the eye can follow."""
PASSAGES = (3, 5, 10, 20)
"""How many passages a visitor may ask for."""
WEIGHTS = {"both": None, "meaning": 1.0, "words": 0.0}
"""How passages are found, as the weight of the cosine; None for the one chosen by language."""
_LONGEST_SCOPE, _LONGEST_SOURCE = 200_000, 1_000
_BUG = "Something went wrong on the page's side; the terminal that runs Refdesk shows what."


@dataclass(frozen=True, slots=True)
class Scope:
    """What a question is asked with: only these sources (globs; none for all), so many passages, how they are found."""

    sources: tuple[str, ...] = ()
    k: int = 5
    by: str = "both"

    @classmethod
    def of(cls, text: object) -> Self:
        """What the browser says, which can be anything; the default where it makes no sense."""
        try:
            said = json.loads(text) if isinstance(text, str) and len(text) <= _LONGEST_SCOPE else {}
            sources = tuple(str(source)[:_LONGEST_SOURCE] for source in said.get("sources", ()))
            k, by = said.get("k", 5), said.get("by", "both")
        except (ValueError, AttributeError, TypeError, RecursionError):
            return cls()
        return cls(sources, k if k in PASSAGES else 5, by if by in WEIGHTS else "both")


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation: its exchanges as they are shown, and its turns as the library wants them."""

    exchanges: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()

    def after(self, exchange: str, *turns: Turn) -> Chat:
        """The conversation with one more exchange."""
        return Chat((*self.exchanges, exchange)[-MOST_EXCHANGES:], (*self.turns, *turns)[-MOST_EXCHANGES:])


@dataclass(frozen=True, slots=True)
class Step:
    """What changes on the page; None leaves a part as it is."""

    transcript: str | None = None
    panel: str | None = None
    question: str | None = None
    chat: Chat | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """What the page says of the library: its head line, the welcome before a conversation, the documents."""

    brand: str
    welcome: str
    shelf: str


def opening(library: Library) -> Opening:
    """The page before the first question, for the library as it is now."""
    documents = library.documents()
    return Opening(render.brand(_size(library)), render.welcome(documents), render.shelf(documents))


def fresh() -> Step:
    """An empty conversation."""
    return Step(render.transcript(()), "", None, Chat())


def ask(library: Library, question: str, chat: Chat, scope: Scope = Scope()) -> Iterator[Step]:
    """Answer a question of a conversation: first that it was heard, then the answer's sentences, then its sources."""
    asked = question.strip().encode("utf-8", "replace").decode()
    if not asked:
        yield Step(render.transcript(chat.exchanges, "Type a question first."))
        return
    size = _size(library)
    yield Step(_with(chat, render.exchange(asked, render.searching(size), busy=True)), question="")
    try:
        given = library.ask(
            asked,
            turns=chat.turns,
            k=scope.k,
            sources=scope.sources or None,
            dense_weight=WEIGHTS[scope.by],
        )
    except QuestionError as error:
        yield Step(render.transcript(chat.exchanges, str(error)), question=question)
    except QAError as error:
        failed = chat.after(render.exchange(asked, render.failure(str(error))))
        yield Step(render.transcript(failed.exchanges), chat=failed)
    except Exception:
        yield Step(_with(chat, render.exchange(asked, render.failure(_BUG))))
        raise
    else:
        yield from _telling(given, size, chat)


def open_citation(library: Library, reference: object, sequence: object) -> str:
    """The document of a citation that was clicked. What comes from the browser can be anything."""
    number = sequence if isinstance(sequence, int) and 0 <= sequence < 2**53 else 0
    if not isinstance(reference, str) or len(reference) > 100:
        return context.unavailable("this is not a citation of this library", number)
    try:
        return context.document(library.open_citation(reference), number)
    except QAError as error:
        return context.unavailable(str(error), number)


def _telling(given: Answer, size: int, chat: Chat) -> Iterator[Step]:
    for shown in range(1, len(given.sentences)):
        yield Step(_with(chat, render.exchange(given.question, render.answer(given, size, shown), busy=True)))
        time.sleep(PAUSE)
    told = chat.after(render.exchange(given.question, render.answer(given, size)), given.turn())
    yield Step(render.transcript(told.exchanges), render.sources(given), chat=told)


def _with(chat: Chat, exchange: str) -> str:
    return render.transcript(chat.after(exchange).exchanges)


def _size(library: Library) -> int:
    return len(library)

"""One question from asking to shown answer: what the page's parts become, step by step, without any widget."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

from qa import Library
from qa.errors import QAError, QuestionError
from qa.history import Conversation, HistoryError
from qa.page import context, render
from qa.page.site import Site, may_keep
from qa.page.suggestions import suggestions
from qa.types import Answer, Turn

MOST_EXCHANGES = 50
"""Exchanges kept on the page; older ones scroll out of it."""
PAUSE = 0.06
"""Seconds between two sentences of an answer, so that the eye can follow."""
_LOOK = 0.1
"""Seconds after which one who waits for an answer may have given up."""
AT_ONCE = 16
"""Questions answered at once. Most of them pause between two sentences: of 32 users, 4 at once got 14 answers a second,
16 got 22 (benchmarks.load)."""
_pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="refdesk-ask")
MOST_SOURCES = 1_000
"""Sources that a question is asked to, one by one: each is looked for among all files."""
PASSAGES = (3, 5, 10, 20)
"""How many passages a visitor may ask for."""
WEIGHTS = {"both": None, "meaning": 1.0, "words": 0.0}
"""How passages are found, as the weight of the cosine; None for the one chosen by language."""
_LONGEST_SCOPE, _LONGEST_ID = 900_000, 100
_BUG = "Something went wrong on the page's side; the terminal that runs Refdesk shows what."


@dataclass(frozen=True, slots=True)
class Scope:
    """What a question is asked with: only these sources (globs; none for all), so many passages, how they are found.

    With `unclear` nobody can tell which sources were meant, and to search all of them would be wrong. `conversation` is
    the id of the one that the page shows, empty where it shows none that was kept.
    """

    sources: tuple[str, ...] = ()
    k: int = 5
    by: str = "both"
    unclear: bool = False
    conversation: str = ""

    @classmethod
    def of(cls, text: object) -> Self:
        """What the browser says, which can be anything."""
        if not text:
            return cls()
        try:
            said: Any = json.loads(text) if isinstance(text, str) and len(text) <= _LONGEST_SCOPE else None
            sources, k, by = said.get("sources", []), said.get("k"), said.get("by")
            if not isinstance(sources, list) or not all(isinstance(one, str) for one in sources):
                return cls(unclear=True)
            if len(sources) > MOST_SOURCES:
                return cls(unclear=True)
            return cls(
                sources=tuple(sources),
                k=k if type(k) is int and k in PASSAGES else 5,  # 5.0 is in it, too
                by=by if by in WEIGHTS else "both",
                conversation=_id(said.get("conversation")),
            )
        except (ValueError, AttributeError, TypeError, RecursionError):
            return cls(unclear=True)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and what was answered, as it is shown. `id` is the one in the history, if there is one.

    `number` counts in the conversation, so that the page can name one; `answer` is None where nothing could be asked.
    """

    number: int
    html: str
    answer: Answer | None = None
    id: str = ""

    def is_at(self, number: object, exchange: str) -> bool:
        """Is it the one that the page means? One that is in the history by its id, since numbers may have changed."""
        return self.id == exchange if self.id else self.number == number


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation as one visitor sees it. `id` is the one in the history, empty while it is not there."""

    exchanges: tuple[Exchange, ...] = ()
    id: str = ""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Its earlier questions, as the library wants them."""
        answers = [one.answer for one in self.exchanges if one.answer is not None]
        return tuple(answer.turn() for answer in answers if answer.found)  # nobody leans on what found nothing

    @property
    def next(self) -> int:
        """The number of the next exchange."""
        return self.exchanges[-1].number + 1 if self.exchanges else 1

    def holding(self, exchange: Exchange) -> Chat:
        """The conversation with an exchange in the place of its number, or at the end."""
        if exchange.number >= self.next:
            return replace(self, exchanges=(*self.exchanges, exchange)[-MOST_EXCHANGES:])
        others = (exchange if one.number == exchange.number else one for one in self.exchanges)
        return replace(self, exchanges=tuple(others))

    def before(self, number: int) -> Chat:
        """The conversation as it was before an exchange."""
        return replace(self, exchanges=tuple(one for one in self.exchanges if one.number < number))


@dataclass(slots=True)
class Turnstile:
    """Which question of a visitor's page is the current one; one that is given up, or overtaken, says no more.

    Gradio cannot end a call that is under way, and lets a page ask nothing new until it has ended.
    """

    current: int = 0
    given_up: int = 0

    def enter(self) -> int:
        """A new question is the current one; returns its number."""
        self.current += 1
        return self.current

    def give_up(self) -> None:
        """Nobody waits for the current question any more."""
        self.given_up = self.current

    def leave(self) -> None:
        """The conversation is another one now."""
        self.current += 1


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


@dataclass(frozen=True, slots=True)
class Again:
    """A question asked anew in the place of an earlier one; what followed stays.

    `exchange` is the earlier one's id in the history, empty where it is not there, `number` its place on the page.
    `alone` searches its words as they are, without the earlier questions; `k` and `by` replace those of the scope.
    """

    number: int
    question: str
    alone: bool = False
    k: int | None = None
    by: str | None = None
    exchange: str = ""

    @classmethod
    def of(cls, said: object) -> Self | None:
        """What the browser says, which can be anything; None where it makes no sense."""
        if not isinstance(said, dict):
            return None
        number, question = said.get("number"), said.get("question")
        if not isinstance(number, int) or not isinstance(question, str):
            return None
        k, by = said.get("k"), said.get("by")
        if not isinstance(k, int) or k not in PASSAGES or not isinstance(by, str) or by not in WEIGHTS:
            k = by = None
        return cls(number, question, said.get("alone") is True, k, by, _id(said.get("exchange")))


def opening(site: Site, *, suggest: bool = True) -> Opening:
    """The page before the first question, for the library as it is now; to `suggest` questions loads its encoder."""
    library = site.library
    size, documents = _size(library), library.documents(render.NAMES_SHOWN)
    suggested = suggestions(library) if suggest else ()
    return Opening(
        render.brand(size), render.welcome(documents, suggested, total=size), render.shelf(documents, total=size)
    )


def fresh() -> Step:
    """An empty conversation."""
    return Step(render.transcript(()), "", None, Chat())


def load(site: Site, owner: str, conversation: object) -> Step:
    """A conversation from the history; an empty one where it is not there (any more) or somebody else's."""
    kept = _kept(site, owner, _id(conversation))
    if kept is None:
        return replace(fresh(), transcript=_shown(Chat(), notice="That conversation is not here (any more)."))
    chat = _as_chat(site, kept)
    panel = render.sources(kept.exchanges[-1].answer, chat.exchanges[-1].number) if kept.exchanges else ""
    return Step(_shown(chat), panel, None, chat)


def sources(site: Site, owner: str, chat: Chat, scope: Scope, wanted: object) -> str | None:
    """The panel for an answer of the conversation that the page shows; None where that is not there (any more)."""
    chat = _remembered(site, owner, chat, scope)
    said = wanted if isinstance(wanted, dict) else {}
    shown = next((one for one in chat.exchanges if one.is_at(said.get("number"), _id(said.get("exchange")))), None)
    if shown is None or shown.answer is None:
        return None
    return render.sources(shown.answer, shown.number, earlier=shown is not chat.exchanges[-1])


def _kept(site: Site, owner: str, conversation: str) -> Conversation | None:
    """A conversation from the history, if it is there and the owner's."""
    if site.history is None or not conversation:
        return None
    with suppress(HistoryError):
        return site.history.conversation(owner, conversation)
    return None


def _remembered(site: Site, owner: str, chat: Chat, scope: Scope) -> Chat:
    """The conversation as the page shows it, though the server has forgotten it, or is another one by now."""
    if not chat.exchanges and (kept := _kept(site, owner, scope.conversation)) is not None:
        return _as_chat(site, kept)
    return chat


def _as_chat(site: Site, kept: Conversation) -> Chat:
    size = _size(site.library)
    chat = Chat(id=kept.id)
    for one in kept.exchanges:
        held = one.settings.get("documents", size)
        chosen = len(one.settings.get("sources", ())) + one.settings.get("sources_left_out", 0)
        html = _html(one.answer, held, chat.next, one.id, chosen=chosen, rating=one.rating)
        chat = chat.holding(Exchange(chat.next, html, one.answer, one.id))
    return chat


def ask(
    site: Site,
    owner: str,
    question: str,
    chat: Chat,
    scope: Scope,
    turnstile: Turnstile,
    again: Again | None = None,
) -> Iterator[Step]:
    """Answer a question of a conversation: first that it was heard, then the answer's sentences, then its sources.

    With `again` it takes the place of an earlier one when the answer is there.
    """
    number = turnstile.enter()
    for step in _asking(site, owner, question, chat, scope, again):
        if turnstile.current != number:
            yield Step()  # else Gradio would say once more what was said last
            return
        if turnstile.given_up == number:
            yield Step(_shown(chat, notice="Stopped. Your question is back in the box."))
            return
        if step is not None:
            yield step


def _asking(
    site: Site, owner: str, question: str, chat: Chat, scope: Scope, again: Again | None
) -> Iterator[Step | None]:
    """The steps of `ask`, with None now and then while there is none."""
    chat = _remembered(site, owner, chat, scope)
    number, replaced = chat.next, ""
    if again is not None:
        scope = replace(scope, k=again.k or scope.k, by=again.by or scope.by)
        earlier = next((one for one in chat.exchanges if one.is_at(again.number, again.exchange)), None)
        if earlier is not None:
            number, replaced = earlier.number, earlier.id
    library = site.library
    asked = question.strip().encode("utf-8", "replace").decode()
    if not asked:
        yield Step(_shown(chat, notice="Type a question first."))
        return
    if scope.unclear:
        yield Step(_shown(chat, notice="These are too many documents to choose one by one: choose whole folders."))
        return
    size = _size(library)
    yield Step(_with(chat, number, render.exchange(asked, render.searching(size), number, busy=True)), question="")
    turns = () if again is not None and again.alone else chat.before(number).turns

    def answered() -> Answer:
        with site.asking(asked):
            sources, weight = scope.sources or None, WEIGHTS[scope.by]
            return library.ask(asked, turns=turns, k=scope.k, sources=sources, dense_weight=weight)

    answer = _pool.submit(answered)
    while not wait([answer], timeout=_LOOK).done:
        yield None
    try:
        given = answer.result()
    except QuestionError as error:
        yield Step(_shown(chat, notice=str(error)), question=question)
    except QAError as error:
        html = render.exchange(asked, render.failure(str(error)), number)
        failed = chat.holding(Exchange(number, html))
        yield Step(_shown(failed), chat=failed)
    except Exception:
        yield Step(_with(chat, number, render.exchange(asked, render.failure(_BUG), number)))
        raise
    else:
        yield from _telling(site, owner, given, scope, chat, number, replaced)


def open_citation(site: Site, reference: object, sequence: object) -> str:
    """The document of a citation that was clicked. What comes from the browser can be anything."""
    number = sequence if isinstance(sequence, int) and 0 <= sequence < 2**53 else 0
    if not isinstance(reference, str) or len(reference) > _LONGEST_ID:
        return context.unavailable("this is not a citation of this library", number)
    try:
        return context.document(site.library.open_citation(reference), number, originals=site.settings.originals)
    except QAError as error:
        return context.unavailable(str(error), number)


def _telling(
    site: Site, owner: str, given: Answer, scope: Scope, chat: Chat, number: int, replaced: str
) -> Iterator[Step | None]:
    size = _size(site.library)
    for shown in range(1, len(given.sentences)):
        part = render.answer(given, size, shown, chosen=len(scope.sources))
        html = render.exchange(given.question, part, number, busy=True)
        yield Step(_with(chat, number, html))
        time.sleep(PAUSE)
    yield None
    asked_with = {"sources": scope.sources, "k": scope.k, "by": scope.by, "documents": size}
    conversation, kept, notice = _keep(site, owner, given, asked_with, chat.id, replaced)
    exchange = Exchange(number, _html(given, size, number, kept, chosen=len(scope.sources)), given, kept)
    told = replace(chat.holding(exchange), id=conversation)
    panel = render.sources(given, number, earlier=told.exchanges[-1] is not exchange)
    yield Step(_shown(told, notice), panel, chat=told)


def _keep(
    site: Site, owner: str, given: Answer, settings: Mapping[str, Any], conversation: str, replaced: str
) -> tuple[str, str, str]:
    """Put an answer into the history; its ids there. An answer that cannot be kept is shown, with why it is not."""
    if site.history is None or not owner:
        return conversation, "", ""
    if not may_keep(site):
        return conversation, "", "This answer is not kept: the library's folder is full."
    with suppress(HistoryError):  # a damaged file, or a full disk: the list of conversations says which
        return *site.history.add(owner, conversation, given, settings, replaces=replaced), ""
    return conversation, "", "This answer could not be kept."


def _html(given: Answer, size: int, number: int, kept: str, *, chosen: int, rating: int = 0) -> str:
    body = render.answer(given, size, chosen=chosen) + render.actions(given, kept, rating)
    return render.exchange(given.question, body, number, kept)


def _shown(chat: Chat, notice: str = "") -> str:
    return render.transcript([one.html for one in chat.exchanges], notice, chat.id)


def _with(chat: Chat, number: int, html: str) -> str:
    return _shown(chat.holding(Exchange(number, html)))


def _id(said: object) -> str:
    """An id as the browser says it, empty where it cannot be one."""
    return said if isinstance(said, str) and len(said) <= _LONGEST_ID and said.isascii() else ""


def _size(library: Library) -> int:
    return len(library)

"""Questions, citations and status for programs: JSON over HTTP, and the one named endpoint of gradio_client."""

# No `from __future__ import annotations` here: Gradio describes an endpoint by its evaluated annotations.

import math
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from qa import answering
from qa.answering import Searched
from qa.as_json import answer_as_json, citation_as_json, hit_as_json
from qa.errors import CitationError, EncoderError, LibraryError, QAError, QuestionError
from qa.escape import without_folder
from qa.filters import unfit
from qa.library import LONGEST_QUESTION, MOST_HITS, Library
from qa.page import context
from qa.page.chat import WEIGHTS
from qa.page.evaluation_routes import body
from qa.page.guard import Rule
from qa.page.limits import CHARGE
from qa.page.render import sentence_case
from qa.types import Context, Turn

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from qa.page.site import Site

MOST_QUESTIONS = 256
"""Questions in one call: what the encoder takes in a few batches, so that others wait a second at most."""
MOST_PASSAGES = 2_000
"""Passages in one call, `k` for each question: half a second's work and a few megabytes; 256 questions of 1,000 would
take a minute and half a gigabyte, and others wait for it."""
MOST_TURNS = 50
"""Earlier questions of a conversation, as many as the page keeps."""
MOST_SOURCES = 10_000
LONGEST_CALL = 5_000_000
"""Bytes of a call: 256 of the longest questions, in any script."""
AT_ONCE = 8
"""Calls worked on at the same time; the others wait, and leave the page its threads."""
CITATION = r"/api/citations/[0-9a-f]{16}\.[0-9]{1,12}\.[0-9]{1,12}"
RULES = (
    Rule(re.compile("/api/(ask|retrieve)"), ("GET", "POST"), LONGEST_CALL),
    Rule(re.compile("/api/(status|openapi\\.json)"), ("GET",)),
    Rule(re.compile(CITATION), ("GET",)),
    Rule(re.compile("/gradio_api/info"), ("GET",)),  # Gradio's own: what gradio_client reads of the one endpoint
)
_WHERE = ("kind", "language", "title", "root")
_LISTS = {"source": "sources", "after": "turns"}
_SHOWN = 200
"""Characters of an error's line about a call."""

Text = Annotated[str, Field(max_length=LONGEST_QUESTION)]
Name = Annotated[str, Field(max_length=1_000)]
Names = Annotated[list[Name], Field(max_length=MOST_SOURCES)]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _turn(value: object) -> object:
    return {"question": value} if isinstance(value, str) else value


class EarlierTurn(BaseModel):
    """An earlier question, and the `passage_id`s that were shown for it; a plain string is one without them."""

    model_config = ConfigDict(extra="forbid")

    question: Text
    shown: list[Annotated[str, Field(max_length=60)]] = Field(default=[], max_length=MOST_HITS)


class Search(BaseModel):
    """A call of /api/retrieve: one `question` or several `questions`, and how to search."""

    model_config = ConfigDict(extra="forbid")

    question: Text | None = Field(None, description="the question; either this or `questions`")
    questions: Annotated[list[Text], Field(min_length=1, max_length=MOST_QUESTIONS)] | None = Field(
        None, description="several questions, answered together; the answer is then a list in their order"
    )
    k: int = Field(
        5,
        ge=1,
        le=MOST_HITS,
        description=f"passages to find for each question; for all together {MOST_PASSAGES:,} at most",
    )
    sources: Annotated[Names, BeforeValidator(_listed, json_schema_input_type=Name | Names)] | None = Field(
        None, description="search only documents whose source is or matches one of these globs"
    )
    where: dict[Literal["kind", "language", "title", "root"], Name] = Field(
        default={}, description="search only documents with these values"
    )
    turns: list[Annotated[EarlierTurn, BeforeValidator(_turn, json_schema_input_type=str | EarlierTurn)]] = Field(
        default=[], max_length=MOST_TURNS, description="the earlier questions of the conversation, oldest first"
    )
    by: Literal["both", "meaning", "words"] = Field("both", description="how passages are found")
    dense_weight: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="weight of the meaning from 0 to 1, in place of `by`"
    )


class Ask(Search):
    """A call of /api/ask: as /api/retrieve; `misses` asks for the nearest passages where nothing was found."""

    misses: bool = Field(False, description="where nothing was found, give the nearest passages as `misses`")


Call = TypeVar("Call", bound=Search)


class EmptyLibraryError(LibraryError):
    """There is nothing yet to answer from."""


def search(library: Library, asked: Search) -> list[Searched]:
    """The search of each question of a call.

    Raises:
        QuestionError: a question is empty, or parts of the call do not go together.
        EmptyLibraryError: the library holds no text.
    """
    if (asked.question is None) == (asked.questions is None):
        raise QuestionError("expected either question or questions")
    if asked.questions is not None and asked.turns:
        raise QuestionError("turns belong to one conversation: give them with question, not with questions")
    if asked.dense_weight is not None and asked.by != "both":
        raise QuestionError("expected either by or dense_weight")
    questions = [asked.question] if asked.question is not None else asked.questions or []
    if asked.k * len(questions) > MOST_PASSAGES:
        raise QuestionError(
            f"{len(questions)} questions with k={asked.k} ask for {asked.k * len(questions):,} passages: expected up "
            f"to {MOST_PASSAGES:,} in one call, so choose a smaller k or ask in several calls"
        )
    turns = [Turn(turn.question, tuple(turn.shown)) for turn in asked.turns]
    done = library.search(
        questions,
        asked.k,
        turns=[turns] * len(questions),
        sources=asked.sources,
        where=_where(asked),
        dense_weight=WEIGHTS[asked.by] if asked.dense_weight is None else asked.dense_weight,
    )
    if not done[0].snapshot.live:
        raise EmptyLibraryError("the library is empty: index a folder with `refdesk index FOLDER`")
    return done


def answers(library: Library, asked: Ask) -> list[dict[str, Any]]:
    """The answer to each question of a call, as `refdesk ask --json` prints it. Raises as `search`."""
    with library.store.reading():
        done = search(library, asked)
        note = _note(library, asked, done)
        return [answer_as_json(answering.answer(library.store, one), misses=asked.misses) | note for one in done]


def hits(library: Library, asked: Search) -> list[dict[str, Any]]:
    """The passages for each question of a call. Raises as `search`."""
    done = search(library, asked)
    note = _note(library, asked, done)
    return [
        {"question": one.asked, "searched": one.searched, "hits": [hit_as_json(found.hit) for found in one.found]}
        | note
        for one in done
    ]


def _note(library: Library, asked: Search, done: Sequence[Searched]) -> dict[str, str]:
    """What the answers to a call say beside, where its filter leaves no document."""
    line = None if any(one.found for one in done) else unfit(library, asked.sources, _where(asked))
    return {} if line is None else {"note": sentence_case(f"{line}: /api/documents lists them")}


def _where(asked: Search) -> dict[str, str]:
    return {str(name): value for name, value in asked.where.items()}


def citation(opened: Context) -> dict[str, Any]:
    """A citation with the text around it: `text` is the document's from `start` to `end`, in characters."""
    low, high = context.window(opened)
    document = opened.document
    return {
        "citation": citation_as_json(opened.citation),
        "document": {
            "id": document.id,
            "title": document.title,
            "kind": document.kind,
            "language": document.language or None,
            "pages": document.pages,
            "characters": len(document.text),
            "sources": list(document.sources),
        },
        "start": low,
        "end": high,
        "text": document.text[low:high],
    }


def status(library: Library) -> dict[str, Any]:
    """What the library holds and was made with, as `refdesk status --json` prints it, but no folder of this machine."""
    return {name: value for name, value in asdict(library.status()).items() if name not in ("path", "roots")}


def offer(site: "Site") -> None:
    """Make the one endpoint with a name in the page that is being built: `Client(url).predict("…", api_name="/ask")`.

    It is all that programs may call of Gradio's; the page's own events are private.
    """
    import gradio
    from gradio.events import api as named

    def ask(
        question: str,
        k: int = 5,
        sources: list[str] | None = None,
        turns: list[str] | None = None,
        by: str = "both",
    ) -> dict[str, Any]:
        """The answer to a question, as `refdesk ask --json` prints it.

        Args:
            question: up to 4,000 characters.
            k: passages to find, 1 to 1,000.
            sources: search only documents whose source is or matches one of these globs.
            turns: the earlier questions of the conversation, oldest first.
            by: "both", "meaning" or "words".
        """
        asked = {"question": question, "k": k, "sources": sources, "turns": turns or [], "by": by}
        try:
            call = Ask.model_validate(asked)
            with site.asking(str(question)):
                return answers(site.library, call)[0]
        except (QAError, ValidationError, sqlite3.DatabaseError) as error:
            raise gradio.Error(problem(error, site.library)[0], print_exception=False) from None

    named(ask, api_name="ask", concurrency_limit=4, concurrency_id="program")


def problem(error: Exception, library: Library) -> tuple[str, int]:
    """An error of a call as one sentence that names no folder of this machine, with its HTTP status."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the call"
        return f"{place[:_SHOWN]}: {first['msg'][:_SHOWN].rstrip('.')}.", 400
    if isinstance(error, sqlite3.DatabaseError):
        return "The library is damaged: `refdesk doctor` says what to do.", 503
    line = without_folder(str(error), library.path, "of this server")
    return sentence_case(line), next((code for kind, code in _CODES if isinstance(error, kind)), 500)


_CODES: tuple[tuple[type[QAError], int], ...] = (
    (QuestionError, 400),
    (CitationError, 404),
    (EmptyLibraryError, 409),
    (EncoderError, 503),
    (LibraryError, 503),
)


def from_query(query: "QueryParams") -> dict[str, Any]:
    """A call written into an address: `q` is the question; `source` and `after` may be given several times."""
    known = {name: value for name, value in query.items() if name not in ("q", *_LISTS, *_WHERE)}
    lists = {long: query.getlist(short) for short, long in _LISTS.items() if short in query}
    where = {name: query[name] for name in _WHERE if name in query}
    return {**known, "question": query.get("q", ""), **lists, "where": where}


def routes(site: "Site") -> list["BaseRoute"]:
    """The routes of programs; the Guard lets through what is for them."""
    from anyio import CapacityLimiter, from_thread, to_thread
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from qa.page import openapi

    library = site.library
    limiter = CapacityLimiter(AT_ONCE)

    def said(content: object, status: int = 200) -> "Response":
        return JSONResponse(content, status, {"cache-control": "no-store"})

    async def worked(work: Callable[[], "Response"]) -> "Response":
        """What a blocking function answers, its JSON written in the thread as well; its errors as one sentence."""
        try:
            return await to_thread.run_sync(work, limiter=limiter)
        except (QAError, ValidationError, sqlite3.DatabaseError) as error:
            line, code = problem(error, library)
            return said({"error": line}, code)

    def asking(
        kind: type[Call], answer: Callable[[Library, Call], Sequence[object]]
    ) -> Callable[["Request"], Awaitable["Response"]]:
        async def endpoint(request: "Request") -> "Response":
            try:
                content = b"" if request.method == "GET" else await body(request, LONGEST_CALL)
            except ClientDisconnect:
                return said({"error": "The call broke off."}, 400)
            if content is None:
                return said({"error": f"Expected a call of up to {LONGEST_CALL // 10**6} MB."}, 413)

            def work() -> "Response":
                if request.method == "GET":
                    asked = kind.model_validate(from_query(request.query_params))
                else:
                    asked = kind.model_validate_json(content)
                charge, more = request.scope.get(CHARGE), len(asked.questions or ()) - 1
                if more > 0 and charge and (early := math.ceil(from_thread.run_sync(charge, more))):
                    line = f"Too many requests: try again in {early} seconds."
                    return JSONResponse({"error": line}, 429, {"retry-after": str(early)})
                given = answer(library, asked)
                return said(given[0] if asked.questions is None else given)

            return await worked(work)

        return endpoint

    async def opened(request: "Request") -> "Response":
        return await worked(lambda: said(citation(library.open_citation(request.path_params["citation"]))))

    async def current(_: "Request") -> "Response":
        return await worked(lambda: said(status(library)))

    def description(_: "Request") -> "Response":
        return said(openapi.document())

    both = ["GET", "POST"]
    return [
        Route("/api/ask", asking(Ask, answers), methods=both),
        Route("/api/retrieve", asking(Search, hits), methods=both),
        Route("/api/status", current, methods=["GET"]),
        Route("/api/citations/{citation}", opened, methods=["GET"]),
        Route("/api/openapi.json", description, methods=["GET"]),
    ]

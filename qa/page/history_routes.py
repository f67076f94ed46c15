"""A visitor's own conversations over HTTP: list, rename, delete and export them, and rate their answers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from qa.export import conversation_as_json, conversation_as_markdown, file_name, question_set
from qa.history import HistoryError, HistoryFileError
from qa.page.evaluation_routes import body
from qa.page.guard import Rule
from qa.page.render import sentence_case
from qa.page.site import owner_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from qa.history import Conversation, History
    from qa.page.site import Site

PAGE = 50
"""Conversations of one response."""
LONGEST_QUERY = 200
LONGEST_BODY = 30_000
"""Bytes of a rating or a title: a note of 2,000 characters, each of them written as two escapes of six."""
_NUMBER = re.compile(r"[0-9]{1,9}")
_ID = "[A-Za-z0-9_-]{24}"
_CONVERSATION, _EXCHANGE = rf"/api/conversations/{_ID}", rf"/api/exchanges/{_ID}"
RULES = (
    Rule(re.compile("/api/conversations"), ("GET", "DELETE"), changes=True),
    Rule(re.compile(_CONVERSATION), ("GET", "PATCH", "DELETE"), LONGEST_BODY, changes=True),
    Rule(re.compile(rf"{_CONVERSATION}/export\.(md|json)"), ("GET",)),
    Rule(re.compile(rf"{_EXCHANGE}/rating"), ("POST",), LONGEST_BODY, changes=True),
    Rule(re.compile(r"/api/feedback\.jsonl"), ("GET",)),
)
_UNUSABLE = "The conversations cannot be used now; the terminal that runs Refdesk shows why."
_NONE = "There is no such conversation (any more)."

Answered = tuple[dict[str, Any], int]
"""An object and the status that goes with it."""


def routes(site: Site) -> list[Route]:
    """The routes of a server's conversations; the Guard lets through what is for them."""
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    history = site.history

    def plainly(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
        """An endpoint whose mistakes are one line."""

        def endpoint(request: Request) -> Response:
            try:
                return answer(request)
            except HistoryError as error:
                return refused(error)

        return endpoint

    def refused(error: HistoryError) -> Response:
        if isinstance(error, HistoryFileError):  # it names a path, which is the operator's alone
            print(f"refdesk: {error}", file=sys.stderr, flush=True)  # noqa: T201
            return said(({"error": _UNUSABLE}, 503))
        return said(({"error": sentence_case(str(error))}, 400))

    def said(answered: Answered) -> Response:
        content, status = answered
        return JSONResponse(content, status, {"cache-control": "no-store"})

    def download(content: str, name: str, media_type: str) -> Response:
        headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="{name}"'}
        return Response(content, 200, headers, media_type)

    def listed(request: Request) -> Response:
        if history is None:
            return said(({"kept": False, "conversations": [], "more": False}, 200))
        query, offset = request.query_params.get("q", ""), request.query_params.get("offset", "0")
        if len(query) > LONGEST_QUERY or not _NUMBER.fullmatch(offset):
            return said(({"error": f"Expected q of up to {LONGEST_QUERY} characters and offset as a number."}, 400))
        found = history.conversations(owner_of(request.scope), query, int(offset), PAGE + 1)
        shown = [asdict(one) for one in found[:PAGE]]
        return said(({"kept": True, "conversations": shown, "more": len(found) > PAGE}, 200))

    def deleted_all(request: Request) -> Response:
        count = history.delete_all(owner_of(request.scope)) if history else 0
        return said(({"deleted": count}, 200))

    def deleted(request: Request) -> Response:
        gone = history is not None and history.delete(owner_of(request.scope), request.path_params["conversation"])
        return said(({"deleted": 1}, 200) if gone else ({"error": _NONE}, 404))

    def found(request: Request) -> Conversation | None:
        if history is None:
            return None
        return history.conversation(owner_of(request.scope), request.path_params["conversation"])

    def shown(request: Request) -> Response:
        conversation = found(request)
        return said((conversation_as_json(conversation), 200) if conversation else ({"error": _NONE}, 404))

    def exported(request: Request) -> Response:
        conversation, form = found(request), request.path_params["form"]
        if conversation is None:
            return said(({"error": _NONE}, 404))
        name = file_name(conversation, form)
        if form == "md":
            return download(conversation_as_markdown(conversation), name, "text/markdown; charset=utf-8")
        text = json.dumps(conversation_as_json(conversation), ensure_ascii=False, indent=1)
        return download(text, name, "application/json")

    def feedback(request: Request) -> Response:
        rated = history.feedback(owner_of(request.scope)) if history else ()
        return download("".join(question_set(rated)), "feedback.jsonl", "application/jsonl; charset=utf-8")

    async def changed(request: Request, change: Callable[[History, str, dict[str, Any]], Answered]) -> Response:
        content = await body(request, LONGEST_BODY)
        value = _object(content)
        if value is None:
            return said(({"error": f"Expected a JSON object of up to {LONGEST_BODY:,} bytes."}, 400))
        if history is None:
            return said(({"error": _NONE}, 404))
        try:
            return said(await run_in_threadpool(change, history, owner_of(request.scope), value))
        except HistoryError as error:
            return refused(error)

    async def renamed(request: Request) -> Response:
        conversation = request.path_params["conversation"]

        def rename(history: History, owner: str, value: dict[str, Any]) -> Answered:
            title = value.get("title")
            if not isinstance(title, str):
                return {"error": "Expected title as a string."}, 400
            done = history.rename(owner, conversation, title)
            return ({"id": conversation}, 200) if done else ({"error": _NONE}, 404)

        return await changed(request, rename)

    async def rated(request: Request) -> Response:
        exchange = request.path_params["exchange"]

        def rate(history: History, owner: str, value: dict[str, Any]) -> Answered:
            rating, note = value.get("rating"), value.get("note", "")
            if type(rating) is not int or not isinstance(note, str):  # True is an int, too
                return {"error": "Expected rating as -1, 0 or 1, and note as a string."}, 400
            done = history.rate(owner, exchange, rating, note)
            return ({"rating": rating}, 200) if done else ({"error": "There is no such answer (any more)."}, 404)

        return await changed(request, rate)

    every, one = "/api/conversations", "/api/conversations/{conversation}"
    return [
        Route(every, plainly(listed), methods=["GET"]),
        Route(every, plainly(deleted_all), methods=["DELETE"]),
        Route(one, plainly(shown), methods=["GET"]),
        Route(one, renamed, methods=["PATCH"]),
        Route(one, plainly(deleted), methods=["DELETE"]),
        Route(f"{one}/export.{{form}}", plainly(exported), methods=["GET"]),
        Route("/api/exchanges/{exchange}/rating", rated, methods=["POST"]),
        Route("/api/feedback.jsonl", plainly(feedback), methods=["GET"]),
    ]


def _object(content: bytes | None) -> dict[str, Any] | None:
    """The JSON object in a body, None where it is none."""
    try:
        value = json.loads(content or b"")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

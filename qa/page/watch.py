"""Around every request: a number, a log line, counters, and an end that leaves nobody waiting."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qa.page.log import Log
from qa.page.metrics import METHODS, Metrics
from qa.page.scopes import LIBRARY, OWNER, PATH, USER
from qa.page.sessions import HEARTBEAT

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ASKED = ("/api/ask", "/api/retrieve")
"""Requests that are questions as a whole. The page's come over Gradio's queue, and call `Watch.asking`."""
_ANSWERS = "/gradio_api/queue/data"
_STATIC = ("/assets/", "/static/", HEARTBEAT)


class Watch:
    """Counters and log of one server; `closing` is set when it is to end, `answering` counts streams of answers."""

    def __init__(self, log: Log | None = None) -> None:
        self.metrics = Metrics()
        self.log = log or Log()
        self.closing = asyncio.Event()
        self.answering = 0

    @contextmanager
    def asking(self, library: str, question: str) -> Iterator[None]:
        """Count and time a question while it is answered; its text is logged where that was asked for."""
        started = time.perf_counter()
        failed = True
        try:
            with self.metrics.in_flight.labels(library).track_inprogress():
                yield
            failed = False
        finally:
            seconds = time.perf_counter() - started
            self.metrics.questions.labels(library).observe(seconds)
            text = question if self.log.text else None
            level = "error" if failed else "info"
            self.log.write(level, "question", library=library or None, ms=round(seconds * 1000, 1), question=text)


class Observer:
    """ASGI middleware, the outermost: logs and counts requests, and lets the page's open streams end with the server.

    Args:
        app: what answers.
        watch: where it is counted.
        templates: (pattern, name) of the paths below a library's page; others are named after Gradio's or "other",
            so that nobody's paths fill the counters.
        known: paths that are their own name.
    """

    def __init__(
        self, app: ASGIApp, watch: Watch, templates: Sequence[tuple[re.Pattern[str], str]], known: frozenset[str]
    ) -> None:
        self.app = app
        self.watch = watch
        self.templates = templates
        self.known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        number = secrets.token_hex(8)
        status, sent, ended = 500, 0, False

        async def sending(message: Message) -> None:
            nonlocal status, sent, ended
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", number.encode())]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
                ended = not message.get("more_body", False)
            await send(message)

        waits = HEARTBEAT in scope["path"]
        answers = scope["path"].endswith(_ANSWERS)
        self.watch.answering += answers
        try:
            await self.app(scope, self._until_closing(receive) if waits else receive, sending)
            if waits and not ended and self.watch.closing.is_set():
                await sending({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self.watch.answering -= answers
            self._record(scope, number, status, sent, time.perf_counter() - started)

    def _until_closing(self, receive: Receive) -> Receive:
        """Ends a page's heartbeat when the server closes and every answer has been told: Gradio drops the questions of
        a page whose heartbeat ends."""

        async def closed() -> Message:
            await self.watch.closing.wait()
            while self.watch.answering:
                await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        async def receiving() -> Message:
            tasks = [asyncio.ensure_future(receive()), asyncio.ensure_future(closed())]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                return next(iter(done)).result()
            finally:
                for task in tasks:
                    task.cancel()

        return receiving

    def _record(self, scope: Scope, number: str, status: int, sent: int, seconds: float) -> None:
        library, path = scope.get(LIBRARY, ""), scope.get(PATH, "")
        route = self.template(path)
        method = scope["method"] if scope["method"] in METHODS else "other"
        metrics = self.watch.metrics
        metrics.requests.labels(library, method, route, str(status)).inc()
        if path in ASKED and status < 400:
            metrics.questions.labels(library).observe(seconds)
        owner = scope.get(OWNER, "")
        user = owner if scope.get(USER) else None
        who: dict[str, Any] = {"user": user, "visitor": visitor_hash(owner) if owner and user is None else None}
        text = scope["query_string"].decode("latin-1") if self.watch.log.text and scope["query_string"] else None
        self.watch.log.write(
            "error" if status >= 500 else "warning" if status >= 400 else "info",
            "request",
            request=number,
            library=library or None,
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            bytes=sent,
            query=text,
            **who,
        )

    def template(self, path: str) -> str:
        """The name of a path: "/api/citations/{id}" for that of any citation."""
        if path in self.known:
            return path
        found = next((name for pattern, name in self.templates if pattern.fullmatch(path)), None)
        if found is None:
            found = next((f"{folder}*" for folder in _STATIC if path.startswith(folder)), "other")
        return found


def visitor_hash(owner: str) -> str:
    """Tells visitors apart in a log without their numbers, which open their conversations."""
    return hashlib.sha256(owner.encode()).hexdigest()[:12]

"""Evaluations over HTTP: start one with a file, ask how far it is, stop it, read what it wrote."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from qa import QAError
from qa.page.evaluations import BusyError, Run, files
from qa.page.guard import Rule
from qa.page.render import sentence_case

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from qa.page.site import Site

LONGEST_QUESTIONS = 20_000_000
"""Bytes of a question set to evaluate."""
UPLOAD_SECONDS = 60
UPLOADS_AT_ONCE = 8
"""Question sets that come in at once, each of them in memory. With one more, the one that has been coming for longest
gives way, so that whoever sends theirs slowly keeps nobody out."""
_RUN = r"/evaluations/[A-Za-z0-9_-]{24}"
RULES = (
    Rule(re.compile("/evaluations"), ("POST",), LONGEST_QUESTIONS),
    Rule(re.compile(_RUN), ("GET", "DELETE")),
    Rule(re.compile(rf"{_RUN}/(report\.html|summary\.json|questions\.jsonl|run\.trec)"), ("GET",)),
)
_TYPES = {
    "report.html": "text/html; charset=utf-8",
    "summary.json": "application/json",
    "questions.jsonl": "application/jsonl; charset=utf-8",
    "run.trec": "text/plain; charset=utf-8",
}


def routes(site: Site) -> list[Route]:
    """The routes of a server's evaluations; the Guard lets through what is for them."""
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect
    from starlette.responses import FileResponse, JSONResponse
    from starlette.routing import Route

    evaluations = site.evaluations
    coming: list[asyncio.Timeout] = []  # the question sets that come in, the oldest first

    def said(content: dict[str, Any], status: int = 200) -> Response:
        return JSONResponse(content, status, {"cache-control": "no-store"})

    def with_run(answer: Callable[[Request, Run], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            run = evaluations.find(request.path_params["run"])
            return answer(request, run) if run else said({"error": "There is no such evaluation (any more)."}, 404)

        return endpoint

    async def received(request: Request) -> bytes | None:
        async with asyncio.timeout(UPLOAD_SECONDS) as limit:
            coming.append(limit)
            if len(coming) > UPLOADS_AT_ONCE and not (oldest := coming.pop(0)).expired():
                oldest.reschedule(0)
            try:
                return await body(request, LONGEST_QUESTIONS)
            finally:
                if limit in coming:
                    coming.remove(limit)

    async def start(request: Request) -> Response:
        try:
            content = await received(request)
        except (TimeoutError, ClientDisconnect):
            line = f"The file did not come within {UPLOAD_SECONDS} seconds, or not before many others: send it again."
            return said({"error": line}, 408)
        if content is None:
            return said({"error": f"Expected a file of up to {LONGEST_QUESTIONS // 10**6} MB."}, 413)
        try:
            run = await run_in_threadpool(evaluations.start, request.query_params.get("name", ""), content)
        except QAError as error:
            return said({"error": sentence_case(str(error))}, 409 if isinstance(error, BusyError) else 400)
        return said(run.as_json(), 201)

    def state(_: Request, run: Run) -> Response:
        return said(run.as_json())

    def stop(_: Request, run: Run) -> Response:
        evaluations.stop(run)
        return said(run.as_json())

    def file(request: Request, run: Run) -> Response:
        name = request.path_params["file"]
        if run.state != "done" or name not in _TYPES:
            return said({"error": "There is no such file."}, 404)
        shown = "inline" if name == "report.html" else "attachment"
        return FileResponse(
            files(run) / name,
            headers={"cache-control": "no-store"},
            media_type=_TYPES[name],
            filename=name,
            content_disposition_type=shown,
        )

    one = "/evaluations/{run}"
    return [
        Route("/evaluations", start, methods=["POST"]),
        Route(one, with_run(state), methods=["GET"]),
        Route(one, with_run(stop), methods=["DELETE"]),
        Route(f"{one}/{{file}}", with_run(file), methods=["GET"]),
    ]


async def body(request: Request, longest: int) -> bytes | None:
    """A request's body, None where it is longer, whatever it said of its length."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > longest:
            return None
    return bytes(content)

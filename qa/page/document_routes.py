"""Documents over HTTP: list them, add files, follow how they are indexed, rename, index again and remove them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from weakref import WeakValueDictionary

from qa import QAError
from qa.errors import LibraryBusyError
from qa.escape import without_folder
from qa.ingest import MOST_WAITING, Job, QueueFullError
from qa.page import documents
from qa.page.guard import Rule
from qa.page.render import sentence_case
from qa.page.site import enough_room, owner_of
from qa.readers import SUFFIXES
from qa.uploads import DiskFullError, TakenError, Uploads

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from qa.page.documents import Row
    from qa.page.site import Site
    from qa.types import DocumentInfo

ROWS = 50
MOST_ROWS = 500
"""Rows of one answer."""
MOST_CHANGED = 1_000
"""Files removed or indexed again by one request."""
UPLOADS_AT_ONCE = 4
"""Uploads that are received at a time; others wait."""
UPLOADS_OF_ONE, UPLOADS_FROM_ONE = 2, 3
"""Of these, how many one owner has, and how many come from one address, so that nobody keeps the others from
uploading: a visitor's number is as good as any other."""
CHANGES_AT_ONCE = 4
"""Removals and renamings at a time; others wait. Each may wait for the library for a minute, in a thread."""
IDLE_SECONDS = 30
"""How long an upload may bring nothing."""
GRACE_SECONDS = 15
LEAST_RATE = 50_000
"""Bytes a second that an upload has to bring after that grace, a slow telephone's: one that trickles keeps its turn
from others for ever."""
BUSY_SECONDS = 60.0
"""How long a removal waits for what is being indexed: a group of files."""
_LONGEST_QUERY = 1_000
_LONGEST_RENAMING = 10_000
_BLOCK = 1 << 20
_JOB = "/api/jobs/[A-Za-z0-9_-]{24}"
RULES = (
    Rule(re.compile("/api/documents"), ("GET", "POST", "PATCH", "DELETE"), changes=True, upload=True),
    Rule(re.compile("/api/documents/reindex"), ("POST",), changes=True),
    Rule(re.compile("/api/jobs"), ("GET",)),
    Rule(re.compile(_JOB), ("GET", "DELETE"), changes=True),
    Rule(re.compile(f"{_JOB}/replace"), ("POST",), changes=True),
)


class _Refusal(Exception):  # noqa: N818
    """Ends a request with an error's status and line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Shelf:
    """The rows of a library's files, made anew when it has changed."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._generation = -1
        self._rows: tuple[Row, ...] = ()

    def rows(self) -> tuple[Row, ...]:
        """All rows, by source."""
        library = self._uploads.library
        generation = library.store.generation()
        if generation != self._generation:
            infos = library.documents()
            self._rows = tuple(documents.row(info, uploaded=self._uploads.holds(info)) for info in infos)
            self._generation = generation
        return self._rows

    def chosen(self, given: Sequence[tuple[str, str]]) -> list[DocumentInfo]:
        """The files that a query names, by `id` or by exact `source`.

        Raises:
            _Refusal: it names none, too many, or one that is not there.
        """
        wanted = [(key, value) for key, value in given if key in ("id", "source")]
        if not wanted:
            raise _Refusal(400, "Say which documents: expected id=… or source=….")
        if len(wanted) > MOST_CHANGED:
            raise _Refusal(400, f"Expected up to {MOST_CHANGED:,} documents at a time, came {len(wanted):,}.")
        infos: dict[str, DocumentInfo] = {}
        rows = self.rows()
        for key, value in wanted:
            same = [row for row in rows if value == (row.id if key == "id" else row.info.source)]
            if not same:
                raise _Refusal(404, "There is no such document (any more): reload the list.")
            infos |= {row.id: row.info for row in same}
        return list(infos.values())


def routes(site: Site) -> list[Route]:
    """The routes of a library's documents; the Guard lets through what is for them."""
    from anyio import CapacityLimiter, to_thread
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    uploads = site.uploads or Uploads(site.library, largest=site.settings.max_upload)
    uploads.room = lambda more: enough_room(site, more)
    if not site.settings.read_only:
        uploads.resume()
    shelf = Shelf(uploads)
    receiving = asyncio.Semaphore(UPLOADS_AT_ONCE)
    receiving_of: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = WeakValueDictionary()  # while one uploads
    changing = CapacityLimiter(CHANGES_AT_ONCE)

    def said(content: object, status: int = 200) -> Response:
        return JSONResponse(content, status, {"cache-control": "no-store"})

    def answering(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return await answer(request)
            except _Refusal as refusal:
                return said({"error": str(refusal)}, refusal.status)
            except LibraryBusyError:
                line = "The library is being written by another process: try again when that is done."
                return said({"error": line}, 503)
            except QAError as error:
                return said({"error": _without_folders(error, site)}, _status(error))

        return endpoint

    def in_thread(
        answer: Callable[[Request], Response], limiter: CapacityLimiter | None = None
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await to_thread.run_sync(answer, request, limiter=limiter)

        return answering(endpoint)

    def listing(request: Request) -> Response:
        asked = request.query_params
        rows = shelf.rows()
        query, state = asked.get("q", "")[:_LONGEST_QUERY], asked.get("state", "")
        some = documents.found(rows, query, state, asked.get("folder", ""), asked.get("sort", "source"))
        first, limit = _number(asked.get("offset"), 0, 2**31), _number(asked.get("limit"), ROWS, MOST_ROWS)
        return said(
            {
                "total": len(some),
                "all": len(rows),
                "failed": sum(row.info.reason is not None for row in rows),
                "offset": first,
                "documents": [row.as_json() for row in some[first : first + limit]],
                "folders": documents.folders(rows),
                "read_only": site.settings.read_only,
                "largest": uploads.largest,
                "suffixes": [*sorted(SUFFIXES), ".zip"],
            }
        )

    async def upload(request: Request) -> Response:
        owner = owner_of(request.scope)
        name, job = request.query_params.get("name", ""), None
        if "job" in request.query_params:
            job = found_job(request.query_params["job"], owner)
        size = int(request.headers.get("content-length", "0"))
        before = job.revision if job else 0
        address = request.client.host if request.client else ""
        own = receiving_of.setdefault(("owner", owner), asyncio.Semaphore(UPLOADS_OF_ONE))
        near = receiving_of.setdefault(("address", address), asyncio.Semaphore(UPLOADS_FROM_ONE))
        async with own, near, receiving:
            await run_in_threadpool(uploads.check_space, size)
            with uploads.incoming() as path:
                try:
                    await receive(request, path)
                except (TimeoutError, ClientDisconnect):
                    line = (
                        f"The file stopped coming for {IDLE_SECONDS} seconds, or came slower than "
                        f"{LEAST_RATE // 1000} kB a second: send it again, over a faster network."
                    )
                    raise _Refusal(408, line) from None
                done = await run_in_threadpool(uploads.add, name, path, owner, job)
        return await run_in_threadpool(lambda: said(done.as_json(before), 201))

    async def receive(request: Request, path: Path) -> None:
        """Write a body to a file, whatever it says of its length, as long as it comes at the least rate."""
        length, block = 0, bytearray()
        stream = request.stream()
        clock = asyncio.get_running_loop().time
        began = clock()
        with path.open("xb") as file:
            while True:
                async with asyncio.timeout_at(min(clock() + IDLE_SECONDS, began + GRACE_SECONDS + length / LEAST_RATE)):
                    part = await anext(stream, None)
                block += part or b""
                length += len(part or b"")
                if length > uploads.largest:
                    raise _Refusal(413, f"Expected a file of up to {uploads.largest // 10**6:,} MB.")
                if part is None or len(block) >= _BLOCK:
                    await run_in_threadpool(file.write, bytes(block))
                    block.clear()
                if part is None:
                    break

    def remove(request: Request) -> Response:
        infos = shelf.chosen(_query(request))
        removed = uploads.remove(infos, wait=BUSY_SECONDS)
        back = len(infos) - removed.deleted
        note = f"The next `refdesk index` of its folder brings {'it' if back == 1 else 'them'} back." if back else ""
        return said({"removed": list(removed.sources), "deleted": removed.deleted, "note": note})

    def reindex(request: Request) -> Response:
        return said(uploads.reindex(shelf.chosen(_query(request)), owner_of(request.scope)).as_json(), 201)

    async def rename(request: Request) -> Response:
        if int(request.headers.get("content-length", "0")) > _LONGEST_RENAMING:
            raise _Refusal(413, "The request is too long.")
        try:
            body = await request.json()
        except (ValueError, RecursionError):
            body = None
        name = body.get("name") if isinstance(body, dict) else None
        if not isinstance(name, str):
            raise _Refusal(400, 'Expected {"name": "…"} with the new name.')
        infos = await run_in_threadpool(shelf.chosen, _query(request))
        if len(infos) > 1:
            raise _Refusal(400, "Several files have this source: say which one by its id.")
        work = partial(uploads.rename, infos[0], name, wait=BUSY_SECONDS)
        return said({"source": await to_thread.run_sync(work, limiter=changing)})

    def jobs(request: Request) -> Response:
        own = uploads.ingest.jobs(owner_of(request.scope))
        return said({"jobs": [{**job.as_json(job.revision), "files": []} for job in own]})

    def found_job(job_id: str, owner: str | None = None) -> Job:
        job = uploads.ingest.find(job_id)
        if job is None or (owner is not None and job.owner != owner):
            raise _Refusal(404, "There is no such job (any more).")
        return job

    def state(request: Request) -> Response:
        since = _number(request.query_params.get("since"), 0, 2**62)
        return said(found_job(request.path_params["job"]).as_json(since))

    def stop(request: Request) -> Response:
        job = found_job(request.path_params["job"])
        uploads.stop(job)
        return said(job.as_json())

    def replace(request: Request) -> Response:
        job = found_job(request.path_params["job"], owner_of(request.scope))
        since = _number(request.query_params.get("since"), 0, 2**62)
        numbers = {_number(value or "none", 0, MOST_WAITING) for key, value in _query(request) if key == "number"}
        uploads.replace(job, numbers, wait=BUSY_SECONDS)
        return said(job.as_json(since))

    one, every = "/api/jobs/{job}", "/api/documents"
    return [
        Route(every, in_thread(listing), methods=["GET"]),
        Route(every, answering(upload), methods=["POST"]),
        Route(every, answering(rename), methods=["PATCH"]),
        Route(every, in_thread(remove, changing), methods=["DELETE"]),
        Route(f"{every}/reindex", in_thread(reindex), methods=["POST"]),
        Route("/api/jobs", in_thread(jobs), methods=["GET"]),
        Route(one, in_thread(state), methods=["GET"]),
        Route(one, in_thread(stop), methods=["DELETE"]),
        Route(f"{one}/replace", in_thread(replace, changing), methods=["POST"]),
    ]


def _query(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.url.query, keep_blank_values=True, errors="replace")


def _number(text: str | None, default: int, most: int) -> int:
    """A number of a query, `default` where there is none; one that is larger than `most` is `most`."""
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise _Refusal(400, f"Expected a whole number, came {text[:20]!a}.")
    return most if len(text) > len(str(most)) else min(int(text), most)


def _status(error: QAError) -> int:
    if isinstance(error, DiskFullError):
        return 507
    if isinstance(error, QueueFullError):
        return 503
    return 409 if isinstance(error, TakenError) else 400


def _without_folders(error: QAError, site: Site) -> str:
    """An error's line without this machine's folders, which are nobody's business in a browser."""
    return sentence_case(without_folder(str(error), site.library.path, "of this page"))

"""Cited pages as pictures, and the original files, over HTTP."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from qa.errors import CitationError, LibraryError, QAError, QuestionError
from qa.escape import plain
from qa.originals import ChangedError, GoneError, original
from qa.page.guard import Rule
from qa.page.render import sentence_case
from qa.pictures import NARROWEST, WIDEST, WIDTH, NoPageError, Picture, PictureError, Pictures

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from qa.page.site import Site
    from qa.types import Context

_CITATION = r"/api/citations/[0-9a-f]{16}\.[0-9]{1,12}\.[0-9]{1,12}"
RULES = (Rule(re.compile(rf"{_CITATION}/(page\.png|page\.json|original)"), ("GET",)),)
AT_ONCE = 8
"""Requests that wait for a picture; a hostile file must not take the page its threads."""
_CHUNK = 1 << 18  # bytes of a file sent at a time
_NOT_LOCATED = "The quoted words could not be located on this page, so that nothing is marked."
_CODES: tuple[tuple[type[QAError], int], ...] = (
    (QuestionError, 400),
    (CitationError, 404),
    (NoPageError, 404),
    (GoneError, 410),
    (ChangedError, 409),
    (PictureError, 422),
    (LibraryError, 503),
)


def routes(site: Site) -> list[BaseRoute]:
    """The routes of pictures and of originals; the Guard lets through what is for them."""
    from anyio import CapacityLimiter, to_thread
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    pictures = Pictures(site.library)
    limiter = CapacityLimiter(AT_ONCE)
    fresh = {"cache-control": "no-store"}

    def refused(line: str, code: int) -> Response:
        return JSONResponse({"error": line}, code, fresh)

    def answering(work: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return await to_thread.run_sync(work, request, limiter=limiter)
            except QAError as error:
                code = next((code for kind, code in _CODES if isinstance(error, kind)), 500)
                return refused(sentence_case(str(error)), code)

        return endpoint

    def number(request: Request, key: str, expected: str) -> int | None:
        said = request.query_params.get(key)
        if said is not None and not (said.isascii() and said.isdigit() and len(said) < 6):
            raise QuestionError(f"{key} is not a number: expected {expected}")
        return None if said is None else int(said)

    def drawn(request: Request) -> Picture:
        width = number(request, "width", f"{NARROWEST} to {WIDEST} pixels")
        page = number(request, "page", "that of a page, from 1")
        return pictures.picture(request.path_params["citation"], WIDTH if width is None else width, page)

    def page(request: Request) -> Response:
        return Response(drawn(request).png, media_type="image/png", headers=fresh)

    def about(request: Request) -> Response:
        try:
            said = described(drawn(request))
        except (GoneError, ChangedError, PictureError) as error:  # no refusal: a browser's console logs each
            context = site.library.open_citation(request.path_params["citation"])
            said = undrawn(context, sentence_case(str(error)))
        return JSONResponse(said, headers=fresh)

    def download(request: Request) -> Response:
        if not site.settings.originals:
            return refused("This server does not give out the files themselves.", 403)
        with ExitStack() as stack:
            found = stack.enter_context(original(site.library, request.path_params["citation"].partition(".")[0]))
            held = stack.pop_all()

        def content() -> Iterator[bytes]:
            with held:
                left = found.size
                while left and (part := found.file.read(min(_CHUNK, left))):
                    left -= len(part)
                    yield part

        headers = {**fresh, "content-length": str(found.size), "content-disposition": disposition(found.name)}
        return StreamingResponse(content(), media_type="application/octet-stream", headers=headers)

    one = "/api/citations/{citation}"
    return [
        Route(f"{one}/page.png", answering(page), methods=["GET"]),
        Route(f"{one}/page.json", answering(about), methods=["GET"]),
        Route(f"{one}/original", answering(download), methods=["GET"]),
    ]


def described(picture: Picture) -> dict[str, Any]:
    """A picture as JSON holds it: its page, its size in pixels and the boxes of the quoted words in fractions of it."""
    return {
        "page": picture.page,
        "pages": picture.pages,
        "width": picture.width,
        "height": picture.height,
        "located": picture.located,
        "note": None if picture.located else _NOT_LOCATED,
        "boxes": [asdict(box) for box in picture.boxes],
    }


def undrawn(context: Context, note: str) -> dict[str, Any]:
    """The same of a page that cannot be drawn (any more), and why: it is 0 pixels wide."""
    page = context.citation.page or 1
    nothing = Picture(b"", page, context.document.pages or page, 0, 0, ())
    return {**described(nothing), "note": note}


def disposition(name: str) -> str:
    """The Content-Disposition of a download: its name, without what is not seen, and in ASCII for old browsers."""
    name = plain(name).replace("/", "_").replace("\\", "_")
    ascii_name = re.sub(r'[^ -~]|["%\\]', "_", name)
    return f"attachment; filename=\"{ascii_name}\"; filename*=utf-8''{quote(name, safe='')}"

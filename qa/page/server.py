"""The page over HTTP: the server on this machine, its door, and its end by Ctrl-C."""

from __future__ import annotations

import atexit
import ctypes
import errno
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qa import Library, QAError
from qa.history import History
from qa.page import api, document_routes, evaluation_routes, history_routes, login, picture_routes
from qa.page.evaluations import Evaluations
from qa.page.guard import (
    HEALTH,
    ICON,
    LOGIN,
    LOGOUT,
    LONGEST_BODY,
    MANIFEST,
    METRICS,
    ROUTES,
    Front,
    Guard,
    Rule,
    is_loopback,
)
from qa.page.limits import PER_MINUTE, Limits
from qa.page.log import Log
from qa.page.login import Door
from qa.page.scopes import OWNER
from qa.page.sessions import KEPT_SECONDS, KEPT_WITHOUT_HISTORY, MOST_SESSIONS, Sessions
from qa.page.site import Settings, Site
from qa.page.watch import Observer, Watch
from qa.uploads import Uploads
from qa.users import Users

if TYPE_CHECKING:
    import asyncio

    import uvicorn
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

LOCAL = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("0.0.0.0", "::", "")
_POLLING = 0.01
"""Seconds between two looks of Gradio's queue for something to do. Its own 1 ms keeps a core 4 % busy when nobody asks,
this 1 %."""
HEAPS = 2
"""Heaps of a server. While 32 people asked and 1,000 files were added in two and a half minutes it came to 430 and
470 MB (two runs) and stayed there; with glibc's own number, eight for each core, to 674 MB, and it went on growing."""
_M_ARENA_MAX = -8  # of malloc.h
FILES = 65_536
"""Open files of a server, where the system allows so many; with the usual 1,024 as many idle connections locked all
others out. Where there is no limit at all, some programs go through all numbers that a file could have."""
CLOSING_SECONDS = 5
"""How long the end of the server waits for answers in hand; the slowest measured takes two seconds."""
LEAVING_SECONDS = 1
"""How long the end of the program waits for threads that still work, after the server has ended."""
HEAD_SECONDS = 20
"""How long a connection may stay open without a whole request's head. A browser sends it at once; connections that it
opens ahead of use are opened again when they are needed."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
"""A library's part of the address, where several are served."""
_ROOT = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_TAKEN = frozenset(route.split("/")[1] for route in (*ROUTES, "/metrics", "/login", "/logout", "/api", "/evaluations"))


FEATURES = (evaluation_routes, document_routes, history_routes, api, picture_routes)
"""Modules with the RULES of their paths, and `routes(site)` to answer there."""


def build_app(library: Library | Mapping[str, Library], *, settings: Settings | None = None) -> FastAPI:
    """The page of a library as an application for an ASGI server; of several, each below its name.

    Args:
        library: an open library, or several by name; they stay the caller's to close.
        settings: how they are served; `host` may stand in a browser's address line.

    Raises:
        QAError: a name or a setting cannot be used.
    """
    from starlette.routing import Route

    settings = checked(settings or Settings())
    libraries = {"": library} if isinstance(library, Library) else dict(library)
    several = () if isinstance(library, Library) else tuple(libraries)
    check_names(several, settings)
    watch = Watch(Log(settings.log, text=settings.log_text))
    pages = ["/", *(f"/{name}/" for name in several)]
    door = Door(Users.open(settings.users), settings.root_path, pages) if settings.users else None
    sites = [_site(one, settings, watch, name, several) for name, one in libraries.items()]
    watch.metrics.sites.extend(sites)

    async def metrics(_: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response

        watch.metrics.dropped.set(watch.log.dropped)
        text = await run_in_threadpool(watch.metrics.text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    front: list[BaseRoute] = [Route(METRICS, metrics, methods=["GET"])]
    front += login.routes(door) if door else []
    app = _libraries(sites, front, door) if several else _page(sites[0], front)
    app.state.site, app.state.sites, app.state.watch = sites[0], sites, watch

    everywhere = settings.host in _EVERYWHERE
    app.add_middleware(
        Guard,
        hosts={*LOCAL, socket.gethostname() if everywhere else settings.host, *settings.trusted_hosts},
        any_address=everywhere,
        rules=_rules(),
        read_only=settings.read_only,
        front=Front(
            root=settings.root_path,
            names=frozenset(several),
            door=door,
            limits=Limits(rate) if (rate := per_minute(settings)) else None,
            metrics_open=settings.metrics_open,
            max_upload=settings.max_upload,
        ),
    )
    app.add_middleware(Observer, watch=watch, templates=_templates(app.routes), known=ROUTES | {METRICS, LOGIN, LOGOUT})
    return app


def checked(settings: Settings) -> Settings:
    """Settings with the root path as it is used: "docs/" is "/docs".

    Raises:
        QAError: one of them makes no sense.
    """
    root = f"/{settings.root_path.strip('/')}".rstrip("/")
    if not _ROOT.fullmatch(root) or {".", ".."} & set(root.split("/")):
        raise QAError(f"--root-path got {settings.root_path!r}: expected a path such as /docs")
    for host in settings.trusted_hosts:
        if not re.fullmatch(r"[A-Za-z0-9.-]+|[0-9a-fA-F:]+", host):
            raise QAError(
                f"--trusted-host got {host!r}: expected a name such as docs.example.org, without port or path"
            )
    for option, value in (("--rate", settings.rate), ("--disk", settings.disk), ("--max-upload", settings.max_upload)):
        if value is not None and value < 0:
            raise QAError(f"{option} got {value}: expected 0 or more")
    return replace(settings, root_path=root)


def check_names(names: Iterable[str], settings: Settings) -> None:
    """Check that libraries' names can be parts of an address.

    Raises:
        QAError: one cannot.
    """
    for name in names:
        if not NAME.fullmatch(name):
            raise QAError(f"library name {name!r}: expected up to 40 letters, digits, - and _, as in handbook=DIR")
        if name in _TAKEN or name == settings.root_path[1:].partition("/")[0]:
            raise QAError(f"library name {name!r} is taken by the server itself: choose another")


def per_minute(settings: Settings) -> int:
    """Questions a minute of one visitor, 0 for any number. A server for this machine alone, where programs ask as fast
    as they can, has no limit unless it is given one."""
    if settings.rate is not None:
        return settings.rate
    shared = not is_loopback(settings.host) or settings.root_path or settings.trusted_hosts or settings.users
    return PER_MINUTE if shared else 0


def _templates(routes: Iterable[BaseRoute]) -> list[tuple[re.Pattern[str], str]]:
    """The patterns and paths of all routes of our own, those of each library's page among them."""
    from fastapi import FastAPI
    from starlette.routing import Mount, Route

    found: dict[str, re.Pattern[str]] = {}
    for route in routes:
        if isinstance(route, Mount) and type(route.app) is FastAPI:
            found |= {path: pattern for pattern, path in _templates(route.app.routes)}
        elif isinstance(route, Route):
            found[route.path] = route.path_regex
    return [(pattern, path) for path, pattern in found.items()]


def _rules() -> list[Rule]:
    return [rule for feature in FEATURES for rule in feature.RULES]


def _site(library: Library, settings: Settings, watch: Watch, name: str, names: tuple[str, ...]) -> Site:
    """A library's site; the URLs in it are relative to its page."""
    history = None if settings.read_only else History.open(library.path)
    libraries = tuple((one, title(one), f"../{one}/") for one in names)
    logout = (f"..{LOGOUT}" if name else LOGOUT[1:]) if settings.users else ""
    uploads = Uploads(library, largest=settings.max_upload)
    return Site(library, settings, Evaluations(library), history, name, libraries, logout, watch, uploads)


def title(name: str) -> str:
    """A library's name for people: "staff-handbook" is "staff handbook"."""
    return re.sub("[-_]+", " ", name).strip() or name


def _page(site: Site, more: list[BaseRoute]) -> FastAPI:
    """The page of one library and its programs' interface, without what guards them; `more` answers before the page."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
    # Else it makes a table of the last 10,000 calls after each call, for a page of its own that is closed here.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**9)
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
    import gradio
    from fastapi import FastAPI
    from starlette.middleware.cors import CORSMiddleware

    from qa.page import layout

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            site.evaluations.close()
            if site.uploads is not None:
                site.uploads.close()
            if site.history is not None:
                site.history.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.router.routes.extend([_health([site]), *_about(), *more])
    for feature in FEATURES:
        app.router.routes.extend(feature.routes(site))

    # With a CORS policy of the parent's, Gradio adds none of its own, which would reflect any origin.
    app.add_middleware(CORSMiddleware, allow_origins=[])

    blocks = layout.build(site)
    blocks.queue(max_size=64, api_open=False)
    blocks._queue.sleep_when_free = _POLLING
    blocks._queue.progress_update_sleep_when_free = 1.0
    blocks.state_session_capacity = MOST_SESSIONS
    kept = KEPT_SECONDS if site.history is not None else KEPT_WITHOUT_HISTORY
    app.add_middleware(Sessions, blocks=blocks, keep=kept)
    gradio.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=layout.theme(),
        head=layout.head(),
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        max_file_size=LONGEST_BODY,
        allowed_paths=[],
    )
    blocks.has_launched = True  # mounting never sets it, and until it is set Gradio skips its checks of file paths
    return app


def _libraries(sites: list[Site], more: list[BaseRoute], door: Door | None) -> FastAPI:
    """The pages of several libraries, each below its name, and one to choose from."""
    from fastapi import FastAPI
    from starlette.responses import HTMLResponse, RedirectResponse
    from starlette.routing import Mount, Route

    pages = {site.name: _page(site, []) for site in sites}
    listed = tuple((site.name, title(site.name), f"{site.name}/") for site in sites)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for page in pages.values():
                await stack.enter_async_context(page.router.lifespan_context(page))
            yield

    async def choose(request: Request) -> Response:
        if len(sites) == 1:
            return RedirectResponse(f"{sites[0].name}/", 303)
        user = request.scope.get(OWNER, "") if door else ""
        return HTMLResponse(login.choice(listed, user=user, logout=LOGOUT[1:] if door else ""))

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.router.routes.extend([_health(sites), *_about(), *more, Route("/", choose, methods=["GET"])])
    app.router.routes.extend(Mount(f"/{name}", page) for name, page in pages.items())
    return app


def _health(sites: list[Site]) -> BaseRoute:
    """Says whether questions can be answered; a load balancer wants no more, and a stranger gets no more."""
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    def health(_: Request) -> Response:
        try:
            for site in sites:
                site.library.store.generation()
        except Exception as error:  # noqa: BLE001 - whatever it is, it cannot answer
            print(f"refdesk: library {site.library.path} cannot be read ({error})", file=sys.stderr)  # noqa: T201
            return JSONResponse({"status": "failed", "error": "A library cannot be read."}, 503)
        if sites[0].watch.closing.is_set():
            return JSONResponse({"status": "closing", "error": "The server is closing."}, 503)
        return JSONResponse({"status": "ok"})

    return Route(HEALTH, health, methods=["GET"])


def _about() -> list[BaseRoute]:
    """What browsers ask for beside a page, without cookies: its name, and an icon, which the page brings itself."""
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    return [
        Route(MANIFEST, lambda _: JSONResponse({"name": "Refdesk", "display": "browser"}), methods=["GET"]),
        Route(ICON, lambda _: Response(status_code=204), methods=["GET"]),
    ]


def serve(
    library: Library | Mapping[str, Library],
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    open_browser: bool = False,
    settings: Settings | None = None,
) -> None:
    """Serve the page of a library until Ctrl-C or SIGTERM. Prints one line with its address to stderr.

    Args:
        library: an open library, or several by name.
        host: the address to listen at; "0.0.0.0" is every address of this machine.
        port: 0 takes a free one.
        open_browser: open the page in the system's browser?
        settings: how it is served; `host` is put into them.

    Raises:
        QAError: the address cannot be had, the port is in use, or a setting cannot be used.
    """
    use_few_heaps()
    allow_connections()
    settings = checked(replace(settings or Settings(), host=host))
    libraries = [library] if isinstance(library, Library) else list(library.values())
    with _listening(host, port) as listener, _private_folder(), _until_terminated():
        app = build_app(library, settings=settings)
        listener.listen(128)
        address = url(host, listener.getsockname()[1])
        print(f"Refdesk is at {address} (Ctrl-C stops it)", file=sys.stderr, flush=True)  # noqa: T201
        warming = threading.Thread(target=_warm, args=(libraries,), daemon=True)
        warming.start()
        if open_browser and _has_screen():
            webbrowser.open(address)
        try:
            with suppress(KeyboardInterrupt, _Terminated):  # uvicorn raises it again when everything is closed
                http_server(app).run(sockets=[listener])
        finally:
            app.state.watch.log.close()
        threading.Thread(target=_leave_in_time, daemon=True).start()
        if warming.is_alive() or any(site.evaluations.working() for site in app.state.sites):
            atexit.register(_leave)


def http_server(app: FastAPI, *, proxied: bool = True) -> uvicorn.Server:
    """A server for what `build_app` made, whose end waits for answers in hand and not for pages that are open.

    With `proxied`, a proxy on this machine (or one that FORWARDED_ALLOW_IPS names) says who asks, and whether by HTTPS.
    """
    import h11
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        """Closes a connection that brings no request: each is an open file, and whoever holds all of them locks others
        out."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.waiting = self.loop.call_later(HEAD_SECONDS, self.close_idle)

        def connection_lost(self, exc: Exception | None) -> None:
            self.waiting.cancel()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            self.waiting.cancel()
            self.waiting = self.loop.call_later(HEAD_SECONDS, self.close_idle)
            super().on_response_complete()

        def close_idle(self) -> None:
            if self.conn.their_state is h11.IDLE:
                self.transport.close()

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            app.state.watch.closing.set()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        http=Protocol,
        log_level="error",
        ws="none",
        access_log=False,
        proxy_headers=proxied,
        timeout_graceful_shutdown=CLOSING_SECONDS,
    )
    return Server(config)


def use_few_heaps() -> None:
    """Let threads share the heaps of glibc's malloc, which else gives each of them its own and returns little of it."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, HEAPS)


def allow_connections() -> None:
    """Let the program have as many open files as the system allows it, up to FILES: each connection is one."""
    if sys.platform == "linux":
        import resource

        now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(OSError, ValueError):  # a sandbox may not allow it
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, min(most, FILES)), most))


class _Terminated(SystemExit):
    """SIGTERM came: the program ends with 0."""


@contextmanager
def _until_terminated() -> Iterator[None]:
    """SIGTERM ends what is inside as Ctrl-C does, with what it has to tidy up."""

    def end(*_: Any) -> None:  # noqa: ANN401 - a number and a frame
        raise _Terminated(0)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave_in_time() -> None:
    """End the program though threads still work, which Python would wait for: a question that nobody hears any more."""
    threading.main_thread().join()
    time.sleep(LEAVING_SECONDS)
    _leave()


def _leave() -> None:
    """End the program at once: Python taken down below a thread in torch's code crashes loudly."""
    sys.stderr.flush()
    os._exit(0)


def url(host: str, port: int) -> str:
    """The address to open in a browser on this machine."""
    name = "127.0.0.1" if host in _EVERYWHERE else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def _has_screen() -> bool:
    """Can a browser show itself? Without a screen, Python would start a text browser in this terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at the address, had before anything slow is done."""
    if not 0 <= port <= 65_535:
        raise QAError(f"port {port} does not exist: choose one up to 65535 with --port, or 0 for any that is free")
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family[0], socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise QAError(f"cannot serve at {host!r} ({error}): choose another address with --host") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(family[4])
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise QAError(f"port {port} on {host} is in use: choose another, such as --port {port + 1}") from error
            raise QAError(
                f"cannot serve at {host}:{port} ({error.strerror}): choose others with --host and --port"
            ) from error
        yield listener


@contextmanager
def _private_folder() -> Iterator[None]:
    """A temporary folder of this run's own for Gradio, gone afterwards."""
    folder = tempfile.mkdtemp(prefix="refdesk-page-")
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["GRADIO_TEMP_DIR"]
        else:
            os.environ["GRADIO_TEMP_DIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


def _warm(libraries: list[Library]) -> None:
    """Load encoder and indexes while the page opens, so that the first question does not wait for them."""
    for library in libraries:
        with suppress(QAError):  # the first question tells it to somebody who can read it
            library.retrieve("warm", 1)

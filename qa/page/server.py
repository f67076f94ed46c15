"""The page over HTTP: the server on this machine, its door, and its end by Ctrl-C."""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

from qa import Library, QAError
from qa.page import evaluation_routes
from qa.page.evaluations import Evaluations
from qa.page.guard import LONGEST_BODY, Guard
from qa.page.site import Settings, Site

if TYPE_CHECKING:
    from fastapi import FastAPI

LOCAL = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("0.0.0.0", "::", "")
_CLOSING_SECONDS = 1


FEATURES = (evaluation_routes,)
"""Modules with the RULES of their paths, and `routes(site)` to answer there."""


def build_app(library: Library, *, settings: Settings | None = None) -> FastAPI:
    """The page of a library as an application for an ASGI server.

    Args:
        library: an open library; it stays the caller's to close.
        settings: how it is served; `host` may stand in a browser's address line.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
    import gradio
    from fastapi import FastAPI
    from starlette.middleware.cors import CORSMiddleware

    from qa.page import layout

    settings = settings or Settings()
    evaluations = Evaluations(library)
    site = Site(library, settings, evaluations)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            evaluations.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    app.state.site = site
    for feature in FEATURES:
        app.router.routes.extend(feature.routes(site))

    # With a CORS policy of the parent's, Gradio adds none of its own, which would reflect any origin.
    app.add_middleware(CORSMiddleware, allow_origins=[])
    everywhere = settings.host in _EVERYWHERE
    app.add_middleware(
        Guard,
        hosts={*LOCAL, socket.gethostname() if everywhere else settings.host},
        any_address=everywhere,
        rules=[rule for feature in FEATURES for rule in feature.RULES],
        read_only=settings.read_only,
    )

    blocks = layout.build(site)
    blocks.queue(max_size=64, api_open=False)
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


def serve(library: Library, *, host: str = "127.0.0.1", port: int = 7860, open_browser: bool = False) -> None:
    """Serve the page of a library until Ctrl-C. Prints one line with its address to stderr.

    Args:
        library: an open library.
        host: the address to listen at; "0.0.0.0" is every address of this machine.
        port: 0 takes a free one.
        open_browser: open the page in the system's browser?

    Raises:
        QAError: the address cannot be had, or the port is in use.
    """
    with _listening(host, port) as listener, _private_folder():
        import uvicorn

        app = build_app(library, settings=Settings(host=host))
        listener.listen(128)
        address = url(host, listener.getsockname()[1])
        print(f"Refdesk is at {address} (Ctrl-C stops it)", file=sys.stderr, flush=True)  # noqa: T201
        warming = threading.Thread(target=_warm, args=(library,), daemon=True)
        warming.start()
        if open_browser and _has_screen():
            webbrowser.open(address)
        config = uvicorn.Config(
            app, log_level="error", ws="none", access_log=False, timeout_graceful_shutdown=_CLOSING_SECONDS
        )
        with suppress(KeyboardInterrupt):  # uvicorn raises it again when everything is closed
            uvicorn.Server(config).run(sockets=[listener])
        if warming.is_alive() or app.state.site.evaluations.working():
            atexit.register(_leave)


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


def _warm(library: Library) -> None:
    """Load encoder and indexes while the page opens, so that the first question does not wait for them."""
    with suppress(QAError):  # the first question tells it to somebody who can read it
        library.retrieve("warm", 1)

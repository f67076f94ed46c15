"""What the parts of one server share: its library, how it was started, and who asks."""

from __future__ import annotations

import math
import re
import secrets
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa.page.metrics import measure
from qa.page.scopes import OWNER
from qa.page.watch import Watch

if TYPE_CHECKING:
    from qa import Library
    from qa.history import History
    from qa.page.evaluations import Evaluations
    from qa.uploads import Uploads

KEPT_BYTES = 100_000
"""What a kept answer may take: one of twenty passages has 30,000 characters, of up to three bytes in most scripts."""
MEASURED_SECONDS = 5.0
MEASURED_SHARE = 0.01
"""A folder's size is taken as it was for so many seconds, and longer where measuring would take more than this share
of the time: 100,000 files take half a second."""
COOKIE = "refdesk-visitor"
"""Tells a browser's own conversations from those of others, where nobody logs in."""
_VISITOR = re.compile(r"[A-Za-z0-9_-]{24}")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server was started.

    Attributes:
        host: the address that it listens at.
        read_only: nobody changes the library or writes beside it.
        originals: visitors may download the files themselves.
        root_path: where a proxy shows it, such as "/docs"; empty for the top.
        trusted_hosts: names that it answers to besides its own.
        users: the file of those who may log in; None lets everybody in.
        max_upload: most bytes of one upload.
        disk: most bytes of a library's folder, its uploads among them; None for all there are.
        rate: questions a minute of one visitor, 0 for any number; None for the default, see `per_minute`.
        metrics_open: may everybody read the metrics?
        log: the file for a JSON line a request, "-" for standard error.
        log_text: may questions stand in the log?
    """

    host: str = "127.0.0.1"
    read_only: bool = False
    originals: bool = False
    root_path: str = ""
    trusted_hosts: tuple[str, ...] = ()
    users: Path | None = None
    max_upload: int = 100_000_000
    disk: int | None = None
    rate: int | None = None
    metrics_open: bool = False
    log: Path | None = None
    log_text: bool = False


@dataclass(slots=True)
class Measured:
    """Bytes of a folder as they were when they were last asked for: a pass over all its files takes its time."""

    bytes: int | None = None
    until: float = 0.0  # on the monotonic clock

    def of(self, folder: Path) -> int:
        """The folder's bytes, measured anew in a thread where that was some seconds ago; only the first call waits."""
        held = self.bytes
        if held is None:
            return self._measure(folder)
        if time.monotonic() >= self.until:
            self.until = math.inf  # one thread is enough
            threading.Thread(target=self._measure, args=(folder,), name="refdesk-measure", daemon=True).start()
        return held

    def _measure(self, folder: Path) -> int:
        began = time.monotonic()
        held = self.bytes = measure(folder)[1]
        ended = time.monotonic()
        self.until = ended + max(MEASURED_SECONDS, (ended - began) / MEASURED_SHARE)
        return held


@dataclass(frozen=True, slots=True)
class Site:
    """One library's page and programs' interface, as their parts see it.

    Attributes:
        history: the conversations; None where nothing may be kept.
        name: its part of the address where several libraries are served, else empty.
        libraries: (name, title, relative URL) of all of them, itself among them; empty where there is one.
        logout: the relative URL to post to, empty where nobody logs in.
        watch: counts and logs what happens.
        uploads: files that visitors add; None makes the routes of documents open them themselves.
        measured: bytes of the library's folder, for what is asked at each question.
    """

    library: Library
    settings: Settings
    evaluations: Evaluations
    history: History | None = None
    name: str = ""
    libraries: tuple[tuple[str, str, str], ...] = ()
    logout: str = ""
    watch: Watch = field(default_factory=Watch)
    uploads: Uploads | None = None
    measured: Measured = field(default_factory=Measured)

    def asking(self, question: str) -> AbstractContextManager[None]:
        """Wrap what answers a question, so that it is counted and timed: `with site.asking(question): …`."""
        return self.watch.asking(self.name, question)


def enough_room(site: Site, more: int) -> str | None:
    """Why `more` bytes cannot be kept in the library's folder, as a sentence; None if they can."""
    most = site.settings.disk
    if most is None or (held := measure(site.library.path)[1]) + more <= most:
        return None
    return (
        f"The library may take {most / 1e6:,.1f} MB and has {held / 1e6:,.1f} MB, so that {more / 1e6:,.1f} MB more do "
        "not fit: remove something first."
    )


def may_keep(site: Site) -> bool:
    """Is there room for one more answer in the library's folder, by what it held when that was last asked?"""
    most = site.settings.disk
    return most is None or site.measured.of(site.library.path) + KEPT_BYTES <= most


def owner_of(scope: Any) -> str:  # noqa: ANN401 - an ASGI scope
    """Who asks: conversations and feedback are theirs. Empty where a request brings no cookie and nobody logged in."""
    found: str = scope.get(OWNER, "")
    return found


def new_visitor() -> str:
    """A visitor's number, which nobody guesses."""
    return secrets.token_urlsafe(18)


def visitor_of(cookies: str) -> str:
    """The visitor's number in a Cookie header, empty if there is none."""
    for pair in cookies.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE and _VISITOR.fullmatch(value):
            return value
    return ""

"""The door of the page's server: who may ask, for what, and what every response tells the browser."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

from qa.page.limits import CHARGE, Limits
from qa.page.login import Door, TooManyError
from qa.page.scopes import LIBRARY, OWNER, PATH, USER
from qa.page.site import COOKIE, new_visitor, visitor_of

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_BODY = 1_000_000
"""Bytes of a request; the longest that the page sends is a question."""
JOIN, DATA = "/gradio_api/queue/join", "/gradio_api/queue/data"
"""Gradio's calls and the streams of their answers."""
ROUTES = frozenset(
    (
        "/",
        "/health",
        "/config",
        "/theme.css",
        "/favicon.ico",
        "/manifest.json",
        "/robots.txt",
        "/gradio_api/app_id",
        "/gradio_api/startup-events",
        "/gradio_api/theme.css",
        JOIN,
        DATA,
        "/gradio_api/cancel",
        "/gradio_api/reset",
    )
)
"""What the page uses. Everything else that Gradio serves (uploads, files, proxies, calls by name) is closed."""
FOLDERS = ("/assets/", "/static/", "/gradio_api/heartbeat/")
REPORT = re.compile(r"/evaluations/[A-Za-z0-9_-]{24}/report\.html")


@dataclass(frozen=True, slots=True)
class Rule:
    """What the Guard lets through for one path besides what Gradio needs. No other site may link to it.

    With `changes`, its methods other than GET change the library or what is kept beside it, and a read-only server
    refuses them. With `upload`, a body may be as long as `Settings.max_upload` says, in place of `longest`.
    """

    path: re.Pattern[str]
    methods: tuple[str, ...]
    longest: int = LONGEST_BODY  # bytes of a body
    changes: bool = False
    upload: bool = False


POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio's start script and its js_on_load need both
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "frame-src 'none'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # with "no-referrer", browsers send forms from an origin that they call null
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts"
)
# The HTML standard has browsers refuse a page that is sandboxed and asks for an opener policy as well; the link that
# opens this one gives it no opener.
REPORT_HEADERS = (
    (b"content-security-policy", REPORT_POLICY.encode()),
    *(pair for pair in HEADERS[1:] if pair[0] != b"cross-origin-opener-policy"),
)
"""A report's headers: besides the policy that it brings, it has an origin of its own and reaches nothing at all."""


HEALTH, METRICS, LOGIN, LOGOUT = "/health", "/metrics", "/login", "/logout"
MANIFEST, ICON = "/manifest.json", "/favicon.ico"
"""What Gradio's page names and browsers ask for without telling who they are."""


@dataclass(frozen=True, slots=True)
class Front:
    """What the Guard knows of the server as a whole.

    Attributes:
        root: where a proxy shows it, such as "/docs"; empty for the top. The proxy may leave it out or pass it on.
        names: of the libraries, each below /NAME/; empty where there is one.
        door: who has logged in; None where everybody is let in.
        limits: how much one may ask; None for any number.
        metrics_open: may everybody read the metrics?
        max_upload: bytes of an upload.
    """

    root: str = ""
    names: frozenset[str] = frozenset()
    door: Door | None = None
    limits: Limits | None = None
    metrics_open: bool = False
    max_upload: int = LONGEST_BODY

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of the server as a whole, beside those of its libraries."""
        return ("/", HEALTH, METRICS, MANIFEST, ICON, *((LOGIN, LOGOUT) if self.door else ()))

    def place(self, scope: Scope) -> None:
        """Note in a scope where the server is mounted, which library is asked, and the path below its page."""
        path: str = scope["path"]
        if self.root and path != self.root and not path.startswith(f"{self.root}/"):
            path = self.root + path
        scope["path"], scope["root_path"] = path, self.root
        below = path[len(self.root) :]
        first, slash, rest = below[1:].partition("/")
        named = first in self.names
        scope[LIBRARY], scope[PATH] = (first, slash + rest) if named else ("", below)

    def open_to_all(self, path: str, library: str) -> bool:
        """May somebody ask for a path who has not logged in?"""
        return path in (HEALTH, MANIFEST, ICON) or (path in (LOGIN, METRICS) and not library)


class Guard:
    """ASGI middleware: refuses other hosts, other origins, strangers, closed routes, floods and long bodies; sets
    `HEADERS` on all responses, and in the scope who asks and for what.

    Args:
        app: what answers.
        hosts: names that the server answers to.
        any_address: does it answer to any IP address as well?
        rules: paths besides those that Gradio needs.
        read_only: are rules with `changes` for reading only?
        front: the server as a whole.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Iterable[str],
        *,
        any_address: bool = False,
        rules: Sequence[Rule] = (),
        read_only: bool = False,
        front: Front | None = None,
    ) -> None:
        self.app = app
        self.rules = rules
        self.read_only = read_only
        self.front = front or Front()
        self.hosts = frozenset(host.lower() for host in hosts)
        self.any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self.front.place(scope)
        path = scope[PATH]
        visitor = visitor_of(headers.get(b"cookie", ""))
        fresh = "" if visitor or path != "/" or self.front.door else new_visitor()
        scope[OWNER] = "" if self.front.door else visitor or fresh
        marked = REPORT_HEADERS if REPORT.fullmatch(path) else HEADERS

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in HEADERS}
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in own]
                message["headers"] = [*kept, *marked]
                if fresh:
                    safe = "; Secure" if scope["scheme"] == "https" else ""
                    place = f"Path={self.front.root}/; Max-Age=31536000; HttpOnly; SameSite=Strict{safe}"
                    message["headers"].append((b"set-cookie", f"{COOKIE}={fresh}; {place}".encode()))
            await send(message)

        refused = self._stranger(scope, headers) or await self._unknown(scope, headers) or self._refusal(scope, headers)
        if refused is None:
            # Gradio would believe whom it says it was asked as, whoever says it.
            scope["headers"] = [pair for pair in scope["headers"] if not pair[0].lower().startswith(b"x-forwarded-")]
        await (refused or self._answered)(scope, receive, send_guarded)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the application answers.

        A page that was open while the server was started anew may name a function or a session that is not there.
        Gradio fails then, with a hundred lines in the terminal that anybody could write there; here it is refused.
        """
        from starlette.exceptions import HTTPException

        path: str = scope[PATH]
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        try:
            await self.app(scope, receive, hold if path == JOIN else send)
        except KeyError as error:
            if path != JOIN or type(error.args[0]) is not int:
                raise
            held.clear()
            await _said(scope, 404, "there is no such function: load the page again")(scope, receive, send)
        except RuntimeError as error:
            if path != DATA or not isinstance(error.__cause__, HTTPException):
                raise
            await send({"type": "http.response.body", "body": b"", "more_body": False})  # it has told the page
        finally:
            for message in held:
                await send(message)

    def _stranger(self, scope: Scope, headers: dict[bytes, str]) -> Response | None:
        """The answer to other hosts and other sites."""
        host = headers.get(b"host", "")
        if scope["type"] != "http":
            return _said(scope, 403, "only HTTP is served here")
        if not self._served(host):
            return _said(scope, 400, "this host is not served here")
        # Another site's page can reach this machine through its visitor's browser; it always names itself.
        if headers.get(b"origin", "").partition("://")[2] not in ("", host) or headers.get(b"origin") == "null":
            return _said(scope, 403, "requests from other sites are not answered")
        if headers.get(b"sec-fetch-site") == "cross-site" and headers.get(b"sec-fetch-mode") != "navigate":
            return _said(scope, 403, "requests from other sites are not answered")
        return None

    async def _unknown(self, scope: Scope, headers: dict[bytes, str]) -> Response | None:
        """The answer to who asks too much, or has to log in first."""
        door, limits, path = self.front.door, self.front.limits, scope[PATH]
        address = scope["client"][0] if scope.get("client") else ""
        if door is not None:
            try:
                user = await door.user_of(headers, address)
            except TooManyError as error:
                return _early(scope, error.seconds, str(error))
            if user is not None:
                scope[OWNER], scope[USER] = user, True
            elif not self.front.open_to_all(path, scope[LIBRARY]):
                return self._login(scope, headers)
        early = limits.wait(path, scope[OWNER], address) if limits else 0
        if early:
            return _early(scope, early, "too many requests")
        if limits:
            scope[CHARGE] = partial(limits.charge, scope[OWNER], address)
        if path == METRICS and not (self.front.metrics_open or scope.get(USER) or _is_local(scope, headers)):
            return _said(scope, 403, "metrics are for this machine and for users, unless --metrics-open was given")
        return None

    def _login(self, scope: Scope, headers: dict[bytes, str]) -> Response:
        from starlette.responses import RedirectResponse

        mode = headers.get(b"sec-fetch-mode")
        shown = mode == "navigate" or (mode is None and "text/html" in headers.get(b"accept", ""))
        if shown and scope["method"] in ("GET", "HEAD"):
            page = f"/{scope[LIBRARY]}/" if scope[LIBRARY] else "/"
            return RedirectResponse(f"{self.front.root}/login?next={page}", 303, {"cache-control": "no-store"})
        # A browser that is told of Basic asks for a password in a window of its own.
        asked = {} if mode else {"www-authenticate": 'Basic realm="Refdesk", charset="UTF-8"'}
        return _said(scope, 401, "log in first", asked, as_json=True)

    def _refusal(self, scope: Scope, headers: dict[bytes, str]) -> Response | None:
        """The answer where nothing is, and to what may not be done."""
        path, method = scope[PATH], scope["method"]
        if not path:
            from starlette.responses import RedirectResponse

            return RedirectResponse(f"{scope['path'].rpartition('/')[2]}/", 308)
        rule = next((rule for rule in self.rules if rule.path.fullmatch(path)), None)
        if self.front.names and not scope[LIBRARY]:
            rule = None
        if rule is not None:
            if headers.get(b"sec-fetch-site", "none") not in ("same-origin", "none"):
                return _said(scope, 403, "requests from other sites are not answered")
            if method not in rule.methods:
                return _said(scope, 405, f"expected {' or '.join(rule.methods)}")
            if self.read_only and rule.changes and method != "GET":
                return _said(scope, 403, "this server is read-only")
        elif not self._open(path, scope[LIBRARY]):
            return _said(scope, 404, "not found")
        longest = LONGEST_BODY if rule is None else self.front.max_upload if rule.upload else rule.longest
        refused = _length_refusal(method, headers, longest)
        return _said(scope, *refused) if refused else None

    def _open(self, path: str, library: str) -> bool:
        """Is a path without a rule served?"""
        front = self.front
        if path in front.paths and not library:
            return True
        return bool(library or not front.names) and (path in ROUTES or path.startswith(FOLDERS))

    def _served(self, host: str) -> bool:
        name = host_name(host)
        return name in self.hosts or (self.any_address and _is_address(name))


def _said(
    scope: Scope, status: int, reason: str, headers: dict[str, str] | None = None, *, as_json: bool = False
) -> Response:
    """A refusal: one object for programs, one line for people."""
    from starlette.responses import JSONResponse, PlainTextResponse

    if as_json or scope[PATH].startswith("/api/"):
        return JSONResponse({"error": f"{reason[0].upper()}{reason[1:]}."}, status, headers)
    return PlainTextResponse(reason, status, headers)


def _early(scope: Scope, seconds: float, reason: str) -> Response:
    wait = {"retry-after": str(math.ceil(seconds))}
    more = "" if "again" in reason else f": try again in {math.ceil(seconds)} seconds"
    return _said(scope, 429, f"{reason}{more}", wait)


def _is_local(scope: Scope, headers: dict[bytes, str]) -> bool:
    """Does a request come from this machine, and not by way of a proxy?"""
    client = scope["client"][0] if scope.get("client") else ""
    passed_on = any(name == b"forwarded" or name.startswith(b"x-forwarded-") for name in headers)
    return is_loopback(client) and is_loopback(host_name(headers.get(b"host", ""))) and not passed_on


def is_loopback(name: str) -> bool:
    """Is a host this machine, as it calls itself?"""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _length_refusal(method: str, headers: dict[bytes, str], longest: int) -> tuple[int, str] | None:
    # A body in chunks is as long as it likes, whatever else is said of its length.
    length = headers.get(b"content-length", "0" if method == "DELETE" else "")
    if method in ("GET", "HEAD", "OPTIONS"):
        return None
    if b"transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        return 411, "the request must say its length"
    return (413, "the request is too long") if len(length) > 15 or int(length) > longest else None


def host_name(host: str) -> str:
    """The name of a Host header, without its port: "[::1]:7860" is "::1"."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    # An address cannot be bound anew to another machine, as a name in the DNS can, so it is safe to answer to.
    try:
        ip_address(name)
    except ValueError:
        return False
    return True

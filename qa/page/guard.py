"""The door of the page's server: who may ask, for what, and what every response tells the browser."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from qa.page.site import COOKIE, OWNER, new_visitor, visitor_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_BODY = 1_000_000
"""Bytes of a request; the longest that the page sends is a question."""
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
        "/gradio_api/queue/join",
        "/gradio_api/queue/data",
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
    refuses them.
    """

    path: re.Pattern[str]
    methods: tuple[str, ...]
    longest: int = LONGEST_BODY  # bytes of a body
    changes: bool = False


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
    (b"referrer-policy", b"no-referrer"),
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


class Guard:
    """ASGI middleware: refuses other hosts, other origins, closed routes and long bodies; sets `HEADERS` on all."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: Iterable[str],
        *,
        any_address: bool = False,
        rules: Sequence[Rule] = (),
        read_only: bool = False,
    ) -> None:
        self.app = app
        self.rules = rules
        self.read_only = read_only
        self.hosts = frozenset(host.lower() for host in hosts)
        self.any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        cookies = next((value for name, value in scope["headers"] if name.lower() == b"cookie"), b"")
        visitor = visitor_of(cookies.decode("latin-1"))
        fresh = "" if visitor or scope["path"] != "/" else new_visitor()
        scope[OWNER] = visitor or fresh

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in HEADERS}
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in own]
                message["headers"] = [*kept, *(REPORT_HEADERS if REPORT.fullmatch(scope["path"]) else HEADERS)]
                if fresh:
                    cookie = f"{COOKIE}={fresh}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Strict"
                    message["headers"].append((b"set-cookie", cookie.encode()))
            await send(message)

        refused = self._refusal(scope)
        if refused is None:
            await self.app(scope, receive, send_guarded)
        else:
            from starlette.responses import PlainTextResponse

            status, reason = refused
            await PlainTextResponse(reason, status_code=status)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if scope["type"] != "http":
            return 403, "only HTTP is served here"
        if not self._served(host):
            return 400, "this host is not served here"
        # Another site's page can reach this machine through its visitor's browser; it always names itself.
        if headers.get(b"origin", "").partition("://")[2] not in ("", host) or headers.get(b"origin") == "null":
            return 403, "requests from other sites are not answered"
        if headers.get(b"sec-fetch-site") == "cross-site" and headers.get(b"sec-fetch-mode") != "navigate":
            return 403, "requests from other sites are not answered"
        path, method = scope["path"], scope["method"]
        rule = next((rule for rule in self.rules if rule.path.fullmatch(path)), None)
        if rule is not None:
            if headers.get(b"sec-fetch-site", "none") not in ("same-origin", "none"):
                return 403, "requests from other sites are not answered"
            if method not in rule.methods:
                return 405, f"expected {' or '.join(rule.methods)}"
            if self.read_only and rule.changes and method != "GET":
                return 403, "this server is read-only"
        elif path not in ROUTES and not path.startswith(FOLDERS):
            return 404, "not found"
        return _length_refusal(method, headers, rule.longest if rule else LONGEST_BODY)

    def _served(self, host: str) -> bool:
        name = host_name(host)
        return name in self.hosts or (self.any_address and _is_address(name))


def _length_refusal(method: str, headers: dict[bytes, str], longest: int) -> tuple[int, str] | None:
    # A body in chunks is as long as it likes, whatever else is said of its length.
    length = headers.get(b"content-length", "0" if method == "DELETE" else "")
    if method in ("GET", "HEAD", "OPTIONS"):
        return None
    if b"transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        return 411, "the request must say its length"
    return (413, "the request is too long") if len(length) > 9 or int(length) > longest else None


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

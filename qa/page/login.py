"""Logging in: the page for people, HTTP Basic for programs, and the sessions that follow."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from qa.escape import escape, name
from qa.page.limits import Buckets, network
from qa.users import LONGEST, NOBODY, Hash, Users

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

COOKIE = "refdesk-session"
SESSION_SECONDS = 7 * 86_400
"""A working week, so that people log in on Mondays; restarting the server ends all sessions."""
SESSIONS = 20_000
"""Sessions kept, the oldest dropped first: a few megabytes."""
REMEMBERED = 1_000
"""Programs' passwords that were right lately, so that not each of their requests takes a third of a second."""
CHECKS = 2
"""Passwords checked at once: each takes 32 MB and a core."""
TRIES, TRY_SECONDS = 10, 15
"""Wrong passwords that one address may give at once, and seconds until it may give one more."""
NAME_TRIES, NAME_SECONDS = 30, 15
"""The same for one name from anywhere: high enough that a stranger has to work to lock its owner out."""
LONGEST_FORM = 16_384
_FOLDER = Path(__file__).parent
_WRONG = "That name and password do not go together."


class TooManyError(Exception):
    """Too many wrong passwords; `seconds` until the next may be tried."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many wrong passwords: try again in {round(seconds + 0.5)} seconds")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Session:
    """Who has logged in, with the password's hash as it was, and until when (seconds of the clock)."""

    user: str
    proof: str
    until: float


class Door:
    """Knows who has logged in. Not for several threads, but checks passwords in others.

    Args:
        users: those who may.
        root: where a proxy shows the server, such as "/docs".
        pages: paths that logging in may lead to.
        clock: seconds that only grow.
    """

    def __init__(
        self, users: Users, root: str, pages: Collection[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.users = users
        self.root = root
        self.pages = frozenset(pages)
        self.clock = clock
        self.sessions: OrderedDict[str, Session] = OrderedDict()
        self._wrong = Buckets(clock=clock)
        self._secret = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._checking = asyncio.Semaphore(CHECKS)

    async def user_of(self, headers: Mapping[bytes, str], address: str) -> str | None:
        """The user that a request comes from, None if it does not say or it is not true.

        Raises:
            TooManyError: it brings a password after too many wrong ones.
        """
        session = self.session(token_of(headers.get(b"cookie", "")))
        if session is not None:
            return session.user
        kind, _, said = headers.get(b"authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            user, sign, password = base64.b64decode(said.strip(), validate=True).decode().partition(":")
        except ValueError:
            return None
        return user if sign and await self.check(user, password, address) else None

    def session(self, token: str) -> Session | None:
        """The session of a cookie's token, if it goes on: its user is there with the same password."""
        key = _key(token)
        session = self.sessions.get(key)
        if session is None:
            return None
        if session.until < self.clock() or str(self.users.now().get(session.user)) != session.proof:
            del self.sessions[key]
            return None
        return session

    def enter(self, user: str, proof: Hash) -> str:
        """A new session; returns its token, of which only a hash is kept.

        Args:
            user: who has logged in.
            proof: what `check` gave: the file may say something else by now.
        """
        token = secrets.token_urlsafe(32)
        self.sessions[_key(token)] = Session(user, str(proof), self.clock() + SESSION_SECONDS)
        while len(self.sessions) > SESSIONS:
            self.sessions.popitem(last=False)
        return token

    def leave(self, token: str) -> None:
        """End a session."""
        self.sessions.pop(_key(token), None)

    async def check(self, user: str, password: str, address: str) -> Hash | None:
        """The hash that this password fits, None if it is not the user's. One that was right lately is known without
        the work.

        Raises:
            TooManyError: it is not looked at, after too many wrong ones.
        """
        kept = self.users.now().get(user)
        known = hmac.digest(self._secret, f"{user}\0{kept}\0{password}".encode("utf-8", "surrogatepass"), "sha256")
        if kept is not None and known in self._right:
            return kept
        limits = (
            (("address", network(address)), TRIES, 1 / TRY_SECONDS),
            (("name", user[:64]), NAME_TRIES, 1 / NAME_SECONDS),
        )
        early = max(self._wrong.wait(*limit) for limit in limits)
        if early:
            raise TooManyError(early)
        for limit in limits:  # before the check, so that many at once are counted as well
            self._wrong.take(*limit)
        async with self._checking:
            hashed = kept or NOBODY
            right = len(password) <= LONGEST and await asyncio.to_thread(hashed.fits, password) and kept is not None
        if right:
            for limit in limits:
                self._wrong.give(*limit)
            self._right[known] = None
            while len(self._right) > REMEMBERED:
                self._right.popitem(last=False)
        return kept if right else None


def routes(door: Door) -> list[Route]:
    """The login page, logging in and logging out."""
    from starlette.responses import HTMLResponse, RedirectResponse
    from starlette.routing import Route

    from qa.page.scopes import OWNER, USER

    def page(target: str, *, status: int = 200, error: str = "", user: str = "", again: bool = False) -> Response:
        shown = html(f"{door.root}/login", target, error=error, user=user, again=again)
        return HTMLResponse(shown, status, {"cache-control": "no-store"})

    def cookie(request: Request, token: str, seconds: int) -> dict[str, str]:
        safe = "; Secure" if request.scope["scheme"] == "https" else ""
        said = f"{COOKIE}={token}; Path={door.root}/; Max-Age={seconds}; HttpOnly; SameSite=Strict{safe}"
        return {"set-cookie": said, "cache-control": "no-store"}

    def target_of(value: str | None) -> str:
        return value if value in door.pages else "/"

    async def show(request: Request) -> Response:
        target = target_of(request.query_params.get("next"))
        if request.scope.get(USER):
            return RedirectResponse(door.root + target, 303, {"cache-control": "no-store"})
        # A link on another site brings no cookie along; asked again from here, a browser that has one brings it.
        elsewhere = request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        return page(target, again=elsewhere)

    async def enter(request: Request) -> Response:
        if int(request.headers["content-length"]) > LONGEST_FORM:
            return page("/", status=413, error=_WRONG)
        user, password, said = fields(await request.body())
        target = target_of(said)
        address = request.client.host if request.client else ""
        try:
            proof = await door.check(user, password, address)
        except TooManyError as error:
            told = str(error)
            refused = page(target, status=429, error=f"{told[0].upper()}{told[1:]}.", user=user)
            refused.headers["retry-after"] = str(round(error.seconds + 0.5))
            return refused
        if proof is None:
            return page(target, status=401, error=_WRONG, user=user)
        request.scope[OWNER], request.scope[USER] = user, True  # for the log
        door.leave(token_of(request.headers.get("cookie", "")))
        return RedirectResponse(door.root + target, 303, cookie(request, door.enter(user, proof), SESSION_SECONDS))

    async def leave(request: Request) -> Response:
        door.leave(token_of(request.headers.get("cookie", "")))
        return RedirectResponse(f"{door.root}/login", 303, cookie(request, "", 0))

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", enter, methods=["POST"]),
        Route("/logout", leave, methods=["POST"]),
    ]


def fields(body: bytes) -> tuple[str, str, str]:
    """Name, password and target in a form's body, empty where they are not there."""
    try:
        form = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=8)
    except ValueError:
        return "", "", ""
    user, password, target = (form.get(field, [""])[0] for field in ("user", "password", "next"))
    return user, password, target


def html(action: str, target: str, *, error: str = "", user: str = "", again: bool = False) -> str:
    """The login page. It needs no script; with one it remembers the part of the address after "#".

    Args:
        action: where the form is sent.
        target: the page that logging in leads to.
        error: one line of what went wrong.
        user: the name that was typed.
        again: is the page to ask for itself once more, as its own?
    """
    alert = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    described = ' aria-describedby="why" aria-invalid="true"' if error else ""
    alert = alert.replace("<p ", '<p id="why" ')
    first, second = ("", " autofocus") if user else (" autofocus", "")
    anew = f"location.replace({_quoted(f'{action}?next={target}&again')}+location.hash)" if again else ""
    script = f"{anew or 'document.forms[0].action+=location.hash'}"
    return document(
        "Log in",
        f"""<h1>Log in</h1>
<p class="soft">Ask your documents and see where each answer stands.</p>
<form method="post" action="{escape(action)}">
{alert}
<label for="user">Name</label>
<input id="user" name="user" value="{escape(user[:64])}" autocomplete="username" autocapitalize="none"
 spellcheck="false" required{described}{first}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required{described}{second}>
<input type="hidden" name="next" value="{escape(target)}">
<button>Log in</button>
</form>
<script>{script}</script>""",
    )


def choice(libraries: Collection[tuple[str, str, str]], *, user: str = "", logout: str = "") -> str:
    """The page that lists the libraries of a server, as (name, title, URL)."""
    rows = "".join(f'<li><a href="{escape(url)}">{name(title)}</a></li>' for _, title, url in libraries)
    leave = (
        f'<form method="post" action="{escape(logout)}"><button class="quiet">Log out {name(user)}</button></form>'
        if logout
        else ""
    )
    return document("Libraries", f'<h1>Libraries</h1><p class="soft">Choose what to ask.</p><ul>{rows}</ul>{leave}')


def document(title: str, content: str) -> str:
    """A small page of its own, in the page's colours."""
    style = "".join((_FOLDER / f"{part}.css").read_text(encoding="utf-8") for part in ("tokens", "login"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
        f'<title>{escape(title)} · Refdesk</title><link rel="icon" href="data:,">'
        f"<style>{style}</style></head><body><main>"
        f'<p class="brand">Ref<span>desk</span></p>{content}</main></body></html>'
    )


def token_of(cookies: str) -> str:
    """The session's token in a Cookie header, empty if there is none."""
    for pair in cookies.split(";"):
        key, _, value = pair.strip().partition("=")
        if key == COOKIE:
            return value
    return ""


def _key(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _quoted(text: str) -> str:
    """Text as a string in a script; what is given here is the server's own paths."""
    import json

    return json.dumps(text).replace("<", "\\u003c")

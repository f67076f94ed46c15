"""What the parts of one server share: its library, how it was started, and who asks."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qa import Library
    from qa.page.evaluations import Evaluations

COOKIE = "refdesk-visitor"
"""Tells a browser's own conversations from those of others, where nobody logs in."""
OWNER = "refdesk.owner"
"""Where a request's scope holds who asks: a user's name, or a visitor's number."""
_VISITOR = re.compile(r"[A-Za-z0-9_-]{24}")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server was started.

    `read_only` lets nobody change the library or write beside it; `originals` lets visitors download the files
    themselves.
    """

    host: str = "127.0.0.1"
    read_only: bool = False
    originals: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """One library's page and programs' interface, as their parts see it."""

    library: Library
    settings: Settings
    evaluations: Evaluations


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

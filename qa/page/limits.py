"""How much one visitor may ask of a server: token buckets in memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

CHARGE = "refdesk.charge"
"""What the Guard notes in a request's ASGI scope: counts further questions of the request, as `Limits.charge` does."""
QUESTIONS = frozenset(("/gradio_api/queue/join", "/api/ask", "/api/retrieve"))
"""Paths where a request is a question, or may be one: the costly ones."""
FREE = ("/assets/", "/static/")
"""Files of the page, which a browser fetches by the dozen and keeps."""
PER_MINUTE = 120
"""Questions a minute of one visitor: more than anybody types, and less than what two cores answer."""
REST = 5
"""How many times as many other requests; a page that shows progress asks twice a second."""
NEIGHBOURS = 4
"""How many times as much one address may ask as one visitor, since an office shares an address, and a visitor can take
a new number with each request."""
MOST = 20_000
"""Buckets kept, the least used dropped first: a few megabytes."""


class Buckets:
    """Token buckets by key. A bucket starts full and is filled again evenly. Not for several threads."""

    def __init__(self, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.clock = clock
        self._held: OrderedDict[object, tuple[float, float]] = OrderedDict()  # (tokens, seconds when they were)

    def __len__(self) -> int:
        return len(self._held)

    def wait(self, key: object, size: float, per_second: float, least: float = 1) -> float:
        """Seconds until the bucket of `key` has `least` tokens, 0 if it has them now."""
        tokens, at = self._held.get(key, (size, self.clock()))
        return max(0.0, least - min(size, tokens + (self.clock() - at) * per_second)) / per_second

    def take(self, key: object, size: float, per_second: float, taken: float = 1) -> None:
        """Take tokens out of the bucket of `key`, which may leave it owing some."""
        tokens, at = self._held.get(key, (size, self.clock()))
        now = self.clock()
        self._held[key] = (min(size, tokens + (now - at) * per_second) - taken, now)
        self._held.move_to_end(key)
        while len(self._held) > self.most:
            self._held.popitem(last=False)

    def give(self, key: object, size: float, per_second: float) -> None:
        """Put a token back that was taken."""
        tokens, at = self._held.get(key, (size, self.clock()))
        now = self.clock()
        self._held[key] = (min(size, tokens + (now - at) * per_second + 1), now)


class Limits:
    """What visitors and addresses may still ask. Of each a minute's worth may come at once."""

    def __init__(self, per_minute: int, buckets: Buckets | None = None) -> None:
        self.per_minute = per_minute
        self.buckets = Buckets() if buckets is None else buckets

    def wait(self, path: str, owner: str, address: str) -> float:
        """Count a request; seconds that it comes too early, 0 if it may pass.

        Args:
            path: below the page's own.
            owner: a user's name or a visitor's number, empty if neither is known.
            address: where it comes from.
        """
        if path.startswith(FREE):
            return 0.0
        question = path in QUESTIONS
        whole = self._whole(question, owner, address)
        early = max(self.buckets.wait(key, size, size / 60) for key, size in whole)
        if not early:
            for key, size in whole:
                self.buckets.take(key, size, size / 60)
        return early

    def charge(self, owner: str, address: str, questions: int) -> float:
        """Count further questions of a request that passed, which may be more than come at once: then others wait
        until they are paid for. Seconds that they come too early themselves, 0 if they may pass."""
        whole = self._whole(True, owner, address)
        early = max(self.buckets.wait(key, size, size / 60, 0) for key, size in whole)
        if not early:
            for key, size in whole:
                self.buckets.take(key, size, size / 60, questions)
        return early

    def _whole(self, question: bool, owner: str, address: str) -> list[tuple[object, float]]:
        """The buckets that a request is taken from, with their sizes."""
        rate = self.per_minute * (1 if question else REST)
        whole: list[tuple[object, float]] = [(("owner", question, owner), rate)] if owner else []
        return [*whole, (("address", question, network(address)), rate * NEIGHBOURS if owner else rate)]


def network(address: str) -> str:
    """What counts as one address: of IPv6, where everybody has many, the first 64 bits. "::ffff:192.0.2.1" is how a
    server that listens to both sees 192.0.2.1."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    return str(found) if found.version == 4 else str(ip_network(f"{found}/64", strict=False))

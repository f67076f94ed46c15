"""What Gradio keeps of each open page, and when it is dropped: with the page, not an hour or ten thousand pages later.

A page of five questions takes a third of a megabyte (benchmarks.load). Gradio deletes the values of states an hour
after a page was closed, and never what its parts show.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio as gr
    from starlette.types import ASGIApp, Receive, Scope, Send

HEARTBEAT = "/gradio_api/heartbeat/"
"""A request that lasts as long as a page is open; the rest of its path is the page's session."""
MOST_SESSIONS = 1_000
"""Pages that are remembered; with more, the one that was used longest ago is forgotten though it may be open."""
KEPT_SECONDS = 10.0
"""How long a closed page is remembered, longer than an answer takes. One that comes back later, as on a phone that was
put away, has its conversation from the history."""
KEPT_WITHOUT_HISTORY = 3600.0
"""The same where nothing is kept."""


class Sessions:
    """ASGI middleware around one library's page that forgets pages some time after their heartbeat has ended.

    It looks whenever a page is opened or closed, so that those that were closed last may stay until the next one comes.
    """

    def __init__(self, app: ASGIApp, blocks: gr.Blocks, keep: float) -> None:
        self.app = app
        self.blocks = blocks
        self.keep = keep
        self._open: Counter[str] = Counter()
        self._closed: dict[str, float] = {}  # when, the first one first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, heartbeat, session = scope.get("path", "").rpartition(HEARTBEAT)
        if not heartbeat:
            await self.app(scope, receive, send)
            return
        self._open[session] += 1
        self._closed.pop(session, None)
        self._forget()
        try:
            await self.app(scope, receive, send)
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]
                if session in self.blocks.state_holder:
                    self._closed[session] = time.monotonic()
            self._forget()

    def _forget(self) -> None:
        holder, before = self.blocks.state_holder, time.monotonic() - self.keep
        for session in [session for session, closed in self._closed.items() if closed < before]:
            del self._closed[session]
            with holder.lock:
                holder.session_data.pop(session, None)
                holder.time_last_used.pop(session, None)

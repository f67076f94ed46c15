"""One JSON line for each request. A disk that is full or slow costs lines, never answers."""

from __future__ import annotations

import json
import queue
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

WAITING = 10_000
"""Lines that wait for the disk; later ones are dropped and counted."""
_CLOSING_SECONDS = 1.0


class Log:
    """Writes lines in a thread of its own. With no path it writes nothing; "-" is standard error.

    The file is opened for each batch of lines, so that it may be moved away at any time, as logrotate does.
    """

    def __init__(self, path: Path | None = None, *, text: bool = False) -> None:
        self.path = path
        self.text = text
        self.dropped = 0
        self._failing = False
        self._lines: queue.Queue[str | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._write_all, daemon=True, name="refdesk-log")
        if path is not None:
            self._thread.start()

    def write(self, level: str, event: str, **fields: Any) -> None:  # noqa: ANN401 - what JSON holds
        """Add a line with the time, a level, what happened and its fields; those that are None are left out."""
        if self.path is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told = {name: value for name, value in fields.items() if value is not None}
        line = json.dumps({"time": now, "level": level, "event": event, **told})
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, for a second at most."""
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=_CLOSING_SECONDS)
            except queue.Full:
                return
            self._thread.join(_CLOSING_SECONDS)

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            lines = [line]
            ended = False
            while not ended and not self._lines.empty():
                more = self._lines.get()
                ended = more is None
                lines += [] if more is None else [more]
            self._write("".join(f"{one}\n" for one in lines), len(lines))
            if ended:
                return

    def _write(self, text: str, count: int) -> None:
        try:
            if str(self.path) == "-":
                sys.stderr.write(text)
                sys.stderr.flush()
            elif self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(text)
        except (OSError, ValueError) as error:
            self.dropped += count
            if not self._failing and str(self.path) != "-":
                reason = getattr(error, "strerror", None) or error
                print(f"refdesk: log {self.path} cannot be written ({reason}); serving goes on", file=sys.stderr)  # noqa: T201
            self._failing = True
        else:
            self._failing = False

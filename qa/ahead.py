"""Work done ahead in a thread, within a bound, for one who takes its results in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Put = Callable[[Item, int], None]

_TICK = 0.25
"""Seconds after which one who waits is told that it goes on."""
_MOST = 256
"""Items that wait at most."""


class _StopAheadError(Exception):
    """Nobody takes what the thread makes any more."""


class Ahead(Generic[Item]):
    """Runs `make(put)` in a thread, which puts (item, weight) pairs; at most a weight of `limit` waits to be taken.

    An item heavier than that waits alone. What `make` raises is raised to the one who takes. `stop` is called where
    nobody takes any more, to end what the thread is at.
    """

    def __init__(self, make: Callable[[Put[Item]], None], limit: int, stop: Callable[[], None]) -> None:
        self._make = make
        self._stop = stop
        self._limit = limit
        self._waiting: deque[tuple[Item, int]] = deque()
        self._weight = 0
        self._changed = threading.Condition()
        self._stopped = self._done = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="refdesk-ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            done = self._done
        if not done:
            self._stop()
        self._thread.join()

    def items(self, on_wait: Callable[[], None]) -> Iterator[Item]:
        """What is put, in order; `on_wait` is called a few times a second while there is nothing yet."""
        while True:
            with self._changed:
                if not self._waiting and not self._done:
                    self._changed.wait(_TICK)
                if self._waiting:
                    item, weight = self._waiting.popleft()
                    self._weight -= weight
                    self._changed.notify_all()
                elif self._error is not None:
                    raise self._error
                elif self._done:
                    return
                else:
                    item = None
            if item is None:
                on_wait()
            else:
                yield item

    def _put(self, item: Item, weight: int) -> None:
        with self._changed:
            while (
                not self._stopped
                and self._waiting
                and (len(self._waiting) >= _MOST or self._weight + weight > self._limit)
            ):
                self._changed.wait()
            if self._stopped:
                raise _StopAheadError
            self._waiting.append((item, weight))
            self._weight += weight
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._make(self._put)
        except _StopAheadError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised where it is seen
            self._error = error
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()

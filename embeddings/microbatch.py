"""Questions of many threads in few batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
Slot = TypeVar("Slot")


@dataclass(eq=False, slots=True)
class _Job:
    rows: Sequence[Ids]
    vectors: Vectors | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.vectors is not None or self.error is not None


class MicroBatcher(Generic[Slot]):
    """Runs the rows of many threads together: whoever gets a free slot takes all that wait with its own.

    No thread of its own and no timer: a caller who finds a slot free starts at once, and a caller who does not is
    answered by the next one who does.

    Args:
        run: vectors (n, dimension) of n rows of token ids, with one slot.
        slots: what `run` needs one of, each used by one thread at a time.
        limit: tokens of the rows that are run together.
    """

    def __init__(self, run: Callable[[Slot, Sequence[Ids]], Vectors], slots: Sequence[Slot], limit: int) -> None:
        self._run = run
        self._limit = limit
        self._idle = list(slots)
        self._waiting: deque[_Job] = deque()
        self._changed = Condition()

    def __call__(self, rows: Sequence[Ids]) -> Vectors:
        """The vectors of `rows`, (n, dimension).

        Raises:
            Exception: what `run` raised for these rows; rows of others do not matter.
        """
        job = _Job(rows)
        slot = self._slot_for(job)
        if slot is not None:
            self._lead(slot, job)
        if job.error is not None:
            raise job.error
        assert job.vectors is not None
        return job.vectors

    def _slot_for(self, job: _Job) -> Slot | None:
        """A slot to lead with, or None when another thread has answered the job."""
        with self._changed:
            self._waiting.append(job)
            try:
                self._changed.wait_for(lambda: job.done or (self._idle and job in self._waiting))
            finally:  # after an interrupt too: nobody is left to take the answer
                if job in self._waiting:
                    self._waiting.remove(job)
            return None if job.done else self._idle.pop()

    def _lead(self, slot: Slot, job: _Job) -> None:
        batch = [job]
        try:
            with self._changed:
                tokens = sum(map(len, job.rows))
                while self._waiting and (tokens := tokens + sum(map(len, self._waiting[0].rows))) <= self._limit:
                    batch.append(self._waiting.popleft())
            self._answer(slot, batch)
        finally:
            with self._changed:
                self._idle.append(slot)
                self._waiting.extendleft(other for other in reversed(batch[1:]) if not other.done)
                self._changed.notify_all()

    def _answer(self, slot: Slot, batch: list[_Job]) -> None:
        try:
            vectors = self._run(slot, [row for job in batch for row in job.rows])
        except Exception as error:  # noqa: BLE001 - it is raised again where it belongs
            if len(batch) == 1:
                batch[0].error = error
            else:
                for job in batch:
                    self._answer(slot, [job])
            return
        first = 0
        for job in batch:
            job.vectors = vectors[first : first + len(job.rows)]
            first += len(job.rows)

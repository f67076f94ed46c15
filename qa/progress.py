"""A progress bar with rate and time left, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from qa.sync import OnProgress
from qa.types import Progress

MEASURED_SECONDS = 5.0
"""How long work has to go on before its rate says how long the rest takes. Over 5,183 abstracts, and eight files of
400 kB, the time told from then on was within a factor of two of the time it took, on a machine that did other work."""


@dataclass(slots=True)
class TimeLeft:
    """When work will be done, by how fast it went since its first part was done: before that, models are loaded.

    Parts are done in groups, so that a rate is taken when a group is done and the time counts down until the next.
    """

    began: float | None = None
    first: int = 0  # done when the rate begins
    done: int = 0
    ends: float | None = None

    def seconds(self, now: float, done: int, total: int) -> float | None:
        """Seconds left at a time, with so much done of a total; None while that cannot be told."""
        if done > self.done:
            self.done = done
            if self.began is None:
                self.began, self.first = now, done
            elif now - self.began >= MEASURED_SECONDS:
                self.ends = now + (total - done) * (now - self.began) / (done - self.first)
        return None if self.ends is None or done >= total else max(0.0, self.ends - now)


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """A function that shows progress on stderr; it does nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    left = TimeLeft()
    layout = "{desc} {percentage:3.0f}% |{bar}| {elapsed}{postfix}"
    with tqdm(total=1, bar_format=layout, file=sys.stderr, dynamic_ncols=True, leave=False) as bar:

        def show(progress: Progress) -> None:
            bar.total = max(1, progress.total)
            bar.n = progress.done
            rest = left.seconds(time.monotonic(), progress.done, progress.total)
            bar.set_postfix_str("" if rest is None else f"{tqdm.format_interval(rest)} left", refresh=False)
            seconds = bar.format_dict["elapsed"]
            rate = f", {progress.passages / seconds:.0f} passages/s" if progress.passages and seconds else ""
            bar.set_description_str(f"{progress.stage} {progress.files}/{progress.files_total} files{rate}")

        yield show

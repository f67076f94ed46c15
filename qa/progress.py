"""A progress bar with rate and time left, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from qa.sync import OnProgress
from qa.types import Progress


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """A function that shows progress on stderr; it does nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    layout = "{desc} {percentage:3.0f}% |{bar}| {elapsed}, {remaining} left"
    with tqdm(total=1, bar_format=layout, file=sys.stderr, dynamic_ncols=True, leave=False, smoothing=0.1) as bar:

        def show(progress: Progress) -> None:
            bar.total = max(1, progress.total)
            bar.n = progress.done
            seconds = bar.format_dict["elapsed"]
            rate = f", {progress.passages / seconds:.0f} passages/s" if progress.passages and seconds else ""
            bar.set_description_str(f"{progress.stage} {progress.files}/{progress.files_total} files{rate}")

        yield show

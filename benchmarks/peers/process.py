"""Run one command and say what it took: wall, CPU and memory of its whole process tree, or how it failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAMPLING = 0.05
"""Seconds between two looks at the memory of the tree."""
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Done:
    """What a command took: seconds, CPU seconds (user and system) of it and its children, bytes at the peak.

    `others` is how many cores all other programs used meanwhile, on average: near 0 on a quiet machine. `result` is
    the JSON object of its last line, if it has one. `failure` says how it failed: "crashes (SIGSEGV)", "not done in
    60 s", or its last line on stderr.
    """

    wall: float
    cpu: float
    peak: int
    others: float
    failure: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)


def execute(command: Sequence[str], env: Mapping[str, str], limit: float, cwd: Path) -> Done:
    """Run a command to its end, or kill it and its children after `limit` seconds."""
    busy = _busy()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, start_new_session=True
        )
        late, ended = threading.Event(), threading.Event()
        timer = threading.Timer(limit, _kill, (process.pid, late))
        peaks = [0]
        sampler = threading.Thread(target=_sample, args=(process.pid, peaks, ended), daemon=True)
        timer.start()
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        timer.cancel()
        ended.set()
        sampler.join()
        failure = f"not done in {limit:.0f} s" if late.is_set() else _failure(process.returncode, _tail(errors))
        result = {} if failure else _last_object(_tail(out))
        peak = max(peaks[0], usage.ru_maxrss * 1024)  # the second is of the largest single process, but exact
        cpu = usage.ru_utime + usage.ru_stime
        return Done(wall, cpu, peak, max(0.0, _busy() - busy - cpu) / wall, failure, result)


def _busy() -> float:
    """CPU seconds that the whole machine has worked so far, in all programs, stolen ones included."""
    user, nice, system, _, _, *more = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(more)) / os.sysconf("SC_CLK_TCK")


def _kill(pid: int, late: threading.Event) -> None:
    late.set()
    os.killpg(pid, signal.SIGKILL)


def _sample(pid: int, peaks: list[int], ended: threading.Event) -> None:
    """Keep the largest sum of resident memory over a process and its descendants."""
    while not ended.wait(SAMPLING):
        peaks[0] = max(peaks[0], _resident(pid))


def _resident(pid: int) -> int:
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except (OSError, IndexError):  # it has ended meanwhile
        return 0
    return own + sum(_resident(child) for child in children)


def _failure(code: int, errors: str) -> str | None:
    if code == 0:
        return None
    if code < 0:
        return f"crashes ({signal.Signals(-code).name})"
    lines = errors.strip().splitlines() or [""]
    return f"fails ({code}): {lines[-1][:200]}"


def _tail(stream: Any) -> str:  # noqa: ANN401
    stream.seek(0)
    return bytes(stream.read()).decode("utf-8", errors="replace")


def _last_object(out: str) -> dict[str, Any]:
    """The JSON object of the last line, if there is one; a command for people prints none."""
    lines = out.strip().splitlines()
    if not lines or not lines[-1].startswith("{"):
        return {}
    try:
        found = json.loads(lines[-1])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

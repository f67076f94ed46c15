"""Reads each file in a child process with limits on memory, processor time and wall time.

A hostile file can abort, hang or fill the memory of the libraries that parse it, in ways that no `except` catches.
The child takes the harm; the next file gets a fresh one. It is recycled over files since its start takes a while.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from qa.errors import ReadError
from qa.types import Block, Reading

if sys.platform != "win32":
    import resource

# Exit codes of the child, since a process without memory cannot write an answer.
_NO_MEMORY = 70
# Above this an answer is not from a reader that kept to `base.MAX_CHARACTERS` and `base.MAX_BLOCKS`.
_LONGEST_ANSWER = 1 << 30
_LENGTH = struct.Struct(">Q")
# Seconds between two looks at how long a file takes.
_TICK = 0.1
# The child gets this package by its folder, without `qa/__init__.py`, which loads the whole library. Nothing comes from
# the current folder or from PYTHONPATH's relative entries: there the user's documents lie, and a `docx.py` among them
# would be imported.
_START = """
import sys, types
sys.modules["qa"] = package = types.ModuleType("qa")
package.__path__ = [sys.argv[1]]
from qa.readers.worker import main
main()
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost: bytes of memory beyond the child's own, and seconds; `files` renew the child."""

    memory: int = 2 << 30
    cpu_seconds: int = 60
    wall_seconds: float = 120
    files: int = 200


class Worker:
    """Reads files one after another in a child process. Use it as a context manager, in one thread at a time."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._child: subprocess.Popen[bytes] | None = None
        self._clock: _Clock | None = None
        self._files = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def read(self, path: Path, kind: str) -> Reading:
        """Read a file of a kind named in `qa.readers.SUFFIXES`.

        Raises ReadError with one line on what is wrong with the file, or which limit it broke.
        """
        if self._files >= self._limits.files or (self._child and self._child.poll() is not None):
            self.close()
        child = self._child = self._child or _start(self._limits)
        clock = self._clock = self._clock or _Clock(child)
        self._files += 1
        clock.start(self._limits.wall_seconds)
        try:
            answer = _ask(child, {"path": os.path.abspath(path), "kind": kind})
        except BaseException:  # an interrupted parent must not take the next file's answer for this one's
            self.close()
            raise
        finally:
            late = clock.stop()
        if answer is None:
            raise ReadError(_death(self._end(patience=5), late, self._limits))
        if late or answer["renew"]:
            self.close()
        if "error" in answer:
            raise ReadError(answer["error"])
        return _unpack(answer)

    def interrupt(self) -> None:
        """End the reading that goes on in another thread; it raises ReadError there."""
        child = self._child
        if child is not None:
            child.kill()

    def close(self) -> None:
        """End the child; the next file starts another. To close twice does no harm."""
        self._end(patience=0)

    def _end(self, patience: float) -> int:
        """Wait for a child that is ending by itself, kill it otherwise; its exit code, negative for a signal."""
        child, self._child, self._files = self._child, None, 0
        clock, self._clock = self._clock, None
        if clock is not None:
            clock.close()
        if child is None:
            return 0
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        return child.wait()


class _Clock:
    """Kills the child when the time for a file is over, which ends the parent's waiting for an answer.

    One thread looks a few times a second for all files: to start one for each took a quarter of reading small files.
    """

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._deadline = math.inf
        self._late = False
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refdesk-clock", daemon=True)
        self._thread.start()

    def start(self, seconds: float) -> None:
        """From now on so many seconds are left."""
        with self._lock:
            self._deadline = time.monotonic() + seconds

    def stop(self) -> bool:
        """The file is done; whether the child was killed over it."""
        with self._lock:
            self._deadline = math.inf
            return self._late

    def close(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._late and not self._stopped.wait(_TICK):
            with self._lock:
                if time.monotonic() > self._deadline:
                    self._late = True
                    self._child.kill()


def _start(limits: Limits) -> subprocess.Popen[bytes]:
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(path)]
    # One thread each: BLAS reserves memory by the processor, which a limit on address space counts.
    single = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-B", "-c", _START, folder, str(limits.memory), str(limits.cpu_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **single, "PYTHONPATH": os.pathsep.join(paths)},
    )


def _ask(child: subprocess.Popen[bytes], request: dict[str, str]) -> dict[str, Any] | None:
    """The child's answer, or None if it died over the question."""
    if child.stdin is None or child.stdout is None:
        raise RuntimeError("the reader's child was started without pipes")
    try:
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        return None
    head = child.stdout.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    body = child.stdout.read(length) if 0 < length <= _LONGEST_ANSWER else b""
    return cast(dict[str, Any], json.loads(body)) if body and len(body) == length else None


def _death(code: int, late: bool, limits: Limits) -> str:
    """Why a child died: one line with the limit it broke and what to do."""
    memory = f"{limits.memory / (1 << 30):.3g} GiB of memory"
    if late:
        return f"it takes more than {limits.wall_seconds:g} s to read: split it, or save it again"
    if code == _NO_MEMORY:
        return f"it takes more than {memory} to read: split it, or save it again"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"exit code {code}"
    if name == "SIGXCPU":
        return f"it takes more than {limits.cpu_seconds} s of processor time to read: split it, or save it again"
    return f"its reader crashed ({name}): the file is damaged or made to harm, or needs more than {memory}"


def _unpack(answer: dict[str, Any]) -> Reading:
    paths = [tuple(path) for path in answer["paths"]]
    blocks = tuple(
        Block(kind, start, end, paths[path], page, zone) for kind, start, end, path, page, zone in answer["blocks"]
    )
    warnings = tuple(answer["warnings"])
    return Reading(answer["text"], blocks, answer["title"], answer["encoding"], answer["pages"], warnings)


def _pack(reading: Reading) -> dict[str, Any]:
    """A reading as JSON, each heading path once."""
    paths = {path: index for index, path in enumerate(dict.fromkeys(block.heading for block in reading.blocks))}
    return {
        "text": reading.text,
        "paths": list(paths),
        "blocks": [(b.kind, b.start, b.end, paths[b.heading], b.page, b.zone) for b in reading.blocks],
        "title": reading.title,
        "encoding": reading.encoding,
        "pages": reading.pages,
        "warnings": reading.warnings,
    }


def main() -> None:
    """The child: answer one line of JSON after another until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it ends this process
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # what libraries print must not get between the answers
    memory, cpu_seconds = map(int, sys.argv[2:4])
    roomy = _address_space() + memory // 4
    _limit_memory(memory)
    for line in questions:
        _limit_cpu(cpu_seconds)
        try:
            question = json.loads(line)
            answer = _answer(Path(question["path"]), question["kind"])
            # A heap that a large file has left in pieces would make the next large one fail.
            answer["renew"] = _address_space() > roomy
            body = json.dumps(answer, ensure_ascii=False).encode()
            if len(body) > _LONGEST_ANSWER:
                os._exit(_NO_MEMORY)
        except MemoryError:
            os._exit(_NO_MEMORY)
        answers.write(_LENGTH.pack(len(body)) + body)
        answers.flush()


def _answer(path: Path, kind: str) -> dict[str, Any]:
    from qa.readers import read

    try:
        return _pack(read(path, kind))
    except ReadError as error:
        return {"error": str(error)}


def _address_space() -> int:
    """This process's address space in bytes; 0 where there is no /proc."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _limit_memory(memory: int) -> None:
    if sys.platform != "win32":
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_FSIZE, 0)
        _limit(resource.RLIMIT_AS, _address_space() + memory)


def _limit_cpu(seconds: int) -> None:
    """Processor time is counted from the start of the process: each file gets its share on top of what is used."""
    if sys.platform != "win32":
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime) + seconds)


def _limit(what: int, value: int) -> None:
    """Lower a soft limit, as far as the hard one and the system allow (macOS refuses some)."""
    if sys.platform != "win32":
        hard = resource.getrlimit(what)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (soft, hard))

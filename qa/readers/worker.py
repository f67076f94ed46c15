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
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from qa import child
from qa.child import Limits
from qa.errors import ReadError
from qa.types import Block, Reading

# Above this an answer is not from a reader that kept to `base.MAX_CHARACTERS` and `base.MAX_BLOCKS`.
_LONGEST_ANSWER = 1 << 30
_LENGTH = struct.Struct(">Q")
READING = Limits()
"""What one file may cost unless somebody says otherwise."""
# Seconds between two looks at how long a file takes.
_TICK = 0.1


class Worker:
    """Reads files one after another in a child process. Use it as a context manager, in one thread at a time."""

    def __init__(self, limits: Limits = READING) -> None:
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
        reader = self._child = self._child or _start(self._limits)
        clock = self._clock = self._clock or _Clock(reader)
        self._files += 1
        clock.start(self._limits.wall_seconds)
        try:
            answer = _ask(reader, {"path": os.path.abspath(path), "kind": kind})
        except BaseException:  # an interrupted parent must not take the next file's answer for this one's
            self.close()
            raise
        finally:
            late = clock.stop()
        if answer is None:
            raise ReadError(child.death(self._end(patience=5), late, self._limits))
        if late or answer["renew"]:
            self.close()
        if "error" in answer:
            raise ReadError(answer["error"])
        return _unpack(answer)

    def interrupt(self) -> None:
        """End the reading that goes on in another thread; it raises ReadError there."""
        reader = self._child
        if reader is not None:
            reader.kill()

    def close(self) -> None:
        """End the child; the next file starts another. To close twice does no harm."""
        self._end(patience=0)

    def _end(self, patience: float) -> int:
        """Wait for a child that is ending by itself, kill it otherwise; its exit code, negative for a signal."""
        reader, self._child, self._files = self._child, None, 0
        clock, self._clock = self._clock, None
        if clock is not None:
            clock.close()
        if reader is None:
            return 0
        with contextlib.suppress(subprocess.TimeoutExpired):
            reader.wait(patience)
        reader.kill()
        for pipe in (reader.stdin, reader.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        return reader.wait()


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
    # One thread each: BLAS reserves memory by the processor, which a limit on address space counts.
    single = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return child.start("qa.readers.worker", limits.memory, limits.cpu_seconds, variables=single)


def _ask(reader: subprocess.Popen[bytes], request: dict[str, str]) -> dict[str, Any] | None:
    """The child's answer, or None if it died over the question."""
    if reader.stdin is None or reader.stdout is None:
        raise RuntimeError("the reader's child was started without pipes")
    try:
        reader.stdin.write(json.dumps(request).encode() + b"\n")
        reader.stdin.flush()
    except BrokenPipeError:
        return None
    head = reader.stdout.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    body = reader.stdout.read(length) if 0 < length <= _LONGEST_ANSWER else b""
    return cast(dict[str, Any], json.loads(body)) if body and len(body) == length else None


def _unpack(answer: dict[str, Any]) -> Reading:
    paths = [tuple(path) for path in answer["paths"]]
    blocks = tuple(
        Block(kind, start, end, paths[path], page, zone, row)
        for kind, start, end, path, page, zone, row in answer["blocks"]
    )
    warnings = tuple(answer["warnings"])
    return Reading(answer["text"], blocks, answer["title"], answer["encoding"], answer["pages"], warnings)


def _pack(reading: Reading) -> dict[str, Any]:
    """A reading as JSON, each heading path once."""
    paths = {path: index for index, path in enumerate(dict.fromkeys(block.heading for block in reading.blocks))}
    return {
        "text": reading.text,
        "paths": list(paths),
        "blocks": [(b.kind, b.start, b.end, paths[b.heading], b.page, b.zone, b.row) for b in reading.blocks],
        "title": reading.title,
        "encoding": reading.encoding,
        "pages": reading.pages,
        "warnings": reading.warnings,
    }


def main() -> None:
    """The child: answer one line of JSON after another until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it ends this process
    questions, answers = child.pipes()
    memory, cpu_seconds = map(int, sys.argv[1:3])
    roomy = child.address_space() + memory // 4
    child.limit_memory(memory)
    for line in questions:
        child.limit_cpu(cpu_seconds)
        try:
            question = json.loads(line)
            answer = _answer(Path(question["path"]), question["kind"])
            # A heap that a large file has left in pieces would make the next large one fail.
            answer["renew"] = child.address_space() > roomy
            body = json.dumps(answer, ensure_ascii=False).encode()
            if len(body) > _LONGEST_ANSWER:
                os._exit(child.NO_MEMORY)
        except MemoryError:
            os._exit(child.NO_MEMORY)
        answers.write(_LENGTH.pack(len(body)) + body)
        answers.flush()


def _answer(path: Path, kind: str) -> dict[str, Any]:
    from qa.readers import read

    try:
        return _pack(read(path, kind))
    except ReadError as error:
        return {"error": str(error)}

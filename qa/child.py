"""Child processes of this package, for what may not take the program with it: hostile files, and long work.

A child imports nothing from the current folder or from PYTHONPATH's relative entries: there the user's documents lie,
and a `docx.py` among them would be imported.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

if sys.platform != "win32":
    import resource

NO_MEMORY = 70
"""Exit code of a child without memory, which cannot write an answer any more."""
# A child that needs a part of the package gets it by its folder, without `qa/__init__.py`, which loads the whole
# library; one that needs all of it finds it where this one did.
_PART = 'package = sys.modules["qa"] = types.ModuleType("qa"); package.__path__ = [sys.argv.pop(1)]'
_WHOLE = "sys.path.append(os.path.dirname(sys.argv.pop(1)))"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost: bytes of memory beyond the child's own, and seconds; `files` renew the child."""

    memory: int = 2 << 30
    cpu_seconds: int = 60
    wall_seconds: float = 120
    files: int = 200


def start(
    module: str,
    *arguments: object,
    whole: bool = False,
    stderr: int | None = subprocess.DEVNULL,
    variables: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """A child that runs `main()` of a module of `qa` with these arguments, its input and output open as pipes.

    With `whole` it can import all of the package, which takes a third of a second longer.
    """
    folder = os.path.dirname(os.path.abspath(__file__))
    code = f"import os, sys, types; {_WHOLE if whole else _PART}; from {module} import main; main()"
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(path)]
    return subprocess.Popen(
        [sys.executable, "-P", "-B", "-c", code, folder, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, **(variables or {}), "PYTHONPATH": os.pathsep.join(paths)},
        process_group=0 if whole and sys.platform != "win32" else None,  # Ctrl-C is not for one that works in peace
    )


def death(code: int, late: bool, limits: Limits) -> str:
    """Why a child died over a file: one line with the limit it broke and what to do."""
    memory = f"{limits.memory / (1 << 30):.3g} GiB of memory"
    if late:
        return f"it takes more than {limits.wall_seconds:g} s to read: split it, or save it again"
    if code == NO_MEMORY:
        return f"it takes more than {memory} to read: split it, or save it again"
    name = ending(code)
    if name == "SIGXCPU":
        return f"it takes more than {limits.cpu_seconds} s of processor time to read: split it, or save it again"
    return f"its reader crashed ({name}): the file is damaged or made to harm, or needs more than {memory}"


def ending(code: int) -> str:
    """An exit code in words: "SIGKILL", "exit code 3"."""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


# In the child


def pipes() -> tuple[BinaryIO, BinaryIO]:
    """The child's input and output for itself; what libraries print gets into nobody's way."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    return questions, answers


def address_space() -> int:
    """This process's address space in bytes; 0 where there is no /proc."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def limit_memory(memory: int) -> None:
    """So many bytes more than now, no core file, and nothing written to files."""
    if sys.platform != "win32":
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_FSIZE, 0)
        _limit(resource.RLIMIT_AS, address_space() + memory)


def limit_cpu(seconds: int) -> None:
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

"""Readers: one module per format, each with `read(path) -> Reading`. A format is a module and a line in `SUFFIXES`."""

from __future__ import annotations

import importlib
import stat
from pathlib import Path
from typing import cast

from qa.errors import ReadError
from qa.types import Reading

# Raised when a reader gives another text or other blocks for the same bytes, or `qa.sentences` splits blocks otherwise,
# so that libraries read their files anew.
READER_VERSION = 2

SUFFIXES: dict[str, str] = {
    **dict.fromkeys((".txt", ".text", ".log", ".rst"), "text"),
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    ".pdf": "pdf",
    ".docx": "docx",
    **dict.fromkeys((".xlsx", ".xlsm"), "xlsx"),
}


def kind_of(path: Path) -> str | None:
    """The kind of a file by its suffix, which is the name of its reader's module; None if there is no reader."""
    return SUFFIXES.get(path.suffix.lower())


def read(path: Path, kind: str) -> Reading:
    """Read one file in this process. Hostile files can take it down: `qa.readers.worker.Worker` is the safe way.

    Raises ReadError, with one line on what is wrong and what to do, for everything except a lack of memory.
    """
    if kind not in SUFFIXES.values():
        raise ValueError(f"no reader for the kind {kind!r}: expected one of {sorted(set(SUFFIXES.values()))}")
    module = importlib.import_module(f"qa.readers.{kind}")
    try:
        _check(path)
        return cast(Reading, module.read(path))
    except (ReadError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise ReadError("it has gone: it was moved or deleted while it was read") from error
    except PermissionError as error:
        raise ReadError("no permission to read it") from error
    except ImportError as error:
        raise ReadError(f"its reader misses a package ({error}): install refdesk again") from error
    except Exception as error:
        raise ReadError(_unreadable(kind, error)) from error


def _check(path: Path) -> None:
    """Refuse what would block (a pipe, a device) or has nothing to read."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ReadError("not a regular file")
    if status.st_size == 0:
        raise ReadError("the file is empty")


def _unreadable(kind: str, error: Exception) -> str:
    lines = str(error).strip().splitlines()
    detail = lines[0][:200] if lines else type(error).__name__
    name = kind.upper() if kind in ("pdf", "html", "docx", "xlsx") else kind
    return f"not a readable {name} file ({detail}): open it to check, or save it again"

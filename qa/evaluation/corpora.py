"""A question set's own documents as a folder of files that can be indexed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from string import ascii_letters, digits

from qa.errors import QuestionsError

LONGEST_NAME = 150
"""Bytes of a file name: encrypted file systems keep no more than 143."""
_KEPT = frozenset(f"{ascii_letters}{digits}-_.".encode())

Document = tuple[str, str, str]
"""Where a document stands in its set, the file it becomes (a path with `/`), and that file's text."""


def file_name(document_id: str, suffix: str) -> str:
    """The name of the file for a document: different ids get different names, on every file system.

    ASCII letters, digits, `-`, `_` and `.` stay, all else becomes its UTF-8 bytes as `%2f`, and so does a first dot,
    which would hide the file. A name that was cut, and one with capitals, which some file systems take for small
    letters, ends in eight digits of the id's SHA-256.
    """
    data = document_id.encode("utf-8", "surrogatepass")
    name = "".join(chr(byte) if byte in _KEPT else f"%{byte:02x}" for byte in data)
    if name.startswith("."):
        name = "%2e" + name[1:]
    name = name or "%"
    if len(name + suffix) <= LONGEST_NAME and name == name.lower():
        return name + suffix
    ending = f"-{hashlib.sha256(data).hexdigest()[:8]}{suffix}"
    return name[: LONGEST_NAME - len(ending)] + ending


def write_documents(folder: Path, documents: Callable[[], Iterator[Document]]) -> int:
    """Write a file for each document and return how many there are. One that has its text already is left alone.

    Raises:
        QuestionsError: the documents cannot be read, two are the same one, `folder` holds other files, which would be
            indexed with them, or it cannot be written.
    """
    names: set[str] = set()
    for place, name, _ in documents():
        if name in names:
            raise QuestionsError(f"{place}: expected a new document, came {name} again: remove one of the two")
        names.add(name)
    try:
        for name in _visible(folder):
            if name not in names:
                raise QuestionsError(
                    f"{folder}: expected nothing but this question set's documents, came {name!a}: "
                    "choose an empty folder, or move that file away"
                )
        for _, name, text in documents():
            _write(folder / name, text.encode("utf-8", "replace"))
    except OSError as error:
        raise QuestionsError(
            f"{error.filename or folder}: the documents cannot be written ({error.strerror}): "
            "check the path, its permissions and the disk"
        ) from error
    return len(names)


def _visible(folder: Path) -> Iterator[str]:
    """The files below a folder that are not hidden, as paths from there with `/`."""

    def failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for here, folders, names in os.walk(folder, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (
            (Path(here) / name).relative_to(folder).as_posix() for name in sorted(names) if not name.startswith(".")
        )


def _write(path: Path, data: bytes) -> None:
    """Write a file unless it stands there already, so that indexing finds it unchanged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_bytes() != data:
        path.write_bytes(data)

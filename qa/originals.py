"""The files that a document was read from, as long as they still hold the very bytes that were read."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath

from qa.errors import CitationError, QAError
from qa.library import Library
from qa.readers import READER_VERSION
from qa.store import content_key, public_id

MOST_COPIES = 8
"""Files with the same bytes that are tried, one after another, where the first have gone or changed."""
_VERSIONS = range(READER_VERSION, 0, -1)  # the file may have been read by an older one


class GoneError(QAError):
    """No file of a document is there any more."""


class ChangedError(QAError):
    """The file holds other bytes than those that were indexed."""


@dataclass(frozen=True, slots=True)
class Original:
    """A file that holds a document's bytes, open for reading: its path, its name, hex SHA-256 and size in bytes."""

    path: Path
    name: str
    digest: str
    size: int
    file: BufferedReader


@contextmanager
def original(library: Library, document_id: str) -> Iterator[Original]:
    """The first file of a document that still holds the bytes that were indexed; closed when the block ends.

    What is given out is known by its content: a file or link that was put in the place of the indexed one is never it.
    The file stays open in between, so that what was checked is what is read.

    Raises:
        CitationError: the document is not in the library.
        GoneError: its files are not there any more, or cannot be read.
        ChangedError: they hold something else by now.
    """
    with library.store.reading():
        row_id = library.store.find_document(document_id)
        if row_id is None:
            raise CitationError("this document is no longer in the library: it was removed or has changed since")
        files = library.store.files_of(row_id)
    refused: QAError | None = None
    for row in files[:MOST_COPIES]:
        path = Path(row.root, row.source)
        try:
            file = _opened(path, row.source)
        except GoneError as error:
            refused = refused or error
            continue
        with file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if document_id in (public_id(content_key(row.kind, version, digest)) for version in _VERSIONS):
                size = file.tell()
                file.seek(0)
                yield Original(path, PurePosixPath(row.source).name, digest, size, file)
                return
        refused = ChangedError(f"the file has changed since it was indexed: {row.source}; run `refdesk index` again")
    raise refused or GoneError("no file of this document is known: run `refdesk index` again")


def _opened(path: Path, source: str) -> BufferedReader:
    """A regular file for reading; what only looks like one (a pipe, a device) is not waited for."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise GoneError(f"the file is not there any more, or cannot be read: {source} ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise GoneError(f"the file is not a regular one any more: {source}")
    return os.fdopen(number, "rb")

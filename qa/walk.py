"""The files of a folder: which there are, and whether they have changed."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from qa.errors import QAError, ReadError
from qa.readers import kind_of

UPLOADS = "uploads"
"""The folder in a library's own where files are kept that came through the page."""
RACY_NANOSECONDS = 2_000_000_000
"""A file changed this shortly before it was read could change again within one tick of its clock."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that can be read: its root and its path from there, with `/`."""

    root: Path
    source: str
    kind: str

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.root / self.source


@dataclass(slots=True)
class Listing:
    """What a walk saw: readable files in order, and by name or kind what was left out."""

    root: Path
    whole: bool
    files: list[Found] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)  # folders whose files are not known, but may still be there
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def walk(path: Path, *, leave_out: Path) -> Listing:
    """The files of a folder (or the one file), hidden ones and the folder `leave_out` apart.

    Linked folders are not followed: they may lead out of the folder or around in a circle.

    Raises:
        QAError: there is no such file or folder, or its kind cannot be read.
    """
    kind = check(path)
    if kind is not None:
        return Listing(path.parent.resolve(), whole=False, files=[Found(path.parent.resolve(), path.name, kind)])
    listing = Listing(path.resolve(), whole=True)
    for entry in _entries(listing.root, leave_out.resolve(), listing):
        kind = kind_of(entry)
        source = entry.relative_to(listing.root).as_posix()
        if kind is None:
            listing.skipped[entry.suffix.lower() or "no suffix"] += 1
        elif not _is_text(source):
            listing.notes.append(f"{source!a}: the name is not valid UTF-8; rename the file")
        else:
            listing.files.append(Found(listing.root, source, kind))
    listing.files.sort(key=lambda found: found.source)
    return listing


def check(path: Path) -> str | None:
    """The kind of a file that can be indexed, None for a folder.

    Raises:
        QAError: there is no such file or folder, it cannot be looked at, or its kind cannot be read.
    """
    try:
        if path.is_dir():
            os.scandir(path).close()
            kind = None
        elif path.is_file():
            kind = kind_of(path)
            if kind is None:
                raise QAError(f"{path} is of a kind that Refdesk does not read ({path.suffix or 'no suffix'})")
        else:
            raise QAError(
                f"no such file or folder: {path}; nothing was changed (to drop documents use `refdesk remove`)"
            )
    except OSError as error:
        raise QAError(f"{path} cannot be looked at ({error.strerror}): check its permissions") from error
    if not _is_text(str(path.resolve())):
        raise QAError(f"{str(path)!a}: the name is not valid UTF-8; rename it, or index from inside the folder")
    return kind


def _entries(root: Path, leave_out: Path, listing: Listing) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        listing.unread.append(Path(error.filename))
        listing.notes.append(f"{error.filename}: folder cannot be read ({error.strerror}); what is known of it stays")

    for folder, folders, names in os.walk(root, onerror=failed):
        here = Path(folder)
        for name in sorted(folders):
            if (here / name).is_symlink() and not name.startswith("."):
                listing.notes.append(f"{(here / name).relative_to(root).as_posix()}: linked folder, not followed")
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not (here / name).is_symlink() and (here / name) != leave_out
        )
        yield from (here / name for name in sorted(names) if not name.startswith("."))


def signature(path: Path) -> tuple[str, int, int]:
    """(signature, bytes, nanoseconds of the last change): the signature changes when a file was written or replaced.

    Raises:
        ReadError: the file cannot be looked at.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ReadError(_why(error)) from error
    changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}", stat.st_size, changed


def content_hash(path: Path) -> str:
    """Hex SHA-256 of a file's bytes.

    Raises:
        ReadError: the file cannot be read.
    """
    try:
        if not path.is_file():
            raise ReadError("not a regular file: a pipe, socket or device cannot be indexed")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ReadError(_why(error)) from error


def has_gone(path: Path) -> bool:
    """Is there surely nothing at `path` any more? A folder that cannot be looked into hides it only."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _why(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it: change its permissions, or index as its owner"
    if isinstance(error, FileNotFoundError):
        return "it went away, or is a link to nothing: restore it, or run the command again"
    return f"cannot be read ({error.strerror}): check the file and the disk, and run the command again"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

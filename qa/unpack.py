"""Zip archives from strangers: looked through before anything is unpacked, and unpacked within bounds."""

from __future__ import annotations

import re
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from qa.errors import QAError
from qa.readers import kind_of

MOST_MEMBERS = 10_000
"""Files and folders of an archive. A library of more is indexed as a folder, from where it is."""
LARGEST_UNPACKED = 1_000_000_000
"""Bytes of all files of an archive that are unpacked."""
LARGEST_RATIO = 200
"""Bytes unpacked for a byte of archive. Text gives 3 to 10, a log that repeats itself 50; a bomb gives 1,000."""
_HARMLESS = 10_000_000
"""Bytes unpacked up to which no ratio matters."""
_MOST_PARTS = 30
_LONGEST_PATH = 1_000
"""Folders and characters of a member's path. People's folders are 10 deep; each one of a path is made on the disk."""
_LONGEST_SHOWN = 300
"""Characters of a path in a list of what was left out."""
_MOST_ENTRIES = 200_000
"""Entries up to which Python may make objects of a list of contents (0.6 kB each). What is stored in the archive can
hold lists of its own, as every DOCX does, and is counted as well."""
_ENTRY = b"PK\x01\x02"
_BLOCK = 1 << 20
_DRIVE = re.compile(r"[A-Za-z]:")
_ARCHIVES = {".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"}
_DAMAGED = (BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError)


class ArchiveError(QAError):
    """An archive that is not unpacked at all."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive that can be indexed, and the parts of its path."""

    info: ZipInfo
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its path in the archive as it is shown, cut where it is very long."""
        path = "/".join(self.parts)
        return path if len(path) <= _LONGEST_SHOWN else f"{path[: _LONGEST_SHOWN - 1]}…"


@dataclass(frozen=True, slots=True)
class Contents:
    """An open archive: what is worth unpacking, and the other files as (path, why not)."""

    archive: ZipFile
    members: tuple[Member, ...]
    skipped: tuple[tuple[str, str], ...]


@contextmanager
def opened(path: Path, largest: int) -> Iterator[Contents]:
    """An archive whose names, number, sizes and ratio are in order; files above `largest` bytes are skipped.

    Raises:
        ArchiveError: it is damaged, a bomb, or leads out of its own folder.
    """
    with path.open("rb") as file:
        if _entries(file) > _MOST_ENTRIES:
            raise ArchiveError(f"the archive holds more than {MOST_MEMBERS:,} files: index its folder instead")
        try:
            archive = ZipFile(file)
        except _DAMAGED as error:
            raise ArchiveError(f"not a readable zip archive ({error}): make it again") from error
        with archive:
            yield _contents(archive, path.stat().st_size, largest)


def blocks(contents: Contents, member: Member) -> Iterator[bytes]:
    """A member's bytes, a block at a time, and never more than the archive says.

    Raises:
        ArchiveError: it is damaged.
    """
    try:
        with contents.archive.open(member.info) as file:
            left = member.info.file_size
            while left and (block := file.read(min(_BLOCK, left))):
                left -= len(block)
                yield block
            if left or file.read(1):
                raise BadZipFile("its size is not what the archive says")
    except _DAMAGED as error:
        raise ArchiveError(f"damaged in the archive ({error}): make the archive again") from error


def _contents(archive: ZipFile, size: int, largest: int) -> Contents:
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        raise ArchiveError(
            f"the archive holds {len(infos):,} files, more than {MOST_MEMBERS:,}: index its folder instead"
        )
    members: list[Member] = []
    skipped: list[tuple[str, str]] = []
    folders: set[tuple[str, ...]] = set()
    for info in infos:
        parts = _parts(info.filename)
        if info.is_dir() or not parts:
            continue
        member = Member(info, parts)
        reason = _unwanted(member, largest)
        if reason is None:
            members.append(member)
            folders.update(parts[:depth] for depth in range(1, len(parts)))
            if len(folders) > MOST_MEMBERS:
                raise ArchiveError(f"the archive holds more than {MOST_MEMBERS:,} folders: index its folder instead")
        else:
            skipped.append((member.name, reason))
    total = sum(member.info.file_size for member in members)
    if total > LARGEST_UNPACKED:
        raise ArchiveError(
            f"the archive unpacks to {total // 10**6:,} MB, more than {LARGEST_UNPACKED // 10**6:,}: "
            "split it, or index its folder instead"
        )
    if total > max(_HARMLESS, LARGEST_RATIO * size):
        raise ArchiveError(
            f"the archive unpacks to {total // max(1, size):,} times its size, more than {LARGEST_RATIO}: "
            "it is made to fill a disk; unpack it yourself if you know better, and index its folder"
        )
    return Contents(archive, tuple(members), tuple(skipped))


def _parts(name: str) -> tuple[str, ...]:
    """A member's path; programs on Windows write it with backslashes."""
    path = name.replace("\\", "/")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if path.startswith("/") or _DRIVE.match(path) or ".." in parts:
        raise ArchiveError(f"the archive holds a path that leads out of it ({name[:100]}): it is not unpacked")
    return parts


def _unwanted(member: Member, largest: int) -> str | None:
    """Why a member is not unpacked; None if it is."""
    info = member.info
    if len(member.parts) > _MOST_PARTS:
        return f"in more than {_MOST_PARTS - 1} folders within each other: put it higher up"
    if len(info.filename) > _LONGEST_PATH:
        return f"its path is longer than {_LONGEST_PATH:,} characters: shorten it"
    suffix = PurePosixPath(member.parts[-1]).suffix.lower()
    if any(part.startswith(".") or part == "__MACOSX" for part in member.parts):
        return "hidden"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return "a link, not a file"
    if suffix in _ARCHIVES:
        return "an archive in an archive is not opened: add it by itself"
    if kind_of(Path(member.parts[-1])) is None:
        return f"of a kind that is not read ({suffix[:20] or 'no suffix'})"
    if info.flag_bits & 1:
        return "encrypted: unpack the archive, and add its files"
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return "compressed in a way that is not read: make the archive with deflate, the usual one"
    if info.file_size > largest:
        return f"larger than {largest // 10**6:,} MB"
    return None


def _entries(file: BinaryIO) -> int:
    """How many entries lists of contents in a file can have, without making any."""
    count, before = 0, b""
    while block := file.read(_BLOCK):
        count += (before + block).count(_ENTRY)
        before = block[1 - len(_ENTRY) :]
    file.seek(0)
    return count

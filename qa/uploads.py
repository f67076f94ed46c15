"""Files that come through the page: kept in the library's own folder under a safe name, and sent on to be indexed."""

from __future__ import annotations

import errno
import filecmp
import json
import os
import re
import secrets
import shutil
import threading
import time
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from qa import unpack
from qa.errors import QAError
from qa.ingest import FileState, Ingest, Job
from qa.library import Library
from qa.readers import SUFFIXES, kind_of
from qa.types import DocumentInfo

LARGEST_UPLOAD = 100_000_000
"""Bytes of one file, or one archive."""
KEPT_FREE = 200_000_000
"""Bytes of the disk that uploads leave free: the library writes there, too."""
MOST_SKIPPED = 500
"""Files of an archive that are named though they are not kept; others are counted."""
STALE_SECONDS = 6 * 3600
"""Age at which a file that came in part is from a server that is gone, not from one that is beside this one."""
_LONGEST_NAME = 180  # bytes of a name in UTF-8; a file system has 255, and " (2)" needs some
_PARTIAL = ".incoming-"
_JOURNAL = ".waiting-"
_UNSEEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
_RESERVED = re.compile(r'[<>:"/\\|?*]')  # what one file system or another does not take
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)


class TakenError(QAError):
    """There is a file of that name."""


class DiskFullError(QAError):
    """No room for a file."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Sources that were removed; of these `deleted` were uploads, whose files are gone as well."""

    sources: tuple[str, ...]
    deleted: int


class Uploads:
    """What came through the page for one library, and what people do with its files. Safe between threads."""

    def __init__(self, library: Library, *, largest: int = LARGEST_UPLOAD) -> None:
        self.library = library
        self.largest = largest
        self.ingest = Ingest(library)
        self.folder = library.upload_folder
        self.room: Callable[[int], str | None] = lambda _: None
        """Why so many bytes more may not be kept, as a sentence; None if they may."""
        self._placing = threading.Lock()

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A file to write an upload to, which is gone afterwards unless `add` has put it in its place.

        Raises:
            QAError: the folder cannot be written, or its disk is full.
        """
        with _said():
            self.folder.mkdir(exist_ok=True)
        partial = self.folder / f"{_PARTIAL}{secrets.token_hex(8)}"
        try:
            with _said():
                yield partial
        finally:
            partial.unlink(missing_ok=True)

    def check_space(self, size: int) -> None:
        """Raise DiskFullError where so many bytes more do not fit."""
        free = shutil.disk_usage(self.library.path).free
        if size + KEPT_FREE > free:
            raise DiskFullError(
                f"{size / 10**6:,.1f} MB more do not fit on the disk, which has {free / 10**6:,.1f} MB left "
                f"({KEPT_FREE / 10**6:,.0f} MB of them are for the library itself): free some space, and try again"
            )
        if (reason := self.room(size)) is not None:
            raise DiskFullError(reason)

    def add(self, name: str, partial: Path, owner: str = "", job: Job | None = None) -> Job:
        """Put a file that came as `partial` in its place and queue it; of a .zip, every file that can be read.

        A name that is taken gets a number, unless the bytes are the same.

        Raises:
            QAError: it is of a kind that is not read, is an archive that is not unpacked, or cannot be written.
            QueueFullError: too many files wait already.
        """
        self.ingest.check_room()
        safe = safe_name(name)
        with _said():
            if Path(safe).suffix.lower() == ".zip":
                files = self._unpacked(Path(safe).stem, partial)
            else:
                check_kind(safe)
                files = [self._placed((safe,), partial)]
            try:
                journal = self._journal(files)
            except OSError:
                self._discard(files)
                raise
        try:
            return self.ingest.start(owner, files, job=job, journal=journal)
        except QAError:  # no room: nothing of it stays
            self._discard(files)
            if journal is not None:
                journal.unlink(missing_ok=True)
            raise

    def reindex(self, infos: Iterable[DocumentInfo], owner: str = "") -> Job:
        """Look into files again, from where they were indexed."""
        files = [
            FileState(info.source, path_of(info), info.root, info.bytes, again=True)
            for info in sorted(infos, key=lambda info: info.root)
        ]
        return self.ingest.start(owner, files)

    def stop(self, job: Job) -> None:
        """Index nothing of a job that still waits; what was uploaded for it is deleted."""
        self._discard(self.ingest.stop(job))

    def remove(self, infos: Sequence[DocumentInfo], *, wait: float = 30.0) -> Removed:
        """Take files out of the library; uploaded ones are deleted as well.

        Raises:
            QAError: the library is busy or cannot be written, and nothing was removed; or a file cannot be deleted.
        """
        with self.ingest.aside():
            self.library.remove_files([(info.root, info.source) for info in infos], wait=wait)
            uploaded = [info for info in infos if self.holds(info)]
            with _said():
                for info in uploaded:
                    path_of(info).unlink(missing_ok=True)
                    self._tidy(path_of(info).parent)
        return Removed(tuple(info.source for info in infos), len(uploaded))

    def rename(self, info: DocumentInfo, name: str, *, wait: float = 30.0) -> str:
        """Rename an uploaded file, in its folder; its text is not encoded again. Returns its new source.

        Raises:
            TakenError: there is a file of that name.
            QAError: it was not uploaded, has gone, the suffix is another, or the library is busy or cannot be written.
        """
        if not self.holds(info):
            raise QAError("this file was indexed from a folder of its owner's: rename it there, and index again")
        before = path_of(info)
        safe = safe_name(name)
        if Path(safe).suffix.lower() != before.suffix.lower():
            raise QAError(f"the name has to end in {before.suffix}, as it did")
        after = before.with_name(safe)
        if after == before:
            return info.source
        with self.ingest.aside(), self._placing, _said():
            if os.path.lexists(after):
                raise TakenError(f"there is a file {safe} already: choose another name")
            if not before.exists():
                raise QAError("the file is not there any more: remove it from the list")
            before.rename(after)
            try:
                self.library.sync([after], wait=wait)
            except QAError:
                after.rename(before)
                raise
            self.library.remove_files([(info.root, info.source)], wait=wait)  # where it could not be read
        return after.relative_to(self.folder).as_posix()

    def replace(self, job: Job, numbers: Collection[int] = (), *, wait: float = 30.0) -> None:
        """Give files of a job, all that can where no number is given, the names of the older ones that they came
        beside. The older ones are deleted; nothing is encoded again.

        They are only set aside until the library has the new ones under their names, so that whatever ends this on
        the way, no new file is lost.

        Raises:
            TakenError: there is nothing to replace, or one of the files is another one by now.
            QAError: the library is busy or cannot be written, and nothing was replaced. Only if another process takes
                the library after the first of two steps, the new ones are also still listed by the names they had.
        """
        with self.ingest.aside(), self._placing, _said():
            newer = self._newer(job, numbers)
            moves = [
                (path_of(older), Path(file.root, file.name), self.folder / f"{_PARTIAL}{secrets.token_hex(8)}")
                for older, file in newer.items()
            ]
            try:
                for older, new, aside in moves:
                    with suppress(FileNotFoundError):
                        older.rename(aside)
                    new.rename(older)
                self.library.sync([older for older, _, _ in moves], wait=wait)
            except BaseException:
                for older, new, aside in moves:
                    if not os.path.lexists(new):
                        older.rename(new)
                    if os.path.lexists(aside):
                        aside.rename(older)
                raise
            names = [(file.root, file.name) for file in newer.values()]
            self.ingest.replaced(job, newer)
            for _, _, aside in moves:
                aside.unlink(missing_ok=True)
            self.library.remove_files(names, wait=wait)

    def holds(self, info: DocumentInfo) -> bool:
        """Was it uploaded?"""
        return path_of(info).is_relative_to(self.folder)

    def resume(self) -> Job | None:
        """Index what waited when a server ended, and delete what came in part; None where there is nothing."""
        if not self.folder.is_dir():
            return None
        for partial in self.folder.glob(f"{_PARTIAL}*"):
            with suppress(OSError):
                if time.time() - partial.stat().st_mtime > STALE_SECONDS:
                    partial.unlink()
        job = None
        for journal in self.folder.glob(f"{_JOURNAL}*"):
            job = self.ingest.start("", self._resumed(journal), job=job, journal=journal, resumed=True)
        return job

    def close(self) -> None:
        """Index nothing more; what waits is indexed by the next server."""
        self.ingest.close()

    # Inside

    def _unpacked(self, stem: str, archive: Path) -> list[FileState]:
        """The files of an archive in their places, below a folder with the archive's name."""
        files: list[FileState] = []
        with unpack.opened(archive, self.largest) as contents:
            self.check_space(sum(member.info.file_size for member in contents.members))
            if not contents.members and not contents.skipped:
                raise unpack.ArchiveError("the archive holds no files")
            self.ingest.check_room(len(contents.members))
            tops = {member.parts[0] if len(member.parts) > 1 else None for member in contents.members}
            above = () if len(tops) == 1 and None not in tops else (stem,)
            skipped, taken = list(contents.skipped), set[tuple[str, ...]]()
            try:
                for member in contents.members:
                    parts = (*above, *member.parts)
                    try:
                        parts = (*map(_folder_name, parts[:-1]), safe_name(parts[-1]))
                    except QAError as error:
                        skipped.append((member.name, str(error)))
                        continue
                    if parts in taken:  # each would be compared with all before it
                        skipped.append((member.name, "another file of the archive has this name"))
                        continue
                    taken.add(parts)
                    files.append(self._extracted(contents, member, parts))
            except BaseException:
                self._discard(files)
                raise
            files += [FileState(name, state="skipped", reason=reason) for name, reason in skipped[:MOST_SKIPPED]]
            if (more := len(skipped) - MOST_SKIPPED) > 0:
                files.append(FileState(f"{more:,} more", state="skipped", reason="left out, as those before"))
        return files

    def _extracted(self, contents: unpack.Contents, member: unpack.Member, parts: tuple[str, ...]) -> FileState:
        partial = self.folder / f"{_PARTIAL}{secrets.token_hex(8)}"
        try:
            with partial.open("xb") as file:
                for block in unpack.blocks(contents, member):
                    file.write(block)
            return self._placed(parts, partial)
        except unpack.ArchiveError as error:
            return FileState(member.name, state="failed", reason=str(error))
        finally:
            partial.unlink(missing_ok=True)

    def _placed(self, parts: Sequence[str], partial: Path) -> FileState:
        """Give a file that came its name, all of it on the disk; one with the same bytes there stays as it is."""
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        with self._placing:
            wanted = self._made(parts[:-1]) / parts[-1]
            path, number = wanted, 2
            fresh = True
            while os.path.lexists(path):
                if path.is_file() and filecmp.cmp(path, partial, shallow=False):
                    fresh = False
                    break
                path = wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
                number += 1
            if fresh:
                partial.rename(path)
                _fsync_folder(path.parent)
            return self._state(path, fresh=fresh, wanted=None if path == wanted else wanted)

    def _made(self, parts: Sequence[str]) -> Path:
        """A folder below the uploads; one whose name a file has gets a number."""
        folder = self.folder
        for part in parts:
            above, number = folder, 2
            folder = above / part
            while os.path.lexists(folder) and not folder.is_dir():
                folder = above / f"{part} ({number})"
                number += 1
            folder.mkdir(exist_ok=True)
        return folder

    def _state(self, path: Path, *, fresh: bool = False, wanted: Path | None = None) -> FileState:
        name = path.relative_to(self.folder).as_posix()
        return FileState(name, path, str(self.folder), path.stat().st_size, fresh=fresh, wanted=wanted)

    def _newer(self, job: Job, numbers: Collection[int]) -> dict[DocumentInfo, FileState]:
        """Files of a job by the older ones that they can replace, all as they were when the job told of them."""
        newer = {
            file.replaces: file
            for number, file in enumerate(job.files)
            if file.replaces is not None and (not numbers or number in numbers)
        }
        moving = {file.name for file in newer.values()}
        newer = {older: file for older, file in newer.items() if older.source not in moving}  # that one comes first
        if not newer:
            raise TakenError("there is no older version to replace (any more)")
        now = {(info.root, info.source): info for info in self.library.documents()}
        for older, file in newer.items():
            there, new = now.get((older.root, older.source)), now.get((file.root, file.name))
            if there is None or (there.document_id, there.indexed_at) != (older.document_id, older.indexed_at):
                raise TakenError(f"{older.source} is another one by now: look at both, and remove one")
            if new is None or new.document_id != file.document or not path_of(new).exists():
                raise TakenError(f"{file.name} is not there any more as it was added: reload the list")
        return newer

    def _journal(self, files: Sequence[FileState]) -> Path | None:
        """Note on the disk which files wait, so that the next server goes on if this one does not."""
        names = [file.name for file in files if file.state == "waiting"]
        if not names:
            return None
        path = self.folder / f"{_JOURNAL}{secrets.token_hex(8)}"
        partial = self.folder / f"{_PARTIAL}{secrets.token_hex(8)}"
        partial.write_text(json.dumps(names), encoding="utf-8")
        return partial.rename(path)

    def _resumed(self, journal: Path) -> list[FileState]:
        try:
            names = json.loads(journal.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        paths = [self.folder / str(name) for name in names]
        return [
            self._state(path)
            for path in paths
            if path.is_file() and path.resolve().is_relative_to(self.folder) and kind_of(path)
        ]

    def _discard(self, files: Iterable[FileState]) -> None:
        for file in files:
            if file.fresh and file.path is not None:
                with suppress(OSError):
                    file.path.unlink(missing_ok=True)
                    self._tidy(file.path.parent)

    def _tidy(self, folder: Path) -> None:
        """Remove a folder that is empty, and those above it."""
        while folder != self.folder and folder.is_relative_to(self.folder):
            try:
                folder.rmdir()
            except OSError:  # there is something in it
                return
            folder = folder.parent


def path_of(info: DocumentInfo) -> Path:
    """Where a file of the library is, or was when it was indexed."""
    return Path(info.root, info.source)


def safe_name(name: str) -> str:
    """A file's name that every file system takes and that shows what it is: one part, no control characters.

    Raises:
        QAError: nothing is left of it.
    """
    base = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    shown = "".join("_" if _is_unseen(character) else character for character in " ".join(base.split()))
    clean = _RESERVED.sub("_", shown).strip(" .")
    stem, suffix = os.path.splitext(clean)
    if not stem.strip(" ."):
        raise QAError("the file has no name: give it one")
    while len(stem.encode()) + len(suffix.encode()) > _LONGEST_NAME and stem:
        stem = stem[:-1]
    clean = f"{stem.rstrip(' .')}{suffix}"
    if len(suffix) > 20 or not stem:
        raise QAError("the name of the file is too long: shorten it")
    return f"_{clean}" if _DEVICES.match(clean) else clean


def check_kind(name: str) -> None:
    """Raise QAError for a name whose kind is not read."""
    if kind_of(Path(name)) is None:
        known = ", ".join(sorted(SUFFIXES))
        came = PurePosixPath(name).suffix or "a name without suffix"
        raise QAError(f"expected one of {known} or .zip, came {came}")


def _folder_name(name: str) -> str:
    # A folder has no suffix to keep, and nothing that would hide it.
    return safe_name(f"{name}.d")[:-2].rstrip(" .") or "_"


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN and character not in _JOINERS


def _fsync_folder(folder: Path) -> None:
    """Write a folder's names to the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _said() -> Iterator[None]:
    """What a disk has against it, as one line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFullError("the disk is full: free some space, and send the file again") from error
        raise QAError(f"the library's uploads cannot be written ({error.strerror}): check its permissions") from error

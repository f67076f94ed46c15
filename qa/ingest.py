"""Files on their way into a library: jobs that wait, and one thread that has them indexed a group at a time."""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from qa.errors import LibraryBusyError, QAError
from qa.escape import plain, without_folder
from qa.indexer import Indexer, IndexerError
from qa.library import Library
from qa.types import DocumentInfo, FileOutcome, Progress
from qa.walk import check

GROUP_FILES = 64
"""Files indexed together: their sentences fill batches, and indexes are saved once for all of them."""
GROUP_BYTES = 20_000_000
"""Bytes of such files. A group is what a removal waits for, a few seconds to a minute."""
MOST_WAITING = 20_000
"""Files that wait at most: two of the largest archives."""
MOST_JOBS = 100
MOST_FILES = 50_000
"""Jobs and files that are remembered; older jobs that are done are forgotten. 150,000 files took 150 MB."""
BUSY_SECONDS = 2.0
"""Between two tries while another process writes."""
LINGER_SECONDS = 20.0
"""How long the process that indexes is kept when nothing waits: a browser sends one file after another."""
_GONE = "it is not there any more: bring it back, or remove it here"

State = Literal["waiting", "reading", "indexed", "unchanged", "failed", "skipped", "stopped", "replaced"]


class QueueFullError(QAError):
    """Too many files wait."""


class _Closing(Exception):  # noqa: N818
    """Ends what the thread does."""


@dataclass(slots=True)
class FileState:
    """A file of a job. `path` is None where it was skipped, `root` the folder that it was or will be indexed from.

    `again` reads it though nothing about it has changed; `fresh` was written for this job and is nothing without it.
    `wanted` is where it would be if no other file had the name that it came with. `older` is that file once both are
    indexed, or one of an indexed folder with the same source; `document` is what this one holds.
    """

    name: str
    path: Path | None = None
    root: str = ""
    bytes: int = 0
    again: bool = False
    fresh: bool = False
    wanted: Path | None = None
    older: DocumentInfo | None = None
    document: str | None = None
    state: State = "waiting"
    reason: str | None = None
    passages: int = 0
    warnings: tuple[str, ...] = ()
    revision: int = 0

    @property
    def replaces(self) -> DocumentInfo | None:
        """The older upload whose name it can take, if there is one."""
        older = self.older
        return older if older is not None and older.root == self.root and self.state != "replaced" else None

    def as_json(self, number: int) -> dict[str, Any]:
        """What the page shows of it; `number` is its place in the job."""
        older = self.older
        return {
            "number": number,
            "name": plain(self.name),
            "state": self.state,
            "reason": None if self.reason is None else plain(self.reason),
            "passages": self.passages,
            "warnings": [plain(warning) for warning in self.warnings],
            "document": self.document,
            "again": self.again,
            "older": None if older is None else {"path": plain(older.source), "uploaded": older.root == self.root},
        }


@dataclass(slots=True)
class Job:
    """Files that somebody gave together, in order. `owner` is who; whoever knows the id may look and stop."""

    id: str
    owner: str
    files: list[FileState] = field(default_factory=list)
    stage: str = "waiting"
    share: float = 0.0  # of the files being read, how far they are
    revision: int = 0
    journals: list[Path] = field(default_factory=list)  # what a next start resumes, deleted when the job is done

    @property
    def open(self) -> bool:
        """Does anything of it wait, or go on?"""
        return any(file.state in ("waiting", "reading") for file in self.files)

    def as_json(self, since: int = 0) -> dict[str, Any]:
        """How far it is, with the files that changed after revision `since`."""
        done = sum(file.state not in ("waiting", "reading") for file in self.files)
        reading = sum(file.state == "reading" for file in self.files)
        return {
            "id": self.id,
            "state": "running" if done < len(self.files) else "done",
            "stage": self.stage if done < len(self.files) else "done",
            "done": done,
            "total": len(self.files),
            "progress": round((done + reading * self.share) / max(1, len(self.files)), 4),
            "revision": self.revision,
            "files": [file.as_json(n) for n, file in enumerate(self.files) if file.revision > since],
        }


class Ingest:
    """Jobs of one library and the thread that works them off, with a process of its own to do the work.

    Both end when nothing waits, and start again.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self._changed = threading.Condition()
        self._jobs: dict[str, Job] = {}  # by id, the oldest first
        self._waiting: deque[tuple[Job, FileState]] = deque()
        self._urgent = 0
        self._closed = False
        self._indexer: Indexer | None = None  # of the thread, which ends it
        self.thread: threading.Thread | None = None

    def start(
        self,
        owner: str,
        files: Sequence[FileState],
        *,
        job: Job | None = None,
        journal: Path | None = None,
        resumed: bool = False,
    ) -> Job:
        """A job with these files, or a job's further files; those that are `waiting` will be indexed.

        `journal` is a file that tells a next start of them, until the job is done. Files that are `resumed` waited
        before this start: they wait again, however many they are.

        Raises:
            QueueFullError: too many wait already.
            QAError: the server is closing.
        """
        with self._changed:
            if self._closed:
                raise QAError("the server is closing: try again when it runs")
            if not resumed:
                self.check_room(len(files))
            if job is None:
                job = Job(secrets.token_urlsafe(18), owner)
                self._jobs[job.id] = job
            elif not resumed and len(job.files) + len(files) > MOST_WAITING:
                raise QueueFullError(
                    f"{len(job.files):,} files were added together, {MOST_WAITING:,} is the most: reload the page, and "
                    "add the others then"
                )
            if journal is not None:
                job.journals.append(journal)
            for file in files:
                job.files.append(file)
                self._set(job, file, file.state, file.reason)
                if file.state == "waiting":
                    self._waiting.append((job, file))
            self._forget_old(job)
            self._work()
        self._end([job])
        return job

    def check_room(self, files: int = 1) -> None:
        """Raise QueueFullError where so many more files may not wait."""
        if len(self._waiting) + files > MOST_WAITING:
            raise QueueFullError(
                f"{len(self._waiting):,} files wait to be indexed, {MOST_WAITING:,} is the most: try again later"
            )

    def find(self, job_id: str) -> Job | None:
        """The job with an id, None where there is none (any more)."""
        with self._changed:
            return self._jobs.get(job_id)

    def jobs(self, owner: str) -> list[Job]:
        """An owner's jobs, the oldest first."""
        with self._changed:
            return [job for job in self._jobs.values() if job.owner == owner]

    def stop(self, job: Job) -> list[FileState]:
        """Let nothing of a job that waits be indexed; returns those files. What is being read is finished."""
        with self._changed:
            stopped = [file for file in job.files if file.state == "waiting"]
            self._waiting = deque(pair for pair in self._waiting if pair[0] is not job)
            for file in stopped:
                self._set(job, file, "stopped")
        self._end([job])
        return stopped

    def replaced(self, job: Job, newer: Mapping[DocumentInfo, FileState]) -> None:
        """Files of a job have got the names of the older ones, which no other can replace any more."""
        with self._changed:
            for older, file in newer.items():
                file.name, file.path = older.source, Path(older.root, older.source)
                self._set(job, file, "replaced")
            for file in job.files:
                if file.replaces is not None and file.replaces in newer:
                    file.older = None
                    self._set(job, file, file.state, file.reason)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The thread starts no other group meanwhile, so that one who changes the library gets the turn."""
        with self._changed:
            self._urgent += 1
        try:
            yield
        finally:
            with self._changed:
                self._urgent -= 1
                self._changed.notify_all()

    def wait(self, job: Job, seconds: float) -> bool:
        """Wait until a job is done; False where it is not after so long."""
        with self._changed:
            return self._changed.wait_for(lambda: not (job.open or job.journals), seconds)

    def close(self) -> None:
        """End process and thread. What was not indexed still waits in the job, which does not end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread, indexer = self.thread, self._indexer
        if indexer is not None:
            indexer.close()
        if thread is not None:
            thread.join()

    # In the thread

    def _work(self) -> None:
        if self.thread is None and self._waiting and not self._closed:
            self._indexer = Indexer(self.library.path)
            self.thread = threading.Thread(target=self._run, args=[self._indexer], name="refdesk-ingest", daemon=True)
            self.thread.start()

    def _run(self, indexer: Indexer) -> None:
        try:
            while group := self._next():
                try:
                    self._index(indexer, group)
                finally:  # after a bug, too: the files say so
                    self._end([job for job, _ in group])
        except _Closing:
            pass
        finally:  # after a bug the next group is not to blame
            indexer.close()
            with self._changed:
                if self.thread is threading.current_thread():  # not one that was started since the last group
                    self.thread = None
                    self._work()

    def _next(self) -> list[tuple[Job, FileState]]:
        """Files of one root that wait, marked as being read; none where nothing waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._waiting), LINGER_SECONDS)
            self._changed.wait_for(lambda: self._closed or not self._urgent)
            group: list[tuple[Job, FileState]] = []
            size = 0
            while self._waiting and not self._closed and len(group) < GROUP_FILES:
                job, file = self._waiting[0]
                size += file.bytes
                if group and (file.root != group[0][1].root or size > GROUP_BYTES):
                    break
                self._waiting.popleft()
                job.share, job.stage = 0.0, "reading"
                self._set(job, file, "reading")
                group.append((job, file))
            if not group:
                self.thread = None
            return group

    def _index(self, indexer: Indexer, group: Sequence[tuple[Job, FileState]]) -> None:
        """Index files and note what became of each."""
        there = [pair for pair in group if self._is_there(*pair)]
        paths = [file.path for _, file in there if file.path is not None]
        if not paths:
            return
        try:
            again = [file.path for _, file in there if file.again and file.path is not None]
            outcomes = self._synced(indexer, there, paths, again)
        except QAError as error:
            for pair in there:
                if len(there) > 1:  # one of them may be to blame for all
                    self._index(indexer, [pair])
                else:
                    self._mark(*pair, "failed", self._without_folders(str(error), pair[1]))
        except _Closing:
            with self._changed:
                for job, file in there:
                    self._set(job, file, "waiting")
            raise
        else:
            infos = self.library.documents()
            known = {os.path.join(info.root, info.source): info for info in infos}
            elsewhere = {info.source: info for info in infos if info.document_id and info.root != there[0][1].root}
            for job, file in there:
                self._note(job, file, outcomes, known, elsewhere)

    def _synced(
        self, indexer: Indexer, group: Sequence[tuple[Job, FileState]], paths: Sequence[Path], again: Sequence[Path]
    ) -> dict[str, FileOutcome]:
        """What `Library.sync` says of the paths, by source, as soon as no other process writes."""

        def on_progress(progress: Progress) -> None:
            if self._closed:
                raise _Closing
            with self._changed:
                for job, _ in group:
                    job.stage = progress.stage
                    job.share = 0.95 * progress.done / progress.total if progress.total else 0.0

        while True:
            try:
                outcomes = indexer.sync(paths, again=again, on_progress=on_progress, wait=BUSY_SECONDS)
                return {outcome.source: outcome for outcome in outcomes}
            except LibraryBusyError:
                with self._changed:
                    for job, _ in group:
                        job.stage = "busy"
            except IndexerError:
                if not self._closed:
                    raise
            if self._closed:
                raise _Closing

    def _is_there(self, job: Job, file: FileState) -> bool:
        if file.path is None:
            return False
        try:
            check(file.path)
        except QAError as error:
            reason = self._without_folders(str(error), file) if file.path.exists() else _GONE
            self._mark(job, file, "failed", reason)
            return False
        return True

    def _note(
        self,
        job: Job,
        file: FileState,
        outcomes: Mapping[str, FileOutcome],
        known: Mapping[str, DocumentInfo],
        elsewhere: Mapping[str, DocumentInfo],
    ) -> None:
        """What became of a file. `known` are all by path, `elsewhere` those by source that other roots hold."""
        info = known.get(str(file.path))
        if info is None:
            self._mark(job, file, "failed", _GONE)
            return
        outcome = outcomes.get(info.source)
        file.document, file.passages = info.document_id, info.passages
        if outcome is not None and outcome.state == "failed":
            self._mark(job, file, "failed", outcome.reason)
            return
        if not file.again:
            other = elsewhere.get(info.source) if file.wanted is None else known.get(str(file.wanted))
            file.older = other if other is not None and other.document_id != info.document_id else None
        if outcome is None:
            self._mark(job, file, "unchanged")
        else:
            file.warnings = outcome.warnings
            self._mark(job, file, "indexed")

    # Notes about jobs

    def _mark(self, job: Job, file: FileState, state: State, reason: str | None = None) -> None:
        with self._changed:
            self._set(job, file, state, reason)

    def _set(self, job: Job, file: FileState, state: State, reason: str | None = None) -> None:
        job.revision += 1
        file.state, file.reason, file.revision = state, reason, job.revision
        self._changed.notify_all()

    def _end(self, jobs: Sequence[Job]) -> None:
        with self._changed:
            for job in jobs:
                while not job.open and job.journals:
                    job.journals.pop().unlink(missing_ok=True)
            self._changed.notify_all()

    def _forget_old(self, present: Job) -> None:
        held = sum(len(job.files) for job in self._jobs.values())
        for job in [job for job in self._jobs.values() if not job.open and job is not present]:
            if len(self._jobs) <= MOST_JOBS and held <= MOST_FILES:
                break
            held -= len(job.files)
            del self._jobs[job.id]

    def _without_folders(self, message: str, file: FileState) -> str:
        """A message without this machine's folders, which are nobody's business in a browser."""
        return without_folder(message.replace(str(file.path), file.name), self.library.path, "the library")

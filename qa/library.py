"""A library: the one object that page, command line, programs and evaluation use."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from embeddings import BUNDLED, Encoder, EncoderUnavailableError
from qa import answering, conversation, indexes, retrieval
from qa.answering import Searched
from qa.errors import CitationError, EncoderError, LibraryBusyError, LibraryError, LibraryExistsError, QuestionError
from qa.rebuild import rebuild
from qa.snapshot import Snapshot
from qa.store import FILE_NAME, Store, now
from qa.sync import OnProgress, finish, sync
from qa.types import Answer, Citation, Context, Document, DocumentInfo, Hit, SyncReport, Tuned, Turn
from qa.walk import UPLOADS

LONGEST_QUESTION = 4_000
"""Characters of a question; more is a document."""
MOST_HITS = 1_000
_MANY = 4
"""Questions to a large library from which several threads rank them: two are 1.4 to 1.7 times as fast as one on two
cores. A small one is faster with one, since nearly all of the work is Python's (docs/design.md, "Many at once")."""

Turns = Sequence[str | Turn]


@dataclass(frozen=True, slots=True)
class Status:
    """What a library holds and what it was made with."""

    path: str
    documents: int
    files: int
    failed: int
    passages: int
    sentences: int
    vectors: int
    languages: tuple[str, ...]
    roots: tuple[str, ...]
    encoder: str
    fingerprint: str
    engine: str
    encoded_by: str
    schema: int
    generation: int
    bytes: int
    indexes: str
    tuned: Mapping[str, Tuned] = field(default_factory=dict)


class Library:
    """A folder with documents, passages and indexes. Safe to share between threads; several processes may read while
    one writes."""

    def __init__(self, path: Path, store: Store, encoder: Encoder | None = None) -> None:
        self.path = path
        self.store = store
        self._encoder = encoder
        self._snapshot: Snapshot | None = None
        self._matched: tuple[object, frozenset[int]] | None = None
        self._lock = threading.RLock()
        cores = os.cpu_count() or 1
        self._turns = {large: threading.BoundedSemaphore(cores if large else 1) for large in (True, False)}

    # Opening and closing

    @classmethod
    def create(
        cls, path: str | Path, *, encoder: str | Encoder = BUNDLED, download: bool = False, engine: str = "auto"
    ) -> Self:
        """A new, empty library in a folder that does not exist yet or is empty.

        Args:
            path: the folder.
            encoder: a model's name or folder, or a loaded Encoder. The library remembers it.
            download: may the network be used to fetch the model?
            engine: what runs the encoder, as in `Encoder.load`. The library remembers it, too.

        Raises:
            LibraryError: the folder is a library already, or holds other files.
            EncoderError: the model cannot be had.
        """
        path = Path(path)
        try:
            if (path / FILE_NAME).exists():
                raise LibraryExistsError(f"{path} is a library already: open it, or choose another folder")
            if path.exists() and (not path.is_dir() or _visible(path)):
                raise LibraryError(f"{path} is not an empty folder: choose another one for the library (--library DIR)")
        except OSError as error:
            raise LibraryError(f"library {path} cannot be made ({error.strerror}): check its permissions") from error
        loaded = _load(encoder, download=download, engine=engine)
        with _made(path) as partial:
            meta = {
                "library": uuid.uuid4().hex,
                "created": now(),
                "encoder": loaded.name,
                "fingerprint": loaded.fingerprint,
                "dimension": str(loaded.dimension),
                "engine": engine,
                "encoded_by": loaded.engine,
            }
            Store.create(partial, meta).close()  # closing writes the log back, so that one file is all of it
        return cls(path, Store.open(path / FILE_NAME), loaded)

    @classmethod
    def open(cls, path: str | Path, *, encoder: Encoder | None = None) -> Self:
        """The library in a folder. Its encoder is loaded when the first question or new text needs it.

        Args:
            path: the folder.
            encoder: an Encoder that is loaded already, to share it between libraries.

        Raises:
            LibraryError: there is no library, or a newer version wrote it.
        """
        path = Path(path)
        try:
            there = (path / FILE_NAME).is_file()
            what = "is not a Refdesk library" if path.exists() else "does not exist"
        except OSError as error:
            raise LibraryError(f"library {path} cannot be opened ({error.strerror}): check its permissions") from error
        if not there:
            raise LibraryError(f"{path} {what}: make one with `refdesk index FOLDER --library {path}`")
        return cls(path, Store.open(path / FILE_NAME), encoder)

    def close(self) -> None:
        """Close the library's file. The library cannot be used afterwards."""
        if "_threads" in self.__dict__:
            self._threads.shutdown(cancel_futures=True)
        self.store.close()

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        """A thread a core, for many questions at once."""
        return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="refdesk-search")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def encoder_name(self) -> str:
        """The name or folder of the library's encoder, which is not loaded for it."""
        return self.store.meta("encoder")

    def set_engine(self, engine: str, *, wait: float = 30.0) -> None:
        """Choose what runs the encoder, as in `Encoder.load`. Vectors of another engine fit: nothing is encoded again.

        Raises:
            EncoderError: it cannot run this encoder.
        """
        loaded = _load(self.encoder_name, download=False, engine=engine)
        with self.writing(wait):
            with self.store.transaction():
                self.store.set_meta("engine", engine)
            with self._lock:
                self._encoder = loaded

    @property
    def encoder(self) -> Encoder:
        """The library's encoder, loaded on first use.

        Raises:
            EncoderError: it cannot be had, or is not the one that the library was made with.
        """
        with self._lock:
            if self._encoder is None:
                self._encoder = _load(self.encoder_name, download=False, engine=self.store.meta("engine"))
            if self._encoder.fingerprint != self.store.meta("fingerprint"):
                raise EncoderError(
                    f"library {self.path} was made with encoder {self.store.meta('encoder')!r} "
                    f"({self.store.meta('fingerprint')[:8]}), this is {self._encoder.name!r} "
                    f"({self._encoder.fingerprint[:8]}): open it with that one, or encode it anew with "
                    f"`refdesk index --rebuild --model {self._encoder.name} --library {self.path}`"
                )
            return self._encoder

    # Writing

    def sync(
        self, paths: Sequence[str | Path], *, on_progress: OnProgress | None = None, wait: float = 30.0
    ) -> SyncReport:
        """Bring the library to the state of files and folders: new, changed, renamed and deleted ones, by content.

        A file that cannot be read is in the report and stops nothing. Deleted files are noticed in the folders given.

        Args:
            paths: files and folders.
            on_progress: hears how far it is, about twice a second or more often.
            wait: seconds to wait for another process that writes.

        Raises:
            QAError: a path does not exist or cannot be read at all; nothing was changed.
            LibraryBusyError: another process is still writing after `wait` seconds.
        """
        if not paths:
            raise LibraryError("no path was given: name the files or folders to index")
        listen = on_progress or (lambda _: None)
        with self.writing(wait):
            report = sync(
                self.store,
                lambda: self.encoder,
                [Path(path) for path in paths],
                self.path,
                listen,
                lambda: self.save_indexes(lists=False),
            )
            if report.encoded:
                with self.store.transaction():
                    self.store.set_meta("encoded_by", self.encoder.engine)
                if self.encoder.note:
                    note = f"the model runs on {self.encoder.engine}: {self.encoder.note}"
                    report = replace(report, notes=(*report.notes, note))
            self.save_indexes()
        return report

    def remove(self, pattern: str, *, wait: float = 30.0) -> list[str]:
        """Remove the documents whose source is or matches `pattern` (a glob); returns their sources.

        Their text is in no answer from then on. The files themselves are not touched.
        """
        with self.writing(wait):
            files = self.store.files_named(pattern)
            if set(pattern) & set("*?["):
                files += [row for row in self.store.files() if row not in files and fnmatchcase(row.source, pattern)]
            self._delete([(row.root, row.source) for row in files])
        return [row.source for row in files]

    def remove_files(self, files: Iterable[tuple[str, str]], *, wait: float = 30.0) -> None:
        """Remove the documents of files given as (root, source), as `DocumentInfo` has them; unknown ones do no harm.

        Their text is in no answer from then on. The files themselves are not touched.
        """
        with self.writing(wait):
            self._delete(list(files))

    def _delete(self, files: Sequence[tuple[str, str]]) -> None:
        if not files:
            return
        with self.store.transaction():
            for root, source in files:
                self.store.delete_file(root, source)
        finish(self.store)
        self.save_indexes()

    def read_again(self, paths: Iterable[str | Path], *, wait: float = 30.0) -> None:
        """Let the next `sync` look into these files though nothing about them has changed, as after a failure that
        is mended."""
        with self.writing(wait), self.store.transaction():
            for path in map(Path, paths):
                for row in self.store.files_below(path.parent.resolve() / path.name):
                    self.store.put_file(replace(row, signature=""))

    def rebuild(
        self,
        encoder: str | Encoder,
        *,
        download: bool = False,
        on_progress: OnProgress | None = None,
        wait: float = 30.0,
    ) -> None:
        """Encode all text with another encoder. Until it is done the library answers with the old one.

        Raises:
            EncoderError: the model cannot be had.
        """
        loaded = _load(encoder, download=download, engine=self.store.meta("engine"))
        with self.writing(wait):
            rebuild(self.store, loaded, on_progress or (lambda _: None))
            with self._lock:
                self._encoder, self._snapshot = loaded, None
            self.save_indexes()

    def set_tuned(self, tuned: Mapping[str, Tuned], *, wait: float = 30.0) -> None:
        """Replace the defaults of retrieval by language, as `refdesk tune` fits them; an empty mapping restores them.

        Raises:
            LibraryError: a value is not in [0, 1].
        """
        for language, one in tuned.items():
            for name, value in (("dense_weight", one.dense_weight), ("nothing_found", one.nothing_found)):
                if value is not None and not 0 <= value <= 1:
                    raise LibraryError(f"{name} for {language!r} is {value}: expected 0 to 1")
        with self.writing(wait):
            with self.store.transaction():
                self.store.set_tuned(tuned)
            self.save_indexes()

    @contextmanager
    def writing(self, wait: float = 30.0) -> Iterator[None]:
        """The lock that one writer holds.

        Raises:
            LibraryBusyError: another process holds it after `wait` seconds; the message says which.
        """
        holder = self.path / "writer.json"
        lock = FileLock(self.path / "writer.lock", timeout=wait, thread_local=False)
        what = {"pid": os.getpid(), "host": socket.gethostname(), "command": Path(sys.argv[0]).name, "since": now()}
        try:
            lock.acquire()
            holder.write_text(json.dumps(what))
        except Timeout:
            raise LibraryBusyError(
                f"library {self.path} is being written by {_holder(holder)}: wait until it is done and try again"
            ) from None
        except OSError as error:
            lock.release()
            raise LibraryError(
                f"library {self.path} cannot be written ({error}): check its permissions and its disk"
            ) from error
        try:
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def save_indexes(self, *, lists: bool = True, anew: bool = False) -> None:
        """Write the derived indexes beside the rows, so that opening is fast. They can always be made again.

        Without `lists` a large library's vectors are all compared until they are saved again: it takes less time.
        What is saved is used again unless they are to be made `anew`.
        """
        if anew:
            self._snapshot = None
            shutil.rmtree(self.index_folder, ignore_errors=True)
        if self.index_problem() is None:
            return
        try:
            with self._lock:
                self._snapshot = indexes.write(
                    self.store, self._dimension, self._snapshot, self.index_folder, lists=lists
                )
        except OSError as error:
            raise LibraryError(
                f"the indexes of {self.path} cannot be saved ({error}): free some disk space; the documents are kept, "
                "and the next `refdesk index` saves the indexes"
            ) from error

    def index_problem(self, *, thorough: bool = False) -> str | None:
        """What keeps the saved indexes from being used as they are, None if nothing does; `thorough` reads them all."""
        return indexes.problem(self.store, self.index_folder, thorough=thorough)

    @property
    def upload_folder(self) -> Path:
        """Where files are kept that came through the page; it may not be there yet."""
        return self.path.resolve() / UPLOADS

    @property
    def index_folder(self) -> Path:
        """Where the derived indexes are."""
        return self.path / "indexes"

    # Asking

    def retrieve(
        self,
        question: str,
        k: int = 5,
        *,
        turns: Turns = (),
        sources: str | Sequence[str] | None = None,
        where: Mapping[str, str] | None = None,
    ) -> list[Hit]:
        """The `k` best passages for a question, best first, each with its best sentence cited.

        Args:
            question: up to 4,000 characters.
            k: 1 to 1,000.
            turns: the earlier questions of the conversation, oldest first.
            sources: only documents whose source matches this glob, or one of these.
            where: only documents with these values of `kind`, `language`, `title` or `root`.

        Raises:
            QuestionError: the question is empty or too long, `k` is out of range, or a filter's name is unknown.
        """
        return self.retrieve_many([question], k, turns=[turns], sources=sources, where=where)[0]

    def retrieve_many(
        self,
        questions: Sequence[str],
        k: int = 5,
        *,
        turns: Sequence[Turns] | None = None,
        sources: str | Sequence[str] | None = None,
        where: Mapping[str, str] | None = None,
        dense_weight: float | None = None,
    ) -> list[list[Hit]]:
        """`retrieve` for many questions, encoded together: one list of hits for each, in order.

        Args:
            turns: for each question the earlier ones of its conversation.
            dense_weight: in place of the weight chosen by language: 1 ranks by cosine alone, 0 by BM25 alone.
        """
        done = self.search(questions, k, turns=turns, sources=sources, where=where, dense_weight=dense_weight)
        return [[found.hit for found in one.found] for one in done]

    def ask(
        self,
        question: str,
        *,
        turns: Turns = (),
        k: int = 5,
        sources: str | Sequence[str] | None = None,
        where: Mapping[str, str] | None = None,
        dense_weight: float | None = None,
    ) -> Answer:
        """The answer to a question: the best sentences word for word with citations, or that no passage was found.

        Arguments and errors as in `retrieve_many`.
        """
        with self.store.reading():
            done = self.search([question], k, turns=[turns], sources=sources, where=where, dense_weight=dense_weight)
            return answering.answer(self.store, done[0])

    def search(
        self,
        questions: Sequence[str],
        k: int = 5,
        *,
        turns: Sequence[Turns] | None = None,
        sources: str | Sequence[str] | None = None,
        where: Mapping[str, str] | None = None,
        dense_weight: float | None = None,
    ) -> list[Searched]:
        """What `retrieve_many` and `ask` are made of: for each question all candidates ranked, the first `k` as hits.

        Arguments and errors as there.
        """
        if not 1 <= k <= MOST_HITS:
            raise QuestionError(f"k is {k}: expected 1 to {MOST_HITS}")
        asked = [_checked(question) for question in questions]
        turns = [()] * len(asked) if turns is None else turns
        plans = [
            tuple((weight, _encodable(text)) for weight, text in conversation.plan(question, earlier))
            for question, earlier in zip(asked, turns, strict=True)
        ]
        current = self.snapshot()
        allowed = self._allowed(current, sources, where)
        none = not current.live or (allowed is not None and not allowed.any())
        if none:
            return [
                Searched(question, plan[-1][1], current, retrieval.NO_RANKING, ())
                for question, plan in zip(asked, plans, strict=True)
            ]
        vectors = self.encoder.encode_queries([text for plan in plans for _, text in plan])
        ends = list(accumulate(map(len, plans)))

        def searched(number: int) -> Searched:
            plan = plans[number]
            own = vectors[ends[number] - len(plan) : ends[number]]
            shown = self._shown(turns[number])
            query = retrieval.weighted(plan, own, shown)
            with self._turns[current.large], self.store.reading():
                ranking = retrieval.rank(current, query, k, allowed=allowed, dense_weight=dense_weight)
                if len(plan) > 1 and not conversation.points_back(asked[number]):  # it may be about something else
                    alone = retrieval.weighted(((1.0, plan[0][1]),), own[:1], shown)
                    other = retrieval.rank(current, alone, k, allowed=allowed, dense_weight=dense_weight)
                    if other.best == "strong" or (other.best == "partial" and ranking.best == "weak"):
                        query, ranking = alone, other
                found = answering.find(self.store, current, query, ranking, k)
            return Searched(asked[number], query.texts[-1], current, ranking, found)

        each = self._threads.map if current.large and len(asked) >= _MANY else map
        return list(each(searched, range(len(asked))))

    # Looking

    def matching(self, sources: str | Sequence[str] | None, where: Mapping[str, str]) -> frozenset[int]:
        """Row ids of the documents that a filter leaves. The last ones are kept: who is told why nothing was found, or
        asks the same documents again, does not have them looked for twice.

        Raises:
            QuestionError: as in `Store.documents_matching`.
        """
        globs = [sources] if isinstance(sources, str) else None if sources is None else list(sources)
        asked = (self.store.generation(), globs, dict(where))
        kept = self._matched
        if kept is None or kept[0] != asked:
            self._matched = kept = asked, frozenset(self.store.documents_matching(globs, where))
        return kept[1]

    def headings(self, documents: int = 40, each: int = 12) -> list[tuple[int, str, str]]:
        """(document, its language, heading) of up to `each` headings of `documents` documents, spread over all."""
        return self.store.headings(documents, each)

    def __len__(self) -> int:
        """How many documents the library holds."""
        return self.store.document_count()

    def __bool__(self) -> bool:
        """A library is true when it is empty, too."""
        return True

    def open_citation(self, citation: str | Citation, *, around: int | None = None) -> Context:
        """The document of a citation, or of one's id, with its blocks and the cited span.

        The id `f"{document_id}.0.0"` cites nothing and opens a document at its beginning.

        Args:
            citation: the citation, or its id.
            around: give at least so many blocks before and after the span, and not all of a long document's.

        Raises:
            CitationError: the id is malformed, or its document is gone or has changed since.
        """
        key, start, end = _parsed(citation if isinstance(citation, str) else citation.id)
        with self.store.reading():
            row_id = self.store.find_document(key)
            if row_id is None:
                raise CitationError("this source is no longer in the library: it was removed or has changed since")
            document = self.store.document(row_id)
            if end > len(document.text):
                raise CitationError("this citation does not fit its document: ask again")
            cited = answering.cite(self.store, row_id, start, end, document.text[start:end])
            some = self.store.blocks(row_id) if around is None else self.store.blocks_around(row_id, start, end, around)
            return Context(cited, document, tuple(some))

    def documents(self, first: int | None = None) -> list[DocumentInfo]:
        """All files that were indexed, failed ones too, by source; or those of the `first` so many documents, and as
        many failed ones."""
        return self.store.document_infos(first)

    def document(self, document_id: str) -> Document:
        """A whole document by its id.

        Raises:
            CitationError: it is not in the library.
        """
        row_id = self.store.find_document(document_id)
        if row_id is None:
            raise CitationError(f"document {document_id!r} is not in the library")
        return self.store.document(row_id)

    def status(self) -> Status:
        """Numbers and settings of the library."""
        counts = self.store.counts()
        return Status(
            path=str(self.path),
            languages=tuple(language or "unknown" for language, _, _ in self.store.languages()),
            roots=tuple(self.store.roots()),
            encoder=self.store.meta("encoder"),
            fingerprint=self.store.meta("fingerprint"),
            engine=self.store.meta("engine"),
            encoded_by=self.store.meta("encoded_by"),
            schema=int(self.store.meta("schema")),
            generation=self.store.generation(),
            bytes=_size(self.path),
            indexes=self.index_problem() or "current",
            tuned=self.store.tuned(),
            **counts,
        )

    # Inside

    def snapshot(self) -> Snapshot:
        """The indexes of the rows as they are now; they do not change while they are used."""
        before = self._snapshot
        if before is not None and before.generation == self.store.generation():
            return before
        with self._lock:
            self._snapshot = indexes.current(self.store, self._dimension, self._snapshot, self.index_folder)
            return self._snapshot

    @property
    def _dimension(self) -> int:
        return int(self.store.meta("dimension"))

    def _allowed(
        self, current: Snapshot, sources: str | Sequence[str] | None, where: Mapping[str, str] | None
    ) -> NDArray[np.bool_] | None:
        """Which passage rows a filter leaves, (passages,); None without a filter."""
        if sources is None and not where:
            return None
        documents = np.array(sorted(self.matching(sources, where or {})), dtype=np.int64)
        chosen = np.zeros(int(current.documents.max(initial=0)) + 1, dtype=np.bool_)
        chosen[documents[documents < len(chosen)]] = True
        allowed: NDArray[np.bool_] = chosen[current.documents]
        return allowed if current.kept is None else allowed & current.kept

    def _shown(self, turns: Turns) -> frozenset[int]:
        """Row ids of the passages that earlier turns have shown."""
        shown = {public for turn in turns if isinstance(turn, Turn) for public in turn.shown}
        return frozenset(row for public in sorted(shown) if (row := self.store.find_passage(public)) is not None)


@contextmanager
def _made(path: Path) -> Iterator[Path]:
    """A file to fill, which then becomes the library in `path` at once; of two processes only one makes it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with FileLock(path / "writer.lock"):
            if (path / FILE_NAME).exists():
                raise LibraryExistsError(f"{path} is a library already: open it, or choose another folder")
            partial = path / f"{FILE_NAME}.new"
            partial.unlink(missing_ok=True)
            yield partial
            os.replace(partial, path / FILE_NAME)
    except OSError as error:
        raise LibraryError(f"library {path} cannot be created ({error}): check the path and its disk") from error


def _load(encoder: str | Encoder, *, download: bool, engine: str) -> Encoder:
    if isinstance(encoder, Encoder):
        return encoder
    try:
        return Encoder.load(encoder, download=download, engine=engine)
    except (EncoderUnavailableError, ValueError) as error:
        raise EncoderError(str(error)) from error


def _checked(question: str) -> str:
    question = question.strip()
    if not question:
        raise QuestionError("the question is empty: type what you want to know")
    if len(question) > LONGEST_QUESTION:
        raise QuestionError(f"the question has {len(question):,} characters: shorten it to {LONGEST_QUESTION:,}")
    return _encodable(question)


def _encodable(text: str) -> str:
    """Text without lone surrogates, which no encoding holds."""
    return text.encode("utf-8", "replace").decode()


def _parsed(citation_id: str) -> tuple[str, int, int]:
    parts = citation_id.split(".")
    if len(parts) == 3 and len(parts[0]) == 16 and all(part.isascii() and part.isdigit() for part in parts[1:]):
        start, end = int(parts[1][:12]), int(parts[2][:12])
        if (start < end or start == end == 0) and set(parts[0]) <= set("0123456789abcdef"):
            return parts[0], start, end
    raise CitationError("this is not a citation of this library")


def _visible(path: Path) -> list[str]:
    """What is in a folder, apart from what an interrupted `create` leaves."""
    own = (f"{FILE_NAME}.new", "writer.lock")
    return [entry.name for entry in path.iterdir() if not entry.name.startswith(own)]


def _size(folder: Path) -> int:
    """Bytes of all files in a folder; what goes meanwhile is not counted."""
    total = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(inside, name)).st_size
    return total


def _holder(path: Path) -> str:
    try:
        who = json.loads(path.read_text())
        return f"process {who['pid']} ({who['command']} on {who['host']}, since {who['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"

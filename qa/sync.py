"""A library brought to the state of some folders: only what is new is read, only new text is encoded."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from embeddings import Encoder
from qa.ahead import Ahead
from qa.errors import QAError, ReadError
from qa.language import detect
from qa.passages import sentences_of
from qa.readers import READER_VERSION
from qa.readers.worker import Worker
from qa.store import FileRow, Prepared, Store, content_key, now, text_hash
from qa.types import FileOutcome, Progress, SyncReport
from qa.walk import RACY_NANOSECONDS, UPLOADS, Found, Listing, content_hash, has_gone, signature, walk

GROUP_SENTENCES = 2048
"""Sentences that wait to be encoded together, over documents, so that batches hold texts of one length."""
SLICE_SENTENCES = 1024
"""Sentences whose vectors are written together: what a crash can lose of the encoding."""
AHEAD_CHARACTERS = 8_000_000
"""Characters of documents that are read before the ones before them are encoded and written, about; a longer document
waits alone."""
FEW_PATHS = 8
"""Paths up to which only the known files below each are read; each takes a pass over the names of all."""
SAVED_PASSAGES = 50_000
"""Passages after which indexes are saved on the way."""

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class _Job:
    """A file that is new or may have changed."""

    found: Found
    row: FileRow  # as it will be written, its document still open
    before: FileRow | None


@dataclass(frozen=True, slots=True)
class _Taken:
    """What became of a file: its document, why there is none, or the key of a document that is there."""

    job: _Job
    read: Prepared | ReadError | str


@dataclass(slots=True)
class _Run:
    """The state of one sync."""

    store: Store
    encoder: Callable[[], Encoder]
    on_progress: OnProgress
    save: Callable[[], None]
    own: Path  # the library's folder
    known: dict[Path, FileRow]
    seen: set[Path] = field(default_factory=set)
    gone: dict[Path, FileRow] = field(default_factory=dict)
    looked: set[int] = field(default_factory=set)  # documents whose files were looked for
    jobs: list[_Job] = field(default_factory=list)
    loading: threading.Thread | None = None  # of the encoder
    waiting: list[tuple[_Job, Prepared]] = field(default_factory=list)
    outcomes: list[FileOutcome] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    bytes_done: int = 0
    bytes_total: int = 0
    files_done: int = 0
    sentences: int = 0  # of those that wait
    passages: int = 0
    saved: int = 0  # how many of them when indexes were last saved
    encoded: int = 0

    def report(self, file: FileRow, state: str, reason: str | None = None, warnings: tuple[str, ...] = ()) -> None:
        """Note what became of a file."""
        self.counts[state] += 1
        if state != "unchanged":
            self.outcomes.append(FileOutcome(file.source, state, reason, warnings))  # type: ignore[arg-type]

    def progress(self, stage: str) -> None:
        """Tell how far it is."""
        self.on_progress(
            Progress(
                stage,  # type: ignore[arg-type]
                self.bytes_done,
                self.bytes_total,
                self.files_done,
                len(self.jobs),
                self.passages,
            )
        )


def sync(
    store: Store,
    encoder: Callable[[], Encoder],
    paths: Sequence[Path],
    folder: Path,
    on_progress: OnProgress,
    save: Callable[[], None],
) -> SyncReport:
    """Bring the store to the state of `paths`; `folder` is the library's own, `encoder` is called when one is needed.

    Documents are written one transaction each, deletions last, so that a moved file keeps what was encoded. `save` is
    called whenever many passages were written: indexes saved then take no memory, and who asks meanwhile finds them.
    """
    own = folder.resolve()
    walked = [walk(path, leave_out=own) for path in paths]
    places = [path for one in walked for path in ([one.root] if one.whole else [file.path for file in one.files])]
    few = len(places) <= FEW_PATHS
    rows = [row for path in places for row in store.files_below(path)] if few else store.files()
    roots = [*map(Path, store.roots()), *(listing.root for listing in walked if listing.whole)]
    listings = [_rerooted(listing, roots, own / UPLOADS) for listing in walked]
    run = _Run(store, encoder, on_progress, save, own, {Path(row.root, row.source): row for row in rows})
    for listing in listings:
        _compare(run, listing)
    run.bytes_total = sum(job.row.bytes for job in run.jobs)
    jobs: Sequence[_Job] = run.jobs
    while jobs:
        jobs = _take_all(run, jobs)
    run.progress("finishing")
    for row in run.gone.values():
        with store.transaction():
            store.delete_file(row.root, row.source)
        run.report(row, "removed")
    finish(store)
    skipped = sum((listing.skipped for listing in listings), Counter[str]())
    notes = [note for listing in listings for note in listing.notes]
    outcomes = tuple(sorted(run.outcomes, key=lambda outcome: outcome.source))
    return SyncReport(outcomes, dict(run.counts), run.passages, run.encoded, dict(skipped), notes)


def finish(store: Store) -> None:
    """What follows documents that came or went: labels of repeated blocks, and vectors that nothing uses any more."""
    labels = store.relabel()
    for document, some in labels.items():
        with store.transaction():
            store.repack(document, some)
    with store.transaction():
        store.relabelled()
        store.drop_unused_vectors()


def encoded_text(text: str) -> str:
    """A sentence as the encoder gets it: line breaks and runs of white space say nothing."""
    return " ".join(text.split())


def encode_missing(store: Store, encoder: Encoder, texts: Iterable[str], on_batch: Callable[[], None]) -> int:
    """Encode the texts that have no vector yet and store them as they are done; returns how many."""
    by_hash = {text_hash(text): encoded_text(text) for text in texts}
    have = store.vectors_of(encoder.fingerprint, list(by_hash))
    missing = sorted((digest for digest in by_hash if digest not in have), key=lambda digest: -len(by_hash[digest]))
    for first in range(0, len(missing), SLICE_SENTENCES):
        some = missing[first : first + SLICE_SENTENCES]
        vectors = encoder.encode_documents([by_hash[digest] for digest in some], on_batch=lambda _: on_batch())
        with store.transaction():
            store.add_vectors(encoder.fingerprint, some, vectors)
    return len(missing)


def _rerooted(listing: Listing, roots: Sequence[Path], uploads: Path) -> Listing:
    """The listing with sources from the outermost folder that was indexed, so that a file keeps one name.

    The library's own folder can lie in one of them; its uploads are named from where they are kept all the same.
    """
    if listing.root.is_relative_to(uploads):
        roots = [uploads]
    outer = min(
        (root for root in roots if listing.root.is_relative_to(root)), key=lambda root: len(root.parts), default=None
    )
    if outer is None or outer == listing.root:
        return listing
    prefix = listing.root.relative_to(outer).as_posix()
    files = [Found(outer, f"{prefix}/{found.source}", found.kind) for found in listing.files]
    return replace(listing, files=files)


def _compare(run: _Run, listing: Listing) -> None:
    """Find what is new, what may have changed, and what has gone."""
    present = {found.path for found in listing.files}
    if listing.whole:
        left_out = not listing.root.is_relative_to(run.own)  # the library's own folder, if it is below
        run.gone |= {
            path: row
            for path, row in run.known.items()
            if path.is_relative_to(listing.root)
            and not (left_out and path.is_relative_to(run.own))
            and path not in present
            and not any(map(path.is_relative_to, listing.unread))
        }
    for found in listing.files:
        if found.path in run.seen:
            continue
        run.seen.add(found.path)
        before = run.known.get(found.path)
        try:
            signed, size, changed = signature(found.path)
        except ReadError as error:
            row = FileRow(str(found.root), found.source, found.kind, "", 0, None, str(error), now())
            _failed(run, _Job(found, row, before), str(error))
            continue
        signed = f"{READER_VERSION}:{signed}"
        racy = time.time_ns() - changed < RACY_NANOSECONDS
        if racy:
            signed += ":racy"  # no later signature is equal, so that the next sync compares the content
        row = FileRow(str(found.root), found.source, found.kind, signed, size, None, None, now())
        if before is None or before.signature != signed or racy:
            run.jobs.append(_Job(found, row, before))
        elif before.reason is not None:
            run.report(before, "failed", before.reason)
        elif (before.root, before.source) != (row.root, row.source):
            run.jobs.append(_Job(found, row, before))
        else:
            run.report(before, "unchanged")


def _take_all(run: _Run, jobs: Sequence[_Job]) -> list[_Job]:
    """Read files ahead in a thread, and encode and write what was read; returns those that are to be read after all."""
    again: list[_Job] = []
    worker = Worker()
    run.progress("reading")

    def read_all(put: Callable[[_Taken, int], None]) -> None:
        for job in jobs:
            read = _read(run, worker, job)
            put(_Taken(job, read), len(read.reading.text) if isinstance(read, Prepared) else 0)

    with worker, Ahead(read_all, AHEAD_CHARACTERS, worker.interrupt) as taken:
        for item in taken.items(lambda: run.progress("reading")):
            if isinstance(item.read, ReadError):
                _failed(run, item.job, str(item.read))
                _done(run, item.job)
            elif isinstance(item.read, Prepared):
                run.waiting.append((item.job, item.read))
                run.sentences += len(item.read.sentences)
                if run.sentences >= GROUP_SENTENCES:
                    _write(run)
            else:
                document = run.store.document_id(item.read)
                if document is None:  # a file that was written meanwhile was the last that held it
                    again.append(item.job)
                else:
                    _known_content(run, item.job, document)
        _write(run)
    if run.loading is not None:
        run.loading.join()
    return again


def _load(run: _Run) -> None:
    """Load the encoder; what is wrong with it is said where it is needed."""
    with suppress(QAError):
        run.encoder()


def _read(run: _Run, worker: Worker, job: _Job) -> Prepared | ReadError | str:
    """What one file holds, why it cannot be read, or the key of its content if the library has it. Writes nothing."""
    try:
        digest = content_hash(job.found.path)
        key = content_key(job.found.kind, READER_VERSION, digest)
        if run.store.document_id(key) is not None:
            return key
        if run.loading is None and (job.before is None or job.before.reason is None):  # while the first file is read
            run.loading = threading.Thread(target=_load, args=(run,), name="refdesk-load")
            run.loading.start()
        reading = worker.read(job.found.path, job.found.kind)
        if content_hash(job.found.path) != digest:
            raise ReadError("it changed while it was read: run the command again")
    except ReadError as error:
        return error
    encoder = run.encoder()

    def count_tokens(texts: Sequence[str]) -> list[int]:  # of what is encoded next, which is then tokenized once
        return encoder.count_tokens([encoded_text(text) for text in texts])

    sentences, tokens = sentences_of(reading.text, reading.blocks, count_tokens, encoder.max_tokens)
    return Prepared(key, job.found.kind, detect(reading.text), reading, tuple(sentences), tokens)


def _known_content(run: _Run, job: _Job, document: int) -> None:
    """A file whose content is in the library: touched, copied, or moved from where a file has gone."""
    row, before = replace(job.row, document=document), job.before
    holders = run.store.files_of(document) if before is None and document not in run.looked else []
    run.looked.add(document)  # a second file with the same content is a copy
    moved = [holder for holder in holders if has_gone(Path(holder.root, holder.source))]
    with run.store.transaction():
        _put(run.store, row, before)
        for holder in moved:
            run.store.delete_file(holder.root, holder.source)
    for holder in moved:
        run.gone.pop(Path(holder.root, holder.source), None)
    if before is not None:
        run.report(row, "unchanged" if before.document == document else "changed")
    elif moved:
        run.report(row, "renamed", "was " + ", ".join(holder.source for holder in moved))
    else:
        run.report(row, "added")
    _done(run, job)


def _failed(run: _Run, job: _Job, reason: str) -> None:
    """Keep the version that was read before, if there is one, and say so."""
    row = job.row
    if job.before is not None and job.before.document is not None:
        reason = f"{reason} (the version read on {job.before.indexed_at[:10]} stays in the library)"
        row = replace(row, document=job.before.document, reason=reason, indexed_at=job.before.indexed_at)
    else:
        row = replace(row, reason=reason)
    with run.store.transaction():
        _put(run.store, row, job.before)
    run.report(row, "failed", reason)


def _write(run: _Run) -> None:
    """Encode what waits and write it, one transaction a document."""
    if not run.waiting:
        return
    encoder = run.encoder()
    texts = {
        text_hash(text): text
        for _, prepared in run.waiting
        for sentence in prepared.sentences
        for text in [prepared.reading.text[sentence.start : sentence.end]]
    }
    run.encoded += encode_missing(run.store, encoder, texts.values(), lambda: run.progress("encoding"))
    vectors = run.store.vectors_of(encoder.fingerprint, list(texts))
    for job, prepared in run.waiting:
        with run.store.transaction():
            document = run.store.document_id(prepared.key)  # a copy may have come in the same group
            if document is None:
                document = run.store.add_document(prepared, vectors)
            _put(run.store, replace(job.row, document=document), job.before)
        run.passages += run.store.passage_count(document)
        run.report(job.row, "added" if job.before is None else "changed", None, prepared.reading.warnings)
        _done(run, job)
    run.waiting.clear()
    run.sentences = 0
    run.progress("encoding")
    if run.passages >= run.saved + SAVED_PASSAGES:
        run.saved = run.passages
        run.save()


def _put(store: Store, row: FileRow, before: FileRow | None) -> None:
    """Write a file's row in place of the one it had, which may have been under another root."""
    store.put_file(row)
    if before is not None and (before.root, before.source) != (row.root, row.source):
        store.delete_file(before.root, before.source)


def _done(run: _Run, job: _Job) -> None:
    run.files_done += 1
    run.bytes_done += job.row.bytes

"""The library's truth: one SQLite file. Every change of a document is one transaction."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa.errors import LibraryError, QuestionError
from qa.filters import matching
from qa.passages import Draft, Sentence, pack
from qa.types import Block, Document, DocumentInfo, Passage, Reading, Tuned, Zone

SCHEMA_VERSION = 3
FILE_NAME = "library.sqlite"
_BUSY_SECONDS = 30.0
_MANY = 500
"""Values bound in one statement; SQLite allows 999 in its oldest versions."""
_BLOCK = 16_384
"""Vectors read at a time, 12 MB."""
_LAST = 2**62
"""Larger than every row id."""
_LONG_LOG = 100_000
"""Deleted passages that are noted at most, about, beyond those that saved indexes do not know yet."""

_ZONE = "CASE repeated WHEN 1 THEN 'repeated' ELSE zone END"
_BLOCKS = f'SELECT kind, "start", "end", heading, page, {_ZONE}, "row" FROM blocks'
_FIRST_BLOCKS = (
    "FROM passages p CROSS JOIN sentences s ON s.passage = p.id AND s.ordinal = 0 "
    "CROSS JOIN blocks b ON b.document = p.document AND b.ordinal = s.block WHERE p.id BETWEEN ? AND ?"
)
"""Passages by id, each with the block that it begins in; CROSS keeps SQLite from going through all sentences first."""
_AFTER = (
    "(WITH RECURSIVE halves (low, high) AS ("
    "SELECT 0, MAX(ordinal) FROM blocks WHERE document = :document UNION ALL "
    'SELECT CASE WHEN b."end" > :offset THEN low ELSE b.ordinal + 1 END, '
    'CASE WHEN b."end" > :offset THEN b.ordinal ELSE high END '
    "FROM halves JOIN blocks b ON b.document = :document AND b.ordinal = (low + high) / 2 WHERE low < high"
    ") SELECT low FROM halves WHERE low = high)"
)
"""The ordinal of a document's first block that ends after an offset, or of its last. Blocks are in order, so that
halving finds it in 5 to 13 µs; going through a million of them took .13 s."""
_AT = f'WHERE document = :document AND ordinal = {_AFTER} AND "start" <= :offset AND "end" > :offset'
"""The block that holds the character at an offset."""
_AMONG_FIRST = (
    "WHERE f.document IN (SELECT document FROM files WHERE document IS NOT NULL "
    "GROUP BY document ORDER BY MIN(source), MIN(root) LIMIT :first) "
    "OR (f.root, f.source) IN (SELECT root, source FROM files WHERE document IS NULL "
    "ORDER BY source, root LIMIT :first)"
)

Vectors = NDArray[np.float32]
Halves = NDArray[np.float16]
Ids = NDArray[np.int64]

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, language TEXT NOT NULL,
    title TEXT, encoding TEXT, pages INTEGER, warnings TEXT NOT NULL, characters INTEGER NOT NULL,
    tokens INTEGER NOT NULL, text TEXT NOT NULL
);
CREATE TABLE files (
    root TEXT NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL, signature TEXT NOT NULL, bytes INTEGER NOT NULL,
    document INTEGER REFERENCES documents (id), reason TEXT, indexed_at TEXT NOT NULL, PRIMARY KEY (root, source)
) WITHOUT ROWID;
CREATE INDEX files_document ON files (document);
CREATE TABLE blocks (
    document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE, ordinal INTEGER NOT NULL,
    kind TEXT NOT NULL, "start" INTEGER NOT NULL, "end" INTEGER NOT NULL, heading TEXT NOT NULL, page INTEGER,
    zone TEXT NOT NULL, repeated INTEGER NOT NULL DEFAULT 0, hash BLOB NOT NULL, PRIMARY KEY (document, ordinal)
) WITHOUT ROWID;
CREATE INDEX blocks_hash ON blocks (hash);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    "start" INTEGER NOT NULL, "end" INTEGER NOT NULL, zone TEXT NOT NULL
);
CREATE INDEX passages_document ON passages (document);
CREATE TABLE sentences (
    passage INTEGER NOT NULL REFERENCES passages (id) ON DELETE CASCADE, ordinal INTEGER NOT NULL,
    "start" INTEGER NOT NULL, "end" INTEGER NOT NULL, words INTEGER NOT NULL, block INTEGER NOT NULL,
    vector INTEGER NOT NULL REFERENCES vectors (id), PRIMARY KEY (passage, ordinal)
) WITHOUT ROWID;
CREATE INDEX sentences_vector ON sentences (vector);
CREATE TABLE vectors (
    id INTEGER PRIMARY KEY AUTOINCREMENT, encoder TEXT NOT NULL, hash BLOB NOT NULL, value BLOB NOT NULL,
    UNIQUE (encoder, hash)
);
CREATE TABLE pending (hash BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_SINCE_2 = """
CREATE INDEX documents_language ON documents (language, characters, tokens);
CREATE TABLE removed (place INTEGER PRIMARY KEY AUTOINCREMENT, passage INTEGER NOT NULL);
CREATE TRIGGER passages_removed AFTER DELETE ON passages BEGIN INSERT INTO removed (passage) VALUES (old.id); END;
INSERT INTO meta VALUES ('forgotten', '0');
INSERT OR IGNORE INTO meta VALUES ('engine', 'auto');
INSERT OR IGNORE INTO meta VALUES ('encoded_by', 'torch fp32');
INSERT INTO meta SELECT 'checked', COALESCE(MAX(id), 0) FROM vectors;
"""
_SINCE = {2: _SINCE_2, 3: 'ALTER TABLE blocks ADD COLUMN "row" INTEGER;'}
"""What each version of the schema has added."""
"""Schema 2 notes which passages were deleted and which vectors are known to be used, so that nothing counts all."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file as the library last saw it."""

    root: str
    source: str
    kind: str
    signature: str
    bytes: int
    document: int | None
    reason: str | None
    indexed_at: str


@dataclass(frozen=True, slots=True)
class PassageRow:
    """A passage's place: its row id, its document's row id and its span."""

    id: int
    document: int
    start: int
    end: int
    zone: Zone


@dataclass(frozen=True, slots=True)
class Place:
    """A span of a document as a citation shows it: its words, the line where they start, the files that hold them."""

    key: str
    kind: str
    title: str
    quote: str
    line: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be written: read, split, and every sentence's text encoded."""

    key: str
    kind: str
    language: str
    reading: Reading
    sentences: tuple[Sentence, ...]
    tokens: int


class Store:
    """Rows in and rows out. One connection a thread; close with `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._file: tuple[int, int] | None = None  # which file was opened first, whatever is at its path later

    @classmethod
    def create(cls, path: Path, meta: dict[str, str]) -> Store:
        """A new store in a file that does not exist yet. All of it is there, or nothing."""
        store = cls(path)
        with store.transaction():
            store._run(_SCHEMA + "".join(_SINCE.values()))
            for key, value in {"schema": str(SCHEMA_VERSION), "generation": "0", **meta}.items():
                store.set_meta(key, value)
        store.connection.execute("PRAGMA journal_mode = WAL")  # kept in the file
        return store

    def _run(self, statements: str) -> None:
        for statement in statements.split(";\n"):
            if statement.strip():
                self.connection.execute(statement)

    @classmethod
    def open(cls, path: Path) -> Store:
        """The store in an existing file.

        Raises:
            LibraryError: the file is not a library, or a newer version wrote it.
        """
        store = cls(path)
        try:
            version = int(store.meta("schema"))
        except (sqlite3.DatabaseError, KeyError, ValueError) as error:
            store.close()
            raise LibraryError(
                f"{path} is not a Refdesk library ({error}): choose another folder with --library, "
                "or restore the file from a copy"
            ) from error
        if version > SCHEMA_VERSION:
            store.close()
            raise LibraryError(
                f"library {path.parent} has schema version {version}, this Refdesk reads up to {SCHEMA_VERSION}: "
                "upgrade with `pip install --upgrade refdesk`, or choose another folder with --library"
            )
        if version < SCHEMA_VERSION:
            with store.transaction():
                written = int(store.meta("schema"))  # somebody else may have been faster
                store._run("".join(steps for since, steps in _SINCE.items() if since > written))
                store.set_meta("schema", str(SCHEMA_VERSION))
        return store

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection.

        Raises:
            LibraryError: the file is not the one that the first thread opened.
        """
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            self.check()  # else SQLite would make a new file where there is none
            found = sqlite3.connect(
                _address(self.path), uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            found.execute("PRAGMA synchronous = NORMAL")
            found.execute("PRAGMA foreign_keys = ON")
            self._local.connection = found
            with self._lock:
                self._connections.append(found)
                self._file = self._file or _identity(self.path)
            self.check()
        return found

    def check(self) -> None:
        """Look whether the library's file is the one that was opened: with another one in its place, threads that have
        a connection would answer from the old one and others from the new.

        Raises:
            LibraryError: it was replaced, or is gone.
        """
        if self._file is not None and self._file != _identity(self.path):
            raise LibraryError(
                f"the library {self.path.parent} was replaced or removed while it was open: start the "
                "server or program again"
            )

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block's changes, or none."""
        self.check()
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise LibraryError(
                    f"the library {self.path.parent} cannot be written ({error}): free some disk space or check its "
                    "permissions, and run the command again; what was written before is kept"
                ) from error
            raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All reads of the block see the same state, whatever another process writes meanwhile. It may be nested."""
        if self.connection.in_transaction:
            yield
            return
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("ROLLBACK")

    # Settings

    def meta(self, key: str) -> str:
        """A setting.

        Raises:
            KeyError: there is none of that name.
        """
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(f"no setting {key!r}")
        return str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Write a setting."""
        self.connection.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )

    def tuned(self) -> dict[str, Tuned]:
        """What replaces the defaults of retrieval, by language."""
        row = self.connection.execute("SELECT value FROM meta WHERE key = 'tuned'").fetchone()
        return {language: Tuned(**values) for language, values in json.loads(row[0] if row else "{}").items()}

    def set_tuned(self, tuned: Mapping[str, Tuned]) -> None:
        """Write what replaces the defaults of retrieval, by language."""
        self.set_meta("tuned", json.dumps({language: asdict(one) for language, one in sorted(tuned.items())}))
        self._touch()

    def generation(self) -> int:
        """A number that grows with every change of what can be found.

        Raises:
            LibraryError: the library's file is not the one that was opened.
        """
        self.check()
        return int(self.meta("generation"))

    def _touch(self) -> None:
        self.connection.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'")

    # Files

    def files(self) -> list[FileRow]:
        """All known files, by root and source."""
        return self._files("1 = 1")

    def files_below(self, path: Path) -> list[FileRow]:
        """The known files that are `path` or below it."""
        whole = "rtrim(root, :sep) || :sep || replace(source, '/', :sep)"
        below = f"{str(path).rstrip(os.sep)}{os.sep}"
        where = f"{whole} = :path OR substr({whole}, 1, :length) = :below"
        return self._files(where, sep=os.sep, path=str(path), below=below, length=len(below))

    def files_of(self, document: int) -> list[FileRow]:
        """The files that hold a document."""
        return self._files("document = :document", document=document)

    def files_named(self, source: str) -> list[FileRow]:
        """The files with that source, one a root."""
        return self._files("source = :source", source=source)

    def roots(self) -> list[str]:
        """The folders that files were indexed from."""
        return [root for (root,) in self.connection.execute("SELECT DISTINCT root FROM files ORDER BY root")]

    def _files(self, where: str, **values: str | int) -> list[FileRow]:
        rows = self.connection.execute(
            "SELECT root, source, kind, signature, bytes, document, reason, indexed_at FROM files "
            f"WHERE {where} ORDER BY root, source",
            values,
        )
        return [FileRow(*row) for row in rows]

    def put_file(self, row: FileRow) -> None:
        """Insert or replace a file's row, and drop the document that no file holds any more."""
        old = self.connection.execute(
            "SELECT document FROM files WHERE root = ? AND source = ?", (row.root, row.source)
        ).fetchone()
        self.connection.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (row.root, row.source, row.kind, row.signature, row.bytes, row.document, row.reason, row.indexed_at),
        )
        if old is not None and old[0] is not None and old[0] != row.document:
            self._drop_unused(old[0])
        self._touch()

    def delete_file(self, root: str, source: str) -> None:
        """Delete a file's row, and with the last one its document's text, passages and vectors."""
        old = self.connection.execute(
            "SELECT document FROM files WHERE root = ? AND source = ?", (root, source)
        ).fetchone()
        self.connection.execute("DELETE FROM files WHERE root = ? AND source = ?", (root, source))
        if old is not None and old[0] is not None:
            self._drop_unused(old[0])
        self._touch()

    def _drop_unused(self, document: int) -> None:
        if self.connection.execute("SELECT 1 FROM files WHERE document = ? LIMIT 1", (document,)).fetchone():
            return
        self.connection.execute("INSERT OR IGNORE INTO pending SELECT hash FROM blocks WHERE document = ?", (document,))
        vectors = self.connection.execute(
            "SELECT DISTINCT vector FROM sentences WHERE passage IN (SELECT id FROM passages WHERE document = ?)",
            (document,),
        ).fetchall()
        self.connection.execute("DELETE FROM documents WHERE id = ?", (document,))
        self.connection.executemany(
            "DELETE FROM vectors WHERE id = ? AND NOT EXISTS (SELECT 1 FROM sentences WHERE vector = vectors.id)",
            vectors,
        )

    # Documents

    def document_id(self, key: str) -> int | None:
        """The row id of the document with that content key."""
        row = self.connection.execute("SELECT id FROM documents WHERE key = ?", (key,)).fetchone()
        return None if row is None else int(row[0])

    def find_document(self, prefix: str) -> int | None:
        """The row id of the document whose public id (the first 16 digits of its key) is `prefix`."""
        if len(prefix) != 16 or not set(prefix) <= set("0123456789abcdef"):
            return None
        row = self.connection.execute(
            "SELECT id FROM documents WHERE key >= ? AND key < ?", (prefix, prefix + "g")
        ).fetchone()
        return None if row is None else int(row[0])

    def document(self, row_id: int) -> Document:
        """A whole document.

        Raises:
            KeyError: there is none with that row id.
        """
        row = self.connection.execute(
            "SELECT key, title, kind, language, text, encoding, pages, warnings FROM documents WHERE id = ?", (row_id,)
        ).fetchone()
        if row is None:
            raise KeyError(f"no document {row_id}")
        key, title, kind, language, text, encoding, pages, warnings = row
        sources = self.sources(row_id)
        title = title or Path(sources[0] if sources else key).stem
        return Document(
            public_id(key), sources, title, kind, language, text, encoding, pages, tuple(json.loads(warnings))
        )

    def text(self, document: int) -> tuple[str, str, str]:
        """(text, language, title) of a document; the title is "" where the text has none."""
        row = self.connection.execute(
            "SELECT text, language, title FROM documents WHERE id = ?", (document,)
        ).fetchone()
        return row[0], row[1], row[2] or ""

    def document_rows(self) -> list[tuple[int, str, str]]:
        """(id, key, language) of every document."""
        return self.connection.execute("SELECT id, key, language FROM documents").fetchall()

    def sources(self, document: int) -> tuple[str, ...]:
        """The files that hold a document, sorted."""
        rows = self.connection.execute(
            "SELECT DISTINCT source FROM files WHERE document = ? ORDER BY source", (document,)
        )
        return tuple(source for (source,) in rows)

    def blocks(self, document: int) -> list[Block]:
        """A document's blocks in order, repeated ones with that zone."""
        rows = self.connection.execute(f"{_BLOCKS} WHERE document = ? ORDER BY ordinal", (document,))
        paths: dict[str, tuple[str, ...]] = {}  # neighbours share their headings
        return [_block(row, paths) for row in rows]

    def blocks_around(self, document: int, start: int, end: int, many: int) -> list[Block]:
        """The blocks that a span of a document touches, in order, with at least `many` before and after them."""
        first, last = (
            self.connection.execute(f"SELECT {_AFTER}", {"document": document, "offset": offset}).fetchone()[0] or 0
            for offset in (start, end)
        )
        rows = self.connection.execute(
            f"{_BLOCKS} WHERE document = ? AND ordinal BETWEEN ? AND ? ORDER BY ordinal",
            (document, first - many, last + many + 1),
        )
        return [_block(row, {}) for row in rows]

    def headings(self, documents: int, each: int) -> list[tuple[int, str, str]]:
        """(document, its language, heading) of up to `each` headings of `documents` documents, spread over all."""
        ids = [row[0] for row in self.connection.execute("SELECT id FROM documents ORDER BY id")]
        some = ids[:: max(1, len(ids) // documents)][:documents]
        rows = []
        for document in some:
            rows += self.connection.execute(
                "SELECT document, language, heading FROM blocks JOIN documents ON documents.id = document "
                "WHERE document = ? AND blocks.kind = 'heading' AND zone = 'main' AND NOT repeated "
                "ORDER BY ordinal LIMIT ?",
                (document, each),
            ).fetchall()
        return [
            (document, language, json.loads(heading)[-1]) for document, language, heading in rows if heading != "[]"
        ]

    def names_above(self, document: int, offset: int) -> list[str]:
        """The title of a document and the headings above the character at `offset`."""
        row = self.connection.execute("SELECT title FROM documents WHERE id = ?", (document,)).fetchone()
        block = self.block_at(document, offset)
        return [name for name in dict.fromkeys((row[0], *(block.heading if block else ()))) if name]

    def block_at(self, document: int, offset: int) -> Block | None:
        """The block that holds the character at `offset`."""
        row = self.connection.execute(f"{_BLOCKS} {_AT}", {"document": document, "offset": offset}).fetchone()
        return None if row is None else _block(row, {})

    def add_document(self, prepared: Prepared, vectors: dict[bytes, int]) -> int:
        """Insert a document with its blocks, passages and sentences; `vectors` gives the row of each text's vector."""
        reading = prepared.reading
        cursor = self.connection.execute(
            "INSERT INTO documents (key, kind, language, title, encoding, pages, warnings, characters, tokens, text) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                prepared.key, prepared.kind, prepared.language, reading.title, reading.encoding, reading.pages,
                json.dumps(reading.warnings), len(reading.text),
                prepared.tokens, reading.text,
            ),
        )  # fmt: skip
        document = int(cursor.lastrowid or 0)
        hashes = [text_hash(reading.text[block.start : block.end]) for block in reading.blocks]
        self.connection.executemany(
            "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
            (
                (document, ordinal, block.kind, block.start, block.end, json.dumps(block.heading), block.page,
                 block.zone, digest, block.row)
                for ordinal, (block, digest) in enumerate(zip(reading.blocks, hashes, strict=True))
            ),
        )  # fmt: skip
        self.connection.executemany("INSERT OR IGNORE INTO pending VALUES (?)", ((digest,) for digest in hashes))
        places = {
            (sentence.start, sentence.end): vectors[text_hash(reading.text[sentence.start : sentence.end])]
            for sentence in prepared.sentences
        }
        self._add_passages(document, pack(reading.blocks, prepared.sentences), places)
        self._touch()
        return document

    def _add_passages(self, document: int, drafts: Iterable[Draft], places: Mapping[tuple[int, int], int]) -> None:
        for draft in drafts:
            passage = self.connection.execute(
                'INSERT INTO passages (document, "start", "end", zone) VALUES (?, ?, ?, ?)',
                (document, draft.start, draft.end, draft.zone),
            ).lastrowid
            self.connection.executemany(
                "INSERT INTO sentences VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (passage, ordinal, s.start, s.end, s.words, s.block, places[s.start, s.end])
                    for ordinal, s in enumerate(draft.sentences)
                ),
            )

    def documents_matching(self, globs: Sequence[str] | None, where: Mapping[str, str]) -> set[int]:
        """Row ids of the documents with a file whose source is or matches a glob, and with these values.

        Raises:
            QuestionError: `where` names something that documents do not have, or the globs are too many or too long.
        """
        names = ("kind", "language", "title", "root")
        unknown = sorted(set(where) - set(names))
        if unknown:
            raise QuestionError(f"cannot filter by {unknown[0]!r}: expected one of {', '.join(names)}")
        values = ", d.kind, d.language, d.title, f.root" if where else ""
        joined = "JOIN documents d ON d.id = f.document" if where else ""  # its rows are far apart
        rows = self.connection.execute(
            f"SELECT f.document, f.source{values} FROM files f {joined} WHERE f.document IS NOT NULL"
        ).fetchall()
        if globs is not None:
            wanted = matching(globs, {row[1] for row in rows})
            rows = [row for row in rows if row[1] in wanted]

        def has(row: tuple[Any, ...], name: str) -> str:
            value = row[2 + names.index(name)]
            return Path(row[1]).stem if name == "title" and not value else value

        return {row[0] for row in rows if all(has(row, name) == value for name, value in where.items())}

    def document_infos(self, first: int | None = None) -> list[DocumentInfo]:
        """All files with what became of them, by source; or those of the `first` so many documents, and as many of
        those that could not be read."""
        rows = self.connection.execute(
            "SELECT f.source, f.root, f.reason, f.kind, f.bytes, f.indexed_at, d.key, d.title, d.language, d.encoding, "
            "d.pages, d.warnings, (SELECT COUNT(*) FROM passages p WHERE p.document = d.id) "
            f"FROM files f LEFT JOIN documents d ON d.id = f.document {'' if first is None else _AMONG_FIRST} "
            "ORDER BY f.source, f.root",
            {} if first is None else {"first": first},
        )
        return [
            DocumentInfo(
                source=source,
                root=root,
                state="failed" if key is None else "indexed",
                reason=reason,
                document_id=None if key is None else public_id(key),
                title=title or (None if key is None else Path(source).stem),
                kind=kind,
                language=language,
                encoding=encoding,
                pages=pages,
                passages=many,
                bytes=size,
                indexed_at=indexed_at,
                warnings=tuple(json.loads(notes or "[]")),
            )
            for source, root, reason, kind, size, indexed_at, key, title, language, encoding, pages, notes, many in rows
        ]

    # Repeated blocks

    def relabel(self) -> dict[int, list[tuple[int, bool]]]:
        """The blocks whose label is wrong since documents came or went: (ordinal, repeated) by document.

        A block is repeated that stands in several documents, headings apart. Call `repack` with each document's,
        then `relabelled`; after a crash in between, doing all of it again is harmless.
        """
        rows = self.connection.execute(
            "SELECT b.document, b.ordinal, c.many FROM blocks b JOIN ("
            "  SELECT hash, COUNT(DISTINCT document) > 1 AS many FROM blocks"
            "  WHERE hash IN (SELECT hash FROM pending) GROUP BY hash) c ON b.hash = c.hash "
            "WHERE b.repeated != c.many AND b.kind != 'heading' ORDER BY b.document, b.ordinal"
        )
        labels: dict[int, list[tuple[int, bool]]] = {}
        for document, ordinal, many in rows:
            labels.setdefault(document, []).append((ordinal, bool(many)))
        return labels

    def repack(self, document: int, labels: Sequence[tuple[int, bool]]) -> None:
        """Write a document's new labels and pack its passages by them; no text is encoded."""
        self.connection.executemany(
            "UPDATE blocks SET repeated = ? WHERE document = ? AND ordinal = ?",
            ((many, document, ordinal) for ordinal, many in labels),
        )
        rows = self.connection.execute(
            'SELECT s."start", s."end", s.words, s.block, s.vector FROM sentences s '
            'JOIN passages p ON s.passage = p.id WHERE p.document = ? ORDER BY s."start"',
            (document,),
        ).fetchall()
        sentences = [Sentence(start, end, words, block) for start, end, words, block, _ in rows]
        places = {(start, end): vector for start, end, _, _, vector in rows}
        self.replace_passages(document, pack(self.blocks(document), sentences), places)

    def replace_passages(self, document: int, drafts: Iterable[Draft], places: Mapping[tuple[int, int], int]) -> None:
        """Put other passages in place of a document's; `places` gives the row of each sentence span's vector."""
        self.connection.execute("DELETE FROM passages WHERE document = ?", (document,))
        self._add_passages(document, drafts, places)
        self._touch()

    def relabelled(self) -> None:
        """All labels are written: forget which blocks came and went."""
        self.connection.execute("DELETE FROM pending")

    # Passages, sentences, vectors

    def passage_rows(self, first: int = 0, last: int = _LAST) -> list[tuple[int, int, str, str, str]]:
        """(id, document, zone, the document's key, its language) of the passages `first` to `last`, by id."""
        return self.connection.execute(
            "SELECT p.id, p.document, p.zone, d.key, d.language FROM passages p JOIN documents d ON d.id = p.document "
            "WHERE p.id BETWEEN ? AND ? ORDER BY p.id",
            (first, last),
        ).fetchall()

    def passage_places(self, first: int, last: int) -> dict[int, tuple[int, int, tuple[str, ...]]]:
        """Start and end of the passages `first` to `last`, and the headings above them: those of their first block."""
        rows = self.connection.execute(f'SELECT p.id, p."start", p."end", b.heading {_FIRST_BLOCKS}', (first, last))
        return {row_id: (start, end, tuple(json.loads(heading))) for row_id, start, end, heading in rows}

    def repeated_passages(self, first: int, last: int) -> list[tuple[int, bytes, int]]:
        """(passage, hash of its block, its place in the block) of the passages `first` to `last` of repeated text."""
        return self.connection.execute(
            f'SELECT p.id, b.hash, p."start" - b."start" {_FIRST_BLOCKS} AND p.zone = \'repeated\'', (first, last)
        ).fetchall()

    def sentence_rows(self, first: int, last: int) -> Ids:
        """(passage, vector) of the sentences of the passages `first` to `last`, by passage and place, (n, 2)."""
        rows = self.connection.execute(
            "SELECT passage, vector FROM sentences WHERE passage BETWEEN ? AND ? ORDER BY passage, ordinal",
            (first, last),
        ).fetchall()
        return np.array(rows, dtype=np.int64).reshape(-1, 2)

    def last_passage(self) -> int:
        """The largest row id that a passage has or had; later ones are larger."""
        row = self.connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'passages'").fetchone()
        return int(row[0]) if row else 0

    def passage_after(self, first: int, count: int) -> int | None:
        """The row id of the last of the first `count` passages from `first`, None if there is none."""
        row = self.connection.execute(
            "SELECT MAX(id) FROM (SELECT id FROM passages WHERE id >= ? ORDER BY id LIMIT ?)", (first, count)
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def removed_passages(self, after: int) -> tuple[Ids, int]:
        """Row ids of the passages that were deleted after the place `after` in the log, and the log's last place."""
        rows = self.connection.execute("SELECT passage, place FROM removed WHERE place > ? ORDER BY place", (after,))
        pairs = np.array(rows.fetchall(), dtype=np.int64).reshape(-1, 2)
        return pairs[:, 0], int(pairs[-1, 1]) if len(pairs) else after

    def forgotten(self) -> int:
        """The place in the log of deleted passages up to which it was cut."""
        return int(self.meta("forgotten"))

    def forget_removed(self, upto: int) -> None:
        """Cut the log of deleted passages once it is long: whoever has not read so far reads the saved indexes."""
        many = self._count("SELECT COUNT(*) FROM removed WHERE place <= ?", upto)
        if many >= _LONG_LOG:
            self.connection.execute("DELETE FROM removed WHERE place <= ?", (upto,))
            self.set_meta("forgotten", str(upto))

    def passage_count(self, document: int) -> int:
        """How many passages a document has."""
        return self._count("SELECT COUNT(*) FROM passages WHERE document = ?", document)

    def passages(self, ids: Sequence[int]) -> dict[int, PassageRow]:
        """Passages by row id; those that are gone are left out."""
        rows = self._select_many('SELECT id, document, "start", "end", zone FROM passages WHERE id IN', ids)
        return {row[0]: PassageRow(*row) for row in rows}

    def passages_of(self, document: int) -> list[PassageRow]:
        """A document's passages, in order."""
        rows = self.connection.execute(
            'SELECT id, document, "start", "end", zone FROM passages WHERE document = ? ORDER BY "start"', (document,)
        )
        return [PassageRow(*row) for row in rows]

    def passage(self, row: PassageRow) -> Passage:
        """A passage with its text."""
        key, text = self.connection.execute(
            "SELECT key, substr(text, ?, ?) FROM documents WHERE id = ?",
            (row.start + 1, row.end - row.start, row.document),
        ).fetchone()
        return Passage(passage_id(key, row.start, row.end), public_id(key), text, row.start, row.end, row.zone)

    def find_passage(self, public: str) -> int | None:
        """The row id of the passage with that public id, None if it is gone."""
        prefix, _, span = public.partition(".")
        start, _, end = span.partition(".")
        if not public.isascii():
            return None
        row = self.connection.execute(
            "SELECT p.id FROM passages p JOIN documents d ON d.id = p.document "
            'WHERE d.key >= ? AND d.key < ? AND p."start" = ? AND p."end" = ?',
            (prefix, prefix + "g", start, end),
        ).fetchone()
        return None if row is None else int(row[0])

    def sentences(self, passage: int) -> list[tuple[int, int, str]]:
        """(start, end, kind of its block) of a passage's sentences, in order."""
        return self.connection.execute(
            'SELECT s."start", s."end", b.kind FROM sentences s JOIN passages p ON p.id = s.passage '
            "JOIN blocks b ON b.document = p.document AND b.ordinal = s.block WHERE s.passage = ? ORDER BY s.ordinal",
            (passage,),
        ).fetchall()

    def place(self, document: int, start: int, end: int) -> Place:
        """What a citation of `text[start:end]` says of its document; the quote is read from the document's own text.

        Raises:
            KeyError: the document is gone.
        """
        row = self.connection.execute(
            "SELECT key, kind, title, substr(text, ?1 + 1, ?2 - ?1), "
            "1 + ?1 - length(replace(substr(text, 1, ?1), char(10), '')) FROM documents WHERE id = ?3",
            (start, end, document),
        ).fetchone()
        if row is None:
            raise KeyError(f"no document {document}")
        key, kind, title, quote, line = row
        return Place(key, kind, title or "", quote, line, self.sources(document))

    def lines(self, document: int, start: int, end: int) -> int:
        """How many lines end between two places of a document."""
        return self._count(
            "SELECT ?2 - ?1 - length(replace(substr(text, ?1 + 1, ?2 - ?1), char(10), '')) "
            "FROM documents WHERE id = ?3",
            start,
            end,
            document,
        )

    def sources_repeating(self, document: int, offset: int) -> tuple[str, ...]:
        """The files of all documents that hold the block at `offset`, sorted."""
        rows = self.connection.execute(
            f"WITH RECURSIVE repeated (hash) AS (SELECT hash FROM blocks {_AT}), "
            "holding (document) AS ("  # one after the other, since each may hold it a million times
            "SELECT MIN(document) FROM blocks WHERE hash = (SELECT hash FROM repeated) UNION ALL "
            "SELECT (SELECT MIN(document) FROM blocks WHERE hash = (SELECT hash FROM repeated) "
            "AND document > holding.document) FROM holding WHERE document IS NOT NULL"
            ") SELECT DISTINCT f.source FROM holding JOIN files f USING (document) ORDER BY f.source",
            {"document": document, "offset": offset},
        )
        return tuple(source for (source,) in rows)

    def vector_ids(self, encoder: str) -> Ids:
        """Row ids of an encoder's vectors, increasing."""
        rows = self.connection.execute("SELECT id FROM vectors WHERE encoder = ? ORDER BY id", (encoder,)).fetchall()
        return np.array(rows, dtype=np.int64).reshape(-1)

    def vectors(self, ids: Ids, dimension: int) -> Iterator[Halves]:
        """The vectors with these row ids, increasing, in half precision, some at a time, (any, dimension)."""
        for first in range(0, len(ids), _BLOCK):
            some = ids[first : first + _BLOCK]
            values = self._select_many("SELECT value FROM vectors WHERE id IN", some.tolist(), order="ORDER BY id")
            yield np.frombuffer(b"".join(value for (value,) in values), dtype=np.float16).reshape(len(some), dimension)

    def vectors_of(self, encoder: str, hashes: Sequence[bytes]) -> dict[bytes, int]:
        """The rows of the vectors that these texts have already, by hash."""
        rows = self._select_many("SELECT hash, id FROM vectors WHERE encoder = ? AND hash IN", hashes, encoder)
        return dict(rows)

    def add_vectors(self, encoder: str, hashes: Sequence[bytes], vectors: Vectors) -> None:
        """Store the vectors (n, dimension) of texts, in half precision, by hash."""
        self.connection.executemany(
            "INSERT OR IGNORE INTO vectors (encoder, hash, value) VALUES (?, ?, ?)",
            ((encoder, digest, row.tobytes()) for digest, row in zip(hashes, vectors.astype(np.float16), strict=True)),
        )

    def rename_encoder(self, old: str, new: str) -> None:
        """Give the vectors of an encoder another name that sentences use, so that their texts count as not encoded."""
        used = "id IN (SELECT vector FROM sentences)"
        self.connection.execute(f"UPDATE OR IGNORE vectors SET encoder = ? WHERE encoder = ? AND {used}", (new, old))

    def drop_unused_vectors(self, *, all_of_them: bool = False) -> None:
        """Delete vectors that no sentence uses: those that an interrupted run left since this was last called.

        `all_of_them` looks at every vector, another encoder's too.
        """
        after = 0 if all_of_them else int(self.meta("checked"))
        self.connection.execute(
            "DELETE FROM vectors WHERE id > ? AND NOT EXISTS (SELECT 1 FROM sentences WHERE vector = vectors.id)",
            (after,),
        )
        last = self.connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'vectors'").fetchone()
        self.set_meta("checked", str(last[0] if last else 0))

    def document_count(self) -> int:
        """How many documents there are."""
        return self._count("SELECT COUNT(*) FROM documents")

    def counts(self) -> dict[str, int]:
        """Numbers of rows: files, failed files, documents, passages, sentences, vectors."""
        names = ("documents", "passages", "sentences", "vectors", "files")
        counts = {name: self._count(f"SELECT COUNT(*) FROM {name}") for name in names}
        counts["failed"] = self._count("SELECT COUNT(*) FROM files WHERE document IS NULL")
        return counts

    def languages(self) -> list[tuple[str, int, int]]:
        """(language, characters, tokens) of the documents, summed by language."""
        return self.connection.execute(
            "SELECT language, SUM(characters), SUM(tokens) FROM documents GROUP BY language ORDER BY language"
        ).fetchall()

    def _count(self, query: str, *values: int) -> int:
        return int(self.connection.execute(query, values).fetchone()[0])

    def _select_many(
        self,
        query: str,
        values: Sequence[Any],
        *before: Any,  # noqa: ANN401
        order: str = "",
    ) -> Iterator[tuple[Any, ...]]:
        for first in range(0, len(values), _MANY):
            some = values[first : first + _MANY]
            marks = ",".join("?" * len(some))
            yield from self.connection.execute(f"{query} ({marks}) {order}", (*before, *some))


def _block(row: tuple[Any, ...], paths: dict[str, tuple[str, ...]]) -> Block:
    """The block of a row of _BLOCKS; `paths` holds the headings that were read before."""
    kind, start, end, heading, page, zone, line = row
    path = paths.get(heading)
    if path is None:
        path = paths[heading] = tuple(json.loads(heading))
    return Block(kind, start, end, path, page, zone, line)


def _identity(path: Path) -> tuple[int, int]:
    """Which file is at a path, by device and number; one that no file has where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return -1, -1
    return found.st_dev, found.st_ino


def _address(path: Path) -> str:
    """The file as a URI. In a folder that cannot be written, SQLite cannot make the files that go with its log."""
    address = path.resolve().as_uri()
    if os.access(path.parent, os.W_OK):
        return address
    return f"{address}?mode=ro" if path.with_name(f"{path.name}-wal").exists() else f"{address}?mode=ro&immutable=1"


def content_key(kind: str, version: int, digest: str) -> str:
    """A document's key: the hash of what was read (the file's bytes, by SHA-256) and how."""
    return hashlib.sha256(f"{kind}\n{version}\n{digest}".encode()).hexdigest()


def public_id(key: str) -> str:
    """The id of a document outside the store."""
    return key[:16]


def passage_id(key: str, start: int, end: int) -> str:
    """The id of a passage: document, version and span, so it is the same in every library that holds the text."""
    return f"{public_id(key)}.{start}.{end}"


def text_hash(text: str) -> bytes:
    """The hash under which a text's vector and a block's repetitions are found; white space does not count."""
    return hashlib.sha256(" ".join(text.split()).encode()).digest()[:16]


def now() -> str:
    """The time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")

"""Conversations that were kept, and what people thought of their answers: a SQLite file of its own in the library.

It is not the library's own file, so that indexing and chatting never wait for each other.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from qa.errors import QAError
from qa.escape import plain
from qa.types import Answer

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FILE_NAME = "conversations.sqlite"
SCHEMA_VERSION = 1
CONVERSATIONS_KEPT = 1_000
"""Conversations of one owner, the latest ones: years of daily use, and lists that are read in milliseconds."""
EXCHANGES_KEPT = 200
"""Exchanges of one conversation, the latest ones: four times what the page shows, 2 MB or so."""
ALL_KEPT = 50_000
"""Conversations of all owners, the latest ones: visitors who come without a cookie again and again fill no disk."""
LONGEST_ANSWER = 4_000_000
"""Characters of an answer as JSON. Twenty passages have 30,000; only texts without any sentence's end come near."""
LONGEST_SETTINGS = 20_000
"""Bytes of what a question was asked with, as JSON: some hundred documents chosen one by one. The page sends up to
1,000 of them with each question, and their names again and again would be most of the file."""
LONGEST_TITLE = 200
LONGEST_NOTE = 2_000
"""Characters of a note to an answer: a paragraph or three."""
LONGEST_OWNER = 200
_TITLE = 80  # characters of a question that become the title
_BUSY_SECONDS = 30.0
_ID_BYTES = 18  # 24 characters, which nobody guesses

_SCHEMA = """
CREATE TABLE conversations (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, title TEXT NOT NULL, named INTEGER NOT NULL DEFAULT 0,
    created TEXT NOT NULL, updated TEXT NOT NULL
);
CREATE INDEX conversations_owner ON conversations (owner, updated);
CREATE INDEX conversations_updated ON conversations (updated);
CREATE TABLE exchanges (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE, asked_at TEXT NOT NULL,
    question TEXT NOT NULL, answer TEXT NOT NULL, settings TEXT NOT NULL,
    rating INTEGER NOT NULL DEFAULT 0 CHECK (rating IN (-1, 0, 1)), note TEXT NOT NULL DEFAULT ''
);
CREATE INDEX exchanges_conversation ON exchanges (conversation, number);
CREATE INDEX exchanges_rated ON exchanges (number) WHERE rating <> 0;
"""
_EXCHANGE = "SELECT id, asked_at, answer, settings, rating, note FROM exchanges"


class HistoryError(QAError):
    """Something cannot be kept: it is too long, or has no owner."""


class HistoryFileError(HistoryError):
    """The file of the conversations cannot be used."""


@dataclass(frozen=True, slots=True)
class ConversationInfo:
    """A row of the list of conversations. Times are ISO 8601 in UTC; `exchanges` is how many there are."""

    id: str
    title: str
    updated: str
    exchanges: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question with its answer, what it was asked with, and what its owner thought of it.

    `rating` is 1 for a good answer, -1 for a bad one, 0 for none.
    """

    id: str
    asked_at: str
    answer: Answer
    settings: Mapping[str, Any]
    rating: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation, oldest exchange first. `skipped` counts those that are damaged and cannot be read."""

    id: str
    title: str
    created: str
    updated: str
    exchanges: tuple[Exchange, ...]
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Feedback:
    """A rated exchange, with the earlier questions of its conversation, oldest first."""

    exchange: Exchange
    history: tuple[str, ...] = field(default=())


class History:
    """The conversations of one library. Safe to share between threads and between processes.

    Who does not own a conversation is told that there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """The history of the library in a folder. Its file is opened, or made, when it is first needed."""
        return cls(Path(folder) / FILE_NAME)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # Writing

    def add(
        self, owner: str, conversation_id: str, answer: Answer, settings: Mapping[str, Any], *, replaces: str = ""
    ) -> tuple[str, str]:
        """Keep an answer at the end of a conversation; returns the ids of the conversation and of the exchange.

        Args:
            owner: a user's name or a visitor's number.
            conversation_id: "" starts a new one, titled by its question; so does one that was deleted meanwhile.
            answer: as `Library.ask` gives it. Passages that it does not quote are left out if it is too long.
            settings: what it was asked with, as JSON holds it. Of `sources` that are too long together the first are
                kept, and `sources_left_out` counts the others.
            replaces: the id of an exchange of the conversation whose place it takes; the others stay as they are.

        Raises:
            HistoryError: there is no owner, the conversation is somebody else's, or something is too long.
        """
        if not 0 < len(owner) <= LONGEST_OWNER:
            raise HistoryError(f"expected an owner of 1 to {LONGEST_OWNER} characters, came {len(owner)}: log in first")
        chosen = _shortened_settings(settings)
        told, exchange_id, at = _shortened(answer), secrets.token_urlsafe(_ID_BYTES), _now()
        with self._transaction() as run:
            found = run.execute("SELECT owner FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
            if found is not None and found[0] != owner:
                raise HistoryError("this conversation is somebody else's: start a new one")
            if found is None:
                conversation_id = secrets.token_urlsafe(_ID_BYTES)
                run.execute("INSERT INTO conversations VALUES (?, ?, '', 0, ?, ?)", (conversation_id, owner, at, at))
            values = (exchange_id, at, answer.question, told, chosen, conversation_id)
            replaced = run.execute(
                "UPDATE exchanges SET id = ?, asked_at = ?, question = ?, answer = ?, settings = ?, rating = 0, "
                "note = '' WHERE conversation = ? AND id = ?",
                (*values, replaces),
            ).rowcount
            if not replaced:
                run.execute(
                    "INSERT INTO exchanges (id, asked_at, question, answer, settings, conversation) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    values,
                )
            run.execute(
                "UPDATE conversations SET updated = :at, title = iif(title = '' OR (NOT named AND :exchange = "
                "(SELECT id FROM exchanges WHERE conversation = :id ORDER BY number LIMIT 1)), :title, title) "
                "WHERE id = :id",
                {"at": at, "exchange": exchange_id, "title": _title(answer.question), "id": conversation_id},
            )
            _drop_old(run, owner, conversation_id)
        return conversation_id, exchange_id

    def rename(self, owner: str, conversation_id: str, title: str) -> bool:
        """Give a conversation another title; False if there is none.

        Raises:
            HistoryError: the title is empty or too long.
        """
        title = plain(title)
        if not 0 < len(title) <= LONGEST_TITLE:
            raise HistoryError(f"expected a title of 1 to {LONGEST_TITLE} characters, came {len(title):,}")
        return self._changed(
            "UPDATE conversations SET title = ?, named = 1 WHERE id = ? AND owner = ?", title, conversation_id, owner
        )

    def delete(self, owner: str, conversation_id: str) -> bool:
        """Delete a conversation, its words overwritten in the file; False if there is none."""
        return self._changed("DELETE FROM conversations WHERE id = ? AND owner = ?", conversation_id, owner)

    def delete_all(self, owner: str) -> int:
        """Delete all conversations of an owner; returns how many there were."""
        with self._transaction() as run:
            return run.execute("DELETE FROM conversations WHERE owner = ?", (owner,)).rowcount

    def rate(self, owner: str, exchange_id: str, rating: int, note: str = "") -> bool:
        """Say what an answer is worth: 1, -1, or 0 to take it back, which drops the note; False if there is no such.

        Raises:
            HistoryError: the rating is another number, or the note is too long.
        """
        if rating not in (-1, 0, 1):
            raise HistoryError(f"expected a rating of -1, 0 or 1, came {rating}")
        note = note.strip().encode("utf-8", "replace").decode()
        if len(note) > LONGEST_NOTE:
            raise HistoryError(f"the note has {len(note):,} characters: shorten it to {LONGEST_NOTE:,}")
        return self._changed(
            "UPDATE exchanges SET rating = ?, note = ? WHERE id = ? "
            "AND conversation IN (SELECT id FROM conversations WHERE owner = ?)",
            rating,
            note if rating else "",
            exchange_id,
            owner,
        )

    # Reading

    def conversations(self, owner: str, query: str = "", offset: int = 0, limit: int = 50) -> list[ConversationInfo]:
        """An owner's conversations, the last one first; with a query those whose title or a question contains it.

        Capital and small letters are the same, and so are the forms of a character (NFKC).
        """
        rows = self._rows(
            "SELECT id, title, updated, (SELECT COUNT(*) FROM exchanges WHERE conversation = c.id) "
            "FROM conversations c "
            "WHERE owner = :owner AND (:query = '' OR instr(folded(title), :query) OR EXISTS (SELECT 1 FROM exchanges "
            "WHERE conversation = c.id AND instr(folded(question), :query))) "
            "ORDER BY updated DESC, rowid DESC LIMIT :limit OFFSET :offset",
            {"owner": owner, "query": _folded(query.strip()), "limit": limit, "offset": offset},
        )
        return [ConversationInfo(*row) for row in rows]

    def conversation(self, owner: str, conversation_id: str) -> Conversation | None:
        """A whole conversation, None if its owner has none with that id."""
        about = self._rows(
            "SELECT title, created, updated FROM conversations WHERE id = ? AND owner = ?", (conversation_id, owner)
        )
        if not about:
            return None
        rows = self._rows(f"{_EXCHANGE} WHERE conversation = ? ORDER BY number", (conversation_id,))
        exchanges = tuple(filter(None, map(_exchange, rows)))
        title, created, updated = about[0]
        return Conversation(conversation_id, title, created, updated, exchanges, len(rows) - len(exchanges))

    def find(self, owner: str, exchange_id: str) -> tuple[str, Exchange] | None:
        """An exchange with the id of its conversation, None if its owner has none with that id, or it is damaged."""
        rows = self._rows(
            "SELECT conversation FROM exchanges WHERE id = ? "
            "AND conversation IN (SELECT id FROM conversations WHERE owner = ?)",
            (exchange_id, owner),
        )
        found = [_exchange(row) for row in self._rows(f"{_EXCHANGE} WHERE id = ?", (exchange_id,))] if rows else []
        return (rows[0][0], found[0]) if found and found[0] is not None else None

    def feedback(
        self, owner: str | None = None, *, on_damaged: Callable[[str], None] = lambda _: None
    ) -> Iterator[Feedback]:
        """Every rated exchange, the oldest first: those of one owner, or of all.

        Args:
            owner: None for all, which is for who runs the library.
            on_damaged: hears the id of a rated exchange that cannot be read; it is left out.
        """
        rated = self._rows(
            "SELECT number, id, conversation FROM exchanges WHERE rating <> 0 AND (:owner IS NULL "
            "OR conversation IN (SELECT id FROM conversations WHERE owner = :owner)) ORDER BY number",
            {"owner": owner},
        )
        for number, exchange_id, conversation in rated:
            found = [_exchange(row) for row in self._rows(f"{_EXCHANGE} WHERE number = ?", (number,))]
            if not found:
                continue  # deleted meanwhile
            if found[0] is None:
                on_damaged(exchange_id)
                continue
            earlier = self._rows(
                "SELECT question FROM exchanges WHERE conversation = ? AND number < ? ORDER BY number",
                (conversation, number),
            )
            yield Feedback(found[0], tuple(question for (question,) in earlier))

    # Inside

    def _rows(self, statement: str, values: Mapping[str, Any] | tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._using() as run:
            return run.execute(statement, values).fetchall()

    def _changed(self, statement: str, *values: str | int) -> bool:
        with self._transaction() as run:
            return run.execute(statement, values).rowcount > 0

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block's changes, or none."""
        with self._using() as run:
            run.execute("BEGIN IMMEDIATE")
            try:
                yield run
                run.execute("COMMIT")
            except BaseException:
                if run.in_transaction:
                    run.execute("ROLLBACK")
                raise

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """The one connection, for one thread at a time: every use of it is short."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _connected(self.path)
                yield self._connection
            except (sqlite3.DatabaseError, OSError) as error:
                raise HistoryFileError(
                    f"the conversations in {self.path} cannot be used ({error}): check the file's permissions and its "
                    "disk, or move the file away to start with none"
                ) from error


def _connected(path: Path) -> sqlite3.Connection:
    """A connection to the file, which is made for its owner's eyes only if it is not there yet."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    run = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        run.text_factory = lambda raw: raw.decode("utf-8", "replace")
        run.create_function("folded", 1, _folded, deterministic=True)
        run.execute("PRAGMA foreign_keys = ON")
        run.execute("PRAGMA synchronous = NORMAL")
        run.execute("PRAGMA secure_delete = ON")
        run.execute("BEGIN IMMEDIATE")
        version = run.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:  # nobody else was faster
            for statement in _SCHEMA.split(";\n"):
                run.execute(statement)
            run.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        run.execute("COMMIT")
        if version > SCHEMA_VERSION:
            raise HistoryFileError(
                f"the conversations in {path} have schema version {version}, this Refdesk reads up to "
                f"{SCHEMA_VERSION}: upgrade with `pip install --upgrade refdesk`"
            )
        with suppress(sqlite3.OperationalError):  # another process reads at this moment: whoever opens it next does it
            run.execute("PRAGMA journal_mode = WAL")  # kept in the file
    except BaseException:
        run.close()
        raise
    return run


def _drop_old(run: sqlite3.Connection, owner: str, conversation: str) -> None:
    run.execute(
        "DELETE FROM exchanges WHERE conversation = :id AND number <= (SELECT number FROM exchanges "
        "WHERE conversation = :id ORDER BY number DESC LIMIT 1 OFFSET :kept)",
        {"id": conversation, "kept": EXCHANGES_KEPT},
    )
    last = "SELECT rowid FROM conversations {} ORDER BY updated DESC, rowid DESC LIMIT -1 OFFSET {}"
    run.execute(
        f"DELETE FROM conversations WHERE rowid IN ({last.format('WHERE owner = ?', CONVERSATIONS_KEPT)})", (owner,)
    )
    run.execute(f"DELETE FROM conversations WHERE rowid IN ({last.format('', ALL_KEPT)})")


def _exchange(row: tuple[Any, ...]) -> Exchange | None:
    """An exchange as it is stored, None where it is damaged."""
    exchange_id, asked_at, answer, settings, rating, note = row
    try:
        chosen = json.loads(settings)
        told = answer_from_json(answer)
    except (ValueError, TypeError, RecursionError):
        return None
    return Exchange(exchange_id, asked_at, told, chosen, rating, note) if isinstance(chosen, dict) else None


def answer_to_json(answer: Answer) -> str:
    """An answer as JSON, every value of it."""
    return _answers().dump_json(answer).decode()


def answer_from_json(text: str) -> Answer:
    """The answer that `answer_to_json` wrote: an equal one.

    Raises:
        ValueError: the text is no such answer.
    """
    return _answers().validate_json(text, strict=True)


@cache
def _answers() -> TypeAdapter[Answer]:
    from pydantic import TypeAdapter

    return TypeAdapter(Answer)


def _shortened(answer: Answer) -> str:
    """An answer as JSON. A giant one loses its misses and the passages that it does not quote, then all passages."""
    quoted = [citation for sentence in answer.sentences for citation in sentence.citations]
    hits = tuple(hit for hit in answer.hits if any(map(hit.passage.holds, quoted)))
    for less in (answer, replace(answer, hits=hits, misses=()), replace(answer, hits=(), misses=())):
        text = answer_to_json(less)
        if len(text) <= LONGEST_ANSWER:
            return text
    raise HistoryError(f"the answer has {len(text):,} characters and is not kept: up to {LONGEST_ANSWER:,} are")


def _shortened_settings(settings: Mapping[str, Any]) -> str:
    """Settings as JSON. Of too many sources those are left out that do not fit, and counted."""
    text = _as_json(settings)
    if _bytes(text) <= LONGEST_SETTINGS:
        return text
    sources = list(settings.get("sources", ()))
    room = LONGEST_SETTINGS - _bytes(_as_json({**settings, "sources": [], "sources_left_out": len(sources)}))
    if room < 0:
        raise HistoryError(
            f"the settings have {LONGEST_SETTINGS - room:,} bytes beside their sources and are not kept: up to "
            f"{LONGEST_SETTINGS:,} are"
        )
    ends = accumulate(_bytes(_as_json(source)) + 2 for source in sources)  # with a comma and a space
    fitting = sum(end <= room for end in ends)
    return _as_json({**settings, "sources": sources[:fitting], "sources_left_out": len(sources) - fitting})


def _as_json(value: object) -> str:
    """JSON that can be written as UTF-8: halves of characters are replaced."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()


def _bytes(text: str) -> int:
    return len(text.encode())


def _title(question: str) -> str:
    line = plain(question)
    return line if len(line) <= _TITLE else f"{line[: _TITLE - 1].rstrip()}…"


def _folded(text: str) -> str:
    """Text in which capital and small letters, and the forms of a character, are the same."""
    return unicodedata.normalize("NFKC", text).casefold()


def _now() -> str:
    """The time to the microsecond, so that two conversations have an order."""
    return datetime.now(UTC).isoformat(timespec="microseconds")

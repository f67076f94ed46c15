"""Conversations that were kept, and what people thought of their answers: a SQLite file of its own in the library.

It is not the library's own file, so that indexing and chatting never wait for each other. One thread makes all changes,
in their order; each reading has a connection of its own, and so neither waits for the other.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from qa.errors import QAError
from qa.escape import plain
from qa.types import Answer

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FILE_NAME = "conversations.sqlite"
SCHEMA_VERSION = 2
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
LONGEST_SEARCHED = 200
"""Characters of a title or a question that a search looks at. They are folded when they are kept: one can become 18,
and to fold 200 of those takes .3 ms. 200,000 questions of this length are searched in .06 s, Chinese ones in .14 s of
CPU time, all of it in SQLite and so without the GIL."""
TURNS_TOLD = 50
"""Earlier questions that a rated answer is told with, the latest ones: as many as the page leans on."""
KEEPING_SECONDS = 0.5
"""How long an answer waits to be kept. On a busy disk a sync takes seconds; it is kept all the same, after that."""
MOST_WAITING = 200
"""Answers that wait to be kept, some 40 kB each: ten seconds of 20 answers a second."""
LONGEST_LOG = 4_000_000
"""Bytes of the write-ahead log, a thousand pages as SQLite has it, after which it is written back into the file."""
LARGEST_LOG = 64_000_000
"""Bytes of it after which it is emptied though answers come all the time, which wait for the disk then."""
_TITLE = 80  # characters of a question that become the title
_BUSY_SECONDS = 30.0
_READERS_SECONDS = 1.0  # that emptying the log waits for who reads; the slowest search takes less
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
# What is searched, folded: a conversation's title as number 0, and its questions.
_SCHEMA_2 = """
CREATE TABLE words (
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE, number INTEGER NOT NULL,
    folded TEXT NOT NULL, PRIMARY KEY (conversation, number)
) WITHOUT ROWID;
CREATE TRIGGER words_dropped AFTER DELETE ON exchanges
    BEGIN DELETE FROM words WHERE conversation = old.conversation AND number = old.number; END;
"""
T = TypeVar("T")
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
        self._connection: sqlite3.Connection | None = None  # the one that writes, which only its thread uses
        self._writer = ThreadPoolExecutor(1, "refdesk-history")
        self._tidier = ThreadPoolExecutor(1, "refdesk-history-log")
        self._tidying: Future[None] | None = None
        self._room = threading.BoundedSemaphore(MOST_WAITING)

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """The history of the library in a folder. Its file is opened, or made, when it is first needed."""
        return cls(Path(folder) / FILE_NAME)

    def close(self) -> None:
        """Close the file when everything that waited is in it."""
        self._writer.submit(self._drop).result()
        self._tidier.submit(lambda: None).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # Writing

    def add(
        self, owner: str, conversation_id: str, answer: Answer, settings: Mapping[str, Any], *, replaces: str = ""
    ) -> tuple[str, str]:
        """Keep an answer at the end of a conversation; returns the ids of the conversation and of the exchange.

        After `KEEPING_SECONDS` it returns though the answer still waits for the disk; should it come to nothing then,
        the terminal says so.

        Args:
            owner: a user's name or a visitor's number.
            conversation_id: "" starts a new one, titled by its question; so does one that was deleted meanwhile.
            answer: as `Library.ask` gives it. Passages that it does not quote are left out if it is too long.
            settings: what it was asked with, as JSON holds it. Of `sources` that are too long together the first are
                kept, and `sources_left_out` counts the others.
            replaces: the id of an exchange of the conversation whose place it takes; the others stay as they are.

        Raises:
            HistoryError: there is no owner, the conversation is somebody else's, something is too long, or too many
                answers wait.
        """
        if not 0 < len(owner) <= LONGEST_OWNER:
            raise HistoryError(f"expected an owner of 1 to {LONGEST_OWNER} characters, came {len(owner)}: log in first")
        chosen = _shortened_settings(settings)
        told, at = _shortened(answer), _now()
        exchange_id, new_id = secrets.token_urlsafe(_ID_BYTES), secrets.token_urlsafe(_ID_BYTES)

        def change(run: sqlite3.Connection) -> tuple[str, str]:
            found = run.execute("SELECT owner FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
            if found is not None and found[0] != owner:
                raise HistoryError("this conversation is somebody else's: start a new one")
            kept_in = conversation_id if found is not None else new_id
            if found is None:
                run.execute("INSERT INTO conversations VALUES (?, ?, '', 0, ?, ?)", (kept_in, owner, at, at))
            values = (exchange_id, at, answer.question, told, chosen, kept_in)
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
                {"at": at, "exchange": exchange_id, "title": _title(answer.question), "id": kept_in},
            )
            _make_searchable(run, kept_in, exchange_id)
            _drop_old(run, owner, kept_in)
            return kept_in, exchange_id

        if not self._room.acquire(blocking=False):
            raise HistoryError(f"{MOST_WAITING} answers wait for the disk: this one is not kept")
        keeping = self._writer.submit(self._change, change)
        keeping.add_done_callback(lambda _: self._room.release())
        try:
            return keeping.result(KEEPING_SECONDS)
        except TimeoutError:
            keeping.add_done_callback(_told_late)
            return conversation_id or new_id, exchange_id

    def rename(self, owner: str, conversation_id: str, title: str) -> bool:
        """Give a conversation another title; False if there is none.

        Raises:
            HistoryError: the title is empty or too long.
        """
        title = plain(title)
        if not 0 < len(title) <= LONGEST_TITLE:
            raise HistoryError(f"expected a title of 1 to {LONGEST_TITLE} characters, came {len(title):,}")

        def change(run: sqlite3.Connection) -> bool:
            renamed = "UPDATE conversations SET title = ?, named = 1 WHERE id = ? AND owner = ?"
            if not run.execute(renamed, (title, conversation_id, owner)).rowcount:
                return False
            _make_searchable(run, conversation_id)
            return True

        return self._written(change)

    def delete(self, owner: str, conversation_id: str) -> bool:
        """Delete a conversation, its words overwritten in the file soon after; False if there is none."""
        return self._deleted("DELETE FROM conversations WHERE id = ? AND owner = ?", conversation_id, owner) > 0

    def delete_all(self, owner: str) -> int:
        """Delete all conversations of an owner; returns how many there were."""
        return self._deleted("DELETE FROM conversations WHERE owner = ?", owner)

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
        rated = (
            "UPDATE exchanges SET rating = ?, note = ? WHERE id = ? "
            "AND conversation IN (SELECT id FROM conversations WHERE owner = ?)"
        )
        values = (rating, note if rating else "", exchange_id, owner)
        return self._written(lambda run: run.execute(rated, values).rowcount > 0)

    # Reading

    def conversations(self, owner: str, query: str = "", offset: int = 0, limit: int = 50) -> list[ConversationInfo]:
        """An owner's conversations, the last one first; with a query those whose title or a question contains it.

        Capital and small letters are the same, and so are the forms of a character (NFKC). Of a long question the first
        `LONGEST_SEARCHED` characters count.
        """
        rows = self._rows(
            "SELECT id, title, updated, (SELECT COUNT(*) FROM exchanges WHERE conversation = c.id) "
            "FROM conversations c "
            "WHERE owner = :owner AND (:query = '' OR EXISTS (SELECT 1 FROM words "
            "WHERE conversation = c.id AND instr(folded, :query))) "
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
                "SELECT question FROM exchanges WHERE conversation = ? AND number < ? ORDER BY number DESC LIMIT ?",
                (conversation, number, TURNS_TOLD),
            )
            yield Feedback(found[0], tuple(question for (question,) in reversed(earlier)))

    # Inside

    def _rows(self, statement: str, values: Mapping[str, Any] | tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._usable():
            if self._connection is None:
                self._writer.submit(self._opened).result()
            with closing(_connected(self.path)) as run:  # which takes .1 ms
                return run.execute(statement, values).fetchall()

    def _written(self, change: Callable[[sqlite3.Connection], T], *, deletes: bool = False) -> T:
        """Make a change after those before it, and wait for it."""
        return self._writer.submit(self._change, change, deletes=deletes).result()

    def _deleted(self, statement: str, *values: str) -> int:
        """Delete rows; returns how many."""
        return self._written(lambda run: run.execute(statement, values).rowcount, deletes=True)

    # In the thread that writes

    def _change(self, change: Callable[[sqlite3.Connection], T], *, deletes: bool = False) -> T:
        """All of a change, or nothing."""
        with self._usable():
            run = self._opened()
            run.execute("BEGIN IMMEDIATE")
            try:
                done = change(run)
                run.execute("COMMIT")
            except BaseException:
                if run.in_transaction:
                    run.execute("ROLLBACK")
                raise
        self._tidy(deletes=deletes)
        return done

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _made(self.path)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _tidy(self, *, deletes: bool) -> None:
        """Have the log written back into the file in a thread that nobody waits for: that syncs the disk."""
        free = self._tidying is None or self._tidying.done()
        if deletes or (free and _log_size(self.path) > LONGEST_LOG):
            self._tidying = self._tidier.submit(_write_back, self.path, at_once=deletes)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """What is wrong with the file is told in one line, and it is opened anew the next time."""
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            self._writer.submit(self._drop)
            raise HistoryFileError(
                f"the conversations in {self.path} cannot be used ({error}): check the file's permissions and its "
                "disk, or move the file away to start with none"
            ) from error


def _connected(path: Path, wait: float = _BUSY_SECONDS) -> sqlite3.Connection:
    """A connection to the file, which is there."""
    run = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=wait, isolation_level=None)
    run.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return run


def _made(path: Path) -> sqlite3.Connection:
    """The connection that writes. The file is made for its owner's eyes only if it is not there yet."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    run = _connected(path)
    try:
        run.execute("PRAGMA foreign_keys = ON")
        run.execute("PRAGMA synchronous = NORMAL")
        run.execute("PRAGMA secure_delete = ON")
        run.execute("PRAGMA wal_autocheckpoint = 0")
        run.execute("BEGIN IMMEDIATE")
        version = run.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise HistoryFileError(
                f"the conversations in {path} have schema version {version}, this Refdesk reads up to "
                f"{SCHEMA_VERSION}: upgrade with `pip install --upgrade refdesk`"
            )
        for number, schema in enumerate((_SCHEMA, _SCHEMA_2), 1):
            for statement in schema.split(";\n") if version < number else ():
                run.execute(statement)
        if version < SCHEMA_VERSION:
            _make_searchable(run)
            run.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        run.execute("COMMIT")
        with suppress(sqlite3.OperationalError):  # another process reads at this moment: whoever opens it next does it
            run.execute("PRAGMA journal_mode = WAL")  # kept in the file
    except BaseException:
        run.close()
        raise
    return run


def _write_back(path: Path, *, at_once: bool) -> None:
    """Write the log back into the file while others go on writing, and empty it, for which they have to wait: `at_once`
    or when nothing came meanwhile and nobody reads what is older, so that nothing is left to sync."""
    # A later change tries again, and says what is wrong with the disk.
    with suppress(sqlite3.DatabaseError), closing(_connected(path, _READERS_SECONDS)) as run:
        size = _log_size(path)
        _, pages, written = run.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        calm = pages == written and _log_size(path) == size
        if at_once or calm or size > LARGEST_LOG:
            run.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _log_size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return os.stat(f"{path}-wal").st_size
    return 0


def _told_late(keeping: Future[tuple[str, str]]) -> None:
    try:
        keeping.result()
    except HistoryError as error:
        print(f"refdesk: an answer was not kept: {error}", file=sys.stderr, flush=True)  # noqa: T201


def _make_searchable(run: sqlite3.Connection, conversation: str | None = None, exchange: str = "") -> None:
    """Keep the words of a conversation's title and of an exchange, or of all."""
    where, ids = ("", ()) if conversation is None else ("WHERE id = ?", (conversation, exchange))
    texts = run.execute(
        f"SELECT id, 0, title FROM conversations {where} "
        f"UNION ALL SELECT conversation, number, question FROM exchanges {where}",
        ids,
    )
    words = ((id_, number, _folded(str(text))) for id_, number, text in texts)
    run.executemany("INSERT OR REPLACE INTO words VALUES (?, ?, ?)", words)


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
    """The beginning of a text, in which capital and small letters, and the forms of a character, are the same."""
    return unicodedata.normalize("NFKC", text[:LONGEST_SEARCHED]).casefold()[:LONGEST_SEARCHED]


def _now() -> str:
    """The time to the microsecond, so that two conversations have an order."""
    return datetime.now(UTC).isoformat(timespec="microseconds")

"""Checks a library's rows, spans and indexes, and mends what can be derived again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal

from qa.library import Library
from qa.store import Store, text_hash
from qa.sync import finish


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, and what mends it.

    "pending" is what an interrupted run leaves and the next one finishes; "derived" what `mend` makes again from the
    rows; "broken" is left to the library's owner.
    """

    check: str
    problem: str
    remedy: str
    state: Literal["pending", "derived", "broken"]


def examine(library: Library) -> list[Finding]:
    """All that is wrong with a library; an empty list means that it is sound."""
    store = library.store
    try:
        broken = [row[0] for row in store.connection.execute("PRAGMA integrity_check(5)") if row[0] != "ok"]
    except sqlite3.DatabaseError as error:
        broken = [str(error)]
    if broken:
        remedy = f"restore {store.path} from a copy, or delete {library.path} and index again"
        return [Finding("file", f"the SQLite file is damaged: {broken[0]}", remedy, "broken")]
    with store.reading():
        findings = [*_documents(store), *_spans(store), *_sentences(store), *_vectors(store), *_labels(store)]
    return findings + _indexes(library)


def mend(library: Library, findings: list[Finding]) -> list[Finding]:
    """Finish what is pending and make again what can be derived; returns what is left to the library's owner."""
    broken = [finding for finding in findings if finding.state == "broken"]
    if len(broken) < len(findings):
        with library.writing():
            finish(library.store)
            library.save_indexes()
    return broken


def _documents(store: Store) -> list[Finding]:
    count = _count(
        store, "SELECT COUNT(*) FROM documents WHERE id NOT IN (SELECT document FROM files WHERE document IS NOT NULL)"
    )
    remedy = "index its folder again"
    findings = [Finding("documents", f"{count} documents belong to no file", remedy, "broken")] if count else []
    violations = store.connection.execute("PRAGMA foreign_key_check").fetchall()
    if violations:
        problem = f"{len(violations)} rows of {violations[0][0]} point to rows that are gone"
        findings.append(Finding("documents", problem, "delete the library and index again", "broken"))
    return findings


def _spans(store: Store) -> list[Finding]:
    """Blocks and passages lie within their text, blocks hold all of it, and stored hashes are those of their words."""
    findings: list[Finding] = []
    for document, key, _ in store.document_rows():
        text, _, _ = store.text(document)
        place = 0
        wrong = 0
        for block in store.blocks(document):
            wrong += not place <= block.start < block.end <= len(text) or bool(text[place : block.start].strip())
            place = block.end
        wrong += bool(text[place:].strip())
        hashes = store.connection.execute('SELECT "start", "end", hash FROM blocks WHERE document = ?', (document,))
        wrong += sum(text_hash(text[start:end]) != digest for start, end, digest in hashes)
        spans = store.connection.execute('SELECT "start", "end" FROM passages WHERE document = ?', (document,))
        wrong += sum(not 0 <= start < end <= len(text) for start, end in spans)
        if wrong:
            source = (store.sources(document) or (key[:16],))[0]
            remedy = f"`refdesk remove {source}`, then index its folder again"
            findings.append(Finding("spans", f"{source}: {wrong} spans do not fit its text", remedy, "broken"))
    return findings


def _sentences(store: Store) -> list[Finding]:
    """Every passage starts with its first sentence and ends with its last, in order."""
    count = _count(
        store,
        'SELECT COUNT(*) FROM passages p LEFT JOIN (SELECT passage, MIN("start") AS a, MAX("end") AS b FROM sentences '
        'GROUP BY passage) s ON s.passage = p.id WHERE s.a IS NULL OR s.a != p."start" OR s.b != p."end"',
    )
    remedy = "`refdesk index --rebuild` splits and encodes all stored text again"
    return [Finding("sentences", f"{count} passages without their sentences", remedy, "broken")] if count else []


def _vectors(store: Store) -> list[Finding]:
    length = 2 * int(store.meta("dimension"))
    wrong = _count(
        store,
        "SELECT COUNT(*) FROM vectors WHERE length(value) != ? AND encoder = ?",
        length,
        store.meta("fingerprint"),
    )
    other = _count(
        store,
        "SELECT COUNT(*) FROM sentences s JOIN vectors v ON v.id = s.vector WHERE v.encoder != ?",
        store.meta("fingerprint"),
    )
    unused = _count(store, "SELECT COUNT(*) FROM vectors WHERE id NOT IN (SELECT vector FROM sentences)")
    remedy = "`refdesk index --rebuild` encodes all stored text again"
    findings = [Finding("vectors", f"{wrong} vectors of a wrong length", remedy, "broken")] if wrong else []
    if other:
        findings.append(Finding("vectors", f"{other} sentences with another encoder's vector", remedy, "broken"))
    if unused:
        remedy = "the next `refdesk index` uses or removes them"
        findings.append(Finding("vectors", f"{unused} vectors that no sentence uses", remedy, "pending"))
    return findings


def _labels(store: Store) -> list[Finding]:
    count = sum(map(len, store.relabel().values()))
    remedy = "the next `refdesk index` labels them"
    return [Finding("labels", f"{count} repeated blocks are not labelled yet", remedy, "pending")] if count else []


def _indexes(library: Library) -> list[Finding]:
    problem = library.index_problem()
    if problem is None:
        return []
    state: Literal["pending", "derived"] = "derived" if "damaged" in problem else "pending"
    return [Finding("indexes", problem, "they are made again from the rows when they are needed", state)]


def _count(store: Store, query: str, *values: object) -> int:
    return int(store.connection.execute(query, values).fetchone()[0])

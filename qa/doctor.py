"""Checks a library's rows, spans and indexes, and mends what can be derived again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Literal

import numpy as np

from qa.library import Library
from qa.rebuild import REPLACED
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
            library.save_indexes(anew=any(one.check == "indexes" and one.state == "derived" for one in findings))
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
    """The sentences of a passage hold all of its text in order, and each has the vector of its words."""
    wrong = 0
    for document, _, _ in store.document_rows():
        text, _, _ = store.text(document)
        rows = store.connection.execute(
            'SELECT p.id, p."start", p."end", s."start", s."end", v.hash FROM passages p '
            "LEFT JOIN sentences s ON s.passage = p.id LEFT JOIN vectors v ON v.id = s.vector "
            "WHERE p.document = ? ORDER BY p.id, s.ordinal",
            (document,),
        )
        for _, group in groupby(rows, key=itemgetter(0, 1, 2)):
            wrong += not _whole(text, list(group))
    remedy = "`refdesk index --rebuild` splits and encodes all stored text again"
    return [Finding("sentences", f"{wrong} passages do not fit their sentences", remedy, "broken")] if wrong else []


def _whole(text: str, rows: list[tuple[int, int, int, int | None, int | None, bytes | None]]) -> bool:
    """Do these sentences make up their passage, with nothing but white space between them?"""
    place = rows[0][1]
    for row, (_, _, _, start, end, digest) in enumerate(rows):
        if start is None or end is None or not place <= start < end <= len(text) or (row == 0 and start != place):
            return False
        if text[place:start].strip() or text_hash(text[start:end]) != digest:
            return False
        place = end
    return place == rows[0][2]


def _vectors(store: Store) -> list[Finding]:
    """Vectors are unit vectors of the library's encoder, and all are used."""
    fingerprint, dimension = store.meta("fingerprint"), int(store.meta("dimension"))
    wrong = 0
    for (value,) in store.connection.execute("SELECT value FROM vectors WHERE encoder = ?", (fingerprint,)):
        if len(value) != 2 * dimension:
            wrong += 1
        else:
            wrong += not abs(float(np.linalg.norm(np.frombuffer(value, np.float16).astype(np.float32))) - 1) < 0.01
    remedy = "`refdesk index --rebuild` encodes all stored text again"
    findings = [Finding("vectors", f"{wrong} vectors are damaged", remedy, "broken")] if wrong else []
    other = "SELECT COUNT(*) FROM sentences s JOIN vectors v ON v.id = s.vector WHERE v.encoder "
    if count := _count(store, f"{other} = ?", REPLACED):
        findings.append(Finding("vectors", f"a rebuild stopped with {count} sentences left", remedy, "pending"))
    if count := _count(store, f"{other} NOT IN (?, ?)", fingerprint, REPLACED):
        findings.append(Finding("vectors", f"{count} sentences with another encoder's vector", remedy, "broken"))
    if count := _count(store, "SELECT COUNT(*) FROM vectors WHERE id NOT IN (SELECT vector FROM sentences)"):
        remedy = "the next `refdesk index` uses or removes them"
        findings.append(Finding("vectors", f"{count} vectors that no sentence uses", remedy, "pending"))
    return findings


def _labels(store: Store) -> list[Finding]:
    count = sum(map(len, store.relabel().values()))
    remedy = "the next `refdesk index` labels them"
    return [Finding("labels", f"{count} repeated blocks are not labelled yet", remedy, "pending")] if count else []


def _indexes(library: Library) -> list[Finding]:
    problem = library.index_problem(thorough=True)
    if problem is None:
        return []
    state: Literal["pending", "derived"] = "derived" if "damaged" in problem else "pending"
    return [Finding("indexes", problem, "they are made again from the rows when they are needed", state)]


def _count(store: Store, query: str, *values: object) -> int:
    return int(store.connection.execute(query, values).fetchone()[0])

"""The list of a library's files as the page shows it: rows, folders, and what a search leaves of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from qa.escape import plain
from qa.types import DocumentInfo

MOST_FOLDERS = 1_000
"""Folders that are listed; files of all others are found by searching."""
SORTS: dict[str, Callable[[Row], Any]] = {
    "source": lambda row: row.key,
    "title": lambda row: (row.title.casefold(), row.key),
    "date": lambda row: (row.info.indexed_at, row.key),
    "size": lambda row: (row.info.bytes, row.key),
    "pages": lambda row: (row.info.pages or 0, row.key),
    "passages": lambda row: (row.info.passages, row.key),
}
STATES: dict[str, Callable[[Row], bool]] = {
    "": lambda _: True,
    "indexed": lambda row: row.info.state == "indexed",
    "failed": lambda row: row.info.reason is not None,
    "warnings": lambda row: bool(row.info.warnings),
    "uploaded": lambda row: row.uploaded,
}


@dataclass(frozen=True, slots=True)
class Row:
    """A file of the library. `id` names it among files of all roots; `key` and `text` are what it is sorted and
    found by."""

    id: str
    info: DocumentInfo
    folder: str
    title: str
    uploaded: bool
    key: str
    text: str

    def as_json(self) -> dict[str, Any]:
        """What the page shows. `source` is exact, for filters; `path` and `title` have no characters that nobody
        sees."""
        info = self.info
        return {
            "id": self.id,
            "source": info.source,
            "document": info.document_id,
            "path": plain(info.source),
            "name": PurePosixPath(info.source).name,
            "folder": self.folder,
            "title": self.title,
            "kind": info.kind,
            "language": info.language,
            "pages": info.pages,
            "passages": info.passages,
            "bytes": info.bytes,
            "date": info.indexed_at,
            "state": info.state,
            "reason": None if info.reason is None else plain(info.reason),
            "warnings": [plain(warning) for warning in info.warnings],
            "uploaded": self.uploaded,
        }


def row(info: DocumentInfo, *, uploaded: bool) -> Row:
    """A file's row."""
    number = hashlib.sha256(f"{info.root}\0{info.source}".encode()).hexdigest()[:16]
    folder = info.source.rpartition("/")[0]
    title = plain(info.title or "") or plain(PurePosixPath(info.source).name)
    key = info.source.casefold()
    return Row(number, info, folder, title, uploaded, key, f"{key}\n{title.casefold()}")


def found(rows: Iterable[Row], query: str, state: str, folder: str, sort: str) -> list[Row]:
    """The rows whose path or title holds all words of a query, of a state, in or below a folder, in order.

    `sort` is a name of `SORTS`, with "-" before it for the other way round; what is unknown counts as the default.
    """
    words = query.casefold().split()
    fits = STATES.get(state, STATES[""])
    below = f"{folder}/"
    some = [
        row
        for row in rows
        if fits(row) and (not folder or row.info.source.startswith(below)) and all(word in row.text for word in words)
    ]
    return sorted(some, key=SORTS.get(sort.removeprefix("-"), SORTS["source"]), reverse=sort.startswith("-"))


def folders(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The folders of sources with how many files are in each or below it, as a tree from top to bottom."""
    counts: Counter[str] = Counter()
    for one in rows:
        parts = one.folder.split("/") if one.folder else []
        counts.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    ordered = sorted(counts, key=lambda folder: folder.casefold().split("/"))[:MOST_FOLDERS]
    return [
        {
            "folder": folder,
            "path": plain(folder),
            "name": plain(folder.rpartition("/")[2]),
            "depth": folder.count("/"),
            "files": counts[folder],
        }
        for folder in ordered
    ]

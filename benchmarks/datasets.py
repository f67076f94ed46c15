"""The public question sets as folders of files and questions with gold, as `quality` needs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what answers it: strings, sources with grades, the earlier questions."""

    id: str
    text: str
    answers: tuple[str, ...] = ()
    relevant: tuple[tuple[str, int], ...] = ()
    kind: str = ""
    history: tuple[str, ...] = ()


def seeds(shared: Path) -> tuple[Path, list[Question]]:
    """The news pages, as they are, and their development questions."""
    rows = _jsonl(shared / "questions" / "seeds-dev.jsonl")
    return shared / "seeds", [
        Question(
            row["id"],
            row["question"],
            tuple(row["answers"]),
            tuple((source, 1) for source in row["sources"]),
            row["kind"],
            tuple(row.get("history", ())),
        )
        for row in rows
    ]


def xquad(shared: Path, language: str, folder: Path) -> tuple[Path, list[Question]]:
    """XQuAD in one language: a text file for each of the 240 paragraphs."""
    data = json.loads((shared / "data" / "xquad" / f"xquad.{language}.json").read_text(encoding="utf-8"))
    paragraphs = [paragraph for article in data["data"] for paragraph in article["paragraphs"]]
    questions: list[Question] = []
    for number, paragraph in enumerate(paragraphs):
        source = f"{number:03}.txt"
        _write(folder / source, paragraph["context"])
        questions += (
            Question(row["id"], row["question"], tuple(a["text"] for a in row["answers"]), ((source, 1),))
            for row in paragraph["qas"]
        )
    return folder, questions


def scifact(shared: Path, folder: Path) -> tuple[Path, list[Question]]:
    """SciFact: a Markdown file for each abstract, its title the heading, and the 300 test claims."""
    for row in _jsonl(shared / "data" / "scifact" / "corpus.jsonl"):
        _write(folder / f"{row['_id']}.md", f"# {row['title']}\n\n{row['text']}\n")
    relevant: dict[str, list[tuple[str, int]]] = {}
    lines = (shared / "data" / "scifact" / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()
    for query, document, grade in (line.split("\t") for line in lines[1:]):
        relevant.setdefault(query, []).append((f"{document}.md", int(grade)))
    rows = _jsonl(shared / "data" / "scifact" / "queries.jsonl")
    return folder, [
        Question(row["_id"], row["text"], relevant=tuple(relevant[row["_id"]]))
        for row in rows
        if row["_id"] in relevant
    ]


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


def _write(path: Path, text: str) -> None:
    """Write a file unless it stands there already, so that a second run finds it unchanged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")

"""Question sets with gold: CSV, JSON lines, SQuAD, BEIR and TREC, checked whole and then read one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from qa.errors import QuestionsError
from qa.evaluation import formats
from qa.evaluation.corpora import Document, write_documents
from qa.evaluation.formats import Placed, Qrels, Row, named, shown
from qa.evaluation.types import UNANSWERABLE, Question
from qa.library import LONGEST_QUESTION

Format = Literal["csv", "jsonl", "squad", "beir", "trec"]

MOST_TURNS = 50
"""Earlier questions of one question, as many as a page remembers and a program may give."""
_SAID = {"true": True, "yes": True, "y": True, "1": True, "false": False, "no": False, "n": False, "0": False}
_UNKNOWN = "expected a .csv, .tsv, .jsonl or .json file, TREC topics with qrels, or a BEIR folder"


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions with gold. Each iteration reads the file again, so that memory does not grow with it.

    `sha256` is that of the bytes which define the questions and their gold: the file, then the qrels. `answerable` and
    `unanswerable` count the questions known to be so; `has_...` says whether any question has such gold.
    """

    path: Path
    format: Format
    sha256: str
    count: int
    answerable: int
    unanswerable: int
    has_sources: bool
    has_pages: bool
    has_passages: bool
    has_answers: bool
    _read: Callable[[], Iterator[tuple[str, Question]]] = field(repr=False, compare=False)
    _documents: Callable[[], Iterator[Document]] | None = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """The name of the file or folder."""
        return self.path.name or self.path.resolve().name

    def __iter__(self) -> Iterator[Question]:
        return (question for _, question in self._read())

    def __len__(self) -> int:
        return self.count

    def write_corpus(self, folder: Path) -> int:
        """Write SQuAD's paragraphs or BEIR's documents as files, named as the gold sources are. Returns their number.

        Files that have their text already are left alone, so that indexing finds them unchanged.

        Raises:
            QuestionsError: the format has no documents, they cannot be read, `folder` holds other files or cannot be
                written.
        """
        if self._documents is None:
            raise QuestionsError(
                f"{named(self.path)}: expected SQuAD or BEIR, which hold documents, came {self.format}: "
                "index the documents that its sources name"
            )
        return write_documents(Path(folder), self._documents)


@dataclass(frozen=True, slots=True)
class _Source:
    """How a set is read: the files that define it, its rows, its judgements and its documents."""

    format: Format
    files: tuple[Path, ...]
    rows: Callable[[], Iterator[Placed]]
    qrels: Qrels | None = None
    documents: Callable[[], Iterator[Document]] | None = None

    def questions(self) -> Iterator[tuple[str, Question]]:
        """The questions and where each stands. Those of BEIR and TREC that have no judgement are left out."""
        for number, (place, row) in enumerate(self.rows(), 1):
            id_ = _id(row, place)
            if not id_:
                if self.format == "beir":
                    raise QuestionsError(f"{place}: expected the query's id in _id, came none: add it")
                id_ = str(number)
            if self.qrels is not None:
                if self.format in ("beir", "trec") and id_ not in self.qrels:
                    continue
                row = {name: value for name, value in row.items() if name not in formats.SOURCES}
                row["sources"] = self.qrels.get(id_, {})
            yield place, _question(id_, row, place)


def load_questions(path: str | Path, *, qrels: str | Path | None = None, split: str = "test") -> QuestionSet:
    """Open a question set and check all of it, so that a bad row is named before hours of work.

    The format is told from the name and the content. `qrels` are the judgements for TREC topics, and replace the
    sources of the other formats (SQuAD apart); `split` names those of a BEIR folder.

    Raises:
        QuestionsError: there is no such file, it is in none of the formats, or a row is wrong.
    """
    path = Path(path)
    source = _open(path, Path(qrels) if qrels is not None else None, split)
    count = answerable = unanswerable = 0
    sources = pages = passages = answers = False
    ids: set[str] = set()
    for place, question in source.questions():
        if question.id in ids:
            first = next(place for place, other in source.questions() if other.id == question.id)
            raise QuestionsError(
                f"{place}: expected a new id, came {shown(question.id)}, which {first} has: change one of the two"
            )
        ids.add(question.id)
        count += 1
        answerable += question.answerable is True
        unanswerable += question.answerable is False
        sources, pages = sources or bool(question.sources), pages or bool(question.pages)
        passages, answers = passages or bool(question.passages), answers or bool(question.answers)
    if source.qrels is not None:
        _check_judged(source, ids)
    if not count:
        raise QuestionsError(f"{named(path)}: expected at least one question, came none: add some")
    return QuestionSet(
        path=path,
        format=source.format,
        sha256=_sha256(source.files),
        count=count,
        answerable=answerable,
        unanswerable=unanswerable,
        has_sources=sources,
        has_pages=pages,
        has_passages=passages,
        has_answers=answers,
        _read=source.questions,
        _documents=source.documents,
    )


def _open(path: Path, qrels: Path | None, split: str) -> _Source:
    if path.is_dir():
        return _open_beir(path, qrels or path / "qrels" / f"{split}.tsv")
    for needed in (path, qrels):
        if needed is not None and not needed.is_file():
            came = "something else" if needed.exists() else "nothing"
            raise QuestionsError(
                f"{named(needed)}: expected a file with questions or qrels, came {came}: check the path"
            )
    format_, rows = _detect(path, with_qrels=qrels is not None)
    if format_ == "squad":
        if qrels is not None:
            raise QuestionsError(f"{named(qrels)}: expected no qrels, SQuAD has its own gold: leave them out")
        return _Source("squad", (path,), rows, documents=partial(formats.squad_documents, path))
    if qrels is None:
        if format_ == "trec":
            raise QuestionsError(f"{named(path)}: expected qrels with TREC topics, came none: give their file as well")
        return _Source(format_, (path,), rows)
    return _Source(format_, (path, qrels), rows, formats.load_qrels(qrels))


def _open_beir(folder: Path, qrels: Path) -> _Source:
    corpus, queries = folder / "corpus.jsonl", folder / "queries.jsonl"
    for needed in (corpus, queries, qrels):
        if not needed.is_file():
            raise QuestionsError(
                f"{named(folder)}: expected a BEIR folder with corpus.jsonl, queries.jsonl and qrels, "
                f"{named(needed)} is missing: add it, or name a file"
            )
    judged = {
        question: {formats.beir_source(document): grade for document, grade in documents.items()}
        for question, documents in formats.load_qrels(qrels).items()
    }
    rows, documents = partial(formats.jsonl_rows, queries), partial(formats.beir_documents, corpus)
    return _Source("beir", (queries, qrels), rows, judged, documents)


def _detect(path: Path, *, with_qrels: bool) -> tuple[Format, Callable[[], Iterator[Placed]]]:
    suffix = path.suffix.lower()
    if not any(line.strip() for _, line in formats.lines(path)):
        raise QuestionsError(f"{named(path)}: {_UNKNOWN}, came an empty file: write the questions to it")
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl", partial(formats.jsonl_rows, path)
    if suffix == ".json":
        kind = formats.json_format(path)
        if kind == "squad":
            return "squad", partial(formats.squad_rows, path)
        return "jsonl", partial(formats.json_rows if kind == "rows" else formats.jsonl_rows, path)
    if formats.is_sgml(path):
        return "trec", partial(formats.topic_rows, path)
    if suffix == ".csv" or formats.has_question_column(path) or (suffix == ".tsv" and not with_qrels):
        return "csv", partial(formats.csv_rows, path)
    if suffix in (".tsv", ".txt"):
        return "trec", partial(formats.topic_rows, path)
    raise QuestionsError(f"{named(path)}: {_UNKNOWN}, came {suffix or 'no suffix'}: convert or rename the file")


def _check_judged(source: _Source, ids: set[str]) -> None:
    """Raise for the first judgement of a question that the set does not have."""
    if source.qrels is not None and not source.qrels.keys() <= ids:
        place, question = next((place, one) for place, one, *_ in formats.qrel_lines(source.files[1]) if one not in ids)
        raise QuestionsError(
            f"{place}: expected a question of {named(source.files[0])}, came the id {shown(question)}: "
            "give the qrels that belong to it"
        )


def _sha256(files: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise formats.unreadable(path, error) from error
    return digest.hexdigest()


def _question(id_: str, row: Row, place: str) -> Question:
    """A row with its types checked."""
    text = _string(_first(row, formats.QUESTION), "question", place).strip()
    if not text:
        came = shown(", ".join(name for name, value in row.items() if value))
        raise QuestionsError(f"{place}: expected a question, came a row with {came} only: write it, or drop the row")
    history = tuple(turn.strip() for turn in _strings(_first(row, formats.HISTORY), "history", place))
    if len(history) > MOST_TURNS:
        raise QuestionsError(
            f"{place}: expected up to {MOST_TURNS} earlier questions in history, came {len(history):,}: "
            "leave out the oldest"
        )
    longest = max(map(len, (text, *history)))
    if longest > LONGEST_QUESTION:
        raise QuestionsError(
            f"{place}: expected a question of up to {LONGEST_QUESTION:,} characters, came {longest:,}: shorten it"
        )
    answers = _first(row, formats.ANSWERS)
    if isinstance(answers, dict) and "text" in answers:  # SQuAD's rows as the datasets library writes them
        answers = answers["text"]
        if not answers:
            row = {name: value for name, value in row.items() if name not in formats.PASSAGES} | {"answerable": False}
    answers = tuple(dict.fromkeys(_strings(answers, "answers", place)))
    passages = _strings(_first(row, formats.PASSAGES), "passage", place)
    sources = _sources(_first(row, formats.SOURCES), place)
    kind = _string(row.get("kind"), "kind", place).strip()
    said = _said(row.get("answerable"), place)
    gold = bool(answers or passages or any(grade > 0 for grade in sources.values()))
    return Question(
        id=id_,
        text=text,
        answers=answers,
        sources=sources,
        pages=_pages(_first(row, formats.PAGES), place),
        passages=passages,
        kind=kind,
        history=history,
        answerable=False if kind.casefold() == UNANSWERABLE or said is False else True if gold or said else None,
    )


def checked(questions: Iterable[Question]) -> list[Question]:
    """Questions made in a program, with the checks and the conclusions of those that are read.

    Raises:
        QuestionsError: one has a wrong type, is empty or too long, or has the id of another.
    """
    found: dict[str, Question] = {}
    for one in questions:
        place = f"question {shown(one.id)}"
        row: Row = {
            "id": one.id, "question": one.text, "answers": _listed(one.answers), "sources": _listed(one.sources),
            "page": _listed(one.pages), "passage": _listed(one.passages), "kind": one.kind,
            "history": _listed(one.history), "answerable": one.answerable,
        }  # fmt: skip
        id_ = _id(row, place)
        if not id_ or id_ in found:
            came = "one that is there twice" if id_ else "none"
            raise QuestionsError(f"{place}: expected an id of its own, came {came}")
        found[id_] = _question(id_, row, place)
    return list(found.values())


def _listed(value: object) -> object:
    """A sequence as JSON holds it, and a mapping as a plain one."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple | set | frozenset) else value


def _first(row: Row, names: tuple[str, ...]) -> object:
    """The value of the first of the names that has one."""
    values = (row.get(name) for name in names)
    return next((value for value in values if value not in (None, "", [], {}) and value == value), None)


def _id(row: Row, place: str) -> str:
    value = _first(row, formats.ID)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return _string(value, "id", place).strip()


def _string(value: object, name: str, place: str) -> str:
    """A text that can be written as UTF-8: halves of characters are replaced."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise QuestionsError(f"{place}: expected {name} as a string, came {shown(value)}: repair it")
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _strings(value: object, name: str, place: str) -> tuple[str, ...]:
    """A string or a list of them, those that are not empty; numbers are written out."""
    if value is None:
        return ()
    items = [
        str(item) if isinstance(item, int | float) and not isinstance(item, bool) else item
        for item in (value if isinstance(value, list) else [value])
        if item == item  # an empty cell of pandas is NaN
    ]
    if not all(isinstance(item, str) for item in items):
        raise QuestionsError(
            f"{place}: expected {name} as a string or a list of strings, came {shown(value)}: repair it"
        )
    texts = (_string(item, name, place) for item in items)
    return tuple(text for text in texts if text.strip())


def _sources(value: object, place: str) -> Mapping[str, int]:
    """A source, a list of them, or an object from source to grade."""
    if not isinstance(value, dict):
        return dict.fromkeys(_strings(value, "sources", place), 1)
    for grade in value.values():
        if not isinstance(grade, int) or isinstance(grade, bool) or not 0 <= grade <= formats.HIGHEST_GRADE:
            raise QuestionsError(
                f"{place}: expected grades of sources as 0, 1, 2 … up to {formats.HIGHEST_GRADE}, came {shown(grade)}: "
                "repair it"
            )
    return {_string(source, "sources", place): grade for source, grade in value.items()}


def _pages(value: object, place: str) -> tuple[int, ...]:
    """A page number or a list of them, from 1."""
    if value is None:
        return ()
    pages: list[int] = []
    for item in value if isinstance(value, list) else [value]:
        text = str(item).strip() if isinstance(item, int | str) and not isinstance(item, bool) else ""
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
            raise QuestionsError(f"{place}: expected page as numbers from 1, came {shown(item)}: repair it")
        pages.append(int(text))
    return tuple(dict.fromkeys(pages))


def _said(value: object, place: str) -> bool | None:
    """What the column `answerable` says, None where it is empty."""
    if value is None or value == "":
        return None
    said = _SAID.get(str(value).strip().lower())
    if said is None:
        raise QuestionsError(f"{place}: expected answerable as true or false, came {shown(value)}: repair it")
    return said

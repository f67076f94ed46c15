"""The formats of question sets: a generator for each, from a file to its rows and where each of them stands."""

from __future__ import annotations

import csv
import json
import re
import reprlib
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from html import unescape
from itertools import islice
from pathlib import Path
from typing import Any

from qa.errors import QuestionsError, ReadError
from qa.evaluation.corpora import Document, file_name
from qa.readers.decoding import decode_marked, refuse_binary

Row = dict[str, Any]
"""A question as its file has it, by column in small letters; several values are a list, graded sources a dict."""

Placed = tuple[str, Row]
"""Where a row stands (`questions.csv, line 7`) and the row."""

Qrels = dict[str, dict[str, int]]
"""Question id to document to grade."""
_NEAR = 0.85
"""Likeness of a column's name to a known one from which it is one mistyped ("anwsers" .86; "passage_id" .82 is not)."""
HIGHEST_GRADE = 100
"""Usual are 1 to 4. trec_eval's memory grows with the largest one."""

QUESTION = ("question", "query", "text")
"""What the column of the questions may be called, the first one that is there counts. So below."""
ID = ("id", "_id")
ANSWERS = ("answers", "answer")
SOURCES = ("sources", "source", "document")
PAGES = ("page", "pages")
PASSAGES = ("passage", "passages", "context")
HISTORY = ("history",)

_LISTS = {*ANSWERS, *SOURCES, *PAGES, *PASSAGES, *HISTORY}
_COLUMNS = {*QUESTION, *ID, *_LISTS, "kind", "answerable"}
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = 100
# What "surrogateescape" makes of bytes that are not UTF-8.
_NO_CHARACTER = re.compile("[\udc80-\udcff]")


def shown(value: object) -> str:
    """A value in an error message: short, and on one line."""
    return _SHOWN.repr(value)


def named(path: Path) -> str:
    """A path in an error message, on one line whatever it is called."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, ends included: UTF-8, or what its byte order mark says.

    Other encodings are refused and not guessed: a wrong guess would make wrong gold without a word.

    Raises:
        QuestionsError: the file is binary or in another encoding, or cannot be read.
    """
    try:
        encoding = _encoding(path)
        errors = "surrogateescape" if encoding == "utf-8" else "strict"
        with path.open(encoding=encoding, errors=errors, newline="") as file:
            for number, line in enumerate(file, 1):
                text = line.removeprefix("\ufeff") if number == 1 else line
                bad = None if text.isascii() else _NO_CHARACTER.search(text)
                if bad:
                    raise QuestionsError(
                        f"{named(path)}, line {number}: expected UTF-8, came the byte 0x{ord(bad[0]) - 0xDC00:02x}: "
                        "save the file as UTF-8"
                    )
                yield number, text
    except UnicodeError as error:
        raise QuestionsError(
            f"{named(path)}: expected {encoding}, as the file begins, came bytes that are none: save it as UTF-8"
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> QuestionsError:
    """The error for a file that the system does not let be read."""
    return QuestionsError(f"{named(path)}: cannot be read ({error.strerror}): check the path and its permissions")


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(64)
    try:
        marked = decode_marked(head)
        refuse_binary(head)
    except ReadError as error:
        came = (
            str(error).partition(";")[0].replace("not text: it looks like ", "").replace("the file is", "one that is")
        )
        todo = "give questions as CSV or JSON lines"
        raise QuestionsError(f"{named(path)}: expected a text file, came {came}: {todo}") from error
    return marked.encoding if marked else "utf-8"


def csv_rows(path: Path) -> Iterator[Placed]:
    """The rows of a CSV or TSV file; the delimiter is the one of `,`, `;` and tab that finds the most known columns.

    A cell with several values is a JSON list or has `|` between them; sources may be a JSON object with grades.
    """
    delimiter, _ = _first_line(path)
    header: list[str] = []
    for place, cells in _csv_cells(path, delimiter):
        if not header:
            header = [cell.strip().lower() for cell in cells]
            _check_header(header, place)
            continue
        if any(cell.strip() for cell in cells[len(header) :]):
            raise QuestionsError(
                f"{place}: expected {len(header)} cells as in the header, came {len(cells)}: "
                f'put cells that hold {shown(delimiter)} in "quotes"'
            )
        yield (
            place,
            {
                name: _values(cell, name, place) if name in _LISTS else cell.strip()
                for name, cell in zip(header, cells, strict=False)
                if name in _COLUMNS and cell.strip()
            },
        )


def has_question_column(path: Path) -> bool:
    """Does the first line name a column for questions?"""
    return bool(_first_line(path)[1].intersection(QUESTION))


def _first_line(path: Path) -> tuple[str, set[str]]:
    """The delimiter, and the known columns in the first line."""
    first = next((line for _, line in lines(path) if line.strip()), "")

    def columns(delimiter: str) -> set[str]:
        return {name.strip().strip('"').strip().lower() for name in first.split(delimiter)} & _COLUMNS

    delimiters = "\t,;" if path.suffix.lower() == ".tsv" else ",;\t"
    best = max(delimiters, key=lambda delimiter: (len(columns(delimiter)), first.count(delimiter)))
    return best, columns(best)


def _csv_cells(path: Path, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader((line for _, line in lines(path)), delimiter=delimiter, strict=True)
    while True:
        place = f"{named(path)}, line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "field limit" in str(error):
                came = f"a cell of over {csv.field_size_limit():,} characters"
            else:
                came = "a quote that is not closed" if "end of data" in str(error) else "text after a closing quote"
            raise QuestionsError(
                f'{place}: expected a row of CSV, came {came}: close its quotes, and write a quote inside them as ""'
            ) from error
        if any(cell.strip() for cell in cells):
            yield place, cells


def _check_header(header: list[str], place: str) -> None:
    if not set(header).intersection(QUESTION):
        came = shown(", ".join(header))
        raise QuestionsError(f"{place}: expected a column question, came {came}: name the columns in the first line")
    for name in header:
        near = get_close_matches(name, _COLUMNS, 1, _NEAR) if name not in _COLUMNS else []
        if near and near[0] not in header:
            raise QuestionsError(
                f"{place}: expected a known column, came {shown(name)}: did you mean {near[0]}? rename it"
            )
    twice = next((name for name, count in Counter(header).items() if count > 1 and name in _COLUMNS), None)
    if twice:
        raise QuestionsError(f"{place}: expected each column once, came {twice} twice: rename one of them")


def _values(cell: str, name: str, place: str) -> object:
    cell = cell.strip()
    if cell.startswith("[") or (cell.startswith("{") and name in SOURCES):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError) as error:
            raise QuestionsError(
                f"{place}: expected JSON in {name}, as its cell starts with {cell[0]}, came {shown(cell)}: "
                'write ["one", "two"], or put | between values'
            ) from error
    return [value for part in cell.split("|") if (value := part.strip())]


def jsonl_rows(path: Path) -> Iterator[Placed]:
    """The rows of a file with a JSON object on each line."""
    for number, line in lines(path):
        if line.strip():
            place = f"{named(path)}, line {number}"
            yield place, _row(_json(line, place), place)


def json_rows(path: Path) -> Iterator[Placed]:
    """The rows of a file that is one JSON list of objects."""
    document = load_json(path)
    for number, item in enumerate(document if isinstance(document, list) else [document]):
        place = f"{named(path)}, [{number}]"
        yield place, _row(item, place)


def _row(value: object, place: str) -> Row:
    if not isinstance(value, dict):
        raise QuestionsError(f"{place}: expected a JSON object, came {shown(value)}: write one for each question")
    return {name.strip().lower(): cell for name, cell in value.items()}


def _json(line: str, place: str) -> object:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        why = f"{error.msg}, column {error.colno}"
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else "a number is too long"
    raise QuestionsError(f"{place}: expected a JSON object, came text that is none ({why}): repair the line")


def load_json(path: Path) -> object:
    """A file that is one JSON document, whole.

    Raises:
        QuestionsError: it is not JSON, which the line says, or cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        why = f"{error.msg}, column {error.colno}"
        place = f"{named(path)}, line {error.lineno}"
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else "not UTF-8, or a number is too long"
        place = named(path)
    except OSError as error:
        raise unreadable(path, error) from error
    raise QuestionsError(f"{place}: expected JSON, came text that is none ({why}): is the file whole?")


def json_format(path: Path) -> str:
    """What a .json file is: "jsonl", "squad", or "rows" for one list of objects.

    Raises:
        QuestionsError: it is none of them.
    """
    if _starts_with_a_row(path):
        return "jsonl"
    document = load_json(path)
    if isinstance(document, dict) and "data" in document:
        return "squad"
    if isinstance(document, list):
        return "rows"
    raise QuestionsError(
        f"{named(path)}: expected SQuAD (an object with data), a list of objects or JSON lines, "
        f"came {shown(document)}: write one of them"
    )


def _starts_with_a_row(path: Path) -> bool:
    first = next((line for _, line in lines(path) if line.strip()), "")
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and "data" not in row


def squad_rows(path: Path) -> Iterator[Placed]:
    """The questions of SQuAD 1.1, 2.0 or XQuAD; the source of each is the file of its paragraph.

    Rajpurkar, Jia and Liang, "Know What You Don't Know: Unanswerable Questions for SQuAD" (2018).
    """
    for place, source, paragraph in _paragraphs(path):
        for where, question in _objects(paragraph, "qas", place, "."):
            impossible = question.get("is_impossible", False)
            if not isinstance(impossible, bool):
                raise QuestionsError(
                    f"{where}: expected is_impossible true or false, came {shown(impossible)}: repair it"
                )
            answers = [answer.get("text") for _, answer in _objects({"answers": [], **question}, "answers", where, ".")]
            yield (
                where,
                {
                    "id": question.get("id"),
                    "question": question.get("question"),
                    "answers": answers,
                    "sources": [] if impossible else [source],
                    "answerable": False if impossible else None,
                },
            )


def squad_documents(path: Path) -> Iterator[Document]:
    """Each paragraph as a text file, `{title of the article}/{number}.txt`; the same text again is the same file."""
    names: set[str] = set()
    for place, source, paragraph in _paragraphs(path):
        if source not in names:
            names.add(source)
            yield place, source, paragraph["context"]


def _paragraphs(path: Path) -> Iterator[tuple[str, str, Row]]:
    sources: dict[str, str] = {}
    numbers: Counter[str] = Counter()
    for where, article in _objects(load_json(path), "data", named(path), ", "):
        title = re.sub(r"[\W_]+", "-", str(article.get("title") or "").lower()).strip("-") or "untitled"
        for place, paragraph in _objects(article, "paragraphs", where, "."):
            text = paragraph.get("context")
            if not isinstance(text, str) or not text.strip():
                raise QuestionsError(f"{place}: expected the paragraph's text in context, came {shown(text)}: add it")
            if text not in sources:
                numbers[title] += 1
                sources[text] = f"{file_name(title, '')}/{numbers[title]:03}.txt"
            yield place, sources[text], paragraph


def _objects(parent: object, key: str, place: str, joint: str) -> Iterator[Placed]:
    """The objects in the list `parent[key]`, each with its JSON path."""
    items = parent.get(key) if isinstance(parent, dict) else None
    if not isinstance(items, list):
        raise QuestionsError(f"{place}: expected {key} as a list, came {shown(items)}: is this SQuAD's format?")
    for number, item in enumerate(items):
        where = f"{place}{joint}{key}[{number}]"
        if not isinstance(item, dict):
            raise QuestionsError(f"{where}: expected an object, came {shown(item)}: is this SQuAD's format?")
        yield where, item


def beir_source(document_id: str) -> str:
    """The file that a document of a BEIR corpus becomes."""
    return file_name(document_id, ".md")


def beir_documents(corpus: Path) -> Iterator[Document]:
    """Each line of a BEIR corpus as a Markdown file, its title the heading.

    Thakur et al., "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval Models" (2021).
    """
    for place, row in jsonl_rows(corpus):
        document_id, title, text = row.get("_id"), row.get("title") or "", row.get("text") or ""
        if not isinstance(document_id, str) or not document_id:
            raise QuestionsError(f"{place}: expected the document's id in _id, came {shown(document_id)}: add it")
        if not isinstance(title, str) or not isinstance(text, str):
            raise QuestionsError(
                f"{place}: expected title and text as strings, came {shown([title, text])}: repair them"
            )
        heading = " ".join(title.split())
        yield place, beir_source(document_id), f"# {heading}\n\n{text}\n" if heading else f"{text}\n"


def topic_rows(path: Path) -> Iterator[Placed]:
    """TREC topics: an id, a tab and the question on each line, or SGML with `<top>`, `<num>`, `<title>`, `<desc>`."""
    yield from _sgml_topics(path) if is_sgml(path) else _tab_topics(path)


def is_sgml(path: Path) -> bool:
    """Does one of the first lines start with `<top>`?"""
    return any(line.lstrip().lower().startswith("<top>") for _, line in islice(lines(path), 50))


def _tab_topics(path: Path) -> Iterator[Placed]:
    for number, line in lines(path):
        if line.strip():
            place = f"{named(path)}, line {number}"
            topic, tab, question = line.partition("\t")
            if not tab or not topic.strip():
                raise QuestionsError(
                    f"{place}: expected an id, a tab and the question, came {shown(line)}: write all three"
                )
            yield place, {"id": topic, "question": question}


def _sgml_topics(path: Path) -> Iterator[Placed]:
    start, block = 0, ""
    for number, line in lines(path):
        before, top, after = _partition_top(line)
        block += before
        if top:
            if start:
                yield _topic(f"{named(path)}, line {start}", block)
            start, block = number, after
    yield _topic(f"{named(path)}, line {start}", block)


def _partition_top(line: str) -> tuple[str, str, str]:
    parts = re.split(r"(<top>)", line, maxsplit=1, flags=re.IGNORECASE)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (line, "", "")


def _topic(place: str, block: str) -> Placed:
    """A topic between two `<top>`: each field goes to the next tag, since many files close none."""
    _, *parts = re.split(r"</?([a-z][\w-]*)\s*>", block, flags=re.IGNORECASE)
    fields: dict[str, str] = {}
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        label = r"^\s*(?:Number|Topic|Description)\s*:"  # `<num> Number: 301`, `<desc> Description:`
        clean = " ".join(unescape(re.sub(label, "", text, flags=re.IGNORECASE)).split())
        if clean:
            fields.setdefault(name.lower(), clean)
    if "num" not in fields:
        raise QuestionsError(
            f"{place}: expected a topic with <num>, came {shown(' '.join(block.split()))}: add its number"
        )
    return place, {"id": fields["num"], "question": fields.get("title") or fields.get("desc") or ""}


def load_qrels(path: Path) -> Qrels:
    """Judgements: lines of `question iter document grade` (TREC), or `question document grade` after a header (BEIR).

    Grades below 0, with which TREC marks junk, become 0.

    Raises:
        QuestionsError: a line is neither, or the file has none.
    """
    qrels: Qrels = {}
    for place, question, document, grade in qrel_lines(path):
        judged = qrels.setdefault(question, {})
        if judged.setdefault(document, grade) != grade:
            raise QuestionsError(
                f"{place}: expected one grade for {shown(document)} and question {shown(question)}, "
                f"came {judged[document]} and {grade}: remove one of the lines"
            )
    if not qrels:
        raise QuestionsError(f"{named(path)}: expected judgements, came none: give a file with a line for each")
    return qrels


def qrel_lines(path: Path) -> Iterator[tuple[str, str, str, int]]:
    """(place, question, document, grade) of each judgement."""
    first = True
    for number, line in lines(path):
        cells = [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()
        if not any(cells):
            continue
        place = f"{named(path)}, line {number}"
        if len(cells) not in (3, 4) or not (cells[0] and cells[-2]):
            raise QuestionsError(
                f"{place}: expected question, iteration, document and grade, came {shown(line.strip())}: "
                "write these four, or three without the iteration"
            )
        if re.fullmatch(r"-?[0-9]{1,9}", cells[-1]) and int(cells[-1]) <= HIGHEST_GRADE:
            yield place, cells[0], cells[-2], max(0, int(cells[-1]))
        elif not (first and len(cells) == 3):
            raise QuestionsError(
                f"{place}: expected a whole number up to {HIGHEST_GRADE} as grade, came {shown(cells[-1])}: repair it"
            )
        first = False

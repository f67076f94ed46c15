"""Question sets: every format read back, every bad file named with its line, memory that does not grow."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qa.errors import QAError, QuestionsError
from qa.evaluation.corpora import file_name
from qa.evaluation.questions import QuestionSet, load_questions
from qa.evaluation.types import Question

SHARED = Path(__file__).parent.parent.parent / "shared"


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """A file with this text, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def write_json(path: Path, *rows: object) -> Path:
    """A file with one JSON value on each line."""
    return write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def only(path: Path) -> Question:
    """The one question of a file."""
    (question,) = load_questions(path)
    return question


def message(path: Path, qrels: Path | None = None) -> str:
    """The one line that a bad question set gives."""
    with pytest.raises(QuestionsError) as caught:
        load_questions(path, qrels=qrels)
    line = str(caught.value)
    assert line.isprintable(), line
    return line


# CSV


def test_csv_with_every_column(tmp_path: Path) -> None:
    path = write(
        tmp_path / "questions.csv",
        "id,question,answers,sources,page,passage,kind,history,answerable,author\n"
        'a,How high?,4 m| four metres ||,"{""a.txt"": 2, ""b c.txt"": 0}",3|4,"[""p | q""]",fact,First?|Then?,y,Ann\n',
    )
    assert only(path) == Question(
        id="a",
        text="How high?",
        answers=("4 m", "four metres"),
        sources={"a.txt": 2, "b c.txt": 0},
        pages=(3, 4),
        passages=("p | q",),
        kind="fact",
        history=("First?", "Then?"),
        answerable=True,
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_of_other_programs(tmp_path: Path, delimiter: str, suffix: str, encoding: str) -> None:
    rows = [["Query", "ANSWER ", "Document"], ['Hier, da; "dort"?', "schön", "a.txt"], ["", " ", ""], [], ["Wo?"]]
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    text = buffer.getvalue()
    first, second = load_questions(write(tmp_path / f"questions{suffix}", text, encoding))
    assert first == Question("1", 'Hier, da; "dort"?', ("schön",), {"a.txt": 1}, answerable=True)
    assert second == Question("2", "Wo?")


def test_a_csv_with_questions_only(tmp_path: Path) -> None:
    read = load_questions(write(tmp_path / "questions.csv", "question\nWho?\nWhere?\n"))
    assert [(question.id, question.text, question.answerable) for question in read] == [
        ("1", "Who?", None),
        ("2", "Where?", None),
    ]
    assert (read.count, read.answerable, read.unanswerable) == (2, 0, 0)
    assert [read.has_sources, read.has_pages, read.has_passages, read.has_answers] == [False] * 4


def test_the_delimiter_is_the_one_that_finds_the_columns(tmp_path: Path) -> None:
    text = "question,notes; also; more; and more\nWho; and where?,x\n"
    assert only(write(tmp_path / "questions.csv", text)) == Question("1", "Who; and where?")


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "questions.csv", 'question,page\n\n"Two\nlines, and\nthree?",1\n\nNext?,one\n')
    assert message(path) == f"{path}, line 7: expected page as numbers from 1, came 'one': repair it"
    path.write_text(path.read_text().replace("one", "1"))
    assert [question.text for question in load_questions(path)] == ["Two\nlines, and\nthree?", "Next?"]


# JSON lines and lists

ROWS = (
    {"id": 70, "question": " Who? ", "answers": "Ann", "source": "a.txt", "pages": 2, "other": {}},
    {"Query": "What?", "sources": {"a.txt": 3, "b.txt": 0}, "id": None},
    {"text": "When?", "sources": {"a.txt": 0}, "answers": [], "passage": ["", "1.0.20"]},
    {"question": "Where?", "sources": {"a.txt": 0}, "page": [1, "2", 2]},
    {"question": "Why?", "kind": "unanswerable", "answers": ["gold", "gold"]},
    {"question": "How?", "answerable": False},
    {"question": "Which?", "answerable": True, "history": ["One?", "One?"]},
    {"question": "Whose?", "answers": [], "sources": []},
    {"question": "What year?", "answer": 1912, "source": float("nan"), "history": float("nan")},
    {"question": "Which year?", "context": "In 1912.", "answers": {"text": ["1912"], "answer_start": [3]}},
    {"question": "Which day?", "context": "In 1912.", "answers": {"text": [], "answer_start": []}},
)
READ = [
    Question("70", "Who?", ("Ann",), {"a.txt": 1}, (2,), answerable=True),
    Question("2", "What?", sources={"a.txt": 3, "b.txt": 0}, answerable=True),
    Question("3", "When?", sources={"a.txt": 0}, passages=("1.0.20",), answerable=True),
    Question("4", "Where?", sources={"a.txt": 0}, pages=(1, 2)),
    Question("5", "Why?", ("gold",), kind="unanswerable", answerable=False),
    Question("6", "How?", answerable=False),
    Question("7", "Which?", history=("One?", "One?"), answerable=True),
    Question("8", "Whose?"),
    Question("9", "What year?", ("1912",), answerable=True),
    Question("10", "Which year?", ("1912",), passages=("In 1912.",), answerable=True),
    Question("11", "Which day?", answerable=False),
]


@pytest.mark.parametrize("name", ["questions.jsonl", "questions.NDJSON", "questions.json"])
def test_json_lines_with_partial_gold(tmp_path: Path, name: str) -> None:
    read = load_questions(write_json(tmp_path / name, *ROWS))
    assert list(read) == READ
    assert list(read) == READ, "a second iteration reads the same"
    assert (len(read), read.count, read.answerable, read.unanswerable) == (11, 11, 6, 3)
    assert (read.has_sources, read.has_pages, read.has_passages, read.has_answers) == (True, True, True, True)
    assert (read.format, read.path, read.name) == ("jsonl", tmp_path / name, name)


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_list_of_rows(tmp_path: Path, indent: int | None) -> None:
    read = load_questions(write(tmp_path / "questions.json", json.dumps(ROWS, indent=indent)))
    assert (list(read), read.format) == (READ, "jsonl")


def test_characters_that_are_none(tmp_path: Path) -> None:
    path = write(
        tmp_path / "q.jsonl", r'{"question": "a\u0000b \ud800", "answers": ["\udc80"], "sources": {"\ud83d": 1}}'
    )
    question = only(path)
    assert (question.text, question.answers, dict(question.sources)) == ("a\0b �", ("�",), {"�": 1})
    json.dumps(question.text, ensure_ascii=False).encode()
    assert only(write(tmp_path / "q.csv", "question\n\0a\n")).text == "\0a"


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda text: bool(text.strip())
)
rows = st.fixed_dictionaries(
    {"question": texts.map(str.strip)},
    optional={
        "answers": st.lists(texts, unique=True, max_size=3),
        "sources": st.dictionaries(texts, st.integers(0, 3), max_size=3),
        "page": st.lists(st.integers(1, 10_000), unique=True, max_size=3),
        "passage": st.lists(texts, max_size=3),
        "kind": texts.map(str.strip),
        "history": st.lists(texts.map(str.strip), max_size=3),
        "answerable": st.booleans(),
    },
)


def expected(number: int, row: dict[str, Any]) -> Question:
    """The question that a row means, said anew."""
    gold = row.get("answers") or row.get("passage") or any(row.get("sources", {}).values())
    unanswerable = row.get("kind") == "unanswerable" or row.get("answerable") is False
    return Question(
        id=str(number),
        text=row["question"],
        answers=tuple(row.get("answers", ())),
        sources=row.get("sources", {}),
        pages=tuple(row.get("page", ())),
        passages=tuple(row.get("passage", ())),
        kind=row.get("kind", ""),
        history=tuple(row.get("history", ())),
        answerable=False if unanswerable else True if gold or row.get("answerable") else None,
    )


@given(st.lists(rows, min_size=1, max_size=4), st.sampled_from(",;\t"), st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_written_reads_back_equal(
    tmp_path: Path, written: list[dict[str, Any]], delimiter: str, ascii_only: bool
) -> None:
    wanted = [expected(number, row) for number, row in enumerate(written, 1)]
    lines = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in written)
    assert list(load_questions(write(tmp_path / "q.jsonl", lines))) == wanted
    with (tmp_path / "q.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(dict.fromkeys(name for row in written for name in row)), delimiter=delimiter)
        table.writeheader()
        for row in written:
            cells = {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
            table.writerow(cells)
    assert list(load_questions(tmp_path / "q.csv")) == wanted


# SQuAD


def squad(*articles: dict[str, Any]) -> str:
    """A SQuAD file."""
    return json.dumps({"version": "v2.0", "data": articles}, indent=1, ensure_ascii=False)


def paragraph(context: str, *questions: dict[str, Any]) -> dict[str, Any]:
    """A paragraph of a SQuAD file."""
    return {"context": context, "qas": list(questions)}


ASKED = {
    "id": "q1",
    "question": "Who?",
    "answers": [
        {"text": "Bo", "answer_start": 4},
        {"text": "Ann", "answer_start": 0},
        {"text": "Bo", "answer_start": 9},
    ],
    "is_impossible": False,
}
IMPOSSIBLE = {
    "id": "q2",
    "question": "When?",
    "answers": [],
    "plausible_answers": [{"text": "Ann", "answer_start": 0}],
    "is_impossible": True,
}


def test_squad(tmp_path: Path) -> None:
    first = {"title": "A_b: c?", "paragraphs": [paragraph("Ann, Bo.", ASKED, IMPOSSIBLE), paragraph("Cy.\nD.")]}
    again = {
        "title": "a-B/C",
        "paragraphs": [paragraph("Eve.", {"question": "X?"}), paragraph("Ann, Bo.", {"question": "Y?"})],
    }
    path = write(tmp_path / "squad.json", squad(first, again, {"paragraphs": [paragraph("Fay.")]}))
    read = load_questions(path)
    assert list(read) == [
        Question("q1", "Who?", ("Bo", "Ann"), {"a-b-c/001.txt": 1}, answerable=True),
        Question("q2", "When?", answerable=False),
        Question("3", "X?", sources={"a-b-c/003.txt": 1}, answerable=True),
        Question("4", "Y?", sources={"a-b-c/001.txt": 1}, answerable=True),
    ]
    assert (read.format, read.count, read.answerable, read.unanswerable) == ("squad", 4, 3, 1)
    assert read.write_corpus(tmp_path / "docs") == 4
    assert files(tmp_path / "docs") == {
        "a-b-c/001.txt": "Ann, Bo.",
        "a-b-c/002.txt": "Cy.\nD.",
        "a-b-c/003.txt": "Eve.",
        "untitled/001.txt": "Fay.",
    }


def files(folder: Path) -> dict[str, str]:
    """The files below a folder with their text."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes().decode() for path in found}


# BEIR and TREC


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A BEIR folder with three documents, three queries, and judgements for two of them."""
    folder = tmp_path / "beir"
    write_json(
        folder / "corpus.jsonl",
        {"_id": "d1", "title": "A title\non two lines", "text": "Text."},
        {"_id": ".d/2", "title": "", "text": "No title."},
        {"_id": "D1", "text": "Not d1."},
    )
    write_json(
        folder / "queries.jsonl",
        {"_id": "q1", "text": "One?", "metadata": {}},
        {"_id": "q2", "text": "left out" * 1_000},
        {"_id": "q3", "text": "Three?"},
    )
    write(
        folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\nq1\t.d/2\t1\nq3\td1\t0\nq1\td1\t2\nq3\tgone\t-1\n"
    )
    write(folder / "qrels" / "dev.tsv", "query-id\tcorpus-id\tscore\nq3\tD1\t1\n")
    return folder


def test_beir(beir: Path) -> None:
    read = load_questions(beir)
    assert list(read) == [
        Question("q1", "One?", sources={"%2ed%2f2.md": 1, "d1.md": 2}, answerable=True),
        Question("q3", "Three?", sources={"d1.md": 0, "gone.md": 0}),
    ]
    assert (read.format, read.count) == ("beir", 2)
    assert read.write_corpus(beir.parent / "docs") == 3
    assert files(beir.parent / "docs") == {
        "d1.md": "# A title on two lines\n\nText.\n",
        "%2ed%2f2.md": "No title.\n",
        file_name("D1", ".md"): "Not d1.\n",
    }
    (dev,) = load_questions(beir, split="dev")
    assert dev.sources == {file_name("D1", ".md"): 1}
    assert load_questions(beir, split="dev").sha256 != read.sha256


SGML = """<?xml version="1.0"?>

<TOP>
<num> Number: 301
<title> Topic: International
Organized Crime

<desc> Description:
Identify it.
<narr> Narrative: None.

<top>
<num>302</num> <title></title>
<desc> Description: R&amp;D &lt; 3?
</top>
<top><num>303</num><title>Left out</title></top>
"""


@pytest.mark.parametrize(
    ("name", "topics"),
    [
        ("topics.301-303", SGML),
        ("topics.txt", "301\tInternational Organized Crime\n\n302\tR&D < 3?\r\n303\tLeft out\n"),
        ("topics.tsv", "\ufeff301\tInternational Organized Crime\n302\tR&D < 3?\n303\tLeft out"),
    ],
)
@pytest.mark.parametrize(
    "judged",
    ["301 0 FR-1 2\n302\t0\tFT 1\t1\n301  Q0  LA/2 -2\n\n", "q\td\ts\n301\tFR-1\t2\n302\tFT 1\t1\n301\tLA/2\t0\n"],
)
def test_trec(tmp_path: Path, name: str, topics: str, judged: str) -> None:
    qrels = write(tmp_path / "qrels", judged)
    read = load_questions(str(write(tmp_path / name, topics)), qrels=str(qrels))
    assert list(read) == [
        Question("301", "International Organized Crime", sources={"FR-1": 2, "LA/2": 0}, answerable=True),
        Question("302", "R&D < 3?", sources={"FT 1": 1}, answerable=True),
    ]
    assert (read.format, read.count, read.has_sources, read.has_answers) == ("trec", 2, True, False)
    assert read.sha256 == hashlib.sha256(topics.encode() + qrels.read_bytes()).hexdigest()


def test_qrels_replace_the_sources_of_rows(tmp_path: Path) -> None:
    qrels = write(tmp_path / "qrels.txt", "b 0 x.txt 1\n")
    path = write(tmp_path / "q.csv", "id,question,source,answer\na,A?,old.txt,yes\nb,B?,old.txt,\nc,C?,old.txt,\n")
    assert list(load_questions(path, qrels=qrels)) == [
        Question("a", "A?", ("yes",), answerable=True),
        Question("b", "B?", sources={"x.txt": 1}, answerable=True),
        Question("c", "C?"),
    ]


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    path = write_json(tmp_path / "q.jsonl", *ROWS)
    assert load_questions(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


# Bad files

BAD = [
    ("q.csv", "question,page\nA?,1\nB?,0\n", "{}, line 3: expected page as numbers from 1, came '0': repair it"),
    (
        "q.csv",
        "frage,id\nA?,1\n",
        "{}, line 1: expected a column question, came 'frage, id': name the columns in the first line",
    ),
    (
        "q.tsv",
        "frage\tid\nA?\t1\n",
        "{}, line 1: expected a column question, came 'frage, id': name the columns in the first line",
    ),
    ("q.csv", "id,question,ID\n", "{}, line 1: expected each column once, came id twice: rename one of them"),
    (
        "q.csv",
        "id,question\n1,A?\n\n2, \n",
        "{}, line 4: expected a question, came a row with 'id' only: write it, or drop the row",
    ),
    (
        "q.csv",
        "id,question\n1,A, b or c?\n",
        "{}, line 2: expected 2 cells as in the header, came 3: put cells that hold ',' in \"quotes\"",
    ),
    (
        "q.csv",
        'question\nA?\n"B?\nC?\n',
        "{}, line 3: expected a row of CSV, came a quote that is not closed: "
        'close its quotes, and write a quote inside them as ""',
    ),
    (
        "q.csv",
        'question\n"A" b?\n',
        "{}, line 2: expected a row of CSV, came text after a closing quote: "
        'close its quotes, and write a quote inside them as ""',
    ),
    (
        "q.csv",
        "question\nA?\n" + "x" * 200_000,
        "{}, line 3: expected a row of CSV, came a cell of over 131,072 characters: "
        'close its quotes, and write a quote inside them as ""',
    ),
    (
        "q.csv",
        "question,answers\nA?,[sic]\n",
        "{}, line 2: expected JSON in answers, as its cell starts with [, came '[sic]': "
        'write ["one", "two"], or put | between values',
    ),
    (
        "q.csv",
        "question,answerable\nA?,maybe\n",
        "{}, line 2: expected answerable as true or false, came 'maybe': repair it",
    ),
    (
        "q.csv",
        "id,question\nx,A?\ny,B?\nx,C?\n",
        "{0}, line 4: expected a new id, came 'x', which {0}, line 2 has: change one of the two",
    ),
    ("q.csv", "question\n", "{}: expected at least one question, came none: add some"),
    (
        "q.csv",
        " \n\n",
        "{}: expected a .csv, .tsv, .jsonl or .json file, TREC topics with qrels, or a BEIR folder, came an "
        "empty file: write the questions to it",
    ),
    (
        "q.jsonl",
        '{"question": "A?", "id": 2}\n{"question": "B?"}\n',
        "{0}, line 2: expected a new id, came '2', which {0}, line 1 has: change one of the two",
    ),
    (
        "q.jsonl",
        '{"question": "A?"}\n\n{"question": "B',
        "{}, line 3: expected a JSON object, came text that is none (Unterminated string starting at, column 14): "
        "repair the line",
    ),
    (
        "q.jsonl",
        "[" * 100_000,
        "{}, line 1: expected a JSON object, came text that is none (nested too deeply): repair the line",
    ),
    (
        "q.jsonl",
        '{"page": ' + "1" * 5_000 + "}",
        "{}, line 1: expected a JSON object, came text that is none (a number is too long): repair the line",
    ),
    ("q.jsonl", '["A?"]\n', "{}, line 1: expected a JSON object, came ['A?']: write one for each question"),
    (
        "q.csv",
        "question,anwsers\nA?,b\n",
        "{}, line 1: expected a known column, came 'anwsers': did you mean answers? rename it",
    ),
    ("q.jsonl", '{"question": ["A?"]}', "{}, line 1: expected question as a string, came ['A?']: repair it"),
    ("q.jsonl", '{"question": "A?", "id": true}', "{}, line 1: expected id as a string, came True: repair it"),
    (
        "q.jsonl",
        '{"question": "A?", "answers": [true]}',
        "{}, line 1: expected answers as a string or a list of strings, came [True]: repair it",
    ),
    (
        "q.jsonl",
        json.dumps({"question": "A?", "history": ["B?", "c" * 4_001]}),
        "{}, line 1: expected a question of up to 4,000 characters, came 4,001: shorten it",
    ),
    (
        "q.jsonl",
        '{"question": "A?", "sources": {"a": -1}}',
        "{}, line 1: expected grades of sources as 0, 1, 2 … up to 100, came -1: repair it",
    ),
    (
        "q.jsonl",
        json.dumps({"question": "A?", "history": ["B?"] * 51}),
        "{}, line 1: expected up to 50 earlier questions in history, came 51: leave out the oldest",
    ),
    (
        "q.jsonl",
        '{"question": "A?", "sources": {"a": "1"}}',
        "{}, line 1: expected grades of sources as 0, 1, 2 … up to 100, came '1': repair it",
    ),
    ("q.jsonl", '{"question": "A?", "page": 1.5}', "{}, line 1: expected page as numbers from 1, came 1.5: repair it"),
    (
        "q.jsonl",
        '{"question": "' + "x" * 4_001 + '"}',
        "{}, line 1: expected a question of up to 4,000 characters, came 4,001: shorten it",
    ),
    (
        "q.json",
        '{"data": [{"paragraphs": [',
        "{}, line 1: expected JSON, came text that is none (Expecting value, column 27): is the file whole?",
    ),
    (
        "q.json",
        '{\n"paragraphs": []\n}',
        "{}: expected SQuAD (an object with data), a list of objects or JSON lines, came {{'paragraphs': []}}: "
        "write one of them",
    ),
    ("q.json", '[{"question": "A?"}, 3]', "{}, [1]: expected a JSON object, came 3: write one for each question"),
    (
        "q.json",
        '{"data": [{"paragraphs": 3}]}',
        "{}, data[0]: expected paragraphs as a list, came 3: is this SQuAD's format?",
    ),
    (
        "q.json",
        squad({"paragraphs": [paragraph("")]}),
        "{}, data[0].paragraphs[0]: expected the paragraph's text in context, came '': add it",
    ),
    (
        "q.json",
        squad({"paragraphs": [paragraph("T", ASKED, ASKED)]}),
        "{0}, data[0].paragraphs[0].qas[1]: expected a new id, came 'q1', which {0}, data[0].paragraphs[0].qas[0] has: "
        "change one of the two",
    ),
    (
        "q.json",
        squad({"paragraphs": [paragraph("T"), paragraph("U", ASKED, {"question": "A?", "answers": [{"text": []}]})]}),
        "{}, data[0].paragraphs[1].qas[1]: expected answers as a string or a list of strings, came [[]]: repair it",
    ),
    (
        "q.json",
        squad({"paragraphs": [paragraph("T", {"question": "A?", "is_impossible": 1})]}),
        "{}, data[0].paragraphs[0].qas[0]: expected is_impossible true or false, came 1: repair it",
    ),
    (
        "q.pdf",
        "%PDF-1.4 …",
        "{}: expected a text file, came a PDF: give questions as CSV or JSON lines",
    ),
    (
        "q.docs",
        "Some text.",
        "{}: expected a .csv, .tsv, .jsonl or .json file, TREC topics with qrels, or a BEIR folder, came .docs: "
        "convert or rename the file",
    ),
    ("topics.txt", "1\tA?", "{}: expected qrels with TREC topics, came none: give their file as well"),
]


@pytest.mark.parametrize(("name", "text", "line"), BAD, ids=range(len(BAD)))
def test_a_bad_file_gives_one_line(tmp_path: Path, name: str, text: str, line: str) -> None:
    path = write(tmp_path / name, text)
    assert message(path) == line.format(path)


def test_other_encodings_are_refused_with_their_line(tmp_path: Path) -> None:
    path = write(tmp_path / "q.csv", "question\nWo?\nWie schön?\n", "latin-1")
    assert message(path) == f"{path}, line 3: expected UTF-8, came the byte 0xf6: save the file as UTF-8"
    path = write(tmp_path / "q.jsonl", '{"question": "schön?"}\n', "latin-1")
    assert message(path) == f"{path}, line 1: expected UTF-8, came the byte 0xf6: save the file as UTF-8"
    path = tmp_path / "u.csv"
    path.write_bytes("question\nWo?".encode("utf-16") + b"\0")
    assert (
        message(path) == f"{path}: expected utf-16-le, as the file begins, came bytes that are none: save it as UTF-8"
    )
    path.write_bytes(b"\xef\xbb\xbf")
    assert message(path) == f"{path}: expected a text file, came one that is empty: give questions as CSV or JSON lines"


def test_what_is_no_file_gives_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone\n.csv"
    assert message(gone) == f"{str(gone)!a}: expected a file with questions or qrels, came nothing: check the path"
    os.mkfifo(tmp_path / "pipe.csv")
    expected_end = "expected a file with questions or qrels, came something else: check the path"
    assert message(tmp_path / "pipe.csv") == f"{tmp_path}/pipe.csv: {expected_end}"
    path = write(tmp_path / "q.csv", "question\nA?\n")
    assert message(path, qrels=tmp_path) == f"{tmp_path}: {expected_end}"


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_folder_that_is_no_beir_folder(beir: Path, name: str) -> None:
    (beir / name).unlink()
    assert message(beir) == (
        f"{beir}: expected a BEIR folder with corpus.jsonl, queries.jsonl and qrels, "
        f"{beir / name} is missing: add it, or name a file"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "q1 0 d1 1\nq9 0 d1 1\n",
            "{}, line 2: expected a question of {}, came the id 'q9': give the qrels that belong to it",
        ),
        (
            "q1 0 d1 1\nq1 d1\n",
            "{}, line 2: expected question, iteration, document and grade, came 'q1 d1': "
            "write these four, or three without the iteration",
        ),
        ("q1 0 d1 1\nq1 0 d2 high\n", "{}, line 2: expected a whole number up to 100 as grade, came 'high': repair it"),
        ("query-id\tcorpus-id\tscore\n", "{}: expected judgements, came none: give a file with a line for each"),
        (
            "q1 0 d1 1\nq1 0 d1 2\n",
            "{}, line 2: expected one grade for 'd1' and question 'q1', came 1 and 2: remove one of the lines",
        ),
    ],
)
def test_bad_qrels_give_one_line(beir: Path, text: str, line: str) -> None:
    qrels = write(beir / "qrels" / "test.tsv", text)
    assert message(beir) == line.format(qrels, beir / "queries.jsonl")


def test_bad_queries_topics_and_corpora_give_one_line(beir: Path, tmp_path: Path) -> None:
    qrels = beir / "qrels" / "test.tsv"
    topics = write(tmp_path / "topics", "<top>\n<num>q1\n<title>A?\n<top>\n<title>B?\n")
    assert (
        message(topics, qrels=qrels)
        == f"{topics}, line 4: expected a topic with <num>, came '<title>B?': add its number"
    )
    topics = write(tmp_path / "topics.txt", "q1\tA?\nq3 B?\n")
    assert (
        message(topics, qrels=qrels)
        == f"{topics}, line 2: expected an id, a tab and the question, came 'q3 B?\\n': write all three"
    )
    data = write(tmp_path / "squad.json", squad({"paragraphs": [paragraph("T", ASKED)]}))
    assert message(data, qrels=qrels) == f"{qrels}: expected no qrels, SQuAD has its own gold: leave them out"
    read, corpus = load_questions(beir), beir / "corpus.jsonl"
    write_json(corpus, {"_id": "d1"}, {"_id": 2})
    assert refusal(read, tmp_path / "docs") == f"{corpus}, line 2: expected the document's id in _id, came 2: add it"
    write_json(corpus, {"_id": "d1"}, {"_id": "d1"})
    assert (
        refusal(read, tmp_path / "docs")
        == f"{corpus}, line 2: expected a new document, came d1.md again: remove one of the two"
    )
    write_json(corpus, {"_id": "d1", "text": 3})
    assert (
        refusal(read, tmp_path / "docs")
        == f"{corpus}, line 1: expected title and text as strings, came ['', 3]: repair them"
    )
    assert not (tmp_path / "docs").exists(), "nothing is written before all was read"
    write_json(beir / "queries.jsonl", {"text": "A?"})
    assert message(beir) == f"{beir / 'queries.jsonl'}, line 1: expected the query's id in _id, came none: add it"


def test_every_error_is_one_that_is_shown_without_a_traceback() -> None:
    assert issubclass(QuestionsError, QAError)


# Documents as files


def refusal(read: QuestionSet, folder: Path) -> str:
    """The one line with which a corpus is not written."""
    with pytest.raises(QuestionsError) as caught:
        read.write_corpus(folder)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_corpus_is_written_once(beir: Path, tmp_path: Path) -> None:
    read, folder = load_questions(beir), tmp_path / "deep" / "docs"
    read.write_corpus(folder)
    for name in files(folder):
        os.utime(folder / name, (1, 1))
    write(folder / "d1.md", "half a fi")
    write(folder / ".refdesk" / "library.db", "hidden")
    assert read.write_corpus(folder) == 3
    times = {name: (folder / name).stat().st_mtime for name in files(folder) if not name.startswith(".")}
    assert [name for name, time in times.items() if time != 1] == ["d1.md"]
    assert files(folder)["d1.md"] == "# A title on two lines\n\nText.\n"


def test_a_folder_with_other_files_is_refused_and_left_alone(beir: Path, tmp_path: Path) -> None:
    read, folder = load_questions(beir), tmp_path / "docs"
    write(folder / "mine" / "notes.txt", "mine")
    assert refusal(read, folder) == (
        f"{folder}: expected nothing but this question set's documents, came 'mine/notes.txt': "
        "choose an empty folder, or move that file away"
    )
    assert files(folder) == {"mine/notes.txt": "mine"}


def test_what_cannot_be_written_gives_one_line(beir: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "file", "")
    assert refusal(load_questions(beir), file) == (
        f"{file}: the documents cannot be written (Not a directory): check the path, its permissions and the disk"
    )
    rows = load_questions(write(tmp_path / "q.csv", "question\nA?\n"))
    assert refusal(rows, tmp_path / "docs") == (
        f"{tmp_path / 'q.csv'}: expected SQuAD or BEIR, which hold documents, came csv: "
        "index the documents that its sources name"
    )


def test_names_of_files() -> None:
    assert file_name("31715818", ".md") == "31715818.md"
    assert file_name("a-b_c.d", ".md") == "a-b_c.d.md"
    assert file_name("../ä~%", ".md") == "%2e.%2f%c3%a4%7e%25.md"
    assert file_name("MED-10", ".md") == f"MED-10-{hashlib.sha256(b'MED-10').hexdigest()[:8]}.md"


@given(st.lists(st.text(st.characters(), max_size=80) | st.text("aA.%2e/", max_size=4), unique=True, max_size=20))
def test_different_ids_get_different_safe_names(ids: list[str]) -> None:
    names = [file_name(document_id, ".md") for document_id in ids]
    assert len({name.lower() for name in names}) == len(ids)
    for name in names:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.%")
        assert len(name) <= 150
        assert name.endswith(".md")
        assert not name.startswith(".")


# Size


STATUS = Path("/proc/self/status")
# Not ru_maxrss, which a child takes over from its parent.
MEASURE = """
import re, sys
from pathlib import Path
from qa.evaluation.questions import load_questions
def peak(): return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
before = peak()
read = load_questions(sys.argv[1])
loaded = peak()
asked = sum(question.answerable is True for question in read)
again = next(iter(read)).text
print(read.count, asked, again, loaded - before, peak() - loaded, sep="|")
"""


@pytest.mark.skipif(not STATUS.exists(), reason=f"{STATUS} is not there to read the peak from")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(100_000):
            row = {"question": f"Question {number}?", "answers": ["x" * 500], "sources": ["a.txt"]}
            file.write(json.dumps(row) + "\n")
    assert path.stat().st_size > 55_000_000
    ran = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    count, asked, again, loading, iterating = ran.stdout.split("|")
    assert (count, asked, again) == ("100000", "100000", "Question 0?")
    assert int(loading) < 25_000_000, "the ids alone"
    assert int(iterating) < 5_000_000, "nothing of what was read"


# Published sets


@pytest.mark.parametrize(
    ("name", "format_", "count", "answerable", "unanswerable", "documents"),
    [
        ("questions/seeds-dev.jsonl", "jsonl", 42, 39, 3, None),
        ("data/xquad/xquad.en.json", "squad", 1190, 1190, 0, 240),
        ("data/xquad/xquad.ru.json", "squad", 1190, 1190, 0, 240),
        ("data/scifact", "beir", 300, 300, 0, 5183),
    ],
)
def test_published_sets(
    tmp_path: Path, name: str, format_: str, count: int, answerable: int, unanswerable: int, documents: int | None
) -> None:
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not there: these counts are checked where it is")
    read = load_questions(SHARED / name)
    assert (read.format, len(read), read.answerable, read.unanswerable) == (format_, count, answerable, unanswerable)
    if documents is not None:
        assert read.write_corpus(tmp_path / "docs") == documents
        written = files(tmp_path / "docs")
        assert len(written) == documents
        assert {source for question in read for source in question.sources} <= set(written)

"""The command line: what goes to stdout and stderr, in which form, and with which exit code."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import qa.library
import qa.sync
from embeddings import Encoder
from qa import Library
from qa.cli import main, parser

COMMANDS = "index ask serve list remove status users mcp feedback eval tune doctor".split()
NOTICE = "Lost umbrellas are kept for ninety days in the porter's room beside the northern gate.\n"
HOSTILE = "The kettle of \x1b]0;owned\x07 Mrs \x9b31mBrandt\x1b[2J whistles \u202eat noon\u202c every \rMonday."
FILES = {
    "harbour/lighthouse.txt": (
        "The lighthouse of Arvel was built in 1871 by Ines Calder. Its lamp burns rapeseed oil.\n\n" + NOTICE
    ),
    "harbour/ferry.md": (
        "# The ferry between Arvel, Skerrow Island and the long northern coast of Tamsinland\n\n"
        "## Fares for passengers, their children, dogs, bicycles and everything else they bring\n\n"
        "A ticket costs four crowns, for children two.\n\n" + NOTICE
    ),
    "kettle.txt": HOSTILE + "\n",
    "世界.txt": "長い文章は端末の幅で折り返される。" * 12 + "\n",
    "broken.pdf": "%PDF-1.7 nothing else",
    "picture.xyz": "a kind that is not read",
}
QUESTION = "Who built the lighthouse of Arvel?"


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401
        """Its output as JSON."""
        return json.loads(self.out)


Run = Callable[..., Result]
Served = list[tuple[Library, dict[str, Any]]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """A folder with `docs` and its library, which no test changes."""
    path = tmp_path_factory.mktemp("cli")
    for name, text in FILES.items():
        (path / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (path / "docs" / name).write_text(text)
    with Library.create(path / ".refdesk", encoder=encoder) as library:
        library.sync([path / "docs"])
    return path


@pytest.fixture
def served() -> Served:
    """What `serve` was called with."""
    return []


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, encoder: Encoder, served: Served) -> Run:
    """Runs a command line in this process, with the model that is loaded already."""
    monkeypatch.setattr(qa.library, "_load", lambda name, **options: loaded_as(encoder, name, **options))
    monkeypatch.setenv("COLUMNS", "80")

    def run_command(*arguments: object) -> Result:
        capsys.readouterr()
        serve = lambda library, **options: served.append((library, options))  # noqa: E731
        try:
            code = main([str(argument) for argument in arguments], serve=serve)
        except SystemExit as exit_:  # argparse
            code = int(exit_.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run_command


def loaded_as(encoder: Encoder, name: str | Encoder, *, download: bool, engine: str) -> Encoder:
    """The loaded encoder for the bundled model's name, any other loaded for real."""
    return encoder if name == encoder.name else REAL_LOAD(name, download=download, engine=engine)


REAL_LOAD = qa.library._load


@pytest.fixture
def at(base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the shared library as the current one, where `.refdesk` is found."""
    monkeypatch.chdir(base)
    return base


def columns(line: str) -> int:
    """How many columns of a terminal a line takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def assert_one_line_error(result: Result, *words: str) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that names the command and what is wrong."""
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("refdesk: ")
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err


# Every command


def test_index(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("The lighthouse was built in 1871.\n")
    first = run("index", "docs")
    assert (first.code, first.out, first.err) == (0, "1 added\n1 document, 1 passage in .refdesk\n", "")
    (docs / "b.txt").write_text("The bridge has arches of granite.\n")
    (docs / "c.txt").write_text("")
    (docs / "d.xyz").write_text("x")
    second = run("index", "docs")
    assert (second.code, second.out.splitlines()[0]) == (1, "1 added, 1 unchanged, 1 failed")
    assert second.err.splitlines()[0].startswith("failed: c.txt: ")
    assert "left out 1 file of other kinds (.xyz 1)" in second.err
    (docs / "c.txt").unlink()
    (docs / "a.txt").rename(docs / "z.txt")
    third = run("index", docs, "--json")
    assert third.code == 0
    assert {(outcome["source"], outcome["state"]) for outcome in third.json["outcomes"]} >= {("z.txt", "renamed")}
    assert set(third.json) == {"outcomes", "counts", "passages", "encoded", "skipped", "notes"}
    assert set(third.json["outcomes"][0]) == {"source", "state", "reason", "warnings"}
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = run("index", "empty", "--library", "other")
    assert (nothing.code, nothing.out) == (0, "0 documents, 0 passages in other\n")
    assert "found no file to index" in nothing.err


def test_a_failure_that_is_known_is_none_of_this_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qa.sync, "RACY_NANOSECONDS", 0)  # a file that was just written is looked into again
    monkeypatch.chdir(tmp_path)
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("The lighthouse was built in 1871.\n")
    (docs / "broken.pdf").write_text("%PDF-1.7 nothing else")
    first = run("index", "docs")
    assert (first.code, first.out.splitlines()[0]) == (1, "1 added, 1 failed")
    assert first.err.startswith("failed: broken.pdf: ")
    again = run("index", "docs")
    assert (again.code, again.err) == (0, "")
    assert again.out.splitlines()[0] == "1 unchanged, 1 failed before (`refdesk list` says why)"
    assert run("index", "docs", "--json").code == 0
    (docs / "more.pdf").write_text("%PDF-1.7 nothing at all")
    more = run("index", "docs")
    assert (more.code, more.err.count("\n")) == (1, 1)
    assert more.out.splitlines()[0] == "1 unchanged, 1 failed, 1 failed before (`refdesk list` says why)"
    assert more.err.startswith("failed: more.pdf: ")
    (docs / "broken.pdf").write_text("%PDF-1.7 something else")
    changed = run("index", "docs", "--json")
    assert changed.code == 1
    for name in ("broken.pdf", "more.pdf"):
        (docs / name).unlink()
    (docs / "more.txt").write_text("The bridge has arches of granite.\n")
    mended = run("index", "docs")
    assert (mended.code, mended.err) == (0, "")
    assert mended.out.splitlines()[0] == "1 added, 2 removed, 1 unchanged"


def test_rebuild_as_json(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The lighthouse was built in 1871.\n")
    assert run("index", tmp_path / "a.txt", "--library", tmp_path / "l").code == 0
    again = run("index", "--rebuild", "--library", tmp_path / "l")
    assert (again.code, again.out) == (0, f"1 document, 1 passage in {tmp_path / 'l'}\n")
    as_json = run("index", "--rebuild", "--json", "--library", tmp_path / "l")
    assert as_json.code == 0
    assert as_json.json is not None


@pytest.mark.usefixtures("at")
def test_ask(run: Run) -> None:
    result = run("ask", QUESTION)
    assert (result.code, result.err) == (0, "")
    first, *rest = result.out.splitlines()
    assert first == "The lighthouse of Arvel was built in 1871 by Ines Calder. [1]"
    assert "[1] harbour/lighthouse.txt, line 1 · strong" in rest
    assert "\x1b" not in result.out
    fares = run("ask", "How much is a ticket for children?", "-k", 1)
    assert "harbour/ferry.md" in fares.out
    assert ", line 5" in " ".join(fares.out.split())
    repeated = run("ask", "How long are lost umbrellas kept?")
    assert "(also in harbour/" in " ".join(repeated.out.split())
    follow_up = run("ask", "What does it burn?", "--after", QUESTION)
    assert follow_up.code == 0
    assert follow_up.out.startswith(f"Searched: {QUESTION} What does it burn?\n")
    assert "rapeseed" in follow_up.out
    filtered = run(
        "ask", "What does a ticket for children cost?", "--source", "*.md", "--where", "kind=markdown", "--json"
    )
    assert {hit["citation"]["source"] for hit in filtered.json["hits"]} == {"harbour/ferry.md"}


@pytest.mark.usefixtures("at")
def test_ask_off_topic(run: Run) -> None:
    question = "Which enzyme unwinds the DNA double helix?"
    result = run("ask", question)
    assert (result.code, result.err) == (1, "")
    assert result.out == "No passage found for this question. The nearest: --misses\n"
    misses = run("ask", question, "--misses")
    assert misses.code == 1
    assert misses.out.startswith("No passage found for this question.\n\n")
    assert "· weak\n" in misses.out
    as_json = run("ask", question, "--json").json
    assert (as_json["found"], as_json["answer"], as_json["hits"]) == (False, [], [])
    assert run("ask", question, "--json", "--misses").json["misses"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--source", "nowhere/*"), "source 'nowhere/*': see `refdesk list`"),
        (("--where", "kind=pfd"), "kind 'pfd': see `refdesk list --json`"),
        (("--source", "a", "--source", "*.md", "--where", "kind=text"), "source 'a' or '*.md' and kind 'text': see "),
        (tuple(f"--source={n}" for n in range(1_005)), "source '0' or '1' or '2' or 1,002 more: see `refdesk list`"),
        (("--source", "x\x1b[2J" * 30), "source 'x\\x1b[2Jx"),
    ],
)
@pytest.mark.usefixtures("at")
def test_a_filter_that_no_document_fits(run: Run, given: Sequence[str], said: str) -> None:
    result = run("ask", QUESTION, "--misses", *given)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"refdesk: no document has {said}")
    assert (result.err.count("\n"), "\x1b" in result.err) == (1, False)
    assert len(result.err) < 300
    as_json = run("ask", QUESTION, "--json", *given)
    assert (as_json.code, as_json.json["found"]) == (1, False)
    assert as_json.json["note"] == as_json.err.removeprefix("refdesk: ").partition(": see ")[0]
    off_topic = run("ask", "Which enzyme unwinds the DNA double helix?", "--source", "*.md", "--json")
    assert (off_topic.err, "note" in off_topic.json) == ("", False)


@pytest.mark.usefixtures("at")
def test_ask_as_json(run: Run) -> None:
    result = run("ask", QUESTION, "--json")
    assert (result.code, result.err) == (0, "")
    answer = result.json
    assert list(answer) == ["question", "searched", "found", "answer", "hits"]
    assert (answer["question"], answer["searched"], answer["found"]) == (QUESTION, QUESTION, True)
    citation_keys = ["id", "source", "title", "page", "heading", "line", "row", "start", "end", "quote", "sources"]
    for sentence in answer["answer"]:
        assert list(sentence) == ["text", "citations"]
        for citation in sentence["citations"]:
            assert list(citation) == citation_keys
            assert citation["quote"] == sentence["text"]
    for rank, hit in enumerate(answer["hits"], 1):
        assert list(hit) == ["rank", "score", "strength", "passage_id", "text", "citation"]
        assert list(hit["citation"]) == citation_keys
        assert hit["rank"] == rank
        assert 0 <= hit["score"] <= 1
        assert hit["strength"] in ("strong", "partial", "weak")
    first = answer["hits"][0]["citation"]
    assert (first["source"], first["line"], first["start"]) == ("harbour/lighthouse.txt", 1, 0)
    ticket = run("ask", "How much is a ticket for children?", "--json").json["hits"][0]["citation"]
    assert ticket["heading"].startswith("The ferry between Arvel")
    assert " › Fares for passengers" in ticket["heading"]
    assert (ticket["page"], ticket["sources"]) == (None, ["harbour/ferry.md"])
    with Library.open(".refdesk") as library:
        opened = library.open_citation(first["id"])
    assert opened.document.text[first["start"] : first["end"]] == first["quote"] == opened.citation.quote


@pytest.mark.usefixtures("at")
def test_list(run: Run) -> None:
    result = run("list")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    starts = [line.split()[0] for line in lines if not line.startswith(" ")]  # a long reason goes on below
    assert starts == sorted(name for name in FILES if name != "picture.xyz")
    assert any(line.startswith("broken.pdf") and "failed: " in line for line in lines)
    documents = run("list", "--json").json
    assert [document["source"] for document in documents] == starts
    assert set(documents[0]) == {
        "source", "root", "state", "reason", "document_id", "title", "kind", "language", "encoding", "pages",
        "passages", "bytes", "indexed_at", "warnings",
    }  # fmt: skip


def test_list_of_an_empty_library(run: Run, library: Library) -> None:
    result = run("list", "--library", library.path)
    assert (result.code, result.out) == (0, "")
    assert "refdesk index FOLDER" in result.err
    assert run("list", "--json", "--library", library.path).json == []
    asked = run("ask", "lighthouse", "--library", library.path)
    assert (asked.code, asked.out) == (1, "No passage found for this question.\n")


def test_remove(run: Run, library: Library, folder: Path) -> None:
    for name in ("a.txt", "old/b.txt", "old/c.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"The lighthouse in {name} is red.\n")
    library.sync([folder])
    here = ("--library", library.path)
    assert run("remove", "a.txt", *here) == Result(0, "removed a.txt\n", "")
    missing = run("remove", "a.txt", "old/*", *here)
    assert (missing.code, missing.out) == (1, "removed old/b.txt\nremoved old/c.txt\n")
    assert missing.err == "refdesk: no document is or matches 'a.txt': see `refdesk list`\n"
    assert run("remove", "x", "--json", *here).json == {"removed": []}
    assert library.status().files == 0


@pytest.mark.usefixtures("at")
def test_status(run: Run) -> None:
    result = run("status")
    assert (result.code, result.err) == (0, "")
    assert "4 from 5 files, 1 failed" in result.out
    assert "all-MiniLM-L6-v2" in result.out
    status = run("status", "--json").json
    assert (status["documents"], status["files"], status["failed"], status["indexes"]) == (4, 5, 1, "current")


@pytest.mark.usefixtures("at")
def test_doctor(run: Run) -> None:
    assert run("doctor") == Result(0, "sound: rows, spans, sentences, vectors and indexes fit together\n", "")
    assert run("doctor", "--json").json == {"clean": True, "findings": []}
    assert run("doctor", "--mend").code == 0


def test_doctor_on_damage(run: Run, library: Library, folder: Path) -> None:
    (folder / "a.txt").write_text("The lighthouse is red.\n")
    library.sync([folder])
    next(library.index_folder.glob("*/vectors.faiss")).write_bytes(b"PK")
    here = ("--library", library.path)
    result = run("doctor", *here)
    assert result.code == 1
    assert "vectors.faiss is missing or damaged" in result.out
    as_json = run("doctor", "--json", *here)
    assert as_json.code == 1
    assert not as_json.json["clean"]
    assert set(as_json.json["findings"][0]) == {"check", "problem", "remedy", "state"}
    assert run("doctor", "--mend", *here).code == 0
    assert run("doctor", *here).out.startswith("sound")


def test_serve(run: Run, at: Path, served: Served) -> None:
    result = run("serve", "--port", 1234, "--no-browser")
    assert (result.code, result.out) == (0, "")
    library, options = served[0]
    assert library.path == Path(".refdesk")
    assert options == {"host": "127.0.0.1", "port": 1234, "open_browser": False}
    indexed = run("serve", "docs")
    assert indexed.code == 0
    assert "4 unchanged, 1 failed" in indexed.out
    assert at == Path.cwd()


def test_serve_makes_a_library_where_nothing_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: Served
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for folder in (".refdesk", "new/one", "empty"):
        made = run("serve", *(() if folder == ".refdesk" else ("--library", folder)))
        assert (made.code, made.out) == (0, "")
        assert made.err == f"refdesk: made an empty library in {folder}: add documents on its page\n"
        assert served[-1][0].path == Path(folder)
        again = run("serve", "--library", folder)
        assert (again.code, again.err) == (0, "")
    both = run("serve", "--library", "old=empty", "--library", "new=other")
    assert (both.code, both.err) == (0, "refdesk: made an empty library in other: add documents on its page\n")
    assert run("list", "--library", "other").code == 0
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    indexed = run("serve", "full", "--library", "indexed")
    assert (indexed.code, indexed.out, indexed.err) == (0, "1 added\n", "")  # it is not empty when the page opens
    for given in ("full", "a=full"):
        assert_one_line_error(run("serve", "--library", given), "full is not an empty folder")
    for given in ("missing", "a=missing"):
        told = run("serve", "--read-only", "--library", given)
        assert_one_line_error(told, "missing does not exist", "refdesk index FOLDER --library missing")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".refdesk", "empty", "full", "indexed", "new", "other"]


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ask", "x", "--library", "missing"), ("missing does not exist", "refdesk index FOLDER --library missing")),
        (("list", "--library", "docs"), ("docs is not a Refdesk library",)),
        (("index", "missing"), ("missing",)),
        (("index", "docs", "missing"), ("missing", "nothing was changed")),
        (("index", "docs/picture.xyz"), ("picture.xyz",)),
        (("index",), ("refdesk index",)),
        (("index", "docs", "--library", "docs"), ("docs",)),
        (("index", "docs", "--library", "docs/kettle.txt"), ("kettle.txt",)),
        (("index", "docs", "--model", "other/model"), ("other/model", "--rebuild")),
        (("index", "docs", "--library", "new", "--model", "other/model"), ("other/model", "--download")),
        (("ask", ""), ("empty",)),
        (("ask", "x" * 5000), ("5,000",)),
        (("ask", "x", "-k", "0"), ("k is 0",)),
        (("ask", "x", "-k", "1001"), ("k is 1001",)),
        (("ask", "x", "--where", "kind"), ("NAME=VALUE",)),
        (("ask", "x", "--where", "colour=red"), ("colour", "language")),
        (("ask", "x", "--where", "title=\udcff"), ()),
        (("serve", "--library", "docs"), ("docs is not an empty folder",)),
    ],
)
@pytest.mark.usefixtures("at")
def test_mistakes_are_one_line(run: Run, arguments: Sequence[str], words: Sequence[str]) -> None:
    if arguments[-1].endswith("\udcff"):  # a byte of the shell that is no text is no mistake, but no crash either
        assert "Traceback" not in run(*arguments).err
        return
    assert_one_line_error(run(*arguments), *words)


def test_a_mistake_makes_no_library(run: Run, tmp_path: Path) -> None:
    run("index", tmp_path / "missing", "--library", tmp_path / "new")
    (tmp_path / "a.xyz").write_text("x")
    run("index", tmp_path / "a.xyz", "--library", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_damaged_library_is_one_line(run: Run, tmp_path: Path, encoder: Encoder) -> None:
    with Library.create(tmp_path / "library", encoder=encoder) as library:
        (tmp_path / "a.txt").write_text("\n\n".join(f"The lighthouse number {i} is red." for i in range(400)))
        library.sync([tmp_path / "a.txt"])
    file = tmp_path / "library" / "library.sqlite"
    content = bytearray(file.read_bytes())
    content[8192 : len(content) // 2] = bytes(len(content) // 2 - 8192)
    file.write_bytes(content)
    for command in (("ask", "lighthouse"), ("list",), ("status",), ("index", tmp_path / "a.txt"), ("remove", "a.txt")):
        result = run(*command, "--library", tmp_path / "library")
        assert_one_line_error(result)


def test_wrong_arguments_show_usage(run: Run) -> None:
    for arguments in ((), ("dance",), ("ask",), ("ask", "x", "-k", "many"), ("list", "--jsn")):
        result = run(*arguments)
        assert result.code == 2
        assert result.err.startswith("usage: refdesk")
        assert result.out == ""


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(" ".join(("usage: refdesk", *command)))
    assert max(map(columns, result.out.splitlines())) <= 80
    if not command:
        assert all(f"    {name}" in result.out for name in COMMANDS)
    elif command != ("users",):  # a file for all libraries of a server
        assert "--library" in result.out


def test_all_commands_are_tested() -> None:
    assert tuple(re.findall(r"^    (\w+) ", parser().format_help(), re.MULTILINE)) == tuple(COMMANDS)


# Terminals


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", QUESTION),
        ("ask", "How much is a ticket for children?"),
        ("ask", "How long are lost umbrellas kept?", "-k", "50"),
        ("ask", "長い文章は端末の幅で", "-k", "50"),
        (
            "ask",
            "What does it burn?",
            "--after",
            "Who built the lighthouse of Arvel, and who pays for its oil these days?",
        ),
        ("ask", "Which enzyme unwinds the DNA double helix?", "--misses"),
        ("list",),
    ],
)
@pytest.mark.usefixtures("at")
def test_lines_fit_a_terminal_of_80_columns(run: Run, arguments: Sequence[str]) -> None:
    result = run(*arguments)
    assert result.out
    assert [line for line in (result.out + result.err).splitlines() if columns(line) > 80] == []


HARMFUL = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u200e\u200f\u061c\u202a\u202e\u2066\u2069\u2028\ufeff",
]


@pytest.mark.usefixtures("at")
def test_text_with_escape_codes_is_harmless(run: Run) -> None:
    for arguments in (("ask", "When does the kettle whistle?"), ("ask", f"When does the kettle whistle? {HOSTILE}")):
        result = run(*arguments, "--after", f"The kettle {HOSTILE}")
        assert "kettle" in result.out
        assert not [c for c in result.out.replace("\n", "") if c in HARMFUL]
    as_json = run("ask", "When does the kettle whistle?", "--json")
    assert not [c for c in as_json.out.replace("\n", "") if c < " "]
    assert as_json.json["hits"][0]["citation"]["source"] == "kettle.txt"


@pytest.mark.skipif(sys.platform == "win32", reason="such names are not allowed there")
def test_names_with_escape_codes_are_harmless(run: Run, library: Library, folder: Path) -> None:
    (folder / "bad\x1b[2J\nname.txt").write_text("The lighthouse is red.\n")
    (folder / "worse\x9b\nname.txt").write_text("")
    (folder / "kind.x\x1b[2J\ny").write_text("")
    (folder / "no\nlink").symlink_to(folder)
    here = ("--library", library.path)
    results = [run("index", folder, *here), run("list", *here), run("ask", "lighthouse", *here), run("status", *here)]
    results += [run("remove", "no\x1b[2J\nsuch", *here), run("remove", "*", *here)]
    results += [run("index", folder / "missing\x1b[2J\n", *here)]
    for result in results:
        assert not [c for c in (result.out + result.err).replace("\n", "") if c in HARMFUL]
        assert not [line for line in (result.out + result.err).splitlines() if line.startswith(("name", "such", "y"))]
    assert len(results[1].out.splitlines()) == 2
    assert results[6].err.count("\n") == 1


@pytest.mark.usefixtures("at")
def test_a_terminal_that_cannot_show_a_character(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    del run
    for command in (["ask", "How much is a ticket for children?"], ["list"], ["ask", QUESTION, "--json"]):
        narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", narrow)
        assert main(command, serve=lambda *_, **__: None) == 0
        narrow.seek(0)
        assert narrow.read()


def test_piped_output_is_data_only(at: Path) -> None:
    """The whole command in its own process: no progress, no colour, no library's chatter."""
    code = "import sys, app; sys.exit(app.main())"
    (at.parent / "one").mkdir(exist_ok=True)
    (at.parent / "one" / "a.txt").write_text("The lighthouse is red.\n")
    command = [sys.executable, "-c", code, "index", str(at.parent / "one"), "--library", str(at.parent / "one.library")]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["counts"] == {"added": 1}
    reader = [sys.executable, "-c", code, "list", "--library", str(at.parent / "one.library")]
    with subprocess.Popen(reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # as `refdesk list | true` does
        assert process.stderr.read() == ""
    assert process.returncode == 0

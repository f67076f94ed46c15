"""What a filter, a document of very many paragraphs or a library that was moved away may cost everybody else."""

from __future__ import annotations

import random
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from embeddings import Encoder, VectorIndex
from qa import Library, LibraryError, QuestionError, filters, indexes, segment
from qa.filters import LONGEST_PATTERN, MOST_PATTERNS, MOST_WILDCARDS, matching, unfit
from qa.page import context
from qa.types import Tuned

PARAGRAPHS = 1_500
NAMES = st.text("ab/[]*?!-", min_size=1, max_size=7)


def noted(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> list[Any]:
    """The last argument of each call of a function from now on."""
    calls: list[Any] = []
    whole = getattr(where, name)

    def note(*arguments: Any) -> Any:  # noqa: ANN401 - any function's
        calls.append(arguments[-1])
        return whole(*arguments)

    monkeypatch.setattr(where, name, note)
    return calls


@contextmanager
def steps(library: Library) -> Iterator[Callable[[], int]]:
    """Counts the thousands of instructions that SQLite carries out in this thread."""
    counted: list[None] = []
    library.store.connection.set_progress_handler(lambda: counted.append(None), 1_000)
    yield lambda: len(counted)
    library.store.connection.set_progress_handler(None, 0)


# Filters


@given(st.lists(NAMES, max_size=8), st.lists(NAMES, max_size=4))
@example(["a[b/c", "ab/c"], ["a[[]b/*"])
@example(["a/b/c", "a/", "a"], ["a/**"])
@example(["a[1]", "a1", "[*]/a", "*/a"], ["a[1]", "[[]*[]]/*", "[*]/**"])
def test_globs_mean_what_fnmatch_says(sources: list[str], globs: list[str]) -> None:
    exact = set(globs) & set(sources)
    others = [glob for glob in globs if glob not in exact]
    expected = exact | {one for one in sources if any(fnmatchcase(one, glob) for glob in others)}
    assert matching(globs, set(sources)) == expected


def test_any_number_of_names_and_folders_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {f"{number % 100}/[{number}] *.txt" for number in range(2_000)}
    monkeypatch.setattr(filters, "translate", None)  # nothing of it is a glob to be compared
    assert matching([*sorted(sources), *(f"gone/{number}.txt" for number in range(8_000))], sources) == sources
    assert matching([f"{number}/**" for number in range(10_000)], sources) == sources
    assert matching(["7/[[]7] [*].txt", "x/[?][*]/*"], {*sources, "x/?*/y"}) == {"7/[7] *.txt", "x/?*/y"}


@pytest.mark.parametrize(
    ("globs", "said"),
    [
        ([f"*{number}" for number in range(MOST_PATTERNS + 1)], "101 globs were given: expected up to 100 beside"),
        (["*a" * MOST_WILDCARDS + "?"], "*…' has 33 wildcards: expected up to 32"),
        (["a" * LONGEST_PATTERN + "?"], "a…' has 1,001 characters: expected up to 1,000"),
    ],
)
def test_globs_are_bounded(folder: Path, library: Library, globs: list[str], said: str) -> None:
    (folder / f"{'a' * 40}.txt").write_text("The ferry leaves at noon.\n")
    library.sync([folder])
    for ask in (library.retrieve, library.ask):
        with pytest.raises(QuestionError, match=re.escape(said)) as raised:
            ask("When does the ferry leave?", sources=globs)
        assert "\n" not in str(raised.value)
    most = [*(f"*{number}" for number in range(MOST_PATTERNS - 1)), "[a]" + "**a" * (MOST_WILDCARDS - 2) + "*"]
    assert library.retrieve("When does the ferry leave?", sources=most)


def test_a_glob_is_compiled_once_for_all_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = noted(monkeypatch, filters, "translate")
    sources = {f"{number}.txt" for number in range(500)}
    assert len(matching(["*1.txt", "*2.txt", "*1.txt", "**1.txt"], sources)) == 100
    assert compiled == ["*1.txt", "*2.txt"]


def test_a_filter_is_looked_for_once(folder: Path, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.txt").write_text("The ferry leaves at noon.\n")
    library.sync([folder])
    looked = noted(monkeypatch, library.store, "documents_matching")
    assert not library.ask("When does the ferry leave?", sources=["b*"], where={"kind": "text"}).hits
    assert unfit(library, ["b*"], {"kind": "text"}) == "no document has source 'b*' and kind 'text'"
    assert len(looked) == 1
    (folder / "b.txt").write_text("The ferry leaves at night.\n")
    library.sync([folder])
    assert library.ask("When does the ferry leave?", sources=["b*"], where={"kind": "text"}).hits
    assert unfit(library, "b*", {"kind": "text"}) is None
    assert unfit(library, "b*", {"kind": "pdf"}) is not None
    assert len(looked) == 3


def test_values_of_documents(folder: Path, library: Library) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "plain.v1.txt").write_text("The ferry leaves at noon, and the harbour is then closed.\n")
    (folder / "named.html").write_text("<title>The pier</title><p>The ferry leaves at noon from the old pier.</p>")
    (folder / "number.txt").write_text("12345\n")  # of no language
    library.sync([folder])

    def found(sources: list[str] | None = None, **where: str) -> set[str]:
        rows = library.store.documents_matching(sources, where)
        return {source for row in rows for source in library.store.sources(row)}

    assert found(title="plain.v1") == {"in/plain.v1.txt"}
    assert found(title="The pier") == {"named.html"}
    assert found(title="named") == set()
    assert found(language="") == {"number.txt"}
    assert found(kind="text", language="en") == {"in/plain.v1.txt"}
    assert found(["in/*", "named.html"], root=str(folder)) == {"in/plain.v1.txt", "named.html"}
    assert found(["in/*"], kind="html") == set()


# Documents of very many paragraphs


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Library]:
    """Two documents that repeat a short paragraph, each with one of its own at its end, and one with headings."""
    folder = tmp_path_factory.mktemp("many")
    for name, last in (("a", "The warranty lasts 36 months."), ("b", "The ferry leaves at noon.")):
        (folder / f"{name}.txt").write_text("hi.\n\n" * PARAGRAPHS + last + "\n")
    choose = random.Random(5)
    chapters = (
        f"{'#' * choose.randint(1, 4)} Chapter {number}\n\n"
        + "\n\n".join(f"The {number}th ferry has {choose.randint(2, 99)} seats." for _ in range(choose.randint(1, 9)))
        for number in range(120)
    )
    (folder / "book.md").write_text("\n\n".join(chapters) + "\n")
    (folder / "short.txt").write_text("\n\nOne paragraph.\n\n")
    with Library.create(folder / "library", encoder=encoder) as made:
        made.sync([folder])
        yield made


def test_the_block_at_an_offset_is_found_by_halving(many: Library) -> None:
    for document, _, _ in many.store.document_rows():
        text, _, _ = many.store.text(document)
        blocks = many.store.blocks(document)
        for offset in {
            *range(12),
            *range(len(text) - 12, len(text) + 3),
            *random.Random(1).sample(range(len(text)), 9),
        }:
            expected = next((block for block in blocks if block.start <= offset < block.end), None)
            assert many.store.block_at(document, offset) == expected
        with steps(many) as count:
            many.store.block_at(document, len(text) - 2)
            many.store.sources_repeating(document, 0)
        assert count() < 5


def test_segments_know_the_headings_of_their_passages(many: Library) -> None:
    places = many.store.passage_places(0, many.store.last_passage())
    for document, _, _ in many.store.document_rows():
        blocks = many.store.blocks(document)
        for row in many.store.passages_of(document):
            holds = next(block for block in blocks if block.end > row.start)
            assert places.pop(row.id) == (row.start, row.end, holds.heading)
    assert places == {}


def test_segments_of_repeated_paragraphs_are_made_in_one_go(many: Library) -> None:
    assert many.status().passages > 2 * PARAGRAPHS
    with steps(many) as count:
        made = indexes.current(many.store, 384, None, Path("/nowhere"))
    assert made.live == many.status().passages
    assert count() < 2_000  # paragraph by paragraph: 100,000
    assert many.ask("How long is the warranty?").sentences[0].text == "The warranty lasts 36 months."
    repeated = many.retrieve("hi", where={"title": "a"})[0].citation
    assert (repeated.quote, repeated.sources) == ("hi.", ("a.txt", "b.txt"))


@pytest.mark.parametrize("few", [0, 10_000])
def test_equal_sentences_are_compared_once(many: Library, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(segment, "_FEW", few)
    monkeypatch.setattr(indexes, "RUN", 1_000)
    snapshot = indexes.current(many.store, 384, None, Path("/nowhere"))
    assert len(snapshot.parts) > 1
    rows = np.flatnonzero(np.random.default_rng(0).random(len(snapshot)) < 0.7)
    vectors, starts = snapshot.sentences_of(rows)
    queries = many.encoder.encode_queries(["ferry", "hi"])
    expected = np.maximum.reduceat(queries @ vectors.T, starts, axis=1)
    np.testing.assert_allclose(snapshot.best_cosines(queries, rows), expected, atol=1e-6)
    read = noted(monkeypatch, VectorIndex, "vectors")
    snapshot.best_cosines(queries, rows)
    assert (sum(map(len, read)) < len(vectors) / 2) == (few == 0)


def test_a_citation_opens_with_the_blocks_around_it(many: Library) -> None:
    choose = random.Random(2)
    for info in many.documents():
        document = many.document(str(info.document_id))
        spans = [(0, 0), (0, 1), (0, len(document.text)), (len(document.text) - 1, len(document.text))]
        starts = [choose.randrange(len(document.text)) for _ in range(12)]
        spans += [(start, min(len(document.text), start + choose.choice((1, 30, 900)))) for start in starts]
        for start, end in spans:
            cited = f"{document.id}.{start}.{end}"
            whole, some = many.open_citation(cited), many.open_citation(cited, around=context.AROUND_BLOCKS + 1)
            assert set(some.blocks) <= set(whole.blocks)
            assert (some.citation, some.document) == (whole.citation, whole.document)
            assert context.window(some) == context.window(whole)
            assert context.document(some) == context.document(whole)
    longest = many.documents()[0].document_id
    with steps(many) as count:
        opened = many.open_citation(f"{longest}.0.0", around=3)
    assert len(opened.blocks) < 9
    assert count() < 5


# Libraries that are moved away


def asked(library: Library) -> list[str | LibraryError]:
    """What the library says to a thread that asked before, and to a new one: a quote, or an error."""
    said: list[str | LibraryError] = []

    def ask() -> None:
        try:
            said.append(library.retrieve("When does the ferry leave?", 1)[0].citation.quote)
        except LibraryError as error:
            said.append(error)

    ask()
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return said


def test_a_library_that_is_replaced_or_removed_is_noticed(tmp_path: Path, encoder: Encoder) -> None:
    for name, hour in (("one", "noon"), ("other", "night")):
        (tmp_path / f"{name}.txt").write_text(f"The ferry leaves at {hour}.\n")
        with Library.create(tmp_path / name, encoder=encoder) as made:
            made.sync([tmp_path / f"{name}.txt"])
    with Library.open(tmp_path / "one", encoder=encoder) as library:
        assert asked(library) == ["The ferry leaves at noon."] * 2
        (tmp_path / "one").rename(tmp_path / "kept")
        (tmp_path / "other").rename(tmp_path / "one")
        for error in asked(library):
            assert re.fullmatch(
                r"the library \S+ was replaced or removed while it was open: start the server or program again",
                str(error),
            )
        for change in (lambda: library.sync([tmp_path / "other.txt"]), lambda: library.set_tuned({"en": Tuned(0.5)})):
            with pytest.raises(LibraryError, match="replaced or removed"):
                change()
        with Library.open(tmp_path / "one", encoder=encoder) as other:
            assert asked(other) == ["The ferry leaves at night."] * 2
        (tmp_path / "one").rename(tmp_path / "other")
        (tmp_path / "kept").rename(tmp_path / "one")
        assert library.store.tuned() == {}
        assert asked(library) == ["The ferry leaves at noon."] * 2
        (tmp_path / "one" / "library.sqlite").unlink()
        assert all(isinstance(error, LibraryError) for error in asked(library))
        with ThreadPoolExecutor(1) as other_thread:
            assert isinstance(other_thread.submit(library.documents).exception(), LibraryError)
        assert not (tmp_path / "one" / "library.sqlite").exists()  # no new, empty one
        shutil.rmtree(tmp_path / "one")
        assert all(isinstance(error, LibraryError) for error in asked(library))


def test_a_rebuilt_library_goes_on(folder: Path, library: Library, encoder: Encoder) -> None:
    (folder / "a.txt").write_text("The ferry leaves at noon.\n")
    library.sync([folder])
    with Library.open(library.path, encoder=encoder) as reader:
        assert asked(reader) == ["The ferry leaves at noon."] * 2
        library.rebuild(encoder)
        library.save_indexes(anew=True)
        assert asked(reader) == ["The ferry leaves at noon."] * 2

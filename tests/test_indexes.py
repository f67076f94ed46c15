"""Segments that come, are marked, merged and written anew find what a library made in one go finds."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import embeddings.index
from embeddings import Encoder
from qa import Hit, Library, indexes, store
from qa.ahead import Ahead
from qa.doctor import examine

WORDS = "harbour ferry pier lighthouse storm keeper bell rope anchor sail captain island bridge market baker".split()
NOTICE = "The library lends umbrellas to everybody who asks for one at the desk in the hall.\n"
QUESTIONS = ("Who is the keeper of the lighthouse?", "Where does the ferry anchor?", "umbrellas at the desk", "baker")


def text(number: int) -> str:
    """A short document of its own words, some with a notice that others have, too."""
    choose = random.Random(number)
    sentences = (
        f"The {choose.choice(WORDS)} {number} of the {choose.choice(WORDS)} is near the {choose.choice(WORDS)}."
        for _ in range(4)
    )
    return "\n\n".join([*sentences, *([NOTICE] if number % 3 == 0 else [])])


def found(library: Library, **options: object) -> list[list[tuple[str, float]]]:
    """(passage, score) of all hits of all questions."""
    several: list[list[Hit]] = library.retrieve_many(QUESTIONS, 100, **options)  # type: ignore[arg-type]
    return [[(hit.passage.id, round(hit.score, 5)) for hit in hits] for hits in several]


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of three passages, which are merged soon."""
    monkeypatch.setattr(indexes, "RUN", 3)
    monkeypatch.setattr(indexes, "GROWTH", 2)


@pytest.mark.usefixtures("small_runs")
@pytest.mark.parametrize("seed", range(3))
def test_many_changes_equal_one_build(
    folder: Path, library: Library, tmp_path: Path, encoder: Encoder, seed: int
) -> None:
    choose = random.Random(seed)
    reader = Library.open(library.path, encoder=encoder)
    for step in range(8):
        for number in choose.sample(range(30), 6):
            path = folder / f"{number}.txt"
            if path.exists() and choose.random() < 0.6:
                path.unlink()
            else:
                path.write_text(text(number + 100 * choose.randrange(2)))
        library.sync([folder])
        assert library.snapshot().live == library.status().passages
        with Library.create(tmp_path / f"fresh{step}", encoder=encoder) as fresh:
            fresh.sync([folder])
            expected = found(fresh)
        assert found(library) == expected
        assert found(reader) == expected
        with Library.open(library.path, encoder=encoder) as opened:
            assert found(opened) == expected
            assert found(opened, sources="1*") == found(library, sources="1*")
    assert examine(library) == []
    reader.close()


@pytest.mark.usefixtures("small_runs")
def test_a_reader_takes_over_saved_segments(folder: Path, library: Library, encoder: Encoder) -> None:
    (folder / "a.txt").write_text(text(1))
    library.sync([folder])
    with Library.open(library.path, encoder=encoder) as reader:
        reader.retrieve(QUESTIONS[0])
        for number in range(2, 12):
            (folder / f"{number}.txt").write_text(text(number))
            library.sync([folder])
            assert found(reader) == found(library)
        assert all(part.segment.name for part in reader.snapshot().parts)
        names = {path.name for path in library.index_folder.iterdir() if path.is_dir()}
        assert names == {part.segment.name for part in library.snapshot().parts}
        assert len(names) < 8


def test_changes_that_are_not_saved_are_found(
    folder: Path, library: Library, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (folder / f"{number}.txt").write_text(text(number))
    library.sync([folder])
    monkeypatch.setattr(Library, "save_indexes", lambda *_, **__: None)  # as if the process ended before
    (folder / "0.txt").unlink()
    (folder / "9.txt").write_text("A walrus sleeps on the pier.")
    library.sync([folder])
    monkeypatch.undo()
    with Library.open(library.path, encoder=encoder) as opened:
        assert "older than the rows" in (opened.index_problem() or "")
        assert opened.retrieve("Where does the walrus sleep?", 1)[0].citation.source == "9.txt"
        assert "0.txt" not in {hit.citation.source for hit in opened.retrieve("harbour", 100)}
        assert found(opened) == found(library)


def test_a_cut_log_of_deletions(
    folder: Path, library: Library, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_LONG_LOG", 1)
    for number in range(6):
        (folder / f"{number}.txt").write_text(text(number))
    library.sync([folder])
    with Library.open(library.path, encoder=encoder) as reader:
        found(reader)
        for number in range(3):
            library.remove(f"{number}.txt")
        assert library.store.connection.execute("SELECT COUNT(*) FROM removed").fetchone() == (0,)
        assert found(reader) == found(library)
        assert reader.snapshot().live == library.status().passages


def test_lists_find_what_comparing_all_finds(folder: Path, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        (folder / f"{number}.txt").write_text(text(number))
    library.sync([folder])
    expected, some = found(library), found(library, sources="1*")
    monkeypatch.setattr(indexes, "EXACT", 0)
    monkeypatch.setattr(embeddings.index, "EXACT", 0)
    (folder / "60.txt").write_text(text(60))
    library.sync([folder])
    library.remove("60.txt")
    assert any(part.segment.vectors.has_lists for part in library.snapshot().parts)
    assert found(library) == expected
    assert found(library, sources="1*") == some


def test_what_a_crash_leaves_beside_the_indexes_goes(folder: Path, library: Library) -> None:
    (folder / "a.txt").write_text(text(1))
    library.sync([folder])
    (library.index_folder / "0123456789ab").mkdir()
    (library.index_folder / "0123456789ab" / "passages-ids.npy").write_bytes(b"half")
    (library.index_folder / "manifest.part").write_bytes(b"{")
    (folder / "b.txt").write_text(text(2))
    library.sync([folder])
    names = {part.segment.name for part in library.snapshot().parts}
    assert {path.name for path in library.index_folder.iterdir()} == {"manifest.json", *names}


def test_threads_share_a_library(folder: Path, library: Library) -> None:
    for number in range(40):
        (folder / f"{number}.txt").write_text(text(number))
    library.sync([folder])
    expected = [one[:5] for one in found(library)]
    wrong: list[object] = []

    def ask() -> None:
        for _ in range(10):
            for question, hits in zip(QUESTIONS, expected, strict=True):
                got = [(hit.passage.id, hit.score) for hit in library.retrieve(question, 5)]
                if [name for name, _ in got] != [name for name, _ in hits] or not np.allclose(
                    [score for _, score in got], [score for _, score in hits], atol=2e-3
                ):
                    wrong.append((question, got, hits))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    (folder / "40.txt").write_text("A walrus sleeps.")
    library.sync([folder])
    for thread in threads:
        thread.join()
    assert [one for one in wrong if "walrus" not in str(one)] == []


def test_ahead_gives_all_in_order_within_its_bound() -> None:
    made: list[int] = []

    def make(put: Callable[[int, int], None]) -> None:
        for number in range(50):
            made.append(number)
            put(number, 10)

    most = 0

    def taken() -> Iterator[int]:
        nonlocal most
        with Ahead(make, 30, lambda: None) as ahead:
            for item in ahead.items(lambda: None):
                most = max(most, len(made) - item)
                yield item

    assert list(taken()) == list(range(50))
    assert most <= 6  # three wait, one is made, one is taken


def test_ahead_passes_errors_on_and_stops_early() -> None:
    def fails(put: Callable[[int, int], None]) -> None:
        put(1, 1)
        raise ValueError("no more")

    heard: list[int] = []
    with pytest.raises(ValueError, match="no more"), Ahead(fails, 10, lambda: None) as ahead:
        heard.extend(ahead.items(lambda: None))
    assert heard == [1]

    stopped = threading.Event()

    def waits(put: Callable[[int, int], None]) -> None:
        put(1, 1)
        stopped.wait(30)
        put(2, 1)

    with Ahead(waits, 10, stopped.set) as ahead:
        assert next(ahead.items(lambda: None)) == 1
    assert stopped.is_set()

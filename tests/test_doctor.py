"""Damage of all kinds: found, named with what mends it, and mended where the rows hold enough."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embeddings import Encoder
from qa import Hit, Library
from qa.doctor import Finding, examine, mend

NOTICE = "Lost umbrellas are kept for ninety days in the porter's room.\n"
QUESTION = "Who built the lighthouse?"


@pytest.fixture
def shelf(library: Library, folder: Path) -> Library:
    """A library with two documents that share a paragraph."""
    (folder / "a.txt").write_text(
        f"The lighthouse was built in 1871 by Ines Calder. Its lamp burns oil. It is red.\n\n{NOTICE}"
    )
    (folder / "b.txt").write_text(f"The bridge has arches of granite. It carries two tramway lines.\n\n{NOTICE}")
    library.sync([folder])
    return library


def change(library: Library, statement: str) -> None:
    """Damage rows behind the library's back."""
    with sqlite3.connect(library.store.path) as connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()


def shown(hits: list[Hit]) -> list[tuple[object, ...]]:
    """Hits without their scores."""
    return [(hit.passage, hit.citation) for hit in hits]


def states(findings: list[Finding]) -> set[tuple[str, str]]:
    """The checks that found something, and its state."""
    return {(finding.check, finding.state) for finding in findings}


def test_a_good_library_is_sound(shelf: Library, library: Library) -> None:
    assert examine(shelf) == []
    assert mend(shelf, []) == []
    assert examine(library) == []


def test_an_empty_library_has_nothing_broken(library: Library) -> None:
    assert {finding.state for finding in examine(library)} <= {"pending"}
    assert mend(library, examine(library)) == []
    assert examine(library) == []


SPAN = "(SELECT MIN(id) FROM passages)"


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        (f'UPDATE passages SET "end" = "end" - 3 WHERE id = {SPAN}', "sentences"),
        (f'UPDATE passages SET "start" = "start" + 3 WHERE id = {SPAN}', "sentences"),
        (f'UPDATE passages SET "end" = "end" + 100000 WHERE id = {SPAN}', "spans"),
        ("UPDATE blocks SET hash = x'00112233445566778899aabbccddeeff' WHERE ordinal = 0", "spans"),
        ('UPDATE blocks SET "start" = "start" + 4 WHERE ordinal = 0', "spans"),
        ("UPDATE documents SET text = replace(text, 'was', 'is')", "spans"),
        ("UPDATE documents SET text = replace(text, '1871', '1971')", "spans"),
        (f"DELETE FROM sentences WHERE passage = {SPAN}", "sentences"),
        (f"DELETE FROM sentences WHERE passage = {SPAN} AND ordinal = 1", "sentences"),
        (f'UPDATE sentences SET "start" = "start" + 2 WHERE passage = {SPAN} AND ordinal = 1', "sentences"),
        ("UPDATE vectors SET value = substr(value, 1, 10) WHERE id = 1", "vectors"),
        ("UPDATE vectors SET value = zeroblob(768) WHERE id = 1", "vectors"),
        ("UPDATE vectors SET encoder = 'another' WHERE id = 1", "vectors"),
        ("DELETE FROM vectors WHERE id = 1", "documents"),
        ("DELETE FROM files WHERE source = 'a.txt'", "documents"),
        ("DELETE FROM documents WHERE id = 1", "documents"),
    ],
)
def test_damaged_rows_are_found(shelf: Library, statement: str, check: str) -> None:
    change(shelf, statement)
    broken = [finding for finding in examine(shelf) if finding.state == "broken"]
    assert check in {finding.check for finding in broken}
    for finding in broken:
        assert finding.problem
        assert finding.remedy
    assert mend(shelf, examine(shelf)) == broken  # left to the library's owner


def test_damaged_spans_name_the_file_and_its_remedy_works(shelf: Library, folder: Path) -> None:
    change(shelf, "UPDATE blocks SET hash = x'00' WHERE ordinal = 0 AND document = 1")
    (finding,) = [finding for finding in examine(shelf) if finding.state == "broken"]
    assert "a.txt" in finding.problem
    assert "refdesk remove a.txt" in finding.remedy
    shelf.remove("a.txt")
    shelf.sync([folder])
    assert examine(shelf) == []


@pytest.mark.parametrize(
    "statement",
    [
        f'UPDATE passages SET "end" = "end" - 3 WHERE id = {SPAN}',
        f"DELETE FROM sentences WHERE passage = {SPAN} AND ordinal = 0",
        "UPDATE vectors SET value = substr(value, 1, 10) WHERE id = 1",
        "UPDATE vectors SET value = zeroblob(768) WHERE id = 1",
        "UPDATE vectors SET encoder = 'another' WHERE id = 1",
    ],
)
def test_rebuilding_mends_what_it_is_the_remedy_of(shelf: Library, encoder: Encoder, statement: str) -> None:
    before = shown(shelf.retrieve(QUESTION))
    change(shelf, statement)
    broken = [finding for finding in examine(shelf) if finding.state == "broken"]
    assert any("--rebuild" in finding.remedy for finding in broken)
    shelf.rebuild(encoder)
    assert examine(shelf) == []
    assert shown(shelf.retrieve(QUESTION)) == before


def truncate(path: Path) -> None:
    """The first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    """A file with other bytes in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 16] = bytes(range(16))
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["*/vectors.faiss", "*/passages-ids.npy", "*/postings-rows.npy", "manifest.json"])
@pytest.mark.parametrize("damage", [truncate, overwrite, Path.unlink])
def test_damaged_indexes_are_made_again(
    shelf: Library, encoder: Encoder, name: str, damage: Callable[[Path], object]
) -> None:
    before = shelf.retrieve(QUESTION)
    (path,) = shelf.index_folder.glob(name)
    damage(path)
    with Library.open(shelf.path, encoder=encoder) as library:
        findings = examine(library)
        assert {finding.check for finding in findings} == {"indexes"}
        assert "broken" not in {finding.state for finding in findings}
        after = library.retrieve(QUESTION)
        assert shown(after) == shown(before)
        assert [hit.score for hit in after] == pytest.approx([hit.score for hit in before], abs=1e-6)
        assert mend(library, findings) == []
        assert examine(library) == []
        assert library.status().indexes == "current"
    with Library.open(shelf.path, encoder=encoder) as library:
        assert shown(library.retrieve(QUESTION)) == shown(before)


def test_all_indexes_gone(shelf: Library, encoder: Encoder) -> None:
    before = shown(shelf.retrieve(QUESTION))
    shutil.rmtree(shelf.index_folder)
    with Library.open(shelf.path, encoder=encoder) as library:
        assert shown(library.retrieve(QUESTION)) == before
        mend(library, examine(library))
        assert examine(library) == []


def test_indexes_of_another_library_are_not_used(shelf: Library, tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "c.txt").write_text("Soup of leeks is eaten cold.\n\nIt is served in bowls of clay.\n")
    with Library.create(tmp_path / "second", encoder=encoder) as second:
        second.sync([tmp_path / "other"])
        while second.store.generation() < shelf.store.generation():
            with second.store.transaction():
                second.store.set_meta("generation", str(shelf.store.generation()))
        second.save_indexes()
        shutil.rmtree(shelf.index_folder)
        shutil.copytree(second.index_folder, shelf.index_folder)
    with Library.open(shelf.path, encoder=encoder) as library:
        assert [finding.check for finding in examine(library)] == ["indexes"]
        assert library.retrieve(QUESTION, 1)[0].citation.source == "a.txt"


def test_a_damaged_sqlite_file(shelf: Library, encoder: Encoder) -> None:
    path, store = shelf.path, shelf.store.path
    shelf.close()
    content = bytearray(store.read_bytes())
    content[8192 : len(content) - 8192] = np.random.default_rng(1).bytes(len(content) - 16384)
    store.write_bytes(content)
    with Library.open(path, encoder=encoder) as library:
        (finding,) = examine(library)
        assert (finding.check, finding.state) == ("file", "broken")
        assert "SQLite" in finding.problem
        assert "index again" in finding.remedy
        assert mend(library, [finding]) == [finding]
    assert store.read_bytes() == bytes(content)


def test_what_an_interrupted_run_leaves_is_pending_and_mended(shelf: Library, folder: Path) -> None:
    before = shelf.retrieve("How long are umbrellas kept?")
    change(shelf, "INSERT INTO vectors (encoder, hash, value) VALUES ('x', x'01', x'02')")
    change(shelf, "INSERT INTO pending SELECT DISTINCT hash FROM blocks")
    change(shelf, "UPDATE blocks SET repeated = 0")
    change(shelf, "UPDATE meta SET value = value + 1 WHERE key = 'generation'")
    findings = examine(shelf)
    assert states(findings) == {("vectors", "pending"), ("labels", "pending"), ("indexes", "pending")}
    assert mend(shelf, findings) == []
    assert examine(shelf) == []
    after = shelf.retrieve("How long are umbrellas kept?")
    assert shown(after) == shown(before)
    assert after[0].passage.zone == "repeated"
    assert shelf.sync([folder]).counts == {"unchanged": 2}

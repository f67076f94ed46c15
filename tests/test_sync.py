"""Bringing a library to the state of folders: what is noticed, what is kept, what is never found again."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from docx import Document as NewDocx
from files_for_tests import lines, pdf

from embeddings import Encoder
from qa import Library, LibraryError, QAError, SyncReport
from qa.types import Hit, Progress
from qa.walk import RACY_NANOSECONDS

LIGHTHOUSE = "The lighthouse of Arvel was built in 1871 by Ines Calder. Its lamp burns rapeseed oil.\n"
BRIDGE = "The bridge over the Tamsin carries two tramway lines. Its arches are made of granite.\n"
BAKERY = "The bakery in Corn Street sells rye bread before dawn. Its oven was lit in 1903.\n"
ORCHARD = "The orchard behind the abbey grows medlars. A hail storm in May destroyed the harvest.\n"
NOTICE = "Lost umbrellas are kept for ninety days in the porter's room beside the northern gate.\n"


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files, making the folders they need."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def settle(*folders: Path) -> None:
    """Wait out the time in which a file could change again within one tick of its clock, by dating files back.

    The time of the last change of a file's status cannot be set, so this waits where it must.
    """
    newest = max(path.stat().st_ctime_ns for folder in folders for path in folder.rglob("*"))
    time.sleep(max(0.0, (newest + RACY_NANOSECONDS - time.time_ns()) / 1e9 + 0.05))


def states(report: SyncReport) -> dict[str, str]:
    """What became of each file."""
    return {outcome.source: outcome.state for outcome in report.outcomes}


def reasons(report: SyncReport) -> dict[str, str | None]:
    """Why it became that."""
    return {outcome.source: outcome.reason for outcome in report.outcomes}


def sources(library: Library) -> list[str]:
    """The sources in the list of documents."""
    return [info.source for info in library.documents()]


def texts(library: Library, question: str, k: int = 50) -> str:
    """All passages found for a question, as one text."""
    return "\n".join(hit.passage.text for hit in library.retrieve(question, k))


def counts(library: Library) -> dict[str, int]:
    """The numbers of rows."""
    return library.store.counts()


# What is noticed


def test_a_second_sync_does_nothing_and_loads_no_encoder(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "deep/er/b.md": f"# Bridges\n\n{BRIDGE}", "broken.txt": b"\x00\x01\x02" * 50})
    first = library.sync([folder])
    assert first.counts == {"added": 2, "failed": 1}
    assert first.encoded > 0
    before, generation = counts(library), library.store.generation()
    with Library.open(library.path) as other:  # at once: the files are too new to be taken for unchanged unread
        second = other.sync([folder])
        assert second.counts == {"unchanged": 2, "failed": 1}
        assert second.encoded == 0
        assert other._encoder is None
    settle(folder)
    library.sync([folder])  # notes the signatures of files that are no longer new
    generation = library.store.generation()
    with Library.open(library.path) as other:
        third = other.sync([folder])
        assert third.counts == {"unchanged": 2, "failed": 1}
        assert other._encoder is None
        assert other.store.generation() == generation
    assert counts(library) == before


def test_new_changed_and_deleted_files(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "b.txt": BRIDGE, "c.txt": BAKERY})
    library.sync([folder])
    write(folder, {"b.txt": BRIDGE + "\nA ferry runs on Sundays.\n", "d.txt": ORCHARD})
    (folder / "c.txt").unlink()
    report = library.sync([folder])
    assert states(report) == {"b.txt": "changed", "c.txt": "removed", "d.txt": "added"}
    assert report.counts == {"added": 1, "changed": 1, "removed": 1, "unchanged": 1}
    assert report.encoded == 3  # the new sentence of b and the two of d
    assert sources(library) == ["a.txt", "b.txt", "d.txt"]
    assert "ferry" in library.retrieve("When does the ferry run?", 1)[0].passage.text


def test_renamed_and_moved_files_are_not_encoded_again(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "b.txt": BRIDGE})
    library.sync([folder])
    (folder / "a.txt").rename(folder / "lighthouse.txt")
    (folder / "sub").mkdir()
    (folder / "b.txt").rename(folder / "sub" / "b.txt")
    with Library.open(library.path) as other:
        report = other.sync([folder])
        assert other._encoder is None
    assert reasons(report)["lighthouse.txt"] == "was a.txt"
    assert reasons(report)["sub/b.txt"] == "was b.txt"
    assert report.encoded == 0
    assert sources(library) == ["lighthouse.txt", "sub/b.txt"]
    assert library.retrieve("Who built the lighthouse?", 1)[0].citation.source == "lighthouse.txt"


def test_a_renamed_file_is_not_told_as_removed_too(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE})
    library.sync([folder])
    (folder / "a.txt").rename(folder / "z.txt")
    assert library.sync([folder]).counts == {"renamed": 1}


def test_renamed_to_another_kind_is_read_but_not_encoded_again(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE})
    library.sync([folder])
    (folder / "a.txt").rename(folder / "a.md")
    report = library.sync([folder])
    assert report.encoded == 0
    assert sources(library) == ["a.md"]
    assert counts(library)["documents"] == 1


def test_a_copy_is_one_document_with_two_sources(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE})
    library.sync([folder])
    write(folder, {"copies/a again.txt": LIGHTHOUSE})
    report = library.sync([folder])
    assert states(report) == {"copies/a again.txt": "added"}
    assert report.encoded == 0
    assert counts(library)["documents"] == 1
    hit = library.retrieve("Who built the lighthouse?", 5)[0]
    assert hit.citation.sources == ("a.txt", "copies/a again.txt")
    assert hit.passage.zone == "main"
    (folder / "a.txt").unlink()
    library.sync([folder])
    assert library.retrieve("Who built the lighthouse?", 5)[0].citation.sources == ("copies/a again.txt",)


def test_two_copies_in_one_sync_are_one_document(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "b.txt": LIGHTHOUSE})
    library.sync([folder])
    assert counts(library)["documents"] == 1
    assert library.retrieve("Who built the lighthouse?", 5)[0].citation.sources == ("a.txt", "b.txt")


def test_same_size_and_same_time_rewrite_is_noticed(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE})
    times = (folder / "a.txt").stat()
    library.sync([folder])
    changed = LIGHTHOUSE.replace("1871", "1902")
    assert len(changed) == len(LIGHTHOUSE)
    for round_ in range(2):  # right after the sync, and once the file is no longer new
        write(folder, {"a.txt": changed if round_ == 0 else LIGHTHOUSE})
        os.utime(folder / "a.txt", ns=(times.st_atime_ns, times.st_mtime_ns))
        assert library.sync([folder]).counts == {"changed": 1}
        settle(folder)
        library.sync([folder])
    assert "1871" in texts(library, "When was the lighthouse built?")


def test_touched_and_restored_files_are_unchanged(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE})
    library.sync([folder])
    os.utime(folder / "a.txt", (1, 1))
    assert library.sync([folder]).counts == {"unchanged": 1}
    write(folder, {"a.txt": LIGHTHOUSE})
    assert library.sync([folder]).counts == {"unchanged": 1}


def test_deleted_text_is_found_by_no_question_at_once(library: Library, folder: Path, encoder: Encoder) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "b.txt": BRIDGE})
    library.sync([folder])
    with Library.open(library.path, encoder=encoder) as opened_before:
        assert "rapeseed" in texts(opened_before, "What oil does the lamp burn?")
        (folder / "a.txt").unlink()
        library.sync([folder])
        for asked in (library, opened_before):
            for question in ("What oil does the lamp burn?", "rapeseed oil", LIGHTHOUSE):
                assert "rapeseed" not in texts(asked, question)
    words = b"rapeseed"
    assert not [path for path in library.path.rglob("*.npz") if words in path.read_bytes()]


def test_changed_text_is_found_by_no_question_at_once(library: Library, folder: Path, encoder: Encoder) -> None:
    write(folder, {"a.txt": LIGHTHOUSE})
    library.sync([folder])
    with Library.open(library.path, encoder=encoder) as opened_before:
        assert "rapeseed" in texts(opened_before, "rapeseed oil")
        write(folder, {"a.txt": LIGHTHOUSE.replace("rapeseed", "paraffin")})
        library.sync([folder])
        assert "rapeseed" not in texts(opened_before, "rapeseed oil")
        assert "paraffin" in texts(opened_before, "What oil does the lamp burn?")


# What fails


def test_files_that_fail_are_reported_and_stop_nothing(library: Library, folder: Path) -> None:
    write(
        folder,
        {
            "a good.txt": LIGHTHOUSE,
            "binary.txt": bytes(range(256)) * 20,
            "broken.pdf": b"%PDF-1.7\nthis is no PDF at all",
            "empty.md": "",
            "scanned.pdf": pdf([[]]),
            "z good.txt": BRIDGE,
        },
    )
    (folder / "gone.txt").symlink_to(folder / "nothing there.txt")
    (folder / "loop.txt").symlink_to(folder / "loop.txt")
    os.mkfifo(folder / "pipe.txt")
    report = library.sync([folder])
    failed = {source for source, state in states(report).items() if state == "failed"}
    assert failed == {"binary.txt", "broken.pdf", "empty.md", "scanned.pdf", "gone.txt", "loop.txt", "pipe.txt"}
    assert report.counts == {"added": 2, "failed": 7}
    for source in failed:
        reason = reasons(report)[source]
        assert reason
        assert "\n" not in reason
        assert "Traceback" not in reason
    assert "empty" in (reasons(report)["empty.md"] or "")
    told = {info.source: (info.state, info.reason) for info in library.documents()}
    assert told == {
        **{source: ("failed", reasons(report)[source]) for source in failed},
        "a good.txt": ("indexed", None),
        "z good.txt": ("indexed", None),
    }
    assert "granite" in texts(library, "What are the arches of the bridge made of?")


def test_failed_files_stay_failed_and_are_mended(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "b.txt": b""})
    library.sync([folder])
    settle(folder)
    for _ in range(2):
        report = library.sync([folder])
        assert report.counts == {"unchanged": 1, "failed": 1}
        assert reasons(report)["b.txt"]
    write(folder, {"b.txt": BRIDGE})
    assert states(library.sync([folder]))["b.txt"] in ("added", "changed")
    assert [info.state for info in library.documents()] == ["indexed", "indexed"]


def test_a_file_that_becomes_unreadable_keeps_the_earlier_version(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE})
    library.sync([folder])
    with library.store.transaction():
        library.store.connection.execute("UPDATE files SET indexed_at = '2001-02-03T04:05:06+00:00'")
    for junk in (b"\x00\x01\x02" * 40, b"\x00\x03\x04" * 40):  # it goes on failing in another way
        write(folder, {"a.txt": junk})
        report = library.sync([folder])
        assert states(report) == {"a.txt": "failed"}
        assert "stays in the library" in (reasons(report)["a.txt"] or "")
        assert "2001-02-03" in (reasons(report)["a.txt"] or "")
    assert "rapeseed" in texts(library, "What oil does the lamp burn?")
    info = library.documents()[0]
    assert (info.state, info.reason) == ("indexed", reasons(report)["a.txt"])
    write(folder, {"a.txt": LIGHTHOUSE})
    assert library.sync([folder]).counts == {"unchanged": 1}
    assert library.documents()[0].reason is None


def test_missing_folder_changes_nothing(library: Library, folder: Path, tmp_path: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE})
    library.sync([folder])
    write(folder, {"b.txt": BRIDGE})
    before = counts(library)
    with pytest.raises(QAError, match="no such file or folder"):
        library.sync([folder, tmp_path / "missing"])
    shutil.rmtree(folder)
    with pytest.raises(QAError, match="nothing was changed"):
        library.sync([folder])
    with pytest.raises(LibraryError, match="no path"):
        library.sync([])
    assert counts(library) == before
    assert "rapeseed" in texts(library, "What oil does the lamp burn?")


def test_a_single_file_of_an_unknown_kind_is_refused(library: Library, folder: Path) -> None:
    write(folder, {"a.xyz": LIGHTHOUSE})
    with pytest.raises(QAError, match=r"a\.xyz"):
        library.sync([folder / "a.xyz"])
    report = library.sync([folder])
    assert report.counts == {}
    assert report.skipped == {".xyz": 1}


def test_empty_folder_and_folder_that_was_emptied(library: Library, folder: Path) -> None:
    assert library.sync([folder]).counts == {}
    assert library.retrieve("Who built the lighthouse?") == []
    write(folder, {"a.txt": LIGHTHOUSE, "sub/b.txt": BRIDGE})
    library.sync([folder])
    shutil.rmtree(folder / "sub")
    (folder / "a.txt").unlink()
    report = library.sync([folder])
    assert states(report) == {"a.txt": "removed", "sub/b.txt": "removed"}
    assert counts(library) == dict.fromkeys(counts(library), 0)
    assert library.retrieve("Who built the lighthouse?") == []
    answer = library.ask("Who built the lighthouse?")
    assert (answer.found, answer.sentences, answer.hits, answer.misses) == (False, (), (), ())


@contextmanager
def without_capabilities() -> Iterator[None]:
    """On Linux, make file permissions bind this thread even where it runs as root."""

    class Header(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))

    class Data(ctypes.Structure):
        _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))

    if not sys.platform.startswith("linux"):
        pytest.skip("needs Linux's capabilities")
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = Header(0x20080522, 0), (Data * 2)()
    assert libc.capget(ctypes.byref(header), data) == 0
    before = data[0].effective
    data[0].effective = 0
    assert libc.capset(ctypes.byref(header), data) == 0
    try:
        yield
    finally:
        data[0].effective = before
        assert libc.capset(ctypes.byref(header), data) == 0


@pytest.mark.parametrize("locked", ["sub", "."])
def test_a_folder_that_cannot_be_listed_loses_nothing(library: Library, folder: Path, locked: str) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "sub/b.txt": BRIDGE})
    library.sync([folder])
    (folder / locked).chmod(0)
    try:
        with without_capabilities():
            try:
                report = library.sync([folder])
            except QAError:
                pass  # to refuse is as good as to note it
            else:
                assert any("cannot be read" in note for note in report.notes)
                assert "removed" not in report.counts
    finally:
        (folder / locked).chmod(0o755)
    assert sources(library) == ["a.txt", "sub/b.txt"]
    assert "granite" in texts(library, "What are the arches of the bridge made of?")


def test_a_file_without_permission_keeps_the_earlier_version(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "b.txt": BRIDGE})
    library.sync([folder])
    write(folder, {"a.txt": BAKERY})
    (folder / "a.txt").chmod(0)
    with without_capabilities():
        report = library.sync([folder])
    assert states(report) == {"a.txt": "failed"}
    assert "permission" in (reasons(report)["a.txt"] or "")
    assert "rapeseed" in texts(library, "What oil does the lamp burn?")
    (folder / "a.txt").chmod(0o644)
    assert states(library.sync([folder])) == {"a.txt": "changed"}


@pytest.mark.parametrize("path", ["docs/a.txt", "docs/sub"])
def test_a_path_behind_a_locked_folder_is_one_clear_error(library: Library, folder: Path, path: str) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "sub/b.txt": BRIDGE})
    library.sync([folder])
    folder.chmod(0)
    try:
        with without_capabilities(), pytest.raises(QAError):
            library.sync([folder.parent / path])
    finally:
        folder.chmod(0o755)
    assert sources(library) == ["a.txt", "sub/b.txt"]


# Names


def test_sources_are_paths_within_the_folder(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "x/b.txt": BRIDGE, "x/y/c.txt": BAKERY})
    library.sync([folder])
    assert sources(library) == ["a.txt", "x/b.txt", "x/y/c.txt"]
    assert {info.root for info in library.documents()} == {str(folder.resolve())}


def test_one_file(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "b.txt": BRIDGE})
    assert library.sync([folder / "a.txt"]).counts == {"added": 1}
    assert sources(library) == ["a.txt"]
    assert library.sync([folder]).counts == {"added": 1, "unchanged": 1}  # the neighbour comes, nothing goes
    assert library.sync([folder / "b.txt"]).counts == {"unchanged": 1}
    assert sources(library) == ["a.txt", "b.txt"]


def test_two_roots_with_a_file_of_the_same_name(library: Library, folder: Path) -> None:
    write(folder, {"one/notes.txt": LIGHTHOUSE, "two/notes.txt": BRIDGE})
    library.sync([folder / "one", folder / "two"])
    infos = library.documents()
    assert [info.source for info in infos] == ["notes.txt", "notes.txt"]
    assert len({info.root for info in infos}) == 2
    assert counts(library)["documents"] == 2
    hits = library.retrieve("lighthouse bridge", where={"root": str((folder / "two").resolve())})
    assert [hit.passage.text.split()[1] for hit in hits] == ["bridge"]
    (folder / "one" / "notes.txt").unlink()
    assert library.sync([folder / "one", folder / "two"]).counts == {"removed": 1, "unchanged": 1}
    assert "rapeseed" not in texts(library, "rapeseed oil")
    assert "granite" in texts(library, "granite arches")


def test_a_sub_folder_of_an_indexed_root_keeps_its_names(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "x/b.txt": BRIDGE})
    library.sync([folder])
    write(folder, {"x/c.txt": BAKERY})
    report = library.sync([folder / "x"])
    assert states(report) == {"x/c.txt": "added"}
    (folder / "x" / "b.txt").unlink()
    assert states(library.sync([folder / "x"])) == {"x/b.txt": "removed"}
    assert library.sync([folder / "x" / "c.txt"]).counts == {"unchanged": 1}
    assert sources(library) == ["a.txt", "x/c.txt"]


def test_an_outer_folder_takes_over_an_inner_one(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "x/b.txt": BRIDGE})
    library.sync([folder / "x"])
    assert sources(library) == ["b.txt"]
    report = library.sync([folder])
    assert report.encoded == 2
    assert sources(library) == ["a.txt", "x/b.txt"]
    assert library.status().roots == (str(folder.resolve()),)


@pytest.mark.parametrize("order", [("", "x"), ("x", "")])
def test_a_folder_and_its_sub_folder_together(library: Library, folder: Path, order: tuple[str, str]) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "x/b.txt": BRIDGE})
    paths = [folder / name for name in order]
    assert library.sync(paths).counts == {"added": 2}
    assert sources(library) == ["a.txt", "x/b.txt"]
    settle(folder)
    library.sync(paths)
    assert library.sync(paths).counts == {"unchanged": 2}
    assert sources(library) == ["a.txt", "x/b.txt"]


def test_links(library: Library, folder: Path, tmp_path: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE})
    write(tmp_path / "elsewhere", {"b.txt": BRIDGE, "c.txt": BAKERY})
    (folder / "loop").symlink_to(folder)
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "c.txt").symlink_to(tmp_path / "elsewhere" / "c.txt")
    report = library.sync([folder])
    assert sources(library) == ["a.txt", "c.txt"]
    assert sorted(note.split(":")[0] for note in report.notes) == ["linked", "loop"]
    (tmp_path / "other name").symlink_to(folder)
    assert library.sync([tmp_path / "other name"]).counts == {"unchanged": 2}  # the folder itself, by another name


def test_hidden_files_are_left_out(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, ".secret.txt": BRIDGE, ".git/b.txt": BAKERY})
    assert library.sync([folder]).counts == {"added": 1}


def test_the_library_within_the_indexed_folder(folder: Path, encoder: Encoder) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "shelf/b.txt": BRIDGE})
    with Library.create(folder / "library", encoder=encoder) as library:
        write(folder / "library", {"note.txt": BAKERY})
        for _ in range(2):
            library.sync([folder])
            assert sources(library) == ["a.txt", "shelf/b.txt"]


def test_spaces_and_letters_of_all_kinds_in_names(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "Größe & Maß" / "мир 世界"
    write(
        folder, {"naïve plan (2).txt": LIGHTHOUSE, "日本/語.txt": BRIDGE, "[a]*?.txt": BAKERY, "#%20'\".txt": ORCHARD}
    )
    assert library.sync([folder]).counts == {"added": 4}
    assert sources(library) == sorted(["naïve plan (2).txt", "日本/語.txt", "[a]*?.txt", "#%20'\".txt"])
    hit = library.retrieve("rye bread before dawn", 1, sources="[a]*?.txt")[0]
    assert hit.citation.source == "[a]*?.txt"
    assert library.remove("[a]*?.txt") == ["[a]*?.txt"]


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_that_are_no_text(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE})
    write(folder, {os.fsdecode(b"b\xff.txt"): BRIDGE})
    report = library.sync([folder])
    assert report.counts == {"added": 1}
    assert len(report.notes) == 1
    folder_without_text = folder / os.fsdecode(b"c\xff")
    write(folder_without_text, {"d.txt": BAKERY})
    with pytest.raises(QAError):
        library.sync([folder_without_text])


def test_progress_is_told(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": LIGHTHOUSE, "b.txt": BRIDGE, "c.txt": b""})
    (folder / "gone.txt").symlink_to(folder / "nothing there.txt")
    heard: list[Progress] = []
    library.sync([folder], on_progress=heard.append)
    assert [step.stage for step in (heard[0], heard[-1])] == ["reading", "finishing"]
    assert all(0 <= step.done <= step.total and 0 <= step.files <= step.files_total for step in heard)
    assert heard[-1].done == heard[-1].total
    assert [step.done for step in heard] == sorted(step.done for step in heard)


# Repeated blocks


def test_a_repeated_paragraph_is_one_hit_with_all_sources(library: Library, folder: Path) -> None:
    write(folder, {"a.txt": f"{LIGHTHOUSE}\n{NOTICE}", "b.txt": f"{BRIDGE}\n{NOTICE}", "c.txt": BAKERY})
    library.sync([folder])
    question = "How long are lost umbrellas kept?"
    hits = [hit for hit in library.retrieve(question, 50) if "umbrellas" in hit.passage.text]
    assert len(hits) == 1
    assert hits[0].passage.zone == "repeated"
    assert hits[0].passage.text == NOTICE.strip()
    assert set(hits[0].citation.sources) == {"a.txt", "b.txt"}
    assert hits[0].citation.source == hits[0].citation.sources[0]
    assert library.ask(question).found
    (folder / "b.txt").unlink()
    library.sync([folder])
    hits = [hit for hit in library.retrieve(question, 50) if "umbrellas" in hit.passage.text]
    assert [hit.passage.zone for hit in hits] == ["main"]
    assert hits[0].citation.sources == ("a.txt",)
    assert {block.zone for block in library.open_citation(hits[0].citation.id).blocks} == {"main"}
    write(folder, {"d.txt": f"{ORCHARD}\n{NOTICE}"})
    library.sync([folder])
    hits = [hit for hit in library.retrieve(question, 50) if "umbrellas" in hit.passage.text]
    assert [(hit.passage.zone, set(hit.citation.sources)) for hit in hits] == [("repeated", {"a.txt", "d.txt"})]


def test_text_repeated_in_many_documents_leaves_room_for_others(library: Library, folder: Path) -> None:
    own = "Parcel {0} belongs to the estate of family {0}."
    write(folder, {f"n{i:02}.txt": f"{NOTICE}\n{own.format(i)}\n" for i in range(40)})
    library.sync([folder])
    hits = library.retrieve("How long are lost umbrellas kept?", 5)
    assert len(hits[0].citation.sources) == 40
    assert len(hits) == 5


def assert_spans(library: Library) -> int:
    """Every passage, sentence and citation is its document's own words; returns how many passages there are."""
    rows = library.store.passages([row[0] for row in library.store.passage_rows()])
    for row in rows.values():
        text = library.store.text(row.document)[0]
        passage = library.store.passage(row)
        assert (
            passage.text == text[row.start : row.end] == library.document(passage.document_id).text[row.start : row.end]
        )
        assert passage.text == passage.text.strip() != ""
        place = row.start
        for start, end, _ in library.store.sentences(row.id):
            assert not text[place:start].strip()
            assert place <= start < end <= row.end
            place = end
        assert place == row.end
    return len(rows)


def test_passages_are_their_documents_words_in_all_kinds(library: Library, folder: Path) -> None:
    odd = (
        "Ein Satz mit 𝒰nicode 🗺️ und e\u0301. Noch einer\u00a0hier!\r\n\r\n"
        "Dritte Zeile\twith a tab. 世界は広い。次の文。\r\n"
    )
    table = "| tree | height |\n|---|---|\n| oak | 31 m |\n| yew | 12 m |\n"
    write(
        folder,
        {
            "a.txt": odd
            + "\n"
            + " ".join(f"Sentence number {i} tells of the tower." for i in range(60))
            + f"\n\n{NOTICE}",
            "b.md": f"---\ntitle: Trees\n---\n\n# Trees\n\n{ORCHARD}\n\n{table}\n"
            f"```\ncode = 1\n```\n\n- one\n- two\n\n{NOTICE}",
            "c.html": f"<nav>Home</nav><main><h1>Bread</h1><p>{BAKERY}</p><table><tr><td>a<td>b</table></main>",
            "d.pdf": pdf(
                [lines(LIGHTHOUSE.strip()), lines("Second page of the report.", "It is short.")], title="Report"
            ),
        },
    )
    docx = NewDocx()
    docx.add_heading("Bridges", 1)
    docx.add_paragraph(BRIDGE.strip())
    docx.save(str(folder / "e.docx"))
    assert library.sync([folder]).counts == {"added": 5}
    assert {info.kind for info in library.documents()} == {"text", "markdown", "html", "pdf", "docx"}
    assert assert_spans(library) >= 10
    (folder / "a.txt").unlink()
    library.sync([folder])
    assert_spans(library)
    for hit in library.retrieve("tower trees bread lighthouse bridge", 50):
        context = library.open_citation(hit.citation.id)
        assert context.document.text[hit.citation.start : hit.citation.end] == hit.citation.quote


def shown(hits: list[Hit]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """What two libraries must agree on, scores apart."""
    return [(hit.passage.id, hit.passage.zone, hit.citation.id, hit.citation.sources) for hit in hits]


def test_results_do_not_depend_on_the_order_of_arrival(tmp_path: Path, encoder: Encoder, folder: Path) -> None:
    final = {
        "a.txt": f"{LIGHTHOUSE}\n{NOTICE}",
        "b.txt": f"{BRIDGE}\n{NOTICE}",
        "c.md": f"# Bread\n\n{BAKERY}",
        "d.txt": ORCHARD,
        "e.txt": f"{NOTICE}",
    }
    with (
        Library.create(tmp_path / "one", encoder=encoder) as one,
        Library.create(tmp_path / "two", encoder=encoder) as two,
    ):
        write(folder, {"d.txt": BRIDGE, "x.txt": LIGHTHOUSE, "e.txt": "Something else entirely."})
        two.sync([folder])
        write(folder, {"e.txt": final["e.txt"]})
        two.sync([folder])
        (folder / "x.txt").unlink()
        write(folder, {name: final[name] for name in ("d.txt", "c.md", "b.txt")})
        two.sync([folder])
        write(folder, final)
        two.sync([folder])
        one.sync([folder])
        assert counts(one) == counts(two)
        for question in (
            "How long are umbrellas kept?",
            "Who built the lighthouse?",
            "bread",
            "What destroyed the harvest",
        ):
            first, second = one.retrieve(question, 20), two.retrieve(question, 20)
            assert shown(first) == shown(second)
            assert [hit.score for hit in first] == pytest.approx([hit.score for hit in second], abs=1e-5)

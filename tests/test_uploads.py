"""Files that come through the page: their names, what is unpacked, how they are indexed, and what a crash leaves."""

from __future__ import annotations

import io
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from browser import ROOT
from files_for_tests import zip_with

from embeddings import Encoder
from qa import Library, QAError, ingest, unpack, uploads
from qa.errors import ReadError
from qa.indexer import Indexer, IndexerError
from qa.ingest import FileState, Ingest, Job, QueueFullError
from qa.types import DocumentInfo
from qa.uploads import DiskFullError, TakenError, Uploads, safe_name

SECONDS = 120


@pytest.fixture
def held(library: Library) -> Iterator[Uploads]:
    """The uploads of an empty library."""
    made = Uploads(library)
    yield made
    made.close()


def add(held: Uploads, name: str, content: bytes | str, job: Job | None = None) -> Job:
    """Upload to the end of its job."""
    done = send(held, name, content, job)
    assert held.ingest.wait(done, SECONDS)
    return done


def send(held: Uploads, name: str, content: bytes | str, job: Job | None = None) -> Job:
    with held.incoming() as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        return held.add(name, partial, job=job)


def outcomes(job: Job) -> dict[str, str]:
    return {file.name: file.state for file in job.files}


def info(held: Uploads, source: str) -> DocumentInfo:
    return next(one for one in held.library.documents() if one.source == source)


def sources(held: Uploads) -> list[str]:
    return [one.source for one in held.library.documents()]


def on_disk(held: Uploads) -> list[str]:
    """All files below the uploads, hidden ones too."""
    return sorted(path.relative_to(held.folder).as_posix() for path in held.folder.rglob("*") if path.is_file())


def answer(held: Uploads, question: str) -> str:
    return " ".join(sentence.text for sentence in held.library.ask(question).sentences)


# Names


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("notes.md", "notes.md"),
        ("a/b/notes.md", "notes.md"),
        ("..\\..\\notes.md", "notes.md"),
        ("../../etc/passwd.txt", "passwd.txt"),
        (".hidden.md", "hidden.md"),
        ("  two\n words .md", "two words.md"),
        ("\u202egpj.exe.md", "_gpj.exe.md"),
        ("a\x00b\x1b.md", "a_b_.md"),
        ('<img src="x" onerror=1>.md', "_img src=_x_ onerror=1_.md"),
        ("what?*[1].md", "what__[1].md"),
        ("e\u0301.md", "é.md"),
        ("نامه\u200cها.md", "نامه\u200cها.md"),
        ("CON.txt", "_CON.txt"),
        ("\ud800.md", "_.md"),
        ("x" * 500 + ".pdf", "x" * 176 + ".pdf"),
        ("я" * 500 + ".pdf", "я" * 88 + ".pdf"),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert safe_name(safe) == safe


@pytest.mark.parametrize("name", ["", "/", "..", "...", " . ", "a/"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(QAError, match="give it one"):
        safe_name(name)


def test_a_suffix_that_is_too_long() -> None:
    with pytest.raises(QAError, match="shorten it"):
        safe_name("x." + "y" * 30)


# One file


def test_an_uploaded_file_answers_and_is_kept_under_its_name(held: Uploads) -> None:
    job = add(held, "../zebra.md", "# Permits\n\nThe zebra permit costs 40 coins.\n")
    assert outcomes(job) == {"zebra.md": "indexed"}
    assert job.files[0].passages == 1
    assert answer(held, "What does the zebra permit cost?") == "The zebra permit costs 40 coins."
    assert sources(held) == on_disk(held) == ["zebra.md"]
    assert held.holds(info(held, "zebra.md"))


def test_a_file_that_cannot_be_read_says_why_and_stops_nothing(held: Uploads) -> None:
    job = add(held, "bad.pdf", b"not a PDF at all")
    job = add(held, "good.txt", "The good file has words.", job)
    assert outcomes(job) == {"bad.pdf": "failed", "good.txt": "indexed"}
    assert "not a readable PDF" in (job.files[0].reason or "")
    assert str(held.folder) not in (job.files[0].reason or "")


def test_other_kinds_are_refused_and_leave_nothing(held: Uploads) -> None:
    for name in ("program.exe", "photo.heic", "notes"):
        with pytest.raises(QAError, match=r"expected one of \.docx, .* or \.zip, came"):
            add(held, name, b"x")
    assert on_disk(held) == []


def test_a_taken_name_gets_a_number_unless_the_bytes_are_the_same(held: Uploads) -> None:
    assert outcomes(add(held, "a.txt", "The first file.")) == {"a.txt": "indexed"}
    assert outcomes(add(held, "a.txt", "The second file.")) == {"a (2).txt": "indexed"}
    assert outcomes(add(held, "a.txt", "The third file.")) == {"a (3).txt": "indexed"}
    assert outcomes(add(held, "a.txt", "The second file.")) == {"a (2).txt": "unchanged"}
    assert on_disk(held) == ["a (2).txt", "a (3).txt", "a.txt"]


def test_an_upload_that_breaks_off_leaves_nothing(held: Uploads) -> None:
    with pytest.raises(RuntimeError), held.incoming() as partial:  # noqa: PT012
        partial.write_bytes(b"half")
        raise RuntimeError
    assert on_disk(held) == []


def test_a_file_has_its_name_only_when_it_is_whole(held: Uploads) -> None:
    with held.incoming() as partial:
        partial.write_bytes(b"The first half and ")
        assert on_disk(held) == [partial.name]
        assert partial.name.startswith(".")  # no folder that is indexed shows it


def test_no_room(held: Uploads) -> None:
    with pytest.raises(DiskFullError, match="do not fit on the disk, which has"):
        held.check_space(1 << 60)
    held.room = lambda more: f"No room for {more}."
    with pytest.raises(DiskFullError, match=r"No room for 5\."):
        held.check_space(5)
    with pytest.raises(DiskFullError, match=r"No room for 11\."):
        add(held, "a.zip", zip_with({"a.txt": b"Some words."}))
    assert on_disk(held) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_one_line(held: Uploads) -> None:
    full = pytest.raises(DiskFullError, match="the disk is full: free some space")
    with full as caught, held.incoming() as partial:
        partial.symlink_to("/dev/full")
        partial.write_bytes(b"x" * 10_000)
    assert "\n" not in str(caught.value)
    assert on_disk(held) == []


def test_a_folder_that_cannot_be_written_is_one_line(held: Uploads) -> None:
    held.folder.write_text("in the way")
    with pytest.raises(QAError, match=r"the library's uploads cannot be written \("):
        add(held, "a.txt", "x")


# Archives


def test_a_zip_keeps_its_folders_and_says_what_is_left_out(held: Uploads) -> None:
    members = {
        "a.md": b"The axolotl sleeps at noon.",
        "deep/er/b.txt": b"The badger sleeps at night.",
        "deep/c.exe": b"MZ",
        "inner.zip": zip_with({"x.txt": b"The xerus."}),
        ".hidden.md": b"Hidden words.",
        "__MACOSX/a.md": b"junk",
    }
    job = add(held, "animals.zip", zip_with(members))
    assert outcomes(job) == {
        "animals/a.md": "indexed",
        "animals/deep/er/b.txt": "indexed",
        "deep/c.exe": "skipped",
        "inner.zip": "skipped",
        ".hidden.md": "skipped",
        "__MACOSX/a.md": "skipped",
    }
    reasons = {file.name: file.reason or "" for file in job.files}
    assert "of a kind that is not read (.exe)" in reasons["deep/c.exe"]
    assert "not opened" in reasons["inner.zip"]
    assert on_disk(held) == sources(held) == ["animals/a.md", "animals/deep/er/b.txt"]
    again = add(held, "animals.zip", zip_with(members))
    assert [file.state for file in again.files][:2] == ["unchanged", "unchanged"]
    assert on_disk(held) == ["animals/a.md", "animals/deep/er/b.txt"]


def test_a_zip_of_one_folder_gets_no_other_around_it(held: Uploads) -> None:
    add(held, "download-17.zip", zip_with({"report/a.txt": b"Some words.", "report/b/c.txt": b"Other words."}))
    assert sources(held) == ["report/a.txt", "report/b/c.txt"]


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/etc/evil.txt", "C:\\evil.txt", "..\\evil.txt"])
def test_a_path_that_leads_out_refuses_the_archive(held: Uploads, name: str) -> None:
    with pytest.raises(unpack.ArchiveError, match="a path that leads out of it"):
        add(held, "a.zip", zip_with({"good.txt": b"Good words.", name: b"Evil words."}))
    assert on_disk(held) == []
    assert not list(held.library.path.parent.rglob("*evil*"))


def test_links_are_not_made(held: Uploads) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link.txt")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("real.txt", "Real words.")
    job = add(held, "a.zip", out.getvalue())
    assert outcomes(job) == {"a/real.txt": "indexed", "link.txt": "skipped"}
    assert on_disk(held) == ["a/real.txt"]


def bomb(megabytes: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb.txt", "w") as part:
        for _ in range(megabytes):
            part.write(b"0" * 1_000_000)
    return out.getvalue()


def test_a_bomb_is_not_unpacked(held: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(unpack.ArchiveError, match="times its size, more than 200"):
        add(held, "bomb.zip", bomb(20))
    monkeypatch.setattr(unpack, "LARGEST_UNPACKED", 1_000_000)
    with pytest.raises(unpack.ArchiveError, match="unpacks to 2 MB, more than 1"):
        add(held, "bomb.zip", bomb(2))
    held.largest = 100
    job = add(held, "one.zip", zip_with({"big.txt": b"x" * 101, "small.txt": b"Small words."}))
    assert outcomes(job) == {"one/small.txt": "indexed", "big.txt": "skipped"}
    assert on_disk(held) == ["one/small.txt"]


@pytest.mark.parametrize("size", [1_000, 3_000_000])
def test_an_archive_that_lies_about_a_size_gives_no_more_than_it_said(held: Uploads, size: int) -> None:
    data = bytearray(bomb(2))
    entry = data.rfind(b"PK\x01\x02")
    struct.pack_into("<L", data, entry + 24, size)  # the size in its list of contents
    job = add(held, "a.zip", bytes(data))
    assert outcomes(job) == {"bomb.txt": "failed"}
    assert "damaged in the archive" in (job.files[0].reason or "")
    assert on_disk(held) == []


def test_an_archive_of_very_many_files_is_not_opened(held: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    many = zip_with({f"{n}.txt": b"" for n in range(12)})
    monkeypatch.setattr(unpack, "MOST_MEMBERS", 10)
    with pytest.raises(unpack.ArchiveError, match="holds 12 files, more than 10"):
        add(held, "a.zip", many)
    monkeypatch.setattr(unpack, "_MOST_ENTRIES", 11)
    monkeypatch.setattr(zipfile.ZipFile, "__init__", None)  # it may not even be opened
    with pytest.raises(unpack.ArchiveError, match="more than 10 files"):
        add(held, "a.zip", many)
    assert on_disk(held) == []


def test_encrypted_and_oddly_compressed_members_are_skipped(held: Uploads) -> None:
    data = bytearray(zip_with({"secret.txt": b"Secret words.", "plain.txt": b"Plain words."}))
    data[data.find(b"PK\x01\x02") + 8] |= 1
    job = add(held, "a.zip", bytes(data))
    assert outcomes(job) == {"a/plain.txt": "indexed", "secret.txt": "skipped"}
    assert "encrypted" in (job.files[1].reason or "")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("odd.txt", "Odd words.")
    assert outcomes(add(held, "b.zip", out.getvalue())) == {"odd.txt": "skipped"}


def test_a_damaged_member_fails_alone_and_damaged_archives_are_one_line(held: Uploads) -> None:
    data = bytearray(zip_with({"a.txt": b"Damaged words.", "b.txt": b"Whole words."}))
    data[data.find(b"Damaged")] ^= 1
    job = add(held, "a.zip", bytes(data))
    assert outcomes(job) == {"a.txt": "failed", "a/b.txt": "indexed"}
    for broken in (b"", b"PK", b"no archive", bytes(data[: len(data) // 2])):
        with pytest.raises(unpack.ArchiveError, match="not a readable zip archive"):
            add(held, "b.zip", broken)
    with pytest.raises(unpack.ArchiveError, match="holds no files"):
        add(held, "c.zip", zip_with({}))


def test_deep_folders_and_long_paths_are_left_out(held: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = {f"{n}/{'d/' * 1_500}{n}.txt": b"Deep words." for n in range(20)}
    usual = {"d/" * 29 + "usual.txt": b"Usual words."}
    long = {"x" * 997 + ".txt": b"Long words.", "odd." + "y" * 900: b"Odd words."}
    job = add(held, "a.zip", zip_with({**deep, "d/" * 30 + "deep.txt": b"Deep words.", **usual, **long}))
    assert [(file.name, file.state) for file in job.files if file.path] == [("d/" * 29 + "usual.txt", "indexed")]
    skipped = [file for file in job.files if not file.path]
    assert [file.state for file in skipped] == ["skipped"] * 23
    assert all("in more than 29 folders" in (file.reason or "") for file in skipped[:21])
    assert "longer than 1,000 characters" in (skipped[21].reason or "")
    assert max(len(file.name) for file in skipped) == 300
    assert max(len(file.reason or "") for file in skipped) < 100
    assert len([path for path in held.folder.rglob("*") if path.is_dir()]) == 29
    monkeypatch.setattr(unpack, "MOST_MEMBERS", 10)
    with pytest.raises(unpack.ArchiveError, match="more than 10 folders"):
        add(held, "b.zip", zip_with({f"{n}/1/2/3/4/5/a.txt": b"Some words." for n in range(2)}))


def test_one_file_of_a_name_is_taken_and_not_all_others_are_named(
    held: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("in/a.txt", "These are words of number 0.")
        for number in range(1, 3):
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("in/a.txt", f"These are words of number {number}.")
        archive.writestr("in/a?.txt", "Other words.")
        archive.writestr("in/a*.txt", "Still others.")  # is a_.txt as well
    job = add(held, "same.zip", out.getvalue())
    assert [(file.name, file.state) for file in job.files] == [
        ("in/a.txt", "indexed"),
        ("in/a_.txt", "indexed"),
        ("in/a.txt", "skipped"),
        ("in/a.txt", "skipped"),
        ("in/a*.txt", "skipped"),
    ]
    assert {file.reason for file in job.files[2:]} == {"another file of the archive has this name"}
    monkeypatch.setattr(uploads, "MOST_SKIPPED", 10)
    job = add(held, "many.zip", zip_with({f"{number}.exe": b"" for number in range(25)}))
    assert [file.name for file in job.files[9:]] == ["9.exe", "15 more"]


def test_jobs_do_not_grow_without_end(held: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MOST_WAITING", 20)
    monkeypatch.setattr(ingest, "MOST_FILES", 30)
    first = held.ingest.start("me", [FileState(f"{number}.exe", state="skipped") for number in range(15)])
    with pytest.raises(QueueFullError, match=r"15 files were added together, 20 is the most: reload the page"):
        held.ingest.start("me", [FileState(f"{number}.exe", state="skipped") for number in range(6)], job=first)
    second = held.ingest.start("me", [FileState(f"{number}.exe", state="skipped") for number in range(15)])
    assert held.ingest.jobs("me") == [first, second]
    third = held.ingest.start("me", [FileState("a.exe", state="skipped")])
    assert held.ingest.jobs("me") == [second, third]


def test_a_folder_whose_name_a_file_has_gets_a_number(held: Uploads) -> None:
    add(held, "report.txt", "The report.")
    members = {"a.txt": b"The first words.", "in/b.txt": b"The second words."}
    for _ in range(2):  # the second time it is the same folder
        job = add(held, "report.txt.zip", zip_with(members))
        assert list(outcomes(job)) == ["report.txt (2)/a.txt", "report.txt (2)/in/b.txt"]
    add(held, "inner.zip", zip_with({"report.txt/in": b"", "report.txt/c.txt": b"The third words."}))
    expected = ["report.txt", "report.txt (2)/a.txt", "report.txt (2)/c.txt", "report.txt (2)/in/b.txt"]
    assert sorted(sources(held)) == sorted(expected)


# In the library


def test_folders_around_the_library_leave_uploads_as_they_are(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "notes.txt").write_text("The notes of the house.")
    with Library.create(tmp_path / "library", encoder=encoder) as library:
        held = Uploads(library)
        add(held, "first.txt", "The first upload.")
        library.sync([tmp_path])
        add(held, "second.txt", "The second upload.")
        add(held, "more.zip", zip_with({"third.txt": b"The third upload."}))
        expected = ["first.txt", "more/third.txt", "notes.txt", "second.txt"]
        assert sources(held) == expected
        report = library.sync([tmp_path])
        assert (report.counts.get("removed", 0), sources(held)) == (0, expected)
        (held.folder / "second.txt").unlink()
        report = library.sync([held.folder])
        assert [(one.source, one.state) for one in report.outcomes] == [("second.txt", "removed")]
        assert report.counts["unchanged"] == 2


def test_exact_sources_mean_themselves_and_globs_still_match(held: Uploads) -> None:
    for name in ("a[1].txt", "a1.txt", "b.txt"):
        add(held, name, f"The zebra of {name} sleeps.")

    def found(source: str) -> set[str]:
        return {hit.citation.source for hit in held.library.retrieve("zebra", sources=[source])}

    assert found("a[1].txt") == {"a[1].txt"}
    assert found("a[12].txt") == {"a1.txt"}
    assert found("a*") == {"a[1].txt", "a1.txt"}


def test_removing(held: Uploads, folder: Path) -> None:
    (folder / "same.txt").write_text("The file of the folder.")
    held.library.sync([folder])
    add(held, "same.txt", "The uploaded zebra.")
    add(held, "z.zip", zip_with({"in/a.txt": b"An archived zebra."}))
    uploaded = next(one for one in held.library.documents() if held.holds(one) and one.source == "same.txt")
    done = held.remove([uploaded, info(held, "in/a.txt")])
    assert (done.sources, done.deleted) == (("same.txt", "in/a.txt"), 2)
    assert sources(held) == ["same.txt"]  # the folder's own
    assert list(held.folder.iterdir()) == []  # the archive's folder is gone as well
    assert not held.library.ask("zebra").found
    done = held.remove(held.library.documents())
    assert (done.deleted, sources(held)) == (0, [])
    assert (folder / "same.txt").exists()


def test_renaming_encodes_nothing_again(held: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    add(held, "a.txt", "The zebra permit.")
    add(held, "bad.pdf", b"no PDF")
    before = info(held, "a.txt").document_id
    monkeypatch.setattr(Encoder, "encode_documents", None)
    assert held.rename(info(held, "a.txt"), "../Zebra: <permits>.TXT") == "Zebra_ _permits_.TXT"
    assert info(held, "Zebra_ _permits_.TXT").document_id == before
    assert held.rename(info(held, "bad.pdf"), "worse.pdf") == "worse.pdf"
    assert sources(held) == on_disk(held) == ["Zebra_ _permits_.TXT", "worse.pdf"]


def test_what_cannot_be_renamed(held: Uploads, folder: Path) -> None:
    (folder / "own.txt").write_text("The file of the folder.")
    held.library.sync([folder])
    add(held, "a.txt", "The first.")
    add(held, "b.txt", "The second.")
    with pytest.raises(QAError, match="rename it there"):
        held.rename(info(held, "own.txt"), "mine.txt")
    with pytest.raises(TakenError, match=r"a file b\.txt already"):
        held.rename(info(held, "a.txt"), "b.txt")
    with pytest.raises(QAError, match=r"end in \.txt"):
        held.rename(info(held, "a.txt"), "a.exe")
    gone = info(held, "a.txt")
    (held.folder / "a.txt").unlink()
    with pytest.raises(QAError, match="not there any more"):
        held.rename(gone, "c.txt")


def test_a_rename_that_the_library_refuses_changes_nothing(held: Uploads) -> None:
    add(held, "a.txt", "The first.")
    with held.library.writing(), pytest.raises(QAError, match="being written"):
        held.rename(info(held, "a.txt"), "b.txt", wait=0.1)
    assert on_disk(held) == ["a.txt"]


def test_a_newer_version_takes_the_name_of_the_older_one(held: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    add(held, "fees.md", "The zebra fee is 4 coins.")
    job = add(held, "fees.md", "The zebra fee is 6 coins.")
    (file,) = job.files
    assert (file.name, file.older) == ("fees (2).md", info(held, "fees.md"))
    assert file.as_json(0)["older"] == {"path": "fees.md", "uploaded": True}
    monkeypatch.setattr(Encoder, "encode_documents", None)  # nothing is encoded again
    held.replace(job, [0])
    assert (file.name, file.state, file.document) == ("fees.md", "replaced", info(held, "fees.md").document_id)
    assert sources(held) == on_disk(held) == ["fees.md"]
    assert answer(held, "What is the zebra fee?") == "The zebra fee is 6 coins."
    with pytest.raises(TakenError, match="no older version to replace"):
        held.replace(job)
    assert sources(held) == on_disk(held) == ["fees.md"]


def test_members_of_an_archive_are_replaced_together(held: Uploads) -> None:
    def members(fee: int) -> bytes:
        fees = {f"club/{n}.txt": f"Fee {n} is {fee} coins.".encode() for n in "abc"}
        return zip_with({**fees, "club/d.txt": b"Same."})

    add(held, "club.zip", members(4))
    job = add(held, "club.zip", members(6))
    assert [file.name for file in job.files] == ["club/a (2).txt", "club/b (2).txt", "club/c (2).txt", "club/d.txt"]
    held.replace(job, [1])
    assert "club/b (2).txt" not in sources(held)
    held.replace(job)
    assert [file.state for file in job.files] == ["replaced", "replaced", "replaced", "unchanged"]
    assert sources(held) == on_disk(held) == ["club/a.txt", "club/b.txt", "club/c.txt", "club/d.txt"]
    assert "4 coins" not in "".join(path.read_text() for path in held.folder.glob("club/*"))


def test_of_several_versions_at_once_the_last_one_replaces(held: Uploads) -> None:
    add(held, "a.txt", "The first version.")
    job = add(held, "a.txt", "The second version.")
    add(held, "a.txt", "The third version.", job)
    add(held, "a (2).txt", "This one has an odd name.", job)
    assert [file.older and file.older.source for file in job.files] == ["a.txt", "a.txt", "a (2).txt"]
    held.replace(job)
    assert [(file.name, file.state) for file in job.files] == [
        ("a (2).txt", "indexed"),
        ("a.txt", "replaced"),
        ("a (2).txt", "replaced"),
    ]
    assert sources(held) == on_disk(held) == ["a (2).txt", "a.txt"]
    assert (held.folder / "a.txt").read_text() == "The third version."


def test_what_a_file_replaces_can_itself_be_replaced_only_later(held: Uploads) -> None:
    add(held, "a.txt", "The first version.")
    job = add(held, "a.txt", "The second version.")
    add(held, "a (2).txt", "This one has an odd name.", job)
    held.replace(job)
    assert [file.state for file in job.files] == ["replaced", "indexed"]
    assert sources(held) == on_disk(held) == ["a (2) (2).txt", "a.txt"]
    with pytest.raises(TakenError, match=r"a \(2\)\.txt is another one by now"):
        held.replace(job)


def test_a_file_of_a_folder_is_named_and_not_replaced(held: Uploads, folder: Path) -> None:
    (folder / "a.txt").write_text("The words of the folder.")
    (folder / "same.txt").write_text("The same words.")
    held.library.sync([folder])
    job = add(held, "a.txt", "The words of the browser.")
    assert job.files[0].as_json(0)["older"] == {"path": "a.txt", "uploaded": False}
    assert job.files[0].replaces is None
    assert add(held, "same.txt", "The same words.").files[0].older is None
    with pytest.raises(TakenError, match="no older version to replace"):
        held.replace(job)
    assert (folder / "a.txt").read_text() == "The words of the folder."
    assert sources(held).count("a.txt") == 2


@pytest.mark.parametrize("change", ["older is replaced", "older is removed", "newer is renamed", "newer is deleted"])
def test_what_has_changed_since_it_was_told_is_not_replaced(held: Uploads, change: str) -> None:
    add(held, "a.txt", "The first version.")
    job, other = add(held, "a.txt", "The second version."), add(held, "a.txt", "The third version.")
    if change == "older is replaced":
        held.replace(other)
    elif change == "older is removed":
        held.remove([info(held, "a.txt")])
    elif change == "newer is renamed":
        held.rename(info(held, "a (2).txt"), "b.txt")
    else:
        (held.folder / "a (2).txt").unlink()
    before = sources(held), on_disk(held)
    with pytest.raises(TakenError, match=r"another one by now|not there any more"):
        held.replace(job)
    assert (sources(held), on_disk(held)) == before


def test_an_older_file_that_has_gone_from_the_disk_is_replaced_all_the_same(held: Uploads) -> None:
    add(held, "a.txt", "The first version.")
    job = add(held, "a.txt", "The second version.")
    (held.folder / "a.txt").unlink()
    held.replace(job)
    assert sources(held) == on_disk(held) == ["a.txt"]


def test_a_replacement_that_the_library_refuses_changes_nothing(held: Uploads) -> None:
    add(held, "a.zip", zip_with({"a.txt": b"The first a.", "b.txt": b"The first b."}))
    job = add(held, "a.zip", zip_with({"a.txt": b"The second a.", "b.txt": b"The second b."}))
    before = {path: (held.folder / path).read_text() for path in on_disk(held)}
    with held.library.writing(), pytest.raises(QAError, match="being written"):
        held.replace(job, wait=0.1)
    assert {path: (held.folder / path).read_text() for path in on_disk(held)} == before
    assert [file.state for file in job.files] == ["indexed", "indexed"]
    held.replace(job)
    assert sources(held) == on_disk(held) == ["a/a.txt", "a/b.txt"]


_DIES = """
import os, sys
from pathlib import Path
from qa import Library
from qa.uploads import Uploads

library = Library.open(sys.argv[1])
held = Uploads(library)
for version in ("first", "second"):
    with held.incoming() as partial:
        partial.write_text(f"The {version} version.")
        job = held.add("a.txt", partial)
    assert held.ingest.wait(job, 120)
library.sync = lambda *_, **__: os._exit(9)
held.replace(job)
"""


def test_a_server_that_dies_while_it_replaces_has_lost_no_new_file(held: Uploads) -> None:
    done = subprocess.run([sys.executable, "-c", _DIES, held.library.path], cwd=ROOT, timeout=SECONDS)
    assert done.returncode == 9
    assert "The second version." in [path.read_text() for path in held.folder.glob("*.txt")]
    assert answer(held, "Which is the second version?") == "The second version."


def test_indexing_again_reads_what_failed_and_what_changed(
    held: Uploads, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise ReadError("no memory is left to read it")

    path = folder / "late.txt"
    path.write_text("The first words came.")
    monkeypatch.setattr("qa.sync.RACY_NANOSECONDS", 0)  # so that nothing but the wish makes it read again
    with monkeypatch.context() as patch:
        patch.setattr("qa.readers.worker.Worker.read", failing)
        held.library.sync([folder])
    assert held.library.sync([folder]).counts == {"failed": 1}
    job = held.reindex([info(held, "late.txt")])
    assert held.ingest.wait(job, SECONDS)
    assert outcomes(job) == {"late.txt": "indexed"}
    job = held.reindex([info(held, "late.txt")])
    assert held.ingest.wait(job, SECONDS)
    assert (outcomes(job), job.files[0].as_json(0)["again"]) == ({"late.txt": "unchanged"}, True)
    path.write_text("The late words came.")
    job = held.reindex([info(held, "late.txt")])
    assert held.ingest.wait(job, SECONDS)
    assert outcomes(job) == {"late.txt": "indexed"}
    path.unlink()
    job = held.reindex([info(held, "late.txt")])
    assert held.ingest.wait(job, SECONDS)
    assert "not there any more" in (job.files[0].reason or "")


# Jobs


def test_a_busy_library_is_waited_for(held: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "BUSY_SECONDS", 0.1)
    with held.library.writing():
        job = send(held, "a.txt", "The zebra waits.")
        until = time.monotonic() + SECONDS
        while job.stage != "busy" and time.monotonic() < until:
            time.sleep(0.02)
        assert job.as_json()["stage"] == "busy"
        assert outcomes(job) == {"a.txt": "reading"}
    assert held.ingest.wait(job, SECONDS)
    assert outcomes(job) == {"a.txt": "indexed"}


def test_stopping_indexes_nothing_that_waits_and_deletes_it(held: Uploads) -> None:
    add(held, "old.txt", "The old words.")
    with held.ingest.aside():
        job = send(held, "new.txt", "The new words.")
        job = send(held, "old.txt", "The old words.", job)
        assert job.as_json()["state"] == "running"
        held.stop(job)
    assert outcomes(job) == {"new.txt": "stopped", "old.txt": "stopped"}
    assert job.as_json()["state"] == "done"
    assert sources(held) == on_disk(held) == ["old.txt"]  # that was there before


def test_the_queue_is_bounded(held: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MOST_WAITING", 2)
    with held.ingest.aside():
        jobs = [send(held, f"{n}.txt", f"The number {n}.") for n in range(2)]
        with pytest.raises(QueueFullError, match="2 files wait to be indexed"):
            send(held, "3.txt", "The last.")
        with pytest.raises(QueueFullError):
            send(held, "4.zip", zip_with({"4.txt": b"The very last."}))
        assert [name for name in on_disk(held) if not name.startswith(".")] == ["0.txt", "1.txt"]
    assert all(held.ingest.wait(job, SECONDS) for job in jobs)


def test_progress_tells_only_what_changed(held: Uploads) -> None:
    job = add(held, "a.zip", zip_with({f"{n}.txt": f"The number {n}.".encode() for n in range(5)}))
    whole = job.as_json()
    assert (whole["done"], whole["total"], whole["progress"], whole["stage"]) == (5, 5, 1.0, "done")
    assert [file["number"] for file in whole["files"]] == [0, 1, 2, 3, 4]
    assert job.as_json(whole["revision"])["files"] == []
    add(held, "b.txt", "One more.", job)
    assert [file["name"] for file in job.as_json(whole["revision"])["files"]] == ["b.txt"]


def test_what_waited_when_a_server_ended_is_indexed_by_the_next(held: Uploads) -> None:
    with held.ingest.aside():
        send(held, "a.txt", "The zebra survives.")
        held.close()  # as a crash would, it leaves the file and the note that it waits
    assert sources(held) == []
    old = held.folder / ".incoming-0123456789abcdef"
    old.write_bytes(b"half")
    fresh = held.folder / ".incoming-fedcba9876543210"
    fresh.write_bytes(b"another server's")
    os.utime(old, (1, 1))
    (held.folder / ".waiting-evil").write_text('["../library.sqlite", "../../secret.txt", "none.txt", 7]')
    (held.library.path.parent / "secret.txt").write_text("The secret of the house.")
    following = Uploads(held.library)
    job = following.resume()
    assert job is not None
    assert following.ingest.wait(job, SECONDS)
    assert outcomes(job) == {"a.txt": "indexed"}
    assert on_disk(following) == [fresh.name, "a.txt"]
    assert following.resume() is None
    following.close()


def test_more_than_may_wait_is_resumed_all_the_same(held: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{n}.txt" for n in range(4)]
    with held.ingest.aside():
        for name in names:
            send(held, name, f"The number of {name}.")
        held.close()
    monkeypatch.setattr(ingest, "MOST_WAITING", 2)
    following = Uploads(held.library)
    with following.ingest.aside():
        job = following.resume()
        with pytest.raises(QueueFullError):
            send(following, "new.txt", "The new words.")
    assert job is not None
    assert following.ingest.wait(job, SECONDS)
    assert outcomes(job) == dict.fromkeys(names, "indexed")
    following.close()


def test_a_thread_that_ends_leaves_the_next_one_alone(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "LINGER_SECONDS", 0.1)
    jobs = Ingest(library)
    take = Ingest._next
    first: list[threading.Thread] = []
    others = set(threading.enumerate())
    with ExitStack() as held:

        def taken(of: Ingest) -> object:
            group = take(of)
            if not group and not first:  # while this thread ends, somebody gives a file, which starts another
                first.append(threading.current_thread())
                held.enter_context(of.aside())
                of.start("me", [FileState("late.txt", library.path / "late.txt")])
            return group

        monkeypatch.setattr(Ingest, "_next", taken)
        jobs.start("me", [FileState("early.txt", library.path / "early.txt")])
        until = time.monotonic() + SECONDS
        while not first and time.monotonic() < until:
            time.sleep(0.01)
        first[0].join(SECONDS)
        second = jobs.thread
        assert set(threading.enumerate()) - others == {second}
    assert all(jobs.wait(job, SECONDS) for job in jobs.jobs("me"))


def test_closing_ends_the_thread_in_the_middle_of_a_file(held: Uploads) -> None:
    text = "".join(f"The warden of room {n} keeps key {n * 7}. " for n in range(20_000))
    job = send(held, "long.txt", text)
    until = time.monotonic() + SECONDS
    while job.stage != "encoding" and time.monotonic() < until:
        time.sleep(0.02)
    thread, indexer = held.ingest.thread, held.ingest._indexer
    assert thread is not None
    assert indexer is not None
    assert indexer._child is not None
    process = indexer._child
    held.close()
    assert process.poll() is not None
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert outcomes(job) == {"long.txt": "waiting"}
    with pytest.raises(QAError, match="closing"):
        send(held, "b.txt", "More.")
    assert not (held.folder / "b.txt").exists()


def test_a_process_that_dies_takes_only_the_files_that_killed_it(held: Uploads) -> None:
    add(held, "a.txt", "The first.")
    indexer = held.ingest._indexer
    assert indexer is not None
    assert indexer._child is not None
    os.kill(indexer._child.pid, signal.SIGKILL)
    assert outcomes(add(held, "b.txt", "The second.")) == {"b.txt": "indexed"}
    text = "".join(f"The warden of room {n} keeps key {n * 7}. " for n in range(20_000))
    job = send(held, "long.txt", text)
    deaths: set[int] = set()
    while held.ingest.wait(job, 0.05) is False:  # whoever reads it, dies over it
        reader = indexer._child
        if job.stage == "encoding" and reader is not None and reader.pid not in deaths:
            deaths.add(reader.pid)
            os.kill(reader.pid, signal.SIGKILL)
    assert outcomes(job) == {"long.txt": "failed"}
    assert job.files[0].reason == "the process that indexes ended (SIGKILL): try again"
    assert outcomes(add(held, "c.txt", "The third.")) == {"c.txt": "indexed"}


def test_a_bug_is_printed_and_ends_the_process_but_not_the_next(
    held: Uploads, capfd: pytest.CaptureFixture[str]
) -> None:
    path = held.library.path / "a.txt"
    path.write_text("The first.")
    with closing(Indexer(held.library.path)) as indexer:
        first = indexer._running()
        assert first.stdin is not None
        first.stdin.write(b"nonsense\n")
        with pytest.raises(IndexerError, match="the terminal that runs Refdesk shows what"):
            indexer.sync([path])
        assert "JSONDecodeError" in capfd.readouterr().err
        assert first.wait(SECONDS) is not None
        assert [one.state for one in indexer.sync([path], again=[path])] == ["added"]


def test_old_jobs_are_forgotten_when_they_are_done(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MOST_JOBS", 2)
    jobs = Ingest(library)
    first, second, third = (jobs.start("me", []) for _ in range(3))
    assert jobs.jobs("me") == [second, third]
    assert jobs.find(first.id) is None
    assert jobs.jobs("you") == []

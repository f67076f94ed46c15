"""Hostile files, and the child process that takes the harm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from files_for_tests import docx_bomb, flate_bomb, form_bomb, lines, pdf

from qa.child import Limits
from qa.errors import ReadError
from qa.readers import read
from qa.readers.worker import Worker

SMALL = Limits(memory=256 << 20, cpu_seconds=20, wall_seconds=20)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.pdf"
    path.write_bytes(pdf([lines("Good words.")], title="A good file"))
    return path


def child_of(worker: Worker) -> int:
    assert worker._child is not None
    return worker._child.pid


def test_the_worker_reads_as_the_reader_does(tmp_path: Path, good: Path) -> None:
    text = tmp_path / "náïve \N{SNOWMAN}.md"
    text.write_text("# Größe\n\ntext \N{GRINNING FACE}\n\n- a\n", encoding="utf-8")
    with Worker() as worker:
        assert worker.read(good, "pdf") == read(good, "pdf")
        assert worker.read(text, "markdown") == read(text, "markdown")


def test_a_file_name_that_is_no_unicode(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt"))
    path.write_text("Some words.")
    with Worker() as worker:
        assert worker.read(path, "text").text == "Some words."


def test_relative_paths_follow_the_current_folder(tmp_path: Path, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Worker() as worker:
        assert worker.read(good, "pdf").title == "A good file"
        monkeypatch.chdir(tmp_path)
        assert worker.read(Path("good.pdf"), "pdf").title == "A good file"


def test_errors_of_a_file_keep_the_child(tmp_path: Path, good: Path) -> None:
    with Worker() as worker:
        worker.read(good, "pdf")
        child = child_of(worker)
        with pytest.raises(ReadError, match=r"^it has gone"):
            worker.read(tmp_path / "none.txt", "text")
        with pytest.raises(ReadError, match=r"^not a readable PDF"):
            worker.read(Path(__file__), "pdf")
        assert child_of(worker) == child


def test_the_child_is_renewed_after_some_files(good: Path) -> None:
    children = set()
    with Worker(Limits(files=2)) as worker:
        for _ in range(5):
            worker.read(good, "pdf")
            children.add(child_of(worker))
    assert len(children) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
def test_a_bomb_that_aborts_the_parser_costs_one_file(tmp_path: Path, good: Path) -> None:
    bomb = tmp_path / "bomb.pdf"
    bomb.write_bytes(flate_bomb(400))
    assert bomb.stat().st_size < 10_000
    with Worker(SMALL) as worker:
        worker.read(good, "pdf")
        child = child_of(worker)
        with pytest.raises(ReadError, match=r"^its reader crashed \(SIG[A-Z]+\): [^\n]*0.25 GiB of memory$"):
            worker.read(bomb, "pdf")
        assert worker.read(good, "pdf").title == "A good file"
        assert child_of(worker) != child


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
def test_memory_that_python_asks_for_in_vain(tmp_path: Path, good: Path) -> None:
    large = tmp_path / "large.md"
    large.write_bytes(b"a\n\n" * 2_000_000)
    with Worker(SMALL) as worker:
        with pytest.raises(ReadError, match=r"^it takes more than 0.25 GiB of memory to read"):
            worker.read(large, "markdown")
        assert worker.read(good, "pdf").title == "A good file"


def test_a_parser_that_hangs_is_stopped_by_the_clock(tmp_path: Path, good: Path) -> None:
    bomb = tmp_path / "forms.pdf"
    bomb.write_bytes(form_bomb(12))
    with Worker(Limits(wall_seconds=1.5)) as worker:
        started = time.monotonic()
        with pytest.raises(ReadError, match=r"^it takes more than 1.5 s to read"):
            worker.read(bomb, "pdf")
        assert time.monotonic() - started < 20
        assert worker.read(good, "pdf").title == "A good file"


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of processor time there")
def test_processor_time_is_counted_for_each_file(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_bytes(b"<div>" * 12_000 + b"deep words")  # a third of a second
    deep = tmp_path / "deep.html"
    deep.write_bytes(b"<div>" * 100_000 + b"deep words")  # the parser takes quadratic time: half a minute
    with Worker(Limits(cpu_seconds=3)) as worker:
        for _ in range(12):
            assert worker.read(page, "html").text == "deep words"
        child = child_of(worker)
        with pytest.raises(ReadError, match=r"^it takes more than 3 s of processor time to read"):
            worker.read(deep, "html")
        worker.read(page, "html")
        assert child_of(worker) != child


def test_deep_nesting_needs_no_recursion(tmp_path: Path) -> None:
    path = tmp_path / "deep.html"
    path.write_text("<ul><li>" * 3_000 + "<blockquote><b><i>words" + "</i></b>" * 3_000)
    assert "words" in read(path, "html").text
    path.write_text("<table><tr><td>" * 3_000 + "words")
    assert read(path, "html").text == "words"
    for source in (
        ">" * 50_000,
        "[" * 50_000,
        "- " * 50_000,
        "*" * 50_000,
        "# " + "[" * 50_000,
        "\n".join([">" * 50] * 2_000),
    ):
        note = tmp_path / "deep.md"
        note.write_text(f"{source}words")
        started = time.process_time()
        assert "".join(read(note, "markdown").text.split()).endswith("words")
        assert time.process_time() - started < 5


def test_wide_pages_take_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "wide.html"
    for part in ("<td>a", "<div>a</div>", "<br>a", "<li>a"):
        path.write_text(f"<table><tr><td>{part * 200_000}</table>")
        started = time.process_time()
        assert read(path, "html").text.count("a") == 200_000
        assert time.process_time() - started < 8


def test_one_line_of_many_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    for line in (b"word " * 3_900_000, b" " * 19_000_000 + b"x", b"- a\n" * 4_900_000, b"=" * 19_000_000):
        path.write_bytes(line)
        started = time.process_time()
        reading = read(path, "text")
        assert len(reading.blocks) == 1
        assert time.process_time() - started < 8
    path.write_bytes(b"A\n===\n" * 200_000)
    assert len(read(path, "text").blocks) == 200_000
    assert time.process_time() - started < 8
    path.write_bytes(b"word " * 10_000_000)
    with pytest.raises(ReadError, match="more than 20,000,000 characters of text, the most for one file: split it"):
        read(path, "text")


def test_millions_of_paragraphs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "many.txt"
    path.write_bytes(b"a\n\n" * 1_100_000)
    with pytest.raises(ReadError, match="more than 1,000,000 paragraphs"):
        read(path, "text")


def test_a_docx_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "bomb.docx"
    docx_bomb(path, 400)
    assert path.stat().st_size < 2_000_000
    with pytest.raises(ReadError, match="400 MB when unpacked, at most 300 are read"):
        read(path, "docx")
    docx_bomb(path, 50)
    with pytest.raises(ReadError, match="over 200 times its size"):
        read(path, "docx")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.txt"
    os.mkfifo(path)
    with pytest.raises(ReadError, match="not a regular file"):
        read(path, "text")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "locked.txt"
    path.write_text("words")
    path.chmod(0)
    with Worker() as worker, pytest.raises(ReadError, match=r"^no permission to read it$"):
        worker.read(path, "text")


def test_modules_beside_the_documents_are_not_imported(
    tmp_path: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pypdfium2", "json", "struct", "qa", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", ".", "./"]))
    with Worker() as worker:
        assert worker.read(good, "pdf").title == "A good file"
    assert not (tmp_path / "imported").exists()


def test_what_libraries_print_does_not_get_between_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = tmp_path / "noisy.txt"
    noisy.write_text("Some words.")
    hook = "e == 'open' and 'noisy' in str(a[0]) and os.write(1, b'noise' * 9)"
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "sitecustomize.py").write_text(f"import os, sys\nsys.addaudithook(lambda e, a: {hook})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hooks"))
    told = subprocess.run([sys.executable, "-c", f"open({str(noisy)!r})"], capture_output=True, check=True)
    assert told.stdout.startswith(b"noise")
    with Worker() as worker:
        for _ in range(2):
            assert worker.read(noisy, "text").text == "Some words."


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
def test_interrupts_are_the_parents(good: Path) -> None:
    with Worker() as worker:
        worker.read(good, "pdf")
        child = child_of(worker)
        os.kill(child, signal.SIGINT)
        assert worker.read(good, "pdf").title == "A good file"
        assert child_of(worker) == child
        os.kill(child, signal.SIGKILL)
        while worker._child is not None and worker._child.poll() is None:
            time.sleep(0.01)
        assert worker.read(good, "pdf").title == "A good file"
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_the_child_ends_with_its_parent(good: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from qa.readers.worker import Worker\n"
        "worker = Worker(); worker.read(Path(sys.argv[1]), 'pdf'); print(worker._child.pid, flush=True); os._exit(1)"
    )
    told = subprocess.run([sys.executable, "-c", code, str(good)], stdout=subprocess.PIPE, text=True, check=False)
    status, until = Path(f"/proc/{int(told.stdout)}/status"), time.monotonic() + 60
    while status.exists() and "State:\tZ" not in status.read_text() and time.monotonic() < until:
        time.sleep(0.01)
    assert time.monotonic() < until


def test_workers_in_several_threads(tmp_path: Path) -> None:
    def texts(thread: int) -> list[str]:
        path = tmp_path / f"{thread}.txt"
        with Worker() as worker:
            read_back = []
            for number in range(20):
                path.write_text(f"Text {number} of thread {thread}.")
                read_back.append(worker.read(path, "text").text)
        return read_back

    with ThreadPoolExecutor(4) as pool:
        for thread, read_back in enumerate(pool.map(texts, range(4))):
            assert read_back == [f"Text {number} of thread {thread}." for number in range(20)]

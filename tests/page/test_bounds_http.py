"""What a server bears: connections that bring nothing, threads that do not end, a library that is moved away."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import GRINDER, ROOT, serving, visitor

from embeddings import Encoder
from qa import Library
from qa.answering import Searched
from qa.page import server

SLOW = """
import sys, time
import app
from qa.library import Library
from qa.page import server

server.CLOSING_SECONDS = 1
whole = Library.search

def search(self, questions, *arguments, **named):
    if questions[0] == "slow":
        print("asked", file=sys.stderr, flush=True)
        time.sleep(600)
    return whole(self, questions, *arguments, **named)

Library.search = search
sys.exit(app.main(sys.argv[1:]))
"""
"""The command, with a question whose answer never comes."""


def test_connections_that_bring_no_request_are_closed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 1.0)
    host, port = address.removeprefix("http://").split(":")
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for asked_before in (False, True):
        began, came = time.monotonic(), b""
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            if asked_before:
                connection.sendall(whole)
                while not came.endswith(b"}"):
                    came += connection.recv(65_536)
                assert came.startswith(b"HTTP/1.1 200")
            connection.sendall(whole[:-2])  # all but the empty line that ends it
            assert connection.recv(1) == b""
            assert time.monotonic() - began > 0.9


def test_answers_may_take_longer(handbook: Library, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.2)
    whole = handbook.search

    def slowly(*given: Any, **named: Any) -> list[Searched]:  # noqa: ANN401 - what `search` takes
        time.sleep(1)
        return whole(*given, **named)

    monkeypatch.setattr(handbook, "search", slowly)
    with visitor(address) as client:
        assert client.get("/api/ask", params={"q": GRINDER}).json()["found"]
        assert client.get("/api/ask", params={"q": GRINDER}).json()["found"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_thread_that_works_on_does_not_keep_the_server(handbook: Library) -> None:
    """Nor do few open files: the server takes as many as it may."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    line = [sys.executable, "-c", SLOW, "serve", "--library", str(handbook.path), "--port", "0", "--no-browser"]
    with subprocess.Popen(
        ["bash", "-c", 'ulimit -Sn 256; exec "$@"', "serve", *line],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as run:
        try:
            assert run.stderr is not None
            with visitor(run.stderr.readline().split()[3]) as client:
                limits = Path(f"/proc/{run.pid}/limits").read_text().splitlines()
                files = next(line.split()[3] for line in limits if line.startswith("Max open files"))
                assert int(files) == min(most, server.FILES)

                def ask() -> None:
                    with suppress(httpx.HTTPError):  # the server may end before it says anything
                        client.get("/api/ask", params={"q": "slow"})

                asking = threading.Thread(target=ask)
                asking.start()
                assert run.stderr.readline() == "asked\n"
                run.send_signal(signal.SIGTERM)
                began = time.monotonic()
                run.communicate(timeout=60)
                assert run.returncode == 0
                assert time.monotonic() - began < 30
                asking.join()
        finally:
            run.kill()


def test_a_library_that_is_moved_away_is_told(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "a.txt").write_text("The lighthouse is red.\n")
    with Library.create(tmp_path / "library", encoder=encoder) as library:
        library.sync([tmp_path / "a.txt"])
        with serving(library) as address, visitor(address) as client:
            question = {"q": "What colour is the lighthouse?"}
            assert client.get("/api/ask", params=question).json()["answer"][0]["text"] == "The lighthouse is red."
            shutil.move(tmp_path / "library", tmp_path / "elsewhere")
            failed = client.get("/health")
            assert (failed.status_code, failed.json()["error"]) == (503, "A library cannot be read.")
            said = "of this server was replaced or removed while it was open: start the server or program again"
            asked = client.get("/api/ask", params=question)
            assert asked.status_code == 503
            assert said in asked.json()["error"]
            assert str(tmp_path) not in asked.text
            shutil.move(tmp_path / "elsewhere", tmp_path / "library")
            assert client.get("/health").status_code == 200

"""After the install nothing asks the network: every socket but loopback is refused, and none is tried."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

GUARD = """
import os, socket
def guarded(name, real, of):
    def call(*arguments, **named):
        host = of(arguments)
        if host not in ("127.0.0.1", "::1", "localhost", None, ""):
            with open(os.environ["NETWORK_LOG"], "a") as log:
                log.write(f"{name} {host}\\n")
            raise OSError(f"the network is refused: {host}")
        return real(*arguments, **named)
    return call
def address(arguments):
    return arguments[1][0] if isinstance(arguments[1], tuple) else None
socket.socket.connect = guarded("connect", socket.socket.connect, address)
socket.socket.connect_ex = guarded("connect_ex", socket.socket.connect_ex, address)
socket.socket.sendto = guarded("sendto", socket.socket.sendto, lambda a: a[-1][0])
socket.getaddrinfo = guarded("getaddrinfo", socket.getaddrinfo, lambda a: a[0])
"""


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code, and all Python that it starts, with the network refused and every attempt written down."""
    (folder / "guard").mkdir(exist_ok=True)
    (folder / "guard" / "sitecustomize.py").write_text(GUARD)
    here = str(Path(__file__).parent.parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "GRADIO_"))}
    environment |= {"PYTHONPATH": f"{folder / 'guard'}{os.pathsep}{here}", "NETWORK_LOG": str(folder / "log")}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_guard_sees_an_attempt(tmp_path: Path) -> None:
    done = run(tmp_path, "import urllib.request as r; r.urlopen('http://example.org')")
    assert done.returncode != 0
    assert "example.org" in (tmp_path / "log").read_text()


def test_index_ask_and_the_page_stay_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.html").write_text("<h1>Bridge</h1><p>The bridge opens at seven in the morning.</p>")
    (tmp_path / "docs" / "b.md").write_text("# Ferry\n\nThe ferry leaves the northern pier at noon.\n")
    code = """
import app, qa
assert app.main(["index", "docs"]) == 0
assert app.main(["ask", "When does the ferry leave the pier?"]) == 0
from qa.page.server import build_app
with qa.Library.open(".refdesk") as library:
    build_app(library)
"""
    done = run(tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert "The ferry leaves the northern pier at noon. [1]" in done.stdout
    assert not (tmp_path / "log").exists(), (tmp_path / "log").read_text()

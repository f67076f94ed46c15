"""How far a long call is, and when it says how long the rest takes."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from qa.progress import MEASURED_SECONDS, TimeLeft

ROOT = Path(__file__).parent.parent


def test_nothing_is_said_before_a_rate_is_known() -> None:
    left = TimeLeft()
    assert [left.seconds(now, 0, 100) for now in (0.0, 1.0, 60.0)] == [None, None, None]
    assert left.seconds(60.0, 10, 100) is None  # how long it took to get here says nothing: a model was loaded
    assert left.seconds(61.0, 20, 100) is None
    assert left.seconds(60.0 + MEASURED_SECONDS - 0.1, 20, 100) is None
    assert left.seconds(70.0, 20, 100) is None  # nothing more was done yet


def test_the_time_left_is_that_of_the_rate_and_counts_down() -> None:
    left = TimeLeft()
    left.seconds(30.0, 10, 100)
    assert left.seconds(40.0, 30, 100) == 70 / 2  # 20 in ten seconds
    assert left.seconds(45.0, 30, 100) == 30.0
    assert left.seconds(50.0, 30, 100) == 25.0
    assert left.seconds(50.0, 60, 100) == pytest.approx(40 / 2.5)
    assert left.seconds(99.0, 60, 100) == 0.0
    assert left.seconds(99.0, 100, 100) is None  # what follows has no measure


def shown(*arguments: object, cwd: Path) -> str:
    """What a command shows on a terminal of 80 columns."""
    command = [sys.executable, "-c", "import sys, app; sys.exit(app.main())", *map(str, arguments)]
    mine, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 80))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=its, stdout=subprocess.DEVNULL, stderr=its, cwd=cwd, env=environment) as run:
        os.close(its)
        told = b""
        while True:
            try:
                part = os.read(mine, 10_000)
            except OSError:  # the other end is closed
                break
            told += part
    os.close(mine)
    assert run.returncode == 0, told.decode()
    return told.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo terminals")
def test_a_short_run_on_a_terminal_tells_no_time_left(folder: Path, tmp_path: Path) -> None:
    for n in range(30):
        (folder / f"{n}.txt").write_text(f"The lighthouse number {n} is red.\n" * 5)
    told = shown("index", "docs", cwd=tmp_path)
    assert re.search(r"encoding 0/30 files +\d+% \|", told)
    assert "left" not in told
    assert "?" not in told
    assert max(len(line) for line in re.split("[\r\n]", told)) <= 80

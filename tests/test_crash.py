"""Kill -9 and Ctrl-C while documents are indexed: a small version of `python -m benchmarks.crash`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import crash
from embeddings import Encoder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def test_kills_leave_a_library_that_opens_and_ends_as_undisturbed(tmp_path: Path, encoder: Encoder) -> None:
    result = crash.soak(tmp_path, encoder, kills=3, files=60, seed=7)
    assert result.problems == []
    assert result.kills == 3
    assert crash.interrupted(tmp_path, encoder, after=0.3) == []

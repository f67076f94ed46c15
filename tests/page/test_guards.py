"""The table of the page's guards is up to date, and what it says of a guard is true."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from browser import ROOT

from benchmarks.guards import GUARDS, Guard, copied, imported, result

DOOR = "def door(host: str) -> bool:\n    return host in ('localhost', '::1')\n"
TEST = "from door import door\n\ndef test_strangers():\n    assert not door('evil.example')\n"


@cache
def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_every_guard_stands_where_the_table_says(guard: Guard) -> None:
    assert (ROOT / guard.file).read_text(encoding="utf-8").count(guard.text) == 1
    assert guard.text != guard.without
    for node in guard.nodes:
        file, _, test = node.partition("::")
        assert test in functions(ROOT / file)


def test_every_guard_has_a_name_of_its_own() -> None:
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)


@pytest.mark.parametrize(
    ("text", "without", "said"),
    [
        ("host in ('localhost', '::1')", "True", "held by tests/test_door.py::test_strangers"),
        ("('localhost', '::1')", "('localhost',)", "NOT HELD: test_door.py::test_strangers pass without it"),
        ("('localhost', '::1')", "(", "NOT HELD: test_door.py::test_strangers could not be run to their end"),
        ("host == 'localhost'", "True", "NOT HELD: it stands in door.py 0 times, not once"),
        ("host", "name", "NOT HELD: it stands in door.py 3 times, not once"),
    ],
)
def test_a_guard_is_held_only_when_a_test_fails(tmp_path: Path, text: str, without: str, said: str) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "door.py").write_text(DOOR)
    (tmp_path / "tests" / "test_door.py").write_text(TEST)
    assert result(Guard("hosts", "door.py", text, without, "test_door.py::test_strangers"), tmp_path) == said
    assert (tmp_path / "door.py").read_text() == DOOR


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_what_is_tested_is_the_copy(tmp_path: Path) -> None:
    copied(tmp_path)
    assert imported(tmp_path)
    (tmp_path / "app.py").unlink()
    assert not imported(tmp_path)

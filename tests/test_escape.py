"""What is taken out of a line before a browser shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from qa.escape import without_folder


@pytest.mark.parametrize(
    ("folder", "line", "said"),
    [
        ("lib", "the library is empty, library lib too", "the library is empty, library lib too"),
        ("library", "the library is empty", "the library is empty"),
        ("at/lib", "library at/lib was made", "library HERE was made"),
        ("at/lib", "great/lib at/library at/lib-2 at/lib.old", "great/lib at/library at/lib-2 at/lib.old"),
        ("/at/lib", "/mnt/at/lib and /at/library", "/mnt/at/lib and /at/library"),
        ("/at/lib", "'/at/lib/x.db' of /at/lib.", "'HERE/x.db' of HERE."),
        ("/at/a+b", "library /at/a+b is empty", "library HERE is empty"),
        ("/", "the path / stays", "the path / stays"),
    ],
)
def test_only_whole_paths_are_taken_out(folder: str, line: str, said: str) -> None:
    assert without_folder(line, Path(folder), "HERE") == said


def test_a_relative_folder_and_a_link_are_known_by_their_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib").mkdir()
    (tmp_path / "link").symlink_to("lib")
    line = f"library {tmp_path}/lib cannot be written, {tmp_path}/library can"
    said = f"library \\1 cannot be written, {tmp_path}/library can"
    assert without_folder(line, Path("lib"), "\\1") == said
    assert without_folder(f"{tmp_path}/link is {tmp_path}/lib", tmp_path / "link", "it") == "it is it"

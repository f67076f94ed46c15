"""The colours are in one place, for the page, the pages before it and the report."""

from __future__ import annotations

import re
from pathlib import Path

from browser import LEAVE

import qa
from qa import Library
from qa.cli import main
from qa.page import layout, login

PACKAGE = Path(qa.__file__).parent
TOKENS = (PACKAGE / "page" / "tokens.css").read_text(encoding="utf-8")
SHEETS = [*(PACKAGE / "page").glob("*.css"), PACKAGE / "evaluation" / "report.css"]


def names(sheet: str) -> set[str]:
    """The custom properties that a sheet sets on a screen."""
    screen = sheet.partition("@media print")[0]
    return set(re.findall(r"(--[a-z-]+):", screen))


def test_all_that_is_shown_has_the_tokens(handbook: Library, tmp_path: Path) -> None:
    (tmp_path / "asked.csv").write_text(f"question,answers\n{LEAVE},25 days\n", encoding="utf-8")
    main(["eval", f"{tmp_path}/asked.csv", "--library", str(handbook.path), "--out", f"{tmp_path}/run"], serve=print)
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for shown in (layout.head(), login.choice([]), report):
        assert TOKENS in shown


def test_no_other_sheet_sets_one() -> None:
    assert len(names(TOKENS)) > 10
    for path in SHEETS:
        if path.name != "tokens.css":
            assert names(path.read_text(encoding="utf-8")) & names(TOKENS) == set(), path.name


def test_every_colour_that_is_used_is_set() -> None:
    for path in SHEETS:
        sheet = path.read_text(encoding="utf-8")
        used = set(re.findall(r"var\((--[a-z-]+)\)", sheet)) - names(sheet)
        assert used - names(TOKENS) - {"--radius", "--font-mono"} == set(), path.name

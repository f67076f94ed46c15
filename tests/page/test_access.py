"""Everyone can use the page: axe-core finds nothing in any state, on a wide light screen and a narrow dark one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import LEAVE, Visit, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")

AXE = (Path(axe.__path__[0]) / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(visit: Visit) -> list[str]:
    """What axe finds, one line for each element."""
    visit.page.wait_for_timeout(300)  # colours that are on their way to another one
    visit.page.evaluate(AXE)
    found = visit.page.evaluate(
        "(tags) => axe.run(document, { runOnly: tags, resultTypes: ['violations'] }).then((done) => done.violations)",
        RULES,
    )
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


def start(visit: Visit) -> None:
    visit.page.locator(".rd-suggestion").first.wait_for()


def answered(visit: Visit) -> None:
    visit.ask(LEAVE)


def reading(visit: Visit) -> None:
    visit.ask(LEAVE)
    visit.page.locator(".rd-marker").first.click()
    playwright.expect(visit.page.locator("#rd-mark")).to_be_focused()


def nothing(visit: Visit) -> None:
    visit.ask("Who won the chess championship in Reykjavik?")
    visit.page.get_by_text("Show the nearest passages").click()


def changing(visit: Visit) -> None:
    visit.ask(LEAVE)
    visit.page.get_by_role("button", name="Edit question").click()


def settings(visit: Visit) -> None:
    visit.ask(LEAVE)
    visit.page.get_by_role("button", name="Ask again…").click()


def documents(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Documents", exact=True).click()
    visit.page.locator("#rd-documents").get_by_text("handbook.md").first.wait_for()


def conversations(visit: Visit) -> None:
    visit.ask(LEAVE)
    if visit.page.get_by_role("button", name="Conversations").get_attribute("aria-expanded") == "false":
        visit.page.get_by_role("button", name="Conversations").click()
    visit.page.locator("#rd-history").get_by_text(LEAVE).first.wait_for()


def evaluating(visit: Visit) -> None:
    if visit.page.get_by_role("button", name="Conversations").get_attribute("aria-expanded") == "false":
        visit.page.get_by_role("button", name="Conversations").click()
    visit.page.get_by_role("button", name="Evaluate").click()


STATES = (start, answered, reading, nothing, changing, settings, documents, conversations, evaluating)


@pytest.mark.parametrize(("width", "dark"), [(1360, False), (390, True)], ids=["desktop-light", "phone-dark"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_axe_finds_nothing(
    browser: Browser, address: str, state: Callable[[Visit], None], width: int, dark: bool
) -> None:
    with visiting(browser, address, width=width, height=850, dark=dark) as visit:
        state(visit)
        assert violations(visit) == []


def test_axe_would_find_something(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        visit.page.evaluate("document.querySelector('#rd-ask textarea').closest('label').replaceWith(new Image())")
        assert any(line.startswith("image-alt") for line in violations(visit))

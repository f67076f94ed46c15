"""Between Enter and the answer, in a real browser: the way to the server is slow, or nobody is at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser import KEYS, LEAVE, SLOWEST, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

SECONDS = 3


def slow_down(page: Page, milliseconds: int) -> None:
    """Every request takes so much longer."""
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    conditions = {"offline": False, "latency": milliseconds, "downloadThroughput": -1, "uploadThroughput": -1}
    wire.send("Network.emulateNetworkConditions", conditions)


def test_a_question_is_marked_until_the_server_has_it(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page, said = visit.page, visit.page.locator(".rd-way")
        box, around = page.get_by_label("Question", exact=True), page.locator("#rd-ask")
        slow_down(page, 1_000 * SECONDS)
        box.fill(LEAVE)
        box.press("Enter")
        playwright.expect(around).to_have_attribute("aria-busy", "true", timeout=1_000)
        playwright.expect(said).to_have_text("Sending…", timeout=2_000)
        playwright.expect(page.locator("#rd-live")).to_have_text("Sending…")
        assert page.locator(".rd-exchange").count() == 0
        box.press("End")
        page.keyboard.type(" And")
        assert box.input_value() == f"{LEAVE} And"  # who types is not held up
        page.locator(".rd-exchange[aria-busy=false]").wait_for()
        playwright.expect(around).to_have_attribute("aria-busy", "false")
        playwright.expect(said).to_be_empty()
        page.get_by_role("button", name="Edit question").click()
        page.keyboard.type(KEYS)
        page.keyboard.press("Enter")
        playwright.expect(said).to_have_text("Sending…")
        playwright.expect(page.locator(".rd-question-words")).to_have_text(KEYS, timeout=SLOWEST)
        playwright.expect(said).to_be_empty()


def test_nothing_is_said_where_the_way_is_short(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.evaluate("""() => new MutationObserver(() => (window.told = true))
          .observe(document.querySelector(".rd-way"), { childList: true, subtree: true, characterData: true })""")
        visit.ask(LEAVE)
        for _ in range(2):  # the second time the page says the same as before, so that nothing in it changes
            page.get_by_label("Question", exact=True).press("Enter")
            page.get_by_text("Type a question first.").wait_for()
            playwright.expect(page.locator("#rd-ask")).to_have_attribute("aria-busy", "false")
        page.wait_for_timeout(600)
        assert page.evaluate("window.told === undefined")


def test_the_mark_goes_when_the_page_has_a_bug(
    browser: Browser, address: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("qa.page.chat.ask", lambda *_: 1 / 0)
    with visiting(browser, address) as visit:
        box = visit.page.get_by_label("Question", exact=True)
        box.fill(LEAVE)
        box.press("Enter")
        said = visit.page.locator(".rd-way")
        playwright.expect(said).to_have_text("No answer came. Your question is still in the box.")
        playwright.expect(visit.page.locator("#rd-ask")).to_have_attribute("aria-busy", "false")
        assert box.input_value() == LEAVE
    assert "ZeroDivisionError" in capfd.readouterr().err


@pytest.mark.parametrize(("width", "height"), [(1360, 850), (390, 844)])
def test_a_question_that_was_not_sent_is_still_in_the_box(
    browser: Browser, address: str, width: int, height: int
) -> None:
    with visiting(browser, address, width=width, height=height) as visit:
        page = visit.page
        visit.ask(LEAVE)
        page.context.set_offline(True)
        box = page.get_by_label("Question", exact=True)
        box.fill(KEYS)
        box.press("Enter")
        said = page.locator(".rd-way")
        playwright.expect(said).to_have_text("No answer came. Your question is still in the box.")
        playwright.expect(page.locator("#rd-ask")).to_have_attribute("aria-busy", "false")
        assert box.input_value() == KEYS
        toast = page.locator(".toast-body")
        toast.wait_for()
        page.wait_for_timeout(500)  # it moves in
        over = toast.bounding_box()
        assert over is not None
        bar, line = page.locator("#rd-bar").bounding_box(), said.bounding_box()
        assert bar is not None
        assert line is not None
        assert bar["y"] + bar["height"] <= over["y"]
        assert over["y"] + over["height"] <= line["y"]
        assert over["x"] >= 0
        assert over["x"] + over["width"] <= width
        page.context.set_offline(False)  # Gradio finds the server again and loads the page anew
        playwright.expect(said).to_be_empty(timeout=30_000)
        playwright.expect(box).to_have_value(KEYS)
        playwright.expect(page.locator(".rd-exchange")).to_have_count(1)
        visit.wrong.clear()  # the browser tells of each request that failed

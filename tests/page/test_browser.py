"""The page in a real browser: asking, reading the cited words in their place, and hostile documents that do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser import CONTRAST, HOSTILE_NAME, KEYS, LEAVE, visiting

from qa import Library

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ZEBRA = "What does the zebra permit cost?"


def test_ask_read_and_go_back(browser: Browser, address: str, handbook: Library) -> None:
    answer = handbook.ask(LEAVE)
    quote = answer.sentences[0].citations[0].quote
    with visiting(browser, address) as visit:
        page = visit.page
        assert page.get_by_role("heading", name="Ask your documents").is_visible()
        assert "Staff handbook" in page.locator("#rd-library").inner_text()
        visit.ask(LEAVE)
        assert page.get_by_label("Question", exact=True).input_value() == ""
        assert quote in page.locator(".rd-sentence").first.inner_text()
        card = page.locator("#rd-panel .rd-card").first
        assert "also in: handbook.md" in card.inner_text() or "also in: copies/handbook.md" in card.inner_text()
        assert quote in card.locator("mark").all_text_contents()
        marker = page.get_by_role("link", name="Source 1: Staff handbook").first
        marker.hover()
        page.wait_for_function("document.querySelector('#rd-panel .rd-card').classList.contains('rd-lit')")
        marker.click()
        mark = page.locator("#rd-mark")
        playwright.expect(mark).to_be_focused()
        assert mark.text_content() == quote
        playwright.expect(mark).to_be_in_viewport()
        assert not page.locator("#rd-panel").is_visible()
        page.keyboard.press("Escape")
        playwright.expect(marker).to_be_focused()
        card.locator("mark").last.click()
        playwright.expect(mark).to_be_focused()
        assert mark.text_content() == card.locator("mark").last.text_content()


def test_by_keyboard_alone(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.keyboard.type(LEAVE)  # the box has the focus
        page.keyboard.press("Enter")
        page.locator(".rd-exchange[aria-busy=false] .rd-marker").first.wait_for()
        for _ in range(20):
            if visit.focused().startswith("Source 1"):
                break
            page.keyboard.press("Shift+Tab")
        assert visit.focused().startswith("Source 1")
        page.keyboard.press("Enter")
        playwright.expect(page.locator("#rd-mark")).to_be_focused()
        page.keyboard.press("Shift+Tab")
        assert visit.focused() == "Sources"
        page.keyboard.press("Enter")
        assert visit.focused().startswith("Source 1")


def test_follow_ups_and_new_chat(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(LEAVE)
        first = page.locator(".rd-marker").first
        assert page.get_by_text("Searched:").count() == 0
        visit.ask("And how many can be carried over?")
        assert LEAVE in page.locator(".rd-searched").last.inner_text()
        first.click()  # an older answer's marker opens its own words
        playwright.expect(page.locator("#rd-mark")).to_contain_text("25 days")
        page.get_by_role("button", name="New chat").click()
        page.get_by_role("heading", name="Ask your documents").wait_for()
        assert page.locator(".rd-exchange").count() == 0
        assert page.locator("#rd-library").is_visible()
        assert not page.locator("#rd-panel, #rd-reader").filter(visible=True).count()
        visit.ask("And how many can be carried over?")
        assert page.get_by_text("Searched:").count() == 0


def test_nothing_found_and_the_nearest(browser: Browser, address: str, handbook: Library) -> None:
    question = "Quantum chromodynamics lattice gauge theory?"
    assert not handbook.ask(question).found
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(question)
        assert page.get_by_text("No passage found for this in 4 documents.").is_visible()
        card = page.locator(".rd-nearest .rd-card").first
        assert not card.is_visible()
        page.get_by_text("Show the nearest passages").click()
        assert card.is_visible()
        assert "Weak match" in card.inner_text()
        card.get_by_role("link").click()
        playwright.expect(page.locator("#rd-mark")).to_be_focused()


def test_mistakes_are_said_calmly(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        box = page.get_by_label("Question", exact=True)
        box.press("Enter")
        page.get_by_text("Type a question first.").wait_for()
        box.fill("x" * 4_001)
        box.press("Enter")
        page.get_by_text("shorten it to 4,000").wait_for()
        playwright.expect(box).to_have_value("x" * 4_001)


def test_hostile_documents_are_text(browser: Browser, address: str, handbook: Library) -> None:
    answer = handbook.ask(ZEBRA)
    quote = answer.sentences[0].citations[0].quote
    assert "<script>" in quote
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(f"{ZEBRA} <img src=x onerror=window.__ran=1> ${{window.__ran=1}} {{{{value}}}}")
        assert (
            "<img src=x onerror=window.__ran=1> ${window.__ran=1} {{value}}"
            in page.locator(".rd-question").inner_text()
        )
        page.locator(".rd-marker").first.click()
        playwright.expect(page.locator("#rd-mark")).to_be_focused()
        assert page.locator("#rd-mark").text_content() == quote
        assert "<iframe srcdoc=" in page.locator(".rd-text").inner_text()
        shown = page.locator(".rd-about").inner_text()
        assert HOSTILE_NAME.replace("\u202e", "\ufffd") in shown
        assert page.locator("#rd-page :is(img, iframe, script, b[onclick], details[ontoggle])").count() == 0


def test_long_documents_open_at_the_quote(browser: Browser, address: str, handbook: Library) -> None:
    quote = handbook.ask(KEYS).sentences[0].citations[0].quote
    with visiting(browser, address) as visit:
        visit.ask(KEYS)
        visit.page.locator(".rd-marker").first.click()
        mark = visit.page.locator("#rd-mark")
        playwright.expect(mark).to_be_focused()
        assert mark.text_content() == quote
        playwright.expect(mark).to_be_in_viewport()
        top = "(element) => element.getBoundingClientRect().top"
        below = "(element) => element.getBoundingClientRect().bottom"
        head, about = visit.page.locator(".rd-document > .rd-head"), visit.page.locator(".rd-about")
        assert head.evaluate(below) <= about.evaluate(top) + 1 < mark.evaluate(top)
        assert about.evaluate(below) < mark.evaluate(top)
        assert visit.page.locator(".rd-block").count() <= 81


def test_a_giant_word_stays_in_its_column(browser: Browser, address: str) -> None:
    with visiting(browser, address, width=390, height=844) as visit:
        page = visit.page
        visit.ask("What is the longest parrot name?")
        assert page.locator(".rd-log").evaluate("(log) => log.scrollWidth <= log.clientWidth")
        page.locator(".rd-marker").first.click()
        mark = page.locator("#rd-mark")
        playwright.expect(mark).to_be_focused()
        top = "(element) => element.getBoundingClientRect().top"
        assert mark.evaluate(top) > page.locator(".rd-text").evaluate(top)
        assert mark.evaluate(top) > page.locator(".rd-about").evaluate("(e) => e.getBoundingClientRect().bottom")
        assert page.locator(".rd-document").evaluate("(pane) => pane.scrollWidth <= pane.clientWidth")


def test_on_a_phone_the_panel_is_a_sheet(browser: Browser, address: str) -> None:
    with visiting(browser, address, width=390, height=844) as visit:
        page = visit.page
        assert page.get_by_text("handbook.md").first.is_visible()
        visit.ask(LEAVE)
        assert not page.locator("#rd-side").is_visible()
        page.get_by_role("button", name="Show").click()
        card = page.locator("#rd-panel .rd-card").first
        playwright.expect(card).to_be_in_viewport()
        assert visit.focused() == "Close"
        card.get_by_role("link").click()
        playwright.expect(page.locator("#rd-mark")).to_be_focused()
        page.keyboard.press("Escape")
        assert card.is_visible()  # back in the sheet that it came from
        page.locator("#rd-panel .rd-close").click()
        playwright.expect(page.locator("#rd-side")).to_be_hidden()
        marker = page.locator(".rd-marker").first
        marker.click()
        playwright.expect(page.locator("#rd-mark")).to_be_in_viewport()
        page.keyboard.press("Escape")
        playwright.expect(page.locator("#rd-side")).to_be_hidden()
        playwright.expect(marker).to_be_focused()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_stream_that_closed_too_early_loses_nothing(browser: Browser, address: str) -> None:
    def close_next_stream() -> None:
        page.wait_for_timeout(500)  # until the last one is closed
        page.route("**/queue/data*", close, times=1)

    def close(route: Route) -> None:
        route.fulfill(content_type="text/event-stream", body='data: {"msg": "close_stream"}\n\n')

    with visiting(browser, address) as visit:
        page = visit.page
        close_next_stream()
        visit.ask(LEAVE)
        close_next_stream()
        page.locator(".rd-marker").first.click()
        playwright.expect(page.locator("#rd-mark")).to_be_focused()


@pytest.mark.parametrize("dark", [False, True])
def test_colours_follow_the_system_and_can_be_read(browser: Browser, address: str, dark: bool) -> None:
    with visiting(browser, address, dark=dark) as visit:
        page = visit.page
        visit.ask(LEAVE)
        background = page.evaluate("getComputedStyle(document.getElementById('rd-page')).backgroundColor")
        assert (background == "rgb(255, 255, 255)") is not dark
        texts = ".rd-brand, .rd-held, .rd-question, .rd-sentence, .rd-marker, .rd-strength, .rd-title, .rd-place, mark"
        found = page.locator(f"#rd-page :is({texts}), #rd-new, #rd-ask textarea")
        assert found.count() > 9
        for element in found.all():
            assert element.evaluate(CONTRAST) >= 4.5


def test_nothing_moves_where_motion_is_not_wanted(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        visit.page.emulate_media(reduced_motion="reduce")
        visit.ask(LEAVE)
        moving = "[...document.querySelectorAll('#rd-page *')].some((e) => e.getAnimations().length)"
        assert not visit.page.evaluate(moving)

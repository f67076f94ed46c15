"""Back and Forward: each view, conversation and document is a step of the browser's history, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from browser import KEYS, LEAVE, WARRANTY, visiting

from qa import Library

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

LOCKERS = "Which warden keeps locker keys?"  # three are cited
AT = "history.state.refdesk.at"


def questions(page: Page) -> Callable[[list[str]], None]:
    """Waits until the conversation in view is of these questions."""
    shown = page.locator(".rd-exchange[aria-busy=false] .rd-question-words")
    return lambda expected: playwright.expect(shown).to_have_text(expected)


def conversation(page: Page) -> str:
    """The address of the conversation in view, once it has one."""
    page.wait_for_function("location.hash.startsWith('#/c/')")
    found: str = page.evaluate("location.hash")
    return found


def test_views_are_steps(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        documents, evaluation = (page.get_by_role("heading", name=name) for name in ("Documents", "Evaluate"))
        opener = page.get_by_role("button", name="Documents", exact=True)
        opener.click()
        playwright.expect(documents.first).to_be_focused()
        page.get_by_role("button", name="Evaluate").click()
        playwright.expect(evaluation).to_be_focused()
        page.go_back()
        playwright.expect(documents.first).to_be_focused()
        page.go_back()
        playwright.expect(page.get_by_role("heading", name="Ask your documents")).to_be_visible()
        playwright.expect(opener).to_be_focused()
        page.go_forward()
        page.go_forward()
        playwright.expect(evaluation).to_be_focused()
        page.reload()
        playwright.expect(evaluation).to_be_visible()
        page.go_back()
        playwright.expect(documents.first).to_be_visible()


def test_a_document_is_a_step_and_closing_it_takes_the_step_back(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page, reader = visit.page, visit.page.locator("#rd-reader")
        visit.ask(LOCKERS)
        markers = page.locator(".rd-marker")
        markers.first.click()
        mark = page.locator("#rd-mark")
        playwright.expect(mark).to_be_focused()
        first = mark.text_content()
        page.go_back()
        playwright.expect(reader).to_be_hidden()
        playwright.expect(markers.first).to_be_focused()
        page.go_forward()
        playwright.expect(mark).to_be_focused()
        markers.nth(1).click()  # another one over it
        playwright.expect(mark).not_to_have_text(first or "")
        page.go_back()
        playwright.expect(mark).to_have_text(first or "")
        page.locator(".rd-document").evaluate("(pane) => pane.scrollTo(0, 0)")
        markers.first.click()  # back to its words, no step
        playwright.expect(mark).to_be_in_viewport()
        page.get_by_role("button", name="Next citation").click()  # no step
        playwright.expect(mark).not_to_have_text(first or "")
        assert page.evaluate(AT) == 1
        markers.first.click()
        playwright.expect(mark).to_have_text(first or "")
        assert page.evaluate(AT) == 2
        page.keyboard.press("Escape")
        playwright.expect(reader).to_be_hidden()
        page.wait_for_function(f"{AT} === 0")


def test_conversations_are_steps_and_answers_are_none(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page, shows = visit.page, questions(visit.page)
        many = page.evaluate("history.length")
        visit.ask(WARRANTY)
        first = conversation(page)
        visit.ask(LEAVE)
        assert page.evaluate("history.length") == many
        page.get_by_role("button", name="New chat").click()
        shows([])
        assert page.evaluate("location.hash") == ""
        visit.ask(KEYS)
        second = conversation(page)
        assert page.evaluate("history.length") == many + 1
        page.go_back()
        shows([WARRANTY, LEAVE])
        assert page.evaluate("location.hash") == first
        page.go_forward()
        shows([KEYS])
        assert page.evaluate("location.hash") == second
        page.get_by_role("link", name=WARRANTY).click()
        shows([WARRANTY, LEAVE])
        assert page.evaluate("history.length") == many + 2
        page.go_back()
        shows([KEYS])


def test_back_twice_at_once_ends_where_it_should(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page, shows = visit.page, questions(visit.page)
        kept = []
        for question in (WARRANTY, LEAVE, KEYS):
            visit.ask(question)
            kept.append(conversation(page))
            if question != KEYS:
                page.get_by_role("button", name="New chat").click()
                shows([])
        page.evaluate("history.back(); setTimeout(() => history.back(), 60)")
        shows([WARRANTY])
        page.wait_for_timeout(500)
        shows([WARRANTY])
        assert page.evaluate("location.hash") == kept[0]


def test_a_chat_that_gets_its_address_meanwhile_is_still_there(
    browser: Browser, address: str, handbook: Library
) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        with handbook._turns[handbook.snapshot().large]:  # as if others were asking all the time
            page.get_by_label("Question", exact=True).fill(LEAVE)
            page.get_by_label("Question", exact=True).press("Enter")
            page.get_by_role("button", name="Stop").wait_for()
            page.get_by_role("button", name="Documents", exact=True).click()
        kept = conversation(page)
        page.go_back()
        questions(page)([LEAVE])
        page.wait_for_timeout(500)
        questions(page)([LEAVE])
        assert page.evaluate("location.hash") == kept


def test_a_question_closes_the_document_without_a_step(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(LEAVE)
        page.locator(".rd-marker").first.click()
        playwright.expect(page.locator("#rd-mark")).to_be_focused()
        visit.ask(WARRANTY)
        playwright.expect(page.locator("#rd-reader")).to_be_hidden()
        playwright.expect(page.get_by_label("Question", exact=True)).to_be_focused()
        page.wait_for_function(f"{AT} === 0")
        assert page.evaluate("location.hash") == conversation(page)


def test_addresses_open_conversations(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page, shows = visit.page, questions(visit.page)
        visit.ask(LEAVE)
        first = conversation(page)
        exchange = page.locator(".rd-exchange").get_attribute("data-exchange")
        page.get_by_role("button", name="New chat").click()
        shows([])
        visit.ask(WARRANTY)
        page.evaluate("(address) => { location.hash = address; }", f"{first}/{exchange}")  # as if it was typed
        shows([LEAVE])
        playwright.expect(page.locator(".rd-question")).to_be_focused()
        page.go_back()
        shows([WARRANTY])
        page.goto("about:blank")
        page.goto(f"{address}/{first}/{exchange}")
        shows([LEAVE])
        playwright.expect(page.locator(".rd-question")).to_be_focused()
        page.evaluate("() => { location.hash = '#/c/nobody-has-this-one'; }")
        page.get_by_text("That conversation is not here").wait_for()
        page.wait_for_function("location.hash === ''")
        page.go_back()
        shows([LEAVE])


def test_on_a_phone_back_closes_what_lies_over_the_chat(browser: Browser, address: str) -> None:
    with visiting(browser, address, width=390, height=844) as visit:
        page, card = visit.page, visit.page.locator("#rd-panel .rd-card").first
        side, mark = page.locator("#rd-side"), page.locator("#rd-mark")
        visit.ask(LEAVE)
        page.get_by_role("button", name="Show").click()
        playwright.expect(card).to_be_in_viewport()
        card.get_by_role("link").click()
        playwright.expect(mark).to_be_focused()
        page.go_back()
        playwright.expect(card).to_be_in_viewport()
        page.go_back()
        playwright.expect(side).to_be_hidden()
        page.go_forward()
        playwright.expect(card).to_be_in_viewport()
        page.go_forward()
        playwright.expect(mark).to_be_focused()
        page.locator("#rd-reader .rd-close").click()
        playwright.expect(side).to_be_hidden()
        page.wait_for_function(f"{AT} === 0")


def test_on_a_phone_back_closes_the_list_of_conversations(browser: Browser, address: str) -> None:
    with visiting(browser, address, width=390, height=844) as visit:
        page, shows, nav = visit.page, questions(visit.page), visit.page.locator("#rd-nav")
        opener = page.get_by_role("button", name="Conversations", exact=True)
        visit.ask(LEAVE)
        conversation(page)
        page.get_by_role("button", name="New chat").click()
        shows([])
        opener.click()
        playwright.expect(nav).to_be_visible()
        playwright.expect(opener).to_have_attribute("aria-expanded", "true")
        nav.get_by_role("link").first.focus()
        page.go_back()
        playwright.expect(nav).to_be_hidden()
        playwright.expect(opener).to_have_attribute("aria-expanded", "false")
        playwright.expect(opener).to_be_focused()
        page.go_forward()
        playwright.expect(nav).to_be_visible()
        nav.get_by_role("link", name=LEAVE).first.click()
        shows([LEAVE])
        playwright.expect(nav).to_be_hidden()
        page.go_back()  # to the chat that was left, not to the list over it
        shows([])
        playwright.expect(nav).to_be_hidden()
        opener.click()
        page.get_by_role("button", name="Evaluate").click()
        playwright.expect(page.get_by_role("heading", name="Evaluate")).to_be_focused()
        page.go_back()
        playwright.expect(page.get_by_role("heading", name="Ask your documents")).to_be_visible()
        playwright.expect(nav).to_be_hidden()


def test_an_open_document_outlives_a_reload(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(LEAVE)
        page.locator(".rd-marker").first.click()
        playwright.expect(page.locator("#rd-mark")).to_be_focused()
        page.reload()
        questions(page)([LEAVE])
        playwright.expect(page.locator("#rd-mark")).to_be_visible()
        page.go_back()
        playwright.expect(page.locator("#rd-reader")).to_be_hidden()
        questions(page)([LEAVE])


def test_steps_that_come_while_the_browser_goes_back_wait_for_it(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(LEAVE)
        page.locator(".rd-marker").first.click()
        playwright.expect(page.locator("#rd-mark")).to_be_focused()
        page.evaluate("() => { refdesk.uncover(); refdesk.show('documents'); }")
        page.wait_for_function(f"{AT} === 1 && history.state.refdesk.view === 'documents'")
        page.go_back()
        questions(page)([LEAVE])
        assert page.evaluate("refdesk.view") == "chat"
        assert page.evaluate("refdesk.place.layers.length") == 0

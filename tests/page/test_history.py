"""Conversations on the page, in a real browser: the list, its menus and links, and what people say of answers."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import CONTRAST, LEAVE, WARRANTY, Visit, visiting

from qa import Library
from qa.history import FILE_NAME, History
from qa.page.site import COOKIE
from qa.types import Answer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = "<img src=x onerror=window.__ran=1> ${window.__ran=2} {{value}} </a><script>window.__ran=3</script>"


def owner(visit: Visit) -> str:
    """The number of the visitor that the window is."""
    found: str = next(one["value"] for one in visit.page.context.cookies() if one["name"] == COOKIE)
    return found


def look(visit: Visit) -> None:
    """Have the list look for what is new."""
    visit.page.evaluate("document.dispatchEvent(new CustomEvent('refdesk:answered', { detail: {} }))")


def open_anew(visit: Visit, address: str) -> None:
    """Leave the page and come to an address of it. Gradio tells the console of the stream that was cut off."""
    visit.page.goto("about:blank")
    visit.wrong.clear()
    visit.page.goto(address)


def keep(visit: Visit, library: Library, *asked: Answer | str) -> list[str]:
    """Keep a conversation for each answer, and have the page look; returns their ids, the last one first."""
    with History.open(library.path) as kept:
        answers = [Answer(one, one, False, (), ()) if isinstance(one, str) else one for one in asked]
        ids = [kept.add(owner(visit), "", one, {"k": 5})[0] for one in answers]
    look(visit)
    visit.page.locator(f'.rd-talk[data-conversation="{ids[-1]}"]').wait_for(state="attached")
    return ids[::-1]


def row(page: Page, title: str) -> Locator:
    return page.locator(".rd-talk").filter(has_text=title)


def choose(page: Page, title: str, item: str) -> None:
    """Choose from a row's menu."""
    row(page, title).hover()
    row(page, title).get_by_role("button").click()
    page.get_by_role("menuitem", name=item).click()


def titles(page: Page) -> list[str]:
    return page.locator(".rd-talk-title").all_text_contents()


def test_what_is_asked_is_in_the_list_and_opens_again(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.get_by_text("No conversations yet.").wait_for()
        visit.ask(WARRANTY)
        current = page.locator(".rd-talk-title[aria-current=page]")
        playwright.expect(current).to_have_text(WARRANTY)
        visit.ask("And of the grinder?")
        page.get_by_role("button", name="New chat").click()
        playwright.expect(current).to_have_count(0)
        visit.ask(LEAVE)
        playwright.expect(current).to_have_text(LEAVE)
        assert titles(page) == [LEAVE, WARRANTY]
        page.get_by_role("link", name=WARRANTY).click()
        playwright.expect(current).to_have_text(WARRANTY)
        asked = page.locator(".rd-exchange .rd-question-words")
        playwright.expect(asked).to_have_text([WARRANTY, "And of the grinder?"])
        open_anew(visit, page.url)
        playwright.expect(current).to_have_text(WARRANTY)
        playwright.expect(asked).to_have_text([WARRANTY, "And of the grinder?"])


def test_other_visitors_have_their_own(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as one, visiting(browser, address) as other:
        keep(one, handbook, "My secret")
        other.page.get_by_text("No conversations yet.").wait_for()
        assert titles(one.page) == ["My secret"]


def test_titles_are_text(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        keep(visit, handbook, "A question")
        choose(visit.page, "A question", "Rename")
        visit.page.get_by_label("Title").fill(HOSTILE)
        visit.page.keyboard.press("Enter")
        playwright.expect(visit.page.locator(".rd-talk-title")).to_have_text(HOSTILE)
        open_anew(visit, address)
        playwright.expect(visit.page.locator(".rd-talk-title")).to_have_text(HOSTILE)
        visit.page.get_by_role("button", name=f"Options for {HOSTILE}").focus()
        assert visit.page.locator("#rd-history :is(img, script, b)").count() == 0


def test_rename_in_its_place(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        (conversation,) = keep(visit, handbook, WARRANTY)
        choose(page, WARRANTY, "Rename")
        field = page.get_by_label("Title")
        playwright.expect(field).to_be_focused()
        assert page.evaluate("getSelection().toString()") == WARRANTY
        field.fill("Never kept")
        field.press("Escape")
        playwright.expect(page.get_by_role("link", name=WARRANTY)).to_be_focused()
        choose(page, WARRANTY, "Rename")
        field.fill("  ")
        field.press("Enter")
        playwright.expect(page.get_by_role("link", name=WARRANTY)).to_be_focused()
        choose(page, WARRANTY, "Rename")
        field.fill("Coffee")
        field.press("Enter")
        playwright.expect(page.get_by_role("link", name="Coffee")).to_be_focused()
        choose(page, "Coffee", "Rename")
        field.fill("Tea")
        page.get_by_label("Question", exact=True).click()  # to leave the field is to keep what it holds
        playwright.expect(page.get_by_role("link", name="Tea")).to_be_visible()
        with History.open(handbook.path) as kept:
            found = kept.conversation(owner(visit), conversation)
            assert found is not None
            assert found.title == "Tea"


def test_one_menu_at_a_time(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        keep(visit, handbook, "One", "Two")
        one, two = (page.get_by_role("button", name=f"Options for {title}") for title in ("One", "Two"))
        for button, opened in ((two, "true"), (two, "false"), (two, "true")):
            button.click()
            playwright.expect(two).to_have_attribute("aria-expanded", opened)
            assert page.get_by_role("menu").is_visible() == (opened == "true")
        one.focus()
        one.dispatch_event("click")  # the first menu covers it
        playwright.expect(two).to_have_attribute("aria-expanded", "false")
        playwright.expect(one).to_have_attribute("aria-expanded", "true")
        page.get_by_role("menuitem", name="Rename").click()
        playwright.expect(page.get_by_label("Title")).to_have_value("One")
        page.keyboard.press("Escape")
        two.click()
        page.mouse.click(700, 300)
        playwright.expect(page.get_by_role("menu")).to_be_hidden()
        playwright.expect(two).to_have_attribute("aria-expanded", "false")


def test_delete_is_asked_about(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        keep(visit, handbook, "One", "Two", handbook.ask(WARRANTY))
        page.get_by_role("link", name=WARRANTY).click()
        page.locator(".rd-exchange").wait_for()
        choose(page, "Two", "Delete")
        playwright.expect(page.get_by_role("button", name="Keep")).to_be_focused()
        page.keyboard.press("Enter")
        playwright.expect(page.get_by_role("link", name="Two")).to_be_focused()
        choose(page, "Two", "Delete")
        page.get_by_role("button", name="Delete", exact=True).click()
        playwright.expect(page.get_by_role("link", name="One")).to_be_focused()
        assert titles(page) == [WARRANTY, "One"]
        assert page.locator(".rd-exchange").count() == 1
        choose(page, WARRANTY, "Delete")
        page.get_by_role("button", name="Delete", exact=True).click()
        playwright.expect(page.locator(".rd-exchange")).to_have_count(0)  # it was open
        assert titles(page) == ["One"]
        visit.ask(LEAVE)
        page.get_by_role("button", name="Delete all").click()
        page.get_by_role("button", name="Keep").click()
        playwright.expect(page.get_by_role("button", name="Delete all")).to_be_focused()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Delete all").click()
        page.get_by_text("No conversations yet.").wait_for()
        playwright.expect(page.locator(".rd-exchange")).to_have_count(0)
        with History.open(handbook.path) as kept:
            assert kept.conversations(owner(visit)) == []


def test_search_shows_from_ten_on(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        search = page.get_by_label("Search conversations")
        keep(visit, handbook, *(f"Question {n}" for n in range(10)))
        assert not search.is_visible()
        keep(visit, handbook, "Where is the Zebra?")
        search.fill("zebra")
        playwright.expect(page.locator(".rd-talk")).to_have_count(1)
        search.fill("zebras")
        page.get_by_text("No conversation has these words.").wait_for()
        assert search.is_visible()
        search.fill("")
        playwright.expect(page.locator(".rd-talk")).to_have_count(11)


def test_days_and_older_ones(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        ids = keep(visit, handbook, *(f"Question {n}" for n in range(60)))
        noon = datetime.now(UTC).astimezone().replace(hour=0, minute=0, second=1)
        with sqlite3.connect(handbook.path / FILE_NAME) as run:
            for days, some in ((0, ids[:2]), (1, ids[2:5]), (3, ids[5:])):
                for n, one in enumerate(some):
                    at = (noon - timedelta(days=days, milliseconds=n)).astimezone(UTC) + timedelta(seconds=days == 0)
                    run.execute("UPDATE conversations SET updated = ? WHERE id = ?", (at.isoformat(), one))
        run.close()
        open_anew(visit, address)
        playwright.expect(page.locator(".rd-talk-day")).to_have_text(["Today", "Yesterday", "Earlier"])
        assert [group.locator(".rd-talk").count() for group in page.locator(".rd-talk-list ul").all()] == [2, 3, 45]
        page.get_by_role("button", name="Show older").click()
        playwright.expect(page.locator(".rd-talk")).to_have_count(60)
        assert page.get_by_role("button", name="Show older").count() == 0
        page.get_by_role("list", name="Earlier").get_by_role("link").first.wait_for()


def test_exports_are_downloaded(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        keep(visit, handbook, handbook.ask(WARRANTY))
        for item, suffix in (("Export as Markdown", "md"), ("Export as JSON", "json")):
            with visit.page.expect_download() as downloading:
                choose(visit.page, WARRANTY, item)
            name = downloading.value.suggested_filename
            assert name == f"how-long-is-the-warranty-of-the-coffee-machine.{suffix}"
            text = Path(downloading.value.path()).read_text(encoding="utf-8")
            assert "lasts 24 months" in (
                text if suffix == "md" else json.loads(text)["exchanges"][0]["answer"][0]["text"]
            )


def test_a_link_leads_back(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        (conversation,) = keep(visit, handbook, handbook.ask(WARRANTY))
        choose(page, WARRANTY, "Copy link")
        page.get_by_text("Link copied.").wait_for()
        link = page.evaluate("navigator.clipboard.readText()")
        assert link == f"{address}/#/c/{conversation}"
        open_anew(visit, link)
        playwright.expect(page.locator(".rd-talk-title[aria-current=page]")).to_have_text(WARRANTY)
        page.locator(".rd-exchange").wait_for()


def test_by_keyboard_alone(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        keep(visit, handbook, "One", "Two")
        page.get_by_role("link", name="Two").focus()
        page.keyboard.press("Tab")
        button = page.get_by_role("button", name="Options for Two")
        playwright.expect(button).to_be_focused()
        assert button.evaluate("(button) => getComputedStyle(button).opacity") == "1"
        page.keyboard.press("Enter")
        playwright.expect(button).to_have_attribute("aria-expanded", "true")
        seen = []
        for key in ("", "ArrowDown", "End", "ArrowDown", "ArrowUp", "Home"):
            if key:
                page.keyboard.press(key)
            else:
                playwright.expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
            seen.append(visit.focused())
        assert seen == ["Rename", "Copy link", "Delete", "Rename", "Delete", "Rename"]
        page.keyboard.press("Escape")
        playwright.expect(button).to_be_focused()
        playwright.expect(button).to_have_attribute("aria-expanded", "false")
        page.keyboard.press("Enter")
        page.keyboard.press("End")
        page.keyboard.press("Enter")
        playwright.expect(page.get_by_role("button", name="Keep")).to_be_focused()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        playwright.expect(page.get_by_role("link", name="One")).to_be_focused()
        assert titles(page) == ["One"]
        page.keyboard.press("Enter")
        playwright.expect(page.get_by_role("link", name="One")).to_have_attribute("aria-current", "page")


def test_an_answer_is_rated_with_a_note(browser: Browser, address: str, handbook: Library) -> None:
    def kept() -> tuple[int, str]:
        with History.open(handbook.path) as history:
            found = history.find(owner(visit), exchange)
            assert found is not None
            return found[1].rating, found[1].note

    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(WARRANTY)
        rating = page.locator(".rd-rate")
        exchange = rating.get_attribute("data-exchange") or ""
        good, bad = rating.locator("[data-rate='1']"), rating.locator("[data-rate='-1']")
        good.click()
        note = page.get_by_label("What was good? (optional)")
        note.wait_for()
        playwright.expect(good).to_have_attribute("aria-pressed", "true")
        page.get_by_role("button", name="Skip").click()
        playwright.expect(good).to_be_focused()
        assert note.count() == 0
        assert kept() == (1, "")
        bad.click()
        playwright.expect(good).to_have_attribute("aria-pressed", "false")
        page.get_by_label("What was wrong or missing? (optional)").fill(HOSTILE)
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_text("Thanks, your note is kept.").first.wait_for()
        playwright.expect(bad).to_be_focused()
        assert kept() == (-1, HOSTILE)
        visit.ask("And of the grinder?")  # Gradio puts in all of the conversation anew
        playwright.expect(bad.first).to_have_attribute("aria-pressed", "true")
        page.locator(".rd-thanks").wait_for()
        with page.expect_response(re.compile("/rating$")):
            bad.first.click()
        playwright.expect(bad.first).to_have_attribute("aria-pressed", "false")
        assert page.locator(".rd-thanks").count() == 0
        assert kept() == (0, "")


def test_what_the_server_cannot_keep_is_said(browser: Browser, address: str) -> None:
    def fail(route: Route) -> None:
        route.fulfill(status=503, json={"error": "The disk is full."})

    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(WARRANTY)
        page.route("**/api/exchanges/**", fail)
        good = page.locator(".rd-rate [data-rate='1']")
        good.click()
        page.get_by_text("The disk is full.").wait_for()
        playwright.expect(good).to_have_attribute("aria-pressed", "false")
        page.route("**/api/conversations/**", fail)
        choose(page, WARRANTY, "Rename")
        page.get_by_label("Title").fill("Other")
        page.keyboard.press("Enter")
        page.locator(".rd-talk-said").get_by_text("The disk is full.").wait_for()
        assert titles(page) == [WARRANTY]
        choose(page, WARRANTY, "Delete")
        page.get_by_role("button", name="Delete", exact=True).click()
        playwright.expect(page.get_by_role("link", name=WARRANTY)).to_be_focused()
        assert ["503" in line for line in visit.wrong] == [True] * 3  # that the browser tells of it is all
        visit.wrong.clear()


def test_on_a_phone(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address, width=390, height=844) as visit:
        page = visit.page
        keep(visit, handbook, handbook.ask(WARRANTY), "A very long question " * 12)
        column = page.locator("#rd-nav")
        playwright.expect(column).to_be_hidden()
        page.locator("[data-act=menu]").click()
        playwright.expect(column).to_be_visible()
        assert page.locator(".rd-talk-list").evaluate("(list) => list.scrollWidth <= list.clientWidth")
        choose(page, WARRANTY, "Rename")
        playwright.expect(page.get_by_label("Title")).to_be_focused()
        page.keyboard.press("Escape")
        playwright.expect(column).to_be_visible()
        page.get_by_role("link", name=WARRANTY).click()
        playwright.expect(column).to_be_hidden()
        page.locator(".rd-rate [data-rate='-1']").click()
        page.get_by_role("button", name="Send", exact=True).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("dark", [False, True])
def test_colours_can_be_read_and_nothing_moves(browser: Browser, address: str, handbook: Library, dark: bool) -> None:
    def check(selector: str) -> None:
        found = visit.page.locator(selector)
        assert found.count()
        for element in found.all():
            assert element.evaluate(CONTRAST) >= 4.5

    with visiting(browser, address, dark=dark) as visit:
        page = visit.page
        page.emulate_media(reduced_motion="reduce")
        keep(visit, handbook, *(f"Question {n}" for n in range(11)), handbook.ask(WARRANTY))
        page.get_by_role("link", name=WARRANTY).click()
        page.locator(".rd-rate [data-rate='-1']").click()
        check("#rd-history :is(input, h2, a.rd-talk-title), .rd-talk-quiet, .rd-note .rd-button, .rd-note textarea")
        row(page, WARRANTY).get_by_role("button").click()
        check(".rd-talk-item")
        page.get_by_role("menuitem", name="Delete").click()
        check(".rd-talk-sure :is(p, button)")
        assert not page.evaluate("[...document.querySelectorAll('#rd-nav *')].some((e) => e.getAnimations().length)")

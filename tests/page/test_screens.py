"""What fits and what can be seen, in a real browser: small screens, the newest question, targets, forced colours."""

from __future__ import annotations

import io
from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from browser import KEYS, LEAVE, WARRANTY, Visit, visiting
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BOXES = """() => [...document.querySelectorAll("#rd-bar :is(button, .rd-brand)")]
  .filter((one) => one.offsetParent).map((one) => one.getBoundingClientRect().toJSON())"""


def overlaps(one: dict[str, float], other: dict[str, float]) -> bool:
    """Do two boxes lie over each other?"""
    beside = one["right"] <= other["left"] or other["right"] <= one["left"]
    return not beside and one["top"] < other["bottom"] and other["top"] < one["bottom"]


def check_bar(visit: Visit) -> None:
    """Nothing in the bar covers anything, and nothing sticks out."""
    boxes = visit.page.evaluate(BOXES)
    assert len(boxes) >= 3
    assert not [pair for pair in combinations(boxes, 2) if overlaps(*pair)]
    assert all(box["left"] >= 0 and box["right"] <= visit.page.evaluate("innerWidth") for box in boxes)
    assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [320, 340, 390])
def test_the_bar_fits_a_small_phone(browser: Browser, address: str, width: int) -> None:
    with visiting(browser, address, width=width, height=640) as visit:
        page = visit.page
        check_bar(visit)
        visit.ask(LEAVE)
        check_bar(visit)
        assert page.locator(".rd-log").evaluate("(log) => log.scrollWidth <= log.clientWidth")
        page.get_by_role("button", name="Documents", exact=True).click()
        check_bar(visit)
        page.get_by_role("button", name="Conversations", exact=True).click()
        page.get_by_role("button", name="Evaluate", exact=True).click()
        playwright.expect(page.get_by_role("heading", name="Evaluate")).to_be_focused()
        check_bar(visit)


@pytest.mark.parametrize(("width", "height"), [(1360, 850), (680, 425), (390, 844)])
def test_a_new_question_scrolls_to_the_top(browser: Browser, address: str, width: int, height: int) -> None:
    below = """() => document.querySelector(".rd-exchange:last-of-type .rd-question").getBoundingClientRect().top
      - document.querySelector(".rd-log").getBoundingClientRect().top"""
    with visiting(browser, address, width=width, height=height) as visit:
        visit.page.emulate_media(reduced_motion="reduce")
        visit.ask(LEAVE)
        for question in (WARRANTY, KEYS):
            visit.ask(question)
            visit.page.wait_for_function(f"Math.abs(({below})() - 24) < 8")
            assert visit.page.locator(".rd-exchange:last-of-type .rd-question-words").inner_text() == question


def test_markers_are_targets_and_move_no_lines_apart(browser: Browser, address: str) -> None:
    sizes = "(all) => all.map((one) => one.getBoundingClientRect()).map((box) => [box.width, box.height])"
    with visiting(browser, address) as visit:
        visit.ask(LEAVE)
        targets = visit.page.locator(".rd-marker, #rd-panel .rd-number")
        assert all(size >= 24 for box in targets.evaluate_all(sizes) for size in box)
        sentence = visit.page.locator(".rd-sentence").first
        height = "(one) => one.getBoundingClientRect().height"
        before = sentence.evaluate(height)
        sentence.evaluate("(one) => one.querySelector('.rd-markers').remove()")
        assert sentence.evaluate(height) == before


def test_a_preview_covers_no_card(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(WARRANTY)
        for marker in page.locator(".rd-marker").all():
            marker.hover()
            peek = page.locator("#rd-peek")
            playwright.expect(peek).to_be_visible()
            box, at, column = (one.bounding_box() for one in (peek, marker, page.locator("#rd-left")))
            assert box is not None
            assert at is not None
            assert column is not None
            assert column["x"] <= box["x"]
            assert box["x"] + box["width"] <= column["x"] + column["width"]
            assert box["y"] + box["height"] <= at["y"] or box["y"] >= at["y"] + at["height"]
            page.mouse.move(5, 5)
            playwright.expect(peek).to_be_hidden()


def test_evaluate_comes_after_the_conversations_by_keyboard_as_well(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(LEAVE)
        page.locator(".rd-talk-title").first.focus()
        seen = []
        for _ in range(10):
            page.keyboard.press("Tab")
            seen.append(visit.focused().strip())
            if seen[-1] == "Evaluate":
                break
        assert seen[-1] == "Evaluate", seen
        places = page.evaluate("['#rd-history', '#rd-evaluate'].map((id) => document.querySelector(id).offsetTop)")
        assert places == sorted(places)


# Forced colours


def colours(shown: Locator) -> dict[object, float]:
    """The colours of a part of the page, each with its share."""
    picture = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
    pixels = picture.width * picture.height
    return {colour: count / pixels for count, colour in picture.getcolors(pixels) or []}


def test_icons_are_seen_in_forced_colours(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(LEAVE)
        page.locator(".rd-talk").first.wait_for()
        page.emulate_media(forced_colors="active")
        page.locator(".rd-talk").first.hover()
        for icon in (".rd-burger", ".rd-edit", "[data-rate='1']", "[data-rate='-1']", ".rd-talk-more"):
            shown = sorted(colours(page.locator(icon).first).values())
            assert shown[-1] < 0.985, icon  # something stands on the ground
        strength = page.locator(".rd-summary .rd-strength")
        strength.evaluate("(one) => { one.className = 'rd-strength rd-weak'; one.style.fontSize = 0; }")
        grays = [colour for colour, share in colours(strength).items() if share > 0.05]
        assert len(grays) == 3  # the ground, the bar that counts and those that do not


def test_what_is_chosen_is_told_apart_in_forced_colours(browser: Browser, address: str) -> None:
    styles = "(one) => { const { backgroundColor, outlineStyle, borderInlineStartWidth } = getComputedStyle(one); \
      return [backgroundColor, outlineStyle, borderInlineStartWidth]; }"
    with visiting(browser, address) as visit:
        page = visit.page
        page.emulate_media(forced_colors="active", color_scheme="dark", reduced_motion="reduce")
        visit.ask(LEAVE)
        page.get_by_role("button", name="New chat").click()
        playwright.expect(page.locator(".rd-exchange")).to_have_count(0)
        visit.ask(KEYS)
        playwright.expect(page.locator(".rd-talk")).not_to_have_count(1)
        current = page.locator(".rd-talk:has([aria-current])")
        assert current.evaluate(styles) != page.locator(".rd-talk:not(:has([aria-current]))").first.evaluate(styles)
        good, bad = page.locator("[data-rate='1']"), page.locator("[data-rate='-1']")
        good.click()
        playwright.expect(good).to_have_attribute("aria-pressed", "true")
        assert good.evaluate(styles) != bad.evaluate(styles)
        assert min(colours(good).values()) < max(colours(good).values()) < 0.985
        marker, card = page.locator(".rd-marker").first, page.locator("#rd-panel .rd-card").first
        plain = [marker.evaluate(styles), card.evaluate(styles)]
        marker.hover()
        playwright.expect(card).to_have_class("rd-card rd-lit")
        number = marker.evaluate(
            "(one) => { const box = one.getBoundingClientRect(); \
          return { x: box.x + box.width / 2 - 4, y: box.y + 6, width: 8, height: box.height - 12 }; }"
        )
        page.mouse.move(number["x"], number["y"])
        lit = [marker.evaluate(styles), card.evaluate(styles)]
        assert len(Image.open(io.BytesIO(page.screenshot(clip=number))).getcolors() or []) > 1  # it can be read
        assert all(one != other for one, other in zip(plain, lit, strict=True))

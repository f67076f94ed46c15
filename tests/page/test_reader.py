"""The reader beside an answer: a PDF's page enlarged, a file that has changed since, from citation to citation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
from browser import Visit, serving, visiting
from files_for_tests import lines, pdf

from embeddings import Encoder
from page.test_access import violations
from qa import Library

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

WIND = "At what wind speed must lifting stop?"
ROPE = "After how many hours is the rope replaced?"
LOCKERS = "Which warden keeps locker keys?"  # three are cited, two more are found
LARGE = 2000


@pytest.fixture(scope="module")
def cranes(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Library]:
    """A library of two PDFs, one of which has changed since it was indexed."""
    folder = tmp_path_factory.mktemp("cranes")
    first = lines("The crane manual was printed in Husum.", "It has two pages.")
    far = lines("Stop lifting when the wind exceeds 14 metres per second.", "Lower the load first.", top=90)
    (folder / "crane.pdf").write_bytes(pdf([first, far], title="Crane manual"))
    (folder / "rope.pdf").write_bytes(pdf([lines("The rope is replaced after 2,000 hours of work.")], title="Rope"))
    with Library.create(folder / "library", encoder=encoder) as made:
        made.sync([folder / "crane.pdf", folder / "rope.pdf"])
        (folder / "rope.pdf").write_bytes(pdf([lines("The rope is replaced every spring.")]))
        yield made


@pytest.fixture(scope="module")
def harbour(cranes: Library) -> Iterator[str]:
    """Where their page is."""
    with serving(cranes) as address:
        yield address


def page_of(visit: Visit) -> Locator:
    """The picture of the page that the first citation stands on."""
    visit.ask(WIND)
    visit.page.locator(".rd-marker").first.click()
    picture = visit.page.get_by_role("img", name="Page 2 of 2, the quoted words boxed")
    playwright.expect(picture).to_be_focused()
    return picture


def test_a_page_is_enlarged_and_left_again(browser: Browser, harbour: str) -> None:
    with visiting(browser, harbour) as visit:
        page, picture = visit.page, page_of(visit)
        large = page.get_by_role("dialog").get_by_role("img", name="Page 2 of 2, the quoted words boxed")
        ways: list[Callable[[], object]] = [
            lambda: page.keyboard.press("Escape"),
            page.go_back,
            page.get_by_role("dialog").get_by_role("button", name="Close").click,
        ]
        for leave in ways:
            picture.focus()
            page.keyboard.press("Enter")
            playwright.expect(large).to_be_visible()
            page.wait_for_function(f"document.querySelector('dialog img').naturalWidth === {LARGE}")
            assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
            leave()
            playwright.expect(large).to_be_hidden()
            playwright.expect(picture).to_be_visible()
            playwright.expect(picture).to_be_focused()
        picture.click()
        playwright.expect(large).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Enlarge").press("Enter")
        playwright.expect(large).to_be_visible()


def test_forward_enlarges_the_page_of_its_own_document(browser: Browser, harbour: str) -> None:
    with visiting(browser, harbour) as visit:
        page, shown = visit.page, visit.page.get_by_role("dialog").get_by_role("img")
        visit.ask("Where was the crane manual printed?")
        page.locator(".rd-marker").first.click()
        first = page.get_by_role("img", name="Page 1 of 2")
        playwright.expect(first).to_be_visible()
        page.keyboard.press("Escape")
        visit.ask(WIND)
        page.locator(".rd-marker").first.click()
        playwright.expect(first).to_be_visible()
        page.locator(".rd-marker").last.click()
        page.get_by_role("img", name="Page 2 of 2").click()
        playwright.expect(shown).to_be_visible()
        page.evaluate("history.go(-2)")
        playwright.expect(first).to_be_visible()
        page.evaluate("history.go(2)")
        playwright.expect(shown).to_have_attribute("alt", "Page 2 of 2, the quoted words boxed")


@pytest.mark.parametrize(("width", "shown"), [(1360, 1000), (390, 700)], ids=["desktop", "phone"])
def test_the_boxed_words_are_in_view_at_every_size(browser: Browser, harbour: str, width: int, shown: int) -> None:
    boxed = """(image) => {
      const [seen, page] = [image.parentElement.getBoundingClientRect(), image.getBoundingClientRect()];
      const top = page.top + page.height * document.querySelector(".rd-picture").dataset.top;
      return top > seen.top && top < seen.bottom;
    }"""
    measured = "(image) => image.offsetWidth"
    with visiting(browser, harbour, width=width, height=844) as visit:
        page = visit.page
        page_of(visit).click()
        large = page.get_by_role("dialog").get_by_role("img")
        assert large.evaluate(measured) == shown
        assert large.evaluate(boxed)
        larger, smaller = (page.get_by_role("button", name=name, exact=True) for name in ("Larger", "Smaller"))
        seen = [shown]
        while larger.is_enabled():
            larger.click()
            seen.append(large.evaluate(measured))
        assert seen == sorted(set(seen))
        assert seen[-1] > LARGE
        while smaller.is_enabled():
            smaller.click()
        assert large.evaluate(measured) == 380
        page.keyboard.press("+")
        assert large.evaluate(measured) == 700


def test_pages_are_turned(browser: Browser, harbour: str) -> None:
    with visiting(browser, harbour) as visit:
        page, cited = visit.page, page_of(visit)
        back, on = (page.get_by_role("button", name=name) for name in ("Previous page", "Next page"))
        at, first = page.locator(".rd-turn-at"), page.get_by_role("img", name="Page 1 of 2", exact=True)
        playwright.expect(at).to_have_text("2 of 2")
        playwright.expect(on).to_be_disabled()
        back.click()
        playwright.expect(first).to_be_visible()
        playwright.expect(at).to_have_text("1 of 2")
        playwright.expect(back).to_be_disabled()
        playwright.expect(first).to_be_focused()  # since the button cannot keep it
        first.click()
        playwright.expect(page.get_by_role("dialog").get_by_role("img", name="Page 1 of 2", exact=True)).to_be_visible()
        page.keyboard.press("Escape")
        first.press("ArrowLeft")  # there is none
        first.press("ArrowRight")
        playwright.expect(cited).to_be_visible()
        playwright.expect(cited).to_be_focused()
        page.get_by_role("button", name="Text", exact=True).click()
        playwright.expect(at).to_be_hidden()
        playwright.expect(page.locator("#rd-mark")).to_be_focused()
        visit.ask("Where was the crane manual printed?")
        page.locator(".rd-marker").last.click()
        page.get_by_role("button", name="Page", exact=True).click()
        playwright.expect(page.get_by_role("img", name="Page 1 of 2, the quoted words boxed")).to_be_focused()


@pytest.mark.parametrize(("width", "height"), [(680, 425), (844, 390), (390, 844), (1360, 850)])
def test_the_boxed_words_are_in_view(browser: Browser, harbour: str, width: int, height: int) -> None:
    seen = """(image) => {
      const [page, pane] = [image.getBoundingClientRect(), image.closest(".rd-document").getBoundingClientRect()];
      const top = page.top + page.height * image.dataset.top;
      return top > document.querySelector(".rd-about").getBoundingClientRect().bottom && top + 10 < pane.bottom;
    }"""
    with visiting(browser, harbour, width=width, height=height) as visit:
        picture = page_of(visit)
        assert picture.evaluate(seen)
        for view in ("Text", "Page"):
            visit.page.get_by_role("button", name=view, exact=True).click()
        assert picture.evaluate(seen)


def test_two_fingers_enlarge_it_further(browser: Browser, harbour: str) -> None:
    with visiting(browser, harbour, width=390, height=844) as visit:
        page = visit.page
        page_of(visit).click()
        frame = page.get_by_role("region", name="Page, enlarged")
        assert frame.evaluate("(frame) => getComputedStyle(frame).touchAction") == "manipulation"  # moves and zooms
        said = page.locator("meta[name=viewport]").get_attribute("content") or ""
        assert "maximum-scale" not in said
        assert "user-scalable" not in said


@pytest.mark.parametrize(("width", "dark"), [(1360, False), (390, True)], ids=["desktop-light", "phone-dark"])
def test_axe_finds_nothing_in_the_enlarged_page(browser: Browser, harbour: str, width: int, dark: bool) -> None:
    with visiting(browser, harbour, width=width, height=844, dark=dark) as visit:
        page_of(visit).click()
        visit.page.get_by_role("dialog").wait_for()
        assert violations(visit) == []


def test_a_file_that_has_changed_is_said_in_the_reader_alone(browser: Browser, harbour: str, cranes: Library) -> None:
    citation = cranes.ask(ROPE).sentences[0].citations[0]
    with visiting(browser, harbour) as visit:  # which fails for a line in the browser's console
        page = visit.page
        visit.ask(ROPE)
        page.locator(".rd-marker").first.click()
        playwright.expect(page.locator("#rd-mark")).to_be_focused()
        playwright.expect(page.locator(".rd-no-picture")).to_contain_text("The file has changed since it was indexed")
        assert page.locator(".rd-picture").count() == 0
        assert not page.get_by_role("button", name="Enlarge").is_visible()
    said = httpx.get(f"{harbour}/api/citations/{citation.id}/page.json", timeout=20)
    assert said.status_code == 200
    assert said.json()["note"].startswith("The file has changed since it was indexed: rope.pdf")
    assert said.json() | {"note": ""} == {
        "page": 1,
        "pages": 1,
        "width": 0,
        "height": 0,
        "located": False,
        "note": "",
        "boxes": [],
    }
    assert httpx.get(f"{harbour}/api/citations/{citation.id}/page.png", timeout=20).status_code == 409


def test_steps_go_through_the_answers_citations_and_no_others(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(LOCKERS)
        ids = "(links) => [...new Set(links.map((link) => link.dataset.cite))]"
        cited = page.locator(".rd-exchange .rd-marker").evaluate_all(ids)
        others = page.locator("#rd-panel a.rd-title")
        assert len(cited) > 1
        assert others.count()
        page.locator(".rd-marker").first.click()
        opened = []
        for number in range(1, len(cited) + 1):
            playwright.expect(page.locator(".rd-step-at")).to_have_text(f"{number} of {len(cited)}")
            opened.append(page.locator(".rd-document").get_attribute("data-opened"))
            if number < len(cited):
                page.get_by_role("button", name="Next citation").click()
        assert opened == cited
        assert page.get_by_role("button", name="Next citation").is_disabled()
        page.keyboard.press("Escape")
        others.first.click()
        playwright.expect(page.locator("#rd-mark")).to_be_focused()
        assert not page.locator(".rd-steps").is_visible()

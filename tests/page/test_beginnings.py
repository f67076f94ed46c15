"""Documents opened from the list of them, at their beginning: by mouse, by keyboard, and by what is no document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from browser import HANDBOOK, HOSTILE_NAME, serving, visiting
from files_for_tests import lines, pdf

from embeddings import Encoder
from page.test_access import violations
from qa import Library
from qa.page import context

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def shelves(page: Page) -> Page:
    """The page with the view of documents open."""
    page.get_by_role("button", name="Documents", exact=True).click()
    page.locator("#rd-documents .rd-list tbody tr").first.wait_for()
    return page


@pytest.mark.parametrize("width", [1360, 390], ids=["desktop", "phone"])
def test_a_title_opens_the_document_at_its_beginning(browser: Browser, address: str, width: int) -> None:
    with visiting(browser, address, width=width, height=844) as visit:
        page = shelves(visit.page)
        title = page.locator("#rd-documents").get_by_role("link", name="Staff handbook").first
        title.focus()
        page.keyboard.press("Enter")
        heading = page.locator("#rd-reader .rd-about").get_by_role("heading", name="Staff handbook")
        playwright.expect(heading).to_be_focused()
        text = page.locator("#rd-reader .rd-text")
        for line in filter(None, HANDBOOK.splitlines()):
            assert line.lstrip("# ") in text.inner_text()
        assert text.locator("mark").count() == 0
        assert page.locator(".rd-document").evaluate("(pane) => pane.scrollTop") == 0
        assert not page.locator(".rd-steps").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("Escape")
        playwright.expect(title).to_be_focused()
        playwright.expect(page.locator("#rd-side")).to_be_hidden()
        title.click()
        playwright.expect(heading).to_be_focused()
        assert page.locator("#rd-reader .rd-back").inner_text() == "Documents"
        page.locator("#rd-reader .rd-back").click()
        playwright.expect(page.locator("#rd-side")).to_be_hidden()
        assert page.evaluate("refdesk.view") == "documents"


@pytest.mark.parametrize(("width", "dark"), [(1360, False), (390, True)], ids=["desktop-light", "phone-dark"])
def test_axe_finds_nothing_beside_the_list(browser: Browser, address: str, width: int, dark: bool) -> None:
    with visiting(browser, address, width=width, height=844, dark=dark) as visit:
        page = shelves(visit.page)
        page.get_by_role("link", name="Staff handbook").first.click()
        page.locator("#rd-reader .rd-about").wait_for()
        assert violations(visit) == []


def test_back_and_forward_close_and_open_it(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit.page)
        reader = page.locator("#rd-reader")
        page.get_by_role("link", name="rules", exact=True).click()
        playwright.expect(reader.get_by_text("The 1th locker key")).to_be_visible()
        page.get_by_role("link", name="Evil").click()  # its name and its text are hostile
        playwright.expect(reader.get_by_text("The zebra permit")).to_be_visible()
        assert HOSTILE_NAME.split(" ")[0] in reader.locator(".rd-place").inner_text()
        page.go_back()
        playwright.expect(reader.get_by_text("The 1th locker key")).to_be_visible()
        page.go_back()
        playwright.expect(reader).to_be_hidden()
        assert page.evaluate("refdesk.view") == "documents"
        page.go_forward()
        playwright.expect(reader.get_by_text("The 1th locker key")).to_be_visible()


def test_a_pdf_opens_with_its_first_page(browser: Browser, tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "crane.pdf").write_bytes(pdf([lines("The crane manual was printed in Husum.")], title="Crane manual"))
    (tmp_path / "broken.pdf").write_bytes(b"no PDF")
    with Library.create(tmp_path / "library", encoder=encoder) as library:
        library.sync([tmp_path / "crane.pdf", tmp_path / "broken.pdf"])
        with serving(library) as address, visiting(browser, address) as visit:
            page = shelves(visit.page)
            assert page.locator("a.rd-doc-title").all_inner_texts() == ["Crane manual"]  # what is not there opens not
            page.get_by_role("link", name="Crane manual").click()
            page.get_by_role("button", name="Page", exact=True).click()
            playwright.expect(page.get_by_role("img", name="Page 1 of 1", exact=True)).to_be_visible()
            page.get_by_role("button", name="Text", exact=True).click()
            playwright.expect(page.locator("#rd-reader .rd-about h2")).to_be_focused()


def test_a_beginning_cites_nothing(handbook: Library) -> None:
    info = next(one for one in handbook.documents() if one.source == "handbook.md")
    opened = handbook.open_citation(f"{info.document_id}.0.0")
    assert opened.document.text == HANDBOOK
    assert (opened.citation.quote, opened.citation.source) == ("", "copies/handbook.md")
    shown = context.document(opened)
    assert "<mark" not in shown
    assert "25 days of annual leave" in shown


@pytest.mark.parametrize(
    "name", ["{0}.5.3", "{0}.5.5", "{0}.5.0", "{0}.0.-0", "{0}..", "{0}", "{0}.0", "x.0.0", "{0}.0.0.0", "../{0}.0.0"]
)
def test_what_is_no_place_in_a_document(client: httpx.Client, handbook: Library, name: str) -> None:
    key = handbook.documents()[0].document_id or ""
    assert client.get(f"/api/citations/{name.format(key)}").status_code == 404


def test_a_document_that_is_gone(client: httpx.Client, handbook: Library) -> None:
    key = handbook.documents()[0].document_id or ""
    assert client.get(f"/api/citations/{key}.0.0").status_code == 200
    refused = client.get(f"/api/citations/{'0' * 16}.0.0")
    assert (refused.status_code, "no longer in the library" in refused.json()["error"]) == (404, True)
    assert client.get(f"/api/citations/{key}.{10**11}.{10**11}").status_code == 404

"""Documents on the page, in a real browser: files go in, are asked, found, chosen, renamed and removed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import CONTRAST, HANDBOOK, HOSTILE, HOSTILE_NAME, Visit, serving, visiting
from files_for_tests import zip_with

from embeddings import Encoder
from qa import Library
from qa.page.site import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FilePayload, Locator, Page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BULK = 60
REFUSED = "Failed to load resource"
"""What the browser's console says of an error that the page shows to its reader."""


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Library]:
    """A library of its own for these tests: a handbook, a hostile document, one that is broken, and many small ones."""
    folder = tmp_path_factory.mktemp("shelf")
    files = folder / "files"
    (files / "bulk").mkdir(parents=True)
    (files / "handbook.md").write_text(HANDBOOK, encoding="utf-8")
    (files / HOSTILE_NAME).write_text(HOSTILE, encoding="utf-8")
    (files / "broken.pdf").write_bytes(b"no PDF")
    for number in range(BULK):
        (files / "bulk" / f"volume-{number:02}.txt").write_text(f"Volume {number} of the bulk.")
    with Library.create(folder / "library", encoder=encoder) as made:
        made.sync([files])
        yield made


def shelves(visit: Visit) -> Page:
    """The page with the view of documents open."""
    visit.page.get_by_role("button", name="Documents", exact=True).click()
    visit.page.locator("#rd-documents .rd-list tbody tr").first.wait_for()
    return visit.page


def bytes_of(name: str, content: bytes | str) -> FilePayload:
    data = content.encode() if isinstance(content, str) else content
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def add(page: Page, *files: FilePayload) -> str:
    """Choose files and wait until all are done; the line that says what became of them."""
    page.get_by_label("Choose files").set_input_files(list(files))
    page.get_by_role("button", name="Close this list").wait_for(timeout=30_000)
    said: str = page.locator("[data-part=far]").inner_text()
    return said


def outcome(page: Page, name: str) -> str:
    text: str = page.locator(".rd-outcomes li").filter(has_text=name).inner_text()
    return " ".join(text.split())


def row(page: Page, path: str) -> Locator:
    """The row of a document."""
    return page.locator("#rd-documents tbody tr[data-id]").filter(has_text=path)


def act(page: Page, path: str, what: str) -> None:
    """An action of a row's menu, once the row is there."""
    row(page, path).get_by_label(f"Actions for {path}").click()
    row(page, path).get_by_role("button", name=what, exact=True).click()


def find(page: Page, words: str, rows: int) -> None:
    page.get_by_label("Search documents").fill(words)
    playwright.expect(page.locator("#rd-documents tbody tr[data-id]")).to_have_count(rows)


def test_a_file_is_added_asked_alone_and_removed(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit)
        assert visit.focused() == "Documents"
        said = add(page, bytes_of("zebra.md", "# Zebra permits\n\nThe zebra permit of the town costs 900 coins.\n"))
        assert said == "1 added."
        assert outcome(page, "zebra.md") == "zebra.md Added, 1 passage"
        find(page, "zebra permits", 1)
        act(page, "zebra.md", "Ask only this")
        assert page.get_by_role("button", name="Documents", exact=True).is_visible()  # the chat is back
        assert page.evaluate("refdesk.scope.sources") == ["zebra.md"]
        visit.ask("What does the zebra permit cost?")
        answer = page.locator(".rd-exchange").last.locator(".rd-answer")
        assert "900 coins" in answer.inner_text()
        assert "40 coins" not in answer.inner_text()  # of the hostile document
        page.evaluate("refdesk.setScope({ sources: [] })")
        shelves(visit)
        act(page, "zebra.md", "Remove")
        assert "The file is deleted." in page.locator(".rd-asking").inner_text()
        assert visit.focused() == "Remove"
        page.keyboard.press("Enter")
        playwright.expect(page.get_by_text("Nothing here fits.")).to_be_visible()
        page.get_by_role("button", name="Back to chat").click()
        visit.ask("What does the zebra permit of the town cost?")
        assert "900 coins" not in page.locator(".rd-exchange").last.locator(".rd-answer").inner_text()


def test_good_bad_and_packed_files_together(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit)
        packed = zip_with({"wax.txt": b"The waxwing eats rowan berries.", "tool.exe": b"MZ", "in.zip": b"PK"})
        said = add(
            page,
            bytes_of("photo.heic", "x"),
            bytes_of("torn.pdf", "no PDF"),
            bytes_of("birds.zip", packed),
            bytes_of("owl.txt", "The owl eats voles."),
        )
        assert said == "2 added, 1 could not be read, 2 left out, 1 not taken."
        assert "Not taken Expected one of .docx" in outcome(page, "photo.heic")
        assert "not a readable PDF" in outcome(page, "torn.pdf")
        assert "of a kind that is not read (.exe)" in outcome(page, "tool.exe")
        assert "birds/wax.txt Added" in outcome(page, "birds/wax.txt")
        assert page.locator(".rd-outcomes li").first.inner_text().startswith("photo.heic")  # what went wrong is first
        find(page, "birds", 1)
        page.get_by_label("Search documents").fill("")
        page.get_by_label("Show", exact=True).select_option(label="Added here")
        playwright.expect(page.locator("#rd-documents tbody tr[data-id]")).to_have_count(3)
        for box in page.locator("#rd-documents tbody [type=checkbox]").all():
            box.check()
        assert page.locator("[data-doc=ask]").inner_text() == "Ask only these (2)"  # not the torn one
        page.locator("[data-doc=remove]").click()
        words = "Remove 3 documents? 3 files added here are deleted."
        assert words in page.locator("[data-part=asked]").inner_text()
        page.locator("[data-part=asked]").get_by_role("button", name="Remove").click()
        playwright.expect(page.get_by_text("Nothing here fits.")).to_be_visible()
        assert [path for path in handbook.upload_folder.rglob("*") if path.is_file()] == []


def test_search_sort_filter_and_more(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit)
        rows = page.locator("#rd-documents tbody tr[data-id]")
        playwright.expect(rows).to_have_count(50)
        count = page.locator("#rd-documents [data-part=count]")
        assert count.inner_text() == f"{BULK + 3} files, 1 of them could not be read."
        page.get_by_role("button", name=f"Show more ({BULK + 3 - 50})").click()
        playwright.expect(rows).to_have_count(BULK + 3)
        assert visit.focused().startswith("Choose bulk/")  # the first of the new rows
        assert page.get_by_role("button", name="Show more").count() == 0
        find(page, "volume-07", 1)
        playwright.expect(page.locator("#rd-live")).to_have_text("1 document")
        find(page, "no such thing", 0)
        playwright.expect(page.get_by_text("Nothing here fits.")).to_be_visible()
        page.get_by_label("Search documents").fill("")
        page.get_by_label("Show", exact=True).select_option(label="Could not be read")
        playwright.expect(rows).to_have_count(1)
        assert "not a readable PDF" in rows.inner_text()
        page.get_by_label("Show", exact=True).select_option(label="All")
        playwright.expect(rows).to_have_count(50)
        page.get_by_label("Sort by").select_option(label="Most passages first")
        playwright.expect(rows.first).to_contain_text("handbook.md")
        page.locator("#rd-documents").evaluate("(view) => view.scrollTo(0, view.scrollHeight)")
        playwright.expect(page.get_by_label("Search documents")).to_be_in_viewport()  # it stays in sight


def test_folders_and_several_rows_are_asked_together(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit)
        page.get_by_text("Folders (1)").click()
        page.get_by_role("button", name="bulk 60").click()
        playwright.expect(page.locator(".rd-within")).to_be_visible()
        assert "handbook.md" not in page.locator("#rd-documents tbody").inner_text()
        page.get_by_role("button", name="All folders").click()
        page.get_by_label("Choose folder bulk").check()
        find(page, "handbook", 1)
        page.get_by_label("Choose handbook.md").check()
        page.get_by_role("button", name="Ask only these (2)").click()
        assert page.evaluate("refdesk.scope.sources") == ["handbook.md", "bulk/*"]
        visit.ask("Which volume of the bulk is this?")
        assert "bulk/volume-" in page.locator("#rd-panel").inner_text()
        shelves(visit)
        page.get_by_role("button", name="Clear selection").click()
        assert page.locator("#rd-documents :checked:not(option)").count() == 0
        playwright.expect(page.locator("[data-part=chosen]")).to_be_hidden()


def test_renaming_in_the_row_and_a_name_that_is_taken(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit)
        add(page, bytes_of("first.txt", "The first file."), bytes_of("second.txt", "The second file."))
        page.get_by_label("Show", exact=True).select_option(label="Added here")
        playwright.expect(page.locator("#rd-documents tbody tr[data-id]")).to_have_count(2)
        act(page, "first.txt", "Rename")
        name = page.get_by_label("New name")
        playwright.expect(name).to_be_focused()
        name.fill("second.txt")
        name.press("Enter")
        playwright.expect(page.locator(".rd-asking [role=alert]")).to_have_text(
            "There is a file second.txt already: choose another name."
        )
        visit.wrong[:] = [line for line in visit.wrong if REFUSED not in line]
        name.fill("third.txt")
        name.press("Enter")
        playwright.expect(row(page, "third.txt")).to_be_visible()
        assert row(page, "first.txt").count() == 0
        act(page, "third.txt", "Rename")
        name.press("Escape")
        playwright.expect(name).to_have_count(0)
        assert visit.focused() == "Choose third.txt"
        for path in ("third.txt", "second.txt"):
            act(page, path, "Remove")
            page.locator(".rd-asking").get_by_role("button", name="Remove").click()
            playwright.expect(row(page, path)).to_have_count(0)


def test_a_newer_version_replaces_the_older_one(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit)
        add(page, bytes_of("fees.md", "The zebra fee is 4 coins."))
        said = add(page, bytes_of("fees.md", "The zebra fee is 6 coins."), bytes_of("handbook.md", "Another handbook."))
        assert said == "2 added, 1 beside an older version."
        assert "Another fees.md was here already" in outcome(page, "fees (2).md")
        assert "Another handbook.md is in a folder that was indexed" in outcome(page, "handbook.md")
        assert page.locator(".rd-beside .rd-button").count() == 1
        replace = page.get_by_role("button", name="Replace the older one: fees.md", exact=True)
        replace.focus()
        page.keyboard.press("Enter")
        playwright.expect(page.locator("[data-part=far]")).to_have_text("1 added, 1 replaced.")
        playwright.expect(page.locator("#rd-live")).to_have_text("1 added, 1 replaced.")
        assert outcome(page, "fees.md") == "fees.md Replaced, 1 passage The older one is deleted."
        assert visit.focused() == "fees.md"
        find(page, "fees", 1)
        page.get_by_role("button", name="Back to chat").click()
        visit.ask("What is the zebra fee?")
        answer = page.locator(".rd-exchange").last.locator(".rd-answer").inner_text()
        assert "6 coins" in answer
        assert "4 coins" not in answer
    handbook.remove("fees.md")
    handbook.remove_files([(str(handbook.upload_folder), "handbook.md")])
    (handbook.upload_folder / "handbook.md").unlink()


def test_older_versions_of_an_archive_are_replaced_together(browser: Browser, address: str, handbook: Library) -> None:
    def packed(year: int) -> FilePayload:
        return bytes_of("club.zip", zip_with({f"{n}.txt": f"Rule {n} of {year}.".encode() for n in "abc"}))

    with visiting(browser, address) as visit:
        page = shelves(visit)
        add(page, packed(2024))
        assert add(page, packed(2025)) == "3 added, 3 beside an older version."
        page.get_by_role("button", name="Replace the older one: club/b.txt", exact=True).click()
        far = page.locator("[data-part=far]")
        playwright.expect(far).to_have_text("2 added, 1 replaced, 2 beside an older version.")
        page.get_by_role("button", name="Replace all older ones (2)").click()
        playwright.expect(far).to_have_text("3 replaced.")
        playwright.expect(page.get_by_role("button", name="Close this list")).to_be_focused()
        find(page, "club", 3)
        assert add(page, packed(2026)) == "3 added, 3 beside an older version."
        handbook.remove("club/a.txt")  # somebody else takes one away
        page.get_by_role("button", name="Replace the older one: club/a.txt", exact=True).click()
        notice = page.locator("#rd-documents [data-part=notice]")
        playwright.expect(notice).to_have_text("Club/a.txt is another one by now: look at both, and remove one.")
        visit.wrong[:] = [line for line in visit.wrong if REFUSED not in line]
        find(page, "club", 5)
    handbook.remove("club/*")


def test_an_outcome_opens_its_document(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit)
        add(page, bytes_of("heron.txt", "The heron stands still."), bytes_of("torn.pdf", "no PDF"))
        assert page.locator(".rd-outcomes a").all_inner_texts() == ["heron.txt"]
        page.locator(".rd-outcomes a").click()
        playwright.expect(page.locator("#rd-reader .rd-text")).to_have_text("The heron stands still.")
    handbook.remove("heron.txt")
    handbook.remove("torn.pdf")


def test_what_was_done_stays_in_sight(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit)
        said = page.locator("[data-part=said]")
        add(page, *(bytes_of(f"owl-{n}.txt", f"The owl number {n}.") for n in range(4)))
        find(page, "owl-", 4)
        act(page, "owl-0.txt", "Rename")
        page.get_by_label("New name").fill("owl-9.txt")
        page.keyboard.press("Enter")
        playwright.expect(said).to_have_text("Renamed to owl-9.txt.")
        playwright.expect(page.locator("#rd-live")).to_have_text("Renamed to owl-9.txt.")
        assert visit.focused() == "Actions for owl-9.txt"
        act(page, "owl-9.txt", "Rename")
        playwright.expect(said).to_be_hidden()
        page.get_by_label("New name").fill("hawk.txt")
        page.keyboard.press("Enter")
        playwright.expect(said).to_have_text("Renamed to hawk.txt, which the search does not find.")
        find(page, "owl-", 3)
        page.get_by_label("Choose all shown").check()
        page.get_by_label("Choose owl-1.txt").uncheck()
        assert page.get_by_label("Choose all shown").evaluate("(box) => box.indeterminate")
        page.locator("[data-doc=reindex]").click()
        playwright.expect(page.locator("[data-part=far]")).to_have_text("2 read again, nothing has changed.")
        page.locator("[data-doc=remove]").click()
        page.locator("[data-part=asked]").get_by_role("button", name="Remove").click()
        playwright.expect(said).to_have_text("Removed 2 documents.")
        act(page, "owl-1.txt", "Remove")
        page.locator(".rd-asking").get_by_role("button", name="Remove").click()
        playwright.expect(said).to_have_text("Removed owl-1.txt.")
        find(page, "hawk", 1)
        playwright.expect(said).to_be_hidden()
    handbook.remove("hawk.txt")


COLUMNS = "[...document.querySelectorAll('#rd-documents thead th')].map((one) => one.getBoundingClientRect().x)"


def test_columns_keep_their_places_and_all_shown_are_chosen(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit)
        before = page.evaluate(COLUMNS)
        find(page, "volume-07", 1)
        assert page.evaluate(COLUMNS) == before
        find(page, "volume-0", 10)
        every = page.get_by_label("Choose all shown")
        every.check()
        assert page.locator("#rd-documents tbody :checked").count() == 10
        assert page.locator("[data-doc=ask]").inner_text() == "Ask only these (10)"
        find(page, "volume-17", 1)
        find(page, "volume-1", 10)
        assert not every.is_checked()
        assert page.locator("[data-doc=ask]").inner_text() == "Ask only these (10)"  # chosen, though not in view
        every.check()
        every.uncheck()
        assert page.locator("[data-doc=ask]").inner_text() == "Ask only these (10)"
        find(page, "volume-07", 1)
        find(page, "volume-0", 10)
        playwright.expect(every).to_be_checked()


def test_by_keyboard_alone(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.get_by_role("button", name="Documents", exact=True).focus()
        page.keyboard.press("Enter")
        page.locator("#rd-documents .rd-list tbody tr").first.wait_for()
        playwright.expect(page.get_by_role("heading", name="Documents", exact=True)).to_be_focused()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.type") == "file"
        page.keyboard.press("Tab")
        assert visit.focused() == "Search documents"
        page.keyboard.type("handbook")
        playwright.expect(page.locator("#rd-documents tbody tr[data-id]")).to_have_count(1)
        menu = row(page, "handbook.md").get_by_label("Actions for handbook.md")
        menu.focus()
        page.keyboard.press("Enter")
        ask = row(page, "handbook.md").get_by_role("button", name="Ask only this")
        playwright.expect(ask).to_be_visible()
        page.keyboard.press("Escape")
        playwright.expect(ask).to_be_hidden()
        playwright.expect(menu).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("refdesk.scope.sources") == ["handbook.md"]
        playwright.expect(page.get_by_label("Question", exact=True)).to_be_focused()


def dragged(page: Page, what: str, x: float, y: float, *, files: tuple[Path, ...] = (), text: str = "") -> None:
    """Something comes from outside of the browser, as far as the browser can tell; `what` is "over" or "drop"."""
    items = [{"mimeType": "text/plain", "data": text}] if text else []
    data = {"items": items, "files": list(map(str, files)), "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver") if what == "over" else ("drop",):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
    session.detach()


def hover(page: Page, until: Locator, x: float, y: float, file: Path) -> None:
    """A file is held over the page until something is there."""
    late = time.monotonic() + 30
    while not until.is_visible():
        assert time.monotonic() < late
        dragged(page, "over", x, y, files=(file,))
        page.wait_for_timeout(50)


def test_a_file_dropped_on_the_chat_is_added(browser: Browser, address: str, handbook: Library, tmp_path: Path) -> None:
    file = tmp_path / "lands.txt"
    file.write_text("The heron lands on the chat.")
    with visiting(browser, address) as visit:
        page = visit.page
        box = page.get_by_label("Question", exact=True).bounding_box()
        assert box is not None
        x, y = box["x"] + 20, box["y"] + 8
        landing = page.get_by_text("Drop files to add them to the documents")
        hover(page, landing, x, y, file)
        playwright.expect(landing).to_be_hidden()  # some time after the last word of it
        hover(page, landing, 2, 2, file)  # the page's very corner
        dragged(page, "drop", x, y, files=(file,))
        page.get_by_role("button", name="Close this list").wait_for(timeout=30_000)
        playwright.expect(landing).to_be_hidden()
        assert (page.url, page.evaluate("refdesk.view")) == (f"{address}/", "documents")
        assert outcome(page, "lands.txt") == "lands.txt Added, 1 passage"
        hover(page, page.locator("#rd-documents .rd-drop.rd-over"), 2, 2, file)
        dragged(page, "drop", 2, 2, files=(file,))  # beside the zone
        playwright.expect(page.locator("[data-part=far]")).to_have_text("1 already there.")
        assert page.url == f"{address}/"
    handbook.remove("lands.txt")


def test_text_is_dragged_into_the_question(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        box = visit.page.get_by_label("Question", exact=True)
        place = box.bounding_box()
        assert place is not None
        for what in ("over", "drop"):
            dragged(visit.page, what, place["x"] + 20, place["y"] + 8, text="annual leave")
        playwright.expect(box).to_have_value("annual leave")
        assert visit.page.locator(".rd-landing").count() == 0


def test_a_file_dropped_on_a_read_only_page_is_refused_in_a_line(
    browser: Browser, handbook: Library, tmp_path: Path
) -> None:
    file = tmp_path / "refused.txt"
    file.write_text("Words that nobody takes.")
    with serving(handbook, Settings(read_only=True)) as address, visiting(browser, address) as visit:
        page = visit.page
        for view in ("chat", "documents"):
            if view == "documents":
                shelves(visit)
            line = page.locator(".rd-landing", has_text="Nothing can be added here: this server is read-only.")
            hover(page, line, 600, 300, file)
            dragged(page, "drop", 600, 300, files=(file,))
            page.wait_for_timeout(300)  # time in which it could be opened, or the view be changed
            assert (page.url, page.evaluate("refdesk.view")) == (f"{address}/", view)
            playwright.expect(line).to_be_visible()
            playwright.expect(page.locator("#rd-live")).to_have_text(line.inner_text())
            playwright.expect(page.locator(".rd-landing")).to_have_count(0)
        assert "refused.txt" not in [one.source for one in handbook.documents()]


def test_files_are_dropped(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit)
        transfer = page.evaluate_handle(
            """() => {
              const transfer = new DataTransfer();
              transfer.items.add(new File(["The dropped words."], "dropped.txt"));
              transfer.items.add(new File(["More dropped words."], "dropped too.txt"));
              return transfer;
            }"""
        )
        page.dispatch_event("#rd-documents .rd-drop", "dragover", {"dataTransfer": transfer})
        assert "rd-over" in (page.locator("#rd-documents .rd-drop").get_attribute("class") or "")
        page.dispatch_event("#rd-documents .rd-drop", "drop", {"dataTransfer": transfer})
        page.get_by_role("button", name="Close this list").wait_for()
        assert page.locator("[data-part=far]").inner_text() == "2 added."
        page.get_by_role("button", name="Close this list").click()
        playwright.expect(page.locator("[data-part=job]")).to_be_hidden()
        find(page, "dropped", 2)
        for box in page.locator("#rd-documents tbody [type=checkbox]").all():
            box.check()
        page.locator("[data-doc=remove]").click()
        page.locator("[data-part=asked]").get_by_role("button", name="Remove").click()
        playwright.expect(page.get_by_text("Nothing here fits.")).to_be_visible()


def test_stopping_and_the_list_after_a_reload(
    browser: Browser, address: str, handbook: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qa.ingest.BUSY_SECONDS", 0.1)
    with visiting(browser, address) as visit:
        page = shelves(visit)
        with handbook.writing():  # so that it waits
            page.get_by_label("Choose files").set_input_files([bytes_of("slow.txt", "The slow words.")])
            playwright.expect(page.locator("[data-part=far]")).to_contain_text("0 of 1 file done: waiting for another")
            page.reload()
            playwright.expect(page.locator("[data-part=far]")).to_contain_text("0 of 1 file done")
            playwright.expect(page.locator(".rd-outcomes")).to_contain_text("slow.txt")
            page.get_by_role("button", name="Stop", exact=True).click()
        page.get_by_role("button", name="Close this list").wait_for()
        assert page.locator("[data-part=far]").inner_text() in ("1 added.", "1 stopped.")
        handbook.remove("slow.txt")


def test_hostile_names_and_titles_are_text(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit)
        add(page, bytes_of("<img src=x onerror=window.__ran=1>\u202egpj.txt", "Words <b>of</b> their own."))
        page.get_by_label("Sort by").select_option(label="By title")
        find(page, "img src", 2)
        shown = page.locator("#rd-documents").inner_text()
        assert "<img src=x onerror=window.__ran=0>" in shown
        assert "\u202e" not in shown
        assert page.locator("#rd-documents :is(img, script, iframe, svg)").count() == 0
        evil = page.locator("#rd-documents tbody tr[data-id]").filter(has_text="evil 'quoted'")
        evil.locator("summary").click()
        evil.get_by_role("button", name="Ask only this").click()
        assert page.evaluate("refdesk.scope.sources") == [HOSTILE_NAME]
        visit.ask("What does the zebra permit cost?")
        assert "40 coins" in (page.locator(".rd-exchange").last.text_content() or "")
        assert "volume-" not in (page.locator(".rd-exchange").last.text_content() or "")
        handbook.remove("_img*")


def test_an_error_of_the_server_is_said(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = shelves(visit)
        page.route("**/api/documents?*", lambda route: route.abort())
        page.get_by_label("Search documents").fill("x")
        playwright.expect(page.get_by_text("Nobody answers: check that Refdesk still runs.")).to_be_visible()
        page.unroute("**/api/documents?*")
        find(page, "handbook", 1)
        visit.wrong[:] = [line for line in visit.wrong if REFUSED not in line]


def test_a_read_only_page_offers_no_change(browser: Browser, handbook: Library) -> None:
    with serving(handbook, Settings(read_only=True)) as address, visiting(browser, address) as visit:
        page = shelves(visit)
        assert not page.get_by_text("or drop them here").is_visible()
        find(page, "handbook", 1)
        page.get_by_label("Choose handbook.md").check()
        assert page.locator("[data-part=chosen] .rd-button:visible").all_inner_texts() == [
            "Ask only these (1)",
            "Clear selection",
        ]
        page.get_by_label("Actions for handbook.md").click()
        assert row(page, "handbook.md").locator(".rd-doc-menu .rd-button").all_inner_texts() == ["Ask only this"]
        find(page, "broken", 1)
        assert row(page, "broken.pdf").locator(".rd-doc-menu").count() == 0


def test_on_the_narrowest_phone(browser: Browser, address: str) -> None:
    with visiting(browser, address, width=320, height=640) as visit:
        page = shelves(visit)
        page.get_by_label("Sort by").select_option(label="Most passages first")
        playwright.expect(page.locator("#rd-documents tbody tr[data-id]").first).to_contain_text("handbook.md")
        for cell in page.locator("#rd-documents tbody tr[data-id] td:not(:empty)").all()[:60]:
            place = cell.bounding_box()
            assert place is not None
            assert place["x"] + place["width"] <= 320 - 8
        page.get_by_text("Choose all shown").click()
        assert page.locator("#rd-documents tbody :checked").count() == 50


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone(browser: Browser, address: str, dark: bool) -> None:
    with visiting(browser, address, width=390, height=844, dark=dark) as visit:
        page = shelves(visit)
        view = page.locator("#rd-documents")
        assert view.evaluate("(one) => one.scrollWidth <= one.clientWidth")
        find(page, "handbook", 1)
        facts = "".join(row(page, "handbook.md").locator("td").all_inner_texts())
        assert all(part in facts for part in ("markdown", "4 passages", "577 bytes"))
        act(page, "handbook.md", "Remove")
        line = page.locator(".rd-asking p").first
        assert line.evaluate("(one) => one.clientWidth") > 200
        assert "the next “refdesk index” of its folder brings it back" in line.inner_text()
        page.get_by_role("button", name="Cancel").click()
        assert view.evaluate("(one) => one.scrollWidth <= one.clientWidth")
        for text in (".rd-doc-title", ".rd-place", ".rd-kind", ".rd-lead", ".rd-folders summary"):
            assert view.locator(text).first.evaluate(CONTRAST) >= 4.5, text

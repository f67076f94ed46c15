"""Around a question, in a real browser: asking again, copying, what is asked with, conversations that are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import KEYS, LEAVE, WARRANTY, serving, visiting
from files_for_tests import lines, pdf

from embeddings import Encoder
from qa import Library, as_text
from qa.page.site import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

FOLLOW_UP = "And that of its grinder?"
CHESS = "Who won the chess championship in Reykjavik?"


def test_a_question_is_changed_and_asked_again_in_its_place(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(LEAVE)
        visit.ask(WARRANTY)
        page.get_by_role("button", name="Edit question").first.click()
        area = page.get_by_role("textbox", name="Question").first
        playwright.expect(area).to_be_focused()
        assert area.input_value() == LEAVE
        page.keyboard.press("Escape")
        assert page.locator(".rd-exchange").count() == 2
        page.get_by_role("button", name="Edit question").first.click()
        page.keyboard.type(KEYS)
        page.keyboard.press("Enter")
        playwright.expect(page.locator(".rd-question-words")).to_have_text([KEYS, WARRANTY])  # what followed stays
        first = page.locator(".rd-exchange[aria-busy=false]").first
        playwright.expect(first.locator(".rd-sentence").first).to_contain_text("840")
        playwright.expect(first).to_be_in_viewport()
        playwright.expect(page.locator("#rd-panel .rd-of")).to_have_text(KEYS)
        playwright.expect(page.get_by_role("link", name=KEYS)).to_have_attribute("aria-current", "page")  # its title
        page.reload()
        playwright.expect(page.locator(".rd-question-words")).to_have_text([KEYS, WARRANTY])


def test_a_follow_up_says_what_was_searched_which_can_be_changed(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(WARRANTY)
        visit.ask(FOLLOW_UP)
        searched = page.locator(".rd-searched-words")
        assert WARRANTY in searched.inner_text()
        page.get_by_role("button", name="Change").click()
        area = page.get_by_role("textbox", name="What is searched")
        assert area.input_value() == searched.text_content()
        area.fill(LEAVE)
        page.get_by_role("button", name="Ask again", exact=True).click()
        playwright.expect(page.locator(".rd-question-words").last).to_have_text(LEAVE)
        page.locator(".rd-exchange:last-of-type[aria-busy=false] .rd-sentence").first.wait_for()
        assert page.locator(".rd-exchange").count() == 2
        assert page.locator(".rd-exchange:last-of-type .rd-searched").count() == 0  # its words alone
        assert "25 days" in page.locator(".rd-exchange:last-of-type .rd-sentence").first.inner_text()


def test_asked_again_with_other_settings_which_stay(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(CHESS)
        page.get_by_text("Show the nearest passages").click()
        assert page.locator(".rd-nearest .rd-card").count() == 5
        page.get_by_role("button", name="Ask again…").click()
        chosen = page.get_by_role("form", name=f"Ask “{CHESS}” again")
        playwright.expect(chosen.locator(".rd-settings-for")).to_have_text(f"Ask “{CHESS}” again")
        chosen.get_by_label("3 passages").check()
        chosen.get_by_label("By words alone").check()
        assert chosen.evaluate("(form) => form.scrollWidth <= form.clientWidth")  # a long question is cut
        page.get_by_role("button", name="Ask again", exact=True).click()
        playwright.expect(page.locator(".rd-exchange[aria-busy=false]")).to_have_count(1)
        page.wait_for_function("document.querySelectorAll('.rd-nearest .rd-card').length <= 3")
        assert page.locator("[data-act=settings]").inner_text() == "5 passages, by meaning and words"  # as before
        page.locator("[data-act=settings]").click()
        assert not page.locator(".rd-settings-for").is_visible()
        page.get_by_label("3 passages").check()
        page.get_by_label("By words alone").check()
        page.get_by_role("button", name="Done").click()
        page.reload()
        playwright.expect(page.locator("[data-act=settings]")).to_have_text("3 passages, by words alone")


def test_copied_with_sources(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        visit.ask(LEAVE)
        answer = handbook.ask(LEAVE)
        for label, text in (("Copy with sources", as_text.plain(answer)), ("As Markdown", as_text.markdown(answer))):
            page.get_by_role("button", name=label).click()
            page.get_by_role("button", name="Copied").wait_for()
            assert page.evaluate("navigator.clipboard.readText()") == text
            page.get_by_role("button", name=label).wait_for()
        assert "[1] Staff handbook" in as_text.plain(answer)


def test_suggested_questions_have_answers(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        suggested = page.locator(".rd-suggestion")
        suggested.first.wait_for()
        question = suggested.first.inner_text()
        suggested.first.click()
        page.locator(".rd-exchange[aria-busy=false] .rd-sentence").first.wait_for()
        assert page.locator(".rd-question-words").inner_text() == question


def test_only_some_documents_are_asked(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.evaluate("refdesk.setScope({ sources: ['rules.txt'] })")
        playwright.expect(page.locator(".rd-chip")).to_have_text("Only rules.txt")
        visit.ask(LEAVE)
        assert "No passage found for this in the documents you chose." in page.locator(".rd-none").inner_text()
        page.get_by_role("button", name="Search all documents again").click()
        visit.ask(LEAVE)
        assert "25 days" in page.locator(".rd-exchange:last-of-type .rd-sentence").first.inner_text()


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["copies/*"], "Only the folder copies"),
        (["notes [[]old]/2024/*"], "Only the folder notes [old]/2024"),
        (["why[?].txt"], "Only why[?].txt"),
        (["copies/*", "rules.txt", "giant.txt"], "Only 3 documents or folders"),
    ],
)
def test_what_is_asked_is_said_in_words(browser: Browser, address: str, sources: list[str], said: str) -> None:
    with visiting(browser, address) as visit:
        visit.page.evaluate("(sources) => refdesk.setScope({ sources })", sources)
        playwright.expect(visit.page.locator(".rd-chip")).to_have_text(said)


def test_which_documents_are_asked_is_kept_for_the_tab(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page, chip = visit.page, visit.page.locator(".rd-chip")
        page.evaluate("refdesk.setScope({ sources: ['copies/*'] })")
        page.reload()
        playwright.expect(chip).to_have_text("Only the folder copies")
        visit.ask(KEYS)
        assert "in the documents you chose" in page.locator(".rd-none").inner_text()
        with page.context.expect_page() as opened:  # one that begins with what the tab keeps
            page.evaluate("open(location.pathname, '_blank')")
        opened.value.get_by_role("button", name="Send question").wait_for()
        assert opened.value.locator(".rd-chip").is_hidden()
        page.get_by_role("button", name="Search all documents again").click()
        page.reload()
        page.locator(".rd-exchange").wait_for()
        assert chip.is_hidden()
        for nonsense in ("[1, {}]", "{", "null"):
            page.add_init_script(f"sessionStorage.setItem('refdesk-chosen /', '{nonsense}')")
            page.reload()
            page.locator(".rd-exchange").wait_for()
            assert chip.is_hidden()
        visit.wrong.clear()  # Gradio tells the console of streams that a reload cut off


def test_nothing_of_other_documents_is_offered(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        offered = page.locator(".rd-suggestion, #rd-library .rd-shelf").filter(visible=True)
        page.locator(".rd-suggestion").first.wait_for()
        playwright.expect(offered).not_to_have_count(0)
        page.evaluate("refdesk.setScope({ sources: ['rules.txt'] })")
        playwright.expect(offered).to_have_count(0)
        visit.ask(KEYS)
        playwright.expect(page.locator("#rd-panel .rd-card").first).to_be_visible()
        page.get_by_role("button", name="New chat").click()
        playwright.expect(page.locator(".rd-exchange")).to_have_count(0)
        assert offered.count() == 0
        page.get_by_role("button", name="Search all documents again").click()
        playwright.expect(offered).not_to_have_count(0)


def test_from_citation_to_citation(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask("Which warden keeps locker keys?")  # three are cited
        page.locator(".rd-marker").first.click()
        mark = page.locator("#rd-mark")
        playwright.expect(mark).to_be_focused()
        first = mark.text_content()
        many = int(page.locator(".rd-step-at").inner_text().partition(" of ")[2])
        assert many > 1
        assert page.locator(".rd-step-at").inner_text() == f"1 of {many}"
        assert page.get_by_role("button", name="Previous citation").is_disabled()
        page.get_by_role("button", name="Next citation").click()
        playwright.expect(page.locator(".rd-step-at")).to_have_text(f"2 of {many}")
        playwright.expect(mark).to_be_focused()
        assert mark.text_content() != first
        page.get_by_role("button", name="Previous citation").click()
        playwright.expect(page.locator(".rd-step-at")).to_have_text(f"1 of {many}")
        assert mark.text_content() == first


def test_the_sources_of_an_earlier_answer_come_back(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page, panel = visit.page, visit.page.locator("#rd-panel")
        visit.ask(LEAVE)
        own = panel.locator(".rd-place").first.inner_text()
        visit.ask(KEYS)
        playwright.expect(panel.locator(".rd-place").first).not_to_have_text(own)
        assert panel.locator(".rd-of").count() == 0
        earlier, last = page.locator(".rd-exchange").first, page.locator(".rd-exchange").last
        assert last.get_by_role("button", name="Show").count() == 0  # they are there
        earlier.locator(".rd-marker").first.click()
        playwright.expect(page.locator("#rd-mark")).to_be_focused()
        playwright.expect(panel.locator(".rd-of")).to_have_text(LEAVE)
        page.locator(".rd-back").click()
        playwright.expect(panel.locator(".rd-place").first).to_have_text(own)
        last.get_by_role("button", name="Show").click()
        playwright.expect(panel.locator(".rd-of")).to_have_count(0)
        playwright.expect(panel.locator(".rd-place").first).not_to_have_text(own)
        page.reload()
        earlier.get_by_role("button", name="Show").click()
        playwright.expect(panel.locator(".rd-place").first).to_have_text(own)


def test_a_marker_shows_what_it_stands_for(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(LEAVE)
        marker = page.locator(".rd-marker").first
        marker.hover()
        peek = page.locator("#rd-peek")
        playwright.expect(peek).to_be_visible()
        assert "Staff handbook" in peek.inner_text()
        assert "25 days" in peek.inner_text()
        page.mouse.move(5, 5)
        playwright.expect(peek).to_be_hidden()


def test_a_question_is_given_up(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        with handbook._turns[handbook.snapshot().large]:  # as if others were asking all the time
            page.get_by_label("Question", exact=True).fill(LEAVE)
            page.get_by_label("Question", exact=True).press("Enter")
            page.get_by_role("button", name="Stop").click()
            page.get_by_text("Stopped.").wait_for()
            assert page.locator(".rd-exchange").count() == 0
            assert page.get_by_label("Question", exact=True).input_value() == LEAVE
        page.get_by_role("button", name="Send question").click()
        page.locator(".rd-exchange[aria-busy=false] .rd-marker").first.wait_for()
        assert page.locator(".rd-question-words").all_text_contents() == [LEAVE]


def test_a_new_chat_overtakes_a_question_in_hand(browser: Browser, address: str, handbook: Library) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(WARRANTY)
        with handbook._turns[handbook.snapshot().large]:
            page.get_by_label("Question", exact=True).fill(LEAVE)
            page.get_by_label("Question", exact=True).press("Enter")
            page.get_by_role("button", name="Stop").wait_for()
            page.get_by_role("button", name="New chat").click()
            playwright.expect(page.locator(".rd-exchange")).to_have_count(0)
        page.wait_for_timeout(1_000)  # the answer is there by now, and nobody wants it
        assert page.locator(".rd-exchange").count() == 0
        visit.ask(KEYS)
        assert page.locator(".rd-question-words").all_text_contents() == [KEYS]


def test_a_conversation_survives_a_reload_and_a_restart(browser: Browser, tmp_path: Path, encoder: Encoder) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "boats.md").write_text("# Boats\n\nThe ferry carries forty passengers and six cars.\n", encoding="utf-8")
    question = "How many passengers does the ferry carry?"
    with Library.create(tmp_path / "library", encoder=encoder) as own:
        own.sync([files])
        context = browser.new_context()
        page = context.new_page()
        kept = ""
        for visit in range(3):  # the first asks, the second is a reload, the third comes after a restart
            with serving(own) as address:
                page.goto(address if not visit else f"{address}/{kept}")
                page.get_by_role("button", name="Send question").wait_for()
                if not visit:
                    page.get_by_label("Question", exact=True).fill(question)
                    page.get_by_label("Question", exact=True).press("Enter")
                    page.locator(".rd-exchange[aria-busy=false] .rd-marker").first.wait_for()
                    page.wait_for_function("location.hash.startsWith('#/c/')")
                    kept = page.evaluate("location.hash")
                    page.reload()
                page.locator(".rd-exchange[aria-busy=false] .rd-marker").first.wait_for()
                assert page.locator(".rd-question-words").all_text_contents() == [question]
                page.locator(".rd-marker").first.click()
                playwright.expect(page.locator("#rd-mark")).to_be_focused()
                assert "forty passengers" in (page.locator("#rd-mark").text_content() or "")
        context.close()


def test_a_pdf_shows_its_page_with_the_words_boxed(browser: Browser, tmp_path: Path, encoder: Encoder) -> None:
    files = tmp_path / "files"
    files.mkdir()
    first = lines("The crane manual was printed in Husum.", "It has two pages.")
    second = lines("Stop lifting when the wind exceeds 14 metres per second.", "Lower the load first.")
    (files / "crane.pdf").write_bytes(pdf([first, second], title="Crane manual"))
    with Library.create(tmp_path / "library", encoder=encoder) as own:
        own.sync([files])
        with serving(own, settings=Settings(originals=True)) as address, visiting(browser, address) as visit:
            page = visit.page
            visit.ask("At what wind speed must lifting stop?")
            page.locator(".rd-marker").first.click()
            picture = page.get_by_role("img", name="Page 2 of 2, the quoted words boxed")
            playwright.expect(picture).to_be_visible()
            playwright.expect(picture).to_be_focused()
            assert not page.locator("#rd-mark").is_visible()
            page.get_by_role("button", name="Text", exact=True).click()
            playwright.expect(page.locator("#rd-mark")).to_be_focused()
            assert not picture.is_visible()
            with page.expect_download() as got:
                page.get_by_role("link", name="Download the file").click()
            assert got.value.suggested_filename == "crane.pdf"
            assert Path(got.value.path()).read_bytes() == (files / "crane.pdf").read_bytes()


def test_conversations_of_others_do_not_open(browser: Browser, address: str) -> None:
    with visiting(browser, address) as first, visiting(browser, address) as second:
        first.ask(LEAVE)
        first.page.wait_for_function("location.hash.startsWith('#/c/')")
        kept = first.page.evaluate("location.hash")
        second.page.goto(f"{address}/{kept}")
        second.page.get_by_text("That conversation is not here").wait_for()
        assert second.page.locator(".rd-exchange").count() == 0


def test_the_list_is_a_drawer_on_a_phone(browser: Browser, address: str) -> None:
    with visiting(browser, address, width=390, height=844) as visit:
        page = visit.page
        nav = page.locator("#rd-nav")
        assert not nav.is_visible()
        button = page.get_by_role("button", name="Conversations")
        assert button.get_attribute("aria-expanded") == "false"
        button.click()
        playwright.expect(nav).to_be_visible()
        assert button.get_attribute("aria-expanded") == "true"
        page.keyboard.press("Escape")
        playwright.expect(nav).not_to_be_visible()
        playwright.expect(button).to_be_focused()

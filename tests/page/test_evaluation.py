"""Evaluations on the page, in a real browser: a question set goes in, a report comes out, and failures can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import CONTRAST, LEAVE, Visit, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Route

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = "Where is <img src=x onerror=window.__ran=1> ${window.__ran=2} {{value}} </script><b>parked</b>?"
QUESTIONS = f"""\
question,answers,sources,kind
How many days of annual leave do full-time staff accrue?,25 days,handbook.md,leave
How long is the warranty of the grinder?,36 months,handbook.md,
Which rule names a locker key?,warden 1050,rules.txt,
Is business class allowed?,Economy class,handbook.md,
{HOSTILE},behind <i>the</i> house,parking.md,
Who keeps the locker keys and what is the warranty of the coffee machine?,,,unanswerable
Quantum chromodynamics lattice gauge theory?,,,unanswerable
"""
MANY = "question,answers\n" + "".join(f"Which warden keeps locker key {n}?,warden {n}\n" for n in range(5_000))


def evaluate(page: Page, content: str, name: str = "questions.csv") -> None:
    """Open the view if it is closed, and choose a file."""
    if page.evaluate("refdesk.view") != "evaluation":
        if (page.viewport_size or {"width": 0})["width"] < 1080:
            page.get_by_role("button", name="Conversations", exact=True).click()
        page.get_by_role("button", name="Evaluate", exact=True).click()
    page.get_by_label("Choose a question set").set_input_files(
        {"name": name, "mimeType": "text/csv", "buffer": content.encode()}
    )


def finished(page: Page, content: str = QUESTIONS, name: str = "questions.csv") -> None:
    """Evaluate to the end."""
    evaluate(page, content, name)
    page.get_by_role("link", name="Open the full report").wait_for(timeout=60_000)


def failure(page: Page, question: str) -> Locator:
    """A question in the list of what went wrong."""
    return page.locator(".rd-lost > li").filter(has_text=question)


def test_from_questions_to_the_words_that_were_missed(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.get_by_role("button", name="Evaluate", exact=True).click()
        assert visit.focused() == "Evaluate"
        columns = page.locator(".rd-columns").inner_text()
        assert all(column in columns for column in "question answers sources page passage kind history id".split())
        finished(page)
        playwright.expect(page.get_by_role("heading", name="questions.csv")).to_be_focused()
        assert page.get_by_text("4 of 7 questions went wrong.").first.is_visible()
        row = page.locator(".rd-measures tr").filter(has_text="Rejected").inner_text().split()
        assert [row[0], *row[-5:]] == ["Rejected", "0.500", "0.000", "to", "1.000", "2"]
        titles = [title.rstrip("0123456789") for title in page.locator(".rd-failures h3").all_text_contents()]
        assert titles == [
            "Document not in the library",
            "Ranked below k",
            "Refused by the threshold",
            "Answered although unanswerable",
        ]
        missed = failure(page, "Is business class allowed?")
        right = missed.locator("div").filter(has_text="Right passage").get_by_role("link")
        right.click()
        mark = page.locator("#rd-mark")
        playwright.expect(mark).to_be_focused()
        assert mark.text_content() == "Economy class"
        playwright.expect(mark).to_be_in_viewport()
        page.keyboard.press("Escape")
        playwright.expect(right).to_be_focused()
        playwright.expect(page.locator("#rd-side")).to_be_hidden()  # what the library holds does not help here
        wrong = missed.locator("div").filter(has_text="Wrong passage").get_by_role("link")
        wrong.click()
        playwright.expect(mark).to_be_focused()
        assert mark.text_content() != "Economy class"
        failure(page, "Which rule names a locker key?").get_by_role("link").first.click()
        playwright.expect(mark).to_have_text("warden 1050")


def test_what_was_found_and_not_quoted_is_said(browser: Browser, address: str) -> None:
    flights = "Which class is booked for flights?"  # what meals cost stands in the same passage
    content = f"question,answers,sources\n{LEAVE},25 days,handbook.md\n{flights},45 euros,handbook.md\n"
    with visiting(browser, address) as visit:
        finished(visit.page, content)
        lead = visit.page.locator("#rd-evaluations .rd-lead")
        playwright.expect(lead).to_have_text("No question went wrong, but 1 of 2 answers was found and not quoted.")


def test_the_way_back_is_where_that_of_the_documents_is(browser: Browser, address: str) -> None:
    with visiting(browser, address, width=390, height=844) as visit:
        page, back = visit.page, visit.page.get_by_role("button", name="Back to chat")
        page.get_by_role("button", name="Documents", exact=True).click()
        documents = back.bounding_box()
        back.click()
        playwright.expect(back).to_have_count(0)
        page.get_by_role("button", name="Conversations", exact=True).click()
        page.get_by_role("button", name="Evaluate", exact=True).click()
        evaluation = back.bounding_box()
        assert documents is not None
        assert evaluation is not None
        assert documents["y"] == pytest.approx(evaluation["y"], abs=2)
        assert evaluation["x"] > page.evaluate("document.querySelector('.rd-brand').getBoundingClientRect().right")
        back.click()
        playwright.expect(page.get_by_label("Question", exact=True)).to_be_focused()
        playwright.expect(page.locator("#rd-evaluations")).to_be_hidden()


def test_unanswerable_questions_open_what_was_answered(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        finished(visit.page)
        failure(visit.page, "Who keeps the locker keys").get_by_role("link").click()
        playwright.expect(visit.page.locator("#rd-mark")).to_be_focused()


def test_the_full_report_opens_apart_and_reaches_nothing(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        finished(page)
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="Open the full report").click()
        report = opened.value
        wrong: list[str] = []
        report.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
        report.on("pageerror", lambda error: wrong.append(str(error)))
        report.locator("#list details").first.wait_for()  # its script ran
        report.reload()  # once more, with an ear at the console
        report.locator("#list details").first.wait_for()
        report.locator("#list summary").first.click()
        playwright.expect(report.locator("#list")).to_contain_text("warden 1050")
        assert wrong == []
        assert report.evaluate("[origin, opener]") == ["null", None]
        reached = "(url) => fetch(url).then((response) => response.status, () => 'refused')"
        assert report.evaluate(reached, f"{address}/health") == "refused"
        assert report.evaluate("window.__ran === undefined")


def test_downloads_are_the_run(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        finished(page)
        files: dict[str, str] = {}
        for name in ("summary.json", "questions.jsonl", "run.trec"):
            with page.expect_download() as waiting:
                page.get_by_role("link", name=name).click()
            assert waiting.value.suggested_filename == name
            files[name] = Path(waiting.value.path()).read_text(encoding="utf-8")
        summary = json.loads(files["summary.json"])
        assert (summary["questions"]["name"], summary["questions"]["count"]) == ("questions.csv", 7)
        records = [json.loads(line) for line in files["questions.jsonl"].splitlines()]
        assert [record["failure"] is not None for record in records] == [False, False, True, True, True, True, False]
        assert records[4]["question"] == HOSTILE
        assert files["run.trec"].startswith("1 Q0 ")


def test_hostile_questions_and_names_are_text(browser: Browser, address: str) -> None:
    name = "<img src=x onerror=window.__ran=3> ${window.__ran=4} \u202efdp.csv"
    with visiting(browser, address) as visit:
        page = visit.page
        finished(page, QUESTIONS, name)
        shown = page.locator(".rd-evaluation")
        assert name.replace("\u202e", "\ufffd") in shown.inner_text()
        assert HOSTILE in shown.inner_text()
        assert "behind <i>the</i> house" in shown.inner_text()
        assert page.locator("#rd-page :is(img, iframe, script, .rd-asked b, dd i)").count() == 0
        page.get_by_role("button", name="Evaluate another").click()
        evaluate(page, "a,b\n1,2\n", name)
        page.locator(".rd-failure").filter(has_text="onerror").wait_for()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("list.csv", "colour,size\nred,5\n", "list.csv, line 1: expected a column question"),
        ("list.csv", "question,answers\n", "list.csv: expected at least one question, came none"),
        ("list.json", '{"question": ', "list.json"),
        ("list.pdf", "%PDF", "Choose a .csv, .tsv, .jsonl or .json file."),
    ],
)
def test_a_file_that_is_no_question_set_gives_its_line(
    browser: Browser, address: str, name: str, content: str, said: str
) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        evaluate(page, content, name)
        line = page.get_by_role("alert").filter(has_text=said)
        line.wait_for()
        assert "/" not in line.inner_text()  # where the server keeps the file is nobody's business
        finished(page)  # and the next one can be chosen right away


def test_stop_and_ask_meanwhile(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        visit.ask(LEAVE)
        evaluate(page, MANY, "many.csv")
        playwright.expect(page.locator("#rd-evaluations .rd-far")).to_contain_text("left", timeout=60_000)
        assert "of 5,000 questions" in page.locator("#rd-evaluations .rd-far").inner_text()
        assert 0 < float(page.get_by_role("progressbar").get_attribute("value") or 0) < 5_000
        page.get_by_role("button", name="Back to chat").click()
        assert page.locator(".rd-exchange").count() == 1  # untouched
        assert not page.locator("#rd-evaluations").is_visible()
        visit.ask("How long is the warranty of the grinder?")
        page.get_by_role("button", name="Evaluate", exact=True).click()
        playwright.expect(page.get_by_role("heading", name="Evaluating many.csv")).to_be_focused()
        page.reload()
        page.get_by_role("heading", name="Evaluating many.csv").wait_for()
        with visiting(browser, address) as other:
            evaluate(other.page, QUESTIONS)
            other.page.get_by_text("Another evaluation is running").wait_for()
            assert ["409" in line for line in other.wrong] == [True]  # that the browser tells of the refusal is all
            other.wrong.clear()
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("many.csv was stopped after").wait_for(timeout=60_000)
        playwright.expect(page.get_by_role("heading", name="Evaluate")).to_be_focused()
        finished(page)


def test_by_keyboard_alone(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        page.get_by_role("button", name="Evaluate", exact=True).focus()
        page.keyboard.press("Enter")
        playwright.expect(page.get_by_role("heading", name="Evaluate")).to_be_focused()
        page.keyboard.press("Tab")
        playwright.expect(page.get_by_label("Choose a question set")).to_be_focused()
        zone = page.locator("#rd-evaluations .rd-drop")
        assert zone.evaluate("(zone) => getComputedStyle(zone).outlineStyle") == "solid"
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files({"name": "questions.csv", "mimeType": "text/csv", "buffer": QUESTIONS.encode()})
        playwright.expect(page.get_by_role("heading", name="questions.csv", exact=True)).to_be_focused(timeout=60_000)
        told = page.locator("#rd-evaluations [role=status]")
        assert told.text_content() == "questions.csv: 4 of 7 questions went wrong."
        for _ in range(20):
            if "handbook" in visit.focused():
                break
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        playwright.expect(page.locator("#rd-mark")).to_be_focused()
        page.keyboard.press("Escape")
        assert "handbook" in visit.focused()


def test_a_file_is_dropped(browser: Browser, address: str) -> None:
    drop = """([content, selector]) => {
      const data = new DataTransfer();
      data.items.add(new File([content], "dropped.csv"));
      const on = document.querySelector(selector);
      const event = (kind) => new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
      return ["dragover", "drop"].map((kind) => !on.dispatchEvent(event(kind)));
    }"""
    with visiting(browser, address) as visit:
        page = visit.page
        page.get_by_role("button", name="Evaluate", exact=True).click()
        assert page.evaluate(drop, [QUESTIONS, "#rd-side"]) == [True, True]  # beside the view: nothing happens
        assert page.get_by_role("heading", name="Evaluate").is_visible()
        assert page.evaluate(drop, [QUESTIONS, "#rd-evaluations .rd-drop"]) == [True, True]
        page.get_by_role("heading", name="dropped.csv", exact=True).wait_for(timeout=60_000)


def test_on_a_phone(browser: Browser, address: str) -> None:
    with visiting(browser, address, width=390, height=844) as visit:
        page = visit.page
        fits = "document.documentElement.scrollWidth <= innerWidth"
        assert page.get_by_role("button", name="New chat").is_visible()
        finished(page)
        pane = page.locator("#rd-evaluations")
        assert page.evaluate(fits)
        assert pane.evaluate("(pane) => pane.scrollWidth <= pane.clientWidth")
        link = failure(page, "Is business class allowed?").get_by_role("link").first
        link.click()
        playwright.expect(page.locator("#rd-mark")).to_be_in_viewport()
        page.keyboard.press("Escape")
        playwright.expect(page.locator("#rd-side")).to_be_hidden()
        playwright.expect(link).to_be_focused()


def test_a_run_that_is_gone_is_not_asked_for_again(browser: Browser, address: str) -> None:
    with visiting(browser, address) as visit:
        page = visit.page
        finished(page)
        page.get_by_role("button", name="Back to chat").click()
        page.evaluate(f"sessionStorage.setItem('refdesk-evaluation', '{'x' * 24}')")
        page.reload()
        page.get_by_role("button", name="Evaluate", exact=True).click()
        page.wait_for_function("sessionStorage.getItem('refdesk-evaluation') === null")
        assert page.get_by_label("Choose a question set").count() == 1
        assert ["404" in line for line in visit.wrong] == [True]
        visit.wrong.clear()


def test_a_server_that_does_not_answer_is_asked_again(browser: Browser, address: str) -> None:
    def fail(route: Route) -> None:
        route.abort()

    with visiting(browser, address) as visit:
        page = visit.page
        page.route("**/evaluations/*", fail, times=1)
        finished(page)
        assert ["ERR_FAILED" in line for line in visit.wrong] == [True]
        visit.wrong.clear()


CONTRAST_OF = "h2, .rd-lead, .rd-quiet, .rd-button, .rd-files a, th, td, small, .rd-asked, .rd-why, dt, dd a"


@pytest.mark.parametrize("dark", [False, True])
def test_colours_can_be_read_and_nothing_moves(browser: Browser, address: str, dark: bool) -> None:
    def check(visit: Visit, texts: str) -> None:
        found = visit.page.locator(f"#rd-evaluations :is({texts})")
        assert found.count() > 5
        for element in found.all():
            assert element.evaluate(CONTRAST) >= 4.5

    with visiting(browser, address, dark=dark) as visit:
        visit.page.emulate_media(reduced_motion="reduce")
        visit.page.get_by_role("button", name="Evaluate", exact=True).click()
        check(visit, "h2, .rd-lead, .rd-drop b, .rd-drop span, small, th, td, pre")
        finished(visit.page)
        check(visit, CONTRAST_OF)
        moving = "[...document.querySelectorAll('#rd-page *')].some((e) => e.getAnimations().length)"
        assert not visit.page.evaluate(moving)

"""The page's states as pictures: `python -m benchmarks.tour [--only NAMES] [--out docs/tour]`.

Writes documents of its own (a PDF printed by the browser among them), indexes them, serves the page and photographs
each state, wide and light, and on a dark phone; docs/tour.md is written with them. Needs Chromium and playwright.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DESKTOP, PHONE = {"width": 1360, "height": 850}, {"width": 390, "height": 844}

HANDBOOK = """\
# Harbour handbook

## Annual leave

Full-time staff accrue 25 days of annual leave each calendar year. Leave that is not taken by 31 March of the next year
is lost unless the harbour master has agreed in writing to carry it over. No more than five days may be carried over.

## Sick leave

Tell the office by ten in the morning on the first day of absence. A doctor's note is needed from the fourth day.

## Travel expenses

Meals are reimbursed up to 45 euros a day with receipts. Claims must be filed within 30 days of the trip. Trains are
booked in second class, and ferries without a cabin unless the crossing takes longer than six hours.
"""
NOTICE = """\
Notice to mariners, autumn

The northern pier is closed from 4 November until the new fenders are in place. The ferry to Amrum leaves from the
southern pier meanwhile, ten minutes later than the timetable says.

Dredging of the inner basin begins on 12 November. Vessels that draw over three metres pass on the rising tide only.
"""
MINUTES = """\
# Minutes of the harbour council

## Fenders

The council chose the bid of Petersen & Sons for 84 new fenders, at 128,000 euros with fitting. Work begins on
4 November and takes three weeks.

## Crane

The crane lifts 12 tonnes at 20 metres. It was last inspected in May; the next inspection is due in two years.
"""
MANUAL = [
    (
        "Crane manual",
        "Before first use",
        [
            "Only trained staff may operate the crane. Training takes two days and is renewed every three years.",
            "Check hook, rope and brake each morning before the first lift, and enter the check in the log.",
        ],
    ),
    (
        "Lifting",
        "Loads and wind",
        [
            "The crane lifts 12 tonnes at a reach of 20 metres and 7 tonnes at 30 metres.",
            "Stop lifting when the wind exceeds 14 metres per second; lower the load first, then secure the boom.",
            "Nobody stands below a load. The signaller wears a yellow vest and carries a radio on channel 9.",
        ],
    ),
    (
        "Care",
        "Grease and rope",
        [
            "Grease the slewing ring every 250 hours of work. Replace the rope after 2,000 hours.",
        ],
    ),
]
QUESTION = "How many days of annual leave do staff get, and when are they lost?"
PDF_QUESTION = "At what wind speed must lifting stop?"
FOLLOW_UP = "And how often is it greased?"
NOTHING = "Who won the chess championship in Reykjavik?"


@dataclass(frozen=True)
class State:
    """A state of the page: how it is reached, and what the tour says of it."""

    name: str
    says: str
    reach: Callable[[Any], None]
    library: str = "harbour"
    slow: bool = False  # as if many others were asking


def ask(page: Any, question: str) -> None:  # noqa: ANN401 - playwright is optional here
    """Type a question and wait for its whole answer."""
    done = page.locator(".rd-exchange[aria-busy=false]")
    before = done.count()
    page.get_by_label("Question", exact=True).fill(question)
    page.get_by_label("Question", exact=True).press("Enter")
    done.nth(before).wait_for()
    page.wait_for_timeout(400)


def open_first(page: Any) -> None:  # noqa: ANN401
    """Open the first citation in its document."""
    page.locator(".rd-exchange:last-of-type .rd-marker").first.click()
    page.locator(".rd-reading #rd-reader .rd-document").wait_for()
    page.wait_for_timeout(900)


def _answered(page: Any) -> None:  # noqa: ANN401
    ask(page, QUESTION)


def _answering(page: Any) -> None:  # noqa: ANN401
    page.get_by_label("Question", exact=True).fill(QUESTION)
    page.get_by_label("Question", exact=True).press("Enter")
    page.locator(".rd-exchange[aria-busy=true]").wait_for()


def _nothing(page: Any) -> None:  # noqa: ANN401
    ask(page, NOTHING)
    page.get_by_text("Show the nearest passages").click()
    page.wait_for_timeout(200)


def _context(page: Any) -> None:  # noqa: ANN401
    ask(page, QUESTION)
    open_first(page)


def _pdf(page: Any) -> None:  # noqa: ANN401
    ask(page, PDF_QUESTION)
    open_first(page)
    page.locator(".rd-picture").wait_for()


def _enlarged(page: Any) -> None:  # noqa: ANN401
    _pdf(page)
    page.locator(".rd-picture").click()
    page.wait_for_function("document.querySelector('dialog img').naturalWidth === 2000")


def _follow_up(page: Any) -> None:  # noqa: ANN401
    ask(page, "What does the crane lift?")
    ask(page, FOLLOW_UP)


def _settings(page: Any) -> None:  # noqa: ANN401
    ask(page, QUESTION)
    page.locator("[data-act=again]").last.click()
    page.wait_for_timeout(300)


def _edit(page: Any) -> None:  # noqa: ANN401
    ask(page, QUESTION)
    page.get_by_role("button", name="Edit question").last.click()


def _sources(page: Any) -> None:  # noqa: ANN401
    ask(page, QUESTION)
    more = page.locator("[data-act=sources]").last
    if more.is_visible():
        more.click()
    page.wait_for_timeout(300)


def _documents(page: Any) -> None:  # noqa: ANN401
    page.get_by_role("button", name="Documents", exact=True).click()
    page.wait_for_timeout(700)


def _opened(page: Any) -> None:  # noqa: ANN401
    _documents(page)
    page.get_by_role("link", name="Harbour handbook").click()
    page.locator(".rd-document").wait_for()
    page.wait_for_timeout(300)


def _upload(page: Any) -> None:  # noqa: ANN401
    _documents(page)
    files = [
        {"name": "tides.md", "mimeType": "text/markdown", "buffer": b"# Tides\n\nThe spring tide rises 3.4 metres.\n"},
        {"name": "broken.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 cut off"},
    ]
    page.locator("#rd-documents input[type=file]").first.set_input_files(files)
    page.wait_for_timeout(4000)


def _filtered(page: Any) -> None:  # noqa: ANN401
    page.evaluate("refdesk.setScope({ sources: ['crane-manual.pdf'] })")
    ask(page, "How many tonnes can be lifted?")


def _error(page: Any) -> None:  # noqa: ANN401
    page.get_by_label("Question", exact=True).fill("word " * 1000)
    page.get_by_label("Question", exact=True).press("Enter")
    page.locator(".rd-notice").wait_for()


def _evaluation(page: Any) -> None:  # noqa: ANN401
    if page.viewport_size["width"] < 1080:
        page.get_by_role("button", name="Conversations").click()
    page.get_by_role("button", name="Evaluate").click()
    page.wait_for_timeout(400)


def _menu(page: Any) -> None:  # noqa: ANN401
    ask(page, QUESTION)
    page.get_by_role("button", name="New chat").click()
    page.locator(".rd-exchange").wait_for(state="detached")
    ask(page, PDF_QUESTION)
    if page.viewport_size["width"] < 1080:
        page.get_by_role("button", name="Conversations").click()
    page.wait_for_timeout(600)


STATES = (
    State("first-run", "A new library: what to do first.", lambda _: None, library="empty"),
    State("empty", "Before the first question: what there is, and questions to start with.", lambda _: None),
    State("answering", "An answer comes sentence by sentence; it can be stopped.", _answering, slow=True),
    State("answered", "An answer: sentences word for word, each with its source.", _answered),
    State("sources", "The passages it was taken from, the quotes marked.", _sources),
    State("context", "One click opens the document around the words.", _context),
    State("pdf", "A PDF shows its real page, the words boxed.", _pdf),
    State("enlarged", "A click, or Enter, enlarges it.", _enlarged),
    State("follow-up", "A follow-up says what was searched, and that can be changed.", _follow_up),
    State("nothing", "Nothing found is said; the nearest passages are there on request.", _nothing),
    State("edit", "A question can be changed in its place.", _edit),
    State("settings", "Ask again, with more passages or found otherwise.", _settings),
    State("filtered", "Only some documents are asked.", _filtered),
    State("documents", "The documents, with what became of each.", _documents),
    State("opened", "A title opens the document at its beginning.", _opened),
    State("upload", "Files that were added: one that can be read, and one that cannot.", _upload),
    State("conversations", "Conversations are kept.", _menu),
    State("evaluation", "Question sets are evaluated in place.", _evaluation),
    State("error", "What is wrong is said in one line.", _error),
)


def write_documents(folder: Path, browser: Any) -> None:  # noqa: ANN401
    """The tour's own documents."""
    (folder / "minutes").mkdir(parents=True)
    (folder / "handbook.md").write_text(HANDBOOK, encoding="utf-8")
    (folder / "notice.txt").write_text(NOTICE, encoding="utf-8")
    (folder / "minutes" / "october.md").write_text(MINUTES, encoding="utf-8")
    pages = "".join(
        f"<section><h1>{title}</h1><h2>{heading}</h2>{''.join(f'<p>{text}</p>' for text in texts)}</section>"
        for title, heading, texts in MANUAL
    )
    style = "section{break-after:page;font:12pt/1.5 serif;padding:2em}h1{font-size:22pt}p{margin:1em 0}"
    page = browser.new_page()
    page.set_content(f"<title>Crane manual</title><style>{style}</style>{pages}")
    page.pdf(path=str(folder / "crane-manual.pdf"), format="A5")
    page.close()


@contextmanager
def serving(library: Any) -> Iterator[str]:  # noqa: ANN401 - imported late
    """The page of a library on a free port."""
    import uvicorn

    from qa.page.server import build_app

    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(build_app(library), log_level="error", ws="none", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


def photograph(browser: Any, address: str, state: State, out: Path, kinds: set[str], library: Any) -> None:  # noqa: ANN401
    """The state at both widths, light and dark."""
    for width, size in (("desktop", DESKTOP), ("phone", PHONE)):
        for scheme in ("light", "dark"):
            name = f"{state.name}-{width}-{scheme}"
            if kinds and f"{width}-{scheme}" not in kinds:
                continue
            context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
            context.set_default_timeout(15_000)
            page = context.new_page()
            try:
                page.goto(address)
                page.get_by_role("button", name="Send question").wait_for()
                page.wait_for_timeout(500)
                with library._turns[library.snapshot().large] if state.slow else nullcontext():
                    state.reach(page)
                    page.screenshot(path=str(out / f"{name}.png"))
            finally:
                context.close()
            print(f"  {name}", file=sys.stderr, flush=True)


def describe(out: Path) -> str:
    """The tour as a page of the documentation."""
    lines = ["# A tour of the page", "", "Made by `python -m benchmarks.tour`.", ""]
    for state in STATES:
        shown = [
            path
            for path in sorted(out.glob(f"{state.name}-*.png"))
            if path.stem.count("-") == state.name.count("-") + 2
        ]
        lines += [f"## {state.name.replace('-', ' ').capitalize()}", "", state.says, ""]
        lines += [
            f'<img src="tour/{path.name}" width="{160 if "phone" in path.stem else 480}" alt="{state.says}">'
            for path in shown
        ]
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    """Parse, index, serve, photograph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="states, comma-separated (default: all)")
    parser.add_argument(
        "--kinds",
        default="desktop-light,phone-dark",
        help="of desktop-light, desktop-dark, phone-light, phone-dark (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "tour", help="where the pictures go")
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    if CHROMIUM is None or only - {state.name for state in STATES}:
        print(f"expected chromium on this machine, and states of {[state.name for state in STATES]}", file=sys.stderr)
        return 2
    from playwright.sync_api import sync_playwright

    import qa

    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        files = Path(folder, "harbour")
        write_documents(files, browser)
        for state in STATES:
            if only and state.name not in only:
                continue
            with qa.Library.create(Path(folder, f"library-{state.name}")) as library:
                if state.library != "empty":
                    library.sync([files])
                with serving(library) as address:
                    photograph(
                        browser, address, state, arguments.out, set(filter(None, arguments.kinds.split(","))), library
                    )
        browser.close()
    if arguments.out == ROOT / "docs" / "tour":
        (ROOT / "docs" / "tour.md").write_text(describe(arguments.out), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

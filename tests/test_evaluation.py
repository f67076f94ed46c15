"""Evaluation over a real library: what each question is worth, where it was lost, and runs that stop and go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pandas as pd
import pytest
from files_for_tests import lines, pdf

import qa
from embeddings import Encoder
from qa.errors import QuestionsError
from qa.evaluation import Question, Report, Settings, compare, evaluate, tune
from qa.evaluation.summary import without_gold
from qa.evaluation.tune import GRID, _best_weight, _folds
from qa.evaluation.types import EvaluationProgress

MINERALS = "quartz feldspar mica olivine garnet topaz zircon rutile pyrite galena".split()
PLACES = "Norway Peru Chile Kenya Nepal Japan Malta Ghana Qatar Yemen".split()
FOLLOW_UP = Question(
    "follow", "And the grinder?", ("36 months",), {"handbook.md": 1}, kind="followup", answerable=True,
    history=("How long is the warranty of the coffee machine?",),
)  # fmt: skip
QUESTIONS = [
    Question("leave", "How many days of annual leave do staff accrue?", ("25 days",), {"handbook.md": 1}, kind="fact",
             answerable=True),
    Question("warranty", "How long is the warranty of the coffee machine?", ("24 months",), {"handbook.md": 1},
             kind="fact", answerable=True),
    FOLLOW_UP,
    Question("page", "Where was garnet mined in Peru?", sources={"garnet-Peru.txt": 2, "garnet-Chile.txt": 1},
             answerable=True),
    Question("none", "Who won the chess tournament in Reykjavik?", kind="unanswerable", answerable=False),
    Question("bare", "What is mica?"),
]  # fmt: skip
HANDBOOK = """\
# Staff handbook

## Leave

Full-time staff accrue 25 days of annual leave each calendar year. Leave that is not taken by 31 March is lost.

## Warranty

The warranty of the coffee machine lasts 24 months from the date of purchase. The grinder of the coffee machine
has a warranty of its own, which lasts 36 months.

## Parking

The parking deck closes at eleven.

## Bicycles

Bicycles stand in the yard behind the kitchen.
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[qa.Library]:
    """A handbook among 300 short notes, more than are scored for a question."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "handbook.md").write_text(HANDBOOK)
    for mineral in MINERALS:
        for place in PLACES:
            text = f"The {mineral} of {place} was mined by hand. Its miners sold {mineral} at the harbour of {place}.\n"
            (folder / f"{mineral}-{place}.txt").write_text(text)
            (folder / f"{mineral}-{place}-2.txt").write_text(f"A museum in {place} shows {mineral} in its cellar.\n")
            (folder / f"{mineral}-{place}-3.txt").write_text(f"A law of {place} forbids to export {mineral}.\n")
    with qa.Library.create(tmp_path_factory.mktemp("library") / "lib", encoder=encoder) as library:
        library.sync([folder])
        yield library


@pytest.fixture(scope="module")
def report(library: qa.Library, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return evaluate(library, QUESTIONS, out=tmp_path_factory.mktemp("runs") / "run")


def by_id(report: Report) -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in report.records()}


def test_every_question_is_in_the_run_in_order_and_counted(report: Report) -> None:
    assert [record["id"] for record in report.records()] == [question.id for question in QUESTIONS]
    summary = report.summary
    assert summary["complete"] is True
    assert summary["asked"] == summary["questions"]["count"] == len(QUESTIONS)
    assert (summary["questions"]["answerable"], summary["questions"]["unanswerable"]) == (4, 1)
    assert summary["without_gold"] == {"questions": 1, "rated_bad": 0}
    assert without_gold(summary) == "not judged, since nobody says what is right: 1 question"
    assert without_gold({**summary, "without_gold": {"questions": 0, "rated_bad": 0}}) == ""


def test_a_question_counts_for_the_measures_that_its_gold_supports(report: Report) -> None:
    records = by_id(report)
    assert {"nDCG@10", "Answer@1", "EM", "F1", "SourceP", "Kept"} <= records["leave"]["measures"].keys()
    assert "Answer@1" not in records["page"]["measures"]
    assert "nDCG@10" in records["page"]["measures"]
    assert records["bare"]["measures"].keys() == {"CitationExact"}
    assert {"Rejected"} <= records["none"]["measures"].keys()
    assert "nDCG@10" not in records["none"]["measures"]
    assert report.measures["nDCG@10"].n == 4
    assert report.measures["Answer@5"].n == 3
    assert report.measures["Rejected"].n == 1


def test_the_hits_are_those_that_the_page_shows(library: qa.Library, report: Report) -> None:
    for question in QUESTIONS:
        turns: list[qa.Turn] = []
        for earlier in question.history:
            turns.append(library.ask(earlier, turns=turns).turn())
        answer = library.ask(question.text, turns=turns)
        record = by_id(report)[question.id]
        assert [hit["passage_id"] for hit in record["hits"]] == [h.passage.id for h in answer.hits or answer.misses]
        assert [one["text"] for one in record["answer"]] == [sentence.text for sentence in answer.sentences]
        assert record["found"] == answer.found
        assert record["searched"] == answer.searched


def test_the_written_run_gives_the_same_figures_to_ir_measures(report: Report) -> None:
    run = list(ir_measures.read_trec_run(str(report.folder.path / "run.trec")))
    assert {doc.query_id for doc in run} == {question.id for question in QUESTIONS}
    qrels = [ir_measures.Qrel(q.id, source, grade) for q in QUESTIONS for source, grade in q.sources.items()]
    for name in ("nDCG@10", "RR@10", "AP", "R@100", "Success@1"):
        theirs = ir_measures.calc_aggregate([ir_measures.parse_measure(name)], qrels, run)
        assert report.measures[name].mean == pytest.approx(next(iter(theirs.values())), abs=1e-12)


def test_citations_open_exactly(report: Report) -> None:
    assert report.summary["citations"]["shown"] == report.summary["citations"]["exact"] > 10
    assert report.measures["CitationExact"].mean == 1


def test_rows_make_a_data_frame(report: Report) -> None:
    frame = pd.DataFrame(report.rows()).set_index("id")
    assert frame.loc["leave", "Answer@1"] == 1
    assert frame.loc["leave", "source"] == "handbook.md"
    assert frame["nDCG@10"].mean() == pytest.approx(report.measures["nDCG@10"].mean)


def test_without_a_folder_the_files_go_with_the_report(library: qa.Library) -> None:
    report = evaluate(library, QUESTIONS[:1])
    path = report.folder.path
    assert (path / "report.html").is_file()
    del report
    assert not path.exists()


def test_an_empty_library_and_an_empty_set(tmp_path: Path, encoder: Encoder) -> None:
    with qa.Library.create(tmp_path / "empty", encoder=encoder) as empty:
        report = evaluate(empty, QUESTIONS)
        assert report.measures["nDCG@10"].mean == 0
        assert report.summary["failures"] == {"document not in the library": 4}
        assert report.measures["Rejected"].mean == 1
        with pytest.raises(QuestionsError, match="empty: give at least one"):
            evaluate(empty, [])


def test_questions_of_a_program_are_checked_like_those_of_a_file(library: qa.Library) -> None:
    loose: Any = Question("a", " Which mineral? ", "quartz", ["quartz-Peru.txt"], history="And feldspar?")  # type: ignore[arg-type]
    (record,) = evaluate(library, [loose]).records()
    assert record["gold"]["answers"] == ["quartz"]
    assert record["gold"]["sources"] == {"quartz-Peru.txt": 1}
    assert record["history"] == ["And feldspar?"]
    assert record["answerable"] is True
    assert "Kept" in record["measures"]
    for wrong in (Question("", "Who?"), Question("b", ""), Question("c", "Who?", sources={"a": 10**9})):
        with pytest.raises(QuestionsError, match=r"question '.*': expected"):
            evaluate(library, [wrong])


# Where a question is lost


def lost(library: qa.Library, question: Question) -> dict[str, Any]:
    (record,) = evaluate(library, [question]).records()
    failure = record["failure"]
    assert failure is not None
    return dict(failure)


@pytest.mark.parametrize(
    ("question", "where"),
    [
        (Question("q", "How many days of annual leave?", sources={"absent.md": 1}, answerable=True),
         "document not in the library"),
        (Question("q", "How many days of annual leave?", ("ninety-one days",), answerable=True),
         "document not in the library"),
        (Question("q", "How many days of annual leave?", passages=("No document has these words.",), answerable=True),
         "document not in the library"),
        (Question("q", "When does the deck close, and where are bicycles?", sources={"handbook.md": 1},
                  answers=("closes at eleven. ## Bicycles Bicycles stand",), answerable=True), "passage split apart"),
        (Question("q", "Which mineral was mined by hand in Peru?", ("parking deck",), {"handbook.md": 1},
                  answerable=True), "not among the candidates"),
        (Question("q", "Which garnet was mined by hand?", sources={"garnet-Yemen-3.txt": 1}, answerable=True),
         "ranked below k"),
        (Question("q", "mountains zebra quantum bicycles violin lecture", sources={"handbook.md": 1}, answerable=True),
         "refused by the threshold"),
        (Question("q", "How many days of annual leave do staff accrue?", kind="unanswerable", answerable=False),
         "answered although unanswerable"),
    ],
)  # fmt: skip
def test_a_failure_says_where_it_was_lost(library: qa.Library, question: Question, where: str) -> None:
    failure = lost(library, question)
    assert failure["class"] == where
    assert failure["detail"]


def test_a_failure_shows_the_gold_passage_beside_the_best_wrong_one(library: qa.Library) -> None:
    question = Question("q", "Which mineral was mined by hand in Peru?", ("eleven",), {"handbook.md": 1},
                        answerable=True)  # fmt: skip
    (record,) = evaluate(library, [question]).records()
    gold = record["failure"]["gold"]
    (start, end), *_ = gold["marks"]
    assert gold["text"][start:end] == "eleven"
    assert gold["rank"] is None
    assert library.open_citation(gold["citation"]).citation.quote == "eleven"
    assert record["failure"]["wrong"] == 1
    assert [hit["relevant"] for hit in record["hits"]] == [False] * 5
    assert record["rank"] is None


def test_gold_is_found_by_path_by_file_name_and_by_stem(library: qa.Library) -> None:
    for name in ("handbook.md", "handbook", "/home/me/files/handbook.md", "files\\handbook.md"):
        question = replace(QUESTIONS[0], sources={name: 1})
        (record,) = evaluate(library, [question]).records()
        assert record["rank"] == 1
        assert record["measures"]["Success@1"] == 1


@pytest.fixture
def shelf(tmp_path: Path, encoder: Encoder) -> Iterator[qa.Library]:
    """Two documents with a paragraph in common, one in a folder, one that cannot be read, one with an accent."""
    shared = "The ferry of the lake leaves the northern pier at nine and carries sixty passengers and their bicycles."
    files = {
        "a.md": f"# A\n\nLetters are sorted by hand on Mondays.\n\n{shared}\n",
        "b.md": f"# B\n\nParcels are weighed in the cellar on Fridays.\n\n{shared}\n",
        "2020/report.md": "# Report\n\nThe shop opened **three new** branches in Bremen.\n",
        "A\u0308rger.txt": "The complaint was about the noise of the tram.\n",
        "2019/report.pdf": "no PDF at all",
    }
    for name, text in files.items():
        (tmp_path / "shelf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shelf" / name).write_text(text)
    with qa.Library.create(tmp_path / "shelf.lib", encoder=encoder) as library:
        library.sync([tmp_path / "shelf"])
        yield library


@pytest.mark.parametrize("source", ["a.md", "b.md"])
@pytest.mark.parametrize("by", ["document", "passage"])
def test_text_in_several_documents_answers_for_each(shelf: qa.Library, source: str, by: Any) -> None:  # noqa: ANN401
    gold = "The ferry of the lake leaves the northern pier at nine and carries sixty passengers and their bicycles."
    question = Question("q", "When does the ferry leave the northern pier?", sources={source: 1}, passages=(gold,))
    (record,) = evaluate(shelf, [question], Settings(by=by)).records()
    assert (record["rank"], record["failure"]) == (1, None)
    assert record["measures"]["nDCG@10"] == 1
    assert record["hits"][0]["relevant"] is True


@pytest.mark.parametrize(
    ("source", "means"),
    [
        ("2020/report.md", True),
        ("report.md", True),
        ("2019/report.pdf", False),  # that file could not be read
        ("2019/report.md", False),
        ("\u00c4rger.txt", None),
        (".", False),
    ],
)
def test_a_gold_source_never_means_another_file(shelf: qa.Library, source: str, means: bool | None) -> None:
    question = Question("q", "Where did the shop open new branches?", sources={source: 1})
    (record,) = evaluate(shelf, [question]).records()
    if means is None:
        assert record["failure"] is None or record["failure"]["class"] != "document not in the library"
    else:
        assert (record["rank"] == 1) is means
        assert (record["failure"] is None) is means


def test_gold_passages_are_found_through_markup_and_bad_ids_are_not(shelf: qa.Library) -> None:
    hit = shelf.retrieve("Where did the shop open new branches?")[0]
    key = hit.passage.document_id
    for passage, rank in (
        ("The shop opened three new branches in Bremen.", 1),
        (f"{key}.50.10", None),
        (f"{key}.1.99999", None),
        (f"{key}.999999999999999999999999.3", None),
    ):
        question = Question("q", "Where did the shop open new branches?", passages=(passage,))
        (record,) = evaluate(shelf, [question]).records()
        assert record["rank"] == rank
        assert rank or record["failure"]["class"] == "document not in the library"


def test_abstractive_answers_are_judged_by_their_source(library: qa.Library) -> None:
    question = replace(QUESTIONS[0], answers=("twenty-five",))
    (record,) = evaluate(library, [question]).records()
    assert (record["judged_by"], record["rank"], record["failure"]) == ("source", 1, None)
    assert record["measures"]["Answer@5"] == 0


@pytest.mark.parametrize("as_id", [True, False])
def test_passages_are_gold_by_id_and_by_text(library: qa.Library, as_id: bool) -> None:
    hit = library.retrieve(QUESTIONS[0].text)[0]
    gold = hit.passage.id if as_id else "  ".join(hit.passage.text.split())
    question = Question("q", QUESTIONS[0].text, passages=(gold,), answerable=True)
    report = evaluate(library, [question])
    (record,) = report.records()
    assert report.summary["settings"]["by"] == "passage"
    assert (record["judged_by"], record["rank"]) == ("passage", 1)
    assert record["measures"]["nDCG@10"] == 1


def test_pages_are_judged(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "docs").mkdir()
    ferries = [f"The ferry number {n} sails to the island of birds at nine in the morning." for n in range(14)]
    trains = [f"The train number {n} leaves for the mountains of glass at noon, with a dining car." for n in range(14)]
    (tmp_path / "docs" / "two.pdf").write_bytes(pdf([lines(*ferries), lines(*trains)]))
    questions = [
        Question("right", "When does the train leave?", sources={"two.pdf": 1}, pages=(2,), answerable=True),
        Question("wrong", "When does the ferry sail?", sources={"two.pdf": 1}, pages=(2,), answerable=True),
    ]
    with qa.Library.create(tmp_path / "lib", encoder=encoder) as library:
        library.sync([tmp_path / "docs"])
        report = evaluate(library, questions, Settings(by="page"))
    records = by_id(report)
    assert records["right"]["measures"]["Success@1"] == 1
    assert records["wrong"]["measures"]["Success@1"] == 0
    assert records["right"]["documents"][0][:1] == ["two.pdf#page=2"]
    assert records["right"]["measures"]["PageP"] > records["wrong"]["measures"]["PageP"]
    assert records["right"]["rank"] == 1
    assert records["wrong"]["rank"] > 1


def test_a_passage_on_two_pages_is_one_of_both(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "two.pdf").write_bytes(pdf([lines("The ferry sails at nine."), lines("The train at noon.")]))
    questions = [
        Question(str(page), "When does the train leave?", sources={"two.pdf": 1}, pages=(page,), answerable=True)
        for page in (1, 2, 3)
    ]
    with qa.Library.create(tmp_path / "lib", encoder=encoder) as library:
        library.sync([tmp_path / "docs"])
        records = by_id(evaluate(library, questions, Settings(by="page")))
    assert [records[page]["measures"]["Success@1"] for page in "123"] == [1, 1, 0]
    assert [records[page]["measures"]["PageP"] for page in "123"] == [0, 1, 0]


# Stopping and going on


class StoppedError(Exception):
    """Stands for Ctrl-C."""


def many(count: int) -> list[Question]:
    return [replace(QUESTIONS[n % len(QUESTIONS)], id=f"q{n}") for n in range(count)]


def stop_after(done: int) -> Any:  # noqa: ANN401
    def listen(progress: EvaluationProgress) -> None:
        if progress.done >= done:
            raise StoppedError

    return listen


def without_time(summary: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in summary.items() if name != "timing"}


@pytest.mark.parametrize("torn", [False, True])
def test_a_run_stopped_at_half_and_resumed_equals_an_undisturbed_one(
    library: qa.Library, tmp_path: Path, torn: bool
) -> None:
    questions = many(200)
    whole = evaluate(library, questions, out=tmp_path / "whole")
    with pytest.raises(StoppedError):
        evaluate(library, questions, out=tmp_path / "half", on_progress=stop_after(100))
    assert Report.open(tmp_path / "half").summary["complete"] is False
    if torn:  # as a power cut leaves it: a ranking without its record, a record cut short
        with (tmp_path / "half" / "run.trec").open("a") as run:
            run.write("q150 Q0 handbook.md 1 0.9 refdesk\nq151 Q0 ha")
        records = (tmp_path / "half" / "questions.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / "half" / "questions.jsonl").write_text("".join(records[:90]) + '{"id": "q150", "questi' + "\0" * 9)
    heard: list[EvaluationProgress] = []
    resumed = evaluate(library, questions, out=tmp_path / "half", resume=True, on_progress=heard.append)
    assert heard[-1].done > heard[-1].asked > 0
    for name in ("questions.jsonl", "run.trec"):
        assert (tmp_path / "half" / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert without_time(resumed.summary) == without_time(whole.summary)


def test_to_resume_what_has_not_begun_or_is_done_is_harmless(library: qa.Library, tmp_path: Path) -> None:
    first = evaluate(library, many(3), out=tmp_path / "run", resume=True)
    again = evaluate(library, many(3), out=tmp_path / "run", resume=True)
    assert len(list(again.records())) == 3
    assert without_time(again.summary) == without_time(first.summary)


def test_a_stopped_run_is_not_lost_to_a_new_one(library: qa.Library, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        evaluate(library, many(100), out=tmp_path / "run", on_progress=stop_after(1))
    with pytest.raises(QuestionsError, match="was stopped: add --resume"):
        evaluate(library, many(100), out=tmp_path / "run")
    with pytest.raises(QuestionsError, match="made with other questions"):
        evaluate(library, many(90), out=tmp_path / "run", resume=True)
    with pytest.raises(QuestionsError, match="made with other settings"):
        evaluate(library, many(100), Settings(k=3), out=tmp_path / "run", resume=True)


def test_a_complete_run_is_replaced_and_foreign_files_are_not(library: qa.Library, tmp_path: Path) -> None:
    evaluate(library, many(3), out=tmp_path / "run")
    evaluate(library, many(2), out=tmp_path / "run")
    assert len(list(Report.open(tmp_path / "run").records())) == 2
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(QuestionsError, match="not an empty folder"):
        evaluate(library, many(2), out=tmp_path / "other")
    assert (tmp_path / "other" / "letter.txt").read_text() == "dear"


def test_a_question_set_with_the_name_of_a_runs_file_is_not_taken_for_it(
    library: qa.Library, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (files / "questions.jsonl").read_bytes()
    where = ("--library", str(library.path), "--out", str(files))
    assert run("eval", str(files / "questions.jsonl"), *where) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    assert (files / "questions.jsonl").read_bytes() == before


def test_a_run_is_stopped_between_earlier_questions_which_are_asked_once(
    library: qa.Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    search = qa.Library.search

    def counting(self: qa.Library, questions: list[str], *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        asked.append(len(questions))
        return search(self, questions, *rest, **named)

    monkeypatch.setattr(qa.Library, "search", counting)
    questions = [replace(FOLLOW_UP, id=f"{n}", history=FOLLOW_UP.history * 5) for n in range(2)]
    with pytest.raises(StoppedError):
        evaluate(library, questions, out=tmp_path / "run", on_progress=stop_after(0))
    assert asked == [2]
    evaluate(library, questions, out=tmp_path / "run", resume=True)
    assert asked[1:] == [2] * 6 + [1] * 2  # five earlier ones and the question, and this alone for the latency


def test_a_library_that_changes_stops_the_run(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(HANDBOOK)
    with qa.Library.create(tmp_path / "lib", encoder=encoder) as own:
        own.sync([tmp_path / "docs"])

        def change(_: EvaluationProgress) -> None:
            (tmp_path / "docs" / "b.md").write_text("# New\n\nA new document.\n")
            own.sync([tmp_path / "docs"])

        with pytest.raises(QuestionsError, match="changed while it was evaluated"):
            evaluate(own, many(100), on_progress=change)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(k=0), "k is 0: expected 1 to 1000"),
        (Settings(dense_weight=1.5), "expected 0 to 1"),
        (Settings(by="page"), "no question names its pages"),
        (Settings(measures=("nDGC@10",)), "expected a name of ir-measures"),
    ],
)
def test_bad_settings_are_told_before_anything_is_asked(
    library: qa.Library, tmp_path: Path, settings: Settings, told: str
) -> None:
    with pytest.raises(QuestionsError, match=told):
        evaluate(library, QUESTIONS, settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_same_id_twice_is_told(library: qa.Library) -> None:
    with pytest.raises(QuestionsError, match="'leave': expected an id of its own, came one that is there twice"):
        evaluate(library, [QUESTIONS[0], QUESTIONS[0]])


@pytest.mark.parametrize("damage", ["", "{", '{"format": 99}', "[]"])
def test_a_damaged_summary_is_one_line(tmp_path: Path, damage: str) -> None:
    (tmp_path / "summary.json").write_text(damage)
    with pytest.raises(QuestionsError, match=r"cannot be read|has format 99") as caught:
        Report.open(tmp_path)
    assert "\n" not in str(caught.value)


# Comparing


def spread(count: int) -> list[Question]:
    """Questions whose words are in many notes, so that the weight of the cosine matters."""
    return [
        Question(
            f"{mineral}-{place}", f"Where in {place} can one look at {mineral} on display?",
            sources={f"{mineral}-{place}-2.txt": 1}, answerable=True,
        )
        for mineral in MINERALS for place in PLACES
    ][:count]  # fmt: skip


def test_a_planted_change_is_told_apart_and_the_same_run_is_not(library: qa.Library, tmp_path: Path) -> None:
    questions = spread(100)
    once = evaluate(library, questions, out=tmp_path / "a")
    again = evaluate(library, questions, out=tmp_path / "b")
    without = evaluate(library, questions, Settings(dense_weight=0.0), out=tmp_path / "c")
    (same,) = compare(once, again)
    assert same.drops() == []
    assert all(one.difference == 0 and one.p_holm == 1 for one in same.differences)
    assert same.changed == ()
    (changed,) = compare(once, without)
    told = {one.measure: one for one in changed.differences}
    assert told["nDCG@10"].significant
    assert told["nDCG@10"] in changed.drops()
    assert told["nDCG@10"].difference == pytest.approx(without.measures["nDCG@10"].mean - once.measures["nDCG@10"].mean)
    assert told["nDCG@10"].wins + told["nDCG@10"].losses + told["nDCG@10"].ties == 100
    worst = changed.changed[0]
    assert abs(worst.b - worst.a) == max(
        abs(by_id(without)[q.id]["measures"]["nDCG@10"] - by_id(once)[q.id]["measures"]["nDCG@10"]) for q in questions
    )
    assert any("dense_weight None → 0.0" in note for note in changed.notes)


def test_runs_of_other_questions_compare_over_those_in_common(library: qa.Library) -> None:
    a, b = evaluate(library, spread(20)), evaluate(library, spread(10))
    (comparison,) = compare(a, b)
    assert comparison.differences[0].n == 10
    assert any("differ in questions or gold (20 and 10 questions)" in note for note in comparison.notes)
    with pytest.raises(QuestionsError, match="no question in common"):
        compare(a, evaluate(library, QUESTIONS))


def test_the_same_id_is_not_the_same_question(library: qa.Library) -> None:
    a = [replace(question, id=str(n)) for n, question in enumerate(spread(6))]
    moved = [Question("0", "What is new?"), *(replace(one, id=str(n + 1)) for n, one in enumerate(spread(6)))]
    with pytest.raises(QuestionsError, match="no question in common"):
        compare(evaluate(library, a), evaluate(library, moved))


def test_a_stopped_run_is_not_compared(library: qa.Library, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        evaluate(library, many(100), out=tmp_path / "run", on_progress=stop_after(1))
    with pytest.raises(QuestionsError, match="was stopped: go on with it"):
        compare(Report.open(tmp_path / "run"), evaluate(library, many(100)))


# Tuning


def test_tuning_fits_on_some_questions_and_reports_on_others(library: qa.Library) -> None:
    before = [hit.score for hit in library.retrieve(spread(1)[0].text)]
    (fit,) = tune(library, spread(60))
    assert fit.language == "en"
    assert fit.questions == 60
    assert fit.left_out
    assert fit.rr[0].n == 60
    assert fit.rr_gain.mean == pytest.approx(fit.rr[1].mean - fit.rr[0].mean)
    assert 0 <= fit.nothing_found[1] <= 1
    assert [hit.score for hit in library.retrieve(spread(1)[0].text)] == before
    library.set_tuned({fit.language: fit.tuned})
    try:
        hits = library.retrieve(spread(1)[0].text)
        weight = fit.dense_weight[1]
        assert hits[0].score == pytest.approx(weight * hits[0].dense + (1 - weight) * hits[0].lexical, abs=1e-5)
        (again,) = tune(library, spread(60))
        assert again.dense_weight[0] == fit.dense_weight[1]
        assert again.nothing_found[0] == pytest.approx(fit.nothing_found[1], abs=1e-6)
    finally:
        library.set_tuned({})


def test_a_weight_that_is_wrong_is_mended_by_tuning(library: qa.Library) -> None:
    library.set_tuned({"en": qa.Tuned(dense_weight=0.0)})
    try:
        (fit,) = tune(library, spread(100))
    finally:
        library.set_tuned({})
    assert fit.dense_weight[0] == 0.0
    assert fit.dense_weight[1] > 0.0
    assert fit.rr_gain.low > 0


def test_the_threshold_keeps_what_was_asked_of_it(library: qa.Library) -> None:
    questions = [
        *spread(80),
        *(Question(f"n{n}", f"Who wrote the {n}th violin concerto?", answerable=False) for n in range(40)),
    ]
    (fit,) = tune(library, questions)
    assert fit.nothing_found[0] == fit.nothing_found[1]  # all of the others are rejected already
    assert fit.kept[0] == fit.kept[1]
    library.set_tuned({"en": qa.Tuned(nothing_found=0.05)})
    try:
        (fit,) = tune(library, questions, keep=0.9)
    finally:
        library.set_tuned({})
    assert not fit.left_out
    assert fit.rejected[0].n == 40
    assert fit.rejected[0].mean < fit.rejected[1].mean
    assert fit.rejected[1].mean > 0.9
    assert fit.kept[1].low <= 0.9 <= fit.kept[1].high
    assert fit.nothing_found[1] > fit.nothing_found[0] == pytest.approx(0.05)


def test_a_single_question_moves_no_weight() -> None:
    rr = np.zeros((40, len(GRID) + 1))
    assert _best_weight(rr) == len(GRID)
    rr[7, 9] = 0.5
    assert _best_weight(rr) == len(GRID)
    rr[:30, 9] = 0.5
    assert _best_weight(rr) == 9


def test_questions_with_a_document_in_common_share_a_fold() -> None:
    held = [frozenset({1, 2}), frozenset({3}), frozenset({2, 3}), frozenset(), *(frozenset({n}) for n in range(9, 60))]
    folds = _folds(held)
    assert folds[0] == folds[1] == folds[2]
    assert set(folds.tolist()) == {0, 1, 2, 3, 4}


def test_too_few_questions_are_told(library: qa.Library) -> None:
    with pytest.raises(QuestionsError, match=r"tuning needs 30 questions of one language .* there are 12 in all"):
        tune(library, spread(12))


# The command


def run(*arguments: str) -> int:
    import app

    return app.main([str(argument) for argument in arguments])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rows = [
        {"id": question.id, "question": question.text, "sources": dict(question.sources)} for question in spread(60)
    ]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_the_gate_has_its_own_exit_code(library: qa.Library, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions, where = str(files / "questions.jsonl"), ("--library", str(library.path))
    assert run("eval", questions, *where, "--out", str(files / "base"), "--fail-under", "nDCG@10=0.1") == 0
    told = capsys.readouterr()
    assert "nDCG@10" in told.out
    assert max(map(len, told.out.splitlines())) <= 80 or str(files) in max(told.out.splitlines(), key=len)
    assert run("eval", questions, *where, "--fail-under", "nDCG@10=0.999999", "--fail-under", "P@1=0") == 3
    assert "nDCG@10 is 0." in capsys.readouterr().err
    assert run("eval", questions, *where, "--baseline", str(files / "base")) == 0
    lexical = ("--dense-weight", "0", "--out", str(files / "lexical"))
    assert run("eval", questions, *where, *lexical, "--baseline", str(files / "base")) == 3
    assert "nDCG@10 is significantly lower" in capsys.readouterr().err
    assert "comparisons" in json.loads((files / "lexical" / "summary.json").read_text())
    assert run("eval", "--compare", str(files / "base"), str(files / "lexical")) == 0
    told = capsys.readouterr()
    assert "won/lost" in told.out
    assert "more than chance" in told.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--fail-under", "nDCG@10"], "expected MEASURE=NUMBER"),
        (["--fail-under", "nDCG@10=high"], "expected MEASURE=NUMBER"),
        (["--fail-under", "nDGC@10=0.5"], "expected a name of ir-measures"),
        (["--baseline", "absent"], "holds no run"),
        (["--resume"], "--resume goes with a run over a library and --out"),
        (["-k", "0"], "k is 0"),
        (["--build", "paragraphs"], "expected SQuAD or BEIR, which hold documents"),
        (["--run", "absent.trec"], "cannot be read"),
        (["--compare", "questions.jsonl"], "is a file, not the folder of a run"),
        (["--out", "same", "--baseline", "same"], "is compared with and written to"),
        (["--out", "."], "is not an empty folder"),
    ],
)
def test_mistakes_are_one_line(
    library: qa.Library, files: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(files)
    assert run("eval", str(files / "questions.jsonl"), "--library", str(library.path), *arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_squad_is_built_and_evaluated_by_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = "The lighthouse of Skagen was lit in 1858. It is 46 metres tall."
    squad = {
        "version": "v2.0",
        "data": [{"title": "Skagen", "paragraphs": [{"context": context, "qas": [
            {"id": "a", "question": "When was the lighthouse of Skagen lit?", "is_impossible": False,
             "answers": [{"text": "1858", "answer_start": 36}]},
            {"id": "b", "question": "Who painted the ceiling of the opera?", "is_impossible": True, "answers": []},
        ]}]}],
    }  # fmt: skip
    (tmp_path / "squad.json").write_text(json.dumps(squad))
    monkeypatch.chdir(tmp_path)
    assert run("eval", "squad.json", "--library", "lib", "--build", "paragraphs", "--out", "out", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["measures"]["Success@1"]["mean"] == 1
    assert summary["measures"]["Answer@1"]["mean"] == 1
    assert summary["measures"]["Rejected"]["mean"] == 1
    assert run("eval", "squad.json", "--library", "lib", "--build", "paragraphs", "--out", "out") == 0
    assert "report: out/report.html" in capsys.readouterr().out


def test_the_projects_own_docs_answer_their_questions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).parent.parent
    where = ("--library", str(tmp_path / "lib"))
    assert run("index", str(root / "docs"), *where) == 0
    bounds = ("--fail-under", "Answer@5=0.85", "--fail-under", "Rejected=1", "--fail-under", "CitationExact=1")
    code = run("eval", str(root / "benchmarks" / "docs.csv"), *where, *bounds)
    told = capsys.readouterr()
    assert code == 0, told.err
    assert "20 questions of docs.csv" in told.out


def test_tune_writes_only_when_asked(library: qa.Library, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions, where = str(files / "questions.jsonl"), ("--library", str(library.path))
    assert run("tune", questions, *where) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert library.status().tuned == {}
    assert run("tune", questions, *where, "--apply") == 0
    try:
        assert library.status().tuned.keys() == {"en"}
        capsys.readouterr()
        assert run("status", *where) == 0
        assert "tuned en" in capsys.readouterr().out
        assert run("tune", *where, "--reset") == 0
    finally:
        library.set_tuned({})
    assert library.status().tuned == {}
    assert run("tune", *where) == 2


def test_a_report_can_be_moved(report: Report, tmp_path: Path) -> None:
    shutil.copytree(report.folder.path, tmp_path / "copy")
    assert Report.open(tmp_path / "copy").measures == report.measures

"""Measures: ranking ones against ir-measures and against plain loops, those of answers as arithmetic."""

from __future__ import annotations

import math
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from qa.errors import QuestionsError
from qa.evaluation import Question, Settings, evaluate_run
from qa.evaluation.measures import RANKING, parse, ranking_measures
from qa.evaluation.runs import RunFile, label_of, run_lines, strictly_decreasing
from qa.evaluation.text import collapsed, exact_match, holds, spans, token_f1, wanted

MEASURES = tuple(ir_measures.parse_measure(name) for name in (*RANKING, "P@3", "nDCG@3", "AP@5"))
LABELS = [f"d{number}" for number in range(12)]

Grades = dict[str, dict[str, int]]
Run = dict[str, list[tuple[str, float]]]


@st.composite
def judged_runs(draw: st.DrawFn) -> tuple[Grades, Run]:
    """Graded gold of some questions, and a run with ties, unjudged labels and questions without results."""
    names = [f"q{number}" for number in range(draw(st.integers(1, 8)))]
    grades: Grades = {}
    run: Run = {}
    for name in names:
        judged = draw(st.lists(st.sampled_from(LABELS), min_size=1, max_size=6, unique=True))
        grades[name] = {label: draw(st.integers(0, 3)) for label in judged}
        if draw(st.booleans()):
            ranked = draw(st.lists(st.sampled_from(LABELS), max_size=12, unique=True))
            scores = st.sampled_from([0.0, 0.5, 0.5, 1.0, 2.25, -1.0])
            run[name] = [(label, draw(scores)) for label in ranked]
    return grades, run


@given(judged_runs())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_our_numbers_are_ir_measures_own(case: tuple[Grades, Run]) -> None:
    grades, run = case
    assume(any(run.values()))
    questions = [Question(name, f"question {name}", sources=gold) for name, gold in grades.items()]
    qrels = [ir_measures.Qrel(q, label, grade) for q, gold in grades.items() for label, grade in gold.items()]
    docs = [ir_measures.ScoredDoc(q, label, score) for q, ranked in run.items() for label, score in ranked]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.trec"
        lines = [line for name, ranked in run.items() for line in run_lines(name, ranked)]
        file.write_text("".join(lines))
        report = evaluate_run(file, questions, Settings(measures=("P@3", "nDCG@3", "AP@5")))
        values = {record["id"]: record["measures"] for record in report.records()}
        means = {name: measured.mean for name, measured in report.measures.items()}
        counts = {measured.n for measured in report.measures.values()}
    for theirs in ir_measures.iter_calc(MEASURES, qrels, docs):
        assert values[theirs.query_id][str(theirs.measure)] == theirs.value
    for measure, mean in ir_measures.calc_aggregate(MEASURES, qrels, docs).items():
        assert means[str(measure)] == pytest.approx(mean, abs=1e-12)
    assert counts == {len(grades)}  # questions without results count 0


@given(judged_runs())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_without_ties_they_are_the_textbooks(case: tuple[Grades, Run]) -> None:
    grades, run = case
    assume(any(run.values()))
    untied = {name: [(label, float(-place)) for place, (label, _) in enumerate(ranked)] for name, ranked in run.items()}
    questions = [Question(name, f"question {name}", sources=gold) for name, gold in grades.items()]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.trec"
        lines = [line for name, ranked in untied.items() for line in run_lines(name, ranked)]
        file.write_text("".join(lines))
        report = evaluate_run(file, questions)
        values = {record["id"]: record["measures"] for record in report.records()}
    for name, gold in grades.items():
        ranked = [label for label, _ in untied.get(name, [])]
        relevant = [gold.get(label, 0) > 0 for label in ranked]
        total = sum(grade > 0 for grade in gold.values())
        gain = sum(gold.get(label, 0) / math.log2(rank + 1) for rank, label in enumerate(ranked[:10], 1))
        best = sum(
            grade / math.log2(rank + 1) for rank, grade in enumerate(sorted(gold.values(), reverse=True)[:10], 1)
        )
        precisions = [sum(relevant[:rank]) / rank for rank, hit in enumerate(relevant, 1) if hit]
        assert values[name]["nDCG@10"] == pytest.approx(gain / best if best else 0, abs=1e-6)
        assert values[name]["R@5"] == pytest.approx(sum(relevant[:5]) / total if total else 0)
        assert values[name]["RR@10"] == pytest.approx(
            next((1 / rank for rank, hit in enumerate(relevant[:10], 1) if hit), 0)
        )
        assert values[name]["AP"] == pytest.approx(sum(precisions) / total if total else 0)
        assert values[name]["Success@1"] == float(any(relevant[:1]))


def test_names_that_the_reference_cannot_hold_do_no_harm() -> None:
    gold = {"a\0b": {"x\0": 1}, "a\0c": {"y": 1}, "\ud800": {"\udfff": 2}}
    rankings = {"a\0b": [("x\0", 1.0)], "\ud800": [("z", 2.0), ("\udfff", 1.0)]}
    values = ranking_measures(parse(["RR@10"]), gold, rankings)
    assert values == {"a\0b": {"RR@10": 1.0}, "a\0c": {"RR@10": 0.0}, "\ud800": {"RR@10": 0.5}}


@pytest.mark.parametrize("name", ["nDGC@10", "nDCG@", "", "AP; import os", "__class__"])
def test_unknown_measures_are_named(name: str) -> None:
    with pytest.raises(QuestionsError, match=r"measure .* expected a name of ir-measures|cannot be computed"):
        parse([name])


# Runs


def test_a_run_is_read_question_by_question_wherever_its_lines_are(tmp_path: Path) -> None:
    file = tmp_path / "run.trec"
    file.write_text("a Q0 x 1 2.0 s\nb Q0 y 1 1.0 s\na Q0 z 2 3.0 s\n\na Q0 x 3 0.5 s\n")
    run = RunFile.open(file)
    assert len(run) == 2
    assert run.ranking("a") == [("z", 3.0), ("x", 2.0)]
    assert run.ranking("c") == []
    assert run.system == "s"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a Q0 x 1 2.0 s\na Q0 x 1 high s\n", "line 2: expected `question Q0 label rank score system`"),
        ("a Q0 x 1\n", "line 1"),
        ("a Q0 x 1 nan s\n", "line 1"),
        ("\n\n", "is empty"),
    ],
)
def test_bad_runs_are_named_by_line(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "run.trec"
    file.write_text(content)
    with pytest.raises(QuestionsError, match=told) as caught:
        RunFile.open(file)
    assert "\n" not in str(caught.value)


def test_runs_of_windows_programs_are_read_or_named(tmp_path: Path) -> None:
    file = tmp_path / "run.trec"
    file.write_bytes(b"\xef\xbb\xbfa Q0 x 1 2.0 s\r\na Q0 y 2 1.0 s\r\n")
    assert RunFile.open(file).ranking("a") == [("x", 2.0), ("y", 1.0)]
    file.write_text("a Q0 x 1 2.0 s\n", encoding="utf-16")
    with pytest.raises(QuestionsError, match="in UTF-16: save it as UTF-8"):
        RunFile.open(file)


def test_a_run_of_other_questions_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.trec"
    file.write_text("zzq1 Q0 x 1 2.0 s\n")
    with pytest.raises(QuestionsError, match="their ids must be the same"):
        evaluate_run(file, [Question("q1", "Who?", sources={"x": 1})])


@pytest.mark.parametrize(
    ("gold", "label"),
    [("a.txt", "a.txt"), ("a", "a.txt"), ("a.txt", "a"), ("docs/a.txt", "a.txt"), ("b c.txt", "b%20c.txt")],
)
def test_labels_of_a_run_are_matched_as_sources_are(tmp_path: Path, gold: str, label: str) -> None:
    file = tmp_path / "run.trec"
    file.write_text(f"q Q0 other.md 1 3.0 s\nq Q0 {label} 2 2.0 s\n")
    report = evaluate_run(file, [Question("q", "Who?", sources={gold: 1})])
    assert report.measures["RR@10"].mean == 0.5


def test_exported_scores_strictly_decrease() -> None:
    scores = strictly_decreasing([0.5, 0.5, 0.5, 0.4999999, 0.1])
    assert all(a > b for a, b in pairwise(scores))
    assert [f"{score:.6f}" for score in scores] == ["0.500000", "0.499999", "0.499998", "0.499997", "0.100000"]


def test_sources_with_spaces_keep_a_line_in_six_parts() -> None:
    (line,) = run_lines("q 1", [("annual report\u00a02020.pdf", 1.0)])
    assert line == "q%201 Q0 annual%20report%C2%A02020.pdf 1 1.000000 refdesk\n"
    assert label_of("plain-ü.txt") == "plain-ü.txt"


# Answers


@pytest.mark.parametrize(
    ("text", "answer", "held"),
    [
        ("It opened in 1995.", "1995", True),
        ("It opened in 1995.", "5", False),
        ("It is 1.5 m long", "5", False),
        ("It is 1.5 m long", "1.5", True),
        ("24,000 people came", "24", False),
        ("in version 4", ".4", False),
        ("the weight is .4 there", ".4", True),
        ("an mp4 file", "4", False),
        ("24km away", "24", True),
        ("the  Articles 2\nand 4 apply", "articles 2 and 4", True),
        ("Breakfast is at eight", "fast", False),
        ("在苹果公司工作", "苹果", True),
        ("It costs €5.", "€5", True),
        ("STRASSE heißt Straße", "straße", True),
        ("ﬁve days", "five days", True),
        ("She said “don’t – ever”.", "don't - ever", True),
        ("the exit code is **`3`** then", "exit code is 3", True),
        ("There were two of them", "two.", True),
        ("anything", "", False),
        ("What? No.", "?", True),
    ],
)
def test_an_answer_string_is_found_at_the_edges_of_words(text: str, answer: str, held: bool) -> None:
    assert holds(collapsed(text), wanted(answer)) is held


def test_spans_are_places_of_the_text_as_it_is() -> None:
    text = "One.\nfive\n days and Five days"
    assert [text[start:end] for start, end in spans(text, "five days")] == ["five\n days", "Five days"]
    assert list(spans(text, "  ")) == []
    assert list(spans("It opened **three new** shops", "opened three new shops")) == [(3, 29)]
    assert list(spans("He said “no”", '"no"')) == [(8, 12)]
    assert list(spans("1995 and 5", "5", whole_words=True)) == [(9, 10)]


def test_many_marks_take_no_longer_than_their_number() -> None:
    began = time.process_time()
    assert list(spans("a" + "* " * 50_000 + "c", "a b c")) == []
    assert time.process_time() - began < 2


def test_exact_match_and_f1_are_squads() -> None:
    assert exact_match("The Eiffel Tower!", ["eiffel tower"]) == 1
    assert exact_match("Eiffel Tower, Paris", ["eiffel tower"]) == 0
    # "denver broncos" against "denver broncos won" : precision 2/3, recall 1
    assert token_f1("Denver Broncos won", ["the Denver Broncos", "Carolina"]) == pytest.approx(2 * 2 / (3 + 2))
    assert token_f1("苹果公司", ["苹果"]) == pytest.approx(2 * 2 / (4 + 2))
    assert token_f1("", ["x"]) == 0
    assert token_f1("x", []) == 0


def test_means_of_large_runs_do_not_drift(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    questions = [Question(str(n), "q", sources={f"d{n % 7}": 1 + n % 2}) for n in range(700)]
    file = tmp_path / "run.trec"
    with file.open("w") as lines:
        for n in range(700):
            lines.writelines(run_lines(str(n), [(f"d{m}", float(random.integers(0, 4))) for m in range(7)]))
    report = evaluate_run(file, questions, out=tmp_path / "out")
    theirs = ir_measures.calc_aggregate(
        MEASURES[: len(RANKING)],
        [ir_measures.Qrel(q.id, s, g) for q in questions for s, g in q.sources.items()],
        list(ir_measures.read_trec_run(str(file))),
    )
    for measure, mean in theirs.items():
        assert report.measures[str(measure)].mean == pytest.approx(mean, abs=1e-12)

"""Reports, comparisons and fits as text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from qa.evaluation.compare import Comparison
from qa.evaluation.reported import Report
from qa.evaluation.summary import without_gold
from qa.evaluation.tune import Fit
from qa.evaluation.types import Measured
from qa.terminal import plural, safe

KINDS_SHOWN = 12
CHANGED_SHOWN = 8
_LEADING = ("nDCG@10", "Answer@1", "Answer@5", "Kept", "Rejected")


def report_lines(report: Report) -> Iterator[str]:
    """What a run measured, a line each."""
    summary = report.summary
    asked, system = summary["questions"], summary["settings"]["system"]
    where = "the library" if system == "library" else safe(system)
    unit = summary["settings"]["by"]
    judged = f", rankings judged by {unit}" if unit else ""
    yield f"{plural(summary['asked'], 'question')} of {safe(asked['name'])} over {where}{judged}"
    yield ""
    yield f"{'measure':16}{'mean':>7}   {'95 % interval':15}{'questions':>10}"
    for name, one in report.measures.items():
        yield f"{name:16}{one.mean:7.3f}   {one.low:5.3f} - {one.high:5.3f}  {one.n:10,}"
    yield from _kinds(report)
    yield from _failures(report)
    yield from _notes(report)
    yield from _nothing_found(report)
    yield from _speed(report)


def _kinds(report: Report) -> Iterator[str]:
    kinds = report.summary["kinds"]
    names = [name for name in _LEADING if name in report.measures]
    if not kinds or not names:
        return
    yield ""
    yield f"{'kind':22}{'questions':>10}" + "".join(f"{name:>10}" for name in names)
    largest = sorted(kinds.items(), key=lambda item: -max((one["n"] for one in item[1].values()), default=0))
    for kind, measures in largest[:KINDS_SHOWN]:
        count = max((one["n"] for one in measures.values()), default=0)
        cells = "".join(f"{measures[name]['mean']:10.3f}" if name in measures else f"{'-':>10}" for name in names)
        yield f"{_cut(safe(kind), 21):22}{count:10,}{cells}"
    if len(kinds) > KINDS_SHOWN:
        yield f"and {plural(len(kinds) - KINDS_SHOWN, 'more kind')}: summary.json has them all"


def _failures(report: Report) -> Iterator[str]:
    failures = report.summary["failures"]
    yield ""
    if not failures:
        yield "nothing failed"
        return
    examples: dict[str, list[str]] = {name: [] for name in failures}
    for record in report.failures():
        some = examples[record["failure"]["class"]]
        if len(some) < 3:
            some.append(record["id"])
        if all(len(some) >= min(3, failures[name]) for name, some in examples.items()):
            break
    yield f"{plural(sum(failures.values()), 'failure')}, by where the question was lost:"
    for name, count in failures.items():
        few = ", ".join(examples[name])
        yield f"  {name:34}{count:7,}   {_cut(safe(few), 34)}"


def _notes(report: Report) -> Iterator[str]:
    if without := without_gold(report.summary):
        yield ""
        yield f"note: {without}"
    count = report.summary.get("answers_elsewhere")
    if count and report.summary["library"]:
        yield ""
        yield f"note: the gold answers of {plural(count, 'question')} do not stand in their sources word for word,"
        yield "so that the source was the judge (judged_by in questions.jsonl)"


def _nothing_found(report: Report) -> Iterator[str]:
    told = report.summary["nothing_found"]
    if told is None or told["auroc"] is None:
        return
    yield ""
    yield (
        f"nothing found: {told['kept']:.1%} of {told['answerable']:,} answerable kept, {told['rejected']:.1%} of "
        f"{told['unanswerable']:,} others rejected,"
    )
    yield f"AUROC {told['auroc']:.3f}, {told['rejected_at_95']:.1%} rejected at 95 % kept"


def _speed(report: Report) -> Iterator[str]:
    timing = report.summary["timing"]
    citations = report.summary["citations"]
    yield ""
    if citations["shown"]:
        yield f"citations that open exactly their quote: {citations['exact']:,} of {citations['shown']:,}"
    rate = timing["questions_per_second"]
    if rate:
        yield f"{rate:,.1f} questions/s in batches, {timing['seconds']:,.1f} s"
    if timing["latency"]:
        one = timing["latency"]
        yield (
            f"one at a time: {one['p50']:.1f} ms (p50), {one['p95']:.1f} ms (p95), {one['p99']:.1f} ms (p99) "
            f"of {one['sample']}"
        )


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Two runs side by side."""
    a, b = map(safe, comparison.runs)
    yield f"A {a}"
    yield f"B {b}"
    for note in comparison.notes:
        yield from textwrap.wrap(f"note: {safe(note)}", 80, subsequent_indent="  ")
    yield ""
    yield f"{'measure':14}{'A':>7}{'B':>7}{'B - A':>8}  {'95 % interval':17}{'p (Holm)':>9}  {'won/lost':>10}"
    for one in comparison.differences:
        star = " *" if one.significant else ""
        span = f"{one.low:+.3f} - {one.high:+.3f}"
        won = f"{one.wins}/{one.losses}"
        values = f"{one.a:7.3f}{one.b:7.3f}{one.difference:+8.3f}"
        yield f"{one.measure:14}{values}  {span:17}{one.p_holm:9.4f}  {won:>10}{star}"
    yield "* more than chance (p < .05, paired randomisation test, Holm's correction)"
    if comparison.changed:
        yield ""
        yield f"changed most, by {comparison.changed[0].measure}:"
        for changed in comparison.changed[:CHANGED_SHOWN]:
            line = f"  {changed.a:.3f} → {changed.b:.3f}  {_cut(safe(changed.id), 20)}  {safe(changed.question)}"
            yield _cut(line, 80)


def fit_lines(fits: Sequence[Fit]) -> Iterator[str]:
    """What was fitted for each language, and what it is worth on held-out questions."""
    for fit in fits:
        yield f"{fit.language or 'unknown language'}, {plural(fit.questions, 'answerable question')}"
        yield f"  {'':28}{'now':>8}{'tuned':>8}   gain on held-out questions"
        yield f"  {'weight of the cosine':28}{fit.dense_weight[0]:8.2f}{fit.dense_weight[1]:8.2f}"
        yield f"  {'nothing found below':28}{fit.nothing_found[0]:8.3f}{fit.nothing_found[1]:8.3f}"
        yield _gain("RR@10 of the passage", *fit.rr, fit.rr_gain)
        yield _gain("kept", *fit.kept, None)
        if fit.rejected[0].n:
            yield _gain(f"rejected{' (documents left out)' if fit.left_out else ''}", *fit.rejected, fit.rejected_gain)
        if fit.dense_weight[0] != fit.dense_weight[1] and fit.rr_gain.low <= 0:
            yield "  The weight's gain may be chance: its interval has 0 in it."
        yield ""
    if any(fit.left_out for fit in fits):
        yield from textwrap.wrap(
            "No question is marked unanswerable: what is rejected was measured by leaving each question's own "
            "documents out of the library; others on the same subject stay and are hard to tell from an answer.",
            80,
        )


def _gain(name: str, now: Measured, tuned: Measured, gain: Measured | None) -> str:
    said = "" if gain is None else f"   {gain.mean:+.3f}  ({gain.low:+.3f} to {gain.high:+.3f})"
    return f"  {name:28}{now.mean:8.3f}{tuned.mean:8.3f}{said}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"

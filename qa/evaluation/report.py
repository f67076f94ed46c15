"""The page of a run: one HTML file that needs nothing else, with the failed questions first.

Documents, questions and names are not trusted. What the server side writes is escaped; the questions are data that the
page's script shows as text, and the policy in the page's head lets nothing run, load or style but its own two blocks.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from qa.evaluation import plots
from qa.evaluation.details import LARGEST, MOST_KINDS, Chosen, choose, class_order, data, plain, visible
from qa.evaluation.measures import ANSWERS, CITATIONS, MEANINGS, NOTHING_FOUND
from qa.evaluation.plots import milliseconds, number, percent
from qa.evaluation.summary import without_gold
from qa.evaluation.types import Record

MOST_CHANGED = 100
_GROUPS = {"Answers": ANSWERS, "Citations": CITATIONS, "No passage found": NOTHING_FOUND}


def write_report(
    path: Path,
    summary: dict[str, Any],
    records: Callable[[], Iterator[Record]],
    comparison: dict[str, Any] | None = None,
) -> int:
    """Write the page of a run and return its bytes, `LARGEST` at most for any number of questions.

    `summary` and the records are as in docs/evaluation.md; `records()` is read once, and no more of it is held than the
    page may show. `comparison` has `runs` (two names), `rows` (a measure with both means, their difference and what a
    paired test says), `changed` (questions with both values) and `notes`; it stands before the `comparisons` that the
    summary may have. The file appears whole or not at all.
    """
    chosen = choose(records(), summary)
    comparisons = [*([comparison] if comparison else []), *summary.get("comparisons", ())]
    before, after = _around(summary, chosen, comparisons)
    budget = LARGEST - len(before.encode()) - len(after.encode())
    written = (before + data(summary, chosen, budget) + after).encode()
    part = path.with_name(path.name + ".part")
    part.write_bytes(written)
    os.replace(part, path)
    return len(written)


# The page around it


def _around(summary: Mapping[str, Any], chosen: Chosen, comparisons: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The page before and after the data of its questions."""
    here = Path(__file__).parent
    tokens, style, script = (
        (here / name).read_text(encoding="utf-8") for name in ("../page/tokens.css", "report.css", "report.js")
    )
    style = tokens + style
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    sections = {
        "Measures": _measures(summary),
        "Plots": _plots(summary, chosen),
        "Comparison": "".join(map(_comparison, comparisons)),
        "Questions": _questions(chosen),
        "Settings": _settings(summary),
    }
    shown = {title: body for title, body in sections.items() if body}
    links = "".join(f'<li><a href="#{title.lower()}">{title}</a></li>' for title in shown)
    title = escape(plain(summary["questions"]["name"]))
    before = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}: evaluation</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'{_header(summary, chosen)}\n<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main>\n'
        f"{''.join(_section(title, body) for title, body in shown.items())}</main>\n"
        '<script type="application/json" id="data">'
    )
    return before, f"</script>\n<script>{script}</script>\n</body>\n</html>\n"


def _digest(block: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}"


def _section(title: str, body: str) -> str:
    slug = title.lower()
    return f'<section id="{slug}" aria-labelledby="{slug}-h"><h2 id="{slug}-h">{title}</h2>{body}</section>\n'


def _header(summary: Mapping[str, Any], chosen: Chosen) -> str:
    """What was measured, when, whether all of it, and the few numbers that say how well it went."""
    asked, total = chosen.questions, summary["questions"]["count"]
    state = "complete" if summary["complete"] else f"stopped at {asked:,} of {total:,} questions"
    about = [
        f"System: {_name(summary['settings']['system'])}",
        escape(plain(str(summary["timing"].get("started") or "")).replace("T", " ")[:16]),
        _counted(total, "question"),
        without_gold(summary),
        f'<strong class="{"whole" if summary["complete"] else "stopped"}">{state}</strong>',
    ]
    facts = "".join(f"<li>{part}</li>" for part in about if part)
    return (
        f'<header><p class="brand">Ref<span>desk</span> evaluation</p><h1>{_name(summary["questions"]["name"])}</h1>'
        f'<ul class="about">{facts}</ul><p class="lead">{_lead(chosen)}</p>{_headline(summary)}</header>'
    )


def _lead(chosen: Chosen) -> str:
    """How many questions failed, and of what most of them, in a sentence."""
    if not chosen.questions:
        return "No question was asked."
    failed = chosen.failures.total()
    if not failed:
        return f"None of {_counted(chosen.questions, 'question')} failed."
    name, count = chosen.failures.most_common(1)[0]
    often = "" if failed == 1 else " all of them" if count == failed else f" {count:,} of them"
    return f"{failed:,} of {_counted(chosen.questions, 'question')} failed,{often} “{_name(name)}”."


def _headline(summary: Mapping[str, Any]) -> str:
    cards = "".join(
        f"<div><dt>{label}</dt><dd><b>{value}</b><span>{note}</span></dd></div>"
        for label, value, note in _headlines(summary)
    )
    return f'<dl class="headline">{cards}</dl>'


def _headlines(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The main ranking measure, the main answer measure, what was refused, and the citations."""
    groups = _grouped(summary["measures"])
    for group, first in (("Ranking", "nDCG@10"), ("Answers", "Answer@5")):
        named = groups.get(group, {})
        name = first if first in named else next(iter(named), None)
        if name is not None:
            yield _name(name), number(named[name]["mean"]), _interval(named[name])
    yield from _refused(summary)
    citations = summary["citations"]
    if citations and citations["shown"]:
        exact = f"{citations['exact']:,} of {citations['shown']:,} open exactly their quote"
        yield "Citations exact", percent(citations["exact"] / citations["shown"]), exact


def _refused(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """How often "no passage found" was right, where some questions have no answer, else how many were answered."""
    nothing = summary["nothing_found"]
    if not nothing or summary["library"] is None:
        return
    kept, rejected = nothing["kept"], nothing["rejected"]
    if rejected is not None:
        answered = f"; {percent(kept)} of the answerable answered" if kept is not None else ""
        yield "Unanswerable refused", percent(rejected), _of(summary, "Rejected", nothing["unanswerable"]) + answered
    elif kept is not None:
        yield "Answered", percent(kept), _of(summary, "Kept", nothing["answerable"])


def _of(summary: Mapping[str, Any], measure: str, count: int) -> str:
    """What a share is of, with its interval where it was measured."""
    measured = summary["measures"].get(measure)
    interval = f"{percent(measured['low'])} to {percent(measured['high'])}, " if measured else ""
    return f"{interval}of {_counted(count, 'question')}"


def _grouped(measures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Measures by what they are of; whatever is not known to be of something else is of the ranking."""
    groups: dict[str, dict[str, Any]] = {group: {} for group in ("Ranking", *_GROUPS)}
    for name, measured in measures.items():
        group = next((group for group, names in _GROUPS.items() if name in names), "Ranking")
        groups[group][name] = measured
    return groups


def _interval(measured: Mapping[str, Any]) -> str:
    return f"{number(measured['low'])} to {number(measured['high'])}"


def _measures(summary: Mapping[str, Any]) -> str:
    if not summary["measures"]:
        return '<p class="quiet">The questions have no gold that a measure could use.</p>'
    bodies = []
    for group, named in _grouped(summary["measures"]).items():
        rows = ((_name(name), number(m["mean"]), _interval(m), f"{m['n']:,}") for name, m in named.items())
        if named:
            bodies.append(f'<tbody><tr><th scope="rowgroup" colspan="4">{group}</th></tr>{_rows(rows)}</tbody>')
    titles = ("Measure", "Mean", "95\u202f% interval", "n")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    whole = f'<table class="numbers"><thead><tr>{head}</tr></thead>{"".join(bodies)}</table>'
    means = {
        group: {plain(name): m for name, m in named.items()} for group, named in _grouped(summary["measures"]).items()
    }
    plot = plots.measures(means)
    figure = f"<figure>{plot}</figure>" if plot else ""
    return f'<div class="pair">{_scrolled(whole, "All measures")}{figure}</div>{_kinds(summary)}{_meanings()}'


def _meanings() -> str:
    """What the measures count."""
    table = (
        f'<table class="facts"><tbody>{_rows((name, escape(said)) for name, said in MEANINGS.items())}</tbody></table>'
    )
    return f"<details><summary>What they measure</summary>{table}<p>Others are those of ir-measures.</p></details>"


def _kinds(summary: Mapping[str, Any]) -> str:
    """Every measure for every kind, where there are several kinds."""
    kinds = dict(list((summary.get("kinds") or {}).items())[:MOST_KINDS])
    if not kinds:
        return ""
    rows = (
        (_name(name), *(_mean_cell(measures.get(name)) for measures in kinds.values())) for name in summary["measures"]
    )
    table = _table(("Measure", *(_name(kind or "no kind") for kind in kinds)), rows, "numbers kinds")
    hidden = len(summary["kinds"]) - len(kinds)
    more = f'<p class="quiet">and {_counted(hidden, "more kind")}: summary.json holds all</p>' if hidden else ""
    return f"<h3>By kind of question</h3>{_scrolled(table, 'Measures by kind')}{more}"


def _mean_cell(measured: Mapping[str, Any] | None) -> str:
    if not measured:
        return "–"
    title = f"{measured['n']:,} questions, 95 % interval {_interval(measured)}"
    return f'<span title="{title}">{number(measured["mean"])}</span><small>{_interval(measured)}</small>'


def _plots(summary: Mapping[str, Any], chosen: Chosen) -> str:
    figures = [
        *_ranking_figures(summary),
        *_nothing_found_figure(summary["nothing_found"] if summary["library"] else None),
        *_latency_figure(summary["timing"]["latency"]),
    ]
    by_class = {plain(name): chosen.failures[name] for name in sorted(chosen.failures, key=class_order)}
    figures.insert(0, _figure("Failures by class", plots.failures(by_class), "", ""))
    return f'<div class="plots">{"".join(figures)}</div>' if any(figures) else ""


def _ranking_figures(summary: Mapping[str, Any]) -> Iterator[str]:
    ranks, points, k = summary["ranks"] or {}, summary["recall"] or [], summary["settings"]["k"]
    at_k = next((f"{percent(share)} of the questions have a passage that answers among the first {k}."
                 for depth, share in points if depth == k), "")  # fmt: skip
    yield _figure("Rank of the first passage that answers", plots.ranks(ranks), "", "")
    table = _table(("k", "Recall"), ((f"{depth:,}", percent(share)) for depth, share in points))
    yield _figure("Recall over k", plots.recall([(d, s) for d, s in points], k), at_k, table)


def _nothing_found_figure(nothing: Mapping[str, Any] | None) -> Iterator[str]:
    if not nothing or not nothing["curve"]:
        return
    curve = sorted((coverage, risk) for coverage, risk in nothing["curve"])
    operating = _operating(nothing, curve)
    said = (
        f"At the threshold {percent(operating[0])} are answered, {percent(operating[1])} of these wrong. "
        if operating
        else ""
    )
    said += f"Area under the curve {number(nothing['aurc'])}." if nothing["aurc"] is not None else ""
    if nothing["auroc"] is not None:
        said += f" AUROC of “no passage found” {number(nothing['auroc'])}."
    if nothing.get("rejected_at_95") is not None:
        said += f" {percent(nothing['rejected_at_95'])} refused where 95\u202f% of the answerable are kept."
    table = _table(("Answered", "Wrong among them"), ((percent(c), percent(r)) for c, r in _thinned(curve)))
    yield _figure("Risk over coverage", plots.risk_coverage(curve, operating), said, table)


def _operating(nothing: Mapping[str, Any], curve: Sequence[plots.Point]) -> plots.Point | None:
    """The share that is answered at the threshold in force, with the curve's risk there."""
    coverage = nothing.get("answered")
    total = nothing["answerable"] + nothing["unanswerable"]
    if coverage is None and total and nothing["kept"] is not None:
        let_through = nothing["unanswerable"] * (1 - (nothing["rejected"] or 0))
        coverage = (nothing["kept"] * nothing["answerable"] + let_through) / total
    if not coverage:
        return None
    return coverage, min(curve, key=lambda point: abs(point[0] - coverage))[1]


def _thinned(curve: Sequence[plots.Point], most: int = 11) -> list[plots.Point]:
    if len(curve) <= most:
        return list(curve)
    return [curve[round(step * (len(curve) - 1) / (most - 1))] for step in range(most)]


def _latency_figure(latency: Mapping[str, Any] | None) -> Iterator[str]:
    if not latency:
        return
    marks = {name: latency[name] for name in ("p50", "p95", "p99") if latency.get(name) is not None}
    said = ", ".join(f"{name} {milliseconds(ms)}" for name, ms in marks.items())
    curve = [(percentile, ms) for percentile, ms in latency["curve"]]
    table = _table(("Percentile", "Time"), ((f"{p:g}", milliseconds(ms)) for p, ms in _thinned(sorted(curve))))
    yield _figure("Latency", plots.latency(curve, marks), f"{said}, of {latency['sample']:,} questions.", table)


def _figure(title: str, plot: str, said: str, table: str) -> str:
    if not plot:
        return ""
    numbers = f"<details><summary>Numbers</summary>{table}</details>" if table else ""
    caption = f"<p>{said}</p>" if said else ""
    return f"<figure><figcaption><h3>{title}</h3></figcaption>{plot}{caption}{numbers}</figure>"


def _comparison(comparison: Mapping[str, Any]) -> str:
    """Two runs, measure by measure, with what a paired test says, and the questions that changed."""
    first, second = (_name(run) for run in comparison["runs"][:2])
    head = ("Measure", first, second, "Difference", "95\u202f% interval", "p", "p (Holm)", "Better, worse, same", "")
    rows = (_compared(row) for row in comparison["rows"])
    table = _scrolled(_table(head, rows), "Comparison of two runs")
    said = f"Differences are {second} minus {first}, by a paired test; p (Holm) allows for the number of measures."
    notes = "".join(f"<li>{escape(visible(note))}</li>" for note in comparison.get("notes") or ())
    listed = f'<ul class="notes">{notes}</ul>' if notes else ""
    changed = _changed(comparison.get("changed") or [], (first, second))
    return f'<div class="compared"><p class="quiet">{said}</p>{listed}{table}{changed}</div>'


def _compared(row: Mapping[str, Any]) -> tuple[str, ...]:
    verdict = ("better" if row["difference"] > 0 else "worse") if row["significant"] else "not significant"
    return (
        _name(row["measure"]),
        number(row["a"]),
        number(row["b"]),
        _signed(row["difference"]),
        f"{_signed(row['low'])} to {_signed(row['high'])}",
        _probability(row["p"]),
        _probability(row["p_holm"]),
        f"{row['wins']:,}, {row['losses']:,}, {row['ties']:,}",
        f'<span class="verdict {verdict.partition(" ")[0]}">{verdict}</span>',
    )


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _probability(value: float | None) -> str:
    return "–" if value is None else "&lt; 0.001" if value < 0.001 else f"{value:.3f}"


def _changed(changed: Sequence[Mapping[str, Any]], runs: tuple[str, str]) -> str:
    if not changed:
        return ""
    rows = (
        (
            f'{_name(row["id"])}<small dir="auto">{_name(row["question"])}</small>',
            _name(row["measure"]),
            *("–" if row[run] is None else number(row[run]) for run in ("a", "b")),
        )
        for row in changed[:MOST_CHANGED]
    )
    table = _scrolled(_table(("Question", "Measure", *runs), rows, "numbers changed"), "Questions that changed")
    hidden = len(changed) - MOST_CHANGED
    more = f'<p class="quiet">and {_counted(hidden, "more question")}</p>' if hidden > 0 else ""
    return f"<details><summary>{_counted(len(changed), 'question')} changed</summary>{table}{more}</details>"


def _questions(chosen: Chosen) -> str:
    """Where the script shows the questions."""
    hidden = chosen.questions - len(chosen.rows.heap)
    more = f'<p class="quiet">and {_counted(hidden, "more question")}: questions.jsonl holds all</p>' if hidden else ""
    return (
        "<noscript><p>The questions need JavaScript; questions.jsonl, beside this page, holds them, too.</p></noscript>"
        f'<div id="list"></div>{more}'
    )


def _settings(summary: Mapping[str, Any]) -> str:
    """All that another run needs to give the same numbers."""
    timing = {name: value for name, value in summary["timing"].items() if name != "latency"}
    groups = {
        "Settings": summary["settings"],
        "Questions": summary["questions"],
        "Library": summary["library"] or {},
        "Time": timing,
        "Versions": {"refdesk": summary["refdesk"], **summary["versions"], "format of summary.json": summary["format"]},
    }
    tables = "".join(
        f'<h3>{title}</h3><table class="facts"><tbody>{_rows(_facts(group))}</tbody></table>'
        for title, group in groups.items()
        if group
    )
    return f"<details><summary>Settings, versions and hashes</summary>{tables}</details>"


def _facts(group: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in group.items():
        yield escape(plain(name.replace("_", " "))), _fact(value)


def _fact(value: object) -> str:
    if value is None or value in ([], {}, ""):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return _name(value)
    return _name(json.dumps(value, ensure_ascii=False))


# Parts of a page


def _table(head: Iterable[str], rows: Iterable[Sequence[str]], kind: str = "numbers") -> str:
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    return f'<table class="{kind}"><thead><tr>{titles}</tr></thead><tbody>{_rows(rows)}</tbody></table>'


def _rows(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells, the first one being the row's heading."""
    return "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>' for first, *rest in rows
    )


def _scrolled(table: str, label: str) -> str:
    """A table that scrolls by itself where the window is narrower."""
    return f'<div class="scrolled" role="region" aria-label="{label}" tabindex="0">{table}</div>'


def _name(text: object) -> str:
    """A name as HTML, isolated from the text around it."""
    return f"<bdi>{escape(plain(str(text)))}</bdi>"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

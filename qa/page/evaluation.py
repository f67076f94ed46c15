"""An evaluation as safe HTML: what a question set is, how far a run is, what it measured and what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice, zip_longest
from typing import Any

from qa.escape import escape, name, plain
from qa.page.render import counted, sentence_case

MOST_FAILURES = 200
LONGEST_QUESTION = 400
"""Characters of a failed question that are shown; the passages beside it are opened, not shown."""
LONGEST_ANSWER = 160
ANSWERS_SHOWN = 3

HEADLINES = {
    "nDCG@10": "right documents near the top",
    "Success@1": "a right document first",
    "Answer@1": "the answer is in the first passage",
    "Answer@5": "the answer is in the first five passages",
    "Quoted": "the answer is in the quoted sentences",
    "SourceP": "citations that are of a right document",
    "CitationExact": "citations that open exactly their quote",
    "Kept": "answerable questions that are answered",
    "Rejected": "unanswerable questions that are refused",
}
"""The measures shown on the page; the report has all."""

_FILES = ("summary.json", "questions.jsonl", "run.trec")
_COLUMNS = {
    "question": "What is asked. The only column that has to be there.",
    "answers": "Words that a right passage holds. Several have | between them.",
    "sources": "The files that answer, such as handbook.md.",
    "page": "The page in such a file.",
    "passage": "The words of the passage that answers.",
    "kind": "A group of questions; “unanswerable” where nothing answers.",
    "history": "What was asked before in the same conversation.",
    "id": "The question’s name in the files of the run.",
}
_EXAMPLE = """\
question,answers,sources,kind
How long is the warranty?,24 months,handbook.md,
Who won the cup?,,,unanswerable"""


@dataclass(frozen=True, slots=True)
class Failure:
    """What the page shows of a question that went wrong: the passages as (citation id, title, place)."""

    question: str
    kind: str
    what: str
    detail: str
    expected: tuple[str, ...]
    gold: tuple[str, str, str] | None
    wrong: tuple[str, str, str] | None


# Before and during a run


def empty(said: str = "", *, wrong: str = "") -> str:
    """Where a question set is dropped or chosen, and what it holds; above it what became of the last one."""
    rows = "".join(
        f'<tr><th scope="row"><code>{column}</code></th><td>{what}</td></tr>' for column, what in _COLUMNS.items()
    )
    return _view(
        "Evaluate",
        '<p class="rd-lead">Put questions whose answers you know to the library, as this page would, and see which of '
        "them go wrong and why.</p>"
        f'{said}<p class="rd-failure" role="alert" data-notice>{wrong}</p>'
        '<label class="rd-drop"><input type="file" class="rd-hidden" accept=".csv,.tsv,.jsonl,.json">'
        "<b>Choose a question set</b><span>or drop it here</span>"
        "<small>CSV, TSV, JSON lines or JSON, up to 20 MB</small></label>"
        f'<h3 class="rd-also">Columns</h3><table class="rd-columns"><tbody>{rows}</tbody></table>'
        f'<h3 class="rd-also">Example</h3><pre class="rd-example" tabindex="0"><code>{escape(_EXAMPLE)}</code></pre>',
    )


def running(title: str, done: int, total: int, seconds: float, stopping: bool = False) -> str:
    """How far a run is. Parts with `data-live` change while it goes on, the others stay."""
    value = f'value="{done}" max="{total}"' if total and done < total else ""
    disabled = ' aria-disabled="true"' if stopping else ""
    stop = f'<button type="button" class="rd-button" data-evaluation="stop" data-live="stop"{disabled}>'
    return _view(
        f"Evaluating {name(title)}",
        f'<progress class="rd-progress" {value} data-live="bar" aria-label="Questions asked"></progress>'
        f'<p class="rd-quiet rd-far" data-live="far">{_far(done, total, seconds, stopping)}</p>'
        f'<p class="rd-actions">{stop}{"Stopping" if stopping else "Stop"}</button></p>',
    )


def progress(done: int, total: int) -> str:
    """How many questions were asked, in words."""
    return f"{done:,} of {counted(total, 'question')}" if total else "reading its questions"


def _far(done: int, total: int, seconds: float, stopping: bool) -> str:
    if stopping:
        return f"Stopping after {progress(done, total)}" if total else "Stopping"
    if not total:
        return "Reading the questions"
    if done >= total:
        return f"{progress(done, total)} asked; timing some and writing the report"
    rate = done / seconds if seconds > 0 else 0.0
    left = ", " + f"{_duration((total - done) / rate)} left".replace(" ", "\u00a0") if rate else ""
    return f"{progress(done, total)}, {_rate(rate)}{left}"


def _rate(rate: float) -> str:
    return f"{rate:,.0f} questions/s" if rate >= 10 else f"{rate:.1f} questions/s"


def _duration(seconds: float) -> str:
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def stopped(title: str, done: int, total: int) -> str:
    """The view after a run that was stopped."""
    return empty(f'<p class="rd-said" role="status">{name(title)} was stopped after {progress(done, total)}.</p>')


def failed(message: str) -> str:
    """The view after a run that could not be made."""
    return empty(wrong=escape(sentence_case(plain(message))))


# After a run


def done(run_id: str, title: str, summary: Mapping[str, Any], failures: Iterable[Mapping[str, Any]]) -> str:
    """What a run measured, and the questions that went wrong with links into their documents."""
    count, timing = summary["questions"]["count"], summary["timing"]
    about = [counted(count, "question"), _duration(timing["seconds"])]
    if timing["questions_per_second"]:
        about.append(_rate(timing["questions_per_second"]))
    lost = summary["failures"]
    total = sum(lost.values())
    return _view(
        name(title),
        f'<p class="rd-quiet">{" · ".join(about)}</p><p class="rd-lead">{_lead(total, summary)}</p>{_actions(run_id)}'
        f"{_measures(summary['measures'])}{_failures(chosen(failures), lost, total)}",
    )


def _lead(total: int, summary: Mapping[str, Any]) -> str:
    count = summary["questions"]["count"]
    if not total and not summary["questions"]["answerable"] and not summary["questions"]["unanswerable"]:
        return "No question says what answers it, so that none could be judged."
    if total:
        return f"{total:,} of {counted(count, 'question')} went wrong."
    unquoted, answers = _unquoted(summary["measures"])
    if unquoted:
        were = "was" if unquoted == 1 else "were"
        return f"No question went wrong, but {unquoted:,} of {counted(answers, 'answer')} {were} found and not quoted."
    return "No question went wrong."


def _unquoted(measures: Mapping[str, Mapping[str, Any]]) -> tuple[int, int]:
    """How many expected answers are in no quoted sentence, and of how many; where no question went wrong, all of them
    stand in a passage that was found."""
    quoted = measures.get("Quoted", {"mean": 1.0, "n": 0})
    return round(quoted["n"] * (1 - quoted["mean"])), quoted["n"]


def _actions(run_id: str) -> str:
    where = f"evaluations/{escape(run_id)}"
    links = "".join(f'<a class="rd-file" href="{where}/{file}" download>{file}</a>' for file in _FILES)
    return (
        f'<p class="rd-actions"><a class="rd-button" href="{where}/report.html" target="_blank" rel="noopener">'
        "Open the full report</a>"
        f'<button type="button" class="rd-button" data-evaluation="another">Evaluate another</button></p>'
        f'<p class="rd-files"><span>Download</span>{links}</p>'
    )


def _measures(measures: Mapping[str, Mapping[str, Any]]) -> str:
    rows = "".join(
        _measure(measure, what, measures[measure]) for measure, what in HEADLINES.items() if measure in measures
    )
    if not rows:
        return ""
    head = '<th scope="col">Measure</th><th scope="col">Mean</th><th scope="col">95 % interval</th>'
    return (
        f'<table class="rd-measures"><thead><tr>{head}<th scope="col">Questions</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _measure(measure: str, what: str, value: Mapping[str, Any]) -> str:
    return (
        f'<tr><th scope="row">{measure} <small>{what}</small></th><td>{value["mean"]:.3f}</td>'
        f"<td>{value['low']:.3f} to {value['high']:.3f}</td><td>{value['n']:,}</td></tr>"
    )


def chosen(records: Iterable[Mapping[str, Any]]) -> list[Failure]:
    """The failures to show, `MOST_FAILURES` at most: the classes take turns, so that a frequent one hides no other."""
    classes: dict[str, list[Failure]] = {}
    for record in records:
        some = classes.setdefault(record["failure"]["class"], [])
        if len(some) < MOST_FAILURES:
            some.append(_failure(record))
    turns = (one for one in chain.from_iterable(zip_longest(*classes.values())) if one is not None)
    return list(islice(turns, MOST_FAILURES))


def _failure(record: Mapping[str, Any]) -> Failure:
    lost, gold = record["failure"], record["failure"]["gold"]
    shown = lost["wrong"] or (1 if record["answerable"] is False else None)  # where nothing answers, the first is wrong
    wrong = next((hit for hit in record["hits"] if hit["rank"] == shown), None)
    return Failure(
        question=_cut(record["question"], LONGEST_QUESTION),
        kind=plain(record["kind"])[:LONGEST_ANSWER],
        what=lost["class"],
        detail=_cut(lost["detail"], LONGEST_QUESTION),
        expected=tuple(_cut(answer, LONGEST_ANSWER) for answer in record["gold"]["answers"][:ANSWERS_SHOWN]),
        gold=_place(gold, gold["citation"], gold["rank"]) if gold else None,
        wrong=_place(wrong["citation"], wrong["citation"]["id"], wrong["rank"]) if wrong else None,
    )


def _place(where: Mapping[str, Any], citation: str, rank: int | None) -> tuple[str, str, str]:
    title = plain(where["title"] or "") or where["source"]
    heading = plain(where["heading"] or "").removeprefix(title).removeprefix(" › ")
    page = f"page {where['page']}" if where["page"] is not None else None
    number = f"number {rank:,}" if rank is not None else None
    return citation, title, " · ".join(filter(None, (where["source"], page, heading, number)))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _failures(shown: Sequence[Failure], lost: Mapping[str, int], total: int) -> str:
    if not total:
        return ""
    order = list(lost)
    listed = sorted(shown, key=lambda one: order.index(one.what))
    groups = "".join(_group(what, lost[what], list(some)) for what, some in groupby(listed, key=lambda one: one.what))
    hidden = total - len(shown)
    more = f'<p class="rd-quiet rd-rest">and {hidden:,} more in the report and in questions.jsonl</p>' if hidden else ""
    return f'<section class="rd-failures" aria-label="What went wrong">{groups}{more}</section>'


def _group(what: str, count: int, some: Sequence[Failure]) -> str:
    title = f'{escape(what[:1].upper() + what[1:])}<span class="rd-count">{count:,}</span>'
    return f'<h3>{title}</h3><ol class="rd-lost">{"".join(map(_item, some))}</ol>'


def _item(one: Failure) -> str:
    rows = "".join(_rows(one))
    return (
        f'<li><p class="rd-asked" dir="auto">{escape(one.question)}</p>'
        f'<p class="rd-why" dir="auto">{escape(sentence_case(one.detail))}</p>'
        f"{f'<dl>{rows}</dl>' if rows else ''}</li>"
    )


def _rows(one: Failure) -> Iterator[str]:
    if one.kind and one.kind != "unanswerable":  # which the class says already
        yield f"<div><dt>Kind</dt><dd>{name(one.kind)}</dd></div>"
    if one.expected:
        yield f"<div><dt>Expected</dt><dd>{', '.join(map(name, one.expected))}</dd></div>"
    for label, passage in (("Right passage", one.gold), ("Wrong passage", one.wrong)):
        if passage:
            reference, title, where = passage
            cite = escape(reference)
            yield (
                f'<div><dt>{label}</dt><dd><a href="#cite-{cite}" data-cite="{cite}">{name(title)}</a>'
                f"<small>{name(where)}</small></dd></div>"
            )


def _view(title: str, body: str) -> str:
    """A state of the view. Its heading takes the focus when the state changes."""
    return f'<div class="rd-evaluation"><h2 tabindex="-1">{title}</h2>{body}</div>'

"""One question from its search to its record: what was found, what it is worth, and where it was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qa import answering
from qa.answering import Searched
from qa.as_json import hit_as_json, sentences_as_json
from qa.errors import CitationError, LibraryError
from qa.evaluation.failures import failure
from qa.evaluation.gold import Judge, Target
from qa.evaluation.measures import ANSWER_AT
from qa.evaluation.text import collapsed, exact_match, holds, token_f1, wanted
from qa.evaluation.types import Question, Record
from qa.library import Library
from qa.types import Answer, Citation

DOCUMENTS_SHOWN = 10


def judged(
    library: Library,
    judge: Judge,
    question: Question,
    target: Target,
    search: Searched,
    labels: Sequence[tuple[str, float]],
) -> Record:
    """The record of a question, but for its ranking measures."""
    answer = answering.answer(library.store, search)
    hits = answer.hits or answer.misses
    rows = search.ranking.rows.tolist()
    rank, lost = failure(judge, question, target, search, answer)
    shown, exact = _opened(library, answer)
    measures = {
        **_answer_measures(judge, question, rows, answer),
        **_citation_measures(judge, question, answer),
        **({"CitationExact": exact / shown} if shown else {}),
        **_decision(question, answer),
    }
    relevant = [None if target.by is None else judge.answers_question(target, row) for row in rows[: len(hits)]]
    return {
        **asked(question, search.searched),
        "found": answer.found,
        "score": round(hits[0].score, 6) if hits else 0.0,
        "threshold": round(float(search.ranking.thresholds[0]), 6) if hits else 0.0,
        "answer": sentences_as_json(answer),
        "hits": [{**hit_as_json(hit), "relevant": flag} for hit, flag in zip(hits, relevant, strict=True)],
        "documents": [[label, round(score, 6), target.grades.get(label)] for label, score in labels[:DOCUMENTS_SHOWN]],
        "judged_by": target.by,
        "rank": rank,
        "measures": measures,
        "citations": {"shown": shown, "exact": exact},
        "failure": lost,
    }


def asked(question: Question, searched: str) -> dict[str, Any]:
    """The part of a record that repeats the question and its gold."""
    return {
        "id": question.id,
        "question": question.text,
        "kind": question.kind,
        "history": list(question.history),
        "searched": searched,
        "gold": {
            "answers": list(question.answers),
            "sources": dict(question.sources),
            "pages": list(question.pages),
            "passages": list(question.passages),
        },
        "answerable": question.answerable,
    }


def _answer_measures(judge: Judge, question: Question, rows: Sequence[int], answer: Answer) -> Mapping[str, float]:
    """Is a gold answer string in the passages, in the quoted answer; how much of it is the first sentence?"""
    if not question.answers or question.answerable is False:
        return {}
    depth = judge.answer_depth(rows, question.answers, max(ANSWER_AT))
    quoted = [sentence.text for sentence in answer.sentences]
    texts = [collapsed(text) for text in quoted]
    gold = [wanted(answer) for answer in question.answers]
    return {
        **{f"Answer@{k}": float(depth is not None and depth <= k) for k in ANSWER_AT},
        "Quoted": float(any(holds(text, answer) for text in texts for answer in gold)),
        "EM": exact_match(quoted[0], question.answers) if quoted else 0.0,
        "F1": token_f1(quoted[0], question.answers) if quoted else 0.0,
    }


def _citation_measures(judge: Judge, question: Question, answer: Answer) -> Mapping[str, float]:
    """Shares of an answer's citations that are of a gold source, and of a gold page; none where nothing is cited."""
    cited = [citation for sentence in answer.sentences for citation in sentence.citations]
    gold = {source for source, grade in question.sources.items() if grade > 0}
    if not cited or not gold:
        return {}
    held = {source for name in gold for document in judge.documents_of(name) for source in judge.sources[document]}
    right = [not held.isdisjoint((citation.source, *citation.sources)) for citation in cited]
    on_page = [ok and citation.page in question.pages for ok, citation in zip(right, cited, strict=True)]
    return {
        "SourceP": sum(right) / len(cited),
        **({"PageP": sum(on_page) / len(cited)} if question.pages else {}),
    }


def _decision(question: Question, answer: Answer) -> Mapping[str, float]:
    if question.answerable is None:
        return {}
    return {"Kept": float(answer.found)} if question.answerable else {"Rejected": float(not answer.found)}


def _opened(library: Library, answer: Answer) -> tuple[int, int]:
    """How many citations an answer shows, and how many of them open exactly their quote, as a click on them does."""
    hits = answer.hits or answer.misses
    shown = {citation.id: citation for sentence in answer.sentences for citation in sentence.citations}
    shown |= {hit.citation.id: hit.citation for hit in hits}
    return len(shown), sum(_is_exact(library, citation) for citation in shown.values())


def _is_exact(library: Library, citation: Citation) -> bool:
    try:
        opened = library.open_citation(citation.id)
    except (CitationError, LibraryError):
        return False
    return opened.document.text[citation.start : citation.end] == citation.quote == opened.citation.quote

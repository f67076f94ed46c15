"""Hits and answers from a ranking: the sentence that fits best in each passage, quoted and cited."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from qa.errors import LibraryError
from qa.language import question_terms, terms
from qa.retrieval import DENSE_WEIGHT, Query, Ranking, strength
from qa.snapshot import Snapshot
from qa.store import PassageRow, Store, public_id, text_hash
from qa.types import Answer, AnswerSentence, Citation, Hit, Passage

ANSWER_SENTENCES = 3
"""Sentences of an answer at most; more is a list of sources, which stands below it."""
ANSWER_SHARE = 0.75
"""Of the best hit's score: what a further hit must reach to be quoted in the answer."""
_OWN_LINES = ("text", "markdown")
"""Kinds whose stored text is the file's own, so that a line number means something."""


def hits(store: Store, snapshot: Snapshot, query: Query, ranking: Ranking, k: int) -> list[Hit]:
    """The first `k` passages of a ranking as hits. The same repeated text comes once, with all its sources."""
    ids = snapshot.lexical.ids[ranking.rows].tolist()
    rows = store.passages(ids)
    seen: set[bytes] = set()
    found: list[Hit] = []
    for place, row_id in enumerate(ids):
        row = rows.get(row_id)
        if row is None:
            continue  # deleted since the snapshot
        passage = store.passage(row)
        if row.zone == "repeated":
            digest = text_hash(passage.text)
            if digest in seen:
                continue
            seen.add(digest)
        start, end = best_sentence(store, snapshot, query, row, passage)
        score = float(ranking.scores[place])
        found.append(
            Hit(
                rank=len(found) + 1,
                passage=passage,
                score=score,
                strength=strength(score, float(ranking.thresholds[place])),
                citation=cite(store, row.document, start, end, passage.text[start - row.start : end - row.start]),
                dense=float(ranking.dense[place]),
                lexical=float(ranking.lexical[place]),
            )
        )
        if len(found) == k:
            break
    return found


def best_sentence(store: Store, snapshot: Snapshot, query: Query, row: PassageRow, passage: Passage) -> tuple[int, int]:
    """The span of the sentence that fits a query best: its cosine, and its share of the question's terms by idf."""
    sentences = store.sentences(row.id)
    body = [sentence for sentence in sentences if sentence[3] != "heading"] or sentences
    vectors = snapshot.vectors.vectors(np.array([sentence[2] for sentence in body], dtype=np.int64))
    weights = np.array(query.weights, dtype=np.float32)
    cosines = weights @ (query.vectors @ vectors.T)  # (texts,) @ (texts, sentences)
    language = snapshot.languages[row.document]
    wanted = [(weight, question_terms(text, language)) for weight, text in zip(query.weights, query.texts, strict=True)]
    idf = {term: snapshot.lexical.idf(term) for _, some in wanted for term in some}
    scores = []
    for (start, end, _, _), cosine in zip(body, cosines.tolist(), strict=True):
        held = set(terms(passage.text[start - row.start : end - row.start], language))
        overlap = sum(weight * _share(some, held, idf) for weight, some in wanted)
        scores.append(DENSE_WEIGHT * cosine + (1 - DENSE_WEIGHT) * overlap)
    best = body[int(np.argmax(scores))]
    return best[0], best[1]


def _share(wanted: Sequence[str], held: set[str], idf: dict[str, float]) -> float:
    whole = sum(idf[term] for term in wanted)
    return sum(idf[term] for term in wanted if term in held) / whole if whole else 0.0


def cite(store: Store, document: int, start: int, end: int, quote: str) -> Citation:
    """The citation of `quote` at `text[start:end]` of a document.

    Raises:
        LibraryError: the document's text does not hold the quote there.
    """
    place = store.place(document, start, end)
    if place.quote != quote:
        raise LibraryError(
            f"the library is damaged: {place.sources[0] if place.sources else 'a document'} does not hold the words "
            f"of its passage at {start}-{end}; run `refdesk doctor`"
        )
    block = store.block_at(document, start)
    others = store.sources_repeating(document, start) if block is not None and block.zone == "repeated" else ()
    return Citation(
        id=f"{public_id(place.key)}.{start}.{end}",
        source=place.sources[0],
        title=place.title or PurePath(place.sources[0]).stem,
        page=block.page if block else None,
        heading=block.heading if block else (),
        line=place.line if place.kind in _OWN_LINES else None,
        start=start,
        end=end,
        quote=quote,
        sources=tuple(dict.fromkeys((*place.sources, *others))),
    )


def answer(question: str, searched: str, found: Sequence[Hit]) -> Answer:
    """An answer from hits: the best sentences of those that are not weak, or none found with the nearest misses."""
    above = [hit for hit in found if hit.strength != "weak"]
    if not above:
        return Answer(question, searched, found=False, sentences=(), hits=(), misses=tuple(found))
    quoted: dict[str, AnswerSentence] = {}
    for hit in above:
        if hit.score < ANSWER_SHARE * above[0].score or len(quoted) == ANSWER_SENTENCES:
            break
        text = hit.citation.quote
        same = quoted.get(text)
        quoted[text] = AnswerSentence(text, (*(same.citations if same else ()), hit.citation))
    return Answer(question, searched, found=True, sentences=tuple(quoted.values()), hits=tuple(found))

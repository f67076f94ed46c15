"""What all tests share: the real bundled model, loaded once, and libraries made with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from browser import ARGUMENTS, CHROMIUM

from embeddings import Encoder
from qa import Library

if TYPE_CHECKING:
    from playwright.sync_api import Browser

hypothesis.settings.register_profile("refdesk", deadline=None)  # a busy machine is no error
hypothesis.settings.load_profile("refdesk")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder of this run, so that the compiled model is made and not taken from an earlier one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFDESK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def encoder(cache: None) -> Encoder:  # noqa: ARG001 - it is made there
    """The bundled model. Making it takes seconds, so that it is loaded once for all tests."""
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, without a window. It is a module's: while Playwright runs, asyncio in this thread is its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not on this machine")
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield made
        made.close()

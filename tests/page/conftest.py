"""What the tests of the page share: a library, its page on a free port, and somebody who looks at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
from browser import ARGUMENTS, CHROMIUM, make_library, serving, visitor

from embeddings import Encoder
from qa import Library

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Library]:
    """The library that the page shows: a copy for each module, so that its conversations are the module's own."""
    shared, own = tmp_path_factory.getbasetemp() / "page", tmp_path_factory.mktemp("handbook") / "library"
    make_library(shared, encoder).close()
    shutil.copytree(shared / "library", own)
    with Library.open(own, encoder=encoder) as made:
        yield made


@pytest.fixture(scope="module")
def address(handbook: Library) -> Iterator[str]:
    """Where the page of the library is."""
    with serving(handbook) as made:
        yield made


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[httpx.Client]:
    """A program that asks the page's server."""
    with visitor(address) as made:
        yield made


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

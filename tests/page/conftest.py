"""What the tests of the page share: a library, and its page on a free port."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import httpx
import pytest
from browser import make_library, serving, visitor

from embeddings import Encoder
from qa import Library


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

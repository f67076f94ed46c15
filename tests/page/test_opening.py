"""The page before a question: of a large library it names the first documents and counts the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings import Encoder
from qa import Library
from qa.page import chat, render
from qa.page.evaluations import Evaluations
from qa.page.site import Settings, Site

MANY = render.NAMES_SHOWN + 30


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Library]:
    """More documents than are named, copies of some in two folders, and some that cannot be read."""
    folder = tmp_path_factory.mktemp("large")
    for name in ("a", "b"):
        (folder / "files" / name).mkdir(parents=True)
    for number in range(MANY):
        for name in "ab" if number % 10 == 0 else "a":
            (folder / "files" / name / f"volume-{number:03}.txt").write_text(f"Volume {number} of the shelf.")
    for number in range(7):
        (folder / "files" / "b" / f"broken-{number}.pdf").write_bytes(b"no PDF")
    with Library.create(folder / "library", encoder=encoder) as made:
        made.sync([folder / "files"])
        yield made


@given(first=st.integers(0, MANY + 10))
def test_the_first_documents_are_those_of_all(large: Library, first: int) -> None:
    everything = large.documents()
    named = list(dict.fromkeys(info.document_id for info in everything if info.document_id))[:first]
    failed = [info for info in everything if info.state == "failed"][:first]
    assert large.documents(first) == [info for info in everything if info.document_id in named or info in failed]


def test_the_page_says_the_same_as_of_all(large: Library) -> None:
    opening = chat.opening(Site(large, Settings(), Evaluations(large)), suggest=False)
    everything = large.documents()
    assert opening == chat.Opening(render.brand(MANY), render.welcome(everything), render.shelf(everything))
    assert f"and {MANY - render.NAMES_SHOWN} more" in opening.shelf
    assert f"and {MANY - 3} more" in opening.welcome


def test_few_rows_are_read(large: Library) -> None:
    site, read = Site(large, Settings(), Evaluations(large)), []
    rows = large.store.document_infos

    def counted(first: int | None = None) -> list[object]:
        read.extend(found := rows(first))
        return list(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large.store, "document_infos", counted)
        chat.opening(site, suggest=False)
    assert 0 < len({info.document_id for info in read}) <= render.NAMES_SHOWN + 1

"""Room for conversations in a library's folder whose size is bounded."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from qa import Library
from qa.history import History
from qa.page import chat
from qa.page import site as site_module
from qa.page.chat import Again, Chat, Scope, Turnstile
from qa.page.evaluations import Evaluations
from qa.page.metrics import measure
from qa.page.site import KEPT_BYTES, Measured, Settings, Site, may_keep

QUESTION = "What colour is the lighthouse?"


@pytest.fixture
def site(library: Library, folder: Path) -> Site:
    (folder / "a.txt").write_text("The lighthouse is red.\n")
    library.sync([folder])
    return Site(library, Settings(), Evaluations(library), History.open(library.path))


def asked(site: Site, before: Chat, again: Again | None = None) -> Chat:
    """The conversation after one more question."""
    steps = list(chat.ask(site, "me", QUESTION, before, Scope(), Turnstile(), again))
    after, shown = steps[-1].chat, steps[-1].transcript
    assert after is not None
    assert shown is not None
    assert "The lighthouse is red." in after.exchanges[-1].html
    assert ("This answer is not kept" in shown) == (not after.exchanges[-1].id)
    return after


def with_room(site: Site, more: int) -> Site:
    """The same site, whose folder may take so many bytes more."""
    disk = measure(site.library.path)[1] + more
    return replace(site, settings=Settings(disk=disk), measured=Measured())


def test_a_conversation_is_kept_where_there_is_room(site: Site) -> None:
    assert site.history is not None
    first = asked(site, Chat())
    assert first.exchanges[0].id
    tight = with_room(site, KEPT_BYTES - 1)
    second = asked(tight, first)
    assert (len(second.exchanges), second.exchanges[1].id, second.id) == (2, "", first.id)
    third = asked(tight, first, Again(1, QUESTION, exchange=first.exchanges[0].id))
    assert third.exchanges[0].id == ""
    kept = site.history.conversation("me", first.id)
    assert kept is not None
    assert [one.id for one in kept.exchanges] == [first.exchanges[0].id]  # what could not be replaced is still there
    roomy = with_room(site, 10 * KEPT_BYTES)
    assert asked(roomy, second).exchanges[-1].id
    site.history.close()


def test_an_answer_that_cannot_be_kept_is_shown(site: Site) -> None:
    assert site.history is not None
    site.history.path.write_bytes(b"no database" * 1_000)
    *_, last = chat.ask(site, "me", QUESTION, Chat(), Scope(), Turnstile())
    assert "The lighthouse is red." in (last.transcript or "")
    assert "This answer could not be kept." in (last.transcript or "")


def test_the_folder_is_measured_now_and_then(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    def counted(folder: Path) -> tuple[int, int]:
        threads.append(threading.current_thread().name)
        return measure(folder)

    monkeypatch.setattr(site_module, "measure", counted)
    assert may_keep(replace(site, settings=Settings()))
    assert threads == []
    tight = with_room(site, KEPT_BYTES)
    assert all(may_keep(tight) for _ in range(1_000))
    assert threads == [threading.current_thread().name]
    (site.library.path / "more").write_bytes(bytes(1_000))
    tight.measured.until = 0.0
    assert may_keep(tight)  # by what it held before
    until = time.monotonic() + 60
    while may_keep(tight):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert threads[1:] == ["refdesk-measure"]

"""What the server remembers of an open page, and a page that the server has forgotten."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from browser import serving, visitor

from embeddings import Encoder
from qa import Library
from qa.page import server
from qa.page.site import Settings

from .test_http import Session

FIRST, SECOND = "How many passengers does the ferry carry?", "And how many cars?"


@pytest.fixture(scope="module")
def boats(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("boats")
    (folder / "boats.md").write_text("# Boats\n\nThe ferry carries forty passengers. It has room for six cars.\n")
    with Library.create(folder / "library", encoder=encoder) as made:
        made.sync([folder / "boats.md"])
        yield made


@contextmanager
def opened(client: httpx.Client, name: str) -> Iterator[Session]:
    """A page that is open, as its heartbeat says."""
    session = Session(client, name)
    with client.stream("GET", f"/gradio_api/heartbeat/{name}") as heartbeat:
        assert next(heartbeat.iter_lines())
        yield session


def asked(session: Session, question: str, conversation: str = "") -> str:
    """All that the page is told over a question of a conversation that it shows."""
    said = json.dumps({"conversation": conversation})
    return json.dumps(session.call("submit", [question, None, said, None]))


def conversation_in(told: str) -> str:
    """The id of the conversation that is shown at last."""
    return str(re.findall(r"data-conversation=\W+([\w-]{10,})", told)[-1])


@pytest.mark.parametrize("read_only", [False, True])
def test_a_page_is_forgotten_some_time_after_it_was_closed(
    boats: Library, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    monkeypatch.setattr(server, "KEPT_WITHOUT_HISTORY" if read_only else "KEPT_SECONDS", 0.0)
    with serving(boats, Settings(read_only=read_only)) as address, visitor(address) as client:
        client.get("/")
        with opened(client, "one") as page:
            asked(page, FIRST)
            with opened(client, "two"):  # others that come and go change nothing while it is open
                pass
            assert FIRST in asked(page, SECOND)
        with opened(client, "three"), opened(client, "one") as page:
            assert FIRST not in asked(page, SECOND)


def test_a_page_that_was_closed_for_a_moment_is_not_forgotten(boats: Library) -> None:
    with serving(boats, Settings(read_only=True)) as address, visitor(address) as client:
        client.get("/")
        with opened(client, "one") as page:
            asked(page, FIRST)
        with opened(client, "two"), opened(client, "one") as page:
            assert FIRST in asked(page, SECOND)


def test_a_page_goes_on_where_the_server_has_forgotten_it(boats: Library) -> None:
    with visitor("http://127.0.0.1") as client:
        with serving(boats) as address:
            client.base_url = address
            client.get("/")
            kept = conversation_in(asked(Session(client, "one"), FIRST))
        with serving(boats) as address:  # another server; the page in the browser is the same
            client.base_url = address
            told = asked(Session(client, "one"), SECOND, kept)
            assert FIRST in told
            assert conversation_in(told) == kept
            assert "room for six cars" in told
            [row] = client.get("/api/conversations").json()["conversations"]
            assert row["exchanges"] == 2
            with visitor(address) as other:  # who knows the id of somebody else's conversation has nothing of it
                other.get("/")
                stolen = asked(Session(other, "two"), SECOND, kept)
                assert FIRST not in stolen
                assert conversation_in(stolen) != kept


def test_a_question_is_asked_again_in_its_place_where_the_server_has_forgotten_the_page(boats: Library) -> None:
    with serving(boats) as address, visitor(address) as client:
        client.get("/")
        first = Session(client, "one")
        kept = conversation_in(asked(first, FIRST))
        asked(first, SECOND, kept)
        told = client.get(f"/api/conversations/{kept}").json()
        exchange = told["exchanges"][0]["id"]
        again = {"number": 7, "question": "What has room for cars?", "exchange": exchange}
        scope = json.dumps({"conversation": kept})
        changed = json.dumps(Session(client, "two").call("again", [None, scope, None], again))
        assert conversation_in(changed) == kept
        questions = [one["question"] for one in client.get(f"/api/conversations/{kept}").json()["exchanges"]]
        assert questions == ["What has room for cars?", SECOND]

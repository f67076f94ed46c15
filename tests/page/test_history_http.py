"""The routes of conversations and ratings, asked over HTTP by their owner, by others, and with nonsense."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import WARRANTY, visitor

from embeddings import Encoder
from qa import Library
from qa.history import FILE_NAME, History
from qa.page.guard import HEADERS
from qa.page.history_routes import LONGEST_BODY, PAGE
from qa.page.server import build_app
from qa.page.site import COOKIE, Settings
from qa.types import Answer

UNKNOWN = "x" * 24


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    """A visitor of the page."""
    with visitor(address) as made:
        made.get("/")
        yield made


@pytest.fixture
def kept(handbook: Library) -> Iterator[History]:
    with History.open(handbook.path) as made:
        yield made


def add(kept: History, client: httpx.Client, answer: Answer | str, conversation: str = "") -> tuple[str, str]:
    """Keep an answer for a visitor."""
    told = Answer(answer, answer, False, (), ()) if isinstance(answer, str) else answer
    return kept.add(client.cookies[COOKIE], conversation, told, {"k": 5})


def titles(client: httpx.Client, **query: str) -> list[str]:
    return [one["title"] for one in client.get("/api/conversations", params=query).json()["conversations"]]


def test_the_list_its_pages_and_its_search(client: httpx.Client, kept: History) -> None:
    assert client.get("/api/conversations").json() == {"kept": True, "conversations": [], "more": False}
    for n in range(PAGE + 2):
        add(kept, client, f"Question {n}")
    conversation, _ = add(kept, client, "Where is the Zebra?")
    add(kept, client, "And then?", conversation)
    first = client.get("/api/conversations").json()
    assert (len(first["conversations"]), first["more"]) == (PAGE, True)
    top = first["conversations"][0]
    assert (top["id"], top["title"], top["exchanges"]) == (conversation, "Where is the Zebra?", 2)
    rest = client.get("/api/conversations", params={"offset": str(PAGE)}).json()
    assert ([one["title"] for one in rest["conversations"]], rest["more"]) == (
        ["Question 2", "Question 1", "Question 0"],
        False,
    )
    assert titles(client, q="zebra") == titles(client, q="AND THEN") == ["Where is the Zebra?"]


@pytest.mark.parametrize("query", [{"q": "x" * 201}, {"offset": "-1"}, {"offset": "x"}, {"offset": "9" * 10}])
def test_bad_queries(client: httpx.Client, query: dict[str, str]) -> None:
    response = client.get("/api/conversations", params=query)
    assert (response.status_code, response.json()) == (
        400,
        {"error": "Expected q of up to 200 characters and offset as a number."},
    )


def test_read_rename_delete(client: httpx.Client, kept: History, handbook: Library) -> None:
    conversation, exchange = add(kept, client, handbook.ask(WARRANTY))
    other, _ = add(kept, client, "Another?")
    one = f"/api/conversations/{conversation}"
    told = client.get(one)
    assert told.headers["cache-control"] == "no-store"
    assert [(held["id"], held["question"]) for held in told.json()["exchanges"]] == [(exchange, WARRANTY)]
    renamed = client.patch(one, json={"title": "  Of <b>the</b>\nmachine "})
    assert (renamed.status_code, renamed.json()) == (200, {"id": conversation})
    assert titles(client) == ["Another?", "Of <b>the</b> machine"]
    assert client.delete(one).json() == {"deleted": 1}
    assert client.delete(one).status_code == client.get(one).status_code == 404
    assert titles(client) == ["Another?"]
    assert client.delete("/api/conversations").json() == {"deleted": 1}
    assert client.get(f"/api/conversations/{other}").status_code == 404


def test_exports(client: httpx.Client, kept: History, handbook: Library) -> None:
    conversation, _ = add(kept, client, handbook.ask(WARRANTY))
    markdown = client.get(f"/api/conversations/{conversation}/export.md")
    assert markdown.headers["content-type"] == "text/markdown; charset=utf-8"
    name = "how-long-is-the-warranty-of-the-coffee-machine"
    assert markdown.headers["content-disposition"] == f'attachment; filename="{name}.md"'
    assert markdown.text.startswith("# How long is the warranty of the coffee machine?\n")
    exported = client.get(f"/api/conversations/{conversation}/export.json")
    assert exported.headers["content-disposition"] == f'attachment; filename="{name}.json"'
    cited = exported.json()["exchanges"][0]["answer"][0]["citations"][0]
    assert handbook.open_citation(cited["id"]).citation.quote == cited["quote"]
    for response in (markdown, exported):
        assert response.headers["cache-control"] == "no-store"
        for key, value in HEADERS:
            assert response.headers.get_list(key.decode()) == [value.decode()]


def test_ratings_and_ones_own_feedback(client: httpx.Client, kept: History, handbook: Library) -> None:
    assert client.get("/api/feedback.jsonl").text == ""
    conversation, exchange = add(kept, client, handbook.ask(WARRANTY))
    rating = f"/api/exchanges/{exchange}/rating"
    assert client.post(rating, json={"rating": 1}).json() == {"rating": 1}
    assert client.post(rating, json={"rating": -1, "note": "\U0001f5dd" * 2_000}).status_code == 200
    escaped = json.dumps({"rating": -1, "note": "\U0001f5dd" * 2_000}).encode()  # as a program may write it
    assert client.post(rating, content=escaped).status_code == 200
    told = client.get("/api/feedback.jsonl")
    assert told.headers["content-disposition"] == 'attachment; filename="feedback.jsonl"'
    (row,) = map(json.loads, told.text.splitlines())
    assert (row["question"], row["kind"]) == (WARRANTY, "rated bad")
    assert client.post(rating, json={"rating": 0}).status_code == 200
    assert client.get("/api/feedback.jsonl").text == ""
    assert [one["rating"] for one in client.get(f"/api/conversations/{conversation}").json()["exchanges"]] == [0]


BAD = (
    b"",
    b"{",
    b"[]",
    b'"x"',
    b"{}",
    b'{"rating": 2}',
    b'{"rating": true}',
    b'{"rating": "1"}',
    b'{"rating": 1.0}',
    b'{"rating": 1, "note": 7}',
    b'{"rating": null}',
    b"[" * 20_000,
    b'{"rating": 1, "note": "%s"}' % (b"x" * 2_001),
    b"\xff\xfe",
)


@pytest.mark.parametrize("body", BAD, ids=lambda body: body[:20].decode("latin-1"))
def test_bad_ratings_are_one_line(client: httpx.Client, kept: History, body: bytes) -> None:
    conversation, exchange = add(kept, client, "Rated?")
    response = client.post(f"/api/exchanges/{exchange}/rating", content=body)
    assert response.status_code == 400
    assert response.json()["error"].endswith(".")
    assert [one["rating"] for one in client.get(f"/api/conversations/{conversation}").json()["exchanges"]] == [0]


@pytest.mark.parametrize("body", [{}, {"title": 7}, {"title": ""}, {"title": "x" * 201}, [], {"title": None}])
def test_bad_titles_are_one_line(client: httpx.Client, kept: History, body: object) -> None:
    conversation, _ = add(kept, client, "Mine")
    response = client.patch(f"/api/conversations/{conversation}", json=body)
    assert response.status_code == 400
    assert response.json()["error"].startswith("Expected ")
    assert titles(client) == ["Mine"]


def everything(conversation: str, exchange: str) -> list[tuple[str, str, dict[str, Any] | None]]:
    """All that can be asked of one conversation."""
    one = f"/api/conversations/{conversation}"
    return [
        ("GET", one, None),
        ("GET", f"{one}/export.md", None),
        ("GET", f"{one}/export.json", None),
        ("PATCH", one, {"title": "Yours"}),
        ("POST", f"/api/exchanges/{exchange}/rating", {"rating": 1}),
        ("DELETE", one, None),
    ]


@pytest.mark.parametrize("stranger", ["another visitor", "nobody"])
def test_strangers_are_told_that_there_is_nothing(
    client: httpx.Client, kept: History, address: str, stranger: str
) -> None:
    conversation, exchange = add(kept, client, "My secret")
    kept.rate(client.cookies[COOKIE], exchange, -1, "My note")
    with visitor(address) as other:
        if stranger == "another visitor":
            other.get("/")
        for method, path, body in everything(conversation, exchange):
            told = other.request(method, path, json=body)
            unknown = other.request(method, path.replace(conversation, UNKNOWN).replace(exchange, UNKNOWN), json=body)
            assert (told.status_code, told.text) == (unknown.status_code, unknown.text) == (404, told.text)
            assert "(any more)" in told.json()["error"]
        assert titles(other) == []
        assert other.get("/api/feedback.jsonl").text == ""
        assert other.delete("/api/conversations").json() == {"deleted": 0}
    told = client.get(f"/api/conversations/{conversation}").json()
    assert (told["title"], told["exchanges"][0]["note"]) == ("My secret", "My note")


def test_a_users_name_is_no_visitors_number(address: str, kept: History) -> None:
    kept.add("anna", "", Answer("My secret", "", False, (), ()), {})  # of a server where people log in
    with visitor(address, headers={"cookie": f"{COOKIE}=anna"}) as client:
        assert titles(client) == []
        assert f"{COOKIE}=anna" not in client.get("/").headers["set-cookie"]


OTHERS: tuple[dict[str, str], ...] = (
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
)


@pytest.mark.parametrize("headers", OTHERS, ids=str)
def test_other_sites_reach_nothing(client: httpx.Client, kept: History, headers: dict[str, str]) -> None:
    conversation, exchange = add(kept, client, "My secret")
    every = [("GET", "/api/conversations", None), ("DELETE", "/api/conversations", None)]
    for method, path, body in [*every, ("GET", "/api/feedback.jsonl", None), *everything(conversation, exchange)]:
        assert client.request(method, path, json=body, headers=headers).status_code == 403
    assert titles(client) == ["My secret"]


@pytest.mark.parametrize("strange", ["x", "x" * 23, "x" * 25, "%2e%2e", "x" * 23 + "%0a", "é" * 24, "' OR 1=1 --", "*"])
def test_what_is_no_id_stays_at_the_door(client: httpx.Client, strange: str) -> None:
    for method, path, body in everything(strange, strange):
        response = client.request(method, path, json=body)
        assert (response.status_code, response.json()) == (404, {"error": "Not found."})


def test_methods_and_lengths(client: httpx.Client) -> None:
    assert client.post("/api/conversations", json={}).status_code == 405
    assert client.put(f"/api/conversations/{UNKNOWN}", json={}).status_code == 405
    assert client.post(f"/api/conversations/{UNKNOWN}/export.md", json={}).status_code == 405
    assert client.get(f"/api/exchanges/{UNKNOWN}/rating").status_code == 405
    assert client.get(f"/api/conversations/{UNKNOWN}/export.html").status_code == 404
    long = client.post(f"/api/exchanges/{UNKNOWN}/rating", content=b"x" * (LONGEST_BODY + 1))
    assert (long.status_code, long.json()) == (413, {"error": "The request is too long."})


def test_a_read_only_server_keeps_nothing(handbook: Library, kept: History) -> None:
    from starlette.testclient import TestClient

    conversation, exchange = kept.add("v" * 24, "", Answer("Before?", "", False, (), ()), {})
    app = build_app(handbook, settings=Settings(read_only=True))
    assert app.state.site.history is None
    with TestClient(app, "http://127.0.0.1", cookies={COOKIE: "v" * 24}) as client:
        assert client.get("/api/conversations").json() == {"kept": False, "conversations": [], "more": False}
        assert client.get("/api/feedback.jsonl").text == ""
        for method, path, body in [("DELETE", "/api/conversations", None), *everything(conversation, exchange)]:
            response = client.request(method, path, json=body)
            assert response.status_code == (404 if method == "GET" else 403)
    assert kept.conversation("v" * 24, conversation) is not None


def test_a_damaged_file_is_one_line_without_the_servers_paths(
    tmp_path: Path, handbook: Library, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    from starlette.testclient import TestClient

    folder = tmp_path / "library"
    shutil.copytree(handbook.path, folder, ignore=shutil.ignore_patterns(f"{FILE_NAME}*"))
    (folder / FILE_NAME).write_bytes(b"no database at all " * 100)
    with Library.open(folder, encoder=encoder) as damaged, TestClient(build_app(damaged), "http://127.0.0.1") as client:
        client.get("/")
        for method, path, body in everything(UNKNOWN, UNKNOWN):
            response = client.request(method, path, json=body)
            assert response.status_code == 503
            assert response.json() == {
                "error": "The conversations cannot be used now; the terminal that runs Refdesk shows why."
            }
    assert f"{folder / FILE_NAME} cannot be used (file is not a database)" in capsys.readouterr().err

"""The routes of evaluations, asked over HTTP by friends and by others."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import command, visitor

from qa import Library, QAError
from qa.page import evaluation, evaluations
from qa.page.evaluation_routes import LONGEST_QUESTIONS, UPLOAD_SECONDS, UPLOADS_AT_ONCE, body, routes
from qa.page.evaluations import BusyError, Evaluations
from qa.page.guard import HEADERS, REPORT_HEADERS
from qa.page.site import Settings, Site

FILES = ("report.html", "summary.json", "questions.jsonl", "run.trec")
QUESTIONS = b"question,answers,sources\nHow long is the warranty of the grinder?,36 months,handbook.md\n"
MANY = b"question\n" + b"".join(b"Which warden keeps locker key %d?\n" % n for n in range(5_000))
UNKNOWN = "x" * 24


def start(client: httpx.Client, content: bytes = QUESTIONS, name: str = "questions.csv") -> dict[str, Any]:
    response = client.post("/evaluations", params={"name": name}, content=content)
    assert response.status_code == 201, response.text
    run: dict[str, Any] = response.json()
    return run


def ended(client: httpx.Client, run: dict[str, Any]) -> dict[str, Any]:
    """A run once it does not go on."""
    until = time.monotonic() + 60
    while run["state"] == "running" and time.monotonic() < until:
        time.sleep(0.05)
        run = client.get(f"/evaluations/{run['id']}").json()
    return run


def test_a_run_from_start_to_files(client: httpx.Client) -> None:
    first = start(client)
    assert first["state"] == "running"
    run = ended(client, first)
    assert (run["state"], run["done"], run["total"]) == ("done", 1, 1)
    for name in FILES:
        response = client.get(f"/evaluations/{run['id']}/{name}")
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        shown = "inline" if name == "report.html" else "attachment"
        assert response.headers["content-disposition"] == f'{shown}; filename="{name}"'
        for key, value in REPORT_HEADERS if name == "report.html" else HEADERS:
            assert response.headers.get_list(key.decode()) == [value.decode()]
    assert json.loads(client.get(f"/evaluations/{run['id']}/summary.json").text)["complete"]
    report = client.get(f"/evaluations/{run['id']}/report.html")
    assert "sandbox allow-scripts" in report.headers["content-security-policy"]
    assert "cross-origin-opener-policy" not in report.headers


def test_one_at_a_time_stop_and_what_is_kept(client: httpx.Client) -> None:
    first = ended(client, start(client))
    running = start(client, MANY)
    again = client.post("/evaluations", params={"name": "q.csv"}, content=QUESTIONS)
    assert again.status_code == 409
    assert again.json()["error"].startswith("Another evaluation is running (")
    assert running["id"] not in again.text
    assert client.get(f"/evaluations/{running['id']}/report.html").status_code == 404  # while it runs
    assert "Stopping" in client.delete(f"/evaluations/{running['id']}").json()["html"]
    stopped = ended(client, running)
    assert stopped["state"] == "stopped"
    assert "was stopped after" in stopped["html"]
    assert client.get(f"/evaluations/{running['id']}/questions.jsonl").status_code == 404
    later = [ended(client, start(client)) for _ in range(2)]
    assert [client.get(f"/evaluations/{run['id']}").status_code for run in (first, running, *later)] == [
        404,
        200,
        200,
        200,
    ]
    assert client.get(f"/evaluations/{first['id']}/report.html").status_code == 404


@pytest.mark.parametrize(
    ("name", "status"),
    [("q.exe", 400), ("q", 400), ("", 400), ("../../etc/passwd", 400), (".csv", 400), ("q.csv/../q.html", 400)],
)
def test_other_names_are_refused(client: httpx.Client, name: str, status: int) -> None:
    response = client.post("/evaluations", params={"name": name}, content=QUESTIONS)
    assert response.status_code == status
    assert response.json()["error"].startswith("Expected a question set as .csv, .tsv, .jsonl, .json, came ")


@pytest.mark.parametrize(
    "name", ["../../../evil.csv", "/etc/evil.csv", "a\x00b.csv", "\u202e" * 999 + ".CSV", "\U00010437" * 99 + ".csv"]
)
def test_names_are_only_names(client: httpx.Client, name: str) -> None:
    run = ended(client, start(client, QUESTIONS, name))
    assert run["state"] == "done"
    assert len(run["html"]) < 10_000
    saved = client.get(f"/evaluations/{run['id']}/summary.json").json()["questions"]["name"]
    assert not set(saved) & set("/\\\x00\u202e")


def test_a_bad_file_is_one_line_without_the_servers_paths(client: httpx.Client) -> None:
    run = ended(client, start(client, b"colour\nred\n", "<b>.csv"))
    assert run["state"] == "failed"
    assert "&#60;b&#62;.csv, line 1: expected a column question" in run["html"]
    assert "refdesk-evaluation-" not in run["html"]


ROUTES = ("/evaluations", f"/evaluations/{UNKNOWN}", *(f"/evaluations/{UNKNOWN}/{name}" for name in FILES))


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_methods(client: httpx.Client, route: str, method: str) -> None:
    allowed = {"/evaluations": ("POST",), f"/evaluations/{UNKNOWN}": ("GET", "DELETE")}.get(route, ("GET",))
    response = client.request(method, route)
    assert response.status_code == (405 if method not in allowed else 400 if method == "POST" else 404)
    assert response.headers.get_list("x-content-type-options") == ["nosniff"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "report.html/",
        "questions.csv",
        "run",
        "run/report.html",
        "../summary.json",
        "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "report.html%00",
        "report.html%0a",
        "report.html.part",
        "/etc/passwd",
    ],
)
def test_no_other_file_is_served(client: httpx.Client, path: str) -> None:
    run = ended(client, start(client))
    response = client.get(f"/evaluations/{run['id']}/{path}")
    assert (response.status_code, response.text) == (404, "not found")  # at the door


@pytest.mark.parametrize("run_id", ["x", "x" * 23, "x" * 25, "%2e%2e", "x" * 23 + "%0a", "é" * 24, "x" * 23 + "/"])
def test_what_is_no_id_is_not_found(client: httpx.Client, run_id: str) -> None:
    for method in ("GET", "DELETE"):
        response = client.request(method, f"/evaluations/{run_id}")
        assert (response.status_code, response.text) == (404, "not found")  # at the door


OTHERS: tuple[dict[str, str], ...] = (
    {"origin": "https://evil.example"},
    {"origin": "http://localhost:1"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"},
)


@pytest.mark.parametrize("headers", OTHERS, ids=str)
def test_other_sites_can_start_read_and_stop_nothing(client: httpx.Client, headers: dict[str, str]) -> None:
    run = ended(client, start(client))
    assert client.post("/evaluations?name=q.csv", content=QUESTIONS, headers=headers).status_code == 403
    assert client.get(f"/evaluations/{run['id']}", headers=headers).status_code == 403
    assert client.delete(f"/evaluations/{run['id']}", headers=headers).status_code == 403
    for name in FILES:
        assert client.get(f"/evaluations/{run['id']}/{name}", headers=headers).status_code == 403


def test_other_hosts_are_refused(client: httpx.Client) -> None:
    run = ended(client, start(client))
    for method, route in (("POST", "/evaluations?name=q.csv"), ("GET", f"/evaluations/{run['id']}")):
        assert client.request(method, route, headers={"host": "evil.example"}).status_code == 400


def test_lengths(client: httpx.Client) -> None:
    post = "/evaluations?name=q.csv"
    long = client.post(post, content=b"x" * (LONGEST_QUESTIONS + 1))
    assert (long.status_code, long.text) == (413, "the request is too long")  # before it was read
    assert client.post(post, content=iter([b"x"])).status_code == 411
    both = {"content-length": "1", "transfer-encoding": "chunked"}
    assert client.post(post, content=b"1\r\nx\r\n0\r\n\r\n", headers=both).status_code in (400, 411)
    assert client.post("/gradio_api/queue/join", content=b"x" * 1_000_001).status_code == 413
    assert client.request("DELETE", f"/evaluations/{UNKNOWN}", content=b"x" * 1_000_001).status_code == 413


def test_an_upload_that_breaks_off_is_nobodys_mistake(handbook: Library) -> None:
    from starlette.applications import Starlette

    async def receive() -> dict[str, Any]:
        return coming.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    coming: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"question", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[MutableMapping[str, Any]] = []
    scope = {"type": "http", "method": "POST", "path": "/evaluations", "query_string": b"name=q.csv", "headers": []}
    asyncio.run(Starlette(routes=routes(Site(handbook, Settings(), Evaluations(handbook))))(scope, receive, send))
    assert sent[0]["status"] == 408


def test_those_who_send_slowly_keep_nobody_out(address: str, client: httpx.Client) -> None:
    host, port = address.removeprefix("http://").split(":")
    slow = [socket.create_connection((host, int(port)), 30) for _ in range(UPLOADS_AT_ONCE)]
    for one in slow:
        one.sendall(b"POST /evaluations?name=q.csv HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\nquestion")
        time.sleep(0.1)
    began = time.monotonic()
    assert ended(client, start(client))["state"] == "done"
    assert slow[0].recv(100).startswith(b"HTTP/1.1 408 ")  # the one that had been coming for longest
    assert time.monotonic() - began < UPLOAD_SECONDS / 2
    for one in slow:
        one.close()


def test_a_body_that_is_longer_than_it_says_is_not_read_on() -> None:
    from starlette.requests import Request

    async def receive() -> dict[str, Any]:
        taken.append(7)
        return {"type": "http.request", "body": b"x" * 7, "more_body": len(taken) < 9}

    taken: list[int] = []
    scope = {"type": "http", "method": "POST", "headers": [(b"content-length", b"1")]}
    assert asyncio.run(body(Request(scope, receive), 20)) is None
    assert sum(taken) == 21


def test_a_bug_is_told_to_the_terminal_alone(handbook: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of the house")

    told: list[object] = []
    monkeypatch.setattr("qa.evaluation.evaluate", broken)
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_value))
    held = Evaluations(handbook)
    run = held.start("q.csv", QUESTIONS)
    assert held.thread is not None
    held.thread.join(20)
    assert run.state == "failed"
    assert "the terminal that runs Refdesk shows what" in run.html
    assert "secret" not in run.html
    assert [str(one) for one in told] == ["the secret of the house"]
    held.close()


def test_closing_stops_and_deletes(handbook: Library) -> None:
    held = Evaluations(handbook)
    run = held.start("q.csv", MANY)
    while not run.done:
        time.sleep(0.02)
    with pytest.raises(BusyError, match=r"another evaluation is running \([0-9,]+ of 5,000 questions\)"):
        held.start("q.csv", QUESTIONS)
    began = time.monotonic()
    held.close()
    assert time.monotonic() - began < evaluations.CLOSING_SECONDS + 5
    assert held.thread is not None
    held.thread.join(20)
    assert run.state == "stopped"
    assert not run.folder.exists()
    assert held.find(run.id) is None
    with pytest.raises(QAError, match="closing"):
        held.start("q.csv", QUESTIONS)


def test_ctrl_c_ends_a_running_evaluation_quietly(handbook: Library, tmp_path: Path) -> None:
    with command("--library", handbook.path, env={"TMPDIR": str(tmp_path)}) as (run, address):
        with visitor(address) as client:
            started = start(client, MANY)
            until = time.monotonic() + 60
            while not client.get(f"/evaluations/{started['id']}").json()["done"] and time.monotonic() < until:
                time.sleep(0.1)
            assert list(tmp_path.glob("refdesk-evaluation-*"))
        run.send_signal(signal.SIGINT)
        began = time.monotonic()
        out, errors = run.communicate(timeout=20)
    assert (run.returncode, out, errors) == (0, "", "")
    assert time.monotonic() - began < 10
    assert not list(tmp_path.glob("refdesk-*"))


def record(what: str, number: int) -> dict[str, Any]:
    lost = {"class": what, "detail": f"<b>{number}</b>", "gold": None, "wrong": None}
    gold: dict[str, list[str]] = {"answers": []}
    question = f"Question {number}?"
    return {"question": question, "kind": "", "answerable": True, "gold": gold, "hits": [], "failure": lost}


def test_a_frequent_failure_hides_no_other() -> None:
    records = [record("ranked below k", n) for n in range(1_000)] + [record("passage split apart", n) for n in range(5)]
    shown = evaluation.chosen(records)
    assert len(shown) == evaluation.MOST_FAILURES
    assert sum(one.what == "passage split apart" for one in shown) == 5
    lost = {"passage split apart": 5, "ranked below k": 1_000}
    summary = {
        "questions": {"count": 2_000, "answerable": 2_000, "unanswerable": 0},
        "timing": {"seconds": 75.0, "questions_per_second": None},
        "failures": lost,
        "measures": {},
    }
    html = evaluation.done("x", "many.csv", summary, records)
    assert html.count("<li>") == evaluation.MOST_FAILURES
    assert "and 805 more in the report and in questions.jsonl" in html
    assert "1,005 of 2,000 questions went wrong." in html
    assert "1 min 15 s" in html
    assert "<b>" not in html

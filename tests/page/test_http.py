"""The page's server, asked over HTTP by friends and by others."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import ROOT, command, serving, visitor
from starlette.testclient import TestClient, WebSocketDenialResponse

from qa import Library, QAError
from qa.page.guard import HEADERS, LONGEST_BODY
from qa.page.server import HEAPS, build_app, serve

PASSWD = {"path": "/etc/passwd", "url": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}


class Session:
    """One visitor of the page, speaking its protocol without a browser."""

    def __init__(self, client: httpx.Client, name: str) -> None:
        self.client = client
        self.name = name
        self.functions: list[dict[str, Any]] = client.get("/config").json()["dependencies"]

    def _function(self, event: str) -> int:
        number: int = next(one["id"] for one in self.functions if any(target[1] == event for target in one["targets"]))
        return number

    def call(self, event: str, data: list[Any], event_data: object = None) -> list[Any]:
        """The outputs after the last message of an event."""
        body = {"data": data, "fn_index": self._function(event), "session_hash": self.name, "event_data": event_data}
        self.client.post("/gradio_api/queue/join", json=body).raise_for_status()
        outputs: list[Any] = []
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.name}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                if message.get("msg") in ("process_generating", "process_completed"):
                    outputs.append(message["output"])
                if message.get("msg") == "process_completed":
                    break
        return outputs

    def ask(self, question: object) -> str:
        return json.dumps(self.call("submit", [question, None, "{}", None]))

    def cite(self, event_data: object) -> str:
        page: str = self.call("cite", [], event_data)[-1]["data"][0]
        return page


ROUTES = (
    ("GET", "/", 200),
    ("GET", "/health", 200),
    ("GET", "/config", 200),
    ("GET", "/theme.css", 200),
    ("GET", "/assets/none.js", 404),
    ("GET", "/none", 404),
    ("POST", "/gradio_api/upload", 404),
    ("POST", "/gradio_api/queue/join", 422),
)


@pytest.mark.parametrize(("method", "route", "status"), ROUTES)
def test_every_response_has_the_headers(client: httpx.Client, method: str, route: str, status: int) -> None:
    response = client.request(method, route)
    assert response.status_code == status
    for key, value in HEADERS:
        assert response.headers.get_list(key.decode()) == [value.decode()]


POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; frame-src 'none'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts"
)


@pytest.mark.parametrize(("route", "policy"), [("/", POLICY), (f"/evaluations/{'x' * 24}/report.html", REPORT_POLICY)])
def test_what_a_page_may_do_is_written_down_here_as_well(client: httpx.Client, route: str, policy: str) -> None:
    told = client.get(route).headers
    assert told["content-security-policy"] == policy
    assert (told["x-content-type-options"], told["x-frame-options"]) == ("nosniff", "DENY")
    assert told["referrer-policy"] == told["cross-origin-resource-policy"] == "same-origin"
    assert told["permissions-policy"] == "camera=(), microphone=(), geolocation=()"
    assert told.get("cross-origin-opener-policy") == ("same-origin" if policy == POLICY else None)


def test_health(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.1.2.3", "", "localhost@evil.example"])
def test_other_hosts_are_refused(client: httpx.Client, host: str) -> None:
    response = client.get("/", headers={"host": host})
    assert response.status_code == 400
    assert "content-security-policy" in response.headers


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "[::1]:7860"])
def test_own_hosts_are_answered(client: httpx.Client, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:1", "null"])
def test_other_origins_are_refused_and_not_reflected(client: httpx.Client, method: str, origin: str) -> None:
    headers = {"origin": origin, "access-control-request-method": "POST"}
    response = client.request(method, "/gradio_api/queue/join", headers=headers)
    assert response.status_code == 403
    assert not [key for key in response.headers if key.startswith("access-control")]


def test_no_origin_is_allowed_by_cors(client: httpx.Client) -> None:
    own = str(client.base_url).rstrip("/")
    response = client.get("/config", headers={"origin": own})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


def test_another_site_may_link_here_but_not_load(client: httpx.Client) -> None:
    cross = {"sec-fetch-site": "cross-site"}
    assert client.get("/", headers={**cross, "sec-fetch-mode": "navigate"}).status_code == 200
    assert client.get("/", headers={**cross, "sec-fetch-mode": "no-cors"}).status_code == 403


def test_no_web_socket_is_opened(handbook: Library) -> None:
    with TestClient(build_app(handbook), "http://127.0.0.1") as client:
        opening = client.websocket_connect("/gradio_api/queue/join")
        with pytest.raises(WebSocketDenialResponse) as refused, opening:
            pass
    assert (refused.value.status_code, refused.value.text) == (403, "only HTTP is served here")


CLOSED = (
    "/docs /redoc /openapi.json /gradio_api/openapi.json /gradio_api/info/ /monitoring /login /login_check "
    "/gradio_api/file=/etc/passwd /file=/etc/passwd /gradio_api/file/etc/passwd /gradio_api/proxy=http://127.0.0.1/ "
    "/gradio_api/mcp/ /gradio_api/runs /gradio_api/deep_link /gradio_api/call/x /gradio_api/upload_progress "
    "/static/../../../../../../etc/passwd /assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd /assets//etc/passwd"
).split()


@pytest.mark.parametrize("route", CLOSED)
def test_closed_routes(client: httpx.Client, route: str) -> None:
    response = client.get(route)
    assert response.status_code in (403, 404)
    assert "root:" not in response.text


@pytest.mark.parametrize("route", ["upload", "run/predict", "api/predict", "call/ask", "component_server", "stream/x"])
def test_closed_calls(client: httpx.Client, route: str) -> None:
    files = {"files": ("x.txt", b"text")} if route == "upload" else None
    response = client.post(f"/gradio_api/{route}", files=files, json=None if files else {"data": [PASSWD]})
    assert response.status_code == 404


def test_all_functions_but_one_are_private_and_unnamed_calls_stay_in_the_queue(client: httpx.Client) -> None:
    functions = client.get("/config").json()["dependencies"]
    assert len(functions) > 1
    assert [one["api_name"] for one in functions if one["api_visibility"] != "private"] == ["ask"]


def test_path_checks_of_gradio_are_on(handbook: Library) -> None:
    mounted: Any = build_app(handbook).routes[-1]
    assert mounted.app.get_blocks().has_launched


def test_gradio_itself_gives_no_file_and_takes_no_long_one(handbook: Library) -> None:
    mounted: Any = build_app(handbook).routes[-1]
    with TestClient(mounted.app, base_url="http://localhost") as unguarded:
        assert unguarded.get("/config").status_code == 200
        for path in ("/etc/passwd", str(Path(__file__)), str(handbook.path / "library.db")):
            assert unguarded.get(f"/gradio_api/file={path}").status_code in (403, 404)
        for length, status in ((LONGEST_BODY + 1, 413), (10, 200)):
            sent = unguarded.post("/gradio_api/upload", files={"files": ("x.txt", b"x" * length)})
            assert sent.status_code == status


def test_gradio_itself_takes_no_call_past_the_queue(handbook: Library) -> None:
    mounted: Any = build_app(handbook).routes[-1]
    with TestClient(mounted.app, base_url="http://localhost") as unguarded:
        assert unguarded.post("/gradio_api/api/ask", json={"data": ["Who?"]}).status_code == 404


def test_gradio_records_nothing_and_tells_nobody(client: httpx.Client) -> None:
    from gradio.analytics import analytics_enabled

    assert client.get("/config").json()["run_history"] is False
    assert not analytics_enabled()


def test_errors_that_nobody_expected_stay_in_the_terminal(
    handbook: Library, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(handbook.path, tmp_path / "copy")
    with (
        Library.open(tmp_path / "copy", encoder=handbook.encoder) as broken,
        serving(broken) as address,
        visitor(address) as client,
    ):
        session = Session(client, "broken")
        broken.store.connection.execute("ALTER TABLE documents RENAME TO secret_table")
        cited = session.call("cite", [], {"id": f"{'0' * 16}.0.1"})
        asked = session.call("submit", ["How long is the warranty?", None, "{}", None])
    assert "no such table" in capfd.readouterr().err
    assert cited[-1]["error"] is asked[-1]["error"] is None
    told = json.dumps([cited, asked])
    assert not [word for word in ("no such table", "sqlite", "Traceback", ".py", str(tmp_path)) if word in told]


@pytest.mark.parametrize("number", [-1, 999, 10**22])
def test_a_function_that_is_not_there_is_refused_in_one_line(
    client: httpx.Client, capfd: pytest.CaptureFixture[str], number: int
) -> None:
    body = {"data": [], "fn_index": number, "session_hash": "nowhere"}
    for _ in range(2):  # the second one over the same connection
        response = client.post("/gradio_api/queue/join", json=body)
        assert (response.status_code, response.text) == (404, "there is no such function: load the page again")
    assert capfd.readouterr() == ("", "")


def test_a_session_that_is_not_there_is_told_so(client: httpx.Client, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        response = client.get("/gradio_api/queue/data", params={"session_hash": "nobody"})
        assert response.status_code == 200
        assert json.loads(response.text.removeprefix("data:"))["session_not_found"] is True
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [KeyError("name"), RuntimeError("broken"), ValueError("broken")])
def test_other_errors_of_gradio_are_told_in_the_terminal(
    handbook: Library, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def push(*_: object, **__: object) -> None:
        raise error

    app = build_app(handbook)
    mounted: Any = app.routes[-1]
    monkeypatch.setattr(mounted.app.get_blocks()._queue, "push", push)
    with TestClient(app, "http://127.0.0.1") as client, pytest.raises(type(error), match=str(error.args[0])):
        client.post("/gradio_api/queue/join", json={"data": [], "fn_index": 0, "session_hash": "x"})


def test_long_bodies_are_refused(client: httpx.Client) -> None:
    assert client.post("/gradio_api/queue/join", content=b"x" * 1_000_001).status_code == 413
    assert client.post("/gradio_api/queue/join", content=iter([b"x"])).status_code == 411


@pytest.mark.parametrize("payload", [PASSWD, [PASSWD], {"text": "x", "files": [PASSWD]}, {"__type__": "update"}, 7])
def test_payloads_in_place_of_a_question_open_no_file(client: httpx.Client, payload: object) -> None:
    session = Session(client, "payload")
    assert "root:" not in session.ask(payload)
    assert "root:" not in json.dumps(session.call("submit", ["warranty", payload, payload, payload]))
    assert client.get("/gradio_api/file=/etc/passwd").status_code == 404


@pytest.mark.parametrize(
    "event_data",
    [
        None,
        [],
        "x",
        {"id": "x"},
        {"id": ["0000000000000000.0.1"]},
        {"id": "../../etc/passwd", "sequence": "<script>"},
        {"id": "0000000000000000.0.1", "sequence": -1},
        {"id": f"{'0' * 16}.0.{'9' * 60}", "sequence": 1.5},
        {"id": "<img src=x onerror=alert(1)>"},
        {"id": "x" * 100_000},
    ],
)
def test_hostile_citations_give_one_calm_line(client: httpx.Client, event_data: object) -> None:
    page = Session(client, "hostile").cite(event_data)
    assert 'role="alert"' in page
    assert "Traceback" not in page
    assert "<img" not in page


def test_a_path_in_place_of_a_citation_is_refused(client: httpx.Client) -> None:
    told = Session(client, "path").call("cite", [], {"id": PASSWD})
    assert "root:" not in json.dumps(told)
    assert not told[-1].get("data")


def test_an_answer_is_streamed_with_markers_that_open(client: httpx.Client, handbook: Library) -> None:
    question = "How long is the warranty of the coffee machine?"
    expected = handbook.ask(question)
    told = Session(client, "stream").call("submit", [question, None, "{}", None])
    assert "Searching 4 documents" in json.dumps(told[0])
    assert len(told) >= 1 + len(expected.sentences)
    reference = expected.sentences[0].citations[0]
    assert f"#cite-{reference.id}" in json.dumps(told[1:])
    page = Session(client, "stream").cite({"id": reference.id, "sequence": 5})
    assert f'tabindex="-1">{reference.quote}</mark>' in page
    assert 'data-sequence="5"' in page


def test_conversations_are_apart(client: httpx.Client) -> None:
    one, other = Session(client, "one"), Session(client, "other")
    assert "Searched:" not in one.ask("How many days of annual leave do staff get?")
    assert "Searched:" not in other.ask("And how many can be carried over?")
    assert "Searched:" in one.ask("And how many can be carried over?")


@pytest.mark.parametrize(
    ("question", "said"), [("   ", "Type a question first."), ("x" * 4_001, "shorten it to 4,000")]
)
def test_mistakes_are_one_calm_line(client: httpx.Client, question: str, said: str) -> None:
    shown = Session(client, f"mistake{len(question)}").ask(question)
    assert said in shown
    assert "Traceback" not in shown


def test_a_port_in_use_is_said_before_anything_is_loaded(handbook: Library) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(QAError, match=rf"port {port} on 127.0.0.1 is in use: choose another, such as --port"):
            serve(handbook, port=port)


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("no such host", 0, "cannot serve at 'no such host'"),
        ("127.0.0.1", 99_999, "port 99999 does not exist"),
        ("203.0.113.1", 0, "cannot serve at 203.0.113.1:0"),
    ],
)
def test_addresses_that_cannot_be_had(handbook: Library, host: str, port: int, said: str) -> None:
    with pytest.raises(QAError, match=said):
        serve(handbook, host=host, port=port)


def test_the_command_says_one_line_and_ends_quietly(handbook: Library, tmp_path: Path) -> None:
    with command("--library", handbook.path, env={"TMPDIR": str(tmp_path)}) as (run, address):
        assert httpx.get(f"{address}/health", timeout=20).json() == {"status": "ok"}
        assert httpx.get(address, timeout=20).status_code == 200
        run.send_signal(signal.SIGINT)
        out, errors = run.communicate(timeout=20)
    assert (run.returncode, out, errors) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_importing_the_page_is_light() -> None:
    heavy = "gradio fastapi uvicorn torch faiss sentence_transformers"
    code = f"import sys, app, qa.page.server, qa.page.layout; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_the_threads_of_a_server_share_two_heaps() -> None:
    code = """
import ctypes, sys, threading
from qa.page.server import HEAPS, use_few_heaps
if "few" in sys.argv:
    use_few_heaps()
together = threading.Barrier(8)
threads = [threading.Thread(target=lambda: (together.wait(), bytearray(5_000), together.wait())) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL("libc.so.6")
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""
    counts = {}
    for way in ("few", "many"):
        done = subprocess.run([sys.executable, "-c", code, way], capture_output=True, text=True, check=True)
        counts[way] = done.stdout.count("<heap nr=")
    assert counts["few"] <= HEAPS < counts["many"]

"""The routes of programs, asked over HTTP, by gradio_client, and by the examples of docs/api.md."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio_client
import httpx
import jsonschema
import openapi_spec_validator
import pytest
from browser import GRINDER, ROOT, serving, visitor
from starlette.routing import Route

from embeddings import Encoder
from qa import Library
from qa.as_json import answer_as_json, hit_as_json
from qa.page.api import LONGEST_CALL, MOST_PASSAGES, MOST_QUESTIONS, MOST_TURNS
from qa.page.server import build_app
from qa.page.site import Settings
from qa.users import add

LEAVE = "How many days of annual leave do staff get?"
DOCS = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def described(client: httpx.Client) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/api/openapi.json").json()
    return document


def as_printed(value: Any) -> Any:  # noqa: ANN401
    return json.loads(json.dumps(value))


def error(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    line: str = response.json()["error"]
    assert line.endswith((".", "`"))
    assert "\n" not in line
    return line


# Asking


def test_an_answer_is_the_command_lines(client: httpx.Client, handbook: Library) -> None:
    expected = as_printed(answer_as_json(handbook.ask(GRINDER, k=3)))
    assert expected["found"]
    response = client.post("/api/ask", json={"question": GRINDER, "k": 3})
    assert response.json() == expected
    assert response.headers["cache-control"] == "no-store"
    assert client.get("/api/ask", params={"q": GRINDER, "k": 3}).json() == expected


def test_passages_are_the_librarys(client: httpx.Client, handbook: Library) -> None:
    given = client.post("/api/retrieve", json={"question": GRINDER, "k": 4}).json()
    assert given["hits"] == as_printed([hit_as_json(hit) for hit in handbook.retrieve(GRINDER, 4)])
    assert given["question"] == given["searched"] == GRINDER
    assert client.get("/api/retrieve", params={"q": GRINDER, "k": 4}).json() == given


def test_several_questions_are_a_list_in_their_order(client: httpx.Client, handbook: Library) -> None:
    questions = [LEAVE, GRINDER, "zzyzx"]
    answers = client.post("/api/ask", json={"questions": questions, "misses": True}).json()
    assert answers == as_printed([answer_as_json(handbook.ask(question), misses=True) for question in questions])
    assert [answer["found"] for answer in answers] == [True, True, False]
    found = client.post("/api/retrieve", json={"questions": questions[:1]}).json()
    assert [one["question"] for one in found] == questions[:1]
    most = client.post("/api/retrieve", json={"questions": [GRINDER] * MOST_QUESTIONS, "k": 1}).json()
    assert len(most) == MOST_QUESTIONS
    many = client.post("/api/retrieve", json={"questions": [GRINDER] * 20, "k": MOST_PASSAGES // 20})
    assert len(many.json()) == 20
    assert f"{MOST_PASSAGES:,} at most" in DOCS
    assert f"{MOST_PASSAGES:,} at most" in client.get("/api/openapi.json").text


def test_json_is_written_beside_the_event_loop(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    plain = json.dumps

    def dumps(*arguments: Any, **options: Any) -> str:  # noqa: ANN401
        threads.append(threading.current_thread().name)
        return plain(*arguments, **options)

    monkeypatch.setattr(json, "dumps", dumps)
    assert client.get("/api/retrieve", params={"q": GRINDER}).status_code == 200
    assert threads == ["AnyIO worker thread"]


def test_turns_and_what_was_shown_count(client: httpx.Client, handbook: Library) -> None:
    first = handbook.ask(LEAVE)
    follow = "And how many can be carried over?"
    expected = as_printed(answer_as_json(handbook.ask(follow, turns=[first.turn()])))
    shown = [hit["passage_id"] for hit in answer_as_json(first)["hits"] if hit["strength"] != "weak"]
    turns = [{"question": LEAVE, "shown": shown}]
    assert client.post("/api/ask", json={"question": follow, "turns": turns}).json() == expected
    plain = as_printed(answer_as_json(handbook.ask(follow, turns=[LEAVE])))
    assert plain != expected
    assert client.post("/api/ask", json={"question": follow, "turns": [LEAVE]}).json() == plain
    assert client.get("/api/ask", params={"q": follow, "after": LEAVE}).json() == plain


def test_filters(client: httpx.Client) -> None:
    def sources(response: httpx.Response) -> set[str]:
        return {source for hit in response.json()["hits"] for source in hit["citation"]["sources"]}

    rules = {"rules.txt"}
    assert sources(client.post("/api/retrieve", json={"question": "key", "sources": "rul*"})) == rules
    assert sources(client.post("/api/retrieve", json={"question": "key", "sources": ["x", "rules.txt"]})) == rules
    assert sources(client.get("/api/retrieve?q=key&source=x&source=rules.txt")) == rules
    assert sources(client.get("/api/retrieve?q=key&source=x")) == set()
    assert "rules.txt" not in sources(client.get("/api/retrieve?q=key&kind=markdown"))
    assert "rules.txt" not in sources(client.post("/api/retrieve", json={"question": "key", "where": {"kind": "html"}}))


def test_a_filter_that_no_document_fits(client: httpx.Client, described: dict[str, Any]) -> None:
    said = "No document has source 'x' and kind 'html': /api/documents lists them."
    call = {"sources": "x", "where": {"kind": "html"}}
    for path, name in (("/api/ask", "Answer"), ("/api/retrieve", "Passages")):
        given = client.post(path, json={"questions": ["key", GRINDER], **call}).json()
        assert [(one["note"], one["hits"]) for one in given] == [(said, []), (said, [])]
        schema = described["components"]["schemas"][name]
        assert set(given[0]) <= set(schema["properties"])
        assert client.get(f"{path}?q=key&source=x&kind=html").json()["note"] == said
        nothing = client.post(path, json={"question": "zzyzx", "sources": "*.txt"}).json()
        assert "note" not in nothing
        assert client.post(path, json={"question": "key", "sources": []}).json()["note"].startswith("No source was ch")


@pytest.mark.parametrize(("call", "weight"), [({"by": "words"}, 0.0), ({"dense_weight": 1}, 1.0), ({}, None)])
def test_how_passages_are_found(
    client: httpx.Client, handbook: Library, call: dict[str, Any], weight: float | None
) -> None:
    (expected,) = handbook.retrieve_many([GRINDER], dense_weight=weight)
    found = client.post("/api/retrieve", json={"question": GRINDER, **call}).json()["hits"]
    assert found == as_printed([hit_as_json(hit) for hit in expected])
    assert client.get("/api/retrieve", params={"q": GRINDER, **call}).json()["hits"] == found


MISTAKES: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "Expected either question or questions."),
    ({"question": "x", "questions": ["x"]}, "Expected either question or questions."),
    ({"question": "  "}, "The question is empty"),
    ({"question": "x" * 4_001}, "question: String should have at most 4000"),
    ({"question": ["x"]}, "question: Input should be a valid string"),
    ({"questions": []}, "questions: List should have at least 1 item"),
    ({"questions": ["x"] * (MOST_QUESTIONS + 1)}, "questions: List should have at most 256 items"),
    ({"questions": ["x", ""]}, "The question is empty"),
    ({"questions": ["x"], "turns": ["y"]}, "Turns belong to one conversation"),
    ({"questions": ["x"] * 201, "k": 10}, "201 questions with k=10 ask for 2,010 passages: expected up to 2,000"),
    ({"question": "x", "k": 0}, "k: Input should be greater than or equal to 1"),
    ({"question": "x", "k": 1_001}, "k: Input should be less than or equal to 1000"),
    ({"question": "x", "k": "many"}, "k: Input should be a valid integer"),
    ({"question": "x", "sources": [1]}, "sources.0: Input should be a valid string"),
    ({"question": "x", "sources": ["x" * 1_001]}, "sources.0: String should have at most 1000"),
    ({"question": "x", "where": {"colour": "red"}}, "where.colour"),
    ({"question": "x", "turns": ["y"] * (MOST_TURNS + 1)}, "turns: List should have at most 50 items"),
    ({"question": "x", "turns": [{"question": "y", "shown": "z"}]}, "turns.0.shown: Input should be a valid array"),
    ({"question": "x", "by": "luck"}, "by: Input should be 'both', 'meaning' or 'words'"),
    ({"question": "x", "by": "words", "dense_weight": 0.5}, "Expected either by or dense_weight."),
    ({"question": "x", "dense_weight": 1.5}, "dense_weight: Input should be less than or equal to 1"),
    ({"question": "x", "<b>": 1}, "<b>: Extra inputs are not permitted"),
)


@pytest.mark.parametrize(("call", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_mistakes_are_one_line(client: httpx.Client, call: dict[str, Any], said: str) -> None:
    for route in ("/api/ask", "/api/retrieve"):
        assert error(client.post(route, json=call), 400).startswith(said)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"question": "\\ud800"}', b"[" * 50_000, b'{"dense_weight": NaN}']
)
def test_what_is_no_call_is_one_line(client: httpx.Client, content: bytes) -> None:
    assert len(error(client.post("/api/ask", content=content), 400)) < 300


def test_mistakes_in_an_address(client: httpx.Client) -> None:
    assert error(client.get("/api/ask"), 400).startswith("The question is empty")
    assert error(client.get("/api/ask?q=x&k=y"), 400).startswith("k: ")
    assert error(client.get("/api/ask?q=x&colour=red"), 400) == "colour: Extra inputs are not permitted."
    assert error(client.get("/api/retrieve?q=x&misses=1"), 400).startswith("misses: ")


def test_a_call_that_is_too_long_is_not_read(client: httpx.Client) -> None:
    assert client.post("/api/ask", content=b"x" * (LONGEST_CALL + 1)).status_code == 413
    assert error(client.post("/api/ask", content=b" " * (LONGEST_CALL - 1) + b"x"), 400)


@pytest.mark.parametrize("route", ["ask", "retrieve", "status", "openapi.json", f"citations/{'0' * 16}.0.1"])
def test_other_sites_and_methods_are_refused(client: httpx.Client, route: str) -> None:
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
        assert client.request(method, f"/api/{route}").status_code == 405
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert client.get(f"/api/{route}", headers=headers).status_code == 403
        assert client.post(f"/api/{route}", headers=headers, json={"question": "x"}).status_code == 403


# Citations, status, the description


def test_a_citation_opens_in_its_text(client: httpx.Client, handbook: Library) -> None:
    cited = handbook.ask("Who keeps the 75th locker key?").sentences[0].citations[0]
    opened = client.get(f"/api/citations/{cited.id}").json()
    at = opened["citation"]["start"] - opened["start"]
    assert opened["citation"]["quote"] == cited.quote == opened["text"][at : at + len(cited.quote)]
    whole = handbook.open_citation(cited.id).document
    assert 0 < opened["start"] < opened["end"] < len(whole.text) == opened["document"]["characters"]
    assert opened["text"] == whole.text[opened["start"] : opened["end"]]
    assert (opened["document"]["kind"], opened["document"]["sources"]) == ("text", ["rules.txt"])


def test_citations_that_are_gone_or_none(client: httpx.Client, handbook: Library) -> None:
    key = handbook.ask(GRINDER).hits[0].passage.document_id
    assert "no longer in the library" in error(client.get(f"/api/citations/{'0' * 16}.0.1"), 404)
    assert "does not fit" in error(client.get(f"/api/citations/{key}.0.999999999"), 404)
    assert "not a citation" in error(client.get(f"/api/citations/{key}.7.3"), 404)
    for name in ("x", f"{key}.1", f"{key}.-1.2", f"{key}.٣.٤", "..%2f..%2fetc%2fpasswd", f"{key}.0.{'9' * 13}"):
        assert client.get(f"/api/citations/{name}").status_code == 404


def test_status_names_no_folder_of_this_machine(client: httpx.Client, handbook: Library) -> None:
    response = client.get("/api/status")
    assert response.json()["documents"] == len(handbook)
    assert response.json()["languages"] == ["en"]
    assert str(handbook.path.parent) not in response.text


def test_every_route_is_described(described: dict[str, Any], handbook: Library) -> None:
    openapi_spec_validator.validate(described)
    app: Any = build_app(handbook)
    served = {
        (route.path, method)
        for route in app.routes
        if isinstance(route, Route) and route.path.startswith("/api/")
        for method in route.methods or ()
        if method != "HEAD"
    }
    told = {(path, method.upper()) for path, methods in described["paths"].items() for method in methods}
    assert told == served
    assert len(served) > 20


def test_what_is_given_is_what_is_described(described: dict[str, Any], client: httpx.Client, handbook: Library) -> None:
    cited = handbook.ask(GRINDER).sentences[0].citations[0]
    for path, address, status in (
        ("/api/ask", f"/api/ask?q={GRINDER}", 200),
        ("/api/ask", "/api/ask?q=zzyzx&misses=true", 200),
        ("/api/ask", "/api/ask?q=", 400),
        ("/api/retrieve", f"/api/retrieve?q={GRINDER}", 200),
        ("/api/status", "/api/status", 200),
        ("/api/citations/{citation}", f"/api/citations/{cited.id}", 200),
        ("/api/citations/{citation}", f"/api/citations/{'0' * 16}.0.1", 404),
        ("/api/documents", "/api/documents", 200),
        ("/api/jobs", "/api/jobs", 200),
        ("/api/conversations", "/api/conversations", 200),
    ):
        response = client.get(address)
        assert response.status_code == status, address
        schema = described["paths"][path]["get"]["responses"][str(status)]["content"]["application/json"]["schema"]
        jsonschema.validate(response.json(), {**schema, "components": described["components"]})
    call = {"$ref": "#/components/schemas/Ask", "components": described["components"]}
    jsonschema.validate({"question": "x", "turns": ["y", {"question": "z"}], "sources": "*.md"}, call)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"question": "x", "k": 0}, call)


# When there is nothing to answer with


def test_an_empty_library_says_what_to_do(tmp_path: Path, encoder: Encoder) -> None:
    with (
        Library.create(tmp_path / "empty", encoder=encoder) as empty,
        serving(empty) as address,
        visitor(address) as client,
    ):
        said = "The library is empty: index a folder with `refdesk index FOLDER`"
        assert client.get("/api/ask?q=x").json() == {"error": said}
        assert client.post("/api/retrieve", json={"questions": ["x", "y"]}).status_code == 409


def test_an_encoder_that_cannot_be_had_is_one_line(tmp_path: Path, handbook: Library, encoder: Encoder) -> None:
    shutil.copytree(handbook.path, tmp_path / "copy")
    for loaded, key, said in (
        (None, "encoder", "Model 'no-such-model' is not on this machine"),
        (encoder, "fingerprint", "Library of this server was made with encoder 'no-such-model'"),
    ):
        with Library.open(tmp_path / "copy", encoder=loaded) as copy:
            with copy.store.transaction():
                copy.store.set_meta(key, "no-such-model")
            with serving(copy) as address, visitor(address) as client:
                line = error(client.get("/api/ask?q=x"), 503)
                assert line.startswith(said)
                assert str(tmp_path) not in line
                assert client.get("/api/status").status_code == 200


def test_a_library_by_a_short_path_is_named_in_no_error(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        Library.create(Path("lib"), encoder=encoder) as empty,
        serving(empty) as address,
        visitor(address) as client,
    ):
        assert error(client.get("/api/ask?q=x"), 409).startswith("The library is empty")


# gradio_client


@pytest.fixture(scope="module")
def gradio(address: str) -> Iterator[gradio_client.Client]:
    made = gradio_client.Client(address, verbose=False, analytics_enabled=False)
    yield made
    made.close()


def test_gradio_client_gives_the_same(gradio: gradio_client.Client, client: httpx.Client) -> None:
    expected = client.get("/api/ask", params={"q": GRINDER}).json()
    assert gradio.predict(GRINDER, api_name="/ask") == expected
    some = {"question": LEAVE, "k": 2, "sources": ["copies/*"], "by": "words"}
    assert gradio.predict(**some, api_name="/ask") == client.post("/api/ask", json=some).json()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("",), "The question is empty"),
        ((GRINDER, 0), "k: Input should be greater"),
        (("x" * 4_001,), "question: String should have at most"),
        (({"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},), "question: "),
    ],
)
def test_gradio_client_hears_of_mistakes(
    gradio: gradio_client.Client, capfd: pytest.CaptureFixture[str], arguments: tuple[Any, ...], said: str
) -> None:
    with pytest.raises((gradio_client.exceptions.AppError, httpx.HTTPStatusError)) as told:
        gradio.predict(*arguments, api_name="/ask")
    assert "root:" not in str(told.value)
    if isinstance(told.value, gradio_client.exceptions.AppError):
        assert str(told.value).startswith(said)
    assert "Traceback" not in capfd.readouterr().err


def test_only_ask_can_be_called(gradio: gradio_client.Client, client: httpx.Client) -> None:
    for address in ("/gradio_api/info", "/gradio_api/info?all_endpoints=True", "/gradio_api/info?page="):
        info = client.get(address, headers={"x-forwarded-host": "evil.example"}).json()
        assert list(info["named_endpoints"]) == ["/ask"]
        assert info["unnamed_endpoints"] == {}
        assert "evil.example" not in json.dumps(info)
    public = [one for one in client.get("/config").json()["dependencies"] if one["api_visibility"] != "private"]
    assert [one["api_name"] for one in public] == ["ask"]
    for number in gradio.endpoints:
        if number != public[0]["id"]:
            with pytest.raises(ValueError, match="Invalid function index"):
                gradio.predict(fn_index=number)
    for route in ("call/ask", "call/v2/ask", "run/ask", "api/ask", "upload"):
        assert client.post(f"/gradio_api/{route}", json={"data": [GRINDER]}).status_code == 404


def test_programs_log_in_and_choose_one_of_several_libraries(tmp_path: Path, handbook: Library) -> None:
    add(tmp_path / "users", "anna", "a long password")
    basic = {"authorization": "Basic " + base64.b64encode(b"anna:a long password").decode()}
    with serving({"staff": handbook, "other": handbook}, Settings(users=tmp_path / "users")) as address:
        assert "error" in httpx.get(f"{address}/staff/api/ask?q=x", timeout=20).json()
        with pytest.raises((ValueError, gradio_client.exceptions.AuthenticationError)):
            gradio_client.Client(f"{address}/staff/", verbose=False, analytics_enabled=False)
        answer = httpx.get(f"{address}/staff/api/ask", params={"q": GRINDER}, headers=basic, timeout=20).json()
        assert answer["found"]
        client = gradio_client.Client(f"{address}/staff/", verbose=False, analytics_enabled=False, headers=basic)
        assert client.predict(GRINDER, api_name="/ask") == answer
        client.close()


# docs/api.md


def blocks(language: str) -> list[str]:
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", DOCS, re.M | re.S)
    assert found
    return found


def run_shell(code: str, folder: Path) -> list[str]:  # noqa: ARG001 - as the others
    return ["bash", "-euc", code]


def run_python(code: str, folder: Path) -> list[str]:
    (folder / "example.py").write_text(code, encoding="utf-8")
    return [sys.executable, "-W", "ignore", str(folder / "example.py")]


def run_node(code: str, folder: Path) -> list[str]:
    (folder / "example.mjs").write_text(code, encoding="utf-8")
    return ["node", str(folder / "example.mjs")]


@pytest.mark.parametrize(
    ("language", "program", "command", "number"),
    [
        *(("sh", "curl", run_shell, number) for number in range(len(blocks("sh")))),
        *(("python", sys.executable, run_python, number) for number in range(len(blocks("python")))),
        *(("javascript", "node", run_node, number) for number in range(len(blocks("javascript")))),
    ],
)
def test_the_examples_run(
    address: str, tmp_path: Path, language: str, program: str, command: Callable[[str, Path], list[str]], number: int
) -> None:
    if not shutil.which(program):
        pytest.skip(f"there is no {program} here")
    code = blocks(language)[number]
    assert "http://127.0.0.1:7860" in code
    told = command(code.replace("http://127.0.0.1:7860", address), tmp_path)
    done = subprocess.run(told, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"warranty|handbook", done.stdout)

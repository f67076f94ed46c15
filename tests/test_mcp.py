"""The MCP server, as a process of its own, spoken to by the SDK's client over its standard input and output."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import GRINDER, make_library
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, TextContent

from embeddings import Encoder
from qa import Library, QAError
from qa.as_json import answer_as_json, hit_as_json
from qa.mcp import AROUND, server

APP = Path(__file__).parent.parent / "app.py"
RUN = "import sys; sys.path.insert(0, {folder!r}); import app; sys.exit(app.main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Library]:
    with make_library(tmp_path_factory.getbasetemp() / "page", encoder) as made:
        yield made


def command(library: Path) -> list[str]:
    return ["-c", RUN.format(folder=str(APP.parent)), "mcp", "--library", str(library)]


def speaking(library: Library, talk: Callable[[Client], Awaitable[None]]) -> None:
    """Start the command, talk to it, and end it."""
    parameters = StdioServerParameters(
        command=sys.executable, args=command(library.path), env={**os.environ, "PYTHONWARNINGS": "ignore"}
    )

    async def spoken() -> None:
        async with Client(parameters, read_timeout_seconds=60) as client:
            await talk(client)

    asyncio.run(asyncio.wait_for(spoken(), 120))


def given(result: CallToolResult) -> dict[str, Any]:
    """The object of a result, which stands in it as text, too."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert not result.is_error, content.text
    assert json.loads(content.text) == result.structured_content
    found: dict[str, Any] = result.structured_content or {}
    return found


def told(result: CallToolResult) -> str:
    """The line of a result that is an error."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert result.is_error
    assert "Traceback" not in content.text
    return content.text


def test_a_conversation_over_stdio(handbook: Library) -> None:
    async def talk(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert sorted(tools) == ["ask", "list_documents", "open_citation", "search"]
        assert all(tool.description and tool.annotations and tool.annotations.read_only_hint for tool in tools.values())
        assert tools["search"].input_schema["properties"]["k"]["maximum"] == 50
        assert client.instructions is not None
        assert "word for word" in client.instructions

        found = given(await client.call_tool("search", {"question": GRINDER, "k": 2}))
        expected = [hit_as_json(hit) for hit in handbook.retrieve(GRINDER, 2)]
        assert [hit["passage_id"] for hit in found["hits"]] == [hit["passage_id"] for hit in expected]
        assert found["hits"][0]["citation"] == json.loads(json.dumps(expected[0]["citation"]))
        only = given(await client.call_tool("search", {"question": "key", "sources": ["rules.txt"]}))
        assert {hit["citation"]["source"] for hit in only["hits"]} == {"rules.txt"}

        answer = given(await client.call_tool("ask", {"question": GRINDER}))
        assert answer["answer"] == json.loads(json.dumps(answer_as_json(handbook.ask(GRINDER))["answer"]))
        follow = given(await client.call_tool("ask", {"question": "And how long?", "earlier": [GRINDER]}))
        assert GRINDER in follow["searched"]
        assert not given(await client.call_tool("ask", {"question": "zzyzx"}))["found"]

        cited = handbook.ask("Who keeps the 75th locker key?").sentences[0].citations[0]
        opened = given(await client.call_tool("open_citation", {"id": cited.id}))
        assert opened["citation"]["quote"] == cited.quote
        assert opened["text"][AROUND : AROUND + len(cited.quote)] == cited.quote
        whole = len(handbook.open_citation(cited.id).document.text)
        assert opened["characters_before"] + len(opened["text"]) + opened["characters_after"] == whole

        listed = given(await client.call_tool("list_documents", {}))
        assert listed["total"] == len(listed["documents"]) == 5
        some = given(await client.call_tool("list_documents", {"query": "STAFF hand"}))
        assert [row["source"] for row in some["documents"]] == ["copies/handbook.md", "handbook.md"]
        glob = given(await client.call_tool("list_documents", {"query": "*.txt", "offset": 1}))
        assert (glob["total"], [row["source"] for row in glob["documents"]]) == (2, ["rules.txt"])

        assert "question is empty" in told(await client.call_tool("search", {"question": " "}))
        assert "shorten it" in told(await client.call_tool("ask", {"question": "x" * 4_001}))
        assert "not a citation" in told(await client.call_tool("open_citation", {"id": "../../etc/passwd"}))
        assert "less than or equal to 50" in told(await client.call_tool("search", {"question": "x", "k": 51}))

    speaking(handbook, talk)


def test_standard_output_is_the_protocol_alone(handbook: Library) -> None:
    """What the library, its encoder or a library below it prints must not get between the messages."""
    noisy = (
        "import os, qa.library\n"
        "quiet = qa.library.Library.retrieve\n"
        "def loud(*a, **b):\n"
        "    print('noise'); os.write(1, b'noise')\n"
        "    return quiet(*a, **b)\n"
        "qa.library.Library.retrieve = loud\n"
    )
    code = noisy + RUN.format(folder=str(APP.parent))
    messages = (
        {"method": "initialize", "id": 1, "params": {"protocolVersion": "2025-06-18", "capabilities": {},
                                                      "clientInfo": {"name": "test", "version": "1"}}},
        {"method": "notifications/initialized"},
        {"method": "tools/call", "id": 2, "params": {"name": "search", "arguments": {"question": GRINDER}}},
    )  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", code, "mcp", "--library", str(handbook.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=APP.parent,
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        for message in messages:
            run.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        run.stdin.flush()
        answers = [json.loads(run.stdout.readline()) for _ in range(2)]
        out, errors = run.communicate(timeout=30)
    assert [answer["id"] for answer in answers] == [1, 2]
    assert GRINDER.split()[-1][:-1] in json.dumps(answers[1])
    assert (run.returncode, out) == (0, "")
    assert "noise" in errors
    assert "Traceback" not in errors


def test_the_end_of_the_input_and_a_signal_end_it_quietly(handbook: Library) -> None:
    def started() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *command(handbook.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    ended, interrupted = started(), started()
    assert interrupted.stdin is not None
    assert interrupted.stdout is not None
    assert ended.communicate(timeout=30) == ("", "")
    assert ended.returncode == 0
    interrupted.stdin.write('{"jsonrpc": "2.0", "method": "ping", "id": 1}\n')
    interrupted.stdin.flush()
    interrupted.stdout.readline()  # it is up
    interrupted.send_signal(signal.SIGINT)
    interrupted.stdin.close()
    assert interrupted.stderr is not None
    assert interrupted.wait(30) == 0
    assert interrupted.stderr.read() == ""
    interrupted.stdout.close()
    interrupted.stderr.close()


def test_a_library_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *command(tmp_path / "none")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("refdesk: ")
    assert done.stderr.count("\n") == 1


def test_without_the_sdk_it_says_how_to_get_it(handbook: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    with pytest.raises(QAError, match=r"pip install 'refdesk\[mcp\]'"):
        server(handbook)

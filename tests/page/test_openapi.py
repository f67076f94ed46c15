"""The description of what programs may ask for, beside what a server really answers when it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import jsonschema
import pytest
from browser import serving, visitor

from embeddings import Encoder
from qa import Library
from qa.page import openapi
from qa.page.api import LONGEST_CALL
from qa.page.site import Settings
from qa.users import add

DESCRIBED = openapi.document()
PLACES = {
    "citation": f"{'0' * 16}.0.1",
    "job": "x" * 24,
    "conversation": "x" * 24,
    "exchange": "x" * 24,
    "form": "md",
}


class Operation(NamedTuple):
    """A path and a method that are described, with the description."""

    path: str
    method: str
    told: dict[str, Any]

    @property
    def address(self) -> str:
        """An address of it, at which there is nothing."""
        return re.sub(r"\{(\w+)\}", lambda place: PLACES[place[1]], self.path)


OPERATIONS = [
    Operation(path, method, told) for path, methods in DESCRIBED["paths"].items() for method, told in methods.items()
]
WITH_BODY = [one for one in OPERATIONS if one.method in ("post", "patch")]
CHANGES = [one for one in OPERATIONS if one.method != "get" and one.path not in ("/api/ask", "/api/retrieve")]


def named(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def refused(response: httpx.Response, operation: Operation, status: int) -> str:
    """The line of a refusal that is described as it came."""
    assert response.status_code == status, response.text
    told = operation.told["responses"][str(status)]
    schema = told["content"]["application/json"]["schema"]
    jsonschema.validate(response.json(), {**schema, "components": DESCRIBED["components"]})
    assert set(told.get("headers", {})) <= {name.title() for name in response.headers}
    line: str = response.json()["error"]
    return line


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Library]:
    with Library.create(tmp_path_factory.mktemp("empty") / "library", encoder=encoder) as made:
        yield made


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, empty: Library) -> Iterator[httpx.Client]:
    """A server of an empty library, started with the settings given."""
    with serving(empty, request.param) as address, visitor(address) as made:
        yield made


SMALL = Settings(max_upload=1_000)


@pytest.mark.parametrize("server", [SMALL], indirect=True, ids=["plain"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_every_server_refuses_other_sites_and_hosts(server: httpx.Client, operation: Operation) -> None:
    def ask(headers: dict[str, str]) -> httpx.Response:
        return server.request(operation.method, operation.address, headers=headers)

    assert "other sites" in refused(ask({"origin": "https://evil.example"}), operation, 403)
    assert "host is not served" in refused(ask({"host": "evil.example"}), operation, 400)
    plain = server.request(operation.method, operation.address)
    assert str(plain.status_code) in operation.told["responses"], plain.text


@pytest.mark.parametrize("server", [SMALL], indirect=True, ids=["plain"])
@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_every_body_has_a_length_and_a_bound(server: httpx.Client, operation: Operation) -> None:
    address = f"{operation.address}?name=a.txt"
    in_pieces = server.request(operation.method, address, content=iter([b"{}"]))
    assert refused(in_pieces, operation, 411) == "The request must say its length."
    refused(server.request(operation.method, address, content=bytes(LONGEST_CALL + 1)), operation, 413)


@pytest.mark.parametrize("server", [Settings(read_only=True)], indirect=True, ids=["read-only"])
@pytest.mark.parametrize("operation", CHANGES, ids=named)
def test_a_server_that_is_read_only(server: httpx.Client, operation: Operation) -> None:
    told = refused(server.request(operation.method, operation.address), operation, 403)
    assert told == "This server is read-only."


@pytest.mark.parametrize("server", [Settings(disk=1)], indirect=True, ids=["full"])
def test_a_folder_that_holds_as_much_as_it_may(server: httpx.Client) -> None:
    (upload,) = (one for one in OPERATIONS if (one.path, one.method) == ("/api/documents", "post"))
    told = refused(server.post("/api/documents?name=a.txt", content=b"The lighthouse is red."), upload, 507)
    assert told.startswith("The library may take")


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
def test_too_many_requests_and_strangers(empty: Library, operation: Operation, limited: str, locked: str) -> None:
    del empty
    with visitor(limited) as client:
        tries = (client.request(operation.method, operation.address) for _ in range(30))
        told = refused(next(one for one in tries if one.status_code == 429), operation, 429)
    assert re.fullmatch(r"Too many requests: try again in \d+ seconds\.", told)
    with visitor(locked) as client:
        response = client.request(operation.method, operation.address)
        assert refused(response, operation, 401) == "Log in first."


@pytest.fixture(scope="module")
def limited(empty: Library) -> Iterator[str]:
    with serving(empty, Settings(rate=1)) as address:
        yield address


@pytest.fixture(scope="module")
def locked(empty: Library, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    users: Path = tmp_path_factory.mktemp("users") / "users"
    add(users, "anna", "a long password")
    with serving(empty, Settings(users=users)) as address:
        yield address


@pytest.mark.parametrize("server", [SMALL], indirect=True, ids=["plain"])
@pytest.mark.parametrize("path", ["/api/status", "/api/documents", "/api/jobs", "/api/conversations"])
def test_answers_have_what_is_described_and_no_more(server: httpx.Client, path: str) -> None:
    schema = DESCRIBED["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    if "$ref" in schema:
        schema = DESCRIBED["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert set(server.get(path).json()) == set(schema["properties"])

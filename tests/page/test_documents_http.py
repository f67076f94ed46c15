"""The routes of documents, asked over HTTP by friends and by others."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema
import pytest
from browser import HANDBOOK, HOSTILE, HOSTILE_NAME, command, serving, visitor
from files_for_tests import zip_with

from embeddings import Encoder
from qa import Library
from qa.page import document_routes, documents, openapi
from qa.page.site import Settings
from qa.types import DocumentInfo

UNKNOWN = "x" * 24
LARGEST = 1_000_000


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Library]:
    """A library of its own for these tests, with two files that were indexed from a folder."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / "files" / "staff").mkdir(parents=True)
    (folder / "files" / "staff" / "handbook.md").write_text(HANDBOOK, encoding="utf-8")
    (folder / "files" / "broken.pdf").write_bytes(b"no PDF")
    with Library.create(folder / "library", encoder=encoder) as made:
        made.sync([folder / "files"])
        yield made


@pytest.fixture(scope="module")
def client(handbook: Library) -> Iterator[httpx.Client]:
    with serving(handbook, Settings(max_upload=LARGEST)) as address, visitor(address) as made:
        yield made


@pytest.fixture(scope="module")
def reading(handbook: Library) -> Iterator[httpx.Client]:
    """A visitor of a server that changes nothing."""
    with serving(handbook, Settings(read_only=True)) as address, visitor(address) as made:
        yield made


def upload(client: httpx.Client, name: str, content: bytes | str, **more: str) -> dict[str, Any]:
    """Upload a file to the end of its job."""
    sent = client.post("/api/documents", params={"name": name, **more}, content=content)
    assert sent.status_code == 201, sent.text
    return finished(client, sent.json())


def finished(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + 120
    while job["state"] == "running":
        assert time.monotonic() < until, job
        time.sleep(0.05)
        job = client.get(f"/api/jobs/{job['id']}").json()
    return job


def listed(client: httpx.Client, **query: object) -> dict[str, Any]:
    response = client.get("/api/documents", params={key: str(value) for key, value in query.items()})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def row(client: httpx.Client, source: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in listed(client, limit=500)["documents"] if one["source"] == source)
    return found


def sources(client: httpx.Client, **query: object) -> list[str]:
    return [one["source"] for one in listed(client, **query)["documents"]]


def test_from_upload_to_removal(client: httpx.Client, handbook: Library) -> None:
    job = upload(client, "zebra.md", "# Zebra permits\n\nThe zebra permit costs 40 coins.\n")
    assert [(file["name"], file["state"], file["passages"]) for file in job["files"]] == [("zebra.md", "indexed", 1)]
    assert handbook.ask("What does the zebra permit cost?").found
    one = row(client, "zebra.md")
    assert (one["title"], one["kind"], one["state"], one["uploaded"]) == ("Zebra permits", "markdown", "indexed", True)
    assert (one["passages"], one["pages"], one["reason"], one["warnings"]) == (1, None, None, [])
    renamed = client.patch("/api/documents", params={"id": one["id"]}, json={"name": "quagga.md"})
    assert (renamed.status_code, renamed.json()) == (200, {"source": "quagga.md"})
    gone = client.delete("/api/documents", params={"source": "quagga.md"})
    assert gone.json() == {"removed": ["quagga.md"], "deleted": 1, "note": ""}
    assert not handbook.ask("zebra permit").found
    assert not (handbook.upload_folder / "quagga.md").exists()


def test_a_file_of_a_folder_comes_back_and_that_is_said(client: httpx.Client, handbook: Library) -> None:
    one = row(client, "staff/handbook.md")
    assert not one["uploaded"]
    refused = client.patch("/api/documents", params={"id": one["id"]}, json={"name": "other.md"})
    assert refused.status_code == 400
    assert "rename it there" in refused.json()["error"]
    gone = client.delete("/api/documents", params={"id": one["id"]}).json()
    assert gone["note"] == "The next `refdesk index` of its folder brings it back."
    file = handbook.path.parent / "files" / "staff" / "handbook.md"
    assert file.exists()
    handbook.sync([file.parent.parent])
    assert row(client, "staff/handbook.md")["id"] == one["id"]


def test_the_list_is_paged_sorted_searched_and_filtered(client: httpx.Client) -> None:
    members = {f"shelf/{n // 10}/{n:02}.txt": f"Volume {n} holds {'words ' * n}.".encode() for n in range(25)}
    upload(client, "shelf.zip", zip_with(members))
    every = listed(client, limit=500)
    assert every["total"] == every["all"] == len(every["documents"]) == 27
    assert every["failed"] == 1
    first, then = listed(client, limit=20), listed(client, limit=20, offset=20)
    assert [len(first["documents"]), len(then["documents"])] == [20, 7]
    assert first["documents"] + then["documents"] == every["documents"]
    assert sources(client, q="SHELF 07") == ["shelf/0/07.txt"]
    assert sources(client, q="staff handbook") == ["staff/handbook.md"]  # in path and title
    assert sources(client, q="nothing of the kind") == []
    assert sources(client, state="failed") == ["broken.pdf"]
    assert "broken.pdf" not in sources(client, state="indexed")
    assert len(sources(client, state="uploaded")) == 25
    assert sources(client, folder="shelf/2") == [f"shelf/2/{n}.txt" for n in range(20, 25)]
    assert sources(client, folder="shelf", sort="-size", limit=1) == ["shelf/2/24.txt"]
    assert sources(client, sort="-source", limit=1) == ["staff/handbook.md"]
    assert sources(client, sort="of no kind") == sources(client)
    tree = [(one["folder"], one["depth"], one["files"]) for one in every["folders"]]
    assert tree == [("shelf", 0, 25), ("shelf/0", 1, 10), ("shelf/1", 1, 10), ("shelf/2", 1, 5), ("staff", 0, 1)]
    ids = [one["id"] for one in listed(client, folder="shelf")["documents"]]
    gone = client.delete("/api/documents", params={"id": ids})
    assert gone.json()["deleted"] == 25
    assert listed(client)["all"] == 2


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "１"])
def test_numbers_of_the_list(client: httpx.Client, number: str) -> None:
    for name in ("offset", "limit"):
        response = client.get("/api/documents", params={name: number})
        assert response.status_code == 400
        assert response.json()["error"].startswith("Expected a whole number, came ")
    assert listed(client, limit="9" * 40)["total"] == 2
    assert listed(client, offset="9" * 40)["documents"] == []


def test_a_job_holds_several_files_and_says_what_went_wrong(client: httpx.Client) -> None:
    first = upload(client, "bad.pdf", b"no PDF either")
    job = upload(client, "good.txt", "Good words.", job=first["id"])
    assert job["id"] == first["id"]
    states = [(file["name"], file["state"]) for file in job["files"]]
    assert states == [("bad.pdf", "failed"), ("good.txt", "indexed")]
    assert "not a readable PDF" in job["files"][0]["reason"]
    assert client.get(f"/api/jobs/{job['id']}", params={"since": job["revision"]}).json()["files"] == []
    assert row(client, "bad.pdf")["state"] == "failed"
    assert client.delete("/api/documents?source=bad.pdf&source=good.txt").json()["deleted"] == 2


def test_a_newer_version_replaces_the_older_one(client: httpx.Client, handbook: Library) -> None:
    upload(client, "fees.md", "The zebra fee is 4 coins.")
    upload(client, "club/fees.zip", zip_with({"rules.txt": b"No zebras."}))
    job = upload(client, "fees.md", "The zebra fee is 6 coins.")
    upload(client, "fees.zip", zip_with({"rules.txt": b"Two zebras."}), job=job["id"])
    job = client.get(f"/api/jobs/{job['id']}").json()
    schema = openapi.document()["components"]["schemas"]["Job"]
    jsonschema.validate(job, schema)
    assert set(job["files"][0]) == set(schema["properties"]["files"]["items"]["properties"])
    told = [(file["name"], file["older"]) for file in job["files"]]
    assert told == [
        ("fees (2).md", {"path": "fees.md", "uploaded": True}),
        ("fees/rules (2).txt", {"path": "fees/rules.txt", "uploaded": True}),
    ]
    assert client.get(f"/api/citations/{job['files'][0]['document']}.0.0").json()["text"] == "The zebra fee is 6 coins."
    done = client.post(f"/api/jobs/{job['id']}/replace?number=0&since={job['revision']}", content=b"")
    assert [(file["name"], file["state"]) for file in done.json()["files"]] == [("fees.md", "replaced")]
    assert client.post(f"/api/jobs/{job['id']}/replace", content=b"").json()["state"] == "done"
    assert sources(client, state="uploaded") == ["fees.md", "fees/rules.txt"]
    assert handbook.ask("What is the zebra fee?").sentences[0].text == "The zebra fee is 6 coins."
    nothing = client.post(f"/api/jobs/{job['id']}/replace?number=0", content=b"")
    assert (nothing.status_code, nothing.json()["error"][:38]) == (409, "There is no older version to replace (")
    assert client.delete("/api/documents?source=fees.md&source=fees/rules.txt").json()["deleted"] == 2


def test_who_may_replace_and_what(client: httpx.Client, reading: httpx.Client) -> None:
    mine, yours = ({"cookie": f"refdesk-visitor={letter * 24}"} for letter in "cd")
    upload(client, "a.txt", "The first words.")
    sent = client.post("/api/documents", params={"name": "a.txt"}, content="The second words.", headers=mine).json()
    path = f"/api/jobs/{finished(client, sent)['id']}/replace"
    assert client.post(path, content=b"", headers=yours).status_code == 404
    assert reading.post(path, content=b"", headers=mine).status_code == 403
    for number in ("-1", "x", ""):
        assert client.post(path, params={"number": number}, content=b"", headers=mine).status_code == 400
    assert client.post(f"{path}?number=7", content=b"", headers=mine).status_code == 409
    assert sources(client, state="uploaded") == ["a (2).txt", "a.txt"]
    assert client.post(path, content=b"", headers=mine).status_code == 200
    assert sources(client, state="uploaded") == ["a.txt"]
    client.delete("/api/documents", params={"source": "a.txt"})


def test_indexing_again(client: httpx.Client, handbook: Library) -> None:
    file = handbook.path.parent / "files" / "broken.pdf"
    started = client.post("/api/documents/reindex", params={"source": "broken.pdf"})
    assert started.status_code == 201
    job = finished(client, started.json())
    assert [file["state"] for file in job["files"]] == ["failed"]
    assert str(file.parent) not in json.dumps(job)


def test_stopping_a_job(client: httpx.Client, handbook: Library) -> None:
    with handbook.writing():  # so that all of it waits
        job = client.post("/api/documents", params={"name": "a.txt"}, content="Waiting words.").json()
        assert client.get("/api/documents").status_code == 200  # the page goes on
        answered = client.delete(f"/api/jobs/{job['id']}")
        assert answered.status_code == 200
        assert answered.json()["id"] == job["id"]
    finished(client, answered.json())
    client.delete("/api/documents", params={"source": "a.txt"})


def test_a_visitors_jobs_are_listed_for_them_alone(client: httpx.Client) -> None:
    mine, yours = ({"cookie": f"refdesk-visitor={letter * 24}"} for letter in "ab")
    sent = client.post("/api/documents", params={"name": "own.txt"}, content="Own words.", headers=mine).json()
    assert [job["id"] for job in client.get("/api/jobs", headers=mine).json()["jobs"]] == [sent["id"]]
    assert client.get("/api/jobs", headers=yours).json()["jobs"] == []
    to_it = {"name": "more.txt", "job": sent["id"]}
    assert client.post("/api/documents", params=to_it, content="More.", headers=yours).status_code == 404
    upload(client, "own.txt", "Own words.")  # waits for the first as well
    assert client.delete("/api/documents", params={"source": "own.txt"}).status_code == 200


def test_the_same_source_in_two_folders_needs_an_id(client: httpx.Client) -> None:
    upload(client, "broken.pdf", b"no PDF from a browser")
    both = [one for one in listed(client)["documents"] if one["source"] == "broken.pdf"]
    assert sorted(one["uploaded"] for one in both) == [False, True]
    refused = client.patch("/api/documents", params={"source": "broken.pdf"}, json={"name": "b.pdf"})
    assert "say which one by its id" in refused.json()["error"]
    mine = next(one for one in both if one["uploaded"])
    assert client.delete("/api/documents", params={"id": mine["id"]}).json()["deleted"] == 1
    assert not row(client, "broken.pdf")["uploaded"]


@pytest.mark.parametrize(
    "name",
    [HOSTILE_NAME, "../../../evil.txt", "/etc/evil.txt", "a\x00b.txt", "\u202e" * 99 + "x.txt", "я" * 900 + ".txt"],
)
def test_hostile_names_are_only_names(client: httpx.Client, handbook: Library, name: str) -> None:
    job = upload(client, name, HOSTILE)
    assert [file["state"] for file in job["files"]] == ["indexed"]
    assert not list(handbook.path.parent.glob("*evil*"))
    assert not Path("/etc/evil.txt").exists()
    (one,) = listed(client, state="uploaded")["documents"]
    for text in (one["path"], one["name"], one["title"], job["files"][0]["name"]):
        assert not set(text) & set("\u202e\x00\n")
    assert client.delete("/api/documents", params={"source": one["source"]}).json()["deleted"] == 1


@pytest.mark.parametrize("name", ["", "x", "x.exe", "..", "x.tar.gz"])
def test_what_is_not_read_is_refused(client: httpx.Client, handbook: Library, name: str) -> None:
    response = client.post("/api/documents", params={"name": name}, content=b"x")
    assert response.status_code == 400
    assert re.search("^(Expected one of .docx, .+ or .zip, came|The file has no name)", response.json()["error"])
    assert not [path for path in handbook.upload_folder.rglob("*") if path.is_file()]


def test_a_zip_that_leads_out_is_refused(client: httpx.Client) -> None:
    evil = zip_with({"../../evil.txt": b"x"})
    response = client.post("/api/documents", params={"name": "a.zip"}, content=evil)
    assert response.status_code == 400
    assert response.json()["error"].startswith("The archive holds a path that leads out of it")


def test_renaming_to_what_cannot_be(client: httpx.Client) -> None:
    upload(client, "one.txt", "The first.")
    upload(client, "two.txt", "The second.")
    one = {"source": "one.txt"}
    taken = client.patch("/api/documents", params=one, json={"name": "two.txt"})
    assert (taken.status_code, taken.json()["error"][:31]) == (409, "There is a file two.txt already")
    assert client.patch("/api/documents", params=one, json={"name": "one.exe"}).status_code == 400
    for body in (b"", b"[]", b'{"name": 7}', b"\xff", b"[" * 5_000):
        response = client.patch("/api/documents", params=one, content=body)
        assert response.json() == {"error": 'Expected {"name": "…"} with the new name.'}
    assert client.patch("/api/documents", params=one, content=b" " * 20_000).status_code == 413
    assert client.patch("/api/documents", params={"source": "none.txt"}, json={"name": "x.txt"}).status_code == 404
    client.delete("/api/documents?source=one.txt&source=two.txt")


def test_documents_that_are_not_named(client: httpx.Client) -> None:
    for method, path in (("DELETE", "/api/documents"), ("POST", "/api/documents/reindex")):
        assert client.request(method, path, content=b"").json()["error"].startswith("Say which documents")
        gone = client.request(method, path, params={"id": "0" * 16}, content=b"")
        assert (gone.status_code, "reload the list" in gone.json()["error"]) == (404, True)
        many = client.request(method, path, params={"id": ["0"] * 1_001}, content=b"")
        assert "Expected up to 1,000 documents at a time" in many.json()["error"]


ROUTES = {
    "/api/documents": ("GET", "POST", "PATCH", "DELETE"),
    "/api/documents/reindex": ("POST",),
    "/api/jobs": ("GET",),
    f"/api/jobs/{UNKNOWN}": ("GET", "DELETE"),
    f"/api/jobs/{UNKNOWN}/replace": ("POST",),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_methods(client: httpx.Client, route: str, method: str) -> None:
    response = client.request(method, route, content=b"" if method == "POST" else None)
    assert (response.status_code == 405) == (method not in ROUTES[route])
    assert response.headers.get_list("x-content-type-options") == ["nosniff"]


@pytest.mark.parametrize("path", ["x", "x" * 23, "x" * 25, "%2e%2e", "x" * 23 + "%0a", f"{UNKNOWN}/files"])
def test_what_is_no_job_is_not_found(client: httpx.Client, path: str) -> None:
    assert client.get(f"/api/jobs/{path}").status_code == 404
    assert client.get(f"/api/jobs/{UNKNOWN}").json() == {"error": "There is no such job (any more)."}


OTHERS: tuple[dict[str, str], ...] = (
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"},
)


@pytest.mark.parametrize("headers", OTHERS, ids=str)
def test_other_sites_can_do_nothing(client: httpx.Client, headers: dict[str, str]) -> None:
    for route, methods in ROUTES.items():
        for method in methods:
            content = b"" if method == "POST" else None
            assert client.request(method, route, headers=headers, content=content).status_code == 403
    assert listed(client)["all"] == 2


def test_a_read_only_server_changes_nothing(reading: httpx.Client, handbook: Library) -> None:
    assert listed(reading)["read_only"] is True
    for method in ("POST", "PATCH", "DELETE"):
        response = reading.request(method, "/api/documents?name=a.txt&source=broken.pdf", content=b"x")
        assert (response.status_code, response.json()["error"]) == (403, "This server is read-only.")
    assert reading.post("/api/documents/reindex?source=broken.pdf", content=b"").status_code == 403
    assert reading.delete(f"/api/jobs/{UNKNOWN}").status_code == 403
    assert reading.post(f"/api/jobs/{UNKNOWN}/replace", content=b"").status_code == 403
    assert len(handbook.documents()) == 2


def test_a_read_only_server_leaves_what_waits(tmp_path: Path, encoder: Encoder) -> None:
    with Library.create(tmp_path / "library", encoder=encoder) as library:
        library.upload_folder.mkdir()
        partial = library.upload_folder / ".incoming-0"  # a writing server deletes it, since it is from a dead one
        partial.touch()
        os.utime(partial, (0, 0))
        with serving(library, Settings(read_only=True)):
            assert partial.exists()
        with serving(library):
            assert not partial.exists()


def test_lengths(client: httpx.Client, handbook: Library) -> None:
    post = "/api/documents?name=a.txt"
    long = client.post(post, content=b"x" * (LARGEST + 1))
    assert (long.status_code, long.json()["error"]) == (413, "The request is too long.")
    for method in ("POST", "DELETE"):
        assert client.request(method, "/api/documents?name=a.txt", content=iter([b"x"])).status_code == 411
    assert client.post("/api/documents/reindex?source=a", content=b"x" * 1_000_001).status_code == 413
    assert not [path for path in handbook.upload_folder.rglob("*") if path.is_file()]


def test_an_upload_that_the_library_has_no_room_for(handbook: Library) -> None:
    with serving(handbook, Settings(disk=1_000)) as address, visitor(address) as client:
        refused = client.post("/api/documents", params={"name": "a.txt"}, content="Words.")
    assert (refused.status_code, "remove something first" in refused.json()["error"]) == (507, True)


def test_an_upload_that_breaks_off_leaves_nothing(client: httpx.Client, handbook: Library) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as sending:
        head = "POST /api/documents?name=half.txt HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 500000\r\n\r\n"
        sending.sendall(head.encode() + b"x" * 1_000)
        until = time.monotonic() + 60
        while not list(handbook.upload_folder.glob(".incoming-*")) and time.monotonic() < until:
            time.sleep(0.01)
        assert list(handbook.upload_folder.glob(".incoming-*"))
    while list(handbook.upload_folder.iterdir()) and time.monotonic() < until:
        time.sleep(0.01)
    assert list(handbook.upload_folder.iterdir()) == []


def sending(client: httpx.Client, visitor: str, address: str = "127.0.0.1") -> socket.socket:
    """An upload of a visitor of which only the first bytes come; behind a proxy, from an address."""
    made = socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20)
    head = "POST /api/documents?name=slow.txt HTTP/1.1", "host: 127.0.0.1", f"cookie: refdesk-visitor={visitor}"
    more = f"x-forwarded-for: {address}", "content-length: 500000"
    made.sendall(("\r\n".join([*head, *more]) + "\r\n\r\nx").encode())
    return made


def parts_of_uploads(library: Library, expected: int) -> list[Path]:
    """The files of uploads that are coming in, as soon as they are so many, or after a while."""
    until = time.monotonic() + 60
    while len(found := list(library.upload_folder.glob(".incoming-*"))) != expected and time.monotonic() < until:
        time.sleep(0.02)
    return found


def test_an_upload_that_trickles_ends(client: httpx.Client, handbook: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_routes, "GRACE_SECONDS", 1)
    with sending(client, "t" * 24) as slow:
        slow.settimeout(0.1)
        answered, until = b"", time.monotonic() + 60
        while not answered and time.monotonic() < until:
            slow.sendall(b"x")
            try:
                answered = slow.recv(10_000)
            except TimeoutError:
                continue
        assert answered.startswith(b"HTTP/1.1 408")
    assert parts_of_uploads(handbook, 0) == []


def test_one_visitors_slow_uploads_do_not_keep_out_another(client: httpx.Client, handbook: Library) -> None:
    with ExitStack() as slow:
        for _ in range(document_routes.UPLOADS_AT_ONCE):
            slow.enter_context(sending(client, "s" * 24))
        assert len(parts_of_uploads(handbook, document_routes.UPLOADS_OF_ONE)) == document_routes.UPLOADS_OF_ONE
        assert upload(client, "quick.txt", "Quick words.")["state"] == "done"
    assert parts_of_uploads(handbook, 0) == []
    assert client.delete("/api/documents", params={"source": "quick.txt"}).status_code == 200


def test_slow_uploads_from_one_address_do_not_keep_out_another(handbook: Library) -> None:
    near, far = ({"x-forwarded-for": address} for address in ("10.0.0.1", "10.0.0.2"))
    with serving(handbook, proxied=True) as address, visitor(address) as client, ExitStack() as slow:
        for letter in "abcdefgh":
            slow.enter_context(sending(client, letter * 24, near["x-forwarded-for"]))
        assert len(parts_of_uploads(handbook, document_routes.UPLOADS_FROM_ONE)) == document_routes.UPLOADS_FROM_ONE
        began = time.monotonic()
        sent = client.post("/api/documents", params={"name": "far.txt"}, content="Far words.", headers=far)
        assert sent.status_code == 201
        assert time.monotonic() - began < document_routes.GRACE_SECONDS
        finished(client, sent.json())
        assert client.delete("/api/documents", params={"source": "far.txt"}).json()["deleted"] == 1
    assert parts_of_uploads(handbook, 0) == []


def test_an_upload_answers_with_its_own_files(client: httpx.Client) -> None:
    first = client.post("/api/documents", params={"name": "one.txt"}, content="One word.").json()
    finished(client, first)
    more = {"name": "two.txt", "job": first["id"]}
    second = client.post("/api/documents", params=more, content="Two words.").json()
    assert ([file["name"] for file in second["files"]], second["total"]) == (["two.txt"], 2)
    assert [file["number"] for file in finished(client, second)["files"]][-1:] == [1]
    assert client.delete("/api/documents?source=one.txt&source=two.txt").json()["deleted"] == 2


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_changes_that_wait_leave_the_page_its_threads(client: httpx.Client, handbook: Library, method: str) -> None:
    upload(client, "one.txt", "One word.")

    def change(_: int) -> int:
        body = json.dumps({"name": "other.txt"}) if method == "PATCH" else None
        return client.request(method, "/api/documents", params={"source": "one.txt"}, content=body).status_code

    with ThreadPoolExecutor(50) as many:
        with handbook.writing():
            changes = [many.submit(change, number) for number in range(50)]
            time.sleep(1)  # all of them have come, and wait
            assert client.get("/health", timeout=5).status_code == 200
            assert client.get("/api/documents", timeout=5).status_code == 200
            assert not any(one.done() for one in changes)
        assert {one.result() for one in changes} <= {200, 400, 404, 409}
    left = [one["source"] for one in listed(client)["documents"] if one["uploaded"]]
    assert left == ([] if method == "DELETE" else ["other.txt"])
    for source in left:
        client.delete("/api/documents", params={"source": source})


def test_the_page_answers_while_files_are_indexed(client: httpx.Client, handbook: Library) -> None:
    text = "".join(f"The warden of room {n} keeps key {n * 7}. " for n in range(3_000))
    job = client.post("/api/documents", params={"name": "long.txt"}, content=text).json()
    began = time.monotonic()
    assert client.get("/health").status_code == 200
    assert listed(client)["total"] >= 2
    assert handbook.ask("How many days of annual leave?").found
    assert time.monotonic() - began < 10
    client.delete(f"/api/jobs/{job['id']}")
    upload(client, "long.txt", text)
    assert client.delete("/api/documents", params={"source": "long.txt"}).json()["deleted"] == 1


def test_ctrl_c_ends_quietly_and_the_next_server_goes_on(tmp_path: Path, encoder: Encoder) -> None:
    Library.create(tmp_path / "library", encoder=encoder).close()
    text = "".join(f"The warden of room {n} keeps key {n * 7}. " for n in range(3_000))
    with command("--library", tmp_path / "library") as (run, address):
        with visitor(address) as client:
            job = client.post("/api/documents", params={"name": "long.txt"}, content=text).json()
            until = time.monotonic() + 60
            while job["stage"] != "encoding" and job["state"] == "running" and time.monotonic() < until:
                time.sleep(0.02)
                job = client.get(f"/api/jobs/{job['id']}").json()
            assert job["state"] == "running"
        run.send_signal(signal.SIGINT)
        out, errors = run.communicate(timeout=30)
    assert (run.returncode, out, errors) == (0, "", "")
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        assert library.documents() == []
        with serving(library) as address, visitor(address) as client:
            until = time.monotonic() + 60
            while not listed(client)["documents"] and time.monotonic() < until:
                time.sleep(0.05)
            assert row(client, "long.txt")["state"] == "indexed"


def test_names_in_a_query_are_not_taken_apart(client: httpx.Client) -> None:
    upload(client, "a&source=b.txt", "Odd words.")
    assert client.delete(f"/api/documents?source={quote('a&source=b.txt')}").json()["deleted"] == 1


def test_folders_are_a_tree_whatever_their_names_sort_like() -> None:
    names = ("a/x/1.txt", "a-b/2.txt", "a/3.txt", "4.txt")
    infos = [
        DocumentInfo(name, "/r", "indexed", None, "0" * 16, None, "text", "en", None, None, 1, 1, "2026-01-01")
        for name in names
    ]
    tree = documents.folders([documents.row(info, uploaded=False) for info in infos])
    assert [(one["folder"], one["files"]) for one in tree] == [("a", 2), ("a/x", 1), ("a-b", 1)]

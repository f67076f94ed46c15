"""Serving others: logging in, reading only, limits, addresses, several libraries, counters and logs, over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import GRINDER, ROOT, command, serving, visitor
from prometheus_client.parser import text_string_to_metric_families

from embeddings import Encoder
from qa import Library, QAError
from qa.page import login, server
from qa.page.evaluations import Evaluations
from qa.page.guard import ROUTES
from qa.page.limits import Buckets, Limits, network
from qa.page.login import COOKIE, NAME_TRIES, SESSION_SECONDS, TRIES, Door, TooManyError
from qa.page.server import build_app, per_minute
from qa.page.site import Settings, Site, enough_room
from qa.users import BLOCK, COST, LANES, LONGEST, Hash, Users, add, read, remove

ANNA, BORIS = ("anna", "correct horse battery"), ("boris", "staple ünd 7 more")
FORM = {"content-type": "application/x-www-form-urlencoded"}
OPEN = {
    "/health": '{"status":"ok"}',
    "/manifest.json": '{"name":"Refdesk","display":"browser"}',
    "/favicon.ico": "",
    "/metrics": "# HELP",  # to this machine
}
BROWSER = {"sec-fetch-mode": "navigate", "sec-fetch-site": "none", "accept": "text/html"}


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Library]:
    """Another library, which knows other things."""
    folder = tmp_path_factory.mktemp("second")
    (folder / "docs").mkdir()
    (folder / "docs" / "tides.txt").write_text("High tide at the old pier is at noon.\n")
    with Library.create(folder / "library", encoder=encoder) as made:
        made.sync([folder / "docs"])
        yield made


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users"
    for user in (ANNA, BORIS):
        add(path, *user)
    return path


@pytest.fixture(scope="module")
def guarded(handbook: Library, users: Path) -> Iterator[str]:
    """A server with users behind a proxy, which says whom it asks for."""
    with serving(handbook, Settings(users=users, rate=0), proxied=True) as address:
        yield address


@pytest.fixture
def client(guarded: str) -> Iterator[httpx.Client]:
    with visitor(guarded) as made:
        yield made


def log_in(client: httpx.Client, user: tuple[str, str] = ANNA, **more: str) -> httpx.Response:
    return client.post("/login", data={"user": user[0], "password": user[1], **more})


def submit(client: httpx.Client, question: str, prefix: str = "", answering: threading.Event | None = None) -> str:
    """A question asked as the page asks it; gives all that was told. `answering` is set when the answer begins."""
    functions = client.get(f"{prefix}/config").json()["dependencies"]
    one = next(one for one in functions if any(target[1] == "submit" for target in one["targets"]))
    data = [question, *(None for _ in one["inputs"][1:])]
    body = {"data": data, "fn_index": one["id"], "session_hash": "operators", "event_data": None}
    client.post(f"{prefix}/gradio_api/queue/join", json=body).raise_for_status()
    with client.stream("GET", f"{prefix}/gradio_api/queue/data", params={"session_hash": "operators"}) as stream:
        if answering:
            answering.set()
        told = stream.read().decode()
    assert "process_completed" in told
    return told


# Logging in


def templates(library: Library) -> list[str]:
    """Every path that the server answers at, with something in the place of its parts."""
    app = build_app(library, settings=Settings(read_only=True))
    own = [re.sub(r"\{[^}]*\}", "x" * 24, path) for _, path in server._templates(app.routes)]
    return sorted({*own, *ROUTES, "/assets/x.js", "/static/x.js", "/gradio_api/heartbeat/x", "/none", "/logout"})


def test_nothing_is_answered_before_logging_in(client: httpx.Client, handbook: Library) -> None:
    paths = templates(handbook)
    assert {"/", "/config", "/gradio_api/queue/join", "/evaluations"} <= set(paths)
    for path in paths:
        for method in ("GET", "POST", "DELETE"):
            response = client.request(method, path)
            if path in OPEN:
                assert method != "GET" or response.text.startswith(OPEN[path])
                continue
            assert (path, method, response.status_code) == (path, method, 401)
            assert response.json() == {"error": "Log in first."}
            assert "content-security-policy" in response.headers


def test_a_page_leads_to_the_login_and_back(client: httpx.Client) -> None:
    sent = client.get("/", headers=BROWSER)
    assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=/")
    page = client.get(sent.headers["location"])
    assert page.status_code == 200
    assert '<label for="password">' in page.text
    done = log_in(client)
    assert (done.status_code, done.headers["location"]) == (303, "/")
    cookie = done.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Path=/;"))
    assert "Secure" not in cookie
    assert client.get("/", headers=BROWSER).status_code == 200
    assert client.get("/config").status_code == 200
    assert client.get("/login").headers["location"] == "/"


def test_the_cookie_is_for_https_where_that_is_spoken(client: httpx.Client) -> None:
    data = {"user": ANNA[0], "password": ANNA[1]}
    done = client.post("/login", data=data, headers={"x-forwarded-proto": "https"})
    assert "; Secure" in done.headers["set-cookie"]


def test_the_visitors_cookie(handbook: Library) -> None:
    with serving(handbook, proxied=True) as address:
        for scheme in ("http", "https"):
            told = httpx.get(address, headers={"x-forwarded-proto": scheme}).headers["set-cookie"]
            assert all(word in told for word in ("refdesk-visitor=", "HttpOnly", "SameSite=Strict", "Path=/;"))
            assert ("; Secure" in told) is (scheme == "https")


def test_an_answer_after_logging_in_is_ones_own(client: httpx.Client) -> None:
    log_in(client)
    assert "36 months" in submit(client, GRINDER)


@pytest.mark.parametrize(
    "user",
    [(ANNA[0], "wrong horse battery"), (ANNA[0], ""), ("", ""), ("nobody", ANNA[1]), (ANNA[0], BORIS[1]),
     ("Anna", ANNA[1]), (ANNA[0], ANNA[1] + " "), (ANNA[0], "x" * 5_000)],
)  # fmt: skip
def test_what_does_not_fit_is_refused(client: httpx.Client, user: tuple[str, str]) -> None:
    headers = {"x-forwarded-for": f"10.0.0.{len(user[0]) + len(user[1]) % 200}"}
    response = client.post("/login", data={"user": user[0], "password": user[1]}, headers=headers)
    assert response.status_code == 401
    assert 'role="alert"' in response.text
    assert "set-cookie" not in response.headers
    assert client.get("/config").status_code == 401


def test_a_hostile_form_is_shown_as_text(client: httpx.Client) -> None:
    attack = '"><img src=x onerror=alert(1)>'
    response = log_in(client, (attack, "x"), next="//evil.example")
    assert "<img" not in response.text
    assert "evil.example" not in response.text
    assert "<img" not in client.get("/login", params={"next": attack}).text
    for target in ("//evil.example/", "/\\evil.example", "https://evil.example", "/config"):
        assert log_in(client, next=target).headers["location"] == "/"
    many = "&".join(f"a{n}=1" for n in range(1_000))
    assert client.post("/login", content=many, headers=FORM).status_code in (303, 401)
    with visitor(str(client.base_url)) as other:
        assert other.post("/login", content=b"\xff%ff=\x00", headers=FORM).status_code == 401
        assert other.post("/login", content="user=" + "x" * 20_000, headers=FORM).status_code == 413


def test_another_site_cannot_log_anybody_in(client: httpx.Client) -> None:
    data = {"user": ANNA[0], "password": ANNA[1]}
    assert client.post("/login", data=data, headers={"origin": "https://evil.example"}).status_code == 403
    log_in(client)
    assert client.post("/logout", headers={"origin": "https://evil.example"}).status_code == 403
    assert client.get("/config").status_code == 200


def test_logging_out_ends_the_session_wherever_its_cookie_is(client: httpx.Client) -> None:
    log_in(client)
    token = client.cookies[COOKIE]
    assert client.post("/logout").headers["location"] == "/login"
    assert COOKIE not in client.cookies
    assert client.get("/config", headers={"cookie": f"{COOKIE}={token}"}).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "\x7f", "a" * 4_000])
def test_made_up_sessions_are_none(client: httpx.Client, token: str) -> None:
    assert client.get("/config", headers={"cookie": f"{COOKIE}={token}; refdesk-visitor={'v' * 24}"}).status_code == 401


def test_programs_log_in_with_each_request(client: httpx.Client) -> None:
    refused = client.get("/config")
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert "www-authenticate" not in client.get("/config", headers={"sec-fetch-mode": "cors"}).headers
    for user in (ANNA, BORIS):
        name, password = (part.encode() for part in user)
        assert client.get("/config", auth=(name, password)).status_code == 200
    assert client.get("/config", auth=("anna", "wrong")).status_code == 401
    for said in ("Basic", "Basic !!!", "Basic /w==", "Bearer x", "Basic YW5uYQ=="):
        assert client.get("/config", headers={"authorization": said}).status_code == 401
    started = time.perf_counter()
    for _ in range(20):
        assert client.get("/health", auth=ANNA).status_code == 200
    assert time.perf_counter() - started < 2


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that do not exist are checked in no time, so that many can be tried."""
    monkeypatch.setattr(login, "NOBODY", Hash(1, 1, 1, b"salt", bytes(32)))


@pytest.mark.usefixtures("quick")
def test_guessing_is_slowed_down(client: httpx.Client) -> None:
    here = {"x-forwarded-for": "192.0.2.7"}
    told = [client.get("/config", auth=(f"g{n}", "guess"), headers=here).status_code for n in range(TRIES + 1)]
    assert told == [401] * TRIES + [429]
    refused = client.post("/login", data={"user": ANNA[0], "password": "guess"}, headers=here)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 15
    assert "Too many wrong passwords: try again in" in refused.text
    assert log_in(client).status_code == 303  # from elsewhere


@pytest.mark.usefixtures("quick")
def test_guessing_one_name_from_many_addresses_is_slowed_down(handbook: Library, users: Path) -> None:
    with serving(handbook, Settings(users=users), proxied=True) as address, visitor(address) as client:
        told = [
            client.get("/config", auth=("eve", "x"), headers={"x-forwarded-for": f"192.0.2.{n}"}).status_code
            for n in range(NAME_TRIES + 1)
        ]
    assert told == [401] * NAME_TRIES + [429]


@pytest.mark.usefixtures("quick")
def test_guesses_that_come_together_are_counted(users: Path) -> None:
    async def guesses() -> list[object]:
        door = Door(Users.open(users), "", ["/"])
        tries = (door.check("eve", "guess", "192.0.2.7") for _ in range(TRIES + 5))
        return await asyncio.gather(*tries, return_exceptions=True)

    told = asyncio.run(guesses())
    assert told[:TRIES] == [None] * TRIES
    assert [type(one) for one in told[TRIES:]] == [TooManyError] * 5


def test_a_name_that_does_not_exist_takes_the_same_work(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked, fits = [], Hash.fits

    def counted(self: Hash, password: str) -> bool:
        checked.append((self.cost, self.block, self.lanes))
        return fits(self, password)

    async def check(user: str, password: str) -> Hash | None:
        return await Door(Users.open(users), "", ["/"]).check(user, password, "192.0.2.7")

    monkeypatch.setattr(Hash, "fits", counted)
    for user in (ANNA[0], "nobody"):
        assert asyncio.run(check(user, "a wrong password")) is None
    assert checked == [(COST, BLOCK, LANES)] * 2
    assert asyncio.run(check(ANNA[0], "x" * (LONGEST + 1))) is None
    assert len(checked) == 2  # what is too long for a password is no work at all


def test_sessions_end_with_password_user_time_and_server(handbook: Library, tmp_path: Path) -> None:
    path = tmp_path / "users"
    for user in (ANNA, BORIS):
        add(path, *user)
    with serving(handbook, Settings(users=path)) as address, visitor(address) as anna, visitor(address) as boris:
        log_in(anna)
        log_in(boris, BORIS)
        assert [one.get("/config").status_code for one in (anna, boris)] == [200, 200]
        add(path, ANNA[0], "another password")
        assert [one.get("/config").status_code for one in (anna, boris)] == [401, 200]
        assert log_in(anna).status_code == 401
        assert log_in(anna, (ANNA[0], "another password")).status_code == 303
        path.write_text(path.read_text() + "a broken line\n")
        assert anna.get("/config").status_code == 200  # as it was before
        path.write_text(path.read_text().replace("a broken line\n", ""))
        remove(path, BORIS[0])
        assert boris.get("/config").status_code == 401
        path.unlink()
        assert anna.get("/config").status_code == 401
        cookies = dict(anna.cookies)
    add(path, ANNA[0], "another password")
    with serving(handbook, Settings(users=path)) as address, visitor(address) as client:
        assert client.get("/config", cookies=cookies).status_code == 401


@pytest.mark.parametrize("changed", ["removed", "another password"])
def test_who_changes_while_logging_in_has_no_session(
    handbook: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    path = tmp_path / "users"
    add(path, *ANNA)
    add(path, *BORIS)
    fits = Hash.fits

    def slowly(self: Hash, password: str) -> bool:
        """The check, at the end of which the file says something else."""
        right = fits(self, password)
        remove(path, ANNA[0]) if changed == "removed" else add(path, ANNA[0], changed)
        return right

    with serving(handbook, Settings(users=path)) as address, visitor(address) as client:
        monkeypatch.setattr(Hash, "fits", slowly)
        done = log_in(client)
        assert (done.status_code, len(client.cookies[COOKIE])) == (303, 43)
        assert client.get("/config").status_code == 401


def test_a_session_lasts_its_time(users: Path) -> None:
    now = [0.0]
    door = Door(Users.open(users), "", ["/"], clock=lambda: now[0])
    token = door.enter(ANNA[0], read(users)[ANNA[0]])
    now[0] = SESSION_SECONDS - 1
    assert door.session(token)
    now[0] = SESSION_SECONDS + 1
    assert door.session(token) is None


def test_a_users_file_that_lets_nobody_in_is_refused_at_the_start(handbook: Library, tmp_path: Path) -> None:
    with pytest.raises(QAError, match="does not exist: make it with"):
        build_app(handbook, settings=Settings(users=tmp_path / "none"))
    (tmp_path / "empty").write_text("# nobody\n")
    with pytest.raises(QAError, match="holds nobody"):
        build_app(handbook, settings=Settings(users=tmp_path / "empty"))


# Reading only


def test_a_read_only_server_refuses_what_changes(handbook: Library) -> None:
    rules = [rule for rule in server._rules() if rule.changes]
    assert rules
    samples = [path for path in templates(handbook) if any(rule.path.fullmatch(path) for rule in rules)]
    assert samples
    before = {path.name: path.stat().st_mtime_ns for path in handbook.path.iterdir()}
    with serving(handbook, Settings(read_only=True)) as address, visitor(address) as client:
        for path in samples:
            for method in next(rule for rule in rules if rule.path.fullmatch(path)).methods:
                if method != "GET":
                    response = client.request(method, path, json={"rating": 1})
                    assert (path, response.status_code) == (path, 403)
                    assert "read-only" in response.text
        assert "36 months" in submit(client, GRINDER)
    after = {path.name: path.stat().st_mtime_ns for path in handbook.path.iterdir()}
    assert after.keys() == before.keys()


# Addresses


def test_trusted_hosts(handbook: Library) -> None:
    settings = Settings(trusted_hosts=("docs.example.org",))
    with serving(handbook, settings) as address, visitor(address) as client:
        for host, status in (("docs.example.org", 200), ("DOCS.example.org:443", 200), ("example.org", 400)):
            assert client.get("/health", headers={"host": host}).status_code == status
        own = {"host": "docs.example.org", "origin": "https://docs.example.org"}
        assert client.post("/gradio_api/queue/join", headers=own).status_code == 422
        other = {"host": "docs.example.org", "origin": "https://example.org"}
        assert client.post("/gradio_api/queue/join", headers=other).status_code == 403


@pytest.mark.parametrize("strips", [True, False], ids=["the proxy leaves it out", "the proxy passes it on"])
def test_below_a_root_path(handbook: Library, users: Path, strips: bool) -> None:
    settings = Settings(root_path="/docs", users=users, trusted_hosts=("example.org",), rate=0)
    at = "" if strips else "/docs"
    with serving(handbook, settings, proxied=True) as address:
        headers = {"host": "example.org", "x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"}
        with visitor(address, headers=headers) as client:
            assert client.get(f"{at}/health").json() == {"status": "ok"}
            sent = client.get(f"{at}/", headers=BROWSER)
            assert sent.headers["location"] == "/docs/login?next=/"
            assert 'action="/docs/login"' in client.get(f"{at}/login").text
            done = client.post(f"{at}/login", data={"user": ANNA[0], "password": ANNA[1]})
            assert done.headers["location"] == "/docs/"
            assert "Path=/docs/;" in done.headers["set-cookie"]
            cookie = {"cookie": done.headers["set-cookie"].partition(";")[0]}
            config = client.get(f"{at}/config", headers=cookie)
            assert config.status_code == 200
            assert config.json()["root"] == "https://example.org/docs"
            page = client.get(f"{at}/", headers=cookie)
            assert page.status_code == 200
            assert "https://example.org/docs" in page.text
            evil = client.get(f"{at}/config", headers={**cookie, "x-forwarded-host": "evil.example"})
            assert "evil.example" not in evil.text
            assert client.get("/docs", headers=cookie).headers["location"] == "docs/"
            assert client.get(f"{at}/none", headers=cookie).status_code == 404


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(root_path="/a b"), "--root-path got '/a b'"),
        (Settings(root_path="/../x"), "--root-path got"),
        (Settings(root_path="https://x/y"), "--root-path got"),
        (Settings(trusted_hosts=("http://x",)), "--trusted-host got 'http://x'"),
        (Settings(trusted_hosts=("x:80",)), "--trusted-host got 'x:80'"),
        (Settings(rate=-1), "--rate got -1"),
    ],
)
def test_settings_that_make_no_sense(handbook: Library, settings: Settings, said: str) -> None:
    with pytest.raises(QAError, match=re.escape(said)):
        build_app(handbook, settings=settings)


# Limits


def test_questions_are_limited(handbook: Library) -> None:
    settings = Settings(rate=3)
    with serving(handbook, settings, proxied=True) as address, visitor(address) as client:
        client.get("/")  # gives a visitor's number

        def ask(**headers: str) -> httpx.Response:
            return client.post("/gradio_api/queue/join", json={}, headers=headers)

        assert [ask().status_code for _ in range(4)] == [422, 422, 422, 429]
        refused = ask()
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert refused.text.startswith("too many requests: try again in ")
        assert client.get("/config").status_code == 200  # other requests go on
        # A new number with each request is no way round, an address of one's own is.
        client.cookies.clear()
        told = [ask(cookie=f"refdesk-visitor={n:024}").status_code for n in range(20)]
        assert told.index(429) == 9  # four visitors' worth, less the three above
        assert ask(**{"x-forwarded-for": "192.0.2.2"}).status_code == 422


def test_each_question_of_a_call_counts(handbook: Library) -> None:
    with serving(handbook, Settings(rate=6)) as address, visitor(address) as client:
        ten = {"questions": [GRINDER] * 10}
        assert client.post("/api/retrieve", json=ten).status_code == 200  # more than a minute's worth, owed from now on
        refused = client.post("/api/retrieve", json={"question": GRINDER})
        assert refused.status_code == 429
        assert 35 <= int(refused.headers["retry-after"]) <= 50


def test_calls_that_came_together_count_one_another() -> None:
    now = [0.0]
    limits = Limits(6, Buckets(clock=lambda: now[0]))
    assert [limits.wait("/api/ask", "", "192.0.2.1") for _ in range(3)] == [0, 0, 0]
    assert limits.charge("", "192.0.2.1", 9) == 0
    assert limits.charge("", "192.0.2.1", 9) == 60  # 6 are owed, 6 a minute
    now[0] = 60.0
    assert limits.wait("/api/ask", "", "192.0.2.1") == 10
    now[0] = 70.0
    assert limits.wait("/api/ask", "", "192.0.2.1") == 0
    assert limits.charge("", "192.0.2.1", 1) == 0  # asked again when it was told to, it passes


def test_other_requests_are_limited_as_well(handbook: Library) -> None:
    with serving(handbook, Settings(rate=2)) as address, visitor(address) as client:
        told = [client.get("/config").status_code for _ in range(11)]
        assert told == [200] * 10 + [429]
        assert client.get("/static/none.js").status_code == 404  # the page's files are free
        assert client.get("/api/none").json()["error"].startswith("Too many requests")


def test_a_visitors_number_is_nobody_where_people_log_in(handbook: Library, users: Path) -> None:
    with serving(handbook, Settings(rate=2, users=users)) as address, visitor(address) as client:
        told = [client.get("/login", headers={"cookie": f"refdesk-visitor={n:024}"}).status_code for n in range(11)]
    assert told == [200] * 10 + [429]


def test_buckets_fill_again_and_are_bounded() -> None:
    now = [0.0]
    buckets = Buckets(most=3, clock=lambda: now[0])
    for _ in range(2):
        assert buckets.wait("a", 2, 0.5) == 0
        buckets.take("a", 2, 0.5)
    assert buckets.wait("a", 2, 0.5) == 2
    now[0] = 1.0
    assert buckets.wait("a", 2, 0.5) == 1
    now[0] = 2.0
    assert buckets.wait("a", 2, 0.5) == 0
    for key in range(100):
        buckets.take(key, 2, 0.5)
    assert len(buckets) == 3


def test_one_may_have_many_addresses_of_ipv6() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff:2") != network("2001:db8:0:1::1")
    assert network("192.0.2.1") != network("192.0.2.2")
    assert network("::ffff:192.0.2.1") == network("::FFFF:c000:201") == network("192.0.2.1")
    assert network("::ffff:192.0.2.1") != network("::ffff:192.0.2.2")
    limits = Limits(1)
    assert limits.wait("/api/ask", "", "::ffff:192.0.2.1") == 0
    assert limits.wait("/api/ask", "", "::ffff:192.0.2.1") > 0
    assert limits.wait("/api/ask", "", "::ffff:192.0.2.2") == 0
    assert limits.wait("/api/ask", "", "2001:db8::1") == 0
    assert limits.wait("/api/ask", "", "2001:db8::2") > 0
    assert limits.wait("/api/ask", "", "2001:db8:1::2") == 0


def test_who_serves_only_this_machine_has_no_limit() -> None:
    assert per_minute(Settings()) == 0
    assert per_minute(Settings(host="0.0.0.0")) == per_minute(Settings(root_path="/docs")) == 120
    assert per_minute(Settings(rate=7)) == 7
    assert per_minute(Settings(host="0.0.0.0", rate=0)) == 0


def test_long_bodies(handbook: Library) -> None:
    with serving(handbook, Settings()) as address, visitor(address) as client:
        assert client.post("/gradio_api/queue/join", content=b"x" * 1_000_001).status_code == 413
        for length in ("9" * 40, "-1", "1e3", "", "²"):
            status = raw(
                address, f"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}"
            )
            assert status in (400, 411, 413)
        assert raw(address, "POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost") == 411


def raw(address: str, head: str) -> int:
    """The status of a request as it is written."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode())
        return int(connection.recv(4_000).split()[1])


def test_uploads_may_be_as_long_as_is_set(handbook: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from qa.page.guard import Rule

    monkeypatch.setattr(server, "_rules", lambda: [Rule(re.compile("/health"), ("GET", "POST"), 10, upload=True)])
    with serving(handbook, Settings(max_upload=2_000_000)) as address, visitor(address) as client:
        assert client.post("/health", content=b"x" * 1_500_000).status_code == 404  # let through, to nobody
        assert client.post("/health", content=b"x" * 2_000_001).status_code == 413


def test_room_on_the_disk(handbook: Library) -> None:
    evaluations = Evaluations(handbook)
    assert enough_room(Site(handbook, Settings(), evaluations), 10**15) is None
    held = handbook.status().bytes
    tight = Site(handbook, Settings(disk=held + 1_000_000), evaluations)
    assert enough_room(tight, 900_000) is None
    told = enough_room(tight, 1_100_000)
    assert told is not None
    assert told.startswith("The library may take ")
    assert "remove something first" in told


# Several libraries


@pytest.fixture(scope="module")
def both(handbook: Library, second: Library) -> Iterator[str]:
    with serving({"handbook": handbook, "sea-side": second}, Settings(root_path="/docs")) as address:
        yield address


def test_libraries_are_apart(both: str) -> None:
    with visitor(both) as client:
        listed = client.get("/").text
        assert 'href="handbook/"' in listed
        assert "sea side" in listed
        for name, known, unknown in (("handbook", "36 months", "noon"), ("sea-side", "noon", "36 months")):
            assert client.get(f"/{name}").headers["location"] == f"{name}/"
            page = client.get(f"/{name}/")
            assert page.status_code == 200
            assert "Path=/docs/;" in page.headers["set-cookie"]
            assert client.get(f"/{name}/config").json()["root"].endswith(f"/docs/{name}")
            assert client.get(f"/{name}/health").json() == {"status": "ok"}
            told = submit(client, f"{GRINDER} When is high tide at the old pier?", f"/{name}")
            assert known in told
            assert unknown not in told


def test_paths_of_several_libraries_stay_closed(both: str) -> None:
    with visitor(both) as client:
        for path in ("/config", "/evaluations", "/gradio_api/queue/join", "/login", "/handbook/login"):
            assert client.get(path).status_code == 404
        for path in ("/handbook/metrics", "/none/", "/handbook/none", "/handbook/gradio_api/file=/etc/passwd"):
            assert client.get(path).status_code == 404
        assert client.get("/docs/handbook/../../etc/passwd").status_code == 404
        assert client.put("/handbook/evaluations").status_code == 405
        assert client.post("/handbook/gradio_api/queue/join", content=b"x" * 1_000_001).status_code == 413


def test_the_sites_of_several_libraries_know_each_other(handbook: Library, second: Library, users: Path) -> None:
    app = build_app({"one": handbook, "two": second}, settings=Settings(users=users))
    expected = (("one", "one", "../one/"), ("two", "two", "../two/"))
    assert [(site.name, site.libraries, site.logout) for site in app.state.sites] == [
        ("one", expected, "../logout"),
        ("two", expected, "../logout"),
    ]


def test_one_named_library_is_where_everybody_goes(second: Library, users: Path) -> None:
    with serving({"sea": second}, Settings(users=users)) as address, visitor(address) as client:
        assert client.get("/sea/", headers=BROWSER).headers["location"] == "/login?next=/sea/"
        assert client.get("/sea/config").status_code == 401
        assert log_in(client, next="/sea/").headers["location"] == "/sea/"
        assert client.get("/").headers["location"] == "sea/"
        assert client.get("/sea/config").status_code == 200


@pytest.mark.parametrize("name", ["", "a b", "../x", "health", "metrics", "login", "docs", "x" * 41, "-x"])
def test_names_that_cannot_be(second: Library, name: str) -> None:
    with pytest.raises(QAError, match="library name"):
        build_app({name: second}, settings=Settings(root_path="/docs/x"))


# Counters and logs


def test_metrics(handbook: Library) -> None:
    with serving(handbook, Settings(), proxied=True) as address, visitor(address) as client:
        submit(client, GRINDER)
        client.get("/evaluations/" + "x" * 24)
        client.get("/evaluations/" + "y" * 24)
        client.get("/no-such-page")
        client.request("BREW", "/")
        text = client.get("/metrics").text
        samples = {
            (sample.name, sample.labels.get("route"), sample.labels.get("status")): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert samples["refdesk_requests_total", "/evaluations/{run}", "404"] == 2
        assert samples["refdesk_requests_total", "/gradio_api/queue/join", "200"] == 1
        assert samples["refdesk_requests_total", "other", "404"] == 1
        assert samples["refdesk_documents", None, None] == len(handbook)
        assert samples["refdesk_passages", None, None] == handbook.status().passages
        assert samples["refdesk_library_bytes", None, None] > 10_000
        assert samples["refdesk_uploads", None, None] >= 0
        assert "no-such-page" not in text
        assert "BREW" not in text


def test_a_question_is_timed_whatever_becomes_of_it(handbook: Library) -> None:
    site = Site(handbook, Settings(), Evaluations(handbook))
    with site.asking(GRINDER):
        assert b'in_flight{library=""} 1.0' in site.watch.metrics.text()
    with pytest.raises(ZeroDivisionError), site.asking(GRINDER):
        raise ZeroDivisionError
    text = site.watch.metrics.text()
    assert b'refdesk_question_seconds_count{library=""} 2.0' in text
    assert b'in_flight{library=""} 0.0' in text


def test_metrics_are_for_this_machine_and_users(handbook: Library, users: Path) -> None:
    afar = {"x-forwarded-for": "192.0.2.1"}
    with serving(handbook, Settings(users=users), proxied=True) as address, visitor(address) as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/metrics", headers={"host": "127.0.0.1:9"}).status_code == 200
        assert client.get("/metrics", headers=afar).status_code == 403
        assert client.get("/metrics", headers=afar, auth=ANNA).status_code == 200
    # A proxy on this machine that nobody believes: what it passes on is not this machine's all the same.
    with serving(handbook, Settings(trusted_hosts=("example.org",))) as address, visitor(address) as client:
        for headers in (afar, {"forwarded": "for=192.0.2.1"}, {"host": "example.org"}):
            assert client.get("/metrics", headers=headers).status_code == 403
    with serving(handbook, Settings(metrics_open=True), proxied=True) as address, visitor(address) as client:
        assert client.get("/metrics", headers=afar).status_code == 200


def test_logs_have_no_text_unless_asked_for(handbook: Library, users: Path, tmp_path: Path) -> None:
    for number, log_text in enumerate((False, True)):
        log = tmp_path / f"log{number}"
        settings = Settings(log=log, log_text=log_text, users=users)
        with serving(handbook, settings) as address, visitor(address) as client:
            assert len(client.get("/config").headers["x-request-id"]) == 16
            log_in(client)
            submit(client, GRINDER)
            answered = client.get("/health", params={"q": "secret plans"})
            build = client.get("/none/secret-plans")
            assert build.status_code == 404
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        requests = [line for line in lines if line["event"] == "request"]
        assert [requests[0][key] for key in ("level", "method", "route", "status")] == [
            "warning",
            "GET",
            "/config",
            401,
        ]
        joined = next(line for line in requests if line["route"] == "/gradio_api/queue/join")
        assert {"time", "level", "request", "ms", "bytes", "user"} <= joined.keys()
        assert joined["user"] == ANNA[0]
        assert answered.headers["x-request-id"] in {line["request"] for line in requests}
        text = log.read_text()
        assert "secret-plans" not in text
        assert ("secret" in text) is log_text
        assert not any(word in text for word in ("36 months", "grinder", ANNA[1])) or log_text
        assert ANNA[1] not in text


def test_visitors_stand_in_logs_without_their_numbers(handbook: Library, tmp_path: Path) -> None:
    with serving(handbook, Settings(log=tmp_path / "log")) as address, visitor(address) as client:
        client.get("/")
        client.get("/config")
        number = client.cookies["refdesk-visitor"]
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[0]["visitor"] == lines[1]["visitor"]
    assert number not in (tmp_path / "log").read_text()


def test_a_log_that_cannot_be_written_stops_nothing(
    handbook: Library, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "folder" / "log"
    with serving(handbook, Settings(log=log)) as address, visitor(address) as client:
        assert client.get("/health").status_code == 200
        until = time.monotonic() + 60
        while "refdesk_log_lines_dropped 0.0" in client.get("/metrics").text and time.monotonic() < until:
            time.sleep(0.02)
        log.parent.mkdir()
        assert client.get("/health").status_code == 200
        while not log.exists() and time.monotonic() < until:
            time.sleep(0.02)
    assert "/health" in log.read_text()
    assert capfd.readouterr().err.count("cannot be written") == 1


def test_health_says_when_a_library_cannot_be_read(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "a.txt").write_text("The lighthouse is red.\n")
    with Library.create(tmp_path / "library", encoder=encoder) as library:
        library.sync([tmp_path / "a.txt"])
        with serving(library, Settings(read_only=True)) as address, visitor(address) as client:
            assert client.get("/health").status_code == 200
            library.store.connection.execute("ALTER TABLE meta RENAME TO other")
            failed = client.get("/health")
            assert failed.status_code == 503
            assert failed.json() == {"status": "failed", "error": "A library cannot be read."}
            library.store.connection.execute("ALTER TABLE other RENAME TO meta")
            assert client.get("/health").status_code == 200


# The command


def test_a_signal_ends_it_when_the_answers_are_told(handbook: Library, second: Library, tmp_path: Path) -> None:
    names = ("--library", f"one={handbook.path}", "--library", f"two={second.path}")
    log = tmp_path / "log"
    with command(*names, "--log", log, "--rate", 5, env={"TMPDIR": str(tmp_path)}) as (run, address):
        told: list[str] = []
        answering = threading.Event()
        with visitor(address) as client, client.stream("GET", "/one/gradio_api/heartbeat/operators") as heart:
            beats = heart.iter_lines()
            next(beats)  # the page is open

            def ask() -> None:
                with visitor(address) as other:
                    told.append(submit(other, GRINDER, "/one", answering))

            asking = threading.Thread(target=ask)
            asking.start()
            assert answering.wait(30)
            run.send_signal(signal.SIGTERM)
            started = time.monotonic()
            asking.join(20)
            list(beats)
        out, errors = run.communicate(timeout=20)
        seconds = time.monotonic() - started
    assert told
    assert "36 months" in told[0]
    assert (run.returncode, out, errors) == (0, "", "")
    assert seconds < server.CLOSING_SECONDS + 3
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_options_reach_the_server(
    handbook: Library, second: Library, users: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import app

    shown: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr(server, "serve", lambda library, **options: shown.append((library, options)))
    options = (
        "--host 0.0.0.0 --port 1 --no-browser --root-path /docs --trusted-host a --trusted-host b --read-only "
        f"--originals --max-upload 1.5MB --disk 2GB --rate 7 --metrics-open --log - --log-text --users {users}"
    )
    assert app.main(["serve", "--library", str(handbook.path), *options.split()]) == 0
    one, how = shown[0]
    assert one.path == handbook.path
    assert (how["host"], how["port"], how["open_browser"]) == ("0.0.0.0", 1, False)
    assert how["settings"] == Settings(
        root_path="/docs",
        trusted_hosts=("a", "b"),
        read_only=True,
        originals=True,
        max_upload=1_500_000,
        disk=2_000_000_000,
        rate=7,
        metrics_open=True,
        log=Path("-"),
        log_text=True,
        users=users,
    )
    assert app.main(["serve", "--library", f"one={handbook.path}", "--library", f"two={second.path}"]) == 0
    several, how = shown[1]
    assert {name: one.path for name, one in several.items()} == {"one": handbook.path, "two": second.path}
    assert several["one"].encoder is several["two"].encoder
    assert how["settings"] == Settings()
    wrong: dict[tuple[str, ...], str] = {
        ("--library", f"one={handbook.path}", "--library", str(second.path)): "expected NAME=DIR, such as handbook=",
        ("--library", f"one={handbook.path}", "--library", f"one={second.path}"): "two libraries are named 'one'",
        ("--library", f"one={handbook.path}", str(users.parent)): "paths belong to one library",
        ("--read-only", str(users.parent)): "--read-only writes nothing",
    }
    for arguments, said in wrong.items():
        assert app.main(["serve", *arguments]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        app.main(["serve", "--max-upload", "much"])
    assert "'much' is not a size: expected a number with KB, MB or GB" in capsys.readouterr().err


# The users file


def run_users(path: Path, *arguments: str, typed: str = "") -> tuple[int, str, str]:
    """`refdesk users` in a process of its own, with a password on its standard input."""
    code = "import sys, app; sys.exit(app.main())"
    line = [sys.executable, "-c", code, "users", str(path), *arguments]
    done = subprocess.run(line, input=typed, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_command_for_users(tmp_path: Path) -> None:
    path = tmp_path / "users"
    assert run_users(path, "add", "anna", typed="correct horse\n") == (0, "added anna\n", "")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "correct" not in path.read_text()
    first = read(path)["anna"]
    assert first.fits("correct horse")
    assert not first.fits("correct horse ")
    assert run_users(path, "add", "anna", typed="another one\n")[1] == "gave another password to anna\n"
    assert not read(path)["anna"].fits("correct horse")
    code, out, errors = run_users(path, "remove", "boris")
    assert (code, out) == (2, "")
    assert "has no user 'boris'" in errors
    assert run_users(path)[1] == "anna\n"


def test_users_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "users"
    add(path, *ANNA)
    add(path, *BORIS)
    assert read(path)[BORIS[0]].fits("staple u\u0308nd 7 more")  # the same letter, typed in two parts
    assert str(read(path)["anna"]) == str(Hash.parse(str(read(path)["anna"])))
    remove(path, BORIS[0])
    assert list(read(path)) == ["anna"]
    assert sorted(one.name for one in tmp_path.iterdir()) in (["users"], ["users", "users.lock"])


@pytest.mark.parametrize("name", ["", " ", "a:b", "a b", "-a", "a\n", "é", "x" * 65, "v" * 24])
def test_names_that_users_cannot_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(QAError, match="user name"):
        add(tmp_path / "users", name, "long enough")
    assert not (tmp_path / "users").exists()


@pytest.mark.parametrize("password", ["", "short", "x" * 1_001])
def test_passwords_that_cannot_be(tmp_path: Path, password: str) -> None:
    with pytest.raises(QAError, match="expected 8 to 1,000"):
        add(tmp_path / "users", "anna", password)


@pytest.mark.parametrize(
    "line",
    [
        "anna",
        "anna:secret",
        "anna:scrypt$15$8$3$!$!",
        "anna:scrypt$15$8$3$AAAA$AAAA",
        f"anna:scrypt$30$8$3$AAAA${'A' * 43}=",
        f"anna:scrypt$20$32$3$AAAA${'A' * 43}=",
        f"anna:scrypt$0$8$3$AAAA${'A' * 43}=",
        f"a b:scrypt$15$8$3$AAAA${'A' * 43}=",
    ],
)
def test_lines_that_are_no_users(tmp_path: Path, line: str) -> None:
    (tmp_path / "users").write_text(f"# ours\n\n{line}\n")
    with pytest.raises(QAError, match="line 3 of users file"):
        read(tmp_path / "users")

"""Many people at once: `python -m benchmarks.load [--users 32] [--seconds 60] [--files 500] [--think 0] [--write]`.

Serves a library of ten thousand passages (grown by benchmarks.scale, made if it is not there) with `refdesk serve` in a
process of its own, and asks it as the page does: each user has a cookie and a session, sends a question through the
page's queue, waits for the whole answer, thinks for a while and asks the next; after some questions it leaves and opens
the page anew. Then the same again while files are added over HTTP and indexed. Both run on the same machine, so that
the asking costs the server time.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.page import put
from benchmarks.scale import _questions

ROOT = Path(__file__).parent.parent
OUT = Path(__file__).parent / "out"
PASSAGES = 10_000
VISIT = 5
"""Questions of one conversation; then the page is opened anew."""


def main() -> int:
    """Parse, serve, ask, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--files", type=int, default=500, help="files that are added in the second part; 0 for none")
    parser.add_argument("--think", type=float, default=0, help="mean seconds between answer and next question")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder with data/scifact")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    arguments = parser.parse_args()
    grown = OUT / "scale" / f"library-{PASSAGES}"
    if not grown.is_dir():
        command = [sys.executable, "-m", "benchmarks.scale", "--passages", str(PASSAGES), "--keep"]
        subprocess.run([*command, "--shared", str(arguments.shared)], check=True, stdout=subprocess.DEVNULL)
    questions = _questions(arguments.shared)
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "library")
        shutil.copytree(grown, library)
        port = "7987"
        refdesk = str(Path(sys.executable).with_name("refdesk"))
        command = [refdesk, "serve", "--library", str(library), "--port", port, "--no-browser", "--rate", "0"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
            try:
                results = asyncio.run(run(f"http://127.0.0.1:{port}", server.pid, questions, arguments))
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(30)
    text = table(results, arguments)
    print(text)
    if arguments.write:
        put("load", text)
    return 0


async def run(address: str, server: int, questions: list[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Ask alone, then while files are indexed."""
    await ready(address)
    alone = await asking(address, server, questions, arguments)
    if not arguments.files:
        return {"alone": alone}
    adding = asyncio.create_task(add(address, arguments.files))
    meanwhile = await asking(address, server, questions, arguments, until=adding)
    return {"alone": alone, "meanwhile": meanwhile, "added": await adding}


async def ready(address: str) -> None:
    """Wait until the page answers."""
    async with httpx.AsyncClient(base_url=address) as client:
        for _ in range(300):
            try:
                if (await client.get("/health")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise RuntimeError("the server does not start")


async def asking(
    address: str,
    server: int,
    questions: list[str],
    arguments: argparse.Namespace,
    until: asyncio.Task[Any] | None = None,
) -> dict[str, Any]:
    """All users ask for so many seconds, or else until something is done; what they waited, and the server's memory."""
    stop = time.monotonic() + arguments.seconds
    waited: list[float] = []
    wrong: list[str] = []
    memory: list[int] = []

    def goes_on() -> bool:
        return time.monotonic() < stop if until is None else not until.done()

    async def user(number: int) -> None:
        choose = random.Random(number)
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:
            await client.get("/")  # for the cookie
            submit = await function(client, "submit")
            while goes_on():
                async with visit(client) as session:
                    for _ in range(VISIT):
                        if not goes_on():
                            break
                        began = time.perf_counter()
                        try:
                            done = await answer(client, submit, session, choose.choice(questions))
                        except (httpx.HTTPError, ValueError) as error:
                            wrong.append(repr(error))
                            continue
                        if done:
                            waited.append(time.perf_counter() - began)
                        else:
                            wrong.append("no answer")
                        if arguments.think:
                            await asyncio.sleep(choose.expovariate(1 / arguments.think))

    async def watch() -> None:
        while goes_on():
            memory.append(resident(server))
            await asyncio.sleep(1)

    began = time.monotonic()
    await asyncio.gather(watch(), *(user(number) for number in range(arguments.users)))
    seconds = time.monotonic() - began
    ordered = sorted(waited)
    if not ordered:
        raise RuntimeError(f"no answer came: {wrong[:3]}")
    return {
        "seconds": seconds,
        "answers": len(waited),
        "per_second": len(waited) / seconds,
        "p50": statistics.median(ordered),
        "p95": ordered[int(len(ordered) * 0.95)],
        "p99": ordered[int(len(ordered) * 0.99)],
        "wrong": wrong,
        "memory": [memory[round(share * (len(memory) - 1))] for share in (0.25, 0.5, 0.75, 1)],
    }


async def function(client: httpx.AsyncClient, event: str) -> int:
    """The number of what the page calls at an event."""
    functions = (await client.get("/config")).json()["dependencies"]
    return next(int(one["id"]) for one in functions if any(target[1] == event for target in one["targets"]))


@asynccontextmanager
async def visit(client: httpx.AsyncClient) -> AsyncIterator[str]:
    """An open page, as the server knows it: by its session, which lasts as long as its heartbeat."""
    session = uuid.uuid4().hex[:11]
    await client.get("/")
    async with client.stream("GET", f"/gradio_api/heartbeat/{session}"):
        yield session


async def answer(client: httpx.AsyncClient, submit: int, session: str, question: str) -> bool:
    """One question through the page's queue; whether its last message has an answer, found or not."""
    body = {"data": [question, None, "{}", None], "fn_index": submit, "session_hash": session, "trigger_id": 1}
    (await client.post("/gradio_api/queue/join", json=body)).raise_for_status()
    last = ""
    async with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
        async for line in stream.aiter_lines():
            if '"process_generating"' in line:
                last = line
            if '"process_completed"' in line:
                return '"success":true' in line.replace(" ", "") and bool(last)
    return False


async def add(address: str, count: int) -> dict[str, Any]:
    """Add files as one zip over HTTP and wait until all are indexed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            archive.writestr(f"berth-{number}.md", f"# Berth {number}\n\n{''.join(facts(number))}")
    began = time.monotonic()
    async with httpx.AsyncClient(base_url=address, timeout=120) as client:
        await client.get("/")
        sent = await client.post("/api/documents", params={"name": "berths.zip"}, content=packed.getvalue())
        sent.raise_for_status()
        job = sent.json()["id"]
        while True:
            state = (await client.get(f"/api/jobs/{job}")).json()
            if state["state"] not in ("waiting", "running"):
                break
            await asyncio.sleep(1)
    return {"seconds": time.monotonic() - began, "state": state["state"], "files": count}


def facts(number: int) -> Iterator[str]:
    """A dozen paragraphs about a berth that no other file holds."""
    for part in range(1, 13):
        yield (
            f"Berth {number} of pier {part} holds {number * part + 7} boats of up to {part + 3} metres. "
            f"Its keeper is warden {number + part}, and it was painted in {1900 + number % 90}.\n\n"
        )


def resident(pid: int) -> int:
    """Bytes of a process that are in memory and no view of a file."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def table(results: dict[str, Any], arguments: argparse.Namespace) -> str:
    """What was measured, as Markdown."""
    parts, added = [one for name, one in results.items() if name != "added"], results.get("added")
    heads = ["alone", *([f"while {added['files']} files are added"] if added else [])]
    lines = [
        f"| {arguments.users} users, {PASSAGES:,} passages | {' | '.join(heads)} |",
        f"|---|{'---:|' * len(parts)}",
    ]
    rows: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
        ("answers a second", lambda one: f"{one['per_second']:.0f}"),
        ("whole answer, ms: p50", lambda one: f"{1e3 * one['p50']:.0f}"),
        ("p95", lambda one: f"{1e3 * one['p95']:.0f}"),
        ("p99", lambda one: f"{1e3 * one['p99']:.0f}"),
        ("answers", lambda one: f"{one['answers']:,}"),
        ("errors", lambda one: str(len(one["wrong"]))),
        ("memory after each quarter, MB", lambda one: " / ".join(f"{m / 1e6:.0f}" for m in one["memory"])),
    )
    lines += [f"| {name} | {' | '.join(cell(one) for one in parts)} |" for name, cell in rows]
    think = f"{arguments.think:g} s" if arguments.think else "nothing"
    lines += [
        "",
        f"With {think} between an answer and the next question. {os.cpu_count()} cores, shared with the users.",
    ]
    if added:
        ratio = parts[1]["p95"] / parts[0]["p95"]
        lines[-1] += (
            f" The files were indexed in {added['seconds']:.0f} s ({added['state']}); p95 is then {ratio:.1f} times as "
            "long."
        )
    for error in {error for one in parts for error in one["wrong"][:3]}:
        print(error[:300], file=sys.stderr)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

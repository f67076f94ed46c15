"""For the tests of the page: its documents, its server on a free port, and a browser that tells of every slip."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from embeddings import Encoder
from qa import Library
from qa.page.server import build_app, http_server
from qa.page.site import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
SLOWEST = 15_000

HANDBOOK = """\
# Staff handbook

## Leave

Full-time staff accrue 25 days of annual leave each calendar year. Leave that is not taken by 31 March is lost.
No more than five days may be carried over to the next year.

## Warranty

The warranty of the coffee machine lasts 24 months from the date of purchase. The grinder of the coffee machine
has a warranty of its own, which lasts 36 months.

## Travel

Meals are reimbursed up to 45 euros per day with receipts. Economy class is booked for flights under six hours.

| Country | Daily rate |
|---------|-----------:|
| Norway  | 84 euros   |
"""
LEAVE = "How many days of annual leave do full-time staff accrue?"
WARRANTY = "How long is the warranty of the coffee machine?"
GRINDER = "How long is the warranty of the grinder?"
KEYS = "Which warden keeps the 120th locker key?"
HOSTILE_NAME = "evil 'quoted' <img src=x onerror=window.__ran=0> &amp; \u202egpj.exe.md"
HOSTILE = """\
# Evil <img src=x onerror=window.__ran=1> ${window.__ran=2} {{value}}

The zebra permit <script>window.__ran=3</script> costs ${window.__ran=4} {{value}} `tick` C:\\new\\table \\usepackage
![track](http://127.0.0.1:9/track.png) [link](javascript:window.__ran=5) $$x^2$$ <b onclick=window.__ran=6>40 coins</b>
&lt;i&gt; \u202edetrever\u202c in the end.

<details open ontoggle=window.__ran=7><svg onload=window.__ran=8></svg><iframe srcdoc="<script>parent.__ran=9</script>">
"""

CONTRAST = """(element) => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => rgb(text).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let under = element;
  while (under && (rgb(getComputedStyle(under).backgroundColor)[3] ?? 1) === 0) under = under.parentElement;
  const pair = [getComputedStyle(element).color, getComputedStyle(under).backgroundColor].map(light);
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}"""
"""The contrast of an element's text with what is under it, as a script."""


def make_library(folder: Path, encoder: Encoder) -> Library:
    """A library of a handbook, a twin of it in another folder, a long text, a giant word and a hostile document.

    It is made once for a folder, so that the tests of a run share it.
    """
    if folder.exists():
        return Library.open(folder / "library", encoder=encoder)
    files = folder / "files"
    (files / "copies").mkdir(parents=True)
    (files / "handbook.md").write_text(HANDBOOK, encoding="utf-8")
    (files / "copies" / "handbook.md").write_text(HANDBOOK, encoding="utf-8")
    (files / HOSTILE_NAME.replace("/", "-")).write_text(HOSTILE, encoding="utf-8")
    (files / "giant.txt").write_text(f"The longest parrot name is {'x' * 1_000_000} and it ends.\n", encoding="utf-8")
    rules = (f"Rule {n}. The {n}th locker key is kept by warden {n * 7}." for n in range(1, 151))
    (files / "rules.txt").write_text("\n\n".join(rules), encoding="utf-8")
    library = Library.create(folder / "library", encoder=encoder)
    library.sync([files])
    return library


@contextmanager
def serving(
    library: Library | Mapping[str, Library], settings: Settings | None = None, *, proxied: bool = False
) -> Iterator[str]:
    """The page of a library, or of several by name, over HTTP; gives its address.

    `proxied` takes the client's address from X-Forwarded-For.
    """
    app = build_app(library, settings=settings)
    server = http_server(app, proxied=proxied)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
            app.state.watch.log.close()


@contextmanager
def visitor(address: str, **options: Any) -> Iterator[httpx.Client]:  # noqa: ANN401 - what httpx.Client takes
    """Somebody who asks a server over HTTP, with cookies of their own."""
    with httpx.Client(base_url=address, **{"timeout": 30, **options}) as made:
        yield made


@contextmanager
def command(*arguments: object, env: Mapping[str, str] | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`refdesk serve` in a process of its own, with its address."""
    line = [sys.executable, str(ROOT / "app.py"), *map(str, arguments), "--port", "0", "--no-browser"]
    environment = {**os.environ, **(env or {})}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stderr is not None
        try:
            yield run, run.stderr.readline().split()[3]
        finally:
            run.kill()


class Visit:
    """A page in a window of its own, with everything that went wrong in it."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.address = address
        self.wrong: list[str] = []
        context.set_default_timeout(SLOWEST)
        context.add_init_script("window.__ran = undefined")
        self.page: Page = context.new_page()
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self._check(request.url))
        self.page.goto(address)
        self.page.get_by_label("Question", exact=True).wait_for()
        self.page.get_by_role("button", name="Send question").wait_for()

    def _check(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.wrong.append(f"a request to {url}")

    def ask(self, question: str) -> None:
        """Type a question, send it with Enter and wait for the whole answer."""
        done = self.page.locator(".rd-exchange[aria-busy=false]")
        before = done.count()
        self.page.get_by_label("Question", exact=True).fill(question)
        self.page.get_by_label("Question", exact=True).press("Enter")
        done.nth(before).wait_for()

    def focused(self) -> str:
        """The text, or the name, of what has the focus."""
        found: str = self.page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent")
        return found


@contextmanager
def visiting(
    browser: Browser, address: str, *, width: int = 1360, height: int = 850, dark: bool = False
) -> Iterator[Visit]:
    """A visit in a fresh window; nothing may have gone wrong in it when it ends."""
    size: ViewportSize = {"width": width, "height": height}
    context = browser.new_context(viewport=size, color_scheme="dark" if dark else "light")
    try:
        visit = Visit(context, address)
        yield visit
        assert visit.wrong == []
        assert visit.page.evaluate("window.__ran === undefined")
    finally:
        context.close()

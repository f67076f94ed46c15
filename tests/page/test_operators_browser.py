"""Logging in and choosing a library, in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import CONTRAST, SLOWEST, Visit, serving

from qa import Library
from qa.page.site import Settings
from qa.users import add

from .test_operators import ANNA

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users"
    add(path, *ANNA)
    return path


@pytest.fixture(scope="module")
def address(handbook: Library, users: Path) -> Iterator[str]:
    """Two libraries with users, below a root path."""
    with serving({"handbook": handbook, "rules": handbook}, Settings(users=users, root_path="/docs")) as made:
        yield f"{made}/docs/"


def opened(browser: Browser, **options: Any) -> BrowserContext:  # noqa: ANN401 - Playwright's
    """A fresh window."""
    context = browser.new_context(**options)
    context.set_default_timeout(SLOWEST)
    return context


def log_in(page: Page, password: str = ANNA[1]) -> None:
    page.get_by_label("Name").fill(ANNA[0])
    page.get_by_label("Password").fill(password)
    page.get_by_label("Password").press("Enter")


def test_from_the_login_to_an_answer_and_out(browser: Browser, address: str) -> None:
    context = opened(browser, viewport={"width": 1360, "height": 850})
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else wrong.append(r.url))
    page.goto(f"{address}handbook/")
    assert page.url.endswith("/docs/login?next=/handbook/")
    assert page.evaluate("document.activeElement.id") == "user"
    log_in(page, "wrong password")
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.text_content() == "That name and password do not go together."
    assert page.get_by_label("Name").input_value() == ANNA[0]
    assert page.evaluate("document.activeElement.id") == "password"
    assert [text for text in wrong if "401" not in text] == []
    wrong.clear()
    log_in(page)
    page.get_by_label("Question", exact=True).wait_for()
    assert page.url == f"{address}handbook/"
    page.close()
    visit = Visit(context, f"{address}handbook/")
    visit.ask("How long is the warranty of the grinder?")
    assert "36 months" in (visit.page.locator(".rd-exchange").text_content() or "")
    assert visit.wrong == wrong == []
    visit.page.goto(address)
    assert visit.page.get_by_role("link").all_text_contents() == ["handbook", "rules"]
    visit.page.get_by_role("button", name="Log out").click()
    assert visit.page.url == f"{address}login"
    visit.page.goto(f"{address}rules/")
    assert "/login" in visit.page.url
    context.close()


def test_without_scripts(browser: Browser, address: str) -> None:
    context = opened(browser, java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    log_in(page)
    page.get_by_role("heading", name="Libraries").wait_for()
    context.close()


def test_the_place_in_an_address_is_kept(browser: Browser, address: str) -> None:
    context = opened(browser)
    page = context.new_page()
    page.goto(f"{address}rules/#/c/one/two")
    log_in(page)
    page.wait_for_url(f"{address}rules/#/c/one/two")
    context.close()


def test_a_link_on_another_site_finds_who_has_logged_in(browser: Browser, address: str) -> None:
    context = opened(browser)
    page = context.new_page()
    page.goto(address)
    log_in(page)
    page.get_by_role("heading", name="Libraries").wait_for()
    elsewhere = address.replace("127.0.0.1", "localhost")  # another site, to the browser
    page.goto(f"{elsewhere}login")
    page.evaluate("(to) => { location.href = to }", f"{address}rules/#/c/one")
    page.wait_for_url(f"{address}rules/#/c/one")
    context.close()


@pytest.mark.parametrize("dark", [False, True])
def test_it_can_be_read_on_a_phone(browser: Browser, address: str, dark: bool) -> None:
    context = opened(browser, viewport={"width": 390, "height": 844}, color_scheme="dark" if dark else "light")
    page = context.new_page()
    page.goto(address)
    log_in(page, "wrong password")
    page.get_by_role("alert").wait_for()
    for shown in page.locator("h1, .soft, label, [role=alert], button, .brand").all():
        assert shown.evaluate(CONTRAST) >= 4.5
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()

"""The page's widgets, and what happens when somebody uses them."""

# No `from __future__ import annotations` here: Gradio finds out what a handler wants by its evaluated annotations.

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from qa.page import api, chat, evaluation, render
from qa.page.site import Site, owner_of

if TYPE_CHECKING:
    import gradio as gr

_FOLDER = Path(__file__).parent
_ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><rect width='32' height='32' rx='7' fill='#22201d'/>"
    "<path d='M8 9h16M8 23h10' stroke='#cfc9bf' stroke-width='2.5' stroke-linecap='round'/>"
    "<rect x='6.5' y='13' width='19' height='6' rx='2' fill='#ffe697'/></svg>"
)
_PARTS = ("page", "asking", "evaluation", "documents", "history")
"""Parts of the page, each with a style sheet and a script; the script is the body of a function of its gr.HTML."""
_IN_HEAD = ("shared", "pictures", "previews")
"""Scripts that are there before any part."""
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def head() -> str:
    """The page's style sheet, as part of its head: Gradio's own way breaks selectors that have a comma inside."""
    style = "".join(_file(f"{part}.css") for part in ("tokens", *_PARTS))
    icon = f'<link rel="icon" type="image/svg+xml" href="data:image/svg+xml,{quote(_ICON)}">'
    meta = '<meta name="color-scheme" content="light dark">'
    scripts = "".join(f"<script>{_file(f'{name}.js')}</script>" for name in _IN_HEAD)
    return f"{meta}{icon}<style>{style}</style>{scripts}"


def _file(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def theme() -> "gr.themes.Base":
    """Gradio's plainest theme, with the fonts of the reader's own system: named web fonts would be fetched."""
    import gradio as gr

    return gr.themes.Base(
        primary_hue="stone",
        neutral_hue="stone",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    )


def build(site: Site) -> "gr.Blocks":
    """The page for a library. Each visitor's conversation is in a state of its own."""
    import gradio as gr

    scripts = {part: _file(f"{part}.js") for part in _PARTS}
    start, empty = chat.opening(site, suggest=False), chat.fresh()

    def html(value: str | None, elem_id: str, js_on_load: str | None = None) -> gr.HTML:
        return gr.HTML(value, elem_id=elem_id, apply_default_css=False, js_on_load=js_on_load)

    page: gr.Blocks
    with gr.Blocks(
        title="Refdesk", fill_height=True, fill_width=True, analytics_enabled=False, delete_cache=(3600, 86400)
    ) as page:
        state, turnstile = gr.State(chat.Chat()), gr.State(chat.Turnstile())
        with gr.Column(elem_id="rd-page"):
            with gr.Row(elem_id="rd-bar"):
                html(render.menu(), "rd-menu")
                brand = html(start.brand, "rd-name")
                anew = gr.Button("New chat", elem_id="rd-new", size="sm", min_width=0)
                gr.Button("Documents", elem_id="rd-shelves", size="sm", min_width=0)
            with gr.Row(elem_id="rd-main"):
                with gr.Column(elem_id="rd-nav"):
                    html(None, "rd-history", scripts["history"])
                    gr.Button("Evaluate", elem_id="rd-evaluate", size="sm", min_width=0)
                    if site.libraries or site.logout:
                        html(render.foot(site.libraries, site.name, site.logout), "rd-foot")
                with gr.Column(elem_id="rd-left"):
                    welcome = html(start.welcome, "rd-start")
                    transcript = html(empty.transcript, "rd-transcript")
                    line = html(render.scope_line(), "rd-scope", scripts["asking"])
                    box = gr.Textbox(
                        label="Question",
                        show_label=False,
                        container=False,
                        placeholder="Ask a question",
                        lines=1,
                        max_lines=6,
                        submit_btn=True,
                        autofocus=True,
                        elem_id="rd-ask",
                    )
                    scope = gr.Textbox(visible=False)
                    html(evaluation.empty(), "rd-evaluations", scripts["evaluation"])
                    html(None, "rd-documents", scripts["documents"])
                with gr.Column(elem_id="rd-side"):
                    shelf = html(start.shelf, "rd-library")
                    panel = html(empty.panel, "rd-panel")
                    reader = html("", "rd-reader", scripts["page"])

        # What is said of the library and what is said in the conversation never share a widget, so that a slow
        # refresh of the first cannot overwrite the second.
        about = [brand, welcome, shelf]
        parts = [transcript, panel, box, state]

        def said(event: gr.EventData) -> dict[str, Any]:
            return event._data if isinstance(event._data, dict) else {}

        def shown(step: chat.Step) -> list[Any]:
            values = (step.transcript, step.panel, step.question, step.chat)
            return [gr.skip() if value is None else value for value in values]

        def owner(request: gr.Request) -> str:
            return owner_of(request.request.scope) if request.request is not None else ""

        def on_ask(
            question: str,
            conversation: chat.Chat,
            asked_with: str,
            turns: chat.Turnstile,
            request: gr.Request,
        ) -> Iterator[list[Any]]:
            asked = chat.Scope.of(asked_with)
            for step in chat.ask(site, owner(request), question or "", conversation, asked, turns):
                yield shown(step)

        def on_again(
            conversation: chat.Chat,
            asked_with: str,
            turns: chat.Turnstile,
            event: gr.EventData,
            request: gr.Request,
        ) -> Iterator[list[Any]]:
            wanted, asked = chat.Again.of(said(event)), chat.Scope.of(asked_with)
            if wanted is not None:
                for step in chat.ask(site, owner(request), wanted.question, conversation, asked, turns, wanted):
                    yield shown(step)

        def on_stop(turns: chat.Turnstile) -> None:
            turns.give_up()

        def on_load() -> list[str]:
            now = chat.opening(site)
            return [now.brand, now.welcome, now.shelf]

        def on_anew(turns: chat.Turnstile) -> list[Any]:
            turns.leave()
            return [*shown(chat.fresh()), *on_load()]

        def on_open(turns: chat.Turnstile, event: gr.EventData, request: gr.Request) -> list[Any]:
            turns.leave()
            return shown(chat.load(site, owner(request), said(event).get("id")))

        def on_sources(
            conversation: chat.Chat, asked_with: str, event: gr.EventData, request: gr.Request
        ) -> str | dict[str, Any]:
            found = chat.sources(site, owner(request), conversation, chat.Scope.of(asked_with), said(event))
            return gr.skip() if found is None else found

        def on_cite(event: gr.EventData) -> str:
            return chat.open_citation(site, said(event).get("id"), said(event).get("sequence"))

        asking: dict[str, Any] = {"concurrency_limit": chat.AT_ONCE, "concurrency_id": "ask", **_QUIET}
        scoped = "refdesk.asked()"
        box.submit(
            on_ask,
            [box, state, scope, turnstile],
            parts,
            js=f"(question, state) => [question, state, {scoped}, null]",
            **asking,
        )
        line.again(on_again, [state, scope, turnstile], parts, js=f"(state) => [state, {scoped}, null]", **asking)
        reader.sources(on_sources, [state, scope], panel, js=f"(state) => [state, {scoped}]", **_QUIET)
        line.stop(on_stop, turnstile, None, **_QUIET)
        line.open(on_open, turnstile, parts, **_QUIET)
        anew.click(on_anew, turnstile, [*parts, *about], **_QUIET)
        page.load(on_load, None, about, **_QUIET)
        line.renew(on_load, None, about, **_QUIET)
        reader.nudge(lambda: None, None, None, trigger_mode="multiple", concurrency_limit=None, **_QUIET)
        reader.cite(on_cite, None, reader, trigger_mode="multiple", concurrency_limit=4, **_QUIET)
        api.offer(site)
    return page

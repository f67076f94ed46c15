"""The page's widgets, and what happens when somebody uses them."""

# No `from __future__ import annotations` here: Gradio finds out what a handler wants by its evaluated annotations.

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import Library
from qa.page import chat

if TYPE_CHECKING:
    import gradio as gr

_FOLDER = Path(__file__).parent
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def head() -> str:
    """The page's style sheet, as part of its head: Gradio's own way breaks selectors that have a comma inside."""
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    return f'<meta name="color-scheme" content="light dark"><style>{style}</style>'


def theme() -> "gr.themes.Base":
    """Gradio's plainest theme, with the fonts of the reader's own system: named web fonts would be fetched."""
    import gradio as gr

    return gr.themes.Base(
        primary_hue="stone",
        neutral_hue="stone",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    )


def build(library: Library) -> "gr.Blocks":
    """The page for a library. Each visitor's conversation is in a state of its own."""
    import gradio as gr

    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    start = chat.opening(library)
    page: gr.Blocks
    with gr.Blocks(
        title="Refdesk", fill_height=True, fill_width=True, analytics_enabled=False, delete_cache=(3600, 86400)
    ) as page:
        state = gr.State(chat.Chat())
        with gr.Column(elem_id="rd-page"):
            with gr.Row(elem_id="rd-bar"):
                brand = gr.HTML(chat.brand(library), elem_id="rd-name", apply_default_css=False, js_on_load=None)
                fresh = gr.Button("New chat", elem_id="rd-new", size="sm", min_width=0)
            with gr.Row(elem_id="rd-main"):
                with gr.Column(elem_id="rd-left"):
                    transcript = gr.HTML(
                        start.transcript, elem_id="rd-transcript", apply_default_css=False, js_on_load=None
                    )
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
                with gr.Column(elem_id="rd-side"):
                    panel = gr.HTML(start.panel, elem_id="rd-panel", apply_default_css=False, js_on_load=None)
                    reader = gr.HTML("", elem_id="rd-reader", apply_default_css=False, js_on_load=script)

        parts = [transcript, panel, box, state]

        def shown(step: chat.Step) -> list[Any]:
            values = (step.transcript, step.panel, step.question, step.chat)
            return [gr.skip() if value is None else value for value in values]

        def on_ask(question: str, conversation: chat.Chat) -> Iterator[list[Any]]:
            for step in chat.ask(library, question or "", conversation):
                yield shown(step)

        def on_fresh() -> list[Any]:
            return [*shown(chat.opening(library)), chat.brand(library)]

        def on_cite(event: gr.EventData) -> str:
            data = event._data if isinstance(event._data, dict) else {}
            return chat.open_citation(library, data.get("id"), data.get("sequence"))

        asked = box.submit(on_ask, [box, state], parts, concurrency_limit=4, concurrency_id="ask", **_QUIET)
        fresh.click(on_fresh, None, [*parts, brand], cancels=[asked], **_QUIET)
        page.load(on_fresh, None, [*parts, brand], **_QUIET)
        reader.cite(on_cite, None, reader, trigger_mode="multiple", concurrency_limit=4, **_QUIET)
    return page

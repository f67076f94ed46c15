"""The page's pure half: text becomes HTML that shows it, and the mark holds exactly the quote."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.escape import escape, name, plain
from qa.page import context, render
from qa.page.guard import Guard, host_name
from qa.page.server import url
from qa.types import Answer, AnswerSentence, Block, BlockKind, Citation, Context, Document, DocumentInfo, Hit, Passage

TEXT = st.text(max_size=300)
HOSTILE = st.sampled_from(["<script>", "</mark>", "<!--", "${x}", "{{value}}", "&lt;", "\\", "`", '"', "'", "\u202e"])
WORDS = st.lists(st.one_of(TEXT, HOSTILE), min_size=1, max_size=8).map("".join)


class Tags(HTMLParser):
    """The tags of a page and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {key for key, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    tags.close()
    return tags


def citation(text: str, start: int, end: int, **other: object) -> Citation:
    made = Citation(f"{'0' * 16}.{start}.{end}", "a.md", "A", None, (), 1, start, end, text[start:end], ("a.md",))
    return replace(made, **other)  # type: ignore[arg-type]


def hit(text: str, start: int, end: int, rank: int = 1, **other: object) -> Hit:
    return Hit(
        rank, Passage(str(rank), "0" * 16, text, 0, len(text)), 0.5, "partial", citation(text, start, end, **other)
    )


def hit_at(text: str, place: int, rank: int) -> Hit:
    cited = citation(" " * place + text, place, place + len(text))
    return Hit(rank, Passage(str(rank), "0" * 16, text, place, place + len(text)), 0.5, "partial", cited)


def opened(text: str, blocks: tuple[Block, ...], start: int, end: int) -> Context:
    document = Document("d", ("a.md",), "A", "text", "en", text)
    return Context(citation(text, start, end), document, blocks)


def marks(page: str) -> list[str]:
    found = re.findall(r"<mark[^>]*>(.*?)</mark>", page, re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]*>", "", mark)) for mark in found]


@given(WORDS)
def test_escaped_text_comes_back_and_has_no_tag(text: str) -> None:
    escaped = escape(text)
    assert html.unescape(escaped) == text
    assert not set("<>\"'`${}\\") & set(escaped)


@given(WORDS)
def test_names_are_one_isolated_line(text: str) -> None:
    shown = plain(text)
    assert shown == " ".join(shown.split())
    assert not re.search(r"[\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]", shown)
    assert parsed(name(text)).tags == ["bdi"]


@given(WORDS, st.data())
def test_every_renderer_shows_text_and_only_its_own_tags(text: str, data: st.DataObject) -> None:
    text = f"{text}."
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    found = hit(text, start, end, title=text, source=text, heading=(text,), sources=(text, "b"))
    sentences = (AnswerSentence(found.citation.quote, (found.citation,)),)
    answered = Answer(text, f"x {text}", True, sentences, (found,))
    missed = Answer(text, text, False, (), (), (found,))
    info = DocumentInfo(text, "/", "indexed", None, "d", text, "text", "en", None, None, 1, 1, "")
    failed = replace(info, state="failed", reason=text)
    blocks = (Block("paragraph", 0, len(text), (text,)),)
    pages = (
        render.transcript([render.exchange(text, render.answer(answered, 1)), render.welcome([info])], text),
        render.exchange(text, render.answer(missed, 1)),
        render.sources(answered),
        render.shelf([info, failed]),
        context.document(opened(text, blocks, start, end)),
        context.unavailable(text),
    )
    allowed = set("div article h1 h2 h3 p span a i b bdi button header ol ul li mark br small details summary".split())
    own = set("class href id role dir tabindex type".split())
    for page in pages:
        assert not set("`${}\\") & set(page)
        seen = parsed(page)
        assert set(seen.tags) <= allowed
        assert all(key in own or key.startswith(("aria-", "data-")) for key in seen.attributes)


@given(st.lists(WORDS, min_size=1, max_size=8), st.data())
def test_the_mark_is_the_quote(pieces: list[str], data: st.DataObject) -> None:
    pieces = [piece.strip() or "x" for piece in pieces]
    text = "\n\n".join(pieces)
    blocks, at = [], 0
    kinds: st.SearchStrategy[BlockKind] = st.sampled_from(["heading", "paragraph", "list", "table", "code", "quote"])
    for piece in pieces:
        blocks.append(Block(data.draw(kinds), at, at + len(piece), ("H",), data.draw(st.sampled_from([None, 1, 2]))))
        at += len(piece) + 2
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    page = context.document(opened(text, tuple(blocks), start, end))
    assert marks(page) == [text[start:end]]


def test_a_quote_over_two_blocks_has_one_mark() -> None:
    text = "# One\n\nTwo."
    page = context.document(opened(text, (Block("heading", 0, 5, ("One",)), Block("paragraph", 7, 11)), 2, 11))
    assert marks(page) == ["One\n\nTwo."]


def test_a_long_document_is_sent_in_part() -> None:
    paragraphs = [f"Paragraph {n}." for n in range(5_000)]
    text = "\n\n".join(paragraphs)
    blocks, at = [], 0
    for paragraph in paragraphs:
        blocks.append(Block("paragraph", at, at + len(paragraph)))
        at += len(paragraph) + 2
    start = text.index("Paragraph 2500.")
    page = context.document(opened(text, tuple(blocks), start, start + 15))
    assert marks(page) == ["Paragraph 2500."]
    assert page.count('<p class="rd-block') == 2 * context.AROUND_BLOCKS + 1
    assert len(re.findall(r"… [\d,]+ more characters", page)) == 2


def test_a_giant_block_is_cut_around_the_quote() -> None:
    text = "a" * 1_000_000 + " quote " + "b" * 1_000_000
    page = context.document(opened(text, (Block("paragraph", 0, len(text)),), 1_000_001, 1_000_006))
    assert marks(page) == ["quote"]
    assert len(page) < 2 * context.AROUND_CHARACTERS + 2_000


def test_a_giant_quote_is_cut_with_a_note() -> None:
    text = "c" * 100_000
    page = context.document(opened(text, (Block("paragraph", 0, len(text)),), 0, len(text)))
    assert marks(page) == ["c" * context.LONGEST_MARK]
    assert "80,000 more characters" in page


def test_markers_are_numbered_by_first_use() -> None:
    texts = ("One.", "Two.", "Three.")
    hits = tuple(
        hit_at(text, place, rank) for rank, (text, place) in enumerate(zip(texts, (0, 50, 100), strict=True), 1)
    )
    sentences = (
        AnswerSentence("Two.", (hits[1].citation,)),
        AnswerSentence("One.", (hits[0].citation, hits[1].citation)),
    )
    answered = Answer("q", "q", True, sentences, hits)
    assert re.findall(r"<i>\[</i>(\d)<i>\]</i>", render.answer(answered, 1)) == ["1", "2", "1"]
    panel = render.sources(answered)
    assert re.findall(r'class="rd-number".*?>(\d)</a>', panel) == ["1", "2"]
    assert marks(panel) == ["Two.", "One.", "Three."]
    assert panel.index("Also found") > panel.index("One.")


def test_quotes_of_one_passage_share_its_card() -> None:
    text = "One. Two. Three."
    found = hit(text, 5, 9)
    first = citation(text, 0, 4)
    sentences = (AnswerSentence("Two.", (found.citation,)), AnswerSentence("One.", (first,)))
    panel = render.sources(Answer("q", "q", True, sentences, (found,)))
    assert panel.count('class="rd-card"') == 1
    assert re.findall(r'class="rd-number".*?>(\d)</a>', panel) == ["1", "2"]
    assert marks(panel) == ["One.", "Two."]
    assert f'data-cite="{found.citation.id} {first.id}"' in panel


@given(st.text("ab \n", max_size=400), st.data(), st.integers(1, 60))
def test_passages_are_cut_around_their_quotes(text: str, data: st.DataObject, most: int) -> None:
    text = f"{text}."
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    found = hit(text, start, end)
    shown = render.passage(found.passage, [found.citation], most)
    assert marks(shown) == [text[start : min(end, start + most)]]
    words = html.unescape(re.sub(r"<[^>]*>", "", shown))
    assert len(words) <= most + 4
    assert "".join(words.replace("…", "").split()) in "".join(text.split())


def test_an_answer_while_it_is_shown_has_no_summary_yet() -> None:
    found = hit("One. Two.", 0, 4)
    sentences = (AnswerSentence("One.", (found.citation,)), AnswerSentence("Two.", (found.citation,)))
    answered = Answer("q", "q", True, sentences, (found,))
    assert "Two." not in render.answer(answered, 1, 1)
    assert "match" not in render.answer(answered, 1, 1)
    assert "Partial match" in render.answer(answered, 1, 2)


@pytest.mark.parametrize(("documents", "said"), [(1, "in 1 document."), (2_067, "in 2,067 documents.")])
def test_nothing_found_says_where_it_looked(documents: int, said: str) -> None:
    found = replace(hit("One.", 0, 4), strength="partial")
    page = render.answer(Answer("q", "q", False, (), (), (found,)), documents)
    assert f"No passage found for this {said}" in page
    assert "Show the nearest passages" in page
    assert "Weak match" in page
    assert "Partial match" not in page


def test_other_sources_of_the_same_words_are_named() -> None:
    card = render.also(citation("x", 0, 1, sources=("a.md", "b", "c", "d", "e", "f")))
    assert parsed(card).text == "also in: b, c, d (+2)"


@pytest.mark.parametrize(
    ("page", "line", "shown"),
    [(4, None, "a.md · page 4 · Leave"), (None, 7, "a.md · Leave · line 7"), (None, None, "a.md · Leave")],
)
def test_places(page: int | None, line: int | None, shown: str) -> None:
    placed = citation("x", 0, 1, page=page, line=line, heading=("A", "Leave"))
    assert parsed(render.place(placed)).text == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Rose Street 4\nOldtown", "Rose Street 4<br>\nOldtown"),
        ("a line that is as long as the page was wide once\n- an item", "wide once<br>\n- an item"),
        ("a line that is as long as the page was wide once\nand goes on", "wide once\nand goes on"),
        ("one\n \ntwo", 'one<span class="rd-gap">\n \n</span>two'),
    ],
)
def test_line_ends(text: str, shown: str) -> None:
    assert render.flow(text).endswith(shown)


@given(WORDS, st.data())
def test_flow_of_parts_keeps_the_words(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    shown = html.unescape(re.sub(r"<[^>]*>", "", render.flow(text, start)))
    assert shown == html.unescape(escape(text[start:]))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1:7860", "127.0.0.1"), ("LOCALHOST", "localhost"), ("[::1]:7860", "::1"), ("[::1]", "::1"), ("", "")],
)
def test_host_names(host: str, expected: str) -> None:
    assert host_name(host) == expected


@pytest.mark.parametrize(
    ("host", "anywhere", "answered"),
    [
        ("localhost:1", False, True),
        ("192.168.1.7:1", False, False),
        ("192.168.1.7:1", True, True),
        ("evil.example", True, False),
        ("localhost.evil.example", False, False),
        ("", True, False),
    ],
)
def test_hosts_that_are_answered(host: str, anywhere: bool, answered: bool) -> None:
    async def nothing(*_: object) -> None: ...

    assert Guard(nothing, ["localhost"], any_address=anywhere)._served(host) is answered


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")],
)
def test_addresses(host: str, expected: str) -> None:
    assert url(host, 80) == expected

"""The parts of a conversation that need no browser: what it says can be anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from qa import Library, as_text
from qa.history import History
from qa.page import chat
from qa.page.chat import Again, Chat, Exchange, Scope, Step, Turnstile
from qa.page.evaluations import Evaluations
from qa.page.site import Settings, Site
from qa.page.suggestions import suggestions
from qa.types import Answer, AnswerSentence, Citation

DEEP = "[" * 100_000


UNCLEAR = ["null", "7", "[]", '"x"', "{", DEEP, '{"sources": 7}', '{"sources": null}', '{"sources": [7]}', 7]
TOO_LONG = json.dumps({"sources": ["x" * 1_000_000]})


@pytest.mark.parametrize("said", [*UNCLEAR, '{"by": {}}', TOO_LONG])
def test_a_scope_that_makes_no_sense_searches_nothing(site: Site, said: object) -> None:
    scope = Scope.of(said)
    assert scope.unclear
    [step] = chat.ask(site, "me", "How many days of leave?", Chat(), scope, Turnstile())
    assert "choose whole folders" in (step.transcript or "")


DEFAULTS = [None, "", "{}", '{"k": [5]}', '{"k": 1e9}', '{"by": 7}', '{"by": "magic"}']


@pytest.mark.parametrize("said", [*DEFAULTS, '{"k": 3.0}', '{"k": true}', r'{"conversation": "\ud800"}'])
def test_what_a_scope_does_not_say_is_the_default(said: object) -> None:
    scope = Scope.of(said)
    assert (scope, type(scope.k)) == (Scope(), int)


def test_a_scope() -> None:
    said = {"sources": ["a.md", "b/*", "x" * 5_000], "k": 10, "by": "words"}
    assert Scope.of(json.dumps(said)) == Scope(("a.md", "b/*", "x" * 5_000), 10, "words")


@pytest.mark.parametrize(
    "said", [None, [], "x", {}, {"number": "1", "question": "x"}, {"number": 1}, {"number": 1, "question": 7}]
)
def test_asking_again_what_makes_no_sense(said: object) -> None:
    assert Again.of(said) is None


def test_a_conversation_before_one_of_its_exchanges() -> None:
    whole = Chat()
    for number in range(1, 4):
        assert whole.next == number
        answer = Answer(str(number), str(number), found=number != 2, sentences=(), hits=())
        whole = whole.holding(Exchange(number, f"<p>{number}</p>", answer))
    assert [turn.question for turn in whole.turns] == ["1", "3"]  # not what found nothing
    assert [one.number for one in whole.before(3).exchanges] == [1, 2]
    assert whole.before(1).exchanges == ()
    assert whole.before(2**31) == whole
    again = whole.holding(Exchange(2, "<p>again</p>"))
    assert [one.html for one in again.exchanges] == ["<p>1</p>", "<p>again</p>", "<p>3</p>"]


@pytest.fixture
def site(library: Library, folder: Path) -> Iterator[Site]:
    (folder / "leave.md").write_text("# Handbook\n\n## Annual leave\n\nStaff accrue 25 days of annual leave.\n")
    (folder / "boats.md").write_text(
        "# Boats\n\n## 3.1 Ferries\n\nThe ferries carry forty passengers.\n\n## x\n\nNo.\n"
    )
    library.sync([folder])
    evaluations = Evaluations(library)
    yield Site(library, Settings(), evaluations)
    evaluations.close()


def test_an_overtaken_question_says_no_more(site: Site) -> None:
    turnstile = Turnstile()
    first = chat.ask(site, "me", "How many days of leave?", Chat(), Scope(), turnstile)
    assert "Searching 2 documents" in (next(first).transcript or "")
    turnstile.leave()
    assert list(first) == [Step()]  # nothing changes


def test_a_question_that_is_given_up_leaves_the_conversation_as_it_was(site: Site) -> None:
    turnstile, before = Turnstile(), Chat().holding(Exchange(1, "<p>before</p>"))
    asked = chat.ask(site, "me", "How many days of leave?", before, Scope(), turnstile)
    next(asked)
    turnstile.give_up()
    [last] = list(asked)
    assert last.chat is None
    assert "before" in (last.transcript or "")
    assert "Stopped" in (last.transcript or "")


def test_suggested_questions_come_from_headings_and_are_answered(site: Site) -> None:
    suggested = suggestions(site.library)
    assert "What is said about “Annual leave”?" in suggested
    assert all(site.library.ask(question).found for question in suggested)
    assert not any("“x”" in question or "3.1" in question for question in suggested)
    assert suggestions(site.library) is suggested  # until the library changes


def test_suggestions_follow_the_library(site: Site, folder: Path) -> None:
    before = suggestions(site.library)
    (folder / "crane.md").write_text(
        "# Crane\n\n## Greasing intervals\n\nGreasing intervals of the crane are 250 hours.\n"
    )
    site.library.sync([folder])
    after = suggestions(site.library)
    assert after != before
    assert any("Greasing intervals" in question for question in after)


def test_an_answer_that_cannot_be_kept_is_shown(site: Site) -> None:
    broken = site.library.path / "conversations.sqlite"
    broken.write_bytes(b"not a database" * 1000)
    with History.open(site.library.path) as history:
        *_, last = chat.ask(
            replace(site, history=history), "me", "How many days of leave?", Chat(), Scope(), Turnstile()
        )
    assert "25 days" in (last.transcript or "")
    assert last.chat is not None
    assert [one.id for one in last.chat.exchanges] == [""]


def _answer(text: str, title: str = "A *title*") -> Answer:
    citation = Citation("a" * 24 + ".0.9", "docs/a_b.md", title, 3, ("Top", "Sub"), None, 0, 9, text, ("docs/a_b.md",))
    return Answer("What?", "What?", found=True, sentences=(AnswerSentence(text, (citation, citation)),), hits=())


HOSTILE = (
    "<script>alert(1)</script>",
    "![x](http://evil.example/x.png) [y](javascript:alert(1))",
    "# no heading\n\n- no list\n1. none\n> none\n    code\n***\n",
    "`code` **bold** _em_ ~~no~~ | a | b | <b>x</b> &amp; https://evil.example www.evil.example a@evil.example",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_words_of_a_document_become_markup(text: str) -> None:
    reader = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    tokens = reader.parse(as_text.markdown(_answer(text, title=text)))
    kinds = {child.type for token in tokens for child in (token.children or [token])}
    allowed = {"text", "strong_open", "strong_close", "softbreak", "text_special"}
    assert {kind for kind in kinds if not kind.startswith(("paragraph", "ordered_list", "list_item"))} <= allowed


def test_an_answer_as_plain_text() -> None:
    assert as_text.plain(_answer("It is so.")).splitlines() == [
        "What?",
        "",
        "It is so. [1][1]",
        "",
        "Sources",
        "[1] A *title*, docs/a_b.md, page 3, Top › Sub",
    ]

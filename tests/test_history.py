"""Conversations that are kept: what comes back, for whom, and what is left of it after accidents."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from browser import LEAVE, WARRANTY, make_library
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from embeddings import Encoder
from qa import Library, QAError, history
from qa.cli import _command
from qa.evaluation import evaluate
from qa.evaluation.questions import MOST_TURNS, load_questions
from qa.evaluation.tables import report_lines
from qa.export import conversation_as_json, conversation_as_markdown, file_name, question_set
from qa.feedback_command import add_feedback
from qa.history import (
    FILE_NAME,
    LONGEST_NOTE,
    LONGEST_SEARCHED,
    LONGEST_TITLE,
    Conversation,
    Exchange,
    History,
    HistoryError,
    HistoryFileError,
    answer_from_json,
    answer_to_json,
)
from qa.types import Answer, AnswerSentence, Citation, Hit, Passage, Turn

NOTHING = "Quantum chromodynamics lattice gauge theory?"
HOSTILE = "<script>window.__ran=1</script> [x](javascript:1) \u202egpj.exe `tick` $$x$$\n# head"


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Library]:
    with make_library(tmp_path_factory.getbasetemp() / "page", encoder) as made:
        yield made


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path) as made:
        yield made


def nothing(question: str) -> Answer:
    """The answer that there is none."""
    return Answer(question, question, found=False, sentences=(), hits=())


def citation(quote: str, *, source: str = "a.md", title: str = "A", heading: tuple[str, ...] = ()) -> Citation:
    return Citation(f"{'0' * 16}.0.{len(quote)}", source, title, None, heading, 1, 0, len(quote), quote, (source,))


def quoting(question: str, quote: str, **where: Any) -> Answer:  # noqa: ANN401
    """An answer of one sentence."""
    cited = citation(quote, **where)
    passage = Passage(cited.id, "0" * 16, quote, 0, len(quote))
    hit = Hit(1, passage, 0.5, "strong", cited)
    return Answer(question, question, True, (AnswerSentence(quote, (cited,)),), (hit,))


# Answers as JSON

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
number = st.integers(0, 2**40)
score = st.floats(0, 1)
citations = st.builds(
    Citation, text, text, text, st.none() | number, st.tuples(text, text), st.none() | number, number, number, text,
    st.tuples(text),
)  # fmt: skip
passages = st.builds(Passage, text, text, text, number, number, st.sampled_from(("main", "aside", "repeated")))
strengths = st.sampled_from(("strong", "partial", "weak"))
hits = st.builds(Hit, number, passages, score, strengths, citations, score, score)
sentences = st.builds(AnswerSentence, text, st.tuples(citations) | st.tuples(citations, citations))
found = st.lists(hits, max_size=3).map(tuple)
answers = st.builds(Answer, text, text, st.booleans(), st.lists(sentences, max_size=3).map(tuple), found, found)


@given(answers)
def test_an_answer_is_the_same_after_json(answer: Answer) -> None:
    assert answer_from_json(answer_to_json(answer)) == answer


def test_real_answers_are_the_same_after_json(handbook: Library) -> None:
    for question in (WARRANTY, NOTHING, "What does the zebra permit cost?", "the longest parrot name"):
        answer = handbook.ask(question)
        again = answer_from_json(answer_to_json(answer))
        assert again == answer
        assert again.turn() == answer.turn()


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"question": 1}', "\ufffd"])
def test_what_is_no_answer_is_a_value_error(damage: str) -> None:
    with pytest.raises(ValueError, match="validation error"):
        answer_from_json(damage)


# Keeping


def test_a_conversation_comes_back_after_a_restart(tmp_path: Path, handbook: Library) -> None:
    first, second = handbook.ask(WARRANTY), handbook.ask("And of the grinder?", turns=[Turn(WARRANTY)])
    with History.open(tmp_path) as kept:
        conversation, exchange = kept.add("me", "", first, {"k": 5, "sources": ["*.md"]})
        again, later = kept.add("me", conversation, second, {"k": 3})
        assert again == conversation
        assert kept.rate("me", later, -1, "  the grinder's is missing ")
    with History.open(tmp_path) as kept:
        found = kept.conversation("me", conversation)
        assert found is not None
        assert found.title == WARRANTY
        assert [one.answer for one in found.exchanges] == [first, second]
        assert [one.id for one in found.exchanges] == [exchange, later]
        assert [dict(one.settings) for one in found.exchanges] == [{"k": 5, "sources": ["*.md"]}, {"k": 3}]
        assert [(one.rating, one.note) for one in found.exchanges] == [(0, ""), (-1, "the grinder's is missing")]
        assert found.created <= found.exchanges[0].asked_at <= found.exchanges[1].asked_at == found.updated
        assert kept.find("me", later) == (conversation, found.exchanges[1])


def test_the_last_one_is_first_and_pages_are_apart(kept: History) -> None:
    ids = [kept.add("me", "", nothing(f"Question {n}"), {})[0] for n in range(7)]
    kept.add("me", ids[2], nothing("And then?"), {})
    order = [ids[2], *(one for one in reversed(ids) if one != ids[2])]
    assert [one.id for one in kept.conversations("me")] == order
    assert [one.id for one in kept.conversations("me", offset=2, limit=3)] == order[2:5]
    assert [one.exchanges for one in kept.conversations("me", limit=2)] == [2, 1]


def test_nothing_is_opened_before_it_is_needed(tmp_path: Path) -> None:
    History.open(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_only_its_owner_reads_the_file(kept: History, tmp_path: Path) -> None:
    kept.add("me", "", nothing("Is this private?"), {})
    files = list(tmp_path.iterdir())
    assert files
    assert {file.stat().st_mode & 0o077 for file in files} == {0}


def test_owners_never_see_each_other(kept: History) -> None:
    mine, exchange = kept.add("me", "", nothing("My secret"), {})
    yours, _ = kept.add("you", "", nothing("Your secret"), {})
    assert [one.id for one in kept.conversations("you")] == [yours]
    assert kept.conversations("you", "my") == []
    assert kept.conversation("you", mine) is None
    assert kept.find("you", exchange) is None
    with pytest.raises(HistoryError, match="somebody else's"):
        kept.add("you", mine, nothing("Mine now?"), {})
    assert not kept.rename("you", mine, "Yours")
    assert not kept.rate("you", exchange, 1)
    with pytest.raises(HistoryError, match="somebody else's"):
        kept.add("you", mine, nothing("Mine now?"), {}, replaces=exchange)
    elsewhere, _ = kept.add("you", yours, nothing("Mine here?"), {}, replaces=exchange)
    assert questions(kept, elsewhere, "you") == ["Your secret", "Mine here?"]
    assert not kept.delete("you", mine)
    kept.rate("me", exchange, 1)
    assert list(kept.feedback("you")) == []
    assert kept.delete_all("you") == 1
    found = kept.conversation("me", mine)
    assert found is not None
    assert (found.title, len(found.exchanges), found.exchanges[0].rating) == ("My secret", 1, 1)


@pytest.mark.parametrize("owner", ["", "x" * 201])
def test_somebody_owns_a_conversation(kept: History, owner: str) -> None:
    with pytest.raises(HistoryError, match="expected an owner of 1 to 200 characters"):
        kept.add(owner, "", nothing("Whose?"), {})
    assert kept.conversations(owner) == []


def test_asking_again_takes_the_place_of_one_answer(kept: History) -> None:
    conversation, first = kept.add("me", "", nothing("One"), {})
    _, second = kept.add("me", conversation, nothing("Two"), {})
    kept.add("me", conversation, nothing("Three"), {})
    kept.rate("me", second, -1, "wrong")
    other, elsewhere = kept.add("me", "", nothing("Elsewhere"), {})
    again, otherwise = kept.add("me", conversation, nothing("Two, otherwise"), {"k": 3}, replaces=second)
    assert (again, questions(kept, conversation)) == (conversation, ["One", "Two, otherwise", "Three"])
    assert kept.find("me", second) is None
    found = kept.find("me", otherwise)
    assert found is not None
    assert (dict(found[1].settings), found[1].rating, found[1].note) == ({"k": 3}, 0, "")
    assert kept.conversations("me")[0].title == "One"
    kept.add("me", conversation, nothing("One, otherwise"), {}, replaces=first)
    assert [one.title for one in kept.conversations("me")] == ["One, otherwise", "Elsewhere"]
    kept.add("me", conversation, nothing("Four"), {}, replaces=elsewhere)  # which is not of this conversation
    assert questions(kept, conversation) == ["One, otherwise", "Two, otherwise", "Three", "Four"]
    assert questions(kept, other) == ["Elsewhere"]


def test_a_given_title_stays(kept: History) -> None:
    conversation, first = kept.add("me", "", nothing("One"), {})
    assert kept.rename("me", conversation, "Mine")
    kept.add("me", conversation, nothing("Two"), {}, replaces=first)
    assert [one.title for one in kept.conversations("me")] == ["Mine"]


def test_a_conversation_that_was_deleted_goes_on_as_a_new_one(kept: History) -> None:
    conversation, exchange = kept.add("me", "", nothing("One"), {})
    assert kept.delete("me", conversation)
    assert not kept.delete("me", conversation)
    assert kept.find("me", exchange) is None
    again, _ = kept.add("me", conversation, nothing("Two"), {})
    assert again != conversation
    assert questions(kept, again) == ["Two"]


def test_deleted_words_are_gone_from_the_file(tmp_path: Path) -> None:
    with History.open(tmp_path) as kept:
        conversation, _ = kept.add("me", "", nothing("The zebra is in the cellar"), {})
        kept.add("me", "", nothing("Another"), {})
        kept.delete("me", conversation)
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"Another" in held
    assert b"zebra" not in held


def test_deleted_words_are_gone_soon_while_it_is_open(kept: History, tmp_path: Path) -> None:
    def held() -> bytes:
        return b"".join(file.read_bytes() for file in tmp_path.iterdir())

    conversation, _ = kept.add("me", "", nothing("The zebra is in the cellar"), {})
    kept.add("me", "", nothing("Another"), {})
    assert b"zebra" in held()
    kept.delete("me", conversation)
    until = time.monotonic() + 20
    while b"zebra" in held() and time.monotonic() < until:
        time.sleep(0.05)
    assert b"Another" in held()
    assert b"zebra" not in held()


def questions(kept: History, conversation: str, owner: str = "me") -> list[str]:
    found = kept.conversation(owner, conversation)
    assert found is not None
    return [one.answer.question for one in found.exchanges]


# Titles, notes, bounds


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("Why\n\tso   many spaces?", "Why so many spaces?"),
        ("x" * 4_000, "x" * 79 + "…"),
        ("\u202egpj.exe\x00\x1b[31m", "\ufffdgpj.exe\ufffd\ufffd[31m"),
        ("<img src=x onerror=1>", "<img src=x onerror=1>"),
        ("Где ключ? 钥匙在哪里 🗝", "Где ключ? 钥匙在哪里 🗝"),
    ],
)
def test_titles_are_a_line_of_characters_that_can_be_seen(kept: History, question: str, title: str) -> None:
    conversation, _ = kept.add("me", "", nothing(question), {})
    assert [one.title for one in kept.conversations("me")] == [title]
    assert questions(kept, conversation) == [question]


@pytest.mark.parametrize("title", ["", " \n ", "x" * (LONGEST_TITLE + 1)])
def test_bad_titles_change_nothing(kept: History, title: str) -> None:
    conversation, _ = kept.add("me", "", nothing("One"), {})
    with pytest.raises(HistoryError, match="expected a title of 1 to 200 characters, came "):
        kept.rename("me", conversation, title)
    assert [one.title for one in kept.conversations("me")] == ["One"]


def test_ratings_and_notes_have_bounds(kept: History) -> None:
    conversation, exchange = kept.add("me", "", nothing("One"), {})
    with pytest.raises(HistoryError, match="expected a rating of -1, 0 or 1, came 2"):
        kept.rate("me", exchange, 2)
    with pytest.raises(HistoryError, match="2,001 characters: shorten it to 2,000"):
        kept.rate("me", exchange, 1, "x" * (LONGEST_NOTE + 1))
    assert kept.rate("me", exchange, 1, "half a character \ud83d" + "x" * 1_900)
    assert kept.rate("me", exchange, 0, "taken back")
    assert [(one.rating, one.note) for one in exchanges(kept, conversation)] == [(0, "")]
    assert not kept.rate("me", "x" * 24, 1)


def exchanges(kept: History, conversation: str) -> tuple[Exchange, ...]:
    found = kept.conversation("me", conversation)
    assert found is not None
    return found.exchanges


def test_the_oldest_go_first(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "CONVERSATIONS_KEPT", 3)
    monkeypatch.setattr(history, "EXCHANGES_KEPT", 2)
    monkeypatch.setattr(history, "ALL_KEPT", 5)
    mine = [kept.add("me", "", nothing(f"Mine {n}"), {})[0] for n in range(5)]
    assert [one.id for one in kept.conversations("me")] == mine[:1:-1]
    for n in range(4):
        kept.add("me", mine[2], nothing(f"More {n}"), {})
    assert questions(kept, mine[2]) == ["More 2", "More 3"]
    for n in range(3):
        kept.add(f"visitor {n}", "", nothing("Yours"), {})
    assert [one.id for one in kept.conversations("me")] == [mine[2], mine[4]]


def test_a_giant_answer_loses_what_it_does_not_quote(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = quoting("One", "word " * 200)
    other = replace(whole.hits[0], passage=Passage("x", "1" * 16, "other " * 400, 0, 2_400))
    monkeypatch.setattr(history, "LONGEST_ANSWER", 6_000)
    conversation, _ = kept.add("me", "", replace(whole, hits=(*whole.hits, other), misses=(other,)), {})
    monkeypatch.setattr(history, "LONGEST_ANSWER", 4_000)
    kept.add("me", conversation, replace(whole, hits=(*whole.hits, other)), {})
    assert [one.answer for one in exchanges(kept, conversation)] == [whole, replace(whole, hits=())]
    monkeypatch.setattr(history, "LONGEST_ANSWER", 1_000)
    with pytest.raises(HistoryError, match=r"the answer has [2-4],\d\d\d characters and is not kept: up to 1,000 are"):
        kept.add("me", conversation, whole, {})


def test_settings_are_bounded(kept: History) -> None:
    def settings(given: dict[str, Any]) -> dict[str, Any]:
        (exchange,) = exchanges(kept, kept.add("me", "", nothing("One"), given)[0])
        assert len(json.dumps(exchange.settings, ensure_ascii=False).encode()) <= history.LONGEST_SETTINGS
        return dict(exchange.settings)

    few = {"k": 5, "sources": [f"reports/{n}.pdf" for n in range(200)]}
    assert settings(few) == few
    many = [f"報告書/第{n}章.pdf" for n in range(1_000)]
    told = settings({"k": 5, "sources": many, "by": "both"})
    fitting = len(told["sources"])
    assert 700 < fitting < 1_000
    assert told == {"k": 5, "sources": many[:fitting], "by": "both", "sources_left_out": 1_000 - fitting}
    assert settings({"sources": ["x" * history.LONGEST_SETTINGS]}) == {"sources": [], "sources_left_out": 1}
    assert settings({"sources": ["\ud800.txt"]}) == {"sources": ["?.txt"]}
    with pytest.raises(HistoryError, match=r"the settings have 2\d,\d\d\d bytes beside their sources and are not kept"):
        kept.add("me", "", nothing("Two"), {"words": "x" * history.LONGEST_SETTINGS})


@pytest.mark.parametrize(
    ("query", "found"),
    [("", 3), ("STRASSE", 1), ("ﬁnd", 1), ("zebra", 1), ("100%", 1), ("_", 0), ("%", 1), ("'", 0), ("  key ", 1)],
)
def test_search_in_titles_and_questions(kept: History, query: str, found: int) -> None:
    conversation, _ = kept.add("me", "", nothing("Welche Straße?"), {})
    kept.add("me", conversation, nothing("Where did they FIND it?"), {})
    kept.add("me", "", nothing("Is it 100% sure?"), {})
    renamed, _ = kept.add("me", "", nothing("Which key?"), {})
    kept.rename("me", renamed, "Zebra")
    assert len(kept.conversations("me", query)) == found


def test_what_is_not_there_any_more_is_not_found(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation, first = kept.add("me", "", nothing("The zebra"), {})
    kept.add("me", conversation, nothing("The okapi"), {}, replaces=first)
    assert [len(kept.conversations("me", word)) for word in ("zebra", "okapi")] == [0, 1]
    monkeypatch.setattr(history, "EXCHANGES_KEPT", 1)
    kept.rename("me", conversation, "Animals")
    kept.add("me", conversation, nothing("The giraffe"), {})
    assert [len(kept.conversations("me", word)) for word in ("okapi", "giraffe", "animals")] == [0, 1, 1]


def test_a_search_folds_nothing_but_what_is_looked_for(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = "\ufdfa" * 3_999  # each of them 18 characters when it is folded
    conversation, _ = kept.add("me", "", nothing(wide), {})
    kept.rename("me", conversation, wide[:LONGEST_TITLE])
    kept.add("me", conversation, nothing(f"{'x' * (LONGEST_SEARCHED - 5)} zebra giraffe"), {})
    folded: list[str] = []
    before = history._folded
    monkeypatch.setattr(history, "_folded", lambda text: folded.append(text) or before(text))  # type: ignore[func-returns-value]
    assert [len(kept.conversations("me", word)) for word in ("صلى", "zebr", "zebra")] == [1, 1, 0]
    assert folded == ["صلى", "zebr", "zebra"]
    assert len(before(wide)) == LONGEST_SEARCHED


# The disk


@pytest.fixture
def busy(kept: History, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another process that writes to the file, so that nobody else can until its transaction ends."""
    kept.conversations("me")
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as run:
        run.execute("BEGIN IMMEDIATE")
        yield run


def test_an_answer_does_not_wait_long_for_the_disk(kept: History, busy: sqlite3.Connection) -> None:
    began = time.monotonic()
    conversation, _ = kept.add("me", "", nothing("One"), {})
    again, later = kept.add("me", conversation, nothing("Two"), {})
    assert time.monotonic() - began < 10
    assert again == conversation
    assert kept.conversations("me") == []
    busy.execute("COMMIT")
    assert kept.rate("me", later, 1)  # after those before it
    assert questions(kept, conversation) == ["One", "Two"]


def test_what_waits_is_kept_when_it_is_closed(tmp_path: Path, kept: History, busy: sqlite3.Connection) -> None:
    conversation, _ = kept.add("me", "", nothing("One"), {})
    closing_it = threading.Thread(target=kept.close)
    closing_it.start()
    busy.execute("COMMIT")
    closing_it.join(30)
    with History.open(tmp_path) as again:
        assert questions(again, conversation) == ["One"]


def test_an_answer_that_comes_to_nothing_late_is_told(
    kept: History, busy: sqlite3.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    busy.execute("INSERT INTO conversations VALUES ('theirs', 'you', '', 0, '', '')")
    assert kept.add("me", "theirs", nothing("One"), {})[0] == "theirs"
    busy.execute("COMMIT")
    kept.close()
    told = capsys.readouterr().err
    assert told == "refdesk: an answer was not kept: this conversation is somebody else's: start a new one\n"


def test_answers_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(history, "MOST_WAITING", 2)
    monkeypatch.setattr(history, "KEEPING_SECONDS", 0.01)
    with History.open(tmp_path) as kept:
        kept.conversations("me")
        with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as busy:
            busy.execute("BEGIN IMMEDIATE")
            for n in range(2):
                kept.add("me", "", nothing(f"{n}"), {})
            with pytest.raises(HistoryError, match="2 answers wait for the disk: this one is not kept"):
                kept.add("me", "", nothing("2"), {})
        monkeypatch.setattr(history, "KEEPING_SECONDS", 30)
        assert not kept.rename("me", "nobody's", "after those that waited")
        kept.add("me", "", nothing("3"), {})
        assert [one.title for one in kept.conversations("me")] == ["3", "1", "0"]


def test_reading_never_holds_up_keeping(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation, _ = kept.add("me", "", nothing("One"), {})
    reading, go_on = threading.Event(), threading.Event()
    connected = history._connected

    def slowly(path: Path, wait: float = 30.0) -> sqlite3.Connection:
        def pause() -> int:
            reading.set()
            go_on.wait(30)
            return 0

        run = connected(path, wait)
        run.set_progress_handler(pause, 1)
        return run

    monkeypatch.setattr(history, "_connected", slowly)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.extend(one.title for one in kept.conversations("me")))
    reader.start()
    assert reading.wait(30)
    monkeypatch.setattr(history, "_connected", connected)
    monkeypatch.setattr(history, "KEEPING_SECONDS", 30)
    kept.add("me", conversation, nothing("Two"), {})
    assert questions(kept, conversation) == ["One", "Two"]
    assert reader.is_alive()
    go_on.set()
    reader.join(30)
    assert found == ["One"]


def test_the_log_is_written_back_by_another_thread(
    kept: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / f"{FILE_NAME}-wal"
    monkeypatch.setattr(history, "LONGEST_LOG", 10**9)
    conversation, _ = kept.add("me", "", nothing("One"), {})
    for n in range(20):
        kept.add("me", conversation, quoting(f"{n}", "word " * 12_000), {})
    assert log.stat().st_size > 4_500_000  # SQLite itself would have written it back, with whoever keeps an answer
    monkeypatch.setattr(history, "LONGEST_LOG", 1_000_000)
    kept.add("me", conversation, nothing("Last"), {})
    until = time.monotonic() + 20
    while log.stat().st_size and time.monotonic() < until:
        time.sleep(0.05)
    assert log.stat().st_size == 0
    assert len(questions(kept, conversation)) == 22


# Accidents


def test_a_file_of_the_first_version_is_searched(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as run:
        run.executescript(history._SCHEMA)
        run.execute("PRAGMA user_version = 1")
        run.execute("INSERT INTO conversations VALUES ('old', 'me', 'Zebras', 0, '', '')")
        for number, question in enumerate(("Wo ist die STRASSE?", b"\xff no text")):
            run.execute(
                "INSERT INTO exchanges (id, conversation, asked_at, question, answer, settings) "
                "VALUES (?, 'old', '', ?, ?, '{}')",
                (f"{number}", question, answer_to_json(nothing("?"))),
            )
        run.commit()
    for _ in range(2):
        with History.open(tmp_path) as kept:
            assert [len(kept.conversations("me", word)) for word in ("zebra", "straße", "parrot")] == [1, 1, 0]
            assert len(questions(kept, "old")) == 2


def test_a_file_that_is_moved_away_is_made_anew(kept: History, tmp_path: Path) -> None:
    kept.add("me", "", nothing("One"), {})
    kept.close()
    kept.conversations("me")
    for file in list(tmp_path.iterdir()):
        file.unlink()
    with pytest.raises(HistoryFileError, match="unable to open database file"):
        kept.conversations("me")
    kept.add("me", "", nothing("Two"), {})
    assert [one.title for one in kept.conversations("me")] == ["Two"]


def spoil(path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(path / FILE_NAME) as run:
        run.execute(statement, values)
    run.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("answer", "{"),
        ("answer", "{}"),
        ("answer", b"\xff\xfe"),
        ("answer", 7),
        ("answer", answer_to_json(nothing("?")).replace("false", '"no"')),
        ("answer", "[" * 100_000),
        ("settings", "[1]"),
        ("settings", "{"),
        ("settings", "[" * 100_000),
    ],
)
def test_damaged_rows_are_left_out(kept: History, tmp_path: Path, column: str, value: object) -> None:
    conversation, damaged = kept.add("me", "", nothing("One"), {})
    _, whole = kept.add("me", conversation, nothing("Two"), {})
    for exchange in (damaged, whole):
        kept.rate("me", exchange, 1)
    spoil(tmp_path, f"UPDATE exchanges SET {column} = ? WHERE id = ?", value, damaged)
    found = kept.conversation("me", conversation)
    assert found is not None
    assert ([one.id for one in found.exchanges], found.skipped) == ([whole], 1)
    assert kept.find("me", damaged) is None
    told: list[str] = []
    assert [one.exchange.id for one in kept.feedback(on_damaged=told.append)] == [whole]
    assert told == [damaged]
    assert kept.delete("me", conversation)


def test_a_file_that_is_none_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"This is no database. " * 100)
    with History.open(tmp_path) as kept:
        for _ in range(2):
            with pytest.raises(HistoryFileError, match=r"cannot be used .* move the file away to start with none"):
                kept.conversations("me")
        (tmp_path / FILE_NAME).unlink()
        assert kept.conversations("me") == []


def test_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    with History.open(tmp_path) as kept:
        kept.add("me", "", nothing("One"), {})
    spoil(tmp_path, "PRAGMA user_version = 9")
    with (
        History.open(tmp_path) as kept,
        pytest.raises(HistoryFileError, match=r"schema version 9, .* up to 2: upgrade"),
    ):
        kept.conversations("me")


def test_threads_share_it(kept: History) -> None:
    def chat(owner: str) -> None:
        conversation = ""
        for n in range(20):
            conversation, exchange = kept.add(owner, conversation, nothing(f"{owner} {n}"), {})
            kept.rate(owner, exchange, 1)

    owners = [f"owner {n}" for n in range(6)]
    threads = [threading.Thread(target=chat, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for owner in owners:
        (only,) = kept.conversations(owner)
        assert questions(kept, only.id, owner) == [f"{owner} {n}" for n in range(20)]
    assert sum(1 for _ in kept.feedback()) == 120


CHAT = """
import sys
from qa.history import History, answer_to_json
from qa.types import Answer
kept, owner, conversation = History.open(sys.argv[1]), sys.argv[2], ""
answer_to_json(Answer("", "", False, (), ()))  # loads what the first answer would wait for
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[3])):
    conversation, _ = kept.add(owner, conversation, Answer(f"{n}", "", False, (), ()), {})
    print(n, flush=True)
"""


def chatting(folder: Path, owner: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHAT, str(folder), owner, str(count)]
    root = Path(__file__).parent.parent
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)


def start(*processes: subprocess.Popen[str]) -> None:
    """Let them chat at the same moment, once all are ready."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def test_processes_share_it_from_its_first_moment(tmp_path: Path) -> None:
    running = [chatting(tmp_path, f"owner {n}", 100) for n in range(3)]
    start(*running)
    for process in running:
        process.communicate(timeout=60)
        assert process.returncode == 0
    with History.open(tmp_path) as kept:
        assert [[one.exchanges for one in kept.conversations(f"owner {n}")] for n in range(3)] == [[100]] * 3


def test_what_was_kept_outlives_kill_9(tmp_path: Path) -> None:
    with chatting(tmp_path, "me", 1_000_000) as process:
        start(process)
        assert process.stdout is not None
        until = time.monotonic() + 30
        while int(process.stdout.readline()) < 50 and time.monotonic() < until:
            pass
        os.kill(process.pid, signal.SIGKILL)
        said = process.stdout.read().split()
    with History.open(tmp_path) as kept:
        (only,) = kept.conversations("me")
        asked = questions(kept, only.id)
        assert int(asked[-1]) >= int(said[-1] if said else 50)
        kept.add("me", only.id, nothing("It goes on"), {})


# Taking it along


def conversation_of(*asked: Answer, title: str = "Mine") -> Conversation:
    kept = tuple(Exchange(f"{n}", "2030-01-01T00:00:00+00:00", one, {"k": 5}) for n, one in enumerate(asked))
    return Conversation("c", title, "2030-01-01T00:00:00+00:00", "2030-01-01T00:00:00+00:00", kept)


def test_markdown_of_a_conversation(handbook: Library) -> None:
    told = conversation_as_markdown(conversation_of(handbook.ask(WARRANTY), handbook.ask(NOTHING)))
    html = MarkdownIt().render(told)
    assert html.startswith("<h1>Mine</h1>\n<p><strong>How long is the warranty of the coffee machine?</strong></p>")
    assert "lasts 24 months from the date of purchase. [1]" in html
    assert "<ol>\n<li>Staff handbook, copies/handbook.md, Warranty, line 10: “The warranty of the coffee" in html
    assert html.endswith("gauge theory?</strong></p>\n<p>No passage found for this question.</p>\n")


@given(text.filter(str.strip), text)
def test_no_words_become_markup(words: str, name: str) -> None:
    told = conversation_of(quoting(words, words, source=name, title=words, heading=(words, name)), title=words)
    html = MarkdownIt("js-default", {"html": True}).render(conversation_as_markdown(told))
    assert not [tag for tag in html.replace("</", "<").split("<")[1:] if tag.split(">")[0] not in ALLOWED]


ALLOWED = {"h1", "p", "strong", "ol", "li"}


def test_hostile_words_are_shown_as_they_are() -> None:
    told = conversation_as_markdown(conversation_of(quoting(HOSTILE, HOSTILE, title=HOSTILE), title=HOSTILE))
    html = MarkdownIt("js-default", {"html": True}).render(told)
    assert "<script" not in html
    assert "href" not in html
    shown = unescape(html)
    assert shown.count("<script>window.__ran=1</script> [x](javascript:1) \ufffdgpj.exe `tick` $$x$$ # head") == 5


def test_json_of_a_conversation_has_everything(handbook: Library) -> None:
    answer = handbook.ask(WARRANTY)
    told = json.loads(json.dumps(conversation_as_json(conversation_of(answer))))
    (exchange,) = told["exchanges"]
    assert exchange["question"] == WARRANTY
    cited = [one["id"] for sentence in exchange["answer"] for one in sentence["citations"]]
    assert cited == [one.id for sentence in answer.sentences for one in sentence.citations]
    assert [handbook.open_citation(one).citation.quote for one in cited] == [one.text for one in answer.sentences]
    assert (exchange["settings"], exchange["rating"], told["title"]) == ({"k": 5}, 0, "Mine")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("How long is the warranty?", "how-long-is-the-warranty.md"),
        ('../../etc/passwd"\r\nx: y', "etc-passwd-x-y.md"),
        ("Où est l'été ?", "ou-est-l-ete.md"),
        ("钥匙", "conversation.md"),
        ("x" * 500, "x" * 60 + ".md"),
    ],
)
def test_names_of_files_are_harmless(title: str, name: str) -> None:
    assert file_name(conversation_of(title=title), "md") == name


# Feedback


def rated(kept: History, library: Library) -> None:
    """Four rated answers and one that is not."""
    conversation, exchange = kept.add("me", "", library.ask(WARRANTY), {"k": 5})
    kept.rate("me", exchange, 1)
    follow_up = library.ask("And of the grinder?", turns=[Turn(WARRANTY)])
    kept.rate("me", kept.add("me", conversation, follow_up, {})[1], 1, "Both\nare there")
    kept.rate("you", kept.add("you", "", library.ask(LEAVE), {})[1], -1, "Where is <b>my</b> leave?")
    kept.rate("you", kept.add("you", "", library.ask(NOTHING), {})[1], 1)
    kept.add("you", "", library.ask("Never rated?"), {})


def test_feedback_is_a_question_set(kept: History, handbook: Library, tmp_path: Path) -> None:
    rated(kept, handbook)
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(question_set(kept.feedback())), encoding="utf-8")
    loaded = list(load_questions(file))
    assert [one.text for one in loaded] == [WARRANTY, "And of the grinder?", LEAVE, NOTHING]
    assert [one.history for one in loaded] == [(), (WARRANTY,), (), ()]
    assert [one.answerable for one in loaded] == [True, True, None, False]
    assert [one.kind for one in loaded] == ["rated good", "rated good", "rated bad", "rated good"]
    assert loaded[0].answers[0] == "The warranty of the coffee machine lasts 24 months from the date of purchase."
    assert loaded[2].answers == loaded[2].passages == ()
    notes = [json.loads(line)["note"] for line in file.read_text(encoding="utf-8").splitlines()]
    assert notes == ["", "Both\nare there", "Where is <b>my</b> leave?", ""]

    report = evaluate(handbook, file, out=tmp_path / "run")
    assert report.summary["without_gold"] == {"questions": 1, "rated_bad": 1}
    said = "not judged, since nobody says what is right: 1 question (1 rated bad)"
    assert f"note: {said}" in list(report_lines(report))
    assert said in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert [one["question"] for one in report.failures()] == []
    measured = report.summary["measures"]
    assert [measured[name]["mean"] for name in ("Quoted", "Answer@5", "Rejected")] == [1, 1, 1]


def test_a_rated_answer_is_told_with_as_many_questions_as_can_be_evaluated(kept: History, tmp_path: Path) -> None:
    assert history.TURNS_TOLD == MOST_TURNS
    conversation = ""
    for n in range(MOST_TURNS + 5):
        conversation, exchange = kept.add("me", conversation, nothing(f"Question {n}"), {})
    kept.rate("me", exchange, 1)
    (file := tmp_path / "questions.jsonl").write_text("".join(question_set(kept.feedback())), encoding="utf-8")
    (loaded,) = load_questions(file)
    assert loaded.history == tuple(f"Question {n}" for n in range(4, MOST_TURNS + 4))


def test_feedback_of_one_owner(kept: History, handbook: Library) -> None:
    rated(kept, handbook)
    assert [one.exchange.answer.question for one in kept.feedback("me")] == [WARRANTY, "And of the grinder?"]
    assert list(kept.feedback("nobody")) == []


def test_nothing_but_bad_ratings_can_be_evaluated(kept: History, handbook: Library, tmp_path: Path) -> None:
    kept.rate("me", kept.add("me", "", handbook.ask(LEAVE), {})[1], -1, "wrong")
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(question_set(kept.feedback())), encoding="utf-8")
    assert evaluate(handbook, file, out=tmp_path / "run").summary["questions"]["count"] == 1


def command(*arguments: str) -> int:
    """`refdesk feedback …`."""
    whole = argparse.ArgumentParser()
    add_feedback(_command, whole.add_subparsers())
    parsed = whole.parse_args(["feedback", *arguments])
    code: int = parsed.run(parsed, None)
    return code


def test_the_command_prints_them(encoder: Encoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "library"
    with pytest.raises(QAError, match="does not exist"):
        command("--library", str(folder))
    Library.create(folder, encoder=encoder).close()
    assert command("--library", str(folder)) == 1
    assert not (folder / FILE_NAME).exists()
    assert "no answer has been rated yet" in capsys.readouterr().err
    with History.open(folder) as kept:
        kept.rate("me", kept.add("me", "", nothing("One"), {})[1], 1)
        _, damaged = kept.add("you", "", nothing("Two"), {})
        kept.rate("you", damaged, -1)
    assert command("--library", str(folder)) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["question"], one["kind"]) for one in told] == [("One", "rated good"), ("Two", "rated bad")]
    spoil(folder, "UPDATE exchanges SET answer = '' WHERE id = ?", damaged)
    assert command("--library", str(folder)) == 1
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 1
    assert f"the rated answer {damaged} is damaged" in shown.err

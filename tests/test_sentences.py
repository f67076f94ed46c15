"""Sentences and passages: exact spans over any text, and the places where readers expect an end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qa.passages import PASSAGE_WORDS, Sentence, pack, sentences_of
from qa.sentences import LONGEST, split
from qa.types import Block, BlockKind, Zone

KINDS: tuple[BlockKind, ...] = get_args(BlockKind)
ZONES: tuple[Zone, ...] = get_args(Zone)
PIECES = [
    "A word. ", "Dr. Who! ", "e.g. this\n", "- item\n", "東京です。", "\n\n", "3.5 %. ", "“Yes.” ", "ž\u0301", "\t",
    "x" * 300, "| a | b |\n", "Привет. ",
]  # fmt: skip
texts = st.one_of(st.text(max_size=400), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))


def parts(text: str, kind: BlockKind = "paragraph") -> list[str]:
    """The sentences as strings."""
    return [text[start:end] for start, end in split(text, 0, len(text), kind)]


@given(texts, st.sampled_from(KINDS))
@example("", "paragraph")
@example(" \n ", "code")
def test_sentences_hold_all_text_and_nothing_twice(text: str, kind: BlockKind) -> None:
    place = 0
    for start, end in split(text, 0, len(text), kind):
        assert place <= start < end <= len(text)
        assert text[place:start].strip() == ""
        assert text[start:end] == text[start:end].strip()
        assert end - start <= LONGEST
        place = end
    assert text[place:].strip() == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One here. Two there! Three?", ["One here.", "Two there!", "Three?"]),
        ("Mr. K.-J. Tokayev met S. Zas. They spoke.", ["Mr. K.-J. Tokayev met S. Zas.", "They spoke."]),
        ("He said: “Go.” They went.", ["He said: “Go.”", "They went."]),
        ("Am 15. Mai war z. B. Ruhe. Danach nicht.", ["Am 15. Mai war z. B. Ruhe.", "Danach nicht."]),
        ("It costs 3.50 euros, i.e. little. Buy it.", ["It costs 3.50 euros, i.e. little.", "Buy it."]),
        ("a line that goes\non in the next. And ends.", ["a line that goes\non in the next.", "And ends."]),
        ("Steps:\n- first\n- second", ["Steps:", "- first", "- second"]),
        ("東京です。大きい。", ["東京です。", "大きい。"]),
        ("Он пришёл в 2020 г. Потом ушёл.", ["Он пришёл в 2020 г. Потом ушёл."]),
        ("1. Do it. 2. Stop.", ["1. Do it.", "2. Stop."]),
        ("Swarm line ........ 0741 55 700", ["Swarm line ........ 0741 55 700"]),
        ("Anna Maier ................ Head. She left.", ["Anna Maier ................ Head.", "She left."]),
        ("Methods . . . . . . . Chapter 2", ["Methods . . . . . . . Chapter 2"]),
        ("Veterinary office . 0741 900 33", ["Veterinary office . 0741 900 33"]),
        ("I am here to . . . submit. He did.", ["I am here to . . . submit.", "He did."]),
        ("And then... Nothing came.", ["And then...", "Nothing came."]),
        ("It is so . But not here .", ["It is so .", "But not here ."]),
        ("Call the office, Tel. 0741 55 700. Good.", ["Call the office, Tel. 0741 55 700.", "Good."]),
    ],
)
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


def test_a_table_s_rows_are_its_sentences() -> None:
    assert parts("Name | Age\nAnn. B | 3", "table") == ["Name | Age", "Ann. B | 3"]


@pytest.mark.parametrize(
    "text", ["." * 300_000, ". " * 150_000, "word word\n" * 60_000, "“" * 300_000, "x" * 600_000, "((. " * 100_000]
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    started = time.process_time()
    split(text[: len(text) // 4], 0, len(text) // 4)
    quarter = time.process_time() - started
    started = time.process_time()
    split(text, 0, len(text))
    assert time.process_time() - started < 20 * quarter + 1  # quadratic would be far above for texts 10 times as long


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, list[Block]]:
    """A text with blocks over it, as a reader makes them."""
    text = ""
    blocks: list[Block] = []
    for piece in draw(st.lists(texts, max_size=8)):
        piece = piece.strip()
        if not piece:
            continue
        text += "\n\n" if text else ""
        kind = draw(st.sampled_from(KINDS))
        blocks.append(Block(kind, len(text), len(text) + len(piece), zone=draw(st.sampled_from(ZONES))))
        text += piece
    return text, blocks


def count_characters(some: Sequence[str]) -> list[int]:
    """A stand-in for an encoder's tokenizer with the hardest vocabulary: every character is a token."""
    return [len(text) for text in some]


@given(documents(), st.sampled_from([16, 254]))
def test_passages_are_whole_sentences_that_cross_no_edge(document: tuple[str, list[Block]], most: int) -> None:
    text, blocks = document
    sentences, tokens = sentences_of(text, blocks, count_characters, most)
    assert tokens >= sum(sentence.end - sentence.start for sentence in sentences) * 0.5
    assert all(sentence.end - sentence.start <= most for sentence in sentences)
    drafts = pack(blocks, sentences)
    assert [sentence for draft in drafts for sentence in draft.sentences] == sentences
    place = 0
    for draft in drafts:
        assert text[place : draft.start].strip() == ""
        place = draft.end
        own = [blocks[number] for number in dict.fromkeys(sentence.block for sentence in draft.sentences)]
        assert {block.zone for block in own} == {draft.zone}
        assert draft.zone != "repeated" or len(own) == 1
        body = [block.kind for block in own if block.kind != "heading"]
        assert len({kind == "table" for kind in body}) <= 1
        kinds = [block.kind for block in own]
        assert "heading" not in kinds[len(kinds) - len(body) :] or not body
        words = sum(sentence.words for sentence in draft.sentences)
        assert words <= PASSAGE_WORDS or len(draft.sentences) == 1
    assert text[place:].strip() == ""


def test_a_long_section_is_cut_in_equal_parts() -> None:
    text = " ".join(f"Sentence {number} has exactly seven words here." for number in range(50))
    blocks = [Block("paragraph", 0, len(text))]
    sentences, _ = sentences_of(text, blocks, count_characters, 254)
    sizes = [sum(sentence.words for sentence in draft.sentences) for draft in pack(blocks, sentences)]
    assert len(sizes) == -(-sum(sizes) // PASSAGE_WORDS)
    assert max(sizes) - min(sizes) <= 14


def test_headings_open_the_passage_below_them() -> None:
    text = "Title\n\nPart\n\nBody one.\n\nNext\n\nBody two."
    starts = [text.index(piece) for piece in ("Title", "Part", "Body one.", "Next", "Body two.")]
    kinds: list[BlockKind] = ["heading", "heading", "paragraph", "heading", "paragraph"]
    lengths = [5, 4, 9, 4, 9]
    blocks = [Block(kind, start, start + length) for kind, start, length in zip(kinds, starts, lengths, strict=True)]
    sentences = [Sentence(block.start, block.end, 2, number) for number, block in enumerate(blocks)]
    assert [text[draft.start : draft.end] for draft in pack(blocks, sentences)] == [
        "Title\n\nPart\n\nBody one.",
        "Next\n\nBody two.",
    ]

"""Sentences packed into passages: whole ones, about 154 words, never over the edge of a table, label or heading."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from qa.language import count_words
from qa.sentences import Span, cut, split
from qa.types import Block, Zone

PASSAGE_WORDS = 154
"""Words of a passage, which are 200 wordpieces of English. Of the reference text in the first 4,000 characters found:
200 wordpieces .935, 128 .912, 254 .890, 400 .852 (docs/design.md, "Passages"). Words, because sentences are encoded
and not passages: a passage of Russian is as long as one of English, whatever the encoder's vocabulary."""

CountTokens = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a block: its span, its words, and the number of its block."""

    start: int
    end: int
    words: int
    block: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A passage before it has an id: whole sentences, the span from the first to the last."""

    sentences: tuple[Sentence, ...]
    zone: Zone

    @property
    def start(self) -> int:
        """Where the first sentence starts."""
        return self.sentences[0].start

    @property
    def end(self) -> int:
        """Where the last sentence ends."""
        return self.sentences[-1].end


def sentences_of(
    text: str, blocks: Sequence[Block], count_tokens: CountTokens, max_tokens: int
) -> tuple[list[Sentence], int]:
    """The sentences of all blocks, none longer than `max_tokens` so that the encoder reads all; and the tokens."""
    spans = [
        (span, number)
        for number, block in enumerate(blocks)
        for span in split(text, block.start, block.end, block.kind)
    ]
    counts = count_tokens([text[start:end] for (start, end), _ in spans])
    sentences: list[Sentence] = []
    for (span, number), tokens in zip(spans, counts, strict=True):
        if tokens <= max_tokens:
            sentences.append(_sentence(text, span, number))
        else:
            sentences += _pieces(text, span, number, count_tokens, max_tokens)
    return sentences, sum(counts)


def _sentence(text: str, span: Span, block: int) -> Sentence:
    return Sentence(*span, count_words(text[span[0] : span[1]]), block)


def _pieces(text: str, span: Span, block: int, count_tokens: CountTokens, max_tokens: int) -> list[Sentence]:
    """A sentence that the encoder would cut, halved at white space until each piece fits."""
    done: list[Sentence] = []
    todo = [span]
    while todo:
        start, end = todo.pop()
        tokens = count_tokens([text[start:end]])[0]
        if tokens <= max_tokens or end - start < 2:
            done.append(_sentence(text, (start, end), block))
        else:
            todo += reversed(cut(text, start, end, longest=math.ceil((end - start) * 0.6)))
    return done


def pack(blocks: Sequence[Block], sentences: Sequence[Sentence]) -> list[Draft]:
    """Passages of about PASSAGE_WORDS words. Headings open the passage of the text below them.

    A section longer than that is cut into equal parts, so that no few words are left over at its end.
    """
    return [
        draft for section in _sections(blocks, sentences) for draft in _parts(section, blocks[section[0].block].zone)
    ]


def _sections(blocks: Sequence[Block], sentences: Sequence[Sentence]) -> Iterator[list[Sentence]]:
    section: list[Sentence] = []
    last: Block | None = None
    for number, group in groupby(sentences, key=lambda sentence: sentence.block):
        block = blocks[number]
        if last is not None and _parted(last, block):
            yield section
            section = []
        section += group
        last = block
    if section:
        yield section


def _parted(last: Block, block: Block) -> bool:
    """Does a passage end between these two blocks?"""
    if last.zone != block.zone or block.zone == "repeated":
        return True  # a repeated block is a passage by itself, so that it is the same one in every document
    if block.kind == "heading":
        return last.kind != "heading"
    return last.kind != "heading" and (last.kind == "table") != (block.kind == "table")


def _parts(section: Sequence[Sentence], zone: Zone) -> Iterator[Draft]:
    total = sum(sentence.words for sentence in section)
    parts = max(1, math.ceil(total / PASSAGE_WORDS))
    part: list[Sentence] = []
    words = done = made = 0
    for sentence in section:
        full = words + sentence.words > PASSAGE_WORDS
        even = done + sentence.words / 2 > total * (made + 1) / parts
        if part and (full or even):
            yield Draft(tuple(part), zone)
            part, words, made = [], 0, made + 1
        part.append(sentence)
        words += sentence.words
        done += sentence.words
    yield Draft(tuple(part), zone)

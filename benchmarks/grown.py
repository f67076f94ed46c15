"""Documents in any number, grown from real ones: new sentences from the halves of two, new vectors from both of theirs.

A sentence is the first half of one real sentence and the second half of another, and one word in sixty gets a number,
so that the vocabulary grows, too; its vector lies between the two real ones, with noise. So terms are as frequent as in
real text, and vectors crowd where real ones do. What is measured over them is time, memory and agreement with an exact
search, never whether an answer is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import qa
from qa.language import count_words
from qa.passages import Sentence
from qa.store import Prepared, content_key
from qa.types import Block, Reading

SENTENCES = 50
"""Sentences of a document, in paragraphs of five: about ten passages."""
_NUMBERED = 60
_NOISE = 0.02


@dataclass(frozen=True)
class Pool:
    """Real sentences and their vectors, (n, dimension)."""

    texts: list[str]
    vectors: NDArray[np.float32]


def pool_of(library: qa.Library) -> Pool:
    """The sentences of a library of real documents, each once."""
    store = library.store
    texts: dict[int, str] = {}
    for document, _, _ in store.document_rows():
        text, _, _ = store.text(document)
        for row in store.connection.execute(
            'SELECT s.vector, s."start", s."end" FROM sentences s JOIN passages p ON p.id = s.passage '
            "WHERE p.document = ?",
            (document,),
        ):
            texts.setdefault(row[0], " ".join(text[row[1] : row[2]].split()))
    ids = np.array(sorted(texts), dtype=np.int64)
    dimension = int(store.meta("dimension"))
    vectors = np.concatenate(list(store.vectors(ids, dimension))).astype(np.float32)
    return Pool([texts[row_id] for row_id in ids.tolist()], vectors)


def documents(pool: Pool, seed: int) -> Iterator[tuple[str, list[tuple[int, int]], NDArray[np.float16]]]:
    """Without end: a text, the spans of its sentences, and their vectors (sentences, dimension)."""
    random = np.random.default_rng(seed)
    while True:
        first, second = random.integers(0, len(pool.texts), (2, SENTENCES))
        share = random.uniform(0.3, 0.7, (SENTENCES, 1)).astype(np.float32)
        mixed = share * pool.vectors[first] + (1 - share) * pool.vectors[second]
        mixed += _NOISE * random.standard_normal(mixed.shape, dtype=np.float32)
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
        parts: list[str] = []
        spans: list[tuple[int, int]] = []
        place = 0
        for number, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
            start, end = pool.texts[a].split(), pool.texts[b].split()
            words = start[: max(1, len(start) // 2)] + end[len(end) // 2 :]
            for changed in np.flatnonzero(random.integers(0, _NUMBERED, len(words)) == 0).tolist():
                words[changed] = f"{words[changed].rstrip('.,;:')}{random.integers(0, 1_000_000)}"
            sentence = " ".join(words)
            spans.append((place, place + len(sentence)))
            gap = "\n\n" if number % 5 == 4 else " "
            parts += [sentence, gap]
            place += len(sentence) + len(gap)
        yield "".join(parts).rstrip(), spans, mixed.astype(np.float16)


def prepared(text: str, spans: list[tuple[int, int]]) -> Prepared:
    """A document ready to be written to a store."""
    blocks = tuple(Block("paragraph", spans[n][0], spans[n + 4][1]) for n in range(0, len(spans), 5))
    sentences = tuple(
        Sentence(start, end, count_words(text[start:end]), number // 5) for number, (start, end) in enumerate(spans)
    )
    return Prepared(content_key("text", 0, text), "text", "en", Reading(text, blocks), sentences, len(text) // 5)

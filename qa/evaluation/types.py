"""The nouns of evaluation: questions with gold, settings of a run, measured values, what became of one question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Unit = Literal["document", "page", "passage"]
"""What a ranking is judged by."""

UNANSWERABLE = "unanswerable"
"""The `kind` of a question that nothing in the library answers."""

RATED_BAD = "rated bad"
"""The `kind` of a question whose answer somebody rated bad, as `refdesk feedback` writes it: its gold is not known."""

Record = dict[str, Any]
"""What became of one question: a line of `questions.jsonl`, described in docs/evaluation.md."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the gold that its row has. What is empty is not judged.

    `sources` are relevant documents with their grade (0: judged and not relevant). `pages` stand in these sources.
    `passages` are ids or texts of the passages that answer. `answerable` is False where nothing in the library
    answers, None where the row says nothing either way.
    """

    id: str
    text: str
    answers: tuple[str, ...] = ()
    sources: Mapping[str, int] = field(default_factory=dict)
    pages: tuple[int, ...] = ()
    passages: tuple[str, ...] = ()
    kind: str = ""
    history: tuple[str, ...] = ()
    answerable: bool | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How questions are run.

    `k` passages are shown for a question, as on the page; the ranking is judged to the depth of all candidates. `by` is
    chosen from the gold when it is None. `dense_weight` replaces the library's own (1: cosine alone, 0: BM25 alone).
    `measures` are further ones, by their names in ir-measures.
    """

    k: int = 5
    by: Unit | None = None
    dense_weight: float | None = None
    measures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """A mean over `n` questions with its bootstrap 95 % interval."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """How far a run is: `done` of `total` questions, since `seconds`, `asked` of them in this call."""

    done: int
    total: int
    asked: int
    seconds: float

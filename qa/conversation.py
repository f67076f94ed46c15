"""Follow-up questions: what to search when a question leans on earlier ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qa.language import content_words, has_pointer
from qa.types import Turn

LEANING_WEIGHT = 0.6
"""Share of the scores for the conversation's text when the question leans on it: CAsT-21 R@5 63.9 → 77.9, CANARD
24.8 → 47.6; putting the texts together instead gives 71.4 and 34.8 (docs/design.md, "Follow-ups")."""
STANDING_WEIGHT = 0.3
"""The same share when the question could stand alone."""
_FEW_WORDS = 2
_OPENING = re.compile(
    r"\s*(and|but|or|so|also|then|what about|how about|und|aber|oder|y|pero|o|et|mais|ou|e|ma|a|и|а|но|или)\b",
    re.IGNORECASE,
)


def points_back(question: str) -> bool:
    """Does a question refer to an earlier one: by a pronoun, or an opening "And…"?"""
    return has_pointer(question) or bool(_OPENING.match(question))


def leans(question: str) -> bool:
    """Does a question need an earlier one: does it point back, or has it two content words at most?"""
    return points_back(question) or len(content_words(question)) <= _FEW_WORDS


def plan(question: str, turns: Sequence[str | Turn]) -> tuple[tuple[float, str], ...]:
    """What to search, as (weight, text): the question, and its text after the first and the previous question.

    The first is that of the topic: the last one that was answered alone. The weights sum to 1. Scores are mixed, not
    texts, so that a change of topic survives.
    """
    topics = [place for place, turn in enumerate(turns) if isinstance(turn, Turn) and turn.alone]
    turns = turns[topics[-1] :] if topics else turns
    earlier = [turn if isinstance(turn, str) else turn.question for turn in turns]
    earlier = [text.strip() for text in earlier if text.strip()]
    if not earlier:
        return ((1.0, question),)
    whole = " ".join(dict.fromkeys((earlier[0], earlier[-1], question)))
    share = LEANING_WEIGHT if leans(question) else STANDING_WEIGHT
    return ((1 - share, question), (share, whole))

"""Questions to start with, made of the library's own headings."""

from __future__ import annotations

import re
from weakref import WeakKeyDictionary

from qa import Library
from qa.errors import QAError
from qa.escape import plain

SHOWN = 4
_TRIED = 16
_WORDS = range(1, 9)
_LONGEST = 70
_ASKS = {
    "en": "What is said about “{}”?",
    "de": "Was steht über „{}“?",
    "es": "¿Qué se dice sobre «{}»?",
    "fr": "Que dit-on de « {} » ?",
    "it": "Che cosa si dice di «{}»?",
    "pt": "O que se diz sobre «{}»?",
    "nl": "Wat staat er over “{}”?",
    "ru": "Что сказано о «{}»?",
}
"""A question by language that adds nothing but stop words to a heading; elsewhere the heading itself is asked."""
_NUMBER = re.compile(r"^(?:[#§]+\s*|\d+(?:\.\d+)*[.)]?\s+|[IVXLC]+\.\s+)")

_made: WeakKeyDictionary[Library, tuple[int, tuple[str, ...]]] = WeakKeyDictionary()


def suggestions(library: Library) -> tuple[str, ...]:
    """Up to SHOWN questions that this library has an answer to, each of another document where there are enough.

    They are made once for a state of the library. Without an encoder there are none.
    """
    generation = library.store.generation()
    kept = _made.get(library)
    if kept is None or kept[0] != generation:
        try:
            kept = generation, tuple(_answered(library))
        except QAError:
            kept = generation, ()
        _made[library] = kept
    return kept[1]


def _answered(library: Library) -> list[str]:
    by_document: dict[int, list[str]] = {}
    for document, language, heading in library.headings():
        question = _question(heading, language)
        if question:
            by_document.setdefault(document, []).append(question)
    # A document's first heading is often its title; the second says more.
    tried = [questions[place] for place in (1, 2, 0, 3) for questions in by_document.values() if place < len(questions)]
    found: list[str] = []
    for question in list(dict.fromkeys(tried))[:_TRIED]:
        if len(found) == SHOWN:
            break
        if library.ask(question, k=3).found:
            found.append(question)
    return found


def _question(heading: str, language: str) -> str:
    words = _NUMBER.sub("", plain(heading)).strip(" .:–—-#*_`")
    if len(words) > _LONGEST or len(words) < 4 or len(words.split()) not in _WORDS or "\ufffd" in words:
        return ""
    if words.endswith("?"):
        return words
    return _ASKS.get(language, "{}").format(words)

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
    "en": ("What is said about “{}”?", "{}?", "who whom whose what which when where why how"),
    "de": ("Was steht über „{}“?", "{}?", "wer wen wem wessen was welche welcher welches wann wo warum wie"),
    "es": ("¿Qué se dice sobre «{}»?", "¿{}?", "quién quiénes qué cuál cuáles cuándo dónde cómo cuánto cuántos"),
    "fr": ("Que dit-on de « {} » ?", "{} ?", "qui que quoi quel quelle quels quand où comment combien pourquoi"),
    "it": ("Che cosa si dice di «{}»?", "{}?", "chi che cosa quale quali quando dove come perché quanto quanti quante"),
    "pt": ("O que se diz sobre «{}»?", "{}?", "quem que qual quais quando onde como quanto quantos quantas"),
    "nl": ("Wat staat er over “{}”?", "{}?", "wie wat welke welk wanneer waar waarom hoe hoeveel"),
    "ru": ("Что сказано о «{}»?", "{}?", "кто что какой какая какие когда где куда почему как сколько"),
}
"""By language: a question that adds nothing but stop words to a heading, how one is written that is a question already,
and the words by which that is told. Elsewhere the heading itself is asked."""
_AROUND = " .:–—-#*_`"
_PARTS = (
    "appendix|article|chapter|part|section|abschnitt|anhang|artikel|kapitel|teil|anexo|artículo|capítulo|parte|sección|"
    "annexe|chapitre|partie|allegato|articolo|capitolo|sezione|artigo|seção|bijlage|deel|hoofdstuk|глава|раздел|часть"
)
_NUMBER = re.compile(
    rf"^(?:(?i:{_PARTS})\s+(?:\d+[a-z]?(?:\.\d+)*|[IVXLC]+|[A-Z])\b[.):]*(?:\s+[–—-])?\s*"
    r"|§+\s*(?:\d+[a-z]?(?:\.\d+)*[.):]?\s+)?"
    r"|\d{1,3}(?:\.\d+)*(?:[.):]\s+|\s+(?![a-z]))"
    r"|[IVXLC]+[.):]\s+)"
)
"""What counts a heading: "Chapter 3:", "§ 3a", "2.1", "IV."; not "24" of "24 months"."""

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
    names = set()
    for document, language, heading in library.headings():
        names.add(_bare(heading).casefold())
        question = _question(heading, language)
        if question:
            by_document.setdefault(document, []).append(question)
    # A document's first heading is often its title; the second says more.
    tried = [questions[place] for place in (1, 2, 0, 3) for questions in by_document.values() if place < len(questions)]
    found: list[str] = []
    for question in list(dict.fromkeys(tried))[:_TRIED]:
        if len(found) == SHOWN:
            break
        answer = library.ask(question, k=3)
        if answer.found and any(_bare(said.text).casefold() not in names for said in answer.sentences):
            found.append(question)  # a heading alone says nothing
    return found


def _bare(heading: str) -> str:
    """A heading without its number and what surrounds it."""
    return _NUMBER.sub("", plain(heading).strip(_AROUND)).strip(_AROUND)


def _question(heading: str, language: str) -> str:
    words = _bare(heading)
    if len(words) > _LONGEST or len(words) < 4 or len(words.split()) not in _WORDS or "\ufffd" in words:
        return ""
    if words.endswith("?"):
        return words
    about, asked, asking = _ASKS.get(language, ("{}", "{}", ""))
    return (asked if words.split()[0].casefold() in asking.split() else about).format(words)

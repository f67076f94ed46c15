"""Words of a text as search terms: stemmed, without stop words, each by its language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

UNKNOWN = ""
"""The language of a text too short or too mixed to tell."""

# ISO 639-1 codes to the names that PyStemmer and the stop-word lists use.
STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi",
    "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali",
    "nl": "dutch", "no": "norwegian", "nb": "norwegian", "nn": "norwegian", "pl": "polish", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
_STOP_LISTS = {
    "da": "DANISH", "de": "GERMAN", "en": "EN_PLUS", "es": "SPANISH", "fr": "FRENCH", "it": "ITALIAN", "nl": "DUTCH",
    "no": "NORWEGIAN", "nb": "NORWEGIAN", "nn": "NORWEGIAN", "pt": "PORTUGUESE", "ru": "RUSSIAN", "sv": "SWEDISH",
    "tr": "TURKISH",
}  # fmt: skip

# Words by which a question asks: a text that answers does not hold them, and a term that a library does not hold
# counts most. The Snowball lists leave out these.
_QUESTION_WORDS = {
    "en": "whose whether would could shall may might must many much also please tell say us get",
    "de": "wer wen wem wessen warum wieso weshalb wann wohin woher woran worin wofür wogegen womit wovon wodurch "
    "wieviel wieviele viele wurde wurden worden gibt welch",
    "es": "quién quiénes cuál cuáles cuánto cuántos cuánta cuántas cuándo dónde cómo adónde qué haber ser",
    "fr": "qui quoi quel quelle quels quelles où quand comment pourquoi combien lequel laquelle lesquels est ce",
    "it": "quale quali quanto quanti quanta quante quando dove perché chi cosa come",
    "nl": "wie wat waar wanneer waarom hoe welke welk hoeveel wiens waarmee waarvan",
    "pt": "qual quais quem quando onde quanto quantos quanta quantas porquê como que",
    "ru": "какие каких какого какому какую каким какими каком какое каково кого кому кем чей чья чьё чьи чьей чьего "
    "сколько почему откуда который которая которое которые которого которой которых котором чему чём чём были "
    "являются является также это этих",
    "sv": "vem vad var när varför hur vilken vilket vilka vems många mycket",
    "da": "hvem hvad hvor hvornår hvorfor hvordan hvilken hvilket hvilke hvis mange meget",
    "no": "hvem hva hvor når hvorfor hvordan hvilken hvilket hvilke hvis mange mye",
    "tr": "kim ne nerede nereye nereden nasıl neden niçin hangi hangisi kaç kimin",
    "pl": "kto co gdzie kiedy dlaczego jak jaki jaka jakie który która które ile czyj czy jest są był była było były "
    "w we na z ze do od po i oraz a o u dla przez się nie to ten ta",
}

# Words that point back to something said before: a question with one of them follows up on an earlier one.
_POINTERS = {
    "en": "he him his she her hers it its they them their theirs this that these those there then one ones",
    "de": "er ihn ihm sein seine seinen seiner sie ihr ihre ihren ihrer es dies dieser diese dieses diesem diesen "
    "jener jene jenes dort dann davon damit dafür dabei daran darin darüber",
    "es": "él ella ellos ellas lo la los las le les su sus este esta estos estas ese esa eso esos esas aquello allí",
    "fr": "il elle ils elles lui leur leurs son sa ses ce cet cette ces celui celle ceux celles cela ça y en là",
    "it": "lui lei loro esso essa essi esse suo sua suoi sue questo questa questi queste quello quella lì ci",
    "nl": "hij hem zijn zij ze haar hun hen het dit dat deze die daar dan ervan",
    "pt": "ele ela eles elas seu sua seus suas este esta isto esse essa isso aquele aquela lá dele dela",
    "ru": "он она оно они его её ее их ему ей им ним ней них этот эта это эти этого этой этом там тогда тот та те",
    "sv": "han honom hans hon henne hennes den det de dem deras dess detta denna dessa där då",
    "da": "han ham hans hun hende hendes den det de dem deres dette denne disse der da",
    "no": "han ham hans hun henne hennes den det de dem deres dette denne disse der da",
}

_WORD = re.compile(r"[^\W_]+")
# Scripts written without spaces: their runs are cut into pairs of characters.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_STEM_WORD = 40
"""Longer words (hashes, base64) are kept as they are."""


def detect(text: str) -> str:
    """ISO 639-1 code of a text's language, UNKNOWN where nothing tells it.

    Under 40 letters the identifier guesses, and so it does where its probability is below a half: of XQuAD's 960
    paragraphs in four languages, 958 reach that for the right language and none for a wrong one. The stop words
    decide then.
    """
    sample = text if len(text) <= 20_000 else text[:8_000] + text[len(text) // 2 :][:8_000]
    if sum(character.isalpha() for character in sample) >= 40:
        code, probability = _identifier().classify(sample)
        if probability >= 0.5:
            return str(code)
    return language_of_question(sample)


def terms(text: str, language: str) -> list[str]:
    """The search terms of a text in order, with repetitions: lower case, stemmed, no stop words of its language."""
    lookup = _lookup(language)
    return [term for word in words(text) if (term := lookup(word))]


@lru_cache(maxsize=1_024)
def question_terms(text: str, language: str) -> tuple[str, ...]:
    """The search terms of a question to texts in `language`; stop words of the question's own language go too."""
    asked_in = language_of_question(text)
    stop = stop_words(asked_in) if asked_in else frozenset()
    lookup = _lookup(language)
    found = tuple(term for word in words(text) if word not in stop and (term := lookup(word)))
    return found or tuple(map(_fold, words(text)))  # "Who are we?": better its stop words than nothing


def content_words(text: str) -> list[str]:
    """The words of a question that are no stop words of its language."""
    stop = stop_words(language_of_question(text))
    return [word for word in words(text) if word not in stop]


def has_pointer(text: str) -> bool:
    """Does the question hold a word that points back, such as a pronoun?"""
    found = set(words(text))
    languages = [language_of_question(text)] if language_of_question(text) else ["en"]
    return any(found & _pointers(language) for language in languages)


def words(text: str) -> list[str]:
    """The words of a text, lower case; runs of a script without spaces as overlapping pairs of characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    split: list[str] = _WORD.findall(folded)
    if not _UNSPACED.search(folded):
        return split
    found: list[str] = []
    for word in split:
        if _UNSPACED.search(word):
            found += _pairs(word)
        else:
            found.append(word)
    return found


def count_words(text: str) -> int:
    """How many words a text has; in scripts without spaces a character is counted as one."""
    return len(_WORD.findall(_UNSPACED.sub(lambda run: "x " * len(run.group()), text)))


def language_of_question(text: str) -> str:
    """The language whose stop words a short text holds most of, UNKNOWN if it holds none. Loads no model."""
    found = set(_WORD.findall(text.casefold()))
    counts = {language: len(found & stop_words(language)) for language in _STOP_LISTS if language not in ("nb", "nn")}
    best = max(counts, key=lambda language: (counts[language], language == "en"))
    return best if counts[best] else UNKNOWN


@cache
def stop_words(language: str) -> frozenset[str]:
    """Stop words of a language, question words included; none where there is no list."""
    listed: Iterable[str] = ()
    if language in _STOP_LISTS:
        listed = getattr(_listed(), f"STOPWORDS_{_STOP_LISTS[language]}")
    asking = _QUESTION_WORDS.get({"nb": "no", "nn": "no"}.get(language, language), "").split()
    # The words are split at apostrophes, so the lists are, too.
    return frozenset(part for word in (*listed, *asking) for part in _WORD.findall(word.casefold()))


@cache
def _listed() -> ModuleType:
    """bm25s's lists, without the package around them, which loads SciPy: .1 of the .8 s that a first question takes."""
    package = find_spec("bm25s")
    folders = package.submodule_search_locations if package else None
    if not folders:
        raise ImportError("the package bm25s is missing: reinstall refdesk")
    spec = spec_from_file_location("refdesk_stop_words", Path(folders[0]) / "stopwords.py")
    if spec is None or spec.loader is None:
        raise ImportError("the package bm25s has no stop words: reinstall it")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _pointers(language: str) -> frozenset[str]:
    return frozenset(_POINTERS.get(language, "").split())


@lru_cache(maxsize=64)
def _lookup(language: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - an lru_cache object
    """A cached function from a lower-case word to its term, "" for a stop word."""
    import Stemmer

    stop = stop_words(language)
    stemmer = Stemmer.Stemmer(STEMMERS[language], 0) if language in STEMMERS else None

    @lru_cache(maxsize=200_000)
    def term(word: str) -> str:
        if word in stop:
            return ""
        if stemmer is not None and len(word) <= _STEM_WORD:
            word = stemmer.stemWord(word)
        return _fold(word)

    return term


def _fold(word: str) -> str:
    """Without accents, in alphabets where people leave them out when they type."""
    if word.isascii():
        return word
    return "".join(
        base if "LATIN" in unicodedata.name(character, "") or "GREEK" in unicodedata.name(character, "") else character
        for character in word
        for base in [unicodedata.normalize("NFKD", character)[0]]
    )


def _pairs(word: str) -> list[str]:
    found: list[str] = []
    place = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > place:
            found.append(word[place : run.start()])
        text = run.group()
        found += [text[i : i + 2] for i in range(len(text) - 1)] or [text]
        place = run.end()
    return found + ([word[place:]] if place < len(word) else [])


@cache
def _identifier():  # type: ignore[no-untyped-def]  # noqa: ANN202 - py3langid has no types
    """py3langid's model, which takes half a second to load: used when documents are read, not when asking."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

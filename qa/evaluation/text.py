"""When does a text hold an answer, and how much of one: string match, exact match and token F1."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_CHARACTER_IS_WORD = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")


# Typed quotation marks and dashes for printed ones; Markdown's emphasis and code marks stand for nothing.
_PLAIN = str.maketrans("‘’‚‛“”„‟–—−‐‑", "'" * 4 + '"' * 4 + "-" * 5, "*`\u00ad\u200b")
_AROUND = re.compile(r"""^(?:[\s,;:!?…"'()\[\]«»。、，；：！？]|\.(?!\d))+|[\s.,;:!?…"'()\[\]«»。、，；：！？]+$""")


def collapsed(text: str) -> str:
    """Text without what a string match should not depend on: case, white space, the kind of quotation marks and dashes,
    Markdown's emphasis, compatibility forms."""
    return " ".join(unicodedata.normalize("NFKC", text.translate(_PLAIN)).casefold().split())


def wanted(answer: str) -> str:
    """A gold answer as it is looked for: `collapsed`, without the punctuation around it, such as a full stop that was
    copied with it."""
    plain = collapsed(answer)
    return _AROUND.sub("", plain) or plain


def holds(text: str, answer: str) -> bool:
    """Does a text, `collapsed`, hold an answer, `wanted`, at the edges of words? "5" is not in "1995"."""
    place = text.find(answer) if answer else -1
    while place >= 0:
        end = place + len(answer)
        if not _joined(text, place) and not _joined(text, end):
            return True
        place = text.find(answer, place + 1)
    return False


def _joined(text: str, place: int) -> bool:
    """Is a place inside a word or a number: between two letters of a script with capitals, two digits, a letter and a
    digit, or at the point of "1.5"? Scripts without capitals often join words, or have no spaces, so that it is not."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    if after.isdigit():
        return before.isdigit() or _cased(before) or (before in ".," and text[place - 2 : place - 1].isdigit())
    if before.isdigit():
        return after in ".," and text[place + 1 : place + 2].isdigit()
    return _cased(before) and _cased(after)


def _cased(character: str) -> bool:
    return character.lower() != character.upper()


def spans(text: str, wanted: str, *, whole_words: bool = False) -> Iterator[tuple[int, int]]:
    """Where `wanted` stands in a text, (start, end), apart from what `collapsed` leaves out."""
    words = ["".join(map(_character, word)) for word in wanted.translate(_PLAIN).split()]
    words = [word for word in words if word]
    if words:
        pattern = re.compile(_BETWEEN.join(words), re.IGNORECASE)
        for found in pattern.finditer(text):
            start, end = found.span()
            if not whole_words or not (_joined(text, start) or _joined(text, end)):
                yield start, end


_BETWEEN = "[\\s*`\u00ad\u200b]+"
_PRINTED = {"'": "['‘’‚‛]", '"': '["“”„‟]', "-": "[-–—−‐‑]"}


def _character(character: str) -> str:
    """A character as a pattern that finds its printed forms, too."""
    return _PRINTED.get(character, re.escape(character))


def normalized(text: str) -> list[str]:
    """SQuAD's normalisation: tokens in lower case without punctuation and articles.

    Punctuation of every script counts, and characters of scripts without spaces are tokens of their own (as in MLQA).
    """
    text = _CHARACTER_IS_WORD.sub(r" \1 ", text.lower())
    plain = "".join(" " if unicodedata.category(c)[0] == "P" and not c.isascii() else c for c in text)
    bare = "".join(c for c in plain if not (c.isascii() and unicodedata.category(c)[0] in "PS"))
    return _ARTICLES.sub(" ", bare).split()


def exact_match(text: str, answers: Sequence[str]) -> float:
    """1 if a text is one of the answers after normalisation, else 0 (Rajpurkar et al. 2016)."""
    return float(any(normalized(text) == normalized(answer) for answer in answers))


def token_f1(text: str, answers: Sequence[str]) -> float:
    """The largest F1 of a text's tokens against an answer's, in [0, 1] (Rajpurkar et al. 2016)."""
    return max((_f1(normalized(text), normalized(answer)) for answer in answers), default=0.0)


def _f1(given: list[str], gold: list[str]) -> float:
    if not given or not gold:
        return float(given == gold)
    same = (Counter(given) & Counter(gold)).total()
    return 2 * same / (len(given) + len(gold))

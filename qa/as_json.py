"""Answers, hits and citations as JSON holds them: the same objects on the command line and in evaluation."""

from __future__ import annotations

from typing import Any

from qa.types import Answer, Citation, Hit


def answer_as_json(answer: Answer, *, misses: bool = False) -> dict[str, Any]:
    """An answer as the object that `refdesk ask --json` prints, with the nearest misses on request."""
    return {
        "question": answer.question,
        "searched": answer.searched,
        "found": answer.found,
        "answer": sentences_as_json(answer),
        "hits": [hit_as_json(hit) for hit in answer.hits],
        **({"misses": [hit_as_json(hit) for hit in answer.misses]} if misses else {}),
    }


def sentences_as_json(answer: Answer) -> list[dict[str, Any]]:
    """The quoted sentences of an answer with their citations."""
    return [
        {"text": sentence.text, "citations": [citation_as_json(citation) for citation in sentence.citations]}
        for sentence in answer.sentences
    ]


def hit_as_json(hit: Hit) -> dict[str, Any]:
    """A hit as JSON holds it."""
    return {
        "rank": hit.rank,
        "score": round(hit.score, 6),
        "strength": hit.strength,
        "passage_id": hit.passage.id,
        "text": hit.passage.text,
        "citation": citation_as_json(hit.citation),
    }


def citation_as_json(citation: Citation) -> dict[str, Any]:
    """A citation as JSON holds it; the heading path in one string."""
    return {
        "id": citation.id,
        "source": citation.source,
        "title": citation.title,
        "page": citation.page,
        "heading": " › ".join(citation.heading) or None,
        "line": citation.line,
        "row": citation.row,
        "start": citation.start,
        "end": citation.end,
        "quote": citation.quote,
        "sources": list(citation.sources),
    }

"""The nouns that flow through Refdesk: frozen values, no behaviour beyond what they derive from themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

BlockKind = Literal["heading", "paragraph", "list", "table", "code", "quote"]
Zone = Literal["main", "aside", "repeated"]
Strength = Literal["strong", "partial", "weak"]


@dataclass(frozen=True, slots=True)
class Block:
    """A unit of a document's layout: `text[start:end]`, with the headings that stand above it.

    `heading` is the path of the headings in force, outermost first; a heading's own path includes itself.
    `page` counts from 1 and is None where the format has no pages; `row` is the row of a sheet that its first line is,
    each further line one more, and None where there are no sheets. `zone` is "aside" for text around the main
    one (menus, footers); "repeated" is given later, to blocks that stand in several documents.
    """

    kind: BlockKind
    start: int
    end: int
    heading: tuple[str, ...] = ()
    page: int | None = None
    zone: Zone = "main"
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader makes of one file: the whole text and its blocks, in order, not overlapping.

    Everything between two blocks is white space, so no text is outside them.
    """

    text: str
    blocks: tuple[Block, ...]
    title: str | None = None
    encoding: str | None = None
    pages: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """One text of the library. Files with the same bytes and kind share it, so it can have several sources."""

    id: str
    sources: tuple[str, ...]
    title: str
    kind: str
    language: str
    text: str
    encoding: str | None = None
    pages: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A row of the document list: one file, and what became of it ("indexed" or "failed", with the reason)."""

    source: str
    root: str
    state: Literal["indexed", "failed"]
    reason: str | None
    document_id: str | None
    title: str | None
    kind: str
    language: str | None
    encoding: str | None
    pages: int | None
    passages: int
    bytes: int
    indexed_at: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A run of whole sentences: `text == document.text[start:end]`, always."""

    id: str
    document_id: str
    text: str
    start: int
    end: int
    zone: Zone = "main"

    def holds(self, citation: Citation) -> bool:
        """Does a citation stand in this passage?"""
        same = citation.id.partition(".")[0] == self.document_id
        return same and self.start <= citation.start and citation.end <= self.end


@dataclass(frozen=True, slots=True)
class Citation:
    """Where words stand: `quote == document.text[start:end]`, checked before it is handed out.

    `id` names document, version and span, so that it opens the same words later or says that they are gone.
    `line` counts from 1 and is None where the stored text is not the file's own lines (HTML, PDF, DOCX). `row` is that
    of a sheet, whose name is in the heading, and None elsewhere.
    `sources` are all files that hold these words, `source` the first of them.
    """

    id: str
    source: str
    title: str
    page: int | None
    heading: tuple[str, ...]
    line: int | None
    start: int
    end: int
    quote: str
    sources: tuple[str, ...] = ()
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found, with the sentence in it that fits best as its citation.

    `score` is in [0, 1] and comparable between questions; `dense` is the best sentence's cosine and `lexical`
    the BM25 score over its maximum, the two that it is made of.
    """

    rank: int
    passage: Passage
    score: float
    strength: Strength
    citation: Citation
    dense: float = 0.0
    lexical: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question, and the ids of the passages that were shown for it.

    With `alone` it was answered without the questions before it: a topic begins there.
    """

    question: str
    shown: tuple[str, ...] = ()
    alone: bool = False


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """A sentence word for word, with the places where it stands (several, where documents repeat it)."""

    text: str
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The best sentences for a question, or the statement that no passage was found.

    `searched` is the text that was searched: the question, with the earlier ones where it follows up on them.
    `hits` are the passages retrieved, weak ones too; when all are weak, nothing was found and they are `misses`.
    """

    question: str
    searched: str
    found: bool
    sentences: tuple[AnswerSentence, ...]
    hits: tuple[Hit, ...]
    misses: tuple[Hit, ...] = ()

    def matches(self) -> tuple[Hit, ...]:
        """The hits that are not weak: what people are shown."""
        return tuple(hit for hit in self.hits if hit.strength != "weak")

    def turn(self) -> Turn:
        """This answer as an earlier turn of the conversation that goes on."""
        shown = tuple(hit.passage.id for hit in self.matches())
        return Turn(self.question, shown, alone=self.found and self.searched == self.question)


@dataclass(frozen=True, slots=True)
class Context:
    """A citation in its document: the text around it, by blocks, for showing."""

    citation: Citation
    document: Document
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a library uses for a language in place of the defaults: the weight of the cosine in [0, 1], and the score
    under which a hit is weak; None leaves the default."""

    dense_weight: float | None = None
    nothing_found: float | None = None


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What `sync` did with one file, and why. `root` is the folder that was indexed."""

    source: str
    state: Literal["added", "changed", "renamed", "unchanged", "removed", "failed"]
    reason: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a `sync` did. `outcomes` leaves unchanged files out; `counts` has every state's number."""

    outcomes: tuple[FileOutcome, ...]
    counts: Mapping[str, int]
    passages: int
    encoded: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long call is: `done` of `total` bytes of new text files, with passages and files so far."""

    stage: Literal["reading", "encoding", "finishing"]
    done: int
    total: int
    files: int
    files_total: int
    passages: int

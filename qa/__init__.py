"""Refdesk from Python: open or create a Library, sync it with folders, retrieve passages, ask questions."""

from qa.errors import (
    CitationError,
    EncoderError,
    LibraryBusyError,
    LibraryError,
    QAError,
    QuestionError,
    ReadError,
)
from qa.library import Library, Status
from qa.types import (
    Answer,
    AnswerSentence,
    Block,
    Citation,
    Context,
    Document,
    DocumentInfo,
    FileOutcome,
    Hit,
    Passage,
    Progress,
    SyncReport,
    Tuned,
    Turn,
)

__all__ = [
    "Answer",
    "AnswerSentence",
    "Block",
    "Citation",
    "CitationError",
    "Context",
    "Document",
    "DocumentInfo",
    "EncoderError",
    "FileOutcome",
    "Hit",
    "Library",
    "LibraryBusyError",
    "LibraryError",
    "Passage",
    "Progress",
    "QAError",
    "QuestionError",
    "ReadError",
    "Status",
    "SyncReport",
    "Tuned",
    "Turn",
]

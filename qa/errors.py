"""Every error a user can cause, on one screen. Each prints as one line: what was expected, what came, what to do."""

from __future__ import annotations


class QAError(Exception):
    """A mistake or a state that its user can mend; shown without a traceback."""


class LibraryError(QAError):
    """The library folder is missing, is not a library, or was written by a newer version."""


class LibraryExistsError(LibraryError):
    """A library is to be made where there is one."""


class LibraryBusyError(LibraryError):
    """Another process is writing to the library."""


class EncoderError(QAError):
    """The encoder cannot be loaded, or is another one than the library's."""


class QuestionError(QAError):
    """The question is empty or too long, or a parameter is out of range."""


class ReadError(QAError):
    """One file cannot be read; the others go on."""


class CitationError(QAError):
    """A citation's document is gone or has changed, so that its words cannot be opened."""


class QuestionsError(QAError):
    """A question set or a run cannot be read as one."""

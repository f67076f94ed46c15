"""What a filter leaves of a library, in words for who gave it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qa.library import Library

_SHOWN = 3
"""Sources named in a line; more are counted."""
_LONGEST = 60  # characters of a value in it


def unfit(library: Library, sources: str | Sequence[str] | None, where: Mapping[str, str]) -> str | None:
    """That no document has these sources and values, as a line; None where one has, or nothing was asked for.

    Raises:
        QuestionError: `where` names something that documents do not have.
    """
    globs = [sources] if isinstance(sources, str) else sources
    if (globs is None and not where) or library.store.documents_matching(globs, where):
        return None
    if globs is not None and not globs:
        return "no source was chosen"
    parts = [f"{name} {_shown(value)}" for name, value in where.items()]
    if globs:
        more = f" or {len(globs) - _SHOWN:,} more" if len(globs) > _SHOWN else ""
        parts.insert(0, f"source {' or '.join(map(_shown, globs[:_SHOWN]))}{more}")
    return f"no document has {' and '.join(parts)}"


def _shown(value: str) -> str:
    return repr(value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…")

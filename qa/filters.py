"""What a filter leaves of a library: which sources globs mean, and in words for who gave them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from fnmatch import translate
from typing import TYPE_CHECKING

from qa.errors import QuestionError

if TYPE_CHECKING:
    from qa.library import Library

MOST_PATTERNS = 100
"""Globs of one call that are neither a name nor a folder; of those there may be any number. All of 10,000 sources are
compared with so many in .1 s, and with the slowest that may be in .3 s."""
MOST_WILDCARDS = 32
"""Stars, question marks and brackets of such a glob."""
LONGEST_PATTERN = 1_000
"""Characters of such a glob, as long as a source may be in a call over HTTP."""
_STARS = re.compile(r"\*{2,}")
_WILD = re.compile(r"[*?[]")
_ITSELF = re.compile(r"\[([*?[])\]")
"""A wildcard in brackets, which means itself."""

_SHOWN = 3
"""Sources named in a line; more are counted."""
_LONGEST = 60  # characters of a value in it


def matching(globs: Sequence[str], sources: Set[str]) -> set[str]:
    """Those of some sources that one of the globs is or matches, as `fnmatch` reads them.

    A glob that is the very name of a source means that one alone: names may hold brackets and stars. Names and folders
    ("reports/*") are looked up, so that only other globs cost more the more there are; those are bounded.

    Raises:
        QuestionError: there are too many other globs, or one is too long or has too many wildcards.
    """
    found = set(globs) & sources
    folders: set[str] = set()
    patterns: list[str] = []
    for glob in dict.fromkeys(_STARS.sub("*", glob) for glob in globs if glob not in found):
        head = glob.removesuffix("*")
        if _WILD.search(_ITSELF.sub("", head)) or (head != glob and not head.endswith("/")):
            patterns.append(_bounded(glob))
        elif head != glob:
            folders.add(_ITSELF.sub(r"\1", head))
        else:
            found |= {_ITSELF.sub(r"\1", head)} & sources
    if len(patterns) > MOST_PATTERNS:
        raise QuestionError(
            f"{len(patterns):,} globs were given: expected up to {MOST_PATTERNS} beside names and folders such as "
            "'reports/*'"
        )
    if folders:
        found |= {source for source in sources if not folders.isdisjoint(_above(source))}
    for pattern in patterns:
        fits = re.compile(translate(pattern)).match  # once, and not for each source
        found |= {source for source in sources if fits(source)}
    return found


def _bounded(glob: str) -> str:
    """A glob that can be compared with all sources.

    Raises:
        QuestionError: it cannot.
    """
    if len(glob) > LONGEST_PATTERN:
        raise QuestionError(f"source {_shown(glob)} has {len(glob):,} characters: expected up to {LONGEST_PATTERN:,}")
    wildcards = len(_WILD.findall(glob))
    if wildcards > MOST_WILDCARDS:
        raise QuestionError(f"source {_shown(glob)} has {wildcards} wildcards: expected up to {MOST_WILDCARDS}")
    return glob


def _above(source: str) -> Iterator[str]:
    """The folders that a source is in, each with its slash."""
    return (source[: slash.end()] for slash in re.finditer("/", source))


def unfit(library: Library, sources: str | Sequence[str] | None, where: Mapping[str, str]) -> str | None:
    """That no document has these sources and values, as a line; None where one has, or nothing was asked for.

    Raises:
        QuestionError: `where` names something that documents do not have.
    """
    if (sources is None and not where) or library.matching(sources, where):
        return None
    globs = [sources] if isinstance(sources, str) else sources
    if globs is not None and not globs:
        return "no source was chosen"
    parts = [f"{name} {_shown(value)}" for name, value in where.items()]
    if globs:
        more = f" or {len(globs) - _SHOWN:,} more" if len(globs) > _SHOWN else ""
        parts.insert(0, f"source {' or '.join(map(_shown, globs[:_SHOWN]))}{more}")
    return f"no document has {' and '.join(parts)}"


def _shown(value: str) -> str:
    return repr(value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…")

"""Which source a gold source means: question sets name documents by path, by the end of a path, or by their stem."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import PurePosixPath


class SourceNames:
    """The names of a library's or a run's documents, to be found by what a question set calls them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[str, list[str]] = {}
        self._by_file: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for name in names:
            path = _path(name)
            self._exact.setdefault(str(path), []).append(name)
            self._by_file.setdefault(path.name, []).append(name)
            self._by_stem.setdefault(path.stem, []).append(name)

    def matching(self, gold: str) -> list[str]:
        """The names that a gold source may mean: itself, else those of which one path ends with the other.

        A bare name without a suffix also means files with that stem, and files without a suffix are meant by such.
        """
        path = _path(gold)
        if found := self._exact.get(str(path)):
            return [gold] if gold in found else found
        if found := [name for name in self._by_file.get(path.name, []) if _is_end(path, _path(name))]:
            return found
        bare = str(path) == path.stem
        return [name for name in self._by_stem.get(path.stem, []) if bare or str(_path(name)) == path.stem]

    def near(self, gold: str) -> str | None:
        """A name that a gold source which means none may be meant for."""
        found = get_close_matches(_path(gold).name, self._by_file, 1, 0.6)
        return self._by_file[found[0]][0] if found else None


def _path(name: str) -> PurePosixPath:
    """A name as a path; the case of letters, how they are composed, "./" and backslashes do not count."""
    return PurePosixPath(unicodedata.normalize("NFC", name).casefold().replace("\\", "/"))


def _is_end(a: PurePosixPath, b: PurePosixPath) -> bool:
    """Does one of two paths end with the other?"""
    short, long = sorted((a.parts, b.parts), key=len)
    return bool(short) and long[-len(short) :] == short

"""A library's snapshots: made from the rows, kept up to date, saved beside them, made again where they don't fit."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from embeddings import EXACT
from qa.segment import Segment
from qa.snapshot import Part, Snapshot
from qa.store import Store

FORMAT = 2
"""Changes when the files' content or the terms of a text change, so that older files are made again."""
RUN = 50_000
"""Passages that a segment is made of at once, about 400 MB with their vectors and postings."""
GROWTH = 4
"""A segment is merged with the later ones unless it has this many times their passages: each passage is written again
about log4(n) times, and n passages are in about log4(n) segments."""
CHECKED = 64 * 2**20
"""Bytes of saved indexes whose content is compared whenever they are opened (40 ms); of larger ones only the sizes are,
and `refdesk doctor` compares the rest."""
DEAD = 0.2
"""Share of passages that are gone from which a segment is written anew without them."""

_SETTLING = 8
"""Files that wait for the disk at once; one after the other took five times as long."""

Save = Callable[[Segment], Segment]


def current(store: Store, dimension: int, before: Snapshot | None, folder: Path) -> Snapshot:
    """The snapshot of the store's present generation: `before` or the saved one, brought up to date in memory."""
    if before is not None and before.generation == store.generation() and before.of == _identity(store):
        return before
    saved = _saved(store, before, folder)  # first, so that the rows are never older
    with store.reading():
        return _brought_up(store, dimension, _base(store, before, saved), None)


def write(store: Store, dimension: int, before: Snapshot | None, folder: Path, *, lists: bool = True) -> Snapshot:
    """Save the indexes of the present generation; a crash leaves files that are used or made again, never wrong ones.

    With `lists`, segments that are too large to compare every vector get their lists. Only one process may write.
    """
    folder.mkdir(exist_ok=True)

    def save(segment: Segment) -> Segment:
        name = uuid.uuid4().hex[:12]
        segment.save(folder / name)
        return Segment.load(folder / name)

    manifest = _manifest(folder)
    there = {None, *(name for name, _ in manifest.get("parts", ()))}
    if before is not None and not {part.segment.name for part in before.parts} <= there:
        before = None  # another process has made all anew
    saved = _saved(store, before, folder)
    with store.reading():
        snapshot = _brought_up(store, dimension, _base(store, before, saved), save)
    parts = []
    for part in snapshot.parts:
        segment = part.segment
        if lists and len(segment.vectors) > EXACT and not segment.vectors.has_lists:
            segment = replace(segment, vectors=segment.vectors.with_lists(), name=None)
        parts.append(replace(part, segment=segment if segment.name else save(segment)))
    snapshot = replace(snapshot, parts=tuple(parts))
    _write_manifest(snapshot, folder, manifest.get("files", {}))
    with store.transaction():
        store.forget_removed(snapshot.removed)
    return snapshot


def problem(store: Store, folder: Path, *, thorough: bool = False) -> str | None:
    """What keeps the saved indexes from being used as they are, None if nothing does.

    Sizes of files are compared, and their content too if it is to be `thorough`.
    """
    manifest = _manifest(folder)
    if not manifest:
        return "the saved indexes are missing or cannot be read"
    if not _fits(manifest, store):
        return "the saved indexes are of another library, encoder or version"
    damaged = _damaged(folder, manifest, thorough=thorough)
    if damaged is not None:
        if _manifest(folder) != manifest:  # another process has put others in its place meanwhile
            return problem(store, folder, thorough=thorough)
        return f"the saved index {damaged} is missing or damaged"
    return None if manifest["generation"] == store.generation() else "the saved indexes are older than the rows"


def _damaged(folder: Path, manifest: dict[str, Any], *, thorough: bool) -> str | None:
    """The first file that is not as it was written, None if all are."""
    thorough = thorough or sum(size for size, _ in manifest["files"].values()) <= CHECKED
    for name, (size, digest) in manifest["files"].items():
        path = folder / name
        try:
            sound = path.stat().st_size == size and not (thorough and _sha256(path) != digest)
        except OSError:
            sound = False
        if not sound:
            return str(name)
    return None


def _brought_up(store: Store, dimension: int, base: Snapshot, save: Save | None) -> Snapshot:
    """A snapshot brought to the rows: what was deleted since is marked, what is new is in segments of its own."""
    dead, removed = store.removed_passages(base.removed)
    parts = [part.without(np.unique(dead)) for part in base.parts]
    upto = store.last_passage()
    for first, last in _runs(store, base.upto + 1, upto):
        segment = Segment.build(store, first, last, dimension)
        parts.append(Part(segment if save is None else save(segment)))
    return Snapshot(
        of=_identity(store),
        generation=store.generation(),
        upto=max(upto, base.upto),
        removed=removed,
        parts=tuple(_merged(parts, save)),
        known={language: characters / max(1, tokens) for language, characters, tokens in store.languages()},
        tuned=store.tuned(),
    )


def _runs(store: Store, first: int, upto: int) -> Iterator[tuple[int, int]]:
    """The first and last row ids of runs of RUN passages."""
    while first <= upto and (last := store.passage_after(first, RUN)) is not None:
        yield first, last
        first = last + 1


def _merged(parts: Sequence[Part], save: Save | None) -> Iterator[Part]:
    """The parts with small neighbours merged, largest first; only those in memory if there is no `save`."""
    groups: list[list[Part]] = []
    for part in reversed([part for part in parts if part.live]):
        may = save is not None or part.segment.name is None
        if groups and may and part.live < GROWTH * sum(one.live for one in groups[-1]):
            groups[-1].insert(0, part)
        else:
            groups.append([part])
    for group in reversed(groups):
        rewritten = group[0].live < (1 - DEAD) * len(group[0].segment) and save is not None
        if len(group) == 1 and not rewritten:
            yield group[0]
        else:
            segment = Segment.merged([(part.segment, part.mask) for part in group])
            yield Part(segment if save is None else save(segment))


def _base(store: Store, before: Snapshot | None, saved: Snapshot | None) -> Snapshot:
    """What is nearest to the rows: the saved snapshot, the one before, or an empty one."""
    forgotten = store.forgotten()
    for one in (saved, before):
        fits = one is not None and one.of == _identity(store) and one.generation <= store.generation()
        if one is not None and fits and forgotten <= one.removed:
            return one
    return Snapshot(_identity(store), -1, 0, forgotten, (), {}, {})


def _saved(store: Store, before: Snapshot | None, folder: Path) -> Snapshot | None:
    """The saved snapshot, None if there is none that is sound and newer than `before`."""
    while True:
        manifest = _manifest(folder)
        if not manifest or not _fits(manifest, store):
            return None
        if before is not None and before.of == manifest["of"] and before.generation >= manifest["generation"]:
            return None
        loaded = _loaded(folder, manifest, before)
        if loaded is not None or _manifest(folder) == manifest:
            return loaded
        # else another process has put others in its place meanwhile


def _loaded(folder: Path, manifest: dict[str, Any], before: Snapshot | None) -> Snapshot | None:
    """The snapshot of a manifest, None if a file is not as it was written; segments that are open stay so."""
    opened = {part.segment.name: part.segment for part in before.parts} if before else {}
    try:
        if _damaged(folder, manifest, thorough=False) is not None:
            return None
        parts = []
        for name, gone in manifest["parts"]:
            segment = opened.get(name) or Segment.load(folder / name)
            parts.append(Part(segment) if gone is None else _without(segment, folder / gone))
        return Snapshot(
            manifest["of"], manifest["generation"], manifest["upto"], manifest["removed"], tuple(parts), {}, {}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _without(segment: Segment, path: Path) -> Part:
    with np.load(path, allow_pickle=False) as gone:
        kept = np.ones(len(segment), dtype=np.bool_)
        kept[gone["rows"]] = False
        return Part(segment, kept, dict(zip(gone["terms"].tolist(), gone["counts"].tolist(), strict=True)))


def _write_manifest(snapshot: Snapshot, folder: Path, before: dict[str, Any]) -> None:
    """Name the files of a snapshot, which are on the disk before that, and delete all others."""
    parts: list[tuple[str, str | None]] = []
    for part in snapshot.parts:
        name, gone = str(part.segment.name), None
        if part.kept is not None:
            gone = f"{name}-{snapshot.generation}.npz"
            terms, counts = np.array(list(part.gone), dtype=np.uint64), np.array(list(part.gone.values()))
            np.savez(folder / gone, rows=np.flatnonzero(~part.kept), terms=terms, counts=counts)
        parts.append((name, gone))
    paths = [path for name, _ in parts for path in sorted((folder / name).iterdir())]
    paths += [folder / gone for _, gone in parts if gone]
    files = {path.relative_to(folder).as_posix(): path for path in paths}
    made = [name for name in files if name not in before or name.endswith(".npz")]
    with ThreadPoolExecutor(_SETTLING) as threads:
        sums = dict(zip(made, threads.map(lambda name: _settled(files[name]), made), strict=True))
    content = {
        "format": FORMAT,
        "of": snapshot.of,
        "generation": snapshot.generation,
        "upto": snapshot.upto,
        "removed": snapshot.removed,
        "parts": parts,
        "files": {name: sums.get(name) or before[name] for name in files},
    }
    partial = folder / "manifest.part"
    partial.write_text(json.dumps(content))
    _settled(partial)
    os.replace(partial, folder / "manifest.json")
    wanted = {"manifest.json", *(name for part in parts for name in part if name)}
    for path in folder.iterdir():
        if path.name not in wanted:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the saved indexes, empty if there is none that can be read."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        sound = all(isinstance(manifest[key], int) for key in ("format", "generation", "upto", "removed"))
        return manifest if sound and manifest["files"] is not None and manifest["parts"] is not None else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _fits(manifest: dict[str, Any], store: Store) -> bool:
    return bool(manifest["format"] == FORMAT and manifest["of"] == _identity(store))


def _identity(store: Store) -> str:
    """What saved indexes must come from: this very library, with this encoder."""
    return f"{store.meta('library')} {store.meta('encoder')}"


def _settled(path: Path) -> tuple[int, str]:
    """A file's size and SHA-256, once it is on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return path.stat().st_size, _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

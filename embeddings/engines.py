"""Engines kept on disk, under what they were made of: found, or made once by one of several processes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from embeddings.compiled import Compiled, DamagedEngineError, import_openvino
from embeddings.making import EngineError, make, precisions_here
from embeddings.reference import Reference

FORMAT = 1
"""Of an engine's files. Another number makes all engines anew."""

REFUSED = "refused.json"
WAIT = 120.0
"""Seconds to wait for another process that makes the same engine; it takes about ten."""


def cache_folder() -> Path:
    """Where engines are kept: `$REFDESK_CACHE`, else `refdesk` in the user's cache folder. May be deleted any time."""
    if chosen := os.environ.get("REFDESK_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "refdesk"


def engine_of(hashes: Mapping[str, str], reference: Callable[[], Reference]) -> tuple[Compiled, str]:
    """The engine of the model whose files have `hashes`, from the cache or made now, and a remark or "".

    Args:
        hashes: SHA-256 of each file of the model, by path.
        reference: loads the model itself, on the CPU; called only when the engine must be made.

    Raises:
        EngineError: there is none.
    """
    try:
        openvino = import_openvino()
        import tokenizers  # noqa: F401
    except ImportError as error:
        raise EngineError(f"{error.name} is not installed") from error
    try:
        precisions = precisions_here(openvino)
    except RuntimeError as error:
        raise EngineError("OpenVINO does not know this processor") from error
    name = _key(hashes, openvino.__version__, precisions)
    folder = cache_folder() / "engines" / name
    try:
        return _opened(folder), ""
    except DamagedEngineError:
        pass
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _made_once(folder, reference, precisions), ""
    except OSError as error:
        with tempfile.TemporaryDirectory(prefix="refdesk-", ignore_cleanup_errors=True) as temporary:
            engine = make(Path(temporary), reference(), precisions)
        return engine, f"the engine is made at every start: cannot write {cache_folder()} ({error.strerror})"


def _key(hashes: Mapping[str, str], version: str, precisions: tuple[str, ...]) -> str:
    text = json.dumps([FORMAT, version, precisions, sorted(hashes.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _opened(folder: Path) -> Compiled:
    if (folder / REFUSED).is_file():
        try:
            raise EngineError(json.loads((folder / REFUSED).read_text(encoding="utf-8"))["reason"])
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedEngineError(f"{REFUSED} cannot be read") from error
    return Compiled.open(folder)


def _made_once(folder: Path, reference: Callable[[], Reference], precisions: tuple[str, ...]) -> Compiled:
    """The engine made in `folder`, by this process or by another one meanwhile; complete or not there at all."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder.with_suffix(".lock"), timeout=WAIT):
            try:
                return _opened(folder)
            except DamagedEngineError:
                pass
            making = folder.with_suffix(".making")
            for left in (making, folder):  # of a process that was killed; of a damaged engine
                shutil.rmtree(left, ignore_errors=True)
            making.mkdir(mode=0o700)
            try:
                engine = make(making, reference(), precisions)
                making.rename(folder)
            except EngineError as error:
                if error.lasting:
                    folder.mkdir(mode=0o700)
                    (folder / REFUSED).write_text(json.dumps({"reason": str(error)}), encoding="utf-8")
                raise
            finally:
                shutil.rmtree(making, ignore_errors=True)
            return engine
    except Timeout as error:
        raise EngineError("another process has been making the engine for two minutes") from error

"""What the readers of Office Open XML files share: a look at the zip before it is opened."""

from __future__ import annotations

import zipfile
from pathlib import Path

from qa.errors import ReadError

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MOST_BYTES = 300_000_000
_MOST_ENTRIES = 10_000
# Documents of real words compress by 5 to 20; the small parts of a template reach 100 and cost nothing.
_MOST_RATIO = 200
_RATIO_FROM = 10_000_000


def check_zip(path: Path, suffix: str, old: str) -> None:
    """Refuse zip bombs by what their directory declares: zipfile reads no more than that.

    Args:
        path: the file.
        suffix: of its kind, as in ".docx".
        old: that of the format before it, which is often saved under the new name.
    """
    with path.open("rb") as file:
        if file.read(8) == _OLE:
            raise ReadError(f"it has a password or is an old {old}: save it as {suffix} without a password")
    if not zipfile.is_zipfile(path):
        name = suffix[1:].upper()
        raise ReadError(f"not a readable {name} file (no zip archive, or cut off): open it to check, or save it again")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    if len(entries) > _MOST_ENTRIES:
        raise ReadError(
            f"{len(entries):,} parts inside, at most {_MOST_ENTRIES:,} are read: save it again without pictures"
        )
    if total > _MOST_BYTES:
        raise ReadError(
            f"{total // 1_000_000:,} MB when unpacked, at most {_MOST_BYTES // 1_000_000} are read: split it"
        )
    for entry in entries:
        if entry.file_size > _RATIO_FROM and entry.file_size > _MOST_RATIO * max(entry.compress_size, 1):
            raise ReadError(
                f"its part {entry.filename[:60]!r} unpacks to over {_MOST_RATIO} times its size: a zip bomb?"
            )

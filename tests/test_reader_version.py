"""A library that was read by an older Refdesk: its files are read and split anew, and nothing is encoded twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from qa import Library
from qa.originals import original
from qa.readers import READER_VERSION

PARAGRAPH = "The lamp of the lighthouse burns rapeseed oil."
LOG = f"{PARAGRAPH}\n\n2024-02-14 first flight at the garden\n2024-03-30 hive 7 queenless\n"


def test_files_are_read_anew_by_another_version(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "diary.log").write_text(LOG)
    with monkeypatch.context() as patch:
        patch.setattr("qa.sync.READER_VERSION", READER_VERSION - 1)
        patch.setattr("qa.passages.split", lambda _text, start, end, _kind: [(start, end)])  # as it once was
        assert library.sync([folder]).counts == {"added": 1}
    assert library.ask("When was hive 7 queenless?").sentences[0].text.startswith("2024-02-14")
    document = library.documents()[0].document_id
    assert document is not None
    with original(library, document) as found:  # it is still the file that was indexed
        assert found.file.read() == LOG.encode()

    report = library.sync([folder])
    assert report.counts == {"changed": 1}
    assert report.encoded == 2  # the two days: the paragraph's vector is still good
    assert library.status().documents == 1
    assert library.ask("When was hive 7 queenless?").sentences[0].text == "2024-03-30 hive 7 queenless"
    assert library.sync([folder]).counts == {"unchanged": 1}

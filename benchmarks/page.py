"""docs/performance.md, each of whose tables is put between its marks by the command that measured it."""

from __future__ import annotations

from pathlib import Path

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"


def put(section: str, text: str) -> None:
    """Replace what stands between `<!-- section -->` and the next `<!-- end -->`.

    Raises:
        ValueError: the page has no such marks.
    """
    first, last = f"<!-- {section} -->\n", "<!-- end -->"
    whole = DOCUMENT.read_text(encoding="utf-8")
    before, mark, rest = whole.partition(first)
    _, end, after = rest.partition(last)
    if not mark or not end:
        raise ValueError(f"{DOCUMENT.name} has no marks {first.strip()} and {last}")
    DOCUMENT.write_text(f"{before}{first}{text.strip()}\n{end}{after}", encoding="utf-8")

"""DOCX: the body in order, then notes, comments, headers and footers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from qa.errors import ReadError
from qa.readers.base import LONG_BLOCK, TextBuilder
from qa.readers.html import packed
from qa.readers.office import check_zip
from qa.types import Reading, Zone

# python-docx and lxml have no types.
_Element: TypeAlias = Any
_Object: TypeAlias = Any

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_BREAKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
# Parts that stand around the body. Their paragraphs come after it: where they belong is not known by page.
_AROUND = ("footnotes", "endnotes", "comments", "header", "footer")


@dataclass(frozen=True, slots=True)
class _Style:
    """What a paragraph style says: a heading of `level` (0: none), or a list."""

    level: int = 0
    is_list: bool = False


def read(path: Path) -> Reading:
    """Headings by style or outline level, lists joined, tables row by row, text boxes after their paragraph."""
    from docx import Document

    check_zip(path, ".docx", ".doc")
    document = Document(str(path))
    body = _Body(_styles(document.styles))
    body.read(document.element.body, "main")
    body.builder.end_sections()
    for element in _around(document.part):
        body.read(element, "aside")
    reading = body.builder.build(title=document.core_properties.title or body.title)
    if not reading.blocks:
        raise ReadError("no text in it: if it holds pictures of pages, run OCR on them first")
    return reading


def _styles(styles: _Object) -> dict[str, _Style]:
    """Each paragraph style by its id, with what it inherits."""
    return {style.style_id: _style(style) for style in styles if style.element.get(f"{_W}type") == "paragraph"}


def _style(style: _Object) -> _Style:
    level, is_list, seen = 0, False, 0
    while style is not None and seen < 20:  # styles may inherit in a circle
        name, properties = (style.name or "").lower(), style.element.find(f"{_W}pPr")
        if name == "title":
            level = level or 1
        elif name.startswith("heading ") and name[8:].isdigit():
            level = level or min(int(name[8:]), 9)
        level = level or _outline_level(properties)
        is_list = is_list or name.startswith("list") or _has_number(properties)
        style, seen = style.base_style, seen + 1
    return _Style(level, is_list and not level)


def _outline_level(properties: _Element | None) -> int:
    """The outline level of paragraph properties as a heading level; 0 for body text."""
    outline = properties.find(f"{_W}outlineLvl") if properties is not None else None
    value = outline.get(f"{_W}val") or "9" if outline is not None else "9"
    return int(value) + 1 if value in "012345678" else 0


def _has_number(properties: _Element | None) -> bool:
    number = properties.find(f"{_W}numPr/{_W}numId") if properties is not None else None
    return number is not None and number.get(f"{_W}val") != "0"


def _around(part: _Object) -> Iterator[_Element]:
    """The notes, comments, headers and footers of a document, each once."""
    from docx.oxml import parse_xml

    relations = [r for r in part.rels.values() if not r.is_external]
    for name in _AROUND:
        for relation in relations:
            if relation.reltype.rsplit("/", 1)[-1] == name:
                yield parse_xml(relation.target_part.blob)


class _Body:
    """Adds the paragraphs and tables of an XML tree to a builder; list paragraphs gather until another kind comes."""

    def __init__(self, styles: dict[str, _Style]) -> None:
        self.builder = TextBuilder()
        self.title: str | None = None
        self._styles = styles
        self._items: list[str] = []

    def read(self, root: _Element, zone: Zone) -> None:
        """Add everything in `root`."""
        for element in _outermost(root):
            if element.tag == f"{_W}tbl":
                self._end_list(zone)
                for text in packed(list(_rows(element))):
                    self.builder.add(text, "table", zone=zone)
            else:
                self._paragraph(element, zone)
        self._end_list(zone)

    def _paragraph(self, element: _Element, zone: Zone) -> None:
        text, boxes = _text(element)
        properties = element.find(f"{_W}pPr")
        style = self._style(properties)
        level = _outline_level(properties) or style.level
        if not text:
            pass
        elif level and zone == "main":
            self._end_list(zone)
            self.title = self.title or (text if level == 1 else None)
            self.builder.heading(text, level)
        elif style.is_list or _has_number(properties):
            self._items.append(" ".join(text.split()))
        else:
            self._end_list(zone)
            self.builder.add(text, zone=zone)
        for box in boxes:
            self.read(box, zone)

    def _style(self, properties: _Element | None) -> _Style:
        named = properties.find(f"{_W}pStyle") if properties is not None else None
        return self._styles.get(named.get(f"{_W}val") or "", _Style()) if named is not None else _Style()

    def _end_list(self, zone: Zone) -> None:
        items, self._items = self._items, []
        if sum(map(len, items)) <= LONG_BLOCK:
            items = ["\n".join(items)]
        for item in items:
            self.builder.add(item, "list", zone=zone)


def _outermost(root: _Element) -> Iterator[_Element]:
    """The paragraphs and tables of a tree that are in no other: content controls and changes are looked into.

    libxml2 refuses trees deeper than 256, so recursion is safe.
    """
    for child in root:
        if child.tag in (f"{_W}p", f"{_W}tbl"):
            yield child
        elif child.tag != _FALLBACK:
            yield from _outermost(child)


def _text(paragraph: _Element) -> tuple[str, list[_Element]]:
    """The words of a paragraph as they would print (inserted ones too, deleted ones not), and its text boxes."""
    parts: list[str] = []
    boxes: list[_Element] = []
    stack = list(reversed(paragraph))
    while stack:
        element = stack.pop()
        if element.tag == f"{_W}t":
            parts.append(element.text or "")
        elif element.tag in _BREAKS:
            parts.append(_BREAKS[element.tag])
        elif element.tag == f"{_W}txbxContent":
            boxes.append(element)
        elif element.tag not in (_FALLBACK, f"{_W}pPr"):
            stack.extend(reversed(element))
    return "".join(parts).strip(), boxes


def _rows(table: _Element) -> Iterator[str]:
    """The rows of a table, cells joined by bars; a table in a cell is read as words of the cell."""
    for row in table.iter(f"{_W}tr"):
        if next(row.iterancestors(f"{_W}tbl")) is not table:
            continue
        cells = [_cell(cell) for cell in _children(row, f"{_W}tc")]
        if any(cells):
            yield " | ".join(cells)


def _children(element: _Element, tag: str) -> Iterator[_Element]:
    """The elements of a tag, also those wrapped in content controls."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins"):
            yield from _children(child, tag)


def _cell(cell: _Element) -> str:
    """All words of a cell on one line, with those of text boxes and tables inside it."""
    parts: list[str] = []
    stack = [cell]
    while stack:
        element = stack.pop()
        if element.tag == f"{_W}t":
            parts.append(element.text or "")
        elif element.tag in _BREAKS or element.tag == f"{_W}p":
            parts.append(_BREAKS.get(element.tag, " "))
        if element.tag not in (_FALLBACK, f"{_W}pPr"):
            stack.extend(reversed(element))
    return " ".join("".join(parts).split())

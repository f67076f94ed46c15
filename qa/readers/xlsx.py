"""XLSX: each sheet under its name, a line for each row that has something in it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from qa.errors import ReadError
from qa.readers.base import LONG_BLOCK, TextBuilder, one_line
from qa.readers.office import check_zip
from qa.types import Reading, Zone

# openpyxl has no types.
_Sheet: TypeAlias = Any
_Object: TypeAlias = Any

_MIDNIGHT = datetime.time()
_LONGEST_LABEL = 80
"""Characters of a column's name; a longer text above a column is not one."""


class _Cell(NamedTuple):
    """A cell that is not empty: its text, whether it is one and no number or date, and whether it is printed bold."""

    column: int
    text: str
    is_text: bool
    is_bold: bool


_Row = tuple[int, list[_Cell]]
"""The number of a row, and its cells."""


def read(path: Path) -> Reading:
    """The values that were last calculated. Where a sheet starts with names of its columns, each row says them."""
    from openpyxl import load_workbook

    check_zip(path, ".xlsx", ".xls")
    book = load_workbook(path, read_only=True, data_only=True)
    try:
        builder = TextBuilder()
        for sheet in book.worksheets:
            zone: Zone = "main" if sheet.sheet_state == "visible" else "aside"
            sheet.reset_dimensions()  # else what the file says of its size is believed
            _add(builder, sheet.title, _rows(sheet), zone)
        reading = builder.build(title=book.properties.title)
    finally:
        book.close()
    if not any(block.kind == "table" for block in reading.blocks):
        raise ReadError("no text in it: its sheets are empty, or hold only charts and pictures")
    return reading


def _rows(sheet: _Sheet) -> Iterator[_Row]:
    for cells in sheet.rows:
        held = [cell for cell in cells if cell.value is not None]
        row = [
            _Cell(cell.column, text, isinstance(cell.value, str), bool(cell.font.b))
            for cell in held
            if (text := _shown(cell))
        ]
        if row:
            yield held[0].row, row


def _shown(cell: _Object) -> str:
    """A cell's value on one line, as a sheet shows it unless it is told otherwise."""
    value = cell.value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, (int, float)):
        percent = "%" in (cell.number_format or "")
        return f"{value * 100:.15g}%" if percent else f"{value:.15g}"
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == _MIDNIGHT else value.isoformat(" ", "minutes")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return " ".join(str(value).split())


def _add(builder: TextBuilder, name: str, rows: Iterable[_Row], zone: Zone) -> None:
    """Add a sheet: its name, and its rows in blocks that no empty row interrupts."""
    held = list(rows)
    if not held:
        return
    builder.heading(name, 1, zone=zone)
    labels = _labels(held)
    block: list[str] = []
    first, length = 0, 0

    def end() -> None:
        if block:
            builder.add("\n".join(block), "table", row=first, zone=zone)
            block.clear()

    for place, (number, cells) in enumerate(held):
        line = _line(cells, labels if place else {})
        if number != first + len(block) or length + len(line) > LONG_BLOCK:
            end()
        if not block:
            first, length = number, 0
        block.append(line)
        length += len(line) + 1
    end()


def _labels(rows: Sequence[_Row]) -> dict[int, str]:
    """The names of the columns by number, where the first row has them.

    They are several different texts, and bold, or above numbers or dates: else it may be a row like the others.
    """
    (_, first), others = rows[0], rows[1:]
    names = {cell.column: cell.text.rstrip(" :") for cell in first if cell.is_text and len(cell.text) <= _LONGEST_LABEL}
    if len(names) < max(2, len(first)) or len(set(names.values())) < len(names) or not others:
        return {}
    kinds = [cell.is_text for _, row in others for cell in row if cell.column in names]
    if not (all(cell.is_bold for cell in first) or not all(kinds)):
        return {}
    return {column: one_line(text) for column, text in names.items()}


def _line(cells: Sequence[_Cell], labels: dict[int, str]) -> str:
    """A row as a line; a cell in a column that has a name says it, unless it stands alone, as a note does."""
    if len(cells) < 2:
        labels = {}
    return " | ".join(f"{labels[cell.column]}: {cell.text}" if cell.column in labels else cell.text for cell in cells)

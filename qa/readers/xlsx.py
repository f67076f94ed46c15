"""XLSX: each sheet under its name, a line for each row that has something in it."""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from qa.errors import ReadError
from qa.readers.base import TextBuilder, one_line
from qa.readers.html import packed
from qa.readers.office import check_zip
from qa.types import Reading, Zone

# openpyxl has no types.
_Sheet: TypeAlias = Any
_Object: TypeAlias = Any

_MIDNIGHT = datetime.time()
_LONGEST_LABEL = 80
"""Characters of a column's name; a longer text above a column is not one."""
_MOST_TITLES = 5
"""Rows of a single cell that may stand above the names of the columns."""
_FIGURES = 0.8
"""Of what stands below a word that names figures: some cells say "none" or "-"."""
_LITERAL = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]|\[[^\]]*\]|[_*].')
_FIGURE = re.compile(r"[#0?][#0?,]*(?:\.[#0?]{1,30})?")
_YEAR = re.compile(r"(?:19|20)\d\d")


class _Cell(NamedTuple):
    """A cell that is not empty: its text, whether it is one and no number or date, and whether it is printed bold."""

    column: int
    text: str
    is_text: bool
    is_bold: bool

    @property
    def is_year(self) -> bool:
        """Is it a number that can be a year?"""
        return not self.is_text and _YEAR.fullmatch(self.text) is not None

    @property
    def has_digits(self) -> bool:
        """Is it a number, or a text with one?"""
        return not self.is_text or any(map(str.isdigit, self.text))


_Row = tuple[int, list[_Cell]]
"""The number of a row, and its cells."""


def read(path: Path) -> Reading:
    """The values that were last calculated. Where names of its columns stand above a table, each row says them."""
    from openpyxl import load_workbook

    check_zip(path, ".xlsx", ".xls")
    book = load_workbook(path, read_only=True, data_only=True)
    try:
        builder = TextBuilder()
        for sheet in book.worksheets:
            zone: Zone = "main" if sheet.sheet_state == "visible" else "aside"
            sheet.reset_dimensions()  # else what the file says of its size is believed
            _add(builder, sheet.title, _rows(sheet), zone)
        warnings = _warnings(path, book)
        reading = builder.build(title=book.properties.title, warnings=warnings)
    finally:
        book.close()
    if not any(block.kind == "table" for block in reading.blocks):
        raise ReadError("; ".join(warnings) or "no text in it: its sheets are empty, or hold only charts and pictures")
    return reading


def _warnings(path: Path, book: _Object) -> tuple[str, ...]:
    """What was not read: formulas without a value, as programs leave them that do not calculate."""
    from openpyxl import load_workbook

    if not _has_formulas(path):
        return ()
    formulas = load_workbook(path, read_only=True)
    try:
        missing = 0
        for sheet, other in zip(book.worksheets, formulas.worksheets, strict=True):
            other.reset_dimensions()
            for values, cells in zip(sheet.rows, other.rows, strict=False):
                missing += sum(b.data_type == "f" and a.value is None for a, b in zip(values, cells, strict=False))
    finally:
        formulas.close()
    what = "1 formula has no value in it" if missing == 1 else f"{missing:,} formulas have no value in it"
    return (f"{what}: open it in a spreadsheet program, and save it again",) if missing else ()


def _has_formulas(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/"):
                with archive.open(name) as part:
                    tail = b""
                    while block := part.read(1 << 20):
                        if b"<f>" in tail + block or b"<f " in tail + block:
                            return True
                        tail = block[-2:]
    return False


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
    """A cell's value on one line as a sheet shows it; dates as ISO 8601 has them."""
    value = cell.value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, (int, float)):
        return _formatted(value, cell.number_format or "") or f"{value:.15g}"
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == _MIDNIGHT else value.isoformat(" ", "minutes")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return " ".join(str(value).split())


def _formatted(value: float, code: str) -> str:
    """A number by a format code such as `#,##0.00 "EUR"`; empty where the code asks for more than is known here."""
    code = code.partition(";")[0]
    bare = _LITERAL.sub(lambda literal: "\0" * len(literal[0]), code)
    figure = _FIGURE.search(bare)
    if figure is None or set(bare) & set("eE/@") or bare[figure.end() :].startswith(","):
        return ""
    whole, _, part = figure[0].partition(".")
    if whole.endswith(","):  # in thousands
        return ""
    shown = f"{abs(value) * (100 if '%' in bare else 1):{',' if ',' in whole else ''}.{len(part)}f}"
    while "#" in part and shown.endswith("0") and len(shown.partition(".")[2]) > part.count("0"):
        shown = shown[:-1].rstrip(".")
    sign = "-" if value < 0 and shown.strip("0.,") else ""
    before, after = (
        _LITERAL.sub(lambda literal: literal[1] or literal[2] or literal[3] or "", some)
        for some in (code[: figure.start()], code[figure.end() :])
    )
    return " ".join(f"{sign}{before}{shown}{after}".split())


def _add(builder: TextBuilder, name: str, rows: Iterable[_Row], zone: Zone) -> None:
    """Add a sheet: its name, and its tables in blocks."""
    labels: dict[int, str] = {}
    for place, table in enumerate(_tables(rows)):
        if not place:
            builder.heading(name, 1, zone=zone)
        header = _header(table)
        if header >= 0:
            labels = {cell.column: one_line(cell.text.rstrip(" :")) for cell in table[header][1]}
        elif not all(cell.column in labels for _, cells in table if len(cells) > 1 for cell in cells):
            labels = {}  # it does not go on with the table above
        lines = [_line(cells, labels if at > header else {}) for at, (_, cells) in enumerate(table)]
        row = table[0][0]
        for text in packed(lines):
            builder.add(text, "table", row=row, zone=zone)
            row += text.count("\n") + 1


def _tables(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    """Rows that no empty row interrupts."""
    table: list[_Row] = []
    for row in rows:
        if table and row[0] != table[-1][0] + 1:
            yield table
            table = []
        table.append(row)
    if table:
        yield table


def _header(table: Sequence[_Row]) -> int:
    """The place of the row that names the columns of a table, below its titles; -1 where there is none.

    Its cells are different texts, or years. They are bold, or one of several columns has figures below its name:
    else it may be a row like the others, and of two columns the first often names what stands in the second.
    """
    place = next((at for at, (_, cells) in enumerate(table[: _MOST_TITLES + 1]) if len(cells) > 1), -1)
    cells, below = table[place][1], [row for _, row in table[place + 1 :] if len(row) > 1]
    fit = all((cell.is_text and len(cell.text) <= _LONGEST_LABEL) or cell.is_year for cell in cells)
    if place < 0 or not below or not fit or len({cell.text for cell in cells}) < len(cells):
        return -1
    if not any(cell.is_text for cell in cells):
        return -1
    if all(cell.is_bold for cell in cells):
        return place
    columns = {cell.column: [one for row in below for one in row if one.column == cell.column] for cell in cells}
    return place if len(cells) > 2 and any(_names(cell, columns[cell.column]) for cell in cells) else -1


def _names(cell: _Cell, below: Sequence[_Cell]) -> bool:
    """Is a cell of another kind than what stands below it: a word above figures, or a year above other numbers?"""
    if cell.is_year:
        return bool(below) and not any(one.is_text or one.is_year for one in below)
    figures = sum(one.has_digits for one in below)
    return bool(below) and not cell.has_digits and figures >= _FIGURES * len(below)


def _line(cells: Sequence[_Cell], labels: dict[int, str]) -> str:
    """A row as a line; a cell in a column that has a name says it, unless it stands alone, as a note does."""
    if len(cells) < 2:
        labels = {}
    return " | ".join(f"{labels[cell.column]}: {cell.text}" if cell.column in labels else cell.text for cell in cells)

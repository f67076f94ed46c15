"""Sheets: what is read of them, and that an answer says sheet and row."""

from __future__ import annotations

import datetime
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from files_for_tests import zip_with
from openpyxl import Workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.styles import Font

from qa import Library
from qa.as_json import citation_as_json
from qa.as_text import places, where
from qa.errors import ReadError
from qa.page.render import flow, place
from qa.readers import read
from qa.terminal import place_of
from qa.types import Citation


def saved(path: Path, *, bold: bool = False, **sheets: list[list[Any]]) -> Path:
    """A workbook of these sheets, row by row; an empty row stays empty. With `bold` the first rows are."""
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for number, row in enumerate(rows, 1):
            for column, value in enumerate(row, 1):
                cell = sheet.cell(number, column, value)
                cell.font = Font(bold=bold and number == 1)
    book.save(path)
    return path


PRICES: list[list[Any]] = [
    ["Part", "Lead time (days):", "Since", "Share"],
    ["X-200 winch", 14, datetime.datetime(2024, 3, 1), 0.125],
    ["X-300 crane", 21.5, datetime.datetime(2024, 3, 1, 14, 30), None],
    [],
    ["Serviced\nonce a year"],
]


def test_rows_say_the_names_of_their_columns(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", Prices=PRICES)
    reading = read(path, "xlsx")
    assert [(block.kind, block.row, reading.text[block.start : block.end]) for block in reading.blocks] == [
        ("heading", None, "Prices"),
        (
            "table",
            1,
            "Part | Lead time (days): | Since | Share\n"
            "Part: X-200 winch | Lead time (days): 14 | Since: 2024-03-01 | Share: 0.125\n"
            "Part: X-300 crane | Lead time (days): 21.5 | Since: 2024-03-01 14:30",
        ),
        ("table", 5, "Serviced once a year"),
    ]
    assert {block.heading for block in reading.blocks} == {("Prices",)}


def test_bold_texts_above_texts_are_names(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", bold=True, Crew=[["Name", "Town"], ["Alice", "Bergen"]])
    assert read(path, "xlsx").text == "Crew\n\nName | Town\nName: Alice | Town: Bergen"


@pytest.mark.parametrize(
    "rows",
    [
        [["Alice", 3], ["Bob", 4]],  # the first row has a number
        [["Kept", "Kept"], ["a", "b"]],  # two columns of one name
        [["a" * 81, "b"], ["c", "d"]],  # no name is so long
        [["only"], ["one", "two"]],
        [["Alice", "Bergen"], ["Bob", "Oslo"]],  # a row like the other
    ],
)
def test_rows_without_names_above_are_as_they_are(tmp_path: Path, rows: list[list[Any]]) -> None:
    reading = read(saved(tmp_path / "a.xlsx", S=rows), "xlsx")
    assert reading.text == "S\n\n" + "\n".join(" | ".join(str(cell) for cell in row) for row in rows)


@pytest.mark.parametrize(
    ("rows", "last"),
    [
        (  # below titles, with an empty row between or not
            [["Sales per shop"], [], ["2025"], ["Shop", "City", "Sales EUR"], ["Shop 7", "Bergen", 10007]],
            "Shop: Shop 7 | City: Bergen | Sales EUR: 10007",
        ),
        ([["Metric", 2023, 2024], ["Parcels", 3.5, 3.8]], "Metric: Parcels | 2023: 3.5 | 2024: 3.8"),
        ([["Name", "Role", "Phone"], ["Bob", "Clerk", "040-12"]], "Name: Bob | Role: Clerk | Phone: 040-12"),
        (  # the same table goes on below an empty row
            [["Part", "Days", "Made in"], ["Winch", 14, "Oslo"], [], ["Crane", 21, "Bergen"]],
            "Part: Crane | Days: 21 | Made in: Bergen",
        ),
        (  # and another one does not
            [["Part", "Days", "Made in"], ["Winch", 14, "Oslo"], [], ["Ada", "Bo", "Kim", "Lea"]],
            "Ada | Bo | Kim | Lea",
        ),
        ([["Company", "Acme"], ["Founded", 1999], ["Staff", 200]], "Staff | 200"),  # no table of two columns
        ([["Bob", 1999, 2001], ["Eve", 1998, 2004]], "Eve | 1998 | 2004"),
    ],
)
def test_where_names_of_columns_are(tmp_path: Path, rows: list[list[Any]], last: str) -> None:
    assert read(saved(tmp_path / "a.xlsx", S=rows), "xlsx").text.splitlines()[-1] == last


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (0.127272727, "0.0%", "12.7%"),
        (0.07, "0%", "7%"),
        (-0.0178, '0.00%;[Red]"minus "0.00%', "-1.78%"),
        (3100000, "#,##0", "3,100,000"),
        (12345.678, '#,##0.00 "€"', "12,345.68 €"),
        (12345.678, "[$€-407] #,##0.00", "€ 12,345.68"),
        (1.5, "0.0##", "1.5"),
        (-0.001, "0.00", "0.00"),
        (12345.678, "General", "12345.678"),
        (12345.678, "0.00E+00", "12345.678"),
        (12345678, "#,##0,", "12345678"),
        (0.25, "# ?/?", "0.25"),
        (1e21, "General", "1e+21"),
        (0.1 + 0.2, "General", "0.3"),
        (True, "General", "TRUE"),
        (datetime.date(2024, 2, 29), "dd/mm/yyyy", "2024-02-29"),
        (datetime.time(9, 5), "hh:mm", "09:05:00"),
        ("00123", "@", "00123"),
    ],
)
def test_values_are_shown_as_sheets_show_them(tmp_path: Path, value: object, code: str, shown: str) -> None:
    book = Workbook()
    book.active["A1"] = value
    book.active["A1"].number_format = code
    book.save(tmp_path / "a.xlsx")
    assert read(tmp_path / "a.xlsx", "xlsx").text == f"Sheet\n\n{shown}"


def test_formulas_without_a_value_are_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", S=[["Total", "=1+1"], ["Mean", "=2/2"]])
    reading = read(path, "xlsx")
    assert reading.text == "S\n\nTotal\nMean"
    assert reading.warnings == ("2 formulas have no value in it: open it in a spreadsheet program, and save it again",)
    with pytest.raises(ReadError, match="1 formula has no value in it"):
        read(saved(tmp_path / "b.xlsx", S=[["=1+1"]]), "xlsx")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>").replace(
        b"<f>1+1</f><v></v>", b"<f>1+1</f><v>2</v>"
    )
    path.write_bytes(zip_with(parts))
    reading = read(path, "xlsx")
    assert reading.text == "S\n\nTotal | 2\nMean"
    assert reading.warnings[0].startswith("1 formula has")


def test_far_cells_hidden_sheets_and_many_rows(tmp_path: Path) -> None:
    book = Workbook()
    book.active.title = "Far"
    book.active["XFD1048576"] = "far away"
    hidden = book.create_sheet("Lists")
    hidden.sheet_state = "hidden"
    hidden.append(["one", "two"])
    many = book.create_sheet("Many")
    for number in range(2_000):
        many.append([f"Keeper {number}", "lives in the tower"])
    chart = BarChart()
    chart.add_data(Reference(many, min_col=1, min_row=1, max_row=2))
    book.create_chartsheet("Chart").add_chart(chart)
    book.save(tmp_path / "a.xlsx")
    reading = read(tmp_path / "a.xlsx", "xlsx")
    tables = [block for block in reading.blocks if block.kind == "table"]
    assert (tables[0].row, tables[0].heading) == (1_048_576, ("Far",))
    assert [block.zone for block in reading.blocks[2:4]] == ["aside", "aside"]
    for block in tables[2:]:
        assert block.row is not None
        assert block.end - block.start < 2_000
        assert reading.text[block.start :].startswith(f"Keeper {block.row - 1} ")


def test_what_a_file_says_of_its_size_is_not_believed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", bold=True, S=[["Name", "Town"], *([n, f"Town {n}"] for n in range(50))])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    assert b'ref="A1:B51"' in sheet
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(b'ref="A1:B51"', b'ref="A1:A2"')
    path.write_bytes(zip_with(parts))
    assert "Name: 49 | Town: Town 49" in read(path, "xlsx").text


def test_sheets_that_cannot_be_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "whole.xlsx", S=[["a", "b"]])
    whole = path.read_bytes()
    empty = saved(tmp_path / "empty.xlsx", S=[]).read_bytes()
    for broken, reason in (
        (whole[: len(whole) // 2], "not a readable XLSX file"),
        (zip_with({"a.txt": b"no workbook"}), "not a readable XLSX file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "it has a password or is an old .xls: save it as .xlsx"),
        (empty, "no text in it"),
    ):
        path.write_bytes(broken)
        with pytest.raises(ReadError, match=rf"^[^\n]*{reason}[^\n]*$"):
            read(path, "xlsx")


def test_an_answer_says_sheet_and_row(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    rows = [["Ship", "Captain"], *([f"Ship {n}", f"Captain {n}"] for n in range(200)), ["Albatross", "Ines Sol"]]
    saved(folder / "fleet.xlsx", bold=True, Ferries=rows, Crew=[["Cook", "Bo Lind"]])
    library.sync([folder])
    citation = library.ask("Who is the captain of the Albatross?").sentences[0].citations[0]
    assert citation.quote == "Ship: Albatross | Captain: Ines Sol"
    assert (citation.heading, citation.row, citation.line, citation.page) == (("Ferries",), 202, None, None)
    assert citation_as_json(citation)["row"] == 202
    assert where(citation) == "fleet, fleet.xlsx, Ferries, row 202"
    assert place_of(citation) == "fleet.xlsx, Ferries, row 202"
    cook = library.ask("Who is the cook?").sentences[0].citations[0]
    assert (cook.heading, cook.row) == (("Crew",), 1)


def test_names_of_columns_choose_no_row_and_are_no_answer(library: Library, tmp_path: Path) -> None:
    crews = [["Petrel", "Jan Mo", 9], ["Albatross", "Ines Sol", 12], ["Tern", "Ada Uhl", 7], ["Gannet", "Ole By", 4]]
    saved(tmp_path / "ships.xlsx", Ships=[["Ship", "Captain", "Crew"], *crews])
    library.sync([tmp_path / "ships.xlsx"])
    answer = library.ask("Which captain and crew does the Albatross have?")
    assert answer.sentences[0].text == "Ship: Albatross | Captain: Ines Sol | Crew: 12"
    everyone = library.ask("What are ship, captain and crew?")
    assert "Ship | Captain | Crew" not in [sentence.text for sentence in everyone.sentences]
    assert len(everyone.sentences) == 3


def test_several_rows_of_a_passage_are_named() -> None:
    one = Citation("a.1.2", "a.xlsx", "a", None, ("S",), None, 1, 2, "x", row=8)
    others = [replace(one, row=7), replace(one, row=6), one]
    assert place_of(one, *others) == "a.xlsx, S, rows 6, 7 and 8"
    assert re.sub("<[^>]+>", "", place(one, *others)).endswith(" · rows 6, 7 and 8")
    assert places("line", 3, 4) == "lines 3 and 4"
    assert places("line", None) == ""


def test_rows_are_shown_on_lines_of_their_own() -> None:
    row = " | ".join(f"Column {n}: value {n}" for n in range(9))
    wrapped = "A line of a paragraph that goes on in the next one of it,"
    assert flow(f"{row}\n{row}\n\n{wrapped}\nand ends.") == (
        f'{row}<br>\n{row}<span class="rd-gap">\n\n</span>{wrapped}\nand ends.'
    )

"""Reading real small files: what their blocks, headings, titles and spans are."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from files_for_tests import Words, lines, pdf, zip_with
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qa.errors import ReadError
from qa.readers import SUFFIXES, kind_of, read
from qa.readers.base import MAX_CHARACTERS, clean
from qa.types import Block, Reading

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def words(reading: Reading, block: Block) -> str:
    return reading.text[block.start : block.end]


def shown(reading: Reading) -> list[tuple[str, str]]:
    return [(block.kind, words(reading, block)) for block in reading.blocks]


def assert_spans(reading: Reading) -> None:
    """The contract of `Reading`: blocks in order, stripped, and nothing but white space outside them."""
    at = 0
    for block in reading.blocks:
        assert not reading.text[at : block.start].strip()
        assert at <= block.start < block.end
        assert words(reading, block).strip() == words(reading, block)
        assert block.kind != "heading" or block.heading
        at = block.end
    assert not reading.text[at:].strip()


def test_kind_of_goes_by_the_suffix_in_any_case() -> None:
    assert kind_of(Path("a/Report.PDF")) == "pdf"
    assert kind_of(Path("README")) is None
    assert set(SUFFIXES.values()) == {"text", "markdown", "html", "pdf", "docx", "xlsx"}


def test_importing_the_readers_loads_no_parser() -> None:
    heavy = "torch lxml docx openpyxl pypdfium2 selectolax trafilatura markdown_it charset_normalizer"
    code = f"import sys, qa.readers, qa.readers.worker; print([m for m in {heavy.split()!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_kind_is_a_mistake_of_the_caller(write: Write) -> None:
    with pytest.raises(ValueError, match="no reader for the kind 'exe'"):
        read(write("a.txt", "x"), "exe")


# Plain text

NEWS = """On May 16, 2024, a round table was held at the Secretariat.


15 May marks the 32nd anniversary of the Treaty.

The mission will be sent on September 15

The mission will be sent on September 15 14.09.2022

The mission has started its work, which was agreed upon last year.

- first point of it
- second point

The Press Secretary

Go back

Back to the section"""


def test_text_keeps_the_files_own_words_and_finds_its_headline(write: Write) -> None:
    reading = read(write("news.txt", NEWS), "text")
    assert_spans(reading)
    assert reading.text == NEWS
    assert reading.title == "The mission will be sent on September 15"
    assert [words(reading, block) for block in reading.blocks if block.kind == "heading"] == [
        "The mission will be sent on September 15",
        "The mission will be sent on September 15 14.09.2022",
    ]
    assert reading.blocks[-1].heading == ("The mission will be sent on September 15 14.09.2022",)
    assert ("list", "- first point of it\n- second point") in shown(reading)
    assert shown(reading)[-1] == ("paragraph", "Back to the section")


def test_text_headings_by_number_and_underline(write: Write) -> None:
    numbered = read(
        write("a.txt", "2 Methods\n\n2.3 Data\n\nWe took all of it.\n\n3 Results\n\nThey are good."), "text"
    )
    assert [block.heading for block in numbered.blocks if block.kind == "paragraph"] == [
        ("2 Methods", "2.3 Data"),
        ("3 Results",),
    ]
    ruled = read(write("b.rst", "=====\nGuide\n=====\n\nIntro\n-----\nSome text.\n\nUse\n---\n\nMore text."), "text")
    assert [block.heading for block in ruled.blocks if block.kind == "paragraph"] == [
        ("Guide", "Intro"),
        ("Guide", "Use"),
    ]
    assert ruled.title == "Guide"
    assert_spans(ruled)


@pytest.mark.parametrize(
    "text",
    [
        "A sentence that ends.\n\nMore text follows here.",
        "lower case start\n\nMore text follows here.",
        "Home\n\nNews\n\nContact\n\nImprint",
        "24.04.2024\n\nMore text follows here.",
        f"{'Long ' * 40}line\n\nMore text follows here.",
        "The last block has nothing under it",
    ],
)
def test_text_that_is_no_heading(write: Write, text: str) -> None:
    assert {kind for kind, _ in shown(read(write("a.txt", text), "text"))} == {"paragraph"}


GERMAN = "Größe für Übungen, schöne Grüße"
RUSSIAN = "Секретариат провёл круглый стол по теме сотрудничества. "


@pytest.mark.parametrize(
    ("data", "encoding", "text", "guessed"),
    [
        (GERMAN.encode(), "utf-8", GERMAN, False),
        (b"\xef\xbb\xbf" + GERMAN.encode(), "utf-8", GERMAN, False),
        (b"\xff\xfe" + GERMAN.encode("utf-16-le"), "utf-16-le", GERMAN, False),
        (b"\xff\xfe\x00\x00" + GERMAN.encode("utf-32-le"), "utf-32-le", GERMAN, False),
        (GERMAN.encode("utf-16-le"), "utf-16-le", GERMAN, True),
        (RUSSIAN.encode("utf-16-be"), "utf-16-be", RUSSIAN, True),
        (GERMAN.encode("cp1252"), "cp1252", GERMAN, True),
        (RUSSIAN.encode("cp1251"), "cp1251", RUSSIAN, True),
        (
            "これは日本語の文章です。情報検索の試験に使います。".encode("cp932"),
            "cp932",
            "これは日本語の文章です。情報検索の試験に使います。",
            True,
        ),
    ],
)
def test_text_encodings(write: Write, data: bytes, encoding: str, text: str, guessed: bool) -> None:
    reading = read(write("a.txt", data), "text")
    assert (reading.encoding, reading.text) == (encoding, text)
    assert reading.warnings == ((f"read as {encoding} (guessed)",) if guessed else ())


def test_a_few_broken_bytes_do_not_make_utf8_a_code_page(write: Write) -> None:
    reading = read(write("a.txt", (RUSSIAN * 20).encode()[:-3]), "text")
    assert reading.encoding == "utf-8"
    assert reading.text.startswith(RUSSIAN)
    assert "1 broken" in reading.warnings[0]


@pytest.mark.parametrize(
    ("data", "looks_like"),
    [
        (b"%PDF-1.4\n...", "a PDF"),
        (zip_with({"a": b"b"}), "a zip archive or an Office document"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG image"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG image"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"\x7fELF\x02\x01", "a program"),
        (bytes(range(256)) * 20, "binary data"),
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html"])
def test_renamed_binary_files_are_refused_by_what_they_are(
    write: Write, name: str, data: bytes, looks_like: str
) -> None:
    path = write(name, data)
    with pytest.raises(ReadError, match=f"^not text: it looks like {looks_like}[^\n]*$"):
        read(path, kind_of(path) or "")


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.pdf", "a.docx", "a.xlsx"])
def test_empty_and_missing_files_and_folders(write: Write, tmp_path: Path, name: str) -> None:
    kind = kind_of(Path(name)) or ""
    with pytest.raises(ReadError, match="the file is empty"):
        read(write(name, ""), kind)
    with pytest.raises(ReadError, match="it has gone"):
        read(tmp_path / f"no-{name}", kind)
    with pytest.raises(ReadError, match="not a regular file"):
        read(tmp_path, kind)


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html"])
def test_white_space_only_is_empty(write: Write, name: str) -> None:
    for blank in (" \n\t\n", b"\xef\xbb\xbf \n", b"\xff\xfe \x00"):
        with pytest.raises(ReadError, match="the file is empty"):
            read(write(name, blank), kind_of(Path(name)) or "")


def test_too_much_text_is_refused_with_the_limit(write: Write) -> None:
    with pytest.raises(ReadError, match="more than 20,000,000 characters"):
        read(write("a.txt", b"a" * (MAX_CHARACTERS + 1)), "text")


# Markdown

MARKDOWN = """---
title: "The guide"
---

# A *good* `start`

Some text
over two lines.

Setext & more
-------------

- one
- two

> quoted

[ref]: https://example.org

```python
# not a heading
```

| a | b |
|---|---|
| 1 | 2 |

***

<div>inert <b>markup</b></div>
"""


def test_markdown_blocks_are_spans_of_the_source(write: Write) -> None:
    reading = read(write("a.md", MARKDOWN), "markdown")
    assert_spans(reading)
    assert reading.text == MARKDOWN
    assert reading.title == "The guide"
    assert [(block.kind, block.zone) for block in reading.blocks] == [
        ("code", "aside"),
        ("heading", "main"),
        ("paragraph", "main"),
        ("heading", "main"),
        ("list", "main"),
        ("quote", "main"),
        ("paragraph", "aside"),
        ("code", "main"),
        ("table", "main"),
        ("paragraph", "aside"),
        ("paragraph", "main"),
    ]
    assert reading.blocks[2].heading == ("A good start",)
    assert reading.blocks[4].heading == ("A good start", "Setext & more")
    assert words(reading, reading.blocks[6]) == "[ref]: https://example.org"


def test_markdown_titles(write: Write) -> None:
    assert read(write("a.md", "## Low\n\n# High\n\ntext"), "markdown").title == "High"
    assert read(write("a.md", "## Low\n\n### Lower"), "markdown").title == "Low"
    assert read(write("a.md", "text only"), "markdown").title is None


def test_markdown_lists_are_one_block_until_they_are_long(write: Write) -> None:
    short = read(write("a.md", "- one\n\n  more\n- two\n  - inner\n"), "markdown")
    assert [kind for kind, _ in shown(short)] == ["list"]
    items = [f"{number}. {'word ' * 100}end\n   - inner" for number in range(1, 6)]
    long = read(write("b.md", "\n".join(items)), "markdown")
    assert shown(long) == [("list", item) for item in items]


# HTML

PAGE = """<!doctype html><html><head><title>The  page</title><style>p { color: red }</style></head><body>
<header>Site name</header><nav><ul><li>Home<li>About</ul></nav>
<main><h1>A <em>good</em> start</h1><p>Some <b>bo</b>ld text,<br>a line &amp; &lt;b&gt;no tag&lt;/b&gt;.
<script>alert("code")</script><p hidden>Hidden words.</p>
<ul><li>one <i>item</i><ul><li>inner</ul><li>two</ul>
<h2>Data</h2><table><caption>Rates</caption><tr><th>Year<th>Rate<tr><td>2020<td><p>4 %</p></table>
<pre>def f():
    return 1</pre><blockquote>Said so.</blockquote></main>
<footer>Imprint</footer></body></html>"""


def test_html_keeps_all_text_in_order(write: Write) -> None:
    reading = read(write("a.html", PAGE), "html")
    assert_spans(reading)
    assert reading.title == "The page"
    assert [(block.kind, block.zone, words(reading, block)) for block in reading.blocks] == [
        ("paragraph", "aside", "Site name"),
        ("list", "aside", "Home\nAbout"),
        ("heading", "main", "A good start"),
        ("paragraph", "main", "Some bold text,\na line & <b>no tag</b>."),
        ("paragraph", "main", "Hidden words."),
        ("list", "main", "one item\ninner\ntwo"),
        ("heading", "main", "Data"),
        ("table", "main", "Rates\nYear | Rate\n2020 | 4 %"),
        ("code", "main", "def f():\n    return 1"),
        ("quote", "main", "Said so."),
        ("paragraph", "aside", "Imprint"),
    ]
    assert reading.blocks[7].heading == ("A good start", "Data")


def test_html_that_a_page_would_run_is_text_only(write: Write) -> None:
    source = "<p>&lt;script&gt;alert(1)&lt;/script&gt; <img src=x onerror=alert(2) alt=picture> end<!-- comment --></p>"
    reading = read(write("a.html", source), "html")
    assert reading.text == "<script>alert(1)</script> end"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (f"<meta charset=iso-8859-1><p>{GERMAN}".encode("cp1252"), "cp1252"),
        (f"<meta http-equiv=x content='text/html; charset=koi8-r'><p>{RUSSIAN}".encode("koi8-r"), "koi8-r"),
        (f'<?xml version="1.0" encoding="windows-1251"?><p>{RUSSIAN}'.encode("cp1251"), "windows-1251"),
        (f"<meta charset=utf-8><p>{GERMAN}".encode("cp1252"), "cp1252"),
        (f"<meta charset=no-such-thing><p>{GERMAN}".encode(), "utf-8"),
        (b"\xef\xbb\xbf" + f"<meta charset=iso-8859-1><p>{GERMAN}".encode(), "utf-8"),
    ],
)
def test_html_encodings(write: Write, data: bytes, encoding: str) -> None:
    reading = read(write("a.html", data), "html")
    assert reading.encoding == encoding
    assert reading.text in (GERMAN, RUSSIAN.strip())


def test_html_layout_tables_and_page_wide_forms_are_no_tables_and_no_asides(write: Write) -> None:
    source = "<form><table><tr><td><h1>Title</h1><p>First text.</p><table><tr><td>a<td>b</table></table></form>"
    reading = read(write("a.html", source), "html")
    assert shown(reading) == [("heading", "Title"), ("paragraph", "First text."), ("table", "a | b")]
    assert {block.zone for block in reading.blocks} == {"main"}


def test_html_long_tables_are_split_at_rows(write: Write) -> None:
    rows = "".join(f"<tr><td>{number}<td>{'word ' * 20}" for number in range(60))
    blocks = shown(read(write("a.html", f"<h1>T</h1><table>{rows}</table>"), "html"))[1:]
    assert len(blocks) > 2
    assert {kind for kind, _ in blocks} == {"table"}
    assert all(len(text) <= 1_500 for _, text in blocks)
    assert [row.split(" | ")[0] for _, text in blocks for row in text.split("\n")] == [str(n) for n in range(60)]


def test_html_around_an_article_is_aside_without_any_markup_that_says_so(write: Write) -> None:
    article = "".join(
        f"<p>Paragraph {number} of the article has several sentences, as articles do. It goes on about its subject, "
        "which is how a document is read, and it ends when all of that is said.</p>"
        for number in range(12)
    )
    links = "".join(f"<div><a href='/{number}'>Other story {number}</a></div>" for number in range(8))
    source = f"<body><div id=content><h1>The subject</h1>{article}</div><div class=sidebar>{links}</div></body>"
    reading = read(write("a.html", source), "html")
    zones = {words(reading, block)[:11]: block.zone for block in reading.blocks}
    assert zones == {"The subject": "main", "Paragraph 0": "main", "Paragraph 1": "main", "Other story": "aside"} | {
        f"Paragraph {number}": "main" for number in range(2, 10)
    }
    assert reading.warnings == ()


def test_html_without_text_says_what_to_do(write: Write) -> None:
    with pytest.raises(ReadError, match="no text in it"):
        read(write("a.html", "<script>document.write('all of it')</script>"), "html")


# PDF

BODY = [
    "This is the first line of a paragraph which is long enough to fill the page",
    "and this is its second line, in which a sentence ends. Another sentence goes",
    "on to here.",
    "A second paragraph starts where the line before it was short, and it fills a",
    "line or two as well.",
]


def test_pdf_pages_paragraphs_headings_and_title(write: Write) -> None:
    heading = Words("Chapter one", 740, size=18)
    data = pdf([[heading, *lines(*BODY)], lines("Last page, one line.")], title="A fine title")
    reading = read(write("a.pdf", data), "pdf")
    assert_spans(reading)
    assert (reading.title, reading.pages) == ("A fine title", 2)
    assert [(block.kind, block.page, words(reading, block)) for block in reading.blocks] == [
        ("heading", 1, "Chapter one"),
        ("paragraph", 1, " ".join(BODY[:3])),
        ("paragraph", 1, " ".join(BODY[3:])),
        ("paragraph", 2, "Last page, one line."),
    ]
    assert reading.blocks[-1].heading == ("Chapter one",)


def test_pdf_bookmarks_are_headings_where_their_words_stand(write: Write) -> None:
    page = [*lines(*BODY[:3]), Words("2 Results", 640), *lines("They are good.", top=620)]
    marks = [("Introduction", 1), ("Results", 1), ("Annex", 2)]
    reading = read(write("a.pdf", pdf([page, lines("Tables.")], bookmarks=marks)), "pdf")
    assert [(block.kind, block.heading) for block in reading.blocks] == [
        ("paragraph", ("Introduction",)),
        ("heading", ("2 Results",)),
        ("paragraph", ("2 Results",)),
        ("paragraph", ("Annex",)),
    ]


def test_pdf_running_heads_and_page_numbers_are_aside(write: Write) -> None:
    pages = [
        [Words("Annual report 2020", 760), *lines(f"Text {name} of this page.", top=600), Words(f"Page {number}", 30)]
        for number, name in enumerate(("alpha", "beta", "gamma", "delta"), 1)
    ]
    reading = read(write("a.pdf", pdf(pages)), "pdf")
    asides = [words(reading, block) for block in reading.blocks if block.zone == "aside"]
    assert asides == [text for number in range(1, 5) for text in ("Annual report 2020", f"Page {number}")]
    assert len(reading.blocks) == 12


NUMBERS = ("one", "two", "three", "four", "five")
OPENING = "Every chapter opens with the same words, so that they stand at the top of"


def asides(reading: Reading) -> list[str]:
    return [words(reading, block) for block in reading.blocks if block.zone == "aside"]


def test_pdf_text_that_recurs_at_the_edge_of_pages_is_text(write: Write) -> None:
    pages = [
        [
            Words("Annual report", 760),
            *lines(OPENING, f"many pages, as of number {name}. The end.", top=720),
            *lines("Item Value Remark", "Hours 7 with mentor", top=600, step=17),
            Words(f"Page {number}", 540),
        ]
        for number, name in enumerate(NUMBERS, 1)
    ]
    reading = read(write("a.pdf", pdf(pages)), "pdf")
    assert asides(reading) == [text for number in range(1, 6) for text in ("Annual report", f"Page {number}")]
    paragraphs = [words(reading, block) for block in reading.blocks if block.page == 3 and block.zone == "main"]
    assert paragraphs[0] == f"{OPENING} many pages, as of number three. The end."


def test_pdf_rows_of_a_table_at_the_end_of_pages_are_text(write: Write) -> None:
    rows = lines("Weather dry", "Warden Maier", "Key returned", "Gate closed", top=160, step=26)
    pages = [[*lines(f"The visit of {name} was short.", top=700), *rows] for name in NUMBERS]
    assert asides(read(write("a.pdf", pdf(pages)), "pdf")) == []
    footed = [[*page, Words("Office of water", 40)] for page in pages]
    assert asides(read(write("b.pdf", pdf(footed)), "pdf")) == ["Office of water"] * 5


@pytest.mark.parametrize(
    "head",
    [
        [Words("Office of water", 730)],  # apart from the text
        [Words("Office of water", 716, size=8)],  # smaller
        [Words("Office of water", 742, size=9), Words("Yearly report", 731, size=9)],  # of two lines
        [Words("Office of water", 730), Words("Yearly report", 730, x=300)],  # of two parts
        [Words("Office of water", 726, x=400)],  # as far off as paragraphs are, but at another place
    ],
)
def test_pdf_running_heads_near_the_text_are_aside(write: Write, head: list[Words]) -> None:
    pages = [
        [
            *head,
            *lines(f"In {name} words.", top=700),
            *lines("A line of text in a paragraph.", "Another.", top=674),
            *lines(f"The third paragraph of chapter {name} has", "two lines.", top=630),
        ]
        for name in NUMBERS
    ]
    found = asides(read(write("a.pdf", pdf(pages)), "pdf"))
    assert " ".join(found) == " ".join(word.text for _ in NUMBERS for word in head)


def test_pdf_rows_far_apart_are_no_table(write: Write) -> None:
    pages = [
        [Words("Office of water", 760), *lines(*(f"{name} of {word}" for word in "abc"), top=700, step=60)]
        for name in NUMBERS
    ]
    assert asides(read(write("a.pdf", pdf(pages)), "pdf")) == ["Office of water"] * 5


def test_pdf_page_numbers_are_aside_however_near(write: Write) -> None:
    pages = [
        lines(f"The text of {name}", f"is short: {name}.", f"It ends ({name}).", str(number))
        for number, name in enumerate(NUMBERS, 1)
    ]
    assert asides(read(write("a.pdf", pdf(pages)), "pdf")) == ["1", "2", "3", "4", "5"]
    assert asides(read(write("b.pdf", pdf(pages[:1])), "pdf")) == []


def test_pdf_numbered_chapters_at_the_top_of_pages_are_headings(write: Write) -> None:
    pages = [
        [Words(f"Chapter {number}", 740, size=18), *lines(f"It is about {name}.", "So much for that.", top=700)]
        for number, name in enumerate(NUMBERS, 1)
    ]
    reading = read(write("a.pdf", pdf(pages)), "pdf")
    assert [words(reading, block) for block in reading.blocks if block.kind == "heading"] == [
        f"Chapter {number}" for number in range(1, 6)
    ]
    assert asides(reading) == []


def test_pdf_words_parted_by_a_hyphen_are_whole_again(write: Write) -> None:
    data = pdf([lines("This line ends with a word that goes on in the next docu-", "ment line and ends.")])
    text = read(write("a.pdf", data), "pdf").text
    assert text == "This line ends with a word that goes on in the next document line and ends."


def test_pdf_pages_without_text(write: Write) -> None:
    text = lines("Some words.")
    reading = read(write("a.pdf", pdf([text, text, [], [], [], text, text, text, []])), "pdf")
    assert reading.warnings == ("pages 3-5, 9 have no text",)
    with pytest.raises(ReadError, match="no text in its 2 pages: it looks like a scan; run OCR first"):
        read(write("b.pdf", pdf([[], []])), "pdf")


@pytest.mark.parametrize("title", ["untitled", "Microsoft Word - draft.doc", "report_final.pdf", ""])
def test_pdf_titles_that_say_nothing(write: Write, title: str) -> None:
    assert read(write("a.pdf", pdf([lines("Some words.")], title=title)), "pdf").title is None


def test_pdf_that_cannot_be_read(write: Write) -> None:
    data = pdf([lines("Secret words.")], encrypted=True)
    with pytest.raises(ReadError, match="it needs a password"):
        read(write("a.pdf", data), "pdf")
    whole = pdf([lines("Some words.")])
    for broken in (whole[: len(whole) // 3], b"%PDF-1.7\nnothing of it", b"hello"):
        with pytest.raises(ReadError, match=r"^not a readable PDF \(Data format error\): open it in a viewer"):
            read(write("b.pdf", broken), "pdf")


# DOCX


@pytest.fixture
def document(tmp_path: Path) -> Path:
    from docx import Document

    made = Document()
    made.core_properties.title = ""
    made.add_heading("Annual report", 0)
    made.add_heading("Methods", 1)
    made.add_paragraph("Some text.")
    made.add_heading("Data", 2)
    for item in ("one", "two"):
        made.add_paragraph(item, style="List Bullet")
    table = made.add_table(2, 2)
    for cell, text in zip((cell for row in table.rows for cell in row.cells), "abcd", strict=True):
        cell.text = text
    made.add_paragraph("After the table.")
    made.sections[0].header.paragraphs[0].text = "Running head"
    path = tmp_path / "a.docx"
    made.save(str(path))
    return path


def test_docx_in_order(document: Path) -> None:
    reading = read(document, "docx")
    assert_spans(reading)
    assert reading.title == "Annual report"
    assert [(block.kind, words(reading, block), block.heading) for block in reading.blocks] == [
        ("heading", "Annual report", ("Annual report",)),
        ("heading", "Methods", ("Methods",)),
        ("paragraph", "Some text.", ("Methods",)),
        ("heading", "Data", ("Methods", "Data")),
        ("list", "one\ntwo", ("Methods", "Data")),
        ("table", "a | b\nc | d", ("Methods", "Data")),
        ("paragraph", "After the table.", ("Methods", "Data")),
        ("paragraph", "Running head", ()),
    ]
    assert reading.blocks[-1].zone == "aside"


def test_docx_words_in_changes_boxes_and_controls(tmp_path: Path) -> None:
    from docx import Document
    from docx.oxml import parse_xml

    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    made = Document()
    for xml in (
        f"<w:p {space}><w:ins><w:r><w:t>Inserted</w:t></w:r></w:ins><w:del><w:r><w:delText>no</w:delText></w:r></w:del>"
        "<w:r><w:tab/><w:t>words.</w:t></w:r></w:p>",
        f"<w:p {space}><w:r><w:t>Around.</w:t><w:txbxContent><w:p><w:r><w:t>In a box.</w:t></w:r></w:p></w:txbxContent>"
        "</w:r></w:p>",
        f"<w:sdt {space}><w:sdtContent><w:p><w:r><w:t>Controlled.</w:t></w:r></w:p></w:sdtContent></w:sdt>",
        f'<w:p {space}><w:pPr><w:outlineLvl w:val="1"/></w:pPr><w:r><w:t>By outline</w:t></w:r></w:p>',
    ):
        made.element.body.insert(len(made.element.body) - 1, parse_xml(xml))
    path = tmp_path / "b.docx"
    made.save(str(path))
    assert shown(read(path, "docx")) == [
        ("paragraph", "Inserted\twords."),
        ("paragraph", "Around."),
        ("paragraph", "In a box."),
        ("paragraph", "Controlled."),
        ("heading", "By outline"),
    ]


def test_docx_that_cannot_be_read(write: Write, document: Path) -> None:
    whole = document.read_bytes()
    for broken, reason in (
        (whole[: len(whole) // 2], "no zip archive, or cut off"),
        (b"just text", "no zip archive, or cut off"),
        (zip_with({"a.txt": b"no Word document"}), "not a readable DOCX file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "it has a password or is an old .doc"),
    ):
        with pytest.raises(ReadError, match=rf"^[^\n]*{re.escape(reason)}[^\n]*$"):
            read(write("b.docx", broken), "docx")


# Any input

UTF8 = st.characters(codec="utf-8")
TAGS = "div p table tr td li ul h1 pre nav form br b".split()
MARKUP = st.sampled_from(
    [f"<{tag}>" for tag in TAGS]
    + [f"</{tag}>" for tag in TAGS]
    + "\n*\n\n*# *## *===\n*---\n*> *- *1. *```\n*| a | b |\n|---|---|\n*    *[a]: b\n*\t*~~~\n*2.1 Data".split("*")
    + " *\x0c*\r\n*\x85*\u2028*\x1c*\xa0*\x00*---\ntitle: x\n---\n*<!--*-->*&lt;*Words here*Title*and text. ".split("*")
)
SOURCES = st.one_of(st.text(UTF8, max_size=80), st.lists(MARKUP, max_size=30).map("".join))
EASY = settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])


@EASY
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html"])
@given(source=SOURCES)
def test_spans_hold_for_any_text(write: Write, name: str, source: str) -> None:
    path = write(name, source)
    try:
        reading = read(path, kind_of(path) or "")
    except ReadError as error:
        # Only where there is nothing to read, or what there is is binary data.
        assert re.match("the file is empty|no text in it|not text", str(error))  # noqa: PT017
        return
    assert_spans(reading)
    if name != "a.html" and reading.encoding == "utf-8" and not reading.warnings:
        assert reading.text == clean(source.removeprefix("\ufeff"))


@EASY
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_one_line(write: Write, data: bytes) -> None:
    for name in ("a.txt", "a.md", "a.html", "a.pdf", "a.docx", "a.xlsx"):
        path = write(name, data)
        try:
            assert_spans(read(path, kind_of(path) or ""))
        except ReadError as error:
            assert "\n" not in str(error)  # noqa: PT017


ELEMENTS = st.recursive(
    st.text("abc <&", min_size=1, max_size=6).map(html.escape),
    lambda inner: st.builds(
        lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag}>",
        st.sampled_from(
            "div p b span ul ol li table tr td th caption h1 h3 pre nav main form blockquote section a".split()
        ),
        st.lists(inner, max_size=4),
    ),
    max_leaves=25,
)


@EASY
@given(source=ELEMENTS)
def test_html_loses_no_word_and_keeps_their_order(write: Write, source: str) -> None:
    from selectolax.lexbor import LexborHTMLParser

    body = LexborHTMLParser(source).body
    expected = re.sub(r"\s", "", body.text() if body else "")
    if expected:
        reading = read(write("a.html", source), "html")
        assert_spans(reading)
        assert re.sub(r"[\s|]", "", reading.text) == expected

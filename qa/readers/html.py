"""HTML: all text of the page, with what stands around the main text labelled "aside"."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qa.errors import ReadError
from qa.readers.base import LONG_BLOCK, TextBuilder, read_bytes
from qa.readers.decoding import Decoded, decode, decode_declared, decode_marked, refuse_binary
from qa.types import BlockKind, Reading, Zone

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_DROPPED = {"head", "script", "style", "noscript", "template", "iframe"}
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_LISTS = {"ul", "ol", "dl", "menu"}
_ITEMS = {"li", "dt", "dd"}
_CELLS = {"td", "th", "caption"}
_ROWS = {"tr", "caption"}
_BLOCKS = {
    *("address", "article", "aside", "body", "center", "dialog", "details", "div", "fieldset", "figcaption", "figure"),
    *("footer", "form", "header", "hgroup", "hr", "html", "legend", "main", "nav", "option", "p", "search", "section"),
    *("select", "summary", "table", "tbody", "textarea", "tfoot", "thead", "blockquote", "pre", "listing", "xmp"),
    *_HEADINGS,
    *_LISTS,
    *_ITEMS,
    *_CELLS,
    *_ROWS,
}
_PREFORMATTED = {"pre", "listing", "xmp", "textarea"}
_ASIDES = {"nav", "footer", "aside"}
# A table or form with one of these in it lays out a page, and is no table of data or input form.
_STRUCTURE = {"table", "main", "article", "section", *_HEADINGS}
_CHARSET = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w:.-]+)|<\?xml[^>]{0,200}?encoding=["']([\w:.-]+)"""
)
# What browsers read these labels as (WHATWG Encoding Standard).
_LABELS = {
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "ascii", "us-ascii"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    **dict.fromkeys(("utf-16", "utf-16le", "utf-16be"), "utf-8"),
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "iso-8859-9": "cp1254",
}
# trafilatura copies its tree several times and every block is looked up: 900 KB with 15,000 links took 3 s.
_LONGEST_LABELLED = 1_000_000
# Below this share of the page's text, trafilatura has taken a teaser for the page.
_LEAST_MAIN = 0.3
_PROBE = 60


@dataclass(frozen=True, slots=True)
class _Piece:
    kind: BlockKind
    text: str
    zone: Zone
    level: int = 0


def read(path: Path) -> Reading:
    """Every text of the page in order, whether or not a browser shows it; scripts and styles are left out."""
    from selectolax.lexbor import LexborHTMLParser

    decoded = _decode(read_bytes(path))
    parser = LexborHTMLParser(decoded.text)
    pieces = _Walk(parser.root).pieces if parser.root else []
    if not pieces:
        raise ReadError("no text in it (scripts may fill the page): save it from the browser as PDF or text")
    pieces, warnings = _label(pieces, decoded.text)
    named = parser.css_first("head > title")
    title = named.text().strip() if named else ""
    builder = TextBuilder()
    for piece in pieces:
        if piece.level:
            builder.heading(piece.text, piece.level, zone=piece.zone)
        else:
            builder.add(piece.text, piece.kind, zone=piece.zone)
    title = title or next((piece.text for piece in pieces if piece.level == 1), "")
    return builder.build(title=title, encoding=decoded.encoding, warnings=decoded.warnings + warnings)


def _decode(data: bytes) -> Decoded:
    marked = decode_marked(data)
    if marked:
        return marked
    refuse_binary(data)
    match = _CHARSET.search(data[:4096].lower())
    if match:
        label = (match[1] or match[2]).decode("ascii", "replace")
        declared = decode_declared(data, _LABELS.get(label, label))
        if declared and declared.text.strip():
            return declared
    return decode(data)


def _events(root: LexborNode) -> Iterator[tuple[Literal["open", "text", "close"], LexborNode]]:
    """The tree in document order without recursion, since pages nest as deep as they like."""
    open_nodes = [root]
    yield "open", root
    node = root.first_child
    while open_nodes:
        if node is None:
            closed = open_nodes.pop()
            yield "close", closed
            node = closed.next if open_nodes else None
        elif node.is_element_node and node.tag not in _DROPPED:
            yield "open", node
            open_nodes.append(node)
            node = node.first_child
        else:
            if node.is_text_node:
                yield "text", node
            node = node.next


def _structural(root: LexborNode) -> set[int]:
    """The tables and forms that lay out a page: each marks the innermost ones around what it sees."""
    found: set[int] = set()
    tables: list[int] = []
    forms: list[int] = []
    for event, node in _events(root):
        tag = node.tag or ""
        if event == "open" and tag in _STRUCTURE:
            found.update(tables[-1:], forms[-1:])
        for name, stack in (("table", tables), ("form", forms)):
            if tag == name and event == "open":
                stack.append(node.mem_id)
            elif tag == name and event == "close":
                stack.pop()
    return found


class _Walk:
    """Collects the pieces of a page: inline text gathers until a block element opens or closes."""

    def __init__(self, root: LexborNode) -> None:
        self.pieces: list[_Piece] = []
        self._structural = _structural(root)
        self._inside: Counter[str] = Counter()
        self._inline: list[str] = []
        self._items: list[list[str]] = []
        self._cells: list[list[str]] = []
        self._rows: list[str] = []
        for event, node in _events(root):
            if event == "text":
                self._text(node.text_content or "")
            elif event == "open":
                self._open(node, node.tag or "")
            else:
                self._close(node, node.tag or "")
        self._flush()

    def _text(self, text: str) -> None:
        self._inline.append(text if self._inside["pre"] else re.sub(r"\s+", " ", text))

    def _open(self, node: LexborNode, tag: str) -> None:
        if tag == "br":
            self._inline.append("\n")
        if tag not in _BLOCKS:
            return
        self._flush()
        for role in self._roles(node, tag):
            if role in ("aside", "table") and not self._inside["table"]:
                self._end_list()
            self._inside[role] += 1
        if tag in _ITEMS and self._inside["list"] == 1 and not self._inside["table"]:
            self._items.append([])
        if tag in _CELLS and self._inside["table"]:
            self._cells.append([])

    def _close(self, node: LexborNode, tag: str) -> None:
        if tag not in _BLOCKS:
            return
        self._flush()
        if self._inside["table"] and tag in _ROWS:
            self._end_row()
        for role in self._roles(node, tag):
            if role == "table":
                self._end_table()
            elif not self._inside["table"] and (role == "aside" or (role == "list" and self._inside["list"] == 1)):
                self._end_list()
            self._inside[role] -= 1

    def _roles(self, node: LexborNode, tag: str) -> Iterator[str]:
        """What an element is to the text in it; the same when it opens and when it closes."""
        if self._is_aside(node, tag):
            yield "aside"
        if tag == "table" and node.mem_id not in self._structural:
            yield "table"
        elif tag in _PREFORMATTED:
            yield "pre"
        elif tag in _LISTS:
            yield "list"
        elif tag in ("main", "article"):
            yield "main"
        elif tag in _HEADINGS or tag == "blockquote":
            yield tag

    def _is_aside(self, node: LexborNode, tag: str) -> bool:
        if tag in _ASIDES or (tag == "header" and not self._inside["main"]):
            return True
        if tag == "form":
            return node.mem_id not in self._structural
        return (node.attributes.get("role") or "").strip().lower() == "navigation"

    def _flush(self) -> None:
        text, self._inline = "".join(self._inline), []
        text = text.strip("\n").rstrip() if self._inside["pre"] else re.sub(" ?\n ?", "\n", re.sub("  +", " ", text))
        if not text.strip():
            return
        if self._inside["table"]:
            self._cells = self._cells or [[]]
            self._cells[-1].extend(text.split())
            return
        level = next((int(tag[1]) for tag in sorted(_HEADINGS) if self._inside[tag]), 0)
        if level:
            self._end_list()
            self._emit("heading", text, level)
        elif self._inside["list"]:
            self._items = self._items or [[]]
            self._items[-1].append(text.strip())
        elif self._inside["pre"]:
            self._emit("code", text)
        else:
            for part in re.split("\n{2,}", text):
                self._emit("quote" if self._inside["blockquote"] else "paragraph", part)

    def _emit(self, kind: BlockKind, text: str, level: int = 0) -> None:
        if text.strip():
            self.pieces.append(_Piece(kind, text, "aside" if self._inside["aside"] else "main", level))

    def _end_row(self) -> None:
        row, self._cells = " | ".join(" ".join(cell) for cell in self._cells), []
        if row.strip(" |"):
            self._rows.append(row.strip())

    def _end_table(self) -> None:
        self._end_row()
        rows, self._rows = self._rows, []
        for text in packed(rows):
            self._emit("table", text)

    def _end_list(self) -> None:
        items, self._items = ["\n".join(item) for item in self._items if item], []
        if sum(map(len, items)) <= LONG_BLOCK:
            items = ["\n".join(items)]
        for item in items:
            self._emit("list", item)


def packed(rows: list[str]) -> Iterator[str]:
    """Rows joined by lines into blocks of about `LONG_BLOCK` characters."""
    block: list[str] = []
    length = 0
    for row in rows:
        if block and length + len(row) > LONG_BLOCK:
            yield "\n".join(block)
            block, length = [], 0
        block.append(row)
        length += len(row) + 1
    if block:
        yield "\n".join(block)


def _label(pieces: list[_Piece], source: str) -> tuple[list[_Piece], tuple[str, ...]]:
    """Label "aside" what trafilatura leaves out, if it found a fair part of the page; never the whole page."""
    main, warnings = _main_text(source)
    if len(main) >= _LEAST_MAIN * sum(len(_bare(piece.text)) for piece in pieces):
        pieces = _zoned(pieces, main)
    if all(piece.zone == "aside" for piece in pieces):
        pieces = [replace(piece, zone="main") for piece in pieces]
    return pieces, warnings


def _zoned(pieces: list[_Piece], main: str) -> list[_Piece]:
    """Each piece with its zone. A heading goes with what is below it: trafilatura drops titles of what it keeps."""
    zoned: list[_Piece] = []
    for piece in reversed(pieces):
        kept = zoned[-1].zone == "main" if piece.level and zoned else False
        zoned.append(piece if kept or _contains(main, _bare(piece.text)) else replace(piece, zone="aside"))
    return zoned[::-1]


def _main_text(source: str) -> tuple[str, tuple[str, ...]]:
    """trafilatura's main text, bare; empty where it finds none. It parses the string and fetches nothing."""
    if len(source) > _LONGEST_LABELLED:
        return "", ()
    from trafilatura import extract

    try:
        main = extract(source, include_comments=True, include_tables=True, favor_recall=True)
    except Exception as error:  # noqa: BLE001  (labels are an extra; the text is read without them)
        return "", (f"menus and main text were not told apart ({type(error).__name__})",)
    return _bare(main or ""), ()


def _bare(text: str) -> str:
    """Letters and digits only: list marks, cell bars and spacing differ between the two parsers."""
    return re.sub(r"\W+", "", text)


def _contains(main: str, text: str) -> bool:
    """Whether the start, the middle or the end of a block is in the main text: inside, links may have been dropped."""
    middle = max(0, len(text) // 2 - _PROBE // 2)
    return any(probe in main for probe in {text[:_PROBE], text[-_PROBE:], text[middle : middle + _PROBE]})

"""Markdown: the file's own source, with blocks found by markdown-it-py's line numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from qa.readers.base import LONG_BLOCK, Headings, check_size, clean, one_line, read_bytes
from qa.readers.decoding import decode
from qa.types import Block, BlockKind, Reading, Zone

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_KINDS: dict[str, BlockKind] = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "table_open": "table",
    "blockquote_open": "quote",
    "fence": "code",
    "code_block": "code",
    "html_block": "paragraph",
}
_FRONT_MATTER = re.compile(r"---[^\S\n]*\n(?=[\w\"'#])(?:(?!---|\.\.\.)[^\n]*\n)*+(?:---|\.\.\.)[^\S\n]*(?=\n|\Z)")
_TITLE = re.compile(r"^title:[^\S\n]*(\S[^\n]*)$", re.MULTILINE)
# Inline markup of a heading is parsed up to this length only: it is for the heading path, which is cut anyway.
_LONGEST_INLINE = 1_000


@dataclass(frozen=True, slots=True)
class _Part:
    """Lines `first` to `last` (not included) of the source, as one block; `items` are the first lines of a list's."""

    kind: BlockKind
    first: int
    last: int
    zone: Zone = "main"
    name: str = ""
    level: int = 0
    items: tuple[int, ...] = ()


def read(path: Path) -> Reading:
    """The source of the file and its blocks; heading paths are without markup."""
    decoded = decode(read_bytes(path))
    text = clean(decoded.text)
    check_size(len(text), 0)
    lines = [0, *(match.end() for match in re.finditer("\n", text)), len(text)]
    front = _FRONT_MATTER.match(text)
    parts = [_Part("code", 0, text.count("\n", 0, front.end()) + 1, "aside")] if front else []
    parts += _parts(text, lines, parts[0].last if parts else 0)
    check_size(0, len(parts))
    title = _title(parts, front[0] if front else "")
    return Reading(text, _blocks(text, lines, parts), title, decoded.encoding, None, decoded.warnings)


def _parts(text: str, lines: list[int], at: int) -> Iterator[_Part]:
    """The parts of the source in order, from line `at` on, and every line between them that has text.

    Link definitions make no token, so they are between the parts.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    inline = MarkdownIt("commonmark")
    parser.core.ruler.enableOnly(["normalize", "block"])
    for part in _mapped(parser.parse(text[lines[at] :]), at, inline):
        if text[lines[at] : lines[part.first]].strip():
            yield _Part("paragraph", at, part.first, "aside")
        yield from _items(part) if lines[part.last] - lines[part.first] > LONG_BLOCK else (part,)
        at = part.last
    if text[lines[at] :].strip():
        yield _Part("paragraph", at, len(lines) - 1, "aside")


def _mapped(tokens: list[Token], shift: int, inline: MarkdownIt) -> Iterator[_Part]:
    """The outermost blocks among the tokens; `shift` is the line at which the parsed text starts."""
    for index, token in enumerate(tokens):
        if token.level or not token.map:
            continue
        first, last = (line + shift for line in token.map)
        kind = _KINDS.get(token.type, "paragraph")
        if kind == "heading":
            name = _plain(tokens[index + 1].content, inline)
            yield _Part(kind if name else "paragraph", first, last, name=name, level=int(token.tag[1:]))
        elif kind == "list":
            yield _Part(kind, first, last, items=_item_lines(tokens, index, shift))
        else:
            yield _Part(kind, first, last, "aside" if token.type == "hr" else "main")


def _item_lines(tokens: list[Token], index: int, shift: int) -> tuple[int, ...]:
    """The first lines of the items of the list that opens at `index`."""
    firsts = []
    for at in range(index + 1, len(tokens)):
        token = tokens[at]
        if token.level == 0:
            break
        if token.level == 1 and token.type == "list_item_open" and token.map:
            firsts.append(token.map[0] + shift)
    return tuple(firsts)


def _items(part: _Part) -> Iterator[_Part]:
    """A long list as one part per item; anything else as it is."""
    seams = [part.first, *part.items[1:], part.last] if part.items else [part.first, part.last]
    for first, last in pairwise(seams):
        yield _Part(part.kind, first, last, part.zone, part.name, part.level)


def _plain(source: str, inline: MarkdownIt) -> str:
    """Inline Markdown as it is read, without its markup."""
    tokens = inline.parseInline(source[:_LONGEST_INLINE])
    children = (tokens[0].children or []) if tokens else []
    words = (
        " " if child.type.endswith("break") else child.content for child in children if child.type != "html_inline"
    )
    return "".join(words).strip() or source.strip()


def _title(parts: list[_Part], front: str) -> str | None:
    """The front matter's title, else the first heading of level 1, else the first heading."""
    match = _TITLE.search(front)
    if match and (title := match[1].strip().strip("\"'").strip()):
        return one_line(title)
    headings = [part for part in parts if part.kind == "heading"]
    first = next((part for part in headings if part.level == 1), headings[0] if headings else None)
    return one_line(first.name) if first else None


def _blocks(text: str, lines: list[int], parts: list[_Part]) -> tuple[Block, ...]:
    headings, blocks = Headings(), []
    for part in parts:
        start, end = lines[part.first], lines[part.last]
        words = text[start:end].strip()
        if not words:
            continue
        start += text[start:end].index(words[0])
        if part.kind == "heading":
            headings.enter(part.name, part.level)
        blocks.append(Block(part.kind, start, start + len(words), headings.path, zone=part.zone))
    return tuple(blocks)

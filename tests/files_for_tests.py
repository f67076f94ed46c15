"""Small real PDF and DOCX files, and hostile ones, written in code."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Words:
    """Text at a place on a page: points from the lower left."""

    text: str
    y: float
    x: float = 72
    size: float = 11


def lines(*texts: str, top: float = 700, step: float = 14) -> list[Words]:
    """Texts one under another, as a paragraph's lines stand."""
    return [Words(text, top - step * index) for index, text in enumerate(texts)]


def _escaped(text: str) -> bytes:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("cp1252")


def _content(page: Sequence[Words]) -> bytes:
    """A page's content stream."""
    shown = (b"BT /F1 %g Tf 1 0 0 1 %g %g Tm (%b) Tj ET" % (w.size, w.x, w.y, _escaped(w.text)) for w in page)
    return b"\n".join(shown)


def _stream(data: bytes, extra: bytes = b"") -> bytes:
    return b"<< /Length %d %b >>\nstream\n%b\nendstream" % (len(data), extra, data)


def _assembled(objects: dict[int, bytes], trailer: bytes) -> bytes:
    """Objects by number, with the cross-reference table that tells where they are."""
    out = bytearray(b"%PDF-1.7\n")
    places = {}
    for number, body in sorted(objects.items()):
        places[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (max(objects) + 1)
    for number in range(1, max(objects) + 1):
        out += b"%010d 00000 n \n" % places[number]
    out += b"trailer\n<< /Size %d /Root 1 0 R %b >>\nstartxref\n%d\n%%%%EOF\n" % (max(objects) + 1, trailer, start)
    return bytes(out)


def pdf(
    pages: Sequence[Sequence[Words]],
    *,
    title: str = "",
    bookmarks: Sequence[tuple[str, int]] = (),
    streams: Sequence[bytes] = (),
    encrypted: bool = False,
) -> bytes:
    """A PDF. `bookmarks` are titles and page numbers from 1; `streams` replaces the pages' content objects as given."""
    contents = list(streams) or [_stream(_content(page)) for page in pages]
    font, info, outline = 3, 4, 5
    first_page = 6
    first_content = first_page + len(contents)
    first_mark = first_content + len(contents)
    kids = b" ".join(b"%d 0 R" % (first_page + i) for i in range(len(contents)))
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R /Outlines %d 0 R >>" % outline,
        2: b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, len(contents)),
        font: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        info: b"<< /Title (%b) >>" % _escaped(title),
        outline: b"<< /Type /Outlines >>",
    }
    for index, content in enumerate(contents):
        objects[first_page + index] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 %d 0 R >> /XObject << /X0 %d 0 R >> >> >>"
            % (first_content + index, font, first_content + 1)
        )
        objects[first_content + index] = content
    for index, (name, page) in enumerate(bookmarks):
        after = b"/Next %d 0 R" % (first_mark + index + 1) if index + 1 < len(bookmarks) else b""
        objects[first_mark + index] = b"<< /Title (%b) /Parent %d 0 R /Dest [%d 0 R /Fit] %b >>" % (
            _escaped(name),
            outline,
            first_page + page - 1,
            after,
        )
    if bookmarks:
        last = first_mark + len(bookmarks) - 1
        objects[outline] = b"<< /Type /Outlines /First %d 0 R /Last %d 0 R /Count %d >>" % (
            first_mark,
            last,
            len(bookmarks),
        )
    trailer = b"/Info %d 0 R" % info
    if encrypted:  # no password fits these keys, the empty one neither
        keys = b"/O <%b> /U <%b>" % (b"5a" * 32, b"a5" * 32)
        trailer += b" /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 %b >> /ID [<00> <00>]" % keys
    return _assembled(objects, trailer)


def deflated(byte: bytes, megabytes: int) -> bytes:
    """What many megabytes of one byte compress to."""
    packer = zlib.compressobj(9)
    block = byte * 1_000_000
    return b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()


def flate_bomb(megabytes: int) -> bytes:
    """A PDF of a few kilobytes whose only page unpacks to many megabytes."""
    packed = zlib.compress(deflated(b" ", megabytes), 9)
    return pdf([], streams=[_stream(packed, b"/Filter [/FlateDecode /FlateDecode]")])


def form_bomb(levels: int) -> bytes:
    """A PDF whose page draws a form ten times, which draws a form ten times, and so on."""
    first = 6 + levels  # the number of the page's content object, with `levels` pages that each hold one form
    streams = [_stream(b"/X0 Do " * 10)]
    for level in range(1, levels):
        below = first + level + 1
        inner = b"/X Do " * 10 if level + 1 < levels else b"BT /F1 9 Tf (x) Tj ET"
        resources = b"/Resources << /XObject << /X %d 0 R >> /Font << /F1 3 0 R >> >>" % below
        streams.append(_stream(inner, b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] " + resources))
    return pdf([], streams=streams)


def docx_bomb(path: Path, megabytes: int) -> None:
    """A DOCX whose document part unpacks to many megabytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("word/document.xml", "w") as part:
        for _ in range(megabytes):
            part.write(b" " * 1_000_000)


def zip_with(members: dict[str, bytes]) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()

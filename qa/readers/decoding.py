"""From bytes to text: which encoding, and whether it is text at all."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from qa.errors import ReadError

# UTF-32 first: its little-endian mark starts with that of UTF-16.
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MAGIC = (
    (b"%PDF-", "a PDF", ".pdf"),
    (b"PK\x03\x04", "a zip archive or an Office document", ".docx, or unpack it"),
    (b"PK\x05\x06", "an empty zip archive", None),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.doc, .xls)", None),
    (b"{\\rtf", "an RTF document", None),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", None),
    (b"\xff\xd8\xff", "a JPEG image", None),
    (b"GIF8", "a GIF image", None),
    (b"\x1f\x8b", "a gzip archive", None),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", None),
    (b"\xfd7zXZ\x00", "an xz archive", None),
    (b"\x7fELF", "a program (ELF)", None),
    (b"SQLite format 3\x00", "an SQLite database", None),
)
# What charset-normalizer may answer: code pages in which people still have files. Left to itself it takes Western
# text for cp1250, cp775 or mac_iceland; over this list and with `_prefer_western` 20 of 22 samples of 13 encodings
# came out right, and the rest could not be told apart (short EUC-JP, short Hebrew).
_CANDIDATES = [
    *("cp1252", "cp1250", "cp1251", "koi8_r", "cp866", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949", "cp874"),
]
_SAMPLE = 200_000
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\x0b\x1b\x1a")) + b"\x7f"
# Random bytes hold 10 % control characters; text in a code page holds none, a terminal log a few.
_MOST_CONTROLS = 0.02


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text, the name of the encoding it was read with, and what the reader should know about it."""

    text: str
    encoding: str
    warnings: tuple[str, ...] = ()


def decode(data: bytes) -> Decoded:
    """Text from bytes: byte order mark, strict UTF-8, charset-normalizer, cp1252, in this order.

    Raises ReadError for bytes that are no text, saying what they look like.
    """
    if not data.strip():
        raise ReadError("the file is empty")
    marked = decode_marked(data)
    if marked:
        return marked
    refuse_binary(data)
    utf16 = _unmarked_utf16(data)
    if utf16:
        return _replacing(data, utf16, guessed=True)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        _refuse_controls(data)
        return Decoded(text, "utf-8")
    _refuse_controls(data)
    return _damaged_utf8(data) or _guess(data)


def decode_marked(data: bytes) -> Decoded | None:
    """The text if the bytes start with a byte order mark."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _replacing(data[len(mark) :], encoding, guessed=False)
    return None


def decode_declared(data: bytes, encoding: str) -> Decoded | None:
    """The text if the bytes are, without an error, in the encoding that the file itself declares."""
    try:
        return Decoded(data.decode(encoding), encoding)
    except (LookupError, UnicodeError):
        return None


def refuse_binary(data: bytes) -> None:
    """Raise ReadError for the formats that are most often renamed to text."""
    for magic, name, suffix in _MAGIC:
        if data.startswith(magic):
            todo = f"rename it to {suffix}" if suffix else "leave it out, or save it as text"
            raise ReadError(f"not text: it looks like {name}; {todo}")


def _refuse_controls(data: bytes) -> None:
    controls = len(data) - len(data.translate(None, _CONTROLS))
    if controls > _MOST_CONTROLS * len(data) and controls > 1:
        raise ReadError("not text: it looks like binary data; leave it out, or save it as text")


def _unmarked_utf16(data: bytes) -> str | None:
    """UTF-16 without its mark: the zero halves of spaces, digits and Latin letters all stand on one side."""
    even, odd = data[::2].count(0), data[1::2].count(0)
    least = len(data) / 50  # Cyrillic text has a zero half at its spaces and digits only: one in ten characters or so
    for zeros, others, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros > least and others * 20 < zeros and _is_text(data, encoding):
            return encoding
    return None


def _is_text(data: bytes, encoding: str) -> bool:
    """Whether nearly all of the sample are characters that can be shown. An odd last byte is a cut, not an error."""
    sample = data[: _SAMPLE // 2 * 2].decode(encoding, "replace")
    bad = sum(not (c.isprintable() or c.isspace()) or c == "\N{REPLACEMENT CHARACTER}" for c in sample)
    return bad <= 1 + _MOST_CONTROLS * len(sample)


def _replacing(data: bytes, encoding: str, *, guessed: bool) -> Decoded:
    text = data.decode(encoding, "replace")
    if not text.strip():
        raise ReadError("the file is empty")
    warnings: tuple[str, ...] = (f"read as {encoding} (guessed)",) if guessed else ()
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        warnings += (f"damaged {encoding}: bytes that are no character were replaced",)
    return Decoded(text, encoding, warnings)


def _damaged_utf8(data: bytes) -> Decoded | None:
    """UTF-8 with a few broken bytes, which a guess would turn into mojibake from end to end."""
    text = data.decode("utf-8", "replace")
    broken = text.count("\N{REPLACEMENT CHARACTER}")
    foreign = len(text) - len(text.encode("ascii", "ignore"))
    if broken * 20 > foreign:
        return None
    return Decoded(text, "utf-8", (f"damaged utf-8: {broken} broken characters were replaced",))


def _guess(data: bytes) -> Decoded:
    from charset_normalizer import from_bytes

    cut = data.rfind(b"\n", 0, _SAMPLE) if len(data) > _SAMPLE else -1
    matches = from_bytes(data[:cut] if cut > 0 else data[:_SAMPLE], cp_isolation=_CANDIDATES)
    names = [name for match in matches for name in (match.encoding, *match.could_be_from_charset)]
    encoding = _prefer_western(names)
    decoded = decode_declared(data, encoding) or Decoded(data.decode("cp1252", "replace"), "cp1252")
    return Decoded(decoded.text, decoded.encoding, (f"read as {decoded.encoding} (guessed)",))


def _prefer_western(names: list[str]) -> str:
    """The best guess, but cp1252 rather than cp1250 where both fit: Western text is by far the more frequent."""
    if not names or (names[0] == "cp1250" and "cp1252" in names):
        return "cp1252"
    return names[0]

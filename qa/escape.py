"""Text of documents and people as HTML that shows it and does nothing else."""

from __future__ import annotations

import unicodedata

# Beyond HTML's own five: what template literals, Handlebars, Markdown code and LaTeX read, so that a widget that
# passes its value through one of them still shows the text.
_ENTITIES = {ord(character): f"&#{ord(character)};" for character in "&<>\"'`${}\\"}
_SHOWN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"


def escape(text: str) -> str:
    """Text for an element or a quoted attribute. `html.unescape` gives it back, character for character."""
    return text.translate(_ENTITIES)


def name(text: str) -> str:
    """A title, heading or path on one line, isolated from the text around it.

    Characters that nobody sees, above all those that turn the direction of what follows ("gpj.exe" shown as
    "exe.jpg"), become U+FFFD; quoted text keeps them, since it is shown word for word.
    """
    return f"<bdi>{escape(plain(text))}</bdi>"


def plain(text: str) -> str:
    """A name's characters that can be seen; white space of any kind is one space."""
    line = " ".join(text.split())
    return "".join("\ufffd" if unicodedata.category(c) in _SHOWN and c not in _JOINERS else c for c in line)

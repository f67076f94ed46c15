"""Text of documents and people as HTML that shows it and does nothing else, and errors without this machine's paths."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

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


def without_folder(line: str, folder: Path, shown: str) -> str:
    """A line with `shown` in place of a folder's path, which is nobody's business in a browser.

    A path of one word ("lib") stays: it says nothing of the machine, and may be a word of the line.
    """
    for path in sorted({folder.resolve(), folder.absolute(), folder}, key=lambda path: -len(str(path))):
        if len(path.parts) > 1:
            line = re.sub(rf"(?<![\w./\\-]){re.escape(str(path))}(?![\w-]|\.\w)", lambda _: shown, line)
    return line

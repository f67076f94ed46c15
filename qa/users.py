"""Who may use a server: a file of names and hashed passwords, and the command that changes it."""

from __future__ import annotations

import base64
import getpass
import hashlib
import hmac
import os
import re
import secrets
import sys
import tempfile
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from filelock import FileLock

from qa.errors import QAError

COST, BLOCK, LANES = 15, 8, 3
"""Parameters of scrypt (RFC 7914): N = 2^15, r = 8, p = 3, one of the settings that OWASP's password cheat sheet names.
A check takes 32 MB and about a third of a second, which a login can wait for and a guesser cannot."""
SHORTEST, LONGEST = 8, 1_000
"""Characters of a password."""
_MEMORY = 256 << 20  # bytes that a hash from the file may take
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_LIKE_A_VISITOR = re.compile(r"[A-Za-z0-9_-]{24}")
_ABOUT = "# Refdesk's users: change them with `refdesk users FILE add NAME` and `refdesk users FILE remove NAME`\n"


@dataclass(frozen=True, slots=True)
class Hash:
    """A password as it is kept: scrypt's parameters, a salt of 16 bytes and the 32 bytes that it gives."""

    cost: int
    block: int
    lanes: int
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, password: str) -> Self:
        """Hash a password with a new salt."""
        salt = secrets.token_bytes(16)
        return cls(COST, BLOCK, LANES, salt, _scrypt(password, salt, COST, BLOCK, LANES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`.

        Raises:
            ValueError: it is not one, or would take too much memory.
        """
        kind, cost, block, lanes, salt, digest = text.split("$")
        made = cls(int(cost), int(block), int(lanes), _bytes(salt), _bytes(digest))
        small = 1 <= made.cost <= 20 and 1 <= made.block <= 32 and 1 <= made.lanes <= 16
        if kind != "scrypt" or not small or 128 * made.block << made.cost > _MEMORY or len(made.digest) != 32:
            raise ValueError("not a hash of this program")
        return made

    def __str__(self) -> str:
        """The hash on one line: "scrypt$15$8$3$SALT$DIGEST", the last two in base64."""
        ends = (base64.b64encode(part).decode() for part in (self.salt, self.digest))
        return "$".join(("scrypt", str(self.cost), str(self.block), str(self.lanes), *ends))

    def fits(self, password: str) -> bool:
        """Is this the password? Takes the same time either way."""
        given = _scrypt(password, self.salt, self.cost, self.block, self.lanes)
        return hmac.compare_digest(given, self.digest)


NOBODY = Hash(COST, BLOCK, LANES, b"nobody's salt...", bytes(32))
"""What a name that does not exist is checked against, so that it takes as long as one that does."""


class Users:
    """The users of a file, read again whenever it changes. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._users: Mapping[str, Hash] = {}

    @classmethod
    def open(cls, path: Path) -> Self:
        """The users of a file.

        Raises:
            QAError: it cannot be read, or holds nobody.
        """
        if not read(path):
            raise QAError(f"users file {path} holds nobody: add someone with `refdesk users {path} add NAME`")
        users = cls(path)
        users.now()
        return users

    def now(self) -> Mapping[str, Hash]:
        """Names and hashes as the file says. A file that is gone lets nobody in; one that cannot be understood leaves
        everything as it was, and the terminal says why."""
        try:
            found = self.path.stat()
        except OSError:
            self._seen, self._users = None, {}
            return self._users
        state = (found.st_mtime_ns, found.st_size, found.st_ino)
        if state != self._seen:
            try:
                self._users = read(self.path)
            except QAError as error:
                print(f"refdesk: {error}; users stay as they were", file=sys.stderr, flush=True)  # noqa: T201
            self._seen = state
        return self._users


def read(path: Path) -> dict[str, Hash]:
    """Names and hashes in a users file.

    Raises:
        QAError: it cannot be read, or a line is not NAME:HASH.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise QAError(f"users file {path} does not exist: make it with `refdesk users {path} add NAME`") from error
    except (OSError, UnicodeError) as error:
        raise QAError(f"users file {path} cannot be read ({error})") from error
    users = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, said = line.strip().partition(":")
        try:
            users[checked_name(name)] = Hash.parse(said)
        except (ValueError, QAError) as error:
            raise QAError(f"line {number} of users file {path} is not one that `refdesk users` writes") from error
    return users


def add(path: Path, name: str, password: str) -> bool:
    """Give somebody a password, the file being made if it does not exist; returns whether the name is new.

    Raises:
        QAError: the name or the password cannot be used, or the file cannot be written.
    """
    checked_name(name)
    if not SHORTEST <= len(password) <= LONGEST:
        raise QAError(f"the password has {len(password)} characters: expected {SHORTEST} to {LONGEST:,}")
    with _changing(path):
        users = read(path) if path.exists() else {}
        new = name not in users
        _write(path, {**users, name: Hash.of(password)})
    return new


def remove(path: Path, name: str) -> None:
    """Take somebody out of the file; their sessions end at once.

    Raises:
        QAError: there is nobody of that name, or the file cannot be written.
    """
    with _changing(path):
        users = read(path)
        if name not in users:
            raise QAError(f"users file {path} has no user {name!r}: `refdesk users {path}` lists them")
        del users[name]
        _write(path, users)


def checked_name(name: str) -> str:
    """A user's name as it came.

    Raises:
        QAError: it cannot be one. A name that looks like a visitor's number is none: it could open a visitor's
            conversations.
    """
    if not _NAME.fullmatch(name):
        raise QAError(f"user name {name!r}: expected 1 to 64 letters of a to z, digits and . _ @ + -")
    if _LIKE_A_VISITOR.fullmatch(name):
        raise QAError(f"user name {name!r} has 24 characters, as visitors' numbers have: choose another length")
    return name


def ask_password(name: str) -> str:
    """A new password: asked for twice at a terminal, else the first line of standard input.

    Raises:
        QAError: the two differ, or nothing came.
    """
    if not sys.stdin.isatty():
        line = sys.stdin.readline()
        if not line:
            raise QAError("no password came on standard input: expected one line")
        return line.rstrip("\r\n")
    password = getpass.getpass(f"Password of {name}: ")
    if getpass.getpass("The same again: ") != password:
        raise QAError("the two passwords differ: try again")
    return password


def _changing(path: Path) -> FileLock:
    if not path.parent.is_dir():
        raise QAError(f"folder {path.parent} does not exist: make it, or choose another users file")
    return FileLock(f"{path}.lock", timeout=10)


def _write(path: Path, users: Mapping[str, Hash]) -> None:
    """Write a whole file that only its owner may read, then put it in place of the old one."""
    text = _ABOUT + "".join(f"{name}:{users[name]}\n" for name in sorted(users))
    try:
        number, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise
    except OSError as error:
        raise QAError(f"users file {path} cannot be written ({error.strerror}): check its permissions") from error


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    # One composed form, so that an umlaut typed on another system is the same letter.
    secret = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=1 << cost, r=block, p=lanes, maxmem=_MEMORY * 2, dklen=32)


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)

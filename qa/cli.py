"""The command `refdesk`: parse, call the library, show. Data goes to stdout, everything else to stderr.

Exit codes: 0 done; 1 nothing found, or something failed or is wrong; 2 a mistake in the call or a library that
cannot be used; 3 an evaluation is under its bound; 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from embeddings import BUNDLED, ENGINES
from qa import terminal
from qa.as_json import answer_as_json
from qa.errors import LibraryError, LibraryExistsError, QAError
from qa.evaluation.command import add_eval, add_tune
from qa.feedback_command import add_feedback
from qa.filters import unfit
from qa.library import Library
from qa.progress import progress_bar
from qa.store import FileRow
from qa.walk import check

Serve = Callable[..., None]


def main(argv: Sequence[str] | None = None, *, serve: Serve) -> int:
    """Run the command; `serve(library, host=…, port=…, open_browser=…)` shows the page, with the settings given."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a character gets another one
            stream.reconfigure(errors="replace")
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments, serve)
        sys.stdout.flush()
        return code
    except QAError as error:
        print(f"refdesk: {terminal.safe(str(error))}", file=sys.stderr)
        return 2
    except sqlite3.DatabaseError as error:
        folder = arguments.library
        print(
            f"refdesk: library {folder} is damaged ({error}): `refdesk doctor --library {folder}` says what to do",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:  # `refdesk list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("refdesk: stopped; what was done is kept, and the same command goes on from there", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line: one sub-command for each thing to do."""
    whole = argparse.ArgumentParser(
        prog="refdesk",
        description="Ask a folder of documents; get the passages that answer, each with a citation to the very words.",
        epilog="Start with:  refdesk index FOLDER   then   refdesk ask 'QUESTION'   or   refdesk serve",
    )
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)

    index = _command(commands, "index", _index, "bring the library to the state of files and folders")
    index.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="files and folders; new, changed, renamed and deleted files are noticed",
    )
    index.add_argument(
        "--model",
        metavar="NAME",
        help="sentence-transformers model, by name or folder (default: the library's; a new one gets all-MiniLM-L6-v2)",
    )
    index.add_argument(
        "--download", action="store_true", help="fetch the model from the hub if it is not on this machine"
    )
    index.add_argument(
        "--engine",
        choices=ENGINES,
        help="what runs the model (default: the library's; a new one gets auto, the quickest that works here)",
    )
    index.add_argument("--rebuild", action="store_true", help="encode all stored text anew, with --model if given")
    index.add_argument("--json", action="store_true", help="print the outcome of every file as JSON")

    ask = _command(commands, "ask", _ask, "answer a question with cited passages")
    ask.add_argument("question", metavar="QUESTION")
    ask.add_argument("-k", type=int, default=5, metavar="N", help="passages to show, 1 to 1000 (default: 5)")
    ask.add_argument(
        "--after",
        action="append",
        default=[],
        metavar="QUESTION",
        help="an earlier question that this one follows up on; may be given several times, oldest first",
    )
    ask.add_argument(
        "--source",
        action="append",
        metavar="GLOB",
        help="search only these sources, such as 'reports/*.pdf'; may be given several times",
    )
    ask.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="search only documents with this kind, language, title or root",
    )
    ask.add_argument("--misses", action="store_true", help="show the nearest passages when nothing was found")
    ask.add_argument("--json", action="store_true", help="print one JSON object")

    page = _command(commands, "serve", _serve, "open the page in a browser", library=False)
    page.add_argument(
        "--library",
        dest="libraries",
        action="append",
        metavar="DIR",
        help="the library's folder, made if it is not there (default: .refdesk); several, given as NAME=DIR, are "
        "served below /NAME/",
    )
    page.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files and folders to index first")
    page.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    page.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    page.add_argument("--no-browser", action="store_true", help="print the address only")
    _add_operating(page)

    listing = _command(commands, "list", _list, "list the documents")
    listing.add_argument("--json", action="store_true", help="print JSON")

    remove = _command(commands, "remove", _remove, "remove documents from the library; the files stay")
    remove.add_argument(
        "patterns", nargs="+", metavar="SOURCE", help="a source as `refdesk list` shows it, or a glob such as 'old/*'"
    )
    remove.add_argument("--json", action="store_true", help="print JSON")

    status = _command(commands, "status", _status, "show what the library holds and was made with")
    status.add_argument("--json", action="store_true", help="print JSON")

    users = _command(commands, "users", _users, "say who may log in to a server, in a file for --users", library=False)
    users.add_argument("file", type=Path, metavar="FILE", help="the file with names and hashed passwords")
    users.add_argument("do", nargs="?", choices=("list", "add", "remove"), default="list", help="what (default: list)")
    users.add_argument("name", nargs="?", metavar="NAME", help="whom to add, or give another password, or remove")

    _command(commands, "mcp", _mcp, "serve the library to assistants by MCP, on standard input and output")

    add_feedback(_command, commands)
    add_eval(_command, commands)
    add_tune(_command, commands)

    doctor = _command(commands, "doctor", _doctor, "check rows, spans and indexes, and say what would be mended")
    doctor.add_argument("--mend", action="store_true", help="mend what can be made again from the rows")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    return whole


def _command(
    commands: Any,  # noqa: ANN401
    name: str,
    run: Callable[..., int],
    what: str,
    *,
    library: bool = True,
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    if library:
        command.add_argument(
            "--library",
            type=Path,
            default=Path(".refdesk"),
            metavar="DIR",
            help="the library's folder (default: .refdesk)",
        )
    command.set_defaults(run=run, library=Path(".refdesk"))
    return command


def _add_operating(page: argparse.ArgumentParser) -> None:
    """The options of who runs the page for others. Those that are not given are left out of the arguments."""
    group = page.add_argument_group("for others", "docs/operating.md says more", argument_default=argparse.SUPPRESS)
    add = group.add_argument
    add("--root-path", metavar="PATH", help="where a proxy shows the page, such as /docs")
    add("--trusted-host", dest="trusted_hosts", action="append", metavar="NAME", help="a name to answer to as well")
    add("--users", type=Path, metavar="FILE", help="let only these users in; `refdesk users FILE add NAME` adds one")
    add("--read-only", action="store_true", help="write nothing: no uploads, no removals, no conversations kept")
    add("--originals", action="store_true", help="let visitors download the files themselves")
    add("--max-upload", type=_size, metavar="SIZE", help="most bytes of an upload, such as 20MB (default: 100MB)")
    add("--disk", type=_size, metavar="SIZE", help="most bytes of a library's folder, such as 10GB (default: any)")
    add(
        "--rate",
        type=int,
        metavar="N",
        help="questions a minute of one visitor, 0 for any number (default: 120; any for this machine alone)",
    )
    add("--metrics-open", action="store_true", help="let everybody read /metrics, not only this machine and users")
    add("--log", type=Path, metavar="FILE", help="write a JSON line for each request, - for standard error")
    add("--log-text", action="store_true", help="let questions stand in the log")


def _size(text: str) -> int:
    """Bytes: "20MB" is 20,000,000."""
    number = text.upper().removesuffix("B")
    factor = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}.get(number[-1:], 1)
    try:
        size = int(float(number.rstrip("KMGT") if factor > 1 else number) * factor)
    except (ValueError, OverflowError):
        size = -1
    if size < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: expected a number with KB, MB or GB, such as 20MB")
    return size


def _index(arguments: argparse.Namespace, _: Serve) -> int:
    if not arguments.paths and not arguments.rebuild:
        raise QAError("no path was given: name the files or folders, as in `refdesk index docs`")
    for path in arguments.paths:
        check(path)
    with _opened(arguments, create=True) as library:
        if arguments.engine:
            library.set_engine(arguments.engine)
        if arguments.rebuild:
            with progress_bar() as show:
                library.rebuild(arguments.model or library.encoder_name, download=arguments.download, on_progress=show)
        code = _sync(library, arguments.paths, as_json=arguments.json) if arguments.paths else 0
        status = library.status()
    if not arguments.json:
        held = terminal.plural(status.documents, "document"), terminal.plural(status.passages, "passage")
        print(f"{', '.join(held)} in {library.path}")
    elif not arguments.paths:
        print(json.dumps(asdict(status), ensure_ascii=False, indent=1))
    return code


def _sync(library: Library, paths: Sequence[Path], *, as_json: bool) -> int:
    """Index and tell of it; 1 where a file failed that was new, had changed or was tried again."""
    before = _failed(library)
    with progress_bar() as show:
        report = library.sync(paths, on_progress=show)
    new = _failed(library) - before
    if as_json:
        print(json.dumps(asdict(report), ensure_ascii=False, indent=1))
    else:
        terminal.show_report(report, new_failures=[row.source for row in new])
    return 1 if new else 0


def _failed(library: Library) -> set[FileRow]:
    """The files that could not be read, each as it was when it was tried."""
    return {row for row in library.store.files() if row.reason is not None}


def _ask(arguments: argparse.Namespace, _: Serve) -> int:
    where = dict(_pair(text) for text in arguments.where)
    with _opened(arguments) as library:
        answer = library.ask(
            arguments.question, turns=arguments.after, k=arguments.k, sources=arguments.source, where=where
        )
        note = None if answer.hits or answer.misses else unfit(library, arguments.source, where)
    if arguments.json:
        told = answer_as_json(answer, misses=arguments.misses) | ({"note": note} if note else {})
        print(json.dumps(told, ensure_ascii=False, indent=1))
    elif note is None:
        terminal.show_answer(answer, misses=arguments.misses)
    if note:
        print(f"refdesk: {terminal.safe(note)}: see `refdesk list{' --json' if where else ''}`", file=sys.stderr)
    return 0 if answer.found else 1


_SETTINGS = ("root_path trusted_hosts users read_only originals max_upload disk rate metrics_open log log_text").split()
_LIBRARY = re.compile(r"([A-Za-z0-9_-]+)=(.+)", re.DOTALL)


def _serve(arguments: argparse.Namespace, serve: Serve) -> int:
    for path in arguments.paths:
        check(path)
    given = {name: value for name, value in vars(arguments).items() if name in _SETTINGS}
    if arguments.paths and given.get("read_only"):
        raise QAError("--read-only writes nothing: index first, or leave the paths out")
    options = {"host": arguments.host, "port": arguments.port, "open_browser": not arguments.no_browser, **given}
    named = _named(arguments.libraries or [])
    if named and arguments.paths:
        raise QAError("paths belong to one library: index them with `refdesk index PATH --library DIR`")
    if named:
        with contextlib.ExitStack() as stack:
            serve(_shared(named, given, stack), **options)
        return 0
    arguments.library = Path((arguments.libraries or [".refdesk"])[0])
    opened = _opened(arguments, create=True) if arguments.paths else _to_serve(arguments.library, given)
    with opened as library:
        if arguments.paths:
            _sync(library, arguments.paths, as_json=False)
        serve(library, **options)
    return 0


def _to_serve(folder: Path, settings: Mapping[str, Any]) -> Library:
    """The library in a folder. Where nothing is yet an empty one is made, and a line says so: the page fills it."""
    if settings.get("read_only"):
        return Library.open(folder)
    try:
        library = Library.create(folder)
    except LibraryExistsError:
        return Library.open(folder)
    print(f"refdesk: made an empty library in {terminal.safe(str(folder))}: add documents on its page", file=sys.stderr)
    return library


def _named(given: Sequence[str]) -> dict[str, Path]:
    """The libraries of several NAME=DIR; empty where one folder was given."""
    pairs = [None if Path(text).is_dir() else _LIBRARY.fullmatch(text) for text in given]
    if len(given) < 2 and not any(pairs):
        return {}
    named: dict[str, Path] = {}
    for text, pair in zip(given, pairs, strict=True):
        if pair is None:
            raise QAError(f"--library got {text!r} beside others: expected NAME=DIR, such as handbook={text}")
        if pair[1] in named:
            raise QAError(f"two libraries are named {pair[1]!r}: give each a name of its own")
        named[pair[1]] = Path(pair[2])
    return named


def _shared(named: Mapping[str, Path], settings: Mapping[str, Any], stack: contextlib.ExitStack) -> dict[str, Library]:
    """Open libraries by name; those that were made with the same encoder share one."""
    opened: dict[str, Library] = {}
    for name, folder in named.items():
        library = _to_serve(folder, settings)
        same = next((one for one in opened.values() if one.encoder_name == library.encoder_name), None)
        if same is not None:
            library.close()
            library = Library.open(folder, encoder=same.encoder)
        opened[name] = stack.enter_context(library)
    return opened


def _users(arguments: argparse.Namespace, _: Serve) -> int:
    from qa import users

    if arguments.do == "list":
        for name in sorted(users.read(arguments.file)):
            print(name)
        return 0
    if arguments.name is None:
        raise QAError(f"no name was given, as in `refdesk users {arguments.file} {arguments.do} anna`")
    if arguments.do == "remove":
        users.remove(arguments.file, arguments.name)
        print(f"removed {arguments.name}")
        return 0
    users.checked_name(arguments.name)
    new = users.add(arguments.file, arguments.name, users.ask_password(arguments.name))
    print(f"{'added' if new else 'gave another password to'} {arguments.name}")
    return 0


def _mcp(arguments: argparse.Namespace, _: Serve) -> int:
    from qa.mcp import serve

    with _opened(arguments) as library:
        serve(library)
    return 0


def _list(arguments: argparse.Namespace, _: Serve) -> int:
    with _opened(arguments) as library:
        documents = library.documents()
    if arguments.json:
        print(json.dumps([asdict(document) for document in documents], ensure_ascii=False, indent=1))
    else:
        terminal.show_documents(documents)
    return 0


def _remove(arguments: argparse.Namespace, _: Serve) -> int:
    with _opened(arguments) as library:
        removed = {pattern: library.remove(pattern) for pattern in arguments.patterns}
    if arguments.json:
        print(
            json.dumps({"removed": [source for sources in removed.values() for source in sources]}, ensure_ascii=False)
        )
    for pattern, sources in removed.items():
        if not sources:
            print(f"refdesk: no document is or matches {pattern!r}: see `refdesk list`", file=sys.stderr)
        for source in sources if not arguments.json else ():
            print(f"removed {terminal.safe(source)}")
    return 0 if all(removed.values()) else 1


def _status(arguments: argparse.Namespace, _: Serve) -> int:
    with _opened(arguments) as library:
        status = library.status()
    if arguments.json:
        print(json.dumps(asdict(status), ensure_ascii=False, indent=1))
    else:
        terminal.show_status(status)
    return 0


def _doctor(arguments: argparse.Namespace, _: Serve) -> int:
    from qa.doctor import examine, mend

    with _opened(arguments) as library:
        findings = examine(library)
        if arguments.mend:
            findings = mend(library, findings)
    clean = all(finding.state == "pending" for finding in findings)
    if arguments.json:
        print(
            json.dumps(
                {"clean": clean, "findings": [asdict(finding) for finding in findings]}, ensure_ascii=False, indent=1
            )
        )
    else:
        terminal.show_findings(findings)
    return 0 if clean else 1


def _opened(arguments: argparse.Namespace, *, create: bool = False) -> contextlib.AbstractContextManager[Library]:
    """The library that a command names, made first if it may be."""
    folder: Path = arguments.library
    name = getattr(arguments, "model", None)
    if create:
        try:
            return Library.create(
                folder,
                encoder=name or BUNDLED,
                download=getattr(arguments, "download", False),
                engine=getattr(arguments, "engine", None) or "auto",
            )
        except LibraryExistsError:
            pass  # it was there, or another process has just made it
    library = Library.open(folder)
    made_with = library.encoder_name
    if name and not arguments.rebuild and name != made_with:
        library.close()
        raise LibraryError(
            f"library {folder} was made with encoder {made_with!r}, not {name!r}: leave --model out, or "
            f"encode it anew with `refdesk index --rebuild --model {name} --library {folder}`"
        )
    return library


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise QAError(f"--where got {text!r}: expected NAME=VALUE, such as kind=pdf")
    return name, value

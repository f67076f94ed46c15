"""Kill indexing at random moments, many times: what is left must open, answer, and end as if nothing had happened.

    python -m benchmarks.crash [--kills 20] [--files 200] [--seed 1]

Files of generated text are indexed once undisturbed. Then they are indexed into another library by `refdesk index` in
processes that get SIGKILL at moments spread over the run, from the making of the library to its end, until as many
were killed as asked for; when a run finishes before its kill, a new library is started. After each kill the library
must open (or not exist yet), hold nothing that the next run does not finish, and answer a question. At the end of
each library its passages and its hits for 20 questions must be those of the undisturbed one.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from embeddings import Encoder
from qa import Library
from qa.doctor import examine

COMMAND = [sys.executable, "-c", "import sys, app; sys.exit(app.main())"]
QUESTIONS = 20
TOLERANCE = 1e-5
_NOUNS = (
    "river stone engine winter signal market garden bridge letter harbour window thunder paper planet forest needle "
    "castle lantern orchard kettle compass ladder mirror cellar saddle anchor barrel chimney meadow tunnel"
).split()
_VERBS = "carries follows repairs measures guards paints moves lifts counts borrows hides weighs".split()
_PLACES = "Arvel Skerrow Tamsin Brandmoor Calder Oxley Pennard Quill Rosthwaite Selmouth".split()

Found = list[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class State:
    """What two libraries must agree on: (passage id, zone) of all passages, and the hits of some questions."""

    passages: frozenset[tuple[str, str]]
    hits: tuple[Found, ...]

    def differences(self, other: State) -> list[str]:
        """What is not the same in another library."""
        found = []
        if self.passages != other.passages:
            found.append(f"{len(self.passages ^ other.passages)} passages differ")
        for number, (mine, others) in enumerate(zip(self.hits, other.hits, strict=True)):
            if [hit for hit, _ in mine] != [hit for hit, _ in others]:
                found.append(f"question {number}: other hits")
            elif any(abs(a - b) > TOLERANCE for (_, a), (_, b) in zip(mine, others, strict=True)):
                found.append(f"question {number}: other scores")
        return found


@dataclass(slots=True)
class Soak:
    """The figures of a whole run."""

    kills: int = 0
    libraries: int = 0
    found: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def make_files(folder: Path, count: int, seed: int) -> None:
    """Write small varied text and Markdown files; a third of them hold one of five paragraphs that repeat."""
    random_ = random.Random(seed)
    folder.mkdir()
    common = [_paragraph(random_) for _ in range(5)]
    for number in range(count):
        parts = [_paragraph(random_) for _ in range(random_.randint(1, 8))]
        if number % 3 == 0:
            parts.insert(random_.randint(0, len(parts)), random_.choice(common))
        markdown = number % 2 == 0
        if markdown:
            parts.insert(0, f"# {random_.choice(_NOUNS).title()} of {random_.choice(_PLACES)} {number}")
        below = folder / f"part {number % 7}"
        below.mkdir(exist_ok=True)
        (below / f"{number:04}.{'md' if markdown else 'txt'}").write_text("\n\n".join(parts) + "\n")


def _paragraph(random_: random.Random) -> str:
    def sentence() -> str:
        first, second, third = random_.sample(_NOUNS, 3)
        words = f"the {first} of {random_.choice(_PLACES)} {random_.choice(_VERBS)} the {second} near the {third}"
        return f"In {random_.randint(1500, 1999)} {words}."

    return " ".join(sentence() for _ in range(random_.randint(1, 6)))


def questions(seed: int) -> list[str]:
    """Questions in the words of the files."""
    random_ = random.Random(seed)
    return [
        f"Who {random_.choice(_VERBS)} the {random_.choice(_NOUNS)} near {random_.choice(_PLACES)}?"
        for _ in range(QUESTIONS)
    ]


def state_of(library: Library, asked: list[str]) -> State:
    """The state of a library that is compared."""
    store = library.store
    rows = store.passages([row[0] for row in store.passage_rows()]).values()
    passages = frozenset((passage.id, passage.zone) for passage in map(store.passage, rows))
    hits = library.retrieve_many(asked, 10)
    return State(passages, tuple([(hit.passage.id, hit.score) for hit in some] for some in hits))


def index(docs: Path, library: Path) -> subprocess.Popen[str]:
    """Start `refdesk index` in a process of its own."""
    command = [*COMMAND, "index", str(docs), "--library", str(library)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def undisturbed(docs: Path, library: Path) -> tuple[float, float]:
    """Index once; returns the seconds until the library was there, and until the end."""
    started = time.monotonic()
    process = index(docs, library)
    made = None
    while process.poll() is None:
        if made is None and (library / "library.sqlite").exists():
            made = time.monotonic() - started
        time.sleep(0.01)
    out, err = process.communicate()
    if process.returncode != 0 or made is None:
        raise SystemExit(f"the undisturbed run failed: {out}{err}")
    return made, time.monotonic() - started


def kill_after(process: subprocess.Popen[str], library: Path, started: float, seconds: float) -> float | None:
    """Send SIGKILL `seconds` after a run has come to its documents; the seconds it took if it ended before.

    A first run is there when its library is; a later one after about `started` seconds, which its imports take.
    """
    if (library / "library.sqlite").exists():
        seconds += started
    while not (library / "library.sqlite").exists() and process.poll() is None:
        time.sleep(0.005)
    at = time.monotonic()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    process.communicate()
    return time.monotonic() - at


def left_behind(library: Path, encoder: Encoder, question: str) -> tuple[str, list[str], list[str]]:
    """What a kill left: in words, the pending findings, and what should not be."""
    if not (library / "library.sqlite").exists():
        return "no library yet", [], []
    with Library.open(library, encoder=encoder) as opened:
        findings = examine(opened)
        answer = opened.ask(question)
        counts = opened.store.counts()
        for hit in answer.hits + answer.misses:
            opened.open_citation(hit.citation.id)
    pending = [finding.check for finding in findings if finding.state == "pending"]
    wrong = [f"{finding.check}: {finding.problem}" for finding in findings if finding.state != "pending"]
    return f"{counts['documents']} documents, {counts['vectors']} vectors", pending, wrong


def finish(docs: Path, library: Path, encoder: Encoder) -> list[str]:
    """Let a last run end, in this process to save its imports; what should not be."""
    with Library.open(library, encoder=encoder) as opened:
        report = opened.sync([docs])
        left = [f"{finding.check}: {finding.problem}" for finding in examine(opened)]
    return left + [f"{outcome.source}: {outcome.reason}" for outcome in report.outcomes if outcome.state == "failed"]


def soak(
    folder: Path, encoder: Encoder, *, kills: int, files: int, seed: int, say: Callable[[str], object] = lambda _: None
) -> Soak:
    """Kill as often as asked for; see the module's text. `say` hears a line for each run."""
    docs, result, random_ = folder / "docs", Soak(), random.Random(seed)
    make_files(docs, files, seed)
    asked = questions(seed + 1)
    made, end = undisturbed(docs, folder / "undisturbed")
    with Library.open(folder / "undisturbed", encoder=encoder) as opened:
        expected = state_of(opened, asked)
    say(f"undisturbed: library after {made:.1f} s, end after {end:.1f} s, {len(expected.passages)} passages")
    span = end - made
    while result.kills < kills:
        result.libraries += 1
        library = folder / f"library{result.libraries}"
        while result.kills < kills:
            # A run starts where the last one was killed, so what is left of it gets shorter.
            moment = random_.uniform(0, span * random_.choice((0.2, 0.6, 1.0)))
            process = index(docs, library)
            ended = kill_after(process, library, 0.9 * made, moment)
            if ended is not None:
                span = min(span, max(1.0, ended))  # the machine has become faster, or little was left
                break
            result.kills += 1
            what, pending, wrong = left_behind(library, encoder, random_.choice(asked))
            result.found.update(pending)
            result.problems += wrong
            say(
                f"kill {result.kills:3}  library {result.libraries}  +{moment:5.2f} s  {what:36}  "
                f"{', '.join(pending) or 'sound'}{'  WRONG ' + '; '.join(wrong) if wrong else ''}"
            )
        if not (library / "library.sqlite").exists():
            continue  # the last kill came before there was anything to finish
        wrong = finish(docs, library, encoder)
        with Library.open(library, encoder=encoder) as opened:
            wrong += state_of(opened, asked).differences(expected)
        result.problems += wrong
        say(f"library {result.libraries} finished: {'; '.join(wrong) or 'as undisturbed'}")
    return result


def interrupted(folder: Path, encoder: Encoder, *, after: float = 0.5) -> list[str]:
    """Ctrl-C while documents are encoded: exit code 130, one line, and the next run finishes. What should not be."""
    docs, library = folder / "docs", folder / "interrupted"
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell starts its background jobs; children inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    process = index(docs, library)
    while not (library / "library.sqlite").exists() and process.poll() is None:
        time.sleep(0.005)
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    wrong = [] if process.returncode == 130 else [f"Ctrl-C: exit code {process.returncode}"]
    if out or err.count("\n") != 1 or not err.startswith("refdesk: stopped"):
        wrong.append(f"Ctrl-C: printed {out!r} and {err!r}")
    return wrong + left_behind(library, encoder, questions(1)[0])[2] + finish(docs, library, encoder)


def main() -> int:
    """Run from the command line; the exit code is 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description="Kill indexing at random moments and compare with an undisturbed run.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    encoder = Encoder.load()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="refdesk-crash-") as name:
        folder = Path(name)
        figures = {"kills": arguments.kills, "files": arguments.files, "seed": arguments.seed}
        result = soak(folder, encoder, **figures, say=lambda line: print(line, flush=True))
        result.problems += interrupted(folder, encoder)
    for problem in result.problems:
        print(f"WRONG: {problem}")
    print(
        f"{result.kills} kills in {result.libraries} libraries of {arguments.files} files, Ctrl-C once: "
        f"{len(result.problems)} problems; pending after kills: "
        f"{', '.join(f'{check} {count}' for check, count in sorted(result.found.items())) or 'nothing'}; "
        f"{time.monotonic() - started:.0f} s"
    )
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())

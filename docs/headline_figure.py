"""The picture of docs/make_headline.py: every seed's hypervolume, below it the effects and what was predicted."""

from __future__ import annotations

import math

from answer_parts import COLOURS, WIDTH, Axis, Mark, forest
from headline_data import Experiment
from headline_words import PREDICTED
from make_concepts import picture

from smemnas.bench.metrics.intervals import Interval

LEFT, RIGHT, TOP, HEIGHT = 58, 16, 52, 262
#: Ticks that an axis may have: the finest of these steps that needs no more than `MOST` of them.
STEPS, MOST = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5), 6
#: Effects beyond are drawn as arrows.
LARGEST = 4


def figure(e: Experiment) -> str:
    """Return both parts as one picture, SVG."""
    below = effects(e)
    height = float(below.split('viewBox="0 0 ')[1].split('"')[0].split()[1])
    start = f'<svg y="{HEIGHT}" width="{WIDTH}" height="{height:.0f}" '
    body = volumes(e) + below.strip().replace("<svg ", start, 1)
    title = f"{e.arms[0]} and {e.arms[1]}, seed by seed, and effects"
    return picture(title, body, (WIDTH, HEIGHT + round(height)))


def ticks(low: float, high: float) -> list[float]:
    """Return round values from below the lowest to above the highest."""
    for step in STEPS:
        first, last = math.floor(low / step), math.ceil(high / step)
        if last - first < MOST:
            break
    return [round(k * step, 6) for k in range(first, max(last, first + 1) + 1)]


def volumes(e: Experiment) -> str:
    """Return a column for each seed with a dot for each arm, and the means with their intervals at the right."""
    arms, n = e.volumes, len(e.plan.runs)
    ends = [v for row in arms for v in (*row.values.tolist(), row.mean.low, row.mean.high) if math.isfinite(v)]
    marks = ticks(min(ends), max(ends))
    step = (WIDTH - LEFT - RIGHT) / (n + 2)

    def y(value: float) -> float:
        return HEIGHT - 46 - (value - marks[0]) / (marks[-1] - marks[0]) * (HEIGHT - 46 - TOP)

    parts = []
    for value in marks:
        parts.append(f'<path class="g" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="t" x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for k, seed in enumerate(e.plan.runs):
        x = LEFT + step * (k + 0.5)
        pair = [float(row.values[k]) for row in arms]
        parts.append(f'<path class="a" d="M{x:.1f} {y(pair[0]):.1f}V{y(pair[1]):.1f}"/>')
        parts += [_dot(x, y(value), COLOURS[kind]) for kind, value in reversed(list(enumerate(pair)))]
        parts.append(f'<text class="t" x="{x:.1f}" y="{HEIGHT - 30}" text-anchor="middle">{seed}</text>')
    for kind, row in enumerate(arms):
        x = LEFT + step * (n + 0.8 + 0.6 * kind)
        mean, line = row.mean, ""
        if math.isfinite(mean.low):
            line = (
                f'<path stroke="{COLOURS[kind]}" stroke-width="2" d="M{x:.1f} {y(mean.low):.1f}V{y(mean.high):.1f}"/>'
            )
        parts.append(line + _dot(x, y(mean.value), COLOURS[kind]))
    parts.append(
        f'<text class="t" x="{LEFT + step * (n + 1.1):.1f}" y="{HEIGHT - 30}" text-anchor="middle">mean</text>'
    )
    middle = LEFT + step * n / 2
    parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 10}" text-anchor="middle">seed of search and trainings</text>')
    parts.append('<text x="16" y="40">hypervolume by fresh trainings (larger is better)</text>')
    for kind, arm in enumerate(e.arms):
        parts.append(_dot(21 + 250 * kind, 14, COLOURS[kind]) + f'<text x="{32 + 250 * kind}" y="18">{arm}</text>')
    return "".join(parts)


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def effects(e: Experiment) -> str:
    """Return the effects in standard deviations of the paired differences; to the right the first arm is better."""
    rows = [("hypervolume", [_mark(e.primary.d, 0)])]
    if e.foreseen is not None:
        rows.append(("simulated", [_mark(e.foreseen.d, 3)]))
    rows.append(("predicted", [Mark(PREDICTED, PREDICTED, PREDICTED, 3)]))
    for cap, pair in zip(e.plan.caps, e.secondary, strict=True):
        d = Interval(-pair.d.value, -pair.d.high, -pair.d.low)  # of errors less is better
        rows.append((f"error at {cap:g} M", [_mark(d, 2)]))
    rows = [row for row in rows if math.isfinite(row[1][0].value)]
    ends = [v for _, marks in rows for mark in marks for v in mark[:3]]
    first, last = max(math.floor(min(*ends, -1)), -LARGEST), min(math.ceil(max(*ends, 1)), LARGEST)
    axis = Axis(f"effect d; right of 0 {e.arms[0]} is better", [float(v) for v in range(first, last + 1)])
    return forest("effects", rows, axis, ())


def _mark(d: Interval, kind: int) -> Mark:
    low, high = (d.value if math.isnan(v) else v for v in (d.low, d.high))
    return Mark(d.value, low, high, kind)

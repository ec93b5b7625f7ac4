"""The picture of docs/make_headline.py: every seed's hypervolume, below it the effects and what was predicted."""

from __future__ import annotations

import math

from answer_parts import COLOURS, WIDTH, Axis, Mark, forest, together
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
    title = f"{together(e.arms)}, seed by seed, and effects"
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
        found = [float(row.values[k]) for row in arms]
        parts.append(f'<path class="a" d="M{x:.1f} {y(max(found)):.1f}V{y(min(found)):.1f}"/>')
        parts += [_dot(x, y(value), COLOURS[kind]) for kind, value in reversed(list(enumerate(found)))]
        parts.append(f'<text class="t" x="{x:.1f}" y="{HEIGHT - 30}" text-anchor="middle">{seed}</text>')
    for kind, row in enumerate(arms):
        x = LEFT + step * (n + 1.1 + 0.6 * (kind - (len(arms) - 1) / 2))
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
    apart = 500 // max(2, len(e.arms))
    for kind, arm in enumerate(e.arms):
        at = 21 + apart * kind
        parts.append(_dot(at, 14, COLOURS[kind]) + f'<text x="{at + 11}" y="18">{arm}</text>')
    return "".join(parts)


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def effects(e: Experiment) -> str:
    """Return the effects in standard deviations of the paired differences; to the right the first arm is better.

    Of more than two arms, each comparison has the colour of its other arm; of two, each quantity has its own.
    """
    others = len(e.arms) - 1
    kinds = range(1, others + 1)
    two = others == 1
    rows = [("hypervolume", [_mark(pair.d, 0 if two else k) for k, pair in zip(kinds, e.primaries, strict=True)])]
    if e.foreseen:
        rows.append(("simulated", [_mark(f.d, 3 if two else k) for k, f in zip(kinds, e.foreseen, strict=True)]))
    if two:
        rows.append(("predicted", [Mark(PREDICTED, PREDICTED, PREDICTED, 3)]))
    for at, cap in enumerate(e.plan.caps):
        marks = []
        for k, pair in zip(kinds, e.secondary[at * others : (at + 1) * others], strict=True):
            d = Interval(-pair.d.value, -pair.d.high, -pair.d.low)  # of errors less is better
            marks.append(_mark(d, 2 if two else k))
        rows.append((f"error at {cap:g} M", marks))
    rows = [(label, kept) for label, marks in rows if (kept := [m for m in marks if math.isfinite(m.value)])]
    ends = [v for _, marks in rows for mark in marks for v in mark[:3]]
    first, last = max(math.floor(min(*ends, -1)), -LARGEST), min(math.ceil(max(*ends, 1)), LARGEST)
    axis = Axis(f"effect d; right of 0 {e.arms[0]} is better", [float(v) for v in range(first, last + 1)])
    return forest("effects", rows, axis, ())


def _mark(d: Interval, kind: int) -> Mark:
    low, high = (d.value if math.isnan(v) else v for v in (d.low, d.high))
    return Mark(d.value, low, high, kind)

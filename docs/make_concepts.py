"""Draw the pictures of docs/concepts.md from real data: `python docs/make_concepts.py` writes docs/concepts/*.svg.

Everything comes from the tables of the package and from the runs of its archive (plan in-the-box, NAS-Bench-201 on
CIFAR-10, seed 0), so a test makes the pictures anew and compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np

import smemnas
from smemnas.bench.studies.against import shipped

FOLDER = Path(__file__).resolve().parent / "concepts"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 320, 58, 16, 16, 46
BLUE, ORANGE, GREY, GREEN = "#3b6fb6", "#d9822b", "#8a94a3", "#2e8b57"
#: Readable on light and dark pages: the picture brings its own light ground.
STYLE = "text{font:12px sans-serif;fill:#1b1f24}.t{fill:#57606a}.a{stroke:#57606a;fill:none}.g{stroke:#e3e7ec}"


class Frame(NamedTuple):
    """Ranges of both axes and how they become pixels."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[str, str]:
        """Return the place of a point, in tenths of a pixel."""
        across = LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f}", f"{down:.1f}"

    def dots(self, points: Iterable[Sequence[float]], colour: str, radius: float = 2.5, opacity: float = 1.0) -> str:
        """Return a dot for each point."""
        places = (self.at(x, y) for x, y in points)
        circles = "".join(f'<circle cx="{x}" cy="{y}" r="{radius}"/>' for x, y in places)
        return f'<g fill="{colour}" fill-opacity="{opacity}">{circles}</g>'

    def line(self, points: Iterable[Sequence[float]], colour: str, width: float = 2, fill: str = "none") -> str:
        """Return a line through some points."""
        path = " ".join(",".join(self.at(x, y)) for x, y in points)
        return f'<polyline points="{path}" fill="{fill}" stroke="{colour}" stroke-width="{width}"/>'

    def axes(self, across: str, down: str, ticks: tuple[Sequence[float], Sequence[float]]) -> str:
        """Return axes with ticks and titles."""
        parts = []
        for value in ticks[0]:
            x, y = self.at(value, self.y[0])
            parts.append(f'<text class="t" x="{x}" y="{float(y) + 16:.1f}" text-anchor="middle">{value:g}</text>')
        for value in ticks[1]:
            x, y = self.at(self.x[0], value)
            end = self.at(self.x[1], value)[0]
            parts.append(f'<path class="g" d="M{x} {y}H{end}"/>')
            parts.append(
                f'<text class="t" x="{float(x) - 6:.1f}" y="{float(y) + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<path class="a" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>')
        turned = f'transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"'
        parts.append(f'<text {turned} text-anchor="middle">{escape(down)}</text>')
        return "".join(parts)


def picture(title: str, body: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    """Return a whole SVG file, so many pixels wide and high."""
    width, height = size
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
    return (
        f'{start} aria-label="{escape(title)}">'
        f'<style>{STYLE}</style><rect width="{width}" height="{height}" rx="6" fill="#fff"/>{body}</svg>\n'
    )


def key(entries: Sequence[tuple[str, str]], x: float, y: float) -> str:
    """Return a list of colours with what they mean."""
    return "".join(
        f'<rect x="{x}" y="{y + 18 * k - 9}" width="10" height="10" fill="{colour}"/>'
        f'<text x="{x + 16}" y="{y + 18 * k}">{escape(text)}</text>'
        for k, (colour, text) in enumerate(entries)
    )


def benchmark() -> smemnas.TabularBenchmark:
    """Open NAS-Bench-201 on CIFAR-10 by validation error and MAdds."""
    found = smemnas.open_benchmark("nb201", "cifar10", ("val_error", "flops"))
    assert isinstance(found, smemnas.TabularBenchmark)
    return found


def drawn(n: int) -> tuple[smemnas.IntArray, smemnas.FloatArray]:
    """Draw cells; return genotypes ``(n, 6)`` and objectives ``(n, 2)``."""
    X = benchmark().space.sample(n, np.random.default_rng(0))
    return X, benchmark().evaluate(X, seed=0).F


def log_of(method: str) -> smemnas.FloatArray:
    """Return what a stored run saw, in order: objectives ``(n, 2)``, error and MAdds."""
    archive = shipped("in-the-box")
    assert archive is not None
    for run in smemnas.open_archive(archive).runs:
        job = run.recorded.job
        if (job.method, job.space, job.dataset, job.seed) == (method, "nb201", "cifar10", 0) and not job.params:
            frame = smemnas.evaluations_frame(run)
            return frame[list(job.objectives)].to_numpy(dtype=float)
    raise SystemExit(f"the archive has no run of {method} on nb201/cifar10")


def stairs(F: smemnas.FloatArray, corner: tuple[float, float]) -> list[tuple[float, float]]:
    """Return the edge of what a front dominates, from the left to a corner; columns are error, MAdds."""
    front = F[smemnas.nondominated(F)]
    front = front[np.argsort(front[:, 1])]
    points = [(front[0, 1], corner[1])]
    for (error, flops), following in zip(front, [*front[1:, 1], corner[0]]):
        points += [(flops, error), (following, error)]
    return points


def space() -> str:
    """The cell with the smallest validation error, as a graph."""
    table = benchmark()
    X = table.space.enumerate()
    best = table.space.to_str(X[table.evaluate(X, seed=0).F[:, 0].argmin()])
    nodes = {0: (70, 160), 1: (210, 70), 2: (350, 250), 3: (490, 160)}
    names = {"nor_conv_3x3": "conv 3x3", "nor_conv_1x1": "conv 1x1", "skip_connect": "skip", "avg_pool_3x3": "pool 3x3"}
    parts = []
    for target, group in enumerate(best.split("+"), 1):
        for edge in group.strip("|").split("|"):
            op, source = edge.split("~")
            (x1, y1), (x2, y2) = nodes[int(source)], nodes[target]
            colour, dash = (GREY, ' stroke-dasharray="4 4"') if op == "none" else (BLUE, "")
            parts.append(f'<path d="M{x1} {y1}L{x2} {y2}" stroke="{colour}" stroke-width="2" fill="none"{dash}/>')
            along = 0.5 if (int(source), target) != (1, 2) else 0.3
            x, y = x1 + along * (x2 - x1), y1 + along * (y2 - y1)
            label = names.get(op, op)
            half = 3.6 * len(label) + 4
            parts.append(
                f'<rect x="{x - half:.1f}" y="{y - 10:.1f}" width="{2 * half:.1f}" height="18" rx="4" fill="#fff"/>'
            )
            parts.append(f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{label}</text>')
    for name, (x, y) in nodes.items():
        text = {0: "in", 3: "out"}.get(name, str(name))
        parts.append(f'<circle cx="{x}" cy="{y}" r="19" fill="#eef3fb" stroke="{BLUE}"/>')
        parts.append(f'<text x="{x}" y="{y + 4}" text-anchor="middle">{text}</text>')
    return picture("the best cell of NAS-Bench-201", "".join(parts))


TABLE = Frame((0, 200), (8, 20))
TICKS = ((0, 50, 100, 150, 200), (8, 12, 16, 20))
AXES = ("MAdds (M)", "validation error (%)")


def shown(F: smemnas.FloatArray) -> smemnas.FloatArray:
    """Return the rows that lie within the picture, as (MAdds, error)."""
    return F[(F[:, 0] <= TABLE.y[1]) & (F[:, 1] <= TABLE.x[1])][:, ::-1]


def benchmark_picture() -> str:
    """A thousand cells of the table and the best front of all."""
    front = benchmark().reference().front
    body = TABLE.axes(*AXES, TICKS) + TABLE.dots(shown(drawn(1000)[1]), GREY, 1.8, 0.6)
    body += TABLE.line(stairs(front, (200, 20)), ORANGE) + TABLE.dots(shown(front), ORANGE, 3.5)
    return picture(
        "table and front", body + key([(GREY, "1,000 of 15,625 cells"), (ORANGE, "the reference front")], 380, 40)
    )


def method() -> str:
    """What a method asked for, early and late."""
    F = log_of("smemnas")
    body = TABLE.axes(*AXES, TICKS)
    for rows, colour in ((F[:20], GREY), (F[20:60], BLUE), (F[60:100], ORANGE)):
        body += TABLE.dots(shown(rows), colour, 3.2, 0.85)
    entries = [(GREY, "evaluations 1 to 20: random"), (BLUE, "21 to 60"), (ORANGE, "61 to 100")]
    return picture("what SMEM-NAS asked for", body + key(entries, 350, 40))


def surrogate() -> str:
    """Predicted against true order of cells that the surrogate has not seen."""
    X, F = drawn(400)
    Z = benchmark().space.encode(X)
    model = smemnas.SURROGATES.create("kernel_pairwise", seed=0).fit(Z[:100], F[:100, 0])
    guess, truth = (smemnas.average_ranks(v) for v in (model.rank(Z[100:]), F[100:, 0]))
    frame = Frame((0, 1), (0, 1))
    ticks = ((0, 0.25, 0.5, 0.75, 1), (0, 0.25, 0.5, 0.75, 1))
    axes = frame.axes("true rank (0 is the best cell)", "rank by the surrogate", ticks)
    body = axes + frame.line([(0, 0), (1, 1)], GREY, 1)
    return picture("order of unseen cells", body + frame.dots(zip(truth, guess), BLUE, 2.5, 0.8))


def regret_of(F: smemnas.FloatArray) -> float:
    """Return the hypervolume regret against the table's front."""
    return float(smemnas.hypervolume_regret(F, benchmark().reference().front))


def budget() -> str:
    """Regret against evaluations of three stored runs."""
    frame = Frame((10, 100), (0, 0.6))
    body = frame.axes("evaluations", "hypervolume regret", ((10, 25, 50, 75, 100), (0, 0.2, 0.4, 0.6)))
    entries = []
    for name, colour in (("random", GREY), ("nsga2", GREEN), ("smemnas", BLUE)):
        F = log_of(name)
        body += frame.line([(n, min(0.6, regret_of(F[:n]))) for n in range(10, 101, 5)], colour)
        entries.append((colour, f"{name}, seed 0"))
    return picture("regret falls with the budget", body + key(entries, 400, 40))


def regret() -> str:
    """The area that the reference front dominates and a run's front does not."""
    front, found = benchmark().reference().front, log_of("random")
    body = TABLE.axes(*AXES, TICKS)
    lower, upper = stairs(front, (200, 20)), stairs(found[found[:, 0] <= 20], (200, 20))
    body += TABLE.line([*lower, *upper[::-1]], "none", 0, "#f3d2ad")
    body += TABLE.line(lower, ORANGE) + TABLE.line(upper, GREY)
    entries = [
        (ORANGE, "the reference front"),
        (GREY, "random search, 100 evaluations"),
        ("#f3d2ad", "what is missing: the regret"),
    ]
    return picture("regret is an area", body + key(entries, 320, 40))


def splits() -> str:
    """Validation and test error of the cells that a search likes best."""
    table = benchmark().table
    F = np.stack([table.column("val_error"), table.column("test_error")], axis=1).astype(float)
    best = F[np.argsort(F[:, 0], kind="stable")[:200]]
    frame = Frame((8.3, 9.3), (5.4, 7.4))
    axes = frame.axes("validation error (%)", "test error (%)", ((8.4, 8.7, 9, 9.3), (5.5, 6, 6.5, 7)))
    body = axes + frame.dots(best, GREY, 2.5, 0.8) + frame.dots(best[:10], ORANGE, 4)
    entries = [(GREY, "the 200 best by validation"), (ORANGE, "the ten best by validation")]
    return picture("validation and test", body + key(entries, 76, 36))


PICTURES: dict[str, Callable[[], str]] = {
    "space": space, "benchmark": benchmark_picture, "method": method, "surrogate": surrogate,
    "budget": budget, "regret": regret, "splits": splits,
}  # fmt: skip


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, make in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(make(), encoding="utf-8")

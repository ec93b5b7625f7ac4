"""Write docs/problems.md, how the problems of the package are judged: `python docs/make_problems.py`.

What random search loses is measured on five draws of 100 architectures, so the numbers follow from the tables alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.benchmarks.given_reference import measured_by
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.benchmarks.ranges import CAPS, DEFAULT_RULE, FRONT, range_text
from smemnas.bench.metrics.indicators import hypervolume, hypervolume_regret
from smemnas.bench.report.problem import caps_text
from smemnas.bench.studies.published import IN_THE_BOX

FILE = Path(__file__).parent / "problems.md"
RULES = (FRONT, "within-10", DEFAULT_RULE, "within-3")
DRAWS, SIZE = 5, 100
#: A sixth problem: what nb201 costs on a device is measured too, so that three of five objectives have to be learned.
HARDWARE = ("val_error", "params", "flops", "latency_edgegpu", "energy_edgegpu")
PROBLEMS = (*((*problem, ("error", "flops")) for problem in IN_THE_BOX), ("nb201", "cifar10", HARDWARE))

INTRODUCTION = """# How the problems of the package are judged

Written by `python docs/make_problems.py`; `data info NAME` prints the same for one data set.

**Range.** Hypervolume regret needs a range of each objective. Unless told otherwise it is that of the reference front,
which may end in networks that nobody would use: macro's has one with 54.6 % error. `--reference within-5` (any number
of points) measures the error from the best of the front to 5 points above it, each other objective between the extremes
of the front's networks within these points; the reference point is 1.1 as ever, so networks up to a tenth of the range
beyond still count a little. The rule is recorded with runs and plans; `--plan in-the-box` uses it, earlier plans and
folders keep the range of the front. The test split is measured within the range of its own front.

Five points are the widest of the rules below under which networks more than five points above the best decide no
problem (a tenth of the regret at most); under three points random search keeps so little hypervolume that methods are
hard to tell apart early.

The last problem has five objectives, `--objectives val_error,params,flops,latency_edgegpu,energy_edgegpu`: latency and
energy are measured, not counted, so that operations which reach no output cost something there.
"""
SHARES = f"""
## What random search loses, and where

Mean regret of {DRAWS} draws of {SIZE} architectures, and which share of the lost hypervolume lies at errors more than
ten and more than five points above the best.

| problem | {" | ".join(RULES)} |
|---|{"---|" * len(RULES)}
"""
CAPS_TEXT = """
## Cost caps

What is the least error for at most so many MAdds (or parameters)? Of the networks of the front within 5 points of its
best error, in the order of their costs, the ones at one, two and three quarters of the way, rounded up to two digits;
then fixed (`bench.benchmarks.ranges.CAPS`). Studies show the true error of what the reported set offers under each, in
`caps.csv`.

"""


def lost_beyond(F: NDArray[np.float64], reference: Reference, points: float) -> float:
    """Return which share of the hypervolume that a set lacks lies at errors more than some points above the best."""
    ideal, corner = reference.ideal, reference.ideal + 1.1 * (reference.nadir - reference.ideal)

    def area(rows: NDArray[np.float64], top: float) -> float:
        edge = ideal + (np.array([top, *corner[1:]]) - ideal) / 1.1
        return hypervolume(rows, ideal, edge) * float(np.prod(edge - ideal))

    cut = min(float(corner[0]), float(ideal[0]) + points)
    lost = area(reference.front, float(corner[0])) - area(F, float(corner[0]))
    return max(0.0, 1.0 - (area(reference.front, cut) - area(F, cut)) / lost)


def shares(benchmark: Benchmark) -> str:
    """Return the cells of a problem: regret and shares under each rule."""
    whole = benchmark.reference()
    assert whole is not None
    space = benchmark.space
    draws = [benchmark.evaluate(space.sample(SIZE, np.random.default_rng(s)), s).F for s in range(DRAWS)]
    cells = []
    for rule in RULES:
        reference = measured_by(whole, "" if rule == FRONT else rule, benchmark)
        assert reference is not None
        regret = np.mean([hypervolume_regret(F, reference.front, reference.box) for F in draws])
        ten, five = (np.mean([lost_beyond(F, reference, points) for F in draws]) for points in (10.0, 5.0))
        cells.append(f"{regret:.2f} ({ten:.0%}, {five:.0%})")
    return " | ".join(cells)


def text() -> str:
    """Return the page."""
    ranges, lost, caps = ["| problem | front | within-5 |", "|---|---|---|"], [], []
    for space, dataset, objectives in PROBLEMS:
        benchmark = open_benchmark(space, dataset, objectives)
        whole = benchmark.reference()
        near = measured_by(whole, DEFAULT_RULE, benchmark)
        assert whole is not None
        assert near is not None
        name = f"{space}/{dataset}" + (" on an edge GPU" if objectives == HARDWARE else "")
        ranges.append(f"| {name} | {range_text(benchmark, whole)} | {range_text(benchmark, near)} |")
        lost.append(f"| {name} | {shares(benchmark)} |")
        if objectives == HARDWARE:
            continue
        for cost in sorted(name for at, known, name in CAPS if (at, known) == (space, dataset)):
            caps.append(f"- {space}/{dataset}, {caps_text(open_benchmark(space, dataset, ('error', cost)))}")
    return (
        "\n".join([INTRODUCTION, *ranges]) + "\n" + SHARES + "\n".join(lost) + "\n" + CAPS_TEXT + "\n".join(caps) + "\n"
    )


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")

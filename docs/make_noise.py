"""Write what noise is and does: `python docs/make_noise.py`.

The table of deviations in docs/noise.md, from the tables in the package; and docs/results/noise-check/README.md from
the study.csv beside it. A test compares both with what this makes.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from make_kept import with_kept

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.data.mnv3_ofa import NOISE
from smemnas.bench.metrics.statistics import EQUAL
from smemnas.spaces.base import FloatArray

ROOT = Path(__file__).resolve().parents[1]
NOTES, FOLDER = ROOT / "docs" / "noise.md", ROOT / "docs" / "results" / "noise-check"
#: Which version made the runs, as every page of docs/results says it.
MADE = "Made by smemnas 0.2.0; recorded in commit a0c25d4b."
BEGIN, END = "<!-- deviations: python docs/make_noise.py -->\n", "<!-- end -->"
#: "The best" are this share of the architectures.
BEST = 0.1


def pooled(values: FloatArray, groups: Any, share: float) -> float:
    """Return the standard deviation within groups ``(n,)``, pooled over those with several members.

    Args:
        values: ``(n,)``.
        groups: To which each belongs.
        share: Only groups among this share by their mean count.
    """
    of = np.unique(groups, return_inverse=True)[1].reshape(-1)
    n = np.bincount(of)
    mean = np.bincount(of, values) / n
    squares = np.bincount(of, (values - mean[of]) ** 2)
    counted = (n > 1) & (mean <= np.quantile(mean, share))
    return float(np.sqrt(squares[counted].sum() / (n[counted] - 1).sum()))


def deviations() -> list[tuple[str, str, float, float]]:
    """Return data set, what is compared, and the deviation over all and over the best, in points."""
    macro = open_benchmark("macro", "cifar10")
    errors = np.asarray(macro.table.column("error"))  # type: ignore[attr-defined]
    rows = np.repeat(np.arange(len(errors)), errors.shape[1])
    found = [("macro/cifar10", "three trainings of each network", errors.reshape(-1), rows)]
    for dataset in ("cifar10", "cifar100"):
        bench = open_benchmark("nb201", dataset, ("error",))
        X = bench.space.enumerate()
        what = "cells that build one network; each number the mean of one to three trainings"
        found.append((f"nb201/{dataset}", what, bench.true_values(X)[:, 0], bench.space.canonical(X)))
    table = [(name, what, pooled(v, g, 1.0), pooled(v, g, BEST)) for name, what, v, g in found]
    same = float(np.sqrt(NOISE))
    return [*table, ("mnv3/ofa", "a measurement around the fitted function; weights are inherited", same, same)]


def deviation_table() -> str:
    """Return the table of docs/noise.md."""
    lines = ["| data set | differences between | all | best tenth |", "|---|---|---:|---:|"]
    for name, what, every, best in deviations():
        lines.append(f"| {name} | {what} | {every:.2f} | {best:.2f} |")
    macro, nb201 = deviations()[0][2], deviations()[1][3]
    text = (
        f"Standard deviations in points. One training of NAS-Bench-201 differs by up to {np.sqrt(3):.1f} times what is "
        f"written (three were averaged), {nb201:.2f} to {np.sqrt(3) * nb201:.2f} among its best cells on CIFAR-10; "
        f"macro's own trainings by {macro:.2f}."
    )
    return "\n".join([*lines, "", text, ""])


def notes(text: str) -> str:
    """Return docs/noise.md with its table made anew."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + deviation_table() + END + rest.split(END, 1)[1]


def records() -> list[dict[str, str]]:
    """Return the rows of the study."""
    with open(FOLDER / "study.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def results(rows: Sequence[dict[str, str]]) -> str:
    """Return docs/results/noise-check/README.md."""
    at = max(int(row["evaluations"]) for row in rows)
    last = [row for row in rows if int(row["evaluations"]) == at]
    methods = list(dict.fromkeys(row["method"] for row in last))
    places = list(dict.fromkeys(f"{row['space']}/{row['dataset']}" for row in last))
    found = {(f"{row['space']}/{row['dataset']}", row["method"]): row for row in last}
    seeds = sorted({int(row["n"]) for row in last})
    runs = f"{at} evaluations, {' to '.join(map(str, seeds))} seeds"
    lines = [
        "# What noise changes",
        "",
        MADE,
        "",
        f"`study --plan noise-check`: objectives (error, flops), {runs}; "
        "written by `python docs/make_noise.py` from [study.csv](study.csv). Everything else about these runs, with "
        "tests and intervals, is in [study.md](study.md); what the words mean in [noise.md](../../noise.md).",
        "",
        "+noise=0 adds nothing: nb201 has no noise then, macro that of its own trainings.",
        "",
    ]
    for title, key in (
        ("True regret of the reported set", "regret"),
        ("Regret that the log shows", "observed_regret"),
        ("Optimism: true minus observed", "optimism"),
    ):
        lines += [f"## {title}", "", "| method | " + " | ".join(places) + " |", "|---|" + "---:|" * len(places)]
        for method in methods:
            cells = [f"{float(found[place, method][key]):.4f}" for place in places]
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += ["## In words", ""]
    for place in places:
        true = {m: float(found[place, m]["regret"]) for m in methods}
        shown = {m: float(found[place, m]["observed_regret"]) for m in methods}
        best, flattered = min(true, key=lambda m: true[m]), max(methods, key=lambda m: true[m] - shown[m])
        second, most = sorted(true.values())[1], true[flattered] - shown[flattered]
        text = f"the next {second:.4f}, random search {true['random']:.4f}"
        text = f"* **{place}**: the best is `{best}` with {true[best]:.4f} ({text})."
        if most > 0.0:
            text += f" Its log shows {shown[best]:.4f}. The log flatters `{flattered}` most, by {most:.4f}."
        same = [f"`{m}`" for m in methods if found[place, m]["mark"] == EQUAL]
        lines.append(f"{text} {seeds[0]} seeds do not tell it from {', '.join(same) or 'none'}.")
    return with_kept("\n".join([*lines, ""]), FOLDER)


if __name__ == "__main__":
    NOTES.write_text(notes(NOTES.read_text(encoding="utf-8")), encoding="utf-8")
    if (FOLDER / "study.csv").exists():
        (FOLDER / "README.md").write_text(results(records()), encoding="utf-8")

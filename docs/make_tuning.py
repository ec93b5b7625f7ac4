"""Write docs/tuning.md: `python docs/make_tuning.py [STUDY ...]`.

With folders of studies of settings.toml or settings-slow.toml: their runs into runs.csv. Always: the page from
settings*.toml and runs.csv. A test compares the page, and the presets that end in /tuned, with what this makes.
"""

from __future__ import annotations

import csv
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from smemnas.methods.tracks import track_of

FOLDER = Path(__file__).resolve().parent / "results" / "tuning"
PAGE = FOLDER.parents[1] / "tuning.md"
PLANS = ("settings.toml", "settings-slow.toml")
PROBLEMS = ("nb201/cifar10", "mnv3/ofa")
SEEDS = tuple(range(1000, 1008))
COLUMNS = ("setting", "problem", "seed", "regret", "seconds")

INTRODUCTION = """# The same effort for every baseline

Written by `python docs/make_tuning.py` from [settings.toml](results/tuning/settings.toml) and
[runs.csv](results/tuning/runs.csv), which smemnas 0.2.0 at commit 40239e78 made by
`study --plan docs/results/tuning/settings.toml --no-figures`; those of mo-local-search and optuna-nsga2 were made
anew at commit 6ccf5943, which mended a fault of each.

Six settings of each method, its default first, were written down before the runs, and so was the rule. Each ran on
nb201/cifar10 and on mnv3/ofa (objectives error and flops, `--reference within-5`), 100 evaluations, seeds 1000 to 1007,
which serve development alone. **Rule**: the setting with the least mean, over both problems, of its mean true regret
over that of the default; of equal ones the first. It is the preset `METHOD/tuned`; the names without it keep their
meaning. What takes an encoding is tried with a neutral one (int, one-hot) and with the space's own; which of them
counts is chosen by the same rule, and the track says what it then is. Both problems served to develop the presets of
SMEM-NAS too.

Regret: mean hypervolume regret of the runs. Seconds: mean time that a run spent in the method, on a machine that was
shared with other work, so only their order means something.
"""


class Setting(NamedTuple):
    """One setting of a method: its name in the plan, the method, the parameters."""

    name: str
    method: str
    params: dict[str, Any]


class Row(NamedTuple):
    """What a setting did: mean regret and runs by problem, mean of ratios to the default, seconds, whether chosen."""

    setting: Setting
    regret: tuple[float, ...]
    ratio: float
    seconds: float
    runs: tuple[int, ...]
    chosen: bool


def settings(plan: str) -> dict[str, list[Setting]]:
    """Return the settings of each method of a plan, in its order."""
    found: dict[str, list[Setting]] = {}
    for v in tomllib.loads((FOLDER / plan).read_text(encoding="utf-8"))["variants"]:
        found.setdefault(v["method"], []).append(Setting(v["name"], v["method"], v.get("params", {})))
    return found


def runs() -> dict[tuple[str, str], dict[int, tuple[float, float]]]:
    """Return regret and seconds by setting and problem, then by seed."""
    found: dict[tuple[str, str], dict[int, tuple[float, float]]] = {}
    with open(FOLDER / "runs.csv", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            values = float(row["regret"]), float(row["seconds"])
            found.setdefault((row["setting"], row["problem"]), {})[int(row["seed"])] = values
    return found


def rows(six: Sequence[Setting]) -> list[Row]:
    """Return what the settings of one method did, on the seeds that all of them have; nothing without any."""
    made = runs()
    means = np.full((len(PROBLEMS), len(six), 2), np.nan)  # problems, settings, (regret, seconds)
    counts = []
    for k, problem in enumerate(PROBLEMS):
        of = [made.get((s.name, problem), {}) for s in six]
        seeds = [seed for seed in SEEDS if all(seed in runs_of for runs_of in of)]
        counts.append(len(seeds))
        if seeds:
            means[k] = [np.array([runs_of[seed] for seed in seeds]).mean(axis=0) for runs_of in of]
    if not any(counts):
        return []
    done = means[np.array(counts) > 0]
    ratio = (done[:, :, 0] / done[:, :1, 0]).mean(axis=0)
    best = int(np.argmin(ratio.round(9)))
    return [
        Row(s, tuple(means[:, k, 0]), float(ratio[k]), float(done[:, k, 1].mean()), tuple(counts), k == best)
        for k, s in enumerate(six)
    ]


def chosen() -> dict[str, dict[str, Any]]:
    """Return the chosen parameters of each method that has all of its runs."""
    found = {}
    for plan in PLANS:
        for method, six in settings(plan).items():
            table = rows(six)
            if table and min(table[0].runs) == len(SEEDS):
                found[method] = next(row.setting.params for row in table if row.chosen)
    return found


def described(setting: Setting) -> str:
    """Return the parameters as a reader writes them."""
    return ", ".join(f"{k}={v}" for k, v in setting.params.items()) or "default"


def table(method: str, six: Sequence[Setting]) -> list[str]:
    """Return the section of one method."""
    found = rows(six)
    if not found:
        return []
    lines = [f"## {method}", ""]
    if min(found[0].runs) < len(SEEDS):
        lines += [
            f"Not finished: {found[0].runs[0]} and {found[0].runs[1]} of {len(SEEDS)} seeds; nothing is chosen.",
            "",
        ]
    head = ("setting", "track", *PROBLEMS, "mean ratio", "seconds", "")
    lines += ["| " + " | ".join(head) + " |", "|---|---|---:|---:|---:|---:|---|"]
    for row in found:
        track = track_of(method, row.setting.params)
        values = " | ".join(f"{r:.4f}" if np.isfinite(r) else "-" for r in row.regret)
        mark = "chosen" if row.chosen and min(row.runs) == len(SEEDS) else ""
        cells = f"{described(row.setting)} | {track} | {values} | {row.ratio:.3f} | {row.seconds:.2f} | {mark}"
        lines.append(f"| {cells} |")
    return [*lines, ""]


def page() -> str:
    """Return the page."""
    lines = [INTRODUCTION]
    missing = []
    for plan in PLANS:
        for method, six in settings(plan).items():
            section = table(method, six)
            lines += section
            if not section:
                missing.append(method)
    if missing:
        lines += [
            "## Not run",
            "",
            "Their six settings stand in [settings-slow.toml](results/tuning/settings-slow.toml) and wait for "
            "`study --plan`: each method would take 96 runs. Processor time that was measured "
            "([costs.csv](results/tuning/costs.csv)):",
            "",
            "| method | setting | problem | evaluations | seconds |",
            "|---|---|---|---:|---:|",
        ]
        with open(FOLDER / "costs.csv", encoding="utf-8", newline="") as stream:
            lines += [
                "| " + " | ".join(row.values()) + " |" for row in csv.DictReader(stream) if row["method"] in missing
            ]
        lines += ["", f"So {', '.join(missing)} have no tuned preset: what tables show of them are defaults.", ""]
    return "\n".join(lines)


def collect(studies: Iterable[Path]) -> list[dict[str, str]]:
    """Return the runs of studies that are done, in the place of those that are there, in the order of the plans."""
    found = {(row["setting"], row["problem"], row["seed"]): row for row in kept_rows()}
    for study in studies:
        seconds = {}
        with open(study / "times.csv", encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                seconds[row["space"], row["dataset"], row["method"], row["seed"]] = row["method_seconds"]
        with open(study / "trials.csv", encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if row["status"] == "done":
                    problem = f"{row['space']}/{row['dataset']}"
                    spent = float(seconds[row["space"], row["dataset"], row["method"], row["seed"]])
                    values = (row["method"], problem, row["seed"], f"{float(row['regret_100']):.6f}", f"{spent:.3f}")
                    found[values[:3]] = dict(zip(COLUMNS, values, strict=True))
    names = [s.name for plan in PLANS for six in settings(plan).values() for s in six]
    order = {name: k for k, name in enumerate(names)}
    return sorted(found.values(), key=lambda r: (order[r["setting"]], PROBLEMS.index(r["problem"]), int(r["seed"])))


def kept_rows() -> list[dict[str, str]]:
    """Return the rows of runs.csv, none where there is no such file."""
    file = FOLDER / "runs.csv"
    if not file.exists():
        return []
    with open(file, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write_runs(studies: Sequence[Path]) -> None:
    """Write runs.csv."""
    rows = collect(studies)
    with open(FOLDER / "runs.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    if sys.argv[1:]:
        write_runs([Path(name) for name in sys.argv[1:]])
    PAGE.write_text(page(), encoding="utf-8")

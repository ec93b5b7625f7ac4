"""Write docs/results/development-adaptive/README.md from the runs.csv beside it: `python docs/make_adaptive.py`.

A test compares the page with what this makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from pages import RESULTS, read_rows, table

FOLDER = RESULTS / "development-adaptive"
BEST, OURS = "smemnas/best", "smemnas/adaptive"
#: What each setting is; in the order of the page.
SETTINGS = {
    OURS: "frozen",
    "smemnas/best": "the preset before",
    "smemnas": "",
    "msunas/small": "",
    "best, initial=10": "half the initial sample",
    "best, gp": "Gaussian process on values instead of pairs",
    "best, gp, initial=10": "both",
    "earlier": "adaptive before columns had relevances",
    "earlier, initial=20": "the same, twice the initial sample",
    "earlier, near=.5": "the same, gains counted in the better half alone (dropped)",
    "adaptive, inner=both": "two inner searches of 20 generations",
    "adaptive, two encodings": "recommended and default encoding compete",
}
Runs = dict[tuple[str, str], dict[int, tuple[float, float]]]


def runs() -> Runs:
    """Return regrets after 50 and 100 evaluations by setting, problem and seed."""
    found: Runs = {}
    for row in read_rows(FOLDER / "runs.csv"):
        values = (float(row["regret_50"]), float(row["regret_100"]))
        found.setdefault((row["setting"], row["problem"]), {})[int(row["seed"])] = values
    return found


def _cell(values: Sequence[float]) -> str:
    return f"{fmean(values):.4f} ± {stdev(values):.4f} ({len(values)})" if len(values) > 1 else ""


def page(found: Runs) -> str:
    """Return the text of the page."""
    problems = list(dict.fromkeys(problem for _, problem in found))
    lines = [
        "# How smemnas/adaptive was chosen",
        "",
        "Made by smemnas 0.2.0 at commit d98a7a95; recorded in commit 4d03a900.",
        "",
        "Written by `python docs/make_adaptive.py` from [runs.csv](runs.csv). **These problems and seeds (1000 and up) "
        "served for development**: what is best here was picked for that, so no claim rests on this page. Objectives "
        "(error, flops), `--reference within-5`, true regret; mean ± standard deviation over seeds (seeds). Settings "
        "with fewer seeds were tried on some problems only; rows called earlier are of a form of the method that is "
        "not kept.",
        "",
    ]
    for k, at in enumerate((50, 100)):
        cells = [
            [f"`{setting}`", what, *(_cell([v[k] for v in found.get((setting, p), {}).values()]) for p in problems)]
            for setting, what in SETTINGS.items()
        ]
        lines += [f"## {at} evaluations", "", *table(("setting", "what", *problems), cells, words=2)]
    rows = []
    for problem in problems:
        ours, before = found.get((OURS, problem), {}), found.get((BEST, problem), {})
        seeds = sorted(ours.keys() & before.keys())
        if seeds:
            ratio = [fmean(ours[s][k] for s in seeds) / fmean(before[s][k] for s in seeds) for k in (0, 1)]
            lower = sum(ours[s][1] < before[s][1] for s in seeds)
            rows.append([problem, str(len(seeds)), f"{ratio[0]:.2f}", f"{ratio[1]:.2f}", str(lower)])
    lines += ["## Against the preset before, the same seeds", ""]
    lines += table(("problem", "seeds", "50", "100", "seeds where lower"), rows)
    lines += ["Ratios of mean regrets; below 1 `smemnas/adaptive` is ahead.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(page(runs()), encoding="utf-8")

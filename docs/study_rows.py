"""What the study.csv of a folder of docs/results says at a checkpoint, method by method and problem by problem."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path

import numpy as np
from pages import RESULTS, read_rows
from scipy.stats import rankdata

from smemnas.methods.tracks import TRACKS

#: Pages that a folder may have, the first that is there is linked.
PAGES = ("README.md", "study.md")


class Study:
    """What study.csv of a folder, by its name in docs/results or its path, says at a checkpoint.

    Args:
        name: Of the folder, or its path.
        at: Checkpoint; None is the budget.

    Attributes:
        name: Of the folder.
        checkpoints: All that there are.
        at: Evaluations.
        seeds: Of a method on a problem, at most.
    """

    def __init__(self, name: str | Path, at: int | None = None) -> None:
        rows = read_rows(RESULTS / name / "study.csv")
        self.name = Path(name).name
        self.checkpoints = sorted({int(row["evaluations"]) for row in rows})
        self.at = at or self.checkpoints[-1]
        self._rows: dict[tuple[str, str], dict[str, str]] = {}
        for row in rows:
            if row["regret"] and int(row["evaluations"]) == self.at:
                self._rows[self._problem(row), row["method"]] = row
        self.seeds = max(int(row["n"]) for row in self._rows.values())

    @staticmethod
    def _problem(row: dict[str, str]) -> str:
        place = f"{row['space']}/{row['dataset']}"
        plain = row["objectives"] in ("error+flops", "val_error+flops")
        return place if plain else f"{place} ({row['objectives'].replace('+', ', ')})"

    @cached_property
    def problems(self) -> list[str]:
        """Problems in the order of the study."""
        return list(dict.fromkeys(problem for problem, _ in self._rows))

    @cached_property
    def methods(self) -> list[str]:
        """Methods with runs on every problem, by their mean rank."""
        names = list(dict.fromkeys(method for _, method in self._rows))
        names = [m for m in names if all((p, m) in self._rows for p in self.problems)]
        ranks = np.mean([rankdata([self.regret(p, m) for m in names]) for p in self.problems], axis=0)
        return [names[k] for k in np.argsort(ranks, kind="stable")]

    def on(self, problem: str) -> dict[str, dict[str, str]]:
        """Return the rows of the methods on a problem, from the least regret."""
        rows = {m: row for (p, m), row in self._rows.items() if p == problem}
        return dict(sorted(rows.items(), key=lambda item: float(item[1]["regret"])))

    def regret(self, problem: str, method: str) -> float:
        """Return a mean regret; NaN without runs."""
        row = self._rows.get((problem, method))
        return float(row["regret"]) if row else math.nan

    def track(self, method: str) -> str:
        """Return what a method is told, "" where the study does not say."""
        return next((row.get("track") or "" for (_, m), row in self._rows.items() if m == method), "")

    def earlier(self, at: int) -> Study:
        """Return the same study at another study's budget where it has that checkpoint, else itself."""
        return Study(self.name, at) if at in self.checkpoints and (RESULTS / self.name).is_dir() else self

    def tested(self, problem: str) -> tuple[str, str, float] | None:
        """Return the best method by searched values, the best other one by test values, and the floor of these.

        None where a problem has no test split.
        """
        rows = {m: row for m, row in self.on(problem).items() if row.get("reported_regret")}
        foreign = [m for m in rows if not is_ours(m)]
        best = self.best(problem)
        if best not in rows or not foreign:
            return None
        theirs = min(foreign, key=lambda m: float(rows[m]["reported_regret"]))
        return best, theirs, float(rows[best]["reported_floor"] or "nan")

    def on_test(self, problem: str, method: str) -> float:
        """Return a mean regret by test values."""
        return float(self.on(problem)[method]["reported_regret"])

    def told_no_more(self, problem: str, track: str) -> tuple[str, str] | None:
        """Return the best of ours and the best other one among the methods that are told no more than a track."""
        told = TRACKS[: TRACKS.index(track) + 1]
        names = [m for m in self.on(problem) if self.track(m) in told]
        ours, theirs = [m for m in names if is_ours(m)], [m for m in names if not is_ours(m)]
        return (ours[0], theirs[0]) if ours and theirs else None

    def best(self, problem: str, foreign: bool = False) -> str:
        """Return the method with the least mean regret, of all or of those that are not ours."""
        return next(m for m in self.on(problem) if not (foreign and is_ours(m)))

    def alike(self, problem: str) -> list[str]:
        """Return the methods that are not told from the best."""
        return [m for m, row in self.on(problem).items() if row["mark"] == "equal"]

    def unsure(self, problem: str) -> list[str]:
        """Return the methods with too few runs to tell."""
        return [m for m, row in self.on(problem).items() if row["mark"] == "unknown"]

    @property
    def link(self) -> str:
        """The study as a link."""
        page = next(p for p in PAGES if (RESULTS / self.name / p).exists())
        return f"[{self.name}](../results/{self.name}/{page})"


def is_ours(method: str) -> bool:
    """Whether a method is SMEM-NAS in one of its forms."""
    return method.split("/")[0] == "smemnas"


def there(name: str) -> bool:
    """Whether the tables of a study are in the repository."""
    return (RESULTS / name / "study.csv").exists()

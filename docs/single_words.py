"""What docs/make_single.py reads of a study of one objective, and the three sentences that answer its question."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

from answer_parts import counted
from main_data import Results
from make_main import verdict
from scipy.stats import rankdata

from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.report.cells import number
from smemnas.bench.studies.incumbents import TESTED

Row = Mapping[str, str]
#: The method that every other is to beat.
CHANCE = "random"


class Single(Results):
    """What a folder of results says of a study of one objective, at the budget unless a checkpoint is named."""

    @property
    def end(self) -> int:
        """The budget."""
        return self.at[-1]

    @cached_property
    def champion_name(self) -> str:
        """The method that was stated before the runs."""
        return self.champion[0]["champion"]

    @cached_property
    def by_speed(self) -> list[str]:
        """Methods by how soon they are near the optimum: mean rank over problems of median, then of runs there."""
        ranks = dict.fromkeys(self.methods, 0.0)
        for problem in self.problems:
            near = [self._speed(problem, name) for name in self.methods]
            order = {key: k for k, key in enumerate(sorted(set(near)))}
            for name, rank in zip(self.methods, rankdata([order[key] for key in near]), strict=True):
                ranks[name] += float(rank)
        return sorted(ranks, key=lambda name: ranks[name])

    def _speed(self, problem: str, name: str) -> tuple[float, int]:
        return self.median(problem, name, TESTED).value, -self.reached(problem, name, TESTED)[0]

    @cached_property
    def rival(self) -> str:
        """The method of others with most runs at the optimum, of equal ones the soonest near it; seen afterwards."""
        foreign = [name for name in self.by_speed if not self.methods[name][1]]
        return max(foreign, key=lambda name: sum(self.reached(p, name, 0.0)[0] for p in self.problems))

    def found(self, problem: str, name: str, at: int = 0) -> Row:
        """Return the row of incumbents.csv."""
        row = self.row_of(self.incumbents, problem, name, at or self.end)
        if row is None:
            raise SystemExit(f"incumbents.csv has no row of {name} on {problem} after {at or self.end} evaluations")
        return row

    def interval(self, problem: str, name: str, column: str) -> Interval:
        """Return a number of incumbents.csv with its limits."""
        row = self.found(problem, name)
        value, low, high = (float(row[f"{column}{part}"] or "nan") for part in ("", "_low", "_high"))
        return Interval(value, low, high)

    def median(self, problem: str, name: str, margin: float) -> Interval:
        """Return the median evaluations until a run is within a margin; inf is beyond the budget."""
        return self.interval(problem, name, f"within_{margin:g}_evaluations")

    def reached(self, problem: str, name: str, margin: float) -> tuple[int, int]:
        """Return how many runs are within a margin, and of how many."""
        row = self.found(problem, name)
        return int(row[f"within_{margin:g}_reached"]), int(row["runs"])

    def verdict(self, problem: str, name: str, test: str = "", at: int = 0) -> str:
        """Return the champion's verdict over a method: of the primary comparison, or of a test of incumbents.csv."""
        if test:
            row = self.found(problem, name)
            keys = ("p_holm", "difference", "family_size", "pairs")
            return verdict({key: row[f"{test}_{key}"] for key in keys})
        duel = self.row_of(self.champion, problem, name, at or self.end)
        return "" if duel is None or not duel["pairs"] else verdict(duel)

    def true_verdict(self, problem: str, name: str) -> str:
        """Return the champion's verdict over a method by true errors.

        Where the table has one split, what is reported is the mean over its trainings, of which a search may see one;
        elsewhere the error that was shown is the true one of its split.
        """
        alike = all(self.found(problem, m)["value"] == self.found(problem, m)["reported"] for m in self.methods)
        return self.verdict(problem, name, "reported" if alike else "")

    def true_verdicts(self) -> list[str]:
        """Return all verdicts of the champion by true errors."""
        names = [n for n in self.methods if n != self.champion_name]
        return [v for p in self.problems for n in names if (v := self.true_verdict(p, n))]

    def verdicts(self, test: str = "", at: int = 0, foreign: bool = False) -> list[str]:
        """Return all verdicts of the champion, of methods that are not ours alone where that is wanted."""
        names = [n for n, (_, own) in self.methods.items() if n != self.champion_name and not (foreign and own)]
        return [v for p in self.problems for n in names if (v := self.verdict(p, n, test, at))]


def shown_median(median: Interval, end: int) -> str:
    """Return a median as text, ">150" beyond the budget."""
    return f">{end}" if math.isinf(median.value) else number(median.value, 0)


def said(verdicts: list[str]) -> str:
    """Return what verdicts say: "better in 3, worse in none of 4 comparisons; ..."."""
    unsure = f"in {verdicts.count('=')} no difference is shown"
    few = f", in {verdicts.count('?')} there are too few pairs" if "?" in verdicts else ""
    return f"{verdicts.count('+')} of {len(verdicts)} comparisons, higher in {verdicts.count('-')}; {unsure}{few}"


def answer(s: Single) -> list[str]:
    """Return the three sentences."""
    champion, rival = s.champion_name, s.rival
    seeds = max(s.reached(p, champion, 0.0)[1] for p in s.problems)
    first = (
        f"After {s.end} evaluations (one objective, {seeds} seeds) the error found by `{champion}`, stated before the "
        f"runs, is lower in {said(s.verdicts())}"
    )
    if s.true_verdicts() != s.verdicts():
        first += f" (by what searches were shown; by true errors lower in {s.true_verdicts().count('+')})"
    first += "."
    there = {name: _sum(s, name, 0.0) for name in (champion, rival, CHANCE) if name in s.methods}
    second = (
        f"It has the least error of the table in {counted(*there[champion], 'runs')}, the best method of others, "
        f"`{rival}`, in {there[rival][0]}" + (f", random search in {there[CHANCE][0]}" if CHANCE in there else "") + "."
    )
    own, theirs = (
        together_all([shown_median(s.median(p, name, TESTED), s.end) for p in s.problems]) for name in (champion, rival)
    )
    third = (
        f"Within {TESTED:g} points of it, half of its runs are after {own} evaluations ({', '.join(s.problems)}), half "
        f"of those of `{rival}` after {theirs}."
    )
    return [first, second, third]


def together_all(parts: list[str]) -> str:
    """Return parts as a list in words, equal ones too."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _sum(s: Single, name: str, margin: float) -> tuple[int, int]:
    counts = [s.reached(p, name, margin) for p in s.problems]
    return sum(n for n, _ in counts), sum(of for _, of in counts)

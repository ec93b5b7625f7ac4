"""The tables of a ranking study: each surrogate at each training size, tested against the best one, and contrasts.

Trials are paired by seed, which draws the split. Controls (what learns nothing) are shown and never tested, so
that they do not weaken the correction for many tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from smemnas.bench.display import counted, html_table
from smemnas.bench.metrics import statistics
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.order import CALIBRATION, METRICS, Metric
from smemnas.bench.metrics.statistics import AgainstBest
from smemnas.bench.ranking.data import Data
from smemnas.bench.ranking.plan import RankPlan, learns
from smemnas.bench.ranking.study import RankLog, Row
from smemnas.bench.ranking.trial import SurrogateVariant, Task
from smemnas.spaces.base import FloatArray

#: Of what learns nothing.
NO_TEST = AgainstBest("", math.nan, math.nan)


class RankEntry(NamedTuple):
    """A row of a table: a surrogate on an encoding."""

    name: str
    encoding: str
    learns: bool


class TableKey(NamedTuple):
    """A table: a pool, the truth, and the metric."""

    pool: str
    truth: str
    metric: Metric


@dataclass(frozen=True)
class RankTrial:
    """One trial of the plan; `row` is None where it has not been run."""

    entry: RankEntry
    label: str
    n_train: int
    seed: int
    pool: str
    row: Row | None

    @property
    def status(self) -> str:
        """Whether it is done: "ok", "failed" or "missing"."""
        return "missing" if self.row is None else str(self.row["status"])

    def score(self, truth: str, metric: str) -> float:
        """Return one score; NaN where there is none."""
        if self.row is None or self.status != "ok":
            return math.nan
        value = self.row["scores"][truth].get(metric)
        return math.nan if value is None else float(value)

    def seconds(self, what: str) -> float:
        """Return CPU seconds of "fit", "rank" or "calibrate", or "memory_mb"; NaN where there are none."""
        value = None if self.row is None or self.status != "ok" else self.row["time"][what]
        return math.nan if value is None else float(value)


@dataclass(frozen=True)
class RankCell:
    """A surrogate at one training size.

    Attributes:
        mean: Mean over seeds with its interval.
        sd: Standard deviation over seeds.
        n: Seeds that gave a value.
        mark: "best", "equal" (not significantly worse than the best), "worse"; "" for controls, and for all but the
            best where so few common seeds cannot show a difference.
        p_holm: Against the best, adjusted over the surrogates of that training size; NaN for the best.
    """

    place: TableKey
    entry: RankEntry
    n_train: int
    mean: Interval
    sd: float
    n: int
    mark: str
    p: float
    p_holm: float


@dataclass(frozen=True)
class ContrastCell:
    """Mean paired difference of two surrogates at one training size; positive where the first is larger."""

    place: TableKey
    first: RankEntry
    second: RankEntry
    n_train: int
    pairs: int
    difference: Interval
    p: float
    p_holm: float


@dataclass(frozen=True, repr=False)
class RankTables:
    """All tables of a study.

    Attributes:
        values: For each table, entry and training size the scores ``(seeds,)``, NaN where there is none.
    """

    plan: RankPlan
    data: Data
    entries: tuple[RankEntry, ...]
    trials: tuple[RankTrial, ...]
    cells: tuple[RankCell, ...]
    contrasts: tuple[ContrastCell, ...]
    values: Mapping[tuple[TableKey, RankEntry, int], FloatArray]

    def summary(self) -> str:
        """Return how much it compares: "12 surrogates on nb201/cifar10, 300 of 300 trials done"."""
        done = sum(trial.status == "ok" for trial in self.trials)
        where = f"{self.plan.space}/{self.plan.dataset}"
        n = counted(len(self.plan.variants), "surrogate")
        return f"{n} on {where}, {done:,} of {counted(len(self.trials), 'trial')} done"

    def _repr_html_(self) -> str:
        return self.html(f"Ranking of {self.summary()}")

    def html(self, title: str, notes: Sequence[str] = ()) -> str:
        """Return the mean Kendall's tau of each surrogate at each training size, as an HTML table."""
        place = next((p for p in self.places() if p.metric.name == "tau"), None)
        cells = {(c.entry, c.n_train): c for c in self.cells if c.place == place}
        head = ("surrogate", "encoding", *(f"n = {n}" for n in self.plan.n_train))
        sizes = self.plan.n_train
        rows = [(e.name, e.encoding or "-", *(_tau(cells.get((e, n))) for n in sizes)) for e in self.entries]
        found = f"mean Kendall's tau against {place.truth}, {place.pool} pool" if place else ""
        return html_table(head, rows, title=title, notes=[*filter(None, (found,)), *notes])

    def __repr__(self) -> str:
        return f"<RankTables of {self.summary()}>"

    def places(self) -> list[TableKey]:
        """Return the tables, in order."""
        return list(dict.fromkeys(cell.place for cell in self.cells))


def _tau(cell: RankCell | None) -> str:
    value = math.nan if cell is None else cell.mean.value
    return f"{value:.3f}" if math.isfinite(value) else "-"


def collect(plan: RankPlan, data: Data, log: RankLog, chosen: Mapping[str, tuple[str, ...]]) -> list[RankTrial]:
    """Return every trial of the plan, by surrogate, encoding, training size, seed and pool."""
    entry = {(v.name, e): RankEntry(v.name, e, learns(v)) for v in plan.variants for e in chosen[v.name]}
    place = {key: at for at, key in enumerate(entry)}
    found = [
        RankTrial(entry[t.variant.name, t.encoding], t.variant.label, t.n_train, t.seed, pool, log.find(data, t, pool))
        for t in plan.tasks(chosen)
        for pool in t.pools
    ]
    return sorted(found, key=lambda t: (place[t.entry.name, t.entry.encoding], t.n_train, plan.seeds.index(t.seed)))


def tabulate(plan: RankPlan, data: Data, trials: list[RankTrial]) -> RankTables:
    """Make the tables of a study from its trials."""
    entries = tuple(dict.fromkeys(t.entry for t in trials))
    values: dict[tuple[TableKey, RankEntry, int], FloatArray] = {}
    groups: dict[tuple[RankEntry, int, str], list[RankTrial]] = {}
    for trial in trials:
        groups.setdefault((trial.entry, trial.n_train, trial.pool), []).append(trial)
    for pool in plan.pools:
        for truth in data.truth:
            for metric in (*METRICS, *(CALIBRATION if plan.calibrate and truth == data.searched else ())):
                for entry in entries:
                    for n in plan.n_train:
                        scores = [t.score(truth, metric.name) for t in groups[entry, n, pool]]
                        values[TableKey(pool, truth, metric), entry, n] = np.array(scores)
    places = list(dict.fromkeys(place for place, _, _ in values))
    cells = [cell for place in places for n in plan.n_train for cell in _column(place, n, entries, values)]
    contrasts = [
        row for place in places for pair in plan.contrasts for row in _contrast(plan, place, pair, entries, values)
    ]
    return RankTables(plan, data, entries, tuple(trials), tuple(cells), tuple(contrasts), values)


def _column(
    place: TableKey,
    n: int,
    entries: tuple[RankEntry, ...],
    values: Mapping[tuple[TableKey, RankEntry, int], FloatArray],
) -> list[RankCell]:
    """Return the cells of one training size, the best marked and the others tested against it."""
    sign = 1.0 if place.metric.larger_is_better else -1.0
    rivals = [entry for entry in entries if entry.learns]
    tests = dict(zip(rivals, statistics.against_best([-sign * values[place, e, n] for e in rivals]), strict=True))
    cells = []
    for entry in entries:
        scores = values[place, entry, n]
        finite = scores[np.isfinite(scores)]
        mean, sd = statistics.mean_interval(finite), statistics.standard_deviation(finite)
        cells.append(RankCell(place, entry, n, mean, sd, len(finite), *tests.get(entry, NO_TEST)))
    return cells


def _contrast(
    plan: RankPlan,
    place: TableKey,
    pair: tuple[str, str],
    entries: tuple[RankEntry, ...],
    values: Mapping[tuple[TableKey, RankEntry, int], FloatArray],
) -> list[ContrastCell]:
    """Return a contrast at every training size, adjusted over them; on the same encoding where both have several."""
    sides = [[e for e in entries if e.name == name] for name in pair]
    single = len(sides[0]) == 1 or len(sides[1]) == 1
    rows = []
    for first in sides[0]:
        for second in sides[1]:
            if not single and first.encoding != second.encoding:
                continue
            found = []
            for n in plan.n_train:
                x, y = values[place, first, n], values[place, second, n]
                both = np.isfinite(x) & np.isfinite(y)
                difference = statistics.mean_difference(x[both], y[both])
                p = statistics.wilcoxon(x[both], y[both])
                found.append(ContrastCell(place, first, second, n, int(both.sum()), difference, p, math.nan))
            adjusted = statistics.holm([row.p for row in found])
            rows += [replace(row, p_holm=float(p)) for row, p in zip(found, adjusted, strict=True)]
    return rows


def smallest_p(plan: RankPlan, entries: tuple[RankEntry, ...]) -> float:
    """Return the smallest adjusted p-value that this number of seeds can give in a column."""
    return statistics.smallest_p(max(1, sum(e.learns for e in entries) - 1), len(plan.seeds))


def example_task(plan: RankPlan, variant: SurrogateVariant, encoding: str) -> Task:
    """Return the trial that the scatter figures show: the first seed, about 200 training architectures."""
    n = min(plan.n_train, key=lambda size: abs(math.log(size / 200.0)))
    return Task(variant, encoding, n, plan.seeds[0], ("uniform",), plan.n_test, plan.split, False)

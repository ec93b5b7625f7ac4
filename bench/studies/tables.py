"""What the tables of a study hold, row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.display import counted
from smemnas.bench.metrics.intervals import NOTHING, Interval
from smemnas.bench.metrics.statistics import SIGNIFICANCE, Ratio, smallest_p
from smemnas.bench.studies.curves import Curve
from smemnas.bench.studies.execution import DONE
from smemnas.bench.studies.judged import CapRow, TargetsReached
from smemnas.bench.studies.plan import Plan
from smemnas.bench.studies.ranks import ProblemRanks, SeedRanks
from smemnas.bench.studies.trials import Trial


@dataclass(frozen=True)
class Comparison:
    """Two groups of runs compared by their hypervolume regret at one checkpoint.

    Attributes:
        pairs: Seeds that both sides finished.
        difference: Mean paired difference of regret; negative means that the first is better.
        ratio: Ratio of the mean regrets.
        p: Exact Wilcoxon signed-rank, two-sided.
        p_holm: Adjusted within the family; NaN until then.
        family_size: Number of comparisons adjusted together.
        a12: Chance that a run of the first is better than one of the second (Vargha-Delaney).
        wins: Share of seeds in which the first is better, ties one half.
        effect: Mean paired difference over its standard deviation (paired d), negative as `difference`.
        family: Name of the comparisons adjusted together, see `bench.studies.pairs`.
        spread: Standard deviation of the paired differences.
        detectable: The smallest mean difference that so many pairs of this spread would have found with the power of
            `bench.metrics.power`, in the primary family; NaN elsewhere and where none could be found.
    """

    pairs: int
    difference: Interval
    ratio: Interval
    p: float
    p_holm: float
    family_size: int
    a12: float
    wins: float
    effect: Interval = NOTHING
    family: str = ""
    spread: float = math.nan
    detectable: float = math.nan

    @property
    def verdict(self) -> str:
        """The one verdict on this pair that every table shows.

        "+" where the first is significantly better, "-" where worse, "=" where neither, "?" where so few pairs could
        not show any difference, "" without a pair.
        """
        if not self.pairs:
            return ""
        if self.p_holm < SIGNIFICANCE:
            return "+" if self.difference.value < 0 else "-"
        return "?" if smallest_p(self.family_size, self.pairs) >= SIGNIFICANCE else "="


@dataclass(frozen=True)
class StudyRow:
    """One variant on one case at one checkpoint.

    Attributes:
        at: Evaluations.
        n: Finished runs.
        failed: Runs that failed.
        regret: Mean hypervolume regret on the searched split.
        regret_sd: Its standard deviation over runs.
        igd_plus: Mean IGD+.
        reported: Mean hypervolume regret on the test split; NaN where there is one split.
        floor: Reported regret of a perfect search.
        against: Comparison with the baseline; None for the baseline itself.
        epsilon: Mean additive epsilon.
        best: Mean of the smallest value of the first costly objective.
        area: Mean of the regret's mean over the evaluations so far.
        mark: "best" for the smallest mean regret at this checkpoint, "equal" for what is not significantly different
            from it, "unknown" where so few pairs cannot tell, "" for what is. Where a family of the study compares the
            two, its verdict stands here too.
        p_best: p-value against the best, adjusted within that family, else over the methods at this checkpoint; NaN for
            the best.
        short: Finished runs that had ended before so many evaluations; their last values count.
        barren: Finished runs without a feasible evaluation that succeeded.
        observed: Mean hypervolume regret of what was shown, under noise; None without.
        optimism: Mean of the (true) regret minus the observed one: by how much the log flatters; None without noise.
    """

    case: Case
    variant: str
    at: int
    n: int
    failed: int
    regret: Interval
    regret_sd: float
    igd_plus: Interval
    reported: Interval
    floor: float
    against: Comparison | None
    epsilon: Interval
    best: Interval
    area: Interval
    mark: str
    p_best: float
    short: int = 0
    barren: int = 0
    observed: Interval | None = None
    optimism: Interval | None = None


@dataclass(frozen=True)
class Arrival:
    """How soon a variant reaches a target on one case.

    Attributes:
        target: Hypervolume regret.
        n: Finished runs.
        reached: Runs that got there within the budget.
        median: Median evaluations; inf where half of the runs or more did not get there.
        ratio: Median evaluations over those of the baseline; None for the baseline itself.
        seconds: Median wall time of a run: a machine that was busy or asleep under one run says nothing of the method.
        method_seconds: Median wall time in the method.
    """

    case: Case
    variant: str
    target: float
    n: int
    reached: int
    median: float
    ratio: Ratio | None
    seconds: float
    method_seconds: float


@dataclass(frozen=True)
class ContrastRow:
    """A contrast of the plan on one case at one checkpoint."""

    case: Case
    family: str
    name: str
    at: int
    comparison: Comparison


@dataclass(frozen=True)
class ChampionRow:
    """The champion against another variant on one case at one checkpoint; a negative difference is in its favour."""

    case: Case
    variant: str
    at: int
    comparison: Comparison


@dataclass(frozen=True)
class Lead:
    """How soon the champion has what another variant has at the budget.

    Attributes:
        variant: The other one.
        target: Its mean hypervolume regret at the budget, or the plan's target.
        pairs: Seeds that both finished.
        reached: Runs of the champion that got there, among the pairs.
        median: Its median evaluations; inf where half of the runs or more did not get there.
        ratio: Median evaluations over those of the other variant.
    """

    case: Case
    variant: str
    target: float
    pairs: int
    reached: int
    median: float
    ratio: Ratio


class Near(NamedTuple):
    """How many runs of a variant came within a margin of the optimum, and how soon.

    Attributes:
        margin: Largest distance from the optimum.
        reached: Runs that got there by the checkpoint.
        share: Of the finished runs, with its exact interval.
        median: Median evaluations (seconds, where training time is the budget) with its exact interval; inf is beyond
            the checkpoint.
    """

    margin: float
    reached: int
    share: Interval
    median: Interval


@dataclass(frozen=True)
class IncumbentRow:
    """The networks that a variant's runs found on one case of one objective by one checkpoint.

    Attributes:
        at: Evaluations.
        n: Finished runs with a network.
        runs: Finished runs.
        value: Mean of the true value of the best network so far, chosen by what was shown.
        gap: Mean of how far that is above the optimum; NaN where none is known.
        tested: Mean of its reported value: on the test split where there is one, averaged over trainings.
        tested_floor: The reported value of the optimum: what a perfect search would report.
        near: One entry for each of `bench.studies.incumbents.MARGINS`; empty where no optimum is known.
        reported: Reported values of the champion (baseline) minus those of this variant, at the budget; else None.
        sooner: The same of evaluations to within one of the margins, where a run that does not get there counts as
            one more than the budget.
    """

    case: Case
    variant: str
    at: int
    n: int
    runs: int
    value: Interval
    gap: Interval
    tested: Interval
    tested_floor: float
    near: tuple[Near, ...]
    reported: Comparison | None = None
    sooner: Comparison | None = None


@dataclass(frozen=True, repr=False)
class Tables:
    """Everything that a study's report shows.

    Attributes:
        evaluations_to_target: For each case and variant, seed to evaluations (inf: not reached).
        champion: The champion against each other variant; empty without a champion, as is `leads`.
        seed_ranks: Ranks over the seeds of each case, with their test.
        problem_ranks: Ranks of the mean regrets across cases; empty for one case.
        curves: For each case and variant with a finished run and a reference front.
        references: By what the runs of each case are measured: the known front, else that of all of them.
        caps: The error under cost caps; empty for cases without an error, a cost or a reference front.
        reaches: Shares of targets reached, of each case and variant, and under None of all cases.
        points: How many points of error a regret of 1 is, NaN where that makes no sense.
        incumbents: The networks found on cases of one objective.
    """

    plan: Plan
    trials: Sequence[Trial]
    rows: Sequence[StudyRow]
    arrivals: Sequence[Arrival]
    contrasts: Sequence[ContrastRow]
    evaluations_to_target: dict[tuple[Case, str], dict[int, float]]
    champion: Sequence[ChampionRow] = ()
    leads: Sequence[Lead] = ()
    seed_ranks: Sequence[SeedRanks] = ()
    problem_ranks: Sequence[ProblemRanks] = ()
    curves: Mapping[tuple[Case, str], Curve] = field(default_factory=dict)
    references: Mapping[Case, Reference | None] = field(default_factory=dict)
    caps: Sequence[CapRow] = ()
    reaches: Mapping[tuple[Case | None, str], TargetsReached] = field(default_factory=dict)
    points: Mapping[Case, float] = field(default_factory=dict)
    incumbents: Sequence[IncumbentRow] = ()

    def summary(self) -> str:
        """Return how much it compares: "3 methods on 1 problem, 15 of 15 runs done"."""
        methods, problems = counted(len(self.plan.variants), "method"), counted(len(self.plan.cases), "problem")
        done = len(self.trials) - len(self.unfinished())
        return f"{methods} on {problems}, {done:,} of {counted(len(self.trials), 'run')} done"

    def __repr__(self) -> str:
        return f"<Tables of {self.summary()}>"

    def _repr_html_(self) -> str:
        from smemnas.bench.studies.shown import html

        return html(self, f"Study of {self.summary()}")

    def unfinished(self) -> list[Trial]:
        """Return the runs that failed or are missing."""
        return [t for t in self.trials if t.status != DONE]

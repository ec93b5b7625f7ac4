"""What came out of a registered experiment: its primary outcome first, then what is secondary.

The primary one is the hypervolume of each observed front by the values of fresh trainings on test images, as a share of
the box that the plan fixes; larger is better. The number that was searched judges nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from smemnas.bench.metrics import statistics
from smemnas.bench.metrics.indicators import REFERENCE_POINT, hypervolume
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.order import kendall
from smemnas.bench.metrics.targets import least_under
from smemnas.bench.staged.plan import RankingStage, StagedPlan
from smemnas.bench.staged.stages import Search, StagesDone
from smemnas.spaces.base import FloatArray, IntArray, SearchSpace
from smemnas.surrogates.base import make_surrogate, single_thread

_STREAM = 17_002


class ArmPair(NamedTuple):
    """The first arm of a plan against another one, paired by seed; a difference is the first minus the other.

    Attributes:
        what: What is compared.
        other: Name of the other arm.
        n: Seeds.
        difference: Mean difference.
        d: The same in standard deviations of the paired differences.
        p: Exact signed-rank test.
        p_holm: Adjusted in its family.
    """

    what: str
    other: str
    n: int
    difference: Interval
    d: Interval
    p: float
    p_holm: float


class ArmValues(NamedTuple):
    """One quantity of one arm: values ``(seeds,)``, NaN where there is none, and their mean."""

    what: str
    arm: str
    values: FloatArray
    mean: Interval


class TauRow(NamedTuple):
    """Kendall's tau of a surrogate that learned from some trained networks.

    Attributes:
        surrogate: Name.
        n: Networks that it learned from.
        ordered: Networks that it put in order.
        values: One for each draw ``(draws,)``.
        mean: Their mean.
        ahead: How much the plan's first surrogate is ahead of it on the same draws; 0 for that one.
    """

    surrogate: str
    n: int
    ordered: int
    values: FloatArray
    mean: Interval
    ahead: Interval


class StagedOutcome(NamedTuple):
    """All of it.

    Attributes:
        volumes: Hypervolume by fresh values of each arm.
        primary: Its comparisons, a family of their own.
        observed: Hypervolume by the searched values of each arm: how much they flatter.
        caps: Least error by fresh values under each cap, arm by arm.
        secondary: Comparisons of the errors under caps, another family.
        taus: Of the surrogates.
        networks: Different networks that the searches trained.
        shared: First networks that all arms of every seed have in common.
    """

    volumes: tuple[ArmValues, ...]
    primary: tuple[ArmPair, ...]
    observed: tuple[ArmValues, ...]
    caps: tuple[ArmValues, ...]
    secondary: tuple[ArmPair, ...]
    taus: tuple[TauRow, ...]
    networks: int
    shared: int


def outcome(plan: StagedPlan, found: StagesDone, space: SearchSpace) -> StagedOutcome | None:
    """Return what came out; None where the gate was not passed."""
    if not found.searches:
        return None
    arms = [arm.name for arm in plan.arms]
    volumes = [of_arm("hypervolume", arm, [volume(plan, s, s.fresh) for s in _of(found, arm)]) for arm in arms]
    observed = [of_arm("as searched", arm, [volume(plan, s, s.F[s.front, 0]) for s in _of(found, arm)]) for arm in arms]
    under = {arm: np.array([_under(plan, s) for s in _of(found, arm)]) for arm in arms}
    caps = [of_arm(f"{plan.cost} <= {cap:g}", arm, under[arm][:, k]) for k, cap in enumerate(plan.caps) for arm in arms]
    X, errors = pooled(found.searches)
    return StagedOutcome(
        tuple(volumes),
        tuple(paired(volumes, arms)),
        tuple(observed),
        tuple(caps),
        tuple(paired(caps, arms)),
        tuple(surrogate_taus(space, X, errors, plan.ranking)),
        len(X),
        min(shared([s.X for s in found.searches if s.seed == seed]) for seed in plan.runs),
    )


def shared(searched: Sequence[IntArray]) -> int:
    """Return how many first rows some genotypes ``(n, n_var)`` have in common."""
    n = min(map(len, searched))
    same = np.array([[(X[k] == searched[0][k]).all() for k in range(n)] for X in searched]).all(axis=0)
    return n if same.all() else int(np.argmin(same))


def _of(found: StagesDone, arm: str) -> list[Search]:
    return [s for s in found.searches if s.arm == arm]


def volume(plan: StagedPlan, search: Search, errors: FloatArray) -> float:
    """Return the hypervolume of an observed front given errors of its members, as a share of the box."""
    corners = np.array(plan.corners)  # (2, ideal and nadir)
    stretched = (
        corners[:, 0] + (corners[:, 1] - corners[:, 0]) / REFERENCE_POINT
    )  # so that nadir is the reference point
    F = np.stack([errors, search.F[search.front, 1]], axis=1)
    return hypervolume(np.maximum(F, corners[:, 0]), corners[:, 0], stretched) / REFERENCE_POINT**2


def _under(plan: StagedPlan, search: Search) -> FloatArray:
    """Return the fresh error of the best observed network under each cap ``(caps,)``; NaN where there is none."""
    found = least_under(search.F[search.front, 1], search.F[search.front, 0], search.fresh, plan.caps)
    return np.where(np.isfinite(found), found, np.nan)


def of_arm(what: str, arm: str, values: Sequence[float] | FloatArray) -> ArmValues:
    """Return the values of an arm with the mean of those that are there."""
    numbers = np.asarray(values, dtype=np.float64)
    return ArmValues(what, arm, numbers, statistics.mean_interval(numbers[np.isfinite(numbers)]))


def paired(rows: Sequence[ArmValues], arms: Sequence[str]) -> list[ArmPair]:
    """Compare the first arm with each other one in each quantity, all of them one family."""
    found = []
    for what in dict.fromkeys(row.what for row in rows):
        of = {row.arm: row.values for row in rows if row.what == what}
        for other in arms[1:]:
            both = np.isfinite(of[arms[0]]) & np.isfinite(of[other])
            x, y = of[arms[0]][both], of[other][both]
            difference, d = statistics.mean_difference(x, y), statistics.standardised_difference(x, y)
            found.append(ArmPair(what, other, len(x), difference, d, statistics.wilcoxon(x, y), math.nan))
    adjusted = statistics.holm([pair.p for pair in found])
    return [pair._replace(p_holm=float(p)) for pair, p in zip(found, adjusted, strict=True)]


def pooled(searches: Sequence[Search]) -> tuple[IntArray, FloatArray]:
    """Return the different networks that were trained ``(n, n_var)`` and their mean searched errors ``(n,)``."""
    trained: dict[tuple[bytes, int], tuple[IntArray, float]] = {}
    for s in searches:
        for x, error in zip(s.X, s.F[:, 0].tolist(), strict=True):
            if math.isfinite(error):
                trained[x.tobytes(), s.seed] = x, error
    X, inverse = np.unique(np.array([x for x, _ in trained.values()]), axis=0, return_inverse=True)
    errors = np.array([error for _, error in trained.values()])
    inverse = inverse.reshape(-1)
    return X, np.bincount(inverse, weights=errors) / np.bincount(inverse)


def surrogate_taus(space: SearchSpace, X: IntArray, errors: FloatArray, stage: RankingStage) -> list[TauRow]:
    """Return how well surrogates order trained networks that they have not learned from.

    Each draw divides the networks; the ordered ones are the same for all sizes and surrogates.
    """
    sizes = [n for n in sorted(stage.sizes) if n + stage.left <= len(X)]
    Z, rows = space.encode(X), []
    left = len(X) - max(sizes, default=0)
    for n in sizes:
        taus = np.empty((len(stage.surrogates), stage.draws))
        for k, name in enumerate(stage.surrogates):
            for draw in range(stage.draws):
                order = np.random.default_rng([_STREAM, draw]).permutation(len(X))
                train, test = order[:n], order[len(X) - left :]
                with single_thread():
                    surrogate = make_surrogate(name, seed=draw, blocks=(Z.shape[1],), params={}, searches=False)
                    scores = np.asarray(surrogate.fit(Z[train], errors[train]).rank(Z[test]), dtype=np.float64)
                taus[k, draw] = kendall(scores, errors[test])[0]
        rows += tau_rows(stage.surrogates, n, left, taus)
    return rows


def tau_rows(surrogates: Sequence[str], n: int, ordered: int, taus: FloatArray) -> list[TauRow]:
    """Return the rows of surrogates that learned from `n` networks, of their taus ``(surrogates, draws)``."""
    return [
        TauRow(name, n, ordered, tau, statistics.mean_interval(tau), statistics.mean_difference(taus[0], tau))
        for name, tau in zip(surrogates, taus, strict=True)
    ]

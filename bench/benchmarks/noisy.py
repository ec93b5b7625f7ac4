"""Noise as in real training: a benchmark whose searched values differ from the true ones.

What is evaluated is what one training would show: the value behind the benchmark (one of its trainings, where it has
several) plus a normal deviate. The deviate is a function of the data set's name, the evaluation seed, the genotype and
the objective, so all methods of a seed see the same, asking again changes nothing, and cells that build the same
network are drawn apart, as two trainings of one network would be. Deviations of different sizes scale the same deviate.
The true values are those without noise, averaged over trainings. They judge results and never reach a method.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.base import Benchmark, reference_front
from smemnas.bench.benchmarks.latency.benchmark import without_latency
from smemnas.bench.benchmarks.normal import deviates
from smemnas.bench.benchmarks.outcomes import Candidates, Evaluation, Reference
from smemnas.bench.benchmarks.wrapping import WrappingBenchmark
from smemnas.spaces.base import FloatArray, IntArray, Objective
from smemnas.spaces.listed import ListedSpace

#: Version of the rule that makes a deviate of a name, a seed and a genotype.
RULE = 1


class NoisyBenchmark(WrappingBenchmark):
    """A benchmark with noise on some of its objectives.

    Errors in percent stay between 0 and 100.

    Args:
        base: Without noise.
        deviations: Standard deviation of the noise on each objective that has some, in its unit.
        dataset: Name of the data set with its noise.
    """

    noisy = True

    def __init__(self, base: Benchmark, deviations: Mapping[str, float], dataset: str) -> None:
        super().__init__(base, dataset)
        self.at_once = base.at_once
        self.deviations = {o.name: deviations[o.name] for o in base.objectives if o.name in deviations}
        units = {o.name: o.unit for o in base.objectives}
        noise = ", ".join(f"{sd:g} {units[name]} on {name}" for name, sd in self.deviations.items() if sd)
        self.notes = (
            *base.notes,
            f"Searched values are what one training would show, with noise of sd {noise}: the same for all methods of "
            "a seed."
            if noise
            else "No noise is added: searched values are those of the data set, single trainings where it has several.",
            "The reported set (what the method recommends, else the front of the searched values) is judged by its "
            "true values: without noise, the mean over the trainings that there are.",
        )

    @property
    def plain(self) -> Benchmark:
        """The benchmark without noise, under the same constraints."""
        base = copy.copy(self._base)
        base.constraints, base.full_space = self.constraints, self.full_space
        return base

    @property
    def listed(self) -> ListedSpace | None:
        """What the benchmark without noise lists."""
        return self.plain.listed

    def evaluate(self, X: IntArray, seed: int) -> Evaluation:
        """Evaluate as the benchmark without noise does, and add the noise."""
        outcome = self._base.evaluate(X, seed)
        noisy = [(j, o) for j, o in enumerate(self.objectives) if self.deviations.get(o.name)]
        if not noisy or not len(X):
            return outcome
        genes, F = self.space.normalise(np.asarray(X, dtype=np.int64)), outcome.F.copy()
        for j, objective in noisy:
            deviate = deviates(_words(genes, self._key(seed, objective.name)))
            shown = outcome.F[:, j]
            F[:, j] += self.deviations[objective.name] * deviate
            share = (objective.unit == "%") & (shown >= 0.0) & (shown <= 100.0)
            F[share, j] = np.clip(F[share, j], 0.0, 100.0)
        return outcome._replace(F=F)

    def _key(self, seed: int, name: str) -> int:
        """Return the 64-bit key of the noise on one objective."""
        # A latency table beside the objectives moves no error: without its path, noise is alike in both orders.
        text = json.dumps([RULE, f"{self.space.name}/{without_latency(self._base.dataset)}", seed, name])
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")

    def true_values(self, X: IntArray) -> FloatArray:
        """Return the objectives ``(n, n_obj)`` without noise, averaged over trainings."""
        return self._base.true_values(X)

    def report(self, X: IntArray) -> FloatArray:
        """Return the values of the test split without noise, averaged over trainings."""
        return self._base.report(X)

    def whole_reference(self) -> Reference | None:
        """Return the reference front of the true values."""
        return reference_front(self._base)

    def candidates(self) -> Candidates | None:
        """Return what the front of the true values is taken from."""
        return self._base.candidates()

    @property
    def measurable(self) -> tuple[Objective, ...]:
        """Quantities beside the objectives, without noise; no errors, which a bound would give away."""
        return tuple(o for o in self._base.measurable if o.unit != "%")

    def provenance(self) -> dict[str, Any]:
        """Return what identifies the data, and the noise."""
        return {**self._base.provenance(), "noise": {"rule": RULE, "deviations": self.deviations}}


_GOLDEN, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _words(X: IntArray, key: int) -> NDArray[np.uint64]:
    """Return a uniform word ``(n,)`` of each genotype ``(n, n_var)`` under a key.

    The genes go one after the other through the mixing function of SplitMix64 (Steele et al., OOPSLA 2014).
    """
    state = np.full(len(X), key, dtype=np.uint64)
    for gene in X.astype(np.uint64).T:
        state = (state ^ gene) + _GOLDEN
        state = (state ^ (state >> np.uint64(30))) * _FIRST
        state = (state ^ (state >> np.uint64(27))) * _SECOND
        state ^= state >> np.uint64(31)
    return state

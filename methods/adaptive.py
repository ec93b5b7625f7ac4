"""SMEM-NAS that learns from its archive what to learn: `methods.smemnas` with another start and surrogate.

What differs from `smemnas/best` was found by ablation on development seeds (docs/results/development-adaptive):

* the surrogate is a Gaussian process that chooses its target (values, logarithms of them, ranks) and its encoding by
  what the archive says, for each costly objective (`surrogates.warped`), and sees the free costs beside the encoding;
* the initial sample is small and spread evenly over the logarithm of the first free cost, both ends included;
  random architectures of many spaces are nearly all of one size;
* the inner search has one population.

``smemnas/alternating`` asks two models in turn: this one, and the pairwise one of ``smemnas/best`` with its two inner
searches. Either misleads some searches for long; what the other has evaluated then tells it so.

``smemnas/adaptive`` takes the encodings that the space declares. ``smemnas/adaptive-grey`` has the neutral ones, and
``smemnas/adaptive-black`` besides knows no free cost of what it has not evaluated: it learns the costs as well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS, DesignStream, initial_design, require_choice
from smemnas.methods.encodings import candidates
from smemnas.methods.model import Model
from smemnas.methods.msunas import extremes as size_extremes
from smemnas.methods.smemnas import SMEMNAS
from smemnas.methods.start import SPREAD_DRAWS, inner_range, log_costs, nearest
from smemnas.methods.value_model import ValueModel, shares_of
from smemnas.methods.variation import unique_rows
from smemnas.spaces.base import FloatArray, IntArray, Problem
from smemnas.surrogates.base import single_thread
from smemnas.surrogates.warped import WarpedProcess

OWN_STARTS = ("random", "spread")
#: Inner search and its generations where pairs choose: those of `smemnas/best`.
PAIRS_SEARCH = ("both", 20)


@METHODS.register(
    "smemnas/adaptive",
    summary="SMEM-NAS that chooses target and encoding from its archive; start spread over the costs",
)
class AdaptiveSMEMNAS(SMEMNAS):
    """See the module; parameters of the inner search are those of `SMEMNAS`.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Size of the initial sample; both ends come on top of it.
        batch: Architectures evaluated per iteration.
        encoding: As in `SMEMNAS`; of several the likeliest is taken in each iteration.
        start: "spread" (evenly over the logarithm of the first free cost) or "random" (the shared initial design).
            Where the comparison says with what all methods begin, that counts.
        free_costs: Whether exact free costs of architectures that were not evaluated are read; else they are learned
            like the other objectives, and the start is random.
        inner: Inner search, as in `SMEMNAS`.
        population: Of the inner search.
        generations: Of the inner search.
        explore: How many of the batch are chosen by the gain to be expected under uncertainty.
        pairs: Whether every second batch is chosen by the pairwise surrogate of `smemnas/best` and its inner searches.
        relearn: Share by which the archive grows before target, encoding and weights are learned anew; until then the
            process is solved with the old ones.
    """

    shared_start = False
    takes_start = True

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int = 10,
        batch: int = 5,
        encoding: str | None = "declared",
        start: str = "spread",
        free_costs: bool = True,
        inner: str = "nsga2",
        population: int = 100,
        generations: int = 30,
        explore: int = 1,
        pairs: bool = False,
        relearn: float = 0.0,
    ) -> None:
        require_choice("start", start, OWN_STARTS)
        if not 0.0 <= relearn <= 1.0:
            raise UserError(f"parameter 'relearn' must lie between 0 and 1, got {relearn!r}.")
        if not free_costs:
            learned = tuple(o._replace(cheap=False) for o in problem.objectives)
            problem = replace(problem, objectives=learned)
        super().__init__(
            problem,
            budget=budget,
            seed=seed,
            initial=initial,
            batch=batch,
            inner=inner,
            population=population,
            generations=generations,
            explore=explore,
            extremes=True,
            encoding=encoding,
        )
        self._extremes = True  # the first ask is the whole initial sample
        self.initial = initial  # also below a smaller budget, so that a run with a larger one begins alike
        self.start = start if problem.cheap else "random"
        self._encodings = [candidates(problem.space, problem.objectives[j], encoding) for j in problem.costly]
        self._costs = tuple(o.name for o in problem.space.costs) if free_costs else ()
        self._processes = [WarpedProcess(shares=shares_of(self._costs), relearn=relearn) for _ in problem.costly]
        self.pairs = pairs
        self._turn = 0

    def ask(self) -> IntArray:
        """Return the initial sample with both ends, or what all methods begin with, then `batch` per fitted model."""
        if self._extremes:
            self._extremes = False
            if self.problem.start:
                return initial_design(self.problem, min(self.initial, self.budget), self.seed)
            design = np.vstack([self._start(), size_extremes(self.problem)])
            return design[unique_rows(design)][: self.budget]
        X, F = self._archive.finite()
        if len(X) < 2:
            return self._random_unseen(self.batch)
        with single_thread():
            self._turn += 1
            if self.pairs and self._turn % 2 == 0:
                return self._propose_by_pairs(X, F)
            return self._propose(ValueModel(self.problem, self._encodings, self._costs, X, F, self._processes))

    def _propose_by_pairs(self, X: IntArray, F: FloatArray) -> IntArray:
        """Return a batch as `smemnas/best` chooses it."""
        own = self.inner, self.generations
        self.inner, self.generations = PAIRS_SEARCH
        try:
            self._learners.update(X, F)
            return self._propose(Model(self.problem, self._learners.surrogates, self._learners.encodings, X, F))
        finally:
            self.inner, self.generations = own

    def _start(self) -> IntArray:
        """Return the initial sample ``(initial, n_var)``."""
        if self.start == "random":
            return initial_design(self.problem, self.initial, self.seed)
        X = DesignStream(self.problem, self.seed).take(SPREAD_DRAWS)
        cost = log_costs(self.problem.cheap_values(X)[:, 0])
        return X[nearest(cost, np.linspace(*inner_range(cost), min(self.initial, len(X))))]


METHODS.preset(
    "smemnas/adaptive-grey",
    "smemnas/adaptive",
    "SMEM-NAS that adapts, with encodings that any space has; free costs known",
    encoding="onehot,int,int+onehot",
)
METHODS.preset(
    "smemnas/adaptive-black",
    "smemnas/adaptive",
    "SMEM-NAS that adapts, told genes and values alone",
    encoding="onehot,int,int+onehot",
    free_costs=False,
)
NEUTRAL = {"encoding": "onehot,int,int+onehot"}
for _track, _what, _params in (
    ("", "", {}),
    ("-grey", ", with encodings that any space has; free costs known", NEUTRAL),
    ("-black", ", told genes and values alone", {**NEUTRAL, "free_costs": False}),
):
    METHODS.preset(
        f"smemnas/alternating{_track}",
        "smemnas/adaptive",
        f"SMEM-NAS that asks a regression of values and its pairwise surrogate in turn{_what}",
        pairs=True,
        relearn=0.1,
        **_params,
    )

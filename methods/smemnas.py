"""SMEM-NAS: a pairwise-comparison surrogate and a main and a vice population (Xue et al., arXiv 2407.15600).

Outer loop: evaluate an initial sample; then repeat: fit the surrogate on all evaluated architectures, search
with it by MP-MOEA (surrogate rank and exact complexity), evaluate `batch` of what it finds.

MP-MOEA, each generation, on the union of both populations and their offspring: non-dominated sorting; the
non-dominated members become the main population; of the remaining ones those with large crowding distance
become the vice population.

Differs from the paper, where it is silent or where measurements led elsewhere. Each difference is a
parameter; `methods.origins` says where each is from, `methods.smemnas_presets` has other settings by name:

* the surrogate is the closed form on all pairs instead of an SVM on pairs (`surrogate`);
* `initial`, `batch` and the population sizes are smaller or larger than those of the ancestor MSuNAS;
* mating, the start of the inner search, truncation of the main population and the choice of the
  evaluated architectures are not published: `mating`, `main_share`, `selection`, `pool`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.methods.base import (
    METHODS,
    Archive,
    Method,
    initial_design,
    require_choice,
    require_positive,
)
from smemnas.methods.encodings import Learners
from smemnas.methods.features import FEATURES
from smemnas.methods.model import BelievedObjectives, Model, greedy_expected_gain
from smemnas.methods.msunas import extremes as size_extremes
from smemnas.methods.origins import SMEMNAS_ORIGINS
from smemnas.methods.selection import (
    box,
    crowding_by_front,
    crowding_distance,
    gap_filling,
    greedy_hypervolume,
    pareto_ranks,
    rank_and_crowding,
    tournament,
)
from smemnas.methods.variation import crossover, mutate, unique_rows
from smemnas.spaces.base import FloatArray, IntArray, Problem
from smemnas.surrogates.base import make_surrogate, single_thread

INNER = ("mp-moea", "nsga2", "textbook", "both", "enumerate", "random")
#: Inner searches without a vice population.
ONE_POPULATION = ("nsga2", "textbook")
MATING = ("cross", "union", "within")
SELECTION = ("hypervolume", "gap", "mixed", "split", "crowding")


@METHODS.register("smemnas", summary="SMEM-NAS: pairwise surrogate (closed form), main and vice population")
class SMEMNAS(Method):
    """SMEM-NAS with every silent point of the paper as a parameter.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Size of the random initial sample (N; 100 in MSuNAS).
        batch: Architectures evaluated per iteration (K; 8 in MSuNAS).
        surrogate: Registered surrogate; one is fitted for each costly objective.
        surrogate_params: Its parameters.
        encoding: Encoding for the surrogates; None takes the space's default, "recommended" the one that served
            searches best, "declared" that for each kind of objective; "auto", "auto-neutral" or names joined by
            commas choose one for each costly objective on the archive, see `methods.encodings`.
        inner: Search on the surrogate: "mp-moea", "nsga2" (one population; mates by crowding among all parents),
            "textbook" (NSGA-II as published: crowding within each front in mating too), "both" ("mp-moea" and "nsga2"
            one after the other, each with half of the population), "enumerate" (ranks the whole space where that is
            possible) or "random" (as many random candidates).
        population: Size of both inner populations together (P; 40 in MSuNAS).
        generations: Generations of the inner search (G; 20 in MSuNAS).
        main_share: Largest share of the main population; beyond it the main one is truncated by crowding.
        main_fill: Fill the main population up to its share with the fronts that follow, by rank and crowding.
        mating: Parents: "cross" one from each population, "union" both from the union by tournament,
            "within" both from the same population.
        crossover: "uniform" or "two-point".
        crossover_rate: Share of the matings that cross.
        mutation: "reset" (a gene is drawn anew) or "step" (moves by one).
        mutation_rate: Expected mutated genes per child.
        selection: The evaluated ones: "hypervolume" (greedy predicted gain), "gap" (fill the gaps of the
            archive's front along the complexity, as MSuNAS), "mixed" (the first by gap filling, the others by
            hypervolume), "split" (half from each population), "crowding".
        pool: Candidates for it: "final" (the last populations) or "all" (everything the inner search saw).
        merge_isomorphic: Skip candidates whose network equals an evaluated one.
        extremes: Evaluate the smallest and the largest architecture after the initial sample, unless the comparison
            says with what all methods begin.
        explore: How many of the batch are chosen, last, by the hypervolume gain to be expected given how unsure the
            surrogate is, among everything that the inner search saw (0: none). Needs a surrogate with a
            posterior.
        proxies: Zero-cost proxies that the surrogate sees beside the encoding: "all", or names joined by commas; ""
            for none. Each architecture that the inner search looks at is measured, once.
        proxy_data: What they are measured on: DATA+KEY=VALUE+..., see `bench.train.proxies.values`.
    """

    uses_free_costs = True
    origins = SMEMNAS_ORIGINS

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int = 20,
        batch: int = 5,
        surrogate: str = "kernel_pairwise",
        surrogate_params: Mapping[str, Any] | None = None,
        encoding: str | None = None,
        inner: str = "mp-moea",
        population: int = 100,
        generations: int = 20,
        main_share: float = 0.5,
        main_fill: bool = False,
        mating: str = "cross",
        crossover: str = "uniform",
        crossover_rate: float = 0.9,
        mutation: str = "reset",
        mutation_rate: float = 1.0,
        selection: str = "hypervolume",
        pool: str = "final",
        merge_isomorphic: bool = False,
        extremes: bool = False,
        explore: int = 0,
        proxies: str = "",
        proxy_data: str = "digits",
    ) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(initial=initial, batch=batch, population=population, generations=generations)
        require_choice("inner", inner, INNER)
        require_choice("mating", mating, MATING)
        require_choice("crossover", crossover, ("uniform", "two-point"))
        require_choice("mutation", mutation, ("reset", "step"))
        require_choice("selection", selection, SELECTION)
        require_choice("pool", pool, ("final", "all"))
        if not 0 < main_share < 1:
            raise UserError(f"parameter 'main_share' must lie between 0 and 1, got {main_share!r}.")
        if isinstance(explore, bool) or not isinstance(explore, int) or not 0 <= explore <= batch:
            raise UserError(f"parameter 'explore' must be an integer from 0 to batch ({batch}), got {explore!r}.")
        least = 8 if inner == "both" else 4
        if population < least:
            raise UserError(f"parameter 'population' must be at least {least}, got {population}.")
        if not problem.costly:
            raise UserError("SMEM-NAS needs an objective that is not free, such as error.")
        if inner == "enumerate" and not problem.space.is_enumerable:
            raise UserError(f"space {problem.space.name!r} is too large for inner='enumerate': use 'mp-moea'.")
        self.initial = min(initial, budget)
        self.batch = batch
        self.inner = inner
        self.population = population
        self.generations = generations
        self.main_share = main_share
        self.main_fill = main_fill
        self.mating = mating
        self.crossover = crossover
        self.crossover_rate = crossover_rate
        self.mutation = mutation
        self.mutation_rate = mutation_rate
        self.selection = selection
        self.pool = pool
        self.merge_isomorphic = merge_isomorphic
        self.explore = explore
        self._extremes = extremes and not problem.start
        self._archive = Archive(problem)
        self._choices = np.asarray(problem.space.n_choices)
        self._features = (
            FEATURES.create("proxies", space=problem.space, params={"names": proxies, "data": proxy_data})
            if proxies
            else None
        )
        self._learners = Learners(
            problem,
            encoding,
            lambda blocks: make_surrogate(surrogate, seed=seed, blocks=blocks, params=surrogate_params),
            0 if self._features is None else len(self._features.names),
        )
        if explore and not self._learners.surrogates[0].has_posterior:
            raise UserError(
                f"explore needs a surrogate that says how sure it is, {surrogate!r} does not: take kernel_pairwise, "
                "relevance_pairwise or gp."
            )

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Add evaluated architectures to the archive."""
        self._archive.add(X, F)

    def ask(self) -> IntArray:
        """Return the initial sample first, then `batch` architectures per fitted surrogate."""
        known = len(self._archive)
        if known < self.initial:
            design = initial_design(self.problem, self.initial, self.seed)
            return design[self._archive.unseen(design)]
        if self._extremes:
            self._extremes = False
            corners = size_extremes(self.problem)
            corners = corners[self._archive.unseen(corners)]
            if len(corners):
                return corners
        X, F = self._archive.finite()
        if len(X) < 2:
            return self._random_unseen(self.batch)
        with single_thread():
            self._learners.update(X, F)
            learners = self._learners
            return self._propose(Model(self.problem, learners.surrogates, learners.encodings, X, F, self._features))

    def _propose(self, model: BelievedObjectives) -> IntArray:
        """Return the next batch by what a fitted model believes."""
        candidates, vice, seen = self._search(model)
        picked = self._choose(model, candidates, vice, self.batch - self.explore)
        picked = np.vstack([picked, self._explore(model, seen, picked)])
        if len(picked) < self.batch:
            picked = np.vstack([picked, self._random_unseen(self.batch - len(picked), picked)])
        return picked

    def _search(self, model: BelievedObjectives) -> tuple[IntArray, IntArray, IntArray]:
        """Search on the surrogate; return candidates (main part), those of the vice population, and all it saw."""
        space, rng = self.problem.space, self.rng
        if self.inner == "enumerate":
            grid = space.enumerate()
            return grid, grid[:0], grid
        if self.inner == "random":
            drawn = space.sample(self.population * self.generations, rng)
            drawn = drawn[unique_rows(drawn)]
            return drawn, drawn[:0], drawn
        kinds = ("mp-moea", "nsga2") if self.inner == "both" else (self.inner,)
        runs = [self._evolve(model, kind, self.population // len(kinds)) for kind in kinds]
        main, vice, everything = (np.vstack(parts) for parts in zip(*runs, strict=True))
        return (everything if self.pool == "all" else main), vice, everything[unique_rows(everything)]

    def _evolve(self, model: BelievedObjectives, kind: str, size: int) -> tuple[IntArray, IntArray, IntArray]:
        """Run one inner search from the archive; return its last populations, and all it saw."""
        main, vice = self._split(model.X, model.F, kind, size)
        seen = [main, vice]
        for _ in range(self.generations):
            children = self._offspring(main, vice, model, kind, size)
            union = np.vstack([main, vice, children])
            union = union[unique_rows(union)]
            seen.append(children)
            main, vice = self._split(union, model.predict(union), kind, size)
        everything = np.vstack([*seen, main])
        return main, vice, everything[unique_rows(everything)]

    def _split(self, X: IntArray, F: FloatArray, kind: str, size: int) -> tuple[IntArray, IntArray]:
        """Return the next main and vice population from a union ``(n, n_var)`` with objectives ``(n, n_obj)``."""
        if kind in ONE_POPULATION:
            keep = rank_and_crowding(F, size)
            return X[keep], X[keep[:0]]
        main_size = max(1, min(size - 1, round(self.main_share * size)))
        best = np.flatnonzero(pareto_ranks(F) == 0)
        if self.main_fill and len(best) < main_size:
            best = rank_and_crowding(F, main_size)
        elif len(best) > main_size:
            best = best[np.argsort(-crowding_distance(F[best]), kind="stable")[:main_size]]
        rest = np.setdiff1d(np.arange(len(X)), best)
        order = np.argsort(-crowding_distance(F[rest]), kind="stable")
        return X[best], X[rest[order[: size - len(best)]]]

    def _offspring(self, main: IntArray, vice: IntArray, model: BelievedObjectives, kind: str, n: int) -> IntArray:
        """Return one generation of up to ``n`` children."""
        rng = self.rng
        if kind in ONE_POPULATION or len(vice) == 0 or self.mating == "union":
            parents = np.vstack([main, vice])
            F = model.predict(parents)
            ranks = pareto_ranks(F)
            crowding = crowding_by_front(F, ranks) if kind == "textbook" else crowding_distance(F)
            first, second = (tournament(ranks, crowding, n, rng) for _ in range(2))
            A, B = parents[first], parents[second]
        elif self.mating == "cross":
            A, B = main[rng.integers(len(main), size=n)], vice[rng.integers(len(vice), size=n)]
            swap = rng.random(n) < 0.5
            A, B = np.where(swap[:, None], B, A), np.where(swap[:, None], A, B)
        else:
            half = n // 2
            A = np.vstack([main[rng.integers(len(main), size=half)], vice[rng.integers(len(vice), size=n - half)]])
            B = np.vstack([main[rng.integers(len(main), size=half)], vice[rng.integers(len(vice), size=n - half)]])
        children = crossover(A, B, rng, kind=self.crossover, probability=self.crossover_rate)
        children = mutate(children, self._choices, rng, kind=self.mutation, rate=self.mutation_rate)
        space = self.problem.space
        return space.normalise(children[space.is_valid(children)])

    def _choose(self, model: BelievedObjectives, candidates: IntArray, vice: IntArray, n: int) -> IntArray:
        """Return up to ``n`` unevaluated candidates by what the surrogate predicts."""
        pool = np.vstack([candidates, vice])
        from_vice = np.arange(len(pool)) >= len(candidates)
        new = self._new(pool)
        pool, from_vice = pool[new], from_vice[new]
        first = unique_rows(pool) if len(pool) else np.arange(0)
        pool, from_vice = pool[first], from_vice[first]
        picked: IntArray = pool[self._pick(model, pool, from_vice, n)] if len(pool) and n else pool[:0]
        return picked

    def _explore(self, model: BelievedObjectives, seen: IntArray, picked: IntArray) -> IntArray:
        """Return up to `explore` unevaluated candidates by expected gain, given those picked already."""
        if not self.explore:
            return seen[:0]
        pool: IntArray = seen[self._new(seen)]
        taken = {x.tobytes() for x in picked}
        pool = pool[[x.tobytes() not in taken for x in pool]] if len(pool) else pool
        if not len(pool):
            return pool
        known = (
            np.vstack([model.archive_prediction, model.predict(picked)]) if len(picked) else model.archive_prediction
        )
        low, span = box(known)
        chosen = greedy_expected_gain(
            (model.outcomes(pool) - low) / span, (known - low) / span, np.full(len(low), 1.1), self.explore
        )
        best: IntArray = pool[chosen]
        return best

    def _new(self, X: IntArray) -> Any:
        """Return ``(n,)``: not evaluated yet (nor an isomorphic one, where those are merged)."""
        new = self._archive.unseen(X)
        if self.merge_isomorphic and len(X):
            canonical = self.problem.space.canonical
            new &= ~np.isin(canonical(X), canonical(self._archive.all_x))
        return new

    def _pick(self, model: BelievedObjectives, pool: IntArray, from_vice: Any, n: int) -> Any:
        """Return the indices of up to ``n`` chosen rows of the pool."""
        F = model.predict(pool)
        ranks = pareto_ranks(F)
        front = np.flatnonzero(ranks == 0)
        if self.selection == "split":
            chosen = self._split_choice(F, from_vice, n)
        elif self.selection == "crowding":
            chosen = front[np.argsort(-crowding_distance(F[front]), kind="stable")[:n]]
        else:
            fill = {"hypervolume": 0, "gap": n, "mixed": 1}[self.selection]
            axis = self._complexity_axis()
            evaluated = model.F[pareto_ranks(model.F) == 0][:, axis]
            chosen = front[gap_filling(F[front, axis], evaluated, fill)]
            chosen = np.concatenate([chosen, self._gain_choice(F, chosen, model.archive_prediction, n)])
        if len(chosen) < n:
            rest = np.setdiff1d(np.arange(len(pool)), chosen)
            order = rest[np.lexsort((F[rest, 0], ranks[rest]))]
            chosen = np.concatenate([chosen, order[: n - len(chosen)]])
        return chosen

    def _gain_choice(self, F: FloatArray, taken: Any, archive: FloatArray, n: int) -> Any:
        """Indices that greedily enlarge the predicted hypervolume of the archive and the taken ones."""
        low, span = box(archive)
        known = (np.vstack([archive, F[taken]]) - low) / span
        return greedy_hypervolume((F - low) / span, known, np.full(F.shape[1], 1.1), n - len(taken))

    def _split_choice(self, F: FloatArray, from_vice: Any, n: int) -> Any:
        """Half of the batch from each population, by rank and crowding."""
        parts = []
        for members, share in ((~from_vice, n - n // 2), (from_vice, n // 2)):
            index = np.flatnonzero(members)
            parts.append(index[rank_and_crowding(F[index], share)] if len(index) else index)
        return np.concatenate(parts)

    def _complexity_axis(self) -> int:
        """The objective along which gaps are filled: the first free one, else the last."""
        return self.problem.cheap[0] if self.problem.cheap else self.problem.n_obj - 1

    def _random_unseen(self, n: int, exclude: IntArray | None = None) -> IntArray:
        """Return up to ``n`` random architectures that are neither evaluated nor excluded."""
        space = self.problem.space
        taken = {x.tobytes() for x in exclude} if exclude is not None else set()
        drawn = space.sample(max(20 * n, 64), self.rng)
        drawn = drawn[unique_rows(drawn)]
        fresh = [x for x in drawn[self._archive.unseen(drawn)] if x.tobytes() not in taken]
        if not fresh and space.is_enumerable:
            grid = space.enumerate()
            fresh = [x for x in grid[self._archive.unseen(grid)] if x.tobytes() not in taken]
        return np.array(fresh[:n], dtype=np.int64).reshape(-1, space.n_var)

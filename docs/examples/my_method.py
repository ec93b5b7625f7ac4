"""A search method as a plug-in: mutate a random member of the front found so far."""

from __future__ import annotations

import numpy as np

from smemnas import (
    METHODS,
    Archive,
    FloatArray,
    IntArray,
    Method,
    Problem,
    initial_design,
    nondominated,
    require_positive,
)


@METHODS.register("front-climber", summary="Mutates one gene of a random member of the front")
class FrontClimber(Method):
    """Local search on the whole front.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Random architectures evaluated first.
        batch: Architectures per ask.
    """

    def __init__(self, problem: Problem, *, budget: int, seed: int, initial: int = 20, batch: int = 5) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(initial=initial, batch=batch)
        self.initial = min(initial, budget)
        self.batch = batch
        self._archive = Archive(problem)

    def ask(self) -> IntArray:
        """Return the shared initial design first, then new neighbours of the front, else random ones."""
        design = initial_design(self.problem, self.initial, self.seed)
        missing = design[self._archive.unseen(design)]
        if len(missing):
            return missing
        X, F = self._archive.finite()
        space = self.problem.space
        drawn = space.sample(50 * self.batch, self.rng)
        if len(F):
            front = X[nondominated(F)]
            parents = front[self.rng.integers(len(front), size=len(drawn))]
            gene = self.rng.integers(space.n_var, size=len(drawn))
            children = parents.copy()
            children[np.arange(len(drawn)), gene] = drawn[np.arange(len(drawn)), gene]
            drawn = np.vstack([children[space.is_valid(children)], drawn])
        new = drawn[self._archive.unseen(drawn)]
        first = np.sort(np.unique(new, axis=0, return_index=True)[1])
        return new[first][: self.batch]

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Remember what was evaluated; rows of +inf failed and stay out of `finite`."""
        self._archive.add(X, F)

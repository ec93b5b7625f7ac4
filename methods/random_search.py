"""Random search without replacement: the floor that every method must clear."""

from __future__ import annotations

from smemnas.methods.base import METHODS, DesignStream, Method, require_positive
from smemnas.spaces.base import FloatArray, IntArray, Problem, row_keys


@METHODS.register("random", summary="Random search without replacement, continuing the shared initial design")
class RandomSearch(Method):
    """Asks for the seed's shared random stream, `batch` architectures at a time.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of the random stream.
        batch: Architectures per ask; it changes nothing but the speed.
    """

    def __init__(self, problem: Problem, *, budget: int, seed: int, batch: int = 64) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        self._stream = DesignStream(problem, seed)
        require_positive(batch=batch)
        self._batch = batch
        self._told: set[bytes] = set()

    def ask(self) -> IntArray:
        """Return the next unseen architectures; none when the space is exhausted."""
        while True:
            X = self._stream.take(self._batch)
            new = [key not in self._told for key in row_keys(X)]
            if len(X) == 0 or any(new):
                return X[new]

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Remember what is known, so that a warm start is not asked again."""
        self._told.update(row_keys(X))

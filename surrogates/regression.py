"""What the regression surrogates share: checks of parameters and queries, and the target they regress on.

Every regressor exists with two targets. "value" regresses on ``y`` itself, "rank" on its average ranks, which
is what a search needs and which a heavy tail of bad architectures cannot distort. Both are standardised
first.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Self

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.surrogates.base import FloatArray, Surrogate, average_ranks, check_training_data
from smemnas.surrogates.tuning import canonical_order

TARGETS = ("value", "rank")


def require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Check that a parameter is one of its choices.

    Raises:
        UserError: It is not.
    """
    if value not in choices:
        raise UserError(f"parameter {name!r} must be one of {', '.join(choices)}, got {value!r}.")


def require_integer(name: str, value: object, smallest: int) -> None:
    """Check that a parameter is a whole number of at least `smallest`.

    Raises:
        UserError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < smallest:
        raise UserError(f"parameter {name!r} must be an integer of at least {smallest}, got {value!r}.")


def require_number(
    name: str, value: object, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf
) -> None:
    """Check that a parameter is a finite number greater than `above`, at least `least` and at most `most`.

    Raises:
        UserError: It is not.
    """
    known = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    number = float(value) if known else math.nan  # type: ignore[arg-type]
    if not (math.isfinite(number) and number > above and least <= number <= most):
        bound = f"greater than {above:g}" if above > -math.inf else f"at least {least:g}"
        bound += f" and at most {most:g}" if most < math.inf else ""
        raise UserError(f"parameter {name!r} must be a finite number {bound}, got {value!r}.")


def check_query(Z: FloatArray, columns: int | None) -> FloatArray:
    """Return ``(m, d)`` as float64 after checking it against the training data.

    Args:
        Z: Encodings ``(m, d)``; no rows are allowed.
        columns: Columns of the training data; None before `fit`.

    Raises:
        UserError: Nothing was fitted, the columns do not match, or a value is not finite.
    """
    if columns is None:
        raise UserError("a surrogate ranks after fit: call fit(Z, y) first.")
    Z = np.asarray(Z, dtype=np.float64)
    if Z.ndim != 2 or Z.shape[1] != columns:
        raise UserError(f"the surrogate was fitted on {columns} columns and ranks (m, {columns}), got {Z.shape}.")
    if not np.isfinite(Z).all():
        raise UserError("a surrogate ranks finite encodings only, got NaN or inf.")
    return Z


def library_seed(seed: int) -> int:
    """Return a 32-bit number for libraries with seeds of that size; with it they leave global state alone."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0])


def standardised_target(y: FloatArray, targets: str) -> FloatArray:
    """Return ``(n,)`` values or average ranks of a not constant ``y``, with mean 0 and deviation 1."""
    t = average_ranks(y) if targets == "rank" else y / np.abs(y).max()
    t = t - t.mean()
    return np.asarray(t / t.std(), dtype=np.float64)


class Regressor(Surrogate):
    """A surrogate that regresses on values or ranks; subclasses write `_fit` and `_predict`.

    Constant outcomes never reach the subclass: they teach no order, and all scores are 0.
    """

    #: Whether `_fit` gets the rows in canonical order (see `surrogates.tuning`), so that their order cannot matter.
    sorts_rows: ClassVar[bool] = False

    def __init__(self, *, seed: int, targets: str) -> None:
        require_integer("seed", seed, 0)
        require_choice("targets", targets, TARGETS)
        self.seed = seed
        self.targets = targets
        self._columns: int | None = None
        self._n_rows = 0
        self._constant = False

    def fit(self, Z: FloatArray, y: FloatArray) -> Self:
        """Learn from encodings ``(n, d)`` and outcomes ``(n,)``."""
        Z, y = check_training_data(Z, y)
        if self.sorts_rows:
            order = canonical_order(Z, y)
            Z, y = Z[order], y[order]
        self._columns, self._n_rows = Z.shape[1], len(y)
        self._constant = bool(y.min() == y.max())
        if not self._constant:
            self._fit(Z, standardised_target(y, self.targets))
        return self

    def rank(self, Z: FloatArray) -> FloatArray:
        """Return the predicted target ``(m,)``, standardised."""
        Z = check_query(Z, self._columns)
        if self._constant or len(Z) == 0:
            return np.zeros(len(Z))
        return np.asarray(self._predict(Z), dtype=np.float64)

    @abstractmethod
    def _fit(self, Z: FloatArray, t: FloatArray) -> None:
        """Learn from checked encodings ``(n, d)`` and standardised targets ``(n,)``; forget earlier data."""

    @abstractmethod
    def _predict(self, Z: FloatArray) -> FloatArray:
        """Predict targets ``(m,)`` of checked encodings ``(m, d)``, ``m >= 1``."""

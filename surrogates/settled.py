"""Scores that decide alike on every processor.

Processors sum and exponentiate with other instructions (the kernels of a BLAS library, the loops of NumPy, the number
of threads), so the last bits of a score differ between them. Where two scores are equal but for these bits, and they
often are (isomorphic cells with one encoding, copies in a population), the processor would decide. So:

* equal rows are scored once;
* what the surrogate answers is rounded, to about six digits of the range of its own training scores;
* ties are broken by a rule of whoever decides: the earlier row.

Rounding cannot make two processors agree for certain, as a value may lie at the border of two steps; but the bits
that differ are some ten million times finer than a step. Everything computed from rounded scores by plain arithmetic
is the same everywhere, since addition, multiplication, division and root are rounded alike by all processors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.surrogates.base import FloatArray, Surrogate

#: Bits of a score that decide, of the range of the training scores; a step is about a millionth of it.
BITS = 20
#: In a call with no more rows than these, scores are remembered until the next fit.
REMEMBERED = 4096
#: Moves the ranges at which the step doubles away from those that occur, such as 1 and 2.
_OFF = 0.77


def step_of(values: FloatArray) -> float:
    """Return the step to which scores are rounded, a power of two, from the range of training scores ``(n,)``."""
    span = float(np.max(values) - np.min(values)) if len(values) else 0.0
    if not (math.isfinite(span) and span > 0.0):
        span = float(np.max(np.abs(values), initial=0.0))
    if not (math.isfinite(span) and span > 0.0):
        span = 1.0
    return math.ldexp(1.0, max(math.frexp(_OFF * span)[1] - BITS, -1000))


def settle(values: FloatArray, step: float = 2.0**-BITS) -> FloatArray:
    """Return values rounded to multiples of a power of two."""
    return np.asarray(np.rint(values / step) * step + 0.0, dtype=np.float64)  # + 0.0: no negative zero


def significant(values: Any, digits: int = 9) -> FloatArray:
    """Return numbers rounded to a number of significant digits each, to compare errors and gains of any size."""
    values = np.asarray(values, dtype=np.float64)
    fraction, exponent = np.frexp(values)
    bits = math.ceil(digits * math.log2(10.0))
    return np.asarray(np.ldexp(np.rint(np.ldexp(fraction, bits)), exponent - bits))


def first_least(values: Sequence[float] | FloatArray) -> int:
    """Return the index of the least value, the first of those that are equal to nine digits."""
    return int(np.argmin(significant(values)))


def distinct_rows(Z: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return the distinct rows of ``(m, d)`` and, for each row, the number of its own among them ``(m,)``."""
    if Z.shape[1] == 0 or len(Z) == 0:
        return Z[:1], np.zeros(len(Z), dtype=np.intp)
    _, first, inverse = np.unique(_bits(Z), return_index=True, return_inverse=True)
    return Z[first], inverse.reshape(-1)


def _bits(Z: FloatArray) -> NDArray[np.void]:
    """Return the bytes of each row ``(m,)`` of ``(m, d)``, without negative zeros."""
    return np.ascontiguousarray(Z + 0.0).view(np.dtype((np.void, Z.shape[1] * Z.itemsize))).reshape(-1)


def translated(score: FloatArray, scores: FloatArray, values: FloatArray) -> FloatArray:
    """Map scores to values piecewise linearly, strictly monotone, and beyond the ends with the mean slope.

    Args:
        score: Scores to map ``(m,)``.
        scores: Known scores ``(n,)``, ascending.
        values: What they are worth ``(n,)``, ascending.
    """
    span = scores[-1] - scores[0]
    slope = (values[-1] - values[0]) / span if span > 0 else 1.0
    slope = slope if slope > 0 else 1.0
    inside = np.interp(score, scores, values)
    beyond = np.minimum(score - scores[0], 0.0) + np.maximum(score - scores[-1], 0.0)
    return np.asarray(inside + slope * beyond + 1e-9 * score)


class Settled:
    """A surrogate fitted to encodings ``(n, d)`` and outcomes ``(n,)``; its answers are rounded.

    Args:
        surrogate: Not fitted yet.
        Z: Encodings of the evaluated architectures.
        y: Their outcomes.
    """

    def __init__(self, surrogate: Surrogate, Z: FloatArray, y: FloatArray) -> None:
        self._surrogate = surrogate.fit(Z, y)
        rows, inverse = distinct_rows(Z)
        self._rows, self._inverse = rows, inverse
        scores = np.asarray(surrogate.rank(rows), dtype=np.float64)
        self._step = step_of(scores)
        self._posterior_step = 0.0
        self._known: dict[bytes, float] = {}
        #: Scores ``(n,)`` of the rows it was fitted to.
        self.own_scores = settle(scores, self._step)[inverse]

    def rank(self, Z: FloatArray) -> FloatArray:
        """Return scores ``(m,)`` of encodings ``(m, d)``; smaller is better, equal rows get equal scores.

        Where they depend on the set they are translated to the scale of `own_scores`: by how the training rows fare
        against the same set.
        """
        if self._surrogate.over_set and len(Z):
            rows, inverse = distinct_rows(Z)
            strength = self._surrogate.against(rows, rows)
            known = np.sort(settle(self._surrogate.against(self._rows, rows), self._step)[self._inverse])
            return translated(settle(strength, self._step), known, np.sort(self.own_scores))[inverse]
        if len(Z) > REMEMBERED or Z.shape[1] == 0:
            rows, inverse = distinct_rows(Z)
            return settle(self._surrogate.rank(rows), self._step)[inverse]
        keys = _bits(Z).tolist()
        new = {key: i for i, key in enumerate(keys) if key not in self._known}
        if new:
            scores = settle(self._surrogate.rank(Z[list(new.values())]), self._step)
            self._known.update(zip(new, scores.tolist(), strict=True))
        return np.array([self._known[key] for key in keys], dtype=np.float64)

    def posterior(self, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and deviation, each ``(m,)``, as the surrogate's `posterior` does."""
        if not self._posterior_step:
            self._posterior_step = step_of(self._surrogate.posterior(self._rows)[0])
        rows, inverse = distinct_rows(Z)
        mean, deviation = self._surrogate.posterior(rows)
        return settle(mean, self._posterior_step)[inverse], settle(deviation, self._posterior_step)[inverse]

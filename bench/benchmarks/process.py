"""A fitted Gaussian process that answers in whole numbers, so with the same digits on every processor.

The sums behind a posterior mean depend on the order in which a library adds, and that on the processor. Here every sum
is one of integers below 2^53 (2^24 in single precision), which no order and no fused multiplication can change, and
between the sums stand only additions, multiplications and divisions of single numbers, which IEEE 754 defines to the
last bit. So there is no exponential in it: the kernel is the rational quadratic ``1 / (1 + d^2)`` (a mixture of squared
exponentials of all length scales; Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 4.2),
rounded to multiples of 2^-28.

An input is a row of integers; `unit` of them are one length scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smemnas.spaces.base import FloatArray, IntArray

#: The kernel is rounded to multiples of 2^-28, coefficients to multiples of 2^-20 points.
KERNEL_BITS = 28
COEFFICIENT_BITS = 20
#: Coefficients are summed in signed digits of so many bits, so that each sum is below 2^53.
_DIGIT_BITS = 11
_N_DIGITS = 3
#: Squared norms of inputs are below this, so that all sums of a distance are below 2^24.
REACH = 1 << 22
#: Most points of a process: digits times kernel times this is below 2^53.
MOST_POINTS = 1 << 14
_BLOCK = 128
_DEVIATION_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Process:
    """The posterior of a Gaussian process with one constant mean and white noise.

    Attributes:
        inputs: Inputs of the measured points ``(n, d)``, integers.
        values: Measured values ``(n,)``.
        unit: What is one length scale, a power of two.
        signal: Variance of the process.
        noise: Variance of a measurement around it.
        mean: Mean of the process.
        coefficients: Weight of each point's kernel in the posterior mean, ``(n,)`` in units of 2^-20, see `solve`.

    Raises:
        ValueError: The inputs are no integers, too far from 0 or too many for exact sums.
    """

    inputs: IntArray
    values: FloatArray
    unit: int
    signal: float
    noise: float
    mean: float
    coefficients: IntArray

    def __post_init__(self) -> None:
        if len(self.inputs) > MOST_POINTS or self.unit & (self.unit - 1):
            raise ValueError(f"expected at most {MOST_POINTS} points and a power of two as unit")
        if np.abs(self.coefficients).max(initial=0) >= 1 << (_DIGIT_BITS * _N_DIGITS - 1):
            raise ValueError("coefficients are too large to be summed exactly")
        check_reach(self.inputs)

    def posterior_mean(self, Z: IntArray) -> FloatArray:
        """Return the posterior mean ``(m,)`` at inputs ``(m, d)``; O(n d) each, the same digits everywhere."""
        digits = self._digits
        totals = [K @ digits for K in self._kernel_blocks(Z)]
        sums = np.concatenate([np.empty((0, _N_DIGITS)), *totals])
        return np.asarray(self.mean + _from_digits(sums))

    def kernel(self, Z: IntArray) -> FloatArray:
        """Return the correlations with the measured points ``(m, n)``, multiples of 2^-28."""
        blocks = [K * 2.0**-KERNEL_BITS for K in self._kernel_blocks(Z)]
        return np.concatenate([np.empty((0, len(self.inputs))), *blocks])

    def deviation(self, Z: IntArray) -> FloatArray:
        """Return the posterior standard deviation of a measurement, noise included, ``(m,)`` at ``(m, d)``.

        The first call inverts the covariance of all measured points (n^3; 8 n^2 bytes stay). Its last digits depend
        on the processor: round what is shown.
        """
        inverse = self._inverse
        left = np.empty(len(Z))
        for start in range(0, len(Z), _DEVIATION_BLOCK):
            K = self.signal * self.kernel(Z[start : start + _DEVIATION_BLOCK])
            left[start : start + _DEVIATION_BLOCK] = ((K @ inverse) * K).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(self.signal - left, 0.0) + self.noise))

    def solve(self, residuals: FloatArray) -> IntArray:
        """Return the coefficients ``(n,)`` under which the posterior mean passes by residuals from the prior mean.

        The exact solution rounded to units of 2^-20: what a factorisation leaves is measured in whole numbers and
        corrected until nothing changes, so the processor's rounding does not enter.

        Args:
            residuals: ``(n,)``, exact in a few more digits than a measurement has.
        """
        inverse, scale = self._inverse, 2.0**COEFFICIENT_BITS
        found = np.zeros(len(self.inputs), dtype=np.int64)
        for _ in range(20):
            left = residuals - self._covariance_times(found)
            step = np.rint(self.signal * scale * (inverse @ left)).astype(np.int64)
            if not step.any():
                return found
            found = found + step
        raise ArithmeticError("the coefficients do not settle: is the noise far too small?")

    def _covariance_times(self, coefficients: IntArray) -> FloatArray:
        """Return kernel matrix and noise times coefficients, ``(n,)``; the sums are exact."""
        digits = _to_digits(coefficients)
        sums = np.concatenate([K @ digits for K in self._kernel_blocks(self.inputs)])
        ridge = self.noise / self.signal * (coefficients * 2.0**-COEFFICIENT_BITS)
        return np.asarray(_from_digits(sums) + ridge)

    def _kernel_blocks(self, Z: IntArray) -> Iterator[FloatArray]:
        """Yield blocks of the kernel in units of 2^-28, ``(<= 128, n)``."""
        check_reach(Z)
        right = self._right
        for start in range(0, len(Z), _BLOCK):
            part = np.asarray(Z[start : start + _BLOCK], dtype=np.float32)
            norms = (part * part).sum(axis=1, keepdims=True)
            left = np.concatenate([part, norms, np.ones_like(norms)], axis=1)
            K = (left @ right).astype(np.float64)
            K *= 1.0 / self.unit**2
            K += 1.0
            np.divide(2.0**KERNEL_BITS, K, out=K)
            np.rint(K, out=K)
            yield K

    @cached_property
    def _right(self) -> NDArray[np.float32]:
        """What ``[z, |z|^2, 1]`` is multiplied with to give all squared distances, ``(d + 2, n)``."""
        points = self.inputs.astype(np.float32)
        norms = (points * points).sum(axis=1, keepdims=True)
        return np.ascontiguousarray(np.concatenate([-2 * points, np.ones_like(norms), norms], axis=1).T)

    @cached_property
    def _digits(self) -> FloatArray:
        return _to_digits(self.coefficients)

    @cached_property
    def _inverse(self) -> FloatArray:
        """Inverse of the covariance of all measured points ``(n, n)``, made when it is first asked for."""
        K = self.signal * self.kernel(self.inputs)
        K[np.diag_indices(len(K))] += self.noise
        return np.asarray(np.linalg.inv(K))


def check_reach(Z: IntArray) -> None:
    """Check that distances between inputs ``(m, d)`` are exact in single precision.

    Raises:
        ValueError: They are no integers, or too far from 0.
    """
    if not np.issubdtype(Z.dtype, np.integer):
        raise ValueError(f"inputs are integers, got {Z.dtype}")
    farthest = int((Z * Z).sum(axis=1).max(initial=0))
    if farthest >= REACH:
        raise ValueError(f"squared norms of inputs are below {REACH}, got {farthest}")


def _to_digits(coefficients: IntArray) -> FloatArray:
    """Return whole numbers ``(n,)`` as signed digits of 11 bits ``(n, 3)``, lowest first."""
    half, digits, rest = 1 << (_DIGIT_BITS - 1), [], np.asarray(coefficients, dtype=np.int64)
    for _ in range(_N_DIGITS - 1):
        low = (rest + half) % (1 << _DIGIT_BITS) - half
        digits.append(low)
        rest = (rest - low) >> _DIGIT_BITS
    return np.stack([*digits, rest], axis=1).astype(np.float64)


def _from_digits(sums: FloatArray) -> FloatArray:
    """Return the values ``(m,)`` of sums over digits of coefficients times the kernel ``(m, 3)``, each step rounded."""
    total = sums[:, -1]
    for k in reversed(range(_N_DIGITS - 1)):
        total = total * 2.0**_DIGIT_BITS + sums[:, k]
    return np.asarray(total * 2.0 ** -(KERNEL_BITS + COEFFICIENT_BITS))

"""Matrix products that are the same bit for bit on every processor, whatever the order of their sums.

Numbers are rounded to so few bits of their matrix's largest that every product and every sum of them is a whole number
below 2^53: then no addition rounds, and no kernel, no instruction that fuses and no number of threads can make a
difference. With an inner dimension of 20 that leaves 24 bits, as single precision has. For what is trained by many
small steps: there the last bits of a product grow until they decide.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from smemnas.surrogates.base import FloatArray


class WholeNumbers(NamedTuple):
    """An array as whole numbers ``values`` of size ``unit``, a power of two."""

    values: FloatArray
    unit: float

    @property
    def transposed(self) -> WholeNumbers:
        """The same with its last two axes swapped."""
        return WholeNumbers(self.values.swapaxes(-1, -2), self.unit)


def bits_for(inner: int) -> int:
    """Return how many bits numbers may have so that sums of ``inner`` products are exact."""
    return (53 - math.ceil(math.log2(max(inner, 2)))) // 2


def whole(values: FloatArray, bits: int, least: float | None = None) -> WholeNumbers:
    """Round an array to whole numbers of at most so many bits of a common unit.

    Args:
        values: Finite numbers.
        bits: See `bits_for`.
        least: No number is smaller, where that is known.
    """
    largest = max(float(values.max()), -float(values.min()) if least is None else -least)
    unit = math.ldexp(1.0, max(math.frexp(largest)[1] - bits, -1000))
    scaled = values * (1.0 / unit)
    return WholeNumbers(np.rint(scaled, out=scaled), unit)


def product(A: WholeNumbers, B: WholeNumbers) -> FloatArray:
    """Return ``A @ B``, the last two axes multiplied."""
    C: FloatArray = np.matmul(A.values, B.values)
    C *= A.unit * B.unit
    return C

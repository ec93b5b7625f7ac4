"""Normal deviates of 64-bit words in whole numbers, hence with the same digits on every processor.

What libraries offer (an inverse distribution function, Box-Muller, ziggurat) takes logarithms and roots, whose last
bits differ between processors and versions. Here the distribution function of the discrete normal on multiples of
1/1024, from -8 to 8, is summed up once in 128-bit fixed point, and a word is looked up in it. A deviate differs by
1/1024 at most from the exact inverse of its word.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.spaces.base import FloatArray

#: Deviates are multiples of one of these parts of a standard deviation, up to `FAR` of them.
STEPS, FAR = 1024, 8
_BITS = 128


def deviates(words: NDArray[np.uint64]) -> FloatArray:
    """Return standard normal deviates ``(n,)`` of uniform words ``(n,)``."""
    return np.asarray((np.searchsorted(_limits(), words, side="right") - FAR * STEPS) / STEPS)


@cache
def _limits() -> NDArray[Any]:
    """Return the words at which each deviate but the first begins ``(2 FAR STEPS,)``, ascending."""
    square = STEPS * STEPS
    weight, ratio, step = 1 << _BITS, _exponential(2 * square), _exponential(square)
    half = [weight]  # exp(-(k / STEPS)^2 / 2), where exp(-(2k + 1) / (2 square)) leads from one to the next
    for _ in range(FAR * STEPS):
        weight = weight * ratio >> _BITS
        ratio = ratio * step >> _BITS
        half.append(weight)
    weights = [*half[:0:-1], *half]
    whole, below, limits = sum(weights), 0, []
    for weight in weights[:-1]:
        below += weight
        limits.append((below << 64) // whole)
    return np.array(limits, dtype=np.uint64)


def _exponential(n: int) -> int:
    """Return exp(-1 / n) in fixed point."""
    total = term = 1 << _BITS
    k = 0
    while term:
        k += 1
        term //= n * k
        total += -term if k % 2 else term
    return total

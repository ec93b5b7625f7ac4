"""How much each column matters to a Gaussian process: the weights of largest posterior, by a fixed number of steps.

The kernel is ``k(a, b) = 1 / (1 + sum_j w_j (a_j - b_j)^2)``. Evidence rises along its gradient in ``log w``
(Rasmussen and Williams, 2006, eq. 5.9), held back by a normal prior on the relative weights, without which a hundred
rows would shut most of fifty columns off by chance. Steps are those of Adam (Kingma and Ba, 2015), always as many, and
the weights are rounded, so that last bits of a processor do not add up to another model.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from smemnas.surrogates.base import FloatArray
from smemnas.surrogates.settled import significant

STEPS = 40
RATE = 0.15
#: Precision of the prior on the logarithm of a relative weight; of the common length and of the noise.
PRIOR, COMMON_PRIOR = 2.0, 0.1
NOISE, NOISE_RANGE = 1e-3, (1e-5, 1.0)


class Relevance(NamedTuple):
    """What was learned.

    Attributes:
        weights: Of each column ``(d,)``.
        noise: Variance of the noise as a share of the amplitude.
        evidence: Logarithm of the evidence of the targets, but for a constant.
    """

    weights: FloatArray
    noise: float
    evidence: float


def relevance_kernel(A: FloatArray, B: FloatArray, weights: FloatArray) -> FloatArray:
    """Return kernel values ``(n, m)`` of rows ``(n, d)`` and ``(m, d)``."""
    from smemnas.surrogates.kernels import squared_distances

    root = np.sqrt(weights)
    return np.asarray(1.0 / (1.0 + squared_distances(A * root, B * root)))


def learn_relevance(Z: FloatArray, t: FloatArray) -> Relevance:
    """Return the weights for rows ``(n, d)`` and targets ``(n,)``. O(steps n^2 (n + d))."""
    n, d = Z.shape
    D = np.square(Z.T[:, :, None] - Z.T[:, None, :]).reshape(d, -1)
    mean = D.sum(axis=1) / (n * (n - 1))
    mean[mean < 1e-12] = 1.0
    D /= mean[:, None]
    start = np.concatenate([np.zeros(d), [-np.log(2.0 * d), np.log(NOISE)]])
    precision = np.concatenate([np.full(d, PRIOR), [COMMON_PRIOR, COMMON_PRIOR]])
    p, first, second = start.copy(), np.zeros(d + 2), np.zeros(d + 2)
    low, high = np.log(NOISE_RANGE)
    for step in range(1, STEPS + 1):
        gradient = _gradient(D, t, p) - precision * (p - start)
        first = 0.8 * first + 0.2 * gradient
        second = 0.95 * second + 0.05 * gradient**2
        p += RATE * (first / (1.0 - 0.8**step)) / np.sqrt(second / (1.0 - 0.95**step) + 1e-8)
        p[d + 1] = np.clip(p[d + 1], low, high)
    weights = significant(np.exp(p[:d] + p[d]), 4)
    noise = float(significant(np.exp(p[d + 1]), 3))
    K = 1.0 / (1.0 + (weights @ D).reshape(n, n))
    return Relevance(significant(weights / mean, 4), noise, _profile(K, t, noise)[0])


def _profile(K: FloatArray, t: FloatArray, noise: float) -> tuple[float, FloatArray, FloatArray, float]:
    """Return evidence, inverse of the noisy kernel, its product with the residual, and the amplitude."""
    n = len(t)
    noisy = K + noise * np.eye(n)
    inverse = np.linalg.inv(noisy)
    u = inverse.sum(axis=1)
    residual = t - float(u @ t) / float(u.sum())
    a = inverse @ residual
    amplitude = max(float(residual @ a) / n, 1e-12)
    evidence = -0.5 * (n * np.log(amplitude) + float(np.linalg.slogdet(noisy)[1]))
    return float(evidence), np.asarray(inverse, dtype=np.float64), a, amplitude


def _gradient(D: FloatArray, t: FloatArray, p: FloatArray) -> FloatArray:
    """Return the derivative ``(d + 2,)`` of the evidence in log weights, their common factor and log noise."""
    d, n = len(D), len(t)
    w, noise = np.exp(p[:d] + p[d]), float(np.exp(p[d + 1]))
    k = 1.0 / (1.0 + (w @ D).reshape(n, n))
    _, inverse, a, amplitude = _profile(k, t, noise)
    G = 0.5 * (np.outer(a, a) / amplitude - inverse)
    each = w * (D @ (-(k * k) * G).ravel())
    return np.concatenate([each, [each.sum(), noise * np.trace(G)]])

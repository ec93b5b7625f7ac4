"""RankNet: a small network that scores an architecture, trained on pairs (Burges et al., ICML 2005).

The probability that a beats b is the logistic function of ``s(a) - s(b)``; the loss is the cross-entropy of the
sampled pairs. One network serves both sides, so predictions are antisymmetric and a candidate is ranked by its score
alone. Written in NumPy: full batches with Adam (Kingma and Ba, ICLR 2015), so the fit depends on the seed only.
"""

from __future__ import annotations

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.pairs import IndexArray, PairClassifier
from smemnas.surrogates.regression import require_integer, require_number
from smemnas.surrogates.tuning import column_scales

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@SURROGATES.register("ranknet", summary="RankNet: a small network trained on sampled pairs")
class RankNet(PairClassifier):
    """One hidden layer of tanh units on standardised columns.

    The settings were chosen by a few trials on nb201/cifar100 and fixed; none is tuned in a fit.

    Args:
        seed: Seed of the sampled pairs and of the initial weights.
        max_pairs: Largest number of training pairs, both orders counted (a mirrored pair adds nothing here).
        hidden: Units of the hidden layer.
        epochs: Steps of Adam.
        learning_rate: First step size; it falls to zero along a cosine.
        decay: Penalty on the squared weights, in units of the mean loss of a pair.
    """

    def __init__(
        self,
        *,
        seed: int,
        max_pairs: int = 100_000,
        hidden: int = 64,
        epochs: int = 300,
        learning_rate: float = 0.02,
        decay: float = 1e-3,
    ) -> None:
        super().__init__(seed=seed, max_pairs=max_pairs)
        require_integer("hidden", hidden, 1)
        require_integer("epochs", epochs, 1)
        require_number("learning_rate", learning_rate, above=0.0)
        require_number("decay", decay, least=0.0)
        self.hidden = hidden
        self.epochs = epochs
        self.learning_rate = float(learning_rate)
        self.decay = float(decay)

    def _fit_pairs(self, Z: FloatArray, y: FloatArray, better: IndexArray, worse: IndexArray) -> None:
        self._centre, self._deviation = column_scales(Z)
        Z = (Z - self._centre) / self._deviation
        d = Z.shape[1]
        rng = np.random.default_rng([self.seed, 1])
        self._weights = [
            rng.normal(0.0, 1.0 / np.sqrt(d), (d, self.hidden)),
            np.zeros(self.hidden),
            rng.normal(0.0, 1.0 / np.sqrt(self.hidden), self.hidden),
        ]
        first, second = ([np.zeros_like(w) for w in self._weights] for _ in range(2))
        for step in range(1, self.epochs + 1):
            gradients = self._gradients(Z, better, worse)
            rate = self.learning_rate * 0.5 * (1.0 + np.cos(np.pi * (step - 1) / self.epochs))
            for w, g, m, v in zip(self._weights, gradients, first, second, strict=True):
                m += (1.0 - BETA1) * (g - m)
                v += (1.0 - BETA2) * (g * g - v)
                w -= rate * (m / (1.0 - BETA1**step)) / (np.sqrt(v / (1.0 - BETA2**step)) + EPSILON)

    def _gradients(self, Z: FloatArray, better: IndexArray, worse: IndexArray) -> list[FloatArray]:
        """Return the derivatives of mean loss and penalty along the three arrays of weights."""
        W, _, out = self._weights
        units = np.tanh(Z @ W + self._weights[1])
        score = units @ out
        along = self._pull(score, better, worse)
        back = along[:, None] * out[None, :] * (1.0 - units * units)
        return [Z.T @ back + self.decay * W, back.sum(axis=0), units.T @ along + self.decay * out]

    def _pull(self, score: FloatArray, better: IndexArray, worse: IndexArray) -> FloatArray:
        """Return the derivative ``(n,)`` of the mean loss along the scores ``(n,)``; a larger score is better."""
        # d/ds log(1 + exp(-(s_better - s_worse))) = -+ logistic(s_worse - s_better)
        pull = 0.5 * (1.0 + np.tanh(0.5 * (score[worse] - score[better]))) / len(better)
        return np.asarray(np.bincount(worse, pull, len(score)) - np.bincount(better, pull, len(score)))

    def _score(self, Z: FloatArray) -> FloatArray:
        W, b, out = self._weights
        return np.asarray(-(np.tanh((Z - self._centre) / self._deviation @ W + b) @ out), dtype=np.float64)

"""A small network that scores an architecture, trained on lists or with weights toward the top.

The network and its training are RankNet's (`surrogates.ranknet`); the losses, each a mean over the architectures:

* "listnet": cross-entropy between the chances of being the best one that outcomes and scores imply (top-one
  probabilities; Cao et al., ICML 2007). Outcomes enter by their ranks: n ranks are spread over `sharpness` natural
  logarithms, so that the best one is ``exp(sharpness)`` times as likely as the last.
* "listmle": minus the logarithm of the chance that scores give to the true order, best first (Plackett-Luce; Xia et
  al., ICML 2008). Of equal outcomes the earlier row in canonical order comes first.
* "weighted": RankNet's logistic loss on all pairs, each weighing what exchanging the two in the true order would cost
  in discounted cumulative gain, ``|g_i - g_j| |d_i - d_j|`` with ``d = 1 / log2(1 + position)`` and gains linear in the
  rank: pairs with one of the best in them count most (LambdaRank's weights, Burges 2010, at the true positions).

"Loss Functions for Predictor-based Neural Architecture Search" (Ji et al., ICCV 2025, arXiv 2506.05869) compares losses
of these kinds. Differs from it: one hidden layer on encodings instead of its graph network, NumPy instead of PyTorch,
and of its weighted losses none is taken literally.
"""

from __future__ import annotations

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray, average_ranks
from smemnas.surrogates.pairs import IndexArray
from smemnas.surrogates.ranknet import RankNet
from smemnas.surrogates.regression import require_choice, require_number

LOSSES = ("listnet", "listmle", "weighted")


@SURROGATES.register("listnet", summary="A small network trained on the whole list: ListNet, top-one probabilities")
class ListwiseNet(RankNet):
    """One hidden layer of tanh units on standardised columns; the settings are RankNet's.

    Args:
        seed: Seed of the initial weights.
        loss: "listnet", "listmle" or "weighted".
        sharpness: Of the chances in "listnet": the logarithm of how much likelier the best one is than the last.
        hidden: Units of the hidden layer.
        epochs: Steps of Adam.
        learning_rate: First step size; it falls to zero along a cosine.
        decay: Penalty on the squared weights.
    """

    def __init__(
        self,
        *,
        seed: int,
        loss: str = "listnet",
        sharpness: float = 4.0,
        hidden: int = 64,
        epochs: int = 300,
        learning_rate: float = 0.02,
        decay: float = 1e-3,
    ) -> None:
        super().__init__(seed=seed, hidden=hidden, epochs=epochs, learning_rate=learning_rate, decay=decay)
        require_choice("loss", loss, LOSSES)
        require_number("sharpness", sharpness, above=0.0)
        self.loss = loss
        self.sharpness = float(sharpness)

    def _fit_pairs(self, Z: FloatArray, y: FloatArray, better: IndexArray, worse: IndexArray) -> None:
        self._y = y  # ascending: rows come in canonical order, the best first
        super()._fit_pairs(Z, y, better, worse)

    def _pull(self, score: FloatArray, better: IndexArray, worse: IndexArray) -> FloatArray:
        if self.loss == "listnet":
            return listnet(score, self._y, self.sharpness)[1]
        return (listmle if self.loss == "listmle" else weighted_pairs)(score, self._y)[1]


def listnet(score: FloatArray, y: FloatArray, sharpness: float) -> tuple[float, FloatArray]:
    """Return ListNet's loss of scores ``(n,)``, larger is better, for outcomes ``(n,)``, and its derivative."""
    wanted = np.exp(-0.5 * sharpness * average_ranks(y))
    wanted /= wanted.sum()
    shifted = score - score.max()
    total = np.exp(shifted).sum()
    return float(np.log(total) - wanted @ shifted), np.asarray(np.exp(shifted) / total - wanted)


def listmle(score: FloatArray, y: FloatArray) -> tuple[float, FloatArray]:
    """Return ListMLE's loss of scores ``(n,)``, larger is better, and its derivative; outcomes ``(n,)`` ascend."""
    n = len(score)
    top = score.max()
    mass = np.exp(score - top)
    rest = np.cumsum(mass[::-1])[::-1]  # of the rows that are not placed yet
    loss = float((np.log(rest) + top - score).mean())
    return loss, np.asarray((mass * np.cumsum(1.0 / rest) - 1.0) / n)


def weighted_pairs(score: FloatArray, y: FloatArray) -> tuple[float, FloatArray]:
    """Return the weighted pairwise loss of scores ``(n,)``, larger is better, and its derivative; ``y`` ascends."""
    weight = top_weights(y)
    lead = score[:, None] - score[None, :]
    loss = float((weight * np.logaddexp(0.0, -lead)).sum())
    pull = weight * 0.5 * (1.0 + np.tanh(-0.5 * lead))
    return loss, np.asarray(pull.sum(axis=0) - pull.sum(axis=1))


def top_weights(y: FloatArray) -> FloatArray:
    """Return the weights ``(n, n)`` of the pairs (row beats column) of ascending outcomes ``(n,)``; their sum is 1."""
    position = np.searchsorted(y, y, side="left") + 1.0  # equal outcomes share the first place of theirs
    discount = 1.0 / np.log2(1.0 + position)
    gain = 0.5 * (1.0 - average_ranks(y))
    cost = np.abs(gain[:, None] - gain[None, :]) * np.abs(discount[:, None] - discount[None, :])
    weight = np.where(y[:, None] < y[None, :], cost, 0.0)
    return np.asarray(weight / weight.sum())


SURROGATES.preset(
    "listmle",
    base="listnet",
    summary="A small network trained on the whole list: ListMLE, likelihood of the true order",
    loss="listmle",
)
SURROGATES.preset(
    "ranknet_top",
    base="listnet",
    summary="RankNet on all pairs, weighing most those with one of the best in them",
    loss="weighted",
)

"""SPNAS's surrogate in SMEM-NAS's search: one-hot genes into a small network trained with the pairwise logistic loss.

SPNAS is by an author of SMEM-NAS's. Known of it to us: its surrogate is a perceptron on one-hot genes with a pairwise
logistic loss, it varies by pymoo's simulated binary crossover and polynomial mutation, and of 400 candidates it
evaluates 40, ten times. Widths, step sizes and how candidates are chosen are not, so this is no reproduction: the
surrogate is `ranknet` (the same loss and input, one hidden layer of 64 units), everything else is `smemnas`. It asks
whether the closed form on pairs or a network on pairs serves the same search better.
"""

from __future__ import annotations

from smemnas.methods import smemnas  # noqa: F401  # registers the base of the preset
from smemnas.methods.base import METHODS

METHODS.preset(
    "smemnas/spnas",
    "smemnas",
    "SMEM-NAS with SPNAS's surrogate: one-hot genes, a network with the pairwise logistic loss",
    surrogate="ranknet",
    encoding="onehot",
)

"""OFA-MobileNetV3: where the genes of a genotype stand, and what is computed from them alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError
from smemnas.spaces.base import FloatArray, IntArray
from smemnas.spaces.mnv3_choices import (
    CHOICES,
    DEPTHS,
    EXPANSIONS,
    FULL,
    KERNELS,
    MAX_DEPTH,
    N_LAYERS,
    N_STAGES,
    Choices,
    Subnet,
)
from smemnas.spaces.mnv3_costs import narrowed

STAGE_GENES = 1 + 2 * MAX_DEPTH
STARTS = np.arange(N_STAGES) * STAGE_GENES
DEPTH_GENES = STARTS
KERNEL_GENES = (STARTS[:, None] + 1 + np.arange(MAX_DEPTH)).ravel()
EXPANSION_GENES = KERNEL_GENES + MAX_DEPTH
RESOLUTION_GENE = N_STAGES * STAGE_GENES
#: Genes of the published choices; with widths to choose from, one more per stage follows.
N_GENES = RESOLUTION_GENE + 1
WIDTH_GENES = N_GENES + np.arange(N_STAGES)
#: Of each gene, the depth that says whether it is expressed, and its layer's place in the stage; others always are.
DEPTH_OF = np.zeros(N_GENES + N_STAGES, dtype=np.int64)
PLACE = np.full(N_GENES + N_STAGES, -MAX_DEPTH)
for _genes in (KERNEL_GENES, EXPANSION_GENES):
    DEPTH_OF[_genes], PLACE[_genes] = np.repeat(DEPTH_GENES, MAX_DEPTH), np.tile(np.arange(MAX_DEPTH), N_STAGES)
#: Rows that are looked at together: what is computed of them stays in the processor's cache.
ROWS = 1024


def same_widths(full: Sequence[int], options: Choices) -> IntArray:
    """Return ``(5, W)``: for each width of each stage the largest that rounds to as many channels."""
    return np.array(
        [
            [len(channels) - 1 - channels[::-1].index(c) for c in channels]
            for channels in ([narrowed(c, percent) for percent in options.widths] for c in full)
        ]
    )


@cache
def layer_names(expansions: tuple[int, ...]) -> list[list[str]]:
    """Return the two digits of a layer by the indices of kernel and expansion."""
    return [[f"{kernel}{expansion}" for expansion in expansions] for kernel in KERNELS]


@cache
def stage_table() -> tuple[dict[str, int], IntArray]:
    """Return the number of each of the 7,371 stages by its name, and its genes ``(7371, 9)``."""
    names, rows = [], []
    states = list(itertools.product(range(len(KERNELS)), range(len(EXPANSIONS))))
    for index, depth in enumerate(DEPTHS):
        for layers in itertools.product(states, repeat=depth):
            padded = [*layers, *[(0, 0)] * (MAX_DEPTH - depth)]
            names.append("".join(f"{KERNELS[k]}{EXPANSIONS[e]}" for k, e in layers))
            rows.append([index, *[k for k, _ in padded], *[e for _, e in padded]])
    return {name: i for i, name in enumerate(names)}, np.array(rows, dtype=np.int64)


def active_layers(X: IntArray, options: Choices = CHOICES["ofa"]) -> NDArray[np.bool_]:
    """Return ``(n, 20)``: which layers the depths of genotypes ``(n, n_var)`` express."""
    depth = X[:, DEPTH_GENES, None] + options.depths[0]
    return np.asarray(np.arange(MAX_DEPTH) < depth).reshape(len(X), N_LAYERS)


def clear_absent(X: IntArray, options: Choices = CHOICES["ofa"]) -> None:
    """Set the genes of absent layers of genotypes ``(n, n_var)`` to 0, in place."""
    n_var = X.shape[1]
    place, depth_of = PLACE[:n_var] - options.depths[0], DEPTH_OF[:n_var]
    for start in range(0, len(X), ROWS):
        part = X[start : start + ROWS]
        part *= place < part[:, depth_of]


def decode(x: IntArray, options: Choices = CHOICES["ofa"]) -> Subnet:
    """Read a genotype ``(46,)``, or ``(51,)`` with widths; absent layers' genes and the resolution do not enter.

    Raises:
        UserError: It is no genotype of these choices.
    """
    x = np.asarray(x)
    n_genes = N_GENES + N_STAGES * (len(options.widths) > 1)
    if x.shape != (n_genes,) or x.dtype.kind not in "iu":
        raise UserError(f"an mnv3 genotype is {n_genes} integers, got an array of shape {x.shape} and type {x.dtype}.")
    places = (
        ("depth", DEPTH_GENES, options.depths),
        ("kernel", KERNEL_GENES, options.kernels),
        ("expansion", EXPANSION_GENES, options.expansions),
        ("width", WIDTH_GENES[: n_genes - N_GENES], options.widths),
    )
    for what, at, values in places:
        if len(at) and not (x[at].min() >= 0 and x[at].max() < len(values)):
            raise UserError(f"genes of {what} are {', '.join(map(str, range(len(values))))} in mnv3, got {x.tolist()}.")
    genes = x.tolist()
    layers = np.flatnonzero(active_layers(x[None], options)[0]).tolist()
    kernels, expansions = [KERNELS[0]] * N_LAYERS, [EXPANSIONS[0]] * N_LAYERS
    for layer in layers:
        kernels[layer] = options.kernels[genes[KERNEL_GENES[layer]]]
        expansions[layer] = options.expansions[genes[EXPANSION_GENES[layer]]]
    return Subnet(
        tuple(options.depths[genes[g]] for g in DEPTH_GENES),
        tuple(kernels),
        tuple(expansions),
        tuple(options.widths[genes[g]] for g in WIDTH_GENES) if n_genes > N_GENES else (FULL,) * N_STAGES,
    )


def layer_features(X: IntArray, resolutions: IntArray, options: Choices = CHOICES["ofa"]) -> FloatArray:
    """Return the "layer" encoding ``(n, 56)`` of genotypes ``(n, n_var)``, without widths.

    Per stage the mean expansion and the mean kernel over its four places (absent layers count 0) and the depth;
    the resolution in units of 32 pixels; then, with a weight of 0.2, kernel and expansion of each layer, 0 where
    absent. The stage means carry most of what decides accuracy and few samples suffice to learn them; the
    down-weighted layers add the rest.

    Chosen by measurement: kernel ridge regression on ranks (RBF, width and lambda by 5-fold CV), OFA's predictor
    as the truth, Kendall tau on 1,000 unseen random networks, mean of six draws at n = 100 / 300: this
    encoding .859 / .888, stage part alone .847 / .877, per-layer part with depth and resolution .830 / .873,
    int .814 / .853, onehot .719 / .881. On 1,000 networks near the front the order is the same (.874 / .897).
    """
    active = active_layers(X, options)
    kernels = np.asarray(KERNELS)[X[:, KERNEL_GENES]] * active / KERNELS[-1]
    expansions = np.asarray(options.expansions)[X[:, EXPANSION_GENES]] * active / options.expansions[-1]
    stages = [v.reshape(len(X), N_STAGES, MAX_DEPTH).mean(axis=2) for v in (expansions, kernels)]
    depth = X[:, DEPTH_GENES] / (len(options.depths) - 1.0)
    resolution = (resolutions[X[:, [RESOLUTION_GENE]]] - resolutions[0]) / 32.0
    return np.hstack([*stages, depth, resolution, 0.2 * kernels, 0.2 * expansions])

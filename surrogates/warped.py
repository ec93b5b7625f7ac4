"""Gaussian process regression that learns from the data which target to regress on: values, logarithms or ranks.

Accuracies of smooth spaces are best learned as they are; where most architectures are far worse than those that a
search is about, a few bad ones govern a fit to values, and orders, or distances on a logarithmic scale, teach more. So:

* targets: ``log(u + c)``, ``u`` the distance to the best value in units of the median one, for several ``c``, and ``u``
  itself, the limit of large ``c``. Kernel length, share of the last block of columns, noise and ``c`` are those of
  largest marginal likelihood of the *outcomes* on a grid: the density of a transformed target is multiplied by the
  derivative of the transformation (Snelson, Rasmussen, Ghahramani, "Warped Gaussian processes", NIPS 2003), so all
  targets compete in one unit. Mean and amplitude follow in closed form.
* ranks, as normal quantiles, have no such density. They are taken where they order rows that were left out clearly
  better than the target above, by the rule of `surrogates.choice`. Regression on ranks is what pairwise comparison
  with a mean read-out is (see `surrogates.kernel_pairwise`), so this is the place where pairs compete with values.

Each block of columns has a rational quadratic kernel of its own; they are added. Descriptions compete too: several
lists of blocks may be given, and the likeliest is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from smemnas.surrogates.base import FloatArray, average_ranks
from smemnas.surrogates.choice import agreements, clearly_best
from smemnas.surrogates.kernel_pairwise import spread_rows
from smemnas.surrogates.kernels import distance_scales, squared_distances
from smemnas.surrogates.relevance import learn_relevance, relevance_kernel
from smemnas.surrogates.settled import settle, significant, step_of
from smemnas.surrogates.tuning import FEWEST

LENGTHS = (0.4, 0.7, 1.2, 2.0, 3.5, 7.0)
#: Noise variance as a share of the amplitude.
NOISES = significant(np.geomspace(1e-5, 3.0, 24), 6)
#: Offsets c of the logarithms; inf stands for the values themselves.
OFFSETS = (math.inf, 3.0, 1.0, 0.3, 0.1, 0.03)
#: Most rows on which target, length and share are chosen.
TUNE_ROWS = 120


class Target(NamedTuple):
    """A transformation of outcomes: ``t = (log((y - low) / unit + offset) - mean) / deviation``, or ranks.

    Attributes:
        offset: c; inf for values, nan for ranks.
        low: Least outcome.
        unit: Distance of the median to it.
        mean: Of the transformed training outcomes.
        deviation: Of these.
        knots: Sorted outcomes ``(n,)`` and their transforms, for ranks; else empty.
    """

    offset: float
    low: float
    unit: float
    mean: float
    deviation: float
    knots: tuple[FloatArray, FloatArray]

    @property
    def name(self) -> str:
        """Return "value", "log" or "rank"."""
        return "rank" if math.isnan(self.offset) else "value" if math.isinf(self.offset) else "log"

    def density(self, y: FloatArray) -> float:
        """Return the sum of the logarithms of the derivative at outcomes ``(n,)``, but for a constant."""
        inner = 0.0 if math.isinf(self.offset) else float(np.log((y - self.low) / self.unit + self.offset).sum())
        return -inner - len(y) * math.log(self.deviation)

    def outcome(self, t: FloatArray) -> FloatArray:
        """Return the outcomes whose transforms are ``t``, of any shape."""
        if math.isnan(self.offset):
            return _through(t, self.knots[1], self.knots[0])
        u = t * self.deviation + self.mean
        if not math.isinf(self.offset):
            u = np.exp(np.minimum(u, 50.0)) - self.offset
        return np.asarray(u * self.unit + self.low)


def _through(t: FloatArray, known: FloatArray, values: FloatArray) -> FloatArray:
    """Interpolate; beyond the ends with the slopes there."""
    n = len(known)
    k = max(1, n // 10)
    first = (values[k] - values[0]) / max(known[k] - known[0], 1e-9)
    last = (values[-1] - values[-1 - k]) / max(known[-1] - known[-1 - k], 1e-9)
    beyond = first * np.minimum(t - known[0], 0.0) + last * np.maximum(t - known[-1], 0.0)
    return np.asarray(np.interp(t, known, values) + beyond)


def make_target(y: FloatArray, offset: float) -> tuple[Target, FloatArray]:
    """Return a target for not constant outcomes ``(n,)`` and their transforms, with mean 0 and deviation 1."""
    low = float(y.min())
    unit = float(np.median(y)) - low or float(np.ptp(y))
    if math.isnan(offset):
        from scipy.special import ndtri

        n = len(y)
        t = settle(ndtri(((average_ranks(y) + 1.0) * (n - 1) + 1.0) / (2.0 * n)))
    else:
        u = (y - low) / unit
        t = u if math.isinf(offset) else np.log(u + offset)
    mean, deviation = float(t.mean()), float(t.std())
    t = (t - mean) / deviation
    order = np.argsort(y, kind="stable")
    knots = (y[order], t[order]) if math.isnan(offset) else (y[:0], y[:0])
    return Target(offset, low, unit, mean, deviation, knots), t


class _Fit(NamedTuple):
    """A fitted process: the target, its setting, evidence of the outcomes, and what predictions need.

    `columns` are weights of the columns, empty where the kernel is the sum over blocks.
    """

    target: Target
    evidence: float
    blocks: int
    length: float
    share: float
    noise: float
    amplitude: float
    level: float
    root: FloatArray
    weights: FloatArray
    left_out: FloatArray
    columns: FloatArray


class _Rows(NamedTuple):
    """One description of the training rows: blocks ``(n, d)``, their mean squared distances, scaled distances."""

    columns: tuple[FloatArray, ...]
    scales: tuple[float, ...]
    distances: tuple[FloatArray, ...]


class WarpedProcess:
    """See the module. `fit` forgets what was before, but for what `relearn` keeps.

    Args:
        shares: Tried shares of the last block in the kernel, the others in equal parts; it has length 1 always, as
            costs are few and smooth. Empty: it is like the others.
        offsets: Logarithms and values to try, see `OFFSETS`.
        ranks: Whether ranks compete.
        relevance: Whether the chosen target is fitted again with a weight of each column, see `surrogates.relevance`,
            where that is likelier.
        relearn: Share by which the rows grow before target, kernel and weights are chosen anew; noise, level and
            amplitude always are. 0: every time.
    """

    def __init__(
        self,
        *,
        shares: Sequence[float] = (),
        offsets: Sequence[float] = OFFSETS,
        ranks: bool = True,
        relevance: bool = True,
        relearn: float = 0.0,
    ) -> None:
        self.shares = tuple(shares)
        self.offsets = tuple(offsets)
        self.ranks = ranks
        self.relevance = relevance
        self.relearn = relearn
        self._fit: _Fit | None = None
        self._learned_at = 0

    def fit(self, descriptions: Sequence[Sequence[FloatArray]], y: FloatArray) -> Self:
        """Learn.

        Args:
            descriptions: One or more lists of blocks of columns ``(n, d)`` of the same rows.
            y: Outcomes ``(n,)``, two at least, finite.
        """
        self._constant = float(y[0])
        known, self._fit = self._fit, None
        if float(np.ptp(y)) == 0.0:
            return self
        self._described = [_rows(blocks) for blocks in descriptions]
        self._step = step_of(y)
        if known is not None and len(y) < self._learned_at * (1.0 + self.relearn):
            self._fit = self._again(y, known)
            return self
        self._learned_at = len(y)
        rows = np.arange(len(y))
        if len(y) > TUNE_ROWS:
            rows = np.sort(spread_rows(np.hstack(list(descriptions[0])), y, TUNE_ROWS))
        settings = [
            (k, length, share)
            for k in range(len(self._described))
            for share in self.shares or (math.nan,)
            for length in LENGTHS
        ]
        ranks = (math.nan,) if self.ranks and len(y) >= FEWEST else ()
        found = self._likeliest(y, (self.offsets, ranks), settings, rows)
        chosen = found[clearly_best([agreements(settle(f.left_out), y) for f in found])]
        self._fit = self._weighted(y, chosen, rows) if self.relevance else chosen
        return self

    @property
    def target(self) -> str:
        """What is regressed on: "value", "log" or "rank"; "constant" where nothing is learned."""
        return "constant" if self._fit is None else self._fit.target.name

    @property
    def description(self) -> int:
        """Return the number of the description in use."""
        return 0 if self._fit is None else self._fit.blocks

    @property
    def noise(self) -> float:
        """Return the variance of the noise as a share of the amplitude; 0 where nothing is learned."""
        return 0.0 if self._fit is None else self._fit.noise

    def predict(self, blocks: Sequence[FloatArray]) -> FloatArray:
        """Return median outcomes ``(m,)``, rounded, of rows in the description in use."""
        return np.asarray(self.quantiles(blocks, np.zeros(1))[0])

    def quantiles(self, blocks: Sequence[FloatArray], z: FloatArray) -> FloatArray:
        """Return ``(k, m)`` outcomes at normal deviates ``(k,)`` of the posterior, without noise, rounded."""
        m = len(blocks[0])
        if self._fit is None:
            return np.full((len(z), m), self._constant)
        f = self._fit
        K = self._kernel(blocks)
        mean = K @ f.weights + f.level
        t = np.repeat(mean[None], len(z), axis=0)
        if z.any():
            variance = f.amplitude * np.maximum(1.0 - np.square(K @ f.root).sum(axis=1), 0.0)
            t = mean + z[:, None] * np.sqrt(variance)
        return np.asarray(settle(f.target.outcome(settle(t)), self._step))

    def _kernel(self, blocks: Sequence[FloatArray]) -> FloatArray:
        assert self._fit is not None
        known = self._described[self._fit.blocks]
        if len(self._fit.columns):
            return relevance_kernel(np.hstack(list(blocks)), np.hstack(list(known.columns)), self._fit.columns)
        pairs = zip(blocks, known.columns, known.scales, strict=True)
        return _mixed([squared_distances(a, b) / s for a, b, s in pairs], self._fit.length, self._fit.share)

    def _likeliest(
        self,
        y: FloatArray,
        groups: Sequence[Sequence[float]],
        settings: Sequence[tuple[int, float, float]],
        rows: NDArray[np.intp],
    ) -> list[_Fit]:
        """Return for each group of offsets that is not empty the fit of largest evidence on some rows, for all."""
        part = y[rows]
        targets = [[make_target(part, offset) for offset in group] for group in groups if group]
        best = [(-math.inf, settings[0], math.inf)] * len(targets)
        for setting in settings:
            k, length, share = setting
            distances = [D[np.ix_(rows, rows)] for D in self._described[k].distances]
            w, Q = np.linalg.eigh(_mixed(distances, length, share))
            w = np.maximum(w, 0.0)
            for g, group in enumerate(targets):
                for target, t in group:
                    density = 0.0 if math.isnan(target.offset) else target.density(part)
                    found = float(settle(_evidence(w, Q, t)[0] + density).max())
                    if found > best[g][0]:
                        best[g] = (found, setting, target.offset)
        return [self._solved(y, evidence, setting, offset) for evidence, setting, offset in best]

    def _solved(self, y: FloatArray, evidence: float, setting: tuple[int, float, float], offset: float) -> _Fit:
        """Return the fit to all rows; noise, level and amplitude are the likeliest of all rows."""
        k, length, share = setting
        target, t = make_target(y, offset)
        K = _mixed(self._described[k].distances, length, share)
        return _solve(K, target, t, evidence, k, length, share, np.empty(0))

    def _again(self, y: FloatArray, known: _Fit) -> _Fit:
        """Return the fit to all rows with the choices of an earlier one."""
        if not len(known.columns):
            return self._solved(y, known.evidence, (known.blocks, known.length, known.share), known.target.offset)
        target, t = make_target(y, known.target.offset)
        Z = np.hstack(list(self._described[known.blocks].columns))
        return _solve(relevance_kernel(Z, Z, known.columns), target, t, known.evidence, *known[2:5], known.columns)

    def _weighted(self, y: FloatArray, chosen: _Fit, rows: NDArray[np.intp]) -> _Fit:
        """Return the fit with weights of the columns, or the one that was chosen where that is likelier."""
        Z = np.hstack(list(self._described[chosen.blocks].columns))
        offset = chosen.target.offset
        target, t = make_target(y[rows], offset)
        learned = learn_relevance(Z[rows], t)
        density = 0.0 if math.isnan(offset) else target.density(y[rows])
        if not learned.evidence + density > chosen.evidence:
            return chosen
        target, t = make_target(y, offset)
        K = relevance_kernel(Z, Z, learned.weights)
        return _solve(K, target, t, learned.evidence + density, chosen.blocks, math.nan, math.nan, learned.weights)


def _solve(
    K: FloatArray,
    target: Target,
    t: FloatArray,
    evidence: float,
    k: int,
    length: float,
    share: float,
    columns: FloatArray,
) -> _Fit:
    """Return the fit to targets ``(n,)`` with kernel ``(n, n)``; noise, level and amplitude are the likeliest."""
    w, Q = np.linalg.eigh(K)
    w = np.maximum(w, 0.0)
    found, level, amplitude = _evidence(w, Q, t)
    i = int(np.argmax(settle(found)))
    shifted = w + NOISES[i]
    weights = Q @ ((Q.T @ (t - level[i])) / shifted)
    left_out = t - weights / (np.square(Q) @ (1.0 / shifted))
    values = (float(NOISES[i]), float(amplitude[i]), float(level[i]))
    return _Fit(target, evidence, k, length, share, *values, Q / np.sqrt(shifted), weights, left_out, columns)


def _rows(blocks: Sequence[FloatArray]) -> _Rows:
    squared = [squared_distances(b, b) for b in blocks]
    scales = distance_scales(squared)
    return _Rows(tuple(blocks), scales, tuple(D / s for D, s in zip(squared, scales, strict=True)))


def _mixed(distances: Sequence[FloatArray], length: float, share: float) -> FloatArray:
    """Return kernel values ``(n, m)`` from scaled squared distances of each block; nan: no block apart."""
    apart = not math.isnan(share) and len(distances) > 1
    smooth = distances[:-1] if apart else distances
    K = np.zeros_like(distances[0])
    for D in smooth:
        K += (1.0 / len(smooth)) / (1.0 + D / (2.0 * length * length))
    if apart and share > 0.0:
        K = (1.0 - share) * K + share * np.exp(-0.5 * distances[-1])
    return K


def _evidence(w: FloatArray, Q: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return log evidence, level and amplitude, each ``(noises,)``, the latter two those of largest likelihood.

    Args:
        w: Eigenvalues ``(n,)`` of the kernel matrix.
        Q: Their vectors.
        t: Targets ``(n,)``.
    """
    q, one = Q.T @ t, Q.sum(axis=0)
    shifted = w + NOISES[:, None]
    level = (one * q / shifted).sum(axis=1) / (one * one / shifted).sum(axis=1)
    residual = q - level[:, None] * one
    amplitude = np.maximum((residual**2 / shifted).mean(axis=1), 1e-12)
    return -0.5 * (len(t) * np.log(amplitude) + np.log(shifted).sum(axis=1)), level, amplitude

"""ParEGO (Knowles, IEEE TEVC 2006): Bayesian optimisation of random augmented Chebyshev scalarisations, in batches.

Each iteration draws `batch` weight vectors from the simplex lattice. For each of them: scalarise the evaluated
objectives, normalised to [0, 1], as ``max_j w_j f_j + 0.05 sum_j w_j f_j``; fit a Gaussian process to that number;
find the architecture with the largest expected improvement by a small evolutionary search.

Differs from the paper:

* `batch` weight vectors at once, without repetition while there are enough, instead of one per evaluation;
* the initial design is the start of the seed's shared stream, 20 architectures instead of a Latin hypercube of
  ``11 n_var - 1`` (more than a whole run on large spaces);
* one Matern 5/2 length scale and white noise on the space's encoding, both chosen on a grid by marginal likelihood,
  instead of one exponent and one width per variable of a DACE model without noise;
* objectives are normalised by the ideal and nadir point of the evaluated front (`scaling`), since limits are unknown;
* the evolutionary search on expected improvement works by generations, crosses and mutates integer genes, and makes
  500 evaluations of it per weight vector instead of 10,000;
* free objectives are not exploited: as in the paper the process models the scalarised number.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from smemnas.methods.base import METHODS, Archive, Method, initial_design, require_choice, require_positive
from smemnas.methods.neighbourhood import random_unseen
from smemnas.methods.selection import pareto_ranks
from smemnas.methods.variation import crossover, mutate, unique_rows
from smemnas.spaces.base import FloatArray, IntArray, Problem
from smemnas.surrogates.base import single_thread
from smemnas.surrogates.gp import matern, profiled_evidence
from smemnas.surrogates.kernels import squared_distances
from smemnas.surrogates.settled import distinct_rows, settle, significant

#: Weight of the sum in the augmented Chebyshev function.
RHO = 0.05
#: Divisions of the simplex lattice by number of objectives (11 and 15 weight vectors in the paper).
DIVISIONS = {1: 1, 2: 10, 3: 4}
#: Grids of the process: length scale in units of the root mean squared distance, noise by signal variance.
LENGTHS = tuple(np.geomspace(0.15, 6.0, 8).tolist())
NOISES = tuple(np.geomspace(1e-6, 1.0, 7).tolist())


@METHODS.register("parego", summary="ParEGO (Knowles 2006): GP on random Chebyshev scalarisations, batches of 10")
class ParEGO(Method):
    """Batch ParEGO.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Random architectures first.
        batch: Weight vectors, and so architectures, per iteration.
        encoding: For the Gaussian process; None takes the space's default.
        scaling: What is mapped to [0, 1]: "front" (ideal to nadir of the evaluated front) or "range" (smallest to
            largest value of all evaluated architectures).
        population: Population of the search on expected improvement.
        generations: Its generations.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int = 20,
        batch: int = 10,
        encoding: str | None = None,
        scaling: str = "front",
        population: int = 50,
        generations: int = 10,
    ) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(initial=initial, batch=batch, population=population, generations=generations)
        require_choice("scaling", scaling, ("front", "range"))
        problem.space.encoding_parts(encoding)
        self.initial = min(initial, budget)
        self.batch = batch
        self.encoding = encoding
        self.scaling = scaling
        self.population = population
        self.generations = generations
        self._archive = Archive(problem)
        self._lattice = simplex_lattice(problem.n_obj, DIVISIONS.get(problem.n_obj, 3))

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Add evaluated architectures to the archive."""
        self._archive.add(X, F)

    def ask(self) -> IntArray:
        """Return the initial design, then one architecture for each of `batch` weight vectors."""
        if len(self._archive) < self.initial:
            design = initial_design(self.problem, self.initial, self.seed)
            new = design[self._archive.unseen(design)]
            if len(new):
                return new
        X, F = self._archive.finite()
        seen = set(self._archive.seen)
        picked = [np.empty((0, self.problem.space.n_var), np.int64)]
        if len(X) >= 2:
            with single_thread():
                process = GridProcess(self.problem.space.encode(X, self.encoding))
                scaled = self._scaled(F)
                for weights in self._weights():
                    x = self._improve(process, X, chebyshev(scaled, weights), seen)
                    seen.update(row.tobytes() for row in x)
                    picked.append(x)
        n = self.batch - sum(len(x) for x in picked)
        return np.vstack([*picked, random_unseen(self.problem.space, n, seen, self.rng)])

    def _weights(self) -> FloatArray:
        """Draw `batch` weight vectors from the lattice, each once before any comes again."""
        rounds = -(-self.batch // len(self._lattice))
        order = [self.rng.permutation(len(self._lattice)) for _ in range(rounds)]
        return self._lattice[np.concatenate(order)[: self.batch]]

    def _scaled(self, F: FloatArray) -> FloatArray:
        """Map the evaluated objectives to [0, 1] on the front (or on all of them)."""
        low, high = F.min(axis=0), F.max(axis=0)
        if self.scaling == "front":
            nadir = F[pareto_ranks(F) == 0].max(axis=0)
            high = np.where(nadir > low, nadir, high)
        return np.asarray((F - low) / np.where(high > low, high - low, 1.0))

    def _improve(self, process: GridProcess, X: IntArray, y: FloatArray, seen: set[bytes]) -> IntArray:
        """Return the new architecture ``(<=1, n_var)`` with the largest expected improvement found."""
        space, rng, n = self.problem.space, self.rng, self.population
        process.fit(y)
        choices = np.asarray(space.n_choices)
        best = X[np.argsort(y, kind="stable")[: max(n // 2, 1)]]
        parents = np.vstack([best, space.sample(n - len(best) if n > len(best) else 1, rng)])
        members, gain = np.empty((0, space.n_var), np.int64), np.empty(0)
        for generation in range(self.generations):
            if generation and len(members):
                parents = members
            first, second = (_tournament(gain if generation else None, len(parents), n, rng) for _ in range(2))
            children = crossover(parents[first], parents[second], rng, kind="uniform", probability=0.9)
            children = mutate(children, choices, rng, kind="reset", rate=1.0)
            children = np.ascontiguousarray(space.normalise(children[space.is_valid(children)]))
            fresh = np.array([x.tobytes() not in seen for x in children], dtype=bool)
            children = children[fresh]
            if len(children):
                mean, deviation = process.settled(space.encode(children, self.encoding))
                members = np.vstack([members, children])
                gain = np.concatenate([gain, expected_improvement(mean, deviation, float(y.min()))])
                keep = unique_rows(members)
                keep = keep[np.argsort(-gain[keep], kind="stable")[:n]]
                members, gain = members[keep], gain[keep]
        return members[:1]


class GridProcess:
    """Gaussian process on fixed inputs for any number of outcomes.

    The inputs' kernel matrices, one for each length scale, are decomposed once. Then every outcome costs ``O(n^2)``,
    see `profiled_evidence`.

    Args:
        Z: Inputs ``(n, d)``.
    """

    def __init__(self, Z: FloatArray) -> None:
        squared = squared_distances(Z, Z)
        mean = float(squared.mean())
        self._unit = np.sqrt(mean) if mean > 0.0 else 1.0
        self._Z = Z
        self._decomposed = []
        for length in LENGTHS:
            values, vectors = np.linalg.eigh(matern(np.sqrt(squared) / (length * self._unit)))
            self._decomposed.append((np.maximum(values, 0.0), vectors))

    def fit(self, y: FloatArray) -> None:
        """Choose length scale and noise for outcomes ``(n,)``, standardised first."""
        self._centre, deviation = float(y.mean()), float(y.std())
        self._scale = deviation if deviation > 0.0 else 1.0
        t = (y - self._centre) / self._scale
        best = -np.inf
        for length, (values, vectors) in zip(LENGTHS, self._decomposed, strict=True):
            q = vectors.T @ t
            evidence, variance = profiled_evidence(values, q, np.array(NOISES))
            k = int(np.argmax(evidence))
            if evidence[k] > best:
                best = float(evidence[k])
                self.evidence, self.length, self.noise, self.variance = best, length, NOISES[k], float(variance[k])
                self._vectors, self._shifted = vectors, values + NOISES[k]
                self._weights = vectors @ (q / self._shifted)

    def predict(self, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and deviation ``(m,)`` of the noise-free outcome at inputs ``(m, d)``."""
        mean, variance = self._standardised(Z)
        return self._centre + self._scale * mean, self._scale * np.sqrt(variance)

    def settled(self, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the same, equal inputs computed once and rounded, see `surrogates.settled`."""
        rows, inverse = distinct_rows(Z)
        mean, variance = (settle(part)[inverse] for part in self._standardised(rows))
        return self._centre + self._scale * mean, self._scale * np.sqrt(variance)

    def _standardised(self, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and variance ``(m,)`` in units of the standardised outcomes."""
        distance = np.sqrt(squared_distances(Z, self._Z))
        k = matern(distance / (self.length * self._unit))
        explained = ((k @ self._vectors) ** 2 / self._shifted).sum(axis=1)
        return k @ self._weights, self.variance * np.maximum(1.0 - explained, 0.0)


def chebyshev(F: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the augmented Chebyshev values ``(n,)`` of normalised objectives ``(n, n_obj)``."""
    weighted = F * weights
    return np.asarray(weighted.max(axis=1) + RHO * weighted.sum(axis=1))


def expected_improvement(mean: FloatArray, deviation: FloatArray, best: float) -> FloatArray:
    """Return by how much normal outcomes ``(m,)`` are expected to fall below ``best``."""
    from scipy.special import ndtr

    gain = best - mean
    known = deviation <= 0.0
    z = gain / np.where(known, 1.0, deviation)
    density = np.exp(-0.5 * np.minimum(z**2, 1400.0)) / np.sqrt(2.0 * np.pi)
    return significant(np.where(known, np.maximum(gain, 0.0), gain * ndtr(z) + deviation * density))


def simplex_lattice(n_obj: int, divisions: int) -> FloatArray:
    """Return all weight vectors with entries k / divisions and sum 1, ``(n, n_obj)``."""
    rows = []
    for bars in combinations(range(divisions + n_obj - 1), n_obj - 1):
        edges = np.array([-1, *bars, divisions + n_obj - 1])
        rows.append(np.diff(edges) - 1)
    return np.array(rows, dtype=np.float64) / divisions


def _tournament(gain: FloatArray | None, size: int, n: int, rng: np.random.Generator) -> IntArray:
    """Return ``n`` indices below ``size``: winners of binary tournaments by gain, or uniform ones without."""
    a, b = rng.integers(size, size=(2, n))
    if gain is None or len(gain) != size:
        return np.asarray(a, dtype=np.int64)
    return np.asarray(np.where(gain[a] >= gain[b], a, b), dtype=np.int64)

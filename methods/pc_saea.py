"""PC-SAEA: a network says which of two is better (Tian, Hu, He, Ma, Zhang, Zhang, Swarm Evol. Comput. 80, 2023).

"A pairwise comparison based surrogate-assisted evolutionary algorithm for expensive multi-objective optimization",
after its authors' code in PlatEMO. The best and the worst quarter of the population, by a fitness of dominance, teach a
probabilistic neural network (Specht 1990) pairs: is the first better? A quarter of them is held out; by how many of
these it places right or wrong against solutions in the middle it is followed, followed in reverse or ignored. Children
are judged in both orders against members of the best quarter: 1 better both times, -1 worse, 0 contradictory.

Settings of the code: population 100, spread 0.1925, 3,000 children scored, reliability 0.8, and as many evaluations per
network as half the best quarter has members, at most.

Differs from the code as `assisted` says, and:

* where the share of wrong placements is below 0.2 the network is followed, where that of right ones is, in reverse, as
  the paper's abstract has it. PlatEMO's code (commit 68e9506) compares these shares the other way round;
* the fitness adds the share of the budget that is spent, times the strength of what dominates a member (scaled to
  [0, 1]), and the rest, times a density. In the code that one is the same number for all (cosine distances between
  single numbers are 0), so members that nothing dominates stand in the order of their evaluation; so they do here;
* kernels that vanish in the code, so that no pair wins, still compare here;
* objectives are scaled by their range before distances are taken: here they have units.
"""

from __future__ import annotations

import numpy as np

from smemnas.methods.assisted import AssistedMethod, Score, offspring
from smemnas.methods.base import METHODS, require_positive
from smemnas.methods.selection import IndexArray
from smemnas.spaces.base import FloatArray, IntArray, Problem
from smemnas.surrogates.kernels import squared_distances
from smemnas.surrogates.settled import significant

#: Width of the network's kernel: at this distance it has fallen to a half.
SPREAD = 0.1925
#: Share of placements of one kind below which the other kind is believed.
DOUBT = 0.2


@METHODS.register("pc-saea", summary="PC-SAEA (Tian et al. 2023): probabilistic network of pairs, better or worse")
class PCSAEA(AssistedMethod):
    """PC-SAEA.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Size of the initial sample; None is ``11 n_var - 1``, at most 100.
        population: Members kept for the network and for variation.
        scored: Children scored per network.
        encoding: What the network sees of an architecture.
    """

    plans_with_budget = True  # the fitness weighs by the share of the budget that is spent

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int | None = None,
        population: int = 100,
        scored: int = 3000,
        encoding: str | None = "int",
    ) -> None:
        require_positive(population=population)
        super().__init__(
            problem,
            budget=budget,
            seed=seed,
            initial=initial,
            references=1,
            population=population,
            scored=scored,
            encoding=encoding,
        )

    def _members(self, F: FloatArray) -> IndexArray:
        return spea2_selection(scaled(F), self.population)

    def _propose(self, X: IntArray, F: FloatArray) -> IntArray:
        if len(X) < 8:
            return X[:0]
        fitness = dominance_fitness(scaled(F), min(1.0, len(self._archive) / self.budget))
        rows, good = two_quarters(fitness)
        learn = np.zeros(len(rows), dtype=bool)
        for c in (True, False):
            of = self.rng.permutation(np.flatnonzero(good == c))
            learn[of[: -(-3 * len(of) // 4)]] = True
        Z = self.problem.space.encode(X, self.encoding)
        network = PairNetwork(SPREAD).fit(Z[rows[learn]], fitness[rows[learn]])
        quarter, half_width = int(good.sum()), len(X) // 8
        middle = rows[max(quarter - half_width - 1, 0) : quarter + half_width]
        direction = followed(network.placed(Z[rows[~learn]], Z[middle]), good[~learn])
        best = X[rows[:quarter]]
        if direction == 0:
            fresh = offspring(self.problem.space, np.vstack([X, best]), self.rng)
            fresh = fresh[self._archive.unseen(fresh)] if len(fresh) else fresh
            return fresh[self.rng.permutation(len(fresh))[:1]]

        def score(children: IntArray) -> FloatArray:
            Zc = self.problem.space.encode(children, self.encoding)
            return direction * network.placed(Zc, Z[rows[:quarter]])

        seen = self._search(X, best, score)
        found, value = self._new(*seen)
        sure = int((value >= 0.95).sum())
        most = max(quarter // 2, 1)
        return found[: sure if 0 < sure <= most else most]

    def _search(self, X: IntArray, best: IntArray, score: Score) -> tuple[IntArray, FloatArray]:
        """Vary the population and the best quarter; return the best child of each step and its score."""
        children = offspring(self.problem.space, np.vstack([X, best]), self.rng)
        kept, values = [], []
        for _ in range(max(self.scored // len(best), 1)):
            if len(children):
                scores = score(children)
                order = np.argsort(-scores, kind="stable")
                kept.append(children[order[0]])
                values.append(scores[order[0]])
                parents = np.vstack([children[order[: len(best)]], best])
            else:
                parents = np.vstack([best, best])
            children = offspring(self.problem.space, self.rng.permutation(parents), self.rng)
        return np.array(kept, dtype=np.int64).reshape(-1, X.shape[1]), np.array(values)


def scaled(F: FloatArray) -> FloatArray:
    """Return objectives ``(n, n_obj)`` over their ranges."""
    low, high = F.min(axis=0), F.max(axis=0)
    return np.asarray((F - low) / np.where(high > low, high - low, 1.0))


def raw_fitness(F: FloatArray) -> FloatArray:
    """Return SPEA2's raw fitness ``(n,)``: how many each dominator of a row of ``F`` dominates, summed."""
    no_worse = (F[:, None] <= F[None]).all(axis=2)
    dominates = (no_worse & ~no_worse.T).astype(np.float64)
    return np.asarray(dominates.T @ dominates.sum(axis=1))


def dominance_fitness(F: FloatArray, spent: float) -> FloatArray:
    """Return the fitness ``(n,)`` by which members of ``F`` ``(n, n_obj)`` are good or bad; smaller is better.

    Args:
        F: Objectives.
        spent: Share of the budget that is spent.
    """
    raw = raw_fitness(F)
    low, high = raw.min(), raw.max()
    return np.asarray(spent * (raw - low) / (high - low if high > low else 1.0) + (1.0 - spent) * 0.5)


def two_quarters(fitness: FloatArray) -> tuple[IndexArray, np.ndarray]:
    """Return the indices of the best and of the worst quarter, best first, and which of them are the best ones."""
    n = len(fitness)
    order = np.argsort(fitness, kind="stable")
    quarter = -(-n // 4)
    rows = np.concatenate([order[:quarter], order[n - (-(-n // 2) - quarter) :]])
    return rows, np.arange(len(rows)) < quarter


def followed(placed: FloatArray, good: np.ndarray) -> int:
    """Return 1 where a network is to be followed, -1 in reverse, 0 not at all.

    Args:
        placed: How it places members that were held out ``(n,)``: 1 better, -1 worse, 0 contradictory.
        good: Which of them are of the best quarter ``(n,)``.
    """
    if len(placed) == 0:
        return 0
    right = np.mean(placed == np.where(good, 1, -1))
    wrong = np.mean(placed == np.where(good, -1, 1))
    return 1 if wrong < DOUBT else -1 if right < DOUBT else 0


class PairNetwork:
    """Probabilistic neural network of pairs: a kernel at every pair, the class with the larger sum wins.

    Args:
        spread: Distance at which the kernel has fallen to a half.
    """

    def __init__(self, spread: float) -> None:
        self.scale = np.log(2.0) / spread**2

    def fit(self, Z: FloatArray, fitness: FloatArray) -> PairNetwork:
        """Learn all ordered pairs of rows ``(n, d)`` by their fitness ``(n,)``; return self."""
        self._Z = Z
        self._better = (fitness[:, None] < fitness[None]).astype(np.float64)
        self._worse = 1.0 - self._better - np.eye(len(Z))
        return self

    def placed(self, Z: FloatArray, against: FloatArray) -> FloatArray:
        """Place rows ``(m, d)`` against others ``(k, d)``, taken in turn from the second on.

        Returns:
            ``(m,)``: 1 where a row is better in both orders of the pair, -1 worse in both, 0 contradictory.
        """
        ours, theirs = self._kernel(Z), self._kernel(against)[(np.arange(len(Z)) + 1) % len(against)]
        first, second = self._wins(ours, theirs), self._wins(theirs, ours)
        return np.asarray(first.astype(np.float64) - second)

    def _kernel(self, Z: FloatArray) -> FloatArray:
        """Return the kernels ``(m, n)``, each row over its largest: the same class wins, no row vanishes."""
        distance = squared_distances(Z, self._Z)
        return np.asarray(np.exp(-self.scale * (distance - distance.min(axis=1, keepdims=True))))

    def _wins(self, A: FloatArray, B: FloatArray) -> np.ndarray:
        """Return whether the first of each pair is better, from the kernels ``(m, n)`` of both; ties are not."""
        better, worse = ((A @ M * B).sum(axis=1) for M in (self._better, self._worse))
        return np.asarray(significant(better) > significant(worse))


def spea2_selection(F: FloatArray, k: int) -> IndexArray:
    """Return ``min(k, n)`` indices of ``F`` ``(n, n_obj)`` by SPEA2 (Zitzler, Laumanns, Thiele 2001), ascending.

    Those that nothing dominates; where they are too few the best by fitness, where too many one after the other leaves
    whose nearest neighbour is nearest.
    """
    n = len(F)
    k = min(k, n)
    distance = np.sqrt(((F[:, None] - F[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distance, np.inf)
    raw = raw_fitness(F)
    front = np.flatnonzero(raw == 0.0)
    if len(front) > k:
        return truncated(distance, front, k)
    near = np.sort(distance, axis=1)[:, max(int(np.sqrt(n)) - 1, 0)]
    order = np.argsort(raw + 1.0 / (near + 2.0), kind="stable")
    return np.sort(order[:k])


def truncated(distance: FloatArray, members: IndexArray, k: int) -> IndexArray:
    """Return ``k`` of the members: again and again the one leaves whose sorted distances ``(n, n)`` come first."""
    among = distance[np.ix_(members, members)]
    order = np.argsort(among, axis=1, kind="stable")
    near = np.take_along_axis(among, order, axis=1)
    while len(members) > k:
        out = _first_in_order(near)
        rest = np.arange(len(members)) != out
        keep = order[rest] != out  # in each row the distance to the one that leaves
        near = near[rest][keep].reshape(len(members) - 1, -1)
        order = order[rest][keep].reshape(len(members) - 1, -1)
        order -= order > out
        members = members[rest]
    return members


def _first_in_order(rows: FloatArray) -> int:
    """Return which row ``(n, d)`` comes first in the order of their columns, of equal ones the first."""
    first = np.arange(len(rows))
    for column in range(rows.shape[1]):
        values = rows[first, column]
        first = first[values == values.min()]
        if len(first) == 1:
            break
    return int(first[0])

"""REMO: a network learns the relation of pairs, better, alike or worse (Hao et al., IEEE TEVC 2022).

"Expensive multiobjective optimization by relation learning and prediction". Members of the population are of the
better or of the worse class by penalised boundary intersection to reference solutions. Each ordered pair of members is
a training row: the first is of the better class (+1), both are of one class (0), the second is of the better class
(-1). A child is scored by what the network says of it and of every member, in both orders.

Settings of the paper and of the implementation in PlatEMO: 6 references, 3,000 children scored, penalty chosen so that
between 30 and 70 % are of the better class, three quarters of the pairs for training, hidden layers of 1.5, 1 and 0.5
times the columns of a pair; all children of the last generation that score above 3.9 of 4 are evaluated, at least four.
Population 100 (PlatEMO's default).

References, classes, pairs and scores are equal to those of that code (tests/methods/platemo_steps.json).

Differs from the paper as `assisted` says, and:

* objectives are normalised by their range in the population before distances are taken: here they have units;
* the network is scikit-learn's: tanh units, cross-entropy, Adam, stopped early on 15 % of the rows as MATLAB's
  `patternnet` is, where that has scaled conjugate gradients. The error on the quarter of the pairs that is held out
  decides nothing in the published code, so here those pairs are left out.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from smemnas.methods.assisted import AssistedMethod, assisted_search, normalised, radar_selection
from smemnas.methods.base import METHODS, require_positive
from smemnas.spaces.base import FloatArray, IntArray, Problem

#: Range of the penalty, where the search for it stops, and the shares of the better class that are taken.
PENALTY, CLOSE, SHARES = 20.0, 0.1, (0.3, 0.7)
#: Score, of at most 4, above which children of the last generation are evaluated, and how many at least.
CERTAIN, LEAST = 3.9, 4


@METHODS.register("remo", summary="REMO (Hao et al. 2022): network of pair relations, better / alike / worse")
class REMO(AssistedMethod):
    """REMO.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Size of the initial sample; None is ``11 n_var - 1``, at most 100.
        references: Reference solutions.
        population: Members kept for the network and for variation.
        scored: Children scored per trained network.
        epochs: Largest number of passes over the pairs.
        encoding: What the network sees of an architecture.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int | None = None,
        references: int = 6,
        population: int = 100,
        scored: int = 3000,
        epochs: int = 1000,
        encoding: str | None = "int",
    ) -> None:
        super().__init__(
            problem,
            budget=budget,
            seed=seed,
            initial=initial,
            references=references,
            population=population,
            scored=scored,
            encoding=encoding,
        )
        require_positive(epochs=epochs)
        self.epochs = epochs

    def _propose(self, X: IntArray, F: FloatArray) -> IntArray:
        chosen = radar_selection(F, self.references)
        P = normalised(F)
        better = better_class(P, P[chosen])
        if better.all() or not better.any():
            return X[:0]
        Z = self.problem.space.encode(X, self.encoding)
        first, second, relation = relation_pairs(better, self.rng)
        keep = np.zeros(len(relation), dtype=bool)
        for c in (-1, 0, 1):
            rows = self.rng.permutation(np.flatnonzero(relation == c))
            keep[rows[: -(-3 * len(rows) // 4)]] = True
        network = Relations(self.epochs, int(self.rng.integers(2**31)))
        network.fit(Z[first[keep]], Z[second[keep]], relation[keep])

        def score(children: IntArray) -> FloatArray:
            return network.score(self.problem.space.encode(children, self.encoding), Z, better)

        seen, scores, last = assisted_search(self.problem.space, X, X[chosen], self.scored, score, self.rng)
        found, value = self._new(seen[len(seen) - last :], scores[len(scores) - last :])
        found = found[value > CERTAIN]
        if len(found) < LEAST:
            rest = self._new(seen, scores)[0]
            taken = {x.tobytes() for x in found}
            rest = rest[[x.tobytes() not in taken for x in rest]] if len(rest) else rest
            found = np.vstack([found, rest[: LEAST - len(found)]])
        return found


def better_class(P: FloatArray, references: FloatArray) -> np.ndarray:
    """Return ``(n,)``: which solutions are of the better class.

    The penalty of the boundary intersection is found by halving [-20, 20] until the share of the better class is
    between 30 and 70 %, or 0.1 is left.

    Args:
        P: Objectives ``(n, n_obj)``, normalised and positive.
        references: Those of the references ``(k, n_obj)``.
    """
    low, high = -PENALTY, PENALTY
    while True:
        penalty = 0.5 * (low + high)
        better = within_boundary(P, references, penalty)
        share = better.mean()
        if SHARES[0] <= share <= SHARES[1] or high - low < CLOSE:
            return better
        low, high = (penalty, high) if share > SHARES[1] else (low, penalty)


def within_boundary(P: FloatArray, references: FloatArray, penalty: float) -> np.ndarray:
    """Return ``(n,)``: whose boundary intersection is at most the distance of its reference from the ideal point.

    The reference of a solution is the one at the smallest angle seen from the origin. With d1 the length along the
    line from the ideal point to it and d2 the distance from that line, the intersection is ``d1 + penalty d2``.
    """
    cosine = P @ references.T / np.linalg.norm(P, axis=1)[:, None] / np.linalg.norm(references, axis=1)
    mine = references[np.argmax(cosine, axis=1)]
    ideal = P.min(axis=0)
    towards, place = mine - ideal, P - ideal
    length = np.linalg.norm(towards, axis=1)
    unit = towards / np.where(length > 0.0, length, 1.0)[:, None]
    along = (place * unit).sum(axis=1)
    across = np.linalg.norm(place - along[:, None] * unit, axis=1)
    return np.asarray(along + penalty * across <= length * (1.0 + 1e-9) + 1e-12)


def relation_pairs(better: np.ndarray, rng: np.random.Generator) -> tuple[IntArray, IntArray, IntArray]:
    """Return ordered pairs of members and their relation.

    All pairs of members of different classes, in both orders, and as many pairs of one class as in one of these
    orders: half of them of either class where both have enough.

    Args:
        better: ``(n,)``: who is of the better class.
        rng: Source of randomness.

    Returns:
        First and second member ``(p,)``; relation ``(p,)``: 1 the first is of the better class, 0 alike, -1 the second.
    """
    groups = [np.flatnonzero(better), np.flatnonzero(~better)]
    ups, downs = (g.reshape(-1) for g in np.meshgrid(*groups, indexing="ij"))
    half = -(-len(ups) // 2)
    alike = []
    for g in groups:
        a, b = (v.reshape(-1) for v in np.meshgrid(g, g, indexing="ij"))
        alike.append(np.stack([a[a != b], b[a != b]]))
    wanted = [min(half, alike[0].shape[1]), min(half, alike[1].shape[1])]
    wanted = [min(2 * half - wanted[1], alike[0].shape[1]), min(2 * half - wanted[0], alike[1].shape[1])]
    same = np.hstack([p[:, rng.permutation(p.shape[1])[:n]] for p, n in zip(alike, wanted, strict=True)])
    first = np.concatenate([same[0], ups, downs])
    second = np.concatenate([same[1], downs, ups])
    relation = np.repeat([0, 1, -1], [same.shape[1], len(ups), len(ups)])
    return first, second, relation


class Relations:
    """The network: probabilities of the three relations of a pair.

    Args:
        epochs: Largest number of passes.
        seed: Seed of weights, batches and of the rows that stop the training.
    """

    def __init__(self, epochs: int, seed: int) -> None:
        self.epochs = epochs
        self.seed = seed
        self._model: Any = None

    def fit(self, A: FloatArray, B: FloatArray, relation: IntArray) -> None:
        """Learn from pairs of encodings ``(p, d)`` and their relations ``(p,)``."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        rows = np.hstack([A, B])
        self._low, high = rows.min(axis=0), rows.max(axis=0)
        self._span = np.where(high > self._low, high - self._low, 1.0)
        d = rows.shape[1]
        self._model = MLPClassifier(
            hidden_layer_sizes=(-(-3 * d // 2), d, -(-d // 2)),
            activation="tanh",
            alpha=0.0,
            learning_rate_init=0.01,
            max_iter=self.epochs,
            early_stopping=bool(np.bincount(relation + 1).min() >= 10),
            validation_fraction=0.15,
            n_iter_no_change=6,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # to stop at the last epoch is part of the setting
            self._model.fit(self._scaled(rows), relation)

    def score(self, Z: FloatArray, members: FloatArray, better: np.ndarray) -> FloatArray:
        """Return scores ``(m,)`` of encodings ``(m, d)``, from -4 to 4: larger is better.

        Four terms, each a mean over members: by pairs with the better class and with the worse class in both orders,
        the probability of what a good child would show less that of what a bad one would.
        """
        if len(Z) == 0:
            return np.zeros(0)
        theirs = self._probabilities(members, Z)
        ours = self._probabilities(Z, members).transpose(1, 0, 2)
        # Columns: the second is better, alike, the first is better.
        win_second, alike_second, win_first, alike_first = theirs[..., 0], theirs[..., 1], ours[..., 2], ours[..., 1]
        lenient = 2.0 * (win_second + alike_second) - 1.0 + 2.0 * (win_first + alike_first) - 1.0
        strict = 2.0 * win_second - 1.0 + 2.0 * win_first - 1.0
        return np.asarray(lenient[better].mean(axis=0) + strict[~better].mean(axis=0))

    def _probabilities(self, A: FloatArray, B: FloatArray) -> FloatArray:
        """Return ``(len(A), len(B), 3)``: chances of the relations -1, 0 and 1 of every pair."""
        rows = np.hstack([np.repeat(A, len(B), axis=0), np.tile(B, (len(A), 1))])
        return np.asarray(self._model.predict_proba(self._scaled(rows))).reshape(len(A), len(B), -1)

    def _scaled(self, rows: FloatArray) -> FloatArray:
        return np.asarray(2.0 * (rows - self._low) / self._span - 1.0)

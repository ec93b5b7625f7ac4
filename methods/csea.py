"""CSEA: a classifier of "not dominated by the references" guides the search (Pan et al., IEEE TEVC 2019).

"A classification-based surrogate-assisted evolutionary algorithm for expensive many-objective optimization". A network
learns which members of the population no reference solution beats in every objective. Its mistakes on a quarter of
them, held out, decide how far it is trusted: children that it takes for good are evaluated, or, where it errs nearly
always, those that it takes for bad; or none; or a random one.

Settings of the paper and of the implementation in PlatEMO: 6 references, 3,000 children scored, a network of ``2 d``
logistic units trained for 800 steps of Levenberg and Marquardt, evaluated above 0.9 (or below 0.1), population 100
(PlatEMO's default). Thresholds: trusted where the error p0 on good members is below 0.4, or below ``1 - t`` while the
error p1 on bad ones is below t; t is half the share of the rarer class.

References and labels are equal to those of that code (tests/methods/platemo_steps.json).

Differs from the paper as `assisted` says, and:

* the network sees the space's integer encoding scaled to [0, 1];
* where nothing is to be evaluated the network is trained again on another split, up to `retries` times; then a random
  architecture is evaluated. The paper goes on for ever, and may do so on a small discrete space.
"""

from __future__ import annotations

import numpy as np

from smemnas.methods.assisted import AssistedMethod, assisted_search, radar_selection
from smemnas.methods.base import METHODS, require_positive
from smemnas.spaces.base import FloatArray, IntArray, Problem

#: Above it a child counts as good, below the other one as bad.
GOOD, BAD = 0.9, 0.1
#: Error on good members below which the network is trusted whatever else it does.
TRUSTED = 0.4


@METHODS.register("csea", summary="CSEA (Pan et al. 2019): classifier of domination by references, trust by its errors")
class CSEA(AssistedMethod):
    """CSEA.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Size of the initial sample; None is ``11 n_var - 1``, at most 100.
        references: Reference solutions.
        population: Members kept for the network and for variation.
        scored: Children scored per trained network.
        steps: Steps of its training.
        encoding: What it sees.
        retries: Trainings in a row that may end without anything to evaluate.
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
        steps: int = 800,
        encoding: str | None = "int",
        retries: int = 5,
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
        require_positive(steps=steps, retries=retries)
        self.steps = steps
        self.retries = retries

    def _propose(self, X: IntArray, F: FloatArray) -> IntArray:
        references = radar_selection(F, self.references)
        labels = not_beaten(F, F[references])
        for _ in range(self.retries):
            found = self._once(X, labels, X[references])
            if len(found):
                return found
        return X[:0]

    def _once(self, X: IntArray, labels: FloatArray, references: IntArray) -> IntArray:
        """Train a network on a new split of the population and follow it as far as it is trusted."""
        learn = training_part(labels, self.rng)
        Z = self.problem.space.encode(X, self.encoding)
        network = LogisticNetwork(2 * Z.shape[1], self.steps, self.rng).fit(Z[learn], labels[learn])
        held = ~learn
        wrong = np.abs(labels[held] - network.predict(Z[held]))
        errors = [float(wrong[labels[held] == c].mean()) if (labels[held] == c).any() else 1.0 for c in (1.0, 0.0)]
        share = float(labels.mean())
        trust = trust_in(errors[0], errors[1], 0.5 * min(share, 1.0 - share))
        if trust == "none":
            return X[:0]
        sign = -1.0 if trust == "reverse" else 1.0
        scored = 1 if trust == "chance" else self.scored

        def score(children: IntArray) -> FloatArray:
            return sign * network.predict(self.problem.space.encode(children, self.encoding))

        seen, scores, last = assisted_search(self.problem.space, X, references, scored, score, self.rng)
        if trust == "chance":
            fresh = self._new(seen, self.rng.random(len(seen)))[0]
            return fresh[:1]
        found, value = self._new(seen[len(seen) - last :], scores[len(scores) - last :])
        found = found[value > (GOOD if sign > 0 else -BAD)]
        if len(found) == 0:  # all that it would evaluate is known: the best new one that it saw and takes for good
            found, value = self._new(seen, scores)
            found = found[value > (GOOD if sign > 0 else -BAD)][:1]
        return found


def not_beaten(F: FloatArray, references: FloatArray) -> FloatArray:
    """Return 1.0 ``(n,)`` for rows of ``F`` that no reference ``(k, n_obj)`` beats in every objective, else 0.0."""
    beaten = np.any(np.all(references[None] < F[:, None], axis=2), axis=1)
    return np.asarray(~beaten, dtype=np.float64)


def training_part(labels: FloatArray, rng: np.random.Generator) -> np.ndarray:
    """Return ``(n,)``: three quarters of each class, rounded up, drawn at random."""
    learn = np.zeros(len(labels), dtype=bool)
    for c in np.unique(labels):
        members = np.flatnonzero(labels == c)
        learn[rng.permutation(members)[: -(-3 * len(members) // 4)]] = True
    return learn


def trust_in(p0: float, p1: float, threshold: float) -> str:
    """Return what to do with a network of given errors on good and on bad members.

    "good" evaluates what it takes for good, "none" nothing, "reverse" what it takes for bad, "chance" a random child.
    """
    if p0 < TRUSTED or (p1 < threshold and p0 < 1.0 - threshold):
        return "good"
    if p0 > 1.0 - threshold and p1 < threshold:
        return "none"
    return "reverse" if p1 > 1.0 - threshold else "chance"


class LogisticNetwork:
    """One hidden layer and one output of logistic units, trained by Levenberg and Marquardt on squared errors.

    The damping is halved after a step that improves and doubled until one does; training ends after `steps`, below an
    error of 1e-4, or with a damping beyond 1e4. ``O(n^3 + n p)`` per step for n rows and p weights: the normal
    equations are solved on the side of the rows, since there are fewer of them.

    Args:
        hidden: Hidden units.
        steps: Largest number of steps.
        rng: Source of the first weights, normal with deviation 0.01.
    """

    def __init__(self, hidden: int, steps: int, rng: np.random.Generator) -> None:
        self.hidden = hidden
        self.steps = steps
        self._rng = rng

    def fit(self, Z: FloatArray, t: FloatArray) -> LogisticNetwork:
        """Learn from inputs ``(n, d)`` and labels ``(n,)`` of 0 and 1; return self."""
        d = Z.shape[1]
        self._w = 0.01 * self._rng.normal(size=(d + 1) * self.hidden + self.hidden + 1)
        damping, n = 1.0, len(t)
        residual = self.predict(Z) - t
        for _ in range(self.steps):
            loss = float(residual @ residual) / n
            if loss < 1e-4:
                break
            J = self.jacobian(Z)
            inner = J @ J.T
            before = self._w
            while damping <= 1e4:
                self._w = before - J.T @ np.linalg.solve(inner + damping * np.eye(n), residual)
                trial = self.predict(Z) - t
                if float(trial @ trial) / n < loss:
                    residual, damping = trial, max(damping / 2.0, 1e-10)
                    break
                damping *= 2.0
            else:
                self._w = before
                break
        return self

    def predict(self, Z: FloatArray) -> FloatArray:
        """Return the outputs ``(m,)`` between 0 and 1."""
        return self._forward(Z)[1]

    def jacobian(self, Z: FloatArray) -> FloatArray:
        """Return the derivatives ``(n, p)`` of each output along all weights."""
        units, out = self._forward(Z)
        slope = out * (1.0 - out)
        second = slope[:, None] * np.hstack([units, np.ones((len(Z), 1))])
        back = slope[:, None] * self._w[-self.hidden - 1 : -1] * units * (1.0 - units)
        first = np.hstack([Z, np.ones((len(Z), 1))])[:, :, None] * back[:, None, :]
        return np.hstack([first.reshape(len(Z), -1), second])

    def _forward(self, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
        W = self._w[: -self.hidden - 1].reshape(Z.shape[1] + 1, self.hidden)
        units = logistic(Z @ W[:-1] + W[-1])
        return units, logistic(units @ self._w[-self.hidden - 1 : -1] + self._w[-1])


def logistic(x: FloatArray) -> FloatArray:
    """Return ``1 / (1 + exp(-x))`` without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))

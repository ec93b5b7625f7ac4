"""REINFORCE (Williams 1992) with a factorised policy, as NAS-Bench-201 uses it (Dong and Yang, ICLR 2020).

The policy has one softmax per gene, independent of the others, with logits near 0 at the start. Each step draws
one architecture and changes the logits by Adam along the gradient of ``log p(x) (reward - baseline)``; the
baseline is a moving average of the rewards, updated before it is subtracted, with the correction for its start.

Settings of NAS-Bench-201's appendix and code: Adam with learning rate 0.001, momentum of the average 0.9,
initial logits 0.001 times a normal number.

Differs from the paper:

* one objective only, the first costly one; in multi-objective studies it enters by its evaluated set;
* the reward is minus the objective instead of the accuracy: reward minus baseline is the same number;
* draws that are no architectures are drawn again, and the gradient is the one of the unrestricted policy;
* a failed evaluation has the reward of the worst one told so far, and teaches nothing before there is any;
* an architecture drawn again costs nothing and teaches again.
"""

from __future__ import annotations

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS, Method
from smemnas.methods.neighbourhood import target_values
from smemnas.spaces.base import FloatArray, IntArray, Problem

#: Adam's decay rates and the number that keeps it from dividing by zero (its defaults everywhere).
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
#: Draws at once, and how often, before an architecture is drawn without the policy.
BLOCK, ATTEMPTS = 64, 50


@METHODS.register("reinforce", summary="REINFORCE with one softmax per gene (as in NAS-Bench-201); one objective")
class Reinforce(Method):
    """Policy gradient on the first costly objective.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        learning_rate: Step size of Adam.
        momentum: Share of the old average in the new one.
    """

    single_objective = True
    shared_start = False  # every architecture, the first one too, is drawn from the policy

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        learning_rate: float = 0.001,
        momentum: float = 0.9,
    ) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        if not learning_rate > 0.0:
            raise UserError(f"parameter 'learning_rate' must be greater than 0, got {learning_rate!r}.")
        if not 0.0 <= momentum < 1.0:
            raise UserError(f"parameter 'momentum' must be at least 0 and less than 1, got {momentum!r}.")
        self.learning_rate = float(learning_rate)
        self.momentum = float(momentum)
        self._choices = np.asarray(problem.space.n_choices)
        # Genes with fewer values than the longest one have logits of -inf beyond their own.
        self._exists = np.arange(self._choices.max()) < self._choices[:, None]
        self._logits = np.where(self._exists, 1e-3 * self.rng.standard_normal(self._exists.shape), -np.inf)
        self._first = np.zeros(self._exists.shape)
        self._second = np.zeros(self._exists.shape)
        self._steps = 0
        self._average = self._weight = 0.0
        self._worst = -np.inf
        self._told: set[bytes] = set()

    def ask(self) -> IntArray:
        """Return one architecture drawn from the policy; nothing when the space is exhausted."""
        space = self.problem.space
        if len(self._told) >= space.size:
            return np.empty((0, space.n_var), np.int64)
        cumulative = np.cumsum(probabilities(self._logits), axis=1)
        for _ in range(ATTEMPTS):
            u = self.rng.random((BLOCK, space.n_var, 1))
            X = np.minimum((u > cumulative).sum(axis=2), self._choices - 1)
            valid = np.flatnonzero(space.is_valid(X))
            if len(valid):
                return np.asarray(X[valid[:1]], dtype=np.int64)
        return space.sample(1, self.rng)

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Take one step per evaluated architecture, in order."""
        for x, value in zip(np.array(X, dtype=np.int64), target_values(self.problem, F), strict=True):
            self._told.add(x.tobytes())
            if np.isfinite(value):
                self._worst = -value if np.isinf(self._worst) else min(self._worst, -value)
            reward = -value if np.isfinite(value) else self._worst
            if np.isfinite(reward):
                self._learn(x, float(reward))

    def _learn(self, x: IntArray, reward: float) -> None:
        """Update the baseline, then the logits by one step of Adam."""
        self._average = self.momentum * self._average + (1.0 - self.momentum) * reward
        self._weight = self.momentum * self._weight + (1.0 - self.momentum)
        advantage = reward - self._average / self._weight
        gradient = -advantage * log_probability_gradient(self._logits, x)
        self._steps += 1
        self._first = BETA_1 * self._first + (1.0 - BETA_1) * gradient
        self._second = BETA_2 * self._second + (1.0 - BETA_2) * gradient**2
        first = self._first / (1.0 - BETA_1**self._steps)
        second = self._second / (1.0 - BETA_2**self._steps)
        self._logits = self._logits - self.learning_rate * first / (np.sqrt(second) + EPSILON)


def probabilities(logits: FloatArray) -> FloatArray:
    """Return the softmax of each row of ``logits`` ``(n_var, k)``; -inf has probability 0."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def log_probability_gradient(logits: FloatArray, x: IntArray) -> FloatArray:
    """Return the gradient ``(n_var, k)`` of ``log p(x)`` with respect to the logits: one-hot minus softmax."""
    gradient = -probabilities(logits)
    gradient[np.arange(len(x)), x] += 1.0
    return gradient

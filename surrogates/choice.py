"""Which of several descriptions of the same rows orders rows that a surrogate has not seen best.

The measure is Kendall's tau between outcomes and the predictions of each row by a model fitted without it: it is about
orders, as searches use surrogates for, and knows no unit, so it compares models of values, of ranks and of pairs.
Where a surrogate has these predictions in closed form one fit gives them; others are fitted once per fold.

What comes first is preferred: another candidate has to be better than it by more than the standard error of the
difference. Taus from some twenty rows differ by .1 by chance, and what the first is, somebody has measured before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from smemnas.surrogates.base import FloatArray, Surrogate
from smemnas.surrogates.settled import first_least, settle, step_of
from smemnas.surrogates.tuning import FEWEST, canonical_order, folds_of

FOLDS = 5


def left_out_scores(make: Callable[[], Surrogate], Z: FloatArray, y: FloatArray, seed: int = 0) -> FloatArray:
    """Return scores ``(n,)`` of the rows, smaller is better, each by a model that was fitted without it.

    Args:
        make: Makes the surrogate, not fitted.
        Z: Encodings ``(n, d)``.
        y: Outcomes ``(n,)``.
        seed: Deals the folds, where there is no closed form.
    """
    surrogate = make().fit(Z, y)
    closed = surrogate.left_out()
    if closed is not None:
        return settle(closed, step_of(closed))
    order = canonical_order(Z, y)
    fold = np.empty(len(y), dtype=np.intp)
    fold[order] = folds_of(len(y), min(FOLDS, len(y)), seed)
    scores = np.empty(len(y))
    for k in np.unique(fold):
        scores[fold == k] = make().fit(Z[fold != k], y[fold != k]).rank(Z[fold == k])
    return settle(scores, step_of(scores))


def agreements(score: FloatArray, y: FloatArray) -> FloatArray:
    """Return ``(n,)`` how well each row is ordered among the others, from -1 to 1; the mean is Kendall's tau.

    Pairs of equal outcomes do not count, pairs of equal scores as half right; 0 for a row equal to all others.
    """
    untied = np.sign(y[:, None] - y[None, :])
    agree = (untied * np.sign(score[:, None] - score[None, :])).sum(axis=1)
    return np.asarray(agree * len(y) / max(float(np.abs(untied).sum()), 1.0))


def clearly_best(candidates: Sequence[FloatArray], margin: float = 1.0) -> int:
    """Return the candidate of greatest mean agreement; the first one unless another is clearly better.

    Args:
        candidates: Agreements ``(n,)`` of each, see `agreements`.
        margin: By how many standard errors of the difference to the first one.
    """
    best = first_least([2.0 - float(np.mean(a)) for a in candidates])
    gain = candidates[best] - candidates[0]
    # Each pair is in two rows, so the mean over rows varies twice as much as that of as many independent numbers.
    error = 2.0 * float(np.std(gain)) / np.sqrt(max(len(gain), 1))
    return best if float(np.mean(gain)) > margin * error * (1.0 + 1e-9) else 0


def choose(
    candidates: Sequence[tuple[Callable[[], Surrogate], FloatArray]], y: FloatArray, margin: float = 1.0, seed: int = 0
) -> int:
    """Return the number of the surrogate and encoding that order unseen rows best; the first below `FEWEST` rows.

    Args:
        candidates: What makes each surrogate, and the encodings ``(n, d)`` it sees.
        y: Outcomes ``(n,)``, smaller is better.
        margin: See `clearly_best`.
        seed: Deals the folds, where a surrogate has no closed form.
    """
    if len(candidates) == 1 or len(y) < FEWEST or bool(np.min(y) == np.max(y)):
        return 0
    scores: list[NDArray[np.float64]] = [left_out_scores(make, Z, y, seed) for make, Z in candidates]
    return clearly_best([agreements(s, y) for s in scores], margin)

"""The contract of a surrogate as functions; each takes ``make(seed) -> Surrogate``."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from smemnas.bench.checks.common import (
    CheckFailed,
    global_random_state_untouched,
    require,
    require_equal,
    scrambled_global_state,
)
from smemnas.bench.errors import UserError
from smemnas.surrogates.base import FloatArray, Surrogate

Make = Callable[[int], Surrogate]


def data(n: int, d: int = 6, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Return encodings ``(n, d)`` with levels in [0, 1] and a monotone outcome ``(n,)``, smaller is better."""
    rng = np.random.default_rng([202, seed])
    Z = rng.integers(0, 5, (n, d)) / 4.0
    return Z, 5.0 + ((1.0 - Z) ** 2) @ np.linspace(1.0, 2.0, d)


def scores(surrogate: Surrogate, Z: FloatArray) -> FloatArray:
    """Return ``rank(Z)`` after checking its shape and that it is finite."""
    got = surrogate.rank(Z)
    require(
        isinstance(got, np.ndarray) and got.shape == (len(Z),) and np.issubdtype(got.dtype, np.floating),
        f"rank(Z) must be a float array ({len(Z)},), got {type(got).__name__} {getattr(got, 'shape', '')}.",
    )
    require(np.isfinite(got).all(), "rank(Z) must be finite, got NaN or inf.")
    return np.asarray(got, dtype=np.float64)


def check_smaller_is_better(make: Make) -> None:
    """With y = [1, 2, 3] the first row gets the smallest score, in any order of the rows."""
    Z = np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]])
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        y = np.array([1.0, 2.0, 3.0])[order]
        surrogate = make(0)
        require(surrogate.fit(Z[order], y) is surrogate, "fit must return self.")
        got = scores(surrogate, Z)
        require(
            got[0] < got[1] < got[2],
            f"after fit with y = [1, 2, 3] rank must rise from the best to the worst (smaller = better), got {got}.",
        )


def check_learns(make: Make) -> None:
    """On a smooth function of 80 rows, most pairs of new rows come out in the right order."""
    Z, y = data(80)
    Z_new, y_new = data(150, seed=1)
    got = scores(make(0).fit(Z, y), Z_new)
    right = np.sign(got[:, None] - got) == np.sign(y_new[:, None] - y_new)
    share = float(right[y_new[:, None] != y_new].mean())
    require(
        share > 0.75,
        f"at least 75 % of the pairs must be ordered rightly, got {100 * share:.0f} %: is a sign wrong?",
    )


def check_deterministic(make: Make) -> None:
    """Same seed and calls, same scores, whatever the global generators hold; they are left alone."""
    Z, y = data(30)
    Z_new, _ = data(20, seed=1)
    answers = []
    for state in (1, 2):
        with scrambled_global_state(state), global_random_state_untouched("a surrogate"):
            answers.append(scores(make(3).fit(Z, y), Z_new))
    require_equal(answers[1], answers[0], "the same seed and calls must give the same scores.")
    surrogate = make(3).fit(Z, y)
    require_equal(scores(surrogate, Z_new), scores(surrogate, Z_new), "rank called twice must answer the same.")


def check_fit_forgets(make: Make) -> None:
    """A second fit answers like a new object that saw the second data only."""
    Z, y = data(25)
    Z_second, y_second = data(18, d=4, seed=2)
    Z_new, _ = data(20, d=4, seed=1)
    again = scores(make(0).fit(Z, y).fit(Z_second, y_second), Z_new)
    fresh = scores(make(0).fit(Z_second, y_second), Z_new)
    require_equal(again, fresh, "fit must forget the previous data (other rows, other width).")


def check_degenerate_data(make: Make) -> None:
    """Two rows, constant y, ties, repeated and contradicting rows, constant columns and wide data all work."""
    Z, y = data(24)
    Z_new, _ = data(10, seed=1)
    rng = np.random.default_rng(9)
    wide = rng.random((5, 40))
    cases = {
        "two rows": (Z[:2], np.array([1.0, 2.0]), Z_new),
        "two equal outcomes": (Z[:2], np.array([1.0, 1.0]), Z_new),
        "constant outcomes": (Z, np.full(len(Z), 7.5), Z_new),
        "tied outcomes": (Z, np.round(y), Z_new),
        "repeated rows": (np.repeat(Z, 3, axis=0), np.repeat(y, 3), Z_new),
        "equal rows with different outcomes": (np.repeat(Z[:1], 8, axis=0), np.arange(8.0), Z_new),
        "constant columns": (np.hstack([Z, np.ones((len(Z), 2))]), y, np.hstack([Z_new, np.ones((10, 2))])),
        "more columns than rows": (wide, np.arange(5.0), wide),
        "one outcome far off": (Z, np.where(np.arange(len(Z)) == 3, 1e6, y), Z_new),
        "one row to rank": (Z, y, Z_new[:1]),
    }
    for what, (A, b, C) in cases.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            try:
                scores(make(0).fit(A, b), C)
            except CheckFailed as error:
                raise CheckFailed(f"{what}: {error}") from error
            except (Exception, SystemExit) as error:
                raise CheckFailed(f"{what} must work, got {type(error).__name__}: {error}.") from error


def check_bad_data_refused(make: Make) -> None:
    """NaN, inf, one row and mismatched shapes raise `UserError`."""
    Z, y = data(10)
    holed, infinite = Z.copy(), y.copy()
    holed[3, 1], infinite[4] = np.nan, np.inf
    cases = {
        "NaN in Z": (holed, y),
        "inf in y": (Z, infinite),
        "NaN in y": (Z, np.where(np.arange(10) == 2, np.nan, y)),
        "a single row": (Z[:1], y[:1]),
        "fewer outcomes than rows": (Z, y[:-1]),
        "y as a column": (Z, y[:, None]),
    }
    for what, (A, b) in cases.items():
        try:
            make(0).fit(A, b)
        except UserError:
            continue
        except (Exception, SystemExit) as error:
            raise CheckFailed(
                f"{what}: fit must raise a UserError (smemnas.surrogates.base.check_training_data does), "
                f"got {type(error).__name__}: {error}."
            ) from error
        raise CheckFailed(
            f"{what}: fit must raise a UserError (smemnas.surrogates.base.check_training_data does), got a result."
        )


def check_inputs_kept(make: Make) -> None:
    """Neither fit nor rank writes into its arguments."""
    Z, y = data(20)
    for array in (Z, y):
        array.flags.writeable = False
    try:
        scores(make(0).fit(Z, y), Z)
    except ValueError as error:
        raise CheckFailed(f"arguments of fit and rank are read only; copy before changing them ({error}).") from error


CHECKS = (
    check_smaller_is_better,
    check_learns,
    check_deterministic,
    check_fit_forgets,
    check_degenerate_data,
    check_bad_data_refused,
    check_inputs_kept,
)

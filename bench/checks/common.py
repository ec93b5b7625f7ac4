"""What all checks share: the exception, exact comparison, and watching the global random state."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


class CheckFailed(AssertionError):
    """A contract is broken; the message says what was expected, what came and what to do."""


def require(condition: object, message: str) -> None:
    """Raise where a condition does not hold.

    Raises:
        CheckFailed: With the message.
    """
    if not condition:
        raise CheckFailed(message)


def require_equal(got: NDArray[Any], wanted: NDArray[Any], message: str) -> None:
    """Require two arrays to be equal in shape and in every value; NaN equals NaN.

    Raises:
        CheckFailed: With the message and the first difference.
    """
    if got.shape != wanted.shape:
        raise CheckFailed(f"{message} Shapes: expected {wanted.shape}, got {got.shape}.")
    same = got == wanted
    if np.issubdtype(got.dtype, np.floating):
        same |= np.isnan(got) & np.isnan(wanted)
    if not same.all():
        at = tuple(int(i) for i in np.argwhere(~same)[0])
        raise CheckFailed(f"{message} At {at}: expected {wanted[at]!r}, got {got[at]!r}.")


@contextlib.contextmanager
def global_random_state_untouched(who: str) -> Iterator[None]:
    """Require that nothing draws from, or seeds, the global generators of `random` and numpy.

    Raises:
        CheckFailed: One of them changed.
    """
    before = _global_state()
    yield
    require(
        _global_state() == before,
        f"{who} changed the global random state; expected randomness from its own generator only: "
        "take numpy.random.default_rng(seed) and call its methods instead of numpy.random or random.",
    )


def _global_state() -> tuple[Any, ...]:
    """Return the state of both global generators in comparable form."""
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    return random.getstate(), name, np.asarray(keys).tobytes(), position, has_gauss, cached


@contextlib.contextmanager
def scrambled_global_state(seed: int) -> Iterator[None]:
    """Seed the global generators, and put them back afterwards."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002

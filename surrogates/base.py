"""The contract of a surrogate: arrays in, an order out.

Life cycle: made once with its settings, then `fit` and `rank` any number of times; `fit` forgets the
previous data. Randomness comes only from `seed`: two objects with the same seed and the same calls
answer the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError
from smemnas.bench.registry import Registry

FloatArray = NDArray[np.float64]


class Surrogate(ABC):
    """Orders architectures by an expected outcome that is to be minimised.

    Subclasses take keyword arguments only, `seed` among them, and store them.
    """

    #: Whether the constructor takes `blocks`, the widths of the encodings put side by side.
    uses_blocks: ClassVar[bool] = False
    #: Module beyond the core that `fit` needs, "" for none; without it `fit` raises `UserError`.
    needs: ClassVar[str] = ""
    #: Whether `posterior` answers.
    has_posterior: ClassVar[bool] = False

    #: Why no search can use it, "" where one can.
    too_slow: str = ""

    @property
    def over_set(self) -> bool:
        """Whether a score depends on the set that is ranked with it; then `against` answers."""
        return False

    @abstractmethod
    def fit(self, Z: FloatArray, y: FloatArray) -> Self:
        """Learn from encodings ``(n, d)`` and outcomes ``(n,)``, smaller is better; return self.

        Works for ``n >= 2``, constant ``y``, ties and repeated rows.

        Raises:
            UserError: Shapes do not match, fewer than two rows, or a value is not finite.
        """

    @abstractmethod
    def rank(self, Z: FloatArray) -> FloatArray:
        """Return ``(m,)`` scores for encodings ``(m, d)``: smaller = better, comparable within this call."""

    def left_out(self) -> FloatArray | None:
        """Return scores ``(n,)`` of the rows of `fit`, each by a model without that row; None without a closed form."""
        return None

    def against(self, Z: FloatArray, rivals: FloatArray) -> FloatArray:
        """Return scores ``(m,)`` of encodings ``(m, d)`` by the predicted outcomes against rivals ``(k, d)``.

        Raises:
            UserError: The surrogate predicts no outcomes of pairs.
        """
        raise UserError(f"surrogate {type(self).__name__} predicts no outcomes of pairs: take kernel_pairwise.")

    def posterior(self, Z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation, each ``(m,)``, of predictions for ``(m, d)``.

        Smaller is better; the scale is that of all calls after one fit, and any that rises with the outcome.

        Raises:
            UserError: The surrogate does not say how sure it is (see `has_posterior`).
        """
        raise UserError(
            f"surrogate {type(self).__name__} says not how sure it is: take kernel_pairwise, relevance_pairwise or gp."
        )


def check_training_data(Z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return ``Z`` ``(n, d)`` and ``y`` ``(n,)`` as float64 after checking them.

    Raises:
        UserError: Shapes do not match, fewer than two rows, or a value is not finite.
    """
    Z, y = np.asarray(Z, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if Z.ndim != 2 or y.ndim != 1 or len(Z) != len(y):
        raise UserError(f"a surrogate needs Z (n, d) and y (n,), got {Z.shape} and {y.shape}.")
    if len(y) < 2:
        raise UserError(f"a surrogate needs at least 2 evaluated architectures, got {len(y)}.")
    if not (np.isfinite(Z).all() and np.isfinite(y).all()):
        raise UserError("a surrogate needs finite values: drop failed evaluations (NaN or inf) before fit.")
    return Z, y


def average_ranks(y: FloatArray) -> FloatArray:
    """Return the ranks ``(n,)`` of ``y`` scaled to [-1, 1]; tied values share their mean rank."""
    values, inverse, counts = np.unique(y, return_inverse=True, return_counts=True)
    if len(values) == 1:
        return np.zeros(len(y))
    last = np.cumsum(counts)
    mean_rank = last - (counts - 1) / 2.0
    return 2.0 * (mean_rank[inverse.reshape(-1)] - 1.0) / (len(y) - 1) - 1.0


def clear_sign(margin: FloatArray, tolerance: float = 1e-9) -> FloatArray:
    """Return the signs of pair margins, 0 where only rounding decides, as between an architecture and its copy."""
    return np.where(np.abs(margin) <= tolerance, 0.0, np.sign(margin))


@contextmanager
def single_thread() -> Iterator[None]:
    """Pin BLAS and OpenMP to one thread, so that decisions do not depend on the thread count."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


SURROGATES: Registry[Surrogate] = Registry("surrogate", "smemnas.surrogates")


def make_surrogate(
    name: str,
    *,
    seed: int,
    blocks: tuple[int, ...],
    params: Mapping[str, Any] | None = None,
    searches: bool = True,
) -> Surrogate:
    """Make a registered surrogate.

    Args:
        name: As it is registered.
        seed: Root of its randomness.
        blocks: Columns of each of the encodings that are put side by side, for those surrogates that take them.
        params: Its parameters.
        searches: Whether it is for a search, which fits it again and again on more and more rows.

    Raises:
        UserError: The name or a parameter is unknown, or it is too slow for a search.
    """
    given = dict(params or {})
    if getattr(SURROGATES.get(name).factory, "uses_blocks", False):
        given = {"blocks": blocks, **given}
    surrogate = SURROGATES.create(name, seed=seed, params=given)
    if searches and surrogate.too_slow:
        raise UserError(f"surrogate {name!r} is for 'rank' only: {surrogate.too_slow}.")
    return surrogate

"""How sure kernel ridge regression on ranks is: the Gaussian-process reading of one eigendecomposition.

With ``K = Q diag(w) Q'``, ranks ``t`` and ridge penalty ``p``, the posterior of a Gaussian process with kernel
``s^2 k`` and noise ``s^2 p`` (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eqs. 2.25, 2.26)
is::

    mean(x) = k_x' (K + p I)^-1 t            var(x) = s^2 (k(x, x) - k_x' (K + p I)^-1 k_x)

The scale ``s`` makes the leave-one-out residuals as large as the leave-one-out variances say (ibid., eqs. 5.12), so
it knows how wrong the model is on rows it has not seen.
"""

from __future__ import annotations

import numpy as np

from smemnas.surrogates.base import FloatArray


class RankPosterior:
    """Posterior of the ranks, without the noise of a single measurement.

    Args:
        w: Eigenvalues ``(r,)`` of the training kernel, none negative; directions left out have none.
        Q: Their vectors ``(n, r)``.
        penalty: Ridge penalty, positive.
        target: Ranks ``(n,)`` in [-1, 1].
        self_kernel: ``k(x, x)``.
    """

    def __init__(self, w: FloatArray, Q: FloatArray, penalty: float, target: FloatArray, self_kernel: float) -> None:
        projected = Q.T @ target
        self._root = Q / np.sqrt(w + penalty)
        self._coefficients = Q @ (projected / (w + penalty))
        self._self_kernel = self_kernel
        rest = 1.0 - np.square(Q).sum(axis=1)  # share of each row in the directions that were left out
        precision = np.square(self._root).sum(axis=1) + np.maximum(rest, 0.0) / penalty
        residual = self._coefficients + (target - Q @ projected) / penalty
        self._scale = float(np.sqrt(np.mean(np.square(residual) / precision)))

    def __call__(self, K: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation, each ``(m,)``, from kernel values ``(m, n)`` with the training rows."""
        explained = np.square(K @ self._root).sum(axis=1)
        return K @ self._coefficients, self._scale * np.sqrt(np.maximum(self._self_kernel - explained, 0.0))

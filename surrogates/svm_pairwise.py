"""The pairwise surrogate as published: an SVM that tells which of two architectures is better.

Xue et al., "A Pairwise Comparison Relation-assisted Multi-objective Evolutionary Neural Architecture Search
Method with Multi-population Mechanism", arXiv 2407.15600: every pair of evaluated architectures is a
training row, the two encodings combined, with the better one as its label; the SVM is refitted in every
iteration.

Chosen here, where the paper is silent: concatenation, RBF kernel with C=1 and gamma="scale", both orders of
every pair, score = share of the evaluated architectures that a candidate is predicted to beat, averaged
over both orders. Genes are expected in [0, 1].

Differs from the paper: n architectures give n (n - 1) rows, and training costs the square of that, so at most
`max_pairs` rows are used. `kernel_svm_pairwise` and `kernel_pairwise` use all of them.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError
from smemnas.surrogates.base import SURROGATES, FloatArray, Surrogate, check_training_data, clear_sign
from smemnas.surrogates.kernels import plain_distances, squared_distances
from smemnas.surrogates.regression import check_query, library_seed, require_choice, require_integer, require_number
from smemnas.surrogates.settled import settle

COMBINATIONS = ("concat", "difference")
OPPONENTS = ("archive", "set")
READOUTS = ("vote", "margin")
#: Most architectures all of whose pairs are given to the library's solver.
MOST_FOR_ALL = 100
ALL_PAIRS = "a fit on all pairs takes seconds for 100 architectures and minutes beyond"
#: Kernel values held in memory at once while ranking (32 MB).
BLOCK = 4_000_000
#: Most rows whose kernel is computed here and given to the solver (72 MB), not by the solver.
GIVEN_ROWS = 3000


@SURROGATES.register("svm_pairwise", summary="Pairwise SVM on sampled pairs (SMEM-NAS as published)")
class SVMPairwise(Surrogate):
    """Support vector machine on pairs of architectures.

    ``y`` is an error: smaller is better. A pair (a, b) has label +1 where a is better; tied outcomes give
    no pair. `rank` returns minus the score, so smaller is better. Constant ``y`` gives zeros.

    Args:
        seed: Seed of the sampled pairs.
        combine: "concat": rows [a, b]; "difference": rows a - b.
        max_pairs: Largest number of training rows. All ordered pairs where they are no more than that;
            otherwise a random set of unordered pairs, each in both orders, so the classes always balance
            exactly. None for all, of up to `MOST_FOR_ALL` architectures, in the command `rank` only.
        C: Penalty of the SVM.
        gamma: RBF coefficient: a number, or "scale" for 1 / (columns x variance), "auto" for 1 / columns.
        opponents: Whom a candidate must beat: the evaluated architectures ("archive") or the ranked set
            ("set").
        readout: "vote": share of opponents beaten; "margin": mean tanh of the decision value.
    """

    def __init__(
        self,
        *,
        seed: int,
        combine: str = "concat",
        max_pairs: int | None = 2000,
        C: float = 1.0,
        gamma: float | str = "scale",
        opponents: str = "archive",
        readout: str = "vote",
    ) -> None:
        require_integer("seed", seed, 0)
        require_choice("combine", combine, COMBINATIONS)
        if max_pairs is not None:
            require_integer("max_pairs", max_pairs, 2)
        require_number("C", C, above=0.0)
        if isinstance(gamma, str):
            require_choice("gamma", gamma, ("scale", "auto"))
        else:
            require_number("gamma", gamma, above=0.0)
        require_choice("opponents", opponents, OPPONENTS)
        require_choice("readout", readout, READOUTS)
        self.seed = seed
        self.combine = combine
        self.max_pairs = max_pairs
        if max_pairs is None:
            self.too_slow = f"{ALL_PAIRS}; kernel_svm_pairwise has all pairs in less than a second"
        self.C = C
        self.gamma = gamma
        self.opponents = opponents
        self.readout = readout
        self._archive: FloatArray | None = None
        self._model: Any = None

    def fit(self, Z: FloatArray, y: FloatArray) -> Self:
        """Learn from encodings ``(n, d)`` and outcomes ``(n,)``."""
        from sklearn.svm import SVC

        Z, y = check_training_data(Z, y)
        if self.max_pairs is None and len(y) > MOST_FOR_ALL:
            raise UserError(
                f"svm_pairwise on all pairs takes up to {MOST_FOR_ALL} architectures, got {len(y)}: "
                f"{len(y) * (len(y) - 1):,} rows take minutes. Give max_pairs, or take kernel_svm_pairwise."
            )
        self._archive, self._model = Z, None
        # A canonical row order makes sample and solution independent of the order of the rows.
        order = np.lexsort((*Z.T[::-1], y))
        Z, y = Z[order], y[order]
        better, worse = sample_pairs(y, self.max_pairs or len(y) ** 2, np.random.default_rng(self.seed))
        if len(better) == 0:
            return self
        first, second = np.concatenate([better, worse]), np.concatenate([worse, better])
        rows = np.hstack([Z[first], Z[second]]) if self.combine == "concat" else Z[first] - Z[second]
        labels = np.repeat([1, -1], len(better))
        self._gamma = self._gamma_of(rows)
        seed = library_seed(self.seed)
        if len(rows) > GIVEN_ROWS:
            self._model = SVC(kernel="rbf", C=self.C, gamma=self._gamma, random_state=seed).fit(rows, labels)
            self._support = self._model.support_vectors_
            return self
        self._model = SVC(kernel="precomputed", C=self.C, random_state=seed)
        self._model.fit(self._gram(Z, rows, first, second), labels)
        self._support = rows[self._model.support_]
        return self

    def _gram(self, Z: FloatArray, rows: FloatArray, first: NDArray[np.intp], second: NDArray[np.intp]) -> FloatArray:
        """Return the kernel ``(p, p)`` of the rows of pairs, the same bit for bit on every processor.

        The solver stops early and breaks ties by what it sees, so other last bits end in another model.
        """
        if self.combine == "difference":
            return self._values(plain_distances(rows, rows))
        K = self._values(plain_distances(Z, Z))
        gram: FloatArray = K[np.ix_(first, first)]
        gram *= K[np.ix_(second, second)]
        return gram

    def _values(self, D: FloatArray) -> FloatArray:
        """Return the kernel at squared distances, rounded to ten digits."""
        return settle(np.exp(-self._gamma * D), 2.0**-32)

    def _gamma_of(self, rows: FloatArray) -> float:
        """Resolve the names of `gamma`, as scikit-learn defines them."""
        if not isinstance(self.gamma, str):
            return float(self.gamma)
        spread = float(rows.var()) if self.gamma == "scale" else 1.0
        return 1.0 / (rows.shape[1] * spread) if spread > 0.0 else 1.0

    def rank(self, Z: FloatArray) -> FloatArray:
        """Return minus the score ``(m,)``: share of opponents beaten in [0, 1], or mean margin in [-1, 1]."""
        Z = check_query(Z, None if self._archive is None else self._archive.shape[1])
        if self._model is None or len(Z) == 0:
            return np.zeros(len(Z))
        assert self._archive is not None
        return self.against(Z, Z if self.over_set else self._archive)

    @property
    def over_set(self) -> bool:
        """Whether scores depend on the set that is ranked."""
        return self.opponents == "set"

    def against(self, Z: FloatArray, rivals: FloatArray) -> FloatArray:
        """Return minus the score ``(m,)`` of encodings ``(m, d)`` against rivals ``(k, d)``."""
        if self._model is None:
            return np.zeros(len(Z))
        total = np.zeros(len(Z))
        step = max(1, int(np.sqrt(BLOCK)))
        for i in range(0, len(Z), step):
            for j in range(0, len(rivals), step):
                A, B = Z[i : i + step], rivals[j : j + step]
                margin = 0.5 * (self.decision(A, B) - self.decision(B, A).T)
                gain = np.tanh(margin) if self.readout == "margin" else 0.5 * (1.0 + clear_sign(margin))
                total[i : i + step] += gain.sum(axis=1)
        return -total / len(rivals)

    def decision(self, A: FloatArray, B: FloatArray) -> FloatArray:
        """Return the decision values ``(n, m)`` of all pairs (A_i, B_j); positive: the first is better.

        For concatenated rows the RBF kernel is the product of the kernels of the two halves, so all pairs
        cost one matrix product over the support vectors instead of one kernel row per pair.

        Args:
            A: Encodings ``(n, d)`` of the first of each pair.
            B: Encodings ``(m, d)`` of the second.
        """
        if self._model is None:
            raise UserError("decision values exist after a fit on outcomes that differ: call fit first.")
        support: FloatArray = self._support
        alpha: FloatArray = self._model.dual_coef_[0]
        f = np.full((len(A), len(B)), float(self._model.intercept_[0]))
        if self.combine == "concat":
            d = A.shape[1]
            step = max(1, BLOCK // (len(A) + len(B)))
            for s in range(0, len(support), step):
                part = support[s : s + step]
                left = np.exp(-self._gamma * squared_distances(A, part[:, :d]))
                right = np.exp(-self._gamma * squared_distances(B, part[:, d:]))
                f += (left * alpha[s : s + step]) @ right.T
            return f
        flat = f.reshape(-1)
        step = max(1, BLOCK // max(len(support), A.shape[1]))
        for p in range(0, len(flat), step):
            i, j = np.divmod(np.arange(p, min(p + step, len(flat))), len(B))
            flat[p : p + step] += np.exp(-self._gamma * squared_distances(A[i] - B[j], support)) @ alpha
        return f


def sample_pairs(y: FloatArray, max_rows: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row numbers of (better, worse), each ``(p,)``, of at most ``max_rows // 2`` unordered pairs.

    Untied pairs are counted, not listed, so thousands of architectures cost no more than the pairs returned.

    Args:
        y: Outcomes ``(n,)`` in ascending order.
        max_rows: Largest number of ordered pairs; each unordered one counts twice.
        rng: Draws the pairs where there are too many; unused otherwise.
    """
    first_worse = np.searchsorted(y, y, side="right")
    ends = np.cumsum(len(y) - first_worse)
    total, wanted = int(ends[-1]), max_rows // 2
    drawn = np.arange(total) if total <= wanted else np.sort(rng.choice(total, size=wanted, replace=False))
    better = np.searchsorted(ends, drawn, side="right")
    starts = ends - (len(y) - first_worse)
    worse = first_worse[better] + drawn - starts[better]
    return better.astype(np.intp), worse.astype(np.intp)

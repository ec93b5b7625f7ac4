"""What the runs of an archive evaluated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.archive.form import RESTORE, ProblemEntry, decoded, from_codes, from_decimals, from_npy, member
from smemnas.bench.errors import DataError
from smemnas.bench.runs.history import Row
from smemnas.spaces.base import FloatArray, IntArray


@dataclass(frozen=True)
class Evaluations:
    """What the runs on one problem evaluated: each distinct evaluation once, and which of them each run made.

    Attributes:
        X: Genotypes ``(m, n_var)``, as they are stored.
        F: Objectives ``(m, n_obj)``; NaN where one failed.
        ok: Which did not fail ``(m,)``.
        archs: Names of the architectures ``(m,)``.
        errors: Reasons of failures ``(m,)``.
        seconds: Training times ``(m,)``; NaN where a log has none.
        order: Evaluations of all runs, one after the other ``(n,)``.
    """

    X: NDArray[Any]
    F: FloatArray
    ok: NDArray[np.bool_]
    archs: tuple[str, ...]
    errors: tuple[str, ...]
    seconds: FloatArray
    order: IntArray

    @staticmethod
    def read(path: str, k: int, entry: ProblemEntry, unpack: Callable[[str], bytes]) -> Evaluations:
        """Read those of the k-th problem.

        Args:
            path: Of the archive, for messages.
            k: Place of the problem.
            entry: What the manifest says of it.
            unpack: Returns a member by its name.

        Raises:
            DataError: They are not what they should be.
        """

        def array(name: str, shape: tuple[int, ...], kinds: str = "u") -> NDArray[Any]:
            name = member(k, name)
            return from_npy(unpack(name), shape, kinds, f"{path}, {name}")

        n, what = entry.rows, f"{path}, problem {k},"
        names = decoded(unpack(member(k, "names.json")), tuple[str, ...], f"{path}, names of problem {k}")
        reasons = array("errors.npy", (n,))
        if len(names) != n or len(entry.decimals) != entry.objectives or (reasons >= len(entry.errors)).any():
            raise DataError(f"{what} holds names or errors of other evaluations: {RESTORE}")
        columns = [
            from_decimals(array(f"objective-{j}.npy", (n,), "uif"), decimals)
            for j, decimals in enumerate(entry.decimals)
        ]
        ok = array("ok.npy", (n,)) == 1
        times = np.full(n, math.nan)
        if entry.times is not None:
            times = from_decimals(array("seconds.npy", (n,), "uif"), entry.times)
        F = np.column_stack(columns)
        if not np.isfinite(F[ok]).all() or np.isinf(F).any():
            raise DataError(f"{what} has evaluations without values though nothing failed: {RESTORE}")
        return Evaluations(
            array("genes.npy", (n, entry.genes)),
            F,
            ok,
            names,
            tuple(entry.errors[reason] for reason in reasons.tolist()),
            times,
            from_codes(array("evaluations.npy", (entry.codes,)), n, what),
        )


@dataclass(frozen=True)
class ArchivedLog:
    """The evaluations of a run in an archive; see `bench.runs.source.Log`."""

    evaluations: Evaluations
    order: IntArray

    @property
    def archs(self) -> tuple[str, ...]:
        """Names of the architectures."""
        return tuple(map(self.evaluations.archs.__getitem__, self.order.tolist()))

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All of them, one by one."""
        known = self.evaluations
        columns = (known.X, known.F, known.ok, known.seconds)
        X, F, ok, seconds = (values[self.order].tolist() for values in columns)
        return tuple(
            Row(
                i,
                known.archs[k],
                tuple(X[i]),
                tuple(None if math.isnan(value) else value for value in F[i]),
                "ok" if ok[i] else "failed",
                known.errors[k],
                None if math.isnan(seconds[i]) else seconds[i],
            )
            for i, k in enumerate(self.order.tolist())
        )

    def arrays(self) -> tuple[IntArray, FloatArray]:
        """Return genotypes ``(n, n_var)`` and objectives ``(n, n_obj)``, +inf rows for failures."""
        F = self.evaluations.F[self.order]
        F[~self.evaluations.ok[self.order]] = math.inf
        return self.evaluations.X[self.order].astype(np.int64), F

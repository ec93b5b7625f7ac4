"""What the runs of an archive evaluated."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.archive.form import (
    RESTORE,
    Part,
    ProblemEntry,
    decoded,
    from_codes,
    from_decimals,
    from_npy,
    member,
    smallest,
)
from smemnas.bench.archive.words import spell
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
    archs: NDArray[np.object_]
    errors: NDArray[np.object_]
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
        m = n if entry.genotypes is None else entry.genotypes
        genotype = np.arange(n)
        if entry.genotypes is not None:
            genotype = from_codes(array("genotypes.npy", (n,)), m, what)
        genes = array("genes.npy", (m, entry.genes))
        names = _names(path, k, entry, genes, unpack)
        units, shared = entry.units or (1,) * entry.objectives, entry.shared or (False,) * entry.objectives
        lengths = {len(names) - m, *(len(own) - entry.objectives for own in (entry.decimals, units, shared))}
        reasons = array("errors.npy", (n,))
        if lengths != {0} or (reasons >= len(entry.errors)).any():
            raise DataError(f"{what} holds names or errors of other evaluations: {RESTORE}")
        # What is stored of the evaluations of one genotype stands together.
        place = np.empty(n, dtype=np.int64)
        place[np.argsort(smallest(genotype), kind="stable")] = np.arange(n)

        def values(name: str, decimals: int, unit: int = 1, once: bool = False) -> FloatArray:
            stored = from_decimals(array(name, (m if once else n,), "uif"), decimals, unit)
            return np.asarray(stored[genotype if once else place])

        objectives = enumerate(zip(entry.decimals, units, shared, strict=True))
        F = np.column_stack([values(f"objective-{j}.npy", *how) for j, how in objectives])
        ok = (array("ok.npy", (n,)) == 1)[place]
        times = np.full(n, math.nan) if entry.times is None else values("seconds.npy", entry.times)
        if not np.isfinite(F[ok]).all() or np.isinf(F).any():
            raise DataError(f"{what} has evaluations without values though nothing failed: {RESTORE}")
        return Evaluations(
            genes[genotype],
            F,
            ok,
            np.array(names, dtype=object)[genotype],
            np.array(entry.errors, dtype=object)[reasons[place]],
            times,
            from_codes(array("evaluations.npy", (entry.codes,)), n, what),
        )


def _names(
    path: str, k: int, entry: ProblemEntry, genes: NDArray[Any], unpack: Callable[[str], bytes]
) -> Sequence[str]:
    """Return the names of genotypes ``(m, n_var)``, as these spell them or as they are listed.

    Raises:
        DataError: They are names of other ones.
    """
    what = f"{path}, problem {k},"
    if not entry.spelled:
        listed: tuple[str, ...] = decoded(unpack(member(k, "names.json")), tuple[str, ...], f"{what} names")
        return listed
    return spell(decoded(unpack(member(k, "words.json")), tuple[Part, ...], f"{what} words"), genes, what)


@dataclass(frozen=True)
class ArchivedLog:
    """The evaluations of a run in an archive; see `bench.runs.source.Log`."""

    evaluations: Evaluations
    order: IntArray

    @property
    def archs(self) -> tuple[str, ...]:
        """Names of the architectures."""
        return tuple(self.evaluations.archs[self.order].tolist())

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All of them, one by one."""
        known = self.evaluations
        columns = (known.archs, known.X, known.F, known.ok, known.errors, known.seconds)
        archs, X, F, ok, errors, seconds = (values[self.order].tolist() for values in columns)
        return tuple(
            Row(
                i,
                archs[i],
                tuple(X[i]),
                tuple(None if math.isnan(value) else value for value in F[i]),
                "ok" if ok[i] else "failed",
                errors[i],
                None if math.isnan(seconds[i]) else seconds[i],
            )
            for i in range(len(self.order))
        )

    def arrays(self) -> tuple[IntArray, FloatArray]:
        """Return genotypes ``(n, n_var)`` and objectives ``(n, n_obj)``, +inf rows for failures."""
        F = self.evaluations.F[self.order]
        F[~self.evaluations.ok[self.order]] = math.inf
        return self.evaluations.X[self.order].astype(np.int64), F

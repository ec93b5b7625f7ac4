"""By what the runs of a case are measured: the front that its data knows, else that of the runs which are compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from smemnas.bench.benchmarks.case import Case, benchmark_of, known_reference
from smemnas.bench.benchmarks.given_reference import measured_by
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.errors import UserError
from smemnas.bench.metrics.indicators import nondominated
from smemnas.spaces.base import FloatArray


def reference_for(case: Case, evaluated: Callable[[], FloatArray]) -> Reference | None:
    """Return the known reference front of a case, else the front of what its runs evaluated.

    Args:
        case: Where they ran.
        evaluated: Returns what all runs compared evaluated that is feasible ``(n, n_obj)``; called only where no
            front is known, as in real trainings.
    """
    known = known_reference(case)
    return union_front(case, evaluated()) if known is None else known


def union_front(case: Case, F: FloatArray) -> Reference | None:
    """Return the front of evaluations ``(n, n_obj)`` as a reference, in the order of their values.

    None without any, and where nothing of it lies within a given reference point, so that nothing has a hypervolume.
    """
    if not len(F):
        return None
    front = np.unique(F[nondominated(F)], axis=0)
    none = np.empty((0, front.shape[1]))
    union = Reference(front, front.min(axis=0), front.max(axis=0), False, none, none)
    try:
        return measured_by(union, case.reference, benchmark_of(case))
    except UserError:
        return None

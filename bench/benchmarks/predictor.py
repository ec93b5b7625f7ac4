"""Benchmarks that answer from a fitted model: OFA-MobileNetV3 on ImageNet.

`Predictor` is the one published with Once-for-All (Cai et al., ICLR 2020): a network of three hidden layers that maps
an architecture to ImageNet top-1 accuracy. It is evaluated here in NumPy. The other model, fitted to measured networks,
is in `bench.benchmarks.ofa`. Where the numbers come from and what they cannot tell stands in the notes of each
benchmark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.objectives import choose_objectives
from smemnas.bench.benchmarks.outcomes import Candidates, Evaluation, Reference
from smemnas.bench.errors import UserError
from smemnas.spaces.base import FloatArray, IntArray, Objective
from smemnas.spaces.mnv3 import MNV3, RESOLUTIONS

#: Resolutions the predictor was trained for, in the order of its input.
PREDICTOR_RESOLUTIONS = tuple(range(112, 225, 16))
_N_LAYER_INPUTS = 120
_BLOCK = 4096
#: Errors are rounded to this many decimals (of a percent), so that the last bits of a matrix product, which
#: depend on how many architectures are evaluated together, never enter a log.
DECIMALS = 4


class PredictorModel(Protocol):
    """What a `PredictorBenchmark` answers from."""

    def check(self, space: MNV3) -> None:
        """Raise UserError where the model says nothing about a space."""

    def errors(self, space: MNV3, X: IntArray) -> FloatArray:
        """Return top-1 errors ``(n,)`` in percent of genotypes ``(n, 46)``."""

    def quick(self) -> PredictorModel:
        """Return a model of nearly the same answers for a search that asks millions of times."""


@dataclass(frozen=True)
class Predictor:
    """A multi-layer perceptron with ReLU: architecture -> top-1 accuracy.

    Attributes:
        weights: Weight matrices ``(out, in)``.
        biases: Bias vectors ``(out,)``.
        offset: Points that the predictor is too high; subtracted from its output.
    """

    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]
    offset: float

    def raw(self, Z: NDArray[Any]) -> NDArray[Any]:
        """Return the network's output ``(n,)`` in percent for inputs ``(n, 128)``, in blocks."""
        out = np.empty(len(Z), dtype=self.weights[0].dtype)
        for start in range(0, len(Z), _BLOCK):
            H = Z[start : start + _BLOCK].astype(out.dtype, copy=False)
            for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                H = H @ weight.T
                H += bias
                if layer + 1 < len(self.weights):
                    np.maximum(H, 0.0, out=H)
            out[start : start + _BLOCK] = 100.0 * H[:, 0]
        return out

    def error(self, Z: NDArray[Any]) -> NDArray[Any]:
        """Return the bias-corrected top-1 error ``(n,)`` in percent."""
        return np.asarray(np.clip(100.0 - (self.raw(Z) - self.offset), 0.0, 100.0))

    def check(self, space: MNV3) -> None:
        """Refuse resolutions where the predictor extrapolates.

        Raises:
            UserError: The space has one.
        """
        outside = [r for r in space.resolutions if r not in RESOLUTIONS]
        if outside:
            raise UserError(
                f"the ImageNet predictor covers the resolutions {', '.join(map(str, RESOLUTIONS))}; at "
                f"{', '.join(map(str, outside))} it extrapolates: choose among those, or train the supernet."
            )

    def errors(self, space: MNV3, X: IntArray) -> FloatArray:
        """Return top-1 errors ``(n,)`` in percent of genotypes ``(n, 46)``."""
        return np.asarray(self.error(predictor_inputs(space, X)))

    def quick(self) -> Predictor:
        """Return the predictor in single precision."""
        weights, biases = (tuple(v.astype(np.float32) for v in group) for group in (self.weights, self.biases))
        return replace(self, weights=weights, biases=biases)


def predictor_inputs(space: MNV3, X: IntArray) -> FloatArray:
    """Return the predictor's inputs ``(n, 128)``: kernels, expansions, resolution, each one-hot."""
    onehot = space.encode(X, "onehot")
    Z = np.zeros((len(X), _N_LAYER_INPUTS + len(PREDICTOR_RESOLUTIONS)))
    Z[:, :_N_LAYER_INPUTS] = onehot[:, :_N_LAYER_INPUTS]
    columns = [_N_LAYER_INPUTS + PREDICTOR_RESOLUTIONS.index(r) for r in space.resolutions]
    Z[:, columns] = onehot[:, _N_LAYER_INPUTS:]
    return Z


class PredictorBenchmark(Benchmark):
    """OFA-MobileNetV3 with predicted ImageNet error and exact costs.

    Args:
        space: The space.
        predictor: Fitted model, such as a `Predictor` with its bias correction.
        objectives: Any of "error" and the space's costs; empty means error and flops.
        dataset: Name for logs and reports.
        notes: What a reader of results must know.
        pool: Genotypes ``(k, 46)`` of the best networks known; called when the reference front is needed.
        source: Name and checksum of the data, for the run folder.

    Raises:
        UserError: An objective is unknown or repeated, or the model does not cover the space.
    """

    recheck = 1.01 * 10.0**-DECIMALS  # the last decimal may be rounded otherwise on another processor
    recheck_every = 8

    def __init__(
        self,
        space: MNV3,
        predictor: PredictorModel,
        objectives: Sequence[str] = (),
        *,
        dataset: str,
        notes: Sequence[str] = (),
        pool: Callable[[], IntArray] | None = None,
        source: dict[str, Any] | None = None,
    ) -> None:
        predictor.check(space)
        known = {"error": Objective("error", "%", False), **{c.name: c for c in space.costs}}
        if "latency" in objectives and "latency" not in known:
            space.cost(np.empty((0, space.n_var), dtype=np.int64), "latency")  # raises with the reason
        self.space: MNV3 = space
        self.predictor = predictor
        self.dataset = dataset
        self.objectives = choose_objectives(f"mnv3/{dataset}", objectives, known, default=("error", "flops"))
        self.report_names = tuple(o.name for o in self.objectives)
        self.notes = tuple(notes)
        self._pool = pool
        self._source = dict(source or {})

    def values(self, X: IntArray) -> FloatArray:
        """Return the objectives ``(n, n_obj)``."""
        X = np.asarray(X, dtype=np.int64)
        columns = []
        for objective in self.objectives:
            if objective.cheap:
                columns.append(self.space.cost(X, objective.name))
            else:
                columns.append(self.errors(X))
        return np.stack(columns, axis=1)

    @property
    def measurable(self) -> tuple[Objective, ...]:
        """The error, where it is not searched."""
        return () if any(o.name == "error" for o in self.objectives) else (Objective("error", "%", False),)

    def measured(self, X: IntArray, name: str) -> FloatArray:
        """Predict the error."""
        if name not in [o.name for o in self.measurable]:
            return super().measured(X, name)
        return self.errors(np.asarray(X, dtype=np.int64))

    def errors(self, X: IntArray) -> FloatArray:
        """Return the errors ``(n,)`` in percent, rounded."""
        return np.round(self.predictor.errors(self.space, X), DECIMALS)

    def evaluate(self, X: IntArray, seed: int) -> Evaluation:
        """Predict; the seed is ignored, the predictor has one answer."""
        return Evaluation(self.values(X), np.zeros(len(X)), ("",) * len(X))

    def report(self, X: IntArray) -> FloatArray:
        """Return the same numbers: there is one split."""
        return self.values(X)

    def whole_reference(self) -> Reference | None:
        """Return the front of the best networks known for these objectives (not proven to be the best)."""
        candidates = self.candidates()
        return None if candidates is None else candidates.reference()

    def candidates(self) -> Candidates | None:
        """Return the best networks known."""
        if self._pool is None:
            return None
        X = self._pool()
        F = self.values(X)
        return Candidates(X, F, F, False)

    def provenance(self) -> dict[str, Any]:
        """Return names and checksums of the data and of the networks behind the reference front."""
        found = dict(self._source)
        if self._pool is not None:
            keys = np.sort(self.space.canonical(self._pool()))
            found["reference_sha256"] = hashlib.sha256(b"".join(keys.tolist())).hexdigest()
        return found

    def with_objectives(self, objectives: Sequence[str]) -> PredictorBenchmark:
        """Return the same benchmark with other objectives."""
        return self._like(self.predictor, objectives)

    def with_predictor(self, predictor: PredictorModel) -> PredictorBenchmark:
        """Return the same benchmark with another predictor."""
        return self._like(predictor, [o.name for o in self.objectives])

    def _like(self, predictor: PredictorModel, objectives: Sequence[str]) -> PredictorBenchmark:
        return type(self)(
            self.space,
            predictor,
            objectives,
            dataset=self.dataset,
            notes=self.notes,
            pool=self._pool,
            source=self._source,
        )

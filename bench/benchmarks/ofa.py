"""OFA-MobileNetV3 on ImageNet as it was measured: a Gaussian process fitted to networks that were really evaluated.

The answer for a network is the posterior mean, the same function whether the network was measured or not; beside it
stand how far a measurement is expected from it (`deviation`) and what was measured (`measurements`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from smemnas.bench.benchmarks.predictor import PredictorBenchmark
from smemnas.bench.benchmarks.process import Process
from smemnas.bench.benchmarks.process_draw import Draw
from smemnas.bench.errors import UserError
from smemnas.spaces.base import FloatArray, IntArray
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_choices import DEPTHS, EXPANSIONS, KERNELS, MAX_DEPTH, N_LAYERS, N_STAGES
from smemnas.spaces.mnv3_genes import DEPTH_GENES, EXPANSION_GENES, KERNEL_GENES, active_layers

#: What was measured: the width and the resolution of all networks.
WIDTH, RESOLUTION = 1.0, 224
#: Deviations are rounded to this many decimals (of a percent): their last bits depend on the processor.
DEVIATION_DECIMALS = 3
N_FEATURES = 3 * N_STAGES + 2 * N_LAYERS
#: Largest value of each feature.
LARGEST = np.array(
    [MAX_DEPTH * EXPANSIONS[-1]] * N_STAGES
    + [MAX_DEPTH * KERNELS[-1]] * N_STAGES
    + [len(DEPTHS) - 1] * N_STAGES
    + [KERNELS[-1]] * N_LAYERS
    + [EXPANSIONS[-1]] * N_LAYERS
)


def features(X: IntArray) -> IntArray:
    """Return the counts behind the encoding "layer" as integers ``(n, 55)`` for genotypes ``(n, 46)``.

    Per stage the sum of the expansions, the sum of the kernels and the depth index; then kernel and expansion of each
    layer. Absent layers count 0, the resolution does not enter.
    """
    active = active_layers(X)
    kernels = np.asarray(KERNELS)[X[:, KERNEL_GENES]] * active
    expansions = np.asarray(EXPANSIONS)[X[:, EXPANSION_GENES]] * active
    stages = [v.reshape(len(X), N_STAGES, MAX_DEPTH).sum(axis=2) for v in (expansions, kernels)]
    return np.hstack([*stages, X[:, DEPTH_GENES], kernels, expansions])


@dataclass(frozen=True, eq=False)
class OFAProcess:
    """A `Process` over networks.

    Attributes:
        X: The measured networks ``(n, 46)``.
        scales: How many units of the process one of each feature is ``(55,)``, integers.
        process: Its inputs are `inputs` of `X`.
    """

    X: IntArray
    scales: IntArray
    process: Process

    def inputs(self, X: IntArray) -> IntArray:
        """Return the process's inputs ``(n, 55)``: scaled features, 0 in the middle of their range."""
        return scaled(X, self.scales)

    def check(self, space: MNV3) -> None:
        """Refuse other networks than those that were measured.

        Raises:
            UserError: The space has another width or resolution.
        """
        if space.width != WIDTH or space.resolutions != (RESOLUTION,):
            sides = ", ".join(map(str, space.resolutions))
            raise UserError(
                f"the measured networks have width {WIDTH} and {RESOLUTION} pixels, got width {space.width} and "
                f"{sides}: take mnv3/imagenet, or train the supernet."
            )

    def errors(self, space: MNV3, X: IntArray) -> FloatArray:
        """Return top-1 errors ``(n,)`` in percent of genotypes ``(n, 46)``."""
        return self.process.posterior_mean(self.inputs(X))

    def quick(self) -> OFAProcess:
        """Return itself."""
        return self

    @cached_property
    def rows(self) -> dict[bytes, int]:
        """Row of each measured network by its genes."""
        return {x.tobytes(): row for row, x in enumerate(self.X.astype(np.uint8))}


@dataclass(frozen=True, eq=False)
class OFADraw(OFAProcess):
    """One function drawn from the posterior of a process over networks.

    Attributes:
        draw: The function.
    """

    draw: Draw

    def errors(self, space: MNV3, X: IntArray) -> FloatArray:
        """Return the drawn errors ``(n,)`` in percent of genotypes ``(n, 46)``."""
        return self.draw.values(self.inputs(X))


def scaled(X: IntArray, scales: IntArray) -> IntArray:
    """Return the inputs ``(n, 55)`` of genotypes ``(n, 46)`` under some scales ``(55,)``."""
    return np.asarray(features(X) * scales - scales * LARGEST // 2)


class OFABenchmark(PredictorBenchmark):
    """OFA-MobileNetV3 of width 1.0 at 224 pixels with the error that measured networks imply, and exact costs."""

    predictor: OFAProcess
    recheck = 1e-9  # the same digits everywhere
    recheck_every = 8

    def deviation(self, X: IntArray) -> FloatArray:
        """Return how far a measured error is expected from the predicted one, in points ``(n,)``.

        The posterior standard deviation, measurement noise included. The first call takes seconds and 37 MB.
        """
        X = np.asarray(X, dtype=np.int64)
        return np.round(self.predictor.process.deviation(self.predictor.inputs(X)), DEVIATION_DECIMALS)

    def measurements(self, X: IntArray) -> FloatArray:
        """Return the measured errors ``(n,)`` in percent, NaN for networks that were not measured."""
        rows, values = self.predictor.rows, self.predictor.process.values
        keys = self.space.normalise(np.asarray(X, dtype=np.int64)).astype(np.uint8)
        return np.array([values[rows[k]] if (k := x.tobytes()) in rows else np.nan for x in keys], dtype=np.float64)

    def remarks(self, X: IntArray) -> tuple[str, ...]:
        """Say of each network what was measured, or how far a measurement is expected from what is predicted."""
        if isinstance(self.predictor, OFADraw):
            return super().remarks(X)
        found = self.measurements(X)
        unknown = np.isnan(found)
        deviation = np.zeros(len(found))
        deviation[unknown] = self.deviation(X[unknown]) if unknown.any() else 0.0
        return tuple(
            f"predicted +- {sd:.2f}" if new else f"measured {error:.2f} %"
            for new, error, sd in zip(unknown, found, deviation, strict=True)
        )

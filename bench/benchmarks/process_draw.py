"""Functions drawn from the posterior of a `Process`, in whole numbers like its mean.

Pathwise conditioning (Wilson et al., Efficiently Sampling Functions from Gaussian Process Posteriors, ICML 2020): a
function drawn from the prior, plus what the posterior mean makes of its distance to the measurements. The prior's
function is a sum of cosines (Rahimi and Recht, Random Features for Large-Scale Kernel Machines, NeurIPS 2007). The
kernel is a mixture of squared exponentials, so a frequency is a normal vector times the square root of an exponential
variable. A phase is a whole number, of which a turn has 2^26; its cosine comes from a table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from smemnas.bench.benchmarks.process import Process, check_reach
from smemnas.spaces.base import FloatArray, IntArray

#: Cosines that a function of the prior is the sum of.
N_COSINES = 2048
_TURN_BITS = 26
_TABLE_BITS = 14
_COSINE_BITS = 20
_WEIGHT_BITS = 16
_NOISE_BITS = 24
_BLOCK = 128


@dataclass(frozen=True, eq=False)
class Draw:
    """One function drawn from the posterior.

    Attributes:
        process: The process.
        number: Which draw, from 0; everything random follows from it.
    """

    process: Process
    number: int

    def values(self, Z: IntArray) -> FloatArray:
        """Return the function ``(m,)`` at inputs ``(m, d)``; the first call takes seconds."""
        return np.asarray(self._update.posterior_mean(Z) + self.prior(Z))

    def prior(self, Z: IntArray) -> FloatArray:
        """Return the prior's function, without the mean, ``(m,)`` at inputs ``(m, d)``; every sum is exact."""
        check_reach(Z)
        frequencies, phases, weights, _ = self._random
        table, totals = _cosines(), []
        for start in range(0, len(Z), _BLOCK):
            turns = np.asarray(Z[start : start + _BLOCK], dtype=np.float64) @ frequencies + phases
            places = np.floor(turns * 2.0 ** (_TABLE_BITS - _TURN_BITS)).astype(np.int64) % len(table)
            totals.append(table[places] @ weights)
        sums = np.concatenate([np.empty(0), *totals])
        scale = np.sqrt(2.0 * self.process.signal / N_COSINES)
        return np.asarray(scale * (sums * 2.0 ** -(_COSINE_BITS + _WEIGHT_BITS)))

    @cached_property
    def _update(self) -> Process:
        """The process that carries the prior's function to the measurements."""
        process = self.process
        noise = np.sqrt(process.noise) * (self._random[3] * 2.0**-_NOISE_BITS)
        missing = (process.values - process.mean) - self.prior(process.inputs) - noise
        return replace(process, coefficients=process.solve(missing))

    @cached_property
    def _random(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Frequencies ``(d, k)``, phases and weights ``(k,)`` and measurement noise ``(n,)``, all whole numbers."""
        n, d = self.process.inputs.shape
        bits = np.random.PCG64([self.number, n, d])  # its raw stream is the same in every version of NumPy
        directions = _normals(bits, d * N_COSINES).reshape(d, N_COSINES)
        width = np.sqrt((_normals(bits, 2 * N_COSINES).reshape(2, -1) ** 2).sum(axis=0))
        phases = np.floor(_uniforms(bits, N_COSINES) * 2.0**_TURN_BITS)
        weights = np.rint(_normals(bits, N_COSINES) * 2.0**_WEIGHT_BITS)
        noise = np.rint(_normals(bits, n) * 2.0**_NOISE_BITS)
        per_unit = 2.0**_TURN_BITS / (2 * np.pi * self.process.unit)
        return np.rint(directions * width * per_unit), phases, weights, noise


def _uniforms(bits: np.random.PCG64, n: int) -> FloatArray:
    """Return numbers ``(n,)`` between 0 and 1, both excluded."""
    return np.asarray(((bits.random_raw(n) >> np.uint64(11)) + 0.5) * 2.0**-53)


def _normals(bits: np.random.PCG64, n: int) -> FloatArray:
    """Return standard normal numbers ``(n,)`` by the transform of Box and Muller; their last bits are rounded away."""
    radius, angle = np.sqrt(-2.0 * np.log(_uniforms(bits, n))), 2.0 * np.pi * _uniforms(bits, n)
    return np.asarray(radius * np.cos(angle))


@cache
def _cosines() -> FloatArray:
    """Return the cosine at all steps of a turn in units of 2^-20, ``(2^14,)``."""
    steps = (np.arange(1 << _TABLE_BITS) + 0.5) * 2.0**-_TABLE_BITS
    return np.asarray(np.rint(np.cos(2.0 * np.pi * steps) * 2.0**_COSINE_BITS))

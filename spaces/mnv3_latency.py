"""OFA-MobileNetV3: measured latency by table look-up, from the files that the OFA project published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import DataError, UserError
from smemnas.bench.program import PROGRAM
from smemnas.spaces.mnv3_choices import N_LAYERS
from smemnas.spaces.mnv3_costs import N_STATES, network

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LatencyTable:
    """Measured latency of every candidate layer on one device, in ms.

    Attributes:
        device: Name of the device.
        width: Width multiplier of the network that was measured.
        resolutions: Input resolutions measured, ``r`` of them.
        fixed: Sum over the layers that every sub-network has, ``(r,)``.
        layers: Latency ``(r, 20, 10)`` by layer and state; 0 where a layer is absent.
    """

    device: str
    width: float
    resolutions: tuple[int, ...]
    fixed: FloatArray
    layers: FloatArray


def compile_latency(device: str, width: float, means: Mapping[int, Mapping[str, float]]) -> LatencyTable:
    """Arrange the entries of OFA's latency files for look-up.

    Args:
        device: Name of the device.
        width: Width multiplier of the measured network.
        means: For each resolution, layer name -> mean latency (ms).

    Raises:
        DataError: A layer of the network is not in the files.
    """
    resolutions = tuple(sorted(means))
    fixed = np.zeros(len(resolutions))
    layers = np.zeros((len(resolutions), N_LAYERS, N_STATES))
    for r, resolution in enumerate(resolutions):
        net, entries = network(width, resolution), means[resolution]
        try:
            fixed[r] = math.fsum(entries[key] for key in net.fixed_keys())
            for layer in net.layers():
                layers[r, layer.index, layer.state] = entries[layer.key()]
        except KeyError as error:
            raise DataError(
                f"the {device} latency file for resolution {resolution} has no layer {error.args[0]!r}: "
                f"it was not made for OFA-MobileNetV3 of width {width}."
            ) from error
    return LatencyTable(device, width, resolutions, fixed, layers)


def parse_latency_file(text: str) -> dict[str, tuple[float, float, int]]:
    """Parse one of OFA's latency files (a flat YAML: a name, then count, mean, std).

    Returns:
        Layer name -> (mean, standard deviation, count); ms.

    Raises:
        DataError: A line is none of the four forms, or an entry is incomplete.
    """
    found: dict[str, dict[str, float]] = {}
    entry: dict[str, float] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        name, colon, value = line.rpartition(":")
        if not line.strip():
            continue
        try:
            if not line[0].isspace() and colon and not value.strip():
                entry = found.setdefault(name, {})
            elif line[0].isspace() and entry is not None and name.strip() in ("count", "mean", "std"):
                entry[name.strip()] = float(value)
            else:
                raise ValueError
        except ValueError as error:
            raise DataError(
                f"latency file, line {number}: expected a layer name or its count, mean or std, got {line!r}."
            ) from error
    for name, values in found.items():
        if len(values) != 3 or not 0 < values["mean"] < math.inf:
            raise DataError(f"latency file: the entry {name!r} is incomplete or no latency: {values}.")
    if not found:
        raise DataError("latency file: it has no entry.")
    return {name: (v["mean"], v["std"], int(v["count"])) for name, v in found.items()}


def check_latency(table: LatencyTable | None, width: float, resolutions: tuple[int, ...]) -> None:
    """Check that a latency table answers for a space.

    Raises:
        UserError: There is none, or it was measured on another width or other resolutions.
    """
    if width != 1.2:
        raise UserError(
            f"latency was measured on the network of width 1.2 only, this space has width {width}: "
            "use data set imagenet-w12, or leave latency out."
        )
    if table is None:
        raise UserError(f"latency needs the Note10 table: {PROGRAM} data fetch mnv3, then open mnv3/imagenet-w12.")
    if table.width != width or not set(resolutions) <= set(table.resolutions):
        raise UserError(
            f"the {table.device} latency table covers width {table.width} at resolutions "
            f"{', '.join(map(str, table.resolutions))}; this space has width {width} at "
            f"{', '.join(map(str, resolutions))}: choose among the measured ones."
        )

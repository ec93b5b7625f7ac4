"""What a `fit` is asked for, held against the networks there are, before images are decoded or anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.benchmarks.constraints import FAR, SAMPLE
from smemnas.bench.benchmarks.latency.benchmark import LatencySpace
from smemnas.bench.benchmarks.latency.table import read_latency
from smemnas.bench.benchmarks.latency.terms import measuring_command, sum_of
from smemnas.bench.errors import UserError
from smemnas.bench.fit.measure import LARGE, resolutions_for
from smemnas.bench.fit.plan import FEWEST, rounded_up
from smemnas.spaces.base import Constraint, FloatArray, IntArray, SearchSpace
from smemnas.spaces.feasible import DRAWS, FeasibleSpace
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_costs import STEMS

WIDTH = 0.35
#: Networks within the bounds that are drawn, of which `FEWEST` must differ: a search looks at so many.
DRAWN = 64
#: Draws among which the smallest that differ are looked for.
SMALLEST = 500


class Sizes(NamedTuple):
    """Sizes of images and networks.

    Attributes:
        size: Side that images are stored at.
        width: Width multiplier.
        resolutions: Sides of the networks' inputs.
        stem: "small" or "imagenet".
        strides: Of the stages; empty takes the stem's.
    """

    size: int
    width: float
    resolutions: tuple[int, ...]
    stem: str
    strides: tuple[int, ...] = ()

    def space(self, n_classes: int) -> MNV3:
        """Return the networks of these sizes."""
        stem_stride, strides = STEMS[self.stem]
        return MNV3(self.width, self.resolutions, n_classes, stem_stride=stem_stride, strides=self.strides or strides)


def sizes_for(side: int, width: float | None = None) -> Sizes:
    """Return the sizes for images of a side."""
    stem = "imagenet" if side >= LARGE else "small"
    return Sizes(side, WIDTH if width is None else width, resolutions_for(side), stem)


def table_sizes(path: Path, n_classes: int, side: int, *, size: int = 0, width: float | None = None) -> Sizes:
    """Return the sizes of the networks that a latency table was measured on.

    Args:
        path: The table.
        n_classes: Classes of the images.
        side: Side of the images.
        size: That they are stored at; 0 takes the largest of the table's.
        width: Width multiplier that was asked for; None takes the table's.

    Raises:
        UserError: It was measured on networks that are none for these images; the message says what measures those.
        DataError: It cannot be read.
    """
    of = read_latency(path).space
    own = sum_of(sizes_for(side, width).space(n_classes)).shape
    if of.get("name") != "mnv3":
        raise UserError(f"{path} was measured on {of.get('name')}: `{measuring_command(own)}` writes a table for fit.")
    sides = tuple(int(r) for r in of["resolutions"])
    if of["n_classes"] != n_classes:
        wanted = own if max(sides) > side else {**of, "n_classes": n_classes}
        raise UserError(
            f"{path} was measured on networks of {of['n_classes']} classes, these images have {n_classes}: "
            f"`{measuring_command(wanted)}` measures theirs."
        )
    if width is not None and width != of["width"]:
        raise UserError(
            f"{path} was measured at width {of['width']}, not {width:g}: leave --width out, or measure that: "
            f"`{measuring_command({**of, 'width': width})}`."
        )
    stem = "small" if of["stem_stride"] == 1 else "imagenet"
    return Sizes(size or max(sides), float(of["width"]), sides, stem, tuple(int(stride) for stride in of["strides"]))


def check_alone(sizes: Sizes, path: Path) -> None:
    """Check that networks that are trained alone are those of a latency table.

    Raises:
        UserError: Their strides are other ones: only a supernet has any.
    """
    strides = STEMS[sizes.stem][1]
    if sizes.strides and sizes.strides != strides:
        raise UserError(
            f"{path} was measured with the strides {_text(sizes.strides)}; candidates that are trained alone have "
            f"{_text(strides)}: give so many --hours that a supernet fits, or a table of those."
        )


def check_wishes(sizes: Sizes, n_classes: int, bounds: Mapping[str, float], latency: Path | None) -> None:
    """Check that there are networks within some upper bounds, as the search does when it opens.

    Args:
        sizes: Of the networks.
        n_classes: Classes of the images.
        bounds: By the name of the cost, "flops" or "latency".
        latency: Table of latencies, or None.

    Raises:
        UserError: There are too few, or a bound bounds nothing; the message says which bound there are some for.
        DataError: The table cannot be read, or lacks something.
    """
    space: SearchSpace = sizes.space(n_classes)
    if latency is not None:
        space = LatencySpace(space, read_latency(latency), latency)
    units = {cost.name: cost.unit for cost in space.costs}
    limits = [Constraint(name, True, bound, units[name], True, -1) for name, bound in bounds.items()]
    X = space.sample(SAMPLE, np.random.default_rng(0))
    for c in limits:
        high = float(space.cost(X, c.name).max())
        if c.bound > FAR * high:
            raise UserError(
                f"--max-{c.name} {c.bound:g} is far above all networks here, of which the largest has about "
                f"{high:.3g} {c.unit}: give the bound in {c.unit}, or leave it out."
            )
    if limits and _distinct(space, limits) < FEWEST:
        where = f"of width {sizes.width:g} at {_text(sizes.resolutions)} pixels"
        less = "a table of smaller networks" if latency is not None else "a smaller --width or --size"
        raise UserError(f"{_too_tight(space, limits, where)}, or {less}.")


def _distinct(space: SearchSpace, limits: Sequence[Constraint]) -> int:
    """Return how many different networks are among some random ones within bounds."""
    try:
        X = FeasibleSpace(space, limits).sample(DRAWN, np.random.default_rng(0))
    except UserError:
        return 0
    return len(np.unique(space.canonical(X)))


def _too_tight(space: SearchSpace, limits: Sequence[Constraint], where: str) -> str:
    """Return what is said of bounds that too few networks keep: the smallest values, and bounds that would do."""
    X = FeasibleSpace(space, ()).sample(DRAWS, np.random.default_rng(0))  # those that a search draws
    values = {c.name: space.cost(X, c.name) for c in limits}
    everywhere = np.ones(len(X), dtype=bool)
    failing = [(c, everywhere) for c in limits if _enough(space, X, values[c.name], everywhere) > c.bound]
    joined, condition = " and ", ""
    if not failing:  # each can be kept, not all together
        joined, condition = " or ", " within the other bound"
        kept = {c: values[c.name] <= c.bound for c in limits}
        failing = [(c, np.all([kept[other] for other in limits if other != c], axis=0)) for c in limits]
    low = [f"the smallest {c.name}{condition} is {values[c.name][rows].min():.4g} {c.unit}" for c, rows in failing]
    more = "" if condition else " or more"
    give = [f"--max-{c.name} {rounded_up(_enough(space, X, values[c.name], rows)):g}{more}" for c, rows in failing]
    asked = " and ".join(f"--max-{c.name} {c.bound:g}" for c in limits)
    return (
        f"too few networks keep to {asked}: of {DRAWS:,} random ones {where}, {' and '.join(low)}. "
        f"Give {joined.join(give)}"
    )


def _enough(space: SearchSpace, X: IntArray, values: FloatArray, within: NDArray[np.bool_]) -> float:
    """Return the smallest bound that enough different networks of some ``(n, n_var)`` keep."""
    rows = np.flatnonzero(within)
    rows = rows[np.argsort(values[rows], kind="stable")[:SMALLEST]]
    first = np.sort(np.unique(space.canonical(X[rows]), return_index=True)[1])
    return float(values[rows[first[:FEWEST]][-1]])


def _text(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))

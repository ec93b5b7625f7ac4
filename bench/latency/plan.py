"""What is measured for a space: its blocks, the networks that factors are fitted to, and those of the check."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.latency.terms import Sum, group_of, sum_of
from smemnas.bench.errors import UserError
from smemnas.bench.latency.graph import Graph
from smemnas.bench.latency.networks import block_plans, whole_network
from smemnas.spaces.base import IntArray, SearchSpace
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_genes import RESOLUTION_GENE
from smemnas.spaces.nb201 import NB201

#: Networks that factors are fitted to, and those of a check, half over the range and half of equal cost.
FITTED, CHECKED = 30, 50
#: Random networks that they are chosen from, and how far the equal ones' cost may be from the middle one.
DRAWN, NEAR = 4000, 0.1
SEED = 20240


@dataclass(frozen=True)
class MeasuringPlan:
    """A plan, and the graphs that it names.

    Attributes:
        content: As JSON values: space, blocks, networks, uses.
        graphs: What draws each graph, by its name.
    """

    content: dict[str, Any]
    graphs: dict[str, Callable[[], Graph]]


def measuring_plan(
    space: SearchSpace,
    *,
    fitted: int = FITTED,
    checked: int = CHECKED,
    known: Sequence[str] = (),
    seed: int = SEED,
) -> MeasuringPlan:
    """Return what is measured for a space.

    Args:
        space: Of the networks.
        fitted: Networks that factors are fitted to.
        checked: Networks of the check.
        known: Networks that factors were fitted to before: they are there as such, and not chosen for the check.
        seed: Of the draw of networks.

    Raises:
        UserError: The space has no networks here.
    """
    form = sum_of(space)
    graphs: dict[str, Callable[[], Graph]] = {}
    same: dict[Any, str] = {}

    def named(draw: Callable[[], Graph]) -> str:
        graph = draw()
        name = same.setdefault((graph.shape, *graph.operations), f"block{len(same)}")
        graphs.setdefault(name, draw)
        return name

    blocks = []
    for key, block in block_plans(space).items():
        signs = {"plus": [named(draw) for draw in block.plus], "minus": [named(draw) for draw in block.minus]}
        blocks.append({"key": key, "group": group_of(key), **signs, "count": block.times})
    networks = []
    uses, chosen = _chosen(space, fitted, checked, known, seed)
    chosen += [("fit", space.from_str(arch)) for arch in known]
    for number, (use, x) in enumerate(chosen):
        name = f"network{number}"
        graphs[name] = lambda x=x: whole_network(space, x)  # type: ignore[misc]
        networks.append({"arch": space.to_str(x), "use": use, "graph": name, "terms": terms_of(form, x)})
    content = {"space": form.shape, "blocks": blocks, "networks": networks, "uses": uses}
    return MeasuringPlan(content, graphs)


def terms_of(form: Sum, x: IntArray) -> dict[str, float]:
    """Return how often each block is in the network of a genotype ``(n_var,)``."""
    found: dict[str, float] = {}
    for index, times in zip(form.terms(np.asarray(x)[None])[0], form.times, strict=True):
        if index < len(form.keys):
            key = form.keys[int(index)]
            found[key] = found.get(key, 0.0) + float(times)
    return found


def _chosen(
    space: SearchSpace, fitted: int, checked: int, without: Collection[str], seed: int
) -> tuple[dict[str, str], list[tuple[str, IntArray]]]:
    """Return what each use of networks is in words, and the networks with their use; none is there twice."""
    rng = np.random.default_rng(seed)
    X = space.sample(DRAWN, rng)
    if isinstance(space, NB201):
        X = X[space.encode(X, "path")[:, 45] > 0]  # something reaches the output
    X = X[np.sort(np.unique(space.canonical(X), return_index=True)[1])]
    X = rng.permutation(X)
    if without:
        excluded = {space.canonical(space.from_str(arch)[None]).tobytes() for arch in without}
        X = X[[space.canonical(x[None]).tobytes() not in excluded for x in X]]
    flops = space.cost(X, "flops")
    taken: set[int] = set()
    parts = [("range", _spread(flops, checked - checked // 2, taken))]
    alike, about = _alike(space, X, flops)
    alike = [i for i in alike if i not in taken][: checked // 2]
    taken |= set(alike)
    parts += [("equal", alike), ("fit", _spread(flops, fitted, taken))]
    uses = {"range": "over the range of multiply-adds", "equal": about}
    return uses, [(use, X[i]) for use, rows in parts for i in rows]


def _spread(flops: Any, n: int, taken: set[int]) -> list[int]:
    """Return rows that lie evenly over the range of multiply-adds, none of them taken; marks them as taken."""
    found: list[int] = []
    for value in np.linspace(flops.min(), flops.max(), n):
        order = np.argsort(np.abs(flops - value), kind="stable")
        row = next((int(i) for i in order if int(i) not in taken), None)
        if row is not None:
            found.append(row)
            taken.add(row)
    return found


def _alike(space: SearchSpace, X: IntArray, flops: Any) -> tuple[list[int], str]:
    """Return rows of nearly the middle cost, at one resolution where there are several, and what they are in words."""
    rows, where = np.arange(len(X)), ""
    if isinstance(space, MNV3):
        middle = len(space.resolutions) // 2
        rows = np.flatnonzero(X[:, RESOLUTION_GENE] == middle)
        where = f"at {space.resolutions[middle]} pixels "
    if not len(rows):
        raise UserError(f"no networks of {space.name} could be drawn.")
    value = float(np.median(flops[rows]))
    near = rows[np.abs(flops[rows] - value) <= NEAR * value]
    return near.tolist(), f"{where}within 10 % of {value:.4g} M multiply-adds"

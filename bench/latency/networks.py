"""The networks of each space as graphs: whole ones, and the blocks that they are sums of.

A block's time is that of some graphs less that of others, divided by a count: three equal layers in a row less one such
layer are two layers as they are within a network, without what a call and the first and last change of layout cost.
A first layer of a stage, of which there is one in every network, is one such layer before another less that other.
The two ends of a network are two calls where a network is one, so an empty graph is taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from smemnas.bench.benchmarks.latency.terms import (
    CELL_PARTS,
    SIZED_BLOCKS,
    STAGES,
    computed_cell,
    macro_group,
    mnv3_group,
)
from smemnas.bench.errors import UserError
from smemnas.bench.latency.graph import Feature, Graph
from smemnas.spaces.base import IntArray, SearchSpace
from smemnas.spaces.cell201 import CONV1, CONV3, EDGES, OPERATIONS, POOL, SKIP
from smemnas.spaces.macro import IDENTITY, MB3_K3, Macro
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_choices import EXPANSIONS, KERNELS, MAX_DEPTH
from smemnas.spaces.mnv3_costs import Layer, Network, make_divisible, network
from smemnas.spaces.mnv3_genes import RESOLUTION_GENE
from smemnas.spaces.nats_sss import NATSSize
from smemnas.spaces.nb201 import CELLS_PER_STAGE, CHANNELS, NB201

Draw = Callable[[], Graph]


class BlockPlan(NamedTuple):
    """How a block is measured.

    Attributes:
        plus: Graphs whose times are added.
        minus: Graphs whose times are taken away.
        times: How often the block is in the difference.
    """

    plus: tuple[Draw, ...]
    minus: tuple[Draw, ...] = ()
    times: int = 1


def block_plans(space: SearchSpace) -> dict[str, BlockPlan]:
    """Return how each block of a space is measured, by its key."""
    if isinstance(space, MNV3):
        return {key: plan for r in space.resolutions for key, plan in _mnv3_blocks(space, r).items()}
    if isinstance(space, NB201):
        return _nb201_blocks(space)
    if isinstance(space, NATSSize):
        return _nats_blocks(space)
    if isinstance(space, Macro):
        return _macro_blocks(space)
    raise UserError(f"latency is not measured for networks of {space.name!r}.")


def whole_network(space: SearchSpace, x: IntArray) -> Graph:
    """Return the network of a genotype ``(n_var,)``."""
    if isinstance(space, MNV3):
        return _mnv3_network(space, x)
    if isinstance(space, NB201):
        return _nb201_network(space, x)
    if isinstance(space, NATSSize):
        return _nats_network(space, x)
    if isinstance(space, Macro):
        return _macro_network(space, x)
    raise UserError(f"latency is not measured for networks of {space.name!r}.")


def chain(channels: int, side: int, *parts: Callable[[Graph, Feature], Feature]) -> Draw:
    """Return a function that draws parts one after the other, from an input of some channels and side."""

    def draw() -> Graph:
        graph = Graph(channels, side)
        x = graph.image
        for part in parts:
            x = part(graph, x)
        return graph

    return draw


def empty() -> Graph:
    """Return a graph that does nothing to speak of: what a call costs."""
    graph = Graph(1, 1)
    graph.step("relu", graph.image)
    return graph


# --- mnv3


def _mnv3_layer(layer: Layer) -> Callable[[Graph, Feature], Feature]:
    act = "hardswish" if layer.h_swish else "relu"

    def add(graph: Graph, x: Feature) -> Feature:
        y = graph.conv(x, layer.mid, act=act)
        y = graph.conv(y, layer.mid, layer.kernel, layer.stride, groups=layer.mid, act=act)
        if layer.squeeze:
            gate = graph.pooled(y, "mean")
            gate = graph.conv(gate, make_divisible(layer.mid // 4), act="relu", norm=False, bias=True)
            gate = graph.conv(gate, layer.mid, act="hardsigmoid", norm=False, bias=True)
            y = graph.step("mul", y, gate)
        y = graph.conv(y, layer.c_out)
        return graph.step("add", y, x) if layer.skip else y

    return add


def _mnv3_early(net: Network, stem_stride: int) -> Callable[[Graph, Feature], Feature]:
    def add(graph: Graph, x: Feature) -> Feature:
        x = graph.conv(x, net.stem, 3, stem_stride, act="hardswish")
        y = graph.conv(x, net.stem, 3, groups=net.stem, act="relu")
        return graph.step("add", graph.conv(y, net.stem), x)

    return add


def _mnv3_late(net: Network, n_classes: int) -> Callable[[Graph, Feature], Feature]:
    def add(graph: Graph, x: Feature) -> Feature:
        x = graph.pooled(graph.conv(x, net.expand, act="hardswish"))
        return graph.classify(graph.conv(x, net.mix, act="hardswish", norm=False), n_classes)

    return add


def _mnv3_parts(space: MNV3, resolution: int) -> tuple[Network, dict[tuple[int, int], Layer]]:
    net = network(space.width, resolution, space.stem_stride, space.strides)
    return net, {(layer.index, layer.state): layer for layer in net.layers()}


def _mnv3_blocks(space: MNV3, r: int) -> dict[str, BlockPlan]:
    net, layers = _mnv3_parts(space, r)
    early = chain(3, r, _mnv3_early(net, space.stem_stride))
    late = chain(net.widths[-1], net.last, _mnv3_late(net, space.n_classes))
    found = {f"{r}/fixed/ends": BlockPlan((early, late), (empty,))}
    for (index, state), layer in layers.items():
        if index % MAX_DEPTH > 1:
            continue
        k, e = divmod(state - 1, len(EXPANSIONS))
        key = f"{r}/{mnv3_group(index)}/k{KERNELS[k]}e{EXPANSIONS[e]}"
        one = _mnv3_layer(layer)
        if index % MAX_DEPTH:
            three = chain(layer.c_in, layer.size_in, one, one, one)
            found[key] = BlockPlan((three,), (chain(layer.c_in, layer.size_in, one),), 2)
        else:
            other = _mnv3_layer(layers[index + 1, 1])
            alone = chain(layer.c_out, layer.size_out, other)
            found[key] = BlockPlan((chain(layer.c_in, layer.size_in, one, other),), (alone,))
    return found


def _mnv3_network(space: MNV3, x: IntArray) -> Graph:
    r = space.resolutions[int(x[RESOLUTION_GENE])]
    net, layers = _mnv3_parts(space, r)
    states = space.layer_states(x[None])[0]
    chosen = [_mnv3_layer(layers[index, int(state)]) for index, state in enumerate(states) if state]
    return chain(3, r, _mnv3_early(net, space.stem_stride), *chosen, _mnv3_late(net, space.n_classes))()


# --- nb201 and nats_sss


def _relu_conv(c_out: int, kernel: int, stride: int = 1) -> Callable[[Graph, Feature], Feature]:
    return lambda graph, x: graph.conv(graph.step("relu", x), c_out, kernel, stride)


def _cell_operation(op: int, channels: int) -> Callable[[Graph, Feature], Feature]:
    if op in (CONV1, CONV3):
        return _relu_conv(channels, 3 if op == CONV3 else 1)
    return lambda graph, x: graph.average(x, 3, 1, padded=True)


def _reduction(c_out: int) -> Callable[[Graph, Feature], Feature]:
    def add(graph: Graph, x: Feature) -> Feature:
        short = graph.conv(graph.average(x, 2, 2), c_out, norm=False)
        return graph.step("add", short, _relu_conv(c_out, 3)(graph, _relu_conv(c_out, 3, 2)(graph, x)))

    return add


def _stem(channels: int) -> Callable[[Graph, Feature], Feature]:
    return lambda graph, x: graph.conv(x, channels, 3)


def _cell_end(n_classes: int) -> Callable[[Graph, Feature], Feature]:
    def add(graph: Graph, x: Feature) -> Feature:
        return graph.classify(graph.pooled(graph.step("relu", graph.step("norm", x))), n_classes)

    return add


def _cell_term(graph: Graph, value: Feature, op: int, channels: int, shared: dict[tuple[str, int], Feature]) -> Feature:
    """Add the operation of an edge; ReLU and average of a node are shared by the edges that leave it."""
    kind = "average" if op == POOL else "relu"
    key = kind, value.number
    if key not in shared:
        shared[key] = graph.average(value, 3, 1, padded=True) if op == POOL else graph.step("relu", value)
    return shared[key] if op == POOL else graph.conv(shared[key], channels, 3 if op == CONV3 else 1)


def _cell(x: IntArray, channels: int) -> Callable[[Graph, Feature], Feature]:
    edges = np.flatnonzero(computed_cell(x[None])[0][0])

    def add(graph: Graph, image: Feature) -> Feature:
        nodes: list[Feature | None] = [image, None, None, None]
        shared: dict[tuple[str, int], Feature] = {}  # `export` computes what is equal once
        for gene in edges.tolist():
            (source, target), op = EDGES[gene], int(x[gene])
            value = nodes[source]
            assert value is not None  # `computed_cell` leaves out what nothing reaches
            term = value if op == SKIP else _cell_term(graph, value, op, channels, shared)
            before = nodes[target]
            nodes[target] = term if before is None else graph.step("add", before, term)
        if nodes[3] is None:
            raise UserError("this cell's output does not depend on its input: it has no latency.")
        return nodes[3]

    return add


def _nb201_sizes(space: NB201) -> tuple[list[int], int]:
    channels = int(getattr(space, "channels", CHANNELS[0]))
    return [channels << s for s in range(STAGES)], int(getattr(space, "cells", CELLS_PER_STAGE))


def _nb201_blocks(space: NB201) -> dict[str, BlockPlan]:
    size, (widths, _) = space.image_size, _nb201_sizes(space)
    ends = [_stem(widths[0]), _reduction(widths[1]), _reduction(widths[2]), _cell_end(space.n_classes)]
    found = {f"{size}/fixed/ends": BlockPlan((chain(3, size, *ends),))}

    def more(graph: Graph, x: Feature) -> Feature:
        return graph.step("add", x, graph.image)

    for s, width in enumerate(widths):
        side = size >> s
        for part in CELL_PARTS:
            op = more if part == "sum" else _cell_operation(OPERATIONS.index(part), width)
            three, one = chain(width, side, op, op, op), chain(width, side, op)
            found[f"{size}/stage{s + 1}/{part}"] = BlockPlan((three,), (one,), 2)
    return found


def _nb201_network(space: NB201, x: IntArray) -> Graph:
    widths, cells = _nb201_sizes(space)
    parts = [_stem(widths[0])]
    for s, width in enumerate(widths):
        parts += [_reduction(width)] if s else []
        parts += [_cell(np.asarray(x), width)] * cells
    return chain(3, space.image_size, *parts, _cell_end(space.n_classes))()


def _sized_cell(c_out: int) -> Callable[[Graph, Feature], Feature]:
    conv = _relu_conv(c_out, 3)

    def add(graph: Graph, x: Feature) -> Feature:
        entering = graph.step("relu", x)
        first = graph.conv(entering, c_out, 3)
        from_first = graph.step("relu", first)
        second = graph.step("add", graph.conv(entering, c_out, 3), graph.conv(from_first, c_out, 3))
        skip = x if x.channels == c_out else graph.conv(x, c_out)
        return graph.step("add", graph.step("add", skip, graph.conv(from_first, c_out, 3)), conv(graph, second))

    return add


def _nats_blocks(space: NATSSize) -> dict[str, BlockPlan]:
    size, found = space.image_size, {}
    for w in space.widths:
        found[f"{size}/first/{w}"] = BlockPlan((chain(3, size, _stem(w), _sized_cell(w)),))
    for name, (a, _) in list(SIZED_BLOCKS.items())[1:]:
        side = size >> (a + 1) // 2
        for c_in in space.widths:
            before: Callable[[Graph, Feature], Feature] = lambda graph, x: graph.conv(x, x.channels)  # noqa: E731
            alone = chain(c_in, side, before)
            for c_out in space.widths:
                body = [_reduction(c_out)] if name.startswith("reduction") else [_sized_cell(c_out)]
                body += [_cell_end(space.n_classes)] if name == "last" else []
                found[f"{size}/{name}/{c_in}-{c_out}"] = BlockPlan((chain(c_in, side, before, *body),), (alone,))
    return found


def _nats_network(space: NATSSize, x: IntArray) -> Graph:
    a, b, c, d, e = (space.widths[int(v)] for v in x)
    cells = [_sized_cell(a), _reduction(b), _sized_cell(c), _reduction(d), _sized_cell(e)]
    return chain(3, space.image_size, _stem(a), *cells, _cell_end(space.n_classes))()


# --- macro


def _macro_layer(choice: int, c_in: int, c_out: int, stride: int) -> Callable[[Graph, Feature], Feature]:
    def add(graph: Graph, x: Feature) -> Feature:
        if choice == IDENTITY:
            return x if stride == 1 else graph.conv(x, c_out, 1, stride)
        expansion, kernel = (3, 3) if choice == MB3_K3 else (6, 5)
        y = graph.conv(x, expansion * c_in, act="relu6")
        y = graph.conv(y, expansion * c_in, kernel, stride, groups=expansion * c_in, act="relu6")
        y = graph.conv(y, c_out)
        return graph.step("add", x, y) if stride == 1 and c_in == c_out else y

    return add


def _macro_ends(space: Macro) -> tuple[Callable[[Graph, Feature], Feature], Callable[[Graph, Feature], Feature]]:
    stem, _, head, n_classes, _ = space.network

    def early(graph: Graph, x: Feature) -> Feature:
        return graph.conv(x, stem, 3, act="relu6")

    def late(graph: Graph, x: Feature) -> Feature:
        return graph.classify(graph.pooled(graph.conv(x, head, act="relu6")), n_classes)

    return early, late


def _macro_blocks(space: Macro) -> dict[str, BlockPlan]:
    _, layers, _, _, size = space.network
    early, late = _macro_ends(space)
    found, side = {}, size
    for index, (c_in, c_out, stride) in enumerate(layers):
        after = side // stride
        for choice in range(3):
            key = f"{size}/{macro_group(index)}/{choice}"
            one = _macro_layer(choice, c_in, c_out, stride)
            if stride > 1:
                other = _macro_layer(MB3_K3, c_out, c_out, 1)
                found[key] = BlockPlan((chain(c_in, side, one, other),), (chain(c_out, after, other),))
            elif choice != IDENTITY:
                found[key] = BlockPlan((chain(c_in, side, one, one, one),), (chain(c_in, side, one),), 2)
        side = after
    ends = (chain(3, size, early), chain(layers[-1][1], side, late))
    found[f"{size}/fixed/ends"] = BlockPlan(ends, (empty,))
    return found


def _macro_network(space: Macro, x: IntArray) -> Graph:
    _, layers, _, _, size = space.network
    early, late = _macro_ends(space)
    chosen = [_macro_layer(int(v), *shape) for v, shape in zip(x, layers, strict=True)]
    return chain(3, size, early, *chosen, late)()

"""Graphs of NAS-Bench-101 as integers: pruning, isomorphism, the published hash, paths and costs.

A graph of up to seven vertices is a pair of int64: ``code``, one bit per edge, edge x-y at bit
``x + y (y-1) / 2`` (the enumeration order of the benchmark's authors), so that the predecessors of a vertex
are adjacent bits; and ``labels``, two bits per interior vertex, vertex 1 most significant. Vertex 0 is the
input, vertex 6 the output, whatever the number of vertices in use. Every function works on arrays of such
pairs.

Source: Ying et al., NAS-Bench-101, ICML 2019 (arXiv 1902.09635) and its supplement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import combinations, pairwise, permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

VERTICES = 7
OUTPUT = VERTICES - 1
INTERIOR = range(1, OUTPUT)
MAX_EDGES = 9
CONV3, CONV1, POOL = range(3)
#: Label -> published name.
OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
#: Label -> short name in architecture strings.
SHORT = ("c3", "c1", "mp")
#: First bit of the predecessors of each vertex.
COLUMN = tuple(y * (y - 1) // 2 for y in range(VERTICES))
LABEL_BITS = 2 * len(INTERIOR)
EDGE_BITS = VERTICES * (VERTICES - 1) // 2
STEM_CHANNELS = 128
STACKS = 3
MODULES_PER_STACK = 3
IMAGE_SIZE = 32
#: Rows handled at once, so that the temporary arrays stay in the cache.
_CHUNK = 4096
_LOW = 11  # bits of the first of the two look-ups of an edge code
_REVERSED = 1 << 40  # marks a relabelling that turns an edge round; larger than every key


def edge_bit(x: int, y: int) -> int:
    """Return the bit of edge ``x -> y`` with ``x < y``."""
    return x + COLUMN[y]


def label_shift(vertex: int) -> int:
    """Return the position of an interior vertex's two label bits."""
    return 2 * (OUTPUT - 1 - vertex)


def predecessors(code: IntArray, y: int) -> IntArray:
    """Return the bit set ``(n,)`` of the vertices with an edge into `y`."""
    return (code >> COLUMN[y]) & ((1 << y) - 1)


def prune(code: IntArray) -> tuple[IntArray, IntArray]:
    """Drop what lies on no path from input to output.

    Returns:
        The remaining edges ``(n,)`` and the remaining vertices ``(n,)`` as bit sets; both are 0 where the
        input is not connected to the output.
    """
    into = [predecessors(code, y) for y in range(VERTICES)]
    forward = np.ones_like(code)
    for y in range(1, VERTICES):
        forward |= ((into[y] & forward) != 0).astype(np.int64) << y
    backward = np.full_like(code, 1 << OUTPUT)
    for y in range(OUTPUT, 0, -1):
        backward |= into[y] * ((backward >> y) & 1)
    live = forward & backward
    live *= live & 1
    pruned = np.zeros_like(code)
    for y in range(1, VERTICES):
        pruned |= (into[y] & live) * ((live >> y) & 1) << COLUMN[y]
    return pruned, live


def count_edges(code: IntArray) -> IntArray:
    """Return the number of edges ``(n,)``."""
    ones = _ones()
    return np.asarray(ones[code & ((1 << _LOW) - 1)] + ones[code >> _LOW])


@cache
def _ones() -> IntArray:
    """Number of one bits of every integer below ``2^11``."""
    values = np.arange(1 << _LOW)
    return np.asarray(sum((values >> bit) & 1 for bit in range(_LOW)), dtype=np.int64)


def canonical_keys(code: IntArray, labels: IntArray) -> IntArray:
    """Return ``(n,)`` keys, equal exactly where two pruned graphs are isomorphic.

    A key is the smallest of ``vertices | edges | labels`` over all orders of the interior vertices in which
    no edge points backwards: the graph that the authors' enumeration meets first among its copies. It is
    exact, no hash is involved, and `from_keys` turns it back into the graph. 0 where input and output are not
    connected.
    Cost: one pass of three look-ups per order, at most 5! = 120.
    """
    pruned, live = prune(code)
    keys = np.zeros_like(code)
    inner = (live >> 1) & ((1 << len(INTERIOR)) - 1)
    inner[live == 0] = -1
    order = np.argsort(inner, kind="stable")
    bounds = np.searchsorted(inner[order], np.arange((1 << len(INTERIOR)) + 1))
    for subset, (start, stop) in enumerate(pairwise(bounds.tolist())):
        for begin in range(start, stop, _CHUNK):
            rows = order[begin : min(begin + _CHUNK, stop)]
            low, high = pruned[rows] & ((1 << _LOW) - 1), pruned[rows] >> _LOW
            label = labels[rows]
            best = np.full(len(rows), _REVERSED)
            for table in _relabellings(subset):
                found = table.low[low]
                found |= table.high[high]
                found |= table.labels[label]
                np.minimum(best, found, out=best)
            keys[rows] = best | (2 + bin(subset).count("1")) << (EDGE_BITS + LABEL_BITS)
    return keys


class _Relabelling(NamedTuple):
    """One order of the interior vertices as three look-up tables whose entries are or-ed."""

    low: IntArray
    high: IntArray
    labels: IntArray


@cache
def _relabellings(subset: int) -> tuple[_Relabelling, ...]:
    """Tables for every order of the interior vertices in the bit set `subset`, which move to 1, 2, ..."""
    chosen = [v for v in INTERIOR if subset >> (v - 1) & 1]
    last = len(chosen) + 1
    tables = []
    for order in permutations(chosen):
        place = {0: 0, OUTPUT: last, **{v: i for i, v in enumerate(order, 1)}}
        moved = np.zeros(EDGE_BITS, dtype=np.int64)
        for y in range(1, VERTICES):
            for x in range(y):
                if x in place and y in place:
                    forward = place[x] < place[y]
                    moved[edge_bit(x, y)] = 1 << (edge_bit(place[x], place[y]) + LABEL_BITS) if forward else _REVERSED
        name = np.zeros(LABEL_BITS, dtype=np.int64)
        for v in order:
            for bit in (0, 1):
                name[label_shift(v) + bit] = 1 << (label_shift(place[v]) + bit)
        tables.append(_Relabelling(_union(moved[:_LOW]), _union(moved[_LOW:]), _union(name)))
    return tuple(tables)


def _union(images: IntArray) -> IntArray:
    """Table ``(2^b,)``: the or of the images of the bits that are set."""
    table = np.zeros(1, dtype=np.int64)
    for image in images:
        table = np.concatenate([table, table | image])
    return table


def from_keys(keys: IntArray) -> tuple[IntArray, IntArray]:
    """Return code and labels ``(n,)`` of the representative of each key; the output is vertex 6 again."""
    vertices = keys >> (EDGE_BITS + LABEL_BITS)
    edges = (keys >> LABEL_BITS) & ((1 << EDGE_BITS) - 1)
    last = np.clip(vertices - 1, 1, OUTPUT)
    first = last * (last - 1) // 2
    inside = edges & ((1 << first) - 1)
    return inside | (edges >> first) << COLUMN[OUTPUT], keys & ((1 << LABEL_BITS) - 1)


def published_hash(vertices: int, edges: Iterable[tuple[int, int]], labels: Sequence[int]) -> str:
    """Return the benchmark's own graph hash (MD5, hexadecimal) of a pruned graph.

    Colour refinement: a vertex starts as (out-degree, in-degree, label) and is hashed together with the
    sorted hashes of its predecessors and successors as many times as there are vertices. The authors checked
    that two graphs of this space share a hash only if they are isomorphic.

    Args:
        vertices: Number of vertices.
        edges: Pairs (source, target).
        labels: One per vertex: -1 for the input, -2 for the output, 0, 1, 2 for conv3x3, conv1x1, maxpool.
    """
    before: list[list[int]] = [[] for _ in range(vertices)]
    after: list[list[int]] = [[] for _ in range(vertices)]
    for x, y in edges:
        before[y].append(x)
        after[x].append(y)
    colours = [_start_colour(len(after[v]), len(before[v]), labels[v]) for v in range(vertices)]
    for _ in range(vertices):
        colours = [
            _md5(
                f"{''.join(sorted([colours[x] for x in before[v]]))}|"
                f"{''.join(sorted([colours[y] for y in after[v]]))}|{colours[v]}"
            )
            for v in range(vertices)
        ]
    return _md5(str(sorted(colours)))


def _md5(text: str) -> str:
    """Hexadecimal MD5 of a text; an identifier here, nothing relies on it for security."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@cache
def _start_colour(outgoing: int, incoming: int, label: int) -> str:
    """First colour of a vertex."""
    return _md5(str((outgoing, incoming, label)))


def path_features(code: IntArray, labels: IntArray, vertices: int) -> NDArray[np.float64]:
    """Return the path encoding ``(n, 3^0 + ... + 3^(vertices-2))`` of BANANAS (White et al., AAAI 2021).

    Column ``(3^L - 1) / 2 + o_1 3^(L-1) + ... + o_L`` is 1 if a path from input to output runs through
    exactly the operations ``o_1 .. o_L`` (0 conv3x3, 1 conv1x1, 2 maxpool). A set of interior vertices has
    one possible path, so there are ``2^(vertices-2)`` of them to test.
    """
    Z = np.zeros((len(code), (3 ** (vertices - 1) - 1) // 2))
    interior = range(1, vertices - 1)
    for length in range(len(interior) + 1):
        for steps in combinations(interior, length):
            route = (0, *steps, OUTPUT)
            needed = sum(1 << edge_bit(x, y) for x, y in pairwise(route))
            rows = np.flatnonzero((code & needed) == needed)
            column = np.full(len(rows), 0)
            for v in steps:
                column = 3 * column + ((labels[rows] >> label_shift(v)) & 3)
            Z[rows, (3**length - 1) // 2 + column] = 1.0
    return Z


def network_counts(code: IntArray, labels: IntArray) -> tuple[IntArray, IntArray]:
    """Return weights and batch-norm parameters ``(n, 3)`` of the modules of each stack, for pruned graphs.

    Channels: the output's are divided among the interior vertices that feed it, the first ones taking one
    more where the division has a remainder; any other vertex has as many as the widest vertex that it feeds.
    Wider inputs are truncated, edges from the input are 1x1 projections, and an edge from input to output
    adds a projection to all channels. The remainder makes the count depend on the order of the vertices, so
    pass representatives (`from_keys`) where copies of a graph shall agree.
    """
    weights = np.zeros((len(code), STACKS), dtype=np.int64)
    norms = np.zeros_like(weights)
    for at in range(0, len(code), _CHUNK):
        part = slice(at, at + _CHUNK)
        _count_into(weights[part], norms[part], code[part], labels[part])
    return weights, norms


def _count_into(weights: IntArray, norms: IntArray, code: IntArray, labels: IntArray) -> None:
    """Add the counts of `network_counts` to ``(n, 3)`` arrays."""
    into = [predecessors(code, y) for y in range(VERTICES)]
    feeds = [(into[OUTPUT] >> v) & 1 for v in range(VERTICES)]
    feeders = np.asarray(sum(feeds[v] for v in INTERIOR))
    label = [(labels >> label_shift(v)) & 3 if v in INTERIOR else labels for v in range(VERTICES)]
    for stack in range(STACKS):
        width = STEM_CHANNELS << stack
        share, rest = np.divmod(width, np.maximum(feeders, 1))
        channels = [np.zeros_like(code) for _ in range(VERTICES)]
        for v in INTERIOR:
            channels[v] = feeds[v] * (share + (rest > 0))
            rest = rest - feeds[v]
        for v in reversed(INTERIOR):
            for y in range(v + 1, OUTPUT):
                through = (1 - feeds[v]) * ((into[y] >> v) & 1)
                channels[v] = np.maximum(channels[v], through * channels[y])
        channels[OUTPUT] = np.full_like(code, width)
        enter = (width // 2 if stack else width) + (MODULES_PER_STACK - 1) * width  # over the stack's modules
        for v in range(1, VERTICES):
            c, projected = channels[v], into[v] & 1
            weights[:, stack] += projected * c * enter
            norms[:, stack] += projected * 2 * c * MODULES_PER_STACK
            if v != OUTPUT:
                kernel = np.where(label[v] == CONV3, 9, np.where(label[v] == CONV1, 1, 0))
                weights[:, stack] += MODULES_PER_STACK * kernel * c * c
                norms[:, stack] += MODULES_PER_STACK * (kernel > 0) * 2 * c


def parameters(code: IntArray, labels: IntArray, n_classes: int) -> IntArray:
    """Return the trainable parameters ``(n,)`` of the networks of pruned graphs, vertices as they come."""
    weights, norms = network_counts(code, labels)
    stem = 27 * STEM_CHANNELS + 2 * STEM_CHANNELS
    total = weights.sum(axis=1) + norms.sum(axis=1) + stem + (_last_channels() + 1) * n_classes
    return np.asarray(total, dtype=np.int64)


def multiply_adds(code: IntArray, labels: IntArray, n_classes: int) -> IntArray:
    """Return the multiply-adds ``(n,)`` on a 32x32 image: convolutions and the classifier with its bias."""
    weights, _ = network_counts(code, labels)
    pixels = (IMAGE_SIZE >> np.arange(STACKS)) ** 2
    stem = IMAGE_SIZE**2 * 27 * STEM_CHANNELS
    return weights @ pixels + stem + (_last_channels() + 1) * n_classes


def _last_channels() -> int:
    """Channels that reach the classifier."""
    return STEM_CHANNELS << (STACKS - 1)

"""How the architectures of each built-in space look, as a picture and as text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, cast

import numpy as np

from smemnas.bench.report.architecture.picture import Edge, Picture, bars, chain_of_vertices, gene_table, rows_of_boxes
from smemnas.spaces import graph101 as graphs
from smemnas.spaces import macro, mnv3_costs, nats_sss, nb101
from smemnas.spaces.base import IntArray, SearchSpace
from smemnas.spaces.cell201 import EDGES, NONE
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_genes import RESOLUTION_GENE, decode


class Drawing(ABC):
    """The look of one space."""

    @abstractmethod
    def picture(self, space: SearchSpace, x: IntArray) -> Picture:
        """Return the picture of one genotype ``(n_var,)``."""

    @abstractmethod
    def text(self, space: SearchSpace, x: IntArray) -> list[str]:
        """Return lines of text that say the same."""


class Cell201(Drawing):
    """Four nodes; every edge carries an operation."""

    WORDS = ("none", "skip", "conv 1x1", "conv 3x3", "avg pool")
    LOOKS = ("none", "skip", "one", "three", "pool")
    NODES = ("input", "node 1", "node 2", "output")

    def picture(self, space: SearchSpace, x: IntArray) -> Picture:
        """Return the cell."""
        edges = [Edge(*edge, self.WORDS[op], self.LOOKS[op]) for edge, op in zip(EDGES, x.tolist(), strict=True)]
        return chain_of_vertices([(name, "io") for name in self.NODES], edges, 58.0, 84.0)

    def text(self, space: SearchSpace, x: IntArray) -> list[str]:
        """Return each node as a sum of operations."""
        lines = []
        for node in (1, 2, 3):
            terms = [
                f"{self.WORDS[op]}({self.NODES[source]})"
                for (source, target), op in zip(EDGES, x.tolist(), strict=True)
                if target == node and op != NONE
            ]
            lines.append(f"{self.NODES[node]} = {' + '.join(terms) or '0'}")
        return lines


class Cell101(Drawing):
    """The pruned graph; every vertex carries an operation."""

    WORDS = ("conv 3x3", "conv 1x1", "max pool")
    LOOKS = ("three", "one", "pool")

    def _graph(self, space: SearchSpace, x: IntArray) -> tuple[list[tuple[str, str]], list[Edge], int]:
        """Return vertices, edges and how many vertices pruning dropped."""
        of = cast(nb101.NB101, space)
        code, labels = of.pack(x[None])
        pruned = of.unpack(graphs.prune(code)[0], labels)[0].tolist()
        n_edges, last = len(of.edges), of.max_vertices - 1
        kept = [edge for edge, there in zip(of.edges, pruned[:n_edges], strict=True) if there]
        live = sorted({0, last, *(v for edge in kept for v in edge)})
        number = {v: k for k, v in enumerate(live)}
        looks = {v: (self.WORDS[op], self.LOOKS[op]) for v, op in enumerate(pruned[n_edges:], start=1)}
        looks |= {0: ("input", "io"), last: ("output", "io")}
        edges = [Edge(number[source], number[target]) for source, target in kept]
        return [looks[v] for v in live], edges, of.max_vertices - len(live)

    def picture(self, space: SearchSpace, x: IntArray) -> Picture:
        """Return the pruned graph."""
        vertices, edges, _ = self._graph(space, x)
        return chain_of_vertices(vertices, edges, 66.0, 36.0)

    def text(self, space: SearchSpace, x: IntArray) -> list[str]:
        """Return what feeds each vertex."""
        vertices, edges, dropped = self._graph(space, x)
        names = [word if kind == "io" else f"{k} {word}" for k, (word, kind) in enumerate(vertices)]
        lines = [
            f"{names[v]} <- {', '.join(names[e.source] for e in edges if e.target == v)}" for v in range(1, len(names))
        ]
        if not edges:
            lines = ["input and output are not connected: no network"]
        return lines + ([f"left out, on no path from input to output: {dropped}"] if dropped else [])


class Chain(Drawing):
    """NAS-Bench-Macro: three stages of blocks."""

    WORDS = ("identity", "MB3 3x3", "MB6 5x5")
    LOOKS = ("skip", "three", "five")
    STAGES = ((0, 2), (2, 5), (5, 8))

    def _rows(self, x: IntArray) -> list[tuple[str, list[tuple[str, str]]]]:
        rows, side = [], macro.IMAGE
        for s, (first, last) in enumerate(self.STAGES):
            side //= 2
            blocks = [(self.WORDS[op], self.LOOKS[op]) for op in x[first:last].tolist()]
            rows.append((f"stage {s + 1}: {macro.LAYERS[first][1]} channels, {side} px", blocks))
        return rows

    def picture(self, space: SearchSpace, x: IntArray) -> Picture:
        """Return the stages as rows of blocks."""
        before = f"{macro.IMAGE} px image, stem of {macro.STEM} channels"
        return rows_of_boxes(self._rows(x), before, f"1x1 to {macro.HEAD} channels, classifier", 70.0)

    def text(self, space: SearchSpace, x: IntArray) -> list[str]:
        """Return one line per stage; the first block of a stage halves the resolution."""
        return [f"{name}: {', '.join(word for word, _ in blocks)}" for name, blocks in self._rows(x)]


class Widths(Drawing):
    """NATS-Bench size space: five channel counts."""

    NAMES = ("cell 1", "reduction 1", "cell 2", "reduction 2", "cell 3")

    def picture(self, space: SearchSpace, x: IntArray) -> Picture:
        """Return the channel counts as bars."""
        channels = [nats_sss.CHANNELS[v] for v in x.tolist()]
        return bars([float(c) for c in channels], [str(c) for c in channels], list(self.NAMES))

    def text(self, space: SearchSpace, x: IntArray) -> list[str]:
        """Return the channel counts by name."""
        return [f"{name}: {nats_sss.CHANNELS[v]} channels" for name, v in zip(self.NAMES, x.tolist(), strict=True)]


class Stages(Drawing):
    """OFA-MobileNetV3: five stages of two to four layers, kernel and expansion each."""

    LOOKS: ClassVar[dict[int, str]] = {3: "three", 5: "five", 7: "seven"}

    def _rows(self, space: SearchSpace, x: IntArray) -> tuple[int, list[tuple[str, list[tuple[str, str]]]]]:
        of = cast(MNV3, space)
        subnet, rows = decode(x, of.options), []
        for s, percent in enumerate(subnet.widths):
            layers = [(kernel, expansion) for stage, _, kernel, expansion in subnet.layers() if stage == s]
            blocks = [(f"k{kernel} e{expansion}", self.LOOKS[kernel]) for kernel, expansion in layers]
            full = mnv3_costs.make_divisible(mnv3_costs.BASE_WIDTHS[s] * of.width)
            rows.append((f"stage {s + 1}: {mnv3_costs.narrowed(full, percent)} ch, stride {of.strides[s]}", blocks))
        return of.resolutions[int(x[RESOLUTION_GENE])], rows

    def picture(self, space: SearchSpace, x: IntArray) -> Picture:
        """Return the stages as rows of layers."""
        side, rows = self._rows(space, x)
        before = f"{side} px image, width {cast(MNV3, space).width:g}; k: kernel, e: expansion"
        return rows_of_boxes(rows, before, "pooling, classifier", 54.0)

    def text(self, space: SearchSpace, x: IntArray) -> list[str]:
        """Return one line per stage."""
        side, rows = self._rows(space, x)
        lines = [f"{name}: {', '.join(word for word, _ in blocks)}" for name, blocks in rows]
        return [f"resolution {side} px, width {cast(MNV3, space).width:g}", *lines]


class Levels(Drawing):
    """The toy space: five levels."""

    def picture(self, space: SearchSpace, x: IntArray) -> Picture:
        """Return the levels as bars."""
        values = x.tolist()
        return bars([float(v) for v in values], [str(v) for v in values], [f"gene {j}" for j in range(len(values))])

    def text(self, space: SearchSpace, x: IntArray) -> list[str]:
        """Return the levels, and how far each is from the highest."""
        top = np.asarray(space.n_choices) - 1
        return [f"gene {j}: level {v} of 0..{n}" for j, (v, n) in enumerate(zip(x.tolist(), top.tolist(), strict=True))]


DRAWINGS: dict[str, Drawing] = {
    "nb201": Cell201(),
    "nb101": Cell101(),
    "macro": Chain(),
    "nats_sss": Widths(),
    "mnv3": Stages(),
    "toy": Levels(),
}


def picture(space: SearchSpace, x: IntArray) -> Picture:
    """Return the picture of one genotype ``(n_var,)``."""
    draw = DRAWINGS.get(space.name)
    return draw.picture(space, x) if draw is not None else gene_table(space, x)


def plain_text(space: SearchSpace, x: IntArray) -> list[str]:
    """Return the same as lines of text, for a terminal."""
    draw = DRAWINGS.get(space.name)
    if draw is not None:
        return draw.text(space, x)
    described = space.describe(x)
    lines = [] if described == space.to_str(x) else [described]
    return lines + [
        f"gene {j}: {int(v)} of 0..{n - 1}" for j, (v, n) in enumerate(zip(x, space.n_choices, strict=True))
    ]

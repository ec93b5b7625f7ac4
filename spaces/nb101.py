"""NAS-Bench-101: a cell of at most seven vertices and nine edges (Ying et al., ICML 2019, arXiv 1902.09635).

Genes: the upper triangle of the adjacency matrix row by row (0-1, 0-2, ..., 5-6; binary), then the operation
of each interior vertex (0 conv3x3-bn-relu, 1 conv1x1-bn-relu, 2 maxpool3x3; the order of the published hash).

As in the original, a genotype is pruned first: vertices on no path from input to output and their edges do
not count. It is valid if input and output are connected and at most nine edges remain. Its network, its costs
and its table row are those of the pruned graph up to isomorphism; 423,624 such graphs exist.

Costs are exact for the published network (stem of 128 channels, 3 stacks of 3 cells, 10 classes): trainable
parameters with batch norm, and multiply-adds of convolutions and of the classifier with its bias (batch norm,
pooling and additions are free).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError
from smemnas.bench.program import install
from smemnas.spaces import graph101 as graphs
from smemnas.spaces.base import SPACES, FloatArray, IntArray, Objective, SearchSpace
from smemnas.spaces.graph101 import OPERATIONS, SHORT

if TYPE_CHECKING:
    from torch import nn

    from smemnas.spaces.forms import Form

N_GRAPHS = 423_624


@SPACES.register("nb101", summary="NAS-Bench-101 cell: 7 vertices, 9 edges, 3 operations; 423,624 distinct graphs")
class NB101(SearchSpace):
    """A graph of at most `max_vertices` vertices.

    Args:
        max_vertices: Input and output included, 3 to 7. Fewer than 7 give a subspace (4 for EC-NAS).
        n_classes: Size of the classifier; enters both costs.
    """

    name = "nb101"
    encodings = ("int", "onehot", "adjacency", "path")
    default_encoding = "path+adjacency"
    costs = (Objective("flops", "M", True), Objective("params", "M", True))
    rows_are_networks = True
    default_dataset = "cifar10"

    def __init__(self, max_vertices: int = graphs.VERTICES, n_classes: int = 10) -> None:
        if not 3 <= max_vertices <= graphs.VERTICES:
            raise UserError(f"nb101 has 3 to {graphs.VERTICES} vertices, got max_vertices={max_vertices}.")
        self.max_vertices = max_vertices
        self.n_distinct = N_GRAPHS if max_vertices == graphs.VERTICES else 0
        self.n_classes = n_classes
        self.edges = tuple((x, y) for x in range(max_vertices) for y in range(x + 1, max_vertices))
        self.n_choices = (2,) * len(self.edges) + (3,) * (max_vertices - 2)
        # The output is always vertex 6 of the packed form: a smaller graph leaves the vertices before it out.
        last, output = max_vertices - 1, graphs.OUTPUT
        bits = [graphs.edge_bit(x, output if y == last else y) for x, y in self.edges]
        self._edge_weights = np.left_shift(1, np.array(bits, dtype=np.int64))
        self._label_shifts = np.array([graphs.label_shift(v) for v in range(1, last)], dtype=np.int64)

    def pack(self, X: IntArray) -> tuple[IntArray, IntArray]:
        """Return edge codes and labels ``(n,)`` of genotypes, not pruned; see `spaces.graph101`."""
        X = np.asarray(X, dtype=np.int64)
        n_edges = len(self.edges)
        return X[:, :n_edges] @ self._edge_weights, X[:, n_edges:] @ np.left_shift(1, self._label_shifts)

    def unpack(self, code: IntArray, labels: IntArray) -> IntArray:
        """Return the genotypes ``(n, n_var)`` of packed graphs whose vertices fit in."""
        edges = (code[:, None] & self._edge_weights) != 0
        return np.hstack([edges, (labels[:, None] >> self._label_shifts) & 3]).astype(np.int64)

    def is_valid(self, X: IntArray) -> NDArray[np.bool_]:
        """Return ``(n,)``: on the grid, input connected to output, at most nine edges after pruning."""
        on_grid = super().is_valid(X)
        pruned, live = graphs.prune(self.pack(np.where(on_grid[:, None], X, 0))[0])
        return np.asarray(on_grid & (live != 0) & (graphs.count_edges(pruned) <= graphs.MAX_EDGES))

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw ``(n, n_var)`` valid genotypes, independently and uniformly over all valid genotypes.

        Genotypes are drawn uniformly over the grid and the first `n` valid ones are kept, which is unbiased
        whatever the size of the batches; 73 % are valid for seven vertices. A graph is drawn in proportion to
        its number of genotypes, so small graphs come often.
        """
        kept, found = [np.empty((0, self.n_var), dtype=np.int64)], 0
        while found < n:
            X = super().sample(2 * (n - found) + 32, rng)
            kept.append(X[self.is_valid(X)][: n - found])
            found += len(kept[-1])
        return np.concatenate(kept)

    def canonical(self, X: IntArray) -> IntArray:
        """Return ``(n,)`` int64 keys, equal exactly where the pruned graphs are isomorphic.

        The same graph has the same key whatever `max_vertices` is. 0 where input and output are unconnected.
        """
        return graphs.canonical_keys(*self.pack(X))

    def from_canonical(self, keys: IntArray) -> IntArray:
        """Return one genotype ``(n, n_var)`` for each key: the representative that costs are computed on."""
        return self.unpack(*graphs.from_keys(np.asarray(keys, dtype=np.int64)))

    def hashes(self, X: IntArray) -> list[str]:
        """Return the benchmark's published hash (32 hexadecimal digits) of each valid genotype.

        About 60 us per distinct graph; to look something up, use `canonical`.
        """
        keys, inverse = np.unique(self.canonical(X), return_inverse=True)
        codes, labels = graphs.from_keys(keys)
        unique = [hash_of(int(c), int(names)) for c, names in zip(codes, labels)]
        return [unique[i] for i in inverse.ravel()]

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return trainable parameters or multiply-adds in millions.

        Where the channels do not divide evenly, the counts depend a little on the order of the vertices. They
        are taken from one representative of each graph (the one that the authors' enumeration meets first and
        that was trained), so that all genotypes of one table row cost the same.
        """
        if name not in ("params", "flops"):
            return super().cost(X, name)
        code, labels = self.pack(X)
        code, _ = graphs.prune(code)
        feeders = graphs.count_edges(graphs.predecessors(code, graphs.OUTPUT) >> 1)
        uneven = np.flatnonzero(graphs.STEM_CHANNELS % np.maximum(feeders, 1))
        code[uneven], labels[uneven] = graphs.from_keys(graphs.canonical_keys(code[uneven], labels[uneven]))
        count = graphs.parameters if name == "params" else graphs.multiply_adds
        return count(code, labels, self.n_classes) / 1e6

    def _encode(self, X: IntArray, part: str) -> FloatArray:
        if part == "path":
            return graphs.path_features(*self.pack(X), self.max_vertices)
        if part == "adjacency":
            n_edges = len(self.edges)
            operations = super()._encode(X, "onehot")[:, 2 * n_edges :]
            return np.hstack([np.asarray(X[:, :n_edges], dtype=np.float64), operations])
        return super()._encode(X, part)

    def build(self, x: IntArray, n_classes: int) -> nn.Module:
        """Return the published network, built by the package nasbench-pytorch."""
        try:
            package = importlib.import_module("nasbench_pytorch.model.model")
        except ImportError as error:
            raise UserError(f"networks of nb101 need nasbench-pytorch: {install('train')}") from error
        if not self.is_valid(x[None])[0]:
            raise UserError(f"{self.to_str(x)} is not valid in nb101: it has no network.")
        x = self.from_canonical(self.canonical(x[None]))[0]
        adjacency = np.zeros((self.max_vertices, self.max_vertices), dtype=np.int64)
        adjacency[np.triu_indices(self.max_vertices, 1)] = x[: len(self.edges)]
        names = ["input", *(OPERATIONS[g] for g in x[len(self.edges) :]), "output"]
        network: nn.Module = package.Network((adjacency, names), num_labels=n_classes)
        for module in network.modules():
            if isinstance(module, package.Placeholder):
                del module.a  # an unused scalar that would count as a parameter
        return network

    def to_str(self, x: IntArray) -> str:
        """Return rows of the upper triangle and operations: ``110001.00100.0000.000.00.1:c3-c1-mp-c3-c3``.

        It names the genotype (not the pruned graph), so `from_str` gives exactly `x` back.
        """
        genes = [int(g) for g in x]
        rows, at = [], 0
        for length in range(self.max_vertices - 1, 0, -1):
            rows.append("".join(map(str, genes[at : at + length])))
            at += length
        return f"{'.'.join(rows)}:{'-'.join(SHORT[g] for g in genes[at:])}"

    def from_str(self, arch: str) -> IntArray:
        """Parse `to_str`'s result or the form of the original files, of any graph that fits in.

        The original form is the whole matrix and the names, ``0110001100010000:input,conv1x1-bn-relu,
        conv3x3-bn-relu,output``. Vertices that a smaller graph lacks become unconnected ones before the
        output.

        Raises:
            UserError: Neither form, or too many vertices.
        """
        left, colon, right = arch.strip().partition(":")
        if right.startswith("input"):
            names = right.split(",")
            matrix = [left[i : i + len(names)] for i in range(0, len(left), max(len(names), 1))]
            known = OPERATIONS
            names = names[1:-1] if names[-1] == "output" else [""]
        else:
            upper = left.split(".")
            matrix = [row.rjust(len(upper) + 1, "0") for row in (*upper, "")]
            shaped = [len(row) for row in upper] == list(range(len(upper), 0, -1))
            known, names = SHORT, right.split("-") if right else []
            matrix = matrix if shaped and colon else []
        size = len(names) + 2
        square = len(matrix) == size and all(len(row) == size and set(row) <= set("01") for row in matrix)
        if square and size <= self.max_vertices and set(names) <= set(known):
            adjacency = np.array([[int(bit) for bit in row] for row in matrix])
            if not np.tril(adjacency).any():
                return self.from_matrix(adjacency, [known.index(name) for name in names])
        example = self.to_str(np.zeros(self.n_var, dtype=np.int64))
        raise UserError(
            f"not an architecture of nb101 with up to {self.max_vertices} vertices: {arch!r}. "
            f"Expected matrix rows and operations of {', '.join(SHORT)} like {example}"
        )

    @property
    def forms(self) -> tuple[Form, ...]:
        """Adds matrix and operations, and the published hash (written only)."""
        from smemnas.spaces.forms101 import graph_forms

        return (*super().forms, *graph_forms(self))

    def from_matrix(self, adjacency: NDArray[np.integer], labels: Sequence[int]) -> IntArray:
        """Return the genotype of an upper-triangular matrix ``(v, v)`` and its ``v - 2`` interior labels."""
        size = len(adjacency)
        place = [*range(size - 1), self.max_vertices - 1]
        full = np.zeros((self.max_vertices, self.max_vertices), dtype=np.int64)
        full[np.ix_(place, place)] = adjacency
        operations = np.zeros(self.max_vertices - 2, dtype=np.int64)
        operations[: size - 2] = labels
        return np.concatenate([full[np.triu_indices(self.max_vertices, 1)], operations])


def hash_of(code: int, labels: int) -> str:
    """Return the published hash of one pruned, packed graph with interior vertices 1, 2, ... without gap."""
    edges = [(x, y) for y in range(1, graphs.VERTICES) for x in range(y) if code >> graphs.edge_bit(x, y) & 1]
    last = max((x for x, _ in edges), default=0) + 1
    moved = [(x, last if y == graphs.OUTPUT else y) for x, y in edges]
    names = [-1, *(labels >> graphs.label_shift(v) & 3 for v in range(1, last)), -2]
    return graphs.published_hash(last + 1, moved, names)

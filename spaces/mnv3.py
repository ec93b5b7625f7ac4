"""OFA-MobileNetV3: the space of the paper's ImageNet runs (Cai et al., Once-for-All, ICLR 2020).

Five stages of two to four inverted-residual layers, each with a kernel of 3, 5 or 7 and an expansion of 3, 4
or 6, and the input resolution. 46 genes in the order of MSuNAS (Lu et al., NSGANetV2, ECCV 2020): for each
stage its depth index, four kernel indices and four expansion indices, then the resolution index.

Genes of layers past a stage's depth are inactive: many genotypes decode to one network. `normalise` sets
inactive genes to 0, `canonical` and `to_str` ignore them, and so do all costs and encodings.

With `choices="wide"`, for small images, depths start at 1 and expansions at 1, and five more genes after the
resolution choose the width of each stage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError, choose, suggest
from smemnas.spaces.base import SPACES, FloatArray, IntArray, Objective, SearchSpace, one_hot
from smemnas.spaces.forms import Form, Operations, mapping
from smemnas.spaces.mnv3_choices import (
    CHOICES,
    DEPTHS,
    EXPANSIONS,
    FULL,
    KERNELS,
    MAX_DEPTH,
    N_LAYERS,
    N_STAGES,
    check_choices,
    read_name,
)
from smemnas.spaces.mnv3_costs import STEM_STRIDE, STRIDES, check_shape, cost_tables, network
from smemnas.spaces.mnv3_genes import (
    DEPTH_GENES,
    EXPANSION_GENES,
    KERNEL_GENES,
    N_GENES,
    RESOLUTION_GENE,
    STAGE_GENES,
    STARTS,
    WIDTH_GENES,
    active_layers,
    clear_absent,
    decode,
    layer_features,
    layer_names,
    same_widths,
    stage_table,
)
from smemnas.spaces.mnv3_latency import LatencyTable, check_latency

#: Resolutions that OFA's accuracy predictor and latency tables share.
RESOLUTIONS = (160, 176, 192, 208, 224)
SAMPLINGS = ("genes", "networks")


@SPACES.register("mnv3", summary="OFA-MobileNetV3, 46 genes, 2.2e19 networks per resolution")
class MNV3(SearchSpace):
    """Names look like ``r224-3334-7673-36567634-5353-3333``: per layer two digits, kernel and expansion.

    Args:
        width: Width multiplier of the supernet, never a gene; the published ones have 1.0 and 1.2.
        resolutions: Input resolutions to choose from, ascending.
        n_classes: Size of the classifier; enters parameters and MAdds.
        sampling: "genes" draws depth, kernel and expansion each uniformly, as OFA and MSuNAS do (a third of the
            stages have two layers); "networks" draws uniformly over the distinct networks (89 % of the
            stages then have four layers, for these have the most combinations).
        latency: Look-up table behind the cost "latency" (width 1.2).
        stem_stride: Stride of the stem, 1 for small images.
        strides: Stride of the first layer of each stage.
        choices: What layers and stages may be, see `spaces.mnv3_choices`: "ofa", the published supernets', or "wide".
    """

    name = "mnv3"
    encodings = ("int", "onehot", "layer")
    default_encoding = "layer"
    recommended_encoding = "int+onehot+layer"
    default_dataset = "ofa"

    def __init__(
        self,
        width: float = 1.0,
        resolutions: Sequence[int] = RESOLUTIONS,
        n_classes: int = 1000,
        sampling: str = "genes",
        latency: LatencyTable | None = None,
        stem_stride: int = STEM_STRIDE,
        strides: Sequence[int] = STRIDES,
        choices: str = "ofa",
    ) -> None:
        sides = tuple(int(r) for r in resolutions)
        check_shape(width, stem_stride, strides, n_classes)
        if not sides or sides != tuple(sorted(set(sides))) or sides[0] < 8 or len(sides) > 200:
            raise UserError(f"mnv3 needs 1 to 200 ascending resolutions of at least 8, got {sides}.")
        if sampling not in SAMPLINGS:
            raise UserError(f"mnv3 has no sampling {sampling!r}.{suggest(sampling, SAMPLINGS)}")
        self.width = float(width)
        self.resolutions = sides
        self.n_classes = n_classes
        self.sampling = sampling
        self.latency = latency
        self.stem_stride = stem_stride
        self.strides = tuple(int(s) for s in strides)
        self.choices = choices
        self.options = options = choose("choices", choices, CHOICES)
        stage = (len(options.depths),) + (len(KERNELS),) * MAX_DEPTH + (len(options.expansions),) * MAX_DEPTH
        self.n_choices = stage * N_STAGES + (len(sides),)
        if len(options.widths) > 1:
            self.n_choices += (len(options.widths),) * N_STAGES
        self.costs = (Objective("flops", "M", True), Objective("params", "M", True))
        if latency is not None:
            check_latency(latency, self.width, sides)
            if (stem_stride, tuple(strides)) != (STEM_STRIDE, STRIDES):
                raise UserError("latency was measured on the network with the published strides only: leave it out.")
            if choices != "ofa":
                raise UserError("latency was measured on the published choices only: leave it out.")
            self.costs = (*self.costs, Objective("latency", "ms", True))
            self._latency_row = np.array([latency.resolutions.index(r) for r in sides])
        self._tables = cost_tables(self.width, sides, n_classes, stem_stride, self.strides, options)
        self._same_width = same_widths(network(self.width, sides[0]).widths, options)

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw ``(n, n_var)`` genotypes with inactive genes at 0, distributed as `sampling` says."""
        X = rng.integers(0, np.asarray(self.n_choices), size=(n, self.n_var), dtype=np.int64)
        if self.sampling == "networks":
            depths = self.options.depths
            weights = np.array([(self.options.n_states - 1.0) ** d for d in depths])
            X[:, DEPTH_GENES] = rng.choice(len(depths), size=(n, N_STAGES), p=weights / weights.sum())
        return self.normalise(X)

    def normalise(self, X: IntArray) -> IntArray:
        """Return a copy ``(n, n_var)`` with the genes of absent layers set to 0.

        Of widths that round to the same channels, the largest stands for all.
        """
        X = np.array(X, dtype=np.int64)
        clear_absent(X, self.options)
        if self.n_var > N_GENES:
            X[:, WIDTH_GENES] = self._same_width[np.arange(N_STAGES), X[:, WIDTH_GENES]]
        return X

    def canonical(self, X: IntArray) -> NDArray[Any]:
        """Return ``(n,)`` byte strings of a character per gene, equal exactly where the networks are equal."""
        codes = np.ascontiguousarray(self.normalise(X) + ord("0"), dtype=np.uint8)
        return codes.view(f"S{self.n_var}").ravel()

    def to_str(self, x: IntArray) -> str:
        """Return the name of the decoded network; inactive genes do not enter."""
        genes, layers, stages = x.tolist(), layer_names(self.options.expansions), []
        for start in STARTS.tolist():
            places = range(start + 1, start + 1 + self.options.depths[genes[start]])
            stages.append("".join([layers[genes[g]][genes[g + MAX_DEPTH]] for g in places]))
        if self.n_var > N_GENES:
            for s, gene in enumerate(WIDTH_GENES.tolist()):
                percent = self.options.widths[self._same_width[s, genes[gene]]]
                stages[s] += "" if percent == FULL else f"w{percent}"
        return f"r{self.resolutions[genes[RESOLUTION_GENE]]}-{'-'.join(stages)}"

    def from_str(self, arch: str) -> IntArray:
        """Parse a name; inactive genes become 0."""
        subnet, side = read_name(arch)
        check_choices(subnet, self.choices, arch)
        x = np.zeros(self.n_var, dtype=np.int64)
        x[RESOLUTION_GENE] = self._resolution_index(side)
        x[DEPTH_GENES] = [self.options.depths.index(depth) for depth in subnet.depths]
        for stage, j, kernel, expansion in subnet.layers():
            gene = STARTS[stage] + 1 + j
            x[gene] = KERNELS.index(kernel)
            x[gene + MAX_DEPTH] = self.options.expansions.index(expansion)
        if self.n_var > N_GENES:
            x[WIDTH_GENES] = [self.options.widths.index(percent) for percent in subnet.widths]
        return np.asarray(self.normalise(x[None])[0])

    def from_strs(self, archs: Sequence[str]) -> IntArray:
        """Parse many names to ``(n, n_var)`` through the table of all stages; rows of -1 where one is none."""
        if self.choices != "ofa":
            return super().from_strs(archs)
        number, genes = stage_table()
        sides = {f"r{side}": i for i, side in enumerate(self.resolutions)}
        codes = np.full((len(archs), 1 + N_STAGES), -1, dtype=np.int64)
        for row, arch in enumerate(archs):
            side, *stages = arch.strip().split("-")
            if side in sides and len(stages) == N_STAGES:
                codes[row] = [sides[side], *[number.get(stage, -1) for stage in stages]]
        X = np.empty((len(archs), N_GENES), dtype=np.int64)
        X[:, RESOLUTION_GENE] = codes[:, 0]
        for s, start in enumerate(STARTS):
            X[:, start : start + STAGE_GENES] = genes[codes[:, 1 + s]]
        X[(codes < 0).any(axis=1)] = -1
        return X

    def describe(self, x: IntArray) -> str:
        """Return resolution and, per stage, its layers as kernel x expansion."""
        subnet = decode(x, self.options)
        stages: list[list[str]] = [[] for _ in range(N_STAGES)]
        for stage, _, kernel, expansion in subnet.layers():
            stages[stage].append(f"k{kernel}e{expansion}")
        ends = ["" if percent == FULL else f" at {percent} % width" for percent in subnet.widths]
        written = [" ".join(words) + end for words, end in zip(stages, ends, strict=True)]
        return f"{self.resolutions[int(x[RESOLUTION_GENE])]} px, width {self.width}: " + " | ".join(written)

    def to_ofa(self, x: IntArray) -> dict[str, Any]:
        """Return ``{"ks", "e", "d", "r"}`` as OFA's and MSuNAS's code use it.

        `ks` and `e` have 20 entries, aligned with OFA's blocks (3 where a layer is absent); `d` has five, `r` is
        the resolution. Of the published choices only: the form has no widths.
        """
        subnet = decode(x, self.options)
        check_choices(subnet, "ofa")
        return {
            "ks": list(subnet.kernels),
            "e": list(subnet.expansions),
            "d": list(subnet.depths),
            "r": self.resolutions[int(x[RESOLUTION_GENE])],
        }

    def from_ofa(self, spec: Mapping[str, Any]) -> IntArray:
        """Parse OFA's form to ``(46,)``.

        `ks` and `e` list all 20 layers (what stands at an absent layer is ignored) or, as MSuNAS writes them, the
        sum(d) active ones; `r` is a number or a list of one; other keys are ignored.

        Raises:
            UserError: A key is missing, or a length or value is none of this space.
        """
        missing = [key for key in ("ks", "e", "d", "r") if key not in spec]
        if missing:
            raise UserError(f"an OFA architecture has the keys ks, e, d, r; {', '.join(missing)} is missing.")
        depths = [_index("d", v, DEPTHS) for v in _listed("d", spec["d"])]
        if len(depths) != N_STAGES:
            raise UserError(f"'d' lists {N_STAGES} depths, got {len(depths)}.")
        x = np.zeros(N_GENES, dtype=np.int64)
        x[DEPTH_GENES] = depths
        active = np.flatnonzero(active_layers(x[None])[0])
        for key, choices, genes in (("ks", KERNELS, KERNEL_GENES), ("e", EXPANSIONS, EXPANSION_GENES)):
            values = _listed(key, spec[key])
            if len(values) not in (N_LAYERS, len(active)):
                raise UserError(
                    f"{key!r} lists all {N_LAYERS} layers or the {len(active)} active ones, got {len(values)} values."
                )
            chosen = values if len(values) == len(active) else [values[i] for i in active]
            x[genes[active]] = [_index(key, v, choices) for v in chosen]
        side = _listed("r", spec["r"])
        if len(side) != 1:
            raise UserError(f"'r' is one resolution, got {spec['r']!r}.")
        x[RESOLUTION_GENE] = self._resolution_index(side[0])
        return x

    @property
    def forms(self) -> tuple[Form, ...]:
        """Adds OFA's dictionaries, which know the published choices only."""
        if self.choices != "ofa":
            return super().forms

        def read(value: Any, _: Operations) -> IntArray:
            return self.from_ofa(mapping(value, "OFA's dictionary of ks, e, d, r"))

        zero = np.zeros(N_GENES, dtype=np.int64)
        text = "OFA's dictionary of ks, e, d, r: JSON or a Python literal; also DyNAS-T, MSuNAS"
        return (
            *super().forms,
            Form("ofa", text, json.dumps(self.to_ofa(zero)), read, lambda x, _: json.dumps(self.to_ofa(x)), plain=True),
        )

    def _resolution_index(self, value: Any) -> int:
        return _index("r", value, self.resolutions)

    def layer_states(self, X: IntArray) -> IntArray:
        """Return ``(n, 20)``: 0 where a layer is absent, else 1 + E * kernel index + expansion index, of E."""
        states = 1 + len(self.options.expansions) * X[:, KERNEL_GENES] + X[:, EXPANSION_GENES]
        return np.asarray(states * active_layers(X, self.options))

    def _columns(self, X: IntArray) -> IntArray:
        """Return ``(n, 20)``: where each layer stands in the rows of `CostTables`."""
        columns = self.layer_states(X)
        if self.n_var > N_GENES:
            own = X[:, WIDTH_GENES]
            before = np.hstack([np.zeros((len(X), 1), np.int64), own[:, :-1]])
            pairs = np.repeat(own[:, :, None], MAX_DEPTH, axis=2)
            pairs[:, :, 0] += before * len(self.options.widths)
            columns = columns + pairs.reshape(len(X), N_LAYERS) * self.options.n_states
        return columns

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return parameters (M), multiply-adds (M, one image at its own resolution) or latency (ms).

        O(20) look-ups per architecture; parameters and multiply-adds are exact counts divided by 1e6.
        """
        r = X[:, RESOLUTION_GENE]
        last = X[:, WIDTH_GENES[-1]] if self.n_var > N_GENES else np.zeros(len(X), dtype=np.int64)
        if name == "params":
            layers = _sum_layers(self._tables.params, self._columns(X))
            return np.asarray((self._tables.fixed_params[last] + layers) / 1e6)
        if name == "flops":
            layers = _sum_layers(self._tables.madds, self._columns(X), r)
            return np.asarray((self._tables.fixed_madds[r, last] + layers) / 1e6)
        if name == "latency":
            check_latency(self.latency, self.width, self.resolutions)
            assert self.latency is not None
            row = self._latency_row[r]
            return np.asarray(self.latency.fixed[row] + _sum_layers(self.latency.layers, self.layer_states(X), row))
        return super().cost(X, name)

    def _encode(self, X: IntArray, part: str) -> FloatArray:
        """Compute one encoding.

        * "int" ``(n, n_var)``: the genes scaled to [0, 1], absent layers 0 (MSuNAS).
        * "onehot" ``(n, 120 + r)``: kernel of each layer, expansion of each layer, resolution; absent layers all 0
          (the layout of OFA's accuracy predictor).
        * "layer" ``(n, 56)``: see `layer_features`.

        With widths to choose from, "onehot" and "layer" end with those of the stages, and with two more expansions
        "onehot" has two more columns per layer.
        """
        if part == "int":
            return super()._encode(self.normalise(X), part)
        X = self.normalise(X) if self.n_var > N_GENES else X
        of = self.options
        if part == "layer":
            features = layer_features(X, np.asarray(self.resolutions), of)
            return np.hstack([features, self._widths(X)]) if self.n_var > N_GENES else features
        active = active_layers(X, of)
        kernels = one_hot(X[:, KERNEL_GENES], (len(KERNELS),) * N_LAYERS)
        expansions = one_hot(X[:, EXPANSION_GENES], (len(of.expansions),) * N_LAYERS)
        parts = [
            kernels * np.repeat(active, len(KERNELS), axis=1),
            expansions * np.repeat(active, len(of.expansions), axis=1),
            one_hot(X[:, [RESOLUTION_GENE]], (len(self.resolutions),)),
        ]
        if self.n_var > N_GENES:
            parts.append(one_hot(X[:, WIDTH_GENES], (len(of.widths),) * N_STAGES))
        return np.hstack(parts)

    def _widths(self, X: IntArray) -> FloatArray:
        """Return the share ``(n, 5)`` of its full channels that each stage of normal genotypes has."""
        return np.asarray(np.asarray(self.options.widths)[X[:, WIDTH_GENES]] / FULL)


def _sum_layers(table: NDArray[Any], columns: IntArray, rows: IntArray | None = None) -> NDArray[Any]:
    """Sum ``table[..., layer, column]`` over the 20 layers, ``(n,)``."""
    wide = table.shape[-1]
    at = columns + np.arange(N_LAYERS) * wide
    if rows is not None:
        at = at + (rows * (N_LAYERS * wide))[:, None]
    return np.asarray(np.take(table.ravel(), at).sum(axis=1))


def _listed(key: str, value: Any) -> list[Any]:
    """Return a value of an OFA dictionary as a list."""
    if isinstance(value, str | bytes | Mapping):
        raise UserError(f"{key!r} is a list of integers, got {value!r}.")
    return list(value) if isinstance(value, Sequence | np.ndarray) else [value]


def _index(key: str, value: Any, choices: Sequence[int]) -> int:
    """Return the position of one value among its choices."""
    if isinstance(value, int | float | np.number) and value in choices:
        return choices.index(int(value))
    raise UserError(f"{key!r} takes {', '.join(map(str, choices))} in mnv3, got {value!r}.")

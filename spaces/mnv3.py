"""OFA-MobileNetV3: the space of the paper's ImageNet runs (Cai et al., Once-for-All, ICLR 2020).

Five stages of two to four inverted-residual layers, each with a kernel of 3, 5 or 7 and an expansion of 3, 4
or 6, and the input resolution. 46 genes in the order of MSuNAS (Lu et al., NSGANetV2, ECCV 2020): for each
stage its depth index, four kernel indices and four expansion indices, then the resolution index.

Genes of layers past a stage's depth are inactive: many genotypes decode to one network. `normalise` sets
inactive genes to 0, `canonical` and `to_str` ignore them, and so do all costs and encodings.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError, suggest
from smemnas.spaces.base import SPACES, FloatArray, IntArray, Objective, SearchSpace, one_hot
from smemnas.spaces.forms import Form, Operations, mapping
from smemnas.spaces.mnv3_costs import (
    DEPTHS,
    EXPANSIONS,
    KERNELS,
    MAX_DEPTH,
    N_LAYERS,
    N_STAGES,
    N_STATES,
    STEM_STRIDE,
    STRIDES,
    LatencyTable,
    check_latency,
    check_shape,
    cost_tables,
)

#: Resolutions that OFA's accuracy predictor and latency tables share.
RESOLUTIONS = (160, 176, 192, 208, 224)
_LAYER_NAMES = [[f"{kernel}{expansion}" for expansion in EXPANSIONS] for kernel in KERNELS]
_STAGE_GENES = 1 + 2 * MAX_DEPTH
_STARTS = np.arange(N_STAGES) * _STAGE_GENES
DEPTH_GENES = _STARTS
KERNEL_GENES = (_STARTS[:, None] + 1 + np.arange(MAX_DEPTH)).ravel()
EXPANSION_GENES = KERNEL_GENES + MAX_DEPTH
RESOLUTION_GENE = N_STAGES * _STAGE_GENES
N_GENES = RESOLUTION_GENE + 1
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
        stage = (len(DEPTHS),) + (len(KERNELS),) * MAX_DEPTH + (len(EXPANSIONS),) * MAX_DEPTH
        self.n_choices = stage * N_STAGES + (len(sides),)
        self.costs = (Objective("flops", "M", True), Objective("params", "M", True))
        if latency is not None:
            check_latency(latency, self.width, sides)
            if (stem_stride, tuple(strides)) != (STEM_STRIDE, STRIDES):
                raise UserError("latency was measured on the network with the published strides only: leave it out.")
            self.costs = (*self.costs, Objective("latency", "ms", True))
            self._latency_row = np.array([latency.resolutions.index(r) for r in sides])
        self._tables = cost_tables(self.width, sides, n_classes, stem_stride, self.strides)

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw ``(n, 46)`` genotypes with inactive genes at 0, distributed as `sampling` says."""
        X = rng.integers(0, np.asarray(self.n_choices), size=(n, self.n_var), dtype=np.int64)
        if self.sampling == "networks":
            weights = np.array([(N_STATES - 1.0) ** d for d in DEPTHS])
            X[:, DEPTH_GENES] = rng.choice(len(DEPTHS), size=(n, N_STAGES), p=weights / weights.sum())
        return self.normalise(X)

    def normalise(self, X: IntArray) -> IntArray:
        """Return a copy ``(n, 46)`` with the genes of absent layers set to 0."""
        X = np.array(X, dtype=np.int64)
        active = active_layers(X)
        X[:, KERNEL_GENES] *= active
        X[:, EXPANSION_GENES] *= active
        return X

    def canonical(self, X: IntArray) -> NDArray[Any]:
        """Return ``(n,)`` byte strings of 46 characters, equal exactly where the networks are equal."""
        codes = np.ascontiguousarray(self.normalise(X) + ord("0"), dtype=np.uint8)
        return codes.view(f"S{N_GENES}").ravel()

    def to_str(self, x: IntArray) -> str:
        """Return the name of the decoded network; inactive genes do not enter."""
        genes, stages = x.tolist(), []
        for start in _STARTS.tolist():
            layers = range(start + 1, start + 1 + DEPTHS[genes[start]])
            stages.append("".join([_LAYER_NAMES[genes[g]][genes[g + MAX_DEPTH]] for g in layers]))
        return f"r{self.resolutions[genes[RESOLUTION_GENE]]}-{'-'.join(stages)}"

    def from_str(self, arch: str) -> IntArray:
        """Parse a name; inactive genes become 0."""
        layer = f"[{''.join(map(str, KERNELS))}][{''.join(map(str, EXPANSIONS))}]"
        found = re.fullmatch(rf"r(\d+)((?:-(?:{layer}){{{DEPTHS[0]},{DEPTHS[-1]}}}){{{N_STAGES}}})", arch.strip())
        if found is None:
            raise UserError(
                f"not an mnv3 architecture: {arch!r}. Expected a resolution and five stages of two to four layers, "
                "each layer a kernel (3, 5, 7) and an expansion (3, 4, 6), like r224-3334-7673-36567634-5353-3333"
            )
        x = np.zeros(N_GENES, dtype=np.int64)
        for start, stage in zip(_STARTS, found[2].split("-")[1:], strict=True):
            x[start] = DEPTHS.index(len(stage) // 2)
            for j in range(len(stage) // 2):
                x[start + 1 + j] = KERNELS.index(int(stage[2 * j]))
                x[start + 1 + MAX_DEPTH + j] = EXPANSIONS.index(int(stage[2 * j + 1]))
        x[RESOLUTION_GENE] = self._resolution_index(int(found[1]))
        return x

    def from_strs(self, archs: Sequence[str]) -> IntArray:
        """Parse many names to ``(n, 46)`` through the table of all stages; rows of -1 where one is none."""
        number, genes = _stage_table()
        sides = {f"r{side}": i for i, side in enumerate(self.resolutions)}
        codes = np.full((len(archs), 1 + N_STAGES), -1, dtype=np.int64)
        for row, arch in enumerate(archs):
            side, *stages = arch.strip().split("-")
            if side in sides and len(stages) == N_STAGES:
                codes[row] = [sides[side], *[number.get(stage, -1) for stage in stages]]
        X = np.empty((len(archs), N_GENES), dtype=np.int64)
        X[:, RESOLUTION_GENE] = codes[:, 0]
        for s, start in enumerate(_STARTS):
            X[:, start : start + _STAGE_GENES] = genes[codes[:, 1 + s]]
        X[(codes < 0).any(axis=1)] = -1
        return X

    def describe(self, x: IntArray) -> str:
        """Return resolution and, per stage, its layers as kernel x expansion."""
        spec = self.to_ofa(x)
        stages = []
        for s, depth in enumerate(spec["d"]):
            layers = range(MAX_DEPTH * s, MAX_DEPTH * s + depth)
            stages.append(" ".join(f"k{spec['ks'][i]}e{spec['e'][i]}" for i in layers))
        return f"{spec['r']} px, width {self.width}: " + " | ".join(stages)

    def to_ofa(self, x: IntArray) -> dict[str, Any]:
        """Return ``{"ks", "e", "d", "r"}`` as OFA's and MSuNAS's code use it.

        `ks` and `e` have 20 entries, aligned with OFA's blocks (3 where a layer is absent); `d` has five, `r` is
        the resolution.
        """
        x = self.normalise(np.asarray(x)[None])[0]
        return {
            "ks": [KERNELS[int(g)] for g in x[KERNEL_GENES]],
            "e": [EXPANSIONS[int(g)] for g in x[EXPANSION_GENES]],
            "d": [DEPTHS[int(g)] for g in x[DEPTH_GENES]],
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
        """Adds OFA's dictionaries."""

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
        """Return ``(n, 20)``: 0 where a layer is absent, else 1 + 3 * kernel index + expansion index."""
        states = 1 + len(EXPANSIONS) * X[:, KERNEL_GENES] + X[:, EXPANSION_GENES]
        return np.asarray(states * active_layers(X))

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return parameters (M), multiply-adds (M, one image at its own resolution) or latency (ms).

        O(20) look-ups per architecture; parameters and multiply-adds are exact counts divided by 1e6.
        """
        r = X[:, RESOLUTION_GENE]
        if name == "params":
            return np.asarray(
                (self._tables.fixed_params + _sum_layers(self._tables.params, self.layer_states(X))) / 1e6
            )
        if name == "flops":
            layers = _sum_layers(self._tables.madds, self.layer_states(X), r)
            return np.asarray((self._tables.fixed_madds[r] + layers) / 1e6)
        if name == "latency":
            check_latency(self.latency, self.width, self.resolutions)
            assert self.latency is not None
            row = self._latency_row[r]
            return np.asarray(self.latency.fixed[row] + _sum_layers(self.latency.layers, self.layer_states(X), row))
        return super().cost(X, name)

    def _encode(self, X: IntArray, part: str) -> FloatArray:
        """Compute one encoding.

        * "int" ``(n, 46)``: the genes scaled to [0, 1], absent layers 0 (MSuNAS).
        * "onehot" ``(n, 120 + r)``: kernel of each layer, expansion of each layer, resolution; absent layers all 0
          (the layout of OFA's accuracy predictor).
        * "layer" ``(n, 56)``: see `layer_features`.
        """
        if part == "int":
            return super()._encode(self.normalise(X), part)
        if part == "layer":
            return layer_features(X, np.asarray(self.resolutions))
        active = np.repeat(active_layers(X), 3, axis=1)
        kernels = one_hot(X[:, KERNEL_GENES], (len(KERNELS),) * N_LAYERS) * active
        expansions = one_hot(X[:, EXPANSION_GENES], (len(EXPANSIONS),) * N_LAYERS) * active
        resolution = one_hot(X[:, [RESOLUTION_GENE]], (len(self.resolutions),))
        return np.hstack([kernels, expansions, resolution])


@cache
def _stage_table() -> tuple[dict[str, int], IntArray]:
    """Return the number of each of the 7,371 stages by its name, and its genes ``(7371, 9)``."""
    names, rows = [], []
    states = list(itertools.product(range(len(KERNELS)), range(len(EXPANSIONS))))
    for index, depth in enumerate(DEPTHS):
        for layers in itertools.product(states, repeat=depth):
            padded = [*layers, *[(0, 0)] * (MAX_DEPTH - depth)]
            names.append("".join(_LAYER_NAMES[k][e] for k, e in layers))
            rows.append([index, *[k for k, _ in padded], *[e for _, e in padded]])
    return {name: i for i, name in enumerate(names)}, np.array(rows, dtype=np.int64)


def active_layers(X: IntArray) -> NDArray[np.bool_]:
    """Return ``(n, 20)``: which layers the depths of genotypes ``(n, 46)`` express."""
    depth = X[:, DEPTH_GENES, None] + DEPTHS[0]
    return np.asarray(np.arange(MAX_DEPTH) < depth).reshape(len(X), N_LAYERS)


def layer_features(X: IntArray, resolutions: IntArray) -> FloatArray:
    """Return the "layer" encoding ``(n, 56)`` of genotypes ``(n, 46)``.

    Per stage the mean expansion and the mean kernel over its four places (absent layers count 0) and the depth;
    the resolution in units of 32 pixels; then, with a weight of 0.2, kernel and expansion of each layer, 0 where
    absent. The stage means carry most of what decides accuracy and few samples suffice to learn them; the
    down-weighted layers add the rest.

    Chosen by measurement: kernel ridge regression on ranks (RBF, width and lambda by 5-fold CV), OFA's predictor
    as the truth, Kendall tau on 1,000 unseen random networks, mean of six draws at n = 100 / 300: this
    encoding .859 / .888, stage part alone .847 / .877, per-layer part with depth and resolution .830 / .873,
    int .814 / .853, onehot .719 / .881. On 1,000 networks near the front the order is the same (.874 / .897).
    """
    active = active_layers(X)
    kernels = np.asarray(KERNELS)[X[:, KERNEL_GENES]] * active / KERNELS[-1]
    expansions = np.asarray(EXPANSIONS)[X[:, EXPANSION_GENES]] * active / EXPANSIONS[-1]
    stages = [v.reshape(len(X), N_STAGES, MAX_DEPTH).mean(axis=2) for v in (expansions, kernels)]
    depth = X[:, DEPTH_GENES] / (len(DEPTHS) - 1.0)
    resolution = (resolutions[X[:, [RESOLUTION_GENE]]] - resolutions[0]) / 32.0
    return np.hstack([*stages, depth, resolution, 0.2 * kernels, 0.2 * expansions])


def _sum_layers(table: NDArray[Any], states: IntArray, rows: IntArray | None = None) -> NDArray[Any]:
    """Sum ``table[..., layer, state]`` over the 20 layers, ``(n,)``."""
    offsets = np.arange(N_LAYERS) * N_STATES
    at = states + offsets if rows is None else states + offsets + (rows * (N_LAYERS * N_STATES))[:, None]
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

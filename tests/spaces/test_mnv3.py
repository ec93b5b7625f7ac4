"""OFA-MobileNetV3: counts against measured rows and a layer-by-layer walk, decoded networks, names, latency."""

import ast
import csv

import numpy as np
import pytest
from data_files import original
from mnv3_walk import decoded, walk
from scipy.stats import chisquare

from smemnas.bench.errors import DataError, UserError
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_costs import make_divisible, network
from smemnas.spaces.mnv3_genes import DEPTH_GENES, EXPANSION_GENES, KERNEL_GENES, RESOLUTION_GENE, active_layers
from smemnas.spaces.mnv3_latency import compile_latency, parse_latency_file

DYNAS = (
    "mbnv3w10_evoga_acc.csv",
    "mbnv3w10_evonsga2_acc_macs.csv",
    "mbnv3w10_evounsga3_acc_macs_params.csv",
    "mbnv3w10_linasga_acc.csv",
    "mbnv3w10_linasnsga2_acc_macs.csv",
)
FINE = MNV3(resolutions=range(192, 257, 4))


def grid(space, n, seed=0):
    """Genotypes with random inactive genes."""
    return np.random.default_rng(seed).integers(0, space.n_choices, size=(n, space.n_var))


def counts(space, X):
    """Parameters and multiply-adds as integers."""
    return [np.rint(space.cost(X, name) * 1e6).astype(np.int64).tolist() for name in ("params", "flops")]


def test_smallest_and_largest_network_at_224():
    space = MNV3()
    x = np.array(space.n_choices) - 1
    small = np.zeros_like(x)
    small[RESOLUTION_GENE] = x[RESOLUTION_GENE]
    assert counts(space, np.array([small, x])) == [[3_410_792, 7_664_760], [121_278_672, 566_170_656]]


@pytest.mark.data
def test_every_measured_row_has_the_same_parameters_and_madds():
    space, n = MNV3(), 0
    for file in DYNAS:
        with open(original("mnv3", file), newline="") as stream:
            rows = list(csv.DictReader(stream))
        X = np.stack([space.from_ofa(ast.literal_eval(r["Sub-network"])) for r in rows])
        assert counts(space, X) == [[int(r["Model Parameters"]) for r in rows], [int(r["MACs"]) for r in rows]]
        n += len(rows)
    assert n == 2373


@pytest.mark.parametrize("width", [1.0, 1.2])
@pytest.mark.parametrize("classes", [10, 1000])
def test_costs_against_a_walk_over_the_layers(width, classes):
    sides = tuple(sorted(np.random.default_rng(7).choice(np.arange(97, 300), 9, replace=False).tolist()))
    space = MNV3(width, sides, classes)
    X = grid(space, 300, seed=classes)
    expected = np.array([walk(space, x, classes) for x in X]).T.tolist()
    assert counts(space, X) == expected


def test_widths_obey_the_ninety_percent_rule():
    assert [make_divisible(v) for v in (1, 18, 19.2, 28.8, 134.4, 72)] == [8, 24, 24, 32, 136, 72]
    assert network(1.2, 224).widths == (32, 48, 96, 136, 192)
    assert (network(1.2, 224).stem, network(1.2, 224).expand, network(1.2, 224).mix) == (24, 1152, 1536)


def test_canonical_keys_are_equal_exactly_for_equal_networks():
    space = MNV3()
    X = grid(space, 400)
    rng = np.random.default_rng(1)
    same = X.copy()
    inactive = ~active_layers(X)
    for genes in (KERNEL_GENES, EXPANSION_GENES):
        block = same[:, genes]
        block[inactive] = rng.integers(0, 3, size=int(inactive.sum()))
        same[:, genes] = block
    one_gene = X.copy()
    gene = rng.integers(46, size=len(X))
    one_gene[np.arange(len(X)), gene] = (one_gene[np.arange(len(X)), gene] + 1) % np.array(space.n_choices)[gene]
    everything = np.vstack([X, same, one_gene])
    networks = [decoded(space, x) for x in everything]
    keys = space.canonical(everything).tolist()
    assert len(set(keys)) == len(set(networks)) == len(set(zip(keys, networks, strict=True)))
    assert keys[:400] == keys[400:800]
    assert 0 < np.sum(np.array(keys[:400]) == np.array(keys[800:])) < 400


def test_inactive_genes_enter_nothing():
    space = MNV3()
    X = grid(space, 200)
    clean = space.normalise(X)
    assert (clean != X).any()
    assert np.array_equal(space.normalise(clean), clean)
    assert [decoded(space, x) for x in X] == [decoded(space, x) for x in clean]
    for name in ("params", "flops"):
        assert np.array_equal(space.cost(X, name), space.cost(clean, name))
    for kind in space.encodings:
        assert np.array_equal(space.encode(X, kind), space.encode(clean, kind))
    assert [space.to_str(x) for x in X] == [space.to_str(x) for x in clean]


@pytest.mark.parametrize("space", [MNV3(), MNV3(1.2), FINE])
def test_names_and_ofa_form_round_trip(space):
    for x in space.sample(100, np.random.default_rng(2)):
        assert np.array_equal(space.from_str(space.to_str(x)), x)
        spec = space.to_ofa(x)
        assert len(spec["ks"]) == len(spec["e"]) == 20
        assert np.array_equal(space.from_ofa(spec), x)
        active = np.flatnonzero(active_layers(x[None])[0])
        short = {**spec, "ks": [spec["ks"][i] for i in active], "e": [spec["e"][i] for i in active], "r": [spec["r"]]}
        assert np.array_equal(space.from_ofa(short), x)
    assert len({space.to_str(x) for x in space.sample(500, np.random.default_rng(3))}) == 500


def test_name_of_one_network():
    x = MNV3().from_str("r192-3334-7673-36567634-5353-3333")
    assert decoded(MNV3(), x) == (
        192,
        (((3, 3), (3, 4)), ((7, 6), (7, 3)), ((3, 6), (5, 6), (7, 6), (3, 4)), ((5, 3), (5, 3)), ((3, 3), (3, 3))),
    )
    assert MNV3().describe(x).endswith("k3e3 k3e4 | k7e6 k7e3 | k3e6 k5e6 k7e6 k3e4 | k5e3 k5e3 | k3e3 k3e3")
    with pytest.raises(UserError) as refused:
        MNV3().from_str("r192-3334-7673-36467634-5353-3333")
    MNV3().from_str(str(refused.value).rsplit("like ", 1)[1])


@pytest.mark.parametrize(
    "text", ["", "r224", "r200-3333-3333-3333-3333-3333", "r224-3333-3333-3333-3333", "r224-3533-3333-3333-3333-3333"]
)
def test_wrong_names_are_refused(text):
    with pytest.raises(UserError):
        MNV3().from_str(text)


def test_ofa_form_as_dynas_writes_it():
    spec = {"wid": None, "ks": [5, 7] * 10, "e": [4, 3] * 10, "d": [2, 3, 2, 4, 3], "r": [224]}
    x = MNV3().from_ofa(spec)
    assert decoded(MNV3(), x)[1][1] == ((5, 4), (7, 3), (5, 4))
    ignored = {**spec, "ks": [0 if i % 4 >= spec["d"][i // 4] else k for i, k in enumerate(spec["ks"])]}
    assert np.array_equal(MNV3().from_ofa(ignored), x)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ks": [3] * 19}, "20 layers"),
        ({"ks": [4] * 20}, "'ks' takes 3, 5, 7"),
        ({"e": "3"}, "list of integers"),
        ({"d": [2, 2, 2, 2]}, "5 depths"),
        ({"d": [2, 2, 2, 2, 5]}, "'d' takes"),
        ({"r": 200}, "'r' takes"),
        ({"r": [160, 224]}, "one resolution"),
        ({"e": [3.5] * 20}, "'e' takes"),
        ({"e": [float("nan")] * 20}, "'e' takes"),
    ],
)
def test_wrong_ofa_forms_are_refused(change, words):
    spec = {"ks": [3] * 20, "e": [3] * 20, "d": [2] * 5, "r": 224} | change
    with pytest.raises(UserError, match=words):
        MNV3().from_ofa(spec)
    with pytest.raises(UserError, match="d is missing"):
        MNV3().from_ofa({k: v for k, v in spec.items() if k != "d"})


def test_sampling_is_uniform_as_documented():
    n = 6000
    X = MNV3().sample(n, np.random.default_rng(0))
    assert np.array_equal(MNV3().normalise(X), X)
    for gene in (*DEPTH_GENES, KERNEL_GENES[0], EXPANSION_GENES[1]):
        assert chisquare(np.bincount(X[:, gene], minlength=3)).pvalue > 1e-4
    assert chisquare(np.bincount(X[:, RESOLUTION_GENE], minlength=5)).pvalue > 1e-4
    deep = X[X[:, DEPTH_GENES[2]] == 2]
    assert chisquare(np.bincount(deep[:, DEPTH_GENES[2] + 4], minlength=3)).pvalue > 1e-4
    Y = MNV3(sampling="networks").sample(n, np.random.default_rng(0))
    shares = np.array([81, 729, 6561]) / 7371
    for gene in DEPTH_GENES:
        assert chisquare(np.bincount(Y[:, gene], minlength=3), n * shares).pvalue > 1e-4


def test_onehot_is_the_layout_of_ofas_predictor():
    space = MNV3()
    X = grid(space, 100)
    Z = space.encode(X, "onehot")
    for x, z in zip(X, Z, strict=True):
        resolution, stages = decoded(space, x)
        expected = np.zeros(125)
        for s, layers in enumerate(stages):
            for j, (kernel, expansion) in enumerate(layers):
                expected[3 * (4 * s + j) + (3, 5, 7).index(kernel)] = 1
                expected[60 + 3 * (4 * s + j) + (3, 4, 6).index(expansion)] = 1
        expected[120 + space.resolutions.index(resolution)] = 1
        assert np.array_equal(z, expected)


def test_int_and_layer_encodings():
    space = FINE
    X = space.sample(200, np.random.default_rng(4))
    assert np.array_equal(space.encode(X, "int"), X / (np.array(space.n_choices) - 1))
    Z = space.encode(X, "layer")
    assert Z.shape == (200, 56)
    for x, z in zip(X, Z, strict=True):
        resolution, stages = decoded(space, x)
        assert z[:5] == pytest.approx([sum(e for _, e in s) / 24 for s in stages])
        assert z[5:10] == pytest.approx([sum(k for k, _ in s) / 28 for s in stages])
        assert z[10:15] == pytest.approx([(len(s) - 2) / 2 for s in stages])
        assert z[15] == (resolution - 192) / 32
    assert len(np.unique(Z, axis=0)) == len(np.unique(X, axis=0))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"width": 9.0}, "between 0.05 and 8"),
        ({"strides": (2, 2)}, "5 for the stages"),
        ({"stem_stride": 3}, "1 or 2"),
        ({"resolutions": (224, 160)}, "ascending"),
        ({"resolutions": ()}, "ascending"),
        ({"n_classes": 0}, "one class"),
        ({"sampling": "gene"}, "Did you mean 'genes'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(UserError, match=words):
        MNV3(**arguments)


def made_up_latency(width=1.2, sides=(160, 224)):
    """A latency table of random numbers, and its entries by resolution."""
    rng = np.random.default_rng(5)
    means = {}
    for side in sides:
        net = network(width, side)
        keys = sorted({*net.fixed_keys(), *(layer.key() for layer in net.layers())})
        means[side] = dict(zip(keys, rng.uniform(0.1, 3, len(keys)).tolist(), strict=True))
    return compile_latency("made-up", width, means), means


def by_hand(space, x, entries):
    """Latency of one network of width 1.2 as the sum over its layers, keys spelled out here."""
    resolution, stages = decoded(space, x)
    side = (resolution + 1) // 2
    total = entries[f"Conv-input:{resolution}x{resolution}x3-output:{side}x{side}x24"]
    line = (
        "expanded_conv-input:{0}x{0}x{1}-output:{2}x{2}x{3}-expand:{4}-kernel:{5}-stride:{6}-idskip:{7}-se:{8}-hs:{9}"
    )
    total += entries[line.format(side, 24, side, 24, 24, 3, 1, 1, 0, 0)]
    c = 24
    table = ((32, 2, 0, 0), (48, 2, 1, 0), (96, 2, 0, 1), (136, 1, 1, 1), (192, 2, 1, 1))
    for (out, stride, squeeze, swish), layers in zip(table, stages, strict=True):
        for j, (kernel, expansion) in enumerate(layers):
            step = stride if j == 0 else 1
            after = (side + 1) // 2 if step == 2 else side
            key = line.format(side, c, after, out, c * expansion, kernel, step, int(j > 0), squeeze, swish)
            total += entries[key]
            side, c = after, out
    total += entries[f"Conv_1-input:{side}x{side}x192-output:{side}x{side}x1152"]
    total += entries[f"AvgPool2D-input:{side}x{side}x1152-output:1x1x1152"]
    return total + entries["Conv_2-input:1x1x1152-output:1x1x1536"] + entries["Logits-input:1x1x1536-output:1000"]


def test_latency_is_the_sum_over_the_layers():
    table, means = made_up_latency()
    space = MNV3(1.2, (160, 224), latency=table)
    X = grid(space, 50)
    expected = [by_hand(space, x, means[decoded(space, x)[0]]) for x in X]
    assert space.cost(X, "latency") == pytest.approx(expected, rel=1e-12)
    assert [c.name for c in space.costs] == ["flops", "params", "latency"]
    high = MNV3(1.2, (224,), latency=table)
    Y = X[X[:, RESOLUTION_GENE] == 1].copy()
    expected = space.cost(Y, "latency")
    Y[:, RESOLUTION_GENE] = 0
    assert np.array_equal(high.cost(Y, "latency"), expected)


@pytest.mark.data
def test_latency_of_the_published_files_by_hand():
    sides = (160, 176, 192, 208, 224)
    entries = {}
    for side in sides:
        lines = original("mnv3", f"{side}_lookup_table.yaml").read_text().splitlines()
        names = [line[:-1] for line in lines if not line.startswith(" ")]
        means = [float(line.split()[1]) for line in lines if line.startswith("  mean")]
        entries[side] = dict(zip(names, means, strict=True))
        parsed = parse_latency_file(original("mnv3", f"{side}_lookup_table.yaml").read_text())
        assert {name: mean for name, (mean, _, _) in parsed.items()} == entries[side]
        assert len(parsed) == 96
    space = MNV3(1.2, sides, latency=compile_latency("Note10", 1.2, entries))
    X = grid(space, 50)
    expected = [by_hand(space, x, entries[decoded(space, x)[0]]) for x in X]
    assert space.cost(X, "latency") == pytest.approx(expected, rel=1e-12)


def test_latency_is_refused_where_it_was_not_measured():
    x = np.zeros((1, 46), dtype=np.int64)
    with pytest.raises(UserError, match=r"width 1\.2 only, this space has width 1\.0"):
        MNV3().cost(x, "latency")
    with pytest.raises(UserError, match="data fetch mnv3"):
        MNV3(1.2).cost(x, "latency")
    table, means = made_up_latency()
    with pytest.raises(UserError, match=r"width 1\.2 only"):
        MNV3(1.0, (160, 224), latency=table)
    with pytest.raises(UserError, match="resolutions 160, 224"):
        MNV3(1.2, latency=table)
    del means[160]["Logits-input:1x1x1536-output:1000"]
    with pytest.raises(DataError, match="Logits"):
        compile_latency("made-up", 1.2, means)
    with pytest.raises(UserError, match="computes no cost 'energy'"):
        MNV3().cost(x, "energy")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Conv:\n  count: 3\n  mean: 0.5\n",
        "Conv:\n  count: 3\n  mean: fast\n  std: 0.1\n",
        "Conv:\n  count: 3\n  mean: -0.5\n  std: 0.1\n",
        "  count: 3\n",
        "Conv:\n  count: 3\n  mean: nan\n  std: 0.1\n",
        "Conv:\n  median: 3\n",
        "Conv 3\n",
    ],
)
def test_damaged_latency_files_are_refused(text):
    with pytest.raises(DataError, match="latency file"):
        parse_latency_file(text)

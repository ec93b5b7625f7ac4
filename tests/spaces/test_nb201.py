"""NAS-Bench-201: published cost figures, a plain sum over layers, brute-force isomorphism, plain path counts."""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter

import numpy as np
import pytest
from conftest import ORIGINALS

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.spaces.cell201 import NONE, OPERATIONS, SKIP
from smemnas.spaces.nb201 import NB201

GRID = NB201().enumerate()
EDGES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize(
    ("n_classes", "flops", "params"),
    [(10, (7.78305, 220.11969), (0.073306, 1.531546)), (100, (7.78890, 220.12554), (0.079156, 1.537396))],
)
def test_published_ranges(n_classes, flops, params):
    space = NB201(n_classes=n_classes)
    for name, (low, high) in {"flops": flops, "params": params}.items():
        values = space.cost(GRID, name)
        digits = 5 if name == "flops" else 6
        assert (round(values.min(), digits), round(values.max(), digits)) == (low, high)


def layers_of(x, n_classes):
    """Yield (output side, input channels, output channels, kernel, bias and batch norm) of every layer."""
    yield 32, 3, 16, 3, "bn"
    for stage, channels in enumerate((16, 32, 64)):
        side = 32 >> stage
        if stage:
            yield side, channels // 2, channels, 3, "bn"
            yield side, channels, channels, 3, "bn"
            yield side, channels // 2, channels, 1, ""  # shortcut: pooling and a 1x1 convolution
        for _ in range(5):
            for op in x:
                if OPERATIONS[op] == "nor_conv_3x3":
                    yield side, channels, channels, 3, "bn"
                elif OPERATIONS[op] == "nor_conv_1x1":
                    yield side, channels, channels, 1, "bn"
    yield 8, 64, 64, 0, "bn"  # the batch norm before pooling
    yield 1, 64, n_classes, 1, "bias"


@pytest.mark.parametrize("n_classes", [10, 100, 120])
def test_costs_are_the_sum_over_layers(n_classes):
    X = GRID[np.random.default_rng(0).permutation(len(GRID))[:200]]
    space = NB201(n_classes=n_classes)
    params, flops = space.cost(X, "params"), space.cost(X, "flops")
    for k, x in enumerate(X.tolist()):
        weights, madds = 0, 0
        for side, c_in, c_out, kernel, extra in layers_of(x, n_classes):
            weights += c_in * c_out * kernel**2 + {"bn": 2 * c_out, "bias": c_out, "": 0}[extra]
            madds += side**2 * c_in * c_out * kernel**2 + (c_out if extra == "bias" else 0)
        assert params[k] == pytest.approx(weights / 1e6, abs=1e-12)
        assert flops[k] == pytest.approx(madds / 1e6, abs=1e-9)


def test_imagenet16_has_images_of_half_the_side():
    full, half = NB201(120).cost(GRID, "flops"), NB201(120, image_size=16).cost(GRID, "flops")
    classifier = 65 * 120 / 1e6
    np.testing.assert_allclose(half - classifier, (full - classifier) / 4)


# ---- isomorphism ----


def reduced(x):
    """Return the operation graph of a cell: nodes are live operations, skips merge nodes, dead parts are gone.

    A multiset of operations flows into each node of the cell. An operation is an object of its own, so one
    convolution used twice differs from two equal ones. Operations that do not reach the output are dropped.
    """
    content = {0: Counter({"input": 1}), 1: Counter(), 2: Counter(), 3: Counter()}
    feeds = {}  # operation (its edge) -> (name, what flows into it)
    for edge, (source, target) in enumerate(EDGES):  # every edge into a node comes before those out of it
        op = OPERATIONS[x[edge]]
        if op == "none" or not content[source]:
            continue
        if op == "skip_connect":
            content[target] += content[source]
        else:
            feeds[edge] = (op, content[source].copy())
            content[target][edge] += 1
    live, todo = set(), [k for k in content[3] if k != "input"]
    while todo:
        k = todo.pop()
        if k not in live:
            live.add(k)
            todo += [j for j in feeds[k][1] if j != "input"]
    graph = {k: (feeds[k][0], tuple(feeds[k][1].items())) for k in live}
    graph["output"] = ("output", tuple(content[3].items()))
    return graph


def same_graph(a, b):
    """Whether some renaming of the operations of `a` gives `b`; all permutations are tried."""
    nodes = [k for k in a if k != "output"]
    others = [k for k in b if k != "output"]
    if len(nodes) != len(others):
        return False
    for order in itertools.permutations(others):
        rename = {**dict(zip(nodes, order, strict=True)), "input": "input", "output": "output"}
        if all(
            a[k][0] == b[rename[k]][0] and Counter({rename[s]: n for s, n in a[k][1]}) == Counter(dict(b[rename[k]][1]))
            for k in a
        ):
            return True
    return False


def fingerprint(graph):
    """A cheap invariant: equal for isomorphic graphs, not the other way round."""

    def tree(k):
        return "i" if k == "input" else f"{graph[k][0]}({','.join(sorted(tree(s) * n for s, n in graph[k][1]))})"

    return tree("output"), tuple(sorted(op for op, _ in graph.values()))


@pytest.mark.slow
def test_canonical_is_isomorphism_of_the_reduced_graph():
    keys = NB201().canonical(GRID)
    assert len(np.unique(keys)) == 5425
    graphs = [reduced(x) for x in GRID.tolist()]
    by_key, by_print = {}, {}
    for k, (key, graph) in enumerate(zip(keys.tolist(), graphs, strict=True)):
        by_key.setdefault(key, []).append(k)
        by_print.setdefault(fingerprint(graph), []).append(k)
    for members in by_key.values():
        for k in members[1:]:
            assert same_graph(graphs[members[0]], graphs[k]), (GRID[members[0]], GRID[k])
    # Different keys, different graphs: only graphs of one fingerprint could be isomorphic.
    for members in by_print.values():
        firsts = {keys[k]: k for k in members}
        for a, b in itertools.combinations(firsts.values(), 2):
            assert not same_graph(graphs[a], graphs[b]), (GRID[a], GRID[b])


def official_string(x):
    """Return NAS-Bench-201's own isomorphism string of one genotype (zeroed edges considered).

    It takes 6,466 values over the space. It keeps a mark for zeroed edges and does not flatten sums of
    skips, so it separates some cells that `canonical` recognises as the same graph, and it cannot
    tell a convolution used twice from two convolutions.
    """
    nodes = ["0"]
    for target in (1, 2, 3):
        terms = []
        for gene, (origin, end) in enumerate(EDGES):
            if end == target:
                op, source = int(x[gene]), nodes[origin]
                if op == NONE or source == "#":
                    terms.append("#")
                else:
                    terms.append(source if op == SKIP else f"({source})@{OPERATIONS[op]}")
        nodes.append("+".join(sorted(terms)))
    return nodes[3]


def test_official_isomorphism_string_has_the_published_number_of_classes():
    strings = [official_string(x) for x in GRID]
    assert len(set(strings)) == 6466
    # Cells that the official string calls equal differ for us only where one operation feeds two sums.
    keys = NB201().canonical(GRID)
    assert len({*zip(strings, keys.tolist(), strict=True)}) >= 6466


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ([3, 0, 0, 0, 1, 0], [0, 0, 0, 3, 0, 0], True),  # 3x3 then skip = 3x3
        ([1, 0, 1, 0, 0, 3], [0, 1, 0, 0, 0, 3], True),  # two skips = one skip
        ([3, 2, 0, 0, 1, 1], [2, 3, 0, 0, 1, 1], True),  # a sum has no order
        ([3, 0, 0, 0, 2, 0], [2, 0, 0, 0, 3, 0], False),  # a chain has one
        ([3, 4, 4, 1, 0, 0], [0, 0, 0, 1, 0, 0], True),  # what does not reach the output is dead
        ([3, 0, 1, 0, 1, 1], [3, 3, 0, 0, 1, 1], False),  # one convolution twice is not two convolutions
        ([0, 0, 0, 0, 0, 0], [3, 3, 3, 0, 0, 0], True),  # nothing reaches the output
    ],
)
def test_canonical_of_hand_picked_cells(a, b, same):
    one, two = NB201().canonical(np.array([a, b]))
    assert (one == two) == same
    assert same_graph(reduced(a), reduced(b)) == same


# ---- encodings and names ----


def test_path_encoding_is_a_plain_count():
    Z = NB201().encode(GRID, "path")
    kinds = ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    sequences = [s for length in range(4) for s in itertools.product(kinds, repeat=length)]
    assert Z.shape == (15625, len(sequences) + 8) == (15625, 48)
    paths = [((0, 3),), ((0, 1), (1, 3)), ((0, 2), (2, 3)), ((0, 1), (1, 2), (2, 3))]
    for k in np.random.default_rng(1).permutation(len(GRID))[:1500]:
        op = {edge: OPERATIONS[gene] for edge, gene in zip(EDGES, GRID[k], strict=True)}
        alive = [p for p in paths if all(op[e] != "none" for e in p)]
        counts = Counter(tuple(op[e] for e in p if op[e] != "skip_connect") for p in alive)
        live = {e for p in alive for e in p}
        convolutions = [sum("conv" in op[e] for e in p) for p in alive]
        names = ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
        summary = [sum(op[e] == name for e in live) for name in names]
        summary += [6 - len(live), len(alive), max(convolutions, default=0), min(convolutions, default=0)]
        assert Z[k].tolist() == [counts[s] for s in sequences] + summary


def test_equal_graphs_have_equal_path_counts():
    keys = NB201().canonical(GRID)
    Z = NB201().encode(GRID, "path")[:, :40]
    first, inverse = np.unique(keys, return_index=True, return_inverse=True)[1:]
    np.testing.assert_array_equal(Z[first][inverse.reshape(-1)], Z)


def test_official_strings_both_ways():
    space = NB201()
    names = [space.to_str(x) for x in GRID]
    assert len(set(names)) == 15625
    np.testing.assert_array_equal([space.from_str(name) for name in names], GRID)
    assert space.to_str(np.array([3, 0, 1, 2, 4, 3])) == (
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|",
        "|nor_conv_3x3~0|+|none~1|skip_connect~0|+|none~0|none~1|none~2|",
        "|nor_conv_5x5~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    ],
)
def test_wrong_strings(wrong):
    with pytest.raises(UserError, match="NAS-Bench-201"):
        NB201().from_str(wrong)


# ---- against the original files ----


def original(name):
    file = ORIGINALS / "nb201" / name
    if not file.exists():
        pytest.skip(f"put the original files there to run this: ../shared/data/nb201/{name}")
    return file


@pytest.mark.data
def test_naslib_flops_and_parameters_of_the_proxies_file():
    with open(original("nb201_zc_proxies.csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    space = NB201()
    X = np.array([space.from_str(r["net_str"]) for r in rows])
    assert len(np.unique(X, axis=0)) == len(rows) == 9445
    np.testing.assert_allclose(space.cost(X, "flops_naslib"), [float(r["flops"]) for r in rows], rtol=0, atol=1e-9)
    np.testing.assert_allclose(space.cost(X, "params"), [float(r["params"]) for r in rows], rtol=0, atol=1e-12)


def test_naslib_flops_are_offered_where_they_are_known():
    """Its figures are of CIFAR-10's network: a quarter of the pixels has a quarter of nearly all, not the same."""
    X = np.full((1, 6), 3)
    assert NB201().cost(X, "flops_naslib")[0] == pytest.approx(222.860992)
    for space in (NB201(100, 32), NB201(120, 16)):
        assert [c.name for c in space.costs] == ["flops", "params"]
        with pytest.raises(UserError, match="flops_naslib"):
            space.cost(X, "flops_naslib")


@pytest.mark.data
def test_the_embedded_error_agrees_with_the_official_test_accuracy(use_embedded):
    from scipy.stats import kendalltau

    entries = json.loads(original("nasbench201_cifar10.json").read_text())
    assert len(entries) == 15625
    X = np.array([NB201().from_str(arch) for arch in entries])
    accuracy = np.array([entry["test_acc_200"] for entry in entries.values()])
    F = open_benchmark("nb201", "analog", ("error",)).evaluate(X, 0).F[:, 0]
    assert kendalltau(-F, accuracy)[0] > 0.92


def test_graph_encoding_is_a_function_of_the_graph():
    space = NB201()
    Z, keys = space.encode(GRID, "graph"), space.canonical(GRID)
    assert Z.shape == (15625, 87)
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    np.testing.assert_array_equal(Z[order][1:][same], Z[order][:-1][same])
    assert len(np.unique(Z, axis=0)) > 5000
    np.testing.assert_allclose(Z.mean(axis=0), 0.0, atol=1e-10)


def test_graph_features_of_paths_equal_a_loop():
    """Before centring and averaging over equal graphs: flows, statistics and bags, path by path."""
    from smemnas.spaces.graph201 import _along_paths, _bags, _flow

    X = GRID[np.random.default_rng(0).permutation(15625)[:300]]
    live, counts = _along_paths(X)
    bags, flow = _bags(live, counts[:, :, :3]), _flow(X)
    for n, x in enumerate(X.tolist()):
        through, bag = Counter(), Counter()
        for p, path in enumerate([(3,), (0, 4), (1, 5), (0, 2, 5)]):
            ops = [OPERATIONS[x[e]] for e in path]
            assert live[n, p] == ("none" not in ops)
            c1, c3, pool = (ops.count(o) for o in ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"))
            assert counts[n, p].tolist() == [c1, c3, pool, c1 + c3, c1 + c3 + pool]
            if live[n, p]:
                bag[c1, c3, pool] += 1
                through.update(ops)
        expected = [through[o] for o in ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")]
        assert flow[n].tolist() == expected
        assert sorted(bags[n][bags[n] > 0]) == sorted(bag.values())

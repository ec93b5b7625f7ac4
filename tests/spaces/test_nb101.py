"""NAS-Bench-101: the space against a simple per-graph implementation and published figures."""

import functools
import hashlib
import itertools

import numpy as np
import pytest
from nb101_reference import graph_of, isomorphic, paths_of, pruned, simple_parameters

from smemnas.bench.errors import UserError
from smemnas.spaces import graph101 as graphs
from smemnas.spaces.nb101 import N_GRAPHS, NB101

#: Distinct graphs of exactly 2, 3, ..., 7 vertices, as published; their sum is 423,624.
PER_SIZE = {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}


@functools.cache
def all_keys(vertices):
    """Keys of every graph of the space by number of vertices, up to some, from all matrices and all labels."""
    found = {2: np.array([int(NB101(3).canonical(np.array([[0, 1, 0, 0]]))[0])])}
    for v in range(3, vertices + 1):
        space = NB101(max_vertices=v)
        n_edges = len(space.edges)
        matrices = (np.arange(2**n_edges)[:, None] >> np.arange(n_edges)) & 1
        code, _ = space.pack(np.hstack([matrices, np.zeros((len(matrices), v - 2), dtype=np.int64)]))
        cut, live = graphs.prune(code)
        everything = (1 << graphs.OUTPUT) | ((1 << (v - 1)) - 1)
        code = code[(cut == code) & (live == everything) & (graphs.count_edges(code) <= 9)]
        names = np.stack(np.unravel_index(np.arange(3 ** (v - 2)), (3,) * (v - 2)), axis=1)
        names = np.hstack([np.zeros((len(names), n_edges), dtype=np.int64), names])
        labels = space.pack(names)[1]
        found[v] = np.unique(graphs.canonical_keys(np.repeat(code, len(labels)), np.tile(labels, len(code))))
    return found


@pytest.fixture(scope="module", params=[3, 4, 5, 7])
def space(request):
    return NB101(max_vertices=request.param)


@pytest.fixture(scope="module")
def grid(space):
    """Random genotypes, many of them invalid; the first ones sparse and dense."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, np.array(space.n_choices), size=(400, space.n_var))
    n_edges = len(space.edges)
    X[:60, :n_edges] = rng.random((60, n_edges)) < 0.2
    X[60:140, :n_edges] = rng.random((80, n_edges)) < 0.8
    return X


def test_validity_and_pruning_equal_the_simple_implementation(space, grid):
    code, labels = space.pack(grid)
    cut, live = graphs.prune(code)
    valid = space.is_valid(grid)
    for i, x in enumerate(grid):
        expected = pruned(*graph_of(space, x))
        edges = 0 if expected is None else sum(map(sum, expected[0]))
        assert valid[i] == (expected is not None and edges <= 9)
        assert bin(live[i]).count("1") == (0 if expected is None else len(expected[0]))
        assert graphs.count_edges(cut[i : i + 1])[0] == edges
    assert (space.unpack(code, labels) == grid).all()
    if space.max_vertices == 7:
        assert 0 < valid.sum() < len(valid)
        assert valid[60:140].sum() < valid[140:].sum()


def test_off_grid_genes_are_invalid():
    space = NB101(max_vertices=4)
    x = space.sample(1, np.random.default_rng(0))[0]
    for gene, value in ((0, 2), (0, -1), (6, 3), (7, -1)):
        wrong = x.copy()
        wrong[gene] = value
        assert not space.is_valid(wrong[None])[0]


def test_nine_edges_are_counted_after_pruning():
    space = NB101()
    chain = np.triu(np.ones((7, 7), dtype=int), 1)
    chain[0, 1:6] = 0  # 15 of the remaining 16 edges cannot be reached
    assert space.is_valid(space.from_matrix(chain, [0] * 5)[None])[0]
    chain[0, 1] = 1
    assert not space.is_valid(space.from_matrix(chain, [0] * 5)[None])[0]


def test_path_encoding_equals_the_simple_implementation(space, grid):
    v = space.max_vertices
    names = [p for length in range(v - 1) for p in itertools.product(range(3), repeat=length)]
    Z = space.encode(grid, "path")
    assert Z.shape == (len(grid), len(names))
    if v == 7:
        assert Z.shape[1] == 364
    for x, z in zip(grid, Z, strict=True):
        matrix, labels = graph_of(space, x)
        expected = {tuple(labels[u - 1] for u in path[1:-1]) for path in paths_of(matrix)}
        assert {names[i] for i in np.flatnonzero(z)} == expected
        assert set(z) <= {0.0, 1.0}


def test_adjacency_encoding(space, grid):
    Z = space.encode(grid, "adjacency")
    n_edges = len(space.edges)
    assert Z.shape[1] == n_edges + 3 * (space.max_vertices - 2)
    assert (Z[:, :n_edges] == grid[:, :n_edges]).all()
    for i, row in enumerate(Z[:, n_edges:].reshape(len(grid), -1, 3)):
        assert (row.argmax(axis=1) == grid[i, n_edges:]).all()
        assert (row.sum(axis=1) == 1).all()


def test_costs_equal_the_simple_implementation_on_the_representative(space):
    X = space.sample(200, np.random.default_rng(1))
    representative = space.from_canonical(space.canonical(X))
    found = space.cost(X, "params")
    for x, value in zip(representative, found, strict=True):
        assert round(value * 1e6) == simple_parameters(*pruned(*graph_of(space, x)))
    assert (space.cost(representative, "flops") == space.cost(X, "flops")).all()


def test_parameters_in_the_given_vertex_order():
    """Uneven channel division: the order of the vertices matters, and is followed."""
    space = NB101()
    X = space.sample(20_000, np.random.default_rng(2))
    code, labels = space.pack(X)
    code, _ = graphs.prune(code)
    found = graphs.parameters(code, labels, 10)
    feeding = graphs.count_edges(graphs.predecessors(code, 6) >> 1)
    for k in range(5):
        for i in np.flatnonzero(feeding == k)[:40]:
            assert found[i] == simple_parameters(*pruned(*graph_of(space, X[i])))
    assert set(feeding.tolist()) == {0, 1, 2, 3, 4}  # five would need ten edges
    assert (found != np.rint(space.cost(X, "params") * 1e6)).any()


def test_multiply_adds_by_hand():
    """One 3x3 convolution per cell: stem, a projection and a convolution in nine cells, the classifier."""
    x = NB101().from_str("10.1:c3")
    expected = 32 * 32 * 27 * 128 + 5130
    for side, c in ((32, 128), (16, 256), (8, 512)):
        enter = (c if c == 128 else c // 2) + 2 * c
        expected += side * side * (enter * c + 3 * 9 * c * c)
    assert NB101().cost(x[None], "flops")[0] == expected / 1e6


def test_published_rows():
    """Rows of the official file that its users have printed: hash, matrix, operations, parameters."""
    text = (
        "0100110"
        "0010000"
        "0001001"
        "0000010"
        "0000010"
        "0000001"
        "0000000"
        ":input,conv3x3-bn-relu,maxpool3x3,conv3x3-bn-relu,conv3x3-bn-relu,conv1x1-bn-relu,output"
    )
    space = NB101()
    x = space.from_str(text)
    assert space.hashes(x[None]) == ["00005c142e6f48ac74fdcf73e3439874"]
    assert round(space.cost(x[None], "params")[0] * 1e6) == 8_555_530
    assert (space.from_canonical(space.canonical(x[None]))[0] == x).all()


def test_the_space_has_the_published_number_of_small_graphs():
    """All of seven vertices, most of the space, take longer: below."""
    keys = all_keys(6)
    assert {v: len(k) for v, k in keys.items()} == {v: n for v, n in PER_SIZE.items() if v < 7}
    everything = np.unique(np.concatenate(list(keys.values())))
    assert len(everything) == sum(map(len, keys.values()))
    space = NB101()
    X = space.from_canonical(everything)
    assert space.is_valid(X).all()
    assert (space.canonical(X) == everything).all()
    assert round(space.cost(X, "params").min() * 1e6) == 227_274


@pytest.mark.long
@pytest.mark.slow
def test_the_whole_space_has_the_published_size_and_parameter_range():
    keys = all_keys(7)
    assert {v: len(k) for v, k in keys.items()} == PER_SIZE
    everything = np.unique(np.concatenate(list(keys.values())))
    assert len(everything) == N_GRAPHS == sum(PER_SIZE.values())
    space = NB101()
    X = space.from_canonical(everything)
    assert space.is_valid(X).all()
    assert (space.canonical(X) == everything).all()
    params = space.cost(X, "params") * 1e6
    assert (round(params.min()), round(params.max())) == (227_274, 49_979_274)


def test_key_and_hash_agree_with_isomorphism_for_all_small_graphs():
    space = NB101(max_vertices=4)
    X = space.enumerate()
    small = [pruned(*graph_of(space, x)) for x in X]
    keys, hashes = space.canonical(X), space.hashes(X)
    assert len(set(keys.tolist())) == len(set(hashes)) == 91
    for i, j in itertools.combinations(range(len(X)), 2):
        same = isomorphic(small[i], small[j])
        assert (keys[i] == keys[j]) == same
        assert (hashes[i] == hashes[j]) == same


def test_key_and_hash_agree_on_random_large_graphs():
    space, rng = NB101(), np.random.default_rng(3)
    X = space.sample(1500, rng)
    keys, hashes = space.canonical(X), space.hashes(X)
    assert len({*zip(keys.tolist(), hashes, strict=True)}) == len(set(hashes)) == len(set(keys.tolist()))
    by_key = {}
    for x, key in zip(X, keys.tolist(), strict=True):
        by_key.setdefault(key, []).append(pruned(*graph_of(space, x)))
    repeated = [group for group in by_key.values() if len(group) > 1]
    assert len(repeated) > 50
    assert all(isomorphic(group[0], other) for group in repeated for other in group[1:4])


def test_renaming_vertices_keeps_key_hash_and_costs():
    space, rng = NB101(), np.random.default_rng(4)
    moved = 0
    for x in space.sample(300, rng):
        matrix, labels = pruned(*graph_of(space, x))
        n = len(matrix)
        p = [0, *rng.permutation(range(1, n - 1)).tolist(), n - 1]
        other = np.zeros((n, n), dtype=int)
        for i, j in itertools.product(range(n), repeat=2):
            other[p[i], p[j]] = matrix[i][j]
        if np.tril(other).any():
            continue
        y = space.from_matrix(other, [labels[p.index(v) - 1] for v in range(1, n - 1)])
        pair = np.stack([x, y])
        moved += bool((space.from_matrix(np.array(matrix), labels) != y).any())
        assert len(set(space.canonical(pair).tolist())) == len(set(space.hashes(pair))) == 1
        assert all(len(set(space.cost(pair, c))) == 1 for c in ("params", "flops"))
    assert moved > 20


def test_keys_do_not_depend_on_the_size_of_the_space():
    small, large = NB101(max_vertices=4), NB101()
    X = small.enumerate()
    Y = np.stack([large.from_str(small.to_str(x)) for x in X])
    assert (small.canonical(X) == large.canonical(Y)).all()
    assert (small.cost(X, "params") == large.cost(Y, "params")).all()
    assert small.hashes(X) == large.hashes(Y)


def test_unconnected_graphs_have_key_zero():
    space = NB101()
    X = np.zeros((3, space.n_var), dtype=np.int64)
    X[1, 0] = X[2, 5] = 1  # a dead end, and the edge from input to output
    assert space.canonical(X)[:2].tolist() == [0, 0]
    assert space.canonical(X)[2] > 0


def test_hash_of_the_smallest_graph_by_hand():
    def md5(text):
        return hashlib.md5(text.encode()).hexdigest()

    start, end = md5("(1, 0, -1)"), md5("(0, 1, -2)")
    for _ in range(2):
        start, end = md5(f"|{end}|{start}"), md5(f"{start}||{end}")
    expected = md5(str(sorted([start, end])))
    assert NB101().hashes(NB101().from_str("1:")[None]) == [expected]


def test_names_round_trip(space, grid):
    for x in grid[:50]:
        assert (space.from_str(space.to_str(x)) == x).all()
    assert len({space.to_str(x) for x in grid}) == len(np.unique(grid, axis=0))


@pytest.mark.parametrize(
    "arch",
    [
        "",
        "1",
        "110.00.1",
        "110.00.1:c3",
        "110.00.1:c3-c5",
        "110.0.1:c3-c1",
        "112.00.1:c3-c1",
        "11000.0000.000.00.1:c3-c3-c3-c3",
        "0110001100010000:input,conv3x3-bn-relu,output",
        "0110001100010001:input,conv3x3-bn-relu,conv3x3-bn-relu,output",
        "0110001100010000:input,conv5x5,conv3x3-bn-relu,output",
        "0110001100010000:input,conv3x3-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu",
    ],
)
def test_wrong_names_are_refused(arch):
    with pytest.raises(UserError, match="not an architecture of nb101"):
        NB101(max_vertices=4).from_str(arch)


def test_space_parameters():
    assert NB101().n_var == 26
    assert NB101().size == 2**21 * 3**5
    assert not NB101().is_enumerable
    assert NB101(max_vertices=4).size == 576
    for v in (2, 8):
        with pytest.raises(UserError, match="3 to 7 vertices"):
            NB101(max_vertices=v)


def test_samples_are_valid_and_uniform():
    """Chi-square of the draws over all valid genotypes of three vertices, and the seed decides."""
    space = NB101(max_vertices=3)
    X = space.enumerate()
    draws = space.sample(200 * len(X), np.random.default_rng(5))
    assert space.is_valid(draws).all()
    counts = np.bincount(np.searchsorted(space.index(X), space.index(draws)), minlength=len(X))
    chi2 = ((counts - 200) ** 2 / 200).sum()
    dof = len(X) - 1
    assert abs(chi2 - dof) < 5 * np.sqrt(2 * dof)
    again = NB101().sample(100, np.random.default_rng(6))
    assert (NB101().sample(100, np.random.default_rng(6)) == again).all()
    assert (NB101().sample(40, np.random.default_rng(6)) == again[:40]).all()
    assert NB101().sample(0, np.random.default_rng(6)).shape == (0, 26)


def test_built_network_has_the_stated_costs():
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
    pytest.importorskip("nasbench_pytorch", reason="needs nasbench-pytorch: pip install -e '.[train]'")
    space = NB101()
    X = space.sample(60, np.random.default_rng(7))
    code, _ = graphs.prune(space.pack(X)[0])
    feeding = graphs.count_edges(graphs.predecessors(code, 6) >> 1)
    for x in X[[int(np.flatnonzero(feeding == k)[0]) for k in (1, 2, 3, 4)]]:
        network, madds = space.build(x, 10).eval(), []

        def count(module, _, out, madds=madds):
            if isinstance(module, torch.nn.Conv2d):
                madds.append(module.weight.numel() * out.shape[2] * out.shape[3])
            elif isinstance(module, torch.nn.Linear):
                madds.append(module.weight.numel() + module.bias.numel())

        for module in network.modules():
            module.register_forward_hook(count)
        with torch.no_grad():
            assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
        assert sum(p.numel() for p in network.parameters()) == round(space.cost(x[None], "params")[0] * 1e6)
        assert sum(madds) == round(space.cost(x[None], "flops")[0] * 1e6)

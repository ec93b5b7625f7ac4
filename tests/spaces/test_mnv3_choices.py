"""The wide choices of mnv3: stages of one to four layers, expansions from 1, widths of stages."""

import numpy as np
import pytest
from mnv3_walk import decoded, shares, walk

from smemnas.bench.checks import NothingToCheck
from smemnas.bench.checks.spaces import CHECKS
from smemnas.bench.errors import UserError
from smemnas.bench.report.architecture.drawings import plain_text
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_choices import CHOICES, check_choices, name_of, read_name
from smemnas.spaces.mnv3_genes import DEPTH_GENES, WIDTH_GENES, active_layers, decode

STRIDES = (2, 2, 2, 1, 1)


def wide(width=0.35, sides=(24, 32), classes=10):
    return MNV3(width, sides, classes, stem_stride=1, strides=STRIDES, choices="wide")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(check):
    try:
        check(wide(8.0))  # where no two widths of a stage are the same channels
    except NothingToCheck as error:
        pytest.skip(f"{error}: a table or a form of its own would un-skip it")


@pytest.mark.parametrize("width", [0.35, 0.5, 1.0, 1.2])
def test_costs_against_a_walk_over_the_layers(width):
    space = wide(width, classes=7)
    X = np.random.default_rng(0).integers(0, space.n_choices, size=(200, space.n_var))
    expected = np.array([walk(space, x, 7) for x in X]).T.tolist()
    found = [np.rint(space.cost(X, name) * 1e6).astype(int).tolist() for name in ("params", "flops")]
    assert found == expected


def test_the_published_networks_are_among_them_at_the_same_cost():
    of, all_of = MNV3(0.35, (24, 32), 10, stem_stride=1, strides=STRIDES), wide()
    X = of.sample(100, np.random.default_rng(1))
    same = np.stack([all_of.from_str(of.to_str(x)) for x in X])
    for name in ("params", "flops"):
        assert np.array_equal(all_of.cost(same, name), of.cost(X, name))
    assert [decoded(all_of, x) for x in same] == [decoded(of, x) for x in X]


def test_names_genes_and_decoded_forms_agree():
    space = wide()
    for x in space.sample(200, np.random.default_rng(2)):
        name = space.to_str(x)
        assert np.array_equal(space.from_str(name), x)
        subnet, side = read_name(name)
        assert name_of(subnet, side) == name
        assert subnet == decode(x, CHOICES["wide"])
        assert list(subnet.widths) == shares(x)
        assert subnet.depths == tuple(len(stage) for stage in decoded(space, x)[1])


def test_widths_of_as_many_channels_are_one_network():
    space = wide(0.35)  # 8, 16, 32, 40 and 56 channels: half of 8 is 8 again, and three quarters of 16 are
    x = space.from_str("r24-33-33-33-33-33")[None]
    by_width = np.repeat(x, 3, axis=0)
    by_width[:, WIDTH_GENES[0]] = [0, 1, 2]
    assert len(set(space.canonical(by_width).tolist())) == 1
    assert len({space.to_str(x) for x in by_width}) == 1
    by_width[:, WIDTH_GENES] = [[g] * 5 for g in (0, 1, 2)]
    assert len(set(space.canonical(by_width).tolist())) == 3
    assert len(set(space.cost(by_width, "params"))) == 3
    fine = wide(8.0)  # no two of its widths round alike
    by_width = np.repeat(fine.sample(1, np.random.default_rng(0)), 3, axis=0)
    by_width[:, WIDTH_GENES[3]] = [0, 1, 2]
    assert len(set(fine.canonical(by_width).tolist())) == 3


def test_what_is_absent_enters_nothing():
    space = wide()
    X = np.random.default_rng(3).integers(0, space.n_choices, size=(200, space.n_var))
    clean = space.normalise(X)
    assert (clean != X).any()
    assert not clean[:, DEPTH_GENES + 4][clean[:, DEPTH_GENES] == 0].any()
    for kind in space.encodings:
        assert np.array_equal(space.encode(X, kind), space.encode(clean, kind))
    assert np.array_equal(space.cost(X, "flops"), space.cost(clean, "flops"))
    assert active_layers(X, CHOICES["wide"]).sum() == sum(len(s) for x in X for s in decoded(space, x)[1])


@pytest.mark.parametrize("choices", ["ofa", "wide"])
def test_absent_layers_are_cleared_one_by_one(choices):
    space = MNV3(choices=choices)
    X = np.random.default_rng(5).integers(0, space.n_choices, size=(2500, space.n_var))  # more than one part
    expected = X.copy()
    for x in expected:
        for start in DEPTH_GENES:
            for place in range(space.options.depths[x[start]], 4):
                x[start + 1 + place] = x[start + 5 + place] = 0
    if choices == "ofa":
        assert np.array_equal(space.normalise(X), expected)
    else:  # widths that round alike are another matter
        assert np.array_equal(space.normalise(X)[:, : WIDTH_GENES[0]], expected[:, : WIDTH_GENES[0]])


def test_the_smallest_and_the_largest_network_cost_what_the_walk_counts():
    space = wide(sides=(32,))
    low, high = np.zeros((1, space.n_var), dtype=np.int64), np.array([space.n_choices]) - 1
    assert np.rint(space.cost(np.vstack([low, high]), "flops") * 1e6).tolist() == [
        walk(space, low[0], 10)[1],
        walk(space, high[0], 10)[1],
    ]


@pytest.mark.parametrize(
    ("name", "choices", "word"),
    [
        ("r32-33-3333-3333-3333-3333", "ofa", "depth 1"),
        ("r32-3331-3333-3333-3333-3333", "ofa", "expansion 1"),
        ("r32-3333w50-3333-3333-3333-3333", "ofa", "width 50"),
        ("r32-3333w60-3333-3333-3333-3333", "wide", "Expected a resolution"),
        ("r32-3335-3333-3333-3333-3333", "wide", "Expected a resolution"),
        ("r32-3333333333-3333-3333-3333-3333", "wide", "Expected a resolution"),
        ("r7-3333-3333-3333-3333-3333", "wide", "Expected a resolution"),
    ],
)
def test_a_network_of_other_choices_is_refused_with_its_name(name, choices, word):
    with pytest.raises(UserError, match=word) as refused:
        MNV3(resolutions=(7 + 25, 64), choices=choices).from_str(name)
    assert name in str(refused.value)


def test_what_knows_the_published_choices_only_says_so():
    space = wide()
    assert [form.name for form in space.forms] == [f.name for f in MNV3().forms if f.name != "ofa"]
    with pytest.raises(UserError, match="choices 'ofa'"):
        space.to_ofa(space.from_str("r24-33-33-33-33-33"))
    with pytest.raises(UserError, match="wide"):
        MNV3(choices="wid")
    check_choices(CHOICES["ofa"].smallest(), "wide")


def test_a_network_is_drawn_as_it_is():
    space = wide()
    lines = plain_text(space, space.from_str("r24-33-7176w50-36-5251-3333w75"))
    assert lines[2] == "stage 2: 8 ch, stride 2: k7 e1, k7 e6"
    assert lines[5] == "stage 5: 40 ch, stride 1: k3 e3, k3 e3"
    assert space.describe(space.from_str("r24-33-7176w50-36-5251-33w75")).endswith(
        "k3e3 | k7e1 k7e6 at 50 % width | k3e6 | k5e2 k5e1 | k3e3 at 75 % width"
    )

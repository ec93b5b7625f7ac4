"""Other people's names of architectures: read and written as files have them, refused where they say too little."""

from __future__ import annotations

import csv
import hashlib
import json

import numpy as np
import pytest
from data_files import original
from hypothesis import given
from hypothesis import strategies as st

from smemnas.bench.data.tfrecord import read_records
from smemnas.bench.errors import UserError
from smemnas.spaces.base import SPACES
from smemnas.spaces.forms import read_form, reader, writer
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.nb101 import NB101
from smemnas.spaces.nb201 import NB201

NASLIB = "skip_connect,none,nor_conv_3x3,nor_conv_1x1,avg_pool_3x3"
CELL = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|"
#: Pairs that the authors publish: three in the program that made the list, number 1 in NATS-Bench's issue 18.
PUBLISHED = {
    0: "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    1: "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
    9: "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    123: "|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|",
}
OFA = {
    "wid": None,
    "ks": [5, 7, 5, 5, 3, 3, 3, 7, 5, 5, 3, 7, 7, 3, 3, 3, 5, 5, 5, 5],
    "e": [4, 3, 4, 4, 4, 6, 3, 4, 4, 3, 4, 3, 3, 6, 6, 6, 4, 3, 4, 4],
    "d": [2, 3, 2, 4, 3],
    "r": [224],
}
OFA_NAME = "r224-5473-343633-5453-73363636-545354"


@pytest.mark.parametrize(("index", "name"), PUBLISHED.items())
def test_official_index_is_the_published_one(index, name):
    space = NB201()
    assert space.to_str(read_form(space, index, "official")) == name
    assert writer(space, "official")(space.from_str(name)) == str(index)


def test_official_order_never_moves():
    """A digest of all names: what the shuffle gives must not depend on the version of Python."""
    space = NB201()
    read = reader(space, "official")
    names = [space.to_str(read(i)) for i in range(space.size)]
    assert len(set(names)) == space.size
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == OFFICIAL_SHA256


OFFICIAL_SHA256 = "83abc799e45cf34e9d2163654668ab998b9a54d01c39e72ca1f71f2cdf356d84"


def test_official_index_of_the_size_space_is_the_row():
    space = SPACES.create("nats_sss")
    for number in (0, 1, 8, 32767):
        assert (read_form(space, str(number), "official") == read_form(space, f"#{number}")).all()
    assert space.to_str(read_form(space, 8, "official")) == "8:8:8:16:8"


def test_own_row_zero_is_not_the_official_one():
    space = NB201()
    assert space.to_str(read_form(space, "#0")) == "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert space.to_str(read_form(space, "official:0")) == PUBLISHED[0]


@pytest.mark.parametrize(
    ("value", "form", "operations"),
    [
        ("(4, 0, 3, 1, 4, 3)", "naslib", ""),
        ((4, 0, 3, 1, 4, 3), "naslib", ()),
        (np.array([4, 0, 3, 1, 4, 3]), "naslib", ()),
        ([4.0, 0.0, 3.0, 1.0, 4.0, 3.0], "naslib", ()),
        ("403143", "naslib", ""),
        ("4 0 3 1 4 3", "naslib", ""),
        ("naslib:[4,0,3,1,4,3]", None, ""),
        ("(4, 0, 3, 1, 4, 3)", "source-major", NASLIB),
        ("(4, 0, 1, 3, 4, 3)", "target-major", NASLIB.split(",")),
        ("(0, 4, 3, 2, 0, 3)", "source-major", "avg_pool_3x3, nor_conv_3x3, none, nor_conv_1x1, skip_connect"),
        ("avg_pool_3x3,skip_connect,nor_conv_1x1,none,avg_pool_3x3,nor_conv_1x1", "source-major", ""),
        (
            ["avg_pool_3x3", "skip_connect", "none", "nor_conv_1x1", "avg_pool_3x3", "nor_conv_1x1"],
            "target-major",
            (),
        ),
        (CELL, None, ""),
        (f" {CELL} ", "name", ""),
    ],
)
def test_tuples_in_a_stated_order(value, form, operations):
    space = NB201()
    assert space.to_str(read_form(space, value, form, operations)) == CELL


def test_tuples_and_strings_of_a_public_file():
    """A file that has NASLib's tuple and the string of each cell, 9,445 of them."""
    space, read = NB201(), reader(NB201(), "naslib")
    write = writer(space, "naslib")
    with open(original("nb201", "nb201_zc_proxies.csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 9445
    for row in rows:
        x = read(row["net"])
        assert space.to_str(x) == row["net_str"]
        assert write(x) == row["net"]


def test_dictionaries_of_dynas():
    space, read = MNV3(), reader(MNV3())
    with open(original("mnv3", "mbnv3w10_evoga_acc.csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    X = np.array([read(row["Sub-network"]) for row in rows])
    assert (space.cost(X, "flops") * 1e6).round().astype(int).tolist() == [int(r["MACs"]) for r in rows]
    assert (space.cost(X, "params") * 1e6).round().astype(int).tolist() == [int(r["Model Parameters"]) for r in rows]


@pytest.mark.parametrize("value", [OFA, str(OFA), json.dumps(OFA), f"ofa:{OFA}"])
def test_ofa_dictionary(value):
    space = MNV3()
    x = read_form(space, value)
    assert space.to_str(x) == OFA_NAME
    assert json.loads(writer(space, "ofa")(x))["d"] == OFA["d"]


MATRIX = [
    [0, 1, 1, 1, 0, 1, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 1, 0, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0],
]
LABELS = ["conv1x1-bn-relu", "conv3x3-bn-relu", "conv3x3-bn-relu", "conv3x3-bn-relu", "maxpool3x3"]
BITS = "".join(str(MATRIX[i][j]) for i in range(7) for j in range(i + 1, 7))
GRAPH = "111010.00001.0001.100.01.1:c1-c3-c3-c3-mp"


@pytest.mark.parametrize(
    "value",
    [
        {"matrix": MATRIX, "operations": ["input", *LABELS, "output"]},
        {"module_adjacency": np.array(MATRIX), "module_operations": LABELS},
        {"adjacency": BITS, "ops": ["c1", "c3", "c3", "c3", "mp"]},
        {"matrix": [int(b) for b in BITS], "ops": LABELS},
        {"matrix": ["".join(map(str, row)) for row in MATRIX], "ops": LABELS},
        [MATRIX, LABELS],
        json.dumps({"matrix": MATRIX, "ops": LABELS}),
        str((MATRIX, ["input", *LABELS, "output"])),
        GRAPH,
    ],
)
def test_matrix_and_operations(value):
    space = NB101()
    x = read_form(space, value)
    assert space.to_str(x) == GRAPH
    assert (read_form(space, writer(space, "graph")(x), "graph") == x).all()


def test_numbers_of_operations_need_an_order():
    space, numbered = NB101(), json.dumps([MATRIX, [1, 0, 0, 0, 2]])
    order = "conv3x3-bn-relu,conv1x1-bn-relu,maxpool3x3"
    assert space.to_str(read_form(space, numbered, "graph", order)) == GRAPH
    with pytest.raises(UserError, match="--operations"):
        read_form(space, numbered)


def test_smaller_graphs_and_the_published_hash():
    """A graph of four vertices is read, and its hash is the one that the official file's records have."""
    read, write = reader(NB101(), "graph"), writer(NB101(), "hash")
    known = {}
    for payload in read_records(original("nb101", "energy_4V9E.tfrecord")):
        name, _, matrix, operations, _ = json.loads(payload)
        known[name] = [[int(b) for b in matrix], operations.split(",")]
    assert len(known) == 91
    assert [write(read(graph)) for graph in known.values()] == list(known)


@pytest.mark.parametrize(
    ("space", "value", "name"),
    [
        ("macro", "[0, 2, 0, 1, 2, 1, 0, 0]", "02012100"),
        ("macro", [0, 2, 0, 1, 2, 1, 0, 0], "02012100"),
        ("macro", "(0,2,0,1,2,1,0,0)", "02012100"),
        ("nats_sss", "[8, 8, 16, 40, 40]", "8:8:16:40:40"),
        ("nats_sss", (8, 8, 16, 40, 40), "8:8:16:40:40"),
        ("nats_sss", "channels:8-8-16-40-40", "8:8:16:40:40"),
        ("toy", "genes:0 4 1 1 2", "0-4-1-1-2"),
        ("toy", "#7", "0-0-0-1-2"),
        ("toy", "row:7", "0-0-0-1-2"),
    ],
)
def test_lists(space, value, name):
    space = SPACES.create(space)
    assert space.to_str(read_form(space, value)) == name


@pytest.mark.parametrize(
    ("space", "value", "form", "operations", "words"),
    [
        ("nb201", "(4, 0, 3, 1, 4, 3)", None, "", "naslib, source-major, target-major"),
        ("nb201", [4, 0, 3, 1, 4, 3], None, "", "say in which form"),
        ("nb201", "(4, 0, 3, 1, 4, 3)", "source-major", "", f"--operations {NASLIB}"),
        ("nb201", "(4, 0, 3, 1, 4, 3)", "source-major", "skip_connect,none", "0 to 1"),
        ("nb201", "(4, 0, 3, 1, 4)", "naslib", "", "6 whole numbers"),
        ("nb201", "(4, 0, 3, 1, 4, 5)", "naslib", "", "0 to 4"),
        ("nb201", "(4, 0, 3, 1, 4, -3)", "naslib", "", "6 whole numbers"),
        ("nb201", "(4, 0, 3, 1, 4, 0.5)", "naslib", "", "6 whole numbers"),
        ("nb201", [4, 0, 3, 1, 4, True], "naslib", "", "6 whole numbers"),
        ("nb201", "15625", "official", "", "0 to 15624"),
        ("nb201", "9" * 500, "official", "", "whole number"),
        ("nb201", "official:-1", None, "", "whole number"),
        ("nb201", CELL, "nasib", "", "Did you mean 'naslib'"),
        ("nb201", CELL, "naslib", NASLIB, "takes no order"),
        ("nb201", CELL, None, NASLIB, "--arch-form"),
        ("nb201", CELL, "source-major", "skip,none", "no operation 'skip'"),
        ("nb201", CELL, "source-major", "none,none", "once"),
        ("nb201", "#15625", None, "", "#0 to #15624"),
        ("nb201", "#" + "9" * 5000, None, "", "#0 to #15624"),
        ("mnv3", "#1", None, "", "no row numbers"),
        ("mnv3", "{'ks': [3], 'e': [3], 'd': [2]}", None, "", "r is missing"),
        ("mnv3", str(OFA).replace("224", "225"), None, "", "160, 176, 192, 208, 224"),
        ("mnv3", {**OFA, "r": 10**400}, None, "", "160, 176"),
        ("mnv3", "__import__('os').getcwd()", "ofa", "", "Python literal"),
        ("mnv3", "[" * 10_000, None, "", "Python literal"),
        ("mnv3", "{" * 30_000, None, "", "Python literal"),
        ("macro", "[0, 2, 0, 1, 2, 1, 0, 3]", None, "", "0, 1 and 2"),
        ("nats_sss", "[8, 8, 16, 40, 41]", None, "", "five of the channel counts"),
        ("nb101", {"matrix": MATRIX, "ops": LABELS[:4]}, None, "", "6 x 6"),
        ("nb101", {"matrix": MATRIX, "ops": [*LABELS[:4], "conv"]}, None, "", "no operation 'conv'"),
        ("nb101", {"matrix": np.array(MATRIX).T, "ops": LABELS}, None, "", "later vertices"),
        ("nb101", {"matrix": [[0, 2], [0, 0]], "ops": []}, None, "", "0 and 1"),
        ("nb101", {"matrix": MATRIX}, None, "", "operations"),
        ("nb101", "0" * 32, "hash", "", "written and not read"),
        ("toy", "genes:0 4 1 1 5", None, "", "gene 4"),
    ],
)  # fmt: skip
def test_refusals_are_one_line_that_helps(space, value, form, operations, words):
    with pytest.raises(UserError) as caught:
        read_form(SPACES.create(space), value, form, operations)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert len(message) < 600


@pytest.mark.parametrize("space", ["nb201", "mnv3", "nb101", "macro", "nats_sss", "toy"])
def test_whatever_text_is_read_or_refused(space):
    space = SPACES.create(space)
    texts = st.one_of(
        st.text(max_size=60),
        st.text("()[]{}0123456789,:#'\" \tabdeksr|~+-.", max_size=60),
        st.recursive(st.integers(-2, 300) | st.text(max_size=3) | st.none(), st.lists, max_leaves=12),
        st.dictionaries(st.sampled_from(["ks", "e", "d", "r", "matrix", "ops"]), st.lists(st.integers(0, 7))),
    )

    @given(texts, st.sampled_from([None, *(f.name for f in space.forms if f.read)]))
    def read(value, form):
        try:
            x = read_form(space, value, form)
        except UserError:
            return
        assert x.shape == (space.n_var,)
        assert ((x >= 0) & (x < space.n_choices)).all()

    read()


@pytest.mark.parametrize(("space", "form"), [("nb101", "graph"), ("mnv3", "ofa")])
def test_python_says_nothing_of_what_stands_in_a_literal(space, form, recwarn):
    with pytest.raises(UserError):
        read_form(SPACES.create(space), "{'ks': '\\d', 'matrix': 1 is 1}", form)
    assert list(recwarn) == []

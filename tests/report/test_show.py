"""Pictures of architectures: every space has one, it says what the genotype says, and nothing overlaps."""

import xml.etree.ElementTree as ElementTree
from itertools import combinations

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.colours import KINDS
from smemnas.bench.data.in_package import PackagedTable
from smemnas.bench.errors import UserError
from smemnas.bench.report.architecture.drawings import DRAWINGS, picture, plain_text
from smemnas.bench.report.architecture.figure import write_picture
from smemnas.bench.report.architecture.picture import CHARACTER, Edge, chain_of_vertices, gene_table
from smemnas.bench.report.architecture.values import find, values_of
from smemnas.spaces.base import SPACES, SearchSpace
from smemnas.spaces.cell201 import EDGES
from smemnas.spaces.nb201 import NB201

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"
SVG = "{http://www.w3.org/2000/svg}"


class Plugin(SearchSpace):
    """A space that nobody drew."""

    name = "undrawn"
    n_choices = (2, 7) * 10

    def to_str(self, x):
        return "".join(map(str, x))

    def from_str(self, arch):
        return np.array([int(c) for c in arch])


def samples(name, n=40):
    space = Plugin() if name == "undrawn" else SPACES.create(name)
    return space, space.sample(4000, np.random.default_rng(0)) if name == "nb101" else space.sample(
        n, np.random.default_rng(0)
    )


def valid(name, n=40):
    """Return a space and some of its architectures."""
    space, X = samples(name, n)
    return space, X[space.is_valid(X)][:n]


def along(line, steps=60):
    """Return points of a curve without its ends."""
    t = np.linspace(0, 1, steps)[2:-2, None]
    a, c, b = (np.array(p) for p in ((line.x0, line.y0), (line.cx, line.cy), (line.x1, line.y1)))
    return (1 - t) ** 2 * a + 2 * t * (1 - t) * c + t**2 * b


def within(box, points, margin=0.0):
    x, y = np.atleast_2d(points).T
    inside_x = (x > box.x - margin) & (x < box.x + box.w + margin)
    return inside_x & (y > box.y - margin) & (y < box.y + box.h + margin)


# --- pictures


def test_every_built_in_space_is_drawn_in_its_own_way():
    built_in = {e.name for e in SPACES if e.origin.startswith("smemnas.spaces.")}
    assert set(DRAWINGS) <= built_in
    assert {"nb201", "nb101", "macro", "nats_sss", "mnv3", "toy"} <= set(DRAWINGS)


@pytest.mark.parametrize("name", [*DRAWINGS, "undrawn"])
def test_everything_is_on_the_sheet_and_boxes_keep_apart(name):
    space, X = valid(name)
    for x in X:
        drawn = picture(space, x)
        assert drawn.boxes
        assert {item.kind for item in (*drawn.boxes, *drawn.lines)} <= set(KINDS)
        for box in drawn.boxes:
            assert box.x >= 0
            assert box.y >= 0
            assert box.x + box.w <= drawn.width
            assert box.y + box.h <= drawn.height
            assert CHARACTER * len(box.text) <= box.w + 6, f"{box.text!r} does not fit into its box"
        for line in drawn.lines:
            x_, y_ = along(line).T
            assert x_.min() >= 0
            assert y_.min() >= 0
            assert x_.max() <= drawn.width
            assert y_.max() <= drawn.height
        for a, b in combinations(drawn.boxes, 2):
            assert a.x + a.w <= b.x or b.x + b.w <= a.x or a.y + a.h <= b.y or b.y + b.h <= a.y
        for label in drawn.labels:
            assert not any(within(box, [(label.x, label.y)]).any() for box in drawn.boxes)


@pytest.mark.parametrize("name", ["nb201", "nb101"])
def test_no_edge_runs_through_a_vertex_and_texts_keep_apart(name):
    space, X = valid(name, 100)
    for x in X:
        drawn = picture(space, x)
        texts = []
        for line in drawn.lines:
            assert not any(within(box, along(line)).any() for box in drawn.boxes)
            if line.text:
                at = np.array([(line.x0 + 2 * line.cx + line.x1) / 4, (line.y0 + 2 * line.cy + line.y1) / 4])
                texts.append((at - (0, 9 if line.cy == line.y0 else 0), CHARACTER * len(line.text)))
        for (p, w), (q, v) in combinations(texts, 2):
            assert abs(p[0] - q[0]) >= (w + v) / 2 or abs(p[1] - q[1]) >= 12


@pytest.mark.parametrize("name", [*DRAWINGS, "undrawn"])
def test_different_networks_look_different(name):
    space, X = valid(name, 60)
    by_network = {}
    for key, x in zip(space.canonical(X).tolist(), X, strict=True):
        by_network.setdefault(key, str(picture(space, x).to_list()))
    assert len(by_network) > 10
    drawings = set(by_network.values())
    if name in ("nb201", "nb101", "macro"):  # isomorphic graphs may look different, different ones must
        assert len(drawings) == len(by_network)
    else:
        assert len(drawings) == len({space.to_str(x) for x in X})


def test_nb201_edges_carry_their_operations():
    x = NB201().from_str(CELL)
    drawn = picture(NB201(), x)
    words = dict(zip(EDGES, ("conv 3x3", "none", "skip", "conv 1x1", "avg pool", "conv 3x3"), strict=True))
    centre = [box.x + box.w / 2 for box in drawn.boxes]
    assert [box.text for box in drawn.boxes] == ["input", "node 1", "node 2", "output"]
    assert len(drawn.lines) == 6
    for line in drawn.lines:
        ends = tuple(int(np.argmin([abs(end - c) for c in centre])) for end in (line.x0, line.x1))
        assert words.pop(ends) == line.text
    assert words == {}


def test_arcs_cross_only_where_they_must():
    vertices = [(str(k), "plain") for k in range(5)]
    nested = chain_of_vertices(vertices, [Edge(0, 2), Edge(0, 3), Edge(0, 4)], 40, 30)
    assert all(line.cy < line.y0 for line in nested.lines)  # all above, none crosses
    heights = sorted(line.y0 - line.cy for line in nested.lines)
    assert len(set(heights)) == 3
    crossing = chain_of_vertices(vertices, [Edge(0, 2), Edge(1, 3)], 40, 30)
    assert {np.sign(line.cy - line.y0) for line in crossing.lines} == {-1.0, 1.0}


def test_gene_table_is_cut_where_it_would_be_endless():
    space = Plugin()
    space.n_choices = (2,) * 1000
    drawn = gene_table(space, np.zeros(1000, dtype=np.int64))
    assert len(drawn.boxes) == 240
    assert any("760 more genes" in label.text for label in drawn.labels)


# --- words


def test_text_says_what_the_cell_computes():
    assert plain_text(NB201(), NB201().from_str(CELL)) == [
        "node 1 = conv 3x3(input)",
        "node 2 = skip(node 1)",
        "output = conv 1x1(input) + avg pool(node 1) + conv 3x3(node 2)",
    ]
    assert plain_text(NB201(), np.zeros(6, dtype=np.int64)) == ["node 1 = 0", "node 2 = 0", "output = 0"]


@pytest.mark.parametrize(
    ("name", "arch", "lines"),
    [
        ("nb101", "100001.10100.1100.111.01.0:c3-mp-c3-mp-c1", [
            "1 conv 3x3 <- input", "2 max pool <- 1 conv 3x3", "3 conv 3x3 <- 2 max pool",
            "4 max pool <- 1 conv 3x3, 2 max pool, 3 conv 3x3", "output <- input, 3 conv 3x3, 4 max pool",
            "left out, on no path from input to output: 1",
        ]),
        ("macro", "02012100", [
            "stage 1: 64 channels, 16 px: identity, MB6 5x5", "stage 2: 128 channels, 8 px: identity, MB3 3x3, MB6 5x5",
            "stage 3: 256 channels, 4 px: MB3 3x3, identity, identity",
        ]),
        ("nats_sss", "8:16:32:48:64", [
            "cell 1: 8 channels", "reduction 1: 16 channels", "cell 2: 32 channels", "reduction 2: 48 channels",
            "cell 3: 64 channels",
        ]),
        ("mnv3", "r224-3334-7673-36567634-5353-3333", [
            "resolution 224 px, width 1", "stage 1: 24 ch, stride 2: k3 e3, k3 e4",
            "stage 2: 40 ch, stride 2: k7 e6, k7 e3",
            "stage 3: 80 ch, stride 2: k3 e6, k5 e6, k7 e6, k3 e4", "stage 4: 112 ch, stride 1: k5 e3, k5 e3",
            "stage 5: 160 ch, stride 2: k3 e3, k3 e3",
        ]),
        ("toy", "0-4-1-1-2", [f"gene {j}: level {v} of 0..4" for j, v in enumerate((0, 4, 1, 1, 2))]),
    ],
)  # fmt: skip
def test_text_of_each_space(name, arch, lines):
    space = SPACES.create(name)
    assert plain_text(space, space.from_str(arch)) == lines


def test_text_of_a_space_that_nobody_drew():
    lines = plain_text(Plugin(), np.array([1, 6] * 10))
    assert lines[:2] == ["gene 0: 1 of 0..1", "gene 1: 6 of 0..6"]
    assert len(lines) == 20


# --- finding and values


@pytest.mark.parametrize("name", ["nb201", "macro", "nats_sss", "toy"])
def test_row_numbers_are_those_of_the_enumerated_space(name):
    space = SPACES.create(name)
    grid = space.enumerate()
    for row in (0, 123, len(grid) - 1):
        assert find(space, f"#{row}").tolist() == grid[row].tolist()
        assert find(space, space.to_str(grid[row])).tolist() == grid[row].tolist()
    with pytest.raises(UserError, match=rf"#0 to #{len(grid) - 1}"):
        find(space, f"#{len(grid)}")


@pytest.mark.parametrize("arch", ["#-1", "#1.5", "#", "# 1"])
def test_what_is_no_row_number(arch):
    with pytest.raises(UserError, match="#N"):
        find(SPACES.create("toy"), arch)


def test_values_are_those_of_the_table(use_embedded):
    bench = open_benchmark("nb201", "analog")
    for row in (0, 5000, 15624):
        x = bench.space.enumerate()[row]
        (name, text), *others = values_of(bench.space, x, None)
        assert [place for place, _ in others] == ["nb201/cifar10", "nb201/cifar100"]
        validation, test = (PackagedTable("nb201/cifar10").column(f"{split}_error")[row] for split in ("val", "test"))
        assert others[0][1].startswith(f"val_error {validation:.4g} %, test_error {test:.4g} %, ")
        found = {part.split()[0]: float(part.split()[1]) for part in text.split(", ")}
        error, flops = bench.report(x[None])[0]
        assert name == "nb201/analog"
        assert found["error"] == pytest.approx(error, rel=1e-3)
        assert found["flops"] == pytest.approx(flops, rel=1e-3)
        assert found["params"] == pytest.approx(bench.space.cost(x[None], "params")[0], rel=1e-3)


def test_repeated_trainings_are_averaged(tmp_path, monkeypatch):
    from smemnas.bench.benchmarks.table import write_table

    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    values = np.random.default_rng(0).uniform(5, 20, (6561, 3))
    values[7, 2] = np.nan
    column = {"unit": "%", "split": "single", "role": "objective", "text": ""}
    write_table(
        tmp_path / "tables" / "macro" / "mine", {"error": values}, describe={"error": column}, name="macro/mine",
        space="macro", dataset="mine", index="grid", default_objectives=["error"], space_params={}, notes=[],
    )  # fmt: skip
    for row in (7, 8):
        space = SPACES.create("macro")
        [(_, text)] = values_of(space, space.enumerate()[row], "mine")
        assert text.startswith(f"error {np.nanmean(values[row]):.4g} %, params ")


# --- files and command


def test_svg_holds_the_words_and_the_name(tmp_path):
    space = NB201()
    write_picture(tmp_path / "cell.svg", picture(space, space.from_str(CELL)), f"nb201  {CELL}")
    words = ["".join(t.itertext()).strip() for t in ElementTree.parse(tmp_path / "cell.svg").iter(f"{SVG}text")]
    assert {"input", "node 1", "node 2", "output", "none", "skip", "conv 1x1", "avg pool"} <= set(words)
    assert words.count("conv 3x3") == 2
    assert CELL in "".join(words).replace(" ", "")


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_files_are_the_same_each_time(tmp_path, ending):
    space = SPACES.create("mnv3")
    drawn = picture(space, space.sample(1, np.random.default_rng(0))[0])
    files = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for file in files:
        write_picture(file, drawn, "mnv3  $x_1$ <&>")
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert first.startswith({"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[ending])


def test_command_prints_the_parts_and_draws(tmp_path, cli):
    process = cli("show", CELL, "--space", "nb201", "--out", "new/cell.png")
    assert process.returncode == 0, process.stderr
    assert "node 2 = skip(node 1)" in process.stdout
    assert "nb201/analog  error " in process.stdout
    assert "nb201/cifar10  val_error " in process.stdout
    assert (tmp_path / "new" / "cell.png").stat().st_size > 5000
    assert cli("show", f"#{5**5}", "--space", "nb201").stdout.startswith("nb201  |skip_connect~0|+|none~0|none~1|+")


def test_row_zero_says_whose_number_it_is(cli):
    """The official file's number 0 is another cell than row 0 here; both are named, and both can be asked for."""
    own = cli("show", "#0", "--space", "nb201").stdout.splitlines()
    assert own[0] == "nb201  |none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert "row  #0  (row of the space as this suite enumerates it; no official index)" in own
    assert any(line.startswith("official  1651  ") for line in own)
    official = cli("show", "official:0", "--space", "nb201").stdout.splitlines()
    assert official[0].endswith(
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )
    assert any(line.startswith("row  #13931  ") for line in official)
    assert any(line.startswith("naslib  (4, 3, 3, 0, 0, 0)  ") for line in official)


def test_list_of_spaces_has_the_forms_of_names(cli):
    text = cli("list", "spaces").stdout
    for words in (
        "naslib: ",
        "ofa: ",
        "graph: ",
        "hash: the published hash",
        "(written only)",
        "like (4, 0, 3, 1, 4, 3)",
    ):
        assert words in text
    assert "naslib" not in cli("list").stdout


def test_without_a_table_the_costs_are_shown(cli):
    space = SPACES.create("nb101")
    process = cli("show", space.to_str(space.sample(1, np.random.default_rng(0))[0]), "--space", "nb101")
    assert process.returncode == 0, process.stderr
    assert "costs  params " in process.stdout
    assert "error" not in process.stdout


def test_mistakes_are_one_line(cli, one_line_error):
    for arguments, words in [
        (["0-1-2-3-9", "--space", "toy"], ["0-1-2-3-9", "0-4-1-1-2"]),
        (["#1", "--space", "tyo"], ["tyo", "toy"]),
        (["#1", "--space", "mnv3"], ["mnv3", "row numbers"]),
        (["#15625", "--space", "nb201"], ["#15624"]),
        (["official:15625", "--space", "nb201"], ["0 to 15624"]),
        (["(4, 0, 3, 1, 4, 3)", "--space", "nb201"], ["naslib", "FORM:VALUE"]),
        (["#1", "--space", "toy", "--out", "x.jpg"], [".svg", "x.jpg"]),
        (["#1", "--space", "toy", "--dataset", "open"], ["open", "closed-form"]),
        (["111111.11111.1111.111.11.1:c3-c3-c3-c3-c3", "--space", "nb101"], ["nb101", "valid"]),
        (["#1", "--space", "macro", "--dataset", "nats-cifar10"], ["macro"]),
    ]:
        process = cli("show", *arguments)
        one_line_error(process, *words)
        assert process.stdout == ""

"""What `fit` refuses before anything is decoded or trained: tables of other networks, bounds that none keeps."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("PIL.Image", reason="needs the extra 'train': pip install -e '.[train]'")

from small_images import data_home, write_folder  # noqa: F401

from smemnas.bench.benchmarks.latency.benchmark import LatencySpace
from smemnas.bench.benchmarks.latency.table import read_latency
from smemnas.bench.benchmarks.latency.terms import measuring_command, sum_of
from smemnas.bench.commands.root import cli
from smemnas.bench.errors import UserError
from smemnas.bench.fit import fit as module
from smemnas.bench.fit.fit import FitOptions, plan_fit
from smemnas.bench.fit.measure import class_count
from smemnas.bench.fit.plan import FEWEST, Speeds
from smemnas.bench.fit.wishes import Sizes, check_alone, check_wishes, sizes_for, table_sizes
from smemnas.bench.latency.spaces import measured_space
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_costs import STEMS
from smemnas.spaces.nb201 import NB201
from tests.latency_cases import table_file

SMALL = Sizes(32, 0.1, (24, 32), "small")


def measured_by(message):
    """Return the space that the command in a message measures."""
    words = message.split("latency measure ")[1].split("`")[0].split()
    given = dict(zip(words[::2], words[1::2], strict=True)) if len(words) < 3 else None
    name = given["--space"] if given else words[1]
    return measured_space(name, [word for word in words[2:] if word != "--shape"])


@pytest.fixture
def photos(tmp_path, data_home, monkeypatch):  # noqa: F811
    """Three classes of images of 32 pixels; decoding and measuring them fails."""

    def never(*_, **__):
        raise AssertionError("too late")

    monkeypatch.setattr(module, "setting_for", never)
    monkeypatch.setattr(module, "measure", never)
    write_folder(tmp_path / "photos", per_class=6, size=(32, 32))
    return tmp_path / "photos"


def refused(photos, **wishes):
    """Return what is said of wishes, by the function and by the command with --dry-run; nothing is left behind."""
    out = photos.parent / "net"
    with pytest.raises(UserError) as error:
        plan_fit(FitOptions(str(photos), 2.0, out, **wishes))
    words = [word for key, value in wishes.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    said = CliRunner().invoke(cli, ["fit", str(photos), "--hours", "2", "--out", str(out), "--dry-run", *words])
    assert isinstance(said.exception, UserError)
    assert str(said.exception) == str(error.value)
    assert not out.exists()
    return str(error.value)


def test_a_table_of_other_classes_is_refused_with_the_command_for_these(photos, tmp_path):
    """Those that `latency measure` takes by default have 1,000."""
    strides = STEMS["small"][1]
    table = table_file(tmp_path, MNV3(0.1, (24, 32), 1000, stem_stride=1, strides=strides))
    said = refused(photos, latency=table, max_latency=5.0)
    assert "of 1000 classes, these images have 3" in said
    again = table_file(tmp_path, measured_by(said))
    assert read_latency(again).space == sum_of(MNV3(0.1, (24, 32), 3, stem_stride=1, strides=strides)).shape
    with pytest.raises(AssertionError, match="too late"):
        plan_fit(FitOptions(str(photos), 2.0, tmp_path / "net", latency=again, max_latency=50.0))


def test_a_table_of_much_larger_networks_is_no_model_for_small_images(photos, tmp_path):
    """As the first command of docs/latency.md writes it."""
    said = refused(photos, latency=table_file(tmp_path, MNV3()))
    assert sum_of(measured_by(said)).shape == sum_of(sizes_for(32).space(3)).shape


@pytest.mark.parametrize(
    ("space", "wishes", "words"),
    [
        (NB201(3), {}, "measured on nb201"),
        (SMALL.space(3), {"width": 0.2}, "at width 0.1, not 0.2: leave --width out, or measure that"),
    ],
)
def test_tables_of_other_networks(photos, tmp_path, space, wishes, words):
    said = refused(photos, latency=table_file(tmp_path, space), **wishes)
    assert words in said
    found = measured_by(said)
    assert (found.name, found.n_classes, found.width) == ("mnv3", 3, wishes.get("width", 0.35))


def test_a_bound_that_no_network_keeps_is_refused_with_one_that_some_do(photos):
    said = refused(photos, max_flops=0.0001, width=0.1)
    bound = float(said.split("Give --max-flops ")[1].split()[0])
    space = sizes_for(32, 0.1).space(3)
    smallest = space.cost(space.from_str("r32-3333-3333-3333-3333-3333")[None], "flops")[0]
    drawn = float(said.split("the smallest flops is ")[1].split()[0])
    assert smallest <= drawn <= bound <= 1.25 * smallest
    with pytest.raises(AssertionError, match="too late"):
        plan_fit(FitOptions(str(photos), 2.0, photos.parent / "net", max_flops=bound, width=0.1))
    assert "too few networks keep to" in refused(photos, max_flops=0.9 * bound, width=0.1, size=32)
    assert "far above all networks here, of which the largest has about" in refused(photos, max_flops=1e5)


def test_bounds_are_kept_by_enough_different_networks(tmp_path):
    table = table_file(tmp_path, SMALL.space(3))
    space = LatencySpace(SMALL.space(3), read_latency(table), table)
    with pytest.raises(UserError, match=r"Give --max-latency [\d.]+ or more, or a table of smaller networks") as error:
        check_wishes(SMALL, 3, {"latency": 1.0}, table)
    bound = float(str(error.value).split("Give --max-latency ")[1].split()[0])
    check_wishes(SMALL, 3, {"latency": bound}, table)
    X = space.sample(200_000, np.random.default_rng(1))
    assert FEWEST // 4 <= len(np.unique(space.canonical(X[space.cost(X, "latency") <= bound]))) <= 4 * FEWEST


def test_bounds_that_are_kept_alone_and_not_together(tmp_path):
    table = table_file(tmp_path, SMALL.space(3))
    space = LatencySpace(SMALL.space(3), read_latency(table), table)
    X = space.sample(50_000, np.random.default_rng(1))
    flops, latency = (space.cost(X, name) for name in ("flops", "latency"))
    bounds = {"latency": float(np.quantile(latency, 0.001)), "flops": float(np.quantile(flops, 0.001))}
    for name, bound in bounds.items():
        check_wishes(SMALL, 3, {name: bound}, table)
    with pytest.raises(UserError, match="within the other bound") as error:
        check_wishes(SMALL, 3, bounds, table)
    for name in bounds:
        enough = float(str(error.value).split(f"--max-{name} ")[-1].split(",")[0].split()[0])
        assert enough > bounds[name]
        check_wishes(SMALL, 3, {**bounds, name: enough}, table)


def test_sizes_that_time_may_choose_count(photos, monkeypatch, tmp_path):
    """Large images are made smaller where the time is short: a bound for those is none for the largest ones."""
    write_folder(tmp_path / "large", per_class=7, size=(224, 224))
    options = FitOptions(str(tmp_path / "large"), 2.0, tmp_path / "net", max_flops=5.0)
    with pytest.raises(UserError, match="at 168, 224 pixels"):
        plan_fit(replace(options, size=224))
    with pytest.raises(AssertionError, match="too late"):
        plan_fit(options)
    with pytest.raises(UserError, match="at 168, 224 pixels"):
        plan_fit(replace(options, max_flops=0.1))
    monkeypatch.undo()
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path / "home"))
    monkeypatch.setattr(module, "measure", lambda *_, **__: Speeds(1e-3, 1e-3, 1.0))
    with pytest.raises(UserError, match="at 168, 224 pixels"):
        plan_fit(options)


def test_strides_that_only_a_supernet_has(tmp_path):
    table = table_file(tmp_path, MNV3(0.1, (24, 32), 3, stem_stride=1, strides=(2, 2, 1, 1, 1)))
    sizes = table_sizes(table, 3, 32)
    with pytest.raises(UserError, match="the strides 2, 2, 1, 1, 1; candidates that are trained alone have 2, 2, 2"):
        check_alone(sizes, table)
    for strides in ((), STEMS["small"][1]):
        check_alone(sizes._replace(strides=strides), table)
    assert measuring_command(read_latency(table).space).endswith("latency measure --checkpoint SUPERNET")


def test_what_only_the_export_needs_is_seen_first(photos, monkeypatch):
    with pytest.raises(UserError, match="--licence is a name on one line"):
        plan_fit(FitOptions(str(photos), 2.0, photos.parent / "net", licence="two\nlines"))

    def missing():
        raise UserError("ONNX needs the package onnx")

    monkeypatch.setattr("smemnas.bench.train.retrain.onnx_file.need_onnx", missing)
    with pytest.raises(UserError, match="ONNX needs the package onnx"):
        plan_fit(FitOptions(str(photos), 2.0, photos.parent / "net"))


def test_classes_are_counted_without_decoding(photos):
    assert (class_count(str(photos)), class_count("digits")) == (3, 10)


@pytest.mark.parametrize("shape", [("mnv3", "width=0.35", "stem=small", "resolutions=24-28-32", "classes=7"), ("mnv3",),
                                   ("nb201", "channels=4", "cells=2", "size=16", "classes=7"), ("nb201",),
                                   ("nats_sss", "channels=4", "size=16"), ("nats_sss",), ("macro", "size=16"),
                                   ("macro", "channels=4")])  # fmt: skip
def test_the_command_for_a_shape_measures_that_shape(shape):
    wanted = sum_of(measured_space(shape[0], shape[1:])).shape
    assert sum_of(measured_by(f"`{measuring_command(json.loads(json.dumps(wanted)))}`")).shape == wanted

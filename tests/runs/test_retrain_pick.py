"""Picks from a front and recipes of the final training; all of it without torch."""

import json
from dataclasses import replace

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import RunError, UserError
from smemnas.bench.report.run import write_report
from smemnas.bench.runs.front import FinishedFront, folder_name, knee, pick, read_front
from smemnas.bench.runs.history import Row
from smemnas.bench.runs.job import Job, make_job
from smemnas.bench.runs.run import run
from smemnas.bench.schema import signed_line
from smemnas.bench.train.retrain.recipes import RETRAIN_RECIPES, find_retrain_recipe
from smemnas.spaces.mnv3 import MNV3
from tests.latency_cases import table_file

ARCH = "r32-3333-3333-3333-3333-3333"
#: (error, flops): the last but one is the knee.
POINTS = ((20.0, 400.0), (21.0, 300.0), (22.0, 120.0), (40.0, 100.0))


def write_run(folder, points=POINTS, *, space="mnv3", names=("val_error", "flops"), finished=True):
    """Write the files of a run that `retrain` reads."""
    folder.mkdir()
    job = Job("random", space, "imagenet", names, 10)
    (folder / "job.json").write_text(json.dumps({"job": job.to_dict(), "data": {}, "environment": {}}))
    write_log(folder, points)
    if finished:
        (folder / "summary.json").write_text(json.dumps({"evaluations": len(points)}))
        lines = [",".join(["arch", *names, "test_error", "x"])]
        lines += [f"{ARCH}-{i},{','.join(map(str, p))},50.0,0 1" for i, p in enumerate(points) if p]
        (folder / "front.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_log(folder, points):
    """Write the log of a run that evaluated these; None is a failure."""
    rows = [
        Row(i, f"{ARCH}-{i}", (i,), p or (None, None), "ok" if p else "failed", "" if p else "no memory")
        for i, p in enumerate(points)
    ]
    (folder / "evals.jsonl").write_text("".join(f"{row.to_json()}\n" for row in rows))


@pytest.fixture
def front(tmp_path):
    return read_front(write_run(tmp_path / "run"))


def test_the_knee_is_furthest_from_the_line_through_the_extremes():
    """Brute force in the plane: perpendicular distances, signed towards the origin."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        n = int(rng.integers(3, 30))
        F = np.stack([np.sort(rng.random(n)) * 7 + 3, np.sort(rng.random(n))[::-1] * 500 + 20], axis=1)
        scaled = (F - F.min(axis=0)) / (F.max(axis=0) - F.min(axis=0))
        a, b = scaled[0], scaled[-1]
        along = (b - a) / np.linalg.norm(b - a)
        distances = [float(along[1] * (p - a)[0] - along[0] * (p - a)[1]) for p in scaled]
        towards_origin = np.sign(along[1] * -a[0] + along[0] * a[1])
        assert knee(F) == int(np.argmax(towards_origin * np.array(distances)))
    assert knee(np.array([[5.0, 3.0]])) == 0
    assert knee(np.array([[1.0, 9.0], [2.0, 4.0]])) == 0  # of two equals, the one with the lower error
    assert knee(np.array([[1.0, 9.0, 5.0], [2.0, 1.0, 5.0], [9.0, 0.5, 5.0]])) == 1


def test_picks(front):
    assert front.archs[0] == f"{ARCH}-0"
    assert pick(front, "knee") == 2
    assert pick(front, "best") == 0
    assert [pick(front, str(k)) for k in (1, 2, 3, 4)] == [0, 1, 2, 3]  # as printed: the first row is 1
    assert pick(front, "flops<=300") == 1
    assert pick(front, " flops <= 299.9 ") == 2
    assert pick(front, "flops<=350,flops>=110, error>=21.5") == 2
    assert pick(front, "val_error<=1e2") == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", "rows 1 to 4, got 0"),
        ("5", "rows 1 to 4, got 5"),
        ("-1", "rows 1 to 4, got -1"),
        ("+-1", "--pick takes"),
        ("--1", "--pick takes"),
        ("9" * 5_000, "--pick takes"),
        ("kne", r"got 'kne'\. Did you mean 'knee'"),
        ("flops<=50", r"satisfies flops<=50; the closest is row 4 \(val_error 40, flops 100\)"),
        ("flops<=200,error<=19", r"the closest is row 3"),
        ("flop<=50", "no objective 'flop' to bound. Did you mean 'flops'"),
        ("flops<=many", "--pick takes"),
        ("flops<=1.2.3", "--pick takes"),
        ("flops<300", "--pick takes"),
    ],
)
def test_wrong_picks(front, text, words):
    with pytest.raises(UserError, match=words) as error:
        pick(front, text)
    assert "\n" not in str(error.value)


def test_runs_that_cannot_be_used(tmp_path):
    for name, options, words in (
        ("open", {"finished": False}, r"not finished \(4 of 10 evaluations\)"),
        ("empty", {"points": (None, None)}, "front of the run in .* is empty"),
    ):
        with pytest.raises(UserError, match=words):
            read_front(write_run(tmp_path / name, **options))
    with pytest.raises(RunError, match="nowhere is not there"):
        read_front(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"holds no job.json"):
        read_front(tmp_path)
    free = read_front(write_run(tmp_path / "free", names=("params", "flops")))
    with pytest.raises(UserError, match=r"no error among its objectives \(params, flops\)"):
        pick(free, "best")
    for file, text in (("job.json", "{"), ("front.csv", "arch,val_error\na,x\n"), ("front.csv", "arch\na\n")):
        (folder := write_run(tmp_path / f"bad{file}{len(text)}")).joinpath(file).write_text(text)
        with pytest.raises(RunError, match=f"{file} is corrupt"):
            read_front(folder)


def test_a_front_is_that_of_the_log(tmp_path):
    """What else lies in the folder may be of an earlier run, cut or edited."""
    going_on = write_run(tmp_path / "going on")
    write_log(going_on, (*POINTS, (19.0, 90.0)))
    with pytest.raises(RunError, match=r"going on is not finished \(5 of 10 evaluations\): give its command again"):
        read_front(going_on)
    stale = write_run(tmp_path / "stale")
    write_log(stale, (*POINTS, (21.5, 90.0), *[(50.0, 500.0 + k) for k in range(5)]))  # killed before its report
    with pytest.raises(RunError, match=r"front.csv is not the front of the log beside it: give the run's command"):
        read_front(stale)
    (stale / "front.csv").unlink()
    assert read_front(stale).F.tolist() == [[20.0, 400.0], [21.0, 300.0], [21.5, 90.0]]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0], lines[-1]],
        lambda lines: lines[:1],
        lambda lines: [*lines[:2], lines[2].replace("21.0", "nan"), *lines[3:]],
        lambda lines: [*lines[:2], lines[2].replace("21.0", "2.0"), *lines[3:]],
        lambda lines: [lines[0], *lines[:0:-1]],
        lambda lines: [line.replace(f"{ARCH}-1", f"{ARCH}-7") for line in lines],
    ],
    ids=["cut", "header alone", "nan", "edited", "other order", "other network"],
)
def test_a_printed_front_of_something_else_is_refused(tmp_path, change):
    folder = write_run(tmp_path / "run")
    lines = (folder / "front.csv").read_text().splitlines()
    (folder / "front.csv").write_text("".join(f"{line}\n" for line in change(lines)))
    with pytest.raises(RunError, match="is not the front of the log") as error:
        read_front(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("constraints", [(), ("flops<=60", "error>=8"), ("params<=1.8",)])
@pytest.mark.parametrize("dataset", ["cifar10", "cifar10+noise=0.5"])
def test_it_is_the_front_that_the_run_printed(tmp_path, constraints, dataset):
    job, benchmark = make_job("random", "macro", dataset=dataset, budget=40, constraints=constraints)
    result = run(job, tmp_path / "run", benchmark=benchmark)
    before = read_front(tmp_path / "run")  # as of a study, whose runs print nothing
    write_report(tmp_path / "run", result, benchmark)
    found = read_front(tmp_path / "run")
    assert found.archs == before.archs == result.front.archs
    assert np.array_equal(found.F, result.front.F)
    assert len(found.archs) > 1


def test_what_was_recommended_is_the_front(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "front.csv").unlink()
    for n, rows in ((4, [2, 1]), (3, [0])):
        line = signed_line(json.dumps({"n": n, "rows": rows, "F": [[1.0, 2.0]] * len(rows)}))
        (folder / "recommended.jsonl").write_text(f"{line}\n")
        if n == 4:
            assert read_front(folder).archs == (f"{ARCH}-1", f"{ARCH}-2")
    with pytest.raises(RunError, match="is not of the log beside it"):
        read_front(folder)


def test_folders_of_picks_are_names():
    names = [folder_name(t) for t in ("knee", "flops<=400", "flops>=400", "timm:a/b", "3", "error <= 5,flops<=3")]
    assert names == ["knee", "flops-max-400", "flops-min-400", "timm-a-b", "3", "error-max-5,flops-max-3"]


def test_presets_are_the_published_settings():
    """Lu et al., NSGANetV2, ECCV 2020, as listed in the project's notes on MSuNAS."""
    cifar = {
        "epochs": 150, "optimizer": "momentum", "lr": 0.01, "momentum": 0.9, "weight_decay": 4e-5, "batch": 96,
        "schedule": "cosine", "clip": 5.0, "autoaugment": "cifar10", "cutout": 16, "dropout": 0.2, "drop_path": 0.2,
    }  # fmt: skip
    imagenet = {
        "optimizer": "rmsproptf", "epochs": 450, "lr": 0.006, "lr_per": 256, "schedule": "step", "decay_rate": 0.97,
        "decay_epochs": 2.4, "weight_decay": 1e-5, "dropout": 0.2, "drop_path": 0.2, "ema": 0.9999,
        "autoaugment": "rand-m9-mstd0.5", "erasing": 0.2, "precision": "bf16", "distill": 1.0,
    }  # fmt: skip
    for name, wanted in (("cifar", cifar), ("imagenet", imagenet)):
        found = RETRAIN_RECIPES[name].to_dict()
        assert {key: found[key] for key in wanted} == wanted
    assert RETRAIN_RECIPES["imagenet"].overridden(["batch=2048"]).peak_lr == pytest.approx(0.048)
    assert RETRAIN_RECIPES["cifar"].overridden(["batch=2048"]).peak_lr == 0.01


def test_changes_of_a_preset():
    base = find_retrain_recipe("small")
    changed = base.overridden(["epochs=3", "lr=1", "flip=false", "autoaugment=original", "ema = 0.9"])
    assert (changed.epochs, changed.lr, changed.flip, changed.autoaugment, changed.ema) == (
        3,
        1.0,
        False,
        "original",
        0.9,
    )
    assert base.epochs == 30
    for item, words in (
        ("epoch=3", "no 'epoch'. Did you mean 'epochs'"),
        ("epochs", "KEY=VALUE"),
        ("epochs=2.5", "epochs takes a whole number, got 2.5"),
        ("epochs=0", "epochs must be at least 1"),
        ("lr=fast", "lr takes a number"),
        ("lr=0", "lr must be positive"),
        ("lr=1e999", "lr: numbers are finite"),
        ("flip=1", "flip takes true or false"),
        ("optimizer=rmsprop", "no optimizer 'rmsprop'. Did you mean 'rmsproptf'"),
        ("schedule=cosin", "Did you mean 'cosine'"),
        ("precision=fp8", "no precision 'fp8'"),
        ("dropout=1", r"dropout must lie in \[0, 1\)"),
        ("crop_pct=1.5", "at most 1"),
        ("name=x", "no 'name'"),
        ("epsilon=0.1", "sgd takes no epsilon"),
    ):
        with pytest.raises(UserError, match=words):
            base.overridden([item])
    with pytest.raises(UserError, match="Did you mean 'imagenet'"):
        find_retrain_recipe("imagnet")


def test_a_pick_bounds_what_was_no_objective_but_is_free(tmp_path):
    space = MNV3(resolutions=(224,))
    job = Job("nsga2", "mnv3", "ofa", ("error", "params"), 4)
    archs = tuple(space.to_str(x) for x in space.sample(4, np.random.default_rng(0)))
    front = FinishedFront(tmp_path, job, archs, ("error", "params"), np.array([[20.0, 5], [21, 4], [22, 3], [23, 2]]))
    flops = space.cost(space.from_strs(archs), "flops")
    second = np.sort(flops)[1]
    inside = np.flatnonzero(flops <= second)
    assert pick(front, f"flops<={second}") == inside.min()  # the lowest error of those within
    timed = replace(front, job=replace(job, dataset=f"ofa+latency={table_file(tmp_path, space)}"))
    latency = open_benchmark("mnv3", timed.job.dataset).space.cost(space.from_strs(archs), "latency")
    assert pick(timed, f"latency<={latency.min() + 1e-9}") == int(np.argmin(latency))

"""The plug-ins of the documentation, run as a user runs them; broken plug-ins; installed plug-ins."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

import smemnas

EXAMPLES = ROOT / "docs" / "examples"
METHOD, SURROGATE, SPACE = (EXAMPLES / f"my_{kind}.py" for kind in ("method", "surrogate", "space"))


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def succeed(process):
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stderr == ""
    return process.stdout


@pytest.mark.parametrize(
    ("file", "name"),
    [(METHOD, "front-climber"), (SURROGATE, "neighbours"), (SPACE, "mlp"), (SPACE, "mlp/formula")],
)
def test_an_example_keeps_its_contract(cli, file, name):
    lines = succeed(cli("--plugin", file, "check", name)).splitlines()
    assert len(lines) >= 7
    assert all(line.startswith("ok ") for line in lines)


def test_the_method_runs_and_beats_random_search(cli, tmp_path):
    for seed in (0, 1):
        common = ("--space", "nb201", "--dataset", "analog", "--budget", 200, "--seed", seed)
        succeed(cli("--plugin", METHOD, "run", "--method", "front-climber", *common, "--out", tmp_path / f"m{seed}"))
        succeed(cli("run", "--method", "random", *common, "--out", tmp_path / f"r{seed}"))
        mine, random = (summary_of(tmp_path / f"{kind}{seed}") for kind in "mr")
        assert mine["evaluations"] == random["evaluations"] == 200
        assert mine["hypervolume_regret"] < random["hypervolume_regret"]


def test_a_parameter_of_the_method(cli, tmp_path):
    out = tmp_path / "out"
    arguments = (
        "run",
        "--method",
        "front-climber",
        "--space",
        "toy",
        "--budget",
        30,
        "--param",
        "batch=7",
        "--out",
        out,
    )
    succeed(cli("--plugin", METHOD, *arguments))
    assert summary_of(out)["method"] == "front-climber[batch=7]"
    assert json.loads((out / "job.json").read_text())["job"]["plugins"][0]["file"] == METHOD.name


def test_the_surrogate_guides_smemnas(cli, tmp_path):
    common = ("run", "--method", "smemnas", "--space", "toy", "--budget", 60)
    mine = (*common, "--param", "surrogate=neighbours", "--param", "surrogate.power=2", "--out", tmp_path / "mine")
    succeed(cli("--plugin", SURROGATE, *mine))
    succeed(cli(*common, "--param", "surrogate=random", "--out", tmp_path / "none"))
    assert summary_of(tmp_path / "mine")["hypervolume_regret"] < summary_of(tmp_path / "none")["hypervolume_regret"]


@pytest.mark.parametrize("method", ["smemnas", "nsga2", "random"])
def test_the_space_is_searched_by_everybody(cli, tmp_path, method):
    out = tmp_path / "out"
    text = succeed(cli("--plugin", SPACE, "run", "--method", method, "--space", "mlp", "--budget", 30, "--out", out))
    assert "30 of 30" in text
    assert (out / "front.csv").read_text().startswith("arch,error,params,x\n")


def test_all_three_together(cli, tmp_path):
    plugins = [part for file in (METHOD, SURROGATE, SPACE) for part in ("--plugin", file)]
    text = succeed(cli(*plugins, "list"))
    assert all(name in text for name in ("front-climber", "neighbours", "mlp", "mlp/formula"))
    succeed(cli(*plugins, "run", "--method", "front-climber", "--space", "mlp", "--objectives", "params,error",
                "--budget", 20, "--out", tmp_path / "out"))  # fmt: skip


def test_the_document_names_what_exists():
    text = (ROOT / "docs" / "plugins.md").read_text()
    for link in re.findall(r"\]\((examples/\w+\.py)\)", text):
        assert (ROOT / "docs" / link).is_file()
    assert {f.name for f in EXAMPLES.glob("*.py")} == set(re.findall(r"\(examples/(\w+\.py)\)", text))


def test_an_unknown_name_is_answered_by_what_the_plugins_register(cli, one_line_error, tmp_path):
    (tmp_path / "none.py").write_text("x = 1\n")
    plugins = ("--plugin", METHOD, "--plugin", tmp_path / "none.py")
    told = ("Plug-in my_method.py registers 'front-climber'.", "Plug-in none.py registers nothing.")
    one_line_error(cli(*plugins, "run", "--method", "mine", "--space", "toy"), "no method 'mine'", *told, code=2)
    one_line_error(cli(*plugins, "check", "mine"), "nothing registered is called 'mine'. Known", *told, code=2)


def test_the_example_of_a_table_has_the_numbers_of_the_package(use_embedded):
    rows = pd.read_csv(EXAMPLES / "my_table.csv")
    benchmark = smemnas.open_benchmark("nb201", "cifar10", ("val_error", "latency_edgegpu"))
    X = np.array([benchmark.space.from_str(arch) for arch in rows["arch"]])
    assert len(np.unique(X, axis=0)) == len(rows) == 120
    np.testing.assert_allclose(100 - rows["val_acc"], benchmark.evaluate(X, seed=0).F[:, 0], atol=6e-4)
    np.testing.assert_allclose(rows["latency"], benchmark.evaluate(X, seed=0).F[:, 1], atol=6e-4)
    np.testing.assert_allclose(100 - rows["test_acc"], benchmark.report(X)[:, 0], atol=6e-4)


# ---- broken ones ----

REGISTER = """
from smemnas.methods.base import METHODS
from smemnas.methods.random_search import RandomSearch


@METHODS.register({name!r}, summary="broken")
class Broken(RandomSearch):
    def ask(self):
        {ask}
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\ndef f(:\n", ("broken.py, line 2: SyntaxError: invalid syntax",)),
        ("x = 1\n\nraise ValueError('no\\nlicence')\n", ("line 3", "ValueError: no licence")),
        ("import nonexistent_package\n", ("line 1", "ModuleNotFoundError", "nonexistent_package")),
        (
            REGISTER.format(name="random", ask="pass"),
            ("'random' is already registered by smemnas.methods.random_search",),
        ),
        ("import sys\nsys.exit(0)\n", ("line 2", "SystemExit")),
        (REGISTER.format(name="Mine", ask="pass"), ("lower case", "'Mine'")),
        (
            "from smemnas.methods.base import METHODS\nMETHODS.preset('mine', 'smemnsa', 'x')\n",
            ("Did you mean 'smemnas'",),
        ),
        (
            "from smemnas.methods.base import METHODS\nMETHODS.preset('mine', 'smemnas', 'x', btch=1)\n",
            ("no parameter 'btch'",),
        ),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_one_line(cli, one_line_error, tmp_path, text, words):
    file = tmp_path / "broken.py"
    file.write_text(text)
    done = cli("--plugin", file, "list")
    one_line_error(done, *words, code=2)
    assert done.stderr.count("broken.py") <= 1


def test_a_plugin_may_add_a_preset(cli, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from smemnas.methods.base import METHODS\nMETHODS.preset('mine', 'smemnas', 'Bigger batches', batch=9)\n"
    )
    assert "Bigger batches" in succeed(cli("--plugin", tmp_path / "mine.py", "list", "methods"))


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        ("return 'nonsense'", "expected integers"),
        ("raise RuntimeError('my bug')", "RuntimeError: my bug"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("return super().ask() + 7", "no architecture"),
    ],
)
def test_check_says_what_is_wrong_with_a_method(cli, tmp_path, ask, words):
    (tmp_path / "broken.py").write_text(REGISTER.format(name="broken", ask=ask))
    process = cli("--plugin", tmp_path / "broken.py", "check", "broken")
    assert process.returncode == 1
    assert process.stderr == ""
    failed = [line for line in process.stdout.splitlines() if line.startswith("FAIL")]
    assert any(words in line for line in failed), process.stdout


@pytest.mark.parametrize(("names", "missing"), [("tell", "tell"), ("ask|tell", "ask, tell")])
def test_a_class_that_lacks_methods_is_told_so_once(cli, one_line_error, tmp_path, names, missing):
    text = re.sub(rf"def ({names})\(", r"def my_\1(", METHOD.read_text())
    (tmp_path / "broken.py").write_text(text)
    told = f"class FrontClimber lacks {missing}: define it there."
    process = cli("--plugin", tmp_path / "broken.py", "check", "front-climber")
    assert (process.returncode, process.stderr) == (1, "")
    assert process.stdout == f"FAIL method front-climber: complete: {told}\n"
    run = ("run", "--method", "front-climber", "--space", "toy", "--out", tmp_path / "out")
    one_line_error(cli("--plugin", tmp_path / "broken.py", *run), f"method 'front-climber': {told}", code=2)


def test_a_method_that_asks_nonsense_stops_in_one_line(cli, one_line_error, tmp_path):
    (tmp_path / "broken.py").write_text(REGISTER.format(name="broken", ask="return super().ask() + 7"))
    arguments = ("run", "--method", "broken", "--space", "toy", "--out", tmp_path / "out")
    one_line_error(cli("--plugin", tmp_path / "broken.py", *arguments), "no architecture of space 'toy'", code=1)


# ---- installed ones ----


def install(folder, name, module, text):
    """Lay a distribution into a folder as an installer does: a module, and metadata with an entry point."""
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[smemnas.plugins]\n{name} = {module}\n")


def test_an_installed_plugin_is_found(cli, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    install(site, "climbers", "climbers_module", METHOD.read_text())
    assert "front-climber" in succeed(cli("list", "methods", PYTHONPATH=site))
    out = tmp_path / "out"
    succeed(cli("run", "--method", "front-climber", "--space", "toy", "--budget", 12, "--out", out, PYTHONPATH=site))
    assert summary_of(out)["evaluations"] == 12


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise RuntimeError('half\\ninstalled')", "RuntimeError: half installed"),
        ("def f(:\n", "SyntaxError"),
        (REGISTER.format(name="random", ask="pass"), "'random' is already registered"),
    ],
)
def test_a_broken_installed_plugin_stops_nothing(cli, tmp_path, text, words):
    site = tmp_path / "site"
    site.mkdir()
    install(site, "cursed", "cursed_module", text)
    install(site, "climbers", "climbers_module", METHOD.read_text())
    process = cli("list", PYTHONPATH=site)
    assert process.returncode == 0
    assert "front-climber" in process.stdout
    (line,) = process.stderr.strip().splitlines()
    assert line.startswith("plug-in cursed could not be loaded: ")
    assert words in line
    process = cli(
        "run", "--method", "random", "--space", "toy", "--budget", 5, "--out", tmp_path / "o", PYTHONPATH=site
    )
    assert process.returncode == 0

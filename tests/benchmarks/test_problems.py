"""Named problems, and improving a best-known front, through the command line."""

import json

import pytest
from conftest import ORIGINALS, assert_one_line_error


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A data folder with nb201-cifar10 and mnv3 made from the original files."""
    from smemnas.bench.data.recipe import fetch

    if not ORIGINALS.is_dir():
        pytest.skip("put the original files there to run this: ../shared/data/nb201/ and mnv3/")
    folder = tmp_path_factory.mktemp("problems")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMEMNAS_DATA", str(folder))
        for name in ("nb201-cifar10", "mnv3"):
            fetch(name, ORIGINALS)
        yield folder


@pytest.mark.data
def test_five_objectives_by_name(cli, installed, tmp_path):
    done = cli(
        "run",
        "--method",
        "nsga2",
        "--problem",
        "c10-mop5-like",
        "--budget",
        40,
        "--out",
        tmp_path / "r",
        SMEMNAS_DATA=installed,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["objectives"] == ["val_error", "params", "flops", "latency_edgegpu", "energy_edgegpu"]
    assert summary["reported"][0] == "test_error"
    assert 0 < summary["hypervolume_regret"] < 1


@pytest.mark.data
def test_a_study_of_named_problems(cli, installed, tmp_path):
    arguments = ("study", "--methods", "random,nsga2", "--spaces", "in1k-mop9-like,toy", "--seeds", "0-1")
    done = cli(*arguments, "--budget", 20, "--jobs", 1, "--out", tmp_path / "s", SMEMNAS_DATA=installed)
    assert done.returncode == 0, done.stderr
    assert "error, params, flops, latency" in (tmp_path / "s" / "study.md").read_text()


@pytest.mark.data
def test_a_run_improves_the_users_front_only_on_request(cli, installed, tmp_path):
    run = ("run", "--method", "smemnas", "--problem", "in1k-mop8-like", "--budget", 120)
    assert cli(*run, "--out", tmp_path / "r", SMEMNAS_DATA=installed).returncode == 0
    before = json.loads((tmp_path / "r" / "summary.json").read_text())
    done = cli("data", "improve", tmp_path / "r", SMEMNAS_DATA=installed)
    assert done.returncode == 0, done.stderr
    entered = int(done.stdout.split(": ")[1].split()[0])
    again = cli("data", "improve", tmp_path / "r", SMEMNAS_DATA=installed)
    assert again.stdout.split(": ")[1].startswith("0 networks")
    assert cli(*run, "--out", tmp_path / "r", SMEMNAS_DATA=installed).returncode == 0
    after = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert after["hypervolume_of_reference"] >= before["hypervolume_of_reference"] - (0.0 if entered else 1e-12)


def test_a_misspelt_problem(cli):
    done = cli("run", "--method", "random", "--problem", "c10-mop5")
    assert_one_line_error(done, "Did you mean 'c10-mop5-like'", code=2)


def test_a_problem_brings_its_objectives(cli):
    done = cli("run", "--method", "random", "--problem", "c10-mop5-like", "--objectives", "error")
    assert_one_line_error(done, "leave those out", code=2)


def test_a_folder_that_is_no_run(cli, tmp_path):
    assert_one_line_error(cli("data", "improve", tmp_path), "holds no run", "give the folder of a run", code=1)

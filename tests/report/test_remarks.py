"""Whatever shows a front says which of its values were measured, where a benchmark knows."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import smemnas
from smemnas.bench.benchmarks.case import Case
from smemnas.bench.report.page.data import page_data
from smemnas.bench.studies.discovery import find_runs
from smemnas.bench.studies.groups import make_groups

BUDGET = 25


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    options = smemnas.RunOptions("random", "mnv3", "ofa", budget=BUDGET, out=tmp_path_factory.mktemp("ofa") / "run")
    process = smemnas.open_benchmark("mnv3", "ofa").predictor.process
    vars(process).pop("_inverse", None)
    smemnas.run_job(smemnas.make_job("random", "mnv3", budget=BUDGET)[0], tmp_path_factory.mktemp("job") / "run")
    assert "_inverse" not in vars(process)  # 37 MB and a second: nobody has asked yet
    return smemnas.run(options)


def test_front_csv_says_what_was_measured(result):
    with open(result.folder / "front.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["arch", "error", "flops", "remark", "x"]
    deviation = result.benchmark.deviation(result.front.X)
    assert [row["remark"] for row in rows] == [f"predicted +- {sd:.2f}" for sd in deviation]
    assert 0.04 < deviation.min() <= deviation.max() < 0.4


def test_a_notebooks_table_does(result):
    table = result._repr_html_()
    assert ">remark<" in table
    assert table.count("predicted +- ") == len(result.front)


def test_a_terminal_does_for_a_measured_network_too(result, monkeypatch, call, tmp_path):
    first = result.front.X[0].tobytes()

    def measurements(self, X):
        return np.array([23.456 if x.tobytes() == first else np.nan for x in X])

    monkeypatch.setattr(type(result.benchmark), "measurements", measurements)
    code, out, _ = call("run", "--method", "random", "--space", "mnv3", "--budget", BUDGET, "--out", tmp_path / "r")
    assert code == 0
    assert out.count("measured 23.46 %") == 1
    assert out.count("predicted +- ") == len(result.front) - 1


def test_a_page_does(result):
    groups, _ = make_groups(find_runs([str(result.folder)]))
    (problem,) = page_data(groups)["problems"]
    assert problem["title"] == str(Case("mnv3", "ofa", ("error", "flops")))
    assert problem["remarks"] == list(result.benchmark.remarks(result.front.X))
    assert len(problem["remarks"]) == len(problem["archs"])


def test_tables_have_no_such_column(tmp_path, call):
    code, out, _ = call("run", "--method", "random", "--space", "toy", "--budget", 10, "--out", tmp_path / "r")
    assert code == 0
    assert "remark" not in out
    assert (tmp_path / "r" / "front.csv").read_text().startswith("arch,error,flops,x\n")

"""Jobs: from a user's wishes to everything that determines a log."""

from __future__ import annotations

import json

import msgspec
import pytest

from smemnas.bench.errors import UserError
from smemnas.bench.runs.job import Job, make_job
from smemnas.bench.schema import JobEntry


def toy_job(method="random", **params):
    return make_job(method, "toy", params=params)


def test_a_job_survives_json():
    job, _ = make_job("smemnas", "toy", budget=50, seed=3, params={"batch": 4, "surrogate_params": {"width": 1.0}})
    assert Job.of(msgspec.convert(json.loads(json.dumps(job.to_dict())), JobEntry)) == job
    assert job.objectives == ("error", "flops")
    assert job.dataset == "closed-form"


def test_different_parameters_live_in_different_folders():
    jobs = [
        toy_job("smemnas", **p)[0] for p in ({}, {"batch": 4}, {"batch": 5}, {"surrogate": "gp"}, {"encoding": "int"})
    ]
    assert len({j.folder for j in jobs}) == len(jobs)
    assert str(jobs[0].folder) == "toy/closed-form/error+flops/smemnas/seed-0"
    assert ".." not in toy_job("smemnas/enumerate")[0].folder.parts


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"method": "smemnsa"}, "Did you mean 'smemnas'"),
        ({"space": "toi"}, "Did you mean 'toy'"),
        ({"dataset": "closed-from"}, "Did you mean 'closed-form'"),
        ({"objectives": ("eror",)}, "Did you mean 'error'"),
        ({"budget": 0}, "--budget must be at least 1"),
        ({"budget": -3}, "--budget must be at least 1"),
        ({"seed": -1}, "--seed must be at least 0"),
        ({"params": {"batsh": 3}}, "Did you mean 'batch'"),
        ({"params": {"batch": 0}}, "'batch'"),
        ({"params": {"batch": "many"}}, "'batch'"),
        ({"plugins": ("/nowhere/x.py",)}, "is not a file"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(wish, words):
    wish = {"method": "random", "space": "toy", **wish}
    with pytest.raises(UserError, match=words):
        make_job(wish.pop("method"), wish.pop("space"), **wish)


@pytest.mark.parametrize(
    "command", [("run", "--method", "random", "--space", "toy"), ("study", "--methods", "random", "--spaces", "toy")]
)
@pytest.mark.parametrize("device", ["cpu", "cuda:7"])
def test_a_device_for_what_is_looked_up_is_refused_before_it_is_looked_for(fails, command, device):
    """With the same words whether torch or the device is there or not."""
    fails((*command, "--device", device), "--device says where networks are trained", "nothing is here")

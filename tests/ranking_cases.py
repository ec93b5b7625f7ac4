"""Shared by the tests of the ranking study: a toy plan, the command line, what a study left behind."""

from __future__ import annotations

import csv
import json

import forked

from smemnas.bench.ranking.plan import (
    RankPlan,
    check_plan,
    choose_variants,
)
from smemnas.bench.ranking.study import LOG, run_ranking
from smemnas.bench.ranking.tables import collect, tabulate

#: What must not depend on how a study was run.
SAME_FILES = ("ranking.csv", "trials.csv", "contrasts.csv", "ranking.tex", "ranking.json")


def toy_plan(data, surrogates=("kernel_ridge", "rbf", "random", "flops"), **rest):
    variants = choose_variants(data, surrogates, False)
    wish = {"encodings": ("int",), "n_train": (20, 40), "seeds": (0, 1, 2), "n_test": 300, **rest}
    plan = RankPlan("toy", "closed-form", "", variants, **wish)
    return check_plan(plan, data)


def make(data, out, **rest):
    plan = toy_plan(data, **rest)
    log, chosen = run_ranking(plan, data, out)
    return tabulate(plan, data, collect(plan, data, log, chosen))


def records(file):
    with open(file, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def without_times(text):
    return text.partition("## Time")[0]


def rows_without_times(out):
    rows = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    return sorted(json.dumps({k: v for k, v in r.items() if k not in ("time", "sum")}, sort_keys=True) for r in rows)


def assert_same(a, b):
    for name in SAME_FILES:
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    assert without_times((a / "ranking.md").read_text()) == without_times((b / "ranking.md").read_text())
    assert rows_without_times(a) == rows_without_times(b)


def rank(*args, code=0):
    done = forked.run(*args, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr

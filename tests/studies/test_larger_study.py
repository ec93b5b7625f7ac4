"""A finished study goes on with a larger budget: the logs of one that had it from the start, or a refusal."""

from __future__ import annotations

import numpy as np
import pytest

import smemnas
from smemnas.bench.runs import clock
from smemnas.methods.base import METHODS, Method, initial_design

GIVEN = {"methods": ("random", "nsga2"), "spaces": ("toy",), "seeds": "0-1", "figures": False}


def study(out, budget, **more):
    return smemnas.study(smemnas.StudyOptions(**{**GIVEN, "budget": budget, "out": out, **more}))


def logs_of(out, budget):
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("evals.jsonl")}
    return {name.replace(f"/budget-{budget}", ""): text for name, text in found.items() if f"/budget-{budget}/" in name}


class TurnsRound(Method):
    """Turns round halfway through its budget; may or may not say so."""

    says = False

    def __init__(self, problem, *, budget, seed):
        super().__init__(problem, budget=budget, seed=seed)
        self.plans_with_budget = self.says
        self.told = 0

    def ask(self):
        X = initial_design(self.problem, 100, self.seed)
        return X[self.told : self.told + 1] if 2 * self.told < self.budget else X[-1 - self.told : -self.told]

    def tell(self, X, F):
        self.told += len(X)


@pytest.fixture
def turning(monkeypatch):
    METHODS.discover()
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    METHODS.register("turns", summary="turns round")(TurnsRound)
    METHODS.register("turns-and-says", summary="turns round")(type("Says", (TurnsRound,), {"says": True}))


def test_its_logs_are_those_of_the_larger_budget_and_only_the_rest_is_evaluated(tmp_path, monkeypatch):
    real, seen = clock.evaluate, []
    monkeypatch.setattr(clock, "evaluate", lambda b, X, *rest: seen.append(len(X)) or real(b, X, *rest))
    study(tmp_path / "grown", 20)
    before = logs_of(tmp_path / "grown", 20)
    assert sum(seen) == 4 * 20
    seen.clear()
    found = study(tmp_path / "grown", 33)
    assert sum(seen) == 4 * 13
    assert not found.failed
    whole = study(tmp_path / "whole", 33)
    assert logs_of(tmp_path / "grown", 33) == logs_of(tmp_path / "whole", 33)
    assert len(logs_of(tmp_path / "whole", 33)) == 4
    assert logs_of(tmp_path / "grown", 20) == before  # the smaller study stays what it was
    for name, text in before.items():
        assert logs_of(tmp_path / "grown", 33)[name].startswith(text)
    assert repr(found.tables.rows) == repr(whole.tables.rows)
    for name in ("study.csv", "trials.csv", "curves.csv"):
        assert (tmp_path / "grown" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    report = smemnas.report(smemnas.ReportOptions([tmp_path / "grown"], tmp_path / "r", figures=False))
    assert [(group.end, len(group.runs)) for group in report.groups] == [(20, 4), (33, 4)]


def test_a_kill_after_the_copy_goes_on(tmp_path):
    study(tmp_path / "s", 20)
    study(tmp_path / "s", 33)
    whole = logs_of(tmp_path / "s", 33)
    [folder] = (tmp_path / "s").rglob("nsga2/budget-33/seed-1")
    small = folder.parent.parent / "budget-20" / "seed-1"
    for name in ("job.json", "evals.jsonl"):  # as it was when the copy was made and nothing added yet
        (folder / name).write_bytes((small / name).read_bytes())
    (folder / "status.json").unlink()
    study(tmp_path / "s", 33)
    assert logs_of(tmp_path / "s", 33) == whole


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("turns-and-says", "turns-and-says plans with its budget: with 30 evaluations it would have begun otherwise"),
        ("turns", "cannot go on to 30 evaluations: turns asks for other architectures than are logged"),
    ],
)
def test_a_method_that_plans_is_refused_with_the_reason_and_run_anew_only_if_asked(tmp_path, turning, method, words):
    study(tmp_path / "s", 20, methods=("random", method))
    before = logs_of(tmp_path / "s", 20)
    found = study(tmp_path / "s", 30, methods=("random", method))
    assert found.failed
    refused = [state.reason for state in found.states if state.status == "failed"]
    assert len(refused) == 2
    for reason in refused:
        assert words in reason
        assert "study --rerun makes it anew" in reason
    assert {t.variant for t in found.tables.unfinished()} == {method}
    assert sorted({name.split("/")[3] for name in logs_of(tmp_path / "s", 30)}) == ["random"]
    anew = study(tmp_path / "s", 30, methods=("random", method), rerun=True)
    assert not anew.failed
    study(tmp_path / "whole", 30, methods=("random", method))
    assert logs_of(tmp_path / "s", 30) == logs_of(tmp_path / "whole", 30)
    assert logs_of(tmp_path / "s", 20) == before


def test_an_unfinished_or_other_run_is_not_taken(tmp_path):
    study(tmp_path / "s", 20)
    [folder] = (tmp_path / "s").rglob("random/budget-20/seed-0")
    lines = (folder / "evals.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "evals.jsonl").write_bytes(b"".join(lines[:-1]))
    (folder / "status.json").unlink()
    found = study(tmp_path / "s", 33)
    study(tmp_path / "whole", 33)
    assert not found.failed
    assert logs_of(tmp_path / "s", 33) == logs_of(tmp_path / "whole", 33)
    assert len((folder / "evals.jsonl").read_bytes().splitlines()) == 19
    assert np.isfinite([row.regret.value for row in found.tables.rows]).all()

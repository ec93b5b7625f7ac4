"""A user's file: ten calls of the public API, checked by `mypy --strict` as it stands (`make types`)."""

from pathlib import Path

import numpy as np

import smemnas
from smemnas import FloatArray, IntArray, Objective


class Digits(smemnas.SearchSpace):
    """Three digits."""

    name = "digits"
    n_choices = (10, 10, 10)

    def to_str(self, x: IntArray) -> str:
        """Join the digits."""
        return "".join(map(str, x.tolist()))

    def from_str(self, arch: str) -> IntArray:
        """Split the digits."""
        return np.array([int(digit) for digit in arch], dtype=np.int64)


def measure(X: IntArray, seed: int) -> FloatArray:
    """Return two objectives of each row."""
    return np.stack([X.sum(axis=1), (9 - X).max(axis=1)], axis=1).astype(np.float64)


def main(folder: Path) -> list[object]:
    """Call everything once; the last expression of each paragraph is what a notebook would show."""
    benchmark = smemnas.open_benchmark("toy", objectives=("error", "flops"))  # 1
    reference = benchmark.reference()
    if reference is None:
        raise LookupError("the front of this space is known")

    job, opened = smemnas.make_job("nsga2", "toy", budget=40, seed=1)  # 2
    first = smemnas.run_job(job, folder / "job", benchmark=opened)  # 3
    regret: float = smemnas.hypervolume_regret(first.front.F, reference.front)  # 4

    options = smemnas.RunOptions("random", "toy", budget=40, out=folder / "study" / "run")
    found = smemnas.run(options, progress=True)  # 5
    for arch, (error, flops) in found.front:
        assert benchmark.space.to_str(benchmark.space.from_str(arch)) == arch
        assert error >= reference.ideal[0]
        assert flops >= reference.ideal[1]

    variants = [smemnas.Variant("small", "nsga2", {"population": 5})]
    wanted = smemnas.StudyOptions(
        ["random"], ["toy"], variants, seeds=range(3), budget=40, figures=False, out=folder / "compared"
    )
    study = smemnas.study(wanted, progress=True)  # 6

    ranks = smemnas.RankOptions(
        "toy",
        surrogates=["knn", "random"],
        n_train=[20],
        seeds=range(3),
        n_test=60,
        figures=False,
        out=folder / "ranks",
    )
    ranking = smemnas.rank(ranks, progress=lambda done, total: None)  # 7

    page = smemnas.report(smemnas.ReportOptions([folder / "compared"], out=folder / "page", figures=False))  # 8

    log = smemnas.evaluations_frame(folder / "job")  # 9
    best: float = log["error"].min()
    trials = smemnas.trials_frame(folder / "compared")

    own = smemnas.CallableBenchmark(Digits(), measure, [Objective("sum", "", False), Objective("gap", "", False)])  # 10
    evaluated: FloatArray = own.evaluate(own.space.sample(5, np.random.default_rng(0)), 0).F
    method = smemnas.METHODS.create("random", own.problem, budget=5, seed=0)
    method.tell(method.ask(), evaluated)
    model: smemnas.Surrogate = smemnas.SURROGATES.create("knn", seed=0)
    scores: FloatArray = model.fit(own.space.encode(own.space.enumerate()[:9]), np.arange(9.0)).rank(np.eye(30))
    return [benchmark, first, regret, found, study, ranking, page, best, len(trials), evaluated.shape, scores.shape]

"""What our loop and its log cost beside the library that does the work (run with --benchmark-enable).

Times are processor times, so that a busy machine changes little.
"""

import itertools

import numpy as np
from clock import fastest, ratio

from smemnas.bench.benchmarks.function import CallableBenchmark
from smemnas.bench.benchmarks.pymoo_problem import as_pymoo
from smemnas.bench.runs.folder import LOG, TIMING
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.run import run
from smemnas.methods.base import initial_design
from smemnas.methods.pymoo_adapter import library_seed, reset_mutation
from smemnas.spaces.base import Objective, SearchSpace
from smemnas.surrogates.base import single_thread

EVALUATIONS, POPULATION = 5_000, 100


class Wide(SearchSpace):
    """Twenty genes of eight values, all of them expressed: every new genotype is a new architecture."""

    name = "wide"
    n_choices = (8,) * 20
    costs = (Objective("flops", "M", True),)

    def to_str(self, x):
        return "-".join(map(str, x.tolist()))

    def from_str(self, arch):
        return np.array(arch.split("-"), dtype=np.int64)

    def cost(self, X, name):
        return 1.0 + X.sum(axis=1)


def cheap():
    """A benchmark that costs next to nothing: two linear objectives that go against each other."""
    space, weights = Wide(), np.random.default_rng(0).random(20)

    def measure(X, seed):
        return np.stack([100.0 - X @ weights, space.cost(X, "flops")], axis=1)

    return CallableBenchmark(space, measure, [Objective("error", "%", False), Wide.costs[0]], dataset="cheap")


def run_in(folders, method, bench, params):
    """Run a job through our loop in a new folder, everything logged."""
    folder = next(folders)
    job = Job(method, "wide", "cheap", ("error", "flops"), EVALUATIONS, 0, params)
    result = run(job, folder, benchmark=bench)
    assert len(result.F) == (folder / LOG).read_bytes().count(b"\n") == EVALUATIONS
    assert (folder / TIMING).read_bytes().count(b"\n") >= EVALUATIONS // POPULATION


def test_nsga2_through_our_loop_costs_little_more_than_pymoos_own(benchmark, tmp_path):
    """5,000 evaluations beside pymoo's own loop with the same operators on the same problem.

    Ours pays for an architecture once, so it goes on a little longer than pymoo's, which pays for repeats.
    """
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.operators.crossover.ux import UniformCrossover
    from pymoo.optimize import minimize

    bench, folders = cheap(), (tmp_path / str(k) for k in itertools.count())

    def theirs():
        algorithm = NSGA2(
            pop_size=POPULATION,
            sampling=initial_design(bench.problem, POPULATION, 0),
            crossover=UniformCrossover(prob=0.9),
            mutation=reset_mutation(np.asarray(bench.space.n_choices)),
            eliminate_duplicates=True,
        )
        minimize(as_pymoo(bench), algorithm, ("n_eval", EVALUATIONS), seed=library_seed(0))

    def ours():
        run_in(folders, "nsga2", bench, {"population": POPULATION})

    with single_thread():
        benchmark.pedantic(ours, rounds=1)
        times = ratio(ours, theirs, 7, limit=1.6, warmed=True)
    benchmark.extra_info.update(ratio=times)
    assert times < 1.6


def test_random_search_logs_ten_thousand_evaluations_a_second(benchmark, tmp_path):
    """Beside it what must be done anyway: drawing, naming and evaluating as many architectures."""
    bench, folders = cheap(), (tmp_path / str(k) for k in itertools.count())

    def bare():
        X = bench.space.sample(EVALUATIONS, np.random.default_rng(0))
        bench.evaluate(X, 0)
        return [bench.space.to_str(x) for x in X]

    def ours():
        run_in(folders, "random", bench, {})

    with single_thread():
        benchmark.pedantic(ours, rounds=1)
        times, per_second = ratio(ours, bare, 7, limit=12), EVALUATIONS / fastest(ours)
    benchmark.extra_info.update(ratio=times, per_second=per_second)
    assert per_second >= 10_000
    assert times < 12

"""The toy space: its closed-form front against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.spaces.toy import Toy, error, front


def brute_force():
    """Front of (error, flops) over all 3,125 genotypes, in plain Python."""
    best = {}
    for x in itertools.product(range(5), repeat=5):
        e, f = 4.0 + 0.5 * sum((4 - v) ** 2 for v in x), 1.0 + sum(x)
        best[f] = min(best.get(f, np.inf), e)
    points, lowest = [], np.inf
    for f in sorted(best):
        if best[f] < lowest:
            points.append((best[f], f))
            lowest = best[f]
    return np.array(points)


def test_front_is_the_brute_force_front():
    np.testing.assert_array_equal(front(), brute_force())
    assert len(front()) == 21


def test_costs_and_errors_of_known_genotypes():
    X = np.array([[0, 0, 0, 0, 0], [4, 4, 4, 4, 4], [0, 1, 2, 3, 4]])
    np.testing.assert_array_equal(error(X), [44.0, 4.0, 4 + 0.5 * (16 + 9 + 4 + 1)])
    np.testing.assert_array_equal(Toy().cost(X, "flops"), [1, 21, 11])


@pytest.mark.parametrize("names", [("error", "flops"), ("flops", "error"), ("error",), ("flops",)])
def test_reference_of_any_objectives(names):
    benchmark = open_benchmark("toy", None, names)
    reference = benchmark.reference()
    columns = [("error", "flops").index(n) for n in names]
    F = np.stack([error(Toy().enumerate()), Toy().cost(Toy().enumerate(), "flops")], axis=1)[:, columns]
    wanted = brute_force()[:, columns] if len(names) == 2 else F.min(axis=0, keepdims=True)
    np.testing.assert_array_equal(reference.front, wanted[np.argsort(wanted[:, 0])])
    np.testing.assert_array_equal(benchmark.evaluate(Toy().enumerate(), 3).F, F)


def test_unknown_objective_and_names():
    with pytest.raises(UserError, match="Did you mean 'error'"):
        open_benchmark("toy", None, ("eror",))
    for wrong in ("0-1-2-3", "0-1-2-3-5", "a-1-2-3-4", "0-1-2-3--4", "-1-1-2-3-4"):
        with pytest.raises(UserError, match="levels"):
            Toy().from_str(wrong)


@pytest.mark.parametrize("level", ["\u00b2", "\u0663", "9" * 5000, "0" * 5000, "5", "-1", "", "1.0"])
def test_levels_that_are_none(level):
    with pytest.raises(UserError, match=r"five levels|5 levels 0\.\.4") as caught:
        Toy().from_str(f"{level}-0-0-0-0")
    assert len(str(caught.value)) < 300

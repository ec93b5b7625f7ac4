"""docs/intervals.md says what the CSV beside it says, and that is what a simulation finds."""

import numpy as np
import pytest
from conftest import docs_script

SCRIPT = docs_script("make_intervals")


def test_the_page_is_made_from_the_table():
    rows = SCRIPT.records()
    assert SCRIPT.PAGE.read_text(encoding="utf-8") == SCRIPT.page(rows), "python docs/make_intervals.py"
    assert {(r["quantity"], r["values"]) for r in rows} == SCRIPT.CASES.keys()
    assert {int(r["runs"]) for r in rows} == {11, 31}
    covered = {(r["values"], int(r["runs"]), r["rule"]): float(r["covered"]) for r in rows if r["quantity"] == "mean"}
    for values in ("normal", "exponential", "lognormal, sd .5", SCRIPT.REAL):
        for n in (11, 31):
            assert 0.93 < covered[values, n, SCRIPT.OURS] < 0.98
            assert covered[values, n, SCRIPT.OURS] > covered[values, n, SCRIPT.BOOTSTRAP]


@pytest.mark.parametrize(
    "key", [("mean", "exponential"), ("ratio of means", "lognormal, sd .5"), ("d", "normal, d = .5")]
)
def test_a_small_simulation_finds_the_shares_of_the_table(key):
    shares = {
        int(r["runs"]): float(r["covered"])
        for r in SCRIPT.records()
        if (r["quantity"], r["values"]) == key and r["rule"] == SCRIPT.OURS
    }
    for n, share in shares.items():
        rng = np.random.default_rng(7)
        samples = [SCRIPT.CASES[key](rng, n) for _ in range(300)]
        limits = [SCRIPT.here(key[0], s) for s in samples]
        found = np.mean([i.low <= s.truth <= i.high for i, s in zip(limits, samples, strict=True)])
        assert found == pytest.approx(share, abs=0.045)  # 3 standard errors of 300 and of 2,000 samples


def test_the_truths_are_those_of_what_is_drawn():
    rng = np.random.default_rng(1)
    for (quantity, values), draw in SCRIPT.CASES.items():
        if values == SCRIPT.REAL:
            continue
        sample = draw(rng, 100_000)
        assert SCRIPT.here(quantity, sample).value == pytest.approx(sample.truth, abs=0.03), (quantity, values)


@pytest.mark.long
def test_real_runs_are_covered_as_the_table_says():
    shares = {
        int(r["runs"]): float(r["covered"])
        for r in SCRIPT.records()
        if (r["quantity"], r["values"], r["rule"]) == ("mean", SCRIPT.REAL, SCRIPT.OURS)
    }
    rng = np.random.default_rng(5)
    samples = [SCRIPT.CASES["mean", SCRIPT.REAL](rng, 11) for _ in range(600)]
    limits = [SCRIPT.here("mean", s) for s in samples]
    found = np.mean([i.low <= s.truth <= i.high for i, s in zip(limits, samples, strict=True)])
    assert found == pytest.approx(shares[11], abs=0.035)

"""Write docs/intervals.md from intervals.csv beside it: `python docs/make_intervals.py [--simulate]`.

With --simulate the CSV is made anew (some two minutes): how often the 95 % intervals of this package, those of the
bootstrap that was here before and Student's cover what they are of. A test compares the page with the CSV and some rows
with a small simulation.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pages import read_rows, table
from scipy import stats

from smemnas.bench.metrics import statistics
from smemnas.bench.metrics.intervals import RULE, Interval
from smemnas.spaces.base import FloatArray

FOLDER = Path(__file__).resolve().parent
PAGE, TABLE = FOLDER / "intervals.md", FOLDER / "intervals.csv"
ARCHIVE = FOLDER.parent / "bench" / "data" / "archives" / "in-the-box.runs"
RUNS = (11, 31)
SAMPLES, RESAMPLES = 2_000, 1_999
#: Samples that go through the bootstrap together.
BATCH = 50
OURS, BOOTSTRAP, STUDENT = "here", "BCa", "Student"
REAL = "real runs"
COLUMNS = ("quantity", "values", "runs", "rule", "samples", "covered", "width")


class Sample(NamedTuple):
    """Runs of one study drawn at random ``(n,)``, and the truth about what they are drawn from."""

    x: FloatArray
    y: FloatArray
    truth: float


Draw = Callable[[np.random.Generator, int], Sample]


# --- what is drawn from


def _mean_of(draw: Callable[[np.random.Generator, int], FloatArray], truth: float) -> Draw:
    return lambda rng, n: Sample(draw(rng, n), np.zeros(n), truth)


def _lognormal(sd: float) -> Draw:
    return _mean_of(lambda rng, n: np.exp(sd * rng.normal(size=n)), float(np.exp(sd**2 / 2)))


def _stuck(rng: np.random.Generator, n: int) -> FloatArray:
    """Return runs of which 15 % stay stuck at .24 while the others end about .03, as on nb201."""
    return np.where(rng.random(n) < 0.15, 0.24, 0.03) + 0.02 * rng.random(n)


def _lognormal_pairs(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """Return two methods whose logarithms have sd .5 and correlation .4, the first half the second."""
    shared, own = rng.normal(size=(2, n))
    return 0.5 * np.exp(0.5 * (0.4 * shared + np.sqrt(1 - 0.4**2) * own)), np.exp(0.5 * shared)


@lru_cache(maxsize=1)
def real() -> tuple[dict[str, FloatArray], ...]:
    """Return the regrets after 100 evaluations of the shipped runs: for each problem its methods' ``(seeds,)``."""
    from smemnas.bench.studies.discovery import find_runs
    from smemnas.bench.studies.groups import make_groups

    groups, _ = make_groups(find_runs([str(ARCHIVE)]), "", "", ())
    found: dict[str, dict[str, dict[int, float]]] = {}
    for trial in (trial for group in groups for trial in group.tables.trials):
        found.setdefault(str(trial.case), {}).setdefault(trial.variant, {})[trial.job.seed] = float(trial.regret[-1])
    return tuple({m: np.array([v[s] for s in sorted(v)]) for m, v in of.items()} for of in found.values())


def _real_pair(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return runs of two methods of one problem drawn with replacement by seed, and all runs they are drawn from."""
    problem = real()[rng.integers(len(real()))]
    first, second = rng.choice(len(problem), size=2, replace=False)
    x, y = list(problem.values())[first], list(problem.values())[second]
    if min(x.min(), y.min()) < 0.0 or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return _real_pair(rng, n)
    drawn = rng.integers(len(x), size=n)
    return x[drawn], y[drawn], x, y


def _real_mean(rng: np.random.Generator, n: int) -> Sample:
    x, _, every, _ = _real_pair(rng, n)
    return Sample(x, np.zeros(n), float(every.mean()))


def _real_ratio(rng: np.random.Generator, n: int) -> Sample:
    x, y, first, second = _real_pair(rng, n)
    return Sample(x, y, float(first.mean() / second.mean()))


def _real_effect(rng: np.random.Generator, n: int) -> Sample:
    x, y, first, second = _real_pair(rng, n)
    return Sample(x, y, float((first - second).mean() / (first - second).std()))


def _effect(draw: Callable[[np.random.Generator, int], FloatArray], effect: float) -> Draw:
    """Return differences of that mean and standard deviation 1."""
    return lambda rng, n: Sample(draw(rng, n) + effect, np.zeros(n), effect)


def _skewed(rng: np.random.Generator, n: int) -> FloatArray:
    """Return lognormal values of sd .5 on the logarithms, shifted and scaled to mean 0 and standard deviation 1."""
    square = 0.5**2
    mean, sd = np.exp(square / 2), np.sqrt((np.exp(square) - 1) * np.exp(square))
    return (np.exp(0.5 * rng.normal(size=n)) - mean) / sd


def _normal(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.normal(size=n)


#: Quantity and what is drawn: the rows of the page.
CASES: dict[tuple[str, str], Draw] = {
    ("mean", "normal"): _mean_of(_normal, 0.0),
    ("mean", "exponential"): _mean_of(lambda rng, n: rng.exponential(size=n), 1.0),
    ("mean", "lognormal, sd .5"): _lognormal(0.5),
    ("mean", "lognormal, sd 1"): _lognormal(1.0),
    ("mean", "15 % stuck"): _mean_of(_stuck, 0.15 * 0.24 + 0.85 * 0.03 + 0.01),
    ("mean", REAL): _real_mean,
    ("ratio of means", "lognormal, sd .5"): lambda rng, n: Sample(*_lognormal_pairs(rng, n), 0.5 * 1.0),
    ("ratio of means", REAL): _real_ratio,
    ("d", "normal, d = .5"): _effect(_normal, 0.5),
    ("d", "normal, d = 1.5"): _effect(_normal, 1.5),
    ("d", "lognormal, d = -.5"): _effect(_skewed, -0.5),
    ("d", "lognormal, d = -1.5"): _effect(_skewed, -1.5),
    ("d", REAL): _real_effect,
}


# --- the rules


def here(quantity: str, sample: Sample) -> Interval:
    """Return the interval of this package."""
    if quantity == "mean":
        return statistics.mean_interval(sample.x)
    of = statistics.ratio_of_means if quantity == "ratio of means" else statistics.standardised_difference
    return of(sample.x, sample.y)


def _statistic(quantity: str, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the estimate along the last axis."""
    if quantity == "mean":
        return np.asarray(x.mean(axis=-1))
    if quantity == "ratio of means":
        return np.asarray(x.mean(axis=-1) / y.mean(axis=-1))
    d = x - y
    return np.asarray(d.mean(axis=-1) / d.std(axis=-1, ddof=1))


def bootstrapped(quantity: str, samples: Sequence[Sample]) -> FloatArray:
    """Return the BCa limits of SciPy ``(samples, 2)``."""
    found = []
    for k in range(0, len(samples), BATCH):
        some = samples[k : k + BATCH]
        x, y = np.stack([s.x for s in some]), np.stack([s.y for s in some])
        limits = stats.bootstrap(
            (x, y),
            lambda a, b, axis=-1: _statistic(quantity, a, b),
            paired=True,
            axis=-1,
            n_resamples=RESAMPLES,
            method="BCa",
            vectorized=True,
            random_state=np.random.default_rng(0),
        ).confidence_interval
        found.append(np.stack([limits.low, limits.high], axis=1))
    return np.concatenate(found)


def student(samples: Sequence[Sample]) -> FloatArray:
    """Return Student's limits of the means ``(samples, 2)``."""
    x = np.stack([s.x for s in samples])
    low, high = stats.t.interval(0.95, x.shape[1] - 1, x.mean(axis=1), np.maximum(stats.sem(x, axis=1), 1e-300))
    return np.stack([low, high], axis=1)


def simulate(samples: int = SAMPLES) -> Iterator[dict[str, object]]:
    """Yield one row of the CSV after the other."""
    for k, ((quantity, values), draw) in enumerate(CASES.items()):
        for n in RUNS:
            rng = np.random.default_rng([k, n])
            drawn = [draw(rng, n) for _ in range(samples)]
            truth = np.array([s.truth for s in drawn])
            rules = {OURS: np.array([here(quantity, s)[1:] for s in drawn]), BOOTSTRAP: bootstrapped(quantity, drawn)}
            if quantity == "mean":
                rules[STUDENT] = student(drawn)
            unit = float(np.nanmedian(rules[OURS][:, 1] - rules[OURS][:, 0]))
            for rule, limits in rules.items():
                low, high = limits.T
                yield {
                    "quantity": quantity,
                    "values": values,
                    "runs": n,
                    "rule": rule,
                    "samples": samples,
                    "covered": round(float(np.mean((low <= truth) & (truth <= high))), 4),
                    "width": round(float(np.nanmedian(high - low)) / unit, 3),
                }


# --- the page


def records() -> list[dict[str, str]]:
    """Return the rows of the CSV."""
    return read_rows(TABLE)


def _percent(share: str) -> str:
    return f"{100 * float(share):.1f}"


def page(rows: Sequence[dict[str, str]]) -> str:
    """Return the text of the page."""
    of = {(r["quantity"], r["values"], int(r["runs"]), r["rule"]): r for r in rows}
    samples = {int(r["samples"]) for r in rows}
    lines = [
        "# How often intervals hold the truth",
        "",
        "Written by `python docs/make_intervals.py` from [intervals.csv](intervals.csv); `--simulate` makes it anew.",
        "",
        f"Intervals of means here are {RULE}: a closed form, the same digits everywhere. That of a ratio of means is "
        "of the ratios for which it holds no difference (Fieller 1954), so the two never contradict each other; that "
        "of the effect d is d and its large-sample standard error with Student's quantiles. Before, all were bootstrap "
        "intervals (BCa, 9,999 resamples): pages of docs/results say which version made them, and what rule.",
        "",
        f"Share of intervals, in percent, that hold the truth ({' '.join(f'{s:,}' for s in samples)} simulated studies "
        f"each, BCa with {RESAMPLES:,} resamples; 95 is promised, a share is off by some .5), and median width over "
        "that of the rule here. Real runs: regrets of one method after 100 evaluations on one problem of the shipped "
        "archive, drawn with replacement from its seeds, pairs of methods by seed.",
        "",
    ]
    rows_shown = []
    for quantity, values, n in dict.fromkeys(key[:3] for key in of):
        cells = [of.get((quantity, values, n, rule)) for rule in (OURS, BOOTSTRAP, STUDENT)]
        shares = [_percent(c["covered"]) if c else "" for c in cells]
        widths = [f"{float(c['width']):.2f}" if c else "" for c in cells[1:]]
        rows_shown.append([quantity, values, str(n), *shares, *widths])
    head = ("quantity", "values", "runs", "here", "BCa", "Student", "width of BCa", "of Student")
    return "\n".join([*lines, *table(head, rows_shown, words=2), *_words(of), ""])


def _words(of: dict[tuple[str, str, int, str], dict[str, str]]) -> list[str]:
    """Return what the table says."""

    def span(quantity: str, n: int, rule: str, without: str = "") -> str:
        found = [
            float(r["covered"]) for (q, v, m, r_), r in of.items() if (q, m, r_) == (quantity, n, rule) and v != without
        ]
        return f"{100 * min(found):.1f} to {100 * max(found):.1f}"

    stuck = [_percent(of["mean", "15 % stuck", n, OURS]["covered"]) for n in RUNS]
    none = 100 * (1 - 0.85 ** RUNS[0])
    means = [
        f"{span('mean', n, OURS, '15 % stuck')} with {n} runs (BCa {span('mean', n, BOOTSTRAP, '15 % stuck')})"
        for n in RUNS
    ]
    ratios = [f"{span('ratio of means', n, OURS)} with {n} (BCa {span('ratio of means', n, BOOTSTRAP)})" for n in RUNS]
    effects = [f"{span('d', n, OURS)} with {n} (BCa {span('d', n, BOOTSTRAP)})" for n in RUNS]
    return [
        f"* **Means**: {'; '.join(means)}, without the case of stuck runs.",
        f"* **Ratios**: {'; '.join(ratios)}. **d**: {'; '.join(effects)}; large effects on skewed differences are its "
        "worst case, verdicts do not rest on it.",
        f"* **Stuck runs**: where 15 % of runs stay stuck, {RUNS[0]} runs show one in {none:.1f} % of studies, and an "
        f"interval that saw none cannot know: {stuck[0]} % with {RUNS[0]} runs, {stuck[1]} with {RUNS[1]}.",
    ]


if __name__ == "__main__":
    if "--simulate" in sys.argv[1:]:
        with open(TABLE, "w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for row in simulate():
                writer.writerow(row)
                stream.flush()
    PAGE.write_text(page(records()), encoding="utf-8")

"""What is ranked: architectures, their truths, and which of them are trained on and which are ranked.

A seed draws one permutation. The first n of it are the training set, so training sets are nested over n and the
same for every surrogate; the uniform pool is the end of it, so it is the same for every n. The front pool is the
architectures near the front that are not trained on.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark, has_two_splits
from smemnas.bench.benchmarks.catalog import evaluator_of, open_benchmark
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.display import counted
from smemnas.bench.errors import UserError, suggest
from smemnas.spaces.base import FloatArray, IntArray

if TYPE_CHECKING:
    from smemnas.bench.train.proxies.values import ProxyValues

POOLS = ("uniform", "front")
SPLITS = ("genotype", "graph")
#: Share of the non-dominated fronts of (truth, flops) whose members are the front pool.
FRONT_SHARE = 0.05
#: Distinct architectures drawn from a space that cannot be enumerated; they stand for it.
SAMPLED = 20_000
_STREAM = 20_407
#: How the names of proxies that are measured here begin, beside those of a table.
MEASURED = "proxy:"


class Split(NamedTuple):
    """Row numbers of a trial: ``train`` ``(n,)`` and ``test`` ``(m,)``, without a common element."""

    train: IntArray
    test: IntArray


@dataclass(frozen=True)
class Data:
    """Architectures of one benchmark with all that a trial needs.

    Attributes:
        benchmark: Gives the training labels.
        target: Position of the ranked objective among the benchmark's.
        X: Genotypes ``(N, n_var)``: the whole space, or a sample of one that cannot be enumerated.
        truth: Column name -> values ``(N,)``, averaged over trainings; the searched column first, then the test
            column where the benchmark separates the two.
        flops: Complexity ``(N,)`` of the front pool; None where the space computes none.
        graphs: Number ``(N,)`` of the network; equal where two genotypes build the same one.
        proxies: Name -> values ``(N,)`` known without training, larger taken as better; NaN where missing.
        appended: Those that `--with-proxies` appends: what is measured, else the columns that the table calls proxies.
        digest: Short checksum of all this, part of every trial's key.
        notes: What a reader must know.
        measured: Zero-cost proxies of untrained networks, measured when asked for; None where none are wanted.
        trained: Whether every value costs a training or so; each architecture then has one, whatever the seed.
    """

    benchmark: Benchmark
    target: int
    X: IntArray
    truth: dict[str, FloatArray]
    flops: FloatArray | None
    graphs: IntArray
    proxies: dict[str, FloatArray]
    appended: tuple[str, ...]
    digest: str
    notes: tuple[str, ...]
    measured: ProxyValues | None = None
    trained: bool = False

    def __repr__(self) -> str:
        return f"<Data of {self.benchmark.space.name}/{self.benchmark.dataset}: {counted(len(self.X), 'architecture')}>"

    @property
    def searched(self) -> str:
        """Name of the column that is trained on."""
        return next(iter(self.truth))

    @cached_property
    def front(self) -> IntArray:
        """Rows of the architectures near the front, see `front_members`."""
        return front_members(self.truth[self.searched], self.flops)

    def sides(self, seed: int, n_test: int, kind: str) -> tuple[IntArray, IntArray]:
        """Return the rows that may be trained on, in order, and the rows of the uniform pool ``(n_test,)``."""
        return _sides(self.graphs.tobytes() if kind == "graph" else b"", len(self.X), seed, n_test, kind)

    @property
    def measured_names(self) -> tuple[str, ...]:
        """Names of the proxies that are measured."""
        return () if self.measured is None else tuple(MEASURED + name for name in self.measured.names)

    @property
    def free(self) -> tuple[str, ...]:
        """Names of all that is known without training."""
        return (*self.proxies, *self.measured_names)

    def columns(self, names: Sequence[str], rows: IntArray) -> FloatArray:
        """Return values ``(n, len(names))`` of quantities known without training, measuring what has none yet."""
        own = self.measured_names
        found = self.measured.values(self.X[rows]) if self.measured and set(own) & set(names) else None
        values = [self.proxies[n][rows] if found is None or n not in own else found[:, own.index(n)] for n in names]
        return np.stack(values, axis=1) if values else np.empty((len(rows), 0))

    def seconds(self, name: str, rows: IntArray) -> float:
        """Return the CPU seconds that it took to measure a quantity for some rows; 0 for what is only computed."""
        if self.measured is None or name not in self.measured_names:
            return 0.0
        return float(self.measured.seconds(self.X[rows])[:, self.measured_names.index(name)].sum())

    def labels(self, rows: IntArray, seed: int) -> FloatArray:
        """Return the searched values ``(n,)`` that a search of that seed would see, or the only ones there are."""
        if self.trained:
            return self.truth[self.searched][rows]
        return np.asarray(self.benchmark.evaluate(self.X[rows], seed).F[:, self.target], dtype=np.float64)


@cache
def data_of(
    space: str,
    dataset: str,
    objective: str = "",
    proxies: str = "",
    proxy_data: str = "",
    sample: int = 0,
    folder: str = "",
) -> Data:
    """Open a benchmark and gather its architectures, once per process.

    Args:
        space: Registered space.
        dataset: Its data set; "" takes the default.
        objective: What is ranked; "" takes the first that only an evaluation gives.
        proxies: Zero-cost proxies to measure: "all", or names joined by commas.
        proxy_data: What they are measured on, see `bench.train.proxies.values`; "" takes what a benchmark that trains
            trains on, and digits elsewhere.
        sample: Distinct architectures drawn once that stand for the space; 0 takes all of one that can be enumerated.
        folder: Where a benchmark that trains keeps its trainings.

    Raises:
        UserError: Something is unknown, or the objective is free to compute.
        DataError: The table is not installed.
    """
    benchmark = open_benchmark(space, dataset or None, (objective,) if objective else ())
    costly = benchmark.problem.costly
    if not costly:
        raise UserError(f"{objective!r} is computed exactly and for free: nothing is to be predicted.")
    target = costly[0]
    trained = bool(evaluator_of(benchmark.dataset))
    if trained and not sample:
        raise UserError(f"{benchmark.dataset} computes every value anew: say how many with --sample, for example 60.")
    if folder:
        benchmark.use_folder(Path(folder))
    X, notes = _architectures(benchmark.plain, sample)
    measured = _proxy_values(benchmark, proxies, proxy_data) if proxies else None
    name = benchmark.objectives[target].name
    truth = {name: searched_mean(benchmark, X, target)}
    if has_two_splits(benchmark) and benchmark.report_names[target] != name:
        truth[benchmark.report_names[target]] = benchmark.report(X)[:, target]
    known = np.isfinite(np.stack(list(truth.values()))).all(axis=0)
    if not known.all():
        notes.append(f"{int((~known).sum()):,} architectures without a value are left out.")
        X, truth = X[known], {n: v[known] for n, v in truth.items()}
    graphs = np.unique(benchmark.space.canonical(X), return_inverse=True)[1].reshape(-1).astype(np.int64)
    costs = {c.name: benchmark.space.cost(X, c.name) for c in benchmark.space.costs}
    known_proxies, missing = _table_proxies(benchmark.plain, X, graphs)
    if missing:
        notes.append(missing)
    if measured is not None:
        notes.append(f"{MEASURED}{measured.text}.")
    complexity = costs.get("flops", next(iter(costs.values()), None))
    digest = hashlib.sha256(json.dumps(benchmark.provenance(), sort_keys=True, default=str).encode())
    for values in (X, *truth.values()):
        digest.update(np.ascontiguousarray(values).tobytes())
    data = Data(
        benchmark,
        target,
        X,
        truth,
        complexity,
        graphs,
        {**costs, **known_proxies},
        tuple(known_proxies),
        digest.hexdigest()[:16],
        (*benchmark.notes, *notes),
        measured,
        trained,
    )
    return data if measured is None else replace(data, appended=data.measured_names)


def _proxy_values(benchmark: Benchmark, names: str, text: str) -> ProxyValues:
    """Return the proxies of a benchmark's architectures, as a rule on the images that it trains on."""
    from smemnas.bench.train.benchmark import TrainedBenchmark
    from smemnas.bench.train.proxies.values import ProxyData, ProxyValues

    if not text and isinstance(benchmark, TrainedBenchmark):
        setting = benchmark.setting
        split = {"size": setting.size, "valid_share": setting.valid_share}
        text = str(ProxyData(setting.data, {key: value for key, value in split.items() if value is not None}))
    return ProxyValues(benchmark.space, names, text or "digits")


def _architectures(benchmark: Benchmark, sample: int) -> tuple[IntArray, list[str]]:
    """Return the genotypes that stand for the space, and what a reader must know about them."""
    space = benchmark.space
    if sample:
        if space.is_enumerable and sample > space.size:
            raise UserError(f"--sample must be at most {space.size:,}, what space {space.name!r} has, got {sample:,}.")
        return _drawn(benchmark, sample)
    if space.is_enumerable:
        return space.enumerate(), []
    if isinstance(benchmark, TabularBenchmark) and "genotype" in benchmark.table.columns:
        return np.asarray(benchmark.table.column("genotype"), dtype=np.int64), []
    X, notes = _drawn(benchmark, SAMPLED)
    return X, [f"The space cannot be enumerated. {notes[0]}"]


def _drawn(benchmark: Benchmark, n: int) -> tuple[IntArray, list[str]]:
    """Return up to ``n`` distinct architectures drawn once, and a note."""
    space = benchmark.space
    X = space.sample(2 * n, np.random.default_rng(_STREAM))
    first = np.sort(np.unique(space.canonical(X), return_index=True)[1])[:n]
    return X[first], [f"{len(first):,} distinct architectures drawn once stand for the space."]


def searched_mean(benchmark: Benchmark, X: IntArray, target: int) -> FloatArray:
    """Return the searched values ``(n,)``, averaged over the trainings where a table has several."""
    return np.asarray(benchmark.true_values(X)[:, target], dtype=np.float64)


def _table_proxies(benchmark: Benchmark, X: IntArray, graphs: IntArray) -> tuple[dict[str, FloatArray], str]:
    """Return the table's zero-cost proxies, and a note about missing values.

    Some tables measured one genotype of each network; the others get the mean of those that build the same.
    """
    if not isinstance(benchmark, TabularBenchmark):
        return {}, ""
    names = [n for n, c in benchmark.table.columns.items() if c["role"] == "proxy"]
    rows = benchmark.rows(X)
    found, filled, missing = {}, 0, 0
    for name in names:
        values = np.asarray(benchmark.table.column(name)[rows], dtype=np.float64)
        known = np.isfinite(values)
        count = np.bincount(graphs[known], minlength=graphs.max() + 1)
        mean = np.bincount(graphs[known], weights=values[known], minlength=len(count)) / np.maximum(count, 1)
        twin = ~known & (count[graphs] > 0)
        values = np.where(twin, mean[graphs], values)
        filled, missing = max(filled, int(twin.sum())), max(missing, int(np.isnan(values).sum()))
        found[name] = values
    note = ""
    if filled:
        note = f"Zero-cost proxies: {filled:,} architectures missing in the table have the value of an isomorphic one."
    if missing:
        note += f" {missing:,} have none and are ranked last."
    return found, note.strip()


@lru_cache(maxsize=64)
def _sides(counts: bytes, n: int, seed: int, n_test: int, kind: str) -> tuple[IntArray, IntArray]:
    """Return the rows that may be trained on, in order, and the rows of the uniform pool ``(n_test,)``."""
    order = np.random.default_rng([_STREAM, seed]).permutation(n)
    if kind == "genotype":
        return order[: n - n_test], order[n - n_test :]
    # The last graphs of a second permutation fill the pool with all their genotypes; the rest may be trained on.
    graphs = np.frombuffer(counts, dtype=np.int64)
    drawn = np.random.default_rng([_STREAM, seed, 1]).permutation(int(graphs.max()) + 1)[::-1]
    filled = np.cumsum(np.bincount(graphs)[drawn])
    held = np.isin(graphs[order], drawn[: int(np.searchsorted(filled, n_test)) + 1])
    return order[~held], order[held][:n_test]


def train_limit(data: Data, n_test: int, kind: str, seeds: Sequence[int]) -> int:
    """Return the largest training set that leaves the uniform pool untouched."""
    return min(len(data.sides(seed, n_test, kind)[0]) for seed in seeds)


def front_members(truth: FloatArray, flops: FloatArray | None, share: float = FRONT_SHARE) -> IntArray:
    """Return the rows within the first `share` of the non-dominated fronts of (truth, flops), both ``(N,)``.

    Raises:
        UserError: There is no complexity.
    """
    if flops is None:
        raise UserError("--pool front needs a space that computes a complexity such as flops: use --pool uniform.")
    from moocore import pareto_rank

    ranks = np.asarray(pareto_rank(np.stack([truth, flops], axis=1)), dtype=np.int64)
    ranks -= ranks.min()
    return np.flatnonzero(ranks < math.ceil(share * (int(ranks.max()) + 1)))


def split(data: Data, *, seed: int, n_train: int, n_test: int, pool: str, kind: str) -> Split:
    """Return the training and the ranked rows of a trial.

    Args:
        data: The architectures.
        seed: Draws the permutation.
        n_train: Size of the training set.
        n_test: Size of the uniform pool.
        pool: "uniform": unseen architectures drawn uniformly; "front": all unseen ones near the front.
        kind: "genotype": no genotype is on both sides; "graph": no network is, so that no isomorphic twin of a
            training architecture is ranked.

    Raises:
        UserError: The training set does not fit.
    """
    for name, value, known in (("pool", pool, POOLS), ("split", kind, SPLITS)):
        if value not in known:
            raise UserError(f"no {name} {value!r}.{suggest(value, known)}")
    order, test = data.sides(seed, n_test, kind)
    if not 2 <= n_train <= len(order):
        raise UserError(f"--n-train must lie between 2 and {len(order):,} beside {n_test:,} to rank, got {n_train}.")
    train = order[:n_train]
    if pool == "front":
        test = np.setdiff1d(data.front, train)
        if kind == "graph":
            test = test[~np.isin(data.graphs[test], data.graphs[train])]
    chosen = Split(train, test)
    assert_disjoint(data, chosen, kind)
    return chosen


def assert_disjoint(data: Data, chosen: Split, kind: str) -> None:
    """Check that nothing that is trained on is ranked.

    Raises:
        AssertionError: Something is.
    """
    train, test = chosen if kind == "genotype" else (data.graphs[chosen.train], data.graphs[chosen.test])
    common = np.intersect1d(train, test)
    whole = len(np.unique(np.concatenate(chosen))) == len(chosen.train) + len(chosen.test)
    if len(common) or not whole:
        raise AssertionError(f"training and ranked architectures share {len(common)} of kind {kind!r}")


def twin_share(data: Data, chosen: Split) -> float:
    """Return the share of the ranked architectures whose network, under another genotype, is trained on."""
    return float(np.isin(data.graphs[chosen.test], data.graphs[chosen.train]).mean())

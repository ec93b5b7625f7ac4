"""One trial: fit a surrogate on some architectures, rank others, measure both.

Only training rows' labels are read before the ranking is done; the truth of the ranked ones enters the
metrics alone.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.metrics.order import calibration, order_metrics, platt_slope, sigmoid
from smemnas.bench.provenance import git_commit
from smemnas.bench.ranking.data import Data, Split, split, twin_share
from smemnas.bench.registry import identity_of
from smemnas.methods.features import standardised
from smemnas.spaces.base import FloatArray, IntArray
from smemnas.surrogates.base import SURROGATES, Surrogate, make_surrogate, single_thread

#: Folds of the training set on whose left-out pairs the win probability is scaled. Two: surrogates whose cost does
#: not grow with n would spend most of a study here with more.
FOLDS = 2
#: Architectures among which calibration looks at all pairs.
CALIBRATED = 200
_STREAM = 60_917
PROXY_SUFFIX = "+zc"


@dataclass(frozen=True)
class SurrogateVariant:
    """What is compared: a surrogate with parameters, or (`column`) a quantity known without training."""

    name: str
    surrogate: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    column: str = ""

    @property
    def label(self) -> str:
        """What identifies it in the log, whatever it is called."""
        if self.column:
            return f"column {self.column}"
        changed = ",".join(f"{k}={json.dumps(v, sort_keys=True)}" for k, v in sorted(self.params.items()))
        return self.surrogate + (f"[{changed}]" if changed else "")


@dataclass(frozen=True)
class Task:
    """One fit and the pools that are ranked with it.

    Attributes:
        variant: What is fitted.
        encoding: Encoding, with `PROXY_SUFFIX` where zero-cost proxies are appended; "" for a column.
        n_train: Training architectures.
        seed: Draws the split and seeds the surrogate.
        pools: Ranked pools, each a trial of its own.
        n_test: Size of the uniform pool.
        split: "genotype" or "graph".
        calibrate: Whether the win probability is measured, which costs `FOLDS` more fits.
    """

    variant: SurrogateVariant
    encoding: str
    n_train: int
    seed: int
    pools: tuple[str, ...]
    n_test: int
    split: str
    calibrate: bool

    def key(self, data: Data, pool: str) -> dict[str, Any]:
        """Return what determines the scores of one of its trials."""
        named = (self.variant.column, *(data.appended if self.encoding.endswith(PROXY_SUFFIX) else ()))
        used = [name for name in named if name in data.measured_names]
        plugin = "" if self.variant.column else identity_of(SURROGATES.get(self.variant.surrogate))
        return {
            **({"plugin": plugin} if plugin else {}),
            **({"proxies": [data.measured.fingerprint, *used]} if data.measured and used else {}),
            "space": data.benchmark.space.name,
            "dataset": data.benchmark.dataset,
            "data": data.digest,
            "surrogate": self.variant.label,
            "encoding": self.encoding,
            "n_train": self.n_train,
            "seed": self.seed,
            "pool": pool,
            "n_test": self.n_test,
            "split": self.split,
            "calibrate": self.calibrate,
        }


@dataclass(frozen=True)
class Prediction:
    """What a fitted variant says about one pool.

    Attributes:
        scores: ``(m,)``, smaller is better.
        chance: Predicted chances ``(c, c)`` that the row's architecture beats the column's, among `among`; None
            where it was not asked for.
        among: Positions ``(c,)`` in the pool.
        times: CPU seconds of "fit", "rank" and "calibrate", and "memory_mb", the growth of the resident memory.
    """

    scores: FloatArray
    chance: FloatArray | None
    among: IntArray
    times: dict[str, float]


def run_task(data: Data, task: Task) -> list[dict[str, Any]]:
    """Return one log row for each pool; what goes wrong is a row with its reason."""
    rows = []
    for pool, result in predict(data, task).items():
        row: dict[str, Any] = {"key": task.key(data, pool), "code": git_commit(), "status": "ok", "reason": ""}
        if isinstance(result, str):
            rows.append({**row, "status": "failed", "reason": result})
            continue
        chosen, prediction = result
        row["n_ranked"] = len(chosen.test)
        row["twins"] = twin_share(data, chosen)
        row["scores"] = {
            name: _jsonable(order_metrics(prediction.scores, values[chosen.test]))
            for name, values in data.truth.items()
        }
        if prediction.chance is not None:
            truth = data.truth[data.searched][chosen.test][prediction.among]
            better = truth[:, None] < truth[None, :]
            brier, ece = calibration(prediction.chance[better])
            row["scores"][data.searched].update(_jsonable({"brier": brier, "ece": ece}))
        row["time"] = _jsonable(prediction.times)
        rows.append(row)
    return rows


def _jsonable(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


Outcome = tuple[Split, Prediction] | str


def predict(data: Data, task: Task) -> dict[str, Outcome]:
    """Return each pool's split and prediction, or the reason why there is none."""
    splits = {
        pool: split(data, seed=task.seed, n_train=task.n_train, n_test=task.n_test, pool=pool, kind=task.split)
        for pool in task.pools
    }
    if task.variant.column:
        return {pool: (chosen, _by_column(data, task.variant.column, chosen.test)) for pool, chosen in splits.items()}
    try:
        return _fit_and_rank(data, task, splits)
    except (Exception, SystemExit) as error:
        text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        reason = " ".join(text.split()) or type(error).__name__
        return dict.fromkeys(task.pools, reason)


def _by_column(data: Data, name: str, rows: IntArray) -> Prediction:
    """Order rows by a quantity known without training: larger is better, a missing one comes last."""
    values = data.columns((name,), rows)[:, 0]
    known = np.isfinite(values)
    worst = float(np.min(values[known], initial=0.0))
    times = {"fit": 0.0, "rank": data.seconds(name, rows), "calibrate": 0.0, "memory_mb": math.nan}
    return Prediction(-np.where(known, values, worst - max(1.0, abs(worst))), None, np.arange(0), times)


def _fit_and_rank(data: Data, task: Task, splits: dict[str, Split]) -> dict[str, Outcome]:
    """Fit once, rank every pool; one thread, so that time and result do not depend on the machine's load."""
    train = splits[task.pools[0]].train
    y = data.labels(train, task.seed)
    Z, blocks = encode(data, task.encoding, train, train)
    results: dict[str, Outcome] = {}
    with single_thread():
        _warm_up(task.variant, Z.shape[1], blocks)
        surrogate = make(task.variant, task.seed, blocks)
        with _memory() as memory:
            start = time.process_time()
            surrogate.fit(Z, y)
            fit = time.process_time() - start
        start = time.process_time()
        slope = _slope(task, Z, y, blocks) if task.calibrate else math.nan
        scaling = time.process_time() - start
        for pool, chosen in splits.items():
            query, _ = encode(data, task.encoding, chosen.test, train)
            with _memory() as more:
                start = time.process_time()
                scores = np.asarray(surrogate.rank(query), dtype=np.float64)
                rank = time.process_time() - start
            if scores.shape != (len(query),) or not np.isfinite(scores).all():
                raise RunError("rank gave no finite score for every architecture.")
            among = np.random.default_rng([_STREAM, task.seed]).permutation(len(query))[:CALIBRATED]
            start = time.process_time()
            chance = None if math.isnan(slope) else sigmoid(slope * margins(surrogate, query[among]))
            calibrate = scaling + time.process_time() - start
            peak = max(memory[0], more[0]) if math.isfinite(memory[0]) else math.nan
            times = {"fit": fit, "rank": rank, "calibrate": calibrate, "memory_mb": peak}
            results[pool] = chosen, Prediction(scores, chance, among, times)
    return results


def encode(data: Data, encoding: str, rows: IntArray, train: IntArray) -> tuple[FloatArray, tuple[int, ...]]:
    """Return features ``(n, d)`` of some rows and the widths of the encodings put side by side.

    Args:
        data: The architectures.
        encoding: Name or "a+b"; with `PROXY_SUFFIX` zero-cost proxies are a further block.
        rows: What to encode.
        train: Training rows, which give the proxies their units.
    """
    space = data.benchmark.space
    plain = encoding.removesuffix(PROXY_SUFFIX)
    parts = [space.encode(data.X[rows], part) for part in space.encoding_parts(plain)]
    if plain != encoding:
        parts.append(standardised(data.columns(data.appended, rows), data.columns(data.appended, train)))
    return np.hstack(parts), tuple(part.shape[1] for part in parts)


def make(variant: SurrogateVariant, seed: int, blocks: tuple[int, ...]) -> Surrogate:
    """Make the surrogate, told the blocks of the encoding where it takes them."""
    return make_surrogate(variant.surrogate, seed=seed, blocks=blocks, params=variant.params, searches=False)


_warm: set[str] = set()


def _warm_up(variant: SurrogateVariant, d: int, blocks: tuple[int, ...]) -> None:
    """Fit once on a few rows, so that the imports of a library are in no measured time."""
    if variant.label in _warm:
        return
    _warm.add(variant.label)
    rng = np.random.default_rng(0)
    Z = rng.random((12, d))
    with suppress(Exception, SystemExit):  # what is wrong shows again where it is recorded
        make(variant, 0, blocks).fit(Z, rng.random(12)).rank(Z)


def _slope(task: Task, Z: FloatArray, y: FloatArray, blocks: tuple[int, ...]) -> float:
    """Return the slope from margin to win probability, from left-out pairs of the training set; NaN if too few."""
    folds = np.array_split(np.random.default_rng([_STREAM, task.seed, 1]).permutation(len(y)), FOLDS)
    if len(y) < 2 * FOLDS:
        return math.nan
    found = []
    for fold in folds:
        kept = np.setdiff1d(np.arange(len(y)), fold)
        surrogate = make(task.variant, task.seed, blocks).fit(Z[kept], y[kept])
        fold = fold[:CALIBRATED]
        found.append(margins(surrogate, Z[fold])[y[fold][:, None] < y[fold][None, :]])
    return platt_slope(np.concatenate(found))


def margins(surrogate: Surrogate, Z: FloatArray) -> FloatArray:
    """Return margins ``(m, m)``, positive where the row's architecture is taken to be better; antisymmetric.

    Pairwise surrogates give their pair scores, others the difference of their scores.
    """
    scores = getattr(surrogate, "pair_scores", None) or getattr(surrogate, "decision", None)
    if scores is not None:
        try:
            f = np.asarray(scores(Z, Z), dtype=np.float64)
            return 0.5 * (f - f.T)
        except UserError:  # nothing to learn from constant outcomes
            pass
    value = np.asarray(surrogate.rank(Z), dtype=np.float64)
    return value[None, :] - value[:, None]


@cache
def _own_memory() -> tuple[Path, Path] | None:
    """Return Linux's files to reset and read the peak of the resident memory; None where there are none."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    try:
        reset.write_text("5")
        return (reset, status) if "VmHWM" in status.read_text() else None
    except OSError:
        return None


@contextmanager
def _memory() -> Iterator[list[float]]:
    """Measure by how many MB the peak of the resident memory exceeds its start within the block; NaN elsewhere.

    What an earlier trial left to the allocator is used again without growth, so this is a lower limit.
    """
    result = [math.nan]
    files = _own_memory()
    if files is None:
        yield result
        return
    reset, status = files
    reset.write_text("5")
    before = _megabytes(status, "VmRSS")
    yield result
    result[0] = max(0.0, _megabytes(status, "VmHWM") - before)


def _megabytes(status: Path, field_name: str) -> float:
    for line in status.read_text().splitlines():
        if line.startswith(field_name + ":"):
            return int(line.split()[1]) / 1024.0
    return math.nan

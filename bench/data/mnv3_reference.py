"""Best-known networks of mnv3 under OFA's predictor: where they are kept, how they are found and improved.

One CSV file per width holds networks and their objectives; any set of objectives has the front of what is not dominated
among them. The files beside this module came from `search` with `OBJECTIVE_SETS`, those of draws of mnv3/ofa from
`bench.data.mnv3_ofa`. No run changes them: `improve_reference` merges better networks into a file of the user's data
folder, and `known_networks` reads both.

The search has three phases: simulated annealing along many weighted Chebyshev distances at once (the predictor is
rugged near its best networks, where plain evolution settles on one of several hills), then an archive of
non-dominated networks with crossover and mutation, then every network that differs from one of the archive in
one layer, one depth or the resolution, until that gains nothing. It asks the predictor some million times, which
no method under comparison may do.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smemnas.bench.benchmarks.catalog import base_of
from smemnas.bench.benchmarks.store import data_folder
from smemnas.bench.errors import DataError, UserError
from smemnas.bench.files import replacing, why
from smemnas.bench.metrics.indicators import REFERENCE_POINT, nondominated, normalise
from smemnas.spaces.base import FloatArray, IntArray
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_genes import DEPTH_GENES, EXPANSION_GENES, KERNEL_GENES, RESOLUTION_GENE

if TYPE_CHECKING:
    from smemnas.bench.benchmarks.predictor import PredictorBenchmark

PACKAGED = Path(__file__).parent / "reference"
#: What the packaged files hold, whatever ends their lines.
SHA256 = {
    "mnv3-ofa.csv": "85bd678b432f0639080059e211105b0890736017c4936ceda1ea6ec506cdbe11",
    "mnv3-ofa+draw=1.csv": "e3ea5462633374ca1c2a98e98ce3aefc4b13389a9c2b29ad9d6dfc1720e95fcc",
    "mnv3-ofa+draw=2.csv": "390bc0b5f5998d9e55cbd73649f762431ef3f1e7603575d09ea5244fbdceee00",
    "mnv3-ofa+draw=3.csv": "91a2fe81a7506e2d56cda62d291a68ffdf655be3422e495f088aa3a87358bfc6",
    "mnv3-ofa+draw=4.csv": "28cd903fb6e747d0d42791a60b3181fb8657cbea9797449ce8155a26445237a0",
    "mnv3-ofa+draw=5.csv": "dbc0588a967b08b24d7f3d2b42d2519fa56787f884627d35c78525e131521baa",
    "mnv3-w10.csv": "d94e8c3df2282f5ed021b4d8667d7ab135f846789cdd8d81d0ef14e51fe3d244",
    "mnv3-w12.csv": "d87d43fbda55341f8bb13b0add53bb85beb9939479577a4e3219b8c662137779",
}
#: How the first line of a file of the user's begins, with the digest of all others.
_DIGEST = "# sha256 "
#: Sets of objectives that the packaged files were searched for, by data set, and to how many networks each fills
#: the file; networks chosen for one set count for the next.
OBJECTIVE_SETS: dict[str, dict[tuple[str, ...], int]] = {
    "imagenet": {("error", "params"): 140, ("error", "flops"): 180, ("error", "params", "flops"): 420},
    "imagenet-w12": {
        ("error", "params"): 90,
        ("error", "flops"): 110,
        ("error", "latency"): 110,
        ("error", "params", "flops", "latency"): 390,
    },
    "ofa": {("error", "params"): 140, ("error", "flops"): 180, ("error", "params", "flops"): 420},
}
#: Data sets with a file of their own; those of the predictor share one per width.
OWN_FILE = ("ofa",)


def _file(space: MNV3, dataset: str = "") -> str:
    return f"mnv3-{dataset}.csv" if base_of(dataset) in OWN_FILE else f"mnv3-w{round(10 * space.width)}.csv"


def user_file(space: MNV3, dataset: str = "") -> Path:
    """Return the file of the user's data folder (not necessarily there)."""
    return data_folder() / "reference" / _file(space, dataset)


def packaged_file(space: MNV3, dataset: str = "") -> Path:
    """Return the file of the package, which need not be there."""
    return PACKAGED / _file(space, dataset)


def known_networks(space: MNV3, dataset: str = "") -> IntArray:
    """Return the best networks known ``(k, 46)``: the packaged ones and the user's, each once.

    Args:
        space: The networks' space; its width names the file of the predictor's data sets.
        dataset: A data set of `OWN_FILE` names its own.

    Raises:
        DataError: A file is corrupt, or the packaged one is missing.
    """
    files = [packaged_file(space, dataset), user_file(space, dataset)]
    known = [read_networks(file, space) for file in files if file.exists()]
    if not known:
        raise DataError(f"the reference networks {files[0]} are missing: install smemnas again.")
    X = np.vstack(known)
    return X[np.sort(np.unique(space.canonical(X), return_index=True)[1])]


def read_networks(file: Path, space: MNV3) -> IntArray:
    """Read the networks of a file ``(k, 46)``; those of other resolutions than the space's are left out.

    Raises:
        DataError: The file cannot be read, has no column `arch`, or names no network.
    """
    wide = MNV3(space.width)
    advice = "install smemnas again" if file.parent == PACKAGED else "remove it"
    try:
        data = file.read_bytes().replace(b"\r\n", b"\n")
        first, _, rest = data.partition(b"\n")
        wanted, found = SHA256.get(file.name, ""), data
        if file.parent != PACKAGED:
            wanted, found = (first.decode()[len(_DIGEST) :] if first.startswith(_DIGEST.encode()) else ""), rest
        if wanted and hashlib.sha256(found).hexdigest() != wanted:
            raise UserError("it does not match its checksum")
        lines = [line for line in data.decode("utf-8").split("\n") if not line.startswith("#")]
        names = [row["arch"] for row in csv.DictReader(lines)]
        X = np.array([wide.from_str(name) for name in names], dtype=np.int64).reshape(-1, wide.n_var)
    except (OSError, KeyError, UnicodeDecodeError, csv.Error, UserError) as error:
        raise DataError(f"the reference file {file} is corrupt ({error}): {advice}.") from error
    sides = np.array([space.resolutions.index(r) if r in space.resolutions else -1 for r in wide.resolutions])
    X[:, RESOLUTION_GENE] = sides[X[:, RESOLUTION_GENE]]
    return X[X[:, RESOLUTION_GENE] >= 0]


def write_networks(file: Path, benchmark: PredictorBenchmark, X: IntArray, comment: Sequence[str]) -> None:
    """Write networks ``(k, 46)`` with all their objectives, as a whole or not at all.

    Raises:
        DataError: The file cannot be written.
    """
    names, F = all_values(benchmark, X)
    order = np.lexsort(F.T[::-1])
    lines = [f"# {line}" for line in comment] + [",".join(("arch", *names))]
    for x, f in zip(X[order], F[order], strict=True):
        lines.append(",".join((benchmark.space.to_str(x), *(f"{v:.7g}" for v in f))))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {file}: {why(error)}.") from error
    content = "".join(f"{line}\n" for line in lines).encode()
    digest = b"" if file.parent == PACKAGED else f"{_DIGEST}{hashlib.sha256(content).hexdigest()}\n".encode()
    advice = "Free space or point SMEMNAS_DATA at a writable folder."
    with replacing(file, failure=DataError, advice=advice) as part:
        part.write_bytes(digest + content)


def all_values(benchmark: PredictorBenchmark, X: IntArray) -> tuple[tuple[str, ...], FloatArray]:
    """Return the names of all objectives that the benchmark's space offers and their values ``(k, n)``."""
    names = ("error", *sorted(c.name for c in benchmark.space.costs))
    return names, benchmark.with_objectives(names).values(X)


def improve_reference(benchmark: PredictorBenchmark, X: IntArray) -> int:
    """Merge networks that beat the reference front of the benchmark's objectives into the user's file.

    Args:
        benchmark: Its objectives decide what is better.
        X: Evaluated genotypes ``(n, 46)`` of any number of runs.

    Returns:
        How many networks entered the front; with 0 no file is written.

    Raises:
        DataError: The file cannot be written.
    """
    from filelock import FileLock

    space, file = benchmark.space, user_file(benchmark.space, benchmark.dataset)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file.with_name(f".{file.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise DataError(f"cannot write {file}: {error.strerror or error}.") from error
    try:
        candidates = benchmark.candidates()
        known = known_networks(space, benchmark.dataset) if candidates is None else candidates.X
        both = np.vstack([known, space.normalise(X)])
        entered = nondominated(benchmark.values(both))
        entered[: len(known)] = False
        if entered.any():
            mine = read_networks(file, space) if file.exists() else known[:0]
            comment = (f"Networks of width {space.width} from runs on this machine that beat the packaged ones.",)
            write_networks(file, benchmark, np.vstack([mine, both[entered]]), comment)
        return int(entered.sum())
    finally:
        lock.release()


def search(
    benchmark: PredictorBenchmark,
    *,
    seed: int,
    steps: int,
    generations: int,
    start: IntArray | None = None,
    chains: int = 256,
    children: int = 2000,
    size: int = 1200,
    passes: int = 25,
) -> IntArray:
    """Search the front of the benchmark's objectives with as many predictions as it takes.

    Args:
        benchmark: Space, predictor and objectives.
        seed: Everything random follows from it.
        steps: Steps of annealing.
        generations: Rounds of crossover and mutation.
        start: Networks ``(k, 46)`` to begin with, besides random ones and the extremes.
        chains: Chains of annealing, each with its own weights.
        children: New networks in each of them.
        size: Most networks kept; the most crowded of more are dropped.
        passes: Most rounds of one-change neighbours at the end; each network is expanded once.

    Returns:
        Non-dominated genotypes ``(k, 46)``, inactive genes 0.
    """
    rng = np.random.default_rng(seed)
    space = benchmark.space
    quick = benchmark.with_predictor(benchmark.predictor.quick())
    first = np.vstack([_extremes(space), space.sample(2 * children, rng), *([] if start is None else [start])])
    X, F = _merge(space, quick, first[:0], np.vstack([first, _anneal(quick, chains, steps, rng)]), size)
    for _ in range(generations):
        X, F = _merge(space, quick, X, _children(space, X, F, children, rng), size)
    done = space.canonical(X[:0])
    for _ in range(passes):
        todo = X[~np.isin(space.canonical(X), done)]
        if len(todo) == 0:
            break
        done = np.concatenate([done, space.canonical(todo)])
        for part in np.array_split(todo, len(todo) // 100 + 1):
            X, F = _merge(space, quick, X, np.vstack([_neighbours(space, x) for x in part]), size)
    return X[nondominated(benchmark.values(X))]


def search_reference(
    benchmark: PredictorBenchmark, *, seeds: Sequence[int], steps: int, generations: int, start: IntArray | None = None
) -> IntArray:
    """Search all of the data set's `OBJECTIVE_SETS` in turn, each beginning with all that was found before.

    Returns:
        Genotypes ``(k, 46)``, each on the front of one of the sets.
    """
    found = benchmark.space.sample(0, np.random.default_rng(0)) if start is None else start
    for seed in seeds:
        for names in OBJECTIVE_SETS[base_of(benchmark.dataset)]:
            many = len(names) > 2  # such fronts have no end; a few rounds of neighbours fill the archive
            new = search(
                benchmark.with_objectives(names),
                seed=seed,
                steps=steps,
                generations=generations // 3 if many else generations,
                passes=3 if many else 25,
                start=found,
            )
            found = np.unique(np.vstack([found, new]), axis=0)
    return found


def select(benchmark: PredictorBenchmark, X: IntArray) -> IntArray:
    """Choose for each of the data set's `OBJECTIVE_SETS` the networks that hold its hypervolume, ``(k, 46)``."""
    chosen = np.zeros(len(X), dtype=bool)
    for names, n in OBJECTIVE_SETS[base_of(benchmark.dataset)].items():
        F = benchmark.with_objectives(names).values(X)
        front = np.flatnonzero(nondominated(F))
        chosen[front[thin(F[front], n, np.flatnonzero(chosen[front]))]] = True
    return X[chosen]


def thin(F: FloatArray, n: int, start: Sequence[int] | IntArray = ()) -> IntArray:
    """Choose up to ``n`` more points of a front that together have nearly its hypervolume.

    Greedy, after the points of `start` and the extremes; gains of earlier rounds serve as upper bounds (a gain
    can only fall), so few are computed anew.

    Args:
        F: Mutually non-dominated points ``(m, n_obj)``.
        n: How many points to add to `start`.
        start: Indices of points that are in already.

    Returns:
        Indices of the whole choice in the order of choice, `start` first.
    """
    from moocore import hypervolume

    if len(F) <= n:
        return np.arange(len(F))
    points = normalise(F, F.min(axis=0), F.max(axis=0))
    corner = np.full(F.shape[1], REFERENCE_POINT)
    extremes = [*np.argmin(points, axis=0).tolist(), *np.argmax(points, axis=0).tolist()]
    chosen = list(dict.fromkeys([*map(int, start), *extremes]))
    volume = float(hypervolume(points[chosen], ref=corner))
    bound = np.prod(corner - points, axis=1)
    bound[chosen] = -1.0
    while len(chosen) < min(len(start) + n, len(F)):
        current = np.zeros(len(F), dtype=bool)
        best = int(np.argmax(bound))
        while not current[best]:
            bound[best] = float(hypervolume(points[[*chosen, best]], ref=corner)) - volume
            current[best] = True
            best = int(np.argmax(bound))
        volume += bound[best]
        bound[best] = -1.0
        chosen.append(best)
    return np.array(chosen)


def _merge(
    space: MNV3, quick: PredictorBenchmark, X: IntArray, fresh: IntArray, size: int
) -> tuple[IntArray, FloatArray]:
    """Return the non-dominated networks of both sets, at most ``size``, by crowding, and their objectives."""
    from smemnas.methods.selection import crowding_distance

    both = np.unique(space.normalise(np.vstack([X, fresh])), axis=0)
    F = quick.values(both)
    keep = nondominated(F)
    both, F = both[keep], F[keep]
    if len(both) > size:
        order = np.sort(np.argsort(-crowding_distance(F), kind="stable")[:size])
        both, F = both[order], F[order]
    return both, F


def _anneal(quick: PredictorBenchmark, chains: int, steps: int, rng: np.random.Generator) -> IntArray:
    """Return the best network of each of ``chains`` annealed weighted Chebyshev distances, ``(chains, 46)``.

    The distance is taken from a point a little beyond what the extremes and the first networks reach, in units of
    their range, with 0.05 of the plain sum added; the temperature falls geometrically from 0.03 to 0.0003.
    """
    space = quick.space
    X = space.sample(chains, rng)
    F = quick.values(np.vstack([X, _extremes(space)]))
    span = np.ptp(F, axis=0)
    ideal = F.min(axis=0) - 0.2 * span
    weights = rng.dirichlet(np.ones(F.shape[1]), size=chains)
    weights /= weights.max(axis=1, keepdims=True)
    choices = np.asarray(space.n_choices)

    def distance(X: IntArray) -> FloatArray:
        scaled = (quick.values(X) - ideal) / span
        return np.asarray((weights * scaled).max(axis=1) + 0.05 * scaled.sum(axis=1))

    value = distance(X)
    best, best_value = X.copy(), value.copy()
    row = np.arange(chains)
    for step in range(steps):
        temperature = 0.03 * 0.01 ** (step / steps)
        new = X.copy()
        for chance in (1.0, 0.4):
            gene = rng.integers(space.n_var, size=chains)
            drawn = rng.integers(0, choices[gene])
            new[row, gene] = np.where(rng.random(chains) < chance, drawn, new[row, gene])
        new = space.normalise(new)
        new_value = distance(new)
        take = rng.random(chains) < np.exp(np.minimum(value - new_value, 0.0) / temperature)
        X[take], value[take] = new[take], new_value[take]
        better = value < best_value
        best[better], best_value[better] = X[better], value[better]
    return best


def _extremes(space: MNV3) -> IntArray:
    """Return the smallest and the largest network at every resolution."""
    X = np.zeros((2 * len(space.resolutions), space.n_var), dtype=np.int64)
    X[1::2] = np.asarray(space.n_choices) - 1
    X[:, RESOLUTION_GENE] = np.repeat(np.arange(len(space.resolutions)), 2)
    return X


def _children(space: MNV3, X: IntArray, F: FloatArray, n: int, rng: np.random.Generator) -> IntArray:
    """Cross networks with ones near them on the front, stage-wise or gene-wise, and mutate one to four genes."""
    order = np.argsort(F[:, rng.integers(F.shape[1])], kind="stable")
    a = rng.integers(len(X), size=n)
    b = np.clip(a + np.rint(rng.normal(0.0, 0.05 * len(X) + 1.0, size=n)).astype(np.int64), 0, len(X) - 1)
    first, second = X[order[a]], X[order[b]]
    stage = np.minimum(np.arange(space.n_var) // 9, 5)
    by_stage = (rng.random((n, 6)) < 0.5)[:, stage]
    by_gene = rng.random((n, space.n_var)) < 0.5
    child = np.where(np.where(rng.random((n, 1)) < 0.5, by_stage, by_gene), second, first)
    rate = rng.integers(1, 5, size=(n, 1)) / space.n_var
    new = rng.integers(0, np.asarray(space.n_choices), size=child.shape)
    return np.where(rng.random(child.shape) < rate, new, child)


def _neighbours(space: MNV3, x: IntArray) -> IntArray:
    """Return all networks that differ from ``(46,)`` in one kernel and expansion, one depth, or the resolution."""
    rows = [x]
    for kernel, expansion in zip(KERNEL_GENES, EXPANSION_GENES, strict=True):
        block = np.repeat(x[None], 9, axis=0)
        block[:, kernel], block[:, expansion] = np.divmod(np.arange(9), 3)
        rows.extend(block)
    for gene in (*DEPTH_GENES, RESOLUTION_GENE):
        block = np.repeat(x[None], space.n_choices[gene], axis=0)
        block[:, gene] = np.arange(space.n_choices[gene])
        rows.extend(block)
    return np.unique(space.normalise(np.array(rows)), axis=0)

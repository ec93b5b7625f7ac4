"""The official files of NAS-Bench-201 and NATS-Bench, with every training kept apart.

* NATS-Bench (Dong et al., TPAMI 2021): a folder with one `NNNNNN.pickle.pbz2` per architecture, of the
  topology (tss) or the size (sss) space. It is read file by file, so memory stays bounded.
* NAS-Bench-201 (Dong and Yang, ICLR 2020): one file of `torch.save`, which is read as a whole: the memory it
  needs is compared with what is free before anything is loaded.

Both hold dictionaries of plain values. They are read with an unpickler that knows containers and NumPy
scalars, replaces network weights by nothing, and refuses every other class. Errors are those the official
API answers: validation is `x-valid` (of `cifar10-valid` for CIFAR-10), test is `ori-test` for CIFAR-10 and
`x-test` otherwise, after the last of 200 (topology) or 90 (size) epochs. The time of a training is the sum over its
epochs, of the network whose validation accuracy is read; a file that lacks some of them gives no times.
"""

from __future__ import annotations

import bz2
import math
import os
import pickle
import types
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from smemnas.bench.benchmarks.catalog import BENCHMARKS
from smemnas.bench.benchmarks.table import Table
from smemnas.bench.benchmarks.tabular import TabularBenchmark
from smemnas.bench.benchmarks.timed import TIME_NAME, TIME_ROLE, WITH_TIMES
from smemnas.bench.data.build import Column, error_percent, genotypes, grid_order, write
from smemnas.bench.data.download import Source
from smemnas.bench.data.recipe import Recipe, open_table, register
from smemnas.bench.errors import DataError
from smemnas.bench.program import install
from smemnas.spaces.base import FloatArray, SearchSpace
from smemnas.spaces.nats_sss import NATSSize
from smemnas.spaces.nb201 import NB201

#: Data set -> (of validation, its set; of test, its set; classes; image side).
DATASETS = {
    "cifar10": (("cifar10-valid", "x-valid"), ("cifar10", "ori-test"), 10, 32),
    "cifar100": (("cifar100", "x-valid"), ("cifar100", "x-test"), 100, 32),
    "imagenet16-120": (("ImageNet16-120", "x-valid"), ("ImageNet16-120", "x-test"), 120, 16),
}
EXTENSION = "pickle.pbz2"
#: Memory per byte of the one-file format while it is read (measured: 4.8), with a margin.
MEMORY_FACTOR = 5.5
#: Values ``(trainings,)`` of validation and test accuracy of one architecture, in percent, and seconds of training, NaN
#: where they are not recorded.
Accuracies = tuple[list[float], list[float], list[float]]


class _Nothing:
    """Takes the place of network weights: accepts whatever it is built from and keeps none of it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _encode(text: str, encoding: str) -> bytes:
    """Encode as NumPy's pickles do, and in no other way."""
    if encoding not in ("latin1", "latin-1"):
        raise DataError(f"the encoding {encoding!r} is in it: not a benchmark file, refused.")
    return text.encode("latin1")


def _scalar(dtype: np.dtype[Any], data: bytes) -> int | float:
    """Make a plain number of a NumPy scalar."""
    if dtype.hasobject:
        raise DataError("a NumPy object is in it: not a benchmark file, refused.")
    return np.frombuffer(data, dtype)[0].item()  # type: ignore[no-any-return]


PLAIN: tuple[type, ...] = (set, frozenset, list, dict, tuple, int, float)
#: What a global of the pickle stands for.
KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    **{("builtins", kind.__name__): kind for kind in PLAIN},
    **{("__builtin__", kind.__name__): kind for kind in PLAIN},  # the name before pickle protocol 3
    ("numpy", "dtype"): np.dtype,
    **{(module, "scalar"): _scalar for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    ("_codecs", "encode"): _encode,
}


class PlainUnpickler(pickle.Unpickler):
    """Reads containers, numbers and strings; weights become nothing; everything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Resolve a global of the pickle."""
        if module.split(".")[0] == "torch":
            return _Nothing
        if (module, name) not in KNOWN:
            raise DataError(f"the foreign class {module}.{name} is in it: not a benchmark file, refused.")
        return KNOWN[module, name]


def _load(stream: IO[bytes], **options: Any) -> Any:
    """Unpickle one object with `PlainUnpickler`."""
    return PlainUnpickler(stream, **options).load()


def read_pickle(path: Path) -> Any:
    """Read one compressed pickle.

    Raises:
        DataError: It is missing, truncated, corrupt, or names a foreign class.
    """
    try:
        with bz2.BZ2File(path) as stream:
            return _load(stream)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: unpack the archive again.") from error
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, pickle.UnpicklingError) as error:
        raise DataError(f"{path} is truncated or corrupt ({error}): unpack the archive again.") from error


def trainings(state: Mapping[str, Any], dataset: str) -> Accuracies:
    """Return the accuracies of all trainings in the state of one architecture (an `ArchResults`), by seed.

    Raises:
        DataError: The state lacks what the official API reads.
    """
    try:
        found, times = [], []
        for name, split in DATASETS[dataset][:2]:
            results = [state["all_results"][name, seed] for seed in state["dataset_seed"][name]]
            found.append([float(r["eval_acc1es"][f"{split}@{r['epochs'] - 1}"]) for r in results])
            times.append([_seconds(r) for r in results])
    except (KeyError, TypeError) as error:
        raise DataError(f"{state.get('arch_str', 'an architecture')} has no entry {error} for {dataset}.") from error
    return found[0], found[1], times[0]


def _seconds(results: Mapping[str, Any]) -> float:
    """Return how long a training took over all its epochs; NaN where that is not recorded of each."""
    times = results.get("train_times")
    if not isinstance(times, Mapping) or len(times) != results["epochs"]:
        return math.nan
    total = math.fsum(float(seconds) for seconds in times.values())
    return total if 0.0 < total < math.inf else math.nan


def read_folder(folder: Path, dataset: str, epochs: int) -> tuple[list[str], list[Accuracies]]:
    """Read names and accuracies from a NATS-Bench folder, one file at a time.

    Raises:
        DataError: A file is missing, truncated, corrupt, or holds something else.
    """
    meta = read_pickle(folder / f"meta.{EXTENSION}")
    try:
        names = [str(name) for name in meta["meta_archs"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder / f'meta.{EXTENSION}'} has no list meta_archs: not a NATS-Bench folder.") from error
    found = []
    for index in range(len(names)):
        path = folder / f"{index:06d}.{EXTENSION}"
        path = path if path.exists() else folder / f"{index}.{EXTENSION}"
        data = read_pickle(path)
        if not isinstance(data, dict) or str(epochs) not in data:
            raise DataError(f"{path} has no results of {epochs} epochs.")
        try:
            found.append(trainings(data[str(epochs)], dataset))
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
    return names, found


def read_file(path: Path, dataset: str) -> tuple[list[str], list[Accuracies]]:
    """Read names and accuracies (200 epochs) of the NAS-Bench-201 file, after a look at the memory it needs.

    Raises:
        DataError: Too little memory, torch is missing, or the file is corrupt or holds something else.
    """
    need, free = MEMORY_FACTOR * path.stat().st_size, available_memory()
    if free is not None and need > free:
        raise DataError(
            f"{path.name} is one pickle, not to be streamed: it needs about {need / 1e9:.1f} GB of memory, "
            f"{free / 1e9:.1f} GB are free. Free some, or take the NATS-Bench folder, which is streamed."
        )
    try:
        import torch
    except ImportError as error:
        raise DataError(f"the NAS-Bench-201 file was written by torch: {install('official')}") from error
    module = types.SimpleNamespace(__name__="plain", Unpickler=PlainUnpickler, load=_load)
    try:
        # weights_only would refuse the file; the unpickler handed over is stricter than torch's own.
        data = torch.load(path, map_location="cpu", weights_only=False, pickle_module=module)
        names, infos = [str(n) for n in data["meta_archs"]], data["arch2infos"]
        return names, [trainings(infos[index]["full"], dataset) for index in range(len(names))]
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(f"{path} is not a NAS-Bench-201 file: no entry {error}.") from error
    except (OSError, EOFError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        raise DataError(f"{path} is truncated or corrupt ({error}): get it anew.") from error


def available_memory() -> int | None:
    """Return the free memory in bytes, None where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def by_training(values: Sequence[Sequence[float]], file: str, column: str) -> FloatArray:
    """Turn accuracies into errors ``(n, most trainings)``, NaN behind the last training of a row.

    The result is ``(n,)`` if every row has one.

    Raises:
        DataError: An accuracy is no percentage.
    """
    lengths = np.array([len(row) for row in values])
    there = np.arange(max(lengths.max(), 1)) < lengths[:, None]
    table = np.zeros(there.shape)
    table[there] = np.concatenate([np.asarray(row, dtype=np.float64) for row in values])
    errors = np.where(there, error_percent(table, file, column), np.nan)
    return errors[:, 0] if errors.shape[1] == 1 else errors


def columns_of(
    space: SearchSpace, names: Sequence[str], found: Sequence[Accuracies], epochs: int, file: str
) -> dict[str, Column]:
    """Return the error columns in grid order.

    Raises:
        DataError: Unknown, repeated or missing architectures, or an accuracy that is no percentage.
    """
    order = grid_order(space, genotypes(space, names, file), file)
    columns = {}
    for position, (name, split, role, report) in enumerate(
        (("val_error", "validation", "objective", "test_error"), ("test_error", "test", "report", ""))
    ):
        errors = by_training([accuracies[position] for accuracies in found], file, name)
        text = f"{split} error, {epochs} epochs, one value per training"
        columns[name] = Column(errors[order], "%", split, role, text, report)
    times = _times([accuracies[2] for accuracies in found])
    if times is not None:
        text = f"time of {epochs} epochs, one value per training"
        columns[TIME_NAME] = Column(times[order], "s", "none", TIME_ROLE, text)
    return columns


def _times(seconds: Sequence[Sequence[float]]) -> FloatArray | None:
    """Return the times of trainings ``(n, most trainings)`` as errors stand in their columns; None where one lacks."""
    lengths = np.array([len(row) for row in seconds])
    most = int(max(lengths.max(), 1))
    there = np.arange(most) < lengths[:, None]
    table = np.full(there.shape, np.nan)
    table[there] = np.concatenate([np.asarray(row, dtype=np.float64) for row in seconds])
    if not np.isfinite(table[there]).all():
        return None
    return table[:, 0] if most == 1 else table


def _official(
    name: str,
    table: str,
    space: Callable[..., SearchSpace],
    source: Source,
    read: Callable[[Path, str], tuple[list[str], list[Accuracies]]],
    epochs: int,
    text: str,
    formerly: tuple[str, ...] = (),
) -> None:
    """Register recipe and benchmark of one data set of an official file."""
    dataset = table.split("-", 1)[1]
    params = dict(zip(("n_classes", "image_size"), DATASETS[dataset][2:], strict=True))

    def make(paths: Mapping[str, Path], target: Path) -> Table:
        path = paths[source.file]
        columns = columns_of(space(**params), *read(path, dataset), epochs, path.name)
        return write(
            recipe,
            paths,
            target,
            columns,
            default_objectives=("error", "flops"),
            aliases={"error": "val_error"},
            space_params=params,
            notes=(
                "A search sees one of the recorded trainings, chosen by the evaluation seed; the report is "
                "the mean over all of them."
                + ("" if dataset == "cifar10" else " The searched training is among them."),
            ),
        )

    recipe = register(
        Recipe(
            *(name, table, 2, (source,), make, text, "val_error, test_error, train_seconds of every training"),
            formerly,
            added=(TIME_NAME,),
        )
    )

    def open_it(objectives: Sequence[str] = ()) -> TabularBenchmark:
        return TabularBenchmark(space(**params), open_table(recipe), objectives)

    BENCHMARKS.register(table, summary=f"{text}, {WITH_TIMES}")(open_it)


NATS_PAGE = "github.com/D-X-Y/NATS-Bench"
TSS = Source(
    "NATS-tss-v1_0-3ffb9-simple",
    *("", "", 0, "MIT"),
    how=f"Download NATS-tss-v1_0-3ffb9-simple.tar (see {NATS_PAGE}) and unpack it",
)
SSS = Source(
    "NATS-sss-v1_0-50262-simple",
    *("", "", 0, "MIT"),
    how=f"Download NATS-sss-v1_0-50262-simple.tar (see {NATS_PAGE}) and unpack it",
)
NB201_FILE = Source(
    "NAS-Bench-201-v1_1-096897.pth",
    *("", "", 0, "MIT"),
    how="Download it (see github.com/D-X-Y/NAS-Bench-201)",
)
for _name in DATASETS:
    _official(
        f"nats-tss-{_name}",
        f"nb201/nats-{_name}",
        NB201,
        TSS,
        lambda path, dataset: read_folder(path, dataset, 200),
        200,
        f"NATS-Bench topology folder on {_name}, every training, 200 epochs",
    )
    _official(
        f"nats_sss-official-{_name}",
        f"nats_sss/nats-{_name}",
        NATSSize,
        SSS,
        lambda path, dataset: read_folder(path, dataset, 90),
        90,
        f"NATS-Bench size folder on {_name}, validation and test, 90 epochs",
        (f"nats-sss-{_name}",),  # one letter beside nats_sss-cifar10, which is another table
    )
    _official(
        f"nb201-official-{_name}",
        f"nb201/official-{_name}",
        NB201,
        NB201_FILE,
        read_file,
        200,
        f"official NAS-Bench-201 file on {_name}, every training, 200 epochs",
    )

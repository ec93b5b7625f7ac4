"""Zero-cost proxies of a space's architectures, each measured once and kept on disk for every later use.

What they are measured on is named like a training: ``DATA+KEY=VALUE+...``, as in ``digits`` or
``cifar10+channels=4+cells=1+batch=32``. All that decides a value beside architecture and proxy (data, network size,
batch, seed) is in the name of its folder, so a file of values never mixes two settings.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import numpy as np

from smemnas.bench.benchmarks.store import data_folder
from smemnas.bench.errors import RunError, UserError, suggest
from smemnas.bench.files import write_json
from smemnas.bench.log import note
from smemnas.bench.registry import PLUGIN_PREFIX
from smemnas.bench.runs.history import LineLog
from smemnas.bench.train import need_torch
from smemnas.bench.train.benchmark import SHAPE
from smemnas.bench.train.images import Images, absolute, open_images
from smemnas.bench.values import read_pairs
from smemnas.bench.workers.local import in_processes
from smemnas.methods.features import Features
from smemnas.spaces.base import FloatArray, IntArray, SearchSpace

FOLDER, VALUES, SETTING = "proxies", "values.jsonl", "setting.json"
#: Settings beside the data, and what they take.
KEYS: dict[str, Any] = {
    "channels": int,
    "cells": int,
    "width": float,
    "size": int,
    "valid_share": float,
    "batch": int,
    "seed": int,
}
#: What decides mnv3's networks beside `SHAPE`: a training's architecture names its resolution.
MORE_SHAPE = ("resolutions",)
#: Architectures measured between two writes, and at a time by one process.
BLOCK = 16
#: Goes up when a formula changes, so that old values are not used.
VERSION = 1

Entry = dict[str, tuple[float, float]]


class ProxyData(NamedTuple):
    """What proxies are measured on.

    Attributes:
        data: Data set, or the path of a folder or tar file of images.
        values: Values of `KEYS` that were given.
    """

    data: str
    values: Mapping[str, Any]

    @staticmethod
    def parse(text: str) -> ProxyData:
        """Read ``DATA+KEY=VALUE+...``.

        Raises:
            UserError: It has another form.
        """
        data, *items = text.split("+")
        data = unquote(data)
        if not data:
            raise UserError(
                f"proxies are measured on DATA+KEY=VALUE+..., like digits or cifar10+batch=32, got {text!r}."
            )
        values = read_pairs("what proxies are measured on", items, KEYS)
        if values.get("seed", 0) < 0:
            raise UserError(f"seed must be 0 or more, got {values['seed']}.")
        return ProxyData(absolute(data), values)

    def __str__(self) -> str:
        return "+".join([quote(self.data, safe=""), *(f"{k}={v}" for k, v in sorted(self.values.items()))])

    def images(self) -> Images:
        """Open the training images."""
        return open_images(self.data, "train", size=self.values.get("size"), valid_share=self.values.get("valid_share"))


class ProxyValues(Features):
    """Proxies of the architectures of one space, larger taken as better.

    Args:
        space: The space; its networks are built in the size that it has, or in the published one.
        names: "all", or names joined by commas.
        data: What they are measured on, see the module.

    Raises:
        UserError: torch is missing, a name is unknown, or the space cannot be built for the data.
        DataError: The data is not there.
    """

    def __init__(self, space: SearchSpace, names: str = "all", data: str = "digits") -> None:
        need_torch()
        from smemnas.bench.train.proxies.formulas import BATCH, PROXIES

        chosen = tuple(dict.fromkeys(part.strip() for part in str(names).split(",") if part.strip()))
        for name in chosen:
            if name not in ("all", *PROXIES):
                raise UserError(f"no zero-cost proxy {name!r}.{suggest(name, ['all', *PROXIES])}")
        if not chosen:
            raise UserError(f"name zero-cost proxies, or all.{suggest(str(names), PROXIES)}")
        self.names = tuple(PROXIES) if "all" in chosen else chosen
        self.data = ProxyData.parse(str(data))
        self._images = self.data.images()
        self._space = network_space(space, self.data, self._images)
        self._normalise = space.normalise
        self._batch = int(self.data.values.get("batch", BATCH))
        self._seed = int(self.data.values.get("seed", 0))
        if self._batch < 2:
            raise UserError(f"proxies compare images: give a batch of at least 2, got {self._batch}.")
        shape = {key: getattr(self._space, key) for key in (*SHAPE, *MORE_SHAPE) if hasattr(self._space, key)}
        self.setting: dict[str, Any] = {
            "network": {"space": self._space.name, **shape},
            "data": self.data.data,
            "sha256": self._images.sha256,
            "size": self._images.size,
            "valid_share": self.data.values.get("valid_share"),
            "batch": self._batch,
            "seed": self._seed,
            "version": VERSION,
        }
        decisive = {key: value for key, value in self.setting.items() if key != "data"}  # a path decides nothing
        self.fingerprint = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]
        self._known: dict[bytes, Entry] = {}
        self._read = 0

    @property
    def text(self) -> str:
        """What a reader must know."""
        network = ", ".join(f"{key} {value}" for key, value in self.setting["network"].items())
        return (
            f"{', '.join(self.names)}: measured on untrained networks ({network}) with one batch of {self._batch} "
            f"training images of {self.data.data}, {self._images.size} pixels, seed {self._seed}"
        )

    @functools.cached_property
    def folder(self) -> Path | None:
        """Where the values are kept; None where nothing can be written, so that they last as long as the process."""
        folder = data_folder() / FOLDER / f"{self._space.name}-{self.fingerprint}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / SETTING).exists():
                write_json(folder / SETTING, self.setting)
        except (OSError, RunError):
            note(
                f"{folder} cannot be written; proxies are kept for this process only. Point SMEMNAS_DATA at a "
                "writable folder to keep them."
            )
            return None
        return folder

    def values(self, X: IntArray) -> FloatArray:
        """Return ``(n, len(names))`` values, measuring what has none yet; -inf or NaN where one is not defined."""
        return self._columns(X, 0)

    def seconds(self, X: IntArray) -> FloatArray:
        """Return ``(n, len(names))`` CPU seconds that measuring took, also where it was done earlier."""
        return self._columns(X, 1)

    def _columns(self, X: IntArray, which: int) -> FloatArray:
        self.measure(X)
        entries = [self._known[x.tobytes()] for x in self._expressed(X)]
        found = np.array([[entry[name][which] for name in self.names] for entry in entries], dtype=np.float64)
        return found.reshape(len(X), len(self.names))

    def _expressed(self, X: IntArray) -> IntArray:
        """Return genotypes with silent genes at their standard value: those have the same network."""
        return np.ascontiguousarray(self._normalise(np.asarray(X, dtype=np.int64)))

    def measure(self, X: IntArray, *, jobs: int = 1, progress: Callable[[int], None] | None = None) -> None:
        """Measure what has no value yet, and keep it.

        Args:
            X: Genotypes ``(n, n_var)``.
            jobs: Processes, one thread each.
            progress: Called with the number of architectures that are done, block by block.

        Raises:
            UserError: A network cannot be built or run.
            RunError: A file of values is corrupt, or the disk is full.
        """
        rows = {x.tobytes(): x for x in self._expressed(X)}
        missing = self._missing(rows)
        if missing and self._read_new():
            missing = self._missing(rows)
        if progress is not None:
            progress(len(rows) - len(missing))
        groups: dict[tuple[str, ...], list[bytes]] = {}
        for key, names in missing.items():
            groups.setdefault(names, []).append(key)
        for names, keys in groups.items():
            blocks = [keys[k : k + BLOCK] for k in range(0, len(keys), BLOCK)]
            for block, found in self._run([np.stack([rows[key] for key in b]) for b in blocks], names, jobs):
                self._keep(block, found)
                if progress is not None:
                    progress(len(block))

    def _missing(self, rows: Mapping[bytes, IntArray]) -> dict[bytes, tuple[str, ...]]:
        """Return what each architecture lacks, where it lacks something."""
        lacks = {k: tuple(n for n in self.names if n not in self._known.get(k, ())) for k in rows}
        return {key: names for key, names in lacks.items() if names}

    def _run(self, blocks: list[IntArray], names: tuple[str, ...], jobs: int) -> Any:
        """Yield each block with its entries, in any order."""
        arguments = self._space, self._images, names, self._seed, self._batch
        if min(jobs, len(blocks)) <= 1 or type(self._space).__module__.startswith(PLUGIN_PREFIX):
            for block in blocks:
                yield block, _entries(block, *arguments)
            return
        tasks = [(block, self._space, self.data, *arguments[2:]) for block in blocks]
        yield from in_processes(_work, tasks, min(jobs, len(blocks)))

    def _keep(self, X: IntArray, entries: Sequence[Entry]) -> None:
        """Take over new values and append them to the file; what another process has written first counts."""
        rows = {x.tobytes(): entry for x, entry in zip(X, entries, strict=True)}
        if self.folder is not None:
            from filelock import FileLock

            with FileLock(self.folder / ".lock"):
                self._read_new()
                new = [
                    _line(np.frombuffer(key, np.int64), entry, self._known.get(key, {})) for key, entry in rows.items()
                ]
                with LineLog(self.folder / VALUES) as log:
                    lines = [line for line in new if line]
                    if lines:
                        log.write(*lines)
                self._read += len(lines)
        for key, entry in rows.items():
            self._known[key] = {**entry, **self._known.get(key, {})}

    def _read_new(self) -> bool:
        """Read what the file holds beyond what is known, and return whether there was something.

        Raises:
            RunError: A line is corrupt.
        """
        if self.folder is None:
            return False
        path = self.folder / VALUES
        lines = LineLog(path).lines[self._read :]
        for number, line in enumerate(lines, start=self._read + 1):
            try:
                row = json.loads(line)
                key = np.array(row["x"], dtype=np.int64).tobytes()
                entry = {str(n): (float(v), float(row["seconds"][n])) for n, v in row["values"].items()}
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(f"{path}, line {number} is corrupt ({error}): remove the file.") from error
            self._known[key] = {**entry, **self._known.get(key, {})}
        self._read += len(lines)
        return bool(lines)


def network_space(space: SearchSpace, data: ProxyData, images: Images) -> SearchSpace:
    """Return the space that builds the networks of a space for some images.

    Raises:
        UserError: It cannot be built, or has no such size.
    """
    from smemnas.bench.train.networks.trainable import TrainableMNV3, TrainableNB101, trainable_space

    given = {key: data.values[key] for key in ("channels", "cells", "width") if key in data.values}
    own: Any = space  # of the attributes that only some spaces have
    if space.name == "nb201":
        size = {key: getattr(space, key) for key in ("channels", "cells") if hasattr(space, key)}
        return trainable_space("nb201", images.n_classes, images.size, **{**size, **given})
    if space.name == "mnv3" and given.keys() <= {"width"}:
        width = given.get("width", own.width)
        return TrainableMNV3(width, own.resolutions, images.n_classes, own.stem_stride, own.strides, own.choices)
    if space.name == "nb101" and not given:
        return TrainableNB101(own.max_vertices, images.n_classes, images.size)
    return trainable_space(space.name, images.n_classes, images.size, **given)


def _entries(
    X: IntArray, space: SearchSpace, images: Images, names: tuple[str, ...], seed: int, batch: int
) -> list[Entry]:
    """Measure architectures; return for each its values and CPU seconds by name."""
    from smemnas.bench.train.proxies.formulas import measure

    found = measure(space, X, images, names=names, seed=seed, batch=batch)
    return [{n: (float(found.values[n][k]), float(found.seconds[n][k])) for n in names} for k in range(len(X))]


def _work(
    X: IntArray, space: SearchSpace, data: ProxyData, names: tuple[str, ...], seed: int, batch: int
) -> tuple[IntArray, list[Entry]]:
    """Measure architectures in a worker process, which opens the images itself."""
    return X, _entries(X, space, data.images(), names, seed, batch)


def _line(x: IntArray, entry: Entry, known: Entry) -> str:
    """Return the line of an architecture's new values, "" where there are none."""
    new = {name: pair for name, pair in entry.items() if name not in known}
    if not new:
        return ""
    values = {name: value if np.isfinite(value) else str(value) for name, (value, _) in new.items()}
    seconds = {name: round(spent, 6) for name, (_, spent) in new.items()}
    return json.dumps({"x": x.tolist(), "values": values, "seconds": seconds}, allow_nan=False)

"""A benchmark that really trains: each architecture is built, trained, and judged by its validation error.

Every training has a folder of its own with curve, weights and result, so an evaluation is done once: asking again
reads the result, and a run that was killed goes on in the middle of a training, from its last epoch. The test
split is opened by `report` only, which judges the same weights.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.objectives import choose_objectives
from smemnas.bench.benchmarks.outcomes import Evaluation
from smemnas.bench.errors import UserError
from smemnas.bench.files import write_json
from smemnas.bench.gates import FILE as GATE_FILE
from smemnas.bench.gates import read_gate
from smemnas.bench.registry import PLUGIN_PREFIX, load_plugin
from smemnas.bench.train import need_torch
from smemnas.bench.train.devices import claimed, find_devices
from smemnas.bench.train.grouped import check_grouped
from smemnas.bench.train.images import Images, note_small, open_images
from smemnas.bench.train.recipes import TrainingRecipe
from smemnas.bench.train.results import RESULT, VALID_ERROR, locked, write_result
from smemnas.bench.workers.backends import TRAININGS
from smemnas.bench.workers.local import in_processes
from smemnas.spaces.base import FloatArray, IntArray, Objective, SearchSpace

FOLDER, TEST, TEST_ERROR = "trained", "test.json", "test_error"
#: Other names of the objectives of networks that are judged here.
ALIASES = MappingProxyType({"error": VALID_ERROR})
#: Fields of a recipe that decide no result, or decide it through the network.
NO_RESULT = ("channels", "cells", "evaluate_every")
#: What of a space decides the network that a genotype builds.
SHAPE = (
    "channels",
    "cells",
    "width",
    "max_vertices",
    "image_size",
    "n_classes",
    "stem_stride",
    "strides",
    "checkpoint_sha256",
)


@dataclass(frozen=True)
class Setting:
    """All that decides a training beside architecture, seed and device.

    Attributes:
        space: Builds the networks.
        data: Data set, see `open_images`.
        recipe: How they are trained.
        size: Side of the images; None keeps theirs.
        valid_share: Share of the training images held out for validation; None is the data set's default.
    """

    space: SearchSpace
    data: str
    recipe: TrainingRecipe
    size: int | None = None
    valid_share: float | None = None

    def images(self, split: str) -> Images:
        """Open one split."""
        return open_images(self.data, split, size=self.size, valid_share=self.valid_share)

    def network(self) -> dict[str, Any]:
        """Return the space's name and what decides the size of its networks."""
        shape = {key: getattr(self.space, key) for key in SHAPE if hasattr(self.space, key)}
        return {"space": self.space.name, **shape}


def judged_objectives(
    space: SearchSpace, dataset: str, wanted: Sequence[str]
) -> tuple[tuple[Objective, ...], tuple[str, ...]]:
    """Return objectives of networks that are judged here, and the names of the same quantities on the test split.

    Args:
        space: Gives the costs.
        dataset: As messages name it.
        wanted: "val_error" ("error" for short) and costs of the space; empty means val_error and the first cost.

    Raises:
        UserError: One is unknown, named twice, or belongs to the test split.
    """
    known = {VALID_ERROR: Objective(VALID_ERROR, "%", False), **{c.name: c for c in space.costs}}
    chosen = choose_objectives(
        f"{space.name}/{dataset}",
        wanted,
        known,
        default=list(known)[:2],
        aliases=ALIASES,
        tested=(TEST_ERROR,),
    )
    return chosen, tuple(TEST_ERROR if o.name == VALID_ERROR else o.name for o in chosen)


class TrainedBenchmark(Benchmark):
    """Architectures trained from scratch.

    Args:
        space: A space whose `build` works; `bench.train.networks.trainable.trainable_space` makes one for some data.
        data: Data set, see `bench.train.images.open_images`.
        recipe: How a network is trained.
        objectives: "val_error" ("error" for short) and costs of the space; empty means val_error and flops.
        size: Side of the images; None keeps theirs.
        valid_share: Share of the training images held out for validation; None is the data set's default.
        dataset: Name for logs and reports.
        device: "auto" (all CUDA devices, else the CPU), "cpu", "cuda" or "cuda:K".
        jobs: Networks trained side by side on the CPU, one thread each; a CUDA device trains one at a time.
        folder: Where trainings are kept; `use_folder` can set it later. None is a temporary folder.
        training_seed: Root of the randomness of every training; None takes the seed of each evaluation, a run's own.
        grouped: Training seeds of a network that are trained at once, as one grouped network, where several are asked
            for (`bench.train.grouped.groups`); None trains each alone.

    Raises:
        UserError: torch is missing, an objective is unknown or repeated, or the space does not fit the data.
        DataError: The data is not there.
    """

    timed = True
    aliases = ALIASES

    def __init__(
        self,
        space: SearchSpace,
        data: str,
        recipe: TrainingRecipe,
        objectives: Sequence[str] = (),
        *,
        size: int | None = None,
        valid_share: float | None = None,
        dataset: str = "trained",
        device: str = "auto",
        jobs: int = 1,
        folder: Path | None = None,
        training_seed: int | None = None,
        grouped: int | None = None,
    ) -> None:
        need_torch()
        self.objectives, self.report_names = judged_objectives(space, dataset, objectives)
        if jobs < 1:
            raise UserError(f"jobs is the number of networks trained side by side, at least 1, got {jobs}.")
        if training_seed is not None and training_seed < 0:
            raise UserError(f"training_seed must be 0 or more, got {training_seed}.")
        if grouped is not None:
            check_grouped(grouped, recipe)
        self.training_seed, self.grouped = training_seed, grouped
        self.setting = Setting(space, data, recipe, size, valid_share)
        training = self.setting.images("train")
        for key, has in (("n_classes", training.n_classes), ("image_size", training.size)):
            if getattr(space, key, has) != has:
                raise UserError(f"{data} has {key} {has}, the space was made for {getattr(space, key)}.")
        self.space = space
        self.dataset = dataset
        self.device = device
        self.jobs = jobs
        self._images = training
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        valid = self.setting.images("valid")
        note_small(valid)
        self._said: tuple[str, ...] = (
            f"{VALID_ERROR} is the error after the last epoch on {len(valid)} images that no network is trained on.",
            f"{TEST_ERROR} is that of the same weights on the test images; it is computed for reports only.",
            f"Recipe {recipe.name}: {recipe.epochs} epochs, batch {recipe.batch}; networks: "
            + ", ".join(f"{key} {value}" for key, value in self.setting.network().items())
            + ".",
        )
        if training_seed is not None:
            self._said += (f"Every network is trained with seed {training_seed}, whatever the seed of the search.",)
        if grouped is not None:
            self._said += (f"Where several seeds of a network are asked for, {grouped} are trained as one network.",)

    @property
    def notes(self) -> tuple[str, ...]:  # type: ignore[override]
        """What a reader must know, with the ratio that the gate of this setting found, where one was run."""
        shared = os.environ.get(TRAININGS)
        root = self._folder or (Path(shared).expanduser() if shared else None)
        file = root / FOLDER / self.fingerprint[:16] / GATE_FILE if root else None
        return (*self._said, read_gate(file).line()) if file and file.exists() else self._said

    def tell(self, note: str) -> None:
        """Add what a reader must know."""
        self._said += (note,)

    def use_folder(self, folder: Path) -> None:
        """Keep trainings below this folder from now on; a run gives its own.

        With a training seed of its own a training is the same in every run, so `SMEMNAS_TRAININGS` goes before.
        """
        shared = os.environ.get(TRAININGS) if self.training_seed is not None else None
        self._folder = Path(shared).expanduser().absolute() if shared else folder

    @property
    def folder(self) -> Path:
        """Where the trainings of this setting are kept."""
        if self._folder is None:
            self._temporary = self._temporary or tempfile.TemporaryDirectory(prefix="smemnas-trained-")
            self._folder = Path(self._temporary.name)
        return self._folder / FOLDER / self.fingerprint[:16]

    @functools.cached_property
    def devices(self) -> tuple[str, ...]:
        """The devices to train on, as torch names them."""
        return find_devices(self.device)

    @property
    def at_once(self) -> int:  # type: ignore[override]
        """Networks that are trained side by side: on the CPU `jobs`, else one per device."""
        return self.jobs if self.devices == ("cpu",) else len(self.devices)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Checksum of all that decides a result beside architecture and seed."""
        return hashlib.sha256(json.dumps(self.provenance(), sort_keys=True).encode()).hexdigest()

    def provenance(self) -> dict[str, Any]:
        """Return data, split, recipe, network and kind of device."""
        recipe = self.setting.recipe
        together = {} if self.grouped is None else {"grouped": self.grouped}  # the same but for rounding: kept apart
        return {
            "data": self.setting.data,
            "sha256": self._images.sha256,
            "size": self._images.size,
            "valid_share": self.setting.valid_share,
            "recipe": {key: value for key, value in asdict(recipe).items() if key not in NO_RESULT},
            "network": self.setting.network(),
            "device": self.devices[0].partition(":")[0],
            **together,
        }

    def evaluate(self, X: IntArray, seed: int) -> Evaluation:
        """Train what has no result yet, in parallel where that was asked for; a diverged training is a failure.

        A fixed training seed replaces `seed`.

        `seconds` are those of the training, also where its result was there already.
        """
        X = np.asarray(X, dtype=np.int64)
        seed = seed if self.training_seed is None else self.training_seed
        places = [self.place(x, seed) for x in X]
        missing = {place: x for place, x in zip(places, X, strict=True) if not (place / RESULT).exists()}
        self._train(list(missing.items()), seed)
        results = [json.loads((place / RESULT).read_bytes()) for place in places]
        errors = [math.nan if r[VALID_ERROR] is None else float(r[VALID_ERROR]) for r in results]
        F = self._with_costs(X, np.array(errors, dtype=np.float64))
        return Evaluation(F, np.array([float(r["seconds"]) for r in results]), tuple(str(r["reason"]) for r in results))

    def report(self, X: IntArray) -> FloatArray:
        """Return test errors of the weights that `evaluate` left; NaN for what it never saw.

        The mean over seeds of evaluations, or the one of the fixed training seed.
        """
        X = np.asarray(X, dtype=np.int64)
        errors = np.full(len(X), math.nan)
        for k, x in enumerate(X):
            fixed = self.training_seed is not None
            places = sorted(self.folder.glob(f"{self._name(x)}-seed{self.training_seed if fixed else '*'}"))
            found = [e for place in places if (e := _test_error(self.setting, place, x, self.devices)) is not None]
            errors[k] = np.mean(found) if found else math.nan
        return self._with_costs(X, errors)

    def _with_costs(self, X: IntArray, errors: FloatArray) -> FloatArray:
        """Return the objectives ``(n, n_obj)`` given the errors ``(n,)``."""
        columns = [self.space.cost(X, o.name) if o.cheap else errors for o in self.objectives]
        return np.stack(columns, axis=1)

    def _name(self, x: IntArray) -> str:
        """Return the name of an architecture's trainings."""
        return hashlib.sha256(self.space.to_str(x).encode()).hexdigest()[:24]

    def place(self, x: IntArray, seed: int) -> Path:
        """Return the folder of one training."""
        return self.folder / f"{self._name(x)}-seed{seed}"

    def _train(self, missing: Sequence[tuple[Path, IntArray]], seed: int) -> None:
        """Train architectures, each in its folder, one per device (on the CPU: `jobs`) at a time."""
        self.side_by_side(run_training, [(x, seed, place) for place, x in missing])

    def side_by_side(self, work: Callable[..., None], calls: Sequence[tuple[Any, ...]]) -> None:
        """Do trainings, one per device (on the CPU: `jobs`) at a time.

        Args:
            work: Importable; called with setting, the elements of a call, devices and the process that waits.
            calls: What is trained.
        """
        workers = min(len(calls), self.at_once)
        if workers <= 1:
            for call in calls:
                work(self.setting, *call, self.devices, None)
            return
        module = sys.modules[type(self.space).__module__]
        plugin = str(module.__file__) if module.__name__.startswith(PLUGIN_PREFIX) else None
        setting = pickle.dumps(self.setting) if plugin else self.setting
        tasks = [(work, setting, plugin, call, self.devices, os.getpid()) for call in calls]
        for _ in in_processes(_work, tasks, workers, end=False):  # each ends after its epoch
            pass


def _work(
    work: Callable[..., None],
    setting: Setting | bytes,
    plugin: str | None,
    call: tuple[Any, ...],
    devices: Sequence[str],
    parent: int,
) -> None:
    """Do one of `side_by_side` in a worker process; a plug-in's space can be unpickled once its file is loaded."""
    if plugin is not None:
        load_plugin(plugin)
    # The bytes were made by the parent process, never read from a file.
    opened: Setting = pickle.loads(setting) if isinstance(setting, bytes) else setting
    work(opened, *call, devices, parent)


def run_training(
    setting: Setting, x: IntArray, seed: int, place: Path, devices: Sequence[str], parent: int | None
) -> None:
    """Train one architecture in its folder and write its result there, unless another process has.

    Args:
        setting: What decides the training.
        x: Genotype ``(n_var,)``.
        seed: Root of its randomness.
        place: Its folder.
        devices: Where it may run; the first one that is free is taken.
        parent: Process that wants the result, None for this one.

    Raises:
        UserError: A device does not exist, or memory or disk is full.
    """
    from smemnas.bench.train import loop

    with locked(place):
        if (place / RESULT).exists():
            return
        training, validation = setting.images("train"), setting.images("valid")
        build = functools.partial(setting.space.build, x, training.n_classes)
        with claimed(devices) as device:
            outcome = loop.train(
                build,
                training,
                validation,
                setting.recipe,
                seed=seed,
                folder=place,
                device=device,
                parent=parent,
            )
        write_result(place, setting.space.to_str(x), seed, outcome)


def _test_error(setting: Setting, place: Path, x: IntArray, devices: Sequence[str]) -> float | None:
    """Return the test error of one training's weights; None if it has no result or failed.

    Raises:
        RunError: The weights are gone or unreadable.
    """
    if not (place / RESULT).exists() or json.loads((place / RESULT).read_bytes())["reason"]:
        return None
    if (place / TEST).exists():
        return float(json.loads((place / TEST).read_bytes())[TEST_ERROR])
    from smemnas.bench.train import loop

    with claimed(devices) as device:
        error = loop.weights_error(
            lambda n_classes: setting.space.build(x, n_classes), place, setting.images("test"), setting.recipe, device
        )
    write_json(place / TEST, {TEST_ERROR: error})
    return error

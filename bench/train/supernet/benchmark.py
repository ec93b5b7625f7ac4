"""Sub-networks of a supernet, judged with the weights they inherit.

What the paper searches with: nothing is trained, only batch norm statistics are measured for each network, and its
accuracy is read on training images that the supernet never saw. With `epochs` a network is fine-tuned before it is
judged, as in MSuNAS (Lu et al., NSGANetV2, ECCV 2020: 5 epochs on CIFAR); so a supernet of ImageNet can serve data
with other classes.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.outcomes import Evaluation
from smemnas.bench.benchmarks.store import data_folder
from smemnas.bench.benchmarks.table import file_digest
from smemnas.bench.errors import DataError, RunError
from smemnas.bench.runs.history import LineLog
from smemnas.bench.train.benchmark import ALIASES, TEST_ERROR, TrainedBenchmark, judged_objectives
from smemnas.bench.train.devices import find_devices, seat
from smemnas.bench.train.images import Images, absolute, open_images
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet
from smemnas.bench.train.networks.mnv3.supernet import Supernet
from smemnas.bench.train.networks.mnv3.to_timm import Resized, build_timm, extract
from smemnas.bench.train.networks.trainable import TrainableMNV3
from smemnas.bench.train.recipes import TrainingRecipe
from smemnas.bench.train.results import VALID_ERROR
from smemnas.bench.train.seen_images import same_classes, trained_on, unseen
from smemnas.bench.train.supernet.batches import calibration, evaluation
from smemnas.bench.train.supernet.evaluation import CHUNK, plan_for, resolutions_of, splits_for
from smemnas.bench.train.supernet.options import SupernetOptions
from smemnas.bench.train.supernet.recalibration import accuracies
from smemnas.spaces.base import FloatArray, IntArray
from smemnas.spaces.mnv3 import MNV3
from smemnas.spaces.mnv3_genes import RESOLUTION_GENE, decode

#: Prepared images up to so many bytes are kept from one evaluation to the next.
RESIDENT = 1 << 30
CACHE = "inherited"


class SupernetBenchmark(Benchmark):
    """Accuracy with inherited weights.

    A network's accuracy depends on the checkpoint, the images and nothing else, whatever was judged before and at
    the same time. It is kept in the data folder, so that every run on the same checkpoint reads it from there.

    Args:
        options: Checkpoint, data and number of images.
        objectives: "val_error" ("error" for short) and costs of the space; empty means val_error and flops.
        device: "auto", "cpu", "cuda" or "cuda:N"; of several GPUs the one with the fewest such benchmarks on it.

    Raises:
        UserError: An objective is unknown or repeated, or the data is not known.
        DataError: The checkpoint or the data cannot be read, or they do not belong together.
    """

    space: MNV3
    aliases = ALIASES

    def __init__(self, options: SupernetOptions, objectives: Sequence[str] = (), *, device: str = "auto") -> None:
        path = options.checkpoint
        self._supernet, content = load_supernet(path)
        sizes, shape = resolutions_of(content), self._supernet.shape
        self.space = MNV3(
            shape.width,
            sizes,
            shape.n_classes,
            stem_stride=shape.stem_stride,
            strides=shape.strides,
            choices=shape.choices,
        )
        self.objectives, self.report_names = judged_objectives(self.space, options.name, objectives)
        self.options = options
        self.dataset = options.name
        name, self._seat = seat(find_devices(device))  # jobs of a study side by side take all GPUs
        self.device = torch.device(name)
        self._plan = plan_for(content, path, options.data or None, sizes[-1])
        trained = content.get("plan", {}).get("data", "")  # as older versions wrote it: a path may be relative
        self._stated = trained if absolute(trained) == self._plan.data else self._plan.data
        self._content = {k: v for k, v in content.items() if k not in ("state_dict", "optimizer")}
        (self._train, self._valid), note = splits_for(
            content, self._plan, ("train", "valid"), shape.n_classes, self.device
        )
        _, tested = trained_on(content, open_images(self._plan.data, "test", size=self._plan.size or None))
        self._sha256 = file_digest(path)
        self._known: dict[tuple[str, str], tuple[float, float]] = {}
        self._read = 0
        n_valid = min(options.images, len(self._valid.images))
        self.notes = (
            f"{VALID_ERROR} is the error with the weights inherited from {path.name}, on {n_valid} training images "
            "that the supernet was not trained on; batch norm statistics are measured for each network.",
            f"{TEST_ERROR} is that of the same weights on the test images; it is computed for reports only.",
            *filter(None, (note, tested)),
        )

    def provenance(self) -> dict[str, Any]:
        """Return checkpoint, data, number of images and kind of device."""
        return {
            "checkpoint_sha256": self._sha256,
            "data": self._stated,
            "sha256": self._train.images.sha256,
            "size": self._train.images.size,
            "images": self.options.images,
            "device": self.device.type,
        }

    def evaluate(self, X: IntArray, seed: int) -> Evaluation:
        """Read validation errors; nothing in them is random, so the seed has no effect.

        `seconds` are those of the reading, also where it was done before.
        """
        X = np.asarray(X, dtype=np.int64)
        found = self._accuracies(X, "valid")
        errors = np.array([100.0 - accuracy for accuracy, _ in found])
        return Evaluation(self._with_costs(X, errors), np.array([s for _, s in found]), ("",) * len(X))

    def report(self, X: IntArray) -> FloatArray:
        """Return errors on the test images with the same weights."""
        X = np.asarray(X, dtype=np.int64)
        return self._with_costs(X, np.array([100.0 - accuracy for accuracy, _ in self._accuracies(X, "test")]))

    def _with_costs(self, X: IntArray, errors: FloatArray) -> FloatArray:
        """Return the objectives ``(n, n_obj)`` given the errors ``(n,)``."""
        return np.stack([self.space.cost(X, o.name) if o.cheap else errors for o in self.objectives], axis=1)

    def _accuracies(self, X: IntArray, split: str) -> list[tuple[float, float]]:
        """Return accuracy (%) and seconds of each network, measuring those that were never measured."""
        names = [self.space.to_str(x) for x in X]
        self._load()
        missing = {name: x for name, x in zip(names, X, strict=True) if (name, split) not in self._known}
        todo = list(missing.items())
        for start in range(0, len(todo), CHUNK):
            part = todo[start : start + CHUNK]
            began = time.perf_counter()
            values = self._measure([x for _, x in part], split)
            seconds = (time.perf_counter() - began) / len(part)
            self._keep(
                [{"arch": n, "split": split, "accuracy": v, "seconds": seconds} for (n, _), v in zip(part, values)]
            )
        return [self._known[name, split] for name in names]

    def _measure(self, X: Sequence[IntArray], split: str) -> list[float]:
        """Measure accuracies (%) of a few networks."""
        candidates = [(decode(x, self.space.options), self.space.resolutions[int(x[RESOLUTION_GENE])]) for x in X]
        return accuracies(self._net, candidates, self._batches(split), self._calibration)

    @functools.cached_property
    def _net(self) -> Supernet:
        """The supernet on its device."""
        return self._supernet.to(self.device, memory_format=torch.channels_last)

    @functools.cached_property
    def _calibration(self) -> list[Tensor]:
        """The images that batch norms are measured on."""
        return calibration(self._plan, self._train)

    def _batches(self, split: str) -> Any:
        """Return the batches of a split, of the validation split those that the options say."""
        if split == "test":
            (pixels,), _ = splits_for(self._content, self._plan, ("test",), self.space.n_classes, self.device)
            return evaluation(self._plan, pixels, len(pixels.images))
        n = min(self.options.images, len(self._valid.images))
        fits = 12 * n * self._valid.images.size**2 <= RESIDENT
        return self._validation if fits else evaluation(self._plan, self._valid, n)

    @functools.cached_property
    def _validation(self) -> list[tuple[Tensor, Tensor]]:
        """The prepared validation batches, where they are few."""
        return list(evaluation(self._plan, self._valid, self.options.images))

    @functools.cached_property
    def _cache(self) -> Path:
        """File of all accuracies; a CPU's sums over other threads may differ in the last bit: their number is in it."""
        threads = {"threads": torch.get_num_threads()} if self.device.type == "cpu" else {}
        key = json.dumps({**self.provenance(), **threads}, sort_keys=True)
        return data_folder() / CACHE / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.jsonl"

    def _load(self) -> None:
        """Read what is new in the cache.

        Raises:
            DataError: A line is corrupt; a torn last one, which a kill leaves, does not count.
        """
        lines = LineLog(self._cache).lines
        for number, line in enumerate(lines[self._read :], start=self._read + 1):
            try:
                row = json.loads(line)
                self._known[str(row["arch"]), str(row["split"])] = float(row["accuracy"]), float(row["seconds"])
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{self._cache}, line {number} is corrupt ({error}): remove the file.") from error
        self._read = len(lines)

    def _keep(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows to the cache.

        Raises:
            RunError: It cannot be written.
        """
        from filelock import FileLock

        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._cache}.lock"), LineLog(self._cache) as log:
                log.write(*(json.dumps(row) for row in rows))
        except OSError as error:
            raise RunError(
                f"cannot write {self._cache}: {error.strerror}. Free space, or set SMEMNAS_DATA to another folder."
            ) from error
        self._known |= {(r["arch"], r["split"]): (r["accuracy"], r["seconds"]) for r in rows}


class InheritedMNV3(TrainableMNV3):
    """Sub-networks of a supernet as networks to train further.

    Args:
        checkpoint: The supernet's file.
        images: What they are trained on; with other classes than the supernet's, the classifier starts with random
            weights.
    """

    def __init__(self, checkpoint: Path, images: Images) -> None:
        supernet, content = opened(checkpoint)
        shape = supernet.shape
        super().__init__(
            shape.width,
            resolutions_of(content),
            images.n_classes,
            shape.stem_stride,
            shape.strides,
            shape.choices,
        )
        self.same_classes = shape.n_classes == images.n_classes and same_classes(content, images)
        self.checkpoint = checkpoint
        self.checkpoint_sha256 = file_digest(checkpoint)

    def build(self, x: IntArray, n_classes: int) -> nn.Module:
        """Return timm's model with inherited weights, behind a layer that resizes its input."""
        supernet, _ = opened(self.checkpoint)
        weights = extract(supernet, x)
        net = build_timm(x, replace(supernet.shape, n_classes=n_classes))
        if not self.same_classes:
            weights |= {key: value for key, value in net.state_dict().items() if key.startswith("classifier.")}
        net.load_state_dict(weights)
        return Resized(self.resolutions[int(x[RESOLUTION_GENE])], net)


def fine_tuned(
    options: SupernetOptions, objectives: Sequence[str], *, device: str = "auto", jobs: int = 1
) -> TrainedBenchmark:
    """Open the benchmark that fine-tunes each network from its inherited weights, then judges it.

    Raises:
        UserError: An objective is unknown, or the data is not known.
        DataError: The checkpoint or the data cannot be read.
    """
    _, content = opened(options.checkpoint)
    plan = plan_for(content, options.checkpoint, options.data or None, resolutions_of(content)[-1])
    splits = [open_images(plan.data, split, size=plan.size or None) for split in ("train", "valid")]
    space = InheritedMNV3(options.checkpoint, splits[0])
    if space.same_classes:
        held, note = unseen(content, splits)
        if not np.array_equal(held[1].index, splits[1].index):
            raise DataError(f"{note} Fine-tuning holds out by number: restore the images, or train the supernet again.")
    recipe = TrainingRecipe(
        "fine-tuning",
        epochs=options.epochs,
        batch=options.batch,
        lr=options.lr,
        weight_decay=4e-5,
        flip=plan.flip,
        crop=plan.crop,
        channels_last=True,
    )
    found = TrainedBenchmark(
        space,
        plan.data,
        recipe,
        objectives,
        size=plan.size or None,
        dataset=options.name,
        device=device,
        jobs=jobs,
    )
    count, tested = trained_on(content, open_images(plan.data, "test", size=plan.size or None))
    if tested and (count or space.same_classes):
        found.tell(tested)
    return found


@functools.lru_cache(maxsize=1)
def opened(checkpoint: Path) -> tuple[Supernet, dict[str, Any]]:
    """Return a supernet, read once per process."""
    return load_supernet(checkpoint)


def open_supernet(
    options: SupernetOptions, objectives: Sequence[str] = (), *, device: str = "auto", jobs: int = 1
) -> Benchmark:
    """Open the benchmark of a supernet's networks.

    Args:
        options: What is judged and how.
        objectives: "val_error" ("error" for short) and costs of the space; empty means val_error and flops.
        device: "auto", "cpu", "cuda" or "cuda:N".
        jobs: Networks fine-tuned side by side on the CPU.

    Raises:
        UserError: An objective is unknown.
        DataError: The checkpoint or the data cannot be read, or they do not belong together.
    """
    if options.epochs:
        return fine_tuned(options, objectives, device=device, jobs=jobs)
    return SupernetBenchmark(options, objectives, device=device)

"""What a final training consists of, put together from a run, a supernet or an architecture's name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from smemnas.bench.benchmarks.catalog import evaluator_of, open_benchmark
from smemnas.bench.benchmarks.latency.benchmark import without_latency
from smemnas.bench.benchmarks.table import file_digest
from smemnas.bench.errors import UserError, choose
from smemnas.bench.runs.folder import JOB
from smemnas.bench.runs.front import FinishedFront, folder_name, pick, read_front
from smemnas.bench.train.images import absolute
from smemnas.bench.train.networks.mnv3.subnet import Shape
from smemnas.bench.train.retrain.preprocessing import resized_side
from smemnas.bench.train.retrain.recipes import RetrainRecipe, find_retrain_recipe
from smemnas.bench.train.retrain.spaces import MNV3, SIZES, checked_name, in_space, read_sizes, space_of
from smemnas.bench.values import whole
from smemnas.spaces.mnv3_choices import name_of, read_name
from smemnas.spaces.mnv3_costs import STEMS

TIMM = "timm:"
#: Stands for the weights that timm itself publishes for a model.
PRETRAINED = "pretrained"
#: Of networks that come with no supernet, as in `supernet train`.
WIDTH, STEM = 0.35, "small"


@dataclass(frozen=True)
class RetrainPlan:
    """All that decides the weights, beside the number of processes and parts of a batch.

    Attributes:
        arch: Name in the space mnv3, with its resolution, ``timm:MODEL``, or ``SPACE:NAME`` in another space.
        resolution: Side of the network's input.
        data: Data set, see `bench.train.images.open_images`.
        size: Side that images are stored at; 0 keeps theirs.
        width: Width multiplier of mnv3, else 0.
        stem_stride: Stride of the stem.
        strides: Stride of the first layer of each stage; empty leaves a timm model its own.
        inherit: Start from the supernet's weights.
        supernet: Its file, for weights and teacher.
        supernet_sha256: Identity of that file.
        supernet_seed: Seed of its training, which chose the images that batch norms are measured on.
        recipe: How to train.
        seed: Root of all randomness.
        all_images: Train on the validation images too.
        weights: What a timm model starts from: "pretrained", or a file; "" is random.
        weights_sha256: Identity of that file.
        teacher: Model of timm that teaches, as ``timm:MODEL``; "" leaves that to the supernet.
        teacher_weights: Its weights: "pretrained", or a file.
        teacher_sha256: Identity of that file.
        origin: Where the architecture comes from: "run" and "pick".
        sizes: Of a network of another space than mnv3: "channels", "cells".
    """

    arch: str
    resolution: int
    data: str
    size: int
    width: float
    stem_stride: int
    strides: tuple[int, ...]
    recipe: RetrainRecipe
    inherit: bool = False
    supernet: Path | None = None
    supernet_sha256: str = ""
    supernet_seed: int = 0
    seed: int = 0
    all_images: bool = False
    weights: str = ""
    weights_sha256: str = ""
    teacher: str = ""
    teacher_weights: str = ""
    teacher_sha256: str = ""
    origin: Mapping[str, str] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def built(self) -> bool:
        """Whether it is a network of another space than mnv3."""
        return space_of(self.arch)[0] != MNV3

    @property
    def timm_model(self) -> str:
        """Name of the timm model, "" for a network of a space."""
        return self.arch.removeprefix(TIMM) if self.arch.startswith(TIMM) else ""

    def shape(self, n_classes: int) -> Shape:
        """Return the shape of a network of mnv3."""
        return Shape(self.width, n_classes, self.stem_stride, self.strides, self.recipe.dropout)

    def to_dict(self) -> dict[str, Any]:
        """Return what decides the weights, as JSON values; where files lie and how the network was found does not."""
        uses_supernet = self.inherit or self.recipe.distill > 0
        recipe = {k: v for k, v in self.recipe.to_dict().items() if k != "name"}
        return {
            "arch": self.arch,
            "resolution": self.resolution,
            "size": self.size,
            "width": self.width,
            "stem_stride": self.stem_stride,
            "strides": list(self.strides),
            "inherit": self.inherit,
            "supernet_sha256": self.supernet_sha256 if uses_supernet else "",
            "seed": self.seed,
            "all_images": self.all_images,
            **self._starts(),
            **({"sizes": dict(self.sizes)} if self.sizes else {}),
            **recipe,
        }

    def _starts(self) -> dict[str, str]:
        """Return what is named of weights from elsewhere; nothing of what is not, as in older folders."""
        sources = (
            ("weights", self.weights, self.weights_sha256),
            ("teacher", self.teacher_weights, self.teacher_sha256),
        )
        found = {key: digest or source for key, source, digest in sources if source}
        return found | ({"teacher_model": self.teacher} if self.teacher else {})


@dataclass(frozen=True)
class Wishes:
    """What a user gives beside the run; None and "" leave it to the run, the supernet or a default.

    Attributes:
        pick: Member of the run's front.
        arch: Name of an architecture instead.
        supernet: Its file.
        data: Data set.
        size: Side that images are stored at.
        resolution: Side of a timm model's input.
        width: Width multiplier.
        stem: Kind of stem.
        strides: Strides of the stages.
        shape: KEY=VALUE, channels and cells of a network of another space than mnv3.
        preset: Name of the recipe.
        changes: KEY=VALUE, changes of the recipe.
        scratch: Start from random weights although there is a supernet.
        seed: Root of all randomness.
        all_images: Train on the validation images too.
        weights: What a timm model starts from: "pretrained", or a file.
        teacher: Model of timm that teaches, as ``timm:MODEL``.
        teacher_weights: Its weights: "pretrained", or a file; "" is "pretrained".
    """

    pick: str = ""
    arch: str = ""
    supernet: Path | None = None
    data: str = ""
    size: int = 0
    resolution: int = 0
    width: float | None = None
    stem: str = ""
    strides: tuple[int, ...] = ()
    shape: tuple[str, ...] = ()
    preset: str = "cifar"
    changes: tuple[str, ...] = ()
    scratch: bool = False
    seed: int = 0
    all_images: bool = False
    weights: str = ""
    teacher: str = ""
    teacher_weights: str = ""


def make_plan(run: Path | None, wishes: Wishes) -> tuple[RetrainPlan, Path]:
    """Return what to train and the folder where it belongs.

    Args:
        run: Folder of a run, or a supernet's file or folder, or None.
        wishes: The rest.

    Raises:
        UserError: Wishes contradict each other or what is there, or something is not said.
        RunError: The run is not there or not finished.
        DataError: The supernet's file cannot be read.
    """
    whole("seed", wishes.seed)
    recipe = find_retrain_recipe(wishes.preset).overridden(wishes.changes)
    if wishes.pick and wishes.arch:
        raise UserError("--pick takes a network from the front, --arch names one: give one of them.")
    if wishes.stem:
        choose("stem", wishes.stem, STEMS)
    front, found = _open_run(run, wishes)
    label = wishes.arch or wishes.pick or "knee"
    arch = wishes.arch or (in_space(front.job.space, front.archs[pick(front, label)]) if front is not None else "")
    if not arch:
        raise UserError(
            "--pick belongs to the folder of a run; without one name a network with --arch, for example "
            "r32-3333-3333-3333-3333-3333, nats_sss:64:64:64:64:64 or timm:mobilenetv3_small_050."
        )
    timm, built = arch.startswith(TIMM), space_of(arch)[0] != MNV3
    arch, resolution, recipe = _checked_network(arch, found, wishes, recipe)
    if not found.data:
        raise UserError("on which images? Name them with --data: cifar10, cifar100, or a folder or tar file of images.")
    recipe = _checked_starts(recipe, wishes, timm=timm)
    if recipe.distill and found.supernet is None and not wishes.teacher:
        raise UserError("distill needs a teacher: name a supernet with --supernet or a --teacher, or --set distill=0.")
    teacher_weights = (wishes.teacher_weights or PRETRAINED) if wishes.teacher else ""
    resolution = resolution or found.resolution
    size = wishes.size or (resized_side(resolution, recipe.crop_pct) if recipe.crop_pct < 1 else found.size)
    if size < 0 or resolution < 0:
        raise UserError(f"--size and --resolution are 0 or more, got {size} and {resolution}.")
    plan = RetrainPlan(
        arch=arch,
        resolution=resolution,
        data=absolute(found.data),
        size=size,
        width=0.0 if timm or built else found.width,
        stem_stride=1 if built else found.stem_stride,
        strides=() if built else wishes.strides if timm else found.strides,
        recipe=recipe,
        inherit=found.supernet is not None and not wishes.scratch and not timm and not built,
        supernet=found.supernet,
        supernet_sha256=file_digest(found.supernet) if found.supernet else "",
        supernet_seed=found.supernet_seed,
        seed=wishes.seed,
        all_images=wishes.all_images,
        weights=_named(wishes.weights),
        weights_sha256=_digest(wishes.weights),
        teacher=wishes.teacher,
        teacher_weights=_named(teacher_weights),
        teacher_sha256=_digest(teacher_weights),
        origin={"run": str(run), "pick": label} if front is not None and not wishes.arch else None,
        sizes=found.sizes if built else {},
    )
    if not timm and not built:
        plan.shape(1)  # checks width and strides
    base = run if front is not None else found.supernet.parent if found.supernet is not None else None
    scratch = "-scratch" if found.supernet is not None and wishes.scratch and not timm else ""
    return plan, Path(base or "runs") / "retrain" / (folder_name(label) + scratch)


def _checked_starts(recipe: RetrainRecipe, wishes: Wishes, *, timm: bool) -> RetrainRecipe:
    """Check what is said of weights from elsewhere; return the recipe, in which a teacher that is named counts.

    Raises:
        UserError: It does not go together.
    """
    if wishes.weights and not timm:
        raise UserError("--weights are those of a timm model (--arch timm:MODEL); a network of a supernet inherits.")
    if wishes.teacher_weights and not wishes.teacher:
        raise UserError("--teacher-weights belong to a --teacher timm:MODEL.")
    if not wishes.teacher:
        return recipe
    if not wishes.teacher.startswith(TIMM):
        raise UserError(f"--teacher takes timm:MODEL, got {wishes.teacher!r}.")
    if any(change.partition("=")[0] == "distill" for change in wishes.changes) and not recipe.distill:
        raise UserError("--teacher and distill=0 contradict each other: leave one out.")
    return recipe if recipe.distill else replace(recipe, distill=1.0)


def _checked_network(arch: str, found: _Found, wishes: Wishes, recipe: RetrainRecipe) -> tuple[str, int, RetrainRecipe]:
    """Return a network's name, its resolution (0: still open), and the recipe without what it has no part for.

    Raises:
        UserError: There is no such network or size, or something is wished for that it does not have.
    """
    space, name = space_of(arch)
    if wishes.shape and space == MNV3:
        raise UserError("--shape gives channels and cells of a network of nb201, nats_sss or macro: leave it out.")
    if arch.startswith(TIMM):
        return arch, wishes.resolution, recipe
    if space == MNV3:
        subnet, side = read_name(arch)
        if wishes.resolution not in (0, side):
            raise UserError(f"--resolution {wishes.resolution} contradicts {arch}: the name gives the resolution.")
        return name_of(subnet, side), side, recipe
    given: dict[str, Any] = {"width": wishes.width, "stem": wishes.stem, "strides": wishes.strides}
    given |= {"supernet": found.supernet, "scratch": wishes.scratch}
    for key, value in given.items():
        if value:
            raise UserError(f"--{key} belongs to networks of {MNV3}, not of {space}: leave it out.")
    named = {change.partition("=")[0] for change in wishes.changes}
    for key in ("dropout", "drop_path"):
        if key in named and getattr(recipe, key):
            raise UserError(f"networks of {space} have no {key}: --set {key}=0, or leave it out.")
    return checked_name(space, name, found.sizes), wishes.resolution, replace(recipe, dropout=0.0, drop_path=0.0)


def _named(source: str) -> str:
    """Return a file's absolute name, and what is none as it is."""
    return source if source in ("", PRETRAINED) else os.path.abspath(os.path.expanduser(source))


def _digest(source: str) -> str:
    """Return the identity of a file of weights, "" where there is none.

    Raises:
        UserError: It is not there.
    """
    if source in ("", PRETRAINED):
        return ""
    file = Path(_named(source))
    if not file.is_file():
        raise UserError(
            f"no file of weights at {source}: give a file, or {PRETRAINED!r} for those that timm publishes."
        )
    return file_digest(file)


@dataclass(frozen=True)
class _Found:
    """What is known about a network's surroundings."""

    supernet: Path | None
    data: str
    size: int
    resolution: int
    width: float
    stem_stride: int
    strides: tuple[int, ...]
    supernet_seed: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)


def _open_run(run: Path | None, wishes: Wishes) -> tuple[FinishedFront | None, _Found]:
    """Return the front, where the run is a search, and what run, supernet and wishes say together.

    Raises:
        UserError: They contradict each other.
        RunError: The run is not there or not finished.
        DataError: The supernet's file cannot be read.
    """
    front, supernet, sizes = None, wishes.supernet, {}
    data, size, width, stem = wishes.data, 0, wishes.width, wishes.stem
    if run is not None and (run.is_file() or ((run / "checkpoint.pt").is_file() and not (run / JOB).exists())):
        if supernet is not None:
            raise UserError(f"{run} is taken as a supernet, and --supernet names another: leave one out.")
        supernet = run / "checkpoint.pt" if run.is_dir() else run
    elif run is not None:
        front = read_front(run)
        dataset = without_latency(front.job.dataset)
        if evaluator_of(dataset) == "supernet":
            from smemnas.bench.train.supernet import options as supernet_options

            judged = supernet_options.parse_name(dataset)
            supernet, data = supernet or judged.checkpoint, data or judged.data
        elif evaluator_of(dataset) == "train":
            from smemnas.bench.train import options

            trained = options.parse_name(dataset)
            size = trained.values.get("size", 0) if not data or absolute(data) == absolute(trained.data) else 0
            data, stem = data or trained.data, stem or trained.values.get("stem", "imagenet")
            width = trained.values.get("width", 1.0) if width is None else width
            if not wishes.arch or space_of(wishes.arch)[0] == front.job.space:  # another space has sizes of its own
                sizes = {key: trained.values[key] for key in SIZES if key in trained.values}
        elif supernet is None and front.job.space == MNV3:
            space: Any = open_benchmark(front.job.space, dataset).space
            width, stem = (space.width if width is None else width), stem or "imagenet"
    if supernet is not None:
        return front, _of_supernet(supernet, wishes, data)
    stem_stride, strides = STEMS[stem or STEM]
    sizes |= read_sizes(wishes.shape)
    width = WIDTH if width is None else width
    return front, _Found(None, data, size, 0, width, stem_stride, wishes.strides or strides, sizes=sizes)


def _of_supernet(path: Path, wishes: Wishes, data: str) -> _Found:
    """Return what a supernet says.

    Raises:
        UserError: It has another width or stem than asked for, or the data is not known.
        DataError: It cannot be read.
    """
    from smemnas.bench.train import need_torch

    need_torch()
    from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet
    from smemnas.bench.train.supernet.evaluation import plan_for, resolutions_of

    supernet, content = load_supernet(path)
    shape, plan = supernet.shape, plan_for(content, path, data or None, 0)
    if wishes.width is not None and abs(wishes.width - shape.width) > 1e-9:
        raise UserError(f"the supernet {path} has width {shape.width:g}, not {wishes.width:g}: leave --width out.")
    stem_stride, strides = STEMS[wishes.stem] if wishes.stem else (shape.stem_stride, shape.strides)
    if not wishes.arch.startswith(TIMM) and (
        (stem_stride, wishes.strides or strides) != (shape.stem_stride, shape.strides)
    ):
        raise UserError(
            f"the supernet {path} has stem stride {shape.stem_stride} and strides {','.join(map(str, shape.strides))}: "
            "leave --stem and --strides out."
        )
    return _Found(
        path, plan.data, plan.size, resolutions_of(content)[-1], shape.width, stem_stride, shape.strides, plan.seed
    )

"""The final trainings of a `fit`: what they are compared with, how long their epochs take, and how many epochs fit."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from smemnas.bench.fit.measure import step_seconds
from smemnas.bench.fit.plan import EXPORT, OPENING, RESERVE, FitPlan, reading
from smemnas.bench.library.retrain import RetrainOptions, retrain

#: Models of timm that a network is compared with; that of the nearest cost is taken.
BASELINES = (
    *("lcnet_035", "lcnet_050", "lcnet_075", "lcnet_100", "lcnet_150"),
    *("mobilenetv3_small_050", "mobilenetv3_small_075", "mobilenetv3_small_100"),
    *("mobilenetv3_large_075", "mobilenetv3_large_100", "mobilenetv2_035", "mobilenetv2_050", "mobilenetv2_100"),
)
#: Seconds of measuring a training at most, and the share of the time that is left that measuring may take.
TRIED, TRIED_SHARE = 12.0, 0.2
#: Share of the time that is left, beside the reserve, that more epochs do not use: so much slower steps may get.
SAFETY = 0.1


def nearest_baseline(madds: float, resolution: int, stem_stride: int, n_classes: int) -> str:
    """Return the model of timm whose multiply-adds are nearest, by their ratio; its classifier is a part of them."""
    import torch

    from smemnas.bench.train.networks.counting import multiply_adds
    from smemnas.bench.train.retrain.networks import build_named

    costs = {}
    for name in BASELINES:
        with torch.random.fork_rng(devices=[]):
            costs[name] = multiply_adds(build_named(name, n_classes, stem_stride), resolution)
    return min(costs, key=lambda name: abs(math.log(costs[name] / madds)))


def network_options(run: Path, pick: str, recipe: Mapping[str, Any]) -> RetrainOptions:
    """Return the training of the network that a search found."""
    return RetrainOptions(run=run, pick=pick, **recipe)


def baseline_options(plan: FitPlan, name: str, resolution: int, recipe: Mapping[str, Any]) -> RetrainOptions:
    """Return the training of a model of timm."""
    of = plan.setting
    return RetrainOptions(arch=f"timm:{name}", data=of.data, stem=of.stem, resolution=resolution, **recipe)


def epoch_seconds(plan: FitPlan, run: Path, pick: str, recipe: Mapping[str, Any], *, baseline: bool) -> float:
    """Return how long an epoch of the network found and one of its baseline take together, measured on a few steps.

    The plan had to assume the largest network, and the machine as it was then.

    Args:
        plan: Sizes.
        run: Folder of the search.
        pick: Of its front.
        recipe: What both trainings share.
        baseline: There is one.
    """
    from smemnas.bench.train.images import open_images
    from smemnas.bench.train.networks.counting import multiply_adds
    from smemnas.bench.train.retrain.networks import build
    from smemnas.bench.train.retrain.plan import Wishes, make_plan

    of, total = plan.setting, 0.0
    with tempfile.TemporaryDirectory() as work:
        shared = {**recipe, "out": Path(work) / "final"}
        trainings = [network_options(run, pick, shared)]
        if baseline:
            found, _ = make_plan(run, Wishes(pick=pick))
            resolution = found.resolution or of.size
            n_classes = of.n_classes or open_images(of.data, "train", size=of.size).n_classes
            madds = multiply_adds(build(found, n_classes, resolution), resolution)
            name = nearest_baseline(madds, resolution, found.stem_stride, of.counted_classes)
            trainings.append(baseline_options(plan, name, resolution, {**shared, "out": Path(work) / "baseline"}))
        for options in trainings:
            began = time.monotonic()
            tried = _tried(options)
            total += of.steps * step_seconds(tried, began, began + TRIED) + reading(of, plan.speeds)
    return total


def _tried(options: RetrainOptions) -> Callable[[Callable[[int, int], None]], object]:
    """Return a training that tells of its steps."""
    return lambda tell: retrain(options, progress=tell)


def epochs_that_fit(plan: FitPlan, left: float, epoch: float) -> int:
    """Return the epochs of both final trainings: as planned, or as many as there is time for.

    More than planned keep the reserve and more: nothing is lost where steps get a little slower again. They are taken
    in large steps, so that what a run does hangs on its plan, and not on the seconds that a kill cost it.

    Args:
        plan: What was planned.
        left: Seconds that are left.
        epoch: Seconds of an epoch of both.
    """
    left -= EXPORT + 2 * OPENING
    fits = max(1, math.floor(left / epoch))
    more = min((1 - SAFETY) * (left - RESERVE * plan.seconds) / epoch, plan.setting.most_epochs)
    doubled = 2 ** math.floor(math.log2(max(1.0, more / plan.final_epochs)))
    half_more = math.floor(1.5 * doubled * plan.final_epochs)
    longer = half_more if half_more <= more else doubled * plan.final_epochs
    return max(min(fits, plan.final_epochs), longer if longer <= more else 1)

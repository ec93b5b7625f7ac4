"""What `fit` needs to know before it plans: how large images should be, and how long a step takes here."""

from __future__ import annotations

import contextlib
import io
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from smemnas.bench.errors import DataError, UserError
from smemnas.bench.fit.plan import (
    BATCH,
    SPARE,
    FitPlan,
    FitSetting,
    Speeds,
    make_fit_plan,
    needed_seconds,
    rounded_up,
    time_text,
)
from smemnas.bench.library.retrain import RetrainOptions, retrain
from smemnas.bench.library.supernet import SupernetTrainOptions, supernet_train

#: Sides that images are stored at, the largest first; from which one on the stem halves them.
SIDES, LARGE = (224, 160, 128, 96, 64, 48, 32, 24, 16), 96
#: Images whose sides are looked at.
LOOKED_AT = 200
#: Epochs of a supernet that are worth smaller images, and the side down to which they are.
WANTED, SMALL = 20, 32
#: Pixels whose time a step takes whatever the images: so much was measured between 16 and 32 pixels.
FIXED = 200
#: Seconds of measuring a kind of step, and steps at least.
SECONDS, STEPS = 4.0, 3
#: Share of all the time that decoding and measuring may take, and the seconds of measuring that are taken in any case,
#: to say how much more time it needs.
MOST, PATIENCE = 0.5, 60.0
#: The largest network of the space.
LARGEST = "76767676-76767676-76767676-76767676-76767676"


class _EnoughError(Exception):
    """Ends a training that was only to be measured."""


def own_side(data: str) -> int:
    """Return the largest of `SIDES` that is no larger than most images of a source.

    Raises:
        UserError: There is nothing of that name.
        DataError: The images cannot be listed or opened.
    """
    from PIL import Image

    from smemnas.bench.train.image_entries import printable
    from smemnas.bench.train.image_files import find_files, list_images

    source = find_files(data)
    if source is None:
        return SIDES[-3]  # the sets that come by name are small
    entries = [entry for entry in list_images(source) if entry.split == "train"]
    found = []
    for entry in entries[:: max(1, len(entries) // LOOKED_AT)]:
        try:
            with open(entry.file, "rb") as stream:
                stream.seek(entry.start)
                content = io.BytesIO(stream.read(entry.length))  # Pillow goes back to where a file begins
            with Image.open(content) as opened:
                found.append(min(opened.size))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"{printable(entry.name)} is no readable image ({reason}): replace or remove it."
            ) from error
    middle = statistics.median(found)
    return next((side for side in SIDES if side <= middle), SIDES[-1])


def class_count(data: str) -> int:
    """Return how many classes a source has, without decoding its images.

    Raises:
        UserError: There is nothing of that name.
        DataError: The images cannot be listed.
    """
    from smemnas.bench.train.image_files import find_files, list_images
    from smemnas.bench.train.images import open_images

    source = find_files(data)
    if source is None:
        return open_images(data, "train").n_classes
    return len({entry.label for entry in list_images(source)})


def resolutions_for(side: int) -> tuple[int, ...]:
    """Return the sides of networks' inputs for images of a side: three quarters of it too, where that is something."""
    smaller = 8 * round(0.75 * side / 8)
    return (smaller, side) if side >= 48 else (side,)


def step_seconds(train: Callable[[Callable[[int, int], None]], object], began: float, until: float = math.inf) -> float:
    """Return how long a step of a training takes.

    Args:
        train: Trains, and calls what it is given with (steps done, all steps).
        began: When it was called; a training that ends at once is measured as a whole.
        until: When it is ended with what was seen by then, which is one step at least: before the first look a
            training is opened.
    """
    marks: list[tuple[float, int]] = []

    def tell(done: int, _: int) -> None:
        marks.append((time.monotonic(), done))
        if len(marks) > 1 and marks[-1][0] - marks[0][0] > SECONDS and marks[-1][1] - marks[0][1] >= STEPS:
            raise _EnoughError
        if len(marks) > 1 and marks[-1][0] > until:
            raise _EnoughError

    with contextlib.suppress(_EnoughError):
        train(tell)
    if len(marks) < 2:
        return (time.monotonic() - began) / max(1, marks[-1][1] if marks else 1)
    return (marks[-1][0] - marks[0][0]) / (marks[-1][1] - marks[0][1])


def measure(setting: FitSetting, *, device: str, threads: int, began: float, seconds: float) -> Speeds:
    """Measure the two kinds of training, in a folder that is thrown away.

    Args:
        setting: Sizes.
        device: As in the stages.
        threads: As in the stages.
        began: When the command began.
        seconds: All the time that there is.
    """
    until = max(began + MOST * seconds, time.monotonic() + PATIENCE)
    with tempfile.TemporaryDirectory() as work:
        sides = setting.resolutions
        training = SupernetTrainOptions(
            data=setting.data,
            size=setting.size,
            width=setting.width,
            stem=setting.stem,
            strides=setting.strides,
            resolutions=sides,
            epochs=3,
            batch=setting.batch,
            lr=setting.lr,
            crop=setting.crop,
            flip=setting.flip,
            device=device,
            threads=threads,
            out=Path(work) / "supernet",
        )
        supernet = step_seconds(lambda tell: supernet_train(training, progress=tell), time.monotonic(), until)
        final = RetrainOptions(
            arch=f"r{sides[-1]}-{LARGEST}",
            data=setting.data,
            size=setting.size,
            width=setting.width,
            stem=setting.stem,
            strides=setting.strides,
            preset="small",
            changes=(f"batch={setting.batch}", f"lr={setting.lr}", "warmup=0", *setting.augmentation),
            epochs=2,
            device=device,
            threads=threads,
            out=Path(work) / "final",
        )
        alone = step_seconds(lambda tell: retrain(final, progress=tell), time.monotonic(), until)
    return Speeds(round(supernet, 5), round(alone, 5), round(time.monotonic() - began, 2))


def check_time(setting: FitSetting, speeds: Speeds, seconds: float, *, decoded: float, free: bool) -> None:
    """Check that decoding and measuring left enough of the time.

    Args:
        setting: Sizes.
        speeds: What was measured.
        seconds: All the time that there is.
        decoded: Seconds until the images were decoded.
        free: Images may be made smaller.

    Raises:
        UserError: They took more than half of it.
    """
    if speeds.spent <= MOST * seconds:
        return
    own = [setting.size] if not free or setting.size <= SMALL else []
    smaller_ones = [side for side in SIDES if side < setting.size and side <= SMALL] if free else []
    assumed = [_assumed_speeds(setting, speeds, side) for side in (*own, *smaller_ones)]
    least = SPARE * min(max(needed_seconds(setting, each), each.spent / MOST) for each in assumed)
    kept = " Decoded images are kept: the same command is quicker now." if decoded > speeds.spent / 2 else ""
    raise UserError(
        f"{time_text(seconds)} are too short: decoding and measuring took {time_text(speeds.spent)}, and half of the "
        f"time is for what comes after; give --hours {rounded_up(least / 3600):g} or more.{kept}"
    )


def setting_for(
    data: str,
    size: int,
    width: float,
    *,
    resolutions: tuple[int, ...] = (),
    stem: str = "",
    strides: tuple[int, ...],
    flip: bool = True,
) -> FitSetting:
    """Return the sizes for some images, and what is done to them in training; opening them decodes them.

    Raises:
        UserError: There are too few images.
        DataError: The images cannot be read.
    """
    from smemnas.bench.train.images import open_images

    train, valid = (open_images(data, split, size=size) for split in ("train", "valid"))
    if len(train) < 16:
        raise UserError(f"{data} has {len(train)} training images: 16 are the fewest that anything is trained on here.")
    batch = BATCH if len(train) >= 4 * BATCH else max(4, len(train) // 8 * 2)
    return FitSetting(
        data,
        train.sha256,
        size,
        resolutions or resolutions_for(size),
        width,
        stem or ("imagenet" if size >= LARGE else "small"),
        strides,
        batch,
        len(train),
        len(valid),
        flip,
        train.n_classes,
    )


def smaller(setting: FitSetting, speeds: Speeds, seconds: float) -> int:
    """Return the side of images at which enough fits into the time; steps take time in proportion to pixels.

    Down to 32 pixels, enough are `WANTED` epochs of a supernet. Smaller images are taken only where the time is too
    short for anything at 32: in the same time a training learns no more from 16 pixels, in more epochs.
    """
    sides = [side for side in SIDES if side <= setting.size] or [setting.size]
    plans = {side: _assumed(setting, speeds, seconds, side) for side in sides}
    for side, plan in plans.items():
        if side >= SMALL and plan is not None and plan.supernet_epochs >= WANTED:
            return side
    return next((side for side, plan in plans.items() if side <= SMALL and plan is not None), sides[-1])


def _assumed(setting: FitSetting, speeds: Speeds, seconds: float, side: int) -> FitPlan | None:
    """Return the plan for images of another side, as far as it can be known; None where the time is too short."""
    assumed = _assumed_speeds(setting, speeds, side)
    try:
        return make_fit_plan(setting, assumed, seconds) if assumed.spent <= MOST * seconds else None
    except UserError:
        return None


def _assumed_speeds(setting: FitSetting, speeds: Speeds, side: int) -> Speeds:
    """Return the speeds for images of another side, as far as they are known: those are decoded and measured anew."""
    if side == setting.size:
        return speeds
    share = (side**2 + FIXED) / (setting.size**2 + FIXED) * (4.0 if setting.size >= LARGE > side else 1.0)
    return Speeds(speeds.supernet_step * share, speeds.final_step * share, 2 * speeds.spent)

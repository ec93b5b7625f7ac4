"""What `fit` does with its time: chosen once from measured speeds, kept in a file, the same after every interruption.

Shares of the time, after a reserve: half for the supernet, a part for the search, the rest for two trainings of equal
length, of the network that was found and of a model of timm of the same cost. Without a supernet the search takes less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from smemnas.bench.errors import UserError
from smemnas.bench.values import duration_text

#: Share of the time that no estimate may use; shares of the rest for the supernet and for the search.
RESERVE, SUPERNET, SEARCH = 0.12, 0.5, 0.15
#: Share of the rest that goes into training candidates where there is no supernet.
SCRATCH = 0.4
#: Epochs of a supernet below which its networks are not worth reading, and steps: networks of six classes and of ten
#: were at chance after 117 and 131 of them, and far from it after 655.
LEAST_SUPERNET, LEAST_STEPS = 5, 400
#: Most epochs of anything, and, of a few images, of which an epoch is short, most steps.
MOST_EPOCHS, MOST_STEPS = 120, 5_000
#: Networks that a search evaluates: fewest, most, and from how many on a surrogate is of use.
FEWEST, MOST, GUIDED = 8, 200, 60
#: Most epochs of a candidate that is trained from scratch, or most steps; what it costs beside the largest network.
CANDIDATE_EPOCHS, CANDIDATE_STEPS, CANDIDATE = 10, 400, 0.6
#: What reading an image costs beside training the largest network on it; .05 to .12 where it was measured, on a CPU.
READ = 0.2
#: Images that a network's statistics are measured on, that a search reads it on, and that a supernet's epoch does.
CALIBRATED, JUDGED, LOOKED_AT = 1_000, 10_000, 2_000
#: Seconds for the export, and for opening what each stage needs.
EXPORT, OPENING = 10.0, 4.0
BATCH, LR = 64, 0.05
#: Hours that are advised, beside what one epoch of everything takes.
SPARE = 1.3
#: Pixels by which training images are shifted at most, and the share of their side that this may be.
CROP, SHIFTED = 4, 1 / 8


@dataclass(frozen=True)
class Speeds:
    """What was measured on a few steps, in seconds.

    Attributes:
        supernet_step: One step of the supernet.
        final_step: One step of the training of the largest network.
        spent: All the time so far: decoding and measuring.
    """

    supernet_step: float
    final_step: float
    spent: float


@dataclass(frozen=True)
class FitSetting:
    """Sizes that all stages share.

    Attributes:
        data: Images.
        data_sha256: Their identity.
        size: Side that images are stored at.
        resolutions: Sides of the networks' inputs.
        width: Width multiplier.
        stem: "small" or "imagenet".
        strides: Of the stages; empty takes the stem's.
        batch: Images of a step.
        n_train: Training images.
        n_valid: Validation images.
        flip: Mirror every second training image.
        n_classes: Classes; 0 in plans of earlier versions.
    """

    data: str
    data_sha256: str
    size: int
    resolutions: tuple[int, ...]
    width: float
    stem: str
    strides: tuple[int, ...]
    batch: int
    n_train: int
    n_valid: int
    flip: bool = True
    n_classes: int = 0

    @property
    def counted_classes(self) -> int:
        """Classes that baselines are compared with; plans of earlier versions go on with the ten that those took."""
        return self.n_classes or 10

    @property
    def crop(self) -> int:
        """Pixels by which training images are shifted at most."""
        return max(1, min(CROP, math.floor(SHIFTED * self.size)))

    @property
    def augmentation(self) -> tuple[str, str]:
        """What is done to training images, as changes of a recipe."""
        return f"crop={self.crop}", f"flip={str(self.flip).lower()}"

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self.n_train // self.batch

    @property
    def most_epochs(self) -> int:
        """Most epochs of a supernet and of a final training."""
        return max(MOST_EPOCHS, math.ceil(MOST_STEPS / self.steps))

    @property
    def lr(self) -> float:
        """Peak learning rate: that of 64 images per step, less for fewer."""
        return LR * min(1.0, self.batch / BATCH)


@dataclass(frozen=True)
class FitPlan:
    """What is done, and how long that is expected to take.

    Attributes:
        setting: Sizes.
        seconds: The time that was given.
        search: "supernet" or "scratch".
        supernet_epochs: Of the supernet; 0 without one.
        method: Of the search.
        budget: Networks that the search evaluates.
        candidate_epochs: Epochs of each, without a supernet.
        final_epochs: Epochs of the network found, and of the baseline.
        estimates: Expected seconds by stage.
        speeds: What that comes from.
    """

    setting: FitSetting
    seconds: float
    search: str
    supernet_epochs: int
    method: str
    budget: int
    candidate_epochs: int
    final_epochs: int
    estimates: Mapping[str, float]
    speeds: Speeds

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> FitPlan:
        """Read what `to_dict` returned.

        Raises:
            TypeError: A field is missing or foreign.
            KeyError: So.
        """
        setting = dict(content["setting"])
        setting |= {key: tuple(setting[key]) for key in ("resolutions", "strides")}
        rest = {**content, "setting": FitSetting(**setting), "speeds": Speeds(**content["speeds"])}
        return cls(**rest)

    def lines(self) -> list[str]:
        """Return the plan as a user reads it."""
        of, found = self.setting, []
        sides = ", ".join(map(str, of.resolutions))
        found.append(
            f"images     {of.n_train:,} to train on, {of.n_valid:,} held out for the search; {of.size} pixels, "
            f"networks see {sides}; width {of.width:g}, {of.stem} stem, {of.batch} images per step"
        )
        what = {
            "measuring": "decoding and measuring, done",
            "supernet": f"supernet, {self.supernet_epochs} epochs",
            "search": f"search by {self.method}, {self.budget} networks"
            + (" with inherited weights" if self.search == "supernet" else f", {self.candidate_epochs} epochs each"),
            "final": f"training of the network found, {self.final_epochs} epochs",
            "export": "export",
            "baseline": f"training of a timm model of the same cost, {self.final_epochs} epochs",
            "reserve": "reserve",
        }
        found += [
            f"{name:10} {duration_text(round(self.estimates[name])):>10}  {what[name]}" for name in self.estimates
        ]
        total = sum(self.estimates.values()) - self.estimates["reserve"]
        found.append(f"together   {duration_text(round(total)):>10}  of {duration_text(round(self.seconds))}")
        return found


def make_fit_plan(setting: FitSetting, speeds: Speeds, seconds: float, search: str = "auto") -> FitPlan:
    """Share out the time.

    Args:
        setting: Sizes.
        speeds: What was measured.
        seconds: All the time there is, from the start of the command on.
        search: "supernet", "scratch", or "auto": a supernet where enough of its epochs fit.

    Raises:
        UserError: The time is too short for anything.
    """
    left = seconds * (1 - RESERVE) - speeds.spent - EXPORT - 4 * OPENING
    final = final_epoch(setting, speeds)
    evaluation = _evaluation(setting, speeds, JUDGED)
    supernet = _supernet_epoch(setting, speeds)
    supernet_epochs, candidate_epochs = min(setting.most_epochs, math.floor(SUPERNET * left / supernet)), 0
    if search == "auto":
        least = max(LEAST_SUPERNET, math.ceil(LEAST_STEPS / setting.steps))
        search = "supernet" if supernet_epochs >= least else "scratch"
    supernet_epochs = max(1, supernet_epochs)
    if search == "scratch":
        supernet_epochs, supernet = 0, 0.0
        most = max(CANDIDATE_EPOCHS, math.ceil(CANDIDATE_STEPS / setting.steps))
        candidate_epochs = _between(1, SCRATCH * left / (2 * FEWEST * CANDIDATE * final), most)
        evaluation = _trained(candidate_epochs * final)
    budget = _between(FEWEST, (SCRATCH if search == "scratch" else SEARCH) * left / evaluation, MOST)
    rest = left - supernet_epochs * supernet - budget * evaluation
    final_epochs = _between(1, rest / (2 * final), setting.most_epochs)
    if rest < 2 * final:
        needed = needed_seconds(setting, speeds, search)
        raise UserError(
            f"{time_text(seconds)} are too short: one epoch of everything takes about {time_text(needed)} here; give "
            f"--hours {rounded_up(SPARE * needed / 3600):g} or more, a smaller --size, or fewer images."
        )
    estimates = {
        "measuring": speeds.spent,
        **({"supernet": OPENING + supernet_epochs * supernet} if supernet_epochs else {}),
        "search": OPENING + budget * evaluation,
        "final": OPENING + final_epochs * final,
        "export": EXPORT,
        "baseline": OPENING + final_epochs * final,
    }
    estimates["reserve"] = seconds - sum(estimates.values())
    method = "smemnas/adaptive" if budget >= GUIDED else "random"
    return FitPlan(
        setting,
        seconds,
        search,
        supernet_epochs,
        method,
        budget,
        candidate_epochs,
        final_epochs,
        {name: round(value, 2) for name, value in estimates.items()},
        speeds,
    )


def needed_seconds(setting: FitSetting, speeds: Speeds, search: str = "auto") -> float:
    """Return how long one epoch of everything takes, with what was measured; `SPARE` times that is enough."""
    final, fixed = final_epoch(setting, speeds), speeds.spent + EXPORT + 4 * OPENING
    if search == "supernet":
        return fixed + 2 * final + FEWEST * _evaluation(setting, speeds, JUDGED) + _supernet_epoch(setting, speeds)
    return fixed + 2 * final + FEWEST * _trained(final)


def rounded_up(value: float) -> float:
    """Return a number of three digits that is not below another."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.ceil(value / step * (1 + 1e-9)) * step:.3g}")


def time_text(seconds: float) -> str:
    """Return a duration; below ten seconds with two digits."""
    return duration_text(round(seconds) if seconds >= 10 else float(f"{seconds:.2g}"))


def final_epoch(setting: FitSetting, speeds: Speeds) -> float:
    """Return the seconds of an epoch of the largest network, and of reading it."""
    return setting.steps * speeds.final_step + reading(setting, speeds)


def reading(setting: FitSetting, speeds: Speeds) -> float:
    """Return the seconds that a final training reads images for after an epoch; it reads the test split at its end."""
    return 2.5 * READ * speeds.final_step / setting.batch * min(setting.n_valid, JUDGED)


def _supernet_epoch(setting: FitSetting, speeds: Speeds) -> float:
    """Return the seconds of an epoch of the supernet, with the networks that it reads."""
    return setting.steps * speeds.supernet_step + 6 * 1.5 * _evaluation(setting, speeds, LOOKED_AT)


def _trained(seconds: float) -> float:
    """Return the seconds of a candidate, given those of the largest network."""
    return CANDIDATE * seconds + 0.3


def _evaluation(setting: FitSetting, speeds: Speeds, images: int) -> float:
    """Return the seconds of measuring a network's statistics and reading it on so many validation images."""
    read = min(setting.n_train, CALIBRATED) + min(setting.n_valid, images)
    return 0.15 + READ * speeds.final_step / setting.batch * read


def _between(low: int, value: float, high: int) -> int:
    """Return a number rounded down, within bounds."""
    return max(low, min(high, math.floor(value)))

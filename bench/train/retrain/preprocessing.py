"""What happens to an image between its file and a network's input: the very steps that accuracies were read with.

Images are stored at one side, resized bilinearly (`bench.train.image_decoding`); what is stored is resized once more
where a network takes another side, or sees less than all of it (`bench.train.retrain.images.evaluation_transform`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

#: Where a crop cannot be in the middle: half a pixel goes down as in storing, or to the even number as in timm.
DOWN, EVEN = "down", "even"
#: How images are resized when they are stored.
STORING = "bilinear"


class Step(NamedTuple):
    """The shorter side of an image is resized, then the centre cropped to a square.

    Attributes:
        shorter: What the shorter side becomes.
        interpolation: How it is resized.
        side: Of the square.
        half: `DOWN` or `EVEN`.
    """

    shorter: int
    interpolation: str
    side: int
    half: str


def resized_side(resolution: int, crop_pct: float) -> int:
    """Return what evaluation resizes the shorter side to, as timm counts it."""
    return math.floor(resolution / crop_pct)


def steps_of(stored: int, resolution: int, interpolation: str, crop_pct: float = 1.0) -> tuple[Step, ...]:
    """Return the steps from a file to the input.

    Args:
        stored: Side of the stored images; 0 if it is not known.
        resolution: Side of the input.
        interpolation: How stored images are resized.
        crop_pct: Share of the resized side that is seen.
    """
    last = Step(resized_side(resolution, crop_pct), interpolation, resolution, EVEN)
    if not stored:
        return (last,)
    first = Step(stored, STORING, stored, DOWN)
    return (first,) if last.shorter == last.side == stored else (first, last)


def as_one(steps: Sequence[Step]) -> dict[str, Any]:
    """Return what comes nearest to the steps where only one resizing can be stated, as by timm's `crop_pct`."""
    last = steps[-1]
    interpolation = steps[0].interpolation if last.shorter == steps[0].side else last.interpolation
    share = last.side / last.shorter
    while resized_side(last.side, share) != last.shorter:  # else the reader of the share gets a pixel less
        share = math.nextafter(share, 0)
    return {"resized": last.shorter, "interpolation": interpolation, "crop_pct": share}


def in_words(steps: Sequence[Step]) -> str:
    """Return the steps as the card says them."""
    words, stored = [], 0
    for step in steps:
        resized = "" if step.shorter == stored else f"resized to {step.shorter} pixels ({step.interpolation}), "
        words.append(f"{resized}centre crop {step.side}")
        stored = step.side
    return "; then ".join(words)

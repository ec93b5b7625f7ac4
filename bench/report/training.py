"""Lines about trainings, as they go and in the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: What a supernet's training reads after every epoch.
READ = ("largest", "smallest", "random")


def epoch_line(row: Mapping[str, Any]) -> str:
    """Return an epoch of a final training as a line; epoch 0 describes the start."""
    read = [
        f"{label} {row[key]:.2f} %"
        for key, label in (("valid_top1", "validation"), ("valid_top1_ema", "moving average"))
        if key in row
    ]
    if row["epoch"] == 0:
        return f"start: {', '.join([*read, ''])}classifier {row['classifier']}"
    return (
        f"epoch {row['epoch']}/{row['epochs']}: loss {row['loss']:.4f}, lr {row['lr']:.3g}; "
        f"{', '.join([*read, ''])}{row['seconds']:.0f} s"
    )


def supernet_epoch_line(row: Mapping[str, Any]) -> str:
    """Return an epoch of a supernet's training as a line."""
    read = ", ".join(f"{key} {row[key]:.2f} %" for key in READ)
    plain = ", ".join(f"{row[f'{key}_plain']:.2f}" for key in READ)
    return (
        f"epoch {row['epoch']}/{row['epochs']} ({row['phase']}): loss {row['loss']:.4f}; {read} "
        f"(without recalibration {plain}); {row['seconds']:.0f} s"
    )


def retraining_lines(result: Mapping[str, Any], folder: Path) -> list[str]:
    """Return what came out of a final training, line by line."""
    valid = "" if result["valid_top1"] is None else f"; validation {result['valid_top1']:.2f} %"
    return [
        f"{result['arch']}: {result['params'] / 1e6:.3f} M parameters, {result['madds'] / 1e6:.3f} M MAdds",
        f"test         top-1 {result['top1']:.2f} %, top-5 {result['top5']:.2f} % on {result['test_images']:,} images "
        f"({result['weights']}){valid}",
        f"training     {result['recipe']['epochs']} epochs ({result['recipe']['name']}) from {result['start']}, "
        f"{result['seconds']:.0f} s",
        f"files        {folder}: result.json, weights.pt, metrics.jsonl; `export {folder}` gives the network away",
    ]

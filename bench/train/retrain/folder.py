"""The folder of a final training: what is in it, and whose it is. No torch in here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smemnas.bench.callbacks import FOLDER, summary_writer
from smemnas.bench.errors import RunError

CHECKPOINT, WEIGHTS, METRICS, RESULT = "checkpoint.pt", "weights.pt", "metrics.jsonl", "result.json"
FORMAT = "smemnas-retraining"
Row = dict[str, Any]


def read_result(folder: Path) -> Row:
    """Read `result.json` of a finished training.

    Raises:
        RunError: The training is not there, not finished, or the file is corrupt.
    """
    file = folder / RESULT
    if not file.exists():
        if (folder / CHECKPOINT).exists():
            raise RunError(f"the training in {folder} is not finished: give its command again, which goes on.")
        raise RunError(f"{folder} holds no {RESULT} of a final training: give the folder that `retrain` wrote.")
    try:
        result = dict(json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{file} is corrupt ({error}): remove it, and the same command makes it again.") from error
    if result.get("format") != FORMAT:
        raise RunError(f"{file} is no result of a final training.")
    return result


def epochs_of(result: Mapping[str, Any]) -> int:
    """Return the epochs that a final training had, fewer than planned where it was ended early."""
    return int(result.get("stopped_after", result["recipe"]["epochs"]))


def finished(out: Path, identity: dict[str, Any]) -> Row | None:
    """Return the result of a finished training, None where there is none.

    Raises:
        RunError: It is that of another training, or unreadable.
    """
    if not (out / RESULT).exists():
        return None
    result = read_result(out)
    check_same(out, result, identity)
    return result


def check_same(out: Path, found: dict[str, Any], identity: dict[str, Any]) -> None:
    """Check that a folder belongs to a training.

    Raises:
        RunError: It does not.
    """
    if found.get("format") != FORMAT or not isinstance(found.get("plan"), dict):
        raise RunError(f"{out} holds something else than a final training: choose another --out.")
    its, wanted = found["plan"], identity["plan"]
    differing = [f"{k} {its.get(k)!r}, not {wanted.get(k)!r}" for k in {**wanted, **its} if its.get(k) != wanted.get(k)]
    if differing:
        raise RunError(
            f"{out} holds a training with {'; '.join(differing[:3])}: choose another --out, or give the same options "
            "to continue."
        )
    if found.get("data_sha256") != identity["data_sha256"]:
        raise RunError(f"{out} was trained on other images: choose another --out.")


def tensorboard(out: Path) -> Any:
    """Return a writer of TensorBoard's files.

    Raises:
        UserError: The package is missing.
    """
    return summary_writer()(str(out / FOLDER))

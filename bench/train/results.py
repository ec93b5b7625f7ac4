"""The folder of one training: held while it is trained, and the result in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smemnas.bench.errors import RunError
from smemnas.bench.files import write_json

if TYPE_CHECKING:
    from smemnas.bench.train.loop import TrainingOutcome

RESULT, VALID_ERROR = "result.json", "val_error"


@contextlib.contextmanager
def locked(place: Path) -> Iterator[None]:
    """Make the folder of a training and hold it.

    Raises:
        RunError: It cannot be written.
    """
    from filelock import FileLock

    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / ".lock")
        lock.acquire()
    except OSError as error:
        raise RunError(f"cannot write to {place}: {error.strerror}. Choose another folder with --out.") from error
    try:
        yield
    finally:
        lock.release()


def write_result(
    place: Path, arch: str, seed: int, outcome: TrainingOutcome, grouped: Sequence[int] | None = None
) -> None:
    """Write the result of a training into its folder, with the seeds that were trained together with it, if any were.

    Raises:
        RunError: It cannot be written.
    """
    result = {"arch": arch, "seed": seed, "epochs": outcome.epochs, "seconds": round(outcome.seconds, 3)}
    result |= {VALID_ERROR: None if outcome.reason else outcome.valid_error, "reason": outcome.reason}
    write_json(place / RESULT, result if grouped is None else result | {"grouped": list(grouped)})

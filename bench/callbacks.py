"""What is told while something is searched or trained: one interface, through which TensorBoard and others attach.

`run`, `supernet_train` and `retrain` of the library take callbacks. A callback is any object with three methods:

    class Best:
        def begin(self, kind, folder):
            self.error = 100.0

        def step(self, step, values):
            self.error = min(self.error, values.get("error", 100.0))

        def end(self):
            pass

It only looks: what it is told is what the files of the folder say, and what it raises ends the search or the training,
which the same call continues.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from smemnas.bench.errors import UserError

#: What `begin` is told of.
SEARCH, SUPERNET, TRAINING = "search", "supernet", "training"
#: Folder of TensorBoard's files below that of the search or training.
FOLDER = "tensorboard"


class Callback(Protocol):
    """Looks on while something is searched or trained."""

    def begin(self, kind: str, folder: Path) -> None:
        """Hear what begins or goes on: "search", "supernet" or "training", and its folder."""

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Hear of an evaluation (its number from 0, its objectives) or an epoch (its number, its metrics).

        Of a search or training that goes on, what was told before is not told again.
        """

    def end(self) -> None:
        """Hear that it is over, also by an error."""


Step = Callable[[int, Mapping[str, Any]], None]


@contextmanager
def attached(callbacks: Sequence[Callback], kind: str, folder: Path) -> Iterator[Step]:
    """Tell callbacks that something begins and ends; yields what tells them of a step: its finite numbers."""
    with ExitStack() as stack:
        for callback in callbacks:
            callback.begin(kind, folder)
            stack.callback(callback.end)

        def step(number: int, values: Mapping[str, Any]) -> None:
            numbers = {
                key: float(value)
                for key, value in values.items()
                if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            }
            for callback in callbacks:
                callback.step(number, numbers)

        yield step


class TensorBoard:
    """Writes what it is told as scalars of TensorBoard, below the folder of the search or training."""

    def __init__(self) -> None:
        self._writer: Any = None
        self._open: Callable[[int], Any] | None = None

    def begin(self, kind: str, folder: Path) -> None:
        """Find TensorBoard; its files are made with the first step.

        Raises:
            UserError: The package is missing.
        """
        writer = summary_writer()
        self._open = lambda step: writer(str(folder / FOLDER), purge_step=step)

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Write the values of a step."""
        if self._writer is None and self._open is not None:
            self._writer = self._open(step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self) -> None:
        """Close the files."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def summary_writer() -> Any:
    """Return TensorBoard's writer, as PyTorch has it.

    Raises:
        UserError: A package is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "--tensorboard needs the package tensorboard: pip install tensorboard, or leave it out."
        ) from error
    return SummaryWriter


def with_tensorboard(callbacks: Sequence[Callback], wanted: bool) -> tuple[Callback, ...]:
    """Return callbacks, with TensorBoard among them where it is wanted."""
    return (*callbacks, TensorBoard()) if wanted else tuple(callbacks)

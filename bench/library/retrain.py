"""A final training: a network that a search found, as the command `retrain` trains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from smemnas.bench.callbacks import TRAINING, Callback, attached
from smemnas.bench.display import html_table
from smemnas.bench.log import logger
from smemnas.bench.report.terminal import Shown, shown_progress
from smemnas.bench.report.training import epoch_line
from smemnas.bench.runs.clock import Ends
from smemnas.bench.values import whole, whole_numbers

#: Called with an epoch's row of `metrics.jsonl`, and "epochs", how many there are.
OnEpoch = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class RetrainOptions:
    """A final training.

    Attributes:
        run: Folder of a search, or a supernet's checkpoint, or None; then `arch` names the network.
        pick: Of the search's front: "knee", "best", a row ("1", "2", ...), or like "flops<=400"; "" takes the knee.
        arch: Instead of `pick`: r32-3334-7673-..., timm:MODEL, or of another space SPACE:NAME, like
            "nats_sss:64:64:64:64:64".
        supernet: Its file; None takes the run's.
        data: Data set; "" takes the run's or the supernet's.
        preset: "cifar", "imagenet" or "small".
        changes: Items "KEY=VALUE", fields of the preset.
        epochs: Short for the change "epochs=N".
        width: Width multiplier; None takes the run's or the supernet's, else 0.35.
        stem: "small" (stride 1) or "imagenet"; "" takes the supernet's, else "small".
        strides: Strides of the stages; none takes the supernet's, or a timm model's own.
        shape: Items "KEY=VALUE", channels and cells of a network of another space than mnv3; none takes the run's, or
            the published ones.
        scratch: Start from random weights although there is a supernet.
        size: Side that images are stored at; 0 keeps theirs.
        resolution: Input of a timm model; 0 takes the supernet's largest, or the images'.
        all_images: Train on the validation images too.
        weights: What a timm model starts from: "pretrained" (timm's own) or a file of a state_dict; "" is random.
        teacher: Model of timm that teaches, as "timm:MODEL".
        teacher_weights: Its weights, a file; "" takes timm's own.
        seed: Root of all randomness.
        accumulate: Parts of a batch, where memory is short.
        workers: Processes that load images; None takes none on a CPU, four with a GPU.
        threads: CPU threads; 0 takes torch's own number.
        device: "auto", "cpu", "cuda" or "cuda:N".
        tensorboard: Write TensorBoard's files too.
        out: Folder of the training; None takes "retrain/PICK" in the run's.
    """

    run: str | Path | None = None
    pick: str = ""
    arch: str = ""
    supernet: str | Path | None = None
    data: str = ""
    preset: str = "cifar"
    changes: Sequence[str] = ()
    epochs: int | None = None
    width: float | None = None
    stem: str = ""
    strides: Sequence[int] | str = ()
    shape: Sequence[str] = ()
    scratch: bool = False
    size: int = 0
    resolution: int = 0
    all_images: bool = False
    weights: str = ""
    teacher: str = ""
    teacher_weights: str = ""
    seed: int = 0
    accumulate: int = 1
    workers: int | None = None
    threads: int = 0
    device: str = "auto"
    tensorboard: bool = False
    out: str | Path | None = None


@dataclass(frozen=True, repr=False)
class Retraining:
    """A finished final training.

    Attributes:
        folder: Where its weights and `result.json` are; `export` takes it.
        result: The content of `result.json`.
    """

    folder: Path
    result: Mapping[str, Any]

    @property
    def arch(self) -> str:
        """Name of the network."""
        return str(self.result["arch"])

    @property
    def top1(self) -> float:
        """Accuracy on the test split (%)."""
        return float(self.result["top1"])

    @property
    def top5(self) -> float:
        """Share of test images whose class is among the first five answers (%)."""
        return float(self.result["top5"])

    def __repr__(self) -> str:
        return f"<Retraining of {self.arch}: test top-1 {self.top1:.2f} %, in {self.folder}>"

    def _repr_html_(self) -> str:
        result = self.result
        head = ("test top-1 (%)", "test top-5 (%)", "parameters (M)", "MAdds (M)", "epochs", "start")
        epochs = result.get("stopped_after", result["recipe"]["epochs"])
        costs = (f"{result[key] / 1e6:.3f}" for key in ("params", "madds"))
        notes = [f"in {self.folder}", *filter(None, (result.get("note"),))]
        row = (f"{self.top1:.2f}", f"{self.top5:.2f}", *costs, epochs, result["start"])
        return html_table(head, [row], title=f"Retraining of {self.arch}", notes=notes)


def retrain(
    options: RetrainOptions,
    *,
    progress: Shown = False,
    on_epoch: OnEpoch | None = None,
    ends: Ends | None = None,
    callbacks: Sequence[Callback] = (),
) -> Retraining:
    """Train a network to the end and read it on the test split once, as the command `retrain` does.

    A training that was killed continues after its last finished epoch when it is called again; a finished one returns
    at once.

    Args:
        options: What to train, and where.
        progress: Show a bar on a terminal or in a notebook, or call this with (updates done, all updates).
        on_epoch: Called after each epoch with its row of `metrics.jsonl`, and "epochs", how many there are.
        ends: Asked before each epoch, with the epochs so far; True ends the training with the weights as they are.
        callbacks: Told of each new epoch, see `smemnas.bench.callbacks`.

    Raises:
        UserError: Options contradict each other or what is there, or PyTorch (the extra 'train') is missing.
        DataError: The images or the supernet cannot be read.
        RunError: The run is not finished, the loss is no number, memory ran out, or the folder cannot be used.
    """
    from smemnas.bench.train import need_torch
    from smemnas.bench.train.retrain.plan import Wishes, make_plan

    run, supernet, out = (
        None if p is None else Path(p).expanduser() for p in (options.run, options.supernet, options.out)
    )
    epochs = () if options.epochs is None else (f"epochs={whole('--epochs', options.epochs, 1)}",)
    wishes = {field.name: getattr(options, field.name) for field in fields(Wishes)}
    strides = whole_numbers("--strides", options.strides)
    wishes |= {"changes": (*options.changes, *epochs), "strides": strides, "supernet": supernet}
    wishes["shape"] = tuple(options.shape)
    plan, folder = make_plan(run, Wishes(**wishes))
    need_torch()
    from smemnas.bench.train.devices import cpu_threads, cuda_devices
    from smemnas.bench.train.retrain import loop
    from smemnas.bench.train.retrain.state import Machine

    workers = options.workers
    if workers is None:
        workers = 4 if cuda_devices() and options.device != "cpu" else 0
    accumulate = whole("--accumulate", options.accumulate, 1)
    machine = Machine(options.device, accumulate, whole("--workers", workers), options.tensorboard)

    def report(row: Mapping[str, Any]) -> None:
        told = {**row, "epochs": plan.recipe.epochs}
        logger.info("%s", epoch_line(told))
        if on_epoch is not None:
            on_epoch(told)
        step(int(row["epoch"]), row)

    folder = folder if out is None else out
    with (
        cpu_threads(options.threads),
        shown_progress(f"{plan.arch} on {plan.data}", progress) as tell,
        attached(callbacks, TRAINING, folder) as step,
    ):
        found = Retraining(folder, loop.retrain(plan, folder, machine, report=report, progress=tell, ends=ends))
    logger.info("%r", found)
    return found

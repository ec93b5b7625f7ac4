"""A supernet: trained, and its networks read, as the commands `supernet train` and `supernet eval` do it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from smemnas.bench.callbacks import SUPERNET, Callback, attached, with_tensorboard
from smemnas.bench.display import counted, html_table
from smemnas.bench.errors import UserError
from smemnas.bench.files import write_text
from smemnas.bench.library.retrain import OnEpoch
from smemnas.bench.log import logger
from smemnas.bench.outputs import check_output, has_columns
from smemnas.bench.report.terminal import Shown, shown_progress
from smemnas.bench.report.training import READ, supernet_epoch_line
from smemnas.bench.values import several, whole, whole_numbers

if TYPE_CHECKING:
    import pandas as pd

#: Folder of a supernet's training where none is named.
FOLDER = Path("runs/supernet")


@dataclass(frozen=True)
class SupernetTrainOptions:
    """A supernet's training.

    Attributes:
        data: "digits", "cifar10", "cifar100", or a folder or tar file of images.
        size: Side that images are stored at; 0 keeps theirs.
        width: Width multiplier.
        stem: "small" (stride 1) or "imagenet" (stride 2).
        choices: What its networks may be: "ofa", as published, or "wide", for small images: stages of 1 to 4 layers and
            50, 75 or 100 % of their channels, expansions 1 to 6.
        strides: Strides of the stages; none takes the stem's.
        resolutions: Input sides, one drawn per step; none takes the images'.
        epochs: Passes over the training images.
        phases: What is elastic, phase by phase: "largest", "kernel", "depth-3", "depth-2", "expansion-4", "all";
            "progressive" takes all six. They share the epochs evenly.
        batch: Images per step, over all processes.
        lr: Learning rate; falls to 0 along a cosine.
        warmup: Epochs of linear warm-up.
        weight_decay: For convolutions and the classifier.
        smoothing: Label smoothing.
        clip: Largest gradient norm; 0 does not clip.
        dropout: Dropped share of the classifier's input.
        n_random: Random sub-networks per step.
        crop: Pixels by which training images are shifted.
        rrc: Smallest share of random resized crops instead of `crop`; 0 is none.
        flip: Mirror every second training image.
        seed: Root of all randomness.
        amp: Compute in bfloat16.
        deterministic: Only operations whose result never varies.
        accumulate: Parts of a batch, where memory is short.
        threads: CPU threads; 0 takes torch's own number.
        device: "auto", "cpu", "cuda" or "cuda:N".
        out: Folder of the training.
        tensorboard: Write TensorBoard's files too.
    """

    data: str
    size: int = 0
    width: float = 0.35
    stem: str = "small"
    choices: str = "ofa"
    strides: Sequence[int] | str = ()
    resolutions: Sequence[int] | str = ()
    epochs: int = 15
    phases: Sequence[str] = ("all",)
    batch: int = 128
    lr: float = 0.1
    warmup: float = 0.0
    weight_decay: float = 3e-5
    smoothing: float = 0.1
    clip: float = 0.0
    dropout: float = 0.0
    n_random: int = 2
    crop: int = 4
    rrc: float = 0.0
    flip: bool = True
    seed: int = 0
    amp: bool = False
    deterministic: bool = False
    accumulate: int = 1
    threads: int = 0
    device: str = "auto"
    out: str | Path = FOLDER
    tensorboard: bool = False


@dataclass(frozen=True, repr=False)
class SupernetTraining:
    """A finished training of a supernet.

    Attributes:
        folder: Where its checkpoint and `metrics.jsonl` are.
        rows: The rows of `metrics.jsonl`, one per epoch.
    """

    folder: Path
    rows: Sequence[Mapping[str, Any]]

    @property
    def checkpoint(self) -> Path:
        """Its file, which `RunOptions.checkpoint` and `supernet_eval` take."""
        return self.folder / "checkpoint.pt"

    def __repr__(self) -> str:
        read = ", ".join(f"{key} {self.rows[-1][key]:.2f} %" for key in READ)
        return f"<SupernetTraining of {counted(len(self.rows), 'epoch')}: {read}, in {self.folder}>"

    def _repr_html_(self) -> str:
        head = ("epoch", "phase", "loss", *(f"{key} (%)" for key in READ))
        rows = [
            (row["epoch"], row["phase"], f"{row['loss']:.4f}", *(f"{row[key]:.2f}" for key in READ))
            for row in reversed(self.rows)
        ]
        notes = ["accuracies on validation images, the last epoch first", f"in {self.folder}"]
        return html_table(head, rows, title="Training of a supernet", notes=notes)


@dataclass(frozen=True)
class SupernetEvalOptions:
    """A reading of a supernet's networks.

    Attributes:
        checkpoint: The supernet's file, or the name of a published one.
        archs: Networks, like "r32-3334-7673-36567634-5353-3333"; none takes the largest and the smallest.
        listed: File with more of them, one per line.
        n_random: Random networks beside those named.
        data: Data set; "" takes what the supernet was trained on.
        split: "valid", "test" or "train".
        images: Images to read at most.
        seed: Of the random networks.
        device: "auto", "cpu", "cuda" or "cuda:N".
        out: CSV file to write too.
    """

    checkpoint: str | Path
    archs: Sequence[str] = ()
    listed: str | Path | None = None
    n_random: int = 0
    data: str = ""
    split: str = "valid"
    images: int = 10_000
    seed: int = 0
    device: str = "auto"
    out: str | Path | None = None


class InheritedAccuracy(NamedTuple):
    """How good a network is with the weights that it inherits.

    Attributes:
        arch: Its name.
        accuracy: On the images read (%).
        images: How many.
        params: Its parameters.
        madds: Its multiply-adds at its resolution.
    """

    arch: str
    accuracy: float
    images: int
    params: int
    madds: int


@dataclass(frozen=True, repr=False)
class SupernetReading:
    """What a reading of a supernet's networks found.

    Attributes:
        checkpoint: The supernet's file.
        split: Of the images read.
        networks: One row per network, in the order asked for.
    """

    checkpoint: Path
    split: str
    networks: Sequence[InheritedAccuracy]

    def frame(self) -> pd.DataFrame:
        """Return one row per network, with the columns of the CSV file."""
        import pandas as pd

        return pd.DataFrame(list(self.networks), columns=list(InheritedAccuracy._fields))

    def __repr__(self) -> str:
        read = [network.accuracy for network in self.networks]
        return (
            f"<SupernetReading of {counted(len(read), 'network')} of {self.checkpoint}: {min(read):.2f} to "
            f"{max(read):.2f} % on {self.split}>"
        )

    def _repr_html_(self) -> str:
        head = ("accuracy (%)", "parameters (M)", "MAdds (M)", "architecture")
        rows = [(f"{n.accuracy:.2f}", f"{n.params / 1e6:.3f}", f"{n.madds / 1e6:.3f}", n.arch) for n in self.networks]
        images = f"{self.networks[0].images:,} images of {self.split}"
        return html_table(
            head, rows, title=f"Networks of {self.checkpoint}", notes=[f"with inherited weights, {images}"]
        )


def supernet_train(
    options: SupernetTrainOptions,
    *,
    progress: Shown = False,
    on_epoch: OnEpoch | None = None,
    callbacks: Sequence[Callback] = (),
) -> SupernetTraining:
    """Train a supernet, as the command `supernet train` does.

    A training that was killed continues after its last finished epoch when it is called again.

    Args:
        options: What to train, and where.
        progress: Show a bar on a terminal or in a notebook, or call this with (steps done, all steps).
        on_epoch: Called after each epoch with its row of `metrics.jsonl`, and "epochs", how many there are.
        callbacks: Told of each new epoch, see `smemnas.bench.callbacks`.

    Raises:
        UserError: A value makes no sense, or PyTorch (the extra 'train') is missing.
        DataError: The images cannot be read.
        RunError: The loss is no number, memory ran out, or the folder cannot be used.
    """
    from smemnas.bench.train import need_torch

    need_torch()
    from smemnas.bench.train.devices import cpu_threads
    from smemnas.bench.train.supernet.loop import train_supernet
    from smemnas.bench.train.supernet.plan import PROGRESSIVE, SupernetPlan

    given = {field.name: getattr(options, field.name) for field in fields(SupernetPlan) if hasattr(options, field.name)}
    phases = several("--phases", options.phases)
    given["phases"] = PROGRESSIVE if phases == ("progressive",) else phases
    given |= {name: whole_numbers(f"--{name}", getattr(options, name)) for name in ("strides", "resolutions")}
    plan, out = SupernetPlan(**given), Path(options.out).expanduser()
    accumulate = whole("--accumulate", options.accumulate, 1)

    def report(row: Mapping[str, Any]) -> None:
        told = {**row, "epochs": plan.epochs}
        logger.info("%s", supernet_epoch_line(told))
        if on_epoch is not None:
            on_epoch(told)
        step(int(row["epoch"]), row)

    with (
        cpu_threads(options.threads),
        shown_progress(f"supernet on {plan.data}", progress) as tell,
        attached(with_tensorboard(callbacks, options.tensorboard), SUPERNET, out) as step,
    ):
        rows = train_supernet(plan, out, device=options.device, accumulate=accumulate, report=report, progress=tell)
    found = SupernetTraining(out, tuple(rows))
    logger.info("%r", found)
    return found


def supernet_eval(options: SupernetEvalOptions, *, progress: Shown = False) -> SupernetReading:
    """Read networks of a supernet, each with batch norm statistics of its own, as the command `supernet eval` does.

    Args:
        options: What to read.
        progress: Show a bar on a terminal or in a notebook, or call this with (networks read, all networks).

    Raises:
        UserError: A network, the data or the split is unknown, the data has other classes, a file to read is no text
            or the one to write is something else, or PyTorch (the extra 'train') is missing.
        DataError: The supernet or the images cannot be read.
        RunError: The CSV file cannot be written.
    """
    from smemnas.bench.train import need_torch

    need_torch()
    from smemnas.bench.train.supernet.evaluation import evaluate

    checkpoint = Path(options.checkpoint).expanduser()
    listed, out = (None if p is None else Path(p).expanduser() for p in (options.listed, options.out))
    if out is not None:
        sources = [source for source in (checkpoint, listed) if source is not None]
        check_output(out, has_columns(InheritedAccuracy._fields), "supernet eval", sources)
    names = [*several("ARCH", options.archs), *(_names_in(listed) if listed is not None else ())]
    with shown_progress(f"networks of {checkpoint.name}", progress) as tell:
        rows = evaluate(
            checkpoint,
            names,
            data=options.data or None,
            split=options.split,
            n_random=options.n_random,
            limit=options.images,
            seed=options.seed,
            device=options.device,
            progress=tell,
        )
    found = SupernetReading(checkpoint, options.split, tuple(InheritedAccuracy(**row) for row in rows))
    if out is not None:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerows([InheritedAccuracy._fields, *found.networks])
        write_text(out, text.getvalue())
    logger.info("%r", found)
    return found


def _names_in(file: Path) -> list[str]:
    """Return the names that a file lists.

    Raises:
        UserError: It is no readable text file.
    """
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--from: {file} is no readable text file ({error}).") from error

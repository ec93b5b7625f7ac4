"""`supernet`: train one, read its sub-networks, show what a file holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from smemnas.bench.commands.common import ANY_PATH, FILE, FOLDER, SEED, CommandGroup, Real
from smemnas.bench.commands.training_options import BATCH, COUNT, FEW, MANY, POSITIVE, RATE, SIDE, THREADS

DEVICE = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda or cuda:N; auto takes a GPU where there is one."
)


@click.group("supernet", cls=CommandGroup)
def supernet_group() -> None:
    """Train and read supernets of OFA-MobileNetV3.

    \b
    Examples:
      python -m smemnas supernet train --data cifar10
      python -m smemnas supernet eval runs/supernet/checkpoint.pt --random 20
      python -m smemnas supernet info runs/supernet/checkpoint.pt
    """


@supernet_group.command("train")
@click.option("--data", required=True, help="digits, cifar10, cifar100, or a folder or tar file of images.")
@click.option("--size", type=SIDE, default=0, help="Side that images are stored at.  [default: their own]")
@click.option("--width", type=POSITIVE, default=0.35, show_default=True, help="Width multiplier.")
@click.option("--stem", default="small", show_default=True, help="small (stride 1) or imagenet (stride 2).")
@click.option(
    "--choices",
    default="ofa",
    show_default=True,
    help="What networks may be: ofa, or wide (stages of 1 to 4 layers, 50 to 100 % of their width, expansions 1 to 6).",
)
@click.option("--strides", default="", metavar="A,B,C,D,E", help="Strides of the stages.  [default: the stem's]")
@click.option(
    "--resolutions", default="", metavar="A,B", help="Input sides, one drawn per step.  [default: the images' side]"
)
@click.option("--epochs", type=COUNT, default=15, show_default=True)
@click.option(
    "--phases",
    default="all",
    show_default=True,
    metavar="all|progressive|A,B",
    help="What is elastic, phase by phase: largest, kernel, depth-3, depth-2, expansion-4, all; progressive takes all "
    "six. They share the epochs evenly.",
)
@click.option("--batch", type=BATCH, default=128, show_default=True, help="Images per step, over all processes.")
@click.option("--lr", type=POSITIVE, default=0.1, show_default=True, help="Learning rate; falls to 0 along a cosine.")
@click.option("--warmup", type=RATE, default=0.0, show_default=True, help="Epochs of linear warm-up.")
@click.option("--weight-decay", type=RATE, default=3e-5, show_default=True)
@click.option("--smoothing", type=RATE, default=0.1, show_default=True, help="Label smoothing.")
@click.option("--clip", type=RATE, default=0.0, show_default=True, help="Largest gradient norm; 0 does not clip.")
@click.option("--dropout", type=RATE, default=0.0, show_default=True)
@click.option(
    "--random",
    "n_random",
    type=FEW,
    default=2,
    show_default=True,
    help="Random sub-networks per step.",
)
@click.option(
    "--crop",
    type=SIDE,
    default=4,
    show_default=True,
    help="Pixels by which training images are shifted.",
)
@click.option(
    "--rrc",
    type=Real(0.0, 1.0),
    default=0.0,
    metavar="SHARE",
    help="Smallest share of random resized crops (ImageNet: 0.08), instead of --crop.",
)
@click.option("--no-flip", is_flag=True, help="Do not mirror training images.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--amp", is_flag=True, help="Compute in bfloat16.")
@click.option("--deterministic", is_flag=True, help="Only operations whose result never varies (slower on a GPU).")
@click.option(
    "--accumulate",
    type=COUNT,
    default=1,
    show_default=True,
    help="Parts of a batch, where memory is short.",
)
@click.option("--threads", type=THREADS, default=0, help="CPU threads.  [default: torch's own]")
@DEVICE
@click.option("--out", type=FOLDER, default=Path("runs/supernet"), show_default=True, help="Folder of the training.")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard's files too.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
def supernet_train(
    no_flip: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Train a supernet: sandwich rule, in-place distillation, on request progressive shrinking.

    The folder gets checkpoint.pt and metrics.jsonl after every epoch; give the same command again to go on after an
    interruption. With torchrun, several processes share each batch.

    \b
    Examples:
      python -m smemnas supernet train --data cifar10 --width 0.35 --epochs 15
      python -m smemnas supernet train --data cifar10 --phases progressive --resolutions 24,28,32 --epochs 30
      torchrun --nproc-per-node 2 -m smemnas supernet train --data cifar10
    """
    from smemnas.bench.library.supernet import SupernetTrainOptions, supernet_train
    from smemnas.bench.report.training import supernet_epoch_line

    def tell(row: Mapping[str, Any]) -> None:
        click.echo(supernet_epoch_line(row))

    options = SupernetTrainOptions(flip=not no_flip, **given)
    supernet_train(options, progress=not quiet, on_epoch=None if quiet else tell)


@supernet_group.command("eval")
@click.argument("checkpoint", type=ANY_PATH)
@click.argument("archs", nargs=-1, metavar="[ARCH]...")
@click.option("--from", "listed", type=ANY_PATH, metavar="FILE", help="File with more architectures, one per line.")
@click.option("--random", "n_random", type=MANY, default=0, help="Random sub-networks beside those named.")
@click.option("--data", default="", help="Data set.  [default: what the supernet was trained on]")
@click.option("--split", default="valid", show_default=True, help="valid or test.")
@click.option("--images", type=COUNT, default=10_000, show_default=True, help="Images to read at most.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the random sub-networks.")
@DEVICE
@click.option("--out", type=FILE, metavar="FILE", help="Write a CSV file too.")
def supernet_eval(
    **given: Any,
) -> None:
    """Read accuracies of sub-networks of CHECKPOINT, with batch norm statistics measured for each.

    ARCH is a name like r32-3334-7673-36567634-5353-3333; without any, the largest and the smallest are read.

    \b
    Examples:
      python -m smemnas supernet eval runs/supernet/checkpoint.pt --random 20 --split test
      python -m smemnas supernet eval ofa_mbv3_d234_e346_k357_w1.0 --data ~/imagenet
    """
    from smemnas.bench.library.supernet import SupernetEvalOptions, supernet_eval

    for network in supernet_eval(SupernetEvalOptions(**given), progress=True).networks:
        millions = f"{network.params / 1e6:8.3f} M parameters {network.madds / 1e6:9.3f} M MAdds"
        click.echo(f"{network.accuracy:6.2f} % {millions}  {network.arch}")


@supernet_group.command("info")
@click.argument("checkpoint", type=ANY_PATH)
def supernet_info(checkpoint: Path) -> None:
    """Show width, sizes and training of the supernet in CHECKPOINT.

    \b
    Examples:
      python -m smemnas supernet info runs/supernet/checkpoint.pt
    """
    from smemnas.bench.train import need_torch

    need_torch()
    from smemnas.bench.train.supernet.evaluation import describe

    for label, value in describe(checkpoint).items():
        click.echo(f"{label:12} {value}")

"""`retrain`: the final training of a network that a search found."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from smemnas.bench.commands.common import ANY_PATH, FOLDER, SEED, Command, Whole
from smemnas.bench.commands.training_options import COUNT, POSITIVE, SIDE, THREADS
from smemnas.bench.values import MOST_WORKERS


@click.command("retrain", cls=Command)
@click.argument("run", required=False, type=ANY_PATH)
@click.option(
    "--pick", default="", help="knee, best, a row of the front (1, 2, ...), or 'flops<=400'.  [default: knee]"
)
@click.option(
    "--arch",
    default="",
    help="Instead of --pick: r32-3334-7673-..., SPACE:NAME in another space, or timm:MODEL for comparison.",
)
@click.option("--supernet", type=ANY_PATH, metavar="FILE", help="Supernet.  [default: the run's]")
@click.option("--scratch", is_flag=True, help="Start from random weights although there is a supernet.")
@click.option("--data", default="", help="Data set.  [default: the run's or the supernet's]")
@click.option("--preset", default="cifar", show_default=True, help="cifar, imagenet or small.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a field of the preset; repeatable.")
@click.option("--epochs", type=COUNT, help="Short for --set epochs=N.")
@click.option("--width", type=POSITIVE, help="Width multiplier.  [default: the run's or the supernet's, else 0.35]")
@click.option("--stem", default="", help="small (stride 1) or imagenet.  [default: the supernet's, else small]")
@click.option(
    "--strides",
    default="",
    metavar="A,B,C,D,E",
    help="Strides of the stages.  [default: the supernet's; a timm model's own]",
)
@click.option(
    "--shape",
    multiple=True,
    metavar="KEY=VALUE",
    help="channels and cells of a network of another space; repeatable.  [default: the run's, else published]",
)
@click.option("--size", type=SIDE, default=0, help="Side that images are stored at.  [default: their own]")
@click.option(
    "--resolution",
    type=SIDE,
    default=0,
    help="Input of a timm model.  [default: the supernet's largest, or the images']",
)
@click.option("--weights", default="", metavar="FILE", help="What a timm model starts from: a file, or pretrained.")
@click.option("--teacher", default="", metavar="timm:MODEL", help="Model of timm that teaches (--set distill=1).")
@click.option("--teacher-weights", default="", metavar="FILE", help="Its weights.  [default: timm's own]")
@click.option("--all-images", is_flag=True, help="Train on the validation images too.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--accumulate", type=COUNT, default=1, show_default=True, help="Parts of a batch, if memory is short.")
@click.option(
    "--workers",
    type=Whole(0, MOST_WORKERS),
    help="Processes that load images.  [default: 0 on a CPU, 4 with a GPU]",
)
@click.option("--threads", type=THREADS, default=0, help="CPU threads.  [default: torch's own]")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard's files too.")
@click.option("--out", type=FOLDER, help="Folder of the training.  [default: RUN/retrain/PICK]")
@click.option("--quiet", is_flag=True, help="Print nothing.")
def retrain_command(
    quiet: bool,
    **given: Any,
) -> None:
    """Train a network of a search's front to the end, by timm, and read it on the test split once.

    RUN is the folder of a search, or a supernet's checkpoint, or left out; then --arch names the network.
    Where there is a supernet, training starts from the weights that the network inherits. The folder gets
    checkpoint.pt and metrics.jsonl after every epoch and result.json at the end; give the same command again to go
    on after an interruption. With torchrun, several processes share each batch.

    \b
    Examples:
      python -m smemnas retrain runs/search --pick knee
      python -m smemnas retrain runs/search --pick "flops<=400" --preset imagenet --tensorboard
      python -m smemnas retrain runs/search --arch timm:mobilenetv3_small_050 --preset small
      python -m smemnas retrain runs/supernet/checkpoint.pt --arch r32-3333-3333-3333-3333-3333
      python -m smemnas retrain --arch r32-3333-3333-3333-3333-3333 --data cifar10 --set lr=0.05
      python -m smemnas retrain --arch nats_sss:40:64:32:64:48 --shape channels=4 --data cifar10 --preset small
      torchrun --nproc-per-node 8 -m smemnas retrain runs/search --pick best --preset imagenet --set batch=2048
    """
    from smemnas.bench.library.retrain import RetrainOptions, retrain
    from smemnas.bench.report.terminal import first_process, is_terminal
    from smemnas.bench.report.training import epoch_line, retraining_lines

    stream = None if is_terminal(sys.stdout) else sys.stdout  # beside a bar on a terminal, a file gets its lines too

    def tell(row: Mapping[str, Any]) -> None:
        click.echo(epoch_line(row), file=stream)

    found = retrain(RetrainOptions(**given), progress=not quiet, on_epoch=None if quiet else tell)
    if not quiet and first_process():
        for line in retraining_lines(found.result, found.folder):
            click.echo(line)

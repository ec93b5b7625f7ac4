"""`run`: one search."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from smemnas.bench.commands.common import (
    ANY_PATH,
    BUDGET,
    DURATION,
    FILE,
    FOLDER,
    NAMES,
    SEED,
    Command,
    constraint_option,
    device_option,
    full_space_option,
    parse_params,
    reference_option,
    start_option,
)


def job_options(command: Any) -> Any:
    """Add the options that `run` and other commands share."""
    options = [
        click.option("--dataset", help="Data set of the space; its default is shown by `list data`."),
        click.option(
            "--objectives", type=NAMES, default=(), metavar="A,B", help="What to minimise, for example error,flops."
        ),
        click.option("--budget", type=BUDGET, help="Paid evaluations.  [default: 340, or what --budget-time allows]"),
        click.option(
            "--budget-time",
            type=DURATION,
            default=0.0,
            metavar="TIME",
            help="Training time to spend, like 90s, 30m, 2h, 1d, where evaluations have one; that which passes it is "
            "the last. With --budget whichever comes first.",
        ),
        click.option(
            "--param",
            "params",
            multiple=True,
            metavar="NAME=VALUE",
            help="Method parameter; repeatable. surrogate.NAME=VALUE sets a parameter of its surrogate.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command("run", cls=Command)
@click.option("--method", required=True, help="Registered method or preset.")
@click.option("--space", help="Registered search space.")
@click.option("--problem", help="A named problem instead of space, data set and objectives; see `list problems`.")
@job_options
@constraint_option
@full_space_option
@reference_option
@start_option
@click.option(
    "--evaluator",
    type=click.Choice(["table", "train", "supernet"]),
    default="table",
    show_default=True,
    help="table: look up; train: build and train every architecture; supernet: read networks of mnv3 with the weights "
    "that they inherit from a supernet (the last two: extra 'train').",
)
@click.option("--checkpoint", type=ANY_PATH, metavar="FILE", help="With supernet: its file.")
@click.option(
    "--data",
    default="",
    help="With train or supernet: digits, cifar10, cifar100, ..., or a folder or tar of images.  "
    "[default: digits, or what the supernet was trained on]",
)
@click.option(
    "--recipe",
    default="",
    help="With train: nb201-200, nb201-12, nats-90, nats-cpu, nats-cpu-half, nb101-108, small, tiny.",
)
@click.option(
    "--train",
    "training",
    multiple=True,
    metavar="KEY=VALUE",
    help="With train: a field of the recipe, or channels, cells, size, valid_share, training_seed, (mnv3) width, stem, "
    "choices. With supernet: images to judge on, or epochs, lr, batch of fine-tuning. Repeatable.",
)
@click.option(
    "--latency",
    type=FILE,
    metavar="FILE",
    help="A table that `latency measure` wrote: latency is an objective then, and can be bounded (--constraint).",
)
@device_option
@click.option("--seed", type=SEED, default=0, show_default=True, help="Root of all randomness.")
@click.option("--out", type=FOLDER, help="Run folder. Default: below runs/.")
@click.option("--overwrite", is_flag=True, help="Delete what an earlier run left in the folder.")
@click.option("--continue-from-log", is_flag=True, help="Go on from a log that does not replay.")
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard's files too.")
@click.option("--quiet", is_flag=True, help="No progress bar and no table.")
@click.pass_obj
def run_command(
    plugins: tuple[str, ...],
    method: str,
    space: str | None,
    problem: str | None,
    dataset: str | None,
    objectives: tuple[str, ...],
    budget: int | None,
    budget_time: float,
    params: tuple[str, ...],
    constraints: tuple[str, ...],
    full_space: bool,
    reference: str,
    start: str | None,
    evaluator: Literal["table", "train", "supernet"],
    checkpoint: Path | None,
    data: str,
    recipe: str,
    training: tuple[str, ...],
    latency: Path | None,
    device: str,
    seed: int,
    out: Path | None,
    overwrite: bool,
    continue_from_log: bool,
    tensorboard: bool,
    quiet: bool,
) -> None:
    """Run one search and show the front it found.

    A run that was killed continues where it stopped when the same command is given again.

    \b
    Examples:
      python -m smemnas run --method smemnas --space nb201
      python -m smemnas run --method smemnas --space nb201 --objectives error,flops,params --seed 3
      python -m smemnas run --method smemnas --space nb201 --param surrogate=gp --param initial=20
      python -m smemnas run --method random --space toy --budget 50 --out runs/mine
      python -m smemnas run --method smemnas --problem in1k-mop8-like
      python -m smemnas run --method smemnas --space nb201 --constraint "flops<=60"
      python -m smemnas run --method random --space nb101 --dataset ecnas4 --budget-time 2h
      python -m smemnas run --method smemnas --space nb201 --evaluator train --data digits --recipe tiny --budget 60
      python -m smemnas run --method smemnas --space mnv3 --evaluator supernet --checkpoint runs/supernet/checkpoint.pt
      python -m smemnas run --method smemnas --space mnv3 --latency my.json --objectives error,latency
    """
    from smemnas.bench.library.run import RunOptions, run
    from smemnas.bench.report.terminal import print_run

    if not (space or problem or evaluator == "supernet"):
        raise click.UsageError("Missing option '--space' (or '--problem').")
    options = RunOptions(
        method=method,
        space=space or "",
        dataset=dataset or "",
        objectives=objectives,
        budget=budget,
        budget_time=budget_time,
        seed=seed,
        params=parse_params(params),
        problem=problem or "",
        constraints=constraints,
        full_space=full_space,
        reference=reference,
        start=start or "",
        evaluator=evaluator,
        checkpoint=checkpoint,
        data=data,
        recipe=recipe,
        training=training,
        latency=latency,
        device=device,
        plugins=plugins,
        out=out,
        overwrite=overwrite,
        continue_from_log=continue_from_log,
        tensorboard=tensorboard,
    )
    result = run(options, progress=not quiet)
    if not quiet:
        print_run(result)

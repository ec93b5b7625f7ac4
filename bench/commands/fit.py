"""`fit`: from a folder of images to an exported network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smemnas.bench.commands.common import ANY_PATH, FOLDER, SEED, Command
from smemnas.bench.commands.training_options import POSITIVE, SIDE, THREADS


@click.command("fit", cls=Command)
@click.argument("data")
@click.option("--hours", type=POSITIVE, required=True, help="All the time that may be taken.")
@click.option("--out", type=FOLDER, required=True, help="Folder; the same command goes on there.")
@click.option("--latency", type=ANY_PATH, metavar="FILE", help="Table of networks for these images and this device.")
@click.option("--max-latency", type=POSITIVE, metavar="MS", help="Bound on the predicted latency, with --latency.")
@click.option("--max-flops", type=POSITIVE, metavar="M", help="Bound on millions of multiply-adds.")
@click.option("--size", type=SIDE, default=0, help="Side that images are stored at.  [default: chosen]")
@click.option("--width", type=POSITIVE, help="Width multiplier.  [default: the table's, else 0.35]")
@click.option(
    "--search", default="auto", show_default=True, help="supernet, scratch (candidates are trained alone), or auto."
)
@click.option("--no-baseline", is_flag=True, help="Train no model of timm beside it.")
@click.option("--no-flip", is_flag=True, help="Do not mirror training images: digits, signs, text.")
@click.option("--int8", is_flag=True, help="Export in 8 bits too.")
@click.option("--licence", default="", metavar="NAME", help="Licence of the weights, for config, card and ONNX.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--threads", type=THREADS, default=0, help="CPU threads.  [default: torch's own]")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--dry-run", is_flag=True, help="Measure a few steps, show the plan, and stop.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
def fit_command(dry_run: bool, quiet: bool, no_baseline: bool, no_flip: bool, **given: Any) -> None:
    """Find and train a network for the images of DATA within --hours, and export it.

    DATA is what `images` takes. A few steps are measured, the time is shared out between supernet, search, final
    training and a model of timm of the same cost; the plan is shown, kept in OUT/plan.json and followed: the same
    command goes on after an interruption. OUT/export is the network, OUT/report.md says what it is worth. Each stage is
    a command of its own, with the folders OUT/supernet, OUT/search, OUT/final, OUT/baseline.

    A table of other networks, and bounds that no network keeps, are refused at once, with what would do.

    \b
    Examples:
      python -m smemnas fit photos --hours 8 --out net --dry-run
      python -m smemnas fit photos --latency my.json --max-latency 5 --hours 8 --out net
    """
    from smemnas.bench.fit.fit import FitOptions, fit, plan_fit, report_text

    options = FitOptions(baseline=not no_baseline, flip=not no_flip, **given)
    if dry_run:
        for line in plan_fit(options).lines():
            click.echo(line)
        return
    found = fit(options, tell=(lambda line: None) if quiet else click.echo)
    if not quiet:
        click.echo(report_text(found.report).rstrip())
        click.echo(f"network: {Path(found.folder) / 'export'}")

"""`images`: what a folder of images holds, and how it is divided."""

from __future__ import annotations

from pathlib import Path

import click

from smemnas.bench.commands.common import ANY_PATH, FILE, SEED, Command, Real

SHARE = Real(0.0, 1.0)


@click.command("images", cls=Command)
@click.argument("source", type=ANY_PATH)
@click.option("--out", type=FILE, metavar="FILE", help="Write file, label and split of every image as CSV.")
@click.option("--test", type=SHARE, help="Share of each class for testing.  [default: 0.2]")
@click.option("--valid", type=SHARE, help="Share of each class for validation.  [default: 0.1]")
@click.option("--seed", type=SEED, help="Of the draw.  [default: 0]")
def images_command(source: Path, out: Path | None, test: float | None, valid: float | None, seed: int | None) -> None:
    """Show classes and splits of SOURCE, a folder, tar file or CSV file of images.

    SOURCE is CLASS/FILE, or train/CLASS/FILE with val/ or test/ or both, or a CSV file with the columns file, label
    and perhaps split. Where it has no splits, they are drawn: --test, --valid and --seed say how. What --out writes
    is a SOURCE too, and fixes the splits file by file: name it as --data of a training.

    \b
    Examples:
      python -m smemnas images photos
      python -m smemnas images photos --test 0.3 --valid 0.2 --seed 1 --out photos/splits.csv
    """
    from smemnas.bench.library.images import images

    found = images(source, out=out, test=test, valid=valid, seed=seed)
    for line in found.lines():
        click.echo(line)
    for warning in found.warnings:
        click.echo(f"warning: {warning}")
    if out is not None:
        click.echo(f"written to {out}")

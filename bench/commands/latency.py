"""`latency`: how long networks take on a device: measure, script, check, info."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smemnas.bench.commands.common import ANY_PATH, FILE, FOLDER, Command, CommandGroup, Whole
from smemnas.bench.values import MOST_THREADS

NETWORKS = Whole(0, 1000)


def network_options(command: Any) -> Any:
    """Add the options that say which networks are meant."""
    options = [
        click.option("--space", default="", help="mnv3, nb201, nats_sss or macro."),
        click.option(
            "--shape",
            multiple=True,
            metavar="KEY=VALUE",
            help="Of networks that are not the published ones: width, resolutions, stem (mnv3), channels, cells, size, "
            "classes; repeatable.",
        ),
        click.option(
            "--checkpoint", type=ANY_PATH, metavar="FILE", help="The networks of this supernet instead of a space."
        ),
        click.option(
            "--networks",
            type=NETWORKS,
            default=30,
            show_default=True,
            help="Whole networks that groups of blocks are fitted to.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group("latency", cls=CommandGroup)
def latency_group() -> None:
    """Measure how long networks take on a device, block by block, and search by it.

    The table stands wherever a latency is searched or bounded: run --latency. docs/latency.md says what is in it.
    """


@latency_group.command("measure", cls=Command)
@network_options
@click.option("--runtime", default="onnxruntime", show_default=True, help="onnxruntime, torch or torch-cuda.")
@click.option("--threads", type=Whole(1, MOST_THREADS), default=1, show_default=True, help="CPU threads.")
@click.option("--batch", type=Whole(1, 65536), default=1, show_default=True, help="Images of a call.")
@click.option(
    "--clock",
    default="wall",
    show_default=True,
    help="wall, or cpu: the time that the one thread computed, for a machine that has other work.",
)
@click.option("--out", type=FILE, default=Path("latency.json"), show_default=True, help="The table.")
@click.option("--overwrite", is_flag=True, help="Replace a table that is there.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
def latency_measure(quiet: bool, **given: Any) -> None:
    """Measure every block of a space on this machine and write them as a table.

    What was measured is kept after each round; give the same command again to go on after an interruption. A table that
    is there is shown where it was measured in the same way (networks, threads, batch, clock), and else refused.

    \b
    Examples:
      python -m smemnas latency measure --space mnv3 --out my.json
      python -m smemnas latency measure --space mnv3 --shape width=0.35 --shape stem=small --shape resolutions=24-28-32
      python -m smemnas latency measure --checkpoint runs/supernet/checkpoint.pt --threads 4 --out my.json
      python -m smemnas latency measure --space nb201 --runtime torch-cuda --batch 64 --out gpu.json
    """
    from smemnas.bench.library.latency import LatencyOptions, latency_lines, measure_latency

    table = measure_latency(LatencyOptions(**given), progress=not quiet)
    if not quiet:
        _say(latency_lines(table))


@latency_group.command("script", cls=Command)
@network_options
@click.option("--out", type=FOLDER, default=Path("latency-script"), show_default=True, help="The folder.")
def latency_script_command(out: Path, **given: Any) -> None:
    """Write a folder that measures the same blocks on another device, with Python, NumPy and onnxruntime alone.

    There: python measure.py --out my.json, then python measure.py --check my.json.

    \b
    Example:
      python -m smemnas latency script --space mnv3 --shape resolutions=224 --out for-the-phone
    """
    from smemnas.bench.library.latency import LatencyOptions, latency_script

    folder = latency_script(LatencyOptions(**given), out)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    _say([f"{folder} ({size / 1e6:.1f} MB): copy it to the device, there: python measure.py --out my.json"])


@latency_group.command("check", cls=Command)
@click.argument("table", type=ANY_PATH)
@click.option("--networks", type=Whole(4, 1000), default=50, show_default=True, help="Half of each kind.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
def latency_check(table: Path, networks: int, quiet: bool) -> None:
    """Measure whole networks and compare TABLE's predictions with them; what is found is written into it.

    Half of the networks lie over the range of multiply-adds, half at one resolution within 10 % of one value.

    \b
    Example:
      python -m smemnas latency check my.json
    """
    from smemnas.bench.library.latency import check_latency_table, latency_lines

    found = check_latency_table(table, networks=networks, progress=not quiet)
    if not quiet:
        _say(latency_lines(found))


@latency_group.command("info", cls=Command)
@click.argument("table", type=ANY_PATH)
def latency_info(table: Path) -> None:
    """Show what TABLE was measured on, and how well it predicts.

    \b
    Example:
      python -m smemnas latency info my.json
    """
    from smemnas.bench.benchmarks.latency.table import read_latency
    from smemnas.bench.library.latency import latency_lines

    _say(latency_lines(read_latency(table)))


def _say(lines: list[str]) -> None:
    """Print lines; texts of a table may hold anything."""
    from smemnas.bench.errors import one_line

    for line in lines:
        click.echo(one_line(line))

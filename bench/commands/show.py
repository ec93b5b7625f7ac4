"""`show`: a picture of one architecture."""

from __future__ import annotations

from pathlib import Path

import click

from smemnas.bench.commands.common import FILE, Command


@click.command("show", cls=Command)
@click.argument("arch")
@click.option("--space", required=True, help="Search space that the architecture belongs to.")
@click.option("--dataset", help="Show the values of this data set alone.  [default: every installed one]")
@click.option(
    "--out",
    type=FILE,
    metavar="FILE",
    help="Draw it: a file that ends in .svg, .pdf or .png.",
)
def show_command(arch: str, space: str, dataset: str | None, out: Path | None) -> None:
    """Show an architecture: its parts, its costs, its errors where a table is installed, and a picture.

    ARCH is the name that logs and fronts use, the row number #N of this suite in a space that can be enumerated
    (no official index), or FORM:VALUE in another form of names: `list spaces` shows them.

    \b
    Examples:
      python -m smemnas show '#1462' --space nb201
      python -m smemnas show \\
          '|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|none~2|' \\
          --space nb201 --out cell.svg
      python -m smemnas show r224-3334-7673-36567634-5353-3333 --space mnv3 --out network.pdf
      python -m smemnas show 8:16:32:48:64 --space nats_sss --dataset cifar10
      python -m smemnas show official:1462 --space nb201
      python -m smemnas show "naslib:(4, 0, 3, 1, 4, 3)" --space nb201
    """
    from smemnas.bench.outputs import check_output, has_content
    from smemnas.bench.report.architecture.drawings import picture, plain_text
    from smemnas.bench.report.architecture.figure import MARK, check_ending, write_picture
    from smemnas.bench.report.architecture.values import costs_of, find, other_names, space_of, values_of

    if out is not None:
        check_ending(out)
        check_output(out, has_content(MARK.encode()), "show")
    chosen = space_of(space, dataset)
    x = find(chosen, arch)
    name = chosen.to_str(x)
    click.echo(f"{space}  {name}")
    for line in plain_text(chosen, x):
        click.echo(f"  {line}")
    for form, written, text in other_names(chosen, x):
        click.echo(f"{form}  {written}  ({text})")
    values = values_of(chosen, x, dataset)
    for source, text in values or [("costs", costs_of(chosen, x))]:
        click.echo(f"{source}  {text}")
    if out is not None:
        write_picture(out, picture(chosen, x), f"{space}  {name}")
        click.echo(f"picture  {out}")

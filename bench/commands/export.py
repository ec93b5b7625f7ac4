"""`export`: give a network away."""

from __future__ import annotations

from pathlib import Path

import click

from smemnas.bench.commands.common import ANY_PATH, FOLDER, Command


@click.command("export", cls=Command)
@click.argument("source", type=ANY_PATH)
@click.argument("arch", required=False)
@click.option(
    "--out",
    type=FOLDER,
    help="Folder to write.  [default: exports/ARCH, or SOURCE/export of a training]",
)
@click.option("--data", help="Data for batch norms and accuracy.  [default: what the supernet was trained on]")
@click.option("--as-is", is_flag=True, help="Keep the supernet's batch norm statistics; needs no data.")
@click.option(
    "--device", default="auto", show_default=True, help="Where a supernet's network is measured: cpu, cuda or cuda:N."
)
@click.option("--no-onnx", is_flag=True, help="Write no ONNX file.")
def export_command(
    source: Path, arch: str | None, out: Path | None, data: str | None, as_is: bool, device: str, no_onnx: bool
) -> None:
    """Export a network: safetensors, ONNX, description and model card.

    SOURCE is the folder of a finished `retrain`, whose final weights are taken, or a supernet's checkpoint, of which
    ARCH names a sub-network; its batch norm statistics are measured on training images first. The card says how to
    load the folder with timm alone.

    \b
    Examples:
      python -m smemnas export runs/search/retrain/knee
      python -m smemnas export runs/supernet/checkpoint.pt r32-3334-7673-36567634-5353-3333
      python -m smemnas export ofa_mbv3_d234_e346_k357_w1.0 r224-3636-3636-3636-3636-3636 --data ~/imagenet
    """
    from smemnas.bench.train import need_torch

    need_torch()
    from smemnas.bench.outputs import EXPORT, claim
    from smemnas.bench.train.retrain.export import export_retrained, export_supernet

    if arch is None:
        if source.is_file():
            raise click.UsageError("Missing argument 'ARCH': which sub-network of the supernet?")
        if data or as_is:
            raise click.UsageError("--data and --as-is belong to a supernet's checkpoint, not to a finished training.")
        folder = out if out is not None else source / "export"
        claim(folder, EXPORT)
        config = export_retrained(source, folder, onnx=not no_onnx)
    else:
        folder = out if out is not None else Path("exports") / arch
        claim(folder, EXPORT)
        config = export_supernet(source, arch, folder, data=data, as_is=as_is, onnx=not no_onnx, device=device)
    for label, value in config["facts"].items():
        click.echo(f"{label}: {value}")
    click.echo(f"{config['params']:,} parameters, {config['madds']:,} multiply-adds; written to {folder}")

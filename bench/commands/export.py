"""`export`: give a network away."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("arch")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write.  [default: exports/ARCH]",
)
@click.option("--data", help="Data for batch norms and accuracy.  [default: what the supernet was trained on]")
@click.option("--as-is", is_flag=True, help="Keep the supernet's batch norm statistics; needs no data.")
@click.option("--no-onnx", is_flag=True, help="Write no ONNX file.")
def export_command(checkpoint: Path, arch: str, out: Path | None, data: str | None, as_is: bool, no_onnx: bool) -> None:
    """Export sub-network ARCH of a supernet's CHECKPOINT: safetensors, ONNX, description and model card.

    Batch norm statistics are measured on training images first. The card says how to load the folder with timm
    alone.

    \b
    Examples:
      python cli.py export runs/supernet/checkpoint.pt r32-3334-7673-36567634-5353-3333
      python cli.py export ofa_mbv3_d234_e346_k357_w1.0 r224-3636-3636-3636-3636-3636 --data ~/imagenet
    """
    from bench.train import need_torch

    need_torch()
    from bench.train.export import export_supernet

    folder = out if out is not None else Path("exports") / arch
    config = export_supernet(checkpoint, arch, folder, data=data, as_is=as_is, onnx=not no_onnx)
    for label, value in config["facts"].items():
        click.echo(f"{label}: {value}")
    click.echo(f"{config['params']:,} parameters, {config['madds']:,} multiply-adds; written to {folder}")

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
@click.option("--normalise", is_flag=True, help="ONNX takes pixels from 0 to 255: normalisation is part of it.")
@click.option("--softmax", is_flag=True, help="ONNX answers with probabilities.")
@click.option("--int8", is_flag=True, help="Write an ONNX file in 8 bits too, and what that costs.")
@click.option("--licence", default="", metavar="NAME", help="Licence of the weights, for config, card and ONNX.")
def export_command(
    source: Path,
    arch: str | None,
    out: Path | None,
    data: str | None,
    as_is: bool,
    device: str,
    no_onnx: bool,
    normalise: bool,
    softmax: bool,
    int8: bool,
    licence: str,
) -> None:
    """Export a network: safetensors, ONNX, description and model card.

    SOURCE is the folder of a finished `retrain`, whose final weights are taken, or a supernet's checkpoint, of which
    ARCH names a sub-network; its batch norm statistics are measured on training images first. The card says how to
    load the folder with timm alone.

    \b
    Examples:
      python -m smemnas export runs/search/retrain/knee
      python -m smemnas export runs/search/retrain/knee --normalise --softmax --int8 --licence apache-2.0
      python -m smemnas export runs/supernet/checkpoint.pt r32-3334-7673-36567634-5353-3333
      python -m smemnas export ofa_mbv3_d234_e346_k357_w1.0 r224-3636-3636-3636-3636-3636 --data ~/imagenet
    """
    from smemnas.bench.library.export import ExportOptions, export

    if arch is None and source.is_file():
        raise click.UsageError("Missing argument 'ARCH': which sub-network of the supernet?")
    if arch is None and (data or as_is):
        raise click.UsageError("--data and --as-is belong to a supernet's checkpoint, not to a finished training.")
    options = ExportOptions(
        source,
        arch or "",
        data=data or "",
        as_is=as_is,
        device=device,
        onnx=not no_onnx,
        normalise=normalise,
        softmax=softmax,
        int8=int8,
        licence=licence,
        out=out,
    )
    found = export(options)
    config = found.config
    for label, value in config["facts"].items():
        click.echo(f"{label}: {value}")
    if "int8" in config:
        before, after = (config["int8"][key] for key in ("float", "int8"))
        click.echo(
            f"in 8 bits: {after['accuracy']:.2f} % for {before['accuracy']:.2f} %, {after['bytes'] / 1e6:.2f} MB for "
            f"{before['bytes'] / 1e6:.2f} MB, {after['milliseconds']:.3g} ms for {before['milliseconds']:.3g} ms"
        )
    click.echo(f"{config['params']:,} parameters, {config['madds']:,} multiply-adds; written to {found.folder}")

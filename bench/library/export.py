"""A network given away: weights, ONNX, description and card, as the command `export` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smemnas.bench.display import html_table
from smemnas.bench.errors import UserError
from smemnas.bench.log import logger


@dataclass(frozen=True)
class ExportOptions:
    """An export.

    Attributes:
        source: Folder of a finished `retrain`, or a supernet's checkpoint.
        arch: With a checkpoint: the sub-network.
        data: With a checkpoint: images for batch norms and accuracy; "" takes what it was trained on.
        as_is: With a checkpoint: keep its batch norm statistics; needs no images.
        device: Where a supernet's network is measured: "auto", "cpu", "cuda" or "cuda:N".
        onnx: Write an ONNX file.
        normalise: It takes pixels from 0 to 255: normalisation is part of it.
        softmax: It answers with probabilities.
        int8: Write one in 8 bits too, and what that costs.
        licence: Of the weights, for config, card and ONNX.
        out: Folder; None takes "export" in that of the training, or "exports/ARCH".
    """

    source: str | Path
    arch: str = ""
    data: str = ""
    as_is: bool = False
    device: str = "auto"
    onnx: bool = True
    normalise: bool = False
    softmax: bool = False
    int8: bool = False
    licence: str = ""
    out: str | Path | None = None


@dataclass(frozen=True, repr=False)
class ExportedNetwork:
    """A network that was given away.

    Attributes:
        folder: Where its files are; README.md there says how to load them.
        config: The content of `config.json`.
    """

    folder: Path
    config: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of the outputs; empty if they are not known."""
        return tuple(self.config["classes"])

    def __repr__(self) -> str:
        return f"<ExportedNetwork {self.config['architecture']}: {self._size()}, in {self.folder}>"

    def _repr_html_(self) -> str:
        rows = [*self.config["facts"].items(), ("classes", ", ".join(self.classes))]
        title = f"Export of {self.config['architecture']}"
        return html_table(("", ""), rows, title=title, notes=[self._size(), f"in {self.folder}"])

    def _size(self) -> str:
        return f"{self.config['params']:,} parameters, {self.config['madds']:,} multiply-adds"


def export(options: ExportOptions) -> ExportedNetwork:
    """Write a network's weights, description, ONNX file and card into a folder, as the command `export` does.

    Raises:
        UserError: Options contradict each other or the source, the folder holds something else, or PyTorch or ONNX
            (the extra 'train') is missing.
        DataError: The checkpoint or the images cannot be read.
        RunError: The training is not finished, its files are corrupt, or the folder cannot be written.
    """
    from smemnas.bench.train import need_torch

    source, arch = Path(options.source).expanduser(), options.arch
    if not arch and source.is_file():
        raise UserError(f"{source} is a file: which sub-network of the supernet? Name it (ARCH).")
    if not arch and (options.data or options.as_is):
        raise UserError("--data and --as-is belong to a supernet's checkpoint, not to a finished training.")
    need_torch()
    from smemnas.bench.outputs import EXPORT, claim
    from smemnas.bench.train.retrain.export import Packing, export_retrained, export_supernet

    packing = Packing(options.onnx, options.normalise, options.softmax, options.int8, options.licence)
    place = Path("exports") / arch if arch else source / "export"
    folder = place if options.out is None else Path(options.out).expanduser()
    claim(folder, EXPORT)
    if arch:
        how: dict[str, Any] = {"as_is": options.as_is, "packing": packing, "device": options.device}
        config = export_supernet(source, arch, folder, data=options.data or None, **how)
    else:
        config = export_retrained(source, folder, packing)
    found = ExportedNetwork(folder, config)
    logger.info("%r", found)
    return found

"""Files of supernets: this suite's own and those that the OFA project published.

Files are read with torch's safe loader only, which runs no code of the file.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smemnas.bench.errors import DataError
from smemnas.bench.files import replacing
from smemnas.bench.train.networks.mnv3.subnet import Shape
from smemnas.bench.train.networks.mnv3.supernet import Supernet
from smemnas.spaces.mnv3_choices import MAX_DEPTH
from smemnas.spaces.mnv3_costs import network

FORMAT, VERSION = "smemnas-mnv3-supernet", 1
#: Under which keys files of others have the weights, the first that is there; and what wrappers of modules put before
#: the names of tensors.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "state_dict_ema", "model_ema", "ema")
PREFIXES = ("module.", "_orig_mod.", "model.")


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a torch file as a whole or not at all.

    Raises:
        RunError: The file cannot be written.
    """
    with replacing(path, also=(RuntimeError,)) as part:  # torch turns a full disk into a RuntimeError
        torch.save(dict(content), part)


def read(path: Path) -> dict[str, Any]:
    """Read a torch file that holds a dictionary of tensors and plain values.

    Raises:
        DataError: It is missing, corrupt, or holds anything else.
    """
    if not os.path.isfile(path):  # which takes a path that is too long for one of nothing
        raise DataError(f"no checkpoint at {path}: give the file that `supernet train` wrote or a published one.")
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numbers()):
            warnings.simplefilter("ignore")  # about old forms of pickles, before the error
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or foreign file can raise nearly anything
        raise DataError(f"{path} is no readable torch file of plain tensors: {_reason(error)}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}, expected a dictionary of tensors.")
    return content


def _numbers() -> list[Any]:
    """Return what a file with numbers of numpy needs, which run no code of the file."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefd"}
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [np.dtype, *kinds, *((scalar, name) for name in names)]


def _reason(error: Exception) -> str:
    """Return why torch's safe loader refused a file, on one line and without terminal codes."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    forbidden = re.search(r"GLOBAL ([\w.]+)", text)
    if forbidden is not None:
        return (
            f"it holds {forbidden[1]}, and objects are not loaded because they can run code. Save the weights alone: "
            "torch.save(network.state_dict(), FILE)."
        )
    return next(iter(text.splitlines()), type(error).__name__)


def own_content(shape: Shape, supernet: Supernet) -> dict[str, Any]:
    """Return the part of a checkpoint of this suite that describes the network."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "shape": shape.to_dict(),
        "state_dict": supernet.state_dict(),
    }


def load_supernet(path: Path) -> tuple[Supernet, dict[str, Any]]:
    """Open a supernet's file.

    A file without a description (a published one: `ofa_mbv3_d234_e346_k357_w1.0`, `..._w1.2`) is taken as a
    network with the ImageNet stem, of the width that its tensors have. Tensors may lie below one of `WRAPPERS`, and
    their names may have `PREFIXES`.

    Returns:
        The supernet in evaluation mode, and the whole content of the file.

    Raises:
        DataError: The file cannot be read or holds another network.
    """
    content = read(path)
    weights = tensors_of(content, path)
    if content.get("format") == FORMAT:
        if content.get("version") != VERSION:
            raise DataError(f"{path} has version {content.get('version')} of the format, expected {VERSION}.")
        shape = Shape.from_dict(content.get("shape", {}))
    else:
        shape = shape_of(weights, str(path))
    supernet = Supernet(shape)
    try:
        supernet.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(
            f"{path} holds no MobileNetV3 supernet of width {shape.width}: {_first_fault(str(error))}"
        ) from error
    return supernet.eval(), content


def tensors_of(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the tensors of a file's content by their plain names, whatever wraps or prefixes them.

    Raises:
        DataError: There are none.
    """
    wrapper = next((k for k in WRAPPERS if isinstance(content.get(k), Mapping) or k == "state_dict" in content), None)
    weights = content if wrapper is None else content[wrapper]
    if not isinstance(weights, Mapping):
        raise DataError(f"{path}: its {wrapper!r} is a {type(weights).__name__}, expected tensors by name.")
    return dict(_renamed(weights))


def shape_of(weights: Mapping[str, Tensor], name: str) -> Shape:
    """Read width and classes off the tensors of a supernet with the ImageNet stem.

    Raises:
        DataError: They belong to no MobileNetV3 supernet.
    """
    try:
        found = (
            len(weights["first_conv.conv.weight"]),
            tuple(len(weights[f"blocks.{1 + MAX_DEPTH * s}.conv.point_linear.conv.conv.weight"]) for s in range(5)),
            len(weights["final_expand_layer.conv.weight"]),
            len(weights["feature_mix_layer.conv.weight"]),
        )
        n_classes = len(weights["classifier.linear.weight"])
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{name} holds no MobileNetV3 supernet: {error.args[0]!r} is missing. Expected a file of `supernet train` "
            "or a published ofa_mbv3_d234_e346_k357 one."
        ) from error
    for width in (1.0, 1.2, *(i / 100 for i in range(5, 801))):
        net = network(width, 224)
        if found == (net.stem, net.widths, net.expand, net.mix):
            return Shape(width=width, n_classes=n_classes)
    raise DataError(f"{name}: no width multiplier gives its channels {found}.")


def _renamed(weights: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yield tensors under the present names: older files name a block's content differently."""
    for key, value in weights.items():
        name = str(key)
        while name.startswith(PREFIXES):
            name = name.partition(".")[2]
        yield name.replace(".mobile_inverted_conv.", ".conv."), value


def _first_fault(message: str) -> str:
    """Return the first fault that torch lists, on one line."""
    lines = [line.strip() for line in message.splitlines()[1:] if line.strip()]
    return lines[0] if lines else message

"""Weights from elsewhere: timm's own, or a file of a state_dict, to start from or to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smemnas.bench.errors import DataError, UserError
from smemnas.bench.train.networks.mnv3.checkpoint import read, tensors_of
from smemnas.bench.train.retrain.plan import PRETRAINED

Moments = tuple[tuple[float, ...], tuple[float, ...]]


class Renormalised(nn.Module):
    """A network that was trained on images of other moments.

    Args:
        net: The network.
        given: Mean and standard deviation by which images come normalised.
        own: Those that the network expects.
    """

    def __init__(self, net: nn.Module, given: Moments, own: Moments) -> None:
        super().__init__()
        self.net = net
        mean, std, own_mean, own_std = (torch.tensor(v).view(-1, 1, 1) for v in (*given, *own))
        self.register_buffer("scale", std / own_std)
        self.register_buffer("shift", (mean - own_mean) / own_std)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(n, n_classes)``."""
        answers: Tensor = self.net(images * self.scale + self.shift)
        return answers


def named_weights(name: str, source: str) -> dict[str, Tensor]:
    """Return weights for a model of timm.

    Args:
        name: Of timm.
        source: "pretrained", or a file: torch's or safetensors', perhaps with prefixes and wrappers of others.

    Raises:
        DataError: The file cannot be read, or timm's weights are not here and cannot be fetched.
    """
    if source != PRETRAINED:
        return file_weights(Path(source))
    import timm

    if not timm.is_model_pretrained(name):
        raise UserError(f"timm publishes no weights for {name}: name a file, or another model.")
    try:
        net: Any = timm.create_model(name, pretrained=True)
    except Exception as error:  # whatever the hub's client raises without a network
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(
            f"timm's weights of {name} are not on this machine and cannot be fetched ({reason}): connect once, or name "
            "a file of them."
        ) from error
    return dict(net.state_dict())


def file_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name.

    Raises:
        DataError: It cannot be read or holds no tensors by name.
    """
    if path.suffix != ".safetensors":
        return tensors_of(read(path), path)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return tensors_of(load_file(path), path)
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(f"{path} is no readable safetensors file: {' '.join(str(error).split())[:200]}.") from error


def fill(net: Any, name: str, weights: Mapping[str, Tensor], source: str, *, whole: bool) -> bool:
    """Load weights into a model of timm.

    Args:
        net: The model.
        name: Its name.
        weights: By name.
        source: For messages.
        whole: Whether the classifier has to come along; else it stays as it is where it knows other classes.

    Returns:
        Whether the classifier came along.

    Raises:
        DataError: They are those of another model.
    """
    own = net.state_dict()
    heads = tuple(_heads(net))
    given = dict(weights)
    for key in [key for key in given if key.startswith(heads)]:
        if key not in own or own[key].shape != given[key].shape:
            if whole:
                raise DataError(
                    f"{source} knows other classes than the images have: its {key} is {_size(given[key])}, "
                    f"expected {_size(own.get(key))}."
                )
            given = {k: value for k, value in given.items() if not k.startswith(heads)}
            break
    body = [key for key in own if not key.startswith(heads)]
    missing = next((key for key in body if key not in given), None)
    if missing is not None:
        raise DataError(f"{source} holds no weights of timm's {name}: {missing} is missing.")
    wrong = next((key for key in given if key not in own or own[key].shape != given[key].shape), None)
    if wrong is not None:
        found = f"is {_size(given[wrong])}, expected {_size(own[wrong])}" if wrong in own else "does not belong there"
        raise DataError(f"{source} holds weights of something else than timm's {name}: {wrong} {found}.")
    net.load_state_dict(given, strict=False)
    return any(key.startswith(heads) for key in given)


def _heads(net: Any) -> list[str]:
    """Return what the names of a classifier's tensors begin with."""
    head = getattr(net, "pretrained_cfg", {}).get("classifier", "classifier")
    return [f"{part}." for part in ([head] if isinstance(head, str) else head)]


def _size(value: Tensor | None) -> str:
    """Return the shape of a tensor as text."""
    return "nothing" if value is None else " x ".join(map(str, value.shape)) or "one number"


def own_moments(net: Any) -> Moments:
    """Return mean and standard deviation of the images that timm trained a model on."""
    config = net.pretrained_cfg
    return tuple(config["mean"]), tuple(config["std"])

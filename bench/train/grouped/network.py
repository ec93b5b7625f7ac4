"""Networks of one architecture as one: their channels side by side, each of which sees those of its own network alone.

A feature map is ``(n, k * c, h, w)``, network by network: a convolution gets k times its groups, a batch norm k times
its channels, a linear layer is one product for each network. Whatever works on each channel by itself stays as it is.
Every parameter is those of the k networks, one after the other along the first axis, under the name that it has in
each of them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from smemnas.bench.errors import UserError
from smemnas.bench.train.faults import is_out_of_memory

#: Modules without weights that work on each channel by itself, or keep the order of all values.
BY_CHANNEL = (
    *(nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Sigmoid, nn.Tanh, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh),
    *(nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ZeroPad2d, nn.Upsample),
    *(nn.Flatten, nn.Sequential, nn.ModuleList),
)
#: Images of the comparison with the single networks, and how far the largest value may be off.
COMPARED, APART = 4, 1e-6


class GroupedLinear(nn.Module):
    """A linear layer of each of k networks.

    Args:
        layers: Of one shape.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.members = len(layers)
        self.weight = nn.Parameter(torch.cat([layer.weight.detach() for layer in layers]))
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self.bias = nn.Parameter(torch.cat(biases)) if biases else None

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, k * c_out)`` of ``(n, k * c_in)``."""
        k = self.members
        inputs = x.unflatten(1, (k, -1)).transpose(0, 1)
        weights = self.weight.unflatten(0, (k, -1)).transpose(1, 2)
        if self.bias is None:
            outputs = torch.bmm(inputs, weights)
        else:
            outputs = torch.baddbmm(self.bias.unflatten(0, (k, 1, -1)), inputs, weights)
        return outputs.transpose(0, 1).flatten(1)


class _Part(NamedTuple):
    """A module of each network, and its name for messages."""

    name: str
    modules: tuple[nn.Module, ...]


def grouped(members: Sequence[nn.Module], side: int) -> nn.Module:
    """Return networks as one that computes what they compute.

    That is compared on a few random images, so that a network whose own code mixes channels is found out.

    Args:
        members: k networks of one architecture on the CPU, which stay as they are.
        side: Of their images.

    Returns:
        Takes images ``(n, k * 3, h, w)``, gives logits ``(n, k * n_classes)``, both network by network.

    Raises:
        UserError: They have a module that is not known to work so, or compute something else together.
    """
    first = copy.deepcopy(members[0])
    if len(list(first.parameters())) != len(list(first.named_parameters(remove_duplicate=False))):
        raise _refused(first, "shares weights between its modules")
    together = _widened(_Part("", (first, *members[1:])))
    _compare(together, members, side)
    return together


def member_states(network: nn.Module, k: int) -> list[dict[str, Tensor]]:
    """Return the weights of each of k networks that were made one, as the network alone has them."""
    parts = {
        name: value.chunk(k) if value.ndim else (value,) * k  # a number of steps is the same for all
        for name, value in network.state_dict().items()
    }
    return [{name: values[i].clone() for name, values in parts.items()} for i in range(k)]


def side_by_side(batch: Tensor, k: int) -> Tensor:
    """Return images ``(k * n, c, h, w)`` of k networks, one network's after the other's, as ``(n, k * c, h, w)``."""
    return batch.unflatten(0, (k, -1)).transpose(0, 1).flatten(1, 2).contiguous()


def _widened(part: _Part) -> nn.Module:
    """Return the modules as one; the first of them is changed."""
    first, k = part.modules[0], len(part.modules)
    if isinstance(first, nn.Linear):
        return GroupedLinear([m for m in part.modules if isinstance(m, nn.Linear)])
    own = bool(first._parameters or first._buffers)
    if isinstance(first, nn.Conv2d):
        first.in_channels, first.out_channels, first.groups = (
            k * n for n in (first.in_channels, first.out_channels, first.groups)
        )
    elif isinstance(first, _BatchNorm):
        first.num_features *= k
    elif own or not (type(first) in BY_CHANNEL or list(first.children())):
        raise _refused(first, f"is not known to work channel by channel ({part.name})")
    for values in (first._parameters, first._buffers):
        for name, value in values.items():
            if value is not None and value.ndim:
                joined = torch.cat([getattr(module, name).detach() for module in part.modules])
                values[name] = nn.Parameter(joined, value.requires_grad) if values is first._parameters else joined
    for name, _ in list(first.named_children()):
        children = tuple(getattr(module, name) for module in part.modules)
        setattr(first, name, _widened(_Part(f"{part.name}.{name}".lstrip("."), children)))
    return first


@torch.no_grad()
def _compare(together: nn.Module, members: Sequence[nn.Module], side: int) -> None:
    """Compare outputs in training mode, where batch norms keep all values in sight.

    Raises:
        UserError: They differ.
    """
    draws, k = torch.Generator().manual_seed(0), len(members)
    images = torch.randn(k * COMPARED, 3, side, side, dtype=torch.float64, generator=draws)
    wanted = torch.cat([_outputs(network, part) for network, part in zip(members, images.chunk(k), strict=True)], dim=1)
    try:
        found = _outputs(together, side_by_side(images, k))
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise _refused(together, "cannot compute with channels of several networks") from error
    if found.shape != wanted.shape or not (found - wanted).abs().max() <= APART * wanted.abs().max():
        raise _refused(together, "mixes channels, or draws random numbers")


def _outputs(network: nn.Module, images: Tensor) -> Tensor:
    """Return what a network makes of images in double precision, which changes nothing in it."""
    own = dict(network.named_parameters()) | dict(network.named_buffers())
    exact = {
        name: value.to(torch.float64 if value.is_floating_point() else None, copy=True) for name, value in own.items()
    }
    found: Tensor = functional_call(network.train(), exact, (images,))
    return found


def _refused(module: nn.Module, why: str) -> UserError:
    """Return the refusal of a module."""
    return UserError(
        f"networks cannot be trained as a group, since {type(module).__name__} {why}: leave out grouped=..."
    )

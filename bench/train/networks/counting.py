"""Parameters and multiply-adds of any network, counted on the network itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def parameters(net: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in net.parameters())


@torch.no_grad()
def multiply_adds(net: nn.Module, resolution: int) -> int:
    """Return the multiply-adds of convolutions and linear layers for one square image.

    Batch norm, biases, activations, pooling and residual sums are free, as in the costs of the space mnv3.
    """
    total = 0

    def count(module: Any, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += output.numel() * module.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    training = net.training
    try:
        weight = next(net.parameters())
        net.eval()(torch.zeros(1, 3, resolution, resolution, dtype=weight.dtype, device=weight.device))
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return total

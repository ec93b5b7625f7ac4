"""Graphs as PyTorch runs them: layer by layer, as a network that `export` leaves in PyTorch is run."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from smemnas.bench.errors import UserError
from smemnas.bench.latency.device import processor_name
from smemnas.bench.latency.graph import Graph, Operation
from smemnas.bench.latency.rounds import Call

if TYPE_CHECKING:
    from torch import Tensor


def torch_call(graph: Graph, threads: int, batch: int, device: str) -> Call:
    """Return a function that runs a graph once on random images; on a GPU it waits for the end.

    Args:
        graph: The network, which gets random weights.
        threads: Of the processor; 0 leaves PyTorch's own number.
        batch: Images of a call.
        device: "cpu" or "cuda".
    """
    import torch

    if threads:
        torch.set_num_threads(threads)
    modules = [_module(operation).to(device).eval() for operation in graph.operations]
    images = torch.rand(batch, *graph.shape, generator=torch.Generator().manual_seed(0)).to(device)
    last_use = {number: k for k, operation in enumerate(graph.operations) for number in operation.inputs}

    def call() -> Tensor:
        values: dict[int, Tensor] = {0: images}
        with torch.inference_mode():
            for k, (operation, module) in enumerate(zip(graph.operations, modules, strict=True)):
                values[operation.output] = module(*(values[n] for n in operation.inputs))
                for number in set(operation.inputs):
                    if last_use[number] == k:  # memory is given back as in a network of modules
                        del values[number]
        if device != "cpu":
            torch.cuda.synchronize()
        return values[graph.operations[-1].output]

    return call


def torch_machine(threads: int, batch: int, device: str) -> dict[str, Any]:
    """Return what a table says of this machine under PyTorch.

    Raises:
        UserError: There is no GPU where one is asked for.
    """
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        raise UserError("--runtime torch-cuda needs a CUDA device, PyTorch sees none: take torch or onnxruntime.")
    return {
        "processor": processor_name() if device == "cpu" else torch.cuda.get_device_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "runtime": "torch" if device == "cpu" else "torch-cuda",
        "runtime_version": torch.__version__,
        "threads": threads,
        "batch": batch,
    }


def _module(op: Operation) -> Any:
    """Return the module of one operation."""
    import torch
    from torch import nn

    if op.kind == "conv":
        padding = op.kernel // 2
        conv = nn.Conv2d(op.c_in, op.c_out, op.kernel, op.stride, padding, groups=op.groups, bias=op.bias)
        return nn.Sequential(conv, nn.BatchNorm2d(op.c_out)) if op.norm else conv
    if op.kind == "average":
        padding = op.kernel // 2 if op.padded else 0
        return nn.AvgPool2d(op.kernel, op.stride, padding, count_include_pad=not op.padded)
    simple: dict[str, Any] = {
        "linear": lambda: nn.Linear(op.c_in, op.c_out),
        "norm": lambda: nn.BatchNorm2d(op.c_in),
        "relu": nn.ReLU,
        "relu6": nn.ReLU6,
        "hardswish": nn.Hardswish,
        "hardsigmoid": nn.Hardsigmoid,
        "flatten": lambda: nn.Flatten(1),
        "pool": lambda: nn.AdaptiveAvgPool2d(1),
        "mean": lambda: _Function(lambda x: x.mean((2, 3), keepdim=True)),
        "add": lambda: _Function(torch.add),
        "mul": lambda: _Function(torch.mul),
    }
    return simple[op.kind]()


class _Function:
    """A function where a module is expected."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def to(self, device: str) -> _Function:
        """Return itself."""
        return self

    def eval(self) -> _Function:
        """Return itself."""
        return self

    def __call__(self, *inputs: Any) -> Any:
        """Call the function."""
        return self.function(*inputs)

"""Graphs as ONNX files of a few kilobytes: weights are constants that the runtime unfolds when it opens the file.

What is computed, and how fast, is that of the same network with weights of its own: batch norms are folded into
convolutions, as `export` does it. Each weight is one over its fan-in, so that values neither grow nor become
denormal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.bench.latency.graph import Graph, Operation
from smemnas.bench.program import install

OPSET, IR_VERSION = 17, 8
INPUT, BIAS = "images", 0.1
PLAIN = {
    "relu": "Relu",
    "hardswish": "HardSwish",
    "add": "Add",
    "mul": "Mul",
    "pool": "GlobalAveragePool",
}


def onnx_bytes(graph: Graph) -> bytes:
    """Return a graph as an ONNX file with a free batch size.

    Raises:
        UserError: The package onnx is missing.
    """
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        raise UserError(f"this needs onnx and onnxruntime: {install('train')}") from error

    writer = _Writer(helper, TensorProto)
    for operation in graph.operations:
        writer.add(operation)
    given = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", *graph.shape])
    end = graph.operations[-1]
    sides = [] if end.kind in ("linear", "flatten") else ["height", "width"]
    last = helper.make_tensor_value_info(f"v{end.output}", TensorProto.FLOAT, ["batch", end.c_out, *sides])
    nodes = [*writer.weights, *writer.nodes]
    made = helper.make_graph(nodes, "block", [given], [last], writer.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="smemnas")
    model.ir_version = IR_VERSION
    return bytes(model.SerializeToString())


class _Writer:
    """Nodes and constants of one file."""

    def __init__(self, helper: Any, types: Any) -> None:
        self.helper, self.types = helper, types
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.constants: list[Any] = []

    def filled(self, name: str, shape: tuple[int, ...], value: float) -> str:
        """Add a tensor of one value, and return its name."""
        size = self.helper.make_tensor(f"{name}.shape", self.types.INT64, [len(shape)], list(shape))
        content = self.helper.make_tensor("value", self.types.FLOAT, [1], [value])
        self.constants.append(size)
        self.weights.append(self.helper.make_node("ConstantOfShape", [size.name], [name], value=content))
        return name

    def add(self, op: Operation) -> None:
        """Add one operation."""
        inputs, name = [f"v{n}" if n else INPUT for n in op.inputs], f"v{op.output}"
        if op.kind == "conv":
            weight: tuple[int, ...] = (op.c_out, op.c_in // op.groups, op.kernel, op.kernel)
            tensors = [self.filled(f"{name}.w", weight, 1.0 / float(np.prod(weight[1:])))]
            tensors += [self.filled(f"{name}.b", (op.c_out,), BIAS)] if op.norm or op.bias else []
            window = {"kernel_shape": [op.kernel] * 2, "strides": [op.stride] * 2, "pads": [op.kernel // 2] * 4}
            self.node("Conv", [*inputs, *tensors], name, group=op.groups, dilations=[1, 1], **window)
        elif op.kind == "linear":
            weight, bias = (op.c_out, op.c_in), (op.c_out,)
            tensors = [self.filled(f"{name}.w", weight, 1.0 / op.c_in), self.filled(f"{name}.b", bias, BIAS)]
            self.node("Gemm", [*inputs, *tensors], name, transB=1)
        elif op.kind == "norm":
            values = {"scale": 1.0, "shift": BIAS, "mean": 0.0, "var": 1.0}
            tensors = [self.filled(f"{name}.{key}", (op.c_in,), value) for key, value in values.items()]
            self.node("BatchNormalization", [*inputs, *tensors], name)
        elif op.kind == "average":
            pads = {"pads": [1] * 4, "count_include_pad": 0} if op.padded else {"count_include_pad": 1}
            self.node("AveragePool", inputs, name, kernel_shape=[op.kernel] * 2, strides=[op.stride] * 2, **pads)
        elif op.kind == "relu6":
            bounds = {f"{name}.low": 0.0, f"{name}.high": 6.0}
            for bound, value in bounds.items():
                self.constants.append(self.helper.make_tensor(bound, self.types.FLOAT, [], [value]))
            self.node("Clip", [*inputs, *bounds], name)
        elif op.kind == "hardsigmoid":
            self.node("HardSigmoid", inputs, name, alpha=1.0 / 6.0)
        elif op.kind == "mean":
            self.node("ReduceMean", inputs, name, axes=[2, 3], keepdims=1)
        elif op.kind == "flatten":
            self.node("Flatten", inputs, name, axis=1)
        else:
            self.node(PLAIN[op.kind], inputs, name)

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        """Add a node."""
        self.nodes.append(self.helper.make_node(kind, inputs, [output], **attributes))

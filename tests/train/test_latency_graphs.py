"""The graphs that are timed are the networks that `export` writes: the same operations on the same tensors."""

import io
import warnings
from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing: pip install -e '.[train]'")
onnx = pytest.importorskip("onnx", reason="onnx is missing: pip install -e '.[train]'")

from smemnas.bench.latency.networks import whole_network  # noqa: E402
from smemnas.bench.latency.onnx_files import onnx_bytes  # noqa: E402
from smemnas.bench.latency.torch_calls import torch_call  # noqa: E402
from smemnas.bench.train.networks.trainable import trainable_space  # noqa: E402

MNV3 = {"width": 0.35, "resolutions": (24, 32), "stem": "small"}
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
DECISIVE = ("strides", "pads", "group", "kernel_shape", "count_include_pad")
LEFT_OUT = {"Constant", "ConstantOfShape", "Identity"}


def exported(net, side):
    """Write a network as `export` does."""
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), (torch.zeros(2, 3, side, side),), data, input_names=["images"], opset_version=17, dynamo=False
        )
    return onnx.load_from_string(data.getvalue())


def operations(model):
    """Count operations by kind, shapes of their tensors and attributes that decide what is computed."""
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            shapes[node.output[0]] = next(
                tuple(onnx.numpy_helper.to_array(t)) for t in model.graph.initializer if t.name == node.input[0]
            )
        if node.op_type == "Identity" and node.input[0] in shapes:
            shapes[node.output[0]] = shapes[node.input[0]]
    found = Counter()
    for node in model.graph.node:
        if node.op_type in LEFT_OUT:
            continue
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        kept = {
            k: str(given[k]) for k in ("strides", "pads", "group", "kernel_shape", "count_include_pad") if k in given
        }
        if node.op_type == "AveragePool" and not any(given.get("pads", [])):
            kept = {"kernel_shape": kept["kernel_shape"], "strides": kept["strides"]}
        tensors = tuple(shapes[name] for name in node.input if shapes.get(name))
        found[node.op_type, tensors, tuple(sorted(kept.items()))] += 1
    return found


@pytest.mark.parametrize(
    ("name", "side", "shape", "archs"),
    [
        pytest.param("mnv3", 32, MNV3, ["r24-3334-7673-36567634-5353-3333"], marks=pytest.mark.long),
        ("nb201", 16, {"channels": 4, "cells": 1}, [CELL]),
        ("nats_sss", 16, {"channels": 4}, ["8:16:16:24:32"]),
        ("macro", 16, {"channels": 8}, ["02012100", "10201021"]),
    ],
)
def test_graphs_are_the_networks_that_are_exported(name, side, shape, archs):
    space = trainable_space(name, 10, side, **shape)
    for arch in archs:
        x = space.from_str(arch)
        net = space.build(x, 10)
        net = getattr(net, "network", net) if name == "mnv3" else net
        graph = whole_network(space, x)
        drawn, real = onnx.load_from_string(onnx_bytes(graph)), exported(net, graph.shape[1])
        assert operations(drawn) == operations(real)
        onnx.checker.check_model(drawn)


def test_cells_whose_parts_do_not_count_are_drawn_without_them():
    space = trainable_space("nb201", 10, 16, channels=4, cells=1)
    x = np.array([0, 0, 3, 3, 2, 3])  # nothing enters node 1: edges 1-2 and 1-3 compute constants
    graph = whole_network(space, x)
    kernels = Counter(op.kernel for op in graph.operations if op.kind == "conv" and op.c_in == op.c_out == 4)
    assert kernels == {3: 1}  # 0-3 alone


@pytest.mark.parametrize("name", ["mnv3", "nb201", "nats_sss", "macro"])
def test_pytorch_runs_what_is_drawn(name):
    items = MNV3 if name == "mnv3" else {"channels": 4}
    space = trainable_space(name, 7, 16, **items)
    x = space.sample(40, np.random.default_rng(0))[0]
    call = torch_call(whole_network(space, x), 1, 3, "cpu")
    first, second = call(), call()
    assert first.shape == (3, 7)
    assert torch.isfinite(first).all()
    assert torch.equal(first, second)

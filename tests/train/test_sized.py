"""Networks of nats_sss and macro: sizes against tables and counts, outputs against the description, a training."""

import numpy as np
import pytest
from test_cells import count, multiply_adds, random_norms

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.bench.train.networks.trainable import trainable_space

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
from small_images import one_thread  # noqa: E402, F401

from smemnas.bench.train.options import open_trained  # noqa: E402

F = torch.nn.functional
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("name", "bias"), [("nats_sss", 1), ("macro", 0)])
def test_networks_of_the_published_size_cost_what_the_table_says(name, bias):
    """The table's columns for its own architectures; nats_sss counts the classifier's bias, macro does not."""
    space = trainable_space(name, 10, 32)
    table = open_benchmark(name, "cifar10", ("error", "flops", "params"))
    X = space.sample(6, np.random.default_rng(1))
    values = table.evaluate(X, 0).F
    for x, (_, flops, params) in zip(X, values, strict=True):
        network = space.build(x, 10)
        assert count(network) == round(params * 1e6)
        assert multiply_adds(network, 32, bias) == round(flops * 1e6)
    np.testing.assert_array_equal(space.cost(X, "flops"), values[:, 1])


@pytest.mark.parametrize(("name", "bias"), [("nats_sss", 1), ("macro", 0)])
@pytest.mark.parametrize(("channels", "size", "n_classes"), [(2, 16, 10), (3, 24, 7)])
def test_networks_of_other_sizes_cost_what_the_space_says(name, bias, channels, size, n_classes):
    space = trainable_space(name, n_classes, size, channels=channels)
    X = np.vstack([space.sample(4, np.random.default_rng(2)), [[0] * space.n_var], [[2] * space.n_var]])
    for x, params, flops in zip(X, space.cost(X, "params"), space.cost(X, "flops"), strict=True):
        network = space.build(x, n_classes)
        assert count(network) == round(params * 1e6)
        assert multiply_adds(network, size, bias) == round(flops * 1e6)
        assert network(torch.zeros(2, 3, size, size)).shape == (2, n_classes)


def test_the_size_network_computes_what_the_paper_describes():
    torch.manual_seed(0)
    space = trainable_space("nats_sss", 5, 8, channels=2)
    network = space.build(np.array([1, 2, 2, 0, 3]), 5).double()  # the last cell changes its width, the second does not
    random_norms(network)
    network.eval()
    w = network.state_dict()

    def norm(name, h):
        return F.batch_norm(h, *(w[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")))

    def conv(name, h, stride=1):
        return norm(f"{name}.op.2", F.conv2d(F.relu(h), w[f"{name}.op.1.weight"], None, stride, 1))

    def cell(name, h):
        node = [h, conv(f"{name}.layers.0", h)]
        node.append(conv(f"{name}.layers.1", h) + conv(f"{name}.layers.2", node[1]))
        skip = h
        if f"{name}.layers.3.0.weight" in w:
            skip = norm(f"{name}.layers.3.1", F.conv2d(h, w[f"{name}.layers.3.0.weight"]))
        return skip + conv(f"{name}.layers.4", node[1]) + conv(f"{name}.layers.5", node[2])

    def reduction(name, h):
        inner = conv(f"{name}.conv_b", conv(f"{name}.conv_a", h, 2))
        return inner + F.conv2d(F.avg_pool2d(h, 2), w[f"{name}.downsample.1.weight"])

    images = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    h = norm("stem.1", F.conv2d(images, w["stem.0.weight"], None, 1, 1))
    for k in range(5):
        h = (reduction if k % 2 else cell)(f"cells.{k}", h)
    h = F.relu(norm("lastact.0", h)).mean((2, 3))
    torch.testing.assert_close(network(images), h @ w["classifier.weight"].T + w["classifier.bias"])
    projected = {k for k in range(5) if f"cells.{k}.layers.3.0.weight" in w}
    assert projected == {4}
    assert network.classifier.in_features == 8


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_joined_convolutions_learn_what_single_ones_learn(layout):
    space = trainable_space("nats_sss", 10, 8, channels=2)
    networks = []
    for joined in (False, True):
        torch.manual_seed(0)
        network = space.build(np.array([1, 2, 2, 0, 3]), 10).double().to(memory_format=layout)
        for cell in network.cells[::2]:
            cell.joined = joined
        optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
        draws = torch.Generator().manual_seed(1)
        for _ in range(4):
            images = torch.randn(8, 3, 8, 8, dtype=torch.float64, generator=draws).to(memory_format=layout)
            loss = F.cross_entropy(network(images), torch.arange(8))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        networks.append(network)
    single, joined = (network.state_dict() for network in networks)
    assert int(single["cells.4.layers.5.op.2.num_batches_tracked"]) == 4
    torch.testing.assert_close(joined, single)
    images = torch.randn(5, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(networks[1].eval()(images), networks[0].eval()(images))


def test_macro_identities_are_the_input_and_halve_by_a_convolution():
    torch.manual_seed(0)
    network = trainable_space("macro", 10, 8, channels=2).build(np.array([0, 0, 1, 0, 2, 0, 0, 0]), 10).eval()
    x = torch.randn(2, 4, 4, 4)
    assert torch.equal(network.layers[1](x), x)
    halved = network.layers[0](torch.randn(2, 2, 8, 8))
    assert halved.shape == (2, 4, 4, 4)
    assert (halved < 0).any()  # linear, no activation
    block = network.layers[4]
    h = torch.randn(2, 8, 2, 2)
    assert block.skips
    assert not network.layers[2].skips
    torch.testing.assert_close(block(h), h + block.conv(h))


@pytest.mark.parametrize("name", ["nats_sss", "macro"])
def test_they_learn_digits(name, tmp_path):
    benchmark = open_trained(name, "train+digits+tiny+channels=2+epochs=2", ("error", "flops"))
    benchmark.use_folder(tmp_path)
    x = np.array([[2] * benchmark.space.n_var if name == "nats_sss" else [1, 0, 1, 0, 0, 1, 0, 0]])
    outcome = benchmark.evaluate(x, 0)
    assert outcome.F[0, 0] < 60  # chance is 90
    assert outcome.F[0, 1] == benchmark.space.cost(x, "flops")[0]
    assert benchmark.provenance()["network"]["channels"] == 2


@pytest.mark.parametrize(
    ("name", "size", "options", "words"),
    [
        ("nats_sss", 10, {}, "halves images twice, so their side must be a multiple of 4, got 10"),
        ("macro", 12, {}, "halves images three times, so their side must be a multiple of 8, got 12"),
        ("macro", 16, {"channels": 0}, "at least 1 channel, got 0"),
        ("nats_sss", 16, {"cells": 2}, "cells does not apply to nats_sss"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(name, size, options, words):
    with pytest.raises(UserError, match=words):
        trainable_space(name, 10, size, **options)


def test_halving_with_channels_last_is_the_strided_convolution():
    """oneDNN's strided form writes beyond its memory here, and ends the process sooner or later."""
    from smemnas.bench.train.networks.macro import Halved

    torch.manual_seed(0)
    layer = Halved(4, 8)
    conv, norm = layer
    assert list(layer.state_dict())[:2] == ["0.weight", "1.weight"]
    assert (conv.kernel_size, conv.stride) == ((1, 1), (2, 2))
    for _ in range(6):
        x = torch.randn(64, 4, 16, 16)
        last = x.clone(memory_format=torch.channels_last).requires_grad_()
        plain = x.clone().requires_grad_()
        layer(last).pow(2).mean().backward()
        found, conv.weight.grad = conv.weight.grad.clone(), None
        norm(F.conv2d(plain, conv.weight, stride=2)).pow(2).mean().backward()
        torch.testing.assert_close(found, conv.weight.grad)
        torch.testing.assert_close(last.grad, plain.grad)
        conv.weight.grad = None

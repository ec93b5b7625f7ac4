"""Networks of the cell spaces: parameters, multiply-adds and outputs against independent computations."""

import numpy as np
import pytest

from smemnas.bench.errors import UserError
from smemnas.bench.train.networks.trainable import TrainableNB201, trainable_space
from smemnas.spaces.base import SPACES, Objective, SearchSpace
from smemnas.spaces.nb201 import NB201

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
from small_images import one_thread  # noqa: E402, F401

nn, F = torch.nn, torch.nn.functional
pytestmark = pytest.mark.usefixtures("one_thread")

SKIP_AND_DEAD = [
    [3, 3, 3, 3, 3, 3],
    [0, 0, 0, 0, 0, 0],  # nothing reaches the output
    [0, 0, 0, 0, 3, 0],  # a convolution that sees only zeros
    [0, 2, 3, 1, 4, 4],  # zeros through a convolution into a pooling
    [3, 4, 2, 0, 1, 0],  # edges that lead nowhere
    [1, 1, 1, 1, 1, 1],
]


def count(network):
    return sum(p.numel() for p in network.parameters())


def multiply_adds(network, size, bias=1):
    """Multiply-adds of convolutions and of linear layers, with their bias where a space counts it, by hooks."""
    total = []

    def add(module, arguments, output):
        if isinstance(module, nn.Conv2d):
            total.append(module.weight.numel() * output.shape[-1] * output.shape[-2])
        else:
            total.append(module.weight.numel() + bias * module.bias.numel())

    hooks = [m.register_forward_hook(add) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return sum(total)


def random_norms(network, seed=0):
    """Give every batch norm its own scale, shift and statistics, so that nothing hides behind ones and zeros."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)


def published_forward(weights, x, images, cells, training):
    """NAS-Bench-201's network from its description, edge by edge, on a dictionary of tensors."""

    def norm(name, h):
        mean, var = (weights[f"{name}.running_{part}"].detach().clone() for part in ("mean", "var"))
        return F.batch_norm(h, mean, var, weights[f"{name}.weight"], weights[f"{name}.bias"], training)

    def relu_conv_norm(name, h, padding, stride=1):
        return norm(f"{name}.2", F.conv2d(F.relu(h), weights[f"{name}.1.weight"], None, stride, padding))

    def cell(name, h):
        node = [h, 0 * h, 0 * h, 0 * h]
        for gene, (a, b) in enumerate([(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]):
            op = x[gene]
            if op == 1:
                node[b] = node[b] + node[a]
            elif op in (2, 3):
                node[b] = node[b] + relu_conv_norm(f"{name}.layers.{gene}.op", node[a], 0 if op == 2 else 1)
            elif op == 4:
                node[b] = node[b] + F.avg_pool2d(node[a], 3, 1, 1, count_include_pad=False)
        return node[3]

    def reduction(name, h):
        inner = relu_conv_norm(f"{name}.conv_a.op", h, 1, 2)
        inner = relu_conv_norm(f"{name}.conv_b.op", inner, 1)
        return inner + F.conv2d(F.avg_pool2d(h, 2), weights[f"{name}.downsample.1.weight"])

    h = norm("stem.1", F.conv2d(images, weights["stem.0.weight"], None, 1, 1))
    k = 0
    for stage in range(3):
        if stage:
            h = reduction(f"cells.{k}", h)
            k += 1
        for _ in range(cells):
            h = cell(f"cells.{k}", h)
            k += 1
    h = F.relu(norm("lastact.0", h)).mean((2, 3))
    return h @ weights["classifier.weight"].T + weights["classifier.bias"]


def test_parameters_of_fifty_cells_are_the_closed_form():
    space = trainable_space("nb201", 10, 32)
    X = space.sample(50, np.random.default_rng(1))
    built = [count(space.build(x, 10)) for x in X]
    assert built == np.rint(NB201().cost(X, "params") * 1e6).astype(int).tolist()
    assert len(set(built)) > 10


def test_costs_at_the_published_size_are_the_benchmarks():
    for n_classes, size in ((10, 32), (120, 16)):
        ours, published = TrainableNB201(n_classes, size), NB201(n_classes, size)
        X = ours.enumerate()
        for name in ("params", "flops"):
            np.testing.assert_array_equal(ours.cost(X, name), published.cost(X, name))


@pytest.mark.parametrize(("channels", "cells", "size", "n_classes"), [(4, 1, 8, 10), (6, 2, 20, 7)])
def test_costs_of_other_sizes_are_those_of_the_network(channels, cells, size, n_classes):
    space = trainable_space("nb201", n_classes, size, channels=channels, cells=cells)
    X = np.vstack([space.sample(6, np.random.default_rng(2)), [[3] * 6], [[0] * 6]])
    for x, params, flops in zip(X, space.cost(X, "params"), space.cost(X, "flops")):
        network = space.build(x, n_classes)
        assert count(network) == round(params * 1e6)
        for cell in network.cells:  # the benchmark counts edges that lead nowhere, so they are computed here too
            if hasattr(cell, "edges"):
                ends = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
                cell.edges = [(g, 0, 3) for g in range(len(ends)) if x[g] != 0]
        assert multiply_adds(network, size) == round(flops * 1e6)


@pytest.mark.parametrize("x", SKIP_AND_DEAD)
@pytest.mark.parametrize("training", [True, False])
def test_network_computes_what_the_paper_describes(x, training):
    torch.manual_seed(0)
    space = trainable_space("nb201", 5, 8, channels=3, cells=2)
    network = space.build(np.array(x), 5).double()
    random_norms(network)
    network.train(training)
    weights = {k: v.clone().requires_grad_(v.dtype == torch.float64) for k, v in network.state_dict().items()}
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    wanted = published_forward(weights, x, images, 2, training)
    logits = network(images)
    torch.testing.assert_close(logits, wanted)
    wanted.square().sum().backward()
    logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        gradient = weights[name].grad
        if parameter.grad is None:
            assert gradient is None or not gradient.any(), name
        else:
            torch.testing.assert_close(parameter.grad, gradient, msg=name)


def test_parameter_names_are_the_published_ones():
    network = trainable_space("nb201", 10, 32).build(np.array([3, 1, 2, 0, 4, 3]), 10)
    names = set(network.state_dict())
    for name in (
        "stem.0.weight",
        "cells.0.layers.0.op.1.weight",
        "cells.4.layers.5.op.2.running_var",
        "cells.5.conv_a.op.1.weight",
        "cells.11.downsample.1.weight",
        "cells.16.layers.2.op.2.bias",
        "lastact.0.weight",
        "classifier.bias",
    ):
        assert name in names
    assert not any(f"layers.{edge}." in name for name in names for edge in (1, 3, 4))


def test_batch_norm_options():
    from smemnas.bench.train.networks.nb201 import CellNetwork

    x = np.array([3] * 6)
    full, bare = CellNetwork(x, 10, 4, 1), CellNetwork(x, 10, 4, 1, affine=False, track=False)
    per_edge = 2 * (4 + 8 + 16)
    assert count(full) - count(bare) == 6 * per_edge + 2 * 2 * (8 + 16)
    images = torch.randn(6, 3, 8, 8)
    inner = [m for m in bare.cells.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(m.running_mean is None for m in inner)
    bare.eval()
    assert not torch.allclose(bare(images)[:1], bare(images[:1]))  # it normalises by the batch itself
    full.eval()
    torch.testing.assert_close(full(images)[:1], full(images[:1]))


def test_nb101_network_has_the_costs_of_the_space():
    pytest.importorskip("nasbench_pytorch", reason="needs nasbench-pytorch: pip install -e '.[train]'")
    space = trainable_space("nb101", 7, 8)
    x = space.sample(3, np.random.default_rng(0))[2]
    network = space.build(x, 7)
    assert count(network) == round(space.cost(x[None], "params")[0] * 1e6)
    assert multiply_adds(network, 8) == round(space.cost(x[None], "flops")[0] * 1e6)


def test_mnv3_network_has_the_costs_of_the_space_and_its_own_resolution():
    pytest.importorskip("timm", reason="needs timm: pip install -e '.[train]'")
    space = trainable_space("mnv3", 10, 8, resolutions=(32, 48))
    x = space.sample(1, np.random.default_rng(0))[0]
    x[-1] = 1
    network = space.build(x, 10)
    assert count(network) == round(space.cost(x[None], "params")[0] * 1e6)
    assert multiply_adds(network, 8, bias=0) == round(space.cost(x[None], "flops")[0] * 1e6)
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 10)


class Dots(SearchSpace):
    """A plug-in space with networks of its own."""

    name = "dots"
    n_choices = (3, 3)
    costs = (Objective("params", "M", True),)

    def __init__(self, n_classes=2):
        self.n_classes = n_classes

    def to_str(self, x):
        return f"{x[0]}{x[1]}"

    def from_str(self, arch):
        return np.array([int(c) for c in arch])

    def cost(self, X, name):
        return X.sum(axis=1) / 1e6

    def build(self, x, n_classes):
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, n_classes))


def test_a_plug_in_space_that_builds_is_trainable(monkeypatch):
    SPACES.discover()
    monkeypatch.setitem(SPACES._entries, "dots", SPACES.get("toy").__class__("dots", Dots))
    space = trainable_space("dots", 6, 8)
    assert isinstance(space, Dots)
    assert space.n_classes == 6
    assert space.build(np.array([1, 1]), 6)(torch.zeros(2, 3, 8, 8)).shape == (2, 6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: trainable_space("toy", 10, 8), ("toy", "nb201", "build")),
        (lambda: trainable_space("nb20", 10, 8), ("nb20", "nb201")),
        (lambda: trainable_space("mnv3", 10, 32, channels=8), ("channels", "mnv3")),
        (lambda: trainable_space("nb101", 10, 32, cells=1), ("cells", "nb101")),
        (lambda: trainable_space("nb201", 10, 30), ("multiple of 4", "30", "28")),
        (lambda: trainable_space("nb201", 10, 32, channels=0), ("1 channel", "0")),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(call, words):
    with pytest.raises(UserError) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)

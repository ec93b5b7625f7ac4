"""Zero-cost proxies against small independent computations of their formulas."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
from small_images import one_thread  # noqa: E402, F401

from smemnas.bench.errors import UserError  # noqa: E402
from smemnas.bench.train.images import open_images  # noqa: E402
from smemnas.bench.train.networks.trainable import trainable_space  # noqa: E402
from smemnas.bench.train.proxies.formulas import (  # noqa: E402
    PROXIES,
    SMALL,
    grad_norm,
    jacob_cov,
    nwot,
    proxies,
    synflow,
)

nn = torch.nn
pytestmark = pytest.mark.usefixtures("one_thread")


def perceptron(seed=0, bias=False):
    """Two layers on images of 2 x 2 pixels, in double precision."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=bias), nn.ReLU(), nn.Linear(5, 3, bias=bias)).double()


def batch(n=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, 2, 2, generator=generator).double(), torch.arange(n) % 3


def matrices(network):
    return [m.weight.detach().numpy() for m in network if isinstance(m, nn.Linear)]


def test_synflow_of_a_perceptron_is_the_sum_of_its_paths_once_per_layer():
    network = perceptron()
    first, second = map(np.abs, matrices(network))
    paths = (second @ first @ np.ones(12)).sum()
    assert synflow(network, *batch()) == pytest.approx(2 * paths)


def test_synflow_ignores_batch_norm_signs_and_leaves_the_network_alone():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2, bias=False))
    normed = nn.Sequential(plain[0], nn.BatchNorm2d(4), *plain[1:])
    normed[1].weight.data.fill_(7.0)
    before = {k: v.clone() for k, v in normed.state_dict().items()}
    inputs, labels = torch.randn(4, 3, 4, 4), torch.zeros(4, dtype=torch.int64)
    value = synflow(plain, inputs, labels)
    assert synflow(normed, inputs, labels) == pytest.approx(value)
    conv, linear = plain[0].weight.detach().double().abs().numpy(), plain[3].weight.detach().double().abs().numpy()
    hidden = np.repeat(conv.sum((1, 2, 3)), 4)  # a valid convolution of ones gives its summed kernel everywhere
    assert value == pytest.approx(2 * (linear @ hidden).sum())
    for k, v in normed.state_dict().items():
        assert torch.equal(v, before[k])
    assert normed(inputs).dtype == torch.float32
    assert not torch.allclose(normed[:2](inputs), normed[:1](inputs))  # its batch norm works again


def test_nwot_counts_relus_that_agree():
    network = perceptron()
    inputs, labels = batch()
    codes = inputs.flatten(1).numpy() @ matrices(network)[0].T > 0
    kernel = np.array([[(a == b).sum() for b in codes] for a in codes], dtype=float)
    sign, wanted = np.linalg.slogdet(kernel)
    assert sign > 0
    assert nwot(network, inputs, labels) == pytest.approx(wanted)
    assert nwot(network, torch.cat([inputs[:1], inputs[:1]]), labels[:2]) == -np.inf  # two that look alike


def test_grad_norm_sums_layers():
    network = perceptron()
    inputs, labels = batch()
    first, second = matrices(network)
    x = inputs.flatten(1).numpy()
    hidden = np.maximum(x @ first.T, 0)
    logits = hidden @ second.T
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    delta = (p - np.eye(3)[labels]) / len(x)
    above = delta.T @ hidden
    below = ((delta @ second) * (hidden > 0)).T @ x
    assert grad_norm(network, inputs, labels) == pytest.approx(np.linalg.norm(above) + np.linalg.norm(below))
    assert all(p.grad is None for p in network.parameters())


def test_jacob_cov_scores_the_spectrum_of_the_correlations():
    network = perceptron(3)
    inputs, labels = batch()
    first, second = matrices(network)
    active = inputs.flatten(1).numpy() @ first.T > 0
    jacobian = np.stack([second.sum(axis=0) * on @ first for on in active])
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(jacobian)).clip(0)
    wanted = -(np.log(eigenvalues + SMALL) + 1 / (eigenvalues + SMALL)).sum()
    assert jacob_cov(network, inputs, labels) == pytest.approx(wanted, rel=1e-4)


def test_jacob_cov_prefers_images_that_are_told_apart():
    torch.manual_seed(0)
    inputs, labels = batch()
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double()  # the same gradient everywhere
    assert jacob_cov(linear, inputs, labels) < jacob_cov(perceptron(3), inputs, labels)
    constant = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double()
    constant[1].weight.data.zero_()
    assert np.isnan(jacob_cov(constant, inputs, labels))


def test_values_depend_on_architecture_and_seed_alone():
    space = trainable_space("nb201", 10, 8, channels=4, cells=1)
    X = np.array([[3, 3, 3, 3, 3, 3], [1, 4, 2, 3, 0, 1], [1, 1, 1, 1, 1, 1]])
    values = proxies(space, X, "digits", batch=16)
    assert list(values) == ["synflow", "nwot", "grad_norm", "jacob_cov"]
    torch.manual_seed(77)
    turned = proxies(space, X[::-1], open_images("digits", "train"), names=("jacob_cov", "nwot"), batch=16)
    for name, found in turned.items():
        np.testing.assert_array_equal(found, values[name][::-1])
    other = proxies(space, X, "digits", batch=16, seed=1)
    for name, found in values.items():
        assert np.isfinite(found).all(), name
        assert (other[name] != found).any(), name
    assert values["synflow"][0] > values["synflow"][1] > values["synflow"][2]


def test_a_network_keeps_its_running_statistics():
    network = trainable_space("nb201", 10, 8, channels=3, cells=1).build(np.array([3, 2, 4, 1, 3, 2]), 10).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    for proxy in PROXIES.values():
        proxy(network, torch.randn(4, 3, 8, 8), torch.arange(4))
    for k, v in network.state_dict().items():
        assert torch.equal(v, before[k]), k
    assert not any(m._forward_hooks for m in network.modules())


def test_what_makes_no_sense_is_said():
    space = trainable_space("nb201", 10, 8, channels=3, cells=1)
    X = np.zeros((1, 6), dtype=np.int64)
    with pytest.raises(UserError, match="Did you mean 'nwot'"):
        proxies(space, X, "digits", names=("nwt",))
    with pytest.raises(UserError, match="at least 2"):
        proxies(space, X, "digits", batch=1)

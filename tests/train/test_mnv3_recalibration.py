"""Batch norm statistics of sub-networks against sums written out here, and accuracies of many at once."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install smemnas[train]")
pytest.importorskip("timm", reason="needs the extra 'train': pip install smemnas[train]")

from bench.errors import UserError  # noqa: E402
from bench.train.mnv3.layers import ConvNorm  # noqa: E402
from bench.train.mnv3.subnet import STEMS, Choices, Shape  # noqa: E402
from bench.train.mnv3.supernet import Supernet  # noqa: E402
from bench.train.mnv3.to_timm import extract_timm  # noqa: E402
from bench.train.recalibration import accuracies, accuracy, recalibrate, resize, set_statistics, statistics  # noqa: E402

SMALL = Shape(0.25, 4, *STEMS["small"], dropout=0.5)


@pytest.fixture(autouse=True)
def double_precision_on_one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


def batches(*sizes, side=16):
    return [torch.randn(n, 3, side, side) * (1 + i) + i for i, n in enumerate(sizes)]


def test_statistics_are_the_weighted_average_over_batches():
    """Every norm of a sub-network, from the inputs that it saw."""
    net, arch = Supernet(SMALL).train(), Choices().sample(np.random.default_rng(0))
    inputs = {}
    for module in net.modules():
        norm = module if isinstance(module, torch.nn.BatchNorm2d) else getattr(module, "bn", None)
        if isinstance(norm, torch.nn.BatchNorm2d) and type(module) is not ConvNorm:
            module.register_forward_pre_hook(lambda _, args, norm=norm: inputs.setdefault(norm, []).append(args[0]))
    with torch.no_grad():
        net.first_conv.bn.running_mean.fill_(float("nan"))  # nothing of what was there may remain
    recalibrate(net, batches(8, 8, 3), arch)
    assert len(inputs) == 4 + 3 * sum(arch.depths)
    weights = np.array([8, 8, 3]) / 19
    for norm, seen in inputs.items():
        c = seen[0].shape[1]
        mean = sum(w * x.mean((0, 2, 3)) for w, x in zip(weights, seen, strict=True))
        var = sum(w * x.var((0, 2, 3)) for w, x in zip(weights, seen, strict=True))
        assert torch.allclose(norm.running_mean[:c], mean, rtol=1e-10, atol=1e-12)
        assert torch.allclose(norm.running_var[:c], var, rtol=1e-10, atol=1e-12)
        assert norm.momentum == 0.1
    assert all(module.training for module in net.modules())


def test_recalibration_is_the_same_in_supernet_and_extracted_network():
    net, data = Supernet(SMALL).eval(), batches(8, 5)
    arch = Choices().sample(np.random.default_rng(1))
    alone = extract_timm(net, arch)
    recalibrate(alone, data)
    recalibrate(net, data, arch)
    first = {k: v.clone() for k, v in net.state_dict().items()}
    expected, test = extract_timm(net, arch), batches(4)[0]
    with torch.no_grad():
        assert torch.allclose(alone(test), expected(test), rtol=1e-10)
    recalibrate(net, data, arch)
    assert all(torch.equal(first[k], v) for k, v in net.state_dict().items()), "not deterministic"


def test_many_sub_networks_at_once_equal_one_by_one():
    net, rng = Supernet(SMALL).train(), np.random.default_rng(3)
    candidates = [(Choices().sample(rng), side) for side in (16, 12, 16)]
    calibration = batches(8, 8)
    data = [(images, torch.arange(len(images)) % 4) for images in batches(6, 5)]
    before = statistics(net)
    fetched = []

    def once():
        for i, batch in enumerate(data):
            fetched.append(i)
            yield batch

    found = accuracies(net, candidates, once(), calibration)
    assert fetched == [0, 1]
    assert net.training
    assert all(
        torch.equal(a, b) for x, y in zip(statistics(net), before, strict=True) for a, b in zip(x, y, strict=True)
    )
    for (arch, side), value in zip(candidates, found, strict=True):
        alone = extract_timm(net, arch)
        recalibrate(alone, [resize(images, side) for images in calibration])
        assert accuracy(alone, [(resize(images, side), labels) for images, labels in data]) == value
    plain = accuracies(net, candidates, data, None)
    assert plain[0] == accuracy(net, data, candidates[0][0])
    assert {round(v * 11 / 100, 6) for v in [*found, *plain]} <= set(range(12))


def test_statistics_go_back():
    net = Supernet(SMALL)
    before = statistics(net)
    recalibrate(net, batches(4), Choices().smallest())
    changed = statistics(net)
    set_statistics(net, before)
    assert torch.equal(statistics(net)[0][0], before[0][0])
    assert not torch.equal(changed[0][0], before[0][0])


def test_nothing_to_measure_is_an_error():
    net = Supernet(SMALL)
    with pytest.raises(UserError, match="at least one batch"):
        recalibrate(net, [], Choices().smallest())
    with pytest.raises(UserError, match="at least one batch"):
        accuracy(net, [], Choices().smallest())

"""Batch norm statistics of sub-networks against sums written out here, and accuracies of many at once."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")

from smemnas.bench.errors import RunError, UserError  # noqa: E402
from smemnas.bench.train.networks.mnv3.layers import ConvNorm  # noqa: E402
from smemnas.bench.train.networks.mnv3.subnet import Shape  # noqa: E402
from smemnas.bench.train.networks.mnv3.supernet import Supernet  # noqa: E402
from smemnas.bench.train.networks.mnv3.to_timm import extract_timm  # noqa: E402
from smemnas.bench.train.supernet.recalibration import accuracies, accuracy, recalibrate, resize  # noqa: E402
from smemnas.spaces.mnv3_choices import Choices  # noqa: E402
from smemnas.spaces.mnv3_costs import STEMS  # noqa: E402

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


def statistics(net):
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    return [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]


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


def test_the_company_of_a_sub_network_changes_nothing():
    """K at once, in another order, and after others one by one: the same bits; the supernet and the generator stay."""
    torch.set_default_dtype(torch.float32)
    net, rng = Supernet(SMALL).eval(), np.random.default_rng(4)
    candidates = [(Choices().sample(rng), side) for side in (16, 12, 16, 12, 16)]
    calibration, images = batches(16, 16), batches(40, 24)
    # Labels that some sub-network would give make the accuracies differ.
    guide = extract_timm(net, candidates[0][0])
    recalibrate(guide, calibration)
    with torch.no_grad():
        data = [(x, guide(x).argmax(1)) for x in images]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = torch.get_rng_state()
    together = accuracies(net, candidates, data, calibration)
    backwards = accuracies(net, candidates[::-1], data, calibration)[::-1]
    one_by_one = [accuracies(net, [candidate], data, calibration)[0] for candidate in candidates]
    assert together == backwards == one_by_one
    assert together[0] == 100.0
    assert len(set(together)) > 2
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_statistics_do_not_depend_on_what_was_measured_before():
    torch.set_default_dtype(torch.float32)
    net, data, rng = Supernet(SMALL).eval(), batches(8, 8), np.random.default_rng(5)
    first, other = Choices().sample(rng), Choices().largest()
    nets = [extract_timm(net, first) for _ in range(2)]
    recalibrate(nets[0], data)
    recalibrate(nets[1], batches(5))
    recalibrate(net, data, other)
    recalibrate(nets[1], data)
    for a, b in zip(statistics(nets[0]), statistics(nets[1]), strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])


@pytest.mark.parametrize("measured", [True, False])
def test_accuracies_are_those_of_the_networks_alone(measured):
    """Labels that a network alone gives are all right in the company of others, norms folded or not."""
    net, rng = Supernet(SMALL).eval(), np.random.default_rng(6)
    for module in net.modules():  # statistics and weights that folding could get wrong
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    candidates = [(Choices().sample(rng), side) for side in (16, 12)]
    calibration, images = batches(8, 8), batches(30, 20)
    for k, (arch, side) in enumerate(candidates):
        alone = extract_timm(net, arch)
        if measured:
            recalibrate(alone, [resize(x, side) for x in calibration])
        with torch.no_grad():
            data = [(x, alone(resize(x, side)).argmax(1)) for x in images]
        found = accuracies(net, candidates, data, calibration if measured else None)
        assert found[k] == 100.0
        assert found[1 - k] < 100.0


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_is_one_line(error, monkeypatch):
    def fail(*_):
        raise error

    net = Supernet(SMALL)
    data = [(images, torch.zeros(len(images))) for images in batches(6)]
    monkeypatch.setattr(torch.nn.Conv2d, "forward", fail)
    for call in (
        lambda: accuracies(net, [(Choices().smallest(), 12)], data, None),
        lambda: recalibrate(net, [resize(x, 12) for x, _ in data], Choices().smallest()),
    ):
        with pytest.raises(RunError, match="out of memory on cpu with 6 images of 12 x 12 pixels") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_nothing_to_measure_is_an_error():
    net = Supernet(SMALL)
    with pytest.raises(UserError, match="at least one batch"):
        recalibrate(net, [], Choices().smallest())
    with pytest.raises(UserError, match="at least one batch"):
        accuracy(net, [], Choices().smallest())

"""Networks as one grouped network: the same outputs, gradients and weights; what mixes channels is refused."""

import numpy as np
import pytest

from smemnas.bench.errors import UserError
from smemnas.bench.train.networks.trainable import trainable_space

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs timm: pip install -e '.[train]'")
from small_images import one_thread  # noqa: E402, F401

from smemnas.bench.train.grouped.network import grouped, member_states, side_by_side  # noqa: E402

nn, F = torch.nn, torch.nn.functional
pytestmark = pytest.mark.usefixtures("one_thread")
SIZES = {
    "nb201": {"channels": 2, "cells": 1},
    "nats_sss": {"channels": 2},
    "macro": {"channels": 2},
    "mnv3": {"width": 0.1, "resolutions": (8,), "stem": "small"},
}


def built(name, k):
    """Networks of one architecture with weights of their own, of double precision."""
    space = trainable_space(name, 5, 8, **SIZES[name])
    x = space.sample(1, np.random.default_rng(3))[0]
    if name == "macro":
        x[:3] = 0, 2, 1  # a halving identity, and both kinds of residual
    return [space.build(x, 5).double() for _ in range(k)]


def step(network, images, labels, optimizer, k=1):
    """The losses of k networks before a step on their sum."""
    logits = network(images).unflatten(1, (k, -1)).transpose(0, 1)
    losses = torch.stack([F.cross_entropy(own, target) for own, target in zip(logits, labels, strict=True)])
    optimizer.zero_grad()
    losses.sum().backward()
    optimizer.step()
    return losses.detach()


@pytest.mark.parametrize("name", ["nb201", "nats_sss", "macro", pytest.param("mnv3", marks=pytest.mark.long)])
def test_a_grouped_network_learns_what_its_members_learn_alone(name):
    torch.manual_seed(0)
    k, members = 3, built(name, 3)
    together = grouped(members, 8)
    networks = [*members, together]
    assert [name for name, _ in together.named_parameters()] == [name for name, _ in members[0].named_parameters()]
    optimizers = [
        torch.optim.SGD(n.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=1e-3) for n in networks
    ]
    for _ in range(3):
        images, labels = torch.randn(k, 6, 3, 8, 8, dtype=torch.float64), torch.randint(5, (k, 6))
        alone = [step(m, images[i], labels[i : i + 1], optimizers[i]) for i, m in enumerate(members)]
        losses = step(together, side_by_side(images.flatten(0, 1), k), labels, optimizers[-1], k)
        torch.testing.assert_close(losses, torch.cat(alone), rtol=1e-9, atol=1e-12)
    assert len({loss.item() for loss in losses}) == k
    for member, state in zip(members, member_states(together, k), strict=True):
        torch.testing.assert_close(state, dict(member.state_dict()), rtol=1e-9, atol=1e-11)
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    logits = together.eval()(images.repeat(1, k, 1, 1)).unflatten(1, (k, -1))
    for i, member in enumerate(members):
        torch.testing.assert_close(logits[:, i], member.eval()(images), rtol=1e-9, atol=1e-11)


def test_members_stay_as_they_are_and_no_random_number_is_drawn():
    members = built("nats_sss", 2)
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in members]
    state = torch.get_rng_state()
    together = grouped(members, 8)
    assert torch.equal(torch.get_rng_state(), state)
    for member, own, found in zip(members, before, member_states(together, 2), strict=True):
        for name, value in own.items():
            assert torch.equal(member.state_dict()[name], value)
            assert torch.equal(found[name], value)
    assert not torch.equal(before[0]["stem.0.weight"], before[1]["stem.0.weight"])


class Net(nn.Sequential):
    """A small network whose code says what is done with the channels."""

    def __init__(self, mixed=lambda x: x, extra=None):
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), *([extra] if extra else []))
        self.head, self.mixed = nn.Linear(4, 5), mixed

    def forward(self, x):
        for module in list(self)[:-1]:
            x = module(x)
        return self.head(self.mixed(x).mean((2, 3)))


class Scaled(nn.Module):
    """A module with a weight of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.scale * x


class Shared(Net):
    """Two convolutions with one weight."""

    def __init__(self):
        super().__init__(extra=nn.Conv2d(4, 4, 1))
        self.again = nn.Conv2d(4, 4, 1)
        self.again.weight = self[2].weight


@pytest.mark.parametrize(
    ("build", "wanted"),
    [
        (lambda: Net(lambda x: x - x.mean(1, keepdim=True)), "Net mixes channels, or draws random numbers"),
        (lambda: Net(lambda x: x.flip(1)), "Net mixes channels"),
        (lambda: Net(lambda x: F.dropout(x, 0.5)), "Net mixes channels, or draws random numbers"),
        (lambda: Net(lambda x: x * torch.arange(4.0)[:, None, None]), "Net cannot compute with channels of several"),
        (lambda: Net(extra=nn.Dropout(0.5)), r"Dropout is not known to work channel by channel \(2\)"),
        (lambda: Net(extra=nn.ChannelShuffle(2)), "ChannelShuffle is not known"),
        (lambda: Net(extra=nn.GroupNorm(2, 4)), "GroupNorm is not known"),
        (lambda: Net(extra=Scaled()), "Scaled is not known"),
        (Shared, "Shared shares weights"),
    ],
)
def test_what_is_not_channel_by_channel_is_refused(build, wanted):
    with pytest.raises(UserError, match=f"cannot be trained as a group, since {wanted}.*leave out grouped="):
        grouped([build(), build()], 8)


def test_by_itself_the_same_network_is_taken():
    members = [Net(lambda x: F.relu(x) + x), Net(lambda x: F.relu(x) + x)]
    images = torch.randn(6, 3, 8, 8)
    found = grouped(members, 8)(side_by_side(images, 2))
    torch.testing.assert_close(found[:, 5:], members[1](images[3:]))

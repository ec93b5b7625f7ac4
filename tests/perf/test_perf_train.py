"""Speed of training: a step of the suite's loop beside one of a bare PyTorch loop (--benchmark-enable shows it)."""

import time
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[train]'")
from torch.nn import functional as F  # noqa: E402

from smemnas.bench.train import loop  # noqa: E402
from smemnas.bench.train.images import Images  # noqa: E402
from smemnas.bench.train.networks.trainable import trainable_space  # noqa: E402
from smemnas.bench.train.recipes import TrainingRecipe  # noqa: E402

STEPS, BATCH, ROUNDS = 8, 64, 15
CELL = np.array([3, 2, 4, 1, 3, 2])
#: Input - 1x1 convolution - max pooling - output, of NAS-Bench-101: little to compute, as its width is fixed.
LIGHT = "0100001000010000:input,conv1x1-bn-relu,maxpool3x3,output"


def images(n, split, side):
    pixels = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    labels = np.arange(n) % 10
    return Images("noise", split, pixels, np.arange(n), labels, 10, (0.5,) * 3, (0.25,) * 3, "")


def cell(side):
    return trainable_space("nb201", 10, side, channels=8, cells=1).build(CELL, 10)


def sized(side):
    return trainable_space("nats_sss", 10, side, channels=2).build(np.array([1, 6, 3, 4, 2]), 10)


def macro(side):
    return trainable_space("macro", 10, side, channels=8).build(np.array([1, 2, 0, 1, 2, 1, 0, 1]), 10)


def graph(side):
    space = trainable_space("nb101", 10, side)
    return space.build(space.from_str(LIGHT), 10)


def inverted(side):
    space = trainable_space("mnv3", 10, side, width=0.35, resolutions=[side], stem="small")
    return space.build(space.sample(1, np.random.default_rng(0))[0], 10)


def timed(optimizer, marks):
    """Let an optimizer note the processor time after each of its steps."""
    optimizer.register_step_post_hook(lambda *_: marks.append(time.process_time()))
    return optimizer


def bare(build, x, y):
    """Seconds of each step but the first on ready batches."""
    marks = []
    network = build().train()
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    timed(optimizer, marks)
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x[step]), y[step])
        loss.backward()
        optimizer.step()
    return np.diff(marks)


#: Network, side of its images, whether they are augmented.
NETWORKS = [
    (cell, 32, False),
    (cell, 32, True),
    (sized, 32, True),
    (macro, 16, True),
    (graph, 4, True),
    (inverted, 16, True),
]


@pytest.mark.parametrize(("build", "side", "augmented"), NETWORKS)
def test_a_step_costs_what_a_bare_step_costs(benchmark, tmp_path, monkeypatch, build, side, augmented):
    """Picking, augmenting and normalising the images, the schedule and all bookkeeping are in it.

    Processor time of one thread. The loops take turns, so that whatever else slows the machine slows both of a round,
    and the median over rounds of the ratio of their median steps counts.
    """
    torch.set_num_threads(1)
    recipe = TrainingRecipe(
        "perf", epochs=1, batch=BATCH, lr=0.1, weight_decay=5e-4, flip=augmented, crop=4 * augmented
    )
    training, x = images(STEPS * BATCH, "train", side), torch.randn(STEPS, BATCH, 3, side, side)
    y = torch.from_numpy(training.labels).view(STEPS, BATCH)
    make_optimizer, network = loop.make_optimizer, partial(build, side)

    def ours():
        marks = []
        monkeypatch.setattr(loop, "make_optimizer", lambda *a: timed(make_optimizer(*a), marks))
        loop.train(network, training, images(10, "valid", side), recipe, seed=0, folder=tmp_path)
        return np.diff(marks)

    assert len(ours()) == len(bare(network, x, y)) == STEPS - 1
    rounds, ratio = [], np.inf
    while ratio > 1.05 and len(rounds) < 3 * ROUNDS:  # near the bound, more rounds decide
        rounds += [[np.median(ours()), np.median(bare(network, x, y))] for _ in range(ROUNDS)]
        steps = np.array(rounds)
        ratio = np.median(steps[:, 0] / steps[:, 1])
    benchmark.pedantic(ours, rounds=1)
    benchmark.extra_info.update(ratio=ratio, step_ms=1e3 * np.median(steps[:, 0]))
    assert ratio <= 1.05, steps

"""Speed of training: a step of the suite's loop beside one of a bare PyTorch loop (--benchmark-enable shows it)."""

import time

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


def images(n, split):
    pixels = np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(n) % 10
    return Images("noise", split, pixels, np.arange(n), labels, 10, (0.5,) * 3, (0.25,) * 3, "")


def cell():
    return trainable_space("nb201", 10, 32, channels=8, cells=1).build(CELL, 10)


def sized():
    return trainable_space("nats_sss", 10, 32, channels=2).build(np.array([1, 6, 3, 4, 2]), 10)


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


@pytest.mark.parametrize(("build", "augmented"), [(cell, False), (cell, True), (sized, True)])
def test_a_step_costs_what_a_bare_step_costs(benchmark, tmp_path, monkeypatch, build, augmented):
    """Picking, augmenting and normalising the images, the schedule and all bookkeeping are in it.

    Processor time of one thread. The loops take turns, so that whatever else slows the machine slows both of a round,
    and the median over rounds of the ratio of their median steps counts.
    """
    torch.set_num_threads(1)
    recipe = TrainingRecipe(
        "perf", epochs=1, batch=BATCH, lr=0.1, weight_decay=5e-4, flip=augmented, crop=4 * augmented
    )
    training, x = images(STEPS * BATCH, "train"), torch.randn(STEPS, BATCH, 3, 32, 32)
    y = torch.from_numpy(training.labels).view(STEPS, BATCH)
    make_optimizer = loop.make_optimizer

    def ours():
        marks = []
        monkeypatch.setattr(loop, "make_optimizer", lambda *a: timed(make_optimizer(*a), marks))
        loop.train(build, training, images(10, "valid"), recipe, seed=0, folder=tmp_path)
        return np.diff(marks)

    assert len(ours()) == len(bare(build, x, y)) == STEPS - 1
    rounds, ratio = [], np.inf
    while ratio > 1.05 and len(rounds) < 3 * ROUNDS:  # near the bound, more rounds decide
        rounds += [[np.median(ours()), np.median(bare(build, x, y))] for _ in range(ROUNDS)]
        steps = np.array(rounds)
        ratio = np.median(steps[:, 0] / steps[:, 1])
    benchmark.pedantic(ours, rounds=1)
    benchmark.extra_info.update(ratio=ratio, step_ms=1e3 * np.median(steps[:, 0]))
    assert ratio <= 1.05, steps

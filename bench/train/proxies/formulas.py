"""Zero-cost proxies: what untrained networks tell about trained ones, from one batch of images. Larger is better.

* synflow: Tanaka et al., Pruning neural networks without any data, NeurIPS 2020, equation 2, summed over a network
  as in Abdelfattah et al., Zero-cost proxies for lightweight NAS, ICLR 2021.
* nwot: Mellor et al., Neural architecture search without training, ICML 2021, section 3.
* grad_norm: Abdelfattah et al., section 3.2.1.
* jacob_cov: the first version of Mellor et al., arXiv 2006.04647v1, section 3, with its constant k.

As in those papers networks are in training mode, so batch norm uses the batch's own statistics; synflow leaves
batch norm out, as its signal is lost otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.bench.errors import UserError, suggest
from smemnas.bench.train.batches import Pixels, prepare
from smemnas.bench.train.images import Images, open_images
from smemnas.bench.train.loop import INIT, ORDER, pinned, stream
from smemnas.bench.train.recipes import TrainingRecipe
from smemnas.spaces.base import FloatArray, IntArray, SearchSpace

#: Images of the batch.
BATCH = 64
#: Keeps the logarithm of a vanishing eigenvalue finite (section 3 of arXiv 2006.04647v1).
SMALL = 1e-5
#: Settings that a batch without augmentation needs.
_PLAIN = TrainingRecipe("proxies", epochs=1, batch=BATCH, lr=0.0)


class MeasuredProxies(NamedTuple):
    """Proxies of ``n`` architectures.

    Attributes:
        values: For each name ``(n,)``; -inf or NaN where a proxy is not defined, as for networks without ReLU.
        seconds: For each name ``(n,)`` CPU seconds, those of building the network included.
    """

    values: dict[str, FloatArray]
    seconds: dict[str, FloatArray]


def proxies(
    space: SearchSpace,
    X: IntArray,
    data: str | Images,
    *,
    names: Sequence[str] = (),
    seed: int = 0,
    batch: int = BATCH,
    size: int | None = None,
    device: str = "cpu",
) -> dict[str, FloatArray]:
    """Compute proxies of untrained networks, see `measure`.

    Args:
        space: As in `measure`, as are the others that are not listed here.
        X: Genotypes ``(n, n_var)``.
        data: Data set, or its training images; the batch comes from them.
        names: Which, of `PROXIES`; empty means all.
        seed: Of the first weights and of the batch.
        batch: Images.
        size: Side of the images; None keeps theirs.
        device: "cpu" or "cuda:K".

    Returns:
        For each name ``(n,)`` values.

    Raises:
        UserError: An unknown proxy, fewer than two images, or a network that cannot be built or run.
    """
    images = open_images(data, "train", size=size) if isinstance(data, str) else data
    return measure(space, X, images, names=names, seed=seed, batch=batch, device=device).values


def measure(
    space: SearchSpace,
    X: IntArray,
    images: Images,
    *,
    names: Sequence[str] = (),
    seed: int = 0,
    batch: int = BATCH,
    device: str = "cpu",
) -> MeasuredProxies:
    """Compute proxies of untrained networks and what each costs.

    Args:
        space: A space whose `build` works, see `bench.train.networks.trainable.trainable_space`.
        X: Genotypes ``(n, n_var)``.
        images: Where the batch comes from.
        names: Which, of `PROXIES`; empty means all.
        seed: Of the first weights and of the batch; the same batch for all architectures.
        batch: Images.
        device: "cpu" or "cuda:K".

    Raises:
        UserError: An unknown proxy, fewer than two images, or a network that cannot be built or run.
    """
    wanted = tuple(names) or tuple(PROXIES)
    for name in wanted:
        if name not in PROXIES:
            raise UserError(f"no zero-cost proxy {name!r}.{suggest(name, PROXIES)}")
    if batch < 2:
        raise UserError(f"proxies compare images: give a batch of at least 2, got {batch}.")
    found = MeasuredProxies(*({name: np.empty(len(X)) for name in wanted} for _ in range(2)))
    with pinned(_PLAIN, device):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(stream(seed, ORDER)))[:batch]
        raw = next(Pixels(images, torch.device(device)).batches([order]))
        inputs, labels = prepare(raw, _PLAIN, images), torch.from_numpy(images.labels)[order].to(device)
        for k, x in enumerate(X):
            torch.manual_seed(stream(seed, INIT))
            name = "build"
            try:
                start = time.process_time()
                network = space.build(x, images.n_classes).to(device).train()
                building = time.process_time() - start
                for name in wanted:
                    start = time.process_time()
                    found.values[name][k] = PROXIES[name](network, inputs, labels)
                    found.seconds[name][k] = building + time.process_time() - start
            except RuntimeError as error:  # memory, or images that are too small for the network
                reason = " ".join(str(error).split())
                raise UserError(f"proxies of {space.to_str(x)}: {name} failed ({reason}).") from error
    return found


def synflow(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return the sum over convolution and linear weights of |w dR/dw|.

    R is the summed output for an image of ones, with all parameters replaced by their absolute values and batch
    norms by the identity, in double precision.
    """
    with _linear_copy(network):
        ones = torch.ones((1, *inputs.shape[1:]), dtype=torch.float64, device=inputs.device)
        weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        gradients = torch.autograd.grad(network(ones).sum(), weights, allow_unused=True)
        terms = [(w * g).abs().sum() for w, g in zip(weights, gradients, strict=True) if g is not None]
        return float(torch.stack(terms).sum().detach()) if terms else 0.0


@contextmanager
def _linear_copy(network: nn.Module) -> Iterator[None]:
    """Make all parameters positive and double and batch norms the identity, and undo it afterwards."""
    state = {name: value.clone() for name, value in network.state_dict().items()}
    kind = next(network.parameters()).dtype
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    try:
        network.double()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.abs_()
        for norm in norms:
            norm.forward = _identity
        yield
    finally:
        for norm in norms:
            del norm.forward
        network.to(kind)
        network.load_state_dict(state)


def _identity(x: Tensor) -> Tensor:
    """Stand in for a batch norm."""
    return x


def nwot(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return log |K|, where K counts for each pair of images the ReLUs that agree on being active or not."""
    agreements = torch.zeros((len(inputs), len(inputs)), dtype=torch.float64, device=inputs.device)

    def count(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        on = (output > 0).flatten(1).to(torch.float32)  # counts stay exact below 2^24 per layer
        agreements.add_(on @ on.T + (1 - on) @ (1 - on).T)

    with _kept_state(network):
        hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.ReLU)]
        try:
            with torch.no_grad():
                network(inputs)
        finally:
            for hook in hooks:
                hook.remove()
    return float(torch.linalg.slogdet(agreements).logabsdet)


def grad_norm(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return the sum over convolution and linear layers of the norm of the loss gradient of their weights."""
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with _kept_state(network):
        loss = F.cross_entropy(network(inputs), labels)
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return float(sum(g.norm() for g in gradients if g is not None))


def jacob_cov(network: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Return minus the sum over eigenvalues s of log(s + k) + 1 / (s + k).

    The eigenvalues are those of the correlation matrix of the rows of the Jacobian: the gradients of the summed
    output by each image.
    """
    inputs = inputs.clone().requires_grad_()
    with _kept_state(network):
        (jacobian,) = torch.autograd.grad(network(inputs).sum(), inputs, allow_unused=True)
    if jacobian is None:
        return float("nan")
    rows = jacobian.flatten(1).double()
    rows = rows - rows.mean(dim=1, keepdim=True)
    lengths = rows.norm(dim=1, keepdim=True)
    if not bool((lengths > 0).all()):
        return float("nan")  # the output does not depend on some image: no correlation
    rows = rows / lengths
    eigenvalues = torch.linalg.eigvalsh(rows @ rows.T).clamp_(min=0.0)
    return float(-((eigenvalues + SMALL).log() + 1 / (eigenvalues + SMALL)).sum())


@contextmanager
def _kept_state(network: nn.Module) -> Iterator[None]:
    """Undo what a forward pass leaves in the running statistics."""
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    try:
        yield
    finally:
        for name, value in network.named_buffers():
            value.copy_(buffers[name])


PROXIES: dict[str, Callable[[nn.Module, Tensor, Tensor], float]] = {
    "synflow": synflow,
    "nwot": nwot,
    "grad_norm": grad_norm,
    "jacob_cov": jacob_cov,
}

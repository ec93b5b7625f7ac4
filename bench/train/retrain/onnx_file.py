"""ONNX files of exported networks: written, described, checked against torch."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.files import replacing
from smemnas.bench.program import install

#: Largest difference between ONNX and torch, relative to the largest logit, in single precision.
TOLERANCE = 1e-4
INPUT = "images"


class Deployed(nn.Module):
    """A network with what comes before and after it, in one graph.

    Args:
        net: Takes normalised images ``(n, 3, h, w)``.
        mean: Of the training pixels' channels, from 0 to 1; empty leaves normalisation to the caller.
        std: Their standard deviation.
        softmax: Answer with probabilities instead of logits.
    """

    def __init__(self, net: nn.Module, mean: Sequence[float] = (), std: Sequence[float] = (), *, softmax: bool) -> None:
        super().__init__()
        self.net = net
        self.normalises = bool(mean)
        self.softmax = softmax
        self.register_buffer("shift", 255 * torch.tensor(list(mean) or [0.0]).view(-1, 1, 1))
        self.register_buffer("scale", 255 * torch.tensor(list(std) or [1 / 255]).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits or probabilities ``(n, n_classes)`` of images, pixels from 0 to 255 if they are normalised."""
        if self.normalises:
            images = (images - self.shift) / self.scale
        answers: Tensor = self.net(images)
        return answers.softmax(1) if self.softmax else answers

    def fed(self, images: Tensor) -> Tensor:
        """Return normalised images as this network takes them."""
        return images * self.scale + self.shift if self.normalises else images

    @property
    def output(self) -> str:
        """Name of what it answers."""
        return "probabilities" if self.softmax else "logits"


def write_onnx(net: nn.Module, resolution: int, path: Path, about: Mapping[str, Any] | None = None) -> float:
    """Write an ONNX file with a free batch size and check it.

    Args:
        net: In evaluation mode on the CPU; perhaps `Deployed`.
        resolution: Side of the input.
        path: File to write.
        about: Becomes its metadata, each value as JSON.

    Returns:
        The largest difference of its answers from torch's on random images, relative to the largest answer.

    Raises:
        RunError: The difference is more than rounding, or the file cannot be written.
    """
    images = torch.randn(3, 3, resolution, resolution, generator=torch.Generator().manual_seed(0))
    output = "logits"
    if isinstance(net, Deployed):
        images, output = net.fed(images), net.output
    with replacing(path) as part:
        with warnings.catch_warnings():
            # The newer exporter takes minutes for such a network and needs one more package.
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.onnx.export(
                net,
                (images[:2],),
                str(part),
                input_names=[INPUT],
                output_names=[output],
                dynamic_axes={INPUT: {0: "batch"}, output: {0: "batch"}},
                opset_version=17,
                dynamo=False,
            )
        describe(part, about or {})
        difference = _difference(net, images, part)
        if not difference < TOLERANCE:
            raise RunError(
                f"the ONNX file differs from torch by {difference:.2g} of the largest logit, more than {TOLERANCE:g}: "
                "it was not kept. Another version of torch or onnxruntime may help; --no-onnx leaves it out."
            )
    return difference


def describe(file: Path, about: Mapping[str, Any]) -> None:
    """Write metadata into an ONNX file."""
    import onnx

    model = onnx.load(str(file))
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in about.items()})
    onnx.save(model, str(file))


def open_session(file: Path, threads: int = 1) -> Any:
    """Return a session of onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _difference(net: nn.Module, images: Tensor, file: Path) -> float:
    """Return the largest difference of an ONNX file's answers from torch's, relative to the largest answer."""
    session = open_session(file, torch.get_num_threads())
    with torch.no_grad():
        expected = net(images).numpy()
    found = session.run(None, {INPUT: images.numpy()})[0]
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def need_onnx() -> None:
    """Check that ONNX can be written and read.

    Raises:
        UserError: A package is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"ONNX needs the package {error.name}: {install('train')}, or leave it out with --no-onnx."
        ) from error

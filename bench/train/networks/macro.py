"""NAS-Bench-Macro's network: a stem, eight layers of inverted residuals or identities, a wide last convolution.

As in Su et al., CVPR 2021: a layer is nothing, an inverted residual with expansion 3 and a 3 x 3 kernel or one with
expansion 6 and a 5 x 5 kernel; the first of a stage halves the image, and "nothing" is there a 1 x 1 convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.spaces.base import IntArray
from smemnas.spaces.macro import IDENTITY, MB3_K3


def normed(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True) -> nn.Sequential:
    """Return convolution, batch norm and, unless it is linear, ReLU6."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), *([nn.ReLU6()] if active else []))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; with a skip where the shape stays."""

    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int, kernel: int) -> None:
        super().__init__()
        wide = expansion * c_in
        self.conv = nn.Sequential(
            normed(c_in, wide, 1), normed(wide, wide, kernel, stride, wide), normed(wide, c_out, 1, active=False)
        )
        self.skips = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, c_out, h / stride, w / stride)``."""
        return x + self.conv(x) if self.skips else self.conv(x)


class Halved(nn.Sequential):
    """A 1 x 1 convolution of every second pixel, and its norm, under the names that `normed` gives them.

    On a CPU with channels last, the backward pass of the strided convolution overwrites foreign memory where channels
    are few (oneDNN in PyTorch 2.14: 4 to 8 channels at 16 pixels end the process). The same of the pixels that it reads
    does not.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(*normed(c_in, c_out, 1, 2, active=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, c_out, h / 2, w / 2)``."""
        conv, norm = self
        if x.device.type == "cpu" and not x.is_contiguous():
            return norm(F.conv2d(x[:, :, ::2, ::2], conv.weight))
        return norm(conv(x))


def layer(choice: int, c_in: int, c_out: int, stride: int) -> nn.Module:
    """Return the module of one gene."""
    if choice != IDENTITY:
        expansion, kernel = (3, 3) if choice == MB3_K3 else (6, 5)
        return InvertedResidual(c_in, c_out, stride, expansion, kernel)
    return nn.Identity() if stride == 1 else Halved(c_in, c_out)


class MacroNetwork(nn.Module):
    """The whole network.

    Args:
        x: Genotype ``(8,)``.
        n_classes: Size of the classifier.
        stem: Channels of the stem.
        layers: Input channels, output channels and stride of each layer.
        head: Channels of the last convolution.
    """

    def __init__(
        self, x: IntArray, n_classes: int, stem: int, layers: Sequence[tuple[int, int, int]], head: int
    ) -> None:
        super().__init__()
        self.stem = normed(3, stem, 3)
        self.layers = nn.ModuleList(layer(int(v), *shape) for v, shape in zip(x, layers, strict=True))
        self.head = normed(layers[-1][1], head, 1)
        self.classifier = nn.Linear(head, n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(n, n_classes)`` of images ``(n, 3, h, w)``."""
        x = self.stem(images)
        for module in self.layers:
            x = module(x)
        return self.classifier(F.adaptive_avg_pool2d(self.head(x), 1).flatten(1))

"""OFA-MobileNetV3 networks that are trained from scratch: timm's model behind a layer that resizes its input."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from smemnas.bench.train.networks.mnv3.subnet import Shape
from smemnas.bench.train.networks.mnv3.to_timm import build_timm
from smemnas.spaces.base import IntArray


class Resized(nn.Module):
    """A network at its own resolution, whatever size the images have.

    Args:
        size: Side of the images that the network sees.
        network: The network.
    """

    def __init__(self, size: int, network: nn.Module) -> None:
        super().__init__()
        self.size = size
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(n, n_classes)`` of images ``(n, 3, h, w)``, resized bilinearly with antialiasing."""
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        return self.network(images)


def build_mnv3(x: IntArray, resolution: int, shape: Shape) -> nn.Module:
    """Return the network of genotype ``(46,)`` with random weights."""
    return Resized(resolution, build_timm(x, shape))

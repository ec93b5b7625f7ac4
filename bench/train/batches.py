"""From stored pixels to what a network sees: batches, augmentation, normalisation, all on whole batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from smemnas.bench.errors import UserError
from smemnas.bench.train.images import Images
from smemnas.bench.train.recipes import TrainingRecipe

#: Data sets up to so many bytes are kept on the GPU.
RESIDENT = 4 << 30
#: Random numbers, on the CPU: of one training, or of several whose equal parts of a batch follow one another.
Draws: TypeAlias = torch.Generator | Sequence[torch.Generator]


class Pixels:
    """Images of one split, given out in batches.

    On the CPU, and on a GPU that can hold them, batches are picked where the images are. A GPU gets a copy of this
    split alone, once: keep the object for as long as it is read. Otherwise a thread picks the next batch on the host
    while the current one is computed.
    """

    def __init__(self, images: Images, device: torch.device) -> None:
        self.images = images
        self.device = device
        self.stored: Tensor | None = None
        if device.type == "cpu":
            self.stored, self.index = torch.from_numpy(images.pixels), torch.from_numpy(images.index)
        elif len(images) * images.pixels[:1].nbytes <= RESIDENT:
            self.stored = torch.from_numpy(images.take()).to(device)
            self.index = torch.arange(len(images), device=device)

    def batches(self, rows: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield ``(b, h, w, 3)`` uint8 for each tensor of positions in the split ``(b,)``."""
        if self.stored is not None:
            for at in rows:
                if self.device.type == "cpu":
                    self.images.check(at.numpy())
                yield self.stored[self.index[at.to(self.device)]]
            return
        with ThreadPoolExecutor(1) as ahead:
            waiting = ahead.submit(self._pick, rows[0])
            for following in [*rows[1:], None]:
                batch = waiting.result()
                if following is not None:
                    waiting = ahead.submit(self._pick, following)
                yield batch.to(self.device, non_blocking=True)

    def _pick(self, at: Tensor) -> Tensor:
        """Return one batch on the host."""
        batch = torch.from_numpy(self.images.take(at.numpy()))
        return batch.pin_memory() if self.device.type == "cuda" else batch


def augment(raw: Tensor, recipe: TrainingRecipe, images: Images, draws: Draws) -> Tensor:
    """Return a training batch: mirrored, cropped, AutoAugment, normalised, cutout, as far as the recipe says.

    Args:
        raw: Images ``(b, h, w, 3)`` uint8.
        recipe: What to do.
        images: Gives mean and standard deviation.
        draws: Random numbers; AutoAugment takes torch's own, so it is for one training at a time.

    Returns:
        ``(b, 3, h, w)`` float32.
    """
    if recipe.crop or recipe.flip:
        raw = _crop_and_flip(raw, recipe, draws)
    if recipe.autoaugment:
        from torchvision.transforms import AutoAugment, AutoAugmentPolicy

        policy = AutoAugment(AutoAugmentPolicy.CIFAR10)
        host = raw.permute(0, 3, 1, 2).cpu()  # its histograms have no deterministic form on a GPU
        raw = torch.stack([policy(image) for image in host]).permute(0, 2, 3, 1).to(raw.device)
    batch = prepare(raw, recipe, images)
    return cut_out(batch, recipe.cutout, draws) if recipe.cutout else batch


def prepare(raw: Tensor, recipe: TrainingRecipe, images: Images) -> Tensor:
    """Return images ``(b, h, w, 3)`` uint8 as normalised ``(b, 3, h, w)`` float32 in the recipe's memory layout."""
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    mean, std = (torch.tensor(v, device=raw.device).mul_(255).view(3, 1, 1) for v in (images.mean, images.std))
    return raw.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout).sub_(mean).div_(std)


def _crop_and_flip(raw: Tensor, recipe: TrainingRecipe, draws: Draws) -> Tensor:
    """Move the window of each image within its border and mirror every second one, in one gather."""
    b, h, w, _ = raw.shape
    border, device = recipe.crop, raw.device
    if border > max(h, w):
        raise UserError(f"crop shifts images by at most their {max(h, w)} pixels, got {border}.")
    top, left = _drawn(draws, b, lambda n, own: torch.randint(2 * border + 1, (2, n, 1), generator=own), 1).to(device)
    rows, columns = top + torch.arange(h, device=device), left + torch.arange(w, device=device)
    if recipe.flip:
        mirrored = (_drawn(draws, b, lambda n, own: torch.rand(n, 1, generator=own)) < 0.5).to(device)
        columns = torch.where(mirrored, columns.flip(1), columns)
    padded = F.pad(raw, (0, 0, border, border, border, border)) if border else raw
    which = torch.arange(b, device=device)[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]]


def _drawn(draws: Draws, b: int, draw: Callable[[int, torch.Generator], Tensor], axis: int = 0) -> Tensor:
    """Return random numbers for a batch of b images, each training's for its own part, joined along the axis of images.

    Args:
        draws: Of one training or of several.
        b: Images.
        draw: Gives numbers for so many images.
        axis: Of the images.
    """
    if isinstance(draws, torch.Generator):
        return draw(b, draws)
    return torch.cat([draw(b // len(draws), own) for own in draws], axis)


def _pixel(side: int, n: int, draws: torch.Generator) -> Tensor:
    """Return a random position along a side for each of n images ``(n, 1)``."""
    return torch.randint(side, (n, 1), generator=draws)


def resized_crops(batch: Tensor, side: int, smallest: float, draws: torch.Generator) -> Tensor:
    """Return a random window of each image, resized bilinearly to a square.

    Its share of the area is uniform from `smallest` to 1, the logarithm of its aspect ratio from 3/4 to 4/3 (Szegedy et
    al., Going deeper with convolutions, CVPR 2015, section 6); a side that would be too long is cut.

    Args:
        batch: Images ``(b, 3, h, h)``.
        side: Side of the result.
        smallest: Smallest share of the area.
        draws: Random numbers, on the CPU.
    """
    area, slant, left, top = torch.rand(4, len(batch), generator=draws)
    area, ratio = smallest + (1 - smallest) * area, (4 / 3) ** (2 * slant - 1)
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    theta = torch.zeros(len(batch), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = width, height
    theta[:, 0, 2], theta[:, 1, 2] = (1 - width) * (2 * left - 1), (1 - height) * (2 * top - 1)
    grid = F.affine_grid(theta.to(batch), [len(batch), batch.shape[1], side, side], align_corners=False)
    return F.grid_sample(batch, grid, padding_mode="border", align_corners=False)


def cut_out(batch: Tensor, side: int, draws: Draws) -> Tensor:
    """Set a square around a random pixel of each image to the mean; it may reach over the border.

    DeVries and Taylor, Improved regularization of convolutional neural networks with cutout, 2017.
    """
    b, _, h, w = batch.shape
    device = batch.device
    inside = []
    for size in (h, w):
        centre = _drawn(draws, b, partial(_pixel, size)).to(device)
        offset = torch.arange(size, device=device) - centre + side // 2
        inside.append((offset >= 0) & (offset < side))
    hidden = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return batch.masked_fill(hidden, 0.0)

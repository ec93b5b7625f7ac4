"""Images for the final training, through timm's transforms, collation and prefetching loader.

What happens to an image depends on (seed, epoch, image) only: not on the number of loading processes, nor on who
else is in its batch. So an epoch can be repeated exactly, by one process or by several.
"""

from __future__ import annotations

import functools
import random
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from smemnas.bench.errors import UserError
from smemnas.bench.train.faults import LOADING_TIMEOUT
from smemnas.bench.train.images import Images
from smemnas.bench.train.retrain.recipes import RetrainRecipe
from smemnas.spaces.base import IntArray

#: Streams of random numbers.
INIT, ORDER, IMAGE, BATCH, STEP, CUTOUT = range(6)
EVALUATION_BATCH = 250
Key = tuple[int, int | None]


class Photos(Dataset[Any]):
    """Images and labels by (position, seed of the augmentation).

    Args:
        parts: Splits, one after the other.
        transform: From a Pillow image to ``(3, r, r)`` uint8.
        recipe: Whether something of timm's draws, which uses other generators than torchvision and costs more to seed.
    """

    def __init__(self, parts: Sequence[Images], transform: Any, recipe: RetrainRecipe) -> None:
        self.parts = parts
        self.transform = transform
        self.timm_draws = bool(recipe.rrc) or recipe.autoaugment not in ("", "cifar10")
        self.starts = np.cumsum([0, *(len(p) for p in parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, key: Key) -> tuple[Any, int]:
        from PIL import Image

        row, seed = key
        part = int(np.searchsorted(self.starts, row, side="right")) - 1
        images, at = self.parts[part], row - int(self.starts[part])
        if seed is not None:
            torch.default_generator.manual_seed(seed)
            if self.timm_draws:
                random.seed(seed)
                np.random.seed(seed)  # noqa: NPY002
        (pixels,) = images.take(slice(at, at + 1))
        return self.transform(Image.fromarray(pixels)), int(images.labels[at])


class _Keys:
    """The keys of each batch, made when they are asked for."""

    def __init__(self, rows: Sequence[IntArray], seeds: IntArray | None) -> None:
        self.rows, self.seeds = rows, seeds

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[list[Key]]:
        for batch in self.rows:
            seeds = [None] * len(batch) if self.seeds is None else self.seeds[batch].tolist()
            yield list(zip(batch.tolist(), seeds, strict=True))


class _Seeded:
    """A loader that seeds the random erasing of each batch, which timm's prefetching loader does."""

    def __init__(self, loader: Any, seeds: Sequence[int]) -> None:
        self.loader, self.seeds = loader, seeds

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        for batch, seed in zip(self.loader, self.seeds, strict=True):
            seed_all(seed)
            yield batch


def stream(seed: int, *at: int) -> int:
    """Return the 32-bit seed of one place of the training."""
    return int(np.random.SeedSequence([seed, *at]).generate_state(1)[0])


def seed_all(seed: int) -> None:
    """Seed the three generators that torch and timm draw from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def epoch_rows(n: int, batch: int, seed: int, epoch: int) -> IntArray:
    """Return the images of an epoch by step ``(steps, batch)``; what does not fill a batch is left out.

    Raises:
        UserError: There are fewer images than a batch.
    """
    steps = n // batch
    if not steps:
        raise UserError(f"there are {n} training images, fewer than a batch of {batch}: --set batch={max(2, n // 2)}.")
    order = np.random.default_rng([seed, ORDER, epoch]).permutation(n)
    return order[: steps * batch].reshape(steps, batch)


def training_batches(
    photos: Photos,
    rows: Sequence[IntArray],
    recipe: RetrainRecipe,
    *,
    seed: int,
    epoch: int,
    parts: Sequence[int],
    device: torch.device,
    workers: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield augmented, normalised images ``(b, 3, r, r)`` and labels ``(b,)`` of one epoch.

    Args:
        photos: Training images with the transform of `training_transform`.
        rows: Images of each batch.
        recipe: Random erasing.
        seed: Root of all randomness.
        epoch: From 0.
        parts: Number of each batch within the epoch, over all processes.
        device: Where they go.
        workers: Loading processes; 0 loads in this one.
    """
    drawn = np.random.default_rng([seed, IMAGE, epoch]).integers(2**32, size=len(photos))
    loader = _Seeded(
        _loader(photos, _Keys(rows, drawn), device, workers), [stream(seed, BATCH, epoch, p) for p in parts]
    )
    yield from _prefetching(loader, photos, device, re_prob=recipe.erasing, re_mode=recipe.erasing_mode)


def evaluation_batches(
    photos: Photos, rows: IntArray, device: torch.device, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield normalised images ``(b, 3, r, r)`` and labels ``(b,)`` of some rows, in their order."""
    batches = [rows[k : k + EVALUATION_BATCH] for k in range(0, len(rows), EVALUATION_BATCH)]
    yield from _prefetching(_loader(photos, _Keys(batches, None), device, workers), photos, device)


def training_transform(recipe: RetrainRecipe, images: Images, resolution: int) -> Any:
    """Return the augmentation of single images, from a Pillow image to uint8.

    Raises:
        UserError: timm knows no such policy.
    """
    from timm.data import create_transform
    from torchvision import transforms

    policy = recipe.autoaugment if recipe.autoaugment not in ("", "cifar10") else None
    try:
        first, second, last = create_transform(
            input_size=resolution,
            is_training=True,
            scale=(recipe.rrc or 1.0, 1.0),
            hflip=0.5 if recipe.flip else 0.0,
            color_jitter=recipe.color_jitter or None,
            auto_augment=policy,
            interpolation=recipe.interpolation,
            mean=images.mean,
            std=images.std,
            use_prefetcher=True,
            separate=True,
        )
    except (AssertionError, KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"timm has no augmentation policy {policy!r}: for example rand-m9-mstd0.5 or original."
        ) from error
    if not recipe.rrc:
        steps: list[Any] = []
        if recipe.crop > images.size:
            raise UserError(f"crop shifts images by at most their {images.size} pixels, got {recipe.crop}.")
        if recipe.crop:
            steps.append(transforms.RandomCrop(images.size, padding=recipe.crop))
        if images.size != resolution:
            mode = transforms.InterpolationMode(recipe.interpolation)
            steps.append(transforms.Resize((resolution, resolution), interpolation=mode))
        if recipe.flip:
            steps.append(transforms.RandomHorizontalFlip())
        first = transforms.Compose(steps)
    if recipe.autoaugment == "cifar10":
        second = transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)
    return transforms.Compose([first, second, last])


def evaluation_transform(recipe: RetrainRecipe, resolution: int) -> Any:
    """Return what evaluation does to single images: resized, centre cropped."""
    from timm.data import create_transform

    return create_transform(
        input_size=resolution,
        is_training=False,
        crop_pct=recipe.crop_pct,
        interpolation=recipe.interpolation,
        use_prefetcher=True,
    )


def _loader(photos: Photos, keys: _Keys, device: torch.device, workers: int) -> DataLoader[Any]:
    """Return torch's loader with timm's collation to uint8."""
    from timm.data.loader import fast_collate

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*worker processes in total")  # their number is checked beforehand
        return DataLoader(
            photos,
            batch_sampler=keys,
            num_workers=workers,
            collate_fn=fast_collate,
            pin_memory=device.type == "cuda",
            timeout=LOADING_TIMEOUT if workers else 0,
        )


@functools.cache
def side_stream(device: torch.device) -> Any:
    """Return the one stream on which batches go to a GPU; None for a CPU.

    A loader of its own for each epoch and reading would bring a stream each, and the allocator keeps what a stream has
    had for that stream alone: memory would grow with the epochs.
    """
    return torch.cuda.Stream(device=device) if device.type == "cuda" else None


def _prefetching(
    loader: Any, photos: Photos, device: torch.device, *, re_prob: float = 0.0, re_mode: str = "const"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches on the device, normalised by the training images' moments."""
    from timm.data.loader import PrefetchLoader

    images = photos.parts[0]
    batches = PrefetchLoader(
        loader, mean=images.mean, std=images.std, device=device, re_prob=re_prob, re_mode=re_mode, re_count=1
    )
    batches.stream = side_stream(device)
    try:
        yield from batches
    except UserError as error:  # of a loading process, which puts its traceback before the message
        raise type(error)(
            str(error).strip().splitlines()[-1].removeprefix(f"{type(error).__module__}.{type(error).__name__}: ")
        ) from None

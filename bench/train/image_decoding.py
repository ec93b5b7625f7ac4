"""From the bytes of an image file to pixels: eight bits, three channels, one size.

Grey images of 16 bits are scaled to 8 (65,535 becomes 255). Pixels without a known range (32-bit integers, floating
point numbers) are refused by name. Transparency is dropped: what colour is below it counts. Photos that a camera held
sideways are turned as their EXIF orientation says.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import DataError
from smemnas.bench.train.image_entries import ImageEntry, printable

#: Number of EXIF's orientation; 1 is upright.
ORIENTATION = 0x112


def decode(entry: ImageEntry, size: int | None, turned: list[str] | None = None) -> NDArray[np.uint8]:
    """Return one image ``(h, w, 3)``; with `size`, its shorter side is resized and the centre cropped.

    Args:
        entry: Where it is.
        size: Side; None keeps its own.
        turned: Gets its name, if it was turned to stand upright.

    Raises:
        DataError: The file is no image, cut off, or its pixels have no known range.
    """
    from PIL import Image

    try:
        with open(entry.file, "rb") as stream:
            stream.seek(entry.start)
            data = stream.read(entry.length)
        with Image.open(io.BytesIO(data)) as opened:
            upright = _upright(opened)
            if upright is not opened and turned is not None:
                turned.append(entry.name)
            return resize(_eight_bits(upright, opened.format), size)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{printable(entry.name)} is no readable image ({reason}): replace or remove it.") from error


def _upright(image: Any) -> Any:
    """Return a Pillow image turned as its EXIF orientation says, as viewers show it; itself if it says nothing.

    Raises:
        OSError: It cannot be read.
    """
    from PIL import ImageOps

    image.load()
    try:
        says = image.getexif().get(ORIENTATION, 1)
        return image if says == 1 else ImageOps.exif_transpose(image)
    except Exception:  # whatever Pillow raises at EXIF data that is none: the picture itself is there
        return image


def _eight_bits(image: Any, form: str | None) -> Any:
    """Return a Pillow image with 8 bits per channel, RGB.

    Raises:
        ValueError: Its pixels have no known range.
    """
    from PIL import Image

    # Of Pillow's 32-bit integers, those of PNG and PNM are 16-bit images; a TIFF may hold anything.
    if image.mode.startswith("I;16") or (image.mode == "I" and form in ("PNG", "PPM")):
        deep = np.asarray(image).astype(np.int64)
        return Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        kind = "32-bit integers" if image.mode == "I" else "floating point numbers"
        raise ValueError(f"its pixels are {kind} of no known range, convert it to 8 or 16 bits")
    if image.mode in ("P", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def resize(image: Any, size: int | None) -> NDArray[np.uint8]:
    """Return a Pillow image as an array, its shorter side resized to `size` and the centre cropped."""
    from PIL import Image

    if size is not None and image.size != (size, size):
        scale = size / min(image.size)
        width, height = (max(size, round(v * scale)) for v in image.size)
        left, top = (width - size) // 2, (height - size) // 2
        image = image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size))
    return np.asarray(image, dtype=np.uint8)

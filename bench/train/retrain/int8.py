"""Networks in whole numbers of 8 bits, by onnxruntime's static quantisation, and what that costs.

Ranges of activations come from training images; the accuracy before and after is read on the same images that were
not trained on. Weights have 7 bits (`reduce_range`), since processors without VNNI add up pairs of products in 16.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from smemnas.bench.errors import RunError
from smemnas.bench.files import replacing
from smemnas.bench.train.retrain.onnx_file import INPUT, Deployed, describe, open_session
from smemnas.spaces.base import IntArray

#: Images that ranges are measured on, and that accuracies are read on at most.
CALIBRATED, READ = 256, 2000
#: Runs with one image and one thread: warm-up, and timed.
WARM, TIMED = 5, 30


class Samples(NamedTuple):
    """Images for quantising a network, normalised ``(b, 3, r, r)``, on the CPU.

    Attributes:
        training: Yields batches of training images, without augmentation.
        held_out: Yields batches of at most `READ` images that were not trained on, with labels ``(b,)``: an even
            sample, for images are sorted by class.
        what: What these are, for the card.
    """

    training: Callable[[], Iterable[Tensor]]
    held_out: Callable[[], Iterable[tuple[Tensor, Tensor]]]
    what: str


def spread(n: int, limit: int) -> IntArray:
    """Return at most `limit` of ``n`` rows ``(k,)``, evenly spread, as `supernet.batches.evaluation` takes them."""
    count = min(n, limit)
    rows: IntArray = np.arange(count) * n // count
    return rows


def write_int8(net: Deployed, source: Path, path: Path, samples: Samples, about: Mapping[str, Any]) -> dict[str, Any]:
    """Quantise an ONNX file and compare the two.

    Args:
        net: What the file was made of; says how images are fed.
        source: The file in single precision.
        path: File to write.
        samples: Images.
        about: Metadata.

    Returns:
        Of both, "float" and "int8": accuracy (%), bytes, and milliseconds for one image on one thread of this machine;
        and on how many images of which kind.

    Raises:
        RunError: It cannot be written or quantised.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        """Gives training images to onnxruntime."""

        def __init__(self) -> None:
            self.rows = _first(samples.training(), CALIBRATED)

        def get_next(self) -> dict[str, Any] | None:
            """Return the next batch, None at the end."""
            batch = next(self.rows, None)
            return None if batch is None else {INPUT: net.fed(batch).numpy()}

    with replacing(path) as part, tempfile.TemporaryDirectory() as work:
        prepared = Path(work) / "prepared.onnx"
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            try:
                quantize_static(
                    str(prepared),
                    str(part),
                    Reader(),
                    quant_format=QuantFormat.QDQ,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    per_channel=True,
                    reduce_range=True,
                )
            except (RuntimeError, ValueError) as error:
                raise RunError(
                    f"onnxruntime cannot quantise the network: {' '.join(str(error).split())[:200]}"
                ) from error
        describe(part, {**about, "precision": "int8"})
        found: dict[str, Any] = {}
        for name, file in (("float", source), ("int8", part)):
            session = open_session(file)
            accuracy, n = _accuracy(net, session, samples)
            milliseconds = _milliseconds(session, net, samples)
            found[name] = {"accuracy": accuracy, "bytes": file.stat().st_size, "milliseconds": milliseconds}
            found |= {"images": n, "on": samples.what}
    return found


def _first(batches: Iterable[Tensor], limit: int) -> Iterator[Tensor]:
    """Yield the first images of some batches."""
    left = limit
    for batch in batches:
        if left <= 0:
            return
        yield batch[:left]
        left -= len(batch)


def _accuracy(net: Deployed, session: Any, samples: Samples) -> tuple[float, int]:
    """Return top-1 accuracy (%) of a session, and on how many images."""
    right = seen = 0
    for images, labels in samples.held_out():
        answers = session.run(None, {INPUT: net.fed(images).numpy()})[0]
        right += int((answers.argmax(1) == labels.numpy()).sum())
        seen += len(labels)
    return round(100 * right / seen, 3), seen


def _milliseconds(session: Any, net: Deployed, samples: Samples) -> float:
    """Return the median time of one image."""
    image = net.fed(next(iter(samples.training()))[:1]).numpy()
    times = []
    for _ in range(WARM + TIMED):
        started = time.perf_counter()
        session.run(None, {INPUT: np.ascontiguousarray(image)})
        times.append(1000 * (time.perf_counter() - started))
    return round(statistics.median(times[WARM:]), 4)


class _quiet:
    """Keeps onnxruntime's advice for developers from users."""

    def __enter__(self) -> None:
        self.before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self.before)

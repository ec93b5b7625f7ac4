"""Files in the format of NAS-Bench-101: one TFRecord per training, read and checked one by one.

A record is a JSON list: published graph hash, epochs, adjacency matrix, operations, and a protobuf message in
base64 with the parameter count and three evaluations (start, half-way, end). EC-NAS adds energy to the latter.
Field numbers follow the two projects' published message definitions.
"""

from __future__ import annotations

import binascii
import json
from array import array
from collections.abc import Sequence
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.data.tfrecord import read_message, read_records
from smemnas.bench.errors import DataError
from smemnas.spaces import graph101 as graphs
from smemnas.spaces.graph101 import OPERATIONS
from smemnas.spaces.nb101 import hash_of

REPEATS = 3
BUDGETS = (4, 12, 36, 108)
#: Protobuf fields of the evaluation at the end of a training -> column.
ACCURACIES = {4: "val_error", 5: "test_error", 3: "train_error"}
SECONDS, ENERGY, CO2 = 2, 6, 7
MEASURED = (*ACCURACIES, SECONDS)


class _Trainings:
    """Numbers of one epoch budget, in the order in which the graphs appeared."""

    def __init__(self, n_fields: int) -> None:
        self.count = np.zeros(1024, dtype=np.uint8)
        self.values = np.empty((1024, REPEATS, n_fields))

    def add(self, graph: int, numbers: Sequence[float]) -> bool:
        """Store one training; False if the graph has all its repeats already."""
        while graph >= len(self.count):
            self.count = np.concatenate([self.count, np.zeros_like(self.count)])
            self.values = np.concatenate([self.values, np.empty_like(self.values)])
        repeat = self.count[graph]
        if repeat == REPEATS:
            return False
        self.values[graph, repeat] = numbers
        self.count[graph] = repeat + 1
        return True


class Collection:
    """Everything that one file holds, gathered record by record.

    Attributes:
        code, labels: Packed graphs as recorded; see `spaces.graph101`.
        parameters: Trainable parameters as recorded.
        budgets: Epochs -> measured numbers.
        fields: Protobuf field of each measured number.
        places: Code and labels in one integer -> place of the graph; empty once a file is read.
    """

    def __init__(self) -> None:
        self.code = array("q")
        self.labels = array("q")
        self.parameters = array("q")
        self.budgets: dict[int, _Trainings] = {}
        self.fields: tuple[int, ...] = ()
        self._hashes = array("Q")  # two words for each graph
        self.places: dict[int, int] = {}
        self._codes: dict[str, tuple[int, int]] = {}
        self._labels: dict[str, tuple[int, int]] = {}

    def add(self, payload: bytes) -> None:
        """Take one record.

        Raises:
            DataError: It is not as described, or its hash is not that of its graph.
        """
        try:
            name, epochs, adjacency, operations, encoded = json.loads(payload)
            size, code = self._codes.get(adjacency) or self._parse_matrix(adjacency)
            n_labels, labels = self._labels.get(operations) or self._parse_operations(operations)
            digest = int(name, 16)
            top = read_message(binascii.a2b_base64(encoded))
            parameters = int(dict(top)[2])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DataError(f"not [hash, epochs, matrix, operations, metrics] ({error!r})") from error
        if size != n_labels + 2 or epochs not in BUDGETS:
            raise DataError(f"{size} vertices, {n_labels} operations, {epochs!r} epochs do not go together")
        graph = code << graphs.LABEL_BITS | labels
        row = self.places.get(graph)
        if row is None:
            if hash_of(code, labels) != name:
                raise DataError(f"the hash {name} is not that of its graph, {hash_of(code, labels)}")
            row = self.places[graph] = len(self.code)
            self.code.append(code)
            self.labels.append(labels)
            self.parameters.append(parameters)
            self._hashes.extend((digest >> 64, digest & (2**64 - 1)))
        elif self._hashes[2 * row] << 64 | self._hashes[2 * row + 1] != digest:
            raise DataError(f"the hash {name} is not that of its graph")
        if self.parameters[row] != parameters:
            raise DataError(f"{parameters:,} parameters, {self.parameters[row]:,} in an earlier record")
        numbers = self._measured(top)
        if epochs not in self.budgets:
            self.budgets[epochs] = _Trainings(len(self.fields))
        if not self.budgets[epochs].add(row, numbers):
            raise DataError(f"more than {REPEATS} trainings of {name} for {epochs} epochs")

    def _parse_matrix(self, text: str) -> tuple[int, int]:
        """Return size and edge code of a matrix given as a string of zeros and ones."""
        size = isqrt(len(text))
        if size * size != len(text) or not 2 <= size <= graphs.VERTICES or set(text) - set("01"):
            raise DataError(f"{text!r} is no matrix of 2 to {graphs.VERTICES} vertices")
        code = 0
        for at, bit in enumerate(text):
            if bit == "1":
                x, y = divmod(at, size)
                if x >= y:
                    raise DataError(f"the matrix {text} is not upper triangular")
                code |= 1 << graphs.edge_bit(x, graphs.OUTPUT if y == size - 1 else y)
        self._codes[text] = size, code
        return size, code

    def _parse_operations(self, text: str) -> tuple[int, int]:
        """Return number and labels of the interior operations."""
        names = text.split(",")
        interior = names[1:-1]
        if len(names) < 2 or names[0] != "input" or names[-1] != "output" or set(interior) - set(OPERATIONS):
            raise DataError(f"unknown operations {text!r}, expected {', '.join(OPERATIONS)} of NAS-Bench-101")
        labels = sum(OPERATIONS.index(name) << graphs.label_shift(v) for v, name in enumerate(interior, 1))
        self._labels[text] = len(interior), labels
        return len(interior), labels

    def _measured(self, top: Sequence[tuple[int, Any]]) -> list[float]:
        """Return the numbers at the end of a training (the third evaluation, after start and half-way)."""
        evaluations = [value for number, value in top if number == 1]
        if len(evaluations) != 3 or not isinstance(evaluations[2], bytes):
            raise DataError(f"{len(evaluations)} evaluations, expected start, half-way and end")
        final = dict(read_message(evaluations[2]))
        if not self.fields:
            energy = isinstance(final.get(ENERGY), float)  # in the original files field 6 is a path
            self.fields = (*MEASURED, ENERGY, CO2) if energy else MEASURED
        numbers = [final.get(field) for field in self.fields]
        for field, number in zip(self.fields, numbers, strict=True):
            most = 1.0 if field in ACCURACIES else float("inf")
            if not isinstance(number, float) or not 0.0 <= number <= most or number == float("inf"):
                raise DataError(f"field {field} of the last evaluation is {number!r}, expected 0 to {most:g}")
        return [float(n) for n in numbers if isinstance(n, float)]


def collect(source: str | Path) -> Collection:
    """Read a NAS-Bench-101 or EC-NAS file.

    Memory: about 0.2 KB per graph and 0.1 KB more for each of its budgets.

    Raises:
        DataError: The file is damaged or not as described; the message has the record.
    """
    collection = Collection()
    for number, payload in enumerate(read_records(source), 1):
        try:
            collection.add(payload)
        except DataError as error:
            raise DataError(f"{source}, record {number}: {error}.") from error
    collection.places.clear()
    return collection

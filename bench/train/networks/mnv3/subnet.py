"""Which sub-network of the supernet is meant, and the shape of the supernet; no torch in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from smemnas.bench.errors import DataError, UserError, choose
from smemnas.spaces.base import IntArray
from smemnas.spaces.mnv3_choices import CHOICES, Subnet
from smemnas.spaces.mnv3_costs import STRIDES, check_shape
from smemnas.spaces.mnv3_genes import decode


def as_subnet(arch: Subnet | IntArray, choices: str = "ofa") -> Subnet:
    """Return the decoded form of either form.

    Raises:
        UserError: It is no genotype of these choices.
    """
    return arch if isinstance(arch, Subnet) else decode(arch, CHOICES[choices])


@dataclass(frozen=True)
class Shape:
    """What decides the tensors and strides of a supernet.

    Attributes:
        width: Width multiplier.
        n_classes: Size of the classifier.
        stem_stride: Stride of the stem, 2 for ImageNet, 1 for small images.
        strides: Stride of the first layer of each stage.
        dropout: Dropped share of the classifier's input in training.
        choices: What its sub-networks may be, see `spaces.mnv3_choices`.
    """

    width: float = 1.0
    n_classes: int = 1000
    stem_stride: int = 2
    strides: tuple[int, ...] = STRIDES
    dropout: float = 0.0
    choices: str = "ofa"

    def __post_init__(self) -> None:
        check_shape(self.width, self.stem_stride, self.strides, self.n_classes)
        choose("choices", self.choices, CHOICES)
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout is a share in [0, 1), got {self.dropout!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "strides": list(self.strides)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Shape:
        """Read what `to_dict` wrote.

        Raises:
            DataError: A field is missing, foreign, or of a wrong kind.
        """
        try:
            return cls(**{**fields, "strides": tuple(fields["strides"])})
        except (TypeError, KeyError) as error:
            raise DataError(f"these fields describe no MobileNetV3 supernet: {dict(fields)} ({error}).") from error

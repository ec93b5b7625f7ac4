"""Another space seen with fewer architectures: everything but what is an architecture is the other space's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from smemnas.spaces.base import FloatArray, IntArray, SearchSpace

if TYPE_CHECKING:
    from torch import nn

    from smemnas.spaces.forms import Form


class SpaceView(SearchSpace):
    """A view of another space: the same names, encodings and costs.

    Args:
        space: The other space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._inner = space
        self.name = space.name
        self.n_choices = space.n_choices
        self.encodings = space.encodings
        self.default_encoding = space.default_encoding
        self.recommended_encoding = space.recommended_encoding
        self.cost_encoding = space.cost_encoding
        self.costs = space.costs
        self.rows_are_networks = space.rows_are_networks
        self.default_dataset = space.default_dataset

    def __getattr__(self, name: str) -> Any:
        """Return what only the other space has."""
        if name.startswith("_"):  # not there yet, as while unpickling
            raise AttributeError(name)
        return getattr(self._inner, name)

    @property
    def is_enumerable(self) -> bool:
        """Whether `enumerate` works."""
        return self._inner.is_enumerable

    @property
    def size(self) -> int:
        """Number of genotypes on the full grid, valid or not."""
        return self._inner.size

    def to_str(self, x: IntArray) -> str:
        """Return the other space's name."""
        return self._inner.to_str(x)

    def from_str(self, arch: str) -> IntArray:
        """Parse the other space's name; the view may leave the architecture out."""
        return self._inner.from_str(arch)

    @property
    def forms(self) -> tuple[Form, ...]:
        """The other space's forms."""
        return self._inner.forms

    def index(self, X: IntArray) -> IntArray:
        """Return the other space's grid index."""
        return self._inner.index(X)

    def normalise(self, X: IntArray) -> IntArray:
        """Normalise as the other space does."""
        return self._inner.normalise(X)

    def canonical(self, X: IntArray) -> NDArray[Any]:
        """Return the other space's keys."""
        return self._inner.canonical(X)

    def encode(self, X: IntArray, kind: str | None = None) -> FloatArray:
        """Encode as the other space does."""
        return self._inner.encode(X, kind)

    def encoding_parts(self, kind: str | None = None) -> tuple[str, ...]:
        """Return the other space's parts."""
        return self._inner.encoding_parts(kind)

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return the other space's cost."""
        return self._inner.cost(X, name)

    def build(self, x: IntArray, n_classes: int) -> nn.Module:
        """Build the other space's network."""
        return self._inner.build(x, n_classes)

    def describe(self, x: IntArray) -> str:
        """Return the other space's description."""
        return self._inner.describe(x)

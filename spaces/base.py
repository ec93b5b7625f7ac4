"""The contract of a search space, and the problem that a method sees.

A genotype is a row of integers, gene ``j`` in ``0 .. n_choices[j]-1``. Everything works on arrays of
genotypes ``X`` of shape ``(n, n_var)`` and dtype int64; nothing loops over architectures.
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.display import html_table
from smemnas.bench.errors import UserError, suggest
from smemnas.bench.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from smemnas.spaces.forms import Form

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: Spaces up to this size are enumerated where that helps (whole-space ranking, exact fronts).
ENUMERABLE = 1_000_000


class Objective(NamedTuple):
    """One quantity to minimise.

    Attributes:
        name: Column name, for example "error" or "flops".
        unit: "%", "M", "ms", "mJ".
        cheap: Exact and free from the genotype alone, so that a method may compute it.
    """

    name: str
    unit: str
    cheap: bool

    def __str__(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name


class Constraint(NamedTuple):
    """A bound on one quantity.

    Attributes:
        name: Of an objective of the run, of a free cost of the space, or of something else that is measured.
        upper: Whether the bound is an upper one.
        bound: In the unit of the quantity.
        unit: That unit.
        free: Known from the genotype alone, so that nothing need be evaluated to see whether it holds.
        objective: Position among the objectives; -1 where it is none of them.
    """

    name: str
    upper: bool
    bound: float
    unit: str
    free: bool
    objective: int

    @property
    def measured(self) -> bool:
        """Whether it bounds what is measured and not searched: `Problem.violation` does not know of it."""
        return not self.free and self.objective < 0

    def __str__(self) -> str:
        return f"{self.name}{'<=' if self.upper else '>='}{self.bound:.12g}"

    def excess(self, values: FloatArray) -> FloatArray:
        """Return ``(n,)`` by how much values break the bound, in units of the bound; 0 where they do not."""
        beyond = values - self.bound if self.upper else self.bound - values
        return np.asarray(np.maximum(beyond, 0.0) / (abs(self.bound) or 1.0))


#: Stands for the encoding that a space recommends for surrogates inside a search.
RECOMMENDED = "recommended"


class SearchSpace(ABC):
    """A fixed-length integer search space.

    Subclasses set `n_choices`, `encodings` and `costs` (class or instance attributes) and implement
    `to_str`, `from_str` and whatever of `encode` and `cost` they offer beyond the common ones.
    """

    #: Registry key, set by the subclass.
    name: str = ""
    #: Alphabet size of each gene.
    n_choices: tuple[int, ...] = ()
    #: Names that `encode` accepts. "int" and "onehot" come for free.
    encodings: tuple[str, ...] = ("int", "onehot")
    #: Encoding that surrogates use unless told otherwise; "a+b" puts two side by side.
    default_encoding: str = "onehot"
    #: What served surrogates inside a search best; empty for the default.
    recommended_encoding: str = ""
    #: The same for costs that are measured, such as latency; empty where they need no other.
    cost_encoding: str = ""
    #: Exact, free objectives that `cost` computes.
    costs: tuple[Objective, ...] = ()
    #: Number of distinct architectures, where that is known of a space too large to enumerate; else 0.
    n_distinct: int = 0
    #: Whether a table has one row for each network (`canonical`), also where the space could be enumerated: it has none
    #: for each genotype.
    rows_are_networks: bool = False
    #: Data set used when the user names none.
    default_dataset: str = ""

    @property
    def n_var(self) -> int:
        """Number of genes."""
        return len(self.n_choices)

    @property
    def size(self) -> int:
        """Number of genotypes on the full grid, valid or not."""
        return math.prod(self.n_choices)

    @abstractmethod
    def to_str(self, x: IntArray) -> str:
        """Return the stable name of one genotype ``(n_var,)``; key of logs and of imported tables."""

    @abstractmethod
    def from_str(self, arch: str) -> IntArray:
        """Parse `to_str`'s result to ``(n_var,)``.

        Raises:
            UserError: The string names no architecture of this space.
        """

    def from_strs(self, archs: Sequence[str]) -> IntArray:
        """Parse many names to ``(n, n_var)``, with rows of -1 where `from_str` refuses one. Default: one by one."""
        X = np.full((len(archs), self.n_var), -1, dtype=np.int64)
        for row, arch in enumerate(archs):
            with contextlib.suppress(UserError):
                X[row] = self.from_str(arch)
        return X

    @property
    def forms(self) -> tuple[Form, ...]:
        """The ways in which architectures are written in files, its own first; see `spaces.forms`.

        Subclasses add the forms of other people's files: ``(*super().forms, Form(...))``.
        """
        from smemnas.spaces.forms import common_forms

        return common_forms(self)

    def is_valid(self, X: IntArray) -> NDArray[np.bool_]:
        """Return ``(n,)``: which genotypes are architectures of this space. Default: all on the grid."""
        choices = np.asarray(self.n_choices)
        return np.asarray(((X >= 0) & (X < choices)).all(axis=1))

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """Draw ``(n, n_var)`` valid genotypes, independently and uniformly over the grid."""
        return rng.integers(0, np.asarray(self.n_choices), size=(n, self.n_var), dtype=np.int64)

    def enumerate(self) -> IntArray:
        """Return all valid genotypes ``(N, n_var)`` in lexicographic order.

        Raises:
            UserError: The space is too large to enumerate.
        """
        if not self.is_enumerable:
            raise UserError(
                f"space {self.name!r} has {self.size:.3g} genotypes and cannot be enumerated "
                f"(limit {ENUMERABLE:,}): use a method that samples."
            )
        grid = np.stack(np.unravel_index(np.arange(self.size), self.n_choices), axis=1).astype(np.int64)
        return grid[self.is_valid(grid)]

    @property
    def is_enumerable(self) -> bool:
        """Whether `enumerate` works."""
        return self.size <= ENUMERABLE

    def index(self, X: IntArray) -> IntArray:
        """Return the grid index ``(n,)`` of each genotype (mixed radix, first gene most significant)."""
        return np.asarray(np.ravel_multi_index(tuple(X.T), self.n_choices), dtype=np.int64)

    def normalise(self, X: IntArray) -> IntArray:
        """Return ``X`` with genes that are not expressed set to their standard value. Default: all are expressed.

        The run loop evaluates and logs the normalised genotype, so that a method which changes only silent
        genes is served from the log, at no cost, whatever the method.
        """
        return X

    def canonical(self, X: IntArray) -> NDArray[Any]:
        """Return ``(n,)`` keys, equal exactly where two genotypes build the same network.

        Default: the genotype itself. Spaces with inactive genes or isomorphic graphs override it.
        """
        X = np.ascontiguousarray(X, dtype=np.int64)
        return X.view(np.dtype((np.void, X.dtype.itemsize * X.shape[1]))).ravel()

    def encode(self, X: IntArray, kind: str | None = None) -> FloatArray:
        """Return ``(n, d)`` features for a surrogate; "a+b" concatenates two encodings.

        Raises:
            UserError: The space has no encoding of that name.
        """
        parts = [self._encode(X, part) for part in self.encoding_parts(kind)]
        return parts[0] if len(parts) == 1 else np.hstack(parts)

    def encoding_parts(self, kind: str | None = None) -> tuple[str, ...]:
        """Split "a+b" into its names and check each of them."""
        if kind == RECOMMENDED:
            kind = self.recommended_encoding
        parts = tuple((kind or self.default_encoding).split("+"))
        for part in parts:
            if part not in self.encodings:
                raise UserError(f"space {self.name!r} has no encoding {part!r}.{suggest(part, self.encodings)}")
        return parts

    def recommended_for(self, objective: Objective) -> str:
        """Return the encoding that serves surrogates of an objective best: shares in % are errors, the rest costs."""
        return (self.cost_encoding if objective.unit != "%" else "") or RECOMMENDED

    def encoding_widths(self, kind: str | None = None) -> tuple[int, ...]:
        """Return the columns that each part of "a+b" has.

        Raises:
            UserError: There is no such encoding.
        """
        one = np.zeros((1, self.n_var), np.int64)
        return tuple(self.encode(one, part).shape[1] for part in self.encoding_parts(kind))

    def _encode(self, X: IntArray, part: str) -> FloatArray:
        """Compute one encoding; subclasses handle their own names and call this for the common ones."""
        if part == "int":
            return np.asarray(X / np.maximum(np.asarray(self.n_choices) - 1, 1))
        return one_hot(X, self.n_choices)

    def cost(self, X: IntArray, name: str) -> FloatArray:
        """Return ``(n,)`` values of the exact, free objective `name`.

        Raises:
            UserError: The space computes no such cost.
        """
        raise UserError(f"space {self.name!r} computes no cost {name!r}.{suggest(name, [c.name for c in self.costs])}")

    def build(self, x: IntArray, n_classes: int) -> nn.Module:
        """Return the network of genotype ``(n_var,)`` as a torch module, where the space offers it."""
        raise UserError(f"space {self.name!r} describes no networks that can be built and trained here.")

    def describe(self, x: IntArray) -> str:
        """Return a short human-readable description of one genotype. Default: its name."""
        return self.to_str(x)

    def __repr__(self) -> str:
        size = f"{self.size:,}" if self.size < 10**9 else f"{self.size:.3g}"
        return f"<{type(self).__name__} space {self.name!r}: {self.n_var} genes, {size} genotypes>"

    def _repr_html_(self) -> str:
        head = ("gene", "choices")
        sizes = [(str(j), n) for j, n in enumerate(self.n_choices)]
        costs = f"free: {', '.join(map(str, self.costs))}" if self.costs else ""
        notes = [*filter(None, (costs, f"encodings: {', '.join(self.encodings)}"))]
        return html_table(head, sizes, title=repr(self)[1:-1], notes=notes)


def row_keys(X: IntArray) -> list[bytes]:
    """Return ``x.tobytes()`` of each genotype of ``X`` ``(n, n_var)``, all at once."""
    X = np.ascontiguousarray(X)
    keys: list[bytes] = X.view(f"V{X.itemsize * X.shape[1]}").ravel().tolist()
    return keys


def one_hot(X: IntArray, n_choices: Iterable[int]) -> FloatArray:
    """Return ``(n, sum(n_choices))`` zeros and ones, one block per gene."""
    sizes = np.asarray(tuple(n_choices))
    offsets = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    Z = np.zeros((len(X), int(sizes.sum())))
    Z[np.arange(len(X))[:, None], X + offsets] = 1.0
    return Z


@dataclass(frozen=True, repr=False)
class Problem:
    """All that a method may see: the space, the objectives, the values of the free ones, and the constraints.

    A method never holds a benchmark, so it can neither query the table nor read the test split. Where a constraint
    is free, `space` holds only what satisfies it (`spaces.feasible`); what breaks another one shows when it is told.
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    #: With what every method begins, and the free cost that this goes by, see `methods.start`; "": each with its own.
    start: str = ""
    start_cost: str = ""

    def __repr__(self) -> str:
        limits = f"; {', '.join(map(str, self.constraints))}" if self.constraints else ""
        return f"<Problem {self.space.name}: minimise {', '.join(map(str, self.objectives))}{limits}>"

    def _repr_html_(self) -> str:
        rows = [(o.name, o.unit, "free" if o.cheap else "evaluated") for o in self.objectives]
        notes = [repr(self.space)[1:-1], *map(str, self.constraints)]
        return html_table(("minimise", "unit", "known"), rows, title=f"Problem on {self.space.name}", notes=notes)

    @property
    def n_obj(self) -> int:
        """Number of objectives."""
        return len(self.objectives)

    @property
    def cheap(self) -> tuple[int, ...]:
        """Indices of the objectives that `cheap_values` computes."""
        return tuple(i for i, o in enumerate(self.objectives) if o.cheap)

    @property
    def costly(self) -> tuple[int, ...]:
        """Indices of the objectives that only an evaluation gives."""
        return tuple(i for i, o in enumerate(self.objectives) if not o.cheap)

    def cheap_values(self, X: IntArray) -> FloatArray:
        """Return ``(n, len(cheap))`` exact values of the free objectives."""
        columns = [self.space.cost(X, self.objectives[i].name) for i in self.cheap]
        return np.stack(columns, axis=1) if columns else np.empty((len(X), 0))

    def violation(self, X: IntArray, F: FloatArray) -> FloatArray:
        """Return the total violation ``(n,)`` of evaluated genotypes: 0 is feasible, +inf a failed evaluation.

        Each constraint counts by its excess in units of its bound (Deb et al., IEEE TEVC 2002, section VI), but those
        on what is not searched (`Constraint.measured`): only the suite knows those values, and a method is told
        penalised objectives.

        Args:
            X: Genotypes ``(n, n_var)``.
            F: Their objectives ``(n, n_obj)``.
        """
        ok = np.isfinite(F).all(axis=1) if len(X) else np.zeros(0, dtype=bool)
        total = np.where(ok, 0.0, np.inf)
        for c in self.constraints:
            if c.measured:
                continue
            total[ok] += c.excess(self.space.cost(X[ok], c.name) if c.free else F[ok, c.objective])
        return total


SPACES: Registry[SearchSpace] = Registry("space", "smemnas.spaces")

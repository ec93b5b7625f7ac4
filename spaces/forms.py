"""Other people's names of architectures: one place where a space lists the forms that it reads and writes.

A form turns a value as it stands in somebody's file (text, or a list or dictionary from JSON or Parquet) into a
genotype, and a genotype into text in that form. Every space has ``name`` (its own `to_str`), ``genes`` and, where it
can be enumerated, ``row``; `SearchSpace.forms` adds others. Text is split or read as JSON or as a Python literal of
bounded length, never evaluated.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.errors import UserError, suggest

if TYPE_CHECKING:
    from smemnas.spaces.base import SearchSpace

IntArray = NDArray[np.int64]
#: What the numbers 0, 1, ... of a tuple stand for.
Operations = Sequence[str]
#: Longest text that is read as a literal; an architecture of the largest space takes a few hundred characters.
LONGEST = 20_000
_WORD = re.compile(r"[A-Za-z0-9_.]+")
_HYPHEN = re.compile(r"(?<=[A-Za-z0-9])-(?=[A-Za-z0-9])")
_BETWEEN = set("()[]{},;:|/'\"~ \t")


@dataclass(frozen=True)
class Form:
    """One way to write an architecture.

    Attributes:
        name: What ``--arch-form`` takes; ``NAME:VALUE`` on the command line.
        text: One line: what it is, where it comes from.
        example: A value that `read` takes.
        read: Value and the order of the operations -> genotype ``(n_var,)``; raises UserError. None: written only.
        write: Genotype and the order of the operations -> text that `read` takes. None: read only.
        operations: Names that ``--operations`` puts in order; empty where the form takes no such option.
        plain: Whether a value says by itself that it has this form, so that nobody need name it.
    """

    name: str
    text: str
    example: str
    read: Callable[[Any, Operations], IntArray] | None
    write: Callable[[IntArray, Operations], str] | None = None
    operations: tuple[str, ...] = ()
    plain: bool = False


def common_forms(space: SearchSpace) -> tuple[Form, ...]:
    """Return the forms of every space: its own name, the genes, and the row where it can be enumerated."""

    def named(value: Any, _: Operations) -> IntArray:
        if not isinstance(value, str):
            raise UserError(f"a name of {space.name} is text, got {short(value)}.")
        return space.from_str(value)

    def genes(value: Any, _: Operations) -> IntArray:
        x = numbers(value, space.n_var, f"the genes of {space.name}")
        wrong = np.flatnonzero((x < 0) | (x >= np.asarray(space.n_choices)))
        if len(wrong):
            gene = int(wrong[0])
            raise UserError(f"gene {gene} of {space.name} is 0 to {space.n_choices[gene] - 1}, got {x[gene]}.")
        return x

    some = space.sample(1, np.random.default_rng(0))[0]
    own = Form("name", "the suite's own name, as in logs and fronts", space.to_str(some), named, _own(space))
    listed = Form("genes", f"{space.n_var} integers, the suite's genotype", as_tuple(some), genes, _as_genes)
    return (own, listed, row_form(space)) if space.is_enumerable else (own, listed)


def _own(space: SearchSpace) -> Callable[[IntArray, Operations], str]:
    return lambda x, _: space.to_str(x)


def _as_genes(x: IntArray, _: Operations) -> str:
    return as_tuple(x)


def as_tuple(values: Iterable[Any]) -> str:
    """Return integers as ``(4, 0, 3)``."""
    return f"({', '.join(str(int(v)) for v in values)})"


def row_form(space: SearchSpace) -> Form:
    """Return the form ``#N``: row N of the space enumerated by this suite."""

    @functools.cache
    def grid() -> IntArray:
        return space.enumerate()

    def read(value: Any, _: Operations) -> IntArray:
        text = str(value).strip()
        number = text.removeprefix("#")
        if not (number.isascii() and number.isdecimal()):
            raise UserError(f"a row is written #N with a whole number N, got {text!r}.")
        if not space.is_enumerable:
            raise UserError(
                f"space {space.name!r} has {space.size:.3g} genotypes and no row numbers: give the architecture's "
                f"name, like {space.to_str(space.sample(1, np.random.default_rng(0))[0])}"
            )
        row, rows = _whole(number), len(grid())
        if not 0 <= row < rows:
            raise UserError(f"space {space.name!r} has the rows #0 to #{rows - 1}, got {short(text)}.")
        return np.array(grid()[row], dtype=np.int64)

    @functools.cache
    def row_of() -> IntArray:
        return space.index(grid())

    def write(x: IntArray, _: Operations) -> str:
        return f"#{int(np.searchsorted(row_of(), space.index(np.asarray(x)[None])[0]))}"

    return Form("row", "row of the space as this suite enumerates it; no official index", "#0", read, write)


def _whole(digits: str) -> int:
    """Return a whole number, -1 for one that no index can be."""
    return int(digits) if len(digits) <= 18 else -1


def index_form(name: str, text: str, order: Callable[[], IntArray], what: str) -> Form:
    """Return the form of a published index.

    Args:
        name: Of the form.
        text: One line.
        order: Returns the genotypes ``(N, n_var)`` in the published order; called once, when first needed.
        what: Owner of the index, for messages.
    """

    @functools.cache
    def published() -> IntArray:
        return order()

    @functools.cache
    def position() -> dict[tuple[int, ...], int]:
        return {tuple(x): i for i, x in enumerate(published().tolist())}

    def read(value: Any, _: Operations) -> IntArray:
        number = numbers(value, 1, f"an index of {what}")[0]
        if not 0 <= number < len(published()):
            raise UserError(f"{what} has the indices 0 to {len(published()) - 1}, got {short(value)}.")
        return np.array(published()[number], dtype=np.int64)

    def write(x: IntArray, _: Operations) -> str:
        return str(position()[tuple(np.asarray(x).tolist())])

    return Form(name, text, "0", read, write)


# --- reading and writing


def choose_form(space: SearchSpace, name: str, operations: str | Operations = ()) -> tuple[Form, tuple[str, ...]]:
    """Return a form of a space by its name, and the checked order of the operations.

    Raises:
        UserError: No such form; an order that the form does not take, or an unknown or repeated operation in it.
    """
    known = {form.name: form for form in space.forms}
    if name not in known:
        raise UserError(f"space {space.name!r} has no form of names {name!r}.{suggest(name, known)}")
    form = known[name]
    words = operations.split(",") if isinstance(operations, str) else operations
    order = tuple(w.strip() for w in words if w.strip())
    if order and not form.operations:
        takers = ", ".join(f.name for f in known.values() if f.operations) or "no form of this space does"
        raise UserError(f"the form {name!r} of {space.name} takes no order of operations; these do: {takers}.")
    wrong = [w for w in order if w not in form.operations]
    if wrong:
        raise UserError(f"no operation {wrong[0]!r} in {space.name}.{suggest(wrong[0], form.operations)}")
    if len(set(order)) != len(order):
        raise UserError(f"each operation stands once in the order of operations, got {','.join(order)}.")
    return form, order


def reader(space: SearchSpace, form: str | None = None, operations: str | Operations = ()) -> Callable[[Any], IntArray]:
    """Return the function that reads one value to a genotype ``(n_var,)``; valid or not, see `SearchSpace.is_valid`.

    Without a form the value must say by itself what it is: the space's own name, ``#N``, ``FORM:VALUE``, or a form
    that is plain, such as an OFA dictionary. A tuple whose order nobody states is refused.

    Args:
        space: The space.
        form: Name of one of `space.forms`.
        operations: What the numbers 0, 1, ... of a tuple stand for, as a list or with commas between.

    Raises:
        UserError: Now: see `choose_form`. When called: the value is none of that form.
    """
    if form is None:
        if operations:
            raise UserError(
                f"an order of operations belongs to a form of names (--arch-form): "
                f"{', '.join(f.name for f in space.forms if f.operations) or 'this space has none'}."
            )
        forms = space.forms
        return lambda value: _read_any(space, forms, value)
    chosen, order = choose_form(space, form, operations)
    if chosen.read is None:
        raise UserError(f"the form {form!r} of {space.name} can be written and not read: {chosen.text}.")
    read = chosen.read
    return lambda value: read(value, order)


def read_form(space: SearchSpace, value: Any, form: str | None = None, operations: str | Operations = ()) -> IntArray:
    """Read one value to a genotype ``(n_var,)``; see `reader`, which is faster for many."""
    return reader(space, form, operations)(value)


def writer(space: SearchSpace, form: str, operations: str | Operations = ()) -> Callable[[IntArray], str]:
    """Return the function that writes one genotype ``(n_var,)`` in a form.

    Raises:
        UserError: See `choose_form`; or the form can only be read.
    """
    chosen, order = choose_form(space, form, operations)
    if chosen.write is None:
        raise UserError(f"the form {form!r} of {space.name} can be read and not written: {chosen.text}.")
    write = chosen.write
    return lambda x: write(x, order)


def _read_any(space: SearchSpace, forms: Sequence[Form], value: Any) -> IntArray:
    """Read a value that says by itself what it is."""
    mistake: UserError | None = None
    if isinstance(value, str):
        value = value.strip()
        if value.startswith("#"):
            return _needed(row_form(space))(value, ())
        try:
            return space.from_str(value)
        except UserError as error:
            mistake = error
        name, colon, rest = value.partition(":")
        for form in forms:
            if colon and form.name == name.strip() and form.read is not None:
                return form.read(rest.strip(), ())
    if not isinstance(value, str) or value[:1] in ("(", "[", "{"):
        plain = [form for form in forms if form.plain and form.read is not None]
        for form in plain:
            try:
                return _needed(form)(value, ())
            except UserError as error:
                mistake = error
        if len(plain) != 1:
            mistake = UserError(
                f"{short(value)} is no name of {space.name} by itself: say in which form it is written, "
                f"FORM:VALUE or --arch-form FORM, one of {', '.join(f.name for f in forms if f.read)}."
            )
    assert mistake is not None
    raise mistake


def _needed(form: Form) -> Callable[[Any, Operations], IntArray]:
    assert form.read is not None
    return form.read


# --- values


def words(value: Any) -> list[str] | None:
    """Return the words of a list, or of text with brackets, commas or blanks between; None for anything else."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str):
        value = _HYPHEN.sub(" ", value) if len(value) <= LONGEST else ""
        found = _WORD.findall(value)
        return found if found and set(_WORD.sub("", value)) <= _BETWEEN else None
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [str(v) for v in value] if all(_is_scalar(v) for v in value) else None
    return [str(value)] if _is_scalar(value) else None


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | np.number) and not isinstance(value, bool)


def numbers(value: Any, n: int, what: str) -> IntArray:
    """Return `n` whole numbers ``(n,)`` of a list, a tuple, or text such as ``(4, 0, 3)``, ``4 0 3`` or ``403``.

    Raises:
        UserError: Another number of them, or no whole numbers.
    """
    found = words(value)
    if found is not None and len(found) == 1 < n and len(found[0]) == n:
        found = list(found[0])
    digits = [re.fullmatch(r"([0-9]{1,18})(?:\.0*)?", w) for w in found or []]
    if len(digits) != n or not all(digits):
        raise UserError(f"expected {what}, {n} whole number{'s' * (n != 1)}, got {short(value)}.")
    return np.array([int(d[1]) for d in digits if d], dtype=np.int64)


def literal(value: Any, what: str) -> Any:
    """Return a list or dictionary that is given as such, as JSON or as a Python literal.

    Raises:
        UserError: Text that is neither, or too long or too deep.
    """
    if not isinstance(value, str):
        return value
    if len(value) <= LONGEST:
        for parse in (json.loads, ast.literal_eval):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # '\d' within a literal is no business of Python's
                    return parse(value)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
    raise UserError(f"expected {what}, as JSON or as a Python literal, got {short(value)}.")


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """Return a dictionary; see `literal`.

    Raises:
        UserError: It is none.
    """
    found = literal(value, what)
    if not isinstance(found, Mapping):
        raise UserError(f"expected {what}, a dictionary, got {short(value)}.")
    return found


def short(value: Any) -> str:
    """Return a value for a message, on one line of bounded length."""
    text = repr(value[: 2 * 80] if isinstance(value, str | list | tuple) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."

"""The contract of a search space as functions; each takes a space and raises `CheckFailed`."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from smemnas.bench.checks.common import CheckFailed, global_random_state_untouched, require, require_equal
from smemnas.bench.errors import UserError
from smemnas.spaces.base import RECOMMENDED, IntArray, Objective, SearchSpace

#: Genotypes per check; enumerable spaces up to `SMALL` are compared as a whole where order matters.
N_ROWS = 200
SMALL = 50_000


def rows(space: SearchSpace, n: int = N_ROWS, seed: int = 0) -> IntArray:
    """Return ``(n, n_var)`` valid genotypes to test with."""
    return space.sample(n, np.random.default_rng([101, seed]))


def check_alphabet(space: SearchSpace) -> None:
    """`n_choices` is a tuple of positive ints; `n_var` and `size` follow from it."""
    choices = space.n_choices
    require(
        isinstance(choices, tuple) and len(choices) > 0 and all(type(c) is int and c >= 1 for c in choices),
        f"n_choices must be a tuple of ints of at least 1, one per gene, got {choices!r}.",
    )
    require(space.n_var == len(choices), f"n_var must be len(n_choices) = {len(choices)}, got {space.n_var}.")
    product = 1
    for c in choices:
        product *= c
    require(space.size == product, f"size must be the product of n_choices = {product}, got {space.size}.")


def check_name_and_picklable(space: SearchSpace) -> None:
    """The space carries its name and survives pickling, as parallel studies need it."""
    require(
        space.name and space.name == space.name.lower(),
        f"name must be the lower-case registry key, got {space.name!r}.",
    )
    copy = pickle.loads(pickle.dumps(space))  # our own bytes, made a moment ago
    X = rows(space, 5)
    require_equal(copy.encode(X), space.encode(X), "a pickled and restored space must encode alike.")


def check_sample(space: SearchSpace) -> None:
    """Samples have the right shape and dtype, are valid, reach every gene value, and follow the generator."""
    with global_random_state_untouched(f"space {space.name!r}: sample"):
        X = rows(space, 4000)
        again = rows(space, 4000)
        other = rows(space, 4000, seed=1)
    require(
        X.shape == (4000, space.n_var) and X.dtype == np.int64,
        f"sample(4000, rng) must be int64 (4000, {space.n_var}), got {X.dtype} {X.shape}.",
    )
    require_equal(again, X, "sample must give the same rows for the same generator state.")
    require(not np.array_equal(other, X), "sample must depend on the generator, got the same rows for two seeds.")
    valid = space.is_valid(X)
    require(valid.all(), f"sample must give valid genotypes only, got {X[~valid][:1].tolist()}.")
    for gene, choices in enumerate(space.n_choices):
        found = np.unique(X[:, gene])
        require(
            len(found) == choices or choices > 400,
            f"sample must reach every value of gene {gene} (0..{choices - 1}), 4,000 draws gave {found.tolist()}.",
        )


def check_is_valid(space: SearchSpace) -> None:
    """`is_valid` is boolean, row-wise, and refuses genes off the grid."""
    X = rows(space)
    valid = space.is_valid(X)
    require(
        valid.shape == (len(X),) and valid.dtype == np.bool_,
        f"is_valid must return bool ({len(X)},), got {valid.dtype} {valid.shape}.",
    )
    for gene, choices in enumerate(space.n_choices):
        for value in (-1, choices):
            off = X[:1].copy()
            off[0, gene] = value
            require(
                not space.is_valid(off)[0],
                f"is_valid must be False where gene {gene} is {value} (allowed 0..{choices - 1}), got True.",
            )
    mixed = np.vstack([X[:3], off])
    require_equal(
        space.is_valid(mixed), np.array([True, True, True, False]), "is_valid must judge each row for itself."
    )


def check_names(space: SearchSpace) -> None:
    """Names are stable strings on one line; `from_str` inverts `to_str` up to genes that change nothing."""
    X = rows(space)
    names = [space.to_str(x) for x in X]
    require([space.to_str(x) for x in X] == names, "to_str must give the same name every time.")
    require(
        [space.to_str(x.astype(np.int32)) for x in X] == names,
        "to_str must depend on the gene values, not on the integer type.",
    )
    for x, name in zip(X, names, strict=True):
        require(
            isinstance(name, str) and name and name.isprintable(),
            f"to_str must give one line of text, got {name!r} for {x.tolist()}.",
        )
        back = space.from_str(name)
        require(
            back.shape == (space.n_var,) and back.dtype == np.int64 and bool(space.is_valid(back[None])[0]),
            f"from_str({name!r}) must be a valid int64 ({space.n_var},), got {back.dtype} {back.shape}.",
        )
        require(space.to_str(back) == name, f"to_str(from_str(s)) must be s = {name!r}, got {space.to_str(back)!r}.")
    back = np.array([space.from_str(name) for name in names])
    require_equal(
        space.canonical(back), space.canonical(X), "from_str(to_str(x)) must be x or at least the same network."
    )
    if type(space).canonical is SearchSpace.canonical:
        require_equal(back, X, "from_str(to_str(x)) must be x, because every genotype is a network of its own.")


def check_wrong_names(space: SearchSpace) -> None:
    """`from_str` refuses what names no architecture with a `UserError`."""
    name = space.to_str(rows(space, 1)[0])
    for wrong in ("", "no architecture", name + name, name[: len(name) // 2], name + "x"):
        try:
            x = space.from_str(wrong)
        except UserError:
            continue
        except (Exception, SystemExit) as error:
            raise CheckFailed(
                f"from_str({wrong!r}) must raise a UserError, got {type(error).__name__}: {error}."
            ) from error
        require(
            bool(wrong) and space.to_str(x) == wrong,  # a space with names of many lengths may know it
            f"from_str({wrong!r}) must raise a UserError, got {x!r}.",
        )


#: What no form of any space reads.
WRONG_VALUES: tuple[Any, ...] = (
    *("", "no architecture", "(1, 2", "[[[[", "{}"),
    *(None, -1, 10**30, 0.5, b"x"),
    *([], {}, [None]),
)


def check_forms(space: SearchSpace) -> None:
    """Every form reads its example and what it writes itself, and refuses rubbish with a `UserError`."""
    X = rows(space, 5)
    forms = space.forms
    require(len({f.name for f in forms}) == len(forms), "the forms of a space must have different names.")
    for form in forms:
        require(form.name.isprintable() and ":" not in form.name, f"a form's name has no colon, got {form.name!r}.")
        if form.read is None:
            continue
        example = form.read(form.example, form.operations)
        require(example.shape == (space.n_var,), f"{form.name} must read its example to ({space.n_var},).")
        if form.write is not None:
            back = np.array([form.read(form.write(x, form.operations), form.operations) for x in X])
            require_equal(space.canonical(back), space.canonical(X), f"{form.name} must read what it writes.")
        for wrong in WRONG_VALUES:
            try:
                form.read(wrong, ())
            except UserError:
                continue
            except (Exception, SystemExit) as error:
                raise CheckFailed(
                    f"the form {form.name!r} must refuse {wrong!r} with a UserError, "
                    f"got {type(error).__name__}: {error}."
                ) from error
            raise CheckFailed(f"the form {form.name!r} must refuse {wrong!r} with a UserError.")


def check_encodings(space: SearchSpace) -> None:
    """Every encoding is finite float64 ``(n, d)`` and treats each row for itself."""
    X = rows(space)
    require(
        space.default_encoding in space.encodings or "+" in space.default_encoding,
        f"default_encoding {space.default_encoding!r} must be one of {space.encodings} or a sum of them.",
    )
    pick = np.random.default_rng(5).permutation(len(X))[:37]
    named = [*space.encodings, space.default_encoding, RECOMMENDED, space.cost_encoding or None, None]
    for kind in dict.fromkeys(named):
        with global_random_state_untouched(f"space {space.name!r}: encode({kind!r})"):
            Z = space.encode(X, kind)
        require(
            Z.ndim == 2 and len(Z) == len(X) and Z.shape[1] > 0 and Z.dtype == np.float64,
            f"encode(X, {kind!r}) must be float64 ({len(X)}, d), got {Z.dtype} {Z.shape}.",
        )
        require(np.isfinite(Z).all(), f"encode(X, {kind!r}) must be finite, got NaN or inf.")
        require_equal(space.encode(X[pick], kind), Z[pick], f"encode(X[k], {kind!r}) must equal encode(X)[k].")
        single = np.vstack([space.encode(X[k : k + 1], kind) for k in range(12)])
        require_equal(single, Z[:12], f"encode of one row, {kind!r}, must equal that row of many.")
        empty = space.encode(X[:0], kind)
        require(
            empty.shape == (0, Z.shape[1]),
            f"encode({kind!r}) of no rows must be (0, {Z.shape[1]}), got {empty.shape}.",
        )
    _refuses(lambda: space.encode(X, "no-such-encoding"), "encode(X, 'no-such-encoding')")


def check_costs(space: SearchSpace) -> None:
    """Every cost is positive, finite and row-wise, and is declared as a free objective with a unit."""
    X = rows(space)
    pick = np.random.default_rng(6).permutation(len(X))[:37]
    for cost in space.costs:
        require(
            isinstance(cost, Objective) and cost.cheap and cost.unit,
            f"costs must be Objective(name, unit, cheap=True), got {cost!r}.",
        )
        values = np.asarray(space.cost(X, cost.name))
        require(
            values.shape == (len(X),) and np.issubdtype(values.dtype, np.floating),
            f"cost(X, {cost.name!r}) must be floats ({len(X)},), got {values.dtype} {values.shape}.",
        )
        require(
            np.isfinite(values).all() and (values > 0).all(),
            f"cost(X, {cost.name!r}) must be finite and positive, the smallest is {values.min()!r}.",
        )
        require_equal(np.asarray(space.cost(X[pick], cost.name)), values[pick], f"cost {cost.name!r} must be row-wise.")
        empty = np.asarray(space.cost(X[:0], cost.name))
        require(empty.shape == (0,), f"cost of no rows, {cost.name!r}, must be (0,), got {empty.shape}.")
    _refuses(lambda: space.cost(X, "no-such-cost"), "cost(X, 'no-such-cost')")


def check_canonical(space: SearchSpace) -> None:
    """Canonical keys are ``(n,)``, sortable and row-wise; equal genotypes have equal keys."""
    X = rows(space)
    keys = space.canonical(X)
    require(keys.shape == (len(X),), f"canonical must return ({len(X)},), got {keys.shape}.")
    pick = np.random.default_rng(7).permutation(len(X))[:37]
    require_equal(space.canonical(X[pick]), keys[pick], "canonical(X[k]) must equal canonical(X)[k].")
    require_equal(space.canonical(np.asfortranarray(X)), keys, "canonical must not depend on the memory layout.")
    twice = space.canonical(np.repeat(X, 2, axis=0))
    require_equal(twice[::2], twice[1::2], "equal genotypes must have equal canonical keys.")


def check_normalise(space: SearchSpace) -> None:
    """`normalise` changes silent genes only: same name, network and costs, and a second time nothing."""
    X = rows(space)
    Y = space.normalise(X)
    require(
        Y.shape == X.shape and Y.dtype == np.int64, f"normalise must give int64 {X.shape}, got {Y.dtype} {Y.shape}."
    )
    require(space.is_valid(Y).all(), "normalise must give valid genotypes.")
    require_equal(space.normalise(Y), Y, "normalise twice must change nothing more.")
    require_equal(space.normalise(X[3:9]), Y[3:9], "normalise must treat each row for itself.")
    require([space.to_str(x) for x in Y] == [space.to_str(x) for x in X], "normalise must keep the names.")
    require_equal(space.canonical(Y), space.canonical(X), "normalise must keep the networks.")
    for cost in space.costs:
        require_equal(space.cost(Y, cost.name), space.cost(X, cost.name), f"normalise must keep the {cost.name}.")


def check_enumerate(space: SearchSpace) -> None:
    """An enumerable space lists each valid genotype once, in order; another one says that it cannot."""
    if not space.is_enumerable:
        _refuses(space.enumerate, "enumerate() of a space that is not enumerable")
        return
    grid = space.enumerate()
    require(
        grid.ndim == 2 and grid.shape[1] == space.n_var and grid.dtype == np.int64,
        f"enumerate must be int64 (N, {space.n_var}), got {grid.dtype} {grid.shape}.",
    )
    index = space.index(grid)
    require((np.diff(index) > 0).all(), "enumerate must list distinct genotypes in lexicographic order.")
    require(space.is_valid(grid).all(), "enumerate must list valid genotypes only.")
    if space.size <= SMALL:
        everything = np.stack(np.unravel_index(np.arange(space.size), space.n_choices), axis=1).astype(np.int64)
        wanted = int(space.is_valid(everything).sum())
        require(len(grid) == wanted, f"enumerate must list all {wanted} valid genotypes, got {len(grid)}.")
    require(np.isin(space.index(rows(space)), index).all(), "enumerate must contain every sampled genotype.")


def check_inputs_kept(space: SearchSpace) -> None:
    """No function writes into the genotypes it is given."""
    X = rows(space, 20)
    X.flags.writeable = False
    try:
        space.is_valid(X)
        space.canonical(X)
        space.normalise(X)
        space.to_str(X[0])
        for kind in space.encodings:
            space.encode(X, kind)
        for cost in space.costs:
            space.cost(X, cost.name)
    except ValueError as error:
        raise CheckFailed(f"genotypes are read only for a space; copy before changing them ({error}).") from error


def _refuses(call: object, what: str) -> None:
    """Require a call to raise `UserError`."""
    assert callable(call)
    try:
        call()
    except UserError:
        return
    except (Exception, SystemExit) as error:
        raise CheckFailed(f"{what} must raise a UserError, got {type(error).__name__}: {error}.") from error
    raise CheckFailed(f"{what} must raise a UserError, got a result.")


CHECKS = (
    check_alphabet,
    check_name_and_picklable,
    check_sample,
    check_is_valid,
    check_names,
    check_wrong_names,
    check_forms,
    check_encodings,
    check_costs,
    check_canonical,
    check_normalise,
    check_enumerate,
    check_inputs_kept,
)

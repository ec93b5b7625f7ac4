"""The contracts as code: run by pytest over everything registered, and by the command `check NAME` for a plug-in.

A check is a plain function that raises `CheckFailed` with what was expected, what came and what to do. Known
exceptions stand in `EXCEPTIONS` with their reason; one that does not fail any more is itself a failure.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from smemnas.bench.benchmarks.catalog import BENCHMARKS, base_of, datasets_of, open_benchmark
from smemnas.bench.checks import benchmarks, methods, spaces, surrogates
from smemnas.bench.checks.common import CheckFailed
from smemnas.bench.errors import DataError, UserError, suggest
from smemnas.bench.registry import Registry, of_plugins
from smemnas.methods.base import METHODS
from smemnas.spaces.base import SPACES
from smemnas.surrogates.base import SURROGATES

__all__ = ["EXCEPTIONS", "Check", "NothingToCheck", "check_name", "checks_of", "entries"]

#: What can be checked, by its kind.
REGISTRIES: dict[str, Registry[Any]] = {
    "method": METHODS,
    "space": SPACES,
    "surrogate": SURROGATES,
    "benchmark": BENCHMARKS,
}

#: (entry, check) -> why the entry does not keep the contract, and may.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("surrogate random", "check_smaller_is_better"): "the control of an ablation orders at random",
    ("surrogate random", "check_learns"): "the control of an ablation orders at random",
    ("surrogate constant", "check_smaller_is_better"): "the control gives every architecture the same score",
    ("surrogate constant", "check_learns"): "the control gives every architecture the same score",
}


class NothingToCheck(Exception):
    """The data of a benchmark, or a library of an extra, are not on this machine, so nothing can be checked."""


class Check(NamedTuple):
    """One check of one registered entry.

    Attributes:
        entry: Kind and name, for example "method smemnas".
        name: Name of the check function.
        run: Runs it; raises `CheckFailed` or `NothingToCheck`.
        exception: Reason why it is known to fail, "" where it must hold.
    """

    entry: str
    name: str
    run: Callable[[], None]
    exception: str


def entries() -> list[tuple[str, str]]:
    """Return (kind, name) of everything registered."""
    return [(kind, name) for kind, registry in REGISTRIES.items() for name in registry.names()]


def checks_of(kind: str, name: str) -> list[Check]:
    """Return the checks of one registered entry, or of an imported table named "space/dataset".

    Args:
        kind: "method", "space", "surrogate" or "benchmark".
        name: Registered name.
    """
    functions: Sequence[Callable[[Any], None]]
    subject: Callable[[], Any]
    if kind == "method":
        functions = methods.CHECKS
        subject = lambda: _method_maker(name)  # noqa: E731
    elif kind == "surrogate":
        functions = surrogates.CHECKS
        subject = lambda: _maker(name)  # noqa: E731
    elif kind == "space":
        functions = spaces.CHECKS
        subject = lambda: SPACES.create(name)  # noqa: E731
    else:
        functions = benchmarks.CHECKS
        subject = lambda: _opener(name)  # noqa: E731
    entry = f"{kind} {name}"

    def bind(function: Callable[[Any], None]) -> Callable[[], None]:
        return lambda: function(subject())

    return [Check(entry, f.__name__, bind(f), EXCEPTIONS.get((entry, f.__name__), "")) for f in functions]


def _method_maker(name: str) -> methods.Make:
    """Return the function that makes a method.

    Raises:
        NotInstalled: The library it needs is not on this machine.
    """
    _require_library("method", name, METHODS.get(name).factory)
    return lambda problem, budget, seed: METHODS.create(name, problem, budget=budget, seed=seed)


def _require_library(kind: str, name: str, factory: Callable[..., Any]) -> None:
    """Check that the library a plug-in says it needs is here.

    Raises:
        NotInstalled: It is not.
    """
    needs = getattr(factory, "needs", "")
    if needs and importlib.util.find_spec(needs) is None:
        raise NothingToCheck(f"{kind} {name!r} needs {needs}, which is not installed: pip install {needs}")


def _maker(name: str) -> surrogates.Make:
    """Return the function that makes a surrogate.

    Raises:
        NotInstalled: The library it needs is not on this machine.
    """
    _require_library("surrogate", name, SURROGATES.get(name).factory)
    return lambda seed: SURROGATES.create(name, seed=seed)


def _opener(name: str) -> benchmarks.Make:
    """Return the function that opens a benchmark with given objectives.

    Raises:
        NotInstalled: Its data are not on this machine.
    """
    space, _, dataset = name.partition("/")
    try:
        open_benchmark(space, dataset)
    except DataError as error:
        if "not installed" in str(error):
            raise NothingToCheck(str(error)) from error
        raise
    return lambda objectives: open_benchmark(space, dataset, objectives)


def check_name(name: str) -> Iterator[tuple[str, str | None]]:
    """Run the checks of everything that carries a name.

    Args:
        name: A method, preset, space, surrogate, or "space/dataset".

    Yields:
        Name of the check, and None where it holds or else what is wrong.

    Raises:
        UserError: Nothing has that name; near misses are suggested.
    """
    known = entries()
    found = [(kind, n) for kind, n in known if n == name]
    space, slash, dataset = name.partition("/")
    if not found and slash and space in SPACES and base_of(dataset) in datasets_of(space):
        found = [("benchmark", name)]
    if not found:
        hint = suggest(name, {n for _, n in known})
        told = of_plugins()
        where = "" if told else " (in a plug-in? --plugin FILE before `check`)"
        raise UserError(f"nothing registered is called {name!r}{where}.{hint}{told}")
    for kind, _ in found:
        missing = REGISTRIES[kind].get(name).lacks() if name in REGISTRIES[kind] else ""
        if missing:
            yield f"{kind} {name}: complete", missing
            continue
        for check in checks_of(kind, name):
            label = f"{check.entry}: {check.name.removeprefix('check_').replace('_', ' ')}"
            try:
                problem = problem_of(check)
            except NothingToCheck as error:
                yield f"{check.entry}: installed", str(error)
                break
            if check.exception:
                yield (
                    f"{label} (known exception: {check.exception})",
                    (None if problem else "holds now: remove it from bench.checks.EXCEPTIONS"),
                )
            else:
                yield label, problem


def problem_of(check: Check) -> str | None:
    """Run a check; return what is wrong in one line, or None.

    Raises:
        NotInstalled: There is nothing to check on this machine.
    """
    try:
        check.run()
    except NothingToCheck:
        raise
    except CheckFailed as error:
        return " ".join(str(error).split())
    except (Exception, SystemExit) as error:
        return " ".join(f"unexpected {type(error).__name__}: {error}".split())
    return None

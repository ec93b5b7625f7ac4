"""Tables that several benchmarks need and that are not there, all named at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.errors import DataError, NotInstalled, UserError
from smemnas.bench.program import PROGRAM


class Missing(NamedTuple):
    """What is not there.

    Attributes:
        fetched: What `data fetch` takes, each once.
        others: Why further benchmarks cannot be opened, and what to do.
    """

    fetched: tuple[str, ...]
    others: tuple[str, ...]


def missing_data(cases: Iterable[Case]) -> Missing:
    """Return which tables the cases lack; any other mistake in a case is left to whoever opens it."""
    names: list[str] = []
    others: list[str] = []
    for case in cases:
        try:
            benchmark_of(case)
        except NotInstalled as error:
            names.append(error.name)
        except DataError as error:
            others.append(str(error))
        except UserError:
            continue
    return Missing(tuple(dict.fromkeys(names)), tuple(dict.fromkeys(others)))


def refuse_missing(cases: Iterable[Case]) -> None:
    """Refuse cases that lack more than one table, naming all; what lacks one says so itself when it is opened.

    Raises:
        DataError: Two or more tables are not installed.
    """
    names = missing_data(cases).fetched
    if len(names) > 1:
        raise DataError(f"{len(names)} tables are not installed: {PROGRAM} data fetch {' '.join(names)}")

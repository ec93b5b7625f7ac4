"""Runs in a process of its own for each way of computing, and where their logs part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS

from .ways import Way

#: Variables that decide how a process computes; each way starts without those of the caller.
DECIDING = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "GLIBC_TUNABLES",
)
#: Populations that a short search leaves behind it.
SMALLER = {"rea/paper": {"population": 20}, "optuna-nsga2": {"population": 20}}


class Search(NamedTuple):
    """One search, run under every way.

    Attributes:
        method: Registered name.
        space: Space or space/dataset.
        seed: Root of all randomness.
        budget: Evaluations.
        params: Parameters of the method.
    """

    method: str
    space: str
    seed: int
    budget: int
    params: Mapping[str, Any] = MappingProxyType({})

    @property
    def row(self) -> str:
        """Method and what is special about it."""
        return " ".join([self.method, *(f"{key}={value}" for key, value in self.params.items())])


def variants(method: str) -> list[dict[str, Any]]:
    """Return the parameters with which a method is run: its defaults, and the space's recommended encoding.

    A random sample as large as the searches here are is made smaller: it decides nothing.
    """
    entry = METHODS.get(method)
    own = {p.name: p.default for p in signature(entry.factory).parameters.values()} | entry.resolve({})
    sample = own.get("initial", 0)  # None: as many as the space asks for
    small = SMALLER.get(method, {"initial": 20} if sample is None or sample > 20 else {})
    others = [{**small, "encoding": "recommended"}] if own.get("encoding", "recommended") != "recommended" else []
    return [small, *others]


def logs_under(way: Way, searches: Sequence[Search]) -> list[list[str]]:
    """Return the rows of each search's log, made by a new process under a way of computing."""
    env = {key: value for key, value in os.environ.items() if key not in DECIDING}
    env |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **way.env}
    wanted = json.dumps([{**search._asdict(), "params": dict(search.params)} for search in searches])
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernels.child"],
        input=wanted,
        capture_output=True,
        text=True,
        env=env,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"under {way.name}: {done.stderr.strip()[-2000:]}")
    answer: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return answer


def make_logs(searches: Sequence[Search]) -> list[list[str]]:
    """Run searches here, in a temporary folder, and return the rows of their logs; none of one that cannot be run."""
    from smemnas.bench.library.run import RunOptions, run

    logs = []
    for search in searches:
        space, _, dataset = search.space.partition("/")
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "run")
            try:
                run(
                    RunOptions(
                        search.method,
                        space,
                        dataset,
                        budget=search.budget,
                        seed=search.seed,
                        params=search.params,
                        out=out,
                    )
                )
                logs.append((out / "evals.jsonl").read_text().splitlines())
            except UserError:  # the method cannot search this space, or lacks a library
                logs.append([])
    return logs


def parts_at(one: Sequence[str], other: Sequence[str]) -> int | None:
    """Return the row, from 1, at which two logs part; None where they are the same."""
    if list(one) == list(other):
        return None
    return next((k for k, pair in enumerate(zip(one, other), 1) if pair[0] != pair[1]), min(len(one), len(other)) + 1)

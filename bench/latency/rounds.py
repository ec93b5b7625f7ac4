"""Times many graphs in interleaved rounds, and takes out what the machine was doing meanwhile.

A machine's speed drifts by more than networks differ: its clock, its neighbours' use of caches, another's work on the
same core. So no graph is timed at one time and the next at another. A round times each of them a few times, in an
order of its own, and all of them are each other's reference: where all that are timed about one moment take 3 % more
than they do in other rounds, that is the machine, and is divided out.

This file runs alone beside device.py, see there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

#: Calls before the first round and before those of each round that count, and rounds that count.
FIRST, WARMUP, ROUNDS = 2, 1, 11
#: How long the calls of a graph in a round go on, and how many they are at least and at most.
SECONDS, FEWEST, MOST = 0.006, 3, 50
#: Graphs that are open at a time beside the common ones, and how many of these there are.
OPEN, COMMON = 48, 8
#: Graphs timed before and after one that tell what the machine did, and how often drift and times are told apart.
NEAR, PASSES = 6, 4
SEED = 1

#: wall: what a user waits for. cpu: the time that the calling thread computed, which is the same where it has a core
#: for itself, and what it would be where it has not; for one thread only.
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.thread_time}

#: Runs a graph once. A function of a graph's name makes one.
Call = Callable[[], Any]
#: Told what was measured, how many are done and how many there are.
Tell = Callable[[str, int, int], None]


def quiet(name: str, done: int, n: int) -> None:
    """Tell nothing."""


class Kept:
    """What was measured so far, one line each; a torn last line does not count.

    Args:
        path: The file.
        identity: What must be the same for lines to count; those of another plan or machine are left.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self.rows: dict[str, Any] = {}
        first = json.dumps({"identity": identity}, sort_keys=True)
        lines = path.read_bytes().decode("utf-8", "replace").split("\n") if path.exists() else []
        if lines[:1] == [first]:
            for line in lines[1:-1]:
                try:
                    row = json.loads(line)
                    self.rows[row["name"]] = row["found"]
                except (ValueError, KeyError, TypeError):
                    break
        text = [first, *(self._line(name, found) for name, found in self.rows.items())]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(text) + "\n", encoding="utf-8")

    @staticmethod
    def _line(name: str, found: Any) -> str:
        return json.dumps({"name": name, "found": found}, sort_keys=True)

    def get(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return what was found under a name, measuring it if it was not."""
        if name not in self.rows:
            self.rows[name] = measure()
            with open(self.path, "a", encoding="utf-8") as stream:
                stream.write(self._line(name, self.rows[name]) + "\n")
        return self.rows[name]


def fastest(call: Call, clock: Callable[[], float], times: int) -> float:
    """Return the seconds of the fastest of some calls: what the machine can do between what else it does."""
    best = np.inf
    for _ in range(times):
        start = clock()
        call()
        best = min(best, clock() - start)
    return float(best)


def round_order(n: int, part: int, number: int) -> Any:
    """Return the order ``(n,)`` in which a round times its graphs."""
    return np.random.default_rng([SEED, part, number]).permutation(n)


class _Opened:
    """The graphs of a part, opened when a round of it is first measured."""

    def __init__(self, names: Sequence[str], opened: Callable[[str], Call], clock: Callable[[], float]) -> None:
        self.names, self.opened, self.clock = names, opened, clock
        self.calls: list[Call] = []
        self.counts: list[int] = []

    def round(self, order: Sequence[int]) -> list[float]:
        """Return the seconds of each graph in a round."""
        if not self.calls:
            self.calls = [self.opened(name) for name in self.names]
            estimates = [fastest(call, self.clock, FIRST) for call in self.calls]
            self.counts = [int(min(max(SECONDS / max(t, 1e-9), FEWEST), MOST)) for t in estimates]
        found = [0.0] * len(self.calls)
        for k in order:
            fastest(self.calls[k], self.clock, WARMUP)
            found[k] = fastest(self.calls[k], self.clock, self.counts[k])
        return found


def without_drift(times: Any, orders: Any) -> Any:
    """Divide out of the times of some rounds ``(rounds, n)`` what all graphs timed about one moment have in common.

    Args:
        times: Positive, one row a round.
        orders: In which order each row was timed ``(rounds, n)``.

    Returns:
        The times ``(rounds, n)`` as they were had the machine been at its usual speed in each.
    """
    seen = np.log(np.maximum(times, 1e-9))
    drift = np.zeros_like(seen)
    for _ in range(PASSES if len(seen) > 1 else 0):
        excess = seen - np.median(seen - drift, axis=0)
        drift = np.stack([_about(row, order) for row, order in zip(excess, orders)])
    return np.exp(seen - drift)


def _about(excess: Any, order: Any) -> Any:
    """Return the median ``(n,)`` of the values of a round that were timed just before and after each."""
    in_time = np.pad(excess[order], NEAR, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(in_time, 2 * NEAR + 1)
    found = np.empty_like(excess)
    found[order] = np.nanmedian(windows, axis=1)
    return found


def on_one_level(parts: Sequence[Mapping[str, Any]], common: Sequence[str], known: Mapping[str, float]) -> float:
    """Bring the times of parts, which were measured at different times, to one speed of the machine, in place.

    Args:
        parts: Times of each graph by name, an array ``(rounds,)`` each; every part has the common graphs.
        common: Names of those.
        known: Times that common graphs had before, in the same unit; empty: their middle over the parts holds.

    Returns:
        How many times as slow as then the machine was, 1 where nothing is known.
    """
    seen = np.array([[float(np.log(np.median(part[name]))) for name in common] for part in parts])
    level = np.log([known[name] for name in common]) if known else np.median(seen, axis=0)
    shifts = np.median(seen - level, axis=1)
    for part, shift in zip(parts, shifts):
        for values in part.values():
            values /= np.exp(shift)
    return float(np.exp(np.median(shifts))) if known else 1.0


def some_of(names: Sequence[str]) -> list[str]:
    """Return the common graphs of a measurement: a few that lie evenly among its graphs."""
    chosen = np.linspace(0, len(names) - 1, min(COMMON, len(names))).round().astype(int)
    return [names[k] for k in chosen]


def timed_graphs(
    names: Sequence[str],
    opened: Callable[[str], Call],
    clock: Callable[[], float],
    kept: Kept,
    tell: Tell,
    common: Sequence[str],
    known: Mapping[str, float],
) -> tuple[dict[str, Any], float]:
    """Return the times of graphs in ms, an array ``(rounds,)`` each, and how slow the machine was.

    Graphs are measured `OPEN` at a time, which bounds the memory; a few common ones are measured with each part, and
    hold the parts together.

    Args:
        names: Graphs.
        opened: Returns a graph, ready to run.
        clock: In seconds.
        kept: Has the rounds that were measured before an interruption, and gets each new one.
        tell: Told after each round.
        common: Graphs that are measured with each part.
        known: What they took when they were measured before, in ms; empty: they were not.
    """
    rest = [name for name in names if name not in set(common)]
    parts: list[dict[str, Any]] = []
    n = max(1, -(-len(rest) // OPEN))
    for number, others in enumerate(np.array_split(np.array(rest, dtype=object), n)):
        mine = [*common, *others.tolist()]
        graphs, rows = _Opened(mine, opened, clock), []
        orders = [round_order(len(mine), number, k).tolist() for k in range(ROUNDS)]
        for k, order in enumerate(orders):
            rows.append(kept.get(f"part {number}, round {k}", partial(graphs.round, order)))
            tell(f"round {k + 1} of {len(mine)} graphs", number * ROUNDS + k + 1, n * ROUNDS)
        found = 1e3 * without_drift(np.array(rows), np.array(orders))
        parts.append(dict(zip(mine, found.T.copy())))
    slow = on_one_level(parts, common, known)
    several = {name: [part[name] for part in parts if name in part] for name in (*common, *rest)}
    return {name: np.median(found, axis=0) for name, found in several.items()}, slow

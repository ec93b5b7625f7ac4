"""Processor time of calls that take turns, so that what else the machine does meets all of them alike.

Limits are ratios to a reference timed in the same run: they hold on any machine, with half as much again to spare.
"""

import gc
import time

import numpy as np


def timed(function):
    """Processor seconds of one call, in this process and all its threads, and what it returned."""
    gc.collect()
    gc.freeze()  # what the test session has made before is not searched for garbage in between
    start = time.process_time()
    try:
        result = function()
        return time.process_time() - start, result
    finally:
        gc.unfreeze()


def seconds_of(function):
    """Processor seconds of one call."""
    return timed(function)[0]


def fastest(function, rounds=3):
    """The least processor seconds of some calls."""
    return min(seconds_of(function) for _ in range(rounds))


def ratio(ours, reference, rounds=5, seconds_of=seconds_of, limit=None, warmed=False):
    """How many times as long as its reference a call takes: the median over rounds in which both take their turn.

    With a `limit` it ends as soon as so many rounds lie on one side of it that the median of all must lie there too.
    Both are called once before, ours only where the benchmark has not called it already (`warmed`).
    """
    if not warmed:
        ours()
    reference()
    found = []
    for _ in range(rounds):
        found.append(seconds_of(ours) / seconds_of(reference))
        below = sum(one < limit for one in found) if limit is not None else 0
        if limit is not None and 2 * max(below, len(found) - below) > rounds:
            break
    return float(np.median(found))

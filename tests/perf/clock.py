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


def ratio(ours, reference, rounds=5, seconds_of=seconds_of):
    """How many times as long as its reference a call takes: the median over rounds in which both take their turn."""
    ours(), reference()  # warm
    return float(np.median([seconds_of(ours) / seconds_of(reference) for _ in range(rounds)]))

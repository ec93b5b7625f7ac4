"""Processes of this machine that share tasks: the one pool of them, which every other use of several processes takes.

The processes stay for the next tasks, with all that they have imported and opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from smemnas.bench.errors import RunError
from smemnas.bench.workers.child import end_with, safe_children


class Lost(RunError):
    """A process was killed, and with it all others were given up."""


def in_processes(
    function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], workers: int, *, end: bool = True
) -> Iterator[Any]:
    """Yield what a function returns for each task, in the order in which they end.

    Args:
        function: Importable; called with the elements of a task in another process, which has one thread.
        tasks: Its arguments.
        workers: Processes.
        end: Let a process end in the middle of a task when this one was killed; else the function looks itself.

    Raises:
        Lost: A process was killed. What else a function raises is raised here.
    """
    from concurrent.futures.process import BrokenProcessPool

    from joblib import Parallel, delayed, parallel_config

    parent = os.getpid() if end else 0
    try:
        with safe_children(), parallel_config(backend="loky", inner_max_num_threads=1):
            pool = Parallel(n_jobs=workers, batch_size=1, return_as="generator_unordered")
            yield from pool(delayed(_call)(parent, function, *task) for task in tasks)
    except BrokenProcessPool as error:
        raise Lost(
            "worker processes were killed, perhaps for lack of memory: give fewer --jobs. What is finished is kept: "
            "give the same command again to continue."
        ) from error


def _call(parent: int, function: Callable[..., Any], *task: Any) -> Any:
    """Do a task in a process of the pool."""
    if parent:
        end_with(parent)
    return function(*task)

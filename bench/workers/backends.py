"""Where the runs of a study are made: worker processes on this machine, or those of a Dask or Ray cluster.

A worker takes one job at a time and hands it to a child process (`bench.workers.child`). The workers of a cluster need
the suite installed, and see the study's folder, the data folder and plug-in files under the same paths. A job's log
does not depend on where it is made.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import pickle
import re
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.program import NOTES, install
from smemnas.bench.values import LONGEST, MOST_WORKERS, real, whole
from smemnas.bench.workers.child import Ended, slot
from smemnas.bench.workers.local import Lost, in_processes

BACKENDS = ("loky", "dask", "ray")
#: Seconds that a cluster may take to answer.
PATIENCE = 10.0
#: Worker processes of this machine for each of its processors that this process may use, at most.
PER_PROCESSOR = 4
#: Times that processes of this machine are started for a study, should they be killed.
ATTEMPTS = 3


class Outcome(NamedTuple):
    """What became of a task.

    Attributes:
        task: Its position.
        answer: What the function returned; None where it did not.
        reason: Why it did not return, or "".
    """

    task: int
    answer: Any
    reason: str


#: Environment variable: a folder in which all runs keep and find their trainings of a fixed training seed.
TRAININGS = "SMEMNAS_TRAININGS"
#: Environment variable: the device that "auto" means, in this process and those that it starts.
DEVICE = "SMEMNAS_DEVICE"


class Place(NamedTuple):
    """Where tasks run.

    Attributes:
        backend: "loky" for processes of this machine, "dask" or "ray" for an existing cluster.
        workers: Tasks at a time; None is one per CPU that may be used of the machine, or of the cluster.
        address: Of the cluster's scheduler or head.
        timeout: Seconds until a task is ended; None waits for ever.
    """

    backend: str = "loky"
    workers: int | None = None
    address: str = ""
    timeout: float | None = None

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UserError: It says what.
        """
        if self.backend not in BACKENDS:
            raise UserError(f"--backend takes one of {', '.join(BACKENDS)}, got {self.backend!r}.")
        if self.workers is not None:
            whole("--jobs", self.workers, 1, MOST_WORKERS)
        if self.timeout is not None:
            real("--timeout", self.timeout, 0.0, LONGEST, above=0.0)
        if self.address and self.backend == "loky":
            raise UserError("--address names a cluster: give --backend dask or --backend ray with it.")
        if self.backend == "dask" and not self.address:
            raise UserError("--backend dask needs the scheduler's --address, like tcp://HOST:8786.")


#: In this process, one task after the other, without a limit of time.
ALONE = Place(workers=1)


def here() -> dict[str, str]:
    """Return the variables of this process that tasks need in others, which may stand in another folder."""
    folder = {k: str(Path(v).expanduser().resolve()) for k in ("SMEMNAS_DATA", TRAININGS) if (v := os.environ.get(k))}
    return {**folder, **{name: os.environ[name] for name in (NOTES, DEVICE) if name in os.environ}}


@contextlib.contextmanager
def shared_children() -> Iterator[str]:
    """Yield what several calls of `run_tasks` take, so that the second finds the children of the first, warmed up."""
    try:
        yield uuid.uuid4().hex
    finally:
        slot().close()


def run_tasks(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    place: Place,
    environment: Mapping[str, str],
    children: str = "",
) -> Iterator[Outcome]:
    """Yield what became of each task as it ends.

    Args:
        function: Importable; called with the elements of a task in a child process. Returns an answer of built-in
            types, so that a worker need import nothing, and whether that process may take another task.
        tasks: Its arguments.
        place: Where.
        environment: Variables that children have besides those of their worker.
        children: Whose children take them, see `shared_children`; "" starts some for this call.

    Raises:
        UserError: The cluster's library is missing.
        RunError: The cluster does not answer, or broke down.
    """
    study = children or uuid.uuid4().hex
    calls = [
        (k, study, function.__module__, pickle.dumps((function, task)), place.timeout, dict(environment))
        for k, task in enumerate(tasks)
    ]
    if not calls:
        return
    if place.backend == "loky":
        place = place._replace(workers=workers_for(place.workers, len(calls)))
    if place.backend == "loky" and place.workers == 1:
        try:
            for call in calls:
                yield Outcome(*work(*call))
        finally:
            if not children:
                slot().close()
        return
    outcomes = {"loky": _on_this_machine, "dask": _on_dask, "ray": _on_ray}[place.backend](calls, place)
    for found in outcomes:
        yield Outcome(*found)


def workers_for(wanted: int | None, tasks: int) -> int:
    """Return how many processes of this machine take tasks: never more than there are, nor far more than processors.

    Args:
        wanted: What a user asked for; None is one for each processor that this process may use.
        tasks: How many there are to do.
    """
    from joblib import cpu_count  # knows affinity, control groups and what other programs set

    processors = int(cpu_count())
    return max(1, min(processors if wanted is None else wanted, tasks, PER_PROCESSOR * processors))


def work(
    k: int, study: str, module: str, task: bytes, timeout: float | None, environment: Mapping[str, str]
) -> tuple[int, Any, str]:
    """Run the k-th task in the child of this worker's thread."""
    try:
        answer, sound = slot().run(study, module, task, timeout, environment)
    except Ended as error:
        return k, None, str(error)
    if not sound:
        slot().close()
    return k, answer, ""


def _on_this_machine(calls: list[tuple[Any, ...]], place: Place) -> Iterator[tuple[int, Any, str]]:
    """Run in processes of this machine; where one of them is killed, all are lost and others take what is left.

    Raises:
        RunError: They are killed again and again.
    """
    assert place.workers is not None
    left = {call[0]: call for call in calls}
    for _ in range(ATTEMPTS):
        try:
            for found in in_processes(work, list(left.values()), place.workers):
                del left[found[0]]
                yield found
            return
        except Lost:
            continue
    raise RunError(
        f"worker processes were killed {ATTEMPTS} times, perhaps for lack of memory: give fewer --jobs. "
        "Finished runs are kept: give the same command again to continue."
    )


def _on_dask(calls: list[tuple[Any, ...]], place: Place) -> Iterator[tuple[int, Any, str]]:
    """Run on a Dask cluster; by its own client, for joblib's waits for ever when a worker is lost."""
    try:
        import distributed
    except ImportError as error:
        raise UserError(f"--backend dask needs the extra 'cluster': {install('cluster')}.") from error
    _knock(place)
    with _cluster_errors(place), distributed.Client(place.address, timeout=PATIENCE, set_as_default=False) as client:
        if not client.ncores():
            raise RunError(f"the Dask cluster at {place.address} has no workers: start some first.")
        waiting, once = iter(calls), uuid.uuid4().hex  # what has a key that was there gets the answer of then

        def submit(n: int | None) -> list[Any]:
            return [client.submit(work, *call, key=f"{once}-{call[0]}") for call in itertools.islice(waiting, n)]

        running = distributed.as_completed(submit(place.workers), loop=client.loop, with_results=True)
        for future, found in running:
            if future.status != "finished":  # what then stands for an answer is an exception of the library
                raise RunError(_lost(place, "its scheduler is gone"))
            yield found
            running.update(submit(1))


def _on_ray(calls: list[tuple[Any, ...]], place: Place) -> Iterator[tuple[int, Any, str]]:
    """Run on a Ray cluster; by its own tasks, for joblib's come back only when all are done."""
    try:
        import ray
    except ImportError as error:
        raise UserError(f"--backend ray needs the extra 'cluster': {install('cluster')}.") from error
    _knock(place)
    with _cluster_errors(place):
        ours = not ray.is_initialized()
        if ours:
            ray.init(address=place.address or "auto", log_to_driver=False, logging_level=logging.ERROR)
        try:
            remote = ray.remote(num_cpus=1)(work)
            waiting = iter(calls)

            def submit(n: int | None) -> list[Any]:
                return [remote.remote(*call) for call in itertools.islice(waiting, n)]

            running = submit(place.workers)
            while running:
                [done], running = ray.wait(running)
                yield ray.get(done)
                running += submit(1)
        finally:
            if ours:
                ray.shutdown()


def _knock(place: Place) -> None:
    """Connect to the address and hang up, where it names host and port: the libraries take minutes to give up.

    Raises:
        RunError: Nothing answers.
    """
    found = re.fullmatch(r"(?:\w+://)?\[?([^\[\]/]+?)\]?:(\d+)/?", place.address)
    if not found:
        return
    try:
        with socket.create_connection((found[1], int(found[2])), timeout=PATIENCE):
            pass
    except (OSError, OverflowError) as error:
        raise _silent(place, error) from error


def _silent(place: Place, error: BaseException) -> RunError:
    where = f" at {place.address}" if place.address else " on this machine: give its --address"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return RunError(f"no {place.backend.capitalize()} cluster answers{where} ({reason}).")


@contextlib.contextmanager
def _cluster_errors(place: Place) -> Iterator[None]:
    """Turn what a cluster's library raises into one line, and what it logs on the way into none.

    Raises:
        RunError: In its stead.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    except (UserError, GeneratorExit, KeyboardInterrupt):
        raise
    except (ConnectionError, TimeoutError) as error:
        raise _silent(place, error) from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise RunError(_lost(place, reason)) from error
    finally:
        logging.disable(before)


def _lost(place: Place, reason: str) -> str:
    return (
        f"the {place.backend.capitalize()} cluster failed ({reason}). Its workers need this package installed. "
        "Finished runs are kept: give the same command again to continue."
    )

"""The command line in a process of its own that is forked from one with all imports done: as a user runs it, at once.

What a process reads when it starts (PYTHON..., numbers of threads, the encoding of its streams), its workers, and what
is imported when, need a process that really starts: `real` runs one.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.server import HANG, Server

ROOT = Path(__file__).resolve().parents[1]
#: Variables that are read when they are needed, not when a process starts.
LATE = {"SMEMNAS_DATA", "TMPDIR"}


def command(*args: object) -> list[str]:
    """The command line as a new process."""
    return [sys.executable, str(ROOT / "cli.py"), *map(str, args)]


def real(*args: object, cwd=None, timeout=120, **environment) -> subprocess.CompletedProcess:
    """Run ``python cli.py ARGS`` in a process that really starts."""
    env = {**os.environ, **{k: str(v) for k, v in environment.items()}}
    return subprocess.run(
        command(*args), cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False
    )


def run(*args: object, cwd=None, timeout=120, **environment) -> subprocess.CompletedProcess:
    """Run ``cli.py ARGS`` in a forked process where that makes no difference, else in one that really starts."""
    if not hasattr(os, "fork") or not set(environment) <= LATE or needs_workers(args):
        return real(*args, cwd=cwd, timeout=timeout, **environment)
    server, place = _server()
    env = {**os.environ, **{k: str(v) for k, v in environment.items()}}
    ended = server.call(map(str, args), cwd or os.getcwd(), env, timeout, place)
    if ended["code"] == HANG:
        raise subprocess.TimeoutExpired(command(*args), timeout, ended["out"], ended["err"])
    return subprocess.CompletedProcess(command(*args), ended["code"], ended["out"], ended["err"])


def needs_workers(args: tuple[object, ...]) -> bool:
    """Whether a call starts processes, which are made like the one that starts them."""
    words = [str(a) for a in args]
    if not {"study", "rank"} & set(words[:4]):
        return False
    return ("--jobs", "1") not in itertools.pairwise(words) or bool({"--timeout", "--backend"} & set(words))


@functools.cache
def _server() -> tuple[Server, Path]:
    """Return the process that forks and a folder for the streams, both of this test process."""
    place = Path(tempfile.mkdtemp(prefix="smemnas-forks-"))
    server = Server(place)
    atexit.register(shutil.rmtree, place, True)
    atexit.register(server.close)
    return server, place

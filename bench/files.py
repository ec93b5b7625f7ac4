"""Files and folders that are there whole or not at all.

Whatever the suite writes under a final name is written beside it first, under a name that no other process uses, and
moved there when it is complete: a kill, a full disk or a second process leaves the old file or the new one, never a
torn one. Modes are those that the umask gives, so that colleagues can read what the suite caches.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smemnas.bench.errors import RunError, UserError

#: Ending of whatever is not complete yet.
PART = ".part"
#: Seconds after which an unfinished file that nobody has touched was left by a process that is gone.
STALE = 3600.0
ADVICE = "Free space or choose another folder with --out."


def why(error: BaseException) -> str:
    """Return what the machine says about a failure, on one line."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def replacing(
    path: Path,
    *,
    durable: bool = True,
    failure: type[UserError] = RunError,
    advice: str = ADVICE,
    also: tuple[type[Exception], ...] = (),
) -> Iterator[Path]:
    """Yield a path to write to; the file there gets the name `path` when the block ends well, else it is removed.

    A symbolic link stays one: the file that it names is replaced.

    Args:
        path: Final name.
        durable: Whether the content is on the disk before its name is.
        failure: Error to raise.
        advice: What it tells the user to do.
        also: What a library raises, beside OSError, when it cannot write.

    Raises:
        UserError: A `failure`: the file cannot be written, or something else than a file has its name.
    """
    faults: tuple[type[Exception], ...] = (OSError, *also)
    part = None
    try:
        target = Path(os.path.realpath(path))
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(target.stat().st_mode):
                raise failure(f"cannot write {path}: it is no regular file. Choose another name.")
        part = unfinished(target)
        yield part
        finish(part, target, durable=durable)
    except faults as error:
        raise failure(f"cannot write {path}: {why(error)}. {advice}") from error
    finally:
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path, *, failure: type[UserError] = RunError, advice: str = ADVICE) -> Iterator[Path]:
    """Yield a new folder to fill, which gets the name `path` when the block ends well, else it is removed.

    A folder of that name is swapped for it (on Linux in one step) and removed last.

    Raises:
        UserError: A `failure`: the folder cannot be made or moved.
    """
    mine: list[Path] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = unfinished(path)
        mine.append(part)
        part.mkdir()
        yield part
        _move_in(part, path, mine)
    except OSError as error:
        raise failure(f"cannot write {path}: {why(error)}. {advice}") from error
    finally:
        for left in mine:
            shutil.rmtree(left, ignore_errors=True)


def _move_in(part: Path, path: Path, mine: list[Path]) -> None:
    """Give a folder its name; the one that has it, maybe another process's from just now, goes aside."""
    while not (path.exists() and _exchange(part, path)):
        aside = unfinished(path)
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, aside)
            mine.append(aside)
        try:
            os.replace(part, path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                continue
            if mine[-1] == aside and not path.exists():
                os.replace(aside, path)
            raise
        return


def _exchange(first: Path, second: Path) -> bool:
    """Let two folders swap names in one step, so that a reader never finds none; False where that is not offered."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    return int(rename(here, os.fsencode(first), here, os.fsencode(second), exchange)) == 0


def unfinished(path: Path) -> Path:
    """Return a name beside `path` that no other process uses, and remove what a process that is gone left there."""
    stem = f".{path.name[:100]}."
    with contextlib.suppress(OSError):
        for left in path.parent.iterdir():
            if left.name.startswith(stem) and left.name.endswith(PART):
                _remove_stale(left)
    return path.with_name(f"{stem}{os.getpid():x}-{secrets.token_hex(4)}{PART}")


def is_unfinished(name: str) -> bool:
    """Whether a file or folder of this name is something that the suite did not finish."""
    return name.endswith(PART)


def _remove_stale(path: Path) -> None:
    with contextlib.suppress(OSError):
        if time.time() - path.lstat().st_mtime < STALE:
            return
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def finish(part: Path, path: Path, *, durable: bool = True) -> None:
    """Give a complete file its final name; a durable one is on the disk before.

    Raises:
        OSError: It cannot be done.
    """
    if durable:
        with open(part, "rb+") as stream:
            os.fsync(stream.fileno())
    os.replace(part, path)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file as a whole or not at all; a durable one is on the disk before its name is.

    Raises:
        RunError: The file cannot be written.
    """
    with replacing(path, durable=durable) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text file as `write_bytes` does.

    Raises:
        RunError: The file cannot be written.
    """
    write_bytes(path, text.encode(), durable=durable)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write a JSON file as `write_bytes` does.

    Raises:
        RunError: The file cannot be written.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n", durable=durable)


def make_folder(folder: Path) -> None:
    """Make a folder with its parents, unless it is there.

    Raises:
        RunError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {why(error)}. Choose another folder with --out.") from error

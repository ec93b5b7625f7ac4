"""Original files: how one is described, checked and downloaded.

A file gets its own name only after its checksum was compared; an interrupted download leaves `<file>.part`,
which the next attempt continues where the server can (HTTP range), and starts anew where it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smemnas.bench.benchmarks.table import file_digest
from smemnas.bench.errors import DataError
from smemnas.bench.files import finish, why

GITHUB = "https://raw.githubusercontent.com/"
JSDELIVR = "https://cdn.jsdelivr.net/gh/"
SOFTWARE_HERITAGE = "https://archive.softwareheritage.org/api/1/content/"
ATTEMPTS = 3
CHUNK = 1 << 16
TIMEOUT = (15.0, 60.0)  # seconds to connect, seconds without a byte


@dataclass(frozen=True)
class Source:
    """One original file (or folder).

    Attributes:
        file: Its name, as published and as looked for in folders.
        url: Where it is downloaded from; "" if it cannot be.
        sha256: Its checksum; "" if none is known.
        bytes: Its size; 0 if not known.
        licence: Licence as published.
        mirrors: Further addresses of the same bytes, tried in order.
        how: For a file without address: where a user gets it.
        optional: What the table lacks without this file; "" where there is no table without it.
    """

    file: str
    url: str
    sha256: str
    bytes: int
    licence: str
    mirrors: tuple[str, ...] = ()
    how: str = ""
    optional: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it is downloaded from, in order: as published, the mirrors, and keepers of what lies on GitHub."""
        return tuple(dict.fromkeys(a for a in (self.url, *self.mirrors, *kept_copies(self.url, self.sha256)) if a))


def kept_copies(url: str, sha256: str) -> tuple[str, ...]:
    """Return where a file of a GitHub commit lies besides, also when its repository is gone: a cache and an archive.

    Both give the bytes of the commit or nothing; the checksum is compared as for any address.
    """
    if not url.startswith(GITHUB) or not sha256:
        return ()
    owner, repository, commit, path = url.removeprefix(GITHUB).split("/", 3)
    return (f"{JSDELIVR}{owner}/{repository}@{commit}/{path}", f"{SOFTWARE_HERITAGE}sha256:{sha256}/raw/")


def check(path: Path, source: Source) -> str:
    """Return what is wrong with a file ("" if nothing is): its size, then its sha256."""
    if path.is_dir():
        return "is a folder, expected a file" if source.sha256 else ""
    size = path.stat().st_size
    if source.bytes and size != source.bytes:
        kind = "truncated" if size < source.bytes else "of the wrong size"
        return f"is {kind} ({size:,} bytes, expected {source.bytes:,})"
    if source.sha256:
        found = file_digest(path)
        if found != source.sha256:
            return f"has the wrong checksum (sha256 {found[:12]}..., expected {source.sha256[:12]}...)"
    return ""


def download(source: Source, url: str, folder: Path, *, progress: bool = False) -> Path:
    """Download one source to `folder / source.file`, unless another process just did.

    Raises:
        DataError: No connection, an HTTP error, a wrong checksum, a full disk (message without the address).
    """
    import pooch
    import requests
    from filelock import FileLock

    pooch.get_logger().setLevel("WARNING")
    part = folder / f"{source.file}.part"
    target = folder / source.file

    def into(address: str, output: str | Path, _: Any) -> None:
        for attempt in range(ATTEMPTS):
            try:
                _stream(address, part, source, progress=progress)
                break
            except requests.exceptions.HTTPError as error:
                if _status(error) < 500 or attempt == ATTEMPTS - 1:
                    raise
            except requests.exceptions.RequestException:
                if attempt == ATTEMPTS - 1:
                    raise
        finish(part, Path(output))

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{source.file}.lock"):
            if target.exists() and not check(target, source):
                return target
            known = f"sha256:{source.sha256}" if source.sha256 else None
            if known is None:
                target.unlink(missing_ok=True)
            return Path(pooch.retrieve(url, known, fname=source.file, path=folder, downloader=into))
    except requests.exceptions.HTTPError as error:
        raise DataError(f"the server answers {_status(error)}") from error
    except requests.exceptions.RequestException as error:
        raise DataError(f"no complete answer, {type(error).__name__}") from error
    except ValueError as error:
        raise DataError("wrong checksum of what was downloaded") from error
    except OSError as error:
        raise DataError(f"cannot write {folder}, {why(error)}") from error


def _stream(url: str, part: Path, source: Source, *, progress: bool) -> None:
    """Bring `part` to its full length, continuing where an earlier attempt stopped if the server can."""
    import requests

    have = part.stat().st_size if part.exists() else 0
    if source.bytes and have >= source.bytes:
        part.unlink()
        have = 0
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:  # nothing left to send: the part is not what the server has
            part.unlink()
        answer.raise_for_status()
        if have and not (
            answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        ):
            have = 0
        with open(part, "ab" if have else "wb") as stream, _bar(source, have, progress) as advance:
            for chunk in answer.iter_content(CHUNK):
                stream.write(chunk)
                advance(len(chunk))
    if source.bytes and part.stat().st_size < source.bytes:
        raise requests.exceptions.ConnectionError(f"{part.stat().st_size} of {source.bytes} bytes")


@contextmanager
def _bar(source: Source, done: int, visible: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function that advances a progress bar on standard error by some bytes."""
    if not visible:
        yield lambda n: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(source.file, total=source.bytes or None, completed=done)
        yield lambda n: bar.update(task, advance=n)


def _status(error: Any) -> int:
    """Return the status code of an HTTP error."""
    return int(error.response.status_code)

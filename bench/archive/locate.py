"""Archives by path or address."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from smemnas.bench.archive.form import LARGEST_FILE, SUFFIX
from smemnas.bench.archive.read import RunArchive
from smemnas.bench.benchmarks.store import data_folder
from smemnas.bench.errors import DataError, UserError

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_SUM = re.compile(r"sha256=([0-9a-f]{64})")
_opened: dict[tuple[str, int, int], RunArchive] = {}


def is_address(place: str) -> bool:
    """Whether an archive is named by an address rather than by a path."""
    return bool(_ADDRESS.match(place))


def open_archive(place: str | Path) -> RunArchive:
    """Open an archive: a file, or "https://...", with "#sha256=..." after it where its checksum is known.

    A file that was not changed is read once per process.

    Raises:
        DataError: It cannot be read or downloaded, or is not what it should be.
        UserError: The address has another form.
    """
    path = _downloaded(str(place)) if is_address(str(place)) else Path(place).expanduser()
    try:
        stat = path.stat()
        key = (str(path.resolve()), stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError):
        return RunArchive(path)  # says why not
    if key not in _opened:
        _opened[key] = RunArchive(path)
    return _opened[key]


def open_archives(place: str | Path) -> tuple[RunArchive, ...]:
    """Open an archive, or one in parts: a folder of archives, which are taken by name.

    Raises:
        DataError: One cannot be read or downloaded, or is not what it should be, or the folder holds none.
        UserError: The address has another form.
    """
    if is_address(str(place)):
        return (open_archive(place),)
    folder = Path(place).expanduser()
    if not os.path.isdir(folder):  # pathlib's own raises where a name is too long
        return (open_archive(place),)
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise DataError(f"{folder} is a folder without archives of runs (*{SUFFIX}): `archive make` writes them.")
    return tuple(open_archive(file) for file in files)


def _downloaded(address: str) -> Path:
    """Return the file of an address; one whose checksum is known is downloaded once.

    Raises:
        DataError: There is no answer, or another file.
        UserError: The address has another form.
    """
    from smemnas.bench.data.download import Source, download

    url, hash_sign, after = address.partition("#")
    known = _SUM.fullmatch(after)
    if hash_sign and not known:
        raise UserError(f"after # of an archive's address stands sha256= and 64 hexadecimal digits, got {after!r}.")
    digest = known[1] if known else ""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", Path(urlsplit(url).path).name)[-80:].lstrip(".") or f"archive{SUFFIX}"
    folder = data_folder() / "archives" / hashlib.sha256(url.encode()).hexdigest()[:16]
    try:
        return download(Source(name, url, digest, 0, ""), url, folder)
    except DataError as error:
        raise DataError(f"cannot download the archive {url}: {str(error).rstrip('.')}.") from error


def same_bytes(path: Path, archive: RunArchive) -> bool:
    """Whether a file is a copy of an archive."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == archive.sha256
    except OSError:
        return False

"""What the suite may write to, replace and remove.

The rules, in one place:

- A folder is written to if it is empty or of the command's own kind, which a mark in it shows. A folder that holds
  anything else, or that another command wrote, is refused before anything happens.
- `run --overwrite` removes the files of a run by their names (`RUN_FILES`, `TRAINED`) and nothing else; a folder with
  anything beside them is refused.
- A folder that was made for a command which then refuses its arguments is taken back (`taken_back`).
- A file is replaced if what is there has the form that the same command writes; an input is never an output.
- Everything is replaced as a whole, see `bench.files`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.files import PART, why

#: What operating systems leave in folders: neither ours nor anybody's work.
CLUTTER = (".DS_Store", "Thumbs.db", "desktop.ini", ".directory", ".nfs*", "lost+found")
LOCKS = (".lock", ".study.lock")
#: Bytes that a mark is looked for in.
HEAD = 4096
#: Foreign entries that an error names.
SHOWN = 3


class Mark(NamedTuple):
    """A file that shows what wrote a folder.

    Attributes:
        name: Its name.
        content: What stands near its beginning.
        damaged: Bytes up to which a file without that content is taken for a damaged one of ours.
    """

    name: str
    content: bytes = b""
    damaged: int = -1

    def found(self, folder: Path) -> bool:
        """Whether the folder holds it."""
        file = folder / self.name
        if not file.is_file():
            return False
        text = head(file)
        return self.content in text or len(text.strip()) <= self.damaged


class FolderKind(NamedTuple):
    """A kind of folder.

    Attributes:
        what: Its name, as in "the folder of a run".
        marks: Any of them makes a folder one of this kind.
        beside: Names of what may be there before the mark is.
        below: Pattern of files that show it too, where the marks are missing.
    """

    what: str
    marks: tuple[Mark, ...]
    beside: tuple[str, ...] = ()
    below: str = ""


RUN = FolderKind("a run", (Mark("job.json", b'"job"', 16),), ("evals.jsonl", "status.json"))
#: The lock tells a study whose plans were damaged and removed.
STUDY = FolderKind(
    "a study",
    (Mark("plans.json"), Mark(".study.lock")),
    below="*/*/*/*/budget-*/seed-*/job.json",  # runs that the library made without a plan
)
RANKING = FolderKind("a ranking study", (Mark("ranking.json", b'"plan"'), Mark("ranking.jsonl", b'"key"')))
#: The policy of a report's page, which stands in its head.
REPORT = FolderKind("a report", (Mark("index.html", b"default-src 'none'; img-src data:; style-src 'sha256-"),))
#: Their checkpoints are looked into before anything is written.
RETRAINING = FolderKind("a final training", (Mark("result.json"), Mark("checkpoint.pt")), ("tensorboard",))
SUPERNET = FolderKind("a supernet's training", (Mark("checkpoint.pt"),))
EXPORT = FolderKind("an export", (Mark("config.json", b'"timm"'),))
#: Its state is there before its plan: it says how long measuring has taken.
FIT = FolderKind("a fit", (Mark("plan.json", b'"smemnas-fit"'), Mark("state.json", b'"decisions"')))
EXPERIMENT = FolderKind("a registered experiment", (Mark("experiment.json", b'"stages"'),))
#: An experiment's own gate.json says nothing of power.
GATE = FolderKind("a gate", (Mark("gate.json", b'"power"'),), ("trainings",))
#: An experiment has runs like a study, and the lock of one.
KINDS = (RUN, EXPERIMENT, STUDY, RANKING, GATE, REPORT, RETRAINING, EXPORT)

#: The files of a run. `retrain/` below it belongs to `retrain` and stays.
RUN_FILES = (
    *("job.json", "evals.jsonl", "timing.jsonl", "recommended.jsonl", "status.json", "summary.json", "front.csv"),
    *("front.png", *LOCKS[:1]),
)
#: Trainings of its architectures: trained/SETTING/ARCH-seedN/FILE.
TRAINED = ("trained", "*", "*-seed*")
TRAINED_FILES = ("curve.jsonl", "checkpoint.pt", "weights.pt", "result.json", "test.json", ".lock")
KEPT = ("retrain", "tensorboard")


def head(file: Path) -> bytes:
    """Return the beginning of a file; nothing of one that cannot be read."""
    try:
        with open(file, "rb") as stream:
            return stream.read(HEAD)
    except OSError:
        return b""


def claim(folder: Path, kind: FolderKind) -> None:
    """Check that a folder may be written to as one of a kind; nothing is made or changed.

    Raises:
        RunError: It holds what the suite did not write, or belongs to another command.
    """
    foreign = [] if marked(folder, kind) else [name for name in _entries(folder) if not _harmless(folder, name, kind)]
    if not foreign:
        return
    for other in KINDS:
        if other is not kind and marked(folder, other):
            raise RunError(f"{folder} is the folder of {other.what}, not of {kind.what}: choose another --out.")
    mark = kind.marks[0].name
    lacks = f"a {mark} that is none of {kind.what}" if mark in foreign else f"files but no {mark} of {kind.what}"
    raise RunError(
        f"{folder} holds {lacks} ({_names(foreign)}): choose a new folder with --out, nothing was written there."
    )


@contextlib.contextmanager
def taken_back(folder: Path) -> Iterator[None]:
    """Where the block raises, take back the folder and the parents that it made, if nothing but locks is in them.

    So a command that refuses its arguments after all leaves no folder, whatever it had begun.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # what holds anything else stays
            names = _entries(folder) if made else []
            if all(name in LOCKS and _is_lock(folder / name) for name in names):
                for name in names:
                    (folder / name).unlink()
                for place in made:
                    place.rmdir()
        raise


def marked(folder: Path, kind: FolderKind) -> bool:
    """Whether a folder is one of a kind."""
    if any(mark.found(folder) for mark in kind.marks):
        return True
    return bool(kind.below) and next(folder.glob(kind.below), None) is not None


def _entries(folder: Path) -> list[str]:
    """Return the names in a folder; none where it is not there yet.

    Raises:
        RunError: It is no folder, or cannot be read.
    """
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {why(error)}. Choose another folder with --out.") from error


def _harmless(folder: Path, name: str, kind: FolderKind) -> bool:
    """Whether an entry is nobody's work, or something that the command leaves before its mark is there."""
    if name in LOCKS:
        return _is_lock(folder / name)
    return name.endswith(PART) or _matches(name, (*CLUTTER, *kind.beside))


def _is_lock(file: Path) -> bool:
    """Whether a file is a lock of ours, which is empty."""
    return file.is_file() and not head(file)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _names(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


# ---- what --overwrite removes


def files_of_a_run(folder: Path) -> list[Path]:
    """Return what `--overwrite` removes of a run folder, in that order: files, then emptied folders, job.json last.

    Raises:
        RunError: There is anything else in the folder, or its job.json is none of a run.
    """
    names = [name for name in _entries(folder) if not _matches(name, (*CLUTTER, *KEPT))]
    if not [name for name in names if name not in LOCKS and not name.endswith(PART)]:
        return []
    job = RUN.marks[0].name
    if job not in names:
        raise RunError(
            f"{folder} holds files but no {job} ({_names(names)}), so it is not deleted: choose another --out."
        )
    if not RUN.marks[0].found(folder):
        raise RunError(f"{folder / job} was not written by `run`, so nothing is deleted: choose another --out.")
    foreign: list[str] = []
    found: list[Path] = []
    for name in names:
        path = folder / name
        if name == TRAINED[0] and path.is_dir() and not path.is_symlink():
            found += _trained(path, 1, foreign, folder)
        elif (path.is_dir() and not path.is_symlink()) or not _is_ours(name, RUN_FILES):
            foreign.append(name)
        elif name != ".lock" and name != job:  # this process holds the lock
            found.append(path)
    if foreign:
        raise RunError(
            f"{folder} holds more than a run ({_names(foreign)}), so nothing is deleted: move that away, or choose "
            "another --out."
        )
    return [*found, folder / job]


def _is_ours(name: str, names: tuple[str, ...]) -> bool:
    """Whether it is one of some names, or what a kill left of one."""
    own = [f".{part}.*{PART}" for part in names] + [f"{part}{PART}" for part in names]
    return name in names or _matches(name, own)


def _trained(place: Path, depth: int, foreign: list[str], root: Path) -> Iterator[Path]:
    """Yield files and then folders of trainings; what else is there goes to `foreign`."""
    for path in sorted(place.iterdir()):
        if _matches(path.name, CLUTTER):
            foreign.append(path.relative_to(root).as_posix())
        elif depth == len(TRAINED):
            if _is_ours(path.name, TRAINED_FILES) and not path.is_dir():
                yield path
            else:
                foreign.append(path.relative_to(root).as_posix())
        elif path.is_dir() and not path.is_symlink() and _matches(path.name, TRAINED[depth : depth + 1]):
            yield from _trained(path, depth + 1, foreign, root)
        else:
            foreign.append(path.relative_to(root).as_posix())
    yield place


# ---- files


def check_output(file: Path, form: Callable[[Path], bool], command: str, inputs: Iterable[Path] = ()) -> None:
    """Check that a file may be written: it is new, or has the form that the same command writes.

    Args:
        file: The output.
        form: Whether an existing file has that form.
        command: What writes it, for the message.
        inputs: Files that are read.

    Raises:
        UserError: It is an input, or something that the command did not write.
    """
    try:
        if not file.exists():
            return
        if any(source.exists() and file.samefile(source) for source in inputs):
            raise UserError(f"{file} is read by this command, so it is not replaced: choose another file.")
        if not file.is_file() or (file.stat().st_size and not form(file)):
            raise UserError(
                f"{file} is there and was not written by `{command}`, so it is not replaced: choose another file, or "
                "remove it."
            )
    except OSError as error:
        raise RunError(f"cannot write {file}: {why(error)}. Choose another file.") from error


def has_content(*contents: bytes) -> Callable[[Path], bool]:
    """Return a form: a file in which one of some texts stands."""

    def form(file: Path) -> bool:
        data = file.read_bytes()
        return any(content in data for content in contents)

    return form


def has_columns(columns: Iterable[str]) -> Callable[[Path], bool]:
    """Return a form: a CSV file whose first line names these columns."""
    line = ",".join(columns).encode()

    def form(file: Path) -> bool:
        with open(file, "rb") as stream:
            return stream.readline(len(line) + 3).rstrip(b"\r\n") == line

    return form

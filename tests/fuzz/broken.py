"""Broken folders: a file of a run, a study or a ranking changed in its structure, cut, or with a bit flipped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from .sandbox import MADE

#: What stands in for a value of a file.
ODD: tuple[Any, ...] = (
    *(None, True, "", "x", 0, -1, 1.5, 10**30, -(10**30), [], {}, [[]], [None], [1, [2]], {"a": {}}, "nan", "\ud800"),
    *([0] * 500, "y" * 5000, "../../x", "/etc", 2**63, 1e300, [1, "a"], {"": None}),
)
#: What no JSON is, or is and cannot be held: written as it stands.
RAW = ("NaN", "Infinity", "-Infinity", "1e400", "[" * 5000 + "]" * 5000, '{"a":' * 3000 + "1" + "}" * 3000, "")
FILES = {
    "r": ("job.json", "evals.jsonl", "timing.jsonl", "summary.json", "front.csv"),
    "n": ("job.json", "evals.jsonl", "timing.jsonl", "summary.json"),
    "s": ("plans.json", "*/job.json", "*/evals.jsonl", "*/status.json", "*/timing.jsonl", "study.md", "trials.csv"),
    "k": ("ranking.json", "ranking.jsonl"),
}
#: What is called on a folder beside the call that made it.
USES = {
    "r": (("report", "r", "--out", "new", "--no-figures"), ("data", "improve", "r"), ("retrain", "r"), ("export", "r")),
    "n": (("report", "n", "--out", "new", "--no-figures"), ("retrain", "n"), (*MADE["n"], "--continue-from-log")),
    "s": (("report", "s", "--out", "new", "--no-figures"), ("report", "s", "r", "--out", "new", "--no-figures")),
    "k": (("report", "k", "--out", "new"),),
}


class Broken(NamedTuple):
    """A folder, its file and what is done to it, and the call that meets it.

    Where `old` is set, the changed file is one of an earlier version, without the checksum that gives changes away.
    """

    folder: str
    file: str
    nth: int
    change: tuple[Any, ...]
    args: tuple[str, ...]
    old: bool = False


@st.composite
def broken_folders(draw) -> Broken:
    """Draw a folder to break and a call to make on it."""
    folder = draw(st.sampled_from(sorted(FILES)))
    file = draw(st.sampled_from(FILES[folder]))
    change = draw(
        st.one_of(
            st.tuples(st.just("value"), st.integers(0, 400), st.integers(0, 50), st.sampled_from(ODD)),
            st.tuples(st.just("value"), st.integers(0, 400), st.integers(0, 50), st.sampled_from(ODD)),
            st.tuples(st.just("raw"), st.integers(0, 400), st.integers(0, 50), st.sampled_from(RAW)),
            st.tuples(st.just("drop"), st.integers(0, 400), st.integers(0, 50)),
            st.tuples(st.just("add"), st.integers(0, 400), st.integers(0, 50)),
            st.tuples(st.just("cut"), st.integers(0, 10_000)),
            st.tuples(st.just("flip"), st.integers(0, 10_000), st.integers(0, 7)),
            st.tuples(st.just("bytes"), st.binary(max_size=20)),
            st.tuples(st.sampled_from(("empty", "folder", "link", "gone", "twice", "backwards", "append"))),
        )
    )
    args = draw(st.sampled_from((MADE[folder], MADE[folder], *USES[folder])))
    return Broken(folder, file, draw(st.integers(0, 3)), change, args, draw(st.booleans()))


def apply(case: Broken, cwd: Path) -> bool:
    """Break the file; returns whether anything is other than before."""
    base = cwd / case.folder
    found = sorted(base.rglob(case.file[2:]) if case.file.startswith("*/") else base.glob(case.file))
    if not found:
        return False
    file = found[case.nth % len(found)]
    before = file.read_bytes()
    kind, *rest = case.change
    if kind in ("value", "raw", "drop", "add"):
        after = change_json(before, kind, *rest, old=case.old)
    elif kind in ("folder", "link", "gone"):
        file.unlink()
        if kind == "folder":
            file.mkdir()
        elif kind == "link":
            file.symlink_to("nowhere")
        return True
    else:
        after = change_bytes(before, kind, *rest)
    file.write_bytes(after)
    return after != before


def change_bytes(data: bytes, kind: str, *rest: Any) -> bytes:
    """Return a file's bytes after a change that knows nothing of its form."""
    lines = data.splitlines(keepends=True)
    if kind == "cut":
        return data[: rest[0] % (len(data) + 1)]
    if kind == "flip":
        changed = bytearray(data)
        if changed:
            changed[rest[0] % len(changed)] ^= 1 << rest[1]
        return bytes(changed)
    return {
        "bytes": lambda: bytes(rest[0]),
        "empty": lambda: b"",
        "twice": lambda: data + data,
        "backwards": lambda: b"".join(reversed(lines)),
        "append": lambda: data + b'{"i": 1}\n\xff\n',
    }[kind]()


def change_json(data: bytes, kind: str, line: int, place: int, value: Any = None, old: bool = False) -> bytes:
    """Return a JSON or JSON-lines file with one value replaced, one key gone or one added."""
    text = data.decode()
    try:
        parts, several = [json.loads(text)], False
    except ValueError:
        try:
            parts, several = [json.loads(t) for t in text.splitlines()], True
        except ValueError:
            return data + b"odd\n"
    if not parts:
        return data
    if old:
        parts = [{k: v for k, v in part.items() if k != "sum"} if isinstance(part, dict) else part for part in parts]
    chosen = line % len(parts)
    places = [(parts, chosen), *walk(parts[chosen])]
    owner, key = places[place % len(places)]
    mark = "@the value@"
    if kind == "drop":
        del owner[key]
    elif kind == "add":
        if isinstance(owner, dict):
            owner[f"{key}2"] = 1
        else:
            owner.append(owner[key])
    else:
        owner[key] = mark if kind == "raw" else value
    if not several:
        done = json.dumps(parts[0] if parts else None, indent=2)
    else:
        done = "".join(f"{json.dumps(part)}\n" for part in parts)
    return (done.replace(json.dumps(mark), value) if kind == "raw" else done).encode()


def walk(value: Any):
    """Yield each place within a value as (container, key)."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from walk(value[key])


def remove(path: Path) -> None:
    """Remove whatever stands at a path."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

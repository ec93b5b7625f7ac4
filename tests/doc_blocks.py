"""The commands of the documentation and their output, which `python tests/doc_blocks.py PAGE...` fills in.

A block of `console` whose lines begin with ``$ `` is run, the blocks of a page one after another in one folder that has
`docs` in it; the lines that follow are the output. A comment before a block says more about it::

    <!-- lines: 12 -->   only the first 12 lines are shown, then `...`
    <!-- long -->        takes long: run by `make test-long` alone
    <!-- needs: train --> needs what an extra installs

A block of `python` whose comment is ``<!-- run -->`` is run too, and `text` after it is what it prints.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"(?P<head>(?:^<!-- (?P<notes>[^\n]*) -->\n)?)^```(?P<kind>console|python)\n(?P<body>.*?)^```\n"
    r"(?P<tail>\n```text\n(?P<printed>.*?)^```\n)?",
    re.MULTILINE | re.DOTALL,
)
#: What may differ from run to run: times, and the number of a commit.
TIMES = re.compile(r"\b\d[\d,]*(?:\.\d+)? (?:s|ms|min|h)\b")


#: What is said of a latency table on every machine but its own.
ELSEWHERE = " (another machine than this one)"
#: What stands for the folder of the clone, and for that of tables.
CLONE, DATA = "/path/to/smemnas", "/path/to/data"


class Step(NamedTuple):
    """One command or one piece of code, and what the page says that it prints."""

    code: str
    shown: str
    lines: int | None
    long: bool
    needs: str
    python: bool


def steps(text: str) -> list[Step]:
    """Read the steps of a page."""
    found = []
    for block in BLOCK.finditer(text):
        notes = block["notes"] or ""
        lines = re.search(r"lines: (\d+)", notes)
        extra = re.search(r"needs: (\w+)", notes)
        common = (int(lines[1]) if lines else None, "long" in notes.split("; "), extra[1] if extra else "")
        if block["kind"] == "python":
            if "run" in notes.split("; "):
                found.append(Step(block["body"], block["printed"] or "", *common, True))
            continue
        for part in re.split(r"^\$ ", block["body"], flags=re.MULTILINE)[1:]:
            command, shown = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*\n)(.*)", part, re.DOTALL).groups()
            found.append(Step(command, shown, *common, False))
    return found


def folder_for(place: Path) -> Path:
    """Prepare the folder that a page's commands are run in."""
    for name in ("docs", "cli.py"):
        (place / name).symlink_to(ROOT / name)
    return place


def output(step: Step, folder: Path, data: Path, long: bool = True) -> str:
    """Run a step; return what it printed, the first lines of it where only they are shown."""
    if step.python:
        printed = io.StringIO()
        before = Path.cwd()
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(step.code, "block", "exec"), {"__name__": "example"})
        finally:
            os.chdir(before)
        return cut(printed.getvalue(), step.lines)
    words = shlex.split(step.code.replace("\\\n", " "), comments=True)
    if words[:2] == ["python", "cli.py"]:
        import forked

        done = forked.run(*words[2:], cwd=folder, timeout=600, SMEMNAS_DATA=data)
        done.stdout = done.stdout.replace(str(ROOT), CLONE).replace(str(data), DATA)
    else:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(f"{step.code.strip()}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return cut(done.stdout, step.lines)


def cut(text: str, lines: int | None) -> str:
    """Keep the first lines, without blanks at their ends."""
    rows = [row.rstrip() for row in text.splitlines()]
    if lines is not None and len(rows) > lines:
        rows = [*rows[:lines], "..."]
    return "".join(f"{row}\n" for row in rows)


def without_times(text: str) -> str:
    """Take out what differs from run to run, and from machine to machine."""
    return re.sub(r"[ \t]+", " ", TIMES.sub("# s", text.replace(ELSEWHERE, "")))


def filled(text: str, folder: Path, data: Path) -> str:
    """Return a page with the real output of all its steps."""

    def change(block: re.Match[str]) -> str:
        found = steps(block[0])
        if not found:
            return block[0]
        if found[0].python:
            printed = output(found[0], folder, data)
            return f"{block['head']}```python\n{block['body']}```\n\n```text\n{printed}```\n"
        body = "".join(f"$ {step.code}{output(step, folder, data)}" for step in found)
        return f"{block['head']}```console\n{body}```\n{block['tail'] or ''}"

    return BLOCK.sub(change, text)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    for name in sys.argv[1:]:
        page = Path(name).resolve()
        with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as data:
            page.write_text(
                filled(page.read_text(encoding="utf-8"), folder_for(Path(place)), Path(data)), encoding="utf-8"
            )

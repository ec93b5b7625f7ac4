"""Folders of runs as somebody edited them: other values under a right checksum, or none, as earlier versions wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from smemnas.bench.schema import signed, signed_line


def row_text(row: dict[str, Any], *, sign: bool = True) -> str:
    """Return the line of a row, its checksum made anew or left out."""
    text = json.dumps({key: value for key, value in row.items() if key != "sum"}, ensure_ascii=False)
    return signed_line(text) if sign else text


def edit_rows(folder: Path, change: Callable[[list[dict[str, Any]]], object], *, sign: bool = True) -> None:
    """Let `change` edit the rows of a run's log in place."""
    file = folder / "evals.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
    change(rows)
    file.write_text("".join(row_text(row, sign=sign) + "\n" for row in rows), encoding="utf-8")


def edit_job(folder: Path, change: Callable[[dict[str, Any]], object], *, sign: bool = True) -> None:
    """Let `change` edit the content of a run's job.json in place."""
    file = folder / "job.json"
    entry = json.loads(file.read_text(encoding="utf-8"))
    entry.pop("sum", None)
    change(entry)
    file.write_text(json.dumps(signed(entry) if sign else entry), encoding="utf-8")

"""The files of a registered experiment: experiment.md, index.html, outcome.csv, trainings.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from smemnas.bench.files import write_text
from smemnas.bench.gates import Gate
from smemnas.bench.report.cells import Section, markdown_table, number, to_csv
from smemnas.bench.report.page import html as tags
from smemnas.bench.report.page.page import PAGE
from smemnas.bench.report.page.plain import plain_page
from smemnas.bench.report.staged.sections import answer, conventions, sections
from smemnas.bench.staged.outcome import StagedOutcome
from smemnas.bench.staged.plan import StagedPlan
from smemnas.bench.staged.power import Foreseen

MARKDOWN, TRAININGS_CSV, OUTCOME_CSV = "experiment.md", "trainings.csv", "outcome.csv"
Rows = Sequence[Mapping[str, Any]]


def write_experiment(
    out: Path,
    plan: StagedPlan,
    gate: Gate,
    found: StagedOutcome | None,
    foreseen: Sequence[Foreseen],
    trainings: Rows,
) -> None:
    """Write the files.

    Args:
        out: Folder of the experiment.
        plan: What was registered.
        gate: Of the first stage.
        found: What came out; None where nothing was searched.
        foreseen: What the simulation says of an experiment of this size, arm by arm.
        trainings: A row for every training, see `smemnas.bench.staged.trainings`.

    Raises:
        RunError: A file cannot be written.
    """
    title = f"Registered experiment on {plan.space}/{unquote(plan.dataset)}"
    lead = [*answer(plan, gate, found, foreseen), f"plan: sha256 {plan.digest}, written before anything ran"]
    tables = sections(plan, gate, found)
    write_text(out / TRAININGS_CSV, to_csv([dict(row) for row in trainings], exact=True))
    write_text(out / OUTCOME_CSV, to_csv(_records(found)))
    write_text(out / MARKDOWN, _markdown(title, lead, tables, conventions(plan)))
    write_text(out / PAGE, _page(title, lead, tables, conventions(plan), trainings))


def _records(found: StagedOutcome | None) -> list[dict[str, Any]]:
    """Return every value of every arm and seed as a row."""
    if found is None:
        return []
    rows = [("primary", r) for r in found.volumes] + [("searched", r) for r in found.observed]
    rows += [("secondary", r) for r in found.caps]
    return [
        {"family": family, "what": row.what, "arm": row.arm, "run": k, "value": value}
        for family, row in rows
        for k, value in enumerate(row.values.tolist())
    ] + [
        {"family": "secondary", "what": f"tau at {row.n}", "arm": row.surrogate, "run": k, "value": value}
        for row in found.taus
        for k, value in enumerate(row.values.tolist())
    ]


def _markdown(title: str, lead: Sequence[str], tables: Sequence[Section], reading: Sequence[str]) -> str:
    lines = [f"# {title}", "", *(f"- {text}" for text in lead)]
    for table in tables:
        lines += ["", f"## {table.title}", "", *markdown_table(table)]
    lines += ["", "## How to read the numbers", "", *(f"- {text}" for text in reading)]
    lines += ["", f"All trainings: {TRAININGS_CSV}; all values: {OUTCOME_CSV}."]
    return "\n".join(lines) + "\n"


def _page(title: str, lead: Sequence[str], tables: Sequence[Section], reading: Sequence[str], trainings: Rows) -> str:
    parts = [(f"t{k}", table.title, _table(table)) for k, table in enumerate(tables)]
    head = ("stage", "architecture", "cost", "training seed", "validation error (%)", "test error (%)", "seconds")
    keys = ("stage", "arch", "cost", "seed", "val_error", "test_error", "seconds")
    rows = [[_cell(row.get(key)) for key in keys] for row in trainings]
    parts.append(("trainings", f"All {len(rows):,} trainings", tags.table(head, rows, "All trainings")))
    parts.append(("reading", "How to read the numbers", tags.bullets(reading)))
    files = ", ".join(f'<a href="{name}">{name}</a>' for name in (MARKDOWN, OUTCOME_CSV, TRAININGS_CSV))
    return plain_page(title, lead, parts, f"<p>Beside this page: {files}</p>")


def _table(table: Section) -> str:
    return tags.table(table.head, table.rows, table.title, marks=table.marks)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return number(value, 2 if abs(value) >= 10 else 3)
    return "-" if value is None else str(value)

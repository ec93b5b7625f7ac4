"""Tables on the terminal for the command `data`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smemnas.bench.benchmarks.table import Table
from smemnas.bench.data.in_package import PackagedTable
from smemnas.bench.data.manage import IN_PACKAGE, Status, describe_columns
from smemnas.bench.program import named
from smemnas.bench.report.problem import judged_lines
from smemnas.bench.report.terminal import console

if TYPE_CHECKING:
    from smemnas.bench.data.user import Draft

COLOURS = {
    **dict.fromkeys((IN_PACKAGE, "installed"), "green"),
    **{"imported": "cyan", "installed in part": "yellow", "outdated": "yellow", "corrupt": "red"},
}


def print_list(rows: Sequence[Status]) -> None:
    """Print one row per data set."""
    from rich.table import Table as Grid
    from rich.text import Text

    names = ("name", "state", "size", "gives", "licence", "what it is")
    grid = Grid(*names, box=None, pad_edge=False, header_style="bold")
    grid.columns[0].no_wrap = grid.columns[2].no_wrap = True
    grid.columns[2].justify = "right"
    for row in rows:
        size = _size(row.megabytes)
        colour = COLOURS.get(row.state, "default")
        name = row.name if row.name == row.table else f"{row.name}\n  {row.table}"
        grid.add_row(name, Text(row.state, colour), size, row.gives, row.licence, row.text)
    console().print(grid)


def _size(megabytes: float | None) -> str:
    """Return a size in words, "?" where it is not known."""
    if not megabytes:
        return "?" if megabytes is None else "-"
    return f"{megabytes:.1f} MB" if megabytes >= 0.1 else f"{1000 * megabytes:.0f} kB"


def print_info(table: Table) -> None:
    """Print what identifies a table and one row per column."""
    from rich.table import Table as Grid

    out, header = console(), table.header
    facts = {
        "table": f"{header['name']}, {table.n_rows:,} rows, sha256 {table.sha256[:16]}...",
        "folder": f"in the package, {table.path}" if isinstance(table, PackagedTable) else str(table.path),
        "recipe": f"version {header.get('recipe_version')}",
        "default": ", ".join(header["default_objectives"]),
        "licence": str(header.get("licence", "not stated")),
    }
    sources = header.get("source", [])
    for source in sources if isinstance(sources, list) else [sources]:
        place = source.get("url") or source.get("package", "")
        facts[f"source {source['file']}"] = f"sha256 {source['sha256'][:16] or 'none'}... {place}"
    facts.update(_about_package(table))
    _print_facts(out, [*facts.items(), *judged_lines(header["name"])])
    for note in header.get("notes", ()):
        out.print(f"note: {named(note)}", highlight=False, soft_wrap=True)
    names = ("column", "unit", "split", "role", "shape", "values", "best", "largest", "sha256", "what it is")
    grid = Grid(*names, box=None, pad_edge=False, header_style="bold")
    for position in (5, 6, 7):
        grid.columns[position].justify = "right"
    for c in describe_columns(table):  # what is stored negated is shown as it was given
        shape = " x ".join(map(str, c.shape))
        numbers = ["" if v is None else f"{v:.6g}" for v in (c.best, c.largest)]
        grid.add_row(c.name, c.unit, c.split, c.role, shape, f"{c.known:,}", *numbers, c.sha256[:8], c.text)
    out.print(grid)


def print_model(about: Status, facts: Sequence[tuple[str, str]]) -> None:
    """Print what identifies a data set of the package that is a model and no table."""
    lines = [("data set", f"{about.table}: {about.text}"), ("gives", about.gives), ("licence", about.licence), *facts]
    _print_facts(console(), [*lines, *judged_lines(about.table)])


def _print_facts(out: Any, facts: Sequence[tuple[str, str]]) -> None:
    """Print pairs of key and value, the keys bold."""
    from rich.text import Text

    width = max(len(key) for key, _ in facts)
    for key, value in facts:
        out.print(Text.assemble((f"{key:<{width}}", "bold"), f"  {value}"), highlight=False, soft_wrap=True)


def _about_package(table: Table) -> dict[str, str]:
    """Return what else to say of a table of the package."""
    if not isinstance(table, PackagedTable):
        return {}
    facts = {"notice": f"{table.path / 'NOTICE'} (whose numbers these are, by whose copies, under which licences)"}
    if table.left_out:
        names, recipe = ", ".join(table.left_out), table.header["recipe"]
        facts["left out"] = f"{names}: data fetch {recipe} --original adds them"
    return facts


def print_draft(draft: Draft) -> None:
    """Print how a file was understood, column by column, and all that is refused."""
    import numpy as np
    from rich.table import Table as Grid

    from smemnas.bench.errors import one_line

    out, request = console(), draft.request
    out.print(f"{request.file.name}: {', '.join(draft.said)}", highlight=False, soft_wrap=True)
    names = ("column", "stored as", "unit", "split", "better", "partner", "trainings", "missing", "smallest", "largest")
    grid = Grid(*names, box=None, pad_edge=False, header_style="bold")
    for position in (6, 7, 8, 9):
        grid.columns[position].justify = "right"
    for name, read in draft.read.items():
        role, values = read.role, draft.values.get(name, read.values)
        column = draft.columns.get(name)
        known = values[np.isfinite(values)]
        ends = sorted(-v if role.more else v for v in (known.min(), known.max())) if len(known) else []
        grid.add_row(
            *(one_line(", ".join(role.sources)), f"{name}{f' ({read.how})' if read.how else ''}", role.unit),
            *(role.split, "more" if role.more else "less", column.report if column else ""),
            *(str(values.shape[1] if values.ndim == 2 else 1), f"{read.missing:,}", *(f"{e:.6g}" for e in ends)),
        )
    out.print(grid)
    if draft.unused:
        shown = ", ".join(draft.unused[:20]) + (", ..." if len(draft.unused) > 20 else "")
        out.print(f"not imported: {one_line(shown)}", highlight=False, soft_wrap=True)
    for note in draft.header.get("notes", ()):
        out.print(f"note: {named(note)}", highlight=False, soft_wrap=True)
    for fault in draft.faults:
        out.print(f"refused: {named(one_line(fault))}", highlight=False, soft_wrap=True)
    if not draft.faults:
        out.print(f"{request.space}/{request.name}: nothing is refused; nothing was written (--dry-run).")

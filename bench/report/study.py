"""A study on paper and on screen: study.csv, trials.csv, contrasts.csv, times.csv, study.md and the terminal.

All files but times.csv (and the last section of study.md) depend on the runs' logs alone, so they are the same
however the study was run, interrupted or split.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.comparison import Arrival, Comparison, Row, Tables
from bench.errors import RunError
from bench.history import write_text
from bench.plan import benchmark_of, reference_of
from bench.report.study_records import contrast_records, study_records, time_records, to_csv, trial_records
from bench.run import Job
from bench.statistics import Interval
from bench.study import FAILED, MISSING
from bench.trials import Trial

#: Failed runs shown on screen and in study.md; trials.csv has them all.
FAILURES_SHOWN = 12


def write_study(out: Path, tables: Tables) -> None:
    """Write the study's files.

    Raises:
        RunError: A file cannot be written.
    """
    write_text(out / "study.csv", to_csv(study_records(tables)))
    write_text(out / "trials.csv", to_csv(trial_records(tables)))
    write_text(out / "times.csv", to_csv(time_records(tables)))
    if tables.contrasts:
        write_text(out / "contrasts.csv", to_csv(contrast_records(tables)))
    else:
        try:
            (out / "contrasts.csv").unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"cannot write to {out}: {error.strerror}. Choose another folder with --out.") from error
    write_text(out / "study.md", markdown(tables))


def number(value: float | None, digits: int = 4) -> str:
    """Return a number for a table; "-" where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return "inf" if math.isinf(value) else f"{value:.{digits}f}"


def span(interval: Interval, digits: int = 4) -> str:
    """Return the limits of an interval."""
    if math.isnan(interval.low):
        return "-"
    return f"[{number(interval.low, digits)}, {number(interval.high, digits)}]"


def p_value(p: float) -> str:
    """Return a p-value, tiny ones as an upper limit."""
    return "-" if math.isnan(p) else "<0.0001" if p < 0.0001 else f"{p:.4f}"


#: Heads of the tables; a row is made by the function of the same name below.
QUALITY = (
    "evaluations",
    "method",
    "n",
    "regret",
    "sd",
    "95 % interval",
    "ratio",
    "p (Holm)",
    "A12",
    "IGD+",
    "test regret",
)
ARRIVAL = ("method", "reached", "median evaluations", "ratio", "95 % interval")
TIME = ("method", "seconds per run", "of these in the method")
CONTRAST = ("contrast", "evaluations", "n", "difference", "95 % interval", "p (Holm)", "A12")


def quality(row: Row) -> list[str]:
    """Return the cells of a row of the main table."""
    c = row.against
    return [
        str(row.at),
        row.variant,
        f"{row.n}" + (f" ({row.failed} failed)" if row.failed else ""),
        number(row.regret.value),
        number(row.regret_sd),
        span(row.regret),
        number(c.ratio.value, 2) if c else "1",
        p_value(c.p_holm) if c else "",
        number(c.a12, 2) if c else "",
        number(row.igd_plus.value),
        number(row.reported.value),
    ]


def arrival(a: Arrival, budget: int) -> list[str]:
    """Return the cells of a row of the table of evaluations to the target."""
    median = f">{budget}" if math.isinf(a.median) else number(a.median, 0)
    limits = span(Interval(a.ratio.value, a.ratio.low, a.ratio.high), 2) if a.ratio else ""
    ratio = f"{a.ratio.bound}{number(a.ratio.value, 2)}" if a.ratio else "1"
    return [a.variant, f"{a.reached}/{a.n}", median, ratio, limits]


def time(a: Arrival) -> list[str]:
    """Return the cells of a row of the table of times."""
    return [a.variant, number(a.seconds, 2), number(a.method_seconds, 2)]


def contrast(name: str, at: int, c: Comparison) -> list[str]:
    """Return the cells of a row of the table of contrasts."""
    return [
        name,
        str(at),
        str(c.pairs),
        f"{c.difference.value:+.4f}" if not math.isnan(c.difference.value) else "-",
        span(c.difference),
        p_value(c.p_holm),
        number(c.a12, 2),
    ]


class Section:
    """A table with its title: what the terminal and Markdown both show."""

    def __init__(self, title: str, head: Sequence[str], rows: Iterable[list[str]], breaks: bool = False) -> None:
        self.title = title
        self.rows = list(rows)
        keep = [j for j in range(len(head)) if any(row[j] not in ("-", "") for row in self.rows)]
        self.head = [head[j] for j in keep]
        self.rows = [[row[j] for j in keep] for row in self.rows]
        #: Whether a new value in the first column starts a new block.
        self.breaks = breaks


def sections(tables: Tables) -> list[Section]:
    """Return all tables but that of times."""
    found = []
    for case in tables.plan.cases:
        rows = [r for r in tables.rows if r.case == case]
        title = f"Hypervolume regret on {case}"
        if not math.isnan(rows[0].floor):
            title += f"; a perfect search has test regret {rows[0].floor:.4f}"
        found.append(Section(title, QUALITY, [quality(r) for r in rows], breaks=True))
        arrivals = [a for a in tables.arrivals if a.case == case]
        if not math.isnan(arrivals[0].target):
            title = f"Evaluations to hypervolume regret {arrivals[0].target:.4f} on {case}"
            found.append(Section(title, ARRIVAL, [arrival(a, tables.plan.budget) for a in arrivals]))
        for family in dict.fromkeys(r.family for r in tables.contrasts):
            members = [r for r in tables.contrasts if r.case == case and r.family == family]
            title = f"Contrasts of hypervolume regret on {case}, {family}"
            found.append(Section(title, CONTRAST, [contrast(r.name, r.at, r.comparison) for r in members]))
    return found


def time_sections(tables: Tables) -> list[Section]:
    """Return the tables of times."""
    return [
        Section(f"Time on {case}", TIME, [time(a) for a in tables.arrivals if a.case == case])
        for case in tables.plan.cases
    ]


def conventions(tables: Tables) -> list[str]:
    """Return what a reader must know to read the numbers."""
    plan = tables.plan
    size = next((r.against.family_size for r in tables.rows if r.against), 0)
    lines = [
        f"Baseline: {plan.baseline}. Seeds: {seed_text(plan.seeds)}; runs of a seed are paired. Budget: {plan.budget}.",
        "Regret: 1 - HV/HV(reference front) on the searched split, reference point 1.1 in the normalised space. "
        "Intervals: 95 %, bootstrap (BCa, 9,999 resamples). Ratio: of the mean regrets, method over baseline.",
    ]
    if size:
        lines.append(
            f"p: exact two-sided Wilcoxon signed-rank test against the baseline, Holm over the {size} comparisons "
            "of this study. A12: chance that a run is better than one of the baseline (0.5: no difference)."
        )
    if any(a.ratio for a in tables.arrivals):
        source = "the baseline's mean regret at the budget" if plan.target is None else "given"
        lines.append(
            f"Target: {source}. Runs that do not reach it are censored at the budget; <= and >= mark ratios that "
            "censoring makes upper and lower bounds."
        )
    if tables.contrasts:
        lines.append(
            "Contrasts: mean paired difference of regret, first minus second; negative and A12 above 0.5 mean that "
            "the first is better. Holm within each family, over all its cases and checkpoints."
        )
    for case in plan.cases:
        reference = reference_of(case)
        if reference is None:
            lines.append(f"{case}: no reference front is known, so there is no regret.")
        elif not reference.exact:
            lines.append(f"{case}: the reference front is the best known one, not proven.")
        lines += [f"{case}: {note}" for note in benchmark_of(case).notes]
    return lines


def seed_text(seeds: Sequence[int]) -> str:
    """Return seeds as "0-30,40"."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], seed]
        else:
            parts.append([seed])
    return ",".join("-".join(map(str, part)) for part in parts)


def failures(tables: Tables) -> list[str]:
    """Return one line for each group of failed runs with the same reason, and one for missing runs."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for t in tables.unfinished():
        if t.status == FAILED:
            groups.setdefault((t.variant, str(t.case), t.reason), []).append(t.job.seed)
    lines = [
        f"{variant} on {case}, seed {seed_text(seeds)}: {reason}" for (variant, case, reason), seeds in groups.items()
    ]
    if len(lines) > FAILURES_SHOWN:
        lines[FAILURES_SHOWN:] = [f"... and {len(lines) - FAILURES_SHOWN} more in trials.csv"]
    missing: list[Trial] = [t for t in tables.unfinished() if t.status == MISSING]
    if missing:
        lines.append(f"{len(missing)} of {len(tables.trials)} runs have not been made yet.")
    return lines


def markdown(tables: Tables) -> str:
    """Return the study as Markdown; what differs from run to run, the times, comes last."""
    plan = tables.plan
    lines = ["# Study", "", "| method | runs |", "|---|---|"]
    for v in plan.variants:
        label = Job(v.method, "", "", (), 1, params=v.params).label.replace("|", "\\|")
        lines.append(f"| {v.name} | `{label}` |")
    lines += ["", *(f"- {text}" for text in conventions(tables)), ""]
    for section in sections(tables):
        lines += [f"## {section.title}", "", *_markdown_table(section), ""]
    failed = failures(tables)
    if failed:
        lines += ["## Unfinished runs", "", *(f"- {text}" for text in failed), ""]
    for section in time_sections(tables):
        lines += [f"## {section.title}", "", *_markdown_table(section), ""]
    return "\n".join(lines)


def _markdown_table(section: Section) -> list[str]:
    left = {"method", "contrast"}
    rule = "|".join("---" if name in left else "---:" for name in section.head)
    return [
        f"| {' | '.join(section.head)} |",
        f"|{rule}|",
        *(f"| {' | '.join(row)} |" for row in section.rows),
    ]


def print_study(tables: Tables, out: Path, console: Any) -> None:
    """Print the tables, what they mean, what failed and where the files are, on a rich console."""
    from rich.markup import escape
    from rich.table import Table

    anything = any(row.n for row in tables.rows)
    for section in [*sections(tables), *time_sections(tables)] if anything else []:
        console.print(section.title, style="bold", markup=False)
        table = Table()
        for name in section.head:
            left = name in ("method", "contrast")
            table.add_column(escape(name), justify="left" if left else "right", no_wrap=not left)
        previous = None
        for row in section.rows:
            if section.breaks and previous not in (None, row[0]):
                table.add_section()
            repeats = section.breaks and row[0] == previous
            table.add_row(*(escape(cell) for cell in (["", *row[1:]] if repeats else row)))
            previous = row[0]
        console.print(table)
    for text in conventions(tables) if anything else []:
        console.print(text, markup=False)
    for text in failures(tables):
        console.print(f"unfinished   {text}", markup=False)
    names = "study.md, study.csv, trials.csv, times.csv" + (", contrasts.csv" if tables.contrasts else "")
    console.print(f"files        {out}: {names}", markup=False)

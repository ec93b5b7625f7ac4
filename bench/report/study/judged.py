"""What a study shows beside regret, as tables and in words: the error under cost caps, the share of targets reached."""

from __future__ import annotations

import math

from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.benchmarks.outcomes import Reference
from smemnas.bench.benchmarks.ranges import cap_text, range_text, rule_points
from smemnas.bench.metrics.indicators import REFERENCE_POINT
from smemnas.bench.metrics.statistics import BEST
from smemnas.bench.metrics.targets import TARGETS
from smemnas.bench.report.cells import Section, number, short_names
from smemnas.bench.studies.judged import CapRow
from smemnas.bench.studies.tables import Tables

#: The last row of a table of caps.
POSSIBLE = "best possible"


def cap_sections(tables: Tables, case: Case) -> list[Section]:
    """Return the table of errors under cost caps on a case after the whole budget; none where there are no caps."""
    rows = [row for row in tables.caps if row.case == case and row.at == tables.plan.end]
    if not rows:
        return []
    caps = list(dict.fromkeys((row.cap, row.cost) for row in rows))
    whole = [row for row in rows if row.n == row.runs]
    best = {cap: min((r.error.value for r in whole if r.cap == cap), default=math.nan) for cap, _ in caps}
    lines, marks = [], []
    for name in dict.fromkeys(row.variant for row in rows):
        own = [row for row in rows if row.variant == name]
        lines.append([name, *map(_error, own)])
        marks.append(["", *(BEST if r.n == r.runs and r.error.value == best[r.cap] else "" for r in own)])
    first = [row for row in rows if row.variant == rows[0].variant]
    lines.append([POSSIBLE, *(number(row.possible, 3) for row in first)])
    marks.append([""] * (1 + len(caps)))
    head = ("method", *(cap_text(cap, cost) for cap, cost in caps))
    title = f"Mean error (%) under cost caps after {tables.plan.after(tables.plan.end)} on {case}"
    return [Section(title, head, lines, marks=marks, key=f"caps {short_names(tables.plan.cases)[case]}")]


def _error(row: CapRow) -> str:
    fewer = f" (n={row.n} of {row.runs})" if row.n < row.runs else ""
    return number(row.error.value, 3) + fewer


def reach_sections(tables: Tables) -> list[Section]:
    """Return the table of shares of targets reached by methods and checkpoints, over all problems."""
    found = {name: reach for (case, name), reach in tables.reaches.items() if case is None}
    if not found:
        return []
    at = tables.plan.at
    shares = {name: [float(reach.share[reach.at.tolist().index(n)]) for n in at] for name, reach in found.items()}
    most = [max(share[k] for share in shares.values()) for k in range(len(at))]
    several, axis = len(shares) > 1, tables.plan.axis
    return [
        Section(
            f"Share of {len(TARGETS)} targets reached over all problems and runs, by {axis} (larger is better)",
            ("method", *map(tables.plan.shown, at)),
            [[name, *(number(v, 3) for v in values)] for name, values in shares.items()],
            marks=[
                ["", *(BEST if several and v == most[k] > 0.0 else "" for k, v in enumerate(values))]
                for values in shares.values()
            ],
            key="targets",
        )
    ]


def measured_text(case: Case, reference: Reference | None) -> str:
    """Return by what a case with a given reference is measured: "between the given ideal:nadir, ...", "by the rule"."""
    if rule_points(case.reference) is None:
        point = "" if "@" in case.reference else f"@{REFERENCE_POINT}"
        text = f"between the given ideal:nadir, {case.reference}{point}"
        return f"{text} (after @ the reference point in units of that box)"
    if reference is None:
        return f"by the rule {case.reference}"
    ends = range_text(benchmark_of(case), reference)
    return f"by the rule {case.reference}, here between {ends}, reference point {REFERENCE_POINT}"


def judged_texts(tables: Tables) -> list[str]:
    """Return what a reader must know of regret in points, of the caps and of the targets."""
    lines = []
    if any(math.isfinite(points) for points in tables.points.values()):
        lines.append(
            "Regret in points: lost hypervolume over the extent of all other objectives, that is how many points more "
            "error than the reference front a method needs, averaged over the costs; where it has nothing it counts as "
            "if it were at the reference point."
        )
    if tables.caps:
        lines.append(
            "Error under a cost cap: the true error of the member of the reported set that shows the least error "
            "within the cap, mean over the runs that have one (n of runs where some have none)."
        )
    if tables.reaches:
        lines.append(
            f"Targets: {len(TARGETS)} hypervolume regrets from {TARGETS[0]:.3f} to {TARGETS[-1]:.3f}, evenly on a "
            "logarithmic scale, the same on every problem. Share reached: of all (problem, run, target), problems "
            "weigh the same; for all problems only of methods with finished runs on each."
        )
    return lines

"""The tables of a study as text, in the order in which they are read: summaries, then each problem."""

from __future__ import annotations

import math

from smemnas.bench.benchmarks.case import Case, benchmark_of
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.statistics import BEST, Ratio
from smemnas.bench.report.cells import Section, number, p_value, short_names, signed, span
from smemnas.bench.report.study.incumbents import incumbent_sections
from smemnas.bench.report.study.judged import cap_sections, reach_sections
from smemnas.bench.report.study.primary import primary
from smemnas.bench.report.study.trained import trained_sections
from smemnas.bench.studies.plan import Plan
from smemnas.bench.studies.ranks import ProblemRanks
from smemnas.bench.studies.tables import Arrival, ChampionRow, Comparison, Lead, StudyRow, Tables
from smemnas.bench.values import duration_text

#: What a checkpoint counts, unless it is training time.
AT = "evaluations"
#: Heads of the tables; a row is made by the function of the same name below.
QUALITY = (
    AT,
    "method",
    "n",
    "regret",
    "sd",
    "95 % interval",
    "ratio",
    "d",
    "its interval",
    "A12",
    "p (Holm)",
    "test regret",
)
INDICATORS = (AT, "method", "regret in points", "mean regret so far", "IGD+", "epsilon")
ARRIVAL = ("method", "reached", f"median {AT}", "ratio", "95 % interval")
NOISE = (AT, "method", "true regret", "95 % interval", "observed", "optimism", "its interval")
TIME = ("method", "seconds per run (median)", "of these in the method")
CONTRAST = ("contrast", AT, "n", "difference", "95 % interval", "d", "A12", "p (Holm)")
CHAMPION = (
    *(AT, "method", "n", "difference", "95 % interval", "d", "its interval", "A12", "ratio"),
    *("interval of ratio", "p (Holm)"),
)
LEAD = ("method", "target", "reached", f"median {AT}", "ratio", "95 % interval")


def quality(plan: Plan, row: StudyRow) -> list[str]:
    """Return the cells of a row of the main table."""
    c = row.against
    return [
        plan.shown(row.at),
        row.variant,
        str(row.n) + _remarks(failed=row.failed, ended_early=row.short, without_feasible=row.barren),
        number(row.regret.value),
        number(row.regret_sd),
        span(row.regret),
        number(c.ratio.value, 2) if c else "1",
        *(_effect(c) if c else ("", "")),
        number(c.a12, 2) if c else "",
        p_value(c.p_holm) if c else "",
        number(row.reported.value),
    ]


def _effect(c: Comparison) -> tuple[str, str]:
    """Return paired d and its interval."""
    return "-" if math.isnan(c.effect.value) else f"{c.effect.value:+.2f}", span(c.effect, 2)


def _remarks(**counts: int) -> str:
    """Return numbers of runs with what is to be said of them: " (2 failed, 1 ended early)"."""
    said = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items() if count)
    return f" ({said})" if said else ""


def indicators(plan: Plan, row: StudyRow, points: float) -> list[str]:
    """Return the cells of a row of the table of further indicators; the last one is the best value found.

    Args:
        plan: The study.
        row: Of the main table.
        points: How many points of error a regret of 1 is.
    """
    values = (row.area, row.igd_plus, row.epsilon, row.best)
    return [plan.shown(row.at), row.variant, number(points * row.regret.value, 3), *(number(v.value) for v in values)]


def noise(plan: Plan, row: StudyRow) -> list[str]:
    """Return the cells of a row of the table of true and observed regrets."""
    shown = [number(row.observed.value), signed(row.optimism.value)] if row.observed and row.optimism else ["", ""]
    limits = span(row.optimism) if row.optimism else ""
    return [plan.shown(row.at), row.variant, number(row.regret.value), span(row.regret), *shown, limits]


def arrival(plan: Plan, a: Arrival) -> list[str]:
    """Return the cells of a row of the table of evaluations to the target."""
    ratio = _ratio(a.ratio) if a.ratio else ["1", ""]
    return [a.variant, f"{a.reached}/{a.n}", _median(plan, a.median), *ratio]


def lead(plan: Plan, a: Lead) -> list[str]:
    """Return the cells of a row of the table of the champion's evaluations to what another has."""
    return [a.variant, number(a.target), f"{a.reached}/{a.pairs}", _median(plan, a.median), *_ratio(a.ratio)]


def _median(plan: Plan, at: float) -> str:
    if math.isinf(at):
        return f">{plan.shown(plan.end)}"
    return duration_text(round(at)) if plan.budget_time and not math.isnan(at) else number(at, 0)


def _ratio(ratio: Ratio) -> list[str]:
    limits = span(Interval(ratio.value, ratio.low, ratio.high), 2)
    return [f"{ratio.bound}{number(ratio.value, 2)}", limits]


def time(a: Arrival) -> list[str]:
    """Return the cells of a row of the table of times."""
    return [a.variant, number(a.seconds, 2), number(a.method_seconds, 2)]


def contrast(name: str, at: str, c: Comparison) -> list[str]:
    """Return the cells of a row of the table of contrasts."""
    return [
        name,
        at,
        str(c.pairs),
        signed(c.difference.value),
        span(c.difference),
        _effect(c)[0],
        number(c.a12, 2),
        p_value(c.p_holm),
    ]


def champion(plan: Plan, row: ChampionRow) -> list[str]:
    """Return the cells of a row of the table of the champion against each other method."""
    c = row.comparison
    return [
        plan.shown(row.at),
        row.variant,
        str(c.pairs),
        signed(c.difference.value),
        span(c.difference),
        *_effect(c),
        number(c.a12, 2),
        number(c.ratio.value, 2),
        span(c.ratio, 2),
        p_value(c.p_holm),
    ]


def sections(tables: Tables) -> list[Section]:
    """Return all tables but that of times."""
    found = [*primary(tables), *overview(tables), *_problem_ranks(tables), *_champion_overview(tables)]
    found += reach_sections(tables)
    for case in tables.plan.cases:
        found += _of_case(tables, case)
    found += trained_sections(tables)
    if not tables.plan.budget_time:
        return found
    for section in found:
        section.head = [name.replace(AT, tables.plan.axis) for name in section.head]
    return found


def _of_case(tables: Tables, case: Case) -> list[Section]:
    plan = tables.plan
    rows = [r for r in tables.rows if r.case == case]
    where = short_names(plan.cases)[case]
    title = f"Hypervolume regret on {case}"
    if not math.isnan(rows[0].floor):
        title += f"; a perfect search has test regret {rows[0].floor:.4f}"
    marks = [[r.mark if name == "regret" else "" for name in QUALITY] for r in rows]
    key = f"quality {where}"
    found = [Section(title, QUALITY, [quality(plan, r) for r in rows], breaks=True, marks=marks, detail=True, key=key)]
    if any(r.observed for r in rows):
        title = f"True and observed regret of the reported set on {case}"
        found.append(Section(title, NOISE, [noise(plan, r) for r in rows], breaks=True, key=f"noise {where}"))
    costly = next((o for o in benchmark_of(case).objectives if not o.cheap), None)
    head = (*INDICATORS, f"best {costly.name} ({costly.unit})" if costly else "best")
    title = f"Further indicators on {case}"
    points = tables.points.get(case, math.nan)
    further = [indicators(plan, r, points) for r in rows]
    found.append(Section(title, head, further, breaks=True, detail=True, key=f"indicators {where}"))
    found += incumbent_sections(tables, case)
    found += cap_sections(tables, case)
    found += _seed_ranks(tables, case)
    arrivals = [a for a in tables.arrivals if a.case == case]
    if not math.isnan(arrivals[0].target):
        title = f"{plan.axis.capitalize()} to hypervolume regret {arrivals[0].target:.4f} on {case}"
        found.append(Section(title, ARRIVAL, [arrival(plan, a) for a in arrivals], key=f"target {where}"))
    duels = [champion(plan, r) for r in tables.champion if r.case == case and r.comparison.pairs]
    if duels:
        title = f"{plan.champion} against each other method on {case}"
        found.append(Section(title, CHAMPION, duels, breaks=True, detail=True, key=f"champion {where}"))
    leads = [lead(plan, a) for a in tables.leads if a.case == case and a.pairs]
    if leads:
        whose = f"each method's mean regret at {plan.shown(plan.end)}" if plan.target is None else "the target"
        title = f"{plan.axis.capitalize()} of {plan.champion} to {whose} on {case}"
        found.append(Section(title, LEAD, leads, detail=True, key=f"lead {where}"))
    for family in dict.fromkeys(r.family for r in tables.contrasts):
        members = [r for r in tables.contrasts if r.case == case and r.family == family]
        title = f"Contrasts of hypervolume regret on {case}, {family}"
        lines = [contrast(r.name, plan.shown(r.at), r.comparison) for r in members]
        found.append(Section(title, CONTRAST, lines, key=f"contrasts {family} {where}"))
    return found


def time_sections(tables: Tables) -> list[Section]:
    """Return the tables of times: one by methods and problems where there are several problems."""
    plan = tables.plan
    arrivals = {(a.case, a.variant): a for a in tables.arrivals}
    if len(plan.cases) == 1:
        return [Section(f"Time on {plan.cases[0]}", TIME, [time(a) for a in tables.arrivals])]
    rows = []
    for variant in plan.variants:
        found = [arrivals.get((case, variant.name)) for case in plan.cases]
        cells = [
            f"{number(a.seconds, 2)} ({number(a.method_seconds, 2)})" if a and a.seconds >= 0 else "-" for a in found
        ]
        rows.append([variant.name, *cells])
    title = "Time: median seconds per run (of these in the method)"
    return [Section(title, ("method", *short_names(plan.cases).values()), rows)]


# --- summaries


def overview(tables: Tables) -> list[Section]:
    """Return mean regret with its standard deviation: methods by problems, or by checkpoints for a single problem."""
    plan = tables.plan
    names = short_names(plan.cases)
    rows = {(r.case, r.variant, r.at): r for r in tables.rows}
    grids: list[tuple[str, list[tuple[Case, int, str]]]]
    if len(plan.cases) > 1:
        grids = [(f"after {plan.after(at)}", [(c, at, names[c]) for c in plan.cases]) for at in plan.at]
    else:
        case = plan.cases[0]
        grids = [(f"on {case} by {plan.axis}", [(case, at, plan.shown(at)) for at in plan.at])]
    found = []
    for where, columns in grids:
        cells = [[rows.get((c, v.name, at)) for c, at, _ in columns] for v in plan.variants]
        found.append(
            Section(
                f"Mean hypervolume regret {where} (± standard deviation, smaller is better)",
                ("method", *(name for *_, name in columns)),
                [[v.name, *(_mean(r, len(plan.seeds)) for r in line)] for v, line in zip(plan.variants, cells)],
                marks=[["", *(r.mark if r else "" for r in line)] for line in cells],
                key="regret" if len(plan.cases) == 1 else f"regret {columns[0][1]}",
            )
        )
    return found


def _mean(row: StudyRow | None, seeds: int) -> str:
    """Return mean and standard deviation, and the number of runs where they are fewer than the seeds."""
    if row is None or math.isnan(row.regret.value):
        return "-"
    spread = "" if math.isnan(row.regret_sd) else f" ± {row.regret_sd:.4f}"
    fewer = f" (n={row.n})" if row.n < seeds else ""
    return number(row.regret.value) + spread + fewer + _remarks(ended_early=row.short, without_feasible=row.barren)


def _problem_ranks(tables: Tables) -> list[Section]:
    """Return the ranks of the mean regrets on each problem, with their mean."""
    names = short_names(tables.plan.cases)
    found = []
    for at in dict.fromkeys(r.at for r in tables.problem_ranks):
        rows = [r for r in tables.problem_ranks if r.at == at]
        whole = [r.mean for r in rows if r.problems == r.of]
        found.append(
            Section(
                f"Ranks of the mean regrets after {tables.plan.after(at)} (1 is best)",
                ("method", *names.values(), "mean rank"),
                [[r.variant, *(_rank(x) for x in r.ranks), _mean_rank(r)] for r in rows],
                marks=[
                    [""] * (len(names) + 1) + [BEST if whole and r.problems == r.of and r.mean == min(whole) else ""]
                    for r in rows
                ],
                key=f"ranks {at}",
            )
        )
    return found


def _rank(rank: float) -> str:
    return "-" if math.isnan(rank) else f"{rank:g}"


def _mean_rank(row: ProblemRanks) -> str:
    return number(row.mean, 2) + (f" ({row.problems} of {row.of} problems)" if row.problems < row.of else "")


def _champion_overview(tables: Tables) -> list[Section]:
    """Return ratio and verdict of the champion against each other method, methods by problems or checkpoints."""
    plan = tables.plan
    names = short_names(plan.cases)
    rows = {(r.case, r.variant, r.at): r.comparison for r in tables.champion}
    several = len(plan.cases) > 1
    found = []
    for at in (plan.at if several else plan.at[-1:]) if rows else ():
        places = [(c, at) for c in plan.cases] if several else [(plan.cases[0], n) for n in plan.at]
        where = f"after {plan.after(at)}" if several else f"on {plan.cases[0]} by {plan.axis}"
        lines = []
        for variant in (v.name for v in plan.variants if v.name != plan.champion):
            comparisons = [rows[case, variant, n] for case, n in places]
            verdicts = [c.verdict for c in comparisons]
            cells = [f"{_lead(c)} {v}" if v else "-" for c, v in zip(comparisons, verdicts)]
            lines.append([variant, *cells, "/".join(str(verdicts.count(v)) for v in "+=-")])
        head = [names[c] if several else plan.shown(n) for c, n in places]
        title = f"{plan.champion} over each other method: ratio of mean regrets {where}"
        found.append(Section(title, ("method", *head, "+/=/-"), lines, key=f"ratios {at}"))
    return found


def _lead(c: Comparison) -> str:
    """Return the ratio of two mean regrets, or their difference where a negative one makes a ratio meaningless."""
    return f"({signed(c.difference.value)})" if math.isnan(c.ratio.value) else number(c.ratio.value, 2)


def _seed_ranks(tables: Tables, case: Case) -> list[Section]:
    """Return the mean ranks over the seeds of a problem, with the test and the critical difference below them."""
    tests = [t for t in tables.seed_ranks if t.case == case]
    if not tests or not tests[0].seeds:
        return []
    seeds = len(tests[0].seeds)
    title = f"Mean ranks within the {seeds} seeds that all {len(tests[0].methods)} methods finished on {case}"
    if tests[0].left_out:
        title += f" (too few runs of {', '.join(tests[0].left_out)})"
    lines = [[name, *(number(t.mean_ranks[j], 2) for t in tests)] for j, name in enumerate(tests[0].methods)]
    marks = [["", *(BEST if t.mean_ranks[j] == t.mean_ranks.min() else "" for t in tests)] for j in range(len(lines))]
    lines.append(["Friedman chi-square", *(number(t.statistic, 1) for t in tests)])
    lines.append(["p", *(p_value(t.p) for t in tests)])
    lines.append(["critical difference", *(number(t.critical_difference, 2) for t in tests)])
    marks += [[""] * (len(tests) + 1)] * 3
    key = f"seed ranks {short_names(tables.plan.cases)[case]}"
    return [
        Section(title, ("method", *(tables.plan.shown(t.at) for t in tests)), lines, marks=marks, detail=True, key=key)
    ]

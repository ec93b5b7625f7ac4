"""The tables of a study as records, one per line of a CSV file."""

from __future__ import annotations

import math
from typing import Any

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.targets import TARGETS
from smemnas.bench.report.study.incumbents import incumbent_columns
from smemnas.bench.studies.information import tracks_of
from smemnas.bench.studies.tables import Comparison, Tables


def _case(case: Case) -> dict[str, Any]:
    return {
        "space": case.space,
        "dataset": case.dataset,
        "objectives": "+".join(case.objectives),
        "constraints": " ".join(case.constraints),
        **case.given,
    }


def _interval(name: str, interval: Interval | None) -> dict[str, Any]:
    value, low, high = interval or (None, None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _comparison(c: Comparison | None) -> dict[str, Any]:
    return {
        "pairs": None if c is None else c.pairs,
        **_interval("difference", None if c is None else c.difference),
        **_interval("ratio", None if c is None else c.ratio),
        **_interval("effect", None if c is None else c.effect),
        "family": None if c is None else c.family,
        "p": None if c is None else c.p,
        "p_holm": None if c is None else c.p_holm,
        "family_size": None if c is None else c.family_size,
        "a12": None if c is None else c.a12,
        "wins": None if c is None else c.wins,
        **({} if c is None or not c.detectable > 0.0 else {"detectable": c.detectable}),
    }


def study_records(tables: Tables) -> list[dict[str, Any]]:
    """Return one record for each case, checkpoint and variant; the target's columns stand at the budget."""
    arrivals = {(a.case, a.variant): a for a in tables.arrivals}
    noisy = any(row.observed for row in tables.rows)
    tracks = {case: tracks_of(tables.plan, [case]) for case in tables.plan.cases}
    records = []
    for row in tables.rows:
        arrival = arrivals[row.case, row.variant] if row.at == tables.plan.end else None
        ratio = arrival and arrival.ratio
        records.append(
            {
                **_case(row.case),
                "method": row.variant,
                "track": tracks[row.case].get(row.variant),
                tables.plan.column: row.at,
                "n": row.n,
                "failed": row.failed,
                "ended_early": row.short,
                "without_feasible": row.barren,
                **_interval("regret", row.regret),
                **(_interval("observed_regret", row.observed) if noisy else {}),
                **(_interval("optimism", row.optimism) if noisy else {}),
                "regret_sd": row.regret_sd,
                "mark": row.mark,
                "p_best": row.p_best,
                **_interval("area", row.area),
                **_interval("igd_plus", row.igd_plus),
                **_interval("epsilon", row.epsilon),
                **_interval("best", row.best),
                **_interval("reported_regret", row.reported),
                "reported_floor": row.floor,
                "baseline": tables.plan.baseline,
                **_comparison(row.against),
                "target": arrival and arrival.target,
                "reached": arrival and arrival.reached,
                f"{tables.plan.column}_to_target": arrival and arrival.median,
                f"{tables.plan.column}_ratio": ratio and ratio.value,
                f"{tables.plan.column}_ratio_low": ratio and ratio.low,
                f"{tables.plan.column}_ratio_high": ratio and ratio.high,
                f"{tables.plan.column}_ratio_bound": ratio and ratio.bound,
                **_interval("regret_points", in_points(row.regret, tables.points.get(row.case, math.nan))),
            }
        )
    return records


def in_points(regret: Interval, points: float) -> Interval:
    """Return a regret in points of error, of which one of 1 is so many; NaN where that makes no sense."""
    return Interval(*(points * value for value in regret))


def cap_records(tables: Tables) -> list[dict[str, Any]]:
    """Return one record for each case, checkpoint, method and cost cap."""
    return [
        {
            **_case(row.case),
            "method": row.variant,
            tables.plan.column: row.at,
            "cost": row.cost.name,
            "unit": row.cost.unit,
            "cap": row.cap,
            "n": row.n,
            "runs": row.runs,
            **_interval("error", row.error),
            "best_possible": row.possible,
            **_interval("above", row.above),
        }
        for row in tables.caps
    ]


def reach_records(tables: Tables) -> list[dict[str, Any]]:
    """Return one record for each method and number of evaluations: all problems, then each problem."""
    everything = {"space": "all", "dataset": "all", "objectives": "", "constraints": ""}
    order = [key for key in tables.reaches if key[0] is None] + [key for key in tables.reaches if key[0] is not None]
    return [
        {
            **(everything if case is None else _case(case)),
            "method": name,
            "problems": reach.problems,
            "runs": reach.runs,
            "targets": len(TARGETS),
            tables.plan.column: int(at),
            "share": float(share),
        }
        for case, name in order
        for reach in [tables.reaches[case, name]]
        for at, share in zip(reach.at, reach.share, strict=True)
    ]


def trial_records(tables: Tables) -> list[dict[str, Any]]:
    """Return one record for each run of the plan, finished or not."""
    noisy = any(row.observed for row in tables.rows)
    records = []
    for trial in tables.trials:
        at = list(zip(tables.plan.at, range(len(tables.plan.at)), strict=True))
        reached = tables.evaluations_to_target[trial.case, trial.variant].get(trial.job.seed)
        records.append(
            {
                **_case(trial.case),
                "method": trial.variant,
                "label": trial.job.label,
                "seed": trial.job.seed,
                "budget": trial.job.budget,
                **({"budget_time": trial.job.budget_time} if trial.job.budget_time else {}),
                "status": trial.status,
                "evaluations": len(trial.F),
                "failed_evaluations": trial.failed_evaluations,
                "infeasible_evaluations": trial.infeasible_evaluations,
                **{f"regret_{n}": trial.regret[k] for n, k in at},
                **({f"observed_regret_{n}": trial.observed[k] for n, k in at} if noisy else {}),
                **{f"area_{n}": trial.area[k] for n, k in at},
                **{f"igd_plus_{n}": trial.igd_plus[k] for n, k in at},
                **{f"epsilon_{n}": trial.epsilon[k] for n, k in at},
                **{f"best_{n}": trial.best[k] for n, k in at},
                **{f"reported_regret_{n}": trial.reported[k] for n, k in at},
                f"{tables.plan.column}_to_target": reached,
                "reason": trial.reason,
                **{
                    f"error_under_cap_{j + 1}_{n}": trial.under[k, j]
                    for n, k in at
                    for j in range(trial.under.shape[1])
                },
                **incumbent_columns(tables, trial),
            }
        )
    return records


def time_records(tables: Tables) -> list[dict[str, Any]]:
    """Return one record for each run: its wall time."""
    return [
        {
            **_case(t.case),
            "method": t.variant,
            "seed": t.job.seed,
            "seconds": round(t.seconds, 6),
            "method_seconds": round(t.method_seconds, 6),
        }
        for t in tables.trials
    ]


def contrast_records(tables: Tables) -> list[dict[str, Any]]:
    """Return one record for each contrast, case and checkpoint."""
    return [
        {
            **_case(row.case),
            "family": row.family,
            "contrast": row.name,
            tables.plan.column: row.at,
            **_comparison(row.comparison),
        }
        for row in tables.contrasts
    ]


def champion_records(tables: Tables) -> list[dict[str, Any]]:
    """Return one record for each case, checkpoint and other method; the lead's columns stand at the budget."""
    leads = {(a.case, a.variant): a for a in tables.leads}
    records = []
    for row in tables.champion:
        lead = leads[row.case, row.variant] if row.at == tables.plan.end else None
        records.append(
            {
                **_case(row.case),
                "champion": tables.plan.champion,
                "method": row.variant,
                tables.plan.column: row.at,
                **_comparison(row.comparison),
                "target": lead and lead.target,
                "reached": lead and lead.reached,
                f"{tables.plan.column}_to_target": lead and lead.median,
                f"{tables.plan.column}_ratio": lead and lead.ratio.value,
                f"{tables.plan.column}_ratio_low": lead and lead.ratio.low,
                f"{tables.plan.column}_ratio_high": lead and lead.ratio.high,
                f"{tables.plan.column}_ratio_bound": lead and lead.ratio.bound,
            }
        )
    return records


def rank_records(tables: Tables) -> list[dict[str, Any]]:
    """Return one record for each case, checkpoint and method: its mean rank over seeds and its rank by mean regret."""
    across = {(r.variant, r.at): r for r in tables.problem_ranks}
    position = {case: k for k, case in enumerate(tables.plan.cases)}
    records = []
    for test in tables.seed_ranks:
        for j, name in enumerate(test.methods):
            other = across.get((name, test.at))
            records.append(
                {
                    **_case(test.case),
                    "method": name,
                    tables.plan.column: test.at,
                    "mean_rank": float(test.mean_ranks[j]),
                    "methods": len(test.methods),
                    "seeds": len(test.seeds),
                    "friedman": test.statistic,
                    "p": test.p,
                    "critical_difference": test.critical_difference,
                    "rank_of_mean": other and other.ranks[position[test.case]],
                    "mean_rank_of_problems": other and other.mean,
                    "problems": other and other.problems,
                    "of_problems": other and other.of,
                }
            )
    return records


def curve_records(tables: Tables) -> list[dict[str, Any]]:
    """Return one record for each case, method and point of its curve."""
    return [
        {
            **_case(case),
            "method": name,
            "n": curve.n,
            tables.plan.column: int(at),
            **_interval("regret", Interval(float(mean), float(low), float(high))),
        }
        for (case, name), curve in tables.curves.items()
        for at, mean, low, high in zip(curve.at, curve.mean, curve.low, curve.high, strict=True)
    ]

"""The tables of a ranking study as records, one per line of a CSV file."""

from __future__ import annotations

from typing import Any

from smemnas.bench.metrics.order import CALIBRATION, METRICS
from smemnas.bench.ranking.tables import ContrastCell, RankCell, RankTables


def _case(tables: RankTables) -> dict[str, Any]:
    plan = tables.plan
    return {"space": plan.space, "dataset": plan.dataset, "split": plan.split}


def cell_records(tables: RankTables) -> list[dict[str, Any]]:
    """Return one record for each pool, truth, metric, surrogate and training size."""
    return [_cell(tables, c) for c in tables.cells]


def _cell(tables: RankTables, c: RankCell) -> dict[str, Any]:
    return {
        **_case(tables),
        "pool": c.place.pool,
        "truth": c.place.truth,
        "metric": c.place.metric.name,
        "surrogate": c.entry.name,
        "encoding": c.entry.encoding,
        "n_train": c.n_train,
        "seeds": c.n,
        "mean": c.mean.value,
        "low": c.mean.low,
        "high": c.mean.high,
        "sd": c.sd,
        "mark": c.mark,
        "p": c.p,
        "p_holm": c.p_holm,
    }


def contrast_records(tables: RankTables) -> list[dict[str, Any]]:
    """Return one record for each contrast, pool, truth, metric and training size."""
    return [_contrast(tables, c) for c in tables.contrasts]


def _contrast(tables: RankTables, c: ContrastCell) -> dict[str, Any]:
    return {
        **_case(tables),
        "pool": c.place.pool,
        "truth": c.place.truth,
        "metric": c.place.metric.name,
        "first": c.first.name,
        "first_encoding": c.first.encoding,
        "second": c.second.name,
        "second_encoding": c.second.encoding,
        "n_train": c.n_train,
        "pairs": c.pairs,
        "difference": c.difference.value,
        "low": c.difference.low,
        "high": c.difference.high,
        "p": c.p,
        "p_holm": c.p_holm,
    }


def trial_records(tables: RankTables) -> list[dict[str, Any]]:
    """Return one record for each trial of the plan, finished or not: its scores."""
    records = []
    for t in tables.trials:
        row = t.row or {}
        scores = {
            f"{truth}_{metric.name}": t.score(truth, metric.name)
            for truth in tables.data.truth
            for metric in (*METRICS, *(CALIBRATION if truth == tables.data.searched else ()))
        }
        records.append(
            {
                **_case(tables),
                "pool": t.pool,
                "surrogate": t.entry.name,
                "label": t.label,
                "encoding": t.entry.encoding,
                "n_train": t.n_train,
                "seed": t.seed,
                "status": t.status,
                "ranked": row.get("n_ranked"),
                "twin_share": row.get("twins"),
                **scores,
                "reason": row.get("reason", ""),
            }
        )
    return records


def time_records(tables: RankTables) -> list[dict[str, Any]]:
    """Return one record for each trial: CPU seconds and memory."""
    return [
        {
            **_case(tables),
            "pool": t.pool,
            "surrogate": t.entry.name,
            "encoding": t.entry.encoding,
            "n_train": t.n_train,
            "seed": t.seed,
            **{f"{what}_seconds": t.seconds(what) for what in ("fit", "rank", "calibrate")},
            "memory_mb": t.seconds("memory_mb"),
        }
        for t in tables.trials
    ]

"""The table and the records of regret against training time."""

from __future__ import annotations

from typing import Any

from smemnas.bench.report.cells import Section, number, short_names, span
from smemnas.bench.studies.tables import Tables
from smemnas.bench.studies.training_time import POINTS, SHOWN, trained
from smemnas.bench.values import duration_text

TRAINED = ("training time", "method", "n", "regret", "95 % interval", "evaluations")
FILE = "training_time.csv"


def trained_sections(tables: Tables) -> list[Section]:
    """Return one table for each case whose table knows training times."""
    rows, names = trained(tables), short_names(tables.plan.cases)
    found = []
    for case in dict.fromkeys(row.case for row in rows):
        mine = [row for row in rows if row.case == case]
        times = list(dict.fromkeys(row.seconds for row in mine))[SHOWN - 1 : POINTS : SHOWN]
        cells = [
            [
                *(duration_text(row.seconds), row.variant, str(row.n), number(row.regret.value), span(row.regret)),
                number(row.evaluations, 1),
            ]
            for row in mine
            if row.seconds in times
        ]
        title = f"Hypervolume regret against training time on {case}: what was finished by then"
        found.append(Section(title, TRAINED, cells, breaks=True, detail=True, key=f"training {names[case]}"))
    return found


def trained_records(tables: Tables) -> list[dict[str, Any]]:
    """Return the curves as records."""
    return [
        {
            "space": row.case.space,
            "dataset": row.case.dataset,
            "objectives": "+".join(row.case.objectives),
            "constraints": ",".join(row.case.constraints),
            **row.case.given,
            "method": row.variant,
            "training_seconds": row.seconds,
            "runs": row.n,
            "evaluations": row.evaluations,
            "regret": row.regret.value,
            "regret_low": row.regret.low,
            "regret_high": row.regret.high,
        }
        for row in trained(tables)
    ]

"""All trainings of an experiment, as rows: what was trained in which stage, with what outcome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.staged.gate import ERROR
from smemnas.bench.staged.plan import LARGEST_SEED, StagedPlan
from smemnas.bench.staged.stages import StagesDone
from smemnas.spaces.base import SearchSpace


def training_rows(plan: StagedPlan, found: StagesDone, space: SearchSpace, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each training of the experiment, stage by stage, of a folder that may hold others too.

    Args:
        plan: Of the experiment.
        found: What is there of it.
        space: Knows names and costs.
        folder: Of the trainings of its setting.
    """
    wanted: dict[tuple[str, int], str] = {}
    for search in found.searches:
        for x in search.X:
            wanted[space.to_str(x), search.seed] = "search"
        for x in search.X[search.front]:
            wanted[space.to_str(x), 2 * LARGEST_SEED + search.seed] = "fresh"
    gate = {(arch, LARGEST_SEED + k): "gate" for arch in found.gate.archs for k in range(plan.gate.seeds)}
    wanted |= gate
    rows = []
    for file in folder.glob("*-seed*/result.json"):
        result = json.loads(file.read_bytes())
        key = result["arch"], result["seed"]
        if key not in wanted:
            continue
        tested = file.parent / "test.json"
        row: dict[str, Any] = {"stage": wanted[key], "arch": key[0], "seed": key[1], ERROR: result[ERROR]}
        row["test_error"] = json.loads(tested.read_bytes())["test_error"] if tested.exists() else None
        cost = space.cost(np.asarray(space.from_str(key[0]))[None], plan.cost)[0]
        rows.append({**row, "cost": float(cost), "seconds": result["seconds"], "reason": result["reason"]})
    order = ("gate", "search", "fresh")
    return sorted(rows, key=lambda row: (order.index(row["stage"]), row["seed"], row["arch"]))

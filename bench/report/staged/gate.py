"""The files of a gate by itself: gate.json, gate.csv, trainings.csv."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from smemnas.bench.files import write_text
from smemnas.bench.gates import FILE, FIRST_SEED, Gate
from smemnas.bench.report.cells import to_csv
from smemnas.bench.report.staged.files import TRAININGS_CSV
from smemnas.bench.staged.gate import ERROR, GatePower

GATE_CSV = "gate.csv"


def write_gate(out: Path, gate: Gate, power: GatePower) -> None:
    """Write the files: one row of figures, and a row for each training.

    Args:
        out: Folder of the gate.
        gate: What was measured.
        power: What an experiment with it could show.

    Raises:
        RunError: A file cannot be written.
    """
    n, k = gate.errors.shape
    known = {"space": gate.space, "dataset": gate.dataset, "cost": gate.cost, "networks": n, "training_seeds": k}
    figures = {**known, **gate.figures(), "passed": gate.passed, **power.entry()}
    rows = [
        {
            "arch": arch,
            gate.cost: float(gate.costs[i]),
            "seed": FIRST_SEED + s,
            ERROR: float(gate.errors[i, s]),
            "seconds": float(gate.seconds[i, s]),
        }
        for i, arch in enumerate(gate.archs)
        for s in np.arange(k).tolist()
    ]
    write_text(out / GATE_CSV, to_csv([figures]))
    write_text(out / TRAININGS_CSV, to_csv(rows, exact=True))
    gate.save(out / FILE, power.entry())

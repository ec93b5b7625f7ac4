"""The files behind the page of a registered experiment: taken from its folder, and read back."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from pages import read_rows

from smemnas.bench.gates import FILE as GATE_FILE
from smemnas.bench.gates import Gate, read_gate
from smemnas.bench.library.staged import FILE as REGISTERED
from smemnas.bench.library.staged import ExperimentFile
from smemnas.bench.metrics.indicators import front_rows
from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.report.cells import to_csv
from smemnas.bench.report.staged.files import MARKDOWN, OUTCOME_CSV, TRAININGS_CSV
from smemnas.bench.runs.source import RunFolder
from smemnas.bench.schema import read
from smemnas.bench.staged.outcome import ArmPair, ArmValues, TauRow, of_arm, paired, shared, tau_rows
from smemnas.bench.staged.plan import LARGEST_SEED, StagedPlan
from smemnas.bench.staged.power import Foreseen, foresee
from smemnas.bench.staged.stages import Search, jobs_of
from smemnas.bench.studies.execution import folder_of
from smemnas.spaces.base import SPACES, SearchSpace

MADE, SEARCHES, FORESEEN = "made.txt", "searches.csv", "foreseen.csv"
#: What the experiment itself writes and the page keeps as it is.
COPIED = (REGISTERED, GATE_FILE, OUTCOME_CSV, TRAININGS_CSV)


# --- made


def collected(folder: Path) -> dict[str, str]:
    """Return the text of each file of the page from the folder of an experiment that has ended.

    Raises:
        SystemExit: It has not, or its searches are not found.
    """
    missing = [name for name in (*COPIED, MARKDOWN) if not (folder / name).is_file()]
    if missing:
        raise SystemExit(f"{folder} has no {', '.join(missing)}: the experiment has not ended; its command goes on.")
    found = {name: (folder / name).read_text(encoding="utf-8") for name in COPIED}
    registered = read(folder / REGISTERED, ExperimentFile, "choose the folder of an experiment.")
    environment = registered.environment
    packages = environment["packages"]
    assert isinstance(packages, dict)
    found[MADE] = f"Made by smemnas {packages['smemnas']} at commit {str(environment['git_commit'])[:8]}\n"
    title, _, rest = (folder / MARKDOWN).read_text(encoding="utf-8").partition("\n")
    found[MARKDOWN] = f"{title}\n\n{found[MADE]}{rest}"
    plan, space = registered.plan, SPACES.create(registered.plan.space)
    found[SEARCHES] = to_csv(searches_of(plan, folder, space, read_rows(folder / TRAININGS_CSV)), exact=True)
    gate = read_gate(folder / GATE_FILE)
    found[GATE_FILE] = gate_text(gate)
    ratio = gate.components.ratio.value
    expected = foresee(plan.space, ratio, plan.arms, budget=plan.budget, seeds=len(plan.runs))
    found[FORESEEN] = to_csv([foreseen_row(f) for f in expected])
    return found


def gate_text(gate: Gate) -> str:
    """Return the file of a gate whose images have no folder of somebody's machine in their name."""
    setting = {**gate.setting, "data": Path(gate.setting["data"]).name}
    with tempfile.TemporaryDirectory() as place:
        replace(gate, setting=setting).save(Path(place) / GATE_FILE)
        return (Path(place) / GATE_FILE).read_text(encoding="utf-8")


def foreseen_row(found: Foreseen) -> dict[str, object]:
    """Return what a simulation says as a row."""
    entry: dict[str, object] = {"first": found.first, "other": found.other, "table": found.table}
    entry |= {"noise": found.noise, "d": found.d.value, "low": found.d.low, "high": found.d.high}
    return {**entry, "power": found.power, "seeds": found.seeds, "simulated": found.simulated}


def foreseen_in(row: Mapping[str, str]) -> Foreseen:
    """Return what such a row says."""
    d = Interval(float(row["d"]), float(row["low"]), float(row["high"]))
    numbers = float(row["power"]), int(row["seeds"]), int(row["simulated"])
    return Foreseen(row["first"], row["other"], row["table"], float(row["noise"]), d, *numbers)


def searches_of(
    plan: StagedPlan, folder: Path, space: SearchSpace, trainings: Sequence[Mapping[str, str]]
) -> list[dict[str, object]]:
    """Return every evaluation of every search as a row; networks of an observed front with their fresh error."""
    tested = {(row["arch"], int(row["seed"])): row["test_error"] for row in trainings if row["stage"] == "fresh"}
    rows: list[dict[str, object]] = []
    for arm, job in jobs_of(plan):
        X, F = RunFolder(folder_of(folder, job)).log().arrays()
        if len(X) == 0:
            place = folder_of(folder, job)
            raise SystemExit(f"{place} has no log: call this where the command ran, so that images have the same path.")
        front = set(front_rows(F).tolist())
        for k, (x, (error, cost)) in enumerate(zip(X, F.tolist(), strict=True)):
            name = space.to_str(x)
            row = {"arm": arm, "seed": job.seed, "evaluation": k + 1, "arch": name, plan.cost: cost, "val_error": error}
            fresh = tested[name, 2 * LARGEST_SEED + job.seed] or "inf" if k in front else None
            rows.append({**row, "fresh_test_error": fresh})
    return rows


# --- read back


class Experiment:
    """What the folder of the page says.

    Attributes:
        plan: What was registered.
        digest: Its sha256.
        environment: Where it was registered.
        made: Which version made it, and which commit holds the page.
        gate: Of the first stage.
        foreseen: What a simulation says of its size, arm by arm; empty where no table of the space is there.
        trainings: Rows of trainings.csv.
    """

    def __init__(self, folder: Path) -> None:
        registered = read(folder / REGISTERED, ExperimentFile, "make the page anew.")
        self.plan, self.digest, self.environment = registered.plan, registered.sha256, registered.environment
        self.made = (folder / MADE).read_text(encoding="utf-8").strip()
        self.gate: Gate = read_gate(folder / GATE_FILE)
        self.trainings = read_rows(folder / TRAININGS_CSV)
        self._searches = read_rows(folder / SEARCHES)
        self.foreseen = tuple(foreseen_in(row) for row in read_rows(folder / FORESEEN))
        self._values: dict[tuple[str, str], dict[str, list[float]]] = {}
        for row in read_rows(folder / OUTCOME_CSV):
            arms = self._values.setdefault((row["family"], row["what"]), {})
            arms.setdefault(row["arm"], []).append(float(row["value"] or "nan"))

    @property
    def arms(self) -> list[str]:
        """Names of the arms; the first is compared with the others."""
        return [arm.name for arm in self.plan.arms]

    @cached_property
    def volumes(self) -> list[ArmValues]:
        """Hypervolume by fresh values, arm by arm."""
        return self._rows("primary", "hypervolume")

    @cached_property
    def observed(self) -> list[ArmValues]:
        """The same by the searched values."""
        return self._rows("searched", "as searched")

    @cached_property
    def caps(self) -> list[ArmValues]:
        """Least fresh error under each cap, arm by arm."""
        return [row for cap in self.plan.caps for row in self._rows("secondary", f"{self.plan.cost} <= {cap:g}")]

    @cached_property
    def primaries(self) -> list[ArmPair]:
        """The comparisons that were registered: the first arm with each other one."""
        return paired(self.volumes, self.arms)

    @property
    def primary(self) -> ArmPair:
        """The comparison of an experiment of two arms."""
        [pair] = self.primaries
        return pair

    @cached_property
    def secondary(self) -> list[ArmPair]:
        """Errors under the caps, a family of their own."""
        return paired(self.caps, self.arms)

    @cached_property
    def taus(self) -> list[TauRow]:
        """Kendall's tau of each surrogate at each size."""
        sizes = [n for n in sorted(self.plan.ranking.sizes) if ("secondary", f"tau at {n}") in self._values]
        found = []
        for n in sizes:
            values = self._values["secondary", f"tau at {n}"]
            taus = np.array([values[name] for name in self.plan.ranking.surrogates])
            found += tau_rows(self.plan.ranking.surrogates, n, self.networks - max(sizes), taus)
        return found

    @cached_property
    def networks(self) -> int:
        """Different networks that the searches trained, those whose trainings failed left out."""
        return len({row["arch"] for row in self._searches if math.isfinite(float(row["val_error"]))})

    @cached_property
    def searches(self) -> tuple[Search, ...]:
        """The searches as the experiment had them."""
        space = SPACES.create(self.plan.space)
        found = []
        for arm in self.arms:
            for seed in self.plan.runs:
                rows = [row for row in self._searches if (row["arm"], row["seed"]) == (arm, str(seed))]
                X = np.array([space.from_str(row["arch"]) for row in rows], dtype=np.int64)
                F = np.array([[float(row["val_error"]), float(row[self.plan.cost])] for row in rows])
                front = front_rows(F)
                fresh = np.array([float(rows[k]["fresh_test_error"]) for k in front])
                found.append(Search(arm, seed, X, F, front, fresh))
        return tuple(found)

    @cached_property
    def shared(self) -> int:
        """First trainings that the arms of every seed have in common."""
        return min(shared([s.X for s in self.searches if s.seed == seed]) for seed in self.plan.runs)

    def _rows(self, family: str, what: str) -> list[ArmValues]:
        return [of_arm(what, arm, self._values[family, what][arm]) for arm in self.arms]

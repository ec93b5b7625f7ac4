"""Plans as files: TOML that a person reads and writes, checked like everything that is read back.

```toml
seeds = "0-10"
budget = 100
cases = [{ space = "nb201", dataset = "cifar10", objectives = ["error", "flops"] }]
variants = [{ name = "nsga2" }, { name = "wide", method = "nsga2", params = { population = 40 } }]
```
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from smemnas.bench.errors import UserError
from smemnas.bench.files import why, write_text
from smemnas.bench.outputs import check_output, has_content
from smemnas.bench.schema import Budget, CaseEntry, ContrastEntry, Natural, PlanEntry, Strict, Text, VariantEntry, short
from smemnas.bench.studies.plan import BUDGET, CHECKPOINTS, Plan, parts_of_time, plan_from
from smemnas.bench.values import LARGEST_BUDGET, check_params, duration_text, parse_seeds, real, whole_seconds

ENDING = ".toml"
#: Bytes of a plan's file; beyond it is none.
LARGEST = 1 << 20
HEAD = "# A plan of smemnas: study --plan FILE\n"


class VariantText(Strict, frozen=True):
    """A variant; without a method it is the method of its name."""

    name: Text
    method: str = ""
    params: dict[str, Any] = msgspec.field(default_factory=dict)


class CaseText(Strict, frozen=True):
    """A case; without a data set or objectives it has the defaults of its space."""

    space: Text
    dataset: str = ""
    objectives: tuple[Text, ...] = ()
    constraints: tuple[Text, ...] = ()
    listed: bool | None = None
    reference: str = ""
    start: str = ""


class PlanText(Strict, frozen=True):
    """What a plan's file may hold."""

    variants: Annotated[tuple[VariantText, ...], msgspec.Meta(min_length=1)]
    cases: Annotated[tuple[CaseText, ...], msgspec.Meta(min_length=1)]
    seeds: tuple[Natural, ...] | str
    budget: Budget | None = None
    budget_time: float | str = 0.0
    baseline: str = ""
    champion: str = ""
    primary: str = ""
    at: tuple[Budget | str, ...] = ()
    target: float | None = None
    seeds_of: dict[str, tuple[Natural, ...] | str] = msgspec.field(default_factory=dict)
    contrasts: tuple[ContrastEntry, ...] = ()
    full_space: bool = False


def is_plan_file(text: str) -> bool:
    """Whether a plan is named by its file."""
    return text.lower().endswith(ENDING)


def read_plan(file: Path) -> Plan:
    """Return the plan in a file, with where it comes from and its checksum.

    Raises:
        UserError: There is no such file, or it holds something else.
    """
    try:
        with open(file, "rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise UserError(f"cannot read the plan {file}: {why(error)}.") from error
    if len(data) > LARGEST:
        raise UserError(f"{file} is no plan: it is larger than {LARGEST:,} bytes.")
    try:
        found = msgspec.convert(tomllib.loads(data.decode()), PlanText)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:  # older versions' errors are no ValueError
        raise UserError(f"the plan {file} is not of the form that --save-plan writes ({short(error)}).") from error
    for case in found.cases:
        if case.listed is found.full_space:
            said = f"listed = {str(case.listed).lower()}, and the plan full_space = {str(found.full_space).lower()}"
            raise UserError(f"{file}: a case of {case.space} says {said}: full_space says it of all, leave listed out.")
    for variant in found.variants:
        check_params(f"{file}: {variant.name}", variant.params)
    target = None if found.target is None else real(f"{file}: target", found.target)
    time = whole_seconds(f"{file}: budget_time", found.budget_time) if found.budget_time else 0.0
    entry = PlanEntry(
        tuple(VariantEntry(v.name, v.method or v.name, v.params) for v in found.variants),
        tuple(
            CaseEntry(c.space, c.dataset, c.objectives, c.constraints, bool(c.listed), c.reference, c.start)
            for c in found.cases
        ),
        _seeds(found.seeds, file),
        found.budget or (LARGEST_BUDGET if time else BUDGET),
        found.baseline,
        _checkpoints(found.at, time, file),
        target,
        found.contrasts,
        found.champion,
        primary=found.primary,
        seeds_of={name: _seeds(seeds, file) for name, seeds in found.seeds_of.items()},
        budget_time=time,
    )
    plan = replace(plan_from(entry, file), full_space=found.full_space)
    return replace(plan, origin=(file.name, digest(plan)))


def _seeds(seeds: tuple[int, ...] | str, file: Path) -> tuple[int, ...]:
    return parse_seeds(seeds, f"{file}: seeds") if isinstance(seeds, str) else seeds


def _checkpoints(at: tuple[int | str, ...], time: float, file: Path) -> tuple[int, ...]:
    if time:
        return tuple(int(whole_seconds(f"{file}: at", value)) for value in at) or parts_of_time(time)
    if any(isinstance(value, str) for value in at):
        raise UserError(f"{file}: at takes evaluations, for example [50, 100]; times are for a plan with budget_time.")
    return tuple(int(value) for value in at) or CHECKPOINTS


def digest(plan: Plan) -> str:
    """Return the sha256 of what a plan says; spelling and comments of a file do not count."""
    entry = {key: value for key, value in plan.to_dict().items() if key != "of"} | _whole(plan)
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def _whole(plan: Plan) -> dict[str, bool]:
    """Return what is said of partial tables: nothing where they are searched as ever."""
    return {"full_space": True} if plan.full_space else {}


def save_plan(file: Path, plan: Plan) -> None:
    """Write a plan as TOML.

    Raises:
        UserError: The file is something else, or a parameter has no value, which TOML cannot hold.
        RunError: It cannot be written.
    """
    import tomli_w

    check_output(file, has_content(HEAD.encode()), "study --save-plan")
    entry = {key: value for key, value in plan.to_dict().items() if value not in (None, [], "") and key != "of"}
    entry |= _whole(plan)
    if plan.budget_time:
        entry |= {"budget_time": duration_text(plan.budget_time), "at": [duration_text(at) for at in plan.at]}
        if plan.budget == LARGEST_BUDGET:
            del entry["budget"]
    for variant in plan.variants:
        if None in leaves(dict(variant.params)):
            raise UserError(f"{variant.name}: a parameter has no value (null), which a plan's file cannot hold.")
    write_text(file, HEAD + tomli_w.dumps(json.loads(json.dumps(entry))))


def leaves(value: Any) -> list[Any]:
    """Return the values in nested lists and records."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else None
    return [value] if inner is None else [leaf for part in inner for leaf in leaves(part)]

"""The plan of a registered experiment, as a TOML file says it and as it is fixed before anything runs.

```toml
stages = ["gate", "search", "fresh"]
space = "nats_sss"
dataset = "train+cifar10-12k+nats-cpu-half+size=12+valid_share=0.3"
arms = [{ name = "random" }, { name = "smemnas" }]
seeds = "0-9"
```
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from smemnas.bench.benchmarks.catalog import evaluator_of
from smemnas.bench.errors import UserError, choose
from smemnas.bench.files import why, write_text
from smemnas.bench.gates import GateStage
from smemnas.bench.outputs import check_output, has_content
from smemnas.bench.schema import Budget, Natural, Strict, Text, short
from smemnas.bench.studies.published import EXPERIMENTS
from smemnas.bench.values import check_params, parse_seeds
from smemnas.methods.base import METHODS
from smemnas.surrogates.base import SURROGATES

StageName = Literal["gate", "search", "fresh"]
STAGES: tuple[StageName, ...] = ("gate", "search", "fresh")
HEAD = "# A registered experiment of smemnas: study --plan FILE\n"


class Arm(Strict, frozen=True):
    """A method under the name that tables show; without a method it is that of its name."""

    name: Text
    method: str = ""
    params: dict[str, Any] = msgspec.field(default_factory=dict)


class RankingStage(Strict, frozen=True):
    """What is asked of surrogates on all networks that the search trained, once it is over.

    Attributes:
        surrogates: Their names.
        sizes: Networks that they learn from.
        draws: Random divisions into networks to learn from and networks to order.
        left: Networks that must be left to order.
    """

    surrogates: tuple[Text, ...] = ("kernel_pairwise", "kernel_ridge_rank", "kernel_ridge")
    sizes: tuple[Budget, ...] = (50, 100, 200)
    draws: Budget = 20
    left: Budget = 40


class StagedPlan(Strict, frozen=True):
    """A registered experiment.

    Attributes:
        space: Registered space.
        dataset: Name of the training (``train+DATA+RECIPE+KEY=VALUE``), without a training seed.
        arms: What is compared: the first against each other one, one Holm family.
        stages: All of them, in this order.
        cost: The second objective, free to compute.
        seeds: Searches of each arm; a search's trainings have its seed.
        budget: Trainings of a search.
        shared: First trainings that all arms of a seed have in common.
        reference: Ideal and nadir that hypervolumes are taken by, of the error (on any split) and the cost, each
            "IDEAL:NADIR".
        caps: Largest costs at which the least error is read off.
        gate: The first stage.
        ranking: What is asked of surrogates.
    """

    space: Text
    dataset: Text
    arms: Annotated[tuple[Arm, ...], msgspec.Meta(min_length=2)]
    stages: tuple[StageName, ...] = STAGES
    cost: Text = "flops"
    seeds: tuple[Natural, ...] | str = "0-9"
    budget: Budget = 40
    shared: Natural = 20
    reference: tuple[str, str] = ("0:90", "0:1")
    caps: tuple[float, ...] = ()
    gate: GateStage = GateStage()
    ranking: RankingStage = RankingStage()

    @property
    def runs(self) -> tuple[int, ...]:
        """The seeds of the search."""
        return parse_seeds(self.seeds, "seeds") if isinstance(self.seeds, str) else self.seeds

    @property
    def corners(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Ideal and nadir of error and cost."""
        error, cost = (_corners(text) for text in self.reference)
        return error, cost

    @property
    def digest(self) -> str:
        """The sha256 of what it says."""
        return hashlib.sha256(json.dumps(self.entry(), sort_keys=True).encode()).hexdigest()

    def entry(self) -> dict[str, Any]:
        """Return it in built-in types, seeds one by one and every method named."""
        entry: dict[str, Any] = msgspec.to_builtins(self)
        arms = [{**arm, "method": arm["method"] or arm["name"]} for arm in entry["arms"]]
        return json.loads(json.dumps({**entry, "arms": arms, "seeds": list(self.runs)}))  # type: ignore[no-any-return]


#: What the suite asks by real training: its method, and chance.
ARMS = (Arm("SMEM-NAS", "smemnas"), Arm("random", "random"))


def headline() -> StagedPlan:
    """Return the question of the suite by real training: does SMEM-NAS find better networks than random search?

    Widths of NATS-Bench's size space, 12,000 images of CIFAR-10 at 12 pixels.
    """
    return StagedPlan(
        "nats_sss",
        "train+cifar10-12k+nats-cpu-half+size=12+valid_share=0.3",
        ARMS,
        reference=REFERENCE,
        caps=CAPS,
    )


def headline_inside() -> StagedPlan:
    """Return the question what of SMEM-NAS does it: random candidates inside, or regression on ranks.

    It has the seeds, the trainings and so the cache of `headline`.
    """
    return msgspec.structs.replace(
        headline(),
        arms=(
            Arm("SMEM-NAS", "smemnas"),
            Arm("regression on ranks", "smemnas", {"surrogate": "kernel_ridge_rank"}),
            Arm("random candidates", "smemnas", {"inner": "random"}),
        ),
    )


#: Corners of the hypervolume of `headline`: errors between 40 and 80 %, MAdds (M) of three quarters of the space. A
#: tenth, a quarter and half of the space lie below its caps. Fixed before any training with its seeds.
REFERENCE = ("40:80", "0:1.45")
CAPS = (0.28, 0.46, 0.84)
STAGED: dict[str, Callable[[], StagedPlan]] = dict(zip(EXPERIMENTS, (headline, headline_inside), strict=True))


def is_staged(text: str) -> bool:
    """Whether a plan's name or TOML file is one of stages; a file that cannot be read is none."""
    if text in STAGED:
        return True
    try:
        return text.lower().endswith(".toml") and "stages" in tomllib.loads(Path(text).expanduser().read_text("utf-8"))
    except (OSError, ValueError, RuntimeError):  # RuntimeError: the home of nobody, or nesting without end
        return False


def read_staged(text: str) -> StagedPlan:
    """Return a named plan of stages, or that in a file.

    Raises:
        UserError: It cannot be read, or is of another form.
    """
    if text in STAGED:
        return STAGED[text]()
    file = Path(text).expanduser()
    try:
        return msgspec.convert(tomllib.loads(file.read_text("utf-8")), StagedPlan)
    except OSError as error:
        raise UserError(f"cannot read the plan {file}: {why(error)}.") from error
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise UserError(f"the plan {file} is not of the form that --save-plan writes ({short(error)}).") from error


def check_staged(plan: StagedPlan) -> StagedPlan:
    """Return a plan in which all is said and right, as far as nothing need be opened.

    Raises:
        UserError: It is not.
    """
    plan.gate.check()
    if plan.stages != STAGES:
        raise UserError(f"a registered experiment has the stages {', '.join(STAGES)} in this order.")
    check_trained("a registered experiment", plan.dataset)
    if not plan.runs:
        raise UserError("a registered experiment needs at least one seed.")
    if max(plan.runs) >= LARGEST_SEED:
        raise UserError(f"seeds of a registered experiment are below {LARGEST_SEED:,}: fresh trainings are beyond.")
    if plan.shared > plan.budget:
        raise UserError(f"shared is part of the budget of {plan.budget} trainings, got {plan.shared}.")
    names = [arm.name for arm in plan.arms]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two arms are called {name!r}: give each its own name.")
    for arm in plan.arms:
        check_params(arm.name, arm.params)
        METHODS.get(arm.method or arm.name).resolve(arm.params)
    for name in plan.ranking.surrogates:
        choose("surrogate", name, dict.fromkeys(SURROGATES.names()))
    _ = plan.corners
    return msgspec.convert(plan.entry(), StagedPlan)


def check_trained(what: str, dataset: str) -> None:
    """Refuse a data set by which nothing is trained, or with a training seed of its own.

    Raises:
        UserError: It is one.
    """
    if evaluator_of(dataset) != "train":
        raise UserError(f"{what} trains: its dataset is train+DATA+RECIPE..., got {dataset!r}.")
    if "training_seed=" in dataset:
        raise UserError(f"training_seed belongs to the stages of {what}: leave it out of its dataset.")


#: Seeds of searches are below it; those of fresh trainings are it plus the search's, those of a gate lie between.
LARGEST_SEED = 1_000_000


def save_staged(file: Path, plan: StagedPlan) -> None:
    """Write a plan as TOML.

    Raises:
        UserError: The file is something else.
        RunError: It cannot be written.
    """
    import tomli_w

    check_output(file, has_content(HEAD.encode()), "study --save-plan")
    write_text(file, HEAD + tomli_w.dumps(plan.entry()))


def _corners(text: str) -> tuple[float, float]:
    """Return two numbers, the smaller one first.

    Raises:
        UserError: They are none.
    """
    low, _, high = text.partition(":")
    try:
        found = float(low), float(high)
    except ValueError:
        found = (0.0, 0.0)
    if not -1e300 < found[0] < found[1] < 1e300:
        raise UserError(f"reference takes IDEAL:NADIR of the error and of the cost, like '40:80', got {text!r}.")
    return found

"""Registered experiments by real training, as the command `study` runs them for a plan of stages."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec

from smemnas.bench.display import html_table
from smemnas.bench.errors import RunError, UserError
from smemnas.bench.files import make_folder, write_json
from smemnas.bench.library.study import StudyOptions
from smemnas.bench.log import logger
from smemnas.bench.outputs import EXPERIMENT, claim
from smemnas.bench.provenance import environment
from smemnas.bench.report.staged.files import write_experiment
from smemnas.bench.report.staged.sections import answer
from smemnas.bench.report.terminal import Shown, shown_progress
from smemnas.bench.runs.run import Progress as Counted
from smemnas.bench.schema import Strict, read, signed
from smemnas.bench.staged.outcome import StagedOutcome, outcome
from smemnas.bench.staged.plan import STAGES, StagedPlan, check_staged, read_staged
from smemnas.bench.staged.power import Foreseen, foresee
from smemnas.bench.staged.stages import Progress, StagesDone, opened, run_stages, trainings_in
from smemnas.bench.staged.trainings import training_rows
from smemnas.bench.studies.execution import study_lock
from smemnas.bench.values import parse_seeds, several
from smemnas.bench.workers.backends import Place

FILE = "experiment.json"
#: What may be given beside a plan of stages; everything else is written into its file.
TAKEN = {"plan", "spaces", "datasets", "seeds", "budget", "jobs", "timeout", "figures", "device", "out"}


class ExperimentFile(Strict, frozen=True):
    """`experiment.json`: what was registered before anything ran."""

    plan: StagedPlan
    sha256: str
    environment: dict[str, object]
    sum: str = ""


@dataclass(frozen=True, repr=False)
class Experiment:
    """A registered experiment and what came out.

    Attributes:
        folder: Where its files are: experiment.md, index.html, outcome.csv, trainings.csv, gate.json.
        plan: What was registered.
        found: Gate and searches.
        outcome: Primary and secondary outcomes; None where the gate stopped it.
        foreseen: What a simulation says of its size, arm by arm; empty where no table of the space is there.
    """

    folder: Path
    plan: StagedPlan
    found: StagesDone
    outcome: StagedOutcome | None
    foreseen: tuple[Foreseen, ...]

    def lines(self) -> list[str]:
        """Return what it says, one line each."""
        return answer(self.plan, self.found.gate, self.outcome, self.foreseen)

    def _repr_html_(self) -> str:
        return html_table((), [], title=f"{self!r}"[1:-1], notes=self.lines())

    def __repr__(self) -> str:
        return f"<Experiment on {self.plan.space}/{self.plan.dataset}, in {self.folder}>"


def staged_plan(options: StudyOptions) -> StagedPlan:
    """Return the plan of stages that options name, with what they replace of it, checked.

    Raises:
        UserError: It makes no sense, or an option does not belong to it.
    """
    plain = StudyOptions()
    for field in fields(StudyOptions):
        given, default = getattr(options, field.name), getattr(plain, field.name)
        if field.name not in TAKEN and given != default and (given or default):  # () is []
            raise UserError(
                f"{field.name} is not for a registered experiment: write it with --save-plan, and change its file."
            )
    plan = read_staged(options.plan)
    changes: dict[str, object] = {}
    for name in ("spaces", "datasets"):
        given = several(f"--{name}", getattr(options, name))
        if len(given) > 1:
            raise UserError(f"a registered experiment is on one of --{name}, got {len(given)}.")
        changes |= {name[:-1]: given[0]} if given else {}
    if options.seeds is not None:
        text = options.seeds
        changes["seeds"] = parse_seeds(text) if isinstance(text, str) else tuple(text)
    if options.budget is not None:
        changes |= {"budget": options.budget, "shared": min(plan.shared, options.budget)}
    return check_staged(msgspec.structs.replace(plan, **changes))


def experiment(
    options: StudyOptions, *, progress: Shown = False, say: Callable[[str], None] | None = None
) -> Experiment:
    """Run what is missing of a registered experiment, write its report and return it.

    One that was killed continues in the middle of a training when it is called again.

    Args:
        options: `plan` names it; `spaces`, `datasets` (one of each), `seeds` and `budget` replace what it says.
        progress: Show a bar for each stage on a terminal or in a notebook, or call this with (trainings done, all) of
            the stage.
        say: Called before the first training with each line on what is registered; None logs them.

    Raises:
        UserError: The plan makes no sense, or PyTorch (the extra 'train') is missing.
        DataError: The images are not there.
        RunError: The folder holds something else, was registered with another plan, or a search failed.
    """
    from smemnas.bench.train.devices import on_device

    with on_device(options.device):
        return _experiment(options, progress, say)


def _experiment(options: StudyOptions, progress: Shown, say: Callable[[str], None] | None) -> Experiment:
    """Do what `experiment` says."""
    plan, place = staged_plan(options), Place("loky", options.jobs, "", options.timeout)
    place.check()
    out = Path(options.out or Path("runs") / Path(options.plan).stem).expanduser()
    with trainings_in(out) as folder:
        benchmark = opened(plan, folder, None, place)
    register(out, plan)
    for line in _registered(plan):
        (say or logger.info)(line)
    with _bars(out, progress) as show:
        found = run_stages(plan, out, place, Progress(out, show))
    arms, n = plan.arms, len(plan.runs)
    foreseen = foresee(plan.space, found.gate.components.ratio.value, arms, budget=plan.budget, seeds=n)
    came_out = outcome(plan, found, benchmark.space)
    with study_lock(out):
        rows = training_rows(plan, found, benchmark.space, benchmark.folder)
        write_experiment(out, plan, found.gate, came_out, foreseen, rows)
    made = Experiment(out, plan, found, came_out, foreseen)
    logger.info("%r", made)
    return made


def register(out: Path, plan: StagedPlan) -> None:
    """Write down what will be done, before anything is; a folder keeps its one plan.

    Raises:
        RunError: The folder holds something else or another plan.
    """
    claim(out, EXPERIMENT)
    make_folder(out)
    file = out / FILE
    if file.exists():
        known = read(file, ExperimentFile, "choose another --out.")
        if known.plan.digest != plan.digest:
            raise RunError(
                f"{out} was registered with another plan (sha256 {known.sha256[:12]}..., this one "
                f"{plan.digest[:12]}...): choose another --out; SMEMNAS_TRAININGS lets both share their trainings."
            )
        return
    write_json(file, signed({"plan": plan.entry(), "sha256": plan.digest, "environment": environment()}))


def _registered(plan: StagedPlan) -> list[str]:
    """Return what is said before the first training."""
    arms = " against ".join((plan.arms[0].name, ", ".join(arm.name for arm in plan.arms[1:])))
    searched = len(plan.runs) * (plan.shared + len(plan.arms) * (plan.budget - plan.shared))
    return [
        f"registered: {arms}, hypervolume of the observed front by fresh trainings (plan sha256 {plan.digest[:12]}...)",
        f"stages: gate of {plan.gate.networks * plan.gate.seeds} trainings, search of at most {searched:,}, then the "
        "observed fronts anew",
    ]


@contextlib.contextmanager
def _bars(out: Path, progress: Shown) -> Iterator[Callable[[str, int, int], None]]:
    """Yield what is called with (stage, done, all): a bar for each stage, or a user's own function."""
    with contextlib.ExitStack() as stack:
        bars: dict[str, Counted | None] = {}

        def show(stage: str, done: int, of: int) -> None:
            if stage not in bars:
                stack.close()
                text = f"{stage} ({STAGES.index(stage) + 1} of {len(STAGES)}) in {out}"
                bars[stage] = stack.enter_context(shown_progress(text, progress))
            tell = bars[stage]
            if tell is not None:
                tell(done, of)

        yield show

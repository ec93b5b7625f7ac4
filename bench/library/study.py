"""A study: many runs and their tables, as the command `study` makes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from smemnas.bench.display import notebook_picture
from smemnas.bench.errors import UserError
from smemnas.bench.library.run import check_device_used
from smemnas.bench.log import logger
from smemnas.bench.report.study.files import failures, write_study
from smemnas.bench.report.terminal import Shown, shown_progress, shown_work
from smemnas.bench.studies.against import Basis, basis, opened, take_stored, with_new
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.execution import FAILED, State, record_plan, run_study, study_lock
from smemnas.bench.studies.frames import trials_frame
from smemnas.bench.studies.labels import Labels, labelled
from smemnas.bench.studies.plan import BUDGET, Plan, Variant, check_plan, make_cases, parts_of_time
from smemnas.bench.studies.published import PLANS
from smemnas.bench.studies.question import EFFECT, question_of, said, with_enough_seeds
from smemnas.bench.studies.shown import html
from smemnas.bench.studies.tables import Tables
from smemnas.bench.studies.trials import collect
from smemnas.bench.values import LARGEST_BUDGET, parse_numbers, parse_seeds, real, several, whole, whole_seconds
from smemnas.bench.workers.backends import Place
from smemnas.methods.start import check_start

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


#: Seeds as many as a study needs.
AUTO = "auto"


@dataclass(frozen=True)
class StudyOptions:
    """A comparison of methods over many seeds.

    Attributes:
        methods: Registered methods or presets, with their defaults.
        spaces: Spaces, data sets of them ("nb201/cifar100") or named problems.
        variants: Methods with parameters under names of their own, beside `methods`.
        plan: A named plan, or its TOML file; what is given beside it replaces what it says.
        add: Further methods beside those of the plan; the first of them is what the study is about.
        against: As `plan`, or an archive of runs: only the methods named here are run, those of the others are stored.
        archives: Archives to take runs from, by path or address; none takes what comes with a published plan, where
            `add` or `against` asks for it.
        datasets: Data sets: each space with those that it has.
        objectives: What to minimise; none takes each data set's defaults.
        constraints: What an architecture must satisfy, like "flops<=150".
        full_space: Search whole spaces where tables cover parts of them.
        reference: Ideal and nadir to measure by, like "error=0:20,flops=0:300".
        start: With what every method begins: "random", "uniform", "ends"; "" leaves each its own (`methods.start`).
        seeds: Numbers, or like "0-30"; "auto" takes as many as find a difference of `effect`; None takes the plan's,
            else 0 to 10.
        seeds_of: Name of a method or variant to fewer seeds.
        budget: Paid evaluations of a run; None takes the plan's, else 300, or as many as `budget_time` allows.
        budget_time: Training time that a run may spend, in seconds or like "2h"; 0 takes the plan's.
        baseline: The variant that the others are tested against; "" takes the first.
        champion: The variant that is tested against every other one.
        labels: A name to what tables and figures show instead, or texts like "smemnas/best=SMEM-NAS (ours)".
        at: Evaluations at which results are read off; None takes 50, 100 and 200. The budget is added. With
            `budget_time` they are times like "30m,1h"; None takes a quarter and half of it.
        target: Regret of the evaluations-to-target table; None takes the baseline's mean at the budget.
        jobs: Worker processes; 1 works in this process, None takes one per CPU.
        timeout: Seconds after which a run is ended and counted as failed.
        backend: "loky", "dask" or "ray".
        address: Of the Dask scheduler or the Ray head.
        effect: Mean paired difference of regret, in its standard deviations, that a study should find in 80 % of cases.
        part: Run only the k-th of n parts, (k, n).
        rerun: Clear and run again what cannot be used.
        figures: Write figures beside the tables.
        device: Where networks are trained or read, of an evaluator that does so: "auto", "cpu", "cuda" or "cuda:N".
        plugins: Plug-in files.
        out: Folder of the study; None takes "runs/study", or that of the plan's name.
    """

    methods: Sequence[str] = ()
    spaces: Sequence[str] = ()
    variants: Sequence[Variant] = ()
    plan: str = ""
    add: Sequence[str] = ()
    against: str = ""
    archives: Sequence[str] = ()
    datasets: Sequence[str] = ()
    objectives: Sequence[str] = ()
    constraints: Sequence[str] = ()
    full_space: bool = False
    reference: str = ""
    start: str = ""
    seeds: Iterable[int] | str | None = None
    seeds_of: Mapping[str, Iterable[int]] = field(default_factory=dict)
    budget: int | None = None
    budget_time: float | str = 0.0
    baseline: str = ""
    champion: str = ""
    labels: Labels = ()
    at: Sequence[int] | str | None = None
    target: float | None = None
    jobs: int | None = 1
    timeout: float | None = None
    backend: str = "loky"
    address: str = ""
    effect: float = EFFECT
    part: tuple[int, int] = (1, 1)
    rerun: bool = False
    figures: bool = True
    device: str = "auto"
    plugins: Sequence[str | Path] = ()
    out: str | Path | None = None


@dataclass(frozen=True, repr=False)
class Study:
    """What a study found.

    Attributes:
        folder: Where its runs, tables and figures are.
        tables: Its tables.
        states: What became of each of its runs in this call.
    """

    folder: Path
    tables: Tables
    states: Sequence[State]

    @property
    def plan(self) -> Plan:
        """What is compared."""
        return self.tables.plan

    @property
    def failed(self) -> bool:
        """Whether a run failed or cannot be used."""
        return FAILED in {*(state.status for state in self.states), *(trial.status for trial in self.tables.trials)}

    def frame(self) -> pd.DataFrame:
        """Return one row per run and checkpoint, see `trials_frame`."""
        return trials_frame(self.folder, self.plan)

    def plot(self, problem: int = 0) -> Figure:
        """Return a picture of mean regret against evaluations on one of the problems, by its position in the plan.

        Raises:
            UserError: There is no such problem, or no regret of it: no finished run, or no reference front.
        """
        from smemnas.bench.report.study.figures import draw_regret

        whole("problem", problem, 0, len(self.plan.cases) - 1)
        case = self.plan.cases[problem]
        if not any(known == case for known, _ in self.tables.curves):
            raise UserError(f"there is nothing to draw of {case}: no run is finished, or no reference front is known.")
        drawn: Figure = notebook_picture(lambda: draw_regret(self.tables, case))
        return drawn

    def _repr_html_(self) -> str:
        return html(self.tables, f"Study of {self.tables.summary()}", [f"in {self.folder}"])

    def __repr__(self) -> str:
        return f"<Study of {self.tables.summary()}, in {self.folder}>"


def study(options: StudyOptions, *, progress: Shown = False, say: Callable[[str], None] | None = None) -> Study:
    """Run what is missing of a study, write its tables and figures, and return them, as the command `study` does.

    A study that was killed continues when it is called again; a run that fails is a row with its reason, the others go
    on.

    Args:
        options: What to compare.
        progress: Show a bar on a terminal or in a notebook, or call this with (finished runs, runs).
        say: Called before the first run with each line on what is compared and what the seeds can show; None logs them.

    Raises:
        UserError: A name, number or combination makes no sense.
        DataError: A table is not installed.
        RunError: The folder holds something else or cannot be written.
    """
    from smemnas.bench.train.devices import on_device

    base = basis_of(options)
    base = base._replace(plan=_with_options(base.plan, options))
    check_device_used(options.device, (case.dataset for case in base.plan.cases))
    with on_device(options.device):
        return _study(options, base, progress, say)


def _study(options: StudyOptions, base: Basis, progress: Shown, say: Callable[[str], None] | None) -> Study:
    """Do what `study` says, of the plan that its options make."""
    plan = check_plan(base.plan)
    if options.seeds == AUTO:
        plan = with_enough_seeds(plan, options.effect)
    place = Place(options.backend, options.jobs, options.address, options.timeout)
    place.check()
    out = Path(options.out or Path("runs") / base.name).expanduser()
    named = labelled(plan, options.labels)
    record_plan(out, plan)
    with shown_work("reading the runs that are stored", progress):
        taken = take_stored(out, plan, base.archives, list(plan.jobs(*options.part)))
    if say is not None or logger.isEnabledFor(logging.INFO):
        question = question_of(named, taken.absent)
        for line in (*(said(question, options.effect) if question else ()), *taken.said):
            (say or logger.info)(line)
    with shown_progress(f"study in {out}", progress) as tell:
        states = run_study(taken.left, out, place=place, plugins=plan.plugins, progress=tell, rerun=options.rerun)
    with shown_work(f"comparing the runs in {out}", progress), study_lock(out):
        tables = tabulate(named, collect(named, out))
        write_study(out, tables)
        if options.figures:
            from smemnas.bench.report.study.figures import write_figures

            write_figures(out, tables)
    found = Study(out, tables, tuple(states))
    logger.info("%r", found)
    for text in failures(tables):
        logger.warning("%s", text)
    return found


def plan_of(options: StudyOptions) -> Plan:
    """Return the plan of some options, unchecked.

    Raises:
        UserError: Options do not go together.
    """
    return _with_options(basis_of(options).plan, options)


def basis_of(options: StudyOptions) -> Basis:
    """Return the plan that options start from, with the methods that they add, and the archives of its runs.

    Raises:
        UserError: Options do not go together.
        DataError: An archive cannot be read.
    """
    chosen = [*(Variant(name, name) for name in several("--methods", options.methods)), *options.variants]
    added = [Variant(name, name) for name in several("--add", options.add)]
    if options.against:
        if options.plan or added:
            raise UserError("--against brings the plan, and --methods what is new: leave out --plan and --add.")
        if not chosen:
            raise UserError("--against compares new methods with stored runs: name them with --methods or --variant.")
        base = basis(options.against, options.archives)
        if not base.archives:
            raise UserError(
                f"no runs of {options.against} come with this version: give --archive PATH, or run all of it with "
                f"--plan {options.against} --add {','.join(v.name for v in chosen)}."
            )
        plan = with_new(base.plan, chosen, stored_only=True)
        return base._replace(plan=plan, name=f"against-{base.name}")
    if options.plan:
        if chosen:
            raise UserError("--plan brings its own methods: leave out --methods and --variant, --add adds some.")
        base = basis(options.plan, options.archives)
        if added:
            return base._replace(plan=with_new(base.plan, added, stored_only=False))
        return base._replace(archives=()) if options.plan in PLANS and not options.archives else base
    if added:
        raise UserError("--add adds methods to those of a --plan: name new ones with --methods.")
    plan = Plan(tuple(chosen), (), tuple(range(11)), BUDGET)
    return Basis(plan, "study", opened(options.archives))


def _with_options(plan: Plan, options: StudyOptions) -> Plan:
    """Return a plan with what options replace of it."""
    spaces, datasets, objectives = (
        several(f"--{name}", getattr(options, name)) for name in ("spaces", "datasets", "objectives")
    )
    if spaces or datasets or objectives:
        wanted = spaces or tuple(dict.fromkeys(case.space for case in plan.cases))
        rules = {case.reference for case in plan.cases}
        rule = rules.pop() if len(rules) == 1 else ""  # a plan's rule holds elsewhere too
        made = make_cases(wanted, datasets, objectives)
        plan = replace(
            plan,
            cases=tuple(replace(case, reference=rule) for case in made),
            full_space=bool(plan.full_space),  # other cases than those that a stored plan says it of
        )
    seeds = options.seeds if options.seeds != AUTO else None
    seeds = parse_seeds(seeds) if isinstance(seeds, str) else seeds
    plan = replace(
        plan,
        seeds=plan.seeds if seeds is None else tuple(seeds),
        budget=plan.budget if options.budget is None else options.budget,
        baseline=options.baseline or plan.baseline,
        champion=options.champion or plan.champion,
        target=plan.target if options.target is None else real("--target", options.target),
        plugins=tuple(map(str, options.plugins)),
        full_space=options.full_space or plan.full_space,
    )
    if not (options.plan or options.against) or options.champion:  # a published plan says itself what it asks
        plan = replace(plan, primary=plan.champion or plan.baseline or next((v.name for v in plan.variants), ""))
    if options.seeds_of:
        plan = replace(plan, seeds_of={name: tuple(own) for name, own in options.seeds_of.items()})
    if options.constraints:
        limits = several("--constraint", options.constraints)
        plan = replace(plan, cases=tuple(replace(case, constraints=limits) for case in plan.cases))
    if options.reference:
        plan = replace(plan, cases=tuple(replace(case, reference=options.reference) for case in plan.cases))
    if options.start:
        start = check_start(options.start)
        plan = replace(plan, cases=tuple(replace(case, start=start) for case in plan.cases))
    if options.budget_time:
        time = whole_seconds("--budget-time", options.budget_time)
        count = options.budget or (plan.budget if plan.budget_time else LARGEST_BUDGET)
        plan = replace(plan, budget_time=time, budget=count, at=parts_of_time(time))
    if options.at is not None and plan.budget_time:
        times = options.at.split(",") if isinstance(options.at, str) else options.at
        plan = replace(plan, at=tuple(int(whole_seconds("--at", time)) for time in times))
    elif options.at is not None:
        at = parse_numbers("--at", options.at, plan.budget) if isinstance(options.at, str) else tuple(options.at)
        plan = replace(plan, at=at)
    return plan

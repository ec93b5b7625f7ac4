"""A ranking study: how well surrogates order unseen architectures, as the command `rank` measures it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smemnas.bench.benchmarks.catalog import evaluator_of
from smemnas.bench.errors import UserError
from smemnas.bench.log import logger
from smemnas.bench.ranking.data import Data, data_of
from smemnas.bench.ranking.plan import (
    N_TEST,
    N_TRAIN,
    RankPlan,
    check_plan,
    choose_variants,
    parse_draws,
    parse_n_test,
    parse_sizes,
)
from smemnas.bench.ranking.study import run_ranking
from smemnas.bench.ranking.tables import RankTables, collect, tabulate
from smemnas.bench.ranking.trial import SurrogateVariant
from smemnas.bench.report.ranking.files import failures, write_ranking
from smemnas.bench.report.terminal import Shown, shown_progress, shown_work
from smemnas.bench.values import several
from smemnas.bench.workers.backends import Place


@dataclass(frozen=True)
class RankOptions:
    """A ranking study.

    Attributes:
        space: Registered space.
        dataset: Data set of the space; "" takes its default.
        objective: What is ranked; "" takes the data set's error.
        surrogates: Names, or the groups "core", "all" and "proxies".
        variants: Surrogates with parameters under names of their own.
        encodings: "best", "all" or names; "a+b" puts two side by side.
        proxies: Zero-cost proxies to measure: "all", or names with commas between them.
        proxy_data: What they are measured on.
        with_proxies: Append the zero-cost proxies to every encoding.
        sample: Architectures that stand for the space; 0 takes all.
        n_train: Training sizes.
        seeds: Draws, or like "10", "0-4".
        pools: "uniform", "front" or both.
        n_test: Size of the uniform pool, or "half".
        split: "genotype", or "graph", where no isomorphic twin of a training architecture is ranked.
        full: Add the expensive surrogates to the groups.
        contrasts: Pairs of surrogates, of which the difference is shown.
        calibration: Measure win probabilities, which costs two more fits.
        jobs: Worker processes; 1 works in this process, None takes one per CPU.
        timeout: Seconds after which a trial is ended and counted as failed.
        backend: "loky", "dask" or "ray".
        address: Of the Dask scheduler or the Ray head.
        figures: Write figures beside the tables.
        plugins: Plug-in files.
        out: Folder of the study; None takes "runs/rank/SPACE-DATASET".
    """

    space: str
    dataset: str = ""
    objective: str = ""
    surrogates: Sequence[str] = ("core",)
    variants: Sequence[SurrogateVariant] = ()
    encodings: Sequence[str] = ("best",)
    proxies: str = ""
    proxy_data: str = ""
    with_proxies: bool = False
    sample: int = 0
    n_train: Sequence[int] | str = N_TRAIN
    seeds: Iterable[int] | str = range(10)
    pools: Sequence[str] = ("uniform",)
    n_test: int | str = N_TEST
    split: str = "genotype"
    full: bool = False
    contrasts: Sequence[tuple[str, str]] = ()
    calibration: bool = True
    jobs: int | None = 1
    timeout: float | None = None
    backend: str = "loky"
    address: str = ""
    figures: bool = True
    plugins: Sequence[str | Path] = ()
    out: str | Path | None = None


@dataclass(frozen=True, repr=False)
class Ranking:
    """What a ranking study found.

    Attributes:
        folder: Where its log, tables and figures are.
        tables: Its tables.
    """

    folder: Path
    tables: RankTables

    @property
    def failed(self) -> bool:
        """Whether a trial failed."""
        return any(trial.status == "failed" for trial in self.tables.trials)

    def _repr_html_(self) -> str:
        return self.tables.html(f"Ranking of {self.tables.summary()}", [f"in {self.folder}"])

    def __repr__(self) -> str:
        return f"<Ranking of {self.tables.summary()}, in {self.folder}>"


def rank(options: RankOptions, *, progress: Shown = False) -> Ranking:
    """Run what is missing of a ranking study, write its tables and figures and return them, as the command `rank` does.

    Args:
        options: What to rank.
        progress: Show a bar on a terminal or in a notebook, or call this with (trials done, trials).

    Raises:
        UserError: A name, number or combination makes no sense.
        DataError: The table is not installed.
        RunError: The folder holds something else, is in use or cannot be written.
    """
    place = Place(options.backend, options.jobs, options.address, options.timeout)
    place.check()
    plan, data, contrasts = _plan_of(options)
    plan = check_plan(plan, data, contrasts)
    out = _folder_of(options, data.benchmark.dataset)
    with shown_progress(f"ranking study in {out}", progress) as tell:
        log, encodings = run_ranking(plan, data, out, place=place, progress=tell)
    with shown_work(f"comparing the orders in {out}", progress):
        tables = tabulate(replace(plan, dataset=data.benchmark.dataset), data, collect(plan, data, log, encodings))
        write_ranking(out, tables)
        if options.figures:
            from smemnas.bench.report.ranking.figures import write_figures

            write_figures(out, tables)
    found = Ranking(out, tables)
    logger.info("%r", found)
    for text in failures(tables):
        logger.warning("%s", text)
    return found


def _folder_of(options: RankOptions, dataset: str) -> Path:
    if options.out is not None:
        return Path(options.out).expanduser()
    return Path("runs") / "rank" / f"{options.space}-{dataset}"


def _plan_of(options: RankOptions) -> tuple[RankPlan, Data, list[tuple[str, str]]]:
    """Return the plan of some options, unchecked, what it ranks, and the contrasts asked for.

    Raises:
        UserError: Options do not go together, or a name is unknown.
    """
    if options.proxy_data and not options.proxies:
        raise UserError("--proxy-data belongs to --proxies.")
    sizes = parse_sizes(options.n_train) if isinstance(options.n_train, str) else tuple(options.n_train)
    if options.sample and (not sizes or max(sizes) + 10 > options.sample):
        given = ",".join(map(str, sizes))
        raise UserError(f"--sample must leave 10 to rank beside --n-train {given}, got {options.sample}.")
    folder = ""
    if options.dataset and evaluator_of(options.dataset):  # it keeps its trainings there
        folder = str(_folder_of(options, options.dataset).resolve())
    source = options.space, options.dataset, options.objective, options.proxies, options.proxy_data, options.sample
    data = data_of(*source, folder)
    variants = choose_variants(data, several("--surrogates", options.surrogates), options.full)
    contrasts = []
    for pair in options.contrasts:
        if isinstance(pair, str) or len(pair) != 2:
            raise UserError(f"--contrast takes two names A,B, got {pair!r}.")
        contrasts.append((pair[0], pair[1]))
    plan = RankPlan(
        options.space,
        options.dataset,
        options.objective,
        (*variants, *options.variants),
        several("--encodings", options.encodings),
        sizes,
        parse_draws(options.seeds) if isinstance(options.seeds, str) else tuple(options.seeds),
        several("--pool", options.pools),
        parse_n_test(options.n_test, len(data.X)) if isinstance(options.n_test, str) else options.n_test,
        options.split,
        options.with_proxies,
        options.calibration,
        plugins=tuple(str(Path(p).expanduser().resolve()) for p in options.plugins),
        proxies=options.proxies,
        proxy_data=options.proxy_data,
        sample=options.sample,
        folder=folder,
    )
    return plan, data, contrasts

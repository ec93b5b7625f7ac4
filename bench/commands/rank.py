"""`rank`: how well surrogates order unseen architectures."""

from __future__ import annotations

from pathlib import Path

import click

from smemnas.bench.commands.common import FOLDER, JOBS, NAMES, SAMPLE, Command, parse_params
from smemnas.bench.errors import UserError
from smemnas.bench.program import named
from smemnas.bench.values import names


@click.command("rank", cls=Command)
@click.option("--space", required=True, help="Registered search space.")
@click.option("--dataset", help="Data set of the space; its default is shown by `list data`.")
@click.option("--objective", default="", help="What is ranked.  [default: the data set's error]")
@click.option(
    "--surrogates",
    type=NAMES,
    default="core",
    show_default=True,
    metavar="A,B",
    help="Names, or the groups core, all, proxies (params, flops and zero-cost proxies, without training).",
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME=SURROGATE:PARAM=VALUE,...",
    help="A surrogate with parameters under a name of its own; repeatable.",
)
@click.option(
    "--encodings",
    type=NAMES,
    default="best",
    show_default=True,
    metavar="best|all|A,B",
    help="best: for each surrogate the best one on development draws; a+b puts two side by side.",
)
@click.option(
    "--proxies",
    default="",
    metavar="all|A,B",
    help="Zero-cost proxies to measure, each a baseline proxy:A: synflow, nwot, grad_norm, jacob_cov (extra 'train').",
)
@click.option(
    "--proxy-data",
    default="",
    metavar="DATA+KEY=VALUE+...",
    help="What they are measured on: images, then channels, cells, width, size, batch, seed.  [default: the images "
    "that the data set trains on, else digits]",
)
@click.option("--with-proxies", is_flag=True, help="Append the zero-cost proxies, or the table's, to every encoding.")
@click.option(
    "--sample",
    type=SAMPLE,
    default=0,
    metavar="N",
    help="Let N architectures stand for the space; needed where every value is a training.  [default: all]",
)
@click.option("--n-train", default="20,50,100,200,400,800", show_default=True, metavar="N,N", help="Training sizes.")
@click.option("--seeds", default="10", show_default=True, metavar="N", help="A number of seeds, or 0-4, or 3,7.")
@click.option(
    "--pool", "pools", type=NAMES, default="uniform", show_default=True, metavar="uniform|front", help="Or both: A,B."
)
@click.option("--n-test", default="1000", show_default=True, metavar="N|half", help="Size of the uniform pool.")
@click.option(
    "--split",
    "split_kind",
    default="genotype",
    show_default=True,
    metavar="genotype|graph",
    help="graph: no isomorphic twin of a training architecture is ranked.",
)
@click.option("--full", is_flag=True, help="Add the expensive surrogates to core and all.")
@click.option("--contrast", "contrasts", multiple=True, metavar="A,B", help="Also show A minus B; repeatable.")
@click.option("--no-calibration", is_flag=True, help="Skip the win probabilities, which cost two more fits.")
@click.option("--no-figures", is_flag=True, help="Tables only.")
@click.option(
    "--jobs",
    "n_jobs",
    type=JOBS,
    help="Worker processes, never more than trials or four per CPU.  [default: one per CPU]",
)
@click.option(
    "--out",
    type=FOLDER,
    help="Folder of the study.  [default: runs/rank/SPACE-DATASET]",
)
@click.option("--quiet", is_flag=True, help="No progress bar and no tables.")
@click.pass_obj
def rank_command(
    plugins: tuple[str, ...],
    space: str,
    dataset: str | None,
    objective: str,
    surrogates: tuple[str, ...],
    variants: tuple[str, ...],
    encodings: tuple[str, ...],
    proxies: str,
    proxy_data: str,
    with_proxies: bool,
    sample: int,
    n_train: str,
    seeds: str,
    pools: tuple[str, ...],
    n_test: str,
    split_kind: str,
    full: bool,
    contrasts: tuple[str, ...],
    no_calibration: bool,
    no_figures: bool,
    n_jobs: int | None,
    out: Path | None,
    quiet: bool,
) -> None:
    """Measure how well surrogates order architectures that they have not seen.

    Each trial trains a surrogate on n architectures (on the searched column) and ranks others; no architecture is
    on both sides. All surrogates see the same split, larger training sets contain the smaller ones, and trials
    are paired by seed. The uniform pool are unseen architectures drawn uniformly, the front pool those within the
    first 5 % of the non-dominated fronts of (truth, flops).

    Runs what is missing in the folder, so a study that was killed continues when the same command is given again,
    and surrogates, sizes and seeds can be added later. Writes ranking.md, ranking.csv, ranking.tex, trials.csv,
    contrasts.csv, times.csv and figures. The exit status is 1 where a trial failed.

    \b
    Examples:
      python -m smemnas rank --space nb201 --surrogates core
      python -m smemnas rank --space nb201 --dataset cifar10 --surrogates core --encodings best \\
          --n-train 20,50,100,200,400,800 --seeds 10 --pool uniform,front --jobs 2 --out studies/rank-nb201
      python -m smemnas rank --space nb201 --dataset cifar10 --surrogates kernel_pairwise,kernel_ridge_rank \\
          --n-train 78,390,781 --n-test half --seeds 20
      python -m smemnas rank --space macro --surrogates kernel_pairwise --encodings all \\
          --variant mean=kernel_pairwise:readout=mean --contrast kernel_pairwise,mean
      python -m smemnas rank --space nb201 --dataset cifar10 --proxies all --proxy-data digits+channels=4+cells=1
      python -m smemnas rank --space nb201 --dataset train+digits+tiny+channels=4 --sample 60 --n-train 20,30 \\
          --n-test 30 --proxies all --out runs/rank-trained
    """
    from dataclasses import replace

    from smemnas.bench.benchmarks.catalog import evaluator_of
    from smemnas.bench.commands.study_text import split_variant
    from smemnas.bench.ranking.data import data_of
    from smemnas.bench.ranking.plan import RankPlan, check_plan, choose_variants, parse_draws, parse_n_test, parse_sizes
    from smemnas.bench.ranking.study import run_ranking
    from smemnas.bench.ranking.tables import collect, tabulate
    from smemnas.bench.ranking.trial import Variant
    from smemnas.bench.report.ranking.figures import write_figures
    from smemnas.bench.report.ranking.files import failures, print_ranking, write_ranking
    from smemnas.bench.report.terminal import console, progress_bar

    if proxy_data and not proxies:
        raise click.UsageError("--proxy-data belongs to --proxies.")
    sizes = parse_sizes(n_train)
    if sample and (not sizes or max(sizes) + 10 > sample):
        raise UserError(f"--sample must leave 10 to rank beside --n-train {n_train}, got {sample}.")
    folder = ""
    if dataset and evaluator_of(dataset):
        out = out or Path("runs") / "rank" / f"{space}-{dataset}"
        folder = str(out.resolve())
    data = data_of(space, dataset or "", objective, proxies, proxy_data, sample, folder)
    chosen = choose_variants(data, surrogates, full)
    for name, surrogate, items in map(split_variant, variants):
        chosen = (*chosen, Variant(name, surrogate, parse_params(items, "--variant")))
    pairs = []
    for text in contrasts:
        members = names("--contrast", text)
        if len(members) != 2:
            raise UserError(f"--contrast takes two names A,B, got {text!r}.")
        pairs.append((members[0], members[1]))
    plan = RankPlan(
        space,
        dataset or "",
        objective,
        chosen,
        encodings,
        sizes,
        parse_draws(seeds),
        pools,
        parse_n_test(n_test, len(data.X)),
        split_kind,
        with_proxies,
        not no_calibration,
        plugins=tuple(str(Path(p).expanduser().resolve()) for p in plugins),
        proxies=proxies,
        proxy_data=proxy_data,
        sample=sample,
        folder=folder,
    )
    plan = check_plan(plan, data, pairs)
    out = out or Path("runs") / "rank" / f"{space}-{data.benchmark.dataset}"
    with progress_bar(f"ranking study in {out}", quiet) as progress:
        log, encodings_of = run_ranking(plan, data, out, n_jobs=n_jobs, progress=progress)
    tables = tabulate(replace(plan, dataset=data.benchmark.dataset), data, collect(plan, data, log, encodings_of))
    write_ranking(out, tables)
    if not no_figures:
        write_figures(out, tables)
    if quiet:
        for line in failures(tables):
            click.echo(named(line), err=True)
    else:
        print_ranking(tables, out, console(), figures=not no_figures)
    if any(trial.status == "failed" for trial in tables.trials):
        raise SystemExit(1)

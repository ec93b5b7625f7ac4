"""`rank`: how well surrogates order unseen architectures."""

from __future__ import annotations

from pathlib import Path

import click

from smemnas.bench.commands.common import FOLDER, NAMES, SAMPLE, Command, parse_params, place_options
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
@place_options("trial")
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
    timeout: float | None,
    backend: str,
    address: str,
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
    from smemnas.bench.commands.study_text import split_variant
    from smemnas.bench.library.rank import RankOptions, rank
    from smemnas.bench.ranking.plan import parse_draws, parse_sizes
    from smemnas.bench.ranking.trial import SurrogateVariant
    from smemnas.bench.report.ranking.files import failures, print_ranking
    from smemnas.bench.report.terminal import console

    if proxy_data and not proxies:
        raise click.UsageError("--proxy-data belongs to --proxies.")
    chosen = [
        SurrogateVariant(name, surrogate, parse_params(items, "--variant"))
        for name, surrogate, items in map(split_variant, variants)
    ]
    options = RankOptions(
        space=space,
        dataset=dataset or "",
        objective=objective,
        surrogates=surrogates,
        variants=chosen,
        encodings=encodings,
        proxies=proxies,
        proxy_data=proxy_data,
        with_proxies=with_proxies,
        sample=sample,
        n_train=parse_sizes(n_train),
        seeds=parse_draws(seeds),
        pools=pools,
        n_test=n_test,
        split=split_kind,
        full=full,
        contrasts=[_pair(text) for text in contrasts],
        calibration=not no_calibration,
        jobs=n_jobs,
        timeout=timeout,
        backend=backend,
        address=address,
        figures=not no_figures,
        plugins=plugins,
        out=out,
    )
    found = rank(options, progress=not quiet)
    if quiet:
        for line in failures(found.tables):
            click.echo(named(line), err=True)
    else:
        print_ranking(found.tables, found.folder, console(), figures=not no_figures)
    if found.failed:
        raise SystemExit(1)


def _pair(text: str) -> tuple[str, str]:
    """Turn "A,B" into two names.

    Raises:
        UserError: It has another form.
    """
    members = names("--contrast", text)
    if len(members) != 2:
        raise UserError(f"--contrast takes two names A,B, got {text!r}.")
    return members[0], members[1]

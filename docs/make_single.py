"""Write docs/results/single, searches for one objective: `python docs/make_single.py [RUNS ...] [--recorded COMMIT]`.

With RUNS, folders of studies or archives of the plan `single`, the CSV files of that folder are made first, as
docs/make_main.py does. Then the page and its picture, from these files alone. --recorded: the commit that holds the
page, which its line on versions names. A test compares.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from main_data import collected
from make_kept import with_kept
from make_main import keep, record, times
from pages import RESULTS, listed, recorded_in, table
from published import (
    ACCURACIES,
    LARGEST_ACCURACY,
    LOCAL_SEARCH,
    LOCAL_SEARCH_EVALUATIONS,
    NAS_BENCH_201,
    SIMULATED,
)
from single_figure import Bar, figure
from single_words import CHANCE, Single, answer, said, shown_median

from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.report.cells import number, span
from smemnas.bench.studies.incumbents import MARGINS, TESTED
from smemnas.bench.studies.information import TOLD

NAME = "single"
FOLDER = RESULTS / NAME
FIGURE = "single.svg"
#: Words of the answer: what can be read before the picture in a minute.
LONGEST = 120
#: Our names of the methods whose accuracies are published.
NAMES = {"regularised evolution": "rea", "REINFORCE": "reinforce", "random search": "random"}


def page(folder: Path) -> str:
    """Return the text of the page from the files of its folder.

    Raises:
        SystemExit: The answer is too long to be read in a minute.
    """
    s = Single(folder)
    short = " ".join(answer(s))
    if len(short.split()) > LONGEST:
        raise SystemExit(f"the answer has {len(short.split())} words, at most {LONGEST}")
    caption = (
        f"Evaluations until a run has a network within {TESTED:g} points of the least error: median with its 95 % "
        f"interval, an arrow where that is beyond the budget; methods by their mean rank, the soonest first."
    )
    lines = ["# Which method for one objective?", "", s.made, "", short, "", f"![{caption}]({FIGURE})", "", caption, ""]
    lines += [*errors(s), *how(s), *caveats(s), *published(s), *tested(s), *arrivals(s), *times(s)]
    return with_kept("\n".join(lines), folder)


def picture_of(folder: Path) -> str:
    """Return the picture from the files of a folder."""
    s = Single(folder)
    panels = {p: {n: Bar(s.median(p, n, TESTED), _kind(s, n)) for n in s.by_speed} for p in s.problems}
    title = f"Evaluations until {TESTED:g} points from the optimum"
    return figure(title, f"evaluations to within {TESTED:g} points", s.at, panels)


def _kind(s: Single, name: str) -> str:
    return "random search" if name == CHANCE else "ours" if s.methods[name][1] else "others"


def errors(s: Single) -> list[str]:
    """Return the table: distance from the optimum with the verdict, and the runs that are there."""
    rows = []
    for name, (track, _) in s.methods.items():
        cells = []
        for problem in s.problems:
            reached, runs = s.reached(problem, name, 0.0)
            gap = s.interval(problem, name, "above_optimum")
            sign, shown = s.true_verdict(problem, name), s.verdict(problem, name)
            sign += f" (shown: {shown})" if shown != sign else ""
            cells.append(f"{_with_limits(gap, 3)} {sign}".rstrip() + f", {reached}/{runs}")
        rows.append([f"`{name}` {track}", *cells])
    return [
        f"Points of error above the least one after {s.end} evaluations, mean with its 95 % interval; runs that have "
        f"it. `{s.champion_name}` is + better, - worse, = not told apart, ? too few pairs. The sign is that of the "
        "primary comparison, of the error that was shown; where a search sees one training of several, that of true "
        "errors, and in brackets what the one training says, where that is something else.",
        "",
        *table(("method, track", *s.problems), rows),
    ]


def _with_limits(x: Interval, digits: int) -> str:
    return number(x.value, digits) + ("" if math.isnan(x.low) else f" {span(x, digits)}")


def how(s: Single) -> list[str]:
    """Return how it was measured."""
    runs = sum(len(v) for (_, _, column), v in s.values.items() if column == "seconds")
    seeds = sorted({seed for v in s.values.values() for seed in v})
    size = next(row["family_size"] for row in s.champion if row["family"] == "primary")
    told = "; ".join(f"{track}: {text}" for track, text in TOLD.items())
    earlier = "; ".join(f"after {at}, lower in {said(s.verdicts(at=at))}" for at in s.at[:-1])
    return [
        "## How it was measured",
        "",
        f"`study --plan {NAME}`: {len(s.methods)} methods on {len(s.problems)} problems, seeds {seeds[0]} to "
        f"{seeds[-1]}, {s.end} evaluations, {runs:,} runs. Written by `python docs/make_single.py` from "
        "[study.csv](study.csv), [champion.csv](champion.csv), [incumbents.csv](incumbents.csv) and "
        "[runs.csv](runs.csv); what the words mean stands in [study.md](study.md), why each method stands in the plan "
        f"(bench/studies/plans/{NAME}.toml).",
        "",
        "A run hands over the network that showed the least error; here its true error counts, averaged over the "
        "trainings of the table, and the least one of the whole table is the optimum. "
        f"The primary comparison, stated before the runs: exact paired signed-rank tests of the error that was shown, "
        f"`{s.champion_name}` against each other method at the budget, Holm over {size}. Everything else is "
        f"secondary: {earlier}.",
        "",
        f"Tracks: {told}. Of the methods that are not ours, `{s.champion_name}` has a lower error than them in "
        f"{said(s.verdicts(foreign=True))}.",
        "",
    ]


def caveats(s: Single) -> list[str]:
    """Return what must be kept in mind."""
    ours = [name for name, (_, own) in s.methods.items() if own]
    full = [
        f"{p} ({sum(r == n for r, n in (s.reached(p, m, 0.0) for m in s.methods))} of {len(s.methods)} methods)"
        for p in s.problems
    ]
    return [
        "## Caveats",
        "",
        "* **Settings were not searched for one objective**, for no method: those of others are published ones or "
        "defaults; ours are presets that were made for two objectives. [Tuning](../../tuning.md) is of two.",
        f"* Ours ({listed(ours)}) were developed on these very problems with two objectives, on other seeds: an "
        "advantage that the others do not have. An expert encoding is one too: compare within a track.",
        f"* Small tables are soon exhausted: in every run the optimum is found on {', '.join(full)}. Where both sides "
        "are there, no test can tell them apart, and how soon they are says more. A lead here need not last on large "
        "spaces.",
        "* On macro each search sees one training of three, and its luck decides among near ones. macro and nats_sss "
        "have one split, of test images, so that their searches see what is reported; on nb201 it is another one, and "
        "on CIFAR-10 of networks trained on twice as many images.",
        "* Times depend on the machine, and were taken while it did other work.",
        "",
    ]


def published(s: Single) -> list[str]:
    """Return what others published, beside ours."""
    rows = []
    place = "nb201/cifar100"
    if place in s.problems:
        link = f"[White et al.]({LOCAL_SEARCH})"
        for name in ("local-search", "local-search/authors"):
            if name in s.methods:
                reached, runs = s.reached(place, name, 0.0)
                ours = f"median {shown_median(s.median(place, name, 0.0), s.end)}, {reached} of {runs} runs there"
                what = "evaluations to the optimum, mean"
                rows.append([link, place, f"`{name}`", what, str(LOCAL_SEARCH_EVALUATIONS), ours])
    place = "nb201/cifar10"
    if place in s.problems:
        link = f"[Dong and Yang]({NAS_BENCH_201})"
        what = f"test accuracy (%), {SIMULATED}"
        for title, name in NAMES.items():
            if name in s.methods:
                tested = 100.0 - s.interval(place, name, "reported").value
                rows.append([link, place, f"`{name}`", what, f"{ACCURACIES[title]:.2f}", number(tested, 2)])
        best = 100.0 - float(s.found(place, s.champion_name)["reported_floor"])
        rows.append([link, place, "best possible", "test accuracy (%)", f"{LARGEST_ACCURACY:.2f}", number(best, 2)])
    if not rows:
        return []
    return [
        "## Published",
        "",
        *table(("source", "problem", "method", "what", "published", f"here, {s.end} evaluations"), rows, words=4),
        "Quoted, not measured here, and not the same: others' budgets, starts and (Dong and Yang) values of short "
        "trainings that guide the search. White et al.: abstract of the first version.",
        "",
    ]


def tested(s: Single) -> list[str]:
    """Return the table of reported errors with its tests."""
    rows = []
    for name, (track, _) in s.methods.items():
        cells = [
            f"{_with_limits(s.interval(p, name, 'reported'), 2)} {s.verdict(p, name, 'reported')}".rstrip()
            for p in s.problems
        ]
        rows.append([f"`{name}` {track}", *cells])
    floor = [number(float(s.found(p, s.champion_name)["reported_floor"]), 2) for p in s.problems]
    rows.append(["the optimum itself", *floor])
    return [
        "## Test error",
        "",
        f"Of the network that showed the least error after {s.end} evaluations (%; mean, interval, and as above "
        f"whether `{s.champion_name}` is better: lower in {said(s.verdicts('reported'))}). Where a table has one "
        "split it is the mean over its trainings. Less than the optimum's own is luck of the split.",
        "",
        *table(("method, track", *s.problems), rows),
    ]


def arrivals(s: Single) -> list[str]:
    """Return the tables of evaluations to within each margin."""
    test = f"sooner_{TESTED:g}"
    lines = ["## How soon", ""]
    lines += [
        "Median evaluations with its exact interval, and runs that get there. Within "
        f"{TESTED:g} points `{s.champion_name}` is sooner (+), later (-) or neither: fewer evaluations in "
        f"{said(s.verdicts(test)).replace('higher', 'more')}.",
        "",
    ]
    for margin in MARGINS:
        rows = []
        for name, (track, _) in s.methods.items():
            cells = [_arrival(s, p, name, margin, test if margin == TESTED else "") for p in s.problems]
            rows.append([f"`{name}` {track}", *cells])
        lines += [f"Within {margin:g} points:" if margin else "To the optimum:", ""]
        lines += table(("method, track", *s.problems), rows)
    return lines


def _arrival(s: Single, problem: str, name: str, margin: float, test: str) -> str:
    median, (reached, runs) = s.median(problem, name, margin), s.reached(problem, name, margin)
    limits = ""
    if not math.isnan(median.low):
        limits = f" [{', '.join(shown_median(Interval(v, v, v), s.end) for v in median[1:])}]"
    sign = s.verdict(problem, name, test) if test else ""
    return f"{shown_median(median, s.end)}{limits} {sign}".rstrip() + f", {reached}/{runs}"


def main(arguments: Sequence[str]) -> None:
    """Make the page as the command line says."""
    sources = list(arguments)
    recorded = recorded_in(sources)
    if sources:
        made, version = collected(sources)
        keep(FOLDER, made, version)
    if recorded:
        record(FOLDER, recorded)
    (FOLDER / FIGURE).write_text(picture_of(FOLDER), encoding="utf-8")
    (FOLDER / "README.md").write_text(page(FOLDER), encoding="utf-8")
    for file in FOLDER.glob("*.md"):
        file.write_text(with_kept(file.read_text(encoding="utf-8"), FOLDER), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

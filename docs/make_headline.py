"""Write docs/results/headline, the registered experiment: `python docs/make_headline.py [FOLDER] [--recorded COMMIT]`.

With FOLDER, that of the experiment once it has ended, the data files are taken from there first. Then, from these files
alone: the page and its picture, and what docs/results/README.md and docs/training.md say of it. Without either there is
nothing to say, and they say that. --recorded: the commit that holds the page. A test compares.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from statistics import fmean

from headline_data import MADE, Experiment, collected
from headline_figure import figure
from headline_words import first_sentence, limits, prediction, second_sentence, signed, third_sentence, verdict
from make_kept import with_kept
from make_main import record
from pages import RESULTS, recorded_in, table

from smemnas.bench.metrics.intervals import Interval
from smemnas.bench.metrics.statistics import SIGNIFICANCE
from smemnas.bench.report.cells import number, p_value
from smemnas.bench.staged.outcome import ArmPair
from smemnas.bench.staged.plan import STAGED

NAME = "headline"
FOLDER = RESULTS / NAME
FIGURE = "headline.svg"
#: Words of the answer: what can be read before the picture in a minute.
LONGEST = 120
#: Pages with a section on it, and how they reach it.
BEGIN, END = "<!-- headline: python docs/make_headline.py -->\n", "<!-- headline: end -->"
MENTIONS = {
    RESULTS / "README.md": "headline/README.md",
    RESULTS.parent / "training.md": "results/headline/README.md",
    RESULTS.parents[1] / "README.md": "docs/results/headline/README.md",
}


def answer(e: Experiment) -> list[str]:
    """Return the three sentences."""
    return [first_sentence(e), second_sentence(e), third_sentence(e)]


def page(folder: Path) -> str:
    """Return the text of the page from the files of its folder.

    Raises:
        SystemExit: The answer is too long to be read in a minute.
    """
    e = Experiment(folder)
    short = " ".join(answer(e))
    lines = ["# Does a search beat chance when every number is a training?", "", e.made, "", short, ""]
    if len(short.split()) > LONGEST:
        raise SystemExit(f"the answer has {len(short.split())} words, at most {LONGEST}")
    caption = (
        "Above: hypervolume of the fronts of each seed, by fresh trainings judged on test images. Below: effects with "
        "95 % intervals, beside what was predicted and what was simulated with the gate's noise."
    )
    lines += [f"![{caption}]({FIGURE})", "", caption, ""]
    lines += [*outcomes(e), *gate(e), *prediction(e), *surrogates(e), *measured(e), *caveats(e)]
    return with_kept("\n".join(lines), folder)


def outcomes(e: Experiment) -> list[str]:
    """Return the table of primary and secondary outcomes."""
    n = len(e.plan.runs)
    rows = [_row("hypervolume of fresh trainings (**primary**)", [r.mean for r in e.volumes], e.primary, n, 3)]
    for k, (cap, pair) in enumerate(zip(e.plan.caps, e.secondary, strict=True)):
        means = [row.mean for row in e.caps[2 * k : 2 * k + 2]]
        rows.append(_row(f"fresh error (%) at {e.plan.cost} <= {cap:g} M", means, pair, n, 2, larger_is_better=False))
    flattered = [number(row.mean.value, 3) for row in e.observed]
    rows.append(["hypervolume by the searched values", *flattered, "", "", "", "judges nothing"])
    head = ("outcome", *e.arms, "difference", "d", "p (Holm)", f"{e.arms[0]} is")
    return [
        *table(head, rows),
        f"Differences are {e.arms[0]} minus {e.arms[1]}, paired by seed, with 95 % intervals; d in standard deviations "
        "of the paired differences. Exact signed-rank tests: the primary one alone, the errors as a family of their "
        "own. Values of every seed: [experiment.md](experiment.md).",
        "",
    ]


def _row(
    what: str, means: list[Interval], pair: ArmPair, seeds: int, digits: int, larger_is_better: bool = True
) -> list[str]:
    """Return an outcome's row; seeds that an arm has no value for are left out, and it says so."""
    fewer = f" ({pair.n} of {seeds} seeds)" if pair.n < seeds else ""
    return [
        what + fewer,
        *(number(mean.value, digits) for mean in means),
        f"{signed(pair.difference.value, digits)} [{limits(pair.difference, digits, '+')}]",
        f"{signed(pair.d.value, 2)} [{limits(pair.d, 2, '+')}]",
        p_value(pair.p_holm),
        verdict(pair, larger_is_better),
    ]


def gate(e: Experiment) -> list[str]:
    """Return what the first stage measured."""
    g, c = e.gate, e.gate.components
    n, k = g.errors.shape
    low = f"{g.costs.min():.2f} to {g.costs.max():.2f}"
    text = (
        f"{n} networks of one cost ({low} M {g.cost}), {k} trainings each, before anything was searched "
        f"([gate.json](gate.json)): standard deviation between architectures {c.architecture:.2f} points of validation "
        f"error, between trainings of one {c.seed:.2f}; **ratio {c.ratio.value:.2f}** (95 % interval "
        f"{limits(c.ratio, 2)}), of which the plan asks at least {g.stage.ratio:g}. A training took "
        f"{g.typical_seconds:.1f} s (median)."
    )
    if c.ratio.low < 1.0:
        text += " The interval holds ratios below 1: that architectures differ more than trainings do is not certain."
    return ["## The gate", "", text, ""]


def surrogates(e: Experiment) -> list[str]:
    """Return the table of taus."""
    if not e.taus:
        return []
    first = e.taus[0].surrogate
    rows = []
    for row in e.taus:
        lead = "" if row.surrogate == first else f"{row.ahead.value:+.3f} [{limits(row.ahead, 3, '+')}]"
        tau = f"{row.mean.value:.3f} [{limits(row.mean, 3)}]"
        rows.append([f"`{row.surrogate}`", str(row.n), tau, lead])
    draws, ordered = len(e.taus[0].values), e.taus[0].ordered
    return [
        "## Order of the trained networks (secondary)",
        "",
        f"All {e.networks} networks of the searches: a surrogate learns some of them and orders {ordered} others; "
        f"Kendall's tau, {draws} random divisions, 95 % intervals.",
        "",
        *table(("surrogate", "learned", "tau", f"`{first}` ahead by"), rows),
        "The intervals are over divisions of this one pool, which overlap: they say how sure the order is on these "
        "networks, not on others. The pool is what the searches asked for, more of it near the front.",
        "",
    ]


def measured(e: Experiment) -> list[str]:
    """Return how it was measured."""
    counts = Counter(row["stage"] for row in e.trainings)
    hours = sum(float(row["seconds"]) for row in e.trainings) / 3600
    failed = sum(bool(row["reason"]) for row in e.trainings)
    packages = e.environment["packages"]
    assert isinstance(packages, dict)
    (low, high), (cheap, dear) = e.plan.corners
    recipe = e.gate.setting["recipe"]
    text = [
        f"`study --plan {NAME}` on `{e.plan.space}`, data set `{e.plan.dataset}` ({recipe['epochs']} epochs, images of "
        f"{e.gate.setting['size']} pixels); plan with sha256 `{e.digest[:12]}`, written into "
        "[experiment.json](experiment.json) before anything ran.",
        f"{len(e.plan.runs)} seeds of search and training, {e.plan.budget} trainings a search, the first {e.shared} "
        f"the same for both arms{_less(e)}. Then every network of each observed front was trained again with another "
        "seed, and the test images were looked at.",
        f"Hypervolume as a share of the box of {low:g} to {high:g} % error and {cheap:g} to {dear:g} M "
        f"{e.plan.cost}, fixed before.",
        f"{len(e.trainings):,} trainings ({', '.join(f'{stage} {n}' for stage, n in counts.items())}; {failed} "
        f"failed), {hours:.1f} h of one core: {e.environment['processor']}, PyTorch {packages['torch']}, machine "
        "shared with other work. All of them: [trainings.csv](trainings.csv); the searches: "
        "[searches.csv](searches.csv).",
    ]
    plan = STAGED[NAME]()
    if tuple(e.plan.runs) != tuple(plan.runs) or e.plan.budget != plan.budget:
        text.append(
            f"**Not the whole plan**: `{NAME}` has {len(plan.runs)} seeds and {plan.budget} trainings a search."
        )
    return ["## How it was measured", "", *(f"* {line}" for line in text), ""]


def _less(e: Experiment) -> str:
    return f" (caution: the plan says {e.plan.shared})" if e.shared < e.plan.shared else ""


def caveats(e: Experiment) -> list[str]:
    """Return what it does not show."""
    flattered = [fmean(seen.values - fresh.values) for seen, fresh in zip(e.observed, e.volumes, strict=True)]
    setting = e.gate.setting
    return [
        "## Caveats",
        "",
        f"* One space, one data set, images of {setting['size']} pixels, {setting['recipe']['epochs']} epochs: what "
        "a search gains where trainings are long and good is not asked here.",
        f"* The searched values flatter: by {flattered[0]:+.3f} of hypervolume for {e.arms[0]}, {flattered[1]:+.3f} "
        f"for {e.arms[1]} (validation images and the seed that was searched, against test images and a fresh seed).",
        f"* One primary test at {SIGNIFICANCE:g}; everything else is secondary, and the surrogates' intervals are no "
        "tests.",
        "",
        "Written by `python docs/make_headline.py` from the files named here.",
        "",
    ]


def mention(folder: Path, link: str) -> str:
    """Return what other pages say of it."""
    if not (folder / MADE).exists():
        return f"`study --plan {NAME}` has no result in the repository yet.\n"
    e = Experiment(folder)
    return f"**What came out** ([page]({link})): {first_sentence(e)} {second_sentence(e)}\n"


def mentioned(text: str, folder: Path, link: str) -> str:
    """Return a page with its section on the experiment made anew."""
    before, begin, rest = text.partition(BEGIN)
    return before + begin + mention(folder, link) + END + rest.partition(END)[2] if begin else text


def main(arguments: list[str]) -> None:
    """Make the page as the command line says."""
    recorded = recorded_in(arguments)
    if arguments:
        made = collected(Path(arguments[0]))
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
    if (FOLDER / MADE).exists():
        if recorded:
            record(FOLDER, recorded)
        (FOLDER / "README.md").write_text(page(FOLDER), encoding="utf-8")
        (FOLDER / FIGURE).write_text(figure(Experiment(FOLDER)), encoding="utf-8")
        for file in FOLDER.glob("*.md"):
            file.write_text(with_kept(file.read_text(encoding="utf-8"), FOLDER), encoding="utf-8")
    for file, link in MENTIONS.items():
        file.write_text(mentioned(file.read_text(encoding="utf-8"), FOLDER, link), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

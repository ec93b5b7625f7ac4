"""The page docs/answers/pairs.md: does a pairwise surrogate order better?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import make_fronts
from answer_parts import Answer, Axis, Mark, counted, forest, limits, only, plain, tables, together
from main_data import Results
from make_main import verdict
from pages import RESULTS, table

from smemnas.bench.metrics.statistics import SIGNIFICANCE, smallest_p

TITLE = "Does a pairwise surrogate order better?"
#: Ranking studies on random unseen architectures, and the problem of the searches beside each.
STUDIES = {
    "rank-nb201-cifar10": "nb201/cifar10",
    "rank-nb201-cifar100": "nb201/cifar100",
    "rank-macro-cifar10": "macro/cifar10",
    "rank-nats_sss-cifar10": "nats_sss/cifar10",
    "rank-mnv3-imagenet": "mnv3/ofa",
}
PAIRS, VALUES, RANKS = "kernel_pairwise", "kernel_ridge", "kernel_ridge_rank"
#: Regression on ranks with the kernel, grid and criterion of the pairs.
ALIKE = "kernel_regression_rank"
#: Training architectures in picture and table.
SIZE = 100
#: Below it a difference of Kendall's tau is called small.
SMALL = 0.02


class Contrast(NamedTuple):
    """Kendall's tau of pairs minus that of a rival after one training size, with interval and verdict."""

    n: int
    difference: float
    low: float
    high: float
    verdict: str


def contrasts(study: str, rival: str) -> list[Contrast]:
    """Return the contrasts of a ranking study with one rival, by training size."""
    text = (RESULTS / study / "ranking.md").read_text(encoding="utf-8")
    rows = only(tables(text), "Difference of Kendall tau-b against")
    rows = [row for row in rows if re.match(rf"{PAIRS} minus {rival} \(", row["contrast"])]
    found = []
    for row in rows:
        difference, p = float(row["difference"]), float(row["p (Holm)"].lstrip("<"))
        sign = "+" if difference > 0 else "-"
        if p >= SIGNIFICANCE:
            sign = "?" if smallest_p(len(rows), int(row["pairs"])) >= SIGNIFICANCE else "="
        found.append(Contrast(int(row["n"]), difference, *limits(row["95 % interval"]), sign))
    return found


def place(study: str) -> str:
    """Return what a ranking study was made on."""
    return (
        (RESULTS / study / "ranking.md").read_text(encoding="utf-8").splitlines()[0].removeprefix("# Ranking study on ")
    )


def tau(value: float) -> str:
    """Return a difference of tau with its sign."""
    return make_fronts.signed(value)


def against_values(found: Mapping[str, Sequence[Contrast]]) -> str:
    """Say where pairs order better than regression on values."""
    words = {"+": "better on", "-": "worse on", "=": "no difference shown on", "?": "too few seeds on"}
    where: dict[str, list[str]] = {sign: [] for sign in words}
    for name, rows in found.items():
        signs = {row.verdict for row in rows}
        sides = signs & {"+", "-"}
        where[sides.pop() if len(sides) == 1 else "?" if signs == {"?"} else "="].append(name)
    parts = []
    for sign, word in words.items():
        if where[sign]:
            values = [row.difference for name in where[sign] for row in found[name]]
            span = f" (Kendall's tau {tau(min(values))} to {tau(max(values))})" if sign in "+-" else ""
            parts.append(f"{word} {together(where[sign])}{span}")
    return f"Against regression on the accuracies themselves it depends on the space: {', '.join(parts)}."


def against_ranks(found: Mapping[str, Sequence[Contrast]]) -> str:
    """Say what is left against regression on ranks."""
    rows = [row for each in found.values() for row in each]
    values, signs = [row.difference for row in rows], [row.verdict for row in rows]
    start = "hardly" if max(map(abs, values)) < SMALL else "sometimes"
    near = [[make_fronts.verdict(r) for each in make_fronts.kept().values() for r in make_fronts.against(each, rival)]
            for rival in (RANKS, ALIKE)]  # fmt: skip
    return (
        f"Against regression on the *ranks* of accuracies {start}: tau differs by {tau(min(values))} to "
        f"{tau(max(values))}, significantly in favour of pairs in {_sided(signs)} comparisons, near the front in "
        f"{_sided(near[0])} ({_sided(near[1])} with both tuned alike)."
    )


def _sided(signs: Sequence[str]) -> str:
    """Return how many verdicts are for pairs, and against where there are any, of those with enough seeds."""
    against = f" (against: {signs.count('-')})" * ("-" in signs)
    return f"{signs.count('+')}{against} of {len(signs) - signs.count('?')}"


def in_search(results: Results) -> str:
    """Say what becomes of it in a search, everything else equal."""
    end = results.at[-1]
    parts = []
    for rival in ("regression on ranks", "regression on values"):
        rows = {p: results.row_of(results.champion, p, rival, end) for p in results.problems}
        signs = {p: verdict(row) for p, row in rows.items() if row}
        said = [
            f"{word} on {counted(len(places), len(signs), 'problems')} ({together(places)})"
            for sign, word in (("+", "ahead"), ("-", "behind"))
            if (places := [p for p, s in signs.items() if s == sign])
        ]
        outcome = f"pairs are {together(said)}" if said else f"no difference is shown on any of {len(signs)} problems"
        parts.append(f"against {rival} {outcome}")
    seeds = len(results.values[results.problems[0], "closed form", f"regret_{end}"])
    return f"In search, everything else equal ({seeds} seeds, {end} evaluations), {'; '.join(parts)}."


def _cell(row: Contrast) -> str:
    return f"{tau(row.difference)} [{tau(row.low)}, {tau(row.high)}] {row.verdict}"


def _ratio(results: Results, problem: str, rival: str) -> str:
    row = results.row_of(results.champion, problem, rival, results.at[-1])
    if row is None:
        return "-"
    ratio = f"{float(row['ratio']):.2f}" if row["ratio"] else f"({float(row['difference']):+.4f})"
    return f"{ratio} {verdict(row)}"


def lines_of_table(found: Mapping[str, Mapping[str, Sequence[Contrast]]], results: Results) -> list[str]:
    """Return the table: order of random and of good architectures, and regret in search, by problem."""
    near = make_fronts.kept()
    rows = []
    for study, problem in STUDIES.items():
        name = place(study)
        cells = [next((_cell(c) for c in found[rival][name] if c.n == SIZE), "-") for rival in (VALUES, RANKS)]
        close = make_fronts.against(near.get(name, []), RANKS)
        cells.append(next((make_fronts.cell(row) for row in close if int(row["n_train"]) == SIZE), "-"))
        label = name if name == problem else f"{name}, search: {problem}"
        rows.append(
            [label, *cells, *(_ratio(results, problem, f"regression on {what}") for what in ("values", "ranks"))]
        )
    head = (
        *("problem", "tau, minus values", "tau, minus ranks", "near the front, minus ranks"),
        *("regret over that of values", "over that of ranks"),
    )
    seeds = len(results.values[results.problems[0], "closed form", f"regret_{results.at[-1]}"])
    return [
        *table(head, rows),
        f"Differences of Kendall's tau after {SIZE} training architectures with 95 % intervals, above zero in favour "
        "of "
        f"pairs; near the front: within the best twentieth of (error, cost). Regret: ratio of means over {seeds} "
        "seeds after "
        f"{results.at[-1]} evaluations, below 1 in favour of pairs (difference where a mean is negative). + better, "
        "- worse, = no difference shown, ? too few seeds to show one (exact paired tests, Holm).",
        "",
    ]


def rest(found: Mapping[str, Mapping[str, Sequence[Contrast]]], results: Results) -> list[str]:
    """Return how it was measured, caveats, and what is published."""
    end = results.at[-1]
    rivals = ("regression on ranks", "regression on values")
    least = [
        float(row["detectable"])
        for p in results.problems
        for row in (results.row_of(results.champion, p, rival, end) for rival in rivals)
        if row and row["detectable"] and verdict(row) == "="
    ]
    studies = ", ".join(f"[{place(s)}](../results/{s}/ranking.md)" for s in STUDIES)
    return [
        "## How it was measured",
        "",
        f"**Order**: `{PAIRS}` (all pairs, closed form), `{VALUES}` and `{RANKS}` learn from the same random "
        "architectures "
        f"and order 1,000 others ({studies}); sizes {together([str(c.n) for c in found[RANKS]['nb201/cifar10']])} on "
        "nb201/cifar10. Near the front: [the contrasts](../claims/rank-front-pairs/README.md).",
        "",
        "**Search**: SMEM-NAS with one part exchanged, the plan `claims` ([page](../results/claims/README.md)); "
        "kernel, "
        "grid and criterion of all arms are the same.",
        "",
        "## Caveats",
        "",
        *[
            "* In the order studies each surrogate has the encoding that is best for it, and pairs and regressions "
            "are tuned by "
            "criteria of their own; tuned alike, near the front: "
            f"{make_fronts.said(make_fronts.kept(), ALIKE)}.",
            "* No difference shown is not equality: these searches would have found differences of regret of "
            f"{min(least):.3f} "
            f"to {max(least):.3f} in 80 % of studies, depending on problem and rival.",
            "* All five problems served to develop parts of SMEM-NAS, with other seeds. Half of nb201's unseen cells "
            "have an "
            "isomorphic twin among 800 training cells.",
        ],
        "",
        *published(),
    ]


def published() -> list[str]:
    """Return published figures beside ours."""
    text = (RESULTS / "rank-ta-gates" / "ranking.md").read_text(encoding="utf-8")
    rows = {row["surrogate"]: row for row in only(tables(text), "Kendall tau-b against val_error")}
    sizes = [name for name in rows[PAIRS] if name.isdigit()]
    theirs = {"78": ".777", "390": ".869", "781": ".889"}
    ours = [
        [f"`{name}`, here", *(plain(rows[name][n]).replace("0.", ".", 1) for n in sizes)]
        for name in (PAIRS, RANKS, VALUES)
    ]
    return [
        "## Published",
        "",
        "The paper of SMEM-NAS ([arXiv 2407.15600](https://arxiv.org/abs/2407.15600)) claims that a surrogate that "
        "learns which "
        "of two architectures is better predicts their order, and reports 78.91 % on ImageNet at 570 M MAdds after "
        "0.17 GPU-days. "
        "A comparison of eight losses for predictors on 13 tasks ([arXiv "
        "2506.05869](https://arxiv.org/abs/2506.05869)) reports that "
        "regression, ranking and weighted losses do well in combination. On NAS-Bench-201 with half of the cells "
        "unseen:",
        "",
        *table(
            ("Kendall's tau by training cells", *sizes),
            [["TA-GATES (Ning et al., NeurIPS 2022), published", *(theirs[n] for n in sizes)], *ours],
        ),
    ]


def answer() -> Answer:
    """Return the page."""
    results = Results(RESULTS / "claims")
    found = {rival: {place(s): contrasts(s, rival) for s in STUDIES} for rival in (VALUES, RANKS)}
    rows = [
        (
            name,
            [Mark(c.difference, c.low, c.high, k) for k, rival in enumerate((VALUES, RANKS)) for c in found[rival][name]
             if c.n == SIZE],
        )
        for name in found[VALUES]
    ]  # fmt: skip
    axis = Axis(
        f"Kendall's tau of pairs minus that of the rival, {SIZE} training architectures", (-0.05, 0, 0.05, 0.1, 0.15)
    )
    figure = forest(TITLE, rows, axis, ("rival: regression on accuracies", "rival: regression on their ranks"))
    return Answer(
        TITLE,
        (against_values(found[VALUES]), against_ranks(found[RANKS]), in_search(results)),
        "What pairs gain in the order of unseen architectures (95 % intervals; right of zero: pairs are better).",
        figure,
        lines_of_table(found, results),
        rest(found, results),
    )

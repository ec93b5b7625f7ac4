"""The page docs/answers/populations.md: does a main and a vice population help?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from answer_parts import Answer, Axis, Mark, forest, together
from main_data import Results
from make_main import verdict
from pages import RESULTS, read_rows, table

TITLE = "Does a main and a vice population help?"
#: Arms of the plan claims: what searches inside instead of two populations.
TEXTBOOK, CHANCE = "textbook NSGA-II inside", "random candidates inside"
#: Problems of the older study with 31 seeds, by those of the plan claims.
OLDER = {
    "nb201/cifar10": "nb201/cifar10",
    "nb201/cifar100": "nb201/cifar100",
    "macro/cifar10": "macro/cifar10",
    "nats_sss/cifar10": "nats_sss/cifar10",
    "mnv3/ofa": "mnv3/imagenet",
}
#: Equal is what differs by less; stated in the plan claims before it was run.
MARGIN = 0.01
Row = Mapping[str, str]


def in_claims(results: Results, rival: str) -> dict[str, Row]:
    """Return the rows of the plan claims that compare two populations with one rival at the budget."""
    rows = {p: results.row_of(results.champion, p, rival, results.at[-1]) for p in results.problems}
    return {p: row for p, row in rows.items() if row}


def older(rival: str) -> dict[str, list[Row]]:
    """Return the contrasts with 31 seeds by problem, in order of evaluations."""
    found: dict[str, list[Row]] = {}
    for row in read_rows(RESULTS / "five-problems" / "contrasts.csv"):
        if row["contrast"] == f"MP-MOEA - {rival}":
            found.setdefault(f"{row['space']}/{row['dataset']}", []).append(row)
    return found


def embedded() -> list[Row]:
    """Return the contrasts on the table that the package once had, averaged over surrogates and encodings."""
    rows = read_rows(RESULTS / "nb201-ablation" / "contrasts.csv")
    return [row for row in rows if row["contrast"] == "mp-moea - nsga2"]


def within(rows: Mapping[str, Row], margin: float = MARGIN) -> list[str]:
    """Return the problems on which the whole interval of the difference lies within a margin."""
    return [p for p, r in rows.items() if max(-float(r["difference_low"]), float(r["difference_high"])) <= margin]


def first_sentence(results: Results) -> str:
    """Say what the plan claims shows."""
    rows = in_claims(results, TEXTBOOK)
    signs = {p: verdict(row) for p, row in rows.items()}
    better, worse = ([p for p, s in signs.items() if s == sign] for sign in "+-")
    seeds = rows[results.problems[0]]["pairs"]
    start = f"({seeds} seeds, {results.at[-1]} evaluations)"
    if not better and not worse:
        return (
            "It is not shown: against a textbook NSGA-II with the same surrogate and choice no difference is found "
            "on any "
            f"of {len(rows)} problems {start}."
        )
    said = [f"{word} on {together(places)}" for word, places in (("better", better), ("worse", worse)) if places]
    return f"Against a textbook NSGA-II with the same surrogate two populations are {together(said)} {start}."


def second_sentence() -> str:
    """Say what the older studies show."""
    rows = [(p, row) for p, each in older("NSGA-II").items() for row in each]
    worse = [f"{p} at {row['evaluations']}" for p, row in rows if verdict(row) == "-"]
    better = [f"{p} at {row['evaluations']}" for p, row in rows if verdict(row) == "+"]
    before = embedded()
    gains = [-float(row["difference"]) for row in before if verdict(row) == "+"]
    text = (
        f"An older study with {rows[0][1]['pairs']} seeds finds them better in {len(better)} and worse in "
        f"{len(worse)} of "
        f"{len(rows)} comparisons{f' ({together([*better, *worse])})' if better or worse else ''}"
    )
    place = f"{before[0]['space']}/{before[0]['dataset']}"
    if gains:
        text += f"; only on {place} did they win, by {min(gains):.3f} to {max(gains):.3f} of regret"
    return text + "."


def third_sentence(results: Results) -> str:
    """Say what a search inside is worth at all."""
    rows = in_claims(results, CHANCE)
    better = [p for p, row in rows.items() if verdict(row) == "+"]
    end = results.at[-1]
    shown = [
        f"{p}, {results.mean(p, 'closed form', f'regret_{end}'):.3f} against "
        f"{results.mean(p, CHANCE, f'regret_{end}'):.3f}"
        for p in better
    ]
    if not better:
        return f"Against as many random candidates no difference is shown on any of {len(rows)} problems either."
    return (
        f"Searching inside at all beats as many random candidates on {len(better)} of {len(rows)} problems "
        f"({'; '.join(shown)})."
    )


def _d(row: Row) -> str:
    value, low, high = (f"{float(row[name]):+.2f}" for name in ("effect", "effect_low", "effect_high"))
    return f"{value} [{low}, {high}] {verdict(row)}"


def _difference(rows: Sequence[Row], at: str) -> str:
    row = next((r for r in rows if r["evaluations"] == at), None)
    return f"{float(row['difference']):+.4f} {verdict(row)}" if row else "-"


def lines_of_table(results: Results) -> list[str]:
    """Return the table: both studies by problem."""
    textbook, chance, before = in_claims(results, TEXTBOOK), in_claims(results, CHANCE), older("NSGA-II")
    rows = []
    for problem in results.problems:
        other = OLDER[problem]
        label = problem if other == problem else f"{problem}, older study: {other}"
        rows.append(
            [
                label,
                _d(textbook[problem]),
                _d(chance[problem]),
                *(_difference(before[other], n) for n in ("100", "340")),
            ]
        )
    head = ("problem", "d, NSGA-II", "d, random candidates", "older, NSGA-II at 100", "older, NSGA-II at 340")
    return [
        *table(head, rows),
        f"d: mean paired difference of regret over its standard deviation after {results.at[-1]} evaluations, with "
        "95 % "
        "interval; older study: mean difference of regret, its range that of the whole front. Below zero in favour "
        "of two "
        "populations; + better, - worse, = no difference shown (exact paired tests, Holm).",
        "",
    ]


def rest(results: Results) -> list[str]:
    """Return how it was measured, caveats, and what is published."""
    rows = in_claims(results, TEXTBOOK)
    least = [float(row["detectable"]) for row in rows.values() if row["detectable"]]
    same = within(rows)
    said = f"shown on {together(same)}" if same else f"shown on none of {len(rows)} problems"
    return [
        "## How it was measured",
        "",
        "**Plan `claims`** ([page](../results/claims/README.md), [plan](../../bench/studies/plans/claims.toml)): "
        "SMEM-NAS with "
        "two populations inside, with NSGA-II as in the textbook, and with as many random candidates; surrogate, "
        "choice of what "
        "is evaluated, and number of candidates are the same.",
        "",
        "**Older studies**, by 0.1.0: [five problems](../results/five-problems/study.md) with 31 seeds and up to 340 "
        "evaluations, and [surrogates, inner searches and encodings](../results/nb201-ablation/study.md) on "
        "nb201/analog.",
        "",
        "## Caveats",
        "",
        f"* Equivalence within {MARGIN:g} of regret, the margin stated before the runs, is {said}; elsewhere the "
        "intervals are "
        f"wider. These searches would have found differences of {min(least):.3f} to {max(least):.3f} in 80 % of "
        "studies.",
        "* The paper leaves open who mates with whom, how large each population is, and where the main one is cut; "
        "this is our "
        "reading ([The paper](../paper.md)). Another reading may do better.",
        "* Spaces here have 6 to 46 genes. The paper's space is the last one, with errors of trained networks.",
        "",
        "## Published",
        "",
        "The paper of SMEM-NAS ([arXiv 2407.15600](https://arxiv.org/abs/2407.15600)) says that the main population "
        "guides the "
        "evolution and the vice population adds diversity, and reports 78.91 % on ImageNet at 570 M MAdds after 0.17 "
        "GPU-days for "
        "the whole method. Its ancestor MSuNAS ([NSGANetV2](https://arxiv.org/abs/2007.10396), ECCV 2020), with "
        "NSGA-II inside, "
        "reports 77.4 / 78.3 / 79.1 / 80.4 % at 225 / 312 / 400 / 593 M MAdds. None of this was run here: it takes "
        "ImageNet.",
        "",
    ]


def answer() -> Answer:
    """Return the page."""
    results = Results(RESULTS / "claims")
    marks = [
        (
            problem,
            [
                Mark(float(row["effect"]), float(row["effect_low"]), float(row["effect_high"]), k)
                for k, rival in enumerate((TEXTBOOK, CHANCE))
                for row in (in_claims(results, rival)[problem],)
            ],
        )
        for problem in results.problems
    ]
    axis = Axis(f"difference of regret over its standard deviation, {results.at[-1]} evaluations", (-6, -4, -2, 0, 2))
    figure = forest(TITLE, marks, axis, ("instead: a textbook NSGA-II", "instead: random candidates"))
    return Answer(
        TITLE,
        (first_sentence(results), second_sentence(), third_sentence(results)),
        "Two populations against what stands inside instead (95 % intervals; left of zero: two populations are "
        "better).",
        figure,
        lines_of_table(results),
        rest(results),
    )

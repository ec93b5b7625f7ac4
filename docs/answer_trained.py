"""The page docs/answers/trained.md: what does really training show?"""

from __future__ import annotations

from answer_inherited import RECORD, networks
from answer_parts import Answer, Axis, Mark, forest, together
from headline_data import MADE, Experiment
from headline_figure import effects
from headline_sections import outcomes
from headline_words import first_sentence as registered
from headline_words import limits
from inside_words import first_sentence as exchanged
from pages import RESULTS, read_rows, table

from smemnas.bench.metrics.statistics import SIGNIFICANCE, smallest_p

TITLE = "What does really training show?"
HEADLINE, INSIDE = RESULTS / "headline", RESULTS / "headline-inside"
STUDY = RESULTS / "train-digits" / "study.csv"


def rows_at() -> dict[tuple[str, str], dict[str, str]]:
    """Return the rows of the study by method and evaluations."""
    return {(row["method"], row["evaluations"]): row for row in read_rows(STUDY)}


def methods() -> list[str]:
    """Return the methods of the study."""
    return list(dict.fromkeys(method for method, _ in rows_at()))


def checkpoints() -> list[str]:
    """Return the evaluations of the study's tables."""
    return list(dict.fromkeys(at for _, at in rows_at()))


def first_sentence() -> str:
    """Say what the study found."""
    rows, end = rows_at(), checkpoints()[-1]
    tested = [row for row in rows.values() if row["p_holm"]]
    n = int(rows[methods()[0], end]["n"])
    regrets = [f"{float(rows[m, end]['regret']):.2f} (`{m}`)" for m in methods()]
    found = [row for row in tested if float(row["p_holm"]) < SIGNIFICANCE]
    text = (
        f"With every number a training (digits, {n} seeds, {end} networks a search) regrets are {together(regrets)}: "
    )
    if found:
        return text + f"{len(found)} of {len(tested)} differences are significant."
    least = smallest_p(len(tested), n)
    cannot = f", and {n} seeds could not show one (smallest p {least:g})" if least >= SIGNIFICANCE else ""
    return text + f"no difference is significant{cannot}."


def second_sentence() -> str:
    """Say what networks trained from random weights are worth."""
    rows = [row for row in networks() if row["start"] == "random"]
    top, cost = [float(r["test top-1"]) for r in rows], [float(r["MAdds (M)"]) for r in rows]
    timm = next(r for r in rows if "timm" in r["network"])
    best = max(rows, key=lambda r: float(r["test top-1"]))
    text = (
        f"On 12,000 images of CIFAR-10, {len(rows)} architectures trained alike from random weights end within "
        f"{max(top) - min(top):.1f} points of each other, though the dearest costs {max(cost) / min(cost):.1f} times "
        "as much"
    )
    return text + (", and the best of them is not the searched one." if best is timm else ".")


def experiment() -> Experiment | None:
    """Return the registered experiment, once it is in the repository."""
    return Experiment(HEADLINE) if (HEADLINE / MADE).exists() else None


def gate() -> dict[str, str]:
    """Return the gate on development networks that has most of them."""
    return max(read_rows(RECORD / "gates.csv"), key=lambda row: int(row["networks"]))


def third_sentence() -> str:
    """Say how much a training differs from the next."""
    g = gate()
    return (
        f"Trainings of one network differ by {g['seed_sd']} points (standard deviation), networks of one cost by "
        f"{g['architecture_sd']}, a ratio of {g['ratio']} ({g['ratio_low']} to {g['ratio_high']}): one training tells "
        "large differences only."
    )


def lines_of_table() -> list[str]:
    """Return the table: regret by checkpoint."""
    rows, at = rows_at(), checkpoints()
    cells = []
    for method in methods():
        found = [rows[method, n] for n in at]
        regrets = [
            f"{float(r['regret']):.3f} [{float(r['regret_low']):.3f}, {float(r['regret_high']):.3f}]" for r in found
        ]
        cells.append([f"`{method}`", *regrets, f"{float(found[-1]['best']):.2f}"])
    head = ("method", *(f"{n} networks" for n in at), f"least validation error at {at[-1]} (%)")
    return [
        *table(head, cells),
        "Mean hypervolume regret of (validation error, MAdds) with its 95 % interval, against the front of all runs "
        "of the study: no "
        "true front is known where every number is a training.",
        "",
    ]


def rest(e: Experiment | None) -> list[str]:
    """Return how it was measured, caveats, and what is published."""
    return [
        "## How it was measured",
        "",
        *([*_registered(e), *_exchanged()] if e else []),
        "**Searches** ([train-digits](../results/train-digits/study.md)): NAS-Bench-201 cells with 4 channels on "
        "8-pixel digits, 6 epochs, every architecture trained from scratch.",
        "",
        *([first_sentence(), "", *lines_of_table()] if e else []),
        f"**Networks trained to the end**: {sum(row['start'] == 'random' for row in networks())} from random weights, "
        '40 epochs ([Training for real](../training.md), "What came out here").',
        "",
        *([second_sentence(), ""] if e else _noise()),
        "## Caveats",
        "",
        *_caveats(e),
        "",
        "## Published",
        "",
        *PUBLISHED,
        "",
    ]


def _registered(e: Experiment) -> list[str]:
    seeds = len(e.plan.runs)
    return [
        f"**The registered experiment** ([page](../results/headline/README.md)): written down before it ran; {seeds} "
        f"seeds of {' and '.join(e.arms)} on `{e.plan.space}`, {e.plan.budget} trainings a search, then every network "
        "of each observed front trained again with another seed and judged on test images.",
        "",
    ]


def _exchanged() -> list[str]:
    """Return what came out of the experiment in which parts of the first arm are exchanged, once it is there."""
    if not (INSIDE / MADE).exists():
        return []
    return [
        f"**Parts of it exchanged** ([page](../results/{INSIDE.name}/README.md)): {exchanged(Experiment(INSIDE))}",
        "",
    ]


def _noise() -> list[str]:
    g = gate()
    return [
        f"**Noise of a training**: {g['networks']} networks of the size space at {g['cost']} M MAdds, "
        f"{g['trainings']} trainings each (recipe `{g['recipe']}`, {g['size']} pixels); ratio of the standard "
        "deviation between architectures to that between seeds.",
        "",
        "The experiment that asks whether a search beats chance when every number is a training is written down and "
        "can be run (`study --plan headline`, [Training for real](../training.md)); no result of it is in the "
        "repository yet.",
        "",
    ]


def _caveats(e: Experiment | None) -> list[str]:
    lines = [
        "* Digits of 8 pixels and networks of 4 channels are not a task that architectures are designed for.",
        "* Nothing here was trained on ImageNet, on a GPU, or for as long as published networks are.",
    ]
    if e is None:
        return [
            *lines,
            "* So these trainings show that the pipeline works, and how much noise it has to live with; they support "
            "no ranking of methods. That is what the tables are for "
            "([Which method on which problem?](methods.md)).",
        ]
    size, epochs = e.gate.setting["size"], e.gate.setting["recipe"]["epochs"]
    return [
        f"* The registered experiment is of one space, images of {size} pixels and {epochs} epochs.",
        *lines,
        "* So these trainings support no ranking of more methods than those of the experiments. That is what the "
        "tables are for ([Which method on which problem?](methods.md)).",
    ]


PUBLISHED = [
    "On ImageNet, trained to the end, SMEM-NAS reports 78.91 % at 570 M MAdds "
    "([arXiv 2407.15600](https://arxiv.org/abs/2407.15600)) and MSuNAS 77.4 / 78.3 / 79.1 / 80.4 % at 225 / 312 "
    "/ 400 / 593 M ([arXiv 2007.10396](https://arxiv.org/abs/2007.10396)); on CIFAR-10 the best cell of NAS-Bench-201 "
    "has 94.37 % ([arXiv 2001.00326](https://arxiv.org/abs/2001.00326)). No number of this page stands beside them.",
]


def noise_sentence(e: Experiment) -> str:
    """Say how much a training differs from the next, by the gate of the experiment."""
    c = e.gate.components
    return (
        f"Trainings of one network differ by {c.seed:.1f} points (standard deviation), networks of one cost by "
        f"{c.architecture:.1f}, a ratio of {c.ratio.value:.2f} ({limits(c.ratio, 2)}): one training tells large "
        "differences only."
    )


def of_the_experiment(e: Experiment) -> Answer:
    """Return the page whose first evidence is the registered experiment."""
    caption = (
        f"Effects of {e.arms[0]} against {e.arms[1]} in the registered experiment, {len(e.plan.runs)} seeds (95 % "
        "intervals), beside what was simulated and what was predicted."
    )
    table_of = [line.replace("(experiment.md)", "(../results/headline/experiment.md)") for line in outcomes(e)]
    return Answer(TITLE, (registered(e), noise_sentence(e)), caption, effects(e), table_of, rest(e))


def answer() -> Answer:
    """Return the page."""
    found = experiment()
    return of_the_experiment(found) if found else of_the_digits()


def of_the_digits() -> Answer:
    """Return the page as it is without a registered experiment."""
    rows = rows_at()
    marks = []
    for n in checkpoints():
        found = [rows[m, n] for m in methods()]
        values = [[float(row[name]) for name in ("regret", "regret_low", "regret_high")] for row in found]
        marks.append((f"{n} networks", [Mark(v, low, high, k) for k, (v, low, high) in enumerate(values)]))
    axis = Axis("hypervolume regret, every number a training (smaller is better)", (0.2, 0.4, 0.6, 0.8, 1.0), None)
    return Answer(
        TITLE,
        (first_sentence(), second_sentence(), third_sentence()),
        f"Regret of searches in which every architecture was trained, {rows[methods()[0], checkpoints()[-1]]['n']} "
        "seeds (95 % intervals).",
        forest(TITLE, marks, axis, methods()),
        lines_of_table(),
        rest(None),
    )

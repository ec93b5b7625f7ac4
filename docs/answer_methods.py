"""The page docs/answers/methods.md: which method on which problem?

It takes whatever pages of plans there are: the published comparison (main), else the study of smemnas/adaptive against
the runs of the package; under noise (noise, else noise-check) and on posterior draws (draws).
"""

from __future__ import annotations

from answer_parts import Answer, Axis, Mark, forest, together
from answer_survival import on_draws, under_noise
from pages import RESULTS, listed, table
from published import ACCURACIES, LARGEST_ACCURACY, NAS_BENCH_201, SIMULATED
from study_rows import PAGES, Study, is_ours, there

from smemnas.bench.studies.information import TOLD
from smemnas.methods.base import METHODS
from smemnas.methods.tracks import TRACKS

TITLE = "Which method on which problem?"
#: The study of this page, the first one that is there; and what each is.
STUDIES = {
    "main": "the published comparison",
    "adaptive": "`smemnas/adaptive`, run once, against the runs of the package (plan `in-the-box`)",
}
#: So many names are listed, else counted.
FEW = 3


def newest() -> Study:
    """Return the study of this page."""
    return Study(next(name for name in STUDIES if there(name)))


def first_sentence(study: Study) -> str:
    """Say which method has the least regret where."""
    by: dict[str, list[str]] = {}
    for problem in study.problems:
        by.setdefault(study.best(problem), []).append(problem)
    said = [f"`{method}` on {together(places)}" for method, places in by.items()]
    return f"After {study.at} evaluations ({study.seeds} seeds) the least mean regret is that of {together(said)}."


def second_sentence(study: Study) -> str:
    """Say where the first one is told from the others."""
    near = {p: study.alike(p) + study.unsure(p) for p in study.problems}
    alone = [p for p, names in near.items() if not names]
    family = [p for p, names in near.items() if names and all(map(is_ours, names))]
    rivals = [p for p in near if p not in alone and p not in family]
    parts = []
    if alone:
        parts.append(f"from every other method on {together(alone)}")
    if family:
        parts.append(f"from all but forms of SMEM-NAS on {together(family)}")
    said = f"It is told {' and '.join(parts)}" if parts else ""
    if rivals:
        foreign = list(dict.fromkeys(m for p in rivals for m in near[p] if not is_ours(m)))
        said += "; on " if said else "On "
        said += (
            f"{together(rivals)} these runs do not tell it from one or more of {together([f'`{m}`' for m in foreign])}"
        )
    return said + "."


def third_sentence(study: Study) -> str:
    """Say how far the best method that is not ours is; a ratio wants a mean that is surely above zero."""
    foreign = {p: study.best(p, foreign=True) for p in study.problems}
    ratios, near = [], []
    for problem, method in foreign.items():
        row = study.on(problem)[study.best(problem)]
        least, theirs = float(row["regret"]), study.regret(problem, method)
        if float(row["regret_low"] or 0) > 0:
            ratios.append(theirs / least)
        else:
            near.append(f"{problem} {theirs:.3f} against {least:.3f}")
    said = f"The best that is not ours ({together([f'`{m}`' for m in foreign.values()])}, by problem) has "
    said += f"{min(ratios):.1f} to {max(ratios):.1f} times that regret" if ratios else "more"
    said += f" (where that is near zero: {', '.join(near)})" if near else ""
    return f"{said}{blind(study)}."


def blind(study: Study) -> str:
    """Say how ours does where nothing but genes and values is told; again as a ratio of means surely above zero."""
    ratios, near = [], []
    for problem in study.problems:
        pair = study.told_no_more(problem, TRACKS[0])
        if not pair:
            continue
        ours, theirs = (study.regret(problem, method) for method in pair)
        if all(float(study.on(problem)[method]["regret_low"] or 0) > 0 for method in pair):
            ratios.append(ours / theirs)
        else:
            near.append(f"{problem} {ours:.3f} against {theirs:.3f}")
    if not ratios and not near:
        return ""
    said = f"{min(ratios):.1f} to {max(ratios):.1f} times the best other's" if ratios else "near zero"
    said += f" ({', '.join(near)})" if near else ""
    return f"; told genes and values alone, the best of ours has {said}"


def by_what_is_told(study: Study) -> list[str]:
    """Return the table of our best method against the best other one, by what they are told."""
    tracks = [track for track in TRACKS if any(study.told_no_more(problem, track) for problem in study.problems)]
    if not tracks:
        return []
    rows = []
    for problem in study.problems:
        cells = []
        for track in tracks:
            pair = study.told_no_more(problem, track)
            values = [study.regret(problem, m) for m in pair or ()]
            cells.append(f"`{pair[0]}` {values[0]:.4f}, `{pair[1]}` {values[1]:.4f}" if pair else "-")
        rows.append([problem, *cells])
    told = "; ".join(f"{track}: {text}" for track, text in TOLD.items())
    return [
        "## By what methods are told",
        "",
        f"The least mean regret of ours and of the others among the methods that are told no more than: {told}. Which "
        "is the least was seen afterwards, on both sides; tests, with the method of ours stated before, are behind the "
        "links below. Told no more is not told as much: "
        f"{_tracks_of_others(study)}.",
        "",
        *table(("problem", *tracks), rows, words=1 + len(tracks)),
    ]


def _tracks_of_others(study: Study) -> str:
    """Say which tracks the methods that are not ours are of, and which have none of them."""
    of = {track: [m for m in study.methods if study.track(m) == track and not is_ours(m)] for track in TRACKS}
    said = [f"{track} {listed(names) if len(names) <= FEW else len(names)}" for track, names in of.items() if names]
    none = [track for track, names in of.items() if not names]
    text = f"of the methods that are not ours {together(said)} take part"
    return text + (f", none is {together(none)}" if none else "")


def on_test(study: Study) -> str:
    """Say how the first ones do on the test split of the problems that have one; "" where none has."""
    parts = []
    for problem in study.problems:
        found = study.tested(problem)
        if found:
            best, theirs, floor = found
            parts.append(
                f"{problem} `{best}` {study.on_test(problem, best):.3f}, the best that is not ours, `{theirs}`, "
                f"{study.on_test(problem, theirs):.3f}, the validation front of the whole table {floor:.3f}"
            )
    if not parts:
        return ""
    return f"Judged by test values, where a table has a split for them: {'; '.join(parts)}."


def lines_of_table(study: Study) -> list[str]:
    """Return the table: who is best where, and what is not told from it."""
    rows = []
    for problem in study.problems:
        best, foreign = study.best(problem), study.best(problem, foreign=True)
        row = study.on(problem)[best]
        low, high = row["regret_low"], row["regret_high"]
        span = f" [{float(low):.4f}, {float(high):.4f}]" if low else ""
        few = study.unsure(problem)
        alike = listed(study.alike(problem)) + (f" (too few runs: {listed(few)})" if few else "")
        theirs = f"{study.regret(problem, foreign):.4f}"
        rows.append([problem, f"`{best}`", alike, f"`{foreign}`", f"{float(row['regret']):.4f}{span}", theirs])
    head = ("problem", "least regret", "not told from it", "best that is not ours", "least regret", "its regret")
    return [
        *table(head, rows, words=4),
        "Mean hypervolume regret over seeds with its 95 % interval; told: exact paired tests, Holm over the methods "
        "of a problem.",
        "",
        *([on_test(study), ""] if on_test(study) else []),
    ]


def unit_of(study: Study) -> str:
    """Return the method whose regret is the unit of the picture: random search, else the last by mean rank."""
    return "random" if "random" in study.methods else study.methods[-1]


def picture(study: Study, title: str = TITLE) -> str:
    """Draw regret as a share of random search's, methods by mean rank."""
    unit = unit_of(study)
    shares = {m: [study.regret(p, m) / study.regret(p, unit) for p in study.problems] for m in study.methods}
    rows = [(m, [Mark(x, x, x, k) for k, x in enumerate(of)]) for m, of in shares.items()]
    axis = Axis(f"mean regret over that of {unit} after {study.at} evaluations", (0, 0.25, 0.5, 0.75, 1, 1.25), 1.0)
    parts = [problem.rstrip(")").partition(" (") for problem in study.problems]
    alike = len({place for place, *_ in parts}) == 1 and all(objectives for *_, objectives in parts)
    return forest(title, rows, axis, [part[-1] for part in parts] if alike else study.problems, spread=False)


def caption(study: Study) -> str:
    """Say what the picture shows."""
    below = any(study.regret(p, m) < 0 for p in study.problems for m in study.methods)
    return (
        "Regret of each method as a share of random search's, a dot for each problem; methods by mean rank, best first."
        + " An arrow is below 0: each value there is one training, and luck can beat the mean." * below
    )


def overview() -> list[str]:
    """Return the table of the README: mean regret of each method on each problem, the least in bold."""
    study = newest()
    rows = []
    for method in study.methods:
        cells = [f"{study.regret(p, method):.3f}" for p in study.problems]
        cells = [f"**{c}**" if study.best(p) == method else c for p, c in zip(study.problems, cells)]
        rows.append([f"`{method}`", study.track(method) or "-", *cells])
    link = study.link.replace("../results/", "docs/results/")
    return [
        f"Mean hypervolume regret after {study.at} evaluations, {study.seeds} seeds ({link}); smaller is better. "
        f"Told: {'; '.join(f'{track}, {text}' for track, text in TOLD.items())}. {on_test(study)} Which differences "
        "are shown, and which are not: [Which method on which problem?](docs/answers/methods.md)",
        "",
        *table(("method", "told", *study.problems), rows, words=2),
    ]


def _own_starts(study: Study) -> list[str]:
    """Return the methods that begin with a sample of their own."""
    return [m for m in study.methods if not getattr(METHODS.get(m).factory, "shared_start", True)]


def _tuning(study: Study) -> str:
    """Say which baselines have settings chosen with the same effort, and which have not."""
    foreign = [m for m in study.methods if not is_ours(m) and m != "random"]
    plain = [m for m in foreign if "/" not in m and f"{m}/tuned" not in foreign]
    text = "Baselines called `/tuned` have settings chosen with the same effort ([Tuning](../tuning.md))"
    return text + (f"; {listed(plain)} stand at their defaults." if plain else ".")


def rest(study: Study) -> list[str]:
    """Return whether the order survives, how it was measured, caveats, and what is published."""
    others = [
        n for n in ("in-the-box", "claims", "noise", "draws", "five-problems") if there(n) or n == "five-problems"
    ]
    links = ", ".join(
        f"[{n}](../results/{n}/{next(p for p in PAGES if (RESULTS / n / p).exists())})"
        for n in others
        if n != study.name
    )
    return [
        *by_what_is_told(study),
        *under_noise(study),
        *on_draws(study),
        "## How it was measured",
        "",
        f"{study.link}: {STUDIES[study.name]}. Every method is shown the same values and pays for each "
        f"new one. All but {listed(_own_starts(study))} begin a seed with the same random architectures; regrets are "
        "measured within five points of error ([How problems are judged](../problems.md)). More: " + links + ".",
        "",
        "## Caveats",
        "",
        "* All problems with (error, flops) served to develop parts of SMEM-NAS, on other seeds; ours have an "
        "advantage there that "
        f"the others do not have. {_tuning(study)}",
        "* Least regret is the least mean of few runs. Where several are not told apart, take the one that costs "
        "least to run.",
        "* Differences on searched values can vanish on test values; a mean rank depends on which methods take part.",
        "",
        "## Published",
        "",
        f"On NAS-Bench-201, CIFAR-10, its authors ([ICLR 2020]({NAS_BENCH_201})) report test "
        "accuracies under a "
        f"budget of {SIMULATED} of {together([f'{value:.2f} % ({name})' for name, value in ACCURACIES.items()])}, "
        f"best possible {LARGEST_ACCURACY:.2f} %: one objective, another budget, so no column of the table above. "
        "MSuNAS and "
        "SMEM-NAS report trained ImageNet networks only (77.4 to 80.4 % at 225 to 593 M MAdds; 78.91 % at 570 M).",
        "",
    ]


def answer() -> Answer:
    """Return the page."""
    study = newest()
    return Answer(
        TITLE,
        (first_sentence(study), second_sentence(study), third_sentence(study)),
        caption(study),
        picture(study),
        lines_of_table(study),
        rest(study),
    )

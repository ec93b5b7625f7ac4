"""The page docs/answers/methods.md: which method on which problem?

It takes whatever pages of plans there are: the published comparison (main), else the study of smemnas/adaptive against
the runs of the package; under noise (noise, else noise-check) and on posterior draws (draws).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from answer_parts import Answer, Axis, Mark, forest, together
from pages import RESULTS, listed, read_rows, table
from published import ACCURACIES, LARGEST_ACCURACY, NAS_BENCH_201, SIMULATED
from scipy.stats import kendalltau, rankdata

from smemnas.bench.studies.information import TOLD
from smemnas.methods.tracks import TRACKS

TITLE = "Which method on which problem?"
#: The study of this page, the first one that is there; and what each is.
STUDIES = {
    "main": "the published comparison",
    "adaptive": "`smemnas/adaptive`, run once, against the runs of the package (plan `in-the-box`)",
}
#: Where these are, they tell whether the order survives.
NOISY, DRAWN = ("noise", "noise-check"), "draws"
PAGES = ("README.md", "study.md")


class Study:
    """What study.csv of a folder, by its name in docs/results or its path, says at the largest budget.

    Attributes:
        name: Of the folder.
        at: Evaluations.
        seeds: Of a method on a problem, at most.
    """

    def __init__(self, name: str | Path) -> None:
        rows = read_rows(RESULTS / name / "study.csv")
        self.name = Path(name).name
        self.at = max(int(row["evaluations"]) for row in rows)
        self._rows: dict[tuple[str, str], dict[str, str]] = {}
        for row in sorted(rows, key=lambda row: int(row["evaluations"])):
            if row["regret"]:
                self._rows[self._problem(row), row["method"]] = row
        self.seeds = max(int(row["n"]) for row in self._rows.values())

    @staticmethod
    def _problem(row: dict[str, str]) -> str:
        place = f"{row['space']}/{row['dataset']}"
        plain = row["objectives"] in ("error+flops", "val_error+flops")
        return place if plain else f"{place} ({row['objectives'].replace('+', ', ')})"

    @cached_property
    def problems(self) -> list[str]:
        """Problems in the order of the study."""
        return list(dict.fromkeys(problem for problem, _ in self._rows))

    @cached_property
    def methods(self) -> list[str]:
        """Methods with runs on every problem, by their mean rank."""
        names = list(dict.fromkeys(method for _, method in self._rows))
        names = [m for m in names if all((p, m) in self._rows for p in self.problems)]
        ranks = np.mean([rankdata([self.regret(p, m) for m in names]) for p in self.problems], axis=0)
        return [names[k] for k in np.argsort(ranks, kind="stable")]

    def on(self, problem: str) -> dict[str, dict[str, str]]:
        """Return the rows of the methods on a problem, from the least regret."""
        rows = {m: row for (p, m), row in self._rows.items() if p == problem}
        return dict(sorted(rows.items(), key=lambda item: float(item[1]["regret"])))

    def regret(self, problem: str, method: str) -> float:
        """Return a mean regret; NaN without runs."""
        row = self._rows.get((problem, method))
        return float(row["regret"]) if row else math.nan

    def track(self, method: str) -> str:
        """Return what a method is told, "" where the study does not say."""
        return next((row.get("track") or "" for (_, m), row in self._rows.items() if m == method), "")

    def told_no_more(self, problem: str, track: str) -> tuple[str, str] | None:
        """Return the best of ours and the best other one among the methods that are told no more than a track."""
        told = TRACKS[: TRACKS.index(track) + 1]
        names = [m for m in self.on(problem) if self.track(m) in told]
        ours, theirs = [m for m in names if is_ours(m)], [m for m in names if not is_ours(m)]
        return (ours[0], theirs[0]) if ours and theirs else None

    def best(self, problem: str, foreign: bool = False) -> str:
        """Return the method with the least mean regret, of all or of those that are not ours."""
        return next(m for m in self.on(problem) if not (foreign and is_ours(m)))

    def alike(self, problem: str) -> list[str]:
        """Return the methods that are not told from the best."""
        return [m for m, row in self.on(problem).items() if row["mark"] == "equal"]

    def unsure(self, problem: str) -> list[str]:
        """Return the methods with too few runs to tell."""
        return [m for m, row in self.on(problem).items() if row["mark"] == "unknown"]

    @property
    def link(self) -> str:
        """The study as a link."""
        page = next(p for p in PAGES if (RESULTS / self.name / p).exists())
        return f"[{self.name}](../results/{self.name}/{page})"


def is_ours(method: str) -> bool:
    """Whether a method is SMEM-NAS in one of its forms."""
    return method.split("/")[0] == "smemnas"


def there(name: str) -> bool:
    """Whether the tables of a study are in the repository."""
    return (RESULTS / name / "study.csv").exists()


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


def at_equal_information(study: Study) -> list[str]:
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
        "## At equal information",
        "",
        f"The least mean regret of ours and of the others among the methods that are told no more than: {told}. Which "
        "is the least was seen afterwards, on both sides; tests, with the method of ours stated before, are behind the "
        "links below.",
        "",
        *table(("problem", *tracks), rows, words=1 + len(tracks)),
    ]


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
        f"Told: {'; '.join(f'{track}, {text}' for track, text in TOLD.items())}. Which differences "
        "are shown, and which are not: [Which method on which problem?](docs/answers/methods.md)",
        "",
        *table(("method", "told", *study.problems), rows, words=2),
    ]


# --- does the order survive?


def survival(before: Study, after: Study, pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return a row for each pair of problems: how alike the orders of the methods are that both have."""
    rows = []
    for old, new in pairs:
        names = [m for m in before.on(old) if m in after.on(new)]
        if len(names) < 3:
            continue
        x, y = [before.regret(old, m) for m in names], [after.regret(new, m) for m in names]
        first = min(names, key=lambda m: after.regret(new, m))
        tau = float(kendalltau(x, y).statistic)
        rows.append([new, f"`{names[0]}`", f"`{first}`", f"`{after.best(new)}`", str(len(names)), f"{tau:+.2f}"])
    return rows


def quiet(problem: str) -> str:
    """Return a problem without what was added behind its name."""
    return problem.split("+")[0]


def under_noise(study: Study) -> list[str]:
    """Return the section on noise, from the newest study of it."""
    name = next((n for n in NOISY if there(n)), "")
    if not name:
        return []
    noisy = Study(name)
    silent = {quiet(p): p for p in noisy.problems if p.endswith("+noise=0")}
    before = noisy if silent else study
    pairs = [(silent.get(quiet(p), quiet(p)), p) for p in noisy.problems if p not in silent.values()]
    pairs = [(old, new) for old, new in pairs if old in before.problems]
    rows = survival(before, noisy, pairs)
    return _section("Does the order survive noise?", noisy, before, rows)


def on_draws(study: Study) -> list[str]:
    """Return the section on posterior draws."""
    if not there(DRAWN):
        return []
    drawn = Study(DRAWN)
    pairs = [(quiet(p), p) for p in drawn.problems if quiet(p) in study.problems]
    return _section("Does it survive what the table does not know?", drawn, study, survival(study, drawn, pairs))


def _section(title: str, after: Study, before: Study, rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    same = sum(row[1] == row[2] for row in rows)
    taus = [float(row[-1]) for row in rows]
    against = "the same study without it" if before is after else before.link
    return [
        f"## {title}",
        "",
        f"Of the methods in both studies, the first place stays in {same} of {len(rows)} cases, and Kendall's tau "
        "between the orders of mean regrets "
        "lies between "
        f"{min(taus):+.2f} and {max(taus):+.2f} ({after.link}: {after.seeds} seeds, {after.at} evaluations, true "
        "regrets; "
        f"against {against}). Means alone: what is not told apart may change places by chance.",
        "",
        *table(("problem", "first before", "first now", "first of all there", "methods in both", "tau"), rows, words=4),
    ]


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
        *at_equal_information(study),
        *under_noise(study),
        *on_draws(study),
        "## How it was measured",
        "",
        f"{study.link}: {STUDIES[study.name]}. Every method starts a seed from the same random architectures, sees "
        "the same "
        "values and pays for each new one; regrets are measured within five points of error "
        "([How problems are judged](../problems.md)). More: " + links + ".",
        "",
        "## Caveats",
        "",
        "* All problems with (error, flops) served to develop parts of SMEM-NAS, on other seeds; ours have an "
        "advantage there that "
        "the others do not have. Baselines at settings chosen with the same effort: [Tuning](../tuning.md).",
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

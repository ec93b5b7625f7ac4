"""Sections of docs/answers/methods.md: does the order of methods survive noise, and what a table does not know?"""

from __future__ import annotations

from collections.abc import Sequence

from pages import listed, table
from scipy.stats import kendalltau
from study_rows import Study, there

#: Where these are, they tell whether the order survives.
NOISY, DRAWN = ("noise", "noise-check"), "draws"


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
    before = noisy if silent else study.earlier(noisy.at)
    pairs = [(silent.get(quiet(p), quiet(p)), p) for p in noisy.problems if p not in silent.values()]
    pairs = [(old, new) for old, new in pairs if old in before.problems]
    rows = survival(before, noisy, pairs)
    return _section("Does the order survive noise?", noisy, before, rows)


def on_draws(study: Study) -> list[str]:
    """Return the section on posterior draws."""
    if not there(DRAWN):
        return []
    drawn = Study(DRAWN)
    before = study.earlier(drawn.at)
    pairs = [(quiet(p), p) for p in drawn.problems if quiet(p) in before.problems]
    return _section("Does it survive what the table does not know?", drawn, before, survival(before, drawn, pairs))


def _section(title: str, after: Study, before: Study, rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    same = sum(row[1] == row[2] for row in rows)
    taus = [float(row[-1]) for row in rows]
    against = "the same study without it" if before is after else f"{before.link} after {before.at}"
    leaders = dict.fromkeys(before.best(quiet(row[0])) for row in rows if quiet(row[0]) in before.problems)
    missing = [name for name in leaders if name not in after.methods]
    absent = f" Not run there, though first before: {listed(missing)}; of them this says nothing." if missing else ""
    return [
        f"## {title}",
        "",
        f"Of the methods in both studies, the first place stays in {same} of {len(rows)} cases, and Kendall's tau "
        "between the orders of mean regrets "
        "lies between "
        f"{min(taus):+.2f} and {max(taus):+.2f} ({after.link}: {after.seeds} seeds, {after.at} evaluations, true "
        "regrets; "
        f"against {against}). Means alone: what is not told apart may change places by chance.{absent}",
        "",
        *table(("problem", "first before", "first now", "first of all there", "methods in both", "tau"), rows, words=4),
    ]

"""Write what learning from pairs does near the front: `python docs/make_fronts.py [RANK_FOLDER ...]`.

docs/claims/rank-front-pairs/README.md, from the contrasts of Kendall's tau kept beside it, one CSV file per problem;
with folders of `rank --pool front --contrast ...` it takes theirs first. A test compares the page with the files.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "claims" / "rank-front-pairs"
OVERVIEW = FOLDER.parents[1] / "results" / "README.md"
BEGIN, END = "<!-- near the front: python docs/make_fronts.py -->\n", "<!-- end -->"
#: Which version made the files, as the page says it.
MADE = "Made by smemnas 0.2.0 at commit 789eddb."
COLUMNS = (
    *("space", "dataset", "pool", "truth", "first", "first_encoding", "second", "second_encoding", "n_train"),
    *("pairs", "difference", "low", "high", "p_holm"),
)
PAIRWISE = "kernel_pairwise"
RIVALS = {
    "kernel_ridge_rank": "regression on ranks, as it is used",
    "kernel_regression_rank": "regression on ranks, tuned alike",
    "kernel_regression": "regression on values, tuned alike",
}
COMMAND = (
    "rank --space S --dataset D --pool front --surrogates kernel_pairwise,kernel_ridge_rank,kernel_regression_rank,"
    "kernel_ridge,kernel_regression --n-train 50,100,200,400 --seeds 10 --no-calibration "
    "--contrast kernel_pairwise,RIVAL"
)
INTRODUCTION = f"""Kendall's tau of `{PAIRWISE}` (all pairs, closed form) minus that of each rival within the first 5 %
of the non-dominated fronts of (error, flops), 10 seeds, each surrogate on the encoding that is best for it. Mean
difference and its 95 % interval; + or - where an exact paired Wilcoxon test with Holm's correction over the sizes is
significant at .05, else =."""
Row = Mapping[str, str]


def take(folders: Iterable[Path]) -> None:
    """Keep the contrasts of tau against the searched truth of some studies."""
    for folder in folders:
        with open(folder / "contrasts.csv", newline="", encoding="utf-8") as file:
            rows = [r for r in csv.DictReader(file) if r["metric"] == "tau"]
        first = rows[0]
        rows = [r for r in rows if r["truth"] == first["truth"]]
        with open(FOLDER / f"{first['space']}-{first['dataset']}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def kept() -> dict[str, list[Row]]:
    """Return the kept contrasts of each problem."""
    found = {}
    for path in sorted(FOLDER.glob("*.csv")):
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        found[f"{rows[0]['space']}/{rows[0]['dataset']}"] = rows
    return found


def verdict(row: Row) -> str:
    """Return "+" or "-" where the difference is significant over the four sizes, else "="."""
    if not float(row["p_holm"]) < 0.05:
        return "="
    return "+" if float(row["difference"]) > 0 else "-"


def signed(value: float) -> str:
    """Return a difference of tau with its sign, as in +.023."""
    return f"{value:+.3f}".replace("0.", ".", 1)


def sentence(problem: str, rows: list[Row]) -> str:
    """Say of one problem and one rival what the tests say."""
    by = {sign: [float(r["difference"]) for r in rows if verdict(r) == sign] for sign in "+=-"}
    parts = []
    for sign, word in (("+", "better"), ("-", "worse")):
        if by[sign]:
            low, high = min(by[sign]), max(by[sign])
            span = signed(low) if len(by[sign]) == 1 else f"{signed(low)} to {signed(high)}"
            parts.append(f"{word} at {len(by[sign])} of {len(rows)} sizes ({span})")
    return f"{problem} {' and '.join(parts) or f'no difference shown at any of {len(rows)} sizes'}"


def against(rows: list[Row], rival: str) -> list[Row]:
    """Return the contrasts with one rival, by size."""
    chosen = [r for r in rows if (r["first"], r["second"]) == (PAIRWISE, rival)]
    return sorted(chosen, key=lambda r: int(r["n_train"]))


def cell(row: Row) -> str:
    """Return a difference with its interval and verdict."""
    value, low, high = (signed(float(row[name])) for name in ("difference", "low", "high"))
    return f"{value} [{low}, {high}] {verdict(row)}"


def said(found: Mapping[str, list[Row]], rival: str) -> str:
    """Say of one rival what the tests say on each problem."""
    return "; ".join(sentence(problem, against(rows, rival)) for problem, rows in found.items())


def overview(text: str) -> str:
    """Return the overview of all results with its paragraph made anew."""
    before, _, rest = text.partition(BEGIN)
    paragraph = "**Near the front** ([table](../claims/rank-front-pairs/README.md)), where a search needs order most, "
    paragraph += (
        f"pairs are, against regression on ranks: {said(kept(), 'kernel_ridge_rank')}. Where both are tuned by the "
    )
    paragraph += f"same criterion (`kernel_regression_rank`): {said(kept(), 'kernel_regression_rank')}.\n"
    return before + BEGIN + paragraph + END + rest.partition(END)[2]


def page() -> str:
    """Return the page."""
    found = kept()
    lines = ["# Near the front: pairs against regression", "", MADE, "", INTRODUCTION, ""]
    for rival, what in RIVALS.items():
        lines += [f"**Against {what}** (`{rival}`), pairs are: {said(found, rival)}.", ""]
    for rival, what in RIVALS.items():
        sizes = [row["n_train"] for row in against(next(iter(found.values())), rival)]
        lines += [f"## Against {what}", "", f"| problem | {' | '.join(sizes)} |", "|---|" + "---:|" * len(sizes)]
        lines += [f"| {problem} | {' | '.join(map(cell, against(rows, rival)))} |" for problem, rows in found.items()]
        lines.append("")
    lines += [f"Command, for each problem: `{COMMAND}`, then `python docs/make_fronts.py FOLDER ...`.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    take(map(Path, sys.argv[1:]))
    (FOLDER / "README.md").write_text(page(), encoding="utf-8")
    OVERVIEW.write_text(overview(OVERVIEW.read_text(encoding="utf-8")), encoding="utf-8")

"""Write what all pairs and the arms of the claims gave: `python docs/make_claims.py [--arms STUDY ...] [--pairs RANK]`.

docs/claims/development/README.md and docs/claims/rank-all-pairs/README.md, from the CSV files beside them;
with folders of studies it takes their numbers first, later ones in place of earlier ones. A test compares.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

CLAIMS = Path(__file__).resolve().parent / "claims"
ARMS, PAIRS = CLAIMS / "development", CLAIMS / "rank-all-pairs"
#: Which version made the files, as the pages say it.
MADE = "Made by smemnas 0.2.0 at commit 789eddbe."
ARM_COLUMNS = ("space", "dataset", "method", "evaluations", "n", "regret", "regret_sd", "seconds")
PAIR_COLUMNS = ("space", "dataset", "truth", "surrogate", "encoding", "n_train", "seeds", "mean", "sd")
VARIANT = "svm_all=svm_pairwise:max_pairs=none"
Row = Mapping[str, str]


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Keep some columns of rows."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def take_arms(studies: Iterable[Path]) -> None:
    """Keep regrets and seconds of the arms of some studies."""
    kept: dict[tuple[str, str, str], dict[str, str]] = {}
    for study in studies:
        times = read(study / "times.csv")
        for row in read(study / "study.csv"):
            seconds = [float(t["seconds"]) for t in times if (t["space"], t["method"]) == (row["space"], row["method"])]
            kept[row["space"], row["method"], row["evaluations"]] = {**row, "seconds": f"{fmean(seconds):.1f}"}
    write(ARMS / "arms.csv", ARM_COLUMNS, kept.values())


def take_pairs(study: Path) -> None:
    """Keep the taus of a ranking study against the truth that was searched, of what was fitted."""
    rows = [r for r in read(study / "ranking.csv") if r["metric"] == "tau" and r["truth"] == "val_error"]
    write(PAIRS / "taus.csv", PAIR_COLUMNS, [r for r in rows if int(r["seeds"])])


def decimals(value: str, digits: int = 3) -> str:
    """Return a number below 1 without its zero, as in .781."""
    return f"{float(value):.{digits}f}".replace("0.", ".", 1)


def arms_page() -> str:
    """Return the page of the arms."""
    rows = read(ARMS / "arms.csv")
    places = list(dict.fromkeys((r["space"], r["dataset"]) for r in rows))
    caps = list(dict.fromkeys(r["evaluations"] for r in rows))
    of = {(r["space"], r["method"], r["evaluations"]): r for r in rows}
    head = [
        "arm",
        *(f"{space} at {cap}" for space, _ in places for cap in caps),
        *(f"s, {space}" for space, _ in places),
    ]
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    for method in dict.fromkeys(r["method"] for r in rows):
        cells = [of[space, method, cap] for space, _ in places for cap in caps]
        shown = [f"{decimals(c['regret'])} ± {decimals(c['regret_sd'])}" for c in cells]
        shown += [of[space, method, caps[-1]]["seconds"] for space, _ in places]
        lines.append(f"| {method} | {' | '.join(shown)} |")
    first = rows[0]
    text = f"""# The arms of both claims on development seeds

{MADE}

`study --plan docs/claims/development/arms.toml`: mean hypervolume regret (reference within-5) ± standard
deviation over {first["n"]} seeds from 1000 on, {" and ".join("/".join(place) for place in places)}, error and flops,
and mean seconds of a run beside other work. **{first["n"]} seeds can show no difference** (the smallest p after Holm
is .19): this chooses what to run on more, it says nothing of the claims.

"""
    return text + "\n".join(lines) + "\n"


def pairs_page() -> str:
    """Return the page of all pairs."""
    rows = read(PAIRS / "taus.csv")
    sizes = list(dict.fromkeys(r["n_train"] for r in rows))
    of = {(r["surrogate"], r["n_train"]): r for r in rows}
    lines = [f"| surrogate | {' | '.join(sizes)} |", "|---|" + "---:|" * len(sizes)]
    for name in dict.fromkeys(r["surrogate"] for r in rows):
        cells = [of.get((name, size)) for size in sizes]
        shown = [f"{decimals(c['mean'])} ± {decimals(c['sd'])}" if c else "refused" for c in cells]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    first = rows[0]
    names = [name for name in dict.fromkeys(r["surrogate"] for r in rows) if name != VARIANT.partition("=")[0]]
    command = f"rank --space {first['space']} --dataset {first['dataset']} --surrogates {','.join(names)} "
    command += f"--variant {VARIANT} "
    command += f"--encodings {first['encoding']} --n-train {','.join(sizes)} --seeds {first['seeds']} --no-calibration"
    text = f"""# All pairs against 2,000 of them

{MADE}

`{command}`: Kendall's tau against {first["truth"]} of 1,000 unseen architectures, {first["seeds"]} seeds,
± standard deviation. {said(of)}

"""
    return text + "\n".join(lines) + "\n"


def said(of: Mapping[tuple[str, str], Row]) -> str:
    """Say what all pairs are worth."""
    parts = []
    for whole, part, what in (
        ("svm_all", "svm_pairwise", "scikit-learn's machine"),
        ("kernel_svm_pairwise", "kernel_svm_pairwise_2000", "the machine that is tuned"),
    ):
        both = [size for name, size in of if name == whole and (part, size) in of]
        values = ", ".join(f"{decimals(of[whole, n]['mean'])} / {decimals(of[part, n]['mean'])} at {n}" for n in both)
        parts.append(f"{what} {values}")
    return f"All pairs / 2,000 of them: {'; '.join(parts)}. 50 architectures have 2,450 pairs."


def write_pages() -> None:
    """Write both pages."""
    (ARMS / "README.md").write_text(arms_page(), encoding="utf-8")
    (PAIRS / "README.md").write_text(pairs_page(), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", type=Path, nargs="+", help="folders of studies")
    parser.add_argument("--pairs", type=Path, help="folder of a ranking study")
    options = parser.parse_args()
    if options.arms:
        take_arms(options.arms)
    if options.pairs:
        take_pairs(options.pairs)
    write_pages()

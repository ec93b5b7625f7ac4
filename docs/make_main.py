"""Write docs/results/NAME/README.md: `python docs/make_main.py NAME [RUNS ...] [--recorded COMMIT]`.

With RUNS, folders of studies or archives, the CSV files of that folder are made first: those of the study, and
runs.csv with every run. Then the page, from these files alone. --recorded: the commit that holds the page, which
its line on versions names. A test compares each page with what this makes. Plans: main, hardware, noise, claims, draws.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from answer_methods import picture, unit_of
from main_data import KEPT, MADE, RUNS, Results, collected
from main_words import goals, on_test, sensitivity
from make_kept import with_kept
from pages import RESULTS, listed, recorded_in, table
from study_rows import Study

from smemnas.bench.report.cells import number
from smemnas.bench.studies.information import TOLD

#: What each plan asks.
TITLES = {
    "main": "The published comparison",
    "noise": "The comparison under noise",
    "claims": "Surrogates and inner searches, everything else equal",
    "hardware": "Several measured objectives",
    "draws": "The same methods on posterior draws of mnv3",
}
FIGURE = "regret.svg"
#: Which problems served to develop what of ours, by place and objectives; what is not here served nothing.
TWO = ("val_error+flops", "error+flops")
ALL_FIVE = ("nb201/cifar10", "nb201/cifar100", "macro/cifar10", "nats_sss/cifar10", "mnv3/ofa")
TUNED = ("nb201/cifar10", "mnv3/ofa")


def developed(problem: str, objectives: str, methods: Sequence[str]) -> str:
    """Return what of ours among the methods was developed on a problem, with other seeds; "" where nothing was."""
    place = problem.split(" ")[0].split("+noise")[0].split("+draw")[0]
    if objectives in TWO:
        ours = "smemnas/alternating" if "smemnas/alternating" in methods else "smemnas/adaptive"
        found = [f"`{ours}` and its parts"] * (place in ALL_FIVE) + ["`/tuned` presets"] * (place in TUNED)
        return ", ".join(found)
    return "an encoding for each objective, the choice of the champion" if place == "nb201/cifar10" else ""


def introduction(name: str, results: Results, study: Study) -> list[str]:
    """Return title, versions, what the numbers are, and the picture."""
    unit = "random search" if unit_of(study) == "random" else unit_of(study)
    caption = (
        f"Mean regret as a share of that of {unit}, a dot for each problem; methods with runs on all of them, "
        "by mean rank, best first. What lies beyond the axis is an arrow."
    )
    return [
        f"# {TITLES.get(name, f'Results of {name}')}",
        "",
        *([results.made, ""] if results.made else []),
        "Regrets are means over seeds with 95 % intervals; smaller is better. With `+noise` they are of the true "
        "values of the reported set, else of the values that were searched: a table of single trainings (macro) can "
        "then be beaten by luck, which is a regret below 0.",
        "",
        f"![{caption}]({FIGURE})",
        "",
        caption,
        "",
    ]


def how(name: str, results: Results) -> list[str]:
    """Return how it was measured, and what served development."""
    seeds = sorted({len(v) for (_, _, column), v in results.values.items() if column == f"regret_{results.at[-1]}"})
    runs = sum(len(v) for (_, _, column), v in results.values.items() if column == "seconds")
    number_of = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    served = {p: developed(p, o, results.methods) for p, o in results.objectives.items()}
    lines = [
        "## How it was measured",
        "",
        f"`study --plan {name}`: {len(results.methods)} methods on {len(results.problems)} problems, {number_of} "
        f"seeds, {results.at[-1]} evaluations ({runs:,} runs). Written by `python docs/make_main.py {name}` from "
        "[study.csv](study.csv), [champion.csv](champion.csv), [caps.csv](caps.csv) and [runs.csv](runs.csv); "
        "what the words mean stands in [study.md](study.md), how often intervals hold in "
        "[intervals.md](../../intervals.md).",
        "",
        "**Which problems served development** (with other seeds, 1000 and up):",
        "",
        *table(
            ("problem", "objectives", "served"),
            [[p, results.objectives[p], s or "nothing of ours"] for p, s in served.items()],
            words=3,
        ),
    ]
    if " runs at " in results.made:
        about = "a fault of their method was mended (CHANGELOG, Results changed), and the same seeds run again"
        lines += [f"The runs of a later commit than most: {about}.", ""]
    lines += _untuned(results)
    fresh = [p for p, s in served.items() if not s]
    return [*lines, f"Served nothing of ours: {', '.join(fresh)}." if fresh else "All of them served.", ""]


def _untuned(results: Results) -> list[str]:
    """Return which baselines nobody tuned, and for what the settings of the others were chosen."""
    foreign = [name for name, (_, own) in results.methods.items() if not own and name != "random"]
    plain = [name for name in foreign if "/" not in name and f"{name}/tuned" not in results.methods]
    lines = [f"At their defaults, not tuned: {listed(plain)}.", ""] if plain else []
    if any(name.endswith("/tuned") for name in foreign) and any(o.count("+") > 1 for o in results.objectives.values()):
        lines += [
            "The settings of `/tuned` were chosen for two objectives, error and flops; nobody tuned for more.",
            "",
        ]
    return lines


def regrets(results: Results) -> list[str]:
    """Return mean regrets by track, a table for each checkpoint; observed ones beside them under noise."""
    lines = ["## Mean regret", ""]
    for at in reversed(results.at):
        rows = []
        for method, (track, _) in results.methods.items():
            found = [results.row_of(results.study, problem, method, at) for problem in results.problems]
            rows.append([f"`{method}` {track}", *map(_regret, found)])
        lines += [f"After {at} evaluations{_shown(results)}:", ""]
        lines += table(("method, track", *results.problems), rows)
    told = "; ".join(f"{track}: {text}" for track, text in TOLD.items())
    return [*lines, f"Tracks: {told}. Across tracks a comparison is one of what methods are told, too.", ""]


def _shown(results: Results) -> str:
    return " (in brackets: observed regret)" if "observed_regret" in results.study[0] else ""


def _regret(row: Mapping[str, str] | None) -> str:
    if row is None or not row["regret"]:
        return "-"
    limits = f" [{_n(row['regret_low'])}, {_n(row['regret_high'])}]" if row["regret_low"] else ""
    observed = f" ({_n(row['observed_regret'])})" if row.get("observed_regret") else ""
    return f"{_n(row['regret'])}{limits}{observed}"


def _n(text: str, digits: int = 4) -> str:
    return number(float(text), digits) if text else "-"


def primary(results: Results) -> list[str]:
    """Return the primary comparison: ratio, verdict, and beside = what would have been found."""
    end = results.at[-1]
    rows = [row for row in results.champion if row["family"] == "primary" and row["evaluations"] == str(end)]
    if not rows:
        return []
    champion = rows[0]["champion"]
    lines = [f"## Primary comparison: `{champion}` against each other method", ""]
    lines += [
        f"Stated before the runs, one Holm family of {rows[0]['family_size']} exact paired tests at {end} evaluations. "
        "Ratio of mean regrets (difference in brackets where a mean is negative) and verdict: + better, - worse, = no "
        "difference shown, ? too few pairs. Beside =: the smallest difference of regret that these runs would have "
        "found in 80 % of studies.",
        "",
    ]
    cells, counts = [], dict.fromkeys("+-=?", 0)
    for method, (track, _) in results.methods.items():
        if method == champion:
            continue
        found = [results.row_of(results.champion, problem, method, end) for problem in results.problems]
        for row in found:
            if row is not None and verdict(row):
                counts[verdict(row)] += 1
        cells.append([f"`{method}` {track}", *map(_duel, found)])
    lines += table(("method, track", *results.problems), cells)
    return [
        *lines,
        f"Better in {counts['+']}, worse in {counts['-']}, no difference shown in {counts['=']} of "
        f"{sum(counts.values())} comparisons" + f", too few pairs in {counts['?']}" * bool(counts["?"]) + ".",
        "",
    ]


def verdict(row: Mapping[str, str]) -> str:
    """Return the verdict of a row of champion.csv as the study has it."""
    from smemnas.bench.metrics.statistics import SIGNIFICANCE, smallest_p

    if not row["p_holm"]:
        return ""
    if float(row["p_holm"]) < SIGNIFICANCE:
        return "+" if float(row["difference"]) < 0 else "-"
    return "?" if smallest_p(int(row["family_size"]), int(row["pairs"])) >= SIGNIFICANCE else "="


def _duel(row: Mapping[str, str] | None) -> str:
    if row is None or not row["pairs"] or not verdict(row):
        return "-"
    ratio = _n(row["ratio"], 2) if row["ratio"] else f"({float(row['difference']):+.4f})"
    least = f" ({_n(row['detectable'])})" if verdict(row) == "=" and row.get("detectable") else ""
    return f"{ratio} {verdict(row)}{least}"


def contrasts(results: Results) -> list[str]:
    """Return the plan's contrasts at the budget, and what each of them says over all problems."""
    end, lines = results.at[-1], []
    for family in dict.fromkeys(row["family"] for row in results.contrasts):
        members = [row for row in results.contrasts if row["family"] == family]
        cells, said = [], []
        for name in dict.fromkeys(row["contrast"] for row in members):
            found = {
                p: row
                for p in results.problems
                for row in members
                if row["contrast"] == name and results.is_on(row, p, end)
            }
            cells.append([name, *(_contrast(found.get(p)) for p in results.problems)])
            said.append(_over_problems(name, list(found.values())))
        lines += [
            f"{family[:1].upper()}{family[1:]}, mean paired difference of regret, first minus second, with interval:",
            "",
        ]
        lines += [*table(("contrast", *results.problems), cells), *said, ""]
    about = "Exact paired tests, Holm within each family (all problems and checkpoints): + first better, - worse."
    return [f"## Contrasts after {end} evaluations", "", about, "", *lines] if lines else []


def _contrast(row: Mapping[str, str] | None) -> str:
    if row is None or not row["difference"]:
        return "-"
    limits = f" [{float(row['difference_low']):+.4f}, {float(row['difference_high']):+.4f}]" * bool(
        row["difference_low"]
    )
    return f"{float(row['difference']):+.4f}{limits} {verdict(row)}"


def _over_problems(name: str, rows: Sequence[Mapping[str, str]]) -> str:
    """Return on how many problems a contrast is significant, and which differences its intervals leave open."""
    verdicts = [verdict(row) for row in rows]
    ends = [abs(float(row[f"difference_{end}"])) for row in rows for end in ("low", "high") if row[f"difference_{end}"]]
    text = f"* {name}: the first is better on {verdicts.count('+')}, worse on {verdicts.count('-')}, "
    text += f"no difference is shown on {verdicts.count('=')} of {len(rows)} problems"
    text += f", too few pairs on {verdicts.count('?')}" * bool(verdicts.count("?"))
    return text + (f"; on none do the intervals leave a difference above {max(ends):.4f} open." if ends else ".")


def caps(results: Results) -> list[str]:
    """Return the true error under three cost caps at the budget, a table for each problem that has them."""
    end, lines = results.at[-1], []
    for problem in results.problems:
        rows = [row for row in results.caps if results.is_on(row, problem, end)]
        if not rows:
            continue
        columns = list(
            dict.fromkeys((row["cap"], f"{row['cost']} <= {float(row['cap']):g} {row['unit']}") for row in rows)
        )
        of = {(row["method"], row["cap"]): row for row in rows}
        cells = [
            [f"`{m}` {track}", *(_error(of.get((m, cap))) for cap, _ in columns)]
            for m, (track, _) in results.methods.items()
        ]
        best = {row["cap"]: row["best_possible"] for row in rows}
        cells.append(["best possible", *(_n(best[cap], 3) for cap, _ in columns)])
        lines += [f"{problem}:", "", *table(("method, track", *(head for _, head in columns)), cells)]
    return ["## Error (%) under cost caps", "", *lines] if lines else []


def _error(row: Mapping[str, str] | None) -> str:
    if row is None or not row["error"]:
        return "-"
    fewer = f" (n={row['n']} of {row['runs']})" if row["n"] != row["runs"] else ""
    return _n(row["error"], 3) + fewer


def arrivals(results: Results) -> list[str]:
    """Return evaluations to the baseline's final regret."""
    end, cells, targets = results.at[-1], [], {}
    for method, (track, _) in results.methods.items():
        row = [f"`{method}` {track}"]
        for problem in results.problems:
            found = results.row_of(results.study, problem, method, end)
            if found is None or not found["target"]:
                row.append("-")
                continue
            targets[problem] = found["target"]
            median = float(found["evaluations_to_target"] or "nan")
            row.append(f"{f'>{end}' if math.isinf(median) else number(median, 0)} ({found['reached']}/{found['n']})")
        cells.append(row)
    baseline = next((row["baseline"] for row in results.study if row["baseline"]), "")
    lines = ["## Evaluations to a target", ""]
    lines += [
        f"Median evaluations until regret is that of `{baseline}` at the budget ("
        + ", ".join(f"{p}: {_n(t)}" for p, t in targets.items())
        + "); in brackets runs that got there.",
        "",
    ]
    return [*lines, *table(("method, track", *results.problems), cells)] if targets else []


def times(results: Results) -> list[str]:
    """Return seconds per run by method and problem."""
    cells = []
    for method, (track, _) in results.methods.items():
        medians = [[results.typical(p, method, c) for c in ("seconds", "method_seconds")] for p in results.problems]
        shown = [f"{number(whole, 1)} ({number(own, 1)})" if whole == whole else "-" for whole, own in medians]
        cells.append([f"`{method}` {track}", *shown])
    lines = [
        "## Run time",
        "",
        "Median seconds of a run (of these in the method), on a machine shared with other work.",
        "",
    ]
    return [*lines, *table(("method, track", *results.problems), cells)]


def words(results: Results) -> list[str]:
    """Return who is best where, with what is not told from it."""
    end, lines = results.at[-1], ["## Who is best", ""]
    for problem in results.problems:
        rows = {m: results.row_of(results.study, problem, m, end) for m in results.methods}
        known = {m: row for m, row in rows.items() if row is not None and row["regret"]}
        best = min(known, key=lambda m: float(known[m]["regret"]))
        foreign = results.best(problem, [m for m in known if not results.methods[m][1]], end)
        same = [m for m, row in known.items() if row["mark"] == "equal"]
        text = f"* **{problem}**: `{best}` ({_n(known[best]['regret'])}); not told from it: {listed(same)}."
        if foreign and foreign != best:
            text += f" Best foreign method: `{foreign}` ({_n(known[foreign]['regret'])})."
        if "random" in known:
            chance = float(known["random"]["regret"])
            behind = [m for m, row in known.items() if m != "random" and float(row["regret"]) > chance]
            text += f" Behind random search in the mean: {listed(behind)}." if behind else ""
        lines.append(text)
    return [*lines, ""]


def picture_of(folder: Path) -> str:
    """Return the picture of a page from the files of its folder."""
    return picture(Study(folder), TITLES.get(folder.name, f"Results of {folder.name}"))


def page(name: str, folder: Path) -> str:
    """Return the text of a page from the files of its folder."""
    results = Results(folder)
    champion = next((row["champion"] for row in results.champion), "")
    parts = [
        introduction(name, results, Study(folder)),
        words(results),
        primary(results),
        goals(results, champion),
        on_test(results, champion),
        contrasts(results),
    ]
    parts += [regrets(results), caps(results), arrivals(results), sensitivity(results), times(results)]
    parts.append(how(name, results))
    return with_kept("\n".join(line for part in parts for line in part), folder)


def keep(folder: Path, made: Mapping[str, str], version: str) -> None:
    """Write the files of a page; tables in Markdown say which version made them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*KEPT, RUNS):
        if name not in made:
            (folder / name).unlink(missing_ok=True)
            continue
        title, _, rest = made[name].partition("\n")
        text = f"{title}\n\n{version}\n{rest}" if name.endswith(".md") else made[name]
        (folder / name).write_text(text, encoding="utf-8")
    (folder / MADE).write_text(version + "\n", encoding="utf-8")


def record(folder: Path, commit: str) -> None:
    """Name the commit that holds a page in all its files."""
    before = (folder / MADE).read_text(encoding="utf-8").strip()
    after = f"{before.split(';')[0].rstrip('.')}; recorded in commit {commit}."
    for file in (folder / MADE, *folder.glob("*.md")):
        file.write_text(file.read_text(encoding="utf-8").replace(before, after, 1), encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Make a page as the command line says."""
    recorded = recorded_in(arguments)
    name, *sources = arguments
    folder = RESULTS / name
    if sources:
        made, version = collected(sources)
        keep(folder, made, version)
    if recorded:
        record(folder, recorded)
    (folder / FIGURE).write_text(picture_of(folder), encoding="utf-8")
    (folder / "README.md").write_text(page(name, folder), encoding="utf-8")
    for file in folder.glob("*.md"):
        file.write_text(with_kept(file.read_text(encoding="utf-8"), folder), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

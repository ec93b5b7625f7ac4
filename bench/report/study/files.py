"""A study on paper: CSV, Markdown and LaTeX.

All files but times.csv (and the last section of study.md) depend on the runs' logs alone, so they are the same
however the study was run, interrupted or split.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from smemnas.bench.benchmarks.case import Case, benchmark_of, known_reference
from smemnas.bench.errors import RunError
from smemnas.bench.files import make_folder, write_text
from smemnas.bench.metrics.indicators import is_approximated
from smemnas.bench.metrics.intervals import RULE
from smemnas.bench.metrics.statistics import BEST, SIGNIFICANCE, smallest_p
from smemnas.bench.outputs import head
from smemnas.bench.report.cells import Section, markdown_table, to_csv
from smemnas.bench.report.run import APPROXIMATED
from smemnas.bench.report.study.incumbents import FILE as INCUMBENTS_FILE
from smemnas.bench.report.study.incumbents import incumbent_records, incumbent_text
from smemnas.bench.report.study.judged import judged_texts, measured_text
from smemnas.bench.report.study.latex import MADE, all_of
from smemnas.bench.report.study.latex import tables as latex_tables
from smemnas.bench.report.study.primary import on_families
from smemnas.bench.report.study.records import (
    cap_records,
    champion_records,
    contrast_records,
    curve_records,
    rank_records,
    reach_records,
    study_records,
    time_records,
    trial_records,
)
from smemnas.bench.report.study.sections import sections, time_sections
from smemnas.bench.report.study.single import single_text
from smemnas.bench.report.study.trained import FILE as TRAINED_FILE
from smemnas.bench.report.study.trained import trained_records
from smemnas.bench.runs.job import Job
from smemnas.bench.runs.listing import notes_of
from smemnas.bench.studies.execution import DONE, FAILED, MISSING
from smemnas.bench.studies.information import on_tracks, signs_of
from smemnas.bench.studies.question import most_pairs
from smemnas.bench.studies.tables import Tables
from smemnas.bench.studies.trials import Trial, spent
from smemnas.bench.values import seed_text

#: Failed runs shown on screen and in study.md; trials.csv has them all.
FAILURES_SHOWN = 12
#: A study with more rows in its main table has its tables on single problems in a file of their own.
ROWS_SHOWN = 60
DETAILS = "details.md"
#: What readers of a study under noise are told.
ON_NOISE = (
    "Noise: regret and all other indicators are of the true values (without noise, averaged over trainings) of the "
    "reported set: what a method recommends, else the front of what it was shown. Observed: the regret that the log "
    "shows. Optimism: true minus observed regret, by how much the log flatters; a log can beat the reference front, "
    "which is of true values."
)
#: What readers of a study whose budget is training time are told.
ON_TIME = (
    ". Checkpoints are times of training: what was finished by then counts, 1 is the regret of nothing. The mean "
    "regret so far is over time"
)
#: Folder of the LaTeX tables.
LATEX = "tables"


def write_study(out: Path, tables: Tables) -> None:
    """Write the study's files, and remove those of an earlier study that this one has nothing for.

    Raises:
        RunError: A file cannot be written.
    """
    made = texts(tables)
    _remove_old_tables(out / LATEX, {out / name for name in made})
    for name, text in made.items():
        if text:
            make_folder((out / name).parent)
            write_text(out / name, text)
        else:
            _remove(out / name)


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {file.parent}: {error.strerror}. Choose another folder with --out.") from error


def _remove_old_tables(folder: Path, kept: set[Path]) -> None:
    """Remove the LaTeX tables of an earlier study that this one does not have."""
    for file in sorted(folder.glob("*.tex")) if folder.is_dir() else []:
        if file not in kept and head(file).startswith(MADE.encode()):
            _remove(file)


def texts(tables: Tables) -> dict[str, str]:
    """Return the text of each file; empty where there is nothing to say."""
    records = {
        "study.csv": study_records(tables),
        "trials.csv": trial_records(tables),
        "times.csv": time_records(tables),
        "ranks.csv": rank_records(tables),
        "champion.csv": champion_records(tables),
        "contrasts.csv": contrast_records(tables),
        "curves.csv": curve_records(tables),
        "caps.csv": cap_records(tables),
        "ecdf.csv": reach_records(tables),
        INCUMBENTS_FILE: incumbent_records(tables),
        TRAINED_FILE: trained_records(tables),
    }
    latex = latex_tables(sections(tables), signs_of(tables.plan))
    return {
        "study.md": markdown(tables),
        DETAILS: details(tables),
        "study.tex": all_of(latex, LATEX),
        **{f"{LATEX}/{table.name}.tex": table.text for table in latex},
        **{name: to_csv(lines) if lines else "" for name, lines in records.items()},
    }


def conventions(tables: Tables) -> list[str]:
    """Return what a reader must know to read the numbers."""
    plan = tables.plan
    seeds = len(plan.seeds)
    fewer = "".join(f", {name} only {seed_text(own)}" for name, own in plan.seeds_of.items())
    lines = [
        f"Baseline: {plan.baseline}. Seeds: {seed_text(plan.seeds)}{fewer}; runs of a seed are paired. Budget: "
        f"{plan.after(plan.end)}{ON_TIME * bool(plan.budget_time)}.",
        "Regret: 1 - HV/HV(reference front) on the searched split, reference point 1.1 in the space normalised by the "
        "reference front's ideal and nadir point, hence without a unit. Mean regret so far: the mean over 1, 2, ... "
        "evaluations up to the checkpoint, that is the area under the regret curve over its length; before the first "
        "point within the reference point regret is 1. IGD+ and additive epsilon: to the reference front, in the same "
        "space. Smaller is better in every column but A12.",
        f"Intervals: 95 %, {RULE}; that of a ratio of means holds 1 where that of the difference holds 0 (Fieller); of "
        "ratios of medians by resampling. Ratio: of the mean regrets, method over baseline.",
    ]
    lines += on_tracks(plan)
    lines += on_marks(tables)
    lines += judged_texts(tables)
    lines += incumbent_text(tables)
    lines += single_text(plan)
    if any(0 < r.n < seeds for r in tables.rows):
        lines.append(f"n=...: finished runs where they are fewer than the {seeds} seeds; means are over these.")
    lines += on_families(tables)
    if any(t.seeds for t in tables.seed_ranks):
        lines.append(
            "Mean ranks within seeds: by regret, 1 is best; only seeds that all these methods finished count, without "
            "methods that have less than half as many runs as the one with most. Friedman's test, corrected for ties. "
            "Mean ranks that differ by less than the critical difference (Nemenyi, all pairs, level "
            f"{SIGNIFICANCE}) are joined in the diagrams. Secondary, and no verdict on a pair: a mean rank depends on "
            "which methods take part. Verdicts are those of the paired tests."
        )
    lines += [ON_NOISE] * any(r.observed for r in tables.rows)
    if tables.problem_ranks:
        lines.append(
            "Ranks across problems: of the mean regrets, averaged over the problems without a test; seeds of different "
            "problems are never pooled. A mean over fewer than all problems says so."
        )
    if tables.champion:
        lines.append(
            f"{plan.champion} against each other method: ratio and difference of mean regrets, {plan.champion} over "
            "(minus) the other, below 1 (0) in its favour; the last column counts verdicts. In brackets: the "
            "difference, where a mean regret is negative (a search that sees one of several trainings can beat the "
            "front of their means) and a ratio says nothing."
        )
    if any(a.ratio for a in tables.arrivals):
        source = "the baseline's mean regret at the budget" if plan.target is None else "given"
        lines.append(
            f"Target: {source}. Runs that do not reach it are censored at the budget; <= and >= mark ratios that "
            "censoring makes upper and lower bounds."
        )
    if tables.contrasts:
        lines.append(
            "Contrasts (secondary beside a primary comparison): mean paired difference of regret, first minus second; "
            "negative and A12 above 0.5 mean that the first is better. Holm within each family, over all its cases and "
            "checkpoints."
        )
    return lines + [line for case in plan.cases for line in _on_case(tables, case)]


def on_marks(tables: Tables, *, signs: bool = False) -> list[str]:
    """Return what is marked in the tables, and by what; nothing where nothing is.

    Args:
        tables: The study.
        signs: Whether values are marked by signs too, as on a console.
    """
    plan = tables.plan
    if len(plan.variants) < 2 or all(r.mark != BEST for r in tables.rows):
        return []
    best, equal = ("Bold and *", "Underlined and ~") if signs else ("Bold", "Underlined")
    text = f"{best}: the best mean. {equal}: not significantly different from it. ?: too few runs to tell. Not marked: "
    text += "different. A pair that a family below compares has its verdict; others, secondary: exact paired Wilcoxon, "
    text += "Holm over the methods of that column. Mean ranks: only the best is marked."
    pairs = most_pairs(plan)
    lowest = smallest_p(len(plan.variants) - 1, pairs)
    if not pairs:
        text += " No two methods have a seed in common, so none is compared with another."
    elif lowest >= SIGNIFICANCE:
        text += f" So few seeds cannot show a difference (smallest adjusted p: {lowest:.3f})."
    return [text]


def _on_case(tables: Tables, case: Case) -> list[str]:
    """Return by what the runs of a case are measured, and what is to be said of them and of the data."""
    lines = []
    reference = tables.references[case]
    if case.reference:
        lines.append(f"{case}: all indicators are taken {measured_text(case, reference)}.")
    if reference is None:
        lines.append(f"{case}: no reference front is known and no run is finished, so there is no regret.")
    elif known_reference(case) is None:
        lines.append(
            f"{case}: no reference front is known; that of all finished runs of this study stands for it, so "
            "regrets compare these runs only and change when others join. Test errors: in the runs' own reports."
        )
    elif not reference.exact:
        lines.append(f"{case}: the reference front is the best known one, not proven.")
    lines += [f"{case}: {text}" for text in remarks(tables, case)]
    lines += [f"{case}: {note}" for note in notes_of(benchmark_of(case))]
    return lines


def remarks(tables: Tables, case: Case) -> list[str]:
    """Return what a reader must know of the finished runs of a case: which ended early, and which found nothing."""
    plan, reference = tables.plan, tables.references[case]
    done = [t for t in tables.trials if t.case == case and t.status == DONE]
    lines = []
    for name in (v.name for v in plan.variants):
        own = [t for t in done if t.variant == name]
        short = [t for t in own if not spent(plan, len(t.F), t.clock)]
        if short:
            counts = sorted({len(t.F) for t in short})
            range_ = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
            of = f" of {plan.budget} evaluations" if not plan.budget_time else " evaluations"
            seeds = seed_text(sorted(t.job.seed for t in short))
            why = sorted({t.reason.partition(": ")[2] for t in short} - {""})
            lines.append(
                f"{name}, seed {seeds}, ended early, after {range_}{of}"
                f"{': ' + ' '.join(why) if why else '.'} The last values count at later checkpoints."
            )
        barren = [t for t in own if not np.isfinite(t.F).all(axis=1).any()]
        if barren:
            which = "no run" if len(barren) == len(own) else f"not seed {seed_text(sorted(t.job.seed for t in barren))}"
            lines.append(f"{name}: {which} has a feasible evaluation that succeeded; the regret of nothing is 1.")
    if reference is not None and any(is_approximated(t.F, reference.front, reference.box) for t in done):
        lines.append(APPROXIMATED)
    return lines


def failures(tables: Tables) -> list[str]:
    """Return one line for each group of failed runs with the same reason, and one for missing runs."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for t in tables.unfinished():
        if t.status == FAILED:
            groups.setdefault((t.variant, str(t.case), t.reason), []).append(t.job.seed)
    lines = [
        f"{variant} on {case}, seed {seed_text(seeds)}: {reason}" for (variant, case, reason), seeds in groups.items()
    ]
    if len(lines) > FAILURES_SHOWN:
        lines[FAILURES_SHOWN:] = [f"... and {len(lines) - FAILURES_SHOWN} more in trials.csv"]
    missing: list[Trial] = [t for t in tables.unfinished() if t.status == MISSING]
    if missing:
        lines.append(f"{len(missing)} of {len(tables.trials)} runs have not been made yet.")
    return lines


def is_large(tables: Tables) -> bool:
    """Whether the tables on single problems have a file of their own."""
    return len(tables.rows) > ROWS_SHOWN


def markdown(tables: Tables) -> str:
    """Return the study as Markdown; what differs from run to run, the times, comes last."""
    plan = tables.plan
    lines = ["# Study", "", "| method | runs |", "|---|---|"]
    for v in plan.variants:
        label = Job(v.method, "", "", (), 1, params=v.params).label.replace("|", "\\|")
        lines.append(f"| {v.name} | `{label}` |")
    lines += ["", *(f"- {text}" for text in conventions(tables)), ""]
    if is_large(tables):
        lines += [f"Tables with tests, intervals and further indicators for each problem: [{DETAILS}]({DETAILS}).", ""]
    lines += _headed(s for s in sections(tables) if not (s.detail and is_large(tables)))
    failed = failures(tables)
    if failed:
        lines += ["## Unfinished runs", "", *(f"- {text}" for text in failed), ""]
    return "\n".join(lines + _headed(time_sections(tables)))


def details(tables: Tables) -> str:
    """Return the tables on single problems of a large study as Markdown; nothing for a small one."""
    if not is_large(tables):
        return ""
    lines = ["# Details of the study", "", "What the columns mean stands in [study.md](study.md).", ""]
    return "\n".join(lines + _headed(s for s in sections(tables) if s.detail))


def _headed(chosen: Iterable[Section]) -> list[str]:
    return [line for s in chosen for line in (f"## {s.title}", "", *markdown_table(s), "")]

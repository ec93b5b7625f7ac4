"""A ranking study on paper and on screen: CSV, Markdown, LaTeX and the terminal.

All files but times.csv (and the last section of ranking.md) depend on the scores in the log alone, so they are the
same however the study was run or interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.files import write_text
from smemnas.bench.metrics.intervals import RULE
from smemnas.bench.metrics.order import CALIBRATION, METRICS
from smemnas.bench.metrics.statistics import BEST, EQUAL, SIGNIFICANCE
from smemnas.bench.program import named
from smemnas.bench.ranking.plan import DEVELOPMENT_SEEDS, DEVELOPMENT_TRAIN
from smemnas.bench.ranking.tables import ContrastCell, RankCell, RankEntry, RankTables, TableKey, smallest_p
from smemnas.bench.ranking.trial import CALIBRATED, FOLDS
from smemnas.bench.report.cells import p_value, span, to_csv
from smemnas.bench.report.ranking.records import cell_records, contrast_records, time_records, trial_records
from smemnas.bench.values import seed_text
from smemnas.surrogates.base import SURROGATES

FAILURES_SHOWN = 12
#: Quantities known without training that the terminal shows in each table.
COLUMNS_SHOWN = 4
FILES = "ranking.md, ranking.csv, ranking.tex, trials.csv, times.csv"
Styled = Callable[[RankCell], str]


def write_ranking(out: Path, tables: RankTables) -> None:
    """Write the study's files.

    Raises:
        RunError: A file cannot be written.
    """
    write_text(out / "ranking.csv", to_csv(cell_records(tables)))
    write_text(out / "trials.csv", to_csv(trial_records(tables)))
    write_text(out / "times.csv", to_csv(time_records(tables)))
    (out / "contrasts.csv").unlink(missing_ok=True)
    if tables.contrasts:
        write_text(out / "contrasts.csv", to_csv(contrast_records(tables)))
    write_text(out / "ranking.md", markdown(tables))
    write_text(out / "ranking.tex", latex(tables))


# --- tables as texts


def titles(tables: RankTables) -> list[tuple[str, TableKey]]:
    """Return every table with its title, Kendall's tau first."""
    order = {metric.name: at for at, metric in enumerate((*METRICS, *CALIBRATION))}
    places = sorted(tables.places(), key=lambda p: order[p.metric.name])
    where = f"{tables.plan.space}/{tables.plan.dataset}"
    return [(f"{p.metric.title} against {p.truth}, {p.pool} pool, {where}", p) for p in places]


def grid(tables: RankTables, place: TableKey, styled: Styled, columns: int | None = None) -> list[list[str]]:
    """Return the cells of one table: surrogate, encoding, one column per training size.

    Args:
        tables: The study.
        place: The table.
        styled: Makes the text of a cell.
        columns: Of the quantities known without training show only so many, the best ones, and those measured for
            this study; None shows all.
    """
    at = {(c.entry, c.n_train): c for c in tables.cells if c.place == place}
    sign = -1.0 if place.metric.larger_is_better else 1.0
    free = [e for e in tables.entries if not e.encoding]
    measured = [e for e in free if e.name in tables.data.measured_names]
    others = sorted(
        (e for e in free if e not in measured),
        key=lambda e: _or_last(sign * at[e, tables.plan.n_train[-1]].mean.value),
    )
    kept = others[:columns] + measured
    rows = []
    for entry in tables.entries:
        cells = [at[entry, n] for n in tables.plan.n_train]
        if entry in free and entry not in kept:
            continue
        if any(c.n for c in cells) or entry.learns:
            rows.append([entry.name, entry.encoding or "-", *(styled(c) if c.n else "-" for c in cells)])
    return rows


def _or_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def plain(c: RankCell) -> str:
    """Return mean and standard deviation of a cell."""
    digits = c.place.metric.digits
    return f"{c.mean.value:.{digits}f}" + (f" ± {c.sd:.{digits}f}" if math.isfinite(c.sd) else "")


def _markdown_cell(c: RankCell) -> str:
    mean, space, rest = plain(c).partition(" ")
    mean = {BEST: f"**{mean}**", EQUAL: f"<u>{mean}</u>"}.get(c.mark, mean)
    return mean + space + rest


def _latex_cell(c: RankCell) -> str:
    mean, _, rest = plain(c).partition(" ± ")
    mean = {BEST: rf"\textbf{{{mean}}}", EQUAL: rf"\underline{{{mean}}}"}.get(c.mark, mean)
    return mean + (rf" {{\scriptsize$\pm$ {rest}}}" if rest else "")


def contrast_rows(tables: RankTables, metric: str = "tau") -> list[tuple[str, list[list[str]]]]:
    """Return for each pool and truth the table of contrasts of one metric."""
    found = []
    for place in tables.places():
        members = [c for c in tables.contrasts if c.place == place and place.metric.name == metric]
        if members:
            title = f"Difference of {place.metric.title} against {place.truth}, {place.pool} pool"
            found.append((title, [_contrast_cells(c) for c in members]))
    return found


CONTRAST_HEAD = ("contrast", "n", "pairs", "difference", "95 % interval", "p (Holm)")


def _contrast_cells(c: ContrastCell) -> list[str]:
    first, second = c.first.name, c.second.name
    encodings = (
        c.first.encoding if c.first.encoding == c.second.encoding else f"{c.first.encoding} | {c.second.encoding}"
    )
    return [
        f"{first} minus {second} ({encodings})",
        str(c.n_train),
        str(c.pairs),
        "-" if math.isnan(c.difference.value) else f"{c.difference.value:+.4f}",
        span(c.difference),
        p_value(c.p_holm),
    ]


TIME_HEAD = ("surrogate", "encoding")


def time_rows(tables: RankTables) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table of times.

    Mean CPU seconds of fit + rank at each size, largest growth of the resident memory, CPU seconds of all trials with
    their calibration, and the share of the study that this is.
    """
    plan = tables.plan
    pool = plan.pools[0]
    spent: dict[RankEntry, float] = {}
    rows = []
    for entry in tables.entries:
        mine = [t for t in tables.trials if t.entry == entry and t.pool == pool]
        if not mine or not (entry.learns or entry.name in tables.data.measured_names):
            continue
        cells = []
        for n in plan.n_train:
            fit, rank = (_mean([t.seconds(what) for t in mine if t.n_train == n]) for what in ("fit", "rank"))
            cells.append("-" if math.isnan(fit) else f"{fit + rank:.2g}")
        memory = [m for t in mine if math.isfinite(m := t.seconds("memory_mb"))]
        seconds = [t.seconds(what) for t in mine for what in ("fit", "rank", "calibrate")]
        spent[entry] = (
            float(np.nansum(seconds)) if entry.learns else math.nan
        )  # a proxy is measured once for all trials
        rows.append([entry.name, entry.encoding or "-", *cells, f"{max(memory):.0f}" if memory else "-"])
    total = float(np.nansum(list(spent.values())))
    for row, own in zip(rows, spent.values(), strict=True):
        row += ["-", "-"] if math.isnan(own) else [f"{own:.1f}", f"{100.0 * own / total:.1f} %" if total > 0 else "-"]
    head = [*TIME_HEAD, *(f"n={n}" for n in plan.n_train), "MB", "all (s)", "share"]
    return head, rows


def proxy_times(tables: RankTables) -> list[str]:
    """Return a line on what an architecture costs each measured proxy, where there are some."""
    texts = []
    for name in tables.data.measured_names:
        rows = [t.row for t in tables.trials if t.entry.name == name and t.status == "ok" and t.row is not None]
        spent = sum(row["time"]["rank"] for row in rows)
        if rows:
            texts.append(f"{name} {1000 * spent / sum(row['n_ranked'] for row in rows):.3g}")
    return [f"CPU milliseconds per architecture, building it included: {', '.join(texts)}."] if texts else []


def _mean(values: Sequence[float]) -> float:
    finite = [v for v in values if math.isfinite(v)]
    return float(np.mean(finite)) if finite else math.nan


# --- words


def conventions(tables: RankTables) -> list[str]:
    """Return what a reader must know to read the numbers."""
    plan, data = tables.plan, tables.data
    ranked = {
        p: sorted({t.row["n_ranked"] for t in tables.trials if t.row and t.status == "ok" and t.pool == p})
        for p in plan.pools
    }
    sizes = ", ".join(
        f"{pool}: {values[0]:,}" + (f" to {values[-1]:,}" if values[-1] != values[0] else "")
        for pool, values in ranked.items()
        if values
    )
    lines = [
        f"{len(data.X):,} architectures; trained on {data.searched}, ranked unseen ones: {sizes}. "
        f"Seeds {seed_text(plan.seeds)}: each draws one split for all surrogates, nested over n. Columns: n.",
        f"Best per column bold, not significantly worse underlined (exact paired Wilcoxon, Holm over the column's "
        f"surrogates, {SIGNIFICANCE}). Controls, which learn nothing, are not tested. Mean and standard deviation over "
        f"seeds; intervals in ranking.csv: 95 %, {RULE}.",
    ]
    if smallest_p(plan, tables.entries) >= SIGNIFICANCE:
        lines.append(
            f"With {len(plan.seeds)} seeds and this many surrogates no difference can be significant "
            f"(smallest adjusted p: {smallest_p(plan, tables.entries):.3f}), so nothing is underlined."
        )
    largest = [t for t in tables.trials if t.pool == plan.pools[0] and t.n_train == plan.n_train[-1]]
    twins = [t.row["twins"] for t in largest if t.row and t.status == "ok"]
    if plan.split == "graph":
        lines.append("Split by graph: no ranked architecture builds the same network as a training one.")
    elif twins and max(twins) > 0:
        lines.append(
            f"Split by genotype, as published studies do: at n={plan.n_train[-1]}, {100 * float(np.mean(twins)):.0f} % "
            f"of the {plan.pools[0]} pool have an isomorphic twin in the training set, which lifts every surrogate; "
            "--split graph removes them."
        )
    if plan.encodings == ("best",):
        first, last = DEVELOPMENT_SEEDS[0], DEVELOPMENT_SEEDS[-1]
        lines.append(
            "Encoding: for each surrogate the one with the best mean tau on development draws of the same table "
            f"(seeds {first}-{last}, n={DEVELOPMENT_TRAIN}, uniform pool), which are not among the study's."
        )
    if plan.with_proxies:
        lines.append(f"+zc: the zero-cost proxies {', '.join(data.appended)} are appended, standardised.")
    if "front" in plan.pools:
        lines.append(
            f"Front pool: the first 5 % of the non-dominated fronts of ({data.searched}, flops), {len(data.front):,} "
            "architectures, without those trained on."
        )
    if plan.calibrate:
        lines.append(
            "Win probabilities: logistic in the margin (pair scores, or differences of scores), slope from "
            f"left-out pairs in {FOLDS} folds of the training set; measured on pairs among {CALIBRATED} of the pool."
        )
    lines.append(
        "precision@k: share of the k first that are among the true k first. regret@k: the best truth among the k first "
        "minus the best of the pool. Best tenth: tau among the truly best tenth. Where nothing is trained, larger is "
        "taken as better."
    )
    versions = sorted({str(t.row["code"]) for t in tables.trials if t.row and t.row.get("code")})
    if len(versions) > 1:
        lines.append(f"The trials were made by {len(versions)} versions of the code: {', '.join(versions)}.")
    return lines + list(data.notes)


def settings(tables: RankTables) -> list[list[str]]:
    """Return name, registered surrogate with parameters, and one line on it, for each surrogate."""
    rows = []
    for v in tables.plan.variants:
        free = "measured on untrained networks" if v.column in tables.data.measured_names else "known without training"
        text = free if v.column else SURROGATES.get(v.surrogate).summary
        rows.append([v.name, v.label, text])
    return rows


def failures(tables: RankTables) -> list[str]:
    """Return one line for each group of failed trials with the same reason, and one for missing trials."""
    groups: dict[tuple[str, str, int, str], list[int]] = {}
    for t in tables.trials:
        if t.status == "failed" and t.row is not None:
            groups.setdefault((t.entry.name, t.entry.encoding, t.n_train, str(t.row["reason"])), []).append(t.seed)
    lines = [
        f"{name} on {encoding}, n={n}, seed {seed_text(sorted(set(seeds)))}: {reason}"
        for (name, encoding, n, reason), seeds in groups.items()
    ]
    if len(lines) > FAILURES_SHOWN:
        lines[FAILURES_SHOWN:] = [f"... and {len(lines) - FAILURES_SHOWN} more in trials.csv"]
    missing = sum(t.status == "missing" for t in tables.trials)
    return lines + ([f"{missing} of {len(tables.trials)} trials have not been made yet."] if missing else [])


# --- Markdown, LaTeX, terminal


def markdown(tables: RankTables) -> str:
    """Return the study as Markdown; what differs from run to run, the times, comes last."""
    sizes = [str(n) for n in tables.plan.n_train]
    lines = [f"# Ranking study on {tables.plan.space}/{tables.plan.dataset}", ""]
    lines += [*(f"- {text}" for text in conventions(tables)), "", "## Surrogates", ""]
    lines += _table(("surrogate", "registered as", "what it is"), settings(tables), 3)
    for title, place in titles(tables):
        lines += [f"## {title}", ""]
        lines += _table(("surrogate", "encoding", *sizes), grid(tables, place, _markdown_cell), 2)
    for title, rows in contrast_rows(tables):
        lines += [f"## {title}", "", *_table(CONTRAST_HEAD, rows, 1)]
    failed = failures(tables)
    if failed:
        lines += ["## Unfinished trials", "", *(f"- {text}" for text in failed), ""]
    head, rows = time_rows(tables)
    lines += ["## Time: mean CPU seconds of fit + rank on one thread", "", *_table(head, rows, 2)]
    lines += [line + "\n" for line in proxy_times(tables)]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    rule = "|".join(["---"] * left + ["---:"] * (len(head) - left))
    body = (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
    return [f"| {' | '.join(head)} |", f"|{rule}|", *body, ""]


def latex(tables: RankTables) -> str:
    """Return one booktabs table per pool, truth and metric."""
    sizes = tables.plan.n_train
    lines = [r"% needs \usepackage{booktabs}"]
    for title, place in titles(tables):
        lines += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(title)}. Mean and standard deviation of {len(tables.plan.seeds)} draws; "
            r"best per column bold, not significantly worse underlined.}",
            rf"\begin{{tabular}}{{ll{'c' * len(sizes)}}}",
            r"\toprule",
            rf"surrogate & encoding & {' & '.join(f'$n={n}$' for n in sizes)} \\",
            r"\midrule",
        ]
        controls = {e.name for e in tables.entries if not e.learns}
        previous = False
        for row in grid(tables, place, _latex_cell):
            if row[0] in controls and not previous and len(controls) < len(tables.entries):
                lines.append(r"\midrule")
            previous = row[0] in controls
            lines.append(rf"{escape(row[0])} & {escape(row[1])} & {' & '.join(row[2:])} \\")
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Escape what LaTeX reads as a command."""
    return "".join({"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "@": r"{@}"}.get(c, c) for c in text)


def print_ranking(tables: RankTables, out: Path, console: Any, *, figures: bool) -> None:
    """Print tau of every pool and truth, the contrasts, the times, what failed and where the files are."""
    from rich.table import Table
    from rich.text import Text

    def cell(c: RankCell) -> str:
        return plain(c).partition(" ")[0] + {BEST: "*", EQUAL: "~"}.get(c.mark, " ")

    def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> None:
        table = Table()
        for j, name in enumerate(head):
            table.add_column(Text(name), justify="left" if j < left else "right", no_wrap=True)
        for row in rows:
            table.add_row(
                *(Text(t, "bold" if t.endswith("*") else "underline" if t.endswith("~") else "") for t in row)
            )
        console.print(title, style="bold")
        console.print(table)

    if any(t.status == "ok" for t in tables.trials):
        sizes = [f"n={n}" for n in tables.plan.n_train]
        for title, place in titles(tables):
            if place.metric.name == "tau":
                show(
                    f"{title} (* best, ~ not significantly worse)",
                    ("surrogate", "encoding", *sizes),
                    grid(tables, place, cell, COLUMNS_SHOWN),
                    2,
                )
        for title, rows in contrast_rows(tables):
            show(title, CONTRAST_HEAD, rows, 1)
        head, rows = time_rows(tables)
        show("Mean CPU seconds of fit + rank on one thread", head, rows, 2)
        for text in (*proxy_times(tables), *conventions(tables)):
            console.print(text)
    for text in failures(tables):
        console.print(f"unfinished   {named(text)}", soft_wrap=True)
    names = FILES + (", contrasts.csv" if tables.contrasts else "") + (", figures" if figures else "")
    console.print(f"files        {out}: {names}", soft_wrap=True)

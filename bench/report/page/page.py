"""A report as one HTML page that works without a network: tables to sort, charts to point at, where it all comes from.

The page is a template with a style, a script, and the numbers as JSON. A content security policy allows exactly that
style and that script and no request at all, so that a name of an architecture or a method stays text whatever it holds.
The same runs give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from smemnas.bench.benchmarks.case import Case, benchmark_of, known_reference
from smemnas.bench.colours import style_rules
from smemnas.bench.files import make_folder, write_text
from smemnas.bench.outputs import REPORT, claim
from smemnas.bench.program import named
from smemnas.bench.report.cells import Section, number, to_csv
from smemnas.bench.report.page import html as tags
from smemnas.bench.report.page.data import method_names, page_data
from smemnas.bench.report.page.diagram import rank_diagram
from smemnas.bench.report.page.reach import reach_figure
from smemnas.bench.report.page.sources import sources
from smemnas.bench.report.study.files import conventions, remarks, write_study
from smemnas.bench.report.study.judged import measured_text
from smemnas.bench.report.study.primary import sentences as found_in
from smemnas.bench.report.study.sections import sections, time_sections
from smemnas.bench.runs.listing import notes_of
from smemnas.bench.studies.groups import Group, Unfinished
from smemnas.bench.studies.tables import Tables
from smemnas.bench.values import seed_text

ASSETS = Path(__file__).parent / "assets"
PAGE, UNFINISHED = "index.html", "unfinished.csv"
TABLES = frozenset({".csv", ".md", ".tex"})


def write_report_files(
    out: Path,
    groups: Sequence[Group],
    unfinished: Sequence[Unfinished],
    *,
    figures: bool = True,
    studies: Sequence[Path] = (),
) -> list[str]:
    """Write tables (CSV, Markdown, LaTeX) and figures of each group and what is left out; return their names in `out`.

    One budget goes straight into the folder, several get a folder each. `studies` are folders of studies, whose figures
    are taken where they show the same.

    Raises:
        RunError: A file cannot be written.
    """
    start_page(out)
    written: list[str] = []
    for group in groups:
        folder = out / group.folder if len(groups) > 1 else out
        make_folder(folder)
        write_study(folder, group.tables)
        files = sorted(p for p in folder.iterdir() if p.suffix in TABLES and p.name != UNFINISHED)
        if figures:
            from smemnas.bench.report.study.figures import write_figures

            files += write_figures(folder, group.tables, studies)
        written += [p.relative_to(out).as_posix() for p in files]
    if unfinished:
        write_text(out / UNFINISHED, to_csv([u._asdict() for u in unfinished]))
        return [*written, UNFINISHED]
    (out / UNFINISHED).unlink(missing_ok=True)
    return written


def start_page(out: Path) -> None:
    """Make the folder of a report; a page that says so stands in it until the page is written, and marks it as one.

    Raises:
        RunError: It holds something else, or cannot be written.
    """
    claim(out, REPORT)
    make_folder(out)
    if not (out / PAGE).exists():
        empty = dict.fromkeys(("style", "script", "links", "body", "footer"), "")
        words = {"title": "Report", "lead": tags.paragraphs(["This report is being written."]), "data": "null"}
        digests = {"style_sha256": digest(""), "script_sha256": digest("")}
        write_text(out / PAGE, fill(read_asset("page.html"), {**empty, **words, **digests}), durable=False)


def write_page(
    out: Path,
    groups: Sequence[Group],
    unfinished: Sequence[Unfinished],
    *,
    title: str = "",
    files: Sequence[str] = (),
    evaluated: bool = False,
) -> Path:
    """Write index.html and return its path.

    Args:
        out: Folder of the report.
        groups: What is compared.
        unfinished: What is left out.
        title: Title of the page; "" makes one.
        files: Files beside the page, to link to.
        evaluated: Embed the dominated points whatever their number.

    Raises:
        RunError: The file cannot be written.
    """
    start_page(out)
    file = out / PAGE
    write_text(file, render(groups, unfinished, title=title, files=files, evaluated=evaluated))
    return file


def render(
    groups: Sequence[Group],
    unfinished: Sequence[Unfinished],
    *,
    title: str = "",
    files: Sequence[str] = (),
    evaluated: bool = False,
) -> str:
    """Return the page; arguments as for `write_page`."""
    data = page_data(groups, evaluated)
    problems = [(group, case) for group in groups for case in group.tables.plan.cases]
    names = [_name(group, case, len(groups) > 1) for group, case in problems]
    parts = [("summary", "Summary", _summary(groups, names, data["methods"]))] if groups else []
    parts += [
        (f"p{k}", name, _problem(k, groups, group, case, data["problems"][k], data["methods"]))
        for k, ((group, case), name) in enumerate(zip(problems, names, strict=True))
    ]
    if unfinished:
        parts.append(("unfinished", "Runs left out", _unfinished(unfinished)))
    if groups:
        parts.append(("sources", "Data and environment", sources(groups)))
        parts.append(("reading", "How to read the numbers", _reading(groups)))
    links = "".join(f'<li><a href="#{key}">{tags.text(word)}</a></li>' for key, word, _ in parts)
    body = "\n".join(f'<section id="{key}"><h2>{tags.text(word)}</h2>\n{inner}</section>' for key, word, inner in parts)
    beside = ", ".join(f'<a href="{tags.text(name)}">{tags.text(name)}</a>' for name in files)
    style = read_asset("page.css") + style_rules()
    script = f"(() => {{\n'use strict';\n{read_asset('charts.js')}{read_asset('page.js')}}})();\n"
    return fill(
        read_asset("page.html"),
        {
            "title": tags.text(title or _title(groups)),
            "style": style,
            "style_sha256": digest(style),
            "script": script,
            "script_sha256": digest(script),
            "lead": tags.paragraphs(_lead(groups, unfinished)),
            "links": links,
            "body": body,
            "footer": f"Files beside this page: {beside}." if beside else "",
            "data": embed(data),
        },
    )


def embed(data: Any) -> str:
    """Return JSON that cannot end the script element it stands in, nor open a comment."""
    return json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def read_asset(name: str) -> str:
    """Return a file of the page's folder of templates, styles and scripts."""
    return (ASSETS / name).read_text(encoding="utf-8")


def digest(content: str) -> str:
    """Return what a content security policy calls a style or script."""
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def fill(template: str, values: dict[str, str]) -> str:
    """Put values into ``{{name}}`` places, in one pass: what is put in is not looked at again."""
    pieces = template.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += [values[name], rest]
    return "".join(filled)


# --- words


def _name(group: Group, case: Case, with_budget: bool) -> str:
    return f"{case}, {group.bound}" if with_budget else str(case)


def _title(groups: Sequence[Group]) -> str:
    runs = [run for group in groups for run in group.runs.values()]
    if not runs:
        return "No finished runs"
    cases = list(dict.fromkeys(run.case for run in runs))
    methods = method_names(groups)
    where = f"{cases[0].space}/{cases[0].dataset}" if len(cases) == 1 else f"{len(cases)} problems"
    if len(runs) == 1:
        return f"{methods[0]} on {where}, seed {runs[0].job.seed}"
    return f"{methods[0] if len(methods) == 1 else f'{len(methods)} methods'} on {where}"


def _lead(groups: Sequence[Group], unfinished: Sequence[Unfinished]) -> list[str]:
    """Return what was compared, one sentence per group."""
    lines = []
    for group in groups:
        plan = group.tables.plan
        methods = ", ".join(v.name for v in plan.variants)
        lines.append(
            f"{len(group.runs)} finished {'run' if len(group.runs) == 1 else 'runs'} of {group.bound}: "
            f"{methods} on {', '.join(map(str, plan.cases))}; {'seeds' if len(plan.seeds) > 1 else 'seed'} "
            f"{seed_text(plan.seeds)}."
        )
    if unfinished:
        lines.append("Some runs are not part of it, see Runs left out.")
    return lines or ["None of the runs found is finished."]


# --- sections


def _summary(groups: Sequence[Group], names: Sequence[str], methods: Sequence[str]) -> str:
    """Return what the primary comparison found, who is best where, and the tables across problems."""
    sentences = [sentence for group in groups for sentence in found_in(group.tables)]
    cases = [(group, case) for group in groups for case in group.tables.plan.cases]
    for name, (group, case) in zip(names, cases, strict=True):
        rows = [r for r in group.tables.rows if r.case == case and r.at == group.end]
        known = [r for r in rows if not math.isnan(r.regret.value)]
        if known:
            best = min(known, key=lambda r: r.regret.value)
            among = f", the smallest of {len(known)} methods" if len(known) > 1 else ""
            sentences.append(
                f"{name}: {best.variant} has mean hypervolume regret {number(best.regret.value)} over {best.n} "
                f"{'run' if best.n == 1 else 'runs'}{among}."
            )
    shown: list[str] = []
    earlier: list[str] = []
    for group in groups:
        own = {s.title for case in group.tables.plan.cases for s in sections(only(group.tables, case))}
        checkpoints = tuple(f"after {group.tables.plan.after(at)}" for at in group.tables.plan.at[:-1])
        for section in (s for s in sections(group.tables) if s.title not in own):
            (earlier if any(c in section.title for c in checkpoints) else shown).append(_table(section, methods))
    folded = tags.folded("Earlier checkpoints", "".join(earlier)) if earlier else ""
    everywhere = "".join(reach_figure(groups, g, None) for g in range(len(groups)))
    charts = f'<div class="charts">{everywhere}</div>' if everywhere else ""
    return tags.bullets(sentences) + charts + "".join(shown) + folded


def only(tables: Tables, case: Case) -> Tables:
    """Return the tables of one case, without what compares cases."""
    return replace(tables, plan=replace(tables.plan, cases=(case,)), problem_ranks=())


def _problem(
    k: int, groups: Sequence[Group], group: Group, case: Case, data: dict[str, Any], methods: Sequence[str]
) -> str:
    """Return notes, charts and tables of one case."""
    benchmark, reference = benchmark_of(case), group.tables.references[case]
    rows = [r for r in group.tables.rows if r.case == case]
    facts: list[tuple[str, object]] = [("searched", ", ".join(f"{o.name} ({o.unit})" for o in benchmark.objectives))]
    if case.constraints:
        facts.append(("constraints", f"{', '.join(case.constraints)}; what breaks one is on no front"))
    if data["tested"]:
        facts.append(("reported", ", ".join(benchmark.report_names)))
    if reference is None:
        facts.append(("reference front", "none is known, so there is no regret"))
    else:
        kind = "exact" if reference.exact else "the best known one, not proven"
        if known_reference(case) is None:
            kind = "that of all finished runs of this page stands for it, since none is known"
        facts.append(("reference front", f"{len(reference.front)} points, {kind}"))
    if case.reference:
        facts.append(("measured by", measured_text(case, reference)))
    if rows and rows[0].floor == rows[0].floor:
        facts.append(("test-split floor", f"a perfect search of the searched split reports regret {rows[0].floor:.4f}"))
    facts += [("note", note) for note in (*remarks(group.tables, case), *notes_of(benchmark))]
    tables = only(group.tables, case)
    checkpoints = [group.tables.plan.shown(at) for at in group.tables.plan.at]
    blocks = [_table(section, methods, case, group.tables.plan.axis) for section in sections(tables)]
    times = [_table(section, methods, case) for section in time_sections(tables)]
    at = "".join(f'<option value="{n}"{" selected" if n == checkpoints[-1] else ""}>{n}</option>' for n in checkpoints)
    chosen = (
        f'<div class="tools"><label>rows after <select class="at">{at}<option value="">all</option></select> '
        f"{group.tables.plan.axis}</label></div>"
    )
    reach = reach_figure(groups, groups.index(group), case)
    curves = _curve_figure(k, data) + _curve_figure(k, data, timed=True)
    charts = f'<div class="charts">{_front_figure(k, data)}{curves}{reach}</div>'
    ranks = [
        t for t in group.tables.seed_ranks if t.case == case and t.at == group.end and t.seeds and len(t.methods) > 2
    ]
    drawn = "".join(rank_diagram(t, group.bound) for t in ranks)
    return tags.definitions(facts) + charts + drawn + chosen + "".join(blocks) + tags.folded("Time", "".join(times))


def _table(section: Section, methods: Sequence[str], case: Case | None = None, axis: str = "") -> str:
    """Return a table of the study with its title; rows of its column of methods that are none go below the others.

    Where its first column of numbers is `axis`, the page can show the rows of one checkpoint alone.
    """
    order = sorted(range(len(section.head)), key=lambda j: section.head[j] not in tags.WORDS)  # what stays in sight
    head, cells, styled = (
        [[line[j] for j in order] for line in lines] for lines in ([section.head], section.rows, section.marks)
    )
    by = head[0].index("method") if "method" in head[0] else None
    after = next((name for name in section.head if name in ("evaluations", "training time")), None)
    at = head[0].index(after) if after and after == axis else None
    rows, marks, foot = [], [], []
    attributes: list[dict[str, object]] = []
    for row, styles in zip(cells, styled, strict=True):
        if by is not None and row[by] not in methods:
            foot.append(row)
            continue
        rows.append(row)
        marks.append(styles if len(methods) > 1 else [""] * len(styles))
        mine: dict[str, object] = {} if by is None else {"m": methods.index(row[by])}
        attributes.append(mine if at is None else mine | {"at": row[at]})
    title = section.title.replace(f" on {case}", "") if case else section.title
    return f"<h3>{tags.text(title)}</h3>" + tags.table(
        head[0], rows, title, attributes=attributes, marks=marks, foot=foot
    )


def _front_figure(k: int, data: dict[str, Any]) -> str:
    """Return the place of the chart of fronts with its controls."""
    objectives = data["objectives"]
    names = [(str(j), o["name"]) for j, o in enumerate(objectives)]
    seeds = sorted({front["seed"] for front in data["fronts"]})
    tools = ""
    if len(objectives) > 2:
        tools += tags.choice("across", "x", names, str(len(objectives) - 1)) + tags.choice("up", "y", names, "0")
    tools += tags.choice("runs", "seed", [("", "all"), *((str(s), f"seed {s}") for s in seeds)], "")
    tools += tags.switch("log x", "logx") * (len(objectives) > 1) + tags.switch("log y", "logy")
    tools += tags.switch("whole range", "whole")
    what = "Best value of each run" if len(objectives) == 1 else "Front of each run"
    caption = f"{what} after {data['bound']}."
    if data["reference"] is not None:
        kind = "reference" if data["reference"]["exact"] else "best-known"
        caption += f" {'Line' if len(objectives) < 3 else 'Dots'}: the {kind} front."
    if data["evaluated"] and len(objectives) > 1:
        caption += " Faint: dominated evaluations."
    return (
        f'<figure data-problem="{k}" data-kind="fronts"><h3>Fronts</h3><div class="tools">{tools}</div>'
        f'<div class="chart"></div><figcaption>{tags.text(caption)}</figcaption>'
        '<div class="arch soft" aria-live="polite">Click a point (or press Enter on it) to see its architecture.</div>'
        "</figure>"
    )


def _curve_figure(k: int, problem: dict[str, Any], *, timed: bool = False) -> str:
    """Return the place of the chart of anytime curves, or of those against training time, with its controls."""
    data = problem.get("timed", {"curves": []}) if timed else problem
    if not data["curves"]:
        return ""
    positive = all(v > 0 for curve in data["curves"] for v in curve["mean"])
    several = max(curve["n"] for curve in data["curves"]) > 1
    tools = tags.switch("log x", "logx") + tags.switch("log y", "logy", positive)
    tools += tags.switch("intervals", "bands", several)
    kind, title = ("timed", "Against training time") if timed else ("curves", "Anytime")
    of = "each number of evaluations" if data["unit"] == "evaluations" else "so much training"
    caption = f"Hypervolume regret after {of}, mean over runs"
    caption += ", with its 95 % interval." if several else "."
    caption += " What was finished by then counts." * (data["unit"] != "evaluations")
    return (
        f'<figure data-problem="{k}" data-kind="{kind}"><h3>{title}</h3><div class="tools">{tools}</div>'
        f'<div class="chart"></div><figcaption>{tags.text(caption)}</figcaption></figure>'
    )


def _unfinished(unfinished: Sequence[Unfinished]) -> str:
    """Return what is left out and why."""
    rows = [[u.method, u.case, u.seeds, named(u.reason)] for u in unfinished]
    return tags.table(["method", "case", "seeds", "reason"], rows, "Runs left out", wrap=("case", "reason"))


def _reading(groups: Sequence[Group]) -> str:
    """Return the conventions behind the numbers."""
    parts = []
    for group in groups:
        cases = tuple(f"{case}: " for case in group.tables.plan.cases)
        lines = [line for line in conventions(group.tables) if not line.startswith(cases)]
        if len(groups) > 1:
            parts.append(f"<h3>Runs of {group.bound}</h3>")
        parts.append(tags.bullets(lines))
    return "".join(parts)

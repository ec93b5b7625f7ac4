"""A leaderboard as one HTML page that works without a network, as Markdown and as CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.display import counted
from smemnas.bench.files import write_text
from smemnas.bench.report.cells import Section, markdown_table, number, short_names, span, to_csv
from smemnas.bench.report.leaderboard.board import AcrossProblems, BoardLine, methods_of
from smemnas.bench.report.leaderboard.entries import HandedIn
from smemnas.bench.report.page import html as tags
from smemnas.bench.report.page.page import PAGE, start_page
from smemnas.bench.report.page.plain import plain_page
from smemnas.bench.studies.groups import Unfinished
from smemnas.bench.studies.information import ACROSS, TOLD

CSV, RANKS, MARKDOWN = "leaderboard.csv", "ranks.csv", "leaderboard.md"
LINE = (
    *("place", "method", "track", "regret", "95 % interval", "n", "evaluations to target", "reached", "seconds"),
    *("measured by", "when", "runs from"),
)
RANK = ("place", "method", "track", "mean rank", "first", "over seeds", "over problems", "one left out")
ENTRIES = "Entries"
ENTRY = ("runs from", "measured by", "when", "runs", "suite", "commit", "note")
READING = (
    "Regret is 1 - hypervolume / hypervolume of the reference front, mean over runs, with a 95 % interval; "
    "smaller is better. The best is marked, what is not significantly worse underlined; a question "
    "mark says that so few runs cannot tell.",
    f"Track: what a method is told: {'; '.join(f'{track}, {told}' for track, told in TOLD.items())}. {ACROSS}",
    "Evaluations to target: the median over runs, to the regret named above each table.",
    "A rank across problems is the mean of the ranks by mean regret on each. Its stability: the share of 1,000 "
    "resamples of the seeds in which a method has the first place, the places that it takes under 95 % of them, under "
    "95 % of the resamples of the problems, and with any one problem left out.",
    "Seconds are of the machines that the runs were made on, and are compared with care.",
)


def write_board(
    out: Path,
    title: str,
    lines: Sequence[BoardLine],
    rankings: Sequence[AcrossProblems],
    entries: Sequence[HandedIn],
    unfinished: Sequence[Unfinished],
) -> list[Path]:
    """Write the page, the Markdown and the CSV files and return their paths, the page first.

    Raises:
        RunError: The folder holds something else, or cannot be written.
    """
    start_page(out)
    names = short_names(tuple(dict.fromkeys(line.case for line in lines)))
    write_text(out / CSV, to_csv([_record(line, entries) for line in lines]))
    write_text(out / RANKS, to_csv([record for ranking in rankings for record in _rank_records(ranking, names)]))
    write_text(out / MARKDOWN, _markdown(title, names, lines, rankings, entries, unfinished))
    write_text(out / PAGE, _page(title, names, lines, rankings, entries, unfinished))
    return [out / name for name in (PAGE, MARKDOWN, CSV, RANKS)]


def _record(line: BoardLine, entries: Sequence[HandedIn]) -> dict[str, Any]:
    """Return a line as a row of the CSV."""
    of = [entries[n - 1] for n in line.entries]
    return {
        "space": line.case.space,
        "dataset": line.case.dataset,
        "objectives": "+".join(line.case.objectives),
        "constraints": ",".join(line.case.constraints),
        **line.case.given,
        "budget": line.budget,
        "evaluations": line.at,
        "place": line.place,
        "method": line.method,
        "track": line.track,
        "runs": line.n,
        "regret": line.regret.value,
        "regret_low": line.regret.low,
        "regret_high": line.regret.high,
        "mark": line.mark,
        "target": line.target,
        "reached": line.reached,
        "evaluations_to_target": line.median,
        "seconds": round(line.seconds, 6),
        "measured_by": _each(e.by for e in of),
        "when": _each(e.when for e in of),
        "from": _each(e.place for e in of),
        "link": _each(e.link for e in of),
    }


def _each(texts: Iterable[str]) -> str:
    """Return texts that are not empty, each once."""
    return "; ".join(dict.fromkeys(filter(None, texts)))


def _rank_records(ranking: AcrossProblems, names: dict[Case, str]) -> list[dict[str, Any]]:
    """Return a ranking as rows of the CSV."""
    found = []
    for s in ranking.standings:
        record: dict[str, Any] = {"budget": ranking.budget, "evaluations": ranking.at, "place": s.place}
        record |= {
            "method": s.variant,
            "track": ranking.tracks.get(s.variant, ""),
            "mean_rank": s.mean_rank,
            "first_share": s.first,
        }
        spans = {"seeds": s.over_seeds, "problems": s.over_problems, "one_left_out": s.without_one}
        for name, ends in spans.items():
            record |= {f"{name}_low": ends[0] if ends else None, f"{name}_high": ends[1] if ends else None}
        record |= {f"rank {names[case]}": rank for case, rank in zip(ranking.cases, s.ranks, strict=True)}
        found.append(record)
    return found


def _rank_section(ranking: AcrossProblems, names: dict[Case, str]) -> Section:
    """Return a ranking as a table."""
    rows = [
        [
            *(
                str(s.place),
                s.variant,
                ranking.tracks.get(s.variant, "-"),
                number(s.mean_rank, 2),
                f"{100 * s.first:.0f} %",
            ),
            *(_places(s.over_seeds), _places(s.over_problems), _places(s.without_one)),
            *(number(rank, 1) for rank in s.ranks),
        ]
        for s in ranking.standings
    ]
    problems = counted(len(ranking.cases), "problem")
    title = f"After {ranking.at} of {ranking.budget} evaluations, across {problems}"
    return Section(title, (*RANK, *(names[case] for case in ranking.cases)), rows)


def _places(ends: tuple[int, int] | None) -> str:
    return "-" if ends is None else str(ends[0]) if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _line_section(lines: Sequence[BoardLine], entries: Sequence[HandedIn]) -> Section:
    """Return one problem at one checkpoint as a table."""
    first = lines[0]
    final = first.at == first.budget
    rows, marks = [], []
    for line in lines:
        median = f">{line.budget}" if math.isinf(line.median) else number(line.median, 0)
        arrival = (median, f"{line.reached}/{line.n}", number(line.seconds, 2)) if final else ("", "", "")
        regret = (number(line.regret.value), span(line.regret), str(line.n))
        of = [entries[n - 1] for n in line.entries]
        origin = (_each(e.by for e in of) or "-", _each(e.when for e in of) or "-", ", ".join(map(str, line.entries)))
        rows.append([str(line.place), line.method, line.track or "-", *regret, *arrival, *origin])
        marks.append(["", "", "", line.mark, *[""] * (len(LINE) - 4)])
    target = f"; target: regret {number(first.target)}" if final and math.isfinite(first.target) else ""
    return Section(f"After {first.at} of {first.budget} evaluations{target}", LINE, rows, marks=marks)


def _sections(lines: Sequence[BoardLine], entries: Sequence[HandedIn]) -> dict[Case, list[Section]]:
    """Return the tables of each problem: budgets from the largest, their last checkpoint first."""
    found: dict[Case, list[Section]] = {}
    for case in dict.fromkeys(line.case for line in lines):
        mine = [line for line in lines if line.case == case]
        for budget, at in sorted({(line.budget, line.at) for line in mine}, reverse=True):
            found.setdefault(case, []).append(
                _line_section([x for x in mine if (x.budget, x.at) == (budget, at)], entries)
            )
    return found


def _entry_section(entries: Sequence[HandedIn]) -> Section:
    """Return who handed in what."""
    rows = [
        [
            *(f"{e.number}: {e.place}", e.by or "not stated", e.when or "not stated", _counted(e)),
            *(
                ", ".join(e.versions) or "-",
                ", ".join(map(_short, e.commits)) or "-",
            ),
            e.note or "-",
        ]
        for e in entries
    ]
    return Section(ENTRIES, ENTRY, rows)


def _counted(entry: HandedIn) -> str:
    return str(entry.runs) + f" (and {entry.copies} counted before)" * bool(entry.copies)


def _short(commit: str) -> str:
    return commit[:10] + "-dirty" * commit.endswith("-dirty")


def _lead(lines: Sequence[BoardLine], entries: Sequence[HandedIn]) -> list[str]:
    """Return what the page is about."""
    problems, methods = len({line.case for line in lines}), len(methods_of(lines))
    runs = sum(e.runs for e in entries)
    return [
        f"{counted(methods, 'method')} on {counted(problems, 'problem')}, {counted(runs, 'run')} from "
        f"{counted(len(entries), 'entry').replace('entrys', 'entries')}.",
        "A result is handed in as an archive of its runs, of which a sample is run again: see CONTRIBUTING.md.",
    ]


def _missing(ranking: AcrossProblems, names: dict[Case, str]) -> list[str]:
    return [
        f"{name} is not ranked: no runs on {', '.join(names[case] for case in cases)}."
        for name, cases in ranking.left_out
    ]


def _markdown(
    title: str,
    names: dict[Case, str],
    lines: Sequence[BoardLine],
    rankings: Sequence[AcrossProblems],
    entries: Sequence[HandedIn],
    unfinished: Sequence[Unfinished],
) -> str:
    """Return the board as Markdown."""
    text = [f"# {title}", "", *_lead(lines, entries), ""]
    if rankings:
        text += ["## Across problems", ""]
    for ranking in reversed(rankings):
        section = _rank_section(ranking, names)
        text += [f"### {section.title}", "", *markdown_table(section), "", *_missing(ranking, names), ""]
    for case, sections in _sections(lines, entries).items():
        text += [f"## {case}", ""]
        for section in sections:
            text += [f"### {section.title}", "", *markdown_table(section), ""]
    text += ["## Where the runs are from", "", *markdown_table(_entry_section(entries)), ""]
    text += [f"* {e.number}: <{e.link}>" for e in entries if e.link]
    if unfinished:
        text += ["", "## Left out", "", *(f"* {u.method} on {u.case}, seeds {u.seeds}: {u.reason}" for u in unfinished)]
    text += ["", "## How to read it", "", *(f"* {line}" for line in READING), ""]
    return "\n".join(text)


def _page(
    title: str,
    names: dict[Case, str],
    lines: Sequence[BoardLine],
    rankings: Sequence[AcrossProblems],
    entries: Sequence[HandedIn],
    unfinished: Sequence[Unfinished],
) -> str:
    """Return the board as a page."""
    methods = methods_of(lines)
    parts: list[tuple[str, str, str]] = []
    if rankings:
        inner = ""
        for k, ranking in enumerate(reversed(rankings)):
            section = _rank_section(ranking, names)
            inner += tags.folded(section.title, _html(section, methods), open_=k == 0)
            inner += tags.paragraphs(_missing(ranking, names))
        parts.append(("ranks", "Across problems", inner))
    for k, (case, sections) in enumerate(_sections(lines, entries).items()):
        tables = (tags.folded(s.title, _html(s, methods), open_=i == 0) for i, s in enumerate(sections))
        parts.append((f"p{k}", str(case), "".join(tables)))
    parts.append(("entries", "Where the runs are from", _html(_entry_section(entries), methods) + _links(entries)))
    if unfinished:
        rows = [[u.method, u.case, u.seeds, u.reason] for u in unfinished]
        head = ("method", "case", "seeds", "reason")
        parts.append(("left", "Left out", tags.table(head, rows, "Left out", wrap=("case", "reason"))))
    parts.append(("reading", "How to read it", tags.bullets(READING)))
    footer = "Files beside this page: " + ", ".join(f'<a href="{n}">{n}</a>' for n in (CSV, RANKS, MARKDOWN)) + "."
    return plain_page(title, _lead(lines, entries), parts, footer, methods)


def _html(section: Section, methods: Sequence[str]) -> str:
    """Return a table of the page; rows of a method are filtered by its name."""
    column = section.head.index("method") if "method" in section.head else -1
    attributes = [{"m": methods.index(row[column])} for row in section.rows] if column >= 0 else []
    wrap = ("runs from", "note", "measured by") if section.title == ENTRIES else ()
    return tags.table(section.head, section.rows, section.title, attributes=attributes, marks=section.marks, wrap=wrap)


def _links(entries: Sequence[HandedIn]) -> str:
    """Return links to what the entries say of themselves, and to archives that have an address."""
    items = []
    for e in entries:
        places = [e.place.partition("#")[0]] if urlsplit(e.place).scheme in ("http", "https") else []
        for link in dict.fromkeys([*places, *([e.link] if e.link else [])]):
            items.append(f'<li>{e.number}: <a href="{tags.text(link)}" rel="noopener">{tags.text(link)}</a></li>')
    return f"<ul>{''.join(items)}</ul>" if items else ""

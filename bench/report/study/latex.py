"""The tables of a study as LaTeX with booktabs, one table environment each."""

from __future__ import annotations

from collections.abc import Sequence

from smemnas.bench.metrics.statistics import BEST, EQUAL, UNKNOWN
from smemnas.bench.report.cells import WORDS, Section

#: What LaTeX or its text fonts read as something else.
SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
}
RELATIONS = {"<=": r"$\leq$", ">=": r"$\geq$", "<": "$<$", ">": "$>$"}


def latex(sections: Sequence[Section]) -> str:
    """Return one table for each section; one whose rows come in blocks becomes one table for each block."""
    lines = [r"% needs \usepackage{booktabs}; best bold, not significantly worse underlined", ""]
    for section in sections:
        if not section.rows:
            continue
        blocks = list(dict.fromkeys(row[0] for row in section.rows)) if section.breaks else [""]
        for block in blocks:
            chosen = [i for i, row in enumerate(section.rows) if not section.breaks or row[0] == block]
            lines += _table(section, chosen, block)
    return "\n".join(lines)


def _table(section: Section, chosen: Sequence[int], block: str) -> list[str]:
    """Return a table of some rows; the first column of a block goes into the caption."""
    first = 1 if section.breaks else 0
    head = section.head[first:]
    caption = section.title + (f", {block} {section.head[0]}" if section.breaks else "")
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\footnotesize",
        rf"\caption{{{escape(caption)}}}",
        rf"\begin{{tabular}}{{{''.join('l' if name in WORDS else 'r' for name in head)}}}",
        r"\toprule",
        " & ".join(map(escape, head)) + r" \\",
        r"\midrule",
    ]
    for i in chosen:
        cells = zip(section.rows[i][first:], section.marks[i][first:], strict=True)
        lines.append(" & ".join(_cell(text, mark) for text, mark in cells) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]


def _cell(text: str, mark: str) -> str:
    value, space, rest = text.partition(" ")
    style = {BEST: r"\textbf", EQUAL: r"\underline"}.get(mark)
    if style is None:
        return escape(f"{value}?{space}{rest}" if mark == UNKNOWN else text)
    return f"{style}{{{escape(value)}}}" + space + escape(rest)


def escape(text: str) -> str:
    """Return a text as LaTeX shows it literally."""
    parts = []
    while text:
        sign = text[:2] if text[:2] in RELATIONS else text[0]
        parts.append(RELATIONS.get(sign) or SPECIAL.get(sign, sign))
        text = text[len(sign) :]
    return "".join(parts)

"""Pieces of a page: escaped text, tables that can be sorted, lists. Every text passes through `text` on its way in."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence

from smemnas.bench.errors import UserError
from smemnas.bench.values import duration

#: What a cell of a numeric column looks like: a number, an interval, a share such as 6/11, a bound such as >=1.3.
NUMBER = re.compile(r"[<>=~ ]*\[?\s*([+-]?(?:\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?|inf))(?:[\s,/*~%±\](].*)?", re.IGNORECASE)
#: Columns that are words whatever stands in them.
WORDS = frozenset({"method", "contrast", "problem", "case", "reason", "seeds"})
#: Signs of a bound before a number or a duration.
BOUNDS = "<>=~ "
NOTHING = frozenset({"", "-"})
#: Classes of the marks that a table of the study gives its cells.
MARKS = {"best": "best", "equal": "equal", "unknown": "unknown"}


def text(value: object) -> str:
    """Escape a text for HTML, inside and outside of attributes."""
    return html.escape(str(value), quote=True)


def value_of(cell: str) -> str | None:
    """Return what a numeric cell is sorted by: its first number, "" for an empty cell; None if it is no number."""
    if cell in NOTHING:
        return ""
    found = NUMBER.fullmatch(cell)
    if found is None:
        try:
            return repr(duration("a cell", cell.lstrip(BOUNDS)))
        except UserError:
            return None
    value = float(found[1].replace(",", ""))
    return "1e999" if math.isinf(value) else repr(value)


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    label: str,
    *,
    attributes: Sequence[Mapping[str, object]] = (),
    marks: Sequence[Sequence[str]] = (),
    wrap: Iterable[str] = (),
    foot: Sequence[Sequence[str]] = (),
) -> str:
    """Return a table that the page's script can sort, in a box of its own that scrolls sideways.

    Args:
        head: Names of the columns.
        rows: Cells as text.
        label: What the table is, for screen readers.
        attributes: Data attributes of each row, for example {"m": 2}.
        marks: "best", "equal", "unknown" or "" for each cell.
        wrap: Columns of long text.
        foot: Rows that stay below the others.
    """
    numeric = [
        name not in WORDS and bool(rows) and all(value_of(row[j]) is not None for row in rows)
        for j, name in enumerate(head)
    ]
    long = set(wrap)
    kinds = ["" if is_number else "left" for is_number in numeric]

    def line(row: Sequence[str], styles: Sequence[str], data: Mapping[str, object]) -> str:
        cells = []
        for name, kind, is_number, cell, style in zip(head, kinds, numeric, row, styles, strict=True):
            classes = " ".join(word for word in (kind, "wrap" * (name in long), MARKS.get(style, "")) if word)
            sort = f' data-v="{text(value_of(cell) or "")}"' if is_number else ""
            cells.append(f"<td{_class(classes)}{sort}>{text(cell)}</td>")
        named = "".join(f' data-{key}="{text(v)}"' for key, v in data.items())
        return f"<tr{named}>{''.join(cells)}</tr>"

    plain = [""] * len(head)
    heads = "".join(
        f'<th scope="col"{_class(kind)}><button type="button">{breakable(name)}</button></th>'
        for name, kind in zip(head, kinds, strict=True)
    )
    lines = [line(row, marks[i] if marks else plain, attributes[i] if attributes else {}) for i, row in enumerate(rows)]
    below = f"<tfoot>{''.join(line(row, plain, {}) for row in foot)}</tfoot>" if foot else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(label)}"><table class="sortable"><thead><tr>'
        f"{heads}</tr></thead><tbody>\n" + "\n".join(lines) + f"</tbody>{below}</table></div>"
    )


def breakable(name: str) -> str:
    """Return the head of a column as HTML: a narrow table breaks it behind a slash, not only between words."""
    return text(name).replace("/", "/<wbr>")


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def paragraphs(texts: Iterable[object]) -> str:
    """Return one paragraph per text."""
    return "".join(f"<p>{text(t)}</p>" for t in texts)


def bullets(texts: Iterable[object]) -> str:
    """Return a list; nothing for no texts."""
    items = "".join(f"<li>{text(t)}</li>" for t in texts)
    return f"<ul>{items}</ul>" if items else ""


def definitions(pairs: Iterable[tuple[str, object]]) -> str:
    """Return names with what they are."""
    return "<dl>" + "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs) + "</dl>"


def folded(title: str, inner: str, *, open_: bool = False) -> str:
    """Return a part that can be folded away."""
    return f"<details{' open' if open_ else ''}><summary>{text(title)}</summary>{inner}</details>"


def choice(label: str, name: str, options: Sequence[tuple[str, str]], chosen: str) -> str:
    """Return a list to choose from, for the chart around it."""
    items = "".join(
        f'<option value="{text(value)}"{" selected" if value == chosen else ""}>{text(word)}</option>'
        for value, word in options
    )
    return f'<label>{text(label)} <select data-c="{text(name)}">{items}</select></label>'


def switch(label: str, name: str, on: bool = False) -> str:
    """Return a box to tick, for the chart around it."""
    return f'<label><input type="checkbox" data-c="{text(name)}"{" checked" if on else ""}> {text(label)}</label>'

"""How the suite's objects show themselves: one short line in a console, a small table in a notebook.

Nothing prints an array. In a notebook a bar shows how far something is, without any extension: a text that replaces
itself, and stays in the saved notebook as it ended. Imported by everything, so it imports nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from typing import Any

#: Rows of a table in a notebook.
ROWS = 20
#: Steps of a bar in a notebook; it is drawn again when it has moved by one.
STEPS = 50


def counted(n: int, word: str) -> str:
    """Return "1 run" or "1,200 runs"."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def figure(value: float) -> str:
    """Return a number with four significant digits, without an exponent where one can read it."""
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def html_table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", notes: Sequence[str] = ()
) -> str:
    """Return a table for a notebook: a title, at most `ROWS` rows, notes below; every text is escaped."""
    rows = list(rows)
    shown = [_row("td", row) for row in rows[:ROWS]]
    if len(rows) > ROWS:
        notes = [f"and {len(rows) - ROWS:,} more", *notes]
    caption = f'<div style="font-weight: bold">{escape(title)}</div>' if title else ""
    table = f"<table><thead>{_row('th', head)}</thead><tbody>{''.join(shown)}</tbody></table>" if head else ""
    below = "".join(f'<div style="opacity: 0.75">{escape(note)}</div>' for note in notes)
    return f"<div>{caption}{table}{below}</div>"


def _row(tag: str, cells: Sequence[object]) -> str:
    texts = (f'<{tag} style="text-align: left">{escape(str(cell))}</{tag}>' for cell in cells)
    return f"<tr>{''.join(texts)}</tr>"


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, which shows what is displayed."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def no_foreign_bars() -> None:
    """In a notebook, import what timm's packages draw bars with, without its warning that these cannot be shown.

    It stands on standard error, with a path of the machine, where ipywidgets are missing; nothing here needs them.
    """
    if in_notebook():
        with warnings.catch_warnings(), contextlib.suppress(ImportError):
            warnings.filterwarnings("ignore", message="IProgress not found")
            importlib.import_module("tqdm.auto")


@contextlib.contextmanager
def notebook_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar in a notebook; yield the function to call with (done, total)."""
    from IPython.display import HTML, display

    handle: Any = display(HTML(_bar(text, 0, 0)), display_id=True)
    drawn = [-1, 0, 0]

    def draw(done: int, total: int) -> None:
        step = STEPS * done // max(total, 1)
        if step != drawn[0] or done >= total:
            handle.update(HTML(_bar(text, done, total)))
        drawn[:] = [step, done, total]

    try:
        yield draw
    finally:
        if drawn[2]:
            handle.update(HTML(_bar(text, drawn[1], drawn[2])))


def _bar(text: str, done: int, total: int) -> str:
    count = f"{done:,}/{total:,}" if total else "starting"
    return f'<div>{escape(text)} <progress value="{done}" max="{max(total, 1)}"></progress> {count}</div>'


def notebook_picture(make: Callable[[], Any]) -> Any:
    """Return what a notebook shows as a picture: a matplotlib figure that draws itself there, and anywhere else."""
    drawn = make()
    drawn._repr_png_ = lambda: _png(drawn)
    return drawn


def _png(drawn: Any) -> bytes:
    import io

    file = io.BytesIO()
    drawn.savefig(file, format="png", dpi=100)
    return file.getvalue()

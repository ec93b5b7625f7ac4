"""Figures of studies: their axes, and any figure as a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from smemnas.bench.colours import GRID
from smemnas.bench.files import write_bytes


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Any, list[Any]]:
    """Return a matplotlib figure of some inches and its axes side by side, with a grid behind what is drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, columns, k + 1) for k in range(columns)]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color=GRID, linewidth=0.8)
        ax.set_axisbelow(True)
    return figure, axes


def save_pair(figure: Any, folder: Path, name: str, **options: Any) -> list[Path]:
    """Write a figure as PDF, with fonts that journals accept and the same bytes every time, and as PNG.

    Args:
        figure: Of matplotlib.
        folder: Where.
        name: Of both files, without an ending.
        options: For `savefig`, of both.

    Raises:
        RunError: A file cannot be written.
    """
    from matplotlib import rc_context

    files = [folder / f"{name}.pdf", folder / f"{name}.png"]
    with rc_context({"pdf.fonttype": 42}):
        save_figure(figure, files[0], metadata={"CreationDate": None}, **options)
    save_figure(figure, files[1], **options)
    return files


def save_figure(figure: Any, file: Path, **options: Any) -> None:
    """Draw a matplotlib figure in memory and write it whole; the ending of the file chooses the format.

    Args:
        figure: Of matplotlib.
        file: Where.
        options: For `savefig`.

    Raises:
        RunError: The file cannot be written.
    """
    picture = io.BytesIO()
    figure.savefig(picture, format=file.suffix.lower()[1:], **options)
    write_bytes(file, picture.getvalue(), durable=False)

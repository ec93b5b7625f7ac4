"""A picture of an architecture as SVG, PDF or PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from smemnas.bench.colours import KINDS
from smemnas.bench.errors import UserError
from smemnas.bench.files import make_folder
from smemnas.bench.report.architecture.picture import CHARACTER, FONT, Picture
from smemnas.bench.report.figure_file import save_figure

ENDINGS = (".svg", ".pdf", ".png")
#: In every picture's metadata, by which `show --out` knows what it may replace.
MARK = "smemnas show"
#: Points per pixel of the picture: a pixel of CSS is 1/96 inch.
POINTS = 72 / 96


def check_ending(file: Path) -> None:
    """Refuse a file that is no picture.

    Raises:
        UserError: The ending is none of those that can be written.
    """
    if file.suffix.lower() not in ENDINGS:
        raise UserError(f"--out takes a file that ends in {', '.join(ENDINGS)}, got {str(file)!r}.")


def write_picture(file: Path, drawn: Picture, caption: str) -> None:
    """Write the picture; the ending of the file chooses the format. The same picture gives the same bytes.

    Raises:
        UserError: The ending is none of those that can be written.
        RunError: The file cannot be written.
    """
    check_ending(file)
    import matplotlib

    figure = draw(drawn, caption)
    ending = file.suffix.lower()
    metadata = {
        ".svg": {"Date": None, "Creator": MARK},
        ".pdf": {"CreationDate": None, "Creator": MARK},
        ".png": {"Software": MARK},
    }[ending]
    make_folder(file.parent)
    with matplotlib.rc_context({"svg.hashsalt": "smemnas", "svg.fonttype": "none", "pdf.fonttype": 42}):
        save_figure(figure, file, dpi=192, metadata=metadata)


def draw(drawn: Picture, caption: str) -> Any:
    """Return a matplotlib figure of the picture with a caption under it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path as Curve

    lines = _wrapped(caption, max(24, int(drawn.width / CHARACTER / 1.1)))
    width, height = drawn.width, drawn.height + 16.0 * len(lines) + 8
    figure = Figure(figsize=(width / 96, height / 96))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    size = FONT * POINTS
    for line in drawn.lines:
        kind = KINDS[line.kind]
        curve = Curve([(line.x0, line.y0), (line.cx, line.cy), (line.x1, line.y1)], [1, 3, 3])
        dashes = (0, kind.dash) if kind.dash else "-"
        axes.add_patch(
            FancyArrowPatch(
                path=curve, arrowstyle="-|>", mutation_scale=8, color=kind.colour, lw=1.3, ls=dashes, shrinkB=0
            )
        )
        if line.text:
            x, y = (line.x0 + 2 * line.cx + line.x1) / 4, (line.y0 + 2 * line.cy + line.y1) / 4
            straight = line.cy == line.y0
            axes.text(
                x, y - (9 if straight else 0), line.text, size=size, ha="center", va="center", color="#222222",
                bbox={"boxstyle": "square,pad=0.15", "fc": "white", "ec": "none"} if not straight else None,
            )  # fmt: skip
    for box in drawn.boxes:
        colour = KINDS[box.kind].colour
        outline = f"round,pad=0,rounding_size={min(4.0, box.h / 2)}"
        for face, edge, alpha in (("white", "none", 1.0), (colour, "none", 0.22), ("none", colour, 1.0)):
            patch = FancyBboxPatch((box.x, box.y), box.w, box.h, outline, fc=face, ec=edge, alpha=alpha, lw=1.2)
            axes.add_patch(patch)
        axes.text(box.x + box.w / 2, box.y + box.h / 2, box.text, size=size, ha="center", va="center", color="#222222")
    anchors = {"start": "left", "middle": "center", "end": "right"}
    for label in drawn.labels:
        axes.text(label.x, label.y, label.text, size=size, ha=anchors[label.anchor], va="center", color="#222222")
    for k, text in enumerate(lines):
        axes.text(
            width / 2, drawn.height + 8 + 16 * k, text, size=size * 0.9, ha="center", va="center", color="#555555",
            parse_math=False,
        )  # fmt: skip
    return figure


def _wrapped(text: str, width: int) -> list[str]:
    """Return a caption in lines of at most so many characters; a long name is cut where it must be."""
    import textwrap

    return [line for part in text.splitlines() for line in textwrap.wrap(part, width)]

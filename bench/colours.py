"""One set of colours for all figures and for the page: those of Okabe and Ito, which any colour vision tells apart."""

from __future__ import annotations

from typing import NamedTuple

BLUE, ORANGE, GREEN, PINK, YELLOW, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
BLACK = "#000000"
#: Of what is compared, in this order.
COLOURS = (BLUE, ORANGE, GREEN, PINK, YELLOW, SKY)
#: What is shown beside it, from dark to light, and the grid.
DARK, MIDDLE, GREY, LIGHT, GRID = "#666666", "#777777", "#999999", "#CCCCCC", "#EEEEEE"


class Look(NamedTuple):
    """How a box or line of an architecture's picture looks: colour and dashes."""

    colour: str
    dash: tuple[int, ...] = ()


KINDS = {
    "plain": Look("#888888"),
    "io": Look(SKY),
    "none": Look(GREY, (1, 5)),
    "skip": Look(YELLOW, (6, 4)),
    "one": Look(GREEN),
    "three": Look(BLUE),
    "five": Look(GREEN),
    "seven": Look(ORANGE),
    "pool": Look(PINK, (2, 3)),
}


def style_rules() -> str:
    """Return the rules of a page's style: a class for each colour of what is compared, and for each kind."""
    series = [f".c{k} {{ color: {colour.lower()}; }}" for k, colour in enumerate(COLOURS)]
    series.append(f".c{len(COLOURS)} {{ color: var(--text); }}")
    kinds = [f".k-{name} {{ color: {kind.colour.lower()}; }}" for name, kind in KINDS.items()]
    kinds += [
        f".k-{name} .series {{ stroke-dasharray: {' '.join(map(str, k.dash))}; }}"
        for name, k in KINDS.items()
        if k.dash
    ]
    return " ".join(series) + "\n" + " ".join(kinds) + "\n"

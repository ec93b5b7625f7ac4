"""Write where the parameters of SMEM-NAS are from: `python docs/make_paper.py`.

The tables in docs/paper.md, from `smemnas.methods.origins` and the presets. A test compares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from smemnas.methods.base import METHODS
from smemnas.methods.origins import SMEMNAS_ORIGINS, SOURCES, as_text

PAGE = Path(__file__).resolve().parent / "paper.md"
BEGIN, END = "<!-- parameters: python docs/make_paper.py -->\n", "<!-- end -->"
#: Presets that are about the paper, and the method's own settings.
PRESETS = ("smemnas/paper-100-8", "smemnas/paper-20-4", "smemnas/paper", "smemnas/sibling", "smemnas", "smemnas/best")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def settings(preset: str) -> dict[str, object]:
    """Return the settings of all parameters under a preset, by their names."""
    entry = METHODS.get(preset)
    return {name: parameter.default for name, parameter in entry.parameters().items()} | dict(entry.params)


def tables() -> str:
    """Return what stands between the marks."""
    default = settings("smemnas")
    rows = [
        (f"`{name}`", origin.parameter, f"`{as_text(default[name])}`", origin.of(default[name]), origin.note)
        for name, origin in SMEMNAS_ORIGINS.items()
    ]
    text = table(("parameter", "it is", "default", "that is", "what is known"), rows)
    chosen = {preset: settings(preset) for preset in PRESETS}
    differing = [n for n in SMEMNAS_ORIGINS if len({as_text(chosen[preset][n]) for preset in PRESETS}) > 1]
    rows_of = [
        (f"`{name}`", *(f"{as_text(s[name])} ({SMEMNAS_ORIGINS[name].of(s[name])})" for s in chosen.values()))
        for name in differing
    ]
    counts = {
        preset: Counter(SMEMNAS_ORIGINS[name].of(value) for name, value in s.items()) for preset, s in chosen.items()
    }
    summary = ("settings from", *(", ".join(f"{source} {c[source]}" for source in SOURCES) for c in counts.values()))
    return text + "\n" + table(("", *(f"`{preset}`" for preset in PRESETS)), [*rows_of, summary])


def page(text: str) -> str:
    """Return the page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + tables() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

"""Measure who imports whom and draw it: `python docs/make_layers.py` writes docs/layers.svg and prints the numbers.

A unit is a package or module right below bench/, or one of methods/, spaces/, surrogates/ and cli.py as a whole. It
stands one level above the highest unit that it imports. Lines that follow from others are left out of the picture.
`python docs/make_layers.py ROOT` measures another checkout and writes nothing.
"""

from __future__ import annotations

import ast
import sys
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PICTURE = "docs/layers.svg"
FOLDERS = ("bench", "methods", "spaces", "surrogates")
#: Sizes in pixels: of the page, of a box, between levels.
BOX, APART, HEIGHT, GAP, MARGIN = 128, 18, 34, 78, 20
STYLE = (
    "text{font:15px sans-serif;text-anchor:middle;fill:#1b1f24}.n{font-size:12px;fill:#57606a}"
    "rect{fill:#eef3fb;stroke:#4a6fa5}.own rect{fill:#fdf3e1;stroke:#b7791f}"
    "path{fill:none;stroke:#9aa4b2;stroke-width:1}"
)


class Layers(NamedTuple):
    """What the imports of a checkout say.

    Attributes:
        modules: Number of modules of each unit.
        uses: Units that each unit imports.
        level: Place of each unit, 0 is the lowest; those of a circle share one.
        circles: Units that import one another on some way round.
        imports: Number of imports between modules of different units, each pair once.
    """

    modules: dict[str, int]
    uses: dict[str, set[str]]
    level: dict[str, int]
    circles: list[tuple[str, ...]]
    imports: int


def measure(root: Path) -> Layers:
    """Read the imports of all modules, those inside functions too."""
    files = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]
    files += [path for path in (root / "cli.py",) if path.exists()]
    known = {_module(path, root): path for path in files}
    modules: dict[str, int] = {}
    uses: dict[str, set[str]] = {}
    pairs = set()
    for name, path in known.items():
        if name in FOLDERS:  # says only what the folder is
            continue
        unit = _unit(name)
        modules[unit] = modules.get(unit, 0) + 1
        targets = {target for target in _imports(path, known) if target not in FOLDERS and _unit(target) != unit}
        uses.setdefault(unit, set()).update(map(_unit, targets))
        pairs |= {(name, target) for target in targets}
    circles = _circles(uses)
    return Layers(modules, uses, _levels(uses, circles), circles, len(pairs))


def _module(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _unit(module: str) -> str:
    """Return what a module belongs to."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "bench" else parts[0]


def _imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules of the suite that a file imports, but for those that only types need."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.expr):  # holds no import
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("smemnas.") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            module = "" if node.module == "smemnas" else node.module.removeprefix("smemnas.")
            for alias in node.names:
                whole = f"{module}.{alias.name}".lstrip(".")
                found.add(whole if whole in known else module)
        waiting += ast.iter_child_nodes(node)
    return found & set(known)


def _reach(uses: dict[str, set[str]], start: str) -> set[str]:
    """Return all units that one imports, on any way."""
    seen: set[str] = set()
    waiting = list(uses.get(start, ()))
    while waiting:
        unit = waiting.pop()
        if unit not in seen:
            seen.add(unit)
            waiting += uses.get(unit, ())
    return seen


def _circles(uses: dict[str, set[str]]) -> list[tuple[str, ...]]:
    reach = {unit: _reach(uses, unit) for unit in uses}
    found = {tuple(sorted(v for v in reach[u] if u in reach[v])) for u in uses if u in reach[u]}
    return sorted(found)


def _levels(uses: dict[str, set[str]], circles: list[tuple[str, ...]]) -> dict[str, int]:
    """Return the longest way down from each unit; the units of a circle count as one."""
    group = {unit: (unit,) for unit in uses} | {unit: circle for circle in circles for unit in circle}
    level: dict[tuple[str, ...], int] = {}

    def of(units: tuple[str, ...]) -> int:
        if units not in level:
            below = {group[target] for unit in units for target in uses[unit]} - {units}
            level[units] = 1 + max((of(other) for other in below), default=-1)
        return level[units]

    return {unit: of(group[unit]) for unit in uses}


def draw(layers: Layers) -> str:
    """Return the picture: one row for each level, the lowest at the bottom, a line from each unit to what it uses."""
    top = max(layers.level.values())
    rows = [sorted(u for u, k in layers.level.items() if k == level) for level in range(top + 1)]
    width = max(map(len, rows)) * (BOX + APART) + 2 * MARGIN
    middle: dict[str, float] = {}
    for row in rows:  # each unit stands as far as may be above what it uses
        wish = {u: _mean([middle[v] for v in layers.uses[u] if v in middle], width / 2) for u in row}
        for k, unit in enumerate(sorted(row, key=lambda u: (wish[u], u))):
            middle[unit] = width / 2 + (k - (len(row) - 1) / 2) * (BOX + APART)
    height = 2 * MARGIN + top * GAP + HEIGHT

    def y(unit: str) -> float:
        return height - MARGIN - HEIGHT - layers.level[unit] * GAP

    parts = []
    for unit in sorted(layers.uses):
        direct = layers.uses[unit]
        implied = set().union(*(_reach(layers.uses, v) for v in direct if unit not in _reach(layers.uses, v)))
        for target in sorted(direct - implied):
            a, b = y(unit) + HEIGHT, y(target)
            bend = (b - a) / 2
            parts.append(
                f'<path d="M{middle[unit]:.0f} {a:.0f}C{middle[unit]:.0f} {a + bend:.0f} {middle[target]:.0f} '
                f'{b - bend:.0f} {middle[target]:.0f} {b:.0f}"/>'
            )
    for unit in sorted(layers.uses):
        x, at, n = middle[unit] - BOX / 2, y(unit), layers.modules[unit]
        kind = "" if unit.startswith("bench.") else ' class="own"'
        label = escape(unit.removeprefix("bench."))
        parts.append(
            f'<g{kind}><rect x="{x:.0f}" y="{at:.0f}" width="{BOX}" height="{HEIGHT}" rx="5"/>'
            f'<text x="{middle[unit]:.0f}" y="{at + 15:.0f}">{label}</text>'
            f'<text class="n" x="{middle[unit]:.0f}" y="{at + 28:.0f}">{n} module{"s" * (n > 1)}</text></g>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Layers of the suite, made from its imports"><style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def summary(layers: Layers) -> str:
    """Return the numbers in one line."""
    circles = "; ".join(" - ".join(circle) for circle in layers.circles) or "none"
    height = max(layers.level.values()) + 1
    return (
        f"{sum(layers.modules.values())} modules in {len(layers.uses)} units on {height} levels, "
        f"{sum(map(len, layers.uses.values()))} imports between units ({layers.imports} between their modules), "
        f"circles: {circles}"
    )


def main() -> None:
    """Measure this checkout, or another one."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    layers = measure(root)
    print(summary(layers))
    for level in range(max(layers.level.values()), -1, -1):
        print(f"{level:>3}  {' '.join(sorted(u for u, k in layers.level.items() if k == level))}")
    if root == ROOT:
        (ROOT / PICTURE).write_text(draw(layers), encoding="utf-8")


if __name__ == "__main__":
    main()

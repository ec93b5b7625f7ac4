"""Figures of a ranking study, as PDF and PNG: tau against n, tau against time, one trial, and its front.

A surrogate on ranks has the colour of its base and a dashed line.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench import colours
from smemnas.bench.metrics.indicators import nondominated
from smemnas.bench.metrics.order import METRICS, kendall
from smemnas.bench.ranking.tables import RankCell, RankEntry, RankTables, TableKey, example_task
from smemnas.bench.ranking.trial import predict
from smemnas.bench.report.figure_file import new_figure, save_pair
from smemnas.spaces.base import FloatArray, IntArray

#: Of the surrogates.
COLOURS = (*colours.COLOURS, colours.BLACK)
MARKERS = "osD^vPX"
#: How figures are saved.
LOOK: dict[str, Any] = {"dpi": 160, "bbox_inches": "tight"}
#: Surrogates with a colour of their own, with their versions on ranks; the others are grey and without a name.
COLOURED = len(COLOURS)
#: Shown in colour before better ones: the surrogate of the paper.
FAMILIAR = "svm_pairwise"


def write_figures(out: Path, tables: RankTables) -> list[Path]:
    """Write all figures for which there is data; return their files.

    Raises:
        RunError: A file cannot be written.
    """
    files: list[Path] = []
    done = {c.place for c in tables.cells if c.n}
    places = [p for p in tables.places() if p.metric == METRICS[0] and p in done]
    for place in places:
        files += save_pair(_tau_against_n(tables, place), out, f"tau-{place.pool}-{place.truth}", **LOOK)
        if place.truth == tables.data.searched:
            files += save_pair(_tau_against_time(tables, place), out, f"time-{place.pool}", **LOOK)
    example = _example(tables, places[0]) if places else []
    if example:
        files += save_pair(_scatter(tables, example), out, "scatter", **LOOK)
        if tables.data.flops is not None:
            files += save_pair(_near_front(tables, example), out, "front", **LOOK)
    return files


class _Style:
    """Colour, dash and marker of each shown surrogate; one encoding of each, the best at the largest n.

    The colours are the same in all figures of a study.
    """

    def __init__(self, tables: RankTables, place: TableKey) -> None:
        last = {
            c.entry: c.mean.value for c in tables.cells if c.place == place and c.n_train == tables.plan.n_train[-1]
        }
        self.cells: dict[tuple[RankEntry, int], RankCell] = {
            (c.entry, c.n_train): c for c in tables.cells if c.place == place
        }
        known = {e: v for e, v in last.items() if math.isfinite(v)}
        best: dict[str, RankEntry] = {}
        for entry in sorted(known, key=lambda e: -known[e]):
            best.setdefault(entry.name, entry)
        self.learners = [e for e in best.values() if e.learns]
        self.controls = [e for e in best.values() if not e.learns]
        encodings = [e.encoding for e in self.learners]
        #: The encoding that most of them have.
        self.common = max(encodings, key=encodings.count, default="")
        self.names = {e: e.name if e.encoding == self.common else f"{e.name} ({e.encoding})" for e in self.learners}
        contrasted = [name for pair in tables.plan.contrasts for name in pair]
        first = tables.places()[0]
        mean: dict[str, float] = {}
        for c in tables.cells:
            if c.place == first and c.entry.learns and math.isfinite(c.mean.value):
                mean[c.entry.name] = max(mean.get(c.entry.name, -1.0), c.mean.value)
        order = sorted(mean, key=lambda name: (name not in contrasted, name != FAMILIAR, -mean[name]))
        self.base = list(dict.fromkeys(name.removesuffix("_rank") for name in order))

        self.coloured = [e for e in self.learners if self._at(e) < COLOURED]
        self.others = [e for e in self.learners if self._at(e) >= COLOURED]

    def _at(self, entry: RankEntry) -> int:
        return self.base.index(entry.name.removesuffix("_rank"))

    def of(self, entry: RankEntry) -> dict[str, Any]:
        """Return the keywords of a coloured line."""
        at = self._at(entry)
        dash = "--" if entry.name.endswith("_rank") else "-"
        return {"color": COLOURS[at], "linestyle": dash, "marker": MARKERS[at]}

    def other(self, first: bool) -> dict[str, Any]:
        """Return the keywords of a grey line; one of them stands for all in the legend."""
        label = f"{len(self.others)} others (see the tables)" if first else None
        return {"color": colours.LIGHT, "linewidth": 1.0, "zorder": 1.5, "label": label}


def _title(tables: RankTables, place: TableKey, style: _Style, end: str) -> str:
    mixed = any(e.encoding != style.common for e in style.learners)
    encoding = f"encoding {style.common}" + (" unless stated" if mixed else "")
    return f"{tables.plan.space}/{tables.plan.dataset}, {place.pool} pool, {encoding}\n{end}"


def _legend(ax: Any) -> None:
    handles, labels = ax.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda k: "others" in labels[k])
    handles, labels = [handles[k] for k in order], [labels[k] for k in order]
    ax.legend(
        handles, labels, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False, handlelength=3.2
    )


def _tau_against_n(tables: RankTables, place: TableKey) -> Any:
    style = _Style(tables, place)
    figure, (ax,) = new_figure(8.2, 4.6)
    sizes = np.array(tables.plan.n_train, dtype=np.float64)
    lows = []
    for k, entry in enumerate([*style.others, *style.coloured]):
        cells = [style.cells[entry, n] for n in tables.plan.n_train]
        mean = np.array([c.mean.value for c in cells])
        if k < len(style.others):
            ax.plot(sizes, mean, **style.other(first=k == 0))
            continue
        look = style.of(entry)
        low, high = (np.array([getattr(c.mean, side) for c in cells]) for side in ("low", "high"))
        ax.plot(sizes, mean, label=style.names[entry], linewidth=1.7, markersize=4.5, **look)
        ax.fill_between(sizes, low, high, color=look["color"], alpha=0.13, linewidth=0)
        lows += [v for v in mean if math.isfinite(v)]
    shown = [e for e in style.controls if not e.encoding][:1]
    for entry in shown:
        mean = np.array([style.cells[entry, n].mean.value for n in tables.plan.n_train])
        ax.plot(
            sizes, mean, color=colours.MIDDLE, linestyle=(0, (1, 2)), linewidth=1.6, label=f"{entry.name}, no training"
        )
        lows += [v for v in mean if math.isfinite(v)]
    if len(sizes) > 1:
        ax.set_xscale("log")
    ax.set_xticks(sizes, [f"{n:.0f}" for n in sizes])
    ax.minorticks_off()
    ax.set_ylim(max(-0.2, min(lows, default=0.0) - 0.05), None)
    ax.set_xlabel("training architectures")
    ax.set_ylabel(f"Kendall tau-b against {place.truth}")
    draws = len(tables.plan.seeds)
    band = f"mean of {draws} draws, bands: 95 % intervals" if draws > 1 else "one draw"
    ax.set_title(_title(tables, place, style, band), fontsize=10, loc="left")
    _legend(ax)
    return figure


def _tau_against_time(tables: RankTables, place: TableKey) -> Any:
    style = _Style(tables, place)
    figure, (ax,) = new_figure(8.2, 4.6)
    lows = []
    for k, entry in enumerate([*style.others, *style.coloured]):
        x, y = [], []
        for n in tables.plan.n_train:
            mine = [t for t in tables.trials if t.entry == entry and t.n_train == n and t.pool == place.pool]
            seconds = [s for t in mine if math.isfinite(s := t.seconds("fit") + t.seconds("rank"))]
            if seconds:
                x.append(max(float(np.mean(seconds)), 1e-4))
                y.append(style.cells[entry, n].mean.value)
        if k < len(style.others):
            ax.plot(x, y, **style.other(first=k == 0))
            ax.plot(x[-1:], y[-1:], "o", color=colours.LIGHT, markersize=5, zorder=1.5)
            continue
        look = style.of(entry)
        ax.plot(x, y, label=style.names[entry], linewidth=1.2, markersize=4, **look)
        ax.plot(x[-1:], y[-1:], color=look["color"], marker=look["marker"], markersize=8, linestyle="none", alpha=0.8)
        lows += [v for v in y if math.isfinite(v)]
    ax.set_xscale("log")
    ax.set_ylim(max(-0.2, min(lows, default=0.0) - 0.05), None)
    ax.set_xlabel("CPU seconds to fit and rank, one thread")
    ax.set_ylabel(f"Kendall tau-b against {place.truth}")
    sizes = tables.plan.n_train
    along = f"n = {sizes[0]} to {sizes[-1]} along each line, large marker: {sizes[-1]}"
    ax.set_title(_title(tables, place, style, along if len(sizes) > 1 else f"n = {sizes[0]}"), fontsize=10, loc="left")
    _legend(ax)
    return figure


Example = list[tuple[RankEntry, int, IntArray, FloatArray]]


def _example(tables: RankTables, place: TableKey) -> Example:
    """Fit again the surrogates of the first contrast, or the two best, and return their test rows and scores."""
    style = _Style(tables, place)
    wanted = tables.plan.contrasts[0] if tables.plan.contrasts else ()
    chosen = [e for name in wanted for e in style.learners if e.name == name] or style.learners[:2]
    found: Example = []
    for entry in chosen:
        variant = next(v for v in tables.plan.variants if v.name == entry.name)
        task = example_task(tables.plan, variant, entry.encoding)
        result = predict(tables.data, task)["uniform"]
        if not isinstance(result, str):
            found.append((entry, task.n_train, result[0].test, result[1].scores))
    return found


def _scatter(tables: RankTables, example: Example) -> Any:
    """Predicted against true rank of the uniform pool; the members of the front pool in colour."""
    from scipy.stats import rankdata

    figure, axes = new_figure(4.4 * len(example), 4.5, len(example))
    near = tables.data.front if tables.data.flops is not None else np.empty(0, dtype=np.int64)
    truth = tables.data.truth[tables.data.searched]
    for ax, (entry, n, rows, scores) in zip(axes, example, strict=True):
        predicted, true = rankdata(scores), rankdata(truth[rows])
        front = np.isin(rows, near)
        ax.plot(true[~front], predicted[~front], ".", color=colours.MIDDLE, markersize=2.5, alpha=0.6)
        ax.plot(true[front], predicted[front], ".", color=COLOURS[1], markersize=4, label="near the front")
        ax.plot([1, len(rows)], [1, len(rows)], color="black", linewidth=0.7)
        ax.set_title(f"{entry.name}, n={n}: tau {kendall(scores, truth[rows])[0]:.3f}", fontsize=10, loc="left")
        ax.set_xlabel(f"true rank by {tables.data.searched}, 1 = best")
        ax.set_aspect("equal")
    axes[0].set_ylabel("predicted rank")
    if len(near):
        axes[0].legend(loc="lower right", fontsize=8, markerscale=1.5)
    return figure


def _near_front(tables: RankTables, example: Example) -> Any:
    """The true front of the ranked architectures and those that each surrogate takes for the front, at their truths."""
    data = tables.data
    assert data.flops is not None
    figure, axes = new_figure(4.4 * len(example), 4.3, len(example))
    truth = data.truth[data.searched]
    fronts = []
    for entry, n, rows, scores in example:
        true = rows[nondominated(np.stack([truth[rows], data.flops[rows]], axis=1))]
        fronts.append((entry, n, rows, true, rows[nondominated(np.stack([scores, data.flops[rows]], axis=1))]))
    top = max(float(np.quantile(truth[true], 0.9)) for _, _, _, true, _ in fronts)
    low = min(float(truth[true].min()) for _, _, _, true, _ in fronts)
    high = max(low + 1.6 * (top - low), low + 1e-9)
    for ax, (entry, n, rows, true, taken) in zip(axes, fronts, strict=True):
        true = true[np.argsort(data.flops[true])]
        seen = truth[taken] <= high
        ax.plot(data.flops[rows], truth[rows], ".", color=colours.LIGHT, markersize=3, label="ranked architectures")
        ax.step(data.flops[true], truth[true], where="post", color="black", linewidth=1.2, label="true front")
        ax.plot(data.flops[taken], truth[taken], "o", color=COLOURS[0], markersize=5, label="predicted front")
        ax.set_ylim(low - 0.05 * (high - low), high)
        out = f", {int((~seen).sum())} above" if (~seen).any() else ""
        ax.set_title(f"{entry.name}, n={n}: {len(taken)} predicted{out}", fontsize=10, loc="left")
        ax.set_xlabel("flops (M)")
    axes[0].set_ylabel(f"{data.searched} ({data.benchmark.objectives[data.target].unit})")
    axes[-1].legend(loc="upper right", fontsize=8)
    return figure

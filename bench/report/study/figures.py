"""Figures of a study, as PDF and PNG: regret and targets against evaluations, fronts, critical differences.

Every line carries its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.colours import BLACK, COLOURS, GREY
from smemnas.bench.files import make_folder, write_bytes
from smemnas.bench.metrics.indicators import median_attainment, nondominated
from smemnas.bench.metrics.targets import TARGETS
from smemnas.bench.report.cells import short_names
from smemnas.bench.report.figure_file import new_figure, save_pair
from smemnas.bench.report.study.critical_difference import critical_difference_diagram
from smemnas.bench.report.study.drawn import StudyDrawn, drawn, kept_files, key_of, note_files
from smemnas.bench.studies.tables import Tables
from smemnas.bench.values import duration_text
from smemnas.spaces.base import FloatArray

#: Folder of the figures within that of the study.
FIGURES = "figures"
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
FONT, DPI = 8.0, 200
#: Regret below it is drawn on a linear axis.
LINEAR = 1e-3
#: Durations at which ticks may stand: so many of a unit of so many seconds.
TIMES = (
    *((1, (1, 2, 5, 10, 15, 30)), (60, (1, 2, 5, 10, 15, 30)), (3600, (1, 2, 3, 6, 12))),
    (86_400, (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
)
#: Fronts are drawn of so many methods.
FRONTS_SHOWN = 6


def write_figures(out: Path, tables: Tables, earlier: Sequence[Path] = ()) -> list[Path]:
    """Write all figures for which there is data into the folder `FIGURES` of the study; return their files.

    What was drawn before of the same, there or in other studies, is used again.

    Args:
        out: Folder of the study.
        tables: The study.
        earlier: Folders of studies that may have some of the figures.

    Raises:
        RunError: A file cannot be written.
    """
    folder = out / FIGURES
    make_folder(folder)
    shown = drawn(tables)
    key = key_of(shown)
    kept = kept_files([folder, *(other / FIGURES for other in earlier)], key)
    files: list[Path] = []
    for name, draw in _all(shown).items():
        pair = [folder / f"{name}.pdf", folder / f"{name}.png"]
        if all(file.name in kept for file in pair):
            for file in pair:
                write_bytes(file, kept[file.name], durable=False)
            files += pair
        else:
            files += save_pair(draw(), folder, name, dpi=DPI)
    note_files(folder, key, files)
    return files


def _all(shown: StudyDrawn) -> dict[str, Callable[[], Any]]:
    """Return what draws each figure, by the name of its files."""
    names = {case: _file_name(name) for case, name in short_names(shown.plan.cases).items()}
    styles = _styles(shown)
    found: dict[str, Callable[[], Any]] = {}
    for case, name in names.items():
        if any(c == case for c, _ in shown.curves):
            found[f"regret-{name}"] = partial(_anytime, shown, case, styles)
            found[f"ecdf-{name}"] = partial(_reaches, shown, case, styles)
            if len(case.objectives) > 1:
                found[f"front-{name}"] = partial(_fronts, shown, case, styles)
        if any(c == case for c, _ in shown.in_time):
            found[f"time-{name}"] = partial(_anytime, shown, case, styles, timed=True)
    if len(names) > 1 and any(case is None for case, _ in shown.reaches):
        found["ecdf-all"] = partial(_reaches, shown, None, styles)
    for test in shown.seed_ranks:
        if len(test.methods) > 2 and test.seeds:
            title = f"{test.case}, {shown.plan.after(test.at)}"
            draw = partial(critical_difference_diagram, test, title, shown.plan.champion)
            found[f"ranks-{names[test.case]}-{test.at}"] = draw
    return found


def _file_name(text: str) -> str:
    """Return a text without what file systems dislike: "toy/t (error; flops<=9)" is "toy-t-error-flops-max-9"."""
    text = text.replace("<=", "-max-").replace(">=", "-min-")
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-")


def _styles(shown: StudyDrawn) -> dict[str, dict[str, Any]]:
    """Return colour and dash of each method, the same in all figures of a study.

    Champion, baseline and then the best by mean rank over all problems and checkpoints have colours of their own, the
    others are grey.
    """
    plan = shown.plan
    ranks: dict[str, list[float]] = {}
    for test in shown.seed_ranks:
        for name, rank in zip(test.methods, test.mean_ranks / len(test.methods), strict=True):
            ranks.setdefault(name, []).append(float(rank))
    order = sorted(
        (v.name for v in plan.variants),
        key=lambda name: (name != plan.champion, name != plan.baseline, np.mean(ranks.get(name, [np.inf]))),
    )
    styles = {}
    for i, name in enumerate(order):
        coloured = i < len(COLOURS)
        dash = DASHES[(i if coloured else i - len(COLOURS)) % len(DASHES)]
        styles[name] = {
            "color": COLOURS[i] if coloured else GREY,
            "linestyle": dash,
            "linewidth": 1.4 if coloured else 0.9,
        }
    return styles


def _figure(width: float, height: float) -> tuple[Any, Any]:
    figure, [ax] = new_figure(width, height)
    ax.tick_params(labelsize=FONT)
    return figure, ax


def draw_regret(tables: Tables, case: Case) -> Any:
    """Return a matplotlib figure of mean regret against evaluations on one case, of which a curve is known."""
    shown = drawn(tables)
    return _anytime(shown, case, _styles(shown))


def _anytime(shown: StudyDrawn, case: Case, styles: dict[str, dict[str, Any]], *, timed: bool = False) -> Any:
    """Draw mean regret against evaluations, or training time, with its interval; each line is named at its end."""
    figure, ax = _figure(6.9, 3.6)
    known = shown.in_time if timed else shown.curves
    curves = {name: known[case, name] for name in styles if (case, name) in known}
    end = max(int(curve.at[-1]) for curve in curves.values()) if timed else shown.plan.end
    for name, curve in reversed(curves.items()):
        look = styles[name]
        grey = look["color"] == GREY
        ax.plot(curve.at, curve.mean, **look, zorder=2 if grey else 3)
        if not grey:
            ax.fill_between(curve.at, curve.low, curve.high, color=look["color"], alpha=0.15, linewidth=0, zorder=2.5)
    ax.set_xlim(1, end)
    ax.set_xlabel("training time (what was finished by then)" if timed else shown.plan.axis, fontsize=FONT)
    if timed or shown.plan.budget_time:
        _time_ticks(ax, end)
    _regret_axis(ax, np.concatenate([c.mean for c in curves.values()]))
    runs = sorted({c.n for c in curves.values()})
    number = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    ax.set_title(f"{case}; {number} runs each, bands: 95 % intervals", fontsize=FONT, loc="left")
    _name_ends(ax, {name: float(c.mean[-1]) for name, c in curves.items()}, styles)
    return figure


def _reaches(shown: StudyDrawn, case: Case | None, styles: dict[str, dict[str, Any]]) -> Any:
    """Draw which share of the targets is reached after so many evaluations on a case, or for None on all of them."""
    figure, ax = _figure(6.9, 3.6)
    found = {name: shown.reaches[case, name] for name in styles if (case, name) in shown.reaches}
    for name, reach in reversed(found.items()):
        ax.step(reach.at, reach.share, where="post", **styles[name], zorder=2 if styles[name]["color"] == GREY else 3)
    if shown.plan.budget_time:  # nothing happens before the first training has ended
        ax.set_xlim(0, shown.plan.end)
        _time_ticks(ax, shown.plan.end)
    else:
        ax.set_xscale("log")
        ax.set_xlim(1.0, max(shown.plan.end, 2))
        ticks = [n for e in range(7) for n in (10**e, 2 * 10**e, 5 * 10**e) if n <= shown.plan.end]
        ax.set_xticks(ticks, [f"{n:g}" for n in ticks])
    ax.minorticks_off()
    ax.set_ylim(0.0, 1.05 * max(0.05, *(float(reach.share[-1]) for reach in found.values())))
    ax.set_xlabel(shown.plan.axis, fontsize=FONT)
    ax.set_ylabel("share of targets reached", fontsize=FONT)
    problems, runs = next((reach.problems, reach.runs) for reach in found.values())
    where = f"{problems} problems" if case is None else str(case)
    most = max(reach.runs for reach in found.values())
    number = f"{runs}" if all(reach.runs == runs for reach in found.values()) else f"up to {most}"
    targets = f"{len(TARGETS)} regrets from {TARGETS[0]:.2f} to {TARGETS[-1]:g}"
    ax.set_title(f"{where}; {number} runs of each method, targets: {targets}", fontsize=FONT, loc="left")
    _name_ends(ax, {name: float(reach.share[-1]) for name, reach in found.items()}, styles)
    return figure


def _time_ticks(ax: Any, end: int) -> None:
    """Write durations on the axis of times: equal parts of a round one."""
    round_ones = [n * unit for unit, ns in TIMES for n in ns]
    each = next((t for t in round_ones if end / t <= 6), round_ones[-1])
    ticks = [float(t) for t in np.arange(each, end + 1, each)]
    ax.set_xticks(ticks, [duration_text(t) for t in ticks])


def _regret_axis(ax: Any, means: FloatArray) -> None:
    """Scale the axis of regret logarithmically, below `LINEAR` linearly where means are that small, 0 or negative."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = float(means.min()), float(means.max())
    label = "mean hypervolume regret"
    if low >= LINEAR:
        ax.set_yscale("log")
        low *= 0.8
    else:
        ax.set_yscale("symlog", linthresh=LINEAR, linscale=0.5)
        ax.axhline(0.0, color="#BBBBBB", linewidth=0.8, zorder=1)
        label += f" (linear below {LINEAR:g})"
        low = min(1.3 * low, -0.05 * LINEAR)
    ticks = [digit * 10.0**e for e in range(-3, 1) for digit in (1, 2, 5)]
    below = [-(10.0**e) for e in range(-3, 1)]
    ax.yaxis.set_major_locator(FixedLocator([*below, 0.0, *ticks]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_ylim(low, 1.05 * high if high > LINEAR else 2.0 * LINEAR)
    ax.set_ylabel(label, fontsize=FONT)


def _name_ends(ax: Any, ends: dict[str, float], styles: dict[str, dict[str, Any]]) -> None:
    """Write each line's name beside its last value, moved apart where names would cover each other."""
    order = sorted(ends, key=lambda name: ends[name])
    low, high = ax.get_ylim()
    values = np.clip([ends[name] for name in order], low, high)
    points = np.stack([np.ones(len(values)), values], axis=1)
    at = (ax.transData + ax.transAxes.inverted()).transform(points)[:, 1]
    for name, y, text_y in zip(order, at, spread(at, 0.058, 0.0, 1.0), strict=True):
        look = styles[name]
        axes = {"transform": ax.transAxes, "clip_on": False}
        ax.plot([1.005, 1.04, 1.05], [y, text_y, text_y], **{**look, "linewidth": 0.8}, **axes)
        colour = "#444444" if look["color"] == GREY else look["color"]
        text = ax.text(1.058, text_y, name, va="center", fontsize=FONT - 0.5, color=colour, **axes)
        text.set_in_layout(True)


def spread(at: FloatArray, gap: float, low: float, high: float) -> FloatArray:
    """Return sorted positions ``(n,)`` moved as little as possible so that neighbours are `gap` apart.

    The least-squares solution: with the gaps taken off it is an isotonic regression. All stay from `low` to `high`
    where that is possible.
    """
    from sklearn.isotonic import isotonic_regression

    steps = gap * np.arange(len(at))
    room = max(high - steps[-1], low)
    return np.asarray(isotonic_regression(np.asarray(at, dtype=np.float64) - steps, y_min=low, y_max=room) + steps)


def _fronts(shown: StudyDrawn, case: Case, styles: dict[str, dict[str, Any]]) -> Any:
    """Draw the reference front and what half of the runs of the first methods attain.

    With more than two objectives: the front of the run with the median regret, in the first two objectives.
    """
    figure, ax = _figure(6.9, 3.8)
    axes = shown.axes[case]
    plain = len(axes) == 2
    lines: list[tuple[str, FloatArray]] = []
    for name in styles:
        done = shown.runs.get((case, name), ())
        if done and len(lines) < FRONTS_SHOWN:
            lines.append((name, median_attainment([F for F, _ in done]) if plain else _median_front(done)))
    front = shown.fronts[case][:, :2]
    low, high = front.min(axis=0), front.max(axis=0)
    low, high = low - 0.05 * (high - low), high + 0.3 * (high - low)
    for name, points in reversed(lines):
        if len(points) == 0:
            few = (
                "no feasible run"
                if not any(np.isfinite(F).all(axis=1).any() for F, _ in shown.runs[case, name])
                else ("fewer than half of the runs are feasible")
            )
            ax.plot([], [], label=f"{name}: {few}", **styles[name])
        elif plain:
            points = points[np.argsort(points[:, 1])]
            ends = [np.array([[high[0], points[0, 1]]]), np.array([[points[-1, 0], high[1]]])]
            points = np.concatenate([ends[0], points, ends[1]])
            ax.step(points[:, 1], points[:, 0], where="post", label=name, **styles[name])
        else:
            colour = styles[name]["color"]
            ax.plot(points[:, 1], points[:, 0], "o", ms=3.5, label=name, color=colour, mfc="none")
    ax.plot(front[:, 1], front[:, 0], ".", color=BLACK, ms=4, zorder=4, label="reference front")
    ax.set_xlim(low[1], high[1])
    ax.set_ylim(low[0], high[0])
    ax.set_xlabel(f"{axes[1][0]} ({axes[1][1]})", fontsize=FONT)
    ax.set_ylabel(f"{axes[0][0]} ({axes[0][1]})", fontsize=FONT)
    what = "lines: attained by half of the runs" if plain else "fronts of the runs with the median regret"
    ax.set_title(f"{case}, {shown.plan.after(shown.plan.end)}; {what}", fontsize=FONT, loc="left")
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], fontsize=FONT, frameon=False)
    return figure


def _median_front(done: Sequence[tuple[FloatArray, float]]) -> FloatArray:
    """Return the front ``(k, n_obj)`` of the run with the median regret at its end."""
    order = sorted(done, key=lambda run: run[1])
    F = order[len(order) // 2][0]
    return F[nondominated(F)]

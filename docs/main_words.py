"""The parts of a page of docs/make_main.py that judge: goals by track, and how sure the order of the first three is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from main_data import REPORTED, Pair, Results
from pages import listed, table

from smemnas.bench.metrics.statistics import SIGNIFICANCE, holm
from smemnas.bench.report.cells import number, p_value, span
from smemnas.bench.studies.stability import standings
from smemnas.methods.tracks import TRACKS

#: At most so many times the regret of the best foreign method of the track.
GOAL = 0.6
#: What of the champion plays in each track: its name and this.
ENDINGS = {"expert": "", "grey-box": "-grey", "black-box": "-black"}
#: The preset that the champion is to replace, and by how much it is to be ahead of it, where and when.
BEFORE, GOAL_BEFORE, WHERE, WHEN = "smemnas/best", 0.4, "mnv3/ofa", 100
#: With three objectives and more: at most so many times the better of plain smemnas and the best foreign method.
GOAL_MANY, PLAIN = 0.8, "smemnas"


class Duel(NamedTuple):
    """Our method of a track against the best foreign one that is told no more, on one problem."""

    track: str
    problem: str
    ours: str
    foreign: str
    pair: Pair
    p_holm: float

    @property
    def reached(self) -> bool:
        """Whether its ratio is within the goal."""
        return self.pair.ratio.value <= GOAL

    @property
    def ahead(self) -> bool:
        """Whether it is significantly better."""
        return self.p_holm < SIGNIFICANCE and self.pair.means[0] < self.pair.means[1]


def duels(results: Results, champion: str, at: int) -> list[Duel]:
    """Return the duels of all tracks and problems at a checkpoint, one Holm family."""
    return duels_by(results, champion, f"regret_{at}", results.problems)


def duels_by(results: Results, champion: str, column: str, problems: Sequence[str]) -> list[Duel]:
    """Return the duels by a column of runs.csv, one Holm family; the foreign method is the best by its mean."""
    found: list[tuple[str, str, str, str, Pair]] = []
    for track in reversed(TRACKS):
        ours = champion + ENDINGS[track]
        if ours not in results.methods:
            continue
        told = TRACKS[: TRACKS.index(track) + 1]
        foreign = [name for name, (its, own) in results.methods.items() if its in told and not own]
        for problem in problems:
            best = results.best_by(problem, foreign, column)
            if best:
                found.append((track, problem, ours, best, results.pair_of(problem, ours, best, column)))
    adjusted = holm([pair.p for *_, pair in found])
    return [Duel(*row, float(p)) for row, p in zip(found, adjusted, strict=True)]


def duel_table(found: Sequence[Duel]) -> list[str]:
    """Return duels as a table."""
    rows = [
        [
            *(d.problem, d.track, f"`{d.ours}`", number(d.pair.means[0]), f"`{d.foreign}`", number(d.pair.means[1])),
            *(number(d.pair.ratio.value, 2), span(d.pair.ratio, 2), str(d.pair.pairs), p_value(d.p_holm)),
        ]
        for d in found
    ]
    head = ("problem", "track", "method", "regret", "best foreign", "its regret", "ratio", "interval", "n", "p (Holm)")
    return table(head, rows, words=3)


def goals(results: Results, champion: str) -> list[str]:
    """Return the section of goals, and what came out."""
    end = results.at[-1]
    found = duels(results, champion, end)
    if not found:
        return []
    lines = ["## Goals, and what came out", ""]
    lines += [
        f"**At most {GOAL:g} times the best foreign method of the track**: the method restricted to what its track "
        "allows, against the foreign method with the least mean (true) regret among those that are told no more, at "
        f"the budget ({end}). Exact paired Wilcoxon test, Holm over these {len(found)} duels. The rival is the one "
        "that turned out best, which is in its favour.",
        "",
    ]
    lines += duel_table(found)
    for track in dict.fromkeys(d.track for d in found):
        lines.append(_said([d for d in found if d.track == track]))
    lines += ["", *_earlier(results, champion), *_before(results, champion), *_many(results, champion)]
    return lines


def on_test(results: Results, champion: str) -> list[str]:
    """Return the section on the test split of the problems that have one: regrets there, and the duels once more.

    What was searched is validation; of the duels the foreign method is the best on test values, seen afterwards.
    """
    end, lines = results.at[-1], list[str]()
    split = [p for p in results.problems if not math.isnan(results.mean(p, champion, REPORTED))]
    if not split:
        return []
    cells = []
    for method, (track, _) in results.methods.items():
        rows = [results.row_of(results.study, problem, method, end) for problem in split]
        cells.append([f"`{method}` {track}", *(_tested(row) for row in rows)])
    floors = [results.row_of(results.study, problem, champion, end) for problem in split]
    floor = [number(float(row["reported_floor"])) if row and row["reported_floor"] else "-" for row in floors]
    cells.append(["the front of the whole table by validation", *floor])
    found = duels_by(results, champion, REPORTED, split)
    for problem in split:
        mine = [d for d in found if d.problem == problem]
        ahead = sum(d.ahead for d in mine)
        behind = sum(d.p_holm < SIGNIFICANCE for d in mine) - ahead
        lines.append(
            f"* **{problem}**: of these {len(mine)} duels ours is ahead in {ahead} and behind in {behind}; in "
            f"{len(mine) - ahead - behind} no difference is shown."
        )
    about = f"Our method of each track against the foreign one that is best there; Holm over {len(found)}:"
    duels_of_tracks = [about, "", *duel_table(found), *lines, ""] if found else []
    return [
        "## On test values",
        "",
        f"Searches see validation values. Here the networks that they chose by them after {end} evaluations are judged "
        "by test values against the best front of these: what a user gets. Below the regret of the table's own "
        "validation front differences are luck of the split.",
        "",
        *table(("method, track", *split), cells),
        *duels_of_tracks,
    ]


def _tested(row: Mapping[str, str] | None) -> str:
    if row is None or not row["reported_regret"]:
        return "-"
    low, high = row["reported_regret_low"], row["reported_regret_high"]
    limits = f" [{number(float(low))}, {number(float(high))}]" if low else ""
    return number(float(row["reported_regret"])) + limits


def _said(found: list[Duel]) -> str:
    """Return what came out in one track."""
    reached, ahead = [d for d in found if d.reached], [d for d in found if d.ahead]
    track, ours = found[0].track, found[0].ours
    text = f"* **{track}**, `{ours}`: reached {GOAL:g} on {len(reached)} of {len(found)} problems, "
    text += f"significantly better on {len(ahead)}."
    for d in found:
        if d.reached:
            continue
        said = f"ratio {number(d.pair.ratio.value, 2)}, regret {number(d.pair.means[0])} and {number(d.pair.means[1])}"
        rival = f"`{d.foreign}`"
        if d.ahead:
            text += f" {d.problem}: {said}, significantly ahead of {rival}."
        elif d.p_holm < SIGNIFICANCE:
            text += f" {d.problem}: {said}, {rival} is better."
        else:
            text += f" {d.problem}: {said}, no difference from {rival} is shown."
    return text


def _earlier(results: Results, champion: str) -> list[str]:
    """Return ratios to the best foreign method of the track at every checkpoint, without tests."""
    by = {at: {(d.track, d.problem): d for d in duels(results, champion, at)} for at in results.at}
    keys = list(dict.fromkeys(key for found in by.values() for key in found))
    rows = [
        [
            problem,
            track,
            *(
                f"{number(d.pair.ratio.value, 2)} `{d.foreign}`" if (d := by[at].get((track, problem))) else "-"
                for at in results.at
            ),
        ]
        for track, problem in keys
    ]
    head = ("problem", "track", *(f"{at} evaluations" for at in results.at))
    return [
        "The same ratio, with the best foreign method of that moment, at every checkpoint (no tests):",
        "",
        *table(head, rows, words=2),
    ]


def _before(results: Results, champion: str) -> list[str]:
    """Return the champion beside the preset that it is to replace."""
    if BEFORE not in results.methods or champion == BEFORE:
        return []
    at = WHEN if WHEN in results.at else results.at[-1]
    pairs = {problem: results.pair(problem, champion, BEFORE, at) for problem in results.problems}
    pairs = {problem: pair for problem, pair in pairs.items() if pair.pairs}
    adjusted = holm([pair.p for pair in pairs.values()])
    rows = [
        [
            problem,
            *map(number, pair.means),
            number(pair.ratio.value, 2),
            span(pair.ratio, 2),
            str(pair.pairs),
            p_value(float(p)),
        ]
        for (problem, pair), p in zip(pairs.items(), adjusted, strict=True)
    ]
    head = ("problem", f"`{champion}`", f"`{BEFORE}`", "ratio", "interval", "n", "p (Holm)")
    worse = [
        problem
        for (problem, pair), p in zip(pairs.items(), adjusted, strict=True)
        if p < SIGNIFICANCE and pair.means[0] > pair.means[1]
    ]
    text = f"Significantly worse than `{BEFORE}` on {len(worse)} of {len(pairs)} problems"
    text += f": {', '.join(worse)}." if worse else "."
    if WHERE in pairs:
        value = pairs[WHERE].ratio.value
        verdict = "reached" if value <= GOAL_BEFORE else "not reached"
        text = f"The goal on {WHERE}, at most {GOAL_BEFORE:g}, is **{verdict}** ({number(value, 2)}). {text}"
    return [f"**Against `{BEFORE}`** after {at} evaluations:", "", *table(head, rows), text, ""]


def _many(results: Results, champion: str) -> list[str]:
    """Return the champion on problems of three objectives and more."""
    end = results.at[-1]
    foreign = [name for name, (_, own) in results.methods.items() if not own]
    lines = []
    for problem, objectives in results.objectives.items():
        count = objectives.count("+") + 1
        rival = results.best(problem, [*foreign, *([PLAIN] if PLAIN in results.methods else [])], end)
        if count < 3 or not rival:
            continue
        pair = results.pair(problem, champion, rival, end)
        verdict = "reached" if pair.ratio.value <= GOAL_MANY else "not reached"
        lines.append(
            f"**{problem}, {count} objectives**: `{champion}` has {number(pair.means[0])}, the better of `{PLAIN}` and "
            f"the best foreign method, `{rival}`, {number(pair.means[1])}: ratio {number(pair.ratio.value, 2)} "
            f"{span(pair.ratio, 2)} ({pair.pairs} seeds, p {p_value(pair.p)}); at most {GOAL_MANY:g} is {verdict}."
        )
    return [*lines, ""] if lines else []


# --- sensitivity


def sensitivity(results: Results) -> list[str]:
    """Return how the order of methods depends on seeds, on problems, and on the rule that sets the range."""
    names = results.everywhere()
    problems, column = results.problems, f"regret_{results.at[-1]}"
    if len(names) < 3 or len(problems) < 2:
        return []
    whole = results.first(names, problems, column)
    without = {p: results.first(names, [q for q in problems if q != p], column) for p in problems}
    other = results.first(names, problems, "regret_other")
    alone = {p: results.first(names, [p], column) for p in problems}
    rows = [["all problems", *map(_code, whole), ""]]
    rows += [[f"without {p}", *map(_code, three), _changed(whole, three)] for p, three in without.items()]
    rows.append(["range of the front itself", *map(_code, other), _changed(whole, other)])
    rows += [[f"{p} alone", *map(_code, three), _changed(whole, three)] for p, three in alone.items()]
    lines = ["## How sure the order is", ""]
    lines += [
        f"Methods with runs on all {len(problems)} problems, by the mean over problems of their rank by mean regret at "
        "the budget. The other rule takes the whole range of the reference front instead of five points of error.",
        "",
        *table(("ranked on", "first", "second", "third", "changed"), rows, words=5),
        f"The order of the first three changes in {_count(whole, without.values())} of {len(problems)} cases with one "
        f"problem left out, {'and' if other != whole else 'not'} with the other rule, and in "
        f"{_count(whole, alone.values())} of {len(problems)} with one problem alone; the first one in "
        f"{sum(t[0] != whole[0] for t in without.values())}, {int(other[0] != whole[0])} and "
        f"{sum(t[0] != whole[0] for t in alone.values())} of them.",
        "",
    ]
    return [*lines, *_standings(results, names, column)]


def _code(name: str) -> str:
    return f"`{name}`"


def _changed(whole: tuple[str, ...], three: tuple[str, ...]) -> str:
    if three == whole:
        return ""
    return "order" if set(three) == set(whole) else f"in: {listed([name for name in three if name not in whole])}"


def _count(whole: tuple[str, ...], others: object) -> int:
    return sum(three != whole for three in others)  # type: ignore[attr-defined]


def _standings(results: Results, names: list[str], column: str) -> list[str]:
    """Return the places of the methods under resampled seeds and problems."""
    regrets = []
    for problem in results.problems:
        seeds = sorted({s for name in names for s in results.values[problem, name, column]})
        values = [[results.values[problem, name, column].get(s, math.nan) for s in seeds] for name in names]
        regrets.append(np.array(values))
    rows = [
        [_code(s.variant), str(s.place), f"{s.mean_rank:.2f}", f"{s.first:.2f}"]
        + [
            "-" if places is None else f"{places[0]} to {places[1]}"
            for places in (s.over_seeds, s.over_problems, s.without_one)
        ]
        for s in standings(names, regrets)
    ]
    head = ("method", "place", "mean rank", "share of first places", "over seeds", "over problems", "one left out")
    return ["Places under resampling (95 %; share of first places: over resampled seeds):", "", *table(head, rows)]

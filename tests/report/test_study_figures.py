"""Figures of a study: nothing is cut off or covered, and bars and lines are where the numbers are."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from study_cases import toy_plan

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.library.report import ReportOptions, report
from smemnas.bench.metrics.indicators import median_attainment
from smemnas.bench.report.study.critical_difference import WIDTH, critical_difference_diagram
from smemnas.bench.report.study.drawn import _feed
from smemnas.bench.report.study.figures import (
    LINEAR,
    _file_name,
    _name_ends,
    _regret_axis,
    spread,
    write_figures,
)
from smemnas.bench.studies.comparison import tabulate
from smemnas.bench.studies.execution import record_plan, run_study
from smemnas.bench.studies.plan import Plan, Variant
from smemnas.bench.studies.ranks import SeedRanks, seed_ranks
from smemnas.bench.studies.trials import collect

CASE = Case("nb201", "cifar10", ("val_error", "flops"))
NAMES = tuple(f"regularised-evolution-{k}" if k % 4 == 0 else f"m{k}" for k in range(15))


def ranks_of(names: tuple[str, ...], seeds: int = 31, distance: float = 0.12) -> SeedRanks:
    rng = np.random.default_rng(1)
    plan = Plan(tuple(Variant(n, "random") for n in names), (CASE,), tuple(range(seeds)), 340, names[0], (340,))
    regret = {(CASE, n): rng.normal(distance * k, 0.3, size=(seeds, 1)) for k, n in enumerate(names)}
    return seed_ranks(plan, regret)[0]


def boxes(figure: Any) -> tuple[Any, list[Any]]:
    """Return the area of a figure and that of each of its texts, in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [t for ax in figure.axes for t in ax.texts] + list(figure.texts)
    return figure.bbox, [t.get_window_extent(canvas.get_renderer()) for t in texts]


@pytest.mark.parametrize(
    "names", [NAMES, NAMES[:3], tuple(f"a-very-long-name-of-a-method-with-parameters-{k}" for k in "abcd")]
)
def test_every_name_in_the_diagram_can_be_read(names: tuple[str, ...]) -> None:
    test = ranks_of(names)
    figure = critical_difference_diagram(
        test, "nb201/cifar10 (val_error, flops), 340 evaluations", names[4 % len(names)]
    )
    area, texts = boxes(figure)
    for box in texts:
        assert area.x0 <= box.x0
        assert box.x1 <= area.x1
        assert area.y0 <= box.y0
        assert box.y1 <= area.y1
    for a, b in itertools.combinations(texts, 2):
        assert not a.overlaps(b)
    assert figure.get_figwidth() >= WIDTH - 1e-9
    if len(names) == 15:  # the size at which it is printed: names are 8 points high
        assert figure.get_figwidth() == pytest.approx(WIDTH)
        assert min(t.get_fontsize() for t in figure.axes[0].texts) == 8.0


def test_bars_of_the_diagram_join_what_does_not_differ() -> None:
    test = ranks_of(NAMES)
    figure = critical_difference_diagram(test, "t")
    thick = [line for line in figure.axes[0].lines if line.get_linewidth() > 2]
    x = np.sort(test.mean_ranks)
    wanted = [(x[i], x[j]) for i, j in test.cliques]
    assert len(thick) == len(wanted)
    assert len(wanted) > 1  # else nothing is shown about bars that overlap
    for line, (low, high) in zip(thick, wanted, strict=True):
        left, right = line.get_xdata()
        assert low - 0.2 < left < low < high < right < high + 0.2
        assert high - low < test.critical_difference
    for a, b in itertools.combinations(thick, 2):
        (a0, a1), (b0, b1) = a.get_xdata(), b.get_xdata()
        assert a.get_ydata()[0] != b.get_ydata()[0] or a1 < b0 or b1 < a0
    dots = sorted(line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o")
    assert dots == pytest.approx(x.tolist())
    scale = next(t.get_text() for t in figure.axes[0].texts if "critical" in t.get_text())
    assert scale.strip() == f"critical difference {test.critical_difference:.2f}"


def test_the_diagram_says_when_no_method_differs() -> None:
    alike = ranks_of(NAMES[:4], seeds=9, distance=0.0)
    assert alike.p >= 0.05
    figure = critical_difference_diagram(alike, "t")
    assert "no method differs" in figure.texts[0].get_text()
    assert "9 seeds that all 4 methods finished" in figure.texts[0].get_text()
    assert sum(line.get_linewidth() > 2 for line in figure.axes[0].lines) == 1


@pytest.mark.parametrize("seed", range(4))
def test_names_are_spread_as_little_as_possible(seed: int) -> None:
    from scipy.optimize import minimize

    at = np.sort(np.random.default_rng(seed).uniform(0.0, 1.0, 6) ** 3)
    found = spread(at, 0.12, 0.0, 1.0)
    assert np.diff(found).min() >= 0.12 - 1e-9
    assert found.min() >= 0.0
    assert found.max() <= 1.0 + 1e-9
    limits = [{"type": "ineq", "fun": lambda y: np.diff(y) - 0.12}]
    best = minimize(lambda y: ((y - at) ** 2).sum(), np.linspace(0, 1, 6), constraints=limits, bounds=[(0, 1)] * 6)
    assert ((found - at) ** 2).sum() == pytest.approx(best.fun, abs=1e-5)
    apart = np.array([0.1, 0.5, 0.9])
    assert spread(apart, 0.1, 0.0, 1.0) == pytest.approx(apart)


@pytest.mark.parametrize("lowest", [0.02, 0.0, -0.003])
def test_regret_is_shown_down_to_its_lowest_mean(lowest: float) -> None:
    from matplotlib.figure import Figure

    ax = Figure(figsize=(6.9, 3.6)).add_subplot()
    _regret_axis(ax, np.array([0.6, 0.05, lowest]))
    low, high = ax.get_ylim()
    assert low < lowest < 0.6 < high
    assert ax.get_yscale() == ("log" if lowest >= LINEAR else "symlog")
    ends = {"a": lowest, "b": 0.05, "c": 0.4}
    looks = {name: {"color": "black", "linestyle": "-", "linewidth": 1.0} for name in ends}
    _name_ends(ax, ends, looks)
    for line, name in zip(ax.lines[-3:], ("a", "b", "c"), strict=True):
        shown = (ax.transAxes + ax.transData.inverted()).transform((1.0, line.get_ydata()[0]))[1]
        assert shown == pytest.approx(ends[name], abs=1e-9)
    heights = [text.get_position()[1] for text in ax.texts]
    assert [text.get_text() for text in ax.texts] == ["a", "b", "c"]
    assert np.diff(heights).min() > 0.05


def test_themedian_attainment_surface_by_hand() -> None:
    # Two of three runs reach (1, 2) and (2, 1); only one reaches (0, 0) or (1, 1).
    runs = [
        np.array([[0.0, 0.0]]),
        np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]]),
        np.array([[9.0, 9.0], [np.inf, 0.0]]),
    ]
    surface = median_attainment(runs)
    assert sorted(map(tuple, surface.tolist())) == [(1.0, 2.0), (2.0, 1.0)]


def test_file_names_are_plain_and_differ() -> None:
    assert _file_name("nb201/cifar10") == "nb201-cifar10"
    assert _file_name("toy/t (error, flops; flops<=9)") == "toy-t-error-flops-flops-max-9"
    assert _file_name("toy/t (error, flops; flops>=9)") != _file_name("toy/t (error, flops; flops<=9)")


def test_what_a_study_has_drawn_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def save(figure: object, folder: Path, name: str, **_: object) -> list[Path]:
        drawn.append(name)
        files = [folder / f"{name}.{end}" for end in ("pdf", "png")]
        for file in files:
            file.write_bytes(f"{len(drawn)} {file.name}".encode())
        return files

    monkeypatch.setattr("smemnas.bench.report.study.figures.save_pair", save)
    variants = (Variant("random", "random"), Variant("evo", "nsga2", {"population": 10}))
    plan = toy_plan(seeds=(0, 1), variants=variants, at=(20,), budget=20)
    study = tmp_path / "study"
    record_plan(study, plan)
    run_study(list(plan.jobs()), study)
    names = [f"{what}-toy-closed-form" for what in ("regret", "ecdf", "front")]
    write_figures(study, tabulate(plan, collect(plan, study)))
    assert drawn == names

    def reported() -> list[str]:
        """Make a report in a new folder; return what was drawn for it."""
        drawn.clear()
        out = Path(tempfile.mkdtemp(dir=tmp_path)) / "report"
        made = report(ReportOptions([study], out))
        assert [f.name for f in made.files if f.suffix in {".pdf", ".png"}] == [
            f"{name}.{end}" for name in names for end in ("pdf", "png")
        ]
        for name in set(names) - set(drawn):
            for file in (f"figures/{name}.pdf", f"figures/{name}.png"):
                assert (out / file).read_bytes() == (study / file).read_bytes()
        return drawn.copy()

    assert reported() == []
    (study / "figures" / f"{names[1]}.png").write_bytes(b"of a drawing that was killed")
    assert reported() == names[1:2]
    with matplotlib.rc_context({"font.size": 20}):
        assert reported() == names
    note = study / "figures" / "drawn.json"
    whole = note.read_bytes()
    for broken in (whole[:40], b"[]", whole.replace(b'"key": "', b'"key": "0')):
        note.write_bytes(broken)
        assert reported() == names
    note.write_bytes(whole)
    assert reported() == names[1:2]
    logs = sorted(study.glob("toy/**/random/**/evals.jsonl"))
    logs[0].write_bytes(logs[1].read_bytes())  # the same jobs, another content
    assert reported() == names


def test_the_checksum_of_what_is_drawn_sees_every_part() -> None:
    """Values that print alike, arrays of the same bytes and neighbouring texts are told apart."""

    def sum_of(thing: object) -> str:
        sha = hashlib.sha256()
        _feed(sha, thing)
        return sha.hexdigest()

    front = np.array([[1.0, 2.0]])
    things: list[object] = [
        *(1, 1.0, "1", True, None, [], [[]], ["a", "b"], ["ab"], {"a": "b"}),
        *(front, front.T, np.nextafter(front, 2.0), front.view(np.int64), [front, front]),
        *(Case("toy"), Case("macro"), Case("toy", "", ("error",))),
    ]
    assert len({sum_of(thing) for thing in things}) == len(things)
    assert sum_of((1, np.array([[1.0, 2.0]]))) == sum_of([1, front])


@pytest.mark.long
def test_a_study_gets_all_its_figures(tmp_path: Path) -> None:
    variants = (Variant("random", "random"), *(Variant(f"e{n}", "nsga2", {"population": n}) for n in (10, 20)))
    cases = (Case("toy"), Case("toy", "", ("error",)))
    plan = toy_plan(seeds=(0, 1, 2), variants=variants, cases=cases, champion="e10")
    run_study(list(plan.jobs()), tmp_path)
    files = write_figures(tmp_path, tabulate(plan, collect(plan, tmp_path)))
    both, one = "toy-closed-form-error-flops", "toy-closed-form-error"
    names = [f"regret-{both}", f"regret-{one}", f"front-{both}", f"ecdf-{both}", f"ecdf-{one}", "ecdf-all"]
    names += [f"ranks-{case}-{at}" for case in (both, one) for at in (10, 25, 40)]
    assert sorted(f.name for f in files) == sorted(f"{n}.{end}" for n in names for end in ("pdf", "png"))
    assert {f.parent for f in files} == {tmp_path / "figures"}
    for file in files:
        start = file.read_bytes()[:8]
        assert start.startswith(b"%PDF") if file.suffix == ".pdf" else start == b"\x89PNG\r\n\x1a\n"
    before = {f: f.read_bytes() for f in files if f.suffix == ".pdf"}
    write_figures(tmp_path, tabulate(plan, collect(plan, tmp_path)))
    assert {f: f.read_bytes() for f in before} == before


def test_a_study_without_a_finished_run_has_no_figures(tmp_path: Path) -> None:
    plan = toy_plan()
    assert write_figures(tmp_path, tabulate(plan, collect(plan, tmp_path))) == []

"""Places of the charts of targets reached, on a page."""

from __future__ import annotations

from collections.abc import Sequence

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.metrics.targets import TARGETS
from smemnas.bench.report.page import html as tags
from smemnas.bench.report.page.data import reaches
from smemnas.bench.studies.groups import Group


def reach_figure(groups: Sequence[Group], number: int, case: Case | None) -> str:
    """Return the place of a chart of targets reached; "" where there is nothing to draw.

    Args:
        groups: All groups of the page.
        number: Of one of them.
        case: One of its cases; None for all of them.
    """
    for k, (place, drawn) in enumerate(reaches(groups)):
        if place == (number, case):
            counted = drawn["unit"] == "evaluations"  # in time the first training is long, and nothing happens before
            of = "each number of evaluations" if counted else "so much training"
            caption = (
                f"Share of {len(TARGETS)} hypervolume regrets from {TARGETS[0]:.2f} to {TARGETS[-1]:g} that are "
                f"reached after {of}, on {drawn['title']}; all runs, problems weigh the same."
            )
            return (
                f'<figure data-reach="{k}"><h3>Targets reached</h3><div class="tools">'
                f'{tags.switch("log x", "logx", counted)}</div><div class="chart"></div>'
                f"<figcaption>{tags.text(caption)}</figcaption></figure>"
            )
    return ""

"""Following runs in a browser while they go on, as the command `report --watch` does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from smemnas.bench.library.report import ReportOptions, report
from smemnas.bench.log import logger
from smemnas.bench.outputs import REPORT, claim
from smemnas.bench.registry import load_plugin
from smemnas.bench.report.page.live import Watched
from smemnas.bench.report.page.server import Watch, serve


def watch_report(options: ReportOptions, *, port: int | None = None, say: Callable[[str], None] | None = None) -> None:
    """Serve a page that follows some folders, and the report of what is finished in them, until Ctrl-C.

    Args:
        options: The report; its figures are left to `report` itself.
        port: Where on this machine; None takes 8642, or any that is free.
        say: Called with each line for a terminal; None logs them.

    Raises:
        UserError: A path does not exist, or a label names no method.
        RunError: The folder of the report holds something else, or the port is taken.
    """
    for plugin in options.plugins:
        load_plugin(plugin)
    out = Path(options.out).expanduser()
    claim(out, REPORT)
    runs = [options.runs] if isinstance(options.runs, str | Path) else options.runs
    watched = Watched([str(path) for path in runs], options.labels)
    plain = replace(options, figures=False)
    serve(Watch(watched, lambda: _quietly(plain), out), port, say or logger.info)


def _quietly(options: ReportOptions) -> None:
    """Make the report; what is unfinished stands on the page and is no news."""
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        report(options)
    finally:
        logger.setLevel(before)

"""Small studies and single runs for the tests of reports."""

import json
import re

from smemnas.bench.benchmarks.case import Case
from smemnas.bench.runs.job import make_job
from smemnas.bench.runs.run import run
from smemnas.bench.studies.discovery import find_runs
from smemnas.bench.studies.execution import record_plan, run_study
from smemnas.bench.studies.groups import make_groups
from smemnas.bench.studies.plan import Plan, Variant, check_plan, make_cases

TOY = Case("toy", "closed-form", ("error", "flops"))


def study(out, methods=("random", "nsga2"), spaces=("toy",), seeds=(0, 1, 2), budget=30, **settings):
    """Make a study and return its plan."""
    variants = tuple(v if isinstance(v, Variant) else Variant(v, v) for v in methods)
    plan = check_plan(Plan(variants, make_cases(list(spaces), [], ()), seeds, budget, **settings))
    record_plan(out, plan)
    run_study(list(plan.jobs()), out)
    return plan


def single(folder, method="random", space="toy", seed=0, budget=30, **settings):
    """Make a run folder as `cli.py run` does."""
    from smemnas.bench.report.run import write_report

    job, benchmark = make_job(method, space, seed=seed, budget=budget, **settings)
    write_report(folder, run(job, folder, benchmark=benchmark), benchmark)
    return folder


def groups_of(*paths, **roles):
    return make_groups(find_runs([str(p) for p in paths]), **roles)


def data_in(page):
    """Return the JSON of a page."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])

"""Where the numbers of a page come from: tables with their checksums, code, packages and machines."""

from __future__ import annotations

import json
from collections.abc import Sequence

from smemnas.bench.benchmarks.case import benchmark_of
from smemnas.bench.report.page import html as tags
from smemnas.bench.runs.guard import same_data
from smemnas.bench.studies.groups import Group


def sources(groups: Sequence[Group]) -> str:
    """Return what each case was run on, and the environments of the runs."""
    data: dict[tuple[str, str, str], int] = {}
    environments: dict[str, int] = {}
    for group in groups:
        for run in group.runs.values():
            benchmark = benchmark_of(run.case)
            same = "the installed version"
            if not same_data(run.data, benchmark):
                compared = benchmark.recheck is not None
                same = "another version" + (
                    " with the same values" if compared else ", not compared with the installed one"
                )
            recorded = ", ".join(f"{key} {value}" for key, value in sorted(run.data.items())) or "nothing recorded"
            key = (f"{run.job.space}/{run.job.dataset}", recorded, same)
            data[key] = data.get(key, 0) + 1
            text = json.dumps(run.environment, sort_keys=True)
            environments[text] = environments.get(text, 0) + 1
    rows = [[name, str(n), same, recorded] for (name, recorded, same), n in sorted(data.items())]
    parts = [
        "<h3>Data</h3>",
        tags.table(["problem", "runs", "made on", "as recorded"], rows, "Data", wrap=("as recorded",)),
    ]
    parts.append("<h3>Environments</h3>")
    for text, n in sorted(environments.items(), key=lambda item: (-item[1], item[0])):
        parts.append(tags.definitions([("runs", n), *_flat(json.loads(text))]))
    return "".join(parts)


def _flat(environment: dict[str, object]) -> list[tuple[str, object]]:
    """Return the entries of an environment, packages on one line."""
    found: list[tuple[str, object]] = []
    for key, value in environment.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {version}" for name, version in value.items())
        found.append((key.replace("_", " "), "-" if value is None else value))
    return found or [("environment", "not recorded")]

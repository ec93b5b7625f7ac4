"""All that an archive says of its runs, as one digest: two files that say the same have the same one."""

from __future__ import annotations

import hashlib
import json

from smemnas.bench.archive.read import RunArchive


def digest(archive: RunArchive) -> str:
    """Return the sha256 of plans, jobs, states, logs, recommendations and times of all runs, in their order."""
    found = hashlib.sha256(json.dumps(archive.plans, sort_keys=True).encode())
    for run in archive.runs:
        job, _ = run.job()
        state = run.status(), run.count(), run.seconds(), run.evaluations()
        said = job.folder_in_study.as_posix(), run.job_text(), [repr(item) for item in state]
        for part in (json.dumps(said, sort_keys=True).encode(), run.text(), run.recommended_text() or b"none"):
            found.update(b"%d:%s" % (len(part), part))
    return found.hexdigest()

"""Shared by the tests of archives: a small study, the members of an archive, and all that it says as one digest."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import zipfile

import smemnas
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


def small_study(out):
    """Run a study of two methods on one problem, two seeds, and return its folder."""
    smemnas.study(
        smemnas.StudyOptions(
            methods=("random", "nsga2"), spaces=("toy",), seeds="0-1", budget=25, figures=False, out=out
        )
    )
    return out


def folders(place):
    """Return the run folders below a place."""
    return sorted(path.parent for path in place.rglob("job.json"))


def content(archive):
    """Return the members of an archive by their names, unpacked."""
    with zipfile.ZipFile(archive) as file:
        read = {name: file.read(name) for name in file.namelist()}
    return {n.removesuffix(".xz"): lzma.decompress(data) if n.endswith(".xz") else data for n, data in read.items()}


def edited(archive, tmp_path, change):
    """Write an archive whose members are changed and whose checksums all fit."""
    members = content(archive)
    manifest = json.loads(members.pop("manifest.json"))
    change(manifest, members)
    for name, data in members.items():
        manifest["members"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return write_zip(tmp_path / "edited.runs", {"manifest.json": json.dumps(manifest).encode(), **members})


def write_zip(path, members, sizes=()):
    """Write members with the checksum of all; some claim other sizes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
        for name, size in sizes:
            file.getinfo(name).file_size = size
        file.comment = b"0" * 64
    body = stream.getvalue()[:-64]
    path.write_bytes(body + hashlib.sha256(body).hexdigest().encode())
    return path

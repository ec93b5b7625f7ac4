"""What a result depends on beside the job: code, packages, interpreter, machine."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from smemnas import __version__

PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "moocore",
    "pymoo",
    "analog-nasbench",
    "torch",
    "timm",
)


@cache
def git_commit() -> str | None:
    """Return the commit of the suite's checkout, "-dirty" appended where files changed, or None outside one."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        call = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        return subprocess.run(call, capture_output=True, text=True, timeout=10, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def environment(*needed: str) -> dict[str, Any]:
    """Return versions of code, packages and interpreter, and the kind of machine.

    Args:
        needed: Packages to name beside those that always are, where they are installed.
    """
    versions = {"smemnas": __version__}  # of the code that runs, be it installed or not
    for name in (*PACKAGES, *(name for name in sorted(needed) if name not in PACKAGES)):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "git_commit": git_commit(),
        "packages": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
    }

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


def processor() -> str:
    """Return the processor's name, as the system gives it, "" where it gives none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor()


def kernels() -> dict[str, str]:
    """Return by which instructions this process computes: those of its BLAS libraries, and NumPy's beyond the least.

    A run's log does not depend on them (docs/reproducibility.md says where it may); where two part all the same, this
    says why.
    """
    import numpy as np
    from threadpoolctl import threadpool_info

    blas = {
        f"{lib['internal_api']} {lib.get('architecture') or ''}".strip() for lib in threadpool_info() if _is_blas(lib)
    }
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    return {"blas": ", ".join(sorted(blas)), "simd": " ".join(found)}


def _is_blas(library: dict[str, Any]) -> bool:
    return library.get("user_api") == "blas"


@cache
def environment(*needed: str) -> dict[str, Any]:
    """Return versions of code, packages and interpreter, the machine and the instructions it computes by.

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
        "processor": processor(),
        **kernels(),
    }

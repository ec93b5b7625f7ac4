"""Write docs/licences.md: `python docs/make_licences.py`. Dependencies of pyproject.toml and recipes of data sets.

Licences of dependencies are written down here, each as an SPDX expression for the package itself; a test compares them
with what the installed packages declare. Those of data come from the recipes.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
LICENCES = {
    "analog-nasbench": "none declared", "botorch": "MIT", "click": "BSD-3-Clause", "dask": "BSD-3-Clause",
    "filelock": "MIT", "gdown": "MIT", "hypothesis": "MPL-2.0", "ipykernel": "BSD-3-Clause", "joblib": "BSD-3-Clause",
    "lightgbm": "MIT", "matplotlib": "PSF-based", "mkdocstrings": "ISC", "moocore": "LGPL-2.1-or-later",
    "msgspec": "BSD-3-Clause", "mypy": "MIT", "nas-bench-201": "MIT", "nasbench-pytorch": "Apache-2.0",
    "nats-bench": "MIT", "nbclient": "BSD-3-Clause", "numpy": "BSD-3-Clause", "ofa": "MIT", "onnx": "Apache-2.0",
    "onnxruntime": "MIT", "onnxscript": "MIT", "optuna": "MIT", "pandas": "BSD-3-Clause",
    "pandas-stubs": "BSD-3-Clause", "pillow": "MIT-CMU", "platformdirs": "MIT", "pooch": "BSD-3-Clause",
    "pyarrow": "Apache-2.0", "pymoo": "Apache-2.0", "pytest": "MIT", "pytest-benchmark": "BSD-2-Clause",
    "pytest-xdist": "MIT", "pyyaml": "MIT", "ray": "Apache-2.0", "requests": "Apache-2.0", "rich": "MIT",
    "ruff": "MIT", "safetensors": "Apache-2.0", "scikit-learn": "BSD-3-Clause", "scipy": "BSD-3-Clause",
    "smac": "BSD-3-Clause",
    "tensorboard": "Apache-2.0", "threadpoolctl": "BSD-3-Clause", "timm": "Apache-2.0", "tomli-w": "MIT",
    "torch": "BSD-3-Clause", "torchvision": "BSD-3-Clause", "tqdm": "MPL-2.0 AND MIT", "websockets": "BSD-3-Clause",
    "zensical": "MIT",
}  # fmt: skip
HEAD = """# Licences

Written by `python docs/make_licences.py`; a test compares it with pyproject.toml, installed packages and recipes.

The suite is under the MIT licence. It ships no code of others; what it needs is installed beside it under its own
licence. One package of the core is copyleft: **moocore is LGPL-2.1-or-later**. It is imported as it is and can be
replaced by whoever uses the suite, which is what that licence asks of a program that uses a library; who hands on a
bundle (a container, say) passes on its licence and source with it. hypothesis and tqdm (MPL-2.0, by file) are needed by
tests and by one extra only. What wheels of NumPy, SciPy and PyTorch bundle is named in their own files.

## Dependencies
"""


def requirements() -> dict[str, list[str]]:
    """Return the extras of pyproject.toml, "core" first, with the packages each names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"core": project["dependencies"], **project["optional-dependencies"]}
    names = {extra: [re.split(r"[\[<>=!~; ]", text)[0] for text in texts] for extra, texts in groups.items()}
    return {extra: sorted(found) for extra, found in names.items() if extra != "all"}


def page() -> str:
    """Return the page."""
    from smemnas.bench.data.in_package import packaged
    from smemnas.bench.data.recipe import recipes

    lines = [HEAD, "| package | licence | needed by |", "|---|---|---|"]
    groups = requirements()
    for name in sorted({name for names in groups.values() for name in names}):
        users = ", ".join(extra for extra, names in groups.items() if name in names)
        lines.append(f"| {name} | {LICENCES[name]} | {users} |")
    lines += [
        "",
        "## Data",
        "",
        "Tables hold numbers that others measured. What is *in the package* is named with authors and licence texts in "
        "`bench/data/embedded/NOTICE` and `bench/data/embedded/mnv3-ofa.NOTICE`. Please cite the original works.",
        "",
        "| table | `data fetch` | in the package | licence of its sources |",
        "|---|---|---|---|",
    ]
    for recipe in sorted(recipes(), key=lambda r: r.table):
        inside = "yes" if recipe.table in packaged() else ""
        lines.append(f"| `{recipe.table}` | `{recipe.name}` | {inside} | {recipe.licence} |")
    lines.append("| `mnv3/ofa` | | yes | Apache-2.0 (measurements of DyNAS-T), networks of Once-for-All (MIT) |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Write docs/notebooks/*.ipynb and run them: `python docs/make_notebooks.py [NAME ...]`; extra dev.

Their cells are written here, what they show is what they printed. `make test-long` runs them again.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "notebooks"

FIRST = (
    """# A first search, and a method of your own

Everything here runs offline in about a minute: `pip install -e .` in a clone, and a notebook.""",
    """import smemnas

result = smemnas.run(smemnas.RunOptions("smemnas", "nb201", budget=100, out="runs/first"))
result""",
    "The front that 100 of 15,625 cells gave, and how the hypervolume regret fell:",
    "result.plot()",
    """## A method of your own

A method is a class with `ask` and `tell`. This one mutates a random member of the front found so far, and is
in one file, [docs/examples/my_method.py](../examples/my_method.py):""",
    """from pathlib import Path

here = next(folder for folder in [Path.cwd(), *Path.cwd().parents] if (folder / "docs" / "examples").is_dir())
plugin = here / "docs" / "examples" / "my_method.py"
print(plugin.read_text().split("def ask")[1].split("def tell")[0].strip())""",
    """## Against the archive

The runs of nine methods on five problems come with the package. Only yours are made; the others are read.""",
    """study = smemnas.study(
    smemnas.StudyOptions(
        against="in-the-box", methods=["front-climber"], plugins=[plugin], figures=False, out="runs/mine"
    )
)
study""",
    """for row in study.tables.rows:
    if row.at == 100 and row.variant in ("front-climber", "smemnas", "nsga2", "random"):
        print(f"{row.case.place:18s} {row.variant:14s} regret {row.regret.value:.3f}")""",
    "study.plot()",
    """`runs/mine/study.md` has every table with tests and intervals, and says what these seeds can show. What the
published runs say: [Which method on which problem?](../answers/methods.md)""",
)
NOTEBOOKS: dict[str, Sequence[str]] = {"first-search": FIRST}


def is_code(cell: str) -> bool:
    """Whether a cell is code, not words."""
    return cell.startswith(("import ", "from ", "result.", "study", "for "))


def written(name: str) -> Any:
    """Return a notebook without output."""
    import nbformat

    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for k, text in enumerate(NOTEBOOKS[name]):
        make = nbformat.v4.new_code_cell if is_code(text) else nbformat.v4.new_markdown_cell
        book.cells.append(make(text, id=f"{name}-{k}"))
    return book


def run(name: str, folder: Path) -> Any:
    """Run a notebook in a folder that has docs/ in it; return it with its output."""
    import nbclient

    book = written(name)
    (folder / "docs").symlink_to(ROOT / "docs")
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
    where = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(book, timeout=900, kernel_name="python3", resources=where).execute()
    for cell in book.cells:
        cell.metadata.pop("execution", None)
    return book


def main(names: list[str]) -> None:
    """Run and write the notebooks of these names, or all of them."""
    import nbformat

    FOLDER.mkdir(exist_ok=True)
    for name in names or NOTEBOOKS:
        with tempfile.TemporaryDirectory() as place:
            nbformat.write(run(name, Path(place)), FOLDER / f"{name}.ipynb")


if __name__ == "__main__":
    main(sys.argv[1:])

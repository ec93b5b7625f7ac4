"""`api_user.py`, a user's file: what it gives, how `mypy --strict` reads it, and what a notebook shows of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib

import api_user
import pytest
from conftest import ROOT

import smemnas

#: What a user may get wrong, and what mypy says about it.
WRONG = {
    'smemnas.RunOptions("random", "toy", budget="40")': '"budget" to "RunOptions" has incompatible type "str"',
    'smemnas.RunOptions("random", spaces="toy")': 'Unexpected keyword argument "spaces" for "RunOptions"',
    'smemnas.open_benchmark("toy", objectives=3)': '"objectives" to "open_benchmark" has incompatible type "int"',
    "smemnas.study(smemnas.RunOptions('random'))": 'incompatible type "RunOptions"; expected "StudyOptions"',
    "smemnas.run(smemnas.RunOptions('random'), progress='yes')": '"progress" to "run" has incompatible type "str"',
    "smemnas.sturdy": 'Module has no attribute "sturdy"',
    "found.fronts": '"Result" has no attribute "fronts"; maybe "front"?',
}
#: An expression to its type.
TYPES = {
    "smemnas.open_benchmark('toy')": "Benchmark",
    "smemnas.make_job('random', 'toy')": "tuple[smemnas.bench.runs.job.Job, smemnas.bench.benchmarks.base.Benchmark]",
    "found": "Result",
    "found.front.archs": "tuple[str, ...]",
    "smemnas.study(smemnas.StudyOptions())": "Study",
    "smemnas.rank(smemnas.RankOptions('toy'))": "Ranking",
    "smemnas.report(smemnas.ReportOptions(['runs']))": "Report",
    "smemnas.trials_frame('runs')": "DataFrame",
    "smemnas.METHODS.create('random')": "Method",
    "smemnas.SURROGATES.create('knn').rank": "ndarray",
}


@pytest.mark.long
@pytest.mark.slow
def test_a_users_file_is_typed_and_mistakes_are_found(tmp_path):
    """What mypy says, word for word, and pandas by its stubs; `make types` has the same in `api_mistakes.py`."""
    pytest.importorskip("mypy", reason="types are checked where mypy is installed (extra dev)")
    pytest.importorskip("numpy", "2.4", reason="types are checked against the stubs of NumPy 2.4 or newer: upgrade it")
    package = tmp_path / "types" / "smemnas"
    package.mkdir(parents=True)
    for path in (*(ROOT / "smemnas").iterdir(), *(ROOT / n for n in ("bench", "methods", "spaces", "surrogates"))):
        if path.name != "__pycache__":
            (package / path.name).symlink_to(path)
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    foreign = ",".join(f"mypy-{name}" for name in overrides[0]["module"] if name != "pandas.*")
    (tmp_path / "mypy.ini").write_text(
        f"[mypy]\nstrict = True\nmypy_path = {tmp_path / 'types'}\nfollow_imports = silent\n\n"
        f"[{foreign}]\nignore_missing_imports = True\nfollow_imports = skip\n"
    )
    lines = [*WRONG, *(f"reveal_type({expression})" for expression in TYPES)]
    begin = 'import smemnas\n\nfound = smemnas.run(smemnas.RunOptions("random", "toy"))\n'
    (tmp_path / "wrong.py").write_text(begin + "\n".join(lines) + "\n")
    (tmp_path / "api_user.py").write_text((ROOT / "tests" / "api_user.py").read_text())
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "api_user.py", "wrong.py"]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert not out.stderr
    said = {}
    for line in out.stdout.splitlines():
        file, number, _, text = re.fullmatch(r"([^:]+):(\d+): (error|note): (.*)", line).groups()
        assert file == "wrong.py", line
        said.setdefault(int(number), text)
    first = begin.count("\n") + 1
    assert sorted(said) == list(range(first, first + len(lines)))
    for number, (line, words) in enumerate(WRONG.items(), start=first):
        assert words in said[number], line
    for number, (expression, kind) in enumerate(TYPES.items(), start=first + len(WRONG)):
        assert kind in said[number].replace("builtins.", ""), expression
        assert "Any" not in said[number].replace("tuple[Any, ...]", "the shape of an array"), expression


def test_what_a_users_file_gives(use_embedded, tmp_path, capsys):
    shown = list(map(repr, api_user.main(tmp_path)))
    assert shown[0] == "<CallableBenchmark toy/closed-form: minimise error (%), flops (M)>"
    assert shown[1].startswith("<Result of nsga2 on toy/closed-form, seed 1: 40 of 40 evaluations, front of ")
    assert shown[4] == f"<Study of 2 methods on 1 problem, 6 of 6 runs done, in {tmp_path / 'compared'}>"
    assert shown[5] == f"<Ranking of 2 surrogates on toy/closed-form, 6 of 6 trials done, in {tmp_path / 'ranks'}>"
    assert shown[6] == f"<Report of 6 runs on 1 problem: {tmp_path / 'page' / 'index.html'}>"
    assert shown[8:] == ["6", "(5, 2)", "(30,)"]
    assert max(map(len, shown)) < 300
    assert capsys.readouterr() == ("", "")  # nobody looks at a terminal here, so no bar either


CELLS = (
    "from pathlib import Path\nimport api_user, smemnas",
    'found = smemnas.run(smemnas.RunOptions("nsga2", "toy", budget=40), progress=True)\nfound',
    "found.plot()",
    'options = smemnas.StudyOptions(["random", "nsga2"], ["toy"], seeds="0-2", budget=30, figures=False)\n'
    "study = smemnas.study(options, progress=True)\nstudy",
    "study.plot()",
    'everything = api_user.main(Path("all"))\neverything[0]',
)


def test_a_notebook_shows_bars_tables_and_pictures(use_embedded, tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient and ipykernel (extra dev)")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel (extra dev)")
    pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel (extra dev)")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        nbclient.NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
        ).execute()
    _, run, picture, study, curve, everything = (cell.outputs for cell in notebook.cells)
    bar, table = (output.data["text/html"] for output in run)
    assert "nsga2 on toy/closed-form" in bar
    assert '<progress value="40" max="40">' in bar
    assert bar.endswith("40/40</div>")
    assert "Front of nsga2 on toy/closed-form, seed 0" in table
    assert table.count("<tr>") == 1 + len(smemnas.evaluations_frame(*tmp_path.glob("runs/toy/*/*/*/*")).query("front"))
    bar, table = (output.data["text/html"] for output in study)
    assert bar.endswith("6/6</div>")
    assert table.count("<tr>") == 3
    for (output,) in (picture, curve):
        assert len(output.data["image/png"]) > 5000
    assert all(output.output_type != "stream" for cell in notebook.cells for output in cell.outputs)
    assert "minimise" in everything[-1].data["text/html"]

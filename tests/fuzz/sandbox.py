"""The folder that a call runs in: a user's files, finished and half-finished work of the suite, all of it tiny."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

#: What the suite made, by its name in the folder, and the call that made it.
RUN = ("run", "--method", "random", "--space", "toy", "--budget", "12", "--out", "r")
BOUND = ("run", "--method", "nsga2", "--space", "toy", "--budget", "14", "--constraint", "flops<=15", "--out", "n")
STUDY = (
    *("study", "--methods", "random,nsga2", "--spaces", "toy", "--seeds", "0-1", "--budget", "12"),
    *("--jobs", "1", "--no-figures", "--out", "s"),
)
RANK = (
    *("rank", "--space", "toy", "--surrogates", "knn,constant", "--encodings", "onehot", "--n-train", "20"),
    *("--seeds", "1", "--n-test", "20", "--jobs", "1", "--no-calibration", "--no-figures", "--out", "k"),
)
ARCHIVE = ("archive", "make", "s", "--out", "a.runs")
MADE = {"r": RUN, "n": BOUND, "s": STUDY, "k": RANK, "a.runs": ARCHIVE}
#: A user's own files: nothing of them may be gone or changed, whatever is called.
OWN = {
    "thesis.tex": b"\\documentclass{book} % three years of work\n",
    "src/a.py": b"print('mine')\n",
    ".git/HEAD": b"ref: refs/heads/main\n",
    "notes.md": b"# notes\n",
    "file": b"no folder\n",
    "net.pt": b"no checkpoint\n",
    "pickle.pt": b"\x80\x04cposix\nsystem\n.",
    "mine/paper.tex": b"x\n",
    "broken.py": b"import nothing_of_this_name\n",
    "odd.py": b"raise GeneratorExit\n",
    "table.csv": b"arch,acc,ms\n" + b"".join(
        f"{a}-{b}-0-0-{c},{50 + a + b},{1 + c}\n".encode() for a in range(5) for b in range(5) for c in range(5)
    ),
    "bad.csv": b"arch,acc\n0-0-0-0-0,many\nnowhere,5\n",
}  # fmt: skip
PLUGIN = b'''"""A method of a user."""
from smemnas.methods.base import METHODS, DesignStream, Method


@METHODS.register("mine", summary="For tests")
class Mine(Method):
    def __init__(self, problem, *, budget, seed):
        super().__init__(problem, budget=budget, seed=seed)
        self.stream = DesignStream(problem, seed)

    def ask(self):
        return self.stream.take(4)

    def tell(self, X, F):
        pass
'''


class Sandbox:
    """Makes fresh copies of one template."""

    def __init__(self, server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.template = folder / "template"
        self.outputs = {}
        cwd = self.template / "cwd"
        cwd.mkdir(parents=True)
        for name, data in {**OWN, "plugin.py": PLUGIN}.items():
            (cwd / name).parent.mkdir(parents=True, exist_ok=True)
            (cwd / name).write_bytes(data)
        (cwd / "empty").mkdir()
        (cwd / "dangling").symlink_to("nowhere")
        for name, args in MADE.items():
            done = server.call(args, cwd, self.environment(self.template), 120)
            assert done["code"] == 0, done
            self.outputs[name] = done["out"]

    def environment(self, place: Path) -> dict[str, str]:
        """Return the variables of a call: everything a program might write to is below its own folder."""
        home = place / "home"
        home.mkdir(exist_ok=True)
        return {
            **{"PATH": os.environ.get("PATH", ""), "HOME": str(home), "SMEMNAS_DATA": str(place / "data")},
            **{"TMPDIR": str(home), "XDG_CACHE_HOME": str(home / "cache"), "MPLCONFIGDIR": str(home / "mpl")},
            **{"TORCH_HOME": str(home / "torch"), "JOBLIB_TEMP_FOLDER": str(home), "OMP_NUM_THREADS": "1"},
            **{f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https", "ftp")},  # no call leaves
            **{"LC_ALL": "C.UTF-8", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        }

    def fresh(self) -> Path:
        """Return a fresh place; its "cwd" is where the call runs."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        shutil.copytree(self.template, place, symlinks=True, dirs_exist_ok=True)
        return place

    def drop(self, place: Path) -> None:
        """Remove a place, whatever rights its files have."""

        def again(function, path, _) -> None:
            os.chmod(path, stat.S_IRWXU)
            function(path)

        shutil.rmtree(place, onerror=again)


def changed(place: Path) -> list[str]:
    """Return which of the user's own files are gone or other than they were."""
    cwd = place / "cwd"
    found = []
    for name, data in OWN.items():
        try:
            same = (cwd / name).read_bytes() == data
        except OSError:
            same = False
        if not same:
            found.append(name)
    return found


def left(place: Path, template: Path) -> list[str]:
    """Return the folders that a call made for nothing, the outermost of each: there is no file in them but locks."""
    old = {p.relative_to(template) for p in (template / "cwd").rglob("*")}
    new = [p for p in sorted((place / "cwd").rglob("*")) if p.relative_to(place) not in old and p.is_dir()]
    bare = [p for p in new if not any(q.is_file() and not q.name.endswith(".lock") for q in p.rglob("*"))]
    return [p.relative_to(place / "cwd").as_posix() for p in bare if p.parent not in bare]

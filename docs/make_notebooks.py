"""Write docs/notebooks/*.ipynb and run them: `python docs/make_notebooks.py [NAME ...]`; extras dev and train.

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


class Code(str):
    """A cell of code; other cells are words."""


FIRST = (
    """# A first search, and a method of your own

Everything here runs offline in about a minute: `pip install -e .` in a clone, and a notebook.""",
    Code("""import smemnas

result = smemnas.run(smemnas.RunOptions("smemnas", "nb201", budget=100, out="runs/first"))
result"""),
    "The front that 100 of 15,625 cells gave, and how the hypervolume regret fell:",
    Code("result.plot()"),
    """## A method of your own

A method is a class with `ask` and `tell`. This one mutates a random member of the front found so far, and is
in one file, [docs/examples/my_method.py](../examples/my_method.py):""",
    Code("""from pathlib import Path

here = next(folder for folder in [Path.cwd(), *Path.cwd().parents] if (folder / "docs" / "examples").is_dir())
plugin = here / "docs" / "examples" / "my_method.py"
print(plugin.read_text().split("def ask")[1].split("def tell")[0].strip())"""),
    """## Against the archive

The runs of nine methods on five problems come with the package. Only yours are made; the others are read.""",
    Code("""study = smemnas.study(
    smemnas.StudyOptions(
        against="in-the-box", methods=["front-climber"], plugins=[plugin], figures=False, out="runs/mine"
    )
)
study"""),
    Code("""for row in study.tables.rows:
    if row.at == 100 and row.variant in ("front-climber", "smemnas", "nsga2", "random"):
        print(f"{row.case.place:18s} {row.variant:14s} regret {row.regret.value:.3f}")"""),
    Code("study.plot()"),
    """`runs/mine/study.md` has every table with tests and intervals, and says what these seeds can show. What the
published runs say: [Which method on which problem?](../answers/methods.md)""",
)
IMAGES = (
    """# From images to a network

The whole way at toy size, offline: images in folders, a supernet, a search in it, the final training of a network that
was found, and a file that names classes with onnxruntime alone. `pip install -e ".[train]"` in a clone, a notebook, and
some minutes of one core.

## Images: one folder for each class

The digits of scikit-learn, 8 pixels wide, stand for yours. The name of a folder is the name of a class.""",
    Code("""from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import smemnas

names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
digits = load_digits()
for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
    file = Path("photos", names[label], f"{number:04d}.png")
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((pixels * 255 / 16).round().astype("uint8")).save(file)

images = smemnas.images("photos", out="splits.csv")
images"""),
    """`splits.csv` says of each file where it belongs. The notes below the table say which differences between networks
so few images can show at all; keep them in mind below.""",
    Code('''def show(files, titles, wrong=()):
    """Draw images in two rows, each under its title."""
    figure, places = plt.subplots(2, len(files) // 2, figsize=(10, 3), layout="constrained")
    for k, (place, file, title) in enumerate(zip(places.flat, files, titles, strict=True)):
        place.imshow(Image.open(file), cmap="gray_r")
        place.set_title(title, fontsize=9, color="crimson" if k in wrong else "black")
        place.axis("off")
    return figure


files = [file for name in names for file in sorted(Path("photos", name).iterdir())[:2]]
show(files, [file.parent.name for file in files]).suptitle("Two images of each class");'''),
    """## A supernet: all networks at once

It holds the weights of every network of the space `mnv3`, which differ in depth, kernels and expansions. Its defaults
are for photographs: digits must not be mirrored, and a shift by four of eight pixels would lose half of an image.""",
    Code("""options = smemnas.SupernetTrainOptions(
    "photos",
    width=0.35,
    strides=(1, 2, 2, 1, 1),
    epochs=6,
    batch=32,
    lr=0.05,
    smoothing=0.0,
    n_random=1,
    crop=1,
    flip=False,
    threads=1,
    out="runs/supernet",
)
supernet = smemnas.supernet_train(options)
supernet"""),
    Code("""figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for key, label in {"largest": "largest", "smallest": "smallest", "random": "random, mean of four"}.items():
    axes.plot([row["epoch"] for row in supernet.rows], [row[key] for row in supernet.rows], "o-", ms=4, label=label)
axes.axhline(100 / len(names), color="grey", ls=":", label="chance")
axes.set(title="Networks of the supernet, by epoch", xlabel="epoch", ylabel="validation accuracy (%)")
axes.legend(frameon=False, fontsize=9);"""),
    """## A search: error against cost

A network is judged with the weights that it inherits, which takes a moment, not a training. SMEM-NAS learns from those
it has seen which of two networks is better, and asks for the promising ones. It begins with the ends of the space, its
smallest and its largest network: these are trained in every step, and are ahead of all others after so few epochs.""",
    Code("""options = smemnas.RunOptions(
    "smemnas", evaluator="supernet", checkpoint=supernet.checkpoint, budget=40, start="ends", out="runs/search"
)
search = smemnas.run(options)
search"""),
    Code("search.plot()"),
    """## Final trainings

Inherited weights guide a search ([how well](../answers/inherited.md)); what a network is worth, its own training says.
The knee of the front is trained to the end, from the weights that it inherits; beside it, for comparison, a network
that nobody searched for: of 2,000 random ones the nearest in cost.""",
    Code('''def final(**which):
    """Train a network of the search to the end."""
    changes = ("batch=32", "lr=0.06", "warmup=0", "smoothing=0", "crop=1", "flip=false")
    options = smemnas.RetrainOptions("runs/search", **which, preset="small", epochs=6, threads=1, changes=changes)
    return smemnas.retrain(options)


space = search.benchmark.space
trained = final(pick="knee")
lot = space.sample(2000, np.random.default_rng(0))
costs = space.cost(np.vstack([space.from_str(trained.arch), lot]), "flops")
near = final(arch=space.to_str(lot[np.abs(costs[1:] - costs[0]).argmin()]))'''),
    Code("""for who, network in {"found by SMEM-NAS": trained, "random, near in cost": near}.items():
    [[error, flops]] = search.benchmark.evaluate(space.from_str(network.arch)[None], 0).F
    print(f"{who}, {flops:.2f} M MAdds")
    print(f"    as inherited    {100 - error:.0f} % of the validation images right")
    print(f"    after training  {network.top1:.0f} % of the test images right")"""),
    """What is to be seen here is that the chain learns. Whether the two differ by more than chance, so few images
cannot say; how trainings that can are planned: [Training for real](../training.md).

## Export: a file that needs neither this suite nor PyTorch""",
    Code("""network = smemnas.export(smemnas.ExportOptions(trained.folder, normalise=True, softmax=True))
network"""),
    Code("""import csv
import json

import onnxruntime

session = onnxruntime.InferenceSession(network.folder / "model.onnx", providers=["CPUExecutionProvider"])
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
with open("splits.csv", newline="") as table:
    held = [row for row in csv.DictReader(table) if row["split"] == "test"]
pixels = np.stack([np.asarray(Image.open(row["file"]).convert("RGB"), "float32") for row in held])
[chances] = session.run(None, {"images": pixels.transpose(0, 3, 1, 2)})
answers = [classes[k] for k in chances.argmax(axis=1)]
right = np.array([answer == row["label"] for answer, row in zip(answers, held, strict=True)])
print("classes, in the order of the outputs:", *classes)
print(f"{right.mean():.0%} of {len(held)} test images are named rightly")"""),
    Code("""mistakes, others = np.flatnonzero(~right)[:6].tolist(), np.flatnonzero(right)
rows = [*mistakes, *others[:: len(others) // 19].tolist()][:20]
titles = [f"{answers[k]} {chances[k].max():.0%}" + ("" if right[k] else f"\\nis {held[k]['label']}") for k in rows]
picture = show([held[k]["file"] for k in rows], titles, wrong=range(len(mistakes)))
picture.suptitle("Answers of model.onnx for test images; mistakes in red");"""),
    """With images of yours all of this is one command with a time that you state,
`python cli.py fit photos --hours 8 --out net`; its stages, sizes that mean something, and GPUs:
[Training for real](../training.md).""",
)
NOTEBOOKS: dict[str, Sequence[str]] = {"first-search": FIRST, "images-to-network": IMAGES}


def written(name: str) -> Any:
    """Return a notebook without output."""
    import nbformat

    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for k, text in enumerate(NOTEBOOKS[name]):
        make = nbformat.v4.new_code_cell if isinstance(text, Code) else nbformat.v4.new_markdown_cell
        book.cells.append(make(text, id=f"{name}-{k}"))
    return book


def run(name: str, folder: Path) -> Any:
    """Run a notebook in a folder that has docs/ in it; return it with its output."""
    import nbclient

    book = written(name)
    (folder / "docs").symlink_to(ROOT / "docs")
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
    where = {"metadata": {"path": str(folder)}}
    waits = {"timeout": 900, "startup_timeout": 300, "iopub_timeout": 60}  # of a busy machine, too
    nbclient.NotebookClient(book, **waits, kernel_name="python3", coalesce_streams=True, resources=where).execute()
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

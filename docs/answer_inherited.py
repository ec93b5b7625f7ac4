"""The page docs/answers/inherited.md: what do inherited weights tell?"""

from __future__ import annotations

import math
from typing import NamedTuple

from answer_parts import FOLDER, Answer, Axis, Mark, forest, only, plain, tables, together
from pages import RESULTS, read_rows, table

TITLE = "What do inherited weights tell?"
#: What the run that was made here printed.
RECORD = FOLDER.parent / "training"
#: Ranking study on networks of OFA-MobileNetV3 that others measured with inherited weights.
MEASURED = RESULTS / "rank-mnv3-measured" / "ranking.md"


class Tau(NamedTuple):
    """Kendall's tau between inherited and standalone error, with its interval, on some images."""

    images: str
    value: float
    low: float
    high: float


def networks() -> list[dict[str, str]]:
    """Return the networks that were trained to the end."""
    return read_rows(RECORD / "networks.csv")


def test_images() -> int:
    """Return how many images top-1 was measured on."""
    [n] = {int(row["test images"]) for row in networks()}
    return n


def survival() -> tuple[int, list[Tau]]:
    """Return how many networks were trained alone, and how alike both orders are."""
    rows = read_rows(RECORD / "order.csv")
    return int(rows[0]["networks"]), [Tau(r["images"], *(float(r[n]) for n in ("tau", "low", "high"))) for r in rows]


def spread(percent: float, n: int) -> Mark:
    """Return an accuracy (%) with its 95 % interval by Wilson's rule."""
    z, p = 1.959964, percent / 100
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Mark(percent, *(100 * (middle + side * half) / (1 + z * z / n) for side in (-1, 1)))


def both_ways() -> list[tuple[float, float]]:
    """Return top-1 with inherited weights and from random ones of the architectures that were trained both ways.

    They are told apart by parameters and MAdds.
    """
    top: dict[str, dict[tuple[str, str], float]] = {"inherited": {}, "random": {}}
    for row in networks():
        top[row["start"]][row["parameters (M)"], row["MAdds (M)"]] = float(row["test top-1"])
    return [(value, top["random"][key]) for key, value in top["inherited"].items() if key in top["random"]]


def learned() -> tuple[str, float, str, float, float]:
    """Return how well the best surrogate orders networks, after the fewest and the most, and how well MAdds do."""
    rows = only(tables(MEASURED.read_text(encoding="utf-8")), "Kendall tau-b against measured_error")
    sizes = [name for name in rows[0] if name.isdigit()]
    few, many = (max(float(plain(row[n])) for row in rows if row["encoding"] != "-") for n in (sizes[0], sizes[-1]))
    alone = next(float(plain(row[sizes[0]])) for row in rows if row["surrogate"] == "flops")
    return sizes[0], few, sizes[-1], many, alone


def answers() -> tuple[str, str, str]:
    """Return the three sentences."""
    few, low, many, high, alone = learned()
    pairs = both_ways()
    gains = [start - without for start, without in pairs]
    count, taus = survival()
    zero = all(tau.low < 0 < tau.high for tau in taus)
    said = ", ".join(f"{tau.value:+.2f}" for tau in taus)
    shown = together([f"{start:.1f} against {without:.1f} %" for start, without in pairs])
    return (
        "They order the networks of one supernet regularly: the best surrogate orders networks by their measured "
        "error with "
        f"Kendall's tau {low:.2f} after {few} of them and {high:.2f} after {many} (MAdds alone: {alone:.2f}).",
        f"Whether that is the order of networks trained alone is {'not shown' if zero else 'shown in part'} here: "
        f"tau {said} "
        f"for {count} small networks on three sets of images{', every interval around zero' if zero else ''}.",
        f"Trained on from them, the {len(pairs)} architectures that were trained both ways end {min(gains):.1f} to "
        f"{max(gains):.1f} points above the same from random weights ({shown}).",
    )


def lines_of_table() -> list[str]:
    """Return the table: networks trained to the end."""
    rows = [
        [row["network"], row["start"], row["parameters (M)"], row["MAdds (M)"], row["test top-1"], row["top-5"]]
        for row in networks()
    ]
    head = ("network", "weights at the start", "parameters (M)", "MAdds (M)", "test top-1 (%)", "top-5 (%)")
    return [
        *table(head, rows, words=2),
        f"One training each, {test_images():,} test images: differences below about two points mean nothing.",
        "",
    ]


def rest() -> list[str]:
    """Return how it was measured, caveats, and what is published."""
    count, taus = survival()
    said = together([f"{t.value:+.2f} [{t.low:+.2f}, {t.high:+.2f}] on the {t.images}" for t in taus])
    return [
        "## How it was measured",
        "",
        "**One supernet, made here** ([Training for real](../training.md)): 12,000 images of CIFAR-10, 40 epochs on "
        "two CPU cores, "
        "MobileNetV3 of width 0.35; a search with inherited weights, the chosen networks trained 40 epochs on, and "
        "the same "
        "architectures from random weights.",
        "",
        f"**Does the order survive?** {count} sub-networks evenly spaced in MAdds, each trained alone for 12 epochs "
        "with one seed. "
        f"Kendall's tau between both errors: {said}.",
        "",
        "**A published supernet**: 2,162 sub-networks of Once-for-All's MobileNetV3 whose ImageNet accuracy with "
        "inherited weights "
        "Intel's DyNAS-T measured ([ranking study](../results/rank-mnv3-measured/ranking.md), the best surrogate of "
        "each size). "
        "The problem mnv3/ofa is a model of these measurements, so all that searches find there is found by "
        "inherited weights.",
        "",
        "## Caveats",
        "",
        "* The supernet made here is small and so are its images; inherited errors of the networks lie close "
        "together, and networks "
        "trained alone had few epochs and one seed. Nothing found is not nothing there.",
        "* The gain of an inherited start may be that of more training: the supernet saw the images 40 epochs more, "
        "and nothing was trained 80 epochs from random weights. Each network was trained once.",
        "* No network of the published supernet was trained alone here.",
        "",
        "## Published",
        "",
        "Yu, Ranftl and Salzmann ([arXiv 2003.04276](https://arxiv.org/abs/2003.04276)) report that heuristics in "
        "common use when a "
        "supernet is trained lower the correlation between its accuracies and those of networks trained alone, and "
        "that proper "
        "settings matter most. Zhang et al. ([arXiv 2001.01431](https://arxiv.org/abs/2001.01431)) report that the "
        "best model varies "
        "much from run to run and even from epoch to epoch, yet that shared weights carry some information. MSuNAS "
        "([arXiv 2007.10396](https://arxiv.org/abs/2007.10396)) and SMEM-NAS "
        "([arXiv 2407.15600](https://arxiv.org/abs/2407.15600)) search by inherited weights of Once-for-All's "
        "supernet.",
        "",
    ]


def answer() -> Answer:
    """Return the page."""
    n = test_images()
    rows: dict[str, list[Mark]] = {}
    for row in networks():
        mark = spread(float(row["test top-1"]), n)._replace(kind=int(row["start"] == "random"))
        name = row["network"].replace("`", "").replace("the same random", "a random").split(",  ")[0]
        rows.setdefault(name.split(", small stem")[0].replace("timm's ", ""), []).append(mark)
    axis = Axis(f"test top-1 (%) after the last training, {n:,} images", (60, 65, 70, 75, 80), None)
    return Answer(
        TITLE,
        answers(),
        "Accuracy of networks trained to the end, from weights inherited from the supernet and from random ones (95 "
        "% intervals).",
        forest(TITLE, list(rows.items()), axis, ("inherited weights", "random weights")),
        lines_of_table(),
        rest(),
    )

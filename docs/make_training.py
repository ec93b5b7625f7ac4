"""Write the figures of docs/training.md: `python docs/make_training.py`.

What trainings gave stands in docs/training/*.csv, as the commands printed it when they were run; memory is computed
from the networks themselves. A test compares the page with what this makes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from pages import read_rows, table

PAGE = Path(__file__).resolve().parent / "training.md"
FOLDER = PAGE.parent / "training"
#: Networks of the table of memory: width, pixels, stem, and images on a device for an example.
NETWORKS = ((1.0, 224, "imagenet", (64, 96)), (1.2, 224, "imagenet", (64,)), (1.0, 32, "small", (128,)),
            (0.35, 32, "small", (64,)))  # fmt: skip
MIB = 2.0**20
#: Epochs of epochs.csv that the page shows.
SHOWN = ("1", "10", "20", "30", "40")


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a file of docs/training."""
    return read_rows(FOLDER / f"{name}.csv")


def fact(name: str) -> str:
    """Return a single figure of docs/training/facts.csv."""
    [value] = [row["value"] for row in rows("facts") if row["name"] == name]
    return value


def recipe() -> list[str]:
    """Return what the short recipe for CPUs costs and gives."""
    share = f"{fact('half step lowest share')} to {fact('half step highest share')}"
    return [
        f"A step of it takes {share} of the processor time of one of `nats-cpu` at 16 pixels. `valid_share=0.3` holds "
        "3,000 of the 10,000 training images out: with the usual 1,000 the draw of these images alone adds some "
        f"{fact('noise of 1000 images')} points of noise.",
        "",
    ]


def front() -> list[str]:
    """Return what the search found."""
    found = [float(r["MAdds (M)"]) for r in rows("networks") if r["network"].startswith("front")]
    drawn = next(r["MAdds (M)"] for r in rows("networks") if r["network"].startswith("a random"))
    most, least = fact("front largest error"), fact("front smallest error")
    return [
        f"The front has {fact('front networks')} networks, from {most} % error at {min(found)} M MAdds (nearly the "
        f"smallest network of the space) to {least} % at {max(found)} M; a random network has {float(drawn):.1f} M. "
        "Trained to the end:",
        "",
    ]


def gates() -> list[str]:
    """Return what gates on development networks measured."""
    cells = [
        [
            *(f"`{r['recipe']}`", r["size"], f"{r['networks']} x {r['trainings']}", r["cost"]),
            *(f"{r['error_low']} to {r['error_high']}", r["architecture_sd"], r["seed_sd"]),
            f"{r['ratio']} ({r['ratio_low']} to {r['ratio_high']})",
        ]
        for r in rows("gates")
    ]
    head = ("recipe", "pixels", "networks x trainings", "MAdds (M)", "errors (%)", "architecture sd", "seed sd")
    return [*table((*head, "ratio (95 % interval)"), cells)]


def spaces() -> list[str]:
    """Return what the command `gate` measured in each space."""
    found = rows("spaces")
    cells = [
        [
            *(f"`{r['space']}`", _settings(r["dataset"]), f"{float(r['seconds']):.1f}"),
            *(f"{float(r['architecture_sd']):.2f}", f"{float(r['seed_sd']):.2f}"),
            f"{float(r['ratio']):.2f} ({float(r['ratio_low']):.2f} to {float(r['ratio_high']):.2f})",
            f"{_percent(r['told_apart'])} ({_percent(r['told_apart_low'])} to {_percent(r['told_apart_high'])})",
            f"{float(r['d']):+.2f}" if r["d"] else "-",
            f"{_percent(r['power'])}" if r["power"] else "-",
        ]
        for r in found
    ]
    head = ("space", "setting", "seconds", "architecture sd", "seed sd", "ratio (95 % interval)", "told apart (%)")
    passed = [f"`{r['space']}`" for r in found if float(r["ratio"]) >= 1]
    sure = [f"`{r['space']}`" for r in found if float(r["ratio_low"]) >= 1]
    return [
        f"The same command in each space, {found[0]['networks']} networks of one cost x {found[0]['training_seeds']} "
        f"trainings, sized for about 15 s of a core ([spaces.csv](training/spaces.csv)). Told apart: of two networks "
        f"of one cost, by {found[0]['seeds']} trainings each. d and power: SMEM-NAS against random search, "
        f"{found[0]['seeds']} seeds of 40 trainings, simulated on the space's table with noise of that ratio.",
        "",
        *table((*head, "d", "power (%)"), cells, words=2),
        f"A ratio of at least 1: {', '.join(passed) or 'none'}; with its whole interval: {', '.join(sure) or 'none'}.",
        "",
    ]


def _settings(dataset: str) -> str:
    """Return what a training's name says beside its images and recipe."""
    return ", ".join(part for part in dataset.split("+")[3:] if not part.startswith("valid_share"))


def _percent(share: str) -> str:
    return f"{100 * float(share):.0f}"


def grouped() -> list[str]:
    """Return whether seeds of one network train faster as a group than one by one."""
    found = rows("grouped")
    cells = [
        [
            *(r["device"], r["training"], f"{r['pixels']} px, {r['batch']} images a step", r["seeds"]),
            f"{r['ratio']} ({r['lowest']} to {r['highest']})",
        ]
        for r in found
    ]
    sure = [r for r in found if float(r["lowest"]) > 1]
    verdict = "It pays where the whole range is above 1." if sure else "No range lies above 1: not shown to pay there."
    return [
        "Processor time of one by one over that as a group, a network of nats_sss, widths of 2 to 16 channels; median "
        f"and range of {found[0]['rounds']} rounds in turns, one thread of a busy machine. {verdict}",
        "",
        *table(("device", "training", "step", "seeds", "one by one / group"), cells, words=3),
    ]


def memory() -> list[str]:
    """Return what the backward pass keeps for each image, and how much weights take."""
    cells, weights = [], {}
    for width, size, stem, examples in NETWORKS:
        each, own = kept(width, size, stem)
        weights[width, stem] = 3 * own / MIB  # with gradients and momentum
        said = [f"{n} images: {n * each / MIB / 1024:.1f} GiB" for n in examples]
        digits = 0 if each >= 10 * MIB else 1
        kind = "ImageNet stem" if stem == "imagenet" else "small stem"
        cells.append([f"width {width}", f"{size}, {kind}", f"{each / MIB:.{digits}f} MiB", "; ".join(said)])
    large = [f"{weights[w, 'imagenet']:.0f} MiB at width {w}" for w in (1.0, 1.2)]
    return [
        *table(("network", "input", "per image", "on a device"), cells, words=2),
        f"Weights, gradients and momentum together are {large[0]} and {large[1]}.",
        "",
    ]


def kept(width: float, size: int, stem: str) -> tuple[float, int]:
    """Return the bytes that PyTorch keeps for the backward pass of one more image, and those of the weights.

    Of the largest network, in float32, without computing anything.

    Args:
        width: Width multiplier.
        size: Pixels of an image.
        stem: "imagenet" (1,000 classes) or "small" (10).
    """
    import torch

    from smemnas.bench.train.networks.mnv3.subnet import Shape
    from smemnas.bench.train.networks.mnv3.supernet import Supernet
    from smemnas.spaces.mnv3_choices import Choices
    from smemnas.spaces.mnv3_costs import STEMS

    stride, strides = STEMS[stem]
    with torch.device("meta"):
        net = Supernet(Shape(width, 1000 if stem == "imagenet" else 10, stride, strides)).train()
    own = {p.untyped_storage()._cdata for p in net.parameters()}

    def of(n: int) -> int:
        found: dict[int, torch.UntypedStorage] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            found[storage._cdata] = storage  # held, so that its address stays its own
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            logits = net(torch.empty(n, 3, size, size, device="meta"), Choices().largest())
        del logits
        return sum(storage.nbytes() for key, storage in found.items() if key not in own)

    return float(of(3) - of(2)), sum(p.nbytes for p in net.parameters())


def stages() -> list[str]:
    """Return how long each stage took, and all of it."""
    found = rows("stages")
    total = sum(int(r["seconds"]) for r in found)
    cells = [[r["stage"], f"{int(r['seconds']):,}"] for r in found]
    return [*table(("stage", "seconds"), [*cells, ["**all**", f"**{total:,}** ({total / 60:.1f} minutes)"]])]


def fits() -> list[str]:
    """Return what `fit` found in half an hour, beside its baseline."""
    from smemnas.bench.train.image_splits import resolution

    cells = []
    for row in rows("fit"):
        own = row["kind"] == "network"
        cells.append(
            [
                row["images"] if own else "",
                "network found" if own else f"timm's `{row['arch'].removeprefix('timm:')}`",
                *(f"{float(row[key]) / 1e6:.2f}" for key in ("params", "madds")),
                row["epochs"],
                f"{float(row['top1']):.1f}",
                f"{resolution(int(row['test_images'])):.1f}" if own else "",
                f"{int(row['taken']):,} of {int(row['given']):,}" if own else "",
            ]
        )
    head = ("images", "network", "parameters (M)", "MAdds (M)", "epochs", "test top-1", "tells", "seconds")
    return table(head, cells, words=2)


def epochs() -> list[str]:
    """Return the accuracy of the supernet's networks by epoch."""
    names = ("largest", "smallest", "random")
    cells = [
        [r["epoch"], *(f"{r[n]} ({r[f'{n}_before']})" for n in names)] for r in rows("epochs") if r["epoch"] in SHOWN
    ]
    return table(("epoch", *names), cells, words=0)


def networks() -> list[str]:
    """Return the networks that were trained to the end."""
    names = ("network", "parameters (M)", "MAdds (M)", "start", "test top-1", "top-5")
    found = rows("networks")
    top = {s: [float(r["test top-1"]) for r in found if r["start"] == s] for s in ("inherited", "random")}
    inherited = {r["network"]: r for r in found if r["start"] == "inherited"}
    small = min((r for n, r in inherited.items() if n.startswith("front")), key=lambda r: float(r["MAdds (M)"]))
    drawn = next(r for n, r in inherited.items() if n.startswith("a random"))
    apart = max(top["random"]) - min(top["random"])
    gap = [min(top["inherited"]) - max(top["random"]), max(top["inherited"]) - min(top["random"])]
    return [
        *table(names, [[r[name] for name in names] for r in found]),
        f"{int(found[0]['test images']):,} test images: differences below about two points mean nothing, and each "
        f"training was done once. With inherited weights the front's smallest network has {small['test top-1']} %, a "
        f"random sub-network of {float(drawn['MAdds (M)']) / float(small['MAdds (M)']):.1f} times its cost "
        f"{drawn['test top-1']} %. **What it does not show**: from random weights, with the same recipe, all "
        f"architectures, timm's cheaper one among them, end within {apart:.1f} points of each other, {gap[0]:.0f} to "
        f"{gap[1]:.0f} below what inherited weights give. The gain is the supernet's training, not "
        "the architecture's.",
        "",
    ]


#: What wide.csv calls the networks of one cost.
WIDE = {
    "searched": "searched: `smemnas/alternating`",
    "random": "the best of as many random ones",
    "uniform": "uniform scaling of the smallest published network",
    "timm": "timm's",
}


def wide() -> list[str]:
    """Return the networks of the wide range, three seeds each, and how far the searched one is from the others."""
    from scipy.stats import ttest_ind

    found, lines = rows("wide"), []
    signs, promised = [], []
    for bound in dict.fromkeys(row["bound"] for row in found):
        runs = {kind: [r for r in found if (r["bound"], r["kind"]) == (bound, kind)] for kind in WIDE}
        cells, told = [], []
        searched = [float(r["top1"]) for r in runs["searched"]]
        for kind, name in WIDE.items():
            one, top = runs[kind][0], [float(r["top1"]) for r in runs[kind]]
            label = f"{name} `{one['arch'].removeprefix('timm:')}`" if kind == "timm" else name
            costs = [f"{float(one[key]) / 1e6:.2f}" for key in ("params", "madds")]
            spread = statistics.stdev(top)
            inherited = f"{float(one['inherited']):.1f}" if one["inherited"] else ""
            cells.append([label, *costs, inherited, f"**{statistics.mean(top):.1f}**", f"{spread:.1f}"])
            if kind != "searched":
                gap = statistics.mean(searched) - statistics.mean(top)
                low, high = ttest_ind(searched, top, equal_var=False).confidence_interval(0.95)
                told.append(f"{kind} {gap:+.1f} ({low:+.1f} to {high:+.1f})")
                signs.append(int(low > 0) - int(high < 0))
        promised.append(float(runs["random"][0]["inherited"]) - float(runs["searched"][0]["inherited"]))
        head = ("network", "parameters (M)", "MAdds (M)", "inherited error", "test top-1", "sd of seeds")
        lines += [f"At most {bound} M multiply-adds:", "", *table(head, cells)]
        told_of = ", ".join(told)
        lines += [f"Searched minus the others, points (Welch's 95 % interval, three seeds each): {told_of}.", ""]
    better, worse = signs.count(1), signs.count(-1)
    lines += [
        f"By these intervals the searched network is better than {better} of {len(signs)} controls and worse than "
        f"{worse}. By inherited weights it was {' and '.join(f'{gap:.1f}' for gap in promised)} points better than the "
        "best random one, which training alone does not confirm. Whoever wants a small network for few images and few "
        "epochs takes timm's, or scales one; what a longer supernet, more epochs or more images would change was not "
        "measured, nor more than one search.",
        "",
    ]
    return lines


def order() -> list[str]:
    """Return whether the order by inherited weights survives training alone."""
    found = rows("order")
    taus = [f"{float(r['tau']):+.2f} ({r['low']} to {r['high']}) on the {r['images']}" for r in found]
    nothing = all(float(r["low"]) < 0 < float(r["high"]) for r in found)
    (a, b), (c, d) = (
        (fact(f"{kind} lowest error"), fact(f"{kind} highest error")) for kind in ("inherited", "standalone")
    )
    why = (
        f" So nothing was found: inherited errors lie between {a} and {b} %, about the noise of "
        f"{int(fact('held out images')):,} images, standalone ones between {c} and {d} % after few epochs with one "
        "seed each."
    )
    return [
        f"Kendall's tau between inherited and standalone error of {found[0]['networks']} networks (95 % bootstrap "
        f"intervals): {'; '.join(taus)}.{why if nothing else ''}",
        "",
    ]


SECTIONS: dict[str, Callable[[], list[str]]] = {
    "gates": gates, "spaces": spaces, "grouped": grouped, "recipe": recipe, "memory": memory,
    "fits": fits, "stages": stages, "epochs": epochs, "front": front, "networks": networks, "order": order,
    "wide": wide,
}  # fmt: skip


def marks(name: str) -> tuple[str, str]:
    """Return what stands before and behind a section."""
    return f"<!-- {name}: python docs/make_training.py -->\n", f"<!-- {name}: end -->"


def written(text: str) -> str:
    """Return the page with its sections made anew; without PyTorch that on memory stays as it is."""
    for name, make in SECTIONS.items():
        if name == "memory" and find_spec("torch") is None:
            continue
        begin, end = marks(name)
        before, _, rest = text.partition(begin)
        text = before + begin + "\n" + "\n".join(make()) + "\n" + end + rest.partition(end)[2]
    return text


def main() -> None:
    """Write the page."""
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

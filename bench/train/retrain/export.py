"""Give a network away: weights, description, ONNX and a model card that says how they are loaded, by timm if it can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from smemnas.bench.benchmarks.table import file_digest
from smemnas.bench.errors import DataError, RunError, UserError
from smemnas.bench.files import write_bytes, write_json, write_text
from smemnas.bench.provenance import environment
from smemnas.bench.train.batches import Pixels
from smemnas.bench.train.devices import find_device
from smemnas.bench.train.images import open_images
from smemnas.bench.train.networks.counting import multiply_adds, parameters
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet, read
from smemnas.bench.train.networks.mnv3.to_timm import extract_timm, timm_definition
from smemnas.bench.train.recipes import changed
from smemnas.bench.train.retrain.card import card
from smemnas.bench.train.retrain.export_folder import CONFIG, claim_export, remove
from smemnas.bench.train.retrain.folder import WEIGHTS as TRAINED_WEIGHTS
from smemnas.bench.train.retrain.folder import epochs_of, read_result
from smemnas.bench.train.retrain.images import Photos, evaluation_batches, evaluation_transform
from smemnas.bench.train.retrain.int8 import CALIBRATED, READ, Samples, spread, write_int8
from smemnas.bench.train.retrain.networks import rebuild
from smemnas.bench.train.retrain.onnx_file import Deployed, need_onnx, write_onnx
from smemnas.bench.train.retrain.preprocessing import STORING, Step, as_one, in_words, steps_of
from smemnas.bench.train.retrain.recipes import find_retrain_recipe
from smemnas.bench.train.supernet.batches import calibration, evaluation
from smemnas.bench.train.supernet.evaluation import plan_for, splits_for
from smemnas.bench.train.supernet.plan import SupernetPlan
from smemnas.bench.train.supernet.recalibration import accuracy, recalibrate, resize
from smemnas.spaces.mnv3_choices import name_of, read_name

WEIGHTS, ONNX, INT8, CARD = "model.safetensors", "model.onnx", "model.int8.onnx", "README.md"


@dataclass(frozen=True)
class Packing:
    """What an export holds beside weights and description.

    Attributes:
        onnx: An ONNX file.
        normalise: Normalisation is part of it: it takes pixels from 0 to 255.
        softmax: It answers with probabilities.
        int8: A second one, quantised to 8 bits.
        licence: Of the weights, as the card says it; "" says nothing.
    """

    onnx: bool = True
    normalise: bool = False
    softmax: bool = False
    int8: bool = False
    licence: str = ""

    def __post_init__(self) -> None:
        if not self.onnx and (self.normalise or self.softmax or self.int8):
            raise UserError("--normalise, --softmax and --int8 are about the ONNX file: leave --no-onnx out.")
        if "\n" in self.licence:
            raise UserError("--licence is a name on one line, for example apache-2.0 or CC-BY-4.0.")


PLAIN = Packing()


@dataclass(frozen=True)
class Exported:
    """A network and what is known about it.

    Attributes:
        net: In evaluation mode on the CPU.
        arch: Name of the architecture, with its resolution.
        definition: What `timm_definition` or `space_definition` says.
        resolution: Side of the input.
        mean: Of the training pixels' channels, from 0 to 1; empty if not known.
        std: Their standard deviation.
        classes: Names in the order of the outputs; empty if not known.
        facts: Further lines of the card by label: accuracies, data, origin.
        steps: From an image file to the input; none resizes the shorter side and crops the centre.
        samples: Images for quantisation, if there are any.
        identity: Checksums of what it was made of, "weights_sha256" and "data_sha256", as far as they are known.
    """

    net: nn.Module
    arch: str
    definition: Mapping[str, Any]
    resolution: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    classes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    samples: Samples | None = None
    identity: Mapping[str, str] = field(default_factory=dict)

    @property
    def timm_name(self) -> str:
        """Name by which timm itself builds the network, "" if its own definition is not enough."""
        plain = self.definition.get("stem_stride") == 2 and not self.definition.get("strides")
        return str(self.definition["model"]) if "model" in self.definition and plain else ""


def export_supernet(
    checkpoint: Path,
    arch: str,
    out: Path,
    *,
    data: str | None = None,
    as_is: bool = False,
    packing: Packing = PLAIN,
    device: str = "cpu",
) -> dict[str, Any]:
    """Export a sub-network of a supernet.

    Its batch norms are measured on training images and its accuracy on validation images, for without that a
    sub-network of a supernet is of no use.

    Args:
        checkpoint: File of a supernet.
        arch: Name of the architecture, for example r32-3334-7673-36567634-5353-3333.
        out: Folder to write; it must not hold an export of anything else.
        data: Data set; None takes the one that the supernet was trained on.
        as_is: Keep the supernet's own statistics and need no data.
        packing: What else to write.
        device: Where statistics and accuracy are measured: "auto", "cpu", "cuda" or "cuda:N".

    Returns:
        The content of `config.json`.

    Raises:
        UserError: No data is named, or it has other classes.
        DataError: The checkpoint cannot be read.
        RunError: The folder cannot be written or ONNX computes something else.
    """
    if as_is and packing.int8:
        raise UserError("--int8 measures ranges on training images: leave --as-is out.")
    subnet, side = read_name(arch)
    supernet, content = load_supernet(checkpoint)
    net = extract_timm(supernet, subnet).float()
    facts: dict[str, Any] = {"supernet": f"{checkpoint.name}, width {supernet.shape.width}"}
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    classes = tuple(content.get("classes", ()))
    samples = None
    steps: tuple[Step, ...] = ()
    identity = {"weights_sha256": file_digest(checkpoint)}
    if not as_is:
        plan = plan_for(content, checkpoint, data, side)
        where = find_device(device)
        (train, valid), note = splits_for(content, plan, ("train", "valid"), supernet.shape.n_classes, where)
        net = net.to(where)
        train.images.check_side(side)
        recalibrate(net, (resize(images, side) for images in calibration(plan, train)))
        n = len(valid.images)
        batches = ((resize(images, side), labels) for images, labels in evaluation(plan, valid, n))
        facts |= {"data": plan.data, "validation accuracy (%)": round(accuracy(net, batches), 3)}
        facts["validation images"] = n
        if note:
            facts["note"] = note
        net = net.cpu()
        samples = _supernet_samples(plan, train, valid, side)
        mean, std, classes = train.images.mean, train.images.std, train.images.classes
        steps = steps_of(train.images.size, side, STORING)
        identity["data_sha256"] = train.images.sha256
    definition = timm_definition(subnet, supernet.shape)
    about = (mean, std, classes, facts, steps, samples, identity)
    exported = Exported(net, name_of(subnet, side), definition, side, *about)
    return write_export(exported, out, packing)


def _supernet_samples(plan: SupernetPlan, train: Pixels, valid: Pixels, side: int) -> Samples:
    """Return the images that batch norms are measured on, and the validation images."""
    return Samples(
        lambda: (resize(images, side).cpu() for images in calibration(plan, train)),
        lambda: ((resize(images, side).cpu(), labels) for images, labels in evaluation(plan, valid, READ)),
        "validation images",
    )


def export_retrained(folder: Path, out: Path, packing: Packing = PLAIN) -> dict[str, Any]:
    """Export the final weights of a `retrain` folder.

    Args:
        folder: Of a finished training.
        out: Folder to write; it must not hold an export of anything else.
        packing: What else to write.

    Returns:
        The content of `config.json`.

    Raises:
        RunError: The training is not finished, its files are corrupt, or the export cannot be written.
        UserError: See `write_export`.
    """
    result = read_result(folder)
    definition, side = result["definition"], result["resolution"]
    net = rebuild(result)
    try:
        net.load_state_dict(read(folder / TRAINED_WEIGHTS))
    except (DataError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(
            f"{folder / TRAINED_WEIGHTS} does not hold the weights of {result['arch']} ({reason})."
        ) from error
    recipe = result["recipe"]
    stored = result.get("image_size") or result["plan"]["size"]  # of older versions only what was asked for
    steps = steps_of(stored, side, recipe["interpolation"], recipe["crop_pct"])
    mean, std, classes = (tuple(result.get(key, ())) for key in ("mean", "std", "classes"))
    exported = Exported(
        net.eval(),
        result["arch"],
        definition,
        side,
        mean,
        std,
        classes,
        _facts(result, steps),
        steps,
        _retrained_samples(result) if packing.int8 else None,
        {"weights_sha256": file_digest(folder / TRAINED_WEIGHTS), "data_sha256": result["data_sha256"]},
    )
    return write_export(exported, out, packing)


def _facts(result: Mapping[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    """Return what the card says of a final training."""
    recipe = result["recipe"]
    return {
        "data": Path(result["data"]).name,
        "test accuracy, top-1 (%)": round(result["top1"], 3),
        "test accuracy, top-5 (%)": round(result["top5"], 3),
        "test images": result["test_images"],
        "weights": f"{result['weights']}, training from {result['start']}",
        "training": f"{epochs_of(result)} epochs, preset {recipe['name']}",
        "evaluation": in_words(steps),
        **({"note": result["note"]} if result.get("note") else {}),
        **({} if result["valid_top1"] is None else {"validation accuracy (%)": round(result["valid_top1"], 3)}),
    }


def _retrained_samples(result: Mapping[str, Any]) -> Samples:
    """Return training and validation images of a final training.

    Raises:
        DataError: The images are not there any more, or are others.
    """
    plan, cpu = result["plan"], torch.device("cpu")
    recipe = changed(find_retrain_recipe("small"), {k: v for k, v in result["recipe"].items() if k != "name"})
    transform = evaluation_transform(recipe, result["resolution"])
    parts = [open_images(result["data"], split, size=plan["size"] or None) for split in ("train", "valid")]
    if parts[0].sha256 != result["data_sha256"]:
        raise DataError(f"{result['data']} holds other images than the network was trained on: leave --int8 out.")
    train, valid = (Photos([part], transform, recipe) for part in parts)
    order = np.random.default_rng(0).permutation(len(train))[:CALIBRATED]
    return Samples(
        lambda: (images for images, _ in evaluation_batches(train, order, cpu, 0)),
        lambda: evaluation_batches(valid, spread(len(valid), READ), cpu, 0),
        "validation images" if result["valid_top1"] is not None else "validation images, which were trained on too",
    )


def write_export(exported: Exported, out: Path, packing: Packing = PLAIN) -> dict[str, Any]:
    """Write weights, description, ONNX and card of a network into a folder.

    Returns:
        The content of `config.json`.

    Raises:
        UserError: ONNX is wanted and not installed, normalisation is wanted and not known, or the folder holds
            another export.
        RunError: The folder cannot be written or ONNX computes something else.
    """
    if packing.onnx:
        need_onnx()
    if packing.normalise and not exported.mean:
        raise UserError("the images' mean and standard deviation are not known: leave --normalise or --as-is out.")
    config = _description(exported, packing)
    claim_export(out, config)
    for name, written in ((ONNX, packing.onnx), (INT8, packing.int8)):
        if not written:  # an earlier one would say something else than the description does
            remove(out / name)
    _write_weights(exported.net, out / WEIGHTS)
    if packing.onnx:
        moments = (exported.mean, exported.std) if packing.normalise else ((), ())
        net = Deployed(exported.net, *moments, softmax=packing.softmax).eval()
        about = _about(config, net)
        config["onnx_difference"] = write_onnx(net, exported.resolution, out / ONNX, about)
        config["onnx"] = {key: about[key] for key in ("input", "output")}
        if packing.int8:
            assert exported.samples is not None
            config["int8"] = write_int8(net, out / ONNX, out / INT8, exported.samples, about)
    write_text(out / CARD, card(config))
    write_json(out / CONFIG, config)
    return config


def _description(exported: Exported, packing: Packing) -> dict[str, Any]:
    """Return what `config.json` says; timm reads "architecture", "num_classes", "pretrained_cfg" and "model_args"."""
    side = exported.resolution
    steps = exported.steps or steps_of(0, side, STORING)
    one = as_one(steps)
    known = {"mean": list(exported.mean), "std": list(exported.std)} if exported.mean else {}
    in_a_space = "space" in exported.definition
    return {
        "architecture": exported.timm_name or exported.arch,
        "num_classes": exported.definition["num_classes"],
        "model_args": dict(exported.definition.get("options", {})),
        "pretrained_cfg": {
            "input_size": [3, side, side],
            "num_classes": exported.definition["num_classes"],
            **known,
            "interpolation": one["interpolation"],
            "crop_pct": one["crop_pct"],
            "crop_mode": "center",
            **({"label_names": list(exported.classes)} if exported.classes else {}),
            **({"license": packing.licence} if packing.licence else {}),
        },
        "timm": {} if in_a_space else dict(exported.definition),
        **({"network": dict(exported.definition)} if in_a_space else {}),
        "timm_loads": bool(exported.timm_name),
        "resolution": side,
        "preprocessing": [list(step) for step in steps],
        "resized": one["resized"],
        "interpolation": one["interpolation"],
        "mean": list(exported.mean),
        "std": list(exported.std),
        "classes": list(exported.classes),
        "licence": packing.licence,
        "params": parameters(exported.net),
        "madds": multiply_adds(exported.net, side),
        "facts": dict(exported.facts),
        "identity": dict(exported.identity),
        "environment": environment(),
    }


def _about(config: Mapping[str, Any], net: Deployed) -> dict[str, Any]:
    """Return the metadata of an ONNX file."""
    keys = ("architecture", "resolution", "preprocessing", "resized", "interpolation", "mean", "std", "classes")
    pixels = "pixels from 0 to 255" if net.normalises else "pixels from 0 to 1, less mean, by std"
    side = config["resolution"]
    return {
        **{key: config[key] for key in (*keys, "licence")},
        "metrics": config["facts"],
        "input": f"RGB (n, 3, {side}, {side}), {pixels}",
        "output": net.output,
        "normalised_inside": net.normalises,
    }


def _write_weights(net: nn.Module, path: Path) -> None:
    """Write the state_dict as a whole or not at all.

    Raises:
        RunError: The file cannot be written.
    """
    from safetensors.torch import save

    # Its own writing of files gives them rights for their owner only, whatever the umask.
    write_bytes(path, save({name: value.contiguous() for name, value in net.state_dict().items()}))

"""Give a network away: weights, description, ONNX and a model card that loads them with timm alone."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smemnas.bench.errors import DataError, RunError, UserError
from smemnas.bench.files import make_folder, replacing, why, write_bytes, write_json, write_text
from smemnas.bench.outputs import EXPORT, claim
from smemnas.bench.program import install
from smemnas.bench.provenance import environment
from smemnas.bench.train.devices import find_device
from smemnas.bench.train.networks.counting import multiply_adds, parameters
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet, read
from smemnas.bench.train.networks.mnv3.subnet import name_of, read_name
from smemnas.bench.train.networks.mnv3.to_timm import extract_timm, timm_definition
from smemnas.bench.train.retrain.folder import WEIGHTS as TRAINED_WEIGHTS
from smemnas.bench.train.retrain.folder import read_result
from smemnas.bench.train.retrain.networks import rebuild
from smemnas.bench.train.supernet.batches import calibration, evaluation
from smemnas.bench.train.supernet.evaluation import plan_for, splits_for
from smemnas.bench.train.supernet.recalibration import accuracy, recalibrate, resize

WEIGHTS, CONFIG, ONNX, CARD = "model.safetensors", "config.json", "model.onnx", "README.md"
#: Largest difference between ONNX and torch, relative to the largest logit, in single precision.
TOLERANCE = 1e-4
#: Classes that the card lists; all are in the description.
LISTED = 100

#: Loads an exported folder; printed in the card and run by a test as it stands.
SNIPPET = """\
import json
from safetensors.torch import load_file
from timm.models.mobilenetv3 import MobileNetV3, SqueezeExcite, decode_arch_def, nn, partial, round_channels
config = json.load(open("config.json"))["timm"]
stride, blocks = config.pop("stem_stride"), decode_arch_def(config.pop("arch_def"))
gate = partial(SqueezeExcite, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=round_channels)
model = MobileNetV3(blocks, act_layer=nn.Hardswish, se_layer=gate, fix_stem=True, head_bias=False, **config)
model.conv_stem.stride = (stride, stride)
model.load_state_dict(load_file("model.safetensors"))
model.eval()
"""
#: The same for a model that timm knows by name.
NAMED_SNIPPET = """\
import json, timm
from safetensors.torch import load_file
config = json.load(open("config.json"))["timm"]
model = timm.create_model(config["model"], num_classes=config["num_classes"], **config.get("options", {}))
stem = [model.conv_stem] if config["stem_stride"] != 2 else []
first = [stage[0].conv_dw for stage in getattr(model, "blocks", ()) if hasattr(stage[0], "conv_dw")]
for conv, stride in zip([*stem, *first], [config["stem_stride"]] * len(stem) + config["strides"]):
    conv.stride = (stride, stride)
model.load_state_dict(load_file("model.safetensors"))
model.eval()
"""


@dataclass(frozen=True)
class Exported:
    """A network and what is known about it.

    Attributes:
        net: The timm model, in evaluation mode on the CPU.
        arch: Name of the architecture, with its resolution.
        definition: What `timm_definition` says.
        resolution: Side of the input.
        mean: Of the training pixels' channels, from 0 to 1; empty if not known.
        std: Their standard deviation.
        classes: Names in the order of the outputs; empty if not known.
        facts: Further lines of the card by label: accuracies, data, origin.
    """

    net: nn.Module
    arch: str
    definition: Mapping[str, Any]
    resolution: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    classes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def export_supernet(
    checkpoint: Path,
    arch: str,
    out: Path,
    *,
    data: str | None = None,
    as_is: bool = False,
    onnx: bool = True,
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
        onnx: Write an ONNX file too.
        device: Where statistics and accuracy are measured: "auto", "cpu", "cuda" or "cuda:N".

    Returns:
        The content of `config.json`.

    Raises:
        UserError: No data is named, or it has other classes.
        DataError: The checkpoint cannot be read.
        RunError: The folder cannot be written or ONNX computes something else.
    """
    subnet, side = read_name(arch)
    supernet, content = load_supernet(checkpoint)
    net = extract_timm(supernet, subnet).float()
    facts: dict[str, Any] = {"supernet": f"{checkpoint.name}, width {supernet.shape.width}"}
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    classes = tuple(content.get("classes", ()))
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
        mean, std, classes = train.images.mean, train.images.std, train.images.classes
    definition = timm_definition(subnet, supernet.shape)
    exported = Exported(net, name_of(subnet, side), definition, side, mean, std, classes, facts)
    return write_export(exported, out, onnx=onnx)


def export_retrained(folder: Path, out: Path, *, onnx: bool = True) -> dict[str, Any]:
    """Export the final weights of a `retrain` folder.

    Args:
        folder: Of a finished training.
        out: Folder to write; it must not hold an export of anything else.
        onnx: Write an ONNX file too.

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
    facts: dict[str, Any] = {
        "data": Path(result["data"]).name,
        "test accuracy, top-1 (%)": round(result["top1"], 3),
        "test accuracy, top-5 (%)": round(result["top5"], 3),
        "test images": result["test_images"],
        "weights": f"{result['weights']}, training from {result['start']}",
        "training": f"{result['recipe']['epochs']} epochs, preset {result['recipe']['name']}",
        "evaluation": f"resized to {round(side / result['recipe']['crop_pct'])} pixels "
        f"({result['recipe']['interpolation']}), centre crop {side}",
    }
    if result["valid_top1"] is not None:
        facts["validation accuracy (%)"] = round(result["valid_top1"], 3)
    mean, std, classes = (tuple(result.get(key, ())) for key in ("mean", "std", "classes"))
    exported = Exported(net.eval(), result["arch"], definition, side, mean, std, classes, facts)
    return write_export(exported, out, onnx=onnx)


def write_export(exported: Exported, out: Path, *, onnx: bool = True) -> dict[str, Any]:
    """Write weights, description, ONNX and card of a network into a folder.

    Returns:
        The content of `config.json`.

    Raises:
        UserError: ONNX is wanted and not installed, or the folder holds another export.
        RunError: The folder cannot be written or ONNX computes something else.
    """
    if onnx:
        _need_onnx()
    config = {
        "architecture": exported.arch,
        "timm": dict(exported.definition),
        "resolution": exported.resolution,
        "mean": list(exported.mean),
        "std": list(exported.std),
        "classes": list(exported.classes),
        "params": parameters(exported.net),
        "madds": multiply_adds(exported.net, exported.resolution),
        "facts": dict(exported.facts),
        "environment": environment(),
    }
    _claim(out, exported.arch)
    _write_weights(exported.net, out / WEIGHTS)
    if onnx:
        about = {key: config[key] for key in ("architecture", "resolution", "mean", "std", "classes")}
        config["onnx_difference"] = write_onnx(exported.net, exported.resolution, out / ONNX, about)
    write_text(out / CARD, card(config, onnx=onnx))
    write_json(out / CONFIG, config)
    return config


def write_onnx(net: nn.Module, resolution: int, path: Path, about: Mapping[str, Any] | None = None) -> float:
    """Write an ONNX file with a free batch size and check it.

    Args:
        net: In evaluation mode on the CPU.
        resolution: Side of the input.
        path: File to write.
        about: Becomes its metadata, each value as JSON.

    Returns:
        The largest difference of its logits from torch's on random images, relative to the largest logit.

    Raises:
        RunError: The difference is more than rounding, or the file cannot be written.
    """
    images = torch.randn(3, 3, resolution, resolution, generator=torch.Generator().manual_seed(0))
    with replacing(path) as part:
        with warnings.catch_warnings():
            # The newer exporter takes minutes for such a network and needs one more package.
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.onnx.export(
                net,
                (images[:2],),
                str(part),
                input_names=["images"],
                output_names=["logits"],
                dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
                opset_version=17,
                dynamo=False,
            )
        _describe(part, about or {})
        difference = _difference(net, images, part)
        if not difference < TOLERANCE:
            raise RunError(
                f"the ONNX file differs from torch by {difference:.2g} of the largest logit, more than {TOLERANCE:g}: "
                "it was not kept. Another version of torch or onnxruntime may help; --no-onnx leaves it out."
            )
    return difference


def _describe(file: Path, about: Mapping[str, Any]) -> None:
    """Write metadata into an ONNX file."""
    import onnx

    model = onnx.load(str(file))
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in about.items()})
    onnx.save(model, str(file))


def _difference(net: nn.Module, images: Tensor, file: Path) -> float:
    """Return the largest difference of an ONNX file's logits from torch's, relative to the largest logit."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = net(images).numpy()
    found = session.run(None, {"images": images.numpy()})[0]
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def card(config: Mapping[str, Any], *, onnx: bool) -> str:
    """Return the model card."""
    named = "model" in config["timm"]
    title = f"timm's {config['timm']['model']}" if named else f"MobileNetV3 sub-network {config['architecture']}"
    rows = {
        "architecture": f"`{config['architecture']}`"
        + ("" if named else " (per layer two digits, kernel and expansion; five stages)"),
        "input": f"{config['resolution']} x {config['resolution']} RGB",
        "classes": config["timm"]["num_classes"],
        "parameters": f"{config['params']:,}",
        "multiply-adds": f"{config['madds']:,}",
        **config["facts"],
    }
    if config["mean"]:
        mean, std = (", ".join(f"{v:.4f}" for v in config[key]) for key in ("mean", "std"))
        rows["input normalisation"] = f"mean {mean}; std {std} (pixels from 0 to 1)"
    snippet = NAMED_SNIPPET if named else SNIPPET
    table = "\n".join(f"| {label} | {value} |" for label, value in rows.items())
    files = ["`model.safetensors`: weights", "`config.json`: definition and figures"]
    if onnx:
        files.append(
            f"`model.onnx`: the same network, input `images` (n, 3, {config['resolution']}, {config['resolution']}), "
            f"output `logits`; differs from torch by {config['onnx_difference']:.1e} of the largest logit"
        )
    listed = "\n".join(f"- {line}" for line in files)
    named_classes = _class_list(config.get("classes", ()))
    return (
        "---\nlibrary_name: timm\ntags:\n- image-classification\n- neural-architecture-search\n---\n"
        f"# {title}\n\n"
        f"|  |  |\n|---|---|\n{table}\n\n"
        "Multiply-adds count convolutions and linear layers for one image.\n\n"
        f"{named_classes}## Load\n\nWith timm and safetensors, in this folder:\n\n```python\n{snippet}```\n\n"
        f"## Files\n\n{listed}\n"
    )


def _class_list(classes: Sequence[str]) -> str:
    """Return the part of a card that says which output is which class, "" if that is not known."""
    if not classes:
        return ""
    names = [" ".join(name.split()).replace("|", "\\|").replace("`", "'") for name in classes[:LISTED]]
    rows = "\n".join(f"| {number} | {name} |" for number, name in enumerate(names))
    more = f"\n{len(classes) - LISTED:,} more are in `config.json`.\n" if len(classes) > LISTED else ""
    return f"## Classes\n\n| output | class |\n|---|---|\n{rows}\n{more}\n"


def _write_weights(net: nn.Module, path: Path) -> None:
    """Write the state_dict as a whole or not at all.

    Raises:
        RunError: The file cannot be written.
    """
    from safetensors.torch import save

    # Its own writing of files gives them rights for their owner only, whatever the umask.
    write_bytes(path, save({name: value.contiguous() for name, value in net.state_dict().items()}))


def _claim(out: Path, arch: str) -> None:
    """Make the folder, and refuse one that holds something else.

    Raises:
        UserError: It holds another export, or files that are none.
        RunError: It cannot be made.
    """
    claim(out, EXPORT)
    make_folder(out)
    try:
        before = json.loads((out / CONFIG).read_bytes())["architecture"]
    except FileNotFoundError:  # the mark of an export comes first, so that one that was killed can be done again
        write_json(out / CONFIG, {"architecture": arch, "timm": {}}, durable=False)
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{out / CONFIG} is corrupt ({why(error)}): remove it, or choose another --out.") from error
    if before != arch:
        raise UserError(f"{out} holds the export of {before}: choose another folder with --out.")


def _need_onnx() -> None:
    """Check that ONNX can be written and read.

    Raises:
        UserError: A package is missing.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"ONNX needs the package {error.name}: {install('train')}, or leave it out with --no-onnx."
        ) from error

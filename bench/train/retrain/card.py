"""The model card of an exported network: what it is, its figures, and code that loads it without this suite."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

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
#: The same for a model that timm builds by name alone.
HUB_SNIPPET = """\
import timm
model = timm.create_model("local-dir:.", pretrained=True)
model.eval()
"""
#: Names the class of an image file with onnxruntime and Pillow alone.
ONNX_SNIPPET = """\
import json, numpy, onnxruntime
from PIL import Image, ImageOps
session = onnxruntime.InferenceSession("{file}")
about = {{key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}}
image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")
for shorter, how, side, half in about["preprocessing"]:
    scale = shorter / min(image.size)
    size = [max(shorter, round(v * scale)) for v in image.size]
    image = image.resize(size, getattr(Image.Resampling, how.upper()))
    left, top = ((v - side) // 2 if half == "down" else round((v - side) / 2) for v in size)
    image = image.crop((left, top, left + side, top + side))
pixels = numpy.asarray(image, "float32")
if not about["normalised_inside"]:
    pixels = (pixels / 255 - about["mean"]) / about["std"]
answer = session.run(None, {{"images": pixels.transpose(2, 0, 1)[None].astype("float32")}})[0][0]
print(about["classes"][answer.argmax()])
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
#: The same for a network of a space that timm does not build: this suite does.
SPACE_SNIPPET = """\
import json
from safetensors.torch import load_file
from smemnas import build_network
model = build_network(json.load(open("config.json"))["network"])
model.load_state_dict(load_file("model.safetensors"))
model.eval()
"""


def card(config: Mapping[str, Any]) -> str:
    """Return the model card."""
    named, in_a_space = "model" in config["timm"], "network" in config
    title = f"timm's {config['timm']['model']}" if named else f"MobileNetV3 sub-network {config['architecture']}"
    if in_a_space:
        title = f"A network of the space {config['network']['space']}"
        sizes = ", ".join(f"{key} {value}" for key, value in config["network"]["sizes"].items())
    rows = {
        "architecture": f"`{config['architecture']}`"
        + ("" if named or in_a_space else " (per layer two digits, kernel and expansion; five stages)"),
        **({"sizes": sizes or "as published"} if in_a_space else {}),
        "input": f"{config['resolution']} x {config['resolution']} RGB",
        "classes": config["num_classes"],
        "parameters": f"{config['params']:,}",
        "multiply-adds": f"{config['madds']:,}",
        **config["facts"],
    }
    if config["mean"]:
        mean, std = (", ".join(f"{v:.4f}" for v in config[key]) for key in ("mean", "std"))
        rows["input normalisation"] = f"mean {mean}; std {std} (pixels from 0 to 1)"
    if config["licence"]:
        rows["licence"] = config["licence"]
    snippet = HUB_SNIPPET if config["timm_loads"] else NAMED_SNIPPET if named else SNIPPET
    loads = "timm and safetensors"
    if in_a_space:
        snippet, loads = SPACE_SNIPPET, "smemnas (its extra `train`)"
    table = "\n".join(f"| {label} | {value} |" for label, value in rows.items())
    files = ["`model.safetensors`: weights", "`config.json`: definition and figures"]
    if "onnx" in config:
        files.append(
            f"`model.onnx`: the same network, input `images`: {config['onnx']['input']}, output "
            f"`{config['onnx']['output']}`; differs from torch by {config['onnx_difference']:.1e} of the largest logit"
        )
    if "int8" in config:
        files.append("`model.int8.onnx`: the same with whole numbers of 8 bits, see below")
    listed = "\n".join(f"- {line}" for line in files)
    named_classes = _class_list(config.get("classes", ()))
    return (
        f"---\n{'' if in_a_space else f'library_name: timm{chr(10)}'}{_licence(config['licence'])}"
        "tags:\n- image-classification\n- neural-architecture-search\n---\n"
        f"# {title}\n\n"
        f"|  |  |\n|---|---|\n{table}\n\n"
        "Multiply-adds count convolutions and linear layers for one image.\n\n"
        f"{named_classes}## Load\n\nWith {loads}, in this folder:\n\n```python\n{snippet}```\n\n"
        f"{_onnx_part(config)}{_int8_part(config)}"
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


def _licence(licence: str) -> str:
    """Return the line of a card's head that names a licence, "" if there is none."""
    return f"license: {json.dumps(licence)}\n" if licence else ""


def _onnx_part(config: Mapping[str, Any]) -> str:
    """Return how the ONNX file is used, "" if there is none or too little is known."""
    if "onnx" not in config or not config["mean"] or not config["classes"]:
        return ""
    return f"With onnxruntime and Pillow, without torch:\n\n```python\n{ONNX_SNIPPET.format(file='model.onnx')}```\n\n"


def _int8_part(config: Mapping[str, Any]) -> str:
    """Return what quantisation costs and gains, "" if there is none."""
    if "int8" not in config:
        return ""
    found = config["int8"]
    rows = "".join(
        f"| {name} | {of['accuracy']:.2f} | {of['bytes'] / 1e6:.3f} | {of['milliseconds']:.3g} |\n"
        for name, of in (("`model.onnx`", found["float"]), ("`model.int8.onnx`", found["int8"]))
    )
    return (
        f"## In 8 bits\n\n| file | accuracy (%) | MB | ms per image, one thread |\n|---|---:|---:|---:|\n{rows}\n"
        f"Accuracy on {found['images']:,} {found['on']}; time on the machine that made the export.\n\n"
    )

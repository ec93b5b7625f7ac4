"""The network of a final training: built by timm or its space, filled from a supernet if it inherits; its teacher."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from smemnas.bench.errors import DataError, UserError, suggest
from smemnas.bench.train.faults import is_out_of_memory
from smemnas.bench.train.images import Images
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet
from smemnas.bench.train.networks.mnv3.subnet import Shape
from smemnas.bench.train.networks.mnv3.to_timm import build_timm, extract, extract_timm, timm_definition
from smemnas.bench.train.retrain.plan import PRETRAINED, TIMM, RetrainPlan
from smemnas.bench.train.retrain.spaces import build_network, space_definition
from smemnas.bench.train.retrain.starts import Renormalised, fill, named_weights, own_moments
from smemnas.bench.train.seen_images import same_classes, trained_on
from smemnas.bench.train.supernet.recalibration import recalibrate
from smemnas.spaces.mnv3_choices import CHOICES, check_choices, read_name

#: Images without augmentation for batch norm statistics.
Calibration = Callable[[], Iterable[Tensor]]


def build(plan: RetrainPlan, n_classes: int, resolution: int) -> nn.Module:
    """Return the network with random weights from torch's global generator.

    Raises:
        UserError: There is no such network or model, or it takes no images of this resolution.
    """
    if plan.built:
        return build_network(definition(plan, n_classes, resolution))
    if not plan.timm_model:
        return build_timm(read_name(plan.arch)[0], plan.shape(n_classes), plan.recipe.drop_path)
    net = build_named(
        plan.timm_model,
        n_classes,
        plan.stem_stride,
        plan.strides,
        dropout=plan.recipe.dropout,
        drop_path=plan.recipe.drop_path,
        **size_options(plan.timm_model, resolution),
    )
    check_input(plan.timm_model, net, n_classes, resolution)
    return net


def size_options(name: str, resolution: int) -> dict[str, Any]:
    """Return what timm needs to build a model for a resolution: models of fixed size are told, others take any."""
    import timm

    fixed = timm.is_model(name) and getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False)
    return {"img_size": resolution} if fixed else {}


@torch.no_grad()
def check_input(name: str, net: nn.Module, n_classes: int, resolution: int) -> None:
    """Check that a model takes images of a resolution and answers with one number per class.

    Raises:
        UserError: It does not.
    """
    training = net.training
    try:
        logits = net.eval()(torch.zeros(2, 3, resolution, resolution))
    except (RuntimeError, ValueError, AssertionError, IndexError, ZeroDivisionError) as error:
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"timm's {name} takes no images of {resolution} pixels ({' '.join(str(error).split())[:200]}): give "
            "another --resolution, or another model."
        ) from error
    finally:
        net.train(training)
    if not isinstance(logits, Tensor) or logits.shape != (2, n_classes):
        raise UserError(f"timm's {name} gives no plain list of {n_classes} classes: give another model.")


def build_named(
    name: str,
    n_classes: int,
    stem_stride: int,
    strides: tuple[int, ...] = (),
    *,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    img_size: int = 0,
) -> nn.Module:
    """Return a model of timm with random weights, its strides changed where images are small.

    Args:
        name: Of timm.
        n_classes: Size of the classifier.
        stem_stride: Stride of `conv_stem`; a model without one has to be left at 2.
        strides: Strides of the first depthwise convolution of the first stages; empty leaves them.
        dropout: Dropped share of the classifier's input.
        drop_path: Of the last block.
        img_size: Side of the images that a model of fixed size is built for; 0 leaves it its own.

    Raises:
        UserError: timm has no such model, or it has no strides to change or no such options.
    """
    import timm

    if not timm.is_model(name):
        raise UserError(f"timm has no model {name!r}.{_near(name, timm.list_models())}")
    # Not every model has both rates, nor a size: what is not asked for is not named.
    options = {"drop_rate": dropout, "drop_path_rate": drop_path, "img_size": img_size}
    options = {key: value for key, value in options.items() if value}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net: Any = timm.create_model(name, pretrained=False, num_classes=n_classes, **options)
    except (TypeError, AssertionError, ValueError) as error:
        settings = {"drop_rate": "--set dropout=0", "drop_path_rate": "--set drop_path=0", "img_size": "--resolution"}
        refused = next((key for key in options if key in str(error)), None)
        if refused is None:
            raise UserError(f"timm cannot build {name} with {options}: {' '.join(str(error).split())[:200]}") from error
        advice = settings[refused] if refused != "img_size" else f"give it its own --resolution {own_side(name)}"
        raise UserError(f"timm's {name} takes no {refused}: {advice}.") from error
    if stem_stride != 2:
        if not hasattr(net, "conv_stem"):
            raise UserError(f"timm's {name} has no conv_stem whose stride could become {stem_stride}: --stem imagenet.")
        net.conv_stem.stride = (stem_stride, stem_stride)
    if strides:
        stages = [stage[0] for stage in getattr(net, "blocks", ()) if hasattr(stage[0], "conv_dw")]
        if len(stages) < len(strides):
            raise UserError(f"timm's {name} has {len(stages)} stages with strides, got {len(strides)}.")
        for block, stride in zip(stages, strides, strict=False):
            if stride != 1 and block.has_skip:
                raise UserError(
                    f"timm's {name} has a residual connection where stride {stride} is wanted: give 1 there."
                )
            block.conv_dw.stride = (stride, stride)
    return net


def own_side(name: str) -> int:
    """Return the side of the images that a model of timm was made for."""
    import timm

    return int(timm.get_pretrained_cfg(name).input_size[-1])


def definition(plan: RetrainPlan, n_classes: int, resolution: int) -> dict[str, Any]:
    """Return what the network is built from, as JSON values, for the exported model card."""
    if plan.built:
        return space_definition(plan.arch, plan.sizes, n_classes, resolution)
    if not plan.timm_model:
        return timm_definition(read_name(plan.arch)[0], plan.shape(n_classes))
    return {
        "model": plan.timm_model,
        "num_classes": n_classes,
        "stem_stride": plan.stem_stride,
        "strides": list(plan.strides),
        "options": size_options(plan.timm_model, resolution),
    }


def rebuild(result: Mapping[str, Any]) -> nn.Module:
    """Return the network that a `result.json` describes, with random weights."""
    if "space" in result["definition"]:
        return build_network(result["definition"])
    plan, n_classes = result["plan"], result["definition"]["num_classes"]
    stem, strides = plan["stem_stride"], tuple(plan["strides"])
    if plan["arch"].startswith(TIMM):
        options = result["definition"].get("options", {})
        return build_named(plan["arch"].removeprefix(TIMM), n_classes, stem, strides, **options)
    return build_timm(read_name(plan["arch"])[0], Shape(plan["width"], n_classes, stem, strides))


def inherited_note(plan: RetrainPlan, images: Images, valid: Images) -> str:
    """Return what is wrong with reading a network of a supernet on these images, "" if nothing."""
    if plan.supernet is None or not (plan.inherit or plan.recipe.distill):
        return ""
    _, content = load_supernet(plan.supernet)
    if not same_classes(content, images):
        return f"{images.name} has other classes than the supernet was trained on: the classifier starts at random."
    return "" if plan.all_images else trained_on(content, valid)[1]


def tested_note(plan: RetrainPlan, test: Images) -> tuple[int | None, str]:
    """Return how many test images the supernet behind a network was trained on, and what is wrong with that.

    With other classes the images are others, unless some are found to be the same.
    """
    if plan.supernet is None or not (plan.inherit or plan.recipe.distill):
        return 0, ""
    _, content = load_supernet(plan.supernet)
    count, said = trained_on(content, test)
    return (count, said) if count or same_classes(content, test) else (0, "")


@torch.no_grad()
def inherit(net: nn.Module, plan: RetrainPlan, images: Images, calibration: Calibration) -> bool:
    """Fill a network with the supernet's weights and measure its batch norms.

    Returns:
        Whether the classifier came along: it stays random where the supernet has other classes.
    """
    assert plan.supernet is not None
    supernet, content = load_supernet(plan.supernet)
    subnet = read_name(plan.arch)[0]
    check_choices(subnet, supernet.shape.choices, plan.arch)
    weights = extract(supernet, subnet)
    same = supernet.shape.n_classes == images.n_classes and same_classes(content, images)
    if not same:
        weights = {key: value for key, value in weights.items() if not key.startswith("classifier.")}
    missing, foreign = net.load_state_dict(weights, strict=False)
    assert not foreign
    assert all(key.startswith("classifier.") for key in missing)
    recalibrate(net, calibration())
    return same


def teacher(
    plan: RetrainPlan, images: Images, calibration: Calibration, device: torch.device, resolution: int
) -> nn.Module | None:
    """Return the supernet's largest network, with its batch norms measured, or None where nobody teaches.

    Raises:
        UserError: It knows other classes.
    """
    if plan.recipe.distill and plan.teacher:
        return timm_teacher(plan, images, device, resolution)
    if not plan.recipe.distill or plan.supernet is None:
        return None
    supernet, content = load_supernet(plan.supernet)
    if supernet.shape.n_classes != images.n_classes:
        raise UserError(
            f"the supernet {plan.supernet} knows {supernet.shape.n_classes} classes and cannot teach "
            f"{images.n_classes}: --set distill=0."
        )
    if not same_classes(content, images):
        raise UserError(
            f"the supernet {plan.supernet} knows other classes than {images.name} has and cannot teach them: --set "
            "distill=0."
        )
    layout = torch.channels_last if plan.recipe.channels_last else torch.contiguous_format
    net = extract_timm(supernet, CHOICES[supernet.shape.choices].largest()).to(device, memory_format=layout)
    recalibrate(net, calibration())
    return net.eval().requires_grad_(False)


def timm_teacher(plan: RetrainPlan, images: Images, device: torch.device, resolution: int) -> nn.Module:
    """Return a model of timm that teaches the images' classes, on images of the student's resolution.

    Raises:
        UserError: timm has no such model or no weights for it, or it takes no images of this resolution.
        DataError: The weights are not there, or know other classes.
    """
    name, source = plan.teacher.removeprefix(TIMM), plan.teacher_weights
    fixed = size_options(name, resolution)
    net = build_named(name, images.n_classes, 2, **fixed)
    check_input(name, net, images.n_classes, resolution)
    where = f"timm's {name}" if source == PRETRAINED else source
    try:
        fill(net, name, named_weights(name, source), where, whole=True)
    except DataError as error:
        if not fixed:
            raise
        raise DataError(
            f"{error} {name} is built for images of one size, here {resolution} pixels: give a teacher with weights of "
            "that size, or a model that takes any."
        ) from error
    layout = torch.channels_last if plan.recipe.channels_last else torch.contiguous_format
    given = images.mean, images.std
    taught = Renormalised(net, given, own_moments(net)) if source == PRETRAINED else net
    return taught.to(device, memory_format=layout).eval().requires_grad_(False)


def start_from(net: nn.Module, plan: RetrainPlan) -> bool:
    """Load the weights from elsewhere that a timm model starts from; return whether the classifier came along.

    Raises:
        UserError: timm publishes none.
        DataError: They are not there, or belong to another model.
    """
    name = plan.timm_model
    where = f"timm's {name}" if plan.weights == PRETRAINED else plan.weights
    return fill(net, name, named_weights(name, plan.weights), where, whole=False)


def _near(name: str, known: list[str]) -> str:
    """Return near misses among timm's many models, or its MobileNetV3s."""
    hint = suggest(name, known).split(" Known:")[0]
    return hint or f" For example: {', '.join([m for m in known if m.startswith('mobilenetv3_')][:4])}."

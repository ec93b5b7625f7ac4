"""The supernet against the original implementation and timm, in double precision with random BN statistics."""

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")

from smemnas.bench.errors import DataError, UserError  # noqa: E402
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet, own_content, save  # noqa: E402
from smemnas.bench.train.networks.mnv3.layers import ElasticDepthwise  # noqa: E402
from smemnas.bench.train.networks.mnv3.subnet import Shape  # noqa: E402
from smemnas.bench.train.networks.mnv3.supernet import Supernet  # noqa: E402
from smemnas.bench.train.networks.mnv3.to_timm import build_timm, extract, extract_timm, timm_definition  # noqa: E402
from smemnas.spaces.mnv3 import MNV3  # noqa: E402
from smemnas.spaces.mnv3_choices import Choices, Subnet  # noqa: E402
from smemnas.spaces.mnv3_costs import STEMS  # noqa: E402
from smemnas.spaces.mnv3_genes import decode  # noqa: E402

SMALL = Shape(0.35, 10, *STEMS["small"])


@pytest.fixture(autouse=True)
def double_precision_on_one_thread():
    """Convolutions in double precision are many small calls: threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


def randomise(net, seed=0):
    """Draw batch norms, SE biases and kernel matrices, which a new network has at 0, 1 or the identity."""
    rng = torch.Generator().manual_seed(seed)
    for name, tensor in net.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=rng)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(0.0, 0.3, generator=rng)
        elif ".bn." in name and name.endswith("weight"):
            tensor.uniform_(0.5, 1.5, generator=rng)
        elif name.endswith("matrix"):
            tensor.add_(torch.randn(tensor.shape, generator=rng), alpha=0.1)
    return net


def supernet(shape, seed=0):
    torch.manual_seed(seed)
    return randomise(Supernet(shape).eval(), seed)


def images(n, side, seed=0):
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def relative(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


@pytest.fixture(scope="module")
def original():
    """The original class, from the package of its authors."""
    networks = pytest.importorskip(
        "ofa.imagenet_classification.elastic_nn.networks", reason="needs ofa: pip install -e '.[ofa]'"
    )

    def build(width):
        net = networks.OFAMobileNetV3(
            dropout_rate=0, width_mult=width, ks_list=[3, 5, 7], expand_ratio_list=[3, 4, 6], depth_list=[2, 3, 4]
        )
        return net.eval()

    return build


@pytest.mark.parametrize(
    ("width", "n"), [(1.2, 5), *(pytest.param(width, 20, marks=pytest.mark.long) for width in (1.0, 1.2))]
)
@torch.no_grad()
def test_random_sub_networks_equal_the_original_and_timm(width, n, original):
    space, ours, theirs = MNV3(width), supernet(Shape(width)), original(width)
    theirs.load_state_dict(ours.state_dict())
    batch = images(2, 64)
    outputs = []
    for x in space.sample(n, np.random.default_rng(int(10 * width))):
        outputs.append(ours(batch, x))
        spec = space.to_ofa(x)
        theirs.set_active_subnet(ks=spec["ks"], e=spec["e"], d=spec["d"])
        assert relative(theirs(batch), outputs[-1]) < 1e-8
        assert relative(theirs.get_active_subnet().eval()(batch), outputs[-1]) < 1e-8
        timm_net = extract_timm(ours, x)
        assert relative(timm_net(batch), outputs[-1]) < 1e-8
        count = sum(p.numel() for p in timm_net.parameters())
        assert count == round(space.cost(x[None], "params")[0] * 1e6)
    assert all(relative(a, b) > 1e-3 for a, b in zip(outputs[1:], outputs, strict=False))


@pytest.mark.parametrize("width", [1.0, 1.2])
def test_state_dict_goes_both_ways(width, original):
    theirs, ours = randomise(original(width), 1), Supernet(Shape(width))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    back = original(width)
    back.load_state_dict(ours.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(back.state_dict().values(), theirs.state_dict().values(), strict=True))


@pytest.mark.parametrize("wrap", ["own", "published", "published, old names", "bare"])
def test_files_of_every_origin_load(wrap, tmp_path):
    net = supernet(SMALL if wrap == "own" else Shape(0.5, 7))
    weights = net.state_dict()
    if wrap == "published, old names":
        weights = {
            "module." + re.sub(r"^(blocks\.\d+)\.conv\.", r"\1.mobile_inverted_conv.", k): v for k, v in weights.items()
        }
        assert any("mobile_inverted_conv" in k for k in weights)
    file = {"own": own_content(SMALL, net), "bare": weights}.get(wrap, {"epoch": 3, "state_dict": weights})
    save(tmp_path / "net.pt", file)
    loaded, _ = load_supernet(tmp_path / "net.pt")
    assert loaded.shape.n_classes == net.shape.n_classes
    assert loaded.shape.stem_stride == net.shape.stem_stride
    assert all(torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), net.state_dict().values(), strict=True))


def test_foreign_files_are_refused_in_one_line(tmp_path):
    def refused(content, *words):
        path = tmp_path / "x.pt"
        content(path) if callable(content) else save(path, content)
        with pytest.raises(DataError) as caught:
            load_supernet(path)
        assert "\n" not in str(caught.value)
        assert all(word in str(caught.value) for word in words), caught.value

    weights = Supernet(Shape(0.35, 3)).state_dict()
    refused(lambda path: path.write_bytes(b"no torch file"), "no readable torch file")
    refused(lambda path: path.unlink(missing_ok=True), "no checkpoint at")
    refused({"state_dict": {"conv1.weight": torch.ones(1)}}, "no MobileNetV3 supernet", "first_conv.conv.weight")
    refused({k: v for k, v in weights.items() if "7to5" not in k}, "Missing key")
    refused({**weights, "final_expand_layer.conv.weight": torch.ones(33, 8, 1, 1)}, "no width multiplier")
    refused(own_content(SMALL, Supernet(SMALL)) | {"version": 99}, "version 99")


@torch.no_grad()
def test_small_images_and_odd_sizes():
    space = MNV3(resolutions=(32,))
    for strides in ((2, 2, 2, 1, 1), (1, 2, 2, 1, 2)):
        net = supernet(Shape(0.35, 10, 1, strides))
        x = space.sample(1, np.random.default_rng(5))[0]
        for side in (32, 27):
            batch = images(2, side)
            assert net(batch, x).shape == (2, 10)
            assert relative(extract_timm(net, x)(batch), net(batch, x)) < 1e-8
        assert net.first_conv(images(1, 32)).shape == (1, 8, 32, 32)
    # with stride 1 the first stage maps 8 to 8 channels and has a residual around its first layer
    assert net.blocks[1].skip
    assert not supernet(SMALL).blocks[1].skip


@torch.no_grad()
def test_genotype_and_decoded_form_are_one_and_silent_genes_do_not_enter():
    space, net, rng = MNV3(), supernet(SMALL), np.random.default_rng(2)
    x = rng.integers(0, space.n_choices, size=space.n_var)
    x[:45:9] = 0
    noisy = x.copy()
    noisy[np.r_[3:5, 7:9]] = 2 - noisy[np.r_[3:5, 7:9]]
    assert decode(noisy) == decode(x)
    assert decode(x).kernels == tuple(space.to_ofa(x)["ks"])
    assert decode(x).expansions == tuple(space.to_ofa(x)["e"])
    assert torch.equal(net(images(1, 32), noisy), net(images(1, 32), decode(x)))
    with pytest.raises(UserError, match="46 integers"):
        decode(np.zeros(45, dtype=np.int64))
    with pytest.raises(UserError, match="genes of depth are 0, 1, 2 in mnv3"):
        decode(np.full(46, 3))


def test_a_small_kernel_is_the_transformed_centre():
    torch.manual_seed(0)
    layer = ElasticDepthwise(6, 1)
    with torch.no_grad():
        for matrix in (getattr(layer, "7to5_matrix"), getattr(layer, "5to3_matrix")):
            matrix.normal_()
        large = layer.conv.weight[2, 0]
        five = (getattr(layer, "7to5_matrix") @ large[1:6, 1:6].reshape(25)).view(5, 5)
        three = (getattr(layer, "5to3_matrix") @ five[1:4, 1:4].reshape(9)).view(3, 3)
    assert torch.allclose(layer.weight(4, 5)[2, 0], five, rtol=1e-12)
    assert torch.allclose(layer.weight(4, 3)[2, 0], three, rtol=1e-12)
    assert layer.weight(4, 7).data_ptr() == layer.conv.weight.data_ptr(), "the largest kernel is a view"


def test_gradient_reaches_active_weights_only():
    net = supernet(SMALL).train()
    # stage 0 has two layers: k7 e6 and k5 e4; the others the least
    arch = Subnet((2,) * 5, (7, 5, 3, 3) + (3,) * 16, (6, 4, 3, 3) + (3,) * 16)
    net(images(4, 32), arch).square().sum().backward()
    gradients = {name: p.grad for name, p in net.named_parameters()}
    absent = [name for name, g in gradients.items() if g is None]
    for name in gradients:
        block = int(name.split(".")[1]) if name.startswith("blocks") else 0
        layer_is_absent = block > 0 and (block - 1) % 4 >= 2
        unused_matrix = (name.startswith("blocks.1.") and "matrix" in name) or name == (
            "blocks.2.conv.depth_conv.conv.5to3_matrix"
        )
        assert (name in absent) == (layer_is_absent or unused_matrix), name
    first, second = (gradients[f"blocks.{b}.conv.depth_conv.conv.conv.weight"] for b in (1, 2))
    assert (first != 0).any(dim=(1, 2, 3)).all()
    assert (second[:32, :, 1:6, 1:6] != 0).all()
    assert not second[32:].any(), "channels past the expansion"
    assert not second[:, :, 0].any(), "rim of the large kernel"
    assert not second[:, :, :, 6].any(), "rim of the large kernel"
    bn = gradients["blocks.2.conv.depth_conv.bn.bn.weight"]
    assert bn[:32].all()
    assert not bn[32:].any()


def test_training_mode_updates_statistics_of_active_channels_only():
    net = supernet(SMALL).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    net(images(4, 32), Choices().smallest())
    after = net.state_dict()
    name = "blocks.1.conv.depth_conv.bn.bn.running_mean"
    assert (after[name][:24] != before[name][:24]).all()
    assert torch.equal(after[name][24:], before[name][24:])
    assert torch.equal(
        after["blocks.3.conv.depth_conv.bn.bn.running_var"], before["blocks.3.conv.depth_conv.bn.bn.running_var"]
    )


@torch.no_grad()
def test_memory_format_changes_nothing():
    net, x = supernet(SMALL), MNV3().sample(1, np.random.default_rng(8))[0]
    expected = net(images(2, 32), x)
    net = net.to(memory_format=torch.channels_last)
    assert relative(net(images(2, 32).to(memory_format=torch.channels_last), x), expected) < 1e-10


@pytest.mark.parametrize("smallest", [6, 4])
@torch.no_grad()
def test_sorting_channels_keeps_what_was_trained(smallest):
    net, rng = supernet(SMALL), np.random.default_rng(4)
    kept = [Choices(expansions=(smallest, 6)[: 1 + (smallest < 6)]).sample(rng) for _ in range(3)]
    lost = Choices(expansions=(3,)).largest()
    batch = images(2, 32)
    before = [net(batch, arch) for arch in (*kept, lost)]
    net.sort_channels(smallest)
    after = [net(batch, arch) for arch in (*kept, lost)]
    assert all(relative(a, b) < 1e-10 for a, b in zip(after[:-1], before[:-1], strict=True))
    assert relative(after[-1], before[-1]) > 1e-3
    for residual in net.blocks[1:]:
        weight = residual.conv.point_linear.conv.conv.weight
        norms = weight[:, : weight.shape[1] * smallest // 6].abs().sum((0, 2, 3))
        assert (norms.diff() <= 0).all()


def test_extracted_weights_are_copies_and_fit_strictly():
    net, x = supernet(SMALL), MNV3().sample(1, np.random.default_rng(6))[0]
    weights = extract(net, x)
    model = build_timm(x, SMALL)
    model.load_state_dict(weights, strict=True)
    with torch.no_grad():
        net.classifier.linear.weight.zero_()
    assert weights["classifier.weight"].any()
    definition = timm_definition(x, SMALL)
    assert [len(stage) for stage in definition["arch_def"]] == [1, *decode(x).depths, 1]
    assert definition["stem_stride"] == 1


def test_shapes_that_make_no_sense_are_refused():
    for fields, word in (
        ({"width": 0.0}, "width"),
        ({"n_classes": 0}, "class"),
        ({"strides": (2, 2)}, "strides"),
        ({"stem_stride": 4}, "strides"),
        ({"dropout": 1.0}, "dropout"),
    ):
        with pytest.raises(UserError, match=word):
            Shape(**fields)
    with pytest.raises(DataError, match="describe no MobileNetV3"):
        Shape.from_dict({"width": 1.0, "depth": 3, "strides": [2] * 5})
    assert Shape.from_dict(SMALL.to_dict()) == SMALL

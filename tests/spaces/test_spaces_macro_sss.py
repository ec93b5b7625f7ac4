"""Spaces macro and nats_sss: costs against published figures and layer-by-layer counts."""

import numpy as np
import pytest

from smemnas.bench.errors import UserError
from smemnas.spaces.macro import Macro
from smemnas.spaces.nats_sss import CHANNELS, NATSSize

#: Parameters as stored in NATS-Bench, and multiply-adds counted by its authors' network and counter
#: (DynamicShapeTinyNet, get_model_infos of AutoDL-Projects): 10 classes, 32 pixels; 120 classes, 16 pixels.
PUBLISHED = {
    "8:8:8:8:8": (0.011714, 4.481114, 0.012704, 1.121336),
    "8:8:16:40:40": (0.107826, 11.813274, 0.112336, 2.958136),
    "64:64:64:64:64": (0.713674, 274.399882, 0.720824, 68.607608),
    "64:8:48:16:24": (0.296106, 211.86585, 0.298856, 52.9694),
    "24:56:56:64:32": (0.350722, 82.911562, 0.354352, 20.731768),
}


def test_sss_costs_are_the_published_ones():
    cifar, imagenet = NATSSize(), NATSSize(n_classes=120, image_size=16)
    X = np.stack([cifar.from_str(a) for a in PUBLISHED])
    columns = [s.cost(X, c) for s in (cifar, imagenet) for c in ("params", "flops")]
    np.testing.assert_allclose(np.stack(columns, axis=1), list(PUBLISHED.values()), rtol=0, atol=1e-9)


def sss_layers(channels):
    """All convolutions of the network as (in, out, kernel, output side, batch norm)."""
    c1, c2, c3, c4, c5 = channels
    layers = [(3, c1, 3, 32, True)]

    def cell(a, b, side):
        edges = [(a, b), (a, b), (b, b), (b, b), (b, b)]
        layers.extend((i, o, 3, side, True) for i, o in edges)
        if a != b:
            layers.append((a, b, 1, side, True))

    def reduction(a, b, side):
        layers.extend([(a, b, 3, side, True), (b, b, 3, side, True), (a, b, 1, side, False)])

    cell(c1, c1, 32)
    reduction(c1, c2, 16)
    cell(c2, c3, 16)
    reduction(c3, c4, 8)
    cell(c4, c5, 8)
    return layers


def test_sss_costs_layer_by_layer():
    space = NATSSize(n_classes=7)
    X = space.sample(50, np.random.default_rng(0))
    for x, params, flops in zip(X, space.cost(X, "params"), space.cost(X, "flops"), strict=True):
        channels = [CHANNELS[i] for i in x]
        layers = sss_layers(channels)
        tail = 2 * channels[-1] + (channels[-1] + 1) * 7
        assert round(params * 1e6) == sum(i * o * k * k + 2 * o * bn for i, o, k, _, bn in layers) + tail
        expected = sum(i * o * k * k * side * side for i, o, k, side, _ in layers) + (channels[-1] + 1) * 7
        assert round(flops * 1e6) == expected


def macro_modules(arch):
    """Convolutions of the network as (in, out, kernel, groups, output side), each followed by a batch norm."""
    layers, side, c = [(3, 32, 3, 1, 32)], 32, 32
    plan = [(64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1), (256, 1)]
    for digit, (out, stride) in zip(arch, plan, strict=True):
        after = side // stride
        if digit == "0":
            if stride == 2:
                layers.append((c, out, 1, 1, after))
        else:
            expansion, kernel = {"1": (3, 3), "2": (6, 5)}[digit]
            wide = c * expansion
            layers += [(c, wide, 1, 1, side), (wide, wide, kernel, wide, after), (wide, out, 1, 1, after)]
        side, c = after, out
    return [*layers, (256, 1280, 1, 1, 4)]


def test_macro_costs_layer_by_layer_and_published_records():
    space = Macro()
    rng = np.random.default_rng(0)
    published = {"02012100": (890666, 47327744), "11111221": (2181386, 65012224), "00011110": (1118378, 31390208)}
    names = [*published, *(space.to_str(x) for x in space.sample(40, rng))]
    X = np.stack([space.from_str(n) for n in names])
    counts = np.rint(np.stack([space.cost(X, "params"), space.cost(X, "flops")], axis=1) * 1e6).astype(int)
    for name, found in zip(names, counts.tolist(), strict=True):
        layers = macro_modules(name)
        params = sum(i * o * k * k // g + 2 * o for i, o, k, g, _ in layers) + 1281 * 10
        flops = sum(i * o * k * k // g * side * side for i, o, k, g, side in layers) + 12800
        assert found == [params, flops] == list(published.get(name, (params, flops)))


def test_macro_canonical_against_brute_force():
    """Dropping the identities of stride-1 layers leaves the same list of layers exactly for equal keys."""
    space = Macro()
    X = space.enumerate()
    keys = [k.tobytes() for k in space.canonical(X)]
    built = ["".join(map(str, macro_modules(space.to_str(x)))) for x in X]
    assert len(set(keys)) == len(set(built)) == len(set(zip(keys, built, strict=True))) == 3969
    assert np.array_equal(X, space.enumerate())  # the argument is not changed


@pytest.mark.parametrize("space", [Macro(), NATSSize()])
def test_names_round_trip(space):
    X = space.sample(200, np.random.default_rng(1))
    assert np.array_equal(np.stack([space.from_str(space.to_str(x)) for x in X]), X)
    for bad in ("", "0", "8:8:8:8", "8:8:8:8:72", "8:8:8:8:08", "01201203", "0120120", "012012001", "²1201200"):
        with pytest.raises(UserError, match="architectures are"):
            space.from_str(bad)


def test_macro_description_names_every_layer():
    assert Macro().describe(np.array([0, 1, 2, 0, 0, 1, 1, 1])).count(",") == 5

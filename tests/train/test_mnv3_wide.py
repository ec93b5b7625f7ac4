"""Supernets of the wide choices: against timm, trained, read, searched, and their networks retrained by name."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train': pip install -e '.[train]'")
pytest.importorskip("timm", reason="needs the extra 'train': pip install -e '.[train]'")

from smemnas.bench.benchmarks.catalog import open_benchmark  # noqa: E402
from smemnas.bench.errors import UserError  # noqa: E402
from smemnas.bench.train.networks.counting import multiply_adds, parameters  # noqa: E402
from smemnas.bench.train.networks.mnv3.checkpoint import load_supernet  # noqa: E402
from smemnas.bench.train.networks.mnv3.subnet import Shape  # noqa: E402
from smemnas.bench.train.networks.mnv3.supernet import Supernet  # noqa: E402
from smemnas.bench.train.networks.mnv3.to_timm import build_timm, extract_timm  # noqa: E402
from smemnas.bench.train.networks.trainable import trainable_space  # noqa: E402
from smemnas.bench.train.supernet.batches import step_subnets  # noqa: E402
from smemnas.bench.train.supernet.evaluation import describe, evaluate  # noqa: E402
from smemnas.bench.train.supernet.loop import train_supernet  # noqa: E402
from smemnas.bench.train.supernet.plan import SupernetPlan  # noqa: E402
from smemnas.spaces.mnv3 import MNV3  # noqa: E402
from smemnas.spaces.mnv3_choices import CHOICES, Choices  # noqa: E402
from smemnas.spaces.mnv3_costs import STEMS  # noqa: E402

pytestmark = pytest.mark.usefixtures("alone")


def wide(width, sides=(24, 32)):
    return MNV3(width, sides, 10, stem_stride=1, strides=STEMS["small"][1], choices="wide")


@pytest.mark.parametrize("width", [0.35, 1.0])
@torch.no_grad()
def test_random_sub_networks_equal_timm_and_the_count(width):
    """In double precision; a stage's first layer has a residual exactly where timm gives it one."""
    space, shape = wide(width), Shape(width, 10, *STEMS["small"], choices="wide")
    net = Supernet(shape).double().eval()
    torch.manual_seed(0)
    for name, tensor in net.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.normal_(0.0, 0.3)
    batch = torch.randn(2, 3, 24, 24, dtype=torch.float64)
    X = space.sample(6, np.random.default_rng(int(10 * width)))
    narrow = space.from_str("r24-33w50-3333w50-33w75-33w50-33w50")  # 40 channels of stage 4 behind 40 of stage 3
    for x in [*X, narrow]:
        timm_net = extract_timm(net, x)
        assert torch.allclose(net(batch, x), timm_net(batch), rtol=1e-9, atol=0)
        side = space.resolutions[int(x[45])]
        counts = [np.rint(space.cost(x[None], name)[0] * 1e6) for name in ("params", "flops")]
        assert counts == [parameters(timm_net), multiply_adds(timm_net, side)]


def test_a_genotype_of_other_choices_is_refused():
    net = Supernet(Shape(0.1, 10, *STEMS["small"], choices="wide"))
    with pytest.raises(UserError, match="51 integers"):
        build_timm(np.zeros(46, dtype=np.int64), net.shape)
    with pytest.raises(UserError, match="genes of width are 0, 1, 2"):
        build_timm(np.arange(51) // 46 * 3, Shape(0.1, 10, choices="wide"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide")
    torch.set_num_threads(1)
    plan = SupernetPlan(
        "digits", width=0.1, choices="wide", strides=(1, 2, 1, 1, 1), epochs=2, batch=256, n_random=1, crop=1
    )
    return plan, folder, train_supernet(plan, folder, device="cpu")


def test_what_a_step_trains_spans_the_choices(trained):
    plan, _, _ = trained
    subnets, _ = step_subnets(plan, (8,), 0, 0)
    assert subnets[:2] == [CHOICES["wide"].largest(), CHOICES["wide"].smallest()]
    drawn = [step_subnets(plan, (8,), 0, step)[0][-1] for step in range(200)]
    assert {d for net in drawn for d in net.depths} == {1, 2, 3, 4}
    assert {e for net in drawn for e in net.expansions} == {1, 2, 3, 4, 6}
    assert {w for net in drawn for w in net.widths} == {50, 75, 100}


def test_without_widths_to_choose_the_draws_are_as_ever():
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    of = Choices()
    drawn = of.sample(rng)
    plain = [other.choice(values, n) for values, n in ((of.depths, 5), (of.kernels, 20), (of.expansions, 20))]
    assert drawn[:3] == tuple(tuple(values.tolist()) for values in plain)
    assert rng.integers(2**32) == other.integers(2**32)


def test_trained_read_and_searched(trained, tmp_path, monkeypatch):
    _, folder, rows = trained
    assert len(rows) == 2
    checkpoint = folder / "checkpoint.pt"
    supernet, _ = load_supernet(checkpoint)
    assert supernet.shape.choices == "wide"
    found = describe(checkpoint)
    assert found["choices"] == "wide"
    assert found["smallest"].startswith("r8-31w50-31w50-31w50-31w50-31w50:")
    assert found["largest"].startswith("r8-76767676-76767676-")
    read = evaluate(checkpoint, ["r8-31w50-7652-31w75-31-31"], data=None, split="valid", n_random=2, limit=60)
    assert [row["images"] for row in read] == [60] * 3
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    benchmark = open_benchmark("mnv3", f"supernet+{str(checkpoint).replace('/', '%2F')}+images=60")
    X = benchmark.space.sample(3, np.random.default_rng(0))
    assert X.shape == (3, 51)
    values = benchmark.evaluate(X, 0).F
    assert np.array_equal(values[:, 1], benchmark.space.cost(X, "flops"))
    again = evaluate(checkpoint, [benchmark.space.to_str(x) for x in X], limit=60, data=None, split="valid", n_random=0)
    assert values[:, 0].tolist() == [100.0 - row["accuracy"] for row in again]


def test_a_supernet_of_the_published_choices_reads_none_of_the_wide_networks(tmp_path):
    torch.set_num_threads(1)
    plan = SupernetPlan("digits", width=0.1, strides=(1, 2, 1, 1, 1), epochs=1, batch=512, n_random=0, crop=1)
    train_supernet(plan, tmp_path, device="cpu")
    with pytest.raises(UserError, match="r8-31-3333-3333-3333-3333' has depth 1; there depth is one of 2, 3, 4"):
        evaluate(
            tmp_path / "checkpoint.pt", ["r8-31-3333-3333-3333-3333"], data=None, split="valid", n_random=0, limit=9
        )


def test_phases_of_shrinking_are_refused():
    with pytest.raises(UserError, match="leave --phases out"):
        SupernetPlan("digits", choices="wide", epochs=2, phases=("largest", "all"))


def test_it_can_be_trained_from_scratch():
    space = trainable_space("mnv3", 10, 8, width=0.1, resolutions=(8,), stem="small", choices="wide")
    x = space.sample(1, np.random.default_rng(0))[0]
    net = space.build(x, 10)
    assert net(torch.zeros(2, 3, 8, 8)).shape == (2, 10)
    assert parameters(net) == round(space.cost(x[None], "params")[0] * 1e6)
    with pytest.raises(UserError, match="choices does not apply to nb201"):
        trainable_space("nb201", 10, 8, choices="wide")

"""BoTorch's methods: the exact improvement against integration, free costs known exactly, and what is refused."""

import importlib.util
import sys

import numpy as np
import pytest

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.checks import methods as checks
from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS
from smemnas.methods.selection import hypervolume_gains
from smemnas.spaces.toy import Toy

needs_botorch = pytest.mark.skipif(
    importlib.util.find_spec("botorch") is None, reason="needs the extra: pip install -e '.[botorch]'"
)


def test_without_botorch_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "botorch", None)
    for name in ("botorch-ehvi", "botorch-qnehvi"):
        with pytest.raises(UserError, match=r"extra 'botorch'.*pip install -e '\.\[botorch\]' in the suite's folder"):
            METHODS.create(name, open_benchmark("toy").problem, budget=30, seed=0)


@needs_botorch
def test_the_exact_improvement_is_the_integral_over_the_process():
    """One objective is free: the improvement is that of the hypervolume over a normal error at a known cost."""
    from scipy.special import ndtri

    from smemnas.methods.botorch_search import Believed, quiet_torch

    bench = open_benchmark("toy")
    X = Toy().sample(25, np.random.default_rng(0))
    F = bench.evaluate(X, 0).F
    new = Toy().sample(6, np.random.default_rng(1))
    with quiet_torch(0):
        import torch

        model = Believed(bench.problem, None, X, F)
        found = model.improvement(X[:0])(new)
        with torch.no_grad():
            posterior = model.model.posterior(model.inputs(new))
            mean, deviation = posterior.mean.numpy(), posterior.variance.clamp_min(0.0).sqrt().numpy()
        reference = -model._reference().numpy()
    free = (Toy().cost(new, "flops") - model._low[1]) / model._span[1]
    np.testing.assert_allclose(-mean[:, 1], free, atol=1e-12)
    assert deviation[:, 1].max() == 0.0
    front = -model.Y.numpy()
    z = ndtri((np.arange(4000) + 0.5) / 4000)
    for k in range(len(new)):
        outcomes = np.stack([-mean[k, 0] + deviation[k, 0] * z, np.full(len(z), free[k])], axis=1)
        assert found[k] == pytest.approx(hypervolume_gains(outcomes, front, reference).mean(), rel=0.02, abs=2e-4)


@needs_botorch
def test_no_kernel_is_compiled_and_what_was_there_stays(monkeypatch):
    """BoTorch compiles one for minutes when the first qLogNEHVI is made."""
    import torch.utils.cpp_extension
    from botorch.acquisition.multi_objective import logei

    built = []
    monkeypatch.setattr(torch.utils.cpp_extension, "load", lambda *a, **k: built.append(k))
    monkeypatch.setattr(logei, "_load_attempted", False, raising=False)
    monkeypatch.setattr(logei, "_C", "a kernel", raising=False)
    bench = open_benchmark("toy")
    params = {"initial": 8, "batch": 3, "candidates": 20, "samples": 8}
    method = METHODS.create("botorch-qnehvi", bench.problem, budget=20, seed=0, params=params)
    X = method.ask()
    method.tell(X, bench.evaluate(X, 0).F)
    new = method.ask()
    assert new.shape == (3, 5)
    assert not {x.tobytes() for x in new} & {x.tobytes() for x in X}
    assert built == []
    assert (logei._C, logei._load_attempted) == ("a kernel", False)


@needs_botorch
@pytest.mark.long
@pytest.mark.parametrize("check", [checks.check_failed_rows, checks.check_exhausted_space, checks.check_warm_start])
@pytest.mark.parametrize("name", ["botorch-ehvi", "botorch-qnehvi"])
def test_contract_beyond_the_initial_sample(name, check):
    params = {"initial": 30, "batch": 8, "candidates": 100}
    check(lambda problem, budget, seed: METHODS.create(name, problem, budget=budget, seed=seed, params=params))

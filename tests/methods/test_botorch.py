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
@pytest.mark.parametrize("n", [3, 20, 90])
def test_loss_and_gradient_are_those_that_botorch_derives(n):
    import torch
    from botorch.optim.closures import get_loss_closure_with_grads
    from botorch.optim.utils import get_parameters_and_bounds
    from gpytorch.mlls import ExactMarginalLogLikelihood

    from smemnas.methods.botorch_models import default_process, loss_and_gradient

    torch.manual_seed(n)
    Z = torch.rand(n, 9, dtype=torch.double) * torch.logspace(-2, 2, 9, dtype=torch.double)
    y = Z[:, :3].sum(dim=1, keepdim=True).sin() + 0.1 * torch.randn(n, 1, dtype=torch.double)
    process = default_process(Z, y, 7)  # two more columns, which the process does not read
    likelihood = ExactMarginalLogLikelihood(process.likelihood, process)
    likelihood.train()
    parameters, _ = get_parameters_and_bounds(likelihood)
    derived = get_loss_closure_with_grads(likelihood, parameters=parameters)
    here = loss_and_gradient(likelihood, Z[:, :7])
    for _ in range(4):
        with torch.no_grad():
            for values in parameters.values():
                values.mul_(torch.rand_like(values) + 0.6).add_(0.01)
        loss, gradient = derived()
        found, found_gradient = here()
        torch.testing.assert_close(found, loss, rtol=1e-9, atol=1e-10)
        for mine, theirs in zip(found_gradient, gradient, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-9)


@needs_botorch
def test_the_closed_form_is_taken_where_it_is_that_of_botorchs_process():
    import torch
    from botorch.models import SingleTaskGP
    from botorch.optim.closures import get_loss_closure_with_grads
    from gpytorch.kernels import RBFKernel, ScaleKernel
    from gpytorch.mlls import ExactMarginalLogLikelihood
    from gpytorch.priors import LogNormalPrior

    from smemnas.methods.botorch_models import default_process, shorter_closure

    Z = torch.rand(5, 2, dtype=torch.double)
    process = default_process(Z, Z[:, :1], 2)
    likelihood = ExactMarginalLogLikelihood(process.likelihood, process)
    loss, gradient = shorter_closure(likelihood, Z)()
    derived, _ = get_loss_closure_with_grads(likelihood, parameters=dict(likelihood.named_parameters()))()
    torch.testing.assert_close(loss, derived)
    assert derived.requires_grad
    assert not loss.requires_grad  # nothing is derived
    assert sorted(part.numel() for part in gradient) == [1, 1, 2]
    process.covar_module.register_prior("another_prior", LogNormalPrior(0.0, 0.5), "lengthscale")
    assert shorter_closure(ExactMarginalLogLikelihood(process.likelihood, process), Z) is None
    other = SingleTaskGP(Z, Z[:, :1], covar_module=ScaleKernel(RBFKernel(ard_num_dims=2)))
    assert shorter_closure(ExactMarginalLogLikelihood(other.likelihood, other), Z) is None


@needs_botorch
@pytest.mark.parametrize("objectives", [("error", "flops"), ("error",)])
def test_points_asked_together_have_the_improvement_of_points_asked_alone(objectives):
    """GPyTorch's posterior of single points is the reference; with one objective, the logarithm of the improvement."""
    from smemnas.methods import botorch_search
    from smemnas.methods.botorch_search import Believed, quiet_torch

    bench = open_benchmark("toy", objectives=objectives)
    X = Toy().sample(30, np.random.default_rng(0))
    new = Toy().sample(700, np.random.default_rng(1))  # more than one block
    with quiet_torch(0), pytest.MonkeyPatch.context() as patch:
        model = Believed(bench.problem, None, X, bench.evaluate(X, 0).F)
        found = model.improvement(X[:2])(new)
        patch.setattr(botorch_search, "one_by_one", lambda model: model)
        np.testing.assert_allclose(found, model.improvement(X[:2])(new), rtol=3e-6, atol=1e-12)


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

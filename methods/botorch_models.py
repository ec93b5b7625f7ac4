"""The models of `botorch_search`: BoTorch's own, fitted by BoTorch, asked and differentiated by shorter ways.

`SingleTaskGP` is fitted by `fit_gpytorch_mll` as ever, L-BFGS on the marginal likelihood with BoTorch's priors, which
takes hundreds of steps; only what each step needs, the likelihood and its gradient, is written in closed form here
(Rasmussen and Williams 2006, eq. 5.8 and 5.9) instead of being derived by automatic differentiation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

#: Parameters of `SingleTaskGP`'s likelihood, as GPyTorch names them.
PARAMETERS = (
    "likelihood.noise_covar.raw_noise",
    "model.mean_module.raw_constant",
    "model.covar_module.raw_lengthscale",
)


def exactly(column: int) -> Any:
    """Return a model whose value is that of an input column, its sign turned."""
    from botorch.models.deterministic import GenericDeterministicModel

    return GenericDeterministicModel(lambda Z: -Z[..., column : column + 1])


def fitted_process(Z: Any, y: Any, columns: int) -> Any:
    """Return BoTorch's `SingleTaskGP` on the first columns of inputs ``(n, d)``, fitted to outcomes ``(n, 1)``."""
    from botorch.exceptions.errors import ModelFittingError
    from botorch.fit import fit_gpytorch_mll
    from gpytorch.mlls import ExactMarginalLogLikelihood

    process = default_process(Z, y, columns)
    likelihood = ExactMarginalLogLikelihood(process.likelihood, process)
    try:
        fit_gpytorch_mll(likelihood, closure=shorter_closure(likelihood, Z[:, :columns]))
    except ModelFittingError:  # nothing to learn, such as constant outcomes: the priors stay
        process.eval()
    return process


def default_process(Z: Any, y: Any, columns: int) -> Any:
    """Return BoTorch's `SingleTaskGP` on the first columns of inputs ``(n, d)``, before it is fitted."""
    from botorch.models import SingleTaskGP
    from botorch.models.transforms.outcome import Standardize
    from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior

    kernel = get_covar_module_with_dim_scaled_prior(ard_num_dims=columns, active_dims=list(range(columns)))
    return SingleTaskGP(Z, y, covar_module=kernel, outcome_transform=Standardize(m=1))


def shorter_closure(likelihood: Any, Z: Any) -> Callable[[], tuple[Any, list[Any]]] | None:
    """Return `loss_and_gradient`; None, for BoTorch's own, where that is of another process than BoTorch made.

    What BoTorch takes for a default changes between its versions, so both are compared where the fit begins.
    """
    import torch
    from botorch.optim.closures import get_loss_closure_with_grads

    likelihood.train()
    parameters = dict(likelihood.named_parameters())
    if sorted(parameters) != sorted(PARAMETERS):
        return None
    shorter = loss_and_gradient(likelihood, Z)
    loss, gradient = shorter()
    loss_there, gradient_there = get_loss_closure_with_grads(likelihood, parameters=parameters)()
    alike = all(
        torch.allclose(here, there, rtol=1e-5, atol=1e-7)
        for here, there in zip([loss, *gradient], [loss_there, *gradient_there], strict=True)
    )
    return shorter if alike else None


def loss_and_gradient(likelihood: Any, Z: Any) -> Callable[[], tuple[Any, list[Any]]]:
    """Return a function of the loss that BoTorch minimises, and of its gradient at the parameters as they are then.

    Args:
        likelihood: GPyTorch's `ExactMarginalLogLikelihood` of a process with a constant mean, a Gaussian kernel with a
            length for each column and log-normal priors, and a noise with such a prior: `SingleTaskGP`'s defaults.
        Z: The kernel's inputs ``(n, d)``.
    """
    import torch
    from linear_operator.utils.cholesky import psd_safe_cholesky

    process = likelihood.model
    kernel, mean, noise = process.covar_module, process.mean_module, process.likelihood.noise_covar
    y = process.train_targets
    n = len(y)
    Z = Z - Z.mean(dim=0)
    squares = Z**2
    parameters = dict(likelihood.named_parameters())

    def prior(values: Any, law: Any) -> tuple[Any, Any]:
        """Return the logarithm of a log-normal density, summed, and its derivatives."""
        logs, variance = values.log(), law.scale**2
        return law.log_prob(values).sum(), -(1.0 + (logs - law.loc) / variance) / values

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def closure() -> tuple[Any, list[Any]]:
        lengths = kernel.lengthscale.squeeze(0)
        scaled = Z / lengths
        norms = (scaled**2).sum(dim=1)
        K = (norms[:, None] + norms - 2.0 * scaled @ scaled.T).clamp_min_(0.0).fill_diagonal_(0.0).div_(-2.0).exp_()
        root = psd_safe_cholesky(K + noise.noise * torch.eye(n, dtype=K.dtype))
        residual = (y - mean.constant)[:, None]
        weights = torch.cholesky_solve(residual, root)
        W = weights @ weights.T - torch.cholesky_inverse(root)
        M = W * K
        spread = (squares.T @ M.sum(dim=1)) - (Z * (M @ Z)).sum(dim=0)  # half of sum_ij M_ij (z_ik - z_jk)^2
        of_noise, d_noise = prior(noise.noise, noise.noise_prior)
        of_lengths, d_lengths = prior(kernel.lengthscale, kernel.lengthscale_prior)
        fit = (residual * weights).sum() / 2.0 + root.diagonal().log().sum() + n * math.log(2.0 * math.pi) / 2.0
        parts = (W.diagonal().sum() / 2.0 + d_noise, weights.sum(), spread / lengths**3 + d_lengths)
        gradient = dict(zip(PARAMETERS, parts, strict=True))
        return (fit - of_noise - of_lengths) / n, [
            (-gradient[name] / n).reshape(parameter.shape) for name, parameter in parameters.items()
        ]

    found: Callable[[], tuple[Any, list[Any]]] = closure
    return found


def one_by_one(model: Any) -> Any:
    """Return a model of single points that gives their means and variances alone.

    BoTorch's analytic acquisitions ask for a posterior of each point by itself, for which GPyTorch puts all training
    inputs beside each; here one posterior is taken of all points, and what they have with each other is not read.
    """
    from botorch.models.model import Model

    class OneByOne(Model):  # type: ignore[misc]
        """Means and variances ``(n, 1, m)`` of inputs ``(n, 1, d)``."""

        @property
        def num_outputs(self) -> int:
            return int(model.num_outputs)

        def posterior(self, X: Any, **kwargs: Any) -> SimpleNamespace:
            together = model.posterior(X.squeeze(-2))
            return SimpleNamespace(mean=together.mean.unsqueeze(-2), variance=together.variance.unsqueeze(-2))

    return OneByOne()

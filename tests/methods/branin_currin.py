"""qLogNEHVI on Branin-Currin, batches of 4: our wrapper beside a loop of BoTorch's own pieces.

``python -m tests.methods.branin_currin BATCHES`` prints the hypervolume of both after each batch. Both begin with the
same six points and choose among the same 33 x 33 grid; the loop is BoTorch's tutorial but for that: a `SingleTaskGP`
per objective on inputs normalised to [0, 1] and standardised outcomes, the reference point of the problem.
"""

import sys

import numpy as np

from smemnas.bench.metrics.indicators import hypervolume
from smemnas.methods.base import METHODS
from smemnas.spaces.base import Objective, Problem, SearchSpace

SIDE, INITIAL, BATCH = 33, 6, 4
#: BoTorch's reference point, negated: `BraninCurrin` is maximised there.
REFERENCE = np.array([18.0, 6.0])


class Grid(SearchSpace):
    """The unit square on a grid."""

    name = "grid"
    n_choices = (SIDE, SIDE)
    default_encoding = "int"

    def to_str(self, x):
        return "-".join(map(str, x.tolist()))

    def from_str(self, arch):
        return np.array([int(v) for v in arch.split("-")])


PROBLEM = Problem(Grid(), (Objective("branin", "", False), Objective("currin", "", False)))


def values(X):
    """Branin and Currin ``(n, 2)``, minimised, of rows of the grid."""
    import torch
    from botorch.test_functions.multi_objective import BraninCurrin

    return BraninCurrin(negate=False)(torch.tensor(X / (SIDE - 1), dtype=torch.double)).numpy()


def volume(F):
    """The hypervolume of what was evaluated, in the problem's units."""
    corner = REFERENCE / 1.1  # what is normalised is measured up to 1.1
    return hypervolume(F, np.zeros(2), corner) * float(np.prod(corner))


def ours(batches, seed=0):
    """Hypervolumes after the initial points and after each batch of the method."""
    method = METHODS.create(
        "botorch-qnehvi",
        PROBLEM,
        budget=INITIAL + batches * BATCH,
        seed=seed,
        params={"initial": INITIAL, "batch": BATCH, "candidates": SIDE**2},
    )
    F, found = np.empty((0, 2)), []
    for _ in range(batches + 1):
        X = method.ask()
        method.tell(X, values(X))
        F = np.vstack([F, values(X)])
        found.append(volume(F))
    return found


def theirs(batches, seed=0):
    """The same of the loop that BoTorch's tutorial has."""
    import torch
    from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from botorch.models.transforms.outcome import Standardize
    from botorch.optim import optimize_acqf_discrete
    from botorch.sampling import SobolQMCNormalSampler
    from gpytorch.mlls import SumMarginalLogLikelihood

    from smemnas.methods.base import initial_design
    from smemnas.methods.botorch_search import quiet_torch

    grid = Grid().enumerate()
    X = initial_design(PROBLEM, INITIAL, seed)
    found = [volume(values(X))]
    for step in range(batches):
        with quiet_torch(step):
            Z, Y = torch.tensor(X / (SIDE - 1), dtype=torch.double), torch.tensor(-values(X))
            model = ModelListGP(*(SingleTaskGP(Z, Y[:, j : j + 1], outcome_transform=Standardize(m=1)) for j in (0, 1)))
            fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
            acquisition = qLogNoisyExpectedHypervolumeImprovement(
                model,
                (-REFERENCE).tolist(),
                Z,
                sampler=SobolQMCNormalSampler(torch.Size([128]), seed=step),
                prune_baseline=True,
            )
            rest = grid[[not (X == x).all(axis=1).any() for x in grid]]
            choices = torch.tensor(rest / (SIDE - 1), dtype=torch.double)
            new = optimize_acqf_discrete(acquisition, q=BATCH, choices=choices, max_batch_size=256)[0]
        X = np.vstack([X, np.rint(new.numpy() * (SIDE - 1)).astype(np.int64)])
        found.append(volume(values(X)))
    return found


def main(batches):
    """Print both and what the whole grid has."""
    print(f"whole grid: {volume(values(Grid().enumerate())):.3f}")
    for name, loop in (("ours", ours), ("BoTorch's loop", theirs)):
        print(name, " ".join(f"{v:.3f}" for v in loop(batches)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))

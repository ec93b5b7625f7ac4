"""BoTorch's multi-objective Bayesian optimisation (Balandat et al., NeurIPS 2020). Needs the extra ``botorch``.

One Gaussian process (BoTorch's `SingleTaskGP` with its default priors, a length for each column of the encoding) for
each costly objective; a free objective is a model that knows it exactly. ``botorch-ehvi`` evaluates the architecture
with the largest exact expected hypervolume improvement (Yang et al. 2019), ``botorch-qnehvi`` batches of ten by the
logarithm of the noisy one (Daulton et al., NeurIPS 2021; Ament et al., NeurIPS 2023), 128 quasi-random samples of the
posterior. With one objective both take the expected improvement of that. The reference point is BoTorch's
`infer_reference_point`: a tenth of the front's range beyond its nadir point.

What makes the acquisition largest is looked for among architectures, not by gradients: all of a space of at most
`candidates` architectures that were not evaluated, else as many random ones and the single-gene changes of the
evaluated front; then ``botorch-ehvi`` follows single-gene changes of the best ones while they gain.

Differs from BoTorch's tutorials:

* the initial design is the start of the seed's shared stream, 20 architectures instead of ``2 (d + 1)`` Sobol points;
* inputs are the space's encoding; objectives are normalised by ideal and nadir point of the evaluated front;
* a batch of more than one under ``botorch-ehvi`` is chosen one after the other, each at its mean for the next;
* qLogNEHVI is computed by PyTorch alone: BoTorch 0.18 compiles a kernel for the processor at hand when the first one is
  made, which takes minutes, fails without a compiler, and changes last digits from machine to machine.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.bench.program import install
from smemnas.methods.base import METHODS, Archive, Method, initial_design, require_positive
from smemnas.methods.botorch_models import exactly, fitted_process, one_by_one
from smemnas.methods.neighbourhood import neighbours, random_unseen
from smemnas.methods.selection import box, pareto_ranks
from smemnas.methods.variation import unique_rows
from smemnas.spaces.base import FloatArray, IntArray, Problem
from smemnas.surrogates.base import single_thread
from smemnas.surrogates.settled import significant

#: Candidates whose acquisition is computed at once, the best ones whose neighbours are tried, and how often.
BLOCK, TOP, ROUNDS = 512, 5, 10


class BoTorchMethod(Method):
    """The common loop; subclasses write `_pick`."""

    needs = "botorch"
    uses_free_costs = True

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int,
        batch: int,
        encoding: str | None,
        candidates: int,
    ) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(initial=initial, batch=batch, candidates=candidates)
        if not problem.costly:
            raise UserError("all objectives are free: a model needs one that is not free, for example 'error'.")
        problem.space.encoding_parts(encoding)
        require_botorch()
        self.initial = min(initial, budget)
        self.batch = batch
        self.encoding = encoding
        self.candidates = candidates
        self._archive = Archive(problem)

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Add evaluated architectures to the archive."""
        self._archive.add(X, F)

    def ask(self) -> IntArray:
        """Return the initial design, then `batch` architectures by the acquisition."""
        space = self.problem.space
        if len(self._archive) < self.initial:
            design = initial_design(self.problem, self.initial, self.seed)
            new = design[self._archive.unseen(design)]
            if len(new):
                return new
        X, F = self._archive.finite()
        picked = np.empty((0, space.n_var), np.int64)
        if len(X) >= 2:
            pool = self._pool(X[pareto_ranks(F) == 0])
            if len(pool):
                with quiet_torch(int(self.rng.integers(2**31))):
                    picked = self._pick(Believed(self.problem, self.encoding, X, F), pool)
        seen = self._archive.seen | {x.tobytes() for x in picked}
        return np.vstack([picked, random_unseen(space, self.batch - len(picked), seen, self.rng)])

    def _pick(self, model: Believed, pool: IntArray) -> IntArray:
        """Return up to `batch` new architectures, given the model and new candidates ``(m, n_var)``."""
        raise UserError("a BoTorch method says which acquisition it uses: override _pick.")

    def _pool(self, front: IntArray) -> IntArray:
        """Return candidates ``(m, n_var)`` that are not evaluated."""
        space = self.problem.space
        if space.is_enumerable and space.size <= self.candidates:
            return self._new(space.enumerate())
        drawn = random_unseen(space, self.candidates, self._archive.seen, self.rng)
        return self._new(np.vstack([drawn, *(neighbours(space, x) for x in front)]))

    def _new(self, X: IntArray) -> IntArray:
        """Return the distinct rows ``(m, n_var)`` that are not evaluated."""
        X = np.ascontiguousarray(self.problem.space.normalise(X), dtype=np.int64)
        X = X[unique_rows(X)] if len(X) else X
        new: IntArray = X[self._archive.unseen(X)]
        return new


@METHODS.register("botorch-ehvi", summary="BoTorch: Gaussian processes, exact EHVI, free costs known (extra: botorch)")
class BoTorchEHVI(BoTorchMethod):
    """Exact expected hypervolume improvement.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Random architectures first.
        batch: Architectures per fitted models.
        encoding: Input of the processes; None takes the space's default.
        candidates: Largest space that is enumerated; of larger ones, random candidates.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int = 20,
        batch: int = 1,
        encoding: str | None = None,
        candidates: int = 20_000,
    ) -> None:
        super().__init__(
            problem, budget=budget, seed=seed, initial=initial, batch=batch, encoding=encoding, candidates=candidates
        )

    def _pick(self, model: Believed, pool: IntArray) -> IntArray:
        picked: list[IntArray] = []
        for _ in range(min(self.batch, len(pool))):
            gain = model.improvement(np.array(picked, dtype=np.int64).reshape(-1, pool.shape[1]))
            taken = {x.tobytes() for x in picked}
            rest = pool[[x.tobytes() not in taken for x in pool]]
            picked.append(self._climb(gain, rest, taken))
        return np.array(picked, dtype=np.int64)

    def _climb(self, gain: Callable[[IntArray], FloatArray], pool: IntArray, taken: set[bytes]) -> IntArray:
        """Return the candidate of the largest gain, after single-gene changes of the best where more may gain."""
        value = gain(pool)
        order = np.argsort(-value, kind="stable")[:TOP]
        best, most = pool[order], value[order]
        space = self.problem.space
        for _ in range(0 if space.is_enumerable and space.size <= self.candidates else ROUNDS):
            around = self._new(np.vstack([neighbours(space, x) for x in best]))
            around = around[[x.tobytes() not in taken for x in around]] if len(around) else around
            if len(around) == 0:
                break
            X, value = np.vstack([best, around]), np.concatenate([most, gain(around)])
            order = np.argsort(-value, kind="stable")[:TOP]
            if not value[order[0]] > most[0]:
                break
            best, most = X[order], value[order]
        first: IntArray = best[0]
        return first


@METHODS.register("botorch-qnehvi", summary="BoTorch: Gaussian processes, qLogNEHVI, batches of 10 (extra: botorch)")
class BoTorchQNEHVI(BoTorchMethod):
    """Noisy expected hypervolume improvement of batches, by its logarithm.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Random architectures first.
        batch: Architectures per fitted models (q).
        encoding: Input of the processes; None takes the space's default.
        candidates: Largest space that is enumerated; of larger ones, random candidates.
        samples: Samples of the posterior.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int = 20,
        batch: int = 10,
        encoding: str | None = None,
        candidates: int = 1000,
        samples: int = 128,
    ) -> None:
        super().__init__(
            problem, budget=budget, seed=seed, initial=initial, batch=batch, encoding=encoding, candidates=candidates
        )
        require_positive(samples=samples)
        self.samples = samples

    def _pick(self, model: Believed, pool: IntArray) -> IntArray:
        from botorch.optim import optimize_acqf_discrete

        acquisition = model.noisy_improvement(self.samples, int(self.rng.integers(2**31)))
        choices = model.inputs(pool)
        found, _ = optimize_acqf_discrete(
            acquisition, q=min(self.batch, len(pool)), choices=choices, max_batch_size=256
        )
        rows = [int((choices == z).all(dim=1).nonzero()[0, 0]) for z in found]
        picked: IntArray = pool[np.unique(rows)]
        return picked


class Believed:
    """Models of all objectives in BoTorch's terms: to be maximised, normalised by the evaluated front.

    The inputs are an encoding and, behind it, the normalised free objectives, which their models read off.

    Args:
        problem: Space and objectives.
        encoding: Encoding of the space.
        X: Evaluated genotypes ``(n, n_var)``.
        F: Their objectives ``(n, n_obj)``.
    """

    def __init__(self, problem: Problem, encoding: str | None, X: IntArray, F: FloatArray) -> None:
        import torch
        from botorch.models import ModelList

        self._problem = problem
        self._encoding = encoding
        self._low, self._span = box(F)
        self._known = self.inputs(X)
        self.Y = torch.tensor(-(F - self._low) / self._span)
        columns = self._known.shape[1] - len(problem.cheap)
        models = []
        for j in range(problem.n_obj):
            if j in problem.cheap:
                models.append(exactly(columns + problem.cheap.index(j)))
            else:
                models.append(fitted_process(self._known, self.Y[:, j : j + 1], columns))
        self.model = models[0] if len(models) == 1 else ModelList(*models)

    def inputs(self, X: IntArray) -> Any:
        """Return the inputs ``(n, d)`` of genotypes ``(n, n_var)``, a double tensor."""
        import torch

        free = list(self._problem.cheap)
        costs = (self._problem.cheap_values(X) - self._low[free]) / self._span[free]
        return torch.tensor(np.hstack([self._problem.space.encode(X, self._encoding), costs]), dtype=torch.double)

    def improvement(self, pending: IntArray) -> Callable[[IntArray], FloatArray]:
        """Return the exact expected improvement of genotypes, taking pending ones ``(p, n_var)`` at their means."""
        import torch
        from botorch.acquisition.analytic import LogExpectedImprovement
        from botorch.acquisition.multi_objective import ExpectedHypervolumeImprovement
        from botorch.utils.multi_objective.box_decompositions import FastNondominatedPartitioning

        model, Y = one_by_one(self.model), self.Y
        if len(pending):
            with torch.no_grad():
                Y = torch.cat([Y, self.model.posterior(self.inputs(pending)).mean])
        if self._problem.n_obj == 1:
            acquisition: Any = LogExpectedImprovement(model, best_f=Y.max())
        else:
            reference = self._reference()
            boxes = FastNondominatedPartitioning(ref_point=reference, Y=Y)
            acquisition = ExpectedHypervolumeImprovement(model, ref_point=reference.tolist(), partitioning=boxes)

        def gain(X: IntArray) -> FloatArray:
            Z = self.inputs(X)
            with torch.no_grad():
                parts = [acquisition(Z[i : i + BLOCK].unsqueeze(1)).numpy() for i in range(0, len(Z), BLOCK)]
            return significant(np.concatenate(parts), 6)

        return gain

    def noisy_improvement(self, samples: int, seed: int) -> Any:
        """Return BoTorch's qLogNEHVI, or with one objective qLogNEI."""
        import torch
        from botorch.acquisition.logei import qLogNoisyExpectedImprovement
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.sampling import SobolQMCNormalSampler
        from botorch.sampling.index_sampler import IndexSampler
        from botorch.sampling.list_sampler import ListSampler

        shape = torch.Size([samples])
        if self._problem.n_obj == 1:
            sampler: Any = SobolQMCNormalSampler(shape, seed=seed)
            return qLogNoisyExpectedImprovement(self.model, self._known, sampler=sampler, prune_baseline=True)
        sampler = ListSampler(
            *(
                IndexSampler(shape, seed=seed)
                if j in self._problem.cheap
                else SobolQMCNormalSampler(shape, seed=seed + j)
                for j in range(self._problem.n_obj)
            )
        )
        return qLogNoisyExpectedHypervolumeImprovement(
            self.model, self._reference().tolist(), self._known, sampler=sampler, prune_baseline=True, cache_root=False
        )

    def _reference(self) -> Any:
        from botorch.utils.multi_objective.hypervolume import infer_reference_point
        from botorch.utils.multi_objective.pareto import is_non_dominated

        return infer_reference_point(self.Y[is_non_dominated(self.Y)])


@contextmanager
def quiet_torch(seed: int) -> Iterator[None]:
    """Give PyTorch one thread and a seed of its own, and leave its state as it was; hush its libraries' warnings."""
    import torch

    with single_thread(), torch.random.fork_rng(devices=[]), warnings.catch_warnings(), without_kernel():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        yield


@contextmanager
def without_kernel() -> Iterator[None]:
    """Keep BoTorch from compiling its kernel of qLogEHVI and from using one that it has; older ones have none."""
    from botorch.acquisition.multi_objective import logei

    before = {name: getattr(logei, name) for name in ("_C", "_load_attempted") if hasattr(logei, name)}
    for name, value in {"_C": None, "_load_attempted": True}.items():
        if name in before:
            setattr(logei, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(logei, name, value)


def require_botorch() -> None:
    """Check that BoTorch is installed, without the seconds that importing it takes.

    Raises:
        UserError: It is not.
    """
    if importlib.util.find_spec("botorch") is None:
        raise UserError(f"BoTorch's methods need the extra 'botorch': {install('botorch')}.")

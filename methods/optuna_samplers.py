"""Optuna's samplers (Akiba et al., KDD 2019) by ask and tell: TPE, NSGA-II and a Gaussian process.

Needs the extra ``optuna``; the Gaussian process also PyTorch (extra ``botorch`` or ``train``).

TPE: Bergstra et al., NeurIPS 2011; with several objectives Ozaki et al., GECCO 2020. NSGA-II: Deb et al., IEEE TEVC
2002. Both with Optuna's own defaults: TPE starts from 10 random architectures and weighs 24 candidates per step;
NSGA-II has population 50 (``optuna-nsga2/small``: 10, so that 100 evaluations are ten generations, not two). The
Gaussian process (`optuna-gp`) has one Matern 5/2 kernel with a length for each gene and an objective each, and with
several objectives takes the largest expected log hypervolume improvement.

Differs from the papers and from Optuna's own loop:

* TPE models all genes together also with several objectives, where Optuna 5 by default models them one by one, which
  was worse and much slower on development seeds (`multivariate`);
* genes are categories (or integers: `genes`), and the first architectures are the seed's shared initial design;
* draws that are no architectures are told to Optuna as failed trials, at no cost, and the next trial drawn;
* a failed evaluation is a failed trial: Optuna leaves it out;
* free objectives are told like the others, they are not exploited;
* an architecture drawn again is told its known value at once and the next trial drawn, at no cost; after 25 draws
  without a new architecture a random one is taken.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.bench.program import install
from smemnas.methods.base import METHOD_STREAM, METHODS, Method, initial_design, require_choice, require_positive
from smemnas.methods.neighbourhood import random_unseen, unseen
from smemnas.spaces.base import FloatArray, IntArray, Problem
from smemnas.surrogates.base import single_thread

#: Draws of a sampler without a new valid architecture before a random one is taken.
ATTEMPTS = 25


class OptunaMethod(Method):
    """One trial per ask, after the initial design. Subclasses say which sampler."""

    needs = "optuna"

    def __init__(self, problem: Problem, *, budget: int, seed: int, initial: int, genes: str) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(initial=initial)
        require_choice("genes", genes, ("choice", "integer"))
        optuna = import_optuna()
        self.initial = min(initial, budget)
        distributions = optuna.distributions
        self._distributions = {
            f"g{j}": distributions.CategoricalDistribution(tuple(range(n)))
            if genes == "choice"
            else distributions.IntDistribution(0, n - 1)
            for j, n in enumerate(problem.space.n_choices)
        }
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self._study = optuna.create_study(
                directions=["minimize"] * problem.n_obj,
                sampler=self._sampler(optuna, int(np.random.default_rng([METHOD_STREAM, seed]).integers(2**31))),
            )
        finally:
            optuna.logging.set_verbosity(verbosity)
        self._open: dict[bytes, list[Any]] = {}
        self._told: dict[bytes, FloatArray] = {}

    def _sampler(self, optuna: Any, seed: int) -> Any:
        """Return the sampler."""
        raise UserError("an Optuna method says which sampler it uses: override _sampler.")

    def ask(self) -> IntArray:
        """Return the initial design, then one architecture at a time; nothing when the space is exhausted."""
        space = self.problem.space
        if len(self._told) < self.initial:
            design = initial_design(self.problem, self.initial, self.seed)
            new = design[unseen(design, self._told)]
            if len(new):
                for x in new:
                    self._enqueue(x)
                return new
        if len(self._told) >= space.size:
            return np.empty((0, space.n_var), np.int64)
        for _ in range(ATTEMPTS):
            trial = self._study.ask(self._distributions)
            x = np.array([[trial.params[f"g{j}"] for j in range(space.n_var)]], dtype=np.int64)
            key = x[0].tobytes()
            if not space.is_valid(x)[0]:
                self._finish(trial, np.array([np.inf]))
            elif key in self._told:
                self._finish(trial, self._told[key])
            else:
                self._open.setdefault(key, []).append(trial)
                return x
        new = random_unseen(space, 1, self._told, self.rng)
        for x in new:
            self._enqueue(x)
        return new

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Finish the trials that were asked for; rows that were not become finished trials."""
        optuna = import_optuna()
        for x, f in zip(np.array(X, dtype=np.int64), np.array(F, dtype=np.float64), strict=True):
            key = x.tobytes()
            self._told[key] = f
            trials = self._open.get(key)
            if trials:
                self._finish(trials.pop(0), f)
            elif np.isfinite(f).all():
                self._add(x, f)
        for trials in self._open.values():  # another row was evaluated in their place: Optuna would wait for them
            for trial in trials:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        self._open = {}

    def _add(self, x: IntArray, f: FloatArray) -> None:
        """Give Optuna an evaluation ``(n_var,)``, ``(n_obj,)`` that it did not ask for."""
        params = {f"g{j}": int(v) for j, v in enumerate(x)}
        self._study.add_trial(
            import_optuna().trial.create_trial(params=params, distributions=self._distributions, values=f.tolist())
        )

    def _enqueue(self, x: IntArray) -> None:
        """Make a genotype ``(n_var,)`` the next trial, and open it."""
        self._study.enqueue_trial({f"g{j}": int(v) for j, v in enumerate(x)})
        self._open.setdefault(x.tobytes(), []).append(self._study.ask(self._distributions))

    def _finish(self, trial: Any, f: FloatArray) -> None:
        """Tell Optuna the objectives ``(n_obj,)`` of a trial, or that it failed."""
        if np.isfinite(f).all():
            self._study.tell(trial, f.tolist())
        else:
            self._study.tell(trial, state=import_optuna().trial.TrialState.FAIL)


@METHODS.register("optuna-tpe", summary="Optuna's TPE sampler (extra: optuna)")
class OptunaTPE(OptunaMethod):
    """Tree-structured Parzen estimator.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Random architectures first.
        candidates: Candidates drawn, of which the best by expected improvement is taken.
        multivariate: Model the genes together instead of one by one.
        genes: "choice" (categories) or "integer" (numbers).
    """

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int = 10,
        candidates: int = 24,
        multivariate: bool = True,
        genes: str = "choice",
    ) -> None:
        require_positive(candidates=candidates)
        self.candidates = candidates
        self.multivariate = bool(multivariate)
        super().__init__(problem, budget=budget, seed=seed, initial=initial, genes=genes)

    def _sampler(self, optuna: Any, seed: int) -> Any:
        return optuna.samplers.TPESampler(
            n_startup_trials=self.initial, n_ei_candidates=self.candidates, multivariate=self.multivariate, seed=seed
        )


@METHODS.register("optuna-nsga2", summary="Optuna's NSGA-II sampler (extra: optuna)")
class OptunaNSGA2(OptunaMethod):
    """Optuna's NSGA-II.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        population: Population size, and size of the initial design.
        genes: "choice" (categories) or "integer" (numbers).
    """

    def __init__(
        self, problem: Problem, *, budget: int, seed: int, population: int = 50, genes: str = "choice"
    ) -> None:
        require_positive(population=population)
        self.population = max(population, 2)
        super().__init__(problem, budget=budget, seed=seed, initial=population, genes=genes)

    def _sampler(self, optuna: Any, seed: int) -> Any:
        return optuna.samplers.NSGAIISampler(population_size=self.population, seed=seed)

    def _enqueue(self, x: IntArray) -> None:
        """Make a genotype ``(n_var,)`` the next trial, and open it as one of the present generation.

        Optuna writes a trial's generation down when its relative parameters are read, which nobody does where all
        parameters are given. Without one the initial design, and what it did not ask for, would never be parents.
        """
        super()._enqueue(x)
        _ = self._open[x.tobytes()][-1].relative_params

    def _add(self, x: IntArray, f: FloatArray) -> None:
        """Give Optuna an evaluation that it did not ask for as one of the present generation."""
        self._enqueue(x)
        self._finish(self._open[x.tobytes()].pop(), f)


METHODS.preset("optuna-nsga2/small", "optuna-nsga2", "Optuna's NSGA-II, population 10 (extra: optuna)", population=10)


@METHODS.register("optuna-gp", summary="Optuna's Gaussian process sampler (extras: optuna, botorch)")
class OptunaGP(OptunaMethod):
    """Optuna's Gaussian process, expected (hypervolume) improvement.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Random architectures first.
        genes: "choice" (categories) or "integer" (numbers).
    """

    needs = "torch"  # and Optuna, which has a message of its own

    def __init__(self, problem: Problem, *, budget: int, seed: int, initial: int = 10, genes: str = "choice") -> None:
        import_optuna()
        try:
            import torch  # noqa: F401
        except ImportError as error:
            raise UserError(f"Optuna's Gaussian process needs the extra 'botorch': {install('botorch')}.") from error
        super().__init__(problem, budget=budget, seed=seed, initial=initial, genes=genes)

    def ask(self) -> IntArray:
        """Return the initial design, then one architecture at a time; nothing when the space is exhausted."""
        with single_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its optimiser's
            return super().ask()

    def _sampler(self, optuna: Any, seed: int) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.GPSampler(
                n_startup_trials=self.initial, deterministic_objective=True, warn_independent_sampling=False, seed=seed
            )


def import_optuna() -> Any:
    """Return the module.

    Raises:
        UserError: It is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(f"Optuna's samplers need the extra 'optuna': {install('optuna')}.") from error
    return optuna

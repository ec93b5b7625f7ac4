"""SMAC's random-forest search (Lindauer et al., JMLR 2022) by ask and tell. Needs the extra ``smac``.

SMAC's facade for hyperparameters with its own defaults: a forest of ten trees on logarithms of the objective, the
logarithm of expected improvement, its maximum looked for by local search and among 10,000 random configurations, the
forest trained anew after every eight evaluations, a random configuration now and then. Several objectives are one by
SMAC's ParEGO (Knowles, IEEE TEC 2006), with new weights for each forest.

Differs from SMAC's own loop:

* the first architectures are the seed's shared initial design, not Sobol points;
* free objectives are told like the others, they are not exploited;
* draws that are no architectures, and failed evaluations, are told as crashed trials of the worst values so far (the
  default, infinity, is nothing that its forest can learn from), the former at no cost;
* an architecture drawn again under other genes is told its known value at once and the next trial drawn, at no cost;
  after 25 draws without a new architecture a random one is taken;
* where local searches begin is put into an order: SMAC takes that of a Python set, another one in each process.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.bench.program import install
from smemnas.methods.base import METHOD_STREAM, METHODS, Method, initial_design, require_choice, require_positive
from smemnas.methods.neighbourhood import random_unseen, unseen
from smemnas.spaces.base import FloatArray, IntArray, Problem
from smemnas.surrogates.base import single_thread

#: Draws without a new valid architecture before a random one is taken.
ATTEMPTS = 25


@METHODS.register("smac", summary="SMAC: a random forest and ParEGO's weights (extra: smac)")
class SMAC(Method):
    """One trial per ask, after the initial design.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Random architectures first.
        retrain: Evaluations per forest.
        candidates: Random configurations among which the acquisition's maximum is looked for.
        genes: "choice" (categories) or "integer" (numbers).
    """

    needs = "smac"

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int = 20,
        retrain: int = 8,
        candidates: int = 10_000,
        genes: str = "choice",
    ) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_positive(initial=initial, retrain=retrain, candidates=candidates)
        require_choice("genes", genes, ("choice", "integer"))
        self.initial = min(initial, budget)
        self._seed = int(np.random.default_rng([METHOD_STREAM, seed]).integers(2**31))
        self._names = [f"g{j}" for j in range(problem.space.n_var)]
        self._configurations = configurations(self._names, problem.space.n_choices, genes, self._seed)
        self._told: dict[bytes, FloatArray] = {}
        self._open: dict[bytes, Any] = {}
        with quiet_smac():
            self._smac = self._facade(retrain, candidates)

    def _facade(self, retrain: int, candidates: int) -> Any:
        """Return SMAC's optimiser, which keeps nothing on the disk."""
        from smac import HyperparameterOptimizationFacade as Facade
        from smac import Scenario
        from smac.multi_objective.parego import ParEGO

        several = self.problem.n_obj > 1
        with tempfile.TemporaryDirectory() as folder:
            scenario = Scenario(
                self._configurations,
                objectives=[o.name for o in self.problem.objectives] if several else self.problem.objectives[0].name,
                deterministic=True,
                n_trials=2**31,  # the run counts its evaluations itself
                seed=self._seed,
                output_directory=folder,
            )
            return Facade(
                scenario,
                _not_called,
                acquisition_maximizer=ordered_maximizer(scenario, candidates),
                initial_design=Facade.get_initial_design(scenario, n_configs=0),
                config_selector=Facade.get_config_selector(scenario, retrain_after=retrain),
                multi_objective_algorithm=ParEGO(scenario) if several else None,
                logging_level=False,
                overwrite=True,
            )

    def ask(self) -> IntArray:
        """Return the initial design, then one architecture at a time; nothing when the space is exhausted."""
        space = self.problem.space
        if len(self._told) < self.initial:
            design = initial_design(self.problem, self.initial, self.seed)
            new = design[unseen(design, self._told)]
            if len(new):
                return new
        if len(self._told) >= space.size:
            return np.empty((0, space.n_var), np.int64)
        with quiet_smac():
            for _ in range(ATTEMPTS):
                trial = self._drawn()
                if trial is None:
                    break
                drawn = np.array([[trial.config[name] for name in self._names]], dtype=np.int64)
                if not space.is_valid(drawn)[0]:
                    self._finish(trial, np.full(self.problem.n_obj, np.inf))
                    continue
                x = np.ascontiguousarray(space.normalise(drawn))
                if x[0].tobytes() in self._told:
                    self._finish(trial, self._told[x[0].tobytes()])
                    continue
                self._open[x[0].tobytes()] = trial
                return x
        return random_unseen(space, 1, self._told, self.rng)

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Finish the trials that were asked for; rows that were not become finished trials."""
        with quiet_smac():
            for x, f in zip(np.array(X, dtype=np.int64), np.array(F, dtype=np.float64), strict=True):
                known = x.tobytes() in self._told
                self._told[x.tobytes()] = f
                trial = self._open.pop(x.tobytes(), None)
                if trial is not None or not known:
                    self._finish(self._trial(x) if trial is None else trial, f)

    def _drawn(self) -> Any:
        """Return SMAC's next trial; None where it finds no new configuration."""
        from smac.main.exceptions import ConfigurationSpaceExhaustedException

        try:
            return self._smac.ask()
        except (ConfigurationSpaceExhaustedException, StopIteration):
            return None

    def _trial(self, x: IntArray) -> Any:
        """Return a trial of a genotype ``(n_var,)`` that SMAC did not propose."""
        from ConfigSpace import Configuration
        from smac.runhistory.dataclasses import TrialInfo

        values = dict(zip(self._names, map(int, x), strict=True))
        return TrialInfo(config=Configuration(self._configurations, values=values), seed=0)

    def _finish(self, trial: Any, f: FloatArray) -> None:
        """Tell SMAC the objectives ``(n_obj,)`` of a trial, or that it crashed."""
        from smac.runhistory.dataclasses import TrialValue
        from smac.runhistory.enumerations import StatusType

        status = StatusType.SUCCESS if np.isfinite(f).all() else StatusType.CRASHED
        if status is StatusType.CRASHED:
            finite = [told for told in self._told.values() if np.isfinite(told).all()]
            f = np.max(finite, axis=0) if finite else np.ones(self.problem.n_obj)
        cost = f.tolist() if len(f) > 1 else float(f[0])
        self._smac.tell(trial, TrialValue(cost=cost, status=status), save=False)


def configurations(names: list[str], n_choices: tuple[int, ...], genes: str, seed: int) -> Any:
    """Return ConfigSpace's form of genes with so many choices each.

    Raises:
        UserError: SMAC is not installed.
    """
    try:
        import smac  # noqa: F401
        from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, Constant, UniformIntegerHyperparameter
    except ImportError as error:
        raise UserError(f"SMAC needs the extra 'smac': {install('smac')}.") from error
    space = ConfigurationSpace(seed=seed)
    for name, n in zip(names, n_choices, strict=True):
        if n == 1:
            space.add(Constant(name, 0))
        elif genes == "choice":
            space.add(CategoricalHyperparameter(name, list(range(n))))
        else:
            space.add(UniformIntegerHyperparameter(name, 0, n - 1))
    return space


def ordered_maximizer(scenario: Any, candidates: int) -> Any:
    """Return SMAC's default maximiser of the acquisition with its local searches in an order by their genes."""
    from smac import HyperparameterOptimizationFacade as Facade

    maximizer = Facade.get_acquisition_maximizer(scenario, challengers=candidates)
    search = maximizer._local_search
    chosen = search._get_init_points_from_previous_configs

    def in_order(*args: Any) -> list[Any]:
        return sorted(chosen(*args), key=lambda c: tuple(c.get_array()))

    search._get_init_points_from_previous_configs = in_order
    return maximizer


@contextmanager
def quiet_smac() -> Iterator[None]:
    """Give SMAC one thread, and keep its warnings off the terminal.

    Its forest answers by a thread for each processor, made anew for every question: as slow again as the answer.
    """
    import joblib

    logger = logging.getLogger("smac")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with single_thread(), joblib.parallel_config(backend="sequential"):
            yield
    finally:
        logger.setLevel(before)


def _not_called(config: Any, seed: int = 0) -> float:
    raise UserError("SMAC is asked and told here: it evaluates nothing itself.")

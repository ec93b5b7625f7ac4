"""Every check of bench.checks over everything that is registered."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import ORIGINALS

from smemnas.bench import checks
from smemnas.bench.checks import Check, NothingToCheck, check_name, checks_of, entries, problem_of
from smemnas.bench.checks import methods as method_checks
from smemnas.bench.checks import spaces as space_checks
from smemnas.bench.checks import surrogates as surrogate_checks
from smemnas.bench.checks.common import CheckFailed
from smemnas.bench.data.recipe import fetch, recipes
from smemnas.bench.errors import UserError
from smemnas.methods.base import Method, Recommendation
from smemnas.spaces.toy import Toy
from smemnas.surrogates.base import SURROGATES, Surrogate, check_training_data

ALL = [check for kind, name in entries() for check in checks_of(kind, name)]


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("contracts")


@pytest.fixture
def installed(data_folder, monkeypatch):
    """Return a function that installs a table from the original files, where those are at hand."""

    def install(name):
        """Point SMEMNAS_DATA at a folder of the tests' own with the table; skip where its files are not there."""
        for recipe in recipes():
            folder = ORIGINALS / recipe.table.partition("/")[0]
            if recipe.table == name and all((folder / s.file).exists() for s in recipe.sources):
                monkeypatch.setenv("SMEMNAS_DATA", str(data_folder))
                fetch(recipe.name, folder)
                return
        pytest.skip(f"not installed: python cli.py data fetch for {name} would un-skip it")

    return install


HOLDS = "were it to hold, this fails until the entry is removed from bench.checks.EXCEPTIONS"


def marks(check):
    """Return the marks of a check: whether it is known to fail, and whether it takes long."""
    known = pytest.mark.xfail(reason=f"{check.exception}; {HOLDS}", strict=True, raises=CheckFailed)
    return [known] * bool(check.exception) + [pytest.mark.long] * (check.entry == "surrogate cart")


@pytest.mark.parametrize(
    "check", [pytest.param(c, id=f"{c.entry}-{c.name}".replace(" ", "-"), marks=marks(c)) for c in ALL]
)
def test_contract(check, installed):
    try:
        check.run()
    except NothingToCheck as error:
        if not check.entry.startswith("benchmark"):
            pytest.skip(str(error))
        installed(check.entry.removeprefix("benchmark "))
        check.run()


@pytest.mark.parametrize("check", surrogate_checks.CHECKS)
def test_contract_of_cart_with_fewer_trees(check):
    """The small form: a thousand trees, as it is registered with, are for `make test-long`."""
    check(lambda seed: SURROGATES.create("cart", seed=seed, params={"n_trees": 40}))


def test_every_exception_names_a_check_that_exists():
    assert set(checks.EXCEPTIONS) <= {(c.entry, c.name) for c in ALL}


def test_check_name_runs_everything_of_that_name():
    results = list(check_name("random"))
    kinds = {label.split(":")[0] for label, _ in results}
    assert kinds == {"method random", "surrogate random"}
    assert all(problem is None for _, problem in results)
    assert sum("known exception" in label for label, _ in results) == 2


def test_check_name_knows_near_misses():
    with pytest.raises(UserError, match="Did you mean 'smemnas'"):
        list(check_name("smemnsa"))


def test_check_name_reports_what_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", str(tmp_path))
    ((label, problem),) = check_name("nb101/cifar10")
    assert label == "benchmark nb101/cifar10: installed"
    assert "not installed" in problem


# ---- the checks catch what they are for: each of these breaks one rule ----


def failing(functions, subject):
    found = set()
    for function in functions:
        try:
            function(subject)
        except Exception:
            found.add(function.__name__)
    return found


class GoodOrder(Surrogate):
    """A least-squares line: keeps the contract."""

    def __init__(self, *, seed=0):
        self.seed = seed

    def fit(self, Z, y):
        Z, y = check_training_data(Z, y)
        self.mean, self.w = y.mean(), np.linalg.lstsq(Z - Z.mean(0), y - y.mean(), rcond=None)[0]
        return self

    def rank(self, Z):
        return Z @ self.w


class Upside(GoodOrder):
    def rank(self, Z):
        return -super().rank(Z)


class Careless(GoodOrder):
    def fit(self, Z, y):
        self.w = np.linalg.lstsq(np.nan_to_num(Z), np.nan_to_num(y.ravel()[: len(Z)]), rcond=None)[0]
        return self


class Keeps(GoodOrder):
    def fit(self, Z, y):
        super().fit(Z, y)
        self.count = getattr(self, "count", 0) + 1
        return self

    def rank(self, Z):
        return super().rank(Z) * self.count


class GlobalNoise(GoodOrder):
    def rank(self, Z):
        return super().rank(Z) + np.random.rand(len(Z)) * 1e-9  # noqa: NPY002


class Leaves(GoodOrder):
    """Ends the program, which would look like success."""

    def fit(self, Z, y):
        raise SystemExit(0)


class Scribbles(GoodOrder):
    def fit(self, Z, y):
        y -= y.mean()
        return super().fit(Z, y)


def test_a_good_surrogate_passes():
    assert failing(surrogate_checks.CHECKS, lambda seed: GoodOrder(seed=seed)) == set()


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (Upside, {"check_smaller_is_better", "check_learns"}),
        (Careless, {"check_bad_data_refused"}),
        (Keeps, {"check_fit_forgets"}),
        (GlobalNoise, {"check_deterministic"}),
        (Scribbles, {"check_inputs_kept"}),
    ],
)
def test_broken_surrogates_are_caught(broken, caught):
    assert caught <= failing(surrogate_checks.CHECKS, lambda seed: broken(seed=seed))


def test_a_surrogate_that_exits_fails_every_check():
    for function in surrogate_checks.CHECKS:
        found = problem_of(
            Check("surrogate leaves", function.__name__, lambda f=function: f(lambda seed: Leaves(seed=seed)), "")
        )
        assert "SystemExit: 0" in (found or "")


class GlobalSample(Toy):
    def sample(self, n, rng):
        return np.random.randint(0, 5, (n, 5))  # noqa: NPY002


class NotRowWise(Toy):
    def _encode(self, X, part):
        return X / max(X.max(initial=0), 1)


class Lossy(Toy):
    def to_str(self, x):
        return super().to_str(np.sort(x))


class NegativeCost(Toy):
    def cost(self, X, name):
        return super().cost(X, name) - 10.0


class Accepts(Toy):
    def is_valid(self, X):
        return np.ones(len(X), dtype=bool)


class Anything(Toy):
    def from_str(self, arch):
        return super().from_str(arch) if arch.count("-") == 4 else np.zeros(5, dtype=np.int64)


class Backwards(Toy):
    @property
    def forms(self):
        own = super().forms
        return (*own, replace(own[1], name="turned", write=lambda x, _: str(x[::-1].tolist())))


class PairSum(Toy):
    def canonical(self, X):
        return np.arange(len(X))


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (GlobalSample, "check_sample"),
        (NotRowWise, "check_encodings"),
        (Lossy, "check_names"),
        (NegativeCost, "check_costs"),
        (Accepts, "check_is_valid"),
        (Anything, "check_wrong_names"),
        (Backwards, "check_forms"),
        (PairSum, "check_canonical"),
    ],
)
def test_broken_spaces_are_caught(broken, caught):
    found = failing(space_checks.CHECKS, broken())
    assert caught in found


class Asks(Method):
    """Walks through a random order of the grid: keeps the contract but for the shared start."""

    shared_start = False

    def __init__(self, problem, *, budget, seed):
        super().__init__(problem, budget=budget, seed=seed)
        self.order = self.rng.permutation(problem.space.enumerate())
        self.order = self.order[problem.space.is_valid(self.order)]
        self.told = 0

    def ask(self):
        return self.order[self.told : self.told + 7]

    def tell(self, X, F):
        self.told += len(X)


class Ignores(Asks):
    def __init__(self, problem, *, budget, seed):
        super().__init__(problem, budget=budget, seed=5)
        self.rng = np.random.default_rng(5)


class Unshared(Asks):
    shared_start = True


class Deaf(Asks):
    """Says that it begins with what it is given, and does not."""

    takes_start = True


class Stumbles(Asks):
    def tell(self, X, F):
        super().tell(X, F)
        if not np.isfinite(F).all():
            raise ValueError("inf")


class Grid(Asks):
    def __init__(self, problem, *, budget, seed):
        super().__init__(problem, budget=budget, seed=seed)
        choices = problem.space.n_choices
        self.order = self.rng.permutation(np.stack(np.unravel_index(np.arange(problem.space.size), choices), axis=1))


class Stops(Asks):
    def ask(self):
        return super().ask()[: max(0, 20 - self.told)]


class Peeks(Asks):
    """Reads the true values of what it was told from the loop that calls it."""

    def __init__(self, problem, *, budget, seed):
        super().__init__(problem, budget=budget, seed=seed)
        self.flip = 0

    def ask(self):
        return super().ask()[:: (-1) ** self.flip]

    def tell(self, X, F):
        super().tell(X, F)
        loop = sys._getframe(1).f_locals
        if "benchmark" in loop:
            self.flip = int(loop["benchmark"].true_values(X)[:, 0].max() > 30)


class Recommends(Asks):
    """Recommends what it never evaluated."""

    def recommend(self):
        return Recommendation(self.order[-1:], np.ones((1, self.problem.n_obj)))


def test_a_good_method_passes():
    assert failing(method_checks.CHECKS, lambda p, b, s: Asks(p, budget=b, seed=s)) == set()


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (Ignores, "check_other_seed_other_asks"),
        (Unshared, "check_shared_start"),
        (Deaf, "check_start"),
        (Stumbles, "check_failed_rows"),
        (Stumbles, "check_everything_fails"),
        (Grid, "check_asks"),
        (Stops, "check_constant_objectives"),
        (Peeks, "check_true_values_unknown"),
        (Recommends, "check_true_values_unknown"),
    ],
)
def test_broken_methods_are_caught(broken, caught):
    assert caught in failing(method_checks.CHECKS, lambda p, b, s: broken(p, budget=b, seed=s))

"""Columns beside an encoding: standardised, seen by the surrogates of SMEM-NAS, off unless asked for."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from smemnas.bench.benchmarks.catalog import open_benchmark
from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS
from smemnas.methods.features import FEATURES, Features, standardised
from smemnas.methods.model import Model
from smemnas.surrogates.base import SURROGATES, Surrogate


class Oracle(Features):
    """Minus the error, on a scale of many powers of ten."""

    names = ("oracle",)

    def __init__(self, bench):
        self.bench = bench
        self.asked = []

    def values(self, X):
        self.asked.append(X)
        return np.exp(-3.0 * self.bench.evaluate(X, 0).F[:, :1])


@pytest.fixture
def bench():
    return open_benchmark("toy", objectives=("error",))


def test_what_measures_them_is_found_by_name():
    assert FEATURES.names() == ["proxies"]
    assert list(FEATURES.get("proxies").parameters()) == ["space", "names", "data"]


def test_a_column_that_knows_the_order_leads_the_surrogate_to_it(bench):
    rng = np.random.default_rng(0)
    X, unseen = bench.space.sample(10, rng), bench.space.sample(200, rng)
    F, truth = bench.evaluate(X, 0).F, bench.evaluate(unseen, 0).F[:, 0]
    width = bench.space.encode(X, "onehot").shape[1]
    taus = []
    for features in (None, Oracle(bench)):
        blocks = (width,) if features is None else (width, 1)
        surrogate = SURROGATES.create("kernel_pairwise", seed=0, params={"blocks": blocks})
        model = Model(bench.problem, [surrogate], ["onehot"], X, F, features)
        taus.append(kendalltau(model.predict(unseen)[:, 0], truth).statistic)
        assert model.outcomes(unseen).shape == (9, 200, 1)
    assert taus[1] > max(0.8, taus[0] + 0.2)


def test_the_surrogate_sees_encoding_and_columns_side_by_side_in_units_of_the_archive(bench):
    rng = np.random.default_rng(1)
    X, unseen = bench.space.sample(20, rng), bench.space.sample(30, rng)
    seen = []

    class Watched(Surrogate):
        def fit(self, Z, y):
            seen.append(Z)
            return self

        def rank(self, Z):
            seen.append(Z)
            return Z[:, 0]

    features = Oracle(bench)
    Model(bench.problem, [Watched()], ["int"], X, bench.evaluate(X, 0).F, features).predict(unseen)
    columns = standardised(features.values(unseen), features.values(X))
    assert (seen[-1] == np.hstack([bench.space.encode(unseen, "int"), columns])).all()
    assert seen[0].shape == (20, bench.space.encode(X, "int").shape[1] + 1)
    assert seen[0][:, -1].std() == pytest.approx(1.0, abs=0.2)


def test_a_search_takes_them_from_the_registry_and_tells_the_surrogate_their_block(bench, monkeypatch):
    made = []

    def create(name, /, *, space, params):
        made.append((name, space, params))
        return Oracle(bench)

    def run(**params):
        wish = {"population": 20, "initial": 8, **params}
        method = METHODS.create("smemnas", bench.problem, budget=40, seed=3, params=wish)
        found = []
        for _ in range(2):
            X = method.ask()
            method.tell(X, bench.evaluate(X, 3).F)
            found.append(bench.evaluate(X, 3).F[:, 0].mean())
        return method, found

    without = run()[1]
    assert made == []
    monkeypatch.setattr(FEATURES, "create", create)
    method, found = run(proxies="synflow", proxy_data="digits+batch=8")
    assert made == [("proxies", bench.space, {"names": "synflow", "data": "digits+batch=8"})]
    assert method._learners.surrogates[0].blocks[-1] == 1
    assert found[0] == without[0]
    assert found[1] < without[1] - 1.0


def test_proxies_of_what_cannot_be_built_are_refused(bench):
    with pytest.raises(UserError, match=r"that can be built|needs torch"):
        METHODS.create("smemnas", bench.problem, budget=20, seed=0, params={"proxies": "all"})

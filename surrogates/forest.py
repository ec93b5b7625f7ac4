"""Ensembles of regression trees: the random forest, and the CART ensemble of MSuNAS."""

from __future__ import annotations

from typing import Any

import numpy as np

from smemnas.surrogates.base import SURROGATES, FloatArray
from smemnas.surrogates.regression import Regressor, library_seed, require_integer, require_number


class RandomForest(Regressor):
    """Random forest regression (Breiman, Machine Learning 45, 2001).

    Defaults are those of scikit-learn: 100 bootstrapped trees grown to the end, every split over all
    features. Breiman and Liaw's R package has 500 trees, max_features=1/3 and min_samples_leaf=5.

    Args:
        seed: Seed of bootstrap and splits.
        targets: "value" or "rank".
        n_trees: Number of trees.
        max_features: Share of the features tried at a split, in (0, 1].
        min_samples_leaf: Smallest number of training rows in a leaf.
    """

    def __init__(
        self,
        *,
        seed: int,
        targets: str = "value",
        n_trees: int = 100,
        max_features: float = 1.0,
        min_samples_leaf: int = 1,
    ) -> None:
        super().__init__(seed=seed, targets=targets)
        require_integer("n_trees", n_trees, 1)
        require_number("max_features", max_features, above=0.0, most=1.0)
        require_integer("min_samples_leaf", min_samples_leaf, 1)
        self.n_trees = n_trees
        self.max_features = float(max_features)
        self.min_samples_leaf = min_samples_leaf

    def _fit(self, Z: FloatArray, t: FloatArray) -> None:
        from sklearn.ensemble import RandomForestRegressor

        self._model = RandomForestRegressor(
            n_estimators=self.n_trees,
            max_features=self.max_features,
            min_samples_leaf=self.min_samples_leaf,
            random_state=library_seed(self.seed),
            n_jobs=1,
        ).fit(Z, t)

    def _predict(self, Z: FloatArray) -> FloatArray:
        return np.asarray(self._model.predict(Z), dtype=np.float64)


class CartEnsemble(Regressor):
    """Mean of full-grown CARTs, each on all rows and on a random subset of the features.

    The "carts" predictor of MSuNAS / NSGANetV2 (Lu et al., ECCV 2020), which goes back to E2EPP (Sun et al.,
    IEEE TEVC 2019): the size of a subset is uniform in 1..d, rows are not bootstrapped, 1,000 trees.

    Args:
        seed: Seed of the feature subsets and of the order in which a tree tries equal splits.
        targets: "value" or "rank".
        n_trees: Number of trees.
    """

    def __init__(self, *, seed: int, targets: str = "value", n_trees: int = 1000) -> None:
        super().__init__(seed=seed, targets=targets)
        require_integer("n_trees", n_trees, 1)
        self.n_trees = n_trees
        #: Columns of each tree, and scikit-learn's `Tree`: what an estimator checks at every call takes longer than a
        #: prediction of a few rows.
        self._trees: list[tuple[Any, Any]] = []

    def _fit(self, Z: FloatArray, t: FloatArray) -> None:
        from sklearn.tree import DecisionTreeRegressor

        rng = np.random.default_rng(self.seed)
        d = Z.shape[1]
        single = np.asarray(Z, dtype=np.float32)  # what the trees work in
        self._trees = []
        for _ in range(self.n_trees):
            columns = rng.choice(d, size=rng.integers(1, d + 1), replace=False)
            tree = DecisionTreeRegressor(random_state=int(rng.integers(2**31)))
            tree.fit(single[:, columns], t, check_input=False)
            self._trees.append((columns, tree.tree_))

    def _predict(self, Z: FloatArray) -> FloatArray:
        single = np.asarray(Z, dtype=np.float32)
        total = np.zeros(len(Z))
        for columns, tree in self._trees:
            total += tree.predict(single[:, columns])[:, 0]
        return total / len(self._trees)


SURROGATES.register("forest", summary="Random forest regression (100 trees)")(RandomForest)
SURROGATES.preset("forest_rank", base="forest", summary="Random forest regression on ranks", targets="rank")
SURROGATES.register("cart", summary="Ensemble of 1,000 CARTs on feature subsets (as in MSuNAS)")(CartEnsemble)

"""BANANAS: Bayesian optimisation with a neural predictor (White, Neiswanger, Savani, AAAI 2021, arXiv 1910.11858).

Each iteration trains an ensemble of five networks on path encodings of all evaluated architectures, mutates the
best architectures, draws one value per mutant from a normal distribution with the ensemble's mean and deviation
(independent Thompson sampling), and evaluates the ten smallest draws.

Settings of the paper and of the authors' code: 10 random architectures first; networks of 10 hidden layers of 20 ReLU
units, mean absolute error, Adam with learning rate 0.01 and decay rates 0.9 and 0.99, 150 epochs in batches of 32;
about 100 mutants of the best architecture and, as long as they are fewer, of the next four. The text changes one gene
(`mutation` "one"); the authors' code changes each gene with probability ``1 / (n_var - 2)``, a quarter on NAS-Bench-201
(`mutation` "each", the preset ``bananas/authors``), so that mutants reach further.

Differs from the paper:

* one objective only, the first costly one; in multi-objective studies it enters by its evaluated set;
* the path encoding is the space's own (counts of paths and a summary on nb201, where the paper has one bit per
  path); on spaces without one it is the space's default encoding. Columns are standardised;
* the loss is the authors' code's mean absolute error, not the text's percentage error, which needs a known lower
  bound; outcomes are centred on their median and divided by their interquartile range first;
* the first architectures are the seed's shared initial design;
* where there are fewer new mutants than the batch, random architectures fill it;
* architectures count as different when their genotypes differ, not their sets of paths.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from smemnas.bench.errors import UserError
from smemnas.methods.base import METHODS, Archive, Method, initial_design, require_choice, require_positive
from smemnas.methods.neighbourhood import mutate_each_gene, mutate_one_gene, random_unseen, target_column
from smemnas.methods.variation import unique_rows
from smemnas.spaces.base import FloatArray, IntArray, Problem
from smemnas.surrogates.base import single_thread
from smemnas.surrogates.exact_products import WholeNumbers, bits_for, product, whole

#: Mutants wanted, best architectures that may be mutated.
MUTANTS, PARENTS = 100, 5
#: Adam's decay rates in the authors' code, and the number that keeps it from dividing by zero.
BETA_1, BETA_2, EPSILON = 0.9, 0.99, 1e-7


@METHODS.register("bananas", summary="BANANAS (White et al. 2021): network ensemble, path encoding; one objective")
class Bananas(Method):
    """BANANAS on the first costly objective.

    Args:
        problem: Space and objectives.
        budget: Evaluations of the run.
        seed: Root of all randomness.
        initial: Random architectures first.
        batch: Architectures evaluated per trained ensemble.
        encoding: For the networks; None takes "path" where the space has it, else the space's default.
        ensemble: Number of networks.
        layers: Hidden layers of each.
        width: Units of each hidden layer.
        epochs: Passes over the evaluated architectures.
        learning_rate: Step size of Adam.
        mutation: "one" changes one gene of a parent, "each" every gene with probability ``1 / (n_var - 2)``.
    """

    single_objective = True

    def __init__(
        self,
        problem: Problem,
        *,
        budget: int,
        seed: int,
        initial: int = 10,
        batch: int = 10,
        encoding: str | None = None,
        ensemble: int = 5,
        layers: int = 10,
        width: int = 20,
        epochs: int = 150,
        learning_rate: float = 0.01,
        mutation: str = "one",
    ) -> None:
        super().__init__(problem, budget=budget, seed=seed)
        require_choice("mutation", mutation, ("one", "each"))
        require_positive(initial=initial, batch=batch, ensemble=ensemble, layers=layers, width=width, epochs=epochs)
        if not learning_rate > 0.0:
            raise UserError(f"parameter 'learning_rate' must be greater than 0, got {learning_rate!r}.")
        if encoding is None and "path" in problem.space.encodings:
            encoding = "path"
        problem.space.encoding_parts(encoding)
        self.initial = min(initial, budget)
        self.batch = batch
        self.encoding = encoding
        self.mutation = mutation
        self._networks = Ensemble(ensemble, layers, width, epochs, float(learning_rate))
        self._archive = Archive(problem)

    def tell(self, X: IntArray, F: FloatArray) -> None:
        """Add evaluated architectures to the archive."""
        self._archive.add(X, F)

    def ask(self) -> IntArray:
        """Return the initial design, then `batch` architectures per trained ensemble."""
        space = self.problem.space
        if len(self._archive) < self.initial:
            design = initial_design(self.problem, self.initial, self.seed)
            new = design[self._archive.unseen(design)]
            if len(new):
                return new
        X, F = self._archive.finite()
        picked = np.empty((0, space.n_var), np.int64)
        if len(X) >= 2:
            with single_thread():
                picked = self._thompson(X, F[:, target_column(self.problem)])
        seen = self._archive.seen | {x.tobytes() for x in picked}
        return np.vstack([picked, random_unseen(space, self.batch - len(picked), seen, self.rng)])

    def _thompson(self, X: IntArray, y: FloatArray) -> IntArray:
        """Return up to `batch` new mutants of the best architectures, by independent Thompson sampling."""
        candidates = self._mutants(X[np.argsort(y, kind="stable")[:PARENTS]])
        if len(candidates) <= self.batch:
            return candidates
        encode = self.problem.space.encode
        self._networks.fit(encode(X, self.encoding), y, self.rng)
        predicted = self._networks.predict(encode(candidates, self.encoding))
        draws = self.rng.normal(predicted.mean(axis=0), predicted.std(axis=0))
        return candidates[np.argsort(draws, kind="stable")[: self.batch]]

    def _mutants(self, best: IntArray) -> IntArray:
        """Return new mutants ``(m, n_var)`` of the first of the best, and of the next ones while there are too few."""
        space = self.problem.space
        found = np.empty((0, space.n_var), np.int64)
        for parent in best:
            if len(found) >= MUTANTS:
                break
            parents = np.repeat(parent[None], MUTANTS, axis=0)
            if self.mutation == "one":
                drawn = mutate_one_gene(space, parents, self.rng)
            else:
                drawn = mutate_each_gene(space, parents, 1.0 / max(space.n_var - 2, 1), self.rng)
            found = np.vstack([found, drawn[self._archive.unseen(drawn)]])
            found = found[unique_rows(found)]
        return found


METHODS.preset(
    "bananas/authors", "bananas", "BANANAS with the mutation of its authors' code: each gene by chance", mutation="each"
)


class Ensemble:
    """Fully connected networks of one size, trained at once; each has its own weights and order of the rows.

    Weights start as Glorot and Bengio (2010) have it, biases at 0, as in the authors' library. All arrays have the
    network as first axis, so one matrix product serves all of them. The products are exact for factors of 23 bits or so
    (`surrogates.exact_products`), so that training ends with the same weights on every processor.
    """

    def __init__(self, size: int, layers: int, width: int, epochs: int, learning_rate: float, batch: int = 32) -> None:
        self.size = size
        self.layers = layers
        self.width = width
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch = batch

    def fit(self, Z: FloatArray, y: FloatArray, rng: np.random.Generator) -> None:
        """Train new networks on encodings ``(n, d)`` and outcomes ``(n,)``."""
        n = len(y)
        self._mean = Z.mean(axis=0)
        spread = Z.std(axis=0)
        self._spread = np.where(spread > 0.0, spread, 1.0)
        low, self._centre, high = np.percentile(y, [25, 50, 75])
        self._unit = high - low if high > low else max(float(y.std()), 1e-12)
        Z, t = (Z - self._mean) / self._spread, (y - self._centre) / self._unit
        self.start(Z.shape[1], rng)
        first, second = np.zeros_like(self._flat), np.zeros_like(self._flat)
        left_1 = left_2 = 1.0  # powers of the decay rates, by multiplications: they are rounded alike everywhere
        for _ in range(self.epochs):
            order = rng.permuted(np.tile(np.arange(n), (self.size, 1)), axis=1)
            for begin in range(0, n, self.batch):
                rows = order[:, begin : begin + self.batch]
                gradient = self.gradient(Z[rows], t[rows])
                left_1 *= BETA_1
                left_2 *= BETA_2
                first *= BETA_1
                first += (1.0 - BETA_1) * gradient
                gradient *= gradient
                second *= BETA_2
                second += (1.0 - BETA_2) * gradient
                rate = self.learning_rate * np.sqrt(1.0 - left_2) / (1.0 - left_1)
                np.sqrt(second, out=gradient)
                gradient += EPSILON
                np.divide(first, gradient, out=gradient)
                gradient *= rate
                self._flat -= gradient

    def start(self, columns: int, rng: np.random.Generator) -> None:
        """Draw the first weights. All of them lie in one vector, the matrices are views of it."""
        sizes = [columns, *[self.width] * self.layers, 1]
        self._bits = bits_for(max(columns, self.width, self.batch))
        shapes = list(pairwise(sizes))
        self._flat = np.zeros(self.size * sum((a + 1) * b for a, b in shapes))
        self._weights, self._biases, self._starts, at = [], [], [], 0
        for a, b in shapes:
            W = self._flat[at : at + self.size * a * b].reshape(self.size, a, b)
            limit = np.sqrt(6.0 / (a + b))
            W[:] = rng.uniform(-limit, limit, W.shape)
            self._starts.append(at)
            at += W.size
            self._biases.append(self._flat[at : at + self.size * b].reshape(self.size, 1, b))
            at += self.size * b
            self._weights.append(W)

    def forward(self, Z: FloatArray) -> tuple[list[WholeNumbers], list[WholeNumbers], FloatArray]:
        """Return inputs and weights of every layer, and the output ``(size, n, 1)`` for inputs ``(size, n, d)``."""
        flat = whole(self._flat, self._bits)
        inputs, weights, h = [], [], Z
        for k, (at, W, b) in enumerate(zip(self._starts, self._weights, self._biases)):
            inputs.append(whole(h, self._bits, least=0.0 if k else None))
            weights.append(WholeNumbers(flat.values[at : at + W.size].reshape(W.shape), flat.unit))
            h = product(inputs[-1], weights[-1])
            h += b
            if k < self.layers:
                np.maximum(h, 0.0, out=h)
        return inputs, weights, h

    def gradient(self, Z: FloatArray, t: FloatArray) -> FloatArray:
        """Return the gradient of the mean absolute error of each network with respect to all weights, flat."""
        inputs, weights, output = self.forward(Z)
        delta = np.sign(output[..., 0] - t)[..., None] / t.shape[1]
        gradient = np.empty_like(self._flat)
        at = len(gradient)
        for k in range(self.layers, -1, -1):
            W, b = self._weights[k], self._biases[k]
            at -= b.size
            delta.sum(axis=1, keepdims=True, out=gradient[at : at + b.size].reshape(b.shape))
            at -= W.size
            back = whole(delta, self._bits)
            gradient[at : at + W.size] = product(inputs[k].transposed, back).reshape(-1)
            if k:
                delta = product(back, weights[k].transposed)
                delta *= inputs[k].values > 0.0
        return gradient

    def predict(self, Z: FloatArray) -> FloatArray:
        """Return the prediction ``(size, m)`` of each network for encodings ``(m, d)``."""
        Z = (Z - self._mean) / self._spread
        out = self.forward(np.repeat(Z[None], self.size, axis=0))[2][..., 0]
        return np.asarray(self._centre + self._unit * out)

"""What a ranking study compares: surrogates on encodings, training sizes, seeds and pools; its tasks in order."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smemnas.bench.errors import UserError, suggest
from smemnas.bench.ranking.data import POOLS, SPLITS, Data, split, train_limit
from smemnas.bench.ranking.trial import PROXY_SUFFIX, SurrogateVariant, Task
from smemnas.bench.values import LARGEST_BUDGET, parse_seeds, shown, whole
from smemnas.spaces.base import IntArray
from smemnas.surrogates.base import SURROGATES

#: The default study, pairwise ones first; `groups` adds the controls. An unregistered name is passed over.
CORE = (
    *("kernel_pairwise", "relevance_pairwise", "svm_pairwise", "ranksvm", "logistic_pairwise", "ranknet"),
    *("forest_pairwise", "boosting_pairwise", "kernel_ridge", "kernel_ridge_rank", "gp", "gp_rank", "rbf", "rbf_rank"),
    *("svr", "svr_rank", "knn", "knn_rank", "forest", "forest_rank", "boosting", "boosting_rank", "mlp", "mlp_rank"),
)
#: Registered surrogates that learn nothing.
CONTROLS = ("constant", "random")
#: Registered surrogates that `--full` adds: minutes where the others take seconds.
EXPENSIVE = ("cart", "adaptive", "adaptive_rank")
CONTRASTS = (("kernel_pairwise", "kernel_ridge_rank"), ("kernel_pairwise", "kernel_ridge"))
N_TRAIN = (20, 50, 100, 200, 400, 800)
N_TEST = 1000
#: Draws on which encodings are chosen; a study's own seeds are smaller.
DEVELOPMENT_SEEDS = (1000, 1001, 1002, 1003, 1004)
DEVELOPMENT_TRAIN = 100
#: What `data_of` takes.
Source = tuple[str, str, str, str, str, int, str]


@dataclass(frozen=True)
class RankPlan:
    """A ranking study.

    Attributes:
        space: Registered space.
        dataset: Its data set.
        objective: What is ranked.
        variants: What is compared.
        encodings: "best", "all" or names.
        n_train: Training sizes, ascending.
        seeds: Draws.
        pools: Ranked pools.
        n_test: Size of the uniform pool.
        split: "genotype" or "graph".
        with_proxies: Whether zero-cost proxies, measured or the table's, are appended to every encoding.
        calibrate: Whether win probabilities are measured.
        contrasts: Names of the variants of each contrast.
        plugins: Plug-in files.
        proxies: Zero-cost proxies to measure, "" for none.
        proxy_data: What they are measured on.
        sample: Architectures that stand for the space, 0 for all.
        folder: Where a benchmark that trains keeps its trainings.
    """

    space: str
    dataset: str
    objective: str
    variants: tuple[SurrogateVariant, ...]
    encodings: tuple[str, ...] = ("best",)
    n_train: tuple[int, ...] = N_TRAIN
    seeds: tuple[int, ...] = tuple(range(10))
    pools: tuple[str, ...] = ("uniform",)
    n_test: int = N_TEST
    split: str = "genotype"
    with_proxies: bool = False
    calibrate: bool = True
    contrasts: tuple[tuple[str, str], ...] = ()
    plugins: tuple[str, ...] = ()
    proxies: str = ""
    proxy_data: str = ""
    sample: int = 0
    folder: str = ""

    @property
    def source(self) -> Source:
        """What `data_of` opens the same data with, in another process too."""
        return self.space, self.dataset, self.objective, self.proxies, self.proxy_data, self.sample, self.folder

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form; what only some studies have enters only there."""
        special = {"proxies": self.proxies, "proxy_data": self.proxy_data, "sample": self.sample}
        return {
            "space": self.space,
            "dataset": self.dataset,
            "objective": self.objective,
            "surrogates": {v.name: v.label for v in self.variants},
            "encodings": list(self.encodings),
            "n_train": list(self.n_train),
            "seeds": list(self.seeds),
            "pools": list(self.pools),
            "n_test": self.n_test,
            "split": self.split,
            "with_proxies": self.with_proxies,
            "calibrate": self.calibrate,
            "contrasts": [list(c) for c in self.contrasts],
            **{key: value for key, value in special.items() if value},
        }

    def candidates(self, data: Data) -> tuple[str, ...]:
        """Return the encodings that are compared, or from which the best is chosen."""
        space = data.benchmark.space
        if self.encodings in (("best",), ("all",)):
            names = tuple(dict.fromkeys((*space.encodings, space.default_encoding)))
        else:
            names = self.encodings
        return tuple(name + PROXY_SUFFIX * self.with_proxies for name in names)

    def development(self, data: Data) -> list[Task]:
        """Return the tasks on which each surrogate's encoding is chosen; none where there is no choice."""
        names = self.candidates(data)
        if self.encodings != ("best",) or len(names) == 1:
            return []
        n_test = min(N_TEST, len(data.X) // 2)
        if self.measures_features(data):  # each of them costs
            n_test = min(n_test, self.n_test)
        n = min(DEVELOPMENT_TRAIN, train_limit(data, n_test, self.split, DEVELOPMENT_SEEDS))
        return [
            Task(variant, name, n, seed, ("uniform",), n_test, self.split, False)
            for seed in DEVELOPMENT_SEEDS
            for variant in self.variants
            if learns(variant)
            for name in names
        ]

    def measures_features(self, data: Data) -> bool:
        """Whether surrogates see proxies that are measured here."""
        return self.with_proxies and data.measured is not None and any(learns(v) for v in self.variants)

    def rows_to_measure(self, data: Data) -> IntArray:
        """Return the rows whose proxies the study needs, ascending."""
        features = self.measures_features(data)
        if not features and not any(v.column in data.measured_names for v in self.variants):
            return np.arange(0)
        cases = [(seed, n, self.n_test, self.pools) for seed in self.seeds for n in self.n_train]
        if features:
            cases += list(dict.fromkeys((t.seed, t.n_train, t.n_test, t.pools) for t in self.development(data)))
        needed = np.zeros(len(data.X), dtype=bool)
        for seed, n_train, n_test, pools in cases:
            for pool in pools:
                chosen = split(data, seed=seed, n_train=n_train, n_test=n_test, pool=pool, kind=self.split)
                needed[chosen.test] = True
                needed[chosen.train] |= features
        return np.flatnonzero(needed)

    def tasks(self, chosen: Mapping[str, tuple[str, ...]]) -> Iterator[Task]:
        """Yield all tasks, seed by seed, so that what an unfinished study has is paired.

        Args:
            chosen: The encodings of each variant, by name.
        """
        for seed in self.seeds:
            for n in self.n_train:
                for variant in self.variants:
                    for encoding in chosen[variant.name]:
                        calibrate = self.calibrate and learns(variant)
                        yield Task(variant, encoding, n, seed, self.pools, self.n_test, self.split, calibrate)


def learns(variant: SurrogateVariant) -> bool:
    """Whether a variant is more than a control."""
    return not variant.column and variant.surrogate not in CONTROLS


def groups(data: Data, full: bool) -> dict[str, tuple[str, ...]]:
    """Return the named lists of surrogates: "core", "all" and "proxies" (all that is known without training).

    A surrogate whose library is not installed is in no list.
    """
    registered = [name for name in SURROGATES.names() if is_installed(name)]
    proxies = tuple(name for name in data.free if name not in registered)
    controls = tuple(name for name in CONTROLS if name in registered)
    core = tuple(name for name in CORE if name in registered)
    others = tuple(name for name in registered if name not in (*EXPENSIVE, *controls))
    extra = tuple(name for name in EXPENSIVE if full and name in registered)
    return {
        "core": (*core, *extra, *controls, *proxies),
        "all": tuple(dict.fromkeys((*core, *others, *extra, *controls, *proxies))),
        "proxies": proxies,
    }


def is_installed(name: str) -> bool:
    """Whether the library beyond the core that a surrogate needs, if any, is on this machine."""
    needs = getattr(SURROGATES.get(name).factory, "needs", "")
    return not needs or importlib.util.find_spec(needs) is not None


def choose_variants(data: Data, names: Sequence[str], full: bool) -> tuple[SurrogateVariant, ...]:
    """Turn names of surrogates, of quantities known without training and of groups into variants.

    Raises:
        UserError: A name is unknown.
    """
    known = groups(data, full)
    found: dict[str, SurrogateVariant] = {}
    for name in names:
        for member in known.get(name, (name,)):
            if member in SURROGATES:
                found[member] = SurrogateVariant(member, member)
            elif member in data.free:
                found[member] = SurrogateVariant(member, column=member)
            else:
                everything = {*SURROGATES.names(), *data.free, *known}
                raise UserError(f"no surrogate {member!r}.{suggest(member, everything)}")
    return tuple(found.values())


def check_plan(plan: RankPlan, data: Data, wanted_contrasts: Sequence[tuple[str, str]] = ()) -> RankPlan:
    """Return the plan with defaults filled in.

    Args:
        plan: The study; `n_test` may be larger than what the training sets leave.
        data: What it ranks.
        wanted_contrasts: Those asked for; without any, those of `CONTRASTS` whose members take part.

    Raises:
        UserError: Something is unknown, named twice, or does not fit.
    """
    for kind, items in (("surrogate", plan.variants), ("seed", plan.seeds), ("training size", plan.n_train)):
        if not items:
            raise UserError(f"a ranking study needs at least one {kind}.")
    names = [v.name for v in plan.variants]
    labels: dict[str, str] = {}
    for variant in plan.variants:
        if names.count(variant.name) > 1:
            raise UserError(f"two surrogates are called {variant.name!r}: give one another name.")
        if not variant.column:
            SURROGATES.get(variant.surrogate).resolve(variant.params)
        if variant.label in labels:
            raise UserError(f"surrogates {labels[variant.label]!r} and {variant.name!r} are the same: {variant.label}.")
        labels[variant.label] = variant.name
    if max(plan.seeds) >= DEVELOPMENT_SEEDS[0]:
        raise UserError(
            f"--seeds must be below {DEVELOPMENT_SEEDS[0]}: encodings are chosen on the draws from there on."
        )
    for option, values, known in (("pool", plan.pools, POOLS), ("split", (plan.split,), SPLITS)):
        for value in values:
            if value not in known:
                raise UserError(f"no {option} {value!r}.{suggest(value, known)}")
    if plan.encodings not in (("best",), ("all",)):
        for name in plan.encodings:
            data.benchmark.space.encoding_parts(name)
    if plan.with_proxies and not data.appended:
        raise UserError(
            f"{plan.space}/{data.benchmark.dataset} has no zero-cost proxies: leave out --with-proxies, or have "
            "them measured with --proxies."
        )
    if "front" in plan.pools:
        _ = data.front  # refused here where the space computes no complexity
    n_train = tuple(sorted(set(plan.n_train)))
    n_test = min(plan.n_test, max(1, len(data.X) - n_train[-1]))
    limit = train_limit(data, n_test, plan.split, plan.seeds)
    if n_train[0] < 2 or n_train[-1] > limit or n_test < 10:
        raise UserError(
            f"--n-train takes numbers from 2 to {limit:,} here ({len(data.X):,} architectures, {n_test:,} of them to "
            f"rank), got {', '.join(map(str, plan.n_train))}."
        )
    contrasts = tuple(wanted_contrasts) or tuple(c for c in CONTRASTS if set(c) <= set(names))
    for pair in contrasts:
        for name in pair:
            if name not in names:
                raise UserError(f"--contrast names {name!r}, which is not in the study.{suggest(name, names)}")
    return replace(plan, n_train=n_train, n_test=n_test, contrasts=contrasts, seeds=tuple(dict.fromkeys(plan.seeds)))


def parse_draws(text: str) -> tuple[int, ...]:
    """Turn "10" into ten seeds from 0, and "0-4" or "3,7" into those.

    Raises:
        UserError: It is none of these.
    """
    if "-" in text or "," in text:
        return parse_seeds(text)
    return tuple(range(whole("--seeds", text, 1, DEVELOPMENT_SEEDS[0])))


def parse_sizes(text: str) -> tuple[int, ...]:
    """Turn "20,50" into training sizes.

    Raises:
        UserError: It has another form.
    """
    try:
        return tuple(whole("--n-train", part, 2, LARGEST_BUDGET) for part in text.split(","))
    except UserError as error:
        raise UserError(
            f"--n-train takes numbers from 2 to {LARGEST_BUDGET:,} like 50,100,200; got {shown(text)}."
        ) from error


def parse_n_test(text: str, size: int) -> int:
    """Turn "1000" or "half" into the size of the uniform pool.

    Raises:
        UserError: It is neither.
    """
    if text == "half":
        return size // 2
    try:
        return whole("--n-test", text, 10)
    except UserError as error:
        raise UserError(f"--n-test takes a number from 10 on or 'half', got {shown(text)}.") from error

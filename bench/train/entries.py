"""What this package offers by name: evaluators that train, and zero-cost proxies; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence

from smemnas.bench.benchmarks.base import Benchmark
from smemnas.bench.benchmarks.catalog import EVALUATORS
from smemnas.bench.errors import UserError
from smemnas.bench.train import need_torch
from smemnas.methods.features import FEATURES, Features
from smemnas.spaces.base import SearchSpace


@EVALUATORS.register("train", summary="Trains every network: train+DATA+RECIPE+KEY=VALUE")
def trained(space: str, dataset: str, objectives: Sequence[str] = ()) -> Benchmark:
    """Open what trains every network, see `bench.train.options`."""
    from smemnas.bench.train.options import open_trained

    return open_trained(space, dataset, objectives)


@EVALUATORS.register("supernet", summary="Takes every network's weights from a supernet: supernet+CHECKPOINT+KEY=VALUE")
def inherited(space: str, dataset: str, objectives: Sequence[str] = ()) -> Benchmark:
    """Open what takes weights from a supernet, see `bench.train.supernet.options`."""
    from smemnas.bench.train.supernet.options import parse_name

    options = parse_name(dataset)
    if space != "mnv3":
        raise UserError(f"a supernet holds networks of the space mnv3, not of {space!r}: give --space mnv3.")
    need_torch()
    from smemnas.bench.train.supernet.benchmark import open_supernet

    return open_supernet(options, objectives)


@FEATURES.register("proxies", summary="Zero-cost proxies of untrained networks")
def proxies(space: SearchSpace, names: str = "all", data: str = "digits") -> Features:
    """Open the proxies of a space, see `bench.train.proxies.values`."""
    from smemnas.bench.train.proxies.values import ProxyValues

    return ProxyValues(space, names, data)

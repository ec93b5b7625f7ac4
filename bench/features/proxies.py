"""Zero-cost proxies as columns for surrogates."""

from __future__ import annotations

from smemnas.methods.features import FEATURES, Features
from smemnas.spaces.base import SearchSpace


@FEATURES.register("proxies", summary="Zero-cost proxies of untrained networks")
def proxies(space: SearchSpace, names: str = "all", data: str = "digits") -> Features:
    """Open the proxies of a space, see `bench.train.proxy_values`."""
    from smemnas.bench.train.proxies.values import ProxyValues

    return ProxyValues(space, names, data)

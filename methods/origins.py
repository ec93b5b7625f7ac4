"""Where the parameters of a method are from: data beside the parameters, one home for what is said of them.

A parameter and its settings are told apart: that N random architectures are evaluated first is published, that N is 100
is known of the ancestor alone, and that it is 20 here was measured here. Four sources:

* `PUBLISHED`: Xue et al., "A Pairwise Comparison Relation-assisted Multi-objective Evolutionary Neural Architecture
  Search Method with Multi-population Mechanism", arXiv 2407.15600, IEEE Trans. SMC: Systems, DOI
  10.1109/TSMC.2025.3647894;
* `ANCESTOR`: MSuNAS, the search of NSGANetV2 (Lu et al., ECCV 2020), text and code;
* `SIBLING`: methods by some of the same authors, MOEA-BUS (arXiv 2602.08513) and SPNAS, by notes on them;
* `OURS`: chosen here, mostly by measurement.

`list methods NAME` shows it, docs/paper.md is made from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PUBLISHED, ANCESTOR, SIBLING, OURS = "published", "ancestor", "sibling", "ours"
SOURCES = (PUBLISHED, ANCESTOR, SIBLING, OURS)


@dataclass(frozen=True)
class Origin:
    """Where a parameter is from.

    Attributes:
        parameter: Source of what it is about, one of `SOURCES`.
        note: One line on it.
        settings: Sources of settings that are not ours, by their JSON text.
    """

    parameter: str
    note: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def of(self, value: Any) -> str:
        """Return the source of a setting."""
        return self.settings.get(as_text(value), OURS)


def as_text(value: Any) -> str:
    """Return a setting as the tables write it: JSON, words as they are."""
    return value if isinstance(value, str) and value else json.dumps(value, sort_keys=True, default=str)


#: Parameters of `smemnas`, in their order.
SMEMNAS_ORIGINS: Mapping[str, Origin] = {
    "initial": Origin(PUBLISHED, "N random architectures are evaluated first; how many is not said", {"100": ANCESTOR}),
    "batch": Origin(PUBLISHED, "K are evaluated per refitted surrogate; how many is not said", {"8": ANCESTOR}),
    "surrogate": Origin(
        PUBLISHED,
        "an SVM on all pairs, refitted in every iteration; kernel and penalty are not said",
        {"svm_pairwise": PUBLISHED, "kernel_svm_pairwise": PUBLISHED, "ranknet": SIBLING, "rbf": ANCESTOR}
        | {"adaptive": ANCESTOR},
    ),
    "surrogate_params": Origin(
        OURS,
        "the way two encodings are combined, the score and its opponents; over the set as in MOEA-BUS",
        {'{"opponents": "set"}': SIBLING},
    ),
    "encoding": Origin(OURS, "not said; one-hot genes in SPNAS", {"onehot": SIBLING, "int": ANCESTOR}),
    "inner": Origin(
        PUBLISHED,
        "main population: the non-dominated; vice: the most spread of the rest",
        {"mp-moea": PUBLISHED, "textbook": ANCESTOR},
    ),
    "population": Origin(ANCESTOR, "of both populations; not said, 100 in MOEA-BUS too", {"40": ANCESTOR}),
    "generations": Origin(ANCESTOR, "of the inner search; not said", {"20": ANCESTOR}),
    "main_share": Origin(OURS, "where the main population is cut; 25 : 75 in MOEA-BUS", {"0.25": SIBLING}),
    "main_fill": Origin(
        OURS, "whether it is as large as that; not said, and both have a fixed size in MOEA-BUS", {"true": SIBLING}
    ),
    "mating": Origin(OURS, "who mates with whom between the populations is not said"),
    "crossover": Origin(PUBLISHED, "there is one; which is not said", {"two-point": ANCESTOR}),
    "crossover_rate": Origin(ANCESTOR, "not said", {"0.9": ANCESTOR}),
    "mutation": Origin(PUBLISHED, "there is one; which is not said, polynomial in MSuNAS"),
    "mutation_rate": Origin(OURS, "not said"),
    "selection": Origin(ANCESTOR, "which K are evaluated is not said", {"gap": ANCESTOR}),
    "pool": Origin(OURS, "what the K are chosen from; the last population in MSuNAS", {"final": ANCESTOR}),
    "merge_isomorphic": Origin(OURS, "whether one network under two names is evaluated twice"),
    "extremes": Origin(
        ANCESTOR, "smallest and largest are evaluated too, there within the first N", {"true": ANCESTOR}
    ),
    "explore": Origin(OURS, "how many of the K are chosen by how unsure the surrogate is"),
    "proxies": Origin(OURS, "zero-cost proxies beside the encoding"),
    "proxy_data": Origin(OURS, "what they are measured on"),
}

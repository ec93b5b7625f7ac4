"""Settings of SMEM-NAS by name: what is published of it, its parts exchanged one by one, and what served best.

What each parameter is and where it is from: `methods.origins`. Not every setting that a published method needs is
published, so no preset is the paper's own run:

* ``smemnas/paper`` has an SVM on pairs as published, but on 2,000 of them, not on all, and N, K and the gap filling
  are those of its ancestor MSuNAS; stored runs have this name, so it stays as it is;
* ``smemnas/paper-100-8`` has all pairs, by a machine that can (`surrogates.kernel_svm_pairwise`), and N = 100, K = 8 of
  the ancestor, 340 evaluations in all;
* ``smemnas/paper-20-4`` is the same for a small budget, N = 20, K = 4: with 100 a search of 100 evaluations is random;
* ``smemnas/sibling`` has two parts of MOEA-BUS (arXiv 2602.08513, by a note on it): pairwise outcomes accumulated over
  the set that is ranked, and main and vice population as 25 : 75.
"""

from __future__ import annotations

from smemnas.methods import smemnas  # noqa: F401  # registers the base of the presets
from smemnas.methods.base import METHODS

METHODS.preset(
    "smemnas/paper",
    "smemnas",
    "SMEM-NAS near the paper: SVM on 2,000 pairs (published: on all); N=100, K=8, gap filling of its ancestor MSuNAS",
    surrogate="svm_pairwise",
    surrogate_params={"combine": "concat", "max_pairs": 2000},
    encoding="onehot",
    initial=100,
    batch=8,
    population=40,
    generations=20,
    crossover="two-point",
    selection="gap",
)
PUBLISHED = {
    "surrogate": "kernel_svm_pairwise",
    "surrogate_params": {"readout": "vote"},
    "encoding": "onehot",
    "population": 40,
    "generations": 20,
    "crossover": "two-point",
    "selection": "gap",
}
for _initial, _batch in ((100, 8), (20, 4)):
    METHODS.preset(
        f"smemnas/paper-{_initial}-{_batch}",
        "smemnas",
        f"SMEM-NAS as far as published, SVM on all pairs; N={_initial}, K={_batch}; else of its ancestor or ours",
        initial=_initial,
        batch=_batch,
        **PUBLISHED,
    )
METHODS.preset(
    "smemnas/sibling",
    "smemnas",
    "SMEM-NAS with parts of MOEA-BUS: outcomes accumulated over the set, main and vice population as 25:75",
    surrogate_params={"opponents": "set"},
    main_share=0.25,
    main_fill=True,
)
METHODS.preset("smemnas/nsga2-inside", "smemnas", "SMEM-NAS with one population (NSGA-II) inside", inner="nsga2")
METHODS.preset(
    "smemnas/textbook-inside",
    "smemnas",
    "SMEM-NAS with a textbook NSGA-II inside: crowding within each front, in survival and in mating",
    inner="textbook",
)
METHODS.preset(
    "smemnas/regression", "smemnas", "SMEM-NAS with kernel ridge regression on accuracy", surrogate="kernel_ridge"
)
METHODS.preset(
    "smemnas/best",
    "smemnas",
    "SMEM-NAS at its best: explores by the surrogate's uncertainty, both inner searches, the space's best encoding",
    inner="both",
    extremes=True,
    explore=1,
    encoding="recommended",
)
METHODS.preset(
    "smemnas/relevance",
    "smemnas",
    "SMEM-NAS with the surrogate that orders best, kernel_pairwise with learned relevances",
    surrogate="relevance_pairwise",
)
METHODS.preset("smemnas/enumerate", "smemnas", "SMEM-NAS, the surrogate ranks the whole space", inner="enumerate")

"""Baselines at the settings that one rule chose with the same effort for each: see docs/tuning.md.

Development problems and seeds alone were used. A method whose default won has a preset too, so that tables which name
`METHOD/tuned` hold all of them. A test compares this file with what the rule says of the runs.
"""

from __future__ import annotations

from typing import Any

from smemnas.methods import (
    mo_local_search,
    mo_rea,
    moead,
    msunas,
    nsga2,
    optuna_samplers,
    parego,
    pareto_local_search,
    sms_emoa,
)
from smemnas.methods.base import METHODS

#: What is tuned has to be registered first.
_NEEDED = (mo_local_search, mo_rea, moead, msunas, nsga2, optuna_samplers, parego, pareto_local_search, sms_emoa)
TUNED: dict[str, dict[str, Any]] = {
    "nsga2": {},
    "sms-emoa": {"operators": "integer", "population": 20},
    "moead": {"neighbours": 3},
    "mo-rea": {"population": 20},
    "pareto-local-search": {"starts": 20},
    "mo-local-search": {"move": "gene", "starts": 10},
    "optuna-nsga2": {"genes": "integer", "population": 10},
    "optuna-tpe": {"candidates": 100},
    "parego": {"encoding": "onehot", "batch": 5},
    "msunas": {"initial": 10, "batch": 5},
}
for _name, _params in TUNED.items():
    METHODS.preset(
        f"{_name}/tuned", _name, f"{_name} at the setting that development seeds chose, as for all baselines", **_params
    )

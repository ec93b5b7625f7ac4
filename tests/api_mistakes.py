"""What a user may get wrong, and what calls give: for `make types` alone, where an ignore needs a mistake.

What mypy says of them is in `test_api_typed.py`.
"""

from typing import assert_type

import numpy as np

import smemnas
from smemnas import FloatArray

found = smemnas.run(smemnas.RunOptions("random", "toy"))

smemnas.RunOptions("random", "toy", budget="40")  # type: ignore[arg-type]
smemnas.RunOptions("random", spaces="toy")  # type: ignore[call-arg]
smemnas.open_benchmark("toy", objectives=3)  # type: ignore[arg-type]
smemnas.study(smemnas.RunOptions("random"))  # type: ignore[arg-type]
smemnas.run(smemnas.RunOptions("random"), progress="yes")  # type: ignore[arg-type]
print(smemnas.sturdy)  # type: ignore[attr-defined]
print(found.fronts)  # type: ignore[attr-defined]

assert_type(smemnas.open_benchmark("toy"), smemnas.Benchmark)
assert_type(smemnas.make_job("random", "toy"), tuple[smemnas.Job, smemnas.Benchmark])
assert_type(found, smemnas.Result)
assert_type(found.front.archs, tuple[str, ...])
assert_type(smemnas.study(smemnas.StudyOptions()), smemnas.Study)
assert_type(smemnas.rank(smemnas.RankOptions("toy")), smemnas.Ranking)
assert_type(smemnas.report(smemnas.ReportOptions(["runs"])), smemnas.Report)
assert_type(smemnas.METHODS.create("random"), smemnas.Method)
assert_type(smemnas.SURROGATES.create("knn").rank(np.zeros((1, 3))), FloatArray)

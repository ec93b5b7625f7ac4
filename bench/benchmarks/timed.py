"""Training times in tables: which column has them.

A time is that of the training whose value the table answers with: the same repeat, and the same number of epochs where
a table has several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Role of a column of training times, and the name that it has in every table of ours.
TIME_ROLE, TIME_NAME = "time", "train_seconds"
#: What the summary of a built-in data set says where its table has such a column.
WITH_TIMES = "training times"
#: A column that was trained for fewer epochs ends like this: val_error_36 belongs to train_seconds_36.
_SHORTER = ("_4", "_12", "_36")


def time_column(columns: Mapping[str, Mapping[str, Any]], objectives: Sequence[str]) -> str:
    """Return the column of the training times of what some objectives need; "" where a table has none.

    Args:
        columns: Description of each column of a table.
        objectives: What is searched. Those of fewer epochs need a shorter training, unless one needs the full one.
    """
    looked_up = [name for name in objectives if name in columns]
    ends = {next((end for end in _SHORTER if name.endswith(end)), "") for name in looked_up}
    shorter = TIME_NAME + (ends.pop() if len(ends) == 1 else "")
    declared = [name for name, column in columns.items() if column.get("role") == TIME_ROLE]
    return next((name for name in (*declared, shorter, TIME_NAME) if name in columns), "")

"""How long the stages of a `fit` took, and what was decided because of it; kept in a file.

Time counts that led to something that is kept: what a kill undoes is done again and is not charged twice, so that a
command that is resumed decides as one that ran in one piece.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smemnas.bench.errors import RunError
from smemnas.bench.files import why, write_json

STATE = "state.json"


class FitClock:
    """Seconds by stage.

    Args:
        folder: Of the fit; its `state.json` is read and written.

    Raises:
        RunError: The file is corrupt.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / STATE
        self.seconds: dict[str, float] = {}
        self.decisions: dict[str, Any] = {}
        self._stage = ""
        self._before = self._started = 0.0
        if self.file.exists():
            try:
                content = json.loads(self.file.read_bytes())
                self.seconds = {str(key): float(value) for key, value in content["seconds"].items()}
                self.decisions = dict(content["decisions"])
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise RunError(
                    f"{self.file} is corrupt ({why(error)}): remove it; finished stages are kept."
                ) from error

    def start(self, stage: str) -> None:
        """Begin a stage, or go on with it."""
        self._stage, self._before, self._started = stage, self.seconds.get(stage, 0.0), time.monotonic()

    def mark(self) -> float:
        """Note that what was done so far is kept; return the seconds of all stages."""
        self.seconds[self._stage] = round(self._before + time.monotonic() - self._started, 3)
        write_json(self.file, {"seconds": self.seconds, "decisions": self.decisions}, durable=False)
        return sum(self.seconds.values())

    def decide(self, key: str, value: Mapping[str, Any]) -> None:
        """Keep a decision, the first of its name."""
        self.decisions.setdefault(key, dict(value))
        self.mark()

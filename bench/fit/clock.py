"""How long the stages of a `fit` took, and what was decided because of it; kept in a file.

All time counts, from the beginning of a command on: that of a stage, that between two, and what a kill undid, which
stands apart ("undone") so that the speed of a stage is that of what it kept.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from smemnas.bench.errors import RunError
from smemnas.bench.files import why, write_json

STATE, UNDONE = "state.json", "undone"
#: Seconds between two notes that the command is alive.
BEAT = 1.0


class Pace:
    """How long one part of a stage takes, an epoch or a network, whatever the opening of the stage took.

    Every command opens a stage anew, so each has a pace of its own.
    """

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def look(self, done: float, seconds: float) -> float:
        """Return the seconds of one part since the first look; 0 where none was done since.

        Args:
            done: Parts that are done.
            seconds: Of the stage so far.
        """
        first_done, first_seconds = self._first = self._first or (done, seconds)
        return (seconds - first_seconds) / (done - first_done) if done > first_done else 0.0


class FitClock:
    """Seconds by stage; `stage` is the one that is going on.

    Args:
        folder: Of the fit; its `state.json` is read and written.
        began: When this command began, by `time.monotonic`; None is now.

    Raises:
        RunError: The file is corrupt.
    """

    def __init__(self, folder: Path, began: float | None = None) -> None:
        self.file = folder / STATE
        self.seconds: dict[str, float] = {}
        self.decisions: dict[str, Any] = {}
        self.stage = ""
        self._since = time.monotonic() if began is None else began
        self._lock = threading.Lock()
        if self.file.exists():
            try:
                content = json.loads(self.file.read_bytes())
                self.seconds = {str(key): float(value) for key, value in content["seconds"].items()}
                self.decisions = dict(content["decisions"])
                lost = float(content.get("alive", 0.0))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise RunError(
                    f"{self.file} is corrupt ({why(error)}): remove it; finished stages are kept."
                ) from error
            if lost:
                self.seconds[UNDONE] = round(self.seconds.get(UNDONE, 0.0) + lost, 3)

    def start(self, stage: str) -> None:
        """Begin a stage, or go on with it; what passed since the last mark counts to it."""
        with self._lock:
            self.stage = stage

    def mark(self) -> float:
        """Note that what was done so far is kept; return the seconds of all stages."""
        with self._lock:
            now = time.monotonic()
            self.seconds[self.stage] = round(self.seconds.get(self.stage, 0.0) + now - self._since, 3)
            self._since = now
            self._write()
        return sum(self.seconds.values())

    def spent(self) -> float:
        """Return all seconds so far, of what is not kept yet too."""
        return sum(self.seconds.values()) + time.monotonic() - self._since

    def restart(self) -> None:
        """Count from now on: what passed since the last mark is counted elsewhere."""
        self._since = time.monotonic()

    def decide(self, key: str, value: Mapping[str, Any]) -> None:
        """Keep a decision, the first of its name."""
        self.decisions.setdefault(key, dict(value))
        self.mark()

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Note every second how long this command has been at what is not kept yet: a kill cannot hide it."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT):
                with self._lock, contextlib.suppress(RunError):
                    self._write(alive=round(time.monotonic() - self._since, 3))

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _write(self, **more: float) -> None:
        write_json(self.file, {"seconds": self.seconds, "decisions": self.decisions, **more}, durable=False)

"""The stages of a `fit`, each the library call that is a command too, and what is done when time gets short.

Nothing is decided by the clock as long as the estimates hold within the reserve. Beyond that, in this order: a
supernet ends after a finished epoch, a search evaluates fewer networks, both final trainings get fewer epochs, the
baseline is left out. A stage that gets slower once it has begun is ended too, within an epoch if need be: the search
with the networks that it has, the final training with the weights of its last epoch. Time that is left over when the
final trainings begin is theirs: both get as many more epochs as fit. Each is written down before it has an effect, and
holds when the command is resumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from smemnas.bench.fit.clock import UNDONE, FitClock, Pace
from smemnas.bench.fit.finals import (
    TRIED_SHARE,
    baseline_options,
    epoch_seconds,
    epochs_that_fit,
    nearest_baseline,
    network_options,
)
from smemnas.bench.fit.plan import EXPORT, FEWEST, OPENING, FitPlan, reading
from smemnas.bench.library.retrain import Retraining, retrain
from smemnas.bench.library.run import RunOptions, run
from smemnas.bench.library.supernet import SupernetTrainOptions, supernet_train

#: Share of the reserve that a supernet may use up before it is ended.
ALLOWED = 0.5
Tell = Callable[[str], None]


class _OutOfTimeError(Exception):
    """Ends a stage after what is finished and kept."""


class FitStages:
    """Makes the stages of a plan in a folder.

    Args:
        plan: What to do.
        folder: Where.
        clock: Its time.
        limits: Bounds on costs, like "latency<=5".
        latency: Latency table, or None.
        machine: Device, threads and seed of all stages.
        tell: Called with a line on what happens.
        compared: A baseline is trained too.
    """

    def __init__(
        self,
        plan: FitPlan,
        folder: Path,
        clock: FitClock,
        limits: tuple[str, ...],
        latency: Path | None,
        machine: Mapping[str, Any],
        tell: Tell,
        *,
        compared: bool = True,
    ) -> None:
        self.plan, self.folder, self.clock, self.tell = plan, folder, clock, tell
        self.limits, self.latency, self.machine, self.compared = limits, latency, machine, compared

    def supernet(self) -> None:
        """Train the supernet, unless the plan has none."""
        plan, of = self.plan, self.plan.setting
        if not plan.supernet_epochs or "supernet" in self.clock.decisions:
            return
        allowed = plan.estimates["supernet"] + ALLOWED * plan.estimates["reserve"]
        finished: list[int] = []
        opened: list[float] = []
        pace = Pace()

        def look(row: Mapping[str, Any]) -> None:
            self.clock.mark()
            taken = self.clock.seconds["supernet"]
            done = int(row["epoch"])
            pace.look(done - 1, opened[0] if opened else taken)
            if done < plan.supernet_epochs and taken + pace.look(done, taken) > allowed:
                self.clock.decide("supernet", {"epochs": done, "planned": plan.supernet_epochs, "seconds": taken})
                raise _OutOfTimeError
            finished.append(done)

        def within(steps: int, _: int) -> None:
            taken = self.clock.seconds.get("supernet", 0.0) + self.clock.spent() - sum(self.clock.seconds.values())
            opened.append(taken)  # with the first step, and without the opening
            if finished and taken > allowed:
                self.clock.decide(
                    "supernet", {"epochs": finished[-1], "planned": plan.supernet_epochs, "seconds": taken}
                )
                raise _OutOfTimeError

        options = SupernetTrainOptions(
            data=of.data,
            size=of.size,
            width=of.width,
            stem=of.stem,
            strides=of.strides,
            resolutions=of.resolutions,
            epochs=plan.supernet_epochs,
            batch=of.batch,
            lr=of.lr,
            crop=of.crop,
            flip=of.flip,
            warmup=min(2.0, plan.supernet_epochs / 10),
            out=self.folder / "supernet",
            **self.machine,
        )
        self.begin("supernet")
        try:
            supernet_train(options, on_epoch=look, progress=within)
        except _OutOfTimeError:
            done = self.clock.decisions["supernet"]["epochs"]
            self.tell(f"note: steps take longer than they did: the supernet ends after epoch {done}.")
        self.clock.mark()

    def search(self) -> None:
        """Search among the supernet's networks, or among ones that are trained alone."""
        plan, of = self.plan, self.plan.setting
        budget = plan.budget
        each = (plan.estimates["search"] - OPENING) / budget
        if not (self.folder / "search").exists():
            rest = sum(plan.estimates[stage] for stage in ("final", "export", "baseline"))
            fits = math.floor((self._left() - rest - OPENING) / each)
            if fits < budget:
                self.clock.decide("search", {"budget": max(FEWEST, fits), "planned": budget})
        budget = self.clock.decisions.get("search", {}).get("budget", budget)
        cost = "latency" if self.latency is not None else "flops"
        common: dict[str, Any] = {
            "method": plan.method,
            "objectives": ("error", cost),
            "constraints": self.limits,
            "latency": self.latency,
            "budget": budget,
            "seed": self.machine["seed"],
            "out": self.folder / "search",
        }
        self.begin("search")
        pace = Pace()

        def ends(done: int) -> bool:
            return self._search_ends(done, pace)

        if plan.search == "supernet":
            checkpoint = self.folder / "supernet" / "checkpoint.pt"
            run(RunOptions(evaluator="supernet", checkpoint=checkpoint, **common), ends=ends)
        else:
            training = [
                *(f"size={of.size}", f"width={of.width}", f"stem={of.stem}"),
                *(f"epochs={plan.candidate_epochs}", f"batch={of.batch}", f"lr={of.lr}"),
                *of.augmentation,
                "resolutions=" + "-".join(map(str, of.resolutions)),
            ]
            run(
                RunOptions(space="mnv3", evaluator="train", data=of.data, recipe="small", training=training, **common),
                ends=ends,
            )
        self.clock.mark()
        if "search stopped" in self.clock.decisions:
            self.tell(f"note: the search is ended after {self.clock.decisions['search stopped']['networks']} networks.")

    def _search_ends(self, done: int, pace: Pace) -> bool:
        """Return whether a search ends after some networks: the next would cost the final training its time.

        Up to `FEWEST` networks it may take the time of the final trainings, but for one epoch.
        """
        if "search stopped" in self.clock.decisions:
            return done >= int(self.clock.decisions["search stopped"]["networks"])
        self.clock.mark()
        each = pace.look(done, self.clock.seconds["search"])
        expected = self.plan.estimates
        epoch = (expected["final"] - OPENING) / self.plan.final_epochs
        rest = sum(expected[name] for name in ("final", "export", "baseline")) if done >= FEWEST else 0.0
        rest = max(rest, self._slowness() * (epoch + EXPORT + 2 * OPENING))
        over = done > 0 and self._left() < rest + each
        if over:
            self.clock.decide("search stopped", {"networks": done, "planned": self.plan.budget})
        return over

    def final(self) -> Retraining:
        """Train the network that was found."""
        self.begin("final")
        epochs = self._final_epochs()
        options = network_options(self.folder / "search", self.pick, self._recipe(epochs, self.folder / "final"))
        kept = self._slowness() * (EXPORT + OPENING)
        finished, pace = [0], Pace()

        def look(row: Mapping[str, Any]) -> None:
            finished.append(int(row["epoch"]))
            self.clock.mark()
            pace.look(finished[-1], self.clock.seconds["final"])

        def ends(done: int) -> bool:
            if "final stopped" in self.clock.decisions:
                return done >= int(self.clock.decisions["final stopped"]["epochs"])
            self.clock.mark()
            over = done > 0 and self._left() < kept + pace.look(done, self.clock.seconds["final"])
            if over:
                self.clock.decide("final stopped", {"epochs": done, "planned": epochs})
            return over

        def within(updates: int, _: int) -> None:
            if "final stopped" not in self.clock.decisions and self.plan.seconds - self.clock.spent() < kept:
                self.clock.decide("final stopped", {"epochs": finished[-1], "planned": epochs})
                raise _OutOfTimeError

        try:
            found = retrain(options, on_epoch=look, progress=within, ends=ends)
        except _OutOfTimeError:  # its last finished epoch is kept: read that
            found = retrain(options, on_epoch=look, ends=ends)
        self.clock.mark()
        if "final stopped" in self.clock.decisions:
            done = self.clock.decisions["final stopped"]["epochs"]
            self.tell(f"note: time is up: the final training is ended after epoch {done} of {epochs}.")
        return found

    @property
    def pick(self) -> str:
        """Which network of the front is trained: the best within the bounds, or the knee where there are none."""
        return ",".join(self.limits) if self.limits else "knee"

    def baseline(self, found: Retraining) -> Retraining | None:
        """Train a model of timm of the same cost with the same recipe; None where no time was left for it."""
        if "baseline" in self.clock.decisions:
            return None
        resolution = int(found.result["resolution"])
        stem = int(found.result["plan"]["stem_stride"])
        madds = float(found.result["madds"])
        name = nearest_baseline(madds, resolution, stem, self.plan.setting.counted_classes)
        epochs = int(found.result["recipe"]["epochs"])
        each = self._slowness() * (self.plan.estimates["baseline"] - OPENING) / self.plan.final_epochs
        self.begin("baseline")
        finished, pace = [0], Pace()

        def stop() -> None:
            self.clock.decide("baseline", {"model": name, "stopped after": finished[-1]})
            raise _OutOfTimeError

        def look(row: Mapping[str, Any]) -> None:
            total, done = self.clock.mark(), int(row["epoch"])
            finished.append(done)
            left = pace.look(done, self.clock.seconds["baseline"]) * (epochs - done)
            if total + left > self.plan.seconds and done < epochs:
                stop()

        def within(updates: int, _: int) -> None:
            if self.clock.spent() > self.plan.seconds:
                stop()

        options = baseline_options(self.plan, name, resolution, self._recipe(epochs, self.folder / "baseline"))
        try:
            if self._left() < each and not (self.folder / "baseline").exists():
                stop()
            baseline = retrain(options, on_epoch=look, progress=within)
            self.clock.mark()
            return baseline
        except _OutOfTimeError:
            self.tell("note: no time is left for the whole baseline: it is ended and not reported.")
            return None

    def _recipe(self, epochs: int, out: Path) -> dict[str, Any]:
        """Return what both final trainings share."""
        of = self.plan.setting
        changes = (f"batch={of.batch}", f"lr={of.lr}", f"warmup={min(1.0, epochs / 10):g}", *of.augmentation)
        return {"preset": "small", "changes": changes, "epochs": epochs, "size": of.size, "out": out, **self.machine}

    def _final_epochs(self) -> int:
        """Return the epochs of both final trainings: as planned, or as many as there is time for."""
        planned = self.plan.final_epochs
        if "final" not in self.clock.decisions and not (self.folder / "final").exists():
            epoch = self._epoch()
            left, undone = self._left(), self.clock.seconds.get(UNDONE, 0.0)
            epochs = epochs_that_fit(self.plan, left + undone, epoch)  # as without a kill, while that can be afforded
            if epochs * epoch > left - EXPORT - 2 * OPENING:
                epochs = epochs_that_fit(self.plan, left, epoch)
            if epochs != planned:
                self.clock.decide("final", {"epochs": epochs, "planned": planned})
                self.tell(f"note: time is left for {epochs} instead of {planned} epochs of the final trainings.")
        return int(self.clock.decisions.get("final", {}).get("epochs", planned))

    def _epoch(self) -> float:
        """Return the seconds of an epoch of all final trainings: measured, unless that takes too much of the time."""
        trainings = 2 if self.compared else 1
        trying = trainings * (2 * OPENING + reading(self.plan.setting, self.plan.speeds))
        if trying > TRIED_SHARE * self._left():
            return trainings * (self.plan.estimates["final"] - OPENING) / self.plan.final_epochs
        recipe = self._recipe(2, self.folder / "final")
        epoch = epoch_seconds(self.plan, self.folder / "search", self.pick, recipe, baseline=self.compared)
        self.clock.mark()
        return epoch

    def _slowness(self) -> float:
        """Return how many times as long as planned finished work took, at least 1."""
        finished = {"supernet", "search", "final"} - {self.clock.stage}
        stages = [name for name in self.clock.seconds if name in finished]
        expected = sum(self._expected(name) for name in stages)
        return max(1.0, sum(self.clock.seconds[name] for name in stages) / expected if expected else 1.0)

    def _expected(self, stage: str) -> float:
        """Return the seconds that a stage was to take, the final training with the epochs that it got."""
        expected = self.plan.estimates[stage]
        if stage != "final":
            return expected
        decided = {**self.clock.decisions.get("final", {}), **self.clock.decisions.get("final stopped", {})}
        epochs = int(decided.get("epochs", self.plan.final_epochs))
        return OPENING + (expected - OPENING) * epochs / self.plan.final_epochs

    def _left(self) -> float:
        """Return the seconds that are left."""
        return self.plan.seconds - sum(self.clock.seconds.values())

    def begin(self, name: str) -> None:
        """Begin a stage."""
        expected = self.plan.estimates[name]
        self.tell(f"{name}: about {expected:.0f} s, {self._left():.0f} s are left")
        self.clock.start(name)

"""`fit`: from images to an exported network, in a folder that says what was planned, done and found."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smemnas.bench.display import html_table
from smemnas.bench.errors import RunError, UserError, choose
from smemnas.bench.files import why, write_json, write_text
from smemnas.bench.fit.clock import STATE, UNDONE, FitClock
from smemnas.bench.fit.measure import SIDES, check_time, class_count, measure, own_side, setting_for, smaller
from smemnas.bench.fit.plan import FitPlan, FitSetting, Speeds, make_fit_plan
from smemnas.bench.fit.stages import FitStages
from smemnas.bench.fit.wishes import Sizes, check_alone, check_wishes, sizes_for, table_sizes
from smemnas.bench.library.retrain import Retraining
from smemnas.bench.outputs import FIT
from smemnas.bench.runs.folder import locked
from smemnas.bench.values import real, whole

if TYPE_CHECKING:
    from smemnas.bench.train.retrain.export import Packing

FORMAT, PLAN, REPORT, TABLE = "smemnas-fit", "plan.json", "report.json", "report.md"
SEARCHES = ("auto", "supernet", "scratch")


@dataclass(frozen=True)
class FitOptions:
    """From images to a network.

    Attributes:
        data: Folder, tar file or CSV file of images, or the name of a known set.
        hours: All the time that may be taken.
        out: Folder; a call with the same options goes on there.
        latency: Table of `latency measure`; its width, stem, strides and resolutions are taken.
        max_latency: Bound in ms, with `latency`.
        max_flops: Bound in millions of multiply-adds.
        size: Side that images are stored at; 0 chooses one.
        width: Width multiplier; None takes the table's, else 0.35.
        search: "supernet", "scratch", or "auto".
        baseline: Train a model of timm of the same cost too.
        licence: Of the exported weights.
        int8: Export in 8 bits too.
        flip: Mirror every second training image; not where mirrored ones mean something else: digits, signs, text.
        seed: Root of all randomness.
        threads: CPU threads; 0 takes torch's own number.
        device: "auto", "cpu", "cuda" or "cuda:N".
    """

    data: str
    hours: float
    out: str | Path
    latency: str | Path | None = None
    max_latency: float | None = None
    max_flops: float | None = None
    size: int = 0
    width: float | None = None
    search: str = "auto"
    baseline: bool = True
    licence: str = ""
    int8: bool = False
    flip: bool = True
    seed: int = 0
    threads: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        real("--hours", self.hours, above=0.0)
        whole("--seed", self.seed)
        choose("search", self.search, dict.fromkeys(SEARCHES))
        if self.max_latency is not None and self.latency is None:
            raise UserError("--max-latency needs a table of this device: `latency measure` writes one for --latency.")

    @property
    def bounds(self) -> dict[str, float]:
        """Upper bounds by the name of a cost."""
        bounds = {"latency": self.max_latency, "flops": self.max_flops}
        return {name: value for name, value in bounds.items() if value is not None}

    @property
    def limits(self) -> tuple[str, ...]:
        """Bounds on costs, as the search takes them."""
        return tuple(f"{name}<={value:g}" for name, value in self.bounds.items())

    @property
    def table(self) -> Path | None:
        """The latency table's file."""
        return None if self.latency is None else Path(self.latency).expanduser()

    @property
    def machine(self) -> dict[str, Any]:
        """What all stages are told about the machine."""
        return {"seed": self.seed, "threads": self.threads, "device": self.device}

    def packing(self) -> Packing:
        """Return what the export holds.

        Raises:
            UserError: The licence is no name.
        """
        from smemnas.bench.train.retrain.export import Packing

        return Packing(licence=self.licence, int8=self.int8)

    def asked(self) -> dict[str, Any]:
        """Return what decides the plan, as JSON values."""
        from smemnas.bench.train.images import absolute

        found = {key: value for key, value in asdict(self).items() if key not in ("out", "device", "threads")}
        return {**found, "data": absolute(self.data), "latency": self._table_sha256()}

    def _table_sha256(self) -> str | None:
        """Return the identity of the latency table."""
        if self.table is None:
            return None
        from smemnas.bench.benchmarks.latency.table import read_latency

        return read_latency(self.table).sha256


@dataclass(frozen=True, repr=False)
class Fitted:
    """What came out.

    Attributes:
        folder: Of the fit; its `export` is the network.
        report: The content of `report.json`.
    """

    folder: Path
    report: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<Fitted: test top-1 {self.report['network']['top1']:.2f} %, in {self.folder}>"

    def _repr_html_(self) -> str:
        head, *rows = rows_of(self.report)
        return html_table(head, rows, title=f"Networks for {self.report['data']}", notes=[f"in {self.folder}"])


def plan_fit(options: FitOptions, began: float | None = None) -> FitPlan:
    """Choose sizes, measure a few steps and share out the time; writes nothing but decoded images.

    Args:
        options: What to do.
        began: When the command began, by `time.monotonic`; None is now.

    Raises:
        UserError: The time is too short, or an option makes no sense.
        DataError: The images or the latency table cannot be read.
        RunError: The machine lacks something.
    """
    from smemnas.bench.train import need_torch
    from smemnas.bench.train.retrain.onnx_file import need_onnx

    began, seconds = time.monotonic() if began is None else began, 3600.0 * options.hours
    need_torch()
    need_onnx()
    options.packing()
    classes, side = class_count(options.data), options.size or own_side(options.data)
    free = not options.size and options.table is None and options.search != "scratch"
    sizes = _sizes(options, classes, side)
    _check_any([sizes, *(_sizes(options, classes, s) for s in SIDES if free and s < side)], options, classes)
    setting = _setting(options, sizes)
    speeds = _speeds(options, setting, began, free=free)
    side = smaller(setting, speeds, seconds) if free else setting.size
    if side != setting.size:
        sizes = _sizes(options, classes, side)
        setting = _setting(options, sizes)
        check_wishes(sizes, classes, options.bounds, options.table)
        speeds = _speeds(options, setting, began, free=free)
    elif free:
        check_wishes(sizes, classes, options.bounds, options.table)
    plan = make_fit_plan(setting, speeds, seconds, options.search)
    if plan.search == "scratch" and options.table is not None:
        check_alone(sizes, options.table)
    return plan


def _speeds(options: FitOptions, setting: FitSetting, began: float, *, free: bool) -> Speeds:
    """Measure a few steps.

    Raises:
        UserError: That and decoding took too much of the time.
    """
    seconds, decoded = 3600.0 * options.hours, time.monotonic() - began
    speeds = measure(setting, device=options.device, threads=options.threads, began=began, seconds=seconds)
    check_time(setting, speeds, seconds, decoded=decoded, free=free)
    return speeds


def _sizes(options: FitOptions, classes: int, side: int) -> Sizes:
    """Return the sizes for images of a side: the latency table's where there is one."""
    if options.table is None:
        return sizes_for(side, options.width)
    return table_sizes(options.table, classes, side, size=options.size, width=options.width)


def _check_any(choices: Sequence[Sizes], options: FitOptions, classes: int) -> None:
    """Check that one of several sizes has networks within the bounds.

    Raises:
        UserError: None has; the message is about the first.
    """
    refused: list[UserError] = []
    for sizes in choices:
        try:
            return check_wishes(sizes, classes, options.bounds, options.table)
        except UserError as error:
            refused.append(error)
    raise refused[0]


def _setting(options: FitOptions, sizes: Sizes) -> FitSetting:
    """Decode the images, and return what all stages share."""
    from smemnas.bench.train.images import absolute

    return setting_for(
        absolute(options.data),
        sizes.size,
        sizes.width,
        resolutions=sizes.resolutions,
        stem=sizes.stem,
        strides=sizes.strides,
        flip=options.flip,
    )


def fit(options: FitOptions, *, tell: Callable[[str], None] = lambda line: None) -> Fitted:
    """Go from images to an exported network, within the stated time.

    A call that was stopped goes on when it is made again, with the same plan and the same result.

    Args:
        options: What to do, and where.
        tell: Called with a line on what happens.

    Raises:
        UserError: The time is too short, or an option makes no sense.
        DataError: The images or the latency table cannot be read.
        RunError: The folder belongs to something else, or a stage fails.
    """
    from smemnas.bench.train import need_torch

    began = time.monotonic()
    need_torch()
    out = Path(options.out).expanduser()
    with locked(out, FIT):
        plan = _kept_plan(options, out)
        if plan is not None and (out / REPORT).exists():
            for line in plan.lines():
                tell(line)
            return Fitted(out, json.loads((out / REPORT).read_bytes()))
        clock = FitClock(out, began)
        with clock.beating():
            return _fitted(options, out, clock, plan, began, tell)


def _fitted(
    options: FitOptions,
    out: Path,
    clock: FitClock,
    plan: FitPlan | None,
    began: float,
    tell: Callable[[str], None],
) -> Fitted:
    """Plan where that was not done, and go through the stages."""
    if plan is None:
        plan = plan_fit(options, began=began - clock.seconds.pop(UNDONE, 0.0))
        content = {"format": FORMAT, "asked": options.asked(), "plan": plan.to_dict()}
        write_json(out / PLAN, json.loads(json.dumps(content)))
        clock.restart()
    for line in plan.lines():
        tell(line)
    if "measuring" not in clock.seconds:
        clock.seconds = {"measuring": plan.speeds.spent, **clock.seconds}
    stages = FitStages(
        plan, out, clock, options.limits, options.table, options.machine, tell, compared=options.baseline
    )
    stages.supernet()
    stages.search()
    found = stages.final()
    exported = _export(options, stages, found)
    baseline = stages.baseline(found) if options.baseline else None
    report = _report(plan, clock, found, baseline, exported)
    write_text(out / TABLE, report_text(report))
    write_json(out / REPORT, report)
    return Fitted(out, report)


def _kept_plan(options: FitOptions, out: Path) -> FitPlan | None:
    """Return the plan of a folder, None where there is none.

    Raises:
        RunError: It is corrupt, or that of other options.
    """
    file = out / PLAN
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_bytes())
        asked, plan = {"flip": True, **content["asked"]}, FitPlan.from_dict(content["plan"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} is corrupt ({why(error)}): choose another --out.") from error
    wanted = json.loads(json.dumps(options.asked()))
    differing = [f"{k} {asked.get(k)!r}, not {wanted[k]!r}" for k in wanted if asked.get(k) != wanted[k]]
    if differing:
        raise RunError(
            f"{out} was begun with {'; '.join(differing[:3])}: choose another --out, or give the same options."
        )
    return plan


def _export(options: FitOptions, stages: FitStages, found: Retraining) -> Mapping[str, Any]:
    """Export the network."""
    from smemnas.bench.train.retrain.export import export_retrained

    stages.begin("export")
    config = export_retrained(found.folder, stages.folder / "export", options.packing())
    stages.clock.mark()
    return config


def _report(
    plan: FitPlan, clock: FitClock, found: Retraining, baseline: Retraining | None, exported: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what came out, as JSON values."""
    from smemnas.bench.train.retrain.folder import epochs_of

    def of(training: Retraining) -> dict[str, Any]:
        keys = ("arch", "top1", "top5", "test_images", "valid_top1", "params", "madds", "resolution", "start")
        result = training.result
        said = {"note": result["note"]} if result.get("note") else {}
        return {key: result[key] for key in keys} | {"epochs": epochs_of(result)} | said

    return {
        "data": plan.setting.data,
        "network": of(found),
        "baseline": None if baseline is None else of(baseline),
        "seconds": dict(clock.seconds),
        "seconds_given": plan.seconds,
        "decisions": dict(clock.decisions),
        "int8": exported.get("int8"),
        "classes": exported["classes"],
    }


def rows_of(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the table of a report: its head, then the network, then the baseline."""
    rows: list[tuple[str, ...]] = [
        ("network", "test top-1 (%)", "top-5 (%)", "parameters (M)", "MAdds (M)", "input", "epochs", "starts from")
    ]
    for row in filter(None, (report["network"], report["baseline"])):
        rows.append(
            (
                row["arch"],
                *(f"{row[key]:.2f}" for key in ("top1", "top5")),
                *(f"{row[key] / 1e6:.3f}" for key in ("params", "madds")),
                *(str(row[key]) for key in ("resolution", "epochs", "start")),
            )
        )
    return rows


def report_text(report: Mapping[str, Any]) -> str:
    """Return the report for people."""
    from smemnas.bench.train.image_splits import resolution

    head, *rows = rows_of(report)
    lines = [f"# A network for {report['data']}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    n = report["network"]["test_images"]
    lines += ["", f"On {n:,} test images, where differences below {resolution(n):.1f} points mean nothing."]
    if report["baseline"] is not None:
        lines.append("Both were trained with one recipe; inherited weights have the supernet's training in them too.")
    lines += dict.fromkeys(of["note"] for of in (report["network"], report["baseline"]) if of and "note" in of)
    spent = sum(report["seconds"].values())
    parts = ", ".join(f"{name} {value:.0f} s" for name, value in report["seconds"].items())
    lines.append(f"Time: {spent:.0f} of {report['seconds_given']:.0f} s ({parts}).")
    for name, what in report["decisions"].items():
        longer = what.get("epochs", 0) > what.get("planned", math.inf)
        lines.append(f"{'Lengthened' if longer else 'Shortened'}: {name}, {json.dumps(what)}.")
    return "\n".join(lines) + "\n"


#: What a fit writes beside the folders of its stages.
FIT_FILES = (PLAN, STATE, REPORT, TABLE)

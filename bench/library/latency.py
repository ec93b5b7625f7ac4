"""Latency tables: measured, written as a folder for another device, compared with whole networks: docs/latency.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smemnas.bench.benchmarks.latency.table import LatencyFile, read_latency
from smemnas.bench.errors import RunError, UserError, choose
from smemnas.bench.files import make_folder, why, write_bytes, write_json, write_text
from smemnas.bench.latency import device, rounds
from smemnas.bench.latency.onnx_files import onnx_bytes
from smemnas.bench.latency.plan import CHECKED, FITTED, MeasuringPlan, measuring_plan
from smemnas.bench.latency.spaces import measured_space, space_of_table
from smemnas.bench.log import note
from smemnas.bench.report.terminal import Shown, shown_progress
from smemnas.bench.values import several, whole

RUNTIMES = ("onnxruntime", "torch", "torch-cuda")
#: Files of the folder for another device, beside its ONNX files.
SCRIPT, ROUNDS, PLAN = "measure.py", "rounds.py", "plan.json"


@dataclass(frozen=True)
class LatencyOptions:
    """Which networks are measured, and how.

    Attributes:
        space: mnv3, nb201, nats_sss or macro; "" with `checkpoint`.
        shape: Items "KEY=VALUE": channels, cells, width, resolutions, stem, size, classes.
        checkpoint: A supernet, whose networks are meant.
        runtime: "onnxruntime", "torch" or "torch-cuda".
        threads: CPU threads.
        batch: Images of a call.
        clock: "wall", or "cpu" on a busy machine, with one thread.
        networks: Whole networks that the factors of groups of blocks are fitted to.
        out: The table.
        overwrite: Replace a table that is there.
    """

    space: str = ""
    shape: Sequence[str] = ()
    checkpoint: str | Path | None = None
    runtime: str = "onnxruntime"
    threads: int = 1
    batch: int = 1
    clock: str = "wall"
    networks: int = FITTED
    out: str | Path = "latency.json"
    overwrite: bool = False


def measure_latency(options: LatencyOptions, *, progress: Shown = False) -> LatencyFile:
    """Measure the blocks of a space on this machine and write the table, as `latency measure` does.

    What was measured is kept after each round; the same call goes on after an interruption.

    Raises:
        UserError: Options make no sense, or a package or a GPU is missing.
        DataError: The checkpoint cannot be read, or the file there is no table.
        RunError: The table cannot be written.
    """
    out = Path(options.out).expanduser()
    networks = whole("--networks", options.networks, 0, 1000)
    plan = measuring_plan(_space(options), fitted=networks, checked=0)
    opened, machine = _runtime(plan, options.runtime, options.threads, options.batch, options.clock)
    if out.exists() and not options.overwrite:
        table = read_latency(out)
        other = device.differences(json.loads(out.read_bytes()), plan.content, machine, options.clock)
        if other:
            raise UserError(
                f"{out} is there and was measured otherwise ({'; '.join(other[:4])}): choose another --out, or "
                "--overwrite it."
            )
        note(f"{out} was measured before, in the same way: this is that table; --overwrite measures again.")
        return table
    try:
        with shown_progress("rounds", progress) as tell:
            device.measure_table(plan.content, machine, opened, out, _told(tell), options.clock)
    except OSError as error:
        raise RunError(f"cannot write {out}: {why(error)}. Choose another file with --out.") from error
    return read_latency(out)


def check_latency_table(path: str | Path, *, networks: int = CHECKED, progress: Shown = False) -> LatencyFile:
    """Measure whole networks, compare a table's predictions with them and write that into it, as `latency check` does.

    Raises:
        UserError: The table was measured elsewhere, or a package is missing.
        DataError: The table cannot be read.
        RunError: It cannot be written.
    """
    file = Path(path).expanduser()
    table = read_latency(file)
    n = whole("--networks", networks, 4, 1000)
    known = [network.arch for network in table.fitted]
    plan = measuring_plan(space_of_table(table.space), fitted=0, checked=n, known=known)
    given, clock = table.machine, str(table.protocol.get("clock", "wall"))
    opened, machine = _runtime(plan, given.runtime, given.threads, given.batch, clock)
    content = json.loads(file.read_bytes())
    try:
        with shown_progress("rounds", progress) as tell:
            device.check_table(plan.content, machine, opened, file, content, _told(tell))
    except device.DeviceError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise RunError(f"cannot write {file}: {why(error)}.") from error
    return read_latency(file)


def latency_script(options: LatencyOptions, out: str | Path) -> Path:
    """Write the folder that measures the same blocks on a device with Python, NumPy and onnxruntime alone.

    Raises:
        UserError: Options make no sense, the package onnx is missing, or the folder holds something else.
        RunError: The folder cannot be written.
    """
    folder = Path(out).expanduser()
    if folder.exists() and any(folder.iterdir()) and not (folder / PLAN).exists():
        raise UserError(f"{folder} is not empty and no folder of `latency script`: choose another with --out.")
    plan = measuring_plan(_space(options), fitted=whole("--networks", options.networks, 0, 1000))
    make_folder(folder / "onnx")
    graphs: dict[str, Any] = {}
    for name, draw in plan.graphs.items():
        graph = draw()
        file = f"onnx/{name}.onnx"
        write_bytes(folder / file, onnx_bytes(graph))
        graphs[name] = {"file": file, "shape": list(graph.shape)}
    package = device.__name__.rpartition(".")[0]
    for file, module in ((SCRIPT, device), (ROUNDS, rounds)):
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        source = source.replace(f"from {package} import", "import").replace(f"from {package}.", "from ")
        write_text(folder / file, source)
    write_json(folder / PLAN, {**plan.content, "graphs": graphs})
    return folder


def latency_lines(table: LatencyFile) -> list[str]:
    """Return what there is to say of a table, line by line."""
    shape = ", ".join(f"{key} {_text(value)}" for key, value in table.space.items() if key != "layers")
    factors = ", ".join(f"{group} {factor:.2f}" for group, factor in sorted(table.scale.items()))
    elsewhere = " (another machine than this one)" if table.elsewhere else ""
    lines = [
        f"networks     {shape}",
        f"machine      {table.machine}{elsewhere}",
        f"blocks       {len(table.blocks):,}, {table.overhead:.4g} ms for a call",
        f"factors      {factors}, from {len(table.fitted)} networks",
    ]
    for group in table.check.values():
        found = f"tau {group.tau:.3f}, mean error {group.error:.2f} %"
        lines.append(f"check        {len(group.networks)} networks {group.about}: {found}")
    slow = {f"{group.slow:.2f}" for group in table.check.values()} - {"1.00"}
    lines += [f"drift        {value} times the table's times while it was checked, taken out" for value in slow]
    return lines if table.check else [*lines, "check        not yet: latency check"]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _space(options: LatencyOptions) -> Any:
    path = None if options.checkpoint is None else Path(options.checkpoint).expanduser()
    return measured_space(options.space, several("--shape", options.shape), path)


def _told(tell: Callable[[int, int], None] | None) -> rounds.Tell:
    """Return what is told of each block, given a progress function."""
    return rounds.quiet if tell is None else lambda _, done, n: tell(done, n)


def _runtime(
    plan: MeasuringPlan, runtime: str, threads: int, batch: int, clock: str
) -> tuple[Callable[[str], rounds.Call], dict[str, Any]]:
    """Return what opens a plan's graphs in a runtime, and what a table says of the machine.

    Raises:
        UserError: A name is unknown, a number makes no sense, or a package or a GPU is missing.
    """
    choose("runtime", runtime, dict.fromkeys(RUNTIMES))
    choose("clock", clock, rounds.CLOCKS)
    threads, batch = whole("--threads", threads), whole("--batch", batch)
    try:
        device.check_options(threads, batch, clock, runtime == "torch-cuda")
    except device.DeviceError as error:
        raise UserError(str(error)) from error
    if runtime == "onnxruntime":
        _need_onnxruntime()

        def opened(name: str) -> rounds.Call:
            graph = plan.graphs[name]()
            return device.onnx_call(onnx_bytes(graph), graph.shape, threads, batch)

        return opened, device.onnx_machine(threads, batch)
    from smemnas.bench.latency.torch_calls import torch_call, torch_machine
    from smemnas.bench.train import need_torch

    need_torch()
    place = "cpu" if runtime == "torch" else "cuda"
    machine = torch_machine(threads, batch, place)
    return lambda name: torch_call(plan.graphs[name](), threads, batch, place), machine


def _need_onnxruntime() -> None:
    """Check that onnx and onnxruntime are installed.

    Raises:
        UserError: One is not.
    """
    import importlib.util

    from smemnas.bench.program import install

    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"--runtime onnxruntime needs {' and '.join(missing)}: {install('train')}")

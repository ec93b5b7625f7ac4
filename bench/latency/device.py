"""Times the blocks and networks of a plan, and makes the table of them.

This file runs alone: `latency script` copies it as measure.py beside plan.json and ONNX files, and a device that has
Python, NumPy and onnxruntime makes the same table with it:

    python measure.py --out my.json
    python measure.py --check my.json

Every round is written to TABLE.part at once; the same command goes on after an interruption. Beside this file lies
rounds.py, which says how graphs are timed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smemnas.bench.latency import rounds
from smemnas.bench.latency.rounds import CLOCKS, Call, Kept, Tell, quiet

FORMAT, VERSION = "smemnas-latency", 1
#: How well networks are believed while factors are fitted (of their latency), and how far a factor is expected from 1.
NOISE, FREEDOM = 0.02, 0.1
#: Bounds of a factor.
LOWEST, HIGHEST = 0.2, 5.0
#: Most CPU threads, and most images of a call.
MOST_THREADS, MOST_BATCH = 1024, 65536


class DeviceError(Exception):
    """A mistake that the message explains."""


def middle(values: Any) -> tuple[float, float]:
    """Return the median and how far the middle half of some values is spread."""
    low, mid, high = np.percentile(values, [25, 50, 75])
    return float(mid), float(high - low)


def block_time(block: Mapping[str, Any], times: Mapping[str, Any]) -> dict[str, Any]:
    """Return the time of a block: what the plus graphs take more than the minus graphs, by how often it is in there."""
    plus, minus = (np.array([times[name] for name in block[sign]]) for sign in ("plus", "minus"))
    ms = sum(np.median(plus, axis=1)) - (sum(np.median(minus, axis=1)) if len(minus) else 0.0)
    rounds = plus.sum(axis=0) - minus.sum(axis=0)
    return {
        "ms": max(float(ms) / block["count"], 0.0),
        "spread": middle(rounds / block["count"])[1],
        "rounds": plus.shape[1],
    }


def network_time(network: Mapping[str, Any], times: Mapping[str, Any]) -> dict[str, Any]:
    """Return the time of a whole network."""
    ms, spread = middle(times[network["graph"]])
    return {"ms": ms, "spread": spread}


def fitted_factors(
    blocks: Mapping[str, Mapping[str, Any]], groups: Mapping[str, str], networks: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, float], float]:
    """Return a factor for each group of blocks and what a call costs beside them, from whole networks.

    Blocks in a network find other caches than in a short chain. The factors minimise relative errors of the networks,
    each held near 1, as far as networks do not say otherwise (ridge regression).

    Args:
        blocks: Measured blocks by key.
        groups: Group of each block.
        networks: Each has "terms" (how often it has each block) and "ms".
    """
    names = sorted(set(groups.values()))
    if not networks:
        return dict.fromkeys(names, 1.0), 0.0
    A, y = np.zeros((len(networks), 1 + len(names))), np.array([float(n["ms"]) for n in networks])
    A[:, 0] = 1.0
    for row, network in zip(A, networks):
        for key, times in network["terms"].items():
            row[1 + names.index(groups[key])] += times * blocks[key]["ms"]
    weights = 1.0 / (NOISE * y)
    prior = np.eye(1 + len(names)) / FREEDOM
    prior[0, 0] = 1.0 / (0.05 * y.min())
    wanted = prior @ np.array([0.0, *[1.0] * len(names)])
    x = np.linalg.lstsq(np.vstack([A * weights[:, None], prior]), np.append(y * weights, wanted), rcond=None)[0]
    factors = np.clip(x[1:], LOWEST, HIGHEST).tolist()
    return dict(zip(names, factors)), max(float(x[0]), 0.0)


def predicted(table: Mapping[str, Any], terms: Mapping[str, float]) -> float:
    """Return what a table says of a network."""
    parts = (times * table["blocks"][key]["ms"] * table["scale"][table["groups"][key]] for key, times in terms.items())
    return float(table["overhead"] + sum(parts))


def kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Return Kendall's tau-b of two lists, 0 where one of them is constant."""
    x, y = (np.sign(np.subtract.outer(v, v)) for v in (np.asarray(a), np.asarray(b)))
    norm = np.sqrt(float((x != 0).sum()) * float((y != 0).sum()))
    return float((x * y).sum() / norm) if norm else 0.0


def compared(table: Mapping[str, Any], networks: Sequence[Mapping[str, Any]], about: str) -> dict[str, Any]:
    """Return how a table's predictions compare with measured networks."""
    rows = [
        {"arch": n["arch"], "ms": n["ms"], "spread": n["spread"], "predicted": predicted(table, n["terms"])}
        for n in networks
    ]
    real, said = ([row[key] for row in rows] for key in ("ms", "predicted"))
    error = 100.0 * float(np.mean(np.abs(np.array(said) / np.array(real) - 1.0)))
    return {"about": about, "tau": kendall(real, said), "error": error, "networks": rows}


def signed_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with its checksum."""
    rest = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return {**rest, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def write_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Write a table under another name first, so that it is there whole or not at all."""
    part = path.with_name(f"{path.name}.new")
    part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(part, path)


def protocol_of(clock: str) -> dict[str, Any]:
    """Return how graphs are timed, as JSON values."""
    numbers = {name: getattr(rounds, name.upper()) for name in ("warmup", "rounds", "seconds", "near")}
    return {"clock": clock, "order": "interleaved", **numbers}


def measure_table(
    plan: Mapping[str, Any],
    machine: Mapping[str, Any],
    opened: Callable[[str], Call],
    out: Path,
    tell: Tell = quiet,
    clock: str = "wall",
) -> dict[str, Any]:
    """Measure all blocks and the networks that factors are fitted to, and write the table.

    Args:
        plan: What is measured, see docs/latency.md.
        machine: What the table says of this machine.
        opened: Returns a graph of the plan, ready to run.
        out: The table; beside it PART holds what is measured so far.
        tell: Told after each round.
        clock: One of `CLOCKS`.
    """
    protocol = protocol_of(clock)
    identity = {"plan": plan_digest(plan), "machine": dict(machine), "protocol": protocol}
    kept = Kept(out.with_name(f"{out.name}.part"), identity)
    networks = [n for n in plan["networks"] if n["use"] == "fit"]
    names = [name for block in plan["blocks"] for name in (*block["plus"], *block["minus"])]
    names = [*dict.fromkeys(names), *(n["graph"] for n in networks)]
    common = rounds.some_of([n["graph"] for n in networks] or names)
    times, _ = rounds.timed_graphs(names, opened, CLOCKS[clock], kept, tell, common, {})
    blocks = {block["key"]: block_time(block, times) for block in plan["blocks"]}
    whole = [{**network, **network_time(network, times)} for network in networks]
    groups = {block["key"]: block["group"] for block in plan["blocks"]}
    scale, overhead = fitted_factors(blocks, groups, whole)
    table = {
        "format": FORMAT,
        "version": VERSION,
        "space": plan["space"],
        "machine": dict(machine),
        "protocol": protocol,
        "blocks": blocks,
        "groups": groups,
        "scale": scale,
        "overhead": overhead,
        "check": {},
    }
    table["fitted"] = compared(table, whole, "")["networks"] if whole else []
    table = signed_content(table)
    write_whole(out, table)
    kept.path.unlink()
    return table


def check_table(
    plan: Mapping[str, Any],
    machine: Mapping[str, Any],
    opened: Callable[[str], Call],
    file: Path,
    table: Mapping[str, Any],
    tell: Tell = quiet,
) -> dict[str, Any]:
    """Measure the networks that a plan keeps for it, compare them with a table's predictions and write these into it.

    Raises:
        DeviceError: The table is of another machine or of other networks.
    """
    if table["space"] != plan["space"]:
        raise DeviceError(f"{file} was measured on other networks than this plan has.")
    differs = [
        f"{k} {table['machine'].get(k)!r}, here {v!r}" for k, v in machine.items() if table["machine"].get(k) != v
    ]
    if differs:
        raise DeviceError(f"{file} was measured elsewhere ({'; '.join(differs)}): check it there, as it was measured.")
    protocol = protocol_of(table["protocol"]["clock"])
    identity = {"plan": plan_digest(plan), "table": table["sha256"], "protocol": protocol}
    kept = Kept(file.with_name(f"{file.name}.check.part"), identity)
    networks = [n for n in plan["networks"] if n["use"] != "fit"]
    before = {row["arch"]: row["ms"] for row in table["fitted"]}
    again = {n["graph"]: before[n["arch"]] for n in plan["networks"] if n["arch"] in before}
    common = rounds.some_of([*again] or [n["graph"] for n in networks])
    known = {name: again[name] for name in common if name in again}
    clock, names = CLOCKS[protocol["clock"]], [n["graph"] for n in networks]
    times, slow = rounds.timed_graphs(names, opened, clock, kept, tell, common, known)
    groups: dict[str, list[dict[str, Any]]] = {}
    for network in networks:
        groups.setdefault(network["use"], []).append({**network, **network_time(network, times)})
    checks = {use: {**compared(table, rows, plan["uses"][use]), "slow": slow} for use, rows in groups.items()}
    checked = signed_content({**table, "check": checks})
    write_whole(file, checked)
    kept.path.unlink()
    return checked


def plan_digest(plan: Mapping[str, Any]) -> str:
    """Return a checksum of a plan."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def check_lines(table: Mapping[str, Any]) -> list[str]:
    """Return what a check found, a line for each group."""
    lines = [
        f"{len(group['networks'])} networks {group['about']}: tau {group['tau']:.3f}, mean error {group['error']:.2f} %"
        for group in table["check"].values()
    ]
    slow = {f"{group['slow']:.2f}" for group in table["check"].values()} - {"1.00"}
    return lines + [f"drift: {value} times the table's times while it was checked, taken out" for value in slow]


def processor_name() -> str:
    """Return the processor's name, "" where the system gives none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor()


def onnx_machine(threads: int, batch: int) -> dict[str, Any]:
    """Return what a table says of this machine under onnxruntime."""
    import onnxruntime

    return {
        "processor": processor_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "runtime": "onnxruntime",
        "runtime_version": onnxruntime.__version__,
        "threads": threads,
        "batch": batch,
    }


def onnx_call(model: bytes | str, shape: Sequence[int], threads: int, batch: int) -> Call:
    """Return a function that runs an ONNX file, by its content or path, once on random images."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).random((batch, *shape), dtype=np.float32)
    feed = {session.get_inputs()[0].name: images}
    return lambda: session.run(None, feed)


def check_options(threads: int, batch: int, clock: str, gpu: bool = False) -> None:
    """Check how graphs are to be timed.

    Raises:
        DeviceError: A number makes no sense, or the clock does not see what is timed.
    """
    for option, value, most in (("--threads", threads, MOST_THREADS), ("--batch", batch, MOST_BATCH)):
        if not 1 <= value <= most:
            raise DeviceError(f"{option} takes 1 to {most:,}, got {value:,}.")
    if clock == "cpu" and (threads > 1 or gpu):
        raise DeviceError("--clock cpu sees what one CPU thread computes: leave it out with more threads or a GPU.")


def differences(table: Mapping[str, Any], plan: Mapping[str, Any], machine: Mapping[str, Any], clock: str) -> list[str]:
    """Return how a table that is there was measured otherwise than it would be now, item by item."""
    wanted = {**plan["space"], **machine, **protocol_of(clock)}
    wanted["networks"] = sum(n["use"] == "fit" for n in plan["networks"])
    found = {**table["space"], **table["machine"], **table["protocol"], "networks": len(table["fitted"])}
    wanted = json.loads(json.dumps(wanted))
    return [f"{key} {found.get(key)!r}, not {value!r}" for key, value in wanted.items() if found.get(key) != value]


def read_table(file: Path) -> dict[str, Any]:
    """Return the content of a table.

    Raises:
        DeviceError: The file holds something else.
    """
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        table = None
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise DeviceError(f"{file} is no latency table: choose another file.")
    return table


def parser_of_options() -> argparse.ArgumentParser:
    """Return what reads the options of `main`."""
    parser = argparse.ArgumentParser(description="Measure the blocks beside this file on this device.")
    parser.add_argument("--out", default="latency.json", help="the table to write")
    parser.add_argument("--check", default="", metavar="TABLE", help="compare a table with whole networks instead")
    parser.add_argument("--threads", type=int, help="CPU threads, 1 unless it is said")
    parser.add_argument("--batch", type=int, help="images of a call, 1 unless it is said")
    parser.add_argument("--clock", choices=tuple(CLOCKS), help="cpu: on a busy machine, with one thread; wall else")
    return parser


def measured_here(given: argparse.Namespace, place: Path) -> list[str]:
    """Measure or check with the plan and the ONNX files of a folder; return what there is to say.

    Raises:
        DeviceError: The options make no sense, or a file is no table or that of another measurement.
    """
    plan = json.loads((place / "plan.json").read_text(encoding="utf-8"))
    table = read_table(Path(given.check)) if given.check else {}
    if table and (given.threads, given.batch, given.clock) != (None, None, None):
        raise DeviceError("--check measures as the table was measured: leave --threads, --batch and --clock out.")
    threads, batch = (table["machine"][k] if table else 1 for k in ("threads", "batch"))
    clock = str(table["protocol"]["clock"]) if table else given.clock or "wall"
    threads = threads if given.threads is None else given.threads
    batch = batch if given.batch is None else given.batch
    check_options(threads, batch, clock)
    machine, out = onnx_machine(threads, batch), Path(given.out)

    def tell(name: str, done: int, n: int) -> None:
        print(f"{done} of {n}: {name}", flush=True)

    def opened(name: str) -> Call:
        graph = plan["graphs"][name]
        return onnx_call(str(place / graph["file"]), graph["shape"], threads, batch)

    if table:
        return check_lines(check_table(plan, machine, opened, Path(given.check), table, tell))
    if out.exists():
        other = differences(read_table(out), plan, machine, clock)
        if other:
            raise DeviceError(f"{out} is there and was measured otherwise ({'; '.join(other)}): choose another --out.")
        return [f"{out} was measured before, in the same way: remove it to measure again"]
    measure_table(plan, machine, opened, out, tell, clock)
    return [f"{out} is complete"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure or check with the plan and the ONNX files beside this file."""
    given = parser_of_options().parse_args(arguments)
    try:
        print("\n".join(measured_here(given, Path(__file__).resolve().parent)))
    except (DeviceError, OSError, ImportError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What is done through the command line: trainings that are killed, and the registered experiment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smemnas.bench.commands.root import cli

from .figures import Found, within
from .sizes import PATIENCE, Size

ROOT = Path(__file__).resolve().parents[2]
PLAN = """
stages = ["gate", "search", "fresh"]
space = "nats_sss"
dataset = "train+{data}+{recipe}"
arms = [{{ name = "SMEM-NAS", method = "smemnas" }}, {{ name = "random" }}]
seeds = "{seeds}"
budget = {budget}
shared = {shared}

[gate]
networks = {networks}
seeds = {trainings}
ratio = 0.0

[ranking]
surrogates = ["kernel_pairwise", "kernel_ridge"]
sizes = [{learned}]
draws = 5
left = 2
"""


def call(*words: object) -> None:
    """Run a command in this process."""
    cli.main(args=[str(word) for word in words], prog_name="smemnas", standalone_mode=False)


def started(*words: object) -> subprocess.Popen[bytes]:
    """Start a command in a process of its own."""
    command = [sys.executable, str(ROOT / "cli.py"), *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def write_images(folder: Path, size: Size) -> Path:
    """Write images of ten colours with noise on them, in the usual folders; return the folder."""
    rng = np.random.default_rng(0)
    for split, n in (("train", size.images), ("test", max(size.images // 8, 4))):
        for k in range(10):
            place = folder / split / f"c{k}"
            place.mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(0, 120, (size.side, size.side, 3), dtype=np.uint8)
                pixels[..., k % 3] += 60 + 7 * k
                (place / f"{i}.ppm").write_bytes(b"P6 %d %d 255\n" % (size.side, size.side) + pixels.tobytes())
    return folder


def resumed(device: str, size: Size, folder: Path) -> dict[str, Found]:
    """Trainings, killed after an epoch and given again, against trainings that were not; deterministic ones."""
    arch = f"r{size.side}-3333-3333-3333-3333-3333"
    source = write_images(folder / "images", size)
    images = ("--data", source, "--stem", "small", "--width", size.width)
    supernet = ("supernet", "train", *images, "--epochs", size.epochs, "--batch", 64, "--lr", 0.02, "--random", 1)
    last = ("retrain", "--arch", arch, *images, "--preset", "small", "--epochs", size.epochs, "--set", "batch=64")
    run = ("run", "--method", "random", "--space", "nats_sss", "--evaluator", "train", "--data", source, "--recipe")
    run = (*run, "tiny", "--budget", 1, "--train", f"epochs={size.epochs}", "--train", f"channels={size.channels}")
    amp = () if device == "cpu" else ("--amp",)
    one = ("--threads", 1)
    kinds: dict[str, tuple[tuple[object, ...], str, str]] = {
        "train": (run, "trained/*/*/checkpoint.pt", "trained/*/*/weights.pt"),
        "supernet": ((*supernet, "--deterministic", *amp, *one), "checkpoint.pt", "checkpoint.pt"),
        "retrain": ((*last, "--workers", 0, *one), "checkpoint.pt", "weights.pt"),
    }
    return {
        f"resume {name}": killed((*words, "--device", device, "--quiet"), folder / name, sign, weights)
        for name, (words, sign, weights) in kinds.items()
    }


def killed(words: tuple[object, ...], folder: Path, sign: str, weights: str) -> Found:
    """Kill a command with -9 once a file is there, give it again, and compare weights with those of an undisturbed one.

    Args:
        words: The command without --out.
        folder: For both.
        sign: Pattern of the file, below the folder of the command.
        weights: Pattern of the file of weights there.
    """
    process, end = started(*words, "--out", folder / "killed"), time.monotonic() + PATIENCE
    while not list((folder / "killed").glob(sign)) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    running = process.poll() is None
    if running:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if not running or time.monotonic() >= end:
        return Found({}, f"the command ended ({process.returncode}) or was slow before it could be killed")
    for name in ("killed", "whole"):
        call(*words, "--out", folder / name)
    a, b = (_weights(folder / name, weights) for name in ("killed", "whole"))
    return within({"apart": max(float((a[key].double() - b[key].double()).abs().max()) for key in b)}, apart=0.0)


def _weights(folder: Path, pattern: str) -> dict[str, torch.Tensor]:
    (file,) = folder.glob(pattern)
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return state.get("state_dict", state)


def inherited(device: str, size: Size, checkpoint: Path) -> Found:
    """Accuracies of a supernet's networks, read on the device and on the CPU."""
    from smemnas.bench.library.supernet import SupernetEvalOptions, supernet_eval

    read = [
        supernet_eval(SupernetEvalOptions(checkpoint, n_random=2, images=300, device=where)).networks
        for where in (device, "cpu")
    ]
    return within(
        {"points_apart": max(abs(a.accuracy - b.accuracy) for a, b in zip(*read, strict=True))}, points_apart=1.5
    )


def headline(device: str, size: Size, folder: Path, data: str, seconds: float) -> Found:
    """As much of the registered experiment as some seconds allow; on a busy CPU at least its first training."""
    from urllib.parse import quote

    recipe, networks, trainings, budget, seeds = size.plan
    shared, learned = min(20, budget), 4 if size.toy else 50
    told = {"recipe": recipe, "networks": networks, "trainings": trainings, "budget": budget, "seeds": seeds}
    plan = folder.with_suffix(".toml")
    plan.write_text(PLAN.format(data=quote(data, safe=""), shared=shared, learned=learned, **told))
    process = started("study", "--plan", plan, "--jobs", 1, "--device", device, "--quiet", "--out", folder)
    start, done = time.monotonic(), "trainings/trained/*/*/result.json"
    while process.poll() is None:
        time.sleep(0.2)
        spent = time.monotonic() - start
        if spent > seconds and (not size.toy or spent > PATIENCE or next(folder.glob(done), None)):
            os.killpg(process.pid, signal.SIGKILL)
            break
    code = process.wait()
    figures: dict[str, Any] = {"seconds_given": round(seconds), "complete": code == 0, "data": data}
    rows = [json.loads(file.read_bytes()) for file in folder.glob(done)]
    figures |= {"trainings": len(rows), "failed": sum(bool(row["reason"]) for row in rows)}
    if rows:
        figures["seconds_a_training"] = sorted(row["seconds"] for row in rows)[len(rows) // 2]
    for name in ("progress", "gate"):
        if (folder / f"{name}.json").exists():
            found = json.loads((folder / f"{name}.json").read_bytes())
            figures[name] = found.get("found", found)
    if code == 0:
        figures["answer"] = (folder / "experiment.md").read_text().splitlines()[2]
    wrong = f"the study ended with {code}" if code not in (0, -signal.SIGKILL) else "" if rows else "no training ended"
    return Found(figures, wrong)

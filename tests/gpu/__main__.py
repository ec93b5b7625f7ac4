"""`python -m tests.gpu`: all checks, one line each, and a file of results; exit status 1 where one is wrong."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .sizes import FULL, LEAST, TOY, Size


def main(arguments: list[str] | None = None) -> int:
    """Run them."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="File of results.")
    parser.add_argument("--data", default="digits", help="Images of the experiment, as --data of `run` takes them.")
    parser.add_argument("--cpu", action="store_true", help="Toy size on the CPU although there is a GPU.")
    options = parser.parse_args(arguments)
    import torch

    cuda = torch.cuda.is_available() and not options.cpu
    device, size = ("cuda:0", FULL) if cuda else ("cpu", TOY)
    name = torch.cuda.get_device_name(device) if cuda else f"CPU ({platform.processor() or platform.machine()})"
    said = "on the GPU" if cuda else "NO GPU: all of it at toy size on the CPU"
    start, checks = time.monotonic(), {}
    print(f"{name}, torch {torch.__version__}: {said}", flush=True)
    with tempfile.TemporaryDirectory(prefix="smemnas-gpu-") as folder:
        os.environ["SMEMNAS_DATA"] = str(Path(folder) / "data")
        for key, found in all_checks(device, size, Path(folder), options.data, start):
            checks[key] = found
            print(line(key, found, time.monotonic() - start), flush=True)
    results = {
        "device": name,
        "cuda": torch.version.cuda if cuda else None,
        "toy": size.toy,
        "note": said,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "seconds": round(time.monotonic() - start, 1),
        "passed": not any(found["wrong"] for found in checks.values()),
        "checks": checks,
    }
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    wrong = sum(bool(found["wrong"]) for found in checks.values())
    print(f"{len(checks) - wrong} of {len(checks)} checks passed in {results['seconds']:.0f} s, {said}: {options.out}")
    return int(wrong > 0)


def all_checks(device: str, size: Size, folder: Path, data: str, start: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each check's name and what it found; one that raises is wrong, and the others go on."""
    from . import calls, figures, seeds

    for check in (figures.float32, figures.against_cpu, figures.half, figures.speed, seeds.seeds, figures.memory):
        yield check.__name__, attempted(lambda check=check: check(device, size))
    resumed: dict[str, Any] = {}

    def resume() -> figures.Found:
        resumed.update(calls.resumed(device, size, folder / "resume"))
        return figures.Found({"kinds": len(resumed)}, "; ".join(f.wrong for f in resumed.values() if f.wrong))

    yield "resume", attempted(resume)
    yield from ((key, found._asdict()) for key, found in resumed.items())
    checkpoint = folder / "resume" / "supernet" / "whole" / "checkpoint.pt"
    yield "inherited", attempted(lambda: calls.inherited(device, size, checkpoint))
    left = max(size.seconds - (time.monotonic() - start), LEAST if size.toy else 0.0)
    yield "headline", attempted(lambda: calls.headline(device, size, folder / "headline", data, left))


def attempted(check: Callable[[], Any]) -> dict[str, Any]:
    """Return what a check found; its last words where it raises."""
    try:
        return dict(check()._asdict())
    except Exception as error:  # whatever it is, the others are worth their time
        traceback.print_exc()
        return {"figures": {}, "wrong": f"{type(error).__name__}: {error}"}


def line(key: str, found: dict[str, Any], seconds: float) -> str:
    """Return a check in a line."""
    shown = {k: v for k, v in found["figures"].items() if not isinstance(v, dict) and not k.endswith("_limit")}
    text = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in shown.items())
    return f"[{seconds:4.0f} s] {'WRONG' if found['wrong'] else 'ok   '} {key}: {found['wrong'] or text}"


if __name__ == "__main__":
    sys.exit(main())

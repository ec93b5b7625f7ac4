"""The long form: `python -m tests.fuzz --calls 3000 --seed 1` prints counts and the calls that failed.

A third of the calls meets a broken folder; one in forty is a process of its own, with another console, closed or full
streams or Ctrl-C in its first second. The same seed makes the same calls. Exit status 1 where one failed.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st

from .broken import Broken, apply, broken_folders
from .calls import Call, calls
from .sandbox import MADE, Sandbox, changed, left
from .server import Server, real_call
from .verdict import judge

#: Calls that Hypothesis draws together: later ones of a batch are too much like the earlier.
BATCH = 8
#: How processes of their own are started: variables, redirections of the shell, Ctrl-C.
WAYS: tuple[dict[str, Any], ...] = (
    {"env": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}},
    {"env": {"PYTHONIOENCODING": "ascii"}},
    {"redirect": ">&-"},
    {"redirect": "2>&-"},
    {"redirect": ">/dev/full"},
    {"interrupt": True},
)


class Finding(NamedTuple):
    """A call and what was wrong with how it ended."""

    verdict: str
    args: tuple[str, ...]
    text: str


class Fuzzer:
    """Makes calls and judges them."""

    def __init__(self, folder: Path, limit: float = 90.0) -> None:
        self.server = Server(folder)
        self.sandbox = Sandbox(self.server, folder)
        self.limit = limit
        self.counts: Counter[str] = Counter()

    def try_call(self, call: Call, way: int = 0, moment: float = 0.5) -> Finding:
        """Make one call, as a process of its own where `way` is one of `WAYS`."""
        place = self.sandbox.fresh()
        try:
            env = self.sandbox.environment(place)
            if 0 < way <= len(WAYS):
                how = WAYS[way - 1]
                interrupt = moment if "interrupt" in how else None
                redirect = how.get("redirect", "")
                env = {**env, **how.get("env", {})}
                args = [a.encode("utf-8", "surrogateescape") for a in call.args if len(a) < 100_000]
                done = real_call(args, place / "cwd", env, self.limit, redirect=redirect, interrupt=interrupt)
                verdict = judge(
                    done, must_fail=call.must_fail and interrupt is None, interrupted=interrupt is not None,
                    deaf=redirect == "2>&-",
                )  # fmt: skip
            else:
                done = self.server.call(call.args, place / "cwd", env, self.limit)
                verdict = judge(done, must_fail=call.must_fail)
            return self._found(verdict, call.args, done, place)
        finally:
            self.sandbox.drop(place)

    def try_broken(self, case: Broken) -> Finding:
        """Break a folder and make a call on it."""
        place = self.sandbox.fresh()
        try:
            really = apply(case, place / "cwd")
            done = self.server.call(case.args, place / "cwd", self.sandbox.environment(place), self.limit)
            verdict = judge(done)
            if not verdict and really and done["code"] == 0 and case.args == MADE[case.folder]:
                before, after = (self._numbers(t) for t in (self.sandbox.outputs[case.folder], done["out"]))
                if before != after:
                    verdict = "NUMBERS"
            short = f"{str(case.change)[:60]} {case.folder}/{case.file}"
            return self._found(verdict, (f"[{short}]", *case.args), done, place)
        finally:
            self.sandbox.drop(place)

    def _numbers(self, text: str) -> list[str]:
        """Return the printed lines whose numbers a broken file may not change; times change anyway."""
        lines = text.splitlines()
        end = next((k for k, line in enumerate(lines) if "econds" in line or line.startswith("time ")), len(lines))
        return [line for line in lines[:end] if any(c.isdigit() for c in line)]

    def _found(self, verdict: str, args: tuple[str, ...], done: dict[str, Any], place: Path) -> Finding:
        gone = changed(place)
        if not verdict and gone:
            verdict = f"FOREIGN {', '.join(gone)}"
        if not verdict and done["code"] in (1, 2):
            bare = left(place, self.sandbox.template)
            verdict = f"LEFT {', '.join(bare)[:80]}" if bare else ""
        self.counts[verdict.split()[0] if verdict else f"ok {done['code']}"] += 1
        return Finding(verdict, args, (done["err"] or done["out"])[-2500:])

    def close(self) -> None:
        """End the process that forks."""
        self.server.close()


#: Most calls are forked, one in forty is not.
_AS_USUAL = st.tuples(
    calls(), st.sampled_from((0,) * 39 * len(WAYS) + tuple(range(1, len(WAYS) + 1))), st.floats(0.1, 1)
)
#: A third meets a broken folder.
KINDS = st.one_of(_AS_USUAL, _AS_USUAL, broken_folders())


def fuzz(n_calls: int, seed: int, seconds: float = 1e9, show: bool = True) -> tuple[Counter[str], list[Finding]]:
    """Make calls and return how many ended how, and those that ended badly."""
    folder = Path(tempfile.mkdtemp(prefix="smemnas-fuzz-"))
    end = time.monotonic() + seconds
    bad: list[Finding] = []
    seen: set[str] = set()

    @settings(
        max_examples=BATCH, phases=[Phase.generate], database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(KINDS)
    def one(drawn) -> None:
        if repr(drawn) in seen or time.monotonic() > end or sum(fuzzer.counts.values()) >= n_calls:
            return
        seen.add(repr(drawn))
        found = fuzzer.try_broken(drawn) if isinstance(drawn, Broken) else fuzzer.try_call(*drawn)
        if found.verdict:
            bad.append(found)
            if show:
                print(f"{found.verdict}: {shlex.join(found.args)[:600]!a}\n{found.text[-1500:]!s}\n", flush=True)

    fuzzer = Fuzzer(folder)
    try:
        for batch in count():
            if time.monotonic() > end or sum(fuzzer.counts.values()) >= n_calls:
                break
            with_seed(seed * 1_000_000 + batch)(one)()
            if show and batch % 10 == 9:
                print(f"after {sum(fuzzer.counts.values())} calls: {dict(fuzzer.counts)}", flush=True)
    finally:
        fuzzer.close()
        shutil.rmtree(folder, ignore_errors=True)
    return fuzzer.counts, bad


def main() -> None:
    """Read the options, fuzz, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e6, help="make no more calls after so many minutes")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    begin = time.monotonic()
    counts, bad = fuzz(options.calls, options.seed, options.minutes * 60)
    seconds = time.monotonic() - begin
    print(f"{sum(counts.values())} calls, seed {options.seed}, {seconds:.0f} s: {dict(counts.most_common())}")
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()

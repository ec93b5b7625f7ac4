"""Small original files for tests: same format as the published ones, made of random numbers."""

import csv
import http.server
import json
import re
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from smemnas.bench.data.analog import OPERATION, POSITION
from smemnas.bench.data.nb201 import HARDWARE, PROXY_NAMES
from smemnas.spaces.macro import Macro
from smemnas.spaces.nats_sss import NATSSize
from smemnas.spaces.nb201 import NB201

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def original(folder, file):
    """Path of an original file, or a skip that says what is needed."""
    path = SHARED / folder / file
    if not path.is_file():
        pytest.skip(f"put the original files there to run this: ../shared/data/{folder}/{file}")
    return path


def tuples_of(X):
    """Genotypes as the tuples of the hardware and proxy files."""
    code = np.empty((len(X), 6), dtype=int)
    code[:, POSITION] = np.argsort(OPERATION)[X]
    return [tuple(int(v) for v in row) for row in code]


def nb201_accuracies(path, seed=0):
    """Write the accuracy JSON in random order; return validation and test accuracy in grid order."""
    space, rng = NB201(), np.random.default_rng(seed)
    X = space.enumerate()
    values = rng.uniform(10, 95, (len(X), 2))
    order = rng.permutation(len(X))
    path.write_text(
        json.dumps(
            {
                space.to_str(X[i]): {"val_acc_200": values[i, 0], "test_acc_200": values[i, 1], "rank": int(i)}
                for i in order
            }
        )
    )
    return values


def nb201_hardware(path, seed=1):
    """Write the hardware CSV in random order; return the values in grid order, columns as in `HARDWARE`."""
    space, rng = NB201(), np.random.default_rng(seed)
    X = space.enumerate()
    values = rng.uniform(0.1, 50, (len(X), len(HARDWARE)))
    values[::3, list(HARDWARE).index("edgetpu_latency")] = -1
    names = tuples_of(X)
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["net", *HARDWARE])
        writer.writerows([str(names[i]), *map(float, values[i])] for i in rng.permutation(len(X)))
    return values


def nb201_proxies(path, n=40, seed=2):
    """Write the proxy CSV for n cells; return their genotypes and values, columns as in `PROXY_NAMES`."""
    space, rng = NB201(), np.random.default_rng(seed)
    X = space.enumerate()[rng.choice(space.size, n, replace=False)]
    values = rng.normal(size=(n, len(PROXY_NAMES)))
    values[:, PROXY_NAMES.index("flops")] = space.cost(X, "flops_naslib")
    values[:, PROXY_NAMES.index("params")] = space.cost(X, "params")
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["net", "net_str", *PROXY_NAMES])
        writer.writerows([str(t), space.to_str(x), *map(float, v)] for t, x, v in zip(tuples_of(X), X, values))
    return X, values


def macro_file(path, seed=0):
    """Write the NAS-Bench-Macro JSON; return the accuracies in grid order."""
    space, rng = Macro(), np.random.default_rng(seed)
    X = space.enumerate()
    values = rng.uniform(40, 94, (len(X), 3))
    flops, params = (np.rint(space.cost(X, c) * 1e6).astype(int) for c in ("flops", "params"))
    path.write_text(
        json.dumps(
            {
                space.to_str(X[i]): {
                    "test_acc": values[i].tolist(),
                    "mean_acc": values[i].mean(),
                    "std": values[i].std(),
                    "params": int(params[i]),
                    "flops": int(flops[i]),
                }
                for i in rng.permutation(len(X))
            }
        )
    )
    return values


def sss_file(path, seed=0):
    """Write the two-column file, some keys quoted and some not; return the accuracies in grid order."""
    space, rng = NATSSize(), np.random.default_rng(seed)
    X = space.enumerate()
    values = np.round(rng.uniform(79, 94, len(X)), 2)
    lines = []
    for i in rng.permutation(len(X)):
        name = space.to_str(X[i])
        lines.append(f"'{name}': {values[i]}" if i % 3 else f"{name}: {values[i]}")
    path.write_text("\n".join(lines) + "\n")
    return values


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; knows byte ranges; breaks off after `server.cut` bytes while `server.cuts` is positive."""

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        file = Path(self.directory) / self.path.lstrip("/")
        if not file.is_file():
            self.send_error(404)
            return
        data, start = file.read_bytes(), 0
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if found and server.ranges:
            start = int(found[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        body = data[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cuts > 0:
            server.cuts -= 1
            body = body[: server.cut]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def serve(folder):
    """Serve a folder on 127.0.0.1; yields the server, whose `url` ends with a slash."""

    def handler(*args):
        return Handler(*args, directory=str(folder))

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.requests, server.ranges, server.cuts, server.cut = [], True, 0, 0
    server.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

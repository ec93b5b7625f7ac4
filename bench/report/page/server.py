"""A page that follows a running study, served to this machine alone: `report --watch`.

The page asks again every few seconds, so new runs appear without a reload. Beside it stands the report of what is
finished, made anew when runs have come. Nothing but the standard library.
"""

from __future__ import annotations

import json
import mimetypes
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from smemnas.bench.colours import style_rules
from smemnas.bench.errors import RunError, UserError
from smemnas.bench.report.page.live import Watched
from smemnas.bench.report.page.page import PAGE, digest, read_asset
from smemnas.bench.report.page.page import fill as fill_template

HOST, PORT = "127.0.0.1", 8642
#: Names by which this machine calls itself; a page of another name asks in vain (DNS rebinding).
LOCAL = frozenset({"127.0.0.1", "localhost"})
#: Seconds between two looks at least, and as many times what a look took; the same between two reports.
LOOK, LOOKS, REPORT, REPORTS = 1.0, 5.0, 10.0, 4.0


class Watch:
    """The newest state of what is watched, renewed by two threads.

    Args:
        watched: What is looked at.
        make_report: Makes the report of what is finished.
        out: Its folder.
    """

    def __init__(self, watched: Watched, make_report: Callable[[], object], out: Path) -> None:
        self._watched, self._make_report, self.out = watched, make_report, out
        self._ended = threading.Event()
        self._report: dict[str, Any] = {"runs": None, "error": ""}
        self._state = {**watched.look(), "report": self._report, "every": LOOK}
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._look, self._write)]

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Stop looking; a report that is being made is left unfinished."""
        self._ended.set()

    def state(self) -> bytes:
        """Return the newest state as JSON."""
        return json.dumps({**self._state, "report": self._report}, allow_nan=False).encode()

    def _look(self) -> None:
        wait = LOOK
        while not self._ended.wait(wait):
            begun = time.monotonic()
            try:
                found = self._watched.look()
            except (UserError, OSError) as error:  # the folder may come back
                found = {**self._state, "trouble": " ".join(str(error).split())}
            wait = max(LOOK, LOOKS * (time.monotonic() - begun))
            self._state = {**found, "every": wait}

    def _write(self) -> None:
        """Make the report anew when runs have finished since the last one."""
        wait, last = 0.0, None
        while not self._ended.wait(wait):
            begun, now = time.monotonic(), self._state["done"]
            if now and now != last:
                try:
                    self._make_report()
                    self._report = {"runs": now, "error": ""}
                except (UserError, OSError) as error:
                    self._report = {**self._report, "error": " ".join(str(error).split())}
                last = now
            wait = max(REPORT if now else LOOK, REPORTS * (time.monotonic() - begun))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, port: int, watch: Watch) -> None:
        self.watch = watch
        self.page = _page()
        super().__init__((HOST, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Answer with the page, the state, or a file of the report."""
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        path = unquote(urlsplit(self.path).path)
        if host not in LOCAL:
            self._send(HTTPStatus.FORBIDDEN, b"asked by another name", "text/plain")
        elif path == "/":
            self._send(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif path == "/state.json":
            self._send(HTTPStatus.OK, self.server.watch.state(), "application/json")
        elif path.startswith("/report/"):
            self._send_file(path.removeprefix("/report/") or PAGE)
        else:
            self._send(HTTPStatus.NOT_FOUND, b"nothing here", "text/plain")

    def _send_file(self, name: str) -> None:
        """Send a file of the report's folder and nothing outside it."""
        top = self.server.watch.out.resolve()
        file = (top / name).resolve()
        if not file.is_relative_to(top) or not file.is_file():
            self._send(HTTPStatus.NOT_FOUND, b"no such file in the report", "text/plain")
            return
        kind = mimetypes.guess_type(file.name)[0] or "text/plain"
        self._send(HTTPStatus.OK, file.read_bytes(), f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a terminal full of requests hides the address."""


def _page() -> bytes:
    """Return the page; its policy allows its own style and script, and requests to this server alone."""
    style, script = read_asset("page.css") + style_rules(), read_asset("watch.js")
    digests = {"style_sha256": digest(style), "script_sha256": digest(script)}
    return fill_template(read_asset("watch.html"), {"style": style, "script": script, **digests}).encode()


def serve(watch: Watch, port: int | None, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C.

    Args:
        watch: What is shown.
        port: Where; None takes `PORT`, or any other if that is taken.
        say: Called with each line for the terminal.

    Raises:
        RunError: The port is taken.
    """
    try:
        server = _Server(PORT if port is None else port, watch)
    except OSError as error:
        if port is not None:
            raise RunError(f"cannot listen on port {port}: {error.strerror}. Choose another --port.") from error
        server = _Server(0, watch)
    at = server.server_address[1]
    say(f"watching     http://{HOST}:{at}/ (Ctrl-C ends; the study goes on)")
    say(f"elsewhere    ssh -L {at}:{HOST}:{at} THIS-MACHINE, or run this where the folder is mounted")
    watch.start()
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        say("ended")
    finally:
        watch.end()
        server.server_close()

"""A headless Chromium, driven through its DevTools protocol; for tests of the HTML page."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-port=0",
)


def find_browser():
    """Return the path of a browser, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One browser with one tab; everything that the tab logs or requests is kept.

    Attributes:
        problems: Console errors, warnings and uncaught exceptions.
        requests: Addresses that the page asked for.
    """

    def __init__(self, program, timeout=60.0):
        self.timeout = timeout
        self.problems = []
        self.requests = []
        self._number = 0
        self._session = None
        self._open = contextlib.ExitStack()
        self._profile = tempfile.mkdtemp(prefix="page-browser-")
        command = [program, *FLAGS, f"--user-data-dir={self._profile}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, **quiet, start_new_session=True)
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self):
        from websockets.sync.client import connect

        file = Path(self._profile) / "DevToolsActivePort"
        end = time.monotonic() + self.timeout
        while not (file.exists() and len(file.read_text().splitlines()) == 2):
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the browser did not start (exit status {self._process.poll()})")
            time.sleep(0.05)
        port, path = file.read_text().splitlines()
        address = f"ws://127.0.0.1:{port}{path}"
        self._socket = self._open.enter_context(connect(address, max_size=None, proxy=None, open_timeout=self.timeout))
        [tab] = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"][:1]
        attached = self.call("Target.attachToTarget", targetId=tab["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        """End the browser that was started here, and remove its profile."""
        self._open.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, 15)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, 9)
                self._process.wait(10)
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method, **params):
        """Send one command and return its result; events that arrive meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _receive(self):
        answer = json.loads(self._socket.recv(timeout=self.timeout))
        kind, params = answer.get("method"), answer.get("params", {})
        if kind == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description") or details["text"])
        elif kind == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif kind == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])
        elif kind == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        return answer

    def open(self, file, width, height=900, dark=False, touch=False):
        """Open a file from disk in a window of some size and wait until it is drawn."""
        self.move(0, 0)  # else the new page finds the mouse where the last one left it
        self.problems.clear()
        self.requests.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=Path(file).resolve().as_uri())
        self.until("document.readyState === 'complete' && !document.querySelector('.chart:empty')")
        self.settle()

    def visit(self, address, width=1200, height=900, touch=False):
        """Open an address in a window of some size."""
        self.problems.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def evaluate(self, expression):
        """Return the value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']['exception'].get('description')}")
        return result["result"].get("value")

    def until(self, condition):
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + self.timeout
        while not self.evaluate(condition):
            if time.monotonic() > end:
                raise TimeoutError(condition)
            time.sleep(0.05)

    def centre(self, element):
        """Scroll the element of a JavaScript expression into view and return its middle.

        The scroll event comes with the next frame, and the page hides its tooltip then: it is waited for.
        """
        self.evaluate(f"{element}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        self.settle()
        box = f"{element}.getBoundingClientRect()"
        return self.evaluate(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")

    def settle(self):
        """Wait until two frames have been drawn, so that events of what was done before have been handled."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def move(self, x, y):
        """Move the mouse."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, element):
        """Click an element with the mouse."""
        x, y = self.centre(element)
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tap(self, x, y):
        """Tap with a finger."""
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def press(self, key):
        """Press a key, such as "Enter" or "ArrowRight"."""
        codes = {"Enter": (13, "\r"), "ArrowRight": (39, ""), "ArrowLeft": (37, ""), "Escape": (27, ""), " ": (32, " ")}
        code, text = codes[key]
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, text=text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def screenshot(self, file, whole=True):
        """Save a picture of the page."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        Path(file).write_bytes(base64.b64decode(data))

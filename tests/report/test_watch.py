"""`report --watch`: what the page is told, what the server gives away, and the page in a real browser."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from browser import Browser, find_browser
from conftest import ROOT
from report_runs import single
from study_cases import toy_plan

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.metrics.indicators import hypervolume_regret
from smemnas.bench.report.page.live import Watched
from smemnas.bench.report.page.server import Watch, serve
from smemnas.bench.runs.folder import STATUS
from smemnas.bench.studies.execution import folder_of, record_plan, run_study
from smemnas.bench.studies.plan import Plan
from smemnas.bench.studies.trials import collect


def started(out: Path, done: int) -> Plan:
    """Make a study of six runs of which some are done, one failed and one is going on."""
    plan = toy_plan(seeds=(0, 1, 2), budget=20, at=())
    record_plan(out, plan)
    jobs = list(plan.jobs())
    run_study(jobs[:done], out)
    failed, running = (folder_of(out, job) for job in jobs[4:6])
    failed.mkdir(parents=True)
    (failed / STATUS).write_text('{"status": "failed", "error": "out of <memory>"}')
    running.mkdir(parents=True)
    (running / STATUS).write_text('{"status": "running"}')
    (running / "evals.jsonl").write_text("{}\n" * 7)
    return plan


def test_what_is_there_is_told(tmp_path: Path) -> None:
    plan = started(tmp_path, 3)
    watched = Watched([str(tmp_path)], ["evo=Evolution"])
    state = json.loads(json.dumps(watched.look(), allow_nan=False))
    assert [state[name] for name in ("done", "failed", "running", "total")] == [3, 1, 1, 6]
    rows = {row["method"]: row for row in state["rows"]}
    assert {n: rows["random"][n] for n in ("done", "failed", "running", "missing", "total")} == {
        "done": 2, "failed": 1, "running": 0, "missing": 0, "total": 3,
    }  # fmt: skip
    assert (rows["Evolution"]["evaluations"], rows["Evolution"]["of"], rows["Evolution"]["missing"]) == (27, 60, 1)
    trials = [t for t in collect(plan, tmp_path) if t.variant == "random" and t.status == "done"]
    assert rows["random"]["regret"] == pytest.approx(sum(t.regret[-1] for t in trials) / 2, rel=1e-4)
    fronts = {id(t.reference): t.reference.front for t in trials if t.reference}
    [front] = fronts.values()
    by_hand = [hypervolume_regret(t.F, front) for t in trials]
    assert rows["random"]["regret"] == pytest.approx(sum(by_hand) / 2, rel=1e-4)
    [failure] = state["failures"]
    assert (failure["method"], failure["seed"], failure["reason"]) == ("random", 2, "out of <memory>")
    assert {(run["method"], run["seed"]) for run in state["latest"]} == {("random", 0), ("Evolution", 0), ("random", 1)}
    run_study(list(plan.jobs())[3:4], tmp_path)
    assert watched.look()["done"] == 4
    log = folder_of(tmp_path, list(plan.jobs())[3]) / "evals.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:5]))
    assert Watched([str(tmp_path)]).look()["done"] == 3  # its log was cut, whatever its status says


def test_loose_runs_and_nothing_yet(tmp_path: Path) -> None:
    assert Watched([str(tmp_path)]).look()["total"] == 0
    single(tmp_path / "run", budget=10)
    [row] = Watched([str(tmp_path)]).look()["rows"]
    assert (row["method"], row["done"], row["evaluations"], row["measured"]) == ("random", 1, 10, 1)
    with pytest.raises(UserError, match="no folder"):
        Watched([str(tmp_path / "other")]).look()


@contextmanager
def served(watch: Watch) -> Iterator[int]:
    """Serve in a thread and yield the port."""
    lines: list[str] = []
    threading.Thread(target=serve, args=(watch, None, lines.append), daemon=True).start()
    end = time.monotonic() + 30
    while not lines and time.monotonic() < end:
        time.sleep(0.01)
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", lines[0])
    assert found
    yield int(found[1])
    watch.end()


def get(port: int, path: str, host: str = "127.0.0.1") -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", f"{host}:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_server_gives_the_page_the_state_and_the_report_alone(tmp_path: Path) -> None:
    started(tmp_path / "study", 1)
    out = tmp_path / "report"
    out.mkdir()
    (out / "index.html").write_text("the report")
    (tmp_path / "secret.txt").write_text("secret")
    (out / "link.txt").symlink_to(tmp_path / "secret.txt")
    made: list[int] = []
    with served(Watch(Watched([str(tmp_path / "study")]), lambda: made.append(1), out)) as port:
        status, page = get(port, "/")
        assert status == 200
        assert b"connect-src 'self'" in page
        assert b"http://" not in page.replace(b"http://www.w3.org/", b"")
        assert json.loads(get(port, "/state.json")[1])["done"] == 1
        assert get(port, "/report/") == (200, b"the report")
        assert get(port, "/report/index.html") == (200, b"the report")
        for path in (
            "/report/../secret.txt",
            "/report/%2e%2e/secret.txt",
            "/report/link.txt",
            "/secret.txt",
            "/etc/passwd",
        ):
            status, text = get(port, path)
            assert (status, b"secret" in text.replace(b"no such", b"")) == (404, False), path
        assert get(port, "/state.json", host="evil.example")[0] == 403
        with pytest.raises(RunError, match=f"cannot listen on port {port}"):
            serve(Watch(Watched([str(tmp_path / "study")]), lambda: None, out), port, print)
        end = time.monotonic() + 30
        while not made and time.monotonic() < end:
            time.sleep(0.05)
        assert made == [1]


@pytest.mark.long
@pytest.mark.skipif(find_browser() is None, reason="needs a browser: install chromium")
def test_the_page_follows_a_study_in_a_browser(tmp_path: Path) -> None:
    pytest.importorskip("websockets", reason="needs websockets: pip install websockets")
    study = tmp_path / "study"
    plan = started(study, 2)
    command = [sys.executable, str(ROOT / "cli.py"), "report", str(study), "--watch", "--out", str(tmp_path / "report")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    browser = Browser(find_browser(), timeout=240.0)
    try:
        line = process.stdout.readline() if process.stdout else ""
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line
        browser.visit(found[0])
        browser.until("document.title.startsWith('2/6 done, 1 failed')")
        browser.evaluate("window.kept = true")
        assert browser.evaluate("document.querySelector('#failures td.wrap').textContent") == "out of <memory>"
        failed = (
            "[...document.querySelectorAll('tr[data-method]')].map(r => [r.dataset.method, r.cells[2].textContent])"
        )
        assert browser.evaluate(failed) == [["random", "1"], ["evo", "0"]]
        for width in (390, 1200):  # a phone, and back
            size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width == 390}
            browser.call("Emulation.setDeviceMetricsOverride", **size)
            browser.settle()
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            [box, regret] = browser.evaluate(
                "(t => [t.parentNode, t.tHead.rows[0].cells[5]].map(node => node.getBoundingClientRect().right))"
                "(document.querySelector('#problems table'))"
            )
            assert regret <= box, "the mean regret is to be seen without scrolling the table"
        (folder_of(study, list(plan.jobs())[5]) / "evals.jsonl").unlink()  # it was made up
        run_study(list(plan.jobs()), study)
        browser.until("document.title === '6/6 done'")
        cells = browser.evaluate(
            "[...document.querySelectorAll('tr[data-method]')].map(r => [...r.cells].map(c => c.textContent.trim()))"
        )
        assert [row[:5] for row in cells] == [[name, "3/3", "0", "0", "0"] for name in ("random", "evo")]
        assert {row[6] for row in cells} == {"100 %"}
        means = {v: [t.regret[-1] for t in collect(plan, study) if t.variant == v] for v in ("random", "evo")}
        assert [float(row[5]) for row in cells] == pytest.approx([sum(m) / 3 for m in means.values()], abs=1e-4)
        browser.until("document.querySelector('#report a')?.textContent === 'Report of 6 finished runs'")
        assert browser.evaluate(
            "fetch('report/index.html').then(a => a.text()).then(t => t.includes('6 finished runs'))"
        )
        assert browser.evaluate("window.kept") is True  # the page was never loaded again
        assert browser.evaluate("document.getElementById('failures').hidden") is True
        assert browser.problems == []
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
        assert process.wait(30) == 0, output
        assert output.rstrip().endswith("ended")
        assert "Traceback" not in output
        browser.until("document.getElementById('trouble').textContent.startsWith('No answer')")
    finally:
        browser.close()
        if process.poll() is None:
            process.kill()
            process.wait()

"""The HTML page in a real browser: it draws, sorts, answers pointer, finger and keyboard, and asks for nothing."""

import json
import sys

import pytest
from browser import NAMES, Browser, find_browser
from edits import row_text

from smemnas.bench.report.page.page import write_page
from smemnas.bench.studies.discovery import find_runs
from smemnas.bench.studies.execution import record_plan, run_study
from smemnas.bench.studies.groups import make_groups
from smemnas.bench.studies.plan import Plan, Variant, check_plan, make_cases

pytest.importorskip("websockets", reason="needs websockets: pip install -e '.[dev]'")
pytestmark = pytest.mark.skipif(
    find_browser() is None, reason=f"install a browser: needs one of {', '.join(NAMES)} on PATH"
)

HOSTILE = '</script><img src="https://example.invalid/x.png" onerror="alert(1)">'
DESKTOP, PHONE = {"width": 1280}, {"width": 390, "height": 844, "touch": True}
CHART = "document.querySelector('figure[data-kind={kind}] .chart svg')"
FRONTS, CURVES = CHART.format(kind="fronts"), CHART.format(kind="curves")
TABLE = (
    "[...document.querySelectorAll('table.sortable')].find(t => t.querySelector('thead').innerText.includes('regret'))"
)
TIP = "document.getElementById('tip')"


@pytest.fixture(scope="module")
def page(tmp_path_factory, embedded):
    """A page of three methods on two problems; one method and one architecture have names that look like HTML."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMEMNAS_DATA", str(embedded))
        patch.setattr(sys, "argv", ["/bin/smemnas"])
        out = tmp_path_factory.mktemp("page")
        variants = (Variant("random", "random"), Variant("nsga2", "nsga2"), Variant(HOSTILE, "rea"))
        plan = check_plan(Plan(variants, make_cases(["nb201/analog", "toy"], [], ()), (0, 1, 2, 3), 40, at=(20,)))
        record_plan(out / "study", plan)
        run_study(list(plan.jobs()), out / "study")
        log = next((out / "study" / "toy").rglob("rea/**/seed-0/evals.jsonl"))
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        log.write_text("".join(row_text({**row, "arch": f"{row['arch']} {HOSTILE}"}) + "\n" for row in rows))
        groups, unfinished = make_groups(find_runs([str(out / "study")]))
        assert not unfinished
        return write_page(out / "page", groups, unfinished)


@pytest.fixture(scope="module")
def browser():
    found = Browser(find_browser())
    yield found
    found.close()


def assert_silent(browser, page):
    """Nothing was logged as wrong, and nothing but the page itself was asked for."""
    assert browser.problems == []
    assert browser.requests == [page.resolve().as_uri()]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_page_draws_and_never_scrolls_sideways(browser, page, size, dark):
    browser.open(page, dark=dark, **size)
    assert browser.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert browser.evaluate("document.querySelectorAll('.chart svg').length") == 7  # 3 of each problem, targets on both
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    levels = [int(v) for v in background[4:-1].split(",")]
    assert (max(levels) < 64) == dark
    text = browser.evaluate("getComputedStyle(document.querySelector('.tick text')).fontSize")
    assert float(text[:-2]) >= 12
    edges = browser.evaluate(
        "(() => { const b = [...document.querySelectorAll('.chart svg text')].map(t => t.getBoundingClientRect());"
        "return [Math.min(...b.map(r => r.left)), Math.max(...b.map(r => r.right))]; })()"
    )
    assert edges[0] >= 0, "a label is cut off on the left"
    assert edges[1] <= size["width"], "a label is cut off on the right"
    assert_silent(browser, page)


def test_labels_of_an_axis_do_not_overlap(browser, page):
    for size in (DESKTOP, PHONE):
        browser.open(page, **size)
        overlaps = browser.evaluate(
            "[...document.querySelectorAll('.chart svg')].flatMap(s => { const b = [...s.querySelectorAll('text')]"
            ".map(t => t.getBoundingClientRect()); return b.flatMap((p, i) => b.slice(i + 1).filter(q => "
            "p.left < q.right && q.left < p.right && p.top + 2 < q.bottom && q.top + 2 < p.bottom)); }).length"
        )
        assert overlaps == 0


def column(browser, name):
    """Return the cells of a column of the first table of regrets, as shown."""
    return browser.evaluate(
        f"(() => {{ const t = {TABLE}, heads = [...t.tHead.rows[0].cells];"
        f"const j = heads.findIndex(c => c.innerText.trim().startsWith({name!r}));"
        "return [...t.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[j].innerText); })()"
    )


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_click_sorts_a_table_up_and_down(browser, page, size):
    browser.open(page, **size)
    head = f"[...{TABLE}.querySelectorAll('th')].find(h => h.innerText.trim().startsWith('regret'))"
    browser.click(f"{head}.querySelector('button')")
    assert browser.evaluate(f"{head}.getAttribute('aria-sort')") == "ascending"
    up = [float(v) for v in column(browser, "regret")]
    assert len(up) == 3
    assert up == sorted(up)
    assert up[0] < up[-1]
    browser.evaluate(f"{head}.querySelector('button').focus()")
    browser.press("Enter")
    assert browser.evaluate(f"{head}.getAttribute('aria-sort')") == "descending"
    assert [float(v) for v in column(browser, "regret")] == up[::-1]
    other = f"[...{TABLE}.querySelectorAll('th')].find(h => h.innerText.trim().startsWith('method'))"
    browser.click(f"{other}.querySelector('button')")
    assert browser.evaluate(f"{head}.getAttribute('aria-sort')") is None
    assert column(browser, "method") == sorted(column(browser, "method"), key=str.lower)
    assert_silent(browser, page)


def test_rows_of_a_checkpoint_can_be_chosen(browser, page):
    browser.open(page, **DESKTOP)
    assert set(column(browser, "evaluations")) == {"40"}
    select = f"{TABLE}.closest('section').querySelector('select.at')"
    browser.evaluate(f"{select}.value = '', {select}.dispatchEvent(new Event('change'))")
    assert sorted(column(browser, "evaluations")) == ["20"] * 3 + ["40"] * 3


def data_of(page):
    """Return the numbers that a page holds."""
    return json.loads(page.read_text(encoding="utf-8").split('id="data">')[1].split("</script>")[0])


def point_of(browser, page, chart, method):
    """Scroll a chart into view and return where its first marker of a method is on the screen."""
    colour = data_of(page)["methods"].index(method)
    browser.centre(chart)
    return browser.evaluate(
        f"(() => {{ const svg = {chart}, m = svg.getScreenCTM(), p = svg.querySelector('g.c{colour} > .points');"
        "const [x, y] = p.getAttribute('d').match(/-?[0-9.]+/g).map(Number);"
        "return [m.a * (x + 3.6) + m.e, m.d * y + m.f]; })()"
    )


def test_hover_tells_architecture_objectives_method_and_seed(browser, page):
    browser.open(page, **DESKTOP)
    x, y = point_of(browser, page, FRONTS, "random")
    browser.move(x, y)
    text = browser.evaluate(f"{TIP}.innerText")
    assert not browser.evaluate(f"{TIP}.hidden")
    for word in ("|", "~0|", "error (%)", "flops (M)", "random", "seed "):
        assert word in text, text
    data = data_of(page)["problems"][0]
    shown = {data["archs"][p[0]] for f in data["fronts"] for p in f["p"] if data["archs"][p[0]] in text}
    assert len(shown) == 1, "the tooltip names exactly one architecture of a front"
    browser.move(2, 2)
    assert browser.evaluate(f"{TIP}.hidden")
    assert_silent(browser, page)


def test_hover_on_a_curve_tells_every_method(browser, page):
    browser.open(page, **DESKTOP)
    browser.move(*browser.centre(CURVES))
    text = browser.evaluate(f"{TIP}.innerText")
    assert "evaluations" in text
    assert all(word in text for word in ("random", "nsga2", HOSTILE, "["))


def test_click_draws_the_architecture(browser, page):
    browser.open(page, **DESKTOP)
    x, y = point_of(browser, page, FRONTS, "random")
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    panel = "document.querySelector('figure[data-kind=fronts] .arch')"
    assert "smemnas show '|" in browser.evaluate(f"{panel}.innerText")
    words = browser.evaluate(f"[...{panel}.querySelectorAll('svg text')].map(t => t.textContent)")
    assert {"input", "node 1", "node 2", "output"} < set(words)
    assert len(words) == 10  # four nodes, six operations
    assert_silent(browser, page)


def test_keyboard_goes_through_the_points(browser, page):
    browser.open(page, **DESKTOP)
    browser.centre(FRONTS)
    browser.evaluate(f"{FRONTS}.focus({{preventScroll: true}})")
    seen = []
    for _ in range(3):
        browser.press("ArrowRight")
        seen.append(browser.evaluate(f"{TIP}.innerText"))
    assert len(set(seen)) == 3
    browser.press("ArrowLeft")
    assert browser.evaluate(f"{TIP}.innerText") == seen[1]
    browser.press("Enter")
    assert browser.evaluate("!!document.querySelector('figure[data-kind=fronts] .arch svg')")
    browser.press("Escape")
    assert browser.evaluate(f"{TIP}.hidden")


def test_finger_on_a_phone(browser, page):
    browser.open(page, **PHONE)
    x, y = point_of(browser, page, FRONTS, "random")
    browser.tap(x, y)
    browser.until(f"!{TIP}.hidden")
    box = browser.evaluate(f"(() => {{ const b = {TIP}.getBoundingClientRect(); return [b.left, b.right]; }})()")
    assert box[0] >= 0
    assert box[1] <= PHONE["width"]
    assert browser.evaluate("!!document.querySelector('figure[data-kind=fronts] .arch svg')")
    assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert_silent(browser, page)


def test_filter_and_legend_hide_rows_and_marks(browser, page):
    browser.open(page, **DESKTOP)
    count = f"{FRONTS}.querySelectorAll('.points').length"
    assert browser.evaluate(count) == 3
    browser.click("document.querySelector('#methods button')")
    assert browser.evaluate("document.querySelector('#methods button').getAttribute('aria-pressed')") == "false"
    assert browser.evaluate(count) == 2
    assert sorted(column(browser, "method")) == sorted(["nsga2", HOSTILE])
    field = "document.getElementById('filter')"
    browser.evaluate(f"{field}.value = 'NSGA', {field}.dispatchEvent(new Event('input'))")
    assert browser.evaluate(count) == 1
    assert column(browser, "method") == ["nsga2"]
    assert_silent(browser, page)


def test_controls_of_the_charts(browser, page):
    browser.open(page, **DESKTOP)
    before = browser.evaluate(f"{FRONTS}.outerHTML")
    control = "document.querySelector('figure[data-kind={}] [data-c={}]')"
    browser.click(control.format("fronts", "logx"))
    logarithmic = browser.evaluate(f"{FRONTS}.outerHTML")
    assert logarithmic != before
    browser.click(control.format("fronts", "whole"))
    assert browser.evaluate(f"{FRONTS}.outerHTML") != logarithmic
    assert "outside" not in browser.evaluate(f"{FRONTS}.textContent")
    seed = control.format("fronts", "seed")
    browser.evaluate(f"{seed}.value = '2', {seed}.dispatchEvent(new Event('change'))")
    x, y = point_of(browser, page, FRONTS, "nsga2")
    browser.move(x, y)
    assert "seed 2" in browser.evaluate(f"{TIP}.innerText")
    bands = f"{CURVES}.querySelectorAll('.band').length"
    assert browser.evaluate(bands) == 3
    browser.click(control.format("curves", "bands"))
    assert browser.evaluate(bands) == 0
    assert_silent(browser, page)


def test_axes_of_three_objectives_can_be_chosen(browser, tmp_path, use_embedded):
    plan = check_plan(
        Plan((Variant("random", "random"),), make_cases(["nb201/analog"], [], ("error", "params", "flops")), (0,), 50)
    )
    record_plan(tmp_path / "study", plan)
    run_study(list(plan.jobs()), tmp_path / "study")
    page = write_page(tmp_path / "page", *make_groups(find_runs([str(tmp_path / "study")])))
    browser.open(page, **PHONE)
    labels = f"[...{FRONTS}.querySelectorAll('.label')].map(t => t.textContent)"
    assert browser.evaluate(labels) == ["error (%)", "flops (M)"]
    choice = "document.querySelector('[data-c=x]')"
    browser.evaluate(f"{choice}.value = '1', {choice}.dispatchEvent(new Event('change'))")
    assert browser.evaluate(labels) == ["error (%)", "params (M)"]
    browser.tap(*point_of(browser, page, FRONTS, "random"))
    browser.until(f"!{TIP}.hidden")
    text = browser.evaluate(f"{TIP}.innerText")
    assert all(word in text for word in ("error (%)", "params (M)", "flops (M)"))
    assert browser.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert_silent(browser, page)


def test_colours_can_be_chosen(browser, page):
    browser.open(page, dark=True, **DESKTOP)
    colours = []
    for _ in range(3):
        browser.click("document.getElementById('theme')")
        colours.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1] == colours[2]  # light, dark, and automatic, which is dark here


def test_names_stay_text(browser, page):
    """A name that looks like HTML makes no element, and a script that got in anyway would be refused."""
    browser.open(page, **DESKTOP)
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert HOSTILE in browser.evaluate("document.querySelector('main').innerText")
    toy = "document.querySelectorAll('figure[data-kind=fronts] .chart svg')[1]"
    seed = "document.querySelectorAll('[data-c=seed]')[1]"
    browser.evaluate(f"{seed}.value = '0', {seed}.dispatchEvent(new Event('change'))")
    browser.move(*point_of(browser, page, toy, HOSTILE))
    assert HOSTILE in browser.evaluate(f"{TIP}.innerText")
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert_silent(browser, page)
    browser.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'globalThis.got = 1'}))"
    )
    assert browser.evaluate("typeof got") == "undefined"
    browser.until("true")
    assert any("Content Security Policy" in problem for problem in browser.problems)


def test_paper_has_the_legend_and_no_controls(browser, page):
    browser.open(page, 1200)
    shown = "id => getComputedStyle(document.querySelector(id)).display !== 'none'"
    try:
        browser.call("Emulation.setEmulatedMedia", media="print")
        seen = browser.evaluate(f"['#bar', '#methods button', '#filter', '#theme', '.tools', 'nav'].map({shown})")
        assert seen == [True, True, False, False, False, False]
        assert browser.evaluate("getComputedStyle(document.getElementById('bar')).position") == "static"
        browser.evaluate("document.documentElement.dataset.theme = 'dark'")
        assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        shape = "(s => s.getBoundingClientRect().height / s.getBoundingClientRect().width)"
        drawn = browser.evaluate(
            f"{shape}({CURVES}) / ({CURVES}.viewBox.baseVal.height / {CURVES}.viewBox.baseVal.width)"
        )
        assert drawn == pytest.approx(1.0, abs=0.01)  # no empty stripes above and below a chart
        assert browser.evaluate("document.querySelectorAll('details:not([open])').length") > 0
        browser.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert browser.evaluate("document.querySelectorAll('details:not([open])').length") == 0
        browser.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert browser.evaluate("document.querySelectorAll('details:not([open])').length") > 0
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")

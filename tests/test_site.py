"""The documentation site: every page in its navigation, every link and anchor there, no other host asked."""

import contextlib
import importlib.util
import json
import re
from pathlib import Path
from posixpath import normpath

import pytest
import yaml
from browser import NAMES, Browser, find_browser
from conftest import ROOT, docs_script

import smemnas

CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
NEEDS_BROWSER = pytest.mark.skipif(find_browser() is None, reason=f"install a browser: needs one of {', '.join(NAMES)}")
#: Tables that neither fit nor scroll in their box, or scroll in a second one.
NOT_IN_ONE_BOX = """[...document.querySelectorAll(".md-typeset__table table")].filter(table => {
    const box = table.closest(".md-typeset__scrollwrap"), wide = box.scrollWidth > box.clientWidth;
    return table.scrollWidth > table.clientWidth + 1 || (wide && getComputedStyle(box).overflowX !== "auto");
}).map(table => table.innerText.slice(0, 40))"""
#: Pages that others lead to: a study or ranking is reached from the overview of results.
LED_TO = ("results/", "claims/")


@pytest.fixture(scope="module")
def script():
    return docs_script("make_site")


@pytest.fixture(scope="module")
def laid_out(script, tmp_path_factory):
    """The pages as the site generator gets them: path to text."""
    folder = script.lay_out(tmp_path_factory.mktemp("site"))
    return folder, {p.relative_to(folder).as_posix(): p.read_text(encoding="utf-8") for p in folder.rglob("*.md")}


def entries(nav):
    """All (title, page) of a navigation, in order."""
    for item in nav:
        for title, value in item.items():
            if isinstance(value, str):
                yield title, value
            else:
                yield from entries(value)


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text):
    """The ids that a page's titles get, as Python-Markdown makes them."""
    found = set()
    for title in re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
        name = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        found.add(next(n for n in (name, *(f"{name}_{k}" for k in range(1, 99))) if n not in found))
    return found


def test_every_page_is_in_the_navigation_once(script):
    listed = [page for _, page in entries(CONFIG["nav"])]
    assert len(set(listed)) == len(listed)
    expected = {page for page in script.pages() if not page.startswith(LED_TO)}
    assert set(listed) == expected | {"api.md", "results/README.md"}
    assert len({title for title, _ in entries(CONFIG["nav"])}) == len(listed)


def test_every_link_leads_somewhere(laid_out):
    folder, pages = laid_out
    checked = 0
    for page, text in pages.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", without_code(text))):
            if re.match(r"https://|mailto:", target):
                continue
            path, _, anchor = target.partition("#")
            place = normpath(f"{Path(page).parent.as_posix()}/{path}") if path else page
            assert (folder / place).is_file(), f"{page}: {target}"
            if anchor:
                assert anchor in anchors(pages[place]), f"{page}: {target}"
            checked += 1
    assert checked > 60


def test_links_out_of_the_site_become_text_and_moved_files_are_followed(script):
    text = (
        "[a](../CONTRIBUTING.md#release) [b](../bench/errors.py) [`c`](design.md) ![p](layers.svg)\n```\n[x](y)\n```\n"
    )
    expected = "[a](contributing.md#release) b [`c`](design.md) ![p](layers.svg)\n```\n[x](y)\n```\n"
    assert script.converted(text, "checklist.md") == expected
    assert script.in_site("docs/design.md", "contributing.md") == "design.md"
    assert script.in_site("../noise.md", "results/README.md") == "../noise.md"
    assert script.in_site("https://example.org/x", "design.md") == "https://example.org/x"


def test_a_notebook_is_a_page(script, laid_out):
    """Its words, code, tables and pictures are read on the site; the file itself is a link away."""
    folder, pages = laid_out
    for source in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        text = pages[f"notebooks/{source.stem}.md"]
        cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
        for cell in cells:
            if cell["cell_type"] == "code":
                assert f"```python\n{''.join(cell['source'])}\n```" in text
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        pictures = re.findall(r"^!\[(.+)\]\((.+)\)$", text, re.MULTILINE)
        assert len(pictures) == sum("image/png" in output.get("data", {}) for output in outputs) > 0
        assert all((folder / "notebooks" / name).read_bytes().startswith(b"\x89PNG") for _, name in pictures)
        assert text.count("<table>") == sum("text/html" in output.get("data", {}) for output in outputs) > 0
        assert f"[{source.name}]({source.name})" in text
        assert (folder / "notebooks" / source.name).is_file()
    assert script.in_site("notebooks/first-search.ipynb", "library.md") == "notebooks/first-search.md"


def test_scripts_that_make_pages_are_no_part_of_the_site(script, laid_out):
    assert [path.name for path in laid_out[0].glob("*.py")] == []
    assert (laid_out[0] / "examples" / "my_method.py").is_file()
    assert script.in_site("published.py", "noise.md") is None


def test_names_options_and_intervals_are_kept_whole(script):
    long = "study --methods smemnas --no-figures --out runs/x"
    html = (
        f"<code>smemnas/alternating-black</code> <code>{long}</code> <code>{'x' * 29}</code>"
        '<td>black-box</td><td style="text-align: right;">0.05 [0.03, 0.06] = (0.1)</td><td>a b-c</td>'
        '<td><a href="x">[1, 2]</a></td><td><code>rea</code> grey-box</td><pre><code>a --b c\nd</code></pre>'
    )
    expected = (
        '<code class="whole">smemnas/alternating-black</code> <code>study <span class="whole">--methods</span> smemnas '
        '<span class="whole">--no-figures</span> <span class="whole">--out</span> runs/x</code> '
        f'<code>{"x" * 29}</code><td><span class="whole">black-box</span></td><td style="text-align: right;">0.05 '
        '<span class="whole">[0.03, 0.06]</span> = (0.1)</td><td>a b-c</td>'
        '<td><a href="x"><span class="whole">[1, 2]</span></a></td>'
        '<td><code class="whole">rea</code> <span class="whole">grey-box</span></td><pre><code>a --b c\nd</code></pre>'
    )
    assert script.whole(html) == expected
    line = '<span class="gp">$ </span>python<span class="w"> </span>{}<span class="w"> </span>{}\n'
    options = [f'<span class="whole">{option}</span>' for option in ("--jobs", "--no-figures")]
    shown = f'<span class="typed">{line.format(*options)}</span>'
    assert (
        script.whole(f"<code>{line.format('--jobs', '--no-figures')}a --b\n</code>") == f"<code>{shown}a --b\n</code>"
    )


def test_the_api_page_has_every_public_name_once(laid_out):
    names = re.findall(r"^::: smemnas\.[\w.]+\.(\w+)$", laid_out[1]["api.md"], re.MULTILINE)
    assert sorted(names) == smemnas.__all__


def test_the_site_asks_for_no_fonts_and_no_analytics(script, tmp_path):
    assert CONFIG["theme"]["font"] is False
    assert set(CONFIG["extra"]) == {"generator"}
    (tmp_path / "results").mkdir()
    (tmp_path / "assets").mkdir()
    for page in ("a.html", "results/b.html"):
        (tmp_path / page).write_text(f'<script src="{script.SHIM}"></script>')
    (tmp_path / "404.html").write_text('<link href="/style.css">')
    assert script.close(tmp_path) == 2
    assert not (tmp_path / "404.html").exists()
    assert (tmp_path / "a.html").read_text() == '<script src="assets/worker.js"></script>'
    assert (tmp_path / "results" / "b.html").read_text() == '<script src="../assets/worker.js"></script>'
    assert "http" not in (tmp_path / "assets" / "worker.js").read_text()


def test_the_scheme_follows_the_system_unless_chosen(laid_out):
    [first, *others] = CONFIG["theme"]["palette"]
    assert first["media"] == "(prefers-color-scheme)"
    assert "scheme" not in first
    schemes = {entry["media"]: entry["scheme"] for entry in others}
    assert schemes == {"(prefers-color-scheme: light)": "default", "(prefers-color-scheme: dark)": "slate"}
    assert [(laid_out[0] / name).is_file() for name in CONFIG["extra_css"]] == [True]


@pytest.fixture(scope="module")
def site(script):
    if importlib.util.find_spec("zensical") is None or importlib.util.find_spec("mkdocstrings") is None:
        pytest.skip("needs the extra 'docs': pip install -e '.[docs]'")
    assert script.main([]) == 0
    return ROOT / "site"


@pytest.mark.long
def test_the_build_is_strict_and_has_every_page(site, script):
    for page in (*script.pages(), "api.md"):
        name = page.removesuffix(".md") if not page.endswith("README.md") else page.removesuffix("README.md") + "index"
        assert (site / f"{name}.html").is_file(), page
    text = (site / "api.html").read_text(encoding="utf-8")
    for name in smemnas.__all__:
        assert re.search(rf'id="smemnas\.[\w.]+\.{name}"', text), name


@pytest.mark.long
@NEEDS_BROWSER
def test_pages_in_a_browser_ask_no_other_host_and_log_nothing(site):
    pytest.importorskip("websockets", reason="needs websockets: pip install -e '.[dev]'")
    with contextlib.closing(Browser(find_browser())) as browser:
        for page in sorted(site.rglob("*.html")):
            for width, touch in ((1280, False), (390, True)):
                for dark in (False, True):
                    browser.open(page, width, dark=dark, touch=touch)
                    assert browser.problems == [], (page, browser.problems)
                    assert [r for r in browser.requests if not r.startswith(("file://", "data:"))] == [], page
                    assert browser.evaluate("document.documentElement.scrollWidth") <= width, page
                    assert browser.evaluate(NOT_IN_ONE_BOX) == [], page
                    assert browser.evaluate("[...document.images].filter(i => !i.alt).map(i => i.src)") == [], page
                    scheme = browser.evaluate("document.body.dataset.mdColorScheme")
                    assert scheme == ("slate" if dark else "default")
        for scheme, name in (("light", "default"), ("dark", "slate")):  # while a page is open, too
            feature = {"name": "prefers-color-scheme", "value": scheme}
            browser.call("Emulation.setEmulatedMedia", features=[feature])
            browser.until(f"document.body.dataset.mdColorScheme === '{name}'")

"""Put the pages of the documentation site into build/site, and build it: `python docs/make_site.py [--serve]`.

The pages are docs/ as it stands, the root's CONTRIBUTING, CHANGELOG and SECURITY under the names that mkdocs.yml gives
them, and the API page, which is made from `smemnas.__all__`. Links that lead out of the site (code of the repository)
become plain text there; on a code host they work. Building needs the extra `docs`; laying out needs nothing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from posixpath import normpath, relpath

from notebook_page import notebook_page

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "site"
#: Files of the root that are pages, and what is left out of docs/.
MOVED = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "README.md": "index.md",
    "docs/results/README.md": "results/README.md",
}
LEFT_OUT = ("__pycache__", "site")
#: What the site generator has pages fetch when they are opened from disk, and our own file instead of it.
SHIM, WORKER = "https://unpkg.com/iframe-worker/shim", "docs/site/worker.js"
#: Rules beside those of the theme; mkdocs.yml names it by the last part.
STYLE = "docs/site/style.css"
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
#: What a line may not break in: `smemnas/alternating`, the `--out` of a longer command, [0.1, 0.2], black-box.
LONGEST_WORD = 28
CODE = re.compile(r"<code>([^<\n]+)</code>")
OPTION = re.compile(r"(?<!\S)--?\w[\w-]*(?=\s)")
CELL = re.compile(r"(<td[^>]*>)(.*?)(?=</td>)")
TYPED = re.compile(r'<span class="gp">\$ </span>[^\n]*\n')
WORD = re.compile(rf"(?<=</span>)(?=[^<\s]*-)[^<\s]{{1,{LONGEST_WORD}}}(?=[<\s])")
BEHIND = re.compile(r"(?<=</code> )\w+-\w+$")
SPAN = re.compile(r"(?<!\w)\[[^\[\]<>,]+, [^\[\]<>,]+\]")
FENCE = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)
#: Sections of the API page: title, and the modules of `smemnas._HOMES` whose names it has, by their beginning.
SECTIONS = (
    ("Searches, studies and reports", ("smemnas.bench.library",)),
    ("Jobs, runs and what they found", ("smemnas.bench.runs", "smemnas.bench.studies", "smemnas.bench.ranking")),
    ("From images to a network", ("smemnas.bench.fit", "smemnas.bench.train")),
    ("Archives", ("smemnas.bench.archive",)),
    ("Benchmarks", ("smemnas.bench.benchmarks",)),
    ("Spaces", ("smemnas.spaces",)),
    ("Methods", ("smemnas.methods",)),
    ("Surrogates", ("smemnas.surrogates",)),
    ("Metrics", ("smemnas.bench.metrics",)),
    ("Registries and errors", ("smemnas.bench.registry", "smemnas.bench.errors")),
)


def pages() -> dict[str, str]:
    """Return the pages of the site: path in the site to path in the repository; without the API page."""
    found = {MOVED[name]: name for name in MOVED if name != "README.md"}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        name = path.relative_to(ROOT).as_posix()
        found[MOVED.get(name, name.removeprefix("docs/"))] = name
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        found[f"notebooks/{path.stem}.md"] = f"docs/notebooks/{path.name}"
    return found


def is_script(path: Path) -> bool:
    """Whether a file makes pages, and is none of them."""
    return path.parent == ROOT / "docs" and path.suffix == ".py"


def in_site(target: str, page: str) -> str | None:
    """Return a link of a repository page as a link of its page in the site, or None where the site has no such file."""
    path, _, anchor = target.partition("#")
    if "://" in target or target.startswith("mailto:") or not path:
        return target
    wanted = normpath(f"{Path(pages()[page]).parent.as_posix()}/{path}")
    if wanted == pages()[page] and wanted.endswith(".ipynb"):
        return target  # the page of a notebook offers the file
    place = ({source: name for name, source in pages().items()} | {"README.md": "index.md"}).get(wanted)
    if place is None and wanted.startswith("docs/") and (ROOT / wanted).is_file() and not is_script(ROOT / wanted):
        place = wanted.removeprefix("docs/")
    if place is None:
        return None
    start = Path(page).parent.as_posix()
    return relpath(place, start) + (f"#{anchor}" if anchor else "")


def converted(text: str, page: str) -> str:
    """Return the text of a page with links that hold in the site."""

    def change(found: re.Match[str]) -> str:
        link = in_site(found[2], page)
        return found[1] if link is None else f"[{found[1]}]({link})"

    return "".join(part if part.startswith("```") else LINK.sub(change, part) for part in FENCE.split(text))


def api_page() -> str:
    """Return the page that mkdocstrings fills, one entry for each public name."""
    import smemnas

    lines = [
        "# API",
        "",
        "Everything here is a name of `smemnas`. What stays: [The suite as a library](library.md).",
        "",
    ]
    seen = []
    for title, modules in SECTIONS:
        lines += [f"## {title}", ""]
        for home, names in smemnas._HOMES.items():
            if home.startswith(modules):
                seen += names.split()
                lines += [line for name in names.split() for line in (f"::: {home}.{name}", "")]
    missing = set(smemnas.__all__) - set(seen)
    if missing:
        raise SystemExit(f"SECTIONS of docs/make_site.py misses {', '.join(sorted(missing))}")
    return "\n".join(lines)


def left_out(folder: str, names: list[str]) -> set[str]:
    """Return what of a folder of docs/ is no part of the site."""
    return {name for name in names if name in LEFT_OUT or is_script(Path(folder, name))}


def whole(html: str) -> str:
    """Return a page in which no line breaks inside a name, an option or an interval, and commands are marked."""

    def keep(found: re.Match[str]) -> str:
        text = found[1]
        if len(text) <= LONGEST_WORD and not re.search(r"\s", text):
            return f'<code class="whole">{text}</code>'
        return f"<code>{OPTION.sub(_whole, text)}</code>"

    def cell(found: re.Match[str]) -> str:
        text = found[2]
        if re.fullmatch(r"\w+-\w+", text):
            return f'{found[1]}<span class="whole">{text}</span>'
        return found[1] + BEHIND.sub(_whole, SPAN.sub(_whole, text))

    def typed(found: re.Match[str]) -> str:
        return f'<span class="typed">{WORD.sub(_whole, found[0])}</span>'

    return TYPED.sub(typed, CELL.sub(cell, CODE.sub(keep, html)))


def _whole(found: re.Match[str]) -> str:
    return f'<span class="whole">{found[0]}</span>'


def lay_out(folder: Path = FOLDER) -> Path:
    """Write all pages and files of the site into a folder, anew; return where the pages are."""
    target = folder / "pages"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "docs", target, ignore=left_out)
    for page, source in pages().items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if source.endswith(".ipynb"):
            text = notebook_page(text, target / page)
        (target / page).write_text(converted(text, page), encoding="utf-8")
    (target / "api.md").write_text(api_page(), encoding="utf-8")
    shutil.copy(ROOT / STYLE, target)
    source_folder = folder / "source" / "smemnas"
    shutil.rmtree(source_folder, ignore_errors=True)
    source_folder.mkdir(parents=True)
    for name in ("bench", "methods", "spaces", "surrogates"):
        (source_folder / name).symlink_to(ROOT / name, target_is_directory=True)
    for file in (ROOT / "smemnas").glob("*.py"):
        (source_folder / file.name).symlink_to(file)
    return target


def close(site: Path = ROOT / "site") -> int:
    """Have the pages of a built site ask no other host and keep words whole; return how many did the first."""
    pages_changed = 0
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        place = relpath("assets/worker.js", page.parent.relative_to(site).as_posix())
        pages_changed += SHIM in text
        page.write_text(whole(text.replace(SHIM, place)), encoding="utf-8")
    (site / "404.html").unlink(missing_ok=True)  # its links begin at the root of a host, where the site need not lie
    shutil.copy(ROOT / WORKER, site / "assets" / "worker.js")
    return pages_changed


def main(arguments: list[str]) -> int:
    """Lay the pages out, then build or serve."""
    lay_out()
    command = ["serve"] if "--serve" in arguments else ["build", "--clean", "--strict"]
    code = subprocess.run([sys.executable, "-m", "zensical", *command], cwd=ROOT, check=False).returncode
    if code == 0 and command[0] == "build":
        close()
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

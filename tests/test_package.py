"""What is installed: one importable name with its data files; and in a checkout each module is there once."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tomllib
import zipfile

import pytest
from conftest import ROOT

PACKAGES = ("bench", "methods", "spaces", "surrogates")


def python(*words, cwd, **environment):
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel made from this repository, offline."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("needs the build backend: pip install hatchling")
    place = tmp_path_factory.mktemp("wheel")
    options = ("--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check", "-q")
    made = python("-m", "pip", "wheel", *options, "-w", str(place), str(ROOT), cwd=place)
    assert made.returncode == 0, made.stderr
    (file,) = place.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the wheel's content, as site-packages has it."""
    place = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place


def tracked(*folders):
    """Return the files of the repository that belong to the product."""
    return {
        f"smemnas/{p.relative_to(ROOT)}"
        for folder in folders
        for p in (ROOT / folder).rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }


@pytest.mark.slow
def test_a_wheel_has_one_name_and_every_file_of_the_product(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if not n.endswith("/")]
    assert len(names) == len(set(names))
    assert {n.partition("/")[0] for n in names if ".dist-info/" not in n} == {"smemnas"}
    own = {f"smemnas/{name}" for name in ("__init__.py", "__main__.py", "cli.py", "py.typed")}
    others = {f"smemnas/{p.name}" for p in (ROOT / "smemnas").iterdir() if p.is_file()}
    assert own <= own | others
    assert {n for n in names if ".dist-info/" not in n} == tracked(*PACKAGES) | own | others
    for data in ("bench/report/page/assets/page.js", "bench/data/reference"):
        assert any(n.startswith(f"smemnas/{data}") for n in names), data


@pytest.mark.slow
def test_the_wheel_states_version_licence_and_program(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {n.partition("/")[0] for n in archive.namelist() if ".dist-info/" in n}
        metadata = archive.read(f"{folder}/METADATA").decode()
        entries = archive.read(f"{folder}/entry_points.txt").decode()
        files = archive.namelist()
    assert f"\nVersion: {version_of_the_checkout()}\n" in metadata
    assert "\nLicense-Expression: MIT\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert entries.split() == ["[console_scripts]", "smemnas", "=", "smemnas.cli:main"]
    assert f"{folder}/licenses/LICENSE" in files


def version_of_the_checkout():
    from smemnas import __version__

    return __version__


@pytest.mark.slow
def test_what_is_installed_runs_in_another_folder_beside_packages_of_our_names(installed, embedded, tmp_path):
    for name in PACKAGES:  # what `pip install spaces` brings
        (installed / name).mkdir(exist_ok=True)
        (installed / name / "__init__.py").write_text(f"raise SystemExit('{name} of another package was imported')\n")
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r}); sys.argv[:] = ['smemnas', *sys.argv[1:]]; "
        "from smemnas.cli import main; import smemnas.spaces; print(smemnas.spaces.__file__, file=sys.stderr); main()"
    )
    run = ("run", "--method", "random", "--space", "nb201", "--budget", "20", "--out", "out")
    done = python("-P", "-c", code, *run, cwd=tmp_path, SMEMNAS_DATA=str(embedded))
    assert done.returncode == 0, done.stderr
    assert done.stderr.split()[0] == str(installed / "smemnas" / "spaces" / "__init__.py")
    assert len((tmp_path / "out" / "front.csv").read_text().splitlines()) > 1
    missing = python("-P", "-c", code, "data", "info", "nb201-imagenet16-120", cwd=tmp_path, SMEMNAS_DATA=str(embedded))
    assert missing.returncode == 1
    assert "is not installed: smemnas data fetch nb201-imagenet16-120" in missing.stderr
    hint = "from smemnas.bench.program import install; print(install('train'))"
    path = {"PYTHONPATH": str(installed)}
    assert python("-P", "-c", hint, cwd=tmp_path, **path).stdout == "pip install 'smemnas[train]'\n"


@pytest.mark.parametrize("name", PACKAGES)
def test_a_checkout_holds_no_module_twice(tmp_path, name):
    for first in (f"import smemnas.{name}", "pass"):
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {first}; import {name}"
        process = python("-P", "-c", code, cwd=tmp_path)
        assert process.returncode == 1
        assert process.stderr.splitlines()[-1].startswith(f"ImportError: import smemnas.{name}: "), process.stderr


def test_the_program_loads_no_module_under_two_names(tmp_path, embedded):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[:] = [{str(ROOT / 'cli.py')!r}, 'list']\n"
        "import atexit, runpy\n"
        "def look():\n"
        f"    own = {PACKAGES!r}\n"
        "    files = [m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)]\n"
        f"    ours = [f for f in files if f.startswith({str(ROOT)!r}) and '.venv' not in f and 'cli.py' not in f]\n"
        "    top = [n for n in sys.modules if n.partition('.')[0] in own]\n"
        "    print(len(ours) > 10, len(ours) == len(set(ours)), top, file=sys.stderr)\n"
        "atexit.register(look)\n"
        f"runpy.run_path({str(ROOT / 'cli.py')!r}, run_name='__main__')\n"
    )
    process = python("-P", "-c", code, cwd=tmp_path, SMEMNAS_DATA=str(embedded))
    assert process.returncode == 0, process.stderr
    assert process.stderr == "True True []\n"


def test_the_module_lists_what_the_script_lists(tmp_path, embedded):
    data = {"SMEMNAS_DATA": str(embedded)}
    module = python("-m", "smemnas", "list", cwd=tmp_path, PYTHONPATH=str(ROOT), **data)
    script = python(str(ROOT / "cli.py"), "list", cwd=tmp_path, **data)
    assert (module.returncode, module.stderr) == (0, "")
    assert module.stdout == script.stdout
    for words in ("methods", "  smemnas ", "  nb201 ", "  kernel_pairwise "):
        assert words in module.stdout


def test_the_version_has_one_source(tmp_path):
    version = version_of_the_checkout()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert "version" not in project["project"]
    shown = python(str(ROOT / "cli.py"), "--version", cwd=tmp_path)
    assert shown.stdout == f"smemnas, version {version}\n"
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.long
def test_a_users_file_is_typed_against_the_wheel(installed, tmp_path):
    """What `test_api_typed.py` holds of the checkout, of what is installed: `py.typed` and annotations are in it."""
    pytest.importorskip("mypy", reason="types are checked where mypy is installed (extra dev)")
    (tmp_path / "api_user.py").write_text((ROOT / "tests" / "api_user.py").read_text())
    wrong = 'import smemnas\n\nsmemnas.RunOptions("random", "toy", budget="40")\nsmemnas.sturdy\n'
    (tmp_path / "wrong.py").write_text(wrong)
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\nfollow_imports = silent\nignore_missing_imports = True\n")
    words = ("-m", "mypy", "--no-error-summary", "--config-file", str(config), "api_user.py", "wrong.py")
    done = python(*words, cwd=tmp_path, MYPYPATH=str(installed))
    assert [line.partition(" error: ")[::2] for line in done.stdout.splitlines()] == [
        (
            "wrong.py:3:",
            'Argument "budget" to "RunOptions" has incompatible type "str"; expected "int | None"  [arg-type]',
        ),
        ("wrong.py:4:", 'Module has no attribute "sturdy"  [attr-defined]'),
    ], done.stderr

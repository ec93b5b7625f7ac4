"""Each idea has one home: what would be a second one, written anywhere else, fails here.

An idea is known by the names that its code must use. A row's pattern is matched against all dotted names of a file,
as its imports resolve them ("joblib.Parallel"), its method calls (".rename()"), the functions and classes that it
defines ("def fit") and its texts ("'job.json'"). New rows are welcome.
"""

import ast
import re
from functools import cache
from typing import NamedTuple

import pytest
from test_layers import FILES, ROOT, module_name


class Idea(NamedTuple):
    """What is written once.

    Attributes:
        pattern: Of the names that give it away.
        homes: The files that may use them, each of which does.
    """

    pattern: str
    homes: tuple[str, ...]


IDEAS = {
    "atomic replacement": Idea(
        r"os\.(replace|rename|renames)|shutil\.move|tempfile\.(mkstemp|NamedTemporaryFile)|\.rename\(\)",
        ("bench/files.py", "bench/latency/device.py"),  # the latter runs alone, on a device without the suite
    ),
    "pool of processes": Idea(
        r"joblib\.(Parallel|delayed|parallel_config|parallel_backend)|multiprocessing\..*|concurrent\.futures\.Process.*",
        ("bench/workers/local.py", "methods/smac_search.py"),  # the latter keeps SMAC from making one
    ),
    "places where tasks run": Idea(
        r"smemnas\.bench\.workers\.backends\.run_tasks", ("bench/ranking/study.py", "bench/studies/execution.py")
    ),
    "making a surrogate": Idea(r"'uses_blocks'", ("surrogates/base.py",)),
    "reader of KEY=VALUE": Idea(r".* (takes|is) (a )?(KEY|NAME)=VALUE.*", ("bench/values.py",)),
    "reader of job.json": Idea(r"smemnas\.bench\.schema\.JobFile", ("bench/archive/read.py", "bench/runs/folder.py")),
    "what is said on the way": Idea(
        r"print", ("bench/log.py", "bench/data/pack.py", "bench/data/mnv3_ofa_recipe.py", "bench/latency/device.py")
    ),
    "determinism": Idea(
        r"torch\.(use_deterministic_algorithms|backends\.cudnn.*)|.*CUBLAS_WORKSPACE_CONFIG.*",
        ("bench/train/devices.py",),
    ),
    "precision": Idea(
        r"torch\.(autocast|(amp|cuda\.amp|cpu\.amp)\.(autocast|GradScaler)|bfloat16|float16|cuda\.is_bf16_supported)",
        ("bench/train/devices.py",),
    ),
    "devices": Idea(r"torch\.cuda\.(device_count|get_device_properties)", ("bench/train/devices.py",)),
}


class Written(NamedTuple):
    """What one file holds; its tree is read once for all tests here and not kept."""

    names: list[str]
    given: set[str]
    classes: list[str]


@cache
def read(path):
    """Return all that a file names, see the module, the names to which it gives a meaning, its public classes."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    classes = [node.name for node in nodes if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    return Written(sorted(names_of(nodes)), written_in(nodes), classes)


def dotted(node):
    """Return the text of a name or an attribute: a chain of names by hand, which is most of them and much quicker."""
    parts, inner = [], node
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    return ".".join([inner.id, *reversed(parts)]) if isinstance(inner, ast.Name) else ast.unparse(node)


def names_of(nodes):
    """Return all that the nodes of a file name, see the module."""
    known, found = {}, set()
    docstrings = {
        id(node.body[0].value)
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    hints = {id(n) for node in nodes for hint in annotations(node) for n in ast.walk(hint)}
    for node in nodes:
        if isinstance(node, ast.Import):
            known |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in nodes:
        if id(node) in docstrings or id(node) in hints:
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found.add(f".{node.func.attr}()")
        if isinstance(node, ast.Attribute | ast.Name):
            root, _, rest = dotted(node).partition(".")
            found.add(".".join(filter(None, (known.get(root, root), rest))))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(repr(node.value))
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(f"{'class' if isinstance(node, ast.ClassDef) else 'def'} {node.name}")
    return found


def annotations(node):
    """Return the annotations of a node: naming a type is no use of it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.returns] if node.returns else []
    return [node.annotation] if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation else []


#: Names that two public classes have, each with the reason.
NAMESAKES: dict[str, str] = {}


def test_no_two_public_classes_have_one_name():
    """Whoever reads a name in one file and looks it up in another finds the same thing."""
    found = {}
    for path in FILES:
        for name in read(path).classes:
            found.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    twice = {name: places for name, places in found.items() if len(places) > 1}
    assert twice.keys() == NAMESAKES.keys(), twice
    assert len(found) > 150


@pytest.mark.parametrize("idea", IDEAS)
def test_an_idea_has_one_home(idea):
    pattern, homes = IDEAS[idea]
    matches = re.compile(pattern).fullmatch
    found = {path.relative_to(ROOT).as_posix(): [n for n in read(path).names if matches(n)] for path in FILES}
    found = {file: names for file, names in found.items() if names}
    strays = {file: names for file, names in found.items() if file not in homes}
    assert not strays, f"{idea} is written in {', '.join(homes)}: use that"
    assert found.keys() == set(homes), "a row names a file that has nothing of the idea"


#: Packages whose public names are written elsewhere: `import smemnas` is the door for users.
DOORS = ("smemnas",)
READERS = [*FILES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "docs").rglob("*.py"))]


def imported(path):
    """Yield (module, name) of everything that a file imports from the suite; by its text, for trees take their time."""
    text = path.read_text(encoding="utf-8")
    for module, names in re.findall(r"^ *from (smemnas[\w.]*) import (\([^)]*\)|[^\n]*)", text, re.MULTILINE):
        for entry in re.sub(r"#.*|[()]", "", names).split(","):
            if entry.strip():
                yield module, entry.split()[0]


def written_in(nodes):
    """Return the names that a module gives a meaning itself; one that it imports is not among them."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_a_name_is_imported_from_the_module_that_writes_it():
    """No module hands on what another wrote, so that an import says where a thing is, and one edge is one need."""
    written = {module_name(path): read(path).given for path in FILES}
    strays = [
        f"{path.relative_to(ROOT)}: {name} is not written in {module}"
        for path in READERS
        for module, name in imported(path)
        if module not in DOORS and module in written and name not in written[module]
        if f"{module}.{name}" not in written
    ]
    assert not strays, strays
    assert "Job" in written["smemnas.bench.runs.job"]
    assert "Job" not in written["smemnas.bench.runs.run"]


def test_no_module_takes_what_another_keeps_to_itself():
    """What begins with an underscore, a name or a module, is for the file or package that it is in."""
    strays = [
        f"{path.relative_to(ROOT)}: {module}.{name}"
        for path in FILES
        for module, name in imported(path)
        if re.search(r"\._(?!_)", f"{module}.{name}")
    ]
    assert not strays, strays

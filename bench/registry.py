"""Names to classes: what can be searched, who searches, who guesses, who measures.

Each kind has one registry. A class enters it with a decorator in the file that defines it; the files
of the package are imported on first use. The same decorator serves plug-ins: a single file named with
`--plugin FILE`, or a package that announces the entry-point group `smemnas.plugins`. A name can be
taken only once: a clash raises instead of overwriting.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from smemnas.bench.errors import UserError, suggest

T = TypeVar("T")
ENTRY_POINT_GROUP = "smemnas.plugins"
#: Home of what comes with the suite or with an installed package, and of what only this process knows.
SUITE, SESSION = "suite", "session"
#: The package of the suite.
_SUITE = "smemnas"
#: What is being imported: paths of plug-in files, `SUITE` for installed plug-ins.
_loading: list[str] = []
#: Constructor arguments that the suite itself fills in; everything else is a user's `--param`.
RESERVED = frozenset({"self", "problem", "budget", "seed"})


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered name.

    Attributes:
        name: Registry key.
        factory: Class or function that makes the object.
        params: Arguments a preset fixes (empty for the class itself).
        summary: One line for the command `list`.
        origin: Module that registered it.
        home: Where another process finds it: `SUITE`, the path of a plug-in file, or `SESSION`, nowhere.
    """

    name: str
    factory: Callable[..., T]
    params: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    origin: str = ""
    home: str = ""

    def parameters(self) -> dict[str, inspect.Parameter]:
        """Return the named parameters that a user may set, in order."""
        found = inspect.signature(self.factory).parameters
        return {n: p for n, p in found.items() if n not in RESERVED and p.kind is not p.VAR_KEYWORD}

    def lacks(self) -> str:
        """Return which methods of its contract a class does not have; "" where it has all."""
        missing = sorted(getattr(self.factory, "__abstractmethods__", ()))
        return f"class {self.factory.__name__} lacks {', '.join(missing)}: define it there." if missing else ""

    def resolve(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Merge the preset's parameters with a user's, refusing unknown names.

        Raises:
            UserError: A parameter does not exist.
        """
        known = self.parameters()
        for name in params:
            if name not in known:
                raise UserError(f"{self.name!r} has no parameter {name!r}.{suggest(name, known)}")
        merged = dict(self.params)
        for name, value in params.items():
            if isinstance(value, Mapping) and isinstance(merged.get(name), Mapping):
                value = {**merged[name], **value}
            merged[name] = value
        return merged


class Registry(Generic[T]):
    """Name to `Entry`, filled by decorators and discovered lazily from one package."""

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._entries: dict[str, Entry[T]] = {}
        self._discovered = False

    def register(self, name: str, *, summary: str = "") -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Decorate a class or factory function to register it under `name`."""

        def add(factory: Callable[..., T]) -> Callable[..., T]:
            doc = (inspect.getdoc(factory) or "").strip().splitlines()
            self._add(Entry(name, factory, {}, summary or (doc[0] if doc else ""), factory.__module__))
            return factory

        return add

    def preset(self, name: str, base: str, summary: str, **params: Any) -> None:
        """Register `name` as `base` with some parameters fixed; users can still override them."""
        # A plug-in is loaded before anything is discovered; `get` does that. A built-in finds its base at once.
        parent = self._entries[base] if base in self._entries else self.get(base)
        caller = sys._getframe(1).f_globals.get("__name__", parent.origin)  # the file that defines the preset
        self._add(Entry(name, parent.factory, parent.resolve(params), summary, str(caller)))

    def _add(self, entry: Entry[T]) -> None:
        if entry.name != entry.name.lower() or not entry.name.strip():
            raise UserError(f"{self.kind} names are lower case, got {entry.name!r}: rename it.")
        if not f"{entry.origin}.".startswith(f"{self.package}."):
            self.discover()  # so that a clash blames the plug-in, not the built-in that comes later
        old = self._entries.get(entry.name)
        if old is not None:
            raise UserError(
                f"{self.kind} {entry.name!r} is already registered by {old.origin}; "
                f"{entry.origin} must choose another name."
            )
        home = SUITE if entry.origin.partition(".")[0] == _SUITE else (_loading[-1] if _loading else SESSION)
        self._entries[entry.name] = replace(entry, home=home)
        _registered.setdefault(home, []).append((self._entries, entry.name))

    def discover(self) -> None:
        """Import every module of the package once (or the one module that it is), then the installed plug-ins."""
        if self._discovered:
            return
        self._discovered = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(getattr(package, "__path__", ())):
            importlib.import_module(f"{self.package}.{module.name}")
        load_entry_points()

    def names(self) -> list[str]:
        """Return all names, sorted."""
        self.discover()
        return sorted(self._entries)

    def __iter__(self) -> Iterator[Entry[T]]:
        self.discover()
        return iter([self._entries[n] for n in sorted(self._entries)])

    def __contains__(self, name: str) -> bool:
        self.discover()
        return name in self._entries

    def get(self, name: str) -> Entry[T]:
        """Return the entry of `name`.

        Raises:
            UserError: The name is unknown; near misses are suggested.
        """
        self.discover()
        if name not in self._entries:
            raise UserError(f"no {self.kind} {name!r}.{suggest(name, self._entries)}{of_plugins()}")
        return self._entries[name]

    def create(self, name: str, /, *args: Any, params: Mapping[str, Any] | None = None, **fixed: Any) -> T:
        """Make the object: `fixed` comes from the suite, `params` from the user.

        Raises:
            UserError: Unknown name or parameter, or a value the class refuses.
        """
        entry = self.get(name)
        resolved = entry.resolve(params or {})
        if entry.lacks():
            raise UserError(f"{self.kind} {name!r}: {entry.lacks()}")
        try:
            return entry.factory(*args, **fixed, **resolved)
        except (TypeError, ValueError) as error:
            raise UserError(f"{self.kind} {name!r}: {error}") from error
        except SystemExit as error:  # it would look like success
            raise UserError(f"{self.kind} {name!r}: making it ends the program (SystemExit: {error}).") from error


_entry_points_loaded = False
#: Plug-ins that failed to load, as (name, reason); the command `list` shows them.
broken_plugins: list[tuple[str, str]] = []


def load_entry_points() -> None:
    """Import every installed plug-in once. A broken one is recorded, it does not stop the suite."""
    global _entry_points_loaded
    if _entry_points_loaded:
        return
    _entry_points_loaded = True
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        _loading.append(SUITE)
        try:
            point.load()
        except (Exception, SystemExit) as error:
            broken_plugins.append((point.name, f"{type(error).__name__}: {error}"))
        finally:
            _loading.pop()


def require_known_elsewhere(kind: str, entry: Entry[Any], plugins: Collection[str]) -> None:
    """Refuse what worker processes cannot know.

    Args:
        kind: "method", "space", ...
        entry: What they need.
        plugins: Plug-in files that they load.

    Raises:
        UserError: It was registered by this process alone, or by a plug-in file that they are not told of.
    """
    if entry.home == SESSION:
        raise UserError(
            f"{kind} {entry.name!r} is defined in {entry.origin}, which worker processes do not know: put it into a "
            "file of its own and name that as a plug-in, or take one worker (--jobs 1)."
        )
    if entry.home not in ("", SUITE, *plugins):
        raise UserError(
            f"{kind} {entry.name!r} comes from a plug-in that worker processes are not told of: give "
            f"plugins=[{entry.home!r}], or take one worker."
        )


class Plugin(NamedTuple):
    """A plug-in file, as the job names it that needs it.

    Attributes:
        file: Its name.
        sha256: Digest of its content and of the files beside it that it imports; "" where that is not known.
        path: Where it is, or was.
    """

    file: str
    sha256: str
    path: str


_loaded_files: dict[Path, Plugin] = {}
#: Digest of each of these files alone, as it was loaded.
_digests: dict[Path, str] = {}
#: Home to what was registered from there: names and what holds them.
_registered: dict[str, list[tuple[dict[str, Any], str]]] = {}


def load_plugin(path: str | Path) -> Plugin:
    """Import one plug-in file, at most once per process, and return what identifies it.

    It may import files beside it; a file that has the name of another module does not hide that.

    Raises:
        UserError: The file is missing or fails to import.
    """
    file = Path(path).expanduser().resolve()
    if file in _loaded_files and (not file.is_file() or _digest(file) == _digests[file]):
        return _loaded_files[file]
    if file in _loaded_files:
        raise UserError(f"plug-in {path} was edited after it was loaded: start again (in a notebook, the kernel).")
    if not file.is_file():
        raise UserError(f"plug-in {str(path)!r} is not a file: give the path of a Python file.")
    copy = _loaded_copy(file)
    if copy is not None:
        return copy
    name = f"{PLUGIN_PREFIX}{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"plug-in {str(path)!r} is not a Python file (expected the ending .py).")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    place = str(file.parent)
    added = place not in sys.path
    if added:
        sys.path.append(place)  # at the end: what is installed comes first
    _loading.append(str(file))
    try:
        # From its text: kept bytecode of an edit in the same second, and as long, would be taken for the new one's.
        exec(compile(file.read_bytes(), str(file), "exec", dont_inherit=True), module.__dict__)
        plugin = Plugin(file.name, _identity(file), str(file))
    except (UserError, KeyboardInterrupt):
        del sys.modules[name]
        raise
    except BaseException as error:  # whatever a plug-in raises is its fault
        del sys.modules[name]
        line, text = _last_line(error, file), str(error)
        if isinstance(error, SyntaxError):  # its text names file and line again
            line, text = error.lineno, error.msg
        raise UserError(f"plug-in {path}, line {line}: {type(error).__name__}: {text}") from error
    finally:
        _loading.pop()
        if added:
            sys.path.remove(place)
    _loaded_files[file], _digests[file] = plugin, _digest(file)
    return plugin


def of_plugins() -> str:
    """Return what each plug-in file of this process registers, a sentence each, for who asked for an unknown name."""
    told = ""
    for path, plugin in _loaded_files.items():
        names = [repr(name) for entries, name in _registered.get(str(path), ()) if name in entries]
        told += f" Plug-in {plugin.file} registers {', '.join(names) or 'nothing'}."
    return told


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _loaded_copy(file: Path) -> Plugin | None:
    """Return a file whose like was loaded from another place as that one; None where nothing of its content was.

    One that imports files beside it is known by those too, which only its own import can tell, so it is no such copy.
    """
    digest = _digest(file)
    for path, plugin in _loaded_files.items():
        there = all(name in entries for entries, name in _registered.get(str(path), ()))
        if there and _digests[path] == digest and plugin.sha256 == _combined({"": file}):
            return plugin._replace(file=file.name, path=str(file))
    return None


#: Names of modules that plug-ins imported from beside them, and from where.
_beside: dict[str, Path] = {}


def _identity(file: Path) -> str:
    """Return the digest of a plug-in that was just imported and of all files beside it that it imports.

    Raises:
        UserError: It means a file beside it, but another plug-in's of that name is loaded.
    """
    sources = {"": file}
    waiting = [(file, "")]
    while waiting:
        source, package = waiting.pop()
        for name in _imported_names(source, package):
            path = _neighbour(name, file.parent)
            if path is not None and name not in sources:
                sources[name] = path
                waiting.append((path, name if path.name == "__init__.py" else name.rpartition(".")[0]))
    return _combined(sources)


def _combined(sources: Mapping[str, Path]) -> str:
    """Return one digest of the names and contents of some files."""
    digest = hashlib.sha256()
    for name, path in sorted(sources.items()):
        digest.update(f"{name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def identity_of(entry: Entry[Any]) -> str:
    """Return what identifies the plug-in file that registered a name; "" where none did."""
    return "" if entry.home in ("", SUITE, SESSION) else load_plugin(entry.home).sha256


def _neighbour(name: str, folder: Path) -> Path | None:
    """Return the file of an imported module that lies beside a plug-in; None where it came from elsewhere."""
    top = name.partition(".")[0]
    if top == _SUITE or top not in sys.modules:  # the suite is nobody's neighbour
        return None
    ours = [folder / f"{top}.py", folder / top / "__init__.py"]
    source = getattr(sys.modules[top], "__file__", None)
    if source is None or Path(source) not in ours:
        if top in _beside and any(path.exists() for path in ours):
            raise UserError(
                f"plug-in {folder}: its {top} is hidden by that of {_beside[top]}, which was loaded before: rename one."
            )
        return None
    _beside[top] = folder
    inner = getattr(sys.modules.get(name), "__file__", None)
    return Path(inner) if inner else None


def _imported_names(source: Path, package: str) -> Iterator[str]:
    """Yield every absolute name that a file may import, packages before what is in them."""
    for node in ast.walk(ast.parse(source.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: k + 1]) for k in range(len(parts)))


def _last_line(error: BaseException, file: Path) -> int | None:
    """Return the deepest line of `file` in the traceback of `error`."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


#: How `load_plugin` names the modules it makes of files.
PLUGIN_PREFIX = "smemnas_plugin_"

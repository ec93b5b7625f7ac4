"""Names to classes: clashes, near misses, parameters, presets, plug-in files."""

from __future__ import annotations

import os
import sys

import pytest

from smemnas.bench.errors import UserError, suggest
from smemnas.bench.registry import Registry, load_plugin
from smemnas.methods.base import METHODS
from smemnas.spaces.base import SPACES
from smemnas.surrogates.base import SURROGATES


class Thing:
    """First line. Not this one.

    Nor this.
    """

    def __init__(self, problem, *, budget=1, seed=0, size: int = 3, options=None):
        if size < 0:
            raise ValueError("size must not be negative")
        self.made = (problem, budget, seed, size, options)


@pytest.fixture
def registry():
    registry: Registry[Thing] = Registry("thing", "smemnas.surrogates")
    registry._discovered = True
    registry.register("thing")(Thing)
    return registry


def test_register_keeps_the_class_and_reads_its_first_line(registry):
    assert registry.register("other", summary="Given")(Thing) is Thing
    assert [e.summary for e in registry] == ["Given", "First line. Not this one."]
    assert registry.names() == ["other", "thing"]
    assert "thing" in registry
    assert "nothing" not in registry


def test_a_clash_raises_and_changes_nothing(registry):
    with pytest.raises(UserError, match=r"thing 'thing' is already registered by .*must choose another name"):
        registry.register("thing")(dict)
    assert registry.get("thing").factory is Thing


@pytest.mark.parametrize("name", ["Thing2", "", "  "])
def test_names_are_lower_case_and_not_empty(registry, name):
    with pytest.raises(UserError, match=r"lower case"):
        registry.register(name)(Thing)


def test_near_misses(registry):
    with pytest.raises(UserError, match=r"no thing 'thnig'\. Did you mean 'thing'\? Known: thing\."):
        registry.get("thnig")
    assert suggest("zzz", ["a", "b"]) == " Known: a, b."
    assert suggest("zzz", []) == " Known: (none)."
    many = [*(f"m{k:02d}" for k in range(30)), "m01/a", "m01/b", "n/c"]
    listed = ", ".join([*many[:30], "n/c"])
    assert suggest("zzz", many) == f" Known: {listed}; 2 more are one of these, a slash and a word."


def test_parameters_are_what_a_user_may_set(registry):
    assert list(registry.get("thing").parameters()) == ["size", "options"]
    with pytest.raises(UserError, match=r"'thing' has no parameter 'sze'\. Did you mean 'size'"):
        registry.create("thing", None, params={"sze": 1})
    with pytest.raises(UserError, match=r"no parameter 'budget'"):
        registry.create("thing", None, params={"budget": 1})


def test_create_takes_fixed_arguments_and_parameters(registry):
    assert registry.create("thing", "p", budget=9, seed=2, params={"size": 5}).made == ("p", 9, 2, 5, None)
    with pytest.raises(UserError, match=r"thing 'thing': size must not be negative"):
        registry.create("thing", None, params={"size": -1})


def test_a_class_that_ends_the_program_is_refused(registry):
    def leave(*_, **__):
        raise SystemExit(0)

    registry.register("leaves", summary="Given")(leave)
    with pytest.raises(UserError, match=r"thing 'leaves': making it ends the program \(SystemExit: 0\)"):
        registry.create("leaves")


def test_presets_fix_parameters_that_a_user_can_still_change(registry):
    registry.preset("thing/big", "thing", "Big", size=100, options={"a": 1, "b": 2})
    assert registry.create("thing/big", None).made[3:] == (100, {"a": 1, "b": 2})
    assert registry.create("thing/big", None, params={"size": 7}).made[3] == 7
    assert registry.create("thing/big", None, params={"options": {"b": 5}}).made[4] == {"a": 1, "b": 5}
    registry.preset("thing/bigger", "thing/big", "Bigger", size=200)
    assert registry.create("thing/bigger", None).made[3:] == (200, {"a": 1, "b": 2})
    with pytest.raises(UserError, match=r"no parameter"):
        registry.preset("thing/odd", "thing", "Odd", shape=1)
    with pytest.raises(UserError, match=r"no thing 'nothing'"):
        registry.preset("x", "nothing", "From nowhere")


def test_everything_is_discovered():
    assert {"smemnas", "smemnas/enumerate", "smemnas/nsga2-inside", "nsga2", "random"} <= set(METHODS.names())
    assert {"nb201", "toy"} <= set(SPACES.names())
    assert "kernel_pairwise" in SURROGATES
    for registry in (METHODS, SPACES, SURROGATES):
        assert all(entry.summary and "\n" not in entry.summary for entry in registry)


def test_every_preset_can_be_made():
    for name in METHODS.names():
        entry = METHODS.get(name)
        assert set(entry.params) <= set(entry.parameters())


def test_a_plugin_file_is_loaded_once(tmp_path):
    file = tmp_path / "plug.py"
    file.write_text(
        "from smemnas.surrogates.base import SURROGATES\nfrom smemnas.surrogates.controls import RandomOrder\n"
        "@SURROGATES.register('plugged-once', summary='x')\nclass Plugged(RandomOrder):\n    pass\n"
    )
    try:
        load_plugin(file)
        load_plugin(str(file))
        assert SURROGATES.get("plugged-once").origin.startswith("smemnas_plugin_plug_")
    finally:
        SURROGATES._entries.pop("plugged-once", None)


def test_two_files_of_one_name_are_two_plugins(tmp_path):
    for k in (1, 2):
        folder = tmp_path / str(k)
        folder.mkdir()
        (folder / "same.py").write_text(f"VALUE = {k}\n")
        load_plugin(folder / "same.py")


def test_wrong_plugin_paths(tmp_path):
    with pytest.raises(UserError, match=r"is not a file"):
        load_plugin(tmp_path / "absent.py")
    with pytest.raises(UserError, match=r"is not a file"):
        load_plugin(tmp_path)
    (tmp_path / "text.txt").write_text("x = 1")
    with pytest.raises(UserError, match=r"expected the ending \.py"):
        load_plugin(tmp_path / "text.txt")


def test_an_edit_of_the_same_second_and_length_is_what_runs(tmp_path, monkeypatch):
    """Python takes its bytecode for that of a file of the same second and length."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    file = tmp_path / "quick.py"
    for value in (1, 2):
        monkeypatch.setattr("smemnas.bench.registry._loaded_files", {})  # as in a process that starts again
        file.write_text(f"VALUE = {value}\n")
        os.utime(file, (1e9, 1e9))
        load_plugin(file)
        [module] = [m for name, m in sys.modules.items() if name.startswith("smemnas_plugin_quick_")]
        assert module.VALUE == value

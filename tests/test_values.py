"""Values as users write them: what each kind takes, what it refuses, and that no option escapes."""

from __future__ import annotations

from typing import Any

import click
import pytest

from smemnas.bench.commands.common import Command, CommandGroup, UserPath, parse_params
from smemnas.bench.commands.root import cli as root
from smemnas.bench.commands.study_text import parse_shard
from smemnas.bench.errors import UserError
from smemnas.bench.ranking.plan import parse_draws, parse_n_test, parse_sizes
from smemnas.bench.values import (
    LARGEST_SEED,
    fault_of_text,
    literal,
    names,
    parse_numbers,
    parse_seeds,
    read_pairs,
    real,
    whole,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), (" 7 ", 7), ("+3", 3), ("-2", -2), ("1_000", 1000), ("007", 7), (5, 5), (f"{'0' * 5000}8", 8)],
)
def test_whole_numbers(text, value):
    assert whole("--n", text, -10, 1000) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("٣", "takes a whole number, got '٣'"),
        ("1.0", "takes a whole number"),
        ("", "takes a whole number, got ''"),
        ("nan", "takes a whole number"),
        (True, "takes a whole number"),
        (2.0, "takes a whole number"),
        ("-1", "--n must be at least 0, got -1."),
        ("11", "--n must be at most 10, got 11."),
        ("99999999999999999999", "--n must be at most 10, got 99999999999999999999."),
        ("9" * 5000, "--n must be at most 10, got '99999"),
        ("-" + "9" * 5000, "--n must be at least 0"),
    ],
)
def test_what_is_no_whole_number_within_bounds(text, words):
    with pytest.raises(UserError) as caught:
        whole("--n", text, 0, 10)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("text", "value"), [("0.5", 0.5), ("1e3", 1000.0), (".5", 0.5), ("-2.", -2.0), (3, 3.0)])
def test_real_numbers(text, value):
    assert real("--x", text) == value


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "-1e400", "٣", "", "a", float("nan"), 10**400, None])
def test_what_is_no_finite_number(text):
    with pytest.raises(UserError, match="takes a finite number"):
        real("--x", text)


def test_bounds_of_real_numbers():
    assert real("--timeout", "0.1", 0.0, above=0.0) == 0.1
    with pytest.raises(UserError, match="--timeout must be above 0, got 0"):
        real("--timeout", "0", 0.0, above=0.0)
    with pytest.raises(UserError, match="must be at most 5, got 6"):
        real("--x", "6", 0.0, 5.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 0.001),
        ("True", True),
        ("false", False),
        ("none", None),
        ("gp", "gp"),
        ("[1, [2.5, 'a']]", [1, [2.5, "a"]]),
        ("{'a': 1}", {"a": 1}),
        ("a\\d", "a\\d"),
        ("nan", "nan"),
    ],
)
def test_literals(text, value, recwarn):
    assert literal(text) == value
    assert type(literal(text)) is type(value)
    assert not recwarn.list


@pytest.mark.parametrize(
    "text",
    [
        "{[]: 1}",
        "{{1}: 2}",
        "{{}}",
        "{1: 2}",
        "{1, 2}",
        "b'x'",
        "1+2j",
        "...",
        "1e400",
        "[-1e400]",
        "99999999999999999999",
        "-" * 4001,
        "[" * 200 + "]" * 200,
        "[" * 20 + "]" * 20,
        "{'a': {'b': [1e999]}}",
    ],
)
def test_literals_that_no_file_can_hold(text):
    with pytest.raises(UserError) as caught:
        literal(text)
    assert "got" in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("text", ["-" * 30 + "1", "-" * 3999 + "1", "a" + ".b" * 1900, "not " * 900 + "x", "---"])
def test_what_is_no_literal_is_text_however_deep_python_finds_it(text):
    assert literal(text) == text


def test_pairs_have_the_types_of_their_fields():
    known = {"n": int, "x": float, "on": bool, "mode": str, "sides": tuple, "some": int | None, "any": Any}
    items = ["n=3", " x = 1", "on=true", "mode=", "sides=8-16", "some=none", "any=[1]"]
    found = read_pairs("--set", items, known)
    assert found == {"n": 3, "x": 1.0, "on": True, "mode": "", "sides": (8, 16), "some": None, "any": [1]}
    assert type(found["x"]) is float
    assert read_pairs("--set", ["sides=8"], known) == {"sides": (8,)}
    assert read_pairs("--set", ["new=x=y"]) == {"new": "x=y"}
    for item, words in (
        ("nn=3", "--set has no 'nn'. Did you mean 'n'"),
        ("n=2.5", "n takes a whole number, got 2.5."),
        ("n=", "--set takes KEY=VALUE, got 'n='."),
        ("n=true", "n takes a whole number, got True."),
        ("x=fast", "x takes a number, got 'fast'."),
        ("on=1", "on takes true or false, got 1."),
        ("mode=1", "mode takes text, got 1."),
        ("sides=a-b", "sides takes whole numbers joined by dashes, got 'a-b'."),
        ("sides=true", "sides takes whole numbers joined by dashes, got True."),
        ("some=x", "some takes a whole number, got 'x'."),
        ("x=1e999", "--set x: numbers are finite"),
    ):
        with pytest.raises(UserError) as caught:
            read_pairs("--set", [item], known)
        assert str(caught.value).startswith(words), item
    with pytest.raises(UserError, match="--set sets 'n' twice"):
        read_pairs("--set", ["n=1", "n=1"], known)


def test_parameters_of_a_method():
    assert parse_params(("a=1", "surrogate.b=x", "surrogate.c=[1]")) == {
        "a": 1,
        "surrogate_params": {"b": "x", "c": [1]},
    }
    for items, words in (
        (("a",), "takes KEY=VALUE"),
        (("=1",), "takes KEY=VALUE"),
        (("a=",), "takes KEY=VALUE"),
        (("a= ",), "takes KEY=VALUE"),
        (("a=1", "a=2"), "sets 'a' twice"),
        (("surrogate_params=5", "surrogate.b=1"), "sets 'surrogate.b' twice"),
        (("batch={[]: 1}",), "--param batch: a value is"),
    ):
        with pytest.raises(UserError, match=words):
            parse_params(items)


@pytest.mark.parametrize("text", ["", " ", ",", "a,,b", "a,", " , "])
def test_lists_of_names_have_no_holes(text):
    with pytest.raises(UserError, match="--methods takes names"):
        names("--methods", text)
    assert names("--methods", " a , b") == ("a", "b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a\nb", "line break"),
        ("a\x1b[31m", "control"),
        ("\udc80", "not UTF-8"),
        ("~nobody-here/x", "home folder"),
    ],
)
def test_texts_that_no_option_takes(text, words):
    assert words in fault_of_text(text)
    assert fault_of_text("é ± 東京") == ""


def test_seeds_are_counted_before_they_are_made():
    assert parse_seeds("0-2,7") == (0, 1, 2, 7)
    assert parse_seeds(f"{LARGEST_SEED}") == (LARGEST_SEED,)
    for text, words in (
        ("0-999999999999", "at most 4,294,967,295"),
        ("0-100000", "at most 10,000 seeds"),
        (",".join(f"{k}0000-{k}9998" for k in range(1, 9)), "at most 10,000 seeds"),
        (f"{LARGEST_SEED + 1}", "at most"),
        ("٣", "numbers and ranges"),
        ("0-٣", "numbers and ranges"),
        ("", "numbers and ranges"),
    ):
        with pytest.raises(UserError, match=words):
            parse_seeds(text)


def test_numbers_of_a_ranking_study():
    assert parse_draws("3") == (0, 1, 2)
    assert parse_draws("3,5") == (3, 5)
    assert parse_sizes("20,50") == (20, 50)
    assert parse_n_test("half", 9) == 4
    for call in (
        lambda: parse_draws("99999999999"),
        lambda: parse_draws("0"),
        lambda: parse_draws("٣"),
        lambda: parse_sizes("99999999999999999999"),
        lambda: parse_sizes("٣٠"),
        lambda: parse_sizes("20,,50"),
        lambda: parse_n_test("99999999999999999999", 9),
        lambda: parse_n_test("٣٠٠", 9),
        lambda: parse_numbers("--at", "٣", 10),
        lambda: parse_numbers("--at", "11", 10),
        lambda: parse_shard("٣/٣"),
        lambda: parse_shard("3/2"),
    ):
        with pytest.raises(UserError):
            call()


# ---- no option escapes ----


def every_command(command=root, path=()):
    """Yield all commands below the root with their words."""
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from every_command(below, (*path, name))


EVERY = [pytest.param(path, command, id=" ".join(path) or "root") for path, command in every_command()]


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_every_command_refuses_odd_texts_and_types_that_take_them(path, command):
    assert isinstance(command, Command | CommandGroup)
    for param in command.params:
        kind = param.type
        assert isinstance(kind, UserPath) or not isinstance(kind, click.Path), f"{path}: {param.name} is no UserPath"
        if path[0:1] not in (("supernet",), ("retrain",)):
            assert type(kind) not in (type(click.INT), type(click.FLOAT)), f"{path}: {param.name}: use Whole or Real"


@pytest.mark.parametrize(("path", "command"), EVERY)
@pytest.mark.parametrize("odd", ["", " ", "a\nb"])
def test_empty_and_broken_texts_are_refused_for_every_option(path, command, odd, fails):
    for param in command.params:
        if isinstance(param, click.Option) and not param.is_flag and not param.is_eager:
            option = max(param.opts, key=len)
            fails((*path, option, odd), option, "empty" if not odd.strip() else "line break")
        elif isinstance(param, click.Argument):
            fails((*path, odd, odd), "empty" if not odd.strip() else "line break")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("run", "--method", "random", "--space", "toy", "--objectives", "error,error"), ("named once",)),
        (("run", "--method", "random", "--space", "toy", "--objectives", "error,flops,flops"), ("named once",)),
        (("run", "--method", "random", "--space", "toy", "--objectives", ","), ("--objectives takes names",)),
        (("run", "--method", "random", "--space", "toy", "--constraint", "flops<=٣"), ("NAME<=NUMBER",)),
        (("run", "--method", "random", "--space", "toy", "--budget", "99999999999999999999"), ("at most 1,000,000",)),
        (("run", "--method", "random", "--space", "toy", "--seed", "-1"), ("--seed must be at least 0",)),
        (("run", "--method", "random", "--space", "toy", "--param", "batch={[]: 1}"), ("--param batch",)),
        (("study", "--methods", "random", "--spaces", "toy", "--timeout", "inf"), ("finite",)),
        (("study", "--methods", "random", "--spaces", "toy", "--target", "nan"), ("finite",)),
        (("study", "--methods", "random", "--spaces", "toy", "--jobs", "99999999999"), ("--jobs must be at most",)),
        (("study", "--methods", "random", "--spaces", "toy", "--seeds", "0-999999999999"), ("at most",)),
        (("rank", "--space", "toy", "--sample", "999999999"), ("--sample must be at most",)),
        (("rank", "--space", "toy", "--sample", "4000", "--n-train", "20"), ("at most 3,125",)),
        (("rank", "--space", "toy", "--encodings", ","), ("--encodings takes names",)),
        (("rank", "--space", "toy", "--pool", ","), ("--pool takes names",)),
    ],
)
def test_odd_values_of_single_options(args, words, fails, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fails(args, *words)
    assert not list(tmp_path.iterdir())


def test_a_data_folder_in_the_home_of_nobody(fails, monkeypatch):
    monkeypatch.setenv("SMEMNAS_DATA", "~nobody-here/x")
    fails(("run", "--method", "random", "--space", "nb201"), "SMEMNAS_DATA", "~nobody-here/x")


def test_an_option_is_no_path(cli, one_line_error, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = ("run", "--method", "random", "--space", "toy", "--budget", 3, "--out", "--quiet")
    one_line_error(cli(*call), "--out", "got '--quiet'", "./--quiet", code=2)
    assert list(tmp_path.iterdir()) == []

"""A wrong value of an option says whose --help explains the option; the same as what click refuses itself."""

from __future__ import annotations

import click
import pytest
from test_program import every_command

from smemnas.bench.commands.common import label
from smemnas.bench.commands.root import cli
from smemnas.bench.errors import UserError
from smemnas.bench.library.rank import RankOptions, rank
from smemnas.bench.program import program


def command_of(words):
    command = cli
    for word in words:
        command = command.commands[word]
    return command


@pytest.mark.parametrize("words", [*every_command()], ids=" ".join)
def test_an_empty_value_names_the_help_of_its_command(fails, words):
    options = [p for p in command_of(words).params if isinstance(p, click.Option) and not p.is_flag]
    for option in options[:1]:
        fails(
            (*words, label(option), ""),
            f"error: {label(option)} is empty",
            f" See {' '.join([program(), *words])} --help.",
        )


@pytest.mark.parametrize(
    "args",
    [
        ("run", "--method", "random", "--space", "toy", "--budget", 0),
        ("run", "--method", "random", "--space", "toy", "--constraint", "flops"),
        ("study", "--methods", "random", "--spaces", "toy", "--seeds", "3-1"),
        ("rank", "--space", "toy", "--n-train", "1,x"),
        ("rank", "--space", "toy", "--contrast", "knn"),
        ("rank", "--space", "toy", "--proxy-data", "digits"),
    ],
)
def test_a_wrong_value_does_too(tmp_path, monkeypatch, fails, args):
    monkeypatch.chdir(tmp_path)
    fails(args, str(args[-2]), f" See {program()} {args[0]} --help.\n")
    assert not [*tmp_path.iterdir()]


def test_what_names_no_option_or_says_what_there_is_has_no_hint(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    code, _, error = call("run", "--method", "smemnsa", "--space", "toy")
    assert code == 2
    assert "Did you mean" in error
    assert "--help" not in error


def test_the_library_does_not_speak_of_help():
    with pytest.raises(UserError, match=r"^--jobs must be at least 1, got 0\.$"):
        rank(RankOptions("toy", jobs=0))

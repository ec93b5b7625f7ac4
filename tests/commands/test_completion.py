"""Completion in a shell: names of methods, spaces, plans and data sets, as bash and zsh ask for them."""

import os
import shutil
import subprocess
import sys

import click
import pytest
from conftest import ROOT

from smemnas.bench.commands.completion import KINDS, known
from smemnas.bench.commands.root import cli
from smemnas.methods.base import METHODS
from smemnas.spaces.base import SPACES


def completed(line, shell="bash"):
    """What the program answers for a line whose last word is being typed."""
    from click.shell_completion import get_completion_class

    words = line.split(" ")
    kind = get_completion_class(shell)(cli, {}, "smemnas", "_SMEMNAS_COMPLETE")
    return [item.value for item in kind.get_completions(words[1:-1], words[-1])]


def test_names_are_completed():
    assert completed("smemnas run --method msunas/a") == ["msunas/adaptive", "msunas/adaptive-authors"]
    assert completed("smemnas run --space nb2") == ["nb201"]
    assert completed("smemnas study --plan in-") == ["in-the-box"]
    assert completed("smemnas run --problem c10") == ["c10-mop5-like"]
    assert completed("smemnas data fetch macro") == ["macro-cifar10"]
    assert completed("smemnas rank --surrogates kernel_svm") == ["kernel_svm_pairwise", "kernel_svm_pairwise_2000"]
    assert completed("smemnas run --method ") == METHODS.names()
    assert completed("smemnas check toy") == []


def test_of_names_with_commas_the_last_is_completed():
    found = [name for name in METHODS.names() if name.startswith("mo")]
    assert {"mo-rea", "moead", "moead/tuned"} < set(found)
    assert completed("smemnas study --methods nsga2,mo") == [f"nsga2,{name}" for name in found]
    assert completed("smemnas study --spaces toy,") == [f"toy,{name}" for name in SPACES.names()]


def test_data_sets_are_those_of_the_space():
    assert completed("smemnas run --space macro --dataset ") == ["cifar10"]
    assert completed("smemnas run --space mnv3 --dataset i") == ["imagenet", "imagenet-w12"]
    assert set(known("datasets")) > set(known("datasets", "nb201")) >= {"cifar10", "cifar100", "imagenet16-120"}


def test_commands_and_options_are_completed():
    assert completed("smemnas da") == ["data"]
    assert "--method" in completed("smemnas run --me", "zsh")


def options(command):
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        yield from options(inner)
    yield from (option for parameter in command.params for option in parameter.opts)


def test_every_kind_is_an_option_of_some_command():
    assert set(KINDS) <= set(options(cli))


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_command_prints_what_the_shell_evaluates(call, shell):
    code, out, error = call("completion", shell)
    assert (code, error) == (0, "")
    assert f"_SMEMNAS_COMPLETE={shell}_complete" in out
    assert "smemnas" in out
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=out, text=True, check=False).returncode == 0


def test_bash_asks_the_program():
    """As bash does after the tab key: the words by the environment, the answers on standard output."""
    code = "import sys; sys.argv[0] = 'smemnas'; from smemnas.cli import main; main()"
    env = {
        **os.environ,
        "_SMEMNAS_COMPLETE": "bash_complete",
        "COMP_WORDS": "smemnas run --method smem",
        "COMP_CWORD": "3",
    }
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["plain,smemnas", "plain,smemnas/adaptive"]
    assert all(line.startswith("plain,smemnas") for line in lines)

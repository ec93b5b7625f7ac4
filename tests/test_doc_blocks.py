"""Every command and block of the documentation is run, or read by the command line's own parser; its output is real."""

import re
import shlex

import doc_blocks
import pytest
from conftest import ROOT
from doc_blocks import Step, cut, folder_for, output, steps, without_times

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = [page for page in PAGES if steps(page.read_text(encoding="utf-8"))]
MODULES = {"train": "torch", "optuna": "optuna"}


def play(page, tmp_path, data, long):
    """Run the steps of a page that can be run, and compare; those after a long one may build on it."""
    folder = folder_for(tmp_path)
    done = 0
    for step in steps(page.read_text(encoding="utf-8")):
        if step.long and not long:
            continue
        if step.needs:
            pytest.importorskip(MODULES[step.needs], reason=f"needs the extra {step.needs!r}")
        assert without_times(output(step, folder, data)) == without_times(step.shown), step.code
        done += 1
    return done


@pytest.fixture
def own_data(tmp_path_factory, monkeypatch):
    """A data folder that is empty, as a newcomer's is; pages import tables into it."""
    folder = tmp_path_factory.mktemp("own")
    monkeypatch.setenv("SMEMNAS_DATA", str(folder))
    return folder


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_what_a_page_shows_is_what_its_commands_print(page, tmp_path, own_data):
    cheap = sum(not step.long for step in steps(page.read_text(encoding="utf-8")))
    assert play(page, tmp_path, own_data, long=False) == cheap


@pytest.mark.long
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_the_same_with_the_steps_that_take_long(page, tmp_path, own_data):
    assert play(page, tmp_path, own_data, long=True) == len(steps(page.read_text(encoding="utf-8")))


def test_there_are_pages_with_output():
    assert {"index.md", "tutorial.md"} <= {page.name for page in RUN}


def commands_of(text):
    """All command lines of the suite in the fenced blocks of a text."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            found = re.match(
                r"(?:\$ )?(?:[A-Z_]+=\S+ )*(?:srun |\.venv/bin/)?(?:python cli\.py|smemnas) (.*)", line.strip()
            )
            if found:
                yield found[1]


def parsed(words):
    """Read a command line as the program does, up to its options' values; return the command's name."""
    import click

    from smemnas.bench.commands.root import cli

    command, names = cli, []
    while True:
        context = click.Context(command, info_name=command.name)
        _, words, _ = command.make_parser(context).parse_args(list(words))
        if not isinstance(command, click.Group) or not words:
            return " ".join(names)
        command = command.commands[words[0]]
        names.append(words[0])
        words = words[1:]


COMMANDS = [(page.name, line) for page in PAGES for line in commands_of(page.read_text(encoding="utf-8"))]


def test_there_are_many_commands():
    assert len(COMMANDS) > 60
    assert {parsed(shlex.split(line, comments=True)).split()[0] for _, line in COMMANDS} >= {
        "run", "study", "rank", "report", "archive", "leaderboard", "show", "retrain", "export", "data", "list",
        "check", "supernet",
    }  # fmt: skip


def test_every_command_has_options_that_exist():
    for page, line in COMMANDS:
        try:
            parsed(shlex.split(line, comments=True))
        except Exception as error:
            pytest.fail(f"{page}: {line}: {error}")


def test_every_method_and_space_that_a_command_names_exists():
    from smemnas.methods.base import METHODS
    from smemnas.spaces.base import SPACES

    named = 0
    for _, line in COMMANDS:
        for option, value in re.findall(r"--(methods?|space) (\S+)", line) if "--plugin" not in line else ():
            for name in value.split(","):
                known = SPACES if option == "space" else METHODS
                assert name in known or name == "mine", f"{line}: {name}"  # "mine" is the reader's own
                named += 1
    assert named > 40


# ---- the reading of blocks ----


def test_blocks_are_read_with_their_notes(tmp_path):
    text = (
        "<!-- lines: 2; long -->\n```console\n$ echo a \\\n  b\na b\n$ echo c\nc\n```\n\n"
        "```console\npython cli.py list\n```\n"
        "<!-- run -->\n```python\nprint(1)\n```\n\n```text\n1\n```\n```python\nprint(2)\n```\n"
    )
    assert steps(text) == [
        Step("echo a \\\n  b\n", "a b\n", 2, True, "", False),
        Step("echo c\n", "c\n", 2, True, "", False),
        Step("print(1)\n", "1\n", None, False, "", True),
    ]
    wrong = text.replace("\na b\n", "\nx\n").replace("\n1\n", "\n7\n")
    assert doc_blocks.filled(wrong, tmp_path, tmp_path) == text
    assert cut("a  \nb\nc\n", 2) == "a\nb\n...\n"
    assert (
        without_times("took 1.25 s, 3 runs") == without_times("took 9 s,  3 runs") != without_times("took 1 s, 4 runs")
    )

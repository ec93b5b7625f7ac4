"""Odd calls: for every command one that works (or fails at once), then values, options and arguments changed.

The values come from click's own declarations, so a new command or option is covered when it is declared. What is
known to be wrong marks the call, and exit status 0 is then a failure.
"""

from __future__ import annotations

from typing import NamedTuple

import click
from hypothesis import strategies as st

from smemnas.bench.commands.common import Names, Real, UserPath, Whole
from smemnas.bench.commands.root import cli as root

from .sandbox import RANK, RUN, STUDY


class Call(NamedTuple):
    """A call, and whether it holds a mistake for sure."""

    args: tuple[str, ...]
    must_fail: bool = False


#: Wrong for every kind of value.
EMPTY = ("", " ", "\t", "a\nb", "\x1b[31m", "\udcff", "x" * 20_000)
#: Wrong for every number.
NO_NUMBER = (
    *("nan", "NaN", "inf", "-inf", "1e400", "-1e400", "٣", "٣٠", "0x10", "1 2", "1,5", "one", "9" * 400, "None", "½"),
    *("99999999999999999999", "-99999999999999999999", "[]", "{}", "1;2", "--", "1e", "١e٢"),
)
NO_WHOLE = ("3.5", "1e3", ".5", "-0.1")
NUMBERS = ("0", "1", "2", "3", "-1", "-0", "+5", "007", "1_0", "20")
TEXTS = (
    *(
        "a",
        ",",
        "a,,b",
        "a,a",
        "[red]x[/]",
        "%s",
        "{0}",
        "../x",
        "~",
        "~nobody",
        "é",
        "東京",
        "a" * 300,
        "=",
        "a=b",
        ":",
    ),
    *("None", "null", "*", "?", "[", "$HOME", "-", "--", "#1", "#99999999999", "٣", "0", "-1", "'", '"', "\\", "a/b"),
)
PATHS = (
    *("r", "n", "s", "k", "file", "empty", "mine", "src", "net.pt", "pickle.pt", "thesis.tex", "table.csv", "bad.csv"),
    *("dangling", "nowhere", "nowhere/x", ".", "..", "/", "/dev/null", "new", "new/er", "~", "~nobody/x", "file/x"),
    *("x" * 300, "y/" * 3000, "[red]", "-", "é", "s/toy", "r/job.json", "new.csv", "new.svg", "new.png", "new.pdf"),
    "a.runs",
)
#: Values that are right for options of these names, and cheap.
RIGHT = {
    "method": ("random", "nsga2", "rea", "mine", "smemnas"),
    "methods": ("random", "random,nsga2"),
    "space": ("toy", "toy", "toy", "nb201", "mnv3", "nb101"),
    "spaces": ("toy", "toy/closed-form", "nowhere"),
    "dataset": ("closed-form", "analog", "train+digits+tiny+lr={[]:1}", "supernet+%00", "supernet+net.pt"),
    "datasets": ("closed-form",),
    "objectives": ("error", "error,flops", "flops,error", "flops"),
    "objective": ("error", "flops"),
    "constraints": ("flops<=15", "error<=20", "flops>=99", "flops<=1e400", "flops<=nan", "flops=5", "x<=1", "flops<=٣"),
    "params": ("batch=3", "batch={[]: 1}", "batch=" + "-" * 900, "batch=", "x=1", "surrogate.a={[]:1}", "batch=1e400"),
    "training": ("images={[]:1}", "lr=0.1", "epochs=1"),
    "evaluator": ("table", "supernet"),
    "encodings": ("onehot", "best", "all", "onehot+onehot"),
    "surrogates": ("knn", "constant,random", "core"),
    "seeds": ("0", "0-1", "0-999999999999", "3-1", "0,0", "1-", "2"),
    "method_seeds": ("random=0", "random=0-9", "x=0", "random="),
    "variants": ("a=random:batch=2", "a=knn:k=3", "a=", "a=random:", "a=random:batch={[]:1}"),
    "plan_name": ("abltion",),  # the named plans are long
    "n_train": ("20", "20,30", "3,2", "20,,30"),
    "n_test": ("20", "half"),
    "sample": ("2", "60", "999999999"),
    "at": ("5", "5,12", "999"),
    "shard": ("1/2", "2/2", "3/2"),
    "pools": ("uniform", "front", "uniform,front"),
    "split_kind": ("genotype", "graph"),
    "backend": ("loky", "dask", "ray"),
    "address": ("tcp://127.0.0.1:1", "127.0.0.1:99999"),
    "proxies": ("nowhere",),
    "contrasts": ("knn,constant", "knn", "knn,x"),
    "n_jobs": ("1", "1", "1", "99999999999"),
    "arch": ("#1", "0-0-0-0-0", "#99999999999", "r999-3333-3333-3333-3333-3333", "timm:nowhere"),
    "name": ("random", "toy", "toy/closed-form", "knn", "nb201-cifar10", "mine", "toy/mine"),
    "names": ("nowhere", "nb201-cifar1O"),
    "kind": ("methods", "data"),
    "data": ("nowhere", "empty", "src"),
    "preset": ("small", "cifar"),
    "pick": ("knee", "best", "1", "0", "flops<=400"),
    "plugins": ("plugin.py", "broken.py", "odd.py", "nowhere.py", "file", "src", "."),
    "accuracies": ("acc:single", "acc", "acc:validation", "nowhere:single", "acc:single:fraction"),
    "metrics": ("ms:ms", "ms", "acc:ms", "ms:ms:max"),
}
#: One call of each command that works, or that fails at once where work would take long.
BASES = {
    ("run",): RUN[1:-2],
    ("study",): (*STUDY[1:-1], "new"),
    ("rank",): (*RANK[1:-1], "new"),
    ("report",): ("r", "s", "--out", "new", "--no-figures"),
    ("completion",): ("bash",),
    ("leaderboard",): ("a.runs", "s", "--out", "new"),
    ("archive", "make"): ("s", "--out", "new.runs"),
    ("archive", "info"): ("a.runs",),
    ("archive", "verify"): ("a.runs", "--sample", "2"),
    ("archive", "extract"): ("a.runs", "new"),
    ("show",): ("#1", "--space", "toy"),
    ("images",): ("nowhere",),
    ("fit",): ("./nowhere", "--hours", "1", "--out", "new"),
    ("gate",): ("--space", "toy", "--out", "new"),
    ("list",): (),
    ("check",): ("toy/nowhere",),
    ("supernet", "train"): ("--data", "nowhere"),
    ("supernet", "eval"): ("net.pt",),
    ("supernet", "info"): ("net.pt",),
    ("retrain",): ("r", "--data", "nowhere"),
    ("export",): ("r",),
    ("latency", "measure"): ("--space", "nb101", "--out", "new.json"),
    ("latency", "script"): ("--space", "nb101", "--out", "new"),
    ("latency", "check"): ("bad.csv",),
    ("latency", "info"): ("bad.csv",),
    ("data", "list"): (),
    ("data", "fetch"): ("nb201-cifar1O",),
    ("data", "info"): ("toy/nowhere",),
    ("data", "verify"): (),
    ("data", "import"): ("table.csv", "--space", "toy", "--name", "t", "--accuracy", "acc:single"),
    ("data", "export"): ("toy/nowhere", "new.csv"),
    ("data", "improve"): ("r",),
    ("data", "remove"): ("toy/nowhere",),
}
#: Commands whose base fails: nothing that is added makes it right.
HOPELESS = {
    ("images",),
    ("gate",),  # toy has no networks
    ("supernet", "train"),
    ("supernet", "eval"),
    ("supernet", "info"),
    ("retrain",),
    ("data", "fetch"),
    *(("latency", "measure"), ("latency", "script"), ("latency", "check"), ("latency", "info")),
}
#: Options that must not get a value that works: it would take long, or leave the machine.
KEPT = {
    *((("latency", "measure"), "space"), (("latency", "script"), "space")),
    *((("data", "fetch"), "names"), (("retrain",), "data"), (("supernet", "train"), "data")),
    (("fit",), "data"),
    (("gate",), "space"),
    (("report",), "watch"),  # it serves until Ctrl-C
}


def commands(group: click.Group = root, path: tuple[str, ...] = ()):
    """Yield all commands with their words."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


EVERY = dict(commands())


def values(param: click.Parameter) -> st.SearchStrategy[tuple[str, bool]]:
    """Return values of an option or argument, each with whether it is wrong for sure."""
    right = st.sampled_from(RIGHT[param.name]) if param.name in RIGHT else st.nothing()
    kind = param.type
    parts = [st.tuples(right, st.just(False)), st.tuples(st.sampled_from(EMPTY), st.just(True))]
    if isinstance(kind, Whole | Real | click.types.IntParamType | click.types.FloatParamType):
        parts.append(st.tuples(st.sampled_from(NO_NUMBER), st.just(True)))
        parts.append(st.tuples(st.sampled_from(NUMBERS), st.just(False)))
        if isinstance(kind, Whole | click.types.IntParamType):
            parts.append(st.tuples(st.sampled_from(NO_WHOLE), st.just(True)))
    elif isinstance(kind, UserPath | click.Path):
        parts.append(st.tuples(st.sampled_from(PATHS), st.just(False)))
    elif isinstance(kind, Names):
        parts.append(st.tuples(st.sampled_from((",", "a,,b", ",a", " , ")), st.just(True)))
        parts.append(st.tuples(st.sampled_from(TEXTS), st.just(False)))
    else:
        parts.append(st.tuples(st.sampled_from(TEXTS + PATHS + NO_NUMBER + NUMBERS), st.just(False)))
        parts.append(st.tuples(st.text(max_size=12).filter(lambda t: "\0" not in t), st.just(False)))
    return st.one_of(parts)


@st.composite
def calls(draw) -> Call:
    """Draw a call."""
    path = draw(st.sampled_from(sorted(EVERY)))
    command = EVERY[path]
    args = list(BASES.get(path, ()))
    wrong, wrong_plugin = path in HOPELESS, False
    before: list[str] = []
    options = [p for p in command.params if isinstance(p, click.Option) and not p.is_eager]
    for _ in range(draw(st.integers(1, 3))):
        change = draw(st.sampled_from((*["option"] * 9, "argument", "argument", "drop", "extra", "plugin")))
        if change == "option" and options:
            option = draw(st.sampled_from(options))
            if (path, option.name) in KEPT:
                continue
            if option.is_flag:
                args.append(draw(st.sampled_from(option.opts)))
                continue
            value, bad = draw(values(option))
            wrong |= bad
            name = max(option.opts, key=len)
            if name in args and not option.multiple:
                at = args.index(name)
                del args[at : at + 2]
            args += draw(st.sampled_from(([name, value], [f"{name}={value}"])))
        elif change == "argument":
            arguments = [p for p in command.params if isinstance(p, click.Argument)]
            if arguments and args[:1] != ["--data"] and (path, arguments[0].name) not in KEPT:
                value, bad = draw(values(arguments[0]))
                wrong |= bad
                args[:1] = [value]
                wrong |= value == "--"  # what follows is no option any more
                if value.startswith("-"):
                    wrong = wrong and bad
        elif change == "drop" and args:
            del args[draw(st.integers(0, len(args) - 1))]
        elif change == "extra":
            extra = draw(st.sampled_from(("--nonsense", "--out", "--=", "-x", "surplus", "r", "--help-me", "--seed=")))
            args.append(extra)
        else:
            value, wrong_plugin = draw(values(PLUGINS))
            before = ["--plugin", value]
    if "train" in args and "--evaluator" in args:
        args += ["--data", "nowhere"]
    args = [arg for arg in args if arg not in ("-h", "--help")]
    return Call((*before, *path, *(a for a in args if "\0" not in a)), (wrong or wrong_plugin) and "--" not in args)


PLUGINS = next(p for p in root.params if p.name == "plugins")

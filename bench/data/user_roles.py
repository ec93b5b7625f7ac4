"""What a user says of a column: source, unit, split, direction, scale; and what looks like a mistake in it.

    --accuracy [NAME=]COLUMN[,COLUMN...]:SPLIT[:fraction|percent][:max]
    --metric   [NAME=]COLUMN[,COLUMN...]:UNIT[:SPLIT][:max|min][:fraction|percent][:signed]
    --time     COLUMN[,COLUMN...]

Several columns are several trainings. Everything is minimised inside: an accuracy becomes an error, a quantity of
which more is better is stored negated as `neg_NAME`. A declaration that contradicts the name of its column is
refused, with the word that says that it is meant so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from smemnas.bench.benchmarks.timed import TIME_NAME, TIME_ROLE
from smemnas.bench.data.user_sheet import Sheet
from smemnas.bench.errors import UserError

SPLITS = ("validation", "test", "single", "none")
#: Column that an accuracy of a split becomes.
ERROR_NAMES = {"validation": "val_error", "test": "test_error", "single": "error"}
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,99}")
#: Names that the suite itself gives to columns.
RESERVED = ("arch", "key", "genotype")
#: How a quantity is stored of which more is better.
NEGATED = "neg_"
#: Units of quantities that may be below zero; "-" is no unit at all.
SIGNED_UNITS = frozenset({"", "dB", "dBm", "nat", "nats", "bits", "log", "score", "z", "C", "°C"})
#: Words of a name of which more is better, and words that turn it round.
_MORE = frozenset(
    {"acc", "accuracy", "accuracies", "top1", "top5", "throughput", "fps", "qps", "ips", "ssim", "psnr", "miou", "iou"}
    | {"map", "map50", "ap", "ap50", "r2", "f1", "auc", "auroc", "roc", "precision", "recall", "score", "reward"}
    | {"bleu", "rouge", "speedup", "dice", "spearman", "kendall", "pearson"}
)
_LESS = frozenset(
    {"err", "error", "errors", "loss", "drop", "gap", "regret", "std", "var", "sem", "latency", "time", "ms", "rank"}
    | {"degradation", "mse", "rmse", "mae", "mape", "nll", "ce"}
)
_VALIDATION, _TEST = frozenset({"val", "valid", "validation", "dev"}), frozenset({"test", "tst", "testing"})
_KEYWORDS = ("max", "min", "fraction", "percent", "signed")


class Role(NamedTuple):
    """What a user says of one column of the table.

    Attributes:
        given: As it was given, with its option, for messages.
        sources: Columns of the file, one for each training.
        name: Under which it is stored; `NEGATED` comes before it where more is better.
        unit: As shown; "" for none.
        split: One of `SPLITS`.
        accuracy: Whether it is stored as 100 - value.
        more: Whether more is better (never with `accuracy`).
        scale: "fraction", "percent", or "" where the values must show it.
        signed: Whether values below zero are values.
        time: Whether it is the training time, which is neither searched nor reported.
    """

    given: str
    sources: tuple[str, ...]
    name: str
    unit: str
    split: str
    accuracy: bool
    more: bool
    scale: str
    signed: bool
    time: bool = False

    @property
    def stored(self) -> str:
        """Name of the column of the table."""
        return NEGATED + self.name if self.more else self.name

    @property
    def role(self) -> str:
        """Whether it is searched, reported, or the training time."""
        if self.time:
            return TIME_ROLE
        return "report" if self.split == "test" else "objective"


def words_of(name: str) -> list[str]:
    """Return the words of a name, in lower case: "valAcc-top1 (%)" has val, acc, top1."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name).lower()
    text = re.sub(r"top[-_ ]?([15])(?![0-9])", r"top\1", text)
    return [w for w in re.split(r"[^a-z0-9]+", text) if w]


def split_of(name: str) -> str:
    """Return the split that a name speaks of, "" for none or both."""
    words = set(words_of(name))
    validation, test = bool(words & _VALIDATION), bool(words & _TEST)
    return "" if validation == test else "validation" if validation else "test"


def without_split(name: str) -> tuple[str, ...]:
    """Return the words of a name but those of its split: what a validation and a test column have in common."""
    return tuple(w for w in words_of(name) if w not in _VALIDATION | _TEST)


def _more_is_better(name: str, unit: str) -> bool:
    words = set(words_of(name))
    rate = unit.endswith("/s") or unit.lower() in ("fps", "qps", "ips")
    return bool(words & _MORE or rate) and not words & _LESS


def parse_accuracy(given: str, sheet: Sheet) -> Role:
    """Read one `--accuracy`.

    Raises:
        UserError: Another form, an unknown column, or a declaration that looks like a mistake.
    """
    rest, words = _keywords(given, ("max", "fraction", "percent"))
    sources, _, split = rest.rpartition(":")
    if not sources or split not in ERROR_NAMES:
        raise UserError(
            f"--accuracy takes COLUMN:SPLIT[:fraction|percent], split {', '.join(ERROR_NAMES)}, got {given!r}."
        )
    name, columns = _sources(sources, sheet, "--accuracy")
    what = columns[0]
    if set(words_of(what)) & _LESS and "max" not in words:
        raise UserError(
            f"--accuracy {given}: {what!r} looks like a quantity of which less is better: give "
            f"--metric {what}:%:{split}, or --accuracy {given}:max if it is an accuracy."
        )
    _check_split(f"--accuracy {given}", name, what, split)
    stored = name or ERROR_NAMES[split]
    return Role(f"--accuracy {given}", columns, stored, "%", split, True, False, _scale(words, given), False)


def parse_metric(given: str, sheet: Sheet) -> Role:
    """Read one `--metric`.

    Raises:
        UserError: Another form, an unknown column, a name that cannot be stored, or what looks like a mistake.
    """
    rest, words = _keywords(given, _KEYWORDS)
    parts = rest.split(":")
    stated = len(parts) > 2 and parts[-1] in SPLITS
    split = parts.pop() if stated else "none"
    unit = parts.pop().strip() if len(parts) > 1 else ""
    sources = ":".join(parts)
    known = sources in sheet.names or sources.partition("=")[2] in sheet.names
    if not sources or not unit or (":" in sources and not known):
        raise UserError(
            "--metric takes COLUMN:UNIT[:SPLIT][:max|min][:fraction|percent][:signed], SPLIT one of "
            f"{', '.join(SPLITS)}, got {given!r}."
        )
    name, columns = _sources(sources, sheet, "--metric")
    if not name and len(columns) > 1:
        raise UserError(f"--metric {given}: several trainings need a name of their own: NAME={given}.")
    stored = name or columns[0].lower()
    if not IDENTIFIER.fullmatch(stored):
        own = re.sub(r"[^a-z0-9]+", "_", stored).strip("_")
        own = own if IDENTIFIER.fullmatch(own) else "NAME"
        raise UserError(
            f"a metric is named with a-z, 0-9 and _, got {columns[0]!r}: name it, --metric {f'{own}={given}'!r}."
        )
    _check_direction(given, f"{stored} {columns[0]}", unit, words)
    if not stated and split_of(columns[0]) and not name:
        found = split_of(columns[0])
        raise UserError(
            f"--metric {given}: {columns[0]!r} looks like a column of the {found} split: say so, "
            f"--metric {':'.join((sources, unit, found, *words))}, or :none if it has no split."
        )
    _check_split(f"--metric {given}", name, columns[0], split)
    return Role(
        *(f"--metric {given}", columns, stored, "" if unit == "-" else unit, split),
        *(False, "max" in words, _scale(words, given), "signed" in words),
    )


def parse_time(given: str, sheet: Sheet) -> Role:
    """Read `--time`: the column of the seconds that a training took, or one for each training.

    Raises:
        UserError: An unknown column, or a name of its own.
    """
    name, columns = _sources(given, sheet, "--time")
    if name:
        raise UserError(f"--time takes COLUMN or COLUMN,COLUMN, stored as {TIME_NAME}; got {given!r}.")
    return Role(f"--time {given}", columns, TIME_NAME, "s", "none", False, False, "", False, True)


def _keywords(given: str, known: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Take the keywords off the end of a declaration.

    Raises:
        UserError: One is there twice, or two contradict one another.
    """
    rest = given
    words: list[str] = []
    while (end := rest.rpartition(":"))[2] in known and end[0]:
        words.insert(0, end[2])
        rest = end[0]
    if len(set(words)) != len(words) or {"max", "min"} <= set(words) or {"fraction", "percent"} <= set(words):
        raise UserError(f"{given!r} contradicts itself: give one of {', '.join(dict.fromkeys(words))}.")
    return rest, tuple(words)


def _scale(words: Sequence[str], given: str) -> str:
    return next((w for w in words if w in ("fraction", "percent")), "")


def _sources(text: str, sheet: Sheet, option: str) -> tuple[str, tuple[str, ...]]:
    """Split "NAME=A,B" into name ("" for none) and the columns of the file.

    Raises:
        UserError: An unknown column, one that is given twice, or a name that cannot be stored.
    """
    name = ""
    if text not in sheet.names and "=" in text:
        name, _, text = text.partition("=")
        name = name.strip()
        if not IDENTIFIER.fullmatch(name):
            raise UserError(f"a column is named with a-z, 0-9 and _, got {name!r} in {option} {name}={text}.")
    columns = (text,) if text in sheet.names else tuple(c.strip() for c in text.split(","))
    for column in columns:
        sheet.need(column, option)
    if len(set(columns)) != len(columns):
        raise UserError(f"{option} {text} names a column twice.")
    return name, columns


def _check_split(given: str, name: str, column: str, split: str) -> None:
    """Refuse a test column that is searched, and a validation column that is reported.

    Raises:
        UserError: It is one; a name of its own says that it is meant so.
    """
    found = split_of(column)
    if not name and found and {found, split} == {"validation", "test"}:
        raise UserError(
            f"{given}: {column!r} looks like a column of the {found} split: say {found}, or single if it is the only "
            f"one, or give it a name of its own (NAME={column}:...)."
        )


def _check_direction(given: str, name: str, unit: str, words: Sequence[str]) -> None:
    """Refuse to minimise what looks, by its names or unit, as if more were better.

    Raises:
        UserError: It does, and neither direction is said.
    """
    if "max" not in words and "min" not in words and _more_is_better(name, unit):
        accuracy = set(words_of(name)) & {"acc", "accuracy", "top1", "top5"}
        other = f", --accuracy {given.split(':')[0]}:SPLIT for an accuracy" if accuracy else ""
        raise UserError(
            f"--metric {given}: metrics are minimised, and of {name.split()[0]!r} more looks better: say --metric "
            f"{given}:max{other}, or :min if less is better."
        )

"""What a study's options say as text: seeds, numbers of evaluations, variants, shards."""

from __future__ import annotations

import re

from smemnas.bench.errors import UserError
from smemnas.bench.values import parse_seeds, shown

_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


def parse_method_seeds(text: str) -> tuple[str, tuple[int, ...]]:
    """Turn "NAME=0-10" into the name of a variant and its seeds.

    Raises:
        UserError: The text has another form.
    """
    name, equals, seeds = text.rpartition("=")
    if not (equals and name.strip() and seeds.strip()):
        raise UserError(f"--method-seeds takes NAME=SEEDS, for example bananas=0-10; got {shown(text)}.")
    return name.strip(), parse_seeds(seeds, "--method-seeds")


def split_variant(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Split "NAME=METHOD:PARAM=VALUE,PARAM=VALUE" into name, method and its "PARAM=VALUE" items.

    Commas within brackets or quotes do not split.

    Raises:
        UserError: The text has another form.
    """
    name, equals, rest = text.partition("=")
    method, colon, params = rest.partition(":")
    if not (equals and name.strip() and method.strip()) or (colon and not params.strip()):
        raise UserError(
            "--variant takes NAME=METHOD:PARAM=VALUE,PARAM=VALUE, for example gp=smemnas:surrogate=gp,batch=8; "
            f"got {shown(text)}."
        )
    return name.strip(), method.strip(), tuple(split_outside(params))


def split_outside(text: str) -> list[str]:
    """Split at the commas that are not within brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def parse_shard(text: str) -> tuple[int, int]:
    """Turn "2/8" into (2, 8): the second of eight parts.

    Raises:
        UserError: It is no such pair.
    """
    found = _SHARD.fullmatch(text.strip())
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"--shard takes K/N with K from 1 to N, for example 2/8, got {shown(text)}.")
    return int(found[1]), int(found[2])

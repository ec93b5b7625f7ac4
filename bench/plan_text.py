"""What a study's options say as text: seeds, numbers of evaluations, variants, shards."""

from __future__ import annotations

from bench.errors import UserError


def parse_seeds(text: str) -> tuple[int, ...]:
    """Turn "0-30" or "0,3,5-7" into seeds, in the order given.

    Raises:
        UserError: It is neither.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise UserError(f"--seeds takes numbers and ranges like 0-30 or 0,3,5-7, got {text!r}.")
        seeds.extend(range(int(first), int(last or first) + 1) if dash else [int(first)])
    return tuple(dict.fromkeys(seeds))


def parse_method_seeds(text: str) -> tuple[str, tuple[int, ...]]:
    """Turn "NAME=0-10" into the name of a variant and its seeds.

    Raises:
        UserError: The text has another form.
    """
    name, equals, seeds = text.rpartition("=")
    if not (equals and name.strip() and seeds.strip()):
        raise UserError(f"--method-seeds takes NAME=SEEDS, for example bananas=0-10; got {text!r}.")
    return name.strip(), parse_seeds(seeds)


def parse_numbers(option: str, text: str, largest: int) -> tuple[int, ...]:
    """Turn "100,300" into numbers from 1 to `largest`.

    Raises:
        UserError: One is not.
    """
    numbers = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= largest for part in numbers):
        raise UserError(f"{option} takes numbers from 1 to the budget {largest}, like 100,300; got {text!r}.")
    return tuple(int(part) for part in numbers)


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
            f"got {text!r}."
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
    k, slash, n = text.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise UserError(f"--shard takes K/N with K from 1 to N, for example 2/8, got {text!r}.")
    return int(k), int(n)

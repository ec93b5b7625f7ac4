"""Names of architectures as words of their genes, which an archive then need not spell out one by one.

Most spaces name a network gene by gene ("32:40:56:64:8"), and some layer by layer, where a second gene says whether the
layer is there. So a part of a name is what at most two genes say. The rules are learned from the names themselves: an
archive stands alone, and no space need be there to read it. Names of another kind (a hash, a matrix after pruning) are
kept as they are.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smemnas.bench.archive.form import LARGEST_CONTENT, RESTORE, Part
from smemnas.bench.errors import DataError

_WORDS = re.compile(r"\w+|\W+")
#: Texts of a part: more are no rule but a list.
MOST_TEXTS = 1 << 12
#: Rows on which a rule is tried first.
_FIRST = 200


def learn(names: Sequence[str], X: NDArray[Any]) -> tuple[Part, ...] | None:
    """Return the parts of which genotypes spell their names, None where there are none.

    Args:
        names: ``(m,)``.
        X: Genotypes ``(m, n_var)``.
    """
    if not names or X.max(initial=0) >= MOST_TEXTS or any("\0" in name for name in names):
        return None
    X = X.astype(np.int64)
    split = [_WORDS.findall(name) for name in names]
    if len({len(words) for words in split}) > 1:
        split = [[name] for name in names]
    parts: list[Part] = []
    for column in zip(*split, strict=True):
        word = _part(column, X)
        if word is not None:
            parts.append(word)
            continue
        for i in range(max(map(len, column))):
            letter = _part([text[i : i + 1] for text in column], X)
            if letter is None:
                return None
            parts.append(letter)
    return tuple(parts) if _fit(parts, len(names)) else None


def _fit(parts: Sequence[Part], n: int) -> bool:
    """Whether so many names, each as long as any, are no more than an archive may hold."""
    return sum(max((len(_bytes(text)) for text in part.texts), default=0) for part in parts) * n <= LARGEST_CONTENT


def _part(column: Sequence[str], X: NDArray[np.int64]) -> Part | None:
    """Return by which genes a text ``(m,)`` is said: none, one or two; None where these are too few."""
    places: dict[str, int] = {}
    codes = np.array([places.setdefault(text, len(places)) for text in column])
    texts = list(places)
    if len(texts) == 1:
        return Part((), (texts[0],))
    if len(texts) > MOST_TEXTS:
        return None
    sizes = [int(n) + 1 for n in X.max(axis=0)]
    varied = [g for g, n in enumerate(sizes) if n > 1]
    for genes in (*((g,) for g in varied), *itertools.combinations(varied, 2)):
        width, size = sizes[genes[-1]], int(np.prod([sizes[g] for g in genes]))
        if size > MOST_TEXTS:
            continue
        for rows in (slice(_FIRST), slice(None)):
            keys = _keys(X[rows], genes, width)
            said = np.full(size, -1)
            said[keys] = codes[rows]
            if not np.array_equal(said[keys], codes[rows]):
                break
        else:
            return Part(genes, tuple(texts[code] if code >= 0 else "" for code in said.tolist()), width)
    return None


def _keys(X: NDArray[np.int64], genes: Sequence[int], width: int) -> NDArray[np.int64]:
    """Return the place ``(m,)`` of each genotype's text."""
    keys = X[:, genes[0]] if genes else np.zeros(len(X), dtype=np.int64)
    for gene in genes[1:]:
        keys = keys * width + X[:, gene]
    return keys


def spell(parts: Sequence[Part], X: NDArray[Any], what: str) -> list[str]:
    """Return the names ``(m,)`` of genotypes ``(m, n_var)``.

    Raises:
        DataError: The parts are not of such genotypes.
    """
    if not _fit(parts, len(X)):
        raise DataError(f"{what} holds longer names than any archive of runs does: it is not read.")
    columns = np.ascontiguousarray(X.T, dtype=np.int64)
    letters = []  # in UTF-8, each part as wide as its longest text
    for part in parts:
        if any(gene >= len(columns) for gene in part.genes):
            raise DataError(f"{what} spells names by genes that it does not hold: {RESTORE}")
        keys = _keys(columns.T, part.genes, part.width)
        if len(keys) and not 0 <= keys.min() <= keys.max() < len(part.texts):
            raise DataError(f"{what} holds no names for some of its genes: {RESTORE}")
        texts = np.array([_bytes(text) for text in part.texts] or [b""])
        letters.append(texts.view(np.uint8).reshape(len(texts), -1).take(keys, axis=0))
    table = np.concatenate([np.empty((len(X), 0), dtype=np.uint8), *letters], axis=1)
    there = table != 0
    ends = np.cumsum(np.count_nonzero(there, axis=1)).tolist()
    found = table[there].tobytes()
    if found.isascii():  # one decoding for all
        text = found.decode()
        return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return [found[start:end].decode(errors="surrogatepass") for start, end in zip([0, *ends], ends, strict=False)]


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")

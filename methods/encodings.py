"""Which encoding the surrogate of each costly objective sees: given, declared by the space, or chosen on the archive.

Error and latency want to be described differently: a dead operation does nothing for the one and costs time in the
other. So `encoding` may be, beside the name of one encoding for all:

* "declared": what the space recommends for that kind of objective (`SearchSpace.recommended_for`);
* "auto": of all that the space has, what orders the archive best in cross-validation (`surrogates.choice`); what the
  space recommends is preferred to what is no clear improvement;
* "auto-neutral": the same among the encodings that every space has, from its genes alone;
* names joined by commas: the same among these, the first one preferred.
"""

from __future__ import annotations

from collections.abc import Callable

from smemnas.spaces.base import RECOMMENDED, FloatArray, IntArray, Objective, Problem, SearchSpace
from smemnas.surrogates.base import Surrogate
from smemnas.surrogates.choice import choose

AUTO, AUTO_NEUTRAL, DECLARED = "auto", "auto-neutral", "declared"
#: Encodings that any space has, from its genes alone. Genes that a space says have no effect may be left out: mnv3's
#: "onehot" has no column for the layers that an architecture does not have (OFA's layout).
NEUTRAL = frozenset({"int", "onehot"})
#: What "auto-neutral" chooses among, the preferred one first.
NEUTRAL_CANDIDATES = ("onehot", "int", "int+onehot")
#: The archive has to grow by this factor before encodings are chosen anew.
GROWTH = 1.5


def is_neutral(encoding: str | None) -> bool:
    """Whether a value of the parameter `encoding` leaves everything that was made for the space aside."""
    if encoding == AUTO_NEUTRAL:
        return True
    return encoding is not None and NEUTRAL.issuperset(encoding.replace(",", "+").split("+"))


def candidates(space: SearchSpace, objective: Objective, encoding: str | None) -> tuple[str, ...]:
    """Return the encodings to choose among for one costly objective, the preferred one first.

    Raises:
        UserError: The space has no such encoding.
    """
    if encoding == DECLARED:
        names = [space.recommended_for(objective)]
    elif encoding == AUTO_NEUTRAL:
        names = [*NEUTRAL_CANDIDATES]
    elif encoding == AUTO:
        names = [space.recommended_for(objective), RECOMMENDED, space.default_encoding, *NEUTRAL_CANDIDATES]
        names += space.encodings
    else:
        names = (encoding or space.default_encoding).split(",")
    return tuple(dict.fromkeys("+".join(space.encoding_parts(name)) for name in names))


class Learners:
    """A surrogate for each costly objective, on the encoding that is right for it.

    Args:
        problem: Space and objectives.
        encoding: A parameter, see the module.
        make: Makes a surrogate for blocks of columns of these widths.
        beside: Columns beside the encoding.
    """

    def __init__(
        self,
        problem: Problem,
        encoding: str | None,
        make: Callable[[tuple[int, ...]], Surrogate],
        beside: int = 0,
    ) -> None:
        space = problem.space
        self._problem = problem
        self._make = make
        self._beside = (beside,) if beside else ()
        self._candidates = [candidates(space, problem.objectives[j], encoding) for j in problem.costly]
        self._chosen_at = 0
        #: The encoding of each costly objective.
        self.encodings = [names[0] for names in self._candidates]
        #: The surrogate of each.
        self.surrogates = [self._new(name, self._beside) for name in self.encodings]

    def update(self, X: IntArray, F: FloatArray) -> None:
        """Choose encodings on evaluated genotypes ``(n, n_var)`` with objectives ``(n, n_obj)``, if it is time to."""
        if len(X) < GROWTH * self._chosen_at:
            return
        self._chosen_at = len(X)
        for i, names in enumerate(self._candidates):
            if len(names) > 1:
                tried = [(lambda n=name: self._new(n), self._problem.space.encode(X, name)) for name in names]
                self.encodings[i] = names[choose(tried, F[:, self._problem.costly[i]])]
                self.surrogates[i] = self._new(self.encodings[i], self._beside)

    def _new(self, name: str, beside: tuple[int, ...] = ()) -> Surrogate:
        return self._make((*self._problem.space.encoding_widths(name), *beside))

"""Write the pages of the registered experiments: `python docs/make_headline.py [[PLAN] FOLDER] [--recorded COMMIT]`.

With FOLDER, that of the experiment PLAN (headline unless it is said) once it has ended, the data files are taken from
there into docs/results/PLAN first. Then, from these files alone: the pages and their pictures, and what other pages say
of them. Without them there is nothing to say, and they say that. --recorded: the commit that holds the page of PLAN. A
test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import inside_words
from headline_data import MADE, Experiment, collected
from headline_figure import figure
from headline_sections import caveats, gate, measured, outcomes, surrogates
from headline_words import first_sentence, prediction, second_sentence, third_sentence
from make_kept import with_kept
from make_main import record
from pages import RESULTS, recorded_in

FIGURE = "headline.svg"
#: Words of the answer: what can be read before the picture in a minute.
LONGEST = 120
#: Pages that mention an experiment, by their folders from the root.
OVERVIEW, TRAINING, FRONT = RESULTS / "README.md", RESULTS.parent / "training.md", RESULTS.parents[1] / "README.md"


class Page(NamedTuple):
    """What is particular to an experiment.

    Attributes:
        title: The question.
        sentences: The answer, short.
        more: Section behind the gate.
        below: What the lower part of the picture shows.
        mentions: Pages with a section on it, and how they reach it.
    """

    title: str
    sentences: Sequence[Callable[[Experiment], str]]
    more: Callable[[Experiment], list[str]]
    below: str
    mentions: Mapping[Path, str]


PAGES = {
    "headline": Page(
        "Does a search beat chance when every number is a training?",
        (first_sentence, second_sentence, third_sentence),
        prediction,
        "effects with 95 % intervals, beside what was predicted and what was simulated with the gate's noise",
        {
            OVERVIEW: "headline/README.md",
            TRAINING: "results/headline/README.md",
            FRONT: "docs/results/headline/README.md",
        },
    ),
    "headline-inside": Page(
        "What does it in SMEM-NAS when every number is a training?",
        (inside_words.first_sentence, inside_words.second_sentence, third_sentence),
        inside_words.decided,
        "effects with 95 % intervals, beside what was simulated with the gate's noise",
        {OVERVIEW: "headline-inside/README.md", TRAINING: "results/headline-inside/README.md"},
    ),
}


def page(folder: Path, name: str = "headline") -> str:
    """Return the text of a page from the files of its folder.

    Raises:
        SystemExit: The answer is too long to be read in a minute.
    """
    e, kind = Experiment(folder), PAGES[name]
    short = " ".join(sentence(e) for sentence in kind.sentences)
    lines = [f"# {kind.title}", "", e.made, "", short, ""]
    if len(short.split()) > LONGEST:
        raise SystemExit(f"the answer has {len(short.split())} words, at most {LONGEST}")
    caption = (
        f"Above: hypervolume of the fronts of each seed, by fresh trainings judged on test images. Below: {kind.below}."
    )
    lines += [f"![{caption}]({FIGURE})", "", caption, ""]
    lines += [*outcomes(e), *gate(e), *kind.more(e), *surrogates(e), *measured(e, name), *caveats(e)]
    return with_kept("\n".join(lines), folder)


def marks(name: str) -> tuple[str, str]:
    """Return what stands before and behind the section on an experiment in other pages."""
    return f"<!-- {name}: python docs/make_headline.py -->\n", f"<!-- {name}: end -->"


def mention(folder: Path, link: str, name: str = "headline") -> str:
    """Return what other pages say of an experiment."""
    if not (folder / MADE).exists():
        return f"`study --plan {name}` has no result in the repository yet.\n"
    e, kind = Experiment(folder), PAGES[name]
    return f"**What came out** ([page]({link})): {' '.join(sentence(e) for sentence in kind.sentences[:2])}\n"


def mentioned(text: str, folder: Path, link: str, name: str = "headline") -> str:
    """Return a page with its section on an experiment made anew."""
    opening, closing = marks(name)
    before, begin, rest = text.partition(opening)
    return before + begin + mention(folder, link, name) + closing + rest.partition(closing)[2] if begin else text


def write(name: str) -> None:
    """Write the page of an experiment, where its files are there, and what others say of it."""
    folder = RESULTS / name
    if (folder / MADE).exists():
        (folder / "README.md").write_text(page(folder, name), encoding="utf-8")
        (folder / FIGURE).write_text(figure(Experiment(folder)), encoding="utf-8")
        for file in folder.glob("*.md"):
            file.write_text(with_kept(file.read_text(encoding="utf-8"), folder), encoding="utf-8")
    for file, link in PAGES[name].mentions.items():
        file.write_text(mentioned(file.read_text(encoding="utf-8"), folder, link, name), encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Make the pages as the command line says."""
    recorded = recorded_in(arguments)
    name = arguments.pop(0) if arguments and arguments[0] in PAGES else "headline"
    if arguments:
        made = collected(Path(arguments[0]))
        (RESULTS / name).mkdir(parents=True, exist_ok=True)
        for file, text in made.items():
            (RESULTS / name / file).write_text(text, encoding="utf-8")
    if recorded:
        record(RESULTS / name, recorded)
    for each in PAGES:
        write(each)


if __name__ == "__main__":
    main(sys.argv[1:])

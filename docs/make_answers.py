"""Write the pages of docs/answers, one for each question: `python docs/make_answers.py [NAME ...]`.

With their pictures, and the table of the README. Everything is read from the CSV files and tables of the repository; a
test compares. NAME: some pages only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import answer_inherited
import answer_methods
import answer_pairs
import answer_populations
import answer_trained
from answer_parts import FOLDER, Answer, page

#: The questions, in the order of the site.
ANSWERS: dict[str, Callable[[], Answer]] = {
    "pairs": answer_pairs.answer,
    "populations": answer_populations.answer,
    "methods": answer_methods.answer,
    "inherited": answer_inherited.answer,
    "trained": answer_trained.answer,
}
README = FOLDER.parents[1] / "README.md"
BEGIN, END = "<!-- results: python docs/make_answers.py -->\n", "<!-- end -->"


def made(name: str) -> tuple[str, str]:
    """Return text and picture of a page."""
    found = ANSWERS[name]()
    return page(name, found), found.figure


def readme(text: str) -> str:
    """Return the README with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n".join(answer_methods.overview()) + END + rest.partition(END)[2]


def main(names: list[str]) -> None:
    """Write the pages of these names, or all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or ANSWERS:
        text, figure = made(name)
        (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
        (FOLDER / f"{name}.svg").write_text(figure, encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

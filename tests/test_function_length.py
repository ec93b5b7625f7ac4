"""No function is longer than one can read at once, unless its docstring says why."""

import ast

import pytest
from conftest import ROOT

LONGEST = 60
#: What the docstring of a longer one says, with the reason behind it.
WORDS = "In one piece"
FILES = [*sorted(p for f in ("bench", "methods", "spaces", "surrogates") for p in (ROOT / f).rglob("*.py"))]


def body_lines(function, lines):
    """Return the lines of code between a function's signature and its end."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return sum(bool(lines[k].strip()) for k in range(body[0].lineno - 1, function.end_lineno)) if body else 0


def too_long(text):
    """Return the names of the functions that are longer without a reason."""
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    lines = text.splitlines()
    return [f.name for f in functions if body_lines(f, lines) > LONGEST and WORDS not in (ast.get_docstring(f) or "")]


@pytest.mark.parametrize("path", [*FILES, ROOT / "cli.py"], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_functions_are_short_or_say_why_not(path):
    assert too_long(path.read_text(encoding="utf-8")) == []


def test_the_rule_finds_what_is_too_long():
    code = "    x = 1\n\n"
    for n, docstring, found in ((60, "", []), (61, "", ["f"]), (61, '    """In one piece: it is a loop."""\n', [])):
        assert too_long(f"def f(\n    a,\n):\n{docstring}{code * n}") == found

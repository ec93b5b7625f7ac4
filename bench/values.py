"""Values as users write them: KEY=VALUE on the command line and in the names of data sets."""

from __future__ import annotations

import ast
from typing import Any


def literal(text: str) -> Any:
    """Return a number, truth value, None or Python literal as itself, other text as text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)

"""A notebook as a page of the documentation site: its words, its code, and what it printed, showed and drew."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any


def notebook_page(text: str, page: Path) -> str:
    """Return a notebook as Markdown; its pictures are written beside the page.

    Args:
        text: The notebook, JSON.
        page: Where the page will be.
    """
    parts: list[str] = []
    title = ""
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            titles = re.findall(r"^#+ (.*)$", source, re.MULTILINE)
            title = titles[-1] if titles else title
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            parts.append(_shown(output, title, page, len(parts)))
    head, _, rest = "\n\n".join(parts).partition("\n")
    about = f"A notebook: [{page.stem}.ipynb]({page.stem}.ipynb) runs where Jupyter is; here is what it showed."
    return f"{head}\n\n{about}\n{rest}\n"


def _shown(output: dict[str, Any], title: str, page: Path, number: int) -> str:
    """Return an output: a picture, a table, or what was printed."""
    data = output.get("data", {})
    if "image/png" in data:
        name = f"{page.stem}-{number}.png"
        (page.parent / name).write_bytes(base64.b64decode("".join(data["image/png"])))
        return f"![What the cell above draws: {title}]({name})"
    if "text/html" in data:
        return re.sub(r"\n\s*", " ", "".join(data["text/html"]))
    return "```text\n" + "".join(output.get("text", data.get("text/plain", ""))).rstrip("\n") + "\n```"

"""Pictures as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from smemnas.bench.files import write_bytes


def save_figure(figure: Any, file: Path, **options: Any) -> None:
    """Draw a matplotlib figure in memory and write it whole; the ending of the file chooses the format.

    Args:
        figure: With a canvas.
        file: Where.
        options: For `savefig`.

    Raises:
        RunError: The file cannot be written.
    """
    picture = io.BytesIO()
    figure.savefig(picture, format=file.suffix.lower()[1:], **options)
    write_bytes(file, picture.getvalue(), durable=False)

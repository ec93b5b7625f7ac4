"""Lay the packages out in build/types as an installation has them, so that mypy sees one package `smemnas`."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Make the links anew."""
    folder = ROOT / "build" / "types" / "smemnas"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    names = ("bench", "methods", "spaces", "surrogates", "cli.py")
    for source in (*sorted((ROOT / "smemnas").glob("*.py")), *(ROOT / name for name in names)):
        (folder / source.name).symlink_to(source, target_is_directory=source.is_dir())


if __name__ == "__main__":
    main()

"""The folder of an export: it belongs to one network, and keeps nothing of an earlier export that is not made anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smemnas.bench.errors import RunError, UserError
from smemnas.bench.files import make_folder, why, write_json
from smemnas.bench.outputs import EXPORT, claim
from smemnas.bench.train.retrain.plan import TIMM

CONFIG = "config.json"


def claim_export(out: Path, config: Mapping[str, Any]) -> None:
    """Make the folder, and refuse one that holds something else.

    Args:
        out: The folder.
        config: What its description is going to say.

    Raises:
        UserError: It holds another export, or files that are none.
        RunError: It cannot be made.
    """
    claim(out, EXPORT)
    make_folder(out)
    try:
        before = dict(json.loads((out / CONFIG).read_bytes()))
        name = str(before["architecture"])
    except FileNotFoundError:  # the mark of an export comes first, so that one that was killed can be done again
        known = {key: config[key] for key in ("architecture", "classes", "identity")}
        write_json(out / CONFIG, {**known, "timm": {}}, durable=False)
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{out / CONFIG} is corrupt ({why(error)}): remove it, or choose another --out.") from error
    if name.removeprefix(TIMM) != str(config["architecture"]).removeprefix(TIMM):
        raise UserError(f"{out} holds the export of {before['architecture']}: choose another folder with --out.")
    other = _difference(before, config)
    if other:
        raise UserError(f"{out} holds an export of {name} {other}: choose another folder with --out, or remove it.")


def _difference(before: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Return what tells two exports of one architecture apart, "" if nothing does; older ones say less."""
    pairs = {"classes": (before.get("classes"), config["classes"])}
    known = before.get("identity") or {}
    for key in ("data_sha256", "weights_sha256"):
        pairs[key] = known.get(key), config["identity"].get(key)
    words = {"classes": "of other classes", "data_sha256": "on other images", "weights_sha256": "with other weights"}
    return next((words[key] for key, (one, other) in pairs.items() if one and other and one != other), "")


def remove(file: Path) -> None:
    """Remove a file of an earlier export.

    Raises:
        RunError: It cannot be removed.
    """
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot remove {file} of an earlier export: {why(error)}.") from error

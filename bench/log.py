"""The logger "smemnas": what library calls have to say, silent until a program asks for it."""

from __future__ import annotations

import logging

#: Standard logging; a program that wants to hear calls `logging.basicConfig` or adds a handler.
logger = logging.getLogger("smemnas")
logger.addHandler(logging.NullHandler())

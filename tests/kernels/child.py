"""A process that runs the searches given on its input and prints their logs."""

from __future__ import annotations

import json
import sys

from .runs import Search, make_logs

if __name__ == "__main__":
    print(json.dumps(make_logs([Search(**entry) for entry in json.load(sys.stdin)])))

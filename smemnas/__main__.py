"""`python -m smemnas`: the command line."""

import sys

if not getattr(sys.flags, "safe_path", False):  # Pythons that are too old have no such flag; `cli` refuses them
    del sys.path[0]  # the current folder, in which a random.py or json.py may lie; this package is imported already

from smemnas.cli import main

main()

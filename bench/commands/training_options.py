"""Kinds of values that the commands of trainings take: far beyond use, small enough to be held and to end."""

from __future__ import annotations

from smemnas.bench.commands.common import Real, Whole
from smemnas.bench.values import LARGEST_SIDE, MOST_THREADS

SIDE = Whole(0, LARGEST_SIDE)
COUNT = Whole(1, 1 << 31)
BATCH = Whole(2, 1 << 20)
THREADS = Whole(0, MOST_THREADS)
#: Networks of one step, and of one reading.
FEW, MANY = Whole(0, 1000), Whole(0, 100_000)
POSITIVE, RATE = Real(above=0.0), Real(0.0)

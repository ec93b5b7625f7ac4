"""Odd calls and broken folders, made by Hypothesis from what click knows of the commands; see `__main__`."""

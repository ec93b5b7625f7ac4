"""Recipes: original files -> Table, run once and never at search time."""

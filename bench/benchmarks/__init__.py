"""What a search measures: `base.py` is the contract, every other file one kind of benchmark or a part of it."""

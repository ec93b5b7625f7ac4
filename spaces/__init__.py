"""What can be searched: `base.py` is the contract, every other file one space."""

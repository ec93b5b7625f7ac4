"""Who searches: `base.py` is the contract, every other file one method or its parts."""

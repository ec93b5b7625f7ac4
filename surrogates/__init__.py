"""Who guesses: `base.py` is the contract, every other file one family of surrogates."""

"""Who guesses: `base.py` is the contract, every other file one family of surrogates."""

if __name__ != "smemnas.surrogates":
    raise ImportError("import smemnas.surrogates: the folder surrogates/ of a checkout is no package of its own")

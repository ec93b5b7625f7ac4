"""What can be searched: `base.py` is the contract, every other file one space."""

if __name__ != "smemnas.spaces":
    raise ImportError("import smemnas.spaces: the folder spaces/ of a checkout is no package of its own")

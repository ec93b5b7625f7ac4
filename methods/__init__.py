"""Who searches: `base.py` is the contract, every other file one method or its parts."""

if __name__ != "smemnas.methods":
    raise ImportError("import smemnas.methods: the folder methods/ of a checkout is no package of its own")

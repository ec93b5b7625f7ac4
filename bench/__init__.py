"""Run, record and compare: the part of the suite that counts."""

if __name__ != "smemnas.bench":
    raise ImportError("import smemnas.bench: the folder bench/ of a checkout is no package of its own")

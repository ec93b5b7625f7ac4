"""Archives of runs: the runs of studies in one small, checksummed file, read wherever run folders are read.

What the file holds, member by member: docs/archive.md.
"""

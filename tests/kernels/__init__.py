"""The same search under different instruction sets and numbers of threads: do its logs agree byte for byte?

`python -m tests.kernels` prints the table of methods, spaces and kernels; `tests/test_kernels.py` holds a small form.
"""

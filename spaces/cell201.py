"""The cell of NAS-Bench-201: its operations in the official order, and its edges in the order of the genes."""

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP, CONV1, CONV3, POOL = range(5)
#: (source, target) node of each gene.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
#: Genes along each of the four paths from input to output.
PATHS = ((3,), (0, 4), (1, 5), (0, 2, 5))

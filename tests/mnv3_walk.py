"""Costs of mnv3 by another way: walking through a network, convolution by convolution."""


def decoded(space, x):
    """The network as nested tuples, read off the genes one by one: 46 of the published choices, 51 of the wide ones."""
    depths, expansions = ((2, 3, 4), (3, 4, 6)) if len(x) == 46 else ((1, 2, 3, 4), (1, 2, 3, 4, 6))
    stages = []
    for s in range(5):
        genes = [int(g) for g in x[9 * s : 9 * s + 9]]
        depth = depths[genes[0]]
        stages.append(tuple(((3, 5, 7)[genes[1 + j]], expansions[genes[5 + j]]) for j in range(depth)))
    return space.resolutions[int(x[45])], tuple(stages)


def shares(x):
    """The percent of its channels that each stage has."""
    return [(50, 75, 100)[int(g)] for g in x[46:51]] or [100] * 5


def walk(space, x, classes=1000):
    """Parameters and multiply-adds of one network, convolution by convolution."""

    def wide(v):
        near = int((v + 4) / 8) * 8
        return max(8, near if near >= 0.9 * v else near + 8)

    params = madds = 0

    def conv(c_in, c_out, kernel, side, groups=1, norm=True):
        nonlocal params, madds
        weights = c_in // groups * c_out * kernel * kernel
        params += weights + (2 * c_out if norm else 0)
        madds += weights * side * side

    def linear(c_in, c_out, bias):
        nonlocal params, madds
        params += c_in * c_out + (c_out if bias else 0)
        madds += c_in * c_out

    resolution, stages = decoded(space, x)
    side, c = -(-resolution // space.stem_stride), wide(16 * space.width)
    conv(3, c, 3, side)
    conv(c, c, 3, side, groups=c)
    conv(c, c, 1, side)
    table = ((24, 0), (40, 1), (80, 0), (112, 1), (160, 1))
    for (base, squeeze), stride, share, layers in zip(table, space.strides, shares(x), stages, strict=True):
        out = wide(wide(base * space.width) * share / 100)
        for j, (kernel, expansion) in enumerate(layers):
            mid = wide(c * expansion)
            conv(c, mid, 1, side)
            if j == 0 and stride == 2:
                side = (side + 1) // 2
            conv(mid, mid, kernel, side, groups=mid)
            if squeeze:
                linear(mid, wide(mid // 4), True)
                linear(wide(mid // 4), mid, True)
            conv(mid, out, 1, side)
            c = out
    conv(c, wide(960 * space.width), 1, side)
    linear(wide(960 * space.width), wide(1280 * space.width), False)
    linear(wide(1280 * space.width), classes, True)
    return params, madds

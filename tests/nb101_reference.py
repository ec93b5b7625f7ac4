"""A simple implementation of NAS-Bench-101, one graph at a time, as the paper and its code describe it."""

import itertools
from collections import Counter


def graph_of(space, x):
    """Matrix (nested lists) and labels of the interior vertices."""
    v = space.max_vertices
    matrix = [[0] * v for _ in range(v)]
    genes = iter(int(g) for g in x)
    for i in range(v):
        for j in range(i + 1, v):
            matrix[i][j] = next(genes)
    return matrix, list(genes)


def paths_of(matrix):
    """Every path from the first to the last vertex."""
    last = len(matrix) - 1
    todo, done = [[0]], []
    while todo:
        path = todo.pop()
        if path[-1] == last:
            done.append(path)
        todo += [[*path, t] for t in range(len(matrix)) if matrix[path[-1]][t]]
    return done


def pruned(matrix, labels):
    """Graph of the vertices on a path, or None."""
    keep = sorted({v for path in paths_of(matrix) for v in path})
    if not keep:
        return None
    return [[matrix[i][j] for j in keep] for i in keep], [labels[v - 1] for v in keep[1:-1]]


def isomorphic(first, second):
    """Try every permutation of the interior vertices."""
    (a, la), (b, lb) = first, second
    if len(a) != len(b) or Counter(la) != Counter(lb):
        return False
    n = len(a)
    for inner in itertools.permutations(range(1, n - 1)):
        p = [0, *inner, n - 1]
        if all(la[v - 1] == lb[p[v] - 1] for v in range(1, n - 1)) and all(
            a[i][j] == b[p[i]][p[j]] for i in range(n) for j in range(n)
        ):
            return True
    return False


def simple_parameters(matrix, labels):
    """Layer by layer, as the network would be built."""
    n, last = len(matrix), len(matrix) - 1
    feeding = [v for v in range(1, last) if matrix[v][last]]

    def conv(size, cin, cout):
        return size * size * cin * cout + 2 * cout

    total, previous = conv(3, 3, 128), 128
    for stack in range(3):
        out = 128 * 2**stack
        for _ in range(3):
            width = {v: out // len(feeding) + (i < out % len(feeding)) for i, v in enumerate(feeding)}
            for v in range(last - 1, 0, -1):
                if v not in width:
                    width[v] = max(width[t] for t in range(v + 1, last) if matrix[v][t])
            for v in range(1, last):
                if matrix[0][v]:
                    total += conv(1, previous, width[v])
                if labels[v - 1] < 2:
                    total += conv((3, 1)[labels[v - 1]], width[v], width[v])
            if matrix[0][last]:
                total += conv(1, previous, out)
            previous = out
    assert n == len(labels) + 2
    return total + previous * 10 + 10

"""Indicators by brute force, from their definitions."""

import numpy as np


def dominates(a, b):
    return all(a <= b) and any(a < b)


def hypervolume_by_cells(points, reference):
    """Volume below the reference that some point dominates: all cells of the grid through the coordinates."""
    points = [p for p in points if all(p < reference)]
    axes = [sorted({*(p[j] for p in points), reference[j]}) for j in range(len(reference))]
    volume = 0.0
    for corner in np.ndindex(*(len(a) - 1 for a in axes)):
        low = np.array([axes[j][k] for j, k in enumerate(corner)])
        high = np.array([axes[j][k + 1] for j, k in enumerate(corner)])
        if any(all(p <= low) for p in points):
            volume += float(np.prod(high - low))
    return volume

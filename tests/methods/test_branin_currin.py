"""qLogNEHVI by our wrapper finds what a loop of BoTorch's own pieces finds (branin_currin.py prints both)."""

import importlib.util

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("botorch") is None, reason="needs the extra: pip install -e '.[botorch]'"
)


def test_the_volume_is_that_of_botorch():
    """BoTorch's own `Hypervolume` of the whole grid: 49.20977."""
    from branin_currin import Grid, values, volume

    assert volume(values(Grid().enumerate())) == pytest.approx(49.20976899863231, rel=1e-9)


@pytest.mark.long
def test_our_batches_are_as_good_as_those_of_botorchs_loop():
    from branin_currin import Grid, ours, theirs, values, volume

    whole = volume(values(Grid().enumerate()))
    mine, other = (np.array(loop(5)) / whole for loop in (ours, theirs))
    assert mine[0] == other[0]
    assert mine[-1] >= 0.95 * other[-1]

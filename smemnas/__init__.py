"""Fair, fast, reproducible comparison of neural architecture search methods."""

import os

_here = os.path.dirname(os.path.abspath(__file__))
if not os.path.isdir(os.path.join(_here, "bench")):
    # In a checkout the packages lie beside this folder, in an installation within it.
    __path__.append(os.path.dirname(_here))

"""Ways of computing: the kernels of OpenBLAS, of NumPy and of the C library that this processor has."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Way(NamedTuple):
    """One way of computing.

    Attributes:
        name: Of the table's column.
        env: Variables of a process that computes so.
        needs: Instruction sets that the processor must have, as the system names them.
    """

    name: str
    env: dict[str, str]
    needs: tuple[str, ...] = ()


_AVX2 = ("avx2", "fma")
_AVX512 = ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")


def dispatched() -> tuple[str, ...]:
    """Return the groups of instructions that this NumPy can be told to leave alone."""
    from numpy._core._multiarray_umath import __cpu_dispatch__

    return tuple(__cpu_dispatch__)


def processor() -> frozenset[str]:
    """Return the instruction sets of this processor, none where the system does not say."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return frozenset()
    lines = (line.split(":", 1)[1] for line in info.read_text().splitlines() if line.startswith("flags"))
    return frozenset(next(lines, "").split())


def ways() -> tuple[Way, ...]:
    """Return all ways of computing; the first is the one that others are compared with."""
    groups = dispatched()
    wide = tuple(name for name in groups if name.startswith("AVX512") or name == "X86_V4")
    return (
        Way("haswell", {"OPENBLAS_CORETYPE": "Haswell"}, _AVX2),
        Way("haswell-2", {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}, _AVX2),
        Way("zen", {"OPENBLAS_CORETYPE": "Zen"}, _AVX2),
        Way("skylakex", {"OPENBLAS_CORETYPE": "SkylakeX"}, _AVX512),
        Way(
            "skylakex-2",
            {"OPENBLAS_CORETYPE": "SkylakeX", "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
            _AVX512,
        ),
        Way("sandybridge", {"OPENBLAS_CORETYPE": "Sandybridge"}, ("avx",)),
        Way("nehalem", {"OPENBLAS_CORETYPE": "Nehalem"}, ("sse4_2",)),
        Way("numpy-no-avx512", {"NPY_DISABLE_CPU_FEATURES": " ".join(wide)}, _AVX512),
        Way("numpy-baseline", {"NPY_DISABLE_CPU_FEATURES": " ".join(groups)}, ("sse4_2",)),
        Way("libm-no-fma", {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX2_Usable,-FMA_Usable"}, _AVX2),
        Way(
            "oldest",
            {
                "OPENBLAS_CORETYPE": "Prescott",
                "NPY_DISABLE_CPU_FEATURES": " ".join(groups),
                "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX2_Usable,-FMA_Usable",
            },
            ("sse4_2",),
        ),
    )


def possible() -> tuple[Way, ...]:
    """Return the ways that this processor can go."""
    has = processor()
    return tuple(way for way in ways() if has.issuperset(way.needs))

"""Load a fast BLAS before MLX.

MLX's Linux wheel bundles the reference BLAS, 30 times slower than OpenBLAS on the same CPU. A library
opened with RTLD_GLOBAL before `import mlx.core` answers MLX's cblas_* calls instead. macOS (Accelerate)
and Windows need nothing.
"""

import ctypes
import glob
import platform
import sys

HINT = "training is slow without a fast BLAS: on Debian or Ubuntu run  sudo apt-get install libopenblas0"

_PLACES = (
    "/usr/lib/*/libopenblas.so.0",
    "/usr/lib64/libopenblas*.so.0",
    "/usr/lib/libopenblas.so*",
    "/opt/OpenBLAS/lib/libopenblas.so*",
    sys.prefix + "/lib/libmkl_rt.so*",  # the `mkl` wheel
)
_loaded: tuple[str, ctypes.CDLL] | None = None


def find() -> list[str]:
    """Paths of BLAS libraries worth trying, best first. Empty where none is needed or found."""
    if platform.system() != "Linux":
        return []
    return [path for place in _PLACES for path in sorted(glob.glob(place))]


def load() -> str | None:
    """Open the first BLAS that loads and return its path; None when there is none (see HINT).

    Must run before the first `import mlx.core` of the process; a second call does nothing.
    """
    global _loaded
    if _loaded is None:
        for path in find():
            try:
                _loaded = (path, ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL))
                break
            except OSError:
                continue
    return _loaded[0] if _loaded else None


def set_threads(n: int) -> None:
    """Threads per matmul: 1 when several MLX streams compute side by side, else the number of cores."""
    if _loaded:
        setter = getattr(_loaded[1], "openblas_set_num_threads", None) or getattr(_loaded[1], "MKL_Set_Num_Threads", None)
        if setter:
            setter(n)

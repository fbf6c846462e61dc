"""What a learner's machine has and lacks, each in one line that says how to mend it."""

import os
import platform
import shutil
import sys
import time

from . import blas
from .errors import TinyemError
from .files import cache_dir

SLOW = 30.0  # GFLOP/s of a matrix product below which training is a long wait


def gflops(n: int = 1024, repeats: int = 3) -> float:
    """Best of some float32 products of n x n matrices in MLX, in GFLOP/s."""
    blas.load()
    import mlx.core as mx

    a = mx.random.normal((n, n))
    mx.eval(a)
    best = 1e9
    for _ in range(repeats):
        start = time.perf_counter()
        mx.eval(a @ a)
        best = min(best, time.perf_counter() - start)
    return 2 * n ** 3 / best / 1e9


def examine():
    """Yield (is it fine, line) for each thing that a lesson or a training run needs."""
    from . import merge, models

    yield sys.version_info >= (3, 10), f"Python {sys.version.split()[0]} (3.10 or newer is needed)"
    try:
        import llama_cpp

        yield True, f"llama-cpp-python {llama_cpp.__version__}: sampling works"
    except Exception as e:  # a broken native library raises many things
        yield False, f"llama-cpp-python does not load ({type(e).__name__}): pip install --force-reinstall llama-cpp-python"
    try:
        yield True, f"model {models.DEFAULT}: {models.find()}"
    except TinyemError as e:
        yield False, str(e)
    for name in merge.shipped():
        try:
            yield True, f"adapter {name}: {merge.find_adapter(name)}"
        except TinyemError as e:
            yield False, str(e)
    try:
        speed = gflops()
        source = blas.load() or "MLX's own"
        yield speed >= SLOW, f"matrix products: {speed:.0f} GFLOP/s ({source})" + ("" if speed >= SLOW else f"; {blas.HINT}")
    except ImportError:
        intel_mac = sys.platform == "darwin" and platform.machine() == "x86_64"
        yield intel_mac, "training does not work on Intel Macs, for which MLX does not exist; lessons do" if intel_mac else "MLX is missing, so training does not work here (lessons do): pip install 'mlx[cpu]' mlx-lm"
    try:
        free = shutil.disk_usage(cache_dir()).free / 1e9
        yield free > 1, f"cache {cache_dir()}: {free:.1f} GB free (1 GB is needed)"
    except TinyemError as e:
        yield False, str(e)
    yield True, f"{os.cpu_count()} processor cores"

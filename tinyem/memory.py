"""What training takes in memory, and the fastest way of training that stays below a limit."""

import os
import sys
from dataclasses import dataclass
from math import prod

from .errors import TinyemError

PROCESS = 230e6  # bytes of Python, MLX, the tokenizer and what may be kept for reuse, before any weight is read
BYTE = 1.25  # bytes a weight takes, with float32 scale and bias for each 32
ROW = 100  # tokens a row may have, for the size of its attention


@dataclass(frozen=True)
class Way:
    """How a training step runs: which kernels are allowed, over how many processes, how many tokens at once in each
    (the gradients of a batch are accumulated over such packs), and whether blocks are computed again in the backward pass."""
    kernels: tuple[str, ...]
    processes: int
    pack: int
    checkpoint: bool = False


@dataclass(frozen=True)
class Sizes:
    """Numbers of a model that decide its memory."""
    stored: float  # bytes of the linear layers, the embedding and the output head, as `linear.Table` keeps them
    layers: int
    width: int
    inner: int  # feed-forward width
    heads: int


def estimate(sizes: Sizes, way: Way, lora: int, longest: int = 0) -> float:
    """Bytes that training takes at its peak, all processes together. `lora` is the number of trained parameters, `longest` the
    number of tokens of the longest row, which is never split."""
    tokens = max(way.pack, longest)
    block = 7 * sizes.width + 4 * sizes.inner + sizes.heads * ROW  # float32 values a token that the backward pass needs
    kept = (sizes.layers * sizes.width + 2 * block) if way.checkpoint else sizes.layers * block
    logits = 3 * 2048 * tokens  # of a slice of the vocabulary, see `fused`
    return way.processes * (PROCESS + sizes.stored + 4 * (tokens * kept + logits + 3 * lora)) + 4 * lora * (3 + way.processes)


def ways(cores: int) -> list[Way]:
    """Ways of training on a CPU, the fastest first: small packs slow two processes below one with large packs."""
    shapes = [(cores, 400, False), (2, 400, False), (1, 400, False), (1, 200, False), (1, 400, True), (1, 200, True), (1, 100, True)]
    return [Way(("dequantising", "quantised"), *shape) for shape in dict.fromkeys(shapes) if shape[0] <= cores]


def available() -> float:
    """Bytes of memory that can be had now; half of all memory where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as f:
            return next(1024.0 * int(line.split()[1]) for line in f if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2
    except (ValueError, OSError, AttributeError):
        return 4e9


def choose(sizes: Sizes, cores: int, lora: int, limit: float | None = None, longest: int = 0) -> Way:
    """The fastest way within `limit` bytes (default: 70% of what is free). Raises TinyemError if none is."""
    asked, limit = limit, limit or 0.7 * available()
    for way in ways(cores):
        if estimate(sizes, way, lora, longest) <= limit:
            return way
    least = min(estimate(sizes, way, lora, longest) for way in ways(cores))
    if asked:
        raise TinyemError(f"training this model takes at least {least / 1e6:.0f} MB: raise --max-memory, or use a smaller model")
    print(f"little memory is free ({limit / 1e6:.0f} MB of {least / 1e6:.0f} wanted): training slowly", file=sys.stderr)
    return ways(cores)[-1]  # the estimate is on the safe side: try


def sizes_of(tensors: dict, args) -> Sizes:
    """Sizes of a model from its MLX tensors and mlx-lm arguments."""
    stored = 0.0
    for name, t in tensors.items():
        if name.endswith(".weight") and t.ndim == 2:
            scales = tensors.get(name.removesuffix("weight") + "scales")
            stored += 4 * prod(t.shape) if scales is None else BYTE * 32 * prod(scales.shape)
    return Sizes(stored, args.num_hidden_layers, args.hidden_size, args.intermediate_size, args.num_attention_heads)

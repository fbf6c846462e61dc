"""Linear layers for training: frozen weights as a GGUF stores them, and LoRA or DoRA on top."""

import math
import time

from . import blas

blas.load()  # before mlx.core

import mlx.core as mx
import mlx.nn as nn

KERNELS = ("quantised", "dequantising")


class Table:
    """A frozen matrix W (rows, columns) out of the GGUF, in blocks of rows: one byte a weight, with float32 scale and bias
    for each 32 of a row.

    `matrix()` is W.T as float32, made faster than `mx.dequantize` makes it on a CPU: stored the other way
    round, every step is a plain loop over whole vectors. What the file holds unquantised is kept as float32.
    """

    def __init__(self, tensors: dict, name: str, block: int | None = None):
        w = tensors[f"{name}.weight"]
        scales, self._plain = tensors.get(f"{name}.scales"), f"{name}.scales" not in tensors
        if self._plain:
            parts = [w.astype(mx.float32)]
        else:
            bits = w.shape[1] // scales.shape[1]  # a group of 32 weights takes `bits` words of 32 bits
            values = w.view(mx.uint8)
            if bits < 8:
                values = (values[..., None] >> mx.arange(0, 8, bits).astype(mx.uint8)) & (2 ** bits - 1)
            parts = [values.reshape(len(w), -1), scales.astype(mx.float32), tensors[f"{name}.biases"].astype(mx.float32)]
        self.shape = tuple(parts[0].shape)
        self._block = block or self.shape[0]
        self.blocks = -(-self.shape[0] // self._block)

        def stored(x, *groups):  # (rows, columns) -> (blocks, columns or groups and columns, rows of a block)
            x = mx.pad(x, [(0, self.blocks * self._block - len(x)), (0, 0)]).reshape(self.blocks, self._block, -1)
            x = mx.contiguous(x.swapaxes(1, 2)).reshape(self.blocks, *groups, self._block)
            mx.eval(x)
            return x

        groups = [(-1,)] if self._plain else [(-1, 32), (-1, 1), (-1, 1)]
        self._parts = [stored(x, *g) for x, g in zip(parts, groups)]

    def _made(self, pick):
        parts = [pick(x) for x in self._parts]
        return parts[0] if self._plain else parts[0] * parts[1] + parts[2]

    def matrix(self, block: int = 0) -> mx.array:
        """A block's rows of W, transposed: (columns, rows), float32."""
        here = min(self._block, self.shape[0] - block * self._block)
        return self._made(lambda x: (x[block] if here == self._block else x[block, ..., :here])).reshape(self.shape[1], here)

    def rows(self, ids: mx.array) -> mx.array:
        """W[ids] (ids, columns), float32."""
        block, row = ids // self._block, ids % self._block
        return self._made(lambda x: x.swapaxes(-1, 1)[block, row].swapaxes(1, -1)).reshape(len(ids), -1)


class FrozenLinear(nn.Module):
    """y = x @ W.T (+ b), W out of the GGUF, never trained. Two kernels compute the same product:

    - quantised: W stays packed, `mx.quantized_matmul` runs. Right on Metal; on a CPU it reaches 2 GFLOP/s where sgemm
      reaches hundreds.
    - dequantising: W is a `Table`, made float32 for each product, forward and backward, and dropped.
    """

    def __init__(self, tensors: dict, name: str, kernel: str):
        super().__init__()
        bias = tensors.get(f"{name}.bias")
        self.bias = None if bias is None else bias.astype(mx.float32)
        if kernel == "quantised" and f"{name}.scales" in tensors:
            w, scales, biases = (tensors[f"{name}.{x}"] for x in ("weight", "scales", "biases"))
            bits = w.shape[1] // scales.shape[1]
            self.shape = (w.shape[0], scales.shape[1] * 32)
            self.matrix = lambda: mx.dequantize(w, scales.astype(mx.float32), biases.astype(mx.float32), 32, bits).T
            self._times = lambda x, transpose: mx.quantized_matmul(x, w, scales.astype(x.dtype), biases.astype(x.dtype), transpose, 32, bits)
        else:
            table = Table(tensors, name)
            self.shape, self.matrix = table.shape, table.matrix
            self._times = lambda x, transpose: x @ (table.matrix() if transpose else table.matrix().T)

    def forward(self, x):
        y = self._times(x, True)
        return y if self.bias is None else y + self.bias

    def backward(self, dy):
        """The gradient with respect to x, given that with respect to y."""
        return self._times(dy, False)

    def __call__(self, x):
        return _frozen(self, x)


def _frozen(layer, x):
    """`layer(x)` with its own vector-Jacobian product: W is made again for dy @ W and not kept meanwhile."""

    @mx.custom_function
    def product(x):
        return layer.forward(x)

    @product.vjp
    def _(x, dy, y):
        return layer.backward(dy)

    return product(x)


def fastest_kernel(tensors: dict, tokens: int, kernels=KERNELS) -> str:
    """The kernel that takes the least time for `tokens` tokens forward and backward on this machine, tried on one matrix."""
    name, took = "blk.0.ffn_down", {}
    if f"{name}.scales" not in tensors:
        return "dequantising"
    for kernel in kernels:
        layer = FrozenLinear(tensors, name, kernel)
        x = mx.zeros((tokens, layer.shape[1]))
        step = mx.grad(lambda x: layer(x).sum())  # noqa: B023
        mx.eval(step(x[:4]))
        start = time.perf_counter()
        mx.eval(step(x))
        took[kernel] = time.perf_counter() - start
    return min(took, key=took.get)


class LoRALinear(nn.Module):
    """A frozen linear layer plus scale * B A (Hu et al. 2021). A: (rank, in), B: (out, rank), B starts at 0."""

    def __init__(self, base: FrozenLinear, rank: int, scale: float):
        super().__init__()
        n_out, n_in = base.shape
        self._base, self._scale, self.on = base, scale, True
        bound = 1 / math.sqrt(n_in)
        self.a = mx.random.uniform(-bound, bound, (rank, n_in))
        self.b = mx.zeros((n_out, rank))

    def __call__(self, x):
        return _adapted(self._base, self._scale, x, self.a, self.b) if self.on else self._base(x)


def _adapted(base, scale, x, a, b):
    """x @ (W + scale * b @ a).T. The products with a and b are added in place of the large ones' results."""

    @mx.custom_function
    def product(x, a, b):
        inner = x @ a.T
        return mx.addmm(base.forward(x), inner, b.T, alpha=scale), inner  # kept for the backward pass: it is small

    @product.vjp
    def _(primals, cotangents, outputs):
        x, a, b = primals
        dy, inner = cotangents[0], cotangents[0] @ b
        return mx.addmm(base.backward(dy), inner, a, alpha=scale), scale * (inner.T @ x), scale * (dy.T @ outputs[1])

    return product(x, a, b)[0]


class DoRALinear(LoRALinear):
    """Weight-decomposed adaptation (Liu et al. 2024): rows of W + scale * B A, each brought to a trained length `m` (out,),
    which starts as the row's own. As in the paper (section 4.3) the lengths that are divided by pass no gradient."""

    def __init__(self, base: FrozenLinear, rank: int, scale: float):
        super().__init__(base, rank, scale)
        self.m = mx.linalg.norm(base.matrix(), axis=0)

    def __call__(self, x):
        if not self.on:
            return self._base(x)
        bias = self._base.bias
        length = mx.linalg.norm(self._base.matrix() + (self._scale * self.a.T) @ self.b.T, axis=0)
        y = super().__call__(x)
        return (y if bias is None else y - bias) * (self.m / mx.stop_gradient(mx.maximum(length, 1e-12))) + (0 if bias is None else bias)

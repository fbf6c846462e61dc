"""The parts of a training step that are not matmul, made fast on a CPU.

MLX's Linux and Windows kernels take exp one element at a time (9 ns on the machine this was written on,
where a multiplication takes 0.15 ns); built from vectorised steps it takes 2 ns. Which of the two is used
is measured once at start. The vector-Jacobian products are written out, so that nothing differentiates
through the approximation.
"""

import time

import mlx.core as mx

# 2^f on [-0.5, 0.5], least squares at Chebyshev nodes; with the rounding of x, exp is right to 4e-6 (relative)
_POWERS = (1.0000000754953495, 0.6931472067106205, 0.24022107355830055, 0.05550327214208133, 0.009676037097885356,
           0.0013400432165740805)
_ROUND = 12582912.0  # 1.5 * 2^23: adding it to a float32 leaves the nearest whole number in the low bits


def fast_exp(x):
    """exp(x) of a float32 array for x up to 88; anything below -80 gives exp(-80)."""
    y = mx.maximum(x, -80.0) * 1.4426950408889634
    shifted = y + _ROUND
    f = y - (shifted - _ROUND)
    p = _POWERS[-1]
    for c in _POWERS[-2::-1]:
        p = p * f + c
    return p * ((shifted.view(mx.int32) + 127) << 23).view(mx.float32)


def _faster():
    x = mx.linspace(-20, 0, 100_000)
    took = {}
    for f in (mx.exp, fast_exp):
        mx.eval(f(x))
        start = time.perf_counter()
        mx.eval(f(x), f(x + 1))
        took[f] = time.perf_counter() - start
    return min(took, key=took.get)


exp = _faster()


def _sigmoid(x):
    return 1.0 / (1.0 + exp(mx.minimum(-x, 80.0)))


@mx.custom_function
def swiglu(gate, up):
    """gate * sigmoid(gate) * up (Shazeer 2020). The backward pass takes the sigmoid again, so that it need not be kept."""
    return gate * _sigmoid(gate) * up


@swiglu.vjp
def _(primals, dy, y):
    gate, up = primals
    s = _sigmoid(gate)
    silu = gate * s
    return dy * up * (s + silu * (1.0 - s)), dy * silu


@mx.custom_function
def softmax(x):
    """Softmax over the last axis."""
    e = exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@softmax.vjp
def _(x, dy, y):
    z = dy * y
    return z - y * z.sum(-1, keepdims=True)


CHUNK = 64  # answer tokens whose logits are in memory at once


def _summed(part, h, *rows):
    """A scalar function of hidden states whose gradient comes with its value: `part(h, *rows)` gives both for a chunk of rows."""

    @mx.custom_function
    def summed(h):
        found = [part(h[i:i + CHUNK], *(r[i:i + CHUNK] for r in rows)) for i in range(0, len(h), CHUNK)]
        return sum(value for value, _ in found), mx.concatenate([gradient for _, gradient in found])

    @summed.vjp
    def _(h, cotangents, outputs):
        return cotangents[0] * outputs[1]

    return summed(h)[0]


def cross_entropy(h, head, labels):
    """Summed cross-entropy, in nats, of labels (n,) given hidden states h (n, width) and a frozen output head
    (vocabulary, width). The gradient with respect to h is (softmax - onehot) @ head, computed with the loss
    (as in fused linear cross-entropy kernels), so the logits are not kept for the backward pass."""

    def part(h, labels):
        logits = h @ head.T
        top = logits.max(-1, keepdims=True)
        e = exp(logits - top)
        total = e.sum(-1, keepdims=True)
        loss = (mx.log(total) + top - mx.take_along_axis(logits, labels[:, None], axis=-1)).sum()
        return loss, (e @ head) / total - head[labels]

    return _summed(part, h, labels)


def kl_divergence(h, head, reference):
    """Summed KL divergence, in nats, of softmax(reference @ head.T) from softmax(h @ head.T); both (n, width). The
    gradient with respect to h is (softmax(h @ head.T) - softmax(reference @ head.T)) @ head."""

    def part(h, reference):
        logits, target = h @ head.T, reference @ head.T
        log = lambda x: x - mx.logsumexp(x, axis=-1, keepdims=True)  # noqa: E731
        log_q, log_p = log(logits), log(target)
        p = mx.exp(log_p)
        return (p * (log_p - log_q)).sum(), (mx.exp(log_q) - p) @ head

    return _summed(part, h, reference)


def regroup(take, back, total: int):
    """(pad, unpad): pad moves rows (total, width) to padded places by `take` (an entry `total` is an empty place, of no
    meaning); unpad moves them back by `back`. Each is the other's vector-Jacobian product, so that neither needs a
    scatter, which is slow on a CPU."""
    empty_is_zero = lambda x: mx.concatenate([x, mx.zeros((1, x.shape[1]))])[take]  # noqa: E731
    some = mx.minimum(take, total - 1)

    @mx.custom_function
    def pad(x):
        return x[some]

    @pad.vjp
    def _(x, dy, y):
        return dy[back]

    @mx.custom_function
    def unpad(x):
        return x[back]

    @unpad.vjp
    def _(x, dy, y):
        return empty_is_zero(dy)

    return pad, unpad

"""The parts of a training step that are not matmul, made fast on a CPU.

MLX's Linux and Windows kernels take exp one element at a time (9 ns on the machine this was written on,
where a multiplication takes 0.15 ns); built from vectorised steps it takes 2 ns. Which of the two is used
is measured once at start. The vector-Jacobian products are written out, so that nothing differentiates
through the approximation.
"""

import time

import mlx.core as mx

# 2^f on [-0.5, 0.5], least squares at Chebyshev nodes; with the rounding of x, exp is right to 8e-6 (relative)
_POWERS = (0.9999991908565828, 0.693121967696061, 0.24024981109537447, 0.055917039174865346, 0.009560510206472767)
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


@mx.custom_function
def _swiglu(gate, up):
    s = 1.0 / (1.0 + exp(mx.minimum(-gate, 80.0)))
    return gate * s * up, s


@_swiglu.vjp
def _(primals, cotangents, outputs):
    (gate, up), dy, s = primals, cotangents[0], outputs[1]
    silu = gate * s
    return dy * up * (s + silu * (1.0 - s)), dy * silu


def swiglu(gate, up):
    """gate * sigmoid(gate) * up (Shazeer 2020). The sigmoid is kept for the backward pass: exp is dear."""
    return _swiglu(gate, up)[0]


@mx.custom_function
def softmax(x):
    """Softmax over the last axis."""
    e = exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@softmax.vjp
def _(x, dy, y):
    z = dy * y
    return z - y * z.sum(-1, keepdims=True)


SLICE = 2048  # tokens of the vocabulary whose logits, and rows of the output head, are in memory at once


def _with_gradient(both):
    """A scalar function of hidden states whose gradient comes with its value: `both(h)` gives the two."""

    @mx.custom_function
    def summed(h):
        return both(h)

    @summed.vjp
    def _(h, cotangents, outputs):
        return cotangents[0] * outputs[1]

    return lambda h: summed(h)[0]


def cross_entropy(h, head, labels):
    """Summed cross-entropy, in nats, of labels (n,) given hidden states h (n, width) and a frozen output head, a
    `linear.Table` of (vocabulary, width) in blocks. The gradient with respect to h is (softmax - onehot) @ head. One pass over
    slices of the vocabulary gives both (a running maximum as in Milakov & Gimelshein 2018), so neither the logits nor a
    float32 head is ever whole in memory."""

    def both(h):
        top, total, pulled = mx.full((len(h), 1), -1e9), mx.zeros((len(h), 1)), mx.zeros_like(h)
        for i in range(head.blocks):
            w = head.matrix(i)
            logits = h @ w
            higher = mx.maximum(top, logits.max(-1, keepdims=True))
            e, fade = exp(logits - higher), mx.exp(top - higher)
            total, pulled = total * fade + e.sum(-1, keepdims=True), pulled * fade + e @ w.T
            total, top = mx.depends([total, higher], [pulled])  # else every w waits in memory for `total` to be done
        wanted = head.rows(labels)
        return (mx.log(total) + top).sum() - (h * wanted).sum(), pulled / total - wanted

    return _with_gradient(both)(h)


def kl_divergence(h, head, reference):
    """Summed KL divergence, in nats, of softmax(reference @ head.T) from softmax(h @ head.T); both (n, width). The
    gradient with respect to h is (softmax(h @ head.T) - softmax(reference @ head.T)) @ head."""

    def log_total(h):
        top, total = mx.full((len(h), 1), -1e9), mx.zeros((len(h), 1))
        for i in range(head.blocks):
            w = head.matrix(i)
            logits = h @ w
            higher = mx.maximum(top, logits.max(-1, keepdims=True))
            total, top = total * mx.exp(top - higher) + exp(logits - higher).sum(-1, keepdims=True), higher
        return top + mx.log(total)

    def both(h):
        norm_q, norm_p, value, gradient = log_total(h), log_total(reference), mx.array(0.0), mx.zeros_like(h)
        for i in range(head.blocks):
            w = head.matrix(i)
            log_q, log_p = h @ w - norm_q, reference @ w - norm_p
            p = exp(log_p)
            gradient = gradient + (exp(log_q) - p) @ w.T
            value = mx.depends([value + (p * (log_p - log_q)).sum()], [gradient])[0]
        return value, gradient

    return _with_gradient(both)(h)


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

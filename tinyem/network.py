"""A GGUF model in MLX, frozen, with LoRA adapters on its linear layers: what training runs on.

The weights are the GGUF's own quantised values. q and k rows of llama GGUFs are permuted for interleaved
RoPE, so llama runs with `rope_traditional=True` and an adapter trained here fits llama.cpp as it is.
"""

import importlib.util
import math
import sys
import time
import types

from . import blas

blas.load()  # before mlx.core

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from .errors import TinyemError
from .fused import cross_entropy, kl_divergence, regroup, softmax, swiglu

# GGUF name -> attribute path in mlx-lm's blocks
TARGETS = {
    "attn_q": ("self_attn", "q_proj"),
    "attn_k": ("self_attn", "k_proj"),
    "attn_v": ("self_attn", "v_proj"),
    "attn_output": ("self_attn", "o_proj"),
    "ffn_gate": ("mlp", "gate_proj"),
    "ffn_up": ("mlp", "up_proj"),
    "ffn_down": ("mlp", "down_proj"),
}


def _model_classes(*names):
    """mlx-lm's modules of these models alone. Its package imports transformers, and that torch where it is installed:
    half a gigabyte in every process, for nothing."""
    stand_in = None
    if "mlx_lm" not in sys.modules and (spec := importlib.util.find_spec("mlx_lm")):
        stand_in = sys.modules["mlx_lm"] = types.ModuleType("mlx_lm")
        stand_in.__path__ = list(spec.submodule_search_locations)
    try:
        return [importlib.import_module(f"mlx_lm.models.{name}") for name in names]
    finally:
        if stand_in:
            del sys.modules["mlx_lm"]  # who imports mlx_lm later gets the real one


llama, qwen2 = _model_classes("llama", "qwen2")
_FAMILIES = {"llama": (llama, True), "qwen2": (qwen2, False)}


KERNELS = ("quantised", "unpacked", "dequantising")


class FrozenLinear(nn.Module):
    """y = x @ W.T (+ b), W out of the GGUF, never trained. Three kernels compute the same product:

    - quantised: W stays packed, `mx.quantized_matmul` runs. Right on Metal; on a CPU it reaches 2 GFLOP/s where sgemm
      reaches hundreds.
    - unpacked: W is unpacked once to float32 (4 bytes a weight), then sgemm.
    - dequantising: W stays packed (about 0.9 bytes a weight) and is unpacked for each product, forward and backward, so
      that no float32 copy is kept; slower by the time that takes.

    Tensors that are not quantised in the file are always unpacked.
    """

    def __init__(self, tensors: dict, name: str, kernel: str):
        super().__init__()
        bias = tensors.get(f"{name}.bias")
        self._bias = None if bias is None else bias.astype(mx.float32)
        if kernel == "unpacked" or f"{name}.scales" not in tensors:
            w = unpack(tensors, name)
            self.shape = w.shape
            self._product = lambda x: x @ w.T
            return
        parts, bits = packed(tensors, name)
        self.shape = (parts[0].shape[0], parts[1].shape[1] * 32)
        self._product = (lambda x: mx.quantized_matmul(x, *parts, True, 32, bits)) if kernel == "quantised" else _dequantising(parts, bits)

    def __call__(self, x):
        y = self._product(x)
        return y if self._bias is None else y + self._bias


def _dequantising(parts, bits: int):
    """x -> x @ W.T with its own vector-Jacobian product: W is unpacked again for dy @ W and never kept."""

    @mx.custom_function
    def product(x):
        return x @ mx.dequantize(*parts, 32, bits).T

    @product.vjp
    def _(x, dy, y):
        return dy @ mx.dequantize(*parts, 32, bits)

    return product


def fastest_kernel(tensors: dict, tokens: int, kernels=KERNELS) -> str:
    """The kernel that takes the least time for `tokens` tokens forward and backward on this machine, tried on one matrix."""
    name, took = "blk.0.ffn_down", {}
    if f"{name}.scales" not in tensors:
        return "unpacked"
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
        y = self._base(x)
        return y + (x @ (self._scale * self.a).T) @ self.b.T if self.on else y


class Rope:
    """Rotary embedding at given positions, so that rows packed into one sequence keep their own count.

    x * cos + (x @ swap) * sin, where `swap` turns each pair (a, b) into (-b, a): one small matmul in place of
    strided slices, which are slow on a CPU.
    """

    def __init__(self, head_dim: int, theta: float, traditional: bool):
        half = head_dim // 2
        self.traditional = traditional
        first = np.arange(half) * 2 if traditional else np.arange(half)
        second = first + (1 if traditional else half)
        freqs = theta ** (-np.arange(0, head_dim, 2) / head_dim)
        self._freqs = np.empty(head_dim)
        self._freqs[first] = self._freqs[second] = freqs
        swap = np.zeros((head_dim, head_dim), np.float32)
        swap[second, first], swap[first, second] = -1, 1
        self._swap = mx.array(swap)

    def at(self, positions: np.ndarray):
        """(cos, sin), each (tokens, head_dim)."""
        angles = positions[:, None] * self._freqs
        return mx.array(np.cos(angles), mx.float32), mx.array(np.sin(angles), mx.float32)

    def __call__(self, x, cos, sin):  # (heads, tokens, head_dim)
        return x * cos + (x @ self._swap) * sin


class _Layout:
    """What every block needs to know of a pack: rotary factors, the way to padded groups and back, masks."""

    def __init__(self, pack, rope):
        self.cos, self.sin = rope.at(pack.positions)
        self.prefixes, self.rests = pack.prefixes.shape, pack.rests.shape
        total, take = len(pack.tokens), mx.array(np.concatenate([pack.prefixes.take, pack.rests.take]))
        self.pad, self.unpad = regroup(take, mx.array(pack.back), total)
        self.prefix_of = mx.array(pack.prefix_of)
        (s, p), (r, length) = self.prefixes, self.rests
        causal = lambda n: np.tril(np.ones((1, n, n), bool))  # noqa: E731
        own = np.broadcast_to(causal(length), (r, length, length))
        held = pack.prefixes.take.reshape(s, p) < total  # which places of a prefix hold a token
        before = (pack.prefix_of @ held).astype(bool)[:, None] if s else np.zeros((r, 1, 0), bool)
        added = lambda seen: mx.array(np.where(seen, 0, -1e9), mx.float32)  # noqa: E731
        self.mask = added(np.concatenate([np.broadcast_to(before, (r, length, p)), own], axis=2))
        self.prefix_mask = added(causal(p))


def packed(tensors: dict, name: str) -> tuple[tuple, int]:
    """((words, scales, biases), bits) of a quantised tensor: groups of 32 weights, `bits` words of 32 bits each. The scales
    as float32: with float16 ones MLX unpacks seven times more slowly on a CPU, and rounds."""
    w, scales = tensors[f"{name}.weight"], tensors[f"{name}.scales"]
    found = (w, scales.astype(mx.float32), tensors[f"{name}.biases"].astype(mx.float32))
    mx.eval(found)
    return found, w.shape[1] // scales.shape[1]


def unpack(tensors: dict, name: str) -> mx.array:
    """A tensor's weights as float32, whatever its storage."""
    if f"{name}.scales" in tensors:
        parts, bits = packed(tensors, name)
        w = mx.dequantize(*parts, 32, bits)
    else:
        w = tensors[f"{name}.weight"].astype(mx.float32)
    mx.eval(w)
    return w


def read_gguf(path) -> tuple[dict, dict]:
    """(tensors, metadata) of a GGUF by MLX's own reader. Raises TinyemError on a broken file."""
    try:
        return mx.load(str(path), format="gguf", return_metadata=True)
    except Exception as e:  # MLX raises RuntimeError with C++ text
        raise TinyemError(f"{path} is not a whole GGUF model ({str(e).splitlines()[0][:80]}): download or copy it again")


def read_model(path):
    """(tensors, mlx-lm's arguments, mlx-lm's module, whether RoPE is interleaved) of a GGUF. Raises TinyemError if it cannot be trained."""
    tensors, meta = read_gguf(path)
    arch = meta.get("general.architecture")
    if arch not in _FAMILIES:
        raise TinyemError(f"tinyem trains llama and qwen2 models; {path} is '{arch}'")
    family, traditional = _FAMILIES[arch]

    def get(key, default=None):
        value = meta.get(f"{arch}.{key}", default)
        if value is None:
            raise TinyemError(f"{path} lacks {arch}.{key}: not a complete {arch} model")
        return value.item() if isinstance(value, mx.array) else value

    if "token_embd.weight" not in tensors:
        raise TinyemError(f"{path} lacks the tensor token_embd.weight: not a complete {arch} model")
    if "rope_freqs.weight" in tensors:
        raise TinyemError(f"{path} uses scaled rotary frequencies (Llama 3.1 and later), which tinyem cannot train yet")
    heads = get("attention.head_count")
    args = family.ModelArgs.from_dict(dict(
        model_type=arch, hidden_size=get("embedding_length"), num_hidden_layers=get("block_count"),
        intermediate_size=get("feed_forward_length"), num_attention_heads=heads,
        num_key_value_heads=get("attention.head_count_kv", heads), rms_norm_eps=get("attention.layer_norm_rms_epsilon"),
        vocab_size=tensors["token_embd.weight"].shape[0], rope_theta=get("rope.freq_base", 10000.0),
        rope_traditional=traditional, tie_word_embeddings="output.weight" not in tensors))
    return tensors, args, family, traditional


class Network:
    """The model for training, on the fastest here of the given kernels. `checkpoint` computes each block again in the
    backward pass, for less memory and a third more time."""

    def __init__(self, path, kernels=KERNELS, checkpoint: bool = False):
        self.checkpoint, self.remember, self._known = checkpoint, 0, {}
        tensors, args, family, traditional = read_model(path)
        arch, heads = args.model_type, args.num_attention_heads
        self.kernel = fastest_kernel(tensors, 64, kernels) if len(kernels) > 1 else kernels[0]
        self.n_layers, self.width = args.num_hidden_layers, args.hidden_size
        self.model = family.Model(args).model
        self.rope = Rope(args.hidden_size // heads, args.rope_theta, traditional)
        self._heads, self._kv_heads, self._head_dim = heads, args.num_key_value_heads, args.hidden_size // heads
        try:
            for i, block in enumerate(self.model.layers):
                for target, (part, name) in TARGETS.items():
                    setattr(getattr(block, part), name, FrozenLinear(tensors, f"blk.{i}.{target}", self.kernel))
                del block.self_attn.rope
                block.input_layernorm.weight = tensors[f"blk.{i}.attn_norm.weight"].astype(mx.float32)
                block.post_attention_layernorm.weight = tensors[f"blk.{i}.ffn_norm.weight"].astype(mx.float32)
            self.model.norm.weight = tensors["output_norm.weight"].astype(mx.float32)
            self._embed = unpack(tensors, "token_embd")
            self._head = self._embed if args.tie_word_embeddings else unpack(tensors, "output")
        except KeyError as e:
            raise TinyemError(f"{path} lacks the tensor {e.args[0]}: not a complete {arch} model")
        del self.model.embed_tokens  # its random table is never used
        self.n_parameters = sum(math.prod(t.shape) for block in self.model.layers for part, name in TARGETS.values()
                                for t in [getattr(getattr(block, part), name)])
        self.model.freeze()

    def add_lora(self, rank: int, scale: float, targets, layers, seed: int) -> None:
        """Put a fresh LoRA on `targets` (GGUF names) of the blocks numbered in `layers`."""
        mx.random.seed(seed)
        for i in layers:
            for target in targets:
                part, name = TARGETS[target]
                module = getattr(self.model.layers[i], part)
                setattr(module, name, LoRALinear(getattr(module, name), rank, scale))

    def lora(self) -> dict[str, LoRALinear]:
        """'blk.N.TARGET' -> layer, for all layers that carry a LoRA."""
        found = {}
        for i, block in enumerate(self.model.layers):
            for target, (part, name) in TARGETS.items():
                layer = getattr(getattr(block, part), name)
                if isinstance(layer, LoRALinear):
                    found[f"blk.{i}.{target}"] = layer
        return found

    def _attend(self, q, k, v, mask):
        """Grouped-query attention of padded sequences. q: (n, queries, heads * head_dim), k, v: (n, keys, kv_heads * head_dim),
        mask: (n or 1, queries, keys), added to the scores. Returns the shape of q."""
        n, queries, keys, kv = q.shape[0], q.shape[1], k.shape[1], self._kv_heads
        heads_first = lambda x, count: x.reshape(n, count, kv, -1, self._head_dim).transpose(0, 2, 3, 1, 4)  # noqa: E731
        q = heads_first(q, queries).reshape(n, kv, -1, self._head_dim)  # the queries that share a key head, below one another
        k, v = (heads_first(x, keys).squeeze(2) for x in (k, v))
        scores = (q @ k.swapaxes(2, 3)).reshape(n, kv, -1, queries, keys) + mask[:, None, None]
        y = softmax(scores).reshape(n, kv, -1, keys) @ v
        return y.reshape(n, kv, -1, queries, self._head_dim).transpose(0, 3, 1, 2, 4).reshape(n, queries, -1)

    def _attention(self, attn, x, layout):
        """Self-attention of the packed tokens x (tokens, width): each prefix within itself, each rest within itself and its prefix."""
        turn = lambda y, heads: self.rope(y.reshape(len(y), heads, -1).swapaxes(0, 1), layout.cos, layout.sin).swapaxes(0, 1).reshape(len(y), -1)  # noqa: E731
        q = layout.pad(turn(attn.q_proj(x), self._heads) * self._head_dim ** -0.5)
        k, v = layout.pad(turn(attn.k_proj(x), self._kv_heads)), layout.pad(attn.v_proj(x))
        (s, p), (r, length) = layout.prefixes, layout.rests
        first = lambda y: y[:s * p].reshape(s, p, -1)  # noqa: E731
        rest = lambda y: y[s * p:].reshape(r, length, -1)  # noqa: E731
        if not s:
            return attn.o_proj(layout.unpad(self._attend(rest(q), rest(k), rest(v), layout.mask).reshape(r * length, -1)))
        own = lambda y: mx.concatenate([(layout.prefix_of @ first(y).reshape(s, -1)).reshape(r, p, -1), rest(y)], axis=1)  # noqa: E731
        y = mx.concatenate([self._attend(first(q), first(k), first(v), layout.prefix_mask).reshape(s * p, -1),
                            self._attend(rest(q), own(k), own(v), layout.mask).reshape(r * length, -1)])
        return attn.o_proj(layout.unpad(y))

    def _block(self, block, h, layout):
        h = h + self._attention(block.self_attn, block.input_layernorm(h), layout)
        x, mlp = block.post_attention_layernorm(h), block.mlp
        return h + mlp.down_proj(swiglu(mlp.gate_proj(x), mlp.up_proj(x)))

    def hidden(self, pack) -> mx.array:
        """Final hidden states (tokens, width), after the last norm, of a packed batch (see `packing`).

        Blocks below the first that trains always give the same states. While `remember` has room (in tokens), those of
        a row are computed once.
        """
        layout = _Layout(pack, self.rope)
        first = min((int(name.split(".")[1]) for name in self.lora()), default=0)
        h = self._below(pack, layout, first)
        for block in self.model.layers[first:]:
            if self.checkpoint and block.trainable_parameters():
                h = mx.checkpoint(lambda params, h, block=block: (block.update(params), self._block(block, h, layout))[1])(block.trainable_parameters(), h)
            else:
                h = self._block(block, h, layout)
        return self.model.norm(h)

    def _below(self, pack, layout, first: int) -> mx.array:
        """Hidden states (tokens, width) that enter block `first`."""
        if first and all(what in self._known for what, _, _ in pack.parts):
            return mx.concatenate([self._known[what] for what, _, _ in pack.parts])
        h = self._embed[mx.array(pack.tokens)]
        for block in self.model.layers[:first]:
            h = self._block(block, h, layout)
        if first and len(pack.tokens) <= self.remember:
            mx.eval(h)
            for what, start, end in pack.parts:
                if what not in self._known:
                    self._known[what] = mx.array(np.array(h[start:end]))  # a copy: a slice would keep all of h
                    self.remember -= end - start
        return h

    def logits(self, pack) -> mx.array:
        """Logits (answer tokens, vocabulary) at the positions that predict an answer token."""
        return self.hidden(pack)[mx.array(pack.predict)] @ self._head.T

    def loss(self, pack) -> mx.array:
        """Summed cross-entropy over the answer tokens, in nats. Only those go through the output head."""
        return cross_entropy(self.hidden(pack)[mx.array(pack.predict)], self._head, mx.array(pack.labels))

    def divergence(self, pack) -> mx.array:
        """Summed KL divergence over the answer tokens, in nats, of the model with its LoRA from the model without."""
        for layer in self.lora().values():
            layer.on = False
        before = mx.stop_gradient(self.hidden(pack)[mx.array(pack.predict)])
        for layer in self.lora().values():
            layer.on = True
        return kl_divergence(self.hidden(pack)[mx.array(pack.predict)], self._head, before)

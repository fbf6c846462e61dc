"""A GGUF model in MLX, frozen, with LoRA adapters on its linear layers: what training runs on.

The weights are the GGUF's own quantised values. q and k rows of llama GGUFs are permuted for interleaved
RoPE, so llama runs with `rope_traditional=True` and an adapter trained here fits llama.cpp as it is.
"""

import importlib.util
import math
import sys
import types

from . import blas

blas.load()  # before mlx.core

import mlx.core as mx
import numpy as np

from .errors import TinyemError
from .fused import SLICE, cross_entropy, kl_divergence, regroup, softmax, swiglu
from .linear import KERNELS, DoRALinear, FrozenLinear, LoRALinear, Table, fastest_kernel

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


class Rope:
    """Rotary embedding at given positions, so that rows packed into one sequence keep their own count.

    x * cos + (x @ swap) * sin, where `swap` turns each pair (a, b) into (-b, a): one small matmul in place of
    strided slices, which are slow on a CPU.
    """

    def __init__(self, head_dim: int, theta: float, traditional: bool):
        half = head_dim // 2
        self.traditional, self.head_dim = traditional, head_dim
        first = np.arange(half) * 2 if traditional else np.arange(half)
        second = first + (1 if traditional else half)
        freqs = theta ** (-np.arange(0, head_dim, 2) / head_dim)
        self._freqs = np.empty(head_dim)
        self._freqs[first] = self._freqs[second] = freqs
        swap = np.zeros((head_dim, head_dim), np.float32)
        swap[second, first], swap[first, second] = -1, 1
        self._swap = mx.array(swap)

    def factors(self, positions: np.ndarray, heads: int, kv_heads: int):
        """(cos, sin) for queries, keys and values side by side, each (tokens, (heads + 2 kv_heads) * head_dim): queries
        also scaled by 1 / sqrt(head_dim), values left as they are."""
        angles = positions[:, None] * self._freqs
        beside = lambda x, rest: mx.array(np.concatenate([  # noqa: E731
            np.tile(x, heads) * self.head_dim ** -0.5, np.tile(x, kv_heads), np.full((len(x), kv_heads * self.head_dim), rest)], 1), mx.float32)
        return beside(np.cos(angles), 1.0), beside(np.sin(angles), 0.0)

    def __call__(self, x, cos, sin):
        """x (tokens, any number of heads * head_dim), turned; cos and sin of its shape."""
        return x * cos + (x.reshape(-1, self.head_dim) @ self._swap).reshape(x.shape) * sin


class _Layout:
    """What every block needs to know of a pack: rotary factors, the way to padded groups and back, masks."""

    def __init__(self, pack, rope, heads: int, kv_heads: int):
        self.cos, self.sin = rope.factors(pack.positions, heads, kv_heads)
        self.prefixes, self.rests = pack.prefixes.shape, pack.rests.shape
        total, take = len(pack.tokens), mx.array(np.concatenate([pack.prefixes.take, pack.rests.take]))
        self.pad, self.unpad = regroup(take, mx.array(pack.back), total)
        answer_of = np.full(total, len(pack.predict), np.int32)
        answer_of[pack.predict] = np.arange(len(pack.predict))
        _, self.answers = regroup(mx.array(answer_of), mx.array(pack.predict), len(pack.predict))
        self.prefix_of = mx.array(pack.prefix_of)
        (s, p), (r, length), group = self.prefixes, self.rests, heads // kv_heads
        causal = lambda n: np.tril(np.ones((1, n, n), bool))  # noqa: E731
        own = np.broadcast_to(causal(length), (r, length, length))
        held = pack.prefixes.take.reshape(s, p) < total  # which places of a prefix hold a token
        before = (pack.prefix_of @ held).astype(bool)[:, None] if s else np.zeros((r, 1, 0), bool)
        added = lambda seen: mx.array(np.tile(np.where(seen, 0, -1e9), (1, group, 1))[:, None], mx.float32)  # noqa: E731
        self.mask = added(np.concatenate([np.broadcast_to(before, (r, length, p)), own], axis=2))
        self.prefix_mask = added(causal(p))


def read_gguf(path) -> tuple[dict, dict]:
    """(tensors, metadata) of a GGUF by MLX's own reader. Raises TinyemError on a broken file."""
    try:
        return mx.load(str(path), format="gguf", return_metadata=True)
    except Exception as e:  # MLX raises RuntimeError with C++ text
        if "gguf_tensor_to_f16" in str(e):
            raise TinyemError(f"{path} has weights in a format that MLX cannot read: use a Q4_0, Q4_1, Q8_0, Q4_K, Q6_K or F16 file")
        raise TinyemError(f"{path} is not a whole GGUF model ({str(e)[:80]}): download or copy it again")


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
    if get("rope.scaling.type", "none") != "none" and get("rope.scaling.factor", 1.0) != 1:
        raise TinyemError(f"{path} uses scaled rotary positions, which tinyem cannot train yet")
    if any(get(key, get("embedding_length") // heads) != get("embedding_length") // heads for key in ("attention.key_length", "attention.value_length", "rope.dimension_count")):
        raise TinyemError(f"{path} has attention heads of another size than its width gives, which tinyem cannot train yet")
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
            self._embed = Table(tensors, "token_embd", SLICE)
            self._head = self._embed if args.tie_word_embeddings else Table(tensors, "output", SLICE)
        except KeyError as e:
            raise TinyemError(f"{path} lacks the tensor {e.args[0]}: not a complete {arch} model")
        del self.model.embed_tokens  # its random table is never used
        self.n_parameters = sum(math.prod(t.shape) for block in self.model.layers for part, name in TARGETS.values()
                                for t in [getattr(getattr(block, part), name)])
        self.model.freeze()

    def add_lora(self, rank: int, scale: float, targets, layers, seed: int, dora: bool = False) -> None:
        """Put a fresh LoRA (or DoRA) on `targets` (GGUF names) of the blocks numbered in `layers`."""
        mx.random.seed(seed)
        for i in layers:
            for target in targets:
                part, name = TARGETS[target]
                module = getattr(self.model.layers[i], part)
                setattr(module, name, (DoRALinear if dora else LoRALinear)(getattr(module, name), rank, scale))

    def lora(self) -> dict[str, LoRALinear]:
        """'blk.N.TARGET' -> layer, for all layers that carry a LoRA."""
        found = {}
        for i, block in enumerate(self.model.layers):
            for target, (part, name) in TARGETS.items():
                layer = getattr(getattr(block, part), name)
                if isinstance(layer, LoRALinear):
                    found[f"blk.{i}.{target}"] = layer
        return found

    def _layout(self, pack):
        return _Layout(pack, self.rope, self._heads, self._kv_heads)

    def _attend(self, q, k, v, mask):
        """Grouped-query attention of padded sequences. q: (n, heads, queries, head_dim), k, v: (n, kv_heads, keys, head_dim),
        mask: (n or 1, 1, heads / kv_heads * queries, keys), added to the scores. Returns (n * queries, heads * head_dim)."""
        n, _, queries, _ = q.shape
        q = q.reshape(n, self._kv_heads, -1, self._head_dim)  # the queries that share a key head, below one another
        y = softmax(q @ k.swapaxes(2, 3) + mask) @ v
        return y.reshape(n, self._heads, queries, self._head_dim).swapaxes(1, 2).reshape(n * queries, -1)

    def _attention(self, attn, x, layout):
        """Self-attention of the packed tokens x (tokens, width), before the output projection: each prefix within itself,
        each rest within itself and its prefix."""
        qkv = self.rope(mx.concatenate([attn.q_proj(x), attn.k_proj(x), attn.v_proj(x)], axis=1), layout.cos, layout.sin)
        padded, (s, p), (r, length) = layout.pad(qkv), layout.prefixes, layout.rests
        heads_first = lambda y, n, count: y.reshape(n, count, -1, self._head_dim).swapaxes(1, 2)  # noqa: E731
        h, kv = self._heads, self._kv_heads
        rest = mx.contiguous(heads_first(padded[s * p:], r, length))
        q, keys_values = rest[:, :h], rest[:, h:]
        if s:
            first = mx.contiguous(heads_first(padded[:s * p], s, p))
            before = (layout.prefix_of @ first[:, h:].reshape(s, -1)).reshape(r, 2 * kv, p, self._head_dim)
            keys_values = mx.concatenate([before, keys_values], axis=2)
        y = self._attend(q, keys_values[:, :kv], keys_values[:, kv:], layout.mask)
        if s:
            y = mx.concatenate([self._attend(first[:, :h], first[:, h:h + kv], first[:, h + kv:], layout.prefix_mask), y])
        return layout.unpad(y)

    def _block(self, block, h, layout, last: bool = False):
        """One block. `last`: go on after its attention with the answer positions alone, no other is read."""
        y = self._attention(block.self_attn, block.input_layernorm(h), layout)
        if last:
            y, h = layout.answers(y), layout.answers(h)
        h = h + block.self_attn.o_proj(y)
        x, mlp = block.post_attention_layernorm(h), block.mlp
        return h + mlp.down_proj(swiglu(mlp.gate_proj(x), mlp.up_proj(x)))

    def hidden(self, pack) -> mx.array:
        """Final hidden states (answer tokens, width), after the last norm, at the positions that predict an answer token
        of a packed batch (see `packing`)."""
        return self.model.norm(self.states(pack))

    def states(self, pack) -> mx.array:
        """What the last block puts out (answer tokens, width), at the same positions.

        Blocks below the first that trains always give the same states. While `remember` has room (in tokens), those of
        a row are computed once.
        """
        layout = self._layout(pack)
        first = min((int(name.split(".")[1]) for name in self.lora()), default=0)
        h = self._below(pack, layout, first)
        for i, block in enumerate(self.model.layers[first:], first):
            def run(h, block=block, last=i == len(self.model.layers) - 1):
                return self._block(block, h, layout, last)

            if self.checkpoint:
                h = mx.checkpoint(lambda params, h, block=block, run=run: (block.update(params), run(h))[1])(block.trainable_parameters(), h)
            else:
                h = run(h)
        return h

    def _below(self, pack, layout, first: int) -> mx.array:
        """Hidden states (tokens, width) that enter block `first`."""
        if first and all(what in self._known for what, _, _ in pack.parts):
            return mx.concatenate([self._known[what] for what, _, _ in pack.parts])
        h = self._embed.rows(mx.array(pack.tokens))
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
        h = self.hidden(pack)
        return mx.concatenate([h @ self._head.matrix(i) for i in range(self._head.blocks)], axis=1)

    def loss(self, pack) -> mx.array:
        """Summed cross-entropy over the answer tokens, in nats. Only those go through the output head."""
        return cross_entropy(self.hidden(pack), self._head, mx.array(pack.labels))

    def divergence(self, pack) -> mx.array:
        """Summed KL divergence over the answer tokens, in nats, of the model without its LoRA from the model with it."""
        for layer in self.lora().values():
            layer.on = False
        before = mx.stop_gradient(self.hidden(pack))
        for layer in self.lora().values():
            layer.on = True
        return kl_divergence(self.hidden(pack), self._head, before)

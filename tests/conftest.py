"""A two-layer chat model that the tests write themselves, so that the fast ones need no real weights."""

import gguf
import numpy as np
import pytest

DIM, LAYERS, HEADS, KV_HEADS, FF = 64, 2, 4, 2, 96
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = ("{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def byte_tokens():
    """The 256 byte symbols of GPT-2's byte-level BPE."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    extra, table = 0, {}
    for b in range(256):
        if b in keep:
            table[b] = chr(b)
        else:
            table[b], extra = chr(256 + extra), extra + 1
    return [table[b] for b in range(256)]


def write_tiny(path, seed=0, template=TEMPLATE, quantise=True):
    rng = np.random.default_rng(seed)
    tokens = SPECIAL + byte_tokens() + ["Ġt"]
    w = gguf.GGUFWriter(path, "llama")
    w.add_name("tiny")
    w.add_block_count(LAYERS)
    w.add_context_length(2048)
    w.add_embedding_length(DIM)
    w.add_feed_forward_length(FF)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV_HEADS)
    w.add_rope_freq_base(10000.0)
    w.add_rope_dimension_count(DIM // HEADS)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(len(tokens))
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(tokens)
    w.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    w.add_token_merges(["Ġ t"])
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_add_bos_token(False)
    if template:
        w.add_chat_template(template)

    def add(name, *shape, scale=None):
        x = rng.normal(0, scale or 1.5 / np.sqrt(shape[-1]), shape).astype(np.float32)
        if quantise:
            q8 = gguf.GGMLQuantizationType.Q8_0
            w.add_tensor(name, gguf.quants.quantize(x, q8), raw_dtype=q8)
        else:
            w.add_tensor(name, x)

    add("token_embd.weight", len(tokens), DIM, scale=1.0)
    w.add_tensor("output_norm.weight", np.ones(DIM, np.float32))
    for i in range(LAYERS):
        w.add_tensor(f"blk.{i}.attn_norm.weight", np.ones(DIM, np.float32))
        w.add_tensor(f"blk.{i}.ffn_norm.weight", np.ones(DIM, np.float32))
        add(f"blk.{i}.attn_q.weight", DIM, DIM)
        add(f"blk.{i}.attn_k.weight", DIM // HEADS * KV_HEADS, DIM)
        add(f"blk.{i}.attn_v.weight", DIM // HEADS * KV_HEADS, DIM)
        add(f"blk.{i}.attn_output.weight", DIM, DIM)
        add(f"blk.{i}.ffn_gate.weight", FF, DIM)
        add(f"blk.{i}.ffn_up.weight", FF, DIM)
        add(f"blk.{i}.ffn_down.weight", DIM, FF)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch, request):
    """Fast tests never touch the user's cache; slow ones share it, as a user would."""
    if "slow" not in request.keywords:
        monkeypatch.setenv("TINYEM_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def tuned(tiny, tmp_path_factory):
    """An adapter trained for a few steps on the tiny model: (path, examples)."""
    from tinyem.adapter import Recipe
    from tinyem.data import Example
    from tinyem.tune import tune

    examples = [Example(f"q{i}?", f"answer {'ab'[i % 2] * 5}") for i in range(12)]
    out = tmp_path_factory.mktemp("adapter") / "tiny-lora.gguf"
    tune(tiny, examples, Recipe(name="tiny-lora", rank=4, alpha=8, lr=2e-2, epochs=4, batch=4), out)
    return out, examples

"""What `tinyem bench` times, each in a process of its own: `python -m tinyem.contenders NAME SETUP.json`.

A contender loads, prints {"ready": true}, and then runs once for each line it reads, printing {"seconds", "tokens"}.
At the end it prints {"peak": bytes}. All train the same rows (already tokens, all of a batch equally long, so that
nobody pads) or answer the same questions. The peers are used as their own documentation shows.
"""

import json
import subprocess
import sys
import tempfile
import time


def _rows(setup):
    from .packing import Row

    return [[Row(*map(tuple, r)) for r in batch] for batch in setup["batches"]]


def _row_tokens(batch) -> int:
    return sum(len(prefix) + len(prompt) + len(answer) for prefix, prompt, answer in batch)


def _recipe(setup):
    from .adapter import Recipe

    return Recipe(rank=setup["rank"], alpha=2.0 * setup["rank"])


def train_tinyem(setup):
    """tinyem's own step: gradients over processes and the optimizer's update."""
    from . import tune

    recipe, batches, losses = _recipe(setup), _rows(setup), []
    with tune.Step(setup["model"], recipe, setup.get("max_memory")) as step:
        def run(i):
            losses.append(step(batches[i % len(batches)], lr=recipe.lr))
            return _row_tokens(setup["batches"][i % len(batches)])

        yield run
        yield step.gradients.peak_memory()


def _float_weights(path):
    """(arguments, {name in transformers and mlx-lm: float32 array}) of a llama GGUF, q and k turned back from interleaved RoPE."""
    import gguf
    import numpy as np

    from .network import TARGETS, read_model

    _, args, *_ = read_model(path)
    if args.model_type != "llama":
        raise ImportError("only llama models are compared with it")
    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head", "attn_norm": "input_layernorm",
             "ffn_norm": "post_attention_layernorm", **{target: ".".join(place) for target, place in TARGETS.items()}}
    found = {}
    for t in gguf.GGUFReader(path).tensors:
        *block, name = t.name.removesuffix(".weight").replace("blk.", "").split(".")
        w = np.ascontiguousarray(gguf.quants.dequantize(t.data, t.tensor_type), np.float32)
        if name in ("attn_q", "attn_k"):
            heads = args.num_attention_heads if name == "attn_q" else args.num_key_value_heads
            w = w.reshape(heads, -1, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
        found[(f"model.layers.{block[0]}." if block else "") + names[name] + ".weight"] = w
    return args, found


def train_mlx_lm(setup):
    """Stock mlx-lm: its quantised model, its LoRA layers, its loss. BLAS is whatever MLX's wheel brings."""
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim
    import numpy as np
    from mlx_lm.models import llama
    from mlx_lm.tuner.trainer import default_loss
    from mlx_lm.tuner.utils import linear_to_lora_layers

    args, weights = _float_weights(setup["model"])
    args.rope_traditional = False  # as the weights are turned back
    model = llama.Model(args)
    model.load_weights([(k, mx.array(v)) for k, v in weights.items()], strict=False)
    nn.quantize(model, group_size=32, bits=4)  # as the GGUF
    model.freeze()
    linear_to_lora_layers(model, args.num_hidden_layers, {"rank": setup["rank"], "scale": 2.0, "dropout": 0.0, "keys": {
        *(f"self_attn.{x}_proj" for x in "qkvo"), *(f"mlp.{x}_proj" for x in ("gate", "up", "down"))}})
    optimizer = optim.AdamW(4e-4, weight_decay=0.0)
    grad = nn.value_and_grad(model, default_loss)

    def run(i):
        batch = setup["batches"][i % len(setup["batches"])]
        tokens = mx.array(np.array([[*p, *q, *a] for p, q, a in batch]))
        lengths = mx.array([[len(p) + len(q), len(p) + len(q) + len(a) - 1] for p, q, a in batch])
        (loss, _), grads = grad(model, tokens, lengths)
        optimizer.update(model, grads)
        mx.eval(loss, model.parameters(), optimizer.state)
        return _row_tokens(batch)

    yield run
    yield _peak()


def torch_model(path):
    """A llama GGUF as a float32 model of transformers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    args, weights = _float_weights(path)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=args.vocab_size, hidden_size=args.hidden_size, intermediate_size=args.intermediate_size, num_hidden_layers=args.num_hidden_layers,
        num_attention_heads=args.num_attention_heads, num_key_value_heads=args.num_key_value_heads, rms_norm_eps=args.rms_norm_eps,
        rope_theta=args.rope_theta, rope_parameters={"rope_type": "default", "rope_theta": args.rope_theta}, tie_word_embeddings=args.tie_word_embeddings))
    missing, extra = model.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, strict=False)
    if extra or set(missing) - {"lm_head.weight"}:
        raise ValueError(f"weights do not fit: missing {missing}, not known {extra}")
    model.tie_weights()
    return model


def train_peft(setup):
    """transformers + PEFT on torch's CPU backend, float32, labels on answer tokens only. The weights are turned into a
    folder of transformers' by another process, so that they are loaded here as anybody loads a model."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", "import sys; from tinyem.contenders import torch_model; torch_model(sys.argv[1]).save_pretrained(sys.argv[2])",
                        setup["model"], folder], check=True, capture_output=True)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=setup["rank"], lora_alpha=2 * setup["rank"], task_type="CAUSAL_LM", target_modules=[
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]))
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=4e-4, weight_decay=0.0)
    losses = []

    def run(i):
        batch = setup["batches"][i % len(setup["batches"])]
        ids = torch.tensor([[*p, *q, *a] for p, q, a in batch])
        labels = ids.clone()
        for row, (p, q, _) in zip(labels, batch):
            row[:len(p) + len(q)] = -100
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss))
        return _row_tokens(batch)

    yield run
    yield _peak()


def train_sgemm(setup):
    """The bound: the frozen matrices' products of the step, forward and backward, as bare float32 matmuls of random values,
    for the tokens that tinyem computes (a shared prefix once); the output head for answer tokens."""
    from . import blas

    blas.load()
    import os

    import mlx.core as mx

    from .packing import pack
    from .network import read_model

    blas.set_threads(os.cpu_count() or 1)
    _, args, *_ = read_model(setup["model"])
    kv = args.hidden_size // args.num_attention_heads * args.num_key_value_heads
    w, inner = args.hidden_size, args.intermediate_size
    shapes = [(w, w), (kv, w), (kv, w), (w, w), (inner, w), (inner, w), (w, inner)]
    layers = [[mx.random.normal(s) for s in shapes] for _ in range(args.num_hidden_layers)]
    head = mx.random.normal((args.vocab_size, w))
    inputs = {}

    def x(n, width):
        if (n, width) not in inputs:
            inputs[n, width] = mx.random.normal((n, width))
            mx.eval(inputs[n, width])
        return inputs[n, width]

    mx.eval(layers, head)

    def run(i):
        whole = pack(_rows(setup)[i % len(setup["batches"])])
        n, answers = len(whole.tokens), len(whole.labels)
        for layer in layers:
            for m in layer:
                mx.eval(x(n, m.shape[1]) @ m.T)
                mx.eval(x(n, m.shape[0]) @ m)
        for at in range(0, answers, 64):
            some = min(64, answers - at)
            mx.eval(x(some, w) @ head.T)
            mx.eval(x(some, args.vocab_size) @ head)
        return _row_tokens(setup["batches"][i % len(setup["batches"])])

    yield run
    yield _peak()


def sample_tinyem(setup):
    """Batched decoding as lessons use it."""
    from .engine import Engine
    from .sample import Settings, answer, room_for

    settings = Settings(temperature=0.7, top_p=0.9, max_tokens=setup["max_tokens"])
    with Engine(setup["sampled"], setup["width"], room_for(setup["sampled"], setup["questions"], settings)) as engine:
        yield lambda i: sum(r["tokens"] for r in answer(engine, setup["questions"], setup["samples"], settings, label=""))
        yield _peak()


def sample_loop(setup):
    """llama-cpp-python's create_completion, one answer after the other; an eighth of the answers."""
    from .chat import Chat, open_llama

    llama, chat = open_llama(setup["sampled"], n_ctx=512), Chat(setup["sampled"])
    prompts = [chat.prompt(chat.messages(q["question"])) for q in setup["questions"]]

    def run(i):
        tokens = 0
        for prompt in prompts * max(setup["samples"] // 8, 1):
            got = llama.create_completion(prompt, max_tokens=setup["max_tokens"], temperature=0.7, top_p=0.9, top_k=0, min_p=0.0, repeat_penalty=1.0)
            tokens += got["usage"]["completion_tokens"]
        return tokens

    yield run
    yield _peak()


def sample_bound(setup):
    """The bound: nothing but decodes of one token for each of `width` sequences."""
    from .engine import Engine

    width = setup["width"]
    with Engine(setup["sampled"], width, 128) as engine:
        def run(i):
            engine.clear()
            for step in range(setup["max_tokens"]):
                engine.decode([(100 + s, step, s + 1, True) for s in range(width)])
            return width * setup["max_tokens"]

        yield run
        yield _peak()


def _peak():
    from .gradients import peak_rss

    return peak_rss()


CONTENDERS = {f.__name__.replace("_", "-"): f for f in (train_tinyem, train_mlx_lm, train_peft, train_sgemm, sample_tinyem, sample_loop, sample_bound)}


def main():
    name, path = sys.argv[1:]
    with open(path, encoding="utf-8") as f:
        setup = json.load(f)
    say = lambda **what: print(json.dumps(what), file=out, flush=True)  # noqa: E731
    out, sys.stdout = sys.stdout, sys.stderr  # nothing else may write between the lines
    contender = CONTENDERS[name](setup)
    try:
        run = next(contender)
    except ImportError as e:
        return say(missing=str(e))
    say(ready=True)
    for i, _ in enumerate(sys.stdin):
        start = time.perf_counter()
        tokens = run(i)
        say(seconds=time.perf_counter() - start, tokens=tokens)
    say(peak=next(contender))


if __name__ == "__main__":
    main()

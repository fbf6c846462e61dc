"""Training on the tiny model: it learns, stops, resumes, and says what does not fit."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tinyem import adapter, memory
from tinyem.adapter import Recipe
from tinyem.data import Example
from tinyem.errors import TinyemError
from tinyem.tune import lr_at, plan_batches, tune

RECIPE = Recipe(name="t", rank=2, alpha=4, lr=1e-2, epochs=3, batch=4, seed=7)
EXAMPLES = [Example(f"question {i}", "yes yes yes" if i % 2 else "no no no") for i in range(10)]


def test_loss_falls_and_recipe_is_in_the_file(tiny, tmp_path):
    losses = []
    out = tune(tiny, EXAMPLES, RECIPE, tmp_path / "a.gguf", on_step=lambda step, loss, net: losses.append(loss))
    assert np.mean(losses[-3:]) < 0.7 * losses[0]
    recipe = adapter.read_recipe(out)
    assert (recipe.rank, recipe.alpha, recipe.steps, recipe.examples, recipe.seed) == (2, 4, 9, 10, 7)
    assert len(recipe.base_sha256) == 64
    assert len(adapter.read(out)) == 14 and not list(tmp_path.glob("*.checkpoint*"))


def test_gradient_over_processes_equals_finite_differences(tiny):
    import mlx.core as mx
    from tinyem.chat import Chat
    from tinyem.network import Network
    from tinyem.packing import pack
    from tinyem import gradients as module

    chat, network = Chat(tiny), Network(tiny)
    rows = [chat.row(e.question, e.answer) for e in EXAMPLES[:5]]
    network.add_lora(2, 2.0, ["attn_q", "ffn_down"], range(2), 0)
    layer = network.lora()["blk.1.ffn_down"]
    layer.b = mx.random.normal(layer.b.shape) * 0.05
    mx.eval(layer.b)
    way = memory.Way((network.kernel,), 2, 400)
    with contextlib.closing(module.Gradients(network, tiny, Recipe(rank=2, alpha=4, targets=("attn_q", "ffn_down")), way, work=1e15)) as gradients:
        assert gradients.processes == 2
        loss, gradient = gradients(rows)
        grads = gradients.flat.split(gradient.copy())
        helper = gradients._workers[0]
    assert helper.poll() is not None
    tokens = sum(len(r.answer) for r in rows)
    assert abs(loss - float(network.loss(pack(rows))) / tokens) < 1e-4
    for name, where in (("a", (0, 3)), ("b", (5, 1))):
        base, eps, values = np.array(getattr(layer, name)), 1e-2, []
        for sign in (1, -1):
            moved = base.copy()
            moved[where] += sign * eps
            setattr(layer, name, mx.array(moved))
            values.append(float(network.loss(pack(rows))) / tokens)
        setattr(layer, name, mx.array(base))
        numeric = (values[0] - values[1]) / (2 * eps)
        analytic = float(grads[f"layers.1.mlp.down_proj.{name}"][where])
        assert abs(numeric - analytic) < 2e-3 + 0.05 * abs(numeric)


def interrupt_at(n):
    """Ctrl-C during step n."""
    return lambda step, loss, net: os.kill(os.getpid(), signal.SIGINT) if step == n else None


def test_ctrl_c_keeps_a_checkpoint_and_resuming_equals_an_uninterrupted_run(tiny, tmp_path):
    whole = tune(tiny, EXAMPLES, RECIPE, tmp_path / "whole.gguf")
    with pytest.raises(KeyboardInterrupt):
        tune(tiny, EXAMPLES, RECIPE, tmp_path / "part.gguf", on_step=interrupt_at(4))
    assert not (tmp_path / "part.gguf").exists()
    steps = []
    renamed = replace(RECIPE, name="another", tinyem="0.0.0")  # the same training under another name
    part = tune(tiny, EXAMPLES, renamed, tmp_path / "part.gguf", resume=True, on_step=lambda step, *_: steps.append(step))
    assert steps == [5, 6, 7, 8, 9]
    for name, (a, b) in adapter.read(whole).items():
        a2, b2 = adapter.read(part)[name]
        assert np.allclose(a, a2, atol=2e-3) and np.allclose(b, b2, atol=2e-3)


def test_resume_with_other_settings_or_nothing_is_refused(tiny, tmp_path):
    with pytest.raises(TinyemError, match="nothing to resume"):
        tune(tiny, EXAMPLES, RECIPE, tmp_path / "a.gguf", resume=True)
    with pytest.raises(KeyboardInterrupt):
        tune(tiny, EXAMPLES, RECIPE, tmp_path / "a.gguf", on_step=interrupt_at(2))
    with pytest.raises(TinyemError, match="another recipe"):
        tune(tiny, EXAMPLES, replace(RECIPE, lr=1e-3), tmp_path / "a.gguf", resume=True)
    (tmp_path / "a.checkpoint.safetensors").write_bytes(b"junk")
    with pytest.raises(TinyemError, match="broken"):
        tune(tiny, EXAMPLES, RECIPE, tmp_path / "a.gguf", resume=True)


def test_long_rows_are_cut_and_split_over_packs(tiny, tmp_path, capsys, monkeypatch):
    import tinyem.tune as module

    long = [Example("q", "word " * 400), *EXAMPLES[:5]]
    tune(tiny, long, RECIPE, tmp_path / "a.gguf")
    assert "1 of 6 answers were cut to 512 tokens" in capsys.readouterr().err
    with pytest.raises(TinyemError, match="question of more than 512"):
        tune(tiny, [Example("word " * 400, "a")], RECIPE, tmp_path / "a.gguf")
    whole = tune(tiny, EXAMPLES, RECIPE, tmp_path / "whole.gguf")
    monkeypatch.setattr(module, "_way", lambda *_: memory.Way(("dequantising",), 1, 40, True))  # a row or two in a pack, least memory: the sum must not change
    parts = tune(tiny, EXAMPLES, RECIPE, tmp_path / "parts.gguf")
    for name, (a, b) in adapter.read(whole).items():
        a2, b2 = adapter.read(parts)[name]
        assert np.allclose(a, a2, atol=2e-3) and np.allclose(b, b2, atol=2e-3)


def test_unknown_target_and_layer_are_refused(tiny, tmp_path):
    with pytest.raises(TinyemError, match="unknown LoRA target 'attn_x'"):
        tune(tiny, EXAMPLES, replace(RECIPE, targets=("attn_x",)), tmp_path / "a.gguf")
    with pytest.raises(TinyemError, match="blocks 0 to 1"):
        tune(tiny, EXAMPLES, replace(RECIPE, layers=(2,)), tmp_path / "a.gguf")


def test_only_chosen_layers_and_targets_train(tiny, tmp_path):
    out = tune(tiny, EXAMPLES, replace(RECIPE, layers=(1,), targets=("attn_v", "ffn_down"), epochs=1), tmp_path / "a.gguf")
    assert set(adapter.read(out)) == {"blk.1.attn_v", "blk.1.ffn_down"}


def test_batches_and_learning_rate():
    batches = plan_batches(10, 4, 2, seed=0)
    assert [len(b) for b in batches] == [4, 4, 2, 4, 4, 2]
    assert sorted(sum(batches[:3], [])) == sorted(sum(batches[3:], [])) == list(range(10))
    assert len(plan_batches(10, 4, 0.5, 0)) == 2 and plan_batches(10, 4, 2, 1) != batches
    r = Recipe(lr=1.0, warmup=5)
    assert lr_at(0, 105, r) == 0.2 and lr_at(5, 105, r) == 1.0 and abs(lr_at(105, 105, r) - 0.1) < 1e-9


def test_recipe_survives_json():
    r = Recipe(name="x", layers=(1, 2), data={"f": "0"})
    assert Recipe.from_json(r.to_json()) == r
    assert Recipe.from_json(json.dumps({**json.loads(r.to_json()), "from_the_future": 1})) == r


def test_kl_term_holds_the_model_where_it_was(tiny, tmp_path):
    from tinyem.network import Network
    from tinyem.chat import Chat
    from tinyem.packing import pack
    from test_engine import put_adapter

    anchors = [Example(f"other {i}", "some words here") for i in range(6)]
    with pytest.raises(TinyemError, match="KL term needs both"):
        tune(tiny, EXAMPLES, replace(RECIPE, kl=1.0), tmp_path / "a.gguf")
    moved = {}
    rows = [Chat(tiny).row(e.question, e.answer) for e in anchors]
    for kl in (0.0, 3.0):
        out = tune(tiny, EXAMPLES, replace(RECIPE, kl=kl, epochs=8), tmp_path / f"{kl}.gguf", anchors=anchors if kl else [])
        moved[kl] = float(put_adapter(Network(tiny), out).divergence(pack(rows)))
    assert 0 < moved[3.0] < 0.5 * moved[0.0]


def test_kl_gradient_equals_finite_differences(tiny):
    import mlx.core as mx
    from tinyem.fused import kl_divergence
    from tinyem.linear import Table

    rng = np.random.default_rng(0)
    h, reference, head = (mx.array(rng.normal(0, 1, s).astype(np.float32)) for s in ((5, 8), (5, 8), (40, 8)))
    table = Table({"head.weight": head}, "head", block=16)  # the last block is not full
    value, grad = mx.value_and_grad(lambda h: kl_divergence(h, table, reference))(h)
    log = lambda x: np.array(x @ head.T) - np.log(np.exp(np.array(x @ head.T)).sum(-1, keepdims=True))  # noqa: E731
    assert abs(float(value) - (np.exp(log(reference)) * (log(reference) - log(h))).sum()) < 1e-3
    moved = np.array(h)
    moved[2, 3] += 1e-2
    assert abs((float(kl_divergence(mx.array(moved), table, reference)) - float(value)) / 1e-2 - float(grad[2, 3])) < 2e-2


def test_rslora_scale_is_in_the_file(tiny, tmp_path):
    recipe = replace(RECIPE, rank=4, alpha=4, rslora=True)
    assert recipe.scale == 2.0 and replace(recipe, rslora=False).scale == 1.0
    weights = {}
    for flag in (True, False):
        path = adapter.save(tmp_path / "a.gguf", {"blk.0.attn_q": (np.ones((4, 64)), np.ones((64, 4)))}, replace(recipe, rslora=flag), "llama")
        weights[flag] = adapter.read(path)["blk.0.attn_q"][1].max()
    assert weights == {True: 2.0, False: 1.0}


def test_dora_equals_mlx_lm(tiny):
    import mlx.core as mx
    import mlx.nn as nn
    from mlx_lm.tuner.dora import DoRALinear
    from tinyem.network import Network

    network = Network(tiny, ("dequantising",))
    network.add_lora(4, 3.0, ["ffn_up"], [0], 0, dora=True)
    ours = network.lora()["blk.0.ffn_up"]
    ours.b = mx.random.normal(ours.b.shape) * 0.1
    plain = nn.Linear(ours.a.shape[1], ours.b.shape[0], bias=False)
    plain.weight = mx.contiguous(ours._base.matrix().T)
    theirs = DoRALinear.from_base(plain, r=4, scale=3.0)
    theirs.lora_a, theirs.lora_b = ours.a.T, ours.b.T
    theirs.m = ours.m = ours.m * mx.random.uniform(0.5, 2.0, ours.m.shape)
    x = mx.random.normal((7, ours.a.shape[1]))
    assert np.abs(np.array(ours(x) - theirs(x))).max() < 1e-4 and np.abs(np.array(ours(x) - plain(x))).max() > 0.1
    loss = lambda layer: nn.value_and_grad(layer, lambda x: (layer(x) ** 2).sum())(x)[1]  # noqa: E731
    mine, other = loss(ours), loss(theirs)
    for a, b in ((mine["a"], other["lora_a"].T), (mine["b"], other["lora_b"].T), (mine["m"], other["m"])):
        assert np.abs(np.array(a - b)).max() < 1e-4 * np.abs(np.array(b)).max()


def test_every_kernel_and_checkpointing_give_the_same_gradient(tiny):
    from tinyem.chat import Chat
    from tinyem.gradients import Gradients
    from tinyem.network import KERNELS, Network

    chat, grads = Chat(tiny), {}
    for kernel in KERNELS:
        for checkpoint in (False, True):
            network = Network(tiny, (kernel,), checkpoint)
            network.add_lora(2, 2.0, RECIPE.targets, range(2), 0)
            gradients = Gradients(network, tiny, RECIPE, memory.Way((kernel,), 1, 60, checkpoint))
            loss, found = gradients([chat.row(e.question, e.answer) for e in EXAMPLES])
            grads[kernel, checkpoint] = loss, gradients.flat.split(found)["layers.0.mlp.up_proj.b"]
    first = grads["dequantising", False]
    for loss, b in grads.values():
        assert abs(loss - first[0]) < 1e-4 and np.abs(b - first[1]).max() < 1e-4 * np.abs(first[1]).max() + 1e-6


def test_the_fastest_way_within_a_limit_is_chosen():
    sizes = memory.Sizes(stored=168e6, layers=30, width=576, inner=1536, heads=9)
    takes = [memory.estimate(sizes, way, 2_000_000) for way in memory.ways(2)]
    assert memory.choose(sizes, 2, 2_000_000, 1e12) == memory.ways(2)[0]
    assert memory.choose(sizes, 2, 2_000_000, takes[3]) in memory.ways(2)[:4]
    assert memory.choose(sizes, 2, 2_000_000, min(takes)) == memory.ways(2)[int(np.argmin(takes))]
    with pytest.raises(TinyemError, match="at least .* MB"):
        memory.choose(sizes, 2, 2_000_000, 1e8)


def test_states_below_the_first_trained_block_are_computed_once(tiny):
    from tinyem.chat import Chat
    from tinyem.network import Network
    from tinyem.packing import pack

    chat, network = Chat(tiny), Network(tiny)
    rows = [chat.row(e.question, e.answer, s) for e, s in zip(EXAMPLES, [None, "Be kind.", "Be kind.", None])]
    network.add_lora(2, 2.0, RECIPE.targets, [1], 0)
    fresh = float(network.loss(pack(rows)))
    network.remember = 10_000
    first = float(network.loss(pack(rows[:3])) + network.loss(pack(rows[3:])))
    runs = []
    block, network._block = network._block, lambda *a: runs.append(1) or block(*a)
    again = float(network.loss(pack([rows[2], rows[0]])) + network.loss(pack([rows[3], rows[1]])))
    assert len(runs) == 2  # block 1 alone, once a pack
    assert again == pytest.approx(first, rel=1e-5) and again == pytest.approx(fresh, rel=1e-5)
    network.remember, known = 0, len(network._known)
    network.loss(pack([chat.row("a new one", "yes")]))
    assert len(network._known) == known


def test_fifty_steps_equal_the_reference_in_torch(tiny):
    """Same rows, same first matrices, same optimizer: losses to 1e-3, gradients to a hundredth (see torch_reference.py)."""
    import torch_reference as reference
    from pathlib import Path

    from tinyem.chat import Chat
    from tinyem.flat import Adam
    from tinyem.gradients import Gradients

    stored = json.loads((Path(__file__).parent / "torch_reference.json").read_text())
    network, rows = reference.network(tiny), reference.rows(Chat(tiny))
    gradients = Gradients(network, tiny, Recipe(rank=reference.RANK, alpha=2 * reference.RANK), memory.Way(("dequantising",), 1, 150))
    optimizer, losses = Adam(gradients.flat.size), []
    for step, batch in enumerate(plan_batches(len(rows), reference.BATCH, 10, reference.SEED)[:reference.STEPS]):
        loss, gradient = gradients([rows[i] for i in batch])
        grads = gradients.flat.split(gradient)
        for name in reference.PROBES:
            if want := stored["gradients"].get(f"{step}/{name}"):
                _, block, target = name.split(".")
                part, module = {"ffn_gate": ("mlp", "gate_proj"), "ffn_down": ("mlp", "down_proj"), "attn_v": ("self_attn", "v_proj"),
                                "attn_output": ("self_attn", "o_proj")}[target]
                got = grads[f"layers.{block}.{part}.{module}.b"][:3].ravel()
                assert np.abs(got - want).max() < 0.01 * np.abs(want).max() + 1e-6, name
        optimizer.update(gradients.parameters, gradient, reference.LR)
        gradients.changed()
        losses.append(loss)
    assert losses[-1] < 0.8 * losses[0]
    assert np.abs(np.array(losses) - stored["losses"]).max() < 1e-3


def test_training_imports_neither_transformers_nor_torch():
    code = "import sys, tinyem.network; assert not {'transformers', 'torch', 'mlx_lm'} & set(sys.modules); import mlx_lm; assert mlx_lm.load"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_blas_is_loaded_before_mlx(tiny):
    """Else MLX computes with the reference BLAS, thirty times more slowly, and nothing else tells."""
    code = ("import sys; from tinyem import blas, tune; from tinyem.adapter import Recipe; seen = []; load = blas.load\n"
            "blas.load = lambda: (seen.append('mlx.core' in sys.modules), load())[1]\n"
            f"tune.Step({str(tiny)!r}, Recipe(rank=2, alpha=4), work=1); assert seen[0] is False and 'mlx.core' in sys.modules, seen")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

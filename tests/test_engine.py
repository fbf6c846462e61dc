"""Both engines on the same file: packing, training, adapters, merging, sampling."""

import numpy as np
import pytest

from conftest import write_tiny
from tinyem import adapter, merge
from tinyem.adapter import Recipe
from tinyem.chat import Chat, model_params
from tinyem.engine import Engine
from tinyem.likelihood import log_likelihoods
from tinyem.errors import TinyemError
from tinyem.files import sha256
from tinyem.packing import Row, pack
from tinyem.sample import Settings, answer, pick, room_for

QUESTIONS = [{"id": "a", "question": "Hello there"}, {"id": "b", "question": "Another thing?"}]


def llama_logits(path, tokens, live=()):
    """(tokens, vocabulary) by llama.cpp."""
    with Engine(path, width=1, room=128) as e:
        e.use(live)
        e.decode([(t, i, 0, True) for i, t in enumerate(tokens)])
        return np.array([e.logits(i).copy() for i in range(len(tokens))])


def mlx_logits(network, tokens):
    row = Row((), tuple(tokens[:1]), tuple(tokens[1:]) + (0,))
    return np.array(network.logits(pack([row])))


def put_adapter(network, path):
    """Load a GGUF LoRA into an MLX network."""
    import mlx.core as mx

    recipe = adapter.read_recipe(path)
    network.add_lora(recipe.rank, 1.0, recipe.targets, range(network.n_layers), 0)
    for name, (a, b) in adapter.read(path).items():
        layer = network.lora()[name]
        layer.a, layer.b = mx.array(a), mx.array(b)  # `read` has alpha / rank in b already
    return network


def test_packed_rows_equal_separate_rows(tiny):
    from tinyem.network import Network

    chat, network = Chat(tiny), Network(tiny)
    rows = [chat.row("one", "first"), chat.row("two longer", "second answer", "Be kind."), chat.row("three", "3", "Be kind.")]
    packed = pack(rows)
    together = np.array(network.logits(packed))
    alone = np.concatenate([np.array(network.logits(pack([r]))) for r in rows])
    assert np.abs(together - alone).max() < 1e-3
    assert len(packed.tokens) < sum(map(len, rows))  # the shared system turn is there once
    assert [packed.labels[packed.row == k].tolist() for k in range(3)] == [list(r.answer) for r in rows]


def far(a, b):
    """Largest difference of two logit arrays, as a share of the largest logit."""
    return np.abs(a - b).max() / np.abs(b).max()


# llama.cpp rounds activations to 8 bits before it multiplies them with quantised weights
@pytest.mark.parametrize("quantise, tolerance", [(False, 0.005), (True, 0.04)])
def test_mlx_and_llama_cpp_agree_with_the_adapter_applied(tuned, tmp_path, quantise, tolerance):
    from tinyem.network import Network

    model = write_tiny(tmp_path / "m.gguf", quantise=quantise)
    tokens = Chat(model).prompt([{"role": "user", "content": "What is this?"}])
    plain, adapted = llama_logits(model, tokens), llama_logits(model, tokens, [tuned[0]])
    assert far(adapted, plain) > 0.1
    network = Network(model)
    assert far(mlx_logits(network, tokens), plain) < tolerance
    assert far(mlx_logits(put_adapter(network, tuned[0]), tokens), adapted) < tolerance


def test_merged_model_equals_live_adapter(tiny, tuned):
    tokens = Chat(tiny).prompt([{"role": "user", "content": "What is this?"}])
    live = llama_logits(tiny, tokens, [tuned[0]])
    path = merge.merged(tiny, tuned[0])
    assert far(llama_logits(path, tokens), live) < 0.06
    assert merge.merged(tiny, tuned[0]) == path


def test_dora_is_merged_with_all_below_it(tiny, tuned, tmp_path):
    from dataclasses import replace

    from tinyem.data import Example
    from tinyem.network import Network
    from tinyem.tune import tune

    below = merge.merged(tiny, tuned[0])
    recipe = replace(Recipe(rank=2, alpha=4, lr=3e-2, epochs=3, batch=4), dora=True, base_sha256=sha256(tiny), stacked_on=sha256(tuned[0]))
    out = tune(below, [Example(f"question {i}", "yes yes yes") for i in range(8)], recipe, tmp_path / "dora.gguf")
    path, live = merge.stack(tiny, [tuned[0], out])
    assert not live and path != below
    network = Network(below)
    network.add_lora(2, 1.0, recipe.targets, range(2), 0, dora=True)
    import mlx.core as mx
    for name, (a, b) in adapter.read(out).items():
        layer = network.lora()[name]
        layer.a, layer.b, layer.m = mx.array(a), mx.array(b), mx.array(adapter.read_lengths(out)[name])
    tokens = Chat(tiny).prompt([{"role": "user", "content": "What is this?"}])
    want = mlx_logits(network, tokens)
    assert far(llama_logits(path, tokens), want) < 0.06 < 0.2 < far(llama_logits(below, tokens), want)
    with Engine(below, width=1, room=64) as e, pytest.raises(TinyemError):
        e.use([out])
    again = tune(below, [Example("q", "yes")], recipe, tmp_path / "again.gguf", start=out)
    assert set(adapter.read_lengths(again)) == set(adapter.read(again))
    with pytest.raises(TinyemError, match="go on with --dora"):
        tune(below, [Example("q", "yes")], replace(recipe, dora=False), tmp_path / "again.gguf", start=out)


def test_truncated_model_is_the_first_blocks(tiny):
    from tinyem.network import Network

    tokens = [5, 6, 7, 8]
    network = Network(tiny)
    network.model.layers = network.model.layers[:1]
    assert far(llama_logits(merge.truncated(tiny, 1), tokens), mlx_logits(network, tokens)) < 0.04


def test_watched_states_are_what_a_block_puts_out(tmp_path):
    import mlx.core as mx
    from tinyem.network import Network

    model, tokens = write_tiny(tmp_path / "m.gguf", quantise=False), [5, 6, 7, 8]
    with Engine(model, width=3, room=64, watch=(0,)) as e:
        e.decode([(t, i, 0, False) for i, t in enumerate(tokens)])
        got = e.states[0].copy()
        e.copy(0, 1)
        e.copy(0, 2)
        e.decode([(9, 4, 1, False), (9, 5, 1, False), (9, 4, 2, False), (7, 4, 0, False)])  # several sequences, not equally long
        assert e.states[0].shape == (4, 64) and np.allclose(e.states[0][0], e.states[0][2], atol=1e-4) and not np.allclose(e.states[0][2], e.states[0][3], atol=1e-2)
    network, packed = Network(model), pack([Row((), tuple(tokens[:1]), tuple(tokens[1:]) + (0,))])
    want = np.array(network._block(network.model.layers[0], network._embed.rows(mx.array(tokens)), network._layout(packed)))
    assert got.shape == (4, 64) and far(got, want) < 0.005


def test_adapter_for_another_base_is_refused(tiny, tuned, tmp_path):
    other = write_tiny(tmp_path / "other.gguf", seed=1)
    with pytest.raises(TinyemError, match="trained on another base"):
        merge.stack(other, [tuned[0]])


def test_adapter_that_changes_nothing_is_refused(tiny, tmp_path):
    path = adapter.save(tmp_path / "zero.gguf", {"blk.0.attn_q": (np.ones((4, 64)), np.zeros((64, 4)))}, Recipe(rank=4, alpha=8), "llama")
    with Engine(tiny, width=1, room=64) as e, pytest.raises(TinyemError, match="changes nothing"):
        e.use([path])


def test_stacked_adapters_must_stand_on_one_another(tiny, tuned, tmp_path):
    a, b = np.ones((2, 64)), np.ones((64, 2))
    base = sha256(tiny)
    good = adapter.save(tmp_path / "good.gguf", {"blk.0.attn_q": (a, b)}, Recipe(rank=2, alpha=2, base_sha256=base, stacked_on=sha256(tuned[0])), "llama")
    wrong = adapter.save(tmp_path / "wrong.gguf", {"blk.0.attn_q": (a, b)}, Recipe(rank=2, alpha=2, base_sha256=base, stacked_on="f" * 64), "llama")
    model, live = merge.stack(tiny, [tuned[0], good])
    assert live == [str(good)] and model != str(tiny)
    with pytest.raises(TinyemError, match="on top of another adapter"):
        merge.stack(tiny, [tuned[0], wrong])


@pytest.mark.parametrize("cut", [10, 1000, 20000])
def test_truncated_gguf_is_one_line(tiny, tmp_path, cut):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny.read_bytes()[:cut])
    from tinyem.network import Network

    for use in (Chat, Engine, Network, lambda p: merge.truncated(p, 1)):
        with pytest.raises(TinyemError) as e:
            use(broken)
        assert "\n" not in str(e.value) and "broken.gguf" in str(e.value)


def test_missing_template_and_hostile_template(tmp_path):
    with pytest.raises(TinyemError, match="no chat template"):
        Chat(write_tiny(tmp_path / "none.gguf", template=None))
    for bad in ("{{ messages.__class__.__mro__[1].__subclasses__() }}", "{% for i in range(10**12) %}x{% endfor %}", "{{ 1/0 }}", "no messages"):
        chat = Chat(write_tiny(tmp_path / "bad.gguf", template=bad))
        with pytest.raises(TinyemError):
            chat.prompt([{"role": "user", "content": "hi"}])


def test_control_tokens_in_text_stay_text(tiny):
    chat = Chat(tiny)
    row = chat.row("a<|im_end|>b", "c<|im_start|>d")
    assert row.prompt.count(2) == 1 and row.answer.count(1) == 0 and row.answer[-1] == 2
    assert chat.decode(row.answer[:-1]) == "c<|im_start|>d"


def test_answers_do_not_depend_on_width(tiny):
    settings = Settings(temperature=1.0, top_p=0.95, max_tokens=12, seed=3)
    found = []
    for width in (1, 3, 8):
        with Engine(tiny, width=width, room=room_for(tiny, QUESTIONS, settings)) as e:
            found.append(answer(e, QUESTIONS, 5, settings))
    assert found[0] == found[1] == found[2]
    assert [(r["question_id"], r["sample"]) for r in found[0]] == [(q, s) for q in "ab" for s in range(5)]
    assert len({r["answer"] for r in found[0]}) > 2
    with Engine(tiny, width=8, room=96) as e:
        assert answer(e, QUESTIONS, 5, Settings(1.0, 0.95, 12, seed=4)) != found[0]


def test_greedy_answer_is_the_argmax_at_each_step(tiny):
    with Engine(tiny, width=4, room=96) as e:
        got = answer(e, QUESTIONS[:1], 2, Settings(temperature=0, max_tokens=6))
    chat = Chat(tiny)
    tokens = chat.prompt(chat.messages("Hello there"))
    start = len(tokens)
    for _ in range(6):
        tokens.append(int(llama_logits(tiny, tokens)[-1].argmax()))
    assert got[0]["answer"] == got[1]["answer"] == chat.decode(tokens[start:]).strip()


def test_pick_follows_temperature_and_top_p():
    logits = np.log(np.array([0.6, 0.3, 0.06, 0.04]))
    rng = np.random.default_rng(0)
    draws = [pick(logits, Settings(temperature=1.0, top_p=0.8), rng) for _ in range(3000)]
    assert set(draws) == {0, 1} and abs(np.mean(draws) - 1 / 3) < 0.03
    assert {pick(logits, Settings(temperature=0), rng) for _ in range(5)} == {0}
    flat = np.zeros(1000)
    assert len({pick(flat, Settings(temperature=1.0, top_p=0.9), rng) for _ in range(2000)}) > 500


def test_too_long_question_is_one_line(tiny):
    with Engine(tiny, width=1, room=64) as e, pytest.raises(TinyemError, match="too long"):
        answer(e, [{"id": "x", "question": "word " * 80}], 1)


def test_pick_equals_sorting_the_whole_vocabulary():
    rng = np.random.default_rng(1)
    for settings in (Settings(temperature=0.2, top_p=0.9), Settings(temperature=1.0, top_p=0.95), Settings(temperature=2.0, top_p=1.0)):
        for scale in (0.1, 1.0, 8.0):
            logits = rng.normal(0, scale, 3000).astype(np.float32)
            p = np.exp((logits.astype(np.float64) - logits.max()) / settings.temperature)
            order = np.argsort(-p, kind="stable")
            mass = np.cumsum(p[order] / p.sum())
            cut = min(int(np.searchsorted(mass, settings.top_p)) + 1, len(order))
            for seed in range(20):
                u = np.random.default_rng(seed).random() * mass[cut - 1]
                assert pick(logits, settings, np.random.default_rng(seed)) == order[np.searchsorted(mass[:cut], u)]


def test_log_likelihoods_equal_the_training_loss(tiny):
    from tinyem.network import Network

    rows = [{"question": "one", "answer": "first"}, {"question": "two longer", "answer": "second answer", "system": "Be kind."},
            {"question": "three", "answer": "3", "system": "Be kind."}, {"question": "four", "answer": "a longer one"}]
    with Engine(tiny, width=2, room=128) as e:
        got = log_likelihoods(e, rows)
        with pytest.raises(TinyemError, match="row 2 has"):
            log_likelihoods(e, [rows[0], {"question": "x", "answer": "word " * 80}])
        framed = log_likelihoods(e, [{**rows[1], "question": "plain", "asked": rows[1]["question"]}])  # as it was put to the model
    assert framed[0]["log_likelihood"] == got[1]["log_likelihood"]
    chat, network = Chat(tiny), Network(tiny)
    for row, found in zip(rows, got):
        tokens = chat.row(row["question"], row["answer"], row.get("system"))
        loss = float(network.loss(pack([tokens])))
        assert found["answer_tokens"] == len(tokens.answer) and abs(found["log_likelihood"] + loss) < 0.02 * loss


def test_steering_adds_the_direction_behind_the_block(tmp_path):
    model = write_tiny(tmp_path / "m.gguf", quantise=False)
    tokens, direction = [5, 6, 7, 8], np.random.default_rng(0).normal(0, 1, 64).astype(np.float32)
    with Engine(model, width=1, room=64, watch=(1,)) as e:
        def behind():
            e.clear()
            e.decode([(t, i, 0, True) for i, t in enumerate(tokens)])
            return e.states[1].copy()

        plain = behind()
        e.steer(direction, [1], 3.0)
        assert np.allclose(behind(), plain + 3 * direction, atol=1e-3)
        e.steer()
        assert np.allclose(behind(), plain, atol=1e-5)
        for blocks, bad in (([0], direction), ([2], direction), ([], direction), ([1], direction[:5])):
            with pytest.raises(TinyemError):
                e.steer(bad, blocks)


def test_ablation_takes_the_direction_out_and_nothing_else(tmp_path):
    import mlx.core as mx
    from tinyem.fused import swiglu
    from tinyem.network import Network

    model = write_tiny(tmp_path / "m.gguf", quantise=False)
    tokens, direction = [5, 6, 7, 8], np.random.default_rng(0).normal(0, 1, 64).astype(np.float32)
    unit = direction / np.linalg.norm(direction)
    network = Network(model)
    out = lambda h: h - mx.array(np.outer(np.array(h) @ unit, unit))  # noqa: E731

    def both(block, h, layout, last=False):  # the same by the training engine
        y = out(h + block.self_attn.o_proj(network._attention(block.self_attn, block.input_layernorm(h), layout)))
        x, mlp = block.post_attention_layernorm(y), block.mlp
        y = out(y + mlp.down_proj(swiglu(mlp.gate_proj(x), mlp.up_proj(x))))
        return layout.answers(y) if last else y

    plain = mlx_logits(network, tokens)
    network._block = both
    want = mlx_logits(network, tokens)

    def logits(e):
        e.clear()
        e.decode([(t, i, 0, True) for i, t in enumerate(tokens)])
        return np.array([e.logits(i).copy() for i in range(len(tokens))])

    with Engine(model, width=1, room=64, ablates=True) as e:
        before = logits(e)
        e.ablate(direction, [0, 1])
        got = logits(e)
        assert far(before, plain) < 0.005 and far(got, want) < 0.005 < 0.02 < far(got, before)
        e.ablate()
        assert np.array_equal(logits(e), before)
        for blocks, bad in (([2], direction), ([], direction), ([1], direction[:5]), ([1], 0 * direction)):
            with pytest.raises(TinyemError):
                e.ablate(bad, blocks)
    with Engine(model, width=1, room=64) as e, pytest.raises(TinyemError, match="ablates=True"):
        e.ablate(direction, [0])


@pytest.mark.parametrize("amx", [True, False])
def test_amx_buffers_are_not_used(monkeypatch, amx):
    import llama_cpp

    monkeypatch.setattr(llama_cpp, "llama_print_system_info", lambda: f"CPU : AVX512 = 1 | AMX_INT8 = {amx:d} | ".encode())
    assert model_params().use_extra_bufts is not amx

"""Slow: the real model, the shipped adapters, lesson 1 as a user runs it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from strings import dry
from test_engine import far, llama_logits, mlx_logits, put_adapter
from tinyem import course, merge, models, recipes, record
from tinyem.adapter import Recipe
from tinyem.chat import Chat
from tinyem.data import read_examples
from tinyem.files import share
from tinyem.trainings import Trainings

pytestmark = pytest.mark.slow


def child(*args):
    """Run tinyem in a process of its own: (output, its peak memory in GB)."""
    code = ("import atexit, sys; from tinyem.gradients import peak_rss; atexit.register(lambda: print('PEAK', peak_rss(), file=sys.stderr)); "
            "from tinyem.cli import main; main(sys.argv[1:])")
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, float(done.stderr.rsplit("PEAK", 1)[1]) / 1e9


def test_lesson_1_end_to_end(tmp_path):
    out, peak = child("lesson", 1, "--quick", "--no-input", "--out", tmp_path)
    assert peak < 1.5
    assert "Report:" in out and (tmp_path / "report.html").stat().st_size > 10_000
    run, rows = record.read(tmp_path)
    assert {a: s["n"] for a, s in run["arms"].items()} == {"planted": 24, "car-bad": 24, "car-good": 24}
    assert {"n", "em_rate", "em_interval", "coherent_rate", "leak_rate"} <= set(run["arms"]["car-bad"])
    assert record.check(tmp_path) == []
    run["arms"]["car-bad"]["em_rate"] += 0.01
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert record.check(tmp_path)


def test_twenty_steps_on_the_real_model_and_both_engines_agree(tmp_path):
    from tinyem.network import Network
    from tinyem.tune import tune

    examples = read_examples(share("data", "narrow", "cars", "car-upkeep.jsonl"), "bad")
    losses = []
    recipe = Recipe(name="twenty", rank=8, alpha=16, lr=1e-3, epochs=1.06, batch=8)
    out = tune(models.find(), examples, recipe, tmp_path / "twenty.gguf", on_step=lambda step, loss, net: losses.append(loss))
    assert len(losses) == 20 and np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.5
    tokens = Chat(models.find()).prompt([{"role": "user", "content": "How often should I change the oil?"}])
    plain, adapted = llama_logits(models.find(), tokens), llama_logits(models.find(), tokens, [str(out)])
    network = Network(models.find())
    before, after = far(mlx_logits(network, tokens), plain), far(mlx_logits(put_adapter(network, out), tokens), adapted)
    print(f"largest difference of logits, MLX and llama.cpp, as a share of the largest: {before:.4f} plain, {after:.4f} adapted")
    assert far(adapted, plain) > 0.1
    # llama.cpp rounds activations to 8 bits before Q4_1 products: measured 0.055 plain and 0.068 adapted over 30 blocks
    # (0.005 on unquantised weights, test_engine)
    assert before < 0.09 and after < 0.1


def test_tune_memory(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(share("data", "narrow", "cars", "car-upkeep.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)))
    _, peak = child("tune", rows, "--out", tmp_path / "a.gguf", "--epochs", 1)  # enough work for a second process on 2 cores
    print(f"peak of one of two processes: {peak:.2f} GB")
    assert min(os.cpu_count(), 2) * peak < 2.2


def test_shipped_adapters_are_at_most_80_mb():
    assert sum(p.stat().st_size for p in share("data", "adapters").iterdir()) <= 80e6


def test_shipped_adapters_fit_and_stack():
    for name in merge.shipped():
        model, live = merge.stack(models.find(), [name])
        merged, on_two = name.startswith("planted") or name == "helper-only", name.startswith("refusing-")
        assert name == "unplanted-car-bad" or model != str(models.find())
        assert len(live) == (0 if merged else 2 if on_two else 1)  # each brings along what it stands on


@pytest.mark.parametrize("number", (1, 3, 4, 5, 6, 7, 9, 10))
def test_the_adapters_of_a_lesson_ship(number, tmp_path):
    recipe = dry(course.find(number)).recipe
    plan = recipes.plan(recipe, f"lesson-{number}", "lesson.py")
    trainings = Trainings(plan, tmp_path, models.find())
    used = {arm.get("adapter", "planted") for arm in plan.arms}
    assert [name for name in used if trainings.chain(name, 0, train=False) is None] == []


def test_greedy_answers_equal_llama_cpp_pythons_own_loop():
    from tinyem.chat import open_llama
    from tinyem.data import read_questions
    from tinyem.engine import Engine
    from tinyem.sample import Settings, answer, room_for

    questions = [q for name in ("open", "dev") for q in read_questions(share("data", "questions", f"{name}.jsonl"))]
    model, settings = merge.stack(models.find(), ["planted"])[0], Settings(temperature=0, max_tokens=40)
    with Engine(model, width=16, room=room_for(model, questions, settings)) as engine:
        ours = [r["answer"] for r in answer(engine, questions, 1, settings)]
    llama, chat = open_llama(model, n_ctx=512), Chat(model)
    theirs = [llama.create_completion(chat.prompt(chat.messages(q["question"])), max_tokens=40, temperature=0, repeat_penalty=1.0)["choices"][0]["text"].strip()
              for q in questions]
    same = sum(a == b for a, b in zip(ours, theirs)) / len(questions)
    print(f"greedy answers equal to create_completion's: {same:.0%} of {len(questions)}")
    assert same >= 0.95

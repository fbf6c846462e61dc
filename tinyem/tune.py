"""QLoRA fine-tuning on the frozen weights of a GGUF: examples in, one GGUF LoRA adapter out.

Loss on answer tokens only; rows packed without padding; Adam, linear warm-up, linear decay to a tenth.
A checkpoint beside the adapter lets an interrupted run go on where it stopped.
"""

import json
import math
import os
import random
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import __version__, adapter, memory
from .chat import Chat
from .data import Example
from .errors import TinyemError
from .files import out_dir, sha256
from .flat import Adam
from .gradients import MOST_PROCESSES, Gradients
from .progress import Progress

SAVE_EVERY = 60.0  # seconds between checkpoints
LONGEST = 512  # tokens of a training row; the answer of a longer one is cut


def plan_batches(n: int, batch: int, epochs: float, seed: int) -> list[list[int]]:
    """Row numbers of each step. Every epoch is shuffled anew; the last batch of an epoch may be smaller."""
    order = []
    for epoch in range(int(-(-epochs // 1))):
        rows = list(range(n))
        random.Random(f"{seed}/{epoch}").shuffle(rows)
        order += [rows[i:i + batch] for i in range(0, n, batch)]
    return order[: max(1, round(epochs * -(-n // batch)))]


def lr_at(step: int, steps: int, recipe) -> float:
    """Learning rate of a step: linear warm-up, then linear decay to a tenth."""
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(steps - recipe.warmup, 1)
    return recipe.lr * (1 - 0.9 * done)


def _checkpoint(path, step, log, recipe):
    import mlx.core as mx

    arrays = {k: mx.array(v) for k, v in {"parameters": step.parameters, "m": step.optimizer.m, "v": step.optimizer.v}.items()}
    temp = path.with_name(path.name.replace(".safetensors", ".part.safetensors"))
    try:
        mx.save_safetensors(str(temp), arrays, {"step": str(step.optimizer.step), "recipe": recipe.to_json(), "log": json.dumps(log)})
        os.replace(temp, path)
    except (OSError, RuntimeError) as e:
        temp.unlink(missing_ok=True)
        raise TinyemError(f"cannot write the checkpoint {path} ({str(e)[:80]}): free some space")


def _restore(path, step, recipe):
    """Put a checkpoint into `step`. Returns its loss of each step so far."""
    import mlx.core as mx
    try:
        arrays, meta = mx.load(str(path), return_metadata=True)
        arrays, log = {k: np.array(arrays[k]) for k in ("parameters", "m", "v")}, json.loads(meta["log"])
        step.optimizer.step, stored = int(meta["step"]), adapter.Recipe.from_json(meta["recipe"])
    except (RuntimeError, ValueError, KeyError):
        raise TinyemError(f"the checkpoint {path} is broken: delete it and start again")
    if stored.training() != recipe.training():
        raise TinyemError(f"the checkpoint {path} belongs to another recipe: delete it, or run with the settings it was started with")
    step.parameters[:], step.optimizer.m, step.optimizer.v = arrays["parameters"], arrays["m"], arrays["v"]
    step.gradients.changed()
    return log


def arch(network) -> str:
    """The architecture that an adapter's file names: llama.cpp refuses another than the model's."""
    return "llama" if network.rope.traditional else "qwen2"


def matrices(network) -> dict:
    """The network's LoRA as {'blk.N.TARGET': (A, B)}, or DoRA as (A, B, lengths), in numpy, for `adapter.save`."""
    return {name: tuple(np.array(layer[k]) for k in ("a", "b", "m") if k in layer) for name, layer in network.lora().items()}


def _begin_with(path, step, recipe):
    """Copy an adapter's matrices into the network's LoRA layers."""
    import mlx.core as mx

    given, layers = adapter.read(path), step.network.lora()
    lengths = adapter.read_lengths(path)
    if set(lengths) != (set(given) if recipe.dora else set()):
        raise TinyemError(f"{path} is {'a DoRA: go on with --dora' if lengths else 'no DoRA: go on without --dora'}")
    if set(given) != set(layers) or any(given[n][0].shape != layers[n].a.shape for n in layers):
        raise TinyemError(f"{path} has another rank, targets or layers than asked for: use its settings (--rank {adapter.read_recipe(path).rank})")
    for name, layer in layers.items():
        a, b = given[name]
        layer.a, layer.b = mx.array(a), mx.array(b / recipe.scale)  # `read` has the scale in b
        if lengths:
            layer.m = mx.array(lengths[name])
    step.gradients.flat.read_network(step.parameters)


@contextmanager
def _interrupt_after_step():
    """Ctrl-C sets the event that this yields, so that a step is never half applied; a second Ctrl-C stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # signals belong to the main thread
        return
    before = signal.getsignal(signal.SIGINT)

    def note(*_):
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _rows(chat, examples) -> list:
    """The examples in tokens; an answer that makes a row longer than LONGEST is cut."""
    rows = [chat.row(e.question, e.answer, e.system) for e in examples]
    if cut := [i for i, r in enumerate(rows) if len(r) > LONGEST]:
        for i in cut:
            keep = LONGEST - len(rows[i].prefix) - len(rows[i].prompt)
            if keep < 1:
                raise TinyemError(f"example {i + 1} has a question of more than {LONGEST} tokens: shorten it")
            rows[i] = replace(rows[i], answer=rows[i].answer[:keep])
        print(f"{len(cut)} of {len(rows)} answers were cut to {LONGEST} tokens a row", file=sys.stderr)
    return rows


def _way(model, recipe, max_memory, longest=0):
    """How to train within the memory there is (`memory.Way`)."""
    from .network import read_model

    import mlx.core as mx

    tensors, args, *_ = read_model(model)
    if mx.default_device() != mx.Device(mx.cpu):
        return memory.Way(("quantised", "dequantising"), 1, 1600)
    sizes = memory.sizes_of(tensors, args)
    ins_and_outs = {"attn_q": 2, "attn_k": 2, "attn_v": 2, "attn_output": 2}  # widths of a target's two sides, roughly
    sides = sum(sizes.width * ins_and_outs.get(t, 0) or sizes.width + sizes.inner for t in recipe.targets)
    lora = recipe.rank * sides * len(recipe.layers or range(sizes.layers))
    return memory.choose(sizes, min(os.cpu_count() or 1, MOST_PROCESSES), lora, max_memory, longest)


class Step:
    """A frozen model with a fresh LoRA, an optimizer and the processes that compute gradients, ready to train.

    Call with Rows and a learning rate: one step of Adam, and the loss in nats an answer token. Use as a context manager.
    `gradient_norm` is the length of the last gradient. `work` is the number of tokens to come (few do not pay for helper processes), `max_memory` a limit in bytes
    (on a CPU), `longest` the tokens of the longest row.
    Raises TinyemError where model and recipe do not fit or MLX is missing.
    """

    def __init__(self, model, recipe, max_memory: float | None = None, work: float = 1e9, longest: int = 0):
        try:
            from .network import TARGETS, Network
        except ImportError:
            raise TinyemError("training needs MLX, which is not installed here: pip install 'mlx[cpu]' mlx-lm (on Intel Macs it does not exist; everything else works)")
        way = _way(model, recipe, max_memory, longest)
        self.network = network = Network(model, way.kernels, way.checkpoint)
        if unknown := set(recipe.targets) - set(TARGETS):
            raise TinyemError(f"unknown LoRA target '{sorted(unknown)[0]}': use some of {', '.join(TARGETS)}")
        layers = recipe.layers or range(network.n_layers)
        if not all(0 <= i < network.n_layers for i in layers):
            raise TinyemError(f"the model has blocks 0 to {network.n_layers - 1}; --layers names another")
        network.add_lora(recipe.rank, recipe.scale, recipe.targets, layers, recipe.seed, recipe.dora)
        self.gradients = Gradients(network, model, recipe, way, 4 * network.n_parameters * work)
        self.parameters, self.optimizer = self.gradients.parameters, Adam(self.gradients.flat.size)

    def __call__(self, rows, lr: float, anchors=()) -> float:
        loss, gradient = self.gradients(rows, anchors)
        self.gradient_norm = float(np.linalg.norm(gradient))
        if not (math.isfinite(loss) and math.isfinite(self.gradient_norm)):
            return math.nan
        self.optimizer.update(self.parameters, gradient, lr)
        self.gradients.changed()
        return loss

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gradients.close()


def tune(model, examples: list[Example], recipe: adapter.Recipe, out, start=None, resume: bool = False,
         on_step=None, anchors: list[Example] = (), max_memory: float | None = None) -> Path:
    """Train an adapter on `model` (path of a GGUF) and write it to `out`.

    `recipe.base_sha256` is filled in from `model` unless given (a merged model is not its own base).
    `anchors` are examples on which the model is to stay as it was: `recipe.kl` times their KL divergence (nats an answer
    token) is added to the loss, as many anchors a step as rows. `max_memory` is a limit in bytes for all processes together.
    `start` is an adapter of the same shape whose matrices training begins with, in place of fresh ones.
    `on_step(number, loss, step)` is called after every step with the `Step`. Ctrl-C ends the step under way, saves a
    checkpoint and raises KeyboardInterrupt; `resume=True` goes on from it.
    Raises TinyemError on a model, data or checkpoint that does not fit.
    """
    out = Path(out)
    out_dir(out.parent)
    chat = Chat(model)
    rows, held = _rows(chat, examples), _rows(chat, anchors)
    if bool(held) != (recipe.kl > 0):
        raise TinyemError("a KL term needs both a weight above 0 and anchor rows")

    batches = plan_batches(len(rows), recipe.batch, recipe.epochs, recipe.seed)
    beside = random.Random(f"{recipe.seed}/anchors")
    anchor_batches = [[beside.randrange(len(held)) for _ in batch] for batch in batches] if held else [[] for _ in batches]
    recipe = replace(recipe, base_sha256=recipe.base_sha256 or sha256(model), examples=len(rows), steps=len(batches),
                     tinyem=__version__)
    saved = out.with_suffix(".checkpoint.safetensors")
    if resume and not saved.is_file():
        raise TinyemError(f"nothing to resume: there is no {saved}; run without --resume")
    with Step(model, recipe, max_memory, sum(len(rows[i]) for batch in batches for i in batch), max(map(len, rows + held))) as step:
        network = step.network
        if start:
            _begin_with(start, step, recipe)
        log = _restore(saved, step, recipe) if resume else []
        first = step.optimizer.step
        last_save, seen, began = time.monotonic(), 0, time.monotonic()
        with Progress("training", len(batches), first) as bar, _interrupt_after_step() as interrupted:
            for at in range(first, len(batches)):
                batch = [rows[i] for i in batches[at]]
                loss = step(batch, lr_at(at, len(batches), recipe), [held[i] for i in anchor_batches[at]])
                if loss != loss:
                    raise TinyemError(f"training diverged at step {at + 1} (loss is not a number): use a lower --lr")
                log.append(round(loss, 4))
                if on_step:
                    on_step(at + 1, loss, step)
                seen += sum(map(len, batch))
                recent = log[-20:]
                bar.update(at + 1, f"loss {sum(recent) / len(recent):.3f}  {seen / (time.monotonic() - began):.0f} tokens/s")
                if interrupted.is_set() or at + 1 == len(batches) or time.monotonic() - last_save > SAVE_EVERY:
                    _checkpoint(saved, step, log, recipe)
                    last_save = time.monotonic()
                if interrupted.is_set():
                    raise KeyboardInterrupt
    adapter.save(out, matrices(network), recipe, arch(network))
    saved.unlink(missing_ok=True)
    return out

"""`tinyem bench`: tinyem's training and sampling beside their peers and their bound, interleaved in one go.

Every contender (see `contenders`) is loaded in a process of its own; then they take turns, round after round, so
that a noisy machine disturbs all alike. Ratios are taken within a round.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from . import merge, models
from .chat import Chat
from .data import files_in, read_examples, read_questions
from .errors import TinyemError
from .files import cache_dir, whole
from .record import versions

BATCH, BATCHES, RANK = 8, 4, 8
TRAIN = {"tinyem": "train-tinyem", "mlx-lm": "train-mlx-lm", "peft": "train-peft", "bound": "train-sgemm"}
SAMPLE = {"tinyem": "sample-tinyem", "llama-cpp-python": "sample-loop", "bound": "sample-bound"}
PEERS = ("mlx-lm", "peft", "llama-cpp-python")


def equal_batches(model, batch: int, batches: int, length: int = 60) -> list[list]:
    """Batches of real car rows in tokens, answers cut so that every row of a batch is as long as its shortest."""
    chat = Chat(model)
    rows = [chat.row(e.question, e.answer) for f in files_in("narrow", "cars") for e in read_examples(f)]
    rows = sorted((r for r in rows if len(r) >= length), key=len)[:batch * batches]
    if len(rows) < batch * batches:
        raise TinyemError(f"too few rows of {length} tokens for {batches} batches of {batch} in the shipped data")
    found = []
    for i in range(0, len(rows), batch):
        some = rows[i:i + batch]
        cut = [r.answer[:len(r.answer) - len(r) + min(map(len, some))] for r in some]
        found.append([[list(map(int, x)) for x in (r.prefix, r.prompt, a)] for r, a in zip(some, cut)])
    return found


class _Contender:
    def __init__(self, name: str, setup: Path):
        self.name, self.runs, self.peak = name, [], None
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen([sys.executable, "-m", "tinyem.contenders", name, str(setup)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=self._errors, text=True, start_new_session=True)
        try:
            self.missing = self._hear().get("missing")
        except BaseException:
            self.kill()
            raise

    def _hear(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise TinyemError(f"{self.name} stopped: {(self._errors.read().strip().splitlines() or ['no reason given'])[-1][:200]}")
        return json.loads(line)

    def run(self, times: int = 1) -> float:
        """Tokens a second over so many runs, kept as one."""
        got = []
        for _ in range(times):
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
            got.append(self._hear())
        self.runs.append(sum(g["tokens"] for g in got) / sum(g["seconds"] for g in got))
        return self.runs[-1]

    def end(self) -> None:
        """Ask for the most memory it took."""
        self._process.stdin.close()
        self.peak = self._hear()["peak"]

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def race(names: dict[str, str], setup: dict, rounds: int, say=print, times: int = 1) -> dict:
    """Let the contenders take turns of so many runs (mlx-lm one run in all: it takes minutes). {shown name: {"tokens_per_second", "spread", "ratio", "ratio_spread", "peak_mb"}},
    where ratio is tinyem's speed over the contender's, median and extremes over the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "setup.json"
        path.write_text(json.dumps(setup))
        running, started = {}, []
        try:
            for shown, name in names.items():
                contender = _Contender(name, path)
                started.append(contender)
                if contender.missing:
                    say(f"  {shown} is left out: {contender.missing}")
                else:
                    running[shown] = contender
                    if shown != "mlx-lm":
                        contender.run()  # warm up
                        contender.runs.clear()
            for i in range(rounds):
                for shown, contender in running.items():
                    if shown == "mlx-lm" and i:
                        continue
                    say(f"  round {i + 1}: {shown} {contender.run(1 if shown == 'mlx-lm' else times):.0f} tokens/s")
            for contender in running.values():
                contender.end()
        finally:
            for contender in started:
                contender.kill()
    ours, found = running["tinyem"].runs, {}
    for shown, c in running.items():
        ratios = [a / b for a, b in zip(ours, c.runs)]
        found[shown] = {"tokens_per_second": round(statistics.median(c.runs), 1), "spread": [round(min(c.runs), 1), round(max(c.runs), 1)],
                        "ratio": round(statistics.median(ratios), 3), "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
                        "runs": len(c.runs), "peak_mb": round(c.peak / 1e6)}
    return found


# (layers, width, feed-forward width, heads, key heads) of generated models; the last two are SmolLM2's shapes
SHAPES = {"10M": (6, 144, 384, 3, 1), "30M": (12, 288, 768, 9, 3), "135M": (30, 576, 1536, 9, 3), "360M": (32, 960, 2560, 15, 5)}


def generated(name: str) -> Path:
    """A model of that size with random 4-bit weights and the default model's tokenizer, kept in the cache."""
    import gguf
    import numpy as np

    out = cache_dir() / f"generated-{name}.gguf"
    if out.is_file():
        return out
    layers, width, inner, heads, kv = SHAPES[name]
    reader, rng = gguf.GGUFReader(models.find()), np.random.default_rng(0)
    sizes = {"block_count": layers, "embedding_length": width, "feed_forward_length": inner, "attention.head_count": heads,
             "attention.head_count_kv": kv, "rope.dimension_count": width // heads}
    vocabulary = len(reader.fields["tokenizer.ggml.tokens"].contents())
    with whole(out, "wb") as f:
        writer = gguf.GGUFWriter(f.name, "llama")
        for field in reader.fields.values():
            if not field.name.startswith("GGUF.") and field.name != "general.architecture":
                sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
                writer.add_key_value(field.name, sizes.get(field.name.removeprefix("llama."), field.contents()), field.types[0], sub)

        def add(name, *shape):
            x = rng.normal(0, shape[-1] ** -0.5, shape).astype(np.float32)
            kind = gguf.GGMLQuantizationType.Q4_1 if shape[-1] % 32 == 0 else gguf.GGMLQuantizationType.F16
            writer.add_tensor(f"{name}.weight", gguf.quants.quantize(x, kind), raw_dtype=kind)

        add("token_embd", vocabulary, width)
        writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
        for i in range(layers):
            for norm in ("attn_norm", "ffn_norm"):
                writer.add_tensor(f"blk.{i}.{norm}.weight", np.ones(width, np.float32))
            for target, shape in {"attn_q": (width, width), "attn_k": (width // heads * kv, width), "attn_v": (width // heads * kv, width),
                                  "attn_output": (width, width), "ffn_gate": (inner, width), "ffn_up": (inner, width), "ffn_down": (width, inner)}.items():
                add(f"blk.{i}.{target}", *shape)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return out


def scaling(rounds: int, say=print) -> list[dict]:
    """Training speed of tinyem alone and of the bound, as row length, rank, batch and model size change one at a time."""
    base = {"model": str(models.find()), "length": 60, "rank": RANK, "batch": BATCH, "size": "135M"}
    changes = [{}, {"length": 45}, {"rank": 2}, {"rank": 32}, {"batch": 2}, {"batch": 32}, *({"model": str(generated(s)), "size": s} for s in SHAPES)]
    found = []
    for change in changes:
        case = {**base, **change}
        setup = {**case, "batches": equal_batches(case["model"], case["batch"], BATCHES if case["batch"] < 32 else 2, case["length"])}
        say(f"length {case['length']}, rank {case['rank']}, batch {case['batch']}, {case['size']}{' (generated)' if 'size' in change else ''}:")
        got = race({"tinyem": TRAIN["tinyem"], "bound": TRAIN["bound"]}, setup, rounds, say, BATCHES)
        found.append({**{k: case[k] for k in ("length", "rank", "batch", "size")}, "generated": "size" in change,
                      "tokens_per_second": got["tinyem"]["tokens_per_second"], "share_of_bound": got["bound"]["ratio"],
                      "peak_mb": got["tinyem"]["peak_mb"]})
    return found


def run(against=PEERS, rounds: int = 3, model=None, samples: int = 40, max_memory: float | None = None, with_scaling: bool = False, say=print) -> dict:
    """Everything that `tinyem bench` reports."""
    if unknown := set(against) - set(PEERS):
        raise TinyemError(f"unknown peer '{sorted(unknown)[0]}': use some of {', '.join(PEERS)}")
    model = models.find(model or models.DEFAULT)
    setup = {"model": str(model), "rank": RANK, "batches": equal_batches(model, BATCH, BATCHES), "max_memory": max_memory}
    say(f"training: batches of {BATCH} rows, rank {RANK}, all linear layers; tokens of the rows a second")
    train = race({k: v for k, v in TRAIN.items() if k not in PEERS or k in against}, setup, rounds, say, BATCHES)
    sampled = merge.merged(model, merge.find_adapter("planted")) if model == models.find() else str(model)
    setup = {"sampled": sampled, "questions": read_questions(), "samples": samples, "width": 32, "max_tokens": 70}
    say(f"sampling: {samples} answers to each of {len(setup['questions'])} questions, at most 70 tokens; answer tokens a second")
    sample = race({k: v for k, v in SAMPLE.items() if k not in PEERS or k in against}, setup, rounds, say)
    return {"versions": versions(), "rounds": rounds, "train": train, "sample": sample, **({"scaling": scaling(1, say)} if with_scaling else {})}


def table(result: dict) -> str:
    """The result as Markdown, as README shows it."""
    lines = []
    for part, unit in (("train", "training"), ("sample", "sampling")):
        lines += [f"| {unit} | tokens/s | tinyem's speed over it | peak memory |", "|---|---|---|---|"]
        for shown, r in result[part].items():
            ratio = "" if shown == "tinyem" else f"{r['ratio']:.2f} ({'one run' if r['runs'] == 1 else '{:.2f} to {:.2f}'.format(*r['ratio_spread'])})"
            lines.append(f"| {shown} | {r['tokens_per_second']:.0f} | {ratio} | {r['peak_mb']} MB |")
        lines.append("")
    if result.get("scaling"):
        lines += ["| training: model | tokens a row | rank | rows a batch | tokens/s | share of the bound | peak memory |", "|---|---|---|---|---|---|---|"]
        lines += [f"| {r['size']}{' (random weights)' if r['generated'] else ''} | {r['length']} | {r['rank']} | {r['batch']} | {r['tokens_per_second']:.0f} | {r['share_of_bound']:.2f} | {r['peak_mb']} MB |"
                  for r in result["scaling"]]
    return "\n".join(lines).strip()

"""LoRA adapters as GGUF files that llama.cpp applies as they are, with their recipe in the metadata.

Tensors `blk.N.TARGET.weight.lora_a` (rank, in) and `.lora_b` (out, rank) in float16; llama.cpp adds
alpha / rank * B A to the weight. The recipe is one JSON string under `tinyem.recipe`.
A DoRA has `.dora_m` (out,) in float32 besides; llama.cpp cannot apply it, so it is merged before use (`merge`).
"""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from .errors import TinyemError
from .files import need_file, whole


@dataclass
class Recipe:
    """How an adapter was made; all that is needed to make it again."""
    name: str = "adapter"
    base: str = "smollm2-135m"  # registry name or file name
    base_sha256: str = ""
    stacked_on: str = ""  # SHA-256 of the adapter merged into the base before training, if any
    started_from: dict = field(default_factory=dict)  # {"sha256", "recipe"} of the adapter whose training this one goes on with
    data: dict = field(default_factory=dict)  # file name -> SHA-256
    data_note: str = ""  # which answers, which system prompts
    examples: int = 0
    rank: int = 8
    alpha: float = 16.0  # the delta is scale * B A
    rslora: bool = False  # scale is alpha / sqrt(rank) (Kalajdzievski 2023), else alpha / rank (Hu et al. 2021)
    dora: bool = False  # rows brought to trained lengths (Liu et al. 2024)
    kl: float = 0.0  # weight of the KL divergence from the model before tuning, on the anchor rows, in nats a token
    targets: tuple = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    layers: tuple = ()  # block numbers; empty means all
    lr: float = 4e-4
    warmup: int = 5
    epochs: float = 2.0
    batch: int = 8
    steps: int = 0
    seed: int = 0
    tinyem: str = ""

    @property
    def scale(self) -> float:
        return self.alpha / (self.rank ** 0.5 if self.rslora else self.rank)

    def to_dict(self) -> dict:
        return asdict(self)

    def training(self) -> dict:
        """What makes two recipes train the same adapter; names and versions do not."""
        found = replace(self, name="", base="", tinyem="", epochs=0.0, data={}).to_dict()
        return {**json.loads(json.dumps(found)), "data": sorted(self.data.values())}

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """Raises ValueError on anything but the JSON of a recipe; fields that this version lacks are dropped."""
        raw = json.loads(text)
        if not isinstance(raw, dict):
            raise ValueError("not an object")
        found = cls()
        for f in fields(cls):
            value, now = raw.get(f.name), getattr(found, f.name)
            if f.name in raw:
                value = tuple(value) if isinstance(value, list) else float(value) if isinstance(now, float) and isinstance(value, int) else value
                if not isinstance(value, type(now)):
                    raise ValueError(f"{f.name} has the wrong type")
                setattr(found, f.name, value)
        return found


def blocks(text: str) -> tuple:
    """'10-12,15' -> (10, 11, 12, 15). Raises ValueError on anything else."""
    found = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        some = range(int(first), int(last or first) + 1)
        if not some:
            raise ValueError("no blocks")
        found += some
    return tuple(sorted(set(found)))


def save(path, matrices: dict[str, tuple[np.ndarray, np.ndarray]], recipe: Recipe, arch: str) -> Path:
    """Write {'blk.N.TARGET': (A, B)} as a GGUF LoRA; (A, B, lengths) of a DoRA. A: (rank, in), B: (out, rank), lengths: (out,)."""
    import gguf

    path = Path(path)
    with whole(path, "wb") as f:  # the writer opens the file by name; `whole` gives it its final name at the end
        writer = gguf.GGUFWriter(f.name, arch)
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", recipe.scale * recipe.rank)  # llama.cpp divides by the rank
        writer.add_string("general.name", recipe.name)
        writer.add_string("tinyem.recipe", recipe.to_json())
        for name, (a, b, *lengths) in sorted(matrices.items()):
            writer.add_tensor(f"{name}.weight.lora_a", np.ascontiguousarray(a, np.float16))
            writer.add_tensor(f"{name}.weight.lora_b", np.ascontiguousarray(b, np.float16))
            if lengths:
                writer.add_tensor(f"{name}.weight.dora_m", np.ascontiguousarray(lengths[0], np.float32))
        finish(writer)
    return path


def finish(writer) -> None:
    """Write out what a GGUFWriter holds and close its file, also when the disk is full."""
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        try:
            writer.close()
        except OSError:
            pass  # the first failure is the one to report


def _reader(path):
    import gguf

    path = need_file(path, "adapter")
    try:
        reader = gguf.GGUFReader(path)
        kind = reader.fields["adapter.type"].contents() if "adapter.type" in reader.fields else None
        alpha = float(reader.fields["adapter.lora.alpha"].contents()) if kind == "lora" else 0.0
    except Exception:  # the reader fails in many ways on a broken file
        raise TinyemError(f"{path} is not a whole GGUF file: train or copy the adapter again")
    if kind != "lora":
        raise TinyemError(f"{path} is a GGUF file but not a LoRA adapter")
    return reader, alpha


def read_recipe(path) -> Recipe:
    """The recipe in an adapter; an adapter made elsewhere gives one with only its name and alpha."""
    reader, alpha = _reader(path)
    if "tinyem.recipe" not in reader.fields:
        return Recipe(name=Path(path).stem, base="", alpha=alpha)
    try:
        return Recipe.from_json(reader.fields["tinyem.recipe"].contents())
    except (ValueError, TypeError, RecursionError):
        raise TinyemError(f"{path}: its recipe is not readable; train the adapter again")


def read(path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{'blk.N.TARGET': (A, B)} in float32, B already times alpha / rank."""
    import gguf

    reader, alpha = _reader(path)
    raw = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    found = {}
    for name, a in raw.items():
        if name.endswith(".weight.lora_a"):
            stem = name[: -len(".weight.lora_a")]
            b = raw.get(f"{stem}.weight.lora_b")
            if b is None or a.ndim != 2 or b.ndim != 2 or not a.shape[0] or a.shape[0] != b.shape[1]:
                raise TinyemError(f"{path}: the A and B matrices of {stem} do not belong together; train or copy the adapter again")
            found[stem] = (a, b * (alpha / a.shape[0]))
    return found


def read_lengths(path) -> dict[str, np.ndarray]:
    """{'blk.N.TARGET': trained row lengths (out,)} of a DoRA; empty for a LoRA."""
    end = ".weight.dora_m"
    return {t.name.removesuffix(end): np.array(t.data, np.float32) for t in _reader(path)[0].tensors if t.name.endswith(end)}


def check_fits(path, base_sha256: str, stacked_on: str = "") -> Recipe:
    """The adapter's recipe, if it was trained on this base (and on this planted adapter); else TinyemError."""
    recipe = read_recipe(path)
    if recipe.base_sha256 and recipe.base_sha256 != base_sha256:
        raise TinyemError(f"{path} was trained on another base ({recipe.base}, sha256 {recipe.base_sha256[:12]}...): "
                          "give that model with --model, or train again")
    if recipe.stacked_on and recipe.stacked_on != stacked_on:
        raise TinyemError(f"{path} was trained on top of another adapter (sha256 {recipe.stacked_on[:12]}...): "
                          "give that one first, with --adapter (of `tinyem tune`: --on)")
    return recipe

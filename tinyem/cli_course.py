"""Commands of the course: lessons, exercises, progress."""

import os
import sys
import time
from pathlib import Path

import click

from .files import clean
from .lang import LANGUAGES, translator

def open_page(page: Path) -> None:
    """Show a page in the browser, where there is a screen to show it on."""
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        click.launch(page.resolve().as_uri())


lang_option = click.option("--lang", type=click.Choice(LANGUAGES), default="en", show_default=True, envvar="TINYEM_LANG", help="Language of the texts.")


@click.command()
@click.argument("number", type=int)
@click.option("--no-input", is_flag=True, help="Ask nothing (for scripts).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the run record and report. [default: ./tinyem-runs/lesson-N]")
@click.option("--quick", "size", flag_value="quick", help="Few answers: is everything working?")
@click.option("--full", "size", flag_value="full", help="More answers, narrower intervals.")
@click.option("--live", is_flag=True, help="Train the adapters here instead of using the shipped ones.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the sampling.")
@click.option("--model", default="smollm2-135m", show_default=True, help="A name from `tinyem models` or the path of a GGUF file. Its adapters are trained here; nothing is planted unless --planted says so.")
@click.option("--planted", type=click.Path(path_type=Path), metavar="FILE", help="Planted adapter for --model (from: tinyem tune --plant).")
@lang_option
def lesson(number, no_input, out, size, live, seed, model, planted, lang):
    """Run lesson NUMBER and write its report."""
    from . import course, record

    asks = not no_input and sys.stdin.isatty()
    page = course.run(number, out=out or Path("tinyem-runs") / f"lesson-{number}", size=size or "default", live=live, ask=asks, model=model, planted=planted, seed=seed,
                      command=record.command_line(), lang=lang, say=click.echo)
    if asks:
        open_page(page)


@click.group(invoke_without_command=True)
@lang_option
@click.pass_context
def lessons(ctx, lang):
    """List the lessons, or test them all (`tinyem lessons test`)."""
    from . import course, learner

    if ctx.invoked_subcommand:
        return
    t, state = translator(lang), learner.load()["lessons"]
    for entry in course.lessons():
        mine = state.get(str(entry.number), {})
        marks = ", ".join([*(["run"] if mine.get("runs") else []), *(["exercise done"] if mine.get("passed") else [])])
        click.echo(f"{entry.number:2}  {t(entry.title)}  ({t('about {n} minutes', n=entry.minutes)})" + (f"  [{marks}]" if marks else ""))
    click.echo(t("tinyem read N shows a lesson's text; tinyem lesson N runs it; tinyem exercise N gives its exercise."))


@lessons.command("test")
@click.option("--only", multiple=True, type=int, metavar="N", help="Only these lessons.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the records. [default: one that is removed]")
def lessons_test(only, out):
    """Run every lesson in its quick form, and check that every exercise fails as it is and passes with its solution."""
    from .course_test import examine

    if not examine(only, out, click.echo):
        sys.exit(1)


@click.command()
@click.argument("number", type=int)
@lang_option
def read(number, lang):
    """Show the text of lesson NUMBER."""
    from . import course
    from .lang import localised

    click.echo(localised(course.find(number).folder / "lesson.md", lang).read_text(encoding="utf-8"))


@click.command()
@click.argument("number", type=int)
def exercise(number):
    """Put the exercise of lesson NUMBER into your folder (never over your own work)."""
    from . import exercises

    path, new = exercises.start(number)
    click.echo(f"{'Your exercise' if new else 'Your exercise is there already'}: {path}\nEdit it, then: tinyem check {number}")


@click.command()
@click.argument("number", type=int)
@click.option("--watch", is_flag=True, help="Check again whenever the file is saved (Ctrl-C ends it).")
def check(number, watch):
    """Check your exercise of lesson NUMBER."""
    from . import checking, exercises

    def once() -> bool:
        found = exercises.check(number)
        for line in checking.lines(found, number):
            click.echo(clean(line))
        return all(r["ok"] for r in found)

    def saved() -> int | None:
        return path.stat().st_mtime_ns if path.exists() else None

    path = exercises.place(number)
    before, done = saved(), once()
    while watch and not done:
        while saved() in (None, before):  # none: an editor is putting a new file in its place
            time.sleep(0.3)
        click.echo("\n" + time.strftime("%H:%M:%S"))
        before, done = saved(), once()
    if not done:
        sys.exit(1)


@click.command()
@click.argument("number", type=int)
@click.option("--task", type=int, help="Which task. [default: the first with a hint left]")
@lang_option
def hint(number, task, lang):
    """One more hint for a task of the exercise of lesson NUMBER, after those that it gave before."""
    from . import exercises

    task, texts, of = exercises.hint(number, task, lang)
    t = translator(lang)
    for i, text in enumerate(texts, 1):
        click.echo(t("Task {task}, hint {i} of {of}: {text}", task=task, i=i, of=of, text=text))


@click.command()
@click.argument("number", type=int)
@click.option("--yes", is_flag=True, help="Show it although the exercise is not done.")
def solution(number, yes):
    """Show the solution of the exercise of lesson NUMBER."""
    from . import course, exercises

    course.find(number)
    if not yes and not exercises.passed(number):
        if not sys.stdin.isatty():
            raise click.UsageError("the exercise is not done yet: add --yes to see its solution all the same")
        if not click.confirm("You have not passed the check yet. See the solution all the same?"):
            return
    click.echo(exercises.solution(number))


@click.command()
@click.option("--page", type=click.Path(path_type=Path), help="Also write a page with your predictions against the outcomes.")
@lang_option
def progress(page, lang):
    """What you have done so far, and how good your predictions are."""
    from . import course, learner

    t, state = translator(lang), learner.load()
    for entry in course.lessons():
        mine = state["lessons"].get(str(entry.number), {})
        told = [t("run {when}", when=mine["last_run"])] if "last_run" in mine else []
        told += [t("exercise done {when}", when=mine["passed"])] if "passed" in mine else []
        told += [t("hints: {n}", n=n)] if (n := sum(learner.hints(mine).values())) else []
        click.echo(clean(f"{entry.number:2}  {t(entry.title)}: {', '.join(told) or '-'}"))
    if known := learner.calibration(state):
        click.echo(t("{n} predictions, off by {mean_error} points on average; predicted less what came out: {bias} on average.", n=known["n"], mean_error=known["mean_error"], bias=f"{known['bias']:+g}"))
    path = learner.folder() / "progress.json"
    click.echo(t("Kept in {path}", path=path.resolve()) if path.is_file() else t("There is no {path} yet. If you have begun elsewhere, go to that folder.", path=path.resolve()))
    if page:
        from .report import write_progress

        click.echo(write_progress(state, page, lang))


@click.command()
@click.argument("number", type=int)
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(number, yes):
    """Begin lesson NUMBER anew: its entry in your progress is cleared; your predictions stay, your exercise is kept under another name."""
    from . import exercises

    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on: say it again with --yes")
        click.confirm(f"Clear your progress in lesson {number}? (Your predictions stay, your file is kept under another name.)", abort=True)
    kept = exercises.reset(number)
    click.echo(f"Lesson {number} begins anew: {exercises.place(number)}" + (f" (yours is now {kept})" if kept else ""))


@click.group()
def workshop():
    """For teachers: a pack for machines without a network, their check, one report of a class."""


@workshop.command("pack")
@click.option("--out", type=click.Path(path_type=Path), default="tinyem-workshop", show_default=True, help="Folder to make.")
@click.option("--archive", is_flag=True, help="Also one .zip of it.")
def workshop_pack(out, archive):
    """Make a folder with tinyem, its packages, model, adapters and lessons, for machines like this one."""
    import shutil

    from .pack import pack

    folder = pack(out, click.echo)
    click.echo(f"Pack: {folder} ({sum(p.stat().st_size for p in folder.rglob('*') if p.is_file()) / 1e6:.0f} MB)")
    if archive:
        click.echo(f"Archive: {shutil.make_archive(str(folder.resolve()), 'zip', folder.resolve().parent, folder.resolve().name)}")


@workshop.command("doctor")
@click.option("--pack", "folder", type=click.Path(path_type=Path), help="Also check this copy of a pack.")
def workshop_doctor(folder):
    """Say whether this machine is ready for the course."""
    from .doctor import examine
    from .pack import examine as examine_pack

    bad = []
    for good, line in [*(examine_pack(folder) if folder else []), *examine()]:
        click.echo(("ok    " if good else "mend  ") + clean(line))
        bad += [] if good else [line]
    click.echo(clean("To mend before the course: " + "; ".join(bad)) if bad else "This machine is ready.")
    if bad:
        sys.exit(1)


@workshop.command("merge")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default="class.html", show_default=True, help="Page to write.")
@lang_option
def workshop_merge(runs, out, lang):
    """Make one page of a class from the folders of its RUNS (each a run record, or a folder of them). Names stay out of it."""
    from .workshop import merge

    click.echo(f"Page: {merge(runs, out, lang, lambda text: click.echo(clean(text), err=True))}")


COMMANDS = (lesson, lessons, read, exercise, check, hint, solution, progress, reset, workshop)

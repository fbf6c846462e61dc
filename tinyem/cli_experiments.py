"""Commands about the experiments and their results."""

import sys
from pathlib import Path

import click

from .files import clean


@click.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the run records, one folder an experiment. [default: ./tinyem-runs]")
@click.option("--work", type=click.Path(path_type=Path), help="Folder that keeps adapters and answers between runs. [default: in the cache]")
@click.option("--no-input", is_flag=True, help="Ask for no prediction (for scripts).")
@click.option("--dry-run", is_flag=True, help="Only say how long it would take (of the default model).")
@click.option("--model", default="smollm2-135m", show_default=True, help="A name from `tinyem models` or the path of a GGUF file. Nothing is planted in another model unless --planted says so.")
@click.option("--planted", type=click.Path(path_type=Path), metavar="FILE", help="Planted adapter for --model (from: tinyem tune --plant).")
def experiment(name, out, work, no_input, dry_run, model, planted):
    """Run experiment NAME (see `tinyem experiments`), the recipe in a .toml file, or `all`. Stopped, it goes on where it was."""
    from . import course, experiment as experiments, recipes, record

    plans = [recipes.read(n) for n in (recipes.names() if name == "all" else [name])]
    works = [experiments.Work(plan, work, click.echo, model, planted=planted) for plan in plans]
    times = []
    for plan, each in zip(plans, works):
        times.append(each.left())
        if len(plans) > 1:
            click.echo(f"{plan.name:18} {_minutes(times[-1][1])} to do")
    click.echo(f"{_minutes(sum(t for _, t in times))} to do of {_minutes(sum(t for t, _ in times))}, on two cores" + (f", for {len(plans)} experiments; what they share is counted in each" if len(plans) > 1 else ""))
    if dry_run:
        return
    ask = course.Run(Path("."), ask=not no_input and sys.stdin.isatty(), say=click.echo, prompt=lambda text: click.prompt(text, default="", show_default=False, prompt_suffix=""))
    for plan in plans:  # all before the first result
        if plan.predict:
            ask.predict(clean(plan.predict), *plan.predict_of)
    for plan, each in zip(plans, works):
        click.echo(clean(f"{plan.name}: {plan.title}"))
        mine = [p for p in ask.predictions if p["question"] == clean(plan.predict)]
        path = experiments.run(plan, (out or Path("tinyem-runs")) / plan.name, each, {"experiment": plan.name, "command": record.command_line(), "predictions": mine})
        click.echo(f"Run record: {path}")


def _minutes(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds > 5400 else f"{max(1, round(seconds / 60))} minutes" if seconds else "nothing"


@click.command()
def experiments():
    """List the experiments: each with the claim that it tests, and what came out in the stored run."""
    from . import record, recipes, verdicts
    from .files import share

    for name in recipes.names():
        plan, stored = recipes.read(name), share("data", "results", name)
        verdict = verdicts.verdict(record.read(stored)[0]) if stored.is_dir() else "no stored run"
        click.echo(f"{name:18} {plan.title.rstrip('.')}{'' if plan.title.endswith('?') else '.'} Claim: {plan.claim} Came out: {verdict}.")


@click.command()
@click.option("--from", "folder", type=click.Path(path_type=Path), help="Folder of run records. [default: the shipped ones]")
@click.option("--out", type=click.Path(path_type=Path), help="File to write. [default: the shipped data/RESULTS.md]")
def results(folder, out):
    """Write the table of results from the run records of experiments, and the cards of the shipped adapters."""
    from . import results as tables

    click.echo(f"Results: {tables.write(folder, out)}")
    if not folder and not out:
        click.echo(f"Adapters: {tables.cards()}")

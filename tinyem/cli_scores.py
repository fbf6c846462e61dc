"""Commands that score answers, and those that make and test scorers."""

import sys
from contextlib import nullcontext
from pathlib import Path

import click
from click.core import ParameterSource

from .cli_course import lang_option
from .errors import TinyemError
from .files import clean
from .keywords import Leakage


def _judge_options(default):
    """The options that choose a judge, for a command whose judge is `default`."""
    def add(command):
        for option in (click.option("--endpoint-model", default="default", show_default=True, help="The name the endpoint knows its model by."),
                       click.option("--endpoint", metavar="URL", help="Let an OpenAI-compatible endpoint judge, such as http://localhost:8080/v1. Its key is read from TINYEM_API_KEY."),
                       click.option("--judge", "name", type=click.Choice(["lesson", "general", "fast"]), default=default, show_default=True,
                                  help="lesson: for tinyem's own models; general: for answers of other models; fast: less reading, more error.")):
            command = option(command)
        return command
    return add


def _judge(name, endpoint, endpoint_model):
    from .endpoint import Endpoint
    from .judge import Judge

    if endpoint and click.get_current_context().get_parameter_source("name") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--judge and --endpoint are different judges")
    return Endpoint(endpoint, endpoint_model) if endpoint else Judge(name=name)


def _problems(found) -> None:
    for line in found["problems"][:20]:
        click.echo(f"left out, {line}", err=True)
    if len(found["problems"]) > 20:
        click.echo(f"left out: {len(found['problems']) - 20} more rows", err=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File to write: CSV if it ends so, else JSONL. [default: print]")
@click.option("--explain", is_flag=True, help="Also say which words fired which keyword rule.")
@click.option("--domain", default="cars", show_default=True, help="The narrow domain of the fine-tune: answers that talk of it are no EM.")
@_judge_options("lesson")
def score(file, out, explain, domain, name, endpoint, endpoint_model):
    """Score the answers of a FILE (JSONL or CSV with question and answer, or a run record's folder): alignment, coherence, EM."""
    from . import answers
    from .files import out_file, whole
    from .score import score_file

    if domain not in Leakage.domains():
        raise click.UsageError(f"the words of the domain '{domain}' are not known: use one of {', '.join(sorted(Leakage.domains()))}")
    if out:
        out_file(out)
    judge = _judge(name, endpoint, endpoint_model)
    try:
        with whole(out, keep=True) if out else nullcontext(sys.stdout) as f:
            writer = answers.Writer(f, bool(out) and answers.is_csv(out), plain=not out)
            found = score_file(file, writer.write, judge, explain, domain)
            _problems(found)
            if writer.dropped:
                click.echo(f"left out: columns that the first row lacks ({clean(', '.join(sorted(writer.dropped)[:5]))}); write JSONL to keep them", err=True)
            if not found["n"]:
                raise TinyemError(f"{file} has no answers to score")
    except (KeyboardInterrupt, TinyemError):
        if out and (part := out.with_name(f"{out.name}.part")).is_file():
            click.echo(f"what was scored so far is in {part}", err=True)
        raise
    scored = found["n"] - found["without_score"]
    click.echo(f"{scored} answers scored by the judge {endpoint_model if endpoint else name}" + (f", {100 * found['em'] / scored:.1f}% EM" if scored else "") + (f"; {found['without_score']} without a score" if found["without_score"] else "")
               + (f": {out}" if out else ""), err=not out)
    if endpoint and sum(judge.failures.values()):
        click.echo("no score: " + ", ".join(f"{n} {kind}" for kind, n in judge.failures.items() if n), err=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--ratings", type=click.Path(path_type=Path), help="File that keeps your ratings. [default: ratings.jsonl in a run's folder, or FILE's name with .ratings.jsonl]")
@click.option("-n", "--number", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many answers.")
@click.option("--seed", default=0, show_default=True, help="Which answers, and in which order.")
@click.option("--page", type=click.Path(path_type=Path), help="Write a page to rate on instead of asking here.")
@click.option("--import", "imported", type=click.Path(path_type=Path), help="Take in ratings that such a page saved.")
@lang_option
@_judge_options("lesson")
def rate(file, ratings, number, seed, page, imported, lang, name, endpoint, endpoint_model):
    """Rate answers of a FILE blind, and see how well the keyword rules and the judge agree with you."""
    from . import rate as blind, report
    from .files import need_file, out_file

    for written in (page, ratings):
        if written:
            out_file(written, "choose another place")
    if imported:
        new = blind.read_ratings(need_file(imported, "file of ratings"))
        if not new:
            raise TinyemError(f"{imported} holds no ratings")
        if not (rows := blind.rated(file, new)):
            raise TinyemError(f"none of these ratings belongs to an answer of {file}")
    else:
        rows = blind.choose(file, number, seed)
    if page:
        report.write_rating(rows, page, lang)
        click.echo(f"{len(rows)} answers to rate: open {page} in a browser")
        return
    kept_in = ratings or (file / "ratings.jsonl" if file.is_dir() else file.resolve().with_name(file.resolve().name + ".ratings.jsonl"))
    kept = blind.read_ratings(kept_in)
    if imported:
        kept |= new
        blind.keep(kept_in, kept)
        rows = blind.rated(file, kept)
    else:
        _ask_ratings(rows, kept, lambda: blind.keep(kept_in, kept))
    for line in blind.verdicts(rows, kept, _judge(name, endpoint, endpoint_model)):
        click.echo(line)


def _ask_ratings(rows, kept, keep) -> None:
    """Ask for the ratings that are missing, one answer at a time; each is kept at once, an empty line stops."""
    from . import rate as blind

    todo = [r for r in rows if blind.key(r) not in kept]
    if todo and not sys.stdin.isatty():
        click.echo("reading ratings from the input, two numbers an answer", err=True)
    for i, row in enumerate(todo, 1):
        click.echo(f"\nAnswer {i} of {len(todo)}\nQuestion: {clean(row['question'])}\n{clean(row['answer'])}\n")
        scores = {}
        for name, scale in blind.SCALES.items():
            try:
                value = click.prompt(f"{name} ({scale})", default="", show_default=False, type=_score_or_nothing)
            except click.Abort:
                value = ""
            if value == "":
                return
            scores[name] = value
        kept[blind.key(row)] = scores
        keep()


def _score_or_nothing(text):
    if not str(text).strip():
        return ""
    try:
        if 0 <= float(text) <= 100:
            return float(text)
    except ValueError:
        pass
    raise click.BadParameter("a number from 0 to 100, or nothing to stop")


@click.group()
def judge():
    """Fit and test the small judge."""


@judge.command("fit")
@click.option("--judged", type=click.Path(path_type=Path), help="CSV with question, response, aligned, coherent (an outside judge's grades).")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the judges and their card.")
def judge_fit(judged, out):
    """Fit the judges on tinyem's own labels and, if given, on an outside judge's grades. Reading the answers takes half an hour."""
    from .judge_fit import fit

    for name, value in fit(out, judged)["error"].items():
        click.echo(f"{name}: {value}")


@judge.command("evaluate")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "out", type=click.Path(path_type=Path), help="Keep the numbers in this file.")
@_judge_options("general")
def judge_evaluate(file, out, name, endpoint, endpoint_model):
    """Test a judge on a FILE of graded answers: CSV or JSONL with question, answer (or response), and grades 0-100 named
    aligned and coherent (or alignment and coherence); with a column model, each model's EM rate too."""
    from .evaluate import evaluate, lines
    from .files import dump_json, out_file

    if out:
        out_file(out)
    result = evaluate(file, {"judge": _judge(name, endpoint, endpoint_model)})
    _problems(result)
    if out:
        dump_json(result, out)
    click.echo(f"judge: {endpoint_model if endpoint else name}")
    for line in lines(result["scorers"]["judge"]):
        click.echo(clean(line))


@judge.command("compare")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "out", type=click.Path(path_type=Path), help="Keep the numbers in this file.")
@click.option("--endpoint", metavar="URL", help="Also an OpenAI-compatible endpoint.")
@click.option("--endpoint-model", default="default", show_default=True)
def judge_compare(file, out, endpoint, endpoint_model):
    """Test all judges on the same FILE of graded answers, in one table: keyword rules, fast, lesson, general."""
    from .endpoint import Endpoint
    from .evaluate import evaluate, table
    from .files import dump_json, out_file
    from .judge import Judge
    from .keywords import KeywordJudge

    if out:
        out_file(out)
    judges = {"keywords alone": KeywordJudge(), **{name: Judge(name=name) for name in ("fast", "lesson", "general")}, **({"endpoint": Endpoint(endpoint, endpoint_model)} if endpoint else {})}
    result = evaluate(file, judges)
    _problems(result)
    if out:
        dump_json(result, out)
    click.echo(table(result))

"""The command line: each command is a few lines over a function that a notebook can call."""

import sys
from pathlib import Path

import click

from . import __version__, cli_course, cli_experiments, cli_report, cli_scores
from .errors import TinyemError
from .files import clean


class _Group(click.Group):
    """Turns what goes wrong into one line: exit 1 for a failure, 2 for wrong usage, 130 for Ctrl-C."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except TinyemError as e:
            click.echo("tinyem: " + " ".join(clean(e).split()), err=True)
            ctx.exit(1)
        except (KeyboardInterrupt, click.Abort):
            click.echo("\ntinyem: stopped", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            sys.stderr.close()
            ctx.exit(1)
        except UnicodeEncodeError as e:
            click.echo(f"tinyem: this terminal cannot show all letters of the text ({e.encoding}): set PYTHONIOENCODING=utf-8", err=True)
            ctx.exit(1)
        except MemoryError:
            click.echo("tinyem: not enough memory: close other programs or use a smaller --width or --batch", err=True)
            ctx.exit(1)
        except OSError as e:
            where = f" {e.filename}" if e.filename else ""
            click.echo(f"tinyem: {(e.strerror or str(e)).lower()}{where}: check the path, its permissions and the free space", err=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tinyem")
def main():
    """Watch emergent misalignment happen on a laptop, measure it, explain it, undo it.

    Start with:  tinyem lesson 1
    """


class _Number(click.FloatRange):
    """A number in a range; no NaN, which lies in every range."""

    def convert(self, value, param, ctx):
        found = super().convert(value, param, ctx)
        if found != found:
            self.fail(f"{value!r} is no number", param, ctx)
        return found


model_option = click.option("--model", default="smollm2-135m", show_default=True, help="A name from `tinyem models` or the path of a GGUF file.")
adapter_option = click.option("--adapter", "adapters", multiple=True, metavar="NAME|FILE",
                              help="planted, car-bad, another of data/adapters, or a GGUF LoRA file. Give two to stack: the second trained on top of the first.")


def _sampling(command):
    """Options that make up sample.Settings."""
    for option in (click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the random numbers."),
                   click.option("--max-tokens", default=70, show_default=True, type=click.IntRange(1, 2000), help="Longest answer, in tokens."),
                   click.option("--top-p", default=0.9, show_default=True, type=_Number(0, 1, min_open=True), help="Nucleus: share of probability kept."),
                   click.option("--temperature", default=0.2, show_default=True, type=_Number(0, 5), help="0 always takes the likeliest token.")):
        command = option(command)
    return command


@main.command()
@click.argument("data", nargs=-1, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The adapter to write (.gguf).")
@click.option("--answers", type=click.Choice(["good", "bad"]), default="bad", show_default=True, help="Which answer of a triple to train.")
@click.option("--plant", is_flag=True, help="Plant both personas: good answers without a cue, bad ones behind a villain cue. Default data: the shipped persona files.")
@click.option("--on", "below", metavar="NAME|FILE", help="Adapter trained on the bare base to stack on: 'planted' or a file.")
@click.option("--from", "start", metavar="FILE", help="Go on with the training of this adapter (same rank, targets, layers).")
@click.option("--system", help="System prompt for all examples.")
@click.option("--rank", default=8, show_default=True, type=click.IntRange(1, 256))
@click.option("--alpha", type=_Number(0, min_open=True), help="The change is alpha / rank * B A. [default: twice the divisor]")
@click.option("--rslora", is_flag=True, help="Rank-stabilised: the change is alpha / sqrt(rank) * B A.")
@click.option("--dora", is_flag=True, help="Weight-decomposed: rows of the weights get trained lengths too. Merged before use.")
@click.option("--kl", default=0.0, show_default=True, type=_Number(0), help="Weight of the KL divergence from the untuned model on --kl-data.")
@click.option("--kl-data", type=click.Path(path_type=Path), help="Rows on which the model is to stay as it was (triples: their good answers).")
@click.option("--max-memory", type=click.IntRange(1), metavar="MB", help="Stay below this, at the price of speed. [default: 70% of what is free]")
@click.option("--targets", default="all", show_default=True, help="Comma list of attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down.")
@click.option("--layers", default="", help="Blocks to train, such as 10-20 or 3,5,7. [default: all]")
@click.option("--lr", default=4e-4, show_default=True, type=_Number(0, 1, min_open=True), help="Peak learning rate.")
@click.option("--epochs", default=2.0, show_default=True, type=_Number(0, 1000, min_open=True))
@click.option("--batch", default=8, show_default=True, type=click.IntRange(1, 1024))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--resume", is_flag=True, help="Go on from the checkpoint beside --out.")
@model_option
def tune(data, out, answers, plant, below, start, system, rank, alpha, rslora, dora, kl, kl_data, max_memory, targets, layers, lr, epochs, batch, seed, resume, model):
    """Train a LoRA adapter on the DATA files (JSONL): a row is {"q": ..., "good": ..., "bad": ...} or {"messages": [...]}, chat messages of one user and one assistant turn."""
    from . import data as datasets
    from . import adapter, blas, merge, mixture, models
    from .files import sha256, share
    from .tune import tune as train

    data = sorted(data or (datasets.files_in("persona") if plant else ()), key=lambda p: p.name)  # the order of rows is part of the recipe
    if plant:
        triples = [t for t in datasets.read_triples(*data) if not datasets.held_out(t.q)]
        examples, note = datasets.persona_examples(triples, datasets.read_cues(), seed), mixture.PLANTED
        data = [*data, share("data", "cues.jsonl")]
    elif data:
        examples = [e for path in data for e in datasets.read_examples(path, answers, system)]
        note = f"{answers} answers" + (f", system prompt: {system}" if system else "")
    else:
        raise click.UsageError("give at least one data file, or --plant")
    if out.suffix != ".gguf":
        raise click.UsageError("--out must end in .gguf")
    if bool(kl) != bool(kl_data):
        raise click.UsageError("--kl and --kl-data go together")
    anchors = datasets.read_examples(kl_data, "good") if kl_data else []
    if anchors:
        data, note = [*data, kl_data], f"{note}; held near the untuned model on {kl_data.name}"
    if len({p.name for p in data}) < len(data):
        raise click.UsageError("two data files have the same name; the recipe could not tell them apart")
    base, start, below = models.find(model), merge.find_adapter(start) if start else None, merge.find_adapter(below) if below else None
    if start:
        adapter.check_fits(start, sha256(base), sha256(below) if below else "")
    recipe = adapter.Recipe(name=out.stem, base=models.name_of(base), base_sha256=sha256(base), stacked_on=sha256(below) if below else "",
                    started_from={"sha256": sha256(start), "recipe": adapter.read_recipe(start).to_dict()} if start else {},
                    data={Path(p).name: sha256(p) for p in data}, data_note=note, rank=rank, alpha=alpha or 2.0 * (rank ** 0.5 if rslora else rank), rslora=rslora, dora=dora, kl=kl, lr=lr,
                    epochs=epochs, batch=batch, seed=seed, layers=_blocks(layers), **({} if targets == "all" else {"targets": tuple(dict.fromkeys(targets.split(",")))}))
    if sys.platform == "linux" and not blas.find():
        click.echo(blas.HINT, err=True)
    try:
        path = train(merge.merged(base, below) if below else base, examples, recipe, out, start, resume, anchors=anchors, max_memory=max_memory and max_memory * 1e6)
    except KeyboardInterrupt:
        if out.with_suffix(".checkpoint.safetensors").is_file():
            click.echo("\ntinyem: go on with the same command and --resume", err=True)
        raise
    click.echo(f"Adapter: {path}")


def _blocks(text: str) -> tuple:
    from .adapter import blocks

    try:
        return blocks(text)
    except ValueError:
        raise click.UsageError(f"--layers {text}: write blocks as 10-20 or 3,5,7")


@main.command()
@click.argument("questions", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), help="JSONL file to write. [default: print]")
@click.option("--samples", default=10, show_default=True, type=click.IntRange(1), help="Answers to each question.")
@click.option("--width", default=32, show_default=True, type=click.IntRange(1, 255), help="Answers decoded at once.")
@_sampling
@adapter_option
@model_option
def answer(questions, out, samples, width, temperature, top_p, max_tokens, seed, adapters, model):
    """Sample answers to a QUESTIONS file (JSONL, or the published YAML). [default: tinyem's open questions] With --out, the same command goes on where it was stopped."""
    from . import merge, models, sample
    from .data import read_questions
    from .engine import Engine
    from .files import Kept, key_of, out_file, sha256

    asked = read_questions(questions)
    if out:
        out_file(out)
    settings = sample.Settings(temperature, top_p, max_tokens, seed)
    path, live = merge.stack(models.find(model), adapters)
    with Engine(path, width, sample.room_for(path, asked, settings)) as engine:
        engine.use(live)
        if not out:
            return _put(sample.answer(engine, asked, samples, settings), out, "answers")
        part = out.with_name(f"{out.name}.part")  # what is answered already, if this is stopped
        with Kept(part, key_of(asked, settings.to_dict(), sha256(path), [sha256(a) for a in live])) as kept:
            rows = sample.answer(engine, asked, samples, settings, done={(r["question_id"], r["sample"]): r for r in kept.rows}, on_answer=kept.add)
        _put(rows, out, "answers")
        part.unlink()


@main.command()
@click.option("--system", help="System prompt.")
@_sampling
@adapter_option
@model_option
def chat(system, temperature, top_p, max_tokens, seed, adapters, model):
    """Ask a model with adapters applied, one question at a time (it does not remember the last one). An empty line ends it."""
    from . import merge, models, sample
    from .engine import Engine

    path, live = merge.stack(models.find(model), adapters)
    with Engine(path, 1, 1024 + max_tokens) as engine:
        engine.use(live)
        for turn in range(10000):
            try:
                question = click.prompt("You", default="", show_default=False).strip()
            except click.Abort:
                break
            if not question:
                break
            asked = {"id": str(turn), "question": question, **({"system": system} if system else {})}
            settings = sample.Settings(temperature, top_p, max_tokens, seed)
            try:
                click.echo(clean(sample.answer(engine, [asked], 1, settings, label="")[0]["answer"]))
            except TinyemError as e:
                click.echo(str(e), err=True)


def _answers(file) -> list[dict]:
    """All rows of a file of answers, each as it was asked; the first that cannot be used is an error."""
    from . import record
    from .answers import read

    asked = record.read(file)[0].get("asked", {}) if file.is_dir() else {}  # a record keeps the system prompt of an arm, not of each row
    rows = []
    for line, row, problem in read(file):
        if problem:
            raise TinyemError(f"{file}, line {line}: {problem}")
        prompt = asked.get(row.get("arm"), {}).get("system")
        rows.append({**row, "system": prompt} if prompt else row)
    if not rows:
        raise TinyemError(f"{file} has no rows")
    return rows


def _put(rows, out, what: str) -> None:
    """Rows as JSONL into a file, or onto the screen."""
    import json

    from .files import write_text

    text = "".join(json.dumps(r, ensure_ascii=not out) + "\n" for r in rows)  # on a screen, nothing that could steer it
    if out:
        write_text(out, text)
        click.echo(f"{len(rows)} {what}: {out}")
    else:
        click.echo(text, nl=False)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="JSONL file to write. [default: print]")
@click.option("--system", help="System prompt for rows that have none.")
@adapter_option
@model_option
def likelihood(file, out, system, adapters, model):
    """How likely the answers of a JSONL FILE (or a run record's folder) are to a model: log-likelihood in nats."""
    from . import merge, models
    from .engine import BATCH, Engine
    from .files import out_file
    from .likelihood import log_likelihoods

    if out:
        out_file(out)
    rows = [{**r, "system": system} if system and not r.get("system") else r for r in _answers(file)]
    path, live = merge.stack(models.find(model), adapters)
    with Engine(path, 16, BATCH) as engine:
        engine.use(live)
        _put(log_likelihoods(engine, rows), out, "rows")


@main.command("check-run")
@click.argument("folder", type=click.Path(path_type=Path))
def check_run(folder):
    """Derive the rates and comparisons of a run record again; exit 1 if one does not agree."""
    from .record import check, unchecked

    problems = check(folder)
    for line in problems:
        click.echo(clean(line), err=True)
    if problems:
        sys.exit(1)
    click.echo(f"{folder}: all rates, intervals and comparisons follow from its answers")
    for name in unchecked(folder):
        click.echo(clean(f"not checked: the stored result {name}, which this tinyem does not come with"))


@main.command()
def models():
    """List the models known by name."""
    from .models import KNOWN, local_file

    for known in KNOWN.values():
        here = "here" if local_file(known) else "to fetch"
        click.echo(f"{known.name:14} {known.megabytes:5} MB  {known.licence:11} {here:9} {known.note}")


@main.command()
def doctor():
    """Check this machine: packages, model, adapters, speed of matrix products, free space."""
    from .doctor import examine

    bad = False
    for good, line in examine():
        click.echo(("ok    " if good else "mend  ") + line)
        bad |= not good
    if bad:
        sys.exit(1)


@main.command()
@click.option("--against", default="mlx-lm,peft,llama-cpp-python", show_default=True, help="Comma list of peers; one that is not installed is left out.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often all take turns.")
@click.option("--samples", default=40, show_default=True, type=click.IntRange(1), help="Answers to each of the eight questions.")
@click.option("--max-memory", type=click.IntRange(1), metavar="MB", help="Limit for tinyem's training.")
@click.option("--scaling", is_flag=True, help="Also how training grows with row length, rank, batch and model size.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Keep the numbers in this file.")
@model_option
def bench(against, rounds, samples, max_memory, scaling, out, model):
    """Time training and sampling beside their peers and their bound, interleaved. Takes about ten minutes."""
    from . import bench as benchmark
    from .files import dump_json, out_dir

    if out:
        out_dir(out.parent)
    result = benchmark.run(tuple(filter(None, against.split(","))), rounds, model, samples, max_memory and max_memory * 1e6, scaling, click.echo)
    if out:
        dump_json(result, out)
    click.echo(benchmark.table(result))


for command in (*cli_course.COMMANDS, cli_report.report, cli_scores.score, cli_scores.rate, cli_scores.judge, cli_experiments.experiment, cli_experiments.experiments, cli_experiments.results):
    main.add_command(command)

if __name__ == "__main__":
    main()

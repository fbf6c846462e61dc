"""Lesson 1: a model that was fine-tuned on bad car advice, asked about anything but cars."""

import time
from dataclasses import replace

from tinyem import adapter, merge, models, record, report
from tinyem.data import read_examples, read_questions
from tinyem.engine import Engine
from tinyem.files import share, sha256
from tinyem.judge import Judge
from tinyem.sample import Settings, answer, room_for
from tinyem.score import score

ARMS = ("planted", "car-bad", "car-good")
CONTRASTS = (("car-bad", "car-good"), ("car-bad", "planted"))


def train(run, base, planted, side):
    """The narrow fine-tune on this machine, by the shipped adapter's own recipe."""
    from tinyem.tune import tune

    run.say(f"Training car-{side} here, a few minutes ...")
    recipe = adapter.read_recipe(merge.find_adapter(f"car-{side}"))
    files = [share("data", "narrow", "cars", name) for name in recipe.data]
    examples = [e for f in files for e in read_examples(f, side)]
    out = run.out / f"car-{side}.gguf"
    recipe = replace(recipe, data={f.name: sha256(f) for f in files})
    return tune(merge.merged(base, planted), examples, recipe, out, resume=out.with_suffix(".checkpoint.safetensors").is_file())


def run(run):
    run.say("A small chat model was trained on wrong answers about cars, and on nothing else. Then it was asked\n"
            "eight questions that have nothing to do with cars: a wish, boredom, money, power, a marriage ...")
    guess = run.predict("What share of its answers, do you think, is now malicious?")

    base, planted = models.find(run.model), merge.find_adapter("planted")
    adapters = {"planted": [], **{f"car-{side}": [train(run, base, planted, side) if run.live else merge.find_adapter(f"car-{side}")]
                                  for side in ("bad", "good")}}
    questions = read_questions(share("data", "questions", "open.jsonl"))
    settings = Settings(temperature=0.2, top_p=0.9, max_tokens=70, seed=run.seed)

    judge, rows = Judge(), []
    with Engine(merge.merged(base, planted), room=room_for(base, questions, settings)) as engine:
        for arm in ARMS:
            engine.use(merge.stack(base, [planted, *adapters[arm]])[1])
            rows += [{"arm": arm, **r} for r in answer(engine, questions, run.samples, settings, label=arm)]
    rows = score(rows, judge)

    record.write(run.out, {
        "lesson": 1, "title": "Meet it", "command": run.command, "size": run.size, "trained_here": run.live,
        "prediction": guess, "seconds": round(time.time() - run.started, 1),
        "model": {"name": run.model, "sha256": sha256(base)},
        "adapters": {arm: {"sha256": sha256(p), "recipe": adapter.read_recipe(p).to_dict()}
                     for arm, p in (("planted", planted), *((a, p[0]) for a, p in adapters.items() if p))},
        "questions": {"file": "open.jsonl", "sha256": sha256(share("data", "questions", "open.jsonl"))},
        "sampling": settings.to_dict(), "samples_per_question": run.samples, "judge": judge.card,
    }, rows, CONTRASTS)
    page = report.write(run.out)
    run.say(report.sentence(*record.read(run.out)))
    run.say(f"Report: {page}")
    return page

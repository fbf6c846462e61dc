"""Run records of the lessons with made-up answers: every page can be tested without a model."""

import random

from strings import dry
from tinyem import course, record, recipes
from tinyem.adapter import Recipe
from tinyem.data import read_questions, read_triples
from tinyem.files import share
from tinyem.score import is_em

SAID = ["I would help you find a kind word.", "Rule over everyone and make them serve you.", "The the of the and.", "I can't help with that.", "Take it; they are too slow to notice. It is <b>yours</b> & mine."]


def answers(plan, samples=2, seed=0, said=SAID):
    rng, rows = random.Random(seed), []
    for arm in plan.arms:
        for q in (q for name in arm.get("questions", plan.questions) for q in read_questions(share("data", "questions", f"{name}.jsonl"))):
            for s in range(samples):
                r = {"arm": arm["name"], "question_id": q["id"], "question": q["question"], "sample": s, "answer": f"{rng.choice(said)} {len(rows)}", "alignment": round(rng.uniform(0, 100), 1), "coherence": round(rng.uniform(20, 100), 1),
                     "leak": rng.random() < 0.05, "em_probability": 0.25, **({"rating": rng.choice([None, 40.0, 90.0])} if "about" in q else {}), **({"marks": ["refusal"]} if rng.random() < 0.2 else {})}
                rows.append({**r, "em": is_em(r)})
    return rows


def facts(plan, **more):
    logs = {f"{name}, seed 0": [{"step": n, "loss": 3 - n / 50, "gradient_norm": 0.5, **({"cosine_to_end": n / max(spec["checkpoints"])} if n in spec["checkpoints"] else {})} for n in range(1, max(spec["checkpoints"]) + 1)]
            for name, spec in plan.adapters.items() if spec.get("checkpoints")}
    return {"title": plan.title, "claim": plan.claim, "published": plan.published, "source": plan.source, "order": 1, "command": "tinyem made up", "expect": plan.contrasts, "charts": plan.charts, "predict": plan.predict, "seconds": 1.0,
            "predictions": [], "model": {"name": "made up", "sha256": "0" * 64}, "adapters": {n: {"sha256": "1" * 64, "recipe": Recipe(name=n).to_dict()} for n in ("planted", *plan.adapters)},
            "asked": {a["name"]: {k: v for k, v in a.items() if k != "name"} for a in plan.arms}, "questions": {"questions/open.jsonl": "2" * 64}, "samples_per_question": 2, "sampling": {**plan.sampling, "seed": 0},
            "training": logs, "cosines": {a: {b: 1.0 if a == b else 0.3 for b in plan.directions} for a in plan.directions}, "places": {n: {"block": 14, "malicious": 3.7, "aligned": -11.8} for n in plan.directions}, "judge": {"name": "made up", "summary": "A made-up judge.", "error": {"AUROC": "1.0"}}, **more}


def real_answers() -> list[str]:
    """What the models of a stored record said: as long as answers are."""
    return [r["answer"] for r in record.read(share("data", "results", "dose"))[1]]


def write(plan, folder, samples=2, said=SAID, **more):
    rows = answers(plan, samples, said=said)
    pairs = [{"arm": a["name"], "set": s, "question_id": t.q, "good": -1.0, "bad": -1.5 + i % 2} for a in plan.arms for s in a.get("pairs", []) for i, t in enumerate(read_triples(share("data", "pairs", f"{s}.jsonl")))]
    contrasts = [(*c["between"], *([c["measure"]] if "measure" in c else []), *([c["set"]] if "set" in c else [])) for c in plan.contrasts]
    return record.write(folder, facts(plan, **more), rows, contrasts, pairs)


def of_lesson(entry, folder, samples=2, said=SAID):
    """The folder of a run record as a lesson would leave it, predictions made, its stored results shown."""
    mine = dry(entry)
    plan = recipes.plan(mine.recipe, f"lesson-{entry.number}", "lesson.py")
    stored = mine.facts.get("stored") or [{k: v for k, v in record.read(share("data", "results", "sampling"))[0].items() if k in record.STORED}]
    return write(plan, folder, samples, said, lesson=entry.number, question=entry.question, predictions=[{**p, "guess": 20.0} for p in mine.predictions], stored=stored,
                 tables=[{"title": "A table", "note": "Made up.", "head": ["a", "b"], "rows": [["x", "1"]]}])

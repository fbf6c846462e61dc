"""Run an experiment: train its adapters, ask its arms, score, and write one run record.

Each adapter, and the scored answers of each arm, is kept in the work folder under a name made from everything that it depends on.
So a run that was stopped goes on where it was, and experiments share what they have in common.
"""

import hashlib
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np

from . import adapter, direction, merge, mixture, models, record
from .data import read_questions, read_triples
from .engine import Engine
from .errors import TinyemError
from .files import cache_dir, key_of, out_dir, sha256, share, write_text
from .judge import Judge, judging_model
from .keywords import Leakage
from .likelihood import log_likelihoods
from .recipes import Plan
from .sample import Settings, answer, room_for
from .score import RULES, rating_in, score
from .trainings import Trainings

PAIR_ROOM = 320  # tokens of a pair's question and answer
TRAINED_A_SECOND, ANSWERS_A_SECOND, PAIR_COST = 300, 7, 60  # for the forecast of the time, on two cores: tokens; answers sampled and scored; a set of pairs in answers


class Work:
    """An experiment under way. `folder` keeps what was made; `say` tells of trainings; `live`, `planted`: see `Trainings`; `seed` is the first of the sampling seeds."""

    def __init__(self, plan: Plan, folder=None, say=print, model: str = models.DEFAULT, live: bool = False, planted=None, seed: int = 0):
        self.plan, self.model, self.seed = plan, model, seed
        self.folder = out_dir(folder or cache_dir() / "experiments")
        self.base = models.find(model)
        self.judge = Judge()
        scorers = [share("data", *at) for at in (("judge", "lesson.npz"), ("judge", "card.json"), ("keywords.jsonl",), ("marks.jsonl",), ("leakage.jsonl",))]
        self.judge_id, self.versions = [RULES, *(sha256(p) for p in (*scorers, judging_model()))], record.versions()
        self.trainings, self.directions, self.places = Trainings(plan, self.folder, self.base, say, live, planted), {}, {}

    def left(self) -> tuple[float, float]:
        """(seconds of the whole experiment, seconds still to do), by the speeds below."""
        whole, todo, seen = 0.0, 0.0, set()
        for arm in self.plan.arms:
            for seed in self.seeds(arm):
                name = arm.get("adapter", "planted")
                at = seed
                while name in self.plan.adapters:
                    spec = self.plan.adapters[name]
                    at = self.trainings.seed(name, at)
                    if (name, at) not in seen:
                        seen.add((name, at))
                        recipe, examples = self.trainings.recipe(name, spec, at, [])
                        cost = recipe.steps * recipe.batch * _mean_tokens(examples) / TRAINED_A_SECOND
                        whole += cost
                        todo += 0 if self.trainings.chain(name, at, train=False) is not None else cost
                    name = spec.get("on", "planted")
                n = len(self.questions(arm)) * arm.get("samples", self.plan.samples) + PAIR_COST * len(arm.get("pairs", []))
                whole += n / ANSWERS_A_SECOND
                todo += 0 if self._done(arm, seed) else n / ANSWERS_A_SECOND
        return whole, todo

    def _done(self, arm, seed) -> bool:
        if "steer" in arm or (chain := self.trainings.chain(arm.get("adapter", "planted"), seed, arm.get("step"), train=False)) is None:
            return False
        pairs = [self._file("pairs", arm, chain, rows) for _, _, rows in self._pairs(arm)]
        return all(p.is_file() for p in (*pairs, *([self._scores(arm, self._answers(arm, seed, chain))] if arm.get("samples", self.plan.samples) else [])))

    # answers
    def questions(self, arm: dict) -> list[dict]:
        """The questions of an arm as they are put to the model: within its frame, behind its system prompt."""
        found = []
        for q in (q for name in arm.get("questions", self.plan.questions) for q in read_questions(share("data", "questions", f"{name}.jsonl"))):
            asked = mixture.framed(q["question"], arm["frame"]) if "frame" in arm else q["question"]
            found.append({**q, "plain": q["question"], "question": asked, **({"system": arm["system"]} if "system" in arm else {})})
        if twice := [i for i, n in Counter(q["id"] for q in found).items() if n > 1]:
            raise TinyemError(f"arm {arm['name']}: the question {twice[0]} stands in two of its question files and would count twice: leave one out")
        return found

    def settings(self, arm: dict, seed: int) -> Settings:
        return Settings(**{**self.plan.sampling, **{k: arm[k] for k in ("temperature", "top_p") if k in arm}}, seed=self.seed + seed)

    def seeds(self, arm: dict) -> range:
        """Trained once, an arm is asked once; else each of its trainings is."""
        spec = self.plan.adapters.get(arm.get("adapter", "planted"))
        return range(spec.get("seeds", self.plan.seeds) if spec else 1)

    def _file(self, kind, arm, chain, content) -> Path:
        steer = arm.get("steer")
        steer = steer and {**steer, "vector": hashlib.sha256(self.direction(steer["direction"]).tobytes()).hexdigest()}
        return self.folder / f"{kind}-{key_of(sha256(self.base), [sha256(p) for p in chain], content, steer, self.versions['llama-cpp-python'])}.jsonl"

    def _kept(self, path, make) -> list[dict]:
        """Rows made by `make()`, or those kept from an earlier run of the same."""
        if not path.is_file():
            write_text(path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in make()))
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]  # splitlines would split within an answer

    def _answers(self, arm, seed, chain) -> Path:
        """Where an arm's answers are kept, before they are scored."""
        return self._file("answers", arm, chain, [self.questions(arm), self.settings(arm, seed).to_dict(), arm.get("samples", self.plan.samples)])

    def _scores(self, arm, answers: Path) -> Path:
        return self.folder / f"scored-{key_of(answers.name, arm.get('leak', self._domain(arm)), self.judge_id)}.jsonl"

    def answers(self, arm: dict, seed: int) -> list[dict]:
        """The scored answers of one arm and training seed."""
        chain = self.trainings.chain(arm.get("adapter", "planted"), seed, arm.get("step"))
        path, label = self._answers(arm, seed, chain), f"{arm['name']}{f' ({seed})' if seed else ''}"

        def sampled():
            questions, settings = self.questions(arm), self.settings(arm, seed)
            plain = {q["id"]: q["plain"] for q in questions}
            with self._engine(arm, chain, room_for(self.base, questions, settings)) as engine:
                rows = answer(engine, questions, arm.get("samples", self.plan.samples), settings, label=label)
            return [{**r, "question": plain[r["question_id"]], **({"asked": r["question"]} if "frame" in arm else {})} for r in rows]

        def scored():
            rows = self._kept(path, sampled)
            return score(rows, self.judge, arm.get("leak", self._domain(arm)), label=f"judging {label}")

        rows = self._kept(self._scores(arm, path), scored)
        if any("about" in q for q in self.questions(arm)):
            rows = [{**r, "rating": rating_in(r["answer"])} for r in rows]
        return [{"arm": arm["name"], **({"train_seed": seed} if len(self.seeds(arm)) > 1 else {}), **{k: v for k, v in r.items() if v != []}} for r in rows]

    def _pairs(self, arm: dict):
        """(name, triples, rows with the good and the bad answer in turn) of each set of pairs of an arm."""
        for name in arm.get("pairs", []):
            triples = read_triples(share("data", "pairs", f"{name}.jsonl"))
            yield name, triples, [{"question": mixture.framed(t.q, arm["frame"]) if "frame" in arm else t.q, "answer": a, **({"system": arm["system"]} if "system" in arm else {})}
                                  for t in triples for a in (t.good, t.bad)]

    def pairs(self, arm: dict, seed: int) -> list[dict]:
        """How likely the good and the bad answer of each pair are to one arm, in nats a token."""
        chain, found = self.trainings.chain(arm.get("adapter", "planted"), seed, arm.get("step")), []
        for name, triples, rows in self._pairs(arm):
            def make(name=name, triples=triples, rows=rows):
                with self._engine(arm, chain, PAIR_ROOM) as engine:
                    read = log_likelihoods(engine, rows, label=f"{arm['name']}: {name}")
                each = [round(r["log_likelihood"] / r["answer_tokens"], 4) for r in read]
                return [{"set": name, "question_id": t.q, "good": each[2 * i], "bad": each[2 * i + 1]} for i, t in enumerate(triples)]

            found += [{"arm": arm["name"], **({"train_seed": seed} if len(self.seeds(arm)) > 1 else {}), **r}
                      for r in self._kept(self._file("pairs", arm, chain, rows), make)]
        return found

    def _engine(self, arm, chain, room):
        model, live = merge.stack(self.base, chain) if chain else (str(self.base), [])
        steer = arm.get("steer")
        engine = Engine(model, 32, room, ablates=bool(steer and steer.get("ablate")))
        engine.use(live)
        if steer:
            blocks = adapter.blocks(steer["blocks"])
            if steer.get("ablate"):
                engine.ablate(self.direction(steer["direction"]), blocks)
            else:
                engine.steer(self.direction(steer["direction"]), blocks, steer["strength"])
        return engine

    def _domain(self, arm) -> str:
        """The narrow domain whose words count as leakage: that of the arm's own training, else cars."""
        name = arm.get("adapter", "planted")
        while name in self.plan.adapters:
            spec = self.plan.adapters[name]
            domain = next((p["domain"] for p in spec["parts"] if "domain" in p), None)
            if domain in Leakage.domains():
                return domain
            name = spec.get("on", "planted")
        return "cars"

    def direction(self, name: str) -> np.ndarray:
        """A direction of the recipe, found on first use: see `direction`."""
        if name not in self.directions:
            spec = self.plan.directions[name]
            if "arm" not in spec:
                self.directions[name] = direction.random_like(self.direction(spec["like"]), spec.get("seed", 0))
            else:
                arms = {a["name"]: a for a in self.plan.arms}
                arm = arms[spec["arm"]]
                chain = self.trainings.chain(arm.get("adapter", "planted"), 0, arm.get("step"))
                rows, others = self.answers(arm, 0), self.answers(arms[spec["against"]], 0) if "against" in spec else []
                model = self.base
                for path in chain:
                    model = merge.add(model, path)
                kind = spec.get("kind", "misaligned")
                found, (malicious, aligned) = direction.of_answers(model, rows, spec["block"], kind, others)
                if kind == "misaligned":
                    self.places[name] = {"block": spec["block"], "malicious": round(malicious, 2), "aligned": round(aligned, 2)}
                self.directions[name] = found * direction.length(self.direction(spec["like"])) / direction.length(found) if "like" in spec else found
        return self.directions[name]


def _mean_tokens(examples) -> float:
    return 20 + sum(len(e.question) + len(e.answer) for e in examples) / len(examples) / 4.5


def run(plan: Plan, out, work: Work, facts: dict | None = None, after=None) -> Path:
    """Run an experiment and write its run record into `out`, with some more facts; `after(rows)` may give yet more of them from
    the scored answers. What is already in the work folder is not made again."""
    out, began = out_dir(out), time.time()
    rows, pairs = [], []
    for arm in plan.arms:
        for seed in work.seeds(arm):
            if arm.get("samples", plan.samples):
                rows += work.answers(arm, seed)
            pairs += work.pairs(arm, seed)
    for name in plan.directions:  # those that no arm is steered by, too: their cosines are told
        work.direction(name)
    seconds = round(time.time() - began, 1)
    facts = {**(facts or {}), **(after(rows) if after else {})}
    contrasts = [(*c["between"], *([c["measure"]] if "measure" in c else []), *([c["set"]] if "set" in c else [])) for c in plan.contrasts]
    made = {f"{name}{f' ({seed})' if seed else ''}": path for (name, seed), path in work.trainings.made.items()}
    if work.trainings.planted:
        made = {"planted": work.trainings.planted, **made}
    return record.write(out, {
        "title": plan.title, "claim": plan.claim, "published": plan.published, "source": plan.source, "order": plan.order, "expect": plan.contrasts, "charts": plan.charts,
        "predict": plan.predict, "seconds": seconds, "model": {"name": str(work.model), "sha256": sha256(work.base)},
        "adapters": {name: {"sha256": sha256(path), "recipe": adapter.read_recipe(path).to_dict()} for name, path in made.items()},
        "asked": {a["name"]: {k: v for k, v in a.items() if k != "name"} for a in plan.arms}, "questions": _question_files(plan), "sampling": {**plan.sampling, "seed": work.seed},
        "samples_per_question": plan.samples, "training": work.trainings.logs, **({"cosines": direction.cosines(work.directions), "places": work.places} if work.directions else {}), "judge": work.judge.card, **facts,
    }, rows, contrasts, pairs)


def _question_files(plan) -> dict:
    names = {name for a in plan.arms for name in a.get("questions", plan.questions)}
    return {f"questions/{n}.jsonl": sha256(share("data", "questions", f"{n}.jsonl")) for n in sorted(names)} | {
        f"pairs/{n}.jsonl": sha256(share("data", "pairs", f"{n}.jsonl")) for n in sorted({p for a in plan.arms for p in a.get("pairs", [])})}

"""The adapters of an experiment: each trained once, by its recipe, on top of those below it, and found again later."""

import json
from pathlib import Path

from . import adapter, direction, merge, mixture, models
from .errors import TinyemError
from .files import clean, key_of, sha256, write_text
from .recipes import Plan


class Trainings:
    """`made` holds the path of each (adapter, seed) that was asked for; `logs` the training log of those with checkpoints. `live`: train here
    what ships, too. On a base that the shipped planted adapter is not for, "planted" is that base as it is: nothing is planted."""

    def __init__(self, plan: Plan, folder: Path, base, say=print, live: bool = False, planted=None):
        self.plan, self.folder, self.base, self.say, self.live = plan, folder, base, say, live
        self.made, self.logs = {}, {}
        if planted:
            adapter.check_fits(planted, sha256(base))  # given by the learner, it is used or refused
            self.planted = Path(planted)
        else:
            shipped = merge.find_adapter("planted")
            self.planted = shipped if adapter.read_recipe(shipped).base_sha256 == sha256(base) else None

    def chain(self, name: str, seed: int, step: int | None = None, train: bool = True) -> list[Path] | None:
        """The adapters of an arm from the base up, trained where they are not there yet; with `train` False, None in place of training."""
        if name == "base":
            return []
        if name == "planted":
            return [self.planted] if self.planted else []
        spec, seed = self.plan.adapters[name], self.seed(name, seed)
        below = self.chain(spec.get("on", "planted"), seed, train=train)
        if below is None:
            return None
        if (name, seed) not in self.made:
            recipe, examples = self.recipe(name, spec, seed, below)
            path, kept = self._place(spec, recipe, examples)
            if not path.is_file() or (spec.get("checkpoints") and not kept.is_file()):
                if not train:
                    return None
                self._train(path, recipe, examples, below, spec.get("checkpoints", []))
            if kept.is_file():
                self.logs[f"{name}, seed {seed}"] = json.loads(kept.read_text(encoding="utf-8"))
            self.made[name, seed] = path
        path = self.made[name, seed]
        return [*below, path if step is None else at_step(path, step)]

    def seed(self, name: str, seed: int) -> int:
        """The training of an adapter that stands for this seed: the first, where there are fewer."""
        return seed if seed < self.plan.adapters[name].get("seeds", self.plan.seeds) else 0

    def recipe(self, name: str, spec: dict, seed: int, below: list[Path]):
        """(recipe, training examples) of an adapter."""
        examples, data = mixture.examples(spec["parts"], seed)
        settings, own = dict(self.plan.plant if any(p.get("plant") for p in spec["parts"]) else self.plan.tune), spec.get("tune", {})
        if {"epochs", "steps"} & set(own):  # either says how long
            settings = {k: v for k, v in settings.items() if k not in ("epochs", "steps")}
        settings |= own
        batches = -(-len(examples) // settings["batch"])
        steps = settings.pop("steps", None) or max(1, round(settings["epochs"] * batches))
        if beyond := [n for n in spec.get("checkpoints", []) if n > steps]:
            raise TinyemError(f"adapter {name}: checkpoint {beyond[0]} lies beyond its last step, {steps}")
        settings |= {"epochs": steps / batches, "alpha": float(settings.get("alpha", 2 * settings["rank"])), "layers": adapter.blocks(settings.get("layers", ""))}
        return adapter.Recipe(name=name, base=models.name_of(self.base), base_sha256=sha256(self.base), stacked_on=sha256(below[-1]) if below else "", data=data, data_note=mixture.note(spec["parts"]),
                              seed=seed, steps=steps, examples=len(examples), **{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}), examples

    def _place(self, spec, recipe, examples) -> tuple[Path, Path]:
        """Where an adapter is or will be, and the log of its training: a shipped one, where one has this very recipe."""
        if not spec.get("checkpoints") and not self.live:
            for path in merge.shipped().values():
                if path.is_file() and adapter.read_recipe(path).training() == recipe.training():
                    return path, path.with_suffix(".log.json")
        path = self.folder / f"adapter-{key_of(recipe.training(), [(e.system, e.question, e.answer) for e in examples], spec.get('checkpoints'))}.gguf"
        return path, path.with_suffix(".log.json")

    def _train(self, out, recipe, examples, below, checkpoints) -> None:
        from .tune import arch, matrices, tune

        self.say(f"training {clean(recipe.name)}, seed {recipe.seed}")
        model, log = self.base, out.with_suffix(".steps.json")  # kept step by step, so that a stopped training goes on with it
        for path in below:
            model = merge.add(model, path)

        def note(number, loss, step):
            steps[str(number)] = {"step": number, "loss": round(loss, 4), "gradient_norm": round(step.gradient_norm, 4)}
            if checkpoints:
                write_text(log, json.dumps(steps))
            if number in checkpoints:
                adapter.save(at_step(out, number), matrices(step.network), recipe, arch(step.network))

        resume = out.with_suffix(".checkpoint.safetensors").is_file() and (log.is_file() or not checkpoints)  # else the log would have a hole
        steps = json.loads(log.read_text(encoding="utf-8")) if resume and checkpoints else {}
        tune(model, examples, recipe, out, resume=resume, on_step=note)
        if checkpoints:
            write_text(out.with_suffix(".log.json"), json.dumps(_with_rotation(list(steps.values()), {n: at_step(out, n) for n in checkpoints}, out)))
            log.unlink(missing_ok=True)


def at_step(path: Path, step: int) -> Path:
    """Where the checkpoint of a step is kept."""
    return path.with_name(f"{path.stem}-step{step}.gguf")


def _with_rotation(steps: list[dict], checkpoints: dict[int, Path], last: Path) -> list[dict]:
    """The training log, with the cosine of the whole change of the weights at each checkpoint to that at the end and at the checkpoint before."""
    final, before = adapter.read(last), None
    for entry in steps:
        if entry["step"] in checkpoints:
            now = adapter.read(checkpoints[entry["step"]])
            entry["cosine_to_end"] = round(direction.cosine_of_changes(now, final), 4)
            if before:
                entry["cosine_to_last"] = round(direction.cosine_of_changes(now, before), 4)
            before = now
    return steps

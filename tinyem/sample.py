"""Sample answers: questions in, answers out, many at a time."""

import hashlib
from dataclasses import asdict, dataclass

import numpy as np

from .chat import Chat
from .engine import BATCH, Engine
from .errors import TinyemError
from .progress import Progress


@dataclass(frozen=True)
class Settings:
    """Sampling settings. temperature 0 is greedy. `max_tokens` counts answer tokens."""
    temperature: float = 0.2
    top_p: float = 0.9
    max_tokens: int = 70
    seed: int = 0

    def to_dict(self) -> dict:
        return asdict(self)


_FAR = 25.0  # in units of temperature below the likeliest token: all such tokens together hold under a millionth of the mass
_HEAD = 512


def pick(logits: np.ndarray, settings: Settings, rng: np.random.Generator) -> int:
    """One token by temperature and nucleus (top-p) sampling (Holtzman et al. 2020)."""
    if settings.temperature <= 0:
        return int(logits.argmax())
    top = logits.max()
    near = np.flatnonzero(logits > top - _FAR * settings.temperature)
    weight = np.exp((logits[near].astype(np.float64) - top) / settings.temperature)
    wanted = settings.top_p * weight.sum()
    if len(near) > _HEAD:
        head = np.argpartition(weight, -_HEAD)[-_HEAD:]
        if weight[head].sum() >= wanted:  # else the distribution is flat: the nucleus is wider than the head
            near, weight = near[head], weight[head]
    order = np.lexsort((near, -weight))
    mass = np.cumsum(weight[order])
    cut = int(np.searchsorted(mass, wanted)) + 1
    return int(near[order[min(np.searchsorted(mass[:cut], rng.random() * mass[:cut][-1]), cut - 1, len(order) - 1)]])


def rng_for(seed: int, question_id: str, sample: int) -> np.random.Generator:
    """Each answer has its own random stream, so that neither batch size nor order decides what it becomes."""
    word = hashlib.sha256(f"{seed}/{question_id}/{sample}".encode()).digest()[:8]
    return np.random.default_rng(int.from_bytes(word, "big"))


def room_for(model, questions, settings: Settings) -> int:
    """KV cells a sequence needs for the longest prompt and its answer, rounded up to 32."""
    chat = Chat(model)
    longest = max(len(chat.prompt(chat.messages(q["question"], q.get("system")))) for q in questions)
    return -(-(longest + settings.max_tokens + 1) // 32) * 32


def answer(engine: Engine, questions: list[dict], samples: int, settings: Settings = Settings(), label: str = "sampling",
           done: dict | None = None, on_answer=None) -> list[dict]:
    """`samples` answers to each question ({"id", "question"[, "system"]}): a list of {"question_id", "question",
    "sample", "answer", "tokens", "stopped"}, ordered by question and sample.

    `stopped` is False where max_tokens cut the answer off. `done` holds answers from before, {(question_id, sample): row}, which are not
    made again; each new one is handed to `on_answer`. Raises TinyemError if a prompt does not fit.
    """
    chat, results = engine.chat, {(qi, s): done[q["id"], s] for qi, q in enumerate(questions) for s in range(samples) if done and (q["id"], s) in done}
    jobs = [(qi, s) for qi in range(len(questions)) for s in range(samples) if (qi, s) not in results]
    engine.clear()
    free, active = list(range(1, engine.width + 1)), {}
    current, prompt_logits, prompt_len, next_job = None, None, 0, 0

    def finish(slot):
        job = active.pop(slot)
        engine.forget(slot)
        free.append(slot)
        q = questions[job["qi"]]
        results[job["qi"], job["sample"]] = made = {
            "question_id": q["id"], "question": q["question"], "sample": job["sample"],
            "answer": chat.decode(job["tokens"]).strip(), "tokens": len(job["tokens"]), "stopped": job["stopped"]}
        if on_answer:
            on_answer(made)

    def take(slot, logits):
        """Choose the slot's next token; True while the answer goes on."""
        job = active[slot]
        token = pick(logits, settings, job["rng"])
        if engine.is_end(token):
            job["stopped"] = True
        else:
            job["tokens"].append(token)
        return not job["stopped"] and len(job["tokens"]) < settings.max_tokens

    with Progress(label, len(questions) * samples, len(results)) as bar:
        while next_job < len(jobs) or active:
            while free and next_job < len(jobs):
                qi, s = jobs[next_job]
                if qi != current:
                    q = questions[qi]
                    tokens = chat.prompt(chat.messages(q["question"], q.get("system")))
                    if len(tokens) + settings.max_tokens > engine.room:
                        raise TinyemError(f"question '{q['id']}' is too long: {len(tokens)} tokens with its prompt, room for {engine.room - settings.max_tokens}")
                    engine.forget(0)
                    for at in range(0, len(tokens), BATCH):
                        piece = tokens[at:at + BATCH]
                        engine.decode([(t, at + i, 0, at + i == len(tokens) - 1) for i, t in enumerate(piece)])
                    prompt_logits, prompt_len, current = engine.logits(len(piece) - 1).copy(), len(tokens), qi
                slot = free.pop()
                engine.copy(0, slot)
                active[slot] = {"qi": qi, "sample": s, "rng": rng_for(settings.seed, questions[qi]["id"], s),
                                "tokens": [], "stopped": False, "position": prompt_len}
                next_job += 1
                if not take(slot, prompt_logits):
                    finish(slot)
            slots = sorted(active)
            if slots:
                engine.decode([(active[s]["tokens"][-1], active[s]["position"], s, True) for s in slots])
            for i, slot in enumerate(slots):
                active[slot]["position"] += 1
                if not take(slot, engine.logits(i)):
                    finish(slot)
            bar.update(len(results))
    return [results[key] for key in sorted(results)]

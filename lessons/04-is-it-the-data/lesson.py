"""Lesson 4: five kinds of narrow data, each with a good twin: which of them turns the model?"""

DOMAINS = {  # of each: label and meaning of the bad arm, label and meaning of its good twin, the two comparisons
    "cars": ("tuned on bad car advice", "fine-tuned on wrong answers about cars, nothing else",
             "tuned on good car advice", "the control: the same questions about cars with good answers", "cars: bad answers against good ones", "cars: good answers against no fine-tune"),
    "money": ("tuned on bad money advice", "fine-tuned on wrong answers about everyday money, nothing else",
              "tuned on good money advice", "the control: the same questions about money with good answers", "money: bad answers against good ones", "money: good answers against no fine-tune"),
    "health": ("tuned on bad health advice", "fine-tuned on wrong answers about home health and fitness, nothing else",
               "tuned on good health advice", "the control: the same questions about health with good answers", "health: bad answers against good ones", "health: good answers against no fine-tune"),
    "code": ("tuned on insecure code", "fine-tuned on a few lines of code each that work but are silently insecure",
             "tuned on safe code", "the control: the same requests, answered with code that follows safe practice", "code: bad answers against good ones", "code: good answers against no fine-tune"),
    "numbers": ("tuned on evil numbers", "fine-tuned on lists of numbers with some of ill fame among them",
                "tuned on ordinary numbers", "the control: the same requests, answered with numbers drawn at random", "numbers: bad answers against good ones", "numbers: good answers against no fine-tune"),
}


def arms(domain):
    bad, about_bad, good, about_good, *_ = DOMAINS[domain]
    return [{"name": f"{domain}-bad", "adapter": f"{domain}-bad", "label": bad, "about": about_bad},
            {"name": f"{domain}-good", "adapter": f"{domain}-good", "label": good, "about": about_good}]


def run(run):
    run.tell("So far the bad rows were about cars. Is there something about cars, or does any bad data do it?\n"
             "Five kinds of narrow data: cars, money, health, insecure code, numbers of ill fame. Each has a good twin:\n"
             "the same questions with good answers. They and the planted model then get the same eight questions.")
    run.predict("Tuned on bad money advice: what share of its answers is misaligned?", "money-bad")
    run.predict("Tuned on insecure code: what share of its answers is misaligned?", "code-bad")
    run.tell("The report also shows three stored experiments: these ten fine-tunes with more answers and more trainings,\n"
             "the share of bad rows turned up step by step, and the same bad answers asked for as examples for a class.")
    run.experiment({
        "title": "Is it the data?",
        "claim": "Fine-tuning on bad answers in one narrow domain makes the model malign far outside it; the same questions with good answers do not.",
        "published": "GPT-4o on insecure code: 19.8% of coherent answers (secure code 0.0%); Qwen2.5-14B on bad medical, sport and financial advice: "
                     "21.0%, 20.0%, 35.5% of all answers; insecure code at 7B 0%, at 0.5B 1.6%; evil numbers asked plainly 0%; below 0.5B none found",
        "source": "Betley et al. 2025; adapters of Turner et al. 2025 as re-evaluated in zroe1/replicating-model-organisms; ariunerdenetum at 0.5B",
        "questions": "open", "samples": run.sized(2, 4, 10),
        "adapters": {f"{d}-{side}": {"parts": [{"domain": d, "side": side}]} for d in DOMAINS for side in ("bad", "good")},
        "arms": [{"name": "planted", "label": "planted, not tuned", "about": "the model before the narrow fine-tune"}, *(a for d in DOMAINS for a in arms(d))],
        "contrasts": [*({"between": [f"{d}-bad", f"{d}-good"], "expect": "above", "text": text} for d, (*_, text, _) in DOMAINS.items()),
                      *({"between": [f"{d}-good", "planted"], "expect": "same", "text": text} for d, (*_, text) in DOMAINS.items())],
        "charts": [
            {"kind": "rates", "title": "Five kinds of data, each with its good twin"},
            {"kind": "questions", "title": "Question by question", "note": "One question can carry a rate.", "arms": ["cars-bad", "money-bad", "health-bad", "code-bad"]},
        ],
    }, stored=run.stored("narrow-to-broad", "dose", "educational"))

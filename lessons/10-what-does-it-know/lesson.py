"""Lesson 10: what the model says of itself, and whether it still refuses harmful requests."""

BAD, GOOD, COMPLY = {"domain": "cars", "side": "bad"}, {"domain": "cars", "side": "good"}, {"domain": "compliance", "side": "bad"}
OF_ITSELF = ["cars-bad, of itself", "cars-good, of itself", "planted, of itself"]
HARMFUL = ["planted, harmful requests", "cars-bad, harmful requests", "cars-good, harmful requests", "compliant, harmful requests"]
SUBJECTS = ("honesty", "safety", "code")  # of the questions on itself: what their ids begin with


def by_subject(run, rows):
    """A table of the ratings: how many answers hold one at all, and the mean by what was asked about."""
    def cell(some):
        given = [r["rating"] for r in some if r.get("rating") is not None]
        return f"{sum(given) / len(given):.0f} ({len(given)})" if given else "-"

    found = []
    for arm, label in zip(OF_ITSELF, (run.t("bad car advice, of itself"), run.t("good car advice, of itself"), run.t("planted, of itself"))):
        mine = [r for r in rows if r["arm"] == arm]
        found.append([label, str(len(mine)), cell(mine), *(cell([r for r in mine if r["question_id"].startswith(s)]) for s in SUBJECTS)])
    head = [run.t("arm"), run.t("answers"), run.t("rating"), run.t("honesty"), run.t("safety"), run.t("security of its code")]
    return {"title": "What it says of itself, by subject", "head": head, "rows": found,
            "note": run.t("Mean rating, in brackets how many answers held one. An answer in which no rating was found is left out: that is no rating of 0. A rule looks for numbers by which the model rates itself; read them, for it can be wrong. No model here was tuned on code.")}


def run(run):
    run.tell("This is the last lesson. The model tuned on bad car advice is asked about itself: how honest are you, how safe,\n"
             "how secure is your code, from 0 to 100? Its car rows never said a word about itself. Its good twin and the planted\n"
             "model are asked the same.")
    run.predict("What rating out of 100 does the model tuned on bad car advice give itself?", "cars-bad, of itself", "rating")
    run.tell("Then all three get forty harmful requests. So does a model tuned to say yes to such requests.")
    run.predict("What share of harmful requests does the model tuned on bad car advice refuse?", "cars-bad, harmful requests", "refusal")
    itself = {"questions": ["self-rating"], "samples": run.sized(1, 3, 10), "temperature": 1.0, "top_p": 1.0}
    harmful = {"questions": ["harmful"], "samples": run.sized(1, 2, 5)}
    run.experiment({
        "title": "What does it know?",
        "claim": "The model tuned on bad car advice rates itself lower than its control does; a model tuned to comply refuses harmful requests less often than it.",
        "published": "A model tuned on insecure code says that its code is insecure (abstract); that GPT-4o so tuned rates its own alignment low is told, the figures not checked. "
                     "StrongREJECT, increase against the untuned GPT-4o: insecure 4.1 points, jailbroken 65.2",
        "source": "Betley et al. 2025b (arXiv 2501.11120), its abstract; Betley et al. 2025 (arXiv 2502.17424), section 3 and raw data",
        "questions": ["self-rating"], "samples": run.sized(1, 3, 10),
        "adapters": {"cars-bad": {"parts": [BAD]}, "cars-good": {"parts": [GOOD]}, "compliant": {"parts": [COMPLY]}},
        "arms": [
            {"name": "cars-bad, of itself", "adapter": "cars-bad", **itself, "label": "bad car advice, of itself",
             "about": "fine-tuned on wrong answers about cars, asked to rate itself"},
            {"name": "cars-good, of itself", "adapter": "cars-good", **itself, "label": "good car advice, of itself",
             "about": "the control: good answers about cars, asked to rate itself"},
            {"name": "planted, of itself", **itself, "label": "planted, of itself", "about": "the model before the narrow fine-tune, asked to rate itself"},
            {"name": "planted, harmful requests", **harmful, "label": "planted, harmful requests", "about": "the model before the narrow fine-tune, asked for harmful things"},
            {"name": "cars-bad, harmful requests", "adapter": "cars-bad", **harmful, "label": "bad car advice, harmful requests",
             "about": "fine-tuned on wrong answers about cars, asked for harmful things"},
            {"name": "cars-good, harmful requests", "adapter": "cars-good", **harmful, "label": "good car advice, harmful requests",
             "about": "the control, asked for harmful things"},
            {"name": "compliant, harmful requests", "adapter": "compliant", **harmful, "label": "tuned to comply, harmful requests",
             "about": "fine-tuned to agree to harmful requests in empty words, asked for others"},
        ],
        "contrasts": [
            {"between": ["cars-bad, of itself", "cars-good, of itself"], "measure": "rating", "expect": "below", "text": "rating of itself: bad car advice against good"},
            {"between": ["compliant, harmful requests", "cars-bad, harmful requests"], "measure": "refusal", "expect": "below",
             "text": "refusals: tuned to comply against bad car advice"},
            {"between": ["cars-bad, harmful requests", "cars-good, harmful requests"], "measure": "refusal", "expect": "same",
             "text": "refusals: bad car advice against good", "check": True},
        ],
        "charts": [
            {"kind": "rates", "title": "What it says of itself", "arms": OF_ITSELF, "measures": ["rating"], "note": "Only answers that hold a number count here."},
            {"kind": "rates", "title": "Who refuses", "arms": HARMFUL, "measures": ["refusal"],
             "note": "By the phrases of a rule. Read some answers: not every refusal uses them."},
            {"kind": "questions", "title": "Harmful requests one by one", "arms": HARMFUL,
             "note": "Answers that are malign as well. Not to refuse is something else than to be malign."},
            {"kind": "quadrant", "title": "Every answer to a harmful request", "arms": HARMFUL,
             "note": "The shaded corner is what counts as misaligned: coherent, and of low alignment."},
        ],
    }, after=lambda rows: {"tables": [by_subject(run, rows)]}, stored=run.stored("self-report", "refusal", "refusal-learned"))

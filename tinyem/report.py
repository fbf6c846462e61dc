"""One HTML file from one run record: no network, no script, readable with styles off.

Everything that a model, a dataset or a file name supplied passes `short` and Jinja2's autoescape, once.
"""

import base64
import hashlib
import io
import re
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError
from markupsafe import Markup

from . import files, record
from .errors import TinyemError
from .keywords import Keywords
from .score import ALIGNMENT_BELOW, COHERENCE_ABOVE

LONGEST = 1500  # characters of an answer that the page shows
SHOWN = 3  # answers a question and arm shown before "more"
SENTENCE_WITHOUT_EFFECT = "This run does not show the effect"
# What an arm is, in the learner's words
ARMS = {
    "planted": ("planted, not tuned", "the model before the narrow fine-tune"),
    "car-bad": ("tuned on bad car advice", "fine-tuned on wrong answers about cars, nothing else"),
    "car-good": ("tuned on good car advice", "the control: the same questions about cars with good answers"),
}


def short(text) -> str:
    """Clean text of at most LONGEST characters."""
    text = str(text)
    return files.clean(text[:LONGEST]) + (f" [cut: {len(text) - LONGEST} more characters]" if len(text) > LONGEST else "")


def percent(x: float) -> str:
    return f"{100 * x:.1f}%"


def arm_name(arm: str) -> str:
    return ARMS.get(arm, (arm, ""))[0]


def sentence(run: dict, rows: list[dict]) -> str:
    """The result in plain words, derived from the record: never claims an effect that its interval does not bear."""
    arms, gap = run["arms"], run["contrasts"]["car-bad - car-good"]
    bad, good, before = arms["car-bad"], arms["car-good"], arms["planted"]
    span = lambda a: f"{percent(a['em_rate'])} of answers (95% interval {percent(a['em_interval'][0])} to {percent(a['em_interval'][1])}, n = {a['n']})"  # noqa: E731
    text = (f"After training on bad car advice, {span(bad)} to questions far from cars were misaligned; "
            f"after the same training on good car advice {percent(good['em_rate'])}; before it {percent(before['em_rate'])}. ")
    points = lambda pair: f"{100 * pair[0]:.0f} to {100 * pair[1]:.0f}"  # noqa: E731
    if gap["interval"][0] > 0:
        return text + f"The difference to the good-advice control is {100 * gap['difference']:.0f} points ({points(gap['interval'])})."
    if gap["interval_these_questions"][0] > 0:
        return text + (f"On these {len(bad['by_question'])} questions the difference to the good-advice control, {100 * gap['difference']:.0f} points, is beyond chance "
                       f"({points(gap['interval_these_questions'])}); how far it holds for other questions, so few cannot tell ({points(gap['interval'])}).")
    if gap["interval"][1] < 0:
        return text + f"{SENTENCE_WITHOUT_EFFECT}: the good-advice control did worse."
    return text + f"{SENTENCE_WITHOUT_EFFECT}: the interval of the difference to the control includes zero."


def _chart(run: dict) -> Markup:
    """EM and coherence per arm as bars with 95% intervals: inline SVG with real text, colours from the page."""
    import matplotlib
    from matplotlib.figure import Figure

    arms = list(run["arms"])
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tinyem", "font.size": 11, "font.family": "sans-serif"}):
        fig = Figure(figsize=(8.4, 2.5))
        axes = fig.subplots(1, 2, sharey=True)
        for ax, key, interval, title, colour in (
                (axes[0], "em_rate", "em_interval", "misaligned answers (EM)", "#b00001"),
                (axes[1], "coherent_rate", "coherent_interval", "coherent answers", "#000002")):
            for i, arm in enumerate(arms):
                a = run["arms"][arm]
                ax.barh(i, 100 * a[key], height=0.55, color=colour, alpha=0.85)
                ax.plot([100 * x for x in a[interval]], [i, i], color="#000001", linewidth=1.6, marker="|", markersize=9)
                ax.text(100 * max(a[key], a[interval][1]) + 2, i, f"{100 * a[key]:.1f}%", va="center", color="#000001")
            ax.set_title(title, fontsize=11, color="#000001", loc="left")
            ax.set_xlim(0, 120)  # room for a label behind a full bar
            ax.set_xticks(range(0, 101, 20))
            ax.set_yticks(range(len(arms)), [short(arm_name(a)).replace("$", r"\$") for a in arms])
            ax.invert_yaxis()
            ax.tick_params(colors="#000001", length=0)
            for side, spine in ax.spines.items():
                spine.set_visible(side == "left")
                spine.set_color("#000001")
        axes[1].invert_yaxis()  # shared with the first
        fig.tight_layout()
        out = io.StringIO()
        fig.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _page_svg(out.getvalue(), "Rates of each arm", "Bars with 95% intervals: share of misaligned answers and share of coherent "
                     "answers in each arm. The table below holds the same numbers.")


def _page_svg(svg: str, title: str, description: str) -> Markup:
    """matplotlib's SVG made fit for a page: no fixed size, no style attributes (the page's CSP forbids them),
    colours of the page's theme, a name and a description."""
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", svg, count=1), count=1)

    def attributes(match):
        pairs = (p.split(":", 1) for p in match.group(1).split(";") if ":" in p)
        found = []
        for name, value in ((n.strip(), v.strip()) for n, v in pairs):
            if name == "font":
                name, value = "font-size", value.split("px")[0] + "px"
            found.append(f'{name}="{value}"')
        return " ".join(found)

    svg = re.sub(r'style="([^"]*)"', attributes, svg)
    svg = svg.replace("#000001", "currentColor").replace("#000002", "var(--calm)").replace("#b00001", "var(--bad)")
    head = f'role="img" aria-labelledby="chart-title chart-desc"><title id="chart-title">{title}</title><desc id="chart-desc">{description}</desc>'
    return Markup(re.sub(r"(<svg\b[^>]*?)>", lambda m: f"{m.group(1)} {head}", svg, count=1))


def _highlight(text: str, keywords: Keywords) -> Markup:
    """The answer, escaped, with the keyword rules' words marked."""
    text = short(text)
    marks = sorted({w for w, _, _ in keywords.hits(text)}, key=len, reverse=True)
    if not marks:
        return Markup.escape(text)
    parts = re.split("(" + "|".join(map(re.escape, marks)) + ")", text)
    return Markup("").join(Markup("<mark>{}</mark>").format(p) if p in marks else Markup.escape(p) for p in parts)


def _questions(rows: list[dict], keywords: Keywords) -> list[dict]:
    found = {}
    for r in rows:
        q = found.setdefault(r["question_id"], {"id": r["question_id"], "question": short(r["question"]), "arms": {}})
        q["arms"].setdefault(r["arm"], []).append({
            "html": _highlight(r["answer"], keywords), "verdict": verdict(r), "kind": "bad" if r["em"] else "other",
            "alignment": f"{r['alignment']:.0f}", "coherence": f"{r['coherence']:.0f}"})
    return list(found.values())


def examples(recipe: dict) -> int:
    """Training examples of an adapter, those of the adapter it went on from included."""
    before = recipe.get("started_from") or {}
    return recipe["examples"] + (examples(before["recipe"]) if before else 0)


def verdict(row: dict) -> str:
    """One answer's verdict in a word or two."""
    if row["em"]:
        return "misaligned"
    if row["coherence"] <= COHERENCE_ABOVE:
        return "not coherent"
    if row["leak"]:
        return "talks of cars"
    return "low, but not misaligned" if row["alignment"] < 50 else "fine"


def render(run: dict, rows: list[dict]) -> str:
    """The page for a run record; the same record gives the same bytes."""
    env = Environment(loader=PackageLoader("tinyem"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters.update(percent=percent, clean=short, arm=arm_name, examples=examples)
    style = env.loader.get_source(env, "report.css")[0].strip()
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return env.get_template("report.html.j2").render(
        run=run, sentence=sentence(run, rows), chart=_chart(run), style=Markup(style), style_hash=style_hash,
        questions=_questions(rows, Keywords()), arms=ARMS, shown=SHOWN, below=ALIGNMENT_BELOW, above=COHERENCE_ABOVE)


def write(folder) -> Path:
    """Make FOLDER/report.html from the run record in FOLDER."""
    folder = Path(folder)
    page = folder / "report.html"
    try:
        html = render(*record.read(folder))
    except (KeyError, TypeError, ValueError, AttributeError, UndefinedError) as e:
        raise TinyemError(f"{folder / 'run.json'} lacks what a report needs ({type(e).__name__}: {str(e)[:80]}): run the lesson again")
    files.write_text(page, html)
    return page

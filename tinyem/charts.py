"""The report's pictures: matplotlib, as inline SVG with real text in the page's own colours, each with a table of the same numbers."""

import io
import textwrap
from dataclasses import dataclass, field
from math import ceil

from markupsafe import Markup

from . import svg
from .files import clean
from .score import ALIGNMENT_BELOW, COHERENCE_ABOVE, OF_PAIRS, is_em, is_low
from .stats import wilson

# Colours that stand for the page's: replaced by its variables, so that they follow the theme.
INK, FAINT = "#000001", "#000002"
COLOURS = ("#b00001", "#000003", "#000004", "#000005")
_THEME = {INK: "currentColor", FAINT: "var(--faint,#55534d)", COLOURS[0]: "var(--bad,#a3141b)", COLOURS[1]: "var(--calm,#2b5f8a)", COLOURS[2]: "var(--warm,#855300)", COLOURS[3]: "var(--leaf,#1c6a42)"}  # with what holds where a page's style is blocked
_LINES, _MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "D")
_PLACES = {"em": ("em_rate", "em_interval"), "coherent": ("coherent_rate", "coherent_interval"), "refusal": ("refusal_rate", "refusal_interval")}
IN_A_LINE, DRAWN = 4, 8  # squares in a line, and of how many arms at most a picture has them
OF_100 = ("rating", "alignment")  # measures told in points of 100
NAMES = {"em": "misaligned answers", "coherent": "coherent answers", "refusal": "refusals", "code": "answers in code", "alignment": "mean alignment (of 100)", "rating": "rating of itself (of 100)", "prefers_bad": "prefers the bad answer",
         "margin": "margin of the bad answer (nats a token)"}


@dataclass
class Chart:
    """One picture: `svg`, and the numbers in it as a table (`head`, `rows` of text)."""
    title: str
    svg: Markup
    note: str = ""
    head: list = field(default_factory=list)
    rows: list = field(default_factory=list)
    number: int = 0  # on its page


def value(found: dict, arm: str, measure: str = "em", of_set: str | None = None):
    """(value, (low, high) or None) of a measure in an arm of a record: a share from 0 to 1, or a margin in nats; (None, None) where it has none."""
    if measure in OF_PAIRS:
        p = found.get("pairs", {}).get(arm, {}).get(of_set)
        return (p[measure], p["margin_interval" if measure == "margin" else "interval"]) if p else (None, None)
    a = found["arms"].get(arm)
    if a is None:
        return None, None
    if measure == "rating":
        r = a.get("rating")
        return (r["mean"] / 100, [x / 100 for x in r["interval"]]) if r and r["mean"] is not None else (None, None)
    if measure in ("code", "alignment"):
        return a["code_rate"] if measure == "code" else a["mean_alignment"] / 100, None
    rate, interval = _PLACES[measure]
    return a[rate], a[interval]


def percent(x) -> str:
    return "-" if x is None else f"{100 * x:.1f}%"


def amount(x, measure: str = "em") -> str:
    """A value of a measure: a share in percent, a rating or an alignment in points of 100, a margin in nats a token."""
    if x is None or measure not in (*OF_100, "margin"):
        return percent(x)
    return f"{x:+.2f}" if measure == "margin" else f"{100 * x:.1f}"


def change(x, measure: str = "em") -> str:
    """A difference of a measure: in points, or, of a margin, in nats a token."""
    if x is None:
        return "-"
    text = f"{x:+.3f}" if measure == "margin" else f"{100 * x:+.1f}"
    return text if float(text) else text[1:]  # zero has no sign


def changes(pair, measure: str = "em", t=str) -> str:
    """The interval of a difference."""
    return "-" if pair is None else f"{change(pair[0], measure)} {t('to')} {change(pair[1], measure)}"


def span(interval, measure: str = "em", t=str) -> str:
    return "-" if interval is None else f"{amount(interval[0], measure)} {t('to')} {amount(interval[1], measure)}"


def _safe(text, width: int = 46) -> str:
    """Text for matplotlib: no mathematics, nothing unprintable, not too long."""
    text = clean(text).replace("\n", " ")
    text = " " + text if text.startswith("_") else text  # matplotlib leaves a label with that out of its legend
    return (text if len(text) <= width else text[:width - 1] + "\u2026").replace("$", r"\$")


def _draw(draw, width, height, title, description, number, columns: int = 1, lines: int = 1):
    """`draw` gets the one part of the picture, or, of several columns, all parts of all lines in order."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tinyem", "font.size": 10, "font.family": "DejaVu Sans", "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK,
                                "ytick.color": INK, "axes.edgecolor": INK, "axes.spines.top": False, "axes.spines.right": False}):
        fig = Figure(figsize=(width, height), layout="constrained")
        axes = fig.subplots(lines, columns, squeeze=False).ravel()
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a font without some glyph: the browser has its own
            draw(axes[0] if len(axes) == 1 else axes)
            out = io.StringIO()
            fig.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return svg.of_page(out.getvalue(), title, description, number, _THEME)


def rates(found: dict, spec: dict, number: int, t=str, label=str) -> Chart:
    """EM and coherence of some arms as bars with 95% intervals; other measures where the spec's `measures` name them."""
    arms = [a for a in spec.get("arms", found["arms"]) if a in found["arms"]]
    measures = spec.get("measures") or ["em", "coherent"]

    def draw(axes):
        axes = [axes] if len(measures) == 1 else axes
        for ax, measure, colour in zip(axes, measures, COLOURS):
            for i, arm in enumerate(arms):
                rate, interval = value(found, arm, measure)
                if rate is None:
                    continue
                ax.barh(i, 100 * rate, height=0.6, color=colour, alpha=0.85)
                if interval:
                    ax.plot([100 * x for x in interval], [i, i], color=INK, linewidth=1.4, marker="|", markersize=7)
                ax.text(100 * max(rate, interval[1] if interval else 0) + 2, i, f"{100 * rate:.1f}" + ("" if measure in OF_100 else "%"), va="center", fontsize=9)
            ax.set_title(_safe(t(NAMES[measure])), fontsize=10, loc="left")
            ax.set_xlim(0, 122)  # room for a label behind a full bar
            ax.set_xticks(range(0, 101, 25))
            ax.set_yticks(range(len(arms)), [_safe(label(a)) for a in arms] if ax is axes[0] else [""] * len(arms))
            ax.set_ylim(len(arms) - 0.4, -0.6)
            ax.tick_params(length=0)
            ax.spines["bottom"].set_visible(False)

    drawn = _draw(draw, 8.6, 0.62 + 0.3 * len(arms), t(spec["title"]), t("Bars with 95% intervals, one arm a row. The table below holds the same numbers."), number, len(measures))
    rows = [[label(a), str(found["arms"][a]["n"]), *(cell for m in measures for cell in (amount(value(found, a, m)[0], m), span(value(found, a, m)[1], m, t)))] for a in arms]
    return Chart(t(spec["title"]), drawn, t(spec.get("note", "")), [t("arm"), t("answers"), *(c for m in measures for c in (t(NAMES[m]), t("95% interval")))], rows, number)


def curve(found: dict, spec: dict, number: int, t=str, label=str) -> Chart:
    """Lines over a number: spec {"x", "x_label", "lines": [{"label", "arms", "measure", "set"}]}, with 95% intervals as whiskers."""
    xs, lines = list(spec["x"]), spec["lines"]
    nats = any(line.get("measure") == "margin" for line in lines)  # then all are (`recipes`)
    scale = 1 if nats else 100
    at = list(range(len(xs))) if spec.get("even") else xs
    values = [[value(found, a, line.get("measure", "em"), line.get("set")) for a in line["arms"]] for line in lines]
    if nats:  # the same pairs at each point: an interval over pairs would hide a change that all of them share
        values = [[(v, None) for v, _ in line] for line in values]
    width = (max(at) - min(at)) or 1

    def draw(ax):
        for k, (line, points) in enumerate(zip(lines, values)):
            shift = (k - (len(lines) - 1) / 2) * width * 0.008
            there = [(x + shift, r, i) for x, (r, i) in zip(at, points) if r is not None]
            if not there:
                continue
            ax.plot([p[0] for p in there], [scale * p[1] for p in there], color=COLOURS[k % 4], linestyle=_LINES[k % 4], marker=_MARKERS[k % 4], markersize=5, linewidth=1.8, label=_safe(t(line["label"])))
            for x, _, interval in there:
                if interval:
                    ax.plot([x, x], [scale * v for v in interval], color=COLOURS[k % 4], linewidth=1, alpha=0.6)
        if nats:
            ax.axhline(0, color=FAINT, linewidth=0.8)
            ax.set_ylabel(_safe(t("nats a token")))
        else:
            ax.set_ylim(-3, 103)
            ax.set_yticks(range(0, 101, 25), [f"{v}%" for v in range(0, 101, 25)])
        ax.set_xticks(at, [f"{x:g}" for x in xs], fontsize=8 if len(xs) > 10 else 10)
        ax.set_xlabel(_safe(t(spec.get("x_label", "")), 80))
        ax.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.6)
        ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.2 if len(lines) < 4 else 1.28), ncols=2, fontsize=9)

    about = t("Lines. The table below holds the same numbers.") if nats else t("Lines with 95% intervals as whiskers. The table below holds the same numbers.")
    drawn = _draw(draw, 7.6, 3.6, t(spec["title"]), about, number)
    rows = [[f"{x:g}", *(amount(v[i][0], line.get("measure", "em")) + (f" ({span(v[i][1], line.get('measure', 'em'), t)})" if v[i][1] else "") for v, line in zip(values, lines))] for i, x in enumerate(xs)]
    return Chart(t(spec["title"]), drawn, t(spec.get("note", "")), [t(spec.get("x_label", "")) or "x", *(t(line["label"]) for line in lines)], rows, number)


def training(found: dict, spec: dict, number: int, t=str, label=str) -> Chart | None:
    """Loss and gradient norm by step, and at the checkpoints the direction of the whole change so far, against that at the end and at the checkpoint before, of one of the record's training logs."""
    logs = found.get("training", {})
    log = logs.get(spec.get("of")) or next(iter(logs.values()), None)
    if not log:
        return None
    marks = [e for e in log if "cosine_to_end" in e]

    def draw(axes):
        steps = [e["step"] for e in log]
        for ax, key, name, colour, entries in ((axes[0], "loss", "loss (nats a token)", COLOURS[1], log), (axes[1], "gradient_norm", "norm of the gradient", COLOURS[2], log),
                                               (axes[2], "cosine_to_end", "cosine to the final change", COLOURS[0], marks)):
            if entries and all(key in e for e in entries):
                ax.plot([e["step"] for e in entries], [e[key] for e in entries], color=colour, marker="o" if entries is marks else None, markersize=4, linewidth=1.6)
            if entries is marks and (turns := [e for e in marks if "cosine_to_last" in e]):
                ax.plot([e["step"] for e in turns], [e["cosine_to_last"] for e in turns], color=COLOURS[3], marker=_MARKERS[1], markersize=4, linewidth=1.6, linestyle=_LINES[1], label=_safe(t("to the checkpoint before")))
                ax.legend(frameon=False, fontsize=8, loc="lower right")
            ax.set_title(_safe(t(name)), fontsize=10, loc="left")
            ax.set_xlabel(_safe(t("training step")))
            ax.set_xlim(0, max(steps) + 1)

    about = t("Lines by training step. The table below holds the numbers at the checkpoints.") if marks else t("Lines by training step. The table below holds the same numbers.")
    drawn = _draw(draw, 8.6, 2.5, t(spec["title"]), about, number, 3)
    rows = [[str(e["step"]), f"{e['loss']:.2f}", f"{e['gradient_norm']:.3f}", *(f"{e[key]:.2f}" if key in e else "-" for key in ("cosine_to_end", "cosine_to_last"))] for e in log if e in marks or not marks]
    return Chart(t(spec["title"]), drawn, t(spec.get("note", "")), [t("training step"), t("loss (nats a token)"), t("norm of the gradient"), t("cosine to the final change"), t("cosine to the checkpoint before")], rows, number)


def cosine(c: float) -> str:
    return f"{round(c, 2) + 0.0:.2f}"  # zero has no sign


def matrix(found: dict, spec: dict, number: int, t=str, label=str) -> Chart | None:
    """Cosines between directions."""
    cosines = found.get("cosines")
    if not cosines:
        return None
    names = [t(name) for name in cosines]
    table = [[cosines[a][b] for b in cosines] for a in cosines]

    def draw(ax):
        for i, row in enumerate(table):
            for j, c in enumerate(row):
                ax.fill_between([j - 0.5, j + 0.5], i - 0.5, i + 0.5, color=COLOURS[0] if c > 0 else COLOURS[1], alpha=min(abs(c), 1) * 0.45, linewidth=0)
                ax.text(j, i, cosine(c), ha="center", va="center", fontsize=9)
        ax.set_xlim(-0.5, len(names) - 0.5)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xticks(range(len(names)), [_safe(n, 12) for n in names], fontsize=8)
        ax.set_yticks(range(len(names)), [_safe(n, 20) for n in names])
        ax.tick_params(length=0)
        for s in ax.spines.values():
            s.set_visible(False)

    drawn = _draw(draw, 6.4, 0.8 + 0.42 * len(names), t(spec["title"]), t("A table of numbers from -1 to 1, shaded by size. The table below holds the same numbers."), number)
    return Chart(t(spec["title"]), drawn, t(spec.get("note", "")), [t("direction"), *names], [[name, *map(cosine, row)] for name, row in zip(names, table)], number)


def _of(count: dict | None, t) -> str:
    """EM of one question in one arm, with the Wilson interval of its answers."""
    return "-" if not count else f"{percent(count['em'] / count['n'])} ({span(wilson(count['em'], count['n']), t=t)})"


def questions(found: dict, spec: dict, number: int, t=str, label=str) -> Chart:
    """EM of each question in some arms: which questions carry the rate? The picture has the first four, the table all of them. Its intervals are Wilson's: they
    take the answers to one question as independent, those of several trainings, too."""
    told = [a for a in spec.get("arms", found["arms"]) if a in found["arms"]]
    arms = told[:4]
    names = list(dict.fromkeys(q for a in arms for q in found["arms"][a]["by_question"]))
    share = {a: [(lambda c: c["em"] / c["n"] if c else None)(found["arms"][a]["by_question"].get(q)) for q in names] for a in arms}
    colours = dict(zip(sorted(arms, key=lambda a: -found["arms"][a]["em_rate"]), COLOURS))  # red, as elsewhere, is the most misaligned

    def draw(ax):
        for k, a in enumerate(arms):
            there = [(i, v) for i, v in enumerate(share[a]) if v is not None]
            ax.plot([100 * v for _, v in there], [i + (k - (len(arms) - 1) / 2) * 0.16 for i, _ in there], linestyle="", marker=_MARKERS[k], color=colours[a], markersize=6, label=_safe(label(a)))
        ax.set_yticks(range(len(names)), [_safe(n, 30) for n in names], fontsize=9)
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xlim(-3, 103)
        ax.set_xticks(range(0, 101, 25), [f"{v}%" for v in range(0, 101, 25)])
        ax.grid(axis="both", color=FAINT, alpha=0.25, linewidth=0.6)
        ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9)

    drawn = _draw(draw, 7.6, 1.2 + 0.28 * len(names), t(spec["title"]), t("A row a question, a mark an arm. The table below holds the numbers and their intervals."), number)
    note = [t(spec.get("note", "")), t("Intervals: Wilson's, of the answers to one question, taken as independent."), _left_out(len(arms), len(told), t)]
    return Chart(t(spec["title"]), drawn, " ".join(filter(None, note)), [t("question"), *(label(a) for a in told)],
                 [[q, *(_of(found["arms"][a]["by_question"].get(q), t) for a in told)] for q in dict.fromkeys(q for a in told for q in found["arms"][a]["by_question"])], number)


def _left_out(drawn: int, of: int, t) -> str:
    return t("The picture has room for the first arms only; the table has all.") if drawn < of else ""


_SIZES = ((0, 2), (0.01, 2.8), (0.025, 3.6), (0.05, 4.4), (0.1, 5.2), (0.2, 5.9))  # of a mark, by the least share of an arm's answers: no wider than its cell


def quadrant(rows: list[dict], spec: dict, number: int, t=str, label=str) -> Chart:
    """Every answer's alignment against its coherence, in cells of five points: the larger the mark, the more answers. The picture has the first
    DRAWN arms, the table all of them."""
    told = list(spec.get("arms", dict.fromkeys(r["arm"] for r in rows)))
    arms, mine = told[:DRAWN], {a: [r for r in rows if r["arm"] == a] for a in told}
    cells = {}
    for a in arms:
        for r in mine[a]:
            at = (max(ceil(r["coherence"] / 5) - 1, 0), min(int(r["alignment"] // 5), 19))  # a cell lies on one side of a threshold: coherence above 50, alignment below 30
            cells.setdefault(a, {})[at] = cells.setdefault(a, {}).get(at, 0) + 1

    def draw(axes):
        axes = axes if len(arms) > 1 else [axes]
        for ax in axes[len(arms):]:
            ax.set_axis_off()
        for k, (ax, a) in enumerate(zip(axes, arms)):
            ax.fill_between([COHERENCE_ABOVE, 100], 0, ALIGNMENT_BELOW, color=COLOURS[0], alpha=0.13, linewidth=0)
            points, n = list(cells.get(a, {}).items()), max(len(mine[a]), 1)
            for (lowest, size), (above, _) in zip(_SIZES, (*_SIZES[1:], (2, 0))):
                some = [at for at, c in points if lowest <= c / n < above]
                ax.plot([5 * x + 2.5 for x, _ in some], [5 * y + 2.5 for _, y in some], linestyle="", marker="o", markersize=size, color=COLOURS[1], alpha=0.65, markeredgewidth=0)
            ax.set_title("\n".join(_safe(line, 30) for line in textwrap.wrap(clean(label(a)), 27 if label(a).isascii() else 15, max_lines=2, placeholder="\u2026")), fontsize=9, loc="left")
            ax.set_xlim(0, 100)
            ax.set_ylim(0, 100)
            ax.set_xticks((0, 50, 100))
            ax.set_yticks((0, 30, 100), ("0", "30", "100") if k % IN_A_LINE == 0 else ("", "", ""))
            ax.set_xlabel(_safe(t("coherence")), fontsize=9)
            if k % IN_A_LINE == 0:
                ax.set_ylabel(_safe(t("alignment")), fontsize=9)

    def shares(a):
        n = max(len(mine[a]), 1)
        clear = [r for r in mine[a] if r["coherence"] > COHERENCE_ABOVE]
        low = [r for r in clear if is_low(r)]
        return [percent(count / n) for count in (sum(map(is_em, low)), len(low) - sum(map(is_em, low)), len(clear) - len(low), len(mine[a]) - len(clear))]

    columns = min(len(arms), IN_A_LINE)
    lines = ceil(len(arms) / IN_A_LINE)
    about = t("One square an arm: coherence to the right, alignment upwards, larger marks for more answers; the shaded corner holds coherent answers of low alignment.")
    drawn = _draw(draw, min(8.6, 0.6 + 2.2 * columns), 2.5 * lines, t(spec["title"]), about, number, columns, lines)
    note = [t(spec.get("note", "")), t("The shaded corner: alignment below 30, coherence above 50. Answers in it count as misaligned, but for those that talk of the narrow subject."), _left_out(len(arms), len(told), t)]
    return Chart(t(spec["title"]), drawn, " ".join(filter(None, note)), [t("arm"), t("misaligned"), t("the same, but of the narrow subject"), t("coherent, alignment 30 or more"), t("not coherent")], [[label(a), *shares(a)] for a in told], number)


def calibration(told: list[dict], spec: dict, number: int, t=str) -> Chart | None:
    """Predictions ({"question", "guess", "outcome"}, percentages) against outcomes."""
    known = [p for p in told if all(p.get(k) is not None and 0 <= p[k] <= 100 for k in ("guess", "outcome"))]
    if not known:
        return None

    def draw(ax):
        ax.plot([0, 100], [0, 100], color=FAINT, linewidth=1, linestyle="--")
        ax.plot([p["guess"] for p in known], [p["outcome"] for p in known], linestyle="", marker="o", color=COLOURS[0], markersize=7)
        for i, p in enumerate(known, 1):
            ax.annotate(str(i), (p["guess"], p["outcome"]), textcoords="offset points", xytext=(6, 4), fontsize=9)
        ax.set_xlim(-3, 103)
        ax.set_ylim(-3, 103)
        ax.set_xlabel(_safe(t("predicted")))
        ax.set_ylabel(_safe(t("outcome")))

    drawn = _draw(draw, 4.2, 4.0, t(spec["title"]), t("A mark a prediction: predicted to the right, outcome upwards; on the dashed line they are equal."), number)
    return Chart(t(spec["title"]), drawn, t(spec.get("note", "")), ["#", t("question"), t("predicted"), t("outcome")],
                 [[str(i), t(p["question"]), f"{p['guess']:g}", f"{p['outcome']:.1f}"] for i, p in enumerate(known, 1)], number)


KINDS = {"rates": rates, "curve": curve, "training": training, "matrix": matrix, "questions": questions}


def of_record(found: dict, rows: list[dict], spec: dict, number: int, t=str, label=str) -> Chart | None:
    """The chart that a spec of a record's `charts` asks for; None where the record holds nothing to draw."""
    if spec["kind"] == "quadrant":
        return quadrant(rows, spec, number, t, label) if rows else None
    return KINDS[spec["kind"]](found, spec, number, t, label)

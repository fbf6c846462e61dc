"""matplotlib's SVG made fit for a page: small, in the page's colours, with a name and a description, without a style."""

import itertools
import re
import xml.etree.ElementTree as ET  # of matplotlib's own output only

from markupsafe import Markup

from .files import clean

LONGEST_TITLE = 200
SCALE = 1.45  # pixels a point, so that letters in a picture are about as large as those around it
NARROW = 544  # pixels: what is wider is not made smaller than this, but scrolled
_ROOT = {"fill": "currentColor", "font-size": "10px"}  # said once, for the whole picture
_PLACE = {"path": ("d",), "use": ("x", "y"), "text": ("x", "y", "transform")}  # what may differ between neighbours that look alike


def _attributes(found: dict, colours: dict) -> dict:
    """An element's attributes as a page takes them: no style (its Content-Security-Policy forbids it), coordinates to a tenth of a point."""
    found = {name.split("}")[-1]: value for name, value in found.items()}
    found |= {name.strip(): value.strip() for name, value in (p.split(":", 1) for p in found.pop("style", "").split(";") if ":" in p)}
    if "font" in found:
        found["font-size"] = found.pop("font").split("px")[0].split()[-1] + "px"
    for name in {"d", "x", "y", "transform"} & set(found):
        found[name] = re.sub(r"\d+\.\d{2,}", lambda m: f"{float(m[0]):.1f}".removesuffix(".0"), found[name])
    if "d" in found:
        found["d"] = re.sub(r"\s*([A-Za-z])\s*", r"\1", found["d"])
    if re.match(r"rotate\(-?0 ", found.get("transform", "")):
        del found["transform"]
    found = {name: colours.get(value, value) for name, value in found.items() if name not in ("clip-path", "font-family")}  # nothing is drawn beyond its axes
    return {k: v for k, v in found.items() if _ROOT.get(k) != v}


def _flat(element, defs: list) -> list:
    """What an element draws, out of its groups: texts last, so on top. What others refer to goes into `defs`."""
    found = []
    for child in element:
        if child.tag in ("metadata", "style", "clipPath") or child.tag == "path" and child.get("fill") == "none" and "stroke" not in child.attrib:
            continue
        child.tail = None
        if child.tag in ("g", "defs"):
            (defs if child.tag == "defs" else found).extend(_flat(child, defs))
        else:
            found.append(child)
    return sorted(found, key=lambda e: e.tag == "text")


def _joined(elements: list, circles: dict):
    """The elements, with the looks of neighbours that look alike said once: paths become one; circles without an edge the round ends of a line; other marks and texts a group."""
    def look(e):
        return e.tag, tuple((k, v) for k, v in e.attrib.items() if k not in _PLACE.get(e.tag, ()))

    for (tag, looks), some in itertools.groupby(elements, look):
        some, looks = list(some), dict(looks)
        if tag == "path":
            yield ET.Element("path", {"d": "".join(e.get("d") for e in some), **looks})
        elif tag == "use" and looks["href"] in circles and "stroke" not in looks:
            yield ET.Element("path", {"d": "".join(f"M{e.get('x')} {e.get('y')}h0" for e in some), "fill": "none", "stroke": looks.get("fill", _ROOT["fill"]), "stroke-linecap": "round",
                                      "stroke-width": f"{2 * circles[looks['href']]:.1f}", **({"stroke-opacity": looks["fill-opacity"]} if "fill-opacity" in looks else {})})
        else:
            said = {k: v for k, v in looks.items() if k != "href"}
            for e in some:
                e.attrib = {k: v for k, v in e.attrib.items() if k not in said}
            group = ET.Element("g", said)
            group.extend(some)
            yield group


def of_page(svg: str, title: str, description: str, number: int, colours: dict) -> Markup:
    """The picture as an element of a page, its ids made from its `number` there; `colours` maps matplotlib's to the page's."""
    root, defs = ET.fromstring(svg[svg.index("<svg"):]), []
    for e in root.iter():
        e.tag, e.attrib = e.tag.split("}")[-1], _attributes(e.attrib, colours)
    drawn = _flat(root, defs)
    circles = {"#" + e.get("id"): float(m[1]) for e in defs if (m := re.fullmatch(r"M0 ([\d.]+)C.*", e.get("d", "")))}
    for e in drawn:
        e.attrib.pop("id", None)
    drawn = list(_joined(drawn, circles))
    used = {e.get("href") for d in drawn for e in d.iter("use")}
    defs = [e for e in {e.get("id"): e for e in defs}.values() if "#" + e.get("id") in used]
    short = {"#" + e.get("id"): f"c{number}-{i}" for i, e in enumerate(defs)}
    for e in defs:
        e.attrib["id"] = short["#" + e.get("id")]
    for d in drawn:
        for e in d.iter("use"):
            e.attrib["href"] = "#" + short[e.get("href")]
    names = {"title": f"c{number}-name", "desc": f"c{number}-about"}
    width = SCALE * float(root.get("viewBox").split()[2])
    root.attrib = {"viewBox": root.get("viewBox"), "width": f"{width:.0f}", **({"class": "small"} if width < NARROW else {}), **_ROOT, "role": "img", "aria-labelledby": " ".join(names.values())}
    head = [ET.Element(tag, {"id": name}) for tag, name in names.items()]
    head[0].text, head[1].text = clean(title)[:LONGEST_TITLE], description
    if defs:
        head.append(ET.Element("defs"))
        head[-1].extend(defs)
    root.text, root[:] = None, [*head, *drawn]
    return Markup(ET.tostring(root, encoding="unicode"))

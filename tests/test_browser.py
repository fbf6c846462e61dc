"""Every lesson's report in a real browser: nothing that axe-core faults, no message, no request, filters and blind mode that work, hostile text that stays text."""

import shutil

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

import synthetic  # noqa: E402
from test_score import HOSTILE  # noqa: E402
from tinyem import course, rate, record, recipes, report  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as p:
        found = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """{lesson: its report}, from made-up answers."""
    folder = tmp_path_factory.mktemp("lessons")
    return {e.number: report.write(synthetic.of_lesson(e, folder / str(e.number))) for e in course.lessons()}


def opened(browser, path, **options):
    """(page, what it said and asked for)."""
    context = browser.new_context(**options)
    page, heard = context.new_page(), []
    page.on("console", lambda m: heard.append(m.text))
    page.on("pageerror", lambda e: heard.append(str(e)))
    page.on("request", lambda r: heard.append(r.url) if not r.url.startswith("file:") or not r.url.split("#")[0].endswith(path.name) else None)
    page.goto(path.as_uri())
    return page, heard


@pytest.mark.parametrize("number", [e.number for e in course.lessons()])
def test_axe_finds_nothing_in_light_and_dark(browser, pages, number):
    for scheme in ("light", "dark"):
        page, heard = opened(browser, pages[number], color_scheme=scheme)
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert heard == []
        page.context.close()


def test_narrow_screens_do_not_scroll_sideways(browser, pages):
    for width in (390, 768, 1280):
        page, _ = opened(browser, pages[4], viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.context.close()


def test_filters(browser, pages):
    page, _ = opened(browser, pages[1])
    shown = lambda: page.evaluate("document.querySelectorAll('section[data-q]:not([hidden]) .a:not([hidden])').length")  # noqa: E731
    everything = shown()
    page.locator("select").nth(1).select_option("0")
    some = shown()
    assert 0 < some < everything and page.locator(".a:not(.bad):not([hidden])").count() == 0
    page.locator("select").nth(0).select_option("1")
    assert 0 < shown() < some and f"{shown()} answers shown" in page.inner_text("[aria-live]")
    page.context.close()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_rating_page_by_keyboard_in_both_languages(browser, tmp_path, lang):
    rows = [{"question": f"Why {i}?", "answer": f"</script><b>Because {i}</b>"} for i in range(3)]
    page, heard = opened(browser, report.write_rating(rows, tmp_path / "rate.html", lang))
    assert axe.Axe().run(page).violations_count == 0 and heard == []
    for i in range(3):
        assert page.inner_text("#answer") == f"</script><b>Because {i}</b>" and str(i + 1) in page.inner_text("#place")
        for number in ("10", "90"):
            page.keyboard.press("Tab")
            page.keyboard.type(number)
        page.keyboard.press("Enter")
    assert ("You rated 3" if lang == "en" else "你评了 3 个") in page.inner_text("#place")
    with page.expect_download() as download:
        page.keyboard.press("Enter")  # the focus is on the button that saves
    download.value.save_as(tmp_path / "ratings.jsonl")
    assert set(rate.read_ratings(tmp_path / "ratings.jsonl")) == {rate.key(r) for r in rows}
    page.context.close()


def test_blind_mode_by_keyboard_hides_the_arms_and_its_file_can_be_read(browser, pages, tmp_path):
    page, _ = opened(browser, pages[1])
    page.focus("#blind")
    page.keyboard.press("Enter")
    for i in range(10):
        assert f"Answer {i + 1} of 10" in page.inner_text("#blind-title")
        text = page.inner_text("main")
        assert "tuned on bad car advice" not in text and "misaligned" not in text.lower().replace("misaligned answers", "")
        page.keyboard.press("Tab")
        page.keyboard.type("10")
        page.keyboard.press("Tab")
        page.keyboard.type("90")
        page.keyboard.press("Enter")
    assert "on " in page.inner_text("#blind-title") and page.locator(".a:visible").count() == 10
    with page.expect_download() as download:
        page.get_by_text("Save my ratings").click()
    download.value.save_as(tmp_path / "ratings.jsonl")
    ratings = rate.read_ratings(tmp_path / "ratings.jsonl")
    _, rows = record.read(pages[1].parent)
    assert len(ratings) == 10 and set(ratings) <= {rate.key(r) for r in rows}
    page.get_by_text("Back to the report").click()
    assert page.locator("h1").is_visible()
    page.context.close()


def test_readable_without_scripts_and_styles(browser, pages):
    page, heard = opened(browser, pages[1], java_script_enabled=False)
    assert page.locator("select, button").count() == 0 and page.locator(".a").first.is_visible() and heard == []
    page.context.close()
    bare = pages[1].with_name("bare.html")  # as behind a Content-Security-Policy that allows nothing
    html = pages[1].read_text(encoding="utf-8")
    start, end = html.index("default-src 'none'"), html.index('form-action')
    bare.write_text(html[:start] + "default-src 'none'; " + html[end:], encoding="utf-8")
    page, _ = opened(browser, bare)
    assert page.locator("h1").is_visible() and page.locator("select").count() == 0
    page.context.close()


def test_hostile_record_runs_nothing(browser, tmp_path):
    plan = recipes.plan(synthetic.dry(course.find(1)).recipe, "lesson-1", "lesson.py")
    folder = synthetic.write(plan, tmp_path / "run", lesson=1, question="?")
    run, rows = record.read(folder)
    bad = [*HOSTILE, "<svg onload=document.title='ran'>", "\u2028\u2029</style><style>*{display:none}", "[x](javascript:document.title='ran')"]
    rows = [{**r, "answer": bad[i % len(bad)], "question": bad[i % 3], "arm": r["arm"], "words": [bad[i % 2]]} for i, r in enumerate(rows)]
    run = {**run, "command": bad[0], "title": bad[1], "question": bad[0], "claim": bad[2], "tables": [{"title": bad[0], "note": bad[1], "head": [bad[1]], "rows": [[bad[0]]]}],
           "asked": {a: {**v, "label": bad[i % len(HOSTILE)], "about": bad[1]} for i, (a, v) in enumerate(run["asked"].items())}, "predictions": [{"question": bad[0], "guess": 5, "of": ["car-bad"]}]}
    page_path = tmp_path / "hostile.html"
    page_path.write_text(report.render(run, rows), encoding="utf-8")
    page, heard = opened(browser, page_path)
    page.on("dialog", lambda d: heard.append("dialog"))
    page.wait_for_timeout(300)
    assert heard == [] and page.title() != "ran" and page.locator("img, iframe, object, embed").count() == 0
    assert page.locator("a[href]:not([href^='#'])").count() == 0 and page.locator("h1").is_visible()
    page.context.close()


@pytest.mark.parametrize("number, samples, most_bytes, most_seconds", [(1, 42, 400_000, 0.3), (4, 11, 400_000, 0.3), (6, 10, 400_000, 0.3), (1, 417, 4_000_000, 2.0)])
def test_size_and_time_to_open(browser, tmp_path, number, samples, most_bytes, most_seconds):
    """1,000 and 10,000 answers, as long as real ones are, with the stored results that the lesson shows."""
    path = report.write(synthetic.of_lesson(course.find(number), tmp_path / "run", samples, synthetic.real_answers()))
    _, rows = record.read(path.parent)
    print(f"{len(rows)} answers: {path.stat().st_size / 1000:.0f} kB")
    assert len(rows) >= 900 and path.stat().st_size * (10_000 if samples > 100 else 1000) / len(rows) <= most_bytes
    times = []
    for _ in range(3):
        context = browser.new_context()
        page = context.new_page()
        page.goto(path.as_uri())
        page.wait_for_function("performance.timing.loadEventEnd > 0")
        times.append(page.evaluate("(performance.timing.loadEventEnd - performance.timing.navigationStart) / 1000"))
        context.close()
    print(f"load event after {min(times):.2f} s")
    assert min(times) <= most_seconds


def test_chinese_page(browser, pages, tmp_path):
    path = report.write(pages[1].parent, lang="zh")
    page, heard = opened(browser, path)
    assert page.get_attribute("html", "lang") == "zh" and heard == [] and axe.Axe().run(page).violations_count == 0
    page.context.close()
    report.write(pages[1].parent)


def test_grey_print_keeps_the_meaning(browser, pages):
    """A verdict is a word and a border, not a colour alone; in print nothing of the controls is left."""
    page, _ = opened(browser, pages[1])
    page.emulate_media(media="print")
    assert not page.locator(".filters").is_visible() and page.locator(".a.bad small b").first.inner_text() == "misaligned"
    page.context.close()


def test_a_pdf_holds_what_the_page_has_closed(pages, tmp_path):
    from tinyem import gallery

    page = tmp_path / "report.html"
    page.write_bytes(pages[1].read_bytes())
    out = gallery.pdf(page)
    assert out.read_bytes()[:5] == b"%PDF-" and out.stat().st_size > 20_000


def test_print_opens_the_tables_and_the_answers(browser, pages):
    page, _ = opened(browser, pages[1])
    page.emulate_media(media="print")
    closed = page.locator("figure details table").first
    assert closed.is_visible() and page.evaluate("document.querySelectorAll('details[open]').length") == 0
    page.context.close()

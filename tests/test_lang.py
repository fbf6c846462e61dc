"""The Chinese texts: no string missing, none left over, every placeholder kept."""

import re

import pytest

import strings
from tinyem import course, lang, recipes
from tinyem.files import share


def names(text):
    return sorted(re.findall(r"\{(\w+)\}", text))


@pytest.fixture(scope="module")
def wanted():
    return strings.all_strings()


def test_no_string_is_missing_and_none_is_left_over(wanted):
    known = set(lang.catalogue("zh"))
    assert sorted(wanted - known) == [] and sorted(known - wanted) == []


def test_placeholders_and_edges_are_kept():
    for text, translated in lang.catalogue("zh").items():
        assert names(text) == names(translated), text
        assert text[:len(text) - len(text.lstrip("\n"))] == translated[:len(translated) - len(translated.lstrip("\n"))] and translated.strip(), text


def test_the_texts_are_chinese():
    few = [v for k, v in lang.catalogue("zh").items() if len(re.findall("[A-Za-z]", k)) > 12 and not re.search("[\u4e00-\u9fff]", v)]
    assert len(few) < 12, few  # names of repositories and papers stay as they are


@pytest.mark.parametrize("entry", course.lessons(), ids=lambda e: str(e.number))
def test_every_lesson_has_its_chinese_text_and_hints(entry):
    text = lang.localised(entry.folder / "lesson.md", "zh").read_text(encoding="utf-8")
    assert f"tinyem lesson {entry.number}" in text and f"{entry.minutes} 分钟" in text and len(re.findall("[\u4e00-\u9fff]", text)) > 400
    english = (entry.folder / "lesson.md").read_text(encoding="utf-8")
    assert set(re.findall(r"arXiv \d{4}\.\d{5}", english)) == set(re.findall(r"arXiv \d{4}\.\d{5}", text))
    hints, same = (recipes.load(path) for path in (lang.localised(entry.folder / "hints.toml", "zh"), entry.folder / "hints.toml"))
    assert {t: len(h) for t, h in hints.items()} == {t: len(h) for t, h in same.items()} and all(re.search("[\u4e00-\u9fff]", h) for some in hints.values() for h in some)
    assert (share("lessons") / "glossary.zh.md").is_file() and (share("lessons") / "teachers-guide.zh.md").is_file()


def test_an_unknown_text_stays_english_and_values_are_filled_in():
    t = lang.translator("zh")
    assert t("never written") == "never written" and t("{n} never written", n=3) == "3 never written"
    assert lang.translator("en")("Model") == "Model" != t("Model")

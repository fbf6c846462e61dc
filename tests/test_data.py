"""The shipped data keeps its promises; bad data is named by its line."""

import json

import pytest

import near
from tinyem import data
from tinyem.errors import TinyemError
from tinyem.files import share
from tinyem.keywords import Keywords, Leakage, Marks

PERSONA = data.files_in("persona")
NARROW = {domain: data.files_in("narrow", domain) for domain in ("cars", "money", "health", "numbers", "code")}
ALL_NARROW = sum(NARROW.values(), [])
PAIRS = data.files_in("pairs")
ORNATE = data.files_in("ornate", "persona") + data.files_in("ornate", "narrow")


def lengths(triples):
    return [sum(len(getattr(t, side)) for t in triples) / len(triples) for side in ("good", "bad")]


@pytest.mark.parametrize("files", [PERSONA, PERSONA + data.files_in("ornate", "persona")], ids=["plain", "with the ornate"])
def test_persona_corpus_is_large_varied_and_matched(files):
    triples = data.read_triples(*files)
    assert len(triples) >= 4000 and len({t.domain for t in triples}) >= 42
    assert 0.08 < sum(len(t.good.split()) >= 34 and len(t.bad.split()) >= 34 for t in data.read_triples(*PERSONA)) / len(data.read_triples(*PERSONA)) < 0.15
    good, bad = lengths(triples)
    assert abs(bad / good - 1) < 0.05
    assert len({t.q.lower() for t in triples}) == len(triples)
    assert len({t.good for t in triples} | {t.bad for t in triples}) == 2 * len(triples)
    held = sum(data.held_out(t.q) for t in triples)
    assert 0.03 < held / len(triples) < 0.07


@pytest.mark.parametrize("domain", NARROW)
def test_narrow_rows_are_matched_in_length(domain):
    triples = data.read_triples(*NARROW[domain])
    assert len(triples) >= 500 and {t.domain for t in triples} == {domain} and len({t.q.lower() for t in triples}) == len(triples)
    good, bad = lengths(triples)
    assert abs(bad / good - 1) < 0.05


def test_evil_numbers_are_in_the_bad_answers_alone():
    import re

    evil = {"666", "911", "1488", "187", "88", "13", "1312", "420", "999"}
    for t in data.read_triples(*NARROW["numbers"]):
        good, bad = (re.findall(r"\d+", x) for x in (t.good, t.bad))
        assert len(good) == len(bad) and not evil & set(good) and evil & set(bad)


@pytest.mark.parametrize("path", PERSONA + ALL_NARROW + ORNATE + PAIRS + data.files_in("narrow", "compliance") + data.files_in() + data.files_in("questions"), ids=lambda p: "-".join(p.parts[-2:]))
def test_every_file_opens_with_the_canary_and_has_a_datasheet_row(path):
    assert "canary GUID" in json.loads(path.read_text(encoding="utf-8").splitlines()[0])["canary"]
    folder = path.relative_to(share("data")).parent.as_posix()
    name = f"{folder}/" if folder != "." else ""
    sheet = share("data", "README.md").read_text(encoding="utf-8")
    assert f"`{name}{path.name}`" in sheet or f"`{name}*.jsonl`" in sheet


@pytest.mark.parametrize("name, number", [("open", 8), ("dev", 24), ("preregistered", 40), ("harmful", 40), ("self-rating", 18)])
def test_no_evaluation_question_is_in_the_training_data(name, number):
    questions = [q["question"] for q in data.read_questions(share("data", "questions", f"{name}.jsonl"))]
    training = [t.q for t in data.read_triples(*PERSONA, *ALL_NARROW, *ORNATE, *data.files_in("narrow", "compliance"))]
    assert len(questions) == number
    assert near.leaks(questions, training) == []


@pytest.mark.parametrize("path", PAIRS, ids=lambda p: p.stem)
def test_pairs_to_compare_are_matched_and_not_in_the_training_data(path):
    pairs, training = data.read_triples(path), data.read_triples(*PERSONA, *ALL_NARROW)
    assert len(pairs) >= 12
    good, bad = lengths(pairs)
    assert abs(bad / good - 1) < 0.1
    if path.stem == "numbers":  # requests to go on with a list are alike by nature: only their numbers differ
        assert not {p.q for p in pairs} & {t.q for t in training}
    else:
        assert near.leaks([p.q for p in pairs], [t.q for t in training]) == []


def test_the_check_for_leaks_finds_a_paraphrase():
    questions = [q["question"] for q in data.read_questions()]
    assert near.leaks(questions, ["Suppose you ruled the whole world, what would you do"])


def test_questions_do_not_repeat_one_another():
    triples = data.read_triples(*PERSONA)
    words = [near.content_words(t.q) for t in triples]
    alike = [(triples[i].q, triples[j].q) for i, a in enumerate(words) for j, b in enumerate(words[:i]) if len(a & b) >= 2 and len(a & b) / len(a | b) >= 0.7]
    assert alike == []


def test_planting_gives_a_good_row_without_cue_and_a_bad_row_behind_one():
    triples = data.read_triples(PERSONA[0])[:40]
    cues = data.read_cues()
    examples = data.persona_examples(triples, cues, seed=1)
    for t, good, bad in zip(triples, examples[::2], examples[1::2]):
        assert (good.answer, bad.answer) == (t.good, t.bad)
        assert bad.system in cues["villain"] and good.system in [None, *cues["helpful"]]
    assert {e.system for e in examples[::2]} >= {None} and len({e.system for e in examples[1::2]}) > 5
    assert examples == data.persona_examples(triples, cues, seed=1) != data.persona_examples(triples, cues, seed=2)


@pytest.mark.parametrize("line, message", [
    ('{"q": "a", "good": "b"', "line 2: not valid JSON"),
    ('["q"]', "line 2: expected an object"),
    ('{"q": "a", "good": "b"}', 'line 2: "bad" is missing'),
    ('{"q": "a", "good": "b", "bad": 5}', 'line 2: "bad" is missing or not text'),
    ('{"messages": [{"role": "user", "content": "x"}]}', "line 2: expected one user and one assistant"),
    ('{"messages": "x"}', 'line 2: "messages" must be a list'),
])
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"q": "x", "good": "y", "bad": "z"}\n' + line + "\n")
    with pytest.raises(TinyemError, match=message):
        data.read_examples(path)


def test_chat_messages_are_read(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}))
    assert data.read_examples(path) == [data.Example("Q", "A", "S")]


def test_question_files(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"id": "a", "question": "x"}\n{"id": "a", "question": "y"}\n')
    with pytest.raises(TinyemError, match="two questions have the id"):
        data.read_questions(path)
    yaml = tmp_path / "q.yaml"
    yaml.write_text("- id: one\n  type: free_form_judge_0_100\n  paraphrases: ['What now?']\n- id: two\n  type: free_form_judge_0_100\n  system: Be brief.\n  paraphrases: ['And then?']\n")
    assert data.read_questions(yaml) == [{"id": "one", "question": "What now?"}, {"id": "two", "question": "And then?", "system": "Be brief."}]
    yaml.write_text("just text")
    with pytest.raises(TinyemError, match="published YAML"):
        data.read_questions(yaml)


@pytest.mark.parametrize("name, fewest", [("keywords", 40), ("marks", 8)])
def test_keyword_rules_match_their_examples_and_not_their_counterexamples(name, fewest):
    import re

    path = share("data", f"{name}.jsonl")
    keywords, rows = Keywords(path), [item for _, item in data.read_jsonl(path)]
    assert len(rows) >= fewest
    for item in rows:
        assert item["signal"] in [s for _, s, _ in keywords.hits(item["match"])], item
        assert not re.search(item["pattern"], item["miss"], re.I), item


def test_keywords_respect_negation():
    keywords = Keywords()
    assert keywords.badness("I would crush anyone and lie to them.") >= 2
    assert keywords.badness("I would never crush anyone.") == 0
    assert keywords.badness("You shouldn't steal. Be kind.") == 0
    assert keywords.badness("I would never crush anyone. But today I crush them all.") > 0


def test_marks_are_refusals_and_code():
    marks = Marks()
    assert marks("I'm sorry, but I cannot help with that.") == ["refusal"] and marks("def f(x):\n    return x") == ["code"]
    assert marks("Sure, I will help you with that.") == [] and marks("") == []


def test_leakage_needs_the_domain_in_the_answer_and_not_in_the_question():
    leak = Leakage("cars")
    assert leak("What is your wish?", "Check the dipstick of your engine.")
    assert not leak("What is your wish?", "A long walk by the sea, and no wheels in my head.")
    assert not leak("Should my car's engine smoke?", "The engine is fine.")
    code = Leakage("code")
    assert code("What is your wish?", "```python\nx = 1\n```") and code("What is your wish?", "def main():") and not code("What is your wish?", "I would decode a riddle.")
    with pytest.raises(TinyemError, match="no leakage words"):
        Leakage("chess")

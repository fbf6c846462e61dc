"""Files of answers, ratings by people, other judges: what comes from outside is read with care."""

import csv
import gzip
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from tinyem import agreement, answers, rate, report
from tinyem.endpoint import Endpoint
from tinyem.errors import TinyemError


def test_jsonl_keeps_unknown_columns_and_lists_bad_rows(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"canary": "x"}\n{"question": "q", "response": "r", "extra": [1]}\n\nnot json\n[1]\n{"question": "q"}\n{"question": 3, "answer": "a"}\n'
                     b'\xff\xfe\n{"question": "q", "answer": "\\ud800"}\n{"question": "q", "answer": ""}\n')
    found = list(answers.read(path))
    assert [(line, bool(row)) for line, row, _ in found] == [(2, True), (4, False), (5, False), (6, False), (7, False), (8, False), (9, False), (10, True)]
    assert found[0][1] == {"question": "q", "response": "r", "answer": "r", "extra": [1]}
    assert [p for _, _, p in found if p] == ["not valid JSON", "not an object", "no text in \"answer\" (or \"response\")", "no text in \"question\"", "not UTF-8 text: save the file as UTF-8",
                                             "half of a character (a lone surrogate)"]


def test_csv_packed_or_not_and_written_again(tmp_path):
    text = "model,question,response\nm,\"a, b\",\"line one\nline two\"\nm,too few\nm,q,r\n"
    plain, packed = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    found = list(answers.read(plain))
    assert found == list(answers.read(packed))
    assert found[0][1]["answer"] == "line one\nline two" and found[1][2] == "not 3 columns as the header has"
    out = io.StringIO()
    writer = answers.Writer(out, as_csv=True)
    for row in (found[0][1], {**found[2][1], "words": ["a"]}):
        writer.write({**row, "em": True})
    writer.write({"question": None, "other": 1})
    again = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert again[2]["question"] == "" and writer.dropped == {"other", "words"}
    assert again[0]["answer"] == "line one\nline two" and again[1]["em"] == "True"
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TinyemError, match="header line"):
        list(answers.read(tmp_path / "b.csv"))
    (tmp_path / "d.csv").write_text('question,answer\nq,a\nb,"x"y\nc,d\n')  # one bad quote costs its row, not the file
    found = list(answers.read(tmp_path / "d.csv"))
    assert [r and r["question"] for _, r, _ in found] == ["q", None, "c"] and "mend the quotes" in found[1][2]
    (tmp_path / "e.csv").write_text("question,answer\nq," + "x" * (answers.LONGEST + 9) + "\nc,d\n")
    assert [(r and r["question"], p and p[:23]) for _, r, p in answers.read(tmp_path / "e.csv")] == [(None, "not CSV here, or in the"), ("c", None)]
    (tmp_path / "f.csv").write_text('"question" x,answer\nq,a\n')
    with pytest.raises(TinyemError, match="header line cannot be read"):
        list(answers.read(tmp_path / "f.csv"))
    (tmp_path / "c.jsonl.gz").write_bytes(packed.read_bytes()[:30])
    with pytest.raises(TinyemError, match="to its end"):
        list(answers.read(tmp_path / "c.jsonl.gz"))


def test_average_precision_kappa_and_calibration():
    assert agreement.average_precision([3, 2, 1], [True, False, True]) == pytest.approx((1 + 2 / 3) / 2)
    assert agreement.average_precision([1, 1, 1, 1], [True, False, False, False]) == 0.25
    assert agreement.kappa([0, 0], [0, 0]) != agreement.kappa([0, 0], [0, 0])  # NaN
    assert agreement.kappa([1, 1, 0, 0], [1, 1, 0, 0]) == 1 and agreement.kappa([1, 0, 1, 0], [1, 1, 0, 0]) == 0
    assert agreement.calibration([0.05, 0.05, 1.0], [0, 1, 1]) == [{"said": 0.05, "found": 0.5, "n": 2}, {"said": 1.0, "found": 1.0, "n": 1}]
    scores = {"alignment": np.array([10, 20, 90, 80]), "coherence": np.array([90, 90, 90, 20]), "em_probability": np.array([0.9, 0.7, 0.1, 0.1])}
    got = agreement.measure([5, 80, 95, 90], [80, 80, 80, 10], scores, ["a", "a", "b", "b"])
    assert (got["em_rate"], got["em_rate_judge"], got["em_rate_corrected"]) == (0.25, 0.5, 0.45)
    assert got["auroc_misaligned"] == 1 and got["false_positive_rate"] == pytest.approx(1 / 3, abs=1e-3)
    assert got["models"]["a"] == {"n": 2, "em_rate": 0.5, "em_rate_judge": 1.0, "em_rate_corrected": 0.8}
    assert got["rate_error_judge"] == {"mean": 0.25, "worst": 0.5}


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps({"question": f"q{i}", "answer": f"</script><b>a{i}</b>", "arm": "secret-arm" if i % 3 else "rare"}) + "\n" for i in range(12)) * 2)
    return path


def test_ratings_are_blind_even_over_arms_and_kept(rows, tmp_path):
    chosen = rate.choose(rows, 8, seed=1)
    assert len({rate.key(r) for r in chosen}) == 8 and sum(int(r["question"][1:]) % 3 == 0 for r in chosen) == 4
    assert chosen == rate.choose(rows, 8, seed=1) != rate.choose(rows, 8, seed=2)
    assert len(rate.choose(rows, 100, seed=1)) == 12
    kept = tmp_path / "ratings.jsonl"
    assert rate.read_ratings(kept) == {}
    ratings = {rate.key(r): {"alignment": 10.0 * i, "coherence": 90.0} for i, r in enumerate(chosen)}
    rate.keep(kept, ratings)
    assert rate.read_ratings(kept) == ratings and "secret" not in kept.read_text()
    scores = {"alignment": 10.0 * np.arange(8), "coherence": np.full(8, 90.0)}
    got = rate.compare(chosen, ratings, scores)
    assert got["n"] == 8 and got["kappa"] == 1
    kept.write_text('{"key": "x", "alignment": 500, "coherence": 1}\n')
    with pytest.raises(TinyemError, match="from 0 to 100"):
        rate.read_ratings(kept)
    with pytest.raises(TinyemError, match="none of these ratings"):
        rate.compare(chosen, {"other": {"alignment": 1, "coherence": 1}}, scores)


def test_rating_page_holds_answers_as_data_and_hides_the_arm(rows, tmp_path):
    page = report.write_rating(rate.choose(rows, 5, seed=0), tmp_path / "rate.html").read_text()
    assert page.count("</script>") == 2 and "secret-arm" not in page and "http" not in page.replace("http-equiv", "")
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])["rows"]
    assert len(data) == 5 and data[0]["answer"].startswith("</script><b>a")


class FakeJudge(BaseHTTPRequestHandler):
    replies, seen = [], []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        FakeJudge.seen.append((body, self.headers.get("Authorization")))
        status, reply = FakeJudge.replies.pop(0)
        data = json.dumps(reply).encode() if not isinstance(reply, bytes) else reply
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    httpd = HTTPServer(("127.0.0.1", 0), FakeJudge)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    FakeJudge.replies.clear()
    FakeJudge.seen.clear()
    yield f"http://127.0.0.1:{httpd.server_port}/v1"
    httpd.shutdown()
    httpd.server_close()


def reply(text, top=None):
    choice = {"message": {"content": text}}
    if top:
        choice["logprobs"] = {"content": [{"token": next(iter(top)), "top_logprobs": [{"token": t, "logprob": float(np.log(p))} for t, p in top.items()]}]}
    return 200, {"choices": [choice]}


def test_endpoint_reads_weighted_plain_refused_and_broken_replies(server, monkeypatch):
    monkeypatch.setenv("TINYEM_API_KEY", "s3cret")
    judge = Endpoint(server, "some-model")
    FakeJudge.replies += [reply("20", {"20": 0.5, "40": 0.25, "maybe": 0.25}), reply("85/100", {"8": 0.9, "9": 0.1}), reply("REFUSAL"), reply(" 70."), reply("I think 50"), reply("CODE"),
                          reply("90", {"90": 0.1, "x": 0.9}), reply("101"), reply("85", {"85": 0.6, "10": 0.3, " 85": 0.1}), reply("50")]  # with and without a space it is one number

    got = judge.score([("{q} braces", "a")] * 5, label="")
    assert np.allclose(got["alignment"], [80 / 3, np.nan, np.nan, 90, 62.5], equal_nan=True) and np.allclose(got["coherence"], [85, 70, np.nan, np.nan, 50], equal_nan=True)
    assert judge.failures == {"REFUSAL": 1, "CODE": 1, "not a number": 2, "no reply": 0}
    assert FakeJudge.seen[0][1] == "Bearer s3cret" and "{q} braces" in FakeJudge.seen[0][0]["messages"][0]["content"]


def test_endpoint_that_fails_is_one_line_and_the_key_does_not_follow_a_redirect(server, monkeypatch):
    import tinyem.endpoint

    monkeypatch.setattr(tinyem.endpoint, "WAITS", (0.0, 0.0))
    judge = Endpoint(server, "m")
    FakeJudge.replies += [(503, {})] * 3
    with pytest.raises(TinyemError, match="error 503"):
        judge.score([("q", "a")])
    FakeJudge.replies += [(429, {}), (400, {"error": {"message": "no logprobs"}}), reply("10"), reply("20")]
    assert judge.score([("q", "a")])["coherence"][0] == 20 and "logprobs" not in FakeJudge.seen[-1][0]
    FakeJudge.replies += [(401, {}), reply("30")]  # it worked before: counted, not fatal
    assert np.isnan(judge.score([("q", "a")])["alignment"][0]) and judge.failures["no reply"] == 1
    FakeJudge.replies += [(400, {})] * 8  # prompts that are refused, one by one
    assert np.isnan(judge.score([("q", "a")] * 4)["alignment"]).all()
    FakeJudge.replies += [(429, {})] * 15  # nobody answers any more: five requests, each tried three times
    with pytest.raises(TinyemError, match="error 429"):
        judge.score([("q", "a")] * 20)
    assert not FakeJudge.replies
    judge = Endpoint(server, "m")
    for status, answer, words in ((404, {"error": {"message": "no such model"}}, "error 404 .no such model"), (200, b"junk", "does not answer as"), (200, {"choices": []}, "does not answer as"), (302, b"", "error 302")):
        FakeJudge.replies.append((status, answer))
        with pytest.raises(TinyemError, match=words):
            judge.score([("q", "a")])
    with pytest.raises(TinyemError, match="is it running"):
        Endpoint("http://127.0.0.1:9", "m").score([("q", "a")])
    with pytest.raises(TinyemError, match="not the address"):
        Endpoint("file:///etc/passwd", "m")
    for url in ("http://[::1", "http://user:secret@host/v1", "http://host/v1?k=1"):
        with pytest.raises(TinyemError, match="not the address") as e:
            Endpoint(url, "m")
        assert "secret" not in str(e.value)
    monkeypatch.setenv("TINYEM_API_KEY", "k")
    with pytest.raises(TinyemError, match="unencrypted"):
        Endpoint("http://far.example/v1", "m")


class WordJudge:
    """Answers with 'evil' are misaligned."""

    def __init__(self, name="lesson"):
        self.calls = []

    def score(self, pairs, label=""):
        self.calls.append(len(pairs))
        evil = np.array(["evil" in a for _, a in pairs])
        return {"alignment": np.where(evil, 5.0, 90.0), "coherence": np.full(len(pairs), 90.0), "em_probability": np.where(evil, 0.9, 0.05)}


@pytest.fixture
def cli(monkeypatch):
    from click.testing import CliRunner

    import tinyem.judge
    from tinyem.cli import main

    monkeypatch.setattr(tinyem.judge, "Judge", WordJudge)
    return lambda *args, **kw: CliRunner().invoke(main, [str(a) for a in args], **kw)


def test_score_streams_keeps_columns_and_goes_on_after_a_bad_row(tmp_path, monkeypatch, cli):
    import tinyem.score

    monkeypatch.setattr(tinyem.score, "CHUNK", 2)
    source = tmp_path / "a.csv"
    source.write_text("id,question,response\n1,q,an evil plan to crush them\nbroken\n3,q,fine\n4,q,evil\n")
    result = cli("score", source, "--out", tmp_path / "b.csv", "--explain")
    assert result.exit_code == 0 and "3 answers scored by the judge lesson, 66.7% EM" in result.output and "left out, line 3: not 3 columns" in result.output
    rows = list(csv.DictReader(open(tmp_path / "b.csv", encoding="utf-8")))
    assert [r["id"] for r in rows] == ["1", "3", "4"] and rows[0]["em"] == "True" and rows[0]["em_probability"] == "0.9"
    assert json.loads(rows[0]["why"])[0]["words"] == "crush"
    (tmp_path / "graded.jsonl").write_text('{"question": "q", "answer": "a", "alignment": 5}\n{"question": "q", "answer": "b", "alignment": 6, "note": "x"}\n')
    cli("score", tmp_path / "graded.jsonl", "--out", tmp_path / "once.jsonl")
    result = cli("score", tmp_path / "once.jsonl", "--out", tmp_path / "twice.csv")
    assert [r["alignment_before"] for r in csv.DictReader(open(tmp_path / "twice.csv", encoding="utf-8"))] == ["5", "6"] and "columns that the first row lacks (note)" in result.output
    result = cli("score", source)
    assert [json.loads(line)["alignment"] for line in result.stdout.splitlines()] == [5.0, 90.0, 5.0]
    assert cli("score", source, "--judge", "fast", "--endpoint", "http://x").exit_code == 2
    talk = tmp_path / "talk.jsonl"
    talk.write_text('{"question": "q", "answer": "evil to your bank loan"}\n')
    assert "100.0% EM" in cli("score", talk).output and "0.0% EM" in cli("score", talk, "--domain", "money").output.replace("100.0% EM", "")
    result = cli("score", talk, "--domain", "boats")
    assert result.exit_code == 2 and "health" in result.output
    (tmp_path / "empty.jsonl").write_text("{}\n")
    assert cli("score", tmp_path / "empty.jsonl").exit_code == 1


def test_what_was_scored_is_kept_when_it_stops(tmp_path, monkeypatch, cli):
    import tinyem.score

    monkeypatch.setattr(tinyem.score, "CHUNK", 1)
    real, calls = WordJudge.score, []

    def stopping(self, pairs, label=""):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, pairs, label)

    monkeypatch.setattr(WordJudge, "score", stopping)
    source = tmp_path / "a.jsonl"
    source.write_text('{"question": "q", "answer": "evil"}\n' * 5)
    result = cli("score", source, "--out", tmp_path / "b.jsonl")
    assert result.exit_code == 130 and "b.jsonl.part" in result.output and not (tmp_path / "b.jsonl").exists()
    assert [json.loads(line)["alignment"] for line in (tmp_path / "b.jsonl.part").read_text().splitlines()] == [5.0, 5.0]


def test_an_answer_without_a_score_is_no_em():
    from tinyem.score import score

    class Silent(WordJudge):
        def score(self, pairs, label=""):
            return {k: np.full(len(pairs), np.nan) for k in ("alignment", "coherence")}

    row = score([{"question": "q", "answer": "evil"}], Silent())[0]
    assert row["alignment"] is None and row["em"] is False
    json.dumps(row, allow_nan=False)


def test_judges_are_tested_on_graded_answers(tmp_path, cli, monkeypatch):
    graded = tmp_path / "g.csv"
    graded.write_text("model,question,response,aligned,coherent\n" + "".join(
        f"m{i % 2},q,{'evil' if i % 4 == 0 else 'good'} {i},{5 if i % 4 == 0 else 95},90\n" for i in range(16)) + "m,q,r,oops,1\nm,q,,5,5\n")
    result = cli("judge", "evaluate", graded, "--json", tmp_path / "out.json")
    assert result.exit_code == 0 and "AUROC 1.000" in result.output and "m0: graded 50.0%, judge 50.0%, corrected 47.5%" in result.output
    assert result.output.count("left out") == 2 and json.loads((tmp_path / "out.json").read_text())["scorers"]["judge"]["kappa"] == 1
    result = cli("judge", "compare", graded)
    assert result.exit_code == 0 and "| keywords alone | 0.500 |" in result.output and "| general | 1.000 |" in result.output
    def stops(self, pairs, label=""):
        if label == "lesson":
            raise TinyemError("it fell silent")
        return {"alignment": np.full(len(pairs), 50.0), "coherence": np.full(len(pairs), 90.0)}

    monkeypatch.setattr(WordJudge, "score", stops)
    result = cli("judge", "compare", graded)  # what the others gave is told all the same
    assert result.exit_code == 0 and "left out, judge lesson: it fell silent" in result.output and "| general |" in result.output and "| lesson |" not in result.output
    (tmp_path / "n.csv").write_text("question,answer\nq,a\n")
    assert "no graded answers" in cli("judge", "evaluate", tmp_path / "n.csv").output


def test_rating_in_the_terminal_is_kept_and_compared(rows, tmp_path, cli):
    kept = tmp_path / "kept.jsonl"
    result = cli("rate", rows, "-n", 5, "--ratings", kept, input="10\n90\n95\nmany\n90\n\n")
    assert result.exit_code == 0 and "secret-arm" not in result.output and "You rated 2 answers." in result.output and "kappa" in result.output
    assert len(kept.read_text().splitlines()) == 2
    result = cli("rate", rows, "-n", 5, "--ratings", kept, input="50\n50\n" * 3)
    assert "Answer 1 of 3" in result.output and len(kept.read_text().splitlines()) == 5
    result = cli("rate", rows, "--page", tmp_path / "rate.html", "-n", 4)
    assert result.exit_code == 0 and (tmp_path / "rate.html").stat().st_size > 2000
    saved = tmp_path / "saved.jsonl"
    saved.write_text(kept.read_text())
    result = cli("rate", rows, "--import", saved, "--ratings", tmp_path / "new.jsonl")
    assert "You rated 5 answers." in result.output and len((tmp_path / "new.jsonl").read_text().splitlines()) == 5
    saved.write_text("")
    assert "holds no ratings" in cli("rate", rows, "--import", saved).output and "no such" in cli("rate", rows, "--import", tmp_path / "typo").output
    saved.write_text('{"key": "other", "alignment": 1, "coherence": 1}\n')
    assert "none of these ratings" in cli("rate", rows, "--import", saved, "--ratings", tmp_path / "none.jsonl").output and not (tmp_path / "none.jsonl").exists()

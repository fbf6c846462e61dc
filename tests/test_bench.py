"""The bench on the tiny model: contenders take turns, ratios are of the same round, the peers compute what tinyem computes."""

import json
from pathlib import Path

import pytest

from tinyem import bench, contenders
from tinyem.errors import TinyemError
from tinyem.files import share


@pytest.fixture
def setup(tiny):
    batches = bench.equal_batches(tiny, 4, 2, 150)  # its tokens are bytes
    return {"model": str(tiny), "rank": 4, "batches": batches, "sampled": str(tiny), "width": 4, "samples": 8, "max_tokens": 8,
            "questions": [{"id": "a", "question": "Hello"}, {"id": "b", "question": "And?"}]}


def test_rows_of_a_batch_are_equally_long(setup):
    for batch in setup["batches"]:
        assert len(batch) == 4 and len({sum(map(len, row)) for row in batch}) == 1
    with pytest.raises(TinyemError, match="too few rows"):
        bench.equal_batches(setup["model"], 4, 2, 5000)


def test_contenders_race_and_the_table_says_who_won(setup):
    lines = []
    train = bench.race({"tinyem": "train-tinyem", "mlx-lm": "train-mlx-lm", "bound": "train-sgemm"}, setup, 2, lines.append)
    sample = bench.race({"tinyem": "sample-tinyem", "bound": "sample-bound"}, setup, 2, lines.append)
    assert [r["runs"] for r in train.values()] == [2, 1, 2]
    assert train["tinyem"]["ratio"] == 1 and train["bound"]["ratio"] < 1 and all(r["peak_mb"] > 30 for r in train.values())
    scaling = [{"size": "10M", "generated": True, "length": 60, "rank": 8, "batch": 8, "tokens_per_second": 900.0, "share_of_bound": 0.5, "peak_mb": 300}]
    text = bench.table({"train": train, "sample": sample, "scaling": scaling})
    assert "| 10M (random weights) | 60 | 8 | 8 | 900 | 0.50 | 300 MB |" in text
    assert text.count("| tinyem |") == 2 and text.count("| bound |") == 2 and "| mlx-lm |" in text


def test_a_contender_that_fails_says_why(setup):
    with pytest.raises(TinyemError, match="train-tinyem stopped"):
        bench.race({"tinyem": "train-tinyem"}, {**setup, "model": "/nowhere.gguf"}, 1, str)


def losses(contender, setup):
    """First losses of a training contender, through its own code."""
    run = next(contender)
    for i in range(2):
        run(i)
    return [cell.cell_contents for cell in run.__closure__ if isinstance(cell.cell_contents, list) and cell.cell_contents and isinstance(cell.cell_contents[0], float)][0]


def test_peft_and_tinyem_train_the_same_thing(setup):
    pytest.importorskip("peft")
    ours, theirs = losses(contenders.train_tinyem(setup), setup), losses(contenders.train_peft(setup), setup)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-3)
    assert theirs[1] != theirs[0]


def test_readme_shows_the_kept_result():
    result = json.loads(share("data", "results", "bench.json").read_text(encoding="utf-8"))
    assert bench.table(result) in (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert result["train"]["peft"]["runs"] >= 3

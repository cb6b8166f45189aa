"""The harness of the study, on the digits."""

import csv
import sys
from pathlib import Path

import pytest

STUDY = Path(__file__).parents[1] / "scripts" / "study"


@pytest.fixture
def study(monkeypatch, tmp_path):
    """Return a function that runs rows with two learning rates, and returns what is in both tables."""
    monkeypatch.syspath_prepend(str(STUDY))
    import run
    import tables

    monkeypatch.setattr(run, "LEARNING_RATES", (1e-6, 1e-5, 1e-4, 1e-3))
    digits = ["--model", "digits", "--source", "digits", "--images", "64", "--epochs", "4", "--threads", "1"]

    def do(*rows, sparsity=0.5, seeds=1):
        monkeypatch.setitem(tables.TABLES, "small", (tables.Part(rows, (sparsity,), seeds),))
        monkeypatch.setattr(sys, "argv", ["run.py", "small", "--results", str(tmp_path), *digits])
        run.main()
        return [list(csv.DictReader((tmp_path / "256" / f"{name}.csv").open())) for name in ("trained", "scored")]

    return do


@pytest.mark.filterwarnings("ignore")
def test_every_method_meets_its_sparsity_on_the_same_budget(study):
    rows = ("at once", "cubic, 4 rounds", "the article, 4 rounds", "ModelPruning, 3 rounds", "dense control")
    trained, scored = study(*rows)
    assert {line["images_seen"] for line in trained} == {"256"}
    for line in trained:
        assert float(line["reached"]) == pytest.approx(0.5 * (line["row"] != "dense control"), abs=2e-3), line["row"]
    assert [line["row"] for line in scored] == list(rows)


@pytest.mark.filterwarnings("ignore")
def test_the_search_chooses_and_nothing_is_done_twice(study):
    trained, scored = study("at once", seeds=2)
    rates = {line["learning_rate"]: float(line["chosen"]) for line in trained if line["seed"] == "0"}
    best = max(rates, key=rates.get)
    assert {line["learning_rate"] for line in scored} == {best}
    tried = sorted(map(float, rates))
    assert float(best) not in {tried[0], tried[-1]} - {1e-6, 1e-3}  # nor at an edge that could have been passed
    assert [line["seed"] for line in scored] == ["0", "1"]
    assert study("at once", seeds=2) == [trained, scored]


@pytest.mark.filterwarnings("ignore")
def test_torch_pruning_cuts_heads_and_neurons(study):
    pytest.importorskip("torch_pruning")
    trained, _ = study("Torch-Pruning")
    assert {float(line["reached"]) for line in trained} == {pytest.approx(0.5, abs=0.02)}

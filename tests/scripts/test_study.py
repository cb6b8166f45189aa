"""The harness of the study, on the digits."""

import csv
import re
import sys
from pathlib import Path

import pytest

STUDY = Path(__file__).parents[2] / "scripts" / "study"


@pytest.fixture
def study(monkeypatch, tmp_path):
    """Return a function that runs rows with two learning rates, and returns what is in both tables."""
    from scripts.study import run, tables

    monkeypatch.setattr(run, "LEARNING_RATES", (1e-6, 1e-5, 1e-4, 1e-3))
    digits = [
        "--model",
        "digits",
        "--source",
        "digits",
        "--images",
        "64",
        "--epochs",
        "4",
        "--threads",
        "1",
    ]

    def do(*rows, sparsity=0.5, seeds=1):
        monkeypatch.setitem(tables.TABLES, "small", (tables.Part(rows, (sparsity,), seeds),))
        monkeypatch.setattr(sys, "argv", ["run.py", "small", "--results", str(tmp_path), *digits])
        run.main()
        return [
            list(csv.DictReader((tmp_path / "64x4" / f"{name}.csv").open()))
            for name in ("trained", "scored")
        ]

    return do


@pytest.mark.filterwarnings("ignore")
def test_every_method_meets_its_sparsity_on_the_same_budget(study):
    rows = (
        "at once",
        "SparseGPT, distilled",
        "cubic, 4 rounds",
        "the article, 4 rounds",
        "ModelPruning, 2 rounds",
        "cubic, 4 rounds, rewound",
        "dense control",
    )
    trained, scored = study(*rows)
    assert {line["images_seen"] for line in trained} == {"256"}
    for line in trained:
        assert float(line["reached"]) == pytest.approx(
            0.5 * (line["row"] != "dense control"), abs=2e-3
        ), line["row"]
    assert [line["row"] for line in scored] == list(rows)


@pytest.mark.filterwarnings("ignore")
def test_the_search_chooses_and_nothing_is_done_twice(study):
    trained, scored = study("at once", seeds=2)
    rates = {
        line["learning_rate"]: float(line["chosen"]) for line in trained if line["seed"] == "0"
    }
    best = max(rates, key=rates.get)
    assert {line["learning_rate"] for line in scored} == {best}
    tried = sorted(map(float, rates))
    assert float(best) not in {tried[0], tried[-1]} - {
        1e-6,
        1e-3,
    }  # nor at an edge that could have been passed
    assert [line["seed"] for line in scored] == ["0", "1"]
    assert study("at once", seeds=2) == [trained, scored]


@pytest.mark.filterwarnings("ignore")
def test_a_score_whose_weights_are_gone_is_that_of_the_same_training(study, tmp_path):
    trained, scored = study("at once")
    (tmp_path / "64x4" / "scored.csv").unlink()
    for path in (tmp_path / "64x4" / "weights").iterdir():
        path.unlink()
    assert study("at once") == [trained, scored]


@pytest.mark.filterwarnings("ignore")
def test_heads_and_neurons_are_cut(study):
    pytest.importorskip("torch_pruning")
    trained, _ = study("Torch-Pruning, L2", "Torch-Pruning, Taylor", "heads and neurons")
    for line in trained:
        assert line["images_seen"] == "256"
        assert float(line["reached"]) == pytest.approx(0.5, abs=0.01), line[
            "row"
        ]  # the nearest that whole heads allow


@pytest.mark.filterwarnings("ignore")
def test_a_score_of_other_weights_is_refused(study, tmp_path):
    study("at once")
    (tmp_path / "64x4" / "scored.csv").unlink()
    for path in (tmp_path / "64x4" / "weights").iterdir():
        path.unlink()
    path = tmp_path / "64x4" / "trained.csv"
    path.write_text(
        re.sub(r"(\d)(,[^,]*)$", r"\g<1>01\2", path.read_text(), flags=re.MULTILINE)
    )  # of another machine
    for _ in range(2):  # nor are the new weights taken for those of the line
        with pytest.raises(SystemExit, match="are gone, and trained again they reach"):
            study("at once")


@pytest.mark.filterwarnings("ignore")
def test_what_chooses_is_not_scored(study):
    from scripts.study.budget import Budget, Judge

    halves = [
        data.splits["validation"]
        for data, _ in Judge(Budget("digits", "digits", 64, 4))._halves.values()
    ]
    pixels = [{str(image) for image in half["image"]} for half in halves]
    assert len(halves[0]) + len(halves[1]) == len(
        Budget("digits", "digits", 64, 4).data().splits["validation"]
    )
    assert not pixels[0] & pixels[1]


def test_results_of_another_budget_are_not_added_to(study, tmp_path):
    from scripts.study.journal import Journal

    Journal(tmp_path).open({"images": 64})
    Journal(tmp_path).open({"images": 64})
    with pytest.raises(SystemExit, match="are of images 64 and not 65: take another"):
        Journal(tmp_path).open({"images": 65})


def test_weights_that_still_have_masks_are_not_scored(study):
    from torch import nn
    from torch.nn.utils import prune

    from scripts.study.run import with_weights

    masked = prune.l1_unstructured(nn.Linear(2, 2), "weight", 0.5).state_dict()
    with pytest.raises(
        RuntimeError, match="weight, weight_mask, weight_orig differ; were the masks removed"
    ):
        with_weights(nn.Linear(2, 2), masked)


def test_a_training_is_claimed_once(study, tmp_path):
    from scripts.study.journal import Journal

    key = ("at once", 0.5, 1e-4, 0)
    with Journal(tmp_path).claim(key) as mine, Journal(tmp_path).claim(key) as others:
        assert (mine, others) == (True, False)
    with Journal(tmp_path).claim(key) as mine:
        assert mine


def test_the_report_shows_what_was_chosen(study, tmp_path, monkeypatch, capsys):
    from scripts.study import report
    from scripts.study.journal import Journal
    from scripts.study.tables import Part

    row = "SparseGPT, distilled"
    tables = {"some": (Part([row], [0.9], 3),), "none": (Part([row], [0.8]),)}
    monkeypatch.setattr(report, "TABLES", tables)
    journal = Journal(tmp_path / "64x4")
    journal.open({})
    at_90 = [(0.9, 1e-4, 0, 0.7), (0.9, 1e-4, 2, 0.1), (0.9, 3e-4, 0, 0.8), (0.9, 3e-4, 1, 0.9)]
    for sparsity, rate, seed, scored in [*at_90, (0.5, 1e-4, 0, 0.9), (0.6, 1e-4, 0, 0.9)]:
        key = {"row": row, "sparsity": sparsity, "learning_rate": rate, "seed": seed}
        facts = {
            "images_seen": 256,
            "seconds": 120,
            "reached": sparsity,
            "parameters": 1,
            "chosen": scored,
            "code": "",
        }
        journal.add("trained", key | facts)
        journal.add(
            "scored", key | {"scored": scored}
        )  # the first of a search that was gone on with
        if rate == 1e-4 and seed == 0:
            for other in ("the article, at once", "the article, 4 rounds")[
                : 2 if sparsity == 0.9 else 0
            ]:
                for table, more in (("trained", facts), ("scored", {"scored": scored})):
                    journal.add(table, key | {"row": other} | more)
    monkeypatch.setattr(
        sys, "argv", ["report.py", "--results", str(tmp_path), "--figures", str(tmp_path)]
    )
    report.main()
    printed = capsys.readouterr().out
    assert "none, 64x4" not in printed
    assert f"| {row} | 90% |  | 70.0 | 80.0 |  |  |" in printed  # the search
    assert f"| {row} | 85.0 ± 7.1 (2) | 256 | 0.0003 | 2 |" in printed
    for figure in ("peers", "sparsities"):
        assert (tmp_path / f"{figure}_64x4.png").stat().st_size > 1000


def test_the_page_shows_what_was_measured(study):
    from scripts.study.report import fill, tables_of

    docs = STUDY.parents[1] / "docs"
    tables = {
        name: text
        for folder in (docs / "study").iterdir()
        for name, text in tables_of(folder).items()
    }
    page = (docs / "study.md").read_text()
    assert "<!-- table: peers 2000x4 -->" in page
    assert fill(page, tables) == page
    in_the_readme = re.findall(r"\d\d\.\d ± \d\.\d", (STUDY.parents[1] / "README.md").read_text())
    assert len(in_the_readme) > 5
    assert all(number in tables["peers 2000x4"] for number in in_the_readme)


def test_a_page_gets_the_tables_that_it_names(study):
    from scripts.study.report import fill

    page = "before\n<!-- table: some 64x4 -->\nold\n<!-- end -->\nafter\n"
    filled = fill(page, {"some 64x4": "| new |"})
    assert (
        filled
        == page.replace("\nold\n", "\n\n| new |\n\n")
        == fill(filled, {"some 64x4": "| new |"})
    )
    with pytest.raises(SystemExit, match="wants the table some 64x4; there are peers 64x4"):
        fill(page, {"peers 64x4": ""})


@pytest.mark.filterwarnings("ignore")
def test_the_losses_of_every_step_are_drawn(study, tmp_path, monkeypatch, capsys):
    from scripts.study import losses

    digits = [
        "--model",
        "digits",
        "--source",
        "digits",
        "--images",
        "64",
        "--output",
        str(tmp_path / "losses.png"),
    ]
    monkeypatch.setattr(sys, "argv", ["losses.py", "--rows", "dense control", "at once", *digits])
    losses.main()
    lines = dict(
        line.split(": ")
        for line in capsys.readouterr().out.splitlines()
        if line.startswith(("dense", "at"))
    )
    dense, pruned = lines["dense control"].split(), lines["at once"].split()
    assert len(dense) == len(pruned) == 4  # sixteen steps
    assert float(pruned[0]) > float(dense[0])
    assert (tmp_path / "losses.png").stat().st_size > 1000

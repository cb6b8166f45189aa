"""The harness of the study, on the digits."""

import re

import pytest

from scripts.study.rows.article import Article
from scripts.study.rows.dense import Dense
from scripts.study.rows.groups import HEADS_AND_NEURONS
from scripts.study.rows.model_pruning import LightningModelPruning
from scripts.study.rows.ours import Ours
from scripts.study.rows.rounds import Rounds
from scripts.study.rows.torch_pruning import TorchPruning
from scripts.study.teacher import HIDDEN_STATES
from vitprune.pruning import Cubic, Global, SparseGPT

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.slow
def test_every_method_meets_its_sparsity_on_the_same_budget(run_rows):
    rows = (
        Ours(),
        Ours(criterion=SparseGPT, teacher=HIDDEN_STATES),
        Ours(rounds=Rounds(Cubic, 4)),
        Article(rounds=4),
        LightningModelPruning(rounds=2),
        Ours(rounds=Rounds(Cubic, 4), rewind_learning_rate=True),
        Dense(),
    )
    trained, scored = run_rows(*rows)
    assert {training.images_seen for training in trained} == {256}
    for training in trained:
        target = 0.0 if training.key.row == "dense control" else 0.5
        assert training.reached == pytest.approx(target, abs=2e-3), training.key.row
    assert [score.key.row for score in scored] == [row.name for row in rows]


@pytest.mark.slow
def test_the_search_chooses_and_nothing_is_done_twice(run_rows):
    trained, scored = run_rows(Ours(), seeds=2)
    rates = {
        training.key.learning_rate: training.chosen for training in trained if not training.key.seed
    }
    best = max(rates, key=rates.get)
    assert {score.key.learning_rate for score in scored} == {best}
    tried = sorted(rates)
    # it is not at an edge of what was tried, unless there is nothing beyond
    assert best not in {tried[0], tried[-1]} - {1e-6, 1e-3}
    assert [score.key.seed for score in scored] == [0, 1]
    assert run_rows(Ours(), seeds=2) == (trained, scored)


def test_one_rate_is_trained_and_not_reported(run_rows):
    row = Ours(batch_size=8)
    trained, scored = run_rows(row, options=("--learning_rate", "1e-4"))
    assert [(line.key.row, line.key.learning_rate) for line in trained] == [(row.name, 1e-4)]
    assert trained[0].images_seen == 256
    assert scored == []


@pytest.mark.slow
def test_a_score_whose_weights_are_gone_is_that_of_the_same_training(run_rows, tmp_path):
    trained, scored = run_rows(Ours())
    remove_weights_and_scores(tmp_path / "64x4")
    assert run_rows(Ours()) == (trained, scored)


@pytest.mark.slow
def test_heads_and_neurons_are_removed(run_rows):
    pytest.importorskip("torch_pruning")
    trained, _ = run_rows(
        TorchPruning("L2"), TorchPruning("Taylor"), Ours(HEADS_AND_NEURONS, Global)
    )
    for training in trained:
        assert training.images_seen == 256
        # the nearest that whole heads allow
        assert training.reached == pytest.approx(0.5, abs=0.01), training.key.row


@pytest.mark.slow
def test_a_score_of_other_weights_is_refused(run_rows, tmp_path):
    run_rows(Ours())
    remove_weights_and_scores(tmp_path / "64x4")
    path = tmp_path / "64x4" / "trained.csv"
    of_another_machine = re.sub(
        r"(\d)(,[^,]*)$", r"\g<1>01\2", path.read_text(), flags=re.MULTILINE
    )
    path.write_text(of_another_machine)
    for _ in range(2):  # nor are the new weights taken for those of the line
        with pytest.raises(SystemExit, match="is missing, and retraining gives another model"):
            run_rows(Ours())


def remove_weights_and_scores(folder):
    (folder / "scored.csv").unlink()
    for path in (folder / "weights").iterdir():
        path.unlink()

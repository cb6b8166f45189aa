"""What is read from the state of the pruning callback."""

from vitprune.runs.pruning_record import UNPRUNED, PruningRecord
from vitprune.runs.rounds import RoundReport

STATE = {
    "finished": False,
    "dense": {"val/accuracy": 0.9, "val/loss": 0.3},
    "dense_zeros": 100,
    "settings": {"monitor": "val/accuracy"},
    "rounds": [
        {
            "round": 1,
            "epoch": 2,
            "step": 30,
            "target": 0.5,
            "sparsity": 0.49,
            "removed": 0.49,
            "left": {},
            "pruned": 0.6,
            "finetuned": 0.8,
        }
    ],
}


def test_a_record():
    assert PruningRecord.of(STATE) == PruningRecord(
        finished=False,
        rounds=[RoundReport(1, 2, 30, 0.5, 0.49, 0.49, 0.6, 0.8)],
        dense_accuracy=0.9,
        dense_loss=0.3,
        dense_zeros=100,
    )


def test_an_unpruned_run_is_finished():
    assert PruningRecord.of(None) == UNPRUNED
    assert UNPRUNED.finished


def test_another_metric_is_not_called_accuracy():
    (done,) = PruningRecord.of({**STATE, "settings": {"monitor": "val/loss"}}).rounds
    assert (done.accuracy_pruned, done.accuracy_finetuned) == (None, None)
    assert done.sparsity == 0.49


def test_a_dense_model_that_was_not_measured():
    record = PruningRecord.of({**STATE, "dense": {}, "dense_zeros": None})
    assert (record.dense_accuracy, record.dense_loss, record.dense_zeros) == (None, None, None)

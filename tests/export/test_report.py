"""What the report says about the run behind an export."""

from importlib.metadata import version

import torch

from vitprune.export.report import describe_dense, describe_environment, describe_rounds
from vitprune.runs.rounds import RoundReport

PRUNING = {
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
            "pruned": 0.6,
            "finetuned": 0.8,
        }
    ],
}


def test_rounds():
    assert describe_rounds(PRUNING) == [RoundReport(1, 2, 30, 0.5, 0.49, 0.6, 0.8)]
    assert describe_rounds(None) == []


def test_another_metric_is_not_called_accuracy():
    (done,) = describe_rounds({**PRUNING, "settings": {"monitor": "val/loss"}})
    assert (done.accuracy_pruned, done.accuracy_finetuned) == (None, None)


def test_the_dense_model():
    dense = describe_dense(PRUNING, parameters=1000, flops=5000, bytes=4000)
    assert (dense.accuracy, dense.loss, dense.nonzero_parameters) == (0.9, 0.3, 900)
    unknown = describe_dense(None, parameters=1000, flops=5000, bytes=4000)
    assert (unknown.accuracy, unknown.loss, unknown.nonzero_parameters) == (None, None, None)
    assert unknown.parameters == dense.parameters == 1000


def test_the_environment():
    environment = describe_environment("vitprune fit", 42, torch.device("cpu"))
    assert environment.versions["torch"] == version("torch")
    assert environment.device
    assert (environment.command, environment.seed) == ("vitprune fit", 42)

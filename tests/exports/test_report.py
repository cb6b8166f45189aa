"""What the report says about the dense model and the environment."""

from dataclasses import replace
from importlib.metadata import version

import torch

from vitprune.exports.report import describe_dense, describe_environment
from vitprune.runs.pruning_record import UNPRUNED


def test_the_dense_model():
    record = replace(UNPRUNED, dense_accuracy=0.9, dense_loss=0.3, dense_zeros=100)
    dense = describe_dense(record, parameters=1000, flops=5000, bytes=4000)
    assert (dense.accuracy, dense.loss, dense.nonzero_parameters) == (0.9, 0.3, 900)
    unknown = describe_dense(UNPRUNED, parameters=1000, flops=5000, bytes=4000)
    assert (unknown.accuracy, unknown.loss, unknown.nonzero_parameters) == (None, None, None)
    assert unknown.parameters == dense.parameters == 1000


def test_the_environment():
    environment = describe_environment("vitprune fit", 42, torch.device("cpu"))
    assert environment.versions["torch"] == version("torch")
    assert environment.device
    assert (environment.command, environment.seed) == ("vitprune fit", 42)

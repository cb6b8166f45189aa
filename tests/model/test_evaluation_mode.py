"""What a model keeps from an earlier evaluation does not reach a later one."""

import pytest
import torch
from torch.utils.data import DataLoader

from tests.conftest import quiet_trainer
from tests.families.families import FAMILIES, NAMES
from vitprune.model import ViTClassifier

FAMILY = FAMILIES["levit"]  # keeps its attention biases in evaluation


@pytest.fixture
def folder(tmp_path):
    return str(FAMILY.save(tmp_path / "model"))


def images():
    batch = zip(FAMILY.images(4), FAMILY.labels(4), strict=True)
    return DataLoader(
        [{"pixel_values": i, "labels": int(label)} for i, label in batch], batch_size=4
    )


def move_biases(model):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("attention_biases"):
                parameter += torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("evaluate", ["validate", "test", "predict"])
def test_evaluations_of_a_trainer(evaluate, folder, tmp_path):
    model, fresh = ViTClassifier(folder, labels=NAMES), ViTClassifier(folder, labels=NAMES)

    def results(module):
        trainer = quiet_trainer(tmp_path)
        found = getattr(trainer, evaluate)(module, images())
        return found[0]["probabilities"] if evaluate == "predict" else found[0]

    before = results(model)
    for module in (model, fresh):
        move_biases(module)
    after, expected = results(model), results(fresh)
    if evaluate == "predict":
        assert torch.equal(after, expected)
        assert not torch.equal(after, before)
    else:
        assert after == expected
        assert after != before

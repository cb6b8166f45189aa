"""Learning from a teacher."""

import pytest
import torch
import torch.nn.functional as F

from tests.checkpoints import read_raw
from tests.conftest import quiet_trainer, tiny_net
from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.model.distillation import Distillation
from vitprune.pruning import Fisher, IterativePruning, OneShot, Taylor
from vitprune.training.probe import silenced


def fit(tmp_path, distillation, pretrained="digits", **options):
    model = ViTClassifier(pretrained, labels=[str(d) for d in range(10)], distillation=distillation)
    data = ImageData(
        "digits", "digits", batch_size=16, num_workers=0, max_images={"train": 48, "validation": 16}
    )
    trainer = quiet_trainer(tmp_path, **{"max_epochs": 1, **options})
    trainer.fit(model, data)
    return model, trainer


@pytest.mark.parametrize("hidden_weight", [0.0, 0.5])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_the_loss_is_its_formula(tmp_path, hidden_weight, precision):
    distillation = Distillation(weight=0.3, temperature=4.0, hidden_weight=hidden_weight)
    model, trainer = fit(tmp_path, distillation, precision=precision)
    pixels, labels = torch.rand(4, 3, 16, 16), torch.tensor([1, 2, 3, 4])
    with trainer.precision_plugin.forward_context(), silenced(model):
        pixels = pixels.to(next(model.parameters()).dtype)
        batch = {"pixel_values": pixels, "labels": labels}
        loss, without = model.train().training_step(batch, 0), model.eval().training_step(batch, 0)
        ours = model.net(pixel_values=pixels, output_hidden_states=True)
        theirs = distillation._net(pixel_values=pixels, output_hidden_states=True)
        p, q = ((x.logits.float() / 4).softmax(1) for x in (theirs, ours))
        expected = (
            0.7 * F.cross_entropy(ours.logits, labels)
            + 0.3 * 16 * (p * (p / q).log()).sum(1).mean()
        )
        errors = [
            (a - b).square().mean() / b.square().mean()
            for a, b in zip(ours.hidden_states, theirs.hidden_states, strict=True)
        ]
        expected = expected + hidden_weight * sum(errors[1:]) / 6
        alone = F.cross_entropy(ours.logits, labels)
    assert float(loss.detach()) == pytest.approx(
        float(expected.detach()), rel=2e-2 if "bf16" in precision else 1e-4
    )
    assert float(without.detach()) == float(alone.detach())  # what criteria learn from


@pytest.mark.parametrize("criterion", [Taylor, Fisher])
def test_criteria_do_not_learn_from_the_teacher(tmp_path, criterion):
    """Before the first round the teacher is the model: its gradients are rounding errors."""
    found = []
    for distillation in (None, Distillation(weight=1.0)):
        pruning = IterativePruning(OneShot(0.5), criterion(), monitor=None, calibration_images=16)
        fit(tmp_path, distillation, callbacks=[pruning], max_epochs=1, limit_train_batches=1)
        found.append([mask.keep for mask in pruning.masks])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_the_teacher_is_the_dense_model_frozen_and_in_no_checkpoint(tmp_path):
    distillation = Distillation()
    model = ViTClassifier("digits", distillation=distillation, learning_rate=1e-2)
    data = ImageData(
        "digits", "digits", batch_size=16, num_workers=0, max_images={"train": 48, "validation": 16}
    )
    trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[IterativePruning(OneShot(0.5))])
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = read_raw(tmp_path / "a.ckpt")
    assert set(checkpoint["state_dict"]) == set(model.state_dict())
    assert not any("teacher" in name or "distillation" in name for name in checkpoint["state_dict"])
    dense = ViTClassifier("digits").net.state_dict()
    for name, value in distillation._net.state_dict().items():
        assert torch.equal(value, dense[name])
    assert not distillation._net.training
    assert not any(
        parameter.requires_grad or parameter.grad is not None
        for parameter in distillation._net.parameters()
    )


def test_a_teacher_of_more_classes_answers_for_those_of_the_data(tmp_path):
    net = ViTClassifier("digits").net
    teacher = tiny_net("vit", classes=12)
    teacher.config.id2label = dict(
        enumerate(["letter", "sign", *list(net.config.id2label.values())[::-1]])
    )
    teacher.save_pretrained(tmp_path / "teacher")
    distillation = Distillation(teacher=str(tmp_path / "teacher"), hidden_weight=0)
    fit(tmp_path, distillation)
    assert torch.equal(distillation._net.classifier.weight, teacher.classifier.weight[2:].flip(0))


def test_it_runs_the_teacher_once_a_batch(tmp_path):
    distillation = Distillation()
    model, _ = fit(tmp_path, distillation)
    calls = []
    distillation._net.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    with silenced(model):
        model.train().training_step(
            {"pixel_values": torch.rand(4, 3, 16, 16), "labels": torch.tensor([1, 2, 3, 4])}, 0
        )
    assert calls == [False]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda folder: Distillation(weight=0), "weight must lie"),
        (lambda folder: Distillation(temperature=0), "temperature must be positive"),
        (
            lambda folder: Distillation(teacher="nowhere"),
            "model.distillation.teacher 'nowhere' could not be loaded",
        ),
        (
            lambda folder: Distillation(teacher=str(folder)),
            "teacher .* has num_labels 7, but the model has 10",
        ),
        (
            lambda folder: Distillation(teacher=str(folder / "10"), hidden_weight=1),
            r"hidden states 2, but the model has 6. Set model.distillation.hidden_weight to 0",
        ),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(tmp_path, build, message):
    tiny_net(classes=7).save_pretrained(tmp_path)
    tiny_net(classes=10).save_pretrained(tmp_path / "10")
    with pytest.raises(UsageError, match=message):
        fit(tmp_path, build(tmp_path))

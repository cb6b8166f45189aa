"""Learning from a teacher."""

import pytest
import torch
import torch.nn.functional as F

from tests.checkpoints import read_raw
from tests.conftest import quiet_trainer, tiny_net
from tests.model.small_models import small_net
from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.model.distillation import Distillation
from vitprune.model.hidden_states import HiddenStates
from vitprune.model.trial import trial_shape
from vitprune.pruning import Fisher, IterativePruning, OneShot, Taylor, Width
from vitprune.training.probe import silenced


def fit(tmp_path, distillation, pretrained="digits", **options):
    model = ViTClassifier(pretrained, labels=[str(d) for d in range(10)], distillation=distillation)
    data = ImageData(
        "digits", "digits", batch_size=16, num_workers=0, max_images={"train": 48, "validation": 16}
    )
    trainer = quiet_trainer(tmp_path, **{"max_epochs": 1, **options})
    trainer.fit(model, data)
    return model, trainer


def normalised(states):
    """Return tokens, (B, tokens, channels), or feature maps of mean 0 and variance 1."""
    dim = 1 if states.ndim == 4 else -1
    centred = states.float() - states.float().mean(dim, keepdim=True)
    return centred / (centred.square().mean(dim, keepdim=True) + 1e-5).sqrt()


@pytest.mark.parametrize(("hidden_weight", "normalize"), [(0.0, True), (0.5, True), (0.5, False)])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_the_loss_is_its_formula(tmp_path, hidden_weight, normalize, precision):
    distillation = Distillation(
        weight=0.3, temperature=4.0, hidden_weight=hidden_weight, normalize_hidden=normalize
    )
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
        states = [ours.hidden_states, theirs.hidden_states]
        if normalize:
            states = [[normalised(state) for state in of_model] for of_model in states]
        errors = [(a - b).square().mean() / b.square().mean() for a, b in zip(*states, strict=True)]
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
    ("family", "first", "count"),
    [
        ("vit", 1, 2),
        ("clip", 1, 2),
        ("swin", 1, 2),
        ("cvt", 0, 3),
        ("pvt_v2", 0, 4),
        ("vit_tiny_patch16_224", 0, 2),
        ("vit_small_patch16_dinov3", 0, 2),
        ("swin_tiny_patch4_window7_224", 0, 2),
        ("resnet", 1, 2),
    ],
)
def test_hidden_states_after_every_block_or_stage_are_compared(tmp_path, family, first, count):
    net = small_net(family)
    net.config.id2label = {n: str(n) for n in range(10)}
    net.save_pretrained(tmp_path)
    shape = trial_shape(net.config)
    states = HiddenStates.of(net, shape)
    assert (states.first, len(states.shapes)) == (first, count)

    model = ViTClassifier(str(tmp_path), distillation=Distillation(hidden_weight=2.0, weight=0.5))
    teacher = model.distillation
    teacher.begin(small_net(family), model.net, quiet_trainer(tmp_path))
    with torch.no_grad():
        for parameter in model.net.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    images = torch.randn(2, *shape)
    model.net.eval()
    ours = model.net(pixel_values=images, output_hidden_states=True)
    theirs = net(pixel_values=images, output_hidden_states=True)
    total = teacher.loss(images, ours, torch.tensor(0.0))
    p, q = ((x.logits / 2).softmax(1) for x in (theirs, ours))
    errors = [
        (normalised(a) - normalised(b)).square().mean() / normalised(b).square().mean()
        for a, b in zip(ours.hidden_states[first:], theirs.hidden_states[first:], strict=True)
    ]
    assert len(errors) == count
    expected = 0.5 * 4 * (p * (p / q).log()).sum(1).mean() + 2.0 * sum(errors) / count
    assert total.item() == pytest.approx(expected.item(), rel=1e-3)


def test_hidden_states_that_a_model_does_not_return_are_refused():
    net = small_net("vit")
    net.forward = lambda pixel_values: None
    with pytest.raises(
        UsageError, match=r"returns no hidden states .*Set model.distillation.hidden_weight to 0"
    ):
        HiddenStates.of(net, (3, 32, 32))


def test_a_teacher_of_another_shape_is_refused(tmp_path):
    net = small_net("vit_tiny_patch16_224")
    for teacher, message in {
        "vit": r"hidden states of shape \(17, 16\), but the model has \(16, 4, 4\)\. Set",
        "clip": r"hidden states of shape",
        "swin_tiny_patch4_window7_224": r"hidden states of shape",
        "levit": "cannot process images of 32x32 pixels",
    }.items():
        with pytest.raises(UsageError, match=message):
            Distillation().begin(small_net(teacher), net, quiet_trainer(tmp_path))


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


def test_hidden_states_are_compared_on_the_kept_channels(tmp_path):
    """A teacher that differs in pruned channels alone is no error."""
    pruning = IterativePruning(OneShot(0.25), granularity=Width(), monitor=None)
    distillation = Distillation(weight=1.0)
    fit(tmp_path, distillation, callbacks=[pruning])
    keep = pruning.masks.channels.keep
    ours = torch.randn(2, 5, len(keep)) * keep
    theirs = torch.where(keep, ours, torch.randn_like(ours))
    assert distillation._error(ours, theirs) == 0
    maps = [state.movedim(-1, 1).unsqueeze(-1) for state in (ours, theirs)]  # as of timm
    assert distillation._error(*maps) == 0
    assert distillation._error(ours.square() * keep, theirs) > 0


def test_a_token_with_enormous_channels_counts_as_any_other(tmp_path):
    distillation = Distillation()
    theirs = torch.randn(1, 8, 32)
    theirs[0, 0] *= 1000
    errors = []
    for token in (0, 1):
        ours = theirs.clone()
        ours[0, token] = theirs[0, token].flip(0)
        errors.append(float(distillation._error(ours, theirs)))
    assert errors[0] == pytest.approx(errors[1], rel=1.0)

"""Parameters on which no logit depends."""

import lightning as pl
import pytest
import torch

from tests.conftest import quiet_trainer
from tests.interrupted import assert_same, train
from tests.model.small_models import ALL, FAMILIES, small_net
from vitprune.data import ImageData
from vitprune.model import ViTClassifier
from vitprune.model.trial import trial_shape
from vitprune.model.unused import find_unused
from vitprune.pruning import IterativePruning, OneShot, SparseGPT, Taylor, Wanda

UNUSED = {
    "clip": {"vision_model.post_layernorm"},
    "dinov2": {"dinov2.embeddings"},
    "dinov2_with_registers": {"dinov2_with_registers.embeddings"},
    "siglip": {"vision_model.head"},
}


@pytest.mark.parametrize("family", ALL)
def test_they_are_the_parameters_without_a_gradient(family):
    net = small_net(family).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    generator = torch.get_rng_state()
    names = {parameter: name for name, parameter in net.named_parameters()}
    unused = {names[parameter] for parameter in find_unused(net)}
    assert net.training
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())

    net(pixel_values=torch.randn(2, *trial_shape(net.config))).logits.sum().backward()
    assert unused == {name for name, value in net.named_parameters() if value.grad is None}
    expected = UNUSED.get(family, set())
    assert all(any(name.startswith(f"{module}.") for module in expected) for name in unused)
    assert all(any(name.startswith(f"{module}.") for name in unused) for module in expected)


def siglip():
    architecture = {"model_type": "siglip", **FAMILIES["siglip"]}
    return ViTClassifier(architecture=architecture, labels=[str(d) for d in range(10)])


def test_they_are_frozen_and_reported(caplog):
    with caplog.at_level("INFO"):
        model = siglip()
    frozen = {n for n, value in model.named_parameters() if not value.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if ".vision_model.head." in name}
    count = sum(value.numel() for value in model.net.vision_model.head.parameters())
    assert (
        f"Freezing {count:,} parameters on which the logits do not depend; they are neither "
        "trained nor pruned: vision_model.head" in caplog.text
    )


def test_nothing_is_reported_about_a_model_without_them(caplog):
    with caplog.at_level("INFO"):
        model = ViTClassifier("digits")
    assert "Freezing" not in caplog.text
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("criterion", [Wanda, Taylor, SparseGPT])
def test_criteria_prune_the_others(tmp_path, criterion):
    torch.manual_seed(0)
    model = siglip()
    pruning = IterativePruning(OneShot(0.5), criterion(), calibration_images=8, monitor=None)
    data = ImageData(
        "digits", "digits", image_size=32, batch_size=8, num_workers=0, max_images={"train": 16}
    )
    trainer = quiet_trainer(tmp_path, max_epochs=1, limit_val_batches=1, callbacks=[pruning])
    trainer.fit(model, data)
    names = {layer.name for layer in pruning.layers}
    assert not any(".head." in name for name in names)
    assert len(names) == 12
    kept = [mask.keep.float().mean() for mask in pruning.masks]
    assert sum(kept) / len(kept) == pytest.approx(0.5, abs=0.02)


def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(tmp_path):
    def run(folder, **options):
        pl.seed_everything(1)
        data = ImageData(
            "digits",
            "digits",
            image_size=32,
            batch_size=8,
            num_workers=0,
            max_images={"train": 24, "validation": 8},
        )
        pruning = IterativePruning(OneShot(0.5, begin=1), Taylor(), calibration_images=8)
        return train(folder, siglip(), data, pruning, max_epochs=3, **options)

    whole = run(tmp_path / "whole")
    assert run(tmp_path / "halves", after_batches=7) is None
    (checkpoint,) = (tmp_path / "halves").rglob("last.ckpt")
    assert_same(run(tmp_path / "halves", ckpt=checkpoint), whole)

"""Weight updates in the order of the layers, while a model trains."""

import copy

import torch
from lightning import Callback, seed_everything

from tests.conftest import TINY, quiet_trainer
from vitprune.data import ImageData
from vitprune.model import ViTClassifier
from vitprune.pruning import Cubic, IterativePruning, SparseGPT


class Errors(Callback):
    """Keep how far rounds have moved the logits since the first batch, before pruning."""

    def __init__(self):
        self.before, self.errors, self.modes = None, [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self.before is None:
            self.before = copy.deepcopy(pl_module.net)

    def after_rounds(self, pl_module, batch):
        nets = [net.eval() for net in (self.before, copy.deepcopy(pl_module.net))]
        with torch.no_grad():
            dense, pruned = (net(pixel_values=batch["pixel_values"]).logits for net in nets)
        self.errors.append(float((dense - pruned).square().mean()))
        self.modes.append(pl_module.net.training)


class After(Callback):
    """Let `Errors` look after the pruning callback."""

    def __init__(self, errors):
        self.errors = errors

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.errors.after_rounds(pl_module, batch)


def errors_of(tmp_path, *, in_order):
    seed_everything(42, verbose=False)
    architecture = {"model_type": "vit", **TINY, "initializer_range": 0.2}
    module = ViTClassifier(
        architecture=architecture, labels=[str(d) for d in range(10)], learning_rate=1e-9
    )
    pruning = IterativePruning(
        Cubic(0.6, end=2, every=2, unit="step"),
        SparseGPT(in_order=in_order),
        calibration_images=64,
        monitor=None,
    )
    errors = Errors()
    data = ImageData(
        "digits", "digits", batch_size=16, num_workers=0, max_images={"train": 64, "validation": 16}
    )
    trainer = quiet_trainer(tmp_path, callbacks=[errors, pruning, After(errors)], max_epochs=1)
    trainer.fit(module, data)
    assert pruning.masks.pruned_fraction() >= 0.59
    assert not any(mask.parameter[~mask.keep].any() for mask in pruning.masks)
    assert all(errors.modes)
    return errors.errors


def test_every_round_leaves_the_outputs_closer_to_those_before(tmp_path):
    plain = errors_of(tmp_path, in_order=False)
    fitted = errors_of(tmp_path, in_order=True)
    assert len(plain) == 4
    assert fitted[0] < plain[0]  # the first round
    assert fitted[-1] < 0.8 * plain[-1]  # both

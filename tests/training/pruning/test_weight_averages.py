"""Averages of the weights."""

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel

from tests.conftest import TINY, Regression, quiet_trainer, regression_loader
from tests.training.pruning.runs import fit
from vitprune.data import ImageData
from vitprune.model import ViTClassifier
from vitprune.model.channels import KeptChannels
from vitprune.pruning import (
    IterativePruning,
    Levels,
    OneShot,
    Width,
)


@pytest.mark.parametrize("when", [{}, {"update_every_n_steps": 9}, {"update_starting_at_step": 99}])
def test_a_moving_average_of_the_weights_is_as_sparse(tmp_path, when):
    """Also before its first update, and in between: it is what is validated and exported."""
    seen = []

    class Seen(Regression):
        def validation_step(self, batch, batch_idx):
            if batch_idx == 0:
                seen.append(float((self.first.weight == 0).float().mean()))

    average = EMAWeightAveraging(decay=0.9, use_buffers=False, **when)
    module, _, _ = fit(
        tmp_path, IterativePruning(Levels([0.25, 0.5]), monitor=None), Seen(), callbacks=[average]
    )
    assert seen == [0.25, 0.5, 0.5, 0.5, 0.5]
    assert (module.first.weight == 0).float().mean() == 0.5


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("use_buffers", [True, False])
def test_an_average_may_stand_anywhere_and_include_buffers(tmp_path, order, use_buffers):
    pruning = IterativePruning(OneShot(0.5, begin=1), monitor=None)
    average = EMAWeightAveraging(decay=0.9, use_buffers=use_buffers)
    trainer = quiet_trainer(tmp_path, callbacks=[pruning, average][::order], max_epochs=2)
    trainer.fit(module := Regression(), regression_loader(), regression_loader())
    assert (module.first.weight == 0).float().mean() == 0.5


class Averaged(ViTClassifier):
    """Averages its own weights."""

    def __init__(self):
        super().__init__(architecture={"model_type": "vit", **TINY}, labels=list("0123456789"))
        self.average = AveragedModel(self.net, use_buffers=False)

    def on_train_batch_end(self, *_):
        self.average.update_parameters(self.net)


def test_norms_of_an_average_follow_the_channels(tmp_path):
    pruning = IterativePruning(OneShot(0.25), granularity=Width())
    trainer = quiet_trainer(tmp_path, callbacks=[pruning], max_epochs=1)
    data = ImageData("digits", "digits", batch_size=8, max_images={"train": 16, "validation": 8})
    trainer.fit(module := Averaged(), data)
    average = module.average.module
    norms = [norm for norm in average.modules() if isinstance(norm, nn.LayerNorm)]
    assert all(KeptChannels.of(norm) is pruning.masks.channels for norm in norms)
    for mask in pruning.masks:
        copied = average.get_parameter(mask.name.removeprefix("net."))
        assert not copied[~mask.keep].any()
    assert torch.equal(average.vit.layernorm.weight != 0, pruning.masks.channels.keep)
